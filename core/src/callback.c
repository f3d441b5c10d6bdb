//go:build !samebytes_shared

/* Providers of functions.
 *
 * reserve may give more than was asked for, and in more blocks; what is over waits in the provider for the next request. Invariant: each block
 * that was added is in the sink of a reserve that runs, spare, out, or waits for its release, and release is called once for it.
 *
 * With `defer` a block that comes back waits in a list of the process, and is an owner of its provider meanwhile; a provider whose last owner
 * has gone waits in another. Both are only added to, and taken as a whole, so they need no lock.
 *
 * A fork waits until nobody changes the spare blocks, so that the child can go on with its copy of them. What another thread had in hand at that
 * moment, in its reserve or its drain, the child has lost. */

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#ifndef NDEBUG
#include <unistd.h>
#endif

#include <samebytes/callback.h>

#include "block.h"
#include "error_private.h"
#include "memory_tracing.h"
#include "owners.h"
#include "system.h"

typedef struct given_block {
  sb_block block; /* first */
  struct given_block *next;
} given_block;

typedef struct callback_memory {
  sb_memory base;
  sb_memory_functions functions;
  struct callback_memory *next; /* in the list of those that wait for their end */
  sb_priv_fork_entry fork;
  pthread_mutex_t lock; /* of what follows; functions of the provider are called without it */
  given_block *spare;   /* in the order in which they were given */
  uint64_t spare_bytes;
  sb_error failure; /* the last one; status is SB_OK where there was none */
#ifndef NDEBUG
  atomic_size_t blocks; /* that were added, and not released */
  uint64_t process;     /* of which the provider is, in another one it is a copy */
#endif
} callback_memory;

/* What one call of reserve has given. */
typedef struct sink {
  callback_memory *memory;
  given_block *first, **last;
  uint64_t bytes;
  char message[sizeof((sb_error *)NULL)->message];
} sink;

static _Atomic(given_block *) waiting_blocks;
static _Atomic(callback_memory *) waiting_providers;

/* ---- the invariant ---- */

#ifdef NDEBUG
static void block_count(callback_memory *memory, int change) { (void)memory, (void)change; }
static void spare_check(const callback_memory *memory) { (void)memory; }
static void sink_check(const sink *given) { (void)given; }
static void end_check(const callback_memory *memory) { (void)memory; }
#else
static void block_count(callback_memory *memory, int change) {
  const size_t before = atomic_fetch_add(&memory->blocks, (size_t)change);
  assert(change > 0 || before > 0);
}

static size_t blocks_check(const callback_memory *memory, const given_block *first, uint64_t bytes) {
  size_t count = 0;
  for (const given_block *block = first; block != NULL; block = block->next, count++) {
    assert(block->block.memory == &memory->base && block->block.size > 0 && block->block.size <= bytes);
    assert(atomic_load_explicit(&block->block.owners, memory_order_relaxed) == 0); /* nobody has it */
    bytes -= block->block.size;
  }
  assert(bytes == 0);
  return count;
}

/* Called with the lock, where what is spare changes; looks at all of it every 64th time. */
static void spare_check(const callback_memory *memory) {
  static _Thread_local unsigned times;
  assert((memory->spare == NULL) == (memory->spare_bytes == 0));
  if (++times % 64 == 0 || memory->spare == NULL || memory->spare->next == NULL)
    assert(blocks_check(memory, memory->spare, memory->spare_bytes) <= atomic_load(&memory->blocks));
}

static void sink_check(const sink *given) {
  static _Thread_local unsigned times;
  assert((given->first == NULL) == (given->bytes == 0) && (given->first == NULL) == (given->last == &given->first));
  assert(*given->last == NULL);
  if (++times % 64 == 0) assert(blocks_check(given->memory, given->first, given->bytes) <= atomic_load(&given->memory->blocks));
}

/* When the last owner has gone, no block is out, waits, or is in a sink. A child may have lost some. */
static void end_check(const callback_memory *memory) {
  const size_t spare = blocks_check(memory, memory->spare, memory->spare_bytes);
  assert(memory->process == (uint64_t)getpid() ? spare == atomic_load(&memory->blocks) : spare <= atomic_load(&memory->blocks));
}
#endif

static void block_release(callback_memory *memory, given_block *block) {
  block_count(memory, -1);
  void *token = block->block.token;
  free(block);
  memory->functions.release(memory->functions.context, token);
}

static void blocks_release(callback_memory *memory, given_block *first) {
  while (first != NULL) {
    given_block *next = first->next;
    block_release(memory, first);
    first = next;
  }
}

static void fork_hold_lock(sb_priv_fork_entry *entry) {
  callback_memory *memory = (callback_memory *)((char *)entry - offsetof(callback_memory, fork));
  (void)pthread_mutex_lock(&memory->lock);
}

static void fork_release_lock(sb_priv_fork_entry *entry) {
  callback_memory *memory = (callback_memory *)((char *)entry - offsetof(callback_memory, fork));
  (void)pthread_mutex_unlock(&memory->lock);
}

static void provider_end(callback_memory *memory) {
  sb_priv_fork_hold();
  sb_priv_fork_remove(&memory->fork);
  sb_priv_fork_release();
  end_check(memory);
  blocks_release(memory, memory->spare);
  if (memory->functions.retire != NULL) memory->functions.retire(memory->functions.context);
  (void)pthread_mutex_destroy(&memory->lock);
  free(memory);
}

void sb_memory_drain(void) {
  given_block *blocks = atomic_exchange(&waiting_blocks, NULL);
  while (blocks != NULL) {
    given_block *next = blocks->next;
    callback_memory *memory = (callback_memory *)blocks->block.memory;
    block_release(memory, blocks);
    sb_memory_close(&memory->base); /* the block was an owner */
    blocks = next;
  }
  callback_memory *ended = atomic_exchange(&waiting_providers, NULL);
  while (ended != NULL) {
    callback_memory *next = ended->next;
    provider_end(ended);
    ended = next;
  }
}

/* ---- reserve ---- */

sb_status sb_sink_add(void *given, void *data, size_t size, void *token, uint64_t key, const void *metadata) {
  sink *into = given;
  if (into == NULL || data == NULL || size == 0) return SB_INVALID_ARGUMENT;
  sink_check(into);
  if (size > SB_BLOCK_SIZE_MAX) return SB_TOO_LARGE;
  given_block *made = calloc(1, sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  made->block.size = (uint32_t)size;
  made->block.data = data;
  made->block.memory = &into->memory->base;
  made->block.key = key;
  made->block.metadata = metadata;
  made->block.token = token;
  *into->last = made;
  into->last = &made->next;
  into->bytes += size;
  block_count(into->memory, 1);
  sink_check(into);
  return SB_OK;
}

void sb_sink_refuse(void *given, const char *message) {
  sink *into = given;
  if (into != NULL && message != NULL) (void)snprintf(into->message, sizeof into->message, "%s", message);
}

/* Takes a spare block: one of `size` bytes at least, or any while all of them together have as many. */
static given_block *spare_take(callback_memory *memory, size_t size) {
  spare_check(memory);
  given_block **place = &memory->spare;
  while (*place != NULL && (*place)->block.size < size) place = &(*place)->next;
  if (*place == NULL && memory->spare_bytes >= size) place = &memory->spare;
  given_block *taken = *place;
  if (taken == NULL) return NULL;
  *place = taken->next;
  memory->spare_bytes -= taken->block.size;
  spare_check(memory);
  return taken;
}

static sb_status failure_note(callback_memory *memory, sb_status status, const sink *given, size_t size) {
  sb_error failure;
  const bool short_of = status == SB_OK;
  if (status != SB_NO_MEMORY) status = SB_PROVIDER;
  if (given->message[0] != '\0')
    (void)sb_priv_error(&failure, status, NULL, "%s", given->message);
  else if (short_of)
    (void)sb_priv_error(&failure, status, NULL, "reserve gave %" PRIu64 " bytes of %zu", given->bytes, size);
  else
    (void)sb_priv_error(&failure, status, NULL, "reserve failed when it was asked for %zu bytes", size);
  (void)pthread_mutex_lock(&memory->lock);
  memory->failure = failure;
  (void)pthread_mutex_unlock(&memory->lock);
  return status;
}

static sb_status callback_get(sb_memory *base, size_t size, sb_block **block) {
  callback_memory *memory = (callback_memory *)base;
  if (memory->functions.defer) sb_memory_drain();
  (void)pthread_mutex_lock(&memory->lock);
  given_block *taken = spare_take(memory, size);
  (void)pthread_mutex_unlock(&memory->lock);
  if (taken == NULL) {
    sink given = {.memory = memory, .last = &given.first};
    const sb_status status = memory->functions.reserve(memory->functions.context, size, &given);
    if (status != SB_OK || given.bytes < size) {
      blocks_release(memory, given.first);
      return failure_note(memory, status, &given, size);
    }
    (void)pthread_mutex_lock(&memory->lock);
    given_block **end = &memory->spare;
    while (*end != NULL) end = &(*end)->next;
    *end = given.first;
    memory->spare_bytes += given.bytes;
    spare_check(memory);
    taken = spare_take(memory, size); /* there are enough: nobody takes between adding and this */
    (void)pthread_mutex_unlock(&memory->lock);
  }
  atomic_store_explicit(&taken->block.owners, 1, memory_order_relaxed);
  sb_priv_live_blocks_add(1);
  *block = &taken->block;
  return SB_OK;
}

static void callback_put(sb_block *block) {
  callback_memory *memory = (callback_memory *)block->memory;
  given_block *back = (given_block *)block;
  sb_priv_live_blocks_add(-1);
  if (!memory->functions.defer) {
    block_release(memory, back);
    return;
  }
  sb_priv_owners_add(&memory->base.owners, 1); /* it waits for the block, too */
  back->next = atomic_load_explicit(&waiting_blocks, memory_order_relaxed);
  while (!atomic_compare_exchange_weak(&waiting_blocks, &back->next, back)) {
  }
}

static void callback_retire(sb_memory *base) {
  callback_memory *memory = (callback_memory *)base;
  if (!memory->functions.defer) {
    provider_end(memory);
    return;
  }
  memory->next = atomic_load_explicit(&waiting_providers, memory_order_relaxed);
  while (!atomic_compare_exchange_weak(&waiting_providers, &memory->next, memory)) {
  }
}

static sb_status callback_failure(sb_memory *base, sb_error *error) {
  callback_memory *memory = (callback_memory *)base;
  (void)pthread_mutex_lock(&memory->lock);
  const sb_error failure = memory->failure;
  (void)pthread_mutex_unlock(&memory->lock);
  if (failure.status == SB_OK) return SB_NOT_FOUND;
  *error = failure;
  return SB_OK;
}

static const sb_priv_provider callback_provider = {
    .get = callback_get, .put = callback_put, .retire = callback_retire, .failure = callback_failure};

/* ---- opening, asking ---- */

sb_status sb_memory_open_callback(const sb_memory_functions *functions, sb_memory **memory) {
  if (functions == NULL || memory == NULL || functions->struct_size < sizeof *functions) return SB_INVALID_ARGUMENT;
  if (functions->reserve == NULL || functions->release == NULL) return SB_INVALID_ARGUMENT;
  for (size_t i = sizeof *functions; i < functions->struct_size; i++) /* functions that only a newer version knows */
    if (((const uint8_t *)functions)[i] != 0) return SB_UNSUPPORTED;
  callback_memory *made = calloc(1, sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  if (functions->defer) sb_memory_drain();
  sb_priv_memory_init(&made->base, &callback_provider);
  made->functions = *functions;
#ifndef NDEBUG
  made->process = (uint64_t)getpid();
#endif
  (void)pthread_mutex_init(&made->lock, NULL);
  made->fork.hold = fork_hold_lock;
  made->fork.release = fork_release_lock;
  sb_priv_fork_hold();
  sb_priv_fork_add(&made->fork);
  sb_priv_fork_release();
  *memory = &made->base;
  return SB_OK;
}

sb_status sb_memory_get_failure(sb_memory *memory, sb_error *error) {
  if (memory == NULL || error == NULL) return SB_INVALID_ARGUMENT;
  sb_memory *origin = (sb_memory *)(uintptr_t)sb_priv_memory_origin(memory);
  return origin->provider->failure == NULL ? SB_UNSUPPORTED : origin->provider->failure(origin, error);
}
