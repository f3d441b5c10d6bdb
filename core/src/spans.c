//go:build !samebytes_shared

/* What views and bufs are made of: a list of pieces of blocks. Skipping moves the list's start instead of the spans, and the list grows by
 * doubling, so that skip and append cost the same at any length. The blocks are counted per span.
 *
 * A long list lies in memory of the default pool, which keeps it for the next one: fresh pages from the system would cost more than all the
 * appending. A short one lies in memory of a handle, which the thread has at hand. */

#include <assert.h>
#include <string.h>

#include <samebytes/pool.h>

#include "block.h"
#include "handle_cache.h"
#include "pool_private.h"
#include "spans.h"

#define SHORT_MAX (SB_PRIV_HANDLE_SIZE / sizeof(sb_priv_span)) /* spans in memory of a handle */

/* ---- the invariant ---- */

#ifndef NDEBUG
static void check_at_once(const sb_priv_spans *spans) {
  assert((spans->count == 0) == (spans->bytes == 0) && spans->count <= spans->bytes);
  if (spans->heap == NULL) {
    assert(spans->count <= 1 && (spans->count == 0 || spans->first.size == spans->bytes));
    return;
  }
  assert(spans->capacity >= SHORT_MAX && spans->start <= spans->capacity && spans->count <= spans->capacity - spans->start);
}

void sb_priv_spans_check_all(const sb_priv_spans *spans) {
  check_at_once(spans);
  size_t bytes = 0;
  for (size_t i = 0; i < spans->count; i++) {
    const sb_priv_span *span = sb_priv_spans_at(spans, i);
    const sb_block *block = span->block;
    assert(span->size > 0 && atomic_load_explicit(&block->owners, memory_order_relaxed) > 0);
    /* A block of that size may be a view of more memory, which a lender gave. */
    assert(span->data >= block->data &&
           (block->size == SB_BLOCK_SIZE_MAX || (size_t)(span->data - block->data) + span->size <= block->size));
    assert(i == 0 || span[-1].block != block || span[-1].data + span[-1].size != span->data);
    bytes += span->size;
  }
  assert(bytes == spans->bytes);
}

void sb_priv_spans_check(const sb_priv_spans *spans) {
  static _Thread_local size_t times;
  check_at_once(spans);
  if (++times < 64 || times < spans->count) return;
  times = 0;
  sb_priv_spans_check_all(spans);
}
#endif

/* ---- the list ---- */

static void heap_free(sb_priv_spans *spans) {
  if (spans->capacity <= SHORT_MAX) {
    sb_priv_handle_put(spans->heap);
  } else {
    const sb_status status = sb_pool_put(NULL, spans->heap);
    assert(status == SB_OK);
    (void)status;
  }
  spans->heap = NULL;
}

/* Memory for `*count` spans or more; `*count` becomes what there is. */
static sb_priv_span *heap_get(size_t *count) {
  if (*count <= SHORT_MAX) {
    *count = SHORT_MAX;
    return sb_priv_handle_get();
  }
  const size_t size = sb_priv_default_class_size(*count * sizeof(sb_priv_span)); /* what the pool would give anyway */
  sb_pool *pool = NULL;
  void *data = NULL;
  if (sb_priv_pool_default(&pool) != SB_OK || sb_pool_get(pool, size, &data) != SB_OK) return NULL;
  *count = size / sizeof(sb_priv_span);
  return data;
}

sb_status sb_priv_spans_reserve(sb_priv_spans *spans, size_t more) {
  sb_priv_spans_check(spans);
  if (more <= sb_priv_spans_room(spans)) return SB_OK;
  if (more > SIZE_MAX / (4 * sizeof(sb_priv_span)) - spans->count) return SB_NO_MEMORY;
  const size_t needed = spans->count + more;
  if (spans->heap != NULL && needed <= spans->capacity / 2) {
    /* At least half has been skipped, which pays for moving the rest. */
    memmove(spans->heap, spans->heap + spans->start, spans->count * sizeof(sb_priv_span));
    spans->start = 0;
    sb_priv_spans_check(spans);
    return SB_OK;
  }
  /* Most lists that begin with many spans, such as a copy's, never get more. */
  size_t larger = needed <= SHORT_MAX || spans->count == 0 ? needed : needed * 2;
  sb_priv_span *heap = heap_get(&larger);
  if (heap == NULL) return SB_NO_MEMORY;
  if (spans->count > 0) memcpy(heap, sb_priv_spans_items(spans), spans->count * sizeof *heap);
  if (spans->heap != NULL) heap_free(spans);
  spans->heap = heap;
  spans->capacity = larger;
  spans->start = 0;
  sb_priv_spans_check(spans);
  return SB_OK;
}

static inline void push(sb_priv_spans *spans, sb_block *block, const uint8_t *data, size_t size) {
  assert(size > 0);
  spans->bytes += size;
  if (spans->count > 0) {
    sb_priv_span *last = sb_priv_spans_items(spans) + spans->count - 1;
    if (last->block == block && last->data + last->size == data) {
      last->size += size;
      sb_priv_block_release(block); /* `last` has one already */
      return;
    }
  }
  assert(sb_priv_spans_room(spans) > 0);
  sb_priv_spans_items(spans)[spans->count++] = (sb_priv_span){data, size, block};
}

void sb_priv_spans_push(sb_priv_spans *spans, sb_block *block, const uint8_t *data, size_t size) {
  sb_priv_spans_check(spans);
  push(spans, block, data, size);
  sb_priv_spans_check(spans);
}

size_t sb_priv_spans_find(const sb_priv_spans *spans, size_t *offset) {
  size_t index = 0;
  while (*offset >= sb_priv_spans_at(spans, index)->size) *offset -= sb_priv_spans_at(spans, index++)->size;
  return index;
}

size_t sb_priv_spans_in_range(const sb_priv_spans *spans, size_t offset, size_t size) {
  if (size == 0) return 0;
  if (size == spans->bytes) return spans->count;
  const size_t first = sb_priv_spans_find(spans, &offset);
  size_t last = first;
  for (size_t end = offset + size; end > sb_priv_spans_at(spans, last)->size;) end -= sb_priv_spans_at(spans, last++)->size;
  return last - first + 1;
}

void sb_priv_spans_push_range(sb_priv_spans *spans, const sb_priv_spans *source, size_t offset, size_t size) {
  assert(offset <= source->bytes && size <= source->bytes - offset);
  sb_priv_spans_check(spans);
  sb_priv_spans_check(source);
  if (size == 0) return;
  const size_t index = sb_priv_spans_find(source, &offset);
  const sb_priv_span *from = sb_priv_spans_at(source, index); /* `source` may be `spans` */
  const size_t head = from->size - offset < size ? from->size - offset : size;
  push(spans, sb_priv_block_retain(from->block), from->data + offset, head);
  if (size == head) {
    sb_priv_spans_check(spans);
    return;
  }
  size -= head;
  spans->bytes += size;
  /* Only the first may continue the last span. */
  sb_priv_span *to = sb_priv_spans_items(spans) + spans->count;
  for (; size > 0; spans->count++) {
    const size_t piece = (++from)->size < size ? from->size : size;
    *to++ = (sb_priv_span){from->data, piece, sb_priv_block_retain(from->block)};
    size -= piece;
  }
  sb_priv_spans_check(spans);
}

void sb_priv_spans_skip(sb_priv_spans *spans, size_t size) {
  assert(size <= spans->bytes);
  sb_priv_spans_check(spans);
  spans->bytes -= size;
  while (size > 0) {
    sb_priv_span *span = sb_priv_spans_items(spans);
    if (size < span->size) {
      span->data += size;
      span->size -= size;
      sb_priv_spans_check(spans);
      return;
    }
    size -= span->size;
    sb_block *block = span->block;
    spans->start++; /* without a heap it means nothing: there is none left then */
    spans->count--;
    sb_priv_block_release(block);
  }
  if (spans->count == 0) spans->start = 0;
  sb_priv_spans_check(spans);
}

void sb_priv_spans_cut(sb_priv_spans *spans, size_t size) {
  sb_priv_spans_check(spans);
  while (spans->bytes > size) {
    sb_priv_span *last = sb_priv_spans_items(spans) + spans->count - 1;
    const size_t over = spans->bytes - size;
    if (over < last->size) {
      last->size -= over;
      spans->bytes = size;
      sb_priv_spans_check(spans);
      return;
    }
    sb_block *block = last->block;
    spans->bytes -= last->size;
    spans->count--;
    sb_priv_block_release(block);
  }
  if (spans->count == 0) spans->start = 0;
  sb_priv_spans_check(spans);
}

void sb_priv_spans_clear(sb_priv_spans *spans) {
  sb_priv_spans_check(spans);
  const sb_priv_span *items = sb_priv_spans_items(spans);
  const size_t count = spans->count;
  spans->count = spans->bytes = 0;
  for (size_t i = 0; i < count; i++) sb_priv_block_release(items[i].block);
  if (spans->heap != NULL) heap_free(spans);
  sb_priv_spans_check(spans);
}

/* ---- the bytes ---- */

void sb_priv_spans_copy_out(const sb_priv_spans *spans, size_t offset, uint8_t *target, size_t size) {
  assert(offset <= spans->bytes && size <= spans->bytes - offset);
  if (size == 0) return;
  for (size_t index = sb_priv_spans_find(spans, &offset); size > 0; index++, offset = 0) {
    const sb_priv_span *span = sb_priv_spans_at(spans, index);
    const size_t piece = span->size - offset < size ? span->size - offset : size;
    memcpy(target, span->data + offset, piece);
    target += piece;
    size -= piece;
  }
}

int sb_priv_spans_compare(const sb_priv_spans *spans, const sb_priv_spans *other) {
  size_t index = 0, other_index = 0, offset = 0, other_offset = 0;
  for (size_t left = spans->bytes < other->bytes ? spans->bytes : other->bytes; left > 0;) {
    const sb_priv_span *span = sb_priv_spans_at(spans, index);
    const sb_priv_span *other_span = sb_priv_spans_at(other, other_index);
    size_t piece = span->size - offset;
    if (other_span->size - other_offset < piece) piece = other_span->size - other_offset;
    const int order = memcmp(span->data + offset, other_span->data + other_offset, piece);
    if (order != 0) return order;
    left -= piece;
    offset += piece;
    other_offset += piece;
    if (offset == span->size) index++, offset = 0;
    if (other_offset == other_span->size) other_index++, other_offset = 0;
  }
  return (spans->bytes > other->bytes) - (spans->bytes < other->bytes);
}
