#include "codec_testing.h"

static void a_schema_tells_what_it_was_made_of(void **state) {
  (void)state;
  sb_schema *schema = open_all_types();
  assert_string_equal(sb_schema_name(schema), "AllTypes");
  assert_int_equal(sb_schema_direction(schema), SB_DIRECTION_REQUEST);
  assert_int_equal(sb_schema_api_key(schema), 3);
  assert_int_equal(sb_schema_field_count(schema), ALL_FIELDS);
  for (size_t i = 0; i < ALL_FIELDS; i++) {
    sb_schema_field field;
    assert_ok(sb_schema_get_field(schema, i, &field));
    assert_string_equal(field.name, all_fields[i].name);
    assert_int_equal(field.type, all_fields[i].type);
  }
  sb_schema_field field = {"untouched", 0, 0};
  assert_int_equal(sb_schema_get_field(schema, ALL_FIELDS, &field), SB_OUT_OF_RANGE);
  assert_string_equal(field.name, "untouched");
  sb_schema_close(schema);
}

static void a_retained_schema_outlives_its_first_owner(void **state) {
  (void)state;
  sb_schema *schema = open_all_types();
  sb_schema *second = sb_schema_retain(schema);
  assert_ptr_equal(second, schema);
  sb_schema_close(schema);
  assert_string_equal(sb_schema_name(second), "AllTypes");
  sb_schema_close(second);
}

static void names_are_copied(void **state) {
  (void)state;
  char name[] = "Message", field_name[] = "field";
  const sb_schema_field fields[] = {{field_name, SB_TYPE_INT8, 0}};
  sb_schema *schema = NULL;
  assert_ok(sb_schema_open(name, SB_DIRECTION_RESPONSE, -1, fields, 1, &schema, NULL));
  memset(name, 'x', strlen(name));
  memset(field_name, 'x', strlen(field_name));
  sb_schema_field field;
  assert_ok(sb_schema_get_field(schema, 0, &field));
  assert_string_equal(field.name, "field");
  assert_string_equal(sb_schema_name(schema), "Message");
  assert_int_equal(sb_schema_api_key(schema), -1);
  sb_schema_close(schema);
}

static void a_message_may_have_no_fields(void **state) {
  (void)state;
  sb_schema *schema = NULL;
  assert_ok(sb_schema_open("Ping", SB_DIRECTION_REQUEST, 0, NULL, 0, &schema, NULL));
  assert_int_equal(sb_schema_field_count(schema), 0);
  sb_schema_close(schema);
}

typedef struct wrong_schema {
  const char *name;
  int32_t direction;
  sb_schema_field fields[2];
  sb_status status;
  const char *field;
  const char *message;
} wrong_schema;

static void a_wrong_schema_is_refused_by_name(void **state) {
  (void)state;
  static const char long_name[] = "a123456789a123456789a123456789a123456789a123456789a123456789a123"; /* 64 bytes */
  const wrong_schema cases[] = {
      {"", 0, {{"a", 1, 0}, {"b", 1, 0}}, SB_INVALID_ARGUMENT, "", "message's name"},
      {long_name, 0, {{"a", 1, 0}, {"b", 1, 0}}, SB_INVALID_ARGUMENT, "", "at most 63 bytes"},
      {"1st", 0, {{"a", 1, 0}, {"b", 1, 0}}, SB_INVALID_ARGUMENT, "", "message's name"},
      {"M", 2, {{"a", 1, 0}, {"b", 1, 0}}, SB_INVALID_ARGUMENT, "", "no direction 2"},
      {"M", -1, {{"a", 1, 0}, {"b", 1, 0}}, SB_INVALID_ARGUMENT, "", "no direction -1"},
      {"M", 0, {{"a", 1, 0}, {"", 1, 0}}, SB_INVALID_ARGUMENT, "", "field 1 of message M"},
      {"M", 0, {{"a", 1, 0}, {NULL, 1, 0}}, SB_INVALID_ARGUMENT, "", "field 1 of message M"},
      {"M", 0, {{"a", 1, 0}, {long_name, 1, 0}}, SB_INVALID_ARGUMENT, "", "field 1 of message M"},
      {"M", 0, {{"a", 1, 0}, {"b-c", 1, 0}}, SB_INVALID_ARGUMENT, "", "field 1 of message M"},
      {"M", 0, {{"a", 1, 0}, {"a", 2, 0}}, SB_INVALID_ARGUMENT, "a", "two fields called a"},
      {"M", 0, {{"a", 1, 0}, {"b", 0, 0}}, SB_INVALID_ARGUMENT, "b", "no type 0"},
      {"M", 0, {{"a", 1, 0}, {"b", 11, 0}}, SB_INVALID_ARGUMENT, "b", "no type 11"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    sb_schema *schema = NULL;
    sb_error error;
    memset(&error, 0x55, sizeof error);
    assert_int_equal(sb_schema_open(cases[i].name, cases[i].direction, 0, cases[i].fields, 2, &schema, &error), cases[i].status);
    assert_null(schema);
    assert_int_equal(error.status, cases[i].status);
    assert_string_equal(error.field, cases[i].field);
    assert_int_equal(error.frame, SB_NO_FRAME);
    if (strstr(error.message, cases[i].message) == NULL) fail_msg("case %zu says: %s", i, error.message);
  }
}

static void a_schema_has_a_limit_of_fields(void **state) {
  (void)state;
  static char names[SB_SCHEMA_FIELDS_MAX + 1][8];
  static sb_schema_field fields[SB_SCHEMA_FIELDS_MAX + 1];
  for (size_t i = 0; i < SB_SCHEMA_FIELDS_MAX + 1; i++) {
    (void)snprintf(names[i], sizeof names[i], "f%zu", i);
    fields[i] = (sb_schema_field){names[i], SB_TYPE_INT8, 0};
  }
  sb_schema *schema = NULL;
  assert_ok(sb_schema_open("Most", 0, 0, fields, SB_SCHEMA_FIELDS_MAX, &schema, NULL));
  sb_schema_close(schema);
  schema = NULL;
  assert_int_equal(sb_schema_open("More", 0, 0, fields, SB_SCHEMA_FIELDS_MAX + 1, &schema, NULL), SB_TOO_LARGE);
  assert_null(schema);
}

static void null_handles_do_no_harm(void **state) {
  (void)state;
  sb_schema_close(NULL);
  assert_null(sb_schema_retain(NULL));
  assert_string_equal(sb_schema_name(NULL), "");
  assert_int_equal(sb_schema_field_count(NULL), 0);
  sb_schema_field field;
  assert_int_equal(sb_schema_get_field(NULL, 0, &field), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_schema_open("M", 0, 0, NULL, 0, NULL, NULL), SB_INVALID_ARGUMENT);
  sb_schema *schema = NULL;
  assert_int_equal(sb_schema_open(NULL, 0, 0, NULL, 0, &schema, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_schema_open("M", 0, 0, NULL, 1, &schema, NULL), SB_INVALID_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(a_schema_tells_what_it_was_made_of),
      codec_test(a_retained_schema_outlives_its_first_owner),
      codec_test(names_are_copied),
      codec_test(a_message_may_have_no_fields),
      codec_test(a_wrong_schema_is_refused_by_name),
      codec_test(a_schema_has_a_limit_of_fields),
      codec_test(null_handles_do_no_harm),
  };
  return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
