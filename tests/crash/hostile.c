/* hostile FOLDER: reads files from the standard input, each as its size (u32, little-endian) and its bytes, and says of each in a line what
 * an open to read and one to write, verify and salvage make of it. The first line is the number of this start of the system. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "visit_private.h"

static char path[420], target[440], cut[440];

static void show_bytes(const void *data, size_t size) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < size; i++) printf("%02x", bytes[i]);
}

static void must(bool condition, const char *what) {
  if (condition) return;
  fprintf(stderr, "hostile: %s\n", what);
  exit(1);
}

/* All visits by a walk; SB_CORRUPT when a part cannot be read. Nothing is printed then. */
static sb_status read_all(sb_visit_manager *manager, sb_visits **visits) {
  sb_visit_scan *scan = NULL;
  sb_error error = {0};
  must(sb_visit_manager_scan(manager, &scan, &error) == SB_OK, "no walk");
  const sb_status status = sb_visit_scan_next(scan, SIZE_MAX, visits, &error);
  must(status == SB_OK || (status == SB_CORRUPT && error.message[0] != 0), "a walk fails otherwise");
  sb_visit_scan_close(scan);
  return status;
}

/* Asking for each user shows what the walk showed. */
static void read_each(sb_visit_manager *manager, const sb_visit *rows, size_t count) {
  sb_error error;
  for (size_t first = 0, next; first < count; first = next) {
    sb_visits *visits = NULL;
    const sb_visit *own;
    size_t own_count;
    for (next = first; next < count && rows[next].user == rows[first].user; next++) continue;
    must(sb_visit_manager_get_recent_visits(manager, rows[first].user, &visits, &error) == SB_OK, "a walk shows a user who cannot be read");
    must(sb_visits_get_all(visits, &own, &own_count) == SB_OK && own_count == next - first, "a walk shows another number of visits");
    for (size_t i = 0; i < own_count; i++)
      must(own[i].visit_id == rows[first + i].visit_id && own[i].text_size == rows[first + i].text_size &&
               memcmp(own[i].text, rows[first + i].text, own[i].text_size) == 0,
           "a walk shows other visits");
    sb_visits_close(visits);
  }
}

static void show_all(sb_visit_manager *manager) {
  sb_visits *visits = NULL;
  const sb_visit *rows;
  size_t count;
  if (read_all(manager, &visits) != SB_OK) {
    printf(" unreadable");
    return;
  }
  must(sb_visits_get_all(visits, &rows, &count) == SB_OK, "no rows");
  printf(" ");
  for (size_t i = 0; i < count; i++) {
    printf("%u/%u/%lld/", rows[i].user, rows[i].visit_id, (long long)rows[i].time_ns);
    show_bytes(rows[i].url, rows[i].url_size);
    printf("/");
    show_bytes(rows[i].text, rows[i].text_size);
    printf(",");
  }
  printf(".");
  read_each(manager, rows, count);
  sb_visits_close(visits);
}

static void write_file(const uint8_t *data, size_t size) {
  FILE *file = fopen(path, "wb");
  must(file != NULL && fwrite(data, 1, size, file) == size, "cannot write the file");
  fclose(file);
}

static bool file_is(const uint8_t *data, size_t size) {
  uint8_t *found = malloc(size + 1);
  FILE *file = fopen(path, "rb");
  must(found != NULL && file != NULL, "the file is gone");
  const bool same = fread(found, 1, size + 1, file) == size && memcmp(found, data, size) == 0;
  fclose(file);
  free(found);
  return same;
}

static void try_open(const uint8_t *data, size_t size, bool read_only) {
  sb_visit_manager *manager = NULL;
  sb_visit_manager_options options;
  sb_visit_stats stats = {.struct_size = sizeof stats};
  sb_error error = {0};
  write_file(data, size);
  sb_visit_manager_options_init(&options, sizeof options);
  options.read_only = read_only;
  const sb_status status = sb_visit_manager_open(path, &options, &manager, &error);
  printf("%s", sb_status_name(status));
  if (status != SB_OK) {
    must(error.message[0] != 0 && file_is(data, size), "a refused file is changed, or without a word");
    printf(" %lld", (long long)error.stream_offset);
    return;
  }
  must(sb_visit_manager_get_stats(manager, &stats, &error) == SB_OK, "no statistics");
  printf(" %llu %llu", (unsigned long long)stats.cut_bytes, (unsigned long long)stats.file_bytes);
  show_all(manager);
  if (!read_only) {
    /* The visits of users who cannot be read may keep it from being closed cleanly; what can be read takes changes. */
    const sb_status added = sb_visit_manager_add_visit(manager, 1u << 31, 1, "url", 3, "text", 4, &error);
    must(added == SB_OK || added == SB_CORRUPT || added == SB_TOO_LARGE, "an add fails otherwise");
  }
  sb_visit_manager_close(manager);
  if (read_only) must(file_is(data, size), "a reader changes the file");
}

static void try_all(const uint8_t *data, size_t size) {
  sb_error error = {0};
  sb_visit_report report = {.struct_size = sizeof report};
  try_open(data, size, true);
  printf(" | ");
  try_open(data, size, false);
  write_file(data, size);
  const sb_status verified = sb_verify_visits(path, &report, &error);
  must(verified == SB_OK || verified == SB_CORRUPT || verified == SB_UNSUPPORTED, "verify fails otherwise");
  printf(" | %s", verified == SB_OK && report.damaged_bytes == 0 ? "sound" : "unsound");
  report = (sb_visit_report){.struct_size = sizeof report};
  const sb_status salvaged = sb_salvage_visits(path, target, &report, &error);
  must(salvaged == SB_OK || salvaged == SB_CORRUPT || salvaged == SB_UNSUPPORTED, "salvage fails otherwise");
  printf(" | %s", sb_status_name(salvaged));
  if (salvaged == SB_OK) {
    sb_visit_manager *manager = NULL;
    sb_visit_manager_options options;
    sb_visit_manager_options_init(&options, sizeof options);
    options.read_only = true;
    must(sb_visit_manager_open(target, &options, &manager, &error) == SB_OK, "what was salvaged does not open");
    show_all(manager);
    sb_visit_manager_close(manager);
  }
  must(file_is(data, size), "verify or salvage changes the file");
  printf("\n");
  (void)fflush(stdout);
  (void)unlink(target);
  (void)unlink(cut);
}

int main(int count, char **arguments) {
  if (count < 2) return 2;
  snprintf(path, sizeof path, "%s/visits", arguments[1]);
  snprintf(target, sizeof target, "%s.salvaged", path);
  snprintf(cut, sizeof cut, "%s.cut", path);
  printf("%llu\n", (unsigned long long)sb_priv_boot());
  (void)fflush(stdout);
  uint8_t head[4];
  while (fread(head, 1, sizeof head, stdin) == sizeof head) {
    const size_t size = visit_load32(head);
    uint8_t *data = malloc(size + 1); /* so that reading past the end is noticed */
    must(data != NULL && fread(data, 1, size, stdin) == size, "a file ends early");
    try_all(data, size);
    free(data);
  }
  return fflush(stdout) == 0 ? 0 : 1;
}
