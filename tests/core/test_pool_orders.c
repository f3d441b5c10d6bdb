/* Every order in which two and three threads can take their steps while they get, put, end, close, trim, count, use handles and fork. The calls of
 * each are in pool_orders.h. */
#include "memory_testing.h"

#include <signal.h>
#include <time.h>

#include "pool_orders.h"

static void tell_and_abort(int number) {
  orders_tell();
  (void)signal(number, SIG_DFL);
}

static long runs_of(const char *one, const char *two, const char *three, bool sleeps) {
  const char *const scripts[] = {one, two, three};
  const orders_play play = pool_orders_play(three == NULL ? 2 : 3, scripts);
  const long runs = orders_explore(&play, sleeps);
  if (getenv("SAMEBYTES_ORDERS") != NULL) printf("%8ld orders of %s, %s, %s\n", runs, one, two, three == NULL ? "nobody" : three);
  return runs;
}

static const char *const closers[] = {"|mc", "gp|cm", "ggxp|mc"};

/* What others may do while the first pool is being closed: give back what they have of it, end, come by the handle, and use other pools. */
static const char *const beside_close[] = {
    "gp|",    "gg|pp",   "gpGp|Gp", "gp|nGp", "b|r", "|y",   "gp|hi", "|hi",
    "gp|f",   "gpGp|T",  "GpgG|C",  "gp|o",   "|o",  "gh|i", "gp|nT",
};

/* What threads that use the first pool do. The first of all trims. */
static const char *const users[] = {"|t", "gp|t", "gp|", "gp|gp", "gx|nyg", "gp|s", "b|rb", "gpGp|T", "gg|pht", "|gp", "gp|w", "Gp|C", "gp|f", "|o"};

#define COUNT(list) (sizeof(list) / sizeof (list)[0])

static void a_close_and_one_other_in_every_order(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(closers); i++)
    for (size_t j = 0; j < COUNT(beside_close); j++) assert_true(runs_of(closers[i], beside_close[j], NULL, true) >= 1);
}

static void two_closers_in_every_order(void **state) {
  (void)state;
  assert_true(runs_of("gp|c", "gp|m", NULL, true) > 2);
  for (size_t i = 0; i < COUNT(beside_close); i++) assert_true(runs_of("gp|c", "gp|m", beside_close[i], true) > 10);
}

static void a_close_and_two_others_in_every_order(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(beside_close); i++)
    for (size_t j = i; j < COUNT(beside_close); j++) (void)runs_of("gp|mc", beside_close[i], beside_close[j], true);
}

static void users_in_every_order(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(users); i++)
    for (size_t j = i; j < COUNT(users); j++) (void)runs_of(users[i], users[j], NULL, true);
}

static void three_users_in_every_order(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(users); i++)
    for (size_t j = i; j < COUNT(users); j++) (void)runs_of("gp|t", users[i], users[j], true);
}

int main(void) {
  (void)signal(SIGABRT, tell_and_abort);
  (void)setvbuf(stdout, NULL, _IOLBF, 0);
  pool_orders_init();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_close_and_one_other_in_every_order),
      cmocka_unit_test(two_closers_in_every_order),
      cmocka_unit_test(a_close_and_two_others_in_every_order),
      cmocka_unit_test(users_in_every_order),
      cmocka_unit_test(three_users_in_every_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
