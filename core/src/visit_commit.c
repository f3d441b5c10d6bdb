//go:build !samebytes_shared

/* Changes, from any number of threads to one file. Threads queue; the first one leads: it takes everything that waits, writes it as one
 * batch, syncs once if the mode says so, makes the changes in memory, and wakes the others. So memory shows only what is as durable as
 * the mode promises, and concurrent durable changes share a sync.
 *
 * With two threads that add in turns, each would lead a batch of one and pay for waking the other besides. So a leader that had followers
 * last time waits for it, a fraction of a sync at most.
 *
 * Invariant between batches: writer.end == log.end, writer.sequence == log.sequence, writer.bytes is empty, nobody has room reserved. */

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "error_private.h"
#include "steps.h"
#include "visit_private.h"

#define BATCH_MAX (4u << 20)  /* bytes, unless one change is larger */
#define COMPANY_NS_MAX 100000 /* longest wait for others */
#define ZEROS_AT_ONCE (64u << 10)

visit_tuning sb_priv_visit_tuning = {.index_interval = 16u << 20,
                                     .index_at_close = 64u << 10,
                                     .compact_min = 1u << 20,
                                     .preallocation = 1u << 20,
                                     .compact_step = 64u << 10,
                                     .help_min = 8u << 20};

/* ---- syncs ---- */

/* Makes everything written so far durable, up to `target`, which the caller knows to be written. */
static sb_status sync_to(visit_file *file, uint64_t target, sb_error *error) {
  const int64_t begin = sb_priv_monotonic_ns();
  const int problem = sb_priv_file_sync(file->log.file);
  if (problem != 0) {
    /* The system may have dropped the pages and would report success next time. */
    atomic_store(&file->poisoned, true);
    return sb_priv_visit_io(error, problem, "syncing the file; close it, and open it again to see what is left");
  }
  atomic_store(&file->sync_ns, sb_priv_monotonic_ns() - begin);
  atomic_fetch_add_explicit(&file->syncs, 1, memory_order_relaxed);
  sb_priv_visit_lock_write(&file->state_lock);
  if (file->log.durable < target) file->log.durable = target;
  sb_priv_visit_lock_write_end(&file->state_lock);
  return SB_OK;
}

static sb_status poisoned(sb_error *error) {
  return sb_priv_error(error, SB_IO, NULL, "an earlier sync failed, so nothing more is written; close the file and open it again");
}

sb_status sb_priv_visit_sync(visit_file *file, sb_error *error) {
  if (atomic_load(&file->poisoned)) return poisoned(error);
  (void)pthread_mutex_lock(&file->sync_mutex);
  sb_priv_visit_lock_read(&file->state_lock);
  const uint64_t end = file->log.end;
  const bool due = file->log.durable < end;
  sb_priv_visit_lock_read_end(&file->state_lock);
  sb_status status = SB_OK;
  if (atomic_load(&file->poisoned))
    status = poisoned(error);
  else if (due)
    status = sync_to(file, end, error);
  if (status == SB_OK) status = sb_priv_visit_still_there(file, error); /* what is on disk must be found there */
  (void)pthread_mutex_unlock(&file->sync_mutex);
  return status;
}

/* ---- writing ---- */

int sb_priv_visit_slot_write(visit_file *file, uint32_t state, uint64_t length) {
  const visit_slot slot = {.generation = file->log.slot.generation + 1, .state = state, .length = length, .index = file->log.base.offset};
  uint8_t data[VISIT_SLOT_SIZE];
  sb_priv_visit_slot_encode(data, file->log.uuid, &slot);
  const int problem = sb_priv_file_write(file->log.file, data, sizeof data, VISIT_SECTOR * (1 + slot.generation % 2));
  if (problem != 0) return problem;
  sb_priv_visit_lock_write(&file->state_lock); /* others look at it */
  file->log.slot = slot;
  sb_priv_visit_lock_write_end(&file->state_lock);
  return 0;
}

/* Says that the file is being changed, and what of it is on disk, which the thread that syncs may be changing just now. */
static int slot_write_open(visit_file *file) {
  sb_priv_visit_lock_read(&file->state_lock);
  const uint64_t durable = file->log.durable;
  sb_priv_visit_lock_read_end(&file->state_lock);
  return sb_priv_visit_slot_write(file, VISIT_SLOT_OPEN, durable);
}

/* Writes zeros after what was written: a sync of a file that does not grow is cheaper. What was written has its room by then, and what zeros
 * could be written keep theirs for what comes, so failing is no harm. */
static void preallocate(visit_file *file, uint64_t end) {
  static const uint8_t zeros[ZEROS_AT_ONCE];
  if (file->durability == SB_DURABILITY_NONE || end <= file->allocated) return;
  const uint64_t target = end + sb_priv_visit_tuning.preallocation;
  for (uint64_t offset = end; offset < target;) {
    const size_t piece = target - offset < sizeof zeros ? (size_t)(target - offset) : sizeof zeros;
    if (sb_priv_file_write(file->log.file, zeros, piece, offset) != 0) break;
    file->allocated = offset += piece;
  }
}

/* What a write that failed left behind the log must not come back, not after a power failure either: some of it may be whole records. */
static int cut_off(visit_file *file) {
  file->allocated = file->log.end;
  const int problem = sb_priv_file_resize(file->log.file, file->log.end);
  return problem == 0 ? sb_priv_file_sync(file->log.file) : problem;
}

/* The records of a failed batch may be in the file in part or whole; they must not be found there later. */
void sb_priv_visit_take_back(visit_file *file) {
  file->writer.bytes.size = 0;
  file->writer.end = file->log.end;
  file->writer.sequence = file->log.sequence;
  file->allocated = file->log.end;
  if (sb_priv_file_resize(file->log.file, file->log.end) != 0) atomic_store(&file->poisoned, true);
}

/* Writes the records that have gathered, behind the log. */
static sb_status write_records(visit_file *file, sb_error *error) {
  visit_writer *writer = &file->writer;
  int problem = 0;
  sb_status status = sb_priv_visit_may_write(file, error);
  if (status != SB_OK) return status;
  /* No sync between slot and records: behind a slot that says `closed` they are found all the same, because its length is a lower bound. A
   * slot that says that the file is being built is out of date, too. */
  if (file->log.slot.replaces != 0) (void)sb_priv_visit_remove_unfinished(file, NULL); /* the slot says what may be removed */
  if (file->log.slot.state != VISIT_SLOT_OPEN || file->log.slot.replaces != 0) problem = slot_write_open(file);
  if (problem == 0) {
    problem = sb_priv_file_write(file->log.file, writer->bytes.data, writer->bytes.size, writer->end - writer->bytes.size);
    if (problem == 0)
      preallocate(file, writer->end);
    else if (cut_off(file) != 0)
      atomic_store(&file->poisoned, true);
  }
  return problem == 0 ? SB_OK : sb_priv_visit_io(error, problem, "writing the file");
}

sb_status sb_priv_visit_append(visit_file *file, sb_error *error) {
  sb_status status = write_records(file, error);
  if (status != SB_OK || file->durability != SB_DURABILITY_ALWAYS) return status;
  (void)pthread_mutex_lock(&file->sync_mutex);
  status = sync_to(file, file->writer.end, error);
  (void)pthread_mutex_unlock(&file->sync_mutex);
  return status;
}

/* ---- from changes to records ---- */

/* Whether a visit need not be written, because its user has it, or because it is too old. What is there now may be evicted by a visit
 * before it in the batch, or deleted by a change before it; then it comes again. Deletes also make room for what is too old now. What is
 * written and was there in the end is skipped when the record is applied. */
static bool is_needless(const visit_file *file, const visit_user *user, uint32_t before, uint32_t visit_id, int64_t time_ns) {
  const visit_table *table = &file->log.table;
  if (file->batch_deletes) return false;
  const bool nothing_evicted = before == 0 || (uint64_t)user->count + before < table->max_visits;
  return (nothing_evicted && sb_priv_visit_user_has(user, visit_id)) || sb_priv_visit_user_too_old(table, user, time_ns);
}

static sb_status encode_some(visit_file *file, const sb_visit *visits, size_t count, size_t bytes, int64_t now, sb_error *error) {
  visit_writer *writer = &file->writer;
  visit_table *table = &file->log.table;
  visit_user *user;
  sb_status status = sb_priv_visit_log_load(&file->log, visits->user, true, &user, error);
  if (status != SB_OK) return status;
  size_t start;
  status = sb_priv_visit_writer_begin(writer, VISIT_VISITS, user->user, bytes, &start);
  if (status == SB_TOO_LARGE) return sb_priv_error(error, status, NULL, "the file has reached 8 TiB; compact it");
  if (status != SB_OK) return sb_priv_error(error, status, NULL, "no memory for the visits to add");
  int64_t newest = sb_priv_visit_user_newest(user); /* with what this batch has brought so far */
  uint32_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    const sb_visit *visit = &visits[i];
    int64_t time_ns = visit->time_ns;
    if (time_ns == SB_VISIT_NOW) time_ns = now > newest ? now : newest;
    if (is_needless(file, user, user->reserved_count + kept, visit->visit_id, time_ns)) continue;
    sb_priv_visit_writer_item(writer, time_ns, visit->visit_id, visit->url, (uint32_t)visit->url_size, visit->text,
                              (uint32_t)visit->text_size);
    /* They were checked where they lie, and somebody may have changed them since. A NUL would end the url early when it is read again. */
    const size_t size = visit->url_size + visit->text_size;
    if (size > 0 && memchr(writer->bytes.data + writer->bytes.size - size, 0, size) != NULL) {
      writer->bytes.size = start;
      return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "a NUL came into url or text while they were added; nothing may change them");
    }
    if (time_ns > newest) newest = time_ns;
    kept++;
  }
  if (kept == 0) {
    writer->bytes.size = start;
    return SB_OK;
  }
  status = sb_priv_visit_user_reserve(table, user, kept, writer->bytes.data + start + VISIT_HEAD);
  if (status != SB_OK) {
    writer->bytes.size = start;
    return sb_priv_error(error, status, NULL,
                         status == SB_NO_MEMORY ? "no memory for the visits of user %u" : "user %u would have more than 4 GiB of visits",
                         (unsigned)user->user);
  }
  sb_priv_visit_writer_end(writer, start, kept);
  return SB_OK;
}

/* Neighbours of one user become one record. */
static sb_status encode_add(visit_file *file, const visit_change *change) {
  const int64_t now = sb_priv_clock_ns();
  for (size_t first = 0; first < change->count;) {
    size_t count = 0, bytes = 0;
    while (first + count < change->count && change->visits[first + count].user == change->visits[first].user && count < VISIT_ITEMS_MAX &&
           (count == 0 || bytes < VISIT_RECORD_GOAL)) {
      const sb_visit *visit = &change->visits[first + count++];
      bytes += VISIT_ITEM_HEAD + visit->url_size + visit->text_size;
    }
    const sb_status status = encode_some(file, change->visits + first, count, bytes, now, change->error);
    if (status != SB_OK) return status;
    first += count;
  }
  return SB_OK;
}

static sb_status encode_delete(visit_file *file, const visit_change *change) {
  visit_user *user;
  sb_status status = sb_priv_visit_log_load(&file->log, change->user, false, &user, change->error);
  if (status != SB_OK || user == NULL) return status;
  visit_writer *writer = &file->writer;
  for (size_t i = 0; i < change->count;) {
    size_t start;
    uint32_t kept = 0;
    const size_t rest = change->count - i, piece = rest < VISIT_ITEMS_MAX ? rest : VISIT_ITEMS_MAX;
    status = sb_priv_visit_writer_begin(writer, VISIT_DELETE, change->user, piece * 4, &start);
    if (status != SB_OK) return sb_priv_error(change->error, status, NULL, "no memory or no room for what to delete");
    for (const size_t end = i + piece; i < end; i++) {
      /* A visit that an add of this batch brings is not there yet. */
      const uint32_t visit_id = SB_PRIV_READ_ONCE(change->visit_ids[i]);
      if (user->reserved_count == 0 && !sb_priv_visit_user_has(user, visit_id)) continue;
      visit_store32(writer->bytes.data + writer->bytes.size, visit_id);
      writer->bytes.size += 4;
      kept++;
    }
    if (kept > 0)
      sb_priv_visit_writer_end(writer, start, kept);
    else
      writer->bytes.size = start;
    user->removals += kept > 0;
  }
  return SB_OK;
}

/* Also clears who cannot be read, because what the file has of it is damaged. */
static sb_status encode_clear(visit_file *file, const visit_change *change) {
  visit_user *user;
  size_t start;
  sb_status status = sb_priv_visit_log_load(&file->log, change->user, false, &user, change->error);
  if (status == SB_OK && (user == NULL || user->count + user->reserved_count == 0)) return SB_OK;
  if (status == SB_CORRUPT) {
    user = sb_priv_visit_table_note(&file->log.table, change->user);
    if (user == NULL) return sb_priv_error(change->error, SB_NO_MEMORY, NULL, "no memory to clear a user");
  } else if (status != SB_OK) {
    return status;
  }
  status = sb_priv_visit_writer_begin(&file->writer, VISIT_CLEAR, change->user, 0, &start);
  if (status != SB_OK) return sb_priv_error(change->error, status, NULL, "no memory or no room for what to delete");
  sb_priv_visit_writer_end(&file->writer, start, 0);
  user->removals++;
  return SB_OK;
}

/* Gives up the room for what the records from `begin` on would have added, and lets those go from whom they would have removed something. */
static void unreserve(visit_file *file, size_t begin) {
  visit_record record;
  for (size_t at = begin; at < file->writer.bytes.size; at += visit_padded(record.length)) {
    (void)sb_priv_visit_head_decode(file->writer.bytes.data + at, VISIT_FILE_MAX, &record);
    visit_user *user = sb_priv_visit_table_find(&file->log.table, record.user);
    assert(user != NULL);
    if (record.type == VISIT_VISITS)
      sb_priv_visit_user_unreserve(&file->log.table, user, record.count);
    else
      user->removals--;
  }
}

static sb_status encode(visit_file *file, visit_change *change) {
  visit_writer *writer = &file->writer;
  const uint64_t end = writer->end, sequence = writer->sequence;
  change->begin = change->end = writer->bytes.size;
  sb_status status = SB_OK;
  if (change->kind == VISIT_CHANGE_ADD) status = encode_add(file, change);
  if (change->kind == VISIT_CHANGE_DELETE) status = encode_delete(file, change);
  if (change->kind == VISIT_CHANGE_CLEAR) status = encode_clear(file, change);
  if (status != SB_OK) {
    unreserve(file, change->begin);
    writer->bytes.size = change->begin;
    writer->end = end;
    writer->sequence = sequence;
  }
  change->end = writer->bytes.size;
  if (change->kind != VISIT_CHANGE_ADD && change->end > change->begin) file->batch_deletes = true;
  return status;
}

/* ---- from records to memory ---- */

/* Writes a record into the copy, too; then its place there counts. Where that fails, the copy is given up. */
static void mirror(visit_file *file, visit_record *record) {
  visit_writer *writer = &file->copy.writer;
  const size_t size = record->length - VISIT_HEAD;
  const uint64_t offset = writer->end;
  size_t start;
  sb_error error;
  if (sb_priv_visit_writer_begin(writer, record->type, record->user, size, &start) != SB_OK) {
    (void)sb_priv_error(&error, SB_NO_MEMORY, NULL, "no memory or no room to compact beside changes");
    sb_priv_visit_failed(file, SB_VISIT_WORK_COMPACTION, &error);
    sb_priv_visit_compact_abandon(file);
    return;
  }
  if (size > 0) memcpy(writer->bytes.data + writer->bytes.size, record->payload, size);
  writer->bytes.size += size;
  sb_priv_visit_writer_end(writer, start, record->count);
  record->offset = offset;
  const int problem = writer->bytes.size < BATCH_MAX ? 0 : sb_priv_visit_writer_flush(writer);
  if (problem == 0) return;
  (void)sb_priv_visit_io(&error, problem, "writing the compacted file beside changes");
  sb_priv_visit_failed(file, SB_VISIT_WORK_COMPACTION, &error);
  sb_priv_visit_compact_abandon(file);
}

static void apply(visit_file *file, visit_change *change, uint64_t base) {
  for (size_t at = change->begin; at < change->end;) {
    const uint8_t *data = file->writer.bytes.data + at;
    visit_record record;
    const bool valid = sb_priv_visit_head_decode(data, base + at, &record);
    assert(valid);
    (void)valid;
    record.payload = data + VISIT_HEAD;
    at += visit_padded(record.length);
    if (file->copy_file >= 0 && visit_copy_mirrors(&file->copy, record.user)) mirror(file, &record);
    if (record.type != VISIT_VISITS) sb_priv_visit_table_find(&file->log.table, record.user)->removals--;
    const uint64_t live = file->log.table.live_bytes;
    if (sb_priv_visit_log_apply(&file->log, &record)) change->found = true;
    visit_pass *pass = file->copy_file >= 0 ? &file->copy.pass : &file->pass;
    if (record.user < pass->from) pass->live_after += file->log.table.live_bytes - live;
  }
}

static void commit(visit_file *file, visit_change *batch) {
  visit_writer *writer = &file->writer;
  sb_priv_visit_lock_write(&file->state_lock);
  writer->durable = file->log.durable;
  file->batch_deletes = false;
  for (visit_change *change = batch; change != NULL; change = change->next) {
    change->status = atomic_load(&file->poisoned) ? poisoned(change->error) : encode(file, change);
  }
  sb_priv_visit_lock_write_end(&file->state_lock);

  sb_status status = SB_OK;
  sb_error error = {0};
  const size_t size = writer->bytes.size;
  if (size > 0) status = sb_priv_visit_append(file, &error);

  sb_priv_visit_lock_write(&file->state_lock);
  for (visit_change *change = batch; change != NULL; change = change->next) {
    if (change->status == SB_OK && status == SB_OK) apply(file, change, writer->end - size);
    if (change->status != SB_OK || status == SB_OK || change->begin == change->end) continue;
    change->status = status;
    if (change->error != NULL) *change->error = error;
  }
  if (status == SB_OK) {
    file->log.end = writer->end;
    file->log.sequence = writer->sequence;
    writer->bytes.size = 0;
    if (file->durability == SB_DURABILITY_ALWAYS && size > 0) file->log.durable = writer->end;
  } else {
    unreserve(file, 0);
    sb_priv_visit_take_back(file);
  }
  if (writer->bytes.capacity > BATCH_MAX) sb_priv_visit_bytes_free(&writer->bytes);
  sb_priv_visit_lock_write_end(&file->state_lock);
}

/* ---- the queue ---- */

/* Waits for others who were there last time. Yielding is right: they are about to run, and sleeping would take longer than they do. */
static void wait_for_company(visit_file *file) {
  if (file->durability != SB_DURABILITY_ALWAYS || file->expected < 2) return;
  int64_t patience = atomic_load(&file->sync_ns) / 4;
  if (patience > COMPANY_NS_MAX) patience = COMPANY_NS_MAX;
  const int64_t until = sb_priv_monotonic_ns() + patience;
  while (atomic_load(&file->queued) < file->expected && sb_priv_monotonic_ns() < until) (void)sched_yield();
}

static size_t size_of(const visit_change *change) {
  size_t size = 0;
  for (size_t i = 0; change->kind == VISIT_CHANGE_ADD && i < change->count; i++)
    size += change->visits[i].url_size + change->visits[i].text_size + VISIT_HEAD + VISIT_ITEM_HEAD;
  return size;
}

/* Takes from the front of the queue what makes one batch. */
static visit_change *take_batch(visit_file *file, size_t *count) {
  (void)pthread_mutex_lock(&file->queue_mutex);
  visit_change *batch = file->queue, **end = &file->queue;
  size_t taken = 0;
  for (size_t size = 0; *end != NULL && (taken == 0 || size + size_of(*end) <= BATCH_MAX); end = &(*end)->next, taken++)
    size += size_of(*end);
  file->queue = *end;
  if (file->queue == NULL) file->queue_end = &file->queue;
  *end = NULL;
  atomic_fetch_sub(&file->queued, taken);
  (void)pthread_mutex_unlock(&file->queue_mutex);
  *count = taken;
  return batch;
}

/* Hands the lead on, first of all, and then wakes those who are done. */
static void wake(visit_file *file, visit_change *batch, size_t count, const visit_change *own) {
  (void)pthread_mutex_lock(&file->queue_mutex);
  file->expected = count + atomic_load(&file->queued);
  visit_change *next = file->queue;
  if (next != NULL) {
    next->leads = true;
    (void)sem_post(&next->woken);
  } else {
    file->leading = false;
  }
  (void)pthread_mutex_unlock(&file->queue_mutex);
  while (batch != NULL) {
    visit_change *done = batch;
    batch = batch->next; /* before it is woken: it lies on its thread's stack */
    if (done != own) (void)sem_post(&done->woken);
  }
}

sb_status sb_priv_visit_change(visit_file *file, visit_change *change) {
  change->next = NULL;
  change->leads = false;
  (void)sem_init(&change->woken, 0, 0);
  (void)pthread_mutex_lock(&file->queue_mutex);
  *file->queue_end = change;
  file->queue_end = &change->next;
  atomic_fetch_add(&file->queued, 1);
  const bool follows = file->leading;
  file->leading = true;
  (void)pthread_mutex_unlock(&file->queue_mutex);
  if (follows) {
    while (sem_wait(&change->woken) != 0) {
    } /* a signal */
  }
  if (!follows || change->leads) {
    size_t count;
    wait_for_company(file);
    visit_change *batch = take_batch(file, &count);
    const uint64_t before = file->log.end; /* which only who leads changes */
    commit(file, batch);
    const uint64_t written = file->log.end - before;
    for (visit_change *other = batch; other != NULL; other = other->next)
      if (other->kind == VISIT_CHANGE_COMPACT && other->status == SB_OK)
        other->status = sb_priv_visit_compact_step(file, sb_priv_visit_tuning.compact_step, other->error);
    sb_priv_visit_maintain(file, written);
    wake(file, batch, count, change);
  }
  (void)sem_destroy(&change->woken);
  return change->status;
}

/* ---- maintenance ---- */

#define EVICT_USERS 64u             /* looked at for each batch */
#define TRASH_NODES 1024u           /* freed for each batch */
#define INDEX_FOR_MEMORY (1u << 20) /* bytes of log after which an index is worth it, if only for the memory */

void sb_priv_visit_make_room(visit_file *file) {
  sb_priv_visit_lock_write(&file->state_lock);
  sb_priv_visit_log_evict(&file->log, file->memory_max, EVICT_USERS);
  sb_priv_visit_trash_empty(&file->log.table.trash, TRASH_NODES);
  sb_priv_visit_lock_write_end(&file->state_lock);
}

void sb_priv_visit_index_schedule(visit_file *file) {
  const visit_base *base = &file->log.base;
  const uint64_t interval = base->size > sb_priv_visit_tuning.index_interval ? base->size : sb_priv_visit_tuning.index_interval;
  file->index_at = (base->pages != NULL ? base->end : VISIT_LOG_START) + interval;
}

/* Writes the next piece of the index. What was written of one that fails stays as it is: nothing refers to it. */
static sb_status index_step(visit_file *file, uint64_t bytes, sb_error *error) {
  visit_log *log = &file->log;
  visit_pass *pass = &file->pass;
  sb_priv_visit_lock_write(&file->state_lock);
  file->writer.durable = log->durable;
  if (!pass->active) sb_priv_visit_pass_begin(pass, log, &file->writer);
  sb_status status = sb_priv_visit_pass_step(pass, log, bytes, error);
  sb_priv_visit_lock_write_end(&file->state_lock);
  /* Not synced by itself: nobody waits for it, and the next change that has to be on disk takes it there. */
  if (status == SB_OK) status = write_records(file, error);
  sb_priv_visit_lock_write(&file->state_lock);
  if (status == SB_OK) {
    log->end = file->writer.end;
    log->sequence = file->writer.sequence;
    file->writer.bytes.size = 0;
    if (pass->done) {
      sb_priv_visit_index_take(log, pass->base, pass->put);
      pass->base.pages = NULL;
    }
  } else {
    sb_priv_visit_take_back(file);
  }
  if (status != SB_OK || pass->done) sb_priv_visit_pass_end(pass);
  sb_priv_visit_lock_write_end(&file->state_lock);
  return status;
}

sb_status sb_priv_visit_index_append(visit_file *file, sb_error *error) {
  sb_status status;
  do {
    status = index_step(file, UINT64_MAX, error);
  } while (status == SB_OK && file->pass.active);
  return status;
}

/* Users can only leave the memory when the file has them in an index. */
static bool index_due(const visit_file *file) {
  const visit_log *log = &file->log;
  if (file->pass.active || log->end >= file->index_at) return true;
  const uint64_t since = log->end - (log->base.pages != NULL ? log->base.end : VISIT_LOG_START);
  const uint64_t least = log->base.size > INDEX_FOR_MEMORY ? log->base.size : INDEX_FOR_MEMORY;
  return since > least && sb_priv_visit_table_memory(&log->table) > file->memory_max;
}

static void index_on(visit_file *file, uint64_t bytes) {
  sb_error error;
  if (index_step(file, bytes, &error) != SB_OK) {
    file->index_at = file->log.end + sb_priv_visit_tuning.index_interval;
    sb_priv_visit_failed(file, SB_VISIT_WORK_INDEX, &error);
  } else if (!file->pass.active) {
    sb_priv_visit_succeeded(file, SB_VISIT_WORK_INDEX);
    sb_priv_visit_index_schedule(file);
    /* The slot may say so at once: an index that is not there after a power failure is known to be missing. */
    (void)slot_write_open(file);
  }
}

/* A step writes at least as much as the batch before it did, so that an index comes to its end. */
void sb_priv_visit_maintain(visit_file *file, uint64_t written) {
  visit_log *log = &file->log;
  if (atomic_load(&file->poisoned)) return;
  const uint64_t step = written > sb_priv_visit_tuning.compact_step ? written : sb_priv_visit_tuning.compact_step;
  sb_priv_visit_lock_read(&file->state_lock); /* a reader who brings a user into memory counts it anew */
  const uint64_t size = log->end - VISIT_LOG_START, live = log->table.live_bytes;
  const bool crowded = log->table.trash != NULL || sb_priv_visit_table_memory(&log->table) > file->memory_max;
  const bool index = index_due(file) && !file->index_blocked;
  sb_priv_visit_lock_read_end(&file->state_lock);
  if (crowded) sb_priv_visit_make_room(file);
  if (file->copy_file >= 0 || (size > sb_priv_visit_tuning.compact_min && size > 2 * live && log->end >= file->compact_at)) {
    if (atomic_load(&file->compactors) > 0) return; /* somebody else pays */
    if (file->compact_in_thread)
      sb_priv_visit_thread_compact(file);
    else
      (void)!sb_priv_visit_compact_step(file, step, NULL);
    return;
  }
  if (index) index_on(file, step);
}
