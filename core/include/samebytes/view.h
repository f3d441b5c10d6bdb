#ifndef SAMEBYTES_VIEW_H
#define SAMEBYTES_VIEW_H

#include <samebytes/memory.h>

SB_BEGIN_DECLS

/** # View: immutable bytes that are shared, not copied
 *
 *  An sb_view is a sequence of bytes that lie in one or more blocks ("spans"). Copying a view, or taking a range of it, shares the blocks;
 *  the bytes never change while a view shows them. Functions named read remove bytes from the front; those named peek or copy leave them.
 *
 *      sb_view *view = NULL, *middle = NULL;
 *      if (sb_view_open("0123456789", 10, NULL, &view) != SB_OK) return 1;
 *      if (sb_view_range(view, 3, 4, &middle) == SB_OK) {   // "3456", the same memory
 *        char text[4];
 *        (void)!sb_view_read_bytes(middle, text, sizeof text);
 *        sb_view_close(middle);
 *      }
 *      sb_view_close(view);
 *
 *  ## Ownership
 *  Each view owns a share of its blocks, and is closed once. Views made from a view are independent of it.
 *
 *  ## Threads and fork
 *  One user of a view at a time; any number of views of the same bytes on any threads.
 *
 *  ## Errors
 *  SB_OUT_OF_RANGE for an offset or size past the end, and the view is unchanged; SB_NO_MEMORY.
 *
 *  ## Limits
 *  Any number of spans; sizes are those of memory. */

/** In which order the bytes of a number lie. */
enum {
  SB_ORDER_BIG = 0,   /**< the most significant byte first, as on the wire */
  SB_ORDER_LITTLE = 1 /**< the least significant byte first */
};

typedef struct sb_view sb_view;
typedef struct sb_pin sb_pin;

/** A piece of memory. It has the layout of struct iovec of <sys/uio.h>, so an array of them may be cast for writev, sendmsg and the like.
 *  Frozen. */
typedef struct sb_iovec {
  void *data;  /**< where it lies */
  size_t size; /**< bytes */
} sb_iovec;

/** Makes a view of a copy of the `size` bytes at `data`, in memory of `memory`.
 *
 *  Ownership: the caller closes `*view`; `data` is borrowed for the call.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `data` is NULL and `size` is not 0; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR SB_CALLS_BACK sb_status sb_view_open(SB_IN SB_NULLABLE SB_COUNT(size) const void *data, size_t size,
                                                           SB_IN SB_NULLABLE sb_memory *memory, SB_OUT SB_OWNED sb_view **view);

/** Makes a view of the first `size` bytes of `block` without copying. Nobody may write to them from then on.
 *
 *  Ownership: takes this handle of `block`; the caller closes `*view`.      Threads: any.
 *  Errors: SB_BUSY when the block has other owners, who could write; SB_OUT_OF_RANGE when it is smaller than `size`; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_view_open_block(SB_TAKES sb_block *block, size_t size, SB_OUT SB_OWNED sb_view **view);

/** Makes a view of the bytes of all `views`, one after another, without copying.
 *
 *  Ownership: the caller closes `*view`; `views` are borrowed for the call.      Threads: one user of each at a time.
 *  Errors: SB_INVALID_ARGUMENT when one of `views` is NULL; SB_TOO_LARGE; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_view_open_concat(SB_IN SB_COUNT(view_count) sb_view *const *views, size_t view_count,
                                                    SB_OUT SB_OWNED sb_view **view);

/** Returns the number of bytes.
 *
 *  Ownership: none.      Threads: one user of `view` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_view_size(const sb_view *view);

/** Returns the number of spans; none is empty.
 *
 *  Ownership: none.      Threads: one user of `view` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_view_span_count(const sb_view *view);

/** Stores address and size of the span at `index`.
 *
 *  Ownership: `*data` is valid until `view` is changed or closed.      Threads: one user of `view` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such span.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_span(const sb_view *view, size_t index, SB_OUT SB_BORROWED(view) SB_COUNT(size) const void **data,
                                        SB_OUT size_t *size);

/** Gets the metadata of the block that the span at `index` lies in, as sb_block_set_metadata or the provider set it; 0 and NULL when nobody
 *  did.
 *
 *  Ownership: `*metadata` belongs to whoever set it.      Threads: one user of `view` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such span.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_span_metadata(const sb_view *view, size_t index, SB_OUT uint64_t *key,
                                                 SB_OUT SB_BORROWED(forever) const void **metadata);

/** Stores the pieces of the bytes from `offset` on, at most `iovec_max` of them, for writev or sendmsg; `*iovec_count` is their number. The
 *  pieces are read only, whatever the type says.
 *
 *  Ownership: the pieces are valid until `view` is changed or closed.      Threads: one user of `view` at a time.
 *  Errors: SB_OUT_OF_RANGE when the view ends before `offset`.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_get_iovec(const sb_view *view, size_t offset, SB_OUT SB_COUNT(iovec_max) sb_iovec *iovec,
                                             size_t iovec_max, SB_OUT size_t *iovec_count);

/** Keeps the bytes of the span at `index` where they are until the pin is closed, whatever becomes of `view`: for the kernel or another
 *  language that uses the address from sb_view_span. It takes no memory. To pin all spans, keep an sb_view_copy.
 *
 *  Ownership: the caller closes `*pin`, on any thread.      Threads: one user of `view` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such span.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_pin(const sb_view *view, size_t index, SB_OUT SB_OWNED sb_pin **pin);

/** Opens the provider that the memory of the first span comes from; for an empty view, the default pool.
 *
 *  Ownership: the caller closes `*memory`.      Threads: one user of `view` at a time.
 *  Errors: SB_CLOSED when the provider has been closed and lives only until its last block is back; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_memory(const sb_view *view, SB_OUT SB_OWNED sb_memory **memory);

/** Checks that the memory of all spans was made by this image of the library, as sb_block_check_instance does for a block. An empty view has
 *  none, and passes.
 *
 *  Ownership: borrowed, even when it is refused.      Threads: one user of `view` at a time.
 *  Errors: as sb_block_check_instance.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_check_instance(const sb_view *view, SB_OUT SB_NULLABLE sb_error *error);

/** Makes another view of the same bytes.
 *
 *  Ownership: the caller closes `*copy`.      Threads: one user of `view` at a time.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_copy(const sb_view *view, SB_OUT SB_OWNED sb_view **copy);

/** Makes a view of the `size` bytes that start at `offset`.
 *
 *  Ownership: the caller closes `*range`.      Threads: one user of `view` at a time.
 *  Errors: SB_OUT_OF_RANGE when the view ends before; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_range(const sb_view *view, size_t offset, size_t size, SB_OUT SB_OWNED sb_view **range);

/** Makes a view of the same bytes in one span. A view that has one span already is shared, others are copied to `memory`.
 *
 *  Ownership: the caller closes `*flat`.      Threads: one user of `view` at a time.
 *  Errors: SB_TOO_LARGE above SB_BLOCK_SIZE_MAX; SB_PROVIDER when the provider's blocks are smaller; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD SB_CALLS_BACK sb_status sb_view_flatten(const sb_view *view, SB_IN SB_NULLABLE sb_memory *memory,
                                                         SB_OUT SB_OWNED sb_view **flat);

/** Adds the bytes of `other`, without copying them, at the end of `view`. `other` may be `view`.
 *
 *  Ownership: `other` is borrowed for the call.      Threads: one user of each at a time.
 *  Errors: SB_NO_MEMORY; `view` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_append(sb_view *view, const sb_view *other);

/** Removes the first `size` bytes.
 *
 *  Ownership: blocks that no longer show any byte are given back.      Threads: one user of `view` at a time.
 *  Errors: SB_OUT_OF_RANGE when there are fewer; `view` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_skip(sb_view *view, size_t size);

/** Copies the first `size` bytes to `data` and removes them: all or nothing.
 *
 *  Ownership: `data` is the caller's.      Threads: one user of `view` at a time.
 *  Errors: SB_OUT_OF_RANGE when there are fewer; `view` and `data` are then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_read_bytes(sb_view *view, SB_OUT SB_COUNT(size) void *data, size_t size);

/** Copies the `size` bytes that start at `offset` to `data`; the view keeps them.
 *
 *  Ownership: `data` is the caller's.      Threads: one user of `view` at a time.
 *  Errors: SB_OUT_OF_RANGE when the view ends before; `data` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_copy_bytes(const sb_view *view, size_t offset, SB_OUT SB_COUNT(size) void *data, size_t size);

/** Stores the integer of `size` bytes that the view begins with, and removes it. For an unsigned one cast `*value` to that type.
 *
 *  Ownership: none.      Threads: one user of `view` at a time.
 *  Errors: SB_INVALID_ARGUMENT when `size` is not 1, 2, 4 or 8, or `order` is not one of SB_ORDER_...; SB_OUT_OF_RANGE when there are fewer
 *  bytes. `view` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_read_int(sb_view *view, uint32_t size, int32_t order, SB_OUT int64_t *value);

/** Stores the floating-point number (IEEE 754) of `size` bytes that the view begins with, and removes it.
 *
 *  Ownership: none.      Threads: one user of `view` at a time.
 *  Errors: SB_INVALID_ARGUMENT when `size` is not 4 or 8, or `order` is not one of SB_ORDER_...; SB_OUT_OF_RANGE when there are fewer
 *  bytes. `view` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_read_float(sb_view *view, uint32_t size, int32_t order, SB_OUT double *value);

/** Stores the integer of `size` bytes that begins at `offset`; the view keeps it.
 *
 *  Ownership: none.      Threads: one user of `view` at a time.
 *  Errors: as sb_view_read_int.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_peek_int(const sb_view *view, size_t offset, uint32_t size, int32_t order, SB_OUT int64_t *value);

/** Stores the floating-point number (IEEE 754) of `size` bytes that begins at `offset`; the view keeps it.
 *
 *  Ownership: none.      Threads: one user of `view` at a time.
 *  Errors: as sb_view_read_float.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_peek_float(const sb_view *view, size_t offset, uint32_t size, int32_t order, SB_OUT double *value);

/** Returns whether both views show the same bytes, however they are cut into spans.
 *
 *  Ownership: none.      Threads: one user of each at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD bool sb_view_equals(const sb_view *view, const sb_view *other);

/** Orders views by their bytes, as memcmp does, however they are cut into spans: -1 when `view` comes first, 0 when both are equal, 1
 *  otherwise. A view comes before a longer one that begins with the same bytes.
 *
 *  Ownership: none.      Threads: one user of each at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD int32_t sb_view_compare(const sb_view *view, const sb_view *other);

/** Returns a hash of the bytes, the same however they are cut into spans. A different `seed` gives a different hash. It is the same on all
 *  machines, but may change in the next version, so do not store it; it does not protect against somebody who knows the seed.
 *
 *  Ownership: none.      Threads: one user of `view` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD uint64_t sb_view_hash(const sb_view *view, uint64_t seed);

/** Closes the view. NULL is allowed.
 *
 *  Ownership: takes `view`; blocks that nobody else shows are given back.      Threads: one user of `view` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_view_close(SB_TAKES SB_NULLABLE sb_view *view);

/** Closes the pin, so that the bytes may be released. NULL is allowed.
 *
 *  Ownership: takes `pin`.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_pin_close(SB_TAKES SB_NULLABLE sb_pin *pin);

SB_END_DECLS

#endif
