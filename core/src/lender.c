//go:build !samebytes_shared

/* Memory of somebody else becomes a block whose bytes lie elsewhere. All such blocks have one provider, which gives none by itself.
 *
 * What is back at a lender waits in a list that any thread adds to without a lock, because a view may be closed anywhere. Only one thread at a
 * time takes from it: so what it sees at the head stays there until it is taken, and nothing is freed under it. A child of a fork knows by the
 * generation that a thread which was taking is not there; what that had in hand is lost to the child. */

#include <stdatomic.h>
#include <stdlib.h>

#include <samebytes/lender.h>

#include "block.h"
#include "owners.h"
#include "steps.h"
#include "system.h"
#include "view_private.h"

typedef struct foreign_block {
  sb_block block;
  sb_foreign foreign;
} foreign_block;

/* One piece of memory that has been lent. */
typedef struct loan {
  struct loan *next; /* in the list of what is back */
  struct sb_lender *lender;
  uint64_t token;
} loan;

struct sb_lender {
  _Atomic(loan *) back;
  sb_priv_owners owners; /* the handle, and each loan that is not back */
  atomic_size_t lent;
  _Atomic uint32_t taking; /* 0, or the generation of the process in which a thread takes */
};

/* ---- blocks ---- */

static sb_status foreign_get(sb_memory *memory, size_t size, sb_block **block) {
  (void)memory, (void)size, (void)block;
  return SB_UNSUPPORTED;
}

static void foreign_put(sb_block *block) {
  const sb_foreign foreign = ((foreign_block *)block)->foreign;
  sb_priv_live_blocks_add(-1);
  free(block);
  if (foreign.release != NULL) foreign.release(foreign.context, (void *)(uintptr_t)foreign.data, foreign.size);
}

static void foreign_retire(sb_memory *memory) { (void)memory; } /* never: it is an owner of itself */

static const sb_priv_provider foreign_provider = {.get = foreign_get, .put = foreign_put, .retire = foreign_retire};
static sb_memory foreign_memory = {.provider = &foreign_provider, .owners = 1};

sb_status sb_view_open_foreign(const sb_foreign *foreign, sb_view **view) {
  if (foreign == NULL || view == NULL || foreign->size > PTRDIFF_MAX) return SB_INVALID_ARGUMENT;
  if (foreign->data == NULL && foreign->size > 0) return SB_INVALID_ARGUMENT;
  foreign_block *made = malloc(sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  const size_t counted = foreign->size > SB_BLOCK_SIZE_MAX ? SB_BLOCK_SIZE_MAX : foreign->size;
  *made = (foreign_block){.foreign = *foreign};
  made->block = (sb_block){.owners = 1, .size = (uint32_t)counted, .data = (uint8_t *)(uintptr_t)foreign->data, .memory = &foreign_memory};
  const sb_status status = sb_priv_view_open_span(&made->block, foreign->data, foreign->size, view);
  if (status != SB_OK) {
    free(made);
    return status;
  }
  sb_priv_live_blocks_add(1);
  sb_priv_block_count(&made->block);
  sb_priv_block_release(&made->block); /* the view has its own owner, if it shows anything */
  return SB_OK;
}

/* ---- lenders ---- */

static void lender_release(sb_lender *lender) {
  if (!sb_priv_owners_remove(&lender->owners, 1)) return;
  for (loan *next, *it = atomic_load(&lender->back); it != NULL; it = next) {
    next = it->next;
    free(it);
  }
  free(lender);
}

static void loan_is_back(void *context, void *data, size_t size) {
  (void)data, (void)size;
  loan *it = context;
  sb_lender *lender = it->lender;
  it->next = atomic_load_explicit(&lender->back, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&lender->back, &it->next, it, memory_order_release, memory_order_relaxed)) {
  }
  lender_release(lender);
}

sb_status sb_lender_open(sb_lender **lender) {
  if (lender == NULL) return SB_INVALID_ARGUMENT;
  sb_lender *made = calloc(1, sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  atomic_init(&made->owners, 1);
  sb_priv_fork_hold(); /* so that forks are counted */
  sb_priv_fork_release();
  *lender = made;
  return SB_OK;
}

sb_status sb_lender_lend(sb_lender *lender, const void *data, size_t size, uint64_t token, sb_view **view) {
  if (lender == NULL) return SB_INVALID_ARGUMENT;
  loan *made = malloc(sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  *made = (loan){.lender = lender, .token = token};
  sb_priv_owners_add(&lender->owners, 1); /* before the view is there: it may be gone again in this call */
  atomic_fetch_add(&lender->lent, 1);
  const sb_foreign foreign = {.data = data, .size = size, .release = loan_is_back, .context = made};
  const sb_status status = sb_view_open_foreign(&foreign, view);
  if (status == SB_OK) return SB_OK;
  atomic_fetch_sub(&lender->lent, 1);
  free(made);
  lender_release(lender);
  return status;
}

sb_status sb_lender_take(sb_lender *lender, uint64_t *token) {
  if (lender == NULL || token == NULL) return SB_INVALID_ARGUMENT;
  if (atomic_load_explicit(&lender->back, memory_order_relaxed) == NULL) return SB_NOT_FOUND;
  const uint32_t generation = sb_priv_fork_generation();
  uint32_t taking = atomic_load_explicit(&lender->taking, memory_order_relaxed);
  if (taking == generation || !atomic_compare_exchange_strong(&lender->taking, &taking, generation)) return SB_NOT_FOUND;
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, lender);
  loan *first = atomic_load_explicit(&lender->back, memory_order_acquire);
  while (first != NULL && !atomic_compare_exchange_weak(&lender->back, &first, first->next)) {
  }
  atomic_store_explicit(&lender->taking, 0, memory_order_release);
  if (first == NULL) return SB_NOT_FOUND;
  *token = first->token;
  free(first);
  atomic_fetch_sub(&lender->lent, 1);
  return SB_OK;
}

size_t sb_lender_lent(const sb_lender *lender) { return lender == NULL ? 0 : atomic_load(&lender->lent); }

void sb_lender_close(sb_lender *lender) {
  if (lender != NULL) lender_release(lender);
}
