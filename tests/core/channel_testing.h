#ifndef CHANNEL_TESTING_H
#define CHANNEL_TESTING_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

/* What the tests of channels share: two ends in one process, and a peer that is not made of the library, but speaks the protocol of
 * docs/exchange.md by itself, as it likes. */

#include "memory_testing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct ends {
  sb_channel *a, *b;
} ends;

static inline sb_channel *open_channel(int file, const sb_channel_options *options) {
  sb_channel *channel = NULL;
  sb_error error;
  if (sb_channel_open(file, options, &channel, &error) != SB_OK) fail_msg("%s", error.message);
  assert_int_equal(close(file), 0); /* the channel has a duplicate */
  return channel;
}

static inline ends open_ends(const sb_channel_options *options) {
  int files[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, files), 0);
  return (ends){open_channel(files[0], options), open_channel(files[1], options)};
}

static inline void close_ends(ends *both) {
  sb_channel_close(both->a);
  sb_channel_close(both->b);
}

static inline sb_memory *open_shared(uint32_t segment_size) {
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_shared(segment_size, 0, &memory));
  return memory;
}

static inline sb_block *get_block(sb_memory *memory, size_t size) {
  sb_block *block = NULL;
  assert_ok(sb_memory_get_block(memory, size, &block));
  return block;
}

static inline sb_view *view_of_text(sb_memory *memory, const char *text) {
  sb_view *view = NULL;
  assert_ok(sb_view_open(text, strlen(text), memory, &view));
  return view;
}

static inline int open_files(void) {
  int count = 0;
  for (int i = 0; i < 512; i++) count += fcntl(i, F_GETFD) >= 0;
  return count;
}

/* How many segments, and pieces of them, are mapped. */
static inline int mapped_segments(void) {
  char line[512];
  int count = 0;
  FILE *maps = fopen("/proc/self/maps", "re");
  assert_non_null(maps);
  while (fgets(line, sizeof line, maps) != NULL) count += strstr(line, "memfd:") != NULL;
  (void)fclose(maps);
  return count;
}

/* ---- a peer that is not made of the library ---- */

enum {
  WIRE_RECORD = 64,
  WIRE_SEGMENT = 1,
  WIRE_SPAN = 2,
  WIRE_DONE = 3,
  WIRE_END = 4,
  WIRE_FILES = 5,
  WIRE_AHEAD = 32, /* records of an announcement behind the first one */
  WIRE_SEGMENT_SIZE = 4096,
  WIRE_FILES_MAX = 64,
};

typedef struct wire {
  uint8_t kind, mode, more;
  uint64_t slot, pin, size, offset, tag, key;
} wire;

static inline void wire_put(uint8_t *data, wire said) {
  const uint64_t numbers[] = {said.slot, said.pin, said.size, said.offset, said.tag, said.key, 0};
  memcpy(data, "SBX1", 4);
  data[4] = said.kind;
  data[5] = said.mode;
  data[6] = said.more;
  data[7] = 0;
  for (size_t i = 0; i < 7; i++)
    for (size_t byte = 0; byte < 8; byte++) data[8 + 8 * i + byte] = (uint8_t)(numbers[i] >> 8 * byte);
}

static inline uint64_t wire_number(const uint8_t *data, size_t index) {
  uint64_t number = 0;
  for (size_t byte = 8; byte-- > 0;) number = number << 8 | data[8 + 8 * index + byte];
  return number;
}

/* Bytes to say, and the place of those that bring descriptors. */
typedef struct speech {
  uint8_t bytes[WIRE_RECORD * 128];
  size_t size;
  size_t files_at;
  int files[WIRE_FILES_MAX];
  size_t file_count;
} speech;

static inline void say(speech *to, wire said) {
  assert_true(to->size + WIRE_RECORD <= sizeof to->bytes);
  wire_put(to->bytes + to->size, said);
  to->size += WIRE_RECORD;
}

/* Announces descriptors, and gives them to the next byte. */
static inline void say_files(speech *to, const int *files, size_t count) {
  for (uint64_t ahead = WIRE_AHEAD + 1; ahead-- > 0;) say(to, (wire){.kind = WIRE_FILES, .size = ahead});
  to->files_at = to->size;
  for (size_t i = 0; i < count; i++) to->files[i] = files[i];
  to->file_count = count;
}

static inline ssize_t send_with_files(int socket, const void *data, size_t size, const int *files, size_t count) {
  struct iovec bytes = {(void *)(uintptr_t)data, size};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * WIRE_FILES_MAX)];
  } room = {.bytes = {0}};
  struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = room.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    room.header.cmsg_level = SOL_SOCKET;
    room.header.cmsg_type = SCM_RIGHTS;
    room.header.cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(&room.header), files, sizeof(int) * count);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Sends the bytes from `from` to `to` of a speech, with the descriptors where they belong. */
static inline void speak_part(int socket, const speech *said, size_t from, size_t to) {
  size_t middle = from;
  if (said->file_count > 0 && from < said->files_at) middle = said->files_at < to ? said->files_at : to;
  if (middle > from) assert_int_equal(send_with_files(socket, said->bytes + from, middle - from, NULL, 0), middle - from);
  if (middle == to) return;
  const size_t files = said->file_count > 0 && middle == said->files_at ? said->file_count : 0;
  assert_int_equal(send_with_files(socket, said->bytes + middle, to - middle, said->files, files), to - middle);
}

static inline void speak(int socket, const speech *said) { speak_part(socket, said, 0, said->size); }

/* A sealed segment of WIRE_SEGMENT_SIZE bytes, all of them `content`. */
static inline int wire_segment(uint8_t content) {
  uint8_t bytes[WIRE_SEGMENT_SIZE];
  memset(bytes, content, sizeof bytes);
  const int file = memfd_create("peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  assert_true(file >= 0);
  assert_int_equal(write(file, bytes, sizeof bytes), sizeof bytes);
  assert_int_equal(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
  return file;
}

/* A channel whose other end is `socket`. */
typedef struct strange_ends {
  int socket;
  sb_channel *channel;
} strange_ends;

static inline strange_ends open_strange(const sb_channel_options *options) {
  int files[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, files), 0);
  return (strange_ends){files[0], open_channel(files[1], options)};
}

static inline void close_strange(const strange_ends *both) {
  sb_channel_close(both->channel);
  (void)close(both->socket);
}

/* What the channel has told since the last time: records, at most `most` of them. -1: the socket has ended, and there is nothing before. */
static inline int hear(int socket, uint8_t *records, size_t most) {
  const ssize_t got = recv(socket, records, most * WIRE_RECORD, MSG_DONTWAIT);
  if (got < 0) {
    if (errno == ECONNRESET) return -1;
    assert_int_equal(errno, EAGAIN);
    return 0;
  }
  assert_int_equal(got % WIRE_RECORD, 0);
  return got == 0 ? -1 : (int)(got / WIRE_RECORD);
}

/* Tells the channel a segment in `slot`, of which all bytes are `content`. */
static inline void speak_segment(int socket, uint64_t slot, uint8_t content) {
  speech said = {.size = 0};
  const int file = wire_segment(content);
  say_files(&said, &file, 1);
  say(&said, (wire){.kind = WIRE_SEGMENT, .mode = SB_ARRIVAL_VIEW, .slot = slot, .size = WIRE_SEGMENT_SIZE});
  speak(socket, &said);
  (void)close(file);
}

static inline void speak_span(int socket, uint64_t slot, uint64_t pin, uint64_t size) {
  speech said = {.size = 0};
  say(&said, (wire){.kind = WIRE_SPAN, .mode = SB_ARRIVAL_VIEW, .slot = slot, .pin = pin, .size = size, .tag = pin});
  speak(socket, &said);
}

#endif
