#ifndef SAMEBYTES_FUZZ_ARROW_H
#define SAMEBYTES_FUZZ_ARROW_H

/* What a batch exports to Arrow, read as a consumer reads it, held against its rows. */

#include "columns.h"

enum {
  HEAD_COLUMNS = 3
};

/* Whether these bytes are text; by arithmetic on code points, not by ranges of bytes as the core does it. */
static inline bool is_utf8(const uint8_t *at, size_t size) {
  static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
  for (const uint8_t *end = at + size; at < end;) {
    const size_t more = *at < 0x80 ? 0 : (*at & 0xe0) == 0xc0 ? 1 : (*at & 0xf0) == 0xe0 ? 2 : (*at & 0xf8) == 0xf0 ? 3 : 4;
    if (more == 4 || (size_t)(end - at) <= more) return false;
    uint32_t point = more == 0 ? *at : *at & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
      if ((at[i] & 0xc0) != 0x80) return false;
      point = point << 6 | (at[i] & 0x3f);
    }
    if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
    at += more + 1;
  }
  return true;
}

static inline bool value_is_text(const sb_value *value, int32_t type) {
  if (type == SB_TYPE_STRING) return value->size == 0 || is_utf8(value->data, value->size);
  const sb_bytes *strings = value->data;
  for (size_t i = 0; type == SB_TYPE_ARRAY_STRING && i < value->size; i++)
    if (strings[i].size > 0 && !is_utf8(strings[i].data, strings[i].size)) return false;
  return true;
}

/* The rows that hold what is no text; -1 where there is none in that field. */
static inline int64_t first_that_is_no_text(const table *all, int32_t field) {
  const int32_t type = type_of(all->schema, field);
  for (size_t row = 0; row < all->count; row++)
    if (!value_is_text(&all->values[row][field], type)) return (int64_t)row;
  return -1;
}

static inline const char *format_of(int32_t type, int32_t strings) {
  static const char *const integers[] = {"c", "s", "i", "l"};
  if (type == SB_TYPE_STRING || type == SB_TYPE_ARRAY_STRING) return strings == SB_STRINGS_UTF8 ? "u" : "z";
  return integers[(type - SB_TYPE_INT8) % (SB_TYPE_ARRAY_INT8 - SB_TYPE_INT8)];
}

static inline void is_plain_array(const struct ArrowArray *array, int64_t length, int64_t buffers, int64_t children) {
  FUZZ_HOLDS(array->length == length && array->null_count == 0 && array->offset == 0 && array->dictionary == NULL);
  FUZZ_HOLDS(array->n_buffers == buffers && array->n_children == children && array->buffers[0] == NULL && array->release != NULL);
  for (int64_t i = 1; i < buffers; i++) FUZZ_HOLDS(array->buffers[i] != NULL);
}

static inline void arrow_string_is(const struct ArrowArray *strings, int64_t index, const void *data, size_t size) {
  const int32_t *offsets = strings->buffers[1];
  FUZZ_HOLDS((size_t)(offsets[index + 1] - offsets[index]) == size);
  if (size > 0) FUZZ_HOLDS(memcmp((const uint8_t *)strings->buffers[2] + offsets[index], data, size) == 0);
}

static inline void arrow_list_is(const struct ArrowArray *items, int64_t at, const sb_value *value, size_t width) {
  const sb_bytes *strings = value->data;
  if (width > 0 && value->size > 0)
    FUZZ_HOLDS(memcmp((const uint8_t *)items->buffers[1] + (size_t)at * width, value->data, value->size * width) == 0);
  for (size_t i = 0; width == 0 && i < value->size; i++) arrow_string_is(items, at + (int64_t)i, strings[i].data, strings[i].size);
}

static inline void arrow_column_is_rows(const table *all, int32_t field, const struct ArrowSchema *type, const struct ArrowArray *array,
                                        int32_t strings) {
  const int32_t of = type_of(all->schema, field);
  const size_t width = width_of(of);
  const bool is_list = is_array_type(of);
  const struct ArrowArray *items = is_list ? array->children[0] : array;
  FUZZ_HOLDS(strcmp(type->format, is_list ? "+l" : format_of(of, strings)) == 0 && type->n_children == (is_list ? 1 : 0));
  if (is_list) FUZZ_HOLDS(strcmp(type->children[0]->format, format_of(of, strings)) == 0);
  is_plain_array(array, (int64_t)all->count, of == SB_TYPE_STRING ? 3 : 2, is_list ? 1 : 0);
  const int32_t *ends = array->buffers[1];
  if (of >= SB_TYPE_STRING) FUZZ_HOLDS(ends[0] == 0);
  if (is_list) is_plain_array(items, ends[all->count], width > 0 ? 2 : 3, 0);
  for (size_t row = 0; row < all->count; row++) {
    if (of <= SB_TYPE_INT64) {
      const int64_t wanted = field < 0 ? head_number(all, row, field) : all->values[row][field].number;
      FUZZ_HOLDS(number_at(array->buffers[1], width, row) == wanted);
      continue;
    }
    const sb_value *value = &all->values[row][field];
    if (of == SB_TYPE_STRING) {
      arrow_string_is(array, (int64_t)row, value->data, value->size);
    } else {
      FUZZ_HOLDS((size_t)(ends[row + 1] - ends[row]) == value->size);
      arrow_list_is(items, ends[row], value, width);
    }
  }
}

/* What is refused, because it is no text, is said by field and place. */
static inline void arrow_is_refused(const table *all, int32_t field, const sb_error *error) {
  const int64_t row = first_that_is_no_text(all, field);
  sb_schema_field refused;
  FUZZ_HOLDS(sb_schema_get_field(all->schema, (size_t)field, &refused) == SB_OK && strcmp(error->field, refused.name) == 0);
  FUZZ_HOLDS(error->status == SB_INVALID_ARGUMENT && error->stream_offset == all->heads[row]->stream_offset);
}

static inline void arrow_is_rows(const table *all, int32_t strings) {
  static const int32_t heads[HEAD_COLUMNS] = {SB_COLUMN_SEQUENCE, SB_COLUMN_API_KEY, SB_COLUMN_STREAM_OFFSET};
  const int32_t fields = (int32_t)sb_schema_field_count(all->schema);
  struct ArrowSchema type;
  struct ArrowArray array;
  sb_error error;
  int32_t refused = 0;
  while (refused < fields && (strings == SB_STRINGS_BINARY || first_that_is_no_text(all, refused) < 0)) refused++;
  const sb_status status = sb_batch_export_arrow(all->batch, all->schema_index, strings, &type, &array, &error);
  FUZZ_HOLDS((status == SB_OK) == (refused == fields));
  if (status != SB_OK) {
    arrow_is_refused(all, refused, &error);
    return;
  }
  FUZZ_HOLDS(strcmp(type.format, "+s") == 0 && type.n_children == HEAD_COLUMNS + fields);
  is_plain_array(&array, (int64_t)all->count, 1, HEAD_COLUMNS + fields);
  for (int32_t i = 0; i < HEAD_COLUMNS + fields; i++)
    arrow_column_is_rows(all, i < HEAD_COLUMNS ? heads[i] : i - HEAD_COLUMNS, type.children[i], array.children[i], strings);
  type.release(&type);
  array.release(&array);
  FUZZ_HOLDS(type.release == NULL && array.release == NULL);
}

#endif
