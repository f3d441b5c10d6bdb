//go:build !samebytes_shared

/* A view is a list of spans. Skipping moves the list's start instead of the spans, and the list grows by doubling, so that skip and append
 * cost the same at any length. The blocks are counted per span: copying a view of one span is one allocation and one count. */

#include <stdlib.h>

#include <samebytes/view.h>

#include "internal.h"

struct sb_view {
  sb_priv_spans spans;
};

/* ---- spans ---- */

static sb_priv_span *items(sb_priv_spans *spans) { return (spans->heap != NULL ? spans->heap : &spans->first) + spans->start; }

static size_t capacity(const sb_priv_spans *spans) { return spans->heap != NULL ? spans->capacity : 1; }

sb_status sb_priv_spans_reserve(sb_priv_spans *spans, size_t more) {
  if (more <= capacity(spans) - spans->start - spans->count) return SB_OK;
  if (more > SIZE_MAX / (4 * sizeof(sb_priv_span)) - spans->count) return SB_NO_MEMORY;
  const size_t needed = spans->count + more;
  if (needed <= capacity(spans) / 2) {
    /* At least half has been skipped, which pays for moving the rest. */
    memmove(items(spans) - spans->start, items(spans), spans->count * sizeof(sb_priv_span));
    spans->start = 0;
    return SB_OK;
  }
  const size_t larger = needed < 4 ? 4 : needed * 2;
  sb_priv_span *heap = malloc(larger * sizeof *heap);
  if (heap == NULL) return SB_NO_MEMORY;
  if (spans->count > 0) memcpy(heap, items(spans), spans->count * sizeof *heap);
  free(spans->heap);
  spans->heap = heap;
  spans->capacity = larger;
  spans->start = 0;
  return SB_OK;
}

void sb_priv_spans_push(sb_priv_spans *spans, sb_block *block, const uint8_t *data, size_t size) {
  assert(size > 0);
  spans->bytes += size;
  if (spans->count > 0) {
    sb_priv_span *last = items(spans) + spans->count - 1;
    if (last->block == block && last->data + last->size == data) {
      last->size += size;
      sb_priv_block_release(block); /* `last` has one already */
      return;
    }
  }
  assert(spans->start + spans->count < capacity(spans));
  items(spans)[spans->count++] = (sb_priv_span){data, size, block};
}

/* Finds the span that holds the byte at `*offset`, and makes `*offset` relative to it. */
static size_t find(const sb_priv_spans *spans, size_t *offset) {
  size_t index = 0;
  while (*offset >= sb_priv_spans_at(spans, index)->size) *offset -= sb_priv_spans_at(spans, index++)->size;
  return index;
}

size_t sb_priv_spans_in_range(const sb_priv_spans *spans, size_t offset, size_t size) {
  if (size == 0) return 0;
  size_t last = offset + size - 1;
  return find(spans, &last) - find(spans, &offset) + 1;
}

void sb_priv_spans_push_range(sb_priv_spans *spans, const sb_priv_spans *source, size_t offset, size_t size) {
  assert(offset <= source->bytes && size <= source->bytes - offset);
  if (size == 0) return;
  for (size_t index = find(source, &offset); size > 0; index++, offset = 0) {
    const sb_priv_span span = *sb_priv_spans_at(source, index); /* a copy, because `source` may be `spans` */
    const size_t piece = span.size - offset < size ? span.size - offset : size;
    sb_priv_spans_push(spans, sb_priv_block_retain(span.block), span.data + offset, piece);
    size -= piece;
  }
}

void sb_priv_spans_skip(sb_priv_spans *spans, size_t size) {
  assert(size <= spans->bytes);
  spans->bytes -= size;
  while (size > 0) {
    sb_priv_span *span = items(spans);
    if (size < span->size) {
      span->data += size;
      span->size -= size;
      return;
    }
    size -= span->size;
    sb_block *block = span->block;
    spans->start++;
    spans->count--;
    sb_priv_block_release(block);
  }
  if (spans->count == 0) spans->start = 0;
}

void sb_priv_spans_clear(sb_priv_spans *spans) {
  sb_priv_spans_skip(spans, spans->bytes);
  free(spans->heap);
  spans->heap = NULL;
}

/* ---- making views ---- */

sb_status sb_priv_view_open_range(const sb_priv_spans *spans, size_t offset, size_t size, sb_view **view) {
  sb_view *made = malloc(sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  made->spans = (sb_priv_spans){0};
  if (sb_priv_spans_reserve(&made->spans, sb_priv_spans_in_range(spans, offset, size)) != SB_OK) {
    free(made);
    return SB_NO_MEMORY;
  }
  sb_priv_spans_push_range(&made->spans, spans, offset, size);
  *view = made;
  return SB_OK;
}

sb_status sb_priv_view_open_span(sb_block *block, const uint8_t *data, uint32_t size, sb_view **view) {
  sb_priv_spans spans = {.first = {data, size, block}, .count = size > 0, .bytes = size};
  return sb_priv_view_open_range(&spans, 0, size, view);
}

const sb_priv_spans *sb_priv_view_spans(const sb_view *view) { return &view->spans; }

/* Copies `size` bytes at `data` to blocks of `memory` that are added to `spans`. */
static sb_status spans_copy_in(sb_priv_spans *spans, const uint8_t *data, size_t size, sb_memory *memory) {
  while (size > 0) {
    sb_status status = sb_priv_spans_reserve(spans, 1);
    if (status != SB_OK) return status;
    sb_block *block = NULL;
    status = sb_priv_block_get(memory, size, &block);
    if (status != SB_OK) return status;
    const size_t piece = block->size < size ? block->size : size;
    memcpy(block->data, data, piece);
    sb_priv_spans_push(spans, block, block->data, piece);
    data += piece;
    size -= piece;
  }
  return SB_OK;
}

sb_status sb_view_open(const void *data, size_t size, sb_memory *memory, sb_view **view) {
  if (view == NULL || (data == NULL && size > 0)) return SB_INVALID_ARGUMENT;
  sb_view *made = malloc(sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  made->spans = (sb_priv_spans){0};
  const sb_status status = spans_copy_in(&made->spans, data, size, memory);
  if (status != SB_OK) {
    sb_view_close(made);
    return status;
  }
  *view = made;
  return SB_OK;
}

sb_status sb_view_open_block(sb_block *block, size_t size, sb_view **view) {
  if (block == NULL || view == NULL) return SB_INVALID_ARGUMENT;
  if (size > block->size) return SB_OUT_OF_RANGE;
  if (!sb_priv_block_exclusive(block)) return SB_BUSY;
  const sb_status status = sb_priv_view_open_span(block, block->data, (uint32_t)size, view);
  if (status == SB_OK) sb_priv_block_release(block); /* the view has its own owner */
  return status;
}

sb_status sb_view_copy(const sb_view *view, sb_view **copy) {
  if (view == NULL || copy == NULL) return SB_INVALID_ARGUMENT;
  return sb_priv_view_open_range(&view->spans, 0, view->spans.bytes, copy);
}

sb_status sb_view_range(const sb_view *view, size_t offset, size_t size, sb_view **range) {
  if (view == NULL || range == NULL) return SB_INVALID_ARGUMENT;
  if (offset > view->spans.bytes || size > view->spans.bytes - offset) return SB_OUT_OF_RANGE;
  return sb_priv_view_open_range(&view->spans, offset, size, range);
}

sb_status sb_view_flatten(const sb_view *view, sb_memory *memory, sb_view **flat) {
  if (view == NULL || flat == NULL) return SB_INVALID_ARGUMENT;
  if (view->spans.count <= 1) return sb_view_copy(view, flat);
  const size_t size = view->spans.bytes;
  if (size > SB_BLOCK_SIZE_MAX) return SB_TOO_LARGE;
  sb_block *block = NULL;
  sb_status status = sb_priv_block_get(memory, size, &block);
  if (status != SB_OK) return status;
  if (block->size < size) {
    status = SB_PROVIDER;
  } else {
    status = sb_view_copy_bytes(view, 0, block->data, size);
    if (status == SB_OK) status = sb_priv_view_open_span(block, block->data, (uint32_t)size, flat);
  }
  sb_priv_block_release(block);
  return status;
}

void sb_view_close(sb_view *view) {
  if (view == NULL) return;
  sb_priv_spans_clear(&view->spans);
  free(view);
}

/* ---- reading and changing views ---- */

size_t sb_view_size(const sb_view *view) { return view == NULL ? 0 : view->spans.bytes; }

size_t sb_view_span_count(const sb_view *view) { return view == NULL ? 0 : view->spans.count; }

sb_status sb_view_span(const sb_view *view, size_t index, const void **data, size_t *size) {
  if (view == NULL || data == NULL || size == NULL) return SB_INVALID_ARGUMENT;
  if (index >= view->spans.count) return SB_OUT_OF_RANGE;
  const sb_priv_span *span = sb_priv_spans_at(&view->spans, index);
  *data = span->data;
  *size = span->size;
  return SB_OK;
}

sb_status sb_view_span_metadata(const sb_view *view, size_t index, uint64_t *key, const void **metadata) {
  if (view == NULL || key == NULL || metadata == NULL) return SB_INVALID_ARGUMENT;
  if (index >= view->spans.count) return SB_OUT_OF_RANGE;
  return sb_block_get_metadata(sb_priv_spans_at(&view->spans, index)->block, key, metadata);
}

sb_status sb_view_append(sb_view *view, const sb_view *other) {
  if (view == NULL || other == NULL) return SB_INVALID_ARGUMENT;
  const size_t bytes = other->spans.bytes;
  if (bytes > SIZE_MAX - view->spans.bytes) return SB_NO_MEMORY;
  const sb_status status = sb_priv_spans_reserve(&view->spans, other->spans.count);
  if (status == SB_OK) sb_priv_spans_push_range(&view->spans, &other->spans, 0, bytes);
  return status;
}

sb_status sb_view_skip(sb_view *view, size_t size) {
  if (view == NULL) return SB_INVALID_ARGUMENT;
  if (size > view->spans.bytes) return SB_OUT_OF_RANGE;
  sb_priv_spans_skip(&view->spans, size);
  return SB_OK;
}

sb_status sb_view_read(sb_view *view, void *data, size_t size) {
  const sb_status status = sb_view_copy_bytes(view, 0, data, size);
  if (status == SB_OK) sb_priv_spans_skip(&view->spans, size);
  return status;
}

sb_status sb_view_copy_bytes(const sb_view *view, size_t offset, void *data, size_t size) {
  if (view == NULL || (data == NULL && size > 0)) return SB_INVALID_ARGUMENT;
  if (offset > view->spans.bytes || size > view->spans.bytes - offset) return SB_OUT_OF_RANGE;
  if (size == 0) return SB_OK;
  uint8_t *target = data;
  for (size_t index = find(&view->spans, &offset); size > 0; index++, offset = 0) {
    const sb_priv_span *span = sb_priv_spans_at(&view->spans, index);
    const size_t piece = span->size - offset < size ? span->size - offset : size;
    memcpy(target, span->data + offset, piece);
    target += piece;
    size -= piece;
  }
  return SB_OK;
}

bool sb_view_equals(const sb_view *view, const sb_view *other) {
  if (view == other) return true;
  if (view == NULL || other == NULL || view->spans.bytes != other->spans.bytes) return false;
  size_t index = 0, other_index = 0, offset = 0, other_offset = 0;
  for (size_t left = view->spans.bytes; left > 0;) {
    const sb_priv_span *span = sb_priv_spans_at(&view->spans, index);
    const sb_priv_span *other_span = sb_priv_spans_at(&other->spans, other_index);
    size_t piece = span->size - offset;
    if (other_span->size - other_offset < piece) piece = other_span->size - other_offset;
    if (memcmp(span->data + offset, other_span->data + other_offset, piece) != 0) return false;
    left -= piece;
    offset += piece;
    other_offset += piece;
    if (offset == span->size) index++, offset = 0;
    if (other_offset == other_span->size) other_index++, other_offset = 0;
  }
  return true;
}
