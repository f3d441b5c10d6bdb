/* An Echo client: sends COUNT requests, pipelined, and checks every response.
 *
 *   cc echo_client.c $(pkg-config --cflags --libs samebytes) -o echo_client
 *   echo_client PORT COUNT [SUBJECT]
 *
 * Ends with exit 0 and the number of responses, or with exit 1 and what went wrong. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <samebytes/samebytes.h>

enum {
  BODY_MAX = 20000,
  PATIENCE_MS = 60000
};

static uint8_t bytes[2 * BODY_MAX];

/* The body of a request, which its number decides: of some size, from some place of `bytes`. */
static sb_value body_of(uint64_t number) {
  static const size_t sizes[] = {0, 1, 100, BODY_MAX};
  return (sb_value){.data = bytes + number % BODY_MAX, .size = sizes[number * 7 % 11 % 4]};
}

typedef struct expected {
  const char *subject;
  uint64_t responses;
  int64_t wrong; /* the first response that differs; -1: none */
  sb_status failed;
} expected;

static bool same(const sb_value *value, const void *data, size_t size) {
  return value->size == size && (size == 0 || memcmp(value->data, data, size) == 0);
}

/* Called for each answer, in the order of the answers. */
static void answered(void *context, uint64_t number, sb_status status, const sb_row *row, const sb_value *values, size_t value_count) {
  expected *all = context;
  (void)row;
  (void)value_count;
  if (status != SB_OK) {
    all->failed = status;
    return;
  }
  const sb_value body = body_of(number);
  const bool right = values[0].number == (int64_t)number && values[1].number == (int64_t)number &&
                     same(&values[2], all->subject, strlen(all->subject)) && same(&values[3], body.data, body.size);
  if (!right && all->wrong < 0) all->wrong = (int64_t)number;
  all->responses++;
}

static int connect_to(uint16_t port) {
  const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int made = socket(AF_INET, SOCK_STREAM, 0);
  if (made < 0 || connect(made, (const struct sockaddr *)&address, sizeof address) != 0) {
    perror("echo_client");
    exit(1);
  }
  return made;
}

static sb_status send_requests(sb_client *client, const sb_schema *request, const char *subject, uint64_t count, sb_error *error) {
  sb_status status = SB_OK;
  for (uint64_t i = 0; i < count && status == SB_OK; i++) {
    const int16_t metadata = (int16_t)(i % 1000);
    const sb_value values[] = {
        {.number = (int64_t)i}, {.data = subject, .size = strlen(subject)}, {.data = &metadata, .size = 1}, body_of(i)};
    status = sb_client_send(client, request, values, 4, 0, i, error);
  }
  return status == SB_OK ? sb_client_finish(client, error) : status;
}

int main(int argc, char **argv) {
  if (argc < 3 || argc > 4) {
    fprintf(stderr, "usage: echo_client PORT COUNT [SUBJECT]\n");
    return 2;
  }
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i >> 3);
  expected all = {.subject = argc > 3 ? argv[3] : "", .wrong = -1};
  const uint64_t count = strtoull(argv[2], NULL, 10);
  const int socket = connect_to((uint16_t)atoi(argv[1]));
  sb_schema *request = NULL, *response = NULL;
  sb_client *client = NULL;
  sb_client_options options;
  sb_error error = {0};
  sb_client_options_init(&options, sizeof options);
  options.answer = answered;
  options.context = &all;
  options.timeout_ms = PATIENCE_MS;
  sb_status status = sb_echo_request_schema(&request);
  if (status == SB_OK) status = sb_echo_response_schema(&response);
  const sb_client_pair echo = {request, response};
  if (status == SB_OK) status = sb_client_open(socket, &echo, 1, &options, &client, &error);
  if (status == SB_OK) status = send_requests(client, request, all.subject, count, &error);
  sb_client_close(client);
  sb_schema_close(request);
  sb_schema_close(response);
  close(socket);
  if (status != SB_OK) fprintf(stderr, "echo_client: %s\n", error.message[0] != 0 ? error.message : sb_status_name(status));
  if (all.wrong >= 0) fprintf(stderr, "echo_client: response %lld differs from its request\n", (long long)all.wrong);
  if (status != SB_OK || all.wrong >= 0 || all.responses != count) return 1;
  printf("%llu responses\n", (unsigned long long)all.responses);
  return 0;
}
