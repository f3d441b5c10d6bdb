#include "codec_testing.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Bytes of somebody who means harm: what they cost is bounded by what has arrived. Each stream is parsed in a process of its own, whose
 * largest resident size is measured; tests/python/test_hostile.py and tests/go/hostile_test.go send the same streams. */

enum {
  FRAMES = 1000000,
  FEED = 65536,
  CLAIMED = 4000000,
  MIB = 1024 * 1024
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum {
  SANITIZER = 100 * MIB /* what was freed stays for a while, and bytes have shadows */
};
#else
enum {
  SANITIZER = 0
};
#endif

typedef struct stream {
  const char *name;
  const char *frame; /* repeated */
  size_t frame_size, count;
  size_t rows, errors, need;
  int64_t bytes_max; /* resident ones, more than before */
} stream;

#define FRAME(bytes) .frame = (bytes), .frame_size = sizeof(bytes) - 1

static const stream streams[] = {
    {"tiny", FRAME("\0\0\0\2\7\1"), FRAMES, .rows = FRAMES, .need = 4, .bytes_max = 8 * MIB},
    {"unknown", FRAME("\0\0\0\2\11\1"), FRAMES, .errors = FRAMES, .need = 4, .bytes_max = 16 * MIB},
    {"lying string", FRAME("\0\0\0\6\10\1\x7f\xff\xff\xff"), FRAMES / 2, .errors = FRAMES / 2, .need = 4, .bytes_max = 16 * MIB},
    {"lying array", FRAME("\0\0\0\10\10\1\0\0\0\0\x7f\xff"), FRAMES / 2, .errors = FRAMES / 2, .need = 4, .bytes_max = 16 * MIB},
    {"negative", FRAME("\0\0\0\6\10\1\xff\xff\xff\xff"), FRAMES / 2, .errors = FRAMES / 2, .need = 4, .bytes_max = 16 * MIB},
    {"claimed", FRAME("\x7f\xff\xff\xff\10\1"), 1, .need = (size_t)INT32_MAX - 2 - CLAIMED, .bytes_max = 16 * MIB},
    {"tiny, fed at once", FRAME("\0\0\0\2\7\1"), FRAMES, .rows = FRAMES, .need = 4, .bytes_max = 64 * MIB},
};

static int64_t peak(void) {
  struct rusage used;
  assert_int_equal(getrusage(RUSAGE_SELF, &used), 0);
  return (int64_t)used.ru_maxrss * 1024;
}

static sb_parser *open_parser(void) {
  static const sb_schema_field fields[] = {
      {"text", SB_TYPE_STRING, 0}, {"items", SB_TYPE_ARRAY_INT64, 0}, {"texts", SB_TYPE_ARRAY_STRING, 0}};
  sb_parser_options options;
  sb_schema *schemas[2] = {NULL, NULL};
  sb_parser *parser = NULL;
  sb_parser_options_init(&options, sizeof options);
  options.max_frame_size = INT32_MAX;
  assert_ok(sb_schema_open("None", SB_DIRECTION_REQUEST, 7, NULL, 0, &schemas[0], NULL));
  assert_ok(sb_schema_open("Some", SB_DIRECTION_REQUEST, 8, fields, 3, &schemas[1], NULL));
  assert_ok(sb_parser_open(schemas, 2, &options, &parser, NULL));
  sb_schema_close(schemas[0]);
  sb_schema_close(schemas[1]);
  return parser;
}

static void expect(const char *what, int64_t found, int64_t wanted) {
  if (found == wanted) return;
  fprintf(stderr, "%s: %lld, not %lld\n", what, (long long)found, (long long)wanted);
  _exit(1);
}

static void parse_all(const stream *sent, uint8_t *bytes, size_t size, size_t feed) {
  sb_parser *parser = open_parser();
  sb_batch *batch = open_batch();
  size_t rows = 0, errors = 0;
  assert_ok(sb_parser_feed(parser, streams[0].frame, streams[0].frame_size));
  assert_ok(sb_parser_parse(parser, batch));
  const int64_t before = peak();
  for (size_t at = 0; at < size; at += feed) {
    assert_ok(sb_parser_feed(parser, bytes + at, size - at < feed ? size - at : feed));
    assert_ok(sb_parser_parse(parser, batch));
    rows += sb_batch_row_count(batch);
    errors += sb_batch_error_count(batch);
  }
  expect("rows", (int64_t)rows, (int64_t)sent->rows);
  expect("errors", (int64_t)errors, (int64_t)sent->errors);
  expect("need", (int64_t)sb_batch_need(batch), (int64_t)sent->need);
  if (peak() - before > sent->bytes_max + SANITIZER) expect("bytes more than before", peak() - before, sent->bytes_max);
  sb_batch_close(batch);
  sb_parser_close(parser);
}

/* In a process of its own, so that its largest size is that of this stream. */
static void cost_is_bounded_by_what_has_arrived(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
    const stream *sent = &streams[i];
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      const size_t size = sent->count > 1 ? sent->frame_size * sent->count : sent->frame_size + CLAIMED;
      uint8_t *bytes = calloc(1, size);
      if (bytes == NULL) _exit(2);
      memset(bytes, 0, size); /* resident before it is measured */
      for (size_t j = 0; j < sent->count; j++) memcpy(bytes + j * sent->frame_size, sent->frame, sent->frame_size);
      parse_all(sent, bytes, size, strstr(sent->name, "at once") != NULL ? size : FEED);
      free(bytes);
      _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0) fail_msg("%s: status %d", sent->name, status);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {codec_test(cost_is_bounded_by_what_has_arrived)};
  return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
