/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */

/* Visits that are added as columns: the same visits as rows make, and all of them or none. */

#include "failing_malloc.h"
#include "visit_testing.h"

#define VISITS 4u

static const uint32_t users[VISITS] = {7, 8, 7, 7}, visit_ids[VISITS] = {1, 1, 2, 3};
static const int64_t times[VISITS] = {10, 5, 30, 20};
static const char urls[] = "/a/bb/ccc", texts[] = "onethreefour";
static const int32_t url_lengths[VISITS] = {2, 3, 4, 0}, text_lengths[VISITS] = {3, 0, 5, 4};
static const int64_t url_offsets[VISITS] = {0, 2, 5, 9};

static sb_column url_column(void) {
  return (sb_column){.values = urls, .size = sizeof urls - 1, .lengths = url_lengths, .length_count = VISITS};
}
static sb_column text_column(void) {
  return (sb_column){.values = texts, .size = sizeof texts - 1, .lengths = text_lengths, .length_count = VISITS};
}

static sb_status add_columns(sb_visit_manager *manager, const sb_column *url, const sb_column *text, const int64_t *times_ns) {
  memset(&visit_error, 0, sizeof visit_error);
  return sb_visit_manager_add_visit_columns(manager, users, VISITS, visit_ids, VISITS, url, text, times_ns, times_ns == NULL ? 0 : VISITS,
                                            &visit_error);
}

static void assert_empty(sb_visit_manager *manager) {
  sb_visit_users *found = NULL;
  const sb_visit_user *rows;
  size_t count;
  assert_ok(sb_visit_manager_users(manager, &found, &visit_error));
  assert_ok(sb_visit_users_get_all(found, &rows, &count));
  assert_int_equal(count, 0);
  sb_visit_users_close(found);
}

static sb_visit_manager *open_memory(void) {
  sb_visit_store store;
  sb_visit_manager_options options = options_of(0, 2);
  memory_store_open(2, &store);
  options.store = &store;
  sb_visit_manager *manager = NULL;
  assert_ok(sb_visit_manager_open("", &options, &manager, &visit_error));
  return manager;
}

static void columns_give_the_visits_that_rows_give(void **state) {
  (void)state;
  static const sb_visit rows[VISITS] = {
      {7, 1, 10, "/a", 2, "one", 3}, {8, 1, 5, "/bb", 3, "", 0}, {7, 2, 30, "/ccc", 4, "three", 5}, {7, 3, 20, "", 0, "four", 4}};
  sb_visit_manager *file = open_file(SB_DURABILITY_NONE, 2), *memory = open_memory(), *model = open_memory();
  const sb_column url = url_column(), text = text_column();
  assert_ok(sb_visit_manager_add_visits(model, rows, VISITS, &visit_error));
  assert_ok(add_columns(file, &url, &text, times));
  assert_ok(add_columns(memory, &url, &text, times));
  assert_same_visits(file, model);
  assert_same_visits(memory, model);
  assert_string_equal(ids_of(file, 7), "2 3");
  close_file(file);
  close_file(memory);
  close_file(model);
}

static void strings_may_lie_anywhere(void **state) {
  (void)state;
  static const int64_t backwards[VISITS] = {5, 2, 0, 0};
  static const int32_t overlapping[VISITS] = {4, 7, 2, 9};
  static const char *const expected[VISITS] = {"/ccc", "/bb/ccc", "/a", "/a/bb/ccc"};
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 5);
  const sb_column text = text_column();
  const sb_column url = {.values = urls,
                         .size = sizeof urls - 1,
                         .offsets = backwards,
                         .offset_count = VISITS,
                         .lengths = overlapping,
                         .length_count = VISITS};
  assert_ok(add_columns(manager, &url, &text, times));
  static const unsigned newest_first[] = {2, 3, 0}; /* of user 7 */
  sb_visits *visits = NULL;
  const sb_visit *rows;
  size_t count;
  assert_ok(sb_visit_manager_get_recent_visits(manager, 7, &visits, &visit_error));
  assert_ok(sb_visits_get_all(visits, &rows, &count));
  assert_int_equal(count, 3);
  for (size_t i = 0; i < count; i++) {
    const char *wanted = expected[newest_first[i]];
    assert_int_equal(rows[i].url_size, strlen(wanted));
    assert_memory_equal(rows[i].url, wanted, rows[i].url_size);
  }
  sb_visits_close(visits);
  close_file(manager);
}

static void without_times_visits_are_added_now(void **state) {
  (void)state;
  static const int64_t some[VISITS] = {10, SB_VISIT_NOW, 30, SB_VISIT_NOW};
  const sb_column url = url_column(), text = text_column();
  for (int i = 0; i < 2; i++) {
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 2);
    const int64_t before = sb_priv_clock_ns();
    assert_ok(add_columns(manager, &url, &text, i == 0 ? NULL : some));
    assert_string_equal(ids_of(manager, 7), "3 2");
    sb_visits *visits = NULL;
    const sb_visit *rows;
    size_t count;
    assert_ok(sb_visit_manager_get_recent_visits(manager, 7, &visits, &visit_error));
    assert_ok(sb_visits_get_all(visits, &rows, &count));
    assert_true(rows[0].time_ns >= before && rows[0].time_ns <= sb_priv_clock_ns());
    assert_true(i == 0 ? rows[1].time_ns >= before : rows[1].time_ns == 30);
    sb_visits_close(visits);
    close_file(manager);
    assert_int_equal(unlink(test_path), 0);
  }
}

typedef struct wrong {
  sb_status status;
  const char *field;
  int64_t frame;
} wrong;

static void assert_refused(sb_visit_manager *manager, sb_status status, wrong expected) {
  assert_int_equal(status, expected.status);
  assert_int_equal(visit_error.status, expected.status);
  assert_string_equal(visit_error.field, expected.field);
  assert_int_equal(visit_error.frame, expected.frame);
  assert_true(visit_error.message[0] != 0);
  assert_empty(manager);
}

static void one_wrong_value_adds_none_and_is_named(void **state) {
  (void)state;
  static const int32_t negative[VISITS] = {2, 3, -1, 0}, too_long[VISITS] = {3, 0, 5, 5}, huge[VISITS] = {0, 0, SB_VISIT_TEXT_MAX + 1, 0};
  static const int64_t before[VISITS] = {0, -1, 0, 0}, behind[VISITS] = {0, 0, 0, INT64_MAX}, early[VISITS] = {1, 2, INT64_MIN, 3};
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 5);
  const sb_column url = url_column(), text = text_column();
  sb_column bad = url;
  bad.lengths = negative;
  assert_refused(manager, add_columns(manager, &bad, &text, times), (wrong){SB_OUT_OF_RANGE, "url", 2});
  bad = text;
  bad.lengths = too_long; /* the last one by a byte */
  assert_refused(manager, add_columns(manager, &url, &bad, times), (wrong){SB_OUT_OF_RANGE, "text", 3});
  bad = url;
  bad.offsets = before;
  bad.offset_count = VISITS;
  assert_refused(manager, add_columns(manager, &bad, &text, times), (wrong){SB_OUT_OF_RANGE, "url", 1});
  bad.offsets = behind;
  assert_refused(manager, add_columns(manager, &bad, &text, times), (wrong){SB_OUT_OF_RANGE, "url", 3});
  bad = url;
  bad.values = "/a/bb/cc"; /* and its NUL */
  assert_refused(manager, add_columns(manager, &bad, &text, times), (wrong){SB_INVALID_ARGUMENT, "url", 2});
  assert_refused(manager, add_columns(manager, &url, &text, early), (wrong){SB_OUT_OF_RANGE, "time_ns", 2});
  char *large = malloc((size_t)SB_VISIT_TEXT_MAX + 1);
  assert_non_null(large);
  bad = (sb_column){.values = large, .size = (size_t)SB_VISIT_TEXT_MAX + 1, .lengths = huge, .length_count = VISITS};
  assert_refused(manager, add_columns(manager, &url, &bad, times), (wrong){SB_TOO_LARGE, "text", 2});
  free(large);
  close_file(manager);
}

static void a_column_of_another_length_adds_none_and_is_named(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 5);
  const sb_column url = url_column(), text = text_column();
  const struct {
    sb_column column;
    const char *why;
  } columns[] = {
      {{.values = urls, .size = 9, .lengths = url_lengths, .length_count = VISITS - 1}, "a length is missing"},
      {{.values = urls, .size = 9, .lengths = url_lengths, .length_count = VISITS + 1}, "there is one more"},
      {{.values = urls, .size = 9, .length_count = VISITS}, "lengths is NULL"},
      {{.values = urls, .size = 9}, "there are none"},
      {{.size = 9, .lengths = url_lengths, .length_count = VISITS}, "values is NULL"},
      {{urls, 9, url_offsets, VISITS - 1, url_lengths, VISITS, NULL, 0, NULL, 0}, "an offset is missing"},
      {{urls, 9, NULL, VISITS, url_lengths, VISITS, NULL, 0, NULL, 0}, "offsets is NULL"},
  };
  for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
    assert_refused(manager, add_columns(manager, &columns[i].column, &text, times), (wrong){SB_INVALID_ARGUMENT, "urls", SB_NO_FRAME});
    assert_refused(manager, add_columns(manager, &url, &columns[i].column, times), (wrong){SB_INVALID_ARGUMENT, "texts", SB_NO_FRAME});
  }
  assert_refused(manager, add_columns(manager, NULL, &text, times), (wrong){SB_INVALID_ARGUMENT, "urls", SB_NO_FRAME});
  assert_refused(manager, add_columns(manager, &url, NULL, times), (wrong){SB_INVALID_ARGUMENT, "texts", SB_NO_FRAME});
#define ADD(users, user_count, ids, id_count, times, time_count) \
  sb_visit_manager_add_visit_columns(manager, users, user_count, ids, id_count, &url, &text, times, time_count, &visit_error)
  assert_refused(manager, ADD(NULL, VISITS, visit_ids, VISITS, times, VISITS), (wrong){SB_INVALID_ARGUMENT, "users", SB_NO_FRAME});
  assert_refused(manager, ADD(users, VISITS, NULL, VISITS, times, VISITS), (wrong){SB_INVALID_ARGUMENT, "visit_ids", SB_NO_FRAME});
  assert_refused(manager, ADD(users, VISITS, visit_ids, 3, times, VISITS), (wrong){SB_INVALID_ARGUMENT, "visit_ids", SB_NO_FRAME});
  assert_refused(manager, ADD(users, VISITS, visit_ids, VISITS, times, 3), (wrong){SB_INVALID_ARGUMENT, "times_ns", SB_NO_FRAME});
  assert_refused(manager, ADD(users, VISITS, visit_ids, VISITS, NULL, VISITS), (wrong){SB_INVALID_ARGUMENT, "times_ns", SB_NO_FRAME});
  assert_refused(manager, ADD(users, 3, visit_ids, 3, times, 3), (wrong){SB_INVALID_ARGUMENT, "urls", SB_NO_FRAME});
  assert_refused(manager, ADD(users, SIZE_MAX / 8, visit_ids, SIZE_MAX / 8, NULL, 0), (wrong){SB_INVALID_ARGUMENT, "urls", SB_NO_FRAME});
  close_file(manager);
}

static void no_visits_are_a_success_and_a_finished_manager_refuses(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 5);
  const sb_column nothing = {0}, url = url_column(), text = text_column();
  assert_ok(sb_visit_manager_add_visit_columns(manager, NULL, 0, NULL, 0, &nothing, &nothing, NULL, 0, &visit_error));
  assert_empty(manager);
  assert_status(add_columns(NULL, &url, &text, times), SB_INVALID_ARGUMENT);
  assert_ok(sb_visit_manager_finish(manager, &visit_error));
  assert_status(add_columns(manager, &url, &text, times), SB_CLOSED);
  sb_visit_manager_close(manager);
}

static void without_memory_none_is_added(void **state) {
  (void)state;
  const sb_column url = url_column(), text = text_column();
  long failing = 1;
  for (bool failed = true; failed; failing++) {
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 5);
    allocations_until_failure = failing;
    const sb_status status = add_columns(manager, &url, &text, times);
    allocations_until_failure = 0;
    failed = status != SB_OK;
    if (failed) {
      assert_status(status, SB_NO_MEMORY);
      assert_empty(manager);
    } else {
      assert_string_equal(ids_of(manager, 7), "2 3 1");
    }
    sb_visit_manager_close(manager);
    assert_int_equal(unlink(test_path), 0);
  }
  assert_true(failing > 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      visit_test(columns_give_the_visits_that_rows_give),
      visit_test(strings_may_lie_anywhere),
      visit_test(without_times_visits_are_added_now),
      visit_test(one_wrong_value_adds_none_and_is_named),
      visit_test(a_column_of_another_length_adds_none_and_is_named),
      visit_test(no_visits_are_a_success_and_a_finished_manager_refuses),
      visit_test(without_memory_none_is_added),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
