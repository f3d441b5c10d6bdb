//go:build !samebytes_shared

/* How threads get their magazines, and how others make them stay away from them; pool_private.h says why that is safe. */

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool_private.h"
#include "steps.h"

#ifndef NDEBUG
void (*sb_priv_step_hook)(int kind, const void *thing, const char *function);
#endif

/* linux/membarrier.h, which older systems do not have. */
#define MEMBARRIER_EXPEDITED (1 << 3)
#define MEMBARRIER_REGISTER_EXPEDITED (1 << 4)

/* ThreadSanitizer knows nothing of membarrier. */
#if defined(__SANITIZE_THREAD__)
#define MEMBARRIER_USABLE false
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MEMBARRIER_USABLE false
#endif
#endif
#ifndef MEMBARRIER_USABLE
#define MEMBARRIER_USABLE true
#endif

/* What threads have before they use a pool, when they end, and when there is no memory for more. */
static sb_priv_gate gate_none = {.revoked = 1};
static sb_priv_gate gate_gone = {.revoked = 1};

__thread sb_priv_gate *sb_priv_thread_own = &gate_none;

static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER; /* of the lists; taken after the locks of pools */
static sb_priv_thread *all_threads;
static sb_priv_thread *free_threads;
static pthread_once_t threads_once = PTHREAD_ONCE_INIT;
static pthread_key_t end_key;
static bool end_key_made;
static bool barriers; /* membarrier is there */

static bool barrier_register(void) { return MEMBARRIER_USABLE && syscall(SYS_membarrier, MEMBARRIER_REGISTER_EXPEDITED, 0) == 0; }

/* Makes every thread of the process pass a memory barrier. */
static void barrier(void) {
  if (!barriers || syscall(SYS_membarrier, MEMBARRIER_EXPEDITED, 0) == 0) return;
  /* It was there when it was registered, so somebody has forbidden it since. No CPU keeps a store to itself for so long. */
  for (int i = 0; i < 500; i++) sb_priv_pause();
}

/* ---- threads come and go ---- */

/* What holds of a record that is free, or was a moment ago. threads_lock is held, so no fork has revoked it. */
static void thread_check_free(sb_priv_thread *thread) {
  assert((atomic_load(&thread->gate.revoked) & ~SB_PRIV_EXCHANGES) == 0 && atomic_load(&thread->gate.busy) == 0);
  for (uint32_t slot = 0; slot < SB_PRIV_SLOTS; slot++) assert(atomic_load(&thread->caches[slot].pool) == NULL);
  (void)thread;
}

/* Gives a record whose thread has ended, and has no cache any more, to the next one. */
static void thread_free(sb_priv_thread *thread) {
  thread_check_free(thread);
  thread->ended = true;
  thread->next_free = free_threads;
  free_threads = thread;
}

static void thread_end(void *argument) {
  sb_priv_thread *thread = argument;
  SB_PRIV_STEP(SB_PRIV_STEP_LOOK, thread->caches);
  sb_priv_thread_own = &gate_gone; /* other destructors may still put blocks */
  sb_priv_depot_thread_ended(thread, false);
  sb_priv_lock(&threads_lock);
  thread_free(thread);
  sb_priv_unlock(&threads_lock);
}

#ifndef NDEBUG
void sb_priv_thread_end_played(void) {
  sb_priv_gate *gate = sb_priv_thread_own;
  if (gate == &gate_none || gate == &gate_gone) return;
  (void)pthread_setspecific(end_key, NULL);
  thread_end(gate);
}
#endif

static void threads_begin(void) {
  barriers = barrier_register();
  end_key_made = pthread_key_create(&end_key, thread_end) == 0;
}

static sb_priv_thread *thread_get(void) {
  sb_priv_lock(&threads_lock);
  sb_priv_thread *thread = free_threads;
  if (thread != NULL) {
    thread_check_free(thread);
    assert(thread->ended);
    free_threads = thread->next_free;
  } else {
    thread = sb_priv_map_memory(sizeof *thread);
    if (thread != NULL) {
      (void)madvise(thread, sizeof *thread, MADV_NOHUGEPAGE); /* most of it is never used */
      thread->next = all_threads;
      all_threads = thread;
    }
  }
  if (thread != NULL) {
    atomic_store(&thread->gate.revoked, barriers ? 0 : SB_PRIV_EXCHANGES);
    thread->ended = false;
  }
  sb_priv_unlock(&threads_lock);
  return thread;
}

sb_priv_thread *sb_priv_thread_open(void) {
  sb_priv_gate *gate = sb_priv_thread_own;
  if (gate == &gate_gone) return NULL;
  if (gate != &gate_none) return (sb_priv_thread *)gate;
  (void)pthread_once(&threads_once, threads_begin);
  sb_priv_thread *thread = end_key_made ? thread_get() : NULL;
  if (thread == NULL) return NULL;
  if (pthread_setspecific(end_key, thread) != 0) {
    thread_end(thread); /* nobody would give its blocks back */
    return NULL;
  }
  sb_priv_thread_own = &thread->gate;
  return thread;
}

/* ---- staying away ---- */

static bool is_own(const sb_priv_thread *thread) { return &thread->gate == sb_priv_thread_own; }

void sb_priv_pause(void) {
  int state = 0;
  (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
  (void)nanosleep(&(struct timespec){.tv_nsec = 20 * 1000}, NULL);
  (void)pthread_setcancelstate(state, &state);
}

/* A thread is busy for some nanoseconds, unless it loses its CPU in between. */
static void wait_until_idle(const sb_priv_thread *thread) {
  SB_PRIV_STEP(SB_PRIV_STEP_BUSY, &thread->gate.busy);
  for (int i = 0; atomic_load(&thread->gate.busy) != 0; i++)
    if (i > 100) sb_priv_pause();
}

/* From here on the thread will stay away, or is seen to be busy. */
static void gate_revoke(sb_priv_gate *gate) {
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, &gate->revoked);
  const uint32_t before = atomic_fetch_add(&gate->revoked, 1);
  assert((before & ~SB_PRIV_EXCHANGES) < SB_PRIV_EXCHANGES - 1);
  (void)before;
}

static void gate_restore(sb_priv_gate *gate) {
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, &gate->revoked);
  const uint32_t before = atomic_fetch_sub(&gate->revoked, 1);
  assert((before & ~SB_PRIV_EXCHANGES) > 0);
  (void)before;
}

void sb_priv_thread_revoke(sb_priv_cache *caches) {
  bool others = false;
  for (sb_priv_cache *cache = caches; cache != NULL; cache = cache->next) {
    if (is_own(cache->thread)) continue;
    gate_revoke(&cache->thread->gate);
    others = true;
  }
  if (!others) return;
  barrier();
  for (sb_priv_cache *cache = caches; cache != NULL; cache = cache->next)
    if (!is_own(cache->thread)) wait_until_idle(cache->thread);
}

void sb_priv_thread_restore(sb_priv_cache *cache) {
  if (!is_own(cache->thread)) gate_restore(&cache->thread->gate);
}

void sb_priv_thread_revoke_all(void) {
  sb_priv_lock(&threads_lock);
  for (sb_priv_thread *thread = all_threads; thread != NULL; thread = thread->next) gate_revoke(&thread->gate);
  barrier();
  for (sb_priv_thread *thread = all_threads; thread != NULL; thread = thread->next)
    if (!is_own(thread)) wait_until_idle(thread);
}

void sb_priv_thread_restore_all(bool in_child) {
  if (in_child && barriers) {
    barriers = barrier_register();
    if (!barriers) (void)atomic_fetch_or(&sb_priv_thread_own->revoked, SB_PRIV_EXCHANGES);
  }
  for (sb_priv_thread *thread = all_threads; thread != NULL; thread = thread->next) {
    gate_restore(&thread->gate);
    if (!in_child || thread->ended || is_own(thread)) continue;
    sb_priv_depot_thread_ended(thread, true);
    /* It may have been about to see that it is revoked, and to leave. */
    atomic_store(&thread->gate.busy, 0);
    thread_free(thread);
  }
  sb_priv_unlock(&threads_lock);
}
