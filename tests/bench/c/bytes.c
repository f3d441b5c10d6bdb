/* Views and bufs, with memory of the default pool. tests/bench/rust/src/main.rs does the same with its crates. */
#include "bench.h"

#include <samebytes/samebytes.h>

enum {
  SPAN_SIZE = 1024,
  SPANS_MAX = 16,
  PIECES = 64 * 1024 / 64,
  APPENDS_MANY = 10000,
  APPENDS_FEW = 1000
};

static uint8_t payload[64 * 1024];
static sb_view *spans_1, *spans_8, *spans_16;
static sb_view *separate[2]; /* two blocks in turns never become one span */

static void check(sb_status status) {
  if (status != SB_OK) bench_fail("the library returned status %d", (int)status);
}

static sb_view *make_view(size_t span_count) {
  sb_view *view;
  check(sb_view_open(payload, SPAN_SIZE, NULL, &view));
  for (size_t i = 1; i < span_count; i++) {
    sb_view *more;
    check(sb_view_open(payload, SPAN_SIZE, NULL, &more));
    check(sb_view_append(view, more));
    sb_view_close(more);
  }
  if (sb_view_span_count(view) != span_count) bench_fail("%zu spans, not %zu", sb_view_span_count(view), span_count);
  return view;
}

static void copy(const sb_view *view, size_t times) {
  while (times-- > 0) {
    sb_view *made;
    check(sb_view_copy(view, &made));
    BENCH_USE(made);
    sb_view_close(made);
  }
}

static void copy_1(size_t times) { copy(spans_1, times); }
static void copy_8(size_t times) { copy(spans_8, times); }
static void copy_16(size_t times) { copy(spans_16, times); }

/* All but the first and the last byte, so that every span is part of it. */
static void range(const sb_view *view, size_t times) {
  size_t size = sb_view_size(view) - 2;
  while (times-- > 0) {
    sb_view *made;
    check(sb_view_range(view, 1, size, &made));
    BENCH_USE(made);
    sb_view_close(made);
  }
}

static void range_1(size_t times) { range(spans_1, times); }
static void range_8(size_t times) { range(spans_8, times); }
static void range_16(size_t times) { range(spans_16, times); }

static void fill(size_t size, size_t times) {
  while (times-- > 0) {
    sb_buf *buf;
    sb_view *view;
    check(sb_buf_open(NULL, &buf));
    check(sb_buf_reserve(buf, size));
    check(sb_buf_put(buf, payload, size));
    check(sb_buf_take(buf, size, &view));
    BENCH_USE(view);
    sb_view_close(view);
    sb_buf_close(buf);
  }
}

static void fill_1k(size_t times) { fill(1024, times); }
static void fill_64k(size_t times) { fill(64 * 1024, times); }

/* Pieces of one reservation, each put, taken and dropped. */
static void freeze(size_t times) {
  while (times-- > 0) {
    sb_buf *buf;
    check(sb_buf_open(NULL, &buf));
    check(sb_buf_reserve(buf, (size_t)PIECES * 64));
    for (size_t i = 0; i < PIECES; i++) {
      sb_view *view;
      check(sb_buf_put(buf, payload, 64));
      check(sb_buf_take(buf, 64, &view));
      BENCH_USE(view);
      sb_view_close(view);
    }
    sb_buf_close(buf);
  }
}

static void append(size_t count, size_t times) {
  while (times-- > 0) {
    sb_view *whole;
    check(sb_view_copy(separate[1], &whole));
    for (size_t i = 0; i < count; i++) check(sb_view_append(whole, separate[i % 2]));
    if (sb_view_span_count(whole) != count + 1) bench_fail("%zu spans", sb_view_span_count(whole));
    sb_view_close(whole);
  }
}

static void append_many(size_t times) { append(APPENDS_MANY, times); }
static void append_few(size_t times) { append(APPENDS_FEW, times); }

static const bench_case cases[] = {
    {"view copy, 1 span", "samebytes", copy_1, 1},
    {"view copy, 8 spans", "samebytes", copy_8, 1},
    {"view copy, 16 spans", "samebytes", copy_16, 1},
    {"view range, 1 span", "samebytes", range_1, 1},
    {"view range, 8 spans", "samebytes", range_8, 1},
    {"view range, 16 spans", "samebytes", range_16, 1},
    {"reserve+fill+consume, 1 KiB", "samebytes", fill_1k, 1},
    {"reserve+fill+consume, 64 KiB", "samebytes", fill_64k, 1},
    {"put 64 B and freeze", "samebytes", freeze, PIECES},
    {"append of 10,000 views, each", "samebytes", append_many, APPENDS_MANY},
    {"append of 10,000 views, each", "samebytes, 1,000 views", append_few, APPENDS_FEW},
};

int main(int argc, char **argv) {
  spans_1 = make_view(1);
  spans_8 = make_view(8);
  spans_16 = make_view(16);
  separate[0] = make_view(1);
  separate[1] = make_view(1);
  return bench_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
