#ifndef VISIT_TESTING_H
#define VISIT_TESTING_H

/* What the tests of VisitManager share: a folder of their own, opening with few words, and comparing what stores show. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "visit_memory_store.h"
#include "visit_private.h"
#include <samebytes/visits.h>

#define assert_ok(call) \
  do { \
    const sb_status status_ = (call); \
    if (status_ != SB_OK) fail_msg("%s: %s: %s", #call, sb_status_name(status_), visit_error.message); \
  } while (0)
#define assert_status(call, expected) assert_string_equal(sb_status_name(call), #expected)

static sb_error visit_error;
static char test_folder[256], test_path[300];

/* In memory where the system has such a folder: the tests make and sync thousands of files, which a disk takes minutes for. */
static inline const char *folder_base(void) {
  const char *base = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): before any thread */
  if (base != NULL) return base;
  return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static inline int folder_make(void **state) {
  (void)state;
  snprintf(test_folder, sizeof test_folder, "%s/samebytes-visits-XXXXXX", folder_base());
  if (mkdtemp(test_folder) == NULL) return -1;
  snprintf(test_path, sizeof test_path, "%s/visits", test_folder);
  memset(&visit_error, 0, sizeof visit_error);
  sb_priv_visit_tuning = (visit_tuning){.index_interval = 16u << 20,
                                        .index_at_close = 64u << 10,
                                        .compact_min = 1u << 20,
                                        .preallocation = 1u << 20,
                                        .compact_step = 64u << 10};
  return 0;
}

static inline int folder_remove(void **state) {
  (void)state;
  char command[400];
  snprintf(command, sizeof command, "rm -rf '%s'", test_folder);
  return system(command); /* NOLINT: a path of our own */
}

#define visit_test(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)

/* Small numbers, so that small files have what large ones have. */
static inline void tune_small(void) {
  sb_priv_visit_tuning = (visit_tuning){
      .index_interval = 3000, .index_at_close = 500, .compact_min = 4000, .preallocation = 4096, .compact_step = 200};
}

static inline sb_visit_manager_options options_of(int32_t durability, uint32_t max_visits) {
  sb_visit_manager_options options;
  sb_visit_manager_options_init(&options, sizeof options);
  options.durability = durability;
  options.max_visits = max_visits;
  return options;
}

static inline sb_visit_manager *open_file(int32_t durability, uint32_t max_visits) {
  const sb_visit_manager_options options = options_of(durability, max_visits);
  sb_visit_manager *manager = NULL;
  assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
  return manager;
}

static inline sb_status try_open(bool read_only, sb_visit_manager **manager) {
  sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, 0);
  options.read_only = read_only;
  memset(&visit_error, 0, sizeof visit_error);
  *manager = NULL;
  return sb_visit_manager_open(test_path, &options, manager, &visit_error);
}

static inline void close_file(sb_visit_manager *manager) {
  assert_ok(sb_visit_manager_finish(manager, &visit_error));
  sb_visit_manager_close(manager);
}

static inline void add(sb_visit_manager *manager, uint32_t user, uint32_t visit_id, const char *text, int64_t time_ns) {
  assert_ok(sb_visit_manager_add_visit_at(manager, user, visit_id, "url", 3, text, strlen(text), time_ns, &visit_error));
}

/* A closed file with some users; records of every type when `indexed`. */
static inline void make_file(bool indexed) {
  if (indexed) tune_small();
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 3);
  char text[60];
  for (uint32_t i = 0; i < (indexed ? 60u : 12u); i++) {
    snprintf(text, sizeof text, "the text of visit %u, which is what it is", i);
    add(manager, i % 4 * 1000, i, text, i);
  }
  bool found;
  assert_ok(sb_visit_manager_delete_visits(manager, 0, (uint32_t[]){8, 56}, 2, &found, &visit_error));
  assert_ok(sb_visit_manager_clear_user(manager, 3000, false, &visit_error));
  close_file(manager);
}

/* The ids of a user, newest first: "3 2 1". */
static inline const char *ids_of(sb_visit_manager *manager, uint32_t user) {
  static char text[4096];
  sb_visits *visits = NULL;
  const sb_visit *rows;
  size_t count, size = 0;
  assert_ok(sb_visit_manager_get_recent_visits(manager, user, &visits, &visit_error));
  assert_ok(sb_visits_get_all(visits, &rows, &count));
  text[0] = 0;
  for (size_t i = 0; i < count; i++) size += (size_t)snprintf(text + size, sizeof text - size, "%s%u", i > 0 ? " " : "", rows[i].visit_id);
  sb_visits_close(visits);
  return text;
}

static inline void assert_same_rows(const sb_visits *left, const sb_visits *right, bool times) {
  const sb_visit *a, *b;
  size_t a_count, b_count;
  assert_ok(sb_visits_get_all(left, &a, &a_count));
  assert_ok(sb_visits_get_all(right, &b, &b_count));
  assert_int_equal(a_count, b_count);
  for (size_t i = 0; i < a_count; i++) {
    assert_int_equal(a[i].user, b[i].user);
    assert_int_equal(a[i].visit_id, b[i].visit_id);
    if (times) assert_int_equal(a[i].time_ns, b[i].time_ns);
    assert_int_equal(a[i].url_size, b[i].url_size);
    assert_int_equal(a[i].text_size, b[i].text_size);
    if (a[i].url_size > 0) assert_memory_equal(a[i].url, b[i].url, a[i].url_size);
    if (a[i].text_size > 0) assert_memory_equal(a[i].text, b[i].text, a[i].text_size);
  }
}

/* Everything that two managers hold, by scan. */
static inline void assert_same_visits(sb_visit_manager *left, sb_visit_manager *right) {
  sb_visit_scan *a = NULL, *b = NULL;
  assert_ok(sb_visit_manager_scan(left, &a, &visit_error));
  assert_ok(sb_visit_manager_scan(right, &b, &visit_error));
  for (bool more = true; more;) {
    sb_visits *from_a = NULL, *from_b = NULL;
    assert_ok(sb_visit_scan_next(a, 7, &from_a, &visit_error));
    assert_ok(sb_visit_scan_next(b, 7, &from_b, &visit_error));
    assert_same_rows(from_a, from_b, true);
    more = sb_visits_count(from_a) > 0;
    sb_visits_close(from_a);
    sb_visits_close(from_b);
  }
  sb_visit_scan_close(a);
  sb_visit_scan_close(b);
}

static inline uint8_t *read_whole(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  *size = (size_t)ftell(file);
  assert_int_equal(fseek(file, 0, SEEK_SET), 0);
  uint8_t *data = malloc(*size + 1);
  assert_non_null(data);
  assert_int_equal(fread(data, 1, *size, file), *size);
  fclose(file);
  return data;
}

static inline void write_whole(const char *path, const void *data, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  fclose(file);
}

static inline void assert_file_is(const char *path, const void *data, size_t size) {
  size_t found_size;
  uint8_t *found = read_whole(path, &found_size);
  assert_int_equal(found_size, size);
  assert_memory_equal(found, data, size);
  free(found);
}

static inline bool exists(const char *suffix) {
  char path[400];
  snprintf(path, sizeof path, "%s%s", test_path, suffix);
  return access(path, F_OK) == 0;
}

static inline sb_visit_stats stats_of(sb_visit_manager *manager) {
  sb_visit_stats stats = {.struct_size = sizeof stats};
  assert_ok(sb_visit_manager_get_stats(manager, &stats, &visit_error));
  return stats;
}

/* What a clean close returns: it tells of a compaction in the background that failed, and has not succeeded since. */
static inline sb_status closes_with(sb_visit_manager *manager) {
  const sb_visit_stats stats = stats_of(manager);
  if (stats.poisoned) return SB_IO;
  return stats.failure_work == SB_VISIT_WORK_COMPACTION ? stats.failure_status : SB_OK;
}

static inline uint32_t random_next(uint64_t *seed) {
  *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(*seed >> 33);
}

#endif
