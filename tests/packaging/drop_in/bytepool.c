/* A program in C that uses bytepool.h, and one that has these names for itself. */
#include <stdio.h>
#include <string.h>

#include <samebytes/samebytes.h>

#if defined(OWN)
void *bytepool_get(void *context, size_t size);
void *bytepool_get(void *context, size_t size) { return size == 100 ? context : NULL; }
#else
#include <bytepool.h>
#endif

int main(void) {
  sb_pool *pool = NULL;
  uint64_t handle = 0;
  if (sb_pool_open(NULL, &pool) != SB_OK || sb_pool_handle(pool, &handle) != SB_OK) return 1;
  void *data = bytepool_get(&handle, 100);
#if defined(OWN)
  printf("%d\n", data == &handle);
#else
  memset(data, 1, 100);
  bytepool_put(&handle, data, 100);
  bytepool_free(&handle);
  printf("%d\n", bytepool_get(&handle, 100) == NULL);
#endif
  sb_pool_close(pool);
  return 0;
}
