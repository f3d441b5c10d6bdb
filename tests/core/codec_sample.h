#ifndef CODEC_SAMPLE_H
#define CODEC_SAMPLE_H

/* Three messages of all types (open_all_types), which several tests send their own way: a full one, one of nothing, and one with other
 * values. */

#include "codec_testing.h"

enum {
  SAMPLES = 3
};

static const int8_t sample_sequences[SAMPLES] = {1, -2, 3};
static const int8_t sample_a8[] = {-1, 2};
static const int16_t sample_a16[] = {300, -301, 302};
static const int32_t sample_a32[] = {70000};
static const int64_t sample_a64[] = {INT64_MIN, 5};
static const sb_bytes sample_two_texts[] = {{"one", 3}, {NULL, 0}};
static const sb_bytes sample_one_text[] = {{"three", 5}};

/* Their values, in the order of all_fields. */
static const sb_value sample_values[SAMPLES][ALL_FIELDS] = {
    {{.number = -8},
     {.number = -16},
     {.number = -32},
     {.number = -64},
     {.data = "text", .size = 4},
     {.data = sample_a8, .size = 2},
     {.data = sample_a16, .size = 3},
     {.data = sample_a32, .size = 1},
     {.data = sample_a64, .size = 2},
     {.data = sample_two_texts, .size = 2}},
    {{.number = 0}},
    {{.number = 127},
     {.number = 32767},
     {.number = INT32_MAX},
     {.number = INT64_MAX},
     {.data = "more text", .size = 9},
     {.data = sample_a8, .size = 1},
     {.data = sample_a16, .size = 1},
     {.size = 0},
     {.data = sample_a64, .size = 1},
     {.data = sample_one_text, .size = 1}},
};

static inline sb_builder *open_builder(sb_memory *memory) {
  sb_builder *builder = NULL;
  assert_ok(sb_builder_open(memory, &builder));
  return builder;
}

static inline void add_samples_singly(sb_builder *builder, const sb_schema *schema) {
  for (size_t i = 0; i < SAMPLES; i++) assert_ok(sb_builder_add(builder, schema, sample_sequences[i], sample_values[i], ALL_FIELDS, NULL));
}

static inline uint8_t *built_bytes_of(const sb_builder *builder, size_t *size) {
  *size = sb_builder_size(builder);
  uint8_t *bytes = malloc(*size + 1);
  assert_non_null(bytes);
  assert_ok(sb_builder_copy_bytes(builder, bytes, *size));
  return bytes;
}

static inline void assert_same_frames(const sb_builder *found, const sb_builder *wanted) {
  size_t found_size, wanted_size;
  uint8_t *found_bytes = built_bytes_of(found, &found_size), *wanted_bytes = built_bytes_of(wanted, &wanted_size);
  assert_int_equal(found_size, wanted_size);
  assert_memory_equal(found_bytes, wanted_bytes, wanted_size);
  assert_int_equal(sb_builder_frame_count(found), sb_builder_frame_count(wanted));
  free(found_bytes);
  free(wanted_bytes);
}

#endif
