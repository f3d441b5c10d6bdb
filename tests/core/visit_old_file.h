#ifndef VISIT_OLD_FILE_H
#define VISIT_OLD_FILE_H

/* Writes files of the old format as docs/file-format.md describes it, so that tests have any that they want. */

#include <stdlib.h>
#include <string.h>

#include <samebytes/visits.h>

typedef struct old_bytes {
  uint8_t *data;
  size_t size;
} old_bytes;

static inline void old_put(old_bytes *file, const void *data, size_t size) {
  file->data = realloc(file->data, file->size + size + 1);
  if (file->data == NULL) abort();
  if (size > 0) memcpy(file->data + file->size, data, size);
  file->size += size;
}

static inline void old_put_size(old_bytes *file, size_t value) { old_put(file, &value, sizeof value); }

static inline void old_put_text(old_bytes *file, const void *data, size_t size) {
  old_put_size(file, size + 1);
  old_put(file, data, size);
  old_put(file, "", 1);
}

/* What `manager` holds, as a file for `max_visits`; its times are not before 1970. The caller frees `data`. */
static inline old_bytes old_file_of(sb_visit_manager *manager, size_t max_visits) {
  old_bytes file = {0};
  sb_visit_users *users = NULL;
  const sb_visit_user *user_rows;
  size_t user_count;
  if (sb_visit_manager_users(manager, &users, NULL) != SB_OK) abort();
  if (sb_visit_users_get_all(users, &user_rows, &user_count) != SB_OK) abort();
  old_put_size(&file, max_visits);
  old_put_size(&file, user_count);
  for (size_t i = 0; i < user_count; i++) {
    sb_visits *visits = NULL;
    const sb_visit *rows;
    size_t count;
    if (sb_visit_manager_get_recent_visits(manager, user_rows[i].user, &visits, NULL) != SB_OK) abort();
    if (sb_visits_get_all(visits, &rows, &count) != SB_OK) abort();
    old_put(&file, &user_rows[i].user, 4);
    old_put_size(&file, count);
    for (size_t j = count; j > 0; j--) {
      const sb_visit *visit = &rows[j - 1];
      const int64_t time[2] = {visit->time_ns / 1000000000, visit->time_ns % 1000000000};
      old_put(&file, &visit->visit_id, 4);
      old_put_text(&file, visit->url, visit->url_size);
      old_put_text(&file, visit->text, visit->text_size);
      old_put(&file, time, sizeof time);
    }
    sb_visits_close(visits);
  }
  sb_visit_users_close(users);
  return file;
}

#endif
