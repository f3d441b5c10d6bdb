/* Adds, gets and deletes on 100,000 visits of 10,000 users, and durable adds. All sides have a store open at the same time and take turns, a slice of the
 * work each, so that what else the machine does hits all of them; a sample is the mean over all of the work, pauses included. */
#include "work.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
  SLICES = 20,
  DURABLE_NS = 400000000, /* how long durable adds go on per sample */
  THREADS = 64
};

typedef struct side {
  const store_kind *kind;
  const char *name; /* in the table */
  const char *folder;
  void *store;
  double taken;
  uint64_t digest;
  char path[4096];
} side;

typedef void slice_work(side *self, size_t from, size_t to);

static void do_adds(side *self, size_t from, size_t to) {
  for (size_t i = from; i < to; i++) {
    bench_visit v = work_visit(i, SMALL_USERS);
    self->kind->add(self->store, &v);
  }
  if (self->kind->flush != NULL) self->kind->flush(self->store);
}

static void do_gets(side *self, size_t from, size_t to) {
  static bench_rows rows;
  for (size_t i = from; i < to; i++) {
    self->kind->get(self->store, work_user(i, SMALL_USERS), &rows);
    for (size_t row = 0; row < rows.count; row++) {
      self->digest = self->digest * 31 + rows.items[row].visit_id + *(const uint8_t *)rows.items[row].text;
    }
    if (self->kind->done != NULL) self->kind->done(&rows);
  }
}

/* Those of the rounds 2, 5 and 8. */
static void do_deletes(side *self, size_t from, size_t to) {
  for (size_t i = from; i < to; i++) {
    const uint32_t ids[3] = {(uint32_t)i + 2 * SMALL_USERS, (uint32_t)i + 5 * SMALL_USERS, (uint32_t)i + 8 * SMALL_USERS};
    self->digest += self->kind->delete_visits(self->store, work_user(i, SMALL_USERS), ids, 3);
  }
}

static void in_turns(side *sides, size_t count, slice_work *work, size_t total, const char *name) {
  for (size_t i = 0; i < count; i++) sides[i].taken = 0;
  for (size_t slice = 0; slice < SLICES; slice++) {
    for (size_t i = 0; i < count; i++) {
      side *self = &sides[slice % 2 == 0 ? i : count - 1 - i];
      double start = bench_now();
      work(self, total * slice / SLICES, total * (slice + 1) / SLICES);
      self->taken += bench_now() - start;
    }
  }
  for (size_t i = 0; i < count; i++) {
    if (sides[i].digest != sides[0].digest) bench_fail("%s: %s reads something else than %s", name, sides[i].name, sides[0].name);
    print_sample(name, sides[i].name, sides[i].taken / (double)total / 1000, "us");
  }
}

static void open_sides(side *sides, size_t count, const char *folder, bench_purpose purpose) {
  for (size_t i = 0; i < count; i++) {
    work_folder(sides[i].path, sizeof sides[i].path, folder, sides[i].folder);
    sides[i].store = sides[i].kind->open(sides[i].path, purpose);
    sides[i].digest = 0;
  }
}

static void close_sides(side *sides, size_t count) {
  for (size_t i = 0; i < count; i++) {
    sides[i].kind->close(sides[i].store);
    work_remove(sides[i].path);
  }
}

/* ---- durable adds ---- */

typedef struct adder {
  side *side;
  size_t number, step, added;
  double end;
  pthread_t thread;
} adder;

static void *add_until_the_end(void *adder_) {
  adder *self = adder_;
  for (size_t i = self->number; bench_now() < self->end; i += self->step, self->added++) {
    bench_visit v = work_visit(i, SMALL_USERS);
    self->side->kind->add(self->side->store, &v);
  }
  return NULL;
}

/* Adds per second on `threads` threads; none adds what another one does. */
static double durable_rate(side *self, size_t threads, size_t from) {
  static adder adders[THREADS];
  double start = bench_now();
  for (size_t i = 0; i < threads; i++) {
    adders[i] = (adder){.side = self, .number = from + i, .step = threads, .end = start + DURABLE_NS};
    if (pthread_create(&adders[i].thread, NULL, add_until_the_end, &adders[i]) != 0) bench_fail("no thread");
  }
  size_t added = 0;
  for (size_t i = 0; i < threads; i++) {
    pthread_join(adders[i].thread, NULL);
    added += adders[i].added;
  }
  return (double)added / ((bench_now() - start) / 1e9);
}

static void run_durable(side *sides, size_t count, const char *folder, size_t threads, size_t samples, const char *name) {
  open_sides(sides, count, folder, TO_BE_DURABLE);
  for (size_t sample = 0; sample <= samples; sample++) {
    for (size_t i = 0; i < count; i++) {
      side *self = &sides[sample % 2 == 0 ? i : count - 1 - i];
      double rate = durable_rate(self, threads, sample * 10000000);
      if (sample > 0) print_sample(name, self->name, rate, "adds/s"); /* the first turn warms up */
    }
  }
  close_sides(sides, count);
}

void run_small(const char *folder, size_t samples) {
  side sides[] = {
      {.kind = &ours, .name = ours.name, .folder = "ours"},
      {.kind = &lmdb, .name = "LMDB, no sync", .folder = "lmdb"},
      {.kind = &leveldb, .name = "LevelDB, no sync", .folder = "leveldb"},
      {.kind = &sqlite, .name = "SQLite WAL NORMAL", .folder = "sqlite"},
      {.kind = &redis, .name = "Redis", .folder = "redis"},
  };
  size_t count = sizeof sides / sizeof sides[0];
  for (size_t i = 0; i < count; i++) check_store(sides[i].kind, folder);
  check_store(&rocksdb, folder);
  for (size_t sample = 0; sample < samples; sample++) {
    open_sides(sides, count, folder, TO_SURVIVE_A_KILL);
    in_turns(sides, count, do_adds, SMALL_VISITS, "add, survives a killed process");
    in_turns(sides, count, do_gets, SMALL_USERS, "get 10, copied");
    in_turns(sides, count, do_deletes, SMALL_USERS, "delete 3");
    close_sides(sides, count);
  }
  side one_thread[] = {
      {.kind = &ours, .name = ours.name, .folder = "ours"},
      {.kind = &sqlite, .name = "SQLite WAL FULL", .folder = "sqlite"},
      {.kind = &lmdb, .name = "LMDB, sync", .folder = "lmdb"},
  };
  run_durable(one_thread, 3, folder, 1, samples, "durable add, 1 thread");
  side many_threads[] = {
      {.kind = &ours, .name = ours.name, .folder = "ours"},
      {.kind = &sqlite, .name = "SQLite WAL FULL", .folder = "sqlite"},
      {.kind = &rocksdb, .name = "RocksDB, sync", .folder = "rocksdb"},
  };
  run_durable(many_threads, 3, folder, THREADS, samples, "durable add, 64 threads");
}
