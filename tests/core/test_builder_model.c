/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */

/* Random operations on a builder, each held against a flat array of bytes that this file writes itself. Every other operation meets an
 * allocation or a provider that fails, or a message that is wrong; it must then have changed nothing, and whatever comes next goes on from
 * there. What was taken must show the same bytes to the end. */
#include "lending_testing.h"
#include "memory_testing.h"
#include "wire_bytes.h"

#include "failing_memory.h"
#include "handle_cache.h"
#include "schema_private.h"

enum {
  STEPS = 3000,
  FRAMES_MAX = 64,
  ROWS_MAX = 5,
  FRAME_SIZE_MAX = 8192,
  TAKEN = 4,
  ITEMS_MAX = 6,
  ARRAYS = ALL_FIELDS - 5, /* fields of all_fields that are arrays */
};

typedef struct flat {
  uint8_t bytes[FRAMES_MAX * FRAME_SIZE_MAX];
  size_t ends[FRAMES_MAX + 1]; /* ends[i]: bytes of the first i frames */
  size_t count;
} flat;

/* What one drawn message points to. */
typedef struct drawn {
  uint8_t text[3000];
  int64_t items[ARRAYS][ITEMS_MAX];
  uint8_t item_texts[ITEMS_MAX][40];
  sb_bytes strings[ITEMS_MAX];
} drawn;

typedef struct model {
  random_source random;
  sb_memory *memory; /* NULL: the default pool */
  sb_builder *builder;
  sb_schema *all, *empty;
  flat expected, taken_bytes[TAKEN];
  sb_view *taken[TAKEN];
  drawn drawn[ROWS_MAX];
  sb_value rows[ROWS_MAX][ALL_FIELDS];
  int8_t sequences[ROWS_MAX];
  size_t failures, refusals;
} model;

/* ---- a provider that fails ---- */

static lender called = {.size_first = 30, .factor = 7, .step = 5, .modulo = 301, .size_min = 1, .lent_by_failing = 60};

/* ---- messages ---- */

static size_t draw_size(model *it, size_t most) {
  const size_t kind = random_below(&it->random, 8);
  return random_below(&it->random, (kind == 0 ? most : kind < 4 ? 40 : 4) + 1) % (most + 1);
}

static void draw_bytes(model *it, uint8_t *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)random_next(&it->random);
}

static void draw_message(model *it, size_t row) {
  drawn *all = &it->drawn[row];
  sb_value *values = it->rows[row];
  for (size_t i = 0; i < 4; i++) {
    const uint64_t bits = random_next(&it->random);
    values[i] = (sb_value){.number = i == 0 ? (int8_t)bits : i == 1 ? (int16_t)bits : i == 2 ? (int32_t)bits : (int64_t)bits};
  }
  values[4] = (sb_value){.data = all->text, .size = draw_size(it, sizeof all->text)};
  draw_bytes(it, all->text, values[4].size);
  for (size_t i = 0; i < ARRAYS; i++) {
    values[5 + i] = (sb_value){.data = all->items[i], .size = random_below(&it->random, ITEMS_MAX + 1)};
    draw_bytes(it, (uint8_t *)all->items[i], sizeof all->items[i]);
  }
  for (size_t i = 0; i < ITEMS_MAX; i++) {
    all->strings[i] = (sb_bytes){.data = all->item_texts[i], .size = draw_size(it, sizeof all->item_texts[i])};
    draw_bytes(it, all->item_texts[i], sizeof all->item_texts[i]);
  }
  values[9].data = all->strings;
  it->sequences[row] = (int8_t)random_next(&it->random);
}

/* Makes one of the messages wrong, now and then, and tells whether it did. */
static sb_status spoil(model *it, size_t count) {
  if (count == 0 || random_below(&it->random, 6) > 0) return SB_OK;
  sb_value *values = it->rows[random_below(&it->random, count)];
  switch (random_below(&it->random, 4)) {
  case 0: values[1].number = 32768; return SB_OUT_OF_RANGE;
  case 1: values[6].size = SB_ARRAY_ITEMS_MAX + 1; return SB_TOO_LARGE;
  case 2: values[4].size = (size_t)INT32_MAX + 1; return SB_TOO_LARGE;
  default: values[8] = (sb_value){.data = NULL, .size = 1}; return SB_INVALID_ARGUMENT;
  }
}

static void expect_frame(model *it, const sb_schema_field *fields, const sb_value *values, size_t field_count, int8_t api_key,
                         int8_t sequence) {
  flat *expected = &it->expected;
  const size_t start = expected->ends[expected->count];
  const size_t size = wire_frame(expected->bytes + start, api_key, sequence, fields, values, field_count);
  assert_true(size <= FRAME_SIZE_MAX);
  expected->ends[++expected->count] = start + size;
}

static void expect_messages(model *it, size_t count) {
  for (size_t i = 0; i < count; i++) expect_frame(it, all_fields, it->rows[i], ALL_FIELDS, 3, it->sequences[i]);
}

/* What a step returned, though a message was wrong. */
static sb_status judge(model *it, sb_status status, sb_status wrong) {
  if (wrong == SB_OK) return status;
  assert_true(status == wrong || status == SB_NO_MEMORY);
  it->refusals++;
  return status == SB_NO_MEMORY ? status : SB_OK;
}

static size_t draw_count(model *it) {
  const size_t left = FRAMES_MAX - it->expected.count, count = random_below(&it->random, ROWS_MAX + 1);
  for (size_t i = 0; i < ROWS_MAX; i++) draw_message(it, i);
  return count < left ? count : left;
}

/* ---- operations ---- */

static sb_status add_step(model *it) {
  if (draw_count(it) == 0) return SB_OK;
  const sb_status wrong = spoil(it, 1);
  const sb_status status = sb_builder_add(it->builder, it->all, it->sequences[0], it->rows[0], ALL_FIELDS, NULL);
  if (status == SB_OK) expect_messages(it, 1);
  return judge(it, status, wrong);
}

static sb_status add_echo_step(model *it) {
  static const sb_schema_field fields[] = {
      {"timestamp", SB_TYPE_INT64, 0}, {"subject", SB_TYPE_STRING, 0}, {"metadata", SB_TYPE_ARRAY_INT16, 0}, {"body", SB_TYPE_STRING, 0}};
  if (draw_count(it) == 0) return SB_OK;
  const sb_value *from = it->rows[0];
  const sb_value values[] = {from[3], {.data = it->drawn[1].text, .size = it->rows[1][4].size}, from[6], from[4]};
  const sb_echo_request request = {.timestamp = values[0].number,
                                   .subject = values[1].data,
                                   .subject_size = values[1].size,
                                   .metadata = values[2].data,
                                   .metadata_count = values[2].size,
                                   .body = values[3].data,
                                   .body_size = values[3].size,
                                   .sequence = it->sequences[0]};
  const sb_status status = sb_echo_add_request(it->builder, &request, NULL);
  if (status == SB_OK) expect_frame(it, fields, values, 4, 0, it->sequences[0]);
  return status;
}

static sb_status add_empty_step(model *it) {
  if (it->expected.count == FRAMES_MAX) return SB_OK;
  const int8_t sequence = (int8_t)random_next(&it->random);
  const sb_status status = sb_builder_add(it->builder, it->empty, sequence, NULL, 0, NULL);
  if (status == SB_OK) expect_frame(it, NULL, NULL, 0, 9, sequence);
  return status;
}

static sb_status add_rows_step(model *it) {
  const size_t count = draw_count(it);
  const sb_status wrong = spoil(it, count);
  const sb_status status = sb_builder_add_rows(it->builder, it->all, it->sequences, count, it->rows[0], count * ALL_FIELDS, NULL);
  if (status == SB_OK) expect_messages(it, count);
  return judge(it, status, wrong);
}

/* The arrays of one column. */
typedef struct column_room {
  uint8_t values[ROWS_MAX * 4096];
  int64_t offsets[ROWS_MAX], item_offsets[ROWS_MAX * ITEMS_MAX];
  int32_t lengths[ROWS_MAX], item_lengths[ROWS_MAX * ITEMS_MAX];
} column_room;

static void append(column_room *room, sb_column *column, const void *data, size_t size) {
  if (size > 0) memcpy(room->values + column->size, data, size);
  column->size += size;
}

/* Makes a column of the field of the drawn messages, with offsets or without. */
static sb_column make_column(model *it, column_room *room, size_t field, size_t count) {
  const int32_t type = all_fields[field].type;
  const size_t width = sb_priv_type_width((uint8_t)type);
  const bool wide = random_below(&it->random, 2) == 0;
  sb_column column = {.values = room->values, .lengths = room->lengths, .item_lengths = room->item_lengths};
  for (size_t i = 0; i < count; i++) {
    const sb_value *value = &it->rows[i][field];
    const sb_bytes *strings = value->data;
    const int8_t one = (int8_t)value->number;
    const int16_t two = (int16_t)value->number;
    const int32_t four = (int32_t)value->number;
    if (type <= SB_TYPE_INT64) {
      append(room, &column,
             wide || width == 8 ? (const void *)&value->number
             : width == 1       ? (const void *)&one
             : width == 2       ? (const void *)&two
                                : &four,
             wide ? 8 : width);
      continue;
    }
    room->lengths[i] = (int32_t)value->size;
    room->offsets[i] = (int64_t)(type == SB_TYPE_ARRAY_STRING ? column.item_length_count : column.size / (width > 0 ? width : 1));
    if (type != SB_TYPE_ARRAY_STRING) append(room, &column, value->data, value->size * (width > 0 ? width : 1));
    for (size_t j = 0; type == SB_TYPE_ARRAY_STRING && j < value->size; j++) {
      room->item_offsets[column.item_length_count] = (int64_t)column.size;
      room->item_lengths[column.item_length_count++] = (int32_t)strings[j].size;
      append(room, &column, strings[j].data, strings[j].size);
    }
  }
  if (type >= SB_TYPE_STRING) column.length_count = count;
  if (type >= SB_TYPE_STRING && wide) column.offsets = room->offsets, column.offset_count = count;
  if (random_below(&it->random, 2) == 0 && column.item_length_count > 0)
    column.item_offsets = room->item_offsets, column.item_offset_count = column.item_length_count;
  return column;
}

static sb_status add_columns_step(model *it) {
  static column_room rooms[ALL_FIELDS];
  sb_column columns[ALL_FIELDS];
  const size_t count = draw_count(it);
  for (size_t i = 0; i < ALL_FIELDS; i++) columns[i] = make_column(it, &rooms[i], i, count);
  sb_status wrong = SB_OK;
  if (count > 0 && random_below(&it->random, 6) == 0) {
    const size_t row = random_below(&it->random, count);
    const size_t field = 4 + random_below(&it->random, ALL_FIELDS - 4);
    rooms[field].lengths[row] = random_below(&it->random, 2) == 0 ? -1 : INT32_MAX;
    wrong = SB_OUT_OF_RANGE;
  }
  const sb_status status = sb_builder_add_columns(it->builder, it->all, it->sequences, count, columns, ALL_FIELDS, NULL);
  if (status == SB_OK) expect_messages(it, count);
  return judge(it, status, wrong);
}

static sb_status truncate_step(model *it) {
  flat *expected = &it->expected;
  const size_t count = expected->count > 0 && random_below(&it->random, 3) > 0
                           ? expected->count - 1 - random_below(&it->random, 2) % expected->count
                           : random_below(&it->random, expected->count + 1);
  assert_int_equal(sb_builder_truncate(it->builder, expected->ends[expected->count] + 1, count), SB_OUT_OF_RANGE);
  assert_ok(sb_builder_truncate(it->builder, expected->ends[count], count));
  expected->count = count;
  return SB_OK;
}

static sb_status take_step(model *it) {
  sb_view *view = NULL;
  const sb_status status = sb_builder_take(it->builder, &view);
  if (status != SB_OK) return status;
  const size_t place = random_below(&it->random, TAKEN);
  sb_view_close(it->taken[place]);
  it->taken[place] = view;
  it->taken_bytes[place] = it->expected;
  it->expected.count = 0;
  return SB_OK;
}

static sb_status clear_step(model *it) {
  sb_builder_clear(it->builder);
  it->expected.count = 0;
  return SB_OK;
}

static void check(const model *it) {
  static uint8_t bytes[sizeof it->expected.bytes];
  const flat *expected = &it->expected;
  const size_t size = expected->ends[expected->count];
  assert_int_equal(sb_builder_size(it->builder), size);
  assert_int_equal(sb_builder_frame_count(it->builder), expected->count);
  assert_ok(sb_builder_copy_bytes(it->builder, bytes, size));
  assert_memory_equal(bytes, expected->bytes, size);
  for (size_t i = 0; i < TAKEN; i++) {
    if (it->taken[i] == NULL) continue;
    const size_t taken = it->taken_bytes[i].ends[it->taken_bytes[i].count];
    assert_int_equal(sb_view_size(it->taken[i]), taken);
    assert_ok(sb_view_copy_bytes(it->taken[i], 0, bytes, taken));
    assert_memory_equal(bytes, it->taken_bytes[i].bytes, taken);
  }
}

typedef sb_status (*model_step)(model *it);

static const model_step steps[] = {add_step,      add_step,      add_echo_step,    add_echo_step,    add_empty_step,
                                   add_rows_step, add_rows_step, add_columns_step, add_columns_step, truncate_step,
                                   truncate_step, truncate_step, take_step,        clear_step};

static void run(sb_memory *memory, bool traced, uint64_t seed) {
  static model it; /* large */
  memset(&it, 0, sizeof it);
  it.random.state = seed;
  it.memory = memory;
  it.all = open_all_types();
  assert_ok(sb_schema_open("Empty", SB_DIRECTION_REQUEST, 9, NULL, 0, &it.empty, NULL));
  assert_ok(sb_builder_open(memory, &it.builder));
  for (int step = 0; step < STEPS; step++) {
    const model_step next = steps[random_below(&it.random, sizeof steps / sizeof steps[0])];
    const size_t fault = random_below(&it.random, 6);
    sb_priv_handle_flush(); /* what the thread has kept would spare the step an allocation */
    if (memory == NULL) sb_pool_trim(NULL);
    if (fault < 2) allocations_until_failure = 1 + (long)random_below(&it.random, 6);
    if (fault == 2) called.reserves_until_failure = 1 + (long)random_below(&it.random, 2);
    if (fault == 2 && traced) assert_ok(sb_memory_fail_reserve(memory, 1 + random_below(&it.random, 3)));
    const sb_status status = next(&it);
    allocations_until_failure = called.reserves_until_failure = 0;
    if (traced) assert_ok(sb_memory_fail_reserve(memory, 0));
    assert_true(status == SB_OK || (status == SB_NO_MEMORY && fault <= 2));
    it.failures += status != SB_OK;
    check(&it);
  }
  assert_true(it.failures > STEPS / 100 && it.refusals > STEPS / 100); /* or the faults do not reach the code */
  for (size_t i = 0; i < TAKEN; i++) sb_view_close(it.taken[i]);
  sb_builder_close(it.builder);
  sb_schema_close(it.all);
  sb_schema_close(it.empty);
  sb_memory_close(memory);
  assert_int_equal(called.blocks_lent, 0);
}

static void random_operations_agree_with_a_flat_array(void **state) {
  (void)state;
  const char *wanted = getenv("SAMEBYTES_SEEDS"); /* make nightly wants more */
  const unsigned long seeds = wanted != NULL ? strtoul(wanted, NULL, 10) : 1;
  for (uint64_t seed = 1; seed <= seeds; seed++) {
    run(NULL, false, seed * 5);
    run(open_fixed(50), false, seed * 5 + 1);
    run(open_tracing_over(open_fixed(7)), true, seed * 5 + 2);
    run(open_tracing_over(open_fixed(4096)), true, seed * 5 + 3);
    run(open_called(&called), false, seed * 5 + 4);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {codec_test(random_operations_agree_with_a_flat_array)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
