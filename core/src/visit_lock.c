//go:build !samebytes_shared

/* A lock for readers beside each other and one writer, in which nobody waits for more than those who were there before. A writer that waits
 * closes the gate: readers who come later wait behind it, so readers cannot starve it. When a writer leaves, all the readers who wait go in
 * before the next writer, so writers cannot starve readers either. The locks of the system promise neither: glibc lets readers pass a writer
 * that waits, for as long as there are any.
 *
 * `state` is how many readers are inside, plus WRITER while a writer is inside or waits for them to leave. WRITER is set and cleared under
 * the mutex only; a reader who finds it not set needs no mutex. */

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "visit_private.h"

#define WRITER 0x80000000u

void sb_priv_visit_lock_init(visit_lock *lock) {
  *lock = (visit_lock){0};
  (void)pthread_mutex_init(&lock->mutex, NULL);
  (void)pthread_cond_init(&lock->readers_go, NULL);
  (void)pthread_cond_init(&lock->writers_go, NULL);
}

void sb_priv_visit_lock_destroy(visit_lock *lock) {
  (void)pthread_mutex_destroy(&lock->mutex);
  (void)pthread_cond_destroy(&lock->readers_go);
  (void)pthread_cond_destroy(&lock->writers_go);
}

void sb_priv_visit_lock_read(visit_lock *lock) {
  unsigned state = atomic_load_explicit(&lock->state, memory_order_relaxed);
  while ((state & WRITER) == 0)
    if (atomic_compare_exchange_weak_explicit(&lock->state, &state, state + 1, memory_order_acquire, memory_order_relaxed)) return;
  SB_PRIV_UNCANCELLED;
  (void)pthread_mutex_lock(&lock->mutex);
  if ((atomic_load_explicit(&lock->state, memory_order_relaxed) & WRITER) == 0) {
    (void)atomic_fetch_add_explicit(&lock->state, 1, memory_order_acquire);
  } else {
    const unsigned phase = lock->phase;
    lock->waiting_readers++;
    while (lock->phase == phase) (void)pthread_cond_wait(&lock->readers_go, &lock->mutex); /* who ends the phase counts this reader in */
  }
  (void)pthread_mutex_unlock(&lock->mutex);
}

void sb_priv_visit_lock_read_end(visit_lock *lock) {
  const unsigned before = atomic_fetch_sub_explicit(&lock->state, 1, memory_order_release);
  assert((before & ~WRITER) > 0);
  if (before != (WRITER | 1)) return;
  /* The last one out, and a writer waits: it looks at the count under the mutex, so this signal cannot come before it sleeps. */
  (void)pthread_mutex_lock(&lock->mutex);
  (void)pthread_cond_broadcast(&lock->writers_go);
  (void)pthread_mutex_unlock(&lock->mutex);
}

void sb_priv_visit_lock_write(visit_lock *lock) {
  (void)pthread_mutex_lock(&lock->mutex);
  const unsigned turn = lock->writers_came++;
  while (lock->writers_done != turn) (void)pthread_cond_wait(&lock->writers_go, &lock->mutex);
  (void)atomic_fetch_or_explicit(&lock->state, WRITER, memory_order_relaxed);
  while (atomic_load_explicit(&lock->state, memory_order_acquire) != WRITER) (void)pthread_cond_wait(&lock->writers_go, &lock->mutex);
  (void)pthread_mutex_unlock(&lock->mutex);
}

void sb_priv_visit_lock_write_end(visit_lock *lock) {
  (void)pthread_mutex_lock(&lock->mutex);
  assert(atomic_load(&lock->state) == WRITER);
  atomic_store_explicit(&lock->state, lock->waiting_readers, memory_order_release);
  if (lock->waiting_readers > 0) {
    lock->waiting_readers = 0;
    lock->phase++;
    (void)pthread_cond_broadcast(&lock->readers_go);
  }
  if (++lock->writers_done != lock->writers_came) (void)pthread_cond_broadcast(&lock->writers_go);
  (void)pthread_mutex_unlock(&lock->mutex);
}
