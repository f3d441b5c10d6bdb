//go:build !samebytes_shared

/* A client is a parser, a builder and a pipeline around one socket. It sends and receives at the same time, so that neither side waits for
 * the other one to read, and it waits only when it has to: for room in the pipeline, or for the last answers.
 *
 * A response counts only when its request has been sent to the last byte: whatever comes before is no answer to it, and would free its
 * sequence for a request that then gets the answer to this one.
 *
 * Invariant: a sequence is in flight in the pipeline exactly while its place in `requests` is not FREE: from when the request is queued until
 * its response comes. Its callback is called once, when the place is WAITING no more. `failed` is why the connection ended; then nothing is
 * in flight. */

#include "error_private.h"
#include "options.h"
#include "schema_private.h"
#include "system.h"

#include <assert.h>
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

/* A request in flight. */
typedef enum request_state {
  FREE,    /* none */
  WAITING, /* for its response */
  GIVEN_UP /* its time was over; its response, when it comes, is dropped */
} request_state;

typedef struct flying_request {
  uint64_t tag;
  int64_t deadline; /* of sb_priv_monotonic_ns; NEVER: none */
  uint64_t end;     /* bytes of this and all earlier requests */
  const sb_client_pair *pair;
  request_state state;
} flying_request;

#define NEVER INT64_MAX

struct sb_client {
  int socket;
  bool calling;   /* a callback runs */
  int cancel;     /* whether the thread that moves it could be cancelled before */
  bool finishing; /* no more requests come: half-closes when all are sent */
  sb_client_options options;
  sb_parser *parser;
  sb_batch *batch;
  sb_builder *builder; /* what has been queued since `frames` was taken */
  sb_pipeline *pipeline;
  sb_client_pair pairs[SB_PARSER_SCHEMAS_MAX]; /* by the request's api_key as uint8; NULL: none */
  flying_request requests[SB_PIPELINE_MAX];    /* by sequence as uint8 */
  size_t given_up;
  int64_t next_deadline; /* no request that waits has an earlier one */
  int64_t idle_since;    /* nothing has moved since then; NEVER: not known yet */
  sb_view *frames;       /* what is being sent; NULL: nothing */
  uint64_t queued, sent; /* bytes of all requests, and of those that the system has taken */
  sb_error failed;       /* status OK: the connection goes on */
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

/* Keeps the pairs, and stores the different responses among them. */
static sb_status keep_pairs(sb_client *client, const sb_client_pair *pairs, size_t count, sb_schema **responses, size_t *response_count,
                            sb_error *error) {
  *response_count = 0;
  for (size_t i = 0; i < count; i++) {
    const sb_client_pair pair = pairs[i];
    if (pair.request == NULL || pair.response == NULL)
      return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "pair %zu: request and response must not be NULL", i);
    if (pair.request->direction != SB_DIRECTION_REQUEST)
      return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "pair %zu: %s is its request, but is a response", i, pair.request->name);
    if (pair.response->direction != SB_DIRECTION_RESPONSE)
      return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "pair %zu: %s is its response, but is a request", i, pair.response->name);
    sb_client_pair *kept = &client->pairs[(uint8_t)pair.request->api_key];
    if (kept->request != NULL)
      return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "pair %zu: %s and %s both have api_key %d", i, kept->request->name,
                           pair.request->name, pair.request->api_key);
    *kept = (sb_client_pair){sb_schema_retain(pair.request), sb_schema_retain(pair.response)};
    size_t known = 0;
    while (known < *response_count && responses[known] != pair.response) known++;
    if (known == *response_count) responses[(*response_count)++] = pair.response;
  }
  return SB_OK;
}

static sb_status open_parts(sb_client *client, const sb_client_pair *pairs, size_t pair_count, sb_error *error) {
  if (pairs == NULL || pair_count == 0) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "a client needs at least one pair");
  if (pair_count > SB_PARSER_SCHEMAS_MAX)
    return sb_priv_error(error, SB_TOO_LARGE, NULL, "%zu pairs; a client takes at most %d", pair_count, SB_PARSER_SCHEMAS_MAX);
  sb_schema *responses[SB_PARSER_SCHEMAS_MAX];
  size_t response_count;
  sb_status status = keep_pairs(client, pairs, pair_count, responses, &response_count, error);
  if (status != SB_OK) return status;
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  options.memory = client->options.memory;
  options.max_frame_size = client->options.max_frame_size;
  status = sb_parser_open(responses, response_count, &options, &client->parser, error);
  if (status != SB_OK) return status;
  status = sb_batch_open(&client->batch);
  if (status == SB_OK) status = sb_builder_open(client->options.memory, &client->builder);
  if (status == SB_OK) status = sb_pipeline_open(&client->pipeline);
  return status == SB_OK ? status : sb_priv_error(error, status, NULL, "no memory for a client");
}

sb_status sb_client_open(int32_t socket, const sb_client_pair *pairs, size_t pair_count, const sb_client_options *options,
                         sb_client **client, sb_error *error) {
  if (client == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "there is nowhere to store the client: pass its address");
  const int problem = sb_priv_stream_check(socket);
  if (problem != 0) {
    return sb_priv_system_error(error, SB_INVALID_ARGUMENT, problem, "descriptor %" PRId32 " is no stream socket", socket);
  }
  sb_client_options known;
  sb_status status = read_options(options, &known, error);
  if (status != SB_OK) return status;
  sb_client *made = calloc(1, sizeof *made);
  if (made == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for a client");
  made->socket = socket;
  made->options = known;
  made->next_deadline = NEVER;
  status = open_parts(made, pairs, pair_count, error);
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

/* The sequence of a request is free again; tells whether anybody waited. */
static bool end_request(sb_client *client, flying_request *request) {
  uint64_t unused;
  const sb_status status = sb_pipeline_finish(client->pipeline, (int8_t)(request - client->requests), &unused);
  assert(status == SB_OK && request->state != FREE);
  (void)status;
  const bool waited = request->state == WAITING;
  if (!waited) client->given_up--;
  request->state = FREE;
  return waited;
}

/* Answers everything in flight. */
static void answer_all(sb_client *client, sb_status status) {
  for (size_t i = 0; i < SB_PIPELINE_MAX; i++) {
    flying_request *request = &client->requests[i];
    if (request->state != FREE && end_request(client, request)) call_back(client, request->tag, status, NULL, NULL, 0);
  }
  client->next_deadline = NEVER;
}

/* Answers those whose time is over; tells whether there were any. */
static bool give_up_late(sb_client *client, int64_t now) {
  if (now < client->next_deadline) return false;
  bool any = false;
  client->next_deadline = NEVER;
  for (size_t i = 0; i < SB_PIPELINE_MAX; i++) {
    flying_request *request = &client->requests[i];
    if (request->state != WAITING) continue;
    if (request->deadline > now) {
      if (request->deadline < client->next_deadline) client->next_deadline = request->deadline;
      continue;
    }
    request->state = GIVEN_UP;
    client->given_up++;
    any = true;
    call_back(client, request->tag, SB_TIMEOUT, NULL, NULL, 0);
  }
  return any;
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
  sb_priv_problem_text(problem, text, sizeof text);
  const sb_status status = fail(client, problem == EPIPE || problem == ECONNRESET ? SB_UNAVAILABLE : SB_IO, "%s: %s", what, text);
  client->failed.system_error = problem;
  return status;
}

/* A response that is not the one of its request's pair. */
__attribute__((cold)) static sb_status mismatched(sb_client *client, const flying_request *request, const sb_row *row) {
  sb_schema *schema = NULL;
  const sb_status status = sb_batch_get_schema(client->batch, row->schema_index, &schema);
  assert(status == SB_OK);
  (void)status;
  const sb_status failed = fail(client, SB_CORRUPT, "request %s was answered by %s (sequence %d), not by %s", request->pair->request->name,
                                schema->name, row->sequence, request->pair->response->name);
  sb_schema_close(schema);
  return failed;
}

static sb_status answer_row(sb_client *client, size_t index) {
  sb_row row;
  const sb_value *values;
  size_t value_count;
  sb_status status = sb_batch_get_row(client->batch, index, &row);
  if (status == SB_OK) status = sb_batch_get_values(client->batch, index, &values, &value_count);
  if (status != SB_OK) return fail(client, status, "a response cannot be read");
  flying_request *request = &client->requests[(uint8_t)row.sequence];
  if (request->state == FREE) return fail(client, SB_NOT_FOUND, "a response with sequence %d, which nobody waits for", row.sequence);
  if (request->end > client->sent)
    return fail(client, SB_NOT_FOUND, "a response with sequence %d came before its request was sent", row.sequence);
  if (row.api_key != request->pair->response->api_key) return mismatched(client, request, &row);
  if (end_request(client, request)) call_back(client, request->tag, SB_OK, &row, values, value_count);
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

/* Receives what is there; `*moved` tells whether something was, `*end` whether the peer has ended its side. */
static sb_status receive_some(sb_client *client, bool *moved, bool *end) {
  void *data;
  size_t room, got = 0;
  sb_status status = sb_parser_buffer(client->parser, &data, &room);
  if (status != SB_OK) return fail(client, status, "no memory for responses");
  const int problem = sb_priv_stream_receive(client->socket, data, room, &got);
  if (problem == EAGAIN) return SB_OK;
  if (problem != 0) return system_failed(client, "receiving", problem);
  *end = got == 0;
  if (*end) return SB_OK;
  *moved = true;
  status = sb_parser_commit(client->parser, got);
  return status == SB_OK ? answer_arrived(client) : fail(client, status, "a response cannot be received");
}

static sb_status receive(sb_client *client, bool *moved) {
  bool end = false;
  const sb_status status = receive_some(client, moved, &end);
  return end ? fail(client, SB_UNAVAILABLE, "the peer closed the connection") : status;
}

/* Answers that came before sending failed are there all the same. A system tells what broke a connection once, and then that it has ended: what
 * it told was told here. Only that a pipe is broken says no more than its end. */
static sb_status sending_failed(sb_client *client, int problem) {
  sb_status status = SB_OK;
  bool end = false;
  for (bool moved = true; moved && status == SB_OK && sb_client_in_flight(client) > 0;) {
    moved = false;
    status = receive_some(client, &moved, &end);
  }
  if (status != SB_OK) return status;
  return end && problem == EPIPE ? fail(client, SB_UNAVAILABLE, "the peer closed the connection")
                                 : system_failed(client, "sending", problem);
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
    client->sent += sent;
    status = sb_view_skip(client->frames, sent);
    if (status != SB_OK) return fail(client, status, "sending went wrong");
    if (sb_view_size(client->frames) == 0) {
      sb_view_close(client->frames);
      client->frames = NULL;
    }
  }
}

/* Waits until something can move, at most until `until`, or a request's time is over. */
static sb_status wait_to_move(sb_client *client, int64_t now, int64_t until) {
  if (client->idle_since == NEVER) client->idle_since = now;
  const int64_t idle_max = (int64_t)client->options.timeout_ms * 1000000;
  const int64_t idle_end = idle_max > 0 ? client->idle_since + idle_max : NEVER;
  if (now >= idle_end) return fail(client, SB_TIMEOUT, "nothing moved for %" PRIu32 " ms", client->options.timeout_ms);
  if (client->next_deadline < until) until = client->next_deadline;
  if (idle_end < until) until = idle_end;
  sb_priv_cancel_release(client->cancel); /* here nothing is half done */
  const int problem = sb_priv_stream_wait(client->socket, client->frames != NULL, until);
  (void)sb_priv_cancel_hold();
  return problem == 0 || problem == ETIMEDOUT ? SB_OK : system_failed(client, "waiting", problem);
}

static sb_status move_or_wait(sb_client *client, int64_t until) {
  for (;;) {
    bool moved = false;
    sb_status status = transmit(client, &moved);
    assert(status != SB_OK || client->frames == NULL || sb_client_in_flight(client) > 0); /* what is being sent has not been answered */
    if (status == SB_OK && sb_client_in_flight(client) > 0) status = receive(client, &moved);
    if (moved) client->idle_since = NEVER;
    if (status != SB_OK || moved) return status;
    const int64_t now = sb_priv_monotonic_ns();
    if (give_up_late(client, now) || now >= until) return SB_OK;
    status = wait_to_move(client, now, until);
    if (status != SB_OK) return status;
  }
}

/* Moves what can be moved, or else gives up what is late; waits until one of them happens, or until `until`, 0 being not at all. A thread that
 * is cancelled ends in the wait: a callback that was cut short would leave the client calling for ever. */
static sb_status move(sb_client *client, int64_t until) {
  client->cancel = sb_priv_cancel_hold();
  const sb_status status = move_or_wait(client, until);
  sb_priv_cancel_release(client->cancel);
  return status;
}

/* Whether there is something to send or somebody to answer. */
static bool unfinished(const sb_client *client) {
  return sb_client_in_flight(client) > client->given_up || client->frames != NULL || sb_builder_size(client->builder) > 0;
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

/* Waits for room, until `until` at most. */
static sb_status wait_for_room(sb_client *client, int64_t until, uint32_t timeout_ms, sb_error *error) {
  client->idle_since = NEVER;
  while (sb_client_in_flight(client) >= client->options.in_flight_max) {
    const sb_status status = move(client, until);
    if (status != SB_OK) return tell(client, status, error);
    if (sb_client_in_flight(client) >= client->options.in_flight_max && sb_priv_monotonic_ns() >= until)
      return sb_priv_error(error, SB_TIMEOUT, NULL, "there was no room for a request within %" PRIu32 " ms, with %zu in flight", timeout_ms,
                           sb_client_in_flight(client));
  }
  return SB_OK;
}

/* The pair whose request `schema` is; NULL for none. */
static const sb_client_pair *pair_of(const sb_client *client, const sb_schema *schema) {
  const sb_client_pair *pair = &client->pairs[(uint8_t)schema->api_key];
  return pair->request == schema ? pair : NULL;
}

sb_status sb_client_send(sb_client *client, const sb_schema *schema, const sb_value *values, size_t value_count, uint32_t timeout_ms,
                         uint64_t tag, sb_error *error) {
  if (client == NULL || schema == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "client and schema must not be NULL");
  sb_status status = check(client, error);
  if (status != SB_OK) return status;
  const sb_client_pair *pair = pair_of(client, schema);
  if (pair == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "schema %s is no request of this client's pairs", schema->name);
  const int64_t deadline = timeout_ms > 0 ? sb_priv_monotonic_ns() + (int64_t)timeout_ms * 1000000 : NEVER;
  status = wait_for_room(client, deadline, timeout_ms, error);
  if (status != SB_OK) return status;
  int8_t sequence;
  status = sb_pipeline_begin(client->pipeline, tag, &sequence);
  assert(status == SB_OK); /* there is room */
  const size_t queued = sb_builder_size(client->builder);
  status = sb_builder_add(client->builder, schema, sequence, values, value_count, error);
  if (status != SB_OK) {
    const sb_status forgotten = sb_pipeline_finish(client->pipeline, sequence, &tag);
    assert(forgotten == SB_OK);
    (void)forgotten;
    return status;
  }
  client->queued += sb_builder_size(client->builder) - queued;
  client->requests[(uint8_t)sequence] = (flying_request){
      .tag = tag, .deadline = deadline, .end = client->queued, .pair = pair, .state = WAITING};
  if (deadline < client->next_deadline) client->next_deadline = deadline;
  /* Sending may fail, but this request is in flight by now: its callback tells, and so does the next call. */
  if (sb_builder_size(client->builder) >= SEND_MIN) (void)move(client, 0);
  return SB_OK;
}

sb_status sb_client_wait(sb_client *client, sb_error *error) {
  if (client == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "client is NULL");
  sb_status status = check(client, error);
  if (status != SB_OK) return status;
  client->idle_since = NEVER;
  while (status == SB_OK && unfinished(client)) status = move(client, NEVER);
  return tell(client, status, error);
}

sb_status sb_client_finish(sb_client *client, sb_error *error) {
  if (client == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "client is NULL");
  sb_status status = check(client, error);
  if (status != SB_OK) return status;
  client->finishing = true;
  client->idle_since = NEVER;
  do status = move(client, unfinished(client) ? NEVER : 0); /* once at least: it half-closes */
  while (status == SB_OK && unfinished(client));
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
  for (size_t i = 0; i < SB_PARSER_SCHEMAS_MAX; i++) {
    sb_schema_close(client->pairs[i].request);
    sb_schema_close(client->pairs[i].response);
  }
  free(client);
}
