#define _GNU_SOURCE /* memmem */
#include "visit_testing.h"

/* The file: opening, damage, recovery, locks, readers, copies, the old format. */

/* ---- making files ---- */

/* What a store holds, as one text, or NULL when something of it cannot be read. */
static char *contents(sb_visit_manager *manager) {
  char *text = calloc(1, 100000);
  assert_non_null(text);
  size_t size = 0;
  for (uint32_t user = 0; user <= 4000; user += 1000) {
    sb_visits *visits = NULL;
    const sb_visit *rows;
    size_t count;
    const sb_status status = sb_visit_manager_get_recent_visits(manager, user, &visits, &visit_error);
    if (status != SB_OK) {
      assert_int_equal(status, SB_CORRUPT);
      free(text);
      return NULL;
    }
    assert_ok(sb_visits_get_all(visits, &rows, &count));
    for (size_t i = 0; i < count; i++)
      size += (size_t)snprintf(text + size, 100000 - size, "%u/%u@%lld %.*s %.*s\n", user, rows[i].visit_id, (long long)rows[i].time_ns,
                               (int)rows[i].url_size, (const char *)rows[i].url, (int)rows[i].text_size, (const char *)rows[i].text);
    sb_visits_close(visits);
  }
  return text;
}

/* Opens a file that may be damaged. Either it is refused and untouched, or everything is there, or what is not there says so. */
static void assert_safe(const uint8_t *data, size_t size, const char *expected, const char *what, size_t where) {
  sb_visit_manager *manager;
  for (int read_only = 0; read_only < 2; read_only++) {
    write_whole(test_path, data, size);
    const sb_status status = try_open(read_only == 1, &manager);
    if (status == SB_OK) {
      char *found = contents(manager);
      if (found != NULL && strcmp(found, expected) != 0) fail_msg("%s %zu: lost silently:\n%s", what, where, found);
      free(found);
      if (exists(".cut") && found != NULL) fail_msg("%s %zu: of a closed file something was cut", what, where);
      sb_visit_manager_close(manager);
      (void)remove(test_path);
      continue;
    }
    if (status != SB_CORRUPT && status != SB_UNSUPPORTED) fail_msg("%s %zu: %s", what, where, sb_status_name(status));
    assert_file_is(test_path, data, size);
    assert_false(exists(".cut"));
  }
}

static void every_damage(bool indexed, size_t bit_step) {
  make_file(indexed);
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  assert_in_range(size, 4096 + 500, 20000);
  sb_visit_manager *manager;
  assert_ok(try_open(true, &manager));
  char *expected = contents(manager);
  assert_non_null(expected);
  sb_visit_manager_close(manager);
  for (size_t length = 1; length < size; length++) {
    if (length > 4200 && length < size - 200 && length % 7 != 0 && indexed) continue;
    write_whole(test_path, data, length);
    if (try_open(false, &manager) != SB_CORRUPT) fail_msg("cut to %zu bytes: not refused", length);
    assert_file_is(test_path, data, length);
  }
  for (size_t bit = 0; bit < size * 8; bit += bit_step) {
    const size_t byte = bit / 8;
    const bool carries = byte < 64 || (byte >= 512 && byte < 576) || (byte >= 1024 && byte < 1088) || byte >= 4096;
    if (!carries && bit % 1009 != 0) continue; /* zeros that mean nothing */
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_safe(data, size, expected, "bit", bit);
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  free(expected);
  free(data);
}

static void every_truncation_and_flipped_bit_of_a_small_file(void **state) {
  (void)state;
  every_damage(false, 1);
}

static void truncations_and_flipped_bits_of_a_file_with_an_index(void **state) {
  (void)state;
  every_damage(true, getenv("SAMEBYTES_NIGHTLY") != NULL ? 1 : 7);
}

/* ---- recovery ---- */

static uint8_t *open_copy(int32_t durability, uint32_t adds, size_t *size) {
  sb_visit_manager *manager = open_file(durability, 10);
  for (uint32_t i = 1; i <= adds; i++) add(manager, 7, i, "0123456789", i);
  uint8_t *data = read_whole(test_path, size); /* as a killed process leaves it */
  sb_visit_manager_close(manager);
  return data;
}

/* Everything that a file holds, as a number; false when it is refused as damaged. */
static bool everything(const char *path, bool read_only, uint32_t *sum) {
  sb_visit_manager *manager = NULL;
  sb_visit_scan *scan = NULL;
  sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, 0);
  options.read_only = read_only;
  sb_status status = sb_visit_manager_open(path, &options, &manager, &visit_error);
  *sum = 0;
  if (status == SB_OK) status = sb_visit_manager_scan(manager, &scan, &visit_error);
  for (size_t count = 1; status == SB_OK && count > 0;) {
    sb_visits *visits = NULL;
    const sb_visit *rows;
    status = sb_visit_scan_next(scan, 1000, &visits, &visit_error);
    if (status != SB_OK) break;
    assert_ok(sb_visits_get_all(visits, &rows, &count));
    for (size_t i = 0; i < count; i++) {
      const uint64_t numbers[3] = {rows[i].user, rows[i].visit_id, (uint64_t)rows[i].time_ns};
      *sum = sb_crc32c(sb_crc32c(*sum, numbers, sizeof numbers), rows[i].text, rows[i].text_size);
    }
    sb_visits_close(visits);
  }
  sb_visit_scan_close(scan);
  sb_visit_manager_close(manager);
  assert_true(status == SB_OK || status == SB_CORRUPT || status == SB_UNSUPPORTED);
  return status == SB_OK;
}

/* With pages, an index, runs and a tail, after a compaction and without one. */
static void make_large(bool compacted) {
  char text[120];
  memset(text, 't', sizeof text);
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 5);
  for (uint32_t i = 0; i < 20000; i++) {
    text[i % sizeof text] = (char)('a' + i % 26);
    assert_ok(sb_visit_manager_add_visit_at(manager, i * 7919 % 3000, i, "url", 3, text, sizeof text, i, &visit_error));
    if (i == 15000 && compacted) assert_ok(sb_visit_manager_compact(manager, &visit_error));
  }
  close_file(manager);
}

static void samples_of_damage_of_a_large_file(void **state) {
  (void)state;
  const unsigned samples = getenv("SAMEBYTES_NIGHTLY") != NULL ? 3000 : 60; /* NOLINT(concurrency-mt-unsafe): no other thread */
  uint64_t seed = 11;
  for (int compacted = 0; compacted < 2; compacted++) {
    make_large(compacted == 1);
    size_t size;
    uint8_t *data = read_whole(test_path, &size);
    uint32_t expected, found;
    unsigned refused = 0;
    assert_in_range(size, 1 << 20, 16 << 20);
    assert_true(everything(test_path, true, &expected));
    for (unsigned i = 0; i < samples; i++) {
      const size_t at = i % 8 == 0 ? random_next(&seed) % 8192 : random_next(&seed) % size;
      const bool cut = i % 5 == 4;
      if (cut)
        assert_int_equal(truncate(test_path, (off_t)(at + (at == 0))), 0); /* an empty file is a new one */
      else {
        data[at] ^= (uint8_t)(1u << i % 8);
        write_whole(test_path, data, size);
      }
      sb_visit_report report = {.struct_size = sizeof report};
      const sb_status verified = sb_verify_visits(test_path, &report, &visit_error);
      const bool opened = everything(test_path, i % 2 == 0, &found);
      if (cut && opened) fail_msg("cut to %zu bytes: not refused", at);
      if (opened && found != expected) fail_msg("byte %zu: lost silently", at);
      if (!opened && verified == SB_OK) fail_msg("byte %zu: refused, and verify finds nothing", at);
      refused += !opened;
      if (!cut) { /* untouched, or closed with all that there was */
        if (!opened) assert_file_is(test_path, data, size);
        data[at] ^= (uint8_t)(1u << i % 8);
      }
      assert_false(exists(".cut"));
      write_whole(test_path, data, size);
    }
    assert_in_range(refused, samples / 4, samples);
    free(data);
    assert_int_equal(remove(test_path), 0);
  }
}

static void a_killed_process_loses_nothing(void **state) {
  (void)state;
  size_t size;
  uint8_t *data = open_copy(SB_DURABILITY_NONE, 5, &size);
  write_whole(test_path, data, size);
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
  assert_string_equal(ids_of(manager, 7), "5 4 3 2 1");
  assert_int_equal(stats_of(manager).cut_bytes, 0);
  assert_false(exists(".cut"));
  close_file(manager);
  free(data);
}

static void an_unsynced_tail_is_cut_off_and_kept(void **state) {
  (void)state;
  size_t size;
  uint8_t *data = open_copy(SB_DURABILITY_NONE, 5, &size);
  data[size - 3] ^= 1; /* inside the last record */
  for (int round = 0; round < 3; round++) {
    write_whole(test_path, data, size);
    sb_visit_manager *manager;
    assert_ok(try_open(true, &manager));
    assert_string_equal(ids_of(manager, 7), "4 3 2 1");
    sb_visit_manager_close(manager);
    assert_file_is(test_path, data, size);
    manager = open_file(SB_DURABILITY_NONE, 0);
    assert_string_equal(ids_of(manager, 7), "4 3 2 1");
    const uint64_t cut = stats_of(manager).cut_bytes;
    assert_in_range(cut, 32, 80);
    add(manager, 7, 6, "after", 6);
    char path[400];
    const char *const names[] = {".cut", ".cut.1", ".cut.2"};
    snprintf(path, sizeof path, "%s%s", test_path, names[round]);
    size_t kept_size;
    uint8_t *kept = read_whole(path, &kept_size);
    assert_int_equal(kept_size, cut);
    assert_memory_equal(kept, data + stats_of(manager).file_bytes - (visit_padded(32 + 20 + 8)), 8);
    free(kept);
    close_file(manager);
    manager = open_file(SB_DURABILITY_NONE, 0);
    assert_string_equal(ids_of(manager, 7), "6 4 3 2 1");
    close_file(manager);
  }
  free(data);
}

static void a_bad_record_before_a_place_that_was_durable_is_damage(void **state) {
  (void)state;
  size_t size;
  uint8_t *data = open_copy(SB_DURABILITY_ALWAYS, 5, &size);
  const size_t second = 4096 + 32 + 64 +
                        visit_padded(32 + 20 + 13); /* the record of the second add; a limit with its copy of the header is first */
  sb_visit_manager *manager;
  data[second + 40] ^= 4;
  write_whole(test_path, data, size);
  for (int read_only = 0; read_only < 2; read_only++) {
    assert_status(try_open(read_only == 1, &manager), SB_CORRUPT);
    assert_int_equal(visit_error.stream_offset, second);
    assert_file_is(test_path, data, size);
  }
  sb_visit_report report = {.struct_size = sizeof report};
  assert_status(sb_verify_visits(test_path, &report, &visit_error), SB_CORRUPT);
  assert_int_equal(visit_error.stream_offset, second);
  char target[400];
  snprintf(target, sizeof target, "%s/salvaged", test_folder);
  assert_ok(sb_salvage_visits(test_path, target, &report, &visit_error));
  assert_int_equal(report.visits, 4);
  assert_int_equal(report.damaged_offset, second);
  assert_file_is(test_path, data, size);
  assert_status(sb_salvage_visits(test_path, target, &report, &visit_error), SB_INVALID_ARGUMENT);
  assert_int_equal(rename(target, test_path), 0);
  manager = open_file(SB_DURABILITY_NONE, 0);
  assert_string_equal(ids_of(manager, 7), "5 4 3 1");
  close_file(manager);
  free(data);
}

static void a_file_without_its_header_can_be_salvaged(void **state) {
  (void)state;
  size_t size;
  uint8_t *data = open_copy(SB_DURABILITY_NONE, 5, &size);
  memset(data, 0xee, 512);
  write_whole(test_path, data, size);
  sb_visit_manager *manager;
  assert_status(try_open(false, &manager), SB_CORRUPT);
  sb_visit_report report = {.struct_size = sizeof report};
  char target[400];
  snprintf(target, sizeof target, "%s/salvaged", test_folder);
  assert_ok(sb_salvage_visits(test_path, target, &report, &visit_error));
  assert_int_equal(report.visits, 5);
  free(data);
}

static void what_is_no_file_of_ours_is_refused_untouched(void **state) {
  (void)state;
  static const char text[] = "some text that is no store of visits, of whatever length it may be";
  sb_visit_manager *manager;
  write_whole(test_path, text, sizeof text);
  assert_status(try_open(false, &manager), SB_CORRUPT);
  assert_file_is(test_path, text, sizeof text);
  uint8_t zeros[8192] = {0};
  write_whole(test_path, zeros, sizeof zeros);
  assert_status(try_open(false, &manager), SB_CORRUPT);
  assert_file_is(test_path, zeros, sizeof zeros);
}

static void an_empty_file_is_a_new_one(void **state) {
  (void)state;
  write_whole(test_path, "", 0);
  assert_int_equal(chmod(test_path, 0640), 0);
  sb_visit_manager *manager;
  assert_ok(try_open(true, &manager));
  assert_string_equal(ids_of(manager, 1), "");
  sb_visit_manager_close(manager);
  manager = open_file(SB_DURABILITY_NONE, 0);
  add(manager, 1, 1, "x", 1);
  close_file(manager);
  struct stat facts;
  assert_int_equal(stat(test_path, &facts), 0);
  assert_int_equal(facts.st_mode & 0777, 0640);
}

static void a_newer_file_is_refused_with_a_reason(void **state) {
  (void)state;
  make_file(false);
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  sb_visit_manager *manager;
  visit_store64(data + 24, 1); /* a feature needed to write */
  visit_store32(data + 60, sb_crc32c(0, data, 60));
  write_whole(test_path, data, size);
  assert_status(try_open(false, &manager), SB_UNSUPPORTED);
  assert_ok(try_open(true, &manager));
  sb_visit_manager_close(manager);
  visit_store64(data + 16, 4); /* a feature needed to read */
  visit_store32(data + 60, sb_crc32c(0, data, 60));
  write_whole(test_path, data, size);
  assert_status(try_open(true, &manager), SB_UNSUPPORTED);
  visit_store64(data + 16, 0);
  visit_store16(data + 8, 2);
  visit_store32(data + 60, sb_crc32c(0, data, 60));
  write_whole(test_path, data, size);
  assert_status(try_open(true, &manager), SB_UNSUPPORTED);
  free(data);
}

/* ---- paths and locks ---- */

/* The path itself has as many bytes as a path can have; what lies beside it has more. */
static void the_longest_path_opens(void **state) {
  (void)state;
  char path[4096], name[201];
  memset(name, 'd', sizeof name - 1);
  name[200] = 0;
  size_t size = (size_t)snprintf(path, sizeof path, "%s", test_folder);
  int parent = open(test_folder, O_RDONLY | O_DIRECTORY);
  while (size + 201 + 240 < 4095) {
    assert_int_equal(mkdirat(parent, name, 0700), 0);
    const int child = openat(parent, name, O_RDONLY | O_DIRECTORY);
    assert_true(child >= 0);
    close(parent);
    parent = child;
    size += (size_t)snprintf(path + size, sizeof path - size, "/%s", name);
  }
  close(parent);
  size_t rest = 4095 - size - 1;
  if (rest > 240) { /* one more folder, of a size that leaves a name of 240 bytes at most */
    path[size] = '/';
    memset(path + size + 1, 'e', rest - 101);
    path[size += rest - 100] = 0;
    assert_int_equal(mkdir(path, 0700), 0);
    rest = 4095 - size - 1;
  }
  path[size] = '/';
  memset(path + size + 1, 'n', rest);
  path[4095] = 0;
  sb_visit_manager *manager = NULL;
  for (uint32_t i = 1; i <= 2; i++) {
    assert_ok(sb_visit_manager_open(path, NULL, &manager, &visit_error));
    add(manager, 1, i, "text", i);
    assert_ok(sb_visit_manager_compact(manager, &visit_error));
    close_file(manager);
  }
  assert_ok(sb_visit_manager_open(path, NULL, &manager, &visit_error));
  assert_string_equal(ids_of(manager, 1), "2 1");
  close_file(manager);
}

static void a_path_that_is_no_file_is_refused(void **state) {
  (void)state;
  sb_visit_manager *manager = NULL;
  sb_error error;
  char path[700], name[260];
  assert_status(sb_visit_manager_open(test_folder, NULL, &manager, &error), SB_INVALID_ARGUMENT);
  snprintf(path, sizeof path, "%s/", test_folder);
  assert_status(sb_visit_manager_open(path, NULL, &manager, &error), SB_INVALID_ARGUMENT);
  assert_status(sb_visit_manager_open("/dev/null", NULL, &manager, &error), SB_INVALID_ARGUMENT);
  assert_non_null(strstr(error.message, "/dev/null")); /* every error of an open says of which file it speaks */
  snprintf(path, sizeof path, "%s/pipe", test_folder);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_status(sb_visit_manager_open(path, NULL, &manager, &error), SB_INVALID_ARGUMENT);
  memset(name, 'n', sizeof name);
  name[241] = 0;
  snprintf(path, sizeof path, "%s/%s", test_folder, name);
  assert_status(sb_visit_manager_open(path, NULL, &manager, &error), SB_INVALID_ARGUMENT);
  path[strlen(path) - 1] = 0;
  assert_ok(sb_visit_manager_open(path, NULL, &manager, &error));
  sb_visit_manager_close(manager);
  snprintf(path, sizeof path, "%s/\xff\xfe not UTF-8", test_folder);
  assert_ok(sb_visit_manager_open(path, NULL, &manager, &error));
  sb_visit_manager_close(manager);
  snprintf(path, sizeof path, "%s/missing/visits", test_folder);
  assert_status(sb_visit_manager_open(path, NULL, &manager, &error), SB_IO);
  assert_status(try_open(true, &manager), SB_NOT_FOUND);
  assert_false(exists(".lock"));
}

/* A store made there would replace the link, and its lock would lie beside the link: not where the one of the link's target does. */
static void a_link_that_leads_nowhere_is_refused(void **state) {
  (void)state;
  char target[400], real[400];
  snprintf(target, sizeof target, "%s/elsewhere", test_folder);
  assert_int_equal(symlink(target, test_path), 0);
  sb_visit_manager *manager;
  assert_status(try_open(false, &manager), SB_INVALID_ARGUMENT);
  assert_non_null(strstr(visit_error.message, "symbolic link"));
  assert_non_null(strstr(visit_error.message, test_path));
  assert_status(try_open(true, &manager), SB_NOT_FOUND);
  const ssize_t size = readlink(test_path, real, sizeof real);
  assert_int_equal(size, strlen(target));
  assert_memory_equal(real, target, strlen(target));
  assert_int_equal(access(target, F_OK), -1);
  assert_false(exists(".lock"));
  /* A link in a circle has no file either. */
  assert_int_equal(remove(test_path) | symlink("visits", test_path), 0);
  assert_status(try_open(false, &manager), SB_INVALID_ARGUMENT);
  /* As soon as the file is there, even an empty one, the link is good, and stays one. */
  assert_int_equal(remove(test_path) | symlink(target, test_path), 0);
  write_whole(target, "", 0);
  manager = open_file(SB_DURABILITY_NONE, 0);
  add(manager, 1, 1, "text", 1);
  close_file(manager);
  assert_int_equal(readlink(test_path, real, sizeof real), strlen(target));
  assert_false(exists(".lock"));
}

static void one_handle_writes_at_a_time(void **state) {
  (void)state;
  sb_visit_manager *first = open_file(SB_DURABILITY_NONE, 0), *second;
  assert_status(try_open(false, &second), SB_LOCKED);
  char link_path[400];
  snprintf(link_path, sizeof link_path, "%s/other-name", test_folder);
  assert_int_equal(symlink(test_path, link_path), 0);
  assert_status(sb_visit_manager_open(link_path, NULL, &second, &visit_error), SB_LOCKED);
  assert_ok(try_open(true, &second));
  sb_visit_manager_close(second);
  close_file(first);
  first = open_file(SB_DURABILITY_NONE, 0);
  close_file(first);
}

static void after_finish_everything_is_closed(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
  assert_ok(sb_visit_manager_finish(manager, &visit_error));
  assert_ok(sb_visit_manager_finish(manager, &visit_error));
  sb_visits *visits = NULL;
  assert_status(sb_visit_manager_get_recent_visits(manager, 1, &visits, &visit_error), SB_CLOSED);
  assert_status(sb_visit_manager_add_visit(manager, 1, 1, "", 0, "", 0, &visit_error), SB_CLOSED);
  sb_visit_manager *second = open_file(SB_DURABILITY_NONE, 0);
  sb_visit_manager_close(manager);
  close_file(second);
}

static void an_open_that_changes_nothing_writes_nothing(void **state) {
  (void)state;
  make_file(true);
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  sb_visit_manager *manager = open_file(SB_DURABILITY_ALWAYS, 0);
  free(contents(manager));
  close_file(manager);
  assert_file_is(test_path, data, size);
  free(data);
}

/* ---- fork ---- */

static int child_status(pid_t child) {
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static void a_forked_child_is_refused_everything(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_INTERVAL, 0);
  add(manager, 1, 1, "x", 1);
  const pid_t child = fork();
  if (child == 0) {
    sb_visits *visits = NULL;
    bool found;
    int wrong = 0;
    wrong += sb_visit_manager_get_recent_visits(manager, 1, &visits, NULL) != SB_CLOSED;
    wrong += sb_visit_manager_add_visit(manager, 1, 2, "", 0, "", 0, NULL) != SB_CLOSED;
    wrong += sb_visit_manager_delete_visits(manager, 1, (uint32_t[]){1}, 1, &found, NULL) != SB_CLOSED;
    wrong += sb_visit_manager_compact(manager, NULL) != SB_CLOSED;
    wrong += sb_visit_manager_sync(manager, NULL) != SB_CLOSED;
    wrong += sb_visit_manager_finish(manager, NULL) != SB_CLOSED;
    sb_visit_manager_close(manager);
    sb_visit_manager *mine = NULL;
    wrong += sb_visit_manager_open(test_path, NULL, &mine, NULL) != SB_LOCKED; /* the parent has it */
    _exit(wrong);
  }
  assert_int_equal(child_status(child), 0);
  add(manager, 1, 3, "y", 3);
  assert_string_equal(ids_of(manager, 1), "3 1");
  sb_visit_manager *second;
  assert_status(try_open(false, &second), SB_LOCKED);
  close_file(manager);
}

static void the_lock_ends_with_the_parent_while_a_child_lives(void **state) {
  (void)state;
  int ready[2], quit[2];
  assert_int_equal(pipe(ready) | pipe(quit), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
    add(manager, 1, 1, "x", 1);
    if (fork() == 0) {
      char byte = 0;
      close(quit[1]);
      if (write(ready[1], &byte, 1) != 1 || read(quit[0], &byte, 1) < 0) _exit(1); /* lives until the test says */
      _exit(0);
    }
    pause();
  }
  char byte;
  assert_int_equal(read(ready[0], &byte, 1), 1);
  kill(parent, SIGKILL);
  int status;
  assert_int_equal(waitpid(parent, &status, 0), parent);
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
  assert_string_equal(ids_of(manager, 1), "1");
  close_file(manager);
  close(quit[1]);
  for (int i = 0; i < 2; i++) close(ready[i]);
  close(quit[0]);
}

/* ---- readers ---- */

static void a_reader_beside_a_writer_refreshes(void **state) {
  (void)state;
  tune_small();
  sb_visit_manager *writer = open_file(SB_DURABILITY_NONE, 3), *reader;
  assert_ok(try_open(true, &reader));
  bool changed = true;
  assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
  assert_false(changed);
  for (uint32_t i = 0; i < 200; i++) {
    add(writer, i % 7, i, "some text that fills the file", i);
    if (i % 5 == 0) {
      assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
      assert_true(changed);
      assert_same_visits(reader, writer);
    } else if (i % 3 == 0) {
      (void)ids_of(reader, i % 7);
    }
  }
  assert_true(stats_of(writer).compactions > 0); /* the reader went over to the new file */
  assert_status(sb_visit_manager_add_visit(reader, 1, 1, "", 0, "", 0, &visit_error), SB_UNSUPPORTED);
  assert_status(sb_visit_manager_compact(reader, &visit_error), SB_UNSUPPORTED);
  assert_status(sb_visit_manager_refresh(writer, &changed, &visit_error), SB_UNSUPPORTED);
  close_file(writer);
  assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
  close_file(reader);
  /* A folder that cannot be written needs no lock to read. */
  assert_ok(try_open(true, &reader));
  sb_visit_manager_close(reader);
}

/* ---- copies, compaction, erasing ---- */

static void a_reader_may_ask_for_fewer_visits(void **state) {
  (void)state;
  tune_small();
  for (int compacted = 0; compacted < 2; compacted++) { /* in memory or as the records lie */
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 5);
    for (uint32_t i = 0; i < 60; i++) add(manager, i % 6, i, "some text", i);
    if (compacted == 1) assert_ok(sb_visit_manager_compact(manager, &visit_error));
    close_file(manager);
    sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, 2);
    options.read_only = true;
    assert_ok(sb_visit_manager_open(test_path, &options, &manager, &visit_error));
    for (int round = 0; round < 2; round++) {
      sb_visit_scan *scan = NULL;
      sb_visits *visits = NULL;
      const sb_visit *rows;
      size_t count;
      assert_ok(sb_visit_manager_scan(manager, &scan, &visit_error));
      assert_ok(sb_visit_scan_next(scan, 1000, &visits, &visit_error));
      assert_ok(sb_visits_get_all(visits, &rows, &count));
      assert_int_equal(count, 12);
      for (uint32_t i = 0; i < 12; i++) {
        assert_int_equal(rows[i].visit_id, 54 + i / 2 - (i % 2) * 6);
        assert_memory_equal(rows[i].text, "some text", 9);
        assert_memory_equal(rows[i].url, "url", 3);
      }
      sb_visits_close(visits);
      sb_visit_scan_close(scan);
      assert_string_equal(ids_of(manager, 5), "59 53");
      sb_visit_users *users = NULL;
      const sb_visit_user *list;
      assert_ok(sb_visit_manager_users(manager, &users, &visit_error));
      assert_ok(sb_visit_users_get_all(users, &list, &count));
      assert_int_equal(count, 6);
      assert_int_equal(list[0].visit_count, 2);
      sb_visit_users_close(users);
      assert_int_equal(stats_of(manager).max_visits, 2);
    }
    close_file(manager);
    assert_ok(try_open(true, &manager));
    assert_string_equal(ids_of(manager, 5), "59 53 47 41 35");
    close_file(manager);
  }
}

static void copy_to_makes_the_same_store(void **state) {
  (void)state;
  tune_small();
  sb_visit_manager *manager = open_file(SB_DURABILITY_ALWAYS, 3), *copy = NULL;
  for (uint32_t i = 0; i < 50; i++) add(manager, i % 7, i, "some text that fills the file", i);
  char target[400];
  snprintf(target, sizeof target, "%s/copy", test_folder);
  assert_ok(sb_visit_manager_copy_to(manager, target, &visit_error));
  assert_status(sb_visit_manager_copy_to(manager, target, &visit_error), SB_INVALID_ARGUMENT);
  assert_ok(sb_visit_manager_open(target, NULL, &copy, &visit_error));
  assert_same_visits(copy, manager);
  add(copy, 1, 1000, "of the copy", 1000);
  close_file(copy);
  sb_visit_report report = {.struct_size = sizeof report};
  assert_ok(sb_verify_visits(target, &report, &visit_error));
  close_file(manager);
}

static bool file_holds(const char *needle) {
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  const bool holds = memmem(data, size, needle, strlen(needle)) != NULL;
  free(data);
  return holds;
}

static void clear_with_erase_leaves_no_byte(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 3);
  add(manager, 1, 1, "SECRET-ONE", 1);
  add(manager, 2, 1, "the other", 1);
  assert_ok(sb_visit_manager_clear_user(manager, 1, false, &visit_error));
  assert_true(file_holds("SECRET-ONE"));
  assert_ok(sb_visit_manager_clear_user(manager, 1, true, &visit_error));
  assert_false(file_holds("SECRET-ONE"));
  assert_true(file_holds("the other"));
  assert_false(exists(".new"));
  close_file(manager);
}

/* Only what was being built as PATH.new is removed. */
static void a_file_of_somebody_else_in_the_place_of_the_new_one_stays(void **state) {
  (void)state;
  char other[400], lock[400];
  snprintf(other, sizeof other, "%s.new", test_path);
  snprintf(lock, sizeof lock, "%s.new.lock", test_path);
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 3);
  add(manager, 1, 1, "text", 1);
  close_file(manager);
  size_t size;
  uint8_t *store = read_whole(test_path, &size);
  for (int own = 0; own < 2; own++) {
    if (own) write_whole(lock, "", 0); /* a store of its own */
    const void *data = own ? (const void *)store : "notes";
    const size_t data_size = own ? size : 5;
    write_whole(other, data, data_size);
    manager = open_file(SB_DURABILITY_NONE, 3);
    assert_int_equal(sb_visit_manager_compact(manager, &visit_error), SB_INVALID_ARGUMENT);
    assert_non_null(strstr(visit_error.message, ".new, which is another file; move that away"));
    add(manager, 1, (uint32_t)(2 + own), "text", 2);
    assert_file_is(other, data, data_size);
    close_file(manager);
  }
  assert_int_equal(unlink(lock), 0);
  manager = open_file(SB_DURABILITY_NONE, 3); /* without the lock it is somebody's all the same: a copy, perhaps */
  assert_int_equal(sb_visit_manager_compact(manager, &visit_error), SB_INVALID_ARGUMENT);
  assert_file_is(other, store, size);
  assert_int_equal(unlink(other), 0);
  assert_ok(sb_visit_manager_compact(manager, &visit_error));
  assert_int_equal(stats_of(manager).compactions, 1);
  close_file(manager);
  free(store);
}

/* The first refresh reads a record, and then one that is damaged; the second finds that one gone, and nothing new. */
static void what_a_failed_refresh_read_is_a_change_to_the_next(void **state) {
  (void)state;
  sb_visit_manager *writer = open_file(SB_DURABILITY_ALWAYS, 5), *reader = NULL;
  bool changed = false;
  add(writer, 1, 1, "first", 1);
  assert_ok(try_open(true, &reader));
  add(writer, 1, 2, "second", 2);
  const uint64_t end = stats_of(writer).file_bytes;
  add(writer, 1, 3, "third", 3);
  add(writer, 1, 4, "says that the third is on disk", 4);
  const int file = open(test_path, O_RDWR | O_CLOEXEC);
  assert_true(file >= 0);
  assert_int_equal(pwrite(file, "x", 1, (off_t)end + VISIT_HEAD), 1);
  assert_status(sb_visit_manager_refresh(reader, &changed, &visit_error), SB_CORRUPT);
  assert_false(changed);
  assert_string_equal(ids_of(reader, 1), "2 1");
  assert_int_equal(ftruncate(file, (off_t)end), 0);
  assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
  assert_true(changed);
  assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
  assert_false(changed);
  close(file);
  sb_visit_manager_close(reader);
  sb_visit_manager_close(writer);
}

/* A reader may have read what its writer then took back, and the next one wrote other records there. */
static void a_refresh_forgets_what_was_taken_back(void **state) {
  (void)state;
  sb_visit_manager *writer = open_file(SB_DURABILITY_ALWAYS, 5), *reader = NULL;
  bool changed = false;
  add(writer, 1, 1, "first", 1);
  const uint64_t end = stats_of(writer).file_bytes;
  assert_ok(try_open(true, &reader));
  add(writer, 1, 2, "taken back", 2);
  assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
  assert_string_equal(ids_of(reader, 1), "2 1");
  close_file(writer);
  visit_slot slot = {.generation = 9, .state = VISIT_SLOT_CLOSED, .length = end};
  uint8_t uuid[16], data[VISIT_SLOT_SIZE];
  const int file = open(test_path, O_RDWR | O_CLOEXEC);
  assert_true(file >= 0);
  assert_int_equal(pread(file, uuid, sizeof uuid, 2 * VISIT_SECTOR + 32), sizeof uuid); /* the first slot that was written */
  sb_priv_visit_slot_encode(data, uuid, &slot);
  assert_int_equal(pwrite(file, data, sizeof data, VISIT_SECTOR * (1 + slot.generation % 2)), sizeof data);
  assert_int_equal(ftruncate(file, (off_t)end), 0);
  writer = open_file(SB_DURABILITY_ALWAYS, 0);
  for (uint32_t id = 3; id < 6; id++) add(writer, 1, id, "a text of another length than what was there", id);
  assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
  assert_true(changed);
  assert_string_equal(ids_of(reader, 1), "5 4 3 1");
  assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
  assert_false(changed);
  close(file);
  sb_visit_manager_close(reader);
  close_file(writer);
}

static void compaction_keeps_everything_and_the_mode_of_the_file(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 3);
  assert_int_equal(chmod(test_path, 0600), 0);
  for (uint32_t i = 0; i < 500; i++) add(manager, i % 9, i, "some text that fills the file", i);
  const uint64_t before = stats_of(manager).file_bytes;
  assert_ok(sb_visit_manager_compact(manager, &visit_error));
  assert_true(stats_of(manager).file_bytes < before / 3);
  assert_string_equal(ids_of(manager, 4), "499 490 481");
  add(manager, 4, 1000, "after", 1000);
  close_file(manager);
  struct stat facts;
  assert_int_equal(stat(test_path, &facts), 0);
  assert_int_equal(facts.st_mode & 0777, 0600);
  manager = open_file(SB_DURABILITY_NONE, 3);
  assert_string_equal(ids_of(manager, 4), "1000 499 490");
  close_file(manager);
}

static void assert_mode(const char *suffix, unsigned mode) {
  char path[400];
  struct stat facts;
  snprintf(path, sizeof path, "%s%s", test_path, suffix);
  assert_int_equal(stat(path, &facts), 0);
  assert_int_equal(facts.st_mode & 0777, mode);
}

static void what_is_copied_from_a_file_has_its_mode(void **state) {
  (void)state;
  static const unsigned modes[] = {0600, 0640, 0666}; /* narrower and wider than what the umask leaves */
  size_t size;
  uint8_t *data = open_copy(SB_DURABILITY_NONE, 5, &size);
  data[size - 3] ^= 1; /* inside the last record */
  const mode_t umask_before = umask(022);
  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    char path[400];
    write_whole(test_path, data, size);
    assert_int_equal(chmod(test_path, modes[i]), 0);
    snprintf(path, sizeof path, "%s.salvaged", test_path);
    sb_visit_report report = {.struct_size = sizeof report};
    assert_ok(sb_salvage_visits(test_path, path, &report, &visit_error));
    assert_mode(".salvaged", modes[i]);
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
    assert_mode(".cut", modes[i]);
    snprintf(path, sizeof path, "%s.copy", test_path);
    assert_ok(sb_visit_manager_copy_to(manager, path, &visit_error));
    assert_mode(".copy", modes[i]);
    assert_mode("", modes[i]);
    close_file(manager);
    static const char *const made[] = {".salvaged", ".cut", ".copy"};
    for (size_t k = 0; k < sizeof made / sizeof made[0]; k++) {
      snprintf(path, sizeof path, "%s%s", test_path, made[k]);
      assert_int_equal(remove(path), 0);
    }
  }
  (void)umask(umask_before);
  free(data);
}

static void an_index_spares_the_replay(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 10);
  for (uint32_t i = 0; i < 2000; i++) add(manager, i % 300, i, "some text that fills the file, some text that fills the file", i);
  close_file(manager);
  manager = open_file(SB_DURABILITY_NONE, 10);
  assert_int_equal(stats_of(manager).replayed_records, 0);
  assert_int_equal(stats_of(manager).users_loaded, 0);
  assert_string_equal(ids_of(manager, 299), "1799 1499 1199 899 599 299");
  assert_int_equal(stats_of(manager).users_loaded, 1);
  assert_string_equal(ids_of(manager, 300), "");
  sb_visit_users *users = NULL;
  const sb_visit_user *rows;
  size_t count;
  assert_ok(sb_visit_manager_users(manager, &users, &visit_error));
  assert_ok(sb_visit_users_get_all(users, &rows, &count));
  assert_int_equal(count, 300);
  sb_visit_users_close(users);
  close_file(manager);
}

static void records_with_many_visits(void **state) {
  (void)state;
  enum {
    MANY = 10000
  };
  sb_visit *visits = calloc(MANY, sizeof *visits);
  assert_non_null(visits);
  for (uint32_t i = 0; i < MANY; i++) visits[i] = (sb_visit){3, i, i, "url", 3, "text", 4};
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 9000);
  assert_ok(sb_visit_manager_add_visits(manager, visits, MANY, &visit_error));
  for (int round = 0; round < 3; round++) {
    sb_visits *shown = NULL;
    const sb_visit *rows;
    size_t count;
    assert_ok(sb_visit_manager_get_recent_visits(manager, 3, &shown, &visit_error));
    assert_ok(sb_visits_get_all(shown, &rows, &count));
    assert_int_equal(count, 9000);
    for (uint32_t i = 0; i < 9000; i++) assert_int_equal(rows[i].visit_id, MANY - 1 - i);
    sb_visits_close(shown);
    if (round == 1) assert_ok(sb_visit_manager_compact(manager, &visit_error));
    close_file(manager);
    manager = open_file(SB_DURABILITY_NONE, 0);
  }
  close_file(manager);
  free(visits);
}

static void large_texts_survive(void **state) {
  (void)state;
  const size_t size = 3u << 20;
  char *text = malloc(size);
  assert_non_null(text);
  for (size_t i = 0; i < size; i++) text[i] = (char)('a' + i % 23);
  sb_visit_manager *manager = open_file(SB_DURABILITY_ALWAYS, 3);
  for (uint32_t i = 0; i < 4; i++) assert_ok(sb_visit_manager_add_visit(manager, 1, i, text, size, text, i, &visit_error));
  close_file(manager);
  manager = open_file(SB_DURABILITY_NONE, 3);
  sb_visits *shown = NULL;
  const sb_visit *rows;
  size_t count;
  assert_ok(sb_visit_manager_get_recent_visits(manager, 1, &shown, &visit_error));
  assert_ok(sb_visits_get_all(shown, &rows, &count));
  assert_int_equal(count, 3);
  assert_int_equal(rows[2].url_size, size);
  assert_memory_equal(rows[2].url, text, size);
  sb_visits_close(shown);
  close_file(manager);
  free(text);
}

/* ---- the old format ---- */

typedef struct old_file {
  uint8_t data[4096];
  size_t size;
} old_file;

static void put(old_file *file, const void *data, size_t size) {
  memcpy(file->data + file->size, data, size);
  file->size += size;
}
static void put_size(old_file *file, size_t value) { put(file, &value, sizeof value); }
static void put_visit(old_file *file, uint32_t visit_id, const char *url, const char *text, int64_t seconds, int64_t nanoseconds) {
  put(file, &visit_id, 4);
  put_size(file, strlen(url) + 1);
  put(file, url, strlen(url) + 1);
  put_size(file, strlen(text) + 1);
  put(file, text, strlen(text) + 1);
  put(file, &seconds, 8);
  put(file, &nanoseconds, 8);
}

static void put_example(old_file *file) {
  const uint32_t users[] = {42, 7};
  file->size = 0;
  put_size(file, 3);
  put_size(file, 2);
  put(file, &users[0], 4);
  put_size(file, 3);
  put_visit(file, 1, "https://a", "first", 1700000000, 5);
  put_visit(file, 3, "https://c", "", 1700000002, 999999999);
  put_visit(file, 2, "", "second", 1700000001, 0);
  put(file, &users[1], 4);
  put_size(file, 0);
}

static void an_old_file_is_upgraded_and_kept(void **state) {
  (void)state;
  static old_file old;
  put_example(&old);
  write_whole(test_path, old.data, old.size);
  sb_visit_manager *manager;
  assert_ok(try_open(true, &manager)); /* a reader reads it as it is */
  assert_string_equal(ids_of(manager, 42), "3 2 1");
  sb_visit_manager_close(manager);
  assert_file_is(test_path, old.data, old.size);
  manager = open_file(SB_DURABILITY_NONE, 0);
  assert_true(stats_of(manager).upgraded);
  assert_int_equal(stats_of(manager).max_visits, 3);
  assert_string_equal(ids_of(manager, 42), "3 2 1");
  sb_visits *shown = NULL;
  const sb_visit *rows;
  size_t count;
  assert_ok(sb_visit_manager_get_recent_visits(manager, 42, &shown, &visit_error));
  assert_ok(sb_visits_get_all(shown, &rows, &count));
  assert_int_equal(rows[0].time_ns, INT64_C(1700000002999999999));
  assert_int_equal(rows[0].text_size, 0);
  assert_memory_equal(rows[2].url, "https://a", 9);
  sb_visits_close(shown);
  close_file(manager);
  char kept[400];
  snprintf(kept, sizeof kept, "%s.v0", test_path);
  assert_file_is(kept, old.data, old.size);
  manager = open_file(SB_DURABILITY_NONE, 2); /* it is an ordinary file now */
  assert_string_equal(ids_of(manager, 42), "3 2");
  assert_false(stats_of(manager).upgraded);
  close_file(manager);
}

static void an_old_file_is_not_upgraded_over_another(void **state) {
  (void)state;
  static old_file old;
  put_example(&old);
  write_whole(test_path, old.data, old.size);
  char kept[400];
  snprintf(kept, sizeof kept, "%s.v0", test_path);
  write_whole(kept, "mine", 4);
  sb_visit_manager *manager;
  assert_status(try_open(false, &manager), SB_INVALID_ARGUMENT);
  assert_file_is(test_path, old.data, old.size);
  assert_file_is(kept, "mine", 4);
  /* A crash between the link and the rename leaves two names of one file. */
  assert_int_equal(remove(kept) | link(test_path, kept), 0);
  assert_ok(try_open(false, &manager));
  assert_string_equal(ids_of(manager, 42), "3 2 1");
  close_file(manager);
}

static void a_damaged_old_file_is_refused_untouched(void **state) {
  (void)state;
  static old_file old;
  put_example(&old);
  sb_visit_manager *manager;
  for (size_t size = 1; size < old.size; size++) {
    write_whole(test_path, old.data, size);
    assert_status(try_open(size % 2 == 0, &manager), SB_CORRUPT);
    assert_file_is(test_path, old.data, size);
  }
  old.data[old.size] = 0;
  write_whole(test_path, old.data, old.size + 1);
  assert_status(try_open(false, &manager), SB_CORRUPT);
  const struct {
    size_t offset;
    uint8_t value;
  } wrong[] = {{0, 2}, {0, 0}, {8, 3}, {20, 4}, {35, 0x40}, {32, 9}, {45, 0}, {79, 1}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    put_example(&old);
    if (old.data[wrong[i].offset] == wrong[i].value) fail_msg("case %zu changes nothing", i);
    old.data[wrong[i].offset] = wrong[i].value;
    write_whole(test_path, old.data, old.size);
    const sb_status status = try_open(false, &manager);
    if (status != SB_CORRUPT) fail_msg("case %zu: %s", i, sb_status_name(status));
    assert_file_is(test_path, old.data, old.size);
  }
  assert_false(exists(".v0"));
}

/* Nothing says which of two would count, and taking either would lose the other without a word. */
static void an_old_file_that_says_something_twice_is_refused_untouched(void **state) {
  (void)state;
  static const struct {
    uint32_t users[2];
    uint32_t visits[3]; /* of the first user */
    const char *says;
  } cases[] = {
      {{42, 7}, {1, 3, 2}, NULL},
      {{42, 42}, {1, 3, 2}, "user 42 is in it twice"},
      {{42, 7}, {1, 3, 1}, "user 42 has a visit_id twice"},
      {{42, 7}, {5, 5, 2}, "user 42 has a visit_id twice"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    /* An open that keeps fewer visits than the file has must see it, too. */
    for (uint32_t max_visits = 0; max_visits < 3; max_visits++) {
      static old_file old;
      old.size = 0;
      put_size(&old, 3);
      put_size(&old, 2);
      put(&old, &cases[i].users[0], 4);
      put_size(&old, 3);
      for (int visit = 0; visit < 3; visit++) put_visit(&old, cases[i].visits[visit], "https://a", "text", 1700000000 + visit, visit);
      put(&old, &cases[i].users[1], 4);
      put_size(&old, 1);
      put_visit(&old, 9, "https://b", "of the second", 1700000009, 0);
      write_whole(test_path, old.data, old.size);
      const sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, max_visits);
      sb_visit_manager *manager = NULL;
      const sb_status status = sb_visit_manager_open(test_path, &options, &manager, &visit_error);
      if (cases[i].says == NULL) { /* what else is in the files is right */
        assert_ok(status);
        close_file(manager);
        char kept[400];
        snprintf(kept, sizeof kept, "%s.v0", test_path);
        assert_int_equal(remove(kept), 0);
        continue;
      }
      if (status != SB_CORRUPT) fail_msg("case %zu, max_visits %u: %s", i, max_visits, sb_status_name(status));
      if (strstr(visit_error.message, cases[i].says) == NULL) fail_msg("case %zu: %s", i, visit_error.message);
      assert_file_is(test_path, old.data, old.size);
      assert_status(try_open(true, &manager), SB_CORRUPT);
    }
  }
  assert_false(exists(".v0"));
}

static void a_refused_old_file_is_told_what_helps(void **state) {
  (void)state;
  static old_file old;
  put_example(&old);
  write_whole(test_path, old.data, old.size - 1);
  sb_visit_manager *manager;
  assert_status(try_open(false, &manager), SB_CORRUPT);
  assert_in_range(visit_error.stream_offset, 16, old.size - 1);
  char offset[40];
  snprintf(offset, sizeof offset, "at offset %lld:", (long long)visit_error.stream_offset);
  assert_non_null(strstr(visit_error.message, offset));
  assert_null(strstr(visit_error.message, "salvage copies what is valid")); /* it does not, of this format */
  assert_non_null(strstr(visit_error.message, "restore a copy"));
  /* That is so. */
  char target[400];
  snprintf(target, sizeof target, "%s.salvaged", test_path);
  sb_visit_report report = {.struct_size = sizeof report};
  assert_status(sb_salvage_visits(test_path, target, &report, &visit_error), SB_CORRUPT);
  assert_false(exists(".salvaged"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      visit_test(every_truncation_and_flipped_bit_of_a_small_file),
      visit_test(truncations_and_flipped_bits_of_a_file_with_an_index),
      visit_test(samples_of_damage_of_a_large_file),
      visit_test(a_killed_process_loses_nothing),
      visit_test(an_unsynced_tail_is_cut_off_and_kept),
      visit_test(a_bad_record_before_a_place_that_was_durable_is_damage),
      visit_test(a_file_without_its_header_can_be_salvaged),
      visit_test(what_is_no_file_of_ours_is_refused_untouched),
      visit_test(an_empty_file_is_a_new_one),
      visit_test(a_newer_file_is_refused_with_a_reason),
      visit_test(a_path_that_is_no_file_is_refused),
      visit_test(the_longest_path_opens),
      visit_test(a_link_that_leads_nowhere_is_refused),
      visit_test(one_handle_writes_at_a_time),
      visit_test(after_finish_everything_is_closed),
      visit_test(an_open_that_changes_nothing_writes_nothing),
      visit_test(a_forked_child_is_refused_everything),
      visit_test(the_lock_ends_with_the_parent_while_a_child_lives),
      visit_test(a_reader_beside_a_writer_refreshes),
      visit_test(a_reader_may_ask_for_fewer_visits),
      visit_test(copy_to_makes_the_same_store),
      visit_test(a_file_of_somebody_else_in_the_place_of_the_new_one_stays),
      visit_test(clear_with_erase_leaves_no_byte),
      visit_test(compaction_keeps_everything_and_the_mode_of_the_file),
      visit_test(what_a_failed_refresh_read_is_a_change_to_the_next),
      visit_test(a_refresh_forgets_what_was_taken_back),
      visit_test(what_is_copied_from_a_file_has_its_mode),
      visit_test(an_index_spares_the_replay),
      visit_test(records_with_many_visits),
      visit_test(large_texts_survive),
      visit_test(an_old_file_is_upgraded_and_kept),
      visit_test(an_old_file_is_not_upgraded_over_another),
      visit_test(a_damaged_old_file_is_refused_untouched),
      visit_test(an_old_file_that_says_something_twice_is_refused_untouched),
      visit_test(a_refused_old_file_is_told_what_helps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
