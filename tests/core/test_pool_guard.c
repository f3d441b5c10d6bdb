/* link: -Wl,--wrap=mprotect */

/* Pools with guard pages. Valgrind can't run this, which ends by signals of its own whatever touches a guard; the other tests of pools it can. */
#include <signal.h>

#include <sys/wait.h>

#include "pool_testing.h"

/* The signal that ends a child which touches `data`; 0 if none does. */
static int signal_of_touching(volatile uint8_t *data) {
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    (void)signal(SIGSEGV, SIG_DFL); /* sanitizers have their own */
    *data = *data;
    _exit(0);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_guarded_block_cannot_be_touched_around_it_or_after_its_put(void **state) {
  (void)state;
  const uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE), alignments[] = {0, 8 * page, SB_POOL_ALIGNMENT_MAX};
  const size_t sizes[] = {512, 4096, 16384, 100000, 3 * MIB};
  for (int a = 0; a < 3; a++) {
    sb_pool_options options = options_for(three_classes, 3);
    options.guard_pages = true;
    options.alignment = alignments[a];
    sb_pool *pool = open_with(&options);
    for (int i = 0; i < 5; i++) {
      uint8_t *data = get(pool, sizes[i]);
      const size_t end = (sizes[i] + 63) & ~(size_t)63;
      assert_int_equal((uintptr_t)data % (alignments[a] == 0 ? 64 : alignments[a]), 0);
      memset(data, 1, sizes[i]);
      assert_int_equal(signal_of_touching(data), 0);
      assert_int_equal(signal_of_touching(data + (alignments[a] == 0 ? end : (sizes[i] + page - 1) / page * page)), SIGSEGV);
      assert_int_equal(signal_of_touching(data - page), SIGSEGV);
      assert_int_equal(sb_pool_put(pool, data + 64), SB_INVALID_ARGUMENT);
      assert_ok(sb_pool_put(pool, data));
      assert_int_equal(signal_of_touching(data), SIGSEGV);
      assert_int_equal(signal_of_touching(data + sizes[i] - 1), SIGSEGV);
      assert_int_equal(sb_pool_put(pool, data), SB_INVALID_ARGUMENT);
      assert_true(get(pool, sizes[i]) != data); /* its addresses are nobody else's for a while */
    }
    sb_pool_close(pool); /* five are out for good */
  }
}

static void a_guarded_sb_block_cannot_be_touched_after_its_close(void **state) {
  (void)state;
  sb_pool_options options = options_for(three_classes, 3);
  options.guard_pages = true;
  sb_pool *pool = open_with(&options);
  sb_block *block = NULL;
  assert_ok(sb_pool_get_block(pool, 100, &block));
  uint8_t *data = sb_block_data(block);
  memset(data, 1, 512);
  sb_block_close(block);
  assert_int_equal(signal_of_touching(data), SIGSEGV);
  sb_pool_close(pool);
}

static void a_guarding_pool_keeps_so_many_and_the_oldest_goes(void **state) {
  (void)state;
  const sb_pool_class classes[] = {{512, 3}};
  sb_pool_options options = options_for(classes, 1);
  options.guard_pages = true;
  sb_pool *pool = open_with(&options);
  uint8_t *data[5];
  for (int i = 0; i < 5; i++) data[i] = get(pool, 512);
  for (int i = 0; i < 5; i++) assert_ok(sb_pool_put(pool, data[i]));
  assert_int_equal(class_stats(pool, 0).kept, 3);
  for (int i = 0; i < 5; i++) assert_int_equal(pages_resident(data[i], 1), i < 2 ? -1 : 0);
  sb_pool_trim(pool);
  assert_int_equal(class_stats(pool, 0).kept, 0);
  for (int i = 0; i < 5; i++) assert_int_equal(pages_resident(data[i], 1), -1);
  assert_int_equal(class_stats(pool, 0).hits, 0);
  sb_pool_close(pool);
}

/* What happens when a process has as many mappings as it may. */
static long protections_until_failure;

int __real_mprotect(void *data, size_t size, int protection);
int __wrap_mprotect(void *data, size_t size, int protection);
int __wrap_mprotect(void *data, size_t size, int protection) {
  if (protections_until_failure > 0 && --protections_until_failure == 0) {
    errno = ENOMEM;
    return -1;
  }
  return __real_mprotect(data, size, protection);
}

static void a_guarding_pool_without_mappings_says_so(void **state) {
  (void)state;
  sb_pool_options options = options_for(three_classes, 3);
  options.guard_pages = true;
  sb_pool *pool = open_with(&options);
  for (long nth = 1; nth <= 3; nth++) {
    void *data = state;
    protections_until_failure = nth;
    const sb_status status = sb_pool_get(pool, 1, &data);
    assert_int_equal(protections_until_failure > 0, nth > 2);
    protections_until_failure = 0;
    assert_int_equal(status, nth > 2 ? SB_OK : SB_NO_MEMORY);
    assert_int_equal(pool_stats(pool).outstanding, nth > 2);
    if (nth > 2) assert_ok(sb_pool_put(pool, data));
  }
  sb_pool_close(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_guarded_block_cannot_be_touched_around_it_or_after_its_put),
      cmocka_unit_test(a_guarded_sb_block_cannot_be_touched_after_its_close),
      cmocka_unit_test(a_guarding_pool_keeps_so_many_and_the_oldest_goes),
      cmocka_unit_test(a_guarding_pool_without_mappings_says_so),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
