#include "visit_testing.h"

/* What every store does, whatever it is made of: each test runs on the file, in each mode, and on the store in memory. */

typedef struct kind {
  const char *name;
  bool memory;
  int32_t durability;
} kind;
static const kind kinds[] = {{"memory", true, 0},
                             {"file, none", false, SB_DURABILITY_NONE},
                             {"file, interval", false, SB_DURABILITY_INTERVAL},
                             {"file, always", false, SB_DURABILITY_ALWAYS}};
enum {
  KINDS = sizeof kinds / sizeof kinds[0]
};

static sb_visit_manager *open_kind(const kind *which, uint32_t max_visits) {
  if (!which->memory) return open_file(which->durability, max_visits);
  sb_visit_store store;
  memory_store_open(max_visits, &store);
  sb_visit_manager_options options = options_of(0, max_visits);
  options.store = &store;
  sb_visit_manager *manager = NULL;
  assert_ok(sb_visit_manager_open("", &options, &manager, &visit_error));
  return manager;
}

typedef void scenario(sb_visit_manager *manager);

static void run(scenario *what, uint32_t max_visits) {
  for (size_t i = 0; i < KINDS; i++) {
    print_message("           on %s\n", kinds[i].name);
    sb_visit_manager *manager = open_kind(&kinds[i], max_visits);
    what(manager);
    close_file(manager);
    (void)remove(test_path);
  }
}

#define on_every_store(name, max_visits) \
  static void name##_here(sb_visit_manager *manager); \
  static void name(void **state) { \
    (void)state; \
    run(name##_here, max_visits); \
  } \
  static void name##_here(sb_visit_manager *manager)

on_every_store(the_newest_come_first, 3) {
  for (uint32_t i = 1; i <= 5; i++) assert_ok(sb_visit_manager_add_visit(manager, 7, i, "u", 1, "t", 1, &visit_error));
  assert_string_equal(ids_of(manager, 7), "5 4 3");
  assert_string_equal(ids_of(manager, 8), "");
}

on_every_store(order_is_time_then_arrival, 4) {
  add(manager, 1, 10, "a", 500);
  add(manager, 1, 11, "b", 300);
  add(manager, 1, 12, "c", 500);
  add(manager, 1, 13, "d", 400);
  assert_string_equal(ids_of(manager, 1), "12 10 13 11");
  add(manager, 1, 14, "e", 300); /* as old as the oldest, but later: that one goes */
  assert_string_equal(ids_of(manager, 1), "12 10 13 14");
}

on_every_store(a_visit_id_that_is_there_is_ignored, 3) {
  add(manager, 1, 5, "first", 100);
  add(manager, 1, 5, "second", 200);
  sb_visits *visits = NULL;
  const sb_visit *rows;
  size_t count;
  assert_ok(sb_visit_manager_get_recent_visits(manager, 1, &visits, &visit_error));
  assert_ok(sb_visits_get_all(visits, &rows, &count));
  assert_int_equal(count, 1);
  assert_int_equal(rows[0].text_size, 5);
  assert_memory_equal(rows[0].text, "first", 5);
  assert_memory_equal(rows[0].url, "url", 3);
  assert_int_equal(rows[0].time_ns, 100);
  assert_int_equal(rows[0].user, 1);
  sb_visits_close(visits);
}

on_every_store(an_evicted_visit_id_may_come_again, 2) {
  add(manager, 1, 1, "a", 1);
  add(manager, 1, 2, "b", 2);
  add(manager, 1, 3, "c", 3);
  add(manager, 1, 1, "d", 4);
  assert_string_equal(ids_of(manager, 1), "1 3");
}

on_every_store(a_visit_older_than_all_of_a_full_user_is_not_kept, 2) {
  add(manager, 1, 1, "a", 10);
  add(manager, 1, 2, "b", 20);
  add(manager, 1, 3, "c", 9);
  assert_string_equal(ids_of(manager, 1), "2 1");
}

on_every_store(now_is_never_earlier_than_the_newest, 3) {
  const int64_t future = INT64_C(8000000000000000000);
  add(manager, 1, 1, "a", future);
  assert_ok(sb_visit_manager_add_visit(manager, 1, 2, "", 0, NULL, 0, &visit_error));
  assert_string_equal(ids_of(manager, 1), "2 1");
  sb_visits *visits = NULL;
  const sb_visit *rows;
  size_t count;
  assert_ok(sb_visit_manager_get_recent_visits(manager, 1, &visits, &visit_error));
  assert_ok(sb_visits_get_all(visits, &rows, &count));
  assert_int_equal(rows[0].time_ns, future);
  assert_int_equal(rows[0].url_size + rows[0].text_size, 0);
  sb_visits_close(visits);
}

on_every_store(delete_tells_whether_anything_was_there, 5) {
  for (uint32_t i = 1; i <= 5; i++) add(manager, 1, i, "x", i);
  bool found = false;
  assert_ok(sb_visit_manager_delete_visits(manager, 1, (uint32_t[]){4, 99, 2}, 3, &found, &visit_error));
  assert_true(found);
  assert_string_equal(ids_of(manager, 1), "5 3 1");
  assert_ok(sb_visit_manager_delete_visits(manager, 1, (uint32_t[]){4}, 1, &found, &visit_error));
  assert_false(found);
  found = true;
  assert_ok(sb_visit_manager_delete_visits(manager, 2, (uint32_t[]){4}, 1, &found, &visit_error));
  assert_false(found);
  found = true;
  assert_ok(sb_visit_manager_delete_visits(manager, 1, NULL, 0, &found, &visit_error));
  assert_false(found);
}

on_every_store(clear_removes_a_user, 5) {
  add(manager, 1, 1, "a", 1);
  add(manager, 2, 2, "b", 2);
  assert_ok(sb_visit_manager_clear_user(manager, 1, false, &visit_error));
  assert_string_equal(ids_of(manager, 1), "");
  assert_string_equal(ids_of(manager, 2), "2");
  assert_ok(sb_visit_manager_clear_user(manager, 2, true, &visit_error));
  assert_string_equal(ids_of(manager, 2), "");
  add(manager, 1, 3, "c", 3);
  assert_string_equal(ids_of(manager, 1), "3");
}

on_every_store(many_in_one_call_and_many_users_in_one_snapshot, 2) {
  const sb_visit visits[] = {{1, 1, 10, "a", 1, "x", 1},   {1, 2, 20, "b", 1, "y", 1},  {2, 1, 5, "c", 1, "", 0},
                             {1, 3, 30, NULL, 0, NULL, 0}, {1, 3, 40, "dup", 3, "", 0}, {9, 9, SB_VISIT_NOW, "n", 1, "", 0}};
  assert_ok(sb_visit_manager_add_visits(manager, visits, 6, &visit_error));
  assert_string_equal(ids_of(manager, 1), "3 2");
  sb_visits *shown = NULL;
  const sb_visit *rows;
  size_t count;
  assert_ok(sb_visit_manager_get_recent_visits_of(manager, (uint32_t[]){9, 77, 1, 9}, 4, &shown, &visit_error));
  assert_ok(sb_visits_get_all(shown, &rows, &count));
  assert_int_equal(count, 4);
  assert_int_equal(rows[0].user, 9);
  assert_int_equal(rows[1].visit_id, 3);
  assert_int_equal(rows[2].visit_id, 2);
  assert_int_equal(rows[3].user, 9);
  sb_visits_close(shown);
}

on_every_store(users_come_ascending, 2) {
  for (uint32_t i = 0; i < 20; i++) add(manager, i * 2654435761u, i, "x", i);
  add(manager, UINT32_MAX, 1, "last", 1);
  add(manager, 0, 100, "x", 100);
  sb_visit_users *users = NULL;
  const sb_visit_user *rows;
  size_t count;
  assert_ok(sb_visit_manager_users(manager, &users, &visit_error));
  assert_ok(sb_visit_users_get_all(users, &rows, &count));
  assert_int_equal(count, 21);
  for (size_t i = 1; i < count; i++) assert_true(rows[i - 1].user < rows[i].user);
  assert_int_equal(rows[0].visit_count, 2);
  assert_int_equal(rows[20].user, UINT32_MAX);
  sb_visit_users_close(users);
  sb_visit_scan *scan = NULL;
  sb_visits *visits = NULL;
  assert_ok(sb_visit_manager_scan(manager, &scan, &visit_error));
  size_t seen = 0;
  do {
    assert_ok(sb_visit_scan_next(scan, 5, &visits, &visit_error));
    count = sb_visits_count(visits);
    seen += count;
    sb_visits_close(visits);
  } while (count > 0);
  assert_int_equal(seen, 22);
  sb_visit_scan_close(scan);
}

on_every_store(wrong_arguments_are_refused_and_change_nothing, 2) {
  static char large[SB_VISIT_TEXT_MAX + 1];
  memset(large, 'x', sizeof large);
  sb_visits *visits = NULL;
  bool found;
  assert_status(sb_visit_manager_add_visit(manager, 1, 1, "a\0b", 3, "", 0, &visit_error), SB_INVALID_ARGUMENT);
  assert_string_equal(visit_error.field, "url");
  assert_status(sb_visit_manager_add_visit(manager, 1, 1, "a", 1, NULL, 4, &visit_error), SB_INVALID_ARGUMENT);
  assert_string_equal(visit_error.field, "text");
  assert_status(sb_visit_manager_add_visit(manager, 1, 1, "a", 1, large, sizeof large, &visit_error), SB_TOO_LARGE);
  assert_status(sb_visit_manager_add_visit_at(manager, 1, 1, "a", 1, "", 0, INT64_MIN, &visit_error), SB_OUT_OF_RANGE);
  const sb_visit two[] = {{1, 1, 1, "good", 4, "", 0}, {1, 2, 2, "bad\0", 4, "", 0}};
  assert_status(sb_visit_manager_add_visits(manager, two, 2, &visit_error), SB_INVALID_ARGUMENT);
  assert_int_equal(visit_error.frame, 1);
  assert_status(sb_visit_manager_add_visits(manager, NULL, 2, NULL), SB_INVALID_ARGUMENT);
  assert_status(sb_visit_manager_get_recent_visits(manager, 1, NULL, NULL), SB_INVALID_ARGUMENT);
  assert_status(sb_visit_manager_get_recent_visits(NULL, 1, &visits, NULL), SB_INVALID_ARGUMENT);
  assert_status(sb_visit_manager_delete_visits(manager, 1, NULL, 1, &found, NULL), SB_INVALID_ARGUMENT);
  assert_string_equal(ids_of(manager, 1), "");
}

/* ---- differential ---- */

typedef struct pair {
  sb_visit_manager *file, *model;
  uint32_t max_visits;
  uint64_t seed;
} pair;

static void random_add(pair *both, bool many) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789\xff\xfe\x01\n";
  char text[20][300];
  sb_visit visits[20];
  const size_t count = many ? random_next(&both->seed) % 20 : 1;
  for (size_t i = 0; i < count; i++) {
    const size_t size = random_next(&both->seed) % (random_next(&both->seed) % 8 == 0 ? 300 : 40);
    for (size_t j = 0; j < size; j++) text[i][j] = letters[random_next(&both->seed) % (sizeof letters - 1)];
    const size_t cut = size == 0 ? 0 : random_next(&both->seed) % size;
    visits[i] = (sb_visit){.user = random_next(&both->seed) % 12 * 1000003u,
                           .visit_id = random_next(&both->seed) % 40,
                           .time_ns = random_next(&both->seed) % 200,
                           .url = text[i],
                           .url_size = cut,
                           .text = text[i] + cut,
                           .text_size = size - cut};
  }
  assert_ok(sb_visit_manager_add_visits(both->file, visits, count, &visit_error));
  assert_ok(sb_visit_manager_add_visits(both->model, visits, count, &visit_error));
}

static void random_delete(pair *both) {
  uint32_t ids[10];
  const size_t count = random_next(&both->seed) % 10;
  const uint32_t user = random_next(&both->seed) % 14 * 1000003u;
  for (size_t i = 0; i < count; i++) ids[i] = random_next(&both->seed) % 40;
  bool found[2];
  assert_ok(sb_visit_manager_delete_visits(both->file, user, ids, count, &found[0], &visit_error));
  assert_ok(sb_visit_manager_delete_visits(both->model, user, ids, count, &found[1], &visit_error));
  assert_int_equal(found[0], found[1]);
}

static void random_reopen(pair *both, int32_t durability) {
  static const uint32_t limits[] = {1, 3, 5, 10};
  const uint32_t how = random_next(&both->seed) % 4;
  if (how == 0)
    close_file(both->file);
  else if (how == 1)
    sb_visit_manager_close(both->file);
  else { /* as if the process had been killed: the file goes on from a copy taken while it was open */
    size_t size;
    uint8_t *data = read_whole(test_path, &size);
    close_file(both->file);
    write_whole(test_path, data, size);
    free(data);
  }
  uint32_t max_visits = 0;
  if (random_next(&both->seed) % 4 == 0) {
    max_visits = limits[random_next(&both->seed) % 4];
    sb_visit_store store;
    sb_visit_manager_options options = options_of(0, max_visits);
    memory_store_open(max_visits, &store);
    options.store = &store;
    sb_visit_manager *smaller = NULL;
    assert_ok(sb_visit_manager_open("", &options, &smaller, &visit_error));
    sb_visit_scan *scan = NULL;
    sb_visits *visits = NULL;
    const sb_visit *rows;
    size_t count;
    assert_ok(sb_visit_manager_scan(both->model, &scan, &visit_error));
    assert_ok(sb_visit_scan_next(scan, SIZE_MAX, &visits, &visit_error));
    assert_ok(sb_visits_get_all(visits, &rows, &count));
    for (size_t i = count; i > 0; i--) assert_ok(sb_visit_manager_add_visits(smaller, &rows[i - 1], 1, &visit_error));
    sb_visits_close(visits);
    sb_visit_scan_close(scan);
    sb_visit_manager_close(both->model);
    both->model = smaller;
    both->max_visits = max_visits;
  }
  both->file = open_file(durability, max_visits);
  assert_int_equal(stats_of(both->file).max_visits, both->max_visits);
  assert_int_equal(stats_of(both->file).cut_bytes, 0);
}

static void random_step(pair *both, int32_t durability) {
  const uint32_t what = random_next(&both->seed) % 100;
  if (what < 60)
    random_add(both, false);
  else if (what < 70)
    random_add(both, true);
  else if (what < 82)
    random_delete(both);
  else if (what < 86) {
    const uint32_t user = random_next(&both->seed) % 14 * 1000003u;
    assert_ok(sb_visit_manager_clear_user(both->file, user, what == 85, &visit_error));
    assert_ok(sb_visit_manager_clear_user(both->model, user, false, &visit_error));
  } else if (what < 93) {
    const uint32_t user = random_next(&both->seed) % 14 * 1000003u;
    sb_visits *visits[2] = {0};
    assert_ok(sb_visit_manager_get_recent_visits(both->file, user, &visits[0], &visit_error));
    assert_ok(sb_visit_manager_get_recent_visits(both->model, user, &visits[1], &visit_error));
    assert_same_rows(visits[0], visits[1], true);
    sb_visits_close(visits[0]);
    sb_visits_close(visits[1]);
  } else if (what < 96)
    assert_same_visits(both->file, both->model);
  else if (what < 97)
    assert_ok(sb_visit_manager_compact(both->file, &visit_error));
  else if (what < 98)
    assert_ok(sb_visit_manager_sync(both->file, &visit_error));
  else
    random_reopen(both, durability);
}

static void random_operations(int32_t durability, uint64_t seed, unsigned steps) {
  tune_small();
  const kind memory = {"memory", true, 0};
  pair both = {.file = open_file(durability, 5), .model = open_kind(&memory, 5), .max_visits = 5, .seed = seed};
  for (unsigned i = 0; i < steps; i++) random_step(&both, durability);
  assert_same_visits(both.file, both.model);
  sb_visit_report report = {.struct_size = sizeof report};
  assert_ok(sb_visit_manager_verify(both.file, &report, &visit_error));
  close_file(both.file);
  assert_ok(sb_verify_visits(test_path, &report, &visit_error));
  assert_int_equal(report.damaged_offset, -1);
  close_file(both.model);
  (void)remove(test_path);
}

static void random_operations_agree_with_the_model(void **state) {
  (void)state;
  const unsigned seeds = getenv("SAMEBYTES_NIGHTLY") != NULL ? 500 : 12;
  for (unsigned seed = 1; seed <= seeds; seed++) {
    print_message("           seed %u\n", seed);
    random_operations(seed % 4 == 0 ? SB_DURABILITY_ALWAYS : seed % 4 == 1 ? SB_DURABILITY_INTERVAL : SB_DURABILITY_NONE, seed, 600);
  }
}

static void options_of_another_version_are_understood_or_refused(void **state) {
  (void)state;
  struct {
    sb_visit_manager_options options;
    uint64_t newer;
  } room;
  sb_visit_manager *manager = NULL;
  memset(&room, 0xaa, sizeof room);
  sb_visit_manager_options_init(&room.options, 8);
  assert_int_equal(((uint8_t *)&room)[8], 0xaa);
  assert_status(sb_visit_manager_open(test_path, &room.options, &manager, &visit_error), SB_INVALID_ARGUMENT); /* no version had 8 bytes */
  sb_visit_manager_options_init(&room.options, sizeof room);
  room.newer = 1; /* something that only a newer version knows */
  assert_status(sb_visit_manager_open(test_path, &room.options, &manager, &visit_error), SB_UNSUPPORTED);
  assert_null(manager);
  room.newer = 0;
  assert_ok(sb_visit_manager_open(test_path, &room.options, &manager, &visit_error));
  assert_int_equal(stats_of(manager).max_visits, SB_VISITS_MAX_DEFAULT);
  close_file(manager);
}

static void opening_without_a_limit_never_deletes(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(0, 1000);
  for (uint32_t id = 0; id < 100; id++) add(manager, 1, id, "text", id);
  close_file(manager);
  sb_visit_manager_options options;
  sb_visit_manager_options_init(&options, sizeof options);
  for (int turn = 0; turn < 4; turn++) {
    options.read_only = turn == 1;
    assert_ok(sb_visit_manager_open(test_path, turn == 0 ? NULL : &options, &manager, &visit_error));
    if (turn == 3) assert_ok(sb_visit_manager_compact(manager, &visit_error));
    assert_int_equal(stats_of(manager).max_visits, 1000);
    sb_visits *visits = NULL;
    assert_ok(sb_visit_manager_get_recent_visits(manager, 1, &visits, &visit_error));
    assert_int_equal(sb_visits_count(visits), 100);
    sb_visits_close(visits);
    close_file(manager);
  }
}

static void a_store_must_be_complete(void **state) {
  (void)state;
  sb_visit_store store;
  memory_store *memory = memory_store_open(3, &store);
  store.scan = NULL;
  sb_visit_manager_options options = options_of(0, 3);
  options.store = &store;
  sb_visit_manager *manager = NULL;
  assert_status(sb_visit_manager_open("", &options, &manager, &visit_error), SB_INVALID_ARGUMENT);
  assert_null(manager);
  memory_close(memory);
}

static void what_a_store_lacks_is_unsupported(void **state) {
  (void)state;
  const kind memory = {"memory", true, 0};
  sb_visit_manager *manager = open_kind(&memory, 3);
  sb_visit_stats stats = {.struct_size = sizeof stats};
  sb_visit_report report = {.struct_size = sizeof report};
  bool changed;
  assert_status(sb_visit_manager_sync(manager, &visit_error), SB_UNSUPPORTED);
  assert_status(sb_visit_manager_compact(manager, &visit_error), SB_UNSUPPORTED);
  assert_status(sb_visit_manager_copy_to(manager, "x", &visit_error), SB_UNSUPPORTED);
  assert_status(sb_visit_manager_refresh(manager, &changed, &visit_error), SB_UNSUPPORTED);
  assert_status(sb_visit_manager_verify(manager, &report, &visit_error), SB_UNSUPPORTED);
  assert_status(sb_visit_manager_get_stats(manager, &stats, &visit_error), SB_UNSUPPORTED);
  close_file(manager);
}

static void a_scan_outlives_its_manager(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 2);
  sb_visit_scan *scan = NULL;
  sb_visits *visits = NULL;
  add(manager, 1, 1, "a", 1);
  assert_ok(sb_visit_manager_scan(manager, &scan, &visit_error));
  close_file(manager);
  assert_status(sb_visit_scan_next(scan, 0, &visits, &visit_error), SB_CLOSED);
  assert_null(visits);
  sb_visit_scan_close(scan);
}

/* A store gets the snapshot that it fills from the library. */
static void a_store_puts_visits_that_are_whole_and_small_enough(void **state) {
  (void)state;
  sb_visits *visits = NULL;
  assert_ok(sb_priv_visits_open(&visits));
  assert_ok(sb_visits_put(visits, &(sb_visit){1, 2, 3, "u", 1, NULL, 0}));
  assert_status(sb_visits_put(visits, &(sb_visit){1, 2, 3, NULL, 1, "t", 1}), SB_INVALID_ARGUMENT);
  assert_status(sb_visits_put(visits, &(sb_visit){1, 2, 3, "u", 1, NULL, 1}), SB_INVALID_ARGUMENT);
  assert_status(sb_visits_put(visits, &(sb_visit){1, 2, 3, "u", (size_t)SB_VISIT_TEXT_MAX + 1, "t", 1}), SB_TOO_LARGE);
  assert_status(sb_visits_put(visits, &(sb_visit){1, 2, 3, "u", 1, "t", SIZE_MAX}), SB_TOO_LARGE);
  static const size_t too_many[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / sizeof(sb_visit)};
  for (size_t i = 0; i < sizeof too_many / sizeof too_many[0]; i++) assert_status(sb_visits_reserve(visits, too_many[i], 0), SB_NO_MEMORY);
  assert_status(sb_visits_reserve(visits, 1, SIZE_MAX), SB_NO_MEMORY);
  assert_int_equal(sb_visits_count(visits), 1);
  sb_visits_close(visits);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      visit_test(the_newest_come_first),
      visit_test(order_is_time_then_arrival),
      visit_test(a_visit_id_that_is_there_is_ignored),
      visit_test(an_evicted_visit_id_may_come_again),
      visit_test(a_visit_older_than_all_of_a_full_user_is_not_kept),
      visit_test(now_is_never_earlier_than_the_newest),
      visit_test(delete_tells_whether_anything_was_there),
      visit_test(clear_removes_a_user),
      visit_test(many_in_one_call_and_many_users_in_one_snapshot),
      visit_test(users_come_ascending),
      visit_test(a_scan_outlives_its_manager),
      visit_test(wrong_arguments_are_refused_and_change_nothing),
      visit_test(random_operations_agree_with_the_model),
      visit_test(options_of_another_version_are_understood_or_refused),
      visit_test(opening_without_a_limit_never_deletes),
      visit_test(a_store_must_be_complete),
      visit_test(what_a_store_lacks_is_unsupported),
      visit_test(a_store_puts_visits_that_are_whole_and_small_enough),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
