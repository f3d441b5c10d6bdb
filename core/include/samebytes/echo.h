#ifndef SAMEBYTES_ECHO_H
#define SAMEBYTES_ECHO_H

#include <samebytes/builder.h>
#include <samebytes/parser.h>

SB_BEGIN_DECLS

/** # Echo: the message that illustrates the wire format
 *
 *  A request (api_key 0) is timestamp int64, subject string, metadata array<int16>, body string; its response is id int32, timestamp int64,
 *  subject string, body string. The codec knows nothing of Echo: these are two ordinary schemas, plus structures with named members for C.
 *
 *      const int16_t metadata[] = {1, 2, 3};
 *      const sb_echo_request request = {.timestamp = 9999, .subject = "test", .subject_size = 4,
 *                                       .metadata = metadata, .metadata_count = 3, .body = "We have", .body_size = 7};
 *      sb_error error;
 *      if (sb_echo_add_request(builder, &request, &error) != SB_OK) fail(error.message);
 *
 *  ## Ownership
 *  What a structure points to is borrowed: from the caller when it is added, from the batch when it was read.
 *
 *  ## Threads and fork
 *  Those of the builder or batch.
 *
 *  ## Errors
 *  Those of sb_builder_add and sb_batch_get_values.
 *
 *  ## Limits
 *  Those of the builder. */

/** An Echo request. Frozen: it never grows. */
typedef struct sb_echo_request {
  int64_t timestamp; /**< ms since the Unix epoch, by convention */
  SB_NULLABLE SB_COUNT(subject_size) const void *subject;
  size_t subject_size; /**< bytes */
  SB_NULLABLE SB_COUNT(metadata_count) const int16_t *metadata;
  size_t metadata_count; /**< items */
  SB_NULLABLE SB_COUNT(body_size) const void *body;
  size_t body_size; /**< bytes */
  int8_t sequence;
  uint8_t reserved[7]; /**< 0 */
} sb_echo_request;

/** An Echo response. Frozen: it never grows. */
typedef struct sb_echo_response {
  int64_t timestamp; /**< that of the request */
  SB_NULLABLE SB_COUNT(subject_size) const void *subject;
  size_t subject_size; /**< bytes */
  SB_NULLABLE SB_COUNT(body_size) const void *body;
  size_t body_size; /**< bytes */
  int32_t id;
  int8_t sequence;
  uint8_t reserved[3]; /**< 0 */
} sb_echo_response;

/** Opens the schema of Echo requests.
 *
 *  Ownership: the caller closes `*schema`.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_FUNCTION sb_status sb_echo_request_schema(SB_OUT SB_OWNED sb_schema **schema);

/** Opens the schema of Echo responses.
 *
 *  Ownership: the caller closes `*schema`.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_FUNCTION sb_status sb_echo_response_schema(SB_OUT SB_OWNED sb_schema **schema);

/** Adds an Echo request to `builder`.
 *
 *  Ownership: all is borrowed for the call.      Threads: one user of `builder` at a time.
 *  Errors: as sb_builder_add.
 *  Since: 1.0 */
SB_API SB_FUNCTION SB_CALLS_BACK sb_status sb_echo_add_request(sb_builder *builder, SB_IN const sb_echo_request *request,
                                                               SB_OUT SB_NULLABLE sb_error *error);

/** Adds an Echo response to `builder`.
 *
 *  Ownership: all is borrowed for the call.      Threads: one user of `builder` at a time.
 *  Errors: as sb_builder_add.
 *  Since: 1.0 */
SB_API SB_FUNCTION SB_CALLS_BACK sb_status sb_echo_add_response(sb_builder *builder, SB_IN const sb_echo_response *response,
                                                                SB_OUT SB_NULLABLE sb_error *error);

/** Reads the row at `index` as an Echo request.
 *
 *  Ownership: what `request` points to is valid until `batch` is parsed into, cleared or closed.      Threads: one user of `batch` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such row; SB_INVALID_ARGUMENT when its schema is not that of Echo requests;
 *  SB_NO_MEMORY; SB_CORRUPT as sb_batch_get_values.
 *  Since: 1.0 */
SB_API SB_FUNCTION sb_status sb_echo_get_request(const sb_batch *batch, size_t index, SB_OUT sb_echo_request *request);

/** Reads the row at `index` as an Echo response.
 *
 *  Ownership: what `response` points to is valid until `batch` is parsed into, cleared or closed.      Threads: one user of `batch` at a time.
 *  Errors: SB_OUT_OF_RANGE when there is no such row; SB_INVALID_ARGUMENT when its schema is not that of Echo responses;
 *  SB_NO_MEMORY; SB_CORRUPT as sb_batch_get_values.
 *  Since: 1.0 */
SB_API SB_FUNCTION sb_status sb_echo_get_response(const sb_batch *batch, size_t index, SB_OUT sb_echo_response *response);

SB_END_DECLS

#endif
