/* What mounts and other processes do to the names of a store; test_names.py arranges them.
 *
 * names bind FOLDER       FOLDER/container/visits is a mount of the file FOLDER/host/visits
 * names covered FOLDER    while a store in FOLDER/data is written, another file system is mounted over FOLDER/data
 * names overlay FOLDER    FOLDER/merged is an overlay, whose lower folder has a store with visits 1 to 3 of user 1
 * names room FOLDER MODE  prints how many adds there is room for
 * names write PATH MODE   four threads add visits without end, as killed.c does, and compact; ends with 7 when the file has lost its name
 * names try PATH          ends with 0 when it could write the store, 10 when that is locked
 * names has PATH N0 N1 N2 N3  as `killed check` does, without changing the file */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "visit_private.h"

enum {
  THREADS = 4,
  KEPT = 5,
  LOST_ITS_NAME = 7
};

static sb_error error;
static sb_visit_manager *manager;

#define HOLDS(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "names.c:%d: does not hold: %s (%s; errno %d)\n", __LINE__, #condition, error.message, errno); \
      exit(1); \
    } \
  } while (0)
#define NEED(call) HOLDS((call) == SB_OK)

static sb_status open_as(const char *path, int mode, bool read_only, sb_visit_manager **opened) {
  sb_visit_manager_options options;
  sb_visit_manager_options_init(&options, sizeof options);
  options.durability = mode;
  options.read_only = read_only;
  *opened = NULL;
  return sb_visit_manager_open(path, &options, opened, &error);
}

static sb_status add(sb_visit_manager *to, uint32_t visit_id) {
  return sb_visit_manager_add_visit(to, 1, visit_id, "url", 3, "text", 4, &error);
}

static size_t count_of(sb_visit_manager *of) {
  sb_visits *visits = NULL;
  NEED(sb_visit_manager_get_recent_visits(of, 1, &visits, &error));
  const size_t count = sb_visits_count(visits);
  sb_visits_close(visits);
  return count;
}

static const char *in(const char *folder, const char *name) {
  static char paths[8][500];
  static unsigned next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

/* ---- mounts ---- */

/* As a container has a file of its host. */
static void bind(const char *folder) {
  const char *host = in(folder, "host/visits"), *guest = in(folder, "container/visits");
  sb_visit_manager *second;
  NEED(open_as(host, SB_DURABILITY_ALWAYS, false, &manager));
  NEED(add(manager, 1));
  HOLDS(open_as(guest, SB_DURABILITY_ALWAYS, false, &second) == SB_LOCKED);
  NEED(open_as(guest, 0, true, &second));
  HOLDS(count_of(second) == 1);
  sb_visit_manager_close(second);
  NEED(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
  NEED(open_as(guest, SB_DURABILITY_ALWAYS, false, &manager));
  HOLDS(open_as(host, SB_DURABILITY_ALWAYS, false, &second) == SB_LOCKED);
  NEED(add(manager, 2));
  HOLDS(sb_visit_manager_compact(manager, &error) == SB_IO); /* a mount cannot be replaced */
  HOLDS(error.system_error == EBUSY && strstr(error.message, "mount its folder instead") != NULL);
  HOLDS(access(in(folder, "container/visits.new"), F_OK) != 0);
  NEED(add(manager, 3));
  NEED(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
  NEED(open_as(host, 0, false, &manager));
  HOLDS(count_of(manager) == 3);
  /* The host compacts, and so gives its name to another file; the container has the old one, which nobody else has. */
  HOLDS(sb_visit_manager_compact(manager, &error) == SB_OK);
  NEED(add(manager, 4));
  NEED(open_as(guest, 0, true, &second));
  HOLDS(count_of(second) == 3);
  sb_visit_manager_close(second);
  HOLDS(open_as(guest, 0, false, &second) == SB_NOT_FOUND); /* it has no name any more but the mount */
  sb_visit_manager_close(manager);
}

static void covered(const char *folder) {
  const char *data = in(folder, "data"), *path = in(folder, "data/visits");
  HOLDS(mkdir(data, 0700) == 0);
  NEED(open_as(path, SB_DURABILITY_ALWAYS, false, &manager));
  NEED(add(manager, 1));
  HOLDS(mount("tmpfs", data, "tmpfs", 0, "size=1m") == 0);
  (void)usleep(130000);
  HOLDS(add(manager, 2) == SB_NOT_FOUND);
  HOLDS(sb_visit_manager_finish(manager, &error) == SB_NOT_FOUND);
  sb_visit_manager_close(manager);
  HOLDS(umount(data) == 0);
  NEED(open_as(path, 0, false, &manager));
  HOLDS(count_of(manager) == 1);
  sb_visit_manager_close(manager);
}

static void overlay(const char *folder) {
  const char *path = in(folder, "merged/visits");
  sb_visit_manager *reader, *second;
  bool changed = false;
  NEED(open_as(path, 0, true, &reader)); /* of the lower file */
  HOLDS(count_of(reader) == 3);
  NEED(open_as(path, SB_DURABILITY_ALWAYS, false, &manager)); /* which copies it up */
  HOLDS(open_as(path, 0, false, &second) == SB_LOCKED);
  (void)unlink(in(folder, "merged/visits.lock"));
  HOLDS(open_as(path, 0, false, &second) == SB_LOCKED);
  NEED(add(manager, 4));
  NEED(sb_visit_manager_refresh(reader, &changed, &error));
  HOLDS(changed && count_of(reader) == 4);
  NEED(sb_visit_manager_compact(manager, &error));
  NEED(add(manager, 5));
  (void)usleep(130000);
  NEED(add(manager, 6));
  NEED(sb_visit_manager_refresh(reader, &changed, &error));
  HOLDS(changed && count_of(reader) == 6);
  HOLDS(open_as(path, 0, false, &second) == SB_LOCKED);
  NEED(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
  sb_visit_manager_close(reader);
  NEED(open_as(in(folder, "lower/visits"), 0, false, &manager)); /* the lower one is as it was */
  HOLDS(count_of(manager) == 3);
  sb_visit_manager_close(manager);
}

/* ---- room ---- */

/* Of a small file system something else leaves 700 KiB, less than what is preallocated. */
static void room(const char *folder, int mode) {
  static char text[9000];
  const char *path = in(folder, "visits");
  NEED(open_as(path, mode, false, &manager));
  NEED(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
  const int file = open(in(folder, "other"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  HOLDS(file >= 0);
  memset(text, 'x', sizeof text);
  off_t size = 0;
  for (ssize_t got; (got = pwrite(file, text, 4096, size)) > 0;) size += got;
  HOLDS(ftruncate(file, size - 700 * 1024) == 0 && close(file) == 0);
  NEED(open_as(path, mode, false, &manager));
  uint32_t added = 0;
  while (sb_visit_manager_add_visit(manager, added, 1, "url", 3, text, sizeof text, &error) == SB_OK) HOLDS(++added < 1000);
  HOLDS(error.status == SB_IO && error.system_error == ENOSPC);
  /* A little one still fits, or nothing does; and what was added is there. */
  sb_visit_users *users = NULL;
  const sb_visit_user *rows;
  size_t count;
  NEED(sb_visit_manager_users(manager, &users, &error));
  NEED(sb_visit_users_get_all(users, &rows, &count));
  HOLDS(count == added);
  sb_visit_users_close(users);
  NEED(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
  printf("%u\n", added);
}

/* ---- writers that others disturb ---- */

static sb_status look(const char *path, int mode, bool read_only) {
  sb_priv_visit_tuning = (visit_tuning){
      .index_interval = 60000, .index_at_close = 2000, .compact_min = 20000, .preallocation = 65536, .compact_step = 4000};
  sb_visit_manager_options options;
  sb_visit_manager_options_init(&options, sizeof options);
  options.max_visits = read_only ? 0 : KEPT;
  options.durability = mode;
  options.interval_ms = 2;
  options.read_only = read_only;
  return sb_visit_manager_open(path, &options, &manager, &error);
}

/* The newest number of each thread, whose visits have no gap below it. */
static void read_newest(uint32_t newest[THREADS]) {
  for (uint32_t i = 0; i < THREADS; i++) {
    sb_visits *visits = NULL;
    const sb_visit *rows;
    size_t count;
    NEED(sb_visit_manager_get_recent_visits(manager, i, &visits, &error));
    NEED(sb_visits_get_all(visits, &rows, &count));
    newest[i] = count > 0 ? rows[0].visit_id : 0;
    HOLDS(count == (newest[i] < KEPT ? newest[i] : KEPT));
    for (size_t j = 0; j < count; j++) HOLDS(rows[j].visit_id == newest[i] - j);
    sb_visits_close(visits);
  }
}

static uint32_t newest_at_first[THREADS];

static void *work(void *context) {
  const uint32_t me = (uint32_t)(uintptr_t)context;
  char text[200], line[32];
  sb_error mine;
  memset(text, 'x', sizeof text);
  for (uint32_t number = newest_at_first[me] + 1;; number++) {
    const sb_status status = sb_visit_manager_add_visit(manager, me, number, "url", 3, text, number % sizeof text, &mine);
    if (status != SB_OK) {
      fprintf(stderr, "names: %s\n", mine.message);
      _exit(status == SB_NOT_FOUND ? LOST_ITS_NAME : 1);
    }
    const int size = snprintf(line, sizeof line, "%u %u\n", me, number);
    if (write(STDOUT_FILENO, line, (size_t)size) != size) _exit(1);
  }
  return NULL;
}

static void write_without_end(const char *path, int mode) {
  NEED(look(path, mode, false));
  read_newest(newest_at_first);
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++) HOLDS(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
  for (int i = 0; i < THREADS; i++) (void)pthread_join(threads[i], NULL);
  exit(1);
}

static int try_to_write(const char *path) {
  const sb_status status = look(path, SB_DURABILITY_NONE, false);
  if (status == SB_LOCKED) return SB_LOCKED;
  NEED(status);
  NEED(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
  return 0;
}

static void has(const char *path, char **least) {
  uint32_t newest[THREADS];
  NEED(look(path, 0, true));
  read_newest(newest);
  for (int i = 0; i < THREADS; i++) HOLDS(newest[i] >= strtoul(least[i], NULL, 10));
  sb_visit_manager_close(manager);
}

int main(int count, char **arguments) {
  const char *what = count > 2 ? arguments[1] : "", *path = arguments[2];
  if (strcmp(what, "bind") == 0)
    bind(path);
  else if (strcmp(what, "covered") == 0)
    covered(path);
  else if (strcmp(what, "overlay") == 0)
    overlay(path);
  else if (strcmp(what, "room") == 0 && count == 4)
    room(path, atoi(arguments[3]));
  else if (strcmp(what, "write") == 0 && count == 4)
    write_without_end(path, atoi(arguments[3]));
  else if (strcmp(what, "try") == 0)
    return try_to_write(path);
  else if (strcmp(what, "has") == 0 && count == 3 + THREADS)
    has(path, arguments + 3);
  else
    return 2;
  return 0;
}
