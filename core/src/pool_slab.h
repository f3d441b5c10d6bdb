#ifndef SB_POOL_SLAB_H
#define SB_POOL_SLAB_H

/* Slabs: the memory that a pool's blocks are cut from, and the map that finds a slab from any address. Private to the pool. */

#include <samebytes/pool.h>

#include "internal.h"

#define SB_PRIV_SLAB_ALIGNMENT ((size_t)1 << 21) /* bytes; slabs begin and end at multiples of it */
#define SB_PRIV_SLAB_BLOCKS_MAX 4096u
#define SB_PRIV_BLOCK_NONE 0xffffu /* an index that no block has */

/* Where a block is. */
enum {
  SB_PRIV_BLOCK_FRESH = 0, /* never used, or given back to the system */
  SB_PRIV_BLOCK_KEPT,      /* free, kept for reuse */
  SB_PRIV_BLOCK_OUT,       /* handed out by sb_pool_get */
  SB_PRIV_BLOCK_COUNTED,   /* handed out as an sb_block */
  SB_PRIV_BLOCK_LEAVING,   /* being poisoned on its way back */
};

typedef struct sb_priv_record {
  _Atomic uint8_t state;
  uint8_t reserved;
  uint16_t next; /* index of the next block in the list that this one is in */
} sb_priv_record;

/* The lists of a class that a slab can be in. */
enum {
  SB_PRIV_SLAB_HAS_KEPT,
  SB_PRIV_SLAB_HAS_FRESH,
  SB_PRIV_SLAB_LISTS
};

/* A slab's header. It lies apart from the data, so that an overrun of a block does not reach it. Headers are recycled but never freed,
 * because a wrong put may look at the header of a slab that goes away at the same moment; whoever finds one by sb_priv_slab_find locks
 * its pool and asks again. All but `pool` changes only under that lock. */
typedef struct sb_priv_slab {
  _Atomic(sb_pool *) pool;
  uint8_t *data;
  size_t size;         /* mapped bytes */
  uint64_t inverse;    /* of stride; 0 when there is one block */
  size_t stride;       /* bytes from block to block */
  uint32_t block_size; /* bytes of a block that are handed out */
  uint32_t block_count;
  uint32_t class_index;
  uint32_t out_count; /* blocks that are handed out */
  uint32_t kept_count;
  uint32_t used_count;     /* blocks before this index have been used; the others are still zero */
  uint16_t kept_first;     /* list of kept blocks */
  uint16_t fresh_first;    /* list of blocks that were given back to the system */
  sb_priv_record *records; /* one per block */
  sb_block *blocks;        /* headers for those handed out as sb_block, one per block, untouched until needed */
  struct sb_priv_slab *next[SB_PRIV_SLAB_LISTS];
  struct sb_priv_slab *previous[SB_PRIV_SLAB_LISTS];
} sb_priv_slab;

/* What a slab is made for. */
typedef struct sb_priv_slab_shape {
  sb_pool *pool;
  uint32_t class_index;
  uint32_t block_size; /* bytes, 1 to SB_BLOCK_SIZE_MAX */
  uint32_t alignment;  /* a power of two, SB_PRIV_BLOCK_ALIGNMENT_MIN to SB_POOL_ALIGNMENT_MAX */
  bool single;         /* one block only, whatever fits */
  bool small_pages;    /* spares memory: no huge page for the first touched byte */
  const char *name;    /* shown in /proc/PID/maps; empty: none */
} sb_priv_slab_shape;

#define SB_PRIV_BLOCK_ALIGNMENT_MIN 64u /* bytes: what sb_block_data promises, and no two blocks share a cache line */

/* Maps memory for a slab and makes it findable. */
sb_status sb_priv_slab_open(const sb_priv_slab_shape *shape, sb_priv_slab **slab);
/* Makes the slab unfindable. */
void sb_priv_slab_hide(sb_priv_slab *slab);
/* Unmaps a hidden slab. */
void sb_priv_slab_close(sb_priv_slab *slab);
/* The slab whose memory `data` lies in, or NULL. Takes no lock and touches no memory but the map. */
sb_priv_slab *sb_priv_slab_find(const void *data);
/* Gives the pages of a block back to the system, as far as it has them for itself. */
void sb_priv_slab_discard(const sb_priv_slab *slab, uint32_t index);
/* For fork: nobody is changing the free headers while they are locked. */
void sb_priv_slab_lock(void);
void sb_priv_slab_unlock(void);

/* The index of the block that begins at `data`, or SB_PRIV_BLOCK_NONE. */
static inline uint32_t sb_priv_slab_index(const sb_priv_slab *slab, const void *data) {
  const size_t offset = (size_t)((uintptr_t)data - (uintptr_t)slab->data);
  if (offset >= slab->size) return SB_PRIV_BLOCK_NONE;
  /* offset / stride without dividing: exact below 2^21, and slabs with more than one block have no more bytes. */
  const uint32_t index = slab->inverse == 0 ? 0 : (uint32_t)(offset * slab->inverse >> 43);
  return index < slab->block_count && index * slab->stride == offset ? index : SB_PRIV_BLOCK_NONE;
}

static inline uint8_t *sb_priv_slab_data(const sb_priv_slab *slab, uint32_t index) { return slab->data + index * slab->stride; }

#endif
