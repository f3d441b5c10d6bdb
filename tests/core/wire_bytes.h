#ifndef WIRE_BYTES_H
#define WIRE_BYTES_H

/* Frames as docs/wire-format.md describes them, written byte by byte: what the codec is held against. */

#include "codec_testing.h"

static inline size_t wire_number(uint8_t *at, int64_t number, size_t width) {
  for (size_t i = 0; i < width; i++) at[i] = (uint8_t)((uint64_t)number >> 8 * (width - 1 - i));
  return width;
}

static inline size_t wire_string(uint8_t *at, const void *data, size_t size) {
  wire_number(at, (int64_t)size, 4);
  if (size > 0) memcpy(at + 4, data, size);
  return 4 + size;
}

static inline int64_t wire_item(const void *items, size_t index, size_t width) {
  if (width == 1) return ((const int8_t *)items)[index];
  if (width == 2) return ((const int16_t *)items)[index];
  if (width == 4) return ((const int32_t *)items)[index];
  return ((const int64_t *)items)[index];
}

/* Writes a message of these fields, and returns how many bytes it took. */
static inline size_t wire_frame(uint8_t *frame, int8_t api_key, int8_t sequence, const sb_schema_field *fields, const sb_value *values,
                                size_t count) {
  uint8_t *at = frame + 4;
  *at++ = (uint8_t)api_key;
  *at++ = (uint8_t)sequence;
  for (size_t i = 0; i < count; i++) {
    const int32_t type = fields[i].type;
    const size_t width = type == SB_TYPE_STRING || type == SB_TYPE_ARRAY_STRING ? 0 : (size_t)1 << (type - 1) % 5;
    if (type <= SB_TYPE_INT64) at += wire_number(at, values[i].number, width);
    if (type == SB_TYPE_STRING) at += wire_string(at, values[i].data, values[i].size);
    if (type <= SB_TYPE_STRING) continue;
    at += wire_number(at, (int64_t)values[i].size, 2);
    const sb_bytes *strings = values[i].data;
    for (size_t j = 0; j < values[i].size; j++)
      at += width > 0 ? wire_number(at, wire_item(values[i].data, j, width), width) : wire_string(at, strings[j].data, strings[j].size);
  }
  wire_number(frame, at - frame - 4, 4);
  return (size_t)(at - frame);
}

#endif
