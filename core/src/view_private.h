#ifndef SB_VIEW_PRIVATE_H
#define SB_VIEW_PRIVATE_H

/* Views for those that make them of blocks and spans. */

#include <samebytes/view.h>

#include "spans.h"

/* Under assert, for tests: what holds of a view between calls, of all its spans. */
#ifdef NDEBUG
static inline void sb_priv_view_check_all(const sb_view *view) { (void)view; }
#else
void sb_priv_view_check_all(const sb_view *view);
#endif

/* Makes a view of the `size` bytes of `spans` that start at `offset`, which must be there. */
sb_status sb_priv_view_open_range(const sb_priv_spans *spans, size_t offset, size_t size, sb_view **view);
/* Makes a view of all `spans`, which are empty then. */
sb_status sb_priv_view_open_all(sb_priv_spans *spans, sb_view **view);
/* The spans of a view. */
const sb_priv_spans *sb_priv_view_spans(const sb_view *view);

/* Removes the first `size` bytes of a view, which must be there. */
void sb_priv_view_skip(sb_view *view, size_t size);

/* Makes a view of `size` bytes at `data`, which lie in `block`; shares the block, whoever else does. */
sb_status sb_priv_view_open_span(sb_block *block, const uint8_t *data, size_t size, sb_view **view);

/* A number of `size` bytes at `data`, and the other way round. sb_priv_number_size says whether there is such a size and order. */
static inline bool sb_priv_number_valid(uint32_t size, int32_t order) {
  return (size == 1 || size == 2 || size == 4 || size == 8) && (order == SB_ORDER_BIG || order == SB_ORDER_LITTLE);
}
int64_t sb_priv_number_load(const uint8_t *data, uint32_t size, int32_t order);
void sb_priv_number_store(uint8_t *data, uint64_t bits, uint32_t size, int32_t order);

#endif
