//go:build !samebytes_shared

/* Numbers that stand for pools: the low 16 bits are an index into a table, the others say which of all that had this index it is. So a
 * number that was given back, or was never one, is found to be wrong, whatever it is.
 *
 * The quick way of a get looks at the table while the thread uses its magazines. Whoever closes the pool waits for that if the thread has a
 * magazine of that pool; if it has none there is nothing in it, and structures of pools are never freed. In that case the structure may
 * become another pool's while the get reads it: whatever mixture it reads, the search for a class ends at the last one, which always holds
 * any size, and the magazine is one of the thread's own for a slot that it has nothing in, because only the thread itself gives its caches
 * to pools. A put needs the pool to compare it with the block's own, and nothing more.
 *
 * Any other call on a number first counts itself into the word of its entry, and is then sure of the pool until it counts itself out; who closes the
 * pool, or gives the number back, changes the word so that nobody comes in any more, and waits for those inside. Calls that are inside
 * never wait for handles_lock. */

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <sys/random.h>

#include "pool_private.h"
#include "steps.h"

#define HANDLES_MAX 65536u
#define USERS 0x7fffu   /* the calls inside */
#define CLOSED 0x8000u  /* the pool has been closed */
#define NUMBER_SHIFT 16 /* which of all it is, as in the handle */

typedef struct entry {
  _Atomic uint64_t word;
  _Atomic(sb_pool *) pool; /* NULL: none, or closed */
  uint32_t next_free;
} entry;

static pthread_mutex_t handles_lock = PTHREAD_MUTEX_INITIALIZER; /* before the locks of pools */
static _Atomic(entry *) table;
static uint32_t used_count; /* entries before this index have been used */
static uint32_t free_first = HANDLES_MAX;

/* ---- calls ---- */

static entry *entry_of(uint64_t handle) {
  entry *entries = atomic_load_explicit(&table, memory_order_acquire);
  return entries == NULL ? NULL : &entries[handle % HANDLES_MAX];
}

/* Comes in; sb_priv_handle_leave must follow a success. */
static sb_status handle_enter(uint64_t handle, entry **in) {
  entry *it = entry_of(handle);
  if (it == NULL) return SB_NOT_FOUND;
  uint64_t word = atomic_load_explicit(&it->word, memory_order_relaxed);
  do {
    SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, it);
    if (word >> NUMBER_SHIFT != handle >> NUMBER_SHIFT) return SB_NOT_FOUND;
    if ((word & CLOSED) != 0) return SB_CLOSED;
    if ((word & USERS) == USERS) return SB_BUSY;
  } while (!atomic_compare_exchange_weak_explicit(&it->word, &word, word + 1, memory_order_acquire, memory_order_relaxed));
  *in = it;
  SB_PRIV_STEP(SB_PRIV_STEP_LOOK, &it->pool);
  if (atomic_load_explicit(&it->pool, memory_order_relaxed) != NULL) return SB_OK;
  (void)atomic_fetch_sub_explicit(&it->word, 1, memory_order_release); /* it is free, and this will be the next one's number */
  return SB_NOT_FOUND;
}

static void handle_leave(entry *it) {
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, it);
  (void)atomic_fetch_sub_explicit(&it->word, 1, memory_order_release);
}

static void wait_for_users(const entry *it) {
  SB_PRIV_STEP(SB_PRIV_STEP_USERS, it);
  for (int i = 0; (atomic_load_explicit(&it->word, memory_order_acquire) & USERS) != 0; i++)
    if (i > 100) sb_priv_pause();
}

/* The pool of a handle at this moment; NULL if it has none. */
static inline sb_pool *pool_now(uint64_t handle) {
  entry *it = entry_of(handle);
  SB_PRIV_STEP(SB_PRIV_STEP_LOOK, it);
  if (it == NULL || atomic_load_explicit(&it->word, memory_order_acquire) >> NUMBER_SHIFT != handle >> NUMBER_SHIFT) return NULL;
  SB_PRIV_STEP(SB_PRIV_STEP_LOOK, &it->pool);
  sb_pool *pool = atomic_load_explicit(&it->pool, memory_order_acquire);
  /* A pool lies there only after the word has got the number it goes with. */
  SB_PRIV_STEP(SB_PRIV_STEP_LOOK, it);
  return atomic_load_explicit(&it->word, memory_order_acquire) >> NUMBER_SHIFT == handle >> NUMBER_SHIFT ? pool : NULL;
}

/* A block from the magazine of the calling thread, or NULL. */
static inline void *get_quickly(uint64_t handle, size_t size) {
  sb_priv_item item = {NULL, NULL};
  sb_priv_gate *gate = sb_priv_thread_own;
  if (sb_priv_thread_enter(gate)) {
    const sb_pool *pool = pool_now(handle);
    const size_t hint = SB_PRIV_SIZE_HINT(size);
    if (SB_PRIV_LIKELY(pool != NULL && hint < SB_PRIV_CLASS_HINTS)) {
      SB_PRIV_STEP(SB_PRIV_STEP_LOOK, &pool->lock);
      (void)sb_priv_magazine_pop(sb_priv_thread_magazine(gate, sb_priv_quick_at(pool, size, hint)), SB_PRIV_BLOCK_OUT, &item);
    }
  }
  sb_priv_thread_leave(gate);
  return item.data;
}

sb_status sb_pool_handle_get(uint64_t handle, size_t size, void **data) {
  if (data == NULL) return SB_INVALID_ARGUMENT;
  void *quick = get_quickly(handle, size);
  if (SB_PRIV_LIKELY(quick != NULL)) {
    *data = quick;
    return SB_OK;
  }
  entry *it = NULL;
  sb_status status = handle_enter(handle, &it);
  if (status != SB_OK) return status;
  SB_PRIV_STEP(SB_PRIV_STEP_LOOK, &it->pool);
  status = sb_pool_get(atomic_load_explicit(&it->pool, memory_order_relaxed), size, data);
  handle_leave(it);
  return status;
}

sb_status sb_pool_handle_put(uint64_t handle, void *data) {
  sb_pool *pool = pool_now(handle);
  if (SB_PRIV_LIKELY(pool != NULL)) return sb_pool_put(pool, data);
  entry *it = NULL;
  sb_status status = handle_enter(handle, &it);
  if (status == SB_CLOSED) return sb_pool_put(NULL, data);
  if (status != SB_OK) return status;
  SB_PRIV_STEP(SB_PRIV_STEP_LOOK, &it->pool);
  status = sb_pool_put(atomic_load_explicit(&it->pool, memory_order_relaxed), data);
  handle_leave(it);
  return status;
}

/* ---- coming and going ---- */

static uint64_t random_number(void) {
  uint64_t number = 0;
  int state = 0;
  (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* the lock is held */
  const ssize_t got = getrandom(&number, sizeof number, GRND_NONBLOCK);
  (void)pthread_setcancelstate(state, &state);
  if (got == (ssize_t)sizeof number) return number;
  struct timespec now = {.tv_sec = 0};
  (void)clock_gettime(CLOCK_REALTIME, &now); /* too early after the start of the system */
  return ((uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15u) ^ (uintptr_t)&number;
}

/* An entry that nobody uses; NULL if there is none, or no memory. */
static entry *entry_take(void) {
  entry *entries = atomic_load(&table);
  if (entries == NULL) {
    entries = sb_priv_map_memory(HANDLES_MAX * sizeof *entries);
    if (entries == NULL) return NULL;
    atomic_store_explicit(&table, entries, memory_order_release);
  }
  if (free_first < HANDLES_MAX) {
    entry *it = &entries[free_first];
    free_first = it->next_free;
    return it;
  }
  if (used_count == HANDLES_MAX) return NULL;
  entry *it = &entries[used_count++];
  atomic_store(&it->word, random_number() << NUMBER_SHIFT);
  return it;
}

sb_status sb_pool_handle(sb_pool *pool, uint64_t *handle) {
  if (pool == NULL || handle == NULL) return SB_INVALID_ARGUMENT;
  sb_priv_lock(&handles_lock);
  entry *it = entry_take();
  if (it != NULL) {
    (void)atomic_fetch_add(&pool->handle_count, 1);
    SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, &it->pool);
    atomic_store(&it->pool, pool);
    SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, it);
    (void)atomic_fetch_and(&it->word, ~(uint64_t)CLOSED);
    const uint64_t number = atomic_load(&it->word) >> NUMBER_SHIFT;
    *handle = number << NUMBER_SHIFT | (uint64_t)(it - atomic_load(&table));
  }
  sb_priv_unlock(&handles_lock);
  return it != NULL ? SB_OK : SB_NO_MEMORY;
}

sb_status sb_pool_handle_free(uint64_t handle) {
  sb_priv_lock(&handles_lock);
  entry *it = entry_of(handle);
  uint64_t word = it == NULL ? 0 : atomic_load(&it->word);
  sb_pool *pool = it == NULL ? NULL : atomic_load(&it->pool);
  const bool found = it != NULL && word >> NUMBER_SHIFT == handle >> NUMBER_SHIFT && (pool != NULL || (word & CLOSED) != 0);
  if (found) {
    SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, it);
    (void)atomic_fetch_add(&it->word, (uint64_t)1 << NUMBER_SHIFT);
    wait_for_users(it);
    if (pool != NULL) (void)atomic_fetch_sub(&pool->handle_count, 1);
    SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, &it->pool);
    atomic_store(&it->pool, NULL);
    SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, it);
    (void)atomic_fetch_and(&it->word, ~(uint64_t)CLOSED);
    it->next_free = free_first;
    free_first = (uint32_t)(it - atomic_load(&table));
  }
  sb_priv_unlock(&handles_lock);
  return found ? SB_OK : SB_NOT_FOUND;
}

void sb_priv_pool_handles_close(sb_pool *pool) {
  if (atomic_load(&pool->handle_count) == 0) return;
  sb_priv_lock(&handles_lock);
  entry *entries = atomic_load(&table);
  for (uint32_t i = 0; i < used_count; i++) {
    if (atomic_load(&entries[i].pool) != pool) continue;
    SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, &entries[i]);
    (void)atomic_fetch_or(&entries[i].word, CLOSED);
    wait_for_users(&entries[i]);
    SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, &entries[i].pool);
    atomic_store(&entries[i].pool, NULL);
  }
  atomic_store(&pool->handle_count, 0);
  sb_priv_unlock(&handles_lock);
}

void sb_priv_pool_handles_lock(void) { sb_priv_lock(&handles_lock); }

void sb_priv_pool_handles_unlock(bool in_child) {
  entry *entries = atomic_load(&table);
  for (uint32_t i = 0; in_child && i < used_count; i++)
    (void)atomic_fetch_and(&entries[i].word, ~(uint64_t)USERS); /* those threads are gone */
  sb_priv_unlock(&handles_lock);
}
