/* The builder: the input says which types a schema has and what messages hold. What is added is read back by the parser; what is refused
 * leaves nothing behind; one by one and all in one call write the same.
 *
 * bug: core/src/builder_plain.c
 * <       if (number != (int16_t)number) return 0;
 * >       if (number != (uint16_t)number) return 0;
 */
#include "fuzz.h"

#include <samebytes/samebytes.h>

enum {
  FIELDS_MAX = 8,
  MESSAGES_MAX = 16,
  ITEMS_MAX = 40
};

/* The input, as what is drawn from it; zeros follow it. */
typedef struct source {
  const uint8_t *at, *end;
} source;

static uint8_t draw(source *from) { return from->at < from->end ? *from->at++ : 0; }

static int64_t draw_number(source *from) {
  static const int64_t edges[] = {0, 1, -1, 127, -128, 32767, -32768, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
  const uint8_t choice = draw(from);
  const int64_t near = (int8_t)draw(from) / 64; /* -2 to 1 */
  return (int64_t)((uint64_t)edges[choice % (sizeof edges / sizeof edges[0])] + (uint64_t)near);
}

static uint8_t bytes[8 * ITEMS_MAX];
static sb_bytes strings[ITEMS_MAX];

static sb_value draw_value(source *from, int32_t type) {
  if (type <= SB_TYPE_INT64) return (sb_value){.number = draw_number(from)};
  const uint8_t size = draw(from);
  if (size == 255) return (sb_value){.data = bytes, .size = type == SB_TYPE_STRING ? (size_t)INT32_MAX + 1 : 32768};
  if (size == 254) return (sb_value){.data = NULL, .size = 3};
  return (sb_value){.data = type == SB_TYPE_ARRAY_STRING ? (const void *)strings : bytes, .size = size % ITEMS_MAX};
}

static bool is_same(const sb_value *one, const sb_value *other, int32_t type) {
  if (type <= SB_TYPE_INT64) return one->number == other->number;
  if (one->size != other->size) return false;
  if (one->size == 0) return true;
  if (type == SB_TYPE_STRING) return memcmp(one->data, other->data, one->size) == 0;
  if (type < SB_TYPE_ARRAY_STRING) return memcmp(one->data, other->data, one->size << (type - SB_TYPE_ARRAY_INT8)) == 0;
  const sb_bytes *left = one->data, *right = other->data;
  for (size_t i = 0; i < one->size; i++)
    if (left[i].size != right[i].size || (left[i].size > 0 && memcmp(left[i].data, right[i].data, left[i].size) != 0)) return false;
  return true;
}

typedef struct messages {
  sb_schema *schema;
  int32_t types[FIELDS_MAX];
  size_t fields, count;
  int8_t sequences[MESSAGES_MAX];
  sb_value values[MESSAGES_MAX * FIELDS_MAX];
} messages;

static void read_back(const messages *all, const uint8_t *frames, size_t size) {
  sb_parser *parser = NULL;
  sb_batch *batch = NULL;
  FUZZ_HOLDS(sb_parser_open(&all->schema, 1, NULL, &parser, NULL) == SB_OK && sb_batch_open(&batch) == SB_OK);
  FUZZ_HOLDS(sb_parser_feed(parser, frames, size) == SB_OK && sb_parser_parse(parser, batch) == SB_OK);
  FUZZ_HOLDS(sb_batch_row_count(batch) == all->count && sb_batch_error_count(batch) == 0);
  for (size_t i = 0; i < all->count; i++) {
    sb_row row;
    const sb_value *values;
    size_t count;
    FUZZ_HOLDS(sb_batch_get_row(batch, i, &row) == SB_OK && row.sequence == all->sequences[i]);
    FUZZ_HOLDS(sb_batch_get_values(batch, i, &values, &count) == SB_OK && count == all->fields);
    for (size_t j = 0; j < count; j++) FUZZ_HOLDS(is_same(&values[j], &all->values[i * count + j], all->types[j]));
  }
  sb_batch_close(batch);
  sb_parser_close(parser);
}

static uint8_t *frames_of(sb_builder *builder, size_t *size) {
  *size = sb_builder_size(builder);
  uint8_t *frames = malloc(*size + 1);
  FUZZ_HOLDS(frames != NULL && sb_builder_copy_bytes(builder, frames, *size) == SB_OK);
  return frames;
}

/* Adds messages as long as the input goes on; keeps those that were taken. */
static void add_singly(sb_builder *builder, source *from, messages *all) {
  for (size_t tried = 0; tried < MESSAGES_MAX && from->at < from->end; tried++) {
    const int8_t sequence = (int8_t)draw(from);
    sb_value *values = &all->values[all->count * all->fields];
    for (size_t i = 0; i < all->fields; i++) values[i] = draw_value(from, all->types[i]);
    const size_t before = sb_builder_size(builder);
    sb_error error = {0};
    const sb_status status = sb_builder_add(builder, all->schema, sequence, values, all->fields, &error);
    if (status == SB_OK) {
      all->sequences[all->count++] = sequence;
    } else {
      FUZZ_HOLDS(status == SB_OUT_OF_RANGE || status == SB_TOO_LARGE || status == SB_INVALID_ARGUMENT);
      FUZZ_HOLDS(error.field[0] != 0 && error.frame == (int64_t)all->count && sb_builder_size(builder) == before);
    }
    FUZZ_HOLDS(sb_builder_frame_count(builder) == all->count);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const names[FIELDS_MAX] = {"a", "b", "c", "d", "e", "f", "g", "h"};
  source from = {data, data + size};
  messages all = {.fields = draw(&from) % (FIELDS_MAX + 1)};
  sb_schema_field fields[FIELDS_MAX];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 37);
  for (size_t i = 0; i < ITEMS_MAX; i++) strings[i] = (sb_bytes){.data = bytes + i, .size = i % 5};
  for (size_t i = 0; i < all.fields; i++) {
    all.types[i] = 1 + draw(&from) % SB_TYPE_ARRAY_STRING;
    fields[i] = (sb_schema_field){names[i], all.types[i], 0};
  }
  FUZZ_HOLDS(sb_schema_open("Fuzz", SB_DIRECTION_REQUEST, 0, fields, all.fields, &all.schema, NULL) == SB_OK);
  sb_builder *builder = NULL, *together = NULL;
  FUZZ_HOLDS(sb_builder_open(NULL, &builder) == SB_OK && sb_builder_open(NULL, &together) == SB_OK);
  add_singly(builder, &from, &all);
  size_t frames_size, together_size;
  uint8_t *frames = frames_of(builder, &frames_size);
  read_back(&all, frames, frames_size);
  FUZZ_HOLDS(sb_builder_add_rows(together, all.schema, all.sequences, all.count, all.values, all.count * all.fields, NULL) == SB_OK);
  uint8_t *same = frames_of(together, &together_size);
  FUZZ_HOLDS(frames_size == together_size && memcmp(frames, same, frames_size) == 0);
  free(frames);
  free(same);
  sb_builder_close(builder);
  sb_builder_close(together);
  sb_schema_close(all.schema);
  FUZZ_HOLDS(sb_memory_live_blocks() == 0);
  return 0;
}
