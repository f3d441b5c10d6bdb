/* The file loader: any bytes as a file of visits. The first byte says what is done to the rest before it is opened, so that the fuzzer
 * gets past checksums: bit 0 makes those of the header, the copies of it, the slots and the records right, bit 1 opens for writing. A file
 * that verify finds sound is then damaged, as bits 2 to 7 say: without its first page salvage must find the same; with a byte of a record
 * changed that was not synced, but had others behind it, it must be refused.
 *
 * bug: core/src/visit_format.c
 * <     if (size < whole || memchr(data + VISIT_ITEM_HEAD, 0, url_size + text_size) != NULL) return false;
 * >     if (memchr(data + VISIT_ITEM_HEAD, 0, size < whole ? 0 : url_size + text_size) != NULL) return false;
 *
 * bug: core/src/visit_scan.c
 * <   return ~visit_load32(head + 4) == (last ^ moved_by(X, after_length ^ first, padded - 8));
 * >   return ~visit_load32(head + 4) == (last ^ moved_by(X, after_length ^ first, padded));
 *
 * bug: core/src/visit_scan.c
 * <   return ~moved_by(X_INVERSE, after_length ^ register_after(0, head, 4), 4);
 * >   return ~moved_by(X_INVERSE, after_length ^ register_after(0, head, 4), 8);
 *
 * bug: core/src/visit_log.c
 * < static bool same_start(const visit_log *log) { return log->slot.boot != 0 && log->slot.boot == sb_priv_boot(); }
 * > static bool same_start(const visit_log *log) { return log->slot.boot == 0; }
 *
 * bug: core/src/visit_log.c
 * <     if (status == SB_OK && log->sequence == 0 && record.type != VISIT_LIMIT)
 * >     if (status == SB_OK && log->sequence == 0 && record.type == VISIT_INDEX)
 *
 * bug: core/src/visit_check.c
 * <   if (live != indexed->base.live_bytes)
 * >   if (live > indexed->base.live_bytes)
 *
 * bug: core/src/visit_check.c
 * <   if (index->type != VISIT_INDEX || log->limit_count > 0 || max_visits == 0) return SB_OK;
 * >   if (index->type == VISIT_INDEX || log->limit_count > 0 || max_visits == 0) return SB_OK;
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

static char folder[64], path[96], target[112];

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
  remove_beside(".salvaged");
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
  snprintf(target, sizeof target, "%s.salvaged", path);
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
    for (size_t copy = at + VISIT_HEAD; copy + VISIT_HEADER_SIZE <= at + padded; copy += 8)
      if (sb_priv_visit_header_is_ours(data + copy, 8)) {
        memcpy(data + copy + 32, data + 32, 16);
        visit_store32(data + copy + 60, sb_crc32c(0, data + copy, 60));
      }
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

/* What a file holds that must open. */
static void contents(const char *name, uint32_t *sum, size_t *count) {
  sb_visit_manager_options options;
  sb_visit_manager *manager = NULL;
  sb_error error;
  sb_visit_manager_options_init(&options, sizeof options);
  options.read_only = true;
  FUZZ_HOLDS(sb_visit_manager_open(name, &options, &manager, &error) == SB_OK);
  FUZZ_HOLDS(everything(manager, sum, count) == SB_OK);
  sb_visit_manager_close(manager);
}

/* What is left of a sound file without its first page, or without that of its limit as well, is all of it; the limit may be in an index. */
static void salvage_without(uint8_t *data, size_t size, size_t lost, bool all) {
  uint32_t sum, salvaged_sum;
  size_t count, salvaged_count;
  sb_error error;
  sb_visit_report report = {.struct_size = sizeof report};
  (void)written(data, size);
  contents(path, &sum, &count);
  memset(data, 0, lost);
  (void)written(data, size);
  remove_beside(".salvaged");
  const sb_status status = sb_salvage_visits(path, target, &report, &error);
  FUZZ_HOLDS(status == SB_OK);
  contents(target, &salvaged_sum, &salvaged_count);
  FUZZ_HOLDS(!all || (sum == salvaged_sum && count == salvaged_count));
  FUZZ_HOLDS(salvaged_count >= count && report.visits == salvaged_count);
}

/* A byte of a record, which is not the last one, is changed after a process was killed that synced nothing. */
static void change_before_others(uint8_t *data, size_t size, unsigned which) {
  sb_visit_manager_options options;
  sb_visit_manager *manager = NULL;
  sb_error error = {0};
  uint64_t durable = VISIT_LOG_START, records[64];
  size_t count = 0;
  for (uint64_t at = VISIT_LOG_START; size - at >= VISIT_HEAD && visit_load32(data + at) != 0; at += visit_padded(visit_load32(data + at)))
    if (visit_load64(data + at + 16) > durable) durable = visit_load64(data + at + 16);
  for (uint64_t at = VISIT_LOG_START; size - at >= VISIT_HEAD && visit_load32(data + at) != 0 && count < 64;
       at += visit_padded(visit_load32(data + at)))
    if (at >= durable) records[count++] = at; /* nothing says that it was synced */
  if (count < 2) return;
  const visit_slot slot = {.generation = 3, .state = VISIT_SLOT_OPEN, .length = VISIT_LOG_START};
  memset(data + VISIT_SECTOR, 0, VISIT_LOG_START - VISIT_SECTOR);
  sb_priv_visit_slot_encode(data + 2 * (size_t)VISIT_SECTOR, data + 32, &slot);
  const uint64_t bad = records[which % (count - 1)];
  data[bad + 4 + which % 28] ^= 0x40;
  (void)written(data, size);
  sb_visit_manager_options_init(&options, sizeof options);
  options.read_only = true;
  FUZZ_HOLDS(sb_visit_manager_open(path, &options, &manager, &error) == SB_CORRUPT && error.stream_offset == (int64_t)bad);
}

/* The number of live bytes that a file was opened with is that of what it holds, where all of it comes from the index. */
static void live_is_right(void) {
  sb_visit_manager_options options;
  sb_visit_manager *manager = NULL;
  sb_visit_stats stats = {.struct_size = sizeof stats};
  sb_error error;
  sb_visit_manager_options_init(&options, sizeof options);
  options.read_only = true;
  FUZZ_HOLDS(sb_visit_manager_open(path, &options, &manager, &error) == SB_OK);
  FUZZ_HOLDS(sb_visit_manager_get_stats(manager, &stats, &error) == SB_OK);
  const uint64_t told = stats.live_bytes;
  sb_visits *visits = NULL;
  const sb_visit *rows;
  size_t count;
  sb_visit_scan *scan = NULL;
  FUZZ_HOLDS(sb_visit_manager_scan(manager, &scan, &error) == SB_OK);
  FUZZ_HOLDS(sb_visit_scan_next(scan, SIZE_MAX, &visits, &error) == SB_OK && sb_visits_get_all(visits, &rows, &count) == SB_OK);
  uint64_t live = 0;
  for (size_t i = 0; i < count; i++)
    live += VISIT_ITEM_HEAD + rows[i].url_size + rows[i].text_size + (i == 0 || rows[i].user != rows[i - 1].user ? VISIT_HEAD : 0);
  sb_visits_close(visits);
  sb_visit_scan_close(scan);
  sb_visit_manager_close(manager);
  FUZZ_HOLDS(stats.replayed_records > 0 || told == live);
}

static void damage(uint8_t *data, size_t size, int how, const sb_visit_report *sound) {
  if (size < VISIT_LOG_START || !sb_priv_visit_header_is_ours(data, size)) return;
  live_is_right();
  uint8_t *copy = malloc(size);
  FUZZ_HOLDS(copy != NULL);
  memcpy(copy, data, size);
  if (sound->records >= 2) salvage_without(copy, size, VISIT_LOG_START, true);
  /* Each limit but the first is there still, and what was evicted before the second may be back. */
  const uint64_t first = VISIT_LOG_START + visit_padded(visit_load32(data + VISIT_LOG_START));
  bool indexed = false;
  for (uint64_t at = first; size - at >= VISIT_HEAD && visit_load32(data + at) != 0; at += visit_padded(visit_load32(data + at))) {
    if (data[at + 24] == VISIT_LIMIT || data[at + 24] == VISIT_CLEAR || data[at + 24] == VISIT_DELETE) break;
    if (data[at + 24] == VISIT_INDEX) indexed = true;
    if (indexed) break;
  }
  memcpy(copy, data, size);
  if (indexed && sound->records >= 3) salvage_without(copy, size, (size_t)first, true);
  memcpy(copy, data, size);
  change_before_others(copy, size, (unsigned)how >> 2);
  free(copy);
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

  sb_error error = {0};
  sb_visit_report report = {.struct_size = sizeof report};
  const sb_status verified = sb_verify_visits(path, &report, &error);
  FUZZ_HOLDS(verified == SB_OK || may_fail_with(verified));
  FUZZ_HOLDS(verified == SB_OK || error.message[0] != 0);
  if (verified == SB_OK && report.damaged_bytes == 0) {
    damage(data, size, how, &report);
    (void)written(data, size);
  }
  free(data);
  remove_beside(".salvaged");
  const sb_status salvaged = sb_salvage_visits(path, target, &report, &error);
  FUZZ_HOLDS(salvaged == SB_OK || may_fail_with(salvaged));
  if (salvaged == SB_OK) {
    uint32_t salvaged_sum;
    size_t salvaged_count;
    contents(target, &salvaged_sum, &salvaged_count);
    FUZZ_HOLDS(salvaged_count == report.visits);
  }
  FUZZ_HOLDS(checksum_now() == sum);
  report = (sb_visit_report){.struct_size = sizeof report};
  (void)sb_verify_visits(path, &report, &error);
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
