//go:build !samebytes_shared

/* A message is measured first and written second, so that a message that is refused leaves nothing behind and no buffer grows by copying.
 * Frames are written to a piece of the buf's room that stays begun over many messages, and is committed when a frame does not fit any
 * more or somebody looks. A frame that no piece can hold is written apart and put across the pieces, which happens once per block.
 * Messages from columns are all measured, and have room, before the first of them is written.
 *
 * Invariant: piece == NULL and piece_size == piece_used == 0, or the buf's first piece of room is begun and its first piece_used bytes are
 * frames. */

#include "internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <samebytes/buf.h>
#include <samebytes/builder.h>

enum {
  HEADER_SIZE = 6,        /* Size, api_key, sequence */
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

static sb_status measure_array(measure *message, size_t field, const sb_value *value) {
  if (value->size > SB_ARRAY_ITEMS_MAX)
    return refuse(message, SB_TOO_LARGE, field, "an array of %zu items; at most %d are allowed", value->size, SB_ARRAY_ITEMS_MAX);
  if (value->data == NULL && value->size > 0)
    return refuse(message, SB_INVALID_ARGUMENT, field, "data is NULL though size is %zu", value->size);
  size_t width = sb_priv_type_width(message->schema->types[field]);
  size_t total = 2 + width * value->size;
  if (width == 0) {
    const sb_bytes *items = value->data;
    for (size_t i = 0; i < value->size; i++) {
      sb_status status = measure_string(message, field, items[i].data, items[i].size, &total);
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
  message->size = HEADER_SIZE;
  assert(values != NULL || message->schema->field_count == 0);
  for (size_t i = 0; i < message->schema->field_count; i++) {
    sb_status status;
    uint8_t type = message->schema->types[i];
    if (type <= SB_TYPE_INT64) {
      status = measure_integer(message, i, values[i].number);
    } else if (type == SB_TYPE_STRING) {
      size_t size = 0;
      status = measure_string(message, i, values[i].data, values[i].size, &size);
      message->size += size;
    } else {
      status = measure_array(message, i, &values[i]);
    }
    if (status != SB_OK) return status;
    /* Checked per field: at most 256 fields of at most 32,767 strings below 2^31 cannot wrap 64 bits before. */
    if (message->size - 4 > INT32_MAX)
      return refuse(message, SB_TOO_LARGE, i, "the frame's Size would be above 2147483647 with this field");
  }
  return SB_OK;
}

static uint8_t *write_string(uint8_t *at, const void *data, size_t size) {
  sb_priv_store32(at, (uint32_t)size);
  if (size > 0) memcpy(at + 4, data, size);
  return at + 4 + size;
}

static uint8_t *write_integer(uint8_t *at, size_t width, int64_t number) {
  switch (width) {
  case 1: *at = (uint8_t)number; break;
  case 2: sb_priv_store16(at, (uint16_t)number); break;
  case 4: sb_priv_store32(at, (uint32_t)number); break;
  default: sb_priv_store64(at, (uint64_t)number);
  }
  return at + width;
}

static uint8_t *write_array(uint8_t *at, uint8_t type, const sb_value *value) {
  sb_priv_store16(at, (uint16_t)value->size);
  at += 2;
  size_t width = sb_priv_type_width(type);
  if (width > 0) {
    sb_priv_swap_copy(at, value->data, width, value->size);
    return at + width * value->size;
  }
  const sb_bytes *items = value->data;
  for (size_t i = 0; i < value->size; i++) at = write_string(at, items[i].data, items[i].size);
  return at;
}

static void write_frame(uint8_t *at, const sb_schema *schema, int8_t sequence, const sb_value *values, size_t size) {
  const uint8_t *end = at + size;
  sb_priv_store32(at, (uint32_t)(size - 4));
  at[4] = (uint8_t)schema->api_key;
  at[5] = (uint8_t)sequence;
  at += HEADER_SIZE;
  for (size_t i = 0; i < schema->field_count; i++) {
    uint8_t type = schema->types[i];
    if (type <= SB_TYPE_INT64)
      at = write_integer(at, sb_priv_type_width(type), values[i].number);
    else if (type == SB_TYPE_STRING)
      at = write_string(at, values[i].data, values[i].size);
    else
      at = write_array(at, type, &values[i]);
  }
  assert(at == end);
  (void)end;
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

/* Writes a frame apart, to `frame`, and puts it across the pieces of room, of which there is enough. */
static void put_across(sb_builder *builder, uint8_t *frame, const sb_schema *schema, int8_t sequence, const sb_value *values, size_t size) {
  write_frame(frame, schema, sequence, values, size);
  commit_piece(builder);
  const sb_status status = sb_buf_put(builder->buf, frame, size);
  assert(status == SB_OK);
  (void)status;
  builder->committed += size;
}

static void put_in_piece(sb_builder *builder, const sb_schema *schema, int8_t sequence, const sb_value *values, size_t size) {
  write_frame(builder->piece + builder->piece_used, schema, sequence, values, size);
  builder->piece_used += size;
}

/* Adds a message that is not plain: with a piece of its own, or wrong. Apart, so that the way of the others stays short. */
__attribute__((noinline)) static sb_status add_measured(sb_builder *builder, const sb_schema *schema, int8_t sequence,
                                                        const sb_value *values, sb_error *error) {
  measure message = {.schema = schema, .error = error, .frame = builder->frame_count, .before = sb_builder_size(builder)};
  sb_status status = measure_message(&message, values);
  if (status != SB_OK) return status;

  const size_t size = message.size;
  if (builder->piece_size - builder->piece_used < size) status = begin_piece(builder, size);
  if (status == SB_OK && builder->piece_size - builder->piece_used < size) {
    uint8_t *frame = malloc(size);
    if (frame != NULL)
      put_across(builder, frame, schema, sequence, values, size);
    else
      status = SB_NO_MEMORY;
    free(frame);
  } else if (status == SB_OK) {
    put_in_piece(builder, schema, sequence, values, size);
  }
  if (status != SB_OK) return sb_priv_error(error, status, NULL, "no memory for a frame of %zu bytes", size);
  builder->frame_count++;
  return SB_OK;
}

sb_status sb_builder_add(sb_builder *builder, const sb_schema *schema, int8_t sequence, const sb_value *values, size_t value_count,
                         sb_error *error) {
  if (builder == NULL || schema == NULL || (values == NULL && value_count > 0))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "builder, schema and values must not be NULL");
  if (value_count != schema->field_count)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "message %s has %u fields, %zu values were given", schema->name,
                         (unsigned)schema->field_count, value_count);
  size_t size = 0;
  if (builder->piece != NULL)
    size = sb_priv_write_plain(builder->piece + builder->piece_used, builder->piece_size - builder->piece_used, schema, sequence, values);
  if (size == 0) return add_measured(builder, schema, sequence, values, error);
  builder->piece_used += size;
  builder->frame_count++;
  return SB_OK;
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
  sb_bytes *strings; /* of all arrays of one message */
  sb_column *copies; /* what columns shows from gather_open on */
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

/* Gathers and measures the message at `index`. */
static sb_status gather_message(gather *all, size_t index) {
  for (size_t field = 0; field < all->message.schema->field_count; field++) {
    all->message.size = HEADER_SIZE; /* where it is in its frame is not known before it is measured */
    sb_status status = gather_value(all, field, index);
    if (status != SB_OK) return status;
  }
  return measure_message(&all->message, all->values); // NOLINT(clang-analyzer-unix.Malloc): gather_close frees
}

static void rewind_cursors(gather *all) {
  for (size_t field = 0; field < all->message.schema->field_count; field++) all->cursors[field].next = 0;
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

/* Copies the offsets and lengths. Messages are measured and then written from them; what a caller who shares its arrays with others has
 * changed in between must not reach further than the room that was measured. */
static sb_status copy_places(gather *all) {
  const size_t fields = all->message.schema->field_count;
  size_t size = fields * sizeof(sb_column) + 1;
  for (size_t field = 0; field < fields; field++) {
    const sb_column *column = &all->columns[field];
    const size_t most = PTRDIFF_MAX / 16 / (SB_SCHEMA_FIELDS_MAX * 4);
    if (column->offset_count > most || column->length_count > most || column->item_offset_count > most || column->item_length_count > most)
      return SB_NO_MEMORY;
    size += column->offset_count * 8 + column->length_count * 4 + column->item_length_count * (8 + 4) + 32;
  }
  sb_column *copies = malloc(size);
  if (copies == NULL) return SB_NO_MEMORY;
  uint8_t *room = (uint8_t *)(copies + fields);
  for (size_t field = 0; field < fields; field++) {
    sb_column *copy = &copies[field];
    *copy = all->columns[field];
    if (all->message.schema->types[field] < SB_TYPE_STRING) continue;
    copy->offsets = copy_items(&room, copy->offsets, copy->offset_count, sizeof *copy->offsets);
    copy->lengths = copy_items(&room, copy->lengths, copy->length_count, sizeof *copy->lengths);
    if (all->message.schema->types[field] != SB_TYPE_ARRAY_STRING) continue;
    if (copy->item_offset_count == 0) copy->item_offsets = sum_lengths(&room, copy->item_lengths, copy->item_length_count);
    copy->item_lengths = copy_items(&room, copy->item_lengths, copy->item_length_count, sizeof *copy->item_lengths);
    if (copy->item_offset_count > 0)
      copy->item_offsets = copy_items(&room, copy->item_offsets, copy->item_length_count, sizeof *copy->item_offsets);
  }
  all->columns = all->copies = copies;
  return SB_OK;
}

/* Gets the memory that gathering needs: the strings of one message, and what there is one of per field. */
static sb_status gather_open(gather *all) {
  const sb_schema *schema = all->message.schema;
  const sb_status status = copy_places(all);
  if (status != SB_OK) return status;
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
  all->values = malloc((size_t)schema->field_count * sizeof *all->values + 1);
  all->cursors = calloc((size_t)schema->field_count + 1, sizeof *all->cursors);
  all->strings = malloc((total + 1) * sizeof *all->strings);
  if (all->values == NULL || all->cursors == NULL || all->strings == NULL) return SB_NO_MEMORY;
  sb_bytes *next = all->strings;
  for (size_t field = 0; field < schema->field_count; field++) {
    all->cursors[field].strings = next;
    next += most[field];
  }
  return SB_OK;
}

static void gather_close(gather *all) {
  free(all->values);
  free(all->cursors);
  free(all->strings);
  free(all->copies);
}

/* Measures all messages: bytes of all frames, and of the largest. */
static sb_status measure_all(gather *all, size_t *total, size_t *largest) {
  const size_t frame = all->message.frame, before = all->message.before;
  *total = *largest = 0;
  for (size_t i = 0; i < all->count; i++) {
    all->message.frame = frame + i;
    all->message.before = before + *total;
    sb_status status = gather_message(all, i);
    if (status != SB_OK) return status;
    *total += all->message.size;
    if (*total > PTRDIFF_MAX) return sb_priv_error(all->message.error, SB_TOO_LARGE, NULL, "more bytes than memory can have");
    if (all->message.size > *largest) *largest = all->message.size;
  }
  return SB_OK;
}

/* Makes room for all frames, so that writing them cannot fail. `*apart` is memory for a frame that no piece holds; NULL where one piece
 * holds all. */
static sb_status room_for_all(sb_builder *builder, size_t total, size_t largest, uint8_t **apart) {
  sb_status status = SB_OK;
  if (builder->piece_size - builder->piece_used >= total) return SB_OK;
  status = begin_piece(builder, total);
  if (status != SB_OK || builder->piece_size >= total) return status;
  *apart = malloc(largest);
  return *apart != NULL ? SB_OK : SB_NO_MEMORY;
}

static void write_all(sb_builder *builder, gather *all, const int8_t *sequences, uint8_t *apart) {
  const sb_schema *schema = all->message.schema;
  rewind_cursors(all);
  for (size_t i = 0; i < all->count; i++) {
    sb_status status = gather_message(all, i);
    const size_t size = all->message.size;
    if (status == SB_OK && builder->piece_size - builder->piece_used < size) status = begin_piece(builder, size);
    assert(status == SB_OK); /* all was checked, and there is room */
    (void)status;
    if (builder->piece_size - builder->piece_used < size)
      put_across(builder, apart, schema, sequences[i], all->values, size);
    else
      put_in_piece(builder, schema, sequences[i], all->values, size);
  }
  builder->frame_count += all->count;
}

sb_status sb_builder_add_columns(sb_builder *builder, const sb_schema *schema, const int8_t *sequences, size_t count,
                                 const sb_column *columns, size_t column_count, sb_error *error) {
  if (builder == NULL || schema == NULL || (sequences == NULL && count > 0) || (columns == NULL && column_count > 0))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "builder, schema, sequences and columns must not be NULL");
  if (column_count != schema->field_count)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "message %s has %u fields, %zu columns were given", schema->name,
                         (unsigned)schema->field_count, column_count);
  gather all = {
      .message = {.schema = schema, .error = error, .frame = builder->frame_count, .before = sb_builder_size(builder), .size = HEADER_SIZE},
      .columns = columns,
      .count = count};
  sb_status status = SB_OK;
  for (size_t field = 0; field < column_count && status == SB_OK; field++) status = check_column(&all, field);
  if (status != SB_OK || count == 0) return status;
  size_t total = 0, largest = 0;
  uint8_t *apart = NULL;
  status = gather_open(&all);
  if (status == SB_OK) status = measure_all(&all, &total, &largest);
  if (status == SB_OK) status = room_for_all(builder, total, largest, &apart);
  if (status == SB_OK) write_all(builder, &all, sequences, apart);
  free(apart);
  gather_close(&all);
  return status == SB_NO_MEMORY ? sb_priv_error(error, status, NULL, "no memory for %zu messages", count) : status;
}

/* ---- many messages from rows ---- */

static sb_status measure_rows(measure *message, const sb_value *values, size_t count, size_t *total, size_t *largest) {
  const size_t frame = message->frame, before = message->before;
  *total = *largest = 0;
  for (size_t i = 0; i < count; i++) {
    message->frame = frame + i;
    message->before = before + *total;
    sb_status status = measure_message(message, values + i * message->schema->field_count);
    if (status != SB_OK) return status;
    *total += message->size;
    if (*total > PTRDIFF_MAX) return sb_priv_error(message->error, SB_TOO_LARGE, NULL, "more bytes than memory can have");
    if (message->size > *largest) *largest = message->size;
  }
  return SB_OK;
}

/* All was measured, and there is room. */
static void write_rows(sb_builder *builder, measure *message, const int8_t *sequences, size_t count, const sb_value *values,
                       uint8_t *apart) {
  const sb_schema *schema = message->schema;
  for (size_t i = 0; i < count; i++, values += schema->field_count) {
    sb_status status = measure_message(message, values);
    if (status == SB_OK && builder->piece_size - builder->piece_used < message->size) status = begin_piece(builder, message->size);
    assert(status == SB_OK);
    (void)status;
    if (builder->piece_size - builder->piece_used < message->size)
      put_across(builder, apart, schema, sequences[i], values, message->size);
    else
      put_in_piece(builder, schema, sequences[i], values, message->size);
  }
  builder->frame_count += count;
}

sb_status sb_builder_add_rows(sb_builder *builder, const sb_schema *schema, const int8_t *sequences, size_t count, const sb_value *values,
                              size_t value_count, sb_error *error) {
  if (builder == NULL || schema == NULL || (sequences == NULL && count > 0) || (values == NULL && value_count > 0))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "builder, schema, sequences and values must not be NULL");
  if (schema->field_count > 0 ? value_count % schema->field_count != 0 || value_count / schema->field_count != count : value_count != 0)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "message %s has %u fields, %zu values were given for %zu messages", schema->name,
                         (unsigned)schema->field_count, value_count, count);
  if (count == 0) return SB_OK;
  measure message = {.schema = schema, .error = error, .frame = builder->frame_count, .before = sb_builder_size(builder)};
  size_t total = 0, largest = 0;
  uint8_t *apart = NULL;
  sb_status status = measure_rows(&message, values, count, &total, &largest);
  if (status == SB_OK) status = room_for_all(builder, total, largest, &apart);
  if (status == SB_OK) write_rows(builder, &message, sequences, count, values, apart);
  free(apart);
  return status == SB_NO_MEMORY ? sb_priv_error(error, status, NULL, "no memory for %zu messages", count) : status;
}

size_t sb_builder_size(const sb_builder *builder) { return builder != NULL ? builder->committed + builder->piece_used : 0; }

size_t sb_builder_frame_count(const sb_builder *builder) { return builder != NULL ? builder->frame_count : 0; }

sb_status sb_builder_take(sb_builder *builder, sb_view **frames) {
  if (builder == NULL || frames == NULL) return SB_INVALID_ARGUMENT;
  commit_piece(builder);
  sb_status status = sb_buf_take(builder->buf, builder->committed, frames);
  if (status != SB_OK) return status;
  builder->committed = 0;
  builder->frame_count = 0;
  return SB_OK;
}

sb_status sb_builder_copy_bytes(const sb_builder *builder, void *data, size_t size) {
  if (builder == NULL || (data == NULL && size > 0)) return SB_INVALID_ARGUMENT;
  if (size != sb_builder_size(builder)) return SB_OUT_OF_RANGE;
  sb_view *frames = NULL;
  sb_status status = sb_buf_peek(builder->buf, &frames);
  if (status != SB_OK) return status;
  status = sb_view_copy_bytes(frames, 0, data, builder->committed);
  sb_view_close(frames);
  if (status == SB_OK && builder->piece_used > 0) memcpy((uint8_t *)data + builder->committed, builder->piece, builder->piece_used);
  return status;
}

void sb_builder_clear(sb_builder *builder) {
  if (builder == NULL) return;
  commit_piece(builder);
  sb_buf_clear(builder->buf);
  builder->committed = 0;
  builder->frame_count = 0;
}

sb_status sb_builder_truncate(sb_builder *builder, size_t size, size_t frame_count) {
  if (builder == NULL) return SB_INVALID_ARGUMENT;
  if (size > sb_builder_size(builder) || frame_count > builder->frame_count) return SB_OUT_OF_RANGE;
  if (frame_count > size / HEADER_SIZE || (frame_count == 0 && size > 0)) return SB_OUT_OF_RANGE;
  if (size < builder->committed) { /* the piece lies behind it, and is begun anew where it began */
    builder->piece = NULL;
    builder->piece_size = builder->piece_used = 0;
    sb_priv_buf_cut(builder->buf, size);
    builder->committed = size;
  } else if (builder->piece != NULL) {
    builder->piece_used = size - builder->committed;
  }
  builder->frame_count = frame_count;
  return SB_OK;
}

sb_status sb_builder_memory(const sb_builder *builder, sb_memory **memory) {
  if (builder == NULL || memory == NULL) return SB_INVALID_ARGUMENT;
  return sb_buf_memory(builder->buf, memory);
}

void sb_builder_close(sb_builder *builder) {
  if (builder == NULL) return;
  sb_buf_close(builder->buf);
  free(builder);
}
