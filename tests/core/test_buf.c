/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */
#include "memory_testing.h"

#include "failing_memory.h"

static sb_buf *open_buf_in_blocks(uint32_t block_size) {
  sb_memory *memory = open_fixed(block_size);
  sb_buf *buf = NULL;
  assert_ok(sb_buf_open(memory, &buf));
  sb_memory_close(memory);
  return buf;
}

static void assert_buf_shows(const sb_buf *buf, const void *bytes, size_t size) {
  sb_view *view = NULL;
  assert_int_equal(sb_buf_size(buf), size);
  assert_ok(sb_buf_peek(buf, &view));
  assert_view_shows(view, bytes, size);
  sb_view_close(view);
}

static void put_text(sb_buf *buf, const char *text) {
  assert_ok(sb_buf_reserve(buf, strlen(text)));
  assert_ok(sb_buf_put(buf, text, strlen(text)));
}

static void a_new_buf_is_empty_and_has_no_room(void **state) {
  (void)state;
  sb_buf *buf = NULL;
  void *data = NULL;
  size_t size = 0;
  assert_ok(sb_buf_open(NULL, &buf));
  assert_int_equal(sb_buf_size(buf), 0);
  assert_int_equal(sb_buf_room(buf), 0);
  assert_int_equal(sb_buf_put(buf, "x", 1), SB_OUT_OF_RANGE);
  assert_int_equal(sb_buf_begin(buf, &data, &size), SB_OUT_OF_RANGE);
  assert_ok(sb_buf_put(buf, NULL, 0));
  assert_ok(sb_buf_reserve(buf, 0));
  assert_int_equal(sb_buf_room(buf), 0);
  assert_buf_shows(buf, "", 0);
  sb_buf_close(buf);
  assert_no_live_blocks();
}

static void put_fills_across_blocks(void **state) {
  (void)state;
  const uint32_t block_sizes[] = {1, 2, 3, 7, 64};
  for (size_t i = 0; i < sizeof block_sizes / sizeof block_sizes[0]; i++) {
    sb_buf *buf = open_buf_in_blocks(block_sizes[i]);
    assert_ok(sb_buf_reserve(buf, 20));
    const size_t room = sb_buf_room(buf);
    assert_true(room >= 20 && room < 20 + block_sizes[i]);
    assert_ok(sb_buf_put(buf, "0123456789", 10));
    assert_ok(sb_buf_put(buf, "abcdefghij", 10));
    assert_int_equal(sb_buf_room(buf), room - 20);
    assert_buf_shows(buf, "0123456789abcdefghij", 20);
    sb_buf_close(buf);
    assert_no_live_blocks();
  }
}

static void put_past_the_room_leaves_the_buffer_unchanged(void **state) {
  (void)state;
  sb_buf *buf = open_buf_in_blocks(4);
  assert_ok(sb_buf_reserve(buf, 6));
  assert_ok(sb_buf_put(buf, "ab", 2));
  assert_int_equal(sb_buf_put(buf, "0123456", 7), SB_OUT_OF_RANGE);
  assert_int_equal(sb_buf_put(buf, "0123456", SIZE_MAX), SB_OUT_OF_RANGE);
  assert_int_equal(sb_buf_room(buf), 6);
  assert_buf_shows(buf, "ab", 2);
  assert_ok(sb_buf_put(buf, "cdefgh", 6));
  assert_buf_shows(buf, "abcdefgh", 8);
  sb_buf_close(buf);
}

static void room_that_is_there_is_not_reserved_again(void **state) {
  (void)state;
  sb_buf *buf = open_buf_in_blocks(8);
  assert_ok(sb_buf_reserve(buf, 5));
  assert_ok(sb_buf_reserve(buf, 8));
  assert_int_equal(sb_memory_live_blocks(), 1);
  assert_ok(sb_buf_reserve(buf, 9));
  assert_int_equal(sb_memory_live_blocks(), 2);
  sb_buf_close(buf);
}

static void too_much_room_is_too_large(void **state) {
  (void)state;
  sb_buf *buf = open_buf_in_blocks(4);
  put_text(buf, "abcd");
  assert_int_equal(sb_buf_reserve(buf, SIZE_MAX), SB_TOO_LARGE);
  assert_int_equal(sb_buf_reserve(buf, (size_t)PTRDIFF_MAX - 3), SB_TOO_LARGE);
  assert_buf_shows(buf, "abcd", 4);
  sb_buf_close(buf);
}

static void take_leaves_the_rest_filled_and_the_room_writable(void **state) {
  (void)state;
  sb_buf *buf = open_buf_in_blocks(8);
  sb_view *view = NULL, *rest = NULL;
  assert_ok(sb_buf_reserve(buf, 8));
  assert_ok(sb_buf_put(buf, "01234", 5));
  assert_ok(sb_buf_take(buf, 3, &view));
  assert_ok(sb_buf_put(buf, "567", 3));
  assert_view_shows_text(view, "012");
  assert_ok(sb_buf_take(buf, 5, &rest));
  assert_view_shows_text(rest, "34567");
  assert_int_equal(sb_view_span_count(rest), 1);
  assert_int_equal(sb_memory_live_blocks(), 1);
  sb_view *missing = NULL;
  assert_int_equal(sb_buf_take(buf, 1, &missing), SB_OUT_OF_RANGE);
  assert_null(missing);
  sb_buf_close(buf);
  assert_int_equal(sb_memory_live_blocks(), 1);
  sb_view_close(view);
  sb_view_close(rest);
  assert_no_live_blocks();
}

static void a_buf_is_filled_and_emptied_in_turns(void **state) {
  (void)state;
  sb_buf *buf = open_buf_in_blocks(8);
  for (int i = 0; i < 20; i++) {
    sb_view *view = NULL;
    assert_ok(sb_buf_reserve(buf, 2));
    assert_ok(sb_buf_put(buf, "ab", 2));
    assert_ok(sb_buf_take(buf, 2, &view));
    assert_view_shows_text(view, "ab");
    assert_int_equal(sb_memory_live_blocks(), 1);
    sb_view_close(view);
  }
  sb_buf_close(buf);
}

static void taking_nothing_gives_an_empty_view(void **state) {
  (void)state;
  sb_buf *buf = open_buf_in_blocks(8);
  sb_view *view = NULL;
  assert_ok(sb_buf_take(buf, 0, &view));
  assert_view_shows(view, "", 0);
  sb_view_close(view);
  sb_buf_close(buf);
}

static void a_view_is_put_without_copying_and_the_room_stays(void **state) {
  (void)state;
  sb_buf *buf = open_buf_in_blocks(8);
  sb_view *view = open_view_in_blocks("0123456789", 4);
  assert_ok(sb_buf_reserve(buf, 10));
  assert_ok(sb_buf_put(buf, "abc", 3));
  const size_t room = sb_buf_room(buf);
  const int64_t blocks = sb_memory_live_blocks();
  assert_ok(sb_buf_put_view(buf, view));
  assert_int_equal(sb_buf_room(buf), room);
  assert_int_equal(sb_memory_live_blocks(), blocks);
  assert_ok(sb_buf_put(buf, "defghijklm", 10));
  assert_buf_shows(buf, "abc0123456789defghijklm", 23);
  assert_view_shows_text(view, "0123456789");
  sb_view_close(view);
  sb_buf_close(buf);
  assert_no_live_blocks();
}

static void direct_writing_fills_the_first_piece(void **state) {
  (void)state;
  sb_buf *buf = open_buf_in_blocks(4);
  void *data = NULL;
  size_t size = 0;
  assert_ok(sb_buf_reserve(buf, 6));
  assert_ok(sb_buf_put(buf, "a", 1));
  assert_ok(sb_buf_begin(buf, &data, &size));
  assert_int_equal(size, 3);
  memcpy(data, "bcd", 3);
  assert_int_equal(sb_buf_size(buf), 1);
  assert_int_equal(sb_buf_commit(buf, 4), SB_OUT_OF_RANGE);
  assert_buf_shows(buf, "a", 1);
  assert_ok(sb_buf_commit(buf, 2));
  assert_buf_shows(buf, "abc", 3);
  assert_int_equal(sb_buf_commit(buf, 1), SB_OUT_OF_RANGE); /* it has ended */
  assert_ok(sb_buf_commit(buf, 0));
  assert_ok(sb_buf_begin(buf, &data, &size));
  assert_int_equal(size, 1);
  memcpy(data, "d", 1);
  assert_ok(sb_buf_commit(buf, 1));
  assert_ok(sb_buf_begin(buf, &data, &size));
  assert_int_equal(size, 4);
  assert_ok(sb_buf_put(buf, "e", 1));
  assert_int_equal(sb_buf_commit(buf, 1), SB_OUT_OF_RANGE); /* the piece is another now */
  assert_buf_shows(buf, "abcde", 5);
  sb_buf_close(buf);
}

static void clear_drops_what_is_filled_and_keeps_the_room(void **state) {
  (void)state;
  sb_buf *buf = open_buf_in_blocks(4);
  assert_ok(sb_buf_reserve(buf, 12));
  assert_ok(sb_buf_put(buf, "0123456", 7));
  sb_buf_clear(buf);
  assert_buf_shows(buf, "", 0);
  assert_int_equal(sb_buf_room(buf), 5);
  assert_int_equal(sb_memory_live_blocks(), 2);
  assert_ok(sb_buf_put(buf, "abcde", 5));
  assert_buf_shows(buf, "abcde", 5);
  sb_buf_close(buf);
  assert_no_live_blocks();
}

static void a_buf_outlives_the_handle_of_its_provider_and_names_the_default(void **state) {
  (void)state;
  sb_memory *memory = NULL;
  sb_buf *buf = NULL;
  assert_ok(sb_memory_open_default(&memory));
  const uint64_t before = stats_of(memory).reserves;
  assert_ok(sb_buf_open(NULL, &buf));
  put_text(buf, "text");
  assert_int_equal(stats_of(memory).reserves, before + 1);
  sb_buf_close(buf);
  sb_memory_close(memory);
}

static void null_is_an_error_or_does_nothing(void **state) {
  (void)state;
  sb_buf *buf = open_buf_in_blocks(4);
  sb_view *view = NULL, *other = open_view_in_blocks("a", 1);
  void *data = NULL;
  size_t size = 0;
  assert_int_equal(sb_buf_open(NULL, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_reserve(NULL, 1), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_put(NULL, "a", 1), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_put(buf, NULL, 1), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_put_view(NULL, other), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_put_view(buf, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_peek(NULL, &view), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_peek(buf, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_take(NULL, 0, &view), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_take(buf, 0, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_begin(NULL, &data, &size), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_begin(buf, NULL, &size), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_begin(buf, &data, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_commit(NULL, 0), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_size(NULL), 0);
  assert_int_equal(sb_buf_room(NULL), 0);
  sb_buf_clear(NULL);
  sb_buf_close(NULL);
  sb_view_close(other);
  sb_buf_close(buf);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_new_buf_is_empty_and_has_no_room),
      cmocka_unit_test(put_fills_across_blocks),
      cmocka_unit_test(put_past_the_room_leaves_the_buffer_unchanged),
      cmocka_unit_test(room_that_is_there_is_not_reserved_again),
      cmocka_unit_test(too_much_room_is_too_large),
      cmocka_unit_test(take_leaves_the_rest_filled_and_the_room_writable),
      cmocka_unit_test(a_buf_is_filled_and_emptied_in_turns),
      cmocka_unit_test(taking_nothing_gives_an_empty_view),
      cmocka_unit_test(a_view_is_put_without_copying_and_the_room_stays),
      cmocka_unit_test(direct_writing_fills_the_first_piece),
      cmocka_unit_test(clear_drops_what_is_filled_and_keeps_the_room),
      cmocka_unit_test(a_buf_outlives_the_handle_of_its_provider_and_names_the_default),
      cmocka_unit_test(null_is_an_error_or_does_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
