//go:build !samebytes_shared

/* Verify reads everything twice: once as a replay of the whole log, once through the index, and holds one against the other. Salvage takes
 * every record that is valid by itself, wherever it lies. */

#include <errno.h>
#include <stdlib.h>

#include "visit_private.h"

static sb_status report_fill(sb_visit_report *report, const sb_visit_report *found) { return sb_priv_fill(report, found, sizeof *found); }

/* Counts users and visits, reading each. */
static sb_status count_all(visit_log *log, sb_visit_report *found, sb_error *error) {
  visit_walk walk;
  sb_status status = sb_priv_visit_walk_begin(&walk, log, 0);
  while (status == SB_OK) {
    uint64_t user;
    visit_user peeked;
    status = sb_priv_visit_walk_next(&walk, &user, error);
    if (status != SB_OK || user >> 32 != 0) break;
    const visit_user *known = sb_priv_visit_table_find(&log->table, (uint32_t)user);
    if (known != NULL && known->decoded) {
      found->visits += known->count;
      found->users += known->count > 0;
      continue;
    }
    status = sb_priv_visit_log_peek(log, (uint32_t)user, &peeked, error);
    if (status != SB_OK) break;
    found->visits += peeked.count;
    found->users += peeked.count > 0;
    sb_priv_visit_user_bytes_free(&peeked);
  }
  return status;
}

static bool same_visits(const visit_user *a, const visit_user *b) {
  if (a->count != b->count || a->end - a->start != b->end - b->start) return false;
  for (uint32_t i = 0; i < a->count; i++) {
    const visit_entry *left = &a->entries[a->first + i], *right = &b->entries[b->first + i];
    if (left->visit_id != right->visit_id || left->time_ns != right->time_ns || left->size != right->size) return false;
  }
  return a->count == 0 || memcmp(a->arena + a->start, b->arena + b->start, a->end - a->start) == 0;
}

/* Holds what the index leads to against what the whole log says. */
static sb_status compare(visit_log *whole, visit_log *indexed, sb_error *error) {
  visit_walk walk;
  sb_status status = sb_priv_visit_walk_begin(&walk, whole, 0);
  uint64_t users = 0, expected = 0;
  while (status == SB_OK) {
    uint64_t user;
    visit_user left, right;
    status = sb_priv_visit_walk_next(&walk, &user, error);
    if (status != SB_OK || user >> 32 != 0) break;
    status = sb_priv_visit_log_peek(whole, (uint32_t)user, &left, error);
    if (status != SB_OK) break;
    status = sb_priv_visit_log_peek(indexed, (uint32_t)user, &right, error);
    if (status == SB_OK) {
      if (!same_visits(&left, &right)) status = sb_priv_visit_corrupt(error, indexed->base.offset, "the index contradicts the log");
      users += left.count > 0;
      sb_priv_visit_user_bytes_free(&right);
    }
    sb_priv_visit_user_bytes_free(&left);
  }
  /* And nobody may be in the index who is not in the log. */
  if (status == SB_OK) {
    sb_visit_report found = {0};
    status = count_all(indexed, &found, error);
    expected = found.users;
  }
  if (status == SB_OK && users != expected)
    status = sb_priv_visit_corrupt(error, indexed->base.offset, "the index has users that the log does not");
  return status;
}

static sb_status check_index(visit_log *whole, uint64_t end, sb_error *error) {
  if (!sb_priv_visit_slot_index_holds(&whole->slot) || whole->slot.index >= end) return SB_OK;
  visit_log indexed;
  uint64_t tail;
  sb_priv_visit_log_init(&indexed, whole->file, true);
  memcpy(indexed.uuid, whole->uuid, sizeof indexed.uuid);
  indexed.seed = whole->seed;
  indexed.slot = whole->slot;
  sb_status status = sb_priv_visit_index_load(&indexed, whole->slot.index, end, error);
  if (status == SB_CORRUPT && whole->slot.index >= whole->slot.length)
    status = SB_OK; /* never synced: not used */
  else {
    if (status == SB_OK) status = sb_priv_visit_log_follow(&indexed, end, &tail, error);
    if (status == SB_OK) status = compare(whole, &indexed, error);
  }
  sb_priv_visit_log_free(&indexed);
  return status;
}

static sb_status check_ours(visit_log *log, const uint8_t *page, uint64_t end, sb_visit_report *found, sb_error *error) {
  sb_status status = sb_priv_visit_header_decode(page, true, log->uuid, &log->slot, error);
  if (status != SB_OK) return status;
  if (end < log->slot.length) return sb_priv_visit_corrupt(error, end, "the file is shorter than it was when it was on disk");
  log->seed = sb_priv_visit_seed(log->uuid);
  log->end = VISIT_LOG_START;
  log->table.max_visits = UINT32_MAX;
  uint64_t tail;
  status = sb_priv_visit_log_follow(log, end, &tail, error);
  if (status == SB_OK) status = check_index(log, log->end, error);
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
  if (status == SB_OK) status = sb_priv_visit_write_new(&log, target, error);
  sb_priv_visit_log_free(&log);
  sb_priv_file_close(file);
  return status == SB_OK ? report_fill(report, &found) : status;
}
