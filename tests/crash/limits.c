/* What a system that gives no more does to a store; test_limits.py makes the system so.
 *
 * limits fsize PATH MODE       adds until RLIMIT_FSIZE is reached, then with the limit gone
 * limits full FOLDER MODE      adds until the file system is full, then with room
 * limits read-only PATH        PATH lies on a file system that cannot be written, and has user 1 with 3 visits
 * limits make PATH VISITS SIZE [KIND]  makes a file of VISITS visits with texts of SIZE bytes, or one that claims what it has not
 * limits memory PATH MIB OPENS walks over everything with MIB MiB of address space more than now; OPENS 0: it must be refused as damaged
 * limits turns PATH ME VISITS  adds visits ME, ME + 2... of user 1, one per open, in turns with a process that does the same
 * limits count PATH VISITS     user 1 has visits 0 to VISITS - 1 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "visit_private.h"

enum {
  IDS_MAX = 100000
};

static sb_error error;
static uint32_t acknowledged[IDS_MAX];
static size_t acknowledged_count;

#define HOLDS(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "limits.c:%d: does not hold: %s (%s)\n", __LINE__, #condition, error.message); \
      exit(1); \
    } \
  } while (0)
#define NEED(call) HOLDS((call) == SB_OK)

static sb_visit_manager *open_store(const char *path, int mode) {
  sb_visit_manager_options options;
  sb_visit_manager *manager = NULL;
  sb_visit_manager_options_init(&options, sizeof options);
  options.durability = mode;
  options.max_visits = IDS_MAX;
  NEED(sb_visit_manager_open(path, &options, &manager, &error));
  return manager;
}

/* User 1 has exactly what was acknowledged, in order. */
static void check(sb_visit_manager *manager) {
  sb_visits *visits = NULL;
  const sb_visit *rows;
  size_t count;
  NEED(sb_visit_manager_get_recent_visits(manager, 1, &visits, &error));
  NEED(sb_visits_get_all(visits, &rows, &count));
  HOLDS(count == acknowledged_count);
  for (size_t i = 0; i < count; i++) HOLDS(rows[i].visit_id == acknowledged[count - 1 - i]);
  sb_visits_close(visits);
}

static sb_status add(sb_visit_manager *manager, uint32_t id) {
  static char text[700];
  memset(text, 'x', sizeof text);
  const sb_status status = sb_visit_manager_add_visit(manager, 1, id, "url", 3, text, sizeof text, &error);
  if (status == SB_OK) acknowledged[acknowledged_count++] = id;
  return status;
}

static bool poisoned(sb_visit_manager *manager) {
  sb_visit_stats stats = {.struct_size = sizeof stats};
  NEED(sb_visit_manager_get_stats(manager, &stats, &error));
  return stats.poisoned;
}

/* Adds until one fails, and some more, which fail, too; everything acknowledged is there. Returns the next id. */
static uint32_t until_it_fails(sb_visit_manager *manager, uint32_t id) {
  while (add(manager, id) == SB_OK) HOLDS(++id < IDS_MAX);
  HOLDS(error.status == SB_IO && error.message[0] != 0);
  HOLDS(acknowledged_count > 10);
  for (int i = 0; i < 5; i++) {
    HOLDS(add(manager, ++id) == SB_IO);
    HOLDS(!poisoned(manager));
    check(manager);
  }
  return id + 1;
}

/* There is room again: the store takes changes, and a new open finds all of them. */
static void goes_on(sb_visit_manager *manager, const char *path, uint32_t id) {
  for (int i = 0; i < 20; i++) NEED(add(manager, id++));
  check(manager);
  NEED(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
  sb_visit_report report = {.struct_size = sizeof report};
  NEED(sb_verify_visits(path, &report, &error));
  HOLDS(report.visits == acknowledged_count && report.damaged_bytes == 0);
  manager = open_store(path, SB_DURABILITY_NONE);
  check(manager);
  NEED(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
}

static void file_size(const char *path, int mode) {
  struct rlimit limit;
  HOLDS(signal(SIGXFSZ, SIG_IGN) != SIG_ERR); /* as a program must that has this limit */
  sb_visit_manager *manager = open_store(path, mode);
  HOLDS(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = 100000;
  HOLDS(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const uint32_t id = until_it_fails(manager, 1);
  limit.rlim_cur = before;
  HOLDS(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  goes_on(manager, path, id);
}

static void fill_up(int file) {
  static const char bytes[4096];
  for (size_t size = sizeof bytes; size > 0; size /= 2)
    while (write(file, bytes, size) > 0) continue;
}

/* Something else takes the room, and gives some of it back. */
static void full(const char *folder, int mode) {
  char path[400], other[400];
  snprintf(path, sizeof path, "%s/visits", folder);
  snprintf(other, sizeof other, "%s/other", folder);
  sb_visit_manager *manager = open_store(path, mode);
  for (uint32_t id = 1; id <= 20; id++) NEED(add(manager, id));
  const int file = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  HOLDS(file >= 0);
  fill_up(file);
  uint32_t id = until_it_fails(manager, 21);
  HOLDS(sb_visit_manager_compact(manager, &error) == SB_IO); /* a copy has no room, either, and harms nothing */
  check(manager);
  sb_visit_manager *reader = NULL;
  sb_visit_manager_options options;
  sb_visit_manager_options_init(&options, sizeof options);
  options.read_only = true;
  NEED(sb_visit_manager_open(path, &options, &reader, &error));
  check(reader);
  sb_visit_manager_close(reader);
  HOLDS(ftruncate(file, 0) == 0);
  for (int i = 0; i < 20; i++) NEED(add(manager, id++));
  check(manager);
  fill_up(file);
  id = until_it_fails(manager, id);
  HOLDS(ftruncate(file, 0) == 0 && close(file) == 0);
  NEED(sb_visit_manager_compact(manager, &error));
  goes_on(manager, path, id);
}

static void read_only(const char *path) {
  sb_visit_manager_options options;
  sb_visit_manager *manager = NULL;
  sb_visit_manager_options_init(&options, sizeof options);
  HOLDS(sb_visit_manager_open(path, &options, &manager, &error) == SB_IO);
  HOLDS(strstr(error.message, "read_only") != NULL); /* what to do */
  options.read_only = true;
  NEED(sb_visit_manager_open(path, &options, &manager, &error));
  for (acknowledged_count = 0; acknowledged_count < 3; acknowledged_count++)
    acknowledged[acknowledged_count] = (uint32_t)acknowledged_count;
  check(manager);
  HOLDS(add(manager, 9) == SB_UNSUPPORTED);
  bool changed = true;
  NEED(sb_visit_manager_refresh(manager, &changed, &error));
  HOLDS(!changed);
  sb_visit_report report = {.struct_size = sizeof report};
  NEED(sb_visit_manager_verify(manager, &report, &error));
  HOLDS(report.visits == 3);
  NEED(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
}

/* ---- memory ---- */

static void put_at(int file, const void *data, size_t size, uint64_t offset) {
  HOLDS(pwrite(file, data, size, (off_t)offset) == (ssize_t)size);
}

static void claim(const char *path, const char *kind) {
  uint8_t head[64] = {0};
  const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  HOLDS(file >= 0);
  if (strcmp(kind, "record") == 0) { /* the first record says that it has 512 MiB, and the file is that large */
    visit_store32(head, VISIT_RECORD_MAX);
    put_at(file, head, 4, VISIT_LOG_START);
    HOLDS(ftruncate(file, VISIT_LOG_START + (off_t)VISIT_RECORD_MAX + 4096) == 0);
  } else if (strcmp(kind, "old") == 0) { /* the old format: numbers as large as can be, and a file of 1 GiB */
    HOLDS(ftruncate(file, 0) == 0);
    memset(head, 0x7f, sizeof head);
    put_at(file, head, sizeof head, 0);
    HOLDS(ftruncate(file, 1 << 30) == 0);
  } else {
    HOLDS(strcmp(kind, "index") == 0); /* a valid index that claims 2^56 users */
    uint8_t uuid[16];
    visit_slot slot;
    uint8_t page[VISIT_LOG_START];
    HOLDS(pread(file, page, sizeof page, 0) == (ssize_t)sizeof page);
    NEED(sb_priv_visit_header_decode(page, true, uuid, &slot, &error));
    HOLDS(slot.index != 0 && pread(file, head, sizeof head, (off_t)slot.index) == (ssize_t)sizeof head);
    const uint64_t padded = visit_padded(visit_load32(head));
    uint8_t *record = malloc((size_t)padded);
    HOLDS(record != NULL && pread(file, record, (size_t)padded, (off_t)slot.index) == (ssize_t)padded);
    visit_store64(record + VISIT_HEAD + 8, UINT64_C(1) << 56);
    visit_store32(record + 4, sb_priv_visit_record_checksum(sb_priv_visit_seed(uuid), record, (size_t)padded));
    put_at(file, record, (size_t)padded, slot.index);
    free(record);
  }
  HOLDS(close(file) == 0);
}

static void make(const char *path, uint32_t visits, size_t size, const char *kind) {
  sb_visit_manager *manager = open_store(path, SB_DURABILITY_NONE);
  char *text = malloc(size + 1);
  HOLDS(text != NULL);
  memset(text, 't', size);
  for (uint32_t i = 0; i < visits; i++) NEED(sb_visit_manager_add_visit(manager, i / 3 + 1, i, "url", 3, text, size, &error));
  free(text);
  NEED(sb_visit_manager_finish(manager, &error));
  sb_visit_manager_close(manager);
  if (kind != NULL) claim(path, kind);
}

static uint64_t address_space(void) {
  unsigned long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  HOLDS(file != NULL && fscanf(file, "%lu", &pages) == 1);
  fclose(file);
  return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void memory(const char *path, uint64_t mebibytes, bool opens) {
  sb_visit_manager_options options;
  sb_visit_manager *manager = NULL;
  sb_visit_manager_options_init(&options, sizeof options);
  options.read_only = true;
  const uint64_t limit = address_space() + (mebibytes << 20);
  HOLDS(setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit}) == 0);
  sb_visit_report report = {.struct_size = sizeof report};
  const sb_status verified = sb_verify_visits(path, &report, &error);
  HOLDS(verified == (opens ? SB_OK : SB_CORRUPT));
  const sb_status opened = sb_visit_manager_open(path, &options, &manager, &error);
  HOLDS(opened == (opens ? SB_OK : SB_CORRUPT));
  if (!opens) return;
  sb_visit_scan *scan = NULL;
  uint64_t visits = 0;
  NEED(sb_visit_manager_scan(manager, &scan, &error));
  for (size_t count = 1; count > 0;) {
    sb_visits *some = NULL;
    NEED(sb_visit_scan_next(scan, 100, &some, &error));
    count = sb_visits_count(some);
    visits += count;
    sb_visits_close(some);
  }
  HOLDS(visits == report.visits && visits > 0);
  sb_visit_scan_close(scan);
  sb_visit_manager_close(manager);
}

/* ---- two processes ---- */

static void turns(const char *path, uint32_t me, uint32_t visits) {
  sb_visit_manager_options options;
  sb_visit_manager_options_init(&options, sizeof options);
  options.max_visits = IDS_MAX;
  for (uint32_t i = 0; i < visits;) {
    sb_visit_manager *manager = NULL;
    const sb_status status = sb_visit_manager_open(path, &options, &manager, &error);
    HOLDS(status == SB_OK || status == SB_LOCKED);
    if (status == SB_LOCKED) {
      (void)usleep(300);
      continue;
    }
    NEED(sb_visit_manager_add_visit(manager, 1, me + 2 * i++, "url", 3, "text", 4, &error));
    if (i % 3 == 0) NEED(sb_visit_manager_compact(manager, &error));
    sb_visit_manager_close(manager);
    (void)usleep(200);
  }
}

static void count_all(const char *path, uint32_t visits) {
  sb_visit_manager *manager = open_store(path, SB_DURABILITY_NONE);
  sb_visits *shown = NULL;
  const sb_visit *rows;
  size_t count;
  uint8_t *seen = calloc(visits, 1);
  NEED(sb_visit_manager_get_recent_visits(manager, 1, &shown, &error));
  NEED(sb_visits_get_all(shown, &rows, &count));
  HOLDS(seen != NULL && count == visits);
  for (size_t i = 0; i < count; i++) HOLDS(rows[i].visit_id < visits && seen[rows[i].visit_id]++ == 0);
  free(seen);
  sb_visits_close(shown);
  sb_visit_manager_close(manager);
}

int main(int count, char **arguments) {
  const char *what = count > 2 ? arguments[1] : "", *path = arguments[2];
  if (strcmp(what, "fsize") == 0 && count == 4)
    file_size(path, atoi(arguments[3]));
  else if (strcmp(what, "full") == 0 && count == 4)
    full(path, atoi(arguments[3]));
  else if (strcmp(what, "read-only") == 0)
    read_only(path);
  else if (strcmp(what, "make") == 0 && count >= 5)
    make(path, (uint32_t)atoi(arguments[3]), (size_t)atoi(arguments[4]), count > 5 ? arguments[5] : NULL);
  else if (strcmp(what, "memory") == 0 && count == 5)
    memory(path, (uint64_t)atoi(arguments[3]), atoi(arguments[4]) != 0);
  else if (strcmp(what, "turns") == 0 && count == 5)
    turns(path, (uint32_t)atoi(arguments[3]), (uint32_t)atoi(arguments[4]));
  else if (strcmp(what, "count") == 0 && count == 4)
    count_all(path, (uint32_t)atoi(arguments[3]));
  else
    return 2;
  return 0;
}
