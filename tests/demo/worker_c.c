/* What the demo does in C: encode, decode, serve, client, write-visits and read-visits, as README.md of this folder describes them. Each run does one of them,
 * with a tracing provider under all memory, and prints what it did as one line of JSON.
 *
 * A worker ends at the first thing that goes wrong, with a message on stderr and exit status 1; the system takes its memory back. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <samebytes/samebytes.h>

#include "weblog.h"

enum {
  IN_FLIGHT_WANTED = 64,  /* requests that a pipelining client is known to send without waiting */
  LULL_MS = 200,          /* how long the server lets it catch up to that number, */
  LULLS_MAX = 3,          /* and how often it does so in vain */
  SILENCE_MS_MAX = 60000, /* after which a peer counts as gone */
};

/* The whole log, line by line. */
typedef struct weblog {
  uint8_t *bytes;
  size_t size;
  weblog_line *lines;
  size_t count;
  size_t out_of_shape;
} weblog;

__attribute__((format(printf, 1, 2), noreturn, cold)) static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  (void)fputs("demo_c: ", stderr);
  (void)vfprintf(stderr, format, arguments);
  (void)fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

static void check(sb_status status, const char *what) {
  if (status != SB_OK) fail("%s: %s, %s", what, sb_status_name(status), sb_status_message(status));
}

static void *grown(void *memory, size_t count, size_t item_size) {
  void *larger = realloc(memory, count * item_size + 1);
  if (larger == NULL) fail("no memory for %zu items of %zu bytes", count, item_size);
  return larger;
}

static double now(void) {
  struct timespec time;
  (void)clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- the log ---- */

static void read_file(const char *path, weblog *log) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) fail("%s: %s", path, strerror(errno));
  size_t capacity = 0;
  for (;;) {
    if (log->size == capacity) {
      capacity = capacity * 2 + 65536;
      log->bytes = grown(log->bytes, capacity, 1);
    }
    ssize_t count = read(file, log->bytes + log->size, capacity - log->size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("%s: %s", path, strerror(errno));
    if (count == 0) break;
    log->size += (size_t)count;
  }
  (void)close(file);
}

static weblog read_log(const char *path) {
  weblog log = {0};
  read_file(path, &log);
  size_t capacity = 0;
  for (size_t start = 0; start < log.size;) {
    const uint8_t *end = memchr(log.bytes + start, '\n', log.size - start);
    size_t size = (end != NULL ? (size_t)(end - log.bytes) : log.size) - start;
    if (log.count == capacity) {
      capacity = capacity * 2 + 1024;
      log.lines = grown(log.lines, capacity, sizeof *log.lines);
    }
    log.lines[log.count] = weblog_parse(log.bytes + start, size);
    if (!log.lines[log.count].in_shape) log.out_of_shape++;
    log.count++;
    start += size + 1;
  }
  return log;
}

static void close_log(weblog *log) {
  free(log->lines);
  free(log->bytes);
}

static sb_echo_request request_of(const weblog_line *line, int8_t sequence) {
  return (sb_echo_request){
      .sequence = sequence,
      .timestamp = line->time_ms,
      .subject = line->target,
      .subject_size = line->target_size,
      .metadata = line->in_shape ? line->metadata : NULL,
      .metadata_count = line->in_shape ? 3 : 0,
      .body = line->bytes,
      .body_size = line->size,
  };
}

/* ---- memory, and the last words about it ---- */

static sb_memory *open_memory(void) {
  sb_memory *memory = NULL;
  check(sb_memory_open_tracing(NULL, &memory), "sb_memory_open_tracing");
  return memory;
}

/* Closes `memory` and ends the line of JSON that the caller began. */
static void report_memory(sb_memory *memory) {
  sb_memory_stats stats = {.struct_size = sizeof stats};
  check(sb_memory_get_stats(memory, &stats), "sb_memory_get_stats");
  sb_memory_close(memory);
  (void)printf("\"live_blocks\": %lld, \"reserves\": %llu, \"releases\": %llu}\n", (long long)sb_memory_live_blocks(),
               (unsigned long long)stats.reserves, (unsigned long long)stats.releases);
}

static sb_parser *open_parser(sb_memory *memory, sb_status (*schema_of)(sb_schema **)) {
  sb_schema *schema = NULL;
  check(schema_of(&schema), "the Echo schema");
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  options.memory = memory;
  options.max_frame_size = INT32_MAX; /* lines may be long */
  sb_parser *parser = NULL;
  sb_error error;
  if (sb_parser_open(&schema, 1, &options, &parser, &error) != SB_OK) fail("%s", error.message);
  sb_schema_close(schema);
  return parser;
}

static sb_batch *open_batch(void) {
  sb_batch *batch = NULL;
  check(sb_batch_open(&batch), "sb_batch_open");
  return batch;
}

static sb_builder *open_builder(sb_memory *memory) {
  sb_builder *builder = NULL;
  check(sb_builder_open(memory, &builder), "sb_builder_open");
  return builder;
}

/* ---- encode ---- */

static void write_view(const char *path, const sb_view *view) {
  FILE *out = fopen(path, "wb");
  if (out == NULL) fail("%s: %s", path, strerror(errno));
  for (size_t i = 0; i < sb_view_span_count(view); i++) {
    const void *data;
    size_t size;
    check(sb_view_span(view, i, &data, &size), "sb_view_span");
    if (fwrite(data, 1, size, out) != size) fail("%s: %s", path, strerror(errno));
  }
  if (fclose(out) != 0) fail("%s: %s", path, strerror(errno));
}

static void encode(const char *log_path, const char *out_path) {
  weblog log = read_log(log_path);
  sb_memory *memory = open_memory();
  sb_builder *builder = open_builder(memory);
  sb_view *frames = NULL;
  double start = now();
  for (size_t i = 0; i < log.count; i++) {
    sb_echo_request request = request_of(&log.lines[i], (int8_t)(uint8_t)i);
    sb_error error;
    if (sb_echo_add_request(builder, &request, &error) != SB_OK) fail("line %zu: %s", i + 1, error.message);
  }
  check(sb_builder_take(builder, &frames), "sb_builder_take");
  double seconds = now() - start;
  size_t size = sb_view_size(frames);
  write_view(out_path, frames);
  sb_view_close(frames);
  sb_builder_close(builder);
  (void)printf("{\"lines\": %zu, \"bytes\": %zu, \"out_of_shape\": %zu, \"seconds\": %.6f, ", log.count, size, log.out_of_shape, seconds);
  report_memory(memory);
  close_log(&log);
}

/* ---- decode ---- */

static void write_hex(FILE *out, const uint8_t *data, size_t size) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < size; i++) {
    (void)putc_unlocked(digits[data[i] >> 4], out);
    (void)putc_unlocked(digits[data[i] & 15], out);
  }
}

static void dump_row(FILE *out, const sb_row *row, const sb_echo_request *request) {
  (void)fprintf(out, "%lld %d %d %lld ", (long long)row->stream_offset, row->api_key, row->sequence, (long long)request->timestamp);
  write_hex(out, request->subject, request->subject_size);
  (void)putc(' ', out);
  for (size_t i = 0; i < request->metadata_count; i++) (void)fprintf(out, i == 0 ? "%d" : ",%d", request->metadata[i]);
  (void)putc(' ', out);
  write_hex(out, request->body, request->body_size);
  (void)putc('\n', out);
}

/* Parses what has been received and reads every row as a request; returns how many. `*requests` grows as needed. */
static size_t parse_requests(sb_parser *parser, sb_batch *batch, sb_echo_request **requests) {
  check(sb_parser_parse(parser, batch), "sb_parser_parse");
  size_t count = sb_batch_row_count(batch);
  *requests = grown(*requests, count, sizeof **requests);
  for (size_t i = 0; i < count; i++) {
    (*requests)[i] = (sb_echo_request){0};
    check(sb_echo_get_request(batch, i, &(*requests)[i]), "sb_echo_get_request");
  }
  return count;
}

static void dump_error(FILE *out, const sb_error *error) {
  (void)fprintf(out, "error %lld %lld %lld %s %s\n", (long long)error->frame, (long long)error->stream_offset,
                (long long)error->frame_offset, error->field, sb_status_name(error->status));
}

/* The errors of all batches, which come after all rows. */
typedef struct refused_list {
  sb_error *items;
  size_t count;
} refused_list;

static void keep_errors(const sb_batch *batch, refused_list *all) {
  size_t count = sb_batch_error_count(batch);
  if (count == 0) return;
  all->items = grown(all->items, all->count + count, sizeof *all->items);
  for (size_t i = 0; i < count; i++) check(sb_batch_get_error(batch, i, &all->items[all->count++]), "sb_batch_get_error");
}

/* Reads once from `file` into the parser's own memory; 0 at the end. */
static size_t receive(int file, sb_parser *parser, int flags) {
  void *data;
  size_t size;
  check(sb_parser_buffer(parser, &data, &size), "sb_parser_buffer");
  ssize_t count;
  do {
    count = flags < 0 ? read(file, data, size) : recv(file, data, size, flags);
  } while (count < 0 && errno == EINTR);
  if (count < 0) fail("cannot receive: %s", strerror(errno));
  check(sb_parser_commit(parser, (size_t)count), "sb_parser_commit");
  return (size_t)count;
}

static void decode(const char *frames_path, const char *dump_path) {
  int frames = open(frames_path, O_RDONLY | O_CLOEXEC);
  if (frames < 0) fail("%s: %s", frames_path, strerror(errno));
  FILE *dump = fopen(dump_path, "wb");
  if (dump == NULL) fail("%s: %s", dump_path, strerror(errno));
  sb_memory *memory = open_memory();
  sb_parser *parser = open_parser(memory, sb_echo_request_schema);
  sb_batch *batch = open_batch();
  sb_echo_request *requests = NULL;
  refused_list errors = {0};
  size_t rows = 0;
  double seconds = 0;
  while (sb_parser_end(parser) == SB_OK && receive(frames, parser, -1) > 0) {
    double start = now();
    size_t count = parse_requests(parser, batch, &requests);
    seconds += now() - start;
    for (size_t i = 0; i < count; i++) {
      sb_row row = {0};
      check(sb_batch_get_row(batch, i, &row), "sb_batch_get_row");
      dump_row(dump, &row, &requests[i]);
    }
    rows += count;
    keep_errors(batch, &errors);
  }
  for (size_t i = 0; i < errors.count; i++) dump_error(dump, &errors.items[i]);
  if (fclose(dump) != 0) fail("%s: %s", dump_path, strerror(errno));
  (void)close(frames);
  sb_batch_close(batch);
  sb_parser_close(parser);
  (void)printf("{\"rows\": %zu, \"errors\": %zu, \"seconds\": %.6f, ", rows, errors.count, seconds);
  report_memory(memory);
  free(requests);
  free(errors.items);
}

/* ---- visits ---- */

enum {
  VISITS_MAX = 10,    /* kept per user */
  VISITS_ADDED = 512, /* at once */
};

static sb_visit_manager *open_visits(const char *path, bool read_only) {
  sb_visit_manager_options options;
  sb_visit_manager_options_init(&options, sizeof options);
  options.max_visits = VISITS_MAX;
  options.read_only = read_only;
  sb_visit_manager *manager = NULL;
  sb_error error;
  if (sb_visit_manager_open(path, &options, &manager, &error) != SB_OK) fail("%s: %s", path, error.message);
  return manager;
}

static void close_visits(sb_visit_manager *manager) {
  sb_error error;
  if (sb_visit_manager_finish(manager, &error) != SB_OK) fail("%s", error.message);
  sb_visit_manager_close(manager);
}

static void add_visits(sb_visit_manager *manager, const sb_visit *visits, size_t count) {
  sb_error error = {.frame = -1};
  if (count > 0 && sb_visit_manager_add_visits(manager, visits, count, &error) != SB_OK)
    fail("line %u: %s", visits[error.frame >= 0 ? error.frame : 0].visit_id, error.message);
}

static size_t read_number(const char *text) {
  char *end;
  errno = 0;
  unsigned long number = strtoul(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number > UINT32_MAX) fail("%s is no number of a line", text);
  return number;
}

/* Adds the lines from `first` to `last`, counted from 1; one with a NUL is no visit. */
static void write_visits(const char *log_path, const char *path, size_t first, size_t last) {
  weblog log = read_log(log_path);
  if (first < 1 || last > log.count) fail("the log has the lines 1 to %zu", log.count);
  sb_visit batch[VISITS_ADDED];
  size_t pending = 0;
  size_t added = 0;
  size_t with_nul = 0;
  double start = now();
  sb_visit_manager *manager = open_visits(path, false);
  for (size_t number = first; number <= last; number++) {
    const weblog_line *line = &log.lines[number - 1];
    if (memchr(line->bytes, 0, line->size) != NULL) {
      with_nul++;
      continue;
    }
    batch[pending++] = (sb_visit){.user = weblog_user(line),
                                  .visit_id = (uint32_t)number,
                                  .time_ns = weblog_time_ns(line),
                                  .url = line->target,
                                  .url_size = line->target_size,
                                  .text = line->bytes,
                                  .text_size = line->size};
    added++;
    if (pending < VISITS_ADDED) continue;
    add_visits(manager, batch, pending);
    pending = 0;
  }
  add_visits(manager, batch, pending);
  close_visits(manager);
  double seconds = now() - start;
  close_log(&log);
  (void)printf("{\"visits\": %zu, \"with_nul\": %zu, \"seconds\": %.6f, \"live_blocks\": %lld}\n", added, with_nul, seconds,
               (long long)sb_memory_live_blocks());
}

static void dump_visit(FILE *out, const sb_visit *visit) {
  (void)fprintf(out, "%u %u %lld ", visit->user, visit->visit_id, (long long)visit->time_ns);
  write_hex(out, visit->url, visit->url_size);
  (void)putc(' ', out);
  write_hex(out, visit->text, visit->text_size);
  (void)putc('\n', out);
}

static size_t count_users(sb_visit_manager *manager) {
  sb_visit_users *users = NULL;
  const sb_visit_user *rows = NULL;
  size_t count;
  sb_error error;
  if (sb_visit_manager_users(manager, &users, &error) != SB_OK) fail("%s", error.message);
  check(sb_visit_users_get_all(users, &rows, &count), "sb_visit_users_get_all");
  sb_visit_users_close(users);
  return count;
}

static void read_visits(const char *path, const char *dump_path) {
  FILE *dump = fopen(dump_path, "wb");
  if (dump == NULL) fail("%s: %s", dump_path, strerror(errno));
  sb_visit_manager *manager = open_visits(path, true);
  sb_visit_scan *scan = NULL;
  sb_error error;
  if (sb_visit_manager_scan(manager, &scan, &error) != SB_OK) fail("%s", error.message);
  size_t total = 0;
  double seconds = 0;
  for (size_t count = 1; count > 0; total += count) {
    sb_visits *visits = NULL;
    const sb_visit *rows = NULL;
    double start = now();
    if (sb_visit_scan_next(scan, 0, &visits, &error) != SB_OK) fail("%s", error.message);
    check(sb_visits_get_all(visits, &rows, &count), "sb_visits_get_all");
    seconds += now() - start;
    for (size_t i = 0; i < count; i++) dump_visit(dump, &rows[i]);
    sb_visits_close(visits);
  }
  sb_visit_scan_close(scan);
  size_t users = count_users(manager);
  close_visits(manager);
  if (fclose(dump) != 0) fail("%s: %s", dump_path, strerror(errno));
  (void)printf("{\"users\": %zu, \"visits\": %zu, \"seconds\": %.6f, \"live_blocks\": %lld}\n", users, total, seconds,
               (long long)sb_memory_live_blocks());
}

/* ---- sockets ---- */

/* Waits until one of `events` is there; false after `timeout_ms`. */
static bool wait_for(int socket, short events, int timeout_ms, short *found) {
  struct pollfd poll_one = {.fd = socket, .events = events};
  int count;
  do {
    count = poll(&poll_one, 1, timeout_ms);
  } while (count < 0 && errno == EINTR);
  if (count < 0) fail("poll: %s", strerror(errno));
  *found = poll_one.revents;
  return count > 0;
}

static void wait_long_for(int socket, short events, short *found) {
  if (!wait_for(socket, events, SILENCE_MS_MAX, found)) fail("the other side was silent for %d s", SILENCE_MS_MAX / 1000);
}

/* A small message must not wait until the one before it is acknowledged. */
static void send_at_once(int socket) {
  int yes = 1;
  if (setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) fail("TCP_NODELAY: %s", strerror(errno));
}

/* Sends what the socket takes now, and drops it from `unsent`. */
static void send_some(int socket, sb_view *unsent) {
  while (sb_view_size(unsent) > 0) {
    const void *data;
    size_t size;
    check(sb_view_span(unsent, 0, &data, &size), "sb_view_span");
    int more = sb_view_span_count(unsent) > 1 ? MSG_MORE : 0;
    ssize_t count = send(socket, data, size, MSG_DONTWAIT | MSG_NOSIGNAL | more);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (count < 0) fail("cannot send: %s", strerror(errno));
    check(sb_view_skip(unsent, (size_t)count), "sb_view_skip");
  }
}

/* ---- serve ---- */

static int listen_and_accept(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) != 0)
    fail("cannot listen on 127.0.0.1: %s", strerror(errno));
  (void)printf("{\"port\": %d}\n", ntohs(address.sin_port));
  (void)fflush(stdout);
  short found;
  wait_long_for(listener, POLLIN, &found);
  int connection = accept(listener, NULL, NULL);
  if (connection < 0) fail("accept: %s", strerror(errno));
  (void)close(listener);
  send_at_once(connection);
  return connection;
}

/* Receives all that is there, after waiting for something if `wait_ms` is not 0; false when the client has ended. */
static bool receive_all(int connection, sb_parser *parser, int wait_ms) {
  short found;
  if (!wait_for(connection, POLLIN, wait_ms, &found)) {
    if (wait_ms == SILENCE_MS_MAX) fail("the client was silent for %d s", SILENCE_MS_MAX / 1000);
    return true;
  }
  do {
    if (receive(connection, parser, MSG_DONTWAIT) == 0) return false;
  } while (wait_for(connection, POLLIN, 0, &found));
  return true;
}

static void parse_into(sb_parser *parser, sb_batch *batch) {
  check(sb_parser_parse(parser, batch), "sb_parser_parse");
  if (sb_batch_error_count(batch) == 0) return;
  sb_error error;
  check(sb_batch_get_error(batch, 0, &error), "sb_batch_get_error");
  fail("frame %lld, field %s: %s", (long long)error.frame, error.field, error.message);
}

/* Adds an answer to every request that has arrived; returns how many. */
static size_t add_answers(sb_parser *parser, sb_batch *batch, sb_builder *builder, size_t first_id) {
  parse_into(parser, batch);
  for (size_t i = 0; i < sb_batch_row_count(batch); i++) {
    sb_echo_request request;
    check(sb_echo_get_request(batch, i, &request), "sb_echo_get_request");
    sb_echo_response response = {
        .id = (int32_t)(first_id + i),
        .sequence = request.sequence,
        .timestamp = request.timestamp,
        .subject = request.subject,
        .subject_size = request.subject_size,
        .body = request.body,
        .body_size = request.body_size,
    };
    sb_error error;
    if (sb_echo_add_response(builder, &response, &error) != SB_OK) fail("%s", error.message);
  }
  return sb_batch_row_count(batch);
}

static void send_all(int connection, sb_builder *builder) {
  sb_view *unsent = NULL;
  check(sb_builder_take(builder, &unsent), "sb_builder_take");
  for (send_some(connection, unsent); sb_view_size(unsent) > 0; send_some(connection, unsent)) {
    short found;
    wait_long_for(connection, POLLOUT, &found);
  }
  sb_view_close(unsent);
}

static void serve(void) {
  int connection = listen_and_accept();
  sb_memory *memory = open_memory();
  sb_parser *parser = open_parser(memory, sb_echo_request_schema);
  sb_builder *builder = open_builder(memory);
  sb_batch *batch = open_batch();
  size_t frames = 0;
  size_t in_flight_max = 0;
  int lulls = 0;
  for (bool open = true; open;) {
    open = receive_all(connection, parser, SILENCE_MS_MAX);
    size_t in_flight = add_answers(parser, batch, builder, frames);
    /* A client that pipelines is still sending: until it was seen to do so, let it, so that the number says what it does, not how
     * the system cut its bytes. */
    while (open && in_flight < IN_FLIGHT_WANTED && in_flight_max < IN_FLIGHT_WANTED && lulls < LULLS_MAX) {
      size_t before = in_flight;
      open = receive_all(connection, parser, LULL_MS);
      in_flight += add_answers(parser, batch, builder, frames + in_flight);
      if (in_flight > before) continue;
      lulls++;
      break;
    }
    if (in_flight > in_flight_max) in_flight_max = in_flight;
    frames += in_flight;
    send_all(connection, builder);
  }
  (void)close(connection);
  sb_batch_close(batch);
  sb_builder_close(builder);
  sb_parser_close(parser);
  (void)printf("{\"frames\": %zu, \"in_flight_max\": %zu, ", frames, in_flight_max);
  report_memory(memory);
}

/* ---- client ---- */

typedef struct client {
  const weblog *log;
  sb_memory *memory;
  sb_pipeline *pipeline;
  sb_builder *builder;
  sb_view *unsent;
  sb_parser *parser;
  sb_batch *batch;
  int socket;
  size_t sent;     /* requests given to `unsent` */
  size_t received; /* responses that were right */
} client;

static int connect_to(const char *port_text) {
  char *end;
  unsigned long port = strtoul(port_text, &end, 10);
  if (*port_text == '\0' || *end != '\0' || port == 0 || port > 65535) fail("%s is no port", port_text);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
  int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof address) != 0)
    fail("cannot connect to port %lu: %s", port, strerror(errno));
  send_at_once(connection);
  return connection;
}

/* Puts as many requests in flight as the pipeline takes. */
static void fill(client *self) {
  while (self->sent < self->log->count && sb_pipeline_in_flight(self->pipeline) < SB_PIPELINE_MAX) {
    int8_t sequence;
    check(sb_pipeline_begin(self->pipeline, self->sent, &sequence), "sb_pipeline_begin");
    sb_echo_request request = request_of(&self->log->lines[self->sent], sequence);
    sb_error error;
    if (sb_echo_add_request(self->builder, &request, &error) != SB_OK) fail("line %zu: %s", self->sent + 1, error.message);
    self->sent++;
  }
  if (sb_builder_frame_count(self->builder) == 0) return;
  sb_view *frames = NULL;
  check(sb_builder_take(self->builder, &frames), "sb_builder_take");
  check(sb_view_append(self->unsent, frames), "sb_view_append");
  sb_view_close(frames);
}

static bool same(const void *a, size_t a_size, const void *b, size_t b_size) {
  return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

static void compare(const client *self, const sb_echo_response *response) {
  uint64_t index;
  sb_status status = sb_pipeline_finish(self->pipeline, response->sequence, &index);
  if (status != SB_OK) fail("response %zu: sequence %d is not in flight", self->received, response->sequence);
  const weblog_line *line = &self->log->lines[index];
  const char *field = NULL;
  if ((uint64_t)response->id != index) field = "id";
  if (field == NULL && response->timestamp != line->time_ms) field = "timestamp";
  if (field == NULL && !same(response->subject, response->subject_size, line->target, line->target_size)) field = "subject";
  if (field == NULL && !same(response->body, response->body_size, line->bytes, line->size)) field = "body";
  if (field != NULL) fail("line %llu: field %s of the response differs from the request", (unsigned long long)index + 1, field);
}

/* Receives what is there and compares the responses; false when the server has ended. */
static bool take_responses(client *self) {
  bool open = receive(self->socket, self->parser, MSG_DONTWAIT) > 0;
  parse_into(self->parser, self->batch);
  for (size_t i = 0; i < sb_batch_row_count(self->batch); i++) {
    sb_echo_response response;
    check(sb_echo_get_response(self->batch, i, &response), "sb_echo_get_response");
    compare(self, &response);
    self->received++;
  }
  return open;
}

/* Sends and receives at the same time, because a server that waits for its responses to be read must not be waited for. */
static void converse(client *self) {
  bool half_closed = false;
  for (bool open = true; open;) {
    fill(self);
    send_some(self->socket, self->unsent);
    bool all_sent = self->sent == self->log->count && sb_view_size(self->unsent) == 0;
    if (all_sent && !half_closed) {
      half_closed = true;
      if (shutdown(self->socket, SHUT_WR) != 0) fail("shutdown: %s", strerror(errno));
    }
    short found;
    wait_long_for(self->socket, (short)(POLLIN | (sb_view_size(self->unsent) > 0 ? POLLOUT : 0)), &found);
    if ((found & (POLLIN | POLLHUP | POLLERR)) != 0) open = take_responses(self);
  }
  if (self->received != self->log->count) fail("the server ended after %zu of %zu responses", self->received, self->log->count);
}

static void run_client(const char *port, const char *log_path) {
  weblog log = read_log(log_path);
  client self = {.log = &log, .memory = open_memory()};
  check(sb_pipeline_open(&self.pipeline), "sb_pipeline_open");
  check(sb_view_open(NULL, 0, self.memory, &self.unsent), "sb_view_open");
  self.builder = open_builder(self.memory);
  self.parser = open_parser(self.memory, sb_echo_response_schema);
  self.batch = open_batch();
  self.socket = connect_to(port);
  double start = now();
  converse(&self);
  double seconds = now() - start;
  (void)close(self.socket);
  sb_batch_close(self.batch);
  sb_parser_close(self.parser);
  sb_builder_close(self.builder);
  sb_view_close(self.unsent);
  sb_pipeline_close(self.pipeline);
  (void)printf("{\"frames\": %zu, \"seconds\": %.6f, ", self.received, seconds);
  report_memory(self.memory);
  close_log(&log);
}

int main(int count, char **arguments) {
  if (count == 4 && strcmp(arguments[1], "encode") == 0)
    encode(arguments[2], arguments[3]);
  else if (count == 4 && strcmp(arguments[1], "decode") == 0)
    decode(arguments[2], arguments[3]);
  else if (count == 2 && strcmp(arguments[1], "serve") == 0)
    serve();
  else if (count == 4 && strcmp(arguments[1], "client") == 0)
    run_client(arguments[2], arguments[3]);
  else if (count == 6 && strcmp(arguments[1], "write-visits") == 0)
    write_visits(arguments[2], arguments[3], read_number(arguments[4]), read_number(arguments[5]));
  else if (count == 4 && strcmp(arguments[1], "read-visits") == 0)
    read_visits(arguments[2], arguments[3]);
  else
    fail("usage: demo_c encode LOG OUT | decode FRAMES DUMP | serve | client PORT LOG | write-visits LOG FILE FIRST LAST | read-visits "
         "FILE DUMP");
  return fflush(stdout) == 0 ? 0 : 1;
}
