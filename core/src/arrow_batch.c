//go:build !samebytes_shared

/* Decoded messages as a table: what the heads of the rows say, then the fields. */

#include "arrow_private.h"
#include "error_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const head_names[] = {"sequence", "api_key", "stream_offset"};
enum {
  HEAD_COLUMNS = 3
};

/* A schema as columns, with room for their names. */
typedef struct columns {
  sb_schema_field fields[SB_SCHEMA_FIELDS_MAX];
  char head_names[HEAD_COLUMNS][24];
  arrow_column all[HEAD_COLUMNS + SB_SCHEMA_FIELDS_MAX];
  size_t count;
} columns;

/* The rows that follow one schema. */
typedef struct rows {
  const sb_batch *batch;
  const sb_row *heads;
  size_t *indexes; /* in the batch */
  size_t count;
} rows;

/* "sequence", or "frame.sequence" where a field is called so: no field has a dot in its name. */
static void name_head(columns *made, size_t field_count, size_t head) {
  bool taken = false;
  for (size_t i = 0; i < field_count; i++) taken = taken || strcmp(made->fields[i].name, head_names[head]) == 0;
  (void)snprintf(made->head_names[head], sizeof made->head_names[head], "%s%s", taken ? "frame." : "", head_names[head]);
}

static sb_status fill_columns(columns *made, const sb_schema *schema) {
  const size_t field_count = sb_schema_field_count(schema);
  for (size_t i = 0; i < field_count; i++) {
    const sb_status status = sb_schema_get_field(schema, i, &made->fields[i]);
    if (status != SB_OK) return status;
    made->all[HEAD_COLUMNS + i] = (arrow_column){.name = made->fields[i].name, .type = (uint8_t)made->fields[i].type};
  }
  for (size_t i = 0; i < HEAD_COLUMNS; i++) {
    name_head(made, field_count, i);
    made->all[i] = (arrow_column){.name = made->head_names[i], .type = i < 2 ? SB_TYPE_INT8 : SB_TYPE_INT64};
  }
  made->count = HEAD_COLUMNS + field_count;
  return SB_OK;
}

static sb_value batch_cell(const arrow_table *table, size_t row, size_t column) {
  const rows *shown = table->rows;
  const sb_row *head = &shown->heads[shown->indexes[row]];
  const sb_value *values = NULL;
  size_t count = 0;
  if (column == 0) return (sb_value){.number = head->sequence};
  if (column == 1) return (sb_value){.number = head->api_key};
  if (column == 2) return (sb_value){.number = head->stream_offset};
  const sb_status status = sb_batch_get_values(shown->batch, shown->indexes[row], &values, &count);
  assert(status == SB_OK && column - HEAD_COLUMNS < count);
  return status == SB_OK ? values[column - HEAD_COLUMNS] : (sb_value){0};
}

static void locate_row(const arrow_table *table, size_t row, char *text, size_t size, sb_error *error) {
  const rows *shown = table->rows;
  (void)snprintf(text, size, "row %zu of the batch", shown->indexes[row]);
  if (error != NULL) error->stream_offset = shown->heads[shown->indexes[row]].stream_offset;
}

static sb_status nothing(sb_error *error) { return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "an argument is NULL"); }

sb_status sb_schema_export_arrow(const sb_schema *schema, int32_t strings, struct ArrowSchema *arrow_schema, sb_error *error) {
  if (schema == NULL || arrow_schema == NULL) return nothing(error);
  sb_status status = sb_priv_arrow_check(strings, error);
  if (status != SB_OK) return status;
  columns *made = calloc(1, sizeof *made);
  if (made == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for the columns");
  status = fill_columns(made, schema);
  const arrow_table table = {.columns = made->all, .column_count = made->count, .strings = strings};
  if (status == SB_OK) status = sb_priv_arrow_schema(&table, arrow_schema, error);
  free(made);
  return status;
}

/* Finds the rows of a schema. */
static sb_status choose(const sb_batch *batch, size_t schema_index, rows *shown, sb_error *error) {
  size_t count = 0;
  sb_status status = sb_batch_get_rows(batch, &shown->heads, &count);
  if (status != SB_OK) return status;
  shown->batch = batch;
  shown->indexes = malloc((count > 0 ? count : 1) * sizeof *shown->indexes);
  if (shown->indexes == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for the rows");
  for (size_t i = 0; i < count; i++)
    if (shown->heads[i].schema_index == schema_index) shown->indexes[shown->count++] = i;
  /* The batch may make the values of all rows only now, and later no cell could say that it failed. */
  const sb_value *values = NULL;
  size_t value_count = 0;
  status = count > 0 ? sb_batch_get_values(batch, 0, &values, &value_count) : SB_OK;
  if (status == SB_OK) return SB_OK;
  free(shown->indexes);
  return sb_priv_error(error, status, NULL,
                       status == SB_NO_MEMORY ? "no memory for the values" : "the frames of the batch have been changed since the parse");
}

static sb_status export_rows(const sb_batch *batch, size_t schema_index, const columns *made, int32_t strings,
                             struct ArrowSchema *arrow_schema, struct ArrowArray *arrow_array, sb_error *error) {
  rows shown = {0};
  sb_status status = choose(batch, schema_index, &shown, error);
  if (status != SB_OK) return status;
  const arrow_table table = {.columns = made->all,
                             .column_count = made->count,
                             .row_count = shown.count,
                             .strings = strings,
                             .rows = &shown,
                             .cell = batch_cell,
                             .locate = locate_row};
  struct ArrowSchema type;
  status = sb_priv_arrow_schema(&table, &type, error);
  if (status == SB_OK) {
    status = sb_priv_arrow_array(&table, arrow_array, error);
    if (status == SB_OK)
      *arrow_schema = type;
    else
      sb_priv_arrow_release_schema(&type);
  }
  free(shown.indexes);
  return status;
}

sb_status sb_batch_export_arrow(const sb_batch *batch, size_t schema_index, int32_t strings, struct ArrowSchema *arrow_schema,
                                struct ArrowArray *arrow_array, sb_error *error) {
  if (batch == NULL || arrow_schema == NULL || arrow_array == NULL) return nothing(error);
  sb_schema *schema = NULL;
  sb_status status = sb_priv_arrow_check(strings, error);
  if (status != SB_OK) return status;
  if (sb_batch_get_schema(batch, schema_index, &schema) != SB_OK)
    return sb_priv_error(error, SB_OUT_OF_RANGE, "schema_index", "the parser that filled the batch, if one did, had no schema %zu",
                         schema_index);
  columns *made = calloc(1, sizeof *made);
  status = made != NULL ? fill_columns(made, schema) : sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for the columns");
  if (status == SB_OK) status = export_rows(batch, schema_index, made, strings, arrow_schema, arrow_array, error);
  free(made);
  sb_schema_close(schema);
  return status;
}

sb_status sb_batch_export_arrow_stream(const sb_batch *batch, size_t schema_index, int32_t strings, struct ArrowArrayStream *arrow_stream,
                                       sb_error *error) {
  if (arrow_stream == NULL) return nothing(error);
  struct ArrowSchema type;
  struct ArrowArray *array = malloc(sizeof *array);
  if (array == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for a stream");
  sb_status status = sb_batch_export_arrow(batch, schema_index, strings, &type, array, error);
  if (status == SB_OK) {
    status = sb_priv_arrow_stream(&type, array, 1, arrow_stream, error);
    if (status == SB_OK) return SB_OK;
    sb_priv_arrow_release_schema(&type);
    sb_priv_arrow_release_array(array);
  }
  free(array);
  return status;
}
