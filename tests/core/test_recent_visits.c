#include <recent_visits.h>

#include "visit_testing.h"

/* The drop-in face, as programs written against recent_visits.h use it. */

static void a_program_written_for_the_declarations(void **state) {
  (void)state;
  VisitManager *manager = VisitManagerCreate(test_path, 3);
  assert_non_null(manager);
  for (unsigned int i = 1; i <= 5; i++) {
    char url[32];
    snprintf(url, sizeof url, "https://example.org/%u", i);
    assert_true(AddVisit(manager, 42, i, url, "text"));
  }
  size_t count = 99;
  Visit *visits = GetRecentVisits(manager, 42, &count);
  assert_int_equal(count, 3);
  assert_int_equal(visits[0].visit_id, 5);
  assert_string_equal(visits[0].url, "https://example.org/5");
  assert_string_equal(visits[2].text, "text");
  assert_true(visits[0].time.tv_sec > 1600000000 && visits[0].time.tv_nsec < 1000000000);
  assert_ptr_equal(GetRecentVisits(manager, 42, &count), visits);
  assert_true(AddVisit(manager, 42, 5, "again", "again")); /* ignored: nothing was changed */
  assert_true(AddVisit(manager, 43, 1, "", ""));
  assert_ptr_equal(GetRecentVisits(manager, 42, &count), visits);
  assert_string_equal(visits[0].url, "https://example.org/5");
  assert_true(Delete(manager, 42, (unsigned int[]){4, 77}, 2));
  assert_false(Delete(manager, 42, (unsigned int[]){4}, 1));
  visits = GetRecentVisits(manager, 42, &count);
  assert_int_equal(count, 2);
  Free(manager);
  manager = VisitManagerCreate(test_path, 3);
  visits = GetRecentVisits(manager, 42, &count);
  assert_int_equal(count, 2);
  assert_int_equal(visits[1].visit_id, 3);
  assert_true(Clear(manager, 42));
  assert_true(Clear(manager, 42));
  assert_null(GetRecentVisits(manager, 42, &count));
  assert_int_equal(count, 0);
  Free(manager);
}

static void missing_arguments_give_false_or_null(void **state) {
  (void)state;
  size_t count = 7;
  assert_null(VisitManagerCreate(NULL, 3));
  assert_null(VisitManagerCreate(test_path, 0));
  assert_false(exists(""));
  assert_null(VisitManagerCreate(test_folder, 3));
  VisitManager *manager = VisitManagerCreate(test_path, 3);
  assert_false(AddVisit(NULL, 1, 1, "", ""));
  assert_false(AddVisit(manager, 1, 1, NULL, ""));
  assert_false(AddVisit(manager, 1, 1, "", NULL));
  assert_null(GetRecentVisits(NULL, 1, &count));
  assert_int_equal(count, 0);
  assert_null(GetRecentVisits(manager, 1, NULL));
  assert_false(Delete(NULL, 1, (unsigned int[]){1}, 1));
  assert_false(Delete(manager, 1, NULL, 1));
  assert_false(Delete(manager, 1, (unsigned int[]){1}, 0));
  assert_false(Clear(NULL, 1));
  assert_null(VisitManagerCreate(test_path, 3)); /* it is open */
  Free(manager);
  Free(NULL);
}

static void a_damaged_file_stays_untouched(void **state) {
  (void)state;
  VisitManager *manager = VisitManagerCreate(test_path, 3);
  assert_true(AddVisit(manager, 1, 1, "url", "text"));
  Free(manager);
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  data[size - 9] ^= 1;
  write_whole(test_path, data, size);
  assert_null(VisitManagerCreate(test_path, 3));
  assert_file_is(test_path, data, size);
  free(data);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      visit_test(a_program_written_for_the_declarations),
      visit_test(missing_arguments_give_false_or_null),
      visit_test(a_damaged_file_stays_untouched),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
