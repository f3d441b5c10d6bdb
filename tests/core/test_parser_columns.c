/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "codec_sample.h"

#include "failing_malloc.h"

typedef struct decoded {
  sb_schema *schemas[2];
  sb_builder *builder;
  sb_parser *parser;
  sb_batch *batch;
} decoded;

static void feed(decoded *all) {
  sb_view *frames = NULL;
  assert_ok(sb_builder_take(all->builder, &frames));
  for (size_t i = 0; i < sb_view_span_count(frames); i++) {
    const void *data;
    size_t size;
    assert_ok(sb_view_span(frames, i, &data, &size));
    assert_ok(sb_parser_feed(all->parser, data, size));
  }
  sb_view_close(frames);
  assert_ok(sb_parser_parse(all->parser, all->batch));
}

/* A batch with rows of two schemas in turn: AllTypes at 0, and Other (one int16, api_key 4) at 1. */
static void open_decoded(decoded *all) {
  const sb_schema_field field = {"number", SB_TYPE_INT16, 0};
  *all = (decoded){.schemas = {open_all_types()}, .batch = open_batch()};
  assert_ok(sb_schema_open("Other", SB_DIRECTION_REQUEST, 4, &field, 1, &all->schemas[1], NULL));
  assert_ok(sb_builder_open(NULL, &all->builder));
  for (int row = 0; row < SAMPLES; row++) {
    const sb_value number = {.number = 1000 + row};
    assert_ok(sb_builder_add(all->builder, all->schemas[0], (int8_t)(10 + row), sample_values[row], ALL_FIELDS, NULL));
    assert_ok(sb_builder_add(all->builder, all->schemas[1], (int8_t)(-10 - row), &number, 1, NULL));
  }
  assert_ok(sb_parser_open(all->schemas, 2, NULL, &all->parser, NULL));
  feed(all);
  assert_int_equal(sb_batch_row_count(all->batch), 2 * SAMPLES);
}

static void close_decoded(decoded *all) {
  sb_builder_close(all->builder);
  sb_parser_close(all->parser);
  sb_batch_close(all->batch);
  sb_schema_close(all->schemas[0]);
  sb_schema_close(all->schemas[1]);
}

/* Returns a part that must be there, with as many items of that size. */
static const void *column(sb_batch *batch, size_t schema_index, int32_t field, int32_t part, size_t count, size_t item_size) {
  const void *data = "untouched";
  size_t size = 0, found = 0;
  assert_ok(sb_batch_get_column(batch, schema_index, field, part, &data, &size, &found));
  assert_int_equal(found, item_size);
  assert_int_equal(size, count * item_size);
  assert_int_equal((uintptr_t)data % item_size, 0);
  return data;
}

#define assert_items(data, ...) assert_memory_equal((data), (__VA_ARGS__), sizeof(__VA_ARGS__))

static void heads_are_columns(void **state) {
  (void)state;
  decoded all;
  open_decoded(&all);
  assert_items(column(all.batch, 0, SB_COLUMN_SEQUENCE, SB_PART_VALUES, SAMPLES, 1), (int8_t[]){10, 11, 12});
  assert_items(column(all.batch, 1, SB_COLUMN_SEQUENCE, SB_PART_VALUES, SAMPLES, 1), (int8_t[]){-10, -11, -12});
  assert_items(column(all.batch, 0, SB_COLUMN_API_KEY, SB_PART_VALUES, SAMPLES, 1), (int8_t[]){3, 3, 3});
  assert_items(column(all.batch, 0, SB_COLUMN_ROW, SB_PART_VALUES, SAMPLES, 8), (int64_t[]){0, 2, 4});
  assert_items(column(all.batch, 1, SB_COLUMN_ROW, SB_PART_VALUES, SAMPLES, 8), (int64_t[]){1, 3, 5});
  const int64_t *offsets = column(all.batch, 1, SB_COLUMN_STREAM_OFFSET, SB_PART_VALUES, SAMPLES, 8);
  for (size_t i = 0; i < SAMPLES; i++) {
    sb_row row;
    assert_ok(sb_batch_get_row(all.batch, 2 * i + 1, &row));
    assert_int_equal(offsets[i], row.stream_offset);
  }
  close_decoded(&all);
}

static void integers_are_columns_of_their_width(void **state) {
  (void)state;
  decoded all;
  open_decoded(&all);
  assert_items(column(all.batch, 0, 0, SB_PART_VALUES, SAMPLES, 1), (int8_t[]){-8, 0, 127});
  assert_items(column(all.batch, 0, 1, SB_PART_VALUES, SAMPLES, 2), (int16_t[]){-16, 0, 32767});
  assert_items(column(all.batch, 0, 2, SB_PART_VALUES, SAMPLES, 4), (int32_t[]){-32, 0, INT32_MAX});
  assert_items(column(all.batch, 0, 3, SB_PART_VALUES, SAMPLES, 8), (int64_t[]){-64, 0, INT64_MAX});
  assert_items(column(all.batch, 1, 0, SB_PART_VALUES, SAMPLES, 2), (int16_t[]){1000, 1001, 1002});
  close_decoded(&all);
}

/* Bytes of the values of a column of strings: all that the batch shows. */
static const char *bytes_of(sb_batch *batch, int32_t field, size_t *size) {
  const void *data = NULL;
  size_t item_size = 0;
  assert_ok(sb_batch_get_column(batch, 0, field, SB_PART_VALUES, &data, size, &item_size));
  assert_int_equal(item_size, 1);
  return data;
}

static void strings_are_places_in_what_was_received(void **state) {
  (void)state;
  decoded all;
  open_decoded(&all);
  size_t size;
  const char *bytes = bytes_of(all.batch, 4, &size);
  const int64_t *offsets = column(all.batch, 0, 4, SB_PART_OFFSETS, SAMPLES, 8);
  const int32_t *lengths = column(all.batch, 0, 4, SB_PART_LENGTHS, SAMPLES, 4);
  const char *const wanted[] = {"text", "", "more text"};
  for (size_t i = 0; i < SAMPLES; i++) {
    assert_int_equal(lengths[i], strlen(wanted[i]));
    assert_true(offsets[i] >= 0 && (size_t)offsets[i] + (size_t)lengths[i] <= size);
    assert_memory_equal(bytes + offsets[i], wanted[i], strlen(wanted[i]));
    const sb_value *values;
    size_t count;
    assert_ok(sb_batch_get_values(all.batch, 2 * i, &values, &count));
    assert_ptr_equal(values[4].data, bytes + offsets[i]); /* the same memory, not a copy */
  }
  size_t again;
  assert_ptr_equal(bytes_of(all.batch, 9, &again), bytes);
  assert_int_equal(again, size);
  close_decoded(&all);
}

static void arrays_are_flattened(void **state) {
  (void)state;
  decoded all;
  open_decoded(&all);
  assert_items(column(all.batch, 0, 5, SB_PART_VALUES, 3, 1), (int8_t[]){-1, 2, -1});
  assert_items(column(all.batch, 0, 6, SB_PART_VALUES, 4, 2), (int16_t[]){300, -301, 302, 300});
  assert_items(column(all.batch, 0, 7, SB_PART_VALUES, 1, 4), (int32_t[]){70000});
  assert_items(column(all.batch, 0, 8, SB_PART_VALUES, 3, 8), (int64_t[]){INT64_MIN, 5, INT64_MIN});
  assert_items(column(all.batch, 0, 6, SB_PART_OFFSETS, SAMPLES, 8), (int64_t[]){0, 3, 3});
  assert_items(column(all.batch, 0, 6, SB_PART_LENGTHS, SAMPLES, 4), (int32_t[]){3, 0, 1});
  assert_items(column(all.batch, 0, 7, SB_PART_OFFSETS, SAMPLES, 8), (int64_t[]){0, 1, 1});
  assert_items(column(all.batch, 0, 7, SB_PART_LENGTHS, SAMPLES, 4), (int32_t[]){1, 0, 0});
  close_decoded(&all);
}

static void arrays_of_strings_have_places_per_item(void **state) {
  (void)state;
  decoded all;
  open_decoded(&all);
  size_t size;
  const char *bytes = bytes_of(all.batch, 9, &size);
  assert_items(column(all.batch, 0, 9, SB_PART_OFFSETS, SAMPLES, 8), (int64_t[]){0, 2, 2});
  assert_items(column(all.batch, 0, 9, SB_PART_LENGTHS, SAMPLES, 4), (int32_t[]){2, 0, 1});
  assert_items(column(all.batch, 0, 9, SB_PART_ITEM_LENGTHS, 3, 4), (int32_t[]){3, 0, 5});
  const int64_t *offsets = column(all.batch, 0, 9, SB_PART_ITEM_OFFSETS, 3, 8);
  assert_memory_equal(bytes + offsets[0], "one", 3);
  assert_memory_equal(bytes + offsets[2], "three", 5);
  assert_true(offsets[1] == offsets[0] + 3 + 4); /* behind its own length */
  close_decoded(&all);
}

static void a_column_is_made_once_until_the_next_parse(void **state) {
  (void)state;
  decoded all;
  open_decoded(&all);
  const void *numbers = column(all.batch, 0, 3, SB_PART_VALUES, SAMPLES, 8);
  const void *others = column(all.batch, 1, 0, SB_PART_VALUES, SAMPLES, 2);
  assert_ptr_equal(column(all.batch, 0, 3, SB_PART_VALUES, SAMPLES, 8), numbers);
  assert_ptr_equal(column(all.batch, 1, 0, SB_PART_VALUES, SAMPLES, 2), others);
  for (int round = 0; round < 3; round++) { /* the batch's memory serves again */
    const sb_value number = {.number = round};
    assert_ok(sb_builder_add(all.builder, all.schemas[1], 0, &number, 1, NULL));
    feed(&all);
    assert_items(column(all.batch, 1, 0, SB_PART_VALUES, 1, 2), (int16_t[]){(int16_t)round});
    (void)column(all.batch, 0, 3, SB_PART_VALUES, 0, 8);
  }
  close_decoded(&all);
}

static void rows_that_are_not_there_make_empty_columns(void **state) {
  (void)state;
  decoded all;
  open_decoded(&all);
  assert_ok(sb_parser_feed(all.parser, "\0\0\0\2\x63", 6)); /* an unknown api_key: an error, no row */
  assert_ok(sb_parser_parse(all.parser, all.batch));
  assert_int_equal(sb_batch_error_count(all.batch), 1);
  static const size_t item_sizes[ALL_FIELDS] = {1, 2, 4, 8, 1, 1, 2, 4, 8, 1};
  for (int32_t field = 0; field < ALL_FIELDS; field++) (void)column(all.batch, 0, field, SB_PART_VALUES, 0, item_sizes[field]);
  (void)column(all.batch, 0, 9, SB_PART_ITEM_OFFSETS, 0, 8);
  (void)column(all.batch, 0, SB_COLUMN_ROW, SB_PART_VALUES, 0, 8);
  close_decoded(&all);
}

static sb_status ask(sb_batch *batch, size_t schema_index, int32_t field, int32_t part) {
  const void *data = NULL;
  size_t size = 77, item_size = 77;
  sb_status status = sb_batch_get_column(batch, schema_index, field, part, &data, &size, &item_size);
  if (status != SB_OK) {
    assert_null(data);
    assert_true(size == 77 && item_size == 77);
  }
  return status;
}

static void what_is_no_column_is_refused(void **state) {
  (void)state;
  decoded all;
  open_decoded(&all);
  assert_int_equal(ask(all.batch, 2, 0, SB_PART_VALUES), SB_OUT_OF_RANGE);
  assert_int_equal(ask(all.batch, 0, ALL_FIELDS, SB_PART_VALUES), SB_OUT_OF_RANGE);
  assert_int_equal(ask(all.batch, 1, 1, SB_PART_VALUES), SB_OUT_OF_RANGE);
  assert_int_equal(ask(all.batch, 0, -5, SB_PART_VALUES), SB_OUT_OF_RANGE);
  assert_int_equal(ask(all.batch, 0, INT32_MIN, SB_PART_VALUES), SB_OUT_OF_RANGE);
  for (int32_t part = SB_PART_OFFSETS; part <= SB_PART_ITEM_LENGTHS; part++) {
    assert_int_equal(ask(all.batch, 0, 0, part), SB_INVALID_ARGUMENT);
    assert_int_equal(ask(all.batch, 0, SB_COLUMN_SEQUENCE, part), SB_INVALID_ARGUMENT);
    assert_int_equal(ask(all.batch, 0, 4, part), part <= SB_PART_LENGTHS ? SB_OK : SB_INVALID_ARGUMENT);
    assert_int_equal(ask(all.batch, 0, 6, part), part <= SB_PART_LENGTHS ? SB_OK : SB_INVALID_ARGUMENT);
    assert_int_equal(ask(all.batch, 0, 9, part), SB_OK);
  }
  assert_int_equal(ask(all.batch, 0, 0, -1), SB_INVALID_ARGUMENT);
  assert_int_equal(ask(all.batch, 0, 9, 5), SB_INVALID_ARGUMENT);
  sb_batch_clear(all.batch);
  assert_int_equal(ask(all.batch, 0, 0, SB_PART_VALUES), SB_OUT_OF_RANGE);
  assert_int_equal(ask(NULL, 0, 0, SB_PART_VALUES), SB_INVALID_ARGUMENT);
  size_t size;
  assert_int_equal(sb_batch_get_column(all.batch, 0, 0, 0, NULL, &size, &size), SB_INVALID_ARGUMENT);
  close_decoded(&all);
}

/* Adds so many rows that neither columns nor values fit what the batch has at hand, and parses them into a batch of its own. */
static void open_many(decoded *all, bool by_columns) {
  enum {
    MANY = 300
  };
  open_decoded(all);
  if (by_columns) (void)column(all->batch, 0, SB_COLUMN_SEQUENCE, SB_PART_VALUES, SAMPLES, 1);
  sb_batch_close(all->batch);
  all->batch = open_batch();
  for (int row = 0; row < MANY; row++) {
    const sb_value number = {.number = row};
    assert_ok(sb_builder_add(all->builder, all->schemas[0], 0, sample_values[row % SAMPLES], ALL_FIELDS, NULL));
    assert_ok(sb_builder_add(all->builder, all->schemas[1], 0, &number, 1, NULL));
  }
  feed(all);
}

static sb_status ask_values(sb_batch *batch, size_t row) {
  const sb_value *values = NULL;
  size_t count = 77;
  const sb_status status = sb_batch_get_values(batch, row, &values, &count);
  if (status != SB_OK) assert_true(values == NULL && count == 77);
  return status;
}

/* Asks with each allocation failing in turn, until none is left to fail, and then again with memory. Returns how many failed. */
static long ask_without_memory(bool by_columns, bool values) {
  for (long failing = 1;; failing++) {
    decoded all;
    open_many(&all, by_columns);
    allocations_until_failure = failing;
    const sb_status status = values ? ask_values(all.batch, 3) : ask(all.batch, 0, 9, SB_PART_ITEM_OFFSETS);
    const bool all_worked = allocations_until_failure > 0;
    allocations_until_failure = 0;
    assert_int_equal(status, all_worked ? SB_OK : SB_NO_MEMORY);
    const int64_t *numbers = column(all.batch, 0, 3, SB_PART_VALUES, 300, 8);
    assert_items(numbers, (int64_t[]){-64, 0, INT64_MAX});
    const sb_value *read;
    size_t count;
    assert_ok(sb_batch_get_values(all.batch, 5, &read, &count));
    assert_int_equal(count, 1);
    assert_int_equal(read[0].number, 2);
    assert_ptr_equal(column(all.batch, 0, 3, SB_PART_VALUES, 300, 8), numbers);
    close_decoded(&all);
    if (all_worked) return failing - 1;
  }
}

static void without_memory_the_batch_stays_as_it_is(void **state) {
  (void)state;
  assert_true(ask_without_memory(false, false) > 0);
  assert_true(ask_without_memory(true, false) > 0);
  assert_true(ask_without_memory(false, true) > 0);
  assert_true(ask_without_memory(true, true) > 0);
}

/* What is made late lies beside what is there: nothing that was handed out moves. */
static void values_and_columns_stay_where_they_are(void **state) {
  (void)state;
  for (int by_columns = 0; by_columns < 2; by_columns++) {
    decoded all;
    open_many(&all, by_columns != 0);
    const sb_value *values = NULL, *again = NULL;
    size_t count, size;
    const int64_t *numbers = column(all.batch, 0, 3, SB_PART_VALUES, 300, 8);
    const int16_t *others = column(all.batch, 1, 0, SB_PART_VALUES, 300, 2);
    assert_ok(sb_batch_get_values(all.batch, 0, &values, &count));
    assert_int_equal(count, ALL_FIELDS);
    const char *bytes = bytes_of(all.batch, 4, &size);
    const int64_t *offsets = column(all.batch, 0, 4, SB_PART_OFFSETS, 300, 8);
    assert_ptr_equal(values[4].data, bytes + offsets[0]);
    assert_ok(sb_batch_get_values(all.batch, 1, &again, &count));
    assert_ptr_equal(again, values + ALL_FIELDS);
    assert_ptr_equal(column(all.batch, 0, 3, SB_PART_VALUES, 300, 8), numbers);
    assert_int_equal(numbers[3 * 99 + 2], INT64_MAX);
    assert_int_equal(others[299], 299);
    close_decoded(&all);
  }
}

/* Reading by columns, by values, by both, in any order and from batch to batch: each finds what was sent. */
static void each_batch_may_be_read_in_another_way(void **state) {
  (void)state;
  enum {
    ROUNDS = 40
  };
  decoded all;
  open_decoded(&all);
  for (int round = 0; round < ROUNDS; round++) {
    const sb_value number = {.number = round};
    const sb_value *values;
    size_t count;
    const bool other_first = round % 5 < 3;
    for (int row = 0; row < 3; row++) {
      if (other_first) assert_ok(sb_builder_add(all.builder, all.schemas[1], 0, &number, 1, NULL));
      assert_ok(sb_builder_add(all.builder, all.schemas[0], 0, sample_values[row], ALL_FIELDS, NULL));
      if (!other_first) assert_ok(sb_builder_add(all.builder, all.schemas[1], 0, &number, 1, NULL));
    }
    feed(&all);
    for (int step = 0; step < 2; step++) {
      if ((round * 7 / 3 + step) % 3 == 0) continue;
      if ((round / 2 + step) % 2 == 0) {
        assert_items(column(all.batch, 1, 0, SB_PART_VALUES, 3, 2), (int16_t[]){(int16_t)round, (int16_t)round, (int16_t)round});
        assert_items(column(all.batch, 0, 3, SB_PART_VALUES, 3, 8), (int64_t[]){-64, 0, INT64_MAX});
      } else {
        assert_ok(sb_batch_get_values(all.batch, other_first ? 2 : 3, &values, &count));
        assert_int_equal(values[0].number, round);
        assert_ok(sb_batch_get_values(all.batch, other_first ? 5 : 4, &values, &count));
        assert_int_equal(values[3].number, INT64_MAX);
      }
    }
  }
  close_decoded(&all);
}

/* Without values, too, a string that ends behind its frame is refused: in an array nothing but the strings themselves says where. */
static void strings_beyond_the_frame_are_refused_without_values(void **state) {
  (void)state;
  static const uint8_t frames[] = {0, 0, 0, 10, 1, 0, 0, 1, 0, 0, 0, 2, 'a', 'b', 0, 0, 0, 10, 1, 0, 0, 1, 0, 0, 0, 3, 'a', 'b'};
  enum {
    HALF = sizeof frames / 2,
    GOOD = 3
  };
  const sb_schema_field field = {"names", SB_TYPE_ARRAY_STRING, 0};
  sb_schema *schema = NULL;
  sb_parser *parser = NULL;
  sb_batch *batch = open_batch();
  assert_ok(sb_schema_open("Names", SB_DIRECTION_REQUEST, 1, &field, 1, &schema, NULL));
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  options.accept_extra = true; /* else the end of the frame gives it away */
  assert_ok(sb_parser_open(&schema, 1, &options, &parser, NULL));
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < GOOD; i++) assert_ok(sb_parser_feed(parser, frames, HALF));
    assert_ok(sb_parser_feed(parser, frames + HALF, HALF));
    assert_ok(sb_parser_feed(parser, frames, HALF));
    assert_ok(sb_parser_parse(parser, batch));
    assert_int_equal(sb_batch_row_count(batch), GOOD + 1);
    assert_int_equal(sb_batch_error_count(batch), 1);
    assert_items(column(batch, 0, 0, SB_PART_ITEM_LENGTHS, GOOD + 1, 4), (int32_t[]){2, 2, 2, 2});
  }
  sb_batch_close(batch);
  sb_parser_close(parser);
  sb_schema_close(schema);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(heads_are_columns),
      codec_test(integers_are_columns_of_their_width),
      codec_test(strings_are_places_in_what_was_received),
      codec_test(arrays_are_flattened),
      codec_test(arrays_of_strings_have_places_per_item),
      codec_test(a_column_is_made_once_until_the_next_parse),
      codec_test(rows_that_are_not_there_make_empty_columns),
      codec_test(what_is_no_column_is_refused),
      codec_test(without_memory_the_batch_stays_as_it_is),
      codec_test(values_and_columns_stay_where_they_are),
      codec_test(each_batch_may_be_read_in_another_way),
      codec_test(strings_beyond_the_frame_are_refused_without_values),
  };
  return cmocka_run_group_tests_name("parser_columns", tests, NULL, NULL);
}
