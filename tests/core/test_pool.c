/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include <sys/wait.h>
#include <unistd.h>

#include "failing_memory.h"
#include "pool_private.h"
#include "pool_testing.h"

#if defined(__SANITIZE_THREAD__)
/* A fork holds the lock of every pool that there has been, and ThreadSanitizer's detector of deadlocks knows 64 locks of a thread at most. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "detect_deadlocks=0"; }
#endif

/* ---- getting and putting ---- */

static void a_block_can_be_written_and_is_reused(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  void *data = get(pool, 100);
  memset(data, 0xab, 512);
  assert_ok(sb_pool_put(pool, data));
  assert_ptr_equal(get(pool, 512), data);
  assert_int_equal(((uint8_t *)data)[511], 0xab);
  assert_ok(sb_pool_put(pool, data));
  sb_pool_close(pool);
}

static void sizes_go_to_the_smallest_class_that_holds_them(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  const struct {
    size_t size;
    uint32_t index;
  } cases[] = {{1, 0}, {2, 0}, {511, 0}, {512, 0}, {513, 1}, {4096, 1}, {4097, 2}, {16384, 2}, {16385, 3}, {5000000, 3}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    void *data = get(pool, cases[i].size);
    memset(data, 0xff, cases[i].size);
    for (uint32_t index = 0; index < 4; index++) assert_int_equal(class_stats(pool, index).outstanding, index == cases[i].index);
    assert_ok(sb_pool_put(pool, data));
  }
  assert_int_equal(class_stats(pool, 0).block_size, 512);
  assert_int_equal(class_stats(pool, 1).block_size, 4096);
  assert_int_equal(class_stats(pool, 2).block_size, 16384);
  assert_int_equal(class_stats(pool, 3).block_size, 0);
  sb_pool_close(pool);
}

static void a_size_that_no_block_has_is_refused(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  const size_t wrong[] = {0, (size_t)SB_BLOCK_SIZE_MAX + 1, (size_t)UINT32_MAX + 2, SIZE_MAX, SIZE_MAX - 4095};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    void *data = state;
    sb_block *block = NULL;
    assert_int_equal(sb_pool_get(pool, wrong[i], &data), SB_INVALID_ARGUMENT);
    assert_ptr_equal(data, state);
    assert_int_equal(sb_pool_get_block(pool, wrong[i], &block), SB_INVALID_ARGUMENT);
    assert_null(block);
  }
  assert_int_equal(pool_stats(pool).outstanding, 0);
  assert_int_equal(pool_stats(pool).failures, 2 * sizeof wrong / sizeof wrong[0]);
  sb_pool_close(pool);
}

static void the_largest_size_is_served(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  uint8_t *data = get(pool, SB_BLOCK_SIZE_MAX);
  data[0] = 1;
  data[SB_BLOCK_SIZE_MAX - 1] = 1;
  assert_int_equal(pool_stats(pool).bytes_in_use, SB_BLOCK_SIZE_MAX);
  assert_int_equal(sb_pool_put(pool, data + SB_BLOCK_SIZE_MAX - 1), SB_INVALID_ARGUMENT);
  assert_ok(sb_pool_put(pool, data));
  sb_pool_close(pool);
}

static void a_block_above_the_largest_class_is_counted_and_not_kept(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  uint8_t *data = get(pool, 3 * MIB);
  memset(data, 0xee, 3 * MIB);
  assert_int_equal(class_stats(pool, 3).outstanding, 1);
  assert_int_equal(pool_stats(pool).bytes_in_use, 3 * MIB);
  assert_ok(sb_pool_put(pool, data));
  const sb_pool_class_stats stats = class_stats(pool, 3);
  assert_int_equal(stats.outstanding, 0);
  assert_int_equal(stats.outstanding_max, 1);
  assert_int_equal(stats.misses, 1);
  assert_int_equal(stats.hits, 0);
  assert_int_equal(stats.kept, 0);
  assert_int_equal(pages_resident(data, 1), -1);
  assert_int_equal(sb_pool_put(pool, data), SB_INVALID_ARGUMENT);
  sb_pool_close(pool);
}

static void large_blocks_of_different_sizes_do_not_share_a_slab(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  uint8_t *small = get(pool, 20000), *large = get(pool, 4 * MIB), *again = get(pool, 20000);
  memset(small, 1, 20000);
  memset(large, 2, 4 * MIB);
  memset(again, 3, 20000);
  assert_int_equal(small[19999], 1);
  assert_int_equal(large[4 * MIB - 1], 2);
  assert_int_equal(pool_stats(pool).bytes_in_use, 4 * MIB + 40000);
  assert_ok(sb_pool_put(pool, small));
  assert_ok(sb_pool_put(pool, again));
  assert_ok(sb_pool_put(pool, large));
  assert_int_equal(pool_stats(pool).bytes_in_use, 0);
  sb_pool_close(pool);
}

static void every_alignment_is_kept(void **state) {
  (void)state;
  const sb_pool_class classes[] = {{1, 4}, {100, 4}, {5000, 4}, {1500000, 4}};
  for (uint32_t alignment = 1; alignment <= SB_POOL_ALIGNMENT_MAX; alignment *= 2) {
    sb_pool_options options = options_for(classes, 4);
    options.alignment = alignment;
    sb_pool *pool = open_with(&options);
    const size_t sizes[] = {1, 1, 77, 100, 101, 5000, 5000, 5001, 1500000, 1500000, 3000000};
    enum {
      COUNT = sizeof sizes / sizeof sizes[0]
    };
    uint8_t *data[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
      data[i] = get(pool, sizes[i]);
      assert_int_equal((uintptr_t)data[i] % alignment, 0);
      assert_int_equal((uintptr_t)data[i] % 64, 0);
      memset(data[i], (int)i, sizes[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
      assert_int_equal(data[i][0], i);
      assert_int_equal(data[i][sizes[i] - 1], i);
      assert_ok(sb_pool_put(pool, data[i]));
    }
    sb_pool_close(pool);
  }
}

static void blocks_that_are_out_never_overlap(void **state) {
  (void)state;
  enum {
    COUNT = 400,
    STEPS = 20000
  };
  static const size_t sizes[] = {1, 512, 513, 4096, 16384, 20000, 100000};
  static uint8_t *data[COUNT];
  static size_t size_of[COUNT];
  memset(data, 0, sizeof data);
  random_source random = {99};
  sb_pool *pool = open_three();
  uint64_t bytes = 0, outstanding = 0;
  for (int step = 0; step < STEPS; step++) {
    const size_t i = random_below(&random, COUNT);
    if (data[i] == NULL) {
      size_of[i] = sizes[random_below(&random, 7)];
      data[i] = get(pool, size_of[i]);
      memset(data[i], (int)i, size_of[i]);
      outstanding++;
    } else {
      for (size_t j = 0; j < size_of[i]; j++) assert_true(data[i][j] == (uint8_t)i);
      assert_ok(sb_pool_put(pool, data[i]));
      data[i] = NULL;
      outstanding--;
    }
    if (step % 100 == 0) assert_int_equal(pool_stats(pool).outstanding, outstanding);
  }
  for (size_t i = 0; i < COUNT; i++)
    if (data[i] != NULL) bytes += size_of[i] <= 512 ? 512 : size_of[i] <= 4096 ? 4096 : size_of[i] <= 16384 ? 16384 : size_of[i];
  assert_int_equal(pool_stats(pool).bytes_in_use, bytes);
  for (size_t i = 0; i < COUNT; i++)
    if (data[i] != NULL) assert_ok(sb_pool_put(pool, data[i]));
  assert_int_equal(pool_stats(pool).bytes_in_use, 0);
  sb_pool_close(pool);
}

/* ---- wrong puts ---- */

static void a_second_put_is_refused(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  void *first = get(pool, 10), *second = get(pool, 10);
  assert_ok(sb_pool_put(pool, first));
  assert_int_equal(sb_pool_put(pool, first), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_put(NULL, first), SB_INVALID_ARGUMENT);
  assert_int_equal(pool_stats(pool).refused_puts, 2);
  assert_int_equal(pool_stats(pool).outstanding, 1);
  void *third = get(pool, 10), *fourth = get(pool, 10);
  assert_true(third != fourth && third != second && fourth != second);
  assert_ok(sb_pool_put(pool, second));
  assert_ok(sb_pool_put(pool, third));
  assert_ok(sb_pool_put(pool, fourth));
  assert_int_equal(sb_pool_put(pool, second), SB_INVALID_ARGUMENT);
  sb_pool_close(pool);
}

static void what_is_no_block_is_refused(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  char on_stack[64];
  static char in_data[64];
  char *on_heap = malloc(64);
  assert_non_null(on_heap);
  uint8_t *block = get(pool, 512), *large = get(pool, 5 * MIB);
  void *wrong[] = {NULL,
                   on_stack,
                   in_data,
                   on_heap,
                   (void *)1,
                   (void *)UINTPTR_MAX,
                   (void *)((uintptr_t)1 << 48),
                   (void *)0x123456789000,
                   block + 1,
                   block + 256,
                   block + 511,
                   block + 512, /* where the next block would be, which was never out */
                   block - 1,
                   block + 2 * MIB - 512, /* the last of its slab */
                   large + 1,
                   large + 2 * MIB,
                   large + 5 * MIB - 1,
                   large + 5 * MIB,
                   (void *)pool};
  enum {
    COUNT = sizeof wrong / sizeof wrong[0]
  };
  for (size_t i = 0; i < COUNT; i++) {
    assert_int_equal(sb_pool_put(pool, wrong[i]), SB_INVALID_ARGUMENT);
    assert_int_equal(sb_pool_put(NULL, wrong[i]), SB_INVALID_ARGUMENT);
  }
  assert_true(pool_stats(pool).refused_puts >= COUNT);
  assert_int_equal(pool_stats(pool).outstanding, 2);
  assert_ok(sb_pool_put(pool, block));
  assert_ok(sb_pool_put(pool, large));
  free(on_heap);
  sb_pool_close(pool);
}

static void what_lies_behind_the_last_block_of_a_slab_is_refused(void **state) {
  (void)state;
  const sb_pool_class classes[] = {{64, 10}, {5000, 10}};
  const sb_pool_options options = options_for(classes, 2);
  sb_pool *pool = open_with(&options);
  const size_t sizes[] = {64, 5000}, strides[] = {64, 5056};
  for (int i = 0; i < 2; i++) {
    uint8_t *first = get(pool, sizes[i]);
    for (size_t offset = strides[i]; offset <= 3 * MIB; offset += strides[i])
      assert_int_equal(sb_pool_put(pool, first + offset), SB_INVALID_ARGUMENT);
    assert_ok(sb_pool_put(pool, first));
  }
  sb_pool_close(pool);
}

static void a_put_to_another_pool_is_refused(void **state) {
  (void)state;
  sb_pool *pool = open_three(), *other = open_three();
  void *data = get(pool, 10);
  assert_int_equal(sb_pool_put(other, data), SB_INVALID_ARGUMENT);
  assert_int_equal(pool_stats(other).refused_puts, 1);
  assert_int_equal(pool_stats(pool).outstanding, 1);
  assert_ok(sb_pool_put(pool, data));
  sb_pool_close(pool);
  sb_pool_close(other);
}

static void a_put_finds_the_pool_by_itself(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  void *data = get(pool, 10);
  assert_ok(sb_pool_put(NULL, data));
  assert_int_equal(pool_stats(pool).outstanding, 0);
  sb_pool_close(pool);
}

/* ---- counted blocks ---- */

static void a_counted_block_goes_back_with_its_last_owner(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  sb_block *block = NULL;
  assert_ok(sb_pool_get_block(pool, 1000, &block));
  assert_int_equal(sb_block_size(block), 4096);
  memset(sb_block_data(block), 1, 4096);
  assert_int_equal(sb_memory_live_blocks(), 1);
  assert_int_equal(class_stats(pool, 1).outstanding, 1);
  sb_block *second = sb_block_retain(block);
  sb_block_close(block);
  assert_int_equal(class_stats(pool, 1).outstanding, 1);
  sb_block_close(second);
  assert_int_equal(class_stats(pool, 1).outstanding, 0);
  assert_no_live_blocks();
  sb_pool_close(pool);
}

static void the_memory_of_a_counted_block_cannot_be_put(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  sb_block *block = NULL;
  assert_ok(sb_pool_get_block(pool, 1000, &block));
  assert_int_equal(sb_pool_put(pool, sb_block_data(block)), SB_INVALID_ARGUMENT);
  assert_int_equal(pool_stats(pool).outstanding, 1);
  sb_block_close(block);
  sb_pool_close(pool);
}

static void a_large_counted_block_has_the_size_that_was_asked_for(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  sb_block *block = NULL;
  assert_ok(sb_pool_get_block(pool, 3 * MIB + 1, &block));
  assert_int_equal(sb_block_size(block), 3 * MIB + 1);
  sb_block_close(block);
  assert_no_live_blocks();
  sb_pool_close(pool);
}

static void a_pool_is_a_provider(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  sb_memory *memory = NULL;
  sb_block *block = NULL;
  assert_ok(sb_pool_memory(pool, &memory));
  assert_ok(sb_memory_get_block(memory, 600, &block));
  assert_int_equal(class_stats(pool, 1).outstanding, 1);
  assert_int_equal(stats_of(memory).reserves, 1);
  assert_int_equal(stats_of(memory).live_bytes, 4096);
  sb_pool_close(pool);
  sb_block *later = NULL;
  assert_ok(sb_memory_get_block(memory, 600, &later)); /* the pool lives as long as its provider */
  sb_block_close(block);
  sb_memory_close(memory);
  memset(sb_block_data(later), 1, 4096);
  sb_block_close(later);
  assert_no_live_blocks();
}

/* ---- close ---- */

static void blocks_outlive_the_pool_and_the_last_put_frees_it(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  uint8_t *first = get(pool, 10), *second = get(pool, 10), *third = get(pool, 10000), *kept = get(pool, 4000);
  assert_ok(sb_pool_put(pool, kept));
  sb_pool_close(pool);
  assert_int_equal(pages_resident(kept, 1), -1); /* kept blocks go at once */
  memset(first, 1, 512);
  memset(second, 2, 512);
  memset(third, 3, 10000);
  assert_ok(sb_pool_put(NULL, first));
  assert_int_equal(sb_pool_put(NULL, first), SB_INVALID_ARGUMENT);
  assert_int_equal(second[511], 2);
  assert_ok(sb_pool_put(NULL, third));
  assert_int_equal(pages_resident(third, 1), -1);
  assert_int_equal(sb_pool_put(NULL, third), SB_INVALID_ARGUMENT);
  assert_ok(sb_pool_put(NULL, second));
  assert_int_equal(pages_resident(second, 1), -1);
  assert_int_equal(sb_pool_put(NULL, second), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_put(NULL, first), SB_INVALID_ARGUMENT);
}

static void a_counted_block_outlives_the_pool(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  sb_block *block = NULL;
  assert_ok(sb_pool_get_block(pool, 10, &block));
  void *raw = get(pool, 10);
  sb_pool_close(pool);
  memset(sb_block_data(block), 1, 512);
  sb_block_close(block);
  memset(raw, 1, 512);
  assert_ok(sb_pool_put(NULL, raw));
  assert_no_live_blocks();
}

static long address_space(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%ld", &pages), 1);
  assert_int_equal(fclose(file), 0);
  return pages;
}

static void pools_that_come_and_go_leave_nothing(void **state) {
  (void)state;
  const long counted = 1000000;
  long before = 0;
  for (int i = 0; i < 300; i++) {
    if (i == 20) {
      before = address_space();
      allocations_until_failure = counted;
    }
    sb_pool *pool = open_three();
    void *data = get(pool, 1 + (size_t)i * 100), *large = get(pool, 4 * MIB);
    sb_pool_close(pool);
    assert_ok(sb_pool_put(NULL, data));
    assert_ok(sb_pool_put(NULL, large));
  }
  assert_int_equal(allocations_until_failure - counted, -280 * 2); /* one mapping per slab; all else is recycled */
  allocations_until_failure = 0;
  assert_true(address_space() - before < 4000); /* pages; leaked slabs would be 280 times 512 and more */
}

/* ---- limits ---- */

static void the_byte_limit_holds(void **state) {
  (void)state;
  sb_pool_options options = options_for(three_classes, 3);
  options.bytes_max = 2 * 4096 + 512;
  sb_pool *pool = open_with(&options);
  void *first = get(pool, 4096), *second = get(pool, 4096), *third = get(pool, 1), *fourth = state;
  assert_int_equal(sb_pool_get(pool, 1, &fourth), SB_NO_MEMORY);
  assert_ptr_equal(fourth, state);
  sb_block *block = NULL;
  assert_int_equal(sb_pool_get_block(pool, 4096, &block), SB_NO_MEMORY);
  assert_int_equal(sb_pool_get(pool, 5 * MIB, &fourth), SB_NO_MEMORY);
  assert_int_equal(pool_stats(pool).failures, 3);
  assert_ok(sb_pool_put(pool, first));
  first = get(pool, 4096); /* a kept one */
  assert_ok(sb_pool_put(pool, first));
  assert_ok(sb_pool_put(pool, second));
  assert_int_equal(pool_stats(pool).bytes_kept, 2 * 4096);
  for (int i = 0; i < 16; i++) (void)get(pool, 512); /* kept blocks of another class make place */
  assert_int_equal(pool_stats(pool).bytes_kept, 0);
  assert_int_equal(pool_stats(pool).bytes_in_use, 17 * 512);
  assert_int_equal(sb_pool_get(pool, 1, &fourth), SB_NO_MEMORY);
  assert_ok(sb_pool_put(pool, third));
  sb_pool_close(pool); /* 16 blocks stay out for good: the address is gone */
}

static void only_so_many_blocks_are_kept(void **state) {
  (void)state;
  const sb_pool_class classes[] = {{4096, 2}, {512, 0}};
  const sb_pool_options options = options_for(classes, 2);
  sb_pool *pool = open_with(&options);
  uint8_t *data[5];
  for (int i = 0; i < 5; i++) {
    data[i] = get(pool, 4096);
    memset(data[i], 1, 4096);
  }
  for (int i = 0; i < 4; i++) assert_ok(sb_pool_put(pool, data[i]));
  assert_int_equal(class_stats(pool, 1).kept, 2);
  assert_int_equal(pool_stats(pool).bytes_kept, 2 * 4096);
  assert_int_equal(pages_resident(data[2], 1) + pages_resident(data[3], 1), 0); /* given back to the system */
  assert_int_equal(pages_resident(data[0], 1) + pages_resident(data[1], 1) + pages_resident(data[4], 1), 3);
  (void)get(pool, 4096);
  (void)get(pool, 4096);
  (void)get(pool, 4096);
  assert_int_equal(class_stats(pool, 1).hits, 2);
  assert_int_equal(class_stats(pool, 1).misses, 6);
  void *small = get(pool, 1);
  assert_ok(sb_pool_put(pool, small));
  assert_int_equal(class_stats(pool, 0).kept, 0);
  assert_int_equal(pages_resident(small, 1), -1);
  sb_pool_close(pool);
}

static void trim_gives_kept_blocks_back(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  uint8_t *out = get(pool, 4096), *data[10], *small = get(pool, 1);
  memset(out, 7, 4096);
  for (int i = 0; i < 10; i++) {
    data[i] = get(pool, 4096);
    memset(data[i], 1, 4096);
  }
  for (int i = 0; i < 10; i++) assert_ok(sb_pool_put(pool, data[i]));
  assert_ok(sb_pool_put(pool, small));
  assert_int_equal(pool_stats(pool).bytes_kept, 10 * 4096 + 512);
  sb_pool_trim(pool);
  assert_int_equal(pool_stats(pool).bytes_kept, 0);
  for (int i = 0; i < 10; i++) assert_int_equal(pages_resident(data[i], 1), 0);
  assert_int_equal(pages_resident(small, 1), -1);
  assert_int_equal(out[4095], 7);
  assert_ok(sb_pool_put(pool, out));
  sb_pool_trim(pool);
  assert_int_equal(pages_resident(out, 1), -1);
  void *again = get(pool, 4096);
  memset(again, 1, 4096);
  assert_ok(sb_pool_put(pool, again));
  sb_pool_close(pool);
}

static void a_small_pool_takes_little_memory(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  uint8_t *data = get(pool, 1);
  data[0] = 1;
  void *slab = (void *)((uintptr_t)data & ~((uintptr_t)2 * MIB - 1));
  assert_int_equal(pages_resident(slab, 2 * MIB), 1);
  assert_ok(sb_pool_put(pool, data));
  sb_pool_close(pool);
}

static void a_system_without_memory_is_reported_and_the_pool_goes_on(void **state) {
  (void)state;
  sb_pool *many[20]; /* structures are recycled, so many must be open before one has to be made */
  for (int i = 0; i < 20; i++) many[i] = open_three();
  sb_pool *pool = NULL;
  allocations_until_failure = 1;
  assert_int_equal(sb_pool_open(NULL, &pool), SB_NO_MEMORY);
  assert_null(pool);
  for (int i = 0; i < 20; i++) sb_pool_close(many[i]);
  pool = open_three();
  uint64_t failures = 0;
  for (size_t size = 1; size <= 8 * MIB; size *= 8) {
    for (long nth = 1;; nth++) {
      void *data = NULL;
      allocations_until_failure = nth;
      const sb_status status = sb_pool_get(pool, size, &data);
      const bool injected = allocations_until_failure == 0;
      allocations_until_failure = 0;
      failures += injected;
      assert_int_equal(status, injected ? SB_NO_MEMORY : SB_OK);
      assert_int_equal(pool_stats(pool).outstanding, injected ? 0 : 1);
      if (!injected) {
        memset(data, 1, size);
        assert_ok(sb_pool_put(pool, data));
        break;
      }
    }
  }
  assert_true(failures >= 4);
  assert_int_equal(pool_stats(pool).failures, failures);
  sb_pool_close(pool);
}

/* ---- content ---- */

static void a_zeroing_pool_gives_zeros(void **state) {
  (void)state;
  sb_pool_options options = options_for(three_classes, 3);
  options.zero_on_get = true;
  sb_pool *pool = open_with(&options);
  const size_t sizes[] = {512, 4096, 16384, 100000};
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < 4; i++) {
      uint8_t *data = get(pool, sizes[i]);
      for (size_t j = 0; j < sizes[i]; j++) assert_true(data[j] == 0);
      memset(data, 0xff, sizes[i]);
      assert_ok(sb_pool_put(pool, data));
    }
    sb_block *block = NULL;
    assert_ok(sb_pool_get_block(pool, 512, &block));
    for (size_t j = 0; j < 512; j++) assert_true(((uint8_t *)sb_block_data(block))[j] == 0);
    sb_block_close(block);
    if (round == 1) sb_pool_trim(pool);
  }
  sb_pool_close(pool);
}

static void a_block_given_back_and_used_again_is_zeroed_too(void **state) {
  (void)state;
  const sb_pool_class classes[] = {{512, 0}};
  sb_pool_options options = options_for(classes, 1);
  options.zero_on_get = true;
  sb_pool *pool = open_with(&options);
  uint8_t *holder = get(pool, 512), *data = get(pool, 512);
  memset(data, 0xff, 512);
  assert_ok(sb_pool_put(pool, data));
  uint8_t *again = get(pool, 512);
  assert_ptr_equal(again, data);
  for (size_t j = 0; j < 512; j++) assert_true(again[j] == 0);
  assert_ok(sb_pool_put(pool, again));
  assert_ok(sb_pool_put(pool, holder));
  sb_pool_close(pool);
}

static void a_poisoning_pool_overwrites_what_is_put(void **state) {
  (void)state;
  sb_pool_options options = options_for(three_classes, 3);
  options.poison_on_put = true;
  sb_pool *pool = open_with(&options);
  uint8_t *data = get(pool, 512);
  memset(data, 1, 512);
  assert_ok(sb_pool_put(pool, data));
  for (size_t i = 0; i < 512; i++) assert_true(data[i] == 0xdb);
  assert_int_equal(sb_pool_put(pool, data), SB_INVALID_ARGUMENT);
  uint8_t *large = get(pool, 3 * MIB), *last = get(pool, 100);
  assert_ok(sb_pool_put(pool, large));
  sb_pool_close(pool);
  assert_ok(sb_pool_put(NULL, last));
}

/* ---- many at a time ---- */

static void many_blocks_are_got_and_put_in_one_call(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  static void *blocks[SB_POOL_MANY_MAX];
  const size_t counts[] = {0, 1, 16, 31, 62, 63, 100, SB_POOL_MANY_MAX};
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
      const size_t size = i % 2 == 0 ? 512 : 5000, count = counts[i];
      assert_ok(sb_pool_get_many(pool, size, count, blocks));
      for (size_t j = 0; j < count; j++) memset(blocks[j], (int)j, size);
      for (size_t j = 0; j < count; j++)
        assert_true(((uint8_t *)blocks[j])[0] == (uint8_t)j && ((uint8_t *)blocks[j])[size - 1] == (uint8_t)j);
      assert_int_equal(pool_stats(pool).outstanding, count);
      assert_ok(sb_pool_put_many(round == 0 ? pool : NULL, blocks, count));
      assert_int_equal(pool_stats(pool).outstanding, 0);
    }
  }
  assert_true(class_stats(pool, 0).hits > 16 + 62 + 2 * (1 + 16 + 62));
  sb_pool_close(pool);
}

static void many_blocks_of_different_classes_and_pools_are_put_together(void **state) {
  (void)state;
  sb_pool *pool = open_three(), *other = open_three();
  void *blocks[6] = {get(pool, 1), get(pool, 600), get(pool, 100000), get(pool, 1), get(other, 1), get(other, 1)};
  assert_int_equal(sb_pool_put_many(pool, blocks, 6), SB_INVALID_ARGUMENT);
  assert_int_equal(pool_stats(pool).outstanding + pool_stats(other).outstanding, 6);
  assert_ok(sb_pool_put_many(NULL, blocks, 6));
  assert_int_equal(pool_stats(pool).outstanding + pool_stats(other).outstanding, 0);
  sb_pool_close(pool);
  sb_pool_close(other);
}

/* Each of the blocks in turn is made wrong, in a magazine's size and beyond it. */
static void one_wrong_block_of_many_and_all_stay_out(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  void *blocks[80], *all[80];
  for (size_t count = 10; count <= 80; count += 70) {
    assert_ok(sb_pool_get_many(pool, 512, count, all));
    for (size_t i = 0; i < count; i++) {
      void *wrong[] = {NULL, state, (uint8_t *)all[i] + 1, i > 0 ? all[i - 1] : all[1]};
      for (size_t kind = 0; kind < 4; kind++) {
        memcpy(blocks, all, sizeof blocks);
        blocks[i] = wrong[kind];
        assert_int_equal(sb_pool_put_many(kind % 2 == 0 ? pool : NULL, blocks, count), SB_INVALID_ARGUMENT);
        assert_int_equal(pool_stats(pool).outstanding, count);
      }
    }
    assert_ok(sb_pool_put_many(pool, all, count));
    assert_int_equal(sb_pool_put_many(pool, all, count), SB_INVALID_ARGUMENT);
    assert_int_equal(sb_pool_put_many(pool, all, 1), SB_INVALID_ARGUMENT);
  }
  assert_int_equal(pool_stats(pool).outstanding, 0);
  sb_pool_close(pool);
}

static void many_that_the_limit_forbids_are_none(void **state) {
  (void)state;
  sb_pool_options options = options_for(three_classes, 3);
  options.bytes_max = 20 * 512;
  sb_pool *pool = open_with(&options);
  void *blocks[21];
  for (int i = 0; i < 21; i++) blocks[i] = state;
  assert_int_equal(sb_pool_get_many(pool, 512, 21, blocks), SB_NO_MEMORY);
  for (int i = 0; i < 21; i++) assert_ptr_equal(blocks[i], state);
  assert_int_equal(pool_stats(pool).outstanding, 0);
  assert_ok(sb_pool_get_many(pool, 512, 20, blocks));
  assert_ok(sb_pool_put_many(pool, blocks, 20));
  const size_t wrong[] = {0, (size_t)SB_BLOCK_SIZE_MAX + 1, SIZE_MAX};
  for (int i = 0; i < 3; i++) assert_int_equal(sb_pool_get_many(pool, wrong[i], 2, blocks), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get_many(pool, 512, SB_POOL_MANY_MAX + 1, blocks), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get_many(pool, 512, SIZE_MAX, blocks), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_put_many(pool, blocks, SB_POOL_MANY_MAX + 1), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get_many(NULL, 512, 1, blocks), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get_many(pool, 512, 1, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_put_many(pool, NULL, 1), SB_INVALID_ARGUMENT);
  assert_ok(sb_pool_get_many(pool, 512, 0, NULL));
  assert_ok(sb_pool_put_many(NULL, NULL, 0));
  sb_pool_close(pool);
}

static void many_of_a_pool_that_looks_at_each_block(void **state) {
  (void)state;
  for (int kind = 0; kind < 4; kind++) {
    sb_pool_options options = options_for(three_classes, 3);
    options.zero_on_get = kind == 0;
    options.poison_on_put = kind == 1;
    options.guard_pages = kind == 2;
    options.trace = kind == 3;
    sb_pool *pool = open_with(&options);
    void *blocks[20];
    for (int round = 0; round < 3; round++) {
      assert_ok(sb_pool_get_many(pool, 512, 20, blocks));
      for (int i = 0; i < 20; i++) {
        for (int j = 0; kind == 0 && j < 512; j++) assert_true(((uint8_t *)blocks[i])[j] == 0);
        memset(blocks[i], 1, 512);
      }
      assert_ok(sb_pool_put_many(pool, blocks, 20));
      assert_true(kind != 1 || ((uint8_t *)blocks[7])[9] == 0xdb);
      assert_int_equal(pool_stats(pool).outstanding, 0);
    }
    sb_pool_close(pool);
  }
}

/* ---- where blocks were taken ---- */

static sb_pool_place place_at(sb_pool *pool, size_t index) {
  sb_pool_place place = {.struct_size = sizeof place};
  assert_ok(sb_pool_get_place(pool, index, &place));
  return place;
}

static __attribute__((noinline)) void *take_here(sb_pool *pool) {
  void *data = get(pool, 512);
  __asm__ volatile(""); /* no tail call */
  return data;
}

static __attribute__((noinline)) void *take_there(sb_pool *pool) {
  void *data = NULL;
  assert_ok(sb_pool_get_many(pool, 4096, 1, &data));
  return data;
}

static sb_pool *open_tracing(void) {
  sb_pool_options options = options_for(three_classes, 3);
  options.trace = true;
  return open_with(&options);
}

static void what_is_not_put_back_is_known_by_place_and_tag(void **state) {
  (void)state;
  sb_pool *pool = open_tracing();
  void *here[5], *there[3];
  for (int i = 0; i < 5; i++) here[i] = take_here(pool);
  for (int i = 0; i < 3; i++) there[i] = take_there(pool);
  sb_pool_place first = place_at(pool, 0), second = place_at(pool, 1), none = {.struct_size = sizeof none};
  assert_int_equal(first.blocks, 5);
  assert_int_equal(first.bytes, 5 * 512);
  assert_int_equal(second.blocks, 3);
  assert_int_equal(second.bytes, 3 * 4096);
  assert_string_equal(first.tag, "");
  assert_non_null(strstr(first.calls, "test_pool+0x")); /* what addr2line takes */
  assert_true(strcmp(first.calls, second.calls) != 0);
  assert_int_equal(sb_pool_get_place(pool, 2, &none), SB_OUT_OF_RANGE);
  assert_ok(sb_pool_tag(pool, here[4], "reader.c:42"));
  assert_ok(sb_pool_tag(pool, here[3], "reader.c:42"));
  const sb_pool_place third = place_at(pool, 2);
  assert_string_equal(third.tag, "reader.c:42");
  assert_string_equal(third.calls, first.calls);
  assert_int_equal(third.blocks, 2);
  for (int i = 0; i < 4; i++) assert_ok(sb_pool_put(pool, here[i]));
  assert_ok(sb_pool_put_many(pool, there, 3));
  assert_int_equal(place_at(pool, 0).blocks, 0);
  assert_int_equal(place_at(pool, 0).taken, 3);
  assert_int_equal(place_at(pool, 1).blocks, 0);
  assert_int_equal(place_at(pool, 2).blocks, 1);
  assert_int_equal(place_at(pool, 2).bytes, 512);
  sb_pool_close(pool);
  assert_ok(sb_pool_put(NULL, here[4]));
}

typedef struct stale_puts {
  sb_pool *pool;
  void *data;
  bool many;
  atomic_bool stop;
  size_t done;
} stale_puts;

static void *put_what_is_not_ours(void *argument) {
  stale_puts *it = argument;
  while (!it->stop) it->done += (it->many ? sb_pool_put_many(it->pool, &it->data, 1) : sb_pool_put(it->pool, it->data)) == SB_OK;
  return NULL;
}

/* A thread that puts a block it has put before may come before it has been noted where its new user took it. */
static void a_stale_put_does_not_come_between_a_get_and_its_note(void **state) {
  (void)state;
  const size_t rounds = 5000;
  for (int many = 0; many < 2; many++) {
    stale_puts stale = {.pool = open_tracing(), .many = many == 1};
    stale.data = get(stale.pool, 512);
    assert_ok(sb_pool_put(stale.pool, stale.data));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, put_what_is_not_ours, &stale), 0);
    for (size_t i = 0; i < rounds; i++) {
      assert_ptr_equal(get(stale.pool, 512), stale.data);
      sb_pool_stats stats = {.outstanding = 1};
      for (; stats.outstanding > 0; stats = pool_stats(stale.pool)) (void)sched_yield(); /* the other thread puts it */
    }
    stale.stop = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(stale.done, rounds);
    sb_pool_close(stale.pool);
  }
}

static void what_was_left_of_a_double_put_is_not_handed_out_when_it_is_another_block(void **state) {
  (void)state;
  sb_pool *pool = open_three(), *other = open_three();
  void *blocks[2] = {get(pool, 512), get(other, 512)}, *wrong = NULL;
  assert_ok(sb_pool_put(NULL, blocks[0]));
  assert_ok(sb_pool_put(NULL, blocks[1]));
  sb_priv_magazine *magazine = sb_priv_thread_magazine(sb_priv_thread_own, pool->magazines_at);
  sb_priv_magazine *others = sb_priv_thread_magazine(sb_priv_thread_own, other->magazines_at);
  const sb_priv_item foreign = others->items[sb_priv_magazine_count(others) - 1];
  for (int many = 0; many < 2; many++) { /* its slab went away, and the record is that of another block */
    assert_true(sb_priv_magazine_push(magazine, &wrong, foreign.record, SB_PRIV_BLOCK_OUT));
    void *data = NULL;
    assert_ok(many == 1 ? sb_pool_get_many(pool, 512, 1, &data) : sb_pool_get(pool, 512, &data));
    assert_ptr_equal(data, blocks[0]);
    assert_ok(sb_pool_put(pool, data));
  }
  assert_true(sb_priv_magazine_push(magazine, foreign.data, foreign.record, SB_PRIV_BLOCK_OUT));
  sb_pool_trim(pool);
  assert_int_equal(pool->taken, 0);
  assert_ptr_equal(get(other, 512), blocks[1]);
  assert_ok(sb_pool_put(other, blocks[1]));
  sb_pool_close(pool);
  sb_pool_close(other);
}

static void counted_blocks_and_large_ones_are_traced_too(void **state) {
  (void)state;
  sb_pool *pool = open_tracing();
  sb_memory *memory = NULL;
  sb_view *view = NULL;
  assert_ok(sb_pool_memory(pool, &memory));
  assert_ok(sb_view_open("text", 4, memory, &view));
  void *large = get(pool, 5 * MIB);
  assert_int_equal(place_at(pool, 0).blocks, 1);
  assert_int_equal(place_at(pool, 0).bytes, 512);
  assert_int_equal(place_at(pool, 1).bytes, 5 * MIB);
  const void *bytes = NULL;
  size_t size = 0;
  assert_ok(sb_view_span(view, 0, &bytes, &size));
  assert_ok(sb_pool_tag(pool, (void *)(uintptr_t)bytes, "view"));
  assert_string_equal(place_at(pool, 2).tag, "view");
  sb_view_close(view);
  sb_memory_close(memory);
  assert_ok(sb_pool_put(pool, large));
  for (size_t i = 0; i < 3; i++) assert_int_equal(place_at(pool, i).blocks, 0);
  sb_pool_close(pool);
}

static void wrong_tags_are_refused_and_long_ones_keep_their_end(void **state) {
  (void)state;
  sb_pool *pool = open_tracing(), *plain = open_three();
  void *data = get(pool, 1);
  sb_pool_place place = {.struct_size = sizeof place};
  char tag[300];
  memset(tag, 'x', sizeof tag);
  memcpy(tag + 290, "end.c:7", sizeof "end.c:7");
  assert_int_equal(sb_pool_tag(plain, data, "a"), SB_UNSUPPORTED);
  assert_int_equal(sb_pool_get_place(plain, 0, &place), SB_UNSUPPORTED);
  assert_int_equal(sb_pool_tag(pool, (uint8_t *)data + 1, "a"), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_tag(pool, NULL, "a"), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_tag(pool, data, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_tag(NULL, data, "a"), SB_INVALID_ARGUMENT);
  assert_ok(sb_pool_tag(pool, data, tag));
  assert_int_equal(strlen(place_at(pool, 1).tag), sizeof place.tag - 1);
  assert_non_null(strstr(place_at(pool, 1).tag, "xxend.c:7"));
  allocations_until_failure = 1;
  assert_int_equal(sb_pool_tag(pool, data, "new"), SB_NO_MEMORY);
  allocations_until_failure = 0;
  assert_int_equal(place_at(pool, 1).blocks, 1);
  place.struct_size = 8;
  assert_int_equal(sb_pool_get_place(pool, 0, &place), SB_INVALID_ARGUMENT);
  assert_ok(sb_pool_put(pool, data));
  assert_int_equal(sb_pool_tag(pool, data, "late"), SB_INVALID_ARGUMENT);
  sb_pool_close(pool);
  sb_pool_close(plain);
}

static void places_beyond_the_limit_are_one(void **state) {
  (void)state;
  sb_pool *pool = open_tracing();
  void *data = get(pool, 1);
  for (int i = 0; i < 5000; i++) {
    char tag[20];
    (void)snprintf(tag, sizeof tag, "%d", i);
    assert_ok(sb_pool_tag(pool, data, tag));
  }
  assert_string_equal(place_at(pool, 4096).tag, "(other places)");
  assert_int_equal(place_at(pool, 4096).blocks, 1);
  sb_pool_place none = {.struct_size = sizeof none};
  assert_int_equal(sb_pool_get_place(pool, 4097, &none), SB_OUT_OF_RANGE);
  assert_ok(sb_pool_put(pool, data));
  sb_pool_close(pool);
}

/* ---- a cap per thread ---- */

static void a_thread_keeps_no_more_bytes_than_it_may(void **state) {
  (void)state;
  const sb_pool_class classes[] = {{512, 1000}, {4096, 1000}, {16384, 1000}};
  for (uint64_t cap = 4096; cap <= 1024 * KIB; cap *= 4) {
    sb_pool_options options = options_for(classes, 3);
    options.thread_bytes_max = cap;
    sb_pool *pool = open_with(&options);
    assert_ok(sb_pool_put(pool, get(pool, 1)));
    uint64_t bytes = 0;
    for (int i = 0; i < 3; i++) {
      const sb_priv_thread *thread = (const sb_priv_thread *)(const void *)sb_priv_thread_own;
      const uint64_t capacity = thread->magazines[pool->slot][i].capacity / sizeof(sb_priv_item);
      bytes += capacity * classes[i].block_size;
      assert_true(cap < 1024 * KIB || capacity > 0);
    }
    assert_true(bytes <= cap);
    assert_true(bytes > 0 || cap < 3 * 8 * 512);
    sb_pool_close(pool);
  }
}

/* ---- options and statistics ---- */

static void the_defaults_are_what_the_header_says(void **state) {
  (void)state;
  sb_pool *pool = open_with(NULL);
  const uint32_t sizes[] = {512, 4096, 16384, 65536, 1048576};
  assert_int_equal(pool_stats(pool).class_count, 5);
  for (uint32_t i = 0; i < 5; i++) assert_int_equal(class_stats(pool, i).block_size, sizes[i]);
  sb_pool_close(pool);
  sb_pool_options zeros = {.struct_size = sizeof zeros};
  pool = open_with(&zeros);
  assert_int_equal(pool_stats(pool).class_count, 5);
  sb_pool_close(pool);
}

static void wrong_options_are_refused(void **state) {
  (void)state;
  const sb_pool_class zero[] = {{0, 1}}, twice[] = {{512, 1}, {64, 1}, {512, 2}}, huge[] = {{SB_BLOCK_SIZE_MAX + 1, 1}};
  sb_pool_class many[SB_POOL_CLASSES_MAX + 1];
  for (uint32_t i = 0; i <= SB_POOL_CLASSES_MAX; i++) many[i] = (sb_pool_class){i + 1, 1};
  char name[65];
  memset(name, 'n', 64);
  name[64] = '\0';
  sb_pool_options wrong[] = {
      options_for(zero, 1), options_for(twice, 3), options_for(huge, 1), options_for(many, SB_POOL_CLASSES_MAX + 1),
      options_for(NULL, 1), options_for(zero, 0),  options_for(zero, 0), options_for(zero, 0),
      options_for(zero, 0), options_for(zero, 0),  options_for(zero, 0), options_for(zero, 0),
  };
  wrong[5].alignment = 3;
  wrong[6].alignment = SB_POOL_ALIGNMENT_MAX * 2;
  wrong[7].alignment = 96;
  wrong[8].struct_size = sizeof(uint32_t);
  wrong[9].struct_size = 0;
  wrong[10].struct_size = sizeof wrong[10] - 1;
  wrong[11].name = name;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    sb_pool *pool = NULL;
    assert_int_equal(sb_pool_open(&wrong[i], &pool), SB_INVALID_ARGUMENT);
    assert_null(pool);
  }
  name[63] = '\0';
  wrong[11].name = name;
  sb_pool_close(open_with(&wrong[11]));
  const sb_pool_options all = options_for(many, SB_POOL_CLASSES_MAX);
  sb_pool_close(open_with(&all));
}

static void options_of_another_version_are_understood_or_refused(void **state) {
  (void)state;
  struct {
    sb_pool_options known;
    uint64_t newer;
  } options;
  sb_pool *pool = NULL;
  sb_pool_options_init(&options.known, sizeof options);
  assert_int_equal(options.newer, 0);
  assert_int_equal(options.known.struct_size, sizeof options);
  assert_ok(sb_pool_open(&options.known, &pool));
  sb_pool_close(pool);
  pool = NULL;
  options.newer = 1;
  assert_int_equal(sb_pool_open(&options.known, &pool), SB_UNSUPPORTED);
  assert_null(pool);
  uint8_t bytes[sizeof(sb_pool_options) + 1];
  for (size_t size = 0; size <= sizeof(sb_pool_options); size++) {
    memset(bytes, 0xee, sizeof bytes);
    sb_pool_options_init((sb_pool_options *)(void *)bytes, size);
    for (size_t i = size; i < sizeof bytes; i++) assert_int_equal(bytes[i], 0xee);
  }
  sb_pool_options_init(NULL, sizeof(sb_pool_options));
}

static void statistics_count_what_happened(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  void *data[10];
  for (int i = 0; i < 10; i++) data[i] = get(pool, 512);
  for (int i = 0; i < 10; i++) assert_ok(sb_pool_put(pool, data[i]));
  for (int i = 0; i < 5; i++) data[i] = get(pool, 512);
  const sb_pool_class_stats class = class_stats(pool, 0);
  assert_int_equal(class.hits, 5);
  assert_int_equal(class.misses, 10);
  assert_int_equal(class.outstanding, 5);
  assert_int_equal(class.kept, 5);
  assert_int_equal(class.outstanding_max, 10);
  const sb_pool_stats stats = pool_stats(pool);
  assert_int_equal(stats.outstanding, 5);
  assert_int_equal(stats.bytes_in_use, 5 * 512);
  assert_int_equal(stats.bytes_kept, 5 * 512);
  assert_int_equal(stats.failures, 0);
  assert_int_equal(stats.refused_puts, 0);
  for (int i = 0; i < 5; i++) assert_ok(sb_pool_put(pool, data[i]));
  sb_pool_close(pool);
}

static void statistics_heed_the_size_of_the_structure(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  sb_pool_stats stats = {.struct_size = sizeof stats - 1, .outstanding = 77};
  sb_pool_class_stats class = {.struct_size = 4, .hits = 77};
  assert_int_equal(sb_pool_get_stats(pool, &stats), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get_class_stats(pool, 0, &class), SB_INVALID_ARGUMENT);
  class.struct_size = sizeof class;
  assert_int_equal(sb_pool_get_class_stats(pool, 4, &class), SB_OUT_OF_RANGE);
  assert_int_equal(sb_pool_get_class_stats(pool, UINT32_MAX, &class), SB_OUT_OF_RANGE);
  assert_int_equal(stats.outstanding, 77);
  assert_int_equal(class.hits, 77);
  sb_pool_close(pool);
}

static void null_is_an_error_or_does_nothing(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  void *data = NULL;
  sb_block *block = NULL;
  sb_memory *memory = NULL;
  sb_pool_stats stats = {.struct_size = sizeof stats};
  sb_pool_class_stats class = {.struct_size = sizeof class};
  assert_int_equal(sb_pool_open(NULL, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get(NULL, 1, &data), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get(pool, 1, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get_block(NULL, 1, &block), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get_block(pool, 1, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_memory(NULL, &memory), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_memory(pool, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get_stats(NULL, &stats), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get_stats(pool, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get_class_stats(NULL, 0, &class), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_get_class_stats(pool, 0, NULL), SB_INVALID_ARGUMENT);
  sb_pool_trim(NULL);
  sb_pool_close(NULL);
  sb_pool_close(pool);
}

/* ---- threads ---- */

enum {
  THREADS = 4,
  HANDOFFS = 10000,
  RING = 256
};

/* Blocks that one thread got and another shall put. */
typedef struct handoff {
  sb_pool *pool;
  _Atomic(uint8_t *) ring[RING];
  atomic_int wrong;
  atomic_int running;
} handoff;

static void *getter(void *argument) {
  handoff *it = argument;
  static const size_t sizes[] = {100, 512, 4096, 10000, 70000};
  random_source random = {(uintptr_t)&random | 1};
  for (int i = 0; i < HANDOFFS; i++) {
    const size_t size = sizes[random_below(&random, i % 100 == 0 ? 5 : 4)];
    void *data = NULL;
    if (sb_pool_get(it->pool, size, &data) != SB_OK) {
      atomic_fetch_add(&it->wrong, 1);
      continue;
    }
    memset(data, i, 16);
    uint8_t *before = atomic_exchange(&it->ring[random_below(&random, RING)], data);
    if (before == NULL) continue;
    for (int j = 1; j < 16; j++) atomic_fetch_add(&it->wrong, before[j] != before[0]);
    atomic_fetch_add(&it->wrong, sb_pool_put(it->pool, before) != SB_OK);
  }
  atomic_fetch_sub(&it->running, 1);
  return NULL;
}

static void blocks_go_from_thread_to_thread(void **state) {
  (void)state;
  static handoff it;
  memset(&it, 0, sizeof it);
  it.pool = open_three();
  it.running = THREADS;
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, getter, &it), 0);
  while (it.running > 0) {
    sb_pool_trim(it.pool);
    (void)pool_stats(it.pool);
    (void)usleep(200);
  }
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  assert_int_equal(it.wrong, 0);
  uint64_t left = 0;
  for (int i = 0; i < RING; i++) left += it.ring[i] != NULL;
  assert_int_equal(pool_stats(it.pool).outstanding, left);
  sb_pool_close(it.pool);
  for (int i = 0; i < RING; i++)
    if (it.ring[i] != NULL) assert_ok(sb_pool_put(NULL, it.ring[i]));
}

typedef struct double_put {
  sb_pool *pool;
  void *data;
  pthread_barrier_t barrier;
  atomic_int succeeded;
} double_put;

enum {
  DOUBLE_PUTS = 300
};

static void *putter(void *argument) {
  double_put *it = argument;
  for (int i = 0; i < DOUBLE_PUTS; i++) {
    (void)pthread_barrier_wait(&it->barrier);
    if (sb_pool_put(NULL, it->data) == SB_OK) atomic_fetch_add(&it->succeeded, 1);
    (void)pthread_barrier_wait(&it->barrier);
  }
  return NULL;
}

/* The block is the last of its pool, so one thread frees the pool while the other looks at it. */
static void two_threads_that_put_one_block_of_a_closed_pool_do_no_harm(void **state) {
  (void)state;
  static double_put it;
  assert_int_equal(pthread_barrier_init(&it.barrier, NULL, 3), 0);
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, putter, &it), 0);
  for (int i = 0; i < DOUBLE_PUTS; i++) {
    it.pool = open_three();
    it.data = get(it.pool, i % 2 == 0 ? 100 : 3 * MIB);
    sb_pool_close(it.pool);
    (void)pthread_barrier_wait(&it.barrier);
    (void)pthread_barrier_wait(&it.barrier);
    assert_int_equal(it.succeeded, i + 1);
  }
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  assert_int_equal(pthread_barrier_destroy(&it.barrier), 0);
}

/* ---- what threads keep ---- */

/* Another thread, which does what it is told, one thing after the other. */
typedef struct helper {
  pthread_t thread;
  pthread_barrier_t barrier; /* before and after each thing */
  void (*work)(struct helper *it);
  sb_pool *pool;
  void *data[100];
  size_t size;
  int count;
  sb_status status; /* of the last call that failed */
} helper;

static void *helper_run(void *argument) {
  helper *it = argument;
  for (;;) {
    (void)pthread_barrier_wait(&it->barrier);
    if (it->work == NULL) return NULL;
    it->work(it);
    (void)pthread_barrier_wait(&it->barrier);
  }
}

static void helper_start(helper *it, sb_pool *pool, size_t size) {
  memset(it, 0, sizeof *it);
  it->pool = pool;
  it->size = size;
  assert_int_equal(pthread_barrier_init(&it->barrier, NULL, 2), 0);
  assert_int_equal(pthread_create(&it->thread, NULL, helper_run, it), 0);
}

static void helper_do(helper *it, void (*work)(helper *), int count) {
  it->work = work;
  it->count = count;
  (void)pthread_barrier_wait(&it->barrier);
  (void)pthread_barrier_wait(&it->barrier);
  assert_int_equal(it->status, SB_OK);
}

static void helper_end(helper *it) {
  it->work = NULL;
  (void)pthread_barrier_wait(&it->barrier);
  assert_int_equal(pthread_join(it->thread, NULL), 0);
  assert_int_equal(pthread_barrier_destroy(&it->barrier), 0);
}

static void get_some(helper *it) {
  for (int i = 0; i < it->count; i++) {
    const sb_status status = sb_pool_get(it->pool, it->size, &it->data[i]);
    if (status != SB_OK) it->status = status;
    if (status == SB_OK) memset(it->data[i], i, it->size);
  }
}

static void put_some(helper *it) {
  for (int i = 0; i < it->count; i++) {
    const sb_status status = sb_pool_put(NULL, it->data[i]);
    if (status != SB_OK) it->status = status;
  }
}

static void what_a_thread_kept_comes_back_when_it_ends(void **state) {
  (void)state;
  helper it;
  sb_pool *pool = open_three();
  helper_start(&it, pool, 512);
  helper_do(&it, get_some, 40);
  helper_do(&it, put_some, 40);
  assert_int_equal(class_stats(pool, 0).kept, 40);
  helper_end(&it);
  assert_int_equal(class_stats(pool, 0).kept, 40);
  assert_int_equal(class_stats(pool, 0).outstanding, 0);
  void *data[40];
  for (int i = 0; i < 40; i++) data[i] = get(pool, 512);
  assert_int_equal(class_stats(pool, 0).hits, 40);
  assert_int_equal(class_stats(pool, 0).misses, 40);
  for (int i = 0; i < 40; i++) assert_ok(sb_pool_put(pool, data[i]));
  sb_pool_close(pool);
}

static void threads_that_come_and_go_leave_nothing(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  long before = 0;
  for (int i = 0; i < 220; i++) {
    if (i == 20) before = address_space();
    helper it;
    helper_start(&it, pool, 4096);
    helper_do(&it, get_some, 30);
    helper_do(&it, put_some, 30);
    helper_end(&it);
  }
  assert_true(address_space() - before < 4000);
  assert_int_equal(class_stats(pool, 1).misses, 30);
  assert_int_equal(class_stats(pool, 1).hits, 219 * 30);
  sb_pool_close(pool);
}

static void trim_reaches_what_other_threads_keep(void **state) {
  (void)state;
  helper it;
  sb_pool *pool = open_three();
  helper_start(&it, pool, 4096);
  helper_do(&it, get_some, 40);
  helper_do(&it, put_some, 40);
  sb_pool_trim(pool);
  assert_int_equal(pool_stats(pool).bytes_kept, 0);
  for (int i = 0; i < 40; i++) assert_int_equal(pages_resident(it.data[i], 1), -1);
  helper_do(&it, get_some, 40);
  helper_do(&it, put_some, 40);
  assert_int_equal(class_stats(pool, 1).misses, 80);
  helper_end(&it);
  sb_pool_close(pool);
}

static void the_byte_limit_reaches_what_other_threads_keep(void **state) {
  (void)state;
  helper it;
  sb_pool_options options = options_for(three_classes, 3);
  options.bytes_max = 40 * 512;
  sb_pool *pool = open_with(&options);
  helper_start(&it, pool, 512);
  helper_do(&it, get_some, 40);
  void *data = NULL;
  assert_int_equal(sb_pool_get(pool, 4096, &data), SB_NO_MEMORY);
  helper_do(&it, put_some, 40);
  data = get(pool, 4096);
  assert_true(pool_stats(pool).bytes_kept <= 40 * 512 - 4096);
  assert_ok(sb_pool_put(pool, data));
  helper_end(&it);
  sb_pool_close(pool);
}

static void close_reaches_what_other_threads_keep(void **state) {
  (void)state;
  helper it;
  sb_pool *pool = open_three();
  helper_start(&it, pool, 512);
  helper_do(&it, get_some, 41);
  void *out = it.data[40];
  helper_do(&it, put_some, 40);
  sb_pool_close(pool);
  assert_int_equal(((uint8_t *)out)[511], 40);
  sb_pool *other = open_three(); /* with the first one's place in the threads */
  it.pool = other;
  helper_do(&it, get_some, 10);
  helper_do(&it, put_some, 10);
  it.data[0] = out;
  helper_do(&it, put_some, 1);
  assert_int_equal(pages_resident(out, 1), -1);
  assert_int_equal(pool_stats(other).outstanding, 0);
  assert_int_equal(class_stats(other, 0).kept, 10);
  helper_end(&it);
  sb_pool_close(other);
}

static void all_threads_together_keep_no_more_than_the_class_may(void **state) {
  (void)state;
  helper its[6];
  const sb_pool_class classes[] = {{512, 100}};
  const sb_pool_options options = options_for(classes, 1);
  sb_pool *pool = open_with(&options);
  for (int i = 0; i < 6; i++) {
    helper_start(&its[i], pool, 512);
    helper_do(&its[i], get_some, 90);
  }
  for (int i = 0; i < 6; i++) {
    helper_do(&its[i], put_some, 90);
    const uint64_t kept = class_stats(pool, 0).kept;
    assert_true(kept >= 40 && kept <= 100);
  }
  for (int i = 0; i < 6; i++) helper_end(&its[i]);
  assert_true(class_stats(pool, 0).kept <= 100);
  assert_int_equal(class_stats(pool, 0).outstanding_max, 540);
  sb_pool_close(pool);
}

static void a_thread_that_comes_late_makes_place_for_what_it_may_keep(void **state) {
  (void)state;
  helper it, late;
  const sb_pool_class classes[] = {{512, 100}};
  const sb_pool_options options = options_for(classes, 1);
  sb_pool *pool = open_with(&options);
  helper_start(&it, pool, 512);
  helper_start(&late, pool, 512);
  helper_do(&it, get_some, 95);
  memcpy(late.data, it.data, sizeof late.data);
  void *more[60];
  for (int i = 0; i < 60; i++) {
    helper_do(&it, get_some, 1);
    more[i] = it.data[0];
  }
  memcpy(it.data, late.data, sizeof it.data);
  helper_do(&it, put_some, 95);
  helper_end(&it);
  assert_true(class_stats(pool, 0).kept > 90);
  memcpy(late.data, more, sizeof more);
  helper_do(&late, put_some, 60);
  assert_true(class_stats(pool, 0).kept <= 100);
  helper_end(&late);
  assert_true(class_stats(pool, 0).kept <= 100);
  sb_pool_close(pool);
}

static void a_thread_without_place_of_its_own_gets_what_others_passed_on(void **state) {
  (void)state;
  helper its[3];
  const sb_pool_class classes[] = {{512, 40}};
  const sb_pool_options options = options_for(classes, 1);
  sb_pool *pool = open_with(&options);
  for (int i = 0; i < 3; i++) helper_start(&its[i], pool, 512);
  helper_do(&its[0], get_some, 40); /* may keep 20 of 40 */
  helper_do(&its[1], get_some, 1);  /* 10 of 20 */
  helper_do(&its[0], put_some, 40);
  const uint64_t hits = class_stats(pool, 0).hits;
  helper_do(&its[2], get_some, 5); /* 5 of 10, which is not worth it */
  assert_int_equal(class_stats(pool, 0).hits, hits + 5);
  helper_do(&its[2], put_some, 5);
  helper_do(&its[1], put_some, 1);
  for (int i = 0; i < 3; i++) helper_end(&its[i]);
  assert_int_equal(pool_stats(pool).outstanding, 0);
  sb_pool_close(pool);
}

static void blocks_got_by_one_and_put_by_another_thread_are_reused(void **state) {
  (void)state;
  helper it;
  const sb_pool_class classes[] = {{512, 1000}};
  const sb_pool_options options = options_for(classes, 1);
  sb_pool *pool = open_with(&options);
  helper_start(&it, pool, 512);
  for (int round = 0; round < 50; round++) {
    helper_do(&it, get_some, 100);
    for (int i = 0; i < 100; i++) assert_ok(sb_pool_put(pool, it.data[i]));
  }
  assert_true(class_stats(pool, 0).misses < 100 + 2 * 62); /* or the batches do not come round */
  helper_end(&it);
  sb_pool_close(pool);
}

static void more_pools_than_threads_have_places_for_work_too(void **state) {
  (void)state;
  enum {
    COUNT = 150
  };
  static sb_pool *pools[COUNT];
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < COUNT; i++) {
      pools[i] = open_three();
      void *first = get(pools[i], 512), *second = get(pools[i], 512);
      assert_ok(sb_pool_put(pools[i], first));
      assert_ok(sb_pool_put(NULL, second));
      assert_int_equal(class_stats(pools[i], 0).kept, 2);
    }
    for (int i = 0; i < COUNT; i++) sb_pool_close(pools[i]);
  }
}

static pthread_key_t late_key;

static void put_late(void *data) {
  assert_int_equal(sb_pool_put(NULL, data), SB_OK);
  assert_true(sb_priv_thread_own->revoked != 0); /* what it had may be another thread's by now */
}

static void *end_with_a_block(void *pool) {
  void *data = NULL;
  assert_int_equal(pthread_setspecific(late_key, pool), 0); /* so that it is destroyed with the library's or before */
  assert_int_equal(sb_pool_get(pool, 512, &data), SB_OK);
  assert_int_equal(pthread_setspecific(late_key, data), 0);
  return NULL;
}

static void a_block_put_by_a_destructor_of_an_ending_thread_comes_back(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  assert_int_equal(pthread_key_create(&late_key, put_late), 0); /* after the library's key, so destroyed later */
  for (int i = 0; i < 10; i++) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, end_with_a_block, pool), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
  }
  assert_int_equal(pool_stats(pool).outstanding, 0);
  assert_int_equal(class_stats(pool, 0).misses, 1);
  assert_int_equal(pthread_key_delete(late_key), 0);
  sb_pool_close(pool);
}

/* Two threads that put a block in the same instant can both find that it is out. Here the second one is made to. */
static void a_block_put_by_two_threads_in_one_instant_is_handed_out_once(void **state) {
  (void)state;
  helper its[2];
  sb_pool *pool = open_three();
  for (int i = 0; i < 2; i++) helper_start(&its[i], pool, 512);
  for (int round = 0; round < 4; round++) {
    void *data = get(pool, 512);
    sb_priv_record *record = NULL;
    assert_true(sb_priv_slab_record(sb_priv_slab_find(data), data, &record));
    for (int i = 0; i < 2; i++) {
      helper_do(&its[i], get_some, 1);
      helper_do(&its[i], put_some, 1); /* so that it has a magazine */
      sb_priv_record_set(record, SB_PRIV_BLOCK_OUT);
      its[i].data[0] = data;
      helper_do(&its[i], put_some, 1);
    }
    if (round % 2 == 1) {
      sb_pool_trim(pool);
      assert_int_equal(pool_stats(pool).bytes_kept, 0);
    }
    for (int i = 0; i < 2; i++) helper_do(&its[i], get_some, 3);
    for (int i = 0; i < 6; i++)
      for (int j = 0; j < i; j++) assert_true(its[i / 3].data[i % 3] != its[j / 3].data[j % 3]);
    assert_int_equal(class_stats(pool, 0).outstanding, 6);
    for (int i = 0; i < 2; i++) helper_do(&its[i], put_some, 3);
    assert_int_equal(class_stats(pool, 0).outstanding, 0);
    if (round == 1) sb_pool_trim(pool);
  }
  for (int i = 0; i < 2; i++) helper_end(&its[i]);
  sb_pool_close(pool);
}

static void *use_briefly(void *argument) {
  sb_pool *pool = argument;
  void *data[70];
  for (int i = 0; i < 70; i++)
    if (sb_pool_get(pool, (size_t)i * 60 + 1, &data[i]) != SB_OK) return pool;
  for (int i = 0; i < 70; i++)
    if (sb_pool_put(i % 2 == 0 ? pool : NULL, data[i]) != SB_OK) return pool;
  return NULL;
}

static void threads_end_while_others_trim(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  for (int round = 0; round < 60; round++) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, use_briefly, pool), 0);
    for (int i = 0; i < 3; i++) sb_pool_trim(pool);
    for (int i = 0; i < 4; i++) {
      void *failed = NULL;
      assert_int_equal(pthread_join(threads[i], &failed), 0);
      assert_null(failed);
    }
    assert_int_equal(pool_stats(pool).outstanding, 0);
  }
  sb_pool_close(pool);
}

static void the_most_blocks_out_at_one_time_are_known(void **state) {
  (void)state;
  helper it;
  sb_pool *pool = open_three();
  void *data[30];
  helper_start(&it, pool, 512);
  helper_do(&it, get_some, 50);
  for (int i = 0; i < 30; i++) data[i] = get(pool, 512);
  helper_do(&it, put_some, 50);
  for (int i = 0; i < 30; i++) assert_ok(sb_pool_put(pool, data[i]));
  helper_do(&it, get_some, 20);
  helper_do(&it, put_some, 20);
  assert_int_equal(class_stats(pool, 0).outstanding_max, 80);
  helper_end(&it);
  sb_pool_close(pool);
}

/* ---- fork ---- */

static void a_forked_child_gets_what_the_threads_it_lacks_kept(void **state) {
  (void)state;
  helper it;
  sb_pool *pool = open_three();
  helper_start(&it, pool, 512);
  helper_do(&it, get_some, 50);
  helper_do(&it, put_some, 40);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    sb_pool_class_stats stats = {.struct_size = sizeof stats};
    for (int i = 0; i < 40; i++) {
      void *data = NULL;
      if (sb_pool_get(pool, 512, &data) != SB_OK) _exit(1);
    }
    if (sb_pool_get_class_stats(pool, 0, &stats) != SB_OK) _exit(2);
    if (stats.hits != 40 || stats.misses != 50 || stats.outstanding != 50 || stats.kept != 0) _exit(3);
    if (sb_pool_put(pool, it.data[45]) != SB_OK) _exit(4); /* one that the other thread holds in the parent */
    _exit(0);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  assert_int_equal(sb_priv_thread_own->revoked & ~SB_PRIV_EXCHANGES, 0);
  assert_int_equal(class_stats(pool, 0).kept, 40);
  for (int i = 0; i < 10; i++) it.data[i] = it.data[40 + i];
  helper_do(&it, put_some, 10);
  helper_end(&it);
  sb_pool_close(pool);
}

static int use_in_child(sb_pool *pool, void *inherited) {
  if (sb_pool_put(pool, inherited) != SB_OK) return 1;
  if (sb_pool_put(pool, inherited) != SB_INVALID_ARGUMENT) return 2;
  sb_block *block = NULL;
  for (int i = 0; i < 1000; i++) {
    void *data = NULL;
    if (sb_pool_get(pool, (size_t)i * 37 + 1, &data) != SB_OK) return 3;
    memset(data, i, (size_t)i * 37 + 1);
    if (sb_pool_put(NULL, data) != SB_OK) return 4;
  }
  if (sb_pool_get_block(pool, 100, &block) != SB_OK) return 5;
  sb_pool_trim(pool);
  sb_pool_close(pool);
  sb_block_close(block);
  sb_view *view = NULL;
  if (sb_view_open("text", 4, NULL, &view) != SB_OK) return 6;
  sb_view_close(view);
  sb_pool *other = NULL;
  if (sb_pool_open(NULL, &other) != SB_OK) return 7;
  sb_pool_close(other);
  return 0;
}

static atomic_bool stop;

static void *keep_busy(void *argument) {
  while (!stop) {
    void *data = NULL;
    if (sb_pool_get(argument, 600, &data) == SB_OK && sb_pool_put(argument, data) != SB_OK) abort();
    sb_pool *other = NULL;
    if (sb_pool_open(NULL, &other) == SB_OK) sb_pool_close(other);
  }
  return NULL;
}

static void a_forked_child_uses_its_own_copy(void **state) {
  (void)state;
  sb_pool *pool = open_three();
  stop = false;
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, keep_busy, pool), 0);
  for (int i = 0; i < 20; i++) {
    uint8_t *data = get(pool, 512);
    memset(data, 5, 512);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(use_in_child(pool, data));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(data[511], 5);
    assert_ok(sb_pool_put(pool, data));
  }
  stop = true;
  assert_int_equal(pthread_join(thread, NULL), 0);
  sb_pool_close(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_block_can_be_written_and_is_reused),
      cmocka_unit_test(sizes_go_to_the_smallest_class_that_holds_them),
      cmocka_unit_test(a_size_that_no_block_has_is_refused),
      cmocka_unit_test(the_largest_size_is_served),
      cmocka_unit_test(a_block_above_the_largest_class_is_counted_and_not_kept),
      cmocka_unit_test(large_blocks_of_different_sizes_do_not_share_a_slab),
      cmocka_unit_test(every_alignment_is_kept),
      cmocka_unit_test(blocks_that_are_out_never_overlap),
      cmocka_unit_test(a_second_put_is_refused),
      cmocka_unit_test(what_is_no_block_is_refused),
      cmocka_unit_test(what_lies_behind_the_last_block_of_a_slab_is_refused),
      cmocka_unit_test(a_put_to_another_pool_is_refused),
      cmocka_unit_test(a_put_finds_the_pool_by_itself),
      cmocka_unit_test(a_counted_block_goes_back_with_its_last_owner),
      cmocka_unit_test(the_memory_of_a_counted_block_cannot_be_put),
      cmocka_unit_test(a_large_counted_block_has_the_size_that_was_asked_for),
      cmocka_unit_test(a_pool_is_a_provider),
      cmocka_unit_test(blocks_outlive_the_pool_and_the_last_put_frees_it),
      cmocka_unit_test(a_counted_block_outlives_the_pool),
      cmocka_unit_test(pools_that_come_and_go_leave_nothing),
      cmocka_unit_test(the_byte_limit_holds),
      cmocka_unit_test(only_so_many_blocks_are_kept),
      cmocka_unit_test(trim_gives_kept_blocks_back),
      cmocka_unit_test(a_small_pool_takes_little_memory),
      cmocka_unit_test(a_system_without_memory_is_reported_and_the_pool_goes_on),
      cmocka_unit_test(a_zeroing_pool_gives_zeros),
      cmocka_unit_test(a_block_given_back_and_used_again_is_zeroed_too),
      cmocka_unit_test(a_poisoning_pool_overwrites_what_is_put),
      cmocka_unit_test(many_blocks_are_got_and_put_in_one_call),
      cmocka_unit_test(many_blocks_of_different_classes_and_pools_are_put_together),
      cmocka_unit_test(one_wrong_block_of_many_and_all_stay_out),
      cmocka_unit_test(many_that_the_limit_forbids_are_none),
      cmocka_unit_test(many_of_a_pool_that_looks_at_each_block),
      cmocka_unit_test(what_is_not_put_back_is_known_by_place_and_tag),
      cmocka_unit_test(a_stale_put_does_not_come_between_a_get_and_its_note),
      cmocka_unit_test(what_was_left_of_a_double_put_is_not_handed_out_when_it_is_another_block),
      cmocka_unit_test(counted_blocks_and_large_ones_are_traced_too),
      cmocka_unit_test(wrong_tags_are_refused_and_long_ones_keep_their_end),
      cmocka_unit_test(places_beyond_the_limit_are_one),
      cmocka_unit_test(a_thread_keeps_no_more_bytes_than_it_may),
      cmocka_unit_test(the_defaults_are_what_the_header_says),
      cmocka_unit_test(wrong_options_are_refused),
      cmocka_unit_test(options_of_another_version_are_understood_or_refused),
      cmocka_unit_test(statistics_count_what_happened),
      cmocka_unit_test(statistics_heed_the_size_of_the_structure),
      cmocka_unit_test(null_is_an_error_or_does_nothing),
      cmocka_unit_test(blocks_go_from_thread_to_thread),
      cmocka_unit_test(two_threads_that_put_one_block_of_a_closed_pool_do_no_harm),
      cmocka_unit_test(what_a_thread_kept_comes_back_when_it_ends),
      cmocka_unit_test(threads_that_come_and_go_leave_nothing),
      cmocka_unit_test(trim_reaches_what_other_threads_keep),
      cmocka_unit_test(the_byte_limit_reaches_what_other_threads_keep),
      cmocka_unit_test(close_reaches_what_other_threads_keep),
      cmocka_unit_test(all_threads_together_keep_no_more_than_the_class_may),
      cmocka_unit_test(a_thread_that_comes_late_makes_place_for_what_it_may_keep),
      cmocka_unit_test(a_thread_without_place_of_its_own_gets_what_others_passed_on),
      cmocka_unit_test(blocks_got_by_one_and_put_by_another_thread_are_reused),
      cmocka_unit_test(more_pools_than_threads_have_places_for_work_too),
      cmocka_unit_test(a_block_put_by_a_destructor_of_an_ending_thread_comes_back),
      cmocka_unit_test(a_block_put_by_two_threads_in_one_instant_is_handed_out_once),
      cmocka_unit_test(threads_end_while_others_trim),
      cmocka_unit_test(the_most_blocks_out_at_one_time_are_known),
      cmocka_unit_test(a_forked_child_gets_what_the_threads_it_lacks_kept),
      cmocka_unit_test(a_forked_child_uses_its_own_copy),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
