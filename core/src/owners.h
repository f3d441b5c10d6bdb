#ifndef SB_OWNERS_H
#define SB_OWNERS_H

/* How many own a thing. */

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Each count of owners has this type. 64 bits cannot be counted round: a thread that does nothing else needs a second for 2^28 owners, so
 * centuries for all. */
typedef _Atomic uint64_t sb_priv_owners;

/* Another owner, of a thing that the caller owns. */
static inline void sb_priv_owners_add(sb_priv_owners *owners, uint64_t count) {
  const uint64_t before = atomic_fetch_add_explicit(owners, count, memory_order_relaxed);
  assert(before > 0 && before <= UINT64_MAX - count);
  (void)before;
}

/* Takes `count` owners away. True if none is left: the caller then sees what all others wrote, and frees the thing. */
static inline bool sb_priv_owners_remove(sb_priv_owners *owners, uint64_t count) {
  const uint64_t before = atomic_fetch_sub_explicit(owners, count, memory_order_acq_rel);
  assert(before >= count);
  return before == count;
}

/* Becomes the second owner of a thing that has one; false where it has others. */
static inline bool sb_priv_owners_join_one(sb_priv_owners *owners) {
  uint64_t one = 1;
  return atomic_compare_exchange_strong(owners, &one, 2);
}

#endif
