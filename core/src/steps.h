#ifndef SB_STEPS_H
#define SB_STEPS_H

/* Hand-overs from thread to thread: where tests stop, locks, and places that somebody may be changing. */

#include <pthread.h>
#include <stddef.h>

/* Builds with assertions say what they are about to do wherever something passes from one thread to another, or is looked at that another
 * thread may change. tests/core/orders.h stops there, and tries every order. So between two steps a thread touches nothing of others but the
 * thing that the first step names, and what is protected by the locks that it holds. */
enum {
  SB_PRIV_STEP_LOOK,   /* reads the thing */
  SB_PRIV_STEP_TOUCH,  /* reads or changes it */
  SB_PRIV_STEP_LOCK,   /* waits for the mutex, and locks it */
  SB_PRIV_STEP_UNLOCK, /* the other way round */
  SB_PRIV_STEP_BUSY,   /* waits until the gate's thread is not busy, and reads that */
  SB_PRIV_STEP_USERS,  /* waits until no call is inside the entry of the handle, and reads that */
};

#ifdef NDEBUG
#define SB_PRIV_STEP(kind, thing) ((void)0)
#else
extern void (*sb_priv_step_hook)(int kind, const void *thing, const char *function) __attribute__((visibility("hidden")));
#define SB_PRIV_STEP(kind, thing) \
  do { \
    if (sb_priv_step_hook != NULL) sb_priv_step_hook(kind, thing, __func__); \
  } while (0)
#endif

static inline void sb_priv_lock(pthread_mutex_t *lock) {
  SB_PRIV_STEP(SB_PRIV_STEP_LOCK, lock);
  (void)pthread_mutex_lock(lock);
}

static inline void sb_priv_unlock(pthread_mutex_t *lock) {
  SB_PRIV_STEP(SB_PRIV_STEP_UNLOCK, lock);
  (void)pthread_mutex_unlock(lock);
}

/* Reads a place that somebody may be changing: once, where a compiler could read it again instead of keeping what it read. */
#define SB_PRIV_READ_ONCE(place) __atomic_load_n(&(place), __ATOMIC_RELAXED)

#endif
