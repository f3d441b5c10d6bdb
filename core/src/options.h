#ifndef SB_OPTIONS_H
#define SB_OPTIONS_H

/* Structures with a struct_size that the caller may have from another version. memory.c reads and fills them. */

#include <stddef.h>

#include <samebytes/status.h>

/* Copies the structure `ours`, which begins with its struct_size, to the caller's, which may be of another version: struct_size stays as the
 * caller set it, and what only a newer caller knows becomes 0. SB_INVALID_ARGUMENT when the caller's is smaller than version 1.0 had it. */
sb_status sb_priv_fill(void *out, const void *ours, size_t size);

/* What every sb_x_options_init does. */
void sb_priv_options_init(void *options, size_t struct_size);
/* Copies the caller's options, which may be of another version or NULL, to the structure `ours` of `size` bytes. What an older caller does not
 * know becomes 0, the default. SB_INVALID_ARGUMENT when they are smaller than version 1.0 had them (nobody filled them then), SB_UNSUPPORTED
 * when they say something that only a newer version knows. */
sb_status sb_priv_options_read(void *ours, size_t size, const void *options, size_t size_1_0);
/* The size of a structure up to the field that was its last in version 1.0. */
#define SB_PRIV_OPTIONS_1_0(type, last) (offsetof(type, last) + sizeof((type *)NULL)->last)

#endif
