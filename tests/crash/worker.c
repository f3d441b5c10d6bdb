/* worker FOLDER MODE OPERATIONS: makes the operations on FOLDER/visits, and marks each in FOLDER/marks before it and after it. */

#include <fcntl.h>
#include <stdlib.h>
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

int main(int count, char **arguments) {
  if (count != 4) return 2;
  char path[400];
  sb_error error = {0};
  sb_visit_manager *manager = NULL;
  sb_visit_manager_options options;
  sb_priv_visit_tuning = (visit_tuning){
      .index_interval = 6000, .index_at_close = 2000, .compact_min = 9000, .preallocation = 4096, .compact_step = 400};
  sb_visit_manager_options_init(&options, sizeof options);
  options.durability = atoi(arguments[2]);
  options.max_visits = OPERATION_VISITS_MAX;
  snprintf(path, sizeof path, "%s/" MARKS, arguments[1]);
  marks = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  snprintf(path, sizeof path, "%s/visits", arguments[1]);
  need(sb_visit_manager_open(path, &options, &manager, &error), &error);
  const unsigned operations = (unsigned)atoi(arguments[3]);
  for (unsigned i = 0; i < operations; i++) {
    mark("try", i);
    need(operation_make(manager, i, &error), &error);
    if (operation_is_compaction(i)) need(sb_visit_manager_compact(manager, &error), &error);
    if (operation_is_sync(i)) need(sb_visit_manager_sync(manager, &error), &error);
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
  return 0;
}
