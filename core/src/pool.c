//go:build !samebytes_shared

/* The functions of pool.h, and the ways through them that need no lock: get and put use the magazine of the calling thread, and go on to
 * pool_depot.c when that is empty or full.
 *
 * A put finds pool, class and state of a block from its address (pool_slab.c), so it can't be told a wrong size, and refuses what is no block or
 * is back already. Two threads that put the same block in the same instant may both succeed, and the block is in two magazines then. Who
 * takes one from a magazine looks at it again, so it is normally handed out once, but twice if both copies are taken in the same instant,
 * or if one is left when the memory has become a slab again. Whoever needs more uses trace, poison_on_put or guard_pages: puts take the lock.
 *
 * A pool that has been closed lives until its last block is back. Its structure is recycled but never freed, as headers of slabs are,
 * because a wrong put may lock the pool of a slab that goes away at the same moment. */

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "error_private.h"
#include "options.h"
#include "pool_private.h"
#include "steps.h"

#define POISON 0xDB
#define GUARDED_LARGE_KEPT 64 /* addresses of larger blocks that are nobody's, after a put */

static const sb_pool_class default_classes[] = {{512, 4096}, {4096, 1024}, {16384, 256}, {65536, 64}, {1048576, 8}}; /* about 24 MiB */

/* ---- all pools, and fork ---- */

/* Locks are taken in this order: default_lock, that of handles, pools_lock, a pool's lock, the locks of threads and of slabs. */
static pthread_mutex_t default_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static sb_pool *open_pools;
static sb_pool *free_pools;
static sb_pool *all_pools; /* both, by next_made: a fork locks them in this order, which never changes */
static bool slots_used[SB_PRIV_SLOTS];
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* The child of a fork gets locks that nobody holds, lists that nobody was changing, and what the threads that it does not have kept. */
static void fork_prepare(void) {
  sb_priv_lock(&default_lock);
  sb_priv_pool_handles_lock();
  sb_priv_lock(&pools_lock);
  for (sb_pool *pool = all_pools; pool != NULL; pool = pool->next_made)
    sb_priv_lock(&pool->lock); /* of a free one somebody may find that out */
  sb_priv_thread_revoke_all();
  sb_priv_slab_lock();
}

/* Takes a pool from the list of open ones; what it needs to trace is returned, to be closed without the lock. */
static struct sb_priv_tracing *pool_unlist(sb_pool *pool) {
  assert(pool->retired && pool->taken == 0 && pool->bytes_held == 0 && pool->caches == NULL);
  struct sb_priv_tracing *traces = pool->traces;
  pool->traces = NULL;
  if (pool->slot < SB_PRIV_SLOTS) slots_used[pool->slot] = false;
  if (pool->previous != NULL) pool->previous->next = pool->next;
  if (pool->next != NULL) pool->next->previous = pool->previous;
  if (open_pools == pool) open_pools = pool->next;
  pool->next = free_pools;
  free_pools = pool;
  return traces;
}

/* A pool in the list that is retired and has no blocks is on its way in or out. Its thread is not in the child. */
static void pools_left_recycle(void) {
  for (sb_pool *next, *pool = open_pools; pool != NULL; pool = next) {
    next = pool->next;
    if (pool->retired && pool->taken == 0) sb_priv_tracing_close(pool_unlist(pool));
  }
}

static void fork_done(bool in_child) {
  sb_priv_slab_unlock();
  sb_priv_thread_restore_all(in_child);
  for (sb_pool *pool = all_pools; pool != NULL; pool = pool->next_made) sb_priv_unlock(&pool->lock);
  if (in_child) pools_left_recycle();
  sb_priv_unlock(&pools_lock);
  sb_priv_pool_handles_unlock(in_child);
  sb_priv_unlock(&default_lock);
}

static void fork_done_in_parent(void) { fork_done(false); }

static void fork_done_in_child(void) { fork_done(true); }

static void fork_watch(void) { (void)pthread_atfork(fork_prepare, fork_done_in_parent, fork_done_in_child); }

static uint32_t slot_get(void) {
  uint32_t slot = 0;
  while (slot < SB_PRIV_SLOTS && slots_used[slot]) slot++;
  if (slot < SB_PRIV_SLOTS) slots_used[slot] = true;
  return slot;
}

/* Adds a pool, which has a lock and a slot but is empty otherwise, to the list of open ones. */
static sb_pool *pool_make(void) {
  (void)pthread_once(&fork_once, fork_watch);
  sb_priv_lock(&pools_lock);
  sb_pool *pool = free_pools;
  if (pool != NULL) {
    free_pools = pool->next;
  } else {
    pool = aligned_alloc(SB_PRIV_CACHE_LINE, sizeof *pool);
    if (pool != NULL) {
      memset(pool, 0, sizeof *pool);
      pool->retired = true; /* until it is open */
      (void)pthread_mutex_init(&pool->lock, NULL);
      pool->next_made = all_pools;
      all_pools = pool;
    }
  }
  if (pool != NULL) {
    pool->slot = slot_get();
    pool->previous = NULL;
    pool->next = open_pools;
    if (open_pools != NULL) open_pools->previous = pool;
    open_pools = pool;
  }
  sb_priv_unlock(&pools_lock);
  return pool;
}

/* The opposite of pool_make. The pool is retired and has no blocks. */
static void pool_recycle(sb_pool *pool) {
  sb_priv_lock(&pools_lock);
  struct sb_priv_tracing *traces = pool_unlist(pool);
  sb_priv_unlock(&pools_lock);
  sb_priv_tracing_close(traces);
}

/* ---- get ---- */

static uint32_t class_of_any(const sb_pool *pool, size_t size) {
  const size_t hint = SB_PRIV_SIZE_HINT(size);
  return sb_priv_class_of(pool, size, hint < SB_PRIV_CLASS_HINTS ? hint : SB_PRIV_CLASS_HINTS - 1);
}

/* The quick way: false if the thread may not use its magazine now, or there is nothing in it. The block is not zeroed. A slot belongs to a
 * pool until that is recycled, so what a thread has there is the pool's own, or empty and without capacity.
 *
 * Here and in put_quickly each way out leaves by itself, so that the one that is taken as a rule has no jump in it: on a processor of
 * today a jump that is taken costs more than a load. */
static inline bool take_quickly(uint32_t magazine_at, uint8_t state, sb_priv_item *item) {
  sb_priv_gate *gate = sb_priv_thread_own;
  if (SB_PRIV_LIKELY(sb_priv_thread_enter(gate) && sb_priv_magazine_pop(sb_priv_thread_magazine(gate, magazine_at), state, item))) {
    sb_priv_thread_leave(gate);
    return true;
  }
  sb_priv_thread_leave(gate);
  return false;
}

/* Takes a block of at least `size` bytes, and gives it `state`. */
static sb_status take(sb_pool *pool, size_t size, uint8_t state, sb_priv_record **record) {
  assert(size > 0 && size <= SB_BLOCK_SIZE_MAX);
  const uint32_t class_index = class_of_any(pool, size);
  const uint32_t magazine_at = sb_priv_class_at(pool, class_index);
  bool zero = false;
  sb_status status = SB_OK;
  sb_priv_item item = {NULL, NULL};
  if (!SB_PRIV_LIKELY(take_quickly(magazine_at, state, &item))) {
    sb_priv_gate *gate = sb_priv_thread_own;
    if (sb_priv_thread_enter_exchanging(gate)) (void)sb_priv_magazine_pop(sb_priv_thread_magazine(gate, magazine_at), state, &item);
    sb_priv_thread_leave(gate);
  }
  *record = item.record;
  if (!SB_PRIV_LIKELY(item.record != NULL)) {
    sb_priv_thread *thread = sb_priv_thread_open();
    sb_priv_lock(&pool->lock);
    status = sb_priv_depot_take(pool, thread, class_index, size, state, record, &zero);
    sb_priv_unlock(&pool->lock);
  }
  if (status != SB_OK) {
    atomic_fetch_add_explicit(&pool->failures, 1, memory_order_relaxed);
  } else if (pool->zero_on_get && !zero) {
    memset((*record)->block.data, 0, (*record)->block.size);
  }
  return status;
}

/* Notes where a block was taken, in a pool that traces, and gives it `state`. `caller` is where the function of the API returns to, or NULL. */
static void trace(sb_pool *pool, sb_priv_record *record, uint8_t state, const void *caller) {
  sb_priv_frames frames;
  sb_priv_frames_take(&frames, caller);
  sb_priv_lock(&pool->lock);
  sb_priv_trace_note(pool->traces, record, &frames);
  sb_priv_record_set(record, state);
  sb_priv_unlock(&pool->lock);
}

#define CALLER __builtin_extract_return_addr(__builtin_return_address(0))

/* What sb_pool_get does where the quick way is not enough: apart, so that the quick way saves no registers. */
static __attribute__((noinline)) sb_status get_slowly(sb_pool *pool, size_t size, const void *caller, void **data) {
  if (pool == NULL || data == NULL) return SB_INVALID_ARGUMENT;
  if (size == 0 || size > SB_BLOCK_SIZE_MAX) {
    atomic_fetch_add_explicit(&pool->failures, 1, memory_order_relaxed);
    return SB_INVALID_ARGUMENT;
  }
  sb_priv_record *record;
  const bool traced = pool->traces != NULL; /* then it is out when that is noted: nobody puts it before, by an address of long ago */
  const sb_status status = take(pool, size, traced ? SB_PRIV_BLOCK_LEAVING : SB_PRIV_BLOCK_OUT, &record);
  if (status != SB_OK) return status;
  if (traced) trace(pool, record, SB_PRIV_BLOCK_OUT, caller);
  *data = record->block.data;
  return SB_OK;
}

sb_status sb_pool_get(sb_pool *pool, size_t size, void **data) {
  const size_t hint = SB_PRIV_SIZE_HINT(size); /* beyond all for 0 */
  if (!SB_PRIV_LIKELY(pool != NULL)) goto slowly;
  if (!SB_PRIV_LIKELY(data != NULL && hint < SB_PRIV_CLASS_HINTS)) goto slowly;
  sb_priv_item item;
  if (!SB_PRIV_LIKELY(take_quickly(sb_priv_quick_at(pool, size, hint), SB_PRIV_BLOCK_OUT, &item))) goto slowly;
  *data = item.data;
  return SB_OK;
slowly:
  return get_slowly(pool, size, CALLER, data);
}

/* Takes `count` blocks from the magazine of the calling thread into `blocks`: all, or none because there are too few. */
static inline bool take_many_quickly(uint32_t magazine_at, size_t count, void **blocks) {
  size_t done = 0;
  sb_priv_gate *gate = sb_priv_thread_own;
  if (sb_priv_thread_enter(gate)) {
    sb_priv_magazine *magazine = sb_priv_thread_magazine(gate, magazine_at);
    SB_PRIV_FORGET(magazine);
    const uint64_t counts = sb_priv_magazine_counts(magazine), filled = counts & SB_PRIV_MAGAZINE_FILLED;
    const uint64_t bytes = count * sizeof(sb_priv_item);
    if (SB_PRIV_LIKELY(filled >= bytes)) {
      const sb_priv_item *items = sb_priv_magazine_item(magazine, filled - bytes);
      for (; done < count; done++) {
        const sb_priv_item item = items[done];
        if (!SB_PRIV_LIKELY(sb_priv_item_valid(item))) break;
        sb_priv_record_set(item.record, SB_PRIV_BLOCK_OUT);
        blocks[done] = item.data;
      }
      if (SB_PRIV_LIKELY(done == count)) {
        sb_priv_magazine_set_counts(magazine, counts + ((uint64_t)count << SB_PRIV_MAGAZINE_TAKEN) - bytes);
      } else {
        for (size_t i = 0; i < done; i++) sb_priv_record_set(items[i].record, SB_PRIV_BLOCK_CACHED);
      }
    }
  }
  sb_priv_thread_leave(gate);
  return done == count;
}

/* What sb_pool_get_many does where the quick way is not enough: one after the other, and back again if one fails. */
static __attribute__((noinline)) sb_status get_many_slowly(sb_pool *pool, size_t size, size_t count, const void *caller, void **blocks) {
  void *got[SB_POOL_MANY_MAX]; /* `blocks` is written on success only */
  if (pool == NULL || (blocks == NULL && count > 0) || count > SB_POOL_MANY_MAX) return SB_INVALID_ARGUMENT;
  for (size_t i = 0; i < count; i++) {
    const sb_status status = get_slowly(pool, size, caller, &got[i]);
    if (status != SB_OK) {
      /* One by one: another thread may have put one of them, by an address of long ago. */
      for (size_t j = 0; j < i; j++) (void)!sb_pool_put(pool, got[j]);
      return status;
    }
  }
  if (count > 0) memcpy(blocks, got, count * sizeof *got);
  return SB_OK;
}

sb_status sb_pool_get_many(sb_pool *pool, size_t size, size_t count, void *blocks[]) {
  const size_t hint = SB_PRIV_SIZE_HINT(size); /* beyond all for 0 */
  if (SB_PRIV_LIKELY(pool != NULL && blocks != NULL && hint < SB_PRIV_CLASS_HINTS && count <= SB_PRIV_MAGAZINE_MAX &&
                     take_many_quickly(sb_priv_quick_at(pool, size, hint), count, blocks)))
    return SB_OK;
  return get_many_slowly(pool, size, count, CALLER, blocks);
}

/* ---- put ---- */

/* Puts a block whose state has been checked into the magazine of the calling thread, which has entered; false if there is no room. */
static inline bool put_into_magazine(sb_priv_gate *gate, sb_priv_slab *slab, void *data, sb_priv_record *record, uint8_t state) {
  const uint32_t magazine_at = atomic_load_explicit(&slab->magazine_at, memory_order_relaxed);
  return sb_priv_magazine_push(sb_priv_thread_magazine(gate, magazine_at), data, record, state);
}

/* The quick way: false if the thread may not use its magazine now, or there is no room in it. */
static inline bool put_quickly(sb_priv_slab *slab, void *data, sb_priv_record *record, uint8_t state) {
  sb_priv_gate *gate = sb_priv_thread_own;
  if (SB_PRIV_LIKELY(sb_priv_thread_enter(gate) && put_into_magazine(gate, slab, data, record, state))) {
    sb_priv_thread_leave(gate);
    return true;
  }
  sb_priv_thread_leave(gate);
  return false;
}

/* Puts the block at `data` if it is in `state`, with the lock. The slab was found before, and is asked again under it. */
static sb_status put_with_lock(sb_pool *pool, sb_priv_slab *slab, const void *data, uint8_t state) {
  assert(slab != NULL);
  sb_priv_thread *thread = sb_priv_thread_open();
  sb_priv_lock(&pool->lock);
  sb_priv_record *record = NULL;
  const bool ours = sb_priv_slab_find(data) == slab && atomic_load(&slab->pool) == pool && sb_priv_slab_record(slab, data, &record);
  if (!ours || sb_priv_record_state(record) != state || (pool->traces != NULL && record->place == NULL)) {
    sb_priv_unlock(&pool->lock);
    atomic_fetch_add_explicit(&pool->refused_puts, 1, memory_order_relaxed);
    return SB_INVALID_ARGUMENT;
  }
  if (pool->traces != NULL) sb_priv_trace_forget(record);
  if (pool->poison_on_put || pool->guard_pages) {
    sb_priv_record_set(record, SB_PRIV_BLOCK_LEAVING); /* nobody gets or puts it while this is done without the lock */
    sb_priv_unlock(&pool->lock);
    if (pool->guard_pages) {
      sb_priv_slab_guard(slab);
    } else {
      memset(record->block.data, POISON, record->block.size);
    }
    sb_priv_lock(&pool->lock);
  }
  const bool last = sb_priv_depot_put(pool, thread, record, state);
  sb_priv_unlock(&pool->lock);
  if (last) pool_recycle(pool);
  return SB_OK;
}

/* What a put does where the quick way failed: apart, so that the quick way saves no registers. */
static __attribute__((noinline)) sb_status put_slowly(sb_pool *pool, sb_priv_slab *slab, void *data, uint8_t state) {
  if (pool == NULL) return SB_INVALID_ARGUMENT; /* the slab went away since it was found */
  sb_priv_record *record = NULL;
  sb_priv_gate *gate = sb_priv_thread_own;
  const bool done = sb_priv_thread_enter_exchanging(gate) && sb_priv_slab_record(slab, data, &record) &&
                    sb_priv_record_state(record) == state && put_into_magazine(gate, slab, data, record, state);
  sb_priv_thread_leave(gate);
  return done ? SB_OK : put_with_lock(pool, slab, data, state);
}

static __attribute__((cold)) sb_status refuse_put(sb_pool *pool) {
  if (pool != NULL) atomic_fetch_add_explicit(&pool->refused_puts, 1, memory_order_relaxed);
  return SB_INVALID_ARGUMENT;
}

sb_status sb_pool_put(sb_pool *pool, void *data) {
  sb_priv_slab *slab = sb_priv_slab_find(data);
  if (slab == NULL) return refuse_put(pool);
  sb_pool *owner = atomic_load_explicit(&slab->pool, memory_order_acquire);
  if (pool != NULL && pool != owner) return refuse_put(pool);
  sb_priv_record *record;
  if (!sb_priv_slab_record(slab, data, &record) || sb_priv_record_state(record) != SB_PRIV_BLOCK_OUT) return refuse_put(owner);
  if (SB_PRIV_LIKELY(put_quickly(slab, data, record, SB_PRIV_BLOCK_OUT))) return SB_OK;
  return put_slowly(owner, slab, data, SB_PRIV_BLOCK_OUT);
}

/* Undoes the first `count` steps of put_many_quickly or mark_leaving, after which they are in `state`. A block that is not was put by another
 * thread in the same instant. */
static void mark_out(void *const *blocks, size_t count, uint8_t state) {
  for (size_t i = 0; i < count; i++) {
    sb_priv_record *record = NULL;
    sb_priv_slab *slab = sb_priv_slab_find(blocks[i]);
    if (slab != NULL && sb_priv_slab_record(slab, blocks[i], &record)) (void)sb_priv_record_exchange(record, state, SB_PRIV_BLOCK_OUT);
  }
}

/* Puts the first of `blocks` into the room behind a magazine's items: as many as lie in one slab and are out, which that slab says of them. A
 * block counts as back as soon as it was looked at, so one that stands there twice is wrong as well. */
static inline size_t put_many_of_slab(const sb_priv_slab *slab, void *const *blocks, size_t count, sb_priv_item *items) {
  const sb_priv_slab_view view = sb_priv_slab_look(slab);
  size_t done = 0;
  for (; done < count; done++) {
    sb_priv_record *record;
    void *data = blocks[done];
    if (!SB_PRIV_LIKELY((uintptr_t)data - view.data < SB_PRIV_SLAB_ALIGNMENT)) break;
    if (!SB_PRIV_LIKELY(sb_priv_slab_view_record(&view, data, &record))) break;
    if (!SB_PRIV_LIKELY(sb_priv_record_state(record) == SB_PRIV_BLOCK_OUT)) break;
    sb_priv_record_set(record, SB_PRIV_BLOCK_CACHED);
    items[done] = (sb_priv_item){data, record};
  }
  return done;
}

/* Puts blocks of one class into the magazine of the calling thread, which has entered: all, or none because it has no room or one is wrong. */
static inline bool put_many_into_magazine(sb_priv_gate *gate, const sb_pool *pool, sb_priv_slab *slab, void *const *blocks, size_t count) {
  const uint32_t magazine_at = atomic_load_explicit(&slab->magazine_at, memory_order_relaxed);
  const sb_pool *owner = atomic_load_explicit(&slab->pool, memory_order_acquire);
  sb_priv_magazine *magazine = sb_priv_thread_magazine(gate, magazine_at);
  SB_PRIV_FORGET(magazine);
  const uint64_t counts = sb_priv_magazine_counts(magazine), filled = counts & SB_PRIV_MAGAZINE_FILLED;
  const uint64_t bytes = count * sizeof(sb_priv_item);
  if (owner == NULL || (pool != NULL && pool != owner) || filled + bytes > magazine->capacity) return false;
  sb_priv_item *items = sb_priv_magazine_item(magazine, filled);
  size_t done = 0;
  for (;;) {
    const size_t more = put_many_of_slab(slab, blocks + done, count - done, items + done);
    done += more;
    if (SB_PRIV_LIKELY(done == count)) {
      sb_priv_magazine_set_counts(magazine, counts + bytes);
      return true;
    }
    if (more == 0) break;
    slab = sb_priv_slab_find(blocks[done]);
    if (slab == NULL || atomic_load_explicit(&slab->magazine_at, memory_order_relaxed) != magazine_at ||
        atomic_load_explicit(&slab->pool, memory_order_relaxed) != owner)
      break;
  }
  mark_out(blocks, done, SB_PRIV_BLOCK_CACHED);
  return false;
}

static inline bool put_many_quickly(const sb_pool *pool, void *const *blocks, size_t count) {
  sb_priv_slab *slab = sb_priv_slab_find(blocks[0]);
  if (slab == NULL) return false;
  sb_priv_gate *gate = sb_priv_thread_own;
  const bool done = sb_priv_thread_enter(gate) && put_many_into_magazine(gate, pool, slab, blocks, count);
  sb_priv_thread_leave(gate);
  return done;
}

/* Makes sure that all blocks are out, and nobody else's to put. */
static sb_status mark_leaving(sb_pool *pool, void *const *blocks, size_t count) {
  for (size_t i = 0; i < count; i++) {
    sb_priv_record *record = NULL;
    sb_priv_slab *slab = sb_priv_slab_find(blocks[i]);
    sb_pool *owner = slab == NULL ? NULL : atomic_load_explicit(&slab->pool, memory_order_acquire);
    if (owner == NULL || (pool != NULL && pool != owner) || !sb_priv_slab_record(slab, blocks[i], &record) ||
        !sb_priv_record_exchange(record, SB_PRIV_BLOCK_OUT, SB_PRIV_BLOCK_LEAVING)) {
      mark_out(blocks, i, SB_PRIV_BLOCK_LEAVING);
      return refuse_put(owner != NULL && pool == NULL ? owner : pool);
    }
  }
  return SB_OK;
}

/* Puts a block that mark_leaving marked. An error if another thread has put it all the same, by a quick way that saw it before the mark. */
static sb_status put_leaving(void *data) {
  sb_priv_record *record = NULL;
  sb_priv_slab *slab = sb_priv_slab_find(data);
  if (slab == NULL) return SB_INVALID_ARGUMENT;
  sb_pool *owner = atomic_load_explicit(&slab->pool, memory_order_acquire);
  if (!sb_priv_slab_record(slab, data, &record) || sb_priv_record_state(record) != SB_PRIV_BLOCK_LEAVING) return refuse_put(owner);
  if (put_quickly(slab, data, record, SB_PRIV_BLOCK_LEAVING)) return SB_OK;
  return put_slowly(owner, slab, data, SB_PRIV_BLOCK_LEAVING);
}

static __attribute__((noinline)) sb_status put_many_slowly(sb_pool *pool, void *const *blocks, size_t count) {
  if (count > SB_POOL_MANY_MAX || (blocks == NULL && count > 0)) return SB_INVALID_ARGUMENT;
  sb_status status = mark_leaving(pool, blocks, count);
  if (status != SB_OK) return status;
  for (size_t i = 0; i < count; i++) {
    const sb_status put = put_leaving(blocks[i]);
    if (put != SB_OK) status = put;
  }
  return status;
}

sb_status sb_pool_put_many(sb_pool *pool, void *const blocks[], size_t count) {
  if (SB_PRIV_LIKELY(blocks != NULL && count > 0 && count <= SB_PRIV_MAGAZINE_MAX && put_many_quickly(pool, blocks, count))) return SB_OK;
  return put_many_slowly(pool, blocks, count);
}

/* ---- the pool as a provider ---- */

static __attribute__((noinline)) sb_status memory_get_slowly(sb_pool *pool, size_t size, sb_priv_record **record) {
  const sb_status status = take(pool, size, SB_PRIV_BLOCK_COUNTED, record);
  if (status == SB_OK && pool->traces != NULL) trace(pool, *record, SB_PRIV_BLOCK_COUNTED, NULL);
  return status;
}

static sb_status pool_memory_get(sb_memory *memory, size_t size, sb_block **block) {
  sb_pool *pool = (sb_pool *)memory;
  sb_priv_item item = {NULL, NULL};
  const size_t hint = SB_PRIV_SIZE_HINT(size);
  if (!SB_PRIV_LIKELY(hint < SB_PRIV_CLASS_HINTS && take_quickly(sb_priv_quick_at(pool, size, hint), SB_PRIV_BLOCK_COUNTED, &item))) {
    const sb_status status = memory_get_slowly(pool, size, &item.record);
    if (status != SB_OK) return status;
  }
  sb_priv_record *record = item.record;
  atomic_store_explicit(&record->block.owners, 1, memory_order_relaxed);
  record->block.key = 0;
  record->block.metadata = NULL;
  *block = &record->block;
  return SB_OK;
}

static void pool_memory_put(sb_block *block) {
  sb_pool *pool = (sb_pool *)block->memory;
  sb_priv_record *record = (sb_priv_record *)block;
  assert(sb_priv_record_state(record) == SB_PRIV_BLOCK_COUNTED);
  if (SB_PRIV_LIKELY(put_quickly(sb_priv_slab_of(record), block->data, record, SB_PRIV_BLOCK_COUNTED))) return;
  const sb_status status = put_slowly(pool, sb_priv_slab_of(record), block->data, SB_PRIV_BLOCK_COUNTED);
  assert(status == SB_OK);
  (void)status;
}

/* The last handle has gone. Blocks may still be out. */
static void pool_memory_retire(sb_memory *memory) {
  sb_pool *pool = (sb_pool *)memory;
  sb_priv_lock(&pool->lock);
  const bool last = sb_priv_depot_retire(pool);
  sb_priv_unlock(&pool->lock);
  if (last) pool_recycle(pool);
}

static void pool_memory_count(sb_memory *memory, sb_memory_stats *stats) {
  sb_pool *pool = (sb_pool *)memory;
  sb_priv_lock(&pool->lock);
  sb_priv_depot_memory_stats(pool, stats);
  sb_priv_unlock(&pool->lock);
}

static const sb_priv_provider pool_provider = {
    .get = pool_memory_get, .put = pool_memory_put, .retire = pool_memory_retire, .count = pool_memory_count};

sb_status sb_pool_get_block(sb_pool *pool, size_t size, sb_block **block) {
  if (pool == NULL || block == NULL) return SB_INVALID_ARGUMENT;
  if (size == 0 || size > SB_BLOCK_SIZE_MAX) {
    atomic_fetch_add_explicit(&pool->failures, 1, memory_order_relaxed);
    return SB_INVALID_ARGUMENT;
  }
  return sb_priv_memory_reserve(&pool->memory, size, block);
}

sb_status sb_pool_memory(sb_pool *pool, sb_memory **memory) {
  if (pool == NULL || memory == NULL) return SB_INVALID_ARGUMENT;
  *memory = sb_memory_retain(&pool->memory);
  return SB_OK;
}

sb_status sb_pool_check_instance(const sb_pool *pool, sb_error *error) {
  if (pool == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "pool is NULL");
  return sb_priv_memory_check_image(&pool->memory, "pool", error);
}

int64_t sb_priv_pools_live_blocks(void) {
  sb_memory_stats stats = {.reserves = 0};
  sb_priv_lock(&pools_lock);
  for (sb_pool *pool = open_pools; pool != NULL; pool = pool->next) pool_memory_count(&pool->memory, &stats);
  sb_priv_unlock(&pools_lock);
  return (int64_t)(stats.reserves - stats.releases);
}

size_t sb_priv_default_class_size(size_t size) {
  for (size_t i = 0; i < sizeof default_classes / sizeof default_classes[0]; i++)
    if (size <= default_classes[i].block_size) return default_classes[i].block_size;
  return size;
}

sb_status sb_priv_pool_default(sb_pool **default_one) {
  static _Atomic(sb_pool *) default_pool;
  sb_pool *pool = atomic_load_explicit(&default_pool, memory_order_acquire);
  if (pool == NULL) {
    (void)pthread_once(&fork_once, fork_watch);
    sb_priv_lock(&default_lock);
    pool = atomic_load_explicit(&default_pool, memory_order_acquire);
    if (pool == NULL && sb_pool_open(NULL, &pool) == SB_OK) atomic_store_explicit(&default_pool, pool, memory_order_release);
    sb_priv_unlock(&default_lock);
    if (pool == NULL) return SB_NO_MEMORY; /* the next call tries again */
  }
  *default_one = pool;
  return SB_OK;
}

/* ---- open and close ---- */

void sb_pool_options_init(sb_pool_options *options, size_t struct_size) { sb_priv_options_init(options, struct_size); }

static int class_compare(const void *left, const void *right) {
  const uint32_t left_size = ((const sb_pool_class *)left)->block_size, right_size = ((const sb_pool_class *)right)->block_size;
  return (left_size > right_size) - (left_size < right_size);
}

/* Copies the options to `all`, with the defaults in place, and the classes, sorted, to `classes`; checks everything. */
static sb_status options_read(const sb_pool_options *options, sb_pool_options *all, sb_pool_class *classes) {
  sb_pool_options_init(all, sizeof *all);
  const sb_status status = sb_priv_options_read(all, sizeof *all, options, SB_PRIV_OPTIONS_1_0(sb_pool_options, thread_bytes_max));
  if (status != SB_OK) return status;
  if (all->class_count == 0) {
    all->classes = default_classes;
    all->class_count = sizeof default_classes / sizeof default_classes[0];
  }
  if (all->classes == NULL || all->class_count > SB_POOL_CLASSES_MAX) return SB_INVALID_ARGUMENT;
  memcpy(classes, all->classes, all->class_count * sizeof *classes);
  qsort(classes, all->class_count, sizeof *classes, class_compare);
  for (uint32_t i = 0; i < all->class_count; i++) {
    if (classes[i].block_size == 0 || classes[i].block_size > SB_BLOCK_SIZE_MAX) return SB_INVALID_ARGUMENT;
    if (i > 0 && classes[i].block_size == classes[i - 1].block_size) return SB_INVALID_ARGUMENT;
  }
  if (all->alignment > SB_POOL_ALIGNMENT_MAX || (all->alignment & (all->alignment - 1)) != 0) return SB_INVALID_ARGUMENT;
  if (all->alignment < SB_PRIV_BLOCK_ALIGNMENT_MIN) all->alignment = SB_PRIV_BLOCK_ALIGNMENT_MIN;
  if (all->bytes_max == 0) all->bytes_max = UINT64_MAX;
  if (all->name == NULL) all->name = "";
  return strlen(all->name) < sizeof((sb_pool *)NULL)->name ? SB_OK : SB_INVALID_ARGUMENT;
}

/* Sets what gets read without the lock. */
static void set_quick(sb_pool *pool, const sb_pool_class *classes, bool quick) {
  atomic_store_explicit(&pool->magazines_at, sb_priv_magazine_at(pool->slot, 0), memory_order_relaxed);
  uint32_t block_sizes[SB_POOL_CLASSES_MAX + 1];
  for (uint32_t i = 0; i <= SB_POOL_CLASSES_MAX; i++) {
    block_sizes[i] = i < pool->class_count ? classes[i].block_size : UINT32_MAX;
    atomic_store_explicit(&pool->block_sizes[i], block_sizes[i], memory_order_relaxed);
  }
  for (uint32_t hint = 0, index = 0; hint < SB_PRIV_CLASS_HINTS; hint++) {
    while (block_sizes[index] < hint * 256 + 1) index++;
    const bool whole = hint < SB_PRIV_CLASS_HINTS - 1 && block_sizes[index] >= (hint + 1) * 256;
    const uint32_t at = !quick ? sb_priv_magazine_at(SB_PRIV_SLOTS, 0) : whole ? sb_priv_magazine_at(pool->slot, index) : 0;
    atomic_store_explicit(&pool->class_hints[hint], (uint8_t)index, memory_order_relaxed);
    atomic_store_explicit(&pool->quick_at[hint], at, memory_order_relaxed);
  }
}

sb_status sb_pool_open(const sb_pool_options *options, sb_pool **pool) {
  if (pool == NULL) return SB_INVALID_ARGUMENT;
  sb_pool_options all;
  sb_pool_class classes[SB_POOL_CLASSES_MAX];
  const sb_status status = options_read(options, &all, classes);
  if (status != SB_OK) return status;
  struct sb_priv_tracing *traces = all.trace ? sb_priv_tracing_open() : NULL;
  sb_pool *made = all.trace && traces == NULL ? NULL : pool_make();
  if (made == NULL) {
    sb_priv_tracing_close(traces);
    return SB_NO_MEMORY;
  }
  sb_priv_lock(&made->lock); /* a wrong put may still look at what this structure was before */
  sb_priv_memory_init(&made->memory, &pool_provider);
  made->retired = false;
  atomic_store(&made->failures, 0);
  atomic_store(&made->refused_puts, 0);
  made->bytes_max = all.bytes_max;
  made->alignment = all.alignment;
  made->magazines_at = sb_priv_magazine_at(made->slot, 0);
  made->zero_on_get = all.zero_on_get;
  made->poison_on_put = all.poison_on_put;
  made->guard_pages = all.guard_pages;
  made->with_lock = all.poison_on_put || all.guard_pages || all.trace;
  made->traces = traces;
  made->thread_bytes_max = all.thread_bytes_max;
  atomic_store(&made->handle_count, 0);
  memcpy(made->name, all.name, strlen(all.name) + 1);
  made->class_count = all.class_count;
  memset(made->classes, 0, sizeof made->classes);
  for (uint32_t i = 0; i <= SB_POOL_CLASSES_MAX; i++) {
    const bool used = i < all.class_count;
    made->classes[i].block_size = used ? classes[i].block_size : 0;
    made->classes[i].kept_max = used ? classes[i].kept_max : all.guard_pages ? GUARDED_LARGE_KEPT : 0;
  }
  set_quick(made, classes, !all.zero_on_get && !all.trace);
  sb_priv_unlock(&made->lock);
  *pool = made;
  return SB_OK;
}

void sb_pool_close(sb_pool *pool) {
  if (pool == NULL) return;
  sb_priv_pool_handles_close(pool);
  sb_memory_close(&pool->memory);
}

void sb_pool_trim(sb_pool *pool) {
  if (pool == NULL) return;
  sb_priv_lock(&pool->lock);
  sb_priv_depot_shrink(pool, 0, true);
  sb_priv_unlock(&pool->lock);
}

/* ---- statistics ---- */

sb_status sb_pool_get_stats(sb_pool *pool, sb_pool_stats *stats) {
  if (pool == NULL || stats == NULL) return SB_INVALID_ARGUMENT;
  sb_priv_lock(&pool->lock);
  sb_pool_stats now = {
      .class_count = pool->class_count,
      .bytes_in_use = pool->bytes_large,
      .failures = atomic_load(&pool->failures),
      .refused_puts = atomic_load(&pool->refused_puts),
  };
  for (uint32_t i = 0; i <= pool->class_count; i++) {
    const sb_pool_class_stats class = sb_priv_depot_class_stats(pool, i);
    now.outstanding += class.outstanding;
    now.bytes_in_use += class.outstanding * class.block_size;
    now.bytes_kept += class.kept * class.block_size;
  }
  sb_priv_unlock(&pool->lock);
  return sb_priv_fill(stats, &now, sizeof now);
}

sb_status sb_pool_get_class_stats(sb_pool *pool, uint32_t index, sb_pool_class_stats *stats) {
  if (pool == NULL || stats == NULL) return SB_INVALID_ARGUMENT;
  if (index > pool->class_count) return SB_OUT_OF_RANGE;
  sb_priv_lock(&pool->lock);
  const sb_pool_class_stats now = sb_priv_depot_class_stats(pool, index);
  sb_priv_unlock(&pool->lock);
  return sb_priv_fill(stats, &now, sizeof now);
}

/* ---- where blocks were taken ---- */

sb_status sb_pool_tag(sb_pool *pool, void *data, const char *tag) {
  if (pool == NULL || tag == NULL) return SB_INVALID_ARGUMENT;
  if (pool->traces == NULL) return SB_UNSUPPORTED;
  sb_status status = SB_INVALID_ARGUMENT;
  sb_priv_record *record = NULL;
  sb_priv_lock(&pool->lock);
  sb_priv_slab *slab = sb_priv_slab_find(data);
  if (slab != NULL && atomic_load(&slab->pool) == pool && sb_priv_slab_record(slab, data, &record) && record->place != NULL)
    status = sb_priv_trace_tag(pool->traces, record, tag);
  sb_priv_unlock(&pool->lock);
  return status;
}

sb_status sb_pool_get_place(sb_pool *pool, size_t index, sb_pool_place *place) {
  if (pool == NULL || place == NULL) return SB_INVALID_ARGUMENT;
  if (pool->traces == NULL) return SB_UNSUPPORTED;
  sb_pool_place now;
  sb_priv_frames frames;
  sb_priv_lock(&pool->lock);
  const bool found = sb_priv_trace_get(pool->traces, index, &now, &frames);
  sb_priv_unlock(&pool->lock);
  if (!found) return SB_OUT_OF_RANGE;
  sb_priv_frames_name(&frames, now.calls, sizeof now.calls);
  return sb_priv_fill(place, &now, sizeof now);
}
