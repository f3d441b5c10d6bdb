#ifndef SAMEBYTES_THING_H
#define SAMEBYTES_THING_H

#include <samebytes/status.h>

/** # Thing: a header that says enough, for tests to spoil
 *
 *  It has one of each that the generator knows.
 *
 *  ## Ownership
 *  None.
 *
 *  ## Threads and fork
 *  Any.
 *
 *  ## Errors
 *  None.
 *
 *  ## Limits
 *  None. */

#define SB_THING_MAX 0x10u /* things */

/** What colour it has. */
enum {
  SB_COLOUR_RED = -1, /**< red */
  SB_COLOUR_BLUE = 4
};

typedef struct sb_thing sb_thing;

/** A part of a thing. Frozen: it never grows. */
typedef struct sb_part {
  int64_t number; /**< any */
  SB_NULLABLE SB_COUNT(size) const void *data;
  size_t size;
} sb_part;

/** How a thing works. */
typedef struct sb_thing_options {
  uint32_t struct_size; /**< bytes */
  uint32_t colour;      /**< SB_COLOUR_... */
} sb_thing_options;

/** Fills `options` with the defaults.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_INIT void sb_thing_options_init(SB_OUT sb_thing_options *options, size_t struct_size);

/** Makes a thing.
 *
 *  Ownership: the caller closes `*thing`.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_thing_open(SB_IN SB_NULLABLE const sb_thing_options *options, SB_OUT SB_OWNED sb_thing **thing);

/** Uses the bytes at `data`.
 *
 *  Ownership: none.
 *  Threads: any,
 *  but not many.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_thing_use(sb_thing *thing, SB_IN SB_COUNT(size) const void *data, size_t size,
                                                    SB_OUT int64_t *number, SB_OUT SB_NULLABLE sb_error *error);

/** Lends the parts.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_thing_parts(const sb_thing *thing, SB_OUT SB_BORROWED(thing) SB_COUNT(count) const sb_part **parts,
                                          SB_OUT size_t *count);

/** Tells its name.
 *
 *  Ownership: a constant.      Threads: any.
 *  Errors: none.
 *  Since: 1.1 */
SB_API SB_METHOD SB_BORROWED(forever) const char *sb_thing_name(const sb_thing *thing);

/** Closes the thing.
 *
 *  Ownership: takes `thing`.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_thing_close(SB_TAKES SB_NULLABLE sb_thing *thing);

#endif
