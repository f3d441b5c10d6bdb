//go:build !samebytes_shared

/* Three ways to the same number: the CPU's instruction on x86-64 and on ARMv8, and a table for every other CPU. The table has eight rows,
 * so that eight bytes are looked up at once and do not wait for each other. */

#include <pthread.h>
#include <string.h>

#include <samebytes/crc32c.h>

#include "crc32c_private.h"
#include "wire.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1UL << 7)
#endif
#endif

#define POLYNOMIAL_REFLECTED 0x82f63b78u /* 0x1EDC6F41, lowest bit first */

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_make(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ (POLYNOMIAL_REFLECTED & (0u - (value & 1u)));
    table[0][byte] = value;
  }
  for (uint32_t byte = 0; byte < 256; byte++)
    for (int row = 1; row < 8; row++) table[row][byte] = (table[row - 1][byte] >> 8) ^ table[0][table[row - 1][byte] & 0xffu];
}

uint32_t sb_priv_crc32c_table(uint32_t checksum, const void *data, size_t size) {
  (void)pthread_once(&table_once, table_make);
  const uint8_t *bytes = data;
  uint32_t value = ~checksum;
  for (; size >= 8; size -= 8, bytes += 8) {
    const uint64_t word = __builtin_bswap64(sb_priv_load64(bytes)) ^ value; /* the first byte lowest, on any CPU */
    value = table[7][word & 0xffu] ^ table[6][word >> 8 & 0xffu] ^ table[5][word >> 16 & 0xffu] ^ table[4][word >> 24 & 0xffu] ^
            table[3][word >> 32 & 0xffu] ^ table[2][word >> 40 & 0xffu] ^ table[1][word >> 48 & 0xffu] ^ table[0][word >> 56];
  }
  for (; size > 0; size--, bytes++) value = (value >> 8) ^ table[0][(value ^ *bytes) & 0xffu];
  return ~value;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) uint32_t sb_priv_crc32c_cpu(uint32_t checksum, const void *data, size_t size) {
  const uint8_t *bytes = data;
  uint64_t value = ~checksum;
  for (; size >= 8; size -= 8, bytes += 8) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    value = __builtin_ia32_crc32di(value, word);
  }
  for (; size > 0; size--, bytes++) value = __builtin_ia32_crc32qi((uint32_t)value, *bytes);
  return ~(uint32_t)value;
}

bool sb_priv_crc32c_cpu_has(void) { return __builtin_cpu_supports("sse4.2") != 0; }

#elif defined(__aarch64__)

/* In assembly, because the names of the intrinsics and of the target attribute differ between compilers. */
uint32_t sb_priv_crc32c_cpu(uint32_t checksum, const void *data, size_t size) {
  const uint8_t *bytes = data;
  uint32_t value = ~checksum;
  for (; size >= 8; size -= 8, bytes += 8) {
    const uint64_t word = __builtin_bswap64(sb_priv_load64(bytes));
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(value) : "r"(word));
  }
  for (; size > 0; size--, bytes++) __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(value) : "r"((uint32_t)*bytes));
  return ~value;
}

bool sb_priv_crc32c_cpu_has(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }

#else

uint32_t sb_priv_crc32c_cpu(uint32_t checksum, const void *data, size_t size) { return sb_priv_crc32c_table(checksum, data, size); }

bool sb_priv_crc32c_cpu_has(void) { return false; }

#endif

uint32_t sb_crc32c(uint32_t checksum, const void *data, size_t size) {
  if (data == NULL) return checksum;
  return sb_priv_crc32c_cpu_has() ? sb_priv_crc32c_cpu(checksum, data, size) : sb_priv_crc32c_table(checksum, data, size);
}
