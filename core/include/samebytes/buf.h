#ifndef SAMEBYTES_BUF_H
#define SAMEBYTES_BUF_H

#include <samebytes/view.h>

SB_BEGIN_DECLS

/** # Buf: bytes being written
 *
 *  An sb_buf has a filled part, followed by room. Bytes are put at the end of the filled part; what is filled is taken as an immutable view
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
 *  A buf owns its blocks; a view taken from it keeps the blocks that it shows alive.
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

/** Makes an empty buf without room. Its memory will come from `memory`.
 *
 *  Ownership: the caller closes `*buf`, which keeps the provider alive by itself.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_buf_open(SB_IN SB_NULLABLE sb_memory *memory, SB_OUT SB_OWNED sb_buf **buf);

/** Makes an empty buf whose room is all of `blocks`, in that order. Memory that it needs beyond that comes from `memory`.
 *
 *  Ownership: takes all of `blocks`; the caller closes `*buf`.      Threads: any.
 *  Errors: SB_BUSY when a block has other owners, who could write; SB_INVALID_ARGUMENT when one is NULL or is listed twice; SB_TOO_LARGE
 *  when together they exceed the address space; SB_NO_MEMORY. On failure the blocks stay the caller's.
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
SB_API SB_METHOD SB_CALLS_BACK sb_status sb_buf_reserve(sb_buf *buf, size_t size);

/** Adds `size` bytes at `data` to the end of the filled part of `buf`, across blocks where needed.
 *
 *  Ownership: `data` is borrowed for the call.      Threads: one user of `buf` at a time.
 *  Errors: SB_OUT_OF_RANGE if the room is smaller than `size`; `buf` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_put(sb_buf *buf, SB_IN SB_COUNT(size) const void *data, size_t size);

/** Adds one byte.
 *
 *  Ownership: none.      Threads: one user of `buf` at a time.
 *  Errors: SB_OUT_OF_RANGE if there is no room.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_put_byte(sb_buf *buf, uint8_t byte);

/** Adds the same byte `count` times.
 *
 *  Ownership: none.      Threads: one user of `buf` at a time.
 *  Errors: SB_OUT_OF_RANGE if the room is smaller than `count`; `buf` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_put_repeated(sb_buf *buf, uint8_t byte, size_t count);

/** Adds `value` as an integer of `size` bytes (1, 2, 4 or 8), across blocks where needed. Cast an unsigned one to int64_t through the signed
 *  type of its size.
 *
 *  Ownership: none.      Threads: one user of `buf` at a time.
 *  Errors: SB_INVALID_ARGUMENT when `size` is any other number, or `order` is not one of SB_ORDER_...; SB_OUT_OF_RANGE when `value` does
 *  not fit `size` bytes, or the room is smaller. `buf` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_put_int(sb_buf *buf, int64_t value, uint32_t size, int32_t order);

/** Adds `value` as a floating-point number (IEEE 754) of `size` bytes (4 or 8). In 4 bytes it is rounded to the nearest.
 *
 *  Ownership: none.      Threads: one user of `buf` at a time.
 *  Errors: SB_INVALID_ARGUMENT when `size` is any other number, or `order` is not one of SB_ORDER_...; SB_OUT_OF_RANGE when `value` is
 *  finite but beyond the largest number of 4 bytes, or the room is smaller. `buf` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_put_float(sb_buf *buf, double value, uint32_t size, int32_t order);

/** Adds the bytes of `view` at the end of the filled part without copying. The room after it stays.
 *
 *  Ownership: `view` is borrowed for the call; the buf shares its blocks.      Threads: one user of each at a time.
 *  Errors: SB_NO_MEMORY; `buf` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_put_view(sb_buf *buf, const sb_view *view);

/** Makes a view of all filled bytes, which also stay in the buf.
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

/** Begins direct writing: stores address and size of the first piece of room, for reading from a socket for example. Nothing counts as
 *  filled until sb_buf_commit.
 *
 *  Ownership: `*data` may be written until the next call on `buf`.      Threads: one user of `buf` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no room.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_begin(sb_buf *buf, SB_OUT SB_BORROWED(buf) SB_COUNT(size) void **data, SB_OUT size_t *size);

/** Begins direct writing to all pieces of room, at most `iovec_max`, for readv or recvmsg; `*iovec_count` is their number. Room is filled
 *  in the order of the pieces, by sb_buf_commit.
 *
 *  Ownership: the pieces may be written until the next call on `buf`.      Threads: one user of `buf` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no room, or `iovec_max` is 0.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_begin_iovec(sb_buf *buf, SB_OUT SB_COUNT(iovec_max) sb_iovec *iovec, size_t iovec_max,
                                              SB_OUT size_t *iovec_count);

/** Ends direct writing: the first `size` bytes of the pieces that sb_buf_begin or sb_buf_begin_iovec gave are filled. Calls that use or take
 *  room in between (put, split_room) have ended it already.
 *
 *  Ownership: none.      Threads: one user of `buf` at a time.
 *  Errors: SB_OUT_OF_RANGE when the pieces are smaller, or nothing was begun; `buf` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_commit(sb_buf *buf, size_t size);

/** Ends direct writing without filling anything: it is as if sb_buf_begin had not been called.
 *
 *  Ownership: none.      Threads: one user of `buf` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_METHOD void sb_buf_abort(sb_buf *buf);

/** Splits the last `size` bytes of room off into a buf of their own, which can be filled separately, on another thread if need be.
 *
 *  Ownership: the caller closes `*other`; its provider is that of `buf`.      Threads: one user of `buf` at a time.
 *  Errors: SB_OUT_OF_RANGE when the room is smaller; SB_NO_MEMORY; `buf` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_split_room(sb_buf *buf, size_t size, SB_OUT SB_OWNED sb_buf **other);

/** Opens the provider that the room comes from.
 *
 *  Ownership: the caller closes `*memory`.      Threads: one user of `buf` at a time.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_memory(const sb_buf *buf, SB_OUT SB_OWNED sb_memory **memory);

/** Checks that the provider and the memory of `buf` are of this image of the library, as sb_block_check_instance does for a block. A buf on the
 *  default pool that holds nothing has none, and passes.
 *
 *  Ownership: borrowed, even when it is refused.      Threads: one user of `buf` at a time.
 *  Errors: as sb_block_check_instance.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_buf_check_instance(const sb_buf *buf, SB_OUT SB_NULLABLE sb_error *error);

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
