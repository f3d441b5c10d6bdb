//go:build !samebytes_shared

/* The provider of memory that can be sent to other processes. Blocks of one size, a power of two, share a segment; a block that is larger
 * than a segment has one of its own. Headers of blocks lie in the process's own memory, not in the segment: who can write the segment could
 * forge them.
 *
 * Invariant, per segment: out + free_count == block_count. It is in a list of its provider while free_count > 0 and it was not left to a
 * receiver. A segment of which no block is out is kept, up to KEPT_MAX bytes per provider.
 *
 * A forked child has the same memory, but its own lists: both would give out the same blocks. So the child forgets its segments, and makes new
 * ones; blocks of the old ones that it closes go nowhere. */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "error_private.h"
#include "memory_tracing.h"
#include "owners.h"
#include "shared_private.h"

enum {
  PAGE = 4096, /* smallest block: two do not share a page */
  LISTS = 20,  /* blocks of 2^12 to 2^30 bytes, and one list for larger ones */
  LARGE = LISTS - 1,
  SEGMENT_DEFAULT = 2 << 20,
  SEGMENT_MAX = 1 << 30,
  KEPT_MAX = 64 << 20, /* bytes of segments without a block that is out, where bytes_max allows them */
};

struct sb_priv_shared {
  sb_memory base;
  uint64_t segment_size;
  uint64_t bytes_max;
  sb_priv_fork_entry fork;
  pthread_mutex_t lock; /* of what follows */
  uint64_t generation;
  uint64_t bytes; /* of all segments */
  uint64_t kept;  /* bytes of the segments of which no block is out */
  sb_priv_segment *lists[LISTS];
  sb_error failure; /* the last refusal of the system; status is SB_OK where there was none */
};

/* No thread is cancelled while it holds the lock: making and closing files are cancellation points. */
static int lock(sb_priv_shared *shared) {
  const int before = sb_priv_cancel_hold();
  (void)pthread_mutex_lock(&shared->lock);
  return before;
}

static void unlock(sb_priv_shared *shared, int before) {
  (void)pthread_mutex_unlock(&shared->lock);
  sb_priv_cancel_release(before);
}

/* ---- segments ---- */

static void segment_link(sb_priv_shared *shared, sb_priv_segment *segment) {
  sb_priv_segment **head = &shared->lists[segment->list];
  segment->before = NULL;
  segment->next = *head;
  if (*head != NULL) (*head)->before = segment;
  *head = segment;
}

static void segment_unlink(sb_priv_shared *shared, sb_priv_segment *segment) {
  if (segment->next != NULL) segment->next->before = segment->before;
  if (segment->before != NULL)
    segment->before->next = segment->next;
  else
    shared->lists[segment->list] = segment->next;
  segment->next = segment->before = NULL;
}

void sb_priv_segment_release(sb_priv_segment *segment) {
  if (!sb_priv_owners_remove(&segment->owners, 1)) return;
  sb_priv_segment_unmap(segment->data, segment->size);
  sb_priv_file_close(segment->file);
  free(segment->free);
  free(segment);
}

/* Notes what the system refused. */
static sb_status refuse(sb_priv_shared *shared, int problem, const char *what, uint64_t size) {
  const sb_status status = problem == ENOMEM ? SB_NO_MEMORY : SB_IO;
  return sb_priv_system_error(&shared->failure, status, problem, "%s, for a segment of %" PRIu64 " bytes", what, size);
}

static sb_status segment_make(sb_priv_shared *shared, uint32_t list, uint32_t block_size, sb_priv_segment **segment) {
  const size_t size = block_size > shared->segment_size ? block_size : (size_t)shared->segment_size;
  const uint32_t block_count = (uint32_t)(size / block_size);
  const char *refused = "malloc";
  sb_priv_segment *made = calloc(1, sizeof *made + block_count * sizeof(sb_block));
  uint32_t *indexes = malloc(block_count * sizeof *indexes);
  int problem = made == NULL || indexes == NULL ? ENOMEM : 0;
  if (problem == 0) problem = sb_priv_segment_create(size, &made->file, &made->data, &refused);
  if (problem != 0) {
    free(made);
    free(indexes);
    return refuse(shared, problem, refused, size);
  }
  atomic_init(&made->owners, 1);
  made->size = size;
  made->generation = shared->generation;
  made->list = list;
  made->block_size = block_size;
  made->block_count = made->free_count = block_count;
  made->free = indexes;
  for (uint32_t i = 0; i < block_count; i++) indexes[i] = block_count - 1 - i; /* the first block comes first */
  segment_link(shared, made);
  shared->bytes += size;
  shared->kept += size;
  *segment = made;
  return SB_OK;
}

/* Gives a segment up of which no block is out. */
static void segment_drop(sb_priv_shared *shared, sb_priv_segment *segment, bool linked) {
  assert(segment->out == 0);
  if (linked) segment_unlink(shared, segment);
  shared->bytes -= segment->size;
  sb_priv_segment_release(segment);
}

/* Gives up segments of which no block is out, until no more than `kept` bytes of them are there. */
static void segments_trim(sb_priv_shared *shared, uint64_t kept) {
  for (int list = LARGE; list >= 0; list--)
    for (sb_priv_segment *segment = shared->lists[list], *next; segment != NULL && shared->kept > kept; segment = next) {
      next = segment->next;
      if (segment->out > 0) continue;
      shared->kept -= segment->size;
      segment_drop(shared, segment, true);
    }
}

static sb_status at_limit(sb_priv_shared *shared, uint64_t needed) {
  return sb_priv_error(&shared->failure, SB_NO_MEMORY, NULL,
                       "a segment of %" PRIu64 " bytes, with %" PRIu64 " in use of %" PRIu64 " at most: bytes_max says so", needed,
                       shared->bytes, shared->bytes_max);
}

/* Finds a segment with a free block of at least `size` bytes, or makes one. */
static sb_status segment_find(sb_priv_shared *shared, size_t size, sb_priv_segment **segment) {
  uint32_t list = 0, block_size = PAGE;
  while (block_size < size && list < LARGE) block_size <<= 1, list++;
  if (block_size > shared->segment_size) list = LARGE;
  if (list == LARGE) block_size = (uint32_t)((size + PAGE - 1) / PAGE * PAGE);
  sb_priv_segment *found = shared->lists[list];
  while (found != NULL && (found->block_size < block_size || found->block_size / 2 > block_size)) found = found->next;
  if (found != NULL) {
    *segment = found;
    return SB_OK;
  }
  const uint64_t needed = block_size > shared->segment_size ? block_size : shared->segment_size;
  if (needed > shared->bytes_max) return at_limit(shared, needed);
  if (shared->bytes > shared->bytes_max - needed) segments_trim(shared, 0);
  if (shared->bytes > shared->bytes_max - needed) return at_limit(shared, needed);
  return segment_make(shared, list, block_size, segment);
}

/* ---- the provider ---- */

static sb_status shared_get(sb_memory *memory, size_t size, sb_block **block) {
  sb_priv_shared *shared = (sb_priv_shared *)memory;
  sb_priv_segment *segment = NULL;
  sb_block *made = NULL;
  const int before = lock(shared);
  const sb_status status = segment_find(shared, size, &segment);
  if (status == SB_OK) {
    if (segment->out++ == 0) shared->kept -= segment->size;
    const uint32_t index = segment->free[--segment->free_count];
    if (segment->free_count == 0) segment_unlink(shared, segment);
    made = &segment->blocks[index];
    atomic_store_explicit(&made->owners, 1, memory_order_relaxed);
    made->size = segment->block_size;
    made->data = segment->data + (size_t)index * segment->block_size;
    made->memory = memory;
    made->key = 0;
    made->metadata = NULL;
    made->token = segment;
  }
  unlock(shared, before);
  if (status != SB_OK) return status;
  sb_priv_live_blocks_add(1);
  *block = made;
  return SB_OK;
}

static void shared_put(sb_block *block) {
  sb_priv_shared *shared = (sb_priv_shared *)block->memory;
  sb_priv_segment *segment = block->token;
  sb_priv_live_blocks_add(-1);
  const int before = lock(shared);
  if (segment->generation == shared->generation) { /* otherwise it is that of the process that this one was forked from */
    const bool left = atomic_load(&segment->left);
    segment->free[segment->free_count++] = (uint32_t)(block - segment->blocks);
    segment->out--;
    const bool linked = segment->before != NULL || segment->next != NULL || shared->lists[segment->list] == segment;
    if (left) {
      if (linked) segment_unlink(shared, segment);
      if (segment->out == 0) segment_drop(shared, segment, false);
    } else {
      if (!linked) segment_link(shared, segment);
      if (segment->out == 0) shared->kept += segment->size;
      if (shared->kept > KEPT_MAX) segments_trim(shared, KEPT_MAX);
    }
  }
  unlock(shared, before);
}

static void shared_retire(sb_memory *memory) {
  sb_priv_shared *shared = (sb_priv_shared *)memory;
  sb_priv_fork_hold();
  sb_priv_fork_remove(&shared->fork);
  sb_priv_fork_release();
  segments_trim(shared, 0);
  (void)pthread_mutex_destroy(&shared->lock);
  free(shared);
}

static sb_status shared_failure(sb_memory *memory, sb_error *error) {
  sb_priv_shared *shared = (sb_priv_shared *)memory;
  const int before = lock(shared);
  const sb_error failure = shared->failure;
  unlock(shared, before);
  if (failure.status == SB_OK) return SB_NOT_FOUND;
  *error = failure;
  return SB_OK;
}

static const sb_priv_provider shared_provider = {.get = shared_get, .put = shared_put, .retire = shared_retire, .failure = shared_failure};

static void shared_in_child(sb_priv_fork_entry *entry) {
  sb_priv_shared *shared = (sb_priv_shared *)((char *)entry - offsetof(sb_priv_shared, fork));
  (void)pthread_mutex_init(&shared->lock, NULL); /* another thread may have held it */
  shared->generation++;
  shared->bytes = shared->kept = 0;
  shared->failure.status = SB_OK;
  memset(shared->lists, 0, sizeof shared->lists);
}

sb_status sb_memory_open_shared(uint32_t segment_size, uint64_t bytes_max, sb_memory **memory) {
  if (memory == NULL || segment_size > SEGMENT_MAX) return SB_INVALID_ARGUMENT;
  uint64_t rounded = PAGE;
  while (rounded < (segment_size == 0 ? (uint32_t)SEGMENT_DEFAULT : segment_size)) rounded <<= 1;
  if (bytes_max != 0 && bytes_max < rounded) return SB_INVALID_ARGUMENT; /* no block could ever be had */
  sb_priv_shared *made = calloc(1, sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  sb_priv_memory_init(&made->base, &shared_provider);
  (void)pthread_mutex_init(&made->lock, NULL);
  made->segment_size = rounded;
  made->bytes_max = bytes_max == 0 ? UINT64_MAX : bytes_max;
  made->fork.in_child = shared_in_child;
  sb_priv_fork_hold();
  sb_priv_fork_add(&made->fork);
  sb_priv_fork_release();
  *memory = &made->base;
  return SB_OK;
}

sb_priv_segment *sb_priv_segment_of(const sb_block *block) {
  const sb_memory *origin = sb_priv_memory_origin(block->memory);
  if (origin->provider != &shared_provider) return NULL;
  sb_priv_segment *segment = block->token;
  return segment->generation == ((const sb_priv_shared *)origin)->generation ? segment : NULL;
}
