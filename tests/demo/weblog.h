#ifndef WEBLOG_H
#define WEBLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A line of a web log in the common or combined format, without its LF, and what the demo sends of it. */
typedef struct weblog_line {
  const uint8_t *bytes;
  size_t size;
  const uint8_t *target; /* part of bytes; NULL where the line is out of shape */
  size_t target_size;
  int64_t time_ms;     /* since the epoch, UTC; 0 where the line is out of shape */
  int16_t metadata[3]; /* status, high and low half of the size */
  bool in_shape;
} weblog_line;

/* Takes the `size` bytes at `bytes` apart; the result points into them. */
weblog_line weblog_parse(const uint8_t *bytes, size_t size);

/* Whose visit the line is: the first field, up to the first space, as a big-endian number where it is an IPv4 address, otherwise its CRC-32C. */
uint32_t weblog_user(const weblog_line *line);

/* Its time as a visit has it; a time that 64-bit nanoseconds do not reach is the last millisecond, or the first, that they do. */
int64_t weblog_time_ns(const weblog_line *line);

#endif
