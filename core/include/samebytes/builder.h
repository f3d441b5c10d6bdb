#ifndef SAMEBYTES_BUILDER_H
#define SAMEBYTES_BUILDER_H

#include <samebytes/column.h>
#include <samebytes/schema.h>

SB_BEGIN_DECLS

/** # Builder: from values to frames
 *
 *  A builder turns messages into frames, one after another. The size of a frame is known before its first byte is written.
 *
 *      sb_builder *builder = NULL;
 *      if (sb_builder_open(NULL, &builder) != SB_OK) return 1;
 *      const sb_value values[] = {{.number = 1700000000}, {.data = "hello", .size = 5}};
 *      sb_error error;
 *      if (sb_builder_add(builder, schema, 0, values, 2, &error) != SB_OK) fail(error.message);
 *      sb_view *frames = NULL;
 *      if (sb_builder_take(builder, &frames) == SB_OK) send_view(frames);
 *      sb_view_close(frames);
 *      sb_builder_close(builder);
 *
 *  ## Ownership
 *  A builder owns what was added until it is taken; values are copied into it.
 *
 *  ## Threads and fork
 *  One user of a builder at a time. Values that somebody else, even a provider's code, changes during a call are either refused or end up
 *  in the frames, as with columns (column.h).
 *
 *  ## Errors
 *  SB_OUT_OF_RANGE for an integer that does not fit its field, SB_TOO_LARGE for a string or array that its length prefix cannot count, both
 *  with the field's name. On failure nothing is written.
 *
 *  ## Limits
 *  A frame's Size is at most 2^31-1, a string has at most 2^31-1 bytes, an array at most 32,767 items. */

#define SB_ARRAY_ITEMS_MAX 32767

typedef struct sb_builder sb_builder;

/** Makes an empty builder whose frames lie in memory from `memory`.
 *
 *  Ownership: the caller closes `*builder`, which keeps the provider alive by itself.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_builder_open(SB_IN SB_NULLABLE sb_memory *memory, SB_OUT SB_OWNED sb_builder **builder);

/** Adds one message. `values` holds one value per field of `schema`, in its order.
 *
 *  Ownership: all is borrowed for the call.      Threads: one user of `builder` at a time.
 *  Errors: SB_INVALID_ARGUMENT when `value_count` is not the schema's, or data is NULL where size is not 0; SB_OUT_OF_RANGE; SB_TOO_LARGE;
 *  SB_NO_MEMORY; nothing is added on failure. The error's `frame` counts the messages added since the last take or clear.
 *  Since: 1.0 */
SB_API SB_METHOD SB_CALLS_BACK sb_status sb_builder_add(sb_builder *builder, const sb_schema *schema, int8_t sequence,
                                                        SB_IN SB_COUNT(value_count) const sb_value *values, size_t value_count,
                                                        SB_OUT SB_NULLABLE sb_error *error);

/** Adds `count` messages in one call: all of them, or none. `sequences` holds one sequence per message, `columns` one column per field of
 *  `schema`, in its order.
 *
 *  Ownership: all is borrowed for the call.      Threads: one user of `builder` at a time.
 *  Errors: SB_INVALID_ARGUMENT when `column_count` is not the schema's, or a column lacks what `count` messages need; SB_OUT_OF_RANGE for
 *  an integer that does not fit its field, or an offset and length outside the values; SB_TOO_LARGE; SB_NO_MEMORY; nothing is added on
 *  failure. The error's `frame` counts the messages added since the last take or clear, and those of the call before it.
 *  Since: 1.0 */
SB_API SB_METHOD SB_CALLS_BACK sb_status sb_builder_add_columns(sb_builder *builder, const sb_schema *schema,
                                                                SB_IN SB_COUNT(count) const int8_t *sequences, size_t count,
                                                                SB_IN SB_COUNT(column_count) const sb_column *columns, size_t column_count,
                                                                SB_OUT SB_NULLABLE sb_error *error);

/** Adds `count` messages in one call: all of them, or none. `sequences` holds one sequence per message, `values` one value per field of
 *  `schema` for the first message, in its order, then those of the next, and so on.
 *
 *  Ownership: all is borrowed for the call.      Threads: one user of `builder` at a time.
 *  Errors: SB_INVALID_ARGUMENT when `value_count` is not `count` times the number of fields, or data is NULL where size is not 0;
 *  SB_OUT_OF_RANGE; SB_TOO_LARGE; SB_NO_MEMORY; nothing is added on failure. The error's `frame` counts the messages added since the last
 *  take or clear, and those of the call before it.
 *  Since: 1.0 */
SB_API SB_METHOD SB_CALLS_BACK sb_status sb_builder_add_rows(sb_builder *builder, const sb_schema *schema,
                                                             SB_IN SB_COUNT(count) const int8_t *sequences, size_t count,
                                                             SB_IN SB_COUNT(value_count) const sb_value *values, size_t value_count,
                                                             SB_OUT SB_NULLABLE sb_error *error);

/** Returns the number of bytes of all frames added.
 *
 *  Ownership: none.      Threads: one user of `builder` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_builder_size(const sb_builder *builder);

/** Returns the number of frames added.
 *
 *  Ownership: none.      Threads: one user of `builder` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_builder_frame_count(const sb_builder *builder);

/** Takes all frames out as one view, without copying; afterwards the builder is empty.
 *
 *  Ownership: the caller closes `*frames`.      Threads: one user of `builder` at a time.
 *  Errors: SB_NO_MEMORY; the builder is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_builder_take(sb_builder *builder, SB_OUT SB_OWNED sb_view **frames);

/** Copies all frames to the caller's memory; the builder keeps them.
 *
 *  Ownership: `data` is the caller's.      Threads: one user of `builder` at a time.
 *  Errors: SB_OUT_OF_RANGE when `size` is not sb_builder_size(); `data` is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_builder_copy_bytes(const sb_builder *builder, SB_OUT SB_COUNT(size) void *data, size_t size);

/** Drops all frames.
 *
 *  Ownership: none.      Threads: one user of `builder` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_METHOD void sb_builder_clear(sb_builder *builder);

/** Drops the newest frames and keeps the first `frame_count`, of `size` bytes: the values that sb_builder_frame_count and sb_builder_size
 *  returned when there were no others. This makes several calls that add messages all-or-nothing.
 *
 *  Ownership: none.      Threads: one user of `builder` at a time.
 *  Errors: SB_OUT_OF_RANGE when there are fewer frames or bytes, or that many frames cannot have that size; the builder is then unchanged.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_builder_truncate(sb_builder *builder, size_t size, size_t frame_count);

/** Opens the provider that the builder's memory comes from.
 *
 *  Ownership: the caller closes `*memory`.      Threads: one user of `builder` at a time.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_builder_memory(const sb_builder *builder, SB_OUT SB_OWNED sb_memory **memory);

/** Closes the builder. NULL is allowed. Frames that were taken stay valid.
 *
 *  Ownership: takes `builder`.      Threads: one user of `builder` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_builder_close(SB_TAKES SB_NULLABLE sb_builder *builder);

SB_END_DECLS

#endif
