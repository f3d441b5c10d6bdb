#ifndef SAMEBYTES_PARSER_H
#define SAMEBYTES_PARSER_H

#include <samebytes/schema.h>

SB_BEGIN_DECLS

/** # Parser and batch: from a stream of frames to rows
 *
 *  A parser takes bytes in any portions, and decodes all complete frames into a batch in one call. One call per batch instead of one per
 *  message is what makes it fast from every language.
 *
 *      sb_parser *parser = NULL;
 *      sb_batch *batch = NULL;
 *      sb_error error;
 *      if (sb_parser_open(schemas, 1, NULL, &parser, &error) != SB_OK || sb_batch_open(&batch) != SB_OK) return 1;
 *      for (;;) {
 *        void *data;
 *        size_t size;
 *        if (sb_parser_buffer(parser, &data, &size) != SB_OK) break;
 *        ssize_t received = read(socket, data, size);
 *        if (received <= 0 || sb_parser_commit(parser, (size_t)received) != SB_OK) break;
 *        if (sb_parser_parse(parser, batch) != SB_OK) break;
 *        for (size_t i = 0; i < sb_batch_row_count(batch); i++) use(batch, i);
 *      }
 *      sb_batch_close(batch);
 *      sb_parser_close(parser);
 *
 *  There are three ways in: sb_parser_feed copies bytes; sb_parser_buffer lends the parser's own memory to read into, without a
 *  copy; sb_parser_position and sb_parser_receive take bytes from a buffer that the caller keeps.
 *
 *  And there are two ways out: row by row (sb_batch_get_values), or column by column (sb_batch_get_column), which suits languages that are
 *  slow per value, and computations over many messages:
 *
 *      const void *times;
 *      size_t size, item_size;
 *      if (sb_batch_get_column(batch, 0, 0, SB_PART_VALUES, &times, &size, &item_size) != SB_OK) return 1;
 *      sum((const int64_t *)times, size / item_size);
 *
 *  ## Ownership
 *  A batch keeps the memory that its rows and errors show, even after the parser goes on or is closed; until then the memory is not reused.
 *  Pointers from a batch are valid until the batch is parsed into again, cleared or closed.
 *
 *  ## Threads and fork
 *  One user of a parser or batch at a time.
 *
 *  ## Errors
 *  A bad body or an unknown api_key is an entry in the batch's errors, and parsing goes on at the next frame. A Size that is negative,
 *  smaller than the header, or above the limit ends the stream: the parse that meets it returns SB_OK, with the rows before it and an entry
 *  in the errors; every later call returns that status, and a parse leaves the batch empty.
 *
 *  Values and columns may be made from the frames after the parse. If somebody who shares the parser's memory has changed the frames
 *  meanwhile, the result may be wrong or SB_CORRUPT; nothing outside the frames is read.
 *
 *  ## Limits
 *  max_frame_size limits the value of Size, and is checked on its fourth byte. No memory is taken for bytes that have not arrived, except a
 *  receive block of 64 KiB. At most SB_PARSER_SCHEMAS_MAX schemas. A refused frame takes 24 bytes besides its own; sb_batch_get_error puts
 *  into words what is wrong with it. */

#define SB_MAX_FRAME_SIZE_DEFAULT 1048576 /* the value of Size */
#define SB_PARSER_SCHEMAS_MAX 256

typedef struct sb_parser sb_parser;
typedef struct sb_batch sb_batch;

/** How a parser works. 0 in every field is the default. */
typedef struct sb_parser_options {
  uint32_t struct_size;          /**< bytes; sb_parser_options_init sets it */
  int32_t max_frame_size;        /**< largest value of Size; 0: SB_MAX_FRAME_SIZE_DEFAULT */
  SB_NULLABLE sb_memory *memory; /**< where received bytes lie, kept alive by the parser; NULL: the default pool */
  int64_t receive_position;      /**< where sb_parser_position lets the caller's buffer be written: 0, n, or -n from its end */
  bool accept_extra;             /**< bytes after the last field, as newer peers send, are not an error */
  uint8_t reserved[7];           /**< 0 */
} sb_parser_options;

/** The head of one decoded message. Frozen: it never grows. */
typedef struct sb_row {
  int64_t stream_offset; /**< bytes from the start of the stream to the frame's Size */
  int32_t frame_size;    /**< the value of Size */
  uint16_t schema_index; /**< which of the parser's schemas it follows */
  int8_t api_key;
  int8_t sequence;
} sb_row;

/** A column that is not a field: a member of the rows' heads, or the index of each row in the batch. */
enum {
  SB_COLUMN_SEQUENCE = -1,      /**< int8 */
  SB_COLUMN_API_KEY = -2,       /**< int8 */
  SB_COLUMN_STREAM_OFFSET = -3, /**< int64 */
  SB_COLUMN_ROW = -4            /**< int64: index of the row in the batch, which counts the rows of all schemas */
};

/** A part of a column. Integers have values only. Value i of a string or array is the `lengths[i]` values from `offsets[i]` on; string j
 *  of the arrays of strings is the `item_lengths[j]` values from `item_offsets[j]` on. */
enum {
  SB_PART_VALUES = 0,       /**< integers: as wide as the field; arrays of them: the items, one array after another; strings: bytes */
  SB_PART_OFFSETS = 1,      /**< strings and arrays: int64, where each begins, in bytes for a string, in items for an array */
  SB_PART_LENGTHS = 2,      /**< strings and arrays: int32, bytes or items */
  SB_PART_ITEM_OFFSETS = 3, /**< arrays of strings: int64, where each string of all arrays begins, in bytes */
  SB_PART_ITEM_LENGTHS = 4  /**< arrays of strings: int32, bytes of each string of all arrays */
};

/** Fills `options` with the defaults, never writing past `struct_size` bytes.
 *
 *  Ownership: `options` is the caller's.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_INIT void sb_parser_options_init(SB_OUT sb_parser_options *options, size_t struct_size);

/** Makes a parser for messages of `schemas`, which all have one direction and different api_keys.
 *
 *  Ownership: the caller closes `*parser`, which keeps the schemas alive by itself; NULL options mean the defaults.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when there is no schema, directions differ, an api_key is repeated, or an option is out of its range;
 *  SB_TOO_LARGE for too many schemas; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_parser_open(SB_IN SB_COUNT(schema_count) sb_schema *const *schemas, size_t schema_count,
                                               SB_IN SB_NULLABLE const sb_parser_options *options, SB_OUT SB_OWNED sb_parser **parser,
                                               SB_OUT SB_NULLABLE sb_error *error);

/** Appends a copy of `size` bytes to what has been received.
 *
 *  Ownership: `data` is borrowed for the call.      Threads: one user of `parser` at a time.
 *  Errors: SB_NO_MEMORY, and nothing is appended; the status that ended the stream, after a parse has met it.
 *  Since: 1.0 */
SB_API SB_METHOD SB_CALLS_BACK sb_status sb_parser_feed(sb_parser *parser, SB_IN SB_COUNT(size) const void *data, size_t size);

/** Lends the parser's receive memory: stores its address and size, which is at least 1, usually tens of KiB.
 *
 *  Ownership: `*data` may be written until the next call on `parser`.      Threads: one user of `parser` at a time.
 *  Errors: SB_NO_MEMORY; the status that ended the stream, after a parse has met it.
 *  Since: 1.0 */
SB_API SB_METHOD SB_CALLS_BACK sb_status sb_parser_buffer(sb_parser *parser, SB_OUT SB_BORROWED(parser) SB_COUNT(size) void **data,
                                                          SB_OUT size_t *size);

/** Says that the first `size` bytes of the memory that sb_parser_buffer lent have been received.
 *
 *  Ownership: none.      Threads: one user of `parser` at a time.
 *  Errors: SB_OUT_OF_RANGE when less was lent, or nothing since the last commit; the status that ended the stream.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_parser_commit(sb_parser *parser, size_t size);

/** Stores the position at which the caller's buffer of `buffer_size` bytes is to be written next: 0, n, or -n from its end. The option
 *  receive_position decides it; as received bytes are copied out at once, the whole buffer from there on is always free.
 *
 *  Ownership: none.      Threads: one user of `parser` at a time.
 *  Errors: SB_OUT_OF_RANGE when the buffer is too small to hold a byte there; the status that ended the stream.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_parser_position(sb_parser *parser, size_t buffer_size, SB_OUT int64_t *position);

/** Appends a copy of the `count` bytes that were received in the caller's `buffer` at the position from sb_parser_position.
 *
 *  Ownership: `buffer` is borrowed for the call, and free for the next bytes after it.      Threads: one user of `parser` at a time.
 *  Errors: SB_OUT_OF_RANGE when `count` bytes do not fit between the position and the end of the buffer; otherwise as sb_parser_feed.
 *  Since: 1.0 */
SB_API SB_METHOD SB_CALLS_BACK sb_status sb_parser_receive(sb_parser *parser, SB_IN SB_COUNT(buffer_size) const void *buffer,
                                                           size_t buffer_size, size_t count);

/** Decodes every complete frame that has been received into `batch`, whose former content is dropped.
 *
 *  Ownership: `batch` keeps the memory it shows.      Threads: one user of `parser` and of `batch` at a time.
 *  Errors: SB_NO_MEMORY, and the next call parses the frames; the status that ended the stream at an earlier call.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_parser_parse(sb_parser *parser, sb_batch *batch);

/** Returns SB_OK while the stream can go on, or the status that ended it.
 *
 *  Ownership: none.      Threads: one user of `parser` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD int32_t sb_parser_end(const sb_parser *parser);

/** Returns the direction of the parser's schemas.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD int32_t sb_parser_direction(const sb_parser *parser);

/** Opens the provider that the parser's memory comes from.
 *
 *  Ownership: the caller closes `*memory`.      Threads: one user of `parser` at a time.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_parser_memory(const sb_parser *parser, SB_OUT SB_OWNED sb_memory **memory);

/** Closes the parser. NULL is allowed. Batches stay valid.
 *
 *  Ownership: takes `parser`.      Threads: one user of `parser` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_parser_close(SB_TAKES SB_NULLABLE sb_parser *parser);

/** Makes an empty batch.
 *
 *  Ownership: the caller closes `*batch`.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_batch_open(SB_OUT SB_OWNED sb_batch **batch);

/** Returns the number of rows.
 *
 *  Ownership: none.      Threads: one user of `batch` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_batch_row_count(const sb_batch *batch);

/** Returns the number of errors.
 *
 *  Ownership: none.      Threads: one user of `batch` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_batch_error_count(const sb_batch *batch);

/** Returns how many bytes were missing for the next frame: while its Size is not complete, 4 minus the bytes that are there; then the rest
 *  of the frame; 0 after the end of the stream. So 4 means either that nothing of the next frame has come, or that a frame lacks 4 bytes.
 *
 *  Ownership: none.      Threads: one user of `batch` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_batch_need(const sb_batch *batch);

/** Stores the head of the row at `index`.
 *
 *  Ownership: `row` is the caller's.      Threads: one user of `batch` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such row.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_batch_get_row(const sb_batch *batch, size_t index, SB_OUT sb_row *row);

/** Stores the heads of all rows.
 *
 *  Ownership: `*rows` is valid until `batch` is parsed into, cleared or closed.      Threads: one user of `batch` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_batch_get_rows(const sb_batch *batch, SB_OUT SB_BORROWED(batch) SB_COUNT(row_count) const sb_row **rows,
                                             SB_OUT size_t *row_count);

/** Stores the values of the row at `index`, one per field of its schema, in its order. If the previous content was read by columns only, a
 *  parse leaves the values out, and the first call makes those of all rows.
 *
 *  Ownership: `*values` and what they show are valid until `batch` is parsed into, cleared or closed.      Threads: one user of `batch` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such row; SB_NO_MEMORY; SB_CORRUPT, see the top.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_batch_get_values(const sb_batch *batch, size_t index,
                                               SB_OUT SB_BORROWED(batch) SB_COUNT(value_count) const sb_value **values,
                                               SB_OUT size_t *value_count);

/** Stores the values of all rows: those of row 0, then those of row 1, and so on, as many for each as its schema has fields. One call instead of
 *  one per row.
 *
 *  Ownership: `*values` and what they show are valid until `batch` is parsed into, cleared or closed.      Threads: one user of `batch` at a time.
 *  Errors: SB_NO_MEMORY; SB_CORRUPT, see the top.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_METHOD sb_status sb_batch_get_all_values(const sb_batch *batch,
                                                             SB_OUT SB_BORROWED(batch) SB_COUNT(value_count) const sb_value **values,
                                                             SB_OUT size_t *value_count);

/** Stores address and size in bytes of a part of a column: one field, or SB_COLUMN_..., of all rows that follow the schema at
 *  `schema_index` of the parser, in the machine's own byte order and aligned. `*item_size` is the size of one item in bytes.
 *
 *  The bytes of strings are not copied: SB_PART_VALUES of a string is all received bytes of the batch's frames, the same for each column,
 *  and offsets count from its start. Everything else is made when it is first asked for, for all fields of a schema at once, and kept.
 *
 *  Ownership: `*data` is valid until `batch` is parsed into, cleared or closed, and NULL only where `*size` is 0.      Threads: one user of
 *  `batch` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such schema or column; SB_INVALID_ARGUMENT when columns of its type have no such part;
 *  SB_NO_MEMORY; SB_CORRUPT, see the top.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_batch_get_column(sb_batch *batch, size_t schema_index, int32_t column, int32_t part,
                                               SB_OUT SB_BORROWED(batch) SB_COUNT(size) const void **data, SB_OUT size_t *size,
                                               SB_OUT size_t *item_size);

/** Makes a view of the whole frame of the row at `index`, its Size included, without copying.
 *
 *  Ownership: the caller closes `*frame`, which may outlive the batch.      Threads: one user of `batch` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such row; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_batch_get_frame(const sb_batch *batch, size_t index, SB_OUT SB_OWNED sb_view **frame);

/** Stores the error at `index`; they are in the order of the stream.
 *
 *  Ownership: `refused` is the caller's.      Threads: one user of `batch` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such error.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_batch_get_error(const sb_batch *batch, size_t index, SB_OUT sb_error *refused);

/** Makes another owner of the schema at `schema_index` of the parser that filled the batch.
 *
 *  Ownership: the caller closes `*schema`.      Threads: one user of `batch` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such schema.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_batch_get_schema(const sb_batch *batch, size_t schema_index, SB_OUT SB_OWNED sb_schema **schema);

/** Exchanges the contents of two batches, in constant time. This keeps rows valid while their batch is reused for another parse: pointers
 *  into the content move with it, and are valid until `other` is parsed into, cleared or closed.
 *
 *  Ownership: none.      Threads: one user of `batch` and of `other` at a time.
 *  Errors: none; nothing happens where one is NULL.
 *  Since: 1.0 */
SB_API_VOID SB_METHOD void sb_batch_swap(sb_batch *batch, sb_batch *other);

/** Drops rows, errors, and the memory they show.
 *
 *  Ownership: none.      Threads: one user of `batch` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_METHOD void sb_batch_clear(sb_batch *batch);

/** Closes the batch. NULL is allowed.
 *
 *  Ownership: takes `batch`.      Threads: one user of `batch` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_batch_close(SB_TAKES SB_NULLABLE sb_batch *batch);

SB_END_DECLS

#endif
