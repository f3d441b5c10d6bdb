//go:build !samebytes_shared

/* The filled part is a list of spans, as in a view; the room is a list of pieces of blocks. A block that is both filled and room has an owner
 * in each list.
 *
 * Writing never allocates: whatever adds room reserves the spans that filling it can need. Invariant (buf_check): filled has room for one
 * more span per piece of room; for one fewer where the first piece continues the last span, which filling it makes longer.
 *
 * A view shows only filled bytes, so the room of a block stays exclusive to the buf although views share the block.
 *
 * A piece of room holds many owners of its block in advance, and hands one to each span that it becomes: counting them one by one would cost
 * more than the writing. */

#include <assert.h>
#include <float.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <samebytes/buf.h>

#include "block.h"
#include "buf_private.h"
#include "error_private.h"
#include "handle_cache.h"
#include "memory_default.h"
#include "owners.h"
#include "spans.h"
#include "view_private.h"

#define SHARES 4096u /* owners that a piece of room takes at once */

typedef struct room_piece {
  sb_block *block;
  uint8_t *data;
  size_t size;     /* above 0 */
  uint32_t shares; /* owners of block that are this piece's, above 0 */
} room_piece;

struct sb_buf {
  sb_priv_spans filled;
  sb_memory *memory;     /* NULL: the default pool */
  room_piece first_room; /* the place of the pieces while there is no heap; its size is 0 while it has none */
  room_piece *room_heap;
  size_t room_count;
  size_t room_bytes;
  size_t begun;         /* bytes of the pieces that sb_buf_begin... gave; 0 when they have changed since */
  size_t room_capacity; /* with a heap: of it, in pieces */
  size_t room_start;    /* with a heap: pieces before it are used up */
};

static_assert(sizeof(sb_buf) <= SB_PRIV_HANDLE_SIZE, "a buf lies in the memory of a handle");

/* Makes `made`, which is new, an empty buf. Field by field: the places of the first span and piece are written when there are any. */
static inline sb_status buf_begin(sb_buf *made, sb_memory *memory, sb_buf **buf) {
  sb_priv_spans_init(&made->filled);
  made->first_room.size = 0;
  made->room_heap = NULL;
  made->room_count = made->room_bytes = made->begun = 0;
  made->memory = memory;
  if (memory != NULL) sb_priv_owners_add(&memory->owners, 1);
  *buf = made;
  return SB_OK;
}

/* Without memory at hand. */
static __attribute__((noinline)) sb_status open_slowly(sb_memory *memory, sb_buf **buf) {
  sb_buf *made = sb_priv_handle_make();
  return made == NULL ? SB_NO_MEMORY : buf_begin(made, memory, buf);
}

sb_status sb_buf_open(sb_memory *memory, sb_buf **buf) {
  if (buf == NULL) return SB_INVALID_ARGUMENT;
  sb_buf *made = sb_priv_handle_take();
  return made == NULL ? open_slowly(memory, buf) : buf_begin(made, memory, buf);
}

size_t sb_buf_size(const sb_buf *buf) { return buf == NULL ? 0 : buf->filled.bytes; }

size_t sb_buf_room(const sb_buf *buf) { return buf == NULL ? 0 : buf->room_bytes; }

sb_status sb_buf_memory(const sb_buf *buf, sb_memory **memory) {
  if (buf == NULL || memory == NULL) return SB_INVALID_ARGUMENT;
  if (buf->memory == NULL) return sb_memory_open_default(memory);
  *memory = sb_memory_retain(buf->memory);
  return SB_OK;
}

/* ---- room ---- */

static room_piece *pieces(sb_buf *buf) { return buf->room_heap != NULL ? buf->room_heap + buf->room_start : &buf->first_room; }

/* Pieces that there is a place for behind the last one. */
static size_t places(const sb_buf *buf) {
  return buf->room_heap != NULL ? buf->room_capacity - buf->room_start - buf->room_count : 1 - buf->room_count;
}

/* Whether the first piece of room lies behind the last bytes that are filled, in the same block. */
static bool room_continues(const sb_buf *buf) {
  if (buf->room_count == 0 || buf->filled.count == 0) return false;
  const room_piece *piece = buf->room_heap != NULL ? buf->room_heap + buf->room_start : &buf->first_room;
  const sb_priv_span *last = sb_priv_spans_at(&buf->filled, buf->filled.count - 1);
  return last->block == piece->block && last->data + last->size == piece->data;
}

#ifdef NDEBUG
static inline void buf_check(const sb_buf *buf) { (void)buf; }
#else
/* Called where a function that changes the buf begins and ends; looks at all pieces every 64th time. */
static void buf_check(const sb_buf *buf) {
  static _Thread_local unsigned times;
  assert(buf->room_heap != NULL || buf->room_count <= 1);
  assert(buf->room_heap == NULL || (buf->room_start <= buf->room_capacity && buf->room_count <= buf->room_capacity - buf->room_start));
  assert(buf->room_heap != NULL ? buf->first_room.size == 0 : (buf->first_room.size > 0) == (buf->room_count == 1));
  assert((buf->room_count == 0) == (buf->room_bytes == 0));
  sb_priv_spans_check(&buf->filled);
  assert(buf->begun <= buf->room_bytes);
  assert(sb_priv_spans_room(&buf->filled) + room_continues(buf) >= buf->room_count);
  if (++times % 64 != 0) return;
  size_t room = 0;
  for (size_t i = 0; i < buf->room_count; i++) {
    const room_piece *piece = (buf->room_heap != NULL ? buf->room_heap + buf->room_start : &buf->first_room) + i;
    assert(piece->size > 0 && piece->shares > 0 && piece->shares <= atomic_load_explicit(&piece->block->owners, memory_order_relaxed));
    room += piece->size;
  }
  sb_priv_spans_check_all(&buf->filled);
  assert(room == buf->room_bytes);
}
#endif

/* Gives `count` owners of a block back. */
static void shares_release(sb_block *block, uint32_t count) {
  if (atomic_load_explicit(&block->owners, memory_order_acquire) == count || sb_priv_owners_remove(&block->owners, count))
    sb_priv_block_free(block);
}

/* Makes sure that a piece has an owner to give away and one to keep. */
static void shares_reserve(room_piece *piece) {
  if (piece->shares > 1) return;
  sb_priv_owners_add(&piece->block->owners, SHARES);
  piece->shares += SHARES;
}

/* Makes place for `more` pieces in the list of room, and for the spans that filling them takes. */
static __attribute__((noinline)) sb_status room_reserve_slowly(sb_buf *buf, size_t more) {
  const sb_status status = sb_priv_spans_reserve(&buf->filled, buf->room_count + more);
  if (status != SB_OK) return status;
  if (more <= places(buf)) return SB_OK;
  if (buf->room_heap != NULL && buf->room_start > buf->room_count && more <= buf->room_start) {
    memmove(buf->room_heap, pieces(buf), buf->room_count * sizeof(room_piece));
    buf->room_start = 0;
    return SB_OK;
  }
  if (buf->room_count > SIZE_MAX / (4 * sizeof(room_piece)) - more) return SB_NO_MEMORY;
  const size_t larger = (buf->room_count + more) * 2;
  room_piece *heap = malloc(larger * sizeof *heap);
  if (heap == NULL) return SB_NO_MEMORY;
  if (buf->room_count > 0) memcpy(heap, pieces(buf), buf->room_count * sizeof *heap);
  free(buf->room_heap);
  buf->first_room.size = 0;
  buf->room_heap = heap;
  buf->room_capacity = larger;
  buf->room_start = 0;
  return SB_OK;
}

static inline sb_status room_reserve(sb_buf *buf, size_t more) {
  const bool fits = more == 1 && buf->filled.count + buf->room_count == 0; /* one of each has its place in the buf */
  return fits ? SB_OK : room_reserve_slowly(buf, more);
}

static void room_push(sb_buf *buf, room_piece piece) {
  assert(places(buf) > 0);
  pieces(buf)[buf->room_count++] = piece;
  buf->room_bytes += piece.size;
}

/* Adds a block that nobody else owns: so a store does for counting. */
static void room_push_block(sb_buf *buf, sb_block *block) {
  assert(sb_priv_block_exclusive(block));
  atomic_store_explicit(&block->owners, SHARES, memory_order_relaxed);
  room_push(buf, (room_piece){block, block->data, block->size, SHARES});
}

/* Gives back the pieces of room behind the first `count`. */
static void room_cut(sb_buf *buf, size_t count) {
  while (buf->room_count > count) {
    const room_piece piece = pieces(buf)[--buf->room_count];
    if (buf->room_heap == NULL) buf->first_room.size = 0;
    buf->room_bytes -= piece.size;
    shares_release(piece.block, piece.shares);
  }
}

/* On failure the room has as many pieces as before. */
static __attribute__((noinline)) sb_status reserve_slowly(sb_buf *buf, size_t size, size_t count_before) {
  buf_check(buf);
  while (buf->room_bytes < size) {
    sb_block *block = NULL;
    sb_status status = room_reserve(buf, 1);
    if (status == SB_OK) status = sb_priv_block_get(buf->memory, size - buf->room_bytes, &block);
    if (status != SB_OK) {
      room_cut(buf, count_before);
      buf_check(buf);
      return status;
    }
    room_push_block(buf, block);
  }
  buf_check(buf);
  return SB_OK;
}

sb_status sb_buf_reserve(sb_buf *buf, size_t size) {
  if (buf == NULL) return SB_INVALID_ARGUMENT;
  if (size > PTRDIFF_MAX || buf->filled.bytes > PTRDIFF_MAX - size) return SB_TOO_LARGE;
  if (size <= buf->room_bytes) return SB_OK;
  if (buf->filled.bytes + buf->room_bytes > 0) return reserve_slowly(buf, size, buf->room_count);
  /* The usual case: the first block of an empty buf, whose place is in the buf. */
  sb_block *block;
  const sb_status status = sb_priv_block_get(buf->memory, size, &block);
  if (status != SB_OK) return status;
  room_push_block(buf, block);
  return block->size >= size ? SB_OK : reserve_slowly(buf, size, 0);
}

/* Whether the blocks of the pieces can become a buf's: each is there once, and nobody else has it. */
static sb_status blocks_check(const room_piece *taken, size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) {
    if (taken[i].block == NULL) return SB_INVALID_ARGUMENT;
    if (bytes > PTRDIFF_MAX - (size_t)taken[i].block->size) return SB_TOO_LARGE;
    bytes += taken[i].block->size;
  }
  /* A block that stands there twice is found by counting: each time adds an owner. */
  for (size_t i = 0; i < count; i++) (void)sb_priv_block_retain(taken[i].block);
  sb_status status = SB_OK;
  for (size_t i = 0; i < count; i++) {
    const uint64_t owners = atomic_load_explicit(&taken[i].block->owners, memory_order_acquire);
    if (owners == 2) continue;
    size_t times = 0;
    for (size_t j = 0; j < count; j++) times += taken[j].block == taken[i].block;
    status = times > 1 ? SB_INVALID_ARGUMENT : SB_BUSY;
    break;
  }
  for (size_t i = 0; i < count; i++) sb_priv_block_release(taken[i].block);
  return status;
}

sb_status sb_buf_from_blocks(sb_block *const *blocks, size_t count, sb_memory *memory, sb_buf **buf) {
  if (buf == NULL || (blocks == NULL && count > 0)) return SB_INVALID_ARGUMENT;
  sb_buf *made = NULL;
  sb_status status = sb_buf_open(memory, &made);
  if (status != SB_OK) return status;
  status = room_reserve(made, count);
  if (status == SB_OK) {
    /* Read once, so that what is checked is what is taken, whoever changes the list meanwhile. */
    room_piece *taken = pieces(made);
    for (size_t i = 0; i < count; i++) taken[i].block = SB_PRIV_READ_ONCE(blocks[i]);
    status = blocks_check(taken, count);
  }
  if (status != SB_OK) {
    sb_buf_close(made);
    return status;
  }
  for (size_t i = 0; i < count; i++) room_push_block(made, pieces(made)[i].block);
  *buf = made;
  return SB_OK;
}

/* The usual case of room_fill, of few steps: a piece in its place in the buf of which some room is left, before that nothing or bytes that it
 * continues. False where it is another case, and nothing was done. */
static inline bool room_fill_quickly(sb_buf *buf, size_t size) {
  room_piece *piece = &buf->first_room;
  sb_priv_spans *filled = &buf->filled;
  assert(buf->room_heap == NULL || piece->size == 0);
  if (size >= piece->size || filled->heap != NULL) return false;
  if (filled->count == 0) {
    if (piece->shares == 1) return false;
    piece->shares--;
    filled->first = (sb_priv_span){piece->data, size, piece->block};
    filled->count = 1;
  } else if (filled->first.data + filled->first.size == piece->data && filled->first.block == piece->block) {
    filled->first.size += size;
  } else {
    return false;
  }
  filled->bytes += size;
  buf->room_bytes -= size;
  piece->data += size;
  piece->size -= size;
  return true;
}

/* Makes the first `size` bytes of the first piece of room filled. */
static void room_fill_any(sb_buf *buf, size_t size) {
  room_piece *piece = pieces(buf);
  assert(buf->room_count > 0 && size > 0 && size <= piece->size);
  sb_priv_spans *filled = &buf->filled;
  sb_priv_span *last = filled->count > 0 ? sb_priv_spans_items(filled) + filled->count - 1 : NULL;
  uint32_t spare = piece->shares; /* given back when the piece is used up */
  if (last != NULL && last->block == piece->block && last->data + last->size == piece->data) {
    last->size += size;
    filled->bytes += size;
  } else {
    if (size < piece->size) shares_reserve(piece);
    spare = --piece->shares;
    sb_priv_spans_push(filled, piece->block, piece->data, size);
  }
  buf->room_bytes -= size;
  piece->data += size;
  piece->size -= size;
  if (piece->size > 0) return;
  if (spare > 0) shares_release(piece->block, spare);
  buf->room_count--;
  buf->room_start = buf->room_count == 0 ? 0 : buf->room_start + 1;
}

static inline void room_fill(sb_buf *buf, size_t size) {
  buf_check(buf);
  if (!room_fill_quickly(buf, size)) room_fill_any(buf, size);
  buf_check(buf);
}

sb_status sb_buf_split_room(sb_buf *buf, size_t size, sb_buf **other) {
  if (buf == NULL || other == NULL) return SB_INVALID_ARGUMENT;
  if (size > buf->room_bytes) return SB_OUT_OF_RANGE;
  buf_check(buf);
  size_t first = buf->room_count, found = 0; /* the first piece that goes, and the bytes from there on */
  while (found < size) found += pieces(buf)[--first].size;
  const size_t stays = found - size; /* of that piece */
  sb_buf *made = NULL;
  sb_status status = sb_buf_open(buf->memory, &made);
  if (status == SB_OK) status = room_reserve(made, buf->room_count - first);
  if (status != SB_OK) {
    sb_buf_close(made);
    return status;
  }
  for (size_t i = first; i < buf->room_count; i++) {
    room_piece *piece = pieces(buf) + i;
    room_piece gone = *piece;
    if (i == first && stays > 0) {
      shares_reserve(piece);
      gone = (room_piece){piece->block, piece->data + stays, piece->size - stays, piece->shares / 2};
      piece->shares -= gone.shares;
      piece->size = stays;
    }
    room_push(made, gone);
  }
  buf->room_count = first + (stays > 0);
  buf->room_bytes -= size;
  if (buf->room_count == 0) buf->room_start = buf->first_room.size = 0;
  buf->begun = 0;
  buf_check(buf);
  buf_check(made);
  *other = made;
  return SB_OK;
}

/* ---- filling ---- */

/* Puts bytes that do not fit the first piece, or use it up. */
static __attribute__((noinline)) sb_status put_slowly(sb_buf *buf, const void *data, size_t size) {
  if (buf == NULL || (data == NULL && size > 0)) return SB_INVALID_ARGUMENT;
  if (size > buf->room_bytes) return SB_OUT_OF_RANGE;
  buf->begun = 0;
  for (const uint8_t *source = data; size > 0;) {
    const room_piece *room = pieces(buf);
    const size_t piece = room->size < size ? room->size : size;
    memcpy(room->data, source, piece);
    room_fill(buf, piece);
    source += piece;
    size -= piece;
  }
  return SB_OK;
}

sb_status sb_buf_put(sb_buf *buf, const void *data, size_t size) {
  if (buf == NULL || data == NULL || size == 0) return put_slowly(buf, data, size);
  uint8_t *target = buf->first_room.data;
  if (!room_fill_quickly(buf, size)) return put_slowly(buf, data, size);
  buf->begun = 0;
  memcpy(target, data, size);
  return SB_OK;
}

sb_status sb_buf_put_byte(sb_buf *buf, uint8_t byte) { return sb_buf_put_repeated(buf, byte, 1); }

sb_status sb_buf_put_repeated(sb_buf *buf, uint8_t byte, size_t count) {
  if (buf == NULL) return SB_INVALID_ARGUMENT;
  if (count > buf->room_bytes) return SB_OUT_OF_RANGE;
  buf->begun = 0;
  while (count > 0) {
    const room_piece *room = pieces(buf);
    const size_t piece = room->size < count ? room->size : count;
    memset(room->data, byte, piece);
    room_fill(buf, piece);
    count -= piece;
  }
  return SB_OK;
}

/* Puts the lowest `size` bytes of `bits`. */
static sb_status put_number(sb_buf *buf, uint64_t bits, uint32_t size, int32_t order) {
  if (size > buf->room_bytes) return SB_OUT_OF_RANGE;
  const room_piece *room = pieces(buf);
  if (size <= room->size) {
    buf->begun = 0;
    sb_priv_number_store(room->data, bits, size, order);
    room_fill(buf, size);
    return SB_OK;
  }
  uint8_t bytes[8];
  sb_priv_number_store(bytes, bits, size, order);
  return sb_buf_put(buf, bytes, size);
}

sb_status sb_buf_put_int(sb_buf *buf, int64_t value, uint32_t size, int32_t order) {
  if (buf == NULL || !sb_priv_number_valid(size, order)) return SB_INVALID_ARGUMENT;
  if (size < 8) {
    const int64_t limit = (int64_t)1 << (size * 8 - 1);
    if (value < -limit || value >= limit) return SB_OUT_OF_RANGE;
  }
  return put_number(buf, (uint64_t)value, size, order);
}

/* Rounds to the nearest float. What lies less than half a step beyond the largest one becomes that; false for what lies further off. */
static bool narrowed(double value, float *narrow) {
  const double limit = 0x1.ffffffp127, largest = (double)FLT_MAX;
  const bool finite = __builtin_isfinite(value);
  if (finite && (value >= limit || value <= -limit)) return false;
  if (finite && value > largest) value = largest;
  if (finite && value < -largest) value = -largest;
  *narrow = (float)value;
  return true;
}

sb_status sb_buf_put_float(sb_buf *buf, double value, uint32_t size, int32_t order) {
  if (buf == NULL || (size != 4 && size != 8) || !sb_priv_number_valid(size, order)) return SB_INVALID_ARGUMENT;
  uint64_t bits = 0;
  if (size == 8) {
    memcpy(&bits, &value, sizeof bits);
  } else {
    float narrow;
    uint32_t narrow_bits;
    if (!narrowed(value, &narrow)) return SB_OUT_OF_RANGE;
    memcpy(&narrow_bits, &narrow, sizeof narrow_bits);
    bits = narrow_bits;
  }
  return put_number(buf, bits, size, order);
}

sb_status sb_buf_put_view(sb_buf *buf, const sb_view *view) {
  if (buf == NULL || view == NULL) return SB_INVALID_ARGUMENT;
  const sb_priv_spans *spans = sb_priv_view_spans(view);
  if (spans->bytes > PTRDIFF_MAX - buf->filled.bytes) return SB_NO_MEMORY;
  const sb_status status = sb_priv_spans_reserve(&buf->filled, spans->count + buf->room_count);
  if (status != SB_OK) return status;
  sb_priv_spans_push_range(&buf->filled, spans, 0, spans->bytes);
  buf_check(buf);
  return SB_OK;
}

/* ---- direct writing ---- */

sb_status sb_buf_begin(sb_buf *buf, void **data, size_t *size) {
  if (buf == NULL || data == NULL || size == NULL) return SB_INVALID_ARGUMENT;
  if (buf->room_count == 0) return SB_OUT_OF_RANGE;
  const room_piece *piece = pieces(buf);
  *data = piece->data;
  *size = buf->begun = piece->size;
  return SB_OK;
}

sb_status sb_buf_begin_iovec(sb_buf *buf, sb_iovec *iovec, size_t iovec_max, size_t *iovec_count) {
  if (buf == NULL || iovec_count == NULL || (iovec == NULL && iovec_max > 0)) return SB_INVALID_ARGUMENT;
  if (buf->room_count == 0 || iovec_max == 0) return SB_OUT_OF_RANGE;
  const room_piece *piece = pieces(buf);
  const size_t count = iovec_max < buf->room_count ? iovec_max : buf->room_count;
  buf->begun = 0;
  for (size_t i = 0; i < count; i++) {
    iovec[i] = (sb_iovec){piece[i].data, piece[i].size};
    buf->begun += piece[i].size;
  }
  *iovec_count = count;
  return SB_OK;
}

sb_status sb_buf_commit(sb_buf *buf, size_t size) {
  if (buf == NULL) return SB_INVALID_ARGUMENT;
  if (size > buf->begun) return SB_OUT_OF_RANGE;
  buf->begun = 0;
  while (size > 0) {
    const size_t room = pieces(buf)->size, piece = room < size ? room : size;
    room_fill(buf, piece);
    size -= piece;
  }
  return SB_OK;
}

void sb_buf_abort(sb_buf *buf) {
  if (buf != NULL) buf->begun = 0;
}

/* ---- taking ---- */

sb_status sb_buf_peek(const sb_buf *buf, sb_view **view) {
  if (buf == NULL || view == NULL) return SB_INVALID_ARGUMENT;
  return sb_priv_view_open_range(&buf->filled, 0, buf->filled.bytes, view);
}

static __attribute__((noinline)) sb_status take_slowly(sb_buf *buf, size_t size, sb_view **view) {
  if (size > buf->filled.bytes) return SB_OUT_OF_RANGE;
  const sb_status status = sb_priv_view_open_range(&buf->filled, 0, size, view);
  if (status != SB_OK) return status;
  sb_priv_spans_skip(&buf->filled, size);
  buf_check(buf);
  return SB_OK;
}

sb_status sb_buf_take(sb_buf *buf, size_t size, sb_view **view) {
  if (buf == NULL || view == NULL) return SB_INVALID_ARGUMENT;
  buf_check(buf);
  /* All of it moves without counting, where the list that is left has room enough: it has one span then. */
  if (size == buf->filled.bytes && buf->room_count <= 1) return sb_priv_view_open_all(&buf->filled, view);
  return take_slowly(buf, size, view);
}

void sb_buf_clear(sb_buf *buf) {
  if (buf == NULL) return;
  buf_check(buf);
  sb_priv_spans_skip(&buf->filled, buf->filled.bytes);
  buf_check(buf);
}

void sb_priv_buf_copy_out(const sb_buf *buf, uint8_t *target) {
  if (buf->filled.bytes > 0) sb_priv_spans_copy_out(&buf->filled, 0, target, buf->filled.bytes);
}

void sb_priv_buf_cut(sb_buf *buf, size_t size) {
  assert(size <= buf->filled.bytes);
  buf_check(buf);
  buf->begun = 0;
  /* What the last span loses goes back to the room that continues it; or else that room would need a span of its own, for which there may
   * be no memory. */
  if (room_continues(buf)) {
    room_piece *piece = pieces(buf);
    const size_t last = sb_priv_spans_at(&buf->filled, buf->filled.count - 1)->size, over = buf->filled.bytes - size;
    const size_t back = over < last ? over : last;
    piece->data -= back;
    piece->size += back;
    buf->room_bytes += back;
  }
  sb_priv_spans_cut(&buf->filled, size);
  buf_check(buf);
}

bool sb_priv_buf_begun(const sb_buf *buf, const void *data, size_t size) {
  const room_piece *piece = buf->room_heap != NULL ? buf->room_heap + buf->room_start : &buf->first_room;
  return buf->room_count > 0 && piece->data == data && piece->size == size && buf->begun == size;
}

sb_status sb_buf_check_instance(const sb_buf *buf, sb_error *error) {
  if (buf == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "buf is NULL");
  sb_status status = buf->memory == NULL ? SB_OK : sb_priv_memory_check_image(buf->memory, "buf", error);
  for (size_t i = 0; status == SB_OK && i < buf->filled.count; i++)
    status = sb_priv_memory_check_image(sb_priv_spans_at(&buf->filled, i)->block->memory, "buf", error);
  const room_piece *room = buf->room_heap != NULL ? buf->room_heap + buf->room_start : &buf->first_room; /* no heap, no start */
  for (size_t i = 0; status == SB_OK && i < buf->room_count; i++) status = sb_priv_memory_check_image(room[i].block->memory, "buf", error);
  return status;
}

void sb_buf_close(sb_buf *buf) {
  if (buf == NULL) return;
  sb_priv_handle_check(buf);
  buf_check(buf);
  if (buf->filled.count > 0 || buf->filled.heap != NULL) sb_priv_spans_clear(&buf->filled);
  if (buf->room_heap == NULL) {
    if (buf->room_count > 0) shares_release(buf->first_room.block, buf->first_room.shares);
  } else {
    room_cut(buf, 0);
    free(buf->room_heap);
  }
  if (buf->memory != NULL) sb_memory_close(buf->memory);
  sb_priv_handle_put(buf);
}
