//go:build !samebytes_shared

/* The format of the known implementation, without magic or checksums: a file is taken for one only when every value is in range, no user
 * and no visit of a user is there twice, and the last value ends where the file does. Its numbers are the machine's own, as the
 * program that wrote them had them. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error_private.h"
#include "visit_private.h"

typedef struct cursor {
  visit_log *log;
  uint64_t offset, size;
  int problem;
  visit_bytes ids;   /* of the user that is read */
  const char *twice; /* what `user` has, or is, twice */
  uint32_t user;
} cursor;

/* Takes `size` bytes; false when the file ends before. */
static bool take_bytes(cursor *at, void *data, uint64_t size) {
  if (size > at->size - at->offset) return false;
  visit_reader *reader = &at->log->sequential;
  uint8_t *bytes = data;
  while (size > 0) {
    const uint64_t held = reader->offset + reader->bytes.size;
    if (at->offset < reader->offset || at->offset >= held) {
      reader->bytes.size = 0;
      reader->offset = at->offset;
      at->problem = sb_priv_visit_bytes_reserve(&reader->bytes, reader->chunk) == SB_OK ? 0 : ENOMEM;
      if (at->problem == 0)
        at->problem = sb_priv_file_read(at->log->file, reader->bytes.data, reader->chunk, at->offset, &reader->bytes.size);
      if (at->problem != 0 || reader->bytes.size == 0) return false;
      continue;
    }
    const size_t piece = size < held - at->offset ? (size_t)size : (size_t)(held - at->offset);
    memcpy(bytes, reader->bytes.data + (at->offset - reader->offset), piece);
    bytes += piece;
    at->offset += piece;
    size -= piece;
  }
  return true;
}

/* Takes a string with its NUL; `bytes` is enlarged. */
static sb_status take_text(cursor *at, visit_bytes *bytes, uint32_t *length) {
  size_t size;
  if (!take_bytes(at, &size, sizeof size) || size == 0 || size - 1 > SB_VISIT_TEXT_MAX || size > at->size - at->offset) return SB_CORRUPT;
  if (sb_priv_visit_bytes_reserve(bytes, size) != SB_OK) return SB_NO_MEMORY;
  uint8_t *text = bytes->data + bytes->size;
  if (!take_bytes(at, text, size) || memchr(text, 0, size) != text + size - 1) return SB_CORRUPT;
  *length = (uint32_t)(size - 1);
  bytes->size += size - 1;
  return SB_OK;
}

static sb_status take_visit(cursor *at, visit_user *user, visit_bytes *bytes) {
  visit_item item = {0};
  int64_t time[2]; /* struct timespec: seconds, nanoseconds */
  if (!take_bytes(at, &item.visit_id, 4)) return SB_CORRUPT;
  if (sb_priv_visit_bytes_reserve(&at->ids, 4) != SB_OK) return SB_NO_MEMORY;
  memcpy(at->ids.data + at->ids.size, &item.visit_id, 4);
  at->ids.size += 4;
  bytes->size = 0;
  sb_status status = take_text(at, bytes, &item.url_size);
  if (status == SB_OK) status = take_text(at, bytes, &item.text_size);
  if (status != SB_OK) return status;
  if (!take_bytes(at, time, sizeof time) || time[1] < 0 || time[1] > 999999999) return SB_CORRUPT;
  if (__builtin_mul_overflow(time[0], INT64_C(1000000000), &item.time_ns) || __builtin_add_overflow(item.time_ns, time[1], &item.time_ns) ||
      item.time_ns <= SB_VISIT_NOW)
    return SB_CORRUPT;
  item.bytes = bytes->data;
  uint8_t head[VISIT_ITEM_HEAD]; /* as a record has it */
  visit_store64(head, (uint64_t)item.time_ns);
  visit_store32(head + 8, item.visit_id);
  visit_store32(head + 12, item.url_size);
  visit_store32(head + 16, item.text_size);
  status = sb_priv_visit_user_reserve(&at->log->table, user, 1, head);
  if (status == SB_OK) sb_priv_visit_user_insert(&at->log->table, user, &item, 0);
  return status;
}

static int compare_ids(const void *left, const void *right) {
  const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
  return (a > b) - (a < b);
}

/* Of all that the file has: the table may keep fewer. */
static bool ids_differ(visit_bytes *bytes) {
  uint32_t *ids = (uint32_t *)(void *)bytes->data;
  const size_t count = bytes->size / 4;
  if (count > 1) qsort(ids, count, sizeof *ids, compare_ids);
  for (size_t i = 1; i < count; i++)
    if (ids[i] == ids[i - 1]) return false;
  return true;
}

static sb_status take_user(cursor *at, size_t file_max, visit_bytes *bytes) {
  uint32_t id;
  size_t count;
  if (!take_bytes(at, &id, sizeof id) || !take_bytes(at, &count, sizeof count) || count > file_max) return SB_CORRUPT;
  at->user = id;
  at->ids.size = 0;
  if (sb_priv_visit_table_find(&at->log->table, id) != NULL) {
    at->twice = "is in it";
    return SB_CORRUPT;
  }
  visit_user *user = sb_priv_visit_table_make(&at->log->table, id);
  sb_status status = user == NULL ? SB_NO_MEMORY : SB_OK;
  for (size_t i = 0; i < count && status == SB_OK; i++) status = take_visit(at, user, bytes);
  if (status != SB_OK || ids_differ(&at->ids)) return status;
  at->twice = "has a visit_id";
  return SB_CORRUPT;
}

/* Salvage reads this format as strictly, because nothing in it says where a visit begins; but it may be a file of the other one. */
static sb_status refuse(const cursor *at, sb_error *error) {
  char twice[60] = "";
  if (at->twice != NULL) (void)snprintf(twice, sizeof twice, ": user %u %s twice", at->user, at->twice);
  (void)sb_priv_error(error, SB_CORRUPT, NULL,
                      "wrong at offset %llu: no file of the new format, and no whole one of the old%s; left as it is: restore a copy "
                      "(salvage helps only if it was of the new format)",
                      (unsigned long long)at->offset, twice);
  if (error != NULL) error->stream_offset = (int64_t)at->offset;
  return SB_CORRUPT;
}

sb_status sb_priv_visit_old_read(visit_log *log, uint64_t size, sb_error *error) {
  cursor at = {.log = log, .size = size};
  size_t file_max = 0, user_count = 0;
  visit_bytes bytes = {0};
  sb_status status = SB_OK;
  if (!take_bytes(&at, &file_max, sizeof file_max) || !take_bytes(&at, &user_count, sizeof user_count) || file_max == 0)
    status = SB_CORRUPT;
  if (log->table.max_visits == 0) log->table.max_visits = file_max < UINT32_MAX ? (uint32_t)file_max : UINT32_MAX;
  for (size_t i = 0; i < user_count && status == SB_OK; i++) status = take_user(&at, file_max, &bytes);
  if (status == SB_OK && at.offset != size) status = SB_CORRUPT;
  sb_priv_visit_bytes_free(&bytes);
  sb_priv_visit_bytes_free(&at.ids);
  if (at.problem == ENOMEM) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory to read a file of the old format");
  if (at.problem != 0) return sb_priv_visit_io(error, at.problem, "reading the file");
  if (status == SB_CORRUPT) return refuse(&at, error);
  if (status == SB_NO_MEMORY) return sb_priv_error(error, status, NULL, "no memory to read a file of the old format");
  if (status != SB_OK) return sb_priv_error(error, status, NULL, "a user of the old file has more than 4 GiB of visits");
  log->end = size;
  return SB_OK;
}
