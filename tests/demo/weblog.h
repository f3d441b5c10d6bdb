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

#endif
