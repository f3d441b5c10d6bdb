//go:build !samebytes_shared

/* Tables as Arrow's structures. Each array and each type owns its memory by itself, its children's aside, which own theirs: a consumer may
 * move a child out and release the rest. So everything is copied, once, into memory of exactly the needed size, and no null exists.
 *
 * Invariant: an array or type under construction can be released at any moment; what is not made yet is NULL. */

#include "arrow_private.h"
#include "error_private.h"
#include "schema_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

arrow_tuning sb_priv_arrow_tuning = {.rows_max = SB_ARROW_ROWS_MAX, .bytes_max = INT32_MAX};

static sb_status no_memory(sb_error *error) { return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for the Arrow data"); }

sb_status sb_priv_arrow_check(int32_t strings, sb_error *error) {
  if (strings == SB_STRINGS_BINARY || strings == SB_STRINGS_UTF8) return SB_OK;
  return sb_priv_error(error, SB_INVALID_ARGUMENT, "strings", "strings is %" PRId32 "; it is SB_STRINGS_BINARY or SB_STRINGS_UTF8",
                       strings);
}

/* ---- types ---- */

/* What a type owns: its name, and its children, which lie behind the pointers to them. */
typedef struct kept_schema {
  char name[SB_FIELD_NAME_MAX + 1];
  struct ArrowSchema *pointers[];
} kept_schema;

static void release_schema(struct ArrowSchema *schema) {
  for (int64_t i = 0; i < schema->n_children; i++) sb_priv_arrow_release_schema(schema->children[i]);
  free(schema->private_data);
  schema->release = NULL;
}

void sb_priv_arrow_release_schema(struct ArrowSchema *schema) {
  if (schema->release != NULL) schema->release(schema);
}

static bool make_schema(struct ArrowSchema *schema, const char *format, const char *name, size_t child_count) {
  kept_schema *kept = calloc(1, sizeof *kept + child_count * (sizeof kept->pointers[0] + sizeof *schema));
  memset(schema, 0, sizeof *schema);
  if (kept == NULL) return false;
  (void)snprintf(kept->name, sizeof kept->name, "%s", name);
  struct ArrowSchema *children = (struct ArrowSchema *)&kept->pointers[child_count];
  for (size_t i = 0; i < child_count; i++) kept->pointers[i] = &children[i];
  *schema = (struct ArrowSchema){.format = format,
                                 .name = kept->name,
                                 .n_children = (int64_t)child_count,
                                 .children = child_count > 0 ? kept->pointers : NULL,
                                 .release = release_schema,
                                 .private_data = kept};
  return true;
}

static const char *format_of(uint8_t type, int32_t strings) {
  switch (type) {
  case SB_TYPE_INT8:
  case SB_TYPE_ARRAY_INT8: return "c";
  case SB_TYPE_INT16:
  case SB_TYPE_ARRAY_INT16: return "s";
  case SB_TYPE_INT32:
  case SB_TYPE_ARRAY_INT32: return "i";
  case SB_TYPE_INT64:
  case SB_TYPE_ARRAY_INT64: return "l";
  default: return strings == SB_STRINGS_UTF8 ? "u" : "z";
  }
}

static bool is_list(uint8_t type) { return type > SB_TYPE_STRING; }

static bool make_column_schema(const arrow_column *column, int32_t strings, struct ArrowSchema *schema) {
  const char *format = column->format != NULL ? column->format : format_of(column->type, strings);
  if (!is_list(column->type)) return make_schema(schema, format, column->name, 0);
  return make_schema(schema, "+l", column->name, 1) && make_schema(schema->children[0], format, "item", 0);
}

sb_status sb_priv_arrow_schema(const arrow_table *table, struct ArrowSchema *out, sb_error *error) {
  struct ArrowSchema made;
  bool good = make_schema(&made, "+s", "", table->column_count);
  for (size_t i = 0; good && i < table->column_count; i++) good = make_column_schema(&table->columns[i], table->strings, made.children[i]);
  if (!good) {
    sb_priv_arrow_release_schema(&made);
    return no_memory(error);
  }
  *out = made;
  return SB_OK;
}

/* ---- arrays ---- */

/* What an array owns: its buffers, each of malloc, and its children, which lie behind the pointers to them. buffers[0], which would say
 * what is null, is NULL. */
typedef struct kept_array {
  void *buffers[3];
  struct ArrowArray *pointers[];
} kept_array;

static void release_array(struct ArrowArray *array) {
  kept_array *kept = array->private_data;
  for (int64_t i = 0; i < array->n_children; i++) sb_priv_arrow_release_array(array->children[i]);
  for (size_t i = 0; i < 3; i++) free(kept->buffers[i]);
  free(kept);
  array->release = NULL;
}

void sb_priv_arrow_release_array(struct ArrowArray *array) {
  if (array->release != NULL) array->release(array);
}

static kept_array *make_array(struct ArrowArray *array, size_t length, size_t buffer_count, size_t child_count) {
  kept_array *kept = calloc(1, sizeof *kept + child_count * (sizeof kept->pointers[0] + sizeof *array));
  memset(array, 0, sizeof *array);
  if (kept == NULL) return NULL;
  struct ArrowArray *children = (struct ArrowArray *)&kept->pointers[child_count];
  for (size_t i = 0; i < child_count; i++) kept->pointers[i] = &children[i];
  *array = (struct ArrowArray){.length = (int64_t)length,
                               .n_buffers = (int64_t)buffer_count,
                               .n_children = (int64_t)child_count,
                               .buffers = (const void **)kept->buffers,
                               .children = child_count > 0 ? kept->pointers : NULL,
                               .release = release_array,
                               .private_data = kept};
  return kept;
}

/* Makes a buffer, never NULL and never empty, which not every consumer takes. */
static void *make_buffer(kept_array *kept, size_t index, size_t size) { return kept->buffers[index] = malloc(size > 0 ? size : 1); }

/* A column of a table while it is copied. */
typedef struct source {
  const arrow_table *table;
  size_t column;
  uint8_t type;
  sb_error *error;
} source;

static sb_value cell(const source *from, size_t row) { return from->table->cell(from->table, row, from->column); }

/* The strings of a cell: one, or those of an array. `one` is room for the first case. */
static const sb_bytes *strings_of(const source *from, size_t row, sb_bytes *one, size_t *count) {
  const sb_value value = cell(from, row);
  *count = is_list(from->type) ? value.size : 1;
  if (is_list(from->type)) return value.data;
  *one = (sb_bytes){.data = value.data, .size = value.size};
  return one;
}

/* Bytes of the UTF-8 sequence that begins at `at`, of which `left` bytes are there; 0 where none does. Neither surrogates nor more bytes than needed. */
static size_t utf8_sequence(const uint8_t *at, size_t left) {
  const uint8_t first = at[0];
  const size_t size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (size < 2) return size;
  if (left < size) return 0;
  const uint8_t least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const uint8_t most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (at[1] < least || at[1] > most) return 0;
  for (size_t i = 2; i < size; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  return size;
}

/* Where the first byte lies that is not UTF-8; `size` where all is. */
static size_t utf8_end(const uint8_t *data, size_t size) {
  size_t at = 0;
  while (at < size) {
    uint64_t word = 0;
    if (size - at >= sizeof word) memcpy(&word, data + at, sizeof word);
    if (size - at >= sizeof word && (word & UINT64_C(0x8080808080808080)) == 0) {
      at += sizeof word;
      continue;
    }
    const size_t step = utf8_sequence(data + at, size - at);
    if (step == 0) return at;
    at += step;
  }
  return size;
}

/* Checks a string of a row as it was copied: the frame that it came from may lie in memory that others write. */
static sb_status check_text(const source *from, size_t row, const uint8_t *copy, size_t size) {
  const size_t end = utf8_end(copy, size);
  if (end == size) return SB_OK;
  const char *name = from->table->columns[from->column].name;
  char where[96];
  sb_error scratch, *error = from->error != NULL ? from->error : &scratch;
  from->table->locate(from->table, row, where, sizeof where, NULL);
  (void)sb_priv_error(error, SB_INVALID_ARGUMENT, name, "%s of %s is not UTF-8 from byte %zu on: export strings as binary instead", name,
                      where, end);
  from->table->locate(from->table, row, where, sizeof where, error);
  return SB_INVALID_ARGUMENT;
}

static sb_status too_large(const source *from) {
  return sb_priv_error(from->error, SB_TOO_LARGE, from->table->columns[from->column].name,
                       "%s has more than %" PRId64 " bytes or items; export fewer rows at a time", from->table->columns[from->column].name,
                       sb_priv_arrow_tuning.bytes_max);
}

/* Counts all strings, and their bytes. */
static sb_status measure_strings(const source *from, size_t *count, size_t *bytes) {
  *count = *bytes = 0;
  for (size_t row = 0; row < from->table->row_count; row++) {
    sb_bytes one;
    size_t here;
    const sb_bytes *strings = strings_of(from, row, &one, &here);
    *count += here;
    for (size_t i = 0; i < here; i++) *bytes += strings[i].size;
    if (*bytes > (size_t)sb_priv_arrow_tuning.bytes_max || *count > (size_t)sb_priv_arrow_tuning.bytes_max) return too_large(from);
  }
  return SB_OK;
}

static sb_status fill_strings(const source *from, struct ArrowArray *array) {
  size_t count, bytes;
  sb_status status = measure_strings(from, &count, &bytes);
  if (status != SB_OK) return status;
  kept_array *kept = make_array(array, count, 3, 0);
  int32_t *offsets = kept != NULL ? make_buffer(kept, 1, (count + 1) * sizeof *offsets) : NULL;
  uint8_t *data = kept != NULL ? make_buffer(kept, 2, bytes) : NULL;
  if (offsets == NULL || data == NULL) return no_memory(from->error);
  size_t index = 0, end = 0;
  offsets[0] = 0;
  for (size_t row = 0; row < from->table->row_count; row++) {
    sb_bytes one;
    size_t here;
    const sb_bytes *strings = strings_of(from, row, &one, &here);
    for (size_t i = 0; i < here; i++) {
      if (strings[i].size > 0) memcpy(data + end, strings[i].data, strings[i].size);
      if (from->table->strings == SB_STRINGS_UTF8) status = check_text(from, row, data + end, strings[i].size);
      if (status != SB_OK) return status;
      end += strings[i].size;
      offsets[++index] = (int32_t)end;
    }
  }
  return SB_OK;
}

static sb_status fill_integers(const source *from, struct ArrowArray *array) {
  const size_t count = from->table->row_count, width = sb_priv_type_width(from->type);
  kept_array *kept = make_array(array, count, 2, 0);
  void *items = kept != NULL ? make_buffer(kept, 1, count * width) : NULL;
  if (items == NULL) return no_memory(from->error);
  for (size_t row = 0; row < count; row++) {
    const int64_t number = cell(from, row).number;
    switch (width) {
    case 1: ((int8_t *)items)[row] = (int8_t)number; break;
    case 2: ((int16_t *)items)[row] = (int16_t)number; break;
    case 4: ((int32_t *)items)[row] = (int32_t)number; break;
    default: ((int64_t *)items)[row] = number;
    }
  }
  return SB_OK;
}

/* The items of all arrays of integers, one array behind the other. */
static sb_status fill_items(const source *from, size_t count, struct ArrowArray *array) {
  const size_t width = sb_priv_type_width(from->type);
  kept_array *kept = make_array(array, count, 2, 0);
  uint8_t *items = kept != NULL ? make_buffer(kept, 1, count * width) : NULL;
  if (items == NULL) return no_memory(from->error);
  for (size_t row = 0; row < from->table->row_count; row++) {
    const sb_value value = cell(from, row);
    if (value.size > 0) memcpy(items, value.data, value.size * width);
    items += value.size * width;
  }
  return SB_OK;
}

static sb_status fill_lists(const source *from, struct ArrowArray *array) {
  const size_t count = from->table->row_count;
  kept_array *kept = make_array(array, count, 2, 1);
  int32_t *offsets = kept != NULL ? make_buffer(kept, 1, (count + 1) * sizeof *offsets) : NULL;
  if (offsets == NULL) return no_memory(from->error);
  size_t end = 0;
  offsets[0] = 0;
  for (size_t row = 0; row < count; row++) {
    end += cell(from, row).size;
    if (end > (size_t)sb_priv_arrow_tuning.bytes_max) return too_large(from);
    offsets[row + 1] = (int32_t)end;
  }
  return from->type == SB_TYPE_ARRAY_STRING ? fill_strings(from, array->children[0]) : fill_items(from, end, array->children[0]);
}

static sb_status fill_column(const source *from, struct ArrowArray *array) {
  if (is_list(from->type)) return fill_lists(from, array);
  return from->type == SB_TYPE_STRING ? fill_strings(from, array) : fill_integers(from, array);
}

sb_status sb_priv_arrow_array(const arrow_table *table, struct ArrowArray *out, sb_error *error) {
  struct ArrowArray made;
  if (make_array(&made, table->row_count, 1, table->column_count) == NULL) return no_memory(error);
  sb_status status = SB_OK;
  for (size_t i = 0; i < table->column_count && status == SB_OK; i++) {
    const source from = {.table = table, .column = i, .type = table->columns[i].type, .error = error};
    status = fill_column(&from, made.children[i]);
  }
  if (status != SB_OK)
    sb_priv_arrow_release_array(&made);
  else
    *out = made;
  return status;
}

/* ---- streams ---- */

/* What a stream owns: its type, and the arrays that were not asked for yet. */
typedef struct kept_stream {
  struct ArrowSchema schema;
  struct ArrowArray *arrays;
  size_t count, next;
  const char *last_error;
} kept_stream;

/* Copies a type that was made here: formats are constants of the library. */
static bool copy_schema(const struct ArrowSchema *schema, struct ArrowSchema *copy) {
  bool good = make_schema(copy, schema->format, schema->name, (size_t)schema->n_children);
  for (int64_t i = 0; good && i < schema->n_children; i++) good = copy_schema(schema->children[i], copy->children[i]);
  return good;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  kept_stream *kept = stream->private_data;
  struct ArrowSchema copy;
  if (copy_schema(&kept->schema, &copy)) {
    *out = copy;
    return 0;
  }
  sb_priv_arrow_release_schema(&copy);
  kept->last_error = "no memory for the schema";
  return ENOMEM;
}

/* The end is an array that is released. */
static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  kept_stream *kept = stream->private_data;
  memset(out, 0, sizeof *out);
  if (kept->next < kept->count) *out = kept->arrays[kept->next++];
  return 0;
}

static const char *get_last_error(struct ArrowArrayStream *stream) { return ((const kept_stream *)stream->private_data)->last_error; }

static void release_stream(struct ArrowArrayStream *stream) {
  kept_stream *kept = stream->private_data;
  for (size_t i = kept->next; i < kept->count; i++) sb_priv_arrow_release_array(&kept->arrays[i]);
  sb_priv_arrow_release_schema(&kept->schema);
  free(kept->arrays);
  free(kept);
  stream->release = NULL;
}

sb_status sb_priv_arrow_stream(struct ArrowSchema *schema, struct ArrowArray *arrays, size_t count, struct ArrowArrayStream *out,
                               sb_error *error) {
  kept_stream *kept = calloc(1, sizeof *kept);
  if (kept == NULL) return no_memory(error);
  kept->schema = *schema;
  kept->arrays = arrays;
  kept->count = count;
  *out = (struct ArrowArrayStream){
      .get_schema = get_schema, .get_next = get_next, .get_last_error = get_last_error, .release = release_stream, .private_data = kept};
  return SB_OK;
}
