/* link: -Wl,--wrap=fdatasync */

#include "visit_testing.h"

#include <dirent.h>
#include <stdatomic.h>

/* Many threads on one handle: each knows what it did, and afterwards everything of it is there. Run under ThreadSanitizer, too. */

enum {
  THREADS = 8,
  ROUNDS = 150
};

typedef struct worker {
  pthread_t thread;
  sb_visit_manager *manager;
  uint32_t number;
  unsigned failures;
} worker;

static void *work(void *context) {
  worker *me = context;
  sb_error error;
  for (uint32_t i = 0; i < ROUNDS; i++) {
    char text[64];
    snprintf(text, sizeof text, "visit %u of worker %u", i, me->number);
    /* A user of its own, and one that all share. */
    me->failures += sb_visit_manager_add_visit_at(me->manager, me->number, i, "u", 1, text, strlen(text), i, &error) != SB_OK;
    me->failures += sb_visit_manager_add_visit(me->manager, 1000, i * THREADS + me->number, "u", 1, text, strlen(text), &error) != SB_OK;
    sb_visits *visits = NULL;
    const sb_visit *rows;
    size_t count;
    if (sb_visit_manager_get_recent_visits(me->manager, me->number, &visits, &error) != SB_OK) {
      me->failures++;
      continue;
    }
    if (sb_visits_get_all(visits, &rows, &count) != SB_OK || count == 0 || rows[0].visit_id != i) me->failures++;
    for (size_t j = 1; j < count; j++) me->failures += rows[j - 1].visit_id != rows[j].visit_id + 1;
    sb_visits_close(visits);
    if (i % 16 == 3) { /* delete and add again */
      bool found = false;
      me->failures += sb_visit_manager_delete_visits(me->manager, me->number, &i, 1, &found, &error) != SB_OK || !found;
      me->failures += sb_visit_manager_add_visit_at(me->manager, me->number, i, "u", 1, text, strlen(text), i, &error) != SB_OK;
    }
    if (i % 40 == me->number) me->failures += sb_visit_manager_sync(me->manager, &error) != SB_OK;
    if (i % 60 == me->number) me->failures += sb_visit_manager_compact(me->manager, &error) != SB_OK;
    if (i % 50 == me->number) {
      sb_visit_users *users = NULL;
      me->failures += sb_visit_manager_users(me->manager, &users, &error) != SB_OK;
      sb_visit_users_close(users);
      sb_visit_report report = {.struct_size = sizeof report};
      me->failures += sb_visit_manager_verify(me->manager, &report, &error) != SB_OK;
    }
  }
  return NULL;
}

static void threads_on_one_handle(int32_t durability, bool compact_in_thread) {
  tune_small();
  sb_visit_manager_options options = options_of(durability, 5);
  options.interval_ms = 1;
  options.compact_in_thread = compact_in_thread;
  sb_visit_manager *manager = NULL;
  worker workers[THREADS];
  assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
  for (uint32_t i = 0; i < THREADS; i++) {
    workers[i] = (worker){.manager = manager, .number = i};
    assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    assert_int_equal(workers[i].failures, 0);
  }
  assert_true(stats_of(manager).compactions > 0);
  for (int round = 0; round < 2; round++) {
    for (uint32_t i = 0; i < THREADS; i++) assert_string_equal(ids_of(manager, i), "149 148 147 146 145");
    close_file(manager);
    manager = open_file(durability, 0);
  }
  close_file(manager);
}

static void threads_without_syncs(void **state) {
  (void)state;
  threads_on_one_handle(SB_DURABILITY_NONE, false);
}

static void threads_beside_the_thread_that_compacts(void **state) {
  (void)state;
  threads_on_one_handle(SB_DURABILITY_NONE, true);
  folder_remove(NULL);
  folder_make(NULL);
  threads_on_one_handle(SB_DURABILITY_ALWAYS, true);
}

/* Nobody asks for a compaction: it is due, and the thread makes it, beside adds; a close in the middle loses nothing. */
static void a_thread_compacts_when_it_is_due(void **state) {
  (void)state;
  tune_small();
  sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, 3);
  options.compact_in_thread = true;
  for (uint32_t round = 0; round < 20; round++) {
    sb_visit_manager *manager = NULL;
    assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
    uint32_t id = round * 100000;
    for (unsigned more = 0; stats_of(manager).compactions < (round % 4) && more < 100000; more++, id++)
      add(manager, id % 50, id, "text", id);
    assert_true(stats_of(manager).compactions >= (round % 4));
    for (uint32_t i = 0; i < 37; i++, id++) add(manager, id % 50, id, "text", id);
    char before[64];
    snprintf(before, sizeof before, "%s", ids_of(manager, (id - 1) % 50));
    assert_int_equal(strtoul(before, NULL, 10), id - 1);
    close_file(manager);
    manager = open_file(SB_DURABILITY_NONE, 0);
    assert_string_equal(ids_of(manager, (id - 1) % 50), before);
    close_file(manager);
  }
}

static unsigned threads_of_process(void) {
  unsigned count = 0;
  DIR *tasks = opendir("/proc/self/task");
  assert_non_null(tasks);
  for (const struct dirent *task; (task = readdir(tasks)) != NULL;) count += task->d_name[0] != '.';
  closedir(tasks);
  return count;
}

static void a_thread_is_started_only_where_an_option_asks_for_it(void **state) {
  (void)state;
  const unsigned before = threads_of_process();
  for (int i = 0; i < 4; i++) {
    sb_visit_manager_options options = options_of(i & 1 ? SB_DURABILITY_INTERVAL : SB_DURABILITY_ALWAYS, 3);
    options.compact_in_thread = (i & 2) != 0;
    sb_visit_manager *manager = NULL;
    assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
    assert_int_equal(threads_of_process(), before + (i & 1) + (i >> 1));
    close_file(manager);
    for (int wait = 0; threads_of_process() > before && wait < 1000; wait++) usleep(1000); /* a joined thread may still be listed */
    assert_int_equal(threads_of_process(), before);
  }
}

/* The child has neither the thread nor the store; the parent has both. */
static void a_fork_beside_the_thread_that_compacts(void **state) {
  (void)state;
  tune_small();
  sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, 3);
  options.compact_in_thread = true;
  sb_visit_manager *manager = NULL;
  assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
  uint32_t id = 0;
  for (int i = 0; i < 20; i++) {
    for (int j = 0; j < 50; j++, id++) add(manager, id % 20, id, "text", id);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      const bool refused = sb_visit_manager_add_visit(manager, 1, 1, "", 0, "", 0, NULL) == SB_CLOSED;
      sb_visit_manager_close(manager);
      _exit(refused ? 0 : 1);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
  }
  for (int i = 0; i < 100000 && stats_of(manager).compactions == 0; i++, id++) add(manager, id % 20, id, "text", id);
  assert_true(stats_of(manager).compactions > 0);
  close_file(manager);
}

static void threads_beside_the_thread_that_syncs(void **state) {
  (void)state;
  threads_on_one_handle(SB_DURABILITY_INTERVAL, false);
}

static void threads_share_syncs(void **state) {
  (void)state;
  threads_on_one_handle(SB_DURABILITY_ALWAYS, false);
}

/* A disk that takes its time, because a file system in memory takes none. */
static useconds_t sync_us;
static atomic_bool sync_waits, sync_met;
int __real_fdatasync(int file);
int __wrap_fdatasync(int file);
int __wrap_fdatasync(int file) {
  if (sync_us > 0) usleep(sync_us);
  for (; atomic_load(&sync_waits); usleep(100)) atomic_store(&sync_met, true);
  return __real_fdatasync(file);
}

static void *add_some(void *context) {
  worker *me = context;
  for (uint32_t i = 0; i < 50; i++) me->failures += sb_visit_manager_add_visit(me->manager, me->number, i, "u", 1, "t", 1, NULL) != SB_OK;
  return NULL;
}

static void concurrent_durable_adds_need_fewer_syncs_than_adds(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_ALWAYS, 5);
  sync_us = 500;
  worker workers[THREADS];
  for (uint32_t i = 0; i < THREADS; i++) {
    workers[i] = (worker){.manager = manager, .number = i};
    assert_int_equal(pthread_create(&workers[i].thread, NULL, add_some, &workers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    assert_int_equal(workers[i].failures, 0);
  }
  sync_us = 0;
  assert_true(stats_of(manager).syncs < THREADS * 50 / 2);
  assert_int_equal(stats_of(manager).durable_bytes, stats_of(manager).file_bytes);
  close_file(manager);
}

typedef struct step {
  char kind; /* '+' adds, '-' deletes, 'x' clears */
  uint32_t user, ids[4];
  size_t count;
} step;

typedef struct step_thread {
  pthread_t thread;
  sb_visit_manager *manager;
  const step *step;
  sb_status status;
} step_thread;

static void *make_step(void *context) {
  step_thread *me = context;
  const step *made = me->step;
  sb_visit visits[4];
  bool found;
  for (size_t i = 0; i < made->count; i++) visits[i] = (sb_visit){made->user, made->ids[i], made->ids[i], "u", 1, "t", 1};
  if (made->kind == '+')
    me->status = sb_visit_manager_add_visits(me->manager, visits, made->count, NULL);
  else if (made->kind == '-')
    me->status = sb_visit_manager_delete_visits(me->manager, made->user, made->ids, made->count, &found, NULL);
  else
    me->status = sb_visit_manager_clear_user(me->manager, made->user, false, NULL);
  return NULL;
}

/* Makes the steps in one group: while the sync of a change before them lasts, they queue one after the other. */
static void in_one_group(sb_visit_manager *manager, const step *steps, size_t count) {
  const step before = {'+', 99, {1}, 1};
  step_thread threads[4] = {{.manager = manager, .step = &before}};
  atomic_store(&sync_met, false);
  atomic_store(&sync_waits, true);
  for (size_t i = 0; i <= count; i++) {
    if (i > 0) threads[i] = (step_thread){.manager = manager, .step = &steps[i - 1]};
    assert_int_equal(pthread_create(&threads[i].thread, NULL, make_step, &threads[i]), 0);
    while (!atomic_load(&sync_met)) usleep(100);
    if (i > 0) usleep(20000);
  }
  atomic_store(&sync_waits, false);
  for (size_t i = 0; i <= count; i++) {
    assert_int_equal(pthread_join(threads[i].thread, NULL), 0);
    assert_int_equal(threads[i].status, SB_OK);
  }
}

/* `shown` or `other`: the steps may have queued in another order. */
static void assert_group_shows(const step *steps, size_t count, const char *shown, const char *other) {
  sb_visit_manager *manager = open_file(SB_DURABILITY_ALWAYS, 3);
  assert_ok(sb_visit_manager_clear_user(manager, 1, false, &visit_error));
  assert_ok(sb_visit_manager_clear_user(manager, 99, false, &visit_error));
  for (uint32_t id = 4; id <= 6; id++) add(manager, 1, id, "t", id);
  in_one_group(manager, steps, count);
  for (int round = 0; round < 2; round++) { /* as it is in memory, and in the file */
    const char *ids = ids_of(manager, 1);
    if (strcmp(ids, shown) != 0 && strcmp(ids, other) != 0) fail_msg("round %d: \"%s\", not \"%s\" or \"%s\"", round, ids, shown, other);
    close_file(manager);
    manager = open_file(SB_DURABILITY_ALWAYS, 0);
  }
  close_file(manager);
}

static void changes_of_one_group_have_an_order(void **state) {
  (void)state;
  const step clear_add[] = {{'x', 1, {0}, 0}, {'+', 1, {5, 7}, 2}};
  assert_group_shows(clear_add, 2, "7 5", "");
  const step delete_add[] = {{'-', 1, {5, 6}, 2}, {'+', 1, {5, 7}, 2}};
  assert_group_shows(delete_add, 2, "7 5 4", "7");
  const step clear_old[] = {{'x', 1, {0}, 0}, {'+', 1, {2, 7}, 2}};
  assert_group_shows(clear_old, 2, "7 2", "");
  const step add_delete[] = {{'+', 1, {7, 6}, 2}, {'-', 1, {5, 7}, 2}};
  assert_group_shows(add_delete, 2, "6", "7 6 4");
}

/* By adds alone: the last sync of a copy, and closing the file that it replaces, are a helper's. */
static void a_helper_ends_the_compaction_of_a_large_file(void **state) {
  (void)state;
  tune_small();
  sb_priv_visit_tuning.help_min = 1;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 3);
  uint32_t i = 0;
  for (; stats_of(manager).compactions < 5; i++) add(manager, i % 20, i, "what is dead soon", i);
  for (unsigned round = 0; round < 20; round++) { /* closed while a helper is at work, or is about to be */
    for (unsigned more = 0; more < 10 + 7 * round; more++, i++) add(manager, i % 20, i, "what is dead soon", i);
    close_file(manager);
    assert_false(exists(".new"));
    manager = open_file(SB_DURABILITY_NONE, 0);
  }
  for (uint32_t user = 0; user < 20; user++) {
    char expected[60];
    const uint32_t last = i - 1 - (i - 1 - user) % 20;
    snprintf(expected, sizeof expected, "%u %u %u", last, last - 20, last - 40);
    assert_string_equal(ids_of(manager, user), expected);
  }
  close_file(manager);
}

static void an_interval_makes_changes_durable(void **state) {
  (void)state;
  sb_visit_manager_options options = options_of(SB_DURABILITY_INTERVAL, 5);
  options.interval_ms = 5;
  sb_visit_manager *manager = NULL;
  assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
  add(manager, 1, 1, "x", 1);
  for (int i = 0; i < 2000 && stats_of(manager).durable_bytes < stats_of(manager).file_bytes; i++) usleep(5000);
  assert_int_equal(stats_of(manager).durable_bytes, stats_of(manager).file_bytes);
  close_file(manager);
}

/* ---- users who are read from the file beside changes ---- */

enum {
  STORED_USERS = 400
};

/* Half of the users are asked for, and so come into memory; each round copies the file, too. */
static void *read_stored(void *context) {
  worker *me = context;
  sb_error error;
  for (uint32_t user = me->number; user < STORED_USERS; user += 2) {
    sb_visits *visits = NULL;
    const bool read = sb_visit_manager_get_recent_visits(me->manager, user, &visits, &error) == SB_OK;
    me->failures += !read || sb_visits_count(visits) != 2;
    sb_visits_close(visits);
    char copy[400];
    snprintf(copy, sizeof copy, "%s/copy.%u", test_folder, user);
    if (user % 20 < 2) me->failures += sb_visit_manager_copy_to(me->manager, copy, &error) != SB_OK || unlink(copy) != 0;
  }
  return NULL;
}

static void change_beside_readers(uint64_t memory_max) {
  tune_small();
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 2);
  for (uint32_t user = 0; user < STORED_USERS; user++)
    for (uint32_t id = 0; id < 2; id++) add(manager, user, id, "stored", 1);
  close_file(manager);
  sb_visit_manager_options options = options_of(SB_DURABILITY_INTERVAL, 2);
  options.interval_ms = 1;
  options.memory_max = memory_max;
  assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
  worker readers[2];
  for (uint32_t i = 0; i < 2; i++) {
    readers[i] = (worker){.manager = manager, .number = i};
    assert_int_equal(pthread_create(&readers[i].thread, NULL, read_stored, &readers[i]), 0);
  }
  for (uint32_t i = 0; i < 1000; i++) add(manager, STORED_USERS + i % 7, i, "a text that makes the file grow", i);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
    assert_int_equal(readers[i].failures, 0);
  }
  close_file(manager);
}

static void changes_beside_users_who_come_into_memory(void **state) {
  (void)state;
  change_beside_readers(0);
}

static void changes_beside_users_who_come_into_memory_and_leave_it(void **state) {
  (void)state;
  change_beside_readers(1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      visit_test(threads_without_syncs),
      visit_test(threads_beside_the_thread_that_compacts),
      visit_test(a_thread_compacts_when_it_is_due),
      visit_test(a_thread_is_started_only_where_an_option_asks_for_it),
      visit_test(a_fork_beside_the_thread_that_compacts),
      visit_test(threads_beside_the_thread_that_syncs),
      visit_test(threads_share_syncs),
      visit_test(concurrent_durable_adds_need_fewer_syncs_than_adds),
      visit_test(changes_of_one_group_have_an_order),
      visit_test(a_helper_ends_the_compaction_of_a_large_file),
      visit_test(an_interval_makes_changes_durable),
      visit_test(changes_beside_users_who_come_into_memory),
      visit_test(changes_beside_users_who_come_into_memory_and_leave_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
