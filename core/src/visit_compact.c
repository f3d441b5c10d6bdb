//go:build !samebytes_shared

/* Copying what is live into a new file: for compaction, for the upgrade of an old file, for salvage. Users are copied in ascending order,
 * so that one number says which of them are in the copy already: their later changes have to go to both files. After the visits comes the
 * index, in the same way.
 *
 * What cannot be read is copied as it is, as far as it can be told where it ends: its user stays as damaged as before, and whoever looks for
 * what is left of it finds that. */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error_private.h"
#include "visit_private.h"

#define STEP_USERS_MAX 1024u /* looked at in one step; */
#define STEP_READS_MAX 64u   /* a user who is not in memory costs reads */
#define FLUSH_AT (256u << 10)
#define DAMAGED_MAX (1u << 20) /* bytes that are copied of a damaged record */

static uint64_t *runs_of(const visit_copy *copy) { return (uint64_t *)(void *)copy->runs.data; }
static visit_copied *copied_of(const visit_copy *copy) { return (visit_copied *)(void *)copy->users.data; }
static size_t copied_count(const visit_copy *copy) { return copy->users.size / sizeof(visit_copied); }

static sb_status no_memory(sb_error *error) { return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory to write a new file"); }

static sb_status flush(visit_writer *writer, sb_error *error) {
  const int problem = sb_priv_visit_writer_flush(writer);
  return problem == 0 ? SB_OK : sb_priv_visit_io(error, problem, "writing a new file");
}

/* Of what fails for want of memory or of room in a file. */
static sb_status explain(sb_status status, sb_error *error) {
  if (status == SB_NO_MEMORY) return no_memory(error);
  if (status == SB_IO) return sb_priv_visit_io(error, EIO, "writing a new file");
  return sb_priv_error(error, status, NULL, "the new file would be too large");
}

sb_status sb_priv_visit_copy_begin(visit_copy *copy, visit_log *log, int file, sb_error *error) {
  *copy = (visit_copy){.writer = {.file = file, .end = VISIT_LOG_START, .durable = VISIT_LOG_START}};
  const int problem = sb_priv_random(copy->uuid, sizeof copy->uuid);
  if (problem != 0) return sb_priv_visit_io(error, problem, "getting random bytes");
  copy->writer.seed = sb_priv_visit_seed(copy->uuid);
  sb_priv_visit_header_fields(copy->header, copy->uuid);
  copy->writer.header = copy->header;
  if (sb_priv_visit_writer_limit(&copy->writer, log->table.max_visits) == SB_OK) return SB_OK;
  sb_priv_visit_copy_free(copy);
  return no_memory(error);
}

static sb_status add_run(visit_copy *copy, uint64_t run) {
  const sb_status status = sb_priv_visit_bytes_reserve(&copy->runs, 8);
  if (status != SB_OK) return status;
  runs_of(copy)[copy->runs.size / 8] = run;
  copy->runs.size += 8;
  return SB_OK;
}

/* Writes a decoded user's visits as few records, and notes where they are. */
static sb_status copy_user(visit_copy *copy, const visit_user *user) {
  visit_writer *writer = &copy->writer;
  visit_cursor cursor, ahead;
  bool more = sb_priv_visit_cursor_oldest(&cursor, user);
  while (more) {
    uint32_t count = 0;
    size_t bytes = 0, start;
    ahead = cursor;
    for (bool next = true; next && count < VISIT_ITEMS_MAX && (count == 0 || bytes < VISIT_RECORD_GOAL); count++) {
      bytes += ahead.entry->size + VISIT_ITEM_HEAD - 1;
      next = sb_priv_visit_cursor_later(&ahead);
    }
    const uint64_t offset = writer->end;
    sb_status status = sb_priv_visit_writer_begin(writer, VISIT_VISITS, user->user, bytes, &start);
    if (status == SB_OK) status = add_run(copy, visit_run(offset, 0, count));
    if (status != SB_OK) return status;
    for (uint32_t i = 0; i < count; i++) {
      const visit_entry *entry = cursor.entry;
      const uint32_t url_size = visit_url_size(cursor.data, entry->size);
      sb_priv_visit_writer_item(writer, entry->time_ns, entry->visit_id, cursor.data, url_size, cursor.data + url_size + 1,
                                entry->size - 1 - url_size);
      more = sb_priv_visit_cursor_later(&cursor);
    }
    sb_priv_visit_writer_end(writer, start, count);
  }
  return SB_OK;
}

/* The visits of a run, if they are whole. `*live` grows by what compaction keeps of them. */
static sb_status copy_run(visit_copy *copy, const visit_record *record, uint64_t run, uint64_t *live) {
  const uint8_t *begin = record->payload, *end;
  visit_item item;
  size_t start;
  for (uint32_t i = 0; i < visit_run_first(run); i++) begin = sb_priv_visit_item_next(begin, &item);
  end = begin;
  for (uint32_t i = 0; i < visit_run_count(run); i++) end = sb_priv_visit_item_next(end, &item);
  const size_t size = (size_t)(end - begin);
  visit_writer *writer = &copy->writer;
  const uint64_t offset = writer->end;
  sb_status status = sb_priv_visit_writer_begin(writer, VISIT_VISITS, record->user, size, &start);
  if (status == SB_OK) status = add_run(copy, visit_run(offset, 0, visit_run_count(run)));
  if (status != SB_OK) return status;
  memcpy(writer->bytes.data + writer->bytes.size, begin, size);
  writer->bytes.size += size;
  sb_priv_visit_writer_end(writer, start, visit_run_count(run));
  *live += size;
  return SB_OK;
}

/* The bytes of a bad record. They are no record of the copy either, as a checksum of another file is none of this one. */
static sb_status copy_bytes(visit_copy *copy, const visit_log *log, uint64_t run, uint64_t *live) {
  visit_writer *writer = &copy->writer;
  const uint64_t offset = visit_run_offset(run);
  uint64_t size = VISIT_HEAD;
  uint8_t length[4];
  size_t got = 0;
  if (sb_priv_file_read(log->file, length, sizeof length, offset, &got) == 0 && got == sizeof length &&
      visit_load32(length) >= VISIT_HEAD && visit_load32(length) <= DAMAGED_MAX)
    size = visit_padded(visit_load32(length));
  if (writer->end + size > VISIT_FILE_MAX) return SB_TOO_LARGE;
  sb_status status = sb_priv_visit_bytes_reserve(&writer->bytes, size);
  if (status == SB_OK) status = add_run(copy, visit_run(writer->end, visit_run_first(run), visit_run_count(run)));
  if (status != SB_OK) return status;
  uint8_t *target = writer->bytes.data + writer->bytes.size;
  memset(target, 0xff, size); /* where nothing can be read at all: no record looks so */
  if (sb_priv_file_read(log->file, target, size, offset, &got) != 0 || visit_load32(target) == 0) memset(target, 0xff, VISIT_HEAD);
  writer->bytes.size += size;
  writer->end += size;
  *live += size;
  return SB_OK;
}

/* A user who cannot be read stays one who cannot be read. `damage` says why. */
static sb_status copy_damaged(visit_copy *copy, visit_log *log, uint32_t user, const sb_error *damage, uint64_t *live, sb_error *error) {
  visit_bytes runs = {0};
  bool damaged = false;
  sb_status status = sb_priv_visit_log_damaged_runs(log, user, &runs, error);
  *live = VISIT_HEAD;
  for (size_t i = 0; i < runs.size / 8 && status == SB_OK; i++) {
    const uint64_t run = ((const uint64_t *)(const void *)runs.data)[i], offset = visit_run_offset(run);
    visit_record record;
    status = offset < VISIT_LOG_START ? SB_CORRUPT : sb_priv_visit_reader_get(&log->random, log->seed, offset, log->end, &record);
    if (status == SB_IO) status = sb_priv_visit_io(error, log->random.problem, "reading the file");
    if (status == SB_IO || status == SB_NO_MEMORY) break;
    const bool whole = status == SB_OK && record.type == VISIT_VISITS && record.user == user &&
                       visit_run_first(run) + visit_run_count(run) <= record.count;
    damaged = damaged || !whole;
    status = whole ? copy_run(copy, &record, run, live) : copy_bytes(copy, log, run, live);
    if (status != SB_OK) (void)explain(status, error);
  }
  sb_priv_visit_bytes_free(&runs);
  if (status == SB_NO_MEMORY) return no_memory(error);
  if (status != SB_OK) return status;
  if (!damaged) { /* the index itself, or something that is over by now */
    if (error != NULL) *error = *damage;
    return SB_CORRUPT;
  }
  if (copy->damaged_users++ == 0) copy->damage = *damage;
  return SB_OK;
}

/* Gives a user in memory its places in the copy, where it is the user `at` of the list. */
static void place(const visit_copy *copy, const visit_user *user, size_t at) {
  visit_cursor cursor;
  bool more = sb_priv_visit_cursor_oldest(&cursor, user);
  for (uint64_t i = at == 0 ? 0 : copied_of(copy)[at - 1].run_end; i < copied_of(copy)[at].run_end; i++) {
    const uint64_t run = runs_of(copy)[i];
    for (uint32_t item = 0; item < visit_run_count(run) && more; item++) {
      cursor.entry->run = visit_run(visit_run_offset(run), visit_run_first(run) + item, 1);
      more = sb_priv_visit_cursor_later(&cursor);
    }
  }
  assert(!more);
}

static sb_status list_user(visit_copy *copy, uint32_t user, uint64_t live) {
  const sb_status status = sb_priv_visit_bytes_reserve(&copy->users, sizeof(visit_copied));
  if (status != SB_OK) return status;
  copied_of(copy)[copied_count(copy)] = (visit_copied){.user = user, .run_end = copy->runs.size / 8, .live = live};
  copy->users.size += sizeof(visit_copied);
  return SB_OK;
}

/* Copies one user, and counts those who have to be read. */
static sb_status copy_one(visit_copy *copy, visit_log *log, uint32_t user, unsigned *reads, sb_error *error) {
  const visit_user *found = sb_priv_visit_table_find(&log->table, user), *shown = found;
  const bool in_memory = found != NULL && found->decoded;
  sb_status status = SB_OK;
  sb_error damage = {0};
  uint64_t live = 0;
  bool damaged = false;
  if (!in_memory) {
    ++*reads;
    status = sb_priv_visit_log_peek(log, user, &shown, &damage);
    damaged = status == SB_CORRUPT;
    if (status != SB_OK && !damaged) {
      if (error != NULL) *error = damage;
      return status;
    }
  }
  if (damaged) {
    status = copy_damaged(copy, log, user, &damage, &live, error);
    if (status != SB_OK) return status;
  } else {
    if (shown->count == 0) return SB_OK;
    live = sb_priv_visit_user_live(shown);
    status = copy_user(copy, shown);
  }
  if (status == SB_OK) status = list_user(copy, user, live);
  if (status != SB_OK) return explain(status, error);
  if (in_memory) place(copy, found, copied_count(copy) - 1);
  return copy->writer.bytes.size < FLUSH_AT ? SB_OK : flush(&copy->writer, error);
}

sb_status sb_priv_visit_copy_step(visit_copy *copy, visit_log *log, uint64_t bytes, sb_error *error) {
  const uint64_t before = copy->writer.end;
  unsigned reads = 0;
  visit_walk walk;
  sb_priv_visit_walk_begin(&walk, log, copy->from);
  for (unsigned users = 0; users < STEP_USERS_MAX && reads < STEP_READS_MAX && copy->writer.end - before < bytes; users++) {
    uint64_t user;
    sb_status status = sb_priv_visit_walk_next(&walk, &user, error);
    if (status != SB_OK) return status;
    if (user >> 32 == 0) status = copy_one(copy, log, (uint32_t)user, &reads, error);
    if (status != SB_OK) return status;
    copy->from = user >> 32 == 0 ? user + 1 : UINT64_C(1) << 32;
    if (visit_copy_whole(copy)) break;
  }
  return flush(&copy->writer, error);
}

/* The place of `user` in the list; as many as there are when it is not there. */
static size_t listed(const visit_copy *copy, uint32_t user) {
  const visit_copied *users = copied_of(copy);
  const size_t count = copied_count(copy);
  size_t low = 0, high = count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (users[middle].user < user)
      low = middle + 1;
    else
      high = middle;
  }
  return low < count && users[low].user == user ? low : count;
}

void sb_priv_visit_copy_loaded(visit_copy *copy, visit_user *user) {
  const size_t at = listed(copy, user->user);
  if (at < copied_count(copy)) place(copy, user, at);
}

/* Puts the next user into the index of the copy: as it is in memory, or else as it was copied. */
static sb_status put_next(visit_copy *copy, visit_order_cursor *in_table, bool *end) {
  visit_pass *pass = &copy->pass;
  const visit_copied *users = copied_of(copy);
  visit_user *found = sb_priv_visit_order_next(in_table);
  const bool any = copy->listed < copied_count(copy);
  sb_status status = SB_OK;
  *end = !any && found == NULL;
  if (*end) return SB_OK;
  const uint32_t user = any && (found == NULL || users[copy->listed].user < found->user) ? users[copy->listed].user : found->user;
  const bool in_table_too = found != NULL && found->user == user, in_list = any && users[copy->listed].user == user;
  if (in_table_too) in_table->place++;
  if (in_table_too && found->decoded) {
    size_t count;
    pass->live += sb_priv_visit_user_live(found);
    status = sb_priv_visit_user_runs(found, &pass->runs, &count);
    if (status == SB_OK) status = sb_priv_visit_index_put(&pass->index, user, (const uint64_t *)(const void *)pass->runs.data, count);
  } else if (in_list) {
    const uint64_t first = copy->listed == 0 ? 0 : users[copy->listed - 1].run_end;
    pass->live += users[copy->listed].live;
    status = sb_priv_visit_index_put(&pass->index, user, runs_of(copy) + first, users[copy->listed].run_end - first);
  }
  if (in_table_too) found->put = pass->put;
  if (in_list) copy->listed++;
  pass->from = (uint64_t)user + 1;
  return status;
}

sb_status sb_priv_visit_copy_index_step(visit_copy *copy, visit_log *log, uint64_t bytes, sb_error *error) {
  assert(visit_copy_whole(copy) && !copy->pass.done);
  visit_pass *pass = &copy->pass;
  if (!pass->active) sb_priv_visit_pass_begin(pass, log, &copy->writer);
  const uint64_t before = copy->writer.end;
  sb_status status = SB_OK;
  bool end = false;
  visit_order_cursor in_table;
  sb_priv_visit_order_seek(&in_table, &log->table, pass->from);
  for (unsigned users = 0; users < STEP_USERS_MAX && sb_priv_visit_index_bytes(&pass->index) - before < bytes && status == SB_OK && !end;
       users++)
    status = put_next(copy, &in_table, &end);
  if (status == SB_OK) status = sb_priv_visit_index_page(&pass->index);
  if (status == SB_OK && end) {
    pass->from = UINT64_C(1) << 32;
    status = sb_priv_visit_index_end(&pass->index, log->table.max_visits, pass->live, &pass->base);
    pass->done = status == SB_OK;
  }
  return status == SB_OK ? flush(&copy->writer, error) : explain(status, error);
}

void sb_priv_visit_copy_free(visit_copy *copy) {
  sb_priv_visit_pass_end(&copy->pass);
  sb_priv_visit_bytes_free(&copy->writer.bytes);
  sb_priv_visit_bytes_free(&copy->runs);
  sb_priv_visit_bytes_free(&copy->users);
  *copy = (visit_copy){0};
}

int sb_priv_visit_header_write(int file, const uint8_t uuid[16], const visit_slot *slot) {
  uint8_t page[VISIT_LOG_START];
  sb_priv_visit_header_encode(page, uuid, slot);
  /* Of this page any sectors may reach the disk, and of the log behind it any, so the one that bears the mark so far goes on to bear it. */
  if (slot->replaces != 0 && slot->generation % 2 != 0) sb_priv_visit_mark_encode(page, uuid, slot->replaces);
  /* First the slot, so that a file that is being built has one that says so at every moment, wherever the writing is cut. */
  const uint64_t at = VISIT_SECTOR * (1 + slot->generation % 2);
  const int problem = sb_priv_file_write(file, page + at, VISIT_SLOT_SIZE, at);
  return problem == 0 ? sb_priv_file_write(file, page, sizeof page, 0) : problem;
}

sb_status sb_priv_visit_write_closed(visit_log *log, int file, uint32_t replaces, sb_error *error) {
  visit_copy copy;
  sb_status status = sb_priv_visit_copy_begin(&copy, log, file, error);
  if (status != SB_OK) return status;
  do {
    status = sb_priv_visit_copy_step(&copy, log, UINT64_MAX, error);
  } while (status == SB_OK && !visit_copy_whole(&copy));
  const bool indexed = copy.writer.end - VISIT_LOG_START > sb_priv_visit_tuning.index_at_close;
  while (status == SB_OK && indexed && !copy.pass.done) status = sb_priv_visit_copy_index_step(&copy, log, UINT64_MAX, error);
  if (status == SB_OK && copy.damaged_users > 0) { /* this copy is to be whole */
    if (error != NULL) *error = copy.damage;
    status = SB_CORRUPT;
  }
  if (status == SB_OK) {
    const visit_slot slot = {
        .generation = 1, .state = VISIT_SLOT_CLOSED, .length = copy.writer.end, .index = copy.pass.base.offset, .replaces = replaces};
    int problem = sb_priv_visit_header_write(file, copy.uuid, &slot);
    if (problem == 0) problem = sb_priv_file_sync(file);
    if (problem != 0) status = sb_priv_visit_io(error, problem, "writing a new file");
  }
  sb_priv_visit_copy_free(&copy);
  return status;
}
