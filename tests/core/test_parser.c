/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "codec_testing.h"

#include "failing_malloc.h"

/* Every way in gives the same rows; conformance holds the vectors against all of them, so these tests look at what it cannot see:
 * memory, ownership, and failures in the middle. */

static void assert_reference_row(const sb_batch *batch, size_t index) {
  sb_echo_request request;
  assert_ok(sb_echo_get_request(batch, index, &request));
  assert_int_equal(request.timestamp, 9999);
  assert_int_equal(request.subject_size, 4);
  assert_memory_equal(request.subject, "test", 4);
  assert_int_equal(request.metadata_count, 3);
  assert_int_equal(request.metadata[2], 3);
  assert_int_equal(request.body_size, 23);
  assert_memory_equal(request.body, "We have a lot in common", 23);
}

static void a_stream_cut_at_every_byte_gives_the_same_rows(void **state) {
  (void)state;
  uint8_t stream[3 * sizeof reference_frame];
  for (size_t i = 0; i < 3; i++) memcpy(stream + i * sizeof reference_frame, reference_frame, sizeof reference_frame);
  for (size_t cut = 0; cut <= sizeof stream; cut++) {
    sb_parser *parser = open_echo_parser(NULL);
    sb_batch *batch = open_batch();
    assert_ok(sb_parser_feed(parser, stream, cut));
    assert_ok(sb_parser_parse(parser, batch));
    size_t rows = sb_batch_row_count(batch);
    assert_int_equal(rows, cut / sizeof reference_frame);
    size_t tail = cut % sizeof reference_frame;
    assert_int_equal(sb_batch_need(batch), tail < 4 ? 4 - tail : sizeof reference_frame - tail);
    assert_ok(sb_parser_feed(parser, stream + cut, sizeof stream - cut));
    assert_ok(sb_parser_parse(parser, batch));
    assert_int_equal(rows + sb_batch_row_count(batch), 3);
    for (size_t i = 0; i < sb_batch_row_count(batch); i++) {
      sb_row row;
      assert_reference_row(batch, i);
      assert_ok(sb_batch_get_row(batch, i, &row));
      assert_int_equal(row.stream_offset, (int64_t)((rows + i) * sizeof reference_frame));
      assert_int_equal(row.frame_size, 0x35);
    }
    sb_batch_close(batch);
    sb_parser_close(parser);
  }
}

static void a_batch_outlives_the_parser_and_later_bytes_do_not_touch_it(void **state) {
  (void)state;
  sb_parser *parser = open_echo_parser(NULL);
  sb_batch *held = open_batch();
  sb_batch *later = open_batch();
  assert_ok(sb_parser_feed(parser, reference_frame, sizeof reference_frame));
  assert_ok(sb_parser_parse(parser, held));
  uint8_t other[sizeof reference_frame];
  memcpy(other, reference_frame, sizeof other);
  memset(other + 34, 'x', 23);
  for (int i = 0; i < 5000; i++) { /* several receive blocks */
    assert_ok(sb_parser_feed(parser, other, sizeof other));
    if (i % 100 == 0) assert_ok(sb_parser_parse(parser, later));
  }
  sb_parser_close(parser);
  assert_reference_row(held, 0);
  sb_view *frame = NULL;
  assert_ok(sb_batch_get_frame(held, 0, &frame));
  sb_batch_close(held);
  sb_batch_close(later);
  uint8_t bytes[sizeof reference_frame];
  assert_ok(sb_view_read_bytes(frame, bytes, sizeof bytes));
  assert_memory_equal(bytes, reference_frame, sizeof bytes);
  sb_view_close(frame);
}

static void lent_memory_is_read_into_without_a_copy(void **state) {
  (void)state;
  sb_parser *parser = open_echo_parser(NULL);
  sb_batch *batch = open_batch();
  void *data = NULL;
  size_t size = 0;
  assert_ok(sb_parser_buffer(parser, &data, &size));
  assert_true(size >= 16 * 1024);
  memcpy(data, reference_frame, sizeof reference_frame);
  assert_int_equal(sb_parser_commit(parser, size + 1), SB_OUT_OF_RANGE);
  assert_ok(sb_parser_commit(parser, sizeof reference_frame));
  assert_int_equal(sb_parser_commit(parser, 1), SB_OUT_OF_RANGE); /* nothing is lent any more */
  assert_ok(sb_parser_parse(parser, batch));
  sb_echo_request request;
  assert_ok(sb_echo_get_request(batch, 0, &request));
  assert_ptr_equal(request.subject, (uint8_t *)data + 18);
  sb_batch_close(batch);
  sb_parser_close(parser);
}

static void a_lent_piece_is_void_after_another_call(void **state) {
  (void)state;
  sb_parser *parser = open_echo_parser(NULL);
  sb_batch *batch = open_batch();
  void *data = NULL;
  size_t size = 0;
  assert_ok(sb_parser_buffer(parser, &data, &size));
  assert_ok(sb_parser_feed(parser, reference_frame, 10));
  assert_int_equal(sb_parser_commit(parser, 1), SB_OUT_OF_RANGE);
  assert_ok(sb_parser_buffer(parser, &data, &size));
  assert_ok(sb_parser_parse(parser, batch));
  assert_int_equal(sb_parser_commit(parser, 1), SB_OUT_OF_RANGE);
  assert_int_equal(sb_batch_need(batch), 47);
  sb_batch_close(batch);
  sb_parser_close(parser);
}

static void the_callers_own_buffer_is_read_from_its_position(void **state) {
  (void)state;
  const int64_t positions[] = {0, 5, -60};
  for (size_t i = 0; i < 3; i++) {
    sb_parser_options options;
    sb_parser_options_init(&options, sizeof options);
    options.receive_position = positions[i];
    sb_parser *parser = open_echo_parser(&options);
    sb_batch *batch = open_batch();
    uint8_t buffer[100];
    int64_t position = 1;
    assert_ok(sb_parser_position(parser, sizeof buffer, &position));
    assert_int_equal(position, positions[i]);
    size_t offset = position < 0 ? sizeof buffer - (size_t)-position : (size_t)position;
    memset(buffer, 0xee, sizeof buffer);
    memcpy(buffer + offset, reference_frame, sizeof reference_frame);
    assert_int_equal(sb_parser_receive(parser, buffer, sizeof buffer, sizeof buffer - offset + 1), SB_OUT_OF_RANGE);
    assert_ok(sb_parser_receive(parser, buffer, sizeof buffer, sizeof reference_frame));
    memset(buffer, 0xee, sizeof buffer); /* free for the next bytes at once */
    assert_ok(sb_parser_parse(parser, batch));
    assert_reference_row(batch, 0);
    sb_batch_close(batch);
    sb_parser_close(parser);
  }
}

static void a_position_outside_the_buffer_is_out_of_range(void **state) {
  (void)state;
  const int64_t positions[] = {10, 11, -11, INT64_MAX, INT64_MIN};
  for (size_t i = 0; i < 5; i++) {
    sb_parser_options options;
    sb_parser_options_init(&options, sizeof options);
    options.receive_position = positions[i];
    sb_parser *parser = open_echo_parser(&options);
    uint8_t buffer[10] = {0};
    int64_t position = 77;
    assert_int_equal(sb_parser_position(parser, sizeof buffer, &position), SB_OUT_OF_RANGE);
    assert_int_equal(position, 77);
    assert_int_equal(sb_parser_receive(parser, buffer, sizeof buffer, 1), SB_OUT_OF_RANGE);
    sb_parser_close(parser);
  }
}

static void a_claimed_size_takes_no_memory(void **state) {
  (void)state;
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_tracing(NULL, &memory));
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  options.memory = memory;
  options.max_frame_size = INT32_MAX;
  sb_parser *parser = open_echo_parser(&options);
  sb_batch *batch = open_batch();
  const uint8_t claim[] = {0x7f, 0xff, 0xff, 0xff, 0, 0};
  assert_ok(sb_parser_feed(parser, claim, sizeof claim));
  assert_ok(sb_parser_parse(parser, batch));
  assert_int_equal(sb_batch_need(batch), (size_t)INT32_MAX + 4 - sizeof claim);
  void *data;
  size_t size;
  assert_ok(sb_parser_buffer(parser, &data, &size));
  sb_memory_stats stats = {.struct_size = sizeof stats};
  assert_ok(sb_memory_get_stats(memory, &stats));
  assert_true(stats.live_bytes <= 64 * 1024);
  sb_batch_close(batch);
  sb_parser_close(parser);
  sb_memory_close(memory);
}

/* 8 MiB in one frame, received in bytes, kilobytes and lent pieces: what is taken from the provider in all stays linear. */
static void a_large_frame_costs_memory_in_proportion_to_what_arrived(void **state) {
  (void)state;
  enum {
    BODY = 8 * 1024 * 1024,
    FRAME = BODY + 24
  };
  uint8_t *frame = calloc(1, FRAME);
  assert_non_null(frame);
  const uint8_t head[] = {0, 0x80, 0, 20, 0, 9};
  memcpy(frame, head, sizeof head);
  frame[20] = 0x00, frame[21] = 0x80;
  const size_t chunks[] = {1000, 65536, FRAME};
  for (size_t i = 0; i < 3; i++) {
    sb_memory *memory = NULL;
    assert_ok(sb_memory_open_tracing(NULL, &memory));
    sb_parser_options options;
    sb_parser_options_init(&options, sizeof options);
    options.memory = memory;
    options.max_frame_size = FRAME;
    sb_parser *parser = open_echo_parser(&options);
    sb_batch *batch = open_batch();
    for (size_t at = 0; at < FRAME; at += chunks[i]) {
      size_t size = FRAME - at < chunks[i] ? FRAME - at : chunks[i];
      assert_ok(sb_parser_feed(parser, frame + at, size));
      assert_ok(sb_parser_parse(parser, batch));
    }
    assert_int_equal(sb_batch_row_count(batch), 1);
    sb_echo_request request;
    assert_ok(sb_echo_get_request(batch, 0, &request));
    assert_int_equal(request.body_size, BODY);
    sb_memory_stats stats = {.struct_size = sizeof stats};
    assert_ok(sb_memory_get_stats(memory, &stats));
    assert_true(stats.live_bytes <= 3 * (uint64_t)FRAME);
    assert_true(stats.reserves <= 16);
    sb_batch_close(batch);
    sb_parser_close(parser);
    sb_memory_close(memory);
  }
  free(frame);
}

static void a_provider_of_tiny_blocks_serves_too(void **state) {
  (void)state;
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_fixed(7, &memory));
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  options.memory = memory;
  sb_parser *parser = open_echo_parser(&options);
  sb_memory_close(memory);
  sb_batch *batch = open_batch();
  for (size_t i = 0; i < sizeof reference_frame; i++) assert_ok(sb_parser_feed(parser, reference_frame + i, 1));
  assert_ok(sb_parser_parse(parser, batch));
  assert_reference_row(batch, 0);
  sb_batch_close(batch);
  sb_parser_close(parser);
}

static void a_broken_size_ends_the_stream_after_its_good_rows(void **state) {
  (void)state;
  sb_parser *parser = open_echo_parser(NULL);
  sb_batch *batch = open_batch();
  const uint8_t broken[] = {0, 0, 0, 1};
  assert_ok(sb_parser_feed(parser, reference_frame, sizeof reference_frame));
  assert_ok(sb_parser_feed(parser, broken, sizeof broken));
  assert_ok(sb_parser_parse(parser, batch));
  assert_int_equal(sb_batch_row_count(batch), 1);
  assert_int_equal(sb_batch_error_count(batch), 1);
  assert_int_equal(sb_batch_need(batch), 0);
  sb_error error;
  assert_ok(sb_batch_get_error(batch, 0, &error));
  assert_int_equal(error.status, SB_CORRUPT);
  assert_int_equal(error.frame, 1);
  assert_int_equal(error.stream_offset, 57);
  assert_int_equal(error.frame_offset, 0);
  assert_string_equal(error.field, "");
  assert_int_equal(sb_parser_end(parser), SB_CORRUPT);
  assert_reference_row(batch, 0);

  void *data;
  size_t size;
  int64_t position;
  assert_int_equal(sb_parser_feed(parser, "x", 1), SB_CORRUPT);
  assert_int_equal(sb_parser_buffer(parser, &data, &size), SB_CORRUPT);
  assert_int_equal(sb_parser_commit(parser, 0), SB_CORRUPT);
  assert_int_equal(sb_parser_position(parser, 100, &position), SB_CORRUPT);
  assert_int_equal(sb_parser_receive(parser, "x", 1, 1), SB_CORRUPT);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(sb_parser_parse(parser, batch), SB_CORRUPT);
    assert_int_equal(sb_batch_row_count(batch), 0);
    assert_int_equal(sb_batch_error_count(batch), 0);
    assert_int_equal(sb_batch_need(batch), 0);
  }
  sb_batch_close(batch);
  sb_parser_close(parser);
}

static void extra_bytes_are_accepted_on_request(void **state) {
  (void)state;
  uint8_t frame[sizeof reference_frame + 3] = {0};
  memcpy(frame, reference_frame, sizeof reference_frame);
  frame[3] += 3;
  for (int accept = 0; accept < 2; accept++) {
    sb_parser_options options;
    sb_parser_options_init(&options, sizeof options);
    options.accept_extra = accept == 1;
    sb_parser *parser = open_echo_parser(&options);
    sb_batch *batch = open_batch();
    assert_ok(sb_parser_feed(parser, frame, sizeof frame));
    assert_ok(sb_parser_feed(parser, reference_frame, sizeof reference_frame));
    assert_ok(sb_parser_parse(parser, batch));
    assert_int_equal(sb_batch_row_count(batch), accept ? 2 : 1);
    assert_int_equal(sb_batch_error_count(batch), accept ? 0 : 1);
    assert_reference_row(batch, 0);
    sb_batch_close(batch);
    sb_parser_close(parser);
  }
}

static void rows_of_several_schemas_name_theirs(void **state) {
  (void)state;
  sb_schema *schemas[2] = {open_all_types(), NULL};
  assert_ok(sb_echo_request_schema(&schemas[1]));
  sb_parser *parser = NULL;
  assert_ok(sb_parser_open(schemas, 2, NULL, &parser, NULL));
  sb_builder *builder = NULL;
  assert_ok(sb_builder_open(NULL, &builder));
  const sb_bytes texts[] = {{"a", 1}, {NULL, 0}};
  const int64_t longs[] = {-1, INT64_MAX};
  const sb_value values[ALL_FIELDS] = {[3] = {.number = INT64_MIN}, [8] = {.data = longs, .size = 2}, [9] = {.data = texts, .size = 2}};
  assert_ok(sb_builder_add(builder, schemas[0], 1, values, ALL_FIELDS, NULL));
  uint8_t frame[200];
  size_t size = sb_builder_size(builder);
  assert_ok(sb_builder_copy_bytes(builder, frame, size));
  sb_builder_close(builder);
  sb_batch *batch = open_batch();
  assert_ok(sb_parser_feed(parser, reference_frame, sizeof reference_frame));
  assert_ok(sb_parser_feed(parser, frame, size));
  assert_ok(sb_parser_parse(parser, batch));
  sb_schema_close(schemas[0]);
  sb_schema_close(schemas[1]);
  sb_parser_close(parser);

  const sb_row *rows;
  size_t row_count;
  assert_ok(sb_batch_get_rows(batch, &rows, &row_count));
  assert_int_equal(row_count, 2);
  assert_int_equal(rows[0].schema_index, 1);
  assert_int_equal(rows[1].schema_index, 0);
  assert_int_equal(rows[1].api_key, 3);
  sb_schema *schema = NULL;
  assert_ok(sb_batch_get_schema(batch, rows[1].schema_index, &schema));
  assert_string_equal(sb_schema_name(schema), "AllTypes");
  sb_schema_close(schema);
  assert_int_equal(sb_batch_get_schema(batch, 2, &schema), SB_OUT_OF_RANGE);
  const sb_value *read;
  size_t value_count;
  assert_ok(sb_batch_get_values(batch, 1, &read, &value_count));
  assert_int_equal(value_count, ALL_FIELDS);
  assert_int_equal(read[3].number, INT64_MIN);
  assert_int_equal((uintptr_t)read[8].data % 8, 0);
  assert_memory_equal(read[8].data, longs, sizeof longs);
  const sb_bytes *items = read[9].data;
  assert_int_equal(items[0].size, 1);
  assert_int_equal(items[1].size, 0);
  sb_batch_close(batch);
}

/* Every allocation of a whole life fails once. A parse that fails loses no frame: the same call, repeated, gives all of them. */
static void any_failed_allocation_loses_no_frame(void **state) {
  (void)state;
  bool failed = true;
  int failures = 0;
  sb_schema *schema = NULL;
  assert_ok(sb_echo_request_schema(&schema));
  const uint8_t bad[] = {0, 0, 0, 3, 0, 0, 0};
  for (long nth = 1; failed; nth++) {
    sb_parser *parser = NULL;
    sb_batch *batch = NULL;
    allocations_until_failure = nth;
    if (sb_parser_open(&schema, 1, NULL, &parser, NULL) != SB_OK) assert_null(parser);
    if (parser == NULL) assert_ok(sb_parser_open(&schema, 1, NULL, &parser, NULL));
    if (sb_batch_open(&batch) != SB_OK) assert_ok(sb_batch_open(&batch));
    for (int i = 0; i < 40; i++) {
      sb_status status = sb_parser_feed(parser, reference_frame, sizeof reference_frame);
      if (status != SB_OK) assert_ok(sb_parser_feed(parser, reference_frame, sizeof reference_frame));
    }
    if (sb_parser_feed(parser, bad, sizeof bad) != SB_OK) assert_ok(sb_parser_feed(parser, bad, sizeof bad));
    sb_status status = sb_parser_parse(parser, batch);
    if (status != SB_OK) {
      assert_int_equal(status, SB_NO_MEMORY);
      assert_int_equal(sb_batch_row_count(batch), 0);
      assert_int_equal(sb_batch_error_count(batch), 0);
      assert_ok(sb_parser_parse(parser, batch));
    }
    assert_int_equal(sb_batch_row_count(batch), 40);
    assert_int_equal(sb_batch_error_count(batch), 1);
    for (size_t i = 0; i < 40; i++) assert_reference_row(batch, i);
    failed = allocations_until_failure == 0;
    failures += failed;
    allocations_until_failure = 0;
    sb_batch_close(batch);
    sb_parser_close(parser);
  }
  assert_true(failures > 8);
  sb_schema_close(schema);
}

static void wrong_arguments_are_refused(void **state) {
  (void)state;
  sb_schema *pair[2] = {NULL, NULL};
  sb_parser *parser = NULL;
  sb_error error;
  assert_ok(sb_echo_request_schema(&pair[0]));
  assert_ok(sb_echo_response_schema(&pair[1]));
  assert_int_equal(sb_parser_open(pair, 2, NULL, &parser, &error), SB_INVALID_ARGUMENT);
  assert_non_null(strstr(error.message, "EchoRequest and EchoResponse have different directions"));
  sb_schema *twice[2] = {pair[0], pair[0]};
  assert_int_equal(sb_parser_open(twice, 2, NULL, &parser, &error), SB_INVALID_ARGUMENT);
  assert_non_null(strstr(error.message, "api_key 0"));
  sb_schema *hollow[2] = {pair[0], NULL};
  assert_int_equal(sb_parser_open(hollow, 2, NULL, &parser, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_parser_open(pair, 0, NULL, &parser, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_parser_open(pair, SB_PARSER_SCHEMAS_MAX + 1, NULL, &parser, &error), SB_TOO_LARGE);
  assert_int_equal(sb_parser_open(NULL, 1, NULL, &parser, &error), SB_INVALID_ARGUMENT);
  sb_parser_options options;
  memset(&options, 0, sizeof options);
  assert_int_equal(sb_parser_open(pair, 1, &options, &parser, &error), SB_INVALID_ARGUMENT);
  assert_non_null(strstr(error.message, "sb_parser_options_init"));
  for (int32_t limit = -1; limit <= 1; limit += 2) {
    sb_parser_options_init(&options, sizeof options);
    options.max_frame_size = limit;
    assert_int_equal(sb_parser_open(pair, 1, &options, &parser, &error), SB_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "max_frame_size"));
  }
  assert_null(parser);
  assert_int_equal(sb_parser_feed(NULL, "x", 1), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_parser_parse(NULL, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_parser_end(NULL), SB_INVALID_ARGUMENT);
  sb_parser_close(NULL);
  sb_batch_close(NULL);
  sb_batch_clear(NULL);
  assert_int_equal(sb_batch_row_count(NULL), 0);
  sb_schema_close(pair[0]);
  sb_schema_close(pair[1]);
}

static void options_of_another_version_are_understood_or_refused(void **state) {
  (void)state;
  struct {
    sb_parser_options options;
    uint64_t newer;
  } room;
  sb_error error;
  sb_parser *parser = NULL;
  sb_schema *pair[1] = {NULL};
  assert_int_equal(sb_echo_request_schema(&pair[0]), SB_OK);
  sb_parser_options_init(&room.options, sizeof room);
  sb_parser_close(open_echo_parser(&room.options));
  room.newer = 1; /* something that only a newer version knows */
  assert_int_equal(sb_parser_open(pair, 1, &room.options, &parser, &error), SB_UNSUPPORTED);
  memset(&room, 0xaa, sizeof room);
  const size_t less = sizeof room.options - 8; /* no version had it smaller */
  sb_parser_options_init(&room.options, less);
  assert_int_equal(room.options.struct_size, less);
  for (size_t i = less; i < sizeof room; i++) assert_int_equal(((uint8_t *)&room)[i], 0xaa);
  assert_int_equal(sb_parser_open(pair, 1, &room.options, &parser, &error), SB_INVALID_ARGUMENT);
  assert_null(parser);
  sb_schema_close(pair[0]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(a_stream_cut_at_every_byte_gives_the_same_rows),
      codec_test(a_batch_outlives_the_parser_and_later_bytes_do_not_touch_it),
      codec_test(lent_memory_is_read_into_without_a_copy),
      codec_test(a_lent_piece_is_void_after_another_call),
      codec_test(the_callers_own_buffer_is_read_from_its_position),
      codec_test(a_position_outside_the_buffer_is_out_of_range),
      codec_test(a_claimed_size_takes_no_memory),
      codec_test(a_large_frame_costs_memory_in_proportion_to_what_arrived),
      codec_test(a_provider_of_tiny_blocks_serves_too),
      codec_test(a_broken_size_ends_the_stream_after_its_good_rows),
      codec_test(extra_bytes_are_accepted_on_request),
      codec_test(rows_of_several_schemas_name_theirs),
      codec_test(any_failed_allocation_loses_no_frame),
      codec_test(wrong_arguments_are_refused),
      codec_test(options_of_another_version_are_understood_or_refused),
  };
  return cmocka_run_group_tests_name("parser", tests, NULL, NULL);
}
