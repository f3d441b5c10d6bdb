//go:build !samebytes_shared

/* Slabs: the memory that blocks are cut from. A slab begins at a multiple of 2 MiB, so the upper bits of any address say which slab it would
 * be in, and a map from those bits to slabs finds it. */

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "pool_private.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

static_assert(SB_PRIV_SLAB_ALIGNMENT == (size_t)1 << SB_PRIV_MAP_SLAB_BITS, "the map has one entry per alignment of a slab");
static_assert(SB_PRIV_SLAB_ALIGNMENT / SB_PRIV_BLOCK_ALIGNMENT_MIN == SB_PRIV_SLAB_BLOCKS_MAX, "no index of a block is out of range");
static_assert(SB_POOL_ALIGNMENT_MAX <= SB_PRIV_SLAB_ALIGNMENT, "the first block of a slab is aligned as the slab is");

/* ---- memory of the system ---- */

void *sb_priv_map_memory(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

/* Maps `size` bytes, a multiple of the alignment, at a multiple of the alignment. */
static uint8_t *map_aligned(size_t size) {
  const size_t larger = size + SB_PRIV_SLAB_ALIGNMENT;
  uint8_t *memory = sb_priv_map_memory(larger);
  if (memory == NULL) return NULL;
  const size_t before = -(uintptr_t)memory & (SB_PRIV_SLAB_ALIGNMENT - 1);
  uint8_t *aligned = memory + before;
  if (before > 0) (void)munmap(memory, before);
  (void)munmap(aligned + size, larger - size - before);
  if (((uintptr_t)aligned + size - 1) >> SB_PRIV_MAP_ADDRESS_BITS == 0) return aligned;
  (void)munmap(aligned, size);
  return NULL;
}

/* ---- the map from addresses to slabs ---- */

_Atomic(sb_priv_map_leaf *) sb_priv_map_root[(size_t)1 << SB_PRIV_MAP_ROOT_BITS];

static sb_priv_map_leaf *leaf_make(uintptr_t root_index) {
  sb_priv_map_leaf *leaf = atomic_load_explicit(&sb_priv_map_root[root_index], memory_order_acquire);
  if (leaf != NULL) return leaf;
  sb_priv_map_leaf *made = sb_priv_map_memory(sizeof *made);
  if (made == NULL) return NULL;
  if (atomic_compare_exchange_strong(&sb_priv_map_root[root_index], &leaf, made)) return made;
  (void)munmap(made, sizeof *made);
  return leaf;
}

/* Sets the map's entries for all memory of `slab` to `value`: the slab or NULL. */
static bool map_set(const sb_priv_slab *slab, sb_priv_slab *value) {
  const uintptr_t first = slab->data >> SB_PRIV_MAP_SLAB_BITS;
  const uintptr_t end = first + (slab->size >> SB_PRIV_MAP_SLAB_BITS);
  for (uintptr_t number = first; number < end; number++)
    if (leaf_make(number >> SB_PRIV_MAP_LEAF_BITS) == NULL) return false; /* only when the slab is new, before any entry is set */
  for (uintptr_t number = first; number < end; number++) {
    sb_priv_map_leaf *leaf = atomic_load_explicit(&sb_priv_map_root[number >> SB_PRIV_MAP_LEAF_BITS], memory_order_acquire);
    const uintptr_t index = number & (((uintptr_t)1 << SB_PRIV_MAP_LEAF_BITS) - 1);
    atomic_store_explicit(&leaf->slabs[index], value, memory_order_release);
  }
  return true;
}

/* ---- headers ---- */

/* Slabs of one block are many where blocks are large, so their headers are small. */
typedef struct single_header {
  sb_priv_slab slab;
  sb_priv_record record;
} single_header;

/* Pages are touched as blocks are used. */
typedef struct many_header {
  sb_priv_slab slab;
  sb_priv_record records[SB_PRIV_SLAB_BLOCKS_MAX];
} many_header;

#define SINGLE_HEADERS_MAPPED 64 /* at a time */
#define HEADER_KEPT_RECORDS 128  /* the others go back to the system with the slab */

static pthread_mutex_t headers_lock = PTHREAD_MUTEX_INITIALIZER;
static sb_priv_slab *free_singles; /* linked by next[0] */
static sb_priv_slab *free_manies;

void sb_priv_slab_lock(void) { (void)pthread_mutex_lock(&headers_lock); }

void sb_priv_slab_unlock(void) { (void)pthread_mutex_unlock(&headers_lock); }

static void header_push(sb_priv_slab **list, sb_priv_slab *slab) {
  slab->next[0] = *list;
  *list = slab;
}

/* Adds new headers to the list of free ones. */
static void headers_make(bool single) {
  if (single) {
    single_header *headers = sb_priv_map_memory(SINGLE_HEADERS_MAPPED * sizeof *headers);
    for (size_t i = 0; headers != NULL && i < SINGLE_HEADERS_MAPPED; i++) {
      headers[i].slab.records = &headers[i].record;
      header_push(&free_singles, &headers[i].slab);
    }
  } else {
    many_header *header = sb_priv_map_memory(sizeof *header);
    if (header == NULL) return;
    header->slab.records = header->records;
    header_push(&free_manies, &header->slab);
  }
}

static sb_priv_slab *header_get(bool single) {
  sb_priv_slab_lock();
  sb_priv_slab **list = single ? &free_singles : &free_manies;
  if (*list == NULL) headers_make(single);
  sb_priv_slab *slab = *list;
  if (slab != NULL) *list = slab->next[0];
  sb_priv_slab_unlock();
  return slab;
}

static void header_put(sb_priv_slab *slab) {
  const bool single = slab->inverse == 0;
  atomic_store(&slab->pool, NULL);
  for (uint32_t i = 0; i < slab->used_count; i++) sb_priv_record_set(&slab->records[i], SB_PRIV_BLOCK_FRESH);
  if (slab->used_count > HEADER_KEPT_RECORDS) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = ((uintptr_t)&slab->records[HEADER_KEPT_RECORDS] + page - 1) & -page;
    const uintptr_t end = (uintptr_t)&slab->records[SB_PRIV_SLAB_BLOCKS_MAX] & -page;
    (void)madvise((void *)first, end - first, MADV_DONTNEED);
  }
  sb_priv_slab_lock();
  header_push(single ? &free_singles : &free_manies, slab);
  sb_priv_slab_unlock();
}

/* ---- slabs ---- */

static void slab_name(const sb_priv_slab *slab, const char *name) {
  char text[80];
  (void)snprintf(text, sizeof text, "samebytes %s", name);
  (void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, (void *)slab->data, slab->size, text); /* older systems can't, and nothing depends on it */
}

static size_t stride_of(const sb_priv_slab_shape *shape) {
  return ((size_t)shape->block_size + shape->alignment - 1) & -(size_t)shape->alignment;
}

static bool is_single(const sb_priv_slab_shape *shape) {
  return shape->single || shape->guarded || stride_of(shape) > SB_PRIV_SLAB_ALIGNMENT / 2;
}

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static size_t pages_of(size_t size) { return (size + page_size() - 1) & -page_size(); }

/* Where a guarded block begins: as near to the page behind it as its alignment allows, with a page or more before it. */
static uint32_t guarded_front(const sb_priv_slab_shape *shape) {
  const size_t page = page_size(), stride = stride_of(shape);
  if (shape->alignment >= page) return shape->alignment;
  return (uint32_t)(page + pages_of(shape->block_size) - stride);
}

/* Fills the header of a new slab. */
static void header_fill(sb_priv_slab *slab, const sb_priv_slab_shape *shape) {
  const size_t stride = stride_of(shape);
  const size_t fitting = SB_PRIV_SLAB_ALIGNMENT / stride;
  const bool single = is_single(shape);
  slab->front = shape->guarded ? guarded_front(shape) : 0;
  const size_t bytes = slab->front + (size_t)shape->block_size + (shape->guarded ? 2 * page_size() : 0);
  slab->size = single ? (bytes + SB_PRIV_SLAB_ALIGNMENT - 1) & -SB_PRIV_SLAB_ALIGNMENT : SB_PRIV_SLAB_ALIGNMENT;
  slab->stride = (uint32_t)stride;
  slab->inverse = single ? 0 : (((uint64_t)1 << 43) + stride - 1) / stride;
  slab->block_count = single ? 1 : (uint32_t)fitting;
  slab->block_size = shape->block_size;
  slab->class_index = shape->class_index;
  slab->magazine_at = shape->magazine_at;
  slab->out_count = slab->kept_count = slab->used_count = 0;
  slab->kept_first = slab->fresh_first = SB_PRIV_BLOCK_NONE;
  for (int list = 0; list < SB_PRIV_SLAB_LISTS; list++) slab->next[list] = slab->previous[list] = NULL;
  atomic_store(&slab->pool, shape->pool);
}

/* Forbids all pages of a slab but those of its block. */
static bool guard_around(const sb_priv_slab *slab) {
  const size_t first = slab->front & -page_size(), end = pages_of((size_t)slab->front + slab->block_size);
  return mprotect((void *)slab->data, first, PROT_NONE) == 0 && mprotect((void *)(slab->data + end), slab->size - end, PROT_NONE) == 0;
}

void sb_priv_slab_guard(const sb_priv_slab *slab) {
  /* One mapping becomes part of its neighbours, so this cannot fail for want of mappings. */
  (void)madvise((void *)slab->data, slab->size, MADV_DONTNEED);
  (void)mprotect((void *)slab->data, slab->size, PROT_NONE);
}

sb_status sb_priv_slab_open(const sb_priv_slab_shape *shape, sb_priv_slab **slab) {
  sb_priv_slab *made = header_get(is_single(shape));
  if (made == NULL) return SB_NO_MEMORY;
  header_fill(made, shape);
  uint8_t *data = map_aligned(made->size);
  if (data == NULL) goto give_header_back;
  atomic_store(&made->data, (uintptr_t)data);
  if (shape->guarded && !guard_around(made)) goto unmap;
  if (!map_set(made, made)) goto unmap;
  if (shape->small_pages) (void)madvise(data, made->size, MADV_NOHUGEPAGE);
  if (shape->name[0] != '\0') slab_name(made, shape->name);
  *slab = made;
  return SB_OK;
unmap:
  (void)munmap(data, made->size);
give_header_back:
  header_put(made);
  return SB_NO_MEMORY;
}

void sb_priv_slab_close(sb_priv_slab *slab) {
  assert(slab->out_count == 0);
  (void)map_set(slab, NULL);
  (void)munmap((void *)slab->data, slab->size);
  header_put(slab);
}

void sb_priv_slab_discard(const sb_priv_slab *slab, uint32_t index) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  const uintptr_t begin = slab->data + (uintptr_t)index * slab->stride;
  const uintptr_t first = (begin + page - 1) & -page;
  const uintptr_t end = (begin + slab->stride) & -page;
  if (first < end) (void)madvise((void *)first, end - first, MADV_DONTNEED);
}
