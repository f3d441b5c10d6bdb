//go:build !samebytes_shared

/* A schema is one allocation that never changes after it was made, so that any thread can read it without a lock. Invariant: every type is
 * one of SB_TYPE_..., every name is valid and unique. */

#include "error_private.h"
#include "owners.h"
#include "schema_private.h"
#include "steps.h"
#include "wire.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

bool sb_priv_name_is_valid(const char *name) {
  size_t length = strnlen(name, SB_FIELD_NAME_MAX + 1);
  if (length == 0 || length > SB_FIELD_NAME_MAX) return false;
  for (size_t i = 0; i < length; i++) {
    char c = name[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    bool digit = c >= '0' && c <= '9';
    if (!letter && !(digit && i > 0)) return false;
  }
  return true;
}

/* Copies a name, as much as there is room for, and tells whether it may be one. It is checked afterwards: the caller's may change. */
static bool copy_name(char *copy, const char *name) {
  const size_t length = name != NULL ? strnlen(name, SB_FIELD_NAME_MAX + 1) : 0;
  if (length == 0 || length > SB_FIELD_NAME_MAX) return false;
  memcpy(copy, name, length);
  copy[length] = '\0';
  return sb_priv_name_is_valid(copy);
}

static sb_status copy_fields(sb_schema *made, const sb_schema_field *fields, sb_error *error) {
  const char *name = made->name;
  for (size_t i = 0; i < made->field_count; i++) {
    char *field = made->names[i];
    const int32_t type = SB_PRIV_READ_ONCE(fields[i].type);
    if (!copy_name(field, SB_PRIV_READ_ONCE(fields[i].name)))
      return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL,
                           "field %zu of message %s: a name is a letter or _ followed by letters, digits and _, at most %d bytes", i, name,
                           SB_FIELD_NAME_MAX);
    if (type < SB_TYPE_INT8 || type > SB_TYPE_ARRAY_STRING)
      return sb_priv_error(error, SB_INVALID_ARGUMENT, field, "field %s of message %s: there is no type %" PRId32, field, name, type);
    for (size_t j = 0; j < i; j++)
      if (strcmp(made->names[j], field) == 0)
        return sb_priv_error(error, SB_INVALID_ARGUMENT, field, "message %s has two fields called %s", name, field);
    made->types[i] = (uint8_t)type;
    if (type == SB_TYPE_ARRAY_STRING) made->plain = false;
    made->smallest_frame += type == SB_TYPE_STRING ? 4 : type < SB_TYPE_STRING ? (uint32_t)sb_priv_type_width((uint8_t)type) : 2;
  }
  made->types[made->field_count] = 0;
  return SB_OK;
}

sb_status sb_schema_open(const char *name, int32_t direction, int8_t api_key, const sb_schema_field *fields, size_t field_count,
                         sb_schema **schema, sb_error *error) {
  if (schema == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "there is nowhere to store the schema: pass its address");
  char checked[SB_FIELD_NAME_MAX + 1];
  if (!copy_name(checked, name))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL,
                         "a message's name is a letter or _ followed by letters, digits and _, at most %d bytes", SB_FIELD_NAME_MAX);
  if (direction != SB_DIRECTION_REQUEST && direction != SB_DIRECTION_RESPONSE)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "message %s: there is no direction %" PRId32 "; 0 is request, 1 response",
                         checked, direction);
  if (field_count > SB_SCHEMA_FIELDS_MAX)
    return sb_priv_error(error, SB_TOO_LARGE, NULL, "message %s has %zu fields, more than %d", checked, field_count, SB_SCHEMA_FIELDS_MAX);
  if (fields == NULL && field_count > 0)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "message %s: fields is NULL though field_count is %zu", checked, field_count);
  sb_schema *made = malloc(sizeof *made + field_count * sizeof made->names[0]);
  if (made == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for schema %s", checked);
  atomic_init(&made->owners, 1);
  made->direction = direction;
  made->api_key = api_key;
  made->field_count = (uint16_t)field_count;
  memcpy(made->name, checked, sizeof checked);
  made->plain = true;
  made->smallest_frame = 6; /* Size, api_key, sequence */
  const sb_status status = copy_fields(made, fields, error);
  if (status != SB_OK) {
    free(made);
    return status;
  }
  *schema = made;
  return SB_OK;
}

sb_schema *sb_schema_retain(sb_schema *schema) {
  if (schema != NULL) sb_priv_owners_add(&schema->owners, 1);
  return schema;
}

const char *sb_schema_name(const sb_schema *schema) { return schema != NULL ? schema->name : ""; }

int32_t sb_schema_direction(const sb_schema *schema) { return schema != NULL ? schema->direction : SB_DIRECTION_REQUEST; }

int8_t sb_schema_api_key(const sb_schema *schema) { return schema != NULL ? schema->api_key : 0; }

size_t sb_schema_field_count(const sb_schema *schema) { return schema != NULL ? schema->field_count : 0; }

sb_status sb_schema_get_field(const sb_schema *schema, size_t index, sb_schema_field *field) {
  if (schema == NULL || field == NULL) return SB_INVALID_ARGUMENT;
  if (index >= schema->field_count) return SB_OUT_OF_RANGE;
  *field = (sb_schema_field){.name = schema->names[index], .type = schema->types[index]};
  return SB_OK;
}

void sb_schema_close(sb_schema *schema) {
  if (schema != NULL && sb_priv_owners_remove(&schema->owners, 1)) free(schema);
}

void sb_priv_swap_copy(void *target, const void *source, size_t width, size_t count) {
  uint8_t *to = target;
  const uint8_t *from = source;
  /* One loop per width, so that each becomes vector instructions. */
  switch (width) {
  case 2:
    for (size_t i = 0; i < count; i++) {
      uint16_t item = sb_priv_load16(from + 2 * i);
      memcpy(to + 2 * i, &item, sizeof item);
    }
    break;
  case 4:
    for (size_t i = 0; i < count; i++) {
      uint32_t item = sb_priv_load32(from + 4 * i);
      memcpy(to + 4 * i, &item, sizeof item);
    }
    break;
  case 8:
    for (size_t i = 0; i < count; i++) {
      uint64_t item = sb_priv_load64(from + 8 * i);
      memcpy(to + 8 * i, &item, sizeof item);
    }
    break;
  default:
    if (count > 0) memcpy(to, from, count * width);
  }
}
