/* A client with several pairs of messages, requests whose time ends, and servers that mean harm. The far end is played in the same thread
 * where its answers are known before, because a socket holds them. */
#include "client_testing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  SHORT_MS = 20,
  LONG_MS = 60000
};

static void note(void *context, uint64_t tag, sb_status status, const sb_row *row, const sb_value *values, size_t value_count) {
  told_note(context, tag, status, row, values, value_count, 1);
}

enum {
  ADD,
  ASK,
  SCHEMAS
};

/* Two pairs: Add (api_key 1) is answered by Sum (1), Ask (2) by Told (-2); each has one int64. */
typedef struct ends {
  sb_schema *requests[SCHEMAS], *responses[SCHEMAS];
  sb_client *client;
  int near, far;
  told all;
} ends;

static sb_schema *open_schema(const char *name, int32_t direction, int8_t api_key) {
  const sb_schema_field field = {"number", SB_TYPE_INT64, 0};
  sb_schema *schema = NULL;
  assert_ok(sb_schema_open(name, direction, api_key, &field, 1, &schema, NULL));
  return schema;
}

static void open_ends(ends *both, uint32_t in_flight_max, uint32_t timeout_ms) {
  int sockets[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  *both = (ends){.near = sockets[0],
                 .far = sockets[1],
                 .requests = {open_schema("Add", SB_DIRECTION_REQUEST, 1), open_schema("Ask", SB_DIRECTION_REQUEST, 2)},
                 .responses = {open_schema("Sum", SB_DIRECTION_RESPONSE, 1), open_schema("Told", SB_DIRECTION_RESPONSE, -2)}};
  const sb_client_pair pairs[] = {{both->requests[ADD], both->responses[ADD]}, {both->requests[ASK], both->responses[ASK]}};
  sb_client_options options;
  sb_client_options_init(&options, sizeof options);
  options.answer = note;
  options.context = &both->all;
  options.in_flight_max = in_flight_max;
  options.timeout_ms = timeout_ms;
  assert_ok(sb_client_open(both->near, pairs, SCHEMAS, &options, &both->client, NULL));
}

static void close_ends(ends *both) {
  sb_client_close(both->client);
  close(both->near);
  if (both->far >= 0) close(both->far);
  for (int i = 0; i < SCHEMAS; i++) {
    sb_schema_close(both->requests[i]);
    sb_schema_close(both->responses[i]);
  }
}

static sb_status ask(ends *both, int which, uint32_t timeout_ms, uint64_t tag, sb_error *error) {
  const sb_value value = {.number = (int64_t)tag};
  return sb_client_send(both->client, both->requests[which], &value, 1, timeout_ms, tag, error);
}

/* The far end answers with a number. It takes what was sent so far, so that there is room for more. */
static void answer(const ends *both, int8_t api_key, int8_t sequence, uint8_t number) {
  uint8_t taken[256];
  while (recv(both->far, taken, sizeof taken, MSG_DONTWAIT) > 0) {
  }
  const uint8_t frame[] = {0, 0, 0, 10, (uint8_t)api_key, (uint8_t)sequence, 0, 0, 0, 0, 0, 0, 0, number};
  assert_int_equal(send(both->far, frame, sizeof frame, MSG_NOSIGNAL), sizeof frame);
}

static void assert_told(const told *all, uint64_t tag, sb_status status, int64_t value) {
  assert_int_equal(all->answers[tag], 1);
  assert_int_equal(all->status[tag], status);
  if (status == SB_OK) assert_int_equal(all->number[tag], value);
}

static void each_pair_has_its_response(void **state) {
  (void)state;
  static ends both;
  open_ends(&both, 0, LONG_MS);
  for (uint64_t tag = 0; tag < 4; tag++) assert_ok(ask(&both, tag % 2 == 0 ? ADD : ASK, 0, tag, NULL));
  answer(&both, -2, 3, 103);
  answer(&both, 1, 0, 100);
  answer(&both, 1, 2, 102);
  answer(&both, -2, 1, 101);
  assert_ok(sb_client_wait(both.client, NULL));
  for (uint64_t tag = 0; tag < 4; tag++) assert_told(&both.all, tag, SB_OK, 100 + (int64_t)tag);
  close_ends(&both);
  assert_int_equal(both.all.count, 4);
}

static void a_response_of_another_pair_ends_the_connection(void **state) {
  (void)state;
  static ends both;
  open_ends(&both, 0, LONG_MS);
  for (uint64_t tag = 0; tag < 3; tag++) assert_ok(ask(&both, ADD, 0, tag, NULL));
  answer(&both, 1, 0, 100);
  answer(&both, -2, 1, 101);
  answer(&both, 1, 2, 102);
  sb_error error = {0}, again = {0};
  assert_int_equal(sb_client_wait(both.client, &error), SB_CORRUPT);
  assert_non_null(strstr(error.message, "request Add was answered by Told (sequence 1), not by Sum"));
  assert_told(&both.all, 0, SB_OK, 100);
  assert_told(&both.all, 1, SB_CORRUPT, 0);
  assert_told(&both.all, 2, SB_CORRUPT, 0);
  assert_int_equal(ask(&both, ADD, 0, 3, &again), SB_CORRUPT);
  assert_string_equal(again.message, error.message);
  close_ends(&both);
  assert_int_equal(both.all.count, 3);
}

/* Sends until the socket takes no more: what the client queues from now on is not sent. */
static void fill_socket(int socket) {
  static uint8_t filler[4096];
  while (send(socket, filler, sizeof filler, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
  }
}

/* What the peer does while a request cannot be sent is seen all the same, and not polled for. */
static void a_peer_that_goes_before_all_was_sent_is_told_at_once(void **state) {
  (void)state;
  static ends both;
  open_ends(&both, 1, 2000);
  assert_ok(ask(&both, ADD, 0, 0, NULL));
  answer(&both, 1, 0, 100);
  assert_ok(ask(&both, ADD, 0, 1, NULL)); /* there is room for it when the first was sent and answered */
  assert_told(&both.all, 0, SB_OK, 100);
  fill_socket(both.near);
  shutdown(both.far, SHUT_WR);
  sb_error error = {0};
  assert_int_equal(sb_client_wait(both.client, &error), SB_UNAVAILABLE);
  assert_non_null(strstr(error.message, "the peer closed the connection"));
  assert_told(&both.all, 1, SB_UNAVAILABLE, 0);
  close_ends(&both);
}

/* Sequences can be guessed. An answer to what the server cannot have read is none. */
static void an_answer_to_a_request_that_is_queued_ends_the_connection(void **state) {
  (void)state;
  static ends both;
  open_ends(&both, 0, 2000);
  fill_socket(both.near);
  for (uint64_t tag = 0; tag < 3; tag++) assert_ok(ask(&both, ADD, 0, tag, NULL));
  const uint8_t frame[] = {0, 0, 0, 10, 1, 1, 0, 0, 0, 0, 0, 0, 0, 100};
  assert_int_equal(send(both.far, frame, sizeof frame, MSG_NOSIGNAL), sizeof frame);
  sb_error error = {0};
  assert_int_equal(sb_client_wait(both.client, &error), SB_NOT_FOUND);
  assert_non_null(strstr(error.message, "a response with sequence 1 came before its request was sent"));
  for (uint64_t tag = 0; tag < 3; tag++) assert_told(&both.all, tag, SB_NOT_FOUND, 0);
  close_ends(&both);
}

/* The socket holds some large requests, and a part of one: those can be answered, and neither that one nor those behind it. */
static void an_answer_to_a_request_that_is_sent_in_part_ends_the_connection(void **state) {
  (void)state;
  enum {
    TEXT = 50001,
    FRAME = 4 + 2 + 4 + TEXT,
    REQUESTS = 40
  };
  static const char text[TEXT];
  static told all;
  for (int beyond = -1; beyond <= 1; beyond++) {
    int sockets[2], held = 0;
    sb_client *client = NULL;
    const sb_schema_field field = {"text", SB_TYPE_STRING, 0};
    sb_client_pair pair = {.response = open_schema("Sum", SB_DIRECTION_RESPONSE, 1)};
    assert_ok(sb_schema_open("Long", SB_DIRECTION_REQUEST, 1, &field, 1, &pair.request, NULL));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    sb_client_options options;
    sb_client_options_init(&options, sizeof options);
    memset(&all, 0, sizeof all);
    options.answer = note;
    options.context = &all;
    options.timeout_ms = 2000;
    assert_ok(sb_client_open(sockets[0], &pair, 1, &options, &client, NULL));
    const sb_value value = {.data = text, .size = sizeof text};
    for (uint64_t tag = 0; tag < REQUESTS; tag++) assert_ok(sb_client_send(client, pair.request, &value, 1, 0, tag, NULL));
    assert_int_equal(ioctl(sockets[1], FIONREAD, &held), 0);
    const int whole = held / FRAME, asked = whole + beyond;
    assert_true(held % FRAME != 0 && whole > 0 && whole < REQUESTS - 1);
    const uint8_t frame[] = {0, 0, 0, 10, 1, (uint8_t)asked, 0, 0, 0, 0, 0, 0, 0, 100};
    assert_int_equal(send(sockets[1], frame, sizeof frame, MSG_NOSIGNAL), sizeof frame);
    shutdown(sockets[1], SHUT_WR);
    const sb_status expected = beyond < 0 ? SB_UNAVAILABLE : SB_NOT_FOUND;
    assert_int_equal(sb_client_wait(client, NULL), expected);
    for (uint64_t tag = 0; tag < REQUESTS; tag++) assert_told(&all, tag, beyond < 0 && tag == (uint64_t)asked ? SB_OK : expected, 100);
    sb_client_close(client);
    close(sockets[0]);
    close(sockets[1]);
    sb_schema_close(pair.request);
    sb_schema_close(pair.response);
  }
}

/* Also when nobody waits for it any more: what contradicts the protocol is never dropped in silence. */
static void a_late_response_of_another_pair_ends_the_connection(void **state) {
  (void)state;
  static ends both;
  open_ends(&both, 0, LONG_MS);
  assert_ok(ask(&both, ASK, SHORT_MS, 0, NULL));
  assert_ok(sb_client_wait(both.client, NULL));
  assert_told(&both.all, 0, SB_TIMEOUT, 0);
  assert_ok(ask(&both, ADD, 0, 1, NULL));
  answer(&both, 1, 0, 1);
  assert_int_equal(sb_client_wait(both.client, NULL), SB_CORRUPT);
  assert_told(&both.all, 1, SB_CORRUPT, 0);
  close_ends(&both);
  assert_int_equal(both.all.count, 2);
}

static void a_request_whose_time_is_over_keeps_its_sequence_until_its_response(void **state) {
  (void)state;
  static ends both;
  open_ends(&both, 2, LONG_MS);
  assert_ok(ask(&both, ADD, SHORT_MS, 0, NULL));
  assert_ok(sb_client_wait(both.client, NULL));
  assert_told(&both.all, 0, SB_TIMEOUT, 0);
  assert_int_equal(sb_client_in_flight(both.client), 1);
  /* More requests than there are sequences: each has room, and none gets sequence 0. */
  for (uint64_t tag = 1; tag < 300; tag++) {
    const int8_t sequence = (int8_t)(1 + (tag - 1) % 255);
    assert_ok(ask(&both, ADD, LONG_MS, tag, NULL));
    answer(&both, 1, sequence, (uint8_t)tag);
    assert_ok(sb_client_wait(both.client, NULL));
    assert_told(&both.all, tag, SB_OK, (uint8_t)tag);
  }
  /* The late answer is dropped, and the sequence is free again. */
  answer(&both, 1, 0, 7);
  assert_ok(ask(&both, ADD, 0, 300, NULL));
  answer(&both, 1, 45, 8);
  assert_ok(sb_client_wait(both.client, NULL));
  assert_told(&both.all, 300, SB_OK, 8);
  assert_told(&both.all, 0, SB_TIMEOUT, 0);
  assert_int_equal(sb_client_in_flight(both.client), 0);
  /* Again it is one that nobody waits for. */
  assert_ok(ask(&both, ADD, 0, 301, NULL));
  answer(&both, 1, 0, 7);
  assert_int_equal(sb_client_wait(both.client, NULL), SB_NOT_FOUND);
  close_ends(&both);
  assert_int_equal(both.all.count, 302);
}

static void each_request_has_its_own_time(void **state) {
  (void)state;
  static ends both;
  open_ends(&both, 0, LONG_MS);
  assert_ok(ask(&both, ADD, LONG_MS, 0, NULL));
  assert_ok(ask(&both, ADD, 3 * SHORT_MS, 1, NULL));
  assert_ok(ask(&both, ADD, SHORT_MS, 2, NULL));
  answer(&both, 1, 0, 50);
  assert_ok(sb_client_wait(both.client, NULL));
  assert_told(&both.all, 0, SB_OK, 50);
  assert_told(&both.all, 1, SB_TIMEOUT, 0);
  assert_told(&both.all, 2, SB_TIMEOUT, 0);
  assert_int_equal(sb_client_in_flight(both.client), 2);
  assert_ok(sb_client_finish(both.client, NULL)); /* nobody waits, so it does not either */
  close_ends(&both);
  assert_int_equal(both.all.count, 3);
}

/* An answer that is there when its request's time is looked at counts, although the time is over. */
static void what_has_arrived_is_not_late(void **state) {
  (void)state;
  static ends both;
  open_ends(&both, 0, LONG_MS);
  assert_ok(ask(&both, ADD, 1, 0, NULL));
  answer(&both, 1, 0, 9);
  usleep(5000);
  assert_ok(sb_client_wait(both.client, NULL));
  assert_told(&both.all, 0, SB_OK, 9);
  close_ends(&both);
}

static void no_room_within_the_time_of_a_request_is_told_and_the_client_goes_on(void **state) {
  (void)state;
  static ends both;
  sb_error error = {0};
  open_ends(&both, 1, LONG_MS);
  assert_ok(ask(&both, ADD, 0, 0, NULL));
  assert_int_equal(ask(&both, ADD, SHORT_MS, 1, &error), SB_TIMEOUT);
  assert_non_null(strstr(error.message, "no room for a request within 20 ms, with 1 in flight"));
  assert_int_equal(both.all.count, 0);
  answer(&both, 1, 0, 1);
  assert_ok(ask(&both, ADD, LONG_MS, 1, NULL));
  answer(&both, 1, 1, 2);
  assert_ok(sb_client_wait(both.client, NULL));
  assert_told(&both.all, 0, SB_OK, 1);
  assert_told(&both.all, 1, SB_OK, 2);
  close_ends(&both);
  assert_int_equal(both.all.count, 2);
}

/* The times of requests do not stretch the time in which something has to move. */
static void a_connection_on_which_nothing_moves_fails_all_the_same(void **state) {
  (void)state;
  static ends both;
  sb_error error = {0};
  open_ends(&both, 0, 3 * SHORT_MS);
  assert_ok(ask(&both, ADD, 0, 0, NULL));
  for (uint64_t tag = 1; tag < 100; tag++) assert_ok(ask(&both, ADD, 10 * (uint32_t)tag, tag, NULL));
  assert_int_equal(sb_client_wait(both.client, &error), SB_TIMEOUT);
  assert_non_null(strstr(error.message, "nothing moved for 60 ms"));
  assert_told(&both.all, 0, SB_TIMEOUT, 0);
  assert_int_equal(sb_client_wait(both.client, NULL), SB_TIMEOUT);
  close_ends(&both);
  assert_int_equal(both.all.count, 100);
}

static void closing_answers_only_those_who_wait(void **state) {
  (void)state;
  static ends both;
  open_ends(&both, 0, LONG_MS);
  assert_ok(ask(&both, ADD, SHORT_MS, 0, NULL));
  assert_ok(sb_client_wait(both.client, NULL));
  assert_ok(ask(&both, ADD, SHORT_MS, 1, NULL));
  close_ends(&both);
  assert_told(&both.all, 0, SB_TIMEOUT, 0);
  assert_told(&both.all, 1, SB_CLOSED, 0);
  assert_int_equal(both.all.count, 2);
}

static void a_schema_that_is_no_request_of_the_pairs_is_refused(void **state) {
  (void)state;
  static ends both;
  sb_error error = {0};
  const sb_value value = {.number = 1};
  open_ends(&both, 0, LONG_MS);
  sb_schema *other = open_schema("Other", SB_DIRECTION_REQUEST, 1);
  assert_int_equal(sb_client_send(both.client, other, &value, 1, 0, 0, &error), SB_INVALID_ARGUMENT);
  assert_non_null(strstr(error.message, "Other is no request of this client's pairs"));
  assert_int_equal(sb_client_send(both.client, both.responses[ASK], &value, 1, 0, 0, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_client_send(both.client, NULL, &value, 1, 0, 0, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_client_in_flight(both.client), 0);
  sb_schema_close(other);
  close_ends(&both);
  assert_int_equal(both.all.count, 0);
}

static void refused(const ends *both, const sb_client_pair *pairs, size_t count, sb_status status, const char *message) {
  sb_client *client = NULL;
  sb_error error = {0};
  sb_client_options options;
  sb_client_options_init(&options, sizeof options);
  options.answer = note;
  assert_int_equal(sb_client_open(both->near, pairs, count, &options, &client, &error), status);
  assert_null(client);
  assert_int_equal(error.status, status);
  assert_non_null(strstr(error.message, message));
}

static void wrong_pairs_are_refused(void **state) {
  (void)state;
  static ends both;
  open_ends(&both, 0, 0);
  const sb_client_pair right = {both.requests[ADD], both.responses[ADD]};
  refused(&both, NULL, 0, SB_INVALID_ARGUMENT, "at least one pair");
  refused(&both, &right, 0, SB_INVALID_ARGUMENT, "at least one pair");
  refused(&both, (sb_client_pair[]){right, {both.requests[ASK], NULL}}, 2, SB_INVALID_ARGUMENT, "pair 1: request and response");
  refused(&both, (sb_client_pair[]){right, {NULL, both.responses[ASK]}}, 2, SB_INVALID_ARGUMENT, "pair 1: request and response");
  refused(&both, &(sb_client_pair){both.responses[ADD], both.responses[ADD]}, 1, SB_INVALID_ARGUMENT,
          "Sum is its request, but is a response");
  refused(&both, &(sb_client_pair){both.requests[ADD], both.requests[ADD]}, 1, SB_INVALID_ARGUMENT,
          "Add is its response, but is a request");
  refused(&both, (sb_client_pair[]){right, right}, 2, SB_INVALID_ARGUMENT, "Add and Add both have api_key 1");
  static sb_client_pair many[SB_PARSER_SCHEMAS_MAX + 1];
  refused(&both, many, SB_PARSER_SCHEMAS_MAX + 1, SB_TOO_LARGE, "257 pairs");
  /* Two responses with one api_key could not be told apart; the same response twice is fine. */
  sb_schema *clash = open_schema("Clash", SB_DIRECTION_RESPONSE, 1);
  refused(&both, (sb_client_pair[]){right, {both.requests[ASK], clash}}, 2, SB_INVALID_ARGUMENT, "Sum and Clash both have api_key 1");
  sb_schema_close(clash);
  const sb_client_pair shared[] = {right, {both.requests[ASK], both.responses[ADD]}};
  sb_client *client = NULL;
  sb_client_options options;
  sb_client_options_init(&options, sizeof options);
  options.answer = note;
  assert_ok(sb_client_open(both.near, shared, 2, &options, &client, NULL));
  sb_client_close(client);
  close_ends(&both);
}

/* ---- servers that mean harm ---- */

static uint32_t seed;

static uint32_t number_below(uint32_t limit) {
  seed = seed * 1664525 + 1013904223;
  return (uint32_t)((uint64_t)(seed >> 8) * limit >> 24);
}

/* Reads requests, and sends what looks like answers: some right, some twice, with a wrong sequence or pair, damaged, cut, or never. */
static void *harm(void *argument) {
  ends *both = argument;
  uint8_t request[14];
  while (recv(both->far, request, sizeof request, MSG_WAITALL) == sizeof request) {
    uint8_t frame[14];
    memcpy(frame, request, sizeof frame);
    if (frame[4] == 2) frame[4] = (uint8_t)-2;
    size_t size = sizeof frame, times = 1;
    switch (number_below(60)) {
    case 0: frame[5] = (uint8_t)number_below(256); break;
    case 1: frame[4] = (uint8_t)number_below(256); break;
    case 2: frame[number_below(14)] = (uint8_t)number_below(256); break;
    case 3: size = number_below(14); break;
    case 4: times = 2; break;
    case 5: frame[0] = 0x80; break;
    default: times = number_below(5) > 0 ? 1 : 0; /* the others are right, or stay away */
    }
    for (; times > 0; times--)
      if (send(both->far, frame, size, MSG_NOSIGNAL) < 0) break;
    if (size < sizeof frame && number_below(2) == 0) break;
  }
  close(both->far);
  return NULL;
}

static void whatever_a_server_sends_each_request_is_answered_once(void **state) {
  (void)state;
  static ends both;
  size_t succeeded = 0, failed = 0;
  for (uint32_t round = 1; round <= 60; round++) {
    seed = round;
    open_ends(&both, 1 + round % 100, 200);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, harm, &both), 0);
    size_t sent = 0;
    sb_status status = SB_OK;
    while (sent < 200 && status == SB_OK) {
      status = ask(&both, (int)sent % 2, round % 3 == 0 ? 0 : 5, sent, NULL);
      if (status == SB_TIMEOUT && sb_client_in_flight(both.client) > 0) break; /* no room: those that were given up fill it */
      if (status == SB_OK) sent++;
    }
    (void)!sb_client_wait(both.client, NULL);
    shutdown(both.near, SHUT_RDWR);
    pthread_join(thread, NULL);
    both.far = -1;
    close_ends(&both);
    assert_int_equal(both.all.count, sent);
    for (size_t tag = 0; tag < sent; tag++) {
      assert_int_equal(both.all.answers[tag], 1);
      if (both.all.status[tag] == SB_OK)
        succeeded++;
      else
        failed++;
    }
  }
  assert_true(succeeded > 100 && failed > 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      codec_test(each_pair_has_its_response),
      codec_test(a_response_of_another_pair_ends_the_connection),
      codec_test(a_peer_that_goes_before_all_was_sent_is_told_at_once),
      codec_test(an_answer_to_a_request_that_is_queued_ends_the_connection),
      codec_test(an_answer_to_a_request_that_is_sent_in_part_ends_the_connection),
      codec_test(a_late_response_of_another_pair_ends_the_connection),
      codec_test(a_request_whose_time_is_over_keeps_its_sequence_until_its_response),
      codec_test(each_request_has_its_own_time),
      codec_test(what_has_arrived_is_not_late),
      codec_test(no_room_within_the_time_of_a_request_is_told_and_the_client_goes_on),
      codec_test(a_connection_on_which_nothing_moves_fails_all_the_same),
      codec_test(closing_answers_only_those_who_wait),
      codec_test(a_schema_that_is_no_request_of_the_pairs_is_refused),
      codec_test(wrong_pairs_are_refused),
      codec_test(whatever_a_server_sends_each_request_is_answered_once),
  };
  return cmocka_run_group_tests_name("client_pairs", tests, NULL, NULL);
}
