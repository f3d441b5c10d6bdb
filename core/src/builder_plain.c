//go:build !samebytes_shared

/* The plain case of encoding, which nearly every message is: right, and with room for its frame where the last one ended. It is checked
 * and written in one pass. What is not plain it leaves to builder.c, which measures first, can say what is wrong, and makes room; what was
 * written until then lies in room that nobody sees.
 *
 * Each place of the caller's memory is read once, because somebody may change it in between: what was checked is what is written.
 *
 * Invariant: `spare` is the room beyond the frame of the fields so far and the empty ones that follow; while it is not negative, what is
 * written next lies inside the room. */

#include <string.h>

#include "builder_private.h"
#include "schema_private.h"
#include "steps.h"
#include "wire.h"

#include <samebytes/builder.h>

/* Copies what is short by two copies that overlap, which costs less than a call. */
static inline void copy_string(uint8_t *to, const uint8_t *from, size_t size) {
  if (size > 32) {
    memcpy(to, from, size);
  } else if (size >= 16) {
    memcpy(to, from, 16);
    memcpy(to + size - 16, from + size - 16, 16);
  } else if (size >= 8) {
    memcpy(to, from, 8);
    memcpy(to + size - 8, from + size - 8, 8);
  } else if (size >= 4) {
    memcpy(to, from, 4);
    memcpy(to + size - 4, from + size - 4, 4);
  } else if (size > 0) {
    to[0] = from[0];
    to[size / 2] = from[size / 2];
    to[size - 1] = from[size - 1];
  }
}

size_t sb_priv_write_plain(uint8_t *frame, size_t room, const sb_schema *schema, int8_t sequence, const sb_value *value) {
  /* One jump per field, to the code of its type, as in parser_plain.c. */
  static const void *const encode[] = {
      [0] = &&done,
      [SB_TYPE_INT8] = &&encode_int8,
      [SB_TYPE_INT16] = &&encode_int16,
      [SB_TYPE_INT32] = &&encode_int32,
      [SB_TYPE_INT64] = &&encode_int64,
      [SB_TYPE_STRING] = &&encode_string,
      [SB_TYPE_ARRAY_INT8] = &&encode_array,
      [SB_TYPE_ARRAY_INT16] = &&encode_array16,
      [SB_TYPE_ARRAY_INT32] = &&encode_array,
      [SB_TYPE_ARRAY_INT64] = &&encode_array,
      [SB_TYPE_ARRAY_STRING] = &&not_plain,
  };
  if (room < schema->smallest_frame) return 0;
  size_t spare = (room < INT32_MAX ? room : INT32_MAX) - schema->smallest_frame;
  const uint8_t *type = schema->types;
  uint8_t *at = frame + SB_PRIV_HEAD_BYTES;
  int64_t number;
  const void *data;
  size_t size;
  goto *encode[*type++];
encode_int8:
  number = SB_PRIV_READ_ONCE(value->number);
  value++;
  if (number != (int8_t)number) return 0;
  *at = (uint8_t)number;
  at += 1;
  goto *encode[*type++];
encode_int16:
  number = SB_PRIV_READ_ONCE(value->number);
  value++;
  if (number != (int16_t)number) return 0;
  sb_priv_store16(at, (uint16_t)number);
  at += 2;
  goto *encode[*type++];
encode_int32:
  number = SB_PRIV_READ_ONCE(value->number);
  value++;
  if (number != (int32_t)number) return 0;
  sb_priv_store32(at, (uint32_t)number);
  at += 4;
  goto *encode[*type++];
encode_int64:
  sb_priv_store64(at, (uint64_t)value++->number);
  at += 8;
  goto *encode[*type++];
encode_string:
  size = SB_PRIV_READ_ONCE(value->size);
  data = SB_PRIV_READ_ONCE(value->data);
  value++;
  if (size > spare || (data == NULL && size > 0)) return 0;
  spare -= size;
  sb_priv_store32(at, (uint32_t)size);
  copy_string(at + 4, data, size);
  at += 4 + size;
  goto *encode[*type++];
encode_array16:
  size = SB_PRIV_READ_ONCE(value->size);
  data = SB_PRIV_READ_ONCE(value->data);
  value++;
  if (size > SB_ARRAY_ITEMS_MAX || 2 * size > spare || (data == NULL && size > 0)) return 0;
  spare -= 2 * size;
  sb_priv_store16(at, (uint16_t)size);
  sb_priv_swap_items16(at + 2, data, size);
  at += 2 + 2 * size;
  goto *encode[*type++];
encode_array:
  {
    const size_t width = sb_priv_type_width(type[-1]);
    size = SB_PRIV_READ_ONCE(value->size);
    data = SB_PRIV_READ_ONCE(value->data);
    value++;
    if (size > SB_ARRAY_ITEMS_MAX || width * size > spare || (data == NULL && size > 0)) return 0;
    spare -= width * size;
    sb_priv_store16(at, (uint16_t)size);
    sb_priv_swap_copy(at + 2, data, width, size);
    at += 2 + width * size;
    goto *encode[*type++];
  }
done:
  sb_priv_store32(frame, (uint32_t)(at - frame - 4));
  frame[4] = (uint8_t)schema->api_key;
  frame[5] = (uint8_t)sequence;
  return (size_t)(at - frame);
not_plain:
  return 0;
}
