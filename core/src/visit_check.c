//go:build !samebytes_shared

/* Verify replays the whole log once, from its beginning to its end, and keeps of each visit where it lies, not its bytes. When it comes to
 * the index that the next open will use, it holds that against what it knows. Salvage takes every record that is valid by itself, wherever
 * it lies. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error_private.h"
#include "options.h"
#include "visit_private.h"

#define SALVAGE_CHUNK 512u /* bytes to read at once of records that lie anywhere */
#define ZEROS_MAX 64u      /* bytes that end a record and are zero */
#define PAGE_REREADS 3     /* of a page whose slot a writer may be writing just now */

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

/* The indexes that the slots name, of which the next open uses one, held against the log: each page when the log comes to its place, because
 * a page has its users as they are there. */
typedef struct named_index {
  visit_log log;  /* its base is the index; pages == NULL: not loaded */
  uint32_t pages; /* that were seen */
  size_t limits;  /* that the log had at the first of them: none may come between them */
  uint64_t visits, live;
} named_index;

/* Live bytes from scratch, as docs/file-format.md counts them: users hold where their visits lie, and in the place of their bytes how many
 * these are. */
static uint64_t count_live(const visit_user *user) {
  uint64_t live = 0;
  visit_cursor cursor;
  for (bool more = sb_priv_visit_cursor_oldest(&cursor, user); more; more = sb_priv_visit_cursor_later(&cursor))
    live += VISIT_ITEM_HEAD + visit_load32(cursor.data);
  return live > 0 ? VISIT_HEAD + live : 0;
}

/* Whether the log has users from `from` to `to` whom the index has not. */
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

static sb_status check_index_page(visit_log *log, named_index *index, sb_error *error) {
  visit_log *indexed = &index->log;
  const visit_page *page = &indexed->base.pages[index->pages];
  uint64_t user;
  if (index->pages == 0) {
    sb_priv_visit_log_settle(log);
    index->limits = log->limit_count;
  }
  for (uint64_t from = page->first; from <= page->last; from = user + 1) {
    const uint8_t *runs;
    uint32_t count;
    sb_status status = sb_priv_visit_index_next(indexed, from, &user, error);
    if (status == SB_OK) status = sb_priv_visit_index_find(indexed, (uint32_t)user, &runs, &count, error);
    if (status != SB_OK) return status;
    const visit_user *known = sb_priv_visit_table_find(&log->table, (uint32_t)user);
    if (known == NULL || !same_places(known, runs, count))
      return sb_priv_visit_corrupt(error, page->offset, "a page of the index contradicts the log");
    index->visits += known->count;
    index->live += count_live(known);
  }
  if (lacks_users(log, indexed, index->pages == 0 ? 0 : (uint64_t)page[-1].last + 1, page->last, error))
    return sb_priv_visit_corrupt(error, page->offset, "a page of the index has not the users that the log has");
  index->pages++;
  return SB_OK;
}

static sb_status check_index_end(visit_log *log, named_index *index, sb_error *error) {
  const visit_base *base = &index->log.base;
  if (index->pages == 0) sb_priv_visit_log_settle(log);
  if (index->pages != base->page_count || (index->pages > 0 && index->limits != log->limit_count) ||
      base->max_visits != log->table.max_visits)
    return sb_priv_visit_corrupt(error, base->offset, "the index contradicts the log");
  const uint64_t after = base->page_count == 0 ? 0 : (uint64_t)base->pages[base->page_count - 1].last + 1;
  if (index->visits != base->visits || lacks_users(log, &index->log, after, UINT32_MAX, error))
    return sb_priv_visit_corrupt(error, base->offset, "the index has not the users that the log has");
  if (index->live != base->live_bytes)
    return sb_priv_visit_corrupt(error, base->offset, "the index has another number of live bytes than the log");
  return SB_OK;
}

static sb_status load_index(const visit_log *log, visit_log *indexed, uint64_t offset, sb_error *error) {
  sb_priv_visit_log_free(indexed); /* it may have been tried before */
  sb_priv_visit_log_init(indexed, log->file, true);
  memcpy(indexed->uuid, log->uuid, sizeof indexed->uuid);
  memcpy(indexed->header, log->header, sizeof indexed->header);
  indexed->seed = log->seed;
  indexed->slot = log->slot;
  return sb_priv_visit_index_load(indexed, offset, UINT64_MAX, error);
}

/* The log has come to a page, or to an index. */
static sb_status check_index(visit_log *log, const visit_record *record, sb_error *error) {
  named_index *indexes = log->loaded_context;
  for (size_t i = 0; i < 2; i++) {
    named_index *index = &indexes[i];
    const visit_base *base = &index->log.base;
    sb_status status = SB_OK;
    if (log->to_see[2 + i] == 0) continue;
    if (record->type == VISIT_PAGE && base->pages != NULL && index->pages < base->page_count &&
        base->pages[index->pages].offset == record->offset)
      status = check_index_page(log, index, error);
    if (record->type == VISIT_INDEX && record->offset == log->to_see[2 + i]) {
      log->to_see[2 + i] = 0;
      /* What could not be loaded before says why not. */
      status = base->pages != NULL ? check_index_end(log, index, error) : load_index(log, &index->log, record->offset, error);
    }
    if (status != SB_OK) return status;
  }
  return SB_OK;
}

/* Notes what a slot says of the log, which the log must come to. */
static void expect(visit_log *log, unsigned i, const visit_slot *slot) {
  log->to_see[i] = slot->length == VISIT_LOG_START ? 0 : slot->length;
  log->to_see[2 + i] = sb_priv_visit_slot_index_holds(slot) ? slot->index : 0;
}

/* Checks all that lies before the log, beside what an open needs of it. A slot that a kill or a power failure has torn is no more than bytes
 * that nobody uses; one that was never written is zero. `*torn` is where it lies, 0 if there is none. */
static sb_status check_page(visit_log *log, const uint8_t *page, uint64_t *torn, sb_error *error) {
  static const uint8_t unwritten[VISIT_SLOT_SIZE];
  uint64_t offset;
  *torn = 0;
  sb_status status = sb_priv_visit_header_decode(page, true, log->uuid, &log->slot, error);
  if (status != SB_OK) return status;
  if (!sb_priv_visit_header_zeros(page, &offset))
    return sb_priv_visit_corrupt(error, offset, "a byte of the header that must be zero is not");
  for (unsigned i = 0; i < 2; i++) {
    visit_slot slot;
    const size_t place = VISIT_SECTOR * (1 + (size_t)i);
    if (sb_priv_visit_header_slot(page, i, &slot))
      expect(log, i, &slot);
    else if (log->slot.generation > 1 || memcmp(page + place, unwritten, sizeof unwritten) != 0)
      *torn = place;
  }
  memcpy(log->header, page, sizeof log->header);
  return SB_OK;
}

/* A writer may be writing a slot just now. */
static sb_status check_page_again(visit_log *log, uint8_t *page, uint64_t *torn, sb_error *error) {
  sb_status status = check_page(log, page, torn, error);
  for (unsigned again = 0; again < PAGE_REREADS && ((status == SB_CORRUPT) || *torn != 0); again++) {
    size_t got;
    const int problem = sb_priv_file_read(log->file, page, VISIT_LOG_START, 0, &got);
    if (problem != 0) return sb_priv_visit_io(error, problem, "reading the file");
    if (got < VISIT_LOG_START) return sb_priv_visit_corrupt(error, got, "the file ends inside its header");
    memset(log->to_see, 0, sizeof log->to_see);
    status = check_page(log, page, torn, error);
  }
  return status;
}

/* Whether the log came to all that the slots name. */
static sb_status check_seen(const visit_log *log, sb_error *error) {
  for (uint64_t i = 0; i < 2; i++)
    if (log->to_see[i] != 0)
      return sb_priv_visit_corrupt(error, VISIT_SECTOR * (1 + i), "no record ends where a slot says that the log was on disk");
  for (size_t i = 2; i < 4; i++)
    if (log->to_see[i] != 0 && log->to_see[i] < log->end)
      return sb_priv_visit_corrupt(error, log->to_see[i], "the index is not where the header says");
  return SB_OK;
}

static sb_status check_ours(visit_log *log, uint8_t *page, uint64_t end, sb_visit_report *found, sb_error *error) {
  uint64_t torn;
  sb_status status = check_page_again(log, page, &torn, error);
  if (status != SB_OK) return status;
  if (end < log->slot.length && log->slot.length <= found->bytes) end = log->slot.length; /* has grown meanwhile */
  if (end < log->slot.length) return sb_priv_visit_corrupt(error, end, "the file is shorter than it was when it was on disk");
  log->seed = sb_priv_visit_seed(log->uuid);
  log->end = VISIT_LOG_START;
  log->table.max_visits = UINT32_MAX;
  log->table.places_only = true;
  log->indexed = check_index;
  named_index indexes[2] = {{.pages = 0}};
  log->loaded_context = indexes;
  for (size_t i = 0; i < 2 && status == SB_OK; i++) {
    sb_priv_visit_log_init(&indexes[i].log, log->file, true);
    if (log->to_see[2 + i] != 0 && (i == 0 || log->to_see[3] != log->to_see[2]))
      status = load_index(log, &indexes[i].log, log->to_see[2 + i], error);
    if (status == SB_CORRUPT) status = SB_OK; /* the log will come to it, or not */
  }
  if (log->to_see[3] == log->to_see[2]) log->to_see[3] = 0;
  uint64_t tail;
  if (status == SB_OK) status = sb_priv_visit_log_follow(log, end, &tail, error);
  if (status == SB_OK) status = check_seen(log, error);
  for (size_t i = 0; i < 2; i++) sb_priv_visit_log_free(&indexes[i].log);
  log->loaded_context = NULL;
  if (status != SB_OK) return status;
  found->format = 1;
  found->records = log->replayed;
  found->damaged_bytes = tail + (torn != 0 ? VISIT_SLOT_SIZE : 0);
  if (tail > 0) found->damaged_offset = (int64_t)log->end;
  if (torn != 0) found->damaged_offset = (int64_t)torn;
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
  if (problem == ENOENT) return sb_priv_caused(sb_priv_error(error, SB_NOT_FOUND, NULL, "there is no file %s", path), problem, error);
  if (problem != 0) return sb_priv_visit_io(error, problem, "opening the file");
  problem = sb_priv_file_look(*file, facts);
  if (problem == 0 && facts->regular) return SB_OK;
  sb_priv_file_close(*file);
  if (problem != 0) return sb_priv_visit_io(error, problem, "opening the file");
  return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "%s is no regular file", path);
}

static bool report_wrong(const sb_visit_report *report) { return report == NULL || report->struct_size < sizeof *report; }

sb_status sb_verify_visits(const char *path, sb_visit_report *report, sb_error *error) {
  SB_PRIV_UNCANCELLED;
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

/* The seed that header or slots say, where one of them is whole. */
static bool seed_of_page(const uint8_t *page, uint32_t *seed) {
  visit_slot slot;
  uint8_t uuid[16];
  const bool whole = sb_priv_visit_header_whole(page);
  if (whole) memcpy(uuid, page + 32, sizeof uuid);
  if (!whole && !sb_priv_visit_slot_decode(page + VISIT_SECTOR, &slot, uuid) &&
      !sb_priv_visit_slot_decode(page + 2 * (size_t)VISIT_SECTOR, &slot, uuid))
    return false;
  *seed = sb_priv_visit_seed(uuid);
  return true;
}

/* Notes that [from, to) belongs to no record that is of use. */
static void note_damage(sb_visit_report *found, uint64_t from, uint64_t to) {
  if (from == to) return;
  if (found->damaged_offset < 0) found->damaged_offset = (int64_t)from;
  found->damaged_bytes += to - from;
}

/* Without the limit that was in force there is the one that an index says. */
static sb_status take_limit_of_index(visit_log *log, const visit_record *index, sb_error *error) {
  const uint32_t max_visits = visit_load32(index->payload + 4);
  if (index->type != VISIT_INDEX || log->limit_count > 0 || max_visits == 0) return SB_OK;
  const visit_record limit = {
      .offset = index->offset, .sequence = index->sequence, .type = VISIT_LIMIT, .user = max_visits, .length = VISIT_HEAD};
  return sb_priv_visit_log_take(log, &limit, error);
}

static sb_status take_salvaged(visit_log *log, const visit_record *record, sb_error *error) {
  log->end = record->offset;
  const sb_status status = record->type == VISIT_INDEX ? take_limit_of_index(log, record, error) : SB_OK;
  return status == SB_OK ? sb_priv_visit_log_take(log, record, error) : status;
}

/* Takes the records that are valid under a seed. Recovery cuts off no zeros, with which the last record may end. */
static sb_status collect(visit_log *log, uint32_t seed, uint64_t from, uint64_t file_size, sb_visit_report *found, sb_error *error) {
  visit_scan scan;
  visit_record record;
  const uint64_t size = visit_padded(file_size) + ZEROS_MAX;
  uint64_t end = from;
  log->seed = seed;
  sb_priv_visit_scan_begin(&scan, log->file, from, size, true);
  sb_status status;
  while ((status = sb_priv_visit_scan_next(&scan, seed, &record)) == SB_OK) {
    if (record.sequence <= log->sequence) continue;
    status = sb_priv_visit_reader_get(&log->sequential, seed, record.offset, size, &record);
    if (status == SB_CORRUPT || status == SB_NOT_FOUND) continue; /* a checksum is right by chance, or somebody's work */
    if (status != SB_OK) break;
    note_damage(found, end, record.offset);
    end = record.offset + visit_padded(record.length);
    status = take_salvaged(log, &record, error);
    if (status != SB_OK) {
      sb_priv_visit_scan_end(&scan);
      return status;
    }
    found->records++;
  }
  if (status == SB_NOT_FOUND) status = sb_priv_visit_log_used(log, end, size, &log->end);
  if (status == SB_OK) note_damage(found, end, log->end);
  int problem = scan.heads.problem != 0 ? scan.heads.problem : scan.bytes.problem;
  if (problem == 0) problem = log->sequential.problem;
  sb_priv_visit_scan_end(&scan);
  log->end = size;
  if (status == SB_IO) return sb_priv_visit_io(error, problem, "reading the file");
  return status == SB_OK ? SB_OK : sb_priv_error(error, status, NULL, "no memory to read the file");
}

/* Makes the log as it was before anything was read. */
static void forget(visit_log *log, sb_visit_report *found) {
  const int file = log->file;
  sb_priv_visit_log_free(log);
  sb_priv_visit_log_init(log, file, true);
  log->sequential.moved = log->random.moved = true;
  log->random.chunk = SALVAGE_CHUNK;
  *found = (sb_visit_report){.bytes = found->bytes, .damaged_offset = -1};
}

/* What recovery cut off is the log of the file whose name comes before ".cut", unless that was written anew since. */
static bool seed_of_neighbour(const char *path, uint32_t *seed) {
  static const char suffix[] = ".cut";
  const char *cut = NULL;
  for (const char *at = path; (at = strstr(at, suffix)) != NULL; at++) cut = at;
  if (cut == NULL) return false;
  const char *number = cut + sizeof suffix - 1;
  if (*number == '.' && number[1] != 0) number += 1 + strspn(number + 1, "0123456789");
  if (*number != 0) return false;
  char *name = strndup(path, (size_t)(cut - path));
  int file = -1;
  sb_priv_file_facts facts;
  uint8_t page[VISIT_LOG_START];
  size_t got = 0;
  if (name != NULL && open_file(name, &file, &facts, NULL) == SB_OK) {
    if (sb_priv_file_read(file, page, sizeof page, 0, &got) != 0) got = 0;
    sb_priv_file_close(file);
  }
  free(name);
  return got == sizeof page && seed_of_page(page, seed);
}

enum {
  SEED_OF_COPY,
  SEED_OF_NEIGHBOUR,
  SEED_OF_RECORDS,
  SEED_NOWHERE
};

/* The seed from one of the places where it may be found without header and slots. SB_NOT_FOUND: there is none. */
static sb_status seed_from(int place, const char *path, int file, uint64_t size, uint32_t *seed, sb_error *error) {
  uint8_t header[VISIT_HEADER_SIZE];
  sb_status status = SB_NOT_FOUND;
  if (place == SEED_OF_COPY && (status = sb_priv_visit_scan_header(file, size, header)) == SB_OK) {
    status = sb_priv_visit_header_usable(header, true, error);
    if (status != SB_OK) return status;
    *seed = sb_priv_visit_seed(header + 32);
  }
  if (place == SEED_OF_NEIGHBOUR && seed_of_neighbour(path, seed)) status = SB_OK;
  if (place == SEED_OF_RECORDS) status = sb_priv_visit_scan_seed(file, visit_padded(size) + ZEROS_MAX, seed);
  if (status == SB_IO) return sb_priv_visit_io(error, EIO, "reading the file");
  if (status == SB_NO_MEMORY) return sb_priv_error(error, status, NULL, "no memory to read the file");
  return status;
}

static sb_status salvage(visit_log *log, const char *path, uint64_t size, sb_visit_report *found, sb_error *error) {
  uint8_t page[VISIT_LOG_START];
  size_t got = 0;
  uint32_t seed = 0;
  const int problem = sb_priv_file_read(log->file, page, sizeof page, 0, &got);
  if (problem != 0) return sb_priv_visit_io(error, problem, "reading the file");
  sb_status status;
  if (got == sizeof page && seed_of_page(page, &seed)) {
    if (sb_priv_visit_header_whole(page)) {
      status = sb_priv_visit_header_usable(page, true, error);
      if (status != SB_OK) return status;
    }
    forget(log, found);
    if (!sb_priv_visit_header_whole(page)) note_damage(found, 0, VISIT_HEADER_SIZE);
    status = collect(log, seed, VISIT_LOG_START, size, found, error);
    if (status != SB_OK || found->records > 0) return status;
    status = sb_priv_visit_corrupt(error, VISIT_LOG_START, "it has no valid record");
  } else {
    status = sb_priv_visit_old_read(log, size, error);
    if (status != SB_CORRUPT) return status;
  }
  /* `error` stays what it is now if nothing helps. */
  for (int place = SEED_OF_COPY; place < SEED_NOWHERE; place++) {
    sb_error other = {0};
    forget(log, found);
    sb_status tried = seed_from(place, path, log->file, size, &seed, &other);
    if (tried == SB_NOT_FOUND) continue;
    if (tried == SB_OK) tried = collect(log, seed, 0, size, found, &other);
    if (tried == SB_OK && found->records == 0) continue;
    if (tried != SB_OK && error != NULL) *error = other;
    return tried;
  }
  return status;
}

/* Reads what can be read of a file of either format. */
static sb_status salvage_any(visit_log *log, const char *path, uint64_t size, sb_visit_report *found, sb_error *error) {
  const sb_status status = salvage(log, path, size, found, error);
  if (status != SB_OK) return status;
  found->format = found->records > 0;
  if (log->table.max_visits == 0) log->table.max_visits = UINT32_MAX; /* the record that said it is lost */
  return count_all(log, found, error);
}

/* Makes the new file `path` with what `log` holds. */
static sb_status write_target(visit_log *log, const char *path, const sb_priv_file_facts *facts, sb_error *error) {
  int folder, file;
  const char *name;
  sb_status status = sb_priv_visit_target_open(path, &folder, &name, &file, error);
  if (status != SB_OK) return status;
  int problem = sb_priv_file_make_like(file, facts);
  status = problem == 0 ? sb_priv_visit_write_closed(log, file, 0, error)
                        : sb_priv_visit_io(error, problem, "setting the mode of the new file");
  if (status == SB_OK && (problem = sb_priv_folder_sync(folder)) != 0) status = sb_priv_visit_io(error, problem, "syncing the folder");
  if (status == SB_OK) status = sb_priv_visit_target_check(folder, name, file, error);
  sb_priv_visit_target_close(folder, name, file, status != SB_OK);
  return status;
}

sb_status sb_salvage_visits(const char *path, const char *target, sb_visit_report *report, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  int file = -1;
  sb_priv_file_facts facts = {0};
  if (path == NULL || target == NULL || report_wrong(report))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "no path, no target, or report.struct_size is not set");
  sb_status status = open_file(path, &file, &facts, error);
  if (status != SB_OK) return status;
  sb_visit_report found = {.bytes = facts.size, .damaged_offset = -1};
  visit_log log;
  sb_priv_visit_log_init(&log, file, true);
  status = salvage_any(&log, path, facts.size, &found, error);
  if (status == SB_OK) status = write_target(&log, target, &facts, error);
  sb_priv_visit_log_free(&log);
  sb_priv_file_close(file);
  return status == SB_OK ? report_fill(report, &found) : status;
}
