//go:build !samebytes_shared

/* What is wrong with a refused frame, in words. The parser notes little of it, because bytes of somebody who means harm are made of frames that
 * are refused, and nearly all of what can be said stands in the frame itself.
 *
 * Invariant: the frames of all errors lie in the batch's memory, whole, or where the stream ended, as far as their Size. */

#include "error_private.h"
#include "parser_batch.h"
#include "schema_private.h"
#include "wire.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* A refused frame while it is explained. */
typedef struct refusal {
  const batch_error *entry;
  const sb_schema *schema; /* NULL where no field is wrong */
  const uint8_t *frame;
  size_t left; /* bytes of the frame from what is wrong on, where a field or extra bytes are */
  sb_error *error;
} refusal;

sb_status sb_priv_problem_status(frame_problem problem) {
  if (problem == PROBLEM_API_KEY) return SB_UNKNOWN_API_KEY;
  return problem == PROBLEM_SIZE_LARGE ? SB_TOO_LARGE : SB_CORRUPT;
}

__attribute__((format(printf, 2, 3))) static void say(const refusal *refused, const char *format, ...) {
  const batch_error *entry = refused->entry;
  const char *name = entry->problem == PROBLEM_FIELD && refused->schema != NULL ? refused->schema->names[entry->field] : NULL;
  char why[sizeof refused->error->message];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  (void)sb_priv_error(refused->error, sb_priv_problem_status(entry->problem), name, "%s%s%.180s", name != NULL ? name : "",
                      name != NULL ? ": " : "", why);
  refused->error->frame = entry->frame;
  refused->error->frame_offset = entry->offset;
  refused->error->stream_offset = entry->stream_offset + entry->offset;
}

static void explain_string(const refusal *refused, const uint8_t *at, size_t left) {
  if (left < 4) {
    say(refused, "a string's length needs 4 bytes, %zu are left in the frame", left);
    return;
  }
  const int32_t length = (int32_t)sb_priv_load32(at);
  if (length < 0)
    say(refused, "a string's length is negative: %" PRId32, length);
  else
    say(refused, "a string of %" PRId32 " bytes, but %zu are left in the frame", length, left - 4);
}

static void explain_array(const refusal *refused, const uint8_t *at, size_t left) {
  if (left < 2) {
    say(refused, "an array's count needs 2 bytes, %zu are left in the frame", left);
    return;
  }
  const int16_t count = (int16_t)sb_priv_load16(at);
  const size_t width = sb_priv_type_width(refused->entry->type);
  if (count < 0)
    say(refused, "an array's count is negative: %d", count);
  else
    say(refused, "an array of %d items needs %zu bytes or more, but %zu are left in the frame", count,
        (size_t)count * (width > 0 ? width : 4), left - 2);
}

static void explain_field(const refusal *refused) {
  const uint8_t *at = refused->frame + refused->entry->offset;
  const uint8_t type = refused->entry->type;
  const size_t left = refused->left, width = sb_priv_type_width(type);
  if (type <= SB_TYPE_INT64)
    say(refused, "an int%zu needs %zu bytes, %zu are left in the frame", 8 * width, width, left);
  else if (type == SB_TYPE_STRING)
    explain_string(refused, at, left);
  else
    explain_array(refused, at, left);
}

static void explain(const sb_batch *batch, const refusal *refused) {
  const int32_t size = (int32_t)sb_priv_load32(refused->frame);
  switch (refused->entry->problem) {
  case PROBLEM_FIELD: explain_field(refused); break;
  case PROBLEM_EXTRA: say(refused, "%zu bytes after the last field of %s", refused->left, refused->schema->name); break;
  case PROBLEM_API_KEY:
    say(refused, "no schema of this parser has api_key %d; the frame is skipped", (int8_t)refused->frame[SB_PRIV_SIZE_BYTES]);
    break;
  case PROBLEM_SIZE_SMALL:
    if (size < 0)
      say(refused, "a frame's Size is negative: %" PRId32 "; the stream cannot go on", size);
    else
      say(refused, "a frame's Size is %" PRId32 ", smaller than the header's 2 bytes; the stream cannot go on", size);
    break;
  default:
    say(refused, "a frame's Size is %" PRId32 ", above max_frame_size %" PRId32 "; the stream cannot go on", size, batch->max_frame_size);
  }
}

/* Reads what else an error of a field, or of extra bytes, needs; false where the frame is none any more in which that can be wrong: who shares
 * the parser's memory can have written to it since. */
static bool read_frame(const sb_batch *batch, refusal *refused) {
  const batch_error *entry = refused->entry;
  const size_t size = SB_PRIV_SIZE_BYTES + (size_t)sb_priv_load32(refused->frame);
  const frame_plan *plan = &batch->set->plans[refused->frame[SB_PRIV_SIZE_BYTES]];
  if (size > (size_t)(batch->base + batch->base_size - refused->frame) || entry->offset > size || plan->types == NULL ||
      (entry->problem == PROBLEM_FIELD && entry->field >= plan->field_count))
    return false;
  refused->schema = batch->set->schemas[plan->schema_index];
  refused->left = size - entry->offset;
  return true;
}

sb_status sb_batch_get_error(const sb_batch *batch, size_t index, sb_error *refused) {
  if (batch == NULL || refused == NULL) return SB_INVALID_ARGUMENT;
  if (index >= batch->error_count) return SB_OUT_OF_RANGE;
  const batch_error *entry = &batch->errors[index];
  refusal frame = {.entry = entry, .frame = batch->base + (entry->stream_offset - batch->base_offset), .error = refused};
  if ((entry->problem == PROBLEM_FIELD || entry->problem == PROBLEM_EXTRA) && !read_frame(batch, &frame))
    say(&frame, "the frame was refused, and has been changed since then");
  else
    explain(batch, &frame);
  return SB_OK;
}
