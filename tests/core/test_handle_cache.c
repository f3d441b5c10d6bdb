/* What views and bufs are made of is kept by the thread that closed them, so a second close must not get through in builds with assertions. */
#include "memory_testing.h"

#include <pthread.h>

#include <sys/wait.h>
#include <unistd.h>

/* Runs `misuse` in a child. It must not come to its end, and its last words must say what it did. */
static void assert_ends(void (*misuse)(void)) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    (void)dup2(ends[1], STDERR_FILENO);
    misuse();
    _exit(0);
  }
  (void)close(ends[1]);
  static char said[1 << 16];
  size_t size = 0;
  for (ssize_t got; size < sizeof said - 1 && (got = read(ends[0], said + size, sizeof said - 1 - size)) > 0;) size += (size_t)got;
  said[size] = 0;
  (void)close(ends[0]);
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
  /* Under AddressSanitizer nothing is kept, and it is the one that notices. */
  assert_true(strstr(said, "has been closed already") != NULL || strstr(said, "heap-use-after-free") != NULL);
}

static sb_view *open_view(void) {
  sb_view *view = NULL;
  assert_ok(sb_view_open("some bytes", 10, NULL, &view));
  return view;
}

static void close_a_view_twice(void) {
  sb_view *view = open_view();
  sb_view_close(view);
  sb_view_close(view);
}

static void close_an_empty_view_twice(void) {
  sb_view *view = NULL;
  assert_ok(sb_view_open(NULL, 0, NULL, &view));
  sb_view_close(view);
  sb_view_close(view);
}

static void close_a_view_twice_with_others_between(void) {
  sb_view *views[10];
  for (int i = 0; i < 10; i++) views[i] = open_view();
  for (int i = 0; i < 10; i++) sb_view_close(views[i]);
  sb_view_close(views[3]);
}

static void close_a_buf_twice(void) {
  sb_buf *buf = NULL;
  assert_ok(sb_buf_open(NULL, &buf));
  sb_buf_close(buf);
  sb_buf_close(buf);
}

static void *close_view(void *view) {
  sb_view_close(view);
  return NULL;
}

static void close_a_view_on_two_threads(void) {
  sb_view *view = open_view();
  sb_view_close(view);
  pthread_t thread;
  if (pthread_create(&thread, NULL, close_view, view) == 0) (void)pthread_join(thread, NULL);
}

static void a_second_close_ends_the_program(void **state) {
  (void)state;
  void (*const misuses[])(void) = {close_a_view_twice, close_an_empty_view_twice, close_a_view_twice_with_others_between, close_a_buf_twice,
                                   close_a_view_on_two_threads};
  for (size_t i = 0; i < sizeof misuses / sizeof misuses[0]; i++) assert_ends(misuses[i]);
}

static void memory_of_closed_views_is_used_again(void **state) {
  (void)state;
  for (int round = 0; round < 100; round++) {
    sb_view *views[100]; /* more than a thread keeps */
    sb_buf *buf = NULL;
    for (int i = 0; i < 100; i++) views[i] = open_view();
    assert_ok(sb_buf_open(NULL, &buf));
    for (int i = 0; i < 100; i++) assert_view_shows_text(views[i], "some bytes");
    for (int i = 0; i < 100; i++) sb_view_close(views[i]);
    assert_int_equal(sb_buf_size(buf), 0);
    sb_buf_close(buf);
  }
  assert_no_live_blocks();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_second_close_ends_the_program),
      cmocka_unit_test(memory_of_closed_views_is_used_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
