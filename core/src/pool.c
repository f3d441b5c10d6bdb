//go:build !samebytes_shared

/* Blocks are cut from slabs (pool_slab.c). A slab belongs to one size class of one pool, and records where each of its blocks is, so a put
 * finds pool, class and state from the address alone: it can't be told a wrong size, and it refuses what is no block or is back already.
 *
 * One lock per pool. Invariants under it, per class: kept and outstanding are the sums over its slabs; a slab with kept or fresh blocks is in
 * the list for them; a slab with neither kept blocks nor blocks that are out does not exist.
 *
 * A pool that has been closed lives until its last block is back. Its structure is recycled but never freed, as headers of slabs are,
 * because a wrong put may lock the pool of a slab that goes away at the same moment. */

#include <pthread.h>
#include <stdlib.h>

#include "pool_slab.h"

typedef struct pool_class {
  uint32_t block_size;
  uint32_t kept_max;
  uint64_t hits;
  uint64_t misses;
  uint64_t outstanding;
  uint64_t outstanding_max;
  uint64_t kept;
  uint64_t slab_count;
  sb_priv_slab *slabs[SB_PRIV_SLAB_LISTS];
} pool_class;

struct sb_pool {
  sb_memory memory;     /* first, because the pool is its own provider; the handle is an owner of it, and retirement comes with the last */
  pthread_mutex_t lock; /* of what follows, up to refused_puts */
  bool retired;
  uint64_t bytes_in_use;
  uint64_t bytes_kept;
  uint64_t outstanding;
  _Atomic uint64_t failures;
  _Atomic uint64_t refused_puts;
  uint64_t bytes_max; /* UINT64_MAX: none */
  uint32_t alignment;
  bool zero_on_get;
  bool poison_on_put;
  char name[64];
  uint32_t class_count;                        /* without the one for larger blocks */
  uint8_t class_from_width[33];                /* the first class that can hold a size of so many bits */
  pool_class classes[SB_POOL_CLASSES_MAX + 1]; /* sorted by size; the one behind the last is for larger blocks */
  sb_pool *next;                               /* in the list of all pools, or of free structures */
  sb_pool *previous;
};

#define POISON 0xDB

static const sb_pool_class default_classes[] = {{512, 4096}, {4096, 1024}, {16384, 256}, {65536, 64}, {1048576, 8}}; /* about 24 MiB */

static const sb_priv_provider pool_provider;

/* ---- all pools, and fork ---- */

/* Locks are taken in this order: default_lock, pools_lock, a pool's lock, the lock of the slabs. */
static pthread_mutex_t default_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static sb_pool *open_pools;
static sb_pool *free_pools;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* The child of a fork gets locks that nobody holds and lists that nobody was changing. */
static void fork_prepare(void) {
  (void)pthread_mutex_lock(&default_lock);
  (void)pthread_mutex_lock(&pools_lock);
  for (sb_pool *pool = open_pools; pool != NULL; pool = pool->next) (void)pthread_mutex_lock(&pool->lock);
  sb_priv_slab_lock();
}

static void fork_done(void) {
  sb_priv_slab_unlock();
  for (sb_pool *pool = open_pools; pool != NULL; pool = pool->next) (void)pthread_mutex_unlock(&pool->lock);
  (void)pthread_mutex_unlock(&pools_lock);
  (void)pthread_mutex_unlock(&default_lock);
}

static void fork_watch(void) { (void)pthread_atfork(fork_prepare, fork_done, fork_done); }

/* Adds a pool, whose lock is initialised but which is empty otherwise, to the list of open ones. */
static sb_pool *pool_make(void) {
  (void)pthread_once(&fork_once, fork_watch);
  (void)pthread_mutex_lock(&pools_lock);
  sb_pool *pool = free_pools;
  if (pool != NULL) {
    free_pools = pool->next;
  } else {
    pool = calloc(1, sizeof *pool);
    if (pool != NULL) (void)pthread_mutex_init(&pool->lock, NULL);
  }
  if (pool != NULL) {
    pool->previous = NULL;
    pool->next = open_pools;
    if (open_pools != NULL) open_pools->previous = pool;
    open_pools = pool;
  }
  (void)pthread_mutex_unlock(&pools_lock);
  return pool;
}

/* The opposite of pool_make. The pool is retired and has no blocks. */
static void pool_recycle(sb_pool *pool) {
  (void)pthread_mutex_lock(&pools_lock);
  if (pool->previous != NULL) pool->previous->next = pool->next;
  if (pool->next != NULL) pool->next->previous = pool->previous;
  if (open_pools == pool) open_pools = pool->next;
  pool->next = free_pools;
  free_pools = pool;
  (void)pthread_mutex_unlock(&pools_lock);
}

/* ---- slabs of a class ---- */

static void list_add(pool_class *class, int list, sb_priv_slab *slab) {
  sb_priv_slab *head = class->slabs[list];
  slab->previous[list] = NULL;
  slab->next[list] = head;
  if (head != NULL) head->previous[list] = slab;
  class->slabs[list] = slab;
}

static void list_remove(pool_class *class, int list, sb_priv_slab *slab) {
  sb_priv_slab *previous = slab->previous[list], *next = slab->next[list];
  if (previous != NULL) previous->next[list] = next;
  if (next != NULL) next->previous[list] = previous;
  if (class->slabs[list] == slab) class->slabs[list] = next;
}

static bool slab_has_fresh(const sb_priv_slab *slab) {
  return slab->fresh_first != SB_PRIV_BLOCK_NONE || slab->used_count < slab->block_count;
}

/* Unmaps a slab none of whose blocks is out. Its kept blocks are no longer counted. */
static void slab_drop(pool_class *class, sb_priv_slab *slab) {
  assert(slab->out_count == 0);
  if (slab->kept_first != SB_PRIV_BLOCK_NONE) list_remove(class, SB_PRIV_SLAB_HAS_KEPT, slab);
  if (slab_has_fresh(slab)) list_remove(class, SB_PRIV_SLAB_HAS_FRESH, slab);
  class->slab_count--;
  sb_priv_slab_hide(slab);
  sb_priv_slab_close(slab);
}

static void set_state(sb_priv_slab *slab, uint32_t index, uint8_t state) {
  atomic_store_explicit(&slab->records[index].state, state, memory_order_relaxed);
}

static uint8_t get_state(const sb_priv_slab *slab, uint32_t index) {
  return atomic_load_explicit(&slab->records[index].state, memory_order_relaxed);
}

static void kept_push(pool_class *class, sb_priv_slab *slab, uint32_t index) {
  if (slab->kept_first == SB_PRIV_BLOCK_NONE) list_add(class, SB_PRIV_SLAB_HAS_KEPT, slab);
  slab->records[index].next = slab->kept_first;
  slab->kept_first = (uint16_t)index;
  slab->kept_count++;
  class->kept++;
  set_state(slab, index, SB_PRIV_BLOCK_KEPT);
}

static uint32_t kept_pop(pool_class *class, sb_priv_slab *slab) {
  const uint32_t index = slab->kept_first;
  assert(get_state(slab, index) == SB_PRIV_BLOCK_KEPT);
  slab->kept_first = slab->records[index].next;
  slab->kept_count--;
  class->kept--;
  if (slab->kept_first == SB_PRIV_BLOCK_NONE) list_remove(class, SB_PRIV_SLAB_HAS_KEPT, slab);
  return index;
}

static void fresh_push(pool_class *class, sb_priv_slab *slab, uint32_t index) {
  if (!slab_has_fresh(slab)) list_add(class, SB_PRIV_SLAB_HAS_FRESH, slab);
  slab->records[index].next = slab->fresh_first;
  slab->fresh_first = (uint16_t)index;
  set_state(slab, index, SB_PRIV_BLOCK_FRESH);
}

/* `*zero` says whether the block was never used. */
static uint32_t fresh_pop(pool_class *class, sb_priv_slab *slab, bool *zero) {
  uint32_t index = slab->fresh_first;
  *zero = index == SB_PRIV_BLOCK_NONE;
  if (*zero) {
    index = slab->used_count++;
  } else {
    slab->fresh_first = slab->records[index].next;
  }
  if (!slab_has_fresh(slab)) list_remove(class, SB_PRIV_SLAB_HAS_FRESH, slab);
  return index;
}

/* Gives the memory of a block that is neither out nor kept back to the system. */
static void block_discard(pool_class *class, sb_priv_slab *slab, uint32_t index) {
  fresh_push(class, slab, index);
  if (slab->out_count == 0 && slab->kept_count == 0) {
    slab_drop(class, slab);
  } else {
    sb_priv_slab_discard(slab, index);
  }
}

/* Gives kept blocks back to the system, the largest first, until that makes `bytes` bytes or none is left. */
static void pool_give_back(sb_pool *pool, uint64_t bytes) {
  uint64_t given = 0;
  for (uint32_t i = pool->class_count; i-- > 0 && given < bytes;) {
    pool_class *class = &pool->classes[i];
    const uint64_t kept_before = class->kept;
    while (class->kept > 0 && given + (kept_before - class->kept) * class->block_size < bytes) {
      sb_priv_slab *slab = class->slabs[SB_PRIV_SLAB_HAS_KEPT];
      if (slab->out_count == 0) {
        class->kept -= slab->kept_count;
        slab_drop(class, slab);
      } else {
        block_discard(class, slab, kept_pop(class, slab));
      }
    }
    given += (kept_before - class->kept) * class->block_size;
  }
  pool->bytes_kept -= given;
}

/* ---- get ---- */

static uint32_t class_of(const sb_pool *pool, size_t size) {
  const uint32_t width = size == 1 ? 0 : 32 - (uint32_t)__builtin_clz((uint32_t)size - 1);
  uint32_t index = pool->class_from_width[width];
  while (index < pool->class_count && pool->classes[index].block_size < size) index++;
  return index;
}

/* Makes sure that the pool may hold `size` bytes more. */
static bool pool_may_grow(sb_pool *pool, uint64_t size) {
  if (size > pool->bytes_max || pool->bytes_in_use > pool->bytes_max - size) return false;
  const uint64_t held = pool->bytes_in_use + pool->bytes_kept;
  const uint64_t limit = pool->bytes_max - size;
  if (held > limit) pool_give_back(pool, held - limit);
  return true;
}

/* Finds a slab with fresh blocks, or makes one. */
static sb_status slab_for_fresh(sb_pool *pool, uint32_t class_index, uint32_t block_size, sb_priv_slab **slab) {
  pool_class *class = &pool->classes[class_index];
  if (!pool_may_grow(pool, block_size)) return SB_NO_MEMORY;
  *slab = class->slabs[SB_PRIV_SLAB_HAS_FRESH];
  if (*slab != NULL) return SB_OK;
  const sb_priv_slab_shape shape = {
      .pool = pool,
      .class_index = class_index,
      .block_size = block_size,
      .alignment = pool->alignment,
      .single = class_index == pool->class_count, /* sizes differ, so nobody else can use the rest */
      .small_pages = class->slab_count == 0,      /* a pool that holds little shall cost little */
      .name = pool->name,
  };
  const sb_status status = sb_priv_slab_open(&shape, slab);
  if (status != SB_OK) return status;
  class->slab_count++;
  list_add(class, SB_PRIV_SLAB_HAS_FRESH, *slab);
  return SB_OK;
}

typedef struct taken_block {
  sb_priv_slab *slab;
  uint32_t index;
  bool zero; /* never used before */
} taken_block;

/* Takes a block of at least `size` bytes, and gives it `state`. The lock is held. */
static sb_status pool_take_locked(sb_pool *pool, size_t size, uint8_t state, taken_block *taken) {
  const uint32_t class_index = class_of(pool, size);
  pool_class *class = &pool->classes[class_index];
  const uint32_t block_size = class_index < pool->class_count ? class->block_size : (uint32_t)size;
  sb_priv_slab *slab = class->slabs[SB_PRIV_SLAB_HAS_KEPT];
  if (slab != NULL) {
    taken->index = kept_pop(class, slab);
    taken->zero = false;
    pool->bytes_kept -= block_size;
    class->hits++;
  } else {
    const sb_status status = slab_for_fresh(pool, class_index, block_size, &slab);
    if (status != SB_OK) return status;
    taken->index = fresh_pop(class, slab, &taken->zero);
    class->misses++;
  }
  taken->slab = slab;
  slab->out_count++;
  set_state(slab, taken->index, state);
  pool->bytes_in_use += block_size;
  pool->outstanding++;
  class->outstanding++;
  if (class->outstanding > class->outstanding_max) class->outstanding_max = class->outstanding;
  return SB_OK;
}

static sb_status pool_take(sb_pool *pool, size_t size, uint8_t state, taken_block *taken) {
  assert(size > 0 && size <= SB_BLOCK_SIZE_MAX);
  (void)pthread_mutex_lock(&pool->lock);
  const sb_status status = pool_take_locked(pool, size, state, taken);
  (void)pthread_mutex_unlock(&pool->lock);
  if (status != SB_OK) {
    atomic_fetch_add_explicit(&pool->failures, 1, memory_order_relaxed);
  } else if (pool->zero_on_get && !taken->zero) {
    memset(sb_priv_slab_data(taken->slab, taken->index), 0, taken->slab->block_size);
  }
  return status;
}

sb_status sb_pool_get(sb_pool *pool, size_t size, void **data) {
  if (pool == NULL || data == NULL) return SB_INVALID_ARGUMENT;
  if (size == 0 || size > SB_BLOCK_SIZE_MAX) {
    atomic_fetch_add_explicit(&pool->failures, 1, memory_order_relaxed);
    return SB_INVALID_ARGUMENT;
  }
  taken_block taken;
  const sb_status status = pool_take(pool, size, SB_PRIV_BLOCK_OUT, &taken);
  if (status == SB_OK) *data = sb_priv_slab_data(taken.slab, taken.index);
  return status;
}

/* ---- put ---- */

/* Makes a block that was out kept, or gives it back to the system. Returns whether that ended the pool. The lock is held. */
static bool pool_return_locked(sb_pool *pool, sb_priv_slab *slab, uint32_t index) {
  pool_class *class = &pool->classes[slab->class_index];
  const uint32_t block_size = slab->block_size;
  slab->out_count--;
  pool->bytes_in_use -= block_size;
  pool->outstanding--;
  class->outstanding--;
  if (!pool->retired && class->kept < class->kept_max) {
    kept_push(class, slab, index);
    pool->bytes_kept += block_size;
  } else {
    block_discard(class, slab, index);
  }
  return pool->retired && pool->outstanding == 0;
}

/* Takes back the block at `data` if it is in `state`. The slab was found before the lock was taken, and is asked again under it. */
static sb_status pool_return(sb_pool *pool, sb_priv_slab *slab, const void *data, uint8_t state) {
  (void)pthread_mutex_lock(&pool->lock);
  const bool ours = sb_priv_slab_find(data) == slab && atomic_load(&slab->pool) == pool;
  const uint32_t index = ours ? sb_priv_slab_index(slab, data) : SB_PRIV_BLOCK_NONE;
  if (index == SB_PRIV_BLOCK_NONE || get_state(slab, index) != state) {
    (void)pthread_mutex_unlock(&pool->lock);
    atomic_fetch_add_explicit(&pool->refused_puts, 1, memory_order_relaxed);
    return SB_INVALID_ARGUMENT;
  }
  if (pool->poison_on_put) {
    set_state(slab, index, SB_PRIV_BLOCK_LEAVING); /* nobody gets or puts it while it is written without the lock */
    (void)pthread_mutex_unlock(&pool->lock);
    memset(sb_priv_slab_data(slab, index), POISON, slab->block_size);
    (void)pthread_mutex_lock(&pool->lock);
  }
  const bool last = pool_return_locked(pool, slab, index);
  (void)pthread_mutex_unlock(&pool->lock);
  if (last) pool_recycle(pool);
  return SB_OK;
}

sb_status sb_pool_put(sb_pool *pool, void *data) {
  sb_priv_slab *slab = sb_priv_slab_find(data);
  sb_pool *owner = slab == NULL ? NULL : atomic_load(&slab->pool);
  if (owner == NULL || (pool != NULL && pool != owner)) {
    if (pool != NULL) atomic_fetch_add_explicit(&pool->refused_puts, 1, memory_order_relaxed);
    return SB_INVALID_ARGUMENT;
  }
  return pool_return(owner, slab, data, SB_PRIV_BLOCK_OUT);
}

/* ---- the pool as a provider ---- */

static sb_status pool_memory_get(sb_memory *memory, size_t size, sb_block **block) {
  taken_block taken;
  const sb_status status = pool_take((sb_pool *)memory, size, SB_PRIV_BLOCK_COUNTED, &taken);
  if (status != SB_OK) return status;
  sb_block *made = &taken.slab->blocks[taken.index];
  *made = (sb_block){.owners = 1,
                     .size = taken.slab->block_size,
                     .data = sb_priv_slab_data(taken.slab, taken.index),
                     .memory = memory,
                     .token = taken.slab};
  *block = made;
  return SB_OK;
}

static void pool_memory_put(sb_block *block) {
  const sb_status status = pool_return((sb_pool *)block->memory, block->token, block->data, SB_PRIV_BLOCK_COUNTED);
  assert(status == SB_OK);
  (void)status;
}

/* The last owner has gone: no handle is left, and no sb_block. Raw blocks may still be out. */
static void pool_memory_retire(sb_memory *memory) {
  sb_pool *pool = (sb_pool *)memory;
  (void)pthread_mutex_lock(&pool->lock);
  pool->retired = true;
  pool_give_back(pool, UINT64_MAX);
  const bool last = pool->outstanding == 0;
  (void)pthread_mutex_unlock(&pool->lock);
  if (last) pool_recycle(pool);
}

static const sb_priv_provider pool_provider = {.get = pool_memory_get, .put = pool_memory_put, .retire = pool_memory_retire};

sb_status sb_pool_get_block(sb_pool *pool, size_t size, sb_block **block) {
  if (pool == NULL || block == NULL) return SB_INVALID_ARGUMENT;
  if (size == 0 || size > SB_BLOCK_SIZE_MAX) {
    atomic_fetch_add_explicit(&pool->failures, 1, memory_order_relaxed);
    return SB_INVALID_ARGUMENT;
  }
  return sb_priv_block_get(&pool->memory, size, block);
}

sb_status sb_pool_memory(sb_pool *pool, sb_memory **memory) {
  if (pool == NULL || memory == NULL) return SB_INVALID_ARGUMENT;
  *memory = sb_memory_retain(&pool->memory);
  return SB_OK;
}

sb_status sb_priv_memory_default(sb_memory **memory) {
  static _Atomic(sb_pool *) default_pool;
  sb_pool *pool = atomic_load_explicit(&default_pool, memory_order_acquire);
  if (pool == NULL) {
    (void)pthread_once(&fork_once, fork_watch);
    (void)pthread_mutex_lock(&default_lock);
    pool = atomic_load_explicit(&default_pool, memory_order_acquire);
    if (pool == NULL && sb_pool_open(NULL, &pool) == SB_OK) atomic_store_explicit(&default_pool, pool, memory_order_release);
    (void)pthread_mutex_unlock(&default_lock);
    if (pool == NULL) return SB_NO_MEMORY; /* the next call tries again */
  }
  *memory = &pool->memory;
  return SB_OK;
}

/* ---- open and close ---- */

void sb_pool_options_init(sb_pool_options *options, size_t struct_size) {
  if (options == NULL || struct_size < sizeof options->struct_size) return;
  memset(options, 0, struct_size);
  options->struct_size = struct_size > UINT32_MAX ? UINT32_MAX : (uint32_t)struct_size;
}

static int class_compare(const void *left, const void *right) {
  const uint32_t left_size = ((const sb_pool_class *)left)->block_size, right_size = ((const sb_pool_class *)right)->block_size;
  return (left_size > right_size) - (left_size < right_size);
}

/* Copies the options to `all`, with the defaults in place, and the classes, sorted, to `classes`; checks everything. */
static sb_status options_read(const sb_pool_options *options, sb_pool_options *all, sb_pool_class *classes) {
  sb_pool_options_init(all, sizeof *all);
  if (options != NULL) {
    if (options->struct_size < sizeof *options) return SB_INVALID_ARGUMENT; /* no version had it smaller */
    for (size_t i = sizeof *options; i < options->struct_size; i++)         /* options that only a newer version knows */
      if (((const uint8_t *)options)[i] != 0) return SB_UNSUPPORTED;
    *all = *options;
  }
  if (all->class_count == 0) {
    all->classes = default_classes;
    all->class_count = sizeof default_classes / sizeof default_classes[0];
  }
  if (all->classes == NULL || all->class_count > SB_POOL_CLASSES_MAX || all->reserved != 0) return SB_INVALID_ARGUMENT;
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

sb_status sb_pool_open(const sb_pool_options *options, sb_pool **pool) {
  if (pool == NULL) return SB_INVALID_ARGUMENT;
  sb_pool_options all;
  sb_pool_class classes[SB_POOL_CLASSES_MAX];
  const sb_status status = options_read(options, &all, classes);
  if (status != SB_OK) return status;
  sb_pool *made = pool_make();
  if (made == NULL) return SB_NO_MEMORY;
  (void)pthread_mutex_lock(&made->lock); /* a wrong put may still look at what this structure was before */
  sb_priv_memory_init(&made->memory, &pool_provider);
  made->retired = false;
  made->bytes_in_use = made->bytes_kept = made->outstanding = 0;
  atomic_store(&made->failures, 0);
  atomic_store(&made->refused_puts, 0);
  made->bytes_max = all.bytes_max;
  made->alignment = all.alignment;
  made->zero_on_get = all.zero_on_get;
  made->poison_on_put = all.poison_on_put;
  memcpy(made->name, all.name, strlen(all.name) + 1);
  made->class_count = all.class_count;
  memset(made->classes, 0, sizeof made->classes);
  for (uint32_t i = 0; i < all.class_count; i++) {
    made->classes[i].block_size = classes[i].block_size;
    made->classes[i].kept_max = classes[i].kept_max;
  }
  for (uint32_t width = 0; width <= 32; width++) {
    const uint64_t size_min = width == 0 ? 1 : ((uint64_t)1 << (width - 1)) + 1;
    uint32_t index = 0;
    while (index < all.class_count && classes[index].block_size < size_min) index++;
    made->class_from_width[width] = (uint8_t)index;
  }
  (void)pthread_mutex_unlock(&made->lock);
  *pool = made;
  return SB_OK;
}

void sb_pool_close(sb_pool *pool) {
  if (pool != NULL) sb_memory_close(&pool->memory);
}

void sb_pool_trim(sb_pool *pool) {
  if (pool == NULL) return;
  (void)pthread_mutex_lock(&pool->lock);
  pool_give_back(pool, UINT64_MAX);
  (void)pthread_mutex_unlock(&pool->lock);
}

/* ---- statistics ---- */

sb_status sb_pool_get_stats(sb_pool *pool, sb_pool_stats *stats) {
  if (pool == NULL || stats == NULL) return SB_INVALID_ARGUMENT;
  (void)pthread_mutex_lock(&pool->lock);
  const sb_pool_stats now = {
      .class_count = pool->class_count,
      .bytes_in_use = pool->bytes_in_use,
      .bytes_kept = pool->bytes_kept,
      .outstanding = pool->outstanding,
      .failures = atomic_load(&pool->failures),
      .refused_puts = atomic_load(&pool->refused_puts),
  };
  (void)pthread_mutex_unlock(&pool->lock);
  return sb_priv_fill(stats, &now, sizeof now);
}

sb_status sb_pool_get_class_stats(sb_pool *pool, uint32_t index, sb_pool_class_stats *stats) {
  if (pool == NULL || stats == NULL) return SB_INVALID_ARGUMENT;
  (void)pthread_mutex_lock(&pool->lock);
  const bool known = index <= pool->class_count;
  const pool_class class = pool->classes[known ? index : 0];
  (void)pthread_mutex_unlock(&pool->lock);
  if (!known) return SB_OUT_OF_RANGE;
  const sb_pool_class_stats now = {
      .block_size = class.block_size,
      .hits = class.hits,
      .misses = class.misses,
      .outstanding = class.outstanding,
      .kept = class.kept,
      .outstanding_max = class.outstanding_max,
  };
  return sb_priv_fill(stats, &now, sizeof now);
}
