#ifndef SB_ERROR_PRIVATE_H
#define SB_ERROR_PRIVATE_H

/* How a failure is told. status.c owns it. */

#include <samebytes/status.h>

/* Fills `error` (may be NULL) and returns `status`, so that a failure reads as one return statement. `field` may be NULL. */
__attribute__((format(printf, 4, 5), cold)) sb_status sb_priv_error(sb_error *error, sb_status status, const char *field,
                                                                    const char *format, ...);
/* The same for a refusal of the system: `problem` is its errno, which the error carries, and whose text ends the message. */
__attribute__((format(printf, 4, 5), cold)) sb_status sb_priv_system_error(sb_error *error, sb_status status, int problem,
                                                                           const char *format, ...);
#if defined(__clang_analyzer__)
/* The analyzer does not look into status.c, and would follow paths on which a failure returns SB_OK. */
#define sb_priv_error(error, status, ...) ((void)sb_priv_error(error, status, __VA_ARGS__), (status))
#define sb_priv_system_error(error, status, ...) ((void)sb_priv_system_error(error, status, __VA_ARGS__), (status))
#endif

/* The same where the library's own sentence says it better than the system's: `error` carries the errno only. Returns `status`. */
static inline sb_status sb_priv_caused(sb_status status, int problem, sb_error *error) {
  if (error != NULL) error->system_error = problem;
  return status;
}

#endif
