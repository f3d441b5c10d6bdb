#ifndef FAILING_MEMORY_H
#define FAILING_MEMORY_H

/* Lets the nth request to the system fail, also those of aligned memory and of pages. A test that includes this says in its first lines:
 * link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */

#include <errno.h>
#include <sys/mman.h>

#include "failing_malloc.h"

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);

void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size) { return allocation_fails() ? NULL : __real_aligned_alloc(alignment, size); }

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
  if (!allocation_fails()) return __real_mmap(address, size, protection, flags, file, offset);
  errno = ENOMEM;
  return MAP_FAILED;
}

#endif
