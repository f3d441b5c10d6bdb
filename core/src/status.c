//go:build !samebytes_shared

/* Names and messages of statuses are one table, generated from status.h, so that a status stands in one place only. */

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error_private.h"
#include "status_texts.h"
#include "system.h"

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
