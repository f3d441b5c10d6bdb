#ifndef RECORDING_H
#define RECORDING_H

/* What recorder.c writes and replay.c reads: one of these, then the path, the second path, and the data, for each call that changes files,
 * in the order in which the calls returned. */

#include <stdint.h>

enum {
  CALL_WRITE = 1,
  CALL_SYNC,
  CALL_SYNC_FOLDER,
  CALL_CREATE,
  CALL_OPEN, /* of a file that was there, by a call that would have made it; `offset` 1: and emptied it */
  CALL_TRUNCATE,
  CALL_RENAME,
  CALL_LINK,
  CALL_UNLINK,
  CALL_EXCHANGE /* two names change places */
};

typedef struct recorded {
  uint32_t call, path_size, other_size, data_size;
  uint64_t offset; /* of a write; size of a truncation */
} recorded;

/* The file, beside the store, that the worker writes its marks into, one line per write. "try N", "ok N", "failed N", "synced N": operation N
 * begins, was acknowledged, was refused and will be tried again, must be on disk. "hold" and "go": what comes between is the test's own doing,
 * a crash in which says nothing. "torn OFFSET": from there on the store's file has bytes that are no records. */
#define MARKS "marks"

#endif
