//go:build !samebytes_shared

/* A message is measured first and written second, so that a message that is refused leaves nothing behind and no buffer grows by copying.
 * Frames are written to a piece of the buf's room that stays begun over many messages, and is committed when a frame does not fit any
 * more or somebody looks. A frame that no piece can hold is written apart and put across the pieces, which happens once per block.
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
  const sb_builder *builder;
  const sb_schema *schema;
  sb_error *error;
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
  (void)sb_priv_error(message->error, status, name, "message %zu (%s), field %s: %.160s", message->builder->frame_count,
                      message->schema->name, name, why);
  message->error->frame = (int64_t)message->builder->frame_count;
  message->error->frame_offset = (int64_t)message->size;
  message->error->stream_offset = (int64_t)(sb_builder_size(message->builder) + message->size);
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

/* Writes a frame apart and puts it across the pieces of room. */
static sb_status put_across(sb_builder *builder, const sb_schema *schema, int8_t sequence, const sb_value *values, size_t size) {
  uint8_t *frame = malloc(size);
  if (frame == NULL) return SB_NO_MEMORY;
  write_frame(frame, schema, sequence, values, size);
  commit_piece(builder);
  sb_status status = sb_buf_put(builder->buf, frame, size);
  if (status == SB_OK) builder->committed += size;
  free(frame);
  return status;
}

sb_status sb_builder_add(sb_builder *builder, const sb_schema *schema, int8_t sequence, const sb_value *values, size_t value_count,
                         sb_error *error) {
  if (builder == NULL || schema == NULL || (values == NULL && value_count > 0))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "builder, schema and values must not be NULL");
  if (value_count != schema->field_count)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "message %s has %u fields, %zu values were given", schema->name,
                         (unsigned)schema->field_count, value_count);
  measure message = {.builder = builder, .schema = schema, .error = error, .size = 0};
  sb_status status = measure_message(&message, values);
  if (status != SB_OK) return status;

  const size_t size = message.size;
  if (builder->piece_size - builder->piece_used < size) status = begin_piece(builder, size);
  if (status == SB_OK && builder->piece_size - builder->piece_used < size) {
    status = put_across(builder, schema, sequence, values, size);
  } else if (status == SB_OK) {
    write_frame(builder->piece + builder->piece_used, schema, sequence, values, size);
    builder->piece_used += size;
  }
  if (status != SB_OK) return sb_priv_error(error, status, NULL, "no memory for a frame of %zu bytes", size);
  builder->frame_count++;
  return SB_OK;
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

void sb_builder_close(sb_builder *builder) {
  if (builder == NULL) return;
  sb_buf_close(builder->buf);
  free(builder);
}
