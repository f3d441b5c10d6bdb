/* What a batch says of the frames it refused: in words that are made when asked for, whatever has become of the parser. */
#include "codec_testing.h"

typedef struct refused_case {
  const char *bytes; /* of the frame behind its Size and header, of the schema AllTypes; or with its Size */
  size_t size;
  sb_status status;
  const char *field;
  int64_t frame_offset;
  const char *message;
} refused_case;

#define BYTES(text) (text), sizeof(text) - 1
#define INTEGERS "\1\0\2\0\0\0\3\0\0\0\0\0\0\0\4" /* i8 to i64 */
#define EMPTY \
  "\0\0\0\0" \
  "\0\0" \
  "\0\0" \
  "\0\0" \
  "\0\0" \
  "\0\0" /* text to texts */

static const refused_case bodies[] = {
    {BYTES(""), SB_CORRUPT, "i8", 6, "i8: an int8 needs 1 bytes, 0 are left in the frame"},
    {BYTES("\1\0\2\0\0\0\3\0\0\0"), SB_CORRUPT, "i64", 13, "i64: an int64 needs 8 bytes, 3 are left in the frame"},
    {BYTES(INTEGERS "\0\0\0"), SB_CORRUPT, "text", 21, "text: a string's length needs 4 bytes, 3 are left in the frame"},
    {BYTES(INTEGERS "\377\377\377\377"), SB_CORRUPT, "text", 21, "text: a string's length is negative: -1"},
    {BYTES(INTEGERS "\0\0\0\7hello"), SB_CORRUPT, "text", 21, "text: a string of 7 bytes, but 5 are left in the frame"},
    {BYTES(INTEGERS "\0\0\0\0\0"), SB_CORRUPT, "a8", 25, "a8: an array's count needs 2 bytes, 1 are left in the frame"},
    {BYTES(INTEGERS "\0\0\0\0\0\0\377\376"), SB_CORRUPT, "a16", 27, "a16: an array's count is negative: -2"},
    {BYTES(INTEGERS "\0\0\0\0\0\0\0\3abcd"), SB_CORRUPT, "a16", 27,
     "a16: an array of 3 items needs 6 bytes or more, but 4 are left in the frame"},
    {BYTES(INTEGERS "\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\0"), SB_CORRUPT, "texts", 33,
     "texts: an array of 2 items needs 8 bytes or more, but 4 are left in the frame"},
    {BYTES(INTEGERS "\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\1x\0\0\0\2"), SB_CORRUPT, "texts", 40,
     "texts: a string of 2 bytes, but 0 are left in the frame"},
    {BYTES(INTEGERS EMPTY "abc"), SB_CORRUPT, "", 35, "3 bytes after the last field of AllTypes"},
};

static sb_parser *open_parser(sb_memory *memory) {
  sb_schema *schema = open_all_types();
  sb_parser *parser = NULL;
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  options.max_frame_size = 1000;
  options.memory = memory;
  assert_ok(sb_parser_open(&schema, 1, &options, &parser, NULL));
  sb_schema_close(schema);
  return parser;
}

static void feed_frame(sb_parser *parser, char api_key, const void *body, size_t size) {
  const char head[] = {0, 0, 0, (char)(size + 2), api_key, 5};
  assert_ok(sb_parser_feed(parser, head, sizeof head));
  assert_ok(sb_parser_feed(parser, body, size));
}

static void assert_refused(const sb_batch *batch, size_t index, const refused_case *expected, int64_t frame, int64_t stream_offset) {
  sb_error error;
  assert_ok(sb_batch_get_error(batch, index, &error));
  assert_string_equal(error.message, expected->message);
  assert_string_equal(error.field, expected->field);
  assert_int_equal(error.status, expected->status);
  assert_int_equal(error.frame, frame);
  assert_int_equal(error.frame_offset, expected->frame_offset);
  assert_int_equal(error.stream_offset, stream_offset + expected->frame_offset);
  assert_int_equal(error.system_error, 0);
}

/* All bodies, refused, in one batch, which outlives the parser, and whose memory is poisoned if it was given back too early. */
static void each_refusal_says_what_is_wrong_also_after_the_parser(void **state) {
  (void)state;
  sb_pool_options options;
  sb_pool *pool = NULL;
  sb_memory *memory = NULL;
  sb_pool_options_init(&options, sizeof options);
  options.poison_on_put = true;
  assert_ok(sb_pool_open(&options, &pool));
  assert_ok(sb_pool_memory(pool, &memory));
  sb_parser *parser = open_parser(memory);
  sb_batch *batch = open_batch(), *later = open_batch();
  enum {
    COUNT = sizeof bodies / sizeof bodies[0]
  };
  int64_t offsets[COUNT + 1] = {0};
  for (size_t i = 0; i < COUNT; i++) {
    feed_frame(parser, 3, bodies[i].bytes, bodies[i].size);
    offsets[i + 1] = offsets[i] + 6 + (int64_t)bodies[i].size;
  }
  feed_frame(parser, -7, "", 0);
  assert_ok(sb_parser_parse(parser, batch));
  feed_frame(parser, 9, "other bytes", 11);
  assert_ok(sb_parser_parse(parser, later));
  sb_parser_close(parser);
  sb_memory_close(memory);
  sb_pool_close(pool);
  assert_int_equal(sb_batch_row_count(batch), 0);
  assert_int_equal(sb_batch_error_count(batch), COUNT + 1);
  for (size_t i = 0; i < COUNT; i++) assert_refused(batch, i, &bodies[i], (int64_t)i, offsets[i]);
  const refused_case unknown = {NULL, 0, SB_UNKNOWN_API_KEY, "", 4, "no schema of this parser has api_key -7; the frame is skipped"};
  assert_refused(batch, COUNT, &unknown, COUNT, offsets[COUNT]);
  const refused_case other = {NULL, 0, SB_UNKNOWN_API_KEY, "", 4, "no schema of this parser has api_key 9; the frame is skipped"};
  assert_refused(later, 0, &other, COUNT + 1, offsets[COUNT] + 6);
  sb_error error;
  assert_int_equal(sb_batch_get_error(batch, COUNT + 1, &error), SB_OUT_OF_RANGE);
  sb_batch_swap(batch, later);
  assert_refused(batch, 0, &other, COUNT + 1, offsets[COUNT] + 6);
  sb_batch_clear(batch);
  assert_int_equal(sb_batch_get_error(batch, 0, &error), SB_OUT_OF_RANGE);
  assert_refused(later, COUNT, &unknown, COUNT, offsets[COUNT]);
  sb_batch_close(batch);
  sb_batch_close(later);
}

/* What ends the stream is told in the same way, although the parser has no memory any more. */
static void what_ends_the_stream_is_said(void **state) {
  (void)state;
  static const refused_case sizes[] = {
      {"\377\377\377\376", 4, SB_CORRUPT, "", 0, "a frame's Size is negative: -2; the stream cannot go on"},
      {"\0\0\0\1", 4, SB_CORRUPT, "", 0, "a frame's Size is 1, smaller than the header's 2 bytes; the stream cannot go on"},
      {"\0\0\3\351", 4, SB_TOO_LARGE, "", 0, "a frame's Size is 1001, above max_frame_size 1000; the stream cannot go on"},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    sb_parser *parser = open_parser(NULL);
    sb_batch *batch = open_batch();
    feed_frame(parser, 1, "", 0);
    assert_ok(sb_parser_feed(parser, sizes[i].bytes, sizes[i].size));
    assert_ok(sb_parser_parse(parser, batch));
    sb_parser_close(parser);
    assert_int_equal(sb_batch_error_count(batch), 2);
    assert_refused(batch, 1, &sizes[i], 1, 6);
    sb_batch_close(batch);
  }
}

/* A batch without rows shows no bytes, though it keeps those of its errors. */
static void errors_alone_make_empty_columns(void **state) {
  (void)state;
  sb_parser *parser = open_parser(NULL);
  sb_batch *batch = open_batch();
  feed_frame(parser, 3, "", 0);
  assert_ok(sb_parser_parse(parser, batch));
  const void *data;
  size_t size, item_size;
  assert_ok(sb_batch_get_column(batch, 0, 4, SB_PART_VALUES, &data, &size, &item_size));
  assert_int_equal(size, 0);
  assert_ok(sb_batch_get_column(batch, 0, 4, SB_PART_OFFSETS, &data, &size, &item_size));
  assert_int_equal(size, 0);
  sb_batch_close(batch);
  sb_parser_close(parser);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(each_refusal_says_what_is_wrong_also_after_the_parser),
      codec_test(what_ends_the_stream_is_said),
      codec_test(errors_alone_make_empty_columns),
  };
  return cmocka_run_group_tests_name("parser_errors", tests, NULL, NULL);
}
