#ifndef SB_SCHEMA_PRIVATE_H
#define SB_SCHEMA_PRIVATE_H

/* The layout of a schema: builder and parser walk over its types for every message. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <samebytes/schema.h>

#include "owners.h"

struct sb_schema {
  sb_priv_owners owners;
  int32_t direction;
  int8_t api_key;
  uint16_t field_count;
  bool plain;              /* no field is an array of strings: builder_plain.c can write its messages */
  uint32_t smallest_frame; /* bytes of a frame whose strings and arrays are empty, Size and header included */
  char name[SB_FIELD_NAME_MAX + 1];
  uint8_t types[SB_SCHEMA_FIELDS_MAX + 1]; /* SB_TYPE_..., one per field; then 0 */
  char names[][SB_FIELD_NAME_MAX + 1];     /* one per field */
};

/* Whether messages and fields may be called so. */
bool sb_priv_name_is_valid(const char *name);

/* Bytes of an integer of `type`, or of an item of an array of integers; 0 for the types that hold strings. */
static inline size_t sb_priv_type_width(uint8_t type) {
  static const uint8_t widths[] = {0, 1, 2, 4, 8, 0, 1, 2, 4, 8, 0};
  return widths[type];
}

#endif
