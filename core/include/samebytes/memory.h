#ifndef SAMEBYTES_MEMORY_H
#define SAMEBYTES_MEMORY_H

#include <samebytes/status.h>

SB_BEGIN_DECLS

/** # Memory: providers, and the blocks they give
 *
 *  An sb_memory is a provider of memory: a pool, the heap, or a wrapper around another one. Everything in this library that holds bytes is
 *  given a provider when it is made; NULL means the process-wide default pool.
 *
 *      sb_memory *memory = NULL;
 *      if (sb_memory_open_heap(&memory) != SB_OK) return 1;
 *      sb_block *block = NULL;
 *      if (sb_memory_get_block(memory, 4096, &block) == SB_OK) {
 *        memset(sb_block_data(block), 0, sb_block_size(block));
 *        sb_block_close(block);
 *      }
 *      sb_memory_close(memory);
 *
 *  ## Ownership
 *  Handles are counted: each sb_memory * and sb_block * is closed once by its owner. Blocks keep their provider alive, so a provider may be
 *  closed before them. The library keeps the count of a block, so a provider never sees that a block is shared: it gets one release per
 *  block, after the last owner has gone, and needs no hook for clones.
 *
 *  ## Threads and fork
 *  Providers are thread-safe. A block may be retained and closed on any thread; writing to its bytes is up to its owners. After a fork
 *  each process has its own copy.
 *
 *  ## Errors
 *  SB_NO_MEMORY when a provider has none left, SB_PROVIDER when it broke its contract, SB_IO when it provides shared memory and the system
 *  refused a file or a mapping; sb_memory_get_failure has the details. A failed call changes nothing.
 *
 *  ## Limits
 *  A block has 1 to SB_BLOCK_SIZE_MAX bytes. */

#define SB_BLOCK_SIZE_MAX 0xffe00000u /* bytes: 4 GiB less 2 MiB, so that rounding up to any alignment still fits 32 bits */

typedef struct sb_memory sb_memory;
typedef struct sb_block sb_block;

/** What a provider has done so far. */
typedef struct sb_memory_stats {
  uint32_t struct_size; /**< bytes; the caller sets it to sizeof(sb_memory_stats) */
  uint32_t reserved;    /**< 0 */
  uint64_t reserves;    /**< blocks given */
  uint64_t releases;    /**< blocks taken back */
  uint64_t live_bytes;  /**< bytes of the blocks that are out */
  uint64_t failures;    /**< requests that failed */
} sb_memory_stats;

/** Opens a handle to the process-wide default pool, the provider that NULL stands for.
 *
 *  Ownership: the caller closes `*memory`; the pool itself stays.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_memory_open_default(SB_OUT SB_OWNED sb_memory **memory);

/** Opens a provider that takes each block from the C library's heap.
 *
 *  Ownership: the caller closes `*memory`.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_memory_open_heap(SB_OUT SB_OWNED sb_memory **memory);

/** Opens a provider whose blocks have exactly `block_size` bytes, whatever is asked for. It is for testing code that must cope with bytes
 *  in many pieces.
 *
 *  Ownership: the caller closes `*memory`.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `block_size` is 0 or above SB_BLOCK_SIZE_MAX; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_memory_open_fixed(uint32_t block_size, SB_OUT SB_OWNED sb_memory **memory);

/** Opens a provider that passes everything on to `inner` and counts it, to show that nothing leaks and to make requests fail.
 *
 *  Ownership: the caller closes `*memory`, which keeps `inner` (the default pool if NULL) alive by itself.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_memory_open_tracing(SB_IN SB_NULLABLE sb_memory *inner, SB_OUT SB_OWNED sb_memory **memory);

/** Returns another owner of the same provider.
 *
 *  Ownership: the caller closes the result as well as `memory`.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD SB_OWNED sb_memory *sb_memory_retain(sb_memory *memory);

/** Gets one block of at least `size` bytes. It is exclusive: nobody else can see it until it is shared.
 *
 *  Ownership: the caller closes `*block`.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `size` is 0 or above SB_BLOCK_SIZE_MAX; SB_NO_MEMORY; SB_PROVIDER when the provider's blocks are
 *  smaller than `size`; SB_IO when the system refuses shared memory for a reason other than lack of memory.
 *  Since: 1.0 */
SB_API SB_METHOD SB_CALLS_BACK sb_status sb_memory_get_block(sb_memory *memory, size_t size, SB_OUT SB_OWNED sb_block **block);

/** Gets what the provider has done so far. This includes the default pool and other pools.
 *
 *  Ownership: `stats` is the caller's.      Threads: any; while others use the provider, the numbers may be from slightly different times.
 *  Errors: SB_INVALID_ARGUMENT when struct_size is smaller than in version 1.0.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_memory_get_stats(sb_memory *memory, SB_OUT sb_memory_stats *stats);

/** Makes the `nth` request from now on fail with SB_NO_MEMORY, 1 being the next one; 0 lets all succeed again.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: SB_UNSUPPORTED when the provider is not a tracing one.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_memory_fail_reserve(sb_memory *memory, uint64_t nth);

/** Closes the handle. NULL is allowed. The provider lives until its last handle and its last block have gone.
 *
 *  Ownership: takes `memory`.      Threads: any; nobody may use this handle during or after the call.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_memory_close(SB_TAKES SB_NULLABLE sb_memory *memory);

/** Returns how many blocks are out, of all providers of this library image together: compare it before and after to see that nothing leaks.
 *  Memory from sb_pool_get is not an sb_block, and is counted by sb_pool_get_stats only.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_FUNCTION int64_t sb_memory_live_blocks(void);

/** Returns another owner of the same block. Its bytes are shared from then on.
 *
 *  Ownership: the caller closes the result as well as `block`.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD SB_OWNED sb_block *sb_block_retain(sb_block *block);

/** Returns the address of the block's bytes, aligned to at least 64.
 *
 *  Ownership: valid until the last owner closes the block.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BORROWED(block) void *sb_block_data(const sb_block *block);

/** Returns the size of the block in bytes; it may be larger than what was asked for.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_block_size(const sb_block *block);

/** Returns whether the block has one owner and no slices, so that its owner may write: nobody else sees the bytes.
 *
 *  Ownership: none.      Threads: any; true stays true while the caller, being that owner, shares nothing; false may become true.
 *  Errors: none; NULL is not exclusive.
 *  Since: 1.0 */
SB_API SB_METHOD bool sb_block_is_exclusive(const sb_block *block);

/** Opens the provider that the block came from and returns to.
 *
 *  Ownership: the caller closes `*memory`.      Threads: any.
 *  Errors: SB_CLOSED when the block outlived its pool.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_block_memory(const sb_block *block, SB_OUT SB_OWNED sb_memory **memory);

/** Checks that `block` was made by this image of the library. A block that another part of the process passed as an address may belong to a
 *  second image, whose pools this one does not know: check it before any other use. (sb_check_instance checks whole parts.)
 *
 *  Ownership: borrowed, even when it is refused: only the image that made it can close it.      Threads: any.
 *  Errors: SB_UNSUPPORTED when a second image of the same major version made it; the message names both, and what to do.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_block_check_instance(const sb_block *block, SB_OUT SB_NULLABLE sb_error *error);

/** Checks that `memory` was made by this image of the library, as sb_block_check_instance does for a block.
 *
 *  Ownership: borrowed, even when it is refused.      Threads: any.
 *  Errors: as sb_block_check_instance.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_memory_check_instance(const sb_memory *memory, SB_OUT SB_NULLABLE sb_error *error);

/** Gives the block metadata, which every slice of it shows from then on (sb_view_span_metadata): a number, and an address of something
 *  constant, such as a table that says what the number means. Providers may set it when they make the block. Both are 0 at first.
 *
 *  Ownership: what is at `metadata` must not change or be freed while anybody may still use a slice of the block; the library never reads
 *  it.
 *  Threads: any; nobody else may read the block's metadata meanwhile.
 *  Errors: SB_BUSY when the block has other owners.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_block_set_metadata(sb_block *block, uint64_t key,
                                                 SB_IN SB_NULLABLE SB_BORROWED(forever) const void *metadata);

/** Gets the block's metadata.
 *
 *  Ownership: `*metadata` belongs to whoever set it.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_block_get_metadata(const sb_block *block, SB_OUT uint64_t *key,
                                                 SB_OUT SB_BORROWED(forever) const void **metadata);

/** Closes one owner's handle. NULL is allowed. The last one gives the memory back to its provider.
 *
 *  Ownership: takes `block`.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_block_close(SB_TAKES SB_NULLABLE sb_block *block);

SB_END_DECLS

#endif
