/* The file loader: any bytes as a file of visits. The first byte says what is done to the rest before it is opened, so that the fuzzer
 * gets past checksums: bit 0 makes those of the header, the slots and the records right, bit 1 opens for writing.
 *
 * bug: core/src/visit_format.c
 * <     if (size < whole || memchr(data + VISIT_ITEM_HEAD, 0, url_size + text_size) != NULL) return false;
 * >     if (memchr(data + VISIT_ITEM_HEAD, 0, size < whole ? 0 : url_size + text_size) != NULL) return false;
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "visit_private.h"

enum {
  REPAIR = 1,
  WRITE = 2
};

static char folder[64], path[96];

static void remove_beside(const char *suffix) {
  char name[128];
  snprintf(name, sizeof name, "%s%s", path, suffix);
  (void)unlink(name);
}

static void remove_all(void) {
  remove_beside("");
  remove_beside(".new");
  remove_beside(".cut");
  remove_beside(".v0");
  remove_beside(".lock");
}

static void remove_folder(void) {
  remove_all();
  (void)rmdir(folder);
}

static void begin(void) {
  if (folder[0] != 0) return;
  snprintf(folder, sizeof folder, "%s/samebytes-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  FUZZ_HOLDS(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/visits", folder);
  (void)atexit(remove_folder);
}

static void repair(uint8_t *data, size_t size) {
  if (size < VISIT_LOG_START) return;
  visit_store32(data + 60, sb_crc32c(0, data, 60));
  for (unsigned i = 1; i <= 2; i++) {
    uint8_t *slot = data + (size_t)VISIT_SECTOR * i;
    if (visit_load64(slot) == 0) continue; /* unused */
    memcpy(slot + 32, data + 32, 16);
    visit_store32(slot + 60, sb_crc32c(0, slot, 60));
  }
  const uint32_t seed = sb_priv_visit_seed(data + 32);
  for (size_t at = VISIT_LOG_START; size - at >= VISIT_HEAD;) {
    const uint64_t padded = visit_padded(visit_load32(data + at));
    if (padded < VISIT_HEAD || padded > size - at) return;
    visit_store32(data + at + 4, sb_priv_visit_record_checksum(seed, data + at, (size_t)padded));
    at += (size_t)padded;
  }
}

static uint64_t written(const uint8_t *data, size_t size) {
  const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  FUZZ_HOLDS(file >= 0 && write(file, data, size) == (ssize_t)size);
  close(file);
  return sb_crc32c(0, data, size);
}

static uint64_t checksum_now(void) {
  uint8_t bytes[4096];
  uint32_t sum = 0;
  const int file = open(path, O_RDONLY);
  FUZZ_HOLDS(file >= 0);
  for (ssize_t got; (got = read(file, bytes, sizeof bytes)) > 0;) sum = sb_crc32c(sum, bytes, (size_t)got);
  close(file);
  return sum;
}

/* Everything that a manager shows, in a number; each visit is looked at, so that a wrong pointer is found. */
static sb_status everything(sb_visit_manager *manager, uint32_t *sum, size_t *count) {
  sb_visit_scan *scan = NULL;
  sb_error error;
  *sum = 0;
  *count = 0;
  FUZZ_HOLDS(sb_visit_manager_scan(manager, &scan, &error) == SB_OK);
  sb_status status = SB_OK;
  for (size_t some = 1; some > 0 && status == SB_OK;) {
    sb_visits *visits = NULL;
    const sb_visit *rows;
    status = sb_visit_scan_next(scan, 5, &visits, &error);
    if (status != SB_OK) break;
    FUZZ_HOLDS(sb_visits_get_all(visits, &rows, &some) == SB_OK);
    for (size_t i = 0; i < some; i++) {
      FUZZ_HOLDS(i == 0 || rows[i].user > rows[i - 1].user || (rows[i].user == rows[i - 1].user && rows[i].time_ns <= rows[i - 1].time_ns));
      const uint64_t numbers[3] = {(uint64_t)rows[i].user << 32 | rows[i].visit_id, (uint64_t)rows[i].time_ns, rows[i].url_size};
      *sum = sb_crc32c(*sum, numbers, sizeof numbers);
      *sum = sb_crc32c(sb_crc32c(*sum, rows[i].url, rows[i].url_size), rows[i].text, rows[i].text_size);
    }
    *count += some;
    sb_visits_close(visits);
  }
  FUZZ_HOLDS(status == SB_OK || status == SB_CORRUPT);
  sb_visit_scan_close(scan);
  return status;
}

static bool may_fail_with(sb_status status) { return status == SB_CORRUPT || status == SB_UNSUPPORTED; }

/* What opens shows the same when it was closed and is opened again, and takes changes. */
static void change(sb_visit_manager *manager, const sb_visit_manager_options *options) {
  uint32_t before, after;
  size_t before_count, after_count;
  sb_error error = {0};
  const bool whole = everything(manager, &before, &before_count) == SB_OK;
  sb_status status = sb_visit_manager_finish(manager, &error);
  FUZZ_HOLDS(status == SB_OK || !whole);
  sb_visit_manager_close(manager);
  if (!whole) return;
  manager = NULL;
  FUZZ_HOLDS(sb_visit_manager_open(path, options, &manager, &error) == SB_OK);
  FUZZ_HOLDS(everything(manager, &after, &after_count) == SB_OK && after == before && after_count == before_count);
  status = sb_visit_manager_add_visit(manager, 7, 0xfffffff0, "url", 3, "text", 4, &error);
  FUZZ_HOLDS(status == SB_OK);
  FUZZ_HOLDS(sb_visit_manager_compact(manager, &error) == SB_OK);
  FUZZ_HOLDS(everything(manager, &before, &before_count) == SB_OK);
  FUZZ_HOLDS(sb_visit_manager_finish(manager, &error) == SB_OK);
  sb_visit_manager_close(manager);
  sb_visit_report report = {.struct_size = sizeof report};
  FUZZ_HOLDS(sb_verify_visits(path, &report, &error) == SB_OK && report.visits == before_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  if (size < 1) return -1;
  begin();
  remove_all();
  const int how = input[0];
  uint8_t *data = malloc(size);
  FUZZ_HOLDS(data != NULL);
  memcpy(data, input + 1, --size);
  if ((how & REPAIR) != 0) repair(data, size);
  const uint64_t sum = written(data, size);
  free(data);

  sb_error error = {0};
  sb_visit_report report = {.struct_size = sizeof report};
  const sb_status verified = sb_verify_visits(path, &report, &error);
  FUZZ_HOLDS(verified == SB_OK || may_fail_with(verified));
  FUZZ_HOLDS(verified == SB_OK || error.message[0] != 0);
  sb_visit_manager_options options;
  sb_visit_manager_options_init(&options, sizeof options);
  options.read_only = (how & WRITE) == 0;
  sb_visit_manager *manager = NULL;
  const sb_status opened = sb_visit_manager_open(path, &options, &manager, &error);
  FUZZ_HOLDS(opened == SB_OK || may_fail_with(opened));
  if (opened != SB_OK) {
    FUZZ_HOLDS(checksum_now() == sum); /* refused untouched */
  } else if (options.read_only) {
    uint32_t shown;
    size_t count;
    const sb_status status = everything(manager, &shown, &count);
    if (verified == SB_OK) FUZZ_HOLDS(status == SB_OK && count == report.visits);
    sb_visit_manager_close(manager);
    FUZZ_HOLDS(checksum_now() == sum);
  } else {
    change(manager, &options);
  }
  return 0;
}
