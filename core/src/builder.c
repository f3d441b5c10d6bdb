//go:build !samebytes_shared

/* A message is measured first and written second, so that a message that is refused leaves nothing behind and no buffer grows by copying.
 * Where the room of the buf begins with a piece that holds the whole frame, the frame is written there; otherwise it is written
 * apart and put across the pieces, which happens once per block. */

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
  message->error->stream_offset = (int64_t)(sb_buf_size(message->builder->buf) + message->size);
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

/* Makes room for a frame of `size` bytes. It grows with what was added, so that the number of blocks stays small; where the
 * provider has no more than the frame needs, that is enough. */
static sb_status make_room(sb_builder *builder, size_t size) {
  if (sb_buf_room(builder->buf) >= size) return SB_OK;
  size_t room = sb_buf_size(builder->buf);
  room = room < ROOM_MIN ? ROOM_MIN : room > ROOM_MAX ? ROOM_MAX : room;
  if (room > size && sb_buf_reserve(builder->buf, room) == SB_OK) return SB_OK;
  return sb_buf_reserve(builder->buf, size);
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

  status = make_room(builder, message.size);
  void *piece = NULL;
  size_t piece_size = 0;
  if (status == SB_OK) status = sb_buf_begin(builder->buf, &piece, &piece_size);
  if (status != SB_OK) return sb_priv_error(error, status, NULL, "no memory for a frame of %zu bytes", message.size);
  if (piece_size >= message.size) {
    write_frame(piece, schema, sequence, values, message.size);
    status = sb_buf_commit(builder->buf, message.size);
  } else {
    uint8_t *frame = malloc(message.size);
    if (frame == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for a frame of %zu bytes", message.size);
    write_frame(frame, schema, sequence, values, message.size);
    status = sb_buf_put(builder->buf, frame, message.size);
    free(frame);
  }
  if (status != SB_OK) return sb_priv_error(error, status, NULL, "a frame of %zu bytes could not be put", message.size);
  builder->frame_count++;
  return SB_OK;
}

size_t sb_builder_size(const sb_builder *builder) { return builder != NULL ? sb_buf_size(builder->buf) : 0; }

size_t sb_builder_frame_count(const sb_builder *builder) { return builder != NULL ? builder->frame_count : 0; }

sb_status sb_builder_take(sb_builder *builder, sb_view **frames) {
  if (builder == NULL || frames == NULL) return SB_INVALID_ARGUMENT;
  sb_status status = sb_buf_take(builder->buf, sb_buf_size(builder->buf), frames);
  if (status == SB_OK) builder->frame_count = 0;
  return status;
}

sb_status sb_builder_copy_bytes(const sb_builder *builder, void *data, size_t size) {
  if (builder == NULL || (data == NULL && size > 0)) return SB_INVALID_ARGUMENT;
  if (size != sb_buf_size(builder->buf)) return SB_OUT_OF_RANGE;
  sb_view *frames = NULL;
  sb_status status = sb_buf_peek(builder->buf, &frames);
  if (status != SB_OK) return status;
  status = sb_view_copy_bytes(frames, 0, data, size);
  sb_view_close(frames);
  return status;
}

void sb_builder_clear(sb_builder *builder) {
  if (builder == NULL) return;
  sb_buf_clear(builder->buf);
  builder->frame_count = 0;
}

void sb_builder_close(sb_builder *builder) {
  if (builder == NULL) return;
  sb_buf_close(builder->buf);
  free(builder);
}
