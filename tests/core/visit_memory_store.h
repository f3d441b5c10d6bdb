#ifndef VISIT_MEMORY_STORE_H
#define VISIT_MEMORY_STORE_H

/* A second store, as plain as can be: one array of rows, searched from the front. It proves that the vtable carries a store which is no
 * file, and it is the model that the file store is held against. */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <samebytes/visits.h>

typedef struct memory_row {
  sb_visit visit;
  uint64_t arrival;
} memory_row;

typedef struct memory_store {
  pthread_mutex_t mutex;
  memory_row *rows;
  size_t count, capacity;
  uint64_t arrivals;
  uint32_t max_visits;
  int64_t now; /* the time of the next plain add; 0: 1000, 1001... */
} memory_store;

static inline bool memory_older(const memory_row *a, const memory_row *b) {
  return a->visit.time_ns != b->visit.time_ns ? a->visit.time_ns < b->visit.time_ns : a->arrival < b->arrival;
}

static inline void memory_remove(memory_store *store, size_t index) {
  free((void *)(uintptr_t)store->rows[index].visit.url);
  memmove(&store->rows[index], &store->rows[index + 1], (store->count - index - 1) * sizeof *store->rows);
  store->count--;
}

static inline sb_status memory_add_one(memory_store *store, const sb_visit *visit) {
  memory_row row = {.visit = *visit, .arrival = store->arrivals++};
  size_t mine = 0, oldest = SIZE_MAX;
  int64_t newest = INT64_MIN;
  for (size_t i = 0; i < store->count; i++) {
    const memory_row *other = &store->rows[i];
    if (other->visit.user != visit->user) continue;
    if (other->visit.visit_id == visit->visit_id) return SB_OK;
    mine++;
    if (oldest == SIZE_MAX || memory_older(other, &store->rows[oldest])) oldest = i;
    if (other->visit.time_ns > newest) newest = other->visit.time_ns;
  }
  if (row.visit.time_ns == SB_VISIT_NOW) row.visit.time_ns = store->now > newest ? store->now : newest;
  if (mine >= store->max_visits) {
    if (memory_older(&row, &store->rows[oldest])) return SB_OK;
    memory_remove(store, oldest);
  }
  if (store->count == store->capacity) {
    store->capacity = store->capacity == 0 ? 64 : store->capacity * 2;
    store->rows = realloc(store->rows, store->capacity * sizeof *store->rows);
    if (store->rows == NULL) abort();
  }
  uint8_t *bytes = malloc(visit->url_size + visit->text_size + 1);
  if (bytes == NULL) abort();
  if (visit->url_size > 0) memcpy(bytes, visit->url, visit->url_size);
  if (visit->text_size > 0) memcpy(bytes + visit->url_size, visit->text, visit->text_size);
  row.visit.url = bytes;
  row.visit.text = bytes + visit->url_size;
  store->rows[store->count++] = row;
  return SB_OK;
}

static inline sb_status memory_add(void *context, const sb_visit *visits, size_t count, int64_t deadline_ns, sb_error *error) {
  memory_store *store = context;
  (void)deadline_ns, (void)error;
  pthread_mutex_lock(&store->mutex);
  for (size_t i = 0; i < count; i++) (void)memory_add_one(store, &visits[i]);
  pthread_mutex_unlock(&store->mutex);
  return SB_OK;
}

/* Selection by repeated search: slow, and plainly right. */
static inline sb_status memory_show(memory_store *store, uint32_t user, sb_visits *visits) {
  const memory_row *last = NULL;
  for (;;) {
    const memory_row *next = NULL;
    for (size_t i = 0; i < store->count; i++) {
      const memory_row *row = &store->rows[i];
      if (row->visit.user != user || (last != NULL && !memory_older(row, last))) continue;
      if (next == NULL || memory_older(next, row)) next = row;
    }
    if (next == NULL) return SB_OK;
    const sb_status status = sb_visits_put(visits, &next->visit);
    if (status != SB_OK) return status;
    last = next;
  }
}

static inline sb_status memory_recent(void *context, const uint32_t *users, size_t user_count, sb_visits *visits, int64_t deadline_ns,
                                      sb_error *error) {
  memory_store *store = context;
  (void)deadline_ns, (void)error;
  pthread_mutex_lock(&store->mutex);
  sb_status status = SB_OK;
  for (size_t i = 0; i < user_count && status == SB_OK; i++) status = memory_show(store, users[i], visits);
  pthread_mutex_unlock(&store->mutex);
  return status;
}

static inline sb_status memory_delete(void *context, uint32_t user, const uint32_t *visit_ids, size_t count, bool *found,
                                      int64_t deadline_ns, sb_error *error) {
  memory_store *store = context;
  (void)deadline_ns, (void)error;
  pthread_mutex_lock(&store->mutex);
  *found = false;
  for (size_t i = store->count; i > 0; i--)
    for (size_t j = 0; j < count; j++)
      if (store->rows[i - 1].visit.user == user && store->rows[i - 1].visit.visit_id == visit_ids[j]) {
        memory_remove(store, i - 1);
        *found = true;
        break;
      }
  pthread_mutex_unlock(&store->mutex);
  return SB_OK;
}

static inline sb_status memory_clear(void *context, uint32_t user, bool erase, int64_t deadline_ns, sb_error *error) {
  memory_store *store = context;
  (void)erase, (void)deadline_ns, (void)error;
  pthread_mutex_lock(&store->mutex);
  for (size_t i = store->count; i > 0; i--)
    if (store->rows[i - 1].visit.user == user) memory_remove(store, i - 1);
  pthread_mutex_unlock(&store->mutex);
  return SB_OK;
}

/* The smallest user from `from` on; false when there is none. */
static inline bool memory_next_user(const memory_store *store, uint64_t from, uint32_t *user, uint32_t *count) {
  bool any = false;
  for (size_t i = 0; i < store->count; i++) {
    const uint32_t found = store->rows[i].visit.user;
    if (found >= from && (!any || found < *user)) *user = found, any = true;
  }
  *count = 0;
  for (size_t i = 0; any && i < store->count; i++) *count += store->rows[i].visit.user == *user;
  return any;
}

static inline sb_status memory_users(void *context, sb_visit_users *users, int64_t deadline_ns, sb_error *error) {
  memory_store *store = context;
  (void)deadline_ns, (void)error;
  uint32_t user = 0, count = 0;
  sb_status status = SB_OK;
  pthread_mutex_lock(&store->mutex);
  for (uint64_t from = 0; status == SB_OK && memory_next_user(store, from, &user, &count); from = (uint64_t)user + 1)
    status = sb_visit_users_put(users, user, count);
  pthread_mutex_unlock(&store->mutex);
  return status;
}

static inline sb_status memory_scan(void *context, uint64_t *next, size_t visits_min, sb_visits *visits, int64_t deadline_ns,
                                    sb_error *error) {
  memory_store *store = context;
  (void)deadline_ns, (void)error;
  uint32_t user = 0, count = 0;
  sb_status status = SB_OK;
  pthread_mutex_lock(&store->mutex);
  while (status == SB_OK && sb_visits_count(visits) < visits_min) {
    if (!memory_next_user(store, *next, &user, &count)) {
      *next = UINT64_C(1) << 32;
      break;
    }
    status = memory_show(store, user, visits);
    *next = (uint64_t)user + 1;
  }
  pthread_mutex_unlock(&store->mutex);
  return status;
}

static inline void memory_close(void *context) {
  memory_store *store = context;
  while (store->count > 0) memory_remove(store, store->count - 1);
  free(store->rows);
  pthread_mutex_destroy(&store->mutex);
  free(store);
}

/* It has no sync, copy, compaction, refresh, check, statistics or finish: a store may do without. */
static inline memory_store *memory_store_open(uint32_t max_visits, sb_visit_store *vtable) {
  memory_store *store = calloc(1, sizeof *store);
  if (store == NULL) abort();
  pthread_mutex_init(&store->mutex, NULL);
  store->max_visits = max_visits;
  store->now = 1000;
  *vtable = (sb_visit_store){.struct_size = sizeof *vtable,
                             .context = store,
                             .add = memory_add,
                             .recent = memory_recent,
                             .delete_visits = memory_delete,
                             .clear = memory_clear,
                             .users = memory_users,
                             .scan = memory_scan,
                             .close = memory_close};
  return store;
}

#endif
