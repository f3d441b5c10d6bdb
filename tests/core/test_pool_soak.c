/* timeout: 7200 */
/* Threads that come and go share pools that are opened, trimmed, counted and closed, and forks happen meanwhile. SAMEBYTES_POOL_SECONDS says for how
 * long: 2 s if it says nothing, an hour in `make nightly`. What test_pool_orders tries in every order of a few steps is here by chance, with
 * the real barriers and many steps. */
#include "memory_testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <sys/wait.h>
#include <unistd.h>

enum {
  WORKERS = 6,
  PLACES = 8,   /* for pools that come and go */
  LEFT = 128,   /* blocks that anybody may put */
  HELD_MAX = 48 /* blocks that a thread has */
};

/* A pool that comes and goes. Whoever uses it is counted, and who closes it waits for them; their caches of it stay, and so do blocks. */
typedef struct place {
  pthread_mutex_t lock;
  pthread_cond_t idle;
  sb_pool *pool;
  uint64_t handle;
  unsigned users;
} place;

typedef struct mark {
  void *self;
  uint64_t owner;
} mark;

static place places[PLACES];
static sb_pool *forever;
static _Atomic(void *) left[LEFT];
static atomic_bool stop;
static atomic_size_t wrong, threads, closes, trims, forks, blocks;

static void note(bool holds) {
  if (!holds) atomic_fetch_add(&wrong, 1);
}

static sb_pool *open_any(random_source *random) {
  sb_pool_class classes[4];
  sb_pool_options options;
  sb_pool *pool = NULL;
  sb_pool_options_init(&options, sizeof options);
  options.class_count = 1 + (uint32_t)random_below(random, 4);
  options.classes = classes;
  options.poison_on_put = random_below(random, 8) == 0;
  options.zero_on_get = random_below(random, 8) == 0;
  if (random_below(random, 4) == 0) options.bytes_max = 1024 * 1024;
  for (uint32_t i = 0; i < options.class_count; i++) classes[i] = (sb_pool_class){512u << 2 * i, 20 + (uint32_t)random_below(random, 400)};
  note(sb_pool_open(&options, &pool) == SB_OK);
  return pool;
}

/* ---- blocks ---- */

static void mark_block(void *data, uint64_t owner) {
  *(mark *)data = (mark){data, owner};
  atomic_fetch_add(&blocks, 1);
}

static void put_block(void *data) {
  note(((mark *)data)->self == data);
  ((mark *)data)->self = NULL;
  note(sb_pool_put(NULL, data) == SB_OK);
}

static void leave_or_put(random_source *random, void *data, uint64_t owner) {
  note(((mark *)data)->owner == owner);
  if (random_below(random, 4) == 0) data = atomic_exchange(&left[random_below(random, LEFT)], data);
  if (data != NULL) put_block(data);
}

static void get_and_put_some(random_source *random, sb_pool *pool, uint64_t handle, uint64_t owner) {
  void *held[HELD_MAX];
  size_t count = 0;
  for (const size_t wanted = random_below(random, HELD_MAX); count < wanted; count++) {
    const size_t size = sizeof(mark) + random_below(random, 20000);
    const bool by_handle = handle != 0 && random_below(random, 2) == 0;
    const sb_status status = by_handle ? sb_pool_handle_get(handle, size, &held[count]) : sb_pool_get(pool, size, &held[count]);
    note(status == SB_OK || status == SB_NO_MEMORY);
    if (status != SB_OK) break;
    mark_block(held[count], owner);
  }
  while (count > 0) leave_or_put(random, held[--count], owner);
}

static void count_some(random_source *random, sb_pool *pool, uint64_t owner) {
  sb_block *block = NULL;
  sb_view *view = NULL, *copy = NULL;
  if (sb_pool_get_block(pool, 1 + random_below(random, 3000), &block) != SB_OK) return;
  memset(sb_block_data(block), (int)(owner & 0xff), 1);
  note(sb_view_open_block(block, 1, &view) == SB_OK && sb_view_copy(view, &copy) == SB_OK);
  sb_view_close(view);
  uint8_t first = 0;
  note(sb_view_copy_bytes(copy, 0, &first, 1) == SB_OK && first == (owner & 0xff));
  sb_view_close(copy);
}

/* ---- what threads do ---- */

static void use_pool(random_source *random, sb_pool *pool, uint64_t handle, uint64_t owner) {
  sb_pool_stats stats = {.struct_size = sizeof stats};
  switch (random_below(random, 8)) {
  case 0:
    sb_pool_trim(pool);
    atomic_fetch_add(&trims, 1);
    break;
  case 1:
    note(sb_pool_get_stats(pool, &stats) == SB_OK);
    break;
  case 2:
    count_some(random, pool, owner);
    break;
  default:
    get_and_put_some(random, pool, handle, owner);
    break;
  }
}

static void close_pool(place *at, random_source *random) {
  (void)pthread_mutex_lock(&at->lock);
  sb_pool *pool = at->pool;
  const uint64_t handle = at->handle;
  at->pool = NULL;
  while (at->users > 0) (void)pthread_cond_wait(&at->idle, &at->lock);
  (void)pthread_mutex_unlock(&at->lock);
  if (pool == NULL) return;
  if (random_below(random, 2) == 0) note(sb_pool_handle_free(handle) == SB_OK);
  sb_pool_close(pool);
  const sb_status status = sb_pool_handle_free(handle);
  note(status == SB_OK || status == SB_NOT_FOUND);
  atomic_fetch_add(&closes, 1);
}

static void use_place(random_source *random, uint64_t owner) {
  place *at = &places[random_below(random, PLACES)];
  (void)pthread_mutex_lock(&at->lock);
  if (at->pool == NULL) {
    at->pool = open_any(random);
    note(sb_pool_handle(at->pool, &at->handle) == SB_OK);
  }
  at->users++;
  sb_pool *pool = at->pool;
  const uint64_t handle = at->handle;
  (void)pthread_mutex_unlock(&at->lock);
  use_pool(random, pool, handle, owner);
  (void)pthread_mutex_lock(&at->lock);
  if (--at->users == 0) (void)pthread_cond_broadcast(&at->idle);
  (void)pthread_mutex_unlock(&at->lock);
  if (random_below(random, 8) == 0) close_pool(at, random);
}

/* A thread of a short life, which ends with caches of pools that others are closing. */
static void *live_shortly(void *argument) {
  const uint64_t owner = (uintptr_t)argument;
  random_source random = {owner * 0x9e3779b97f4a7c15u + 1};
  for (size_t i = 1 + random_below(&random, 40); i > 0 && !stop; i--) {
    if (random_below(&random, 4) == 0)
      use_pool(&random, forever, 0, owner);
    else
      use_place(&random, owner);
    void *found = atomic_exchange(&left[random_below(&random, LEFT)], NULL);
    if (found != NULL) put_block(found);
  }
  atomic_fetch_add(&threads, 1);
  return NULL;
}

/* Keeps one of the workers alive, one after the other. */
static void *spawn(void *argument) {
  for (uint64_t life = 1; !stop; life++) {
    pthread_t thread;
    void *owner = (void *)((uintptr_t)argument + (uintptr_t)(life * WORKERS));
    if (pthread_create(&thread, NULL, live_shortly, owner) == 0) note(pthread_join(thread, NULL) == 0);
  }
  return NULL;
}

/* The child uses the pool that is there for good, and one of its own. */
static int child_main(uint64_t seed) {
  random_source random = {seed};
  (void)alarm(120);
  sb_pool *own = open_any(&random);
  for (int i = 0; i < 20; i++) {
    get_and_put_some(&random, forever, 0, 1);
    get_and_put_some(&random, own, 0, 1);
    sb_pool_trim(i % 2 == 0 ? forever : own);
  }
  for (int i = 0; i < LEFT; i++) {
    void *data = atomic_exchange(&left[i], NULL); /* the parent's too: it had left them */
    if (data != NULL) note(sb_pool_put(NULL, data) == SB_OK);
  }
  sb_pool_close(own);
  return wrong == 0 ? 0 : 1;
}

static void *fork_now_and_then(void *argument) {
  (void)argument;
  for (uint64_t seed = 1; !stop; seed++) {
    const pid_t child = fork();
    if (child == 0) _exit(child_main(seed));
    int status = 0;
    note(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    atomic_fetch_add(&forks, 1);
    (void)nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
  }
  return NULL;
}

/* So that a busy machine does not make this a test of nothing. */
static bool enough(void) { return threads > 10 && closes > 10 && trims > 10 && forks > 1 && blocks > 1000; }

static long seconds_to_run(void) {
  const char *told = getenv("SAMEBYTES_POOL_SECONDS");
  return told != NULL && told[0] != '\0' ? strtol(told, NULL, 10) : 2;
}

static void no_block_is_lost_or_handed_out_twice(void **state) {
  (void)state;
  random_source random = {(uint64_t)time(NULL)};
  pthread_t running[WORKERS + 1];
  forever = open_any(&(random_source){7});
  for (int i = 0; i < PLACES; i++) {
    (void)pthread_mutex_init(&places[i].lock, NULL);
    (void)pthread_cond_init(&places[i].idle, NULL);
  }
  for (uintptr_t i = 0; i < WORKERS + 1; i++)
    assert_int_equal(pthread_create(&running[i], NULL, i < WORKERS ? spawn : fork_now_and_then, (void *)(i + 1)), 0);
  for (long seconds = seconds_to_run(); (seconds > 0 || !enough()) && wrong == 0; seconds--)
    (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
  stop = true;
  for (int i = 0; i < WORKERS + 1; i++) assert_int_equal(pthread_join(running[i], NULL), 0);
  for (int i = 0; i < PLACES; i++) close_pool(&places[i], &random);
  for (int i = 0; i < LEFT; i++)
    if (left[i] != NULL) put_block(left[i]);
  sb_pool_stats stats = {.struct_size = sizeof stats};
  assert_ok(sb_pool_get_stats(forever, &stats));
  printf("%zu threads, %zu closes, %zu trims, %zu forks, %zu blocks\n", threads, closes, trims, forks, blocks);
  assert_int_equal(wrong, 0);
  assert_int_equal(stats.outstanding, 0);
  assert_int_equal(stats.refused_puts, 0);
  assert_true(enough());
  sb_pool_close(forever);
  assert_no_live_blocks();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(no_block_is_lost_or_handed_out_twice)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
