/* Getting and putting blocks: the library's pool, or malloc and free of whatever allocator is preloaded. The first byte of each block is
 * written, as a program would at least do.
 *
 *   pool SIDE SAMPLES   SIDE "samebytes" is the pool; any other name is malloc, under that name in the table */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <samebytes/samebytes.h>

enum {
  RING_SIZE = 256,
  OUT_COUNT = 64,
  MANY = 16,
  SPINS_MAX = 64,
  THREAD_PAIRS = 20000
};

static sb_pool *pool; /* NULL: malloc */

static inline void *get(size_t size) {
  void *data;
  if (pool == NULL)
    data = malloc(size);
  else if (sb_pool_get(pool, size, &data) != SB_OK)
    data = NULL;
  if (data == NULL) bench_fail("no memory");
  *(volatile char *)data = 1; /* also keeps the compiler from leaving malloc and free out */
  return data;
}

static inline void put(void *data) {
  if (pool == NULL)
    free(data);
  else if (sb_pool_put(pool, data) != SB_OK)
    bench_fail("put was refused");
}

static void pairs(size_t size, size_t times) {
  while (times-- > 0) put(get(size));
}

static void pairs_512(size_t times) { pairs(512, times); }
static void pairs_4096(size_t times) { pairs(4096, times); }
static void pairs_16384(size_t times) { pairs(16384, times); }

static void many_out(size_t times) {
  void *out[OUT_COUNT];
  while (times-- > 0) {
    for (size_t i = 0; i < OUT_COUNT; i++) out[i] = get(4096);
    for (size_t i = 0; i < OUT_COUNT; i++) put(out[i]);
  }
}

static void sixteen(size_t times) {
  void *out[MANY];
  while (times-- > 0) {
    if (pool == NULL) {
      for (size_t i = 0; i < MANY; i++)
        if ((out[i] = malloc(4096)) == NULL) bench_fail("no memory");
    } else if (sb_pool_get_many(pool, 4096, MANY, out) != SB_OK) {
      bench_fail("no memory");
    }
    for (size_t i = 0; i < MANY; i++) *(volatile char *)out[i] = 1;
    if (pool == NULL) {
      for (size_t i = 0; i < MANY; i++) free(out[i]);
    } else if (sb_pool_put_many(pool, out, MANY) != SB_OK) {
      bench_fail("put was refused");
    }
  }
}

static void start(pthread_t *thread, void *(*run)(void *), void *argument) {
  if (pthread_create(thread, NULL, run, argument) != 0) bench_fail("no thread");
}

static void *run_pairs(void *times) {
  pairs(4096, *(size_t *)times);
  return NULL;
}

/* Each thread does THREAD_PAIRS pairs `times` times, so many that its start does not count. The time is that of one pair on one thread while
 * the other does the same. */
static void two_threads(size_t times) {
  times *= THREAD_PAIRS;
  pthread_t other;
  start(&other, run_pairs, &times);
  pairs(4096, times);
  pthread_join(other, NULL);
}

/* Blocks on their way from the thread that gets them to the one that puts them. Each side keeps what it last saw of the other. */
static struct {
  _Alignas(64) atomic_size_t pushed;
  _Alignas(64) atomic_size_t popped;
  _Alignas(64) void *blocks[RING_SIZE];
} ring;

static size_t wait_past(atomic_size_t *counter, size_t value) {
  for (unsigned spins = 0;; spins++) {
    size_t now = atomic_load_explicit(counter, memory_order_acquire);
    if (now != value) return now;
    if (spins >= SPINS_MAX) sched_yield();
  }
}

static void *put_elsewhere(void *times) {
  size_t count = *(size_t *)times;
  size_t pushed = 0;
  for (size_t i = 0; i < count; i++) {
    if (pushed == i) pushed = wait_past(&ring.pushed, i);
    put(ring.blocks[i % RING_SIZE]);
    atomic_store_explicit(&ring.popped, i + 1, memory_order_release);
  }
  return NULL;
}

static void handed_over(size_t times) {
  times *= THREAD_PAIRS;
  atomic_store(&ring.pushed, 0);
  atomic_store(&ring.popped, 0);
  pthread_t other;
  start(&other, put_elsewhere, &times);
  size_t popped = 0;
  for (size_t i = 0; i < times; i++) {
    if (i - popped == RING_SIZE) popped = wait_past(&ring.popped, popped);
    ring.blocks[i % RING_SIZE] = get(4096);
    atomic_store_explicit(&ring.pushed, i + 1, memory_order_release);
  }
  pthread_join(other, NULL);
}

int main(int argc, char **argv) {
  if (argc < 3) bench_fail("usage: %s SIDE SAMPLES", argv[0]);
  const char *side = argv[1];
  if (strcmp(side, "samebytes") == 0 && sb_pool_open(NULL, &pool) != SB_OK) bench_fail("no pool");
  const bench_case cases[] = {
      {"C get+put, 512 B, one thread", side, pairs_512, 1},
      {"C get+put, 4 KiB, one thread", side, pairs_4096, 1},
      {"C get+put, 16 KiB, one thread", side, pairs_16384, 1},
      {"C get+put, 4 KiB, 64 out at a time", side, many_out, OUT_COUNT},
      {"C get+put, 4 KiB, by get_many and put_many of 16", side, sixteen, MANY},
      {"C get+put, 4 KiB, two threads", side, two_threads, THREAD_PAIRS},
      {"C get+put, 4 KiB, put on another thread", side, handed_over, THREAD_PAIRS},
  };
  int result = bench_main(argc - 1, argv + 1, cases, sizeof cases / sizeof cases[0]);
  sb_pool_close(pool);
  return result;
}
