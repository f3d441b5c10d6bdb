//go:build !samebytes_shared

/* What stands on the pool as well as on the other providers: the default one, and the count of all blocks. */

#include "memory_default.h"
#include "pool_private.h"

sb_status sb_priv_memory_default(sb_memory **memory) {
  sb_pool *pool = NULL;
  const sb_status status = sb_priv_pool_default(&pool);
  if (status == SB_OK) *memory = &pool->memory;
  return status;
}

sb_status sb_memory_open_default(sb_memory **memory) {
  if (memory == NULL) return SB_INVALID_ARGUMENT;
  sb_memory *made = NULL;
  const sb_status status = sb_priv_memory_default(&made);
  if (status == SB_OK) *memory = sb_memory_retain(made);
  return status;
}

sb_status sb_priv_memory_open_any(sb_memory *memory, sb_memory **opened) {
  return memory == NULL ? sb_memory_open_default(opened) : sb_priv_memory_open(memory, opened);
}

int64_t sb_memory_live_blocks(void) { return sb_priv_live_blocks() + sb_priv_pools_live_blocks(); }
