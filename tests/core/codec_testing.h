#ifndef CODEC_TESTING_H
#define CODEC_TESTING_H

/* What the tests of the codec share: the Echo reference frame, a schema with every type, and checks that say what went wrong. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <samebytes/samebytes.h>

#define assert_ok(call) assert_int_equal((call), SB_OK)

/* docs/wire-format.md explains it byte by byte. */
static const uint8_t reference_frame[57] = {0,   0,   0,   0x35, 0,   0,   0,   0,   0,   0,   0,   0,   0x27, 0x0f, 0,
                                            0,   0,   4,   't',  'e', 's', 't', 0,   3,   0,   1,   0,   2,    0,    3,
                                            0,   0,   0,   0x17, 'W', 'e', ' ', 'h', 'a', 'v', 'e', ' ', 'a',  ' ',  'l',
                                            'o', 't', ' ', 'i',  'n', ' ', 'c', 'o', 'm', 'm', 'o', 'n'};

static const sb_schema_field all_fields[] = {
    {"i8", SB_TYPE_INT8, 0},         {"i16", SB_TYPE_INT16, 0},         {"i32", SB_TYPE_INT32, 0},       {"i64", SB_TYPE_INT64, 0},
    {"text", SB_TYPE_STRING, 0},     {"a8", SB_TYPE_ARRAY_INT8, 0},     {"a16", SB_TYPE_ARRAY_INT16, 0}, {"a32", SB_TYPE_ARRAY_INT32, 0},
    {"a64", SB_TYPE_ARRAY_INT64, 0}, {"texts", SB_TYPE_ARRAY_STRING, 0}};
enum {
  ALL_FIELDS = sizeof all_fields / sizeof all_fields[0]
};

static inline sb_schema *open_all_types(void) {
  sb_schema *schema = NULL;
  sb_error error;
  assert_ok(sb_schema_open("AllTypes", SB_DIRECTION_REQUEST, 3, all_fields, ALL_FIELDS, &schema, &error));
  return schema;
}

static inline sb_parser *open_echo_parser(const sb_parser_options *options) {
  sb_schema *schema = NULL;
  sb_parser *parser = NULL;
  sb_error error;
  assert_ok(sb_echo_request_schema(&schema));
  assert_ok(sb_parser_open(&schema, 1, options, &parser, &error));
  sb_schema_close(schema);
  return parser;
}

static inline sb_batch *open_batch(void) {
  sb_batch *batch = NULL;
  assert_ok(sb_batch_open(&batch));
  return batch;
}

/* Every test ends with as many blocks out as it began with. */
static int64_t live_before;

static inline int note_live_blocks(void **state) {
  (void)state;
  live_before = sb_memory_live_blocks();
  return 0;
}

static inline int same_live_blocks(void **state) {
  (void)state;
  return sb_memory_live_blocks() == live_before ? 0 : -1;
}

#define codec_test(name) cmocka_unit_test_setup_teardown(name, note_live_blocks, same_live_blocks)

#endif
