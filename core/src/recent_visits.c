//go:build !samebytes_shared

/* The drop-in face. It shows each user through a snapshot that it keeps until the user is changed, because the programs written for it take
 * memory that belongs to the manager, and compare pointers.
 *
 * Names without a prefix are what those programs call; so in a core that is compiled into another program (Go) they are hidden. */

#if defined(SB_BUILD_HIDDEN)
#pragma GCC visibility push(hidden)
#endif
#include <recent_visits.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <samebytes/visits.h>

#define NS_PER_S 1000000000
#define BUCKETS 256u

/* What was shown of one user: the array, and behind it the strings it points to. */
typedef struct shown {
  struct shown *next;
  uint32_t user;
  size_t count;
  Visit visits[];
} shown;

struct VisitManager {
  sb_visit_manager *manager;
  shown *buckets[BUCKETS];
};

VisitManager *VisitManagerCreate(const char *path, size_t max_visits) {
  if (path == NULL || max_visits == 0) return NULL;
  VisitManager *made = calloc(1, sizeof *made);
  if (made == NULL) return NULL;
  sb_visit_manager_options options;
  sb_visit_manager_options_init(&options, sizeof options);
  options.max_visits = max_visits < UINT32_MAX ? (uint32_t)max_visits : UINT32_MAX;
  if (sb_visit_manager_open(path, &options, &made->manager, NULL) == SB_OK) return made;
  free(made);
  return NULL;
}

static shown **place_of(VisitManager *manager, uint32_t user) {
  shown **place = &manager->buckets[user * 2654435761u >> 24];
  while (*place != NULL && (*place)->user != user) place = &(*place)->next;
  return place;
}

static void forget(VisitManager *manager, uint32_t user) {
  shown **place = place_of(manager, user);
  shown *gone = *place;
  if (gone == NULL) return;
  *place = gone->next;
  free(gone);
}

void Free(VisitManager *manager) {
  if (manager == NULL) return;
  for (size_t i = 0; i < BUCKETS; i++)
    while (manager->buckets[i] != NULL) forget(manager, manager->buckets[i]->user);
  sb_visit_manager_close(manager->manager);
  free(manager);
}

bool AddVisit(VisitManager *manager, unsigned int user, unsigned int visit_id, const char *url, const char *text) {
  if (manager == NULL || url == NULL || text == NULL) return false;
  if (sb_visit_manager_add_visit(manager->manager, user, visit_id, url, strlen(url), text, strlen(text), NULL) != SB_OK) return false;
  const shown *known = *place_of(manager, user);
  for (size_t i = 0; known != NULL && i < known->count; i++)
    if (known->visits[i].visit_id == visit_id) return true; /* nothing was changed, so what was shown stays */
  forget(manager, user);
  return true;
}

static char *text_copy(char **room, const void *data, size_t size) {
  char *text = *room;
  if (size > 0) memcpy(text, data, size);
  text[size] = 0;
  *room += size + 1;
  return text;
}

/* Whole seconds round down, so that nanoseconds are never negative. */
static struct timespec time_of(int64_t time_ns) {
  int64_t seconds = time_ns / NS_PER_S, rest = time_ns % NS_PER_S;
  if (rest < 0) {
    seconds--;
    rest += NS_PER_S;
  }
  return (struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)rest};
}

static shown *show(const sb_visit *rows, size_t count) {
  size_t size = sizeof(shown) + count * sizeof(Visit);
  for (size_t i = 0; i < count; i++) size += rows[i].url_size + rows[i].text_size + 2;
  shown *made = malloc(size);
  if (made == NULL) return NULL;
  made->user = rows[0].user;
  made->count = count;
  char *room = (char *)&made->visits[count];
  for (size_t i = 0; i < count; i++) {
    made->visits[i].visit_id = rows[i].visit_id;
    made->visits[i].url = text_copy(&room, rows[i].url, rows[i].url_size);
    made->visits[i].text = text_copy(&room, rows[i].text, rows[i].text_size);
    made->visits[i].time = time_of(rows[i].time_ns);
  }
  return made;
}

Visit *GetRecentVisits(VisitManager *manager, unsigned int user, size_t *count) {
  if (count != NULL) *count = 0;
  if (manager == NULL || count == NULL) return NULL;
  shown **place = place_of(manager, user);
  if (*place == NULL) {
    sb_visits *visits = NULL;
    const sb_visit *rows = NULL;
    size_t row_count = 0;
    if (sb_visit_manager_get_recent_visits(manager->manager, user, &visits, NULL) != SB_OK) return NULL;
    (void)!sb_visits_get_all(visits, &rows, &row_count);
    shown *made = row_count > 0 ? show(rows, row_count) : NULL;
    sb_visits_close(visits);
    if (made == NULL) return NULL;
    made->next = NULL;
    *place = made;
  }
  *count = (*place)->count;
  return (*place)->visits;
}

bool Delete(VisitManager *manager, unsigned int user, const unsigned int *visit_ids, size_t count) {
  bool found = false;
  if (manager == NULL || visit_ids == NULL || count == 0) return false;
  if (sb_visit_manager_delete_visits(manager->manager, user, visit_ids, count, &found, NULL) != SB_OK) return false;
  if (found) forget(manager, user);
  return found;
}

bool Clear(VisitManager *manager, unsigned int user) {
  if (manager == NULL || sb_visit_manager_clear_user(manager->manager, user, false, NULL) != SB_OK) return false;
  forget(manager, user);
  return true;
}
