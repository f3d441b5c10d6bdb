/* killed write PATH MODE: four threads add visits without end, numbered on from what is there; each writes a line "THREAD NUMBER" to the
 * standard output when an add was acknowledged. Somebody kills it.
 * killed check PATH N0 N1 N2 N3: whether the store has, of each thread, at least that number, and all its newest without a gap. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "visit_private.h"

enum {
  THREADS = 4,
  KEPT = 5
};

static sb_visit_manager *manager;
static uint32_t newest[THREADS];

static void open_store(const char *path, int mode) {
  sb_error error;
  sb_visit_manager_options options;
  sb_priv_visit_tuning = (visit_tuning){
      .index_interval = 60000, .index_at_close = 2000, .compact_min = 90000, .preallocation = 65536, .compact_step = 400};
  sb_visit_manager_options_init(&options, sizeof options);
  options.max_visits = KEPT;
  options.durability = mode;
  options.interval_ms = 2;
  if (sb_visit_manager_open(path, &options, &manager, &error) == SB_OK) return;
  fprintf(stderr, "killed: %s\n", error.message);
  exit(1);
}

/* The newest number of each thread; ends the program when one is missing below it. */
static void read_newest(void) {
  for (uint32_t i = 0; i < THREADS; i++) {
    sb_visits *visits = NULL;
    const sb_visit *rows;
    size_t count;
    if (sb_visit_manager_get_recent_visits(manager, i, &visits, NULL) != SB_OK || sb_visits_get_all(visits, &rows, &count) != SB_OK)
      exit(1);
    newest[i] = count > 0 ? rows[0].visit_id : 0;
    const size_t expected = newest[i] < KEPT ? newest[i] : KEPT;
    for (size_t j = 0; j < count; j++)
      if (count != expected || rows[j].visit_id != newest[i] - j) {
        fprintf(stderr, "killed: of thread %u a visit is missing below %u\n", i, newest[i]);
        exit(1);
      }
    sb_visits_close(visits);
  }
}

static void *work(void *context) {
  const uint32_t me = (uint32_t)(uintptr_t)context;
  char text[200], line[32];
  memset(text, 'x', sizeof text);
  for (uint32_t number = newest[me] + 1;; number++) {
    if (sb_visit_manager_add_visit(manager, me, number, "url", 3, text, number % sizeof text, NULL) != SB_OK) exit(1);
    const int size = snprintf(line, sizeof line, "%u %u\n", me, number);
    if (write(STDOUT_FILENO, line, (size_t)size) != size) exit(1);
  }
  return NULL;
}

int main(int count, char **arguments) {
  if (count == 4 && strcmp(arguments[1], "write") == 0) {
    open_store(arguments[2], atoi(arguments[3]));
    read_newest();
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
      if (pthread_create(&threads[i], NULL, work, (void *)i) != 0) return 1;
    for (int i = 0; i < THREADS; i++) (void)pthread_join(threads[i], NULL);
    return 1;
  }
  if (count != 3 + THREADS || strcmp(arguments[1], "check") != 0) return 2;
  open_store(arguments[2], SB_DURABILITY_NONE);
  read_newest();
  for (int i = 0; i < THREADS; i++)
    if (newest[i] < strtoul(arguments[3 + i], NULL, 10)) {
      fprintf(stderr, "killed: of thread %d %s was acknowledged, and %u is the newest\n", i, arguments[3 + i], newest[i]);
      return 1;
    }
  return sb_visit_manager_finish(manager, NULL) == SB_OK ? 0 : 1;
}
