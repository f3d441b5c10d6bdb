//go:build samebytes_recent_visits && !samebytes_shared

/* The drop-in face. It shows each user through a snapshot that it keeps until the user is changed, because the programs written for it
 * take memory that belongs to the manager, and compare pointers.
 *
 * The names do not begin with sb_, so they are weak: a program's own functions of these names win, and nothing here calls another of them.
 * Go compiles this file only with the build tag samebytes_recent_visits, because a Go program exports what its C code does not hide: the
 * known implementation, loaded into the same process, would then call these functions instead of its own.
 *
 * Invariant: a user is in the table when their visits were shown and have not changed since. */

#define RECENT_VISITS_API __attribute__((weak, visibility("default")))
#include <recent_visits.h>

#include <assert.h>

#include <samebytes/visits.h>

#define NS_PER_S 1000000000
#define BUCKETS_MIN 64u

/* What was shown of one user: the array, behind it the visits it points to, and behind them their strings. */
typedef struct shown {
  struct shown *next;
  uint32_t user;
  size_t count;
  Visit *visits[];
} shown;
static_assert(sizeof(shown) % _Alignof(Visit) == 0 && sizeof(Visit *) % _Alignof(Visit) == 0, "a visit may follow any number of pointers");

struct VisitManager {
  sb_visit_manager *manager;
  shown **buckets;
  size_t bucket_count; /* a power of two */
  size_t shown_count;
};

static size_t bucket_of(uint32_t user, size_t bucket_count) { return (user * 2654435769u ^ user >> 16) & (bucket_count - 1); }

/* Where the user is linked in, or would be. */
static shown **place_of(const VisitManager *manager, uint32_t user) {
  shown **place = &manager->buckets[bucket_of(user, manager->bucket_count)];
  while (*place != NULL && (*place)->user != user) place = &(*place)->next;
  return place;
}

/* More buckets as users become more. Without memory for them the lists become longer, and nothing else happens. */
static void spread(VisitManager *manager) {
  const size_t count = manager->bucket_count * 2;
  if (manager->shown_count < manager->bucket_count) return;
  shown **buckets = calloc(count, sizeof(shown *));
  if (buckets == NULL) return;
  for (size_t i = 0; i < manager->bucket_count; i++) {
    for (shown *next, *moved = manager->buckets[i]; moved != NULL; moved = next) {
      shown **place = &buckets[bucket_of(moved->user, count)];
      next = moved->next;
      moved->next = *place;
      *place = moved;
    }
  }
  free((void *)manager->buckets);
  manager->buckets = buckets;
  manager->bucket_count = count;
}

static void forget(VisitManager *manager, uint32_t user) {
  shown **place = place_of(manager, user);
  shown *gone = *place;
  if (gone == NULL) return;
  *place = gone->next;
  manager->shown_count--;
  free(gone);
}

VisitManager *VisitManagerCreate(const char *path, size_t max_visits) {
  if (path == NULL || max_visits == 0) return NULL;
  VisitManager *made = calloc(1, sizeof *made);
  if (made == NULL) return NULL;
  made->bucket_count = BUCKETS_MIN;
  made->buckets = calloc(made->bucket_count, sizeof(shown *));
  sb_visit_manager_options options;
  sb_visit_manager_options_init(&options, sizeof options);
  options.max_visits = max_visits < UINT32_MAX ? (uint32_t)max_visits : UINT32_MAX;
  if (made->buckets != NULL && sb_visit_manager_open(path, &options, &made->manager, NULL) == SB_OK) return made;
  free((void *)made->buckets);
  free(made);
  return NULL;
}

void VisitManagerFree(VisitManager *manager) {
  if (manager == NULL) return;
  for (size_t i = 0; i < manager->bucket_count; i++)
    while (manager->buckets[i] != NULL) forget(manager, manager->buckets[i]->user);
  sb_visit_manager_close(manager->manager);
  free((void *)manager->buckets);
  free(manager);
}

bool VisitManagerAddVisit(VisitManager *manager, uint32_t user_id, uint32_t visit_id, const char *url, const char *text) {
  if (manager == NULL || url == NULL || text == NULL) return false;
  if (sb_visit_manager_add_visit(manager->manager, user_id, visit_id, url, strlen(url), text, strlen(text), NULL) != SB_OK) return false;
  const shown *known = *place_of(manager, user_id);
  for (size_t i = 0; known != NULL && i < known->count; i++)
    if (known->visits[i]->visit_id == visit_id) return true; /* nothing was changed, so what was shown stays */
  forget(manager, user_id);
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
  size_t size = sizeof(shown) + count * (sizeof(Visit *) + sizeof(Visit));
  for (size_t i = 0; i < count; i++) size += rows[i].url_size + rows[i].text_size + 2;
  shown *made = malloc(size);
  if (made == NULL) return NULL;
  made->user = rows[0].user;
  made->count = count;
  Visit *visits = (Visit *)(void *)&made->visits[count];
  char *room = (char *)&visits[count];
  for (size_t i = 0; i < count; i++) {
    visits[i].visit_id = rows[i].visit_id;
    visits[i].url = text_copy(&room, rows[i].url, rows[i].url_size);
    visits[i].text = text_copy(&room, rows[i].text, rows[i].text_size);
    visits[i].time = time_of(rows[i].time_ns);
    made->visits[i] = &visits[i];
  }
  return made;
}

/* Reads the visits of a user who is not in the table; NULL for none, or on failure. */
static shown *read_user(VisitManager *manager, uint32_t user) {
  sb_visits *visits = NULL;
  const sb_visit *rows = NULL;
  size_t count = 0;
  if (sb_visit_manager_get_recent_visits(manager->manager, user, &visits, NULL) != SB_OK) return NULL;
  shown *made = sb_visits_get_all(visits, &rows, &count) == SB_OK && count > 0 ? show(rows, count) : NULL;
  sb_visits_close(visits);
  if (made == NULL) return NULL;
  spread(manager);
  shown **place = &manager->buckets[bucket_of(user, manager->bucket_count)];
  made->next = *place;
  *place = made;
  manager->shown_count++;
  return made;
}

Visit **VisitManagerGetRecentVisits(VisitManager *manager, uint32_t user_id, size_t *count) {
  if (count != NULL) *count = 0;
  if (manager == NULL || count == NULL) return NULL;
  shown *known = *place_of(manager, user_id);
  if (known == NULL) known = read_user(manager, user_id);
  if (known == NULL) return NULL;
  *count = known->count;
  return known->visits;
}

bool VisitManagerDelete(VisitManager *manager, uint32_t user_id, uint32_t *visitIds, size_t visit_count) {
  bool found = false;
  if (manager == NULL || visitIds == NULL || visit_count == 0) return false;
  if (sb_visit_manager_delete_visits(manager->manager, user_id, visitIds, visit_count, &found, NULL) != SB_OK) return false;
  if (found) forget(manager, user_id);
  return found;
}

void VisitManagerClear(VisitManager *manager, uint32_t user_id) {
  if (manager != NULL && sb_visit_manager_clear_user(manager->manager, user_id, false, NULL) == SB_OK) forget(manager, user_id);
}
