#include "codec_testing.h"

static void a_request_goes_round(void **state) {
  (void)state;
  const int16_t metadata[] = {1, 2, 3};
  const sb_echo_request request = {.timestamp = 9999,
                                   .subject = "test",
                                   .subject_size = 4,
                                   .metadata = metadata,
                                   .metadata_count = 3,
                                   .body = "We have a lot in common",
                                   .body_size = 23,
                                   .sequence = -7};
  sb_builder *builder = NULL;
  assert_ok(sb_builder_open(NULL, &builder));
  assert_ok(sb_echo_add_request(builder, &request, NULL));
  uint8_t frame[sizeof reference_frame];
  assert_ok(sb_builder_copy_bytes(builder, frame, sizeof frame));
  assert_int_equal((int8_t)frame[5], -7);
  sb_builder_close(builder);

  sb_parser *parser = open_echo_parser(NULL);
  sb_batch *batch = open_batch();
  assert_ok(sb_parser_feed(parser, frame, sizeof frame));
  assert_ok(sb_parser_parse(parser, batch));
  sb_echo_request read;
  assert_ok(sb_echo_get_request(batch, 0, &read));
  assert_int_equal(read.timestamp, 9999);
  assert_int_equal(read.sequence, -7);
  assert_int_equal(read.subject_size, 4);
  assert_memory_equal(read.subject, "test", 4);
  assert_int_equal(read.metadata_count, 3);
  assert_memory_equal(read.metadata, metadata, sizeof metadata);
  assert_int_equal(read.body_size, 23);
  assert_memory_equal(read.body, request.body, 23);

  sb_echo_response response = {.id = 55};
  assert_int_equal(sb_echo_get_response(batch, 0, &response), SB_INVALID_ARGUMENT);
  assert_int_equal(response.id, 55);
  assert_int_equal(sb_echo_get_request(batch, 1, &read), SB_OUT_OF_RANGE);
  sb_batch_close(batch);
  sb_parser_close(parser);
}

static void a_response_goes_round(void **state) {
  (void)state;
  const sb_echo_response response = {
      .timestamp = -1, .subject = "s", .subject_size = 1, .body = NULL, .body_size = 0, .id = 7, .sequence = 5};
  sb_builder *builder = NULL;
  assert_ok(sb_builder_open(NULL, &builder));
  assert_ok(sb_echo_add_response(builder, &response, NULL));
  sb_view *frames = NULL, *flat = NULL;
  assert_ok(sb_builder_take(builder, &frames));
  assert_ok(sb_view_flatten(frames, NULL, &flat));
  const void *data = NULL;
  size_t size = 0;
  assert_ok(sb_view_span(flat, 0, &data, &size));

  sb_schema *schema = NULL;
  sb_parser *parser = NULL;
  assert_ok(sb_echo_response_schema(&schema));
  assert_ok(sb_parser_open(&schema, 1, NULL, &parser, NULL));
  assert_int_equal(sb_parser_direction(parser), SB_DIRECTION_RESPONSE);
  sb_batch *batch = open_batch();
  assert_ok(sb_parser_feed(parser, data, size));
  assert_ok(sb_parser_parse(parser, batch));
  sb_echo_response read;
  assert_ok(sb_echo_get_response(batch, 0, &read));
  assert_int_equal(read.id, 7);
  assert_int_equal(read.sequence, 5);
  assert_int_equal(read.timestamp, -1);
  assert_int_equal(read.subject_size, 1);
  assert_int_equal(read.body_size, 0);
  sb_echo_request request;
  assert_int_equal(sb_echo_get_request(batch, 0, &request), SB_INVALID_ARGUMENT);
  sb_batch_close(batch);
  sb_parser_close(parser);
  sb_schema_close(schema);
  sb_view_close(flat);
  sb_view_close(frames);
  sb_builder_close(builder);
}

static void a_schema_that_was_made_by_hand_is_echo_as_well(void **state) {
  (void)state;
  const sb_schema_field fields[] = {
      {"timestamp", SB_TYPE_INT64, 0}, {"subject", SB_TYPE_STRING, 0}, {"metadata", SB_TYPE_ARRAY_INT16, 0}, {"body", SB_TYPE_STRING, 0}};
  sb_schema *schema = NULL;
  sb_parser *parser = NULL;
  assert_ok(sb_schema_open("Mine", SB_DIRECTION_REQUEST, 0, fields, 4, &schema, NULL));
  assert_ok(sb_parser_open(&schema, 1, NULL, &parser, NULL));
  sb_batch *batch = open_batch();
  assert_ok(sb_parser_feed(parser, reference_frame, sizeof reference_frame));
  assert_ok(sb_parser_parse(parser, batch));
  sb_echo_request read;
  assert_ok(sb_echo_get_request(batch, 0, &read));
  assert_int_equal(read.timestamp, 9999);
  sb_batch_close(batch);
  sb_parser_close(parser);
  sb_schema_close(schema);
}

static void null_arguments_do_no_harm(void **state) {
  (void)state;
  sb_error error;
  assert_int_equal(sb_echo_request_schema(NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_echo_add_request(NULL, NULL, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_echo_add_response(NULL, NULL, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_echo_get_request(NULL, 0, NULL), SB_INVALID_ARGUMENT);
  sb_echo_response response;
  assert_int_equal(sb_echo_get_response(NULL, 0, &response), SB_INVALID_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(a_request_goes_round),
      codec_test(a_response_goes_round),
      codec_test(a_schema_that_was_made_by_hand_is_echo_as_well),
      codec_test(null_arguments_do_no_harm),
  };
  return cmocka_run_group_tests_name("echo", tests, NULL, NULL);
}
