//go:build !samebytes_shared

/* Visits that come as columns. They are checked and added as rows, which take 48 bytes each while the call lasts: a way of their own
 * through the stores would be one more to hold to the same meaning. */

#include <inttypes.h>
#include <stdlib.h>

#include "error_private.h"
#include "steps.h"
#include "visit_private.h"

/* A column of strings while its strings are taken one after the other. */
typedef struct strings {
  sb_column column;         /* a copy: the caller's is read once */
  const char *names, *name; /* of the column, of one of its strings */
  int64_t next;             /* where the next one begins, without offsets */
} strings;

static sb_status refuse(sb_error *error, const char *name, const char *things, size_t given, size_t wanted) {
  return sb_priv_error(error, SB_INVALID_ARGUMENT, name, "%zu %s for %zu visits; as many as users are needed", given, things, wanted);
}

static sb_status check_strings(const strings *all, size_t count, sb_error *error) {
  const sb_column *column = &all->column;
  if (column->values == NULL && column->size > 0)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, all->names, "values is NULL though size is %zu", column->size);
  if (column->length_count != count || (column->lengths == NULL && count > 0))
    return refuse(error, all->names, "lengths", column->lengths == NULL ? 0 : column->length_count, count);
  if (column->offset_count > 0 && (column->offset_count != count || column->offsets == NULL))
    return refuse(error, all->names, "offsets", column->offsets == NULL ? 0 : column->offset_count, count);
  return SB_OK;
}

static sb_status take_column(strings *all, const sb_column *column, size_t count, sb_error *error) {
  if (column == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, all->names, "%s is NULL, and is needed", all->names);
  all->column = *column;
  return check_strings(all, count, error);
}

static sb_status take_string(strings *all, size_t index, const void **data, size_t *size, sb_error *error) {
  const sb_column *column = &all->column;
  const int64_t length = SB_PRIV_READ_ONCE(column->lengths[index]);
  const int64_t offset = column->offset_count > 0 ? SB_PRIV_READ_ONCE(column->offsets[index]) : all->next;
  if (length < 0 || offset < 0 || (uint64_t)offset > column->size || (uint64_t)length > column->size - (uint64_t)offset) {
    (void)sb_priv_error(error, SB_OUT_OF_RANGE, all->name, "offset %" PRId64 " and length %" PRId64 " are not within the %zu bytes of %s",
                        offset, length, column->size, all->names);
    if (error != NULL) error->frame = (int64_t)index;
    return SB_OUT_OF_RANGE;
  }
  all->next = offset + length;
  *data = length > 0 ? (const uint8_t *)column->values + offset : NULL;
  *size = (size_t)length;
  return SB_OK;
}

sb_status sb_visit_manager_add_visit_columns(sb_visit_manager *manager, const uint32_t *users, size_t user_count, const uint32_t *visit_ids,
                                             size_t visit_id_count, const sb_column *urls, const sb_column *texts, const int64_t *times_ns,
                                             size_t time_count, sb_error *error) {
  strings url = {.names = "urls", .name = "url"}, text = {.names = "texts", .name = "text"};
  if (users == NULL && user_count > 0) return sb_priv_error(error, SB_INVALID_ARGUMENT, "users", "users is NULL, and is needed");
  if (visit_id_count != user_count || (visit_ids == NULL && user_count > 0))
    return refuse(error, "visit_ids", "visit_ids", visit_ids == NULL ? 0 : visit_id_count, user_count);
  if (time_count > 0 && (time_count != user_count || times_ns == NULL))
    return refuse(error, "times_ns", "times", times_ns == NULL ? 0 : time_count, user_count);
  sb_status status = take_column(&url, urls, user_count, error);
  if (status == SB_OK) status = take_column(&text, texts, user_count, error);
  if (status != SB_OK) return status;
  sb_visit *rows = user_count < SIZE_MAX / sizeof *rows ? malloc((user_count + 1) * sizeof *rows) : NULL;
  if (rows == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for %zu visits", user_count);
  for (size_t i = 0; i < user_count && status == SB_OK; i++) {
    sb_visit *row = &rows[i];
    *row = (sb_visit){.user = users[i], .visit_id = visit_ids[i], .time_ns = time_count > 0 ? times_ns[i] : SB_VISIT_NOW};
    status = take_string(&url, i, &row->url, &row->url_size, error);
    if (status == SB_OK) status = take_string(&text, i, &row->text, &row->text_size, error);
  }
  if (status == SB_OK) status = sb_priv_visit_manager_add(manager, rows, user_count, error);
  free(rows);
  return status;
}
