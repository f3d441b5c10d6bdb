//go:build !samebytes_shared

/* What views and bufs are made of is taken and given back millions of times a second, and malloc with free costs more than all the rest of
 * copying a view. So each thread keeps the last few that it closed, in an array that nobody else sees. Short lists of spans use them too.
 *
 * Under AddressSanitizer nothing is kept, so that it sees the use of a view that has been closed. */

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "handle_cache.h"

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

/* What threads have before they close something, and when they end. */
static sb_priv_handle_cache none;
static sb_priv_handle_cache gone;

__thread sb_priv_handle_cache *sb_priv_handle_cache_own = &none;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t end_key;
static bool end_key_made;

static void cache_empty(sb_priv_handle_cache *mine) {
  while (mine->count > 0) free(mine->handles[--mine->count]);
}

static void thread_end(void *argument) {
  sb_priv_handle_cache_own = &gone; /* other destructors may still close views */
  cache_empty(argument);
  free(argument);
}

static void begin(void) { end_key_made = pthread_key_create(&end_key, thread_end) == 0; }

/* Gives the calling thread a cache; without one it does as well. */
static void cache_open(void) {
  (void)pthread_once(&once, begin);
  sb_priv_handle_cache *made = end_key_made ? malloc(sizeof *made) : NULL;
  if (made == NULL) return;
  made->count = 0;
  made->capacity = SB_PRIV_HANDLES_MAX;
  if (pthread_setspecific(end_key, made) != 0) {
    free(made);
    return;
  }
  sb_priv_handle_cache_own = made;
}

void *sb_priv_handle_make(void) {
  void *made = malloc(SB_PRIV_HANDLE_SIZE + SB_PRIV_HANDLE_MARK_SIZE);
  if (made != NULL) sb_priv_handle_set_open(made);
  return made;
}

void sb_priv_handle_put_slowly(void *handle) {
  if (KEEPS && sb_priv_handle_cache_own == &none) {
    cache_open();
    if (sb_priv_handle_cache_own != &none) {
      sb_priv_handle_put(handle);
      return;
    }
  }
  free(handle);
}

void sb_priv_handle_flush(void) { cache_empty(sb_priv_handle_cache_own); }
