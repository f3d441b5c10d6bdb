/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */
#include "memory_testing.h"

#include "block.h"
#include "failing_memory.h"
#include "handle_cache.h"

/* The nth allocation from now on fails; handles that the thread has kept would spare the code under test some. */
static void fail_allocation(long nth) {
  sb_priv_handle_flush();
  allocations_until_failure = nth;
}

static void a_view_shows_what_it_was_made_of(void **state) {
  (void)state;
  const uint32_t block_sizes[] = {1, 2, 3, 7, 64};
  const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  for (size_t i = 0; i < sizeof block_sizes / sizeof block_sizes[0]; i++) {
    sb_view *view = open_view_in_blocks(text, block_sizes[i]);
    assert_view_shows_text(view, text);
    assert_int_equal(sb_view_span_count(view), (strlen(text) + block_sizes[i] - 1) / block_sizes[i]);
    sb_view_close(view);
    assert_no_live_blocks();
  }
}

static void a_view_copies_what_it_is_made_of(void **state) {
  (void)state;
  char text[] = "before";
  sb_view *view = NULL;
  assert_ok(sb_view_open(text, 6, NULL, &view));
  memset(text, 'x', 6);
  assert_view_shows_text(view, "before");
  sb_view_close(view);
}

static void an_empty_view_has_no_spans(void **state) {
  (void)state;
  sb_view *view = NULL, *copy = NULL, *range = NULL, *flat = NULL;
  assert_ok(sb_view_open(NULL, 0, NULL, &view));
  assert_ok(sb_view_copy(view, &copy));
  assert_ok(sb_view_range(view, 0, 0, &range));
  assert_ok(sb_view_flatten(view, NULL, &flat));
  assert_ok(sb_view_append(view, copy));
  assert_ok(sb_view_skip(view, 0));
  assert_ok(sb_view_read_bytes(view, NULL, 0));
  assert_view_shows(view, "", 0);
  assert_int_equal(sb_view_span_count(flat), 0);
  assert_true(sb_view_equals(view, range));
  assert_int_equal(sb_view_skip(view, 1), SB_OUT_OF_RANGE);
  sb_view_close(view);
  sb_view_close(copy);
  sb_view_close(range);
  sb_view_close(flat);
  assert_no_live_blocks();
}

static void a_block_becomes_a_view_without_a_copy(void **state) {
  (void)state;
  sb_memory *memory = open_fixed(16);
  sb_block *block = NULL;
  sb_view *view = NULL;
  assert_ok(sb_memory_get_block(memory, 16, &block));
  memcpy(sb_block_data(block), "the block's text", 16);
  const void *data = sb_block_data(block), *shown = NULL;
  size_t size = 0;
  assert_ok(sb_view_open_block(block, 11, &view));
  assert_view_shows_text(view, "the block's");
  assert_ok(sb_view_span(view, 0, &shown, &size));
  assert_ptr_equal(shown, data);
  assert_int_equal(sb_memory_live_blocks(), 1);
  sb_view_close(view);
  assert_no_live_blocks();
  assert_ok(sb_memory_get_block(memory, 16, &block));
  assert_ok(sb_view_open_block(block, 0, &view));
  assert_no_live_blocks(); /* no byte of it is shown */
  sb_view_close(view);
  sb_memory_close(memory);
}

static void a_block_that_others_can_write_becomes_no_view(void **state) {
  (void)state;
  sb_memory *memory = open_fixed(4);
  sb_block *block = NULL;
  sb_view *view = NULL;
  assert_ok(sb_memory_get_block(memory, 4, &block));
  assert_int_equal(sb_view_open_block(block, 5, &view), SB_OUT_OF_RANGE);
  sb_block *second = sb_block_retain(block);
  assert_int_equal(sb_view_open_block(block, 4, &view), SB_BUSY);
  sb_block_close(second);
  fail_allocation(1);
  assert_int_equal(sb_view_open_block(block, 4, &view), SB_NO_MEMORY);
  assert_null(view);
  sb_block_close(block); /* still the caller's after each failure */
  assert_no_live_blocks();
  sb_memory_close(memory);
}

static void a_range_shares_its_bytes(void **state) {
  (void)state;
  const char text[] = "0123456789";
  for (uint32_t block_size = 1; block_size <= 11; block_size++) {
    sb_view *view = open_view_in_blocks(text, block_size);
    const int64_t blocks = sb_memory_live_blocks();
    for (size_t offset = 0; offset <= 10; offset++)
      for (size_t size = 0; size <= 10 - offset; size++) {
        sb_view *range = NULL;
        assert_ok(sb_view_range(view, offset, size, &range));
        assert_view_shows(range, text + offset, size);
        assert_int_equal(sb_memory_live_blocks(), blocks);
        sb_view_close(range);
      }
    sb_view_close(view);
  }
}

static void a_range_outlives_its_view(void **state) {
  (void)state;
  sb_view *view = open_view_in_blocks("0123456789", 3), *range = NULL;
  assert_ok(sb_view_range(view, 4, 4, &range));
  sb_view_close(view);
  assert_int_equal(sb_memory_live_blocks(), 2); /* 345 and 678 */
  assert_view_shows_text(range, "4567");
  sb_view_close(range);
}

static void past_the_end_is_out_of_range_and_changes_nothing(void **state) {
  (void)state;
  sb_view *view = open_view_in_blocks("0123456789", 4), *range = NULL;
  char bytes[11] = "untouched!";
  assert_int_equal(sb_view_range(view, 0, 11, &range), SB_OUT_OF_RANGE);
  assert_int_equal(sb_view_range(view, 11, 0, &range), SB_OUT_OF_RANGE);
  assert_int_equal(sb_view_range(view, 5, SIZE_MAX, &range), SB_OUT_OF_RANGE);
  assert_int_equal(sb_view_range(view, SIZE_MAX, 5, &range), SB_OUT_OF_RANGE);
  assert_null(range);
  assert_int_equal(sb_view_skip(view, 11), SB_OUT_OF_RANGE);
  assert_int_equal(sb_view_read_bytes(view, bytes, 11), SB_OUT_OF_RANGE);
  assert_int_equal(sb_view_copy_bytes(view, 8, bytes, 3), SB_OUT_OF_RANGE);
  assert_int_equal(sb_view_copy_bytes(view, SIZE_MAX, bytes, 2), SB_OUT_OF_RANGE);
  assert_string_equal(bytes, "untouched!");
  const void *data = NULL;
  size_t size = 77;
  assert_int_equal(sb_view_span(view, 3, &data, &size), SB_OUT_OF_RANGE);
  assert_int_equal(size, 77);
  assert_view_shows_text(view, "0123456789");
  sb_view_close(view);
}

static void skip_and_read_give_blocks_back_as_they_go(void **state) {
  (void)state;
  sb_view *view = open_view_in_blocks("0123456789", 3);
  char bytes[4] = "";
  assert_int_equal(sb_memory_live_blocks(), 4);
  assert_ok(sb_view_skip(view, 2));
  assert_int_equal(sb_memory_live_blocks(), 4);
  assert_ok(sb_view_skip(view, 1));
  assert_int_equal(sb_memory_live_blocks(), 3);
  assert_ok(sb_view_read_bytes(view, bytes, 4));
  assert_memory_equal(bytes, "3456", 4);
  assert_int_equal(sb_memory_live_blocks(), 2);
  assert_view_shows_text(view, "789");
  assert_ok(sb_view_skip(view, 3));
  assert_no_live_blocks();
  sb_view_close(view);
}

static void a_view_can_be_appended_to_itself(void **state) {
  (void)state;
  sb_view *view = open_view_in_blocks("abcde", 2);
  assert_ok(sb_view_append(view, view));
  assert_view_shows_text(view, "abcdeabcde");
  assert_ok(sb_view_skip(view, 3));
  assert_ok(sb_view_append(view, view));
  assert_view_shows_text(view, "deabcdedeabcde");
  assert_int_equal(sb_memory_live_blocks(), 3);
  sb_view_close(view);
  assert_no_live_blocks();
}

static void pieces_that_follow_each_other_become_one_span(void **state) {
  (void)state;
  sb_view *view = open_view_in_blocks("0123456789", 10), *front = NULL, *back = NULL;
  assert_ok(sb_view_range(view, 0, 4, &front));
  assert_ok(sb_view_range(view, 4, 6, &back));
  assert_ok(sb_view_append(front, back));
  assert_int_equal(sb_view_span_count(front), 1);
  assert_view_shows_text(front, "0123456789");
  assert_ok(sb_view_append(back, view));
  assert_int_equal(sb_view_span_count(back), 2);
  assert_view_shows_text(back, "4567890123456789");
  sb_view_close(view);
  sb_view_close(front);
  sb_view_close(back);
  assert_no_live_blocks();
}

static void equality_ignores_how_bytes_are_cut(void **state) {
  (void)state;
  sb_view *view = open_view_in_blocks("0123456789", 3), *same = open_view_in_blocks("0123456789", 4);
  sb_view *other = open_view_in_blocks("0123456788", 4), *shorter = open_view_in_blocks("012345678", 4);
  assert_true(sb_view_equals(view, same));
  assert_true(sb_view_equals(view, view));
  assert_false(sb_view_equals(view, other));
  assert_false(sb_view_equals(view, shorter));
  assert_false(sb_view_equals(view, NULL));
  assert_false(sb_view_equals(NULL, view));
  sb_view_close(view);
  sb_view_close(same);
  sb_view_close(other);
  sb_view_close(shorter);
}

static void flatten_makes_one_span_and_shares_what_is_one_already(void **state) {
  (void)state;
  sb_view *view = open_view_in_blocks("0123456789", 3), *flat = NULL, *again = NULL;
  assert_ok(sb_view_flatten(view, NULL, &flat));
  assert_int_equal(sb_view_span_count(flat), 1);
  assert_view_shows_text(flat, "0123456789");
  assert_int_equal(sb_memory_live_blocks(), 5);
  assert_ok(sb_view_flatten(flat, NULL, &again));
  assert_int_equal(sb_memory_live_blocks(), 5);
  assert_view_shows_text(again, "0123456789");
  sb_memory *memory = open_fixed(9);
  sb_view *wrong = NULL;
  assert_int_equal(sb_view_flatten(view, memory, &wrong), SB_PROVIDER);
  assert_null(wrong);
  assert_int_equal(sb_memory_live_blocks(), 5);
  sb_memory_close(memory);
  sb_view_close(view);
  sb_view_close(flat);
  sb_view_close(again);
  assert_no_live_blocks();
}

/* Doubling a view of one block by itself makes more bytes than a block may have, without using them. */
static void a_view_larger_than_any_block_cannot_be_flat(void **state) {
  (void)state;
  sb_memory *memory = open_fixed(1 << 20);
  sb_block *block = NULL;
  sb_view *view = NULL, *flat = NULL;
  assert_ok(sb_memory_get_block(memory, 1 << 20, &block));
  assert_ok(sb_view_open_block(block, 1 << 20, &view));
  for (int i = 0; i < 12; i++) assert_ok(sb_view_append(view, view));
  assert_true(sb_view_size(view) > SB_BLOCK_SIZE_MAX);
  assert_int_equal(sb_view_flatten(view, NULL, &flat), SB_TOO_LARGE);
  sb_view_close(view);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

static void a_long_view_that_is_fed_and_read_stays_short(void **state) {
  (void)state;
  sb_view *view = open_view_in_blocks("0123456789", 1), *piece = NULL;
  assert_ok(sb_view_copy(view, &piece));
  for (int i = 0; i < 1000; i++) {
    char bytes[10] = "";
    assert_ok(sb_view_append(view, piece));
    assert_ok(sb_view_read_bytes(view, bytes, 10));
    assert_memory_equal(bytes, "0123456789", 10);
  }
  assert_view_shows_text(view, "0123456789");
  sb_view_close(view);
  sb_view_close(piece);
  assert_no_live_blocks();
}

/* Every allocation of every operation fails once, and the inputs are as before. */
static void a_failed_allocation_leaves_the_inputs_unchanged(void **state) {
  (void)state;
  sb_memory *memory = open_tracing_over(open_fixed(3));
  sb_view *view = open_view_in_blocks("0123456789", 3), *other = open_view_in_blocks("abcdef", 2);
  const int64_t blocks = sb_memory_live_blocks();
  for (int operation = 0; operation < 5; operation++) {
    bool failed = true;
    for (long nth = 1; failed; nth++) {
      sb_view *made = NULL, *target = NULL;
      assert_ok(sb_view_copy(view, &target));
      fail_allocation(nth);
      sb_status status = SB_OK;
      switch (operation) {
      case 0: status = sb_view_copy(view, &made); break;
      case 1: status = sb_view_range(view, 1, 8, &made); break;
      case 2: status = sb_view_open("0123456789", 10, memory, &made); break;
      case 3: status = sb_view_append(target, other); break;
      default: status = sb_view_open("xyz", 3, NULL, &made); break;
      }
      failed = allocations_until_failure == 0;
      allocations_until_failure = 0;
      assert_int_equal(status, failed ? SB_NO_MEMORY : SB_OK);
      if (failed) {
        assert_null(made);
        assert_view_shows_text(target, "0123456789");
      } else if (operation == 3) {
        assert_view_shows_text(target, "0123456789abcdef");
      }
      assert_view_shows_text(view, "0123456789");
      assert_view_shows_text(other, "abcdef");
      sb_view_close(made);
      sb_view_close(target);
      assert_int_equal(sb_memory_live_blocks(), blocks);
    }
  }
  for (uint64_t nth = 1; nth <= 4; nth++) {
    sb_view *made = NULL;
    assert_ok(sb_memory_fail_reserve(memory, nth));
    assert_int_equal(sb_view_open("0123456789", 10, memory, &made), SB_NO_MEMORY);
    assert_null(made);
    assert_int_equal(sb_memory_live_blocks(), blocks);
  }
  sb_memory_close(memory);
  sb_view_close(view);
  sb_view_close(other);
  assert_no_live_blocks();
}

static void null_is_an_error_or_does_nothing(void **state) {
  (void)state;
  sb_view *view = open_view_in_blocks("0123456789", 3), *made = NULL;
  sb_block *block = NULL;
  const void *data = NULL;
  size_t size = 0;
  char bytes[1];
  assert_int_equal(sb_view_open(NULL, 1, NULL, &made), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_open("", 0, NULL, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_open_block(NULL, 0, &made), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_open_block(block, 0, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_copy(NULL, &made), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_copy(view, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_range(NULL, 0, 0, &made), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_range(view, 0, 0, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_flatten(NULL, NULL, &made), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_flatten(view, NULL, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_append(NULL, view), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_append(view, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_skip(NULL, 0), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_read_bytes(NULL, bytes, 1), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_read_bytes(view, NULL, 1), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_copy_bytes(NULL, 0, bytes, 1), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_copy_bytes(view, 0, NULL, 1), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_span(NULL, 0, &data, &size), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_span(view, 0, NULL, &size), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_span(view, 0, &data, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_size(NULL), 0);
  assert_int_equal(sb_view_span_count(NULL), 0);
  assert_true(sb_view_equals(NULL, NULL));
  sb_view_close(NULL);
  assert_null(made);
  assert_view_shows_text(view, "0123456789");
  sb_view_close(view);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_view_shows_what_it_was_made_of),
      cmocka_unit_test(a_view_copies_what_it_is_made_of),
      cmocka_unit_test(an_empty_view_has_no_spans),
      cmocka_unit_test(a_block_becomes_a_view_without_a_copy),
      cmocka_unit_test(a_block_that_others_can_write_becomes_no_view),
      cmocka_unit_test(a_range_shares_its_bytes),
      cmocka_unit_test(a_range_outlives_its_view),
      cmocka_unit_test(past_the_end_is_out_of_range_and_changes_nothing),
      cmocka_unit_test(skip_and_read_give_blocks_back_as_they_go),
      cmocka_unit_test(a_view_can_be_appended_to_itself),
      cmocka_unit_test(pieces_that_follow_each_other_become_one_span),
      cmocka_unit_test(equality_ignores_how_bytes_are_cut),
      cmocka_unit_test(flatten_makes_one_span_and_shares_what_is_one_already),
      cmocka_unit_test(a_view_larger_than_any_block_cannot_be_flat),
      cmocka_unit_test(a_long_view_that_is_fed_and_read_stays_short),
      cmocka_unit_test(a_failed_allocation_leaves_the_inputs_unchanged),
      cmocka_unit_test(null_is_an_error_or_does_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
