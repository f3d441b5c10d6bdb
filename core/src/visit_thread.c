//go:build !samebytes_shared

/* The threads of the library, of which an open file has those that its options ask for: one syncs every interval, one compacts. They end
 * when the file is closed. A forked child has none of them, and its handle refuses everything.
 *
 * Beside them there may be a helper for a moment, when a compaction of a large file comes to its end: syncing the new file, and closing the
 * old one, which frees its blocks, can take the system longer than a change may wait. Where there can be no thread, the change waits.
 *
 * The thread that compacts makes the same changes that a caller of `compact` makes, and takes its turn in the same queue, so it needs no
 * lock of its own. */

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "visit_private.h"

static void *sync_now_and_then(void *context) {
  visit_file *file = context;
  int64_t until = sb_priv_monotonic_ns();
  (void)pthread_mutex_lock(&file->thread_mutex);
  while (!atomic_load(&file->threads_stop)) {
    /* From the beginning of the last sync: what came while that ran, and is not in it, waits no longer than the rest. */
    const int64_t now = sb_priv_monotonic_ns();
    until += (int64_t)file->interval_ms * 1000000;
    if (until < now) until = now;
    const struct timespec time = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    int problem = 0;
    while (problem == 0 && !atomic_load(&file->threads_stop))
      problem = pthread_cond_timedwait(&file->sync_wake, &file->thread_mutex, &time);
    if (atomic_load(&file->threads_stop)) break;
    (void)pthread_mutex_unlock(&file->thread_mutex);
    until = sb_priv_monotonic_ns();
    (void)!sb_priv_visit_sync(file, NULL); /* a failure poisons, and the next change tells */
    (void)pthread_mutex_lock(&file->thread_mutex);
  }
  (void)pthread_mutex_unlock(&file->thread_mutex);
  return NULL;
}

static void *compact_when_due(void *context) {
  visit_file *file = context;
  (void)pthread_mutex_lock(&file->thread_mutex);
  for (;;) {
    while (!file->compaction_due && !atomic_load(&file->threads_stop)) (void)pthread_cond_wait(&file->compact_wake, &file->thread_mutex);
    if (atomic_load(&file->threads_stop)) break;
    file->compaction_due = false;
    (void)pthread_mutex_unlock(&file->thread_mutex);
    sb_priv_visit_lock_read(&file->state_lock);
    const uint64_t wanted = file->copies_done + 1;
    const bool due = file->copy_file >= 0 || file->log.end >= file->compact_at; /* and it did not fail since it was asked for */
    sb_priv_visit_lock_read_end(&file->state_lock);
    if (due) (void)!sb_priv_visit_compact(file, wanted, NULL); /* one that failed is tried again when the log has grown */
    (void)pthread_mutex_lock(&file->thread_mutex);
  }
  (void)pthread_mutex_unlock(&file->thread_mutex);
  return NULL;
}

static sb_status start(visit_file *file, int which, void *(*run)(void *), sb_error *error) {
  /* The program's signals are for its own threads. */
  sigset_t all, before;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  const int problem = pthread_create(&file->threads[which], NULL, run, file);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (problem != 0) return sb_priv_visit_io(error, problem, "starting a thread");
  file->thread_runs[which] = true;
  return SB_OK;
}

sb_status sb_priv_visit_threads_start(visit_file *file, sb_error *error) {
  sb_status status = SB_OK;
  if (file->durability == SB_DURABILITY_INTERVAL) status = start(file, VISIT_THREAD_SYNC, sync_now_and_then, error);
  if (status == SB_OK && file->compact_in_thread) status = start(file, VISIT_THREAD_COMPACT, compact_when_due, error);
  return status;
}

void sb_priv_visit_thread_compact(visit_file *file) {
  (void)pthread_mutex_lock(&file->thread_mutex);
  file->compaction_due = true;
  (void)pthread_cond_signal(&file->compact_wake);
  (void)pthread_mutex_unlock(&file->thread_mutex);
}

/* ---- helper ---- */

static void *help(void *context) {
  visit_file *file = context;
  if (file->help_sync >= 0) sb_priv_visit_sync_copy(file, file->help_sync, file->help_which);
  sb_priv_file_close(file->help_close);
  atomic_store(&file->helping, false);
  return NULL;
}

/* The caller leads, so nobody else starts one. */
static bool start_helper(visit_file *file, int close, int sync, uint64_t which) {
  if (atomic_load(&file->helping)) return false;
  if (file->thread_runs[VISIT_THREAD_HELPER]) (void)pthread_join(file->threads[VISIT_THREAD_HELPER], NULL);
  file->thread_runs[VISIT_THREAD_HELPER] = false;
  file->help_close = close;
  file->help_sync = sync;
  file->help_which = which;
  atomic_store(&file->helping, true);
  if (start(file, VISIT_THREAD_HELPER, help, NULL) == SB_OK) return true;
  atomic_store(&file->helping, false);
  return false;
}

void sb_priv_visit_help_close(visit_file *file, int old) {
  sb_priv_file_facts facts;
  const uint64_t large_from = sb_priv_visit_tuning.help_min;
  const bool large = large_from > 0 && sb_priv_file_look(old, &facts) == 0 && facts.size >= large_from;
  if (!large || !start_helper(file, old, -1, 0)) sb_priv_file_close(old);
}

bool sb_priv_visit_help_sync(visit_file *file) {
  int copy = -1;
  if (atomic_load(&file->helping)) return true;
  const uint64_t large_from = sb_priv_visit_tuning.help_min;
  if (large_from == 0 || file->copy.writer.end < large_from || file->help_tried == file->copies_begun) return false;
  file->help_tried = file->copies_begun;
  if (sb_priv_file_duplicate(file->copy_file, &copy) != 0) return false;
  if (start_helper(file, -1, copy, file->copies_begun)) return true;
  sb_priv_file_close(copy);
  return false;
}

void sb_priv_visit_threads_stop(visit_file *file) {
  (void)pthread_mutex_lock(&file->thread_mutex);
  atomic_store(&file->threads_stop, true);
  (void)pthread_cond_signal(&file->sync_wake);
  (void)pthread_cond_signal(&file->compact_wake);
  (void)pthread_mutex_unlock(&file->thread_mutex);
  for (int i = 0; i < VISIT_THREADS; i++) {
    if (file->thread_runs[i]) (void)pthread_join(file->threads[i], NULL);
    file->thread_runs[i] = false;
  }
}
