/* An Echo server: answers each request with its index on the connection, and its timestamp, subject and body.
 *
 *     cc echo_server.c $(pkg-config --cflags --libs samebytes) -pthread -o echo_server
 *     ./echo_server [PORT]
 *
 * Without PORT the system chooses one. The first line on stdout says which; SIGINT or SIGTERM ends the server.
 *
 * Each connection has a thread that reads what is there, answers all of it in one write, and reads again: a client that does not read its
 * answers makes the thread wait, and so is not read from. */

#include <samebytes/samebytes.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct connection {
  int fd;
  int32_t requests; /* answered so far */
  sb_parser *parser;
  sb_batch *batch;
  sb_builder *builder;
} connection;

/* Says why the connection ends, and returns false. */
static bool failed(const connection *peer, const char *why) {
  fprintf(stderr, "echo_server: connection %d, request %d: %s\n", peer->fd, (int)peer->requests, why);
  return false;
}

static bool open_parts(connection *peer) {
  sb_schema *schema = NULL;
  sb_status status = sb_echo_request_schema(&schema);
  if (status == SB_OK) status = sb_parser_open(&schema, 1, NULL, &peer->parser, NULL);
  sb_schema_close(schema); /* the parser keeps it */
  if (status == SB_OK) status = sb_batch_open(&peer->batch);
  if (status == SB_OK) status = sb_builder_open(NULL, &peer->builder);
  return status == SB_OK ? true : failed(peer, sb_status_message(status));
}

/* Reads what is there, into the parser's own memory. False at the end, which is silent where it is between two requests. */
static bool receive(connection *peer) {
  void *data = NULL;
  size_t size = 0;
  if (sb_parser_buffer(peer->parser, &data, &size) != SB_OK) return failed(peer, "no memory to receive into");
  ssize_t received;
  do received = recv(peer->fd, data, size, 0);
  while (received < 0 && errno == EINTR);
  if (received < 0) return failed(peer, strerror(errno));
  if (received == 0) return sb_batch_need(peer->batch) == 4 ? false : failed(peer, "the client ended within a request");
  return sb_parser_commit(peer->parser, (size_t)received) == SB_OK;
}

static bool send_all(const connection *peer, const uint8_t *data, size_t size) {
  while (size > 0) {
    const ssize_t sent = send(peer->fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return failed(peer, strerror(errno));
    data += sent;
    size -= (size_t)sent;
  }
  return true;
}

/* Sends what the builder has. */
static bool send_answers(const connection *peer) {
  sb_view *frames = NULL;
  if (sb_builder_take(peer->builder, &frames) != SB_OK) return failed(peer, "no memory to send");
  bool good = true;
  for (size_t i = 0; good && i < sb_view_span_count(frames); i++) {
    const void *data = NULL;
    size_t size = 0;
    good = sb_view_span(frames, i, &data, &size) == SB_OK && send_all(peer, data, size);
  }
  sb_view_close(frames);
  return good;
}

/* Answers all complete requests. A request that is refused ends the connection, because nobody would know which answer is missing. */
static bool answer(connection *peer) {
  sb_error error;
  if (sb_parser_parse(peer->parser, peer->batch) != SB_OK) return failed(peer, "no memory for the requests");
  for (size_t i = 0; i < sb_batch_row_count(peer->batch); i++) {
    sb_echo_request request;
    if (sb_echo_get_request(peer->batch, i, &request) != SB_OK) return failed(peer, "not an Echo request");
    const sb_echo_response response = {.id = peer->requests,
                                       .sequence = request.sequence,
                                       .timestamp = request.timestamp,
                                       .subject = request.subject,
                                       .subject_size = request.subject_size,
                                       .body = request.body,
                                       .body_size = request.body_size};
    if (sb_echo_add_response(peer->builder, &response, &error) != SB_OK) return failed(peer, error.message);
    peer->requests++;
  }
  if (!send_answers(peer)) return false;
  return sb_batch_get_error(peer->batch, 0, &error) == SB_OK ? failed(peer, error.message) : true;
}

static void *serve(void *given) {
  connection *peer = given;
  if (open_parts(peer))
    while (receive(peer) && answer(peer)) continue;
  sb_builder_close(peer->builder);
  sb_batch_close(peer->batch);
  sb_parser_close(peer->parser);
  close(peer->fd);
  free(peer);
  return NULL;
}

static void *accept_all(void *listener) {
  for (;;) {
    const int fd = accept(*(const int *)listener, NULL, NULL);
    connection *peer = fd >= 0 ? calloc(1, sizeof *peer) : NULL;
    pthread_t thread;
    if (peer != NULL) peer->fd = fd;
    if (peer != NULL && pthread_create(&thread, NULL, serve, peer) == 0) {
      pthread_detach(thread);
      continue;
    }
    if (fd < 0 && errno != ECONNABORTED && errno != EINTR) fprintf(stderr, "echo_server: %s\n", strerror(errno));
    if (fd >= 0) close(fd);
    free(peer);
    if (fd < 0) usleep(1000); /* without descriptors, others have to end first */
  }
  return NULL;
}

static int listen_at(unsigned short port, struct sockaddr_in *address) {
  socklen_t size = sizeof *address;
  const int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, (struct sockaddr *)address, size) != 0 || listen(listener, 128) != 0) return -1;
  return getsockname(listener, (struct sockaddr *)address, &size) == 0 ? listener : -1;
}

int main(int count, char **arguments) {
  struct sockaddr_in address;
  sigset_t ends;
  pthread_t thread;
  int signal_number;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, NULL); /* in all threads, so that sigwait gets them */
  int listener = listen_at((unsigned short)(count > 1 ? atoi(arguments[1]) : 0), &address);
  if (listener < 0 || pthread_create(&thread, NULL, accept_all, &listener) != 0) {
    perror("echo_server");
    return 1;
  }
  printf("listening on 127.0.0.1 %d\n", ntohs(address.sin_port));
  fflush(stdout);
  sigwait(&ends, &signal_number);
  return 0;
}
