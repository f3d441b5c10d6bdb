#ifndef MEMORY_TESTING_H
#define MEMORY_TESTING_H

/* What the tests of memory, pool, view and buf share. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <samebytes/samebytes.h>

#include "view_private.h"

#define assert_ok(call) assert_int_equal((call), SB_OK)

/* A generator of which a test states the seed, so that a failure comes again. */
typedef struct random_source {
  uint64_t state;
} random_source;

static inline uint64_t random_next(random_source *source) {
  source->state ^= source->state << 13;
  source->state ^= source->state >> 7;
  source->state ^= source->state << 17;
  return source->state;
}

static inline size_t random_below(random_source *source, size_t limit) { return (size_t)(random_next(source) >> 11) % limit; }

static inline void assert_no_live_blocks(void) { assert_int_equal(sb_memory_live_blocks(), 0); }

static inline sb_memory *open_fixed(uint32_t block_size) {
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_fixed(block_size, &memory));
  return memory;
}

/* A tracing provider over `inner`, which it closes. */
static inline sb_memory *open_tracing_over(sb_memory *inner) {
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_tracing(inner, &memory));
  sb_memory_close(inner);
  return memory;
}

static inline sb_memory_stats stats_of(sb_memory *memory) {
  sb_memory_stats stats = {.struct_size = sizeof stats};
  assert_ok(sb_memory_get_stats(memory, &stats));
  return stats;
}

/* A view of a copy of `text` in blocks of `block_size` bytes. */
static inline sb_view *open_view_in_blocks(const char *text, uint32_t block_size) {
  sb_memory *memory = open_fixed(block_size);
  sb_view *view = NULL;
  assert_ok(sb_view_open(text, strlen(text), memory, &view));
  sb_memory_close(memory);
  return view;
}

/* Looks at a view in every way: size, spans, copied bytes. */
static inline void assert_view_shows(const sb_view *view, const void *bytes, size_t size) {
  sb_priv_view_check_all(view);
  assert_int_equal(sb_view_size(view), size);
  const uint8_t *expected = bytes;
  size_t offset = 0;
  for (size_t i = 0; i < sb_view_span_count(view); i++) {
    const void *data = NULL;
    size_t span_size = 0;
    assert_ok(sb_view_span(view, i, &data, &span_size));
    assert_true(span_size > 0 && span_size <= size - offset);
    assert_memory_equal(data, expected + offset, span_size);
    offset += span_size;
  }
  assert_int_equal(offset, size);
  uint8_t *copy = malloc(size + 1);
  assert_non_null(copy);
  assert_ok(sb_view_copy_bytes(view, 0, copy, size));
  if (size > 0) assert_memory_equal(copy, expected, size);
  free(copy);
}

static inline void assert_view_shows_text(const sb_view *view, const char *text) { assert_view_shows(view, text, strlen(text)); }

#endif
