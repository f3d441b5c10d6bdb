/* The codec has two ways through a message: the plain one, and the one that looks at each field apart. A builder's first message and a
 * batch's first row take the second, because nothing has room yet; those behind take the first. Here each message goes both ways; and a
 * third time through a parse that leaves the values out, as one does after a batch that was read by columns. */
#include "codec_testing.h"
#include "memory_testing.h"

enum {
  ROUNDS = 3000,
  MESSAGES = 6,
  STRING_MAX = 70,
  ITEMS_MAX = 40,
  FIELDS_MAX = 12
};

typedef struct message {
  int8_t sequence;
  sb_value values[FIELDS_MAX];
} message;

/* What values point to. */
static uint8_t pool[4096];
static sb_bytes strings[ITEMS_MAX];

static sb_schema *random_schema(random_source *random, bool string_arrays) {
  sb_schema_field fields[FIELDS_MAX];
  static const char *const names[FIELDS_MAX] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
  const size_t count = random_below(random, FIELDS_MAX + 1);
  for (size_t i = 0; i < count; i++) fields[i] = (sb_schema_field){names[i], 1 + (int32_t)random_below(random, string_arrays ? 10 : 9), 0};
  sb_schema *schema = NULL;
  assert_ok(sb_schema_open("Random", SB_DIRECTION_REQUEST, 1, fields, count, &schema, NULL));
  return schema;
}

/* Mostly within the limits of the type; otherwise just beyond, or far. */
static int64_t random_number(random_source *random, int32_t type) {
  const int64_t most = type == SB_TYPE_INT64 ? INT64_MAX : ((int64_t)1 << (8 * (1 << (type - 1)) - 1)) - 1;
  const int64_t edges[] = {0, 1, -1, most, -most - 1, most - 1, 42};
  if (type != SB_TYPE_INT64 && random_below(random, 40) == 0) return random_below(random, 2) ? most + 1 : -most - 2;
  return edges[random_below(random, sizeof edges / sizeof edges[0])];
}

static sb_value random_value(random_source *random, int32_t type) {
  if (type <= SB_TYPE_INT64) return (sb_value){.number = random_number(random, type)};
  const void *data = pool + random_below(random, sizeof pool - 8 * ITEMS_MAX);
  if (type == SB_TYPE_ARRAY_STRING) data = strings;
  const size_t size = random_below(random, type == SB_TYPE_STRING ? STRING_MAX : ITEMS_MAX);
  if (random_below(random, 60) == 0) return (sb_value){.data = NULL, .size = size}; /* refused unless empty */
  if (random_below(random, 60) == 0) return (sb_value){.data = data, .size = type == SB_TYPE_STRING ? (size_t)INT32_MAX + 1 : 32768};
  return (sb_value){.data = data, .size = size};
}

static void random_message(random_source *random, const sb_schema *schema, message *made) {
  made->sequence = (int8_t)random_below(random, 256);
  for (size_t i = 0; i < sb_schema_field_count(schema); i++) {
    sb_schema_field field;
    assert_ok(sb_schema_get_field(schema, i, &field));
    made->values[i] = random_value(random, field.type);
  }
}

static size_t bytes_of(sb_builder *builder, uint8_t *bytes, size_t room) {
  const size_t size = sb_builder_size(builder);
  assert_true(size <= room);
  assert_ok(sb_builder_copy_bytes(builder, bytes, size));
  return size;
}

/* Adds the message to `builder`, which has others already, and to one of its own; both must do the same. */
static void add_both_ways(sb_builder *builder, const sb_schema *schema, const message *added, uint8_t *bytes, size_t *used, size_t room) {
  sb_builder *own = NULL;
  assert_ok(sb_builder_open(NULL, &own));
  const size_t count = sb_schema_field_count(schema);
  sb_error error = {0}, own_error = {0};
  const sb_status status = sb_builder_add(builder, schema, added->sequence, added->values, count, &error);
  assert_int_equal(sb_builder_add(own, schema, added->sequence, added->values, count, &own_error), status);
  assert_string_equal(error.field, own_error.field);
  assert_int_equal(error.frame_offset, own_error.frame_offset);
  if (status == SB_OK) *used += bytes_of(own, bytes + *used, room - *used);
  sb_builder_close(own);
}

static void same_value(const sb_value *one, const sb_value *other, int32_t type) {
  assert_int_equal(one->number, other->number);
  assert_int_equal(one->size, other->size);
  if (one->size == 0) return;
  if (type == SB_TYPE_ARRAY_STRING) {
    const sb_bytes *left = one->data, *right = other->data;
    for (size_t i = 0; i < one->size; i++) {
      assert_int_equal(left[i].size, right[i].size);
      if (left[i].size > 0) assert_memory_equal(left[i].data, right[i].data, left[i].size);
    }
    return;
  }
  const size_t width = type == SB_TYPE_STRING ? 1 : (size_t)1 << (type - SB_TYPE_ARRAY_INT8);
  assert_memory_equal(one->data, other->data, one->size * width);
}

static const sb_row *batch_rows(const sb_batch *batch) {
  const sb_row *rows;
  size_t count;
  assert_ok(sb_batch_get_rows(batch, &rows, &count));
  return rows;
}

static void same_row(const sb_schema *schema, const sb_batch *batch, size_t index, const sb_batch *own, int64_t before) {
  sb_row row, own_row;
  assert_ok(sb_batch_get_row(batch, index, &row));
  assert_ok(sb_batch_get_row(own, 0, &own_row));
  assert_int_equal(row.stream_offset, own_row.stream_offset + before);
  assert_int_equal(row.frame_size, own_row.frame_size);
  assert_int_equal(row.sequence, own_row.sequence);
  assert_int_equal(row.api_key, own_row.api_key);
  assert_int_equal(row.schema_index, own_row.schema_index);
  const sb_value *values, *own_values;
  size_t count, own_count;
  assert_ok(sb_batch_get_values(batch, index, &values, &count));
  assert_ok(sb_batch_get_values(own, 0, &own_values, &own_count));
  assert_int_equal(count, own_count);
  for (size_t i = 0; i < count; i++) {
    sb_schema_field field;
    assert_ok(sb_schema_get_field(schema, i, &field));
    same_value(&values[i], &own_values[i], field.type);
  }
}

static sb_parser *open_parser(sb_schema *schema, bool accept_extra) {
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  options.accept_extra = accept_extra;
  sb_parser *parser = NULL;
  assert_ok(sb_parser_open(&schema, 1, &options, &parser, NULL));
  return parser;
}

/* A parser whose last batch was read by columns, so that the next has no values until they are asked for. */
static sb_parser *open_parser_by_columns(sb_schema *schema, bool accept_extra, sb_batch *batch) {
  sb_parser *parser = open_parser(schema, accept_extra);
  const void *data;
  size_t size, item_size;
  assert_ok(sb_parser_parse(parser, batch));
  assert_ok(sb_batch_get_column(batch, 0, SB_COLUMN_SEQUENCE, SB_PART_VALUES, &data, &size, &item_size));
  return parser;
}

/* Returns a part of a column, which must have `count` items. */
static const void *part_of(sb_batch *batch, size_t field, int32_t part, size_t count) {
  const void *data;
  size_t size, item_size;
  assert_ok(sb_batch_get_column(batch, 0, (int32_t)field, part, &data, &size, &item_size));
  assert_int_equal(size, count * item_size);
  return data;
}

static int64_t number_at(const void *items, int32_t type, size_t index) {
  switch (type) {
  case SB_TYPE_INT8: return ((const int8_t *)items)[index];
  case SB_TYPE_INT16: return ((const int16_t *)items)[index];
  case SB_TYPE_INT32: return ((const int32_t *)items)[index];
  default: return ((const int64_t *)items)[index];
  }
}

/* The strings of one array, by their places. */
static void same_strings(const uint8_t *bytes, const int64_t *offsets, const int32_t *lengths, const sb_value *array) {
  const sb_bytes *wanted = array->data;
  for (size_t i = 0; i < array->size; i++) {
    assert_int_equal(lengths[i], wanted[i].size);
    if (wanted[i].size > 0) assert_memory_equal(bytes + offsets[i], wanted[i].data, wanted[i].size);
  }
}

/* Compares the columns of a field of arrays with the values of another batch. */
static void same_arrays(sb_batch *batch, size_t field, int32_t type, const sb_value *values, size_t step, size_t rows) {
  const int64_t *offsets = part_of(batch, field, SB_PART_OFFSETS, rows);
  const int32_t *lengths = part_of(batch, field, SB_PART_LENGTHS, rows);
  size_t count = 0;
  for (size_t row = 0; row < rows; row++) {
    assert_int_equal(offsets[row], count);
    assert_int_equal(lengths[row], values[row * step].size);
    count += values[row * step].size;
  }
  const void *data;
  size_t size, item_size;
  assert_ok(sb_batch_get_column(batch, 0, (int32_t)field, SB_PART_VALUES, &data, &size, &item_size));
  for (size_t row = 0; row < rows; row++) {
    const sb_value *array = &values[row * step];
    const size_t first = (size_t)offsets[row];
    if (array->size == 0) continue;
    if (type == SB_TYPE_ARRAY_STRING)
      same_strings(data, (const int64_t *)part_of(batch, field, SB_PART_ITEM_OFFSETS, count) + first,
                   (const int32_t *)part_of(batch, field, SB_PART_ITEM_LENGTHS, count) + first, array);
    else
      assert_memory_equal((const uint8_t *)data + first * item_size, array->data, array->size * item_size);
  }
  if (type != SB_TYPE_ARRAY_STRING) assert_int_equal(size, count * item_size);
}

/* Compares the columns of one field with the values of another batch, of which a row has `step`. */
static void same_field(sb_batch *batch, size_t field, int32_t type, const sb_value *values, size_t step, size_t rows) {
  if (type > SB_TYPE_STRING) {
    same_arrays(batch, field, type, values, step, rows);
  } else if (type == SB_TYPE_STRING) {
    const void *bytes;
    size_t size, item_size;
    assert_ok(sb_batch_get_column(batch, 0, (int32_t)field, SB_PART_VALUES, &bytes, &size, &item_size));
    const int64_t *offsets = part_of(batch, field, SB_PART_OFFSETS, rows);
    const int32_t *lengths = part_of(batch, field, SB_PART_LENGTHS, rows);
    for (size_t row = 0; row < rows; row++) {
      assert_int_equal(lengths[row], values[row * step].size);
      assert_true(offsets[row] >= 0 && (size_t)offsets[row] + (size_t)lengths[row] <= size);
      if (lengths[row] > 0) assert_memory_equal((const uint8_t *)bytes + offsets[row], values[row * step].data, (size_t)lengths[row]);
    }
  } else {
    const void *items = part_of(batch, field, SB_PART_VALUES, rows);
    for (size_t row = 0; row < rows; row++) assert_int_equal(number_at(items, type, row), values[row * step].number);
  }
}

/* Parses all frames without values; rows, errors and columns must be those of `by_values`, and so the values where they are asked for. */
static void parse_by_columns(sb_schema *schema, const uint8_t *bytes, size_t size, bool accept_extra, const sb_batch *by_values) {
  sb_batch *batch = open_batch();
  sb_parser *parser = open_parser_by_columns(schema, accept_extra, batch);
  const size_t rows = sb_batch_row_count(by_values), field_count = sb_schema_field_count(schema);
  const sb_value *values, *own_values;
  size_t value_count, own_value_count;
  assert_ok(sb_parser_feed(parser, bytes, size));
  assert_ok(sb_parser_parse(parser, batch));
  assert_int_equal(sb_batch_row_count(batch), rows);
  assert_int_equal(sb_batch_error_count(batch), sb_batch_error_count(by_values));
  for (size_t i = 0; i < sb_batch_error_count(batch); i++) {
    sb_error error, wanted;
    assert_ok(sb_batch_get_error(batch, i, &error));
    assert_ok(sb_batch_get_error(by_values, i, &wanted));
    assert_memory_equal(&error, &wanted, offsetof(sb_error, field));
    assert_string_equal(error.message, wanted.message);
  }
  assert_ok(sb_batch_get_all_values(by_values, &values, &value_count));
  for (size_t i = 0; i < field_count; i++) {
    sb_schema_field field;
    assert_ok(sb_schema_get_field(schema, i, &field));
    same_field(batch, i, field.type, values + i, field_count, rows);
  }
  assert_ok(sb_batch_get_all_values(batch, &own_values, &own_value_count));
  assert_int_equal(own_value_count, value_count);
  assert_int_equal(value_count, rows * field_count);
  for (size_t row = 0; row < rows; row++) {
    for (size_t i = 0; i < field_count; i++) {
      sb_schema_field field;
      assert_ok(sb_schema_get_field(schema, i, &field));
      same_value(&values[row * field_count + i], &own_values[row * field_count + i], field.type);
    }
  }
  for (size_t i = 0; i < rows; i++) assert_memory_equal(&batch_rows(batch)[i], &batch_rows(by_values)[i], sizeof(sb_row));
  sb_batch_close(batch);
  sb_parser_close(parser);
}

/* Parses all frames at once, and each by a parser and a batch of its own; both must find the same. */
static void parse_both_ways(sb_schema *schema, const uint8_t *bytes, size_t size, bool accept_extra) {
  sb_parser *parser = open_parser(schema, accept_extra);
  sb_batch *batch = open_batch();
  size_t row = 0, refused = 0, value_count = 0;
  assert_ok(sb_parser_feed(parser, bytes, size));
  assert_ok(sb_parser_parse(parser, batch));
  for (size_t at = 0; at < size;) {
    const size_t frame = 4 + ((size_t)bytes[at] << 24 | (size_t)bytes[at + 1] << 16 | (size_t)bytes[at + 2] << 8 | bytes[at + 3]);
    sb_parser *own_parser = open_parser(schema, accept_extra);
    sb_batch *own = open_batch();
    assert_ok(sb_parser_feed(own_parser, bytes + at, frame));
    assert_ok(sb_parser_parse(own_parser, own));
    assert_int_equal(sb_batch_row_count(own) + sb_batch_error_count(own), 1);
    if (sb_batch_row_count(own) == 1) {
      same_row(schema, batch, row++, own, (int64_t)at);
    } else {
      sb_error error, own_error;
      assert_ok(sb_batch_get_error(own, 0, &own_error));
      assert_ok(sb_batch_get_error(batch, refused, &error));
      assert_int_equal(error.frame, row + refused++);
      assert_int_equal(error.stream_offset, own_error.stream_offset + (int64_t)at);
      assert_string_equal(error.message, own_error.message);
    }
    sb_batch_close(own);
    sb_parser_close(own_parser);
    at += frame;
  }
  const sb_value *all_values = NULL;
  assert_ok(sb_batch_get_all_values(batch, &all_values, &value_count));
  assert_int_equal(value_count, row * sb_schema_field_count(schema));
  for (size_t i = 0; i < row; i++) {
    const sb_value *values;
    size_t count;
    assert_ok(sb_batch_get_values(batch, i, &values, &count));
    assert_ptr_equal(values, all_values + i * count);
  }
  assert_int_equal(sb_batch_row_count(batch), row);
  assert_int_equal(sb_batch_error_count(batch), refused);
  parse_by_columns(schema, bytes, size, accept_extra, batch);
  sb_batch_close(batch);
  sb_parser_close(parser);
}

/* Changes one byte behind some frame's Size, so that frames stay where they are. */
static void damage(random_source *random, uint8_t *bytes, size_t size) {
  for (size_t at = 0; at < size;) {
    const size_t body = (size_t)bytes[at] << 24 | (size_t)bytes[at + 1] << 16 | (size_t)bytes[at + 2] << 8 | bytes[at + 3];
    static const uint8_t changes[] = {0x01, 0x02, 0x80, 0xff};
    if (random_below(random, 2) == 0) bytes[at + 4 + random_below(random, body)] ^= changes[random_below(random, sizeof changes)];
    at += 4 + body;
  }
}

static void both_ways_do_the_same(void **state) {
  (void)state;
  random_source random = {UINT64_C(20261121)};
  static uint8_t bytes[1 << 17];
  for (size_t i = 0; i < sizeof pool; i++) pool[i] = (uint8_t)random_below(&random, 256);
  for (size_t i = 0; i < ITEMS_MAX; i++) strings[i] = (sb_bytes){.data = pool + i, .size = i % 7};
  for (int round = 0; round < ROUNDS; round++) {
    sb_schema *schema = random_schema(&random, round % 4 == 0);
    sb_builder *builder = NULL;
    assert_ok(sb_builder_open(NULL, &builder));
    static uint8_t all[sizeof bytes];
    size_t used = 0;
    for (int i = 0; i < MESSAGES; i++) {
      message added;
      random_message(&random, schema, &added);
      add_both_ways(builder, schema, &added, bytes, &used, sizeof bytes);
    }
    assert_int_equal(bytes_of(builder, all, sizeof all), used);
    assert_memory_equal(all, bytes, used);
    parse_both_ways(schema, bytes, used, round % 2 == 0);
    damage(&random, bytes, used);
    parse_both_ways(schema, bytes, used, round % 2 == 0);
    sb_builder_close(builder);
    sb_schema_close(schema);
  }
}

/* The frame has room for them, so that only their number is wrong. */
static void too_many_items_are_refused_both_ways(void **state) {
  (void)state;
  enum {
    ITEMS = 32768,
    GOOD = 4 /* messages before the wrong one, after which builder and batch have room for it */
  };
  static uint8_t items[2 * ITEMS];
  static uint8_t bytes[(GOOD + 1) * (8 + sizeof items)];
  for (int32_t type = SB_TYPE_ARRAY_INT8; type <= SB_TYPE_ARRAY_INT16; type++) {
    const sb_schema_field fields[] = {{"items", type, 0}};
    sb_schema *schema = NULL;
    assert_ok(sb_schema_open("Items", SB_DIRECTION_REQUEST, 1, fields, 1, &schema, NULL));
    sb_builder *builder = NULL;
    assert_ok(sb_builder_open(NULL, &builder));
    const sb_value most = {.data = items, .size = ITEMS - 1}, more = {.data = items, .size = ITEMS};
    for (int i = 0; i < GOOD; i++) assert_ok(sb_builder_add(builder, schema, 0, &most, 1, NULL));
    assert_int_equal(sb_builder_add(builder, schema, 0, &more, 1, NULL), SB_TOO_LARGE);

    size_t size = bytes_of(builder, bytes, sizeof bytes);
    const uint32_t body = 4 + ITEMS * (type == SB_TYPE_ARRAY_INT8 ? 1 : 2);
    const uint8_t head[] = {0, (uint8_t)(body >> 16), (uint8_t)(body >> 8), (uint8_t)body, 1, 0, 0x80, 0};
    memcpy(bytes + size, head, sizeof head);
    size += 4 + body;
    parse_both_ways(schema, bytes, size, false);
    parse_both_ways(schema, bytes, size, true);
    sb_builder_close(builder);
    sb_schema_close(schema);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {codec_test(both_ways_do_the_same), codec_test(too_many_items_are_refused_both_ways)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
