#ifndef LENDING_TESTING_H
#define LENDING_TESTING_H

/* A provider for models: it lends blocks of odd sizes, counts those that are out, and fails when told to. */

#include "memory_testing.h"

typedef struct lender {
  size_t size_first;                     /* of the blocks of one call */
  size_t factor, step, modulo, size_min; /* the next size is (size * factor + step) % modulo + size_min */
  size_t lent_by_failing;                /* bytes that a call which fails has lent at the most before */
  long reserves_until_failure;           /* 0: none fails */
  long blocks_lent;
} lender;

static inline sb_status lend_blocks(void *context, size_t min_bytes, void *sink) {
  lender *self = context;
  const bool fails = self->reserves_until_failure > 0 && --self->reserves_until_failure == 0;
  size_t size = self->size_first;
  for (size_t given = 0; given < min_bytes; given += size, size = (size * self->factor + self->step) % self->modulo + self->size_min) {
    if (fails && given > self->lent_by_failing) return SB_NO_MEMORY;
    uint8_t *data = malloc(size);
    const sb_status status = data == NULL ? SB_NO_MEMORY : sb_sink_add(sink, data, size, data, 0, NULL);
    if (status != SB_OK) {
      free(data);
      return status;
    }
    self->blocks_lent++;
  }
  return fails ? SB_NO_MEMORY : SB_OK;
}

static inline void take_block_back(void *context, void *token) {
  ((lender *)context)->blocks_lent--;
  free(token);
}

static inline sb_memory *open_called(lender *self) {
  const sb_memory_functions functions = {
      .struct_size = sizeof functions, .context = self, .reserve = lend_blocks, .release = take_block_back};
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_callback(&functions, &memory));
  return memory;
}

#endif
