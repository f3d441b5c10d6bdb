#ifndef FAILING_MALLOC_H
#define FAILING_MALLOC_H

/* Lets the nth allocation of the code under test fail. A test that includes this says in its first lines:
 * link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */

#include <stddef.h>

static long allocations_until_failure; /* 0: none fails */

/* What the nth allocation does instead of failing: a moment in the middle of a call at which a test can change the caller's memory. */
static void (*allocation_does)(void);

static int allocation_fails(void) {
  if (allocations_until_failure <= 0 || --allocations_until_failure > 0) return 0;
  if (allocation_does == NULL) return 1;
  allocation_does();
  return 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) { return allocation_fails() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size) { return allocation_fails() ? NULL : __real_calloc(count, size); }

void *__wrap_realloc(void *data, size_t size);
void *__wrap_realloc(void *data, size_t size) { return allocation_fails() ? NULL : __real_realloc(data, size); }

#endif
