//go:build !samebytes_shared

/* Visits as a stream of arrays. All arrays are made when the stream is, because it may outlive the manager; so errors are told at once, by
 * the one who asked, and reading the stream cannot fail. */

#include "arrow_private.h"
#include "error_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const arrow_column visit_columns[] = {{"user_id", SB_TYPE_INT32, "I"},
                                             {"visit_id", SB_TYPE_INT32, "I"},
                                             {"url", SB_TYPE_STRING, NULL},
                                             {"text", SB_TYPE_STRING, NULL},
                                             {"time", SB_TYPE_INT64, "tsn:UTC"}};
enum {
  VISIT_COLUMNS = sizeof visit_columns / sizeof visit_columns[0],
  /* A piece of a scan ends with a user, so it is larger than what is asked for: asking for less keeps it to one array where users have a
   * few thousand visits at most. */
  PIECE_ROWS = SB_ARROW_ROWS_MAX - SB_ARROW_ROWS_MAX / 16,
};

/* A stream under construction. */
typedef struct arrays {
  struct ArrowArray *items;
  size_t count, capacity;
} arrays;

static sb_value visit_cell(const arrow_table *table, size_t row, size_t column) {
  const sb_visit *visit = (const sb_visit *)table->rows + row;
  switch (column) {
  case 0: return (sb_value){.number = visit->user};
  case 1: return (sb_value){.number = visit->visit_id};
  case 2: return (sb_value){.data = visit->url, .size = visit->url_size};
  case 3: return (sb_value){.data = visit->text, .size = visit->text_size};
  default: return (sb_value){.number = visit->time_ns};
  }
}

static void locate_visit(const arrow_table *table, size_t row, char *text, size_t size, sb_error *error) {
  const sb_visit *visit = (const sb_visit *)table->rows + row;
  (void)error;
  (void)snprintf(text, size, "visit %" PRIu32 " of user %" PRIu32, visit->visit_id, visit->user);
}

static arrow_table table_of(const sb_visit *rows, size_t count, int32_t strings) {
  return (arrow_table){.columns = visit_columns,
                       .column_count = VISIT_COLUMNS,
                       .row_count = count,
                       .strings = strings,
                       .rows = rows,
                       .cell = visit_cell,
                       .locate = locate_visit};
}

static sb_status no_memory(sb_error *error) { return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for the Arrow data"); }

/* How many of the rows fit into one array: at least one does, because a visit is far smaller than an array may be. */
static size_t fitting(const sb_visit *rows, size_t count) {
  size_t fit = 0;
  int64_t url_bytes = 0, text_bytes = 0;
  for (; fit < count && fit < sb_priv_arrow_tuning.rows_max; fit++) {
    url_bytes += (int64_t)rows[fit].url_size;
    text_bytes += (int64_t)rows[fit].text_size;
    if (url_bytes > sb_priv_arrow_tuning.bytes_max || text_bytes > sb_priv_arrow_tuning.bytes_max) break;
  }
  return fit > 0 ? fit : 1;
}

/* Adds the visits as arrays of their own. */
static sb_status add_rows(arrays *made, const sb_visit *rows, size_t count, int32_t strings, sb_error *error) {
  while (count > 0) {
    if (made->count == made->capacity) {
      const size_t capacity = made->capacity > 0 ? made->capacity * 2 : 4;
      struct ArrowArray *items = realloc(made->items, capacity * sizeof *items);
      if (items == NULL) return no_memory(error);
      made->items = items;
      made->capacity = capacity;
    }
    const size_t fit = fitting(rows, count);
    const arrow_table table = table_of(rows, fit, strings);
    const sb_status status = sb_priv_arrow_array(&table, &made->items[made->count], error);
    if (status != SB_OK) return status;
    made->count++;
    rows += fit;
    count -= fit;
  }
  return SB_OK;
}

static sb_status add_visits(arrays *made, const sb_visits *visits, int32_t strings, sb_error *error) {
  const sb_visit *rows = NULL;
  size_t count = 0;
  const sb_status status = sb_visits_get_all(visits, &rows, &count);
  return status == SB_OK ? add_rows(made, rows, count, strings, error) : status;
}

/* Ends the construction: with a stream, or, where `status` says so, with nothing. */
static sb_status finish(arrays *made, sb_status status, int32_t strings, struct ArrowArrayStream *out, sb_error *error) {
  struct ArrowSchema type;
  const arrow_table table = table_of(NULL, 0, strings);
  if (status == SB_OK) {
    status = sb_priv_arrow_schema(&table, &type, error);
    if (status == SB_OK) {
      status = sb_priv_arrow_stream(&type, made->items, made->count, out, error);
      if (status == SB_OK) return SB_OK;
      sb_priv_arrow_release_schema(&type);
    }
  }
  for (size_t i = 0; i < made->count; i++) sb_priv_arrow_release_array(&made->items[i]);
  free(made->items);
  return status;
}

static sb_status check(const void *object, int32_t strings, const struct ArrowArrayStream *out, sb_error *error) {
  if (object == NULL || out == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "an argument is NULL");
  return sb_priv_arrow_check(strings, error);
}

sb_status sb_visits_export_arrow_stream(const sb_visits *visits, int32_t strings, struct ArrowArrayStream *arrow_stream, sb_error *error) {
  const sb_status status = check(visits, strings, arrow_stream, error);
  if (status != SB_OK) return status;
  arrays made = {0};
  return finish(&made, add_visits(&made, visits, strings, error), strings, arrow_stream, error);
}

/* Adds the next piece of a walk, and tells whether there was one. */
static sb_status add_piece(arrays *made, sb_visit_scan *scan, int32_t strings, bool *more, sb_error *error) {
  sb_visits *visits = NULL;
  const size_t piece = sb_priv_arrow_tuning.rows_max < PIECE_ROWS ? sb_priv_arrow_tuning.rows_max : PIECE_ROWS;
  sb_status status = sb_visit_scan_next(scan, piece, &visits, error);
  if (status != SB_OK) return status;
  *more = sb_visits_count(visits) > 0;
  status = add_visits(made, visits, strings, error);
  sb_visits_close(visits);
  return status;
}

sb_status sb_visit_manager_export_arrow_stream(sb_visit_manager *manager, int32_t strings, struct ArrowArrayStream *arrow_stream,
                                               sb_error *error) {
  sb_status status = check(manager, strings, arrow_stream, error);
  if (status != SB_OK) return status;
  sb_visit_scan *scan = NULL;
  status = sb_visit_manager_scan(manager, &scan, error);
  if (status != SB_OK) return status;
  arrays made = {0};
  bool more = true;
  while (more && status == SB_OK) status = add_piece(&made, scan, strings, &more, error);
  sb_visit_scan_close(scan);
  return finish(&made, status, strings, arrow_stream, error);
}
