/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "codec_testing.h"

#include <errno.h>

#include "arrow_private.h"
#include "arrow_testing.h"
#include "failing_malloc.h"

/* What messages become in Arrow, read as a consumer reads it. pyarrow judges the same in tests/python. */

static const int16_t metadata[] = {300, -301, 302};
static const sb_bytes texts[] = {{"one", 3}, {"", 0}, {"three", 5}};

static sb_parser *parser_of(sb_schema *const *schemas, size_t count, const void *frames, size_t size, sb_batch *batch) {
  sb_parser *parser = NULL;
  sb_error error;
  assert_ok(sb_parser_open(schemas, count, NULL, &parser, &error));
  assert_ok(sb_parser_feed(parser, frames, size));
  assert_ok(sb_parser_parse(parser, batch));
  assert_int_equal(sb_batch_error_count(batch), 0);
  return parser;
}

/* Decodes `count` messages of `schema`, each of `values`, sequences 5, 6, ... */
static sb_batch *batch_of(sb_schema *schema, const sb_value *const *values, size_t count) {
  sb_builder *builder = NULL;
  sb_error error;
  sb_view *frames = NULL, *flat = NULL;
  const void *data = NULL;
  size_t size = 0;
  sb_batch *batch = open_batch();
  assert_ok(sb_builder_open(NULL, &builder));
  for (size_t i = 0; i < count; i++)
    assert_ok(sb_builder_add(builder, schema, (int8_t)(5 + i), values[i], sb_schema_field_count(schema), &error));
  assert_ok(sb_builder_take(builder, &frames));
  assert_ok(sb_view_flatten(frames, NULL, &flat));
  if (sb_view_span_count(flat) > 0) assert_ok(sb_view_span(flat, 0, &data, &size));
  sb_parser_close(parser_of(&schema, 1, data != NULL ? data : "", size, batch));
  sb_view_close(flat);
  sb_view_close(frames);
  sb_builder_close(builder);
  return batch;
}

static const sb_value full[ALL_FIELDS] = {{.number = -8},
                                          {.number = -16},
                                          {.number = -32},
                                          {.number = INT64_MIN},
                                          {.data = "text", .size = 4},
                                          {.data = "\x01\xff", .size = 2},
                                          {.data = metadata, .size = 3},
                                          {.size = 0},
                                          {.size = 0},
                                          {.data = texts, .size = 3}};
static const sb_value empty[ALL_FIELDS];
static const sb_value *const both[] = {full, empty, full};

static sb_batch *batch_of_all_types(void) {
  sb_schema *schema = open_all_types();
  sb_batch *batch = batch_of(schema, both, 3);
  sb_schema_close(schema);
  return batch;
}

static void export_all(sb_batch *batch, int32_t strings, struct ArrowSchema *type, struct ArrowArray *array) {
  sb_error error;
  assert_ok(sb_batch_export_arrow(batch, 0, strings, type, array, &error));
}

static void each_type_has_its_column(void **state) {
  (void)state;
  struct ArrowSchema type;
  struct ArrowArray array;
  sb_batch *batch = batch_of_all_types();
  export_all(batch, SB_STRINGS_BINARY, &type, &array);
  sb_batch_close(batch); /* what was exported outlives it */
  assert_string_equal(type.format, "+s");
  assert_int_equal(type.n_children, 3 + ALL_FIELDS);
  assert_int_equal(array.length, 3);
  assert_memory_equal(arrow_column_of(&type, &array, "sequence", "c")->buffers[1], "\5\6\7", 3);
  assert_memory_equal(arrow_column_of(&type, &array, "api_key", "c")->buffers[1], "\3\3\3", 3);
  const int64_t *offsets = arrow_column_of(&type, &array, "stream_offset", "l")->buffers[1];
  assert_true(offsets[0] == 0 && offsets[1] > 50 && offsets[2] > offsets[1]);
  assert_memory_equal(arrow_column_of(&type, &array, "i8", "c")->buffers[1], "\xf8\0\xf8", 3);
  assert_int_equal(((const int16_t *)arrow_column_of(&type, &array, "i16", "s")->buffers[1])[2], -16);
  assert_int_equal(((const int32_t *)arrow_column_of(&type, &array, "i32", "i")->buffers[1])[0], -32);
  assert_true(((const int64_t *)arrow_column_of(&type, &array, "i64", "l")->buffers[1])[2] == INT64_MIN);
  const struct ArrowArray *text = arrow_column_of(&type, &array, "text", "z");
  assert_string_at(text, 0, "text");
  assert_string_at(text, 1, "");
  assert_string_at(text, 2, "text");
  const struct ArrowArray *list = arrow_column_of(&type, &array, "a16", "+l");
  assert_list_length(list, 0, 3);
  assert_list_length(list, 1, 0);
  assert_int_equal(list->children[0]->length, 6);
  assert_memory_equal(list->children[0]->buffers[1], metadata, sizeof metadata);
  assert_int_equal(((const int8_t *)arrow_column_of(&type, &array, "a8", "+l")->children[0]->buffers[1])[3], -1);
  assert_int_equal(arrow_column_of(&type, &array, "a64", "+l")->children[0]->length, 0);
  list = arrow_column_of(&type, &array, "texts", "+l");
  assert_list_length(list, 2, 3);
  assert_int_equal(list->children[0]->length, 6);
  assert_string_at(list->children[0], 0, "one");
  assert_string_at(list->children[0], 4, "");
  assert_string_at(list->children[0], 5, "three");
  array.release(&array);
  type.release(&type);
  assert_true(array.release == NULL && type.release == NULL);
}

static void a_child_that_was_moved_out_lives_on(void **state) {
  (void)state;
  struct ArrowSchema type;
  struct ArrowArray array;
  sb_batch *batch = batch_of_all_types();
  export_all(batch, SB_STRINGS_UTF8, &type, &array);
  sb_batch_close(batch);
  struct ArrowArray moved = *array.children[12], text = *array.children[7];
  struct ArrowSchema moved_type = *type.children[12];
  array.children[12]->release = array.children[7]->release = NULL;
  type.children[12]->release = NULL;
  array.release(&array);
  type.release(&type);
  assert_string_equal(moved_type.name, "texts");
  assert_string_equal(moved_type.children[0]->format, "u");
  assert_string_at(moved.children[0], 2, "three");
  assert_string_at(&text, 0, "text");
  moved.release(&moved);
  moved_type.release(&moved_type);
  text.release(&text);
}

static void rows_of_each_schema_are_exported_apart(void **state) {
  (void)state;
  sb_schema *schemas[2] = {NULL, open_all_types()};
  assert_ok(sb_echo_request_schema(&schemas[0]));
  sb_batch *batch = open_batch();
  sb_parser *parser = parser_of(schemas, 2, reference_frame, sizeof reference_frame, batch);
  struct ArrowSchema type;
  struct ArrowArray array;
  sb_error error;
  assert_ok(sb_batch_export_arrow(batch, 1, SB_STRINGS_BINARY, &type, &array, NULL));
  assert_int_equal(array.length, 0);
  assert_int_equal(array.n_children, 3 + ALL_FIELDS);
  array.release(&array);
  type.release(&type);
  assert_ok(sb_batch_export_arrow(batch, 0, SB_STRINGS_UTF8, &type, &array, NULL));
  assert_int_equal(array.length, 1);
  assert_string_at(arrow_column_of(&type, &array, "subject", "u"), 0, "test");
  array.release(&array);
  type.release(&type);
  assert_int_equal(sb_batch_export_arrow(batch, 2, SB_STRINGS_UTF8, &type, &array, &error), SB_OUT_OF_RANGE);
  assert_non_null(strstr(error.message, "no schema 2"));
  sb_parser_close(parser);
  sb_batch_close(batch);
  for (size_t i = 0; i < 2; i++) sb_schema_close(schemas[i]);
}

static void a_field_keeps_its_name_where_a_column_of_the_head_has_it(void **state) {
  (void)state;
  const sb_schema_field fields[] = {{"sequence", SB_TYPE_INT32, 0}};
  sb_schema *schema = NULL;
  struct ArrowSchema type;
  assert_ok(sb_schema_open("Same", SB_DIRECTION_REQUEST, 1, fields, 1, &schema, NULL));
  assert_ok(sb_schema_export_arrow(schema, SB_STRINGS_BINARY, &type, NULL));
  sb_schema_close(schema);
  assert_int_equal(type.n_children, 4);
  assert_string_equal(type.children[0]->name, "frame.sequence");
  assert_string_equal(type.children[1]->name, "api_key");
  assert_string_equal(type.children[3]->name, "sequence");
  assert_string_equal(type.children[3]->format, "i");
  type.release(&type);
}

/* Each of these is wrong from the byte on that stands beside it; -1: it is right. */
static const struct {
  const char *text;
  int wrong;
} texts_to_check[] = {
    {"", -1},
    {"plain ASCII that is longer than a word", -1},
    {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xed\x9f\xbf \xee\x80\x80 \xf4\x8f\xbf\xbf \xc2\x80 \xe0\xa0\x80 \xf0\x90\x80\x80", -1},
    {"\x80", 0},
    {"12345678\xff", 8},
    {"1234567\xc3", 7},
    {"\xc0\xaf", 0},
    {"\xc1\xbf", 0},
    {"a\xe0\x9f\xbf", 1},
    {"\xe2\x82", 0},
    {"\xe2\x82 ", 0},
    {"\xed\xa0\x80", 0},
    {"\xf0\x8f\xbf\xbf", 0},
    {"\xf4\x90\x80\x80", 0},
    {"\xf5\x80\x80\x80", 0},
    {"\xf0\x9f\x98", 0},
    {"\xf0\x9f\x98\x28", 0},
};

static void utf8_is_checked_and_the_error_names_the_field_and_the_row(void **state) {
  (void)state;
  const sb_schema_field field = {"body", SB_TYPE_STRING, 0};
  sb_schema *schema = NULL;
  assert_ok(sb_schema_open("Text", SB_DIRECTION_REQUEST, 1, &field, 1, &schema, NULL));
  for (size_t i = 0; i < sizeof texts_to_check / sizeof texts_to_check[0]; i++) {
    const sb_value good = {.data = "good", .size = 4}, value = {.data = texts_to_check[i].text, .size = strlen(texts_to_check[i].text)};
    sb_batch *batch = batch_of(schema, (const sb_value *const[]){&good, &value}, 2);
    struct ArrowSchema type = {.format = "untouched"};
    struct ArrowArray array = {.length = 99};
    sb_error error;
    memset(&error, 0, sizeof error);
    const sb_status status = sb_batch_export_arrow(batch, 0, SB_STRINGS_UTF8, &type, &array, &error);
    if (texts_to_check[i].wrong < 0) {
      assert_int_equal(status, SB_OK);
      assert_string_at(arrow_column_of(&type, &array, "body", "u"), 1, texts_to_check[i].text);
      array.release(&array);
      type.release(&type);
    } else {
      char expected[100];
      snprintf(expected, sizeof expected, "body of row 1 of the batch is not UTF-8 from byte %d on", texts_to_check[i].wrong);
      assert_int_equal(status, SB_INVALID_ARGUMENT);
      assert_non_null(strstr(error.message, expected));
      assert_string_equal(error.field, "body");
      assert_int_equal(error.stream_offset, 4 + 2 + 4 + 4);
      assert_true(array.length == 99 && strcmp(type.format, "untouched") == 0);
      assert_int_equal(sb_batch_export_arrow(batch, 0, SB_STRINGS_UTF8, &type, &array, NULL), SB_INVALID_ARGUMENT);
    }
    export_all(batch, SB_STRINGS_BINARY, &type, &array);
    assert_string_at(arrow_column_of(&type, &array, "body", "z"), 1, texts_to_check[i].text);
    array.release(&array);
    type.release(&type);
    sb_batch_close(batch);
  }
  sb_schema_close(schema);
}

static void a_string_of_an_array_is_checked_too(void **state) {
  (void)state;
  const sb_schema_field field = {"names", SB_TYPE_ARRAY_STRING, 0};
  const sb_bytes names[] = {{"good", 4}, {"\xff", 1}};
  const sb_value value = {.data = names, .size = 2};
  sb_schema *schema = NULL;
  sb_error error;
  struct ArrowSchema type;
  struct ArrowArray array;
  assert_ok(sb_schema_open("Names", SB_DIRECTION_REQUEST, 1, &field, 1, &schema, NULL));
  sb_batch *batch = batch_of(schema, (const sb_value *const[]){&value}, 1);
  assert_int_equal(sb_batch_export_arrow(batch, 0, SB_STRINGS_UTF8, &type, &array, &error), SB_INVALID_ARGUMENT);
  assert_string_equal(error.field, "names");
  sb_batch_close(batch);
  sb_schema_close(schema);
}

static void a_column_that_is_too_large_is_refused_by_name(void **state) {
  (void)state;
  const int64_t before = sb_priv_arrow_tuning.bytes_max;
  sb_batch *batch = batch_of_all_types();
  struct ArrowSchema type;
  struct ArrowArray array;
  sb_error error;
  sb_priv_arrow_tuning.bytes_max = 7;
  assert_int_equal(sb_batch_export_arrow(batch, 0, SB_STRINGS_BINARY, &type, &array, &error), SB_TOO_LARGE);
  assert_string_equal(error.field, "text");
  sb_priv_arrow_tuning.bytes_max = 15;
  assert_int_equal(sb_batch_export_arrow(batch, 0, SB_STRINGS_BINARY, &type, &array, &error), SB_TOO_LARGE);
  assert_string_equal(error.field, "texts");
  sb_priv_arrow_tuning.bytes_max = 16;
  export_all(batch, SB_STRINGS_BINARY, &type, &array);
  array.release(&array);
  type.release(&type);
  sb_priv_arrow_tuning.bytes_max = before;
  sb_batch_close(batch);
}

static void wrong_arguments_are_refused(void **state) {
  (void)state;
  struct ArrowSchema type;
  struct ArrowArray array;
  struct ArrowArrayStream stream;
  sb_error error;
  sb_schema *schema = open_all_types();
  sb_batch *batch = open_batch();
  assert_int_equal(sb_batch_export_arrow(NULL, 0, 0, &type, &array, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_batch_export_arrow(batch, 0, 0, NULL, &array, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_batch_export_arrow(batch, 0, 0, &type, NULL, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_batch_export_arrow(batch, 0, 2, &type, &array, &error), SB_INVALID_ARGUMENT);
  assert_string_equal(error.field, "strings");
  assert_int_equal(sb_batch_export_arrow(batch, 0, 0, &type, &array, NULL), SB_OUT_OF_RANGE); /* it was never parsed into */
  assert_int_equal(sb_batch_export_arrow_stream(batch, 0, 0, &stream, NULL), SB_OUT_OF_RANGE);
  assert_int_equal(sb_batch_export_arrow_stream(batch, 0, 0, NULL, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_batch_export_arrow_stream(NULL, 0, 0, &stream, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_schema_export_arrow(NULL, 0, &type, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_schema_export_arrow(schema, 0, NULL, NULL), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_schema_export_arrow(schema, -1, &type, NULL), SB_INVALID_ARGUMENT);
  sb_batch_close(batch);
  sb_schema_close(schema);
}

static void a_stream_gives_its_type_again_and_again_and_its_array_once(void **state) {
  (void)state;
  struct ArrowArrayStream stream;
  struct ArrowSchema first, second;
  struct ArrowArray array, end;
  sb_batch *batch = batch_of_all_types();
  assert_ok(sb_batch_export_arrow_stream(batch, 0, SB_STRINGS_UTF8, &stream, NULL));
  sb_batch_close(batch);
  assert_null(stream.get_last_error(&stream));
  assert_int_equal(stream.get_schema(&stream, &first), 0);
  assert_int_equal(stream.get_next(&stream, &array), 0);
  assert_int_equal(stream.get_schema(&stream, &second), 0);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(stream.get_next(&stream, &end), 0);
    assert_null(end.release);
  }
  stream.release(&stream);
  assert_null(stream.release);
  first.release(&first);
  assert_string_at(arrow_column_of(&second, &array, "text", "u"), 2, "text");
  array.release(&array);
  second.release(&second);
}

static void a_stream_that_is_not_read_frees_its_array(void **state) {
  (void)state;
  struct ArrowArrayStream stream;
  sb_batch *batch = batch_of_all_types();
  assert_ok(sb_batch_export_arrow_stream(batch, 0, SB_STRINGS_UTF8, &stream, NULL));
  sb_batch_close(batch);
  stream.release(&stream);
}

static void each_allocation_that_fails_is_told_and_leaks_nothing(void **state) {
  (void)state;
  struct ArrowArrayStream stream = {.private_data = NULL};
  struct ArrowSchema type = {.format = "untouched"};
  sb_batch *batch = batch_of_all_types();
  sb_status status = SB_NO_MEMORY;
  long nth = 1;
  for (; status != SB_OK; nth++) {
    sb_error error;
    allocations_until_failure = nth;
    status = sb_batch_export_arrow_stream(batch, 0, SB_STRINGS_UTF8, &stream, &error);
    allocations_until_failure = 0;
    if (status == SB_OK) break;
    assert_int_equal(status, SB_NO_MEMORY);
    assert_null(stream.private_data);
  }
  assert_true(nth > 40);
  int result = ENOMEM;
  for (nth = 1; result != 0; nth++) {
    allocations_until_failure = nth;
    result = stream.get_schema(&stream, &type);
    allocations_until_failure = 0;
    if (result == 0) break;
    assert_int_equal(result, ENOMEM);
    assert_string_equal(stream.get_last_error(&stream), "no memory for the schema");
    assert_string_equal(type.format, "untouched");
  }
  assert_true(nth > ALL_FIELDS);
  type.release(&type);
  stream.release(&stream);
  sb_batch_close(batch);
}

static sb_batch *changing;

/* The strings of the batch are no UTF-8 any more. */
static void spoil_strings(void) {
  for (size_t i = 0; i < sb_batch_row_count(changing); i++) {
    const sb_value *values = NULL;
    size_t count = 0;
    assert_ok(sb_batch_get_values(changing, i, &values, &count));
    if (values[4].size > 0) *(uint8_t *)(uintptr_t)values[4].data = 0xff;
    if (values[9].size > 0) *(uint8_t *)(uintptr_t)((const sb_bytes *)values[9].data)[0].data = 0xfe;
  }
}

/* Frames in shared memory change whenever their sender wants. What is exported as text is text whenever that is. */
static void strings_that_change_during_the_export_are_text_or_refused(void **state) {
  (void)state;
  size_t refused = 0;
  for (long nth = 1;; nth++) {
    struct ArrowSchema type;
    struct ArrowArray array;
    sb_error error;
    changing = batch_of_all_types();
    const sb_value *values = NULL;
    size_t count = 0;
    assert_ok(sb_batch_get_values(changing, 0, &values, &count)); /* made now, not in the middle */
    allocation_does = spoil_strings;
    allocations_until_failure = nth;
    const sb_status status = sb_batch_export_arrow(changing, 0, SB_STRINGS_UTF8, &type, &array, &error);
    const bool changed = allocations_until_failure == 0;
    allocation_does = NULL;
    allocations_until_failure = 0;
    if (status == SB_OK) {
      assert_string_at(arrow_column_of(&type, &array, "text", "u"), 0, "text");
      assert_string_at(arrow_column_of(&type, &array, "texts", "+l")->children[0], 0, "one");
      type.release(&type);
      array.release(&array);
      assert_false(changed); /* the last allocation is before the last copy */
    } else {
      assert_int_equal(status, SB_INVALID_ARGUMENT);
      assert_non_null(strstr(error.message, "is not UTF-8"));
      refused++;
    }
    sb_batch_close(changing);
    if (!changed) break;
  }
  assert_true(refused > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(each_type_has_its_column),
      codec_test(a_child_that_was_moved_out_lives_on),
      codec_test(rows_of_each_schema_are_exported_apart),
      codec_test(a_field_keeps_its_name_where_a_column_of_the_head_has_it),
      codec_test(utf8_is_checked_and_the_error_names_the_field_and_the_row),
      codec_test(a_string_of_an_array_is_checked_too),
      codec_test(a_column_that_is_too_large_is_refused_by_name),
      codec_test(wrong_arguments_are_refused),
      codec_test(a_stream_gives_its_type_again_and_again_and_its_array_once),
      codec_test(a_stream_that_is_not_read_frees_its_array),
      codec_test(each_allocation_that_fails_is_told_and_leaks_nothing),
      codec_test(strings_that_change_during_the_export_are_text_or_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
