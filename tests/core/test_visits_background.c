/* link: -Wl,--wrap=sb_priv_file_is_mounted */

/* What a store does by itself is never silent when it fails: statistics and finish tell of it, and what can go on goes on. */

#include "visit_testing.h"

static bool mounted;

bool __real_sb_priv_file_is_mounted(int folder, const char *name);
bool __wrap_sb_priv_file_is_mounted(int folder, const char *name);
bool __wrap_sb_priv_file_is_mounted(int folder, const char *name) { return mounted || __real_sb_priv_file_is_mounted(folder, name); }

enum {
  USERS = 30,
  VISITS = 4
};

/* A compacted file, whose users have one record each, `text of USER` in each visit. */
static void make_compacted(void) {
  tune_small();
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, VISITS);
  for (uint32_t user = 0; user < USERS; user++)
    for (uint32_t id = 0; id < VISITS; id++) {
      char text[40];
      snprintf(text, sizeof text, "text of %u, visit %u", (unsigned)user, (unsigned)id);
      add(manager, user, id, text, id);
    }
  assert_ok(sb_visit_manager_compact(manager, &visit_error));
  close_file(manager);
}

/* Flips a bit of the last place in the file that holds `bytes`. */
static void damage(const char *bytes) {
  size_t size;
  uint8_t *data = read_whole(test_path, &size), *at = NULL;
  for (size_t i = 0; i + strlen(bytes) <= size; i++)
    if (memcmp(data + i, bytes, strlen(bytes)) == 0) at = data + i;
  assert_non_null(at);
  if (at != NULL) *at ^= 1;
  write_whole(test_path, data, size);
  free(data);
}

/* Adds to one user until the store has compacted by itself so often. */
static void add_until_compacted(sb_visit_manager *manager, uint64_t compactions) {
  for (uint32_t i = 0; stats_of(manager).compactions < compactions; i++) {
    add(manager, 5, 1000 + i % 5000, "what makes the file grow until it is compacted, or is not", 1000 + i);
    assert_true(i < 100000);
  }
}

static sb_status read_user(sb_visit_manager *manager, uint32_t user, size_t *count) {
  sb_visits *visits = NULL;
  memset(&visit_error, 0, sizeof visit_error);
  const sb_status status = sb_visit_manager_get_recent_visits(manager, user, &visits, &visit_error);
  if (status == SB_OK && count != NULL) *count = sb_visits_count(visits);
  sb_visits_close(visits);
  return status;
}

static void assert_only_bad(sb_visit_manager *manager, uint32_t bad) {
  for (uint32_t user = 0; user < USERS; user++) {
    size_t count = 0;
    const sb_status status = read_user(manager, user, &count);
    assert_string_equal(sb_status_name(status), user == bad ? "SB_CORRUPT" : "SB_OK");
    if (user != bad) assert_int_equal(count, VISITS);
  }
}

static void a_damaged_user_stops_nothing_and_can_be_cleared(void **state) {
  (void)state;
  make_compacted();
  damage("text of 17, visit 2");
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
  for (int round = 0; round < 2; round++) {
    add_until_compacted(manager, 2);
    assert_true(stats_of(manager).file_bytes < 40000);
    assert_only_bad(manager, 17);
    assert_int_equal(read_user(manager, 17, NULL), SB_CORRUPT);
    assert_non_null(strstr(visit_error.message, "user 17"));
    assert_non_null(strstr(visit_error.message, "clear_user"));
    const sb_visit_stats stats = stats_of(manager);
    assert_int_equal(stats.damaged_users, 1);
    assert_int_equal(stats.failure_work, SB_VISIT_WORK_COMPACTION);
    assert_int_equal(stats.failure_status, SB_CORRUPT);
    assert_true(stats.failures >= 2 && stats.failure_time_ns > 0);
    /* The list has the user, and nothing is added to what cannot be read. */
    sb_visit_users *users = NULL;
    const sb_visit_user *rows;
    size_t count;
    assert_ok(sb_visit_manager_users(manager, &users, &visit_error));
    assert_ok(sb_visit_users_get_all(users, &rows, &count));
    assert_int_equal(count, USERS);
    assert_int_equal(rows[17].visit_count, VISITS);
    sb_visit_users_close(users);
    assert_status(sb_visit_manager_add_visit(manager, 17, 99, "", 0, "", 0, &visit_error), SB_CORRUPT);
    memset(&visit_error, 0, sizeof visit_error);
    assert_status(sb_visit_manager_finish(manager, &visit_error), SB_CORRUPT);
    assert_non_null(strstr(visit_error.message, "all is on disk, but"));
    sb_visit_manager_close(manager);
    manager = open_file(SB_DURABILITY_NONE, 0);
  }
  assert_ok(sb_visit_manager_clear_user(manager, 17, false, &visit_error));
  size_t count = 1;
  assert_int_equal(read_user(manager, 17, &count), SB_OK);
  assert_int_equal(count, 0);
  add(manager, 17, 1, "again", 1);
  close_file(manager);
  manager = open_file(SB_DURABILITY_NONE, 0);
  assert_string_equal(ids_of(manager, 17), "1");
  add_until_compacted(manager, 2);
  assert_int_equal(stats_of(manager).damaged_users, 0);
  assert_int_equal(stats_of(manager).failure_work, 0);
  assert_int_equal(stats_of(manager).failure_time_ns, 0);
  assert_string_equal(ids_of(manager, 17), "1");
  close_file(manager);
  sb_visit_report report = {.struct_size = sizeof report};
  assert_ok(sb_verify_visits(test_path, &report, &visit_error));
  assert_int_equal(report.damaged_offset, -1);
}

/* Killed right after the clear: nothing but the log knows of it. */
static void a_clear_of_a_damaged_user_is_in_the_log(void **state) {
  (void)state;
  for (int after = 0; after < 2; after++) {
    make_compacted();
    damage("text of 3, visit 0");
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
    assert_ok(sb_visit_manager_clear_user(manager, 3, false, &visit_error));
    if (after) add(manager, 3, 8, "after", 8);
    size_t size;
    uint8_t *data = read_whole(test_path, &size);
    sb_visit_manager_close(manager);
    write_whole(test_path, data, size);
    free(data);
    manager = open_file(SB_DURABILITY_NONE, 0);
    assert_string_equal(ids_of(manager, 3), after ? "8" : "");
    assert_string_equal(ids_of(manager, 4), "3 2 1 0");
    add_until_compacted(manager, 1);
    assert_int_equal(stats_of(manager).damaged_users, 0);
    close_file(manager);
    assert_int_equal(unlink(test_path), 0);
  }
}

/* One record of the user is damaged, another is not: compaction loses neither what salvage finds, nor what is left of the bad one. */
static void what_is_left_of_a_damaged_user_is_kept(void **state) {
  (void)state;
  make_compacted();
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
  add(manager, 9, 50, "of another record", 50);
  add(manager, 9, 51, "of a third", 51);
  for (uint32_t i = 0; i < 60; i++) add(manager, 5, 100 + i, "so that there is an index", i);
  close_file(manager);
  damage("of another record");
  manager = open_file(SB_DURABILITY_NONE, 0);
  assert_int_equal(read_user(manager, 9, NULL), SB_CORRUPT);
  add_until_compacted(manager, 3);
  assert_int_equal(stats_of(manager).damaged_users, 1);
  assert_int_equal(sb_visit_manager_finish(manager, &visit_error), SB_CORRUPT);
  sb_visit_manager_close(manager);
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  bool bytes_left = false;
  for (size_t i = 0; i + 17 <= size && !bytes_left; i++) bytes_left = memcmp(data + i, "nf another record", 17) == 0;
  assert_true(bytes_left);
  free(data);
  char target[400];
  sb_visit_report report = {.struct_size = sizeof report};
  snprintf(target, sizeof target, "%s/whole", test_folder);
  assert_ok(sb_salvage_visits(test_path, target, &report, &visit_error));
  assert_int_equal(rename(target, test_path), 0);
  manager = open_file(SB_DURABILITY_NONE, 0);
  assert_string_equal(ids_of(manager, 9), "51 3 2");
  assert_string_equal(ids_of(manager, 8), "3 2 1 0");
  close_file(manager);
}

static void erasing_a_damaged_user_takes_its_bytes_away(void **state) {
  (void)state;
  make_compacted();
  damage("text of 21, visit 1");
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
  add_until_compacted(manager, 1);
  assert_ok(sb_visit_manager_clear_user(manager, 21, true, &visit_error));
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  for (size_t i = 0; i + 19 <= size; i++) assert_true(memcmp(data + i, "uext of 21, visit 1", 19) != 0);
  free(data);
  close_file(manager);
}

/* ---- what has the place of a new file, and where none can take the place ---- */

static void a_neighbour_s_file_is_told_of_and_compaction_goes_on_without_it(void **state) {
  (void)state;
  char other[400];
  tune_small();
  snprintf(other, sizeof other, "%s.new", test_path);
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, VISITS);
  write_whole(other, "notes", 5);
  for (uint32_t i = 0; i < 1000; i++) add(manager, 1, i, "until a compaction is due", i);
  const sb_visit_stats stats = stats_of(manager);
  assert_int_equal(stats.compactions, 0);
  assert_int_equal(stats.failure_work, SB_VISIT_WORK_COMPACTION);
  assert_int_equal(stats.failure_status, SB_INVALID_ARGUMENT);
  assert_int_equal(stats.dead_bytes, stats.file_bytes - VISIT_LOG_START - stats.live_bytes);
  memset(&visit_error, 0, sizeof visit_error);
  assert_status(sb_visit_manager_finish(manager, &visit_error), SB_INVALID_ARGUMENT);
  assert_non_null(strstr(visit_error.message, "all is on disk, but the last compaction failed"));
  assert_non_null(strstr(visit_error.message, "move that away"));
  sb_visit_manager_close(manager);
  assert_file_is(other, "notes", 5);
  manager = open_file(SB_DURABILITY_NONE, VISITS);
  for (uint32_t i = 0; i < 1000; i++) add(manager, 1, i, "until a compaction is due", i);
  assert_int_equal(stats_of(manager).failures, 1);
  assert_int_equal(unlink(other), 0);
  assert_ok(sb_visit_manager_compact(manager, &visit_error));
  assert_int_equal(stats_of(manager).failure_work, 0);
  assert_int_equal(stats_of(manager).failure_status, 0);
  assert_true(stats_of(manager).failures > 0);
  close_file(manager);
}

/* Nothing is copied for nothing, indexes go on, and tries become rarer. */
static void a_file_that_is_mounted_by_itself_is_told_of(void **state) {
  (void)state;
  for (int thread = 0; thread < 2; thread++) {
    tune_small();
    sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, VISITS);
    options.compact_in_thread = thread != 0;
    sb_visit_manager *manager = NULL;
    assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
    mounted = true;
    for (uint32_t i = 0; i < 5000; i++) add(manager, i % 3, i, "what is soon dead", i);
    for (uint32_t i = 0; thread && stats_of(manager).failures == 0 && i < 5000; i++) (void)usleep(1000);
    const sb_visit_stats stats = stats_of(manager);
    assert_int_equal(stats.compactions, 0);
    assert_int_equal(stats.failure_work, SB_VISIT_WORK_COMPACTION);
    assert_int_equal(stats.failure_status, SB_IO);
    assert_int_equal(stats.failure_system_error, EBUSY);
    assert_int_equal(stats.failures, 1); /* 16 MiB are not full yet */
    assert_true(stats.dead_bytes > 100 * stats.live_bytes);
    memset(&visit_error, 0, sizeof visit_error);
    assert_status(sb_visit_manager_compact(manager, &visit_error), SB_IO);
    assert_int_equal(visit_error.system_error, EBUSY);
    assert_non_null(strstr(visit_error.message, "mount its folder"));
    memset(&visit_error, 0, sizeof visit_error);
    assert_status(sb_visit_manager_finish(manager, &visit_error), SB_IO);
    assert_int_equal(visit_error.system_error, EBUSY);
    assert_non_null(strstr(visit_error.message, "mount its folder"));
    sb_visit_manager_close(manager);
    assert_false(exists(".new"));
    mounted = false;
    manager = open_file(SB_DURABILITY_NONE, VISITS);
    assert_true(stats_of(manager).replayed_records < 20); /* there was an index all the same */
    assert_ok(sb_visit_manager_compact(manager, &visit_error));
    close_file(manager);
    assert_int_equal(unlink(test_path), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      visit_test(a_damaged_user_stops_nothing_and_can_be_cleared),
      visit_test(a_clear_of_a_damaged_user_is_in_the_log),
      visit_test(what_is_left_of_a_damaged_user_is_kept),
      visit_test(erasing_a_damaged_user_takes_its_bytes_away),
      visit_test(a_neighbour_s_file_is_told_of_and_compaction_goes_on_without_it),
      visit_test(a_file_that_is_mounted_by_itself_is_told_of),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
