/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */

/* Random operations on a parser and two batches, held against the stream that this file wrote itself: what was decoded is encoded again, byte by
 * byte. Every other operation meets an allocation or a provider that fails; then no frame is lost and none comes twice, whatever comes next. */
#include "lending_testing.h"
#include "memory_testing.h"
#include "wire_bytes.h"

#include "failing_memory.h"
#include "handle_cache.h"
#include "parser_batch.h"
#include "wire.h"

enum {
  STEPS = 3000,
  STREAM_MAX = 1 << 20,
  FRAMES_MAX = 8000,
  FRAME_MAX = 2000,
  BATCHES = 2,
  ITEMS_MAX = 4,
  BAD = -1
};

static const sb_schema_field echo_fields[] = {
    {"timestamp", SB_TYPE_INT64, 0}, {"subject", SB_TYPE_STRING, 0}, {"metadata", SB_TYPE_ARRAY_INT16, 0}, {"body", SB_TYPE_STRING, 0}};

/* What is received, and which frames there are in it: frame i begins at starts[i], and follows the schema kinds[i], or is BAD. */
typedef struct stream {
  uint8_t bytes[STREAM_MAX];
  size_t starts[FRAMES_MAX + 1];
  int kinds[FRAMES_MAX];
  size_t count;
} stream;

/* The frames that a batch must show. */
typedef struct shown {
  sb_batch *batch;
  size_t first, end;
} shown;

typedef struct model {
  random_source random;
  stream all;
  sb_memory *memory;
  sb_parser *parser;
  sb_schema *schemas[2]; /* all types, Echo */
  size_t fed;            /* bytes */
  size_t parsed;         /* frames */
  shown batches[BATCHES];
  size_t failures;
} model;

/* ---- a provider that fails ---- */

static lender called = {.size_first = 300, .factor = 7, .step = 5, .modulo = 5000, .size_min = 1, .lent_by_failing = 600};

/* ---- the stream ---- */

static size_t draw_text(model *it, uint8_t *bytes, size_t most) {
  const size_t size = random_below(&it->random, random_below(&it->random, 6) == 0 ? most : 12);
  for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)random_next(&it->random);
  return size;
}

/* Writes a message of all types, or of Echo. */
static size_t draw_message(model *it, uint8_t *frame, int kind) {
  static uint8_t texts[ITEMS_MAX + 2][300];
  static int64_t items[ITEMS_MAX];
  sb_bytes strings[ITEMS_MAX];
  for (size_t i = 0; i < ITEMS_MAX; i++) {
    items[i] = (int64_t)random_next(&it->random);
    strings[i] = (sb_bytes){texts[i], draw_text(it, texts[i], 100)};
  }
  sb_value values[ALL_FIELDS];
  const uint64_t bits = random_next(&it->random);
  for (size_t i = 0; i < ALL_FIELDS; i++)
    values[i] = (sb_value){.number = i == 0   ? (int8_t)bits
                                     : i == 1 ? (int16_t)bits
                                     : i == 2 ? (int32_t)bits
                                              : (int64_t)bits,
                           .data = items,
                           .size = random_below(&it->random, ITEMS_MAX + 1)};
  values[4] = (sb_value){.data = texts[ITEMS_MAX], .size = draw_text(it, texts[ITEMS_MAX], 300)};
  values[9].data = strings;
  const int8_t sequence = (int8_t)random_next(&it->random);
  if (kind == 0) return wire_frame(frame, 3, sequence, all_fields, values, ALL_FIELDS);
  const sb_value echo[] = {values[3], {.data = texts[0], .size = strings[0].size}, values[6], values[4]};
  return wire_frame(frame, 0, sequence, echo_fields, echo, 4);
}

static void draw_stream(model *it) {
  stream *all = &it->all;
  for (all->count = 0; all->count < FRAMES_MAX && all->starts[all->count] + FRAME_MAX < STREAM_MAX; all->count++) {
    uint8_t *frame = all->bytes + all->starts[all->count];
    const int kind = (int)random_below(&it->random, 2);
    const size_t size = draw_message(it, frame, kind), what = random_below(&it->random, 20);
    assert_true(size <= FRAME_MAX);
    all->kinds[all->count] = what < 2 ? BAD : kind;
    if (what == 0) frame[4] = 77;                     /* a message that nobody knows */
    if (what == 1) memset(frame + 6, 0xff, size - 6); /* lengths that are negative, or beyond the frame */
    all->starts[all->count + 1] = all->starts[all->count] + size;
  }
}

/* ---- operations ---- */

static sb_status feed_step(model *it) {
  const size_t rest = it->all.starts[it->all.count] - it->fed;
  size_t size = random_below(&it->random, random_below(&it->random, 5) == 0 ? 3000 : 120);
  if (size > rest) size = rest;
  const sb_status status = sb_parser_feed(it->parser, it->all.bytes + it->fed, size);
  if (status == SB_OK) it->fed += size;
  return status;
}

static sb_status buffer_step(model *it) {
  const size_t rest = it->all.starts[it->all.count] - it->fed;
  void *data = NULL;
  size_t room = 0;
  const sb_status status = sb_parser_buffer(it->parser, &data, &room);
  if (status != SB_OK) return status;
  size_t size = random_below(&it->random, 400);
  if (size > rest) size = rest;
  if (size > room) size = room;
  memcpy(data, it->all.bytes + it->fed, size);
  assert_ok(sb_parser_commit(it->parser, size));
  it->fed += size;
  return SB_OK;
}

static sb_status receive_step(model *it) {
  static uint8_t buffer[300];
  const size_t rest = it->all.starts[it->all.count] - it->fed;
  int64_t position = -1;
  assert_ok(sb_parser_position(it->parser, sizeof buffer, &position));
  assert_int_equal(position, 0);
  size_t size = random_below(&it->random, sizeof buffer);
  if (size > rest) size = rest;
  memcpy(buffer, it->all.bytes + it->fed, size);
  const sb_status status = sb_parser_receive(it->parser, buffer, sizeof buffer, size);
  if (status == SB_OK) it->fed += size;
  return status;
}

static sb_status parse_step(model *it) {
  shown *into = &it->batches[random_below(&it->random, BATCHES)];
  const sb_status status = sb_parser_parse(it->parser, into->batch);
  into->first = into->end = it->parsed; /* its former content is dropped in any case */
  if (status != SB_OK) return status;
  while (into->end < it->all.count && it->all.starts[into->end + 1] <= it->fed) into->end++;
  it->parsed = into->end;
  return SB_OK;
}

static shown *any_batch(model *it) { return &it->batches[random_below(&it->random, BATCHES)]; }

static sb_status values_step(model *it) {
  const shown *from = any_batch(it);
  const sb_value *values = NULL;
  size_t count = 0;
  if (sb_batch_row_count(from->batch) == 0) return SB_OK;
  return sb_batch_get_values(from->batch, random_below(&it->random, sb_batch_row_count(from->batch)), &values, &count);
}

static sb_status column_step(model *it) {
  const shown *from = any_batch(it);
  const void *data = NULL;
  size_t size = 0, item_size = 0;
  if (sb_batch_row_count(from->batch) == 0) return SB_OK; /* no schemas, if nothing was parsed into it */
  const sb_status status = sb_batch_get_column(from->batch, 0, (int32_t)random_below(&it->random, ALL_FIELDS),
                                               (int32_t)random_below(&it->random, 3), &data, &size, &item_size);
  return status == SB_INVALID_ARGUMENT ? SB_OK : status; /* an integer has no such part */
}

static sb_status frame_step(model *it) {
  const shown *from = any_batch(it);
  sb_view *view = NULL;
  if (sb_batch_row_count(from->batch) == 0) return SB_OK;
  const sb_status status = sb_batch_get_frame(from->batch, random_below(&it->random, sb_batch_row_count(from->batch)), &view);
  sb_view_close(view);
  return status;
}

static sb_status swap_step(model *it) {
  sb_batch_swap(it->batches[0].batch, it->batches[1].batch);
  const shown kept = it->batches[0];
  it->batches[0].first = it->batches[1].first;
  it->batches[0].end = it->batches[1].end;
  it->batches[1].first = kept.first;
  it->batches[1].end = kept.end;
  return SB_OK;
}

static sb_status clear_step(model *it) {
  shown *from = any_batch(it);
  sb_batch_clear(from->batch);
  from->first = from->end;
  return SB_OK;
}

/* A new batch has no memory of earlier parses that would spare it allocations. */
static sb_status reopen_step(model *it) {
  shown *from = any_batch(it);
  sb_batch *made = NULL;
  const sb_status status = sb_batch_open(&made);
  if (status != SB_OK) return status;
  sb_batch_close(from->batch);
  from->batch = made;
  from->first = from->end;
  return SB_OK;
}

/* ---- what must hold ---- */

static void check_row(const model *it, const shown *from, size_t index, size_t frame) {
  static uint8_t again[FRAME_MAX];
  const uint8_t *bytes = it->all.bytes + it->all.starts[frame];
  const size_t size = it->all.starts[frame + 1] - it->all.starts[frame];
  const int kind = it->all.kinds[frame];
  sb_row row;
  const sb_value *values = NULL;
  size_t count = 0;
  assert_ok(sb_batch_get_row(from->batch, index, &row));
  assert_int_equal(row.stream_offset, it->all.starts[frame]);
  assert_int_equal(row.schema_index, kind);
  assert_ok(sb_batch_get_values(from->batch, index, &values, &count));
  const size_t wrote = kind == 0 ? wire_frame(again, row.api_key, row.sequence, all_fields, values, count)
                                 : wire_frame(again, row.api_key, row.sequence, echo_fields, values, count);
  assert_int_equal(wrote, size);
  assert_memory_equal(again, bytes, size);
  sb_view *view = NULL;
  assert_ok(sb_batch_get_frame(from->batch, index, &view));
  assert_view_shows(view, bytes, size);
  sb_view_close(view);
}

/* Columns of the rows of all types; not always, because asking for them makes them. */
static void check_columns(const model *it, const shown *from) {
  const void *offsets = NULL, *numbers = NULL;
  size_t size = 0, number_size = 0, item_size = 0, at = 0;
  assert_ok(sb_batch_get_column(from->batch, 0, SB_COLUMN_STREAM_OFFSET, SB_PART_VALUES, &offsets, &size, &item_size));
  assert_ok(sb_batch_get_column(from->batch, 0, 3, SB_PART_VALUES, &numbers, &number_size, &item_size));
  for (size_t frame = from->first; frame < from->end; frame++) {
    if (it->all.kinds[frame] != 0) continue;
    assert_int_equal(((const int64_t *)offsets)[at], it->all.starts[frame]);
    assert_int_equal(((const int64_t *)numbers)[at++], (int64_t)sb_priv_load64(it->all.bytes + it->all.starts[frame] + 6 + 7));
  }
  assert_int_equal(size, at * 8);
  assert_int_equal(number_size, at * 8);
}

static void check(model *it) {
  for (size_t i = 0; i < BATCHES; i++) {
    const shown *from = &it->batches[i];
    size_t rows = 0, errors = 0;
    sb_priv_batch_check_all(from->batch);
    for (size_t frame = from->first; frame < from->end; frame++)
      if (it->all.kinds[frame] == BAD)
        errors++;
      else
        rows++;
    assert_int_equal(sb_batch_row_count(from->batch), rows);
    assert_int_equal(sb_batch_error_count(from->batch), errors);
    for (size_t error = 0, frame = from->first; frame < from->end; frame++) {
      if (it->all.kinds[frame] != BAD) continue;
      sb_error refused;
      assert_ok(sb_batch_get_error(from->batch, error++, &refused));
      assert_int_equal(refused.stream_offset - refused.frame_offset, it->all.starts[frame]);
      assert_int_equal(refused.frame, frame);
    }
    if (random_below(&it->random, 4) > 0) continue; /* what is asked for late is made late */
    for (size_t row = 0, frame = from->first; frame < from->end; frame++)
      if (it->all.kinds[frame] != BAD) check_row(it, from, row++, frame);
    if (rows > 0 && random_below(&it->random, 2) == 0) check_columns(it, from);
  }
}

typedef sb_status (*model_step)(model *it);

static const model_step steps[] = {feed_step,   feed_step,   buffer_step, buffer_step, receive_step, parse_step,  parse_step,
                                   values_step, column_step, frame_step,  swap_step,   clear_step,   reopen_step, reopen_step};

static void run(sb_memory *memory, bool traced, uint64_t seed) {
  static model it; /* large */
  memset(&it, 0, sizeof it);
  it.random.state = seed;
  it.memory = memory;
  draw_stream(&it);
  it.schemas[0] = open_all_types();
  assert_ok(sb_echo_request_schema(&it.schemas[1]));
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  options.memory = memory;
  assert_ok(sb_parser_open(it.schemas, 2, &options, &it.parser, NULL));
  for (size_t i = 0; i < BATCHES; i++) it.batches[i].batch = open_batch();
  for (int step = 0; step < STEPS; step++) {
    const model_step next = steps[random_below(&it.random, sizeof steps / sizeof steps[0])];
    const size_t fault = random_below(&it.random, 6);
    sb_priv_handle_flush(); /* what the thread has kept would spare the step an allocation */
    if (memory == NULL) sb_pool_trim(NULL);
    if (fault < 2) allocations_until_failure = 1 + (long)random_below(&it.random, 6);
    if (fault == 2) called.reserves_until_failure = 1;
    if (fault == 2 && traced) assert_ok(sb_memory_fail_reserve(memory, 1 + random_below(&it.random, 2)));
    const sb_status status = next(&it);
    allocations_until_failure = called.reserves_until_failure = 0;
    if (traced) assert_ok(sb_memory_fail_reserve(memory, 0));
    assert_true(status == SB_OK || (status == SB_NO_MEMORY && fault <= 2));
    it.failures += status != SB_OK;
    check(&it);
  }
  assert_int_equal(sb_parser_end(it.parser), SB_OK);
  if (it.failures < 40 || it.parsed < 500) /* then the faults do not reach the code, or nothing else does */
    fail_msg("%zu failures, %zu frames parsed", it.failures, it.parsed);
  for (size_t i = 0; i < BATCHES; i++) sb_batch_close(it.batches[i].batch);
  sb_parser_close(it.parser);
  sb_schema_close(it.schemas[0]);
  sb_schema_close(it.schemas[1]);
  sb_memory_close(memory);
  assert_int_equal(called.blocks_lent, 0);
}

static void random_operations_agree_with_the_stream(void **state) {
  (void)state;
  const char *wanted = getenv("SAMEBYTES_SEEDS"); /* make nightly wants more */
  const unsigned long seeds = wanted != NULL ? strtoul(wanted, NULL, 10) : 1;
  for (uint64_t seed = 1; seed <= seeds; seed++) {
    run(NULL, false, seed * 4);
    run(open_tracing_over(open_fixed(4096)), true, seed * 4 + 1);
    run(open_tracing_over(open_fixed(40)), true, seed * 4 + 2);
    run(open_called(&called), false, seed * 4 + 3);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {codec_test(random_operations_agree_with_the_stream)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
