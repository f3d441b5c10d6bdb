#ifndef SB_HANDLE_CACHE_H
#define SB_HANDLE_CACHE_H

/* The memory of handles: each thread keeps some for itself. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Memory for what a view or a buf is: at most SB_PRIV_HANDLE_SIZE bytes, not zeroed. Each thread keeps some for itself.
 *
 * Builds with assertions mark it behind those bytes. Closing what has been closed would lend one memory to two; there it ends the program, also
 * on another thread. */
#define SB_PRIV_HANDLE_SIZE 192
#ifdef NDEBUG
#define SB_PRIV_HANDLE_MARK_SIZE 0
static inline void sb_priv_handle_check(const void *handle) { (void)handle; }
static inline void sb_priv_handle_set_open(void *handle) { (void)handle; }
static inline void sb_priv_handle_set_closed(void *handle) { (void)handle; }
#else
#define SB_PRIV_HANDLE_MARK_SIZE sizeof(uint64_t)
#define SB_PRIV_HANDLE_OPEN UINT64_C(0x6f70656e68616e64)
static inline void sb_priv_handle_check(const void *handle) {
  uint64_t mark;
  memcpy(&mark, (const uint8_t *)handle + SB_PRIV_HANDLE_SIZE, sizeof mark);
  assert(mark == SB_PRIV_HANDLE_OPEN && "this view or buf has been closed already");
}
static inline void sb_priv_handle_set_open(void *handle) {
  const uint64_t mark = SB_PRIV_HANDLE_OPEN;
  memcpy((uint8_t *)handle + SB_PRIV_HANDLE_SIZE, &mark, sizeof mark);
}
static inline void sb_priv_handle_set_closed(void *handle) {
  memset(handle, 0xdb, SB_PRIV_HANDLE_SIZE + SB_PRIV_HANDLE_MARK_SIZE); /* whoever still uses it should notice */
}
#endif
#define SB_PRIV_HANDLES_MAX 64u /* kept per thread: 12 KiB */
typedef struct sb_priv_handle_cache {
  uint32_t count;
  uint32_t capacity; /* 0 before the thread gave one back, and when it ends */
  void *handles[SB_PRIV_HANDLES_MAX];
} sb_priv_handle_cache;

/* 8 bytes with the initial-exec model, for the reasons that stand in pool_private.h. */
#if defined(__GLIBC__)
extern __thread sb_priv_handle_cache *sb_priv_handle_cache_own __attribute__((visibility("hidden"), tls_model("initial-exec")));
#else
extern __thread sb_priv_handle_cache *sb_priv_handle_cache_own __attribute__((visibility("hidden")));
#endif
void *sb_priv_handle_make(void);
void sb_priv_handle_put_slowly(void *handle);

/* One that is at hand, or NULL. */
static inline void *sb_priv_handle_take(void) {
  sb_priv_handle_cache *own = sb_priv_handle_cache_own;
  if (own->count == 0) return NULL;
  void *handle = own->handles[--own->count];
  if (handle == NULL) __builtin_unreachable(); /* so that nobody looks twice */
  sb_priv_handle_set_open(handle);
  return handle;
}

static inline void *sb_priv_handle_get(void) {
  void *taken = sb_priv_handle_take();
  return taken != NULL ? taken : sb_priv_handle_make();
}

static inline void sb_priv_handle_put(void *handle) {
  sb_priv_handle_set_closed(handle);
  sb_priv_handle_cache *own = sb_priv_handle_cache_own;
  if (own->count < own->capacity)
    own->handles[own->count++] = handle;
  else
    sb_priv_handle_put_slowly(handle);
}
/* Gives those that the calling thread keeps back to the system, for tests of failing allocations. */
void sb_priv_handle_flush(void);

#endif
