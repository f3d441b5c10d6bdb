/* What the Go bench of pools does in C: a pool that Go calls into for each get and put, and loops that get and put through the functions of
 * bytepool.h, or through those that call back into Go. */

#include <pthread.h>
#include <stdlib.h>

#include <bytepool.h>

#include "_cgo_export.h"
#include "loops.h"

enum {
  KEPT_MAX = 1024
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *kept[KEPT_MAX];
static int kept_count;

void *list_get(size_t size) {
  void *data = NULL;
  pthread_mutex_lock(&lock);
  if (kept_count > 0) data = kept[--kept_count];
  pthread_mutex_unlock(&lock);
  return data != NULL ? data : malloc(size);
}

void list_put(void *data) {
  pthread_mutex_lock(&lock);
  int room = kept_count < KEPT_MAX;
  if (room) kept[kept_count++] = data;
  pthread_mutex_unlock(&lock);
  if (!room) free(data);
}

int loop_straight(void *context, size_t size, int times) {
  while (times-- > 0) {
    volatile char *data = bytepool_get(context, size);
    if (data == NULL) return -1;
    *data = 1;
    bytepool_put(context, (void *)data, size);
  }
  return 0;
}

int loop_callback(void *context, size_t size, int times) {
  while (times-- > 0) {
    volatile char *data = channelGet(context, size);
    if (data == NULL) return -1;
    *data = 1;
    channelPut(context, (void *)data, size);
  }
  return 0;
}
