/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "codec_sample.h"

#include "failing_malloc.h"

enum {
  VALUES = SAMPLES * ALL_FIELDS
};

static const sb_value *const rows = &sample_values[0][0];

static void rows_give_the_bytes_that_single_messages_give(void **state) {
  (void)state;
  sb_schema *schema = open_all_types();
  for (uint32_t block_size = 0; block_size <= 300; block_size += 7) { /* 0: the default pool; else frames lie across small blocks */
    sb_memory *memory = NULL;
    if (block_size > 0) assert_ok(sb_memory_open_fixed(block_size, &memory));
    sb_builder *builder = open_builder(memory), *wanted = open_builder(NULL);
    for (int i = 0; i < 3; i++) {
      sb_error error;
      assert_ok(sb_builder_add_rows(builder, schema, sample_sequences, SAMPLES, rows, VALUES, &error));
      add_samples_singly(wanted, schema);
    }
    assert_same_frames(builder, wanted);
    sb_builder_close(builder);
    sb_builder_close(wanted);
    sb_memory_close(memory);
  }
  sb_schema_close(schema);
}

static void a_wrong_row_is_refused_and_nothing_added(void **state) {
  (void)state;
  sb_schema *schema = open_all_types();
  sb_builder *builder = open_builder(NULL);
  add_samples_singly(builder, schema);
  const size_t size = sb_builder_size(builder);
  sb_value wrong[VALUES];
  memcpy(wrong, sample_values, sizeof wrong);
  wrong[ALL_FIELDS + 1].number = 32768; /* the second message's i16 */
  sb_error error;
  assert_int_equal(sb_builder_add_rows(builder, schema, sample_sequences, SAMPLES, wrong, VALUES, &error), SB_OUT_OF_RANGE);
  assert_string_equal(error.field, "i16");
  assert_int_equal(error.frame, SAMPLES + 1);
  assert_non_null(strstr(error.message, "message 4 (AllTypes), field i16: 32768"));
  assert_int_equal(sb_builder_size(builder), size);
  memcpy(wrong, sample_values, sizeof wrong);
  wrong[2 * ALL_FIELDS + 4].data = NULL;
  assert_int_equal(sb_builder_add_rows(builder, schema, sample_sequences, SAMPLES, wrong, VALUES, &error), SB_INVALID_ARGUMENT);
  assert_string_equal(error.field, "text");
  assert_int_equal(error.frame, SAMPLES + 2);
  assert_int_equal(sb_builder_size(builder), size);
  assert_int_equal(sb_builder_frame_count(builder), SAMPLES);
  sb_builder_close(builder);
  sb_schema_close(schema);
}

static void counts_that_differ_are_refused(void **state) {
  (void)state;
  sb_schema *schema = open_all_types(), *empty = NULL;
  assert_ok(sb_schema_open("Empty", SB_DIRECTION_REQUEST, 9, NULL, 0, &empty, NULL));
  sb_builder *builder = open_builder(NULL);
  sb_error error;
  for (size_t value_count = 0; value_count < VALUES + 2; value_count++) {
    if (value_count == VALUES) continue;
    assert_int_equal(sb_builder_add_rows(builder, schema, sample_sequences, SAMPLES, rows, value_count, &error), SB_INVALID_ARGUMENT);
  }
  assert_non_null(strstr(error.message, "AllTypes has 10 fields, 31 values were given for 3 messages"));
  assert_int_equal(sb_builder_add_rows(builder, empty, sample_sequences, SAMPLES, rows, 1, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_add_rows(NULL, schema, sample_sequences, SAMPLES, rows, VALUES, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_add_rows(builder, NULL, sample_sequences, SAMPLES, rows, VALUES, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_add_rows(builder, schema, NULL, SAMPLES, rows, VALUES, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_add_rows(builder, schema, sample_sequences, SAMPLES, NULL, VALUES, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_builder_size(builder), 0);
  assert_ok(sb_builder_add_rows(builder, schema, NULL, 0, NULL, 0, NULL));
  assert_int_equal(sb_builder_frame_count(builder), 0);
  assert_ok(sb_builder_add_rows(builder, empty, sample_sequences, SAMPLES, NULL, 0, NULL));
  assert_int_equal(sb_builder_size(builder), SAMPLES * 6);
  sb_builder_close(builder);
  sb_schema_close(empty);
  sb_schema_close(schema);
}

static void without_memory_nothing_is_added(void **state) {
  (void)state;
  sb_schema *schema = open_all_types();
  bool failed = true;
  for (long nth = 1; failed; nth++) {
    sb_memory *memory = NULL;
    assert_ok(sb_memory_open_fixed(50, &memory)); /* frames lie across blocks */
    sb_builder *builder = open_builder(memory), *wanted = open_builder(NULL);
    add_samples_singly(builder, schema);
    add_samples_singly(wanted, schema);
    sb_error error;
    allocations_until_failure = nth;
    sb_status status = sb_builder_add_rows(builder, schema, sample_sequences, SAMPLES, rows, VALUES, &error);
    failed = allocations_until_failure == 0;
    allocations_until_failure = 0;
    assert_int_equal(status, failed ? SB_NO_MEMORY : SB_OK);
    if (failed) {
      assert_int_equal(error.status, SB_NO_MEMORY);
      assert_same_frames(builder, wanted);
    } else {
      assert_true(nth > 1);
      add_samples_singly(wanted, schema);
      assert_same_frames(builder, wanted);
    }
    sb_builder_close(builder);
    sb_builder_close(wanted);
    sb_memory_close(memory);
  }
  sb_schema_close(schema);
}

/* What a batch handed out goes with its content. */
static void batches_exchange_their_contents(void **state) {
  (void)state;
  sb_parser *parser = open_echo_parser(NULL);
  sb_batch *batch = open_batch(), *other = open_batch();
  assert_ok(sb_parser_feed(parser, reference_frame, sizeof reference_frame));
  assert_ok(sb_parser_parse(parser, batch));
  const sb_value *values;
  size_t count;
  assert_ok(sb_batch_get_values(batch, 0, &values, &count));
  sb_batch_swap(batch, NULL);
  sb_batch_swap(NULL, batch);
  sb_batch_swap(batch, batch);
  assert_int_equal(sb_batch_row_count(batch), 1);
  sb_batch_swap(batch, other);
  assert_int_equal(sb_batch_row_count(batch), 0);
  assert_int_equal(sb_batch_row_count(other), 1);

  static uint8_t second[sizeof reference_frame];
  memcpy(second, reference_frame, sizeof second);
  for (size_t i = 18; i < 22; i++) second[i] = (uint8_t)(second[i] - 'a' + 'A'); /* the subject */
  assert_ok(sb_parser_feed(parser, second, sizeof second));
  assert_ok(sb_parser_parse(parser, batch));
  assert_int_equal(values[0].number, 9999);
  assert_memory_equal(values[1].data, "test", 4);
  const sb_value *again;
  assert_ok(sb_batch_get_values(other, 0, &again, &count));
  assert_ptr_equal(again, values);
  assert_ok(sb_batch_get_values(batch, 0, &again, &count));
  assert_memory_equal(again[1].data, "TEST", 4);
  sb_batch_close(batch);
  sb_parser_close(parser);
  assert_memory_equal(values[3].data, "We have a lot in common", 23);
  sb_batch_close(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(rows_give_the_bytes_that_single_messages_give),
      codec_test(a_wrong_row_is_refused_and_nothing_added),
      codec_test(counts_that_differ_are_refused),
      codec_test(without_memory_nothing_is_added),
      codec_test(batches_exchange_their_contents),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
