#ifndef SB_WIRE_H
#define SB_WIRE_H

/* Bytes on the wire: the order of integers, and what stands before the fields of a frame. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Copies `count` integers of `width` bytes between the machine's byte order and big-endian; the copy is its own inverse. Neither side need be
 * aligned. */
void sb_priv_swap_copy(void *target, const void *source, size_t width, size_t count);

/* Integers on the wire are big-endian. memcpy is what makes an unaligned access defined; compilers turn it into one instruction. */
static inline uint16_t sb_priv_load16(const uint8_t *data) {
  uint16_t value;
  memcpy(&value, data, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap16(value);
#endif
  return value;
}

/* sb_priv_swap_copy for 4 items of 2 bytes. */
static inline void sb_priv_swap_four16(void *target, const void *source) {
  uint16_t four __attribute__((vector_size(8))); /* shifts of vectors take half the instructions of shifts and masks */
  memcpy(&four, source, sizeof four);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  four = four << 8 | four >> 8;
#endif
  memcpy(target, &four, sizeof four);
}

/* sb_priv_swap_copy for items of 2 bytes, of which there mostly are a few: then a call costs more than the work. */
static inline void sb_priv_swap_items16(void *target, const void *source, size_t count) {
  uint8_t *to = target;
  const uint8_t *from = source;
  if (count > 16) {
    sb_priv_swap_copy(to, from, 2, count);
    return;
  }
  for (; count >= 4; count -= 4, to += 8, from += 8) sb_priv_swap_four16(to, from);
  for (; count > 0; count--, to += 2, from += 2) {
    const uint16_t item = sb_priv_load16(from);
    memcpy(to, &item, sizeof item);
  }
}

static inline uint32_t sb_priv_load32(const uint8_t *data) {
  uint32_t value;
  memcpy(&value, data, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap32(value);
#endif
  return value;
}

static inline uint64_t sb_priv_load64(const uint8_t *data) {
  uint64_t value;
  memcpy(&value, data, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap64(value);
#endif
  return value;
}

static inline void sb_priv_store16(uint8_t *data, uint16_t value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap16(value);
#endif
  memcpy(data, &value, sizeof value);
}

static inline void sb_priv_store32(uint8_t *data, uint32_t value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap32(value);
#endif
  memcpy(data, &value, sizeof value);
}

static inline void sb_priv_store64(uint8_t *data, uint64_t value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap64(value);
#endif
  memcpy(data, &value, sizeof value);
}

/* A frame: Size, which does not count itself; api_key and sequence, which it counts; the fields. */
enum {
  SB_PRIV_SIZE_BYTES = 4,                                     /* of the field Size */
  SB_PRIV_ID_BYTES = 2,                                       /* api_key and sequence: the smallest Size */
  SB_PRIV_HEAD_BYTES = SB_PRIV_SIZE_BYTES + SB_PRIV_ID_BYTES, /* before the first field */
};

#endif
