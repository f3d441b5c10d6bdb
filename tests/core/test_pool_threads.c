#include "memory_testing.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

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

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_got_on_eight_threads_are_put_on_others)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
