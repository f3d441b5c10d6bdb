//go:build !samebytes_shared

/* Numbers of views, which may lie across spans. They are put together from bytes by memcpy and shifts, which is defined for every address. */

#include <string.h>

#include <samebytes/view.h>

#include "spans.h"
#include "view_private.h"

static bool is_swapped(int32_t order) { return (order == SB_ORDER_BIG) == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__); }

int64_t sb_priv_number_load(const uint8_t *data, uint32_t size, int32_t order) {
  const bool swap = is_swapped(order);
  uint16_t half;
  uint32_t word;
  uint64_t whole;
  switch (size) {
  case 1: return (int8_t)data[0];
  case 2: memcpy(&half, data, sizeof half); return (int16_t)(swap ? __builtin_bswap16(half) : half);
  case 4: memcpy(&word, data, sizeof word); return (int32_t)(swap ? __builtin_bswap32(word) : word);
  default: memcpy(&whole, data, sizeof whole); return (int64_t)(swap ? __builtin_bswap64(whole) : whole);
  }
}

void sb_priv_number_store(uint8_t *data, uint64_t bits, uint32_t size, int32_t order) {
  const bool swap = is_swapped(order);
  const uint16_t half = swap ? __builtin_bswap16((uint16_t)bits) : (uint16_t)bits;
  const uint32_t word = swap ? __builtin_bswap32((uint32_t)bits) : (uint32_t)bits;
  const uint64_t whole = swap ? __builtin_bswap64(bits) : bits;
  switch (size) {
  case 1: data[0] = (uint8_t)bits; break;
  case 2: memcpy(data, &half, sizeof half); break;
  case 4: memcpy(data, &word, sizeof word); break;
  default: memcpy(data, &whole, sizeof whole);
  }
}

sb_status sb_view_peek_int(const sb_view *view, size_t offset, uint32_t size, int32_t order, int64_t *value) {
  if (view == NULL || value == NULL || !sb_priv_number_valid(size, order)) return SB_INVALID_ARGUMENT;
  const sb_priv_spans *spans = sb_priv_view_spans(view);
  if (offset > spans->bytes || size > spans->bytes - offset) return SB_OUT_OF_RANGE;
  const sb_priv_span *span = sb_priv_spans_at(spans, sb_priv_spans_find(spans, &offset));
  if (size <= span->size - offset) {
    *value = sb_priv_number_load(span->data + offset, size, order);
    return SB_OK;
  }
  /* `offset` is relative to the span now, so the rest is collected from there. */
  uint8_t bytes[8];
  size_t got = 0;
  for (size_t index = (size_t)(span - sb_priv_spans_at(spans, 0)); got < size; index++, offset = 0) {
    span = sb_priv_spans_at(spans, index);
    while (offset < span->size && got < size) bytes[got++] = span->data[offset++];
  }
  *value = sb_priv_number_load(bytes, size, order);
  return SB_OK;
}

sb_status sb_view_peek_float(const sb_view *view, size_t offset, uint32_t size, int32_t order, double *value) {
  if (value == NULL || (size != 4 && size != 8)) return SB_INVALID_ARGUMENT;
  int64_t bits = 0;
  const sb_status status = sb_view_peek_int(view, offset, size, order, &bits);
  if (status != SB_OK) return status;
  if (size == 4) {
    const uint32_t narrow_bits = (uint32_t)bits;
    float narrow;
    memcpy(&narrow, &narrow_bits, sizeof narrow);
    *value = (double)narrow;
  } else {
    memcpy(value, &bits, sizeof *value);
  }
  return SB_OK;
}

sb_status sb_view_read_int(sb_view *view, uint32_t size, int32_t order, int64_t *value) {
  const sb_status status = sb_view_peek_int(view, 0, size, order, value);
  if (status == SB_OK) sb_priv_view_skip(view, size);
  return status;
}

sb_status sb_view_read_float(sb_view *view, uint32_t size, int32_t order, double *value) {
  const sb_status status = sb_view_peek_float(view, 0, size, order, value);
  if (status == SB_OK) sb_priv_view_skip(view, size);
  return status;
}
