/* The peer of the C codec: what a good programmer writes for Echo requests alone, for a program that has no other message. It checks all
 * that the library checks, fields are pointers into the frame, and metadata is swapped to native order. */
#ifndef SAMEBYTES_BENCH_ECHO_BY_HAND_H
#define SAMEBYTES_BENCH_ECHO_BY_HAND_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
  HAND_FRAME_SIZE_MAX = 1048576,
  HAND_ITEMS_MAX = 32767
};

typedef struct hand_request {
  int64_t timestamp;
  const uint8_t *subject;
  const int16_t *metadata;
  const uint8_t *body;
  uint32_t subject_size;
  uint32_t metadata_count;
  uint32_t body_size;
  int8_t api_key;
  int8_t sequence;
} hand_request;

typedef enum hand_status {
  HAND_OK,
  HAND_NEED_MORE,
  HAND_CORRUPT,
  HAND_NO_MEMORY
} hand_status;

static inline uint16_t hand_load16(const uint8_t *data) {
  uint16_t value;
  memcpy(&value, data, sizeof value);
  return be16toh(value);
}

static inline uint32_t hand_load32(const uint8_t *data) {
  uint32_t value;
  memcpy(&value, data, sizeof value);
  return be32toh(value);
}

static inline uint64_t hand_load64(const uint8_t *data) {
  uint64_t value;
  memcpy(&value, data, sizeof value);
  return be64toh(value);
}

/* Decodes the frame at the start of the `available` bytes at `data`. `items` has room for HAND_ITEMS_MAX. */
static inline hand_status hand_decode(const uint8_t *data, size_t available, int16_t *items, hand_request *request, size_t *frame_size) {
  if (available < 4) return HAND_NEED_MORE;
  int32_t size = (int32_t)hand_load32(data);
  if (size < 24 - 4 || size > HAND_FRAME_SIZE_MAX) return HAND_CORRUPT;
  if (available - 4 < (size_t)size) return HAND_NEED_MORE;
  const uint8_t *at = data + 4;
  size_t left = (size_t)size - 20; /* what the variable parts may take: all that is fixed has been set aside */
  if (at[0] != 0) return HAND_CORRUPT;
  request->api_key = 0;
  request->sequence = (int8_t)at[1];
  request->timestamp = (int64_t)hand_load64(at + 2);
  uint32_t subject_size = hand_load32(at + 10);
  at += 14;
  if (subject_size > left) return HAND_CORRUPT;
  left -= subject_size;
  request->subject = at;
  request->subject_size = subject_size;
  at += subject_size;
  uint32_t count = hand_load16(at);
  at += 2;
  if (count > HAND_ITEMS_MAX || 2 * count > left) return HAND_CORRUPT;
  left -= 2 * count;
  request->metadata = items;
  request->metadata_count = count;
  for (uint32_t i = 0; i < count; i++) items[i] = (int16_t)hand_load16(at + 2 * i);
  at += 2 * count;
  if (hand_load32(at) != left) return HAND_CORRUPT;
  request->body = at + 4;
  request->body_size = (uint32_t)left;
  *frame_size = 4 + (size_t)size;
  return HAND_OK;
}

static inline size_t hand_size(const hand_request *request) {
  return 24 + (size_t)request->subject_size + 2 * (size_t)request->metadata_count + request->body_size;
}

/* Writes the frame to `at`, which has room for hand_size() bytes, and returns where it ends. */
static inline uint8_t *hand_encode(uint8_t *at, const hand_request *request) {
  uint32_t word = htobe32((uint32_t)(hand_size(request) - 4));
  memcpy(at, &word, 4);
  at[4] = (uint8_t)request->api_key;
  at[5] = (uint8_t)request->sequence;
  uint64_t timestamp = htobe64((uint64_t)request->timestamp);
  memcpy(at + 6, &timestamp, 8);
  word = htobe32(request->subject_size);
  memcpy(at + 14, &word, 4);
  at += 18;
  memcpy(at, request->subject, request->subject_size);
  at += request->subject_size;
  uint16_t count = htobe16((uint16_t)request->metadata_count);
  memcpy(at, &count, 2);
  at += 2;
  for (uint32_t i = 0; i < request->metadata_count; i++) {
    uint16_t item = htobe16((uint16_t)request->metadata[i]);
    memcpy(at + 2 * i, &item, 2);
  }
  at += 2 * request->metadata_count;
  word = htobe32(request->body_size);
  memcpy(at, &word, 4);
  memcpy(at + 4, request->body, request->body_size);
  return at + 4 + request->body_size;
}

/* A receive buffer that bytes are appended to; complete frames are decoded from its start, and what is left moves to the front. */
typedef struct hand_stream {
  uint8_t *data;
  size_t start, end, capacity;
} hand_stream;

static inline int hand_feed(hand_stream *stream, const void *data, size_t size) {
  if (stream->capacity - stream->end < size) {
    size_t pending = stream->end - stream->start;
    memmove(stream->data, stream->data + stream->start, pending);
    stream->start = 0;
    stream->end = pending;
    if (stream->capacity - pending < size) {
      size_t capacity = 2 * (pending + size);
      uint8_t *moved = realloc(stream->data, capacity);
      if (moved == NULL) return 0;
      stream->data = moved;
      stream->capacity = capacity;
    }
  }
  memcpy(stream->data + stream->end, data, size);
  stream->end += size;
  return 1;
}

/* Rows that stay valid until the next bytes are fed, as those of a batch do: an array of requests, and their metadata in one array. */
typedef struct hand_rows {
  hand_request *rows;
  size_t count, capacity;
  int16_t *items;
  size_t items_used, items_capacity;
} hand_rows;

static inline hand_status hand_decode_all(hand_stream *stream, hand_rows *rows) {
  rows->count = rows->items_used = 0;
  /* Each item takes two bytes of what is pending, so this room is always enough, and items never move while rows point at them. */
  size_t items_max = (stream->end - stream->start) / 2 + HAND_ITEMS_MAX;
  if (rows->items_capacity < items_max) {
    free(rows->items);
    rows->items = malloc(items_max * sizeof *rows->items);
    rows->items_capacity = rows->items != NULL ? items_max : 0;
    if (rows->items == NULL) return HAND_NO_MEMORY;
  }
  for (;;) {
    if (rows->count == rows->capacity) {
      size_t capacity = rows->capacity != 0 ? 2 * rows->capacity : 16;
      hand_request *moved = realloc(rows->rows, capacity * sizeof *moved);
      if (moved == NULL) return HAND_NO_MEMORY;
      rows->rows = moved;
      rows->capacity = capacity;
    }
    hand_request *row = &rows->rows[rows->count];
    size_t size;
    hand_status status = hand_decode(stream->data + stream->start, stream->end - stream->start, rows->items + rows->items_used, row, &size);
    if (status == HAND_NEED_MORE) return HAND_OK;
    if (status != HAND_OK) return status;
    rows->count++;
    rows->items_used += row->metadata_count;
    stream->start += size;
  }
}

#endif
