//go:build !samebytes_shared

/* Compaction of an open file: visit_compact.c copies, and here the copy takes the place of the file. The leader of a batch runs a step, so
 * that no other change comes between; between batches everybody goes on.
 *
 * While a copy is being made, users in memory that are in it know their places there, not those in the file. If the copy is given up,
 * nobody knows the latter any more; then no index is written until a compaction succeeds or the file is opened again, and nothing else is
 * lost. */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "error_private.h"
#include "visit_private.h"

#define AFTER_FAILURE (16u << 20) /* bytes of log before the next try; each that fails doubles it */
#define COPY_SYNC_FAILED UINT64_MAX

/* ---- what failed ---- */

void sb_priv_visit_failed(visit_file *file, int32_t work, const sb_error *error) {
  (void)pthread_mutex_lock(&file->failure_mutex);
  file->failure = (visit_failure){.work = work, .time_ns = sb_priv_clock_ns(), .error = *error};
  file->failures++;
  (void)pthread_mutex_unlock(&file->failure_mutex);
}

void sb_priv_visit_succeeded(visit_file *file, int32_t work) {
  (void)pthread_mutex_lock(&file->failure_mutex);
  if (file->failure.work == work) file->failure = (visit_failure){0};
  (void)pthread_mutex_unlock(&file->failure_mutex);
}

static void try_later(visit_file *file) {
  file->compact_wait = file->compact_wait == 0 ? AFTER_FAILURE : 2 * file->compact_wait;
  file->compact_at = file->log.end + file->compact_wait;
}

/* ---- steps ---- */

void sb_priv_visit_compact_abandon(visit_file *file) {
  if (file->copy_file < 0) return;
  file->log.loaded = NULL;
  file->index_blocked = true;
  try_later(file);
  sb_priv_visit_new_remove(file, file->copy_file);
  sb_priv_fork_hold();
  sb_priv_lock_close(file->copy_file);
  file->copy_file = -1;
  sb_priv_fork_release();
  sb_priv_visit_copy_free(&file->copy);
}

static void loaded(void *context, visit_user *user) { sb_priv_visit_copy_loaded(context, user); }

/* Makes the new file. It syncs, so the caller does not hold the state. */
static sb_status make_new(visit_file *file, sb_error *error) {
  sb_priv_file_facts facts;
  sb_status status = sb_priv_visit_still_there(file, error);
  if (status == SB_OK && sb_priv_file_is_mounted(file->folder, file->name)) /* before anything is copied for nothing */
    status = sb_priv_system_error(error, SB_IO, EBUSY,
                                  "the path is a mount of this file alone, which no other can replace: mount its folder instead");
  if (status == SB_OK) status = sb_priv_visit_remove_unfinished(file, error); /* which may be a second name of the file */
  const int problem = status == SB_OK ? sb_priv_file_look(file->log.file, &facts) : 0;
  if (problem != 0) status = sb_priv_visit_io(error, problem, "looking at the file");
  if (status == SB_OK) status = sb_priv_visit_one_name(&facts, error);
  if (status == SB_OK) status = sb_priv_visit_new_open(file, &facts, &file->replaces, error);
  if (status != SB_OK) {
    sb_priv_visit_lock_write(&file->state_lock); /* the thread that compacts looks whether it is time */
    try_later(file);
    sb_priv_visit_lock_write_end(&file->state_lock);
  }
  return status;
}

/* The caller holds the state. */
static sb_status begin(visit_file *file, sb_error *error) {
  sb_priv_visit_pass_end(&file->pass); /* the copy gets an index of its own */
  sb_priv_fork_hold();
  file->copy_file = sb_priv_visit_new_take(file);
  sb_priv_fork_release();
  const sb_status status = sb_priv_visit_copy_begin(&file->copy, &file->log, file->copy_file, error);
  if (status != SB_OK) {
    const bool blocked = file->index_blocked; /* no place has been changed yet */
    sb_priv_visit_compact_abandon(file);
    file->index_blocked = blocked;
    return status;
  }
  file->log.loaded = loaded;
  file->log.loaded_context = &file->copy;
  file->copy_sync = 0;
  file->copies_begun++;
  return SB_OK;
}

/* From now on the copy is the file. Users without visits, and those who were never read, are in the new index, which is all that memory has
 * to know of them; `put` says so. The caller holds the state. */
static int exchange(visit_file *file, const visit_slot *slot) {
  visit_log *log = &file->log;
  const int old = log->file;
  visit_pass *pass = &file->copy.pass;
  log->loaded = NULL;
  sb_priv_fork_hold();
  log->file = file->copy_file;
  file->copy_file = -1;
  sb_priv_file_unlock(old); /* a child must not share it when it is unlocked */
  sb_priv_fork_release();
  log->table.live_bytes = pass->base.live_bytes + pass->live_after;
  sb_priv_visit_index_take(log, pass->base, pass->put);
  pass->base.pages = NULL;
  visit_reader *readers[] = {&log->sequential, &log->random, &log->pages};
  for (size_t i = 0; i < 3; i++) {
    readers[i]->file = log->file;
    readers[i]->bytes.size = 0;
  }
  memcpy(log->uuid, file->copy.uuid, sizeof log->uuid);
  memcpy(log->header, file->copy.header, sizeof log->header);
  log->slot = *slot;
  log->seed = file->copy.writer.seed;
  log->end = log->durable = file->allocated = file->copy.writer.end;
  log->sequence = file->copy.writer.sequence;
  file->writer.file = log->file;
  file->writer.seed = log->seed;
  file->writer.header = log->header;
  file->writer.end = log->end;
  file->writer.sequence = log->sequence;
  file->index_blocked = false;
  file->compact_wait = 0;
  file->copies_done = file->copies_begun;
  sb_priv_visit_index_schedule(file);
  return old;
}

static void note_damage(visit_file *file) {
  const bool damaged = file->copy.damaged_users > 0;
  if (damaged)
    sb_priv_visit_failed(file, SB_VISIT_WORK_COMPACTION, &file->copy.damage);
  else
    sb_priv_visit_succeeded(file, SB_VISIT_WORK_COMPACTION);
  (void)pthread_mutex_lock(&file->failure_mutex);
  file->damaged_users = file->copy.damaged_users;
  (void)pthread_mutex_unlock(&file->failure_mutex);
}

/* Everything is copied: puts the copy on disk and in place. */
static sb_status finish(visit_file *file, sb_error *error) {
  sb_priv_visit_lock_write(&file->state_lock);
  int problem = sb_priv_visit_writer_flush(&file->copy.writer);
  sb_priv_visit_lock_write_end(&file->state_lock);
  sb_status status = SB_OK;
  int old = -1, left = 0;
  const visit_slot slot = {.generation = 1,
                           .state = VISIT_SLOT_OPEN,
                           .length = file->copy.writer.end,
                           .index = file->copy.pass.base.offset,
                           .replaces = file->replaces};
  if (problem == 0) problem = sb_priv_visit_header_write(file->copy_file, file->copy.uuid, &slot);
  if (problem == 0) problem = sb_priv_file_sync(file->copy_file);
  if (problem != 0) status = sb_priv_visit_io(error, problem, "writing the compacted file");
  (void)pthread_mutex_lock(&file->sync_mutex);
  sb_priv_visit_lock_write(&file->state_lock);
  if (status == SB_OK) {
    status = sb_priv_visit_new_replace(file, file->copy_file, &left, error);
    if (status == SB_OK) old = exchange(file, &slot);
  }
  if (status != SB_OK) sb_priv_visit_compact_abandon(file);
  sb_priv_visit_lock_write_end(&file->state_lock);
  if (status == SB_OK) {
    note_damage(file);
    sb_priv_visit_copy_free(&file->copy); /* nobody looks at it any more */
    sb_priv_visit_help_close(file, old);
  }
  /* Readers go on meanwhile; nothing is added before it is sure that the new file is the one that is found after a power failure. */
  if (status == SB_OK && (problem = sb_priv_folder_sync(file->folder)) != 0) {
    atomic_store(&file->poisoned, true);
    status = sb_priv_visit_io(error, problem, "syncing the folder");
  }
  (void)pthread_mutex_unlock(&file->sync_mutex);
  return status == SB_OK ? sb_priv_visit_new_left(left, error) : status;
}

/* The next piece of the copy. The caller holds the state. */
static sb_status go_on(visit_file *file, uint64_t bytes, sb_error *error) {
  visit_copy *copy = &file->copy;
  if (file->copy_file < 0) return begin(file, error);
  if (file->copy_sync == COPY_SYNC_FAILED)
    return sb_priv_error(error, SB_IO, NULL, "syncing the compacted file failed; the old file is still in place");
  if (!visit_copy_whole(copy)) return sb_priv_visit_copy_step(copy, &file->log, bytes, error);
  return copy->pass.done ? SB_OK : sb_priv_visit_copy_index_step(copy, &file->log, bytes, error);
}

sb_status sb_priv_visit_compact_step(visit_file *file, uint64_t bytes, sb_error *error) {
  sb_error problem = {0};
  if (atomic_load(&file->poisoned)) return sb_priv_error(error, SB_IO, NULL, "an earlier sync failed, so nothing more is written");
  sb_status status = file->copy_file < 0 ? make_new(file, &problem) : SB_OK;
  sb_priv_visit_lock_write(&file->state_lock);
  const uint64_t before = file->copy_file >= 0 ? file->copy.writer.end - file->copy.writer.bytes.size : VISIT_LOG_START;
  if (status == SB_OK) status = go_on(file, bytes, &problem);
  if (status != SB_OK) sb_priv_visit_compact_abandon(file);
  const bool copied = status == SB_OK && file->copy.pass.done;
  /* The most of it is synced beforehand, while changes go on: by who compacts, or else by a helper, if it is much. */
  bool wait = copied && file->copy_sync != file->copies_begun;
  if (wait && atomic_load(&file->compactors) == 0) wait = sb_priv_visit_help_sync(file);
  sb_priv_visit_lock_write_end(&file->state_lock);
  if (status == SB_OK && file->copy.writer.end > before) sb_priv_file_sync_begin(file->copy_file, before, file->copy.writer.end - before);
  if (copied && !wait) status = finish(file, &problem);
  if (status == SB_OK) return SB_OK;
  if (error != NULL)
    *error = problem;
  else
    sb_priv_visit_failed(file, SB_VISIT_WORK_COMPACTION, &problem);
  return status;
}

/* Syncs the copy while changes go on, and notes that, so that the last sync, for which they wait, has little to do. */
void sb_priv_visit_sync_copy(visit_file *file, int copy, uint64_t which) {
  const int problem = sb_priv_file_sync(copy);
  sb_priv_file_close(copy);
  sb_priv_visit_lock_write(&file->state_lock);
  if (file->copy_file >= 0 && file->copies_begun == which) file->copy_sync = problem == 0 ? which : COPY_SYNC_FAILED;
  sb_priv_visit_lock_write_end(&file->state_lock);
}

sb_status sb_priv_visit_compact(visit_file *file, uint64_t wanted, sb_error *error) {
  sb_status status = SB_OK;
  atomic_fetch_add(&file->compactors, 1);
  while (status == SB_OK && !atomic_load(&file->threads_stop)) {
    int copy = -1, problem = 0;
    sb_priv_visit_lock_read(&file->state_lock);
    const bool done = file->copies_done >= wanted;
    const uint64_t which = file->copies_begun;
    if (!done && file->copy_file >= 0 && file->copy.pass.done && file->copy_sync != which && file->copy_sync != COPY_SYNC_FAILED)
      problem = sb_priv_file_duplicate(file->copy_file, &copy);
    sb_priv_visit_lock_read_end(&file->state_lock);
    if (done) break;
    if (problem != 0) {
      status = sb_priv_visit_io(error, problem, "syncing the compacted file");
    } else if (copy >= 0) {
      sb_priv_visit_sync_copy(file, copy, which);
    } else {
      visit_change step = {.kind = VISIT_CHANGE_COMPACT, .error = error};
      status = sb_priv_visit_change(file, &step);
    }
  }
  atomic_fetch_sub(&file->compactors, 1);
  return status;
}
