/* Threads that misuse a pool in the same instant. What they do wrong is an error for at least one of them, never the end of the program. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "pool_testing.h"

enum {
  COUNT = 100, /* more than fit a magazine */
  ROUNDS = 1000
};

static sb_pool *pool;
static void *blocks[COUNT];
static atomic_int started, finished; /* rounds, of each thread */
static atomic_int succeeded, refused, others;

static void note(sb_status status) {
  if (status == SB_OK)
    succeeded++;
  else if (status == SB_INVALID_ARGUMENT)
    refused++;
  else
    others++;
}

/* Waits for the other thread, and comes back as close as can be to when it does. */
static void meet(atomic_int *arrived, int goal) {
  (void)atomic_fetch_add(arrived, 1);
  for (int i = 1; atomic_load(arrived) < goal; i++)
    if (i % 100 == 0) (void)sched_yield();
}

/* Puts what the other thread puts as well, in this instant. */
static void put_all(int round, size_t batch) {
  meet(&started, round * 2);
  for (size_t i = 0; i < COUNT; i += batch) note(sb_pool_put_many(i % 2 == 0 ? pool : NULL, blocks + i, batch));
  meet(&finished, round * 2);
}

static void *other_thread(void *batch) {
  for (int round = 1; round <= ROUNDS; round++) put_all(round, *(const size_t *)batch);
  return NULL;
}

/* Two threads put the same blocks in batches. */
static void race(size_t batch, size_t other_batch) {
  pthread_t thread;
  succeeded = refused = others = started = finished = 0;
  assert_int_equal(pthread_create(&thread, NULL, other_thread, &other_batch), 0);
  for (int round = 1; round <= ROUNDS; round++) {
    assert_ok(sb_pool_get_many(pool, 512, COUNT, blocks));
    for (size_t i = 0; i < COUNT; i++) memset(blocks[i], round, 512);
    put_all(round, batch);
    for (size_t i = 0; i < COUNT; i++) (void)!sb_pool_put(pool, blocks[i]); /* batches that crossed are all refused */
  }
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(others, 0);
  assert_int_equal(succeeded + refused, ROUNDS * (COUNT / batch + COUNT / other_batch));
  sb_pool_trim(pool);
  assert_int_equal(pool_stats(pool).outstanding, 0);
}

static void one_of_two_threads_that_put_the_same_blocks_is_refused(void **state) {
  (void)state;
  sb_pool_options options = options_for(three_classes, 3);
  options.poison_on_put = true; /* puts take the lock, and a block is put once whatever happens */
  pool = open_with(&options);
  race(COUNT, COUNT);
  assert_true(succeeded <= ROUNDS && refused >= ROUNDS);
  race(1, 1);
  assert_int_equal(succeeded, ROUNDS * COUNT);
  sb_pool_close(pool);
}

static void threads_that_put_the_same_blocks_quickly_meet_errors_only(void **state) {
  (void)state;
  const size_t batches[][2] = {{COUNT, COUNT}, {COUNT, 10}, {COUNT, 1}, {20, 10}, {20, 20}};
  const sb_pool_class classes[] = {{512, 10000}};
  const sb_pool_options options = options_for(classes, 1);
  pool = open_with(&options);
  for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) race(batches[i][0], batches[i][1]);
  sb_pool_close(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_of_two_threads_that_put_the_same_blocks_is_refused),
      cmocka_unit_test(threads_that_put_the_same_blocks_quickly_meet_errors_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
