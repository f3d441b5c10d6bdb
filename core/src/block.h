#ifndef SB_BLOCK_H
#define SB_BLOCK_H

/* The layout of a block and of the head of a provider: who shares bytes counts owners on every span, where a call would cost more than the
 * work. memory.c owns both. */

#include <stdatomic.h>
#include <stdint.h>

#include <samebytes/memory.h>

#include "library_private.h"
#include "owners.h"
#include "steps.h"

/* A provider, as the core calls it. get may give a block of any size above 0, smaller or larger than `size`; callers that need more call
 * again, and callers that need one piece check. put takes back a block whose last owner has gone. retire frees the provider. All are
 * thread-safe but retire, which comes last.
 *
 * A provider with count counts by itself, and adds its counts to `stats` there; it keeps itself alive while blocks are out, so retire may come
 * before the last put. */
typedef struct sb_priv_provider {
  sb_status (*get)(sb_memory *memory, size_t size, sb_block **block);
  void (*put)(sb_block *block);
  void (*retire)(sb_memory *memory);
  void (*count)(sb_memory *memory, sb_memory_stats *stats); /* NULL: memory.c counts */
  sb_status (*failure)(sb_memory *memory, sb_error *error); /* the last one; SB_NOT_FOUND: none. NULL: it does not know */
} sb_priv_provider;

/* The part of every provider that memory.c knows; each provider's own structure starts with it. Owners are handles and blocks that are
 * out, those of a provider that counts by itself not included. */
struct sb_memory {
  const sb_priv_provider *provider;
  sb_priv_owners owners;
  _Atomic uint64_t reserves;
  _Atomic uint64_t releases;
  _Atomic uint64_t live_bytes;
  _Atomic uint64_t failures;
};

/* A block's header. It lies before the bytes or apart from them, as its provider likes. Invariant: a block that is out has owners > 0 and
 * keeps `memory` alive. */
struct sb_block {
  sb_priv_owners owners;
  uint32_t size;         /* bytes at data, above 0 */
  uint16_t next;         /* the provider's own, as token is */
  _Atomic uint8_t state; /* the provider's own */
  uint8_t *data;
  sb_memory *memory; /* the provider that put() is called on */
  uint64_t key;      /* metadata that travels with every slice; 0 with NULL where there is none */
  const void *metadata;
  void *token; /* the provider's own */
};

/* Gets one block of any size from `memory` for a caller who wants `size` bytes more, and counts it there. */
sb_status sb_priv_memory_reserve(sb_memory *memory, size_t size, sb_block **block);
/* Gives a block back whose owners have reached 0. */
void sb_priv_block_free(sb_block *block);
/* Adds to how many blocks are out, of providers that are no pools. */
void sb_priv_live_blocks_add(int64_t change);
/* How many those are. */
int64_t sb_priv_live_blocks(void);
/* Sets up what every provider starts with: one owner, no counts. */
void sb_priv_memory_init(sb_memory *memory, const sb_priv_provider *provider);
/* Another owner of `memory`, whose last handle may go at the same time; SB_CLOSED when it has gone. */
sb_status sb_priv_memory_open(sb_memory *memory, sb_memory **opened);
/* Counts a block that is out now at its provider, which does not count by itself. */
void sb_priv_block_count(const sb_block *block);
/* SB_UNSUPPORTED, and which images these are, when `memory` was made by another image of the library, in which the functions of its provider
 * lie. `what` is a word for the message. */
static inline sb_status sb_priv_memory_check_image(const sb_memory *memory, const char *what, sb_error *error) {
  return sb_priv_check_image(memory->provider, what, error);
}

static inline sb_block *sb_priv_block_retain(sb_block *block) {
  sb_priv_owners_add(&block->owners, 1);
  return block;
}

static inline void sb_priv_block_release(sb_block *block) {
  /* The last owner must see what the others wrote before the memory is used for something else. An only owner need not count down: nobody
   * else can become one, and counting costs more than the rest. */
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, block);
  if (atomic_load_explicit(&block->owners, memory_order_acquire) == 1 || sb_priv_owners_remove(&block->owners, 1))
    sb_priv_block_free(block);
}

/* Whether nobody but the asking owner can see the block. */
static inline bool sb_priv_block_exclusive(const sb_block *block) {
  return atomic_load_explicit(&block->owners, memory_order_acquire) == 1;
}

#endif
