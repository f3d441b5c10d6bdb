/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=pwrite,--wrap=pread,--wrap=fdatasync,--wrap=fsync,--wrap=ftruncate,--wrap=renameat,--wrap=sb_priv_file_move,--wrap=linkat,--wrap=unlinkat,--wrap=fstat,--wrap=fstatat,--wrap=fchmod,--wrap=fcntl,--wrap=getrandom,--wrap=open,--wrap=openat,--wrap=pthread_create */

/* What fails in the middle: memory, writes, syncs. After each failure the operation either was made or was not, the store goes on, and the
 * file opens with exactly what was acknowledged (or with the failed operation besides, where an fsync failed). */

#define _GNU_SOURCE
#include "failing_calls.h"
#include "failing_malloc.h"
#include "visit_testing.h"

static void arm(fault kind, int problem, long call, bool stays) { arm_calls(kind, problem, call, stays, CALL_ANY); }

/* ---- a life of a store that tolerates failures, and a model of what was acknowledged ---- */

typedef struct life {
  sb_visit_manager *manager, *model;
  uint32_t doubtful; /* an operation that failed: whether it was made is unknown after an fsync failed */
} life;

static sb_visit_manager *open_model(void) {
  sb_visit_store store;
  sb_visit_manager_options options = options_of(0, 4);
  memory_store_open(4, &store);
  options.store = &store;
  sb_visit_manager *model = NULL;
  assert_ok(sb_visit_manager_open("", &options, &model, NULL));
  return model;
}

/* Operations 0 to 59; each is made on the model only if it succeeded. Returns how many failed. */
static unsigned live(life *it, unsigned from, unsigned to) {
  unsigned failures = 0;
  for (unsigned i = from; i < to; i++) {
    const uint32_t user = i % 5, ids[2] = {i - 5, i - 10};
    bool found, expected;
    sb_status status;
    sb_error error;
    const sb_visit visits[2] = {{user, i, (int64_t)i, "the url", 7, "some text that takes room", 25},
                                {user + 1, i, (int64_t)i, "u", 1, "t", 1}};
    if (i % 7 == 6)
      status = sb_visit_manager_delete_visits(it->manager, user, ids, 2, &found, &error);
    else if (i % 13 == 12)
      status = sb_visit_manager_clear_user(it->manager, user, false, &error);
    else if (i == 40)
      status = sb_visit_manager_compact(it->manager, &error);
    else
      status = sb_visit_manager_add_visits(it->manager, visits, 2, &error);
    if (status != SB_OK) {
      failures++;
      assert_true(status == SB_NO_MEMORY || status == SB_IO);
      assert_true(error.message[0] != 0 && error.status == status);
      continue;
    }
    const long call = calls_until_fault, allocation = allocations_until_failure;
    calls_until_fault = allocations_until_failure = 0;
    if (i % 7 == 6) {
      assert_ok(sb_visit_manager_delete_visits(it->model, user, ids, 2, &expected, NULL));
      assert_int_equal(found, expected);
    } else if (i % 13 == 12)
      assert_ok(sb_visit_manager_clear_user(it->model, user, false, NULL));
    else if (i != 40)
      assert_ok(sb_visit_manager_add_visits(it->model, visits, 2, NULL));
    calls_until_fault = call;
    allocations_until_failure = allocation;
  }
  return failures;
}

static sb_status open_faulty(int32_t durability, sb_visit_manager **manager) {
  const sb_visit_manager_options options = options_of(durability, 4);
  return sb_visit_manager_open(test_path, &options, manager, &visit_error);
}

static void remove_files(void) {
  assert_int_equal(folder_remove(NULL), 0);
  assert_int_equal(mkdir(test_folder, 0700), 0);
}

/* One life with one fault; afterwards reads show what was acknowledged, and so does the file. Returns whether the fault was reached. */
static bool one_life(int32_t durability, bool memory, fault kind, int problem, long call, bool stays) {
  remove_files();
  life it = {.model = open_model()};
  tune_small();
  if (memory)
    allocations_until_failure = call;
  else
    arm(kind, problem, call, stays);
  const sb_status opened = open_faulty(durability, &it.manager);
  unsigned failures = 0;
  bool was_poisoned = false;
  if (opened == SB_OK) {
    failures = live(&it, 0, 60);
    disarm();
    allocations_until_failure = 0;
    was_poisoned = stats_of(it.manager).poisoned;
    assert_same_visits(it.manager, it.model);
    const unsigned later = live(&it, 60, 80);
    if (!was_poisoned)
      assert_int_equal(later, 0); /* it goes on */
    else
      assert_int_equal(later, 20 - 20 / 40); /* every change is refused */
    assert_same_visits(it.manager, it.model);
    size_t size;
    uint8_t *killed = read_whole(test_path, &size);
    const sb_status expected = closes_with(it.manager), finished = sb_visit_manager_finish(it.manager, &visit_error);
    assert_int_equal(finished, expected);
    sb_visit_manager_close(it.manager);
    if (!was_poisoned) { /* as if the process had been killed: what failed has left nothing */
      write_whole(test_path, killed, size);
      assert_ok(open_faulty(durability, &it.manager));
      assert_same_visits(it.manager, it.model);
      assert_int_equal(stats_of(it.manager).cut_bytes, 0);
      close_file(it.manager);
    }
    free(killed);
  } else {
    assert_true(opened == SB_NO_MEMORY || opened == SB_IO);
    disarm();
    allocations_until_failure = 0;
  }
  assert_ok(open_faulty(durability, &it.manager));
  if (!was_poisoned) assert_same_visits(it.manager, it.model);
  close_file(it.manager);
  close_file(it.model);
  return opened != SB_OK || failures > 0;
}

static void any_allocation_may_fail(void **state) {
  (void)state;
  tune_small();
  long without = 0;
  for (long call = 1; without < 40 && call < 3000; call += call < 400 ? 1 : 3) {
    if (one_life(SB_DURABILITY_NONE, true, NO_FAULT, 0, call, false))
      without = 0;
    else
      without++;
  }
  assert_true(without >= 40);
}

static void any_call_may_fail(int32_t durability, fault kind, int problem, long step) {
  calls_seen = 0;
  (void)one_life(durability, false, NO_FAULT, 0, 0, false);
  const long calls = calls_seen;
  assert_in_range(calls, 60, 5000);
  for (long call = 1; call < calls; call += step) (void)one_life(durability, false, kind, problem, call, false);
}

static void any_call_may_give_an_io_error(void **state) {
  (void)state;
  any_call_may_fail(SB_DURABILITY_NONE, FAULT_ERROR, EIO, 1);
  any_call_may_fail(SB_DURABILITY_ALWAYS, FAULT_ERROR, EIO, 5);
}

static void any_call_may_find_the_disk_full_after_a_part(void **state) {
  (void)state;
  any_call_may_fail(SB_DURABILITY_NONE, FAULT_PARTIAL_ERROR, ENOSPC, 1);
  any_call_may_fail(SB_DURABILITY_ALWAYS, FAULT_PARTIAL_ERROR, ENOSPC, 5);
}

static void interrupted_and_short_calls_are_no_failures(void **state) {
  (void)state;
  calls_seen = 0;
  (void)one_life(SB_DURABILITY_ALWAYS, false, NO_FAULT, 0, 0, false);
  const long calls = calls_seen;
  for (long call = 1; call < calls; call += 5) {
    assert_false(one_life(SB_DURABILITY_ALWAYS, false, FAULT_SHORT, 0, call, false));
    if (call % 2 == 0) continue;
    const bool failed = one_life(SB_DURABILITY_ALWAYS, false, FAULT_ERROR, EINTR, call, false);
    (void)failed; /* renameat is never interrupted; that one may say so */
  }
}

/* Every write fails with ENOSPC, perhaps after a part, and nothing else does, as on a full disk. tests/crash/test_limits.py has a real one. */
static void a_full_disk_leaves_a_store_that_reads_and_later_writes(void **state) {
  (void)state;
  for (int32_t durability = SB_DURABILITY_NONE; durability <= SB_DURABILITY_ALWAYS; durability++) {
    remove_files();
    sb_visit_manager *manager = open_file(durability, 100);
    add(manager, 1, 1, "before", 1);
    for (uint32_t i = 2; i < 12; i++) {
      arm_calls(i % 2 == 0 ? FAULT_ERROR : FAULT_PARTIAL_ERROR, ENOSPC, 1, true, CALL_WRITE);
      assert_status(sb_visit_manager_add_visit_at(manager, 1, i, "url", 3, "text", 4, i, &visit_error), SB_IO);
      assert_non_null(strstr(visit_error.message, "No space left"));
      disarm();
      assert_false(stats_of(manager).poisoned);
      assert_string_equal(ids_of(manager, 1), "1");
      assert_string_equal(ids_of(manager, 2), "");
    }
    add(manager, 1, 20, "after", 20);
    assert_string_equal(ids_of(manager, 1), "20 1");
    assert_ok(sb_visit_manager_sync(manager, &visit_error));
    close_file(manager);
    manager = open_file(durability, 0);
    assert_string_equal(ids_of(manager, 1), "20 1");
    assert_int_equal(stats_of(manager).cut_bytes, 0);
    close_file(manager);
  }
}

static void what_a_failed_write_left_is_taken_back(void **state) {
  (void)state;
  static char large[3000];
  memset(large, 'L', sizeof large);
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 4);
  add(manager, 1, 1, "before", 1);
  arm(FAULT_PARTIAL_ERROR, ENOSPC, 1, false);
  assert_status(sb_visit_manager_add_visit_at(manager, 1, 2, "", 0, large, sizeof large, 2, &visit_error), SB_IO);
  disarm();
  assert_string_equal(ids_of(manager, 1), "1");
  add(manager, 1, 3, "after", 3); /* smaller than what had been written */
  size_t size;
  uint8_t *killed = read_whole(test_path, &size);
  sb_visit_manager_close(manager);
  write_whole(test_path, killed, size);
  free(killed);
  manager = open_file(SB_DURABILITY_NONE, 4);
  assert_int_equal(stats_of(manager).cut_bytes, 0);
  assert_string_equal(ids_of(manager, 1), "3 1");
  close_file(manager);
}

static void a_failed_fsync_poisons_and_is_never_seen(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_ALWAYS, 4);
  add(manager, 1, 1, "before", 1);
  arm(FAULT_ERROR, EIO, 3, false); /* zeros were written before: pwrite, fdatasync */
  for (uint32_t i = 2; i < 10 && !stats_of(manager).poisoned; i++)
    if (sb_visit_manager_add_visit_at(manager, 1, i, "", 0, "", 0, i, &visit_error) == SB_OK) add(manager, 1, i, "", i);
  if (!stats_of(manager).poisoned) { /* the third call was a write: the next is a sync */
    arm(FAULT_ERROR, EIO, 2, false);
    assert_status(sb_visit_manager_add_visit_at(manager, 1, 50, "", 0, "", 0, 50, &visit_error), SB_IO);
  }
  disarm();
  assert_true(stats_of(manager).poisoned);
  assert_null(strstr(ids_of(manager, 1), "50"));
  assert_status(sb_visit_manager_add_visit(manager, 1, 60, "", 0, "", 0, &visit_error), SB_IO);
  assert_status(sb_visit_manager_sync(manager, &visit_error), SB_IO);
  assert_status(sb_visit_manager_finish(manager, &visit_error), SB_IO);
  sb_visit_manager_close(manager);
  manager = open_file(SB_DURABILITY_ALWAYS, 4); /* the lock is free */
  close_file(manager);
}

/* Opens the store of four visits for two, with one fault, and says whether that failed. Then nothing may be forgotten. */
static bool open_for_two(const sb_visit_manager_options *options, const uint8_t *data, size_t size, long failing) {
  sb_visit_manager *manager = NULL;
  write_whole(test_path, data, size);
  if (fault_kind == NO_FAULT)
    allocations_until_failure = failing;
  else
    arm(fault_kind, EIO, failing, false);
  const fault kind = fault_kind;
  const sb_status status = sb_visit_manager_open(test_path, options, &manager, &visit_error);
  const bool met = allocations_until_failure == 0 && calls_until_fault == 0;
  allocations_until_failure = 0;
  disarm();
  fault_kind = kind;
  if (status == SB_OK) {
    assert_string_equal(ids_of(manager, 1), "4 3");
    sb_visit_manager_close(manager);
    return met;
  }
  assert_true(status == SB_NO_MEMORY || status == SB_IO);
  manager = open_file(SB_DURABILITY_NONE, 0);
  assert_string_equal(ids_of(manager, 1), "4 3 2 1");
  assert_int_equal(stats_of(manager).max_visits, 4);
  assert_int_equal(stats_of(manager).cut_bytes, 0);
  close_file(manager);
  return true;
}

static void an_open_that_fails_leaves_max_visits_as_it_was(void **state) {
  (void)state;
  size_t size;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 4);
  for (uint32_t i = 1; i <= 4; i++) add(manager, 1, i, "text", i);
  close_file(manager);
  uint8_t *data = read_whole(test_path, &size);
  for (int32_t durability = SB_DURABILITY_NONE; durability <= SB_DURABILITY_ALWAYS; durability++) {
    sb_visit_manager_options options = options_of(durability, 2);
    options.compact_in_thread = durability == SB_DURABILITY_INTERVAL;
    for (int kind = NO_FAULT; kind <= FAULT_PARTIAL_ERROR; kind++) {
      if (kind == FAULT_SHORT) continue; /* which is no failure */
      long failing = 1;
      for (bool met = true; met; failing++) {
        fault_kind = (fault)kind;
        met = open_for_two(&options, data, size, failing);
      }
      assert_true(failing > 5);
    }
  }
  free(data);
}

/* ---- a writer beside a reader ---- */

static sb_visit_manager *writer;
static uint32_t added;

static void add_three(void) {
  for (int i = 0; i < 3; i++, added++) add(writer, 1, added, "text", added);
}

/* Wherever between the reads of a reader records come to the file: each says that the one before it is on disk, and nothing is damaged. */
static void records_that_come_between_two_reads_are_no_damage(void **state) {
  (void)state;
  meanwhile = add_three;
  writer = open_file(SB_DURABILITY_ALWAYS, 4);
  add(writer, 1, added++, "text", 0);
  unsigned met = 0;
  for (long read = 1; read <= 12; read++) {
    sb_visit_manager *reader = NULL;
    sb_visit_report report = {.struct_size = sizeof report};
    bool changed;
    assert_ok(try_open(true, &reader));
    add(writer, 1, added, "text", added);
    added++;
    reads_until_meanwhile = read;
    assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
    assert_true(changed);
    met += reads_until_meanwhile == 0;
    reads_until_meanwhile = read;
    assert_ok(sb_verify_visits(test_path, &report, &visit_error));
    assert_int_equal(report.damaged_offset, -1);
    met += reads_until_meanwhile == 0;
    sb_visit_manager_close(reader);
    reads_until_meanwhile = read;
    assert_ok(try_open(true, &reader));
    met += reads_until_meanwhile == 0;
    reads_until_meanwhile = 0;
    assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
    char shown[64];
    snprintf(shown, sizeof shown, "%s", ids_of(writer, 1));
    assert_string_equal(ids_of(reader, 1), shown);
    sb_visit_manager_close(reader);
  }
  assert_true(met > 6);
  close_file(writer);
}

int main(void) {
  (void)sb_priv_boot(); /* read once per process, so never while calls fail */
  const struct CMUnitTest tests[] = {
      visit_test(what_a_failed_write_left_is_taken_back),
      visit_test(an_open_that_fails_leaves_max_visits_as_it_was),
      visit_test(a_failed_fsync_poisons_and_is_never_seen),
      visit_test(a_full_disk_leaves_a_store_that_reads_and_later_writes),
      visit_test(any_allocation_may_fail),
      visit_test(any_call_may_give_an_io_error),
      visit_test(any_call_may_find_the_disk_full_after_a_part),
      visit_test(interrupted_and_short_calls_are_no_failures),
      visit_test(records_that_come_between_two_reads_are_no_damage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
