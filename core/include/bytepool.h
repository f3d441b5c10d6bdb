#ifndef BYTEPOOL_H
#define BYTEPOOL_H

/* Since: 1.0
 *
 * The three functions by which programs written for cgobytepool get memory in C, on a pool of samebytes, without a call into Go.
 *
 * `context` is the address of a cell that holds a handle: in C a uint64_t from sb_pool_handle, in Go what bytepool.CgoHandle returned. A handle
 * that was freed, or never was one, gives NULL and no crash. All three may be called from any thread.
 *
 * A program may define these names itself (as Go's //export does) and still link to the library: then its own are used. */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef BYTEPOOL_API
#define BYTEPOOL_API /* the library itself defines it: weak and exported */
#endif

/* Gets `size` bytes. NULL when the size is 0 or above 4 GiB - 2 MiB, when there is no memory, when the pool has been closed, and when
 * there is no such handle. */
BYTEPOOL_API void *bytepool_get(void *context, size_t size);

/* Puts `data` back. The size of the block is known to the pool, so `size` is not used and cannot be wrong. NULL, anything that is not a
 * block of that pool, and anything that has been put back already are ignored. It works after the pool has been closed, but not after
 * bytepool_free. */
BYTEPOOL_API void bytepool_put(void *context, void *data, size_t size);

/* Frees the handle. The pool lives until it is closed and its blocks are back. */
BYTEPOOL_API void bytepool_free(void *context);

#ifdef __cplusplus
}
#endif

#endif
