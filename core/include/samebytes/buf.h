#ifndef SAMEBYTES_BUF_H
#define SAMEBYTES_BUF_H

#include <samebytes/view.h>

SB_BEGIN_DECLS

/** # Buf: bytes being written
 *
 *  An sb_buf is a filled part, then room. Bytes are put at the end of the filled part; what is filled is taken as an immutable view
 *  while the room stays writable.
 *
 *      sb_buf *buf = NULL;
 *      if (sb_buf_open(NULL, &buf) != SB_OK) return 1;
 *      sb_view *view = NULL;
 *      if (sb_buf_reserve(buf, 5) == SB_OK && sb_buf_put(buf, "hello", 5) == SB_OK && sb_buf_take(buf, 5, &view) == SB_OK)
 *        send_view(view);
 *      sb_view_close(view);
 *      sb_buf_close(buf);
 *
 *  ## Ownership
 *  A buf owns its blocks; a view that is taken from it keeps those blocks alive that it shows.
 *
 *  ## Threads and fork
 *  One user of a buf at a time. Views taken from it may be used elsewhere at the same time.
 *
 *  ## Errors
 *  SB_OUT_OF_RANGE when the room or the filled part is too small; SB_NO_MEMORY; a call that fails leaves the buf unchanged.
 *
 *  ## Limits
 *  Sizes are those of memory. */

typedef struct sb_buf sb_buf;

/** Makes an empty buf without room whose memory comes from `memory`.
 *
 *  Ownership: the caller closes `*buf`, which keeps the provider alive by itself.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_buf_open(SB_IN SB_NULLABLE sb_memory *memory, SB_OUT SB_OWNED sb_buf **buf);

/** Makes an empty buf whose room is all of `blocks`, in that order. Memory that it needs beyond that comes from `memory`.
 *
 *  Ownership: takes all of `blocks`; the caller closes `*buf`.      Threads: any.
 *  Errors: SB_BUSY when a block has other owners, who could write; SB_INVALID_ARGUMENT when one is NULL or stands there twice;
 *  SB_TOO_LARGE when they exceed the address space together; SB_NO_MEMORY. The blocks stay the caller's then.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_buf_from_blocks(SB_TAKES SB_COUNT(count) sb_block *const *blocks, size_t count,
                                                   SB_IN SB_NULLABLE sb_memory *memory, SB_OUT SB_OWNED sb_buf **buf);

/** Returns the number of filled bytes.
 *
 *  Ownership: none.      Threads: one user of `buf` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_buf_size(const sb_buf *buf);

/** Returns how many bytes can be put before more room must be reserved.
 *
 *  Ownership: none.      Threads: one user of `buf` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_buf_room(const sb_buf *buf);

/** Makes sure that there is room for at least `size` bytes.
 *
 *  Ownership: none.      Threads: one user of `buf` at a time.
 *  Errors: SB_NO_MEMORY; SB_TOO_LARGE when the filled part and the room would exceed the address space.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_reserve(sb_buf *buf, size_t size);

/** Adds `size` bytes at `data` to the end of the filled part of `buf`, across blocks where needed.
 *
 *  Ownership: `data` is borrowed for the call.      Threads: one user of `buf` at a time.
 *  Errors: SB_OUT_OF_RANGE if the room is smaller than `size`; `buf` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_put(sb_buf *buf, SB_IN SB_COUNT(size) const void *data, size_t size);

/** Adds the bytes of `view` at the end of the filled part without copying. The room after it stays.
 *
 *  Ownership: `view` is borrowed for the call; the buf shares its blocks.      Threads: one user of each at a time.
 *  Errors: SB_NO_MEMORY; `buf` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_put_view(sb_buf *buf, const sb_view *view);

/** Makes a view of all filled bytes; they stay in the buf as well.
 *
 *  Ownership: the caller closes `*view`.      Threads: one user of `buf` at a time.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_peek(const sb_buf *buf, SB_OUT SB_OWNED sb_view **view);

/** Takes the first `size` filled bytes out as a view. The rest stays filled, the room stays writable.
 *
 *  Ownership: the caller closes `*view`.      Threads: one user of `buf` at a time.
 *  Errors: SB_OUT_OF_RANGE when fewer are filled; SB_NO_MEMORY; `buf` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_take(sb_buf *buf, size_t size, SB_OUT SB_OWNED sb_view **view);

/** Begins direct writing: stores address and size of the first piece of room, for reading from a socket for example. Room is not
 *  filled before sb_buf_commit; without it nothing happened.
 *
 *  Ownership: `*data` may be written until the next call on `buf`.      Threads: one user of `buf` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no room.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_begin(sb_buf *buf, SB_OUT SB_BORROWED(buf) SB_COUNT(size) void **data, SB_OUT size_t *size);

/** Ends direct writing: the first `size` bytes of the piece that sb_buf_begin gave are filled.
 *
 *  Ownership: none.      Threads: one user of `buf` at a time.
 *  Errors: SB_OUT_OF_RANGE when the piece is smaller; `buf` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_commit(sb_buf *buf, size_t size);

/** Drops all filled bytes. The room stays.
 *
 *  Ownership: none.      Threads: one user of `buf` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_METHOD void sb_buf_clear(sb_buf *buf);

/** Closes the buf. NULL is allowed. Views taken from it stay valid.
 *
 *  Ownership: takes `buf`.      Threads: one user of `buf` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_buf_close(SB_TAKES SB_NULLABLE sb_buf *buf);

SB_END_DECLS

#endif
