/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "visit_testing.h"

#include <recent_visits.h>

#include "failing_malloc.h"

/* The drop-in face, and above all what its declarations leave unsaid. */

enum {
  USER = 7
};

static VisitManager *opened(size_t max_visits) {
  VisitManager *manager = VisitManagerCreate(test_path, max_visits);
  assert_non_null(manager);
  return manager;
}

/* The ids that a user has, newest first: "3 2 1". */
static const char *ids(VisitManager *manager, unsigned int user) {
  static char text[256];
  size_t count = 99, size = 0;
  Visit **visits = VisitManagerGetRecentVisits(manager, user, &count);
  assert_true((visits == NULL) == (count == 0));
  text[0] = 0;
  for (size_t i = 0; visits != NULL && i < count; i++)
    size += (size_t)snprintf(text + size, sizeof text - size, "%s%u", i > 0 ? " " : "", visits[i]->visit_id);
  return text;
}

static void visits_come_newest_first_and_whole(void **state) {
  (void)state;
  const time_t before = time(NULL);
  VisitManager *manager = opened(2);
  assert_true(VisitManagerAddVisit(manager, USER, 1, "/one", "first"));
  assert_true(VisitManagerAddVisit(manager, USER, 2, "", ""));
  assert_true(VisitManagerAddVisit(manager, USER, 3, "/three", "t\xff"));
  size_t count = 0;
  Visit **visits = VisitManagerGetRecentVisits(manager, USER, &count);
  assert_int_equal(count, 2);
  assert_int_equal(visits[0]->visit_id, 3);
  assert_string_equal(visits[0]->url, "/three");
  assert_string_equal(visits[0]->text, "t\xff");
  assert_string_equal(visits[1]->url, "");
  assert_string_equal(visits[1]->text, "");
  for (size_t i = 0; i < count; i++) {
    assert_true(visits[i]->time.tv_sec >= before && visits[i]->time.tv_sec <= time(NULL));
    assert_true(visits[i]->time.tv_nsec >= 0 && visits[i]->time.tv_nsec < 1000000000);
  }
  VisitManagerFree(manager);
  manager = opened(10);
  assert_string_equal(ids(manager, USER), "3 2");
  VisitManagerFree(manager);
}

static void times_before_1970_have_no_negative_nanoseconds(void **state) {
  (void)state;
  sb_visit_manager *writer = open_file(SB_DURABILITY_NONE, 10);
  add(writer, USER, 1, "text", -1);
  add(writer, USER, 2, "text", -2000000000);
  close_file(writer);
  VisitManager *manager = opened(10);
  size_t count = 0;
  Visit **visits = VisitManagerGetRecentVisits(manager, USER, &count);
  assert_int_equal(count, 2);
  assert_true(visits[0]->time.tv_sec == -1 && visits[0]->time.tv_nsec == 999999999);
  assert_true(visits[1]->time.tv_sec == -2 && visits[1]->time.tv_nsec == 0);
  VisitManagerFree(manager);
}

static void an_unknown_user_has_null_and_no_visits(void **state) {
  (void)state;
  VisitManager *manager = opened(2);
  assert_string_equal(ids(manager, USER), "");
  assert_true(VisitManagerAddVisit(manager, USER, 1, "u", "t"));
  assert_string_equal(ids(manager, USER + 1), "");
  assert_string_equal(ids(manager, UINT32_MAX), "");
  VisitManagerClear(manager, USER);
  assert_string_equal(ids(manager, USER), "");
  VisitManagerFree(manager);
}

static void what_is_shown_stays_until_that_user_is_changed(void **state) {
  (void)state;
  VisitManager *manager = opened(3);
  size_t count = 0;
  uint32_t first[] = {1}, unknown[] = {44};
  for (unsigned int id = 1; id <= 3; id++) assert_true(VisitManagerAddVisit(manager, USER, id, "url", "text"));
  Visit **shown = VisitManagerGetRecentVisits(manager, USER, &count);
  assert_int_equal(count, 3);
  assert_ptr_equal(VisitManagerGetRecentVisits(manager, USER, &count), shown);
  /* What changes nothing of that user leaves the pointer as it is. */
  assert_true(VisitManagerAddVisit(manager, USER, 2, "other", "other"));
  assert_true(VisitManagerAddVisit(manager, USER + 1, 4, "url", "text"));
  assert_false(VisitManagerDelete(manager, USER, unknown, 1));
  assert_true(VisitManagerDelete(manager, USER + 1, (uint32_t[]){4}, 1));
  assert_false(VisitManagerAddVisit(manager, USER, 9, NULL, "text"));
  for (unsigned int user = 100; user < 1100; user++) {
    assert_true(VisitManagerAddVisit(manager, user, user, "url", "text"));
    assert_non_null(VisitManagerGetRecentVisits(manager, user, &count));
  }
  assert_ptr_equal(VisitManagerGetRecentVisits(manager, USER, &count), shown);
  assert_int_equal(count, 3);
  assert_string_equal(shown[2]->text, "text");
  /* What changes the user is shown. */
  assert_true(VisitManagerDelete(manager, USER, first, 1));
  assert_string_equal(ids(manager, USER), "3 2");
  assert_true(VisitManagerAddVisit(manager, USER, 4, "url", "text"));
  assert_string_equal(ids(manager, USER), "4 3 2");
  VisitManagerClear(manager, USER);
  assert_string_equal(ids(manager, USER), "");
  for (unsigned int user = 100; user < 1100; user++)
    assert_int_equal(VisitManagerGetRecentVisits(manager, user, &count)[0]->visit_id, user);
  VisitManagerFree(manager);
}

static void delete_tells_whether_anything_was_there(void **state) {
  (void)state;
  VisitManager *manager = opened(5);
  uint32_t wanted[] = {2, 77, 2, 4};
  for (unsigned int id = 1; id <= 5; id++) assert_true(VisitManagerAddVisit(manager, USER, id, "url", "text"));
  assert_true(VisitManagerDelete(manager, USER, wanted, 4));
  assert_string_equal(ids(manager, USER), "5 3 1");
  assert_false(VisitManagerDelete(manager, USER, wanted, 4));
  assert_false(VisitManagerDelete(manager, USER + 1, wanted, 4));
  VisitManagerFree(manager);
}

static void missing_arguments_are_false_or_null(void **state) {
  (void)state;
  uint32_t wanted[] = {1};
  size_t count = 99;
  assert_null(VisitManagerCreate(NULL, 10));
  assert_null(VisitManagerCreate(test_path, 0));
  assert_false(exists(""));
  assert_null(VisitManagerCreate("", 10));
  assert_null(VisitManagerCreate(test_folder, 10));
  VisitManagerFree(NULL);
  assert_false(VisitManagerAddVisit(NULL, USER, 1, "url", "text"));
  assert_null(VisitManagerGetRecentVisits(NULL, USER, &count));
  assert_int_equal(count, 0);
  assert_false(VisitManagerDelete(NULL, USER, wanted, 1));
  VisitManagerClear(NULL, USER);
  VisitManager *manager = opened(10);
  assert_true(VisitManagerAddVisit(manager, USER, 1, "url", "text"));
  assert_false(VisitManagerAddVisit(manager, USER, 2, NULL, "text"));
  assert_false(VisitManagerAddVisit(manager, USER, 2, "url", NULL));
  assert_null(VisitManagerGetRecentVisits(manager, USER, NULL));
  assert_false(VisitManagerDelete(manager, USER, NULL, 1));
  assert_false(VisitManagerDelete(manager, USER, wanted, 0));
  assert_string_equal(ids(manager, USER), "1");
  VisitManagerClear(manager, USER + 1);
  assert_string_equal(ids(manager, USER), "1");
  VisitManagerFree(manager);
}

static void any_max_visits_above_0_is_taken(void **state) {
  (void)state;
  VisitManager *manager = opened(SIZE_MAX);
  for (unsigned int id = 1; id <= 50; id++) assert_true(VisitManagerAddVisit(manager, USER, id, "url", "text"));
  VisitManagerFree(manager);
  manager = opened(1);
  assert_string_equal(ids(manager, USER), "50");
  VisitManagerFree(manager);
}

static void a_text_that_is_too_long_is_refused(void **state) {
  (void)state;
  VisitManager *manager = opened(2);
  char *text = malloc((size_t)SB_VISIT_TEXT_MAX + 2);
  assert_non_null(text);
  memset(text, 'x', (size_t)SB_VISIT_TEXT_MAX + 1);
  text[SB_VISIT_TEXT_MAX + 1] = 0;
  assert_false(VisitManagerAddVisit(manager, USER, 1, "url", text));
  assert_false(VisitManagerAddVisit(manager, USER, 1, text, "text"));
  assert_string_equal(ids(manager, USER), "");
  free(text);
  VisitManagerFree(manager);
}

static void one_manager_has_a_file_at_a_time(void **state) {
  (void)state;
  VisitManager *manager = opened(2);
  assert_null(VisitManagerCreate(test_path, 2));
  assert_true(VisitManagerAddVisit(manager, USER, 1, "url", "text"));
  VisitManagerFree(manager);
  manager = opened(2);
  assert_string_equal(ids(manager, USER), "1");
  VisitManagerFree(manager);
}

static void a_damaged_file_is_refused_and_stays_as_it_is(void **state) {
  (void)state;
  VisitManager *manager = opened(5);
  for (unsigned int id = 1; id <= 5; id++) assert_true(VisitManagerAddVisit(manager, USER, id, "url", "text"));
  VisitManagerFree(manager);
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  data[size - 100] ^= 0x10; /* in a record */
  write_whole(test_path, data, size);
  assert_null(VisitManagerCreate(test_path, 5));
  assert_file_is(test_path, data, size);
  write_whole(test_path, data, size - 50);
  assert_null(VisitManagerCreate(test_path, 5));
  assert_file_is(test_path, data, size - 50);
  free(data);
}

/* Writes a file as the known implementation does: max_visits, user_count, then per user id, n, per visit id, url, text, time. */
static void write_as_the_known_implementation(uint32_t visit_id, const char *url, struct timespec when) {
  FILE *file = fopen(test_path, "wb");
  assert_non_null(file);
  const size_t numbers[] = {3, 1}, one = 1, url_size = strlen(url) + 1, text_size = 6;
  const uint32_t user = USER;
  assert_int_equal(fwrite(numbers, sizeof numbers, 1, file), 1);
  assert_int_equal(fwrite(&user, sizeof user, 1, file), 1);
  assert_int_equal(fwrite(&one, sizeof one, 1, file), 1);
  assert_int_equal(fwrite(&visit_id, sizeof visit_id, 1, file), 1);
  assert_int_equal(fwrite(&url_size, sizeof url_size, 1, file), 1);
  assert_int_equal(fwrite(url, url_size, 1, file), 1);
  assert_int_equal(fwrite(&text_size, sizeof text_size, 1, file), 1);
  assert_int_equal(fwrite("hello", text_size, 1, file), 1);
  assert_int_equal(fwrite(&when, sizeof when, 1, file), 1);
  assert_int_equal(fclose(file), 0);
}

static void a_file_of_the_known_implementation_is_upgraded(void **state) {
  (void)state;
  const struct timespec when = {.tv_sec = 1500000000, .tv_nsec = 123456789};
  write_as_the_known_implementation(12, "/old", when);
  VisitManager *manager = opened(3);
  size_t count = 0;
  Visit **visits = VisitManagerGetRecentVisits(manager, USER, &count);
  assert_int_equal(count, 1);
  assert_int_equal(visits[0]->visit_id, 12);
  assert_string_equal(visits[0]->url, "/old");
  assert_string_equal(visits[0]->text, "hello");
  assert_true(visits[0]->time.tv_sec == when.tv_sec && visits[0]->time.tv_nsec == when.tv_nsec);
  assert_true(exists(".v0"));
  VisitManagerFree(manager);
}

/* The known implementation reads no upgraded file: it begins an empty store, and its first change overwrites the file. What was there at
 * the upgrade is kept, so a second upgrade is refused until somebody has looked. */
static void a_file_that_the_known_implementation_wrote_after_the_upgrade_is_refused(void **state) {
  (void)state;
  size_t before_size, after_size;
  write_as_the_known_implementation(12, "/before", (struct timespec){.tv_sec = 1500000000});
  uint8_t *before = read_whole(test_path, &before_size);
  VisitManagerFree(opened(3));
  write_as_the_known_implementation(13, "/after", (struct timespec){.tv_sec = 1600000000});
  uint8_t *after = read_whole(test_path, &after_size);
  assert_null(VisitManagerCreate(test_path, 3));
  assert_file_is(test_path, after, after_size);
  char kept[sizeof test_path + 8], moved[sizeof test_path + 8];
  (void)snprintf(kept, sizeof kept, "%s.v0", test_path);
  (void)snprintf(moved, sizeof moved, "%s-moved", test_path);
  assert_file_is(kept, before, before_size);
  assert_int_equal(rename(kept, moved), 0);
  VisitManager *manager = opened(3);
  assert_string_equal(ids(manager, USER), "13");
  VisitManagerFree(manager);
  free(before);
  free(after);
}

/* Every call either does its work or says that it did not, whichever allocation fails. */
static void each_allocation_that_fails_is_told(void **state) {
  (void)state;
  unsigned int refused = 0;
  for (long nth = 1; nth <= 60; nth++) {
    (void)remove(test_path);
    allocations_until_failure = nth;
    VisitManager *manager = VisitManagerCreate(test_path, 3);
    if (manager == NULL) {
      allocations_until_failure = 0;
      refused++;
      manager = opened(3);
      allocations_until_failure = nth;
    }
    const bool added = VisitManagerAddVisit(manager, USER, 1, "url", "text");
    size_t count = 99;
    Visit **visits = VisitManagerGetRecentVisits(manager, USER, &count);
    assert_true(visits == NULL ? count == 0 : count == 1 && visits[0]->visit_id == 1 && added);
    const bool deleted = VisitManagerDelete(manager, USER, (uint32_t[]){1}, 1);
    VisitManagerClear(manager, USER);
    refused += !added + (visits == NULL) + !deleted;
    allocations_until_failure = 0;
    const bool there = strcmp(ids(manager, USER), "1") == 0;
    assert_true(there ? added && !deleted : strcmp(ids(manager, USER), "") == 0);
    refused += there; /* the clearing was refused as well */
    VisitManagerFree(manager);
  }
  assert_true(refused > 5);
}

static void more_users_than_buckets_are_shown_without_memory_for_more_buckets(void **state) {
  (void)state;
  VisitManager *manager = opened(1);
  size_t count;
  for (unsigned int user = 0; user < 200; user++) assert_true(VisitManagerAddVisit(manager, user, user + 1, "url", "text"));
  for (unsigned int user = 0; user < 200; user++) {
    Visit **visits = NULL;
    for (long nth = 1; visits == NULL; nth++) { /* lets each allocation of the call fail in turn, the table's among them */
      allocations_until_failure = nth;
      visits = VisitManagerGetRecentVisits(manager, user, &count);
      allocations_until_failure = 0;
    }
    assert_int_equal(visits[0]->visit_id, user + 1);
  }
  for (unsigned int user = 0; user < 200; user++)
    assert_int_equal(VisitManagerGetRecentVisits(manager, user, &count)[0]->visit_id, user + 1);
  VisitManagerFree(manager);
}

static void a_forked_child_cannot_change_the_parents_file(void **state) {
  (void)state;
  VisitManager *manager = opened(3);
  assert_true(VisitManagerAddVisit(manager, USER, 1, "url", "text"));
  const pid_t child = fork();
  if (child == 0) {
    const bool changed = VisitManagerAddVisit(manager, USER, 2, "url", "text") || VisitManagerDelete(manager, USER, (uint32_t[]){1}, 1);
    VisitManagerClear(manager, USER);
    size_t count = 0;
    const bool shown = VisitManagerGetRecentVisits(manager, USER, &count) != NULL;
    VisitManagerFree(manager);
    _exit(changed || shown ? 1 : 0);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_true(VisitManagerAddVisit(manager, USER, 3, "url", "text"));
  assert_string_equal(ids(manager, USER), "3 1");
  VisitManagerFree(manager);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      visit_test(visits_come_newest_first_and_whole),
      visit_test(times_before_1970_have_no_negative_nanoseconds),
      visit_test(an_unknown_user_has_null_and_no_visits),
      visit_test(what_is_shown_stays_until_that_user_is_changed),
      visit_test(delete_tells_whether_anything_was_there),
      visit_test(missing_arguments_are_false_or_null),
      visit_test(any_max_visits_above_0_is_taken),
      visit_test(a_text_that_is_too_long_is_refused),
      visit_test(one_manager_has_a_file_at_a_time),
      visit_test(a_damaged_file_is_refused_and_stays_as_it_is),
      visit_test(a_file_of_the_known_implementation_is_upgraded),
      visit_test(a_file_that_the_known_implementation_wrote_after_the_upgrade_is_refused),
      visit_test(each_allocation_that_fails_is_told),
      visit_test(more_users_than_buckets_are_shown_without_memory_for_more_buckets),
      visit_test(a_forked_child_cannot_change_the_parents_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
