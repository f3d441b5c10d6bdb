//go:build !samebytes_shared

/* The functions of bytepool.h. They are weak, so that a program which has functions of these names keeps its own, and visible even where the
 * core is compiled into a program, because the C code of that program calls them. */

#define BYTEPOOL_API __attribute__((weak, visibility("default")))
#include <bytepool.h>

#include <samebytes/pool.h>

void *bytepool_get(void *context, size_t size) {
  void *data = NULL;
  return context != NULL && sb_pool_handle_get(*(const uint64_t *)context, size, &data) == SB_OK ? data : NULL;
}

void bytepool_put(void *context, void *data, size_t size) {
  (void)size;
  if (context != NULL) (void)!sb_pool_handle_put(*(const uint64_t *)context, data);
}

void bytepool_free(void *context) {
  if (context != NULL) (void)!sb_pool_handle_free(*(const uint64_t *)context);
}
