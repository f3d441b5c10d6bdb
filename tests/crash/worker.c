/* worker FOLDER MODE OPERATIONS [EXTRA]: makes the operations on FOLDER/visits, and marks each in FOLDER/marks before it and after it. In the
 * mode interval it asks for no sync, but waits now and then until the library has made one by itself. EXTRA:
 *   thread   a thread compacts
 *   upgrade  the first half of the operations is in a file of the old format
 *   cut      twice it closes, the second time as if it had been killed, and opens with bytes behind the log that are no records
 *   full     now and then there is no room for the second visit of two, so that neither is added; then the first is added alone
 *   secret   one call of each kind goes past the C library, and so past the recorder
 *
 * Linked with --wrap=pwrite. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "operations.h"
#include "recording.h"
#include "visit_old_file.h"
#include "visit_private.h"

#define TORN_SIZE 1700 /* bytes: some sectors, and no whole number of them */

static char folder[400], path[420];
static sb_visit_manager_options options;
static int marks;

static void mark(const char *what, unsigned number) {
  char line[64];
  const int size = snprintf(line, sizeof line, "%s %u\n", what, number);
  if (write(marks, line, (size_t)size) != size) abort();
}

static void need(sb_status status, const sb_error *error) {
  if (status == SB_OK) return;
  fprintf(stderr, "worker: %s\n", error->message);
  exit(1);
}

/* As the mode interval promises: what was acknowledged is on disk soon, though nobody asks for it. */
static void wait_until_durable(sb_visit_manager *manager) {
  sb_error error;
  for (int i = 0; i < 10000; i++) {
    sb_visit_stats stats = {.struct_size = sizeof stats};
    need(sb_visit_manager_get_stats(manager, &stats, &error), &error);
    if (stats.durable_bytes == stats.file_bytes) return;
    (void)usleep(1000);
  }
  fprintf(stderr, "worker: nothing was synced within 10 s, and the interval has 5 ms\n");
  exit(1);
}

/* ---- no room ---- */

static size_t room = SIZE_MAX; /* bytes that can still be written */

ssize_t __real_pwrite(int file, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite(int file, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite(int file, const void *data, size_t size, off_t offset) {
  if (room == SIZE_MAX) return __real_pwrite(file, data, size, offset);
  if (room == 0) {
    errno = ENOSPC;
    return -1;
  }
  const ssize_t result = __real_pwrite(file, data, size < room ? size : room, offset);
  if (result > 0) room -= (size_t)result;
  return result;
}

/* The first of two visits, which is the one that the operation adds, finds room, and the second does not. */
static void fail_to_add(sb_visit_manager *manager, unsigned number) {
  static char text[4000];
  sb_error error;
  operation_text first;
  const sb_visit visits[] = {operation_visit(number, &first), {OPERATION_USERS + 1, number, number, "", 0, text, sizeof text}};
  memset(text, 'y', sizeof text);
  mark("try", number);
  room = visits[0].url_size + visits[0].text_size + 1000;
  const sb_status status = sb_visit_manager_add_visits(manager, visits, 2, &error);
  room = SIZE_MAX;
  if (status == SB_IO && error.system_error == ENOSPC) {
    mark("failed", number);
    return;
  }
  fprintf(stderr, "worker: an add without room was %s\n", sb_status_name(status));
  exit(1);
}

/* ---- what a test does to the files ---- */

static void must(bool condition, const char *what) {
  if (condition) return;
  perror(what);
  exit(1);
}

static void put(int file, const void *data, size_t size, off_t offset) {
  must(pwrite(file, data, size, offset) == (ssize_t)size, "worker: pwrite");
}

static void sync_all(int file) {
  const int parent = open(folder, O_RDONLY | O_DIRECTORY);
  must(parent >= 0 && fsync(parent) == 0 && fsync(file) == 0, "worker: fsync");
  close(parent);
  close(file);
}

static void make_old(unsigned operations) {
  sb_error error;
  sb_visit_manager *model = operation_model();
  for (unsigned i = 0; i < operations; i++) need(operation_make(model, i, &error), &error);
  const old_bytes old = old_file_of(model, OPERATION_VISITS_MAX);
  sb_visit_manager_close(model);
  mark("hold", 0);
  const int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  must(file >= 0, "worker: open");
  put(file, old.data, old.size, 0);
  sync_all(file);
  free(old.data);
  mark("try", operations - 1);
  mark("ok", operations - 1);
  mark("synced", operations - 1);
  mark("go", 0);
}

/* Closes the store, and puts bytes behind its log. With `killed` the file is as it was before it was closed. */
static void close_torn(sb_visit_manager *manager, unsigned number, bool killed) {
  sb_error error;
  uint8_t torn[TORN_SIZE];
  sb_visit_stats stats = {.struct_size = sizeof stats};
  memset(torn, 'A' + (int)(number % 26), sizeof torn);
  need(sb_visit_manager_sync(manager, &error), &error);
  mark("synced", number);
  need(sb_visit_manager_get_stats(manager, &stats, &error), &error);
  mark("hold", 0);
  const int file = open(path, O_RDWR);
  off_t size = lseek(file, 0, SEEK_END), end = (off_t)stats.file_bytes;
  uint8_t *before = malloc((size_t)size);
  must(file >= 0 && before != NULL && pread(file, before, (size_t)size, 0) == size, "worker: pread");
  need(sb_visit_manager_finish(manager, &error), &error);
  sb_visit_manager_close(manager);
  if (killed)
    put(file, before, (size_t)size, 0);
  else
    end = lseek(file, 0, SEEK_END);
  free(before);
  put(file, torn, sizeof torn, end);
  sync_all(file);
  mark("torn", (unsigned)end);
  mark("go", 0);
}

static void go_past_the_recorder(void) {
  char one[430], two[430];
  snprintf(one, sizeof one, "%s/secret", folder);
  snprintf(two, sizeof two, "%s/secret2", folder);
  const int file = (int)syscall(SYS_openat, AT_FDCWD, one, O_WRONLY | O_CREAT, 0600);
  must(file >= 0 && syscall(SYS_pwrite64, file, "x", 1, 0) == 1, "worker: pwrite");
  must(syscall(SYS_ftruncate, file, 0) == 0 && syscall(SYS_fsync, file) == 0, "worker: ftruncate");
  must(syscall(SYS_linkat, AT_FDCWD, one, AT_FDCWD, two, 0) == 0, "worker: linkat");
  must(syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, two, 0) == 0, "worker: renameat2"); /* of one file: it does nothing */
  must(syscall(SYS_unlinkat, AT_FDCWD, two, 0) == 0, "worker: unlinkat");
  close(file);
}

/* ---- the operations ---- */

static sb_visit_manager *open_store(void) {
  sb_error error;
  sb_visit_manager *manager = NULL;
  need(sb_visit_manager_open(path, &options, &manager, &error), &error);
  return manager;
}

static void operate(sb_visit_manager *manager, unsigned number) {
  sb_error error;
  mark("try", number);
  need(operation_make(manager, number, &error), &error);
  if (operation_is_compaction(number)) need(sb_visit_manager_compact(manager, &error), &error);
  if (operation_is_sync(number) && options.durability == SB_DURABILITY_INTERVAL)
    wait_until_durable(manager);
  else if (operation_is_sync(number))
    need(sb_visit_manager_sync(manager, &error), &error);
  mark("ok", number);
  if (operation_is_sync(number)) mark("synced", number);
}

static void finish(sb_visit_manager *manager, unsigned number) {
  sb_error error;
  need(sb_visit_manager_finish(manager, &error), &error);
  mark("synced", number);
  sb_visit_manager_close(manager);
}

int main(int count, char **arguments) {
  if (count < 4 || count > 5) return 2;
  const char *extra = count == 5 ? arguments[4] : "";
  const unsigned operations = (unsigned)atoi(arguments[3]);
  sb_priv_visit_tuning = (visit_tuning){
      .index_interval = 1200, .index_at_close = 2000, .compact_min = 9000, .preallocation = 4096, .compact_step = 64};
  sb_visit_manager_options_init(&options, sizeof options);
  options.durability = atoi(arguments[2]);
  options.max_visits = OPERATION_VISITS_MAX;
  options.interval_ms = 5;
  options.compact_in_thread = strcmp(extra, "thread") == 0;
  const bool cut = strcmp(extra, "cut") == 0;
  snprintf(folder, sizeof folder, "%s", arguments[1]);
  snprintf(path, sizeof path, "%s/" MARKS, folder);
  marks = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  snprintf(path, sizeof path, "%s/visits", folder);
  unsigned first = 0;
  const bool full = strcmp(extra, "full") == 0;
  if (strcmp(extra, "upgrade") == 0) make_old(first = operations / 2);
  sb_visit_manager *manager = open_store();
  for (unsigned i = first; i < operations; i++) {
    if (full && i % 3 == 0 && operation_adds(i)) fail_to_add(manager, i);
    operate(manager, i);
    if (cut && (i == operations / 3 || i == 2 * operations / 3)) {
      close_torn(manager, i, i == 2 * operations / 3);
      manager = open_store();
    }
    if (i == operations / 2) { /* a clean close in the middle */
      finish(manager, i);
      manager = open_store();
    }
  }
  finish(manager, operations - 1);
  if (strcmp(extra, "secret") == 0) go_past_the_recorder();
  return 0;
}
