#ifndef SAMEBYTES_COLUMN_H
#define SAMEBYTES_COLUMN_H

#include <samebytes/status.h>

SB_BEGIN_DECLS

/** # Columns: one part of many messages or visits, in arrays
 *
 *  sb_builder_add_columns and sb_visit_manager_add_visit_columns take many messages or visits in one call, as one array per field. The
 *  columns that sb_batch_get_column shows have this form, so that what was received can be added without a copy in between.
 *
 *      // "one", "", "three"
 *      const int32_t lengths[] = {3, 0, 5};
 *      const sb_column column = {.values = "onethree", .size = 8, .lengths = lengths, .length_count = 3};
 *
 *  ## Ownership
 *  A column borrows its arrays.
 *
 *  ## Threads and fork
 *  Do not change an array while a call reads it. If you do, the call either fails, usually with SB_OUT_OF_RANGE, or adds a mixture of what
 *  the arrays held during the call; nothing is written out of bounds.
 *
 *  ## Errors
 *  A function that takes columns checks them: SB_INVALID_ARGUMENT where an array lacks what is needed, SB_OUT_OF_RANGE for an offset and a
 *  length that lie outside the values.
 *
 *  ## Limits
 *  One string has at most 2^31-1 bytes; the function that takes it may allow fewer. */

/** The values of one field for many messages, or of url or text for many visits, as sb_batch_get_column gives them (its parts are these
 *  members). Frozen: it never grows.
 *
 *  | field | values | offsets, lengths | item_offsets, item_lengths |
 *  |---|---|---|---|
 *  | integer | integers as wide as the field, or int64, one per message | | |
 *  | string | bytes | of the string of each message, in bytes | |
 *  | array of an integer | items, as wide as the field's | of the array of each message, in items | |
 *  | array of string | bytes | of the array of each message, in strings | of each string, in bytes |
 *
 *  Integers are in the machine's own byte order and aligned. Without offsets, strings and arrays are contiguous. The url and the text of a
 *  visit are strings. */
typedef struct sb_column {
  SB_NULLABLE SB_COUNT(size) const void *values;                       /**< see above */
  size_t size;                                                         /**< bytes of values */
  SB_NULLABLE SB_COUNT(offset_count) const int64_t *offsets;           /**< see above */
  size_t offset_count;                                                 /**< one per message */
  SB_NULLABLE SB_COUNT(length_count) const int32_t *lengths;           /**< see above */
  size_t length_count;                                                 /**< one per message */
  SB_NULLABLE SB_COUNT(item_offset_count) const int64_t *item_offsets; /**< see above */
  size_t item_offset_count;                                            /**< one per string */
  SB_NULLABLE SB_COUNT(item_length_count) const int32_t *item_lengths; /**< see above */
  size_t item_length_count;                                            /**< one per string */
} sb_column;

SB_END_DECLS

#endif
