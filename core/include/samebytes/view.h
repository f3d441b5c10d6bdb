#ifndef SAMEBYTES_VIEW_H
#define SAMEBYTES_VIEW_H

#include <samebytes/memory.h>

SB_BEGIN_DECLS

/** # View: immutable bytes that are shared, not copied
 *
 *  An sb_view is a sequence of bytes that lie in one or more blocks ("spans"). Copying a view, or taking a range of it, shares the
 *  blocks; the bytes never change while a view shows them.
 *
 *      sb_view *view = NULL, *middle = NULL;
 *      if (sb_view_open("0123456789", 10, NULL, &view) != SB_OK) return 1;
 *      if (sb_view_range(view, 3, 4, &middle) == SB_OK) {   // "3456", the same memory
 *        char text[4];
 *        (void)!sb_view_read(middle, text, sizeof text);
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

typedef struct sb_view sb_view;

/** Makes a view of a copy of the `size` bytes at `data`, in memory of `memory`.
 *
 *  Ownership: the caller closes `*view`; `data` is borrowed for the call.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `data` is NULL and `size` is not 0; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_view_open(SB_IN SB_NULLABLE SB_COUNT(size) const void *data, size_t size,
                                             SB_IN SB_NULLABLE sb_memory *memory, SB_OUT SB_OWNED sb_view **view);

/** Makes a view of the first `size` bytes of `block` without copying. Nobody may write to them from then on.
 *
 *  Ownership: takes this handle of `block`; the caller closes `*view`.      Threads: any.
 *  Errors: SB_BUSY when the block has other owners, who could write; SB_OUT_OF_RANGE when it is smaller than `size`; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_view_open_block(SB_TAKES sb_block *block, size_t size, SB_OUT SB_OWNED sb_view **view);

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

/** Tells the metadata of the block that the span at `index` lies in, as sb_block_set_metadata or the provider gave it; 0 and NULL when
 *  nobody did.
 *
 *  Ownership: `*metadata` belongs to who gave it.      Threads: one user of `view` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such span.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_span_metadata(const sb_view *view, size_t index, SB_OUT uint64_t *key,
                                                 SB_OUT SB_BORROWED(forever) const void **metadata);

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
SB_API SB_METHOD sb_status sb_view_flatten(const sb_view *view, SB_IN SB_NULLABLE sb_memory *memory, SB_OUT SB_OWNED sb_view **flat);

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
SB_API SB_METHOD sb_status sb_view_read(sb_view *view, SB_OUT SB_COUNT(size) void *data, size_t size);

/** Copies the `size` bytes that start at `offset` to `data`; the view keeps them.
 *
 *  Ownership: `data` is the caller's.      Threads: one user of `view` at a time.
 *  Errors: SB_OUT_OF_RANGE when the view ends before; `data` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_view_copy_bytes(const sb_view *view, size_t offset, SB_OUT SB_COUNT(size) void *data, size_t size);

/** Tells whether both views show the same bytes, however they are cut into spans.
 *
 *  Ownership: none.      Threads: one user of each at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD bool sb_view_equals(const sb_view *view, const sb_view *other);

/** Closes the view. NULL is allowed.
 *
 *  Ownership: takes `view`; blocks that nobody else shows are given back.      Threads: one user of `view` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_view_close(SB_TAKES SB_NULLABLE sb_view *view);

SB_END_DECLS

#endif
