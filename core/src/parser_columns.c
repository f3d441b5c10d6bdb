//go:build !samebytes_shared

/* The rows of one schema, turned into columns when somebody asks for them: numbers and places only, never the bytes of strings, which
 * stay where the frames lie. A column is filled once per batch and lies in the batch's arena, so that it goes with the rows.
 *
 * Invariant: batch->columns holds what was filled since the batch was parsed into. */

#include "parser_batch.h"

/* What is asked for: a part of the column `field`, or of the head, of the rows that follow the schema at `schema_index`. */
typedef struct request {
  const sb_batch *batch;
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

static inline bool is_asked(const request *asked, size_t row) { return asked->batch->rows[row].schema_index == asked->schema_index; }

static inline const sb_value *value_of(const request *asked, size_t row) {
  return asked->batch->values + asked->batch->first_values[row] + asked->column;
}

/* Whether the part has one item per item of the arrays, not one per row. */
static bool is_per_item(const request *asked) {
  return is_array(asked->type) && asked->part != SB_PART_OFFSETS && asked->part != SB_PART_LENGTHS;
}

static size_t count_items(const request *asked) {
  const bool per_item = is_per_item(asked);
  if (!per_item && asked->batch->set->count == 1) return asked->batch->row_count;
  size_t count = 0;
  for (size_t row = 0; row < asked->batch->row_count; row++)
    if (is_asked(asked, row)) count += per_item ? value_of(asked, row)->size : 1;
  return count;
}

static void store_number(void *items, size_t index, size_t item_size, int64_t number) {
  switch (item_size) {
  case 1: ((int8_t *)items)[index] = (int8_t)number; break;
  case 2: ((int16_t *)items)[index] = (int16_t)number; break;
  case 4: ((int32_t *)items)[index] = (int32_t)number; break;
  default: ((int64_t *)items)[index] = number;
  }
}

static int64_t head_number(const request *asked, size_t row) {
  const sb_row *head = &asked->batch->rows[row];
  switch (asked->column) {
  case SB_COLUMN_STREAM_OFFSET: return head->stream_offset;
  case SB_COLUMN_API_KEY: return head->api_key;
  case SB_COLUMN_SEQUENCE: return head->sequence;
  default: return (int64_t)row;
  }
}

/* The value of the next row that is asked for; NULL behind the last one. */
static inline const sb_value *next_value(const request *asked, size_t *row) {
  while (*row < asked->batch->row_count) {
    const size_t at = (*row)++;
    if (is_asked(asked, at)) return value_of(asked, at);
  }
  return NULL;
}

/* The loops that matter: one per width and part, so that nothing is decided per row. */
static void fill_numbers(const request *asked, size_t item_size, void *items) {
  size_t row = 0, index = 0;
  const sb_value *value;
  switch (item_size) {
  case 1:
    while ((value = next_value(asked, &row)) != NULL) ((int8_t *)items)[index++] = (int8_t)value->number;
    break;
  case 2:
    while ((value = next_value(asked, &row)) != NULL) ((int16_t *)items)[index++] = (int16_t)value->number;
    break;
  case 4:
    while ((value = next_value(asked, &row)) != NULL) ((int32_t *)items)[index++] = (int32_t)value->number;
    break;
  default:
    while ((value = next_value(asked, &row)) != NULL) ((int64_t *)items)[index++] = value->number;
  }
}

static void fill_lengths(const request *asked, int32_t *items) {
  size_t row = 0, index = 0;
  const sb_value *value;
  while ((value = next_value(asked, &row)) != NULL) items[index++] = (int32_t)value->size;
}

static void fill_offsets(const request *asked, int64_t *items) {
  const uint8_t *base = asked->batch->base;
  size_t row = 0, index = 0;
  int64_t before = 0; /* items of the arrays of the rows before */
  const sb_value *value;
  if (!is_array(asked->type)) {
    while ((value = next_value(asked, &row)) != NULL) items[index++] = (const uint8_t *)value->data - base;
    return;
  }
  while ((value = next_value(asked, &row)) != NULL) {
    items[index++] = before;
    before += (int64_t)value->size;
  }
}

static void fill_per_row(const request *asked, size_t item_size, void *items) {
  size_t index = 0;
  if (asked->column < 0) {
    for (size_t row = 0; row < asked->batch->row_count; row++)
      if (is_asked(asked, row)) store_number(items, index++, item_size, head_number(asked, row));
  } else if (asked->part == SB_PART_VALUES) {
    fill_numbers(asked, item_size, items);
  } else if (asked->part == SB_PART_LENGTHS) {
    fill_lengths(asked, items);
  } else {
    fill_offsets(asked, items);
  }
}

/* Items of arrays, one array behind the other. */
static void fill_per_item(const request *asked, size_t item_size, void *items) {
  size_t index = 0;
  for (size_t row = 0; row < asked->batch->row_count; row++) {
    if (!is_asked(asked, row)) continue;
    const sb_value *value = value_of(asked, row);
    if (value->size == 0) continue;
    if (asked->type != SB_TYPE_ARRAY_STRING) {
      memcpy((uint8_t *)items + index * item_size, value->data, value->size * item_size);
      index += value->size;
      continue;
    }
    const sb_bytes *strings = value->data;
    for (size_t i = 0; i < value->size; i++) {
      const int64_t offset = (const uint8_t *)strings[i].data - asked->batch->base;
      store_number(items, index++, item_size, asked->part == SB_PART_ITEM_LENGTHS ? (int64_t)strings[i].size : offset);
    }
  }
}

/* Fills what is asked for, and remembers it. */
static sb_status fill(sb_batch *batch, const request *asked, size_t item_size, batch_column *column) {
  *column = (batch_column){.schema_index = asked->schema_index, .column = asked->column, .part = asked->part};
  if (!grow((void **)&batch->columns, &batch->column_capacity, batch->column_count + 1, sizeof *batch->columns)) return SB_NO_MEMORY;
  column->size = count_items(asked) * item_size;
  if (column->size > 0) {
    void *items = arena_get(batch, column->size);
    if (items == NULL) return SB_NO_MEMORY;
    if (is_per_item(asked))
      fill_per_item(asked, item_size, items);
    else
      fill_per_row(asked, item_size, items);
    column->data = items;
  }
  batch->columns[batch->column_count++] = *column;
  return SB_OK;
}

static const batch_column *filled(const sb_batch *batch, const request *asked) {
  for (size_t i = 0; i < batch->column_count; i++) {
    const batch_column *column = &batch->columns[i];
    if (column->column == asked->column && column->part == asked->part && column->schema_index == asked->schema_index) return column;
  }
  return NULL;
}

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

sb_status sb_batch_get_column(sb_batch *batch, size_t schema_index, int32_t column, int32_t part, const void **data, size_t *size,
                              size_t *item_size) {
  if (batch == NULL || data == NULL || size == NULL || item_size == NULL) return SB_INVALID_ARGUMENT;
  request asked = {.batch = batch, .schema_index = schema_index, .column = column, .part = part};
  sb_status status = check(batch, &asked);
  if (status != SB_OK) return status;
  batch_column made = {.size = 0};
  const batch_column *found = &made;
  if (part == SB_PART_VALUES && (asked.type == SB_TYPE_STRING || asked.type == SB_TYPE_ARRAY_STRING)) {
    if (batch->row_count > 0) made = (batch_column){.data = batch->base, .size = batch->base_size};
  } else if ((found = filled(batch, &asked)) == NULL) {
    status = fill(batch, &asked, item_size_of(&asked), &made);
    if (status != SB_OK) return status;
    found = &made;
  }
  *data = found->data;
  *size = found->size;
  *item_size = item_size_of(&asked);
  return SB_OK;
}
