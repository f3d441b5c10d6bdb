/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "visit_testing.h"

#include "arrow_private.h"
#include "arrow_testing.h"
#include "failing_malloc.h"

/* What visits become in Arrow, read as a consumer reads it. pyarrow judges the same in tests/python. */

static arrow_tuning tuning_before;

static int arrow_folder_make(void **state) {
  tuning_before = sb_priv_arrow_tuning;
  return folder_make(state);
}

static int arrow_folder_remove(void **state) {
  sb_priv_arrow_tuning = tuning_before;
  return folder_remove(state);
}

#define arrow_test(name) cmocka_unit_test_setup_teardown(name, arrow_folder_make, arrow_folder_remove)

static struct ArrowArrayStream exported(sb_visit_manager *manager, int32_t strings) {
  struct ArrowArrayStream stream;
  assert_ok(sb_visit_manager_export_arrow_stream(manager, strings, &stream, &visit_error));
  return stream;
}

static void next(struct ArrowArrayStream *stream, struct ArrowArray *array) { assert_int_equal(stream->get_next(stream, array), 0); }

static void visits_become_five_columns_and_outlive_their_manager(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 10);
  add(manager, 9, 4, "text", 1700000000123456789);
  add(manager, UINT32_MAX, UINT32_MAX, "", -1);
  add(manager, 9, 5, "newer \xc3\xa4", 1700000000123456790);
  struct ArrowArrayStream stream = exported(manager, SB_STRINGS_UTF8);
  close_file(manager);
  struct ArrowSchema type;
  struct ArrowArray array, end;
  assert_int_equal(stream.get_schema(&stream, &type), 0);
  next(&stream, &array);
  next(&stream, &end);
  assert_null(end.release);
  stream.release(&stream);
  assert_string_equal(type.format, "+s");
  assert_int_equal(type.n_children, 5);
  assert_int_equal(array.length, 3);
  const uint32_t *users = arrow_column_of(&type, &array, "user_id", "I")->buffers[1];
  const uint32_t *ids = arrow_column_of(&type, &array, "visit_id", "I")->buffers[1];
  const int64_t *times = arrow_column_of(&type, &array, "time", "tsn:UTC")->buffers[1];
  assert_true(users[0] == 9 && users[1] == 9 && users[2] == UINT32_MAX);
  assert_true(ids[0] == 5 && ids[1] == 4 && ids[2] == UINT32_MAX); /* by user ascending, newest first for each */
  assert_true(times[0] == 1700000000123456790 && times[1] == 1700000000123456789 && times[2] == -1);
  assert_string_at(arrow_column_of(&type, &array, "url", "u"), 2, "url");
  const struct ArrowArray *text = arrow_column_of(&type, &array, "text", "u");
  assert_string_at(text, 0, "newer \xc3\xa4");
  assert_string_at(text, 1, "text");
  assert_string_at(text, 2, "");
  array.release(&array);
  type.release(&type);
}

static void an_empty_store_is_a_stream_without_arrays(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 10);
  struct ArrowArrayStream stream = exported(manager, SB_STRINGS_BINARY);
  close_file(manager);
  struct ArrowSchema type;
  struct ArrowArray array;
  assert_int_equal(stream.get_schema(&stream, &type), 0);
  assert_string_equal(type.children[3]->format, "z");
  next(&stream, &array);
  assert_null(array.release);
  type.release(&type);
  stream.release(&stream);
}

/* Reads all, and returns how many arrays there were. */
static size_t read_lengths(struct ArrowArrayStream *stream, int64_t *lengths, size_t room) {
  size_t count = 0;
  uint32_t expected = 0;
  struct ArrowArray array;
  for (next(stream, &array); array.release != NULL; next(stream, &array)) {
    assert_true(count < room);
    const uint32_t *ids = array.children[1]->buffers[1];
    for (int64_t i = 0; i < array.length; i++) assert_int_equal(ids[i], expected++);
    lengths[count++] = array.length;
    array.release(&array);
  }
  return count;
}

static void arrays_hold_so_many_rows(void **state) {
  (void)state;
  int64_t lengths[16];
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 100);
  for (uint32_t i = 0; i < 20; i++) add(manager, i, i, "text", 1000);
  sb_priv_arrow_tuning.rows_max = 7;
  struct ArrowArrayStream stream = exported(manager, SB_STRINGS_UTF8);
  assert_int_equal(read_lengths(&stream, lengths, 16), 3);
  assert_true(lengths[0] == 7 && lengths[1] == 7 && lengths[2] == 6);
  stream.release(&stream);
  /* One user with more visits than an array holds. */
  for (uint32_t i = 0; i < 20; i++) assert_ok(sb_visit_manager_clear_user(manager, i, false, &visit_error));
  for (uint32_t i = 0; i < 20; i++) add(manager, 1, i, "text", 1000 - i);
  stream = exported(manager, SB_STRINGS_UTF8);
  assert_int_equal(read_lengths(&stream, lengths, 16), 3);
  assert_true(lengths[0] == 7 && lengths[1] == 7 && lengths[2] == 6);
  stream.release(&stream);
  close_file(manager);
}

static void arrays_hold_so_many_bytes(void **state) {
  (void)state;
  int64_t lengths[16];
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 100);
  for (uint32_t i = 0; i < 6; i++) add(manager, i, i, i == 3 ? "a text of 20 bytes.." : "12345", 1000);
  sb_priv_arrow_tuning.bytes_max = 20;
  struct ArrowArrayStream stream = exported(manager, SB_STRINGS_UTF8);
  assert_int_equal(read_lengths(&stream, lengths, 16), 3);
  assert_true(lengths[0] == 3 && lengths[1] == 1 && lengths[2] == 2);
  stream.release(&stream);
  close_file(manager);
}

static void text_that_is_not_utf8_is_told_with_its_visit(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 10);
  struct ArrowArrayStream stream = {.private_data = NULL};
  struct ArrowArray array;
  add(manager, 7, 12, "good", 1000);
  add(manager, 7, 13, "bad \xff", 1001);
  assert_int_equal(sb_visit_manager_export_arrow_stream(manager, SB_STRINGS_UTF8, &stream, &visit_error), SB_INVALID_ARGUMENT);
  assert_string_equal(visit_error.field, "text");
  assert_non_null(strstr(visit_error.message, "text of visit 13 of user 7 is not UTF-8 from byte 4 on"));
  assert_int_equal(sb_visit_manager_export_arrow_stream(manager, SB_STRINGS_UTF8, &stream, NULL), SB_INVALID_ARGUMENT);
  assert_null(stream.private_data);
  stream = exported(manager, SB_STRINGS_BINARY);
  next(&stream, &array);
  assert_string_at(array.children[3], 0, "bad \xff");
  array.release(&array);
  stream.release(&stream);
  close_file(manager);
}

static void a_snapshot_of_some_users_is_exported_too(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 10);
  sb_visits *visits = NULL;
  struct ArrowArrayStream stream;
  struct ArrowArray array;
  const uint32_t users[] = {8, 5, 7};
  for (uint32_t user = 5; user < 10; user++) add(manager, user, user * 10, "text", 1000);
  assert_ok(sb_visit_manager_get_recent_visits_of(manager, users, 3, &visits, &visit_error));
  close_file(manager);
  assert_ok(sb_visits_export_arrow_stream(visits, SB_STRINGS_UTF8, &stream, &visit_error));
  sb_visits_close(visits);
  next(&stream, &array);
  assert_memory_equal(array.children[0]->buffers[1], users, sizeof users);
  stream.release(&stream);
  array.release(&array);
}

static void a_stream_that_is_not_read_to_its_end_frees_the_rest(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 10);
  struct ArrowArray array;
  for (uint32_t i = 0; i < 20; i++) add(manager, i, i, "text", 1000);
  sb_priv_arrow_tuning.rows_max = 3;
  struct ArrowArrayStream stream = exported(manager, SB_STRINGS_UTF8);
  stream.release(&stream);
  stream = exported(manager, SB_STRINGS_UTF8);
  next(&stream, &array);
  stream.release(&stream);
  assert_int_equal(array.length, 3);
  array.release(&array);
  close_file(manager);
}

static void *release_there(void *array) {
  ((struct ArrowArray *)array)->release(array);
  return NULL;
}

static void another_thread_may_release(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 10);
  struct ArrowArray array;
  pthread_t thread;
  add(manager, 1, 1, "text", 1000);
  struct ArrowArrayStream stream = exported(manager, SB_STRINGS_UTF8);
  next(&stream, &array);
  stream.release(&stream);
  assert_int_equal(pthread_create(&thread, NULL, release_there, &array), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_null(array.release);
  close_file(manager);
}

static void wrong_arguments_are_refused(void **state) {
  (void)state;
  struct ArrowArrayStream stream;
  sb_visits *visits = NULL;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 10);
  assert_status(sb_visit_manager_export_arrow_stream(NULL, 0, &stream, &visit_error), SB_INVALID_ARGUMENT);
  assert_status(sb_visit_manager_export_arrow_stream(manager, 0, NULL, NULL), SB_INVALID_ARGUMENT);
  assert_status(sb_visit_manager_export_arrow_stream(manager, 7, &stream, &visit_error), SB_INVALID_ARGUMENT);
  assert_string_equal(visit_error.field, "strings");
  assert_ok(sb_visit_manager_get_recent_visits(manager, 1, &visits, NULL));
  assert_status(sb_visits_export_arrow_stream(NULL, 0, &stream, NULL), SB_INVALID_ARGUMENT);
  assert_status(sb_visits_export_arrow_stream(visits, 0, NULL, NULL), SB_INVALID_ARGUMENT);
  assert_status(sb_visits_export_arrow_stream(visits, -1, &stream, NULL), SB_INVALID_ARGUMENT);
  sb_visits_close(visits);
  assert_ok(sb_visit_manager_finish(manager, NULL));
  assert_status(sb_visit_manager_export_arrow_stream(manager, 0, &stream, NULL), SB_CLOSED);
  sb_visit_manager_close(manager);
}

static void each_allocation_that_fails_is_told_and_leaks_nothing(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 10);
  struct ArrowArrayStream stream = {.private_data = NULL};
  for (uint32_t i = 0; i < 12; i++) add(manager, i, i, "text", 1000);
  sb_priv_arrow_tuning.rows_max = 2;
  long nth = 1;
  for (sb_status status = SB_NO_MEMORY; status != SB_OK; nth++) {
    allocations_until_failure = nth;
    status = sb_visit_manager_export_arrow_stream(manager, SB_STRINGS_UTF8, &stream, &visit_error);
    allocations_until_failure = 0;
    if (status == SB_OK) break;
    assert_int_equal(status, SB_NO_MEMORY);
    assert_null(stream.private_data);
  }
  assert_true(nth > 60);
  stream.release(&stream);
  close_file(manager);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      arrow_test(visits_become_five_columns_and_outlive_their_manager),
      arrow_test(an_empty_store_is_a_stream_without_arrays),
      arrow_test(arrays_hold_so_many_rows),
      arrow_test(arrays_hold_so_many_bytes),
      arrow_test(text_that_is_not_utf8_is_told_with_its_visit),
      arrow_test(a_snapshot_of_some_users_is_exported_too),
      arrow_test(a_stream_that_is_not_read_to_its_end_frees_the_rest),
      arrow_test(another_thread_may_release),
      arrow_test(wrong_arguments_are_refused),
      arrow_test(each_allocation_that_fails_is_told_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
