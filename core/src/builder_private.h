#ifndef SB_BUILDER_PRIVATE_H
#define SB_BUILDER_PRIVATE_H

/* What the .c files of the builder share. */

#include <stddef.h>
#include <stdint.h>

#include <samebytes/builder.h>

/* Writes a message to `frame`, which has `room` bytes, and returns how many it took; 0 where it is not plain (builder_plain.c says what that
 * is), and the room holds anything. */
size_t sb_priv_write_plain(uint8_t *frame, size_t room, const sb_schema *schema, int8_t sequence, const sb_value *values);

#endif
