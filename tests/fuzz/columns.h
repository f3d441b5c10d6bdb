#ifndef SAMEBYTES_FUZZ_COLUMNS_H
#define SAMEBYTES_FUZZ_COLUMNS_H

/* What a batch shows in another shape than rows, its columns and its export to Arrow, held against its rows. */

#include "fuzz.h"

#include <samebytes/samebytes.h>

enum {
  PARTS = 5
};

static inline bool is_array_type(int32_t type) { return type > SB_TYPE_STRING; }

/* Bytes of an integer of that type, or of the items of an array of them; 0 for strings. */
static inline size_t width_of(int32_t type) {
  if (type == SB_TYPE_STRING || type == SB_TYPE_ARRAY_STRING) return 0;
  return (size_t)1 << ((is_array_type(type) ? type - SB_TYPE_ARRAY_INT8 : type - SB_TYPE_INT8));
}

static inline int64_t number_at(const void *items, size_t width, size_t index) {
  switch (width) {
  case 1: return ((const int8_t *)items)[index];
  case 2: return ((const int16_t *)items)[index];
  case 4: return ((const int32_t *)items)[index];
  default: return ((const int64_t *)items)[index];
  }
}

/* Bytes of an item of a part of a column, 0 where columns of that type have no such part. */
static inline size_t item_size_of(int32_t type, int32_t part) {
  static const size_t places[PARTS] = {0, sizeof(int64_t), sizeof(int32_t), sizeof(int64_t), sizeof(int32_t)};
  if (part == SB_PART_VALUES) return width_of(type) > 0 ? width_of(type) : 1;
  if (type <= SB_TYPE_INT64 || (part >= SB_PART_ITEM_OFFSETS && type != SB_TYPE_ARRAY_STRING)) return 0;
  return places[part];
}

static inline int32_t type_of(const sb_schema *schema, int32_t column) {
  sb_schema_field field = {.type = column >= SB_COLUMN_API_KEY ? SB_TYPE_INT8 : SB_TYPE_INT64}; /* of the heads */
  if (column >= 0) FUZZ_HOLDS(sb_schema_get_field(schema, (size_t)column, &field) == SB_OK);
  return field.type;
}

/* A column by its parts, as a builder takes it. */
static inline sb_column column_of(sb_batch *batch, size_t schema_index, const sb_schema *schema, int32_t column) {
  const int32_t type = type_of(schema, column);
  const void *data[PARTS] = {NULL};
  size_t count[PARTS] = {0};
  for (int32_t part = 0; part < PARTS; part++) {
    size_t size = 77, item_size = 77;
    const sb_status status = sb_batch_get_column(batch, schema_index, column, part, &data[part], &size, &item_size);
    if (item_size_of(type, part) == 0) {
      FUZZ_HOLDS(status == SB_INVALID_ARGUMENT && data[part] == NULL && size == 77);
      continue;
    }
    FUZZ_HOLDS(status == SB_OK && item_size == item_size_of(type, part) && size % item_size == 0);
    FUZZ_HOLDS((uintptr_t)data[part] % item_size == 0 && (data[part] != NULL || size == 0));
    count[part] = part == SB_PART_VALUES ? size : size / item_size;
  }
  return (sb_column){data[0], count[0], data[1], count[1], data[2], count[2], data[3], count[3], data[4], count[4]};
}

/* A number for all columns: what they hold, and where. */
static inline uint32_t sum_of_columns(sb_batch *batch, sb_schema *const *schemas, size_t count) {
  uint32_t sum = 0;
  for (size_t i = 0; i < count; i++) {
    const int32_t fields = (int32_t)sb_schema_field_count(schemas[i]);
    for (int32_t column = SB_COLUMN_ROW; column < fields; column++) {
      const sb_column all = column_of(batch, i, schemas[i], column);
      sum = sb_crc32c(sum, &all, sizeof all);
      if (all.size > 0) sum = sb_crc32c(sum, all.values, all.size);
      if (all.length_count > 0) sum = sb_crc32c(sum, all.lengths, all.length_count * sizeof *all.lengths);
      if (all.offset_count > 0) sum = sb_crc32c(sum, all.offsets, all.offset_count * sizeof *all.offsets);
      if (all.item_length_count > 0) sum = sb_crc32c(sum, all.item_lengths, all.item_length_count * sizeof *all.item_lengths);
      if (all.item_offset_count > 0) sum = sb_crc32c(sum, all.item_offsets, all.item_offset_count * sizeof *all.item_offsets);
    }
  }
  return sum;
}

/* The rows of one schema. */
typedef struct table {
  sb_batch *batch;
  const sb_schema *schema;
  size_t schema_index;
  const sb_row **heads;
  const sb_value **values;
  size_t *indexes; /* in the batch */
  size_t count;
} table;

static inline table table_open(sb_batch *batch, const sb_schema *schema, size_t schema_index) {
  const sb_row *heads;
  size_t count;
  FUZZ_HOLDS(sb_batch_get_rows(batch, &heads, &count) == SB_OK && count == sb_batch_row_count(batch));
  table all = {.batch = batch, .schema = schema, .schema_index = schema_index};
  all.heads = malloc((count + 1) * sizeof *all.heads);
  all.values = malloc((count + 1) * sizeof *all.values);
  all.indexes = malloc((count + 1) * sizeof *all.indexes);
  FUZZ_HOLDS(all.heads != NULL && all.values != NULL && all.indexes != NULL);
  for (size_t i = 0; i < count; i++) {
    size_t value_count;
    if (heads[i].schema_index != schema_index) continue;
    FUZZ_HOLDS(sb_batch_get_values(batch, i, &all.values[all.count], &value_count) == SB_OK);
    all.indexes[all.count] = i;
    all.heads[all.count++] = &heads[i];
  }
  return all;
}

static inline void table_close(table *all) {
  free(all->heads);
  free(all->values);
  free(all->indexes);
}

static inline int64_t head_number(const table *all, size_t row, int32_t column) {
  switch (column) {
  case SB_COLUMN_SEQUENCE: return all->heads[row]->sequence;
  case SB_COLUMN_API_KEY: return all->heads[row]->api_key;
  case SB_COLUMN_STREAM_OFFSET: return all->heads[row]->stream_offset;
  default: return (int64_t)all->indexes[row];
  }
}

/* A string of a column is the memory that the row shows. */
static inline void same_string(const sb_column *column, int64_t offset, int64_t length, const void *data, size_t size) {
  FUZZ_HOLDS((size_t)length == size && offset >= 0 && (size_t)offset <= column->size && size <= column->size - (size_t)offset);
  FUZZ_HOLDS(size == 0 || (const uint8_t *)column->values + offset == data);
}

static inline void column_is_rows(const table *all, int32_t field) {
  const sb_column column = column_of(all->batch, all->schema_index, all->schema, field);
  const int32_t type = type_of(all->schema, field);
  const size_t width = width_of(type);
  size_t items = 0;
  if (type <= SB_TYPE_INT64) FUZZ_HOLDS(column.size == all->count * width);
  if (type >= SB_TYPE_STRING) FUZZ_HOLDS(column.offset_count == all->count && column.length_count == all->count);
  for (size_t row = 0; row < all->count; row++) {
    if (type <= SB_TYPE_INT64) {
      const int64_t wanted = field < 0 ? head_number(all, row, field) : all->values[row][field].number;
      FUZZ_HOLDS(number_at(column.values, width, row) == wanted);
      continue;
    }
    const sb_value *value = &all->values[row][field];
    if (type == SB_TYPE_STRING) {
      same_string(&column, column.offsets[row], column.lengths[row], value->data, value->size);
      continue;
    }
    FUZZ_HOLDS(column.offsets[row] == (int64_t)items && (size_t)column.lengths[row] == value->size);
    if (width > 0 && value->size > 0) {
      FUZZ_HOLDS((items + value->size) * width <= column.size);
      FUZZ_HOLDS(memcmp((const uint8_t *)column.values + items * width, value->data, value->size * width) == 0);
    }
    const sb_bytes *strings = value->data;
    for (size_t i = 0; width == 0 && i < value->size; i++) {
      FUZZ_HOLDS(items + i < column.item_length_count && items + i < column.item_offset_count);
      same_string(&column, column.item_offsets[items + i], column.item_lengths[items + i], strings[i].data, strings[i].size);
    }
    items += value->size;
  }
  if (is_array_type(type)) FUZZ_HOLDS(items == (width > 0 ? column.size / width : column.item_length_count));
  if (type == SB_TYPE_ARRAY_STRING) FUZZ_HOLDS(items == column.item_offset_count);
}

/* Columns that were read are columns to write: from columns and from rows come the same bytes. */
static inline void columns_build_again(const table *all) {
  sb_column columns[SB_SCHEMA_FIELDS_MAX];
  const size_t fields = sb_schema_field_count(all->schema);
  const sb_column sequences = column_of(all->batch, all->schema_index, all->schema, SB_COLUMN_SEQUENCE);
  sb_builder *by_columns = NULL, *by_rows = NULL;
  FUZZ_HOLDS(sb_builder_open(NULL, &by_columns) == SB_OK && sb_builder_open(NULL, &by_rows) == SB_OK);
  for (size_t i = 0; i < fields; i++) columns[i] = column_of(all->batch, all->schema_index, all->schema, (int32_t)i);
  FUZZ_HOLDS(sb_builder_add_columns(by_columns, all->schema, sequences.values, all->count, columns, fields, NULL) == SB_OK);
  for (size_t i = 0; i < all->count; i++)
    FUZZ_HOLDS(sb_builder_add(by_rows, all->schema, all->heads[i]->sequence, all->values[i], fields, NULL) == SB_OK);
  same_frames(by_columns, by_rows);
  sb_builder_close(by_columns);
  sb_builder_close(by_rows);
}

static inline void columns_are_rows(const table *all) {
  const int32_t fields = (int32_t)sb_schema_field_count(all->schema);
  for (int32_t column = SB_COLUMN_ROW; column < fields; column++) column_is_rows(all, column);
  columns_build_again(all);
}

#endif
