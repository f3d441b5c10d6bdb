#include "visit_testing.h"

#include <stdatomic.h>

/* A copy beside a writer: what was acknowledged before the copy began is in it, and nothing without what came before it. */

enum {
  COPIES = 25,
  FIRST = 7, /* the user that each visit comes to first, */
  SECOND = 8 /* and then */
};

typedef struct writer {
  pthread_t thread;
  sb_visit_manager *manager;
  _Atomic uint32_t acknowledged; /* visits that both users have */
  _Atomic bool stop;
  unsigned failures;
} writer;

static void *write_on(void *context) {
  writer *me = context;
  sb_error error;
  for (uint32_t i = 1; !me->stop && me->failures == 0; i++) {
    for (uint32_t user = FIRST; user <= SECOND; user++)
      me->failures += sb_visit_manager_add_visit_at(me->manager, user, i, "url", 3, "text", 4, i, &error) != SB_OK;
    me->acknowledged = i;
  }
  return NULL;
}

static uint32_t newest_of(sb_visit_manager *manager, uint32_t user) { return (uint32_t)strtoul(ids_of(manager, user), NULL, 10); }

static void look_at_copy(const char *path, uint32_t acknowledged) {
  sb_visit_manager *copy = NULL;
  sb_visit_report report = {.struct_size = sizeof report};
  assert_ok(sb_verify_visits(path, &report, &visit_error));
  assert_ok(sb_visit_manager_open(path, NULL, &copy, &visit_error));
  const uint32_t first = newest_of(copy, FIRST), second = newest_of(copy, SECOND);
  assert_true(first >= acknowledged && second >= acknowledged);
  assert_true(second == first || second + 1 == first);
  close_file(copy);
}

static void copies_beside_a_writer(int32_t durability) {
  tune_small(); /* so that compactions come in between */
  static writer me;
  char path[512];
  me.acknowledged = 0;
  me.stop = false;
  me.failures = 0;
  me.manager = open_file(durability, 3);
  assert_int_equal(pthread_create(&me.thread, NULL, write_on, &me), 0);
  for (unsigned i = 0; i < COPIES; i++) {
    snprintf(path, sizeof path, "%s.copy%u", test_path, i);
    while (me.acknowledged < 20 * (i + 1) && me.failures == 0) usleep(20); /* the writer is at it */
    const uint32_t before = me.acknowledged;
    assert_ok(sb_visit_manager_copy_to(me.manager, path, &visit_error));
    look_at_copy(path, before);
  }
  const uint32_t enough = me.acknowledged + 50;
  while (me.acknowledged < enough && me.failures == 0) usleep(100); /* adding went on after the copies */
  me.stop = true;
  pthread_join(me.thread, NULL);
  assert_int_equal(me.failures, 0);
  assert_int_equal(newest_of(me.manager, SECOND), me.acknowledged);
  close_file(me.manager);
}

static void copies_beside_a_writer_without_syncs(void **state) {
  (void)state;
  copies_beside_a_writer(SB_DURABILITY_NONE);
}

static void copies_beside_a_writer_that_syncs(void **state) {
  (void)state;
  copies_beside_a_writer(SB_DURABILITY_ALWAYS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(copies_beside_a_writer_without_syncs, folder_make, folder_remove),
      cmocka_unit_test_setup_teardown(copies_beside_a_writer_that_syncs, folder_make, folder_remove),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
