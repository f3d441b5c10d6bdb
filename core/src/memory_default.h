#ifndef SB_MEMORY_DEFAULT_H
#define SB_MEMORY_DEFAULT_H

/* NULL as a provider: the default pool of the process. Whoever takes a provider from a caller gets blocks by way of this header. */

#include "block.h"

/* The default pool as a provider, made at first use; borrowed. */
sb_status sb_priv_memory_default(sb_memory **memory);

/* Gets one block of any size from `memory`, NULL being the default pool, for a caller who wants `size` bytes more. */
static inline sb_status sb_priv_block_get(sb_memory *memory, size_t size, sb_block **block) {
  if (memory == NULL) {
    const sb_status status = sb_priv_memory_default(&memory);
    if (status != SB_OK) return status;
  }
  return sb_priv_memory_reserve(memory, size, block);
}

/* Another owner of `memory`, the default pool if NULL, whose last handle may go at the same time; SB_CLOSED when it has gone. */
sb_status sb_priv_memory_open_any(sb_memory *memory, sb_memory **opened);

#endif
