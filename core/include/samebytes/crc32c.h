#ifndef SAMEBYTES_CRC32C_H
#define SAMEBYTES_CRC32C_H

#include <samebytes/status.h>

SB_BEGIN_DECLS

/** # CRC-32C: a checksum against accidental damage
 *
 *  The Castagnoli polynomial 0x1EDC6F41, reflected, as RFC 3720 (iSCSI), appendix B.4, and the SSE4.2 `crc32` instruction compute it.
 *  The CPU's instruction is used where there is one, a table otherwise; both give the same result.
 *
 *      uint32_t checksum = sb_crc32c(0, "123456789", 9); // 0xE3069283
 *
 *  ## Ownership
 *  Nothing is kept.
 *
 *  ## Threads and fork
 *  Any thread.
 *
 *  ## Errors
 *  None.
 *
 *  ## Limits
 *  Any size. It does not protect against deliberate changes. */

/** Returns the CRC-32C of the `size` bytes at `data`, continued from `checksum`, which is 0 at the start: the checksum of two pieces is
 *  sb_crc32c(sb_crc32c(0, a, a_size), b, b_size).
 *
 *  Ownership: `data` is borrowed for the call.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_FUNCTION uint32_t sb_crc32c(uint32_t checksum, SB_IN SB_COUNT(size) const void *data, size_t size);

SB_END_DECLS

#endif
