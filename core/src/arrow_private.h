#ifndef SB_ARROW_PRIVATE_H
#define SB_ARROW_PRIVATE_H

/* The inside of the Arrow export: rows of any origin as a table of cells (arrow_batch.c, arrow_visits.c), and tables as arrays (arrow.c). */

#include <samebytes/arrow.h>

/* A column. A cell is an sb_value of its type: what both decoded fields and visits can be shown as. */
typedef struct arrow_column {
  const char *name;
  uint8_t type;       /* SB_TYPE_... */
  const char *format; /* where it is not what the type says: "I", "tsn:UTC"; NULL: by type */
} arrow_column;

/* Rows to export. */
typedef struct arrow_table {
  const arrow_column *columns;
  size_t column_count;
  size_t row_count;
  int32_t strings; /* SB_STRINGS_... */
  const void *rows;
  sb_value (*cell)(const struct arrow_table *table, size_t row, size_t column);
  /* Says in `error` which row it is, and in `text` as words. */
  void (*locate)(const struct arrow_table *table, size_t row, char *text, size_t size, sb_error *error);
} arrow_table;

/* How much one array holds: smaller in tests. */
typedef struct arrow_tuning {
  size_t rows_max;
  int64_t bytes_max; /* of the strings, or items, of a column; at most INT32_MAX, because offsets are int32 */
} arrow_tuning;
extern arrow_tuning sb_priv_arrow_tuning;

/* Refuses what is none of SB_STRINGS_... */
sb_status sb_priv_arrow_check(int32_t strings, sb_error *error);
/* Fills `out`. The table's rows are not looked at. */
sb_status sb_priv_arrow_schema(const arrow_table *table, struct ArrowSchema *out, sb_error *error);
sb_status sb_priv_arrow_array(const arrow_table *table, struct ArrowArray *out, sb_error *error);
/* Releases what is not released yet. */
void sb_priv_arrow_release_schema(struct ArrowSchema *schema);
void sb_priv_arrow_release_array(struct ArrowArray *array);

/* Makes a stream of the `count` arrays at `arrays`, all of the type `schema`. It takes both over where it succeeds; `arrays` is of malloc, and
 * may be NULL where there are none. */
sb_status sb_priv_arrow_stream(struct ArrowSchema *schema, struct ArrowArray *arrays, size_t count, struct ArrowArrayStream *out,
                               sb_error *error);

#endif
