#ifndef SAMEBYTES_STATUS_H
#define SAMEBYTES_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <samebytes/annotations.h>

SB_BEGIN_DECLS

/** # Status: how a call ended, and where the input was wrong
 *
 *  Every function that can fail returns an sb_status. Functions whose failure needs explaining also take an sb_error, last, which may
 *  be NULL.
 *
 *      sb_error error;
 *      if (sb_builder_add(builder, schema, 0, values, 4, &error) != SB_OK) fprintf(stderr, "%s\n", error.message);
 *
 *  ## Ownership
 *  An sb_error lies in the caller's memory; there is nothing to free. Names and messages of statuses are constants.
 *
 *  ## Threads and fork
 *  Every function may be called from any thread. There is no thread-local last error, because goroutines move between threads.
 *
 *  ## Errors
 *  Outputs are written on success only; an sb_error is written on failure only.
 *
 *  ## Limits
 *  A field name has at most SB_FIELD_NAME_MAX bytes; messages that are longer than 255 bytes are cut. */

/** How a call ended. 0 is success. Numbers are never changed. */
typedef int32_t sb_status;

enum {
  SB_OK = 0,               /**< success */
  SB_NO_MEMORY = 1,        /**< the system or a byte limit has no more memory */
  SB_INVALID_ARGUMENT = 2, /**< an argument that no state of the object would allow */
  SB_OUT_OF_RANGE = 3,     /**< an index, offset or size that the object does not have now */
  SB_NEED_MORE = 4,        /**< the input ends before it is complete */
  SB_TOO_LARGE = 5,        /**< a size above a limit */
  SB_CORRUPT = 6,          /**< the input contradicts its format */
  SB_UNKNOWN_API_KEY = 7,  /**< a frame whose api_key no schema of the parser has */
  SB_NOT_FOUND = 8,        /**< what was asked for does not exist */
  SB_BUSY = 9,             /**< something still uses it */
  SB_LOCKED = 10,          /**< another process or handle has the lock */
  SB_CLOSED = 11,          /**< the object has been closed */
  SB_IO = 12,              /**< the operating system failed to read or write */
  SB_UNSUPPORTED = 13,     /**< this build or object cannot do it */
  SB_PROVIDER = 14,        /**< a memory provider failed or broke its contract */
  SB_UNAVAILABLE = 15,     /**< a service cannot be reached now */
  SB_TIMEOUT = 16          /**< a deadline passed */
};

#define SB_STATUS_COUNT 17   /* statuses, SB_OK to SB_TIMEOUT */
#define SB_FIELD_NAME_MAX 63 /* bytes, without the NUL */
#define SB_NO_FRAME (-1)     /* sb_error.frame, when the failure belongs to no frame */

/** What failed, where, and what to do about it. Frozen: it never grows. */
typedef struct sb_error {
  int32_t status;        /**< the sb_status that was returned, or that a batch reports */
  int32_t system_error;  /**< errno of the system call that failed; 0 when the system refused nothing */
  int64_t stream_offset; /**< bytes from the start of the stream to the failing field; 0 where there is no stream */
  int64_t frame_offset;  /**< bytes from the start of the frame to the failing field */
  int64_t frame;         /**< index of the frame in its stream, counting good and bad ones; SB_NO_FRAME if none */
  char field[64];        /**< the field that failed; empty if none */
  char message[256];     /**< a sentence for people */
} sb_error;

/** Returns the name of `status` as C spells it, such as "SB_CORRUPT", or "SB_UNKNOWN_STATUS" for any other number.
 *
 *  Ownership: a constant.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_FUNCTION SB_BORROWED(forever) const char *sb_status_name(sb_status status);

/** Returns a short description of `status` for people, such as "the input contradicts its format".
 *
 *  Ownership: a constant.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_FUNCTION SB_BORROWED(forever) const char *sb_status_message(sb_status status);

SB_END_DECLS

#endif
