#ifndef SB_SHARED_PRIVATE_H
#define SB_SHARED_PRIVATE_H

/* What the provider of shared memory and channels know of each other: segments. */

#include <pthread.h>
#include <stdatomic.h>

#include <samebytes/shared.h>

#include "block.h"
#include "owners.h"
#include "system.h"

typedef struct sb_priv_shared sb_priv_shared;

/* A file of anonymous memory, mapped, that holds blocks of one size. Its owners are its provider, while that may give or take back blocks of
 * it, and the channels that the peer knows it from. What follows `data` belongs to the provider. */
typedef struct sb_priv_segment {
  sb_priv_owners owners;
  int file;
  uint8_t *data;
  size_t size;
  atomic_bool left;                      /* to a receiver, who may go on reading it: blocks of it that come back are never given again */
  struct sb_priv_segment *next, *before; /* in a list of the provider, or both NULL */
  uint64_t generation;                   /* of the provider when it was made */
  uint32_t block_size;
  uint32_t list; /* index of the list of the provider for its size */
  uint32_t block_count;
  uint32_t out;        /* blocks */
  uint32_t free_count; /* indexes in `free` */
  uint32_t *free;
  sb_block blocks[];
} sb_priv_segment;

/* The segment that `block` lies in; NULL when it is none of a shared provider of this process. */
sb_priv_segment *sb_priv_segment_of(const sb_block *block);
void sb_priv_segment_release(sb_priv_segment *segment);

static inline sb_priv_segment *sb_priv_segment_retain(sb_priv_segment *segment) {
  sb_priv_owners_add(&segment->owners, 1);
  return segment;
}

#endif
