/* Decoding and encoding Echo requests in C: the library against a codec written by hand for this one message. Both sides are checked
 * against each other before anything is timed. */
#include "bench.h"
#include "echo_by_hand.h"

#include <samebytes/samebytes.h>

enum {
  SMALL_COUNT = 10000,
  LARGE_COUNT = 16,
  ENCODE_COUNT = 1000,
  LARGE_METADATA = 1000,
  LARGE_BODY = 65536
};

typedef struct stream_bytes {
  uint8_t *data;
  size_t size;
  size_t count;
} stream_bytes;

static const int16_t small_metadata[] = {1, 2, 3};
static int16_t large_metadata[LARGE_METADATA];
static uint8_t large_body[LARGE_BODY];
static sb_echo_request small_request, large_request;
static hand_request small_by_hand, large_by_hand;
static stream_bytes small_stream, large_stream;
static int16_t items[HAND_ITEMS_MAX];
static uint64_t expected_small, expected_large; /* what a consumer makes of one message */

/* What both sides do with a message: look at every field. */
static inline uint64_t consume(int64_t timestamp, const uint8_t *subject, size_t subject_size, const int16_t *metadata, size_t count,
                               const uint8_t *body, size_t body_size) {
  return (uint64_t)timestamp + subject[0] + subject_size + (uint64_t)metadata[count - 1] + count + body[body_size - 1] + body_size;
}

static inline uint64_t consume_by_hand(const hand_request *request) {
  return consume(request->timestamp, request->subject, request->subject_size, request->metadata, request->metadata_count, request->body,
                 request->body_size);
}

static void expect(uint64_t sum, uint64_t expected, const char *side) {
  if (sum != expected) bench_fail("%s decoded something else: %llu, not %llu", side, (unsigned long long)sum, (unsigned long long)expected);
}

/* ---- ours ---- */

static sb_parser *parser;
static sb_batch *batch;
static sb_builder *builder;

static uint64_t consume_batch(void) {
  uint64_t sum = 0;
  const sb_value *values;
  size_t count;
  if (sb_batch_get_all_values(batch, &values, &count) != SB_OK) bench_fail("there are no values");
  for (const sb_value *const end = values + count; values < end; values += 4) {
    sum += consume(values[0].number, values[1].data, values[1].size, values[2].data, values[2].size, values[3].data, values[3].size);
  }
  return sum;
}

static uint64_t decode_stream(const stream_bytes *stream, size_t feed_size) {
  uint64_t sum = 0;
  for (size_t at = 0; at < stream->size; at += feed_size) {
    size_t size = stream->size - at < feed_size ? stream->size - at : feed_size;
    if (sb_parser_feed(parser, stream->data + at, size) != SB_OK || sb_parser_parse(parser, batch) != SB_OK) bench_fail("parse failed");
    sum += consume_batch();
  }
  return sum;
}

static void decode_small_64k(size_t times) {
  while (times-- > 0) expect(decode_stream(&small_stream, 65536), SMALL_COUNT * expected_small, "samebytes");
}

static void decode_small_2k(size_t times) {
  while (times-- > 0) expect(decode_stream(&small_stream, 2048), SMALL_COUNT * expected_small, "samebytes");
}

static void decode_small_one(size_t times) {
  stream_bytes one = {small_stream.data, small_stream.size / SMALL_COUNT, 1};
  while (times-- > 0) expect(decode_stream(&one, one.size), expected_small, "samebytes");
}

static void decode_large_64k(size_t times) {
  while (times-- > 0) expect(decode_stream(&large_stream, 65536), LARGE_COUNT * expected_large, "samebytes");
}

static void encode(const sb_echo_request *request, size_t count, size_t times) {
  while (times-- > 0) {
    for (size_t i = 0; i < count; i++) {
      if (sb_echo_add_request(builder, request, NULL) != SB_OK) bench_fail("a message was refused");
    }
    sb_view *frames;
    if (sb_builder_take(builder, &frames) != SB_OK) bench_fail("no memory");
    const void *data;
    size_t size;
    if (sb_view_span(frames, 0, &data, &size) != SB_OK) bench_fail("no bytes");
    BENCH_USE(data);
    sb_view_close(frames);
  }
}

static void encode_small_many(size_t times) { encode(&small_request, ENCODE_COUNT, times); }
static void encode_small_one(size_t times) { encode(&small_request, 1, times); }
static void encode_large(size_t times) { encode(&large_request, 1, times); }

/* ---- by hand ---- */

static hand_stream stream_by_hand;
static hand_rows rows_by_hand;
static uint8_t *out;
static size_t out_capacity;

static uint64_t hand_decode_stream(const stream_bytes *stream, size_t feed_size) {
  uint64_t sum = 0;
  for (size_t at = 0; at < stream->size; at += feed_size) {
    size_t size = stream->size - at < feed_size ? stream->size - at : feed_size;
    if (!hand_feed(&stream_by_hand, stream->data + at, size)) bench_fail("no memory");
    hand_request request;
    size_t frame_size;
    while (hand_decode(stream_by_hand.data + stream_by_hand.start, stream_by_hand.end - stream_by_hand.start, items, &request,
                       &frame_size) == HAND_OK) {
      sum += consume_by_hand(&request);
      stream_by_hand.start += frame_size;
    }
  }
  return sum;
}

static uint64_t hand_decode_stream_rows(const stream_bytes *stream, size_t feed_size) {
  uint64_t sum = 0;
  for (size_t at = 0; at < stream->size; at += feed_size) {
    size_t size = stream->size - at < feed_size ? stream->size - at : feed_size;
    if (!hand_feed(&stream_by_hand, stream->data + at, size) || hand_decode_all(&stream_by_hand, &rows_by_hand) != HAND_OK)
      bench_fail("the codec written by hand failed");
    for (size_t i = 0; i < rows_by_hand.count; i++) sum += consume_by_hand(&rows_by_hand.rows[i]);
  }
  return sum;
}

static void hand_decode_small_64k(size_t times) {
  while (times-- > 0) expect(hand_decode_stream(&small_stream, 65536), SMALL_COUNT * expected_small, "by hand");
}

static void hand_decode_small_2k(size_t times) {
  while (times-- > 0) expect(hand_decode_stream(&small_stream, 2048), SMALL_COUNT * expected_small, "by hand");
}

static void hand_rows_small_64k(size_t times) {
  while (times-- > 0) expect(hand_decode_stream_rows(&small_stream, 65536), SMALL_COUNT * expected_small, "by hand, rows");
}

static void hand_rows_small_2k(size_t times) {
  while (times-- > 0) expect(hand_decode_stream_rows(&small_stream, 2048), SMALL_COUNT * expected_small, "by hand, rows");
}

static void hand_decode_large_64k(size_t times) {
  while (times-- > 0) expect(hand_decode_stream(&large_stream, 65536), LARGE_COUNT * expected_large, "by hand");
}

static void hand_rows_large_64k(size_t times) {
  while (times-- > 0) expect(hand_decode_stream_rows(&large_stream, 65536), LARGE_COUNT * expected_large, "by hand, rows");
}

/* One frame that is there already: no stream. */
static void hand_decode_small_one(size_t times) {
  size_t size = small_stream.size / SMALL_COUNT;
  while (times-- > 0) {
    const uint8_t *data = small_stream.data;
    __asm__ volatile("" : "+r"(data), "+r"(size)); /* else the compiler decodes once for all times */
    hand_request request;
    size_t frame_size;
    if (hand_decode(data, size, items, &request, &frame_size) != HAND_OK) bench_fail("the codec written by hand failed");
    expect(consume_by_hand(&request), expected_small, "by hand");
  }
}

/* Into one buffer that is kept, and grows when a message does not fit. */
static void hand_encode_many(const hand_request *given, size_t count, size_t times) {
  while (times-- > 0) {
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
      const hand_request *request = given;
      __asm__ volatile("" : "+r"(request)); /* a message it has not seen before */
      size_t size = hand_size(request);
      if (out_capacity - used < size) {
        out_capacity = 2 * (used + size);
        if ((out = realloc(out, out_capacity)) == NULL) bench_fail("no memory");
      }
      hand_encode(out + used, request);
      used += size;
    }
    BENCH_USE(out);
  }
}

static void hand_encode_small_many(size_t times) { hand_encode_many(&small_by_hand, ENCODE_COUNT, times); }
static void hand_encode_small_one(size_t times) { hand_encode_many(&small_by_hand, 1, times); }
static void hand_encode_large(size_t times) { hand_encode_many(&large_by_hand, 1, times); }

/* ---- the messages ---- */

static void make_stream(stream_bytes *stream, const hand_request *request, size_t count) {
  size_t size = hand_size(request);
  *stream = (stream_bytes){.data = malloc(count * size), .size = count * size, .count = count};
  if (stream->data == NULL) bench_fail("no memory");
  for (size_t i = 0; i < count; i++) hand_encode(stream->data + i * size, request);
}

static hand_request to_hand(const sb_echo_request *request) {
  return (hand_request){.timestamp = request->timestamp,
                        .subject = request->subject,
                        .subject_size = (uint32_t)request->subject_size,
                        .metadata = request->metadata,
                        .metadata_count = (uint32_t)request->metadata_count,
                        .body = request->body,
                        .body_size = (uint32_t)request->body_size};
}

/* Both sides must write the same bytes. */
static void check_encoding(const sb_echo_request *request, const hand_request *by_hand, size_t expected_size) {
  size_t size = hand_size(by_hand);
  uint8_t *ours = malloc(size), *theirs = malloc(size);
  if (ours == NULL || theirs == NULL || size != expected_size) bench_fail("a message of %zu bytes, not %zu", size, expected_size);
  hand_encode(theirs, by_hand);
  if (sb_echo_add_request(builder, request, NULL) != SB_OK || sb_builder_copy_bytes(builder, ours, size) != SB_OK ||
      memcmp(ours, theirs, size) != 0)
    bench_fail("both sides encode a message of %zu bytes differently", size);
  sb_builder_clear(builder);
  free(ours);
  free(theirs);
}

static void prepare(void) {
  static const char text[] = "We have a lot in common";
  for (int i = 0; i < LARGE_METADATA; i++) large_metadata[i] = (int16_t)(i - 500);
  for (int i = 0; i < LARGE_BODY; i++) large_body[i] = (uint8_t)(i * 31);
  small_request = (sb_echo_request){.timestamp = 9999,
                                    .subject = "test",
                                    .subject_size = 4,
                                    .metadata = small_metadata,
                                    .metadata_count = 3,
                                    .body = text,
                                    .body_size = sizeof text - 1};
  large_request = (sb_echo_request){.timestamp = 9999,
                                    .subject = "test",
                                    .subject_size = 4,
                                    .metadata = large_metadata,
                                    .metadata_count = LARGE_METADATA,
                                    .body = large_body,
                                    .body_size = LARGE_BODY};
  small_by_hand = to_hand(&small_request);
  large_by_hand = to_hand(&large_request);
  expected_small = consume_by_hand(&small_by_hand);
  expected_large = consume_by_hand(&large_by_hand);
  make_stream(&small_stream, &small_by_hand, SMALL_COUNT);
  make_stream(&large_stream, &large_by_hand, LARGE_COUNT);

  sb_schema *schema;
  if (sb_echo_request_schema(&schema) != SB_OK || sb_parser_open(&schema, 1, NULL, &parser, NULL) != SB_OK ||
      sb_batch_open(&batch) != SB_OK || sb_builder_open(NULL, &builder) != SB_OK)
    bench_fail("the library could not be set up");
  sb_schema_close(schema);
  check_encoding(&small_request, &small_by_hand, 57);
  check_encoding(&large_request, &large_by_hand, 67564);
}

#define BY_HAND "hand-written C"
#define BY_HAND_ROWS "hand-written C that keeps the rows"

static const bench_case cases[] = {
    {"C decode, small, 64 KiB feeds", "samebytes", decode_small_64k, SMALL_COUNT},
    {"C decode, small, 64 KiB feeds", BY_HAND, hand_decode_small_64k, SMALL_COUNT},
    {"C decode, small, 64 KiB feeds", BY_HAND_ROWS, hand_rows_small_64k, SMALL_COUNT},
    {"C decode, small, 2 KiB feeds", "samebytes", decode_small_2k, SMALL_COUNT},
    {"C decode, small, 2 KiB feeds", BY_HAND, hand_decode_small_2k, SMALL_COUNT},
    {"C decode, small, 2 KiB feeds", BY_HAND_ROWS, hand_rows_small_2k, SMALL_COUNT},
    {"C decode, small, one per call", "samebytes", decode_small_one, 1},
    {"C decode, small, one per call", BY_HAND, hand_decode_small_one, 1},
    {"C decode, large, 64 KiB feeds", "samebytes", decode_large_64k, LARGE_COUNT},
    {"C decode, large, 64 KiB feeds", BY_HAND, hand_decode_large_64k, LARGE_COUNT},
    {"C decode, large, 64 KiB feeds", BY_HAND_ROWS, hand_rows_large_64k, LARGE_COUNT},
    {"C encode, small, 1,000 per view", "samebytes", encode_small_many, ENCODE_COUNT},
    {"C encode, small, 1,000 per view", BY_HAND, hand_encode_small_many, ENCODE_COUNT},
    {"C encode, small, one per view", "samebytes", encode_small_one, 1},
    {"C encode, small, one per view", BY_HAND, hand_encode_small_one, 1},
    {"C encode, large, one per view", "samebytes", encode_large, 1},
    {"C encode, large, one per view", BY_HAND, hand_encode_large, 1},
};

int main(int argc, char **argv) {
  prepare();
  return bench_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
