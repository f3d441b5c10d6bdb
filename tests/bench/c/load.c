/* Loads an Echo server: `load PORT FRAMES` sends so many small requests over one connection, from one thread without waiting, reads the
 * responses in another, checks them, and prints the frames per second. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <samebytes/samebytes.h>

enum {
  FRAMES_PER_SEND = 1024, /* a multiple of 256, so that sequences go on */
  REQUEST_SIZE = 57,      /* subject 4, metadata 3, body 23 */
  RESPONSE_SIZE = 6 + 4 + 8 + 8 + 27,
};

static int connection;
static size_t frame_count;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void *send_all(void *unused) {
  (void)unused;
  static const int16_t metadata[] = {1, 2, 3};
  sb_builder *builder = NULL;
  if (sb_builder_open(NULL, &builder) != SB_OK) fail("builder");
  for (int i = 0; i < FRAMES_PER_SEND; i++) {
    const sb_echo_request request = {9999, "test", 4, metadata, 3, "We have a lot in common", 23, (int8_t)i, {0}};
    if (sb_echo_add_request(builder, &request, NULL) != SB_OK) fail("request");
  }
  static uint8_t frames[FRAMES_PER_SEND * REQUEST_SIZE];
  if (sb_builder_copy_bytes(builder, frames, sizeof frames) != SB_OK) fail("frames");
  sb_builder_close(builder);
  for (size_t left = frame_count * REQUEST_SIZE; left > 0;) {
    const size_t part = left < sizeof frames ? left : sizeof frames;
    for (size_t sent = 0; sent < part;) {
      const ssize_t count = send(connection, frames + sent, part - sent, 0);
      if (count <= 0) fail("send");
      sent += (size_t)count;
    }
    left -= part;
  }
  return NULL;
}

/* Responses come in the order of the requests, and all but ids and sequences are the same. */
static void receive_all(void) {
  static uint8_t data[256 * 1024];
  sb_schema *schema = NULL;
  sb_parser *parser = NULL;
  sb_batch *batch = NULL;
  if (sb_echo_response_schema(&schema) != SB_OK || sb_parser_open(&schema, 1, NULL, &parser, NULL) != SB_OK) fail("parser");
  if (sb_batch_open(&batch) != SB_OK) fail("batch");
  for (size_t received = 0; received < frame_count;) {
    const ssize_t count = recv(connection, data, sizeof data, 0);
    if (count <= 0) fail("recv");
    if (sb_parser_feed(parser, data, (size_t)count) != SB_OK || sb_parser_parse(parser, batch) != SB_OK) fail("parse");
    if (sb_batch_error_count(batch) > 0) fail("a response is refused");
    for (size_t i = 0; i < sb_batch_row_count(batch); i++, received++) {
      sb_echo_response response = {0};
      if (sb_echo_get_response(batch, i, &response) != SB_OK) fail("response");
      if (response.id != (int32_t)received || response.timestamp != 9999 || response.body_size != 23 ||
          response.sequence != (int8_t)received || memcmp(response.subject, "test", 4) != 0) {
        fprintf(stderr, "response %zu is not that of its request\n", received);
        exit(1);
      }
    }
  }
  sb_batch_close(batch);
  sb_parser_close(parser);
  sb_schema_close(schema);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  frame_count = (size_t)atol(argv[2]);
  const struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  connection = socket(AF_INET, SOCK_STREAM, 0);
  if (connection < 0 || connect(connection, (const struct sockaddr *)&address, sizeof address) != 0) fail("connect");
  const int on = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  pthread_t sender;
  if (pthread_create(&sender, NULL, send_all, NULL) != 0) fail("thread");
  receive_all();
  clock_gettime(CLOCK_MONOTONIC, &end);
  pthread_join(sender, NULL);
  const double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
  printf("%.1f\n", (double)frame_count / seconds);
  return 0;
}
