/* The builder: the input says which types a schema has and what messages hold. What is added is read back by the parser; what is refused
 * leaves nothing behind; one by one and all in one call write the same. With the lowest bit of the first byte the messages are columns,
 * whose places may lie: they write what the messages write that are read from them here, one by one, or are refused at the first that cannot be.
 *
 * bug: core/src/builder_plain.c
 * <   if (number != (int16_t)number) return 0;
 * >   if (number != (uint16_t)number) return 0;
 *
 * bug: core/src/builder.c
 * <   if (length < 0 || offset < 0 || (uint64_t)offset > room || (uint64_t)length > room - (size_t)offset)
 * >   if (length < 0 || offset < 0 || (uint64_t)offset > room || (uint64_t)length > room)
 *
 * bug: core/src/builder.c
 * <   *next = (size_t)(offset + length);
 * >   *next = (size_t)length;
 */
#include "columns.h"

#include <samebytes/samebytes.h>

enum {
  FIELDS_MAX = 8,
  MESSAGES_MAX = 16,
  ITEMS_MAX = 40
};

static int64_t draw_number(source *from) {
  static const int64_t edges[] = {0, 1, -1, 127, -128, 32767, -32768, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
  const uint8_t choice = draw(from);
  const int64_t near = (int8_t)draw(from) / 64; /* -2 to 1 */
  return (int64_t)((uint64_t)edges[choice % (sizeof edges / sizeof edges[0])] + (uint64_t)near);
}

static _Alignas(8) uint8_t bytes[8 * ITEMS_MAX];
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

/* ---- columns ---- */

enum {
  MANY = 254 /* of the bytes that say a place: what begins here are edges */
};

/* What the columns of one schema point to. */
typedef struct drawn {
  int64_t numbers[MESSAGES_MAX], offsets[MESSAGES_MAX], item_offsets[ITEMS_MAX];
  int32_t lengths[MESSAGES_MAX], item_lengths[ITEMS_MAX];
} drawn;

static drawn drawns[FIELDS_MAX];

/* A place or length below `most`, seldom one that cannot be. */
static int64_t draw_place(source *from, size_t most) {
  static const int64_t wrong[] = {-1, INT32_MAX};
  const uint8_t place = draw(from);
  return place >= MANY ? wrong[place - MANY] : (int64_t)(place % most);
}

/* How many there are: `wanted`, seldom another number. */
static size_t draw_count(source *from, size_t wanted) {
  const uint8_t wrong = draw(from);
  return wrong < MANY ? wanted : wrong - MANY;
}

static sb_column draw_numbers(source *from, int32_t type, size_t count, drawn *to) {
  const size_t width = (size_t)1 << (type - SB_TYPE_INT8);
  const bool wide = (draw(from) & 1) != 0, small = (draw(from) & 1) != 0;
  for (size_t i = 0; i < count; i++) {
    const int64_t number = small ? (int8_t)draw(from) : draw_number(from);
    uint8_t *at = (uint8_t *)to->numbers + i * (wide ? sizeof number : width);
    switch (wide ? sizeof number : width) {
    case 1: *at = (uint8_t)number; break;
    case 2: *(int16_t *)at = (int16_t)number; break;
    case 4: *(int32_t *)at = (int32_t)number; break;
    default: *(int64_t *)at = number;
    }
  }
  return (sb_column){.values = to->numbers, .size = draw_count(from, count * (wide ? sizeof(int64_t) : width))};
}

static sb_column draw_column(source *from, int32_t type, size_t count, drawn *to) {
  if (type <= SB_TYPE_INT64) return draw_numbers(from, type, count, to);
  const uint8_t has = draw(from);
  const bool offsets = (has & 1) != 0, item_offsets = (has & 2) != 0;
  const size_t items = type == SB_TYPE_ARRAY_STRING ? has / 4 % ITEMS_MAX : 0;
  for (size_t i = 0; i < count; i++) {
    to->lengths[i] = (int32_t)draw_place(from, type == SB_TYPE_ARRAY_STRING ? 5 : 24);
    if (offsets) to->offsets[i] = draw_place(from, type == SB_TYPE_ARRAY_STRING ? ITEMS_MAX / 2 : MANY);
  }
  for (size_t i = 0; i < items; i++) {
    to->item_lengths[i] = (int32_t)draw_place(from, 16);
    if (item_offsets) to->item_offsets[i] = draw_place(from, MANY);
  }
  return (sb_column){.values = bytes,
                     .size = draw_count(from, sizeof bytes),
                     .offsets = offsets ? to->offsets : NULL,
                     .offset_count = offsets ? draw_count(from, count) : 0,
                     .lengths = to->lengths,
                     .length_count = draw_count(from, count),
                     .item_offsets = item_offsets ? to->item_offsets : NULL,
                     .item_offset_count = item_offsets ? draw_count(from, items) : 0,
                     .item_lengths = to->item_lengths,
                     .item_length_count = items};
}

/* Whether a column has as much as its header says that `count` messages need. */
static bool has_enough(const sb_column *column, int32_t type, size_t count) {
  const size_t width = width_of(type);
  if (type <= SB_TYPE_INT64) return column->size == count * width || column->size == count * sizeof(int64_t);
  if (column->length_count != count || (column->offset_count != 0 && column->offset_count != count)) return false;
  if (width > 0 && column->size % width != 0) return false;
  return type != SB_TYPE_ARRAY_STRING || column->item_offset_count == 0 || column->item_offset_count == column->item_length_count;
}

/* Where thing `index` begins, and whether all of it lies among `room`. Where things lie one behind the other, a length below 0 takes no room. */
static bool locate(const int64_t *offsets, const int32_t *lengths, size_t index, size_t room, size_t *at) {
  int64_t offset = 0;
  for (size_t i = 0; offsets == NULL && i < index; i++) offset += lengths[i] > 0 ? lengths[i] : 0;
  if (offsets != NULL) offset = offsets[index];
  *at = (size_t)offset;
  return offset >= 0 && lengths[index] >= 0 && (uint64_t)offset + (uint64_t)lengths[index] <= room;
}

/* Reads one value as the header says; false where the column has none there. */
static bool read_value(const sb_column *column, int32_t type, size_t count, size_t index, sb_bytes *room, sb_value *value) {
  const size_t width = width_of(type);
  size_t at;
  if (type <= SB_TYPE_INT64) {
    *value = (sb_value){.number = number_at(column->values, column->size / count, index)};
    return value->number >= INT64_MIN >> (64 - 8 * width) && value->number <= INT64_MAX >> (64 - 8 * width);
  }
  const size_t things = type == SB_TYPE_STRING ? column->size : width > 0 ? column->size / width : column->item_length_count;
  if (!locate(column->offset_count > 0 ? column->offsets : NULL, column->lengths, index, things, &at)) return false;
  *value = (sb_value){.data = (const uint8_t *)column->values + at * (width > 0 ? width : 1), .size = (size_t)column->lengths[index]};
  if (type != SB_TYPE_ARRAY_STRING) return true;
  value->data = room;
  for (size_t i = 0; i < value->size; i++) {
    size_t byte;
    if (!locate(column->item_offset_count > 0 ? column->item_offsets : NULL, column->item_lengths, at + i, column->size, &byte))
      return false;
    room[i] = (sb_bytes){.data = (const uint8_t *)column->values + byte, .size = (size_t)column->item_lengths[at + i]};
  }
  return true;
}

/* Reads all messages from the columns; where that cannot be, `*first` is the index of the first that is wrong. */
static bool read_all(const messages *all, const sb_column *columns, sb_value *values, size_t *first) {
  static sb_bytes room[MESSAGES_MAX * FIELDS_MAX][ITEMS_MAX];
  *first = 0;
  for (size_t i = 0; i < all->fields; i++)
    if (!has_enough(&columns[i], all->types[i], all->count)) return false;
  for (size_t i = 0; i < all->count * all->fields; i++) {
    *first = i / all->fields;
    if (!read_value(&columns[i % all->fields], all->types[i % all->fields], all->count, *first, room[i], &values[i])) return false;
  }
  return true;
}

static void add_columns(source *from, messages *all) {
  sb_column columns[FIELDS_MAX];
  sb_memory *memory = NULL;
  sb_builder *builder = NULL, *wanted = NULL;
  sb_error error = {0};
  const uint8_t block_size = draw(from); /* frames lie across small blocks */
  all->count = draw(from) % (MESSAGES_MAX + 1);
  for (size_t i = 0; i < all->count; i++) all->sequences[i] = (int8_t)i;
  for (size_t i = 0; i < all->fields; i++) columns[i] = draw_column(from, all->types[i], all->count, &drawns[i]);
  if (block_size > 0) FUZZ_HOLDS(sb_memory_open_fixed(block_size, &memory) == SB_OK);
  FUZZ_HOLDS(sb_builder_open(memory, &builder) == SB_OK && sb_builder_open(NULL, &wanted) == SB_OK);
  size_t first;
  const bool good = read_all(all, columns, all->values, &first);
  for (size_t times = 1; times <= 2; times++) {
    const sb_status status = sb_builder_add_columns(builder, all->schema, all->sequences, all->count, columns, all->fields, &error);
    FUZZ_HOLDS((status == SB_OK) == good);
    if (good) {
      for (size_t i = 0; i < all->count; i++)
        FUZZ_HOLDS(sb_builder_add(wanted, all->schema, all->sequences[i], &all->values[i * all->fields], all->fields, NULL) == SB_OK);
    } else {
      FUZZ_HOLDS(status == SB_OUT_OF_RANGE || status == SB_TOO_LARGE || status == SB_INVALID_ARGUMENT);
      FUZZ_HOLDS(error.field[0] != 0 && error.frame == (int64_t)first);
    }
    same_frames(builder, wanted);
  }
  sb_builder_close(builder);
  sb_builder_close(wanted);
  sb_memory_close(memory);
}

static void add_rows(source *from, messages *all) {
  sb_builder *builder = NULL, *together = NULL;
  FUZZ_HOLDS(sb_builder_open(NULL, &builder) == SB_OK && sb_builder_open(NULL, &together) == SB_OK);
  add_singly(builder, from, all);
  size_t frames_size;
  uint8_t *frames = frames_of(builder, &frames_size);
  read_back(all, frames, frames_size);
  FUZZ_HOLDS(sb_builder_add_rows(together, all->schema, all->sequences, all->count, all->values, all->count * all->fields, NULL) == SB_OK);
  same_frames(builder, together);
  free(frames);
  sb_builder_close(builder);
  sb_builder_close(together);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return -1;
  source from = {data + 1, data + size};
  messages all = {.schema = draw_schema(&from, "Fuzz", 0, FIELDS_MAX)};
  all.fields = sb_schema_field_count(all.schema);
  for (size_t i = 0; i < all.fields; i++) all.types[i] = type_of(all.schema, (int32_t)i);
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 37);
  for (size_t i = 0; i < ITEMS_MAX; i++) strings[i] = (sb_bytes){.data = bytes + i, .size = i % 5};
  if ((data[0] & 1) != 0)
    add_columns(&from, &all);
  else
    add_rows(&from, &all);
  sb_schema_close(all.schema);
  FUZZ_HOLDS(sb_memory_live_blocks() == 0);
  return 0;
}
