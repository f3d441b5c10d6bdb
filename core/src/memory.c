//go:build !samebytes_shared

/* What every provider has in common (owners, counts), and the providers that need no more than that: heap and fixed.
 *
 * Counting happens here and at one place, so that no provider can forget it; only the pool counts by itself, because threads that share a pool
 * would wait for each other at every count. Invariant, per provider: reserves - releases is the number of blocks that are out; each of them
 * holds one owner of its provider, unless that counts by itself. */

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "error_private.h"
#include "options.h"
#include "owners.h"
#include "steps.h"

static atomic_int_least64_t other_blocks; /* those that are out, of all providers but pools */

void sb_priv_memory_init(sb_memory *memory, const sb_priv_provider *provider) {
  memory->provider = provider;
  atomic_init(&memory->owners, 1);
  atomic_init(&memory->reserves, 0);
  atomic_init(&memory->releases, 0);
  atomic_init(&memory->live_bytes, 0);
  atomic_init(&memory->failures, 0);
}

static void count(_Atomic uint64_t *counter, uint64_t change) { atomic_fetch_add_explicit(counter, change, memory_order_relaxed); }

sb_status sb_priv_memory_reserve(sb_memory *memory, size_t size, sb_block **block) {
  assert(size > 0);
  if (size > SB_BLOCK_SIZE_MAX) size = SB_BLOCK_SIZE_MAX; /* the caller asks again for the rest */
  const sb_status status = memory->provider->get(memory, size, block);
  if (status != SB_OK) {
    count(&memory->failures, 1);
    return status;
  }
  assert((*block)->size > 0 && (*block)->memory == memory);
  if (memory->provider->count == NULL) sb_priv_block_count(*block);
  return SB_OK;
}

void sb_priv_block_count(const sb_block *block) {
  sb_priv_owners_add(&block->memory->owners, 1);
  count(&block->memory->reserves, 1);
  count(&block->memory->live_bytes, block->size);
}

void sb_priv_block_free(sb_block *block) {
  sb_memory *memory = block->memory;
  const bool counts_itself = memory->provider->count != NULL;
  if (!counts_itself) {
    count(&memory->releases, 1);
    count(&memory->live_bytes, 0 - (uint64_t)block->size);
  }
  memory->provider->put(block);
  if (!counts_itself) sb_memory_close(memory);
}

void sb_priv_live_blocks_add(int64_t change) { atomic_fetch_add_explicit(&other_blocks, change, memory_order_relaxed); }

int64_t sb_priv_live_blocks(void) { return atomic_load(&other_blocks); }

/* ---- handles ---- */

sb_status sb_priv_memory_open(sb_memory *memory, sb_memory **opened) {
  /* Blocks of a pool are no owners of it: its last handle may be gone while they are out. */
  uint64_t owners = atomic_load_explicit(&memory->owners, memory_order_relaxed);
  do {
    SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, memory);
    if (owners == 0) return SB_CLOSED;
  } while (!atomic_compare_exchange_weak(&memory->owners, &owners, owners + 1));
  *opened = memory;
  return SB_OK;
}

sb_memory *sb_memory_retain(sb_memory *memory) {
  if (memory != NULL) sb_priv_owners_add(&memory->owners, 1);
  return memory;
}

void sb_memory_close(sb_memory *memory) {
  if (memory == NULL) return;
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, memory);
  if (sb_priv_owners_remove(&memory->owners, 1)) memory->provider->retire(memory);
}

sb_status sb_memory_get_block(sb_memory *memory, size_t size, sb_block **block) {
  if (memory == NULL || block == NULL || size == 0 || size > SB_BLOCK_SIZE_MAX) return SB_INVALID_ARGUMENT;
  sb_block *made = NULL;
  const sb_status status = sb_priv_memory_reserve(memory, size, &made);
  if (status != SB_OK) return status;
  if (made->size < size) {
    sb_priv_block_release(made);
    return SB_PROVIDER;
  }
  *block = made;
  return SB_OK;
}

sb_status sb_memory_get_stats(sb_memory *memory, sb_memory_stats *stats) {
  if (memory == NULL || stats == NULL) return SB_INVALID_ARGUMENT;
  sb_memory_stats now = {
      .reserves = atomic_load(&memory->reserves),
      .releases = atomic_load(&memory->releases),
      .live_bytes = atomic_load(&memory->live_bytes),
      .failures = atomic_load(&memory->failures),
  };
  if (memory->provider->count != NULL) memory->provider->count(memory, &now);
  return sb_priv_fill(stats, &now, sizeof now);
}

sb_status sb_priv_fill(void *out, const void *ours, size_t size) {
  uint32_t out_size;
  memcpy(&out_size, out, sizeof out_size);
  if (out_size < size) return SB_INVALID_ARGUMENT; /* every structure still has the size of 1.0, and none is smaller */
  uint8_t *bytes = out;
  memcpy(bytes + sizeof out_size, (const uint8_t *)ours + sizeof out_size, size - sizeof out_size);
  memset(bytes + size, 0, out_size - size); /* what a newer caller knows and we do not */
  return SB_OK;
}

void sb_priv_options_init(void *options, size_t struct_size) {
  const uint32_t size = struct_size > UINT32_MAX ? UINT32_MAX : (uint32_t)struct_size;
  if (options == NULL || struct_size < sizeof size) return;
  memset(options, 0, struct_size);
  memcpy(options, &size, sizeof size); /* each begins with its struct_size */
}

sb_status sb_priv_options_read(void *ours, size_t size, const void *options, size_t size_1_0) {
  uint32_t given = 0;
  memset(ours, 0, size);
  if (options != NULL) memcpy(&given, options, sizeof given);
  if (options != NULL && given < size_1_0) return SB_INVALID_ARGUMENT;
  for (size_t i = size; i < given; i++)
    if (((const uint8_t *)options)[i] != 0) return SB_UNSUPPORTED;
  if (options != NULL) memcpy(ours, options, given < size ? given : size);
  return SB_OK;
}

/* ---- blocks ---- */

sb_block *sb_block_retain(sb_block *block) { return block == NULL ? NULL : sb_priv_block_retain(block); }

void *sb_block_data(const sb_block *block) { return block == NULL ? NULL : block->data; }

size_t sb_block_size(const sb_block *block) { return block == NULL ? 0 : block->size; }

bool sb_block_is_exclusive(const sb_block *block) { return block != NULL && sb_priv_block_exclusive(block); }

sb_status sb_block_memory(const sb_block *block, sb_memory **memory) {
  if (block == NULL || memory == NULL) return SB_INVALID_ARGUMENT;
  return sb_priv_memory_open(block->memory, memory);
}

sb_status sb_block_set_metadata(sb_block *block, uint64_t key, const void *metadata) {
  if (block == NULL) return SB_INVALID_ARGUMENT;
  if (!sb_priv_block_exclusive(block)) return SB_BUSY;
  block->key = key;
  block->metadata = metadata;
  return SB_OK;
}

sb_status sb_block_get_metadata(const sb_block *block, uint64_t *key, const void **metadata) {
  if (block == NULL || key == NULL || metadata == NULL) return SB_INVALID_ARGUMENT;
  *key = block->key;
  *metadata = block->metadata;
  return SB_OK;
}

void sb_block_close(sb_block *block) {
  if (block != NULL) sb_priv_block_release(block);
}

/* ---- heap and fixed: header and bytes in one allocation ---- */

#define HEAP_ALIGNMENT 64u /* what sb_block_data promises; also the size of the header's place */

static_assert(sizeof(sb_block) <= HEAP_ALIGNMENT, "the header of a heap block has its place before the bytes");

typedef struct heap_memory {
  sb_memory base;
  uint32_t block_size; /* of every block; 0: as asked for */
} heap_memory;

static sb_status heap_get(sb_memory *memory, size_t size, sb_block **block) {
  const heap_memory *heap = (const heap_memory *)memory;
  if (heap->block_size != 0) size = heap->block_size;
  const size_t rounded = (HEAP_ALIGNMENT + size + HEAP_ALIGNMENT - 1) / HEAP_ALIGNMENT * HEAP_ALIGNMENT;
  sb_block *made = aligned_alloc(HEAP_ALIGNMENT, rounded);
  if (made == NULL) return SB_NO_MEMORY;
  *made = (sb_block){.owners = 1, .size = (uint32_t)size, .data = (uint8_t *)made + HEAP_ALIGNMENT, .memory = memory};
  *block = made;
  sb_priv_live_blocks_add(1);
  return SB_OK;
}

static void heap_put(sb_block *block) {
  sb_priv_live_blocks_add(-1);
  free(block);
}

static void heap_retire(sb_memory *memory) { free(memory); }

static const sb_priv_provider heap_provider = {.get = heap_get, .put = heap_put, .retire = heap_retire};

static sb_status heap_open(uint32_t block_size, sb_memory **memory) {
  heap_memory *heap = malloc(sizeof *heap);
  if (heap == NULL) return SB_NO_MEMORY;
  sb_priv_memory_init(&heap->base, &heap_provider);
  heap->block_size = block_size;
  *memory = &heap->base;
  return SB_OK;
}

sb_status sb_memory_open_heap(sb_memory **memory) { return memory == NULL ? SB_INVALID_ARGUMENT : heap_open(0, memory); }

sb_status sb_memory_open_fixed(uint32_t block_size, sb_memory **memory) {
  if (memory == NULL || block_size == 0 || block_size > SB_BLOCK_SIZE_MAX) return SB_INVALID_ARGUMENT;
  return heap_open(block_size, memory);
}

/* ---- a second image of the library ---- */

sb_status sb_memory_check_instance(const sb_memory *memory, sb_error *error) {
  if (memory == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "memory is NULL");
  return sb_priv_memory_check_image(memory, "memory", error);
}

sb_status sb_block_check_instance(const sb_block *block, sb_error *error) {
  if (block == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "block is NULL");
  return sb_priv_memory_check_image(block->memory, "block", error);
}
