#include "memory_testing.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include <unistd.h>

#include "pool_private.h"

/* Eight threads in a ring: each gets blocks, writes who it is, and passes them on to the next, which looks and puts them. Two more trim and count
 * meanwhile. A second here, a minute in `make nightly`. */

enum {
  THREADS = 8,
  PLACES = 256
};

typedef struct mark {
  uint64_t owner;
  uint64_t number;
} mark;

static sb_pool *pool;
static _Atomic(void *) passed[THREADS][PLACES];
static atomic_bool stop;
static atomic_size_t wrong, done;

static void check_and_put(uint64_t owner, void **blocks, size_t count, bool many) {
  for (size_t i = 0; i < count; i++) {
    const mark *found = blocks[i];
    if (found->owner != owner || found->number != (uintptr_t)found) wrong++;
  }
  if (many) {
    if (sb_pool_put_many(pool, blocks, count) != SB_OK) wrong++;
    return;
  }
  for (size_t i = 0; i < count; i++)
    if (sb_pool_put(i % 2 == 0 ? pool : NULL, blocks[i]) != SB_OK) wrong++;
}

static size_t get_some(random_source *random, void **blocks) {
  const size_t size = sizeof(mark) + random_below(random, 9000), count = 1 + random_below(random, 40);
  if (random_below(random, 2) == 0) return sb_pool_get_many(pool, size, count, blocks) == SB_OK ? count : 0;
  for (size_t i = 0; i < count; i++)
    if (sb_pool_get(pool, size, &blocks[i]) != SB_OK) return i;
  return count;
}

static void *get_and_pass(void *argument) {
  const uint64_t self = (uintptr_t)argument, before = (self + THREADS - 1) % THREADS;
  random_source random = {self * 77 + 1};
  void *blocks[PLACES];
  while (!stop) {
    const size_t count = get_some(&random, blocks);
    if (count == 0) wrong++;
    for (size_t i = 0; i < count; i++) {
      *(mark *)blocks[i] = (mark){self, (uintptr_t)blocks[i]};
      void *none = NULL;
      if (!atomic_compare_exchange_strong(&passed[self][random_below(&random, PLACES)], &none, blocks[i]))
        check_and_put(self, &blocks[i], 1, false);
    }
    size_t taken = 0;
    for (size_t i = 0; i < PLACES && taken < 60; i++)
      if ((blocks[taken] = atomic_exchange(&passed[before][i], NULL)) != NULL) taken++;
    check_and_put(before, blocks, taken, count % 2 == 0);
    done += count;
  }
  return NULL;
}

static void *trim_and_count(void *argument) {
  (void)argument;
  while (!stop) {
    sb_pool_stats stats = {.struct_size = sizeof stats};
    sb_pool_trim(pool);
    if (sb_pool_get_stats(pool, &stats) != SB_OK) wrong++;
    (void)nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
  }
  return NULL;
}

static void blocks_got_on_eight_threads_are_put_on_others(void **state) {
  (void)state;
  const sb_pool_class classes[] = {{512, 500}, {4096, 500}};
  sb_pool_options options;
  sb_pool_options_init(&options, sizeof options);
  options.classes = classes;
  options.class_count = 2;
  assert_ok(sb_pool_open(&options, &pool));
  pthread_t threads[THREADS + 2];
  for (uintptr_t i = 0; i < THREADS + 2; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, i < THREADS ? get_and_pass : trim_and_count, (void *)i), 0);
  const time_t seconds = getenv("SAMEBYTES_NIGHTLY") != NULL ? 60 : 1;
  (void)nanosleep(&(struct timespec){.tv_sec = seconds}, NULL);
  stop = true;
  for (int i = 0; i < THREADS + 2; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  for (uint64_t i = 0; i < THREADS; i++) {
    for (size_t j = 0; j < PLACES; j++) {
      void *block = passed[i][j];
      if (block != NULL) check_and_put(i, &block, 1, true);
    }
  }
  sb_pool_stats stats = {.struct_size = sizeof stats};
  assert_ok(sb_pool_get_stats(pool, &stats));
  assert_int_equal(stats.outstanding, 0);
  assert_int_equal(stats.refused_puts, 0);
  assert_int_equal(wrong, 0);
  assert_true(done > 1000);
  sb_pool_close(pool);
}

/* ---- a thread is cancelled while it waits for another, with the lock of the pool ---- */

static _Thread_local enum {
  NOBODY,
  HOLDER, /* stops in the middle of a get */
  TRIMMER /* waits for that */
} role;
static atomic_bool holder_is_inside, trimmer_waits, holder_may_go;

static void wait_a_moment(void) { (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); }

static void stop_in_the_middle(int kind, const void *thing, const char *function) {
  (void)thing;
  if (role == TRIMMER && kind == SB_PRIV_STEP_BUSY) trimmer_waits = true;
  if (role != HOLDER || strcmp(function, "sb_priv_magazine_pop") != 0) return;
  holder_is_inside = true;
  while (!holder_may_go) wait_a_moment();
}

static void *hold(void *argument) {
  void *data = NULL;
  if (sb_pool_get(argument, 512, &data) != SB_OK || sb_pool_put(argument, data) != SB_OK) return argument;
  role = HOLDER;
  const bool got = sb_pool_get(argument, 512, &data) == SB_OK;
  role = NOBODY;
  return got && sb_pool_put(argument, data) == SB_OK ? NULL : argument;
}

static void *trim_and_sleep(void *argument) {
  role = TRIMMER;
  sb_pool_trim(argument);
  for (;;) (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL); /* to be cancelled here, and not before */
  return NULL;
}

static void a_thread_that_is_cancelled_while_it_trims_leaves_nothing_locked(void **state) {
  (void)state;
  const sb_pool_class classes[] = {{512, 500}};
  sb_pool_options options;
  sb_pool_options_init(&options, sizeof options);
  options.classes = classes;
  options.class_count = 1;
  sb_pool *own = NULL;
  assert_ok(sb_pool_open(&options, &own));
  sb_priv_step_hook = stop_in_the_middle;
  pthread_t holder, trimmer;
  void *held = own, *result = NULL;
  assert_int_equal(pthread_create(&holder, NULL, hold, own), 0);
  while (!holder_is_inside) wait_a_moment();
  assert_int_equal(pthread_create(&trimmer, NULL, trim_and_sleep, own), 0);
  while (!trimmer_waits) wait_a_moment();
  (void)alarm(60); /* what is left locked never ends */
  assert_int_equal(pthread_cancel(trimmer), 0);
  for (int i = 0; i < 50; i++) wait_a_moment(); /* it waits, however long that takes */
  holder_may_go = true;
  assert_int_equal(pthread_join(trimmer, &result), 0);
  assert_ptr_equal(result, PTHREAD_CANCELED);
  assert_int_equal(pthread_join(holder, &held), 0);
  assert_null(held);
  sb_priv_step_hook = NULL;
  sb_pool_trim(own);
  sb_pool_close(own);
  (void)alarm(0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_got_on_eight_threads_are_put_on_others),
                                     cmocka_unit_test(a_thread_that_is_cancelled_while_it_trims_leaves_nothing_locked)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
