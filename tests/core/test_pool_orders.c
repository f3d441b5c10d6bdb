/* timeout: 7200 */
/* Every order in which two and three threads can take their steps while they get, put, end, close, trim, count, use handles and fork. The calls of
 * each are in pool_orders.h. `make nightly` has more threes. SAMEBYTES_ORDERS=1 in the environment tells how many orders there are of what. */
#include "memory_testing.h"

#include <signal.h>

#include "pool_orders.h"

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static bool nightly, telling;

static void tell(int number) {
  orders_tell();
  (void)signal(number, SIG_DFL);
}

/* Whether one uses the second pool, which the other closes, or both give the handle back: that is wrong, and nothing is promised. */
static bool is_wrong(const char *one, const char *other) {
  const char *calls = strchr(one, '|'), *others = strchr(other, '|');
  return (strchr(calls, 'C') != NULL && strpbrk(others, "GTSC") != NULL) ||
         (strchr(others, 'C') != NULL && strpbrk(calls, "GTSC") != NULL) || (strchr(calls, 'f') != NULL && strchr(others, 'f') != NULL);
}

static long orders_of(const char *one, const char *two, const char *three) {
  const char *const scripts[] = {one, two, three};
  if (is_wrong(one, two) || (three != NULL && (is_wrong(one, three) || is_wrong(two, three)))) return 0;
  const orders_play play = pool_orders_play(three == NULL ? 2 : 3, scripts);
  const long runs = orders_explore(&play, true);
  if (telling) printf("%8ld orders of %s, %s, %s\n", runs, one, two, three == NULL ? "nobody" : three);
  return runs;
}

static const char *const closers[] = {"|mc", "gp|cm", "ggxp|mc"};

/* What others may do while the first pool is being closed: give back what they have of it, end, come by the handle, and use other pools. Threes are
 * of the first of them, as the orders of the others are too many. */
static const char *const beside_close[] = {
    "gp|", "gg|pp", "b|r", "|y", "gp|nT", "gp|f", "GpgG|C", "|o", "gp|nGp", "gpGp|T", "gh|i", "gpGp|Gp", "|hi", "gp|hi", "gp|o",
};
enum {
#ifdef ORDERS_ASAN
  BESIDE_FEW = 4, /* each run takes several times as long */
#else
  BESIDE_FEW = 8,
#endif
  BESIDE_MORE = 11
};

/* What threads that use the first pool do. */
static const char *const users[] = {
    "gp|", "gp|t", "b|r", "gp|s", "gx|ny", "gp|w", "gp|f", "gp|gp", "gpGp|T", "gg|pht", "|gp", "Gp|C", "|o", "gx|nyg",
};
enum {
#ifdef ORDERS_ASAN
  USERS_FEW = 3,
#else
  USERS_FEW = 7,
#endif
  USERS_MORE = 10
};

static void a_close_and_another_in_every_order(void **state) {
  (void)state;
  long runs = 0;
  for (size_t i = 0; i < COUNT(closers); i++)
    for (size_t j = 0; j < COUNT(beside_close); j++) runs += orders_of(closers[i], beside_close[j], NULL);
  assert_true(runs > 2000);
}

static void two_closers_in_every_order(void **state) {
  (void)state;
  long runs = orders_of("gp|c", "gp|m", NULL);
  assert_true(runs > 10);
  for (size_t i = 0; i < (nightly ? COUNT(beside_close) : BESIDE_FEW); i++) runs += orders_of("gp|c", "gp|m", beside_close[i]);
  assert_true(runs > 1000);
}

static void a_close_and_two_others_in_every_order(void **state) {
  (void)state;
  const size_t count = nightly ? BESIDE_MORE : BESIDE_FEW;
  long runs = 0;
  for (size_t i = 0; i < count; i++)
    for (size_t j = i; j < count; j++) runs += orders_of("gp|mc", beside_close[i], beside_close[j]);
  assert_true(runs > 10000);
}

static void users_in_every_order(void **state) {
  (void)state;
  long runs = 0;
  for (size_t i = 0; i < COUNT(users); i++)
    for (size_t j = i; j < COUNT(users); j++) runs += orders_of(users[i], users[j], NULL);
  assert_true(runs > 2000);
}

static void a_trim_and_two_users_in_every_order(void **state) {
  (void)state;
  const size_t count = nightly ? USERS_MORE : USERS_FEW;
  long runs = 0;
  for (size_t i = 0; i < count; i++)
    for (size_t j = i; j < count; j++) runs += orders_of("gp|t", users[i], users[j]);
  assert_true(runs > 1000);
}

/* The child is looked at in each. */
static void a_fork_and_another_in_every_order(void **state) {
  (void)state;
  long runs = 0;
  for (size_t i = 0; i < COUNT(closers); i++) runs += orders_of("gp|k", closers[i], NULL);
  for (size_t i = 0; i < COUNT(users); i++) runs += orders_of("|k", users[i], NULL);
  for (size_t i = 0; i < (nightly ? COUNT(users) : USERS_FEW); i++) runs += orders_of("gp|k", users[i], NULL);
  assert_true(runs > 500);
}

static void a_fork_a_close_and_an_end_in_every_order(void **state) {
  (void)state;
  assert_true(orders_of("|k", "|mc", "gp|") > 50);
  if (nightly)
    for (size_t i = 0; i < BESIDE_FEW; i++) (void)orders_of("gp|k", "gp|mc", beside_close[i]);
}

/* What can come of the orders that are run is what can come of all. */
static void orders_that_are_left_out_make_no_difference(void **state) {
  (void)state;
  static const char *const plays[][2] = {{"|h", "|c"}, {"gp|", "|mc"}, {"|h", "|f"}, {"gp|t", "gp|"}, {"gx|", "|y"}};
  for (size_t i = 0; i < COUNT(plays); i++) {
    uint64_t outcomes[2][16];
    size_t counts[2] = {0, 0};
    long runs[2];
    const orders_play play = pool_orders_play(2, plays[i]);
    for (int all = 0; all < 2; all++) {
      runs[all] = 0;
      orders_explore_begin(all == 0);
      do {
        orders_explore_run(&play);
        runs[all]++;
        size_t at = 0;
        while (at < counts[all] && outcomes[all][at] != pool_orders.outcome) at++;
        assert_true(at < 16);
        outcomes[all][at] = pool_orders.outcome;
        if (at == counts[all]) counts[all]++;
      } while (orders_next_path());
    }
    if (telling) printf("%8ld orders of %ld of %s, %s: %zu outcomes\n", runs[0], runs[1], plays[i][0], plays[i][1], counts[1]);
    assert_true(runs[0] < runs[1]);
    assert_int_equal(counts[0], counts[1]);
    for (size_t one = 0; one < counts[1]; one++) {
      size_t other = 0;
      while (other < counts[0] && outcomes[0][other] != outcomes[1][one]) other++;
      assert_true(other < counts[0]);
    }
  }
}

int main(void) {
  nightly = getenv("SAMEBYTES_NIGHTLY") != NULL && getenv("SAMEBYTES_NIGHTLY")[0] != '\0';
  telling = getenv("SAMEBYTES_ORDERS") != NULL;
  (void)signal(SIGABRT, tell);
  pool_orders_init();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_close_and_another_in_every_order),       cmocka_unit_test(two_closers_in_every_order),
      cmocka_unit_test(a_close_and_two_others_in_every_order),    cmocka_unit_test(users_in_every_order),
      cmocka_unit_test(a_trim_and_two_users_in_every_order),      cmocka_unit_test(a_fork_and_another_in_every_order),
      cmocka_unit_test(a_fork_a_close_and_an_end_in_every_order), cmocka_unit_test(orders_that_are_left_out_make_no_difference),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
