//go:build !samebytes_shared

/* A message is measured first and written second, so that a message that is refused leaves nothing behind and no buffer grows by copying.
 * Frames are written to a piece of the buf's room that stays begun over many messages, and is committed when a frame does not fit any
 * more or somebody looks. A frame that no piece can hold is written apart and put across the pieces, which happens once per block.
 * Messages that are added together are all measured, and have room, before the first of them is written.
 *
 * What is added lies in memory of the caller, and a provider's code, or another thread, may change it between the two. So what is written is
 * what is read then: each place is read once and checked before it is used, nothing is written past the room, and where the second look
 * refuses a message, those of the call that were written before it are dropped again.
 *
 * Invariant (builder_check): piece == NULL and piece_size == piece_used == 0, or the buf's first piece of room is begun and its first
 * piece_used bytes are frames; committed is what the buf holds. */

#include "buf_private.h"
#include "builder_private.h"
#include "error_private.h"
#include "schema_private.h"
#include "steps.h"
#include "wire.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <samebytes/buf.h>
#include <samebytes/builder.h>

enum {
  ROOM_MIN = 512,         /* bytes taken from the provider at least, */
  ROOM_MAX = 1024 * 1024, /* and at most, unless one frame needs more */
};

struct sb_builder {
  sb_buf *buf;
  uint8_t *piece;
  size_t piece_size;
  size_t piece_used;
  size_t committed; /* bytes in the buf */
  size_t frame_count;
};

/* Called where a function that changes the builder begins and ends. */
static inline void builder_check(const sb_builder *builder) {
  assert(builder->committed == sb_buf_size(builder->buf));
  assert(builder->piece_used <= builder->piece_size);
  assert(builder->piece != NULL ? sb_priv_buf_begun(builder->buf, builder->piece, builder->piece_size) : builder->piece_size == 0);
  const size_t size = builder->committed + builder->piece_used;
  assert(builder->frame_count <= size / SB_PRIV_HEAD_BYTES && (builder->frame_count > 0 || size == 0));
  (void)size;
}

sb_status sb_builder_open(sb_memory *memory, sb_builder **builder) {
  if (builder == NULL) return SB_INVALID_ARGUMENT;
  sb_builder *made = calloc(1, sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  sb_status status = sb_buf_open(memory, &made->buf);
  if (status != SB_OK) {
    free(made);
    return status;
  }
  *builder = made;
  return SB_OK;
}

/* What a message is while it is checked; `size` is that of the frame so far, and so the offset of the field that is being looked at. */
typedef struct measure {
  const sb_schema *schema;
  sb_error *error;
  size_t frame;  /* index of the message among those of the builder */
  size_t before; /* bytes of the frames before it */
  size_t size;
} measure;

__attribute__((format(printf, 4, 5), cold)) static sb_status refuse(const measure *message, sb_status status, size_t field,
                                                                    const char *format, ...) {
  if (message->error == NULL) return status;
  char why[sizeof message->error->message];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  const char *name = message->schema->names[field];
  (void)sb_priv_error(message->error, status, name, "message %zu (%s), field %s: %.160s", message->frame, message->schema->name, name, why);
  message->error->frame = (int64_t)message->frame;
  message->error->frame_offset = (int64_t)message->size;
  message->error->stream_offset = (int64_t)(message->before + message->size);
  return status;
}

static sb_status measure_string(const measure *message, size_t field, const void *data, size_t size, size_t *total) {
  if (data == NULL && size > 0) return refuse(message, SB_INVALID_ARGUMENT, field, "data is NULL though size is %zu", size);
  if (size > INT32_MAX) return refuse(message, SB_TOO_LARGE, field, "a string of %zu bytes; at most 2147483647 are allowed", size);
  *total += 4 + size;
  return SB_OK;
}

/* Checks an array by itself, not its items. */
static sb_status check_array(const measure *message, size_t field, const void *data, size_t count) {
  if (count > SB_ARRAY_ITEMS_MAX)
    return refuse(message, SB_TOO_LARGE, field, "an array of %zu items; at most %d are allowed", count, SB_ARRAY_ITEMS_MAX);
  if (data == NULL && count > 0) return refuse(message, SB_INVALID_ARGUMENT, field, "data is NULL though size is %zu", count);
  return SB_OK;
}

static sb_status measure_array(measure *message, size_t field, const void *data, size_t count) {
  sb_status status = check_array(message, field, data, count);
  if (status != SB_OK) return status;
  size_t width = sb_priv_type_width(message->schema->types[field]);
  size_t total = 2 + width * count;
  if (width == 0) {
    const sb_bytes *items = data;
    for (size_t i = 0; i < count; i++) {
      status = measure_string(message, field, SB_PRIV_READ_ONCE(items[i].data), SB_PRIV_READ_ONCE(items[i].size), &total);
      if (status != SB_OK) return status;
    }
  }
  message->size += total;
  return SB_OK;
}

static sb_status measure_integer(measure *message, size_t field, int64_t number) {
  size_t width = sb_priv_type_width(message->schema->types[field]);
  int64_t most = (int64_t)(UINT64_MAX >> (65 - 8 * width));
  if (number > most || number < -most - 1)
    return refuse(message, SB_OUT_OF_RANGE, field, "%" PRId64 " does not fit an int%zu, which holds %" PRId64 " to %" PRId64, number,
                  8 * width, -most - 1, most);
  message->size += width;
  return SB_OK;
}

static sb_status measure_message(measure *message, const sb_value *values) {
  message->size = SB_PRIV_HEAD_BYTES;
  assert(values != NULL || message->schema->field_count == 0);
  for (size_t i = 0; i < message->schema->field_count; i++) {
    sb_status status;
    uint8_t type = message->schema->types[i];
    if (type <= SB_TYPE_INT64) {
      status = measure_integer(message, i, SB_PRIV_READ_ONCE(values[i].number));
    } else if (type == SB_TYPE_STRING) {
      size_t size = 0;
      status = measure_string(message, i, SB_PRIV_READ_ONCE(values[i].data), SB_PRIV_READ_ONCE(values[i].size), &size);
      message->size += size;
    } else {
      status = measure_array(message, i, SB_PRIV_READ_ONCE(values[i].data), SB_PRIV_READ_ONCE(values[i].size));
    }
    if (status != SB_OK) return status;
    /* Checked per field: at most 256 fields of at most 32,767 strings below 2^31 cannot wrap 64 bits before. */
    if (message->size - 4 > INT32_MAX)
      return refuse(message, SB_TOO_LARGE, i, "the frame's Size would be above 2147483647 with this field");
  }
  return SB_OK;
}

static void write_integer(uint8_t *at, size_t width, int64_t number) {
  switch (width) {
  case 1: *at = (uint8_t)number; break;
  case 2: sb_priv_store16(at, (uint16_t)number); break;
  case 4: sb_priv_store32(at, (uint32_t)number); break;
  default: sb_priv_store64(at, (uint64_t)number);
  }
}

/* Where a frame is written. */
typedef struct frame_room {
  uint8_t *frame;
  size_t size;
} frame_room;

/* What writing says where the frame is larger than the room; no caller of the library sees it. */
#define DOES_NOT_FIT SB_NEED_MORE

/* Writes a string at `*at`, and moves that on; message->size stays where the field begins, which is what errors tell. */
static sb_status write_string(const measure *message, const frame_room *room, size_t field, const void *data, size_t size, size_t *at) {
  size_t total = 0;
  const sb_status status = measure_string(message, field, data, size, &total);
  if (status != SB_OK) return status;
  if (total > room->size - *at) return DOES_NOT_FIT;
  sb_priv_store32(room->frame + *at, (uint32_t)size);
  if (size > 0) memcpy(room->frame + *at + 4, data, size);
  *at += total;
  return SB_OK;
}

static sb_status write_array(const measure *message, const frame_room *room, size_t field, const void *data, size_t count, size_t *at) {
  sb_status status = check_array(message, field, data, count);
  if (status != SB_OK) return status;
  const size_t width = sb_priv_type_width(message->schema->types[field]), total = 2 + width * count;
  if (total > room->size - *at) return DOES_NOT_FIT;
  sb_priv_store16(room->frame + *at, (uint16_t)count);
  if (width > 0) sb_priv_swap_copy(room->frame + *at + 2, data, width, count);
  *at += total;
  const sb_bytes *items = data;
  for (size_t i = 0; width == 0 && i < count && status == SB_OK; i++)
    status = write_string(message, room, field, SB_PRIV_READ_ONCE(items[i].data), SB_PRIV_READ_ONCE(items[i].size), at);
  return status;
}

static sb_status write_field(measure *message, const frame_room *room, size_t field, const sb_value *value) {
  const uint8_t type = message->schema->types[field];
  if (type <= SB_TYPE_INT64) {
    const size_t width = sb_priv_type_width(type);
    const int64_t number = SB_PRIV_READ_ONCE(value->number);
    if (width > room->size - message->size) return DOES_NOT_FIT;
    const sb_status status = measure_integer(message, field, number);
    if (status == SB_OK) write_integer(room->frame + message->size - width, width, number);
    return status;
  }
  const void *data = SB_PRIV_READ_ONCE(value->data);
  const size_t size = SB_PRIV_READ_ONCE(value->size);
  size_t at = message->size;
  const sb_status status = type == SB_TYPE_STRING ? write_string(message, room, field, data, size, &at)
                                                  : write_array(message, room, field, data, size, &at);
  if (status == SB_OK) message->size = at;
  return status;
}

/* Checks and writes a message whose frame fits the room; message->size becomes what it took. `*field` becomes the field that was last. */
static sb_status write_message(measure *message, const frame_room *room, int8_t sequence, const sb_value *values, size_t *field) {
  message->size = SB_PRIV_HEAD_BYTES;
  *field = 0;
  if (room->size < SB_PRIV_HEAD_BYTES) return DOES_NOT_FIT;
  for (; *field < message->schema->field_count; ++*field) {
    const sb_status status = write_field(message, room, *field, &values[*field]);
    if (status != SB_OK) return status;
    assert(message->size <= room->size);
  }
  sb_priv_store32(room->frame, (uint32_t)(message->size - 4));
  room->frame[4] = (uint8_t)message->schema->api_key;
  room->frame[5] = (uint8_t)sequence;
  return SB_OK;
}

/* Ends the piece: what was written there is in the buf. */
static void commit_piece(sb_builder *builder) {
  if (builder->piece == NULL) return;
  const sb_status status = sb_buf_commit(builder->buf, builder->piece_used);
  assert(status == SB_OK); /* nobody but the builder uses the buf, and nothing was done with it since the begin */
  (void)status;
  builder->committed += builder->piece_used;
  builder->piece = NULL;
  builder->piece_size = builder->piece_used = 0;
}

/* Begins a piece, and makes room for a frame of `size` bytes, in that piece or across it. The room grows with what was added, so that
 * the number of blocks stays small; where the provider has no more than the frame needs, that is enough. */
static sb_status begin_piece(sb_builder *builder, size_t size) {
  commit_piece(builder);
  sb_status status = SB_OK;
  if (sb_buf_room(builder->buf) < size) {
    size_t room = builder->committed;
    room = room < ROOM_MIN ? ROOM_MIN : room > ROOM_MAX ? ROOM_MAX : room;
    status = room > size ? sb_buf_reserve(builder->buf, room) : SB_NO_MEMORY;
    if (status != SB_OK) status = sb_buf_reserve(builder->buf, size);
  }
  void *piece = NULL;
  if (status == SB_OK) status = sb_buf_begin(builder->buf, &piece, &builder->piece_size);
  if (status == SB_OK) builder->piece = piece;
  return status;
}

/* Memory for frames that no piece can hold, one after the other. */
typedef struct scratch {
  uint8_t *data;
  size_t size;
} scratch;

static bool scratch_reserve(scratch *apart, size_t size) {
  if (apart->size >= size) return true;
  free(apart->data);
  apart->data = malloc(size);
  apart->size = apart->data != NULL ? size : 0;
  return apart->data != NULL;
}

static size_t piece_left(const sb_builder *builder) { return builder->piece_size - builder->piece_used; }

static sb_status no_memory(const measure *message, sb_status status, size_t size) {
  return sb_priv_error(message->error, status, NULL, "no memory for a frame of %zu bytes", size);
}

/* Puts a frame that lies apart across the pieces of room, of which there is enough. */
static void put_across(sb_builder *builder, const uint8_t *frame, size_t size) {
  commit_piece(builder);
  const sb_status status = sb_buf_put(builder->buf, frame, size);
  assert(status == SB_OK);
  (void)status;
  builder->committed += size;
}

/* Adds a plain message, whose frame takes at most `most` bytes, where the piece has room for it. */
static inline bool add_plain(sb_builder *builder, const sb_schema *schema, int8_t sequence, const sb_value *values, size_t most) {
  if (builder->piece == NULL || !schema->plain) return false;
  const size_t left = piece_left(builder);
  const size_t size = sb_priv_write_plain(builder->piece + builder->piece_used, left < most ? left : most, schema, sequence, values);
  if (size == 0) return false;
  builder->piece_used += size;
  builder->frame_count++;
  return true;
}

/* Writes a message that was measured and has room, in the piece or across it, and is not plain or has changed since. */
static __attribute__((noinline)) sb_status write_measured(sb_builder *builder, measure *message, int8_t sequence, const sb_value *values,
                                                          scratch *apart) {
  const size_t size = message->size;
  const bool fits = piece_left(builder) >= size;
  if (!fits && !scratch_reserve(apart, size)) return no_memory(message, SB_NO_MEMORY, size);
  const frame_room room = {fits ? builder->piece + builder->piece_used : apart->data, size};
  size_t field;
  const sb_status status = write_message(message, &room, sequence, values, &field);
  if (status == DOES_NOT_FIT)
    return refuse(message, SB_OUT_OF_RANGE, field, "it grew while it was added; nothing may change it during the call");
  if (status != SB_OK) return status;
  if (fits)
    builder->piece_used += message->size;
  else
    put_across(builder, apart->data, message->size);
  builder->frame_count++;
  return SB_OK;
}

/* Makes room for a message, and writes it there. */
static inline sb_status make_room_and_write(sb_builder *builder, measure *message, int8_t sequence, const sb_value *values,
                                            scratch *apart) {
  sb_status status = measure_message(message, values);
  if (status != SB_OK) return status;
  const size_t size = message->size;
  if (piece_left(builder) < size) status = begin_piece(builder, size);
  if (status != SB_OK) return no_memory(message, status, size);
  if (piece_left(builder) >= size && add_plain(builder, message->schema, sequence, values, size)) return SB_OK;
  return write_measured(builder, message, sequence, values, apart);
}

/* Writes a message behind the others of the piece; DOES_NOT_FIT where there is no room for it. */
static __attribute__((noinline)) sb_status write_here(sb_builder *builder, measure *message, int8_t sequence, const sb_value *values) {
  const size_t left = piece_left(builder), most = (size_t)INT32_MAX + 4;
  const frame_room room = {builder->piece + builder->piece_used, left < most ? left : most};
  size_t field;
  const sb_status status = write_message(message, &room, sequence, values, &field);
  if (status != SB_OK) return status;
  builder->piece_used += message->size;
  builder->frame_count++;
  return SB_OK;
}

/* Adds one message that is not plain: with strings in an array, without room, or wrong. */
static sb_status add_one(sb_builder *builder, measure *message, int8_t sequence, const sb_value *values, scratch *apart) {
  message->frame = builder->frame_count;
  message->before = builder->committed + builder->piece_used;
  const sb_status status = builder->piece != NULL ? write_here(builder, message, sequence, values) : DOES_NOT_FIT;
  return status == DOES_NOT_FIT ? make_room_and_write(builder, message, sequence, values, apart) : status;
}

/* Apart, so that the way of plain messages stays short. */
__attribute__((noinline)) static sb_status add_measured(sb_builder *builder, const sb_schema *schema, int8_t sequence,
                                                        const sb_value *values, sb_error *error) {
  measure message = {.schema = schema, .error = error};
  scratch apart = {0};
  const sb_status status = add_one(builder, &message, sequence, values, &apart);
  if (apart.data != NULL) free(apart.data);
  builder_check(builder);
  return status;
}

sb_status sb_builder_add(sb_builder *builder, const sb_schema *schema, int8_t sequence, const sb_value *values, size_t value_count,
                         sb_error *error) {
  if (builder == NULL || schema == NULL || (values == NULL && value_count > 0))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "builder, schema and values must not be NULL");
  if (value_count != schema->field_count)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "message %s has %u fields, %zu values were given", schema->name,
                         (unsigned)schema->field_count, value_count);
  builder_check(builder);
  return add_plain(builder, schema, sequence, values, SIZE_MAX) ? SB_OK : add_measured(builder, schema, sequence, values, error);
}

/* ---- many messages from columns ---- */

/* Where the values of the next message begin, in a column that does not say so itself, and room for the strings of one array. */
typedef struct column_cursor {
  size_t next; /* bytes of strings, items of arrays */
  sb_bytes *strings;
} column_cursor;

/* Messages while they are gathered from columns, one after the other, as the values that one message is added from. */
typedef struct gather {
  measure message;
  const sb_column *columns;
  size_t count; /* messages */
  sb_value *values;
  column_cursor *cursors;
  sb_column *copies; /* what columns shows: the caller's are read once */
  uint8_t *places;   /* copies of offsets and lengths */
  sb_bytes *strings; /* of all arrays of one message */
} gather;

/* Whether these are not as many as wanted, or not there. */
static bool lacks(const void *items, size_t count, size_t wanted) { return count != wanted || (items == NULL && count > 0); }

/* Checks that a column has as much as its messages need. */
static sb_status check_column(const gather *all, size_t field) {
  const sb_column *column = &all->columns[field];
  const uint8_t type = all->message.schema->types[field];
  const size_t width = sb_priv_type_width(type), count = all->count;
  if (column->values == NULL && column->size > 0)
    return refuse(&all->message, SB_INVALID_ARGUMENT, field, "values is NULL though size is %zu", column->size);
  if (type <= SB_TYPE_INT64) {
    if (column->size == count * width || column->size == count * sizeof(int64_t)) return SB_OK;
    return refuse(&all->message, SB_INVALID_ARGUMENT, field, "%zu messages need int%zu or int64 values, not %zu bytes", count, 8 * width,
                  column->size);
  }
  if (lacks(column->lengths, column->length_count, count))
    return refuse(&all->message, SB_INVALID_ARGUMENT, field, "%zu lengths for %zu messages", column->length_count, count);
  if (column->offset_count > 0 && lacks(column->offsets, column->offset_count, count))
    return refuse(&all->message, SB_INVALID_ARGUMENT, field, "%zu offsets for %zu messages", column->offset_count, count);
  if (width > 0 && column->size % width != 0)
    return refuse(&all->message, SB_INVALID_ARGUMENT, field, "%zu bytes are no whole number of int%zu", column->size, 8 * width);
  if (type != SB_TYPE_ARRAY_STRING) return SB_OK;
  if (column->item_lengths == NULL && column->item_length_count > 0)
    return refuse(&all->message, SB_INVALID_ARGUMENT, field, "item_lengths is NULL though there are %zu", column->item_length_count);
  if (column->item_offset_count > 0 && lacks(column->item_offsets, column->item_offset_count, column->item_length_count))
    return refuse(&all->message, SB_INVALID_ARGUMENT, field, "%zu item_offsets for %zu item_lengths", column->item_offset_count,
                  column->item_length_count);
  return SB_OK;
}

/* Finds the `length` things from `offset` on, or where `offsets` is NULL from `*next` on, among `room`. */
static sb_status locate(const gather *all, size_t field, const int64_t *offsets, const int32_t *lengths, size_t index, size_t room,
                        size_t *next, size_t *at) {
  const int64_t length = lengths[index], offset = offsets != NULL ? offsets[index] : (int64_t)*next;
  if (length < 0 || offset < 0 || (uint64_t)offset > room || (uint64_t)length > room - (size_t)offset)
    return refuse(&all->message, SB_OUT_OF_RANGE, field, "offset %" PRId64 " and length %" PRId64 " are not within the %zu that there are",
                  offset, length, room);
  *at = (size_t)offset;
  *next = (size_t)(offset + length);
  return SB_OK;
}

static sb_status gather_strings(const gather *all, size_t field, size_t first, size_t count) {
  const sb_column *column = &all->columns[field];
  column_cursor *cursor = &all->cursors[field];
  for (size_t i = 0; i < count; i++) {
    size_t at = 0, next = 0;
    sb_status status = locate(all, field, column->item_offsets, column->item_lengths, first + i, column->size, &next, &at);
    if (status != SB_OK) return status;
    const size_t size = (size_t)column->item_lengths[first + i];
    cursor->strings[i] = (sb_bytes){.data = size > 0 ? (const uint8_t *)column->values + at : NULL, .size = size};
  }
  return SB_OK;
}

/* Callers of other languages may have integers that are not aligned. */
static int64_t load_number(const void *items, size_t index, size_t width) {
  const uint8_t *at = (const uint8_t *)items + index * width;
  int16_t two;
  int32_t four;
  int64_t eight;
  switch (width) {
  case 1: return (int8_t)*at;
  case 2: memcpy(&two, at, sizeof two); return two;
  case 4: memcpy(&four, at, sizeof four); return four;
  default: memcpy(&eight, at, sizeof eight); return eight;
  }
}

static sb_status gather_value(const gather *all, size_t field, size_t index) {
  const sb_column *column = &all->columns[field];
  const uint8_t type = all->message.schema->types[field];
  const size_t width = sb_priv_type_width(type);
  sb_value *value = &all->values[field];
  if (type <= SB_TYPE_INT64) {
    *value = (sb_value){.number = load_number(column->values, index, column->size / all->count)};
    return SB_OK;
  }
  const size_t room = type == SB_TYPE_STRING ? column->size : width > 0 ? column->size / width : column->item_length_count;
  size_t at = 0;
  sb_status status = locate(all, field, column->offset_count > 0 ? column->offsets : NULL, column->lengths, index, room,
                            &all->cursors[field].next, &at);
  if (status != SB_OK) return status;
  *value = (sb_value){.size = (size_t)column->lengths[index]};
  if (value->size == 0) return SB_OK;
  if (type != SB_TYPE_ARRAY_STRING) {
    value->data = (const uint8_t *)column->values + at * (width > 0 ? width : 1);
    return SB_OK;
  }
  value->data = all->cursors[field].strings;
  return value->size > SB_ARRAY_ITEMS_MAX ? SB_OK : gather_strings(all, field, at, value->size); /* too many are refused when measured */
}

/* Gathers the values of the message at `index`. */
static sb_status gather_values(gather *all, size_t index) {
  all->message.size = SB_PRIV_HEAD_BYTES; /* where a field is in its frame is not known before it is measured */
  for (size_t field = 0; field < all->message.schema->field_count; field++) {
    sb_status status = gather_value(all, field, index);
    if (status != SB_OK) return status; // NOLINT(clang-analyzer-unix.Malloc): gather_close frees
  }
  return SB_OK;
}

/* Copies the columns themselves, and makes what there is one of per field. */
static sb_status gather_open(gather *all, const sb_column *columns) {
  const size_t fields = all->message.schema->field_count;
  all->copies = malloc(fields * (sizeof *all->copies + sizeof *all->values + sizeof *all->cursors) + 1);
  if (all->copies == NULL) return SB_NO_MEMORY;
  all->values = (sb_value *)(all->copies + fields);
  all->cursors = (column_cursor *)(all->values + fields);
  if (fields > 0) memcpy(all->copies, columns, fields * sizeof *columns);
  for (size_t field = 0; field < fields; field++) all->cursors[field] = (column_cursor){0};
  all->columns = all->copies;
  return SB_OK;
}

/* Copies `count` items to `*room`, and moves that on. */
static void *copy_items(uint8_t **room, const void *items, size_t count, size_t item_size) {
  void *copy = *room;
  if (count > 0) memcpy(copy, items, count * item_size);
  *room += (count * item_size + 7) & ~(size_t)7;
  return copy;
}

/* Where each string begins when they lie one behind the other: messages may take them in another order. */
static int64_t *sum_lengths(uint8_t **room, const int32_t *lengths, size_t count) {
  int64_t *offsets = (int64_t *)*room, next = 0;
  for (size_t i = 0; i < count; i++) {
    offsets[i] = next;
    next += lengths[i] > 0 ? lengths[i] : 0; /* a negative one is refused when its message is measured */
  }
  *room += count * sizeof *offsets;
  return offsets;
}

/* Copies the offsets and lengths: messages are measured and then written from them. */
static sb_status copy_places(gather *all) {
  const size_t fields = all->message.schema->field_count;
  size_t size = 1;
  for (size_t field = 0; field < fields; field++) {
    const sb_column *column = &all->columns[field];
    const size_t most = PTRDIFF_MAX / 16 / (SB_SCHEMA_FIELDS_MAX * 4);
    if (column->offset_count > most || column->length_count > most || column->item_offset_count > most || column->item_length_count > most)
      return SB_NO_MEMORY;
    size += column->offset_count * 8 + column->length_count * 4 + column->item_length_count * (8 + 4) + 32;
  }
  uint8_t *room = all->places = malloc(size);
  if (room == NULL) return SB_NO_MEMORY;
  for (size_t field = 0; field < fields; field++) {
    sb_column *copy = &all->copies[field];
    if (all->message.schema->types[field] < SB_TYPE_STRING) continue;
    copy->offsets = copy_items(&room, copy->offsets, copy->offset_count, sizeof *copy->offsets);
    copy->lengths = copy_items(&room, copy->lengths, copy->length_count, sizeof *copy->lengths);
    if (all->message.schema->types[field] != SB_TYPE_ARRAY_STRING) continue;
    copy->item_lengths = copy_items(&room, copy->item_lengths, copy->item_length_count, sizeof *copy->item_lengths);
    copy->item_offsets = copy->item_offset_count > 0
                             ? copy_items(&room, copy->item_offsets, copy->item_length_count, sizeof *copy->item_offsets)
                             : sum_lengths(&room, copy->item_lengths, copy->item_length_count);
  }
  assert(room <= all->places + size);
  return SB_OK;
}

/* Gets the memory that the arrays of strings of one message need. */
static sb_status make_strings(gather *all) {
  const sb_schema *schema = all->message.schema;
  size_t most[SB_SCHEMA_FIELDS_MAX] = {0}, total = 0;
  for (size_t field = 0; field < schema->field_count; field++) {
    if (schema->types[field] != SB_TYPE_ARRAY_STRING) continue;
    for (size_t i = 0; i < all->count; i++) {
      const int32_t length = all->columns[field].lengths[i];
      if (length > 0 && (size_t)length > most[field]) most[field] = (size_t)length;
    }
    if (most[field] > SB_ARRAY_ITEMS_MAX) most[field] = SB_ARRAY_ITEMS_MAX;
    total += most[field];
  }
  if (total == 0) return SB_OK;
  all->strings = malloc(total * sizeof *all->strings);
  if (all->strings == NULL) return SB_NO_MEMORY;
  sb_bytes *next = all->strings;
  for (size_t field = 0; field < schema->field_count; field++) {
    all->cursors[field].strings = next;
    next += most[field];
  }
  return SB_OK;
}

static void gather_close(gather *all) {
  free(all->copies);
  free(all->places);
  free(all->strings);
}

/* Measures all messages: bytes of all frames. */
static sb_status measure_all(gather *all, size_t *total) {
  const size_t frame = all->message.frame, before = all->message.before;
  *total = 0;
  for (size_t i = 0; i < all->count; i++) {
    all->message.frame = frame + i;
    all->message.before = before + *total;
    sb_status status = gather_values(all, i);
    if (status == SB_OK) status = measure_message(&all->message, all->values);
    if (status != SB_OK) return status;
    *total += all->message.size;
    if (*total > PTRDIFF_MAX) return sb_priv_error(all->message.error, SB_TOO_LARGE, NULL, "more bytes than memory can have");
  }
  return SB_OK;
}

/* What a call adds many messages with. */
typedef struct adding {
  sb_builder *builder;
  size_t size, frame_count; /* of the builder before the call */
  scratch apart;
} adding;

static adding begin_adding(sb_builder *builder) {
  return (adding){.builder = builder, .size = sb_builder_size(builder), .frame_count = builder->frame_count};
}

/* Makes room for all frames: what was measured needs no more. */
static sb_status room_for_all(sb_builder *builder, size_t total) {
  return piece_left(builder) >= total ? SB_OK : begin_piece(builder, total);
}

static inline sb_status add_next(adding *call, measure *message, int8_t sequence, const sb_value *values) {
  sb_builder *builder = call->builder;
  if (add_plain(builder, message->schema, sequence, values, SIZE_MAX)) return SB_OK;
  return add_one(builder, message, sequence, values, &call->apart);
}

static void cut(sb_builder *builder, size_t size, size_t frame_count);

/* Ends a call that adds all or nothing. */
static sb_status end_adding(adding *call, measure *message, sb_status status, size_t count) {
  free(call->apart.data);
  if (status != SB_OK) cut(call->builder, call->size, call->frame_count);
  builder_check(call->builder);
  return status == SB_NO_MEMORY ? sb_priv_error(message->error, status, NULL, "no memory for %zu messages", count) : status;
}

static sb_status write_all(gather *all, adding *call, const int8_t *sequences) {
  sb_status status = SB_OK;
  for (size_t field = 0; field < all->message.schema->field_count; field++) all->cursors[field].next = 0;
  for (size_t i = 0; i < all->count && status == SB_OK; i++) {
    status = gather_values(all, i);
    if (status == SB_OK) status = add_next(call, &all->message, sequences[i], all->values);
  }
  return status;
}

sb_status sb_builder_add_columns(sb_builder *builder, const sb_schema *schema, const int8_t *sequences, size_t count,
                                 const sb_column *columns, size_t column_count, sb_error *error) {
  if (builder == NULL || schema == NULL || (sequences == NULL && count > 0) || (columns == NULL && column_count > 0))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "builder, schema, sequences and columns must not be NULL");
  if (column_count != schema->field_count)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "message %s has %u fields, %zu columns were given", schema->name,
                         (unsigned)schema->field_count, column_count);
  builder_check(builder);
  gather all = {.message = {.schema = schema,
                            .error = error,
                            .frame = builder->frame_count,
                            .before = sb_builder_size(builder),
                            .size = SB_PRIV_HEAD_BYTES},
                .count = count};
  adding call = begin_adding(builder);
  size_t total = 0;
  sb_status status = gather_open(&all, columns);
  for (size_t field = 0; field < column_count && status == SB_OK; field++) status = check_column(&all, field);
  if (status == SB_OK && count > 0) {
    status = copy_places(&all);
    if (status == SB_OK) status = make_strings(&all);
    if (status == SB_OK) status = measure_all(&all, &total);
    if (status == SB_OK) status = room_for_all(builder, total);
    if (status == SB_OK) status = write_all(&all, &call, sequences);
  }
  gather_close(&all);
  return end_adding(&call, &all.message, status, count);
}

/* ---- many messages from rows ---- */

static sb_status measure_rows(measure *message, const sb_value *values, size_t count, size_t *total) {
  const size_t frame = message->frame, before = message->before;
  *total = 0;
  for (size_t i = 0; i < count; i++) {
    message->frame = frame + i;
    message->before = before + *total;
    sb_status status = measure_message(message, values + i * message->schema->field_count);
    if (status != SB_OK) return status;
    *total += message->size;
    if (*total > PTRDIFF_MAX) return sb_priv_error(message->error, SB_TOO_LARGE, NULL, "more bytes than memory can have");
  }
  return SB_OK;
}

sb_status sb_builder_add_rows(sb_builder *builder, const sb_schema *schema, const int8_t *sequences, size_t count, const sb_value *values,
                              size_t value_count, sb_error *error) {
  if (builder == NULL || schema == NULL || (sequences == NULL && count > 0) || (values == NULL && value_count > 0))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "builder, schema, sequences and values must not be NULL");
  if (schema->field_count > 0 ? value_count % schema->field_count != 0 || value_count / schema->field_count != count : value_count != 0)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "message %s has %u fields, %zu values were given for %zu messages", schema->name,
                         (unsigned)schema->field_count, value_count, count);
  if (count == 0) return SB_OK;
  builder_check(builder);
  measure message = {.schema = schema, .error = error, .frame = builder->frame_count, .before = sb_builder_size(builder)};
  adding call = begin_adding(builder);
  size_t total = 0;
  sb_status status = measure_rows(&message, values, count, &total);
  if (status == SB_OK) status = room_for_all(builder, total);
  for (size_t i = 0; i < count && status == SB_OK; i++)
    status = add_next(&call, &message, sequences[i], schema->field_count > 0 ? values + i * schema->field_count : NULL);
  return end_adding(&call, &message, status, count);
}

size_t sb_builder_size(const sb_builder *builder) { return builder != NULL ? builder->committed + builder->piece_used : 0; }

size_t sb_builder_frame_count(const sb_builder *builder) { return builder != NULL ? builder->frame_count : 0; }

sb_status sb_builder_take(sb_builder *builder, sb_view **frames) {
  if (builder == NULL || frames == NULL) return SB_INVALID_ARGUMENT;
  builder_check(builder);
  commit_piece(builder);
  sb_status status = sb_buf_take(builder->buf, builder->committed, frames);
  if (status != SB_OK) return status;
  builder->committed = 0;
  builder->frame_count = 0;
  builder_check(builder);
  return SB_OK;
}

sb_status sb_builder_copy_bytes(const sb_builder *builder, void *data, size_t size) {
  if (builder == NULL || (data == NULL && size > 0)) return SB_INVALID_ARGUMENT;
  if (size != sb_builder_size(builder)) return SB_OUT_OF_RANGE;
  sb_priv_buf_copy_out(builder->buf, data);
  if (builder->piece_used > 0) memcpy((uint8_t *)data + builder->committed, builder->piece, builder->piece_used);
  return SB_OK;
}

void sb_builder_clear(sb_builder *builder) {
  if (builder == NULL) return;
  builder_check(builder);
  commit_piece(builder);
  sb_buf_clear(builder->buf);
  builder->committed = 0;
  builder->frame_count = 0;
  builder_check(builder);
}

/* Keeps the first `frame_count` frames, of `size` bytes. */
static void cut(sb_builder *builder, size_t size, size_t frame_count) {
  if (size < builder->committed) { /* the piece lies behind it; the next one begins where the cut is, if that is in the same block */
    builder->piece = NULL;
    builder->piece_size = builder->piece_used = 0;
    sb_priv_buf_cut(builder->buf, size);
    builder->committed = size;
  } else if (builder->piece != NULL) {
    builder->piece_used = size - builder->committed;
  }
  builder->frame_count = frame_count;
}

sb_status sb_builder_truncate(sb_builder *builder, size_t size, size_t frame_count) {
  if (builder == NULL) return SB_INVALID_ARGUMENT;
  if (size > sb_builder_size(builder) || frame_count > builder->frame_count) return SB_OUT_OF_RANGE;
  if (frame_count > size / SB_PRIV_HEAD_BYTES || (frame_count == 0 && size > 0)) return SB_OUT_OF_RANGE;
  builder_check(builder);
  cut(builder, size, frame_count);
  builder_check(builder);
  return SB_OK;
}

sb_status sb_builder_memory(const sb_builder *builder, sb_memory **memory) {
  if (builder == NULL || memory == NULL) return SB_INVALID_ARGUMENT;
  return sb_buf_memory(builder->buf, memory);
}

void sb_builder_close(sb_builder *builder) {
  if (builder == NULL) return;
  builder_check(builder);
  sb_buf_close(builder->buf);
  free(builder);
}
