#ifndef SB_SPANS_H
#define SB_SPANS_H

/* The bytes of views and bufs: pieces of blocks, in order. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "block.h"

/* Bytes that lie in one block. */
typedef struct sb_priv_span {
  const uint8_t *data;
  size_t size; /* above 0 */
  sb_block *block;
} sb_priv_span;

/* A sequence of spans that moves on from the front and grows at the end: what views and bufs are made of. All zeros is the empty one. One
 * span needs no allocation; the structure may be moved. Invariant: bytes is the sum of the sizes, each span holds one owner of its block, and
 * two that are neighbours do not continue each other. */
typedef struct sb_priv_spans {
  sb_priv_span first; /* the place of the spans while there is no heap; anything when there is none */
  sb_priv_span *heap;
  size_t count;
  size_t bytes;
  size_t start;    /* with a heap: spans before it have been skipped */
  size_t capacity; /* with a heap: of it, in spans */
} sb_priv_spans;

/* Makes `spans` empty that were nothing before. */
static inline void sb_priv_spans_init(sb_priv_spans *spans) {
  spans->heap = NULL;
  spans->count = spans->bytes = 0;
}

static inline sb_priv_span *sb_priv_spans_items(sb_priv_spans *spans) {
  return spans->heap != NULL ? spans->heap + spans->start : &spans->first;
}

static inline const sb_priv_span *sb_priv_spans_at(const sb_priv_spans *spans, size_t index) {
  assert(index < spans->count);
  return (spans->heap != NULL ? spans->heap + spans->start : &spans->first) + index;
}

/* How many spans there is room for behind the last one. */
static inline size_t sb_priv_spans_room(const sb_priv_spans *spans) {
  return spans->heap != NULL ? spans->capacity - spans->start - spans->count : 1 - spans->count;
}

/* The invariant, under assert: what can be told at once, and of all spans. The first is for where a function that changes them begins and
 * ends, and looks at all of them once in as many times as there are spans, and in 64; the second is for tests. */
#ifdef NDEBUG
static inline void sb_priv_spans_check(const sb_priv_spans *spans) { (void)spans; }
static inline void sb_priv_spans_check_all(const sb_priv_spans *spans) { (void)spans; }
#else
void sb_priv_spans_check(const sb_priv_spans *spans);
void sb_priv_spans_check_all(const sb_priv_spans *spans);
#endif

/* Makes room for `more` spans. A failure (SB_NO_MEMORY) changes nothing. */
sb_status sb_priv_spans_reserve(sb_priv_spans *spans, size_t more);
/* Adds a span, taking over an owner of `block`; it becomes one with the last span where it continues that. The caller has reserved. */
void sb_priv_spans_push(sb_priv_spans *spans, sb_block *block, const uint8_t *data, size_t size);
/* Adds the `size` bytes of `source` that start at `offset`; both must be there, and `spans` have room for sb_priv_spans_in_range of them. */
void sb_priv_spans_push_range(sb_priv_spans *spans, const sb_priv_spans *source, size_t offset, size_t size);
/* How many spans those bytes touch. */
size_t sb_priv_spans_in_range(const sb_priv_spans *spans, size_t offset, size_t size);
/* Finds the span that holds the byte at `*offset`, which must be there, and makes `*offset` relative to it. */
size_t sb_priv_spans_find(const sb_priv_spans *spans, size_t *offset);
/* Removes the first `size` bytes, which must be there. */
void sb_priv_spans_skip(sb_priv_spans *spans, size_t size);
/* Drops what lies behind the first `size` bytes. */
void sb_priv_spans_cut(sb_priv_spans *spans, size_t size);
/* Copies the `size` bytes that start at `offset`, which must be there. */
void sb_priv_spans_copy_out(const sb_priv_spans *spans, size_t offset, uint8_t *target, size_t size);
/* Orders the bytes of both as memcmp does; the shorter one comes first where it is the beginning of the other. */
int sb_priv_spans_compare(const sb_priv_spans *spans, const sb_priv_spans *other);
/* Removes all and frees. */
void sb_priv_spans_clear(sb_priv_spans *spans);

#endif
