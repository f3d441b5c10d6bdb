//go:build !samebytes_shared

/* What a pool does under its lock.
 *
 * A free block is in a thread's magazine, in a batch, or in a list of its slab. Threads exchange batches of blocks with the pool when their
 * magazines are empty or full, so that blocks which one thread gets and another puts find their way back; a batch is copied, and its blocks are
 * not touched.
 *
 * Invariants, per class: a slab with kept or fresh blocks is in the list for them; a slab all of whose blocks are fresh does not exist; taken
 * (the sum of out_count over the slabs) is what is out, in magazines, or in batches; kept + batched + reserved <= kept_max, where reserved is
 * the sum of the capacities of magazines, so that all threads together keep no more than the class may. */

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "pool_private.h"
#include "steps.h"

#define BATCHES_MAPPED 32 /* at a time: 16 KiB */

/* ---- what holds at the beginning and end of all that is done under the lock ---- */

#ifdef NDEBUG
static void cache_check(const sb_pool *pool, const sb_priv_cache *cache) { (void)pool, (void)cache; }
static void retired_check(const sb_pool *pool) { (void)pool; }
static void pool_check(const sb_pool *pool) { (void)pool; }
#else
/* Times: others wait for the lock, and the lists of slabs are long. Where somebody stops at each step it is each time. */
#define CLASSES_CHECKED_EACH 8
#define LISTS_CHECKED_EACH 64

/* Only the thread of a cache changes its counts without the lock, so they are not looked at here. */
static void cache_check(const sb_pool *pool, const sb_priv_cache *cache) {
  assert(atomic_load(&cache->pool) == pool && pool->slot < SB_PRIV_SLOTS);
  assert(cache == &cache->thread->caches[pool->slot] && cache->magazines == cache->thread->magazines[pool->slot]);
  assert(cache->next == NULL || cache->next->previous == cache);
  assert(cache->previous == NULL ? pool->caches == cache : cache->previous->next == cache);
  for (uint32_t i = 0; i <= pool->class_count; i++)
    assert(cache->magazines[i].capacity <= SB_PRIV_MAGAZINE_MAX * sizeof(sb_priv_item) &&
           (i < pool->class_count || cache->magazines[i].capacity == 0));
}

static void class_check_lists(const sb_priv_class *class) {
  uint64_t kept = 0;
  for (int list = 0; list < SB_PRIV_SLAB_LISTS; list++) {
    const sb_priv_slab *previous = NULL;
    for (const sb_priv_slab *slab = class->slabs[list]; slab != NULL; previous = slab, slab = slab->next[list]) {
      assert(slab->previous[list] == previous && &atomic_load(&slab->pool)->classes[slab->class_index] == class);
      assert(list == SB_PRIV_SLAB_HAS_KEPT ? slab->kept_count > 0 : slab->kept_count + slab->out_count < slab->block_count);
      assert(slab->out_count + slab->kept_count > 0);
      if (list == SB_PRIV_SLAB_HAS_KEPT) kept += slab->kept_count;
    }
    assert(class->slabs_last[list] == previous);
  }
  assert(class->kept == kept);
}

static void class_check(const sb_pool *pool, uint32_t index) {
  const sb_priv_class *class = &pool->classes[index];
  uint64_t capacity = 0, batched = 0;
  for (const sb_priv_cache *cache = pool->caches; cache != NULL; cache = cache->next)
    capacity += cache->magazines[index].capacity / sizeof(sb_priv_item);
  for (const sb_priv_bundle *batch = class->batches; batch != NULL; batch = batch->next) {
    assert(batch->count > 0 && batch->count <= SB_PRIV_BUNDLE_MAX);
    batched += batch->count;
  }
  assert(class->reserved == capacity && class->batched == batched);
  assert(class->kept + class->batched + class->reserved <= class->kept_max);
  assert(!pool->retired || class->reserved == 0);
}

/* A pool that was closed keeps nothing, and nobody has a cache of it. */
static void retired_check(const sb_pool *pool) {
  assert(pool->retired && pool->caches == NULL);
  for (uint32_t i = 0; i <= pool->class_count; i++) assert(pool->classes[i].kept == 0 && pool->classes[i].batched == 0);
  assert(pool->taken > 0 || pool->bytes_held == 0);
}

static void pool_check(const sb_pool *pool) {
  static _Thread_local uint32_t times;
  uint64_t taken = 0;
  assert(pool->bytes_held <= pool->bytes_max && pool->bytes_large_counted <= pool->bytes_large);
  if (times++ % CLASSES_CHECKED_EACH != 0 && sb_priv_step_hook == NULL) return;
  for (const sb_priv_cache *cache = pool->caches; cache != NULL; cache = cache->next) cache_check(pool, cache);
  for (uint32_t i = 0; i <= pool->class_count; i++) {
    class_check(pool, i);
    if (times % LISTS_CHECKED_EACH == 1) class_check_lists(&pool->classes[i]);
    taken += pool->classes[i].taken;
  }
  assert(pool->taken == taken);
}
#endif

/* ---- slabs of a class ---- */

static void list_add(sb_priv_class *class, int list, sb_priv_slab *slab) {
  sb_priv_slab *head = class->slabs[list];
  slab->previous[list] = NULL;
  slab->next[list] = head;
  if (head != NULL) head->previous[list] = slab;
  class->slabs[list] = slab;
  if (class->slabs_last[list] == NULL) class->slabs_last[list] = slab;
}

static void list_append(sb_priv_class *class, int list, sb_priv_slab *slab) {
  sb_priv_slab *last = class->slabs_last[list];
  if (last == NULL) {
    list_add(class, list, slab);
    return;
  }
  slab->previous[list] = last;
  slab->next[list] = NULL;
  last->next[list] = slab;
  class->slabs_last[list] = slab;
}

static void list_remove(sb_priv_class *class, int list, sb_priv_slab *slab) {
  sb_priv_slab *previous = slab->previous[list], *next = slab->next[list];
  if (previous != NULL) previous->next[list] = next;
  if (next != NULL) next->previous[list] = previous;
  if (class->slabs[list] == slab) class->slabs[list] = next;
  if (class->slabs_last[list] == slab) class->slabs_last[list] = previous;
}

static bool slab_has_fresh(const sb_priv_slab *slab) {
  return slab->fresh_first != SB_PRIV_BLOCK_NONE || slab->used_count < slab->block_count;
}

/* Unmaps a slab none of whose blocks is out or cached. Its kept blocks are no longer counted. */
static void slab_drop(sb_priv_class *class, sb_priv_slab *slab) {
  if (slab->kept_first != SB_PRIV_BLOCK_NONE) list_remove(class, SB_PRIV_SLAB_HAS_KEPT, slab);
  if (slab_has_fresh(slab)) list_remove(class, SB_PRIV_SLAB_HAS_FRESH, slab);
  class->slab_count--;
  sb_priv_slab_close(slab);
}

static void kept_push(const sb_pool *pool, sb_priv_class *class, sb_priv_record *record) {
  sb_priv_slab *slab = sb_priv_slab_of(record);
  if (slab->kept_first == SB_PRIV_BLOCK_NONE)
    (pool->guard_pages ? list_append : list_add)(class, SB_PRIV_SLAB_HAS_KEPT, slab); /* the oldest guarded one goes first */
  record->block.next = slab->kept_first;
  slab->kept_first = (uint16_t)(record - slab->records);
  slab->kept_count++;
  class->kept++;
  sb_priv_record_set(record, SB_PRIV_BLOCK_KEPT);
}

static void block_taken(sb_pool *pool, sb_priv_class *class, sb_priv_record *record) {
  sb_priv_slab_of(record)->out_count++;
  class->taken++;
  pool->taken++;
}

/* NULL when none is kept. */
static sb_priv_record *kept_pop(sb_pool *pool, sb_priv_class *class) {
  for (sb_priv_slab *slab; (slab = class->slabs[SB_PRIV_SLAB_HAS_KEPT]) != NULL;) {
    sb_priv_record *record = &slab->records[slab->kept_first];
    slab->kept_first = record->block.next;
    slab->kept_count--;
    class->kept--;
    if (slab->kept_first == SB_PRIV_BLOCK_NONE) list_remove(class, SB_PRIV_SLAB_HAS_KEPT, slab);
    if (SB_PRIV_LIKELY(sb_priv_record_state(record) == SB_PRIV_BLOCK_KEPT)) return record;
    block_taken(pool, class,
                record); /* it was put twice in the same instant, and the later one counts: it is in a magazine, or out again */
  }
  return NULL;
}

/* `*zero` says whether the block was never used. */
static sb_priv_record *fresh_pop(sb_pool *pool, sb_priv_class *class, sb_priv_slab *slab, bool *zero) {
  sb_priv_record *record;
  *zero = slab->fresh_first == SB_PRIV_BLOCK_NONE;
  if (*zero) {
    const uint32_t index = slab->used_count++;
    record = &slab->records[index];
    record->block.memory = &pool->memory;
    record->block.data = (uint8_t *)slab->data + slab->front + (size_t)index * slab->stride;
    record->block.size = slab->block_size;
    record->block.token = slab;
  } else {
    record = &slab->records[slab->fresh_first];
    slab->fresh_first = record->block.next;
  }
  if (!slab_has_fresh(slab)) list_remove(class, SB_PRIV_SLAB_HAS_FRESH, slab);
  return record;
}

/* Gives the memory of a block that is in no list back to the system. */
static void block_discard(sb_pool *pool, sb_priv_class *class, sb_priv_record *record) {
  sb_priv_slab *slab = sb_priv_slab_of(record);
  pool->bytes_held -= slab->block_size;
  if (!slab_has_fresh(slab)) list_add(class, SB_PRIV_SLAB_HAS_FRESH, slab);
  record->block.next = slab->fresh_first;
  slab->fresh_first = (uint16_t)(record - slab->records);
  sb_priv_record_set(record, SB_PRIV_BLOCK_FRESH);
  if (slab->out_count == 0 && slab->kept_count == 0) {
    slab_drop(class, slab);
  } else {
    sb_priv_slab_discard(slab, (uint32_t)(record - slab->records));
  }
}

static void kept_discard(sb_pool *pool, sb_priv_class *class) {
  sb_priv_record *record = kept_pop(pool, class);
  if (record != NULL) block_discard(pool, class, record);
}

/* Gives a block that was taken back to its slab, to be kept as far as the class may keep more. */
static void block_untaken(sb_pool *pool, sb_priv_class *class, sb_priv_record *record) {
  sb_priv_slab_of(record)->out_count--;
  class->taken--;
  pool->taken--;
  /* What is guarded is kept so that its addresses are nobody else's for a while, and never handed out again. */
  if (pool->guard_pages && class->kept > 0 && class->kept >= class->kept_max) kept_discard(pool, class);
  if (!pool->retired && class->kept + class->batched + class->reserved < class->kept_max) {
    kept_push(pool, class, record);
  } else {
    block_discard(pool, class, record);
  }
}

/* The same for a block from a magazine or batch. */
static void block_uncached(sb_pool *pool, sb_priv_class *class, sb_priv_record *record) {
  /* If it was put twice in the same instant it was cached twice, and the other one counts; that may be another pool's or class's by now. */
  if (sb_priv_record_state(record) != SB_PRIV_BLOCK_CACHED) return;
  const sb_priv_slab *slab = sb_priv_slab_of(record);
  if (atomic_load_explicit(&slab->pool, memory_order_relaxed) == pool && &pool->classes[slab->class_index] == class)
    block_untaken(pool, class, record);
}

/* ---- batches ---- */

static sb_priv_bundle *batch_get(sb_pool *pool) {
  if (pool->free_batches == NULL) {
    sb_priv_bundle *made = sb_priv_map_memory(BATCHES_MAPPED * sizeof *made);
    for (size_t i = 0; made != NULL && i < BATCHES_MAPPED; i++) {
      made[i].next = pool->free_batches;
      pool->free_batches = &made[i];
    }
  }
  sb_priv_bundle *batch = pool->free_batches;
  if (batch != NULL) pool->free_batches = batch->next;
  return batch;
}

/* Removes the first batch of a class. */
static void batch_pop(sb_pool *pool, sb_priv_class *class) {
  sb_priv_bundle *batch = class->batches;
  class->batches = batch->next;
  batch->next = pool->free_batches;
  pool->free_batches = batch;
}

/* Moves the blocks of all batches of a class to the slabs. */
static void batches_dissolve(sb_pool *pool, sb_priv_class *class) {
  for (sb_priv_bundle *batch; (batch = class->batches) != NULL; batch_pop(pool, class)) {
    class->batched -= batch->count;
    for (uint32_t i = 0; i < batch->count; i++) block_uncached(pool, class, batch->items[i].record);
  }
}

/* Gives blocks back to the system until the class keeps no more than `kept_max` outside of magazines. */
static void class_shrink(sb_pool *pool, sb_priv_class *class, uint64_t kept_max) {
  if (class->kept + class->batched > kept_max) batches_dissolve(pool, class);
  while (class->kept > kept_max) kept_discard(pool, class);
}

/* ---- magazines ---- */

/* Blocks that it may hold. */
static uint32_t magazine_capacity(const sb_priv_magazine *magazine) { return (uint32_t)(magazine->capacity / sizeof(sb_priv_item)); }

static void magazine_set_count(sb_priv_magazine *magazine, uint64_t count) {
  const uint64_t taken = sb_priv_magazine_counts(magazine) & ~(uint64_t)SB_PRIV_MAGAZINE_FILLED;
  sb_priv_magazine_set_counts(magazine, taken | count * sizeof(sb_priv_item));
}

/* Moves all blocks of a magazine to the slabs. */
static void magazine_empty(sb_pool *pool, sb_priv_class *class, sb_priv_magazine *magazine) {
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, magazine);
  const uint32_t count = sb_priv_magazine_count(magazine);
  magazine_set_count(magazine, 0);
  for (uint32_t i = 0; i < count; i++) block_uncached(pool, class, magazine->items[i].record);
}

/* Moves the lower half of a full magazine, which has been there longest, to a batch. */
static void magazine_relieve(sb_pool *pool, sb_priv_class *class, sb_priv_magazine *magazine) {
  const uint32_t count = sb_priv_magazine_count(magazine), half = magazine_capacity(magazine) / 2;
  const bool keep = class->kept + class->batched + class->reserved + half <= class->kept_max;
  sb_priv_bundle *batch = keep ? batch_get(pool) : NULL;
  if (batch != NULL) {
    memcpy(batch->items, magazine->items, half * sizeof(sb_priv_item));
    batch->count = half;
    batch->next = class->batches;
    class->batches = batch;
    class->batched += half;
  } else {
    for (uint32_t i = 0; i < half; i++) block_uncached(pool, class, magazine->items[i].record);
  }
  memmove(magazine->items, magazine->items + half, (count - half) * sizeof(sb_priv_item));
  magazine_set_count(magazine, count - half);
}

/* Fills an empty magazine up to its half with blocks that are kept. */
static void magazine_fill(sb_pool *pool, sb_priv_class *class, sb_priv_magazine *magazine) {
  const uint32_t half = magazine_capacity(magazine) / 2;
  uint32_t count = 0;
  sb_priv_bundle *batch = class->batches;
  if (batch != NULL) {
    count = batch->count < half ? batch->count : half;
    batch->count -= count;
    class->batched -= count;
    memcpy(magazine->items, batch->items + batch->count, count * sizeof(sb_priv_item));
    if (batch->count == 0) batch_pop(pool, class);
  }
  for (sb_priv_record *record; count < half && (record = kept_pop(pool, class)) != NULL; count++) {
    block_taken(pool, class, record);
    sb_priv_record_set(record, SB_PRIV_BLOCK_CACHED);
    magazine->items[count] = (sb_priv_item){record->block.data, record};
  }
  magazine_set_count(magazine, count);
}

static uint64_t cached_in_magazines(const sb_pool *pool, uint32_t class_index) {
  uint64_t count = 0;
  for (const sb_priv_cache *cache = pool->caches; cache != NULL; cache = cache->next)
    count += sb_priv_magazine_count(&cache->magazines[class_index]);
  return count;
}

/* Blocks that are out. Magazines change while they are counted, so the result may be off by what is being done in this moment. */
static uint64_t class_outstanding(const sb_pool *pool, uint32_t class_index) {
  const sb_priv_class *class = &pool->classes[class_index];
  const uint64_t free = class->batched + cached_in_magazines(pool, class_index);
  return class->taken > free ? class->taken - free : 0;
}

static void class_note_outstanding(sb_pool *pool, uint32_t class_index) {
  sb_priv_class *class = &pool->classes[class_index];
  if (class->taken - class->batched <= class->outstanding_max) return;
  const uint64_t outstanding = class_outstanding(pool, class_index);
  if (outstanding > class->outstanding_max) class->outstanding_max = outstanding;
}

/* ---- caches ---- */

/* Gives a cache to a pool. Its magazines take half of what each class may keep and others have not taken. */
static void cache_attach(sb_pool *pool, sb_priv_cache *cache) {
  uint64_t bytes_left = pool->thread_bytes_max;
  for (uint32_t i = 0; i < pool->class_count; i++) {
    sb_priv_class *class = &pool->classes[i];
    uint64_t capacity = class->kept_max > class->reserved ? (class->kept_max - class->reserved) / 2 : 0;
    if (capacity > SB_PRIV_MAGAZINE_BYTES_MAX / class->block_size) capacity = SB_PRIV_MAGAZINE_BYTES_MAX / class->block_size;
    if (capacity > SB_PRIV_MAGAZINE_MAX) capacity = SB_PRIV_MAGAZINE_MAX;
    if (pool->thread_bytes_max > 0) {
      const uint64_t fair = bytes_left / (pool->class_count - i) / class->block_size; /* what small ones leave is for larger ones */
      if (capacity > fair) capacity = fair;
    }
    if (capacity < SB_PRIV_MAGAZINE_MIN) capacity = 0;
    sb_priv_magazine *magazine = &cache->magazines[i];
    capacity &= ~(uint64_t)1; /* it has two halves */
    magazine->capacity = capacity * sizeof(sb_priv_item);
    bytes_left -= pool->thread_bytes_max > 0 ? capacity * class->block_size : 0;
    sb_priv_magazine_set_counts(magazine, 0);
    magazine->reserves = magazine->releases = 0;
    class->reserved += capacity;
    class_shrink(pool, class, class->kept_max > class->reserved ? class->kept_max - class->reserved : 0);
  }
  cache->previous = NULL;
  cache->next = pool->caches;
  if (pool->caches != NULL) pool->caches->previous = cache;
  pool->caches = cache;
  atomic_store(&cache->pool, pool);
}

/* Takes all that is in a cache, and the cache from the list of its pool. Its thread is revoked, or the caller's own, or has ended. It stays
 * the pool's until cache_release. */
static void cache_detach(sb_pool *pool, sb_priv_cache *cache) {
  cache_check(pool, cache);
  if (cache->previous != NULL) cache->previous->next = cache->next;
  if (cache->next != NULL) cache->next->previous = cache->previous;
  if (pool->caches == cache) pool->caches = cache->next;
  for (uint32_t i = 0; i < pool->class_count; i++) {
    sb_priv_class *class = &pool->classes[i];
    sb_priv_magazine *magazine = &cache->magazines[i];
    class->reserved -= magazine_capacity(magazine);
    class->hits += sb_priv_magazine_taken(magazine);
    class->reserves += magazine->reserves;
    class->releases += magazine->releases;
    magazine_empty(pool, class, magazine);
    magazine->capacity = 0;
  }
}

/* Gives a detached cache back to the thread whose record it is in, which may end now: then the record is another thread's. */
static void cache_release(sb_priv_cache *cache) {
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, cache->thread->caches);
  atomic_store(&cache->pool, NULL);
}

/* The cache of `thread`, which is the caller's own, for `pool`; NULL if it can't have one. */
static sb_priv_cache *cache_of(sb_pool *pool, sb_priv_thread *thread) {
  if (thread == NULL || pool->slot == SB_PRIV_SLOTS || pool->retired || pool->with_lock) return NULL;
  sb_priv_cache *cache = &thread->caches[pool->slot];
  if (atomic_load(&cache->pool) != pool) {
    assert(atomic_load(&cache->pool) == NULL); /* the slot was another pool's, which has been closed */
    cache->thread = thread;
    cache->magazines = thread->magazines[pool->slot];
    cache_attach(pool, cache);
  }
  return cache;
}

void sb_priv_depot_thread_ended(sb_priv_thread *thread, bool locked) {
  for (uint32_t slot = 0; slot < SB_PRIV_SLOTS; slot++) {
    sb_priv_cache *cache = &thread->caches[slot];
    for (sb_pool *pool; (pool = atomic_load(&cache->pool)) != NULL;) {
      if (!locked) sb_priv_lock(&pool->lock);
      pool_check(pool);
      SB_PRIV_STEP(SB_PRIV_STEP_LOOK, thread->caches);
      if (atomic_load(&cache->pool) == pool) { /* or it was closed in the meantime */
        cache_detach(pool, cache);
        cache_release(cache);
      }
      pool_check(pool);
      if (!locked) sb_priv_unlock(&pool->lock);
    }
  }
}

/* Moves the content of all magazines to the slabs. */
static void pool_empty_magazines(sb_pool *pool) {
  sb_priv_thread_revoke(pool->caches);
  for (sb_priv_cache *cache = pool->caches; cache != NULL; cache = cache->next)
    for (uint32_t i = 0; i < pool->class_count; i++) magazine_empty(pool, &pool->classes[i], &cache->magazines[i]);
  for (sb_priv_cache *cache = pool->caches; cache != NULL; cache = cache->next) sb_priv_thread_restore(cache);
}

void sb_priv_depot_shrink(sb_pool *pool, uint64_t bytes, bool magazines) {
  pool_check(pool);
  if (magazines) pool_empty_magazines(pool);
  for (uint32_t i = pool->class_count + 1; i-- > 0 && pool->bytes_held > bytes;) {
    sb_priv_class *class = &pool->classes[i];
    batches_dissolve(pool, class);
    while (class->kept > 0 && pool->bytes_held > bytes) {
      sb_priv_slab *slab = class->slabs[SB_PRIV_SLAB_HAS_KEPT];
      if (slab->out_count == 0) {
        class->kept -= slab->kept_count;
        pool->bytes_held -= (uint64_t)slab->kept_count * slab->block_size;
        slab_drop(class, slab);
      } else {
        kept_discard(pool, class);
      }
    }
  }
  pool_check(pool);
}

/* ---- take and put ---- */

/* Makes sure that the pool may hold `size` bytes more. */
static bool pool_may_grow(sb_pool *pool, uint64_t size) {
  if (size > pool->bytes_max) return false;
  const uint64_t limit = pool->bytes_max - size;
  if (pool->bytes_held > limit) sb_priv_depot_shrink(pool, limit, false);
  if (pool->bytes_held > limit) sb_priv_depot_shrink(pool, limit, true);
  return pool->bytes_held <= limit;
}

/* Takes a block that needs fresh memory. */
static sb_status take_fresh(sb_pool *pool, uint32_t class_index, uint32_t block_size, sb_priv_record **record, bool *zero) {
  sb_priv_class *class = &pool->classes[class_index];
  if (!pool_may_grow(pool, block_size)) return SB_NO_MEMORY;
  sb_priv_slab *slab = class->slabs[SB_PRIV_SLAB_HAS_FRESH];
  if (slab == NULL) {
    const sb_priv_slab_shape shape = {
        .pool = pool,
        .magazine_at = sb_priv_magazine_at(pool->slot, class_index),
        .class_index = class_index,
        .block_size = block_size,
        .alignment = pool->alignment,
        .single = class_index == pool->class_count, /* sizes differ, so nobody else can use the rest */
        .guarded = pool->guard_pages,
        .small_pages = class->slab_count == 0, /* a pool that holds little shall cost little */
        .name = pool->name,
    };
    const sb_status status = sb_priv_slab_open(&shape, &slab);
    if (status != SB_OK) return status;
    class->slab_count++;
    list_add(class, SB_PRIV_SLAB_HAS_FRESH, slab);
  }
  *record = fresh_pop(pool, class, slab, zero);
  block_taken(pool, class, *record);
  pool->bytes_held += block_size;
  class->misses++;
  return SB_OK;
}

/* Takes a kept block, or else one that needs fresh memory. */
static sb_status take_from_slabs(sb_pool *pool, uint32_t class_index, size_t size, sb_priv_record **record, bool *zero) {
  sb_priv_class *class = &pool->classes[class_index];
  if (class->kept == 0) batches_dissolve(pool, class); /* others have magazines */
  *record = pool->guard_pages ? NULL : kept_pop(pool, class);
  if (*record == NULL)
    return take_fresh(pool, class_index, class_index < pool->class_count ? class->block_size : (uint32_t)size, record, zero);
  block_taken(pool, class, *record);
  class->hits++;
  return SB_OK;
}

/* Counts a block that is taken without a magazine. */
static void count_taken(sb_pool *pool, sb_priv_class *class, const sb_priv_record *record, uint8_t state) {
  const bool large = class == &pool->classes[pool->class_count];
  if (large) pool->bytes_large += record->block.size;
  if (state != SB_PRIV_BLOCK_COUNTED) return;
  class->reserves++;
  if (large) pool->bytes_large_counted += record->block.size;
}

/* The opposite. */
static void count_put(sb_pool *pool, sb_priv_class *class, const sb_priv_record *record, uint8_t state) {
  const bool large = class == &pool->classes[pool->class_count];
  if (large) pool->bytes_large -= record->block.size;
  if (state != SB_PRIV_BLOCK_COUNTED) return;
  class->releases++;
  if (large) pool->bytes_large_counted -= record->block.size;
}

sb_status sb_priv_depot_take(sb_pool *pool, sb_priv_thread *thread, uint32_t class_index, size_t size, uint8_t state,
                             sb_priv_record **record, bool *zero) {
  sb_priv_class *class = &pool->classes[class_index];
  *record = NULL;
  *zero = false;
  pool_check(pool);
  sb_priv_cache *cache = cache_of(pool, thread);
  if (cache != NULL) {
    sb_priv_magazine *magazine = &cache->magazines[class_index];
    if (sb_priv_magazine_count(magazine) == 0) magazine_fill(pool, class, magazine);
    for (sb_priv_item item; *record == NULL && sb_priv_magazine_count(magazine) > 0;)
      if (sb_priv_magazine_pop(magazine, state, &item)) *record = item.record;
  }
  if (*record == NULL) {
    const sb_status status = take_from_slabs(pool, class_index, size, record, zero);
    if (status != SB_OK) return status;
    sb_priv_record_set(*record, state);
    count_taken(pool, class, *record, state);
  }
  class_note_outstanding(pool, class_index);
  pool_check(pool);
  return SB_OK;
}

bool sb_priv_depot_put(sb_pool *pool, sb_priv_thread *thread, sb_priv_record *record, uint8_t state) {
  const uint32_t class_index = sb_priv_slab_of(record)->class_index;
  sb_priv_class *class = &pool->classes[class_index];
  pool_check(pool);
  sb_priv_cache *cache = cache_of(pool, thread);
  sb_priv_magazine *magazine = cache == NULL ? NULL : &cache->magazines[class_index];
  if (magazine != NULL && magazine->capacity > 0) {
    if (sb_priv_magazine_count(magazine) == magazine_capacity(magazine)) magazine_relieve(pool, class, magazine);
    (void)sb_priv_magazine_push(magazine, record->block.data, record, state);
    pool_check(pool);
    return false;
  }
  count_put(pool, class, record, state);
  block_untaken(pool, class, record);
  pool_check(pool);
  if (!pool->retired) return false;
  retired_check(pool);
  return pool->taken == 0;
}

bool sb_priv_depot_retire(sb_pool *pool) {
  pool_check(pool);
  assert(!pool->retired);
  pool->retired = true; /* nobody attaches a cache any more */
  sb_priv_thread_revoke(pool->caches);
  for (sb_priv_cache *cache; (cache = pool->caches) != NULL;) {
    cache_detach(pool, cache);
    /* The thread may go on, as its magazines have no room any more. The cache is given back last: the thread may end then, and the gate that
     * was restored would be the next one's, and counted round. */
    sb_priv_thread_restore(cache);
    cache_release(cache);
  }
  sb_priv_depot_shrink(pool, 0, false);
  retired_check(pool);
  return pool->taken == 0;
}

/* ---- statistics ---- */

sb_pool_class_stats sb_priv_depot_class_stats(sb_pool *pool, uint32_t index) {
  const sb_priv_class *class = &pool->classes[index];
  class_note_outstanding(pool, index);
  sb_pool_class_stats stats = {
      .block_size = class->block_size,
      .hits = class->hits,
      .misses = class->misses,
      .outstanding = class_outstanding(pool, index),
      .kept = class->kept + class->batched + cached_in_magazines(pool, index),
      .outstanding_max = class->outstanding_max,
  };
  for (const sb_priv_cache *cache = pool->caches; cache != NULL; cache = cache->next)
    stats.hits += sb_priv_magazine_taken(&cache->magazines[index]);
  return stats;
}

void sb_priv_depot_memory_stats(const sb_pool *pool, sb_memory_stats *stats) {
  for (uint32_t i = 0; i <= pool->class_count; i++) {
    const sb_priv_class *class = &pool->classes[i];
    uint64_t reserves = class->reserves, releases = class->releases;
    for (const sb_priv_cache *cache = pool->caches; cache != NULL; cache = cache->next) {
      reserves += cache->magazines[i].reserves;
      releases += cache->magazines[i].releases;
    }
    stats->reserves += reserves;
    stats->releases += releases;
    stats->live_bytes += (reserves - releases) * class->block_size; /* block_size is 0 for larger blocks */
  }
  stats->live_bytes += pool->bytes_large_counted;
}
