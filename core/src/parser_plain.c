//go:build !samebytes_shared

/* The plain case of decoding, which nearly every frame is: whole, right, and with room for what it becomes. It checks all fixed parts of a
 * frame by one comparison, and keeps what changes in registers. What is not plain it leaves to parser.c, which looks at one field after
 * the other, can say what is wrong, and makes room.
 *
 * Invariant: `spare` is what the strings and arrays of the frame may still take beyond their prefixes; while it is not negative, what is
 * read next lies inside the frame. */

#include "parser_batch.h"
#include "schema_private.h"
#include "wire.h"

/* An array that has no memory yet has no end either: nothing may be added to NULL. */
static inline void *behind(void *array, size_t bytes) { return bytes > 0 ? (uint8_t *)array + bytes : array; }

/* Rows for which there is room, whatever their schema. */
static size_t rows_free(const sb_batch *batch, const schema_set *set) {
  const size_t rows = batch->row_capacity - batch->row_count;
  const size_t by_values = (batch->value_capacity - batch->value_count) / (set->field_count_max > 0 ? set->field_count_max : 1);
  return rows < by_values ? rows : by_values;
}

/* A frame whose head is plain: whole, within the limit, and large enough for the fields of its schema. */
typedef struct plain_head {
  const frame_plan *plan;
  uint32_t size; /* the frame's Size */
  int64_t spare; /* bytes of it that strings and arrays may take */
} plain_head;

static inline bool read_head(const schema_set *set, const uint8_t *frame, const uint8_t *end, int32_t frame_size_max, plain_head *head) {
  head->size = sb_priv_load32(frame); /* a negative one is above any limit */
  head->plan = &set->plans[frame[SB_PRIV_SIZE_BYTES]];
  head->spare = (int64_t)head->size - head->plan->size_min;
  return head->spare >= 0 && head->size <= (uint32_t)frame_size_max && end - frame - SB_PRIV_SIZE_BYTES >= (ptrdiff_t)head->size;
}

size_t sb_priv_batch_decode_plain(sb_batch *batch, const schema_set *set, const uint8_t *data, size_t size, int64_t stream_offset,
                                  int32_t frame_size_max, bool accept_extra) {
  /* One jump per field, to the code of its type: a loop around a switch takes twice the instructions. */
  static const void *const decode[] = {
      [0] = &&done,
      [SB_TYPE_INT8] = &&decode_int8,
      [SB_TYPE_INT16] = &&decode_int16,
      [SB_TYPE_INT32] = &&decode_int32,
      [SB_TYPE_INT64] = &&decode_int64,
      [SB_TYPE_STRING] = &&decode_string,
      [SB_TYPE_ARRAY_INT8] = &&decode_array,
      [SB_TYPE_ARRAY_INT16] = &&decode_array16,
      [SB_TYPE_ARRAY_INT32] = &&decode_array,
      [SB_TYPE_ARRAY_INT64] = &&decode_array,
      [SB_TYPE_ARRAY_STRING] = &&not_plain,
  };
  const uint8_t *const end = data + size;
  const uint8_t *frame = data;
  if (batch->row_capacity == 0) return 0;
  uint8_t *items = batch->arena_next;
  uint8_t *const items_end = behind(items, batch->arena_left);
  sb_value *value = behind(batch->values, batch->value_count * sizeof *value);
  sb_row *row = batch->rows + batch->row_count;
  sb_row *const row_end = row + rows_free(batch, set);
  while (end - frame >= SB_PRIV_HEAD_BYTES) {
    plain_head head;
    if (!read_head(set, frame, end, frame_size_max, &head) || row == row_end) break;
    const frame_plan *const plan = head.plan;
    const uint32_t frame_size = head.size;
    int64_t spare = head.spare;
    const uint8_t *type = plan->types;
    const uint8_t *at = frame + SB_PRIV_HEAD_BYTES;
    sb_value *field = value;
    uint8_t *next_items = items;
    size_t count;
    goto *decode[*type++];
  decode_int8:
    *field++ = (sb_value){.number = (int8_t)*at};
    at += 1;
    goto *decode[*type++];
  decode_int16:
    *field++ = (sb_value){.number = (int16_t)sb_priv_load16(at)};
    at += 2;
    goto *decode[*type++];
  decode_int32:
    *field++ = (sb_value){.number = (int32_t)sb_priv_load32(at)};
    at += 4;
    goto *decode[*type++];
  decode_int64:
    *field++ = (sb_value){.number = (int64_t)sb_priv_load64(at)};
    at += 8;
    goto *decode[*type++];
  decode_string:
    count = sb_priv_load32(at); /* a negative one is larger than any frame */
    at += 4;
    spare -= (int64_t)count;
    if (spare < 0) goto not_plain;
    *field++ = (sb_value){.data = at, .size = count};
    at += count;
    goto *decode[*type++];
  decode_array16:
    count = sb_priv_load16(at);
    at += 2;
    spare -= 2 * (int64_t)count;
    if (spare < 0 || count > SB_ARRAY_ITEMS_MAX || items_end - next_items < 2 * (ptrdiff_t)count + 8) goto not_plain;
    *field++ = (sb_value){.data = count > 0 ? next_items : NULL, .size = count};
    if (count <= 4 && end - at >= 8)
      sb_priv_swap_four16(next_items, at); /* what is too much is written over by the next array */
    else
      sb_priv_swap_items16(next_items, at, count);
    at += 2 * count;
    next_items += (2 * count + 7) & ~(size_t)7;
    goto *decode[*type++];
  decode_array:
    {
      const size_t width = sb_priv_type_width(type[-1]);
      count = sb_priv_load16(at);
      at += 2;
      spare -= (int64_t)(width * count);
      if (spare < 0 || count > SB_ARRAY_ITEMS_MAX || items_end - next_items < (ptrdiff_t)(width * count) + 7) goto not_plain;
      *field++ = (sb_value){.data = count > 0 ? next_items : NULL, .size = count};
      sb_priv_swap_copy(next_items, at, width, count);
      at += width * count;
      next_items += (width * count + 7) & ~(size_t)7;
      goto *decode[*type++];
    }
  done:
    if (spare != 0 && !accept_extra) break;
    *row++ = row_of(plan, frame, frame_size, stream_offset + (frame - data));
    value = field;
    items = next_items;
    frame += SB_PRIV_SIZE_BYTES + (size_t)frame_size;
  }
not_plain:
  batch->row_count = (size_t)(row - batch->rows);
  if (value != NULL) batch->value_count = (size_t)(value - batch->values);
  batch->arena_next = items;
  batch->arena_left = (size_t)(items_end - items);
  return (size_t)(frame - data);
}

size_t sb_priv_batch_check_plain(sb_batch *batch, const schema_set *set, const uint8_t *data, size_t size, int64_t stream_offset,
                                 int32_t frame_size_max, bool accept_extra) {
  static const void *const check[] = {
      [0] = &&done,
      [SB_TYPE_INT8] = &&check_int8,
      [SB_TYPE_INT16] = &&check_int16,
      [SB_TYPE_INT32] = &&check_int32,
      [SB_TYPE_INT64] = &&check_int64,
      [SB_TYPE_STRING] = &&check_string,
      [SB_TYPE_ARRAY_INT8] = &&check_array,
      [SB_TYPE_ARRAY_INT16] = &&check_array,
      [SB_TYPE_ARRAY_INT32] = &&check_array,
      [SB_TYPE_ARRAY_INT64] = &&check_array,
      [SB_TYPE_ARRAY_STRING] = &&check_strings,
  };
  const uint8_t *const end = data + size;
  const uint8_t *frame = data;
  sb_row *row = behind(batch->rows, batch->row_count * sizeof *row);
  sb_row *const row_end = behind(batch->rows, batch->row_capacity * sizeof *row);
  while (end - frame >= SB_PRIV_HEAD_BYTES) {
    plain_head head;
    if (!read_head(set, frame, end, frame_size_max, &head) || row == row_end) break;
    const frame_plan *const plan = head.plan;
    const uint32_t frame_size = head.size;
    int64_t spare = head.spare;
    const uint8_t *type = plan->types;
    const uint8_t *at = frame + SB_PRIV_HEAD_BYTES;
    size_t count, bytes;
    goto *check[*type++];
  check_int8:
    at += 1;
    goto *check[*type++];
  check_int16:
    at += 2;
    goto *check[*type++];
  check_int32:
    at += 4;
    goto *check[*type++];
  check_int64:
    at += 8;
    goto *check[*type++];
  check_string:
    bytes = sb_priv_load32(at); /* a negative one is larger than any frame */
    spare -= (int64_t)bytes;
    if (spare < 0) goto stop;
    at += 4 + bytes;
    goto *check[*type++];
  check_array:
    count = sb_priv_load16(at);
    bytes = sb_priv_type_width(type[-1]) * count;
    spare -= (int64_t)bytes;
    if (spare < 0 || count > SB_ARRAY_ITEMS_MAX) goto stop;
    at += 2 + bytes;
    goto *check[*type++];
  check_strings:
    count = sb_priv_load16(at);
    at += 2;
    spare -= 4 * (int64_t)count; /* pays for all lengths, so that each may be read */
    if (spare < 0 || count > SB_ARRAY_ITEMS_MAX) goto stop;
    for (; count > 0; count--) {
      bytes = sb_priv_load32(at);
      spare -= (int64_t)bytes;
      if (spare < 0) goto stop;
      at += 4 + bytes;
    }
    goto *check[*type++];
  done:
    if (spare != 0 && !accept_extra) break;
    *row++ = row_of(plan, frame, frame_size, stream_offset + (frame - data));
    frame += SB_PRIV_SIZE_BYTES + (size_t)frame_size;
  }
stop:
  if (row != NULL) batch->row_count = (size_t)(row - batch->rows);
  return (size_t)(frame - data);
}
