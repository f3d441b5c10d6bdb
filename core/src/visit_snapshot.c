//go:build !samebytes_shared

/* What reading hands out: copies in memory of their own. Rows lie in one array; bytes lie in chunks that never move, so that rows may
 * point into them. The first chunk is exact, because a snapshot of one user is the usual one. */

#include <stdlib.h>
#include <string.h>

#include "visit_private.h"

typedef struct chunk {
  struct chunk *next;
  size_t size, capacity;
  uint8_t data[];
} chunk;

#define CHUNK_MIN (64u << 10)
#define CHUNK_MAX (1u << 20)

struct sb_visits {
  sb_visit *rows;
  size_t count, capacity;
  chunk *chunks; /* the one being filled first */
};

sb_status sb_priv_visits_open(sb_visits **visits) {
  sb_visits *made = calloc(1, sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  *visits = made;
  return SB_OK;
}

static sb_status chunk_add(sb_visits *visits, size_t bytes) {
  if (bytes > SIZE_MAX - sizeof(chunk)) return SB_NO_MEMORY;
  chunk *made = malloc(sizeof *made + bytes);
  if (made == NULL) return SB_NO_MEMORY;
  made->next = visits->chunks;
  made->size = 0;
  made->capacity = bytes;
  visits->chunks = made;
  return SB_OK;
}

sb_status sb_visits_reserve(sb_visits *visits, size_t count, size_t bytes) {
  if (visits == NULL) return SB_INVALID_ARGUMENT;
  if (count > SIZE_MAX / sizeof(sb_visit) - visits->count) return SB_NO_MEMORY;
  if (visits->capacity - visits->count < count) {
    size_t capacity = visits->capacity + visits->capacity / 2;
    if (capacity < visits->count + count) capacity = visits->count + count;
    sb_visit *rows = realloc(visits->rows, capacity * sizeof *rows);
    if (rows == NULL) return SB_NO_MEMORY;
    visits->rows = rows;
    visits->capacity = capacity;
  }
  const chunk *last = visits->chunks;
  if (last != NULL && last->capacity - last->size >= bytes) return SB_OK;
  if (bytes == 0) return SB_OK;
  /* The first is exact; a snapshot of many users grows by doubling. */
  size_t capacity = last == NULL ? bytes : last->capacity * 2;
  if (last != NULL && capacity < CHUNK_MIN) capacity = CHUNK_MIN;
  if (capacity > CHUNK_MAX) capacity = CHUNK_MAX;
  return chunk_add(visits, capacity < bytes ? bytes : capacity);
}

sb_status sb_priv_visits_take(sb_visits *visits, size_t count, size_t bytes, sb_visit **rows, uint8_t **data) {
  const sb_status status = sb_visits_reserve(visits, count, bytes);
  if (status != SB_OK) return status;
  *rows = visits->rows + visits->count;
  *data = visits->chunks->data + visits->chunks->size;
  visits->count += count;
  visits->chunks->size += bytes;
  return SB_OK;
}

sb_status sb_visits_put(sb_visits *visits, const sb_visit *visit) {
  if (visits == NULL || visit == NULL) return SB_INVALID_ARGUMENT;
  const sb_visit from = *visit; /* read once: it is a store's, and may change */
  if ((from.url == NULL && from.url_size > 0) || (from.text == NULL && from.text_size > 0)) return SB_INVALID_ARGUMENT;
  if (from.url_size > SB_VISIT_TEXT_MAX || from.text_size > SB_VISIT_TEXT_MAX) return SB_TOO_LARGE;
  const size_t bytes = from.url_size + from.text_size;
  chunk *last = visits->chunks;
  if (visits->count == visits->capacity || (bytes > 0 && (last == NULL || last->capacity - last->size < bytes))) {
    const sb_status status = sb_visits_reserve(visits, 1, bytes);
    if (status != SB_OK) return status;
    last = visits->chunks;
  }
  sb_visit *row = &visits->rows[visits->count++];
  *row = from;
  row->url = row->text = "";
  if (bytes == 0) return SB_OK;
  uint8_t *data = last->data + last->size;
  if (from.url_size > 0) memcpy(data, from.url, from.url_size);
  if (from.text_size > 0) memcpy(data + from.url_size, from.text, from.text_size);
  row->url = data;
  row->text = data + from.url_size;
  last->size += bytes;
  return SB_OK;
}

sb_status sb_visits_get_all(const sb_visits *visits, const sb_visit **rows, size_t *row_count) {
  if (visits == NULL || rows == NULL || row_count == NULL) return SB_INVALID_ARGUMENT;
  *rows = visits->rows;
  *row_count = visits->count;
  return SB_OK;
}

size_t sb_visits_count(const sb_visits *visits) { return visits == NULL ? 0 : visits->count; }

void sb_visits_close(sb_visits *visits) {
  if (visits == NULL) return;
  while (visits->chunks != NULL) {
    chunk *next = visits->chunks->next;
    free(visits->chunks);
    visits->chunks = next;
  }
  free(visits->rows);
  free(visits);
}

/* ---- users ---- */

struct sb_visit_users {
  sb_visit_user *rows;
  size_t count, capacity;
};

sb_status sb_priv_visit_users_open(sb_visit_users **users) {
  sb_visit_users *made = calloc(1, sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  *users = made;
  return SB_OK;
}

sb_status sb_visit_users_put(sb_visit_users *users, uint32_t user, uint32_t visit_count) {
  if (users == NULL) return SB_INVALID_ARGUMENT;
  if (users->count == users->capacity) {
    const size_t capacity = users->capacity == 0 ? 64 : users->capacity * 2;
    sb_visit_user *rows = realloc(users->rows, capacity * sizeof *rows);
    if (rows == NULL) return SB_NO_MEMORY;
    users->rows = rows;
    users->capacity = capacity;
  }
  users->rows[users->count++] = (sb_visit_user){.user = user, .visit_count = visit_count};
  return SB_OK;
}

sb_status sb_visit_users_get_all(const sb_visit_users *users, const sb_visit_user **rows, size_t *row_count) {
  if (users == NULL || rows == NULL || row_count == NULL) return SB_INVALID_ARGUMENT;
  *rows = users->rows;
  *row_count = users->count;
  return SB_OK;
}

void sb_visit_users_close(sb_visit_users *users) {
  if (users == NULL) return;
  free(users->rows);
  free(users);
}
