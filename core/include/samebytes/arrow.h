#ifndef SAMEBYTES_ARROW_H
#define SAMEBYTES_ARROW_H

#include <samebytes/parser.h>
#include <samebytes/visits.h>

#if !defined(SB_GENERATE)
/* The structures of the Arrow C data interface and of its C stream interface, frozen by their specification. As the specification asks,
 * whichever header comes first declares them. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *schema);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *array);
  void *private_data;
};

#endif
#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream *stream, struct ArrowSchema *schema);
  int (*get_next)(struct ArrowArrayStream *stream, struct ArrowArray *array);
  const char *(*get_last_error)(struct ArrowArrayStream *stream);
  void (*release)(struct ArrowArrayStream *stream);
  void *private_data;
};

#endif
#endif

SB_BEGIN_DECLS

/** # Arrow: messages and visits for data frames and databases
 *
 *  What was decoded or stored goes to Arrow, and so to pyarrow, Polars, DuckDB and whatever else reads the Arrow C data interface, without
 *  a file in between and without another library.
 *
 *      struct ArrowSchema type;
 *      struct ArrowArray array;
 *      sb_error error;
 *      if (sb_batch_export_arrow(batch, 0, SB_STRINGS_BINARY, &type, &array, &error) != SB_OK) fail(error.message);
 *      consume(&type, &array);   // releases both
 *
 *  A batch becomes one struct array per schema, with the columns `sequence` and `api_key` (int8), `stream_offset` (int64), then one per
 *  field: integers as they are, strings as binary or utf8, arrays as lists. Where a field has the name of one of the first three, that
 *  column is called `frame.sequence` and so on.
 *
 *  Visits become a stream of struct arrays with the columns `user_id` and `visit_id` (uint32), `url` and `text` (utf8 or binary) and `time`
 *  (timestamp in nanoseconds, UTC).
 *
 *  ## Ownership
 *  The caller owns the structures. The function overwrites their content; the caller, or whoever it passes them to, calls their `release`.
 *  What is exported is a copy: it stays valid when everything it came from is closed, and parts of it may be moved out.
 *
 *  ## Threads and fork
 *  Exported data is not tied to a thread: several may read it, and any may release it.
 *
 *  ## Errors
 *  Strings are bytes; Arrow's utf8 must be UTF-8. SB_STRINGS_UTF8 checks them, and a string that is not UTF-8 is SB_INVALID_ARGUMENT with
 *  an error that names it. After a failure the structures are as they were.
 *
 *  ## Limits
 *  An array holds less than 2 GiB of each column's strings; one of visits also at most SB_ARROW_ROWS_MAX rows. */

#define SB_ARROW_ROWS_MAX 65536 /* visits in one array of a stream */

/** What strings become. */
enum {
  SB_STRINGS_BINARY = 0, /**< Arrow's binary: any bytes */
  SB_STRINGS_UTF8 = 1    /**< Arrow's utf8: text, checked */
};

/** Describes what a batch exports for messages of `schema`: fills `arrow_schema`, a struct type.
 *
 *  Ownership: the caller calls `arrow_schema->release`.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `strings` is not one of SB_STRINGS_...; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_schema_export_arrow(const sb_schema *schema, int32_t strings,
                                                  SB_OUT SB_FOREIGN(struct ArrowSchema) * arrow_schema, SB_OUT SB_NULLABLE sb_error *error);

/** Copies the rows of `batch` that follow the schema at `schema_index` of the parser into `arrow_array`, a struct array, and describes it
 *  in `arrow_schema`.
 *
 *  Ownership: the caller calls `release` of both; they may outlive the batch.      Threads: one user of `batch` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such schema; SB_INVALID_ARGUMENT when `strings` is not one of SB_STRINGS_..., or a string is
 *  not UTF-8, with field and stream_offset of its row in `error`; SB_TOO_LARGE when the strings of a column are 2 GiB or more;
 *  SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_batch_export_arrow(const sb_batch *batch, size_t schema_index, int32_t strings,
                                                             SB_OUT SB_FOREIGN(struct ArrowSchema) * arrow_schema,
                                                             SB_OUT SB_FOREIGN(struct ArrowArray) * arrow_array,
                                                             SB_OUT SB_NULLABLE sb_error *error);

/** Does what sb_batch_export_arrow does, but as a stream of one struct array, which is the form in which data frames and databases read
 *  tables.
 *
 *  Ownership: the caller calls `arrow_stream->release`; it may outlive the batch.      Threads: one user of `batch` at a time.
 *  Errors: as sb_batch_export_arrow.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_batch_export_arrow_stream(const sb_batch *batch, size_t schema_index, int32_t strings,
                                                                    SB_OUT SB_FOREIGN(struct ArrowArrayStream) * arrow_stream,
                                                                    SB_OUT SB_NULLABLE sb_error *error);

/** Copies the visits of a snapshot into a stream.
 *
 *  Ownership: the caller calls `arrow_stream->release`; it may outlive the snapshot.      Threads: one user of `visits` at a time.
 *  Errors: SB_INVALID_ARGUMENT when `strings` is not one of SB_STRINGS_..., or a string is not UTF-8, with its field in `error`, and visit
 *  and user in the message; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visits_export_arrow_stream(const sb_visits *visits, int32_t strings,
                                                                     SB_OUT SB_FOREIGN(struct ArrowArrayStream) * arrow_stream,
                                                                     SB_OUT SB_NULLABLE sb_error *error);

/** Copies all visits into a stream, by user ascending, newest first for each: a snapshot, as sb_visit_manager_scan takes it, that needs as
 *  much memory as there are visits. If that is too much, export what sb_visit_scan_next returns, piece by piece.
 *
 *  Ownership: the caller calls `arrow_stream->release`; it may outlive the manager.      Threads: any.
 *  Errors: as sb_visits_export_arrow_stream, and as sb_visit_scan_next.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_export_arrow_stream(sb_visit_manager *manager, int32_t strings,
                                                                            SB_OUT SB_FOREIGN(struct ArrowArrayStream) * arrow_stream,
                                                                            SB_OUT SB_NULLABLE sb_error *error);

SB_END_DECLS

#endif
