/* link: -Wl,--wrap=fcntl,--wrap=fdatasync,--wrap=sb_priv_file_move */

/* Names are not things: what a store does when others remove, rename, replace, link and restore its files while it writes, and whose the
 * names beside it are. Each moment in which something happens is chosen, none is waited for. */

#define _GNU_SOURCE
#include "visit_testing.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

/* ---- moments ---- */

static void (*meanwhile)(void);
static unsigned locks_until, syncs_until, moves_until; /* the call before which `meanwhile` runs, counted from 1; 0: none */
static int lock_problem, move_problem;                 /* errno of every lock, and of every move in one step; 0: they are made */
static bool die_at_move;

static void count_down(unsigned *until) {
  if (*until == 0 || --*until > 0) return;
  void (*const run)(void) = meanwhile;
  meanwhile = NULL;
  if (run != NULL) run();
}

int __real_fcntl(int file, int command, ...);
int __wrap_fcntl(int file, int command, ...);
int __wrap_fcntl(int file, int command, ...) {
  va_list more;
  va_start(more, command);
  void *argument = va_arg(more, void *);
  va_end(more);
  if (command == F_OFD_SETLK && ((struct flock *)argument)->l_type == F_WRLCK) {
    count_down(&locks_until);
    if (lock_problem != 0) {
      errno = lock_problem;
      return -1;
    }
  }
  return __real_fcntl(file, command, argument);
}

int __real_fdatasync(int file);
int __wrap_fdatasync(int file);
int __wrap_fdatasync(int file) {
  count_down(&syncs_until);
  return __real_fdatasync(file);
}

int __real_sb_priv_file_move(int folder, const char *from, const char *to, int how);
int __wrap_sb_priv_file_move(int folder, const char *from, const char *to, int how);
int __wrap_sb_priv_file_move(int folder, const char *from, const char *to, int how) {
  if (die_at_move) _exit(0);
  count_down(&moves_until);
  return move_problem != 0 ? move_problem : __real_sb_priv_file_move(folder, from, to, how);
}

static int names_make(void **state) {
  meanwhile = NULL;
  locks_until = syncs_until = moves_until = 0;
  lock_problem = move_problem = 0;
  return folder_make(state);
}
#define names_test(name) cmocka_unit_test_setup_teardown(name, names_make, folder_remove)

/* ---- common parts ---- */

enum {
  MINE = 1,   /* user of what the store under test adds */
  THEIRS = 7, /* user of what a backup has */
  THEIR_COUNT = 5,
  PAUSE_NS = 130000000 /* after which a handle looks at its path again, whatever its mode */
};

static const int32_t modes[] = {SB_DURABILITY_NONE, SB_DURABILITY_INTERVAL, SB_DURABILITY_ALWAYS};

static const char *beside(const char *suffix) {
  static char paths[4][400];
  static unsigned next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s%s", test_path, suffix);
  return path;
}

static void wait_for_a_look(void) {
  const struct timespec time = {.tv_nsec = PAUSE_NS};
  (void)nanosleep(&time, NULL);
}

static sb_status open_at(const char *path, int32_t durability, sb_visit_manager **manager) {
  const sb_visit_manager_options options = options_of(durability, 0);
  *manager = NULL;
  return sb_visit_manager_open(path, &options, manager, &visit_error);
}

static sb_status try_add(sb_visit_manager *manager, uint32_t visit_id) {
  return sb_visit_manager_add_visit_at(manager, MINE, visit_id, "url", 3, "text", 4, visit_id, &visit_error);
}

/* A store with visits of THEIRS. */
static void make_backup(const char *path) {
  sb_visit_manager *manager;
  assert_ok(open_at(path, SB_DURABILITY_NONE, &manager));
  for (uint32_t i = 1; i <= THEIR_COUNT; i++) add(manager, THEIRS, i, "precious", i);
  close_file(manager);
}

static void assert_is_backup(const char *path) {
  sb_visit_manager_options options = options_of(0, 0);
  sb_visit_manager *reader = NULL;
  options.read_only = true;
  assert_ok(sb_visit_manager_open(path, &options, &reader, &visit_error));
  assert_string_equal(ids_of(reader, THEIRS), "5 4 3 2 1");
  assert_string_equal(ids_of(reader, MINE), "");
  sb_visit_manager_close(reader);
}

static void assert_has(const char *path, const char *ids) {
  sb_visit_manager *manager;
  assert_ok(open_at(path, SB_DURABILITY_NONE, &manager));
  assert_string_equal(ids_of(manager, MINE), ids);
  close_file(manager);
}

static ino_t inode_of(const char *path) {
  struct stat facts;
  assert_int_equal(stat(path, &facts), 0);
  return facts.st_ino;
}

/* ---- two writers ---- */

static void a_writer_is_alone_though_its_lock_file_is_removed(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    sb_visit_manager *first = open_file(modes[i], 100), *second;
    assert_ok(try_add(first, 1));
    assert_int_equal(unlink(beside(".lock")), 0);
    assert_status(try_open(false, &second), SB_LOCKED);
    assert_non_null(strstr(visit_error.message, "another handle or process writes this file"));
    assert_int_equal(unlink(beside(".lock")), 0); /* that of the second */
    assert_ok(try_add(first, 2));
    assert_ok(sb_visit_manager_compact(first, &visit_error)); /* another file, and a lock on it */
    assert_status(try_open(false, &second), SB_LOCKED);
    assert_ok(try_add(first, 3));
    close_file(first);
    assert_has(test_path, "3 2 1");
    assert_int_equal(unlink(test_path), 0);
  }
}

static void a_hard_link_leads_to_the_same_lock_and_is_never_left_behind(void **state) {
  (void)state;
  sb_visit_manager *first = open_file(SB_DURABILITY_NONE, 100), *second;
  assert_ok(try_add(first, 1));
  assert_int_equal(link(test_path, beside(".other")), 0);
  assert_status(open_at(beside(".other"), 0, &second), SB_LOCKED);
  const ino_t before = inode_of(test_path);
  assert_status(sb_visit_manager_compact(first, &visit_error), SB_UNSUPPORTED);
  assert_non_null(strstr(visit_error.message, "2 names (hard links)"));
  assert_false(exists(".new"));
  assert_int_equal(inode_of(test_path), before);
  assert_ok(try_add(first, 2));
  assert_status(sb_visit_manager_clear_user(first, MINE + 1, true, &visit_error), SB_UNSUPPORTED); /* the bytes would stay there */
  close_file(first);
  assert_has(beside(".other"), "2 1");
  assert_int_equal(unlink(beside(".other")), 0);
  first = open_file(SB_DURABILITY_NONE, 0);
  assert_ok(sb_visit_manager_compact(first, &visit_error));
  close_file(first);
  assert_has(test_path, "2 1");
}

/* Whoever opened the old file before a compaction, and locks it after, must not write it. */
static sb_visit_manager *other;
static void compact_other(void) {
  assert_ok(sb_visit_manager_compact(other, &visit_error));
  assert_ok(try_add(other, 2));
}
static void compact_and_close_other(void) {
  compact_other();
  close_file(other);
}
static void who_locks_a_file_that_was_replaced_meanwhile_opens_the_new_one(void **state) {
  (void)state;
  for (int closes = 0; closes < 2; closes++) {
    sb_visit_manager *second;
    other = open_file(SB_DURABILITY_ALWAYS, 100);
    assert_ok(try_add(other, 1));
    assert_int_equal(unlink(beside(".lock")), 0);
    const ino_t before = inode_of(test_path);
    meanwhile = closes ? compact_and_close_other : compact_other;
    locks_until = 2; /* the first is PATH.lock */
    const sb_status status = open_at(test_path, SB_DURABILITY_ALWAYS, &second);
    assert_null(meanwhile);
    assert_true(inode_of(test_path) != before);
    if (closes) {
      assert_int_equal(status, SB_OK);
      assert_string_equal(ids_of(second, MINE), "2 1");
      assert_ok(try_add(second, 3));
      close_file(second);
    } else {
      assert_status(status, SB_LOCKED);
      assert_ok(try_add(other, 3));
      close_file(other);
    }
    assert_has(test_path, "3 2 1");
    assert_int_equal(unlink(test_path), 0);
  }
}

static sb_status status_meanwhile;
static void open_second(void) {
  sb_visit_manager *second;
  assert_int_equal(unlink(beside(".lock")), 0);
  status_meanwhile = open_at(test_path, SB_DURABILITY_ALWAYS, &second);
  sb_visit_manager_close(second);
}
/* At no moment of a first open, of an upgrade of an empty file or of a compaction can a second writer get in. */
static void nobody_gets_between_a_new_file_and_its_name(void **state) {
  (void)state;
  for (int how = 0; how < 3; how++)
    for (unsigned moment = 1; moment <= 4; moment++) {
      sb_visit_manager *manager = NULL;
      if (how == 1) write_whole(test_path, "", 0);
      if (how == 2) manager = open_file(SB_DURABILITY_ALWAYS, 100);
      status_meanwhile = SB_OK;
      meanwhile = open_second;
      if (moment == 4)
        moves_until = 1;
      else
        syncs_until = moment;
      if (how < 2)
        manager = open_file(SB_DURABILITY_ALWAYS, 100);
      else
        assert_ok(sb_visit_manager_compact(manager, &visit_error));
      if (meanwhile == NULL) assert_status(status_meanwhile, SB_LOCKED);
      assert_true(meanwhile == NULL || moment == 3); /* a first open has two syncs */
      meanwhile = NULL;
      syncs_until = moves_until = 0;
      assert_ok(try_add(manager, 1));
      close_file(manager);
      assert_has(test_path, "1");
      assert_int_equal(unlink(test_path), 0);
    }
}

static void a_file_system_without_locks_is_refused_for_writing(void **state) {
  (void)state;
  static const int problems[] = {EINVAL, ENOLCK, ENOSYS, EOPNOTSUPP};
  close_file(open_file(SB_DURABILITY_NONE, 3));
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
    sb_visit_manager *manager;
    lock_problem = problems[i];
    assert_status(try_open(false, &manager), SB_IO);
    assert_int_equal(visit_error.system_error, problems[i]);
    assert_non_null(strstr(visit_error.message, "has no locks that keep two writers apart"));
    assert_non_null(strstr(visit_error.message, "read_only"));
    assert_ok(try_open(true, &manager));
    sb_visit_manager_close(manager);
    lock_problem = 0;
  }
}

/* ---- a handle whose file has lost its name ---- */

static void remove_it(void) { assert_int_equal(unlink(test_path), 0); }
static void rename_it(void) { assert_int_equal(rename(test_path, beside(".moved")), 0); }
static void restore_over_it(void) { assert_int_equal(rename(beside(".backup"), test_path), 0); }
static void put_a_link_in_its_place(void) {
  rename_it();
  assert_int_equal(symlink(beside(".moved"), test_path), 0);
}
static void move_its_folder(void) {
  char moved[300];
  snprintf(moved, sizeof moved, "%s-moved", test_folder);
  assert_int_equal(rename(test_folder, moved), 0);
}
static void move_its_folder_and_make_another(void) {
  move_its_folder();
  assert_int_equal(mkdir(test_folder, 0700), 0);
  make_backup(test_path);
}

static void put_the_folder_back(void) {
  char moved[300], command[700];
  snprintf(moved, sizeof moved, "%s-moved", test_folder);
  if (access(moved, F_OK) != 0) return;
  snprintf(command, sizeof command, "rm -rf '%s'", test_folder);
  assert_int_equal(system(command), 0); /* NOLINT: a path of our own */
  assert_int_equal(rename(moved, test_folder), 0);
}

typedef struct displacement {
  const char *name;
  void (*make)(void);
  bool path_only;        /* which is looked at now and then in every mode */
  const char *kept;      /* where the file is found afterwards; NULL: nowhere */
  const char *untouched; /* a backup */
} displacement;

static const displacement displacements[] = {
    {"removed", remove_it, false, NULL, NULL},
    {"renamed", rename_it, false, ".moved", NULL},
    {"replaced", restore_over_it, false, NULL, ""},
    {"replaced by a link", put_a_link_in_its_place, false, ".moved", NULL},
    {"its folder moved", move_its_folder, true, NULL, NULL},
    {"its folder exchanged", move_its_folder_and_make_another, true, NULL, ""},
};

static void assert_stopped(const displacement *it, sb_visit_manager *manager, int32_t mode) {
  sb_visit_stats stats;
  bool found;
  if (it->path_only || mode != SB_DURABILITY_ALWAYS) wait_for_a_look();
  sb_status status = try_add(manager, 3);
  if (status != SB_NOT_FOUND) fail_msg("%s, mode %d: an add was %s", it->name, mode, sb_status_name(status));
  assert_true(strstr(visit_error.message, "moved") != NULL && strstr(visit_error.message, "nothing more is written") != NULL);
  assert_status(sb_visit_manager_delete_visits(manager, MINE, &(uint32_t){1}, 1, &found, &visit_error), SB_NOT_FOUND);
  assert_status(sb_visit_manager_clear_user(manager, MINE, false, &visit_error), SB_NOT_FOUND);
  assert_status(sb_visit_manager_compact(manager, &visit_error), SB_NOT_FOUND);
  assert_status(sb_visit_manager_sync(manager, &visit_error), SB_NOT_FOUND);
  assert_string_equal(ids_of(manager, MINE), "2 1"); /* reads go on */
  stats = stats_of(manager);
  assert_false(stats.poisoned || stats.compacting);
}

static void a_handle_whose_file_has_lost_its_name_stops_and_says_so(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof displacements / sizeof *displacements; i++)
    for (int mode = 0; mode < 3; mode++) {
      const displacement *it = &displacements[i];
      sb_visit_manager *manager = open_file(modes[mode], 100);
      make_backup(beside(".backup"));
      assert_ok(try_add(manager, 1));
      assert_ok(try_add(manager, 2));
      it->make();
      assert_stopped(it, manager, modes[mode]);
      if (it->untouched != NULL) assert_is_backup(test_path);
      sb_visit_manager *next = NULL; /* whoever opens what is there now need not wait for this handle */
      if (it->untouched != NULL) assert_ok(try_open(false, &next));
      sb_visit_manager_close(next);
      assert_status(sb_visit_manager_finish(manager, &visit_error), SB_NOT_FOUND);
      sb_visit_manager_close(manager);
      if (it->untouched != NULL) assert_is_backup(test_path);
      if (it->kept != NULL) assert_has(beside(it->kept), "2 1"); /* what was acknowledged, and whole */
      put_the_folder_back();
      char command[700];
      snprintf(command, sizeof command, "rm -rf '%s'/*", test_folder);
      assert_int_equal(system(command), 0); /* NOLINT: a path of our own */
    }
}

/* Where nothing is added after it, sync and finish tell; and so does the thread that syncs, to the next add. */
static void what_nobody_asked_about_is_told_at_the_end(void **state) {
  (void)state;
  for (int mode = 0; mode < 3; mode++)
    for (int sync = 0; sync < 2; sync++) {
      sb_visit_manager *manager = open_file(modes[mode], 100);
      assert_ok(try_add(manager, 1));
      remove_it();
      if (sync) assert_status(sb_visit_manager_sync(manager, &visit_error), SB_NOT_FOUND);
      assert_status(sb_visit_manager_finish(manager, &visit_error), SB_NOT_FOUND);
      assert_int_equal(visit_error.system_error, ENOENT);
      sb_visit_manager_close(manager);
    }
}

static void a_handle_that_has_stopped_does_not_go_on_when_the_file_is_back(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_ALWAYS, 100);
  assert_ok(try_add(manager, 1));
  rename_it();
  assert_status(try_add(manager, 2), SB_NOT_FOUND);
  assert_int_equal(rename(beside(".moved"), test_path), 0);
  assert_status(try_add(manager, 2), SB_NOT_FOUND);
  assert_status(sb_visit_manager_finish(manager, &visit_error), SB_NOT_FOUND);
  sb_visit_manager_close(manager);
  manager = open_file(SB_DURABILITY_ALWAYS, 0);
  assert_string_equal(ids_of(manager, MINE), "1");
  assert_ok(try_add(manager, 2));
  close_file(manager);
}

/* A link that was followed when the store was opened, and leads elsewhere by now. */
static void a_link_that_is_turned_elsewhere_stops_the_handle(void **state) {
  (void)state;
  char link_path[400];
  sb_visit_manager *manager, *second;
  snprintf(link_path, sizeof link_path, "%s/link", test_folder);
  make_backup(beside(".backup"));
  close_file(open_file(SB_DURABILITY_NONE, 100));
  assert_int_equal(symlink(test_path, link_path), 0);
  assert_ok(open_at(link_path, SB_DURABILITY_ALWAYS, &manager));
  assert_ok(try_add(manager, 1));
  assert_status(try_open(false, &second), SB_LOCKED);
  assert_ok(sb_visit_manager_compact(manager, &visit_error)); /* the link leads to the new file */
  assert_ok(try_add(manager, 2));
  assert_int_equal(unlink(link_path) | symlink(beside(".backup"), link_path), 0);
  wait_for_a_look();
  assert_status(try_add(manager, 3), SB_NOT_FOUND);
  sb_visit_manager_close(manager);
  assert_is_backup(beside(".backup"));
  assert_has(test_path, "2 1");
}

/* A relative path means what it meant when the store was opened. */
static void the_folder_of_the_process_may_change(void **state) {
  (void)state;
  const int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  sb_visit_manager *manager;
  assert_true(before >= 0 && chdir(test_folder) == 0);
  assert_ok(open_at("visits", SB_DURABILITY_ALWAYS, &manager));
  assert_int_equal(chdir("/"), 0);
  assert_ok(try_add(manager, 1));
  wait_for_a_look();
  assert_ok(try_add(manager, 2));
  assert_ok(sb_visit_manager_compact(manager, &visit_error));
  close_file(manager);
  assert_int_equal(fchdir(before), 0);
  close(before);
  assert_has(test_path, "2 1");
}

/* A process that may not look any more goes on: that is no sign that the file has moved. */
static int add_without_rights(bool root_changes) {
  sb_visit_manager *manager = NULL;
  const bool root = geteuid() == 0;
  if (!root && root_changes && unshare(CLONE_NEWUSER) != 0) return 1;
  if (open_at(test_path, SB_DURABILITY_ALWAYS, &manager) != SB_OK || try_add(manager, 1) != SB_OK) return 2;
  if (root_changes) {
    if (chroot(test_folder) != 0) return 3;
  } else {
    if (chmod(test_folder, 0) != 0) return 4;
    if (root && seteuid(65534) != 0) return 5;
  }
  wait_for_a_look();
  if (try_add(manager, 2) != SB_OK) return 6;
  if (sb_visit_manager_finish(manager, &visit_error) != SB_OK) return 7;
  return 0;
}

static void a_process_with_another_root_or_fewer_rights_goes_on(void **state) {
  (void)state;
  for (int root_changes = 0; root_changes < 2; root_changes++) {
    const pid_t child = fork();
    if (child == 0) _exit(add_without_rights(root_changes));
    int ended = 0;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(chmod(test_folder, 0700), 0);
    if (ended != 0) fail_msg("root changes: %d: exit %d", root_changes, WEXITSTATUS(ended));
    assert_has(test_path, "2 1");
    assert_int_equal(unlink(test_path), 0);
  }
}

/* ---- renames ---- */

/* Whenever a backup is restored while a compaction runs, also between its last look and its rename, the backup stays what it is. */
static void a_compaction_overwrites_no_restored_backup(void **state) {
  (void)state;
  bool at_the_rename = false;
  for (unsigned moment = 1; moment <= 9; moment++) { /* above 5 without exchanges: then the last moment of all is not safe */
    move_problem = moment > 5 ? EINVAL : 0;
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 100);
    make_backup(beside(".backup"));
    assert_ok(try_add(manager, 1));
    meanwhile = restore_over_it;
    if (moment == 5)
      moves_until = 1;
    else
      syncs_until = moment % 5;
    const sb_status status = sb_visit_manager_compact(manager, &visit_error);
    if (meanwhile == NULL) assert_status(status, SB_NOT_FOUND);
    at_the_rename |= moment == 5 && meanwhile == NULL;
    if (meanwhile == NULL) assert_is_backup(test_path);
    assert_false(exists(".new"));
    const bool restored = meanwhile == NULL;
    meanwhile = NULL;
    syncs_until = moves_until = 0;
    assert_int_equal(sb_visit_manager_finish(manager, &visit_error), restored ? SB_NOT_FOUND : SB_OK);
    sb_visit_manager_close(manager);
    if (restored) assert_is_backup(test_path);
    assert_int_equal(unlink(test_path), 0);
  }
  assert_true(at_the_rename);
  move_problem = 0;
}

static void put_a_backup_there(void) {
  locks_until = syncs_until = moves_until = 0;
  assert_int_equal(rename(beside(".backup"), test_path), 0);
}
/* A store that comes while one is made is opened, and not overwritten. With and without moves in one step. */
static void a_first_open_overwrites_nothing_that_came_meanwhile(void **state) {
  (void)state;
  for (int without = 0; without < 2; without++)
    for (unsigned moment = 1; moment <= 3; moment++) {
      sb_visit_manager *manager;
      make_backup(beside(".backup"));
      move_problem = without ? EINVAL : 0;
      meanwhile = put_a_backup_there;
      if (moment == 3)
        moves_until = 1;
      else
        syncs_until = moment;
      assert_ok(open_at(test_path, SB_DURABILITY_NONE, &manager));
      assert_null(meanwhile);
      move_problem = 0;
      assert_string_equal(ids_of(manager, THEIRS), "5 4 3 2 1");
      close_file(manager);
      assert_false(exists(".new"));
      assert_is_backup(test_path);
      assert_int_equal(unlink(test_path), 0);
    }
}

static void where_names_cannot_be_exchanged_a_compaction_renames(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 100);
  assert_ok(try_add(manager, 1));
  const ino_t before = inode_of(test_path);
  move_problem = EINVAL;
  assert_ok(sb_visit_manager_compact(manager, &visit_error));
  assert_true(inode_of(test_path) != before);
  make_backup(beside(".backup"));
  restore_over_it();
  assert_status(sb_visit_manager_compact(manager, &visit_error), SB_NOT_FOUND);
  move_problem = 0;
  sb_visit_manager_close(manager);
  assert_is_backup(test_path);
}

/* What is built has a name, too, which others may take away. */
static void take_the_new_file_away(void) {
  assert_int_equal(rename(beside(".new"), beside(".taken")), 0);
  write_whole(beside(".new"), "somebody's", 10);
}
static void a_compaction_whose_new_file_is_taken_away_changes_nothing(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_ALWAYS, 100);
  assert_ok(try_add(manager, 1));
  const ino_t before = inode_of(test_path);
  meanwhile = take_the_new_file_away;
  syncs_until = 2;
  assert_status(sb_visit_manager_compact(manager, &visit_error), SB_NOT_FOUND);
  assert_null(meanwhile);
  assert_file_is(beside(".new"), "somebody's", 10);
  assert_int_equal(inode_of(test_path), before);
  assert_ok(try_add(manager, 2)); /* the store itself is where it was */
  assert_int_equal(unlink(beside(".new")), 0);
  assert_ok(sb_visit_manager_compact(manager, &visit_error));
  close_file(manager);
  assert_has(test_path, "2 1");
}

/* ---- what a killed process left ---- */

static void fill(sb_visit_manager *manager) {
  for (uint32_t i = 1; i <= 40; i++) add(manager, i % 9, i, "a text that takes some room", i);
}

static int compact_and_die(unsigned moment) {
  sb_visit_manager *manager = NULL;
  tune_small();
  if (open_at(test_path, SB_DURABILITY_ALWAYS, &manager) != SB_OK) return 1;
  if (moment == 3) die_at_move = true; /* complete, and not yet in place */
  if (moment < 3) {
    if (moment == 1) sb_priv_visit_tuning.compact_min = 0;
    for (uint32_t i = 100; moment == 1 && !stats_of(manager).compacting && i < 10000; i++) add(manager, i % 9, i, "more", i);
    return stats_of(manager).compacting ? 0 : 2;
  }
  (void)!sb_visit_manager_compact(manager, NULL);
  return 3;
}

static void what_a_killed_compaction_left_is_removed(void **state) {
  (void)state;
  for (unsigned moment = 1; moment <= 3; moment += 2) {
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 4);
    fill(manager);
    close_file(manager);
    const pid_t child = fork();
    if (child == 0) _exit(compact_and_die(moment));
    int ended = 0;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_true(exists(".new"));
    manager = open_file(SB_DURABILITY_NONE, 0);
    assert_false(exists(".new"));
    assert_ok(sb_visit_manager_compact(manager, &visit_error));
    close_file(manager);
    assert_int_equal(unlink(test_path), 0);
  }
}

/* A process that is killed between the exchange and the removal leaves the old store as PATH.new. */
static void what_a_compaction_has_replaced_is_removed(void **state) {
  (void)state;
  size_t size;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 4);
  fill(manager);
  uint8_t *old = read_whole(test_path, &size);
  assert_ok(sb_visit_manager_compact(manager, &visit_error));
  write_whole(beside(".new"), old, size);
  size_t new_size;
  uint8_t *compacted = read_whole(test_path, &new_size);
  close_file(manager);
  write_whole(beside(".new"), old, size);
  manager = open_file(SB_DURABILITY_NONE, 0); /* it was closed: its slot does not say any more what it replaced */
  assert_file_is(beside(".new"), old, size);
  close_file(manager);
  write_whole(test_path, compacted, new_size); /* as if it had been killed at once */
  manager = open_file(SB_DURABILITY_NONE, 0);
  assert_false(exists(".new"));
  close_file(manager);
  free(old);
  free(compacted);
}

/* A store that somebody moves to this name, to put an older copy in its place, has no mark any more as soon as it was written. */
static void a_store_that_was_written_since_is_not_taken_for_a_leftover(void **state) {
  (void)state;
  size_t old_size, new_size;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 100);
  fill(manager);
  uint8_t *old = read_whole(test_path, &old_size);
  assert_ok(sb_visit_manager_compact(manager, &visit_error));
  assert_ok(try_add(manager, 1000));
  uint8_t *newer = read_whole(test_path, &new_size);
  close_file(manager);
  write_whole(test_path, old, old_size);
  write_whole(beside(".new"), newer, new_size);
  manager = open_file(SB_DURABILITY_NONE, 0);
  assert_file_is(beside(".new"), newer, new_size);
  close_file(manager);
  free(old);
  free(newer);
}

/* ---- whose a file under one of the store's names is ---- */

static void a_neighbour_under_the_name_of_the_new_file_stays_whatever_it_holds(void **state) {
  (void)state;
  enum {
    BIG = 8192
  };
  size_t size;
  static uint8_t zeros[BIG];
  make_backup(beside(".backup"));
  uint8_t *backup = read_whole(beside(".backup"), &size);
  uint8_t *headless = read_whole(beside(".backup"), &size);
  memset(headless, 0, 512); /* as what is being built begins with zeros */
  close_file(open_file(SB_DURABILITY_NONE, 100));
  size_t store_size;
  uint8_t *store = read_whole(test_path, &store_size);
  assert_int_equal(unlink(test_path), 0);
  const struct {
    const void *data;
    size_t size;
  } neighbours[] = {{backup, size}, {headless, size}, {zeros, BIG}, {"\0\0\0\0\0\0\0\0notes", 13}};
  for (size_t i = 0; i < sizeof neighbours / sizeof *neighbours; i++) {
    write_whole(beside(".new"), neighbours[i].data, neighbours[i].size);
    sb_visit_manager *manager;
    assert_status(try_open(false, &manager), SB_INVALID_ARGUMENT); /* a first open builds a file, too */
    assert_false(exists(""));
    write_whole(test_path, store, store_size);
    manager = open_file(SB_DURABILITY_NONE, 100);
    assert_status(sb_visit_manager_compact(manager, &visit_error), SB_INVALID_ARGUMENT);
    assert_non_null(strstr(visit_error.message, ".new, which is another file; move that away"));
    assert_ok(try_add(manager, 1));
    close_file(manager);
    assert_file_is(beside(".new"), neighbours[i].data, neighbours[i].size);
    assert_int_equal(unlink(test_path), 0);
  }
  free(store);
  free(backup);
  free(headless);
}

static sb_status salvage_to(const char *target) {
  sb_visit_report report = {.struct_size = sizeof report};
  return sb_salvage_visits(test_path, target, &report, &visit_error);
}

static void targets_are_never_a_stores_own_names(void **state) {
  (void)state;
  static const char *const own[] = {".lock", ".new", ".v0", ".cut", ".cut.1", ".cut.23", ".new.lock"};
  char neighbour[400], folder_link[300], target[800];
  snprintf(neighbour, sizeof neighbour, "%s/neighbour", test_folder);
  snprintf(folder_link, sizeof folder_link, "%s-link", test_folder);
  make_backup(neighbour);
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 100);
  assert_ok(try_add(manager, 1));
  assert_int_equal(symlink(test_folder, folder_link), 0);
  const char *const folders[] = {test_folder, folder_link};
  const char *const stores[] = {"visits", "neighbour", "./visits"};
  for (size_t i = 0; i < 2 * 3 * sizeof own / sizeof *own; i++) {
    snprintf(target, sizeof target, "%s/%s%s", folders[i % 2], stores[i / 2 % 3], own[i / 6]);
    const bool was = access(target, F_OK) == 0;
    assert_status(sb_visit_manager_copy_to(manager, target, &visit_error), SB_INVALID_ARGUMENT);
    assert_status(salvage_to(target), SB_INVALID_ARGUMENT);
    if (!was) {
      sb_visit_manager *second;
      assert_non_null(strstr(visit_error.message, "takes for itself; choose another"));
      assert_status(open_at(target, 0, &second), SB_INVALID_ARGUMENT);
      assert_int_equal(access(target, F_OK), -1);
      snprintf(target, sizeof target, "%s/%s%s.lock", folders[i % 2], stores[i / 2 % 3], own[i / 6]);
      assert_int_equal(access(target, F_OK), -1);
    }
  }
  /* A store that is away just now has left its lock. */
  close_file(manager);
  assert_int_equal(rename(test_path, beside("-away")), 0);
  assert_ok(open_at(beside("-away"), 0, &manager));
  assert_status(sb_visit_manager_copy_to(manager, beside(".new"), &visit_error), SB_INVALID_ARGUMENT);
  /* Names that only look like such. */
  static const char *const free_names[] = {"/new", "/visits.cut.x", "/visits.lock2", "/.new", "/nothing.new", "/x.cut.7"};
  for (size_t i = 0; i < sizeof free_names / sizeof *free_names; i++) {
    snprintf(target, sizeof target, "%s%s", test_folder, free_names[i]);
    assert_ok(sb_visit_manager_copy_to(manager, target, &visit_error));
    assert_has(target, "1");
  }
  close_file(manager);
  assert_int_equal(unlink(folder_link), 0);
}

static void open_the_target(void) {
  sb_visit_manager *second;
  status_meanwhile = open_at(beside("-copy"), 0, &second);
  sb_visit_manager_close(second);
}
static void take_the_target_away(void) { assert_int_equal(rename(beside("-copy"), beside("-taken")), 0); }
static void a_target_is_nobodys_store_while_it_is_written(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 100);
  assert_ok(try_add(manager, 1));
  assert_ok(sb_visit_manager_sync(manager, &visit_error));
  for (int salvages = 0; salvages < 2; salvages++) {
    const char *target = beside("-copy");
    status_meanwhile = SB_OK;
    meanwhile = open_the_target;
    syncs_until = 1;
    assert_ok(salvages ? salvage_to(target) : sb_visit_manager_copy_to(manager, target, &visit_error));
    assert_status(status_meanwhile, SB_LOCKED);
    assert_has(beside("-copy"), "1");
    assert_int_equal(unlink(beside("-copy")), 0);
    meanwhile = take_the_target_away;
    syncs_until = 1;
    target = beside("-copy");
    assert_status(salvages ? salvage_to(target) : sb_visit_manager_copy_to(manager, target, &visit_error), SB_NOT_FOUND);
    assert_int_equal(access(beside("-copy"), F_OK), -1);
    assert_int_equal(unlink(beside("-taken")), 0);
  }
  close_file(manager);
}

/* ---- how long a lock lasts ---- */

/* Forked past the C library, so that nothing of the child's runs before it is killed: as a child is that has not got so far yet. */
static pid_t fork_raw(void) {
  const pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
  if (child == 0) {
    (void)syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    for (;;) (void)syscall(SYS_pause);
  }
  assert_true(child > 0);
  return child;
}

static void the_lock_ends_when_the_handle_is_closed_however_young_a_child_is(void **state) {
  (void)state;
  for (int mode = 0; mode < 3; mode++)
    for (int compacts = 0; compacts < 2; compacts++) {
      sb_visit_manager *manager = open_file(modes[mode], 100);
      assert_ok(try_add(manager, 1));
      const pid_t child = fork_raw();
      if (compacts) assert_ok(sb_visit_manager_compact(manager, &visit_error));
      close_file(manager);
      manager = open_file(modes[mode], 0);
      close_file(manager);
      assert_int_equal(kill(child, SIGKILL), 0);
      assert_int_equal(waitpid(child, NULL, 0), child);
    }
}

/* A child must not end the lock of its parent. */
static void a_child_that_closes_its_handle_ends_no_lock(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 100), *second;
  const pid_t child = fork();
  if (child == 0) {
    (void)!sb_visit_manager_finish(manager, NULL);
    sb_visit_manager_close(manager);
    _exit(0);
  }
  assert_int_equal(waitpid(child, NULL, 0), child);
  assert_int_equal(unlink(beside(".lock")), 0);
  assert_status(try_open(false, &second), SB_LOCKED);
  close_file(manager);
}

static int64_t now_ns(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *close_soon(void *manager) {
  const struct timespec time = {.tv_nsec = 30000000};
  (void)nanosleep(&time, NULL);
  sb_visit_manager_close(manager);
  return NULL;
}

static void an_open_waits_for_the_lock_as_long_as_it_was_told(void **state) {
  (void)state;
  sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, 100);
  sb_visit_manager *first = open_file(SB_DURABILITY_NONE, 100), *second = NULL;
  for (int lock_file = 0; lock_file < 2; lock_file++) { /* locked by PATH.lock, then by the file itself */
    if (lock_file) assert_int_equal(unlink(beside(".lock")), 0);
    options.lock_timeout_ms = 60;
    const int64_t begin = now_ns();
    assert_status(sb_visit_manager_open(test_path, &options, &second, &visit_error), SB_LOCKED);
    assert_true(now_ns() - begin >= 60000000);
    options.lock_timeout_ms = UINT32_MAX; /* the end of the first ends it */
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, close_soon, first), 0);
    assert_ok(sb_visit_manager_open(test_path, &options, &second, &visit_error));
    assert_int_equal(pthread_join(thread, NULL), 0);
    first = second;
  }
  close_file(first);
  options.read_only = true; /* which needs no lock, and so does not wait */
  assert_ok(sb_visit_manager_open(test_path, &options, &second, &visit_error));
  sb_visit_manager_close(second);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      names_test(a_writer_is_alone_though_its_lock_file_is_removed),
      names_test(a_hard_link_leads_to_the_same_lock_and_is_never_left_behind),
      names_test(who_locks_a_file_that_was_replaced_meanwhile_opens_the_new_one),
      names_test(nobody_gets_between_a_new_file_and_its_name),
      names_test(a_file_system_without_locks_is_refused_for_writing),
      names_test(a_handle_whose_file_has_lost_its_name_stops_and_says_so),
      names_test(what_nobody_asked_about_is_told_at_the_end),
      names_test(a_handle_that_has_stopped_does_not_go_on_when_the_file_is_back),
      names_test(a_link_that_is_turned_elsewhere_stops_the_handle),
      names_test(the_folder_of_the_process_may_change),
      names_test(a_process_with_another_root_or_fewer_rights_goes_on),
      names_test(a_compaction_overwrites_no_restored_backup),
      names_test(a_first_open_overwrites_nothing_that_came_meanwhile),
      names_test(where_names_cannot_be_exchanged_a_compaction_renames),
      names_test(a_compaction_whose_new_file_is_taken_away_changes_nothing),
      names_test(what_a_killed_compaction_left_is_removed),
      names_test(what_a_compaction_has_replaced_is_removed),
      names_test(a_store_that_was_written_since_is_not_taken_for_a_leftover),
      names_test(a_neighbour_under_the_name_of_the_new_file_stays_whatever_it_holds),
      names_test(targets_are_never_a_stores_own_names),
      names_test(a_target_is_nobodys_store_while_it_is_written),
      names_test(the_lock_ends_when_the_handle_is_closed_however_young_a_child_is),
      names_test(a_child_that_closes_its_handle_ends_no_lock),
      names_test(an_open_waits_for_the_lock_as_long_as_it_was_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
