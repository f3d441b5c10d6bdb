#ifndef RECENT_VISITS_H
#define RECENT_VISITS_H

/* The drop-in face of VisitManager for programs written against the known implementation; <samebytes/visits.h> is the real one, and new
 * programs use that. The library exports exactly these functions under these names.
 *
 * What GetRecentVisits returns belongs to the manager and is valid until that user is changed or the manager freed; asked again meanwhile, it
 * is the same pointer. So threads that share a manager must lock. Missing arguments, no ids, and max_visits 0 give false or NULL.
 *
 * The file is written with durability `none`: it survives a killed process; Free makes it durable. */

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(SB_BUILD_SHARED)
#define RECENT_VISITS_API __attribute__((visibility("default")))
#else
#define RECENT_VISITS_API
#endif

typedef struct Visit {
  unsigned int visit_id;
  char *url;
  char *text;
  struct timespec time;
} Visit;

typedef struct VisitManager VisitManager;

/* Opens the file at `path`, or makes it. NULL for a damaged file, which stays untouched, and for one that another manager has open. */
RECENT_VISITS_API VisitManager *VisitManagerCreate(const char *path, size_t max_visits);
/* Closes the file and frees the manager. NULL is allowed. */
RECENT_VISITS_API void Free(VisitManager *manager);
/* Adds a visit now. A visit_id that the user has is ignored, and true. */
RECENT_VISITS_API bool AddVisit(VisitManager *manager, unsigned int user, unsigned int visit_id, const char *url, const char *text);
/* The visits of a user, newest first, `*count` of them; NULL and 0 for a user who has none. */
RECENT_VISITS_API Visit *GetRecentVisits(VisitManager *manager, unsigned int user, size_t *count);
/* Deletes visits of a user; whether any of them was there. */
RECENT_VISITS_API bool Delete(VisitManager *manager, unsigned int user, const unsigned int *visit_ids, size_t count);
/* Deletes all visits of a user; true also when there were none. */
RECENT_VISITS_API bool Clear(VisitManager *manager, unsigned int user);

#ifdef __cplusplus
}
#endif

#endif
