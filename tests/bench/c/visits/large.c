/* What depends on the size of a store: 1,000,000 visits of 100,000 users. `prepare` makes the stores; `large` opens them again and again. */
#define _GNU_SOURCE /* copy_file_range */
#include "work.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <samebytes/crc32c.h>
#include <samebytes/visits.h>

enum {
  TAIL_MAX = 16 << 20, /* bytes of log after which an index is written */
  TAIL_ROOM = 64 << 10,
  SLOT_SIZE = 64,
  MEASURED_ADDS = 200000
};

static const store_kind *const kinds[] = {&ours, &leveldb, &sqlite, &lmdb};
static const char *const folders[] = {"ours", "leveldb", "sqlite", "lmdb"};

/* ---- the header of our file, as docs/file-format.md has it ---- */

typedef struct slot {
  long place;
  uint8_t bytes[SLOT_SIZE];
} slot;

static uint64_t slot_number(const slot *self, size_t at) {
  uint64_t number = 0;
  for (size_t i = 8; i-- > 0;) number = number << 8 | self->bytes[at + i];
  return number;
}

/* The slot that counts. */
static slot read_slot(FILE *file) {
  slot found = {0};
  for (long place = 512; place <= 1024; place += 512) {
    slot other = {.place = place};
    if (fseek(file, place, SEEK_SET) != 0 || fread(other.bytes, SLOT_SIZE, 1, file) != 1) bench_fail("the file has no header");
    if (slot_number(&other, 0) > slot_number(&found, 0)) found = other;
  }
  return found;
}

static uint64_t index_offset(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) bench_fail("there is no %s", path);
  slot counts = read_slot(file);
  uint64_t offset = slot_number(&counts, 24);
  (void)fclose(file);
  return offset;
}

/* Makes the file one that was written under another start of the system: then an index that was not synced is not relied on, and all of
 * the log is replayed. */
static void forget_index(const char *path) {
  FILE *file = fopen(path, "r+b");
  if (file == NULL) bench_fail("there is no %s", path);
  slot counts = read_slot(file);
  uint32_t checksum;
  counts.bytes[48] ^= 1;
  checksum = sb_crc32c(0, counts.bytes, 60);
  for (size_t i = 0; i < 4; i++) counts.bytes[60 + i] = (uint8_t)(checksum >> 8 * i);
  if (fseek(file, counts.place, SEEK_SET) != 0 || fwrite(counts.bytes, SLOT_SIZE, 1, file) != 1 || fclose(file) != 0)
    bench_fail("cannot write %s", path);
}

/* ---- preparing ---- */

static void fill(const store_kind *kind, void *store) {
  if (kind->fill_begin != NULL) kind->fill_begin(store);
  for (size_t i = 0; i < LARGE_VISITS; i++) {
    bench_visit v = work_visit(i, LARGE_USERS);
    kind->add(store, &v);
  }
  if (kind->flush != NULL) kind->flush(store);
  if (kind->fill_end != NULL) kind->fill_end(store);
}

static uint64_t log_bytes(void *store) {
  sb_visit_stats stats = {.struct_size = sizeof stats};
  sb_error error;
  if (sb_visit_manager_get_stats(store, &stats, &error) != SB_OK) bench_fail("samebytes: %s", error.message);
  return stats.file_bytes;
}

/* Adds until the log after the last index is nearly as long as it gets, and is killed. */
static void fill_and_die(const char *folder, const char *path) {
  void *store = ours.open(folder, TO_SURVIVE_A_KILL);
  size_t added = 0;
  for (; added < LARGE_VISITS; added++) {
    bench_visit v = work_visit(added, LARGE_USERS);
    ours.add(store, &v);
  }
  uint64_t index = index_offset(path);
  while (index_offset(path) == index) {
    for (size_t i = 0; i < 100; i++, added++) {
      bench_visit v = work_visit(added, LARGE_USERS);
      ours.add(store, &v);
    }
  }
  for (uint64_t start = log_bytes(store); log_bytes(store) < start + TAIL_MAX - TAIL_ROOM; added++) {
    bench_visit v = work_visit(added, LARGE_USERS);
    ours.add(store, &v);
  }
  _exit(0);
}

static void copy_file(const char *from, const char *to) {
  int source = open(from, O_RDONLY | O_CLOEXEC), target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (source < 0 || target < 0) bench_fail("cannot copy %s", from);
  ssize_t count;
  while ((count = copy_file_range(source, NULL, target, NULL, (size_t)1 << 30, 0)) > 0) continue;
  if (count < 0 || close(target) != 0) bench_fail("cannot copy %s", from);
  (void)close(source);
}

static void wait_for(pid_t child) {
  int status;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) bench_fail("a child failed");
}

static void prepare_killed(const char *folder) {
  char killed[4000], path[4096], replay[4000], replay_path[4096];
  work_folder(killed, sizeof killed, folder, "killed");
  path_of(path, sizeof path, killed, "visits");
  pid_t child = fork();
  if (child == 0) fill_and_die(killed, path);
  wait_for(child);
  work_folder(replay, sizeof replay, folder, "replay");
  path_of(replay_path, sizeof replay_path, replay, "visits");
  copy_file(path, replay_path);
  forget_index(replay_path);
}

void prepare_large(const char *folder) {
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    char path[4096];
    work_folder(path, sizeof path, folder, folders[i]);
    void *store = kinds[i]->open(path, TO_SURVIVE_A_KILL);
    fill(kinds[i], store);
    kinds[i]->close(store);
  }
  prepare_killed(folder);
  sync();
}

/* ---- opening ---- */

/* Opens, gets one user, and ends without closing, so that the file stays as it was; returns nanoseconds. */
static double open_in_child(const char *path, uint32_t user) {
  int ends[2];
  double taken = 0;
  if (pipe(ends) != 0) bench_fail("no pipe");
  pid_t child = fork();
  if (child == 0) {
    static bench_rows rows;
    double start = bench_now();
    void *store = ours.open(path, TO_SURVIVE_A_KILL);
    ours.get(store, user, &rows);
    taken = bench_now() - start;
    if (rows.count != VISITS_MAX || write(ends[1], &taken, sizeof taken) != sizeof taken) _exit(1);
    _exit(0);
  }
  (void)close(ends[1]);
  if (read(ends[0], &taken, sizeof taken) != sizeof taken) bench_fail("the store of a killed process does not open");
  (void)close(ends[0]);
  wait_for(child);
  return taken;
}

static void open_after_close(const store_kind *kind, const char *path, uint32_t user) {
  static bench_rows rows;
  double start = bench_now();
  void *store = kind->open(path, TO_SURVIVE_A_KILL);
  kind->get(store, user, &rows);
  print_sample("open 1,000,000 and get one user, after a clean close", kind->name, (bench_now() - start) / 1e6, "ms");
  if (rows.count != VISITS_MAX || rows.items[0].user != user) bench_fail("%s: the user is not there", kind->name);
  if (kind->done != NULL) kind->done(&rows);
  kind->close(store);
}

static void open_all(const char *folder, size_t sample) {
  uint32_t user = work_user(sample * 77777 + 3, LARGE_USERS);
  char path[4096];
  for (size_t i = 0; i < 3; i++) {
    size_t at = sample % 2 == 0 ? i : 2 - i;
    path_of(path, sizeof path, folder, folders[at]);
    open_after_close(kinds[at], path, user);
  }
  static const char *const names[] = {"killed", "replay"};
  static const char *const sides[] = {"samebytes", "samebytes, all of the log"};
  for (size_t i = 0; i < 2; i++) {
    path_of(path, sizeof path, folder, names[i]);
    print_sample("open 1,000,000 and get one user, after a kill", sides[i], open_in_child(path, user) / 1e6, "ms");
  }
}

/* ---- scans and sizes ---- */

/* Of ours, LMDB and SQLite, in turns. */
static void scan_all(const char *folder, size_t samples) {
  static const size_t scanned[] = {0, 3, 2};
  void *stores[3];
  digest expected = {0};
  for (size_t i = 0; i < 3; i++) {
    char path[4096];
    path_of(path, sizeof path, folder, folders[scanned[i]]);
    stores[i] = kinds[scanned[i]]->open(path, TO_SURVIVE_A_KILL);
  }
  for (size_t sample = 0; sample <= samples; sample++) {
    for (size_t i = 0; i < 3; i++) {
      const store_kind *kind = kinds[scanned[i]];
      digest found = {0};
      double start = bench_now();
      kind->scan(stores[i], digest_add, &found);
      double taken = bench_now() - start;
      if (expected.visits == 0) expected = found;
      if (found.visits != LARGE_VISITS || found.sum != expected.sum) bench_fail("%s: the scan is wrong", kind->name);
      if (sample > 0) print_sample("full scan of 1,000,000", kind->name, taken / LARGE_VISITS, "ns"); /* the first one warms up */
    }
  }
  for (size_t i = 0; i < 3; i++) kinds[scanned[i]]->close(stores[i]);
}

static void show_disk_bytes(const char *folder) {
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    char path[4096];
    path_of(path, sizeof path, folder, folders[i]);
    print_sample("bytes on disk per visit, compacted", kinds[i]->name, kinds[i]->disk_bytes(path) / LARGE_VISITS, "B");
  }
  print_sample("bytes on disk per visit, compacted", "the limit", 290, "B");
}

static double private_bytes(void) {
  FILE *file = fopen("/proc/self/status", "rb");
  char line[256];
  double kilobytes = -1;
  if (file == NULL) bench_fail("there is no /proc/self/status");
  while (fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "RssAnon: %lf kB", &kilobytes) == 1) break;
  (void)fclose(file);
  if (kilobytes < 0) bench_fail("/proc/self/status does not tell RssAnon");
  return kilobytes * 1024;
}

/* In a process of its own, whose memory nobody used before. */
static void show_resident_bytes(const char *folder) {
  char path[4096];
  path_of(path, sizeof path, folder, "ours");
  (void)fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    static bench_rows rows;
    (void)malloc_trim(0);
    double before = private_bytes();
    void *store = ours.open(path, TO_SURVIVE_A_KILL);
    for (size_t i = 0; i < LARGE_USERS; i++) {
      ours.get(store, work_user(i, LARGE_USERS), &rows);
      ours.done(&rows);
    }
    print_sample("resident bytes per visit, all decoded", ours.name, (private_bytes() - before) / LARGE_VISITS, "B");
    ours.close(store);
    exit(0);
  }
  wait_for(child);
  work_folder(path, sizeof path, folder, "redis");
  void *store = redis.open(path, TO_SURVIVE_A_KILL);
  fill(&redis, store);
  print_sample("resident bytes per visit, all decoded", redis.name, redis.resident_bytes(store) / LARGE_VISITS, "B");
  redis.close(store);
  work_remove(path);
  print_sample("resident bytes per visit, all decoded", "the limit", 300, "B");
}

/* ---- adds while a compaction goes on ---- */

static int compare_doubles(const void *a, const void *b) {
  double one = *(const double *)a, other = *(const double *)b;
  return (one > other) - (one < other);
}

static double percentile_99_9(double *values, size_t count) {
  qsort(values, count, sizeof *values, compare_doubles);
  return values[count - 1 - count / 1000];
}

typedef struct compaction {
  void *store;
  atomic_bool done;
} compaction;

static void *compact(void *compaction_) {
  compaction *self = compaction_;
  ours.fill_end(self->store);
  atomic_store(&self->done, true);
  return NULL;
}

static bool compacts_by_itself(void *store) {
  sb_visit_stats stats = {.struct_size = sizeof stats};
  sb_error error;
  if (sb_visit_manager_get_stats(store, &stats, &error) != SB_OK) bench_fail("samebytes: %s", error.message);
  return stats.compacting;
}

/* Adds, each timed, while `goes_on` says so, at most MEASURED_ADDS; returns how many. */
static size_t timed_adds(compaction *self, size_t *index, double *times, bool (*goes_on)(compaction *self)) {
  size_t count = 0;
  for (; count < MEASURED_ADDS && goes_on(self); count++, ++*index) {
    bench_visit v = work_visit(*index, LARGE_USERS);
    double start = bench_now();
    ours.add(self->store, &v);
    times[count] = bench_now() - start;
  }
  return count;
}

static bool always(compaction *self) { return self != NULL; }
static bool until_done(compaction *self) { return !atomic_load(&self->done); }
static bool while_it_compacts(compaction *self) { return compacts_by_itself(self->store); }

static void show_pause(const char *name, double without, double *times, size_t count) {
  if (count < 1000) bench_fail("%s: only %zu adds were made during the compaction", name, count);
  double with = percentile_99_9(times, count) / 1000;
  print_sample(name, ours.name, with, "us");
  print_sample(name, "samebytes, no compaction", without, "us");
  print_sample(name, "samebytes, no compaction, and 10 ms", without + 10000, "us");
}

/* A copy of the store in a folder of its own, and the percentile of adds to it while nothing else goes on, in microseconds. */
static double begin_compactions(const char *folder, char *work, size_t size, bool in_thread, compaction *self, size_t *index,
                                double *times) {
  char from[4096], path[4200];
  path_of(from, sizeof from, folder, "ours/visits");
  work_folder(work, size, folder, "work");
  path_of(path, sizeof path, work, "visits");
  copy_file(from, path);
  sb_visit_manager_options options;
  sb_visit_manager_options_init(&options, sizeof options);
  options.compact_in_thread = in_thread;
  sb_visit_manager *manager = NULL;
  sb_error error;
  if (sb_visit_manager_open(path, &options, &manager, &error) != SB_OK) bench_fail("samebytes: %s", error.message);
  *self = (compaction){.store = manager};
  *index = LARGE_VISITS;
  (void)timed_adds(self, index, times, always); /* warms up */
  size_t count = timed_adds(self, index, times, always);
  return percentile_99_9(times, count) / 1000;
}

static void compact_by_itself(const char *folder, double *times, bool in_thread, const char *name) {
  char work[4000];
  compaction self;
  size_t index;
  double without = begin_compactions(folder, work, sizeof work, in_thread, &self, &index, times);
  while (!compacts_by_itself(self.store)) {
    bench_visit v = work_visit(index++, LARGE_USERS);
    ours.add(self.store, &v);
  }
  size_t count = timed_adds(&self, &index, times, while_it_compacts);
  show_pause(name, without, times, count);
  ours.close(self.store);
  work_remove(work);
}

static void compact_when_asked(const char *folder, double *times) {
  char work[4000];
  compaction self;
  size_t index;
  double without = begin_compactions(folder, work, sizeof work, false, &self, &index, times);
  pthread_t thread;
  if (pthread_create(&thread, NULL, compact, &self) != 0) bench_fail("no thread");
  size_t count = timed_adds(&self, &index, times, until_done);
  pthread_join(thread, NULL);
  show_pause("add while compact() runs, 99.9th percentile", without, times, count);
  ours.close(self.store);
  work_remove(work);
}

static void compact_while_adding(const char *folder) {
  double *times = store_alloc(MEASURED_ADDS * sizeof *times);
  compact_when_asked(folder, times);
  compact_by_itself(folder, times, false, "add while it compacts by itself, 99.9th percentile");
  compact_by_itself(folder, times, true, "add while it compacts in a thread, 99.9th percentile");
  free(times);
}

void run_large(const char *folder, size_t samples) {
  for (size_t sample = 0; sample < samples; sample++) open_all(folder, sample);
  scan_all(folder, samples);
  show_disk_bytes(folder);
  show_resident_bytes(folder);
  compact_while_adding(folder);
}
