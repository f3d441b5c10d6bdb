//go:build !samebytes_shared

/* The filled part is a list of spans, as in a view; the room is a list of blocks, of which the first may be filled in part. A block that is
 * both filled and room has an owner in each list.
 *
 * Writing never allocates: whatever adds room reserves the spans that filling it can need. Invariant: filled has room for one more span per
 * block of room.
 *
 * A view shows only filled bytes, so the room of a block stays exclusive to the buf although views share the block. */

#include <stdlib.h>

#include <samebytes/buf.h>

#include "internal.h"

struct sb_buf {
  sb_priv_spans filled;
  sb_memory *memory;
  sb_block **room; /* blocks; those before `start` are used up */
  size_t room_capacity;
  size_t room_start;
  size_t room_count;
  size_t room_bytes;
  size_t used;  /* bytes at the start of the first block of room that are no room */
  size_t begun; /* bytes of the piece that sb_buf_begin gave; 0 when that piece has changed since */
};

sb_status sb_buf_open(sb_memory *memory, sb_buf **buf) {
  if (buf == NULL) return SB_INVALID_ARGUMENT;
  if (memory == NULL) {
    const sb_status status = sb_priv_memory_default(&memory);
    if (status != SB_OK) return status;
  }
  sb_buf *made = calloc(1, sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  made->memory = sb_memory_retain(memory);
  *buf = made;
  return SB_OK;
}

/* Whether the blocks can become a buf's: each is there once, and nobody else has it. */
static sb_status blocks_check(sb_block *const *blocks, size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) {
    if (blocks[i] == NULL) return SB_INVALID_ARGUMENT;
    if (bytes > PTRDIFF_MAX - (size_t)blocks[i]->size) return SB_TOO_LARGE;
    bytes += blocks[i]->size;
  }
  /* A block that stands there twice is found by counting: each time adds an owner. */
  for (size_t i = 0; i < count; i++) (void)sb_priv_block_retain(blocks[i]);
  sb_status status = SB_OK;
  for (size_t i = 0; i < count; i++) {
    const uint32_t owners = atomic_load_explicit(&blocks[i]->owners, memory_order_acquire);
    if (owners == 2) continue;
    size_t times = 0;
    for (size_t j = 0; j < count; j++) times += blocks[j] == blocks[i];
    status = times > 1 ? SB_INVALID_ARGUMENT : SB_BUSY;
    break;
  }
  for (size_t i = 0; i < count; i++) sb_priv_block_release(blocks[i]);
  return status;
}

sb_status sb_buf_from_blocks(sb_block *const *blocks, size_t count, sb_memory *memory, sb_buf **buf) {
  if (buf == NULL || (blocks == NULL && count > 0)) return SB_INVALID_ARGUMENT;
  sb_status status = blocks_check(blocks, count);
  sb_buf *made = NULL;
  if (status == SB_OK) status = sb_buf_open(memory, &made);
  if (status != SB_OK) return status;
  status = sb_priv_spans_reserve(&made->filled, count + 1);
  if (status == SB_OK && count > 0) {
    made->room = malloc(count * sizeof(sb_block *));
    if (made->room == NULL) status = SB_NO_MEMORY;
  }
  if (status != SB_OK) {
    sb_buf_close(made);
    return status;
  }
  if (count > 0) memcpy(made->room, blocks, count * sizeof(sb_block *));
  made->room_capacity = made->room_count = count;
  for (size_t i = 0; i < count; i++) made->room_bytes += blocks[i]->size;
  *buf = made;
  return SB_OK;
}

sb_memory *sb_priv_buf_memory(const sb_buf *buf) { return buf->memory; }

size_t sb_buf_size(const sb_buf *buf) { return buf == NULL ? 0 : buf->filled.bytes; }

size_t sb_buf_room(const sb_buf *buf) { return buf == NULL ? 0 : buf->room_bytes; }

/* ---- room ---- */

/* Makes place for one more block in the list of room, and for the span that filling it takes. */
static sb_status room_reserve(sb_buf *buf) {
  const sb_status status = sb_priv_spans_reserve(&buf->filled, buf->room_count + 1);
  if (status != SB_OK) return status;
  if (buf->room_start + buf->room_count < buf->room_capacity) return SB_OK;
  if (buf->room_start > buf->room_count) {
    memmove(buf->room, buf->room + buf->room_start, buf->room_count * sizeof *buf->room);
    buf->room_start = 0;
    return SB_OK;
  }
  if (buf->room_count > SIZE_MAX / (4 * sizeof *buf->room)) return SB_NO_MEMORY;
  const size_t larger = buf->room_count * 2 + 2;
  sb_block **room = malloc(larger * sizeof(sb_block *));
  if (room == NULL) return SB_NO_MEMORY;
  if (buf->room_count > 0) memcpy(room, buf->room + buf->room_start, buf->room_count * sizeof(sb_block *));
  free(buf->room);
  buf->room = room;
  buf->room_capacity = larger;
  buf->room_start = 0;
  return SB_OK;
}

/* Gives back the blocks of room behind the first `count`. */
static void room_cut(sb_buf *buf, size_t count) {
  while (buf->room_count > count) {
    sb_block *block = buf->room[buf->room_start + --buf->room_count];
    buf->room_bytes -= block->size;
    sb_priv_block_release(block);
  }
}

sb_status sb_buf_reserve(sb_buf *buf, size_t size) {
  if (buf == NULL) return SB_INVALID_ARGUMENT;
  if (size > PTRDIFF_MAX || buf->filled.bytes > PTRDIFF_MAX - size) return SB_TOO_LARGE;
  const size_t count_before = buf->room_count;
  while (buf->room_bytes < size) {
    sb_block *block = NULL;
    sb_status status = room_reserve(buf);
    if (status == SB_OK) status = sb_priv_block_get(buf->memory, size - buf->room_bytes, &block);
    if (status != SB_OK) {
      room_cut(buf, count_before);
      return status;
    }
    buf->room[buf->room_start + buf->room_count++] = block;
    buf->room_bytes += block->size;
  }
  return SB_OK;
}

/* The first piece of room; there must be one. */
static uint8_t *room_piece(const sb_buf *buf, size_t *size) {
  assert(buf->room_count > 0);
  const sb_block *block = buf->room[buf->room_start];
  assert(buf->used < block->size);
  *size = block->size - buf->used;
  return block->data + buf->used;
}

/* Makes the first `size` bytes of the first piece of room filled. */
static void room_fill(sb_buf *buf, size_t size) {
  size_t piece;
  const uint8_t *data = room_piece(buf, &piece);
  sb_block *block = buf->room[buf->room_start];
  assert(size > 0 && size <= piece);
  buf->room_bytes -= size;
  if (size < piece) {
    buf->used += size;
    (void)sb_priv_block_retain(block);
  } else { /* the room's owner becomes the span's */
    buf->used = 0;
    buf->room_count--;
    buf->room_start = buf->room_count == 0 ? 0 : buf->room_start + 1;
  }
  sb_priv_spans_push(&buf->filled, block, data, size);
}

/* ---- filling ---- */

sb_status sb_buf_put(sb_buf *buf, const void *data, size_t size) {
  if (buf == NULL || (data == NULL && size > 0)) return SB_INVALID_ARGUMENT;
  if (size > buf->room_bytes) return SB_OUT_OF_RANGE;
  buf->begun = 0;
  for (const uint8_t *source = data; size > 0;) {
    size_t piece;
    uint8_t *target = room_piece(buf, &piece);
    if (piece > size) piece = size;
    memcpy(target, source, piece);
    room_fill(buf, piece);
    source += piece;
    size -= piece;
  }
  return SB_OK;
}

sb_status sb_buf_put_view(sb_buf *buf, const sb_view *view) {
  if (buf == NULL || view == NULL) return SB_INVALID_ARGUMENT;
  const sb_priv_spans *spans = sb_priv_view_spans(view);
  if (spans->bytes > PTRDIFF_MAX - buf->filled.bytes) return SB_NO_MEMORY;
  const sb_status status = sb_priv_spans_reserve(&buf->filled, spans->count + buf->room_count);
  if (status != SB_OK) return status;
  sb_priv_spans_push_range(&buf->filled, spans, 0, spans->bytes);
  return SB_OK;
}

sb_status sb_buf_begin(sb_buf *buf, void **data, size_t *size) {
  if (buf == NULL || data == NULL || size == NULL) return SB_INVALID_ARGUMENT;
  if (buf->room_count == 0) return SB_OUT_OF_RANGE;
  *data = room_piece(buf, &buf->begun);
  *size = buf->begun;
  return SB_OK;
}

sb_status sb_buf_commit(sb_buf *buf, size_t size) {
  if (buf == NULL) return SB_INVALID_ARGUMENT;
  if (size > buf->begun) return SB_OUT_OF_RANGE;
  buf->begun = 0;
  if (size > 0) room_fill(buf, size);
  return SB_OK;
}

/* ---- taking ---- */

sb_status sb_buf_peek(const sb_buf *buf, sb_view **view) {
  if (buf == NULL || view == NULL) return SB_INVALID_ARGUMENT;
  return sb_priv_view_open_range(&buf->filled, 0, buf->filled.bytes, view);
}

sb_status sb_buf_take(sb_buf *buf, size_t size, sb_view **view) {
  if (buf == NULL || view == NULL) return SB_INVALID_ARGUMENT;
  if (size > buf->filled.bytes) return SB_OUT_OF_RANGE;
  const sb_status status = sb_priv_view_open_range(&buf->filled, 0, size, view);
  if (status != SB_OK) return status;
  sb_priv_spans_skip(&buf->filled, size);
  return SB_OK;
}

void sb_buf_clear(sb_buf *buf) {
  if (buf == NULL) return;
  sb_priv_spans_skip(&buf->filled, buf->filled.bytes);
}

void sb_buf_close(sb_buf *buf) {
  if (buf == NULL) return;
  sb_priv_spans_clear(&buf->filled);
  room_cut(buf, 0);
  free(buf->room);
  sb_memory_close(buf->memory);
  free(buf);
}
