//go:build !samebytes_shared

/* What views and bufs are made of is taken and given back millions of times a second, and malloc with free costs more than all the rest of
 * copying a view. So each thread keeps the last few that it closed, in an array that nobody else sees.
 *
 * Under AddressSanitizer nothing is kept, so that it sees the use of a view that has been closed. */

#include <pthread.h>
#include <stdlib.h>

#include "internal.h"

#define KEPT_MAX 64u /* per thread: 12 KiB */

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS false
#endif
#endif
#ifndef KEEPS
#define KEEPS true
#endif

typedef struct cache {
  uint32_t count;
  uint32_t capacity;
  void *handles[KEPT_MAX];
} cache;

/* What threads have before they close something, and when they end. */
static cache none;
static cache gone;

/* 8 bytes with the initial-exec model, for the reasons that stand in pool_private.h. */
#if defined(__GLIBC__)
static __thread cache *own __attribute__((tls_model("initial-exec"))) = &none;
#else
static __thread cache *own = &none;
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t end_key;
static bool end_key_made;

static void cache_empty(cache *mine) {
  while (mine->count > 0) free(mine->handles[--mine->count]);
}

static void thread_end(void *argument) {
  own = &gone; /* other destructors may still close views */
  cache_empty(argument);
  free(argument);
}

static void begin(void) { end_key_made = pthread_key_create(&end_key, thread_end) == 0; }

/* Gives the calling thread a cache; without one it does as well. */
static void cache_open(void) {
  (void)pthread_once(&once, begin);
  cache *made = end_key_made ? malloc(sizeof *made) : NULL;
  if (made == NULL) return;
  made->count = 0;
  made->capacity = KEPT_MAX;
  if (pthread_setspecific(end_key, made) != 0) {
    free(made);
    return;
  }
  own = made;
}

static __attribute__((noinline)) void put_slowly(void *handle) {
  if (KEEPS && own == &none) {
    cache_open();
    if (own != &none) {
      sb_priv_handle_put(handle);
      return;
    }
  }
  free(handle);
}

void *sb_priv_handle_get(void) {
  cache *mine = own;
  if (mine->count > 0) return mine->handles[--mine->count];
  return malloc(SB_PRIV_HANDLE_SIZE);
}

void sb_priv_handle_put(void *handle) {
  cache *mine = own;
  if (mine->count < mine->capacity)
    mine->handles[mine->count++] = handle;
  else
    put_slowly(handle);
}

void sb_priv_handle_flush(void) { cache_empty(own); }
