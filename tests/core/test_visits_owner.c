/* Whose the files are that a store makes: those of the store's owner, also when another user, such as root, opens and compacts it. Only
 * root can give files away; as another user everything belongs to that user before and after, and that is what is tested then. */

#define _GNU_SOURCE
#include "visit_testing.h"

#include <grp.h>

#define OTHER 12345u /* user and group of nobody's */
#define NOBODY 65534u

static uint32_t owner_of_store(void) { return geteuid() == 0 ? OTHER : geteuid(); }
static uint32_t group_of_store(void) { return geteuid() == 0 ? OTHER + 1 : getegid(); }

static struct stat facts_of(const char *suffix) {
  char path[400];
  struct stat facts;
  snprintf(path, sizeof path, "%s%s", test_path, suffix);
  assert_int_equal(lstat(path, &facts), 0);
  return facts;
}

static void assert_is_owners(const char *suffix, unsigned mode) {
  const struct stat facts = facts_of(suffix);
  assert_int_equal(facts.st_uid, owner_of_store());
  assert_int_equal(facts.st_gid, group_of_store());
  assert_int_equal(facts.st_mode & 0777, mode);
}

static void give_away(unsigned mode) {
  assert_int_equal(chmod(test_path, mode), 0);
  assert_int_equal(chown(test_path, owner_of_store(), group_of_store()), 0);
}

static void compaction_keeps_owner_and_group(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 3);
  give_away(0640);
  for (uint32_t i = 0; i < 20; i++) add(manager, 1, i, "text", i);
  const ino_t before = facts_of("").st_ino;
  assert_ok(sb_visit_manager_compact(manager, &visit_error));
  assert_true(facts_of("").st_ino != before);
  assert_is_owners("", 0640);
  close_file(manager);
}

static void copies_salvage_and_what_is_cut_have_owner_and_group(void **state) {
  (void)state;
  char path[400];
  size_t size;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 3);
  add(manager, 1, 1, "text", 1);
  add(manager, 1, 2, "more", 2);
  uint8_t *data = read_whole(test_path, &size);
  close_file(manager);
  data[size - 3] ^= 1; /* inside the last record, which nobody knows to be on disk */
  write_whole(test_path, data, size);
  free(data);
  give_away(0640);
  sb_visit_report report = {.struct_size = sizeof report};
  snprintf(path, sizeof path, "%s.salvaged", test_path);
  assert_ok(sb_salvage_visits(test_path, path, &report, &visit_error));
  manager = open_file(SB_DURABILITY_NONE, 0);
  snprintf(path, sizeof path, "%s.copy", test_path);
  assert_ok(sb_visit_manager_copy_to(manager, path, &visit_error));
  close_file(manager);
  static const char *const made[] = {"", ".salvaged", ".cut", ".copy"};
  for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) assert_is_owners(made[i], 0640);
}

static void a_file_that_is_made_anew_keeps_owner_and_group(void **state) {
  (void)state;
  const size_t old[] = {3, 0}; /* the old format: max_visits, and no users */
  for (int i = 0; i < 2; i++) {
    write_whole(test_path, old, i == 0 ? 0 : sizeof old);
    give_away(0600);
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
    assert_int_equal(stats_of(manager).upgraded, i == 1);
    assert_is_owners("", 0600);
    close_file(manager);
  }
  assert_is_owners(".v0", 0600);
}

/* Else the owner could not write any more after somebody else had opened the store first. */
static void a_lock_belongs_to_the_owner_of_what_it_guards(void **state) {
  (void)state;
  char lock[400];
  const mode_t umask_before = umask(022);
  snprintf(lock, sizeof lock, "%s.lock", test_path);
  close_file(open_file(SB_DURABILITY_NONE, 3));
  give_away(0600);
  const struct stat found = facts_of(".lock"); /* one that is there stays as it is */
  close_file(open_file(SB_DURABILITY_NONE, 3));
  assert_int_equal(facts_of(".lock").st_uid, found.st_uid);
  assert_int_equal(unlink(lock), 0);
  close_file(open_file(SB_DURABILITY_NONE, 3));
  assert_is_owners(".lock", 0644);
  (void)umask(umask_before);
}

static void a_link_in_the_place_of_the_new_file_is_not_followed(void **state) {
  (void)state;
  char target[400], name[400];
  snprintf(target, sizeof target, "%s/precious", test_folder);
  snprintf(name, sizeof name, "%s.new", test_path);
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 3);
  add(manager, 1, 1, "text", 1);
  give_away(0600);
  write_whole(target, "precious", 8);
  assert_int_equal(symlink(target, name), 0);
  assert_ok(sb_visit_manager_compact(manager, &visit_error));
  assert_file_is(target, "precious", 8);
  struct stat facts;
  assert_int_equal(stat(target, &facts), 0);
  assert_int_equal(facts.st_uid, geteuid());
  assert_is_owners("", 0600);
  close_file(manager);
}

/* In a child that may become somebody else; 0 when all went well. */
static int compact_as_nobody(bool member) {
  const gid_t groups[] = {OTHER + 1};
  if (geteuid() == 0 && (setgroups(member ? 1 : 0, groups) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) return 1;
  sb_visit_manager *manager = NULL;
  if (sb_visit_manager_open(test_path, NULL, &manager, NULL) != SB_OK) return 2;
  if (sb_visit_manager_compact(manager, NULL) != SB_OK) return 3;
  return sb_visit_manager_finish(manager, NULL) == SB_OK ? 0 : 4;
}

/* Everybody may write this store. Who is in its group keeps that. Who is not puts in its place his own, which may do what everybody may. */
static void without_the_right_to_give_files_away_no_group_gets_more(void **state) {
  (void)state;
  static const struct {
    bool member;
    unsigned mode, in_other_group;
  } cases[] = {{true, 0666, 0666}, {true, 0676, 0676}, {false, 0666, 0666}, {false, 0676, 0666}, {false, 0646, 0646}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const bool root = geteuid() == 0, member = cases[i].member;
    close_file(open_file(SB_DURABILITY_NONE, 3));
    give_away(cases[i].mode);
    assert_int_equal(chmod(test_folder, 0777), 0);
    char lock[400];
    snprintf(lock, sizeof lock, "%s.lock", test_path);
    assert_int_equal(unlink(lock), 0);
    const pid_t child = fork();
    if (child == 0) _exit(compact_as_nobody(member));
    int ended = 0;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    const struct stat facts = facts_of("");
    assert_int_equal(facts.st_uid, root ? NOBODY : geteuid());
    assert_int_equal(facts.st_gid, member || !root ? group_of_store() : NOBODY);
    assert_int_equal(facts.st_mode & 0777, root ? cases[i].in_other_group : cases[i].mode);
    assert_int_equal(unlink(test_path), 0);
    assert_int_equal(unlink(lock), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      visit_test(compaction_keeps_owner_and_group),
      visit_test(copies_salvage_and_what_is_cut_have_owner_and_group),
      visit_test(a_file_that_is_made_anew_keeps_owner_and_group),
      visit_test(a_lock_belongs_to_the_owner_of_what_it_guards),
      visit_test(a_link_in_the_place_of_the_new_file_is_not_followed),
      visit_test(without_the_right_to_give_files_away_no_group_gets_more),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
