//go:build !samebytes_shared

#include <pthread.h>

#include <samebytes/pool.h>

#include "internal.h"

static pthread_once_t default_once = PTHREAD_ONCE_INIT;
static sb_memory *default_memory;

static void default_make(void) { (void)!sb_memory_open_heap(&default_memory); }

sb_status sb_priv_memory_default(sb_memory **memory) {
  (void)pthread_once(&default_once, default_make);
  if (default_memory == NULL) return SB_NO_MEMORY;
  *memory = default_memory;
  return SB_OK;
}
