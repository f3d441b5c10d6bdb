/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=pwrite,--wrap=pread,--wrap=fdatasync,--wrap=fsync,--wrap=ftruncate,--wrap=renameat,--wrap=sb_priv_file_move,--wrap=linkat,--wrap=unlinkat,--wrap=fstat,--wrap=fstatat,--wrap=fchmod,--wrap=fcntl,--wrap=getrandom,--wrap=open,--wrap=openat,--wrap=pthread_create */

/* Each system call, and each allocation, of the rarer things that a store does fails once: a first open, an upgrade, a recovery, a
 * compaction, a copy, a salvage, a look by a reader. Whatever fails: the error says why, no descriptor is left open, what was
 * acknowledged is there when the fault is over, and no file of the user's is worse than before. AddressSanitizer looks for leaks. */

#define _GNU_SOURCE
#include "failing_calls.h"
#include "failing_malloc.h"
#include "visit_old_file.h"
#include "visit_testing.h"

#include <dirent.h>

enum {
  KEPT = 4,
  LAST_ID = 900, /* of the visit that is added while calls fail */
  LAST_USER = 1,
  PATIENCE_MS = 20000
};

/* What is done while calls fail. `prepare` and `check` run without faults. `act` says how it ended, and closes what it opened. */
typedef struct scenario {
  const char *name;
  void (*prepare)(void);
  sb_status (*act)(void);
  void (*check)(sb_status status);
} scenario;

static sb_visit_manager *model; /* what was acknowledged */
static enum {
  NOT_TRIED,
  ACKNOWLEDGED,
  DOUBTFUL
} last;                        /* the add of LAST_ID */
static sb_visit_manager *held; /* a handle that is open all the while */
static uint8_t *kept;          /* bytes of a file that must stay, or be kept */
static size_t kept_size;
static char other_path[400];
static sb_visit_report expected;

/* ---- common parts ---- */

static unsigned open_descriptors(void) {
  unsigned count = 0;
  DIR *entries = opendir("/proc/self/fd");
  assert_non_null(entries);
  while (readdir(entries) != NULL) count++;
  closedir(entries);
  return count;
}

/* A compaction that is under way has one of its own. */
static unsigned descriptors_of_held(void) { return held != NULL && stats_of(held).compacting; }

static void remove_files(void) {
  char path[600];
  DIR *entries = opendir(test_folder);
  assert_non_null(entries);
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    snprintf(path, sizeof path, "%s/%s", test_folder, entry->d_name);
    if (entry->d_name[0] != '.') assert_int_equal(unlink(path), 0);
  }
  closedir(entries);
}

static void make_model(void) {
  sb_visit_store store;
  sb_visit_manager_options options = options_of(0, KEPT);
  memory_store_open(KEPT, &store);
  options.store = &store;
  assert_ok(sb_visit_manager_open("", &options, &model, &visit_error));
  last = NOT_TRIED;
}

/* The changes `from` to `to - 1`, of the model and, if there is one, of a store. */
static void change_both(sb_visit_manager *manager, uint32_t from, uint32_t to) {
  sb_visit_manager *both[] = {model, manager};
  char text[80];
  for (uint32_t i = from; i < to; i++) {
    const uint32_t user = i % 5, gone = i - 5;
    bool found;
    snprintf(text, sizeof text, "some text of the visit %u, which takes room", i);
    for (unsigned j = 0; j < 2 && both[j] != NULL; j++) {
      if (i % 9 == 8)
        assert_ok(sb_visit_manager_delete_visits(both[j], user, &gone, 1, &found, &visit_error));
      else
        add(both[j], user, i, text, i);
    }
  }
}

static void keep(const char *path) {
  free(kept);
  kept = read_whole(path, &kept_size);
}

static bool is_kept(const char *path) {
  if (access(path, F_OK) != 0) return false;
  size_t size;
  uint8_t *data = read_whole(path, &size);
  const bool same = size == kept_size && memcmp(data, kept, size) == 0;
  free(data);
  return same;
}

static const char *beside(const char *suffix) {
  static char path[400];
  snprintf(path, sizeof path, "%s%s", test_path, suffix);
  return path;
}

static sb_status open_store(const char *path, int32_t durability, bool read_only, sb_visit_manager **manager) {
  sb_visit_manager_options options = options_of(durability, read_only ? 0 : KEPT);
  options.read_only = read_only;
  return sb_visit_manager_open(path, &options, manager, &visit_error);
}

static sb_status add_last(sb_visit_manager *manager) {
  const sb_status status = sb_visit_manager_add_visit_at(manager, LAST_USER, LAST_ID, "url", 3, "last", 4, LAST_ID, &visit_error);
  last = status == SB_OK ? ACKNOWLEDGED : DOUBTFUL;
  return status;
}

/* What a program does. */
static sb_status open_add_finish(int32_t durability) {
  sb_visit_manager *manager = NULL;
  sb_status status = open_store(test_path, durability, false, &manager);
  if (status != SB_OK) return status;
  status = add_last(manager);
  if (status == SB_OK) status = sb_visit_manager_finish(manager, &visit_error);
  sb_visit_manager_close(manager);
  return status;
}
static sb_status add_without_syncs(void) { return open_add_finish(SB_DURABILITY_NONE); }
static sb_status add_with_syncs(void) { return open_add_finish(SB_DURABILITY_ALWAYS); }

/* Holds a store against the model. An add that failed may have been made when it was a sync that failed. */
static void compare(sb_visit_manager *manager) {
  bool found;
  const uint32_t id = LAST_ID;
  if (last == ACKNOWLEDGED) add(model, LAST_USER, LAST_ID, "last", LAST_ID);
  if (last == DOUBTFUL) {
    add(model, LAST_USER, LAST_ID, "last", LAST_ID); /* it may have put another one out */
    if (sb_visit_manager_add_visit_at(manager, LAST_USER, LAST_ID, "url", 3, "last", 4, LAST_ID, &visit_error) != SB_OK)
      assert_ok(sb_visit_manager_delete_visits(model, LAST_USER, &id, 1, &found, &visit_error));
  }
  last = NOT_TRIED;
  assert_same_visits(manager, model);
}

/* The store, opened anew without faults, has what was acknowledged, and is whole. */
static void check_store(sb_status status) {
  sb_visit_manager *manager = NULL;
  sb_visit_report report = {.struct_size = sizeof report};
  (void)status;
  assert_ok(open_store(test_path, SB_DURABILITY_NONE, false, &manager));
  compare(manager);
  close_file(manager);
  assert_ok(sb_verify_visits(test_path, &report, &visit_error));
  assert_int_equal(report.damaged_offset, -1);
}

static sb_status read_all(const char *path) {
  sb_visit_manager *manager = NULL;
  sb_visit_scan *scan = NULL;
  sb_visits *visits = NULL;
  sb_status status = open_store(path, 0, true, &manager);
  if (status != SB_OK) return status;
  for (uint32_t user = 0; user < 6 && status == SB_OK; user++) {
    status = sb_visit_manager_get_recent_visits(manager, user, &visits, &visit_error);
    if (status == SB_OK) sb_visits_close(visits);
  }
  if (status == SB_OK) status = sb_visit_manager_scan(manager, &scan, &visit_error);
  if (status == SB_OK) status = sb_visit_scan_next(scan, SIZE_MAX, &visits, &visit_error);
  if (status == SB_OK) sb_visits_close(visits);
  sb_visit_scan_close(scan);
  sb_visit_report report = {.struct_size = sizeof report};
  if (status == SB_OK) status = sb_visit_manager_verify(manager, &report, &visit_error);
  sb_visit_manager_close(manager);
  return status;
}

static void check_same_as_model(const char *path) {
  sb_visit_manager *reader = NULL;
  assert_ok(open_store(path, 0, true, &reader));
  assert_same_visits(reader, model);
  sb_visit_manager_close(reader);
}

/* ---- stores: a first open, one that was killed, reads ---- */

static void prepare_nothing(void) { make_model(); }

/* Closes `manager`, and leaves the file as if the process had been killed instead. */
static void kill_store(sb_visit_manager *manager) {
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  close_file(manager);
  write_whole(test_path, data, size);
  free(data);
}

static void prepare_killed(void) {
  sb_visit_manager *manager = NULL;
  make_model();
  assert_ok(open_store(test_path, SB_DURABILITY_NONE, false, &manager));
  change_both(manager, 10, 90); /* some indexes, and some records after the last one */
  kill_store(manager);
}

static sb_status read_store(void) { return read_all(test_path); }

static void check_untouched(sb_status status) {
  (void)status;
  check_same_as_model(test_path);
}

/* ---- upgrade ---- */

static void prepare_old(void) {
  make_model();
  change_both(NULL, 10, 40);
  const old_bytes old = old_file_of(model, KEPT);
  write_whole(test_path, old.data, old.size);
  free(old.data);
  keep(test_path);
}

/* As an upgrade that was killed half-way leaves it. */
static void prepare_old_linked(void) {
  prepare_old();
  assert_int_equal(link(test_path, beside(".v0")), 0);
  write_whole(beside(".new"), "\0\0\0", 3);
}

static void check_upgrade(sb_status status) {
  assert_true(is_kept(test_path) || is_kept(beside(".v0")));
  if (status == SB_OK) assert_false(is_kept(test_path));
  check_store(status);
  assert_true(is_kept(beside(".v0")));
  assert_false(exists(".new"));
}

/* ---- recovery ---- */

static const char torn[] = "what no record is, though it lies behind the log, and is longer than a record's head";

static void prepare_torn(void) {
  sb_visit_manager *manager = NULL;
  make_model();
  assert_ok(open_store(test_path, SB_DURABILITY_NONE, false, &manager));
  change_both(manager, 10, 40);
  kill_store(manager);
  FILE *file = fopen(test_path, "ab");
  assert_non_null(file);
  assert_int_equal(fwrite(torn, 1, sizeof torn - 1, file), sizeof torn - 1);
  fclose(file);
  write_whole(other_path, torn, sizeof torn - 1);
  keep(other_path);
  assert_int_equal(unlink(other_path), 0);
}

static void check_cut(sb_status status) {
  check_store(status);
  assert_true(is_kept(beside(".cut")) || is_kept(beside(".cut.1")));
}

/* ---- compaction, copies ---- */

static void prepare_held_as(int32_t durability) {
  make_model();
  assert_ok(open_store(test_path, durability, false, &held));
  change_both(held, 10, 60);
}
static void prepare_held(void) { prepare_held_as(SB_DURABILITY_NONE); }

/* The handle goes on, unless a sync failed; and so does a new one. */
static void check_held(sb_status status) {
  assert_same_visits(held, model);
  const bool poisoned = stats_of(held).poisoned;
  const sb_status added = add_last(held);
  assert_int_equal(added, poisoned ? SB_IO : SB_OK);
  if (poisoned) last = NOT_TRIED;
  assert_int_equal(sb_visit_manager_finish(held, &visit_error), poisoned ? SB_IO : SB_OK);
  sb_visit_manager_close(held);
  held = NULL;
  check_store(status);
  assert_false(exists(".new"));
}

static sb_status compact(void) { return sb_visit_manager_compact(held, &visit_error); }
static sb_status erase(void) { return sb_visit_manager_clear_user(held, 4, true, &visit_error); }

static void check_erased(sb_status status) {
  const bool cleared = ids_of(held, 4)[0] == 0; /* it may be, when only the erasing failed */
  if (status == SB_OK) assert_true(cleared);
  if (cleared) assert_ok(sb_visit_manager_clear_user(model, 4, false, &visit_error));
  check_held(status);
}

static sb_status copy(void) { return sb_visit_manager_copy_to(held, other_path, &visit_error); }

/* The new file is whole, or is not there. When nothing could be removed either, it must not be taken for a store with other visits. */
static void check_target(sb_status status, bool removable) {
  sb_visit_manager *reader = NULL;
  if (status == SB_OK) return;
  if (removable) assert_int_equal(access(other_path, F_OK), -1);
  if (access(other_path, F_OK) != 0) return;
  const sb_status opened = open_store(other_path, 0, true, &reader);
  if (opened != SB_OK) assert_int_equal(opened, SB_CORRUPT);
  sb_visit_manager_close(reader);
}

static void check_copy(sb_status status) {
  if (status == SB_OK) check_same_as_model(other_path);
  check_target(status, !fault_stays);
  check_held(status);
}

/* ---- salvage ---- */

static void prepare_damaged(void) {
  sb_visit_manager *manager = NULL;
  make_model();
  assert_ok(open_store(test_path, SB_DURABILITY_NONE, false, &manager));
  change_both(manager, 10, 60);
  close_file(manager);
  keep(test_path);
  kept[VISIT_LOG_START + 200] ^= 1;
  write_whole(test_path, kept, kept_size);
  expected = (sb_visit_report){.struct_size = sizeof expected};
  assert_ok(sb_salvage_visits(test_path, other_path, &expected, &visit_error));
  assert_true(expected.damaged_bytes > 0 && expected.visits > 0);
  assert_int_equal(unlink(other_path), 0);
}

static sb_status salvage(void) {
  sb_visit_report report = {.struct_size = sizeof report};
  const sb_status status = sb_salvage_visits(test_path, other_path, &report, &visit_error);
  if (status == SB_OK) assert_memory_equal(&report, &expected, sizeof report);
  return status;
}

static void check_salvage(sb_status status) {
  sb_visit_report report = {.struct_size = sizeof report};
  assert_true(is_kept(test_path));
  check_target(status, !fault_stays);
  if (status != SB_OK) return;
  assert_ok(sb_verify_visits(other_path, &report, &visit_error));
  assert_int_equal(report.visits, expected.visits);
  assert_int_equal(report.users, expected.users);
}

/* ---- readers beside a writer ---- */

static sb_visit_manager *reader;

static void prepare_reader(int32_t durability) {
  prepare_held_as(durability);
  assert_ok(open_store(test_path, 0, true, &reader));
  assert_same_visits(reader, model);
}

static void prepare_reader_behind(void) {
  prepare_reader(SB_DURABILITY_NONE);
  change_both(held, 60, 90); /* with an index */
}

/* The file has many zeros after its log: reading goes on when all records were taken. */
static void prepare_reader_behind_syncs(void) {
  sb_priv_visit_tuning.preallocation = 1u << 20;
  prepare_reader(SB_DURABILITY_ALWAYS);
  change_both(held, 60, 64);
}

static void prepare_reader_of_another_file(void) {
  prepare_reader_behind();
  assert_ok(sb_visit_manager_compact(held, &visit_error));
}

static void prepare_reader_of_an_old_file(void) {
  prepare_old();
  assert_ok(open_store(test_path, 0, true, &reader));
  assert_ok(open_store(test_path, SB_DURABILITY_NONE, false, &held));
  change_both(held, 40, 60);
}

static sb_status refresh(void) {
  bool changed = false;
  const sb_status status = sb_visit_manager_refresh(reader, &changed, &visit_error);
  if (status == SB_OK) assert_true(changed);
  return status;
}

/* A later refresh does what one that failed did not, and says so. */
static void check_refresh(sb_status status) {
  bool changed = false;
  assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
  assert_int_equal(changed, status != SB_OK);
  assert_same_visits(reader, model);
  sb_visit_manager_close(reader);
  check_held(status);
}

/* ---- threads of the library ---- */

static sb_status add_with_threads(void) {
  sb_visit_manager *manager = NULL;
  sb_visit_manager_options options = options_of(SB_DURABILITY_INTERVAL, KEPT);
  options.interval_ms = 1;
  options.compact_in_thread = true;
  sb_status status = sb_visit_manager_open(test_path, &options, &manager, &visit_error);
  if (status != SB_OK) return status;
  status = add_last(manager);
  (void)usleep(1500); /* a sync comes, or two */
  if (status == SB_OK) status = sb_visit_manager_finish(manager, &visit_error);
  sb_visit_manager_close(manager);
  return status;
}

static const scenario scenarios[] = {
    {"a first open", prepare_nothing, add_without_syncs, check_store},
    {"a first open with syncs", prepare_nothing, add_with_syncs, check_store},
    {"an open after a kill", prepare_killed, add_with_syncs, check_store},
    {"reads of all", prepare_killed, read_store, check_untouched},
    {"an upgrade", prepare_old, add_without_syncs, check_upgrade},
    {"an upgrade for the second time", prepare_old_linked, add_with_syncs, check_upgrade},
    {"reads of an old file", prepare_old, read_store, check_untouched},
    {"a recovery", prepare_torn, add_without_syncs, check_cut},
    {"a recovery with syncs", prepare_torn, add_with_syncs, check_cut},
    {"a compaction", prepare_held, compact, check_held},
    {"an erasing", prepare_held, erase, check_erased},
    {"a copy", prepare_held, copy, check_copy},
    {"a salvage", prepare_damaged, salvage, check_salvage},
    {"a refresh", prepare_reader_behind, refresh, check_refresh},
    {"a refresh of a file with zeros", prepare_reader_behind_syncs, refresh, check_refresh},
    {"a refresh after a compaction", prepare_reader_of_another_file, refresh, check_refresh},
    {"a refresh after an upgrade", prepare_reader_of_an_old_file, refresh, check_refresh},
    {"adds with threads", prepare_killed, add_with_threads, check_store},
};
enum {
  SCENARIOS = sizeof scenarios / sizeof *scenarios
};

/* ---- every call of every scenario ---- */

static void begin(const scenario *it) {
  remove_files();
  tune_small();
  it->prepare();
  memset(&visit_error, 0, sizeof visit_error);
}

static void end(const scenario *it, sb_status status) {
  it->check(status);
  sb_visit_manager_close(model);
  model = NULL;
}

static void assert_explained(const scenario *it, sb_status status, bool memory) {
  if (status == SB_OK) return;
  const char *message = visit_error.message;
  const bool explained = memory ? status == SB_NO_MEMORY && strstr(message, "no memory") != NULL
                                : status == SB_IO && (strstr(message, "(errno ") != NULL || strstr(message, "sync") != NULL);
  if (!explained || visit_error.status != status) fail_msg("%s: %s: \"%s\"", it->name, sb_status_name(status), message);
}

static long calls_of(const scenario *it, int calls) {
  begin(it);
  arm_calls(NO_FAULT, 0, 0, false, calls);
  assert_ok(it->act());
  const long seen = calls_seen;
  disarm();
  end(it, SB_OK);
  return seen;
}

/* Returns how many runs failed. */
static unsigned each_call(const scenario *it, fault kind, int problem, bool stays, int calls) {
  unsigned failures = 0;
  const long count = calls_of(it, calls);
  for (long call = 1; call <= count; call++) {
    begin(it);
    const unsigned descriptors = open_descriptors();
    arm_calls(kind, problem, call, stays, calls);
    const sb_status status = it->act();
    disarm();
    if (open_descriptors() != descriptors + descriptors_of_held()) fail_msg("%s: call %ld left a descriptor open", it->name, call);
    assert_explained(it, status, false);
    failures += status != SB_OK;
    end(it, status);
  }
  return failures;
}

static void any_call_may_fail_once(void **state) {
  (void)state;
  for (unsigned i = 0; i < SCENARIOS; i++) assert_true(each_call(&scenarios[i], FAULT_ERROR, EIO, false, CALL_ANY) >= 3);
}

static void any_call_and_all_after_it_may_fail(void **state) {
  (void)state;
  for (unsigned i = 0; i < SCENARIOS; i++) assert_true(each_call(&scenarios[i], FAULT_ERROR, EIO, true, CALL_ANY) >= 3);
}

/* What was not synced must not be taken for what was. */
static void no_sync_fails_unnoticed(void **state) {
  (void)state;
  for (unsigned i = 0; i < SCENARIOS; i++) {
    const scenario *it = &scenarios[i];
    if (it->act == add_with_threads) continue; /* its syncs are not always as many */
    const long count = calls_of(it, CALL_SYNC);
    const unsigned failures = each_call(it, FAULT_ERROR, EIO, false, CALL_SYNC);
    if (failures != count) fail_msg("%s: of %ld syncs that failed %u were noticed", it->name, count, failures);
  }
}

static void any_write_may_find_the_disk_full_after_a_part(void **state) {
  (void)state;
  for (unsigned i = 0; i < SCENARIOS; i++) (void)each_call(&scenarios[i], FAULT_PARTIAL_ERROR, ENOSPC, false, CALL_WRITE);
}

static void interruptions_and_short_calls_are_no_failures(void **state) {
  (void)state;
  for (unsigned i = 0; i < SCENARIOS; i++) {
    assert_int_equal(each_call(&scenarios[i], FAULT_ERROR, EINTR, false, CALL_INTERRUPTED), 0);
    assert_int_equal(each_call(&scenarios[i], FAULT_SHORT, 0, false, CALL_READ | CALL_WRITE), 0);
  }
}

static void any_allocation_may_fail(void **state) {
  (void)state;
  unsigned failures = 0;
  for (unsigned i = 0; i < SCENARIOS; i++) {
    const scenario *it = &scenarios[i];
    bool reached = true;
    for (long call = 1; reached; call++) {
      begin(it);
      const unsigned descriptors = open_descriptors();
      allocations_until_failure = call;
      const sb_status status = it->act();
      reached = allocations_until_failure == 0;
      allocations_until_failure = 0;
      if (open_descriptors() != descriptors + descriptors_of_held()) fail_msg("%s: allocation %ld left a descriptor open", it->name, call);
      assert_explained(it, status, true);
      failures += status != SB_OK;
      end(it, status);
    }
  }
  assert_true(failures > 10 * SCENARIOS);
}

/* ---- threads ---- */

static void a_thread_that_cannot_be_started_fails_the_open(void **state) {
  (void)state;
  for (long call = 1; call <= 2; call++) {
    sb_visit_manager *manager = NULL;
    sb_visit_manager_options options = options_of(SB_DURABILITY_INTERVAL, KEPT);
    options.compact_in_thread = true;
    const unsigned descriptors = open_descriptors();
    arm_calls(FAULT_ERROR, EAGAIN, call, false, CALL_THREAD);
    assert_status(sb_visit_manager_open(test_path, &options, &manager, &visit_error), SB_IO);
    disarm();
    assert_non_null(strstr(visit_error.message, "starting a thread: Resource temporarily unavailable"));
    assert_int_equal(open_descriptors(), descriptors);
    assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error)); /* the lock is free */
    close_file(manager);
  }
}

/* Nobody waits for the syncs of the thread: the next change says that one failed. */
static void a_sync_that_fails_in_the_thread_is_told_by_the_next_change(void **state) {
  (void)state;
  for (long call = 1; call <= 3; call++) {
    remove_files();
    sb_visit_manager *manager = NULL;
    sb_visit_manager_options options = options_of(SB_DURABILITY_INTERVAL, KEPT);
    options.interval_ms = 1;
    assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
    arm_calls(FAULT_ERROR, EIO, call, false, CALL_SYNC);
    uint32_t added = 0;
    sb_status status = SB_OK;
    for (int waited = 0; status == SB_OK && waited < PATIENCE_MS; waited++) {
      status = sb_visit_manager_add_visit_at(manager, 1, added, "", 0, "", 0, added, &visit_error);
      added += status == SB_OK;
      (void)usleep(1000);
    }
    disarm();
    assert_int_equal(status, SB_IO);
    assert_non_null(strstr(visit_error.message, "sync failed"));
    assert_true(stats_of(manager).poisoned);
    assert_status(sb_visit_manager_sync(manager, &visit_error), SB_IO);
    char shown[1000];
    snprintf(shown, sizeof shown, "%s", ids_of(manager, 1)); /* reads go on */
    assert_int_equal(strtoul(shown, NULL, 10), added - 1);
    assert_status(sb_visit_manager_finish(manager, &visit_error), SB_IO);
    sb_visit_manager_close(manager);
    manager = open_file(SB_DURABILITY_NONE, 0);
    assert_string_equal(ids_of(manager, 1), shown); /* the process was not killed, and nothing is lost */
    close_file(manager);
  }
}

static int prepare_folder(void **state) {
  const int result = folder_make(state);
  snprintf(other_path, sizeof other_path, "%s/other", test_folder);
  return result;
}

static int remove_folder(void **state) {
  free(kept);
  kept = NULL;
  return folder_remove(state);
}

#define fault_test(name) cmocka_unit_test_setup_teardown(name, prepare_folder, remove_folder)

int main(void) {
  (void)sb_priv_boot(); /* read once per process, so never while calls fail */
  const struct CMUnitTest tests[] = {
      fault_test(any_call_may_fail_once),
      fault_test(any_call_and_all_after_it_may_fail),
      fault_test(no_sync_fails_unnoticed),
      fault_test(any_write_may_find_the_disk_full_after_a_part),
      fault_test(interruptions_and_short_calls_are_no_failures),
      fault_test(any_allocation_may_fail),
      fault_test(a_thread_that_cannot_be_started_fails_the_open),
      fault_test(a_sync_that_fails_in_the_thread_is_told_by_the_next_change),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
