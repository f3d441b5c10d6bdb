#ifndef RECENT_VISITS_H
#define RECENT_VISITS_H

/* The drop-in face of VisitManager, for programs written against the known implementation: they compile and link with this header and
 * libsamebytes unchanged. New programs use <samebytes/visits.h>, which says what failed and is safe with threads. docs/drop-in.md has more.
 *
 * Ownership: what GetRecentVisits returns belongs to the manager. It is valid until that user is changed or the manager freed; asked again
 * meanwhile, it is the same pointer. Strings that are passed in are copied.
 * Threads: one user of a manager at a time; threads that share one must lock. Managers of different files are independent.
 * Errors: false or NULL, and nothing was changed. So are missing arguments, no ids, and max_visits 0; no argument makes it crash.
 *
 * The file is written as by SB_DURABILITY_NONE: nothing is lost when the process is killed, and Free makes it durable.
 *
 * The library's definitions are weak, so a program's own functions of these names take precedence where both are linked together.
 *
 * Since: 1.0 */

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef RECENT_VISITS_API
#define RECENT_VISITS_API /* the library itself defines it: weak and exported */
#endif

typedef struct Visit {
  unsigned int visit_id;
  char *url;
  char *text;
  struct timespec time; /* since the Unix epoch, UTC */
} Visit;

typedef struct VisitManager VisitManager;

/* Opens the file at `path`, or makes it; it keeps the newest `max_visits` visits of each user. NULL for a damaged file, which stays
 * untouched, and for one that another manager has open. */
RECENT_VISITS_API VisitManager *VisitManagerCreate(const char *path, size_t max_visits);

/* Closes the file and frees the manager. NULL is allowed. */
RECENT_VISITS_API void Free(VisitManager *manager);

/* Adds a visit of `user`, now. A visit_id that the user has is ignored, and true. */
RECENT_VISITS_API bool AddVisit(VisitManager *manager, unsigned int user, unsigned int visit_id, const char *url, const char *text);

/* The visits of `user`, newest first, `*count` of them; NULL and 0 for a user who has none. */
RECENT_VISITS_API Visit *GetRecentVisits(VisitManager *manager, unsigned int user, size_t *count);

/* Deletes visits of `user`; true when any of them was there. */
RECENT_VISITS_API bool Delete(VisitManager *manager, unsigned int user, const unsigned int *visit_ids, size_t count);

/* Deletes all visits of `user`; true also when there were none. */
RECENT_VISITS_API bool Clear(VisitManager *manager, unsigned int user);

#ifdef __cplusplus
}
#endif

#endif
