//go:build !samebytes_shared

/* Names and messages of statuses are one table, so that a status can't be added to one list and forgotten in another. */

#include <stdarg.h>
#include <stdio.h>

#include "internal.h"
#include "system.h"

typedef struct status_text {
  const char *name;
  const char *message;
} status_text;

static const status_text status_texts[SB_STATUS_COUNT] = {
    [SB_OK] = {"SB_OK", "success"},
    [SB_NO_MEMORY] = {"SB_NO_MEMORY", "the system or a byte limit has no more memory"},
    [SB_INVALID_ARGUMENT] = {"SB_INVALID_ARGUMENT", "an argument that no state of the object would allow"},
    [SB_OUT_OF_RANGE] = {"SB_OUT_OF_RANGE", "an index, offset or size that the object does not have now"},
    [SB_NEED_MORE] = {"SB_NEED_MORE", "the input ends before it is complete"},
    [SB_TOO_LARGE] = {"SB_TOO_LARGE", "a size above a limit"},
    [SB_CORRUPT] = {"SB_CORRUPT", "the input contradicts its format"},
    [SB_UNKNOWN_API_KEY] = {"SB_UNKNOWN_API_KEY", "a frame whose api_key no schema of the parser has"},
    [SB_NOT_FOUND] = {"SB_NOT_FOUND", "what was asked for does not exist"},
    [SB_BUSY] = {"SB_BUSY", "something still uses it"},
    [SB_LOCKED] = {"SB_LOCKED", "another process or handle has the lock"},
    [SB_CLOSED] = {"SB_CLOSED", "the object has been closed"},
    [SB_IO] = {"SB_IO", "the operating system failed to read or write"},
    [SB_UNSUPPORTED] = {"SB_UNSUPPORTED", "this build or object cannot do it"},
    [SB_PROVIDER] = {"SB_PROVIDER", "a memory provider failed or broke its contract"},
    [SB_UNAVAILABLE] = {"SB_UNAVAILABLE", "a service cannot be reached now"},
    [SB_TIMEOUT] = {"SB_TIMEOUT", "a deadline passed"},
};

const char *sb_status_name(sb_status status) {
  if (status < 0 || status >= SB_STATUS_COUNT) return "SB_UNKNOWN_STATUS";
  return status_texts[status].name;
}

const char *sb_status_message(sb_status status) {
  if (status < 0 || status >= SB_STATUS_COUNT) return "a status that this version of the library does not have";
  return status_texts[status].message;
}

static void error_begin(sb_error *error, sb_status status) {
  memset(error, 0, sizeof *error);
  error->status = status;
  error->frame = SB_NO_FRAME;
}

sb_status(sb_priv_error)(sb_error *error, sb_status status, const char *field, const char *format, ...) {
  assert(status != SB_OK);
  if (error == NULL) return status;
  error_begin(error, status);
  if (field != NULL) (void)snprintf(error->field, sizeof error->field, "%s", field);
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return status;
}

sb_status(sb_priv_system_error)(sb_error *error, sb_status status, int problem, const char *format, ...) {
  assert(status != SB_OK && problem > 0);
  if (error == NULL) return status;
  char text[128];
  sb_priv_problem_text(problem, text, sizeof text);
  error_begin(error, status);
  error->system_error = problem;
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  const int room = (int)(sizeof error->message - 2 - strlen(text)); /* what was refused may be cut, the reason is whole */
  if (size > room - 1) size = room - 1;
  if (size < 0) size = 0;
  (void)snprintf(error->message + size, sizeof error->message - (size_t)size, ": %s", text);
  return status;
}
