/* link: -Wl,--wrap=sb_priv_file_write */

/* Users leave the memory while a change is being written, because somebody reads others: those whom the change is about stay. The reads are made in
 * the write itself, when the change holds no lock, so they come at the same moment each time. */
#include "visit_testing.h"

enum {
  USERS = 400,
  VISITS = 4,
};

static sb_visit_manager *reading;
static size_t reads;

int __real_sb_priv_file_write(int file, const void *data, size_t size, uint64_t offset);
int __wrap_sb_priv_file_write(int file, const void *data, size_t size, uint64_t offset);
int __wrap_sb_priv_file_write(int file, const void *data, size_t size, uint64_t offset) {
  sb_visit_manager *manager = reading;
  reading = NULL;                                /* what reads writes nothing */
  for (int i = 0; manager != NULL && i < 3; i++) /* of those who were asked for lately, each is spared once */
    for (uint32_t user = 0; user < USERS; user += 2) {
      sb_visits *visits = NULL;
      assert_ok(sb_visit_manager_get_recent_visits(manager, user, &visits, &visit_error));
      sb_visits_close(visits);
      reads++;
    }
  return __real_sb_priv_file_write(file, data, size, offset);
}

static sb_visit_manager *open_with_little_memory(void) {
  sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, VISITS);
  options.memory_max = 1;
  sb_visit_manager *manager = NULL;
  assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
  return manager;
}

static void fill(void) {
  tune_small();
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, VISITS);
  for (uint32_t id = 0; id < VISITS; id++)
    for (uint32_t user = 0; user < USERS; user++) add(manager, user, id, "a text", id);
  close_file(manager); /* with an index that has all users */
}

static void add_one(sb_visit_manager *manager, uint32_t user) { add(manager, user, 9, "one more", 9); }

static void delete_one(sb_visit_manager *manager, uint32_t user) {
  bool found = false;
  assert_ok(sb_visit_manager_delete_visits(manager, user, (uint32_t[]){2}, 1, &found, &visit_error));
  assert_true(found);
}

static void clear(sb_visit_manager *manager, uint32_t user) { assert_ok(sb_visit_manager_clear_user(manager, user, false, &visit_error)); }

static void who_is_being_changed_does_not_leave_the_memory(void **state) {
  (void)state;
  static const struct {
    void (*change)(sb_visit_manager *manager, uint32_t user);
    const char *ids;
  } changes[] = {{add_one, "9 3 2 1"}, {delete_one, "3 1 0"}, {clear, ""}};
  fill();
  sb_visit_manager *manager = open_with_little_memory();
  for (uint32_t i = 0; i < 3; i++) {
    const uint32_t user = 101 + 2 * i;
    reading = manager;
    reads = 0;
    changes[i].change(manager, user);
    assert_int_equal(reads, 3 * USERS / 2);
    assert_string_equal(ids_of(manager, user), changes[i].ids);
  }
  sb_visit_stats stats = {.struct_size = sizeof stats};
  assert_ok(sb_visit_manager_get_stats(manager, &stats, &visit_error));
  assert_true(stats.memory_bytes < 64u * USERS); /* the others have left it */
  close_file(manager);
  manager = open_with_little_memory();
  for (uint32_t i = 0; i < 3; i++) assert_string_equal(ids_of(manager, 101 + 2 * i), changes[i].ids);
  close_file(manager);
}

int main(void) {
  const struct CMUnitTest tests[] = {visit_test(who_is_being_changed_does_not_leave_the_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
