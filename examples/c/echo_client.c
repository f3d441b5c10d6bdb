/* An Echo client: sends COUNT requests, pipelined, and checks every response.
 *
 *     cc echo_client.c $(pkg-config --cflags --libs samebytes) -o echo_client
 *     ./echo_client PORT COUNT [SUBJECT]
 *
 * Ends with exit 0 and the number of responses, or with exit 1 and what went wrong.
 *
 * One loop waits until it may send or receive, so that neither side can wait for the other: it goes on receiving while the server does
 * not take more, and has at most SB_PIPELINE_MAX requests in flight. */

#include <samebytes/samebytes.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  TIMEOUT_MS = 60000, /* without a byte in either direction */
  BODY_MAX = 20000,
  AT_ONCE = 64, /* requests that are built together */
};

typedef struct client {
  int fd;
  uint64_t count, sent, received;
  const char *subject;
  sb_pipeline *pipeline;
  sb_builder *builder;
  sb_view *outgoing; /* what is not sent yet; NULL: nothing */
  sb_parser *parser;
  sb_batch *batch;
  char body[BODY_MAX];
} client;

static bool failed(const client *mine, const char *why) {
  fprintf(stderr, "echo_client: %s; %llu responses, %zu requests in flight\n", why, (unsigned long long)mine->received,
          sb_pipeline_in_flight(mine->pipeline));
  return false;
}

/* The body of a request, which its response must have again. */
static size_t fill_body(client *mine, uint64_t index) {
  static const size_t sizes[] = {0, 1, 100, BODY_MAX};
  const size_t size = sizes[index * 7 % 11 % 4];
  for (size_t i = 0; i < size; i++) mine->body[i] = (char)(index * 31 + i * 7);
  return size;
}

static bool open_parts(client *mine) {
  sb_schema *schema = NULL;
  sb_status status = sb_echo_response_schema(&schema);
  if (status == SB_OK) status = sb_parser_open(&schema, 1, NULL, &mine->parser, NULL);
  sb_schema_close(schema); /* the parser keeps it */
  if (status == SB_OK) status = sb_batch_open(&mine->batch);
  if (status == SB_OK) status = sb_builder_open(NULL, &mine->builder);
  if (status == SB_OK) status = sb_pipeline_open(&mine->pipeline);
  return status == SB_OK ? true : failed(mine, sb_status_message(status));
}

static bool connect_to(client *mine, unsigned short port) {
  const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  mine->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (mine->fd >= 0 && connect(mine->fd, (const struct sockaddr *)&address, sizeof address) == 0) return true;
  return failed(mine, strerror(errno));
}

/* Builds the next requests, as far as there are sequences for them. */
static bool build(client *mine) {
  for (int i = 0; i < AT_ONCE && mine->sent < mine->count; i++) {
    sb_error error;
    int8_t sequence;
    const int16_t metadata = (int16_t)(mine->sent % 1000);
    if (sb_pipeline_begin(mine->pipeline, mine->sent, &sequence) != SB_OK) break; /* all are in flight */
    const sb_echo_request request = {.timestamp = (int64_t)mine->sent,
                                     .subject = mine->subject,
                                     .subject_size = strlen(mine->subject),
                                     .metadata = &metadata,
                                     .metadata_count = 1,
                                     .body_size = fill_body(mine, mine->sent),
                                     .body = mine->body,
                                     .sequence = sequence};
    if (sb_echo_add_request(mine->builder, &request, &error) != SB_OK) return failed(mine, error.message);
    mine->sent++;
  }
  if (sb_builder_size(mine->builder) == 0) return true;
  return sb_builder_take(mine->builder, &mine->outgoing) == SB_OK ? true : failed(mine, "no memory to send");
}

/* Sends what the connection takes now. After the last request it half-closes, which tells the server that no more will come. */
static bool send_some(client *mine) {
  const void *data = NULL;
  size_t size = 0;
  if (sb_view_span(mine->outgoing, 0, &data, &size) != SB_OK) return failed(mine, "nothing to send");
  const ssize_t sent = send(mine->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EINTR ? true : failed(mine, strerror(errno));
  if (sb_view_skip(mine->outgoing, (size_t)sent) != SB_OK) return failed(mine, "more was sent than there was");
  if (sb_view_size(mine->outgoing) > 0) return true;
  sb_view_close(mine->outgoing);
  mine->outgoing = NULL;
  if (mine->sent == mine->count) shutdown(mine->fd, SHUT_WR);
  return true;
}

/* Finds the request that a response belongs to, and holds it against that. */
static bool check(client *mine, size_t row) {
  sb_echo_response response;
  uint64_t index;
  if (sb_echo_get_response(mine->batch, row, &response) != SB_OK) return failed(mine, "not an Echo response");
  if (sb_pipeline_finish(mine->pipeline, response.sequence, &index) != SB_OK) return failed(mine, "a response that no request waits for");
  const size_t size = fill_body(mine, index), subject_size = strlen(mine->subject);
  if (response.id != (int32_t)index || response.timestamp != (int64_t)index || response.subject_size != subject_size ||
      response.body_size != size || (subject_size > 0 && memcmp(response.subject, mine->subject, subject_size) != 0) ||
      (size > 0 && memcmp(response.body, mine->body, size) != 0))
    return failed(mine, "a response differs from its request");
  mine->received++;
  return true;
}

static bool receive_some(client *mine) {
  void *data = NULL;
  size_t size = 0;
  sb_error error;
  if (sb_parser_buffer(mine->parser, &data, &size) != SB_OK) return failed(mine, "no memory to receive into");
  const ssize_t received = recv(mine->fd, data, size, MSG_DONTWAIT);
  if (received < 0) return errno == EAGAIN || errno == EINTR ? true : failed(mine, strerror(errno));
  if (received == 0) return failed(mine, "the server ended the connection");
  if (sb_parser_commit(mine->parser, (size_t)received) != SB_OK || sb_parser_parse(mine->parser, mine->batch) != SB_OK)
    return failed(mine, "no memory for the responses");
  for (size_t row = 0; row < sb_batch_row_count(mine->batch); row++)
    if (!check(mine, row)) return false;
  return sb_batch_get_error(mine->batch, 0, &error) == SB_OK ? failed(mine, error.message) : true;
}

static bool run(client *mine) {
  while (mine->received < mine->count) {
    if (mine->outgoing == NULL && !build(mine)) return false;
    struct pollfd wait = {.fd = mine->fd, .events = (short)(POLLIN | (mine->outgoing != NULL ? POLLOUT : 0))};
    const int ready = poll(&wait, 1, TIMEOUT_MS);
    if (ready == 0) return failed(mine, "nothing was received or sent for a minute");
    if (ready < 0 && errno != EINTR) return failed(mine, strerror(errno));
    if (ready > 0 && (wait.revents & POLLOUT) && !send_some(mine)) return false;
    if (ready > 0 && (wait.revents & (POLLIN | POLLHUP | POLLERR)) && !receive_some(mine)) return false;
  }
  return true;
}

int main(int count, char **arguments) {
  static client mine = {.fd = -1};
  if (count < 3) {
    fprintf(stderr, "usage: echo_client PORT COUNT [SUBJECT]\n");
    return 2;
  }
  mine.count = strtoull(arguments[2], NULL, 10);
  mine.subject = count > 3 ? arguments[3] : "";
  const bool good = open_parts(&mine) && connect_to(&mine, (unsigned short)atoi(arguments[1])) && run(&mine);
  if (good) printf("%llu responses\n", (unsigned long long)mine.received);
  if (mine.fd >= 0) close(mine.fd);
  sb_view_close(mine.outgoing);
  sb_pipeline_close(mine.pipeline);
  sb_builder_close(mine.builder);
  sb_batch_close(mine.batch);
  sb_parser_close(mine.parser);
  return good ? 0 : 1;
}
