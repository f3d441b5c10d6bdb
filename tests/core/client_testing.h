#ifndef CLIENT_TESTING_H
#define CLIENT_TESTING_H

/* What the tests of the client share: what callbacks told of each request. */

#include "codec_testing.h"

enum {
  REQUESTS_MAX = 2000
};

/* What callbacks told, by tag. */
typedef struct told {
  size_t answers[REQUESTS_MAX];
  sb_status status[REQUESTS_MAX];
  int64_t number[REQUESTS_MAX]; /* the first value of the answer */
  size_t count;
} told;

/* Notes one call of the callback, whose answers have `wanted` values. */
static inline void told_note(told *all, uint64_t tag, sb_status status, const sb_row *row, const sb_value *values, size_t value_count,
                             size_t wanted) {
  assert_true(tag < REQUESTS_MAX);
  assert_int_equal(status == SB_OK, row != NULL && values != NULL && value_count == wanted);
  all->answers[tag]++;
  all->status[tag] = status;
  if (status == SB_OK) all->number[tag] = values[0].number;
  all->count++;
}

#endif
