/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */
#include "memory_testing.h"

#include <pthread.h>

#include "block.h"
#include "failing_memory.h"
#include "owners.h"

typedef sb_status (*open_function)(sb_memory **memory);

static sb_status open_fixed_100(sb_memory **memory) { return sb_memory_open_fixed(100, memory); }

static sb_status open_tracing_default(sb_memory **memory) { return sb_memory_open_tracing(NULL, memory); }

static const open_function opens[] = {sb_memory_open_default, sb_memory_open_heap, open_fixed_100, open_tracing_default};
enum {
  OPENS = sizeof opens / sizeof opens[0]
};

static void every_provider_gives_blocks_that_can_be_written(void **state) {
  (void)state;
  for (size_t i = 0; i < OPENS; i++) {
    sb_memory *memory = NULL;
    assert_ok(opens[i](&memory));
    for (size_t size = 1; size <= 100; size += 33) {
      sb_block *block = NULL;
      assert_ok(sb_memory_get_block(memory, size, &block));
      assert_true(sb_block_size(block) >= size);
      assert_int_equal((uintptr_t)sb_block_data(block) % 64, 0);
      memset(sb_block_data(block), 0xab, sb_block_size(block));
      assert_int_equal(sb_memory_live_blocks(), 1);
      sb_block_close(block);
      assert_no_live_blocks();
    }
    sb_memory_close(memory);
  }
}

static void every_provider_counts(void **state) {
  (void)state;
  for (size_t i = 0; i < OPENS; i++) {
    sb_memory *memory = NULL;
    assert_ok(opens[i](&memory));
    const sb_memory_stats before = stats_of(memory);
    sb_block *first = NULL, *second = NULL;
    assert_ok(sb_memory_get_block(memory, 10, &first));
    assert_ok(sb_memory_get_block(memory, 20, &second));
    sb_memory_stats stats = stats_of(memory);
    assert_int_equal(stats.reserves - before.reserves, 2);
    assert_int_equal(stats.releases, before.releases);
    assert_int_equal(stats.live_bytes - before.live_bytes, sb_block_size(first) + sb_block_size(second));
    sb_block_close(first);
    sb_block_close(second);
    stats = stats_of(memory);
    assert_int_equal(stats.releases - before.releases, 2);
    assert_int_equal(stats.live_bytes, before.live_bytes);
    assert_int_equal(stats.failures, before.failures);
    sb_memory_close(memory);
  }
}

static void a_block_outlives_the_handle_of_its_provider(void **state) {
  (void)state;
  for (size_t i = 0; i < OPENS; i++) {
    sb_memory *memory = NULL;
    sb_block *block = NULL;
    assert_ok(opens[i](&memory));
    assert_ok(sb_memory_get_block(memory, 50, &block));
    sb_memory_close(memory);
    memset(sb_block_data(block), 1, sb_block_size(block));
    sb_block_close(block);
    assert_no_live_blocks();
  }
}

static void a_retained_block_goes_with_its_last_owner(void **state) {
  (void)state;
  sb_memory *memory = open_tracing_over(open_fixed(8));
  sb_block *block = NULL;
  assert_ok(sb_memory_get_block(memory, 8, &block));
  sb_block *second = sb_block_retain(block);
  assert_ptr_equal(second, block);
  sb_block_close(block);
  assert_int_equal(stats_of(memory).releases, 0);
  memset(sb_block_data(second), 1, 8);
  sb_block_close(second);
  assert_int_equal(stats_of(memory).releases, 1);
  sb_memory_close(memory);
}

static void a_retained_provider_goes_with_its_last_owner(void **state) {
  (void)state;
  sb_memory *memory = open_fixed(8);
  sb_memory *second = sb_memory_retain(memory);
  assert_ptr_equal(second, memory);
  sb_memory_close(memory);
  sb_block *block = NULL;
  assert_ok(sb_memory_get_block(second, 8, &block));
  sb_block_close(block);
  sb_memory_close(second);
}

static void a_size_that_no_block_has_is_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < OPENS; i++) {
    sb_memory *memory = NULL;
    assert_ok(opens[i](&memory));
    const size_t wrong[] = {0, (size_t)SB_BLOCK_SIZE_MAX + 1, SIZE_MAX, SIZE_MAX - 63};
    for (size_t j = 0; j < sizeof wrong / sizeof wrong[0]; j++) {
      sb_block *block = (sb_block *)state;
      assert_int_equal(sb_memory_get_block(memory, wrong[j], &block), SB_INVALID_ARGUMENT);
      assert_ptr_equal(block, state);
    }
    sb_memory_close(memory);
  }
  sb_memory *memory = NULL;
  assert_int_equal(sb_memory_open_fixed(0, &memory), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_memory_open_fixed(SB_BLOCK_SIZE_MAX + 1, &memory), SB_INVALID_ARGUMENT);
  assert_null(memory);
}

static void a_block_is_exclusive_while_it_has_one_owner(void **state) {
  (void)state;
  sb_memory *memory = open_fixed(7);
  sb_block *block = NULL;
  assert_ok(sb_memory_get_block(memory, 3, &block));
  assert_true(sb_block_is_exclusive(block));
  sb_block *other = sb_block_retain(block);
  assert_false(sb_block_is_exclusive(block));
  assert_false(sb_block_is_exclusive(other));
  sb_block_close(block);
  assert_true(sb_block_is_exclusive(other));
  sb_block_close(other);
  sb_memory_close(memory);
}

/* Here as many owners as a program would get by 2^32 calls less one, and then the one more, of each kind. */
static void two_to_the_32_owners_are_not_none(void **state) {
  (void)state;
  for (int i = 0; i < OPENS; i++) {
    sb_memory *memory = NULL;
    sb_block *block = NULL;
    sb_view *view = NULL, *copy = NULL;
    sb_pin *pin = NULL;
    assert_ok(opens[i](&memory));
    assert_ok(sb_memory_get_block(memory, 100, &block));
    assert_ok(sb_view_open_block(block, 100, &view));
    sb_priv_owners_add(&block->owners, UINT32_MAX);
    assert_int_equal(atomic_load(&block->owners), (uint64_t)1 << 32);
    assert_ptr_equal(sb_block_retain(block), block);
    assert_ok(sb_view_pin(view, 0, &pin));
    assert_ok(sb_view_copy(view, &copy));
    assert_int_equal(atomic_load(&block->owners), ((uint64_t)1 << 32) + 3);
    sb_view_close(copy);
    sb_pin_close(pin);
    assert_false(sb_block_is_exclusive(block));
    sb_buf *buf = NULL;
    assert_int_equal(sb_buf_from_blocks(&block, 1, memory, &buf), SB_BUSY);
    sb_block_close(block);
    sb_view_close(view); /* 2^32 - 1 are left */
    assert_true(stats_of(memory).live_bytes > 0);
    assert_false(sb_priv_owners_remove(&block->owners, UINT32_MAX - 1));
    assert_true(sb_block_is_exclusive(block));
    sb_block_close(block);
    sb_priv_owners_add(&memory->owners, UINT32_MAX);
    assert_ptr_equal(sb_memory_retain(memory), memory);
    sb_memory_close(memory);
    assert_false(sb_priv_owners_remove(&memory->owners, UINT32_MAX));
    sb_memory_close(memory);
  }
  assert_no_live_blocks();
}

static void a_fixed_provider_gives_its_size_whatever_is_asked(void **state) {
  (void)state;
  sb_memory *memory = open_fixed(7);
  sb_block *block = NULL;
  assert_ok(sb_memory_get_block(memory, 3, &block));
  assert_int_equal(sb_block_size(block), 7);
  sb_block_close(block);
  block = NULL;
  assert_int_equal(sb_memory_get_block(memory, 8, &block), SB_PROVIDER);
  assert_null(block);
  assert_no_live_blocks();
  sb_memory_close(memory);
}

static void the_nth_request_fails_and_the_next_succeeds(void **state) {
  (void)state;
  sb_memory *memory = open_tracing_over(open_fixed(8));
  for (uint64_t nth = 1; nth <= 3; nth++) {
    const uint64_t failures_before = stats_of(memory).failures;
    assert_ok(sb_memory_fail_reserve(memory, nth));
    for (uint64_t i = 1; i <= 5; i++) {
      sb_block *block = NULL;
      assert_int_equal(sb_memory_get_block(memory, 8, &block), i == nth ? SB_NO_MEMORY : SB_OK);
      sb_block_close(block);
    }
    assert_int_equal(stats_of(memory).failures - failures_before, 1);
  }
  assert_ok(sb_memory_fail_reserve(memory, 1));
  assert_ok(sb_memory_fail_reserve(memory, 0));
  sb_block *block = NULL;
  assert_ok(sb_memory_get_block(memory, 8, &block));
  sb_block_close(block);
  sb_memory_close(memory);
}

static void only_a_tracing_provider_can_be_made_to_fail(void **state) {
  (void)state;
  sb_memory *memory = open_fixed(8);
  assert_int_equal(sb_memory_fail_reserve(memory, 1), SB_UNSUPPORTED);
  sb_memory_close(memory);
}

static void tracing_over_tracing_counts_in_both(void **state) {
  (void)state;
  sb_memory *inner = open_tracing_over(open_fixed(8));
  sb_memory *outer = NULL;
  assert_ok(sb_memory_open_tracing(inner, &outer));
  sb_block *block = NULL;
  assert_ok(sb_memory_get_block(outer, 8, &block));
  assert_int_equal(sb_memory_live_blocks(), 1);
  assert_int_equal(stats_of(inner).reserves, 1);
  assert_int_equal(stats_of(outer).reserves, 1);
  sb_block_close(block);
  assert_int_equal(stats_of(inner).releases, 1);
  assert_int_equal(stats_of(outer).releases, 1);
  assert_ok(sb_memory_fail_reserve(inner, 1));
  assert_int_equal(sb_memory_get_block(outer, 8, &block), SB_NO_MEMORY);
  assert_int_equal(stats_of(inner).failures, 1);
  assert_int_equal(stats_of(outer).failures, 1);
  sb_memory_close(inner);
  sb_memory_close(outer);
}

static void statistics_heed_the_size_of_the_structure(void **state) {
  (void)state;
  sb_memory *memory = open_fixed(8);
  sb_memory_stats stats = {.struct_size = sizeof stats - 1, .reserves = 77};
  assert_int_equal(sb_memory_get_stats(memory, &stats), SB_INVALID_ARGUMENT);
  assert_int_equal(stats.reserves, 77);
  stats.struct_size = 0;
  assert_int_equal(sb_memory_get_stats(memory, &stats), SB_INVALID_ARGUMENT);
  struct {
    sb_memory_stats known;
    uint64_t newer, behind;
  } larger = {.known.struct_size = sizeof(sb_memory_stats) + sizeof(uint64_t), .newer = 5, .behind = 6};
  assert_ok(sb_memory_get_stats(memory, &larger.known));
  assert_int_equal(larger.known.struct_size, sizeof(sb_memory_stats) + sizeof(uint64_t));
  assert_int_equal(larger.known.reserves, 0);
  assert_int_equal(larger.newer, 0);
  assert_int_equal(larger.behind, 6);
  sb_memory_close(memory);
}

static void null_is_an_error_or_does_nothing(void **state) {
  (void)state;
  sb_block *block = NULL;
  sb_memory *memory = open_fixed(8);
  sb_memory_stats stats = {.struct_size = sizeof stats};
  assert_int_equal(sb_memory_open_default(NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_memory_open_heap(NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_memory_open_fixed(1, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_memory_open_tracing(NULL, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_memory_get_block(NULL, 1, &block), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_memory_get_block(memory, 1, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_memory_get_stats(NULL, &stats), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_memory_get_stats(memory, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_memory_fail_reserve(NULL, 1), SB_INVALID_ARGUMENT);
  assert_null(sb_memory_retain(NULL));
  assert_null(sb_block_retain(NULL));
  assert_null(sb_block_data(NULL));
  assert_int_equal(sb_block_size(NULL), 0);
  assert_false(sb_block_is_exclusive(NULL));
  sb_block_close(NULL);
  sb_memory_close(NULL);
  sb_memory_close(memory);
}

static void a_system_without_memory_is_reported(void **state) {
  (void)state;
  sb_memory *memory = NULL;
  for (size_t i = 1; i < OPENS; i++) { /* the default pool is there already */
    allocations_until_failure = 1;
    assert_int_equal(opens[i](&memory), SB_NO_MEMORY);
    assert_null(memory);
  }
  assert_ok(sb_memory_open_heap(&memory));
  sb_block *block = NULL;
  allocations_until_failure = 1;
  assert_int_equal(sb_memory_get_block(memory, 10, &block), SB_NO_MEMORY);
  assert_null(block);
  assert_int_equal(stats_of(memory).failures, 1);
  assert_no_live_blocks();
  sb_memory_close(memory);
}

enum {
  THREAD_ROUNDS = 2000,
  THREAD_COUNT = 4
};

static void *get_share_and_close(void *argument) {
  sb_memory *memory = argument;
  for (int i = 0; i < THREAD_ROUNDS; i++) {
    sb_block *block = NULL;
    if (sb_memory_get_block(memory, 8, &block) != SB_OK) return memory;
    memset(sb_block_data(block), i, 8);
    sb_block *second = sb_block_retain(block);
    sb_block_close(block);
    sb_block_close(second);
  }
  sb_memory_close(memory);
  return NULL;
}

static void providers_are_shared_by_threads(void **state) {
  (void)state;
  for (size_t i = 0; i < OPENS; i++) {
    sb_memory *memory = NULL;
    assert_ok(opens[i](&memory));
    const sb_memory_stats before = stats_of(memory);
    pthread_t threads[THREAD_COUNT];
    for (int j = 0; j < THREAD_COUNT; j++)
      assert_int_equal(pthread_create(&threads[j], NULL, get_share_and_close, sb_memory_retain(memory)), 0);
    for (int j = 0; j < THREAD_COUNT; j++) {
      void *failed = NULL;
      assert_int_equal(pthread_join(threads[j], &failed), 0);
      assert_null(failed);
    }
    const sb_memory_stats stats = stats_of(memory);
    assert_int_equal(stats.reserves - before.reserves, THREAD_COUNT * THREAD_ROUNDS);
    assert_int_equal(stats.releases - before.releases, THREAD_COUNT * THREAD_ROUNDS);
    assert_int_equal(stats.live_bytes, before.live_bytes);
    sb_memory_close(memory);
  }
  assert_no_live_blocks();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_provider_gives_blocks_that_can_be_written),
      cmocka_unit_test(every_provider_counts),
      cmocka_unit_test(a_block_outlives_the_handle_of_its_provider),
      cmocka_unit_test(a_retained_block_goes_with_its_last_owner),
      cmocka_unit_test(a_retained_provider_goes_with_its_last_owner),
      cmocka_unit_test(a_size_that_no_block_has_is_refused),
      cmocka_unit_test(a_block_is_exclusive_while_it_has_one_owner),
      cmocka_unit_test(two_to_the_32_owners_are_not_none),
      cmocka_unit_test(a_fixed_provider_gives_its_size_whatever_is_asked),
      cmocka_unit_test(the_nth_request_fails_and_the_next_succeeds),
      cmocka_unit_test(only_a_tracing_provider_can_be_made_to_fail),
      cmocka_unit_test(tracing_over_tracing_counts_in_both),
      cmocka_unit_test(statistics_heed_the_size_of_the_structure),
      cmocka_unit_test(null_is_an_error_or_does_nothing),
      cmocka_unit_test(a_system_without_memory_is_reported),
      cmocka_unit_test(providers_are_shared_by_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
