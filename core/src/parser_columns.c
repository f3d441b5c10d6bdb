//go:build !samebytes_shared

/* The rows of one schema as columns: numbers and places only, never the bytes of strings, which stay where the frames lie. Who asks for one
 * field mostly asks for others as well, so one pass over the frames, which the parse has checked, fills the columns of all fields. They
 * lie in the batch's arena, and go with the rows.
 *
 * Invariant: where has_fields is set, each column of a field holds what all rows of the schema have. */

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "parser_batch.h"
#include "schema_private.h"
#include "wire.h"

/* What is asked for: a part of the column `field`, or of the head, of the rows that follow the schema at `schema_index`. */
typedef struct request {
  size_t schema_index;
  int32_t column;
  int32_t part;
  uint8_t type; /* of the field */
} request;

static bool is_array(uint8_t type) { return type > SB_TYPE_STRING; }

/* Bytes of one item; 0 where the column has no such part. */
static size_t item_size_of(const request *asked) {
  const uint8_t type = asked->type;
  switch (asked->part) {
  case SB_PART_VALUES: return sb_priv_type_width(type) > 0 ? sb_priv_type_width(type) : 1;
  case SB_PART_OFFSETS: return type >= SB_TYPE_STRING ? sizeof(int64_t) : 0;
  case SB_PART_LENGTHS: return type >= SB_TYPE_STRING ? sizeof(int32_t) : 0;
  case SB_PART_ITEM_OFFSETS: return type == SB_TYPE_ARRAY_STRING ? sizeof(int64_t) : 0;
  case SB_PART_ITEM_LENGTHS: return type == SB_TYPE_ARRAY_STRING ? sizeof(int32_t) : 0;
  default: return 0;
  }
}

/* ---- the columns of a schema ---- */

static size_t count_rows(const sb_batch *batch, size_t schema_index) {
  if (batch->set->count == 1) return batch->row_count;
  size_t count = 0;
  for (size_t row = 0; row < batch->row_count; row++) count += batch->rows[row].schema_index == schema_index;
  return count;
}

/* The columns of the schema, which may still lack all; NULL without memory. */
static schema_columns *columns_of(sb_batch *batch, size_t schema_index) {
  const size_t set_size = batch->set->count * sizeof *batch->columns;
  if (batch->columns == NULL) {
    schema_columns **columns = arena_get(batch, set_size);
    if (columns == NULL) return NULL;
    memset(columns, 0, set_size);
    batch->columns = columns;
  }
  if (batch->columns[schema_index] == NULL) {
    const size_t size = sizeof(schema_columns) + batch->set->schemas[schema_index]->field_count * sizeof(field_columns);
    schema_columns *made = arena_get(batch, size);
    if (made == NULL) return NULL;
    memset(made, 0, size);
    made->row_count = count_rows(batch, schema_index);
    batch->columns[schema_index] = made;
  }
  return batch->columns[schema_index];
}

/* ---- heads ---- */

static void fill_small_head(const sb_batch *batch, const request *asked, int8_t *items) {
  for (const sb_row *row = batch->rows, *const end = row + batch->row_count; row < end; row++)
    if (row->schema_index == asked->schema_index) *items++ = asked->column == SB_COLUMN_SEQUENCE ? row->sequence : row->api_key;
}

static void fill_large_head(const sb_batch *batch, const request *asked, int64_t *items) {
  for (const sb_row *row = batch->rows, *const end = row + batch->row_count; row < end; row++)
    if (row->schema_index == asked->schema_index)
      *items++ = asked->column == SB_COLUMN_STREAM_OFFSET ? row->stream_offset : row - batch->rows;
}

static sb_status fill_head(sb_batch *batch, const request *asked, const schema_columns *made, void **head) {
  if (made->row_count == 0 || *head != NULL) return SB_OK;
  void *items = arena_get(batch, made->row_count * item_size_of(asked));
  if (items == NULL) return SB_NO_MEMORY;
  if (item_size_of(asked) == 1)
    fill_small_head(batch, asked, items);
  else
    fill_large_head(batch, asked, items);
  *head = items;
  return SB_OK;
}

/* ---- fields ---- */

enum {
  ITEMS_SPARE = 4 /* that may be written behind the last one */
};

/* Gets memory for more items, and moves those that are there. */
static bool move_items(sb_batch *batch, void *array, size_t count, size_t capacity, size_t item_size) {
  void **items = array;
  void *moved = arena_get(batch, (capacity + ITEMS_SPARE) * item_size);
  if (moved == NULL) return false;
  if (count > 0) memcpy(moved, *items, count * item_size);
  *items = moved;
  return true;
}

/* Makes room for `count` more items of arrays. How many there are in all is only known at the end, and what a frame could hold at most is
 * no measure, so they grow as they come. */
static bool grow_items(sb_batch *batch, field_columns *field, uint8_t type, size_t count) {
  enum {
    ITEMS_MIN = 64
  };
  const size_t has = field->item_count;
  size_t capacity = 2 * field->item_capacity > ITEMS_MIN ? 2 * field->item_capacity : ITEMS_MIN;
  if (capacity < has + count) capacity = has + count;
  const size_t width = sb_priv_type_width(type);
  if (width > 0 ? !move_items(batch, &field->values, has, capacity, width)
                : !move_items(batch, &field->item_offsets, has, capacity, sizeof *field->item_offsets) ||
                      !move_items(batch, &field->item_lengths, has, capacity, sizeof *field->item_lengths))
    return false;
  field->item_capacity = capacity;
  return true;
}

/* Makes room for all rows, and for a few items of arrays. */
static bool open_field(sb_batch *batch, uint8_t type, size_t row_count, field_columns *field) {
  *field = (field_columns){0};
  if (type < SB_TYPE_STRING) return (field->values = arena_get(batch, row_count * sb_priv_type_width(type))) != NULL;
  field->offsets = arena_get(batch, row_count * sizeof *field->offsets);
  field->lengths = arena_get(batch, row_count * sizeof *field->lengths);
  return field->offsets != NULL && field->lengths != NULL && (!is_array(type) || grow_items(batch, field, type, 0));
}

/* Begins an array of a row: says where its items are, and makes room for them. */
static inline bool begin_array(sb_batch *batch, field_columns *field, uint8_t type, size_t index, size_t count) {
  assert(field->offsets != NULL && field->lengths != NULL);
  field->offsets[index] = (int64_t)field->item_count;
  field->lengths[index] = (int32_t)count;
  return field->item_capacity - field->item_count >= count || grow_items(batch, field, type, count);
}

/* Reads all fields of all rows of a schema. The frames were right when they were parsed, but who shares the parser's memory can have written to
 * them since: so what is variable is counted again, as in parser_plain.c, and a column never reaches out of its frame. */
static sb_status fill_fields(sb_batch *batch, size_t schema_index, field_columns *fields) {
  static const void *const fill[] = {
      [0] = &&done,
      [SB_TYPE_INT8] = &&fill_int8,
      [SB_TYPE_INT16] = &&fill_int16,
      [SB_TYPE_INT32] = &&fill_int32,
      [SB_TYPE_INT64] = &&fill_int64,
      [SB_TYPE_STRING] = &&fill_string,
      [SB_TYPE_ARRAY_INT8] = &&fill_array,
      [SB_TYPE_ARRAY_INT16] = &&fill_array16,
      [SB_TYPE_ARRAY_INT32] = &&fill_array,
      [SB_TYPE_ARRAY_INT64] = &&fill_array,
      [SB_TYPE_ARRAY_STRING] = &&fill_strings,
  };
  const sb_schema *const schema = batch->set->schemas[schema_index];
  const uint8_t *const types = schema->types;
  const int64_t size_min = (int64_t)schema->smallest_frame - SB_PRIV_SIZE_BYTES;
  const uint8_t *const base = batch->base;
  const uint8_t *const frames_end = base + batch->base_size;
  const sb_row *const end = batch->rows + batch->row_count;
  size_t index = 0;
  for (const sb_row *row = batch->rows; row < end; row++) {
    if (row->schema_index != schema_index) continue;
    const uint8_t *at = base + (row->stream_offset - batch->base_offset) + SB_PRIV_HEAD_BYTES;
    const uint8_t *type = types;
    field_columns *field = fields;
    int64_t spare = row->frame_size - size_min;
    size_t count, width;
    int16_t *items;
    goto *fill[*type++];
  fill_int8:
    ((int8_t *)field++->values)[index] = (int8_t)*at;
    at += 1;
    goto *fill[*type++];
  fill_int16:
    ((int16_t *)field++->values)[index] = (int16_t)sb_priv_load16(at);
    at += 2;
    goto *fill[*type++];
  fill_int32:
    ((int32_t *)field++->values)[index] = (int32_t)sb_priv_load32(at);
    at += 4;
    goto *fill[*type++];
  fill_int64:
    ((int64_t *)field++->values)[index] = (int64_t)sb_priv_load64(at);
    at += 8;
    goto *fill[*type++];
  fill_string:
    count = sb_priv_load32(at);
    at += 4;
    spare -= (int64_t)count;
    if (spare < 0) return SB_CORRUPT;
    assert(field->offsets != NULL && field->lengths != NULL);
    field->offsets[index] = at - base;
    field++->lengths[index] = (int32_t)count;
    at += count;
    goto *fill[*type++];
  fill_array16:
    count = sb_priv_load16(at);
    at += 2;
    spare -= 2 * (int64_t)count;
    if (spare < 0) return SB_CORRUPT;
    if (!begin_array(batch, field, SB_TYPE_ARRAY_INT16, index, count)) return SB_NO_MEMORY;
    items = (int16_t *)field->values + field->item_count;
    if (count <= 4 && frames_end - at >= 8)
      sb_priv_swap_four16(items, at); /* what is too much is written over by the next row, or lies in the spare items */
    else
      sb_priv_swap_items16(items, at, count);
    at += 2 * count;
    field++->item_count += count;
    goto *fill[*type++];
  fill_array:
    width = sb_priv_type_width(type[-1]);
    count = sb_priv_load16(at);
    at += 2;
    spare -= (int64_t)(width * count);
    if (spare < 0) return SB_CORRUPT;
    if (!begin_array(batch, field, type[-1], index, count)) return SB_NO_MEMORY;
    sb_priv_swap_copy((uint8_t *)field->values + width * field->item_count, at, width, count);
    at += width * count;
    field++->item_count += count;
    goto *fill[*type++];
  fill_strings:
    count = sb_priv_load16(at);
    at += 2;
    spare -= 4 * (int64_t)count;
    if (spare < 0) return SB_CORRUPT;
    if (!begin_array(batch, field, SB_TYPE_ARRAY_STRING, index, count)) return SB_NO_MEMORY;
    for (; count > 0; count--) {
      const uint32_t size = sb_priv_load32(at);
      at += 4;
      spare -= (int64_t)size;
      if (spare < 0) return SB_CORRUPT;
      field->item_offsets[field->item_count] = at - base;
      field->item_lengths[field->item_count++] = (int32_t)size;
      at += size;
    }
    field++;
    goto *fill[*type++];
  done:
    index++;
  }
  return SB_OK;
}

static sb_status make_fields(sb_batch *batch, size_t schema_index, schema_columns *made) {
  const sb_schema *schema = batch->set->schemas[schema_index];
  if (made->has_fields) return SB_OK;
  if (made->row_count > 0) {
    for (size_t i = 0; i < schema->field_count; i++)
      if (!open_field(batch, schema->types[i], made->row_count, &made->fields[i])) return SB_NO_MEMORY;
    const sb_status status = fill_fields(batch, schema_index, made->fields);
    if (status != SB_OK) return status;
  }
  made->has_fields = true;
  return SB_OK;
}

/* ---- asking ---- */

static sb_status check(const sb_batch *batch, request *asked) {
  if (batch->set == NULL || asked->schema_index >= batch->set->count) return SB_OUT_OF_RANGE;
  const sb_schema *schema = batch->set->schemas[asked->schema_index];
  if (asked->column >= schema->field_count || asked->column < SB_COLUMN_ROW) return SB_OUT_OF_RANGE;
  if (asked->column >= 0)
    asked->type = schema->types[asked->column];
  else
    asked->type = asked->column == SB_COLUMN_SEQUENCE || asked->column == SB_COLUMN_API_KEY ? SB_TYPE_INT8 : SB_TYPE_INT64;
  return item_size_of(asked) > 0 ? SB_OK : SB_INVALID_ARGUMENT;
}

/* A part of a field's columns, and how many items it has. */
static const void *part_of(const field_columns *field, const request *asked, size_t row_count, size_t *count) {
  const bool per_item = is_array(asked->type) && asked->part != SB_PART_OFFSETS && asked->part != SB_PART_LENGTHS;
  *count = per_item ? field->item_count : row_count;
  switch (asked->part) {
  case SB_PART_VALUES: return field->values;
  case SB_PART_OFFSETS: return field->offsets;
  case SB_PART_LENGTHS: return field->lengths;
  case SB_PART_ITEM_OFFSETS: return field->item_offsets;
  default: return field->item_lengths;
  }
}

/* Finds the column, or makes it first. */
static sb_status find(sb_batch *batch, const request *asked, const void **data, size_t *count) {
  schema_columns *columns = columns_of(batch, asked->schema_index);
  if (columns == NULL) return SB_NO_MEMORY;
  if (asked->column < 0) {
    void **head = &columns->heads[-1 - asked->column];
    const sb_status status = fill_head(batch, asked, columns, head);
    if (status != SB_OK) return status;
    *data = *head;
    *count = columns->row_count;
    return SB_OK;
  }
  const sb_status status = make_fields(batch, asked->schema_index, columns);
  if (status != SB_OK) return status;
  *data = part_of(&columns->fields[asked->column], asked, columns->row_count, count);
  return SB_OK;
}

sb_status sb_batch_get_column(sb_batch *batch, size_t schema_index, int32_t column, int32_t part, const void **data, size_t *size,
                              size_t *item_size) {
  if (batch == NULL || data == NULL || size == NULL || item_size == NULL) return SB_INVALID_ARGUMENT;
  request asked = {.schema_index = schema_index, .column = column, .part = part};
  sb_status status = check(batch, &asked);
  if (status != SB_OK) return status;
  const void *items = batch->row_count > 0 ? batch->base : NULL; /* else it has no more than errors */
  size_t count = batch->row_count > 0 ? batch->base_size : 0;
  const bool is_bytes = part == SB_PART_VALUES && (asked.type == SB_TYPE_STRING || asked.type == SB_TYPE_ARRAY_STRING);
  if (!is_bytes) {
    sb_priv_batch_check(batch);
    status = find(batch, &asked, &items, &count);
    sb_priv_batch_check(batch);
    if (status != SB_OK) return status;
    if (batch->has_values && !batch->values_asked) atomic_store_explicit(&batch->set->by_columns, true, memory_order_relaxed);
  }
  *item_size = item_size_of(&asked);
  *data = items;
  *size = count * *item_size;
  return SB_OK;
}
