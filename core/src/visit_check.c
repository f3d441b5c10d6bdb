//go:build !samebytes_shared

/* Verify replays the whole log once, from its beginning to its end, and keeps of each visit where it lies, not its bytes. When it comes to
 * the index that the next open will use, it holds that against what it knows. Salvage takes every record that is valid by itself, wherever
 * it lies. */

#include <errno.h>
#include <stdlib.h>

#include "visit_private.h"

static sb_status report_fill(sb_visit_report *report, const sb_visit_report *found) { return sb_priv_fill(report, found, sizeof *found); }

/* Counts users and visits, reading each. */
static sb_status count_all(visit_log *log, sb_visit_report *found, sb_error *error) {
  visit_walk walk;
  sb_status status = SB_OK;
  sb_priv_visit_walk_begin(&walk, log, 0);
  while (status == SB_OK) {
    uint64_t user;
    status = sb_priv_visit_walk_next(&walk, &user, error);
    if (status != SB_OK || user >> 32 != 0) break;
    const visit_user *known = sb_priv_visit_table_find(&log->table, (uint32_t)user);
    if (known == NULL || !known->decoded) status = sb_priv_visit_log_peek(log, (uint32_t)user, &known, error);
    if (status != SB_OK) break;
    found->visits += known->count;
    found->users += known->count > 0;
  }
  return status;
}

/* Whether the runs that the index has of a user are those of the visits that the log left it. */
static bool same_places(const visit_user *user, const uint8_t *runs, uint32_t count) {
  visit_cursor cursor;
  bool more = sb_priv_visit_cursor_oldest(&cursor, user);
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t run = visit_load64(runs + 8 * (size_t)i);
    for (uint32_t item = 0; item < visit_run_count(run); item++) {
      if (!more || cursor.entry->run != visit_run(visit_run_offset(run), visit_run_first(run) + item, 1)) return false;
      more = sb_priv_visit_cursor_later(&cursor);
    }
  }
  return !more;
}

/* The index that the next open will use, held against the log: each page when the log comes to its place, because a page has its users as
 * they are there. */
typedef struct checked {
  visit_log *indexed;
  uint32_t pages; /* that were seen */
  uint64_t visits;
} checked;

/* Users whom the log has and a page has not, though it should. */
static bool lacks_users(const visit_log *log, visit_log *indexed, uint64_t from, uint64_t to, sb_error *error) {
  visit_order_cursor cursor;
  sb_priv_visit_order_seek(&cursor, &log->table, from);
  for (const visit_user *user; (user = sb_priv_visit_order_next(&cursor)) != NULL && user->user <= to; cursor.place++) {
    const uint8_t *runs;
    uint32_t count;
    if (user->count == 0) continue;
    if (sb_priv_visit_index_find(indexed, user->user, &runs, &count, error) != SB_OK || count == 0) return true;
  }
  return false;
}

static sb_status check_page(const visit_log *log, checked *seen, uint32_t index, sb_error *error) {
  visit_log *indexed = seen->indexed;
  const visit_page *page = &indexed->base.pages[index];
  uint64_t user;
  for (uint64_t from = page->first; from <= page->last; from = user + 1) {
    const uint8_t *runs;
    uint32_t count;
    sb_status status = sb_priv_visit_index_next(indexed, from, &user, error);
    if (status == SB_OK) status = sb_priv_visit_index_find(indexed, (uint32_t)user, &runs, &count, error);
    if (status != SB_OK) return status;
    const visit_user *known = sb_priv_visit_table_find(&log->table, (uint32_t)user);
    if (known == NULL || !same_places(known, runs, count))
      return sb_priv_visit_corrupt(error, page->offset, "a page of the index contradicts the log");
    seen->visits += known->count;
  }
  if (lacks_users(log, indexed, index == 0 ? 0 : (uint64_t)page[-1].last + 1, page->last, error))
    return sb_priv_visit_corrupt(error, page->offset, "a page of the index has not the users that the log has");
  seen->pages++;
  return SB_OK;
}

/* The log has come to a page, or to an index. Only those of the index that the next open will use count. */
static sb_status check_index(visit_log *log, const visit_record *record, sb_error *error) {
  checked *seen = log->loaded_context;
  const visit_base *base = &seen->indexed->base;
  if (record->type == VISIT_PAGE) {
    const uint64_t since = sb_priv_visit_index_since(base, record->user);
    if (since != record->offset || seen->pages == base->page_count) return SB_OK;
    return check_page(log, seen, seen->pages, error);
  }
  if (record->offset != base->offset) return SB_OK;
  const uint64_t after = base->page_count == 0 ? 0 : (uint64_t)base->pages[base->page_count - 1].last + 1;
  if (seen->pages != base->page_count || base->max_visits != log->table.max_visits || seen->visits != base->visits ||
      lacks_users(log, seen->indexed, after, UINT32_MAX, error))
    return sb_priv_visit_corrupt(error, base->offset, "the index contradicts the log");
  log->indexed = NULL; /* it was seen */
  return SB_OK;
}

/* Loads the index of which the pages and the end are to be checked; one that was never synced, and is not whole, is none. */
static sb_status load_index(const visit_log *log, visit_log *indexed, uint64_t end, sb_error *error) {
  sb_priv_visit_log_init(indexed, log->file, true);
  memcpy(indexed->uuid, log->uuid, sizeof indexed->uuid);
  indexed->seed = log->seed;
  indexed->slot = log->slot;
  return sb_priv_visit_index_load(indexed, log->slot.index, end, error);
}

static sb_status check_ours(visit_log *log, const uint8_t *page, uint64_t end, sb_visit_report *found, sb_error *error) {
  sb_status status = sb_priv_visit_header_decode(page, true, log->uuid, &log->slot, error);
  if (status != SB_OK) return status;
  if (end < log->slot.length && log->slot.length <= found->bytes) end = log->slot.length; /* has grown meanwhile */
  if (end < log->slot.length) return sb_priv_visit_corrupt(error, end, "the file is shorter than it was when it was on disk");
  log->seed = sb_priv_visit_seed(log->uuid);
  log->end = VISIT_LOG_START;
  log->table.max_visits = UINT32_MAX;
  log->table.places_only = true;
  visit_log indexed = {0};
  checked seen = {.indexed = &indexed};
  const bool holds = sb_priv_visit_slot_index_holds(&log->slot);
  if (holds) {
    status = load_index(log, &indexed, end, error);
    log->indexed = status == SB_OK ? check_index : NULL;
    log->loaded_context = &seen;
    if (status == SB_CORRUPT && log->slot.index >= log->slot.length) status = SB_OK;
  }
  uint64_t tail = 0;
  if (status == SB_OK) status = sb_priv_visit_log_follow(log, end, &tail, error);
  if (status == SB_OK && log->indexed != NULL && log->slot.index < log->slot.length)
    status = sb_priv_visit_corrupt(error, log->slot.index, "the index is not where the header says");
  if (holds) sb_priv_visit_log_free(&indexed);
  log->loaded_context = NULL;
  if (status != SB_OK) return status;
  found->format = 1;
  found->records = log->replayed;
  found->damaged_bytes = tail;
  if (tail > 0) found->damaged_offset = (int64_t)log->end;
  return count_all(log, found, error);
}

sb_status sb_priv_visit_check(int file, uint64_t end, sb_visit_report *report, sb_error *error) {
  sb_visit_report found = {.damaged_offset = -1};
  uint8_t page[VISIT_LOG_START];
  sb_priv_file_facts facts = {0};
  size_t got = 0;
  int problem = sb_priv_file_read(file, page, sizeof page, 0, &got);
  if (problem == 0) problem = sb_priv_file_look(file, &facts);
  if (problem != 0) return sb_priv_visit_io(error, problem, "reading the file");
  found.bytes = facts.size;
  visit_log log;
  sb_priv_visit_log_init(&log, file, true);
  sb_status status;
  if (facts.size == 0)
    status = SB_OK;
  else if (!sb_priv_visit_header_is_ours(page, got)) {
    status = sb_priv_visit_old_read(&log, facts.size, error);
    if (status == SB_OK) status = count_all(&log, &found, error);
  } else if (got < sizeof page)
    status = sb_priv_visit_corrupt(error, got, "the file ends inside its header");
  else
    status = check_ours(&log, page, end == 0 ? facts.size : end, &found, error);
  sb_priv_visit_log_free(&log);
  return status == SB_OK ? report_fill(report, &found) : status;
}

/* Opens a file to read, which must be one. */
static sb_status open_file(const char *path, int *file, sb_priv_file_facts *facts, sb_error *error) {
  int folder;
  const char *name;
  int problem = sb_priv_folder_open(path, &folder, &name);
  if (problem == 0) {
    problem = sb_priv_file_open(folder, name, SB_PRIV_READ, file);
    sb_priv_file_close(folder);
  }
  if (problem == ENOENT) return sb_priv_error(error, SB_NOT_FOUND, NULL, "there is no file %s", path);
  if (problem != 0) return sb_priv_visit_io(error, problem, "opening the file");
  problem = sb_priv_file_look(*file, facts);
  if (problem == 0 && facts->regular) return SB_OK;
  sb_priv_file_close(*file);
  if (problem != 0) return sb_priv_visit_io(error, problem, "opening the file");
  return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "%s is no regular file", path);
}

static bool report_wrong(const sb_visit_report *report) { return report == NULL || report->struct_size < sizeof *report; }

sb_status sb_verify_visits(const char *path, sb_visit_report *report, sb_error *error) {
  int file = -1;
  sb_priv_file_facts facts = {0};
  if (path == NULL || report_wrong(report))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "no path, or report.struct_size is not set");
  sb_status status = open_file(path, &file, &facts, error);
  if (status != SB_OK) return status;
  status = sb_priv_visit_check(file, 0, report, error);
  sb_priv_file_close(file);
  return status;
}

/* ---- salvage ---- */

/* The UUID from wherever one is left: without it no checksum can be checked. */
static bool find_uuid(const uint8_t *page, uint8_t uuid[16]) {
  visit_slot slot;
  for (unsigned i = 1; i <= 2; i++)
    if (sb_priv_visit_slot_decode(page + VISIT_SECTOR * i, &slot, uuid)) return true;
  memcpy(uuid, page + 32, 16);
  return visit_load32(page + 60) == sb_crc32c(0, page, 60);
}

static sb_status collect(visit_log *log, uint64_t size, sb_visit_report *found, sb_error *error) {
  for (uint64_t offset = VISIT_LOG_START; offset < size;) {
    visit_record record;
    log->end = size;
    sb_status status = sb_priv_visit_reader_get(&log->sequential, log->seed, offset, size, &record);
    if (status == SB_IO) return sb_priv_visit_io(error, log->sequential.problem, "reading the file");
    if (status == SB_OK && record.sequence > log->sequence) {
      status = sb_priv_visit_log_take(log, &record, error);
      if (status != SB_OK) return status;
      offset += visit_padded(record.length);
      found->records++;
      continue;
    }
    if (status == SB_NO_MEMORY) return sb_priv_error(error, status, NULL, "no memory to read the file");
    if (status == SB_CORRUPT && found->damaged_offset < 0) found->damaged_offset = (int64_t)offset;
    if (status == SB_CORRUPT) found->damaged_bytes += 8;
    offset += 8;
  }
  log->end = size;
  return SB_OK;
}

static sb_status salvage(visit_log *log, uint64_t size, sb_visit_report *found, sb_error *error) {
  uint8_t page[VISIT_LOG_START];
  size_t got = 0;
  const int problem = sb_priv_file_read(log->file, page, sizeof page, 0, &got);
  if (problem != 0) return sb_priv_visit_io(error, problem, "reading the file");
  if (got == sizeof page && find_uuid(page, log->uuid)) {
    found->format = 1;
    log->seed = sb_priv_visit_seed(log->uuid);
    const sb_status status = collect(log, size, found, error);
    if (status != SB_OK) return status;
    if (found->records == 0) return sb_priv_visit_corrupt(error, VISIT_LOG_START, "it has no valid record");
    if (log->table.max_visits == 0) log->table.max_visits = UINT32_MAX; /* the record that said it is lost */
    return SB_OK;
  }
  return sb_priv_visit_old_read(log, size, error);
}

/* Makes the new file `path` with what `log` holds. */
static sb_status write_target(visit_log *log, const char *path, const sb_priv_file_facts *facts, sb_error *error) {
  int folder, file = -1;
  const char *name;
  int problem = sb_priv_folder_open(path, &folder, &name);
  if (problem != 0) return sb_priv_visit_io(error, problem, "opening the folder of the new file");
  problem = sb_priv_file_open(folder, name, SB_PRIV_CREATE, &file);
  sb_status status = SB_OK;
  if (problem == EEXIST)
    status = sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "%s exists; name a new file", path);
  else if (problem != 0)
    status = sb_priv_visit_io(error, problem, "making the new file");
  else {
    problem = sb_priv_file_make_like(file, facts);
    status = problem == 0 ? sb_priv_visit_write_closed(log, file, error)
                          : sb_priv_visit_io(error, problem, "setting the mode of the new file");
    if (status == SB_OK && (problem = sb_priv_folder_sync(folder)) != 0) status = sb_priv_visit_io(error, problem, "syncing the folder");
    if (status != SB_OK) sb_priv_file_remove(folder, name);
  }
  sb_priv_file_close(file);
  sb_priv_file_close(folder);
  return status;
}

sb_status sb_salvage_visits(const char *path, const char *target, sb_visit_report *report, sb_error *error) {
  int file = -1;
  sb_priv_file_facts facts = {0};
  if (path == NULL || target == NULL || report_wrong(report))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "no path, no target, or report.struct_size is not set");
  sb_status status = open_file(path, &file, &facts, error);
  if (status != SB_OK) return status;
  sb_visit_report found = {.bytes = facts.size, .damaged_offset = -1};
  visit_log log;
  sb_priv_visit_log_init(&log, file, true);
  status = salvage(&log, facts.size, &found, error);
  if (status == SB_OK) status = count_all(&log, &found, error);
  if (status == SB_OK) status = write_target(&log, target, &facts, error);
  sb_priv_visit_log_free(&log);
  sb_priv_file_close(file);
  return status == SB_OK ? report_fill(report, &found) : status;
}
