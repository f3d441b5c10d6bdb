/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "client_testing.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failing_malloc.h"

enum {
  LARGE = 50000, /* bytes of a body that no socket's buffer holds many of */
};

/* The far end of a socket, which a thread plays. */
typedef struct peer {
  int socket;
  size_t answers_max;   /* after which it ends the connection */
  bool backwards;       /* answers what one read brought from the last to the first */
  const uint8_t *bytes; /* what it sends instead of answers */
  size_t size;
  bool silent;
  sb_memory *memory; /* of the client; NULL: the default pool */
} peer;

static void send_fully(int socket, const void *data, size_t size) {
  for (size_t at = 0; at < size;) {
    const ssize_t sent = send(socket, (const uint8_t *)data + at, size - at, MSG_NOSIGNAL);
    if (sent < 0) return;
    at += (size_t)sent;
  }
}

static void answer_one(sb_builder *builder, const sb_batch *batch, size_t index) {
  sb_echo_request request;
  assert_ok(sb_echo_get_request(batch, index, &request));
  const sb_echo_response response = {
      .id = (int32_t)request.timestamp, .body = request.body, .body_size = request.body_size, .sequence = request.sequence};
  assert_ok(sb_echo_add_response(builder, &response, NULL));
}

static void *play(void *argument) {
  peer *far = argument;
  sb_parser *parser = open_echo_parser(NULL);
  sb_batch *batch = open_batch();
  sb_builder *builder = NULL;
  assert_ok(sb_builder_open(NULL, &builder));
  uint8_t *bytes = NULL;
  size_t answers = 0;
  void *data;
  size_t room;
  while (answers < far->answers_max && sb_parser_buffer(parser, &data, &room) == SB_OK) {
    const ssize_t got = recv(far->socket, data, room, 0);
    if (got <= 0) break;
    if (far->silent) continue;
    if (far->bytes != NULL) {
      send_fully(far->socket, far->bytes, far->size);
      far->silent = true;
      continue;
    }
    assert_ok(sb_parser_commit(parser, (size_t)got));
    assert_ok(sb_parser_parse(parser, batch));
    const size_t rows = sb_batch_row_count(batch);
    for (size_t i = 0; i < rows && answers < far->answers_max; i++, answers++)
      answer_one(builder, batch, far->backwards ? rows - 1 - i : i);
    const size_t size = sb_builder_size(builder);
    bytes = realloc(bytes, size + 1);
    assert_ok(sb_builder_copy_bytes(builder, bytes, size));
    sb_builder_clear(builder);
    send_fully(far->socket, bytes, size);
  }
  free(bytes);
  sb_builder_close(builder);
  sb_batch_close(batch);
  sb_parser_close(parser);
  close(far->socket);
  return NULL;
}

/* A client and its peer. */
typedef struct pair {
  int socket;
  peer far;
  pthread_t thread;
  sb_client *client;
  sb_schema *request;
  told all;
  bool calls_back;  /* callbacks call the client */
  sb_status nested; /* what such a call returned */
  bool cancels;     /* the first callback cancels its own thread */
} pair;

static void note(void *context, uint64_t tag, sb_status status, const sb_row *row, const sb_value *values, size_t value_count) {
  pair *both = context;
  told_note(&both->all, tag, status, row, values, value_count, 4);
  if (both->cancels) {
    both->cancels = false;
    (void)pthread_cancel(pthread_self());
    pthread_testcancel();
  }
  if (both->calls_back) {
    both->nested = sb_client_wait(both->client, NULL);
    sb_client_close(both->client);
  }
}

static void open_pair(pair *both, peer far, uint32_t in_flight_max, uint32_t timeout_ms) {
  int sockets[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  memset(&both->all, 0, sizeof both->all);
  both->calls_back = both->cancels = false;
  both->socket = sockets[0];
  both->far = far;
  both->far.socket = sockets[1];
  assert_int_equal(pthread_create(&both->thread, NULL, play, &both->far), 0);
  sb_client_options options;
  sb_client_options_init(&options, sizeof options);
  options.answer = note;
  options.context = both;
  options.in_flight_max = in_flight_max;
  options.timeout_ms = timeout_ms;
  options.memory = far.memory;
  sb_schema *response = NULL;
  sb_error error;
  assert_ok(sb_echo_request_schema(&both->request));
  assert_ok(sb_echo_response_schema(&response));
  const sb_client_pair echo = {both->request, response};
  assert_ok(sb_client_open(both->socket, &echo, 1, &options, &both->client, &error));
  sb_schema_close(response);
}

static void close_pair(pair *both) {
  sb_client_close(both->client);
  close(both->socket);
  pthread_join(both->thread, NULL);
  sb_schema_close(both->request);
}

static sb_status send_one(pair *both, uint64_t tag, size_t body_size, sb_error *error) {
  static const uint8_t body[LARGE];
  const sb_value values[] = {{.number = (int64_t)tag + 7}, {.data = "s", .size = 1}, {.size = 0}, {.data = body, .size = body_size}};
  return sb_client_send(both->client, both->request, values, 4, 0, tag, error);
}

static void each_was_answered_once(const told *all, size_t count) {
  assert_int_equal(all->count, count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(all->answers[i], 1);
    assert_int_equal(all->status[i], SB_OK);
    assert_int_equal(all->number[i], i + 7);
  }
}

static void many_requests_are_answered_once_each(void **state) {
  (void)state;
  static pair both;
  const peer kinds[] = {{.answers_max = SIZE_MAX}, {.answers_max = SIZE_MAX, .backwards = true}};
  const uint32_t limits[] = {0, 1, 7};
  for (size_t kind = 0; kind < 2; kind++) {
    for (size_t limit = 0; limit < 3; limit++) {
      open_pair(&both, kinds[kind], limits[limit], 60000);
      for (uint64_t i = 0; i < REQUESTS_MAX; i++) {
        assert_ok(send_one(&both, i, i % 50, NULL));
        assert_true(sb_client_in_flight(both.client) <= (limits[limit] == 0 ? SB_PIPELINE_MAX : limits[limit]));
      }
      assert_ok(sb_client_wait(both.client, NULL));
      assert_ok(sb_client_wait(both.client, NULL)); /* nothing more to wait for */
      each_was_answered_once(&both.all, REQUESTS_MAX);
      close_pair(&both);
    }
  }
}

/* Neither side waits for the other one to read. */
static void large_messages_both_ways_do_not_block(void **state) {
  (void)state;
  static pair both;
  open_pair(&both, (peer){.answers_max = SIZE_MAX}, 0, 60000);
  for (uint64_t i = 0; i < 300; i++) assert_ok(send_one(&both, i, LARGE, NULL));
  assert_ok(sb_client_wait(both.client, NULL));
  each_was_answered_once(&both.all, 300);
  close_pair(&both);
}

/* Sends ten requests and expects that the connection fails with `status`, which each request without an answer and each later call tells. */
static void fails_with(peer far, uint32_t timeout_ms, sb_status status, const char *message, size_t answered) {
  static pair both;
  sb_error error = {0}, again = {0};
  open_pair(&both, far, 0, timeout_ms);
  for (uint64_t i = 0; i < 10; i++) assert_ok(send_one(&both, i, 10, NULL));
  assert_int_equal(sb_client_wait(both.client, &error), status);
  assert_int_equal(error.status, status);
  assert_non_null(strstr(error.message, message));
  assert_int_equal(both.all.count, 10);
  for (size_t i = 0; i < 10; i++) {
    assert_int_equal(both.all.answers[i], 1);
    assert_int_equal(both.all.status[i], i < answered ? SB_OK : status);
  }
  assert_int_equal(send_one(&both, 11, 10, &again), status);
  assert_string_equal(again.message, error.message);
  assert_int_equal(sb_client_wait(both.client, &again), status);
  assert_int_equal(sb_client_in_flight(both.client), 0);
  close_pair(&both);
  assert_int_equal(both.all.count, 10);
}

static void a_peer_that_is_gone_is_told_to_each_request(void **state) {
  (void)state;
  fails_with((peer){.answers_max = 4}, 60000, SB_UNAVAILABLE, "6 requests in flight", 4);
  fails_with((peer){.answers_max = 0}, 60000, SB_UNAVAILABLE, "10 requests in flight", 0);
}

static void a_response_that_nobody_waits_for_ends_the_connection(void **state) {
  (void)state;
  static const uint8_t unknown[] = {0, 0, 0, 22, 0, 99, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0};
  uint8_t repeated[2 * sizeof unknown];
  fails_with((peer){.answers_max = SIZE_MAX, .bytes = unknown, .size = sizeof unknown}, 60000, SB_NOT_FOUND, "sequence 99", 0);
  memcpy(repeated, unknown, sizeof unknown);
  repeated[5] = 0;
  memcpy(repeated + sizeof unknown, repeated, sizeof unknown);
  fails_with((peer){.answers_max = SIZE_MAX, .bytes = repeated, .size = sizeof repeated}, 60000, SB_NOT_FOUND, "sequence 0", 1);
}

static void a_damaged_response_ends_the_connection(void **state) {
  (void)state;
  static const uint8_t short_one[] = {0, 0, 0, 3, 0, 0, 0}, negative[] = {0xff, 0xff, 0xff, 0xff};
  fails_with((peer){.answers_max = SIZE_MAX, .bytes = short_one, .size = sizeof short_one}, 60000, SB_CORRUPT, "id", 0);
  fails_with((peer){.answers_max = SIZE_MAX, .bytes = negative, .size = sizeof negative}, 60000, SB_CORRUPT, "negative", 0);
}

static void a_peer_that_says_nothing_is_waited_for_no_longer_than_allowed(void **state) {
  (void)state;
  fails_with((peer){.answers_max = SIZE_MAX, .silent = true}, 30, SB_TIMEOUT, "30 ms", 0);
}

static void a_message_that_is_refused_changes_nothing(void **state) {
  (void)state;
  static pair both;
  open_pair(&both, (peer){.answers_max = SIZE_MAX}, 0, 60000);
  const sb_value wrong[] = {{.number = 1}, {.data = NULL, .size = 3}, {.size = 0}, {.size = 0}};
  sb_error error = {0};
  assert_int_equal(sb_client_send(both.client, both.request, wrong, 4, 0, 1, &error), SB_INVALID_ARGUMENT);
  assert_string_equal(error.field, "subject");
  assert_int_equal(sb_client_in_flight(both.client), 0);
  assert_ok(send_one(&both, 0, 3, NULL));
  assert_ok(sb_client_wait(both.client, NULL));
  each_was_answered_once(&both.all, 1);
  close_pair(&both);
}

static void a_callback_cannot_call_the_client(void **state) {
  (void)state;
  static pair both;
  open_pair(&both, (peer){.answers_max = SIZE_MAX}, 0, 60000);
  both.calls_back = true;
  assert_ok(send_one(&both, 0, 3, NULL));
  assert_ok(sb_client_wait(both.client, NULL));
  assert_int_equal(both.nested, SB_BUSY);
  each_was_answered_once(&both.all, 1);
  both.calls_back = false;
  close_pair(&both);
}

/* AddressSanitizer leaves marks on the stack of a thread that is cancelled, and trips over them where it gives its signal stack back. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "use_sigaltstack=0"; }

static void *wait_until_cancelled(void *context) {
  pair *both = context;
  (void)!sb_client_wait(both->client, NULL);
  pthread_testcancel();
  return NULL;
}

static void a_thread_cancelled_in_a_callback_or_a_wait_leaves_the_client_whole(void **state) {
  (void)state;
  /* ThreadSanitizer sees no locks of a thread that was cancelled in a call of the system, so that one must have nothing of a pool. */
  sb_memory *heap = NULL;
  assert_ok(sb_memory_open_heap(&heap));
  for (int waits = 0; waits < 2; waits++) {
    pair both;
    open_pair(&both, (peer){.answers_max = SIZE_MAX, .memory = heap}, 0, 0);
    for (uint64_t tag = 0; tag < 50; tag++) assert_ok(send_one(&both, tag, 10, NULL));
    both.cancels = !waits;
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(pthread_create(&thread, NULL, wait_until_cancelled, &both), 0);
    if (waits) assert_int_equal(pthread_cancel(thread), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_true(result == PTHREAD_CANCELED);
    for (uint64_t tag = 50; tag < 100; tag++) assert_ok(send_one(&both, tag, 10, NULL));
    assert_ok(sb_client_wait(both.client, NULL));
    each_was_answered_once(&both.all, 100);
    close_pair(&both);
  }
  sb_memory_close(heap);
}

static void closing_answers_what_is_in_flight(void **state) {
  (void)state;
  static pair both;
  open_pair(&both, (peer){.answers_max = SIZE_MAX, .silent = true}, 0, 60000);
  for (uint64_t i = 0; i < 3; i++) assert_ok(send_one(&both, i, 3, NULL));
  close_pair(&both);
  assert_int_equal(both.all.count, 3);
  assert_int_equal(both.all.status[2], SB_CLOSED);
}

/* The peer sees the end of the requests, and the answers still come. */
static void finishing_half_closes_and_waits(void **state) {
  (void)state;
  static pair both;
  for (size_t count = 0; count <= 300; count += 100) {
    open_pair(&both, (peer){.answers_max = SIZE_MAX}, 0, 60000);
    for (uint64_t i = 0; i < count; i++) assert_ok(send_one(&both, i, 1000, NULL));
    assert_ok(sb_client_finish(both.client, NULL));
    each_was_answered_once(&both.all, count);
    char byte;
    assert_int_equal(recv(both.socket, &byte, 1, 0), 0); /* the peer has seen it, and closed */
    sb_error error;
    assert_int_equal(sb_client_finish(both.client, &error), SB_CLOSED);
    assert_non_null(strstr(error.message, "has finished"));
    assert_int_equal(send_one(&both, 0, 1, NULL), SB_CLOSED);
    close_pair(&both);
    assert_int_equal(both.all.count, count);
  }
}

static void wrong_arguments_are_refused(void **state) {
  (void)state;
  int sockets[2], pipes[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  assert_int_equal(pipe(pipes), 0);
  sb_schema *request = NULL, *response = NULL;
  sb_client *client = NULL;
  sb_error error = {0};
  sb_client_options options;
  assert_ok(sb_echo_request_schema(&request));
  assert_ok(sb_echo_response_schema(&response));
  const sb_client_pair echo = {request, response};
  sb_client_options_init(&options, sizeof options);
  assert_int_equal(sb_client_open(sockets[0], &echo, 1, &options, &client, &error), SB_INVALID_ARGUMENT);
  assert_non_null(strstr(error.message, "answer"));
  options.answer = note;
  options.in_flight_max = SB_PIPELINE_MAX + 1;
  assert_int_equal(sb_client_open(sockets[0], &echo, 1, &options, &client, &error), SB_INVALID_ARGUMENT);
  assert_non_null(strstr(error.message, "257"));
  options.in_flight_max = 0;
  assert_int_equal(sb_client_open(pipes[0], &echo, 1, &options, &client, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_client_open(-1, &echo, 1, &options, &client, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_client_open(sockets[0], NULL, 0, &options, &client, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_client_open(sockets[0], &echo, 1, NULL, &client, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_client_open(sockets[0], &echo, 1, &options, NULL, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_client_send(NULL, request, NULL, 0, 0, 0, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_client_wait(NULL, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_client_finish(NULL, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_client_in_flight(NULL), 0);
  assert_null(client);
  sb_client_close(NULL);
  sb_schema_close(request);
  sb_schema_close(response);
  for (int i = 0; i < 2; i++) {
    close(sockets[i]);
    close(pipes[i]);
  }
}

static void a_client_without_memory_is_not_made(void **state) {
  (void)state;
  int sockets[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  sb_schema *request = NULL, *response = NULL;
  assert_ok(sb_echo_request_schema(&request));
  assert_ok(sb_echo_response_schema(&response));
  const sb_client_pair echo = {request, response};
  sb_client_options options;
  sb_client_options_init(&options, sizeof options);
  options.answer = note;
  sb_status status = SB_NO_MEMORY;
  size_t nth = 0;
  for (; status != SB_OK; nth++) {
    sb_client *client = NULL;
    allocations_until_failure = (long)nth + 1;
    status = sb_client_open(sockets[0], &echo, 1, &options, &client, NULL);
    allocations_until_failure = 0;
    if (status != SB_OK) {
      assert_int_equal(status, SB_NO_MEMORY);
      assert_null(client);
    }
    sb_client_close(client);
  }
  assert_true(nth > 4);
  sb_schema_close(request);
  sb_schema_close(response);
  close(sockets[0]);
  close(sockets[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(many_requests_are_answered_once_each),
      codec_test(large_messages_both_ways_do_not_block),
      codec_test(a_peer_that_is_gone_is_told_to_each_request),
      codec_test(a_response_that_nobody_waits_for_ends_the_connection),
      codec_test(a_damaged_response_ends_the_connection),
      codec_test(a_peer_that_says_nothing_is_waited_for_no_longer_than_allowed),
      codec_test(a_message_that_is_refused_changes_nothing),
      codec_test(a_callback_cannot_call_the_client),
      codec_test(a_thread_cancelled_in_a_callback_or_a_wait_leaves_the_client_whole),
      codec_test(closing_answers_what_is_in_flight),
      codec_test(finishing_half_closes_and_waits),
      codec_test(wrong_arguments_are_refused),
      codec_test(a_client_without_memory_is_not_made),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
