/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */

/* What the statistics say of live bytes, by which a store decides when to compact, is what a count from scratch says: after any changes,
 * kills, opens and compactions, with users who were read and users who were not. A count that drifts upwards makes compaction come late,
 * and the more so the longer a file lives. */

#include "failing_malloc.h"
#include "visit_testing.h"

#define USERS 24u

/* By a walk, which leaves the users who are not in memory where they are. */
static uint64_t count_live(sb_visit_manager *manager) {
  sb_visit_scan *scan = NULL;
  uint64_t live = 0;
  uint32_t last = UINT32_MAX;
  assert_ok(sb_visit_manager_scan(manager, &scan, &visit_error));
  for (bool more = true; more;) {
    sb_visits *visits = NULL;
    const sb_visit *rows;
    size_t count;
    assert_ok(sb_visit_scan_next(scan, 50, &visits, &visit_error));
    assert_ok(sb_visits_get_all(visits, &rows, &count));
    for (size_t i = 0; i < count; i++) {
      if (rows[i].user != last) live += VISIT_HEAD;
      last = rows[i].user;
      live += VISIT_ITEM_HEAD + rows[i].url_size + rows[i].text_size;
    }
    more = count > 0;
    sb_visits_close(visits);
  }
  sb_visit_scan_close(scan);
  return live;
}

static void read_everybody(sb_visit_manager *manager) {
  for (uint32_t user = 0; user < USERS; user++) (void)ids_of(manager, user);
}

#define assert_live_exact(manager) assert_int_equal(stats_of(manager).live_bytes, count_live(manager))
#define assert_live_enough(manager) assert_true(stats_of(manager).live_bytes >= count_live(manager))

/* The file as a kill at this moment leaves it, opened again. */
static sb_visit_manager *kill_and_open(sb_visit_manager *manager, uint32_t max_visits) {
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  sb_visit_manager_close(manager);
  write_whole(test_path, data, size);
  free(data);
  return open_file(SB_DURABILITY_NONE, max_visits);
}

static void change_something(sb_visit_manager *manager, uint64_t *seed) {
  static const char text[100] = "of which each visit takes the beginning, so that no two of them need be equally long; and so on";
  const uint32_t user = random_next(seed) % USERS, id = random_next(seed) % 40, kind = random_next(seed) % 12;
  bool found;
  if (kind == 0) {
    assert_ok(sb_visit_manager_clear_user(manager, user, false, &visit_error));
  } else if (kind <= 2) {
    const uint32_t ids[3] = {id, id + 1, id + 2};
    assert_ok(sb_visit_manager_delete_visits(manager, user, ids, 3, &found, &visit_error));
  } else if (kind <= 4) {
    sb_visit visits[6];
    for (uint32_t i = 0; i < 6; i++)
      visits[i] = (sb_visit){.user = (user + i / 3) % USERS,
                             .visit_id = (id + i) % 40,
                             .time_ns = (int64_t)(random_next(seed) % 1000),
                             .url = text,
                             .url_size = i,
                             .text = text,
                             .text_size = random_next(seed) % 90};
    assert_ok(sb_visit_manager_add_visits(manager, visits, 6, &visit_error));
  } else {
    assert_ok(sb_visit_manager_add_visit(manager, user, id, text, id, text, random_next(seed) % 90, &visit_error));
  }
}

/* Opens anew, and checks what that makes of the count. */
static sb_visit_manager *open_again(sb_visit_manager *manager, uint64_t *seed, unsigned how) {
  const uint32_t max_visits = random_next(seed) % 3 == 0 ? 2 + random_next(seed) % 5 : 0;
  if (how > 2) {
    manager = kill_and_open(manager, max_visits);
  } else {
    close_file(manager);
    manager = open_file(SB_DURABILITY_NONE, max_visits);
    /* All of it from the index, unless max_visits has become another one. */
    if (max_visits == 0 && stats_of(manager).replayed_records == 0) assert_live_exact(manager);
  }
  assert_live_enough(manager);
  return manager;
}

static void live_through(uint64_t seed) {
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 5);
  uint64_t compactions = 0, replayed = 0;
  for (unsigned i = 0; i < 1500; i++) {
    const unsigned what = random_next(&seed) % 100;
    const uint64_t before = stats_of(manager).compactions;
    if (what < 6) {
      compactions += before;
      manager = open_again(manager, &seed, what);
      replayed += stats_of(manager).replayed_records;
      continue;
    }
    if (what == 6) {
      assert_ok(sb_visit_manager_compact(manager, &visit_error));
      assert_live_exact(manager); /* and nobody was read for it */
    } else if (what == 7) {
      read_everybody(manager);
      assert_live_exact(manager);
    } else if (what < 12) {
      (void)ids_of(manager, random_next(&seed) % USERS);
    } else {
      change_something(manager, &seed);
      if (stats_of(manager).compactions > before) assert_live_exact(manager);
    }
    assert_live_enough(manager);
  }
  read_everybody(manager);
  assert_live_exact(manager);
  assert_true(compactions > 3 && replayed > 100);
  sb_visit_manager_close(manager);
  assert_int_equal(unlink(test_path), 0);
}

static void live_bytes_are_what_a_count_from_scratch_gives(void **state) {
  (void)state;
  tune_small();
  const char *wanted = getenv("SAMEBYTES_SEEDS"); /* NOLINT(concurrency-mt-unsafe): before any thread */
  const unsigned seeds = wanted == NULL ? 6 : (unsigned)strtoul(wanted, NULL, 10) * 6;
  for (unsigned seed = 1; seed <= seeds; seed++) live_through(seed);
}

/* The tail of a killed process: users who were cleared in it, before any of them is read. */
static void a_clear_in_a_tail_that_was_not_read_takes_its_bytes_off(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 5);
  for (uint32_t i = 0; i < 50; i++) add(manager, i % 5, i, "some text", i);
  for (uint32_t user = 0; user < 5; user++) assert_ok(sb_visit_manager_clear_user(manager, user, false, &visit_error));
  manager = kill_and_open(manager, 0);
  assert_int_equal(stats_of(manager).replayed_records, 1 + 50 + 5);
  assert_int_equal(stats_of(manager).live_bytes, 0);
  add(manager, 1, 1, "text", 1);
  assert_int_equal(stats_of(manager).live_bytes, VISIT_HEAD + VISIT_ITEM_HEAD + 7);
  assert_live_exact(manager);
  sb_visit_manager_close(manager);
}

static void a_compaction_counts_users_that_it_did_not_read(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 5);
  for (uint32_t i = 0; i < 100; i++) add(manager, i % 10, i, "some text", i); /* of which half is evicted */
  manager = kill_and_open(manager, 0);
  assert_true(stats_of(manager).live_bytes > count_live(manager));
  assert_ok(sb_visit_manager_compact(manager, &visit_error));
  assert_live_exact(manager);
  assert_int_equal(stats_of(manager).users_loaded, 0);
  manager = kill_and_open(manager, 3);
  assert_ok(sb_visit_manager_compact(manager, &visit_error)); /* for whom there is no record, but max_visits is smaller */
  assert_live_exact(manager);
  sb_visit_manager_close(manager);
}

static void a_file_that_was_salvaged_has_the_right_count(void **state) {
  (void)state;
  char target[400];
  tune_small();
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 5);
  for (uint32_t i = 0; i < 200; i++) add(manager, i % 10, i % 20, "some text", i);
  for (uint32_t user = 0; user < 5; user++) assert_ok(sb_visit_manager_clear_user(manager, user, false, &visit_error));
  sb_visit_manager_close(manager);
  sb_visit_report report = {.struct_size = sizeof report};
  snprintf(target, sizeof target, "%s.whole", test_path);
  assert_ok(sb_salvage_visits(test_path, target, &report, &visit_error));
  assert_int_equal(rename(target, test_path), 0);
  manager = open_file(SB_DURABILITY_NONE, 0);
  assert_int_equal(stats_of(manager).replayed_records, 0);
  assert_live_exact(manager);
  sb_visit_manager_close(manager);
}

/* A refresh that fails reads the same records once more when it is tried again. */
static void a_refresh_without_memory_counts_nothing_twice(void **state) {
  (void)state;
  for (long failing = 1, failures = 1; failures > 0; failing++) {
    sb_visit_manager *writer = open_file(SB_DURABILITY_NONE, 5), *reader = NULL, *other = NULL;
    for (uint32_t i = 0; i < 5; i++) add(writer, i, i, "before", i);
    assert_ok(try_open(true, &reader));
    for (uint32_t i = 0; i < 30; i++) {
      add(writer, i % 7, 10 + i, "some text", i);
      if (i == 20) assert_ok(sb_visit_manager_clear_user(writer, 3, false, &visit_error));
    }
    bool changed = false;
    failures = 0;
    allocations_until_failure = failing;
    const sb_status status = sb_visit_manager_refresh(reader, &changed, &visit_error);
    allocations_until_failure = 0;
    if (status != SB_OK) {
      assert_status(status, SB_NO_MEMORY);
      failures++;
      assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
    }
    assert_live_enough(reader);
    assert_ok(try_open(true, &other));
    assert_int_equal(stats_of(reader).live_bytes, stats_of(other).live_bytes);
    sb_visit_manager_close(other);
    read_everybody(reader);
    assert_live_exact(reader);
    assert_same_visits(reader, writer);
    sb_visit_manager_close(reader);
    sb_visit_manager_close(writer);
    assert_int_equal(unlink(test_path), 0);
  }
}

/* What a record says of a visit, without its url and text. */
static const uint8_t *item_of(uint32_t url_size, uint32_t text_size) {
  static uint8_t item[VISIT_ITEM_HEAD];
  visit_store32(item + 12, url_size);
  visit_store32(item + 16, text_size);
  return item;
}

/* A store that accepted it must be able to read it, in whatever pieces: a user is too large above 4 GiB, not where its room would be. */
static void a_user_may_have_all_of_4_gib(void **state) {
  (void)state;
  visit_table table = {.max_visits = UINT32_MAX};
  visit_user user = {.decoded = true};
  visit_node *trash = NULL;
  assert_int_equal(sb_priv_visit_user_reserve(&table, &user, 1, item_of(1u << 20, 0)), SB_OK); /* one that makes it large */
  sb_priv_visit_user_unreserve(&table, &user, 1);
  assert_true(user.many);
  for (uint32_t bytes = 0; bytes < 20; bytes++) {
    user.nodes->bytes = UINT32_MAX - 10;
    allocations_until_failure = 1; /* so much is asked for only */
    const sb_status status = sb_priv_visit_user_reserve(&table, &user, 1, item_of(bytes, 0));
    allocations_until_failure = 0;
    assert_string_equal(sb_status_name(status), bytes + 1 <= 10 ? "SB_NO_MEMORY" : "SB_TOO_LARGE");
  }
  sb_priv_visit_user_empty(&user, &trash);
  assert_null(trash);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      visit_test(live_bytes_are_what_a_count_from_scratch_gives), visit_test(a_clear_in_a_tail_that_was_not_read_takes_its_bytes_off),
      visit_test(a_compaction_counts_users_that_it_did_not_read), visit_test(a_file_that_was_salvaged_has_the_right_count),
      visit_test(a_refresh_without_memory_counts_nothing_twice),  visit_test(a_user_may_have_all_of_4_gib),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
