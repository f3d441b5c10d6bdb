/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */

/* What test_bytes_model.c cannot ask at random: the edges of numbers, memory of somebody else, the kernel, threads. */
#include "memory_testing.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block.h"
#include "failing_memory.h"
#include "handle_cache.h"
#include "steps.h"

static sb_buf *open_buf(uint32_t block_size, size_t room) {
  sb_memory *memory = open_fixed(block_size);
  sb_buf *buf = NULL;
  assert_ok(sb_buf_open(memory, &buf));
  assert_ok(sb_buf_reserve(buf, room));
  sb_memory_close(memory);
  return buf;
}

static sb_view *take_all(sb_buf *buf) {
  sb_view *view = NULL;
  assert_ok(sb_buf_take(buf, sb_buf_size(buf), &view));
  sb_buf_close(buf);
  return view;
}

static void integers_have_the_range_of_their_size(void **state) {
  (void)state;
  const uint32_t sizes[] = {1, 2, 4, 8};
  for (int i = 0; i < 4; i++) {
    sb_buf *buf = open_buf(3, 64);
    const int64_t low = sizes[i] == 8 ? INT64_MIN : -((int64_t)1 << (8 * sizes[i] - 1)), high = -(low + 1);
    for (int32_t order = 0; order <= 1; order++) {
      assert_ok(sb_buf_put_int(buf, low, sizes[i], order));
      assert_ok(sb_buf_put_int(buf, high, sizes[i], order));
      if (sizes[i] == 8) continue;
      assert_int_equal(sb_buf_put_int(buf, low - 1, sizes[i], order), SB_OUT_OF_RANGE);
      assert_int_equal(sb_buf_put_int(buf, high + 1, sizes[i], order), SB_OUT_OF_RANGE);
    }
    assert_int_equal(sb_buf_size(buf), 4 * sizes[i]);
    sb_view *view = take_all(buf);
    for (int32_t order = 0; order <= 1; order++) {
      int64_t value = 0;
      assert_ok(sb_view_read_int(view, sizes[i], order, &value));
      assert_true(value == low);
      assert_ok(sb_view_read_int(view, sizes[i], order, &value));
      assert_true(value == high);
    }
    sb_view_close(view);
  }
}

static void the_bytes_of_a_number_lie_in_its_order(void **state) {
  (void)state;
  sb_buf *buf = open_buf(64, 64);
  assert_ok(sb_buf_put_int(buf, 0x0102, 2, SB_ORDER_BIG));
  assert_ok(sb_buf_put_int(buf, 0x0102, 2, SB_ORDER_LITTLE));
  assert_ok(sb_buf_put_int(buf, 0x01020304, 4, SB_ORDER_BIG));
  assert_ok(sb_buf_put_int(buf, -2, 8, SB_ORDER_LITTLE));
  assert_ok(sb_buf_put_float(buf, 1.0, 4, SB_ORDER_BIG));
  assert_ok(sb_buf_put_float(buf, -2.0, 8, SB_ORDER_LITTLE));
  sb_view *view = take_all(buf);
  assert_view_shows(view, "\1\2\2\1\1\2\3\4\xfe\xff\xff\xff\xff\xff\xff\xff\x3f\x80\0\0\0\0\0\0\0\0\0\xc0", 28);
  sb_view_close(view);
}

static void floats_are_rounded_or_refused(void **state) {
  (void)state;
  const double largest = 0x1.fffffep127, step = 0x1p104; /* of 4 bytes; half a step further is out of range */
  sb_buf *buf = open_buf(5, 100);
  const double kept[] = {0.0, -0.0, 0.1, largest, -largest, (double)INFINITY, -(double)INFINITY, largest + step / 4, 0x1p-149};
  for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) assert_ok(sb_buf_put_float(buf, kept[i], 4, SB_ORDER_BIG));
  assert_ok(sb_buf_put_float(buf, (double)NAN, 4, SB_ORDER_LITTLE));
  const size_t size = sb_buf_size(buf);
  assert_int_equal(sb_buf_put_float(buf, largest + step / 2, 4, SB_ORDER_BIG), SB_OUT_OF_RANGE);
  assert_int_equal(sb_buf_put_float(buf, -1e300, 4, SB_ORDER_BIG), SB_OUT_OF_RANGE);
  assert_int_equal(sb_buf_size(buf), size);
  sb_view *view = take_all(buf);
  double value = 0;
  for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
    assert_ok(sb_view_read_float(view, 4, SB_ORDER_BIG, &value));
    const double wanted = kept[i] > largest && !isinf(kept[i]) ? largest : (double)(float)kept[i];
    assert_true(value == wanted && !signbit(value) == !signbit(wanted));
  }
  assert_ok(sb_view_peek_float(view, 0, 4, SB_ORDER_LITTLE, &value));
  assert_true(isnan(value));
  sb_view_close(view);
}

static void wrong_sizes_and_orders_are_refused_and_change_nothing(void **state) {
  (void)state;
  sb_buf *buf = open_buf(64, 64);
  const uint32_t sizes[] = {0, 3, 5, 7, 9, UINT32_MAX};
  int64_t value = 77;
  double real = 77;
  assert_ok(sb_buf_put(buf, "0123456789", 10));
  sb_view *view = NULL;
  assert_ok(sb_buf_peek(buf, &view));
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    assert_int_equal(sb_buf_put_int(buf, 0, sizes[i], 0), SB_INVALID_ARGUMENT);
    assert_int_equal(sb_buf_put_float(buf, 0, sizes[i], 0), SB_INVALID_ARGUMENT);
    assert_int_equal(sb_view_read_int(view, sizes[i], 0, &value), SB_INVALID_ARGUMENT);
    assert_int_equal(sb_view_peek_float(view, 0, sizes[i], 0, &real), SB_INVALID_ARGUMENT);
  }
  assert_int_equal(sb_buf_put_float(buf, 0, 2, 0), SB_INVALID_ARGUMENT);
  for (int32_t order = -1; order <= 2; order += 3) {
    assert_int_equal(sb_buf_put_int(buf, 0, 4, order), SB_INVALID_ARGUMENT);
    assert_int_equal(sb_view_read_int(view, 4, order, &value), SB_INVALID_ARGUMENT);
    assert_int_equal(sb_view_read_float(view, 4, order, &real), SB_INVALID_ARGUMENT);
  }
  assert_int_equal(sb_view_peek_int(view, 7, 4, 0, &value), SB_OUT_OF_RANGE);
  assert_int_equal(sb_view_peek_int(view, SIZE_MAX, 4, 0, &value), SB_OUT_OF_RANGE);
  assert_true(value == 77 && real == 77);
  assert_int_equal(sb_buf_size(buf), 10);
  assert_view_shows_text(view, "0123456789");
  sb_view_close(view);
  sb_buf_close(buf);
}

/* Through a pipe by writev and readv, as the header says that they may be cast. */
static void the_kernel_takes_and_fills_pieces(void **state) {
  (void)state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  sb_view *view = open_view_in_blocks("0123456789abcdef", 3);
  sb_iovec pieces[8];
  size_t count = 0;
  assert_ok(sb_view_get_iovec(view, 1, pieces, 8, &count));
  assert_int_equal(count, 6);
  assert_int_equal(writev(ends[1], (const struct iovec *)(const void *)pieces, (int)count), 15);
  sb_buf *buf = open_buf(4, 20);
  assert_ok(sb_buf_begin_iovec(buf, pieces, 8, &count));
  assert_int_equal(count, 5);
  assert_int_equal(readv(ends[0], (const struct iovec *)(const void *)pieces, (int)count), 15);
  assert_ok(sb_buf_commit(buf, 15));
  sb_view *got = take_all(buf);
  assert_view_shows_text(got, "123456789abcdef");
  sb_view_close(got);
  sb_view_close(view);
  (void)close(ends[0]);
  (void)close(ends[1]);
  assert_no_live_blocks();
}

/* ---- memory of somebody else ---- */

typedef struct released {
  int times;
  const void *data;
  size_t size;
} released;

static void note_release(void *context, void *data, size_t size) {
  released *it = context;
  it->times++;
  it->data = data;
  it->size = size;
}

static void foreign_memory_is_shown_and_released_once(void **state) {
  (void)state;
  static const char text[] = "somebody's memory";
  released back = {.times = 0};
  const sb_foreign foreign = {.data = text, .size = 17, .release = note_release, .context = &back};
  sb_view *view = NULL, *range = NULL;
  sb_memory *memory = NULL;
  const void *data = NULL;
  size_t size = 0;
  assert_ok(sb_view_open_foreign(&foreign, &view));
  assert_ok(sb_view_span(view, 0, &data, &size));
  assert_ptr_equal(data, text);
  assert_int_equal(sb_memory_live_blocks(), 1);
  assert_ok(sb_view_memory(view, &memory));
  assert_int_equal(stats_of(memory).live_bytes, 17);
  sb_block *block = NULL;
  assert_int_equal(sb_memory_get_block(memory, 1, &block), SB_UNSUPPORTED);
  assert_ok(sb_view_range(view, 4, 4, &range));
  sb_view_close(view);
  assert_int_equal(back.times, 0);
  sb_buf *buf = open_buf(8, 8);
  assert_ok(sb_buf_put_view(buf, range));
  sb_view_close(range);
  assert_int_equal(back.times, 0);
  sb_buf_close(buf);
  assert_int_equal(back.times, 1);
  assert_ptr_equal(back.data, text);
  assert_int_equal(back.size, 17);
  assert_int_equal(stats_of(memory).live_bytes, 0);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

static void foreign_memory_that_cannot_be_shown_is_not_released(void **state) {
  (void)state;
  released back = {.times = 0};
  sb_foreign foreign = {.data = NULL, .size = 1, .release = note_release, .context = &back};
  sb_view *view = NULL;
  assert_int_equal(sb_view_open_foreign(&foreign, &view), SB_INVALID_ARGUMENT);
  foreign.data = "x";
  foreign.size = SIZE_MAX;
  assert_int_equal(sb_view_open_foreign(&foreign, &view), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_open_foreign(NULL, &view), SB_INVALID_ARGUMENT);
  foreign.size = 1;
  assert_int_equal(sb_view_open_foreign(&foreign, NULL), SB_INVALID_ARGUMENT);
  for (long nth = 1; nth <= 2; nth++) {
    sb_priv_handle_flush();
    allocations_until_failure = nth;
    assert_int_equal(sb_view_open_foreign(&foreign, &view), SB_NO_MEMORY);
  }
  allocations_until_failure = 0;
  assert_null(view);
  assert_int_equal(back.times, 0);
  foreign.size = 0; /* nothing to show, so it is back at once */
  assert_ok(sb_view_open_foreign(&foreign, &view));
  assert_int_equal(back.times, 1);
  sb_view_close(view);
  foreign = (sb_foreign){.data = "constant", .size = 8};
  assert_ok(sb_view_open_foreign(&foreign, &view));
  sb_view_close(view);
  assert_no_live_blocks();
}

/* More than any block may have; the address space is enough, nobody looks at the bytes. */
static void foreign_memory_may_be_larger_than_a_block(void **state) {
  (void)state;
  const size_t size = (size_t)SB_BLOCK_SIZE_MAX + 5000;
  char *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  assert_ptr_not_equal(data, MAP_FAILED);
  released back = {.times = 0};
  const sb_foreign foreign = {.data = data, .size = size, .release = note_release, .context = &back};
  sb_view *view = NULL, *end = NULL;
  assert_ok(sb_view_open_foreign(&foreign, &view));
  assert_int_equal(sb_view_size(view), size);
  assert_ok(sb_view_range(view, size - 3, 3, &end));
  sb_view_close(view);
  assert_view_shows(end, "\0\0\0", 3);
  sb_view_close(end);
  assert_int_equal(back.times, 1);
  assert_int_equal(munmap(data, size), 0);
}

static void a_lender_tells_each_token_once(void **state) {
  (void)state;
  sb_lender *lender = NULL;
  sb_view *first = NULL, *second = NULL;
  uint64_t token = 99;
  assert_ok(sb_lender_open(&lender));
  assert_ok(sb_lender_lend(lender, "one", 3, 1, &first));
  assert_ok(sb_lender_lend(lender, "two", 3, 2, &second));
  assert_int_equal(sb_lender_take(lender, &token), SB_NOT_FOUND);
  assert_int_equal(token, 99);
  assert_ok(sb_view_append(first, second));
  sb_view_close(second);
  assert_int_equal(sb_lender_take(lender, &token), SB_NOT_FOUND);
  assert_ok(sb_view_skip(first, 3));
  assert_ok(sb_lender_take(lender, &token));
  assert_int_equal(token, 1);
  assert_int_equal(sb_lender_lent(lender), 1);
  sb_view_close(first);
  assert_ok(sb_lender_take(lender, &token));
  assert_int_equal(token, 2);
  assert_int_equal(sb_lender_take(lender, &token), SB_NOT_FOUND);
  for (long nth = 1; nth <= 3; nth++) {
    sb_view *none = NULL;
    sb_priv_handle_flush();
    allocations_until_failure = nth;
    assert_int_equal(sb_lender_lend(lender, "three", 5, 3, &none), SB_NO_MEMORY);
    assert_null(none);
  }
  allocations_until_failure = 0;
  assert_int_equal(sb_lender_lent(lender), 0);
  assert_ok(sb_lender_lend(lender, "four", 4, 4, &first));
  sb_lender_close(lender);
  assert_view_shows_text(first, "four");
  sb_view_close(first);
  assert_no_live_blocks();
}

enum {
  LENT = 2000,
  CLOSERS = 4
};

typedef struct closer {
  sb_view **views;
  int first;
} closer;

static void *close_views(void *argument) {
  const closer *it = argument;
  for (int i = it->first; i < LENT; i += CLOSERS) sb_view_close(it->views[i]);
  return NULL;
}

static void memory_comes_back_once_from_any_thread(void **state) {
  (void)state;
  static sb_view *views[LENT];
  static uint8_t seen[LENT];
  sb_lender *lender = NULL;
  assert_ok(sb_lender_open(&lender));
  memset(seen, 0, sizeof seen);
  for (uint64_t i = 0; i < LENT; i++) assert_ok(sb_lender_lend(lender, seen + i, 1, i, &views[i]));
  pthread_t threads[CLOSERS];
  closer closers[CLOSERS];
  for (int i = 0; i < CLOSERS; i++) {
    closers[i] = (closer){views, i};
    assert_int_equal(pthread_create(&threads[i], NULL, close_views, &closers[i]), 0);
  }
  size_t taken = 0;
  uint64_t token = 0;
  while (taken < LENT / 2)
    if (sb_lender_take(lender, &token) == SB_OK) taken++, seen[token]++;
  for (int i = 0; i < CLOSERS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  while (sb_lender_take(lender, &token) == SB_OK) taken++, seen[token]++;
  assert_int_equal(taken, LENT);
  for (int i = 0; i < LENT; i++) assert_int_equal(seen[i], 1);
  sb_lender_close(lender);
  assert_no_live_blocks();
}

/* Two halves of one block, filled at once; a sanitizer of threads sees it if they share more. */
static void *fill_half(void *argument) {
  sb_buf *buf = argument;
  for (int i = 0; i < 1000; i++) {
    sb_view *view = NULL;
    assert_ok(sb_buf_put_byte(buf, (uint8_t)i));
    assert_ok(sb_buf_take(buf, 1, &view));
    sb_view_close(view);
  }
  return NULL;
}

static void room_that_was_split_off_is_filled_on_another_thread(void **state) {
  (void)state;
  sb_buf *buf = open_buf(2000, 2000), *other = NULL;
  assert_ok(sb_buf_split_room(buf, 1000, &other));
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, fill_half, other), 0);
  fill_half(buf);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(sb_buf_room(buf) + sb_buf_room(other), 0);
  sb_buf_close(other);
  sb_buf_close(buf);
  assert_no_live_blocks();
}

/* Beyond the owners that a piece of room takes in advance. */
static void many_views_of_one_block(void **state) {
  (void)state;
  static sb_view *views[10000];
  sb_buf *buf = open_buf(10001, 10001);
  for (size_t i = 0; i < 10000; i++) {
    assert_ok(sb_buf_put_byte(buf, (uint8_t)i));
    assert_ok(sb_buf_take(buf, 1, &views[i]));
  }
  sb_buf_close(buf);
  assert_int_equal(sb_memory_live_blocks(), 1);
  for (size_t i = 0; i < 10000; i++) sb_view_close(views[i]);
  assert_no_live_blocks();
}

/* The first bytes differ, and words that are cut by spans in every way give one hash. */
static void the_hash_ignores_how_bytes_are_cut(void **state) {
  (void)state;
  const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  for (size_t size = 0; size <= 36; size++) {
    uint64_t wanted = 0;
    for (uint32_t block_size = 1; block_size <= 40; block_size++) {
      sb_memory *memory = open_fixed(block_size);
      sb_view *view = NULL;
      assert_ok(sb_view_open(text, size, memory, &view));
      if (block_size == 1) wanted = sb_view_hash(view, 5);
      assert_true(sb_view_hash(view, 5) == wanted);
      assert_true(sb_view_hash(view, 6) != wanted);
      sb_view_close(view);
      sb_memory_close(memory);
    }
    sb_view *zeros = NULL, *more = NULL; /* padding is no data */
    assert_ok(sb_view_open("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", size, NULL, &zeros));
    assert_ok(sb_view_open("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", size + 1, NULL, &more));
    assert_true(sb_view_hash(zeros, 5) != sb_view_hash(more, 5));
    sb_view_close(zeros);
    sb_view_close(more);
  }
}

static void null_is_an_error_or_does_nothing(void **state) {
  (void)state;
  sb_view *view = open_view_in_blocks("0123456789", 3), *made = NULL;
  sb_buf *buf = open_buf(4, 4), *other = NULL;
  sb_memory *memory = NULL;
  sb_pin *pin = NULL;
  sb_iovec pieces[1];
  size_t count = 5;
  uint64_t token = 0;
  assert_int_equal(sb_view_open_concat(NULL, 1, &made), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_open_concat(&view, 1, NULL), SB_INVALID_ARGUMENT);
  sb_view *const holes[] = {view, NULL};
  assert_int_equal(sb_view_open_concat(holes, 2, &made), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_get_iovec(NULL, 0, pieces, 1, &count), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_get_iovec(view, 0, NULL, 1, &count), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_get_iovec(view, 0, pieces, 1, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_pin(NULL, 0, &pin), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_pin(view, 0, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_memory(NULL, &memory), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_memory(view, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_memory(NULL, &memory), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_memory(buf, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_put_byte(NULL, 0), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_put_int(NULL, 0, 1, 0), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_put_float(NULL, 0, 4, 0), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_begin_iovec(NULL, pieces, 1, &count), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_begin_iovec(buf, NULL, 1, &count), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_begin_iovec(buf, pieces, 1, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_split_room(NULL, 0, &other), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_split_room(buf, 0, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_split_room(buf, 5, &other), SB_OUT_OF_RANGE);
  assert_int_equal(sb_lender_open(NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_lender_lend(NULL, "", 0, 0, &made), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_lender_take(NULL, &token), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_lender_lent(NULL), 0);
  assert_int_equal(sb_view_compare(NULL, view), -1);
  assert_int_equal(sb_view_compare(view, NULL), 1);
  assert_int_equal(sb_view_compare(NULL, NULL), 0);
  sb_buf_abort(NULL);
  sb_pin_close(NULL);
  sb_lender_close(NULL);
  assert_true(made == NULL && other == NULL && memory == NULL && pin == NULL && count == 5);
  sb_view_close(view);
  sb_buf_close(buf);
}

/* ---- a fork while another thread takes ---- */

static _Thread_local bool stops_while_it_takes;
static atomic_bool takes, may_go_on;

static void stop_while_it_takes(int kind, const void *thing, const char *function) {
  (void)kind, (void)thing;
  if (!stops_while_it_takes || strcmp(function, "sb_lender_take") != 0) return;
  takes = true;
  while (!may_go_on) (void)usleep(1000);
}

static void *take_slowly(void *lender) {
  uint64_t token = 0;
  stops_while_it_takes = true;
  return sb_lender_take(lender, &token) == SB_OK ? NULL : lender;
}

static void a_child_takes_what_is_back_though_another_thread_was_taking(void **state) {
  (void)state;
  sb_lender *lender = NULL;
  sb_view *view = NULL;
  uint64_t token = 0;
  pthread_t thread;
  void *failed = NULL;
  assert_ok(sb_lender_open(&lender));
  assert_ok(sb_lender_lend(lender, "one", 3, 11, &view));
  sb_view_close(view);
  sb_priv_step_hook = stop_while_it_takes;
  assert_int_equal(pthread_create(&thread, NULL, take_slowly, lender), 0);
  while (!takes) (void)usleep(1000);
  assert_int_equal(sb_lender_take(lender, &token), SB_NOT_FOUND);
  const pid_t child = fork();
  if (child == 0) _exit(sb_lender_take(lender, &token) == SB_OK && token == 11 && sb_lender_lent(lender) == 0 ? 0 : 1);
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  may_go_on = true;
  assert_int_equal(pthread_join(thread, &failed), 0);
  assert_null(failed);
  sb_priv_step_hook = NULL;
  sb_lender_close(lender);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_child_takes_what_is_back_though_another_thread_was_taking),
      cmocka_unit_test(integers_have_the_range_of_their_size),
      cmocka_unit_test(the_bytes_of_a_number_lie_in_its_order),
      cmocka_unit_test(floats_are_rounded_or_refused),
      cmocka_unit_test(wrong_sizes_and_orders_are_refused_and_change_nothing),
      cmocka_unit_test(the_kernel_takes_and_fills_pieces),
      cmocka_unit_test(foreign_memory_is_shown_and_released_once),
      cmocka_unit_test(foreign_memory_that_cannot_be_shown_is_not_released),
      cmocka_unit_test(foreign_memory_may_be_larger_than_a_block),
      cmocka_unit_test(a_lender_tells_each_token_once),
      cmocka_unit_test(memory_comes_back_once_from_any_thread),
      cmocka_unit_test(room_that_was_split_off_is_filled_on_another_thread),
      cmocka_unit_test(many_views_of_one_block),
      cmocka_unit_test(the_hash_ignores_how_bytes_are_cut),
      cmocka_unit_test(null_is_an_error_or_does_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
