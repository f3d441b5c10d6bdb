#ifndef RECENT_VISITS_H
#define RECENT_VISITS_H

/* The drop-in face of VisitManager, for programs written against the known implementation: they compile and link with this header and
 * libsamebytes unchanged. New programs use <samebytes/visits.h>, which says what failed and is safe with threads. docs/drop-in.md has more.
 *
 * Ownership: what VisitManagerGetRecentVisits returns, the array and what it points to, belongs to the manager. It is valid until that user
 * is changed or the manager freed; asking again before that returns the same pointer. Strings that are passed in are copied.
 * Threads: one user of a manager at a time; threads that share one must lock. Managers of different files are independent.
 * Errors: false or NULL, and nothing was changed. The same goes for missing arguments, no ids, and max_visits 0; no argument makes it
 * crash.
 *
 * The file is written as by SB_DURABILITY_NONE: nothing is lost when the process is killed, and VisitManagerFree makes it durable.
 *
 * The library's definitions are weak, so a program's own functions of these names take precedence where both are linked together.
 *
 * Since: 1.0 */

/* More than the declarations need: programs rely on what the known header includes. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef RECENT_VISITS_API
#define RECENT_VISITS_API /* the library itself defines it: weak and exported */
#endif

typedef struct {
  uint32_t visit_id;
  char *url;
  char *text;
  struct timespec time; /* since the Unix epoch, UTC */
} Visit;

typedef struct VisitManager VisitManager;

/* Opens the file at `path`, or creates it; it keeps the newest `max_visits` visits of each user. NULL for a damaged file, which stays
 * untouched, and for one that another manager has open. */
RECENT_VISITS_API VisitManager *VisitManagerCreate(const char *path, size_t max_visits);

/* Closes the file and frees the manager. NULL is allowed. */
RECENT_VISITS_API void VisitManagerFree(VisitManager *manager);

/* Adds a visit of `user_id`, now. A visit_id that the user already has is ignored, and the result is true. */
RECENT_VISITS_API bool VisitManagerAddVisit(VisitManager *manager, uint32_t user_id, uint32_t visit_id, const char *url, const char *text);

/* The visits of `user_id`, newest first, `*count` of them; NULL and 0 for a user who has none. */
RECENT_VISITS_API Visit **VisitManagerGetRecentVisits(VisitManager *manager, uint32_t user_id, size_t *count);

/* Deletes visits of `user_id`; true if any of them was there. `visitIds` is only read. */
RECENT_VISITS_API bool VisitManagerDelete(VisitManager *manager, uint32_t user_id, uint32_t *visitIds, size_t visit_count);

/* Deletes all visits of `user_id`. To see whether it succeeded, ask for them. */
RECENT_VISITS_API void VisitManagerClear(VisitManager *manager, uint32_t user_id);

#ifdef __cplusplus
}
#endif

#endif
