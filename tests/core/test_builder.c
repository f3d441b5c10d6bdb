/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "codec_testing.h"

#include "failing_malloc.h"

static sb_builder *open_builder(sb_memory *memory) {
  sb_builder *builder = NULL;
  assert_ok(sb_builder_open(memory, &builder));
  return builder;
}

static const int16_t metadata[] = {1, 2, 3};
static const char body[] = "We have a lot in common";
static const sb_value reference_values[] = {
    {.number = 9999}, {.data = "test", .size = 4}, {.data = metadata, .size = 3}, {.data = body, .size = sizeof body - 1}};

static sb_schema *open_request_schema(void) {
  sb_schema *schema = NULL;
  assert_ok(sb_echo_request_schema(&schema));
  return schema;
}

static void assert_frames(const sb_builder *builder, const uint8_t *expected, size_t size) {
  assert_int_equal(sb_builder_size(builder), size);
  uint8_t *frames = malloc(size + 1);
  assert_non_null(frames);
  assert_ok(sb_builder_copy_bytes(builder, frames, size));
  assert_memory_equal(frames, expected, size);
  free(frames);
}

static void the_reference_request_is_written_byte_for_byte(void **state) {
  (void)state;
  sb_schema *schema = open_request_schema();
  sb_builder *builder = open_builder(NULL);
  assert_ok(sb_builder_add(builder, schema, 0, reference_values, 4, NULL));
  assert_int_equal(sb_builder_frame_count(builder), 1);
  assert_frames(builder, reference_frame, sizeof reference_frame);
  sb_builder_close(builder);
  sb_schema_close(schema);
}

static void every_type_is_written_big_endian(void **state) {
  (void)state;
  const int8_t a8[] = {-128, 127};
  const int16_t a16[] = {-2};
  const int32_t a32[] = {INT32_MIN};
  const int64_t a64[] = {INT64_MIN, 1};
  const sb_bytes texts[] = {{NULL, 0}, {"xy", 2}};
  const sb_value values[] = {
      {.number = -1},          {.number = INT16_MIN},    {.number = INT32_MAX},    {.number = INT64_MIN},    {.data = "\0z", .size = 2},
      {.data = a8, .size = 2}, {.data = a16, .size = 1}, {.data = a32, .size = 1}, {.data = a64, .size = 2}, {.data = texts, .size = 2}};
  const uint8_t expected[] = {0, 0, 0,   67, 3, 0x85, 0xff, 0x80, 0, 0x7f, 0xff, 0xff, 0xff, 0x80, 0, 0, 0, 0, 0, 0,    0, 0,   0,  0,
                              2, 0, 'z', 0,  2, 0x80, 0x7f, 0,    1, 0xff, 0xfe, 0,    1,    0x80, 0, 0, 0, 0, 2, 0x80, 0, 0,   0,  0,
                              0, 0, 0,   0,  0, 0,    0,    0,    0, 0,    1,    0,    2,    0,    0, 0, 0, 0, 0, 0,    2, 'x', 'y'};
  sb_schema *schema = open_all_types();
  sb_builder *builder = open_builder(NULL);
  assert_ok(sb_builder_add(builder, schema, -123, values, ALL_FIELDS, NULL));
  assert_frames(builder, expected, sizeof expected);
  sb_builder_close(builder);
  sb_schema_close(schema);
}

/* Blocks of 1, 7 and 64 bytes make every frame cross them. */
static void blocks_of_any_size_give_the_same_bytes(void **state) {
  (void)state;
  const uint32_t block_sizes[] = {1, 7, 64};
  sb_schema *schema = open_request_schema();
  for (size_t i = 0; i < 3; i++) {
    sb_memory *memory = NULL;
    assert_ok(sb_memory_open_fixed(block_sizes[i], &memory));
    sb_builder *builder = open_builder(memory);
    sb_memory_close(memory);
    uint8_t expected[5 * sizeof reference_frame];
    for (size_t j = 0; j < 5; j++) {
      memcpy(expected + j * sizeof reference_frame, reference_frame, sizeof reference_frame);
      assert_ok(sb_builder_add(builder, schema, 0, reference_values, 4, NULL));
    }
    assert_frames(builder, expected, sizeof expected);
    sb_builder_close(builder);
  }
  sb_schema_close(schema);
}

static void frames_are_taken_without_a_copy_and_outlive_the_builder(void **state) {
  (void)state;
  sb_schema *schema = open_request_schema();
  sb_builder *builder = open_builder(NULL);
  sb_view *first = NULL, *second = NULL;
  assert_ok(sb_builder_add(builder, schema, 0, reference_values, 4, NULL));
  assert_ok(sb_builder_take(builder, &first));
  assert_int_equal(sb_builder_size(builder), 0);
  assert_int_equal(sb_builder_frame_count(builder), 0);
  assert_ok(sb_builder_add(builder, schema, 0, reference_values, 4, NULL));
  assert_ok(sb_builder_take(builder, &second));
  sb_builder_close(builder);
  assert_int_equal(sb_view_span_count(first), 1);
  assert_true(sb_view_equals(first, second));
  uint8_t frame[sizeof reference_frame];
  assert_ok(sb_view_read_bytes(first, frame, sizeof frame));
  assert_memory_equal(frame, reference_frame, sizeof frame);
  sb_view_close(first);
  sb_view_close(second);
  sb_schema_close(schema);
}

static void a_cleared_builder_starts_again(void **state) {
  (void)state;
  sb_schema *schema = open_request_schema();
  sb_builder *builder = open_builder(NULL);
  for (int i = 0; i < 3; i++) {
    assert_ok(sb_builder_add(builder, schema, 0, reference_values, 4, NULL));
    assert_frames(builder, reference_frame, sizeof reference_frame);
    sb_builder_clear(builder);
    assert_int_equal(sb_builder_size(builder), 0);
  }
  sb_builder_close(builder);
  sb_schema_close(schema);
}

static void copy_bytes_wants_the_exact_size(void **state) {
  (void)state;
  sb_schema *schema = open_request_schema();
  sb_builder *builder = open_builder(NULL);
  assert_ok(sb_builder_add(builder, schema, 0, reference_values, 4, NULL));
  uint8_t data[sizeof reference_frame + 1] = {0x77};
  assert_int_equal(sb_builder_copy_bytes(builder, data, sizeof reference_frame - 1), SB_OUT_OF_RANGE);
  assert_int_equal(sb_builder_copy_bytes(builder, data, sizeof reference_frame + 1), SB_OUT_OF_RANGE);
  assert_int_equal(data[0], 0x77);
  sb_builder_close(builder);
  sb_schema_close(schema);
}

typedef struct refusal {
  const char *field;
  int64_t offset;
  sb_status status;
  sb_value value;
  const char *message;
} refusal;

static void a_wrong_value_is_refused_by_message_and_field_and_nothing_is_written(void **state) {
  (void)state;
  static const int8_t many[SB_ARRAY_ITEMS_MAX + 1];
  const sb_bytes hollow[] = {{"a", 1}, {NULL, 1}};
  const sb_bytes endless[] = {{"a", (size_t)INT32_MAX + 1}};
  const refusal cases[] = {
      {"i8", 6, SB_OUT_OF_RANGE, {.number = 128}, "128 does not fit an int8, which holds -128 to 127"},
      {"i8", 6, SB_OUT_OF_RANGE, {.number = -129}, "-129 does not fit"},
      {"i16", 7, SB_OUT_OF_RANGE, {.number = 32768}, "int16"},
      {"i32", 9, SB_OUT_OF_RANGE, {.number = -2147483649}, "int32"},
      {"text", 21, SB_INVALID_ARGUMENT, {.data = NULL, .size = 1}, "data is NULL"},
      {"text", 21, SB_TOO_LARGE, {.data = "", .size = (size_t)INT32_MAX + 1}, "2147483648 bytes"},
      {"text", 21, SB_TOO_LARGE, {.data = "", .size = INT32_MAX}, "Size would be above"},
      {"a8", 25, SB_TOO_LARGE, {.data = many, .size = SB_ARRAY_ITEMS_MAX + 1}, "32768 items"},
      {"a64", 31, SB_INVALID_ARGUMENT, {.data = NULL, .size = 1}, "data is NULL"},
      {"texts", 33, SB_INVALID_ARGUMENT, {.data = hollow, .size = 2}, "data is NULL"},
      {"texts", 33, SB_TOO_LARGE, {.data = endless, .size = 1}, "2147483648 bytes"},
  };
  sb_schema *schema = open_all_types();
  sb_builder *builder = open_builder(NULL);
  const sb_value good[ALL_FIELDS] = {{.number = 1}};
  assert_ok(sb_builder_add(builder, schema, 0, good, ALL_FIELDS, NULL));
  size_t size = sb_builder_size(builder);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    sb_value values[ALL_FIELDS] = {{.number = 0}};
    for (size_t j = 0; j < ALL_FIELDS; j++)
      if (strcmp(all_fields[j].name, cases[i].field) == 0) values[j] = cases[i].value;
    sb_error error;
    assert_int_equal(sb_builder_add(builder, schema, 0, values, ALL_FIELDS, &error), cases[i].status);
    assert_int_equal(error.status, cases[i].status);
    assert_string_equal(error.field, cases[i].field);
    assert_int_equal(error.frame, 1);
    if (strcmp(cases[i].message, "Size would be above") != 0) {
      assert_int_equal(error.frame_offset, cases[i].offset);
      assert_int_equal(error.stream_offset, (int64_t)size + cases[i].offset);
    }
    if (strstr(error.message, cases[i].message) == NULL) fail_msg("case %zu says: %s", i, error.message);
    if (strstr(error.message, "message 1 (AllTypes)") == NULL) fail_msg("case %zu does not name the message: %s", i, error.message);
    assert_int_equal(sb_builder_size(builder), size);
    assert_int_equal(sb_builder_frame_count(builder), 1);
  }
  sb_builder_close(builder);
  sb_schema_close(schema);
}

static void the_number_of_values_must_be_that_of_the_fields(void **state) {
  (void)state;
  sb_schema *schema = open_request_schema();
  sb_builder *builder = open_builder(NULL);
  sb_error error;
  assert_int_equal(sb_builder_add(builder, schema, 0, reference_values, 3, &error), SB_INVALID_ARGUMENT);
  assert_non_null(strstr(error.message, "4 fields, 3 values"));
  assert_int_equal(sb_builder_add(builder, schema, 0, NULL, 4, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_add(builder, NULL, 0, reference_values, 4, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_add(NULL, schema, 0, reference_values, 4, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_size(builder), 0);
  sb_builder_close(builder);
  sb_schema_close(schema);
}

static void an_array_of_32767_items_is_written(void **state) {
  (void)state;
  const sb_schema_field fields[] = {{"items", SB_TYPE_ARRAY_INT64, 0}};
  sb_schema *schema = NULL;
  assert_ok(sb_schema_open("Items", 0, 0, fields, 1, &schema, NULL));
  static int64_t items[SB_ARRAY_ITEMS_MAX];
  const sb_value value = {.data = items, .size = SB_ARRAY_ITEMS_MAX};
  sb_builder *builder = open_builder(NULL);
  assert_ok(sb_builder_add(builder, schema, 0, &value, 1, NULL));
  assert_int_equal(sb_builder_size(builder), 6 + 2 + 8 * SB_ARRAY_ITEMS_MAX);
  sb_builder_close(builder);
  sb_schema_close(schema);
}

/* 100,000 frames take a few dozen blocks, not one each: the room grows with what was added. */
static void many_frames_take_few_blocks(void **state) {
  (void)state;
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_tracing(NULL, &memory));
  sb_schema *schema = open_request_schema();
  sb_builder *builder = open_builder(memory);
  for (int i = 0; i < 100000; i++) assert_ok(sb_builder_add(builder, schema, 0, reference_values, 4, NULL));
  sb_memory_stats stats = {.struct_size = sizeof stats};
  assert_ok(sb_memory_get_stats(memory, &stats));
  assert_true(stats.reserves >= 6 && stats.reserves < 64);
  sb_builder_close(builder);
  assert_ok(sb_memory_get_stats(memory, &stats));
  assert_int_equal(stats.reserves, stats.releases);
  sb_schema_close(schema);
  sb_memory_close(memory);
}

static void a_failed_reserve_leaves_the_builder_as_it_was(void **state) {
  (void)state;
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_tracing(NULL, &memory));
  sb_schema *schema = open_request_schema();
  sb_builder *builder = open_builder(memory);
  assert_ok(sb_memory_fail_reserve(memory, 1));
  sb_error error;
  /* The wish for much room may fail where the need for little succeeds. */
  const char *text = calloc(1, 5000);
  const sb_value large[] = {{.number = 0}, {.data = text, .size = 5000}, {.data = NULL}, {.data = NULL}};
  assert_int_equal(sb_builder_add(builder, schema, 0, large, 4, &error), SB_NO_MEMORY);
  assert_int_equal(error.status, SB_NO_MEMORY);
  assert_int_equal(sb_builder_size(builder), 0);
  assert_ok(sb_builder_add(builder, schema, 0, large, 4, &error));
  assert_int_equal(sb_builder_size(builder), 5000 + 24);
  free((void *)text);
  sb_builder_close(builder);
  sb_schema_close(schema);
  sb_memory_close(memory);
}

/* Every allocation of a whole life fails once; each failed call leaves what was there, and leaks nothing. */
static void any_failed_allocation_leaves_the_builder_as_it_was(void **state) {
  (void)state;
  sb_schema *schema = open_request_schema();
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_fixed(50, &memory)); /* frames cross blocks, so they are written apart first */
  bool failed = true;
  int failures = 0;
  for (long nth = 1; failed; nth++) {
    allocations_until_failure = nth;
    sb_builder *builder = NULL;
    sb_view *view = NULL;
    sb_status status = sb_builder_open(memory, &builder);
    if (status == SB_OK) {
      for (size_t i = 0; i < 3; i++) {
        size_t size = sb_builder_size(builder);
        status = sb_builder_add(builder, schema, 0, reference_values, 4, NULL);
        if (status != SB_OK) {
          assert_int_equal(status, SB_NO_MEMORY);
          assert_int_equal(sb_builder_size(builder), size);
          assert_ok(sb_builder_add(builder, schema, 0, reference_values, 4, NULL));
        }
      }
      status = sb_builder_take(builder, &view);
      if (status != SB_OK) {
        assert_int_equal(sb_builder_frame_count(builder), 3);
        assert_ok(sb_builder_take(builder, &view));
      }
      assert_int_equal(sb_view_size(view), 3 * sizeof reference_frame);
    } else {
      assert_int_equal(status, SB_NO_MEMORY);
      assert_null(builder);
    }
    failed = allocations_until_failure == 0;
    failures += failed;
    allocations_until_failure = 0;
    sb_view_close(view);
    sb_builder_close(builder);
  }
  assert_true(failures > 5);
  sb_memory_close(memory);
  sb_schema_close(schema);
}

static void null_handles_do_no_harm(void **state) {
  (void)state;
  sb_builder_close(NULL);
  sb_builder_clear(NULL);
  assert_int_equal(sb_builder_size(NULL), 0);
  assert_int_equal(sb_builder_frame_count(NULL), 0);
  sb_view *view = NULL;
  assert_int_equal(sb_builder_take(NULL, &view), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_copy_bytes(NULL, NULL, 0), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_open(NULL, NULL), SB_INVALID_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(the_reference_request_is_written_byte_for_byte),
      codec_test(every_type_is_written_big_endian),
      codec_test(blocks_of_any_size_give_the_same_bytes),
      codec_test(frames_are_taken_without_a_copy_and_outlive_the_builder),
      codec_test(a_cleared_builder_starts_again),
      codec_test(copy_bytes_wants_the_exact_size),
      codec_test(a_wrong_value_is_refused_by_message_and_field_and_nothing_is_written),
      codec_test(the_number_of_values_must_be_that_of_the_fields),
      codec_test(an_array_of_32767_items_is_written),
      codec_test(many_frames_take_few_blocks),
      codec_test(a_failed_reserve_leaves_the_builder_as_it_was),
      codec_test(any_failed_allocation_leaves_the_builder_as_it_was),
      codec_test(null_handles_do_no_harm),
  };
  return cmocka_run_group_tests_name("builder", tests, NULL, NULL);
}
