/* How long an add takes at worst: in a store of 1,000,000 users, beside 8 readers, while an index is written, and while it compacts. And what
 * the visits of one user cost, of whom there are 1,000,000. FOLDER should be in memory: the disk is not what is measured. */
#include "work.h"

#include <pthread.h>
#include <stdatomic.h>

#include <samebytes/visits.h>

enum {
  STALL_USERS = 1000000,
  STALL_ADDS = 200000,
  STALL_READERS = 8,
  FILL_AT_ONCE = 5000
};

static sb_error error;

static void need(sb_status status) {
  if (status != SB_OK) bench_fail("samebytes: %s", error.message);
}

static sb_visit_manager *open_store(const char *folder, uint32_t max_visits) {
  char path[4096];
  sb_visit_manager_options options;
  sb_visit_manager *manager = NULL;
  sb_visit_manager_options_init(&options, sizeof options);
  options.max_visits = max_visits;
  path_of(path, sizeof path, folder, "visits");
  need(sb_visit_manager_open(path, &options, &manager, &error));
  return manager;
}

static sb_visit_stats stats_of(sb_visit_manager *manager) {
  sb_visit_stats stats = {.struct_size = sizeof stats};
  need(sb_visit_manager_get_stats(manager, &stats, &error));
  return stats;
}

static sb_visit visit_of(const bench_visit *v, uint32_t user, uint32_t id) {
  return (sb_visit){.user = user,
                    .visit_id = id,
                    .time_ns = v->time_ns,
                    .url = v->url,
                    .url_size = v->url_size,
                    .text = v->text,
                    .text_size = v->text_size};
}

static void fill_users(sb_visit_manager *manager) {
  sb_visit *batch = store_alloc(FILL_AT_ONCE * sizeof *batch);
  const bench_visit v = work_visit(0, LARGE_USERS); /* what it says does not matter here */
  for (uint32_t first = 0; first < STALL_USERS; first += FILL_AT_ONCE) {
    for (uint32_t i = 0; i < FILL_AT_ONCE; i++) batch[i] = visit_of(&v, first + i, 1);
    need(sb_visit_manager_add_visits(manager, batch, FILL_AT_ONCE, &error));
  }
  free(batch);
}

static uint32_t user_of(uint64_t number) { return (uint32_t)(number * 2654435761u % STALL_USERS); }

static double add_one(sb_visit_manager *manager, uint32_t number) {
  const bench_visit v = work_visit(number, LARGE_USERS);
  const double start = bench_now();
  need(sb_visit_manager_add_visit_at(manager, user_of(number), 2 + number, v.url, v.url_size, v.text, v.text_size, v.time_ns, &error));
  return bench_now() - start;
}

static int by_value(const void *a, const void *b) {
  const double left = *(const double *)a, right = *(const double *)b;
  return left < right ? -1 : left > right;
}

static void show_times(const char *what, const char *whose, double *times, size_t count) {
  char name[200];
  if (count < 1000) bench_fail("%s: only %zu adds were made", what, count);
  qsort(times, count, sizeof *times, by_value);
  snprintf(name, sizeof name, "%s, 99.99th percentile", what);
  print_sample(name, whose, times[count - 1 - count / 10000] / 1000, "us");
  snprintf(name, sizeof name, "%s, longest", what);
  print_sample(name, whose, times[count - 1] / 1000, "us");
}

static void show_tail(const char *what, double *times, size_t count) {
  char name[200];
  show_times(what, ours.name, times, count);
  snprintf(name, sizeof name, "%s, 99.99th percentile", what);
  print_sample(name, "10 ms", 10000, "us");
  snprintf(name, sizeof name, "%s, longest", what);
  print_sample(name, "10 ms", 10000, "us");
}

typedef struct readers {
  sb_visit_manager *manager;
  atomic_bool done;
} readers;

static void *read_on(void *context) {
  readers *self = context;
  for (uint64_t i = (uintptr_t)&i; !atomic_load_explicit(&self->done, memory_order_relaxed); i++) {
    sb_visits *visits = NULL;
    if (sb_visit_manager_get_recent_visits(self->manager, user_of(i), &visits, NULL) != SB_OK) bench_fail("samebytes: a reader failed");
    sb_visits_close(visits);
  }
  return NULL;
}

#define BESIDE_READERS "add beside 8 readers, 1,000,000 users"

static void *work_on(void *context) {
  readers *self = context;
  volatile uint64_t sum = 0;
  while (!atomic_load_explicit(&self->done, memory_order_relaxed)) sum += user_of(sum);
  return NULL;
}

/* What of that is the system's: as much work, as long as the adds took, beside as many threads that share nothing with it. Where there are fewer
 * processors than threads, each has to wait for its turn. */
static void beside_nothing_shared(double *times, size_t count, double length) {
  readers self = {0};
  pthread_t threads[STALL_READERS];
  for (int i = 0; i < STALL_READERS; i++)
    if (pthread_create(&threads[i], NULL, work_on, &self) != 0) bench_fail("no thread");
  for (size_t i = 0; i < count; i++) {
    const double start = bench_now();
    double now;
    do now = bench_now();
    while (now - start < length);
    times[i] = now - start;
  }
  atomic_store(&self.done, true);
  for (int i = 0; i < STALL_READERS; i++) pthread_join(threads[i], NULL);
  show_times(BESIDE_READERS, "nothing shared", times, count);
}

static uint32_t beside_readers(sb_visit_manager *manager, uint32_t number, double *times) {
  readers self = {.manager = manager};
  pthread_t threads[STALL_READERS];
  for (int i = 0; i < STALL_READERS; i++)
    if (pthread_create(&threads[i], NULL, read_on, &self) != 0) bench_fail("no thread");
  size_t count = 0;
  for (; count < STALL_ADDS / 10; count++) times[count] = add_one(manager, number++);
  atomic_store(&self.done, true);
  for (int i = 0; i < STALL_READERS; i++) pthread_join(threads[i], NULL);
  show_tail(BESIDE_READERS, times, count);
  beside_nothing_shared(times, count, times[count / 2]); /* in order by now: the median */
  return number;
}

/* An add after which there is more than one record more has written a piece of an index, too. */
static uint32_t while_indexing(sb_visit_manager *manager, uint32_t number, double *times) {
  size_t count = 0;
  for (uint64_t records = stats_of(manager).records; count < STALL_ADDS / 50;) {
    const double taken = add_one(manager, number++);
    const sb_visit_stats stats = stats_of(manager);
    if (stats.records > records + 1 && !stats.compacting) times[count++] = taken;
    records = stats.records;
  }
  show_tail("add while an index is written, 1,000,000 users", times, count);
  return number;
}

static uint32_t while_compacting(sb_visit_manager *manager, uint32_t number, double *times) {
  while (!stats_of(manager).compacting) (void)add_one(manager, number++);
  size_t count = 0;
  for (const uint64_t before = stats_of(manager).compactions; stats_of(manager).compactions == before && count < STALL_ADDS;)
    times[count++] = add_one(manager, number++);
  show_tail("add while it compacts, 1,000,000 users", times, count);
  return number;
}

static void many_users(const char *folder) {
  char work[4000];
  double *times = store_alloc(STALL_ADDS * sizeof *times);
  work_folder(work, sizeof work, folder, "users");
  sb_visit_manager *manager = open_store(work, 1);
  fill_users(manager);
  uint32_t number = 0;
  number = beside_readers(manager, number, times);
  number = while_indexing(manager, number, times);
  (void)while_compacting(manager, number, times);
  need(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
  work_remove(work);
  free(times);
}

/* Newest first, which is how a read gives them, and so how they come when they are added again. */
static void many_visits(const char *folder) {
  enum {
    VISITS = 1000000
  };
  char work[4000];
  sb_visits *visits = NULL;
  work_folder(work, sizeof work, folder, "one");
  sb_visit_manager *manager = open_store(work, VISITS);
  double start = bench_now(), longest = 0;
  for (uint32_t i = 0; i < VISITS; i++) {
    const bench_visit v = work_visit(i, LARGE_USERS);
    const double before = bench_now();
    need(sb_visit_manager_add_visit_at(manager, 1, i, v.url, v.url_size, v.text, v.text_size, (int64_t)(VISITS - i), &error));
    const double taken = bench_now() - before;
    if (taken > longest) longest = taken;
  }
  print_sample("add, newest first, to one user who gets 1,000,000", ours.name, (bench_now() - start) / VISITS / 1000, "us");
  need(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
  start = bench_now();
  manager = open_store(work, VISITS);
  need(sb_visit_manager_get_recent_visits(manager, 1, &visits, &error));
  print_sample("open and read 1,000,000 visits of one user", ours.name, (bench_now() - start) / 1e6, "ms");
  if (sb_visits_count(visits) != VISITS) bench_fail("samebytes: %zu visits", sb_visits_count(visits));
  sb_visits_close(visits);
  sb_visit_manager_close(manager);
  work_remove(work);
}

void run_stalls(const char *folder, size_t samples) {
  for (size_t sample = 0; sample < samples; sample++) {
    many_users(folder);
    many_visits(folder);
  }
}
