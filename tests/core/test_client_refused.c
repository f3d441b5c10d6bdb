/* link: -Wl,--wrap=sb_priv_stream_send,--wrap=sb_priv_stream_receive */

/* What the system refuses a client on a connection: the error carries it, though the system tells it once, and then only that the connection has
 * ended. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client_testing.h"
#include "system.h"

static int send_says, receive_says; /* an errno; 0: as the system does */
static bool ends;                   /* then nothing comes any more */

int __real_sb_priv_stream_send(int socket, const void *data, size_t size, size_t *sent);
int __wrap_sb_priv_stream_send(int socket, const void *data, size_t size, size_t *sent);
int __wrap_sb_priv_stream_send(int socket, const void *data, size_t size, size_t *sent) {
  return send_says != 0 ? send_says : __real_sb_priv_stream_send(socket, data, size, sent);
}

int __real_sb_priv_stream_receive(int socket, void *data, size_t size, size_t *received);
int __wrap_sb_priv_stream_receive(int socket, void *data, size_t size, size_t *received);
int __wrap_sb_priv_stream_receive(int socket, void *data, size_t size, size_t *received) {
  *received = 0;
  if (receive_says != 0 || ends) return receive_says;
  return __real_sb_priv_stream_receive(socket, data, size, received);
}

static void note(void *context, uint64_t tag, sb_status status, const sb_row *row, const sb_value *values, size_t value_count) {
  told_note(context, tag, status, row, values, value_count, 2);
}

typedef struct refusal {
  int send_says, receive_says;
  bool ends;
  sb_status status;
  int32_t system_error;
  const char *message;
} refusal;

static void what_the_system_refuses_is_in_the_error(void **state) {
  (void)state;
  static const refusal refusals[] = {
      {.send_says = ECONNRESET, .ends = true, SB_UNAVAILABLE, ECONNRESET, "sending: "},
      {.send_says = ETIMEDOUT, .ends = true, SB_IO, ETIMEDOUT, "sending: "},
      {.send_says = EHOSTUNREACH, .ends = true, SB_IO, EHOSTUNREACH, "sending: "},
      {.send_says = EPIPE, .ends = true, SB_UNAVAILABLE, 0, "the peer closed the connection"},
      {.send_says = EPIPE, .ends = false, SB_UNAVAILABLE, EPIPE, "sending: "},
      {.send_says = ECONNRESET, .receive_says = ECONNRESET, .ends = false, SB_UNAVAILABLE, ECONNRESET, "receiving: "},
      {.receive_says = ETIMEDOUT, .ends = false, SB_IO, ETIMEDOUT, "receiving: "},
      {.receive_says = ECONNRESET, .ends = false, SB_UNAVAILABLE, ECONNRESET, "receiving: "},
      {.ends = true, SB_UNAVAILABLE, 0, "the peer closed the connection"},
  };
  for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
    const refusal *r = &refusals[i];
    int sockets[2];
    told all = {.count = 0};
    sb_error error = {0};
    sb_client_options options;
    sb_client *client = NULL;
    sb_schema *request = NULL, *response = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    assert_ok(sb_schema_open("Ask", SB_DIRECTION_REQUEST, 1, NULL, 0, &request, NULL));
    assert_ok(sb_schema_open("Answer", SB_DIRECTION_RESPONSE, 2, NULL, 0, &response, NULL));
    const sb_client_pair both = {request, response};
    sb_client_options_init(&options, sizeof options);
    options.answer = note;
    options.context = &all;
    assert_ok(sb_client_open(sockets[0], &both, 1, &options, &client, NULL));
    send_says = r->send_says;
    receive_says = r->receive_says;
    ends = r->ends;
    sb_status status = sb_client_send(client, request, NULL, 0, 0, 5, &error);
    while (status == SB_OK) status = sb_client_wait(client, &error);
    send_says = receive_says = 0;
    ends = false;
    if (status != r->status || error.system_error != r->system_error || strncmp(error.message, r->message, strlen(r->message)) != 0)
      fail_msg("refusal %zu: %s, errno %d, %s", i, sb_status_name(status), (int)error.system_error, error.message);
    assert_int_equal(all.answers[5], 1);
    assert_int_equal(all.status[5], r->status);
    sb_client_close(client);
    sb_schema_close(request);
    sb_schema_close(response);
    for (int j = 0; j < 2; j++) close(sockets[j]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_the_system_refuses_is_in_the_error)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
