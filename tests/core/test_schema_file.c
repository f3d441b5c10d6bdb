/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "codec_testing.h"

#include "failing_malloc.h"

static sb_status open_text(const char *text, sb_schema_file **file, sb_error *error) {
  return sb_schema_file_open(text, strlen(text), "test.schema", file, error);
}

static const char two_messages[] = "# what a sensor says\n"
                                   "message Reading request 7 {\n"
                                   "  time int64; # ms\n"
                                   "  sensor string;values array<int32> ;\n"
                                   "\ttexts array < string >;\r\n"
                                   "}\n"
                                   "message Stored response -128 {}#last";

static void a_text_gives_its_schemas_in_order_and_by_name(void **state) {
  (void)state;
  sb_schema_file *file = NULL;
  sb_error error;
  assert_ok(open_text(two_messages, &file, &error));
  assert_int_equal(sb_schema_file_count(file), 2);
  sb_schema *reading = NULL, *stored = NULL, *first = NULL;
  assert_ok(sb_schema_file_find(file, "Reading", &reading));
  assert_ok(sb_schema_file_find(file, "Stored", &stored));
  assert_ok(sb_schema_file_get(file, 0, &first));
  assert_ptr_equal(first, reading);
  sb_schema *none = NULL;
  assert_int_equal(sb_schema_file_find(file, "reading", &none), SB_NOT_FOUND);
  assert_int_equal(sb_schema_file_get(file, 2, &none), SB_OUT_OF_RANGE);
  assert_null(none);
  sb_schema_file_close(file);

  const sb_schema_field fields[] = {
      {"time", SB_TYPE_INT64, 0}, {"sensor", SB_TYPE_STRING, 0}, {"values", SB_TYPE_ARRAY_INT32, 0}, {"texts", SB_TYPE_ARRAY_STRING, 0}};
  assert_int_equal(sb_schema_direction(reading), SB_DIRECTION_REQUEST);
  assert_int_equal(sb_schema_api_key(reading), 7);
  assert_int_equal(sb_schema_field_count(reading), 4);
  for (size_t i = 0; i < 4; i++) {
    sb_schema_field field;
    assert_ok(sb_schema_get_field(reading, i, &field));
    assert_string_equal(field.name, fields[i].name);
    assert_int_equal(field.type, fields[i].type);
  }
  assert_int_equal(sb_schema_direction(stored), SB_DIRECTION_RESPONSE);
  assert_int_equal(sb_schema_api_key(stored), -128);
  assert_int_equal(sb_schema_field_count(stored), 0);
  sb_schema_close(first);
  sb_schema_close(reading);
  sb_schema_close(stored);
}

static void every_type_has_its_name(void **state) {
  (void)state;
  sb_schema_file *file = NULL;
  sb_schema *schema = NULL;
  assert_ok(open_text("message All request 127 { i8 int8; i16 int16; i32 int32; i64 int64; text string; a8 array<int8>; a16 array<int16>;"
                      "a32 array<int32>; a64 array<int64>; texts array<string>; }",
                      &file, NULL));
  assert_ok(sb_schema_file_get(file, 0, &schema));
  assert_int_equal(sb_schema_api_key(schema), 127);
  assert_int_equal(sb_schema_field_count(schema), ALL_FIELDS);
  for (size_t i = 0; i < ALL_FIELDS; i++) {
    sb_schema_field field;
    assert_ok(sb_schema_get_field(schema, i, &field));
    assert_string_equal(field.name, all_fields[i].name);
    assert_int_equal(field.type, all_fields[i].type);
  }
  sb_schema_close(schema);
  sb_schema_file_close(file);
}

static void a_text_may_have_no_messages(void **state) {
  (void)state;
  const char *const texts[] = {"", "  \n\t\r\n", "# only a comment", "#"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    sb_schema_file *file = NULL;
    assert_ok(open_text(texts[i], &file, NULL));
    assert_int_equal(sb_schema_file_count(file), 0);
    sb_schema_file_close(file);
  }
  sb_schema_file *file = NULL;
  assert_ok(sb_schema_file_open(NULL, 0, NULL, &file, NULL));
  sb_schema_file_close(file);
}

#define LONG_NAME "a123456789a123456789a123456789a123456789a123456789a123456789a123" /* 64 bytes */

typedef struct wrong_text {
  const char *text;
  int line;
  int64_t offset; /* of the word that is wrong */
  const char *field;
  const char *message;
} wrong_text;

static const wrong_text wrong_texts[] = {
    {"messages", 1, 0, "", "expected message, found messages"},
    {"\n\n  }", 3, 4, "", "expected message, found }"},
    {"message", 1, 7, "", "found the end of the text"},
    {"message {", 1, 8, "", "expected its name"},
    {"message 1st request 0 {}", 1, 8, "", "found 1st"},
    {"message a-b request 0 {}", 1, 8, "", "found a-b"},
    {"message " LONG_NAME " request 0 {}", 1, 8, "", "at most 63 bytes"},
    {"message M\nask 0 {}", 2, 10, "", "message M: expected request or response, found ask"},
    {"message M request {}", 1, 18, "", "expected an api_key from -128 to 127, found {"},
    {"message M request 128 {}", 1, 18, "", "found 128"},
    {"message M request -129 {}", 1, 18, "", "found -129"},
    {"message M request 99999999999999999999 {}", 1, 18, "", "expected an api_key"},
    {"message M request - {}", 1, 18, "", "found -"},
    {"message M request 1x {}", 1, 18, "", "found 1x"},
    {"message M request 0x1 {}", 1, 18, "", "found 0x1"},
    {"message M request 0 ;", 1, 20, "", "expected {, found ;"},
    {"message M request 0 {", 1, 21, "", "found the end of the text"},
    {"message M request 0 {}}", 1, 22, "", "expected message, found }"},
    {"message M request 0 {\n a-b int8; }", 2, 23, "", "found a-b"},
    {"message M request 0 {\n a int8 # }\n }", 3, 35, "", "message M: expected ;, found }"},
    {"message M request 0 {\n a int8;\n b int31; }", 3, 34, "b", "field b: there is no type int31"},
    {"message M request 0 { a }", 1, 24, "a", "there is no type }"},
    {"message M request 0 { a array; }", 1, 29, "", "expected <, found ;"},
    {"message M request 0 { a array<int8; }", 1, 34, "", "expected >, found ;"},
    {"message M request 0 { a array<array<int8>>; }", 1, 30, "a", "there are no arrays of arrays"},
    {"message M request 0 { a array<float>; }", 1, 30, "a", "there is no type float"},
    {"message M request 0 {\n a int8;\n a int16; }", 3, 32, "a", "message M has two fields called a"},
    {"message M request 0 {}\nmessage M response 0 {}", 2, 31, "", "there are two messages called M"},
    {"message M request 5 {}\nmessage N request 5 {}", 2, 41, "", "messages M and N both are requests with api_key 5"},
    {"message M response 5 {}\nmessage N response 5 {}", 2, 43, "", "both are responses with api_key 5"},
    {"message M\xc3\xa4 request 0 {}", 1, 9, "", "found byte 0xC3"},
    {"\x01", 1, 0, "", "found byte 0x01"},
    {"\x7f", 1, 0, "", "found byte 0x7F"},
};

static void a_wrong_text_is_refused_with_line_and_reason(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof wrong_texts / sizeof wrong_texts[0]; i++) {
    const wrong_text *wrong = &wrong_texts[i];
    sb_schema_file *file = NULL;
    sb_error error;
    memset(&error, 0x55, sizeof error);
    char where[32];
    (void)snprintf(where, sizeof where, "test.schema:%d: ", wrong->line);
    if (open_text(wrong->text, &file, &error) != SB_INVALID_ARGUMENT) fail_msg("case %zu is not refused: %s", i, wrong->text);
    assert_null(file);
    assert_int_equal(error.status, SB_INVALID_ARGUMENT);
    if (strncmp(error.message, where, strlen(where)) != 0) fail_msg("case %zu, %s, says: %s", i, wrong->text, error.message);
    if (strstr(error.message, wrong->message) == NULL) fail_msg("case %zu, %s, says: %s", i, wrong->text, error.message);
    if (error.stream_offset != wrong->offset) fail_msg("case %zu, %s, is at %lld", i, wrong->text, (long long)error.stream_offset);
    assert_string_equal(error.field, wrong->field);
    assert_int_equal(open_text(wrong->text, &file, NULL), SB_INVALID_ARGUMENT);
  }
}

static void a_nul_byte_is_no_space_and_no_end(void **state) {
  (void)state;
  static const char text[] = "message M request 0 {}\n\0message N request 1 {}";
  sb_schema_file *file = NULL;
  sb_error error;
  assert_int_equal(sb_schema_file_open(text, sizeof text - 1, NULL, &file, &error), SB_INVALID_ARGUMENT);
  assert_string_equal(error.message, "schema:2: expected message, found byte 0x00");
  assert_int_equal(error.stream_offset, 23);
}

static void comments_may_hold_any_bytes(void **state) {
  (void)state;
  static const char text[] = "#\0\xff\xc3 {\nmessage M request 0 {}";
  sb_schema_file *file = NULL;
  assert_ok(sb_schema_file_open(text, sizeof text - 1, "", &file, NULL));
  assert_int_equal(sb_schema_file_count(file), 1);
  sb_schema_file_close(file);
}

static void a_long_name_of_the_file_shows_its_end(void **state) {
  (void)state;
  char name[300];
  memset(name, 'x', sizeof name);
  (void)snprintf(name + 280, sizeof name - 280, "/end.schema");
  sb_schema_file *file = NULL;
  sb_error error;
  assert_int_equal(sb_schema_file_open("x", 1, name, &file, &error), SB_INVALID_ARGUMENT);
  assert_non_null(strstr(error.message, "/end.schema:1: expected message, found x"));
  assert_memory_equal(error.message, "...xxx", 6);
}

static void a_message_has_a_limit_of_fields(void **state) {
  (void)state;
  static char text[16384];
  for (int more = 0; more < 2; more++) {
    int size = snprintf(text, sizeof text, "message Most request 0 {\n");
    for (int i = 0; i < SB_SCHEMA_FIELDS_MAX + more; i++) size += snprintf(text + size, sizeof text - (size_t)size, "field%d int8;\n", i);
    (void)snprintf(text + size, sizeof text - (size_t)size, "}");
    sb_schema_file *file = NULL;
    sb_error error;
    assert_int_equal(open_text(text, &file, &error), more ? SB_TOO_LARGE : SB_OK);
    if (more) assert_string_equal(error.message, "test.schema:258: message Most has more than 256 fields");
    sb_schema_file_close(file);
  }
}

static void a_text_has_a_limit_of_bytes(void **state) {
  (void)state;
  char *text = malloc(SB_SCHEMA_FILE_SIZE_MAX + 1);
  assert_non_null(text);
  memset(text, '\n', SB_SCHEMA_FILE_SIZE_MAX + 1);
  sb_schema_file *file = NULL;
  sb_error error;
  assert_ok(sb_schema_file_open(text, SB_SCHEMA_FILE_SIZE_MAX, NULL, &file, &error));
  sb_schema_file_close(file);
  file = NULL;
  assert_int_equal(sb_schema_file_open(text, SB_SCHEMA_FILE_SIZE_MAX + 1, NULL, &file, &error), SB_TOO_LARGE);
  assert_null(file);
  assert_non_null(strstr(error.message, "1048577 bytes, more than 1048576"));
  free(text);
}

/* What a message with this number as its api_key is: read, with `*key`, or refused. */
static bool number_is_read(const char *number, int8_t *key) {
  char text[600];
  sb_schema_file *file = NULL;
  sb_schema *schema = NULL;
  sb_error error;
  (void)snprintf(text, sizeof text, "message M request %s {}", number);
  const sb_status status = open_text(text, &file, &error);
  if (status == SB_OK) {
    assert_ok(sb_schema_file_get(file, 0, &schema));
    *key = sb_schema_api_key(schema);
    sb_schema_close(schema);
    sb_schema_file_close(file);
    return true;
  }
  assert_int_equal(status, SB_INVALID_ARGUMENT);
  assert_non_null(strstr(error.message, "expected an api_key from -128 to 127"));
  assert_int_equal(error.stream_offset, 18);
  return false;
}

static void numbers_of_any_length_are_read_right_or_refused(void **state) {
  (void)state;
  char number[500];
  int8_t key = 0;
  for (int zeros = 0; zeros < 300; zeros += zeros < 70 ? 1 : 23)
    for (int value = -130; value <= 130; value++) {
      memset(number, '0', sizeof number);
      number[0] = value < 0 ? '-' : '0';
      (void)snprintf(number + 1 + zeros, 8, "%d", value < 0 ? -value : value);
      const bool fits = value >= INT8_MIN && value <= INT8_MAX;
      if (number_is_read(number, &key) != fits) fail_msg("%s is %s", number, fits ? "refused" : "read");
      if (fits) assert_int_equal(key, value);
    }
  /* Whatever counts only the first digits, the last ones, or modulo a power of two, reads one of these. */
  for (size_t length = 4; length < 400; length++) {
    memset(number, '0', length);
    number[0] = '1';
    number[length] = '\0';
    if (number_is_read(number, &key)) fail_msg("a 1 and %zu zeros are read as %d", length - 1, key);
    memset(number, '9', length);
    number[0] = '-';
    if (number_is_read(number, &key)) fail_msg("a minus and %zu nines are read as %d", length - 1, key);
  }
  static const char *const wrapped[] = {"256",
                                        "65536",
                                        "4294967296",
                                        "4294967301",
                                        "-4294967301",
                                        "2147483648",
                                        "18446744073709551616",
                                        "18446744073709551621",
                                        "-18446744073709551621",
                                        "340282366920938463463374607431768211456",
                                        "5-",
                                        "-",
                                        "--5",
                                        "5_0",
                                        "0x5",
                                        "5e1"};
  for (size_t i = 0; i < sizeof wrapped / sizeof wrapped[0]; i++)
    if (number_is_read(wrapped[i], &key)) fail_msg("%s is read as %d", wrapped[i], key);
}

static void all_api_keys_of_both_directions_fit_one_text(void **state) {
  (void)state;
  static char text[65536];
  int size = 0;
  for (int i = 0; i < 512; i++)
    size += snprintf(text + size, sizeof text - (size_t)size, "message M%d %s %d {}\n", i, i < 256 ? "request" : "response", i % 256 - 128);
  sb_schema_file *file = NULL;
  assert_ok(open_text(text, &file, NULL));
  assert_int_equal(sb_schema_file_count(file), 512);
  sb_schema_file_close(file);
}

static void without_memory_nothing_is_left_behind(void **state) {
  (void)state;
  for (long nth = 1;; nth++) {
    sb_schema_file *file = NULL;
    sb_error error;
    allocations_until_failure = nth;
    sb_status status = open_text(two_messages, &file, &error);
    bool failed = allocations_until_failure == 0;
    allocations_until_failure = 0;
    if (!failed) {
      assert_ok(status);
      assert_true(nth > 4);
      sb_schema_file_close(file);
      return;
    }
    assert_int_equal(status, SB_NO_MEMORY);
    assert_int_equal(error.status, SB_NO_MEMORY);
    assert_null(file);
  }
}

static void null_handles_do_no_harm(void **state) {
  (void)state;
  sb_schema_file_close(NULL);
  assert_int_equal(sb_schema_file_count(NULL), 0);
  sb_schema *schema = NULL;
  assert_int_equal(sb_schema_file_get(NULL, 0, &schema), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_schema_file_find(NULL, "M", &schema), SB_INVALID_ARGUMENT);
  sb_schema_file *file = NULL;
  assert_int_equal(sb_schema_file_open(NULL, 1, NULL, &file, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_schema_file_open("", 0, NULL, NULL, NULL), SB_INVALID_ARGUMENT);
  assert_ok(open_text(two_messages, &file, NULL));
  assert_int_equal(sb_schema_file_get(file, 0, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_schema_file_find(file, NULL, &schema), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_schema_file_find(file, "Reading", NULL), SB_INVALID_ARGUMENT);
  sb_schema_file_close(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(a_text_gives_its_schemas_in_order_and_by_name),
      codec_test(every_type_has_its_name),
      codec_test(a_text_may_have_no_messages),
      codec_test(a_wrong_text_is_refused_with_line_and_reason),
      codec_test(a_nul_byte_is_no_space_and_no_end),
      codec_test(comments_may_hold_any_bytes),
      codec_test(a_long_name_of_the_file_shows_its_end),
      codec_test(a_message_has_a_limit_of_fields),
      codec_test(a_text_has_a_limit_of_bytes),
      codec_test(numbers_of_any_length_are_read_right_or_refused),
      codec_test(all_api_keys_of_both_directions_fit_one_text),
      codec_test(without_memory_nothing_is_left_behind),
      codec_test(null_handles_do_no_harm),
  };
  return cmocka_run_group_tests_name("schema_file", tests, NULL, NULL);
}
