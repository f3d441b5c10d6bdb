//go:build !samebytes_shared

/* Reading a file: header, index, replay, and users when they are asked for. Replay does not read visits: it checks each record and notes
 * for whom it is; a user's records are read and applied when the user is first asked for. So an open costs what checking the tail costs,
 * and a file that claims much takes memory for what it has only.
 *
 * Files are read with pread and never mapped: another process may cut a file short, which would kill a reader of a mapping.
 *
 * Invariant: the state of a user is base (if it has it), then its records since, in order, with the changes of max_visits between them. */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error_private.h"
#include "visit_private.h"

#define CHUNK_SEQUENTIAL (256u << 10)
#define CHUNK_RANDOM 4096u
#define REREADS 3 /* of a record that a writer may be writing just now */

sb_status sb_priv_visit_io(sb_error *error, int problem, const char *what) {
  if (problem == ENOMEM) return sb_priv_system_error(error, SB_NO_MEMORY, problem, "%s: no memory", what);
  return sb_priv_system_error(error, SB_IO, problem, "%s", what);
}

sb_status sb_priv_visit_corrupt(sb_error *error, uint64_t offset, const char *what) {
  (void)sb_priv_error(error, SB_CORRUPT, NULL, "the file is damaged at offset %llu: %s; it was left as it is, salvage copies what is valid",
                      (unsigned long long)offset, what);
  if (error != NULL) error->stream_offset = (int64_t)offset;
  return SB_CORRUPT;
}

/* ---- records ---- */

sb_status sb_priv_visit_reader_fetch(visit_reader *reader, uint64_t offset, size_t size, uint64_t limit, const uint8_t **data) {
  visit_bytes *bytes = &reader->bytes;
  if (offset < reader->offset || offset + size > reader->offset + bytes->size) {
    /* Who asks for what follows goes on, it seems, as a walk over a compacted file does. */
    const bool follows = bytes->size > 0 && offset > reader->offset && offset <= reader->offset + bytes->size;
    const size_t chunk = follows && reader->ahead > 0 ? reader->ahead : reader->chunk;
    size_t wanted = size > chunk ? size : chunk;
    if (wanted > limit - offset) wanted = (size_t)(limit - offset);
    bytes->size = 0;
    const sb_status status = sb_priv_visit_bytes_reserve(bytes, wanted);
    if (status != SB_OK) return status;
    reader->offset = offset;
    reader->problem = sb_priv_file_read(reader->file, bytes->data, wanted, offset, &bytes->size);
    if (reader->problem != 0) {
      bytes->size = 0;
      return SB_IO;
    }
    if (bytes->size < size && !reader->moved) return SB_CORRUPT; /* the file has become shorter */
    if (bytes->size < wanted && reader->moved) {
      memset(bytes->data + bytes->size, 0, wanted - bytes->size);
      bytes->size = wanted;
    }
  }
  *data = bytes->data + (offset - reader->offset);
  return SB_OK;
}

/* Checks a large record in pieces, before memory is taken for it. */
static sb_status check_large(visit_reader *reader, uint32_t seed, uint64_t offset, uint64_t padded, uint64_t limit, uint32_t expected) {
  uint32_t checksum = seed;
  for (uint64_t done = 0; done < padded;) {
    const uint64_t rest = padded - done;
    const size_t piece = reader->chunk < CHUNK_RANDOM ? CHUNK_RANDOM : reader->chunk, size = rest < piece ? (size_t)rest : piece;
    const uint8_t *data;
    const sb_status status = sb_priv_visit_reader_fetch(reader, offset + done, size, limit, &data);
    if (status != SB_OK) return status;
    checksum = done == 0 ? sb_crc32c(sb_crc32c(checksum, data, 4), data + 8, size - 8) : sb_crc32c(checksum, data, size);
    done += size;
  }
  return checksum == expected ? SB_OK : SB_CORRUPT;
}

sb_status sb_priv_visit_reader_get(visit_reader *reader, uint32_t seed, uint64_t offset, uint64_t limit, visit_record *record) {
  if (offset >= limit) return SB_NOT_FOUND;
  const uint8_t *data;
  if (limit - offset < VISIT_HEAD) {
    static const uint8_t nothing[VISIT_HEAD];
    const sb_status status = sb_priv_visit_reader_fetch(reader, offset, (size_t)(limit - offset), limit, &data);
    if (status != SB_OK) return status;
    return memcmp(data, nothing, (size_t)(limit - offset)) == 0 ? SB_NOT_FOUND : SB_CORRUPT;
  }
  sb_status status = sb_priv_visit_reader_fetch(reader, offset, VISIT_HEAD, limit, &data);
  if (status != SB_OK) return status;
  if (visit_load32(data) == 0) return SB_NOT_FOUND;
  if (!(reader->moved ? sb_priv_visit_head_decode_moved(data, offset, record) : sb_priv_visit_head_decode(data, offset, record)))
    return SB_CORRUPT;
  const uint64_t padded = visit_padded(record->length);
  VISIT_STEPS(1 + padded / 64);
  if (padded > limit - offset) return SB_CORRUPT;
  const uint32_t expected = visit_load32(data + 4);
  const bool large = padded > CHUNK_SEQUENTIAL;
  if (large) status = check_large(reader, seed, offset, padded, limit, expected);
  if (status == SB_OK) status = sb_priv_visit_reader_fetch(reader, offset, (size_t)padded, limit, &data);
  if (status != SB_OK) return status;
  if (!large && sb_priv_visit_record_checksum(seed, data, (size_t)padded) != expected) return SB_CORRUPT;
  record->payload = data + VISIT_HEAD;
  return sb_priv_visit_payload_fits(record) ? SB_OK : SB_CORRUPT;
}

/* A failed read of a record, in words. */
static sb_status explain(const visit_reader *reader, sb_status status, uint64_t offset, sb_error *error) {
  if (status == SB_IO) return sb_priv_visit_io(error, reader->problem, "reading the file");
  if (status == SB_NO_MEMORY) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory to read the file");
  return sb_priv_visit_corrupt(error, offset, "no valid record where there must be one");
}

/* ---- init ---- */

void sb_priv_visit_log_check(const visit_log *log) {
  assert(log->end % 8 == 0 && log->end >= VISIT_LOG_START && log->limited <= log->end);
  assert(log->sequence > 0 && log->sequence <= (log->end - VISIT_LOG_START) / VISIT_HEAD);
  assert(log->table.max_visits > 0 && (log->base.pages != NULL || log->limit_count > 0));
  assert(log->base.pages == NULL || (log->base.offset < log->base.end && log->base.end <= log->end && log->base.max_visits > 0));
  for (size_t i = 1; i < log->limit_count; i++) assert(log->limits[i - 1].offset < log->limits[i].offset);
  assert(log->limit_count == 0 || log->limits[log->limit_count - 1].offset < log->end);
  assert(log->slot.length <= log->end);
  (void)log;
}

void sb_priv_visit_log_init(visit_log *log, int file, bool read_only) {
  *log = (visit_log){.file = file, .read_only = read_only};
  log->sequential = (visit_reader){.file = file, .chunk = CHUNK_SEQUENTIAL};
  log->random = (visit_reader){.file = file, .chunk = CHUNK_RANDOM, .ahead = CHUNK_SEQUENTIAL};
  log->pages = (visit_reader){.file = file, .chunk = CHUNK_RANDOM};
}

void sb_priv_visit_log_free(visit_log *log) {
  sb_priv_visit_table_free(&log->table);
  free(log->base.pages);
  free(log->limits);
  visit_node *trash = NULL;
  if (log->scratch.decoded) sb_priv_visit_user_empty(&log->scratch, &trash);
  sb_priv_visit_trash_empty(&trash, SIZE_MAX);
  sb_priv_visit_bytes_free(&log->sequential.bytes);
  sb_priv_visit_bytes_free(&log->random.bytes);
  sb_priv_visit_bytes_free(&log->pages.bytes);
  sb_priv_visit_log_init(log, -1, true);
}

/* ---- replay ---- */

sb_status sb_priv_visit_log_limit_reserve(visit_log *log) {
  if (log->limit_count < log->limit_capacity) return SB_OK;
  const size_t capacity = log->limit_count + 1 + log->limit_count / 2;
  visit_limit *limits = realloc(log->limits, capacity * sizeof *limits);
  if (limits == NULL) return SB_NO_MEMORY;
  log->limits = limits;
  log->limit_capacity = capacity;
  return SB_OK;
}

/* Users are trimmed when they are looked at next, or all at once when the log was read (sb_priv_visit_log_settle), because a file may have
 * as many limits as users. */
static sb_status take_limit(visit_log *log, const visit_record *record) {
  const sb_status status = sb_priv_visit_log_limit_reserve(log);
  if (status != SB_OK) return status;
  visit_limit limit = {.offset = record->offset, .max_visits = record->user, .least = record->user};
  const size_t place = log->limit_count + 1; /* in the tree, which counts from 1 */
  for (size_t step = 1; (place & step) == 0; step *= 2)
    if (log->limits[place - step - 1].least < limit.least) limit.least = log->limits[place - step - 1].least;
  log->limits[log->limit_count++] = limit;
  log->table.max_visits = record->user;
  return SB_OK;
}

/* How many limits lie before `offset`. */
static size_t limits_before(const visit_log *log, uint64_t offset) {
  size_t low = 0, high = log->limit_count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (log->limits[middle].offset < offset)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* The smallest of the limits `first` to `last - 1`, of which there is one at least. */
static uint32_t limits_least(const visit_log *log, size_t first, size_t last) {
  uint32_t least = UINT32_MAX;
  while (last > first) {
    const visit_limit *limit = &log->limits[last - 1];
    const size_t step = last & (0 - last);
    const bool whole = last - first >= step;
    const uint32_t value = whole ? limit->least : limit->max_visits;
    if (value < least) least = value;
    last -= whole ? step : 1;
  }
  return least;
}

static void settle(visit_log *log, visit_user *user) {
  const size_t first = limits_before(log, user->limited > log->limited ? user->limited : log->limited);
  if (first < log->limit_count) sb_priv_visit_user_trim(&log->table, user, limits_least(log, first, log->limit_count));
  user->limited = log->end;
}

void sb_priv_visit_log_settle(visit_log *log) {
  visit_order_cursor cursor;
  const bool due = limits_before(log, log->limited) < log->limit_count;
  sb_priv_visit_order_seek(&cursor, &log->table, 0);
  for (visit_user *user; due && (user = sb_priv_visit_order_next(&cursor)) != NULL; cursor.place++)
    if (user->decoded) settle(log, user);
  log->limited = log->end;
}

bool sb_priv_visit_log_owns(const visit_log *log, const visit_record *record) {
  static const uint8_t unknown[VISIT_HEADER_SIZE];
  const uint8_t *copy = sb_priv_visit_payload_header(record);
  if (memcmp(log->header, unknown, sizeof unknown) == 0) return true;
  if (copy == NULL) return (visit_load64(log->header + 16) & VISIT_FEATURE_COPIES) == 0;
  /* Salvage reads the file by its copies alone where the header is lost, so each must do for that. */
  return memcmp(copy + 32, log->header + 32, 16) == 0 && sb_priv_visit_header_usable(copy, true, NULL) == SB_OK;
}

/* One of the places that a check of the whole file must come to. */
static void note_place(visit_log *log, uint64_t offset) {
  for (size_t i = 0; i < 2; i++)
    if (log->to_see[i] == offset) log->to_see[i] = 0;
}

/* Notes a record for the time when its user is asked for, or applies it to a user who was. */
static sb_status take_change(visit_log *log, const visit_record *record, sb_error *error) {
  visit_user *user = sb_priv_visit_table_find(&log->table, record->user);
  if (user == NULL) {
    user = log->table.places_only ? sb_priv_visit_table_make(&log->table, record->user)
                                  : sb_priv_visit_table_note(&log->table, record->user);
    if (user == NULL) return SB_NO_MEMORY;
  }
  if (user->decoded) {
    settle(log, user);
    const sb_status status = sb_priv_visit_log_prepare(log, record, error);
    if (status == SB_OK) (void)sb_priv_visit_log_apply(log, record);
    return status;
  }
  if (record->type == VISIT_CLEAR) { /* what was before does not matter any more, and leaves room for this record */
    log->table.live_bytes -= user->pending_live;
    user->pending_live = 0;
    user->count = 0;
    user->cleared = true;
  }
  const sb_status status = sb_priv_visit_user_pend(&log->table, user, record->offset);
  if (status != SB_OK || record->type != VISIT_VISITS) return status;
  user->pending_live += record->length;
  log->table.live_bytes += record->length;
  return SB_OK;
}

sb_status sb_priv_visit_log_take(visit_log *log, const visit_record *record, sb_error *error) {
  sb_status status = SB_OK;
  if (record->type == VISIT_LIMIT && !sb_priv_visit_log_owns(log, record))
    return sb_priv_visit_corrupt(error, record->offset,
                                 "its copy of the header is that of another file, or of no version that can be read");
  if (record->type == VISIT_LIMIT)
    status = take_limit(log, record);
  else if (record->type < VISIT_LIMIT)
    status = take_change(log, record, error);
  else if (log->indexed != NULL)
    status = log->indexed(log, record, error);
  if (status == SB_NO_MEMORY) return sb_priv_error(error, status, NULL, "no memory to read the file");
  if (status != SB_OK) return status;
  log->sequence = record->sequence;
  log->end = record->offset + visit_padded(record->length);
  if (log->table.places_only) note_place(log, log->end);
  if (record->durable > log->durable) log->durable = record->durable;
  log->replayed++;
  return SB_OK;
}

sb_status sb_priv_visit_log_used(visit_log *log, uint64_t from, uint64_t size, uint64_t *end) {
  visit_reader *reader = &log->sequential;
  *end = from;
  for (uint64_t offset = from; offset < size;) {
    const size_t piece = size - offset < reader->chunk ? (size_t)(size - offset) : reader->chunk;
    const uint8_t *data;
    const sb_status status = sb_priv_visit_reader_fetch(reader, offset, piece, size, &data);
    if (status == SB_CORRUPT) return SB_OK; /* shorter by now */
    if (status != SB_OK) return status;
    if (data[0] != 0 || memcmp(data, data + 1, piece - 1) != 0)
      for (size_t i = piece; i > 0; i--)
        if (data[i - 1] != 0) {
          *end = offset + i;
          break;
        }
    offset += piece;
  }
  return SB_OK;
}

/* Whether the system has run on since the slot was written, so that it holds what was written since, synced or not. */
static bool same_start(const visit_log *log) { return log->slot.boot != 0 && log->slot.boot == sb_priv_boot(); }

/* Looks for the valid record after the bad place p that proves that p has been good: one that says so, or, where `any`, any later one.
 * `*proof` is its offset, 0 if there is none. */
static sb_status look_behind(visit_log *log, uint64_t p, uint64_t size, bool any, uint64_t *proof) {
  visit_scan scan;
  visit_record record;
  sb_priv_visit_scan_begin(&scan, log->file, p, size, false);
  scan.sequence = log->sequence;
  *proof = 0;
  sb_status status = SB_OK;
  while (*proof == 0 && (status = sb_priv_visit_scan_next(&scan, log->seed, &record)) == SB_OK) {
    if (!any && record.durable <= p) continue;
    status = sb_priv_visit_reader_get(&log->sequential, log->seed, record.offset, size, &record);
    if (status == SB_OK) *proof = record.offset;
    if (status == SB_IO || status == SB_NO_MEMORY) break;
  }
  if (*proof != 0 || status == SB_NOT_FOUND || status == SB_CORRUPT) status = SB_OK;
  if (status == SB_IO && scan.heads.problem + scan.bytes.problem != 0)
    log->sequential.problem = scan.heads.problem != 0 ? scan.heads.problem : scan.bytes.problem;
  sb_priv_visit_scan_end(&scan);
  return status;
}

/* The record at log->end. */
static sb_status next_record(visit_log *log, uint64_t size, visit_record *record) {
  for (unsigned rereads = 0;; rereads++) {
    sb_status status = sb_priv_visit_reader_get(&log->sequential, log->seed, log->end, size, record);
    if (status == SB_OK && record->sequence != log->sequence + 1) status = SB_CORRUPT;
    if (status != SB_CORRUPT || !log->read_only || rereads == REREADS) return status;
    log->sequential.bytes.size = 0;
  }
}

sb_status sb_priv_visit_log_goes_on(visit_log *log, bool *goes_on, sb_error *error) {
  uint8_t head[VISIT_HEAD];
  size_t got = sizeof head;
  const int problem = log->last > 0 ? sb_priv_file_read(log->file, head, sizeof head, log->last, &got) : 0;
  if (problem != 0) return sb_priv_visit_io(error, problem, "reading the file");
  /* Its checksum stands for the rest of it, and its sequence for how many came before. */
  *goes_on = log->last == 0 || (got == sizeof head && memcmp(head, log->last_head, sizeof head) == 0);
  return SB_OK;
}

/* A writer that came after a reader's open has written a slot of its own, and what follows was written under that start of the system. One that says
 * more than of the `size` bytes that are read says nothing of where in them a record may be missing. */
static sb_status slot_reread(visit_log *log, uint64_t size) {
  uint8_t page[VISIT_LOG_START];
  size_t got;
  log->sequential.problem = sb_priv_file_read(log->file, page, sizeof page, 0, &got);
  if (log->sequential.problem != 0) return SB_IO;
  for (unsigned i = 0; i < 2 && got == sizeof page && memcmp(page, log->header, sizeof log->header) == 0; i++) {
    visit_slot slot;
    if (!sb_priv_visit_header_slot(page, i, &slot) || slot.generation <= log->slot.generation) continue;
    if (slot.length > size) slot.length = log->slot.length;
    log->slot = slot;
  }
  return SB_OK;
}

/* Of the bad record at log->end: how far what lies there reaches, and what proves that it is damage. */
static sb_status judge(visit_log *log, uint64_t size, uint64_t *tail, uint64_t *proof) {
  uint64_t end;
  *tail = *proof = 0;
  sb_status status = log->read_only ? slot_reread(log, size) : SB_OK;
  if (status == SB_OK) status = sb_priv_visit_log_used(log, log->end, size, &end);
  if (status != SB_OK || end == log->end) return status;
  *tail = end - log->end;
  return look_behind(log, log->end, size, same_start(log), proof);
}

/* Beside a writer what was proof may have been taken back together with what lay before it. */
static sb_status proof_stays(visit_log *log, uint64_t size, uint64_t *proof) {
  visit_record record;
  if (!log->read_only || *proof == 0) return SB_OK;
  log->sequential.bytes.size = 0;
  const sb_status status = sb_priv_visit_reader_get(&log->sequential, log->seed, *proof, size, &record);
  if (status == SB_IO || status == SB_NO_MEMORY) return status;
  if (status != SB_OK) *proof = 0;
  return SB_OK;
}

/* Reads on from log->end. At the first place that holds no valid record, decides whether that is the end, an unsynced tail, or damage.
 * Beside a writer, what follows that place is read later than the place itself, and records may have come to both meanwhile. So the place
 * is read once more at last: what proves that it was good was written after it, and would be no proof of damage else. */
static sb_status follow(visit_log *log, uint64_t size, uint64_t *tail, sb_error *error) {
  visit_reader *reader = &log->sequential;
  reader->bytes.size = 0; /* the file may have changed since */
  *tail = 0;
  uint64_t proof = 0;
  for (bool last = false;;) {
    visit_record record;
    sb_status status = next_record(log, size, &record);
    if (status == SB_OK && log->sequence == 0 && record.type != VISIT_LIMIT)
      return sb_priv_visit_corrupt(error, record.offset, "the first record does not say how many visits a user may have");
    if (status == SB_OK) {
      status = sb_priv_visit_log_take(log, &record, error);
      if (status != SB_OK) return status;
      visit_log_remember(log, &record);
      last = false;
      continue;
    }
    if (status == SB_IO || status == SB_NO_MEMORY) return explain(reader, status, log->end, error);
    if (log->end < log->slot.length)
      return sb_priv_visit_corrupt(error, log->end, "a bad record before the place that was known to be on disk");
    if (last) break;
    status = judge(log, size, tail, &proof);
    if (status != SB_OK) return explain(reader, status, log->end, error);
    if (*tail == 0 && log->end >= log->slot.length) break;
    last = true; /* also where a newer slot says that there is more than was read */
    if (log->read_only) reader->bytes.size = 0;
  }
  if (log->sequence == 0) return sb_priv_visit_corrupt(error, log->end, "it has no valid record");
  const sb_status status = proof_stays(log, size, &proof);
  if (status != SB_OK) return explain(reader, status, log->end, error);
  if (proof != 0) return sb_priv_visit_corrupt(error, log->end, "a bad record, and what lies behind it shows that it was good");
  return SB_OK;
}

sb_status sb_priv_visit_log_follow(visit_log *log, uint64_t size, uint64_t *tail, sb_error *error) {
  const sb_status status = follow(log, size, tail, error);
  sb_priv_visit_log_settle(log);
  if (status == SB_OK) sb_priv_visit_log_check(log);
  return status;
}

/* Begins anew, with nothing read. */
static void forget_index(visit_log *log) {
  sb_priv_visit_table_free(&log->table);
  free(log->base.pages);
  log->base = (visit_base){0};
  log->page_index = 0;
  log->table.max_visits = 0;
  log->end = VISIT_LOG_START;
  log->sequence = log->last = log->replayed = 0;
}

sb_status sb_priv_visit_log_open(visit_log *log, uint64_t *tail, sb_error *error) {
  uint8_t page[VISIT_LOG_START];
  sb_priv_file_facts facts;
  size_t got = 0;
  int problem = sb_priv_file_read(log->file, page, sizeof page, 0, &got);
  if (problem == 0) problem = sb_priv_file_look(log->file, &facts);
  if (problem != 0) return sb_priv_visit_io(error, problem, "reading the file");
  if (got < sizeof page) return sb_priv_visit_corrupt(error, got, "the file ends inside its header");
  sb_status status = sb_priv_visit_header_decode(page, log->read_only, log->uuid, &log->slot, error);
  if (status != SB_OK) return status;
  memcpy(log->header, page, sizeof log->header);
  log->seed = sb_priv_visit_seed(log->uuid);
  log->end = VISIT_LOG_START;
  log->durable = log->slot.length;
  if (facts.size > VISIT_FILE_MAX) return sb_priv_visit_corrupt(error, VISIT_FILE_MAX, "the file is larger than a file can be");
  if (facts.size < log->slot.length) return sb_priv_visit_corrupt(error, facts.size, "the file is shorter than it was when it was on disk");
  if (sb_priv_visit_slot_index_holds(&log->slot)) {
    status = sb_priv_visit_index_load(log, log->slot.index, facts.size, error);
    if (status == SB_OK) status = sb_priv_visit_index_between(log, error);
    /* An index that was never synced may not be whole; then the log itself is read. */
    if (status == SB_CORRUPT && log->slot.index < log->slot.length) return status;
    if (status != SB_OK && status != SB_CORRUPT) return status;
    if (status == SB_CORRUPT) forget_index(log);
  }
  return sb_priv_visit_log_follow(log, facts.size, tail, error);
}

/* ---- users ---- */

/* Inserts the `count` visits that are encoded at `items`, the first of which is the visit `first` of a record. */
static sb_status insert_items(visit_table *table, visit_user *user, uint64_t offset, const uint8_t *items, uint32_t first, uint32_t count) {
  const sb_status status = sb_priv_visit_user_reserve(table, user, count, items);
  VISIT_STEPS(count);
  for (uint32_t i = first; i < first + count && status == SB_OK; i++) {
    visit_item item;
    items = sb_priv_visit_item_next(items, &item);
    sb_priv_visit_user_insert(table, user, &item, visit_run(offset, i, 1));
  }
  return status;
}

/* A run that the base has of a user, and which place it has among all of them. */
typedef struct base_run {
  uint64_t run;
  uint32_t place;
} base_run;

static int by_place_in_file(const void *a, const void *b) {
  const uint64_t left = ((const base_run *)a)->run, right = ((const base_run *)b)->run;
  return left < right ? -1 : left > right;
}

/* Reads what a run refers to. The record before is read again only where it is another one, and its visits are found from the last one on, as
 * runs come in the order of the file mostly. */
typedef struct run_reader {
  visit_log *log;
  uint32_t user;
  visit_record record; /* count 0: none yet */
  uint32_t item;       /* the visit that lies at `at` */
  const uint8_t *at;
} run_reader;

static sb_status run_read(run_reader *reader, uint64_t run, const uint8_t **items) {
  visit_log *log = reader->log;
  const uint64_t offset = visit_run_offset(run);
  const uint32_t first = visit_run_first(run);
  if (reader->record.count == 0 || reader->record.offset != offset) {
    reader->record.count = 0;
    if (offset < VISIT_LOG_START) return SB_CORRUPT;
    visit_record record;
    const sb_status status = sb_priv_visit_reader_get(&log->random, log->seed, offset, log->base.offset, &record);
    if (status != SB_OK) return status == SB_NOT_FOUND ? SB_CORRUPT : status;
    if (record.type != VISIT_VISITS || record.user != reader->user || record.sequence >= log->base.sequence)
      return SB_CORRUPT; /* or of another state of the file */
    reader->record = record;
    reader->at = NULL;
  }
  if (first + visit_run_count(run) > reader->record.count) return SB_CORRUPT;
  if (reader->at == NULL || first < reader->item) {
    reader->item = 0;
    reader->at = reader->record.payload;
  }
  VISIT_STEPS(first - reader->item);
  for (visit_item item; reader->item < first; reader->item++) reader->at = sb_priv_visit_item_next(reader->at, &item);
  *items = reader->at;
  return SB_OK;
}

#define RUNS_IN_ORDER 64u

/* A user with many runs: they are read in the order of the file, each record once, and then put in their own order. */
static sb_status decode_many_runs(visit_log *log, visit_table *table, visit_user *user, const uint8_t *runs, uint32_t count,
                                  uint64_t *offset) {
  base_run *list = malloc(count * sizeof *list);
  visit_bytes *parts = calloc(count, sizeof *parts); /* what each run shows */
  sb_status status = list == NULL || parts == NULL ? SB_NO_MEMORY : SB_OK;
  for (uint32_t i = 0; i < count && status == SB_OK; i++) list[i] = (base_run){.run = visit_load64(runs + 8 * (size_t)i), .place = i};
  if (status == SB_OK) qsort(list, count, sizeof *list, by_place_in_file);
  run_reader reader = {.log = log, .user = user->user};
  for (uint32_t i = 0; i < count && status == SB_OK; i++) {
    const uint8_t *items, *end;
    visit_item item;
    *offset = visit_run_offset(list[i].run);
    /* A visit that is named twice would take memory twice. */
    const bool overlaps = i > 0 && visit_run_offset(list[i - 1].run) == *offset &&
                          visit_run_first(list[i - 1].run) + visit_run_count(list[i - 1].run) > visit_run_first(list[i].run);
    status = overlaps ? SB_CORRUPT : run_read(&reader, list[i].run, &items);
    if (status != SB_OK) break;
    end = items;
    for (uint32_t j = 0; j < visit_run_count(list[i].run); j++) end = sb_priv_visit_item_next(end, &item);
    visit_bytes *part = &parts[list[i].place];
    part->data = malloc((size_t)(end - items));
    status = part->data == NULL ? SB_NO_MEMORY : SB_OK;
    if (status == SB_OK) memcpy(part->data, items, (size_t)(end - items));
  }
  for (uint32_t i = 0; i < count && status == SB_OK; i++) {
    const uint64_t run = visit_load64(runs + 8 * (size_t)i);
    *offset = visit_run_offset(run);
    status = insert_items(table, user, *offset, parts[i].data, visit_run_first(run), visit_run_count(run));
    sb_priv_visit_bytes_free(&parts[i]);
  }
  for (uint32_t i = 0; i < count && parts != NULL; i++) sb_priv_visit_bytes_free(&parts[i]);
  free(parts);
  free(list);
  return status;
}

/* What is wrong with a user, in words that say what can be done about it. */
static sb_status explain_user(const visit_log *log, sb_status status, uint32_t user, uint64_t offset, sb_error *error) {
  if (status == SB_NOT_FOUND) status = SB_CORRUPT;
  if (status != SB_CORRUPT) return explain(&log->random, status, offset, error);
  (void)sb_priv_error(
      error, SB_CORRUPT, NULL,
      "the file is damaged at offset %llu, where visits of user %u lie; salvage copies what is valid, and clear_user gives up "
      "this user's visits",
      (unsigned long long)offset, (unsigned)user);
  if (error != NULL) error->stream_offset = (int64_t)offset;
  return SB_CORRUPT;
}

static sb_status decode_base(visit_log *log, visit_table *table, visit_user *user, sb_error *error) {
  const uint8_t *runs;
  uint32_t count;
  uint64_t offset = 0;
  sb_status status = sb_priv_visit_index_find(log, user->user, &runs, &count, error);
  if (status != SB_OK) return status;
  run_reader reader = {.log = log, .user = user->user};
  for (uint32_t i = 0; i < count && count <= RUNS_IN_ORDER && status == SB_OK; i++) {
    const uint64_t run = visit_load64(runs + 8 * (size_t)i);
    const uint8_t *items;
    offset = visit_run_offset(run);
    status = run_read(&reader, run, &items);
    if (status == SB_OK) status = insert_items(table, user, offset, items, visit_run_first(run), visit_run_count(run));
  }
  if (count > RUNS_IN_ORDER) status = decode_many_runs(log, table, user, runs, count, &offset);
  return status == SB_OK ? SB_OK : explain_user(log, status, user->user, offset, error);
}

static sb_status apply_to(visit_table *table, visit_user *user, const visit_record *record) {
  if (record->type == VISIT_VISITS) return insert_items(table, user, record->offset, record->payload, 0, record->count);
  if (record->type == VISIT_CLEAR) sb_priv_visit_user_clear(table, user);
  for (uint32_t i = 0; record->type == VISIT_DELETE && i < record->count; i++)
    (void)sb_priv_visit_user_delete(table, user, visit_load32(record->payload + 4 * (size_t)i));
  return SB_OK;
}

/* Empties the scratch, and gives it to `user`. */
static visit_user *scratch_for(visit_log *log, uint32_t user) {
  visit_user *scratch = &log->scratch;
  if (!scratch->decoded || scratch->many || scratch->reserved_count > 0) {
    if (scratch->decoded) sb_priv_visit_user_empty(scratch, &log->table.trash);
    *scratch = (visit_user){.decoded = true};
  }
  scratch->user = user;
  scratch->count = scratch->first = scratch->start = scratch->end = 0;
  return scratch;
}

/* Puts into the scratch what base and its records say of a user. `base_live` is what the table counted for the base's part so far. */
static sb_status decode(visit_log *log, uint32_t id, const visit_user *noted, uint64_t *base_live, sb_error *error) {
  visit_user *user = scratch_for(log, id);
  visit_table table = {.max_visits = log->base.pages != NULL ? log->base.max_visits : UINT32_MAX};
  sb_status status = decode_base(log, &table, user, error);
  *base_live = table.live_bytes;
  if (status == SB_CORRUPT && noted != NULL && noted->cleared) { /* what is damaged was given up */
    *base_live = 0;
    user = scratch_for(log, id);
    table.live_bytes = 0;
    status = SB_OK;
  }
  size_t limit = 0;
  for (uint32_t i = 0; noted != NULL && i < noted->count && status == SB_OK; i++) {
    const uint64_t offset = noted->pending[i];
    const size_t next = limits_before(log, offset);
    if (next > limit) {
      sb_priv_visit_user_trim(&table, user, limits_least(log, limit, next));
      table.max_visits = log->limits[next - 1].max_visits;
      limit = next;
    }
    visit_record record;
    status = sb_priv_visit_reader_get(&log->random, log->seed, offset, log->end, &record);
    if (status == SB_OK && record.user != id) status = SB_CORRUPT;
    if (status == SB_OK) status = apply_to(&table, user, &record);
    if (status != SB_OK) status = explain_user(log, status, id, offset, error);
  }
  if (status == SB_OK && limit < log->limit_count) sb_priv_visit_user_trim(&table, user, limits_least(log, limit, log->limit_count));
  sb_priv_visit_trash_empty(&table.trash, SIZE_MAX);
  return status;
}

bool sb_priv_visit_log_limited(const visit_log *log) {
  return log->base.pages != NULL && limits_least(log, 0, log->limit_count) < log->base.max_visits;
}

/* What the table has of a user. Records that a newer base has made void are forgotten. */
static visit_user *noted_of(visit_log *log, uint32_t user) {
  visit_user *noted = sb_priv_visit_table_find(&log->table, user);
  if (noted == NULL || noted->decoded || !visit_in_base(log, noted)) return noted;
  log->table.memory -= noted->capacity * sizeof *noted->pending;
  free(noted->pending);
  noted->pending = NULL;
  noted->count = noted->capacity = 0;
  noted->pending_live = 0;
  noted->cleared = false;
  return noted;
}

sb_status sb_priv_visit_log_peek(visit_log *log, uint32_t user, const visit_user **peeked, sb_error *error) {
  uint64_t base_live;
  *peeked = &log->scratch;
  return decode(log, user, noted_of(log, user), &base_live, error);
}

sb_status sb_priv_visit_log_weigh(visit_log *log, uint32_t user, const visit_user **peeked, sb_error *error) {
  visit_user *noted = noted_of(log, user);
  uint64_t base_live;
  sb_status status = decode(log, user, noted, &base_live, error);
  if (status != SB_OK) return status;
  *peeked = &log->scratch;
  const uint64_t more = sb_priv_visit_user_live(&log->scratch) - base_live;
  if (more == (noted != NULL ? noted->pending_live : 0)) return SB_OK;
  if (noted == NULL) {
    noted = sb_priv_visit_table_note(&log->table, user);
    if (noted == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for another user");
  }
  log->table.live_bytes += more - noted->pending_live;
  noted->pending_live = more;
  return SB_OK;
}

sb_status sb_priv_visit_log_count(visit_log *log, uint32_t user, uint32_t *count, sb_error *error) {
  const visit_user *noted = noted_of(log, user);
  *count = 0;
  if (noted != NULL && noted->decoded) {
    *count = noted->count;
    return SB_OK;
  }
  if (noted != NULL && noted->count > 0) {
    const visit_user *peeked;
    const sb_status status = sb_priv_visit_log_peek(log, user, &peeked, error);
    if (status == SB_OK) *count = peeked->count;
    if (status != SB_CORRUPT) return status; /* of a user who cannot be read, there is what the base says */
  }
  const uint8_t *runs;
  uint32_t run_count;
  const sb_status status = sb_priv_visit_index_find(log, user, &runs, &run_count, error);
  if (status != SB_OK) return status;
  uint64_t visits = 0;
  for (uint32_t i = 0; i < run_count; i++) visits += visit_run_count(visit_load64(runs + 8 * (size_t)i));
  const uint32_t least = limits_least(log, 0, log->limit_count), most = least < log->base.max_visits ? least : log->base.max_visits;
  *count = visits < most ? (uint32_t)visits : most;
  return SB_OK;
}

sb_status sb_priv_visit_log_damaged_runs(visit_log *log, uint32_t user, visit_bytes *runs, sb_error *error) {
  const visit_user *noted = noted_of(log, user);
  const uint8_t *stored = NULL;
  uint32_t count = 0;
  sb_status status = noted != NULL && noted->cleared ? SB_OK : sb_priv_visit_index_find(log, user, &stored, &count, error);
  const uint32_t pending = noted != NULL ? noted->count : 0;
  runs->size = 0;
  if (status == SB_OK && sb_priv_visit_bytes_reserve(runs, ((size_t)count + pending + 1) * 8) != SB_OK)
    status = sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for the places of user %u", (unsigned)user);
  if (status != SB_OK) return status;
  uint64_t *list = (uint64_t *)(void *)runs->data; /* malloc aligned it */
  for (uint32_t i = 0; i < count; i++) list[i] = visit_load64(stored + 8 * (size_t)i);
  for (uint32_t i = 0; i < pending; i++) {
    visit_record record;
    const sb_status got = sb_priv_visit_reader_get(&log->random, log->seed, noted->pending[i], log->end, &record);
    if (got == SB_IO || got == SB_NO_MEMORY) return explain(&log->random, got, noted->pending[i], error);
    if (got == SB_OK && record.type != VISIT_VISITS) continue;
    list[count++] = visit_run(noted->pending[i], 0, got == SB_OK ? record.count : 1);
  }
  runs->size = (size_t)count * 8;
  return SB_OK;
}

void sb_priv_visit_log_evict(visit_log *log, uint64_t bytes, size_t users) {
  visit_order_cursor cursor;
  visit_table *table = &log->table;
  if (sb_priv_visit_table_memory(table) <= bytes) return;
  sb_priv_visit_order_seek(&cursor, table, log->evict_from);
  for (; users > 0; users--) {
    visit_user *user = sb_priv_visit_order_next(&cursor);
    log->evict_from = user == NULL ? 0 : (uint64_t)user->user + 1;
    if (user == NULL) return;
    cursor.place++;
    const bool in_file = visit_in_base(log, user) && user->reserved_count + user->removals == 0;
    const bool recent = __atomic_exchange_n(&user->recent, false, __ATOMIC_RELAXED);
    if (!in_file || recent) continue;
    sb_priv_visit_table_drop(table, user);
    if (sb_priv_visit_table_memory(table) <= bytes) return;
    sb_priv_visit_order_seek(&cursor, table, log->evict_from);
  }
}

/* Whether no visit of a record has the id of another one. */
static bool ids_differ(const visit_record *record) {
  uint32_t ids[2 * VISIT_ITEMS_MAX]; /* by open addressing; half of it stays free */
  uint8_t used[2 * VISIT_ITEMS_MAX / 8];
  uint32_t mask = 15;
  while (mask + 1 < 2 * (uint32_t)record->count) mask = 2 * mask + 1;
  memset(used, 0, (mask + 1) / 8);
  const uint8_t *data = record->payload;
  for (uint32_t i = 0; i < record->count; i++) {
    visit_item item;
    data = sb_priv_visit_item_next(data, &item);
    uint32_t at = (item.visit_id * 0x9e3779b1u >> 16) & mask;
    for (; (used[at / 8] >> at % 8 & 1) != 0; at = (at + 1) & mask)
      if (ids[at] == item.visit_id) return false;
    used[at / 8] |= (uint8_t)(1u << at % 8);
    ids[at] = item.visit_id;
  }
  return true;
}

/* Puts a whole record of visits, oldest first, into a snapshot, newest first. A record that is in another order, or has an id twice, is not
 * shown: an index names none as a whole, but a file may say anything. */
static sb_status show_record(const visit_record *record, sb_visits *visits, bool *shown) {
  int64_t before = INT64_MIN;
  const uint8_t *end = record->payload;
  visit_item item;
  for (uint32_t i = 0; i < record->count; i++) {
    end = sb_priv_visit_item_next(end, &item);
    if (item.time_ns < before) return SB_OK;
    before = item.time_ns;
  }
  if (!ids_differ(record)) return SB_OK;
  *shown = true;
  sb_visit *rows;
  uint8_t *data;
  const size_t bytes = (size_t)(end - record->payload);
  const sb_status status = sb_priv_visits_take(visits, record->count, bytes, &rows, &data);
  if (status != SB_OK) return status;
  memcpy(data, record->payload, bytes);
  const uint8_t *at = data;
  for (uint32_t i = record->count; i > 0; i--) {
    at = sb_priv_visit_item_next(at, &item);
    rows[i - 1] = (sb_visit){.user = record->user,
                             .visit_id = item.visit_id,
                             .time_ns = item.time_ns,
                             .url = item.bytes,
                             .url_size = item.url_size,
                             .text = item.bytes + item.url_size,
                             .text_size = item.text_size};
  }
  return SB_OK;
}

/* Most users of a compacted file have one record and nothing since: that can be shown as it lies there. */
static sb_status show_plain(visit_log *log, uint32_t user, uint32_t max_visits, sb_visits *visits, bool *shown, sb_error *error) {
  const uint8_t *runs;
  uint32_t count;
  visit_record record;
  *shown = false;
  sb_status status = sb_priv_visit_index_find(log, user, &runs, &count, error);
  if (status != SB_OK || count != 1) return status;
  const uint64_t run = visit_load64(runs), offset = visit_run_offset(run);
  if (visit_run_first(run) != 0 || visit_run_count(run) > log->base.max_visits || visit_run_count(run) > max_visits) return SB_OK;
  if (offset < VISIT_LOG_START) return SB_OK;
  status = sb_priv_visit_reader_get(&log->random, log->seed, offset, log->base.offset, &record);
  if (status != SB_OK) return explain(&log->random, status, offset, error);
  if (record.type != VISIT_VISITS || record.user != user || record.count != visit_run_count(run) || record.sequence >= log->base.sequence)
    return SB_OK;
  return show_record(&record, visits, shown);
}

sb_status sb_priv_visit_log_show(visit_log *log, uint32_t user, uint32_t max_visits, sb_visits *visits, sb_error *error) {
  bool shown = false;
  const visit_user *peeked = NULL;
  sb_status status = SB_OK;
  const visit_user *noted = noted_of(log, user);
  if (log->limit_count == 0 && (noted == NULL || (!noted->decoded && noted->count == 0)))
    status = show_plain(log, user, max_visits, visits, &shown, error);
  if (status != SB_OK || shown) return status;
  status = sb_priv_visit_log_peek(log, user, &peeked, error);
  return status == SB_OK ? sb_priv_visit_user_show(peeked, max_visits, visits) : status;
}

static sb_status base_has(visit_log *log, uint32_t user, bool *has, sb_error *error) {
  const uint8_t *runs;
  uint32_t count;
  const sb_status status = sb_priv_visit_index_find(log, user, &runs, &count, error);
  *has = status == SB_OK && count > 0;
  return status;
}

sb_status sb_priv_visit_log_load(visit_log *log, uint32_t user, bool make, visit_user **found, sb_error *error) {
  visit_user *noted = noted_of(log, user);
  if (noted != NULL && noted->decoded) {
    *found = noted;
    noted->recent = true;
    return SB_OK;
  }
  if (noted == NULL) {
    bool has;
    const sb_status status = base_has(log, user, &has, error);
    if (status != SB_OK) return status;
    *found = NULL;
    if (!has && !make) return SB_OK;
    noted = has ? sb_priv_visit_table_note(&log->table, user) : sb_priv_visit_table_make(&log->table, user);
    if (noted == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for another user");
    *found = noted;
    if (!has) return SB_OK;
    noted->put = log->base_put;
  }
  visit_user whole = *noted;
  uint64_t base_live;
  sb_status status = decode(log, user, noted, &base_live, error);
  if (status != SB_OK) return status;
  status = sb_priv_visit_user_take(&whole, &log->scratch);
  if (status != SB_OK) return sb_priv_error(error, status, NULL, "no memory for the visits of user %u", (unsigned)user);
  log->table.live_bytes += sb_priv_visit_user_live(&whole) - base_live - noted->pending_live;
  log->table.memory += sb_priv_visit_user_memory(&whole) - sb_priv_visit_user_memory(noted);
  log->table.unread--;
  free(noted->pending);
  *noted = whole;
  noted->recent = true;
  if (log->loaded != NULL) log->loaded(log->loaded_context, noted);
  *found = noted;
  return SB_OK;
}

/* ---- changes ---- */

sb_status sb_priv_visit_log_prepare(visit_log *log, const visit_record *record, sb_error *error) {
  visit_user *user = NULL;
  sb_status status = sb_priv_visit_log_load(log, record->user, true, &user, error);
  if (status != SB_OK || record->type != VISIT_VISITS) return status;
  status = sb_priv_visit_user_reserve(&log->table, user, record->count, record->payload);
  if (status != SB_OK)
    return sb_priv_error(error, status, NULL,
                         status == SB_NO_MEMORY ? "no memory for the visits of user %u" : "user %u would have more than 4 GiB of visits",
                         (unsigned)record->user);
  return SB_OK;
}

/* Who cannot be read can be cleared all the same. */
static void clear_unread(visit_log *log, visit_user *user) {
  log->table.unread--;
  log->table.live_bytes -= user->pending_live;
  log->table.memory -= user->capacity * sizeof *user->pending;
  sb_priv_visit_user_empty(user, &log->table.trash);
}

bool sb_priv_visit_log_apply(visit_log *log, const visit_record *record) {
  visit_user *user = sb_priv_visit_table_find(&log->table, record->user);
  assert(user != NULL && (user->decoded || record->type == VISIT_CLEAR));
  bool found = false;
  const uint8_t *data = record->payload;
  user->put = 0;
  for (uint32_t i = 0; i < record->count; i++) {
    if (record->type == VISIT_VISITS) {
      visit_item item;
      data = sb_priv_visit_item_next(data, &item);
      sb_priv_visit_user_insert(&log->table, user, &item, visit_run(record->offset, i, 1));
    } else if (record->type == VISIT_DELETE) {
      if (sb_priv_visit_user_delete(&log->table, user, visit_load32(data + 4 * (size_t)i))) found = true;
    }
  }
  if (record->type == VISIT_CLEAR && user->decoded)
    sb_priv_visit_user_clear(&log->table, user);
  else if (record->type == VISIT_CLEAR)
    clear_unread(log, user);
  return found;
}
