#include "codec_testing.h"

static sb_pipeline *open_pipeline(void) {
  sb_pipeline *pipeline = NULL;
  assert_ok(sb_pipeline_open(&pipeline));
  return pipeline;
}

static void sequences_go_from_0_and_wrap_from_127_to_minus_128(void **state) {
  (void)state;
  sb_pipeline *pipeline = open_pipeline();
  for (uint64_t i = 0; i < 1000; i++) {
    int8_t sequence;
    uint64_t tag = 0;
    assert_ok(sb_pipeline_begin(pipeline, i * 3, &sequence));
    assert_int_equal(sequence, (int8_t)i);
    assert_ok(sb_pipeline_finish(pipeline, sequence, &tag));
    assert_int_equal(tag, i * 3);
  }
  sb_pipeline_close(pipeline);
}

static void sequences_in_flight_are_skipped(void **state) {
  (void)state;
  sb_pipeline *pipeline = open_pipeline();
  int8_t sequence;
  uint64_t tag;
  for (int i = 0; i < 256; i++) assert_ok(sb_pipeline_begin(pipeline, (uint64_t)i, &sequence));
  assert_int_equal(sequence, -1);
  assert_ok(sb_pipeline_finish(pipeline, 7, &tag));
  assert_ok(sb_pipeline_finish(pipeline, -100, &tag));
  assert_ok(sb_pipeline_begin(pipeline, 1000, &sequence));
  assert_int_equal(sequence, 7);
  assert_ok(sb_pipeline_begin(pipeline, 1001, &sequence));
  assert_int_equal(sequence, -100);
  assert_ok(sb_pipeline_finish(pipeline, -100, &tag));
  assert_int_equal(tag, 1001);
  sb_pipeline_close(pipeline);
}

static void the_257th_request_is_busy_and_changes_nothing(void **state) {
  (void)state;
  sb_pipeline *pipeline = open_pipeline();
  int8_t sequence;
  for (int i = 0; i < SB_PIPELINE_MAX; i++) assert_ok(sb_pipeline_begin(pipeline, 0, &sequence));
  sequence = 55;
  assert_int_equal(sb_pipeline_begin(pipeline, 0, &sequence), SB_BUSY);
  assert_int_equal(sequence, 55);
  assert_int_equal(sb_pipeline_in_flight(pipeline), SB_PIPELINE_MAX);
  sb_pipeline_close(pipeline);
}

static void an_unknown_or_repeated_response_is_not_found(void **state) {
  (void)state;
  sb_pipeline *pipeline = open_pipeline();
  int8_t sequence;
  uint64_t tag = 42;
  assert_int_equal(sb_pipeline_finish(pipeline, 0, &tag), SB_NOT_FOUND);
  assert_ok(sb_pipeline_begin(pipeline, 1, &sequence));
  assert_int_equal(sb_pipeline_finish(pipeline, 1, &tag), SB_NOT_FOUND);
  assert_int_equal(tag, 42);
  assert_ok(sb_pipeline_finish(pipeline, 0, &tag));
  assert_int_equal(sb_pipeline_finish(pipeline, 0, &tag), SB_NOT_FOUND);
  assert_int_equal(sb_pipeline_in_flight(pipeline), 0);
  sb_pipeline_close(pipeline);
}

static void null_handles_do_no_harm(void **state) {
  (void)state;
  int8_t sequence;
  uint64_t tag;
  sb_pipeline_close(NULL);
  assert_int_equal(sb_pipeline_open(NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pipeline_begin(NULL, 0, &sequence), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pipeline_finish(NULL, 0, &tag), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pipeline_in_flight(NULL), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(sequences_go_from_0_and_wrap_from_127_to_minus_128),
      codec_test(sequences_in_flight_are_skipped),
      codec_test(the_257th_request_is_busy_and_changes_nothing),
      codec_test(an_unknown_or_repeated_response_is_not_found),
      codec_test(null_handles_do_no_harm),
  };
  return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
