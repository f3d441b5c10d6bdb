//go:build !samebytes_shared

/* The provider that shows what is done with another one: it counts for itself, and lets a request fail. */

#include <stdlib.h>

#include "block.h"
#include "memory_default.h"
#include "memory_tracing.h"

/* Its blocks are those of `inner`; only their `memory` says that the way back leads through here. */
typedef struct tracing_memory {
  sb_memory base;
  sb_memory *inner;
  _Atomic uint64_t fail_in; /* requests until one fails, that one counted; 0: none fails */
} tracing_memory;

/* Counts one request, and tells whether it is the one that shall fail. */
static bool tracing_fails(tracing_memory *tracing) {
  uint64_t left = atomic_load_explicit(&tracing->fail_in, memory_order_relaxed);
  while (left > 0)
    if (atomic_compare_exchange_weak(&tracing->fail_in, &left, left - 1)) return left == 1;
  return false;
}

static sb_status tracing_get(sb_memory *memory, size_t size, sb_block **block) {
  tracing_memory *tracing = (tracing_memory *)memory;
  if (tracing_fails(tracing)) return SB_NO_MEMORY;
  const sb_status status = sb_priv_memory_reserve(tracing->inner, size, block);
  if (status == SB_OK) (*block)->memory = memory;
  return status;
}

static void tracing_put(sb_block *block) {
  block->memory = ((tracing_memory *)block->memory)->inner;
  sb_priv_block_free(block);
}

static void tracing_retire(sb_memory *memory) {
  sb_memory_close(((tracing_memory *)memory)->inner);
  free(memory);
}

static const sb_priv_provider tracing_provider = {.get = tracing_get, .put = tracing_put, .retire = tracing_retire};

sb_status sb_memory_open_tracing(sb_memory *inner, sb_memory **memory) {
  if (memory == NULL) return SB_INVALID_ARGUMENT;
  if (inner == NULL) {
    const sb_status status = sb_priv_memory_default(&inner);
    if (status != SB_OK) return status;
  }
  tracing_memory *tracing = malloc(sizeof *tracing);
  if (tracing == NULL) return SB_NO_MEMORY;
  sb_priv_memory_init(&tracing->base, &tracing_provider);
  tracing->inner = sb_memory_retain(inner);
  atomic_init(&tracing->fail_in, 0);
  *memory = &tracing->base;
  return SB_OK;
}

sb_status sb_memory_fail_reserve(sb_memory *memory, uint64_t nth) {
  if (memory == NULL) return SB_INVALID_ARGUMENT;
  if (memory->provider != &tracing_provider) return SB_UNSUPPORTED;
  atomic_store(&((tracing_memory *)memory)->fail_in, nth);
  return SB_OK;
}

const sb_memory *sb_priv_memory_origin(const sb_memory *memory) {
  while (memory->provider == &tracing_provider) memory = ((const tracing_memory *)memory)->inner;
  return memory;
}
