#ifndef SB_LIBRARY_PRIVATE_H
#define SB_LIBRARY_PRIVATE_H

/* How a second image of the library in the process is noticed. */

#include <samebytes/status.h>

/* SB_UNSUPPORTED, and which images these are, when `made`, an address of a static thing, lies in another image of the library. `what` is a
 * word for the message. */
sb_status sb_priv_check_image(const void *made, const char *what, sb_error *error);

#endif
