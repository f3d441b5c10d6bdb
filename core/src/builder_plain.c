//go:build !samebytes_shared

/* The plain case of encoding, which nearly every message is: right, and with room for its frame where the last one ended. It is checked
 * and written in one pass. What is not plain it leaves to builder.c, which measures first, can say what is wrong, and makes room; what was
 * written until then lies in room that nobody sees.
 *
 * Invariant: `spare` is the room beyond the frame of the fields so far and the empty ones that follow; while it is not negative, what is
 * written next lies inside the room. */

#include "internal.h"

#include <samebytes/builder.h>

enum {
  HEADER_SIZE = 6
}; /* Size, api_key, sequence */

/* Copies up to 16 bytes by two copies that overlap, which costs less than a call. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t size) {
  if (size >= 8) {
    memcpy(to, from, 8);
    memcpy(to + size - 8, from + size - 8, 8);
  } else if (size >= 4) {
    memcpy(to, from, 4);
    memcpy(to + size - 4, from + size - 4, 4);
  } else {
    for (size_t i = 0; i < size; i++) to[i] = from[i];
  }
}

static inline void copy_string(uint8_t *to, const uint8_t *from, size_t size) {
  if (size > 32) {
    memcpy(to, from, size);
  } else if (size > 16) {
    memcpy(to, from, 16);
    memcpy(to + size - 16, from + size - 16, 16);
  } else {
    copy_short(to, from, size);
  }
}

size_t sb_priv_write_plain(uint8_t *frame, size_t room, const sb_schema *schema, int8_t sequence, const sb_value *value) {
  if (room < schema->smallest_frame) return 0;
  int64_t spare = (int64_t)(room < INT32_MAX ? room : INT32_MAX) - schema->smallest_frame;
  uint8_t *at = frame + HEADER_SIZE;
  for (const uint8_t *type = schema->types; *type != 0; type++, value++) {
    const int64_t number = value->number;
    const size_t size = value->size;
    switch (*type) {
    case SB_TYPE_INT8:
      if (number != (int8_t)number) return 0;
      *at = (uint8_t)number;
      at += 1;
      break;
    case SB_TYPE_INT16:
      if (number != (int16_t)number) return 0;
      sb_priv_store16(at, (uint16_t)number);
      at += 2;
      break;
    case SB_TYPE_INT32:
      if (number != (int32_t)number) return 0;
      sb_priv_store32(at, (uint32_t)number);
      at += 4;
      break;
    case SB_TYPE_INT64:
      sb_priv_store64(at, (uint64_t)number);
      at += 8;
      break;
    case SB_TYPE_STRING:
      if (size > (size_t)spare || (value->data == NULL && size > 0)) return 0;
      spare -= (int64_t)size;
      sb_priv_store32(at, (uint32_t)size);
      copy_string(at + 4, value->data, size);
      at += 4 + size;
      break;
    case SB_TYPE_ARRAY_STRING: return 0;
    case SB_TYPE_ARRAY_INT8:
    case SB_TYPE_ARRAY_INT16:
    case SB_TYPE_ARRAY_INT32:
    case SB_TYPE_ARRAY_INT64: {
      const size_t width = sb_priv_type_width(*type), bytes = width * size;
      if (size > SB_ARRAY_ITEMS_MAX || bytes > (size_t)spare || (value->data == NULL && size > 0)) return 0;
      spare -= (int64_t)bytes;
      sb_priv_store16(at, (uint16_t)size);
      if (width == 2)
        sb_priv_swap_items16(at + 2, value->data, size);
      else
        sb_priv_swap_copy(at + 2, value->data, width, size);
      at += 2 + bytes;
      break;
    }
    default: __builtin_unreachable(); /* a schema has no other types; saying so saves a comparison per field */
    }
  }
  sb_priv_store32(frame, (uint32_t)(at - frame - 4));
  frame[4] = (uint8_t)schema->api_key;
  frame[5] = (uint8_t)sequence;
  return (size_t)(at - frame);
}
