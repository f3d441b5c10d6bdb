//go:build !samebytes_shared

/* The threads of the library, of which an open file has those that its options ask for: one syncs every interval, one compacts. They end
 * when the file is closed. A forked child has none of them, and its handle refuses everything.
 *
 * The thread that compacts makes the same changes that a caller of `compact` makes, and takes its turn in the same queue, so it needs no
 * lock of its own. */

#include <signal.h>

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
    sb_priv_visit_lock_read_end(&file->state_lock);
    (void)!sb_priv_visit_compact(file, wanted, NULL); /* one that failed is tried again when the log has grown */
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
