/* The store of visits by itself, in figures; for those who change it. Each measurement is one process, because memory and caches are
 * part of what is measured:
 *
 *   visits_alone fill PATH USERS VISITS [close|kill]   makes the file; us per add
 *   visits_alone get|delete PATH                        us per call, everything in memory
 *   visits_alone open PATH                              ms until the visits of one user are there
 *   visits_alone scan PATH [cold]                       ms of a walk over everything
 *   visits_alone load PATH                              bytes per visit, resident, with every user in memory
 *   visits_alone verify PATH                            ms
 *   visits_alone compact PATH                           ms, and bytes per visit of the file afterwards
 *   visits_alone tail PATH ADDS [thread]                us of adds without and with a compaction under way: median, 99.9th percentile
 *   visits_alone durable PATH THREADS ADDS              adds per second, each on disk when it returns
 *
 * url 60 bytes, text 200, max_visits 10. Built by `make build/bench/visits_alone`. */
#include "bench.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include <samebytes/samebytes.h>
#include <samebytes/visits.h>

enum {
  MAX_VISITS = 10,
  URL_SIZE = 60,
  TEXT_SIZE = 200
};

static char url[URL_SIZE], text[TEXT_SIZE];
static sb_error error;

static void need(sb_status status) {
  if (status != SB_OK) bench_fail("%s: %s", sb_status_name(status), error.message);
}

static sb_visit_manager *open_store(const char *path, int32_t durability, bool thread) {
  sb_visit_manager_options options;
  sb_visit_manager *manager = NULL;
  sb_visit_manager_options_init(&options, sizeof options);
  options.max_visits = MAX_VISITS;
  options.durability = durability;
  options.compact_in_thread = thread;
  need(sb_visit_manager_open(path, &options, &manager, &error));
  return manager;
}

static void close_store(sb_visit_manager *manager) {
  need(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
}

static uint32_t next_random(void) {
  static uint64_t seed = 1;
  seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(seed >> 33);
}

static uint32_t add_one(sb_visit_manager *manager, uint32_t user, uint32_t id) {
  need(sb_visit_manager_add_visit(manager, user, id, url, URL_SIZE, text, TEXT_SIZE, &error));
  return user;
}

/* Users come in random order, as they do. */
static void fill(const char *path, uint32_t users, uint32_t visits, bool clean) {
  sb_visit_manager *manager = open_store(path, SB_DURABILITY_NONE, false);
  const double start = bench_now();
  for (uint32_t i = 0; i < visits; i++) (void)add_one(manager, next_random() % users, i + 1);
  printf("add\t%.3f us\n", (bench_now() - start) / visits / 1e3);
  fflush(stdout);
  if (!clean) _exit(0);
  close_store(manager);
}

static sb_visit_stats stats_of(sb_visit_manager *manager) {
  sb_visit_stats stats = {.struct_size = sizeof stats};
  need(sb_visit_manager_get_stats(manager, &stats, &error));
  return stats;
}

static sb_visit_users *users_of(sb_visit_manager *manager, const sb_visit_user **rows, size_t *count, size_t *visits) {
  sb_visit_users *users = NULL;
  need(sb_visit_manager_users(manager, &users, &error));
  need(sb_visit_users_get_all(users, rows, count));
  *visits = 0;
  for (size_t i = 0; i < *count; i++) *visits += (*rows)[i].visit_count;
  return users;
}

/* Reads every user of a store into its memory. */
static void load(const char *path) {
  sb_visit_manager *manager = open_store(path, SB_DURABILITY_NONE, false);
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  const sb_visit_user *rows;
  size_t count, visits;
  sb_visit_users *users = users_of(manager, &rows, &count, &visits);
  for (size_t i = 0; i < count; i++) {
    sb_visits *shown = NULL;
    need(sb_visit_manager_get_recent_visits(manager, rows[i].user, &shown, &error));
    sb_visits_close(shown);
  }
  sb_visit_users_close(users);
  printf("resident\t%.1f bytes per visit\n", (double)(mallinfo2().uordblks + mallinfo2().hblkhd - before) / (double)visits);
  close_store(manager);
}

static void get(const char *path) {
  enum {
    TIMES = 200000
  };
  sb_visit_manager *manager = open_store(path, SB_DURABILITY_NONE, false);
  const sb_visit_user *rows;
  size_t count, visits;
  sb_visit_users *users = users_of(manager, &rows, &count, &visits);
  for (int round = 0; round < 2; round++) {
    const double start = bench_now();
    for (uint32_t i = 0; i < TIMES; i++) {
      sb_visits *shown = NULL;
      need(sb_visit_manager_get_recent_visits(manager, rows[next_random() % count].user, &shown, &error));
      BENCH_USE(shown);
      sb_visits_close(shown);
    }
    if (round > 0) printf("get\t%.3f us\n", (bench_now() - start) / TIMES / 1e3);
  }
  sb_visit_users_close(users);
  close_store(manager);
}

static void delete_three(const char *path) {
  enum {
    TIMES = 3000
  };
  sb_visit_manager *manager = open_store(path, SB_DURABILITY_NONE, false);
  const sb_visit_user *rows;
  size_t count, visits;
  sb_visit_users *users = users_of(manager, &rows, &count, &visits);
  double taken = 0;
  for (size_t i = 0; i < TIMES && i < count; i++) {
    sb_visits *shown = NULL;
    const sb_visit *list;
    size_t shown_count;
    bool found = false;
    need(sb_visit_manager_get_recent_visits(manager, rows[i].user, &shown, &error));
    need(sb_visits_get_all(shown, &list, &shown_count));
    if (shown_count < 3) bench_fail("user %u has fewer than three visits", (unsigned)rows[i].user);
    const uint32_t ids[3] = {list[0].visit_id, list[1].visit_id, list[2].visit_id};
    const double start = bench_now();
    need(sb_visit_manager_delete_visits(manager, rows[i].user, ids, 3, &found, &error));
    taken += bench_now() - start;
    sb_visits_close(shown);
  }
  printf("delete\t%.3f us\n", taken / (double)(TIMES < count ? TIMES : count) / 1e3);
  sb_visit_users_close(users);
  close_store(manager);
}

static void forget_cached(const char *path) {
  const int file = open(path, O_RDONLY);
  if (file < 0 || fdatasync(file) != 0 || posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0)
    bench_fail("cannot drop the cache of %s", path);
  close(file);
}

static void open_one(const char *path) {
  sb_visits *shown = NULL;
  const double start = bench_now();
  sb_visit_manager *manager = open_store(path, SB_DURABILITY_NONE, false);
  const double opened = bench_now();
  need(sb_visit_manager_get_recent_visits(manager, 77, &shown, &error));
  printf("open\t%.3f ms, and the first get %.3f ms; %llu records replayed\n", (opened - start) / 1e6, (bench_now() - opened) / 1e6,
         (unsigned long long)stats_of(manager).replayed_records);
  sb_visits_close(shown);
  fflush(stdout);
  _exit(0); /* as it is, so that it may be opened so again */
}

static void scan(const char *path, bool cold) {
  if (cold) forget_cached(path);
  sb_visit_manager *manager = open_store(path, SB_DURABILITY_NONE, false);
  sb_visit_scan *walk = NULL;
  size_t visits = 0, bytes = 0;
  const double start = bench_now();
  need(sb_visit_manager_scan(manager, &walk, &error));
  for (size_t count = 1; count > 0;) {
    sb_visits *shown = NULL;
    const sb_visit *rows;
    need(sb_visit_scan_next(walk, 0, &shown, &error));
    need(sb_visits_get_all(shown, &rows, &count));
    for (size_t i = 0; i < count; i++) bytes += rows[i].url_size + rows[i].text_size;
    visits += count;
    sb_visits_close(shown);
  }
  printf("scan\t%.1f ms, %zu visits, %zu bytes\n", (bench_now() - start) / 1e6, visits, bytes);
  sb_visit_scan_close(walk);
  fflush(stdout);
  _exit(0);
}

static void verify(const char *path) {
  sb_visit_report report = {.struct_size = sizeof report};
  const double start = bench_now();
  need(sb_verify_visits(path, &report, &error));
  printf("verify\t%.1f ms, %llu visits\n", (bench_now() - start) / 1e6, (unsigned long long)report.visits);
}

static void compact(const char *path) {
  sb_visit_manager *manager = open_store(path, SB_DURABILITY_NONE, false);
  const sb_visit_user *rows;
  size_t count, visits;
  const double start = bench_now();
  need(sb_visit_manager_compact(manager, &error));
  const double taken = bench_now() - start;
  sb_visit_users *users = users_of(manager, &rows, &count, &visits);
  printf("compact\t%.1f ms, %.1f bytes per visit\n", taken / 1e6, (double)stats_of(manager).file_bytes / (double)visits);
  sb_visit_users_close(users);
  close_store(manager);
}

static int by_value(const void *a, const void *b) {
  const double left = *(const double *)a, right = *(const double *)b;
  return left < right ? -1 : left > right;
}

static void print_percentiles(const char *what, double *values, size_t count) {
  qsort(values, count, sizeof *values, by_value);
  printf("%s\t%zu adds: median %.1f us, 99.9%% %.1f us, longest %.1f us\n", what, count, values[count / 2] / 1e3,
         values[count - 1 - count / 1000] / 1e3, values[count - 1] / 1e3);
}

static void *compact_beside(void *context) {
  need(sb_visit_manager_compact(context, &error));
  return NULL;
}

/* Adds to a large store: ADDS of them, then as many while `compact` runs in another thread, again and again. */
static void tail(const char *path, size_t adds, bool thread) {
  sb_visit_manager *manager = open_store(path, SB_DURABILITY_NONE, thread);
  const sb_visit_user *rows;
  size_t count, visits;
  sb_visit_users *users = users_of(manager, &rows, &count, &visits);
  double *values = malloc(adds * sizeof *values);
  if (values == NULL) bench_fail("no memory");
  uint32_t id = 0x40000000;
  for (int round = 0; round < 2; round++) {
    pthread_t compactor;
    const uint64_t before = stats_of(manager).compactions;
    size_t done = 0;
    bool running = false;
    for (; done < adds; done++) {
      if (round > 0 && !running && stats_of(manager).compactions == before) {
        running = true;
        if (pthread_create(&compactor, NULL, compact_beside, manager) != 0) bench_fail("no thread");
      }
      const double start = bench_now();
      (void)add_one(manager, rows[next_random() % count].user, id++);
      values[done] = bench_now() - start;
      if (round > 0 && done % 64 == 63 && stats_of(manager).compactions > before) break;
    }
    if (running) (void)pthread_join(compactor, NULL);
    print_percentiles(round == 0 ? "without" : "compacting", values, done);
  }
  free(values);
  sb_visit_users_close(users);
  close_store(manager);
}

typedef struct adder {
  pthread_t thread;
  sb_visit_manager *manager;
  uint32_t number, adds;
} adder;

static void *add_durably(void *context) {
  adder *me = context;
  for (uint32_t i = 0; i < me->adds; i++) (void)add_one(me->manager, me->number, i);
  return NULL;
}

static void durable(const char *path, uint32_t threads, uint32_t adds) {
  sb_visit_manager *manager = open_store(path, SB_DURABILITY_ALWAYS, false);
  adder *adders = calloc(threads, sizeof *adders);
  if (adders == NULL) bench_fail("no memory");
  const double start = bench_now();
  for (uint32_t i = 0; i < threads; i++) {
    adders[i] = (adder){.manager = manager, .number = i, .adds = adds};
    if (pthread_create(&adders[i].thread, NULL, add_durably, &adders[i]) != 0) bench_fail("no thread");
  }
  for (uint32_t i = 0; i < threads; i++) (void)pthread_join(adders[i].thread, NULL);
  const double taken = (bench_now() - start) / 1e9;
  printf("durable\t%u threads: %.0f adds/s, %llu syncs for %u adds\n", threads, threads * adds / taken,
         (unsigned long long)stats_of(manager).syncs, threads * adds);
  free(adders);
  close_store(manager);
}

static uint32_t number(const char *argument) {
  const unsigned long value = argument == NULL ? 0 : strtoul(argument, NULL, 10);
  if (value < 1 || value > 100000000) bench_fail("a number from 1 to 100000000 is missing; see the first lines of visits_alone.c");
  return (uint32_t)value;
}

int main(int argc, char **argv) {
  if (argc < 3) bench_fail("usage: see the first lines of tests/bench/c/visits_alone.c");
  const char *what = argv[1], *path = argv[2], *last = argv[argc - 1];
  memset(url, 'u', sizeof url);
  memset(text, 't', sizeof text);
  if (strcmp(what, "fill") == 0)
    fill(path, number(argv[3]), number(argv[4]), strcmp(last, "kill") != 0);
  else if (strcmp(what, "get") == 0)
    get(path);
  else if (strcmp(what, "delete") == 0)
    delete_three(path);
  else if (strcmp(what, "open") == 0)
    open_one(path);
  else if (strcmp(what, "scan") == 0)
    scan(path, strcmp(last, "cold") == 0);
  else if (strcmp(what, "load") == 0)
    load(path);
  else if (strcmp(what, "verify") == 0)
    verify(path);
  else if (strcmp(what, "compact") == 0)
    compact(path);
  else if (strcmp(what, "tail") == 0)
    tail(path, number(argv[3]), strcmp(last, "thread") == 0);
  else if (strcmp(what, "durable") == 0)
    durable(path, number(argv[3]), number(argv[4]));
  else
    bench_fail("there is no measurement '%s'", what);
  return 0;
}
