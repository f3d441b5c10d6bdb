//go:build !samebytes_shared

/* How threads get their magazines, and how others make them stay away from them; pool_private.h says why that is safe. */

#include <pthread.h>
#include <time.h>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool_private.h"

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
  (void)nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
}

/* ---- threads come and go ---- */

static void thread_end(void *argument) {
  sb_priv_thread *thread = argument;
  sb_priv_thread_own = &gate_gone; /* other destructors may still put blocks */
  sb_priv_depot_thread_ended(thread, false);
  (void)pthread_mutex_lock(&threads_lock);
  thread->ended = true;
  thread->next_free = free_threads;
  free_threads = thread;
  (void)pthread_mutex_unlock(&threads_lock);
}

static void threads_begin(void) {
  barriers = barrier_register();
  end_key_made = pthread_key_create(&end_key, thread_end) == 0;
}

static sb_priv_thread *thread_get(void) {
  (void)pthread_mutex_lock(&threads_lock);
  sb_priv_thread *thread = free_threads;
  if (thread != NULL) {
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
  (void)pthread_mutex_unlock(&threads_lock);
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

/* A thread is busy for some nanoseconds, unless it loses its CPU in between. */
static void wait_until_idle(const sb_priv_thread *thread) {
  for (int i = 0; atomic_load(&thread->gate.busy) != 0; i++)
    if (i > 100) (void)nanosleep(&(struct timespec){.tv_nsec = 20 * 1000}, NULL);
}

void sb_priv_thread_revoke(sb_priv_cache *caches) {
  bool others = false;
  for (sb_priv_cache *cache = caches; cache != NULL; cache = cache->next) {
    if (is_own(cache->thread)) continue;
    (void)atomic_fetch_add(&cache->thread->gate.revoked, 1);
    others = true;
  }
  if (!others) return;
  barrier();
  for (sb_priv_cache *cache = caches; cache != NULL; cache = cache->next)
    if (!is_own(cache->thread)) wait_until_idle(cache->thread);
}

void sb_priv_thread_restore(sb_priv_cache *cache) {
  if (!is_own(cache->thread)) (void)atomic_fetch_sub(&cache->thread->gate.revoked, 1);
}

void sb_priv_thread_revoke_all(void) {
  (void)pthread_mutex_lock(&threads_lock);
  for (sb_priv_thread *thread = all_threads; thread != NULL; thread = thread->next) (void)atomic_fetch_add(&thread->gate.revoked, 1);
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
    (void)atomic_fetch_sub(&thread->gate.revoked, 1);
    if (!in_child || thread->ended || is_own(thread)) continue;
    sb_priv_depot_thread_ended(thread, true);
    thread->ended = true;
    thread->next_free = free_threads;
    free_threads = thread;
  }
  (void)pthread_mutex_unlock(&threads_lock);
}
