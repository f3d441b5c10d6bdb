//go:build !samebytes_shared

/* A view is a list of spans (spans.c). The blocks are counted per span: copying a view of one span is one count, in memory that the thread
 * keeps at hand.
 *
 * Invariant: it lies in memory of a handle that is open, and its spans are as spans.h says. */

#include <assert.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

#include <samebytes/view.h>

#include "block.h"
#include "error_private.h"
#include "handle_cache.h"
#include "memory_default.h"
#include "spans.h"
#include "view_private.h"

struct sb_view {
  sb_priv_spans spans;
};

static_assert(sizeof(sb_view) <= SB_PRIV_HANDLE_SIZE, "a view lies in the memory of a handle");
static_assert(sizeof(sb_iovec) == sizeof(struct iovec) && offsetof(sb_iovec, data) == offsetof(struct iovec, iov_base) &&
                  offsetof(sb_iovec, size) == offsetof(struct iovec, iov_len),
              "the header says that one may be cast to the other");

/* Called where a function that changes the view ends, and where one begins. */
static inline void view_check(const sb_view *view) {
  sb_priv_handle_check(view);
  sb_priv_spans_check(&view->spans);
}

#ifndef NDEBUG
void sb_priv_view_check_all(const sb_view *view) {
  sb_priv_handle_check(view);
  sb_priv_spans_check_all(&view->spans);
}
#endif

/* ---- making views ---- */

static inline sb_view *view_make(void) {
  sb_view *made = sb_priv_handle_get();
  if (made == NULL) return NULL;
  sb_priv_spans_init(&made->spans);
  return made;
}

/* Makes what is new a view of one span, whose owner of the block is there already. Number by number: they may have just been written one by
 * one, and a processor waits before it reads two of them at once. */
static inline void view_show(sb_view *made, sb_block *block, const uint8_t *data, size_t size) {
  made->spans.first.data = data;
  made->spans.first.size = size;
  made->spans.first.block = block;
  made->spans.heap = NULL;
  made->spans.count = 1;
  made->spans.bytes = size;
  view_check(made);
}

sb_status sb_priv_view_open_span(sb_block *block, const uint8_t *data, size_t size, sb_view **view) {
  sb_view *made = view_make();
  if (made == NULL) return SB_NO_MEMORY;
  if (size > 0) view_show(made, sb_priv_block_retain(block), data, size);
  *view = made;
  return SB_OK;
}

/* The ways that are taken most often make their view of memory at hand, and call nothing, so that they save no registers. This is for all
 * others. */
static __attribute__((noinline)) sb_status open_range_slowly(const sb_priv_spans *spans, size_t offset, size_t size, sb_view **view) {
  sb_view *made = view_make();
  if (made == NULL) return SB_NO_MEMORY;
  if (sb_priv_spans_reserve(&made->spans, sb_priv_spans_in_range(spans, offset, size)) != SB_OK) {
    sb_view_close(made);
    return SB_NO_MEMORY;
  }
  sb_priv_spans_push_range(&made->spans, spans, offset, size);
  view_check(made);
  *view = made;
  return SB_OK;
}

static inline sb_status open_range(const sb_priv_spans *spans, size_t offset, size_t size, sb_view **view) {
  assert(offset <= spans->bytes && size <= spans->bytes - offset);
  if (spans->heap != NULL || size == 0) return open_range_slowly(spans, offset, size, view);
  sb_view *made = sb_priv_handle_take();
  if (made == NULL) return open_range_slowly(spans, offset, size, view);
  view_show(made, sb_priv_block_retain(spans->first.block), spans->first.data + offset, size);
  *view = made;
  return SB_OK;
}

sb_status sb_priv_view_open_range(const sb_priv_spans *spans, size_t offset, size_t size, sb_view **view) {
  return open_range(spans, offset, size, view);
}

static __attribute__((noinline)) sb_status open_all_slowly(sb_priv_spans *spans, sb_view **view) {
  sb_view *made = sb_priv_handle_get();
  if (made == NULL) return SB_NO_MEMORY;
  made->spans = *spans;
  sb_priv_spans_init(spans);
  view_check(made);
  *view = made;
  return SB_OK;
}

sb_status sb_priv_view_open_all(sb_priv_spans *spans, sb_view **view) {
  if (spans->heap != NULL || spans->count == 0) return open_all_slowly(spans, view);
  sb_view *made = sb_priv_handle_take();
  if (made == NULL) return open_all_slowly(spans, view);
  view_show(made, spans->first.block, spans->first.data, spans->first.size);
  spans->count = spans->bytes = 0;
  *view = made;
  return SB_OK;
}

const sb_priv_spans *sb_priv_view_spans(const sb_view *view) { return &view->spans; }

void sb_priv_view_skip(sb_view *view, size_t size) {
  view_check(view);
  sb_priv_spans_skip(&view->spans, size);
}

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
  sb_view *made = view_make();
  if (made == NULL) return SB_NO_MEMORY;
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
  const sb_status status = sb_priv_view_open_span(block, block->data, size, view);
  if (status == SB_OK) sb_priv_block_release(block); /* the view has its own owner */
  return status;
}

/* The room was reserved for what the list said before, which somebody may have changed since. */
static sb_status push_part(sb_priv_spans *spans, const sb_view *part) {
  if (part == NULL) return SB_INVALID_ARGUMENT;
  if (part->spans.bytes > PTRDIFF_MAX - spans->bytes) return SB_TOO_LARGE;
  if (sb_priv_spans_reserve(spans, part->spans.count) != SB_OK) return SB_NO_MEMORY;
  sb_priv_spans_push_range(spans, &part->spans, 0, part->spans.bytes);
  return SB_OK;
}

sb_status sb_view_open_concat(sb_view *const *views, size_t view_count, sb_view **view) {
  if (view == NULL || (views == NULL && view_count > 0)) return SB_INVALID_ARGUMENT;
  size_t spans = 0, bytes = 0;
  for (size_t i = 0; i < view_count; i++) {
    const sb_view *part = SB_PRIV_READ_ONCE(views[i]);
    if (part == NULL) return SB_INVALID_ARGUMENT;
    if (part->spans.bytes > PTRDIFF_MAX - bytes) return SB_TOO_LARGE;
    bytes += part->spans.bytes;
    spans += part->spans.count; /* cannot overflow: no span is empty */
  }
  sb_view *made = view_make();
  if (made == NULL) return SB_NO_MEMORY;
  sb_status status = sb_priv_spans_reserve(&made->spans, spans);
  for (size_t i = 0; i < view_count && status == SB_OK; i++) status = push_part(&made->spans, SB_PRIV_READ_ONCE(views[i]));
  if (status != SB_OK) {
    sb_view_close(made);
    return status;
  }
  view_check(made);
  *view = made;
  return SB_OK;
}

sb_status sb_view_copy(const sb_view *view, sb_view **copy) {
  if (view == NULL || copy == NULL) return SB_INVALID_ARGUMENT;
  return open_range(&view->spans, 0, view->spans.bytes, copy);
}

sb_status sb_view_range(const sb_view *view, size_t offset, size_t size, sb_view **range) {
  if (view == NULL || range == NULL) return SB_INVALID_ARGUMENT;
  if (offset > view->spans.bytes || size > view->spans.bytes - offset) return SB_OUT_OF_RANGE;
  return open_range(&view->spans, offset, size, range);
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
    sb_priv_spans_copy_out(&view->spans, 0, block->data, size);
    status = sb_priv_view_open_span(block, block->data, size, flat);
  }
  sb_priv_block_release(block);
  return status;
}

sb_status sb_view_check_instance(const sb_view *view, sb_error *error) {
  if (view == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "view is NULL");
  for (size_t i = 0; i < view->spans.count; i++) {
    const sb_status status = sb_priv_memory_check_image(sb_priv_spans_at(&view->spans, i)->block->memory, "view", error);
    if (status != SB_OK) return status;
  }
  return SB_OK;
}

void sb_view_close(sb_view *view) {
  if (view == NULL) return;
  view_check(view);
  if (view->spans.heap == NULL) {
    if (view->spans.count > 0) sb_priv_block_release(view->spans.first.block);
  } else {
    sb_priv_spans_clear(&view->spans);
  }
  sb_priv_handle_put(view);
}

/* ---- what a view is made of ---- */

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

sb_status sb_view_get_iovec(const sb_view *view, size_t offset, sb_iovec *iovec, size_t iovec_max, size_t *iovec_count) {
  if (view == NULL || iovec_count == NULL || (iovec == NULL && iovec_max > 0)) return SB_INVALID_ARGUMENT;
  if (offset > view->spans.bytes) return SB_OUT_OF_RANGE;
  size_t count = 0;
  if (offset < view->spans.bytes) {
    for (size_t index = sb_priv_spans_find(&view->spans, &offset); index < view->spans.count && count < iovec_max; index++, offset = 0) {
      const sb_priv_span *span = sb_priv_spans_at(&view->spans, index);
      iovec[count++] = (sb_iovec){(void *)(uintptr_t)(span->data + offset), span->size - offset};
    }
  }
  *iovec_count = count;
  return SB_OK;
}

/* A pin is an owner of the block, and nothing else. */
sb_status sb_view_pin(const sb_view *view, size_t index, sb_pin **pin) {
  if (view == NULL || pin == NULL) return SB_INVALID_ARGUMENT;
  if (index >= view->spans.count) return SB_OUT_OF_RANGE;
  *pin = (sb_pin *)(void *)sb_priv_block_retain(sb_priv_spans_at(&view->spans, index)->block);
  return SB_OK;
}

void sb_pin_close(sb_pin *pin) {
  if (pin != NULL) sb_priv_block_release((sb_block *)(void *)pin);
}

sb_status sb_view_memory(const sb_view *view, sb_memory **memory) {
  if (view == NULL || memory == NULL) return SB_INVALID_ARGUMENT;
  return sb_priv_memory_open_any(view->spans.count == 0 ? NULL : sb_priv_spans_at(&view->spans, 0)->block->memory, memory);
}

/* ---- changing views ---- */

sb_status sb_view_append(sb_view *view, const sb_view *other) {
  if (view == NULL || other == NULL) return SB_INVALID_ARGUMENT;
  view_check(view);
  view_check(other);
  const size_t bytes = other->spans.bytes;
  if (bytes > PTRDIFF_MAX - view->spans.bytes) return SB_NO_MEMORY;
  const sb_status status = sb_priv_spans_reserve(&view->spans, other->spans.count);
  if (status == SB_OK) sb_priv_spans_push_range(&view->spans, &other->spans, 0, bytes);
  view_check(view);
  return status;
}

sb_status sb_view_skip(sb_view *view, size_t size) {
  if (view == NULL) return SB_INVALID_ARGUMENT;
  view_check(view);
  if (size > view->spans.bytes) return SB_OUT_OF_RANGE;
  sb_priv_spans_skip(&view->spans, size);
  return SB_OK;
}

sb_status sb_view_read_bytes(sb_view *view, void *data, size_t size) {
  const sb_status status = sb_view_copy_bytes(view, 0, data, size);
  if (status != SB_OK) return status;
  view_check(view);
  sb_priv_spans_skip(&view->spans, size);
  return SB_OK;
}

sb_status sb_view_copy_bytes(const sb_view *view, size_t offset, void *data, size_t size) {
  if (view == NULL || (data == NULL && size > 0)) return SB_INVALID_ARGUMENT;
  if (offset > view->spans.bytes || size > view->spans.bytes - offset) return SB_OUT_OF_RANGE;
  sb_priv_spans_copy_out(&view->spans, offset, data, size);
  return SB_OK;
}

/* ---- looking at all bytes ---- */

bool sb_view_equals(const sb_view *view, const sb_view *other) {
  if (view == other) return true;
  if (view == NULL || other == NULL || view->spans.bytes != other->spans.bytes) return false;
  return sb_priv_spans_compare(&view->spans, &other->spans) == 0;
}

int32_t sb_view_compare(const sb_view *view, const sb_view *other) {
  if (view == NULL || other == NULL) return (view != NULL) - (other != NULL);
  const int order = sb_priv_spans_compare(&view->spans, &other->spans);
  return (order > 0) - (order < 0);
}

/* The halves of a product of 128 bits, one over the other: each bit of the factors reaches every bit. */
static uint64_t mixed(uint64_t left, uint64_t right) {
  __extension__ typedef unsigned __int128 wide;
  const wide product = (wide)left * right;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t word_of(const uint8_t *bytes) { return (uint64_t)sb_priv_number_load(bytes, 8, SB_ORDER_LITTLE); }

/* Takes the bytes in words of 8. What a span has beyond its last whole word begins a word that the next spans complete. */
uint64_t sb_view_hash(const sb_view *view, uint64_t seed) {
  static const uint64_t odd[3] = {0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu, 0x165667b19e3779f9u};
  uint64_t state = seed ^ odd[0];
  uint8_t begun[8] = {0};
  size_t begun_size = 0;
  for (size_t i = 0; view != NULL && i < view->spans.count; i++) {
    const sb_priv_span *span = sb_priv_spans_at(&view->spans, i);
    const uint8_t *data = span->data, *end = data + span->size;
    while (data < end && begun_size > 0) {
      begun[begun_size++] = *data++;
      if (begun_size < sizeof begun) continue;
      state = mixed(state ^ word_of(begun), odd[1]);
      begun_size = 0;
    }
    for (; end - data >= 8; data += 8) state = mixed(state ^ word_of(data), odd[1]);
    while (data < end) begun[begun_size++] = *data++;
  }
  memset(begun + begun_size, 0, sizeof begun - begun_size);
  state = mixed(state ^ word_of(begun), odd[2]);
  return mixed(state ^ sb_view_size(view), odd[1]);
}
