/* Frames that are changed after the parse, as somebody who shares the parser's memory can do: another process, or a provider written in Python.
 * Whatever is made of them later stays within them, which AddressSanitizer watches: the frames end where their memory does. */
#include "codec_testing.h"

enum {
  MEMORY_SIZE = 64 * 1024, /* what a parser asks for */
  HEAD = 6,
  GOOD = HEAD + 15 + 7 + 3 + 4 + 6 + 10 + 11,
  BAD = HEAD + 15 + 4 + 2 + 2 + 2 + 2 + 2 + 4
};

#define INTEGERS "\1\0\2\0\0\0\3\0\0\0\0\0\0\0\4"

static const char good[] = "\0\0\0\72\3\0" INTEGERS "\0\0\0\3abc"
                           "\0\1x"
                           "\0\1yy"
                           "\0\1zzzz"
                           "\0\1aaaaaaaa"
                           "\0\2\0\0\0\1b\0\0\0\0";
/* The second string of its last array is longer than the frame. */
static const char bad[] = "\0\0\0\43\3\0" INTEGERS "\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\7";

static uint8_t *memory; /* the parser's */

static sb_status reserve(void *context, size_t min_bytes, void *sink) {
  (void)context;
  assert_int_equal(min_bytes, MEMORY_SIZE);
  memory = malloc(min_bytes);
  assert_non_null(memory);
  return sb_sink_add(sink, memory, min_bytes, memory, 0, NULL);
}

static void release(void *context, void *token) {
  (void)context;
  free(token);
}

static sb_parser *open_parser(void) {
  const sb_memory_functions functions = {.struct_size = sizeof functions, .reserve = reserve, .release = release};
  const sb_schema_field field = {"only", SB_TYPE_INT8, 0};
  sb_schema *schemas[] = {open_all_types(), NULL};
  assert_ok(sb_schema_open("Small", SB_DIRECTION_REQUEST, 4, &field, 1, &schemas[1], NULL));
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  assert_ok(sb_memory_open_callback(&functions, &options.memory));
  sb_parser *parser = NULL;
  assert_ok(sb_parser_open(schemas, 2, &options, &parser, NULL));
  sb_memory_close(options.memory);
  sb_schema_close(schemas[0]);
  sb_schema_close(schemas[1]);
  return parser;
}

/* Reads a column, so that the next parse leaves values out. */
static void read_by_columns(sb_parser *parser, sb_batch *batch) {
  const void *data;
  size_t size, item_size;
  assert_ok(sb_parser_feed(parser, good, GOOD));
  assert_ok(sb_parser_parse(parser, batch));
  assert_ok(sb_batch_get_column(batch, 0, 0, SB_PART_VALUES, &data, &size, &item_size));
  sb_batch_clear(batch);
}

/* Fills the memory to its end: a large frame, then the good and the bad one. */
static void fill(sb_parser *parser, sb_batch *batch, bool good_last) {
  static uint8_t stream[MEMORY_SIZE];
  const size_t large = MEMORY_SIZE - GOOD - BAD, text = large - HEAD - 15 - 14;
  memset(stream, 0, sizeof stream);
  stream[2] = (uint8_t)((large - 4) >> 8), stream[3] = (uint8_t)(large - 4), stream[4] = 3;
  stream[HEAD + 15 + 2] = (uint8_t)(text >> 8), stream[HEAD + 15 + 3] = (uint8_t)text;
  memcpy(stream + large + (good_last ? BAD : 0), good, GOOD);
  memcpy(stream + large + (good_last ? 0 : GOOD), bad, BAD);
  assert_ok(sb_parser_feed(parser, stream, sizeof stream));
  assert_ok(sb_parser_parse(parser, batch));
  assert_int_equal(sb_batch_row_count(batch), 2);
  assert_int_equal(sb_batch_error_count(batch), 1);
}

/* Asks for all columns, then for all values; returns how many were refused. */
static size_t ask_for_all(sb_batch *batch) {
  size_t refused = 0, count;
  const sb_value *values;
  for (int32_t field = 0; field < ALL_FIELDS; field++)
    for (int32_t part = SB_PART_VALUES; part <= SB_PART_ITEM_LENGTHS; part++) {
      const void *data;
      size_t size, item_size;
      const sb_status status = sb_batch_get_column(batch, 0, field, part, &data, &size, &item_size);
      assert_true(status == SB_OK || status == SB_INVALID_ARGUMENT || status == SB_CORRUPT);
      refused += status == SB_CORRUPT;
    }
  const sb_status status = sb_batch_get_all_values(batch, &values, &count);
  assert_true(status == SB_OK || status == SB_CORRUPT);
  if (status == SB_OK) assert_int_equal(count, 2 * ALL_FIELDS);
  return refused + (status == SB_CORRUPT);
}

static size_t change_and_ask(bool good_last, size_t from_end, uint8_t byte, size_t *changed_errors) {
  sb_parser *parser = open_parser();
  sb_batch *batch = open_batch();
  read_by_columns(parser, batch);
  fill(parser, batch, good_last);
  memory[MEMORY_SIZE - from_end] = byte;
  const size_t refused = ask_for_all(batch);
  sb_error error;
  assert_ok(sb_batch_get_error(batch, 0, &error));
  assert_int_equal(error.status, SB_CORRUPT);
  *changed_errors += strstr(error.message, "has been changed since") != NULL;
  sb_batch_close(batch);
  sb_parser_close(parser);
  return refused;
}

static void frames_that_are_changed_after_the_parse_are_not_left(void **state) {
  (void)state;
  static const uint8_t bytes[] = {0, 1, 4, 0x7f, 0xff};
  size_t refused = 0, changed_errors = 0;
  for (int good_last = 0; good_last < 2; good_last++)
    for (size_t from_end = 1; from_end <= GOOD + BAD; from_end++)
      for (size_t i = 0; i < sizeof bytes; i++) refused += change_and_ask(good_last, from_end, bytes[i], &changed_errors);
  assert_true(refused > 100);
  assert_true(changed_errors > 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(frames_that_are_changed_after_the_parse_are_not_left),
  };
  return cmocka_run_group_tests_name("parser_changed", tests, NULL, NULL);
}
