/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */

/* Memory of the caller that changes while it is added. A provider changes it, whose code runs between the measuring and the writing, or one of
 * the call's allocations: so every change comes at the same moment each time. Blocks have bytes behind them that nobody may touch. */
#include "codec_sample.h"
#include "wire_bytes.h"

#include "failing_malloc.h"

enum {
  GUARD = 64,
  GUARD_BYTE = 0x5a,
  ROOM = 4096
};

/* What is added: the sample messages in memory that can be changed, in rows and in columns. */
typedef struct input {
  sb_value rows[SAMPLES][ALL_FIELDS];
  sb_bytes strings[SAMPLES][4];
  char text[ROOM];
  int64_t items[ROOM];
  int8_t sequences[SAMPLES];
  sb_column columns[ALL_FIELDS];
  int64_t numbers[4][SAMPLES]; /* of the integer columns, wide */
  int64_t offsets[ALL_FIELDS][SAMPLES], item_offsets[4];
  int32_t lengths[ALL_FIELDS][SAMPLES], item_lengths[4];
} input;

static input shown;

static void fill_input(void) {
  memset(&shown, 0, sizeof shown);
  memset(shown.text, 'x', sizeof shown.text);
  for (size_t i = 0; i < ROOM; i++) shown.items[i] = 7;
  for (size_t i = 0; i < SAMPLES; i++) {
    for (size_t j = 0; j < ALL_FIELDS; j++) {
      shown.rows[i][j] = (sb_value){.number = j < 4 ? 5 : 0, .data = j == 4 ? (void *)shown.text : shown.items, .size = j == 4 ? 300 : 2};
      shown.offsets[j][i] = j == 9 ? 1 : 0;
      shown.lengths[j][i] = j == 4 ? 300 : 2;
      if (j < 4) shown.numbers[j][i] = 5;
    }
    for (size_t j = 0; j < 4; j++) shown.strings[i][j] = (sb_bytes){shown.text, 3};
    shown.rows[i][9].data = shown.strings[i];
    shown.sequences[i] = (int8_t)i;
  }
  for (size_t i = 0; i < 4; i++) shown.item_lengths[i] = 3;
  for (size_t j = 0; j < ALL_FIELDS; j++) {
    sb_column *column = &shown.columns[j];
    *column = (sb_column){.values = j < 4              ? (void *)shown.numbers[j]
                                    : j == 4 || j == 9 ? (void *)shown.text
                                                       : shown.items,
                          .size = j < 4 ? sizeof shown.numbers[j] : 1024};
    if (j < 4) continue;
    column->offsets = shown.offsets[j];
    column->lengths = shown.lengths[j];
    column->offset_count = column->length_count = SAMPLES;
    if (j < 9) continue;
    column->item_offsets = shown.item_offsets;
    column->item_lengths = shown.item_lengths;
    column->item_offset_count = column->item_length_count = 4;
  }
}

/* ---- the changes ---- */

typedef struct change {
  const char *name;
  void (*make)(size_t message);
  sb_status refused; /* what the call may say besides SB_OK, as it looks before or after the change */
  bool unseen;       /* the call has its own copy by then: the frames are those of before */
} change;

static void number8(size_t i) { shown.rows[i][0].number = 1000; }
static void number16(size_t i) { shown.rows[i][1].number = -40000; }
static void number32(size_t i) { shown.rows[i][2].number = INT64_MAX; }
static void number64(size_t i) { shown.rows[i][3].number = INT64_MIN; }
static void text_grows(size_t i) { shown.rows[i][4].size += 600; }
static void text_grows_far(size_t i) { shown.rows[i][4].size = (size_t)INT32_MAX + 1; }
static void text_shrinks(size_t i) { shown.rows[i][4].size = 1; }
static void text_goes(size_t i) { shown.rows[i][4].data = NULL; }
static void array_grows(size_t i) {
  for (size_t j = 5; j < 9; j++) shown.rows[i][j].size += 400;
}
static void array_grows_far(size_t i) { shown.rows[i][8].size = SIZE_MAX; }
static void array_shrinks(size_t i) { shown.rows[i][7].size = 0; }
static void array_goes(size_t i) { shown.rows[i][5].data = NULL; }
static void strings_grow(size_t i) { shown.rows[i][9].size = 4; }
static void string_grows(size_t i) { shown.strings[i][1].size += 900; }
static void string_grows_far(size_t i) { shown.strings[i][0].size = SIZE_MAX; }
static void string_shrinks(size_t i) { shown.strings[i][0].size = 0; }
static void string_goes(size_t i) { shown.strings[i][1].data = NULL; }
static void bytes_change(size_t i) { shown.text[i] = 'y'; }

static const change row_changes[] = {
    {"number8", number8, SB_OUT_OF_RANGE, false},
    {"number16", number16, SB_OUT_OF_RANGE, false},
    {"number32", number32, SB_OUT_OF_RANGE, false},
    {"number64", number64, SB_OK, false},
    {"text_grows", text_grows, SB_OUT_OF_RANGE, false},
    {"text_grows_far", text_grows_far, SB_TOO_LARGE, false},
    {"text_shrinks", text_shrinks, SB_OK, false},
    {"text_goes", text_goes, SB_INVALID_ARGUMENT, false},
    {"array_grows", array_grows, SB_OUT_OF_RANGE, false},
    {"array_grows_far", array_grows_far, SB_TOO_LARGE, false},
    {"array_shrinks", array_shrinks, SB_OK, false},
    {"array_goes", array_goes, SB_INVALID_ARGUMENT, false},
    {"strings_grow", strings_grow, SB_OUT_OF_RANGE, false},
    {"string_grows", string_grows, SB_OUT_OF_RANGE, false},
    {"string_grows_far", string_grows_far, SB_TOO_LARGE, false},
    {"string_shrinks", string_shrinks, SB_OK, false},
    {"string_goes", string_goes, SB_INVALID_ARGUMENT, false},
    {"bytes_change", bytes_change, SB_OK, false},
};

static void column8(size_t i) { shown.numbers[0][i] = 128; }
static void column16(size_t i) { shown.numbers[1][i] = 1 << 20; }
static void column32(size_t i) { shown.numbers[2][i] = INT64_MIN; }
static void column64(size_t i) { shown.numbers[3][i] = INT64_MAX; }
static void lengths_change(size_t i) {
  for (size_t j = 4; j < ALL_FIELDS; j++) shown.lengths[j][i] = INT32_MAX;
}
static void lengths_shrink(size_t i) {
  for (size_t j = 4; j < ALL_FIELDS; j++) shown.lengths[j][i] = -1;
}
static void offsets_change(size_t i) {
  for (size_t j = 4; j < ALL_FIELDS; j++) shown.offsets[j][i] = INT64_MAX / 2;
}
static void item_lengths_change(size_t i) { shown.item_lengths[i] = INT32_MAX; }
static void item_offsets_change(size_t i) { shown.item_offsets[i] = -1000000; }
static void columns_change(size_t i) {
  for (size_t j = 0; j < ALL_FIELDS; j++)
    shown.columns[j] = (sb_column){.values = NULL, .size = SIZE_MAX, .length_count = i, .item_length_count = SIZE_MAX, .offset_count = 1};
}

static const change column_changes[] = {
    {"column8", column8, SB_OUT_OF_RANGE, false},
    {"column16", column16, SB_OUT_OF_RANGE, false},
    {"column32", column32, SB_OUT_OF_RANGE, false},
    {"column64", column64, SB_OK, false},
    {"lengths_change", lengths_change, SB_OK, true},
    {"lengths_shrink", lengths_shrink, SB_OK, true},
    {"offsets_change", offsets_change, SB_OK, true},
    {"item_lengths_change", item_lengths_change, SB_OK, true},
    {"item_offsets_change", item_offsets_change, SB_OK, true},
    {"columns_change", columns_change, SB_OK, true},
    {"bytes_change", bytes_change, SB_OK, false},
};

/* ---- the provider that makes them ---- */

typedef struct changer {
  size_t block_size;   /* 0: as much as is asked for, in one block */
  const change *makes; /* NULL: nothing */
  size_t message;
  int times; /* how often still */
  int made;
} changer;

static sb_status reserve(void *context, size_t min_bytes, void *sink) {
  changer *all = context;
  if (all->makes != NULL && all->times > 0) {
    all->makes->make(all->message);
    all->times--;
    all->made++;
  }
  const size_t size = all->block_size > 0 ? all->block_size : min_bytes;
  for (size_t given = 0; given < min_bytes; given += size) {
    uint8_t *data = malloc(size + GUARD + sizeof size);
    assert_non_null(data);
    memset(data + size, GUARD_BYTE, GUARD);
    memcpy(data + size + GUARD, &size, sizeof size);
    const sb_status status = sb_sink_add(sink, data, size, data + size, 0, NULL);
    if (status != SB_OK) return status;
  }
  return SB_OK;
}

static void release(void *context, void *token) {
  const uint8_t *guard = token;
  size_t size;
  (void)context;
  memcpy(&size, guard + GUARD, sizeof size);
  for (size_t i = 0; i < GUARD; i++) assert_int_equal(guard[i], GUARD_BYTE);
  free((uint8_t *)token - size);
}

/* ---- the calls ---- */

typedef enum adding {
  SINGLY,
  IN_ROWS,
  IN_COLUMNS
} adding;

static sb_status add(sb_builder *builder, const sb_schema *schema, adding how, size_t message, sb_error *error) {
  if (how == SINGLY) return sb_builder_add(builder, schema, shown.sequences[message], shown.rows[message], ALL_FIELDS, error);
  if (how == IN_ROWS)
    return sb_builder_add_rows(builder, schema, shown.sequences, SAMPLES, shown.rows[0], (size_t)SAMPLES * ALL_FIELDS, error);
  return sb_builder_add_columns(builder, schema, shown.sequences, SAMPLES, shown.columns, ALL_FIELDS, error);
}

/* Whatever was read, these are whole frames of that many messages. */
static void assert_frames_are_whole(const sb_builder *builder, sb_schema *schema, size_t count) {
  size_t size;
  uint8_t *bytes = built_bytes_of(builder, &size);
  sb_parser *parser = NULL;
  sb_batch *batch = open_batch();
  assert_ok(sb_parser_open(&schema, 1, NULL, &parser, NULL));
  assert_ok(sb_parser_feed(parser, bytes, size));
  assert_ok(sb_parser_parse(parser, batch));
  assert_int_equal(sb_batch_row_count(batch), count);
  assert_int_equal(sb_batch_error_count(batch), 0);
  size_t in_frames = 0;
  for (size_t i = 0; i < count; i++) {
    sb_row row;
    assert_ok(sb_batch_get_row(batch, i, &row));
    in_frames += 4 + (size_t)row.frame_size;
  }
  assert_int_equal(in_frames, size);
  assert_int_equal(sb_builder_frame_count(builder), count);
  sb_batch_close(batch);
  sb_parser_close(parser);
  free(bytes);
}

/* How often each status came, over all cases of a test. */
static size_t came[SB_STATUS_COUNT];

static void try_change(sb_schema *schema, adding how, const change *wanted, size_t message, size_t block_size, int times) {
  changer all = {.block_size = block_size};
  const sb_memory_functions functions = {.struct_size = sizeof functions, .context = &all, .reserve = reserve, .release = release};
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_callback(&functions, &memory));
  sb_builder *builder = open_builder(memory), *before = open_builder(NULL);
  fill_input();
  const size_t one = how == SINGLY ? 1 : SAMPLES;
  assert_ok(add(builder, schema, how, message, NULL));
  assert_ok(add(before, schema, how, message, NULL));
  all = (changer){.block_size = block_size, .makes = wanted, .message = message, .times = times};
  sb_error error;
  const sb_status status = add(builder, schema, how, message, &error);
  assert_true(all.made > 0);
  if (status != SB_OK && status != wanted->refused) fail_msg("%s: status %d, %s", wanted->name, status, error.message);
  if (status != SB_OK) assert_int_equal(error.status, status);
  came[status]++;
  all.makes = NULL;
  if (status == SB_OK) assert_frames_are_whole(builder, schema, 2 * one);
  fill_input();
  if (status != SB_OK || wanted->unseen) {
    if (status == SB_OK) assert_ok(add(before, schema, how, message, NULL));
    assert_same_frames(builder, before);
    assert_ok(add(builder, schema, how, message, NULL));
    assert_ok(add(before, schema, how, message, NULL));
    assert_same_frames(builder, before);
  }
  sb_builder_close(builder);
  sb_builder_close(before);
  sb_memory_close(memory);
}

static void try_changes(adding how, const change *changes, size_t count) {
  static const size_t block_sizes[] = {0, 40, 700, 16384};
  sb_schema *schema = open_all_types();
  memset(came, 0, sizeof came);
  for (size_t i = 0; i < count; i++)
    for (size_t message = 0; message < SAMPLES; message++)
      for (size_t j = 0; j < 3; j++) /* with 16384 there would be room without a provider */
        for (int times = 1; times <= 3; times++) try_change(schema, how, &changes[i], message, block_sizes[j], times);
  sb_schema_close(schema);
}

static void a_message_that_changes_is_refused_or_whole(void **state) {
  (void)state;
  try_changes(SINGLY, row_changes, sizeof row_changes / sizeof row_changes[0]);
  assert_true(came[SB_OK] > 0 && came[SB_OUT_OF_RANGE] > 0 && came[SB_TOO_LARGE] > 0 && came[SB_INVALID_ARGUMENT] > 0);
}

static void rows_that_change_are_refused_or_whole(void **state) {
  (void)state;
  try_changes(IN_ROWS, row_changes, sizeof row_changes / sizeof row_changes[0]);
  assert_true(came[SB_OK] > 0 && came[SB_OUT_OF_RANGE] > 0 && came[SB_TOO_LARGE] > 0 && came[SB_INVALID_ARGUMENT] > 0);
}

static void columns_that_change_are_refused_or_whole(void **state) {
  (void)state;
  try_changes(IN_COLUMNS, column_changes, sizeof column_changes / sizeof column_changes[0]);
  assert_true(came[SB_OK] > 0 && came[SB_OUT_OF_RANGE] > 0);
}

static const change *changes_at_allocation;
static size_t changed_message;

static void change_now(void) { changes_at_allocation->make(changed_message); }

/* The same at each allocation of the call: also before it has its own copies. Then it may say whatever the values are by then. */
static void columns_that_change_at_any_allocation_are_refused_or_whole(void **state) {
  (void)state;
  sb_schema *schema = open_all_types();
  changer unchanged = {.block_size = 700};
  const sb_memory_functions functions = {.struct_size = sizeof functions, .context = &unchanged, .reserve = reserve, .release = release};
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_callback(&functions, &memory));
  memset(came, 0, sizeof came);
  size_t allocations = 0;
  for (size_t i = 0; i < sizeof column_changes / sizeof column_changes[0]; i++)
    for (long nth = 1;; nth++) {
      sb_builder *builder = open_builder(memory), *before = open_builder(NULL);
      fill_input();
      assert_ok(add(builder, schema, IN_COLUMNS, 0, NULL));
      assert_ok(add(before, schema, IN_COLUMNS, 0, NULL));
      changes_at_allocation = &column_changes[i];
      changed_message = (size_t)nth % SAMPLES;
      allocation_does = change_now;
      allocations_until_failure = nth;
      const sb_status status = add(builder, schema, IN_COLUMNS, 0, NULL);
      const bool changed = allocations_until_failure == 0;
      allocation_does = NULL;
      allocations_until_failure = 0;
      came[status]++;
      if (status == SB_OK)
        assert_frames_are_whole(builder, schema, 2 * SAMPLES);
      else
        assert_same_frames(builder, before);
      fill_input();
      assert_ok(add(builder, schema, IN_COLUMNS, 0, NULL));
      sb_builder_close(builder);
      sb_builder_close(before);
      if (!changed) break;
      allocations++;
    }
  assert_true(allocations > 3 * sizeof column_changes / sizeof column_changes[0]);
  assert_true(came[SB_OK] > 0 && came[SB_OUT_OF_RANGE] > 0);
  sb_memory_close(memory);
  sb_schema_close(schema);
}

/* It was measured, a block of that size was got, and now it is larger. */
static void a_message_that_outgrows_its_block_is_refused(void **state) {
  (void)state;
  sb_schema *schema = open_all_types();
  static const change grows = {"text_grows", text_grows, SB_OUT_OF_RANGE, false};
  memset(came, 0, sizeof came);
  try_change(schema, SINGLY, &grows, 0, 0, 1);
  assert_int_equal(came[SB_OUT_OF_RANGE], 1);
  sb_schema_close(schema);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(a_message_that_changes_is_refused_or_whole),   codec_test(rows_that_change_are_refused_or_whole),
      codec_test(columns_that_change_are_refused_or_whole),     codec_test(columns_that_change_at_any_allocation_are_refused_or_whole),
      codec_test(a_message_that_outgrows_its_block_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
