/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "codec_sample.h"

#include <pthread.h>
#include <stdatomic.h>

#include "failing_malloc.h"

static const int8_t i8[SAMPLES] = {-8, 0, 127};
static const int16_t i16[SAMPLES] = {-16, 0, 32767};
static const int32_t i32[SAMPLES] = {-32, 0, INT32_MAX};
static const int64_t i64[SAMPLES] = {-64, 0, INT64_MAX};
static const char text[] = "textmore text";
static const int32_t text_lengths[SAMPLES] = {4, 0, 9};
static const int8_t a8[] = {-1, 2, -1};
static const int16_t a16[] = {300, -301, 302, 300};
static const int32_t a32[] = {70000};
static const int64_t a64[] = {INT64_MIN, 5, INT64_MIN};
static const int32_t two_none_one[SAMPLES] = {2, 0, 1}, three_none_one[SAMPLES] = {3, 0, 1}, one_none_none[SAMPLES] = {1, 0, 0};
static const char texts[] = "onethree";
static const int32_t item_lengths[] = {3, 0, 5};

#define VALUES(array) .values = (array), .size = sizeof(array)
#define LENGTHS(array) .lengths = (array), .length_count = SAMPLES

/* The sample messages as columns, in the order of all_fields. */
static const sb_column all_columns[ALL_FIELDS] = {
    {VALUES(i8)},
    {VALUES(i16)},
    {VALUES(i32)},
    {VALUES(i64)},
    {.values = text, .size = sizeof text - 1, LENGTHS(text_lengths)},
    {VALUES(a8), LENGTHS(two_none_one)},
    {VALUES(a16), LENGTHS(three_none_one)},
    {VALUES(a32), LENGTHS(one_none_none)},
    {VALUES(a64), LENGTHS(two_none_one)},
    {.values = texts, .size = sizeof texts - 1, LENGTHS(two_none_one), .item_lengths = item_lengths, .item_length_count = 3},
};

static void columns_give_the_bytes_that_single_messages_give(void **state) {
  (void)state;
  sb_schema *schema = open_all_types();
  for (uint32_t block_size = 0; block_size <= 300; block_size += 7) { /* 0: the default pool; else frames lie across small blocks */
    sb_memory *memory = NULL;
    if (block_size > 0) assert_ok(sb_memory_open_fixed(block_size, &memory));
    sb_builder *builder = open_builder(memory), *wanted = open_builder(NULL);
    for (int round = 0; round < 3; round++) {
      sb_error error;
      assert_ok(sb_builder_add_columns(builder, schema, sample_sequences, SAMPLES, all_columns, ALL_FIELDS, &error));
      add_samples_singly(wanted, schema);
    }
    assert_int_equal(sb_builder_frame_count(builder), 3 * SAMPLES);
    assert_same_frames(builder, wanted);
    sb_builder_close(builder);
    sb_builder_close(wanted);
    sb_memory_close(memory);
  }
  sb_schema_close(schema);
}

/* Columns of a batch go into a builder as they are. */
static void columns_of_a_batch_are_columns_of_a_builder(void **state) {
  (void)state;
  sb_schema *schema = open_all_types();
  sb_builder *wanted = open_builder(NULL), *builder = open_builder(NULL);
  add_samples_singly(wanted, schema);
  size_t size;
  uint8_t *bytes = built_bytes_of(wanted, &size);
  sb_parser *parser = NULL;
  sb_batch *batch = open_batch();
  assert_ok(sb_parser_open(&schema, 1, NULL, &parser, NULL));
  assert_ok(sb_parser_feed(parser, bytes, size));
  assert_ok(sb_parser_parse(parser, batch));
  sb_column columns[ALL_FIELDS];
  memset(columns, 0, sizeof columns);
  const void *heads;
  size_t unused;
  assert_ok(sb_batch_get_column(batch, 0, SB_COLUMN_SEQUENCE, SB_PART_VALUES, &heads, &unused, &unused));
  for (int32_t i = 0; i < ALL_FIELDS; i++) {
    sb_column *column = &columns[i];
    const void *part[5] = {0};
    size_t part_size[5] = {0};
    for (int32_t j = 0; j < 5; j++) (void)!sb_batch_get_column(batch, 0, i, j, &part[j], &part_size[j], &unused);
    *column = (sb_column){part[0],          part_size[0], part[1],          part_size[1] / 8, part[2],
                          part_size[2] / 4, part[3],      part_size[3] / 8, part[4],          part_size[4] / 4};
  }
  assert_ok(sb_builder_add_columns(builder, schema, heads, SAMPLES, columns, ALL_FIELDS, NULL));
  assert_same_frames(builder, wanted);
  free(bytes);
  sb_batch_close(batch);
  sb_parser_close(parser);
  sb_builder_close(wanted);
  sb_builder_close(builder);
  sb_schema_close(schema);
}

/* Messages may take arrays out of their order; strings without offsets lie one behind the other all the same. */
static void arrays_of_strings_are_taken_in_any_order(void **state) {
  (void)state;
  static const sb_bytes first[] = {{"one", 3}, {"", 0}}, second[] = {{"three", 5}};
  static const int64_t offsets[] = {2, 0};
  static const int32_t lengths[] = {1, 2};
  const sb_schema_field field = {"texts", SB_TYPE_ARRAY_STRING, 0};
  const sb_value values[] = {{.data = second, .size = 1}, {.data = first, .size = 2}};
  const sb_column column = {.values = texts,
                            .size = sizeof texts - 1,
                            .offsets = offsets,
                            .offset_count = 2,
                            .lengths = lengths,
                            .length_count = 2,
                            .item_lengths = item_lengths,
                            .item_length_count = 3};
  sb_schema *schema = NULL;
  assert_ok(sb_schema_open("Texts", SB_DIRECTION_REQUEST, 0, &field, 1, &schema, NULL));
  sb_builder *builder = open_builder(NULL), *wanted = open_builder(NULL);
  assert_ok(sb_builder_add_columns(builder, schema, sample_sequences, 2, &column, 1, NULL));
  assert_ok(sb_builder_add_rows(wanted, schema, sample_sequences, 2, values, 2, NULL));
  assert_same_frames(builder, wanted);
  sb_builder_close(wanted);
  sb_builder_close(builder);
  sb_schema_close(schema);
}

/* What a type has no use for may be anything. */
static void parts_that_a_type_has_not_are_left_alone(void **state) {
  (void)state;
  const sb_schema_field field = {"text", SB_TYPE_STRING, 0};
  const sb_column column = {.values = text, .size = sizeof text - 1, LENGTHS(text_lengths), .item_length_count = 7, .item_offset_count = 9};
  sb_schema *schema = NULL;
  assert_ok(sb_schema_open("Text", SB_DIRECTION_REQUEST, 0, &field, 1, &schema, NULL));
  sb_builder *builder = open_builder(NULL);
  assert_ok(sb_builder_add_columns(builder, schema, sample_sequences, SAMPLES, &column, 1, NULL));
  assert_int_equal(sb_builder_size(builder), SAMPLES * 10 + 13);
  sb_builder_close(builder);
  sb_schema_close(schema);
}

static void narrow_fields_take_int64_that_fit(void **state) {
  (void)state;
  sb_schema *schema = NULL;
  const sb_schema_field field = {"number", SB_TYPE_INT16, 0};
  assert_ok(sb_schema_open("Number", SB_DIRECTION_REQUEST, 0, &field, 1, &schema, NULL));
  sb_builder *builder = open_builder(NULL);
  int64_t numbers[SAMPLES] = {-32768, 5, 32767};
  const sb_column column = {VALUES(numbers)};
  assert_ok(sb_builder_add_columns(builder, schema, sample_sequences, SAMPLES, &column, 1, NULL));
  numbers[2] = 32768;
  sb_error error;
  assert_int_equal(sb_builder_add_columns(builder, schema, sample_sequences, SAMPLES, &column, 1, &error), SB_OUT_OF_RANGE);
  assert_string_equal(error.message, "message 5 (Number), field number: 32768 does not fit an int16, which holds -32768 to 32767");
  assert_string_equal(error.field, "number");
  assert_int_equal(error.frame, 5);
  assert_int_equal(error.frame_offset, 6);
  assert_int_equal(error.stream_offset, 5 * 8 + 6);
  assert_int_equal(sb_builder_frame_count(builder), SAMPLES);
  assert_int_equal(sb_builder_size(builder), SAMPLES * 8);
  sb_builder_close(builder);
  sb_schema_close(schema);
}

typedef struct wrong_column {
  int field; /* of all_fields */
  sb_column column;
  sb_status status;
  int64_t frame;
  const char *message;
} wrong_column;

static void a_wrong_column_is_refused_and_nothing_added(void **state) {
  (void)state;
  static const int32_t negative[SAMPLES] = {0, -1, 0}, too_long[SAMPLES] = {4, 0, 10}, many[SAMPLES] = {0, 0, 40000};
  static const int64_t far[SAMPLES] = {0, 0, 14}, before[SAMPLES] = {0, -1, 0}, farthest[SAMPLES] = {INT64_MAX, 0, 0};
  static const int32_t long_item[] = {3, 0, 6}, negative_item[] = {3, -1, 5};
  static const int8_t bytes[40000];
  const wrong_column cases[] = {
      {0, {.values = i8, .size = 2}, SB_INVALID_ARGUMENT, 0, "3 messages need int8 or int64 values, not 2 bytes"},
      {2, {VALUES(i16)}, SB_INVALID_ARGUMENT, 0, "3 messages need int32 or int64 values, not 6 bytes"},
      {3, {.size = 24}, SB_INVALID_ARGUMENT, 0, "values is NULL though size is 24"},
      {4, {.values = text, .size = 13}, SB_INVALID_ARGUMENT, 0, "0 lengths for 3 messages"},
      {4, {.values = text, .size = 13, .length_count = SAMPLES}, SB_INVALID_ARGUMENT, 0, "3 lengths for 3 messages"},
      {4, {.values = text, .size = 13, LENGTHS(text_lengths), .offsets = far, .offset_count = 2}, SB_INVALID_ARGUMENT, 0, "2 offsets"},
      {4, {.values = text, .size = 13, LENGTHS(negative)}, SB_OUT_OF_RANGE, 1, "offset 0 and length -1"},
      {4, {.values = text, .size = 13, LENGTHS(too_long)}, SB_OUT_OF_RANGE, 2, "offset 4 and length 10 are not within the 13"},
      {4, {.values = text, .size = 13, LENGTHS(text_lengths), .offsets = far, .offset_count = 3}, SB_OUT_OF_RANGE, 2, "offset 14"},
      {4, {.values = text, .size = 13, LENGTHS(text_lengths), .offsets = before, .offset_count = 3}, SB_OUT_OF_RANGE, 1, "offset -1"},
      {4, {.values = text, .size = 13, LENGTHS(text_lengths), .offsets = farthest, .offset_count = 3}, SB_OUT_OF_RANGE, 0, "offset 9223"},
      {5, {VALUES(bytes), LENGTHS(many)}, SB_TOO_LARGE, 2, "an array of 40000 items; at most 32767"},
      {6, {.values = a16, .size = 7, LENGTHS(three_none_one)}, SB_INVALID_ARGUMENT, 0, "7 bytes are no whole number of int16"},
      {6, {.values = a16, .size = 6, LENGTHS(three_none_one)}, SB_OUT_OF_RANGE, 2, "offset 3 and length 1 are not within the 3"},
      {9,
       {.values = texts, .size = 8, LENGTHS(two_none_one), .item_lengths = item_lengths, .item_length_count = 2},
       SB_OUT_OF_RANGE,
       2,
       "offset 2 and length 1 are not within the 2"},
      {9,
       {.values = texts, .size = 8, LENGTHS(two_none_one), .item_lengths = long_item, .item_length_count = 3},
       SB_OUT_OF_RANGE,
       2,
       "offset 3 and length 6 are not within the 8"},
      {9,
       {.values = texts, .size = 8, LENGTHS(two_none_one), .item_lengths = negative_item, .item_length_count = 3},
       SB_OUT_OF_RANGE,
       0,
       "length -1"},
      {9, {.values = texts, .size = 8, LENGTHS(two_none_one), .item_length_count = 3}, SB_INVALID_ARGUMENT, 0, "item_lengths is NULL"},
      {9,
       {.values = texts,
        .size = 8,
        LENGTHS(two_none_one),
        .item_lengths = item_lengths,
        .item_length_count = 3,
        .item_offsets = far,
        .item_offset_count = 1},
       SB_INVALID_ARGUMENT,
       0,
       "1 item_offsets for 3 item_lengths"},
  };
  sb_schema *schema = open_all_types();
  sb_builder *builder = open_builder(NULL);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    sb_column columns[ALL_FIELDS];
    memcpy(columns, all_columns, sizeof columns);
    columns[cases[i].field] = cases[i].column;
    sb_error error;
    memset(&error, 0x55, sizeof error);
    sb_status status = sb_builder_add_columns(builder, schema, sample_sequences, SAMPLES, columns, ALL_FIELDS, &error);
    if (status != cases[i].status || strstr(error.message, cases[i].message) == NULL)
      fail_msg("case %zu gives %d and says: %s", i, (int)status, error.message);
    assert_int_equal(error.frame, cases[i].frame);
    assert_string_equal(error.field, all_fields[cases[i].field].name);
    assert_int_equal(sb_builder_size(builder), 0);
    assert_int_equal(sb_builder_frame_count(builder), 0);
  }
  assert_int_equal(sb_builder_add_columns(builder, schema, sample_sequences, SAMPLES, all_columns, 2, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_add_columns(NULL, schema, sample_sequences, SAMPLES, all_columns, ALL_FIELDS, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_add_columns(builder, NULL, sample_sequences, SAMPLES, all_columns, ALL_FIELDS, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_add_columns(builder, schema, NULL, SAMPLES, all_columns, ALL_FIELDS, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_add_columns(builder, schema, sample_sequences, SAMPLES, NULL, ALL_FIELDS, NULL), SB_INVALID_ARGUMENT);
  sb_builder_close(builder);
  sb_schema_close(schema);
}

static void no_messages_and_no_fields_are_allowed(void **state) {
  (void)state;
  sb_schema *schema = open_all_types(), *empty = NULL;
  sb_builder *builder = open_builder(NULL);
  const sb_column none[ALL_FIELDS] = {{.size = 0}};
  assert_ok(sb_builder_add_columns(builder, schema, NULL, 0, none, ALL_FIELDS, NULL));
  assert_int_equal(sb_builder_size(builder), 0);
  assert_ok(sb_schema_open("Ping", SB_DIRECTION_REQUEST, 0, NULL, 0, &empty, NULL));
  assert_ok(sb_builder_add_columns(builder, empty, sample_sequences, SAMPLES, NULL, 0, NULL));
  assert_int_equal(sb_builder_size(builder), SAMPLES * 6);
  sb_builder_close(builder);
  sb_schema_close(empty);
  sb_schema_close(schema);
}

static void without_memory_nothing_is_added(void **state) {
  (void)state;
  sb_schema *schema = open_all_types();
  for (long nth = 1;; nth++) {
    sb_memory *memory = NULL;
    assert_ok(sb_memory_open_fixed(50, &memory)); /* frames lie across blocks */
    sb_builder *builder = open_builder(memory), *wanted = open_builder(NULL);
    add_samples_singly(builder, schema);
    add_samples_singly(wanted, schema);
    sb_error error;
    allocations_until_failure = nth;
    sb_status status = sb_builder_add_columns(builder, schema, sample_sequences, SAMPLES, all_columns, ALL_FIELDS, &error);
    bool failed = allocations_until_failure == 0;
    allocations_until_failure = 0;
    if (failed) {
      assert_int_equal(status, SB_NO_MEMORY);
      assert_int_equal(error.status, SB_NO_MEMORY);
      assert_same_frames(builder, wanted);
      assert_ok(sb_builder_add_columns(builder, schema, sample_sequences, SAMPLES, all_columns, ALL_FIELDS, NULL));
    } else {
      assert_ok(status);
      assert_true(nth > 4);
    }
    add_samples_singly(wanted, schema);
    assert_same_frames(builder, wanted);
    sb_builder_close(builder);
    sb_builder_close(wanted);
    sb_memory_close(memory);
    if (!failed) break;
  }
  sb_schema_close(schema);
}

/* Lengths that another thread changes all the time. */
typedef struct changing {
  _Atomic bool stop;
  volatile int32_t lengths[64];
} changing;

static void *change_lengths(void *argument) {
  changing *all = argument;
  for (int32_t length = 0; !all->stop; length = (length + 97) % 1000)
    for (size_t i = 0; i < 64; i++) all->lengths[i] = length;
  return NULL;
}

static void lengths_that_change_meanwhile_reach_no_further_than_the_room(void **state) {
  (void)state;
  static uint8_t bytes[1000];
  static changing all;
  static const int8_t numbers[64];
  static const int64_t offsets[64];
  const sb_schema_field fields[] = {{"text", SB_TYPE_STRING, 0}};
  sb_schema *schema = NULL;
  pthread_t thread;
  assert_ok(sb_schema_open("Text", SB_DIRECTION_REQUEST, 0, fields, 1, &schema, NULL));
  assert_int_equal(pthread_create(&thread, NULL, change_lengths, &all), 0);
  const sb_column column = {.values = bytes,
                            .size = sizeof bytes,
                            .offsets = offsets,
                            .offset_count = 64,
                            .lengths = (const int32_t *)all.lengths,
                            .length_count = 64};
  for (int round = 0; round < 2000; round++) {
    sb_builder *builder = open_builder(NULL);
    assert_ok(sb_builder_add_columns(builder, schema, numbers, 64, &column, 1, NULL));
    assert_int_equal(sb_builder_frame_count(builder), 64);
    sb_builder_close(builder);
  }
  all.stop = true;
  pthread_join(thread, NULL);
  sb_schema_close(schema);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(columns_give_the_bytes_that_single_messages_give),
      codec_test(columns_of_a_batch_are_columns_of_a_builder),
      codec_test(arrays_of_strings_are_taken_in_any_order),
      codec_test(parts_that_a_type_has_not_are_left_alone),
      codec_test(narrow_fields_take_int64_that_fit),
      codec_test(a_wrong_column_is_refused_and_nothing_added),
      codec_test(no_messages_and_no_fields_are_allowed),
      codec_test(without_memory_nothing_is_added),
      codec_test(lengths_that_change_meanwhile_reach_no_further_than_the_room),
  };
  return cmocka_run_group_tests_name("builder_columns", tests, NULL, NULL);
}
