/* link: -Wl,--wrap=mmap,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc */
#include "memory_testing.h"

#include <pthread.h>
#include <stdatomic.h>

#include <sys/wait.h>
#include <unistd.h>

#include <bytepool.h>

#include "failing_memory.h"

static sb_pool *open_pool(void) {
  const sb_pool_class classes[] = {{512, 100}, {4096, 100}, {16384, 100}};
  sb_pool_options options;
  sb_pool_options_init(&options, sizeof options);
  options.classes = classes;
  options.class_count = 3;
  sb_pool *pool = NULL;
  assert_ok(sb_pool_open(&options, &pool));
  return pool;
}

static uint64_t handle_of(sb_pool *pool) {
  uint64_t handle = 0;
  assert_ok(sb_pool_handle(pool, &handle));
  return handle;
}

static uint64_t outstanding(sb_pool *pool) {
  sb_pool_stats stats = {.struct_size = sizeof stats};
  assert_ok(sb_pool_get_stats(pool, &stats));
  return stats.outstanding;
}

/* ---- handles ---- */

/* First of all, because the table is made once in a process. */
static void no_memory_for_the_table_is_said(void **state) {
  (void)state;
  sb_pool *pool = open_pool();
  uint64_t handle = 77;
  void *data = NULL;
  assert_int_equal(sb_pool_handle_get(77, 1, &data), SB_NOT_FOUND);
  assert_int_equal(sb_pool_handle_free(77), SB_NOT_FOUND);
  allocations_until_failure = 1;
  assert_int_equal(sb_pool_handle(pool, &handle), SB_NO_MEMORY);
  allocations_until_failure = 0;
  assert_int_equal(handle, 77);
  sb_pool_close(pool);
}

static void a_handle_gets_and_puts(void **state) {
  (void)state;
  sb_pool *pool = open_pool();
  const uint64_t handle = handle_of(pool), other = handle_of(pool);
  assert_true(handle != 0 && handle != other);
  void *data = NULL;
  assert_ok(sb_pool_handle_get(handle, 100, &data));
  memset(data, 1, 512);
  assert_int_equal(outstanding(pool), 1);
  assert_ok(sb_pool_handle_put(other, data));
  assert_int_equal(sb_pool_handle_put(handle, data), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_handle_get(handle, 0, &data), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_handle_get(handle, SIZE_MAX, &data), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_handle_get(handle, 1, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_handle(NULL, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_handle(pool, NULL), SB_INVALID_ARGUMENT);
  assert_ok(sb_pool_handle_free(handle));
  assert_ok(sb_pool_handle_free(other));
  assert_int_equal(outstanding(pool), 0);
  sb_pool_close(pool);
}

static void freed_and_foreign_handles_are_none(void **state) {
  (void)state;
  sb_pool *pool = open_pool();
  const uint64_t handle = handle_of(pool), freed = handle_of(pool);
  assert_ok(sb_pool_handle_free(freed));
  const uint64_t again = handle_of(pool); /* the same place in the table */
  const uint64_t wrong[] = {
      freed, 0, 1, 65535, UINT64_MAX, (uintptr_t)pool, (uintptr_t)&pool, handle + 1, handle ^ (uint64_t)1 << 40, handle + 65536};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    if (wrong[i] == again) continue;
    void *data = state;
    assert_int_equal(sb_pool_handle_get(wrong[i], 1, &data), SB_NOT_FOUND);
    assert_ptr_equal(data, state);
    assert_int_equal(sb_pool_handle_put(wrong[i], state), SB_NOT_FOUND);
    assert_int_equal(sb_pool_handle_free(wrong[i]), SB_NOT_FOUND);
  }
  assert_ok(sb_pool_handle_free(again));
  assert_int_equal(sb_pool_handle_free(again), SB_NOT_FOUND);
  void *data = NULL;
  assert_int_equal(sb_pool_handle_get(again + 65536, 1, &data), SB_NOT_FOUND); /* the number that the next one will have */
  assert_int_equal(sb_pool_handle_free(again + 65536), SB_NOT_FOUND);
  assert_ok(sb_pool_handle_free(handle));
  sb_pool_close(pool);
}

static void a_handle_outlives_its_pool(void **state) {
  (void)state;
  sb_pool *pool = open_pool();
  const uint64_t handle = handle_of(pool), other = handle_of(pool);
  void *first = NULL, *second = NULL, *third = state;
  assert_ok(sb_pool_handle_get(handle, 1, &first));
  assert_ok(sb_pool_handle_get(handle, 1, &second));
  sb_pool_close(pool);
  assert_int_equal(sb_pool_handle_get(handle, 1, &third), SB_CLOSED);
  assert_ptr_equal(third, state);
  memset(first, 1, 512);
  assert_ok(sb_pool_handle_put(other, first));
  assert_ok(sb_pool_handle_free(handle));
  assert_int_equal(sb_pool_handle_put(handle, second), SB_NOT_FOUND);
  assert_ok(sb_pool_handle_put(other, second));
  assert_int_equal(sb_pool_handle_put(other, second), SB_INVALID_ARGUMENT);
  sb_pool *next = open_pool(); /* where the closed one was */
  assert_int_equal(sb_pool_handle_get(other, 1, &third), SB_CLOSED);
  assert_ok(sb_pool_handle_free(other));
  sb_pool_close(next);
}

static void the_table_has_an_end(void **state) {
  (void)state;
  sb_pool *pool = open_pool();
  static uint64_t handles[70000];
  size_t count = 0;
  while (count < 70000 && sb_pool_handle(pool, &handles[count]) == SB_OK) count++;
  assert_int_equal(count, 65536);
  for (size_t i = 0; i < count; i += 1000) assert_ok(sb_pool_handle_free(handles[i]));
  for (size_t i = 0; i < count; i += 1000) assert_ok(sb_pool_handle(pool, &handles[i]));
  for (size_t i = 0; i < count; i++) assert_ok(sb_pool_handle_free(handles[i]));
  sb_pool_close(pool);
}

/* ---- threads and fork ---- */

static _Atomic uint64_t shared_handle;
static atomic_bool stop;

static void *use_handle(void *argument) {
  (void)argument;
  while (!stop) {
    const uint64_t handle = shared_handle;
    void *data = NULL;
    const sb_status status = sb_pool_handle_get(handle, 100, &data);
    if (status == SB_OK) {
      memset(data, 1, 100);
      if (sb_pool_put(NULL, data) != SB_OK) abort();
    } else if (status != SB_CLOSED && status != SB_NOT_FOUND) {
      abort();
    }
  }
  return NULL;
}

static void pools_close_and_handles_go_while_threads_use_them(void **state) {
  (void)state;
  pthread_t threads[3];
  stop = false;
  for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, use_handle, NULL), 0);
  for (int round = 0; round < 300; round++) {
    sb_pool *pool = open_pool();
    const uint64_t handle = handle_of(pool);
    shared_handle = handle;
    for (int i = 0; i < 200; i++) {
      void *data = NULL;
      assert_ok(sb_pool_handle_get(handle, 1, &data));
      assert_ok(sb_pool_handle_put(handle, data));
    }
    if (round % 2 == 0) assert_ok(sb_pool_handle_free(handle));
    sb_pool_close(pool);
    if (round % 2 == 1) assert_ok(sb_pool_handle_free(handle));
  }
  stop = true;
  for (int i = 0; i < 3; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void a_forked_child_frees_its_handles_whoever_was_inside(void **state) {
  (void)state;
  sb_pool *pool = open_pool();
  const uint64_t handle = handle_of(pool);
  shared_handle = handle;
  stop = false;
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, use_handle, NULL), 0);
  for (int i = 0; i < 30; i++) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      void *data = NULL;
      (void)alarm(20);
      if (sb_pool_handle_get(handle, 1, &data) != SB_OK || sb_pool_handle_put(handle, data) != SB_OK) _exit(1);
      if (i % 2 == 0) sb_pool_close(pool);
      _exit(sb_pool_handle_free(handle) == SB_OK ? 0 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
  }
  stop = true;
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_ok(sb_pool_handle_free(handle));
  sb_pool_close(pool);
}

/* ---- bytepool.h: the faults of the implementation that it replaces, each an error or of no effect here ---- */

static void the_drop_in_gets_and_puts(void **state) {
  (void)state;
  sb_pool *pool = open_pool();
  uint64_t context = handle_of(pool);
  uint8_t *data = bytepool_get(&context, 16384);
  assert_non_null(data);
  assert_int_equal((uintptr_t)data % 64, 0);
  memset(data, 1, 16384);
  bytepool_put(&context, data, 16384);
  assert_int_equal(outstanding(pool), 0);
  bytepool_free(&context);
  sb_pool_close(pool);
}

static void negative_and_huge_sizes_give_null(void **state) {
  (void)state;
  sb_pool *pool = open_pool();
  uint64_t context = handle_of(pool);
  const int negative = -5;
  const size_t wrong[] = {0, (size_t)negative, SIZE_MAX, SIZE_MAX / 2, (size_t)1 << 32};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_null(bytepool_get(&context, wrong[i]));
  bytepool_free(&context);
  sb_pool_close(pool);
}

static void a_put_with_a_wrong_size_does_no_harm(void **state) {
  (void)state;
  sb_pool *pool = open_pool();
  uint64_t context = handle_of(pool);
  void *small = bytepool_get(&context, 512);
  bytepool_put(&context, small, 16384);
  uint8_t *large = bytepool_get(&context, 16384);
  assert_true(large != small);
  memset(large, 1, 16384);
  bytepool_put(&context, large, 1);
  assert_int_equal(outstanding(pool), 0);
  bytepool_free(&context);
  sb_pool_close(pool);
}

static void wrong_puts_leave_all_as_it_is(void **state) {
  (void)state;
  sb_pool *pool = open_pool();
  uint64_t context = handle_of(pool);
  char own[64];
  void *data = bytepool_get(&context, 100);
  bytepool_put(&context, NULL, 100);
  bytepool_put(&context, own, sizeof own);
  bytepool_put(&context, (uint8_t *)data + 8, 92);
  assert_int_equal(outstanding(pool), 1);
  bytepool_put(&context, data, 100);
  bytepool_put(&context, data, 100);
  void *first = bytepool_get(&context, 100), *second = bytepool_get(&context, 100);
  assert_true(first != second);
  bytepool_put(&context, first, 100);
  bytepool_put(&context, second, 100);
  assert_int_equal(outstanding(pool), 0);
  bytepool_free(&context);
  sb_pool_close(pool);
}

static void stale_and_missing_contexts_give_null(void **state) {
  (void)state;
  sb_pool *pool = open_pool();
  uint64_t context = handle_of(pool), zero = 0, foreign = (uintptr_t)pool;
  void *data = bytepool_get(&context, 100);
  bytepool_free(&context);
  bytepool_free(&context);
  uint64_t *const wrong[] = {&context, &zero, &foreign, NULL};
  for (size_t i = 0; i < 4; i++) {
    assert_null(bytepool_get(wrong[i], 100));
    bytepool_put(wrong[i], data, 100);
    bytepool_free(wrong[i]);
  }
  assert_int_equal(outstanding(pool), 1);
  assert_ok(sb_pool_put(pool, data));
  sb_pool_close(pool);
}

static void after_the_close_there_is_no_get_and_puts_still_work(void **state) {
  (void)state;
  sb_pool *pool = open_pool();
  uint64_t context = handle_of(pool);
  uint8_t *data = bytepool_get(&context, 100);
  sb_pool_close(pool);
  assert_null(bytepool_get(&context, 100));
  memset(data, 1, 512);
  bytepool_put(&context, data, 100);
  assert_int_equal(sb_pool_put(NULL, data), SB_INVALID_ARGUMENT); /* it is back, and the pool is gone */
  bytepool_free(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_memory_for_the_table_is_said),
      cmocka_unit_test(a_handle_gets_and_puts),
      cmocka_unit_test(freed_and_foreign_handles_are_none),
      cmocka_unit_test(a_handle_outlives_its_pool),
      cmocka_unit_test(the_table_has_an_end),
      cmocka_unit_test(pools_close_and_handles_go_while_threads_use_them),
      cmocka_unit_test(a_forked_child_frees_its_handles_whoever_was_inside),
      cmocka_unit_test(the_drop_in_gets_and_puts),
      cmocka_unit_test(negative_and_huge_sizes_give_null),
      cmocka_unit_test(a_put_with_a_wrong_size_does_no_harm),
      cmocka_unit_test(wrong_puts_leave_all_as_it_is),
      cmocka_unit_test(stale_and_missing_contexts_give_null),
      cmocka_unit_test(after_the_close_there_is_no_get_and_puts_still_work),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
