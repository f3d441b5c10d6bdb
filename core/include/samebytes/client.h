#ifndef SAMEBYTES_CLIENT_H
#define SAMEBYTES_CLIENT_H

#include <samebytes/builder.h>
#include <samebytes/parser.h>

SB_BEGIN_DECLS

/** # Client: pipelined requests over a socket, in C
 *
 *  A client sends requests without waiting for the answers to earlier ones, and calls back for each answer. Python and Go have their own
 *  clients, which wait in the way of their language; this one waits with poll().
 *
 *      static void answered(void *context, uint64_t tag, sb_status status, const sb_row *row, const sb_value *values, size_t value_count);
 *
 *      sb_client *client = NULL;
 *      sb_client_options options;
 *      sb_error error;
 *      sb_client_options_init(&options, sizeof options);
 *      options.answer = answered;
 *      const sb_client_pair echo = {request, response};
 *      if (sb_client_open(socket, &echo, 1, &options, &client, &error) != SB_OK) fail(error.message);
 *      for (uint64_t i = 0; i < count; i++)
 *        if (sb_client_send(client, request, values[i], field_count, 0, i, &error) != SB_OK) fail(error.message);
 *      if (sb_client_finish(client, &error) != SB_OK) fail(error.message);
 *      sb_client_close(client);
 *
 *  A server needs no help beyond a parser and a builder; examples/c/echo_server.c is one.
 *
 *  ## Ownership
 *  The socket stays the caller's, who closes it after the client. A tag is any number of the caller's. What a callback is shown is valid
 *  until it returns.
 *
 *  ## Threads and fork
 *  One user of a client at a time. A callback runs on the thread that called sb_client_send, sb_client_wait, sb_client_finish or
 *  sb_client_close, and must not call functions of that client, which would return SB_BUSY.
 *
 *  ## Errors
 *  Each request is answered exactly once: with SB_OK and its response, with SB_TIMEOUT when its own time runs out, or, when the connection
 *  fails, with SB_UNAVAILABLE (the peer has ended it), SB_NOT_FOUND (a response came with a sequence that no request has, or before its
 *  request was sent to the end), SB_CORRUPT (it is not the response of its request's pair, or cannot be read) or another status of a stream
 *  that cannot be read, SB_TIMEOUT, SB_IO, or SB_NO_MEMORY (there was none for what came). A connection that failed cannot go on: every
 *  later call returns the same status. No signal is raised.
 *
 *  A request whose time has run out keeps its sequence until its response comes and is dropped, so that no other request gets that
 *  response. Until then it counts as in flight.
 *
 *  ## Limits
 *  At most SB_PIPELINE_MAX requests are in flight; at that number sb_client_send waits for an answer instead of failing. */

typedef struct sb_client sb_client;

/** A request, and the response that answers it. Frozen: it never grows. */
typedef struct SB_NATIVE sb_client_pair {
  sb_schema *request;
  sb_schema *response;
} sb_client_pair;

/** Options of a client. 0 in every field is the default, but `answer` must be set. */
typedef struct SB_NATIVE sb_client_options {
  uint32_t struct_size;   /**< bytes; sb_client_options_init sets it */
  uint32_t in_flight_max; /**< requests in flight, up to SB_PIPELINE_MAX; 0: that many */
  uint32_t timeout_ms;    /**< longest time without progress while a call waits; 0: no limit */
  int32_t max_frame_size; /**< largest allowed Size of a response; 0: SB_MAX_FRAME_SIZE_DEFAULT */
  sb_memory *memory;      /**< for frames; NULL: the default pool */
  void *context;          /**< the first argument of `answer` */
  /** Called once per request, with the tag that it was sent with. `row` and `values` are NULL unless `status` is SB_OK. */
  void (*answer)(void *context, uint64_t tag, sb_status status, const sb_row *row, const sb_value *values, size_t value_count);
} sb_client_options;

/** Fills `options` with the defaults, never writing past `struct_size` bytes.
 *
 *  Ownership: `options` is the caller's.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_NATIVE SB_INIT void sb_client_options_init(SB_OUT sb_client_options *options, size_t struct_size);

/** Makes a client of the connected stream socket `socket` (TCP or Unix, blocking or not), which sends the requests of `pairs`, and gets
 *  their responses. Several requests may have the same response.
 *
 *  Ownership: the caller closes `*client`, then `socket`; the schemas are shared.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT without `options.answer`, a descriptor that is not a socket, no pairs, a request or response of the wrong
 *  direction, two requests with the same api_key, invalid options; SB_TOO_LARGE for too many pairs; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_CONSTRUCTOR sb_status sb_client_open(int32_t socket, SB_IN SB_COUNT(pair_count) const sb_client_pair *pairs,
                                                         size_t pair_count, SB_IN const sb_client_options *options,
                                                         SB_OUT SB_OWNED sb_client **client, SB_OUT SB_NULLABLE sb_error *error);

/** Queues a request, and sends the queue when it is large enough, or when the limit of requests in flight is reached: then it waits until
 *  one is answered. It calls back for answers that arrive meanwhile.
 *
 *  `timeout_ms` is how long the answer may take from this call on, 0 meaning no limit; after that the request is answered with SB_TIMEOUT.
 *  The time is checked while this client sends or waits and nothing arrives: an answer that has arrived counts, however late it is read.
 *
 *  Ownership: `values` are copied.      Threads: one user of `client` at a time.
 *  Errors: SB_INVALID_ARGUMENT when `schema` is not a request of this client, and otherwise as sb_builder_add; SB_TIMEOUT when there was no
 *  room for the request within its time; the client then goes on as before. SB_BUSY in a callback. Otherwise the connection failed, see the
 *  top. In each case the request is not sent, and there is no callback for it.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_METHOD SB_BLOCKING sb_status sb_client_send(sb_client *client, const sb_schema *schema,
                                                                SB_IN SB_COUNT(value_count) const sb_value *values, size_t value_count,
                                                                uint32_t timeout_ms, uint64_t tag, SB_OUT SB_NULLABLE sb_error *error);

/** Sends everything that has been queued, and waits until every request is answered, or its time has run out.
 *
 *  Ownership: none.      Threads: one user of `client` at a time.
 *  Errors: SB_BUSY in a callback; otherwise the connection failed, see the top.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_METHOD SB_BLOCKING sb_status sb_client_wait(sb_client *client, SB_OUT SB_NULLABLE sb_error *error);

/** Sends everything that has been queued, half-closes the connection, so that the peer knows that no more requests will come, and waits
 *  until every request is answered, or its time has run out. After it the client can only be closed.
 *
 *  Ownership: the socket stays open.      Threads: one user of `client` at a time.
 *  Errors: SB_BUSY in a callback; otherwise the connection failed, see the top. Later calls return SB_CLOSED.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_METHOD SB_BLOCKING sb_status sb_client_finish(sb_client *client, SB_OUT SB_NULLABLE sb_error *error);

/** Returns the number of requests that were sent or queued and whose responses have not come, including those whose time has run out.
 *
 *  Ownership: none.      Threads: one user of `client` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_METHOD size_t sb_client_in_flight(const sb_client *client);

/** Closes the client; requests that are not answered are answered with SB_CLOSED. NULL is allowed. In a callback it does nothing.
 *
 *  Ownership: takes `client`; the socket stays open.      Threads: one user of `client` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_NATIVE SB_DESTRUCTOR void sb_client_close(SB_TAKES SB_NULLABLE sb_client *client);

SB_END_DECLS

#endif
