/* link: -Wl,--wrap=sb_priv_visit_lock_write,--wrap=sb_priv_visit_lock_write_end,--wrap=sb_priv_visit_index_take */

/* Nothing that a store does takes long while others wait, however many users and visits it has: what is done is counted, not timed
 * (VISIT_STEPS), in each call and each time that a lock is held. */

#include "visit_testing.h"

static uint64_t held_from, held_most; /* steps while others wait */
static unsigned indexes;

void __real_sb_priv_visit_lock_write(visit_lock *lock);
void __wrap_sb_priv_visit_lock_write(visit_lock *lock);
void __wrap_sb_priv_visit_lock_write(visit_lock *lock) {
  __real_sb_priv_visit_lock_write(lock);
  held_from = sb_priv_visit_steps;
}

void __real_sb_priv_visit_lock_write_end(visit_lock *lock);
void __wrap_sb_priv_visit_lock_write_end(visit_lock *lock);
void __wrap_sb_priv_visit_lock_write_end(visit_lock *lock) {
  if (sb_priv_visit_steps - held_from > held_most) held_most = sb_priv_visit_steps - held_from;
  __real_sb_priv_visit_lock_write_end(lock);
}

void __real_sb_priv_visit_index_take(visit_log *log, visit_base base, uint32_t put);
void __wrap_sb_priv_visit_index_take(visit_log *log, visit_base base, uint32_t put);
void __wrap_sb_priv_visit_index_take(visit_log *log, visit_base base, uint32_t put) {
  indexes++;
  __real_sb_priv_visit_index_take(log, base, put);
}

static char text[400];

static void add_plain(sb_visit_manager *manager, uint32_t user, uint32_t visit_id, size_t size) {
  assert_ok(sb_visit_manager_add_visit(manager, user, visit_id, "/u", 2, text, size, &visit_error));
}

/* As a kill at this moment leaves it, opened again. */
static sb_visit_manager *kill_and_open(sb_visit_manager *manager) {
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  sb_visit_manager_close(manager);
  write_whole(test_path, data, size);
  free(data);
  return open_file(SB_DURABILITY_NONE, 0);
}

/* ---- many users ---- */

#define STEPS_MOST 30000u /* of a call that adds a visit: some pages of an index, or some records of a copy */

typedef struct worst {
  uint64_t call, held;
} worst;

/* Adds to random users of a store that has so many, until it has compacted and written indexes. */
static worst worst_of(uint32_t users) {
  worst found = {0};
  uint64_t seed = users;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 3);
  for (uint32_t i = 0; i < users; i++) add_plain(manager, i * 7919u, 1, 50);
  close_file(manager);
  manager = open_file(SB_DURABILITY_NONE, 3);
  const unsigned before = indexes;
  held_most = 0;
  uint32_t id = 2;
  for (; stats_of(manager).compactions < 2 || indexes < before + 6; id++) {
    const uint64_t from = sb_priv_visit_steps;
    add_plain(manager, random_next(&seed) % users * 7919u + id % 2, id, 100);
    if (sb_priv_visit_steps - from > found.call) found.call = sb_priv_visit_steps - from;
    assert_true(id < 50 * users);
  }
  found.held = held_most;
  close_file(manager);
  assert_int_equal(unlink(test_path), 0);
  return found;
}

static void no_call_does_more_the_more_users_there_are(void **state) {
  (void)state;
  sb_priv_visit_tuning.index_interval = 1u << 20;
  for (uint32_t users = 2000; users <= 32000; users *= 4) {
    const worst found = worst_of(users);
    print_message("           %u users: %llu steps in a call, %llu while a lock is held\n", (unsigned)users, (unsigned long long)found.call,
                  (unsigned long long)found.held);
    assert_true(found.call > 100 && found.call < STEPS_MOST); /* above 0: they are counted */
    assert_true(found.held > 100 && found.held < STEPS_MOST);
  }
}

static void a_list_of_users_reads_no_visits_and_holds_nobody_up(void **state) {
  (void)state;
  enum {
    USERS = 20000
  };
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 3);
  for (uint32_t i = 0; i < USERS; i++) add_plain(manager, i, 1, 50);
  close_file(manager);
  for (int read_only = 0; read_only < 2; read_only++) {
    assert_ok(try_open(read_only != 0, &manager));
    sb_visit_users *users = NULL;
    const sb_visit_user *rows;
    size_t count;
    held_most = 0;
    assert_ok(sb_visit_manager_users(manager, &users, &visit_error));
    assert_ok(sb_visit_users_get_all(users, &rows, &count));
    assert_int_equal(count, USERS);
    for (uint32_t i = 0; i < USERS; i++) assert_true(rows[i].user == i && rows[i].visit_count == 1);
    sb_visit_users_close(users);
    assert_true(held_most > 0 && held_most < 10000);
    assert_int_equal(stats_of(manager).users_loaded, 0);
    assert_true(stats_of(manager).memory_bytes < 1000);
    sb_visit_manager_close(manager);
  }
}

/* With fewer visits than the index has, of users of all kinds. */
static void a_list_of_users_counts_what_a_read_shows(void **state) {
  (void)state;
  tune_small();
  uint64_t seed = 5;
  for (unsigned round = 0; round < 40; round++) {
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, round % 3 == 0 ? 2 + random_next(&seed) % 5 : 0);
    for (unsigned i = 0; i < 60; i++) add(manager, random_next(&seed) % 12, random_next(&seed) % 30, "text", random_next(&seed) % 50);
    assert_ok(sb_visit_manager_clear_user(manager, random_next(&seed) % 12, false, &visit_error));
    manager = kill_and_open(manager);
    sb_visit_users *users = NULL;
    const sb_visit_user *rows;
    size_t count, total = 0;
    assert_ok(sb_visit_manager_users(manager, &users, &visit_error));
    assert_ok(sb_visit_users_get_all(users, &rows, &count));
    sb_visits *visits = NULL;
    sb_visit_scan *scan = NULL;
    assert_ok(sb_visit_manager_scan(manager, &scan, &visit_error));
    assert_ok(sb_visit_scan_next(scan, SIZE_MAX, &visits, &visit_error));
    for (size_t i = 0; i < count; i++) {
      const sb_visit *shown;
      size_t shown_count, of_user = 0;
      assert_ok(sb_visits_get_all(visits, &shown, &shown_count));
      for (size_t j = 0; j < shown_count; j++) of_user += shown[j].user == rows[i].user;
      assert_int_equal(rows[i].visit_count, of_user);
      total += of_user;
    }
    assert_int_equal(total, sb_visits_count(visits));
    sb_visits_close(visits);
    sb_visit_scan_close(scan);
    sb_visit_users_close(users);
    close_file(manager);
  }
}

/* ---- an index in steps ---- */

/* One user is put in each step. What is added, and gone again, before the page of its user is written must not come back when the records
 * between the pages are replayed; what comes after its page must. */
static void an_index_has_each_user_as_it_is_where_its_page_lies(void **state) {
  (void)state;
  sb_priv_visit_tuning.index_interval = 1000;
  sb_priv_visit_tuning.compact_step = 1;
  bool found;
  for (int kind = 0; kind < 2; kind++) {
    const uint32_t user = kind == 0 ? 1000 : 0; /* whose page is the last, or the first */
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 3);
    for (uint32_t other = 1; other <= 40; other++) add(manager, other, 1, "text", 1);
    for (uint32_t id = 1; id <= 3; id++) add(manager, user, id, "text", 10 * id);
    const unsigned before = indexes;
    while (indexes == before) add(manager, 500, 1 + stats_of(manager).records, "until that one is written", 1);
    const uint64_t begun = stats_of(manager).file_bytes;
    while (stats_of(manager).file_bytes < begun + 6000 && indexes == before + 1) {
      const uint64_t records = stats_of(manager).records;
      add(manager, 500, (uint32_t)(1 + records), "and the next begins", 1);
      if (stats_of(manager).records > records + 1) break; /* a page came with it */
    }
    add(manager, user, 9, "evicts the first", 15);
    add(manager, user, 4, "evicts that", 40);
    const uint32_t gone = 3;
    assert_ok(sb_visit_manager_delete_visits(manager, user, &gone, 1, &found, &visit_error));
    assert_true(found);
    assert_int_equal(indexes, before + 1); /* all of it between the pages */
    for (uint32_t i = 0; indexes == before + 1; i++) add(manager, 501, i, "until it is whole", 1);
    assert_string_equal(ids_of(manager, user), "4 2");
    manager = kill_and_open(manager);
    assert_true(stats_of(manager).replayed_records < 60); /* the index was used */
    assert_string_equal(ids_of(manager, user), "4 2");
    sb_visit_report report = {.struct_size = sizeof report};
    assert_ok(sb_verify_visits(test_path, &report, &visit_error));
    assert_int_equal(report.damaged_offset, -1);
    sb_visit_manager_close(manager);
    assert_int_equal(unlink(test_path), 0);
  }
}

/* ---- many visits of one user ---- */

#define MANY 60000u

typedef enum order_of_times {
  ASCENDING,
  DESCENDING,
  SHUFFLED,
  ORDERS
} order_of_times;

static int64_t time_of(order_of_times order, uint32_t i) {
  return order == ASCENDING ? i : order == DESCENDING ? MANY - i : (int64_t)(i * UINT64_C(40503) % 65521);
}

static uint64_t read_all_of(sb_visit_manager *manager, uint32_t user, size_t wanted) {
  sb_visits *visits = NULL;
  const sb_visit *rows;
  size_t count;
  const uint64_t from = sb_priv_visit_steps;
  assert_ok(sb_visit_manager_get_recent_visits(manager, user, &visits, &visit_error));
  const uint64_t steps = sb_priv_visit_steps - from;
  assert_ok(sb_visits_get_all(visits, &rows, &count));
  assert_int_equal(count, wanted);
  for (size_t i = 1; i < count; i++) assert_true(rows[i - 1].time_ns >= rows[i].time_ns);
  sb_visits_close(visits);
  return steps;
}

static void adding_and_reading_are_linear_in_the_visits_of_a_user(void **state) {
  (void)state;
  sb_priv_visit_tuning.index_interval = sb_priv_visit_tuning.compact_min = UINT64_C(1) << 40; /* only what adds take by themselves */
  for (order_of_times order = ASCENDING; order < ORDERS; order++) {
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 2 * MANY);
    uint64_t adding = sb_priv_visit_steps, most = 0;
    for (uint32_t i = 0; i < MANY; i++) {
      const uint64_t from = sb_priv_visit_steps;
      add(manager, 7, i, "text", time_of(order, i));
      if (i > 1000 && sb_priv_visit_steps - from > most) most = sb_priv_visit_steps - from;
    }
    adding = sb_priv_visit_steps - adding;
    /* Every second one goes, so that those that stay lie apart. */
    uint64_t deleting = sb_priv_visit_steps;
    bool found;
    for (uint32_t i = 0; i < MANY; i += 2) assert_ok(sb_visit_manager_delete_visits(manager, 7, &i, 1, &found, &visit_error));
    deleting = sb_priv_visit_steps - deleting;
    close_file(manager);
    manager = open_file(SB_DURABILITY_NONE, 0);
    const uint64_t first = read_all_of(manager, 7, MANY / 2);
    print_message("           order %d: %llu steps to add each, %llu at most, %llu to delete, %llu to read the first time\n", (int)order,
                  (unsigned long long)(adding / MANY), (unsigned long long)most, (unsigned long long)(2 * deleting / MANY),
                  (unsigned long long)(2 * first / MANY));
    assert_true(adding / MANY < 100 && most < 1000 && 2 * deleting / MANY < 100 && 2 * first / MANY < 100);
    close_file(manager);
    assert_int_equal(unlink(test_path), 0);
  }
}

/* The same in large batches, whose records hold many visits each: reading half of each must not read each again and again. */
static void batches_of_one_user_are_linear_too(void **state) {
  (void)state;
  sb_priv_visit_tuning.compact_min = UINT64_C(1) << 40;
  sb_visit *visits = calloc(MANY, sizeof *visits);
  uint32_t *ids = calloc(MANY, sizeof *ids);
  assert_true(visits != NULL && ids != NULL);
  for (order_of_times order = ASCENDING; order < ORDERS; order++) {
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, MANY);
    for (uint32_t i = 0; i < MANY; i++)
      visits[i] = (sb_visit){.user = 7, .visit_id = i, .time_ns = time_of(order, i), .url = "/u", .url_size = 2};
    uint64_t adding = sb_priv_visit_steps;
    assert_ok(sb_visit_manager_add_visits(manager, visits, MANY, &visit_error));
    assert_ok(sb_visit_manager_add_visits(manager, visits, MANY, &visit_error)); /* which are there */
    adding = sb_priv_visit_steps - adding;
    bool found;
    for (uint32_t i = 0; i < MANY / 2; i++) ids[i] = 2 * i;
    assert_ok(sb_visit_manager_delete_visits(manager, 7, ids, MANY / 2, &found, &visit_error));
    close_file(manager);
    manager = open_file(SB_DURABILITY_NONE, 0);
    const uint64_t first = read_all_of(manager, 7, MANY / 2);
    assert_true(adding / MANY < 100 && 2 * first / MANY < 100);
    assert_ok(sb_visit_manager_clear_user(manager, 7, false, &visit_error));
    add(manager, 7, 1, "again", 1);
    assert_string_equal(ids_of(manager, 7), "1");
    close_file(manager);
    assert_int_equal(unlink(test_path), 0);
  }
  free(visits);
  free(ids);
}

/* Users around the number from which on they are kept another way, against a model. */
static void users_of_many_visits_agree_with_the_model(void **state) {
  (void)state;
  tune_small();
  sb_priv_visit_tuning.index_interval = sb_priv_visit_tuning.compact_min = 100000;
  uint64_t seed = 77;
  for (unsigned round = 0; round < 3; round++) {
    const uint32_t max_visits = 300 + 100 * round;
    sb_visit_store store;
    sb_visit_manager *model = NULL, *manager = open_file(SB_DURABILITY_NONE, max_visits);
    sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, max_visits);
    memory_store_open(max_visits, &store);
    options.store = &store;
    assert_ok(sb_visit_manager_open("", &options, &model, &visit_error));
    for (unsigned i = 0; i < 6000; i++) {
      const uint32_t user = random_next(&seed) % 3, what = random_next(&seed) % 400, id = random_next(&seed) % 2000;
      bool found[2];
      sb_visit visits[9];
      const size_t count = 1 + random_next(&seed) % 9;
      for (size_t j = 0; j < count; j++)
        visits[j] = (sb_visit){.user = user,
                               .visit_id = (uint32_t)(id + j) % 2000,
                               .time_ns = random_next(&seed) % 3 == 0 ? random_next(&seed) % 500 : i / 10,
                               .url = text,
                               .url_size = j,
                               .text = text,
                               .text_size = random_next(&seed) % sizeof text};
      if (what == 0) {
        assert_ok(sb_visit_manager_clear_user(manager, user, false, &visit_error));
        assert_ok(sb_visit_manager_clear_user(model, user, false, &visit_error));
      } else if (what < 80) {
        const uint32_t ids[3] = {id, (id + 1) % 2000, (id + 700) % 2000};
        assert_ok(sb_visit_manager_delete_visits(manager, user, ids, 3, &found[0], &visit_error));
        assert_ok(sb_visit_manager_delete_visits(model, user, ids, 3, &found[1], &visit_error));
        assert_int_equal(found[0], found[1]);
      } else {
        assert_ok(sb_visit_manager_add_visits(manager, visits, count, &visit_error));
        assert_ok(sb_visit_manager_add_visits(model, visits, count, &visit_error));
      }
      if (i % 500 == 499) assert_same_visits(manager, model);
      if (i % 1500 == 1499) manager = kill_and_open(manager);
    }
    assert_same_visits(manager, model);
    sb_visit_report report = {.struct_size = sizeof report};
    assert_ok(sb_visit_manager_verify(manager, &report, &visit_error));
    close_file(manager);
    close_file(model);
    assert_int_equal(unlink(test_path), 0);
  }
}

/* ---- a limit of memory ---- */

static void users_leave_the_memory_above_its_limit(void **state) {
  (void)state;
  enum {
    USERS = 40000
  };
  sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, 4);
  sb_visit_manager *manager = NULL;
  options.memory_max = 100000;
  assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
  uint64_t most = 0;
  for (uint32_t i = 0; i < 6 * USERS; i++) {
    add_plain(manager, i * 31 % USERS, i, 60);
    const uint64_t memory = stats_of(manager).memory_bytes;
    if (memory > most) most = memory;
  }
  /* Users who were changed stay until an index has them, which is written after as many bytes as the last one had. All have 20 MB. */
  print_message("           %llu bytes at most\n", (unsigned long long)most);
  assert_true(most < 100000 + (10u << 20));
  for (uint32_t user = 0; user < USERS; user++) {
    sb_visits *visits = NULL;
    assert_ok(sb_visit_manager_get_recent_visits(manager, user, &visits, &visit_error));
    assert_int_equal(sb_visits_count(visits), 4);
    sb_visits_close(visits);
  }
  assert_true(stats_of(manager).memory_bytes < 10u << 20);
  close_file(manager);
  options.read_only = true;
  assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
  for (uint32_t user = 0; user < USERS; user++) assert_int_equal(strlen(ids_of(manager, user)) > 0, 1);
  assert_true(stats_of(manager).memory_bytes < 120000 && stats_of(manager).users_loaded > 10);
  sb_visit_manager_close(manager);
}

/* ---- now ---- */

static int64_t newest_time(sb_visit_manager *manager, uint32_t visit_id) {
  sb_visits *visits = NULL;
  const sb_visit *rows;
  size_t count;
  assert_ok(sb_visit_manager_get_recent_visits(manager, 1, &visits, &visit_error));
  assert_ok(sb_visits_get_all(visits, &rows, &count));
  assert_true(count > 0);
  assert_int_equal(rows[0].visit_id, visit_id);
  const int64_t time_ns = rows[0].time_ns;
  sb_visits_close(visits);
  return time_ns;
}

static void now_is_not_before_what_its_batch_has_added(void **state) {
  (void)state;
  const int64_t later = sb_priv_clock_ns() + INT64_C(3600000000000);
  for (uint32_t max_visits = 1; max_visits < 600; max_visits += 299) { /* also kept as many */
    for (uint32_t first = 0; first < 300; first += 299) {
      sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, max_visits);
      for (uint32_t i = 0; i < first; i++) add(manager, 1, 1000 + i, "before", i);
      const sb_visit visits[] = {{.user = 1, .visit_id = 1, .time_ns = later},
                                 {.user = 2, .visit_id = 1, .time_ns = later + 100},
                                 {.user = 1, .visit_id = 2, .time_ns = SB_VISIT_NOW},
                                 {.user = 1, .visit_id = 3, .time_ns = later + 7},
                                 {.user = 1, .visit_id = 4, .time_ns = SB_VISIT_NOW}};
      assert_ok(sb_visit_manager_add_visits(manager, visits, 3, &visit_error));
      assert_int_equal(newest_time(manager, 2), later);
      assert_ok(sb_visit_manager_clear_user(manager, 1, false, &visit_error));
      assert_ok(sb_visit_manager_add_visits(manager, visits, 5, &visit_error));
      assert_int_equal(newest_time(manager, 4), later + 7);
      close_file(manager);
      assert_int_equal(unlink(test_path), 0);
    }
  }
}

/* A visit that is there and is ignored says nothing of what is newest. */
static void now_is_not_moved_by_what_is_ignored(void **state) {
  (void)state;
  const int64_t later = sb_priv_clock_ns() + INT64_C(3600000000000);
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 10);
  add(manager, 1, 1, "there", 1);
  const sb_visit visits[] = {{.user = 1, .visit_id = 2, .time_ns = 2},
                             {.user = 1, .visit_id = 1, .time_ns = later},
                             {.user = 1, .visit_id = 3, .time_ns = SB_VISIT_NOW}};
  assert_ok(sb_visit_manager_add_visits(manager, visits, 3, &visit_error));
  assert_true(newest_time(manager, 3) < later);
  close_file(manager);
}

int main(void) {
  memset(text, 't', sizeof text);
  const struct CMUnitTest tests[] = {
      visit_test(no_call_does_more_the_more_users_there_are),
      visit_test(a_list_of_users_reads_no_visits_and_holds_nobody_up),
      visit_test(a_list_of_users_counts_what_a_read_shows),
      visit_test(an_index_has_each_user_as_it_is_where_its_page_lies),
      visit_test(adding_and_reading_are_linear_in_the_visits_of_a_user),
      visit_test(batches_of_one_user_are_linear_too),
      visit_test(users_of_many_visits_agree_with_the_model),
      visit_test(users_leave_the_memory_above_its_limit),
      visit_test(now_is_not_before_what_its_batch_has_added),
      visit_test(now_is_not_moved_by_what_is_ignored),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
