#ifndef POOL_TESTING_H
#define POOL_TESTING_H

/* What the tests of pools share. */

#include "memory_testing.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define KIB 1024u
#define MIB (1024u * KIB)

static const sb_pool_class three_classes[] = {{4096, 100}, {512, 100}, {16384, 100}};

static inline sb_pool_options options_for(const sb_pool_class *classes, uint32_t class_count) {
  sb_pool_options options;
  sb_pool_options_init(&options, sizeof options);
  options.classes = classes;
  options.class_count = class_count;
  return options;
}

static inline sb_pool *open_with(const sb_pool_options *options) {
  sb_pool *pool = NULL;
  assert_ok(sb_pool_open(options, &pool));
  return pool;
}

static inline sb_pool *open_three(void) {
  const sb_pool_options options = options_for(three_classes, 3);
  return open_with(&options);
}

static inline void *get(sb_pool *pool, size_t size) {
  void *data = NULL;
  assert_ok(sb_pool_get(pool, size, &data));
  assert_non_null(data);
  return data;
}

static inline sb_pool_stats pool_stats(sb_pool *pool) {
  sb_pool_stats stats = {.struct_size = sizeof stats};
  assert_ok(sb_pool_get_stats(pool, &stats));
  return stats;
}

static inline sb_pool_class_stats class_stats(sb_pool *pool, uint32_t index) {
  sb_pool_class_stats stats = {.struct_size = sizeof stats};
  assert_ok(sb_pool_get_class_stats(pool, index, &stats));
  return stats;
}

/* How many of the `size` bytes' pages are in memory; -1 if the address is not mapped. */
static inline long pages_resident(void *data, size_t size) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  unsigned char pages[512];
  assert_true(size / page <= sizeof pages);
  void *first = (void *)((uintptr_t)data & -page);
  if (mincore(first, size, pages) != 0) {
    assert_int_equal(errno, ENOMEM);
    return -1;
  }
  long resident = 0;
  for (size_t i = 0; i < (size + page - 1) / page; i++) resident += pages[i] & 1;
  return resident;
}

#endif
