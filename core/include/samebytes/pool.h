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
 *  Every function except sb_pool_close may be called from any thread at any time. Nobody may use the handle after sb_pool_close; blocks
 *  that are still out go back through sb_pool_put(NULL, data). A forked child gets its own copy of the pool; blocks that other threads held
 *  at the fork count as outstanding there.
 *
 *  ## Errors
 *  A size of 0 or above SB_BLOCK_SIZE_MAX is SB_INVALID_ARGUMENT. A pointer that is not a block of this pool, or that has been put
 *  back already, is SB_INVALID_ARGUMENT, and nothing changes.
 *
 *  ## Finding misuse
 *  Three options make a pool slower, and make misuse visible. `poison_on_put` fills what is put back, so that a later read sees 0xDBDB...
 *  `guard_pages` gives each block pages of its own between pages that nobody may touch, and takes its pages away when it is put back: an
 *  access past its end or after the put stops the program (SIGSEGV) where it happens. `trace` notes for every block where it was taken;
 *  sb_pool_get_place shows how many blocks taken at each place are still out.
 *
 *  ## Limits
 *  At most SB_POOL_CLASSES_MAX classes. Alignment is at most SB_POOL_ALIGNMENT_MAX. At most SB_POOL_MANY_MAX blocks in one call. A pool
 *  with guard pages can have about 30,000 blocks out and kept together, because Linux limits the mappings of a process. */

#define SB_POOL_CLASSES_MAX 32
#define SB_POOL_ALIGNMENT_MAX 0x200000u /* bytes */
#define SB_POOL_MANY_MAX 1024           /* blocks in one call */

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
  bool guard_pages;             /**< each block lies between pages that nobody may touch, and cannot be touched after it is put back */
  bool trace;                   /**< notes where each block was taken, for sb_pool_get_place */
  SB_NULLABLE const char *name; /**< for statistics and reports, at most 63 bytes, copied; NULL: none */
  uint64_t thread_bytes_max;    /**< bytes of free blocks that one thread may keep for itself; 0: 62 blocks or 1 MiB of each class */
} sb_pool_options;

/** What one size class of a pool has done so far. */
typedef struct sb_pool_class_stats {
  uint32_t struct_size;     /**< bytes; the caller sets it to sizeof(sb_pool_class_stats) */
  uint32_t block_size;      /**< bytes; 0 for the blocks above the largest class */
  uint64_t hits;            /**< gets served by a kept block */
  uint64_t misses;          /**< gets that needed fresh memory */
  uint64_t outstanding;     /**< blocks that are out */
  uint64_t kept;            /**< free blocks kept for reuse */
  uint64_t outstanding_max; /**< most blocks out at one time, sampled when a get misses the thread's cache, and on this call */
} sb_pool_class_stats;

/** What a pool has done so far, over all classes. */
typedef struct sb_pool_stats {
  uint32_t struct_size;  /**< bytes; the caller sets it to sizeof(sb_pool_stats) */
  uint32_t class_count;  /**< classes, without the one for larger blocks */
  uint64_t bytes_in_use; /**< bytes of blocks that are out */
  uint64_t bytes_kept;   /**< bytes of free blocks kept for reuse */
  uint64_t outstanding;  /**< blocks that are out */
  uint64_t failures;     /**< gets that failed */
  uint64_t refused_puts; /**< puts of a foreign pointer or of a block that had been put back */
} sb_pool_stats;

/** A place where blocks were taken, as a pool with the option `trace` noted it. */
typedef struct sb_pool_place {
  uint32_t struct_size; /**< bytes; the caller sets it to sizeof(sb_pool_place) */
  uint32_t reserved;    /**< 0 */
  uint64_t blocks;      /**< blocks that were taken there and are out */
  uint64_t bytes;       /**< their bytes */
  uint64_t taken;       /**< blocks that were ever taken there */
  char tag[128];        /**< what sb_pool_tag said, such as a file and line; may be empty */
  char calls[384];      /**< functions, or addresses in a program or library, the caller first; may be empty */
} sb_pool_place;

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
 *  Errors: SB_INVALID_ARGUMENT for a size of 0 or above SB_BLOCK_SIZE_MAX; SB_NO_MEMORY at the pool's byte limit or when the system is out
 *  of memory.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_get(sb_pool *pool, size_t size, SB_OUT SB_OWNED SB_COUNT(size) void **data);

/** Puts `data` back. The size, class and pool are found from the address, so the caller cannot get them wrong; `pool` may be NULL.
 *
 *  Ownership: `data` is taken over, unless an error is returned.
 *  Threads: any, not only the one that got it.
 *  Errors: SB_INVALID_ARGUMENT when `data` is NULL, is not a block of this pool, or has been put back already.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_put(SB_NULLABLE sb_pool *pool, SB_TAKES void *data);

/** Gets `count` blocks of at least `size` bytes each: all of them or none.
 *
 *  Ownership: the caller puts each back with sb_pool_put or sb_pool_put_many, together or one by one.
 *  Threads: any.
 *  Errors: as sb_pool_get; SB_INVALID_ARGUMENT for a count above SB_POOL_MANY_MAX. A count of 0 succeeds and does nothing.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_get_many(sb_pool *pool, size_t size, size_t count, SB_OUT SB_OWNED SB_COUNT(count) void *blocks[]);

/** Puts `count` blocks back: all of them or none. They may be of different classes and, if `pool` is NULL, of different pools.
 *
 *  Ownership: the blocks are taken over, unless an error is returned; the array is borrowed.
 *  Threads: any, not only the one that got them.
 *  Errors: as sb_pool_put, when any of them is wrong or is listed twice: then all stay out. SB_INVALID_ARGUMENT for a count above
 *  SB_POOL_MANY_MAX. A count of 0 succeeds and does nothing. Where another thread wrongly puts one of them at the same instant, the others
 *  may be back when the error is returned.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_put_many(SB_NULLABLE sb_pool *pool, SB_TAKES SB_COUNT(count) void *const blocks[], size_t count);

/** Gets a block of at least `size` bytes as a counted handle.
 *
 *  Ownership: the caller closes `*block`; closing the last owner is the put.
 *  Threads: any.
 *  Errors: as sb_pool_get.
 *  Since: 1.0 */
SB_API SB_METHOD SB_CALLS_BACK sb_status sb_pool_get_block(sb_pool *pool, size_t size, SB_OUT SB_OWNED sb_block **block);

/** Opens the pool as a memory provider.
 *
 *  Ownership: the caller closes `*memory`; the pool lives until that and its blocks have gone, even after sb_pool_close.
 *  Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_memory(sb_pool *pool, SB_OUT SB_OWNED sb_memory **memory);

/** Checks that `pool` was made by this image of the library, as sb_block_check_instance does for a block.
 *
 *  Ownership: borrowed, even when it is refused.      Threads: any.
 *  Errors: as sb_block_check_instance.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_check_instance(const sb_pool *pool, SB_OUT SB_NULLABLE sb_error *error);

/** Gives kept blocks back to the system.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_METHOD SB_BLOCKING void sb_pool_trim(sb_pool *pool);

/** Gets what the pool has done so far.
 *
 *  Ownership: `stats` is the caller's.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when struct_size is smaller than in version 1.0.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_get_stats(sb_pool *pool, SB_OUT sb_pool_stats *stats);

/** Gets what the class at `index` has done so far. Classes are sorted by size; the index class_count stands for blocks above the largest.
 *
 *  Ownership: `stats` is the caller's.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when struct_size is smaller than in version 1.0; SB_OUT_OF_RANGE when there is no such class.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_get_class_stats(sb_pool *pool, uint32_t index, SB_OUT sb_pool_class_stats *stats);

/** Notes where the block at `data` was taken, in a pool with the option `trace`, for sb_pool_get_place to show. `data` may also be the
 *  address of an sb_block's bytes. If the tag is too long its end is kept, because the end of a path is what matters.
 *
 *  Ownership: `data` stays the caller's; `tag` is copied.      Threads: any.
 *  Errors: SB_UNSUPPORTED when the pool does not trace; SB_INVALID_ARGUMENT when `data` is not a block of this pool that is out;
 *  SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_tag(sb_pool *pool, SB_IN void *data, SB_IN const char *tag);

/** Gets how many blocks taken at the place at `index`, from 0, are still out, to find leaks and their owners. A place keeps its index; new
 *  places are added at the end. After 4,096 places all others count as one.
 *
 *  Ownership: `place` is the caller's.      Threads: any.
 *  Errors: SB_UNSUPPORTED when the pool does not trace; SB_OUT_OF_RANGE when there are no more places; SB_INVALID_ARGUMENT when struct_size
 *  is smaller than in version 1.0.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_pool_get_place(sb_pool *pool, size_t index, SB_OUT sb_pool_place *place);

/** Makes a number that stands for the pool where a pointer would be unsafe: unlike a pointer, it cannot dangle. The drop-in functions of
 *  bytepool.h take the address of one. The first ones of a process are random.
 *
 *  Ownership: the caller gives the number back with sb_pool_handle_free; it does not keep the pool open.      Threads: any.
 *  Errors: SB_NO_MEMORY, including when 65,536 handles exist.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pool_handle(sb_pool *pool, SB_OUT uint64_t *handle);

/** Does sb_pool_get for the pool of a handle.
 *
 *  Ownership: the caller puts `*data` back with sb_pool_handle_put or sb_pool_put.      Threads: any, even while another closes the pool.
 *  Errors: as sb_pool_get; SB_NOT_FOUND when there is no such handle; SB_CLOSED when the pool has been closed.
 *  Since: 1.0 */
SB_API SB_FUNCTION sb_status sb_pool_handle_get(uint64_t handle, size_t size, SB_OUT SB_OWNED SB_COUNT(size) void **data);

/** Does sb_pool_put for the pool of a handle, even after the pool has been closed.
 *
 *  Ownership: `data` is taken over, unless an error is returned.      Threads: any, even while another closes the pool.
 *  Errors: as sb_pool_put; SB_NOT_FOUND when there is no such handle.
 *  Since: 1.0 */
SB_API SB_FUNCTION sb_status sb_pool_handle_put(uint64_t handle, SB_TAKES void *data);

/** Gives a handle back: from then on there is no such handle. The pool and its blocks stay as they are.
 *
 *  Ownership: takes the number.      Threads: any.
 *  Errors: SB_NOT_FOUND when there is no such handle.
 *  Since: 1.0 */
SB_API SB_FUNCTION sb_status sb_pool_handle_free(uint64_t handle);

/** Closes the handle. NULL is allowed.
 *
 *  Ownership: takes `pool`; blocks that are out stay valid.
 *  Threads: nobody may use `pool` during or after the call.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_pool_close(SB_TAKES SB_NULLABLE sb_pool *pool);

SB_END_DECLS

#endif
