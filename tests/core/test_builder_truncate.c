/* Frames that are dropped again: the rest is as if they had never been added, in memory of any shape. */
#include "codec_testing.h"

enum {
  STEPS = 400,
  FRAMES_MAX = 200,
  BODY_MAX = 300
};

/* What the builder must hold. */
typedef struct model {
  uint8_t bytes[FRAMES_MAX * (BODY_MAX + 24)];
  size_t ends[FRAMES_MAX + 1]; /* ends[i]: bytes of the first i frames */
  size_t count;
} model;

static uint32_t seed;

static uint32_t number_below(uint32_t limit) {
  seed = seed * 1664525 + 1013904223;
  return (uint32_t)((uint64_t)(seed >> 8) * limit >> 24);
}

static void add_one(sb_builder *builder, sb_builder *apart, model *expected) {
  uint8_t body[BODY_MAX];
  const size_t size = number_below(4) == 0 ? number_below(BODY_MAX) : number_below(20);
  memset(body, (int)number_below(256), size);
  const sb_echo_request request = {.timestamp = number_below(1000), .body = body, .body_size = size, .sequence = (int8_t)number_below(256)};
  assert_ok(sb_echo_add_request(builder, &request, NULL));
  assert_ok(sb_echo_add_request(apart, &request, NULL));
  const size_t start = expected->ends[expected->count];
  assert_ok(sb_builder_copy_bytes(apart, expected->bytes + start, sb_builder_size(apart)));
  expected->ends[++expected->count] = start + sb_builder_size(apart);
  sb_builder_clear(apart);
}

static void assert_same(const sb_builder *builder, const model *expected) {
  static uint8_t bytes[sizeof expected->bytes];
  const size_t size = expected->ends[expected->count];
  assert_int_equal(sb_builder_size(builder), size);
  assert_int_equal(sb_builder_frame_count(builder), expected->count);
  assert_ok(sb_builder_copy_bytes(builder, bytes, size));
  assert_memory_equal(bytes, expected->bytes, size);
}

/* A view keeps what it showed, whatever the builder drops and writes afterwards. */
static void take(sb_builder *builder, model *expected) {
  static uint8_t bytes[sizeof expected->bytes];
  const size_t size = expected->ends[expected->count];
  sb_view *frames = NULL;
  assert_ok(sb_builder_take(builder, &frames));
  assert_int_equal(sb_view_size(frames), size);
  assert_ok(sb_view_copy_bytes(frames, 0, bytes, size));
  assert_memory_equal(bytes, expected->bytes, size);
  sb_view_close(frames);
  expected->count = 0;
}

static void any_steps(sb_memory *memory) {
  static model expected;
  sb_builder *builder = NULL, *apart = NULL;
  assert_ok(sb_builder_open(memory, &builder));
  assert_ok(sb_builder_open(NULL, &apart));
  expected.count = 0;
  for (int step = 0; step < STEPS; step++) {
    const uint32_t what = number_below(10);
    if (what == 0 || expected.count == FRAMES_MAX) {
      take(builder, &expected);
    } else if (what < 3) {
      expected.count -= number_below((uint32_t)expected.count + 1);
      assert_ok(sb_builder_truncate(builder, expected.ends[expected.count], expected.count));
    } else {
      const uint32_t more = number_below(8);
      for (uint32_t i = 0; i <= more && expected.count < FRAMES_MAX; i++) add_one(builder, apart, &expected);
    }
    assert_same(builder, &expected);
  }
  sb_builder_close(apart);
  sb_builder_close(builder);
}

static void what_is_dropped_leaves_no_trace(void **state) {
  (void)state;
  const uint32_t block_sizes[] = {1, 7, 64, 1000};
  for (seed = 1; seed < 6; seed++) any_steps(NULL);
  for (size_t i = 0; i < sizeof block_sizes / sizeof block_sizes[0]; i++) {
    sb_memory *memory = NULL;
    assert_ok(sb_memory_open_fixed(block_sizes[i], &memory));
    seed = (uint32_t)i + 1;
    any_steps(memory);
    sb_memory_close(memory);
  }
}

static void what_is_no_earlier_state_is_refused(void **state) {
  (void)state;
  sb_builder *builder = NULL;
  assert_ok(sb_builder_open(NULL, &builder));
  const sb_echo_request request = {.timestamp = 1};
  for (int i = 0; i < 3; i++) assert_ok(sb_echo_add_request(builder, &request, NULL));
  const size_t wrong[][2] = {{73, 3}, {72, 4}, {48, 0}, {17, 3}, {0, 1}, {SIZE_MAX, SIZE_MAX}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    assert_int_equal(sb_builder_truncate(builder, wrong[i][0], wrong[i][1]), SB_OUT_OF_RANGE);
    assert_int_equal(sb_builder_size(builder), 72);
    assert_int_equal(sb_builder_frame_count(builder), 3);
  }
  assert_int_equal(sb_builder_truncate(NULL, 0, 0), SB_INVALID_ARGUMENT);
  assert_ok(sb_builder_truncate(builder, 72, 3));
  assert_ok(sb_builder_truncate(builder, 0, 0));
  assert_int_equal(sb_builder_size(builder), 0);
  sb_builder_close(builder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(what_is_dropped_leaves_no_trace),
      codec_test(what_is_no_earlier_state_is_refused),
  };
  return cmocka_run_group_tests_name("builder_truncate", tests, NULL, NULL);
}
