//go:build !samebytes_shared

/* A client is a parser, a builder and a pipeline around one socket. It sends and receives at the same time, so that neither side waits for
 * the other one to read, and it waits only when it has to: for room in the pipeline, or for the last answers.
 *
 * Invariant: each request that was queued is in flight in the pipeline until its callback is called, which happens once. `failed` is why the
 * connection ended; then nothing is in flight. */

#include "internal.h"
#include "system.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <samebytes/client.h>
#include <samebytes/pipeline.h>

enum {
  SEND_MIN = 16 * 1024
}; /* bytes that are worth a call of the system */

struct sb_client {
  int socket;
  bool calling;   /* a callback runs */
  bool finishing; /* no more requests come: half-closes when all are sent */
  sb_client_options options;
  sb_parser *parser;
  sb_batch *batch;
  sb_builder *builder; /* what has been queued since `frames` was taken */
  sb_pipeline *pipeline;
  sb_view *frames; /* what is being sent; NULL: nothing */
  sb_error failed; /* status OK: the connection goes on */
};

void sb_client_options_init(sb_client_options *options, size_t struct_size) { sb_priv_options_init(options, struct_size); }

static sb_status read_options(const sb_client_options *options, sb_client_options *known, sb_error *error) {
  const sb_status status = sb_priv_options_read(known, sizeof *known, options, SB_PRIV_OPTIONS_1_0(sb_client_options, answer));
  if (status != SB_OK) return sb_priv_error(error, status, NULL, "options are not this library's: call sb_client_options_init first");
  if (known->in_flight_max > SB_PIPELINE_MAX)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "options.in_flight_max is %" PRIu32 "; at most %d requests can be in flight",
                         known->in_flight_max, SB_PIPELINE_MAX);
  if (known->answer == NULL)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "options.answer is NULL: it is what is called for each answer");
  if (known->in_flight_max == 0) known->in_flight_max = SB_PIPELINE_MAX;
  return SB_OK;
}

static sb_status open_parts(sb_client *client, sb_schema *const *schemas, size_t schema_count, sb_error *error) {
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  options.memory = client->options.memory;
  options.max_frame_size = client->options.max_frame_size;
  sb_status status = sb_parser_open(schemas, schema_count, &options, &client->parser, error);
  if (status != SB_OK) return status;
  status = sb_batch_open(&client->batch);
  if (status == SB_OK) status = sb_builder_open(client->options.memory, &client->builder);
  if (status == SB_OK) status = sb_pipeline_open(&client->pipeline);
  return status == SB_OK ? status : sb_priv_error(error, status, NULL, "no memory for a client");
}

sb_status sb_client_open(int32_t socket, sb_schema *const *schemas, size_t schema_count, const sb_client_options *options,
                         sb_client **client, sb_error *error) {
  if (client == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "there is nowhere to store the client: pass its address");
  const int problem = sb_priv_stream_check(socket);
  if (problem != 0) {
    char text[128];
    sb_priv_problem_text(problem, text, sizeof text);
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "descriptor %" PRId32 " is no stream socket: %s", socket, text);
  }
  sb_client_options known;
  sb_status status = read_options(options, &known, error);
  if (status != SB_OK) return status;
  sb_client *made = calloc(1, sizeof *made);
  if (made == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for a client");
  made->socket = socket;
  made->options = known;
  status = open_parts(made, schemas, schema_count, error);
  if (status != SB_OK) {
    sb_client_close(made);
    return status;
  }
  *client = made;
  return SB_OK;
}

size_t sb_client_in_flight(const sb_client *client) { return client != NULL ? sb_pipeline_in_flight(client->pipeline) : 0; }

static void call_back(sb_client *client, uint64_t tag, sb_status status, const sb_row *row, const sb_value *values, size_t value_count) {
  client->calling = true;
  client->options.answer(client->options.context, tag, status, row, values, value_count);
  client->calling = false;
}

/* Answers everything in flight. */
static void answer_all(sb_client *client, sb_status status) {
  uint64_t tag;
  for (int sequence = INT8_MIN; sequence <= INT8_MAX; sequence++)
    if (sb_pipeline_finish(client->pipeline, (int8_t)sequence, &tag) == SB_OK) call_back(client, tag, status, NULL, NULL, 0);
}

/* Ends the connection, for a reason that every later call tells. */
__attribute__((format(printf, 3, 4), cold)) static sb_status fail(sb_client *client, sb_status status, const char *format, ...) {
  char why[sizeof client->failed.message];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  (void)sb_priv_error(&client->failed, status, NULL, "%.200s, with %zu requests in flight", why, sb_client_in_flight(client));
  answer_all(client, status);
  return status;
}

static sb_status system_failed(sb_client *client, const char *what, int problem) {
  char text[128];
  if (problem == ETIMEDOUT) return fail(client, SB_TIMEOUT, "nothing moved for %" PRIu32 " ms", client->options.timeout_ms);
  sb_priv_problem_text(problem, text, sizeof text);
  return fail(client, problem == EPIPE || problem == ECONNRESET ? SB_UNAVAILABLE : SB_IO, "%s: %s", what, text);
}

static sb_status answer_row(sb_client *client, size_t index) {
  sb_row row;
  const sb_value *values;
  size_t value_count;
  uint64_t tag;
  sb_status status = sb_batch_get_row(client->batch, index, &row);
  if (status == SB_OK) status = sb_batch_get_values(client->batch, index, &values, &value_count);
  if (status != SB_OK) return fail(client, status, "a response cannot be read");
  if (sb_pipeline_finish(client->pipeline, row.sequence, &tag) != SB_OK)
    return fail(client, SB_NOT_FOUND, "a response with sequence %d, which nobody waits for", row.sequence);
  call_back(client, tag, SB_OK, &row, values, value_count);
  return SB_OK;
}

/* Decodes what has arrived, and answers. */
static sb_status answer_arrived(sb_client *client) {
  sb_status status = sb_parser_parse(client->parser, client->batch);
  if (status != SB_OK) return fail(client, status, "responses cannot be read");
  for (size_t i = 0; i < sb_batch_row_count(client->batch) && status == SB_OK; i++) status = answer_row(client, i);
  sb_error refused;
  if (status == SB_OK && sb_batch_error_count(client->batch) > 0) {
    status = sb_batch_get_error(client->batch, 0, &refused);
    status = fail(client, status == SB_OK ? refused.status : status, "response %" PRId64 " is damaged: %.120s", refused.frame,
                  refused.message);
  }
  sb_batch_clear(client->batch);
  return status;
}

/* Receives what is there; `*moved` tells whether something was. */
static sb_status receive(sb_client *client, bool *moved) {
  void *data;
  size_t room, got = 0;
  sb_status status = sb_parser_buffer(client->parser, &data, &room);
  if (status != SB_OK) return fail(client, status, "no memory for responses");
  const int problem = sb_priv_stream_receive(client->socket, data, room, &got);
  if (problem == EAGAIN) return SB_OK;
  if (problem != 0) return system_failed(client, "receiving", problem);
  if (got == 0) return fail(client, SB_UNAVAILABLE, "the peer closed the connection");
  *moved = true;
  status = sb_parser_commit(client->parser, got);
  return status == SB_OK ? answer_arrived(client) : fail(client, status, "a response cannot be received");
}

/* Answers that came before sending failed are there all the same. */
static sb_status sending_failed(sb_client *client, int problem) {
  sb_status status = SB_OK;
  for (bool moved = true; moved && status == SB_OK && sb_client_in_flight(client) > 0;) {
    moved = false;
    status = receive(client, &moved);
  }
  return status == SB_OK ? system_failed(client, "sending", problem) : status;
}

/* Sends what the socket takes. */
static sb_status transmit(sb_client *client, bool *moved) {
  for (;;) {
    if (client->frames == NULL && sb_builder_size(client->builder) == 0) {
      if (client->finishing) sb_priv_stream_end(client->socket);
      return SB_OK;
    }
    sb_status status = client->frames == NULL ? sb_builder_take(client->builder, &client->frames) : SB_OK;
    const void *data = NULL;
    size_t size = 0, sent = 0;
    if (status == SB_OK) status = sb_view_span(client->frames, 0, &data, &size);
    if (status != SB_OK) return fail(client, status, "no memory for sending");
    const int problem = sb_priv_stream_send(client->socket, data, size, &sent);
    if (problem == EAGAIN) return SB_OK;
    if (problem != 0) return sending_failed(client, problem);
    *moved = true;
    status = sb_view_skip(client->frames, sent);
    if (status != SB_OK) return fail(client, status, "sending went wrong");
    if (sb_view_size(client->frames) == 0) {
      sb_view_close(client->frames);
      client->frames = NULL;
    }
  }
}

/* Moves what can be moved; with `wait`, at least something. */
static sb_status move(sb_client *client, bool wait) {
  for (;;) {
    bool moved = false;
    sb_status status = transmit(client, &moved);
    if (status == SB_OK && sb_client_in_flight(client) > 0) status = receive(client, &moved);
    if (status != SB_OK || moved || !wait) return status;
    const int problem = sb_priv_stream_wait(client->socket, client->frames != NULL, client->options.timeout_ms);
    if (problem != 0) return system_failed(client, "waiting", problem);
  }
}

static sb_status check(const sb_client *client, sb_error *error) {
  if (client->calling)
    return sb_priv_error(error, SB_BUSY, NULL, "a callback must not call the client: keep what it tells, and call afterwards");
  if (client->failed.status != SB_OK && error != NULL) *error = client->failed;
  return client->failed.status;
}

/* Tells why the connection ended. */
static sb_status tell(const sb_client *client, sb_status status, sb_error *error) {
  if (status != SB_OK && error != NULL) *error = client->failed;
  return status;
}

sb_status sb_client_send(sb_client *client, const sb_schema *schema, const sb_value *values, size_t value_count, uint64_t tag,
                         sb_error *error) {
  if (client == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "client is NULL");
  sb_status status = check(client, error);
  if (status != SB_OK) return status;
  while (status == SB_OK && sb_client_in_flight(client) >= client->options.in_flight_max) status = move(client, true);
  if (status != SB_OK) return tell(client, status, error);
  int8_t sequence;
  status = sb_pipeline_begin(client->pipeline, tag, &sequence);
  assert(status == SB_OK); /* there is room */
  status = sb_builder_add(client->builder, schema, sequence, values, value_count, error);
  if (status != SB_OK) {
    const sb_status forgotten = sb_pipeline_finish(client->pipeline, sequence, &tag);
    assert(forgotten == SB_OK);
    (void)forgotten;
    return status;
  }
  /* Sending may fail, but this request is in flight by now: its callback tells, and so does the next call. */
  if (sb_builder_size(client->builder) >= SEND_MIN) (void)move(client, false);
  return SB_OK;
}

sb_status sb_client_wait(sb_client *client, sb_error *error) {
  if (client == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "client is NULL");
  sb_status status = check(client, error);
  if (status != SB_OK) return status;
  while (status == SB_OK && sb_client_in_flight(client) > 0) status = move(client, true);
  return tell(client, status, error);
}

sb_status sb_client_finish(sb_client *client, sb_error *error) {
  if (client == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "client is NULL");
  sb_status status = check(client, error);
  if (status != SB_OK) return status;
  client->finishing = true;
  status = move(client, false);
  while (status == SB_OK && sb_client_in_flight(client) > 0) status = move(client, true);
  if (status != SB_OK) return tell(client, status, error);
  (void)fail(client, SB_CLOSED, "the client has finished"); /* what later calls tell */
  return SB_OK;
}

void sb_client_close(sb_client *client) {
  if (client == NULL || client->calling) return;
  if (client->pipeline != NULL) answer_all(client, SB_CLOSED);
  sb_view_close(client->frames);
  sb_pipeline_close(client->pipeline);
  sb_builder_close(client->builder);
  sb_batch_close(client->batch);
  sb_parser_close(client->parser);
  free(client);
}
