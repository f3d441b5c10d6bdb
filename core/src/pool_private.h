#ifndef SB_POOL_PRIVATE_H
#define SB_POOL_PRIVATE_H

/* What the files of the pool share with each other and with nobody else: pool_slab.c has the memory that blocks are cut from, pool_thread.c what
 * belongs to a thread, pool_depot.c what a pool does under its lock, and pool.c the functions of pool.h with the ways that need no lock. */

#include <pthread.h>
#include <stdatomic.h>

#include <samebytes/pool.h>

#include "block.h"
#include "steps.h"

#define SB_PRIV_CACHE_LINE 64u /* bytes */

#define SB_PRIV_LIKELY(condition) __builtin_expect((condition), 1)

/* Makes the compiler forget how it computed a pointer, so that it does not compute it again for each field. */
#define SB_PRIV_FORGET(pointer) __asm__("" : "+r"(pointer)) // NOLINT(portability-no-assembler)

/* ---- slabs ---- */

#define SB_PRIV_SLAB_ALIGNMENT ((size_t)1 << 21) /* bytes; slabs begin and end at multiples of it */
#define SB_PRIV_SLAB_BLOCKS_MAX 32768u           /* a power of two */
#define SB_PRIV_BLOCK_ALIGNMENT_MIN 64u          /* bytes: what sb_block_data promises, and no two blocks share a cache line */
#define SB_PRIV_BLOCK_NONE 0xffffu               /* an index that no block has */

/* Where a block is. */
enum {
  SB_PRIV_BLOCK_FRESH = 0, /* never used, or given back to the system */
  SB_PRIV_BLOCK_KEPT,      /* free, in its slab's list of kept blocks */
  SB_PRIV_BLOCK_CACHED,    /* free, in a magazine or batch */
  SB_PRIV_BLOCK_OUT,       /* handed out by sb_pool_get */
  SB_PRIV_BLOCK_COUNTED,   /* handed out as an sb_block */
  SB_PRIV_BLOCK_LEAVING,   /* on its way back: one of many, or being poisoned or guarded; or on its way out of a pool that traces */
};

struct sb_priv_place;

/* What is known of a block. It has a cache line of its own, so that threads with neighbouring blocks do not wait for each other, and it
 * lies apart from the data, so that an overrun does not reach it. `block` says where the data is, also while it is not handed out as one. */
typedef struct sb_priv_record {
  _Alignas(SB_PRIV_CACHE_LINE)
      sb_block block;          /* first, so that one is found from the other; `next` is the next one's index in the slab's list */
  struct sb_priv_place *place; /* where it was taken, while it is out of a pool that traces; under the lock */
} sb_priv_record;

static_assert(sizeof(sb_priv_record) == SB_PRIV_CACHE_LINE, "a record fills a cache line");

/* The lists of a class that a slab can be in. */
enum {
  SB_PRIV_SLAB_HAS_KEPT,
  SB_PRIV_SLAB_HAS_FRESH,
  SB_PRIV_SLAB_LISTS
};

/* A slab's header. Headers are recycled but never freed, because a wrong put may look at the header of a slab that goes away at the same
 * moment. The first line is read without the lock of the pool by whoever puts a block, and changes only while no block is out. */
typedef struct sb_priv_slab {
  _Alignas(SB_PRIV_CACHE_LINE) _Atomic(sb_pool *) pool;
  _Atomic uintptr_t data;       /* address of the first byte */
  _Atomic uint64_t inverse;     /* of stride; 0 when there is one block */
  sb_priv_record *records;      /* one per block; always the same */
  _Atomic uint32_t magazine_at; /* where a thread has its magazine for blocks of this slab: bytes from the start of its sb_priv_thread */
  uint32_t class_index;
  size_t size;     /* mapped bytes */
  uint32_t stride; /* bytes from block to block */
  uint32_t block_count;
  uint32_t front; /* bytes before the first block */

  _Alignas(SB_PRIV_CACHE_LINE) uint32_t block_size; /* bytes of a block that are handed out */
  uint32_t out_count;                               /* blocks in no list of the slab: handed out or cached */
  uint32_t kept_count;
  uint32_t used_count;  /* blocks before this index have been used; the others are still zero */
  uint16_t kept_first;  /* list of kept blocks */
  uint16_t fresh_first; /* list of blocks that were given back to the system */
  struct sb_priv_slab *next[SB_PRIV_SLAB_LISTS];
  struct sb_priv_slab *previous[SB_PRIV_SLAB_LISTS];
} sb_priv_slab;

/* What a slab is made for. */
typedef struct sb_priv_slab_shape {
  sb_pool *pool;
  uint32_t class_index;
  uint32_t magazine_at;
  uint32_t block_size; /* bytes, 1 to SB_BLOCK_SIZE_MAX */
  uint32_t alignment;  /* a power of two, SB_PRIV_BLOCK_ALIGNMENT_MIN to SB_POOL_ALIGNMENT_MAX */
  bool single;         /* one block only, whatever fits */
  bool small_pages;    /* spares memory: no huge page for the first touched byte */
  bool guarded;        /* pages that nobody may touch around the block, which then is single */
  const char *name;    /* shown in /proc/PID/maps; empty: none */
} sb_priv_slab_shape;

/* The map from addresses to slabs: a static root of 2^13 leaves, and leaves of 2^14 slabs that are mapped when needed and never freed. It is
 * read without a lock. Addresses of 48 bits are covered, which is all that Linux hands out unasked. */
#define SB_PRIV_MAP_ADDRESS_BITS 48
#define SB_PRIV_MAP_SLAB_BITS 21
#define SB_PRIV_MAP_LEAF_BITS 14
#define SB_PRIV_MAP_ROOT_BITS (SB_PRIV_MAP_ADDRESS_BITS - SB_PRIV_MAP_SLAB_BITS - SB_PRIV_MAP_LEAF_BITS)

typedef struct sb_priv_map_leaf {
  _Atomic(sb_priv_slab *) slabs[(size_t)1 << SB_PRIV_MAP_LEAF_BITS];
} sb_priv_map_leaf;

extern _Atomic(sb_priv_map_leaf *) sb_priv_map_root[(size_t)1 << SB_PRIV_MAP_ROOT_BITS] __attribute__((visibility("hidden")));

/* Maps memory for a slab and makes it findable. */
sb_status sb_priv_slab_open(const sb_priv_slab_shape *shape, sb_priv_slab **slab);
/* Unmaps a slab, none of whose blocks is out. Nobody finds it any more. */
void sb_priv_slab_close(sb_priv_slab *slab);
/* Gives the pages of a block back to the system, as far as it has them for itself. */
void sb_priv_slab_discard(const sb_priv_slab *slab, uint32_t index);
/* Takes the pages of a block away, which lies alone between guard pages: whoever touches it from now on is stopped. */
void sb_priv_slab_guard(const sb_priv_slab *slab);
/* For fork: nobody is changing the free headers while they are locked. */
void sb_priv_slab_lock(void);
void sb_priv_slab_unlock(void);
/* Maps `size` bytes of zeros for good, or returns NULL. */
void *sb_priv_map_memory(size_t size);

/* The slab whose memory `data` lies in, or NULL. Touches no memory but the map. */
static inline sb_priv_slab *sb_priv_slab_find(const void *data) {
  const uintptr_t number = (uintptr_t)data >> SB_PRIV_MAP_SLAB_BITS;
  const uintptr_t root_index = number >> SB_PRIV_MAP_LEAF_BITS;
  if (root_index >= (uintptr_t)1 << SB_PRIV_MAP_ROOT_BITS) return NULL;
  sb_priv_map_leaf *leaf = atomic_load_explicit(&sb_priv_map_root[root_index], memory_order_acquire);
  if (leaf == NULL) return NULL;
  return atomic_load_explicit(&leaf->slabs[number & (((uintptr_t)1 << SB_PRIV_MAP_LEAF_BITS) - 1)], memory_order_acquire);
}

/* What finds the records of a slab, read once for many blocks of it. */
typedef struct sb_priv_slab_view {
  uintptr_t data;
  uint64_t inverse;
  sb_priv_record *records;
} sb_priv_slab_view;

static inline sb_priv_slab_view sb_priv_slab_look(const sb_priv_slab *slab) {
  return (sb_priv_slab_view){.data = atomic_load_explicit(&slab->data, memory_order_relaxed),
                             .inverse = atomic_load_explicit(&slab->inverse, memory_order_relaxed),
                             .records = slab->records};
}

/* Finds the record of the block that begins at `data`, which lies in the slab, or did a moment ago; false if none begins there. */
static inline bool sb_priv_slab_view_record(const sb_priv_slab_view *view, const void *data, sb_priv_record **record) {
  /* offset / stride without dividing: exact below 2^21, and slabs with more than one block have no more bytes. Behind the last block of a
   * slab, and while the slab goes away, the index is one of a record all the same. */
  const size_t offset = (uintptr_t)data - view->data;
  *record = &view->records[(size_t)(offset * view->inverse >> 43) & (SB_PRIV_SLAB_BLOCKS_MAX - 1)];
  return SB_PRIV_LIKELY((*record)->block.data == data);
}

static inline bool sb_priv_slab_record(const sb_priv_slab *slab, const void *data, sb_priv_record **record) {
  const sb_priv_slab_view view = sb_priv_slab_look(slab);
  return sb_priv_slab_view_record(&view, data, record);
}

static inline uint8_t sb_priv_record_state(const sb_priv_record *record) {
  return atomic_load_explicit(&record->block.state, memory_order_relaxed);
}

static inline sb_priv_slab *sb_priv_slab_of(const sb_priv_record *record) { return record->block.token; }

static inline void sb_priv_record_set(sb_priv_record *record, uint8_t state) {
  atomic_store_explicit(&record->block.state, state, memory_order_relaxed);
}

/* Changes the state if it is `from`. */
static inline bool sb_priv_record_exchange(sb_priv_record *record, uint8_t from, uint8_t to) {
  return atomic_compare_exchange_strong_explicit(&record->block.state, &from, to, memory_order_relaxed, memory_order_relaxed);
}

/* ---- threads ---- */

/* A thread keeps free blocks of the pools it uses in magazines, which are arrays and not lists through the blocks or their records: those of
 * a block that another thread put are cold, and a list would wait for one after the other. The thread uses its magazines without lock or
 * atomic exchange. Whoever else must reach them (to trim or close a pool, or to fork) first makes the thread stay away:
 *
 *   the thread: busy = 1; if (revoked == 0) use the magazines; busy = 0      the other: revoked++; barrier; wait for busy == 0; ...; revoked--
 *
 * For either to see the other a barrier must stand between the thread's store and its load. The other one causes it, by the system call
 * membarrier, so that it costs the thread nothing; where the system does not have that, the thread's store is an atomic exchange.
 *
 * The thread itself uses its magazines without being busy while it holds the lock of their pool: whoever else does holds it too.
 *
 * Each record of a thread (sb_priv_thread) and each of its caches has one owner at every moment:
 *
 *   the record    its thread, from thread_get until thread_end adds it to the free ones, which belong to threads_lock. A fork holds that lock.
 *   a cache       its record's owner while it has no pool; the pool's lock from cache_attach, by the record's owner, until cache_release sets its
 *                 pool to NULL, which is the last that is done to it
 *
 * A thread gives its record away only when none of its caches has a pool. So whoever holds the lock of a pool, and found a cache in its list, may
 * revoke and restore the gate of that record: it is the same thread's until cache_release. A record is free with a gate that nobody has revoked
 * and a thread that is not busy, and the next thread finds it so. */

#define SB_PRIV_MAGAZINE_MAX 62u                         /* blocks in a magazine, which then takes 1 KiB */
#define SB_PRIV_MAGAZINE_MIN 8u                          /* fewer are not worth having one */
#define SB_PRIV_MAGAZINE_BYTES_MAX ((size_t)1024 * 1024) /* bytes in a magazine */
#define SB_PRIV_SLOTS 64u                                /* pools that can have magazines at one time; the others do with their lock */

/* A free block. Its address could be had from the record, but the processor would wait: a put finds the record by several steps from the
 * address, and the next get would have to wait for all of them before it could return. */
typedef struct sb_priv_item {
  void *data;
  sb_priv_record *record;
} sb_priv_item;

/* The counts of a magazine in one word, so that one load and one store do: the low bits are the bytes of the items in it, which saves
 * multiplying; the others count the blocks ever taken from it. */
#define SB_PRIV_MAGAZINE_FILLED 0x3ffu /* the low bits */
#define SB_PRIV_MAGAZINE_TAKEN 10      /* where the others begin */

typedef struct sb_priv_magazine {
  _Alignas(SB_PRIV_CACHE_LINE) _Atomic uint64_t counts;
  uint64_t capacity;         /* bytes of items; 0: all goes through the lock */
  _Atomic uint64_t reserves; /* blocks taken from it as an sb_block */
  _Atomic uint64_t releases; /* the same put into it */
  sb_priv_item items[SB_PRIV_MAGAZINE_MAX];
} sb_priv_magazine;

static_assert(sizeof(sb_priv_magazine) == 1024, "a magazine's address is found by a shift");
static_assert(SB_PRIV_MAGAZINE_MAX * sizeof(sb_priv_item) <= SB_PRIV_MAGAZINE_FILLED, "the bytes of all items have room in the counts");

struct sb_priv_thread;

/* What a thread has for a pool. */
typedef struct sb_priv_cache {
  _Atomic(sb_pool *) pool; /* NULL: none; changes under the lock of the pool that it was or will be */
  struct sb_priv_thread *thread;
  sb_priv_magazine *magazines; /* one per class; the one for larger blocks, behind the last class, stays empty */
  struct sb_priv_cache *next;  /* in the pool's list */
  struct sb_priv_cache *previous;
} sb_priv_cache;

/* What says whether a thread may use its magazines. */
typedef struct sb_priv_gate {
  _Alignas(SB_PRIV_CACHE_LINE) _Atomic uint32_t busy;
  _Atomic uint32_t revoked; /* how many others make it stay away; SB_PRIV_EXCHANGES besides where membarrier is missing */
} sb_priv_gate;

#define SB_PRIV_EXCHANGES 0x80000000u

/* What belongs to a thread. It is recycled but never freed. Its 2 MiB are address space: pages are touched as magazines are used. */
typedef struct sb_priv_thread {
  sb_priv_gate gate;                /* first, so that one is found from the other */
  struct sb_priv_thread *next;      /* in the list of all */
  struct sb_priv_thread *next_free; /* in the list of those whose thread has ended */
  bool ended;
  sb_priv_cache caches[SB_PRIV_SLOTS];                                    /* by slot of the pool */
  sb_priv_magazine magazines[SB_PRIV_SLOTS + 1][SB_POOL_CLASSES_MAX + 1]; /* the last ones, for pools without a slot, stay empty */
} sb_priv_thread;

static inline uint32_t sb_priv_magazine_at(uint32_t slot, uint32_t class_index) {
  return (uint32_t)(offsetof(sb_priv_thread, magazines) + (slot * (SB_POOL_CLASSES_MAX + 1) + class_index) * sizeof(sb_priv_magazine));
}

/* The gate of the calling thread, or one that is revoked for good and belongs to none. A pointer of 8 bytes with the initial-exec model, because finding it is then one
 * load; the general model calls a function at each get and put. The price: the C library must have some bytes of static thread storage left
 * when the library is loaded by dlopen. glibc keeps a reserve for that; musl does not load such libraries, so there it is the general model. */
#if defined(__GLIBC__)
#define SB_PRIV_TLS_MODEL __attribute__((visibility("hidden"), tls_model("initial-exec")))
#else
#define SB_PRIV_TLS_MODEL __attribute__((visibility("hidden")))
#endif
extern __thread sb_priv_gate *sb_priv_thread_own SB_PRIV_TLS_MODEL;

/* Whether the thread may use its magazines, until sb_priv_thread_leave, which must be called in any case. */
static inline bool sb_priv_thread_enter(sb_priv_gate *gate) {
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, &gate->busy);
  atomic_store_explicit(&gate->busy, 1, memory_order_relaxed);
  SB_PRIV_STEP(SB_PRIV_STEP_LOOK, &gate->revoked);
  atomic_signal_fence(memory_order_seq_cst); /* the compiler keeps the order; membarrier sees to the CPU */
  return atomic_load(&gate->revoked) == 0;
}

/* The same for a thread that exchanges; false for others. */
static inline bool sb_priv_thread_enter_exchanging(sb_priv_gate *gate) {
  if ((atomic_load(&gate->revoked) & SB_PRIV_EXCHANGES) == 0) return false;
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, &gate->busy);
  (void)atomic_exchange(&gate->busy, 1);
  SB_PRIV_STEP(SB_PRIV_STEP_LOOK, &gate->revoked);
  return atomic_load(&gate->revoked) == SB_PRIV_EXCHANGES;
}

static inline void sb_priv_thread_leave(sb_priv_gate *gate) {
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, &gate->busy);
  atomic_store_explicit(&gate->busy, 0, memory_order_release);
}

/* The magazine of a thread that has entered. */
static inline sb_priv_magazine *sb_priv_thread_magazine(sb_priv_gate *gate, uint32_t magazine_at) {
  return (sb_priv_magazine *)(void *)((uint8_t *)gate + magazine_at);
}

/* The calling thread's own, made if need be; NULL if that can't be, or the thread is ending. */
sb_priv_thread *sb_priv_thread_open(void);
/* Makes the threads of all caches in the list stay away from their magazines. The pool's lock is held. */
void sb_priv_thread_revoke(sb_priv_cache *caches);
/* Lets the thread of one of them use its magazines again. */
void sb_priv_thread_restore(sb_priv_cache *cache);
/* For fork, around which the locks of all pools are held: makes all threads stay away and keeps new ones from coming, and lets them again; in
 * the child, where the others are gone, gives their caches back. */
void sb_priv_thread_revoke_all(void);
void sb_priv_thread_restore_all(bool in_child);
/* Waits a moment, for something that takes another thread some nanoseconds. No point where a thread can be cancelled: the caller holds locks. */
void sb_priv_pause(void);
#ifndef NDEBUG
/* For tests that play several threads on one: does what the end of the calling thread would. */
void sb_priv_thread_end_played(void);
#endif

/* ---- magazines ---- */

/* Only one thread at a time changes the counts of a magazine, so a store does; others read them for statistics. */
static inline uint64_t sb_priv_magazine_counts(const sb_priv_magazine *magazine) {
  return atomic_load_explicit(&magazine->counts, memory_order_relaxed);
}

static inline void sb_priv_magazine_set_counts(sb_priv_magazine *magazine, uint64_t counts) {
  atomic_store_explicit(&magazine->counts, counts, memory_order_relaxed);
}

/* Blocks in it. */
static inline uint32_t sb_priv_magazine_count(const sb_priv_magazine *magazine) {
  return (uint32_t)((sb_priv_magazine_counts(magazine) & SB_PRIV_MAGAZINE_FILLED) / sizeof(sb_priv_item));
}

/* Blocks ever taken from it. */
static inline uint64_t sb_priv_magazine_taken(const sb_priv_magazine *magazine) {
  return sb_priv_magazine_counts(magazine) >> SB_PRIV_MAGAZINE_TAKEN;
}

/* The item `filled` bytes behind the first. */
static inline sb_priv_item *sb_priv_magazine_item(sb_priv_magazine *magazine, uint64_t filled) {
  return (sb_priv_item *)(void *)((uint8_t *)magazine->items + filled);
}

static inline void sb_priv_magazine_add(_Atomic uint64_t *counter) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Whether a free block is still what it was. If it was put twice in the same instant, the other one may count; and its slab may have gone since. */
static inline bool sb_priv_item_valid(sb_priv_item item) {
  return SB_PRIV_LIKELY(sb_priv_record_state(item.record) == SB_PRIV_BLOCK_CACHED) && SB_PRIV_LIKELY(item.record->block.data == item.data);
}

/* Takes the last block of a magazine and gives it `state`. False if there is none, or if the last one was put twice in the same instant and the
 * other one counts: it is no longer there then. */
static inline bool sb_priv_magazine_pop(sb_priv_magazine *magazine, uint8_t state, sb_priv_item *taken) {
  SB_PRIV_FORGET(magazine);
  SB_PRIV_STEP(SB_PRIV_STEP_LOOK, magazine);
  const uint64_t counts = sb_priv_magazine_counts(magazine), filled = counts & SB_PRIV_MAGAZINE_FILLED;
  if (!SB_PRIV_LIKELY(filled > 0)) return false;
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, magazine);
  const sb_priv_item item = sb_priv_magazine_item(magazine, filled)[-1];
  sb_priv_magazine_set_counts(magazine, counts + ((uint64_t)1 << SB_PRIV_MAGAZINE_TAKEN) - sizeof item);
  if (!SB_PRIV_LIKELY(sb_priv_item_valid(item))) {
    sb_priv_magazine_set_counts(magazine, counts - sizeof item); /* nothing was taken */
    return false;
  }
  sb_priv_record_set(item.record, state);
  if (state == SB_PRIV_BLOCK_COUNTED) sb_priv_magazine_add(&magazine->reserves);
  *taken = item;
  return true;
}

/* The opposite, for a block that was in `state`; false if the magazine is full. */
static inline bool sb_priv_magazine_push(sb_priv_magazine *magazine, void *data, sb_priv_record *record, uint8_t state) {
  SB_PRIV_FORGET(magazine);
  SB_PRIV_STEP(SB_PRIV_STEP_LOOK, magazine);
  const uint64_t counts = sb_priv_magazine_counts(magazine), filled = counts & SB_PRIV_MAGAZINE_FILLED;
  if (!SB_PRIV_LIKELY(filled < magazine->capacity)) return false;
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, magazine);
  sb_priv_record_set(record, SB_PRIV_BLOCK_CACHED);
  *sb_priv_magazine_item(magazine, filled) = (sb_priv_item){data, record};
  sb_priv_magazine_set_counts(magazine, counts + sizeof(sb_priv_item));
  if (state == SB_PRIV_BLOCK_COUNTED) sb_priv_magazine_add(&magazine->releases);
  return true;
}

/* ---- pools ---- */

#define SB_PRIV_BUNDLE_MAX (SB_PRIV_MAGAZINE_MAX / 2)
#define SB_PRIV_CLASS_HINTS 256 /* one for each 256 bytes of size, the last one for all larger sizes */

/* Half of a magazine, on its way from one thread to another. */
typedef struct sb_priv_bundle {
  struct sb_priv_bundle *next;
  uint32_t count;
  sb_priv_item items[SB_PRIV_BUNDLE_MAX];
} sb_priv_bundle;

typedef struct sb_priv_class {
  uint32_t block_size;
  uint32_t kept_max;
  uint64_t hits; /* those of magazines of today not counted */
  uint64_t misses;
  uint64_t taken;
  uint64_t kept;     /* in lists of slabs */
  uint64_t batched;  /* in batches */
  uint64_t reserved; /* capacities of magazines */
  uint64_t outstanding_max;
  uint64_t reserves; /* blocks taken as an sb_block; those of magazines of today not counted */
  uint64_t releases; /* the same put back */
  uint64_t slab_count;
  sb_priv_bundle *batches;
  sb_priv_slab *slabs[SB_PRIV_SLAB_LISTS];
  sb_priv_slab *slabs_last[SB_PRIV_SLAB_LISTS];
} sb_priv_class;

struct sb_pool {    // NOLINT(clang-analyzer-optin.performance.Padding): what changes has cache lines of its own
  sb_memory memory; /* first, because the pool is its own provider; the handle is an owner of it, and retirement comes with the last */

  /* What get and put read without the lock. It does not change while the pool is open. The atomics are for gets by a handle, which may read a
   * structure that becomes another pool's (pool_handle.c). */
  _Alignas(SB_PRIV_CACHE_LINE) _Atomic uint32_t magazines_at; /* where a thread has its magazine for the first class */
  _Atomic uint32_t quick_at[SB_PRIV_CLASS_HINTS];        /* by hint: what sb_priv_quick_at tells; 0 where a hint's sizes differ in that */
  _Atomic uint8_t class_hints[SB_PRIV_CLASS_HINTS];      /* where to begin searching the class for a size */
  _Atomic uint32_t block_sizes[SB_POOL_CLASSES_MAX + 1]; /* sorted; the one behind the last is for larger blocks, and holds any size */
  uint32_t class_count;                                  /* without the one for larger blocks */
  uint32_t slot;                                         /* where threads have their caches; SB_PRIV_SLOTS: nowhere */
  uint32_t alignment;
  bool zero_on_get;
  bool poison_on_put;
  bool guard_pages;
  bool with_lock;                 /* no magazines: something is done with each block that is put */
  struct sb_priv_tracing *traces; /* NULL: none */
  uint64_t bytes_max;             /* UINT64_MAX: none */
  uint64_t thread_bytes_max;      /* 0: each class has its own */
  char name[64];

  _Alignas(SB_PRIV_CACHE_LINE) pthread_mutex_t lock; /* of what follows, up to refused_puts */
  bool retired;
  uint64_t taken;               /* blocks, as in the classes */
  uint64_t bytes_held;          /* bytes of blocks that are not fresh */
  uint64_t bytes_large;         /* bytes of blocks above the largest class that are out */
  uint64_t bytes_large_counted; /* those of them that are out as an sb_block */
  sb_priv_cache *caches;
  sb_priv_bundle *free_batches;
  sb_priv_class classes[SB_POOL_CLASSES_MAX + 1];
  _Atomic uint64_t failures;
  _Atomic uint64_t refused_puts;
  _Atomic uint32_t handle_count; /* of sb_pool_handle */
  sb_pool *next;                 /* in the list of all pools, or of free structures */
  sb_pool *previous;
  sb_pool *next_made; /* in the list of both */
};

#define SB_PRIV_SIZE_HINT(size) (((size) - 1) / 256) /* beyond all for 0 */

/* The class for a size of which `hint` is SB_PRIV_SIZE_HINT. */
static inline uint32_t sb_priv_class_of(const sb_pool *pool, size_t size, size_t hint) {
  uint32_t index = atomic_load_explicit(&pool->class_hints[hint], memory_order_relaxed);
  while (!SB_PRIV_LIKELY(atomic_load_explicit(&pool->block_sizes[index], memory_order_relaxed) >= size)) index++;
  return index;
}

/* Where a thread has its magazine of a class. */
static inline uint32_t sb_priv_class_at(const sb_pool *pool, uint32_t class_index) {
  return atomic_load_explicit(&pool->magazines_at, memory_order_relaxed) + class_index * (uint32_t)sizeof(sb_priv_magazine);
}

/* Where a thread has the magazine from which a get of `size` bytes may be served without more ado; one that is always empty if the pool does
 * something with each block. */
static inline uint32_t sb_priv_quick_at(const sb_pool *pool, size_t size, size_t hint) {
  const uint32_t at = atomic_load_explicit(&pool->quick_at[hint], memory_order_relaxed);
  return SB_PRIV_LIKELY(at != 0) ? at : sb_priv_class_at(pool, sb_priv_class_of(pool, size, hint));
}

/* ---- traces ---- */

/* Where blocks were taken. All of it is under the pool's lock. */
#define SB_PRIV_FRAMES_MAX 8u

typedef struct sb_priv_frames {
  uint32_t count;
  const void *addresses[SB_PRIV_FRAMES_MAX]; /* return addresses, the caller's first */
} sb_priv_frames;

/* Notes the calls that lead to `caller`, the address that a function of the API returns to, or all if it is NULL. Takes no lock of ours. */
void sb_priv_frames_take(sb_priv_frames *frames, const void *caller);
/* What a pool that traces needs, or NULL; nothing is noted before sb_priv_trace_note. */
struct sb_priv_tracing *sb_priv_tracing_open(void);
void sb_priv_tracing_close(struct sb_priv_tracing *tracing);
/* Notes that a block is out, and where it was taken. */
void sb_priv_trace_note(struct sb_priv_tracing *tracing, sb_priv_record *record, const sb_priv_frames *frames);
/* Gives the place of a block another tag. */
sb_status sb_priv_trace_tag(struct sb_priv_tracing *tracing, sb_priv_record *record, const char *tag);
/* Notes that a block is back. */
void sb_priv_trace_forget(sb_priv_record *record);
/* Copies the place at `index`; false if there is none. `frames` may be named without the lock by sb_priv_frames_name. */
bool sb_priv_trace_get(const struct sb_priv_tracing *tracing, size_t index, sb_pool_place *place, sb_priv_frames *frames);
void sb_priv_frames_name(const sb_priv_frames *frames, char *text, size_t size);

/* ---- handles ---- */

/* Sees to it that no handle leads to the pool any more, and that no call by one is inside. */
void sb_priv_pool_handles_close(sb_pool *pool);
/* For fork: nobody is changing handles while they are locked. */
void sb_priv_pool_handles_lock(void);
void sb_priv_pool_handles_unlock(bool in_child);

/* What pool_depot.c does. The pool's lock is held, but by sb_priv_depot_thread_ended. */

/* Takes a block of at least `size` bytes, of the class at `class_index`, and gives it `state`. `thread` is the calling thread's own, or NULL;
 * `*zero` says whether the block was never used. */
sb_status sb_priv_depot_take(sb_pool *pool, sb_priv_thread *thread, uint32_t class_index, size_t size, uint8_t state,
                             sb_priv_record **record, bool *zero);
/* Puts a block that was out in `state`. Returns whether that ended the pool. */
bool sb_priv_depot_put(sb_pool *pool, sb_priv_thread *thread, sb_priv_record *record, uint8_t state);
/* Gives kept blocks back to the system, the largest first, until the pool holds `bytes` bytes or less, or none is left; those in magazines too,
 * if it takes them. */
void sb_priv_depot_shrink(sb_pool *pool, uint64_t bytes, bool magazines);
/* Gives all kept blocks back, and sees to it that none is kept from now on. Returns whether that ended the pool. */
bool sb_priv_depot_retire(sb_pool *pool);
/* What the class at `index` did so far. */
sb_pool_class_stats sb_priv_depot_class_stats(sb_pool *pool, uint32_t index);
/* Adds what the pool did as a provider. */
void sb_priv_depot_memory_stats(const sb_pool *pool, sb_memory_stats *stats);
/* Gives back what the caches of a thread that has ended hold. `locked` says that the caller holds the locks of all pools;
 * otherwise the caller holds none. */
void sb_priv_depot_thread_ended(sb_priv_thread *thread, bool locked);

/* The default pool, made at first use; borrowed. */
sb_status sb_priv_pool_default(struct sb_pool **pool);
/* The block size of that pool's class for `size` bytes; `size` where no class is so large. */
size_t sb_priv_default_class_size(size_t size);
/* How many blocks are out as an sb_block, of all pools. */
int64_t sb_priv_pools_live_blocks(void);

#endif
