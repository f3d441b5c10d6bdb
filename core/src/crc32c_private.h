#ifndef SB_CRC32C_PRIVATE_H
#define SB_CRC32C_PRIVATE_H

/* The ways that sb_crc32c chooses from, for tests. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ways that sb_crc32c chooses from. The one by instruction may be called only where the CPU has it. */
uint32_t sb_priv_crc32c_table(uint32_t checksum, const void *data, size_t size);
uint32_t sb_priv_crc32c_cpu(uint32_t checksum, const void *data, size_t size);
bool sb_priv_crc32c_cpu_has(void);

#endif
