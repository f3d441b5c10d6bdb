#ifndef SAMEBYTES_POOL_H
#define SAMEBYTES_POOL_H

#include <samebytes/memory.h>

SB_BEGIN_DECLS

/** # Pool: memory that is handed out and taken back without malloc
 *
 *  A pool keeps blocks of a few sizes for reuse. The same pool serves C, Python and Go in one process.
 *
 *      sb_pool_options options;
 *      sb_pool_options_init(&options, sizeof options);
 *      const sb_pool_class classes[] = {{512, 1000}, {4096, 1000}, {16384, 1000}};
 *      options.classes = classes;
 *      options.class_count = 3;
 *      sb_pool *pool = NULL;
 *      if (sb_pool_open(&options, &pool) != SB_OK) return 1;
 *      void *data = NULL;
 *      if (sb_pool_get(pool, 100, &data) == SB_OK) {
 *        memset(data, 0, 100);
 *        (void)!sb_pool_put(pool, data);
 *      }
 *      sb_pool_close(pool);
 *
 *  ## Ownership
 *  A block belongs to whoever got it until it is put back. Blocks outlive sb_pool_close: those that are out stay valid, and the
 *  last one put back frees the pool.
 *
 *  ## Threads and fork
 *  Every function may be called from any thread at any time, sb_pool_close aside: nobody may use the handle after it, and blocks that
 *  are still out go back by sb_pool_put(NULL, data). A forked child gets its own copy of the pool; blocks that other threads held at
 *  the fork count as outstanding there.
 *
 *  ## Errors
 *  A size of 0 or above SB_BLOCK_SIZE_MAX is SB_INVALID_ARGUMENT. A pointer that is not a block of this pool, or that has been put
 *  back already, is SB_INVALID_ARGUMENT, and nothing changes.
 *
 *  ## Limits
 *  At most SB_POOL_CLASSES_MAX classes. Alignment is at most SB_POOL_ALIGNMENT_MAX. */

#define SB_POOL_CLASSES_MAX 32
#define SB_POOL_ALIGNMENT_MAX 0x200000u /* bytes */

typedef struct sb_pool sb_pool;

/** One size of block. Frozen: it never grows. */
typedef struct sb_pool_class {
  uint32_t block_size; /**< bytes, 1 to SB_BLOCK_SIZE_MAX */
  uint32_t kept_max;   /**< free blocks kept for reuse, by all threads together; more are given back to the system */
} sb_pool_class;

/** How a pool works. 0 in every field is the default. */
typedef struct sb_pool_options {
  uint32_t struct_size;                                           /**< bytes; sb_pool_options_init sets it */
  uint32_t class_count;                                           /**< items in `classes` */
  SB_NULLABLE SB_COUNT(class_count) const sb_pool_class *classes; /**< in any order; NULL: 512, 4096, 16384, 65536 and 1048576 bytes */
  uint64_t bytes_max;                                             /**< bytes the pool may hold, out and kept together; 0: no limit */
  uint32_t alignment;           /**< bytes, a power of two up to SB_POOL_ALIGNMENT_MAX, for every block; 0: 64 */
  bool zero_on_get;             /**< blocks come filled with zeros */
  bool poison_on_put;           /**< blocks are filled with 0xDB when they are put back, to make use after put visible */
  uint16_t reserved;            /**< 0 */
  SB_NULLABLE const char *name; /**< for statistics and reports, at most 63 bytes, copied; NULL: none */
} sb_pool_options;

/** What one size class of a pool did so far. */
typedef struct sb_pool_class_stats {
  uint32_t struct_size;     /**< bytes; the caller sets it to sizeof(sb_pool_class_stats) */
  uint32_t block_size;      /**< bytes; 0 for the blocks above the largest class */
  uint64_t hits;            /**< gets served by a kept block */
  uint64_t misses;          /**< gets that needed fresh memory */
  uint64_t outstanding;     /**< blocks that are out */
  uint64_t kept;            /**< free blocks kept for reuse */
  uint64_t outstanding_max; /**< most blocks that were out at one time */
} sb_pool_class_stats;

/** What a pool did so far, over all classes. */
typedef struct sb_pool_stats {
  uint32_t struct_size;  /**< bytes; the caller sets it to sizeof(sb_pool_stats) */
  uint32_t class_count;  /**< classes, without the one for larger blocks */
  uint64_t bytes_in_use; /**< bytes of blocks that are out */
  uint64_t bytes_kept;   /**< bytes of free blocks kept for reuse */
  uint64_t outstanding;  /**< blocks that are out */
  uint64_t failures;     /**< gets that failed */
  uint64_t refused_puts; /**< puts of a foreign pointer or of a block that had been put back */
} sb_pool_stats;

/** Fills `options` with the defaults, never writing past `struct_size` bytes.
 *
 *  Ownership: `options` is the caller's.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_INIT void sb_pool_options_init(SB_OUT sb_pool_options *options, size_t struct_size);

/** Makes a pool.
 *
 *  Ownership: the caller closes `*pool` with sb_pool_close; `options` is borrowed for the call; NULL means the defaults.
 *  Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when a class has size 0, two classes have one size, there are too many of them, or the alignment is not a
 *  power of two up to 2 MiB; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_pool_open(SB_IN SB_NULLABLE const sb_pool_options *options, SB_OUT SB_OWNED sb_pool **pool);

/** Gets a block of at least `size` bytes and stores its address in `*data`. Its content is what the last user left, unless the pool zeroes.
 *
 *  Ownership: the caller puts `*data` back with sb_pool_put.
 *  Threads: any.
 *  Errors: SB_INVALID_ARGUMENT for a size of 0 or above SB_BLOCK_SIZE_MAX; SB_NO_MEMORY at the pool's byte limit or the system's end.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_get(sb_pool *pool, size_t size, SB_OUT SB_OWNED SB_COUNT(size) void **data);

/** Puts `data` back. Size, class and pool are found from the address, so that they can't be given wrongly; `pool` may be NULL.
 *
 *  Ownership: `data` is taken over, unless an error is returned.
 *  Threads: any, also another than the one that got it.
 *  Errors: SB_INVALID_ARGUMENT when `data` is NULL, is no block of this pool, or has been put back already.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_put(SB_NULLABLE sb_pool *pool, SB_TAKES void *data);

/** Gets a block of at least `size` bytes as a counted handle.
 *
 *  Ownership: the caller closes `*block`; closing the last owner is the put.
 *  Threads: any.
 *  Errors: as sb_pool_get.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_get_block(sb_pool *pool, size_t size, SB_OUT SB_OWNED sb_block **block);

/** Opens the pool as a memory provider.
 *
 *  Ownership: the caller closes `*memory`; the pool lives until that and its blocks have gone, also after sb_pool_close.
 *  Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_memory(sb_pool *pool, SB_OUT SB_OWNED sb_memory **memory);

/** Gives kept blocks back to the system.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_METHOD SB_BLOCKING void sb_pool_trim(sb_pool *pool);

/** Tells what the pool did so far.
 *
 *  Ownership: `stats` is the caller's.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when struct_size is too small to be one of ours.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_get_stats(sb_pool *pool, SB_OUT sb_pool_stats *stats);

/** Tells what the class at `index` did so far. Classes are sorted by size; the index class_count stands for blocks above the largest.
 *
 *  Ownership: `stats` is the caller's.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when struct_size is too small to be one of ours; SB_OUT_OF_RANGE when there is no such class.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_get_class_stats(sb_pool *pool, uint32_t index, SB_OUT sb_pool_class_stats *stats);

/** Closes the handle. NULL is allowed.
 *
 *  Ownership: takes `pool`; blocks that are out stay valid.
 *  Threads: nobody may use `pool` during or after the call.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_pool_close(SB_TAKES SB_NULLABLE sb_pool *pool);

SB_END_DECLS

#endif
