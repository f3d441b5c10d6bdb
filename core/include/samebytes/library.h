#ifndef SAMEBYTES_LIBRARY_H
#define SAMEBYTES_LIBRARY_H

#include <samebytes/status.h>

SB_BEGIN_DECLS

/** # Library: which samebytes this is
 *
 *  A program that loads the library at run time asks which version it got; two bindings in one process ask whether they share one
 *  library image, because only then do they share pools.
 *
 *      if (sb_version() >> 16 != SB_VERSION_MAJOR) return 1;
 *
 *  ## Ownership
 *  Nothing needs to be closed.
 *
 *  ## Threads and fork
 *  Any thread. A forked child keeps its parent's instance id.
 *
 *  ## Errors
 *  Only sb_check_instance can fail. sb_block_check_instance and its like (memory.h, view.h) find a second image by what it made.
 *
 *  ## Limits
 *  Each part of a version is at most 255, the major one 65535. */

#define SB_VERSION_MAJOR 1
#define SB_VERSION_MINOR 0
#define SB_VERSION_PATCH 0

/** Returns the version of the library that runs: major << 16 | minor << 8 | patch. A binding works with the same major and at least
 *  its own minor version.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_FUNCTION uint32_t sb_version(void);

/** Returns a digest of the annotated headers that the library was built from. It is for diagnosis; only the parts of one Python wheel must
 *  have the same. Programs compare sb_version().
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_FUNCTION uint64_t sb_abi_digest(void);

/** Returns a number that differs between any two images of the library, including two copies in one process. Equal numbers mean one image,
 *  and so one pool.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_FUNCTION uint64_t sb_instance_id(void);

/** Checks that `instance_id`, which another part of the process got from sb_instance_id, is that of this image. Handles and blocks of a
 *  second image must never be passed to this one: check first.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: SB_UNSUPPORTED when the other part uses a second image; the message says where this one is, and what to do.
 *  Since: 1.0 */
SB_API SB_FUNCTION sb_status sb_check_instance(uint64_t instance_id, SB_OUT SB_NULLABLE sb_error *error);

SB_END_DECLS

#endif
