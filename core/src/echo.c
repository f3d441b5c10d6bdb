//go:build !samebytes_shared

/* Echo is two schemas like any others, made at first use and kept for the process, plus structures whose members have names. */

#include <stdatomic.h>

#include "error_private.h"
#include "schema_private.h"

#include <samebytes/echo.h>

typedef struct echo_kind {
  const char *name;
  int32_t direction;
  size_t field_count;
  sb_schema_field fields[4];
} echo_kind;

static const echo_kind request_kind = {
    "EchoRequest",
    SB_DIRECTION_REQUEST,
    4,
    {{"timestamp", SB_TYPE_INT64, 0}, {"subject", SB_TYPE_STRING, 0}, {"metadata", SB_TYPE_ARRAY_INT16, 0}, {"body", SB_TYPE_STRING, 0}}};
static const echo_kind response_kind = {
    "EchoResponse",
    SB_DIRECTION_RESPONSE,
    4,
    {{"id", SB_TYPE_INT32, 0}, {"timestamp", SB_TYPE_INT64, 0}, {"subject", SB_TYPE_STRING, 0}, {"body", SB_TYPE_STRING, 0}}};

static _Atomic(sb_schema *) request_schema;
static _Atomic(sb_schema *) response_schema;

/* Returns the schema that `slot` keeps, borrowed; NULL without memory. Threads that are first at the same time make one each, and all
 * but one are closed. */
static sb_schema *kept_schema(_Atomic(sb_schema *) *slot, const echo_kind *kind) {
  sb_schema *kept = atomic_load_explicit(slot, memory_order_acquire);
  if (kept != NULL) return kept;
  sb_schema *made = NULL;
  if (sb_schema_open(kind->name, kind->direction, 0, kind->fields, kind->field_count, &made, NULL) != SB_OK) return NULL;
  if (atomic_compare_exchange_strong(slot, &kept, made)) return made;
  sb_schema_close(made);
  return kept;
}

static sb_status open_schema(_Atomic(sb_schema *) *slot, const echo_kind *kind, sb_schema **schema) {
  if (schema == NULL) return SB_INVALID_ARGUMENT;
  sb_schema *kept = kept_schema(slot, kind);
  if (kept == NULL) return SB_NO_MEMORY;
  *schema = sb_schema_retain(kept);
  return SB_OK;
}

sb_status sb_echo_request_schema(sb_schema **schema) { return open_schema(&request_schema, &request_kind, schema); }

sb_status sb_echo_response_schema(sb_schema **schema) { return open_schema(&response_schema, &response_kind, schema); }

sb_status sb_echo_add_request(sb_builder *builder, const sb_echo_request *request, sb_error *error) {
  if (request == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "request is NULL");
  sb_schema *schema = kept_schema(&request_schema, &request_kind);
  if (schema == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for the schema of Echo requests");
  const sb_value values[] = {{.number = request->timestamp},
                             {.data = request->subject, .size = request->subject_size},
                             {.data = request->metadata, .size = request->metadata_count},
                             {.data = request->body, .size = request->body_size}};
  return sb_builder_add(builder, schema, request->sequence, values, 4, error);
}

sb_status sb_echo_add_response(sb_builder *builder, const sb_echo_response *response, sb_error *error) {
  if (response == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "response is NULL");
  sb_schema *schema = kept_schema(&response_schema, &response_kind);
  if (schema == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for the schema of Echo responses");
  const sb_value values[] = {{.number = response->id},
                             {.number = response->timestamp},
                             {.data = response->subject, .size = response->subject_size},
                             {.data = response->body, .size = response->body_size}};
  return sb_builder_add(builder, schema, response->sequence, values, 4, error);
}

/* Stores the values of a row whose schema has the fields of `kind`, whoever made it. */
static sb_status read_row(const sb_batch *batch, size_t index, const echo_kind *kind, const sb_value **values, int8_t *sequence) {
  sb_row row;
  sb_status status = sb_batch_get_row(batch, index, &row);
  if (status != SB_OK) return status;
  sb_schema *schema = NULL;
  status = sb_batch_get_schema(batch, row.schema_index, &schema);
  if (status != SB_OK) return status;
  bool same = schema->direction == kind->direction && schema->api_key == 0 && schema->field_count == kind->field_count;
  for (size_t i = 0; same && i < kind->field_count; i++) same = schema->types[i] == kind->fields[i].type;
  sb_schema_close(schema);
  if (!same) return SB_INVALID_ARGUMENT;
  size_t value_count;
  *sequence = row.sequence;
  return sb_batch_get_values(batch, index, values, &value_count);
}

sb_status sb_echo_get_request(const sb_batch *batch, size_t index, sb_echo_request *request) {
  if (request == NULL) return SB_INVALID_ARGUMENT;
  const sb_value *values;
  int8_t sequence;
  sb_status status = read_row(batch, index, &request_kind, &values, &sequence);
  if (status != SB_OK) return status;
  *request = (sb_echo_request){.timestamp = values[0].number,
                               .subject = values[1].data,
                               .subject_size = values[1].size,
                               .metadata = values[2].data,
                               .metadata_count = values[2].size,
                               .body = values[3].data,
                               .body_size = values[3].size,
                               .sequence = sequence};
  return SB_OK;
}

sb_status sb_echo_get_response(const sb_batch *batch, size_t index, sb_echo_response *response) {
  if (response == NULL) return SB_INVALID_ARGUMENT;
  const sb_value *values;
  int8_t sequence;
  sb_status status = read_row(batch, index, &response_kind, &values, &sequence);
  if (status != SB_OK) return status;
  *response = (sb_echo_response){.id = (int32_t)values[0].number,
                                 .timestamp = values[1].number,
                                 .subject = values[2].data,
                                 .subject_size = values[2].size,
                                 .body = values[3].data,
                                 .body_size = values[3].size,
                                 .sequence = sequence};
  return SB_OK;
}
