/* worker FOLDER MODE OPERATIONS [thread|secret]: makes the operations on FOLDER/visits, and marks each in FOLDER/marks before it and after
 * it. In the mode interval it asks for no sync, but waits now and then until the library has made one by itself. `thread`: compaction by a
 * thread. `secret`: one write goes past the C library, and so past the recorder. */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "operations.h"
#include "recording.h"
#include "visit_private.h"

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

static void write_in_secret(const char *folder) {
  char path[400];
  snprintf(path, sizeof path, "%s/secret", folder);
  const int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT, 0600);
  if (file < 0 || syscall(SYS_pwrite64, file, "x", 1, 0) != 1) abort();
  close(file);
}

int main(int count, char **arguments) {
  if (count < 4 || count > 5) return 2;
  const char *extra = count == 5 ? arguments[4] : "";
  char path[400];
  sb_error error = {0};
  sb_visit_manager *manager = NULL;
  sb_visit_manager_options options;
  sb_priv_visit_tuning = (visit_tuning){
      .index_interval = 6000, .index_at_close = 2000, .compact_min = 9000, .preallocation = 4096, .compact_step = 400};
  sb_visit_manager_options_init(&options, sizeof options);
  options.durability = atoi(arguments[2]);
  options.max_visits = OPERATION_VISITS_MAX;
  options.interval_ms = 5;
  options.compact_in_thread = strcmp(extra, "thread") == 0;
  snprintf(path, sizeof path, "%s/" MARKS, arguments[1]);
  marks = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  snprintf(path, sizeof path, "%s/visits", arguments[1]);
  need(sb_visit_manager_open(path, &options, &manager, &error), &error);
  const unsigned operations = (unsigned)atoi(arguments[3]);
  for (unsigned i = 0; i < operations; i++) {
    mark("try", i);
    need(operation_make(manager, i, &error), &error);
    if (operation_is_compaction(i)) need(sb_visit_manager_compact(manager, &error), &error);
    if (operation_is_sync(i) && options.durability == SB_DURABILITY_INTERVAL)
      wait_until_durable(manager);
    else if (operation_is_sync(i))
      need(sb_visit_manager_sync(manager, &error), &error);
    mark("ok", i);
    if (operation_is_sync(i)) mark("synced", i);
    if (i == operations / 2) { /* a clean close in the middle */
      need(sb_visit_manager_finish(manager, &error), &error);
      mark("synced", i);
      sb_visit_manager_close(manager);
      need(sb_visit_manager_open(path, &options, &manager, &error), &error);
    }
  }
  need(sb_visit_manager_finish(manager, &error), &error);
  mark("synced", operations - 1);
  sb_visit_manager_close(manager);
  if (strcmp(extra, "secret") == 0) write_in_secret(arguments[1]);
  return 0;
}
