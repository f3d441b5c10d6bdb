/* Threads that are cancelled inside the functions of visits. Each call is made by a thread that would end at the first cancellation point that it
 * comes to: it must come back from the call, with its result, and leave nothing locked. */
#include "visit_testing.h"

#include "cancel_testing.h"

typedef struct scene {
  void (*act)(struct scene *);
  char path[400], other[400];
  sb_visit_manager *manager, *opened;
  sb_visits *visits;
  sb_visit_users *users;
  sb_status status;
} scene;

static void act_add(scene *it) { it->status = sb_visit_manager_add_visit(it->manager, 5, 1, "u", 1, "t", 1, NULL); }

static void act_read(scene *it) { it->status = sb_visit_manager_get_recent_visits(it->manager, 1, &it->visits, NULL); }

static void act_users(scene *it) { it->status = sb_visit_manager_users(it->manager, &it->users, NULL); }

static void act_scan(scene *it) {
  sb_visit_scan *scan = NULL;
  it->status = sb_visit_manager_scan(it->manager, &scan, NULL);
  if (it->status == SB_OK) it->status = sb_visit_scan_next(scan, 0, &it->visits, NULL);
  sb_visit_scan_close(scan);
}

static void act_delete(scene *it) {
  const uint32_t id = 2;
  bool found;
  it->status = sb_visit_manager_delete_visits(it->manager, 1, &id, 1, &found, NULL);
}

static void act_erase(scene *it) { it->status = sb_visit_manager_clear_user(it->manager, 2, true, NULL); }

static void act_sync(scene *it) { it->status = sb_visit_manager_sync(it->manager, NULL); }

static void act_compact(scene *it) { it->status = sb_visit_manager_compact(it->manager, NULL); }

static void act_copy(scene *it) { it->status = sb_visit_manager_copy_to(it->manager, it->other, NULL); }

static void act_verify(scene *it) {
  sb_visit_report report = {.struct_size = sizeof report};
  it->status = sb_visit_manager_verify(it->manager, &report, NULL);
}

static void act_verify_file(scene *it) {
  sb_visit_report report = {.struct_size = sizeof report};
  it->status = sb_verify_visits(it->path, &report, NULL);
}

static void act_salvage(scene *it) {
  sb_visit_report report = {.struct_size = sizeof report};
  it->status = sb_salvage_visits(it->path, it->other, &report, NULL);
}

static void act_stats(scene *it) {
  sb_visit_stats stats = {.struct_size = sizeof stats};
  it->status = sb_visit_manager_get_stats(it->manager, &stats, NULL);
}

static void act_open(scene *it) { it->status = sb_visit_manager_open(it->other, NULL, &it->opened, NULL); }

static void act_finish(scene *it) { it->status = sb_visit_manager_finish(it->manager, NULL); }

static void act_close(scene *it) {
  sb_visit_manager_close(it->manager);
  it->manager = NULL;
}

static void act(void *context) {
  scene *it = context;
  it->act(it);
}

static void a_cancelled_thread_comes_back_from_every_call(void **state) {
  (void)state;
  static void (*const acts[])(scene *) = {act_add,   act_read,    act_users,  act_scan,   act_delete,      act_erase,
                                          act_sync,  act_compact, act_copy,   act_verify, act_verify_file, act_salvage,
                                          act_stats, act_open,    act_finish, act_close};
  for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
    scene it = {.act = acts[i], .status = SB_OK};
    snprintf(it.path, sizeof it.path, "%s/%zu", test_folder, i);
    snprintf(it.other, sizeof it.other, "%s/other-%zu", test_folder, i);
    const sb_visit_manager_options options = options_of(SB_DURABILITY_ALWAYS, 0);
    assert_ok(sb_visit_manager_open(it.path, &options, &it.manager, NULL));
    for (uint32_t user = 1; user <= 3; user++)
      for (uint32_t id = 1; id <= 3; id++) assert_ok(sb_visit_manager_add_visit(it.manager, user, id, "url", 3, "text", 4, NULL));
    sb_visit_manager_close(it.manager); /* so that users are read from the file */
    assert_ok(sb_visit_manager_open(it.path, &options, &it.manager, NULL));
    assert_true(call_cancelled(act, &it));
    assert_int_equal(it.status, SB_OK);
    if (it.manager != NULL && acts[i] != act_finish) {
      sb_visits *again = NULL;
      assert_ok(sb_visit_manager_add_visit(it.manager, 3, 9, "url", 3, "text", 4, NULL));
      assert_ok(sb_visit_manager_get_recent_visits(it.manager, 3, &again, NULL));
      assert_int_equal(sb_visits_count(again), 4);
      sb_visits_close(again);
    }
    sb_visits_close(it.visits);
    sb_visit_users_close(it.users);
    sb_visit_manager_close(it.opened);
    sb_visit_manager_close(it.manager);
    assert_ok(sb_visit_manager_open(it.path, &options, &it.manager, NULL)); /* no lock of the file is left, either */
    sb_visit_manager_close(it.manager);
    (void)alarm(0);
  }
  (void)signal(SIGALRM, SIG_DFL);
}

int main(void) {
  const struct CMUnitTest tests[] = {visit_test(a_cancelled_thread_comes_back_from_every_call)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
