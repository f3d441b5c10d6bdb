#ifndef CANCEL_TESTING_H
#define CANCEL_TESTING_H

/* Calls by threads that are cancelled at the first cancellation point that they come to. Whoever waits for a lock that such a thread took along ends
 * the program by an alarm. A test that includes this has included cmocka. */

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

/* AddressSanitizer leaves marks on the stack of a thread that is cancelled, and trips over them where it gives its signal stack back. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "use_sigaltstack=0"; }

typedef struct cancelled_call {
  void (*act)(void *context);
  void *context;
  bool back; /* it came back from the call */
} cancelled_call;

static void *cancelled_thread(void *context) {
  cancelled_call *call = context;
  (void)pthread_cancel(pthread_self()); /* from now on the first cancellation point ends the thread */
  call->act(call->context);
  call->back = true;
  pthread_testcancel();
  return NULL;
}

static void lock_is_held(int signal) {
  (void)signal;
  static const char text[] = "a thread that is gone holds a lock\n";
  (void)!write(STDERR_FILENO, text, sizeof text - 1);
  _exit(1);
}

/* Whether the call came back. Until alarm(0) the program has 20 seconds. */
static bool call_cancelled(void (*act)(void *context), void *context) {
  cancelled_call call = {.act = act, .context = context};
  pthread_t thread;
  void *result = NULL;
  (void)signal(SIGALRM, lock_is_held);
  (void)alarm(20);
  assert_int_equal(pthread_create(&thread, NULL, cancelled_thread, &call), 0);
  assert_int_equal(pthread_join(thread, &result), 0);
  assert_true(result == PTHREAD_CANCELED);
  return call.back;
}

#endif
