/* The records of a channel: a peer that is not made of the library says what is right, what is nearly right, and anything, with descriptors
 * that fit and others, in any portions. What it said before its first lie arrives as it was said, whole and in order; after it the channel ends,
 * and what was received stays what it was. Nothing stays open or out.
 *
 * bug: core/src/shared_channel.c
 * <   if (channel->files_ahead > 0) room = channel->files_ahead * (size_t)RECORD - channel->input_size;
 * >   if (channel->files_ahead > FILES_AHEAD) room = channel->files_ahead * (size_t)RECORD - channel->input_size;
 *
 * bug: core/src/shared_channel.c
 * <   else if (said->size == 0 || said->size > from->size - said->offset || said->size > SB_BLOCK_SIZE_MAX)
 * >   else if (said->size == 0 || said->size > from->size || said->size > SB_BLOCK_SIZE_MAX)
 *
 * bug: core/src/shared_channel.c
 * <   if (said->slot >= SLOTS || (channel->slots[said->slot] != NULL && channel->slots[said->slot]->blocks > 0)) {
 * >   if (said->slot >= SLOTS || (channel->slots[said->slot] != NULL && channel->slots[said->slot]->blocks > 1)) {
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <samebytes/samebytes.h>

enum {
  RECORD = 64,
  SIZE = 4096, /* of a segment */
  SLOTS = 4,   /* of those that there are, so that each is used often */
  SPANS_MAX = 4,
  WAITING_MAX = 256,
  HELD_MAX = 16,
  STREAM_MAX = 1 << 16,
  GOOD_FILES = 4, /* sealed segments, of which all bytes are 1 + their number */
  FILES = GOOD_FILES + 3,
  SEGMENT = 1,
  SPAN,
  DONE,
  END,
  ANNOUNCEMENT
};

/* A message that was said, and is to arrive. */
typedef struct message {
  int32_t mode;
  size_t count;
  struct {
    size_t slot, size;
    uint8_t content;
  } spans[SPANS_MAX];
} message;

typedef struct held {
  message what;
  sb_view *view;
  sb_block *block;
} held;

typedef struct game {
  int socket; /* of the peer; -1: it has ended it */
  sb_channel *channel;
  sb_memory *memory;
  bool lied; /* what comes after that may be anything */
  uint8_t stream[STREAM_MAX];
  size_t said, flushed;
  size_t files_at[64], file_first[64], file_count[64], groups; /* descriptors that come with the byte at files_at */
  int files[256];
  size_t file_total;
  uint8_t contents[SLOTS]; /* of the segment in each slot; 0: none */
  int32_t modes[SLOTS];
  size_t out[SLOTS]; /* spans of it that are on their way, or held */
  message waiting[WAITING_MAX];
  size_t first, last;
  held held[HELD_MAX];
  uint64_t pins[64]; /* of the channel's own messages */
  size_t pin_count;
} game;

static int files[FILES];

static int segment(uint8_t content, int seals) {
  uint8_t bytes[SIZE];
  memset(bytes, content, sizeof bytes);
  const int file = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  FUZZ_HOLDS(file >= 0 && write(file, bytes, SIZE) == SIZE && fcntl(file, F_ADD_SEALS, seals) == 0);
  return file;
}

static void begin(void) {
  if (files[0] != 0) return;
  const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  for (int i = 0; i < GOOD_FILES; i++) files[i] = segment((uint8_t)(1 + i), all);
  files[GOOD_FILES] = segment(9, F_SEAL_GROW);
  files[GOOD_FILES + 1] = open("/dev/zero", O_RDWR | O_CLOEXEC);
  files[GOOD_FILES + 2] = open("/", O_RDONLY | O_CLOEXEC);
}

static int lowest_free_descriptor(void) {
  const int file = dup(0);
  FUZZ_HOLDS(file >= 0);
  close(file);
  return file;
}

/* ---- saying ---- */

static void say_bytes(game *it, const void *bytes, size_t size) {
  FUZZ_HOLDS(it->said + size <= STREAM_MAX);
  memcpy(it->stream + it->said, bytes, size);
  it->said += size;
}

static uint8_t *say(game *it, uint8_t kind, int32_t mode, uint8_t more, uint64_t slot, uint64_t pin, uint64_t size, uint64_t offset) {
  uint8_t record[RECORD] = {'S', 'B', 'X', '1', kind, (uint8_t)mode, more};
  const uint64_t numbers[] = {slot, pin, size, offset};
  for (size_t i = 0; i < 4; i++)
    for (size_t byte = 0; byte < 8; byte++) record[8 + 8 * i + byte] = (uint8_t)(numbers[i] >> 8 * byte);
  say_bytes(it, record, sizeof record);
  return it->stream + it->said - RECORD;
}

static void announce(game *it) {
  for (uint64_t ahead = 33; ahead-- > 0;) (void)say(it, ANNOUNCEMENT, 0, 0, 0, 0, ahead, 0);
}

/* The byte that is said next brings descriptors. */
static void give_files(game *it, const int *given, size_t count) {
  if (count == 0) return;
  it->files_at[it->groups] = it->said;
  it->file_first[it->groups] = it->file_total;
  it->file_count[it->groups++] = count;
  for (size_t i = 0; i < count; i++) it->files[it->file_total++] = given[i];
}

static bool room(const game *it) {
  return it->said + 64 * RECORD < STREAM_MAX && it->last < WAITING_MAX && it->groups < 64 && it->file_total + 40 < 256;
}

static void expect(game *it, const message *said) {
  if (it->lied) return;
  it->waiting[it->last++] = *said;
  for (size_t i = 0; i < said->count; i++) it->out[said->spans[i].slot]++;
}

/* A view or a block of bytes of segments that the channel knows; those in `fresh` are told first. */
static void say_message(game *it, source *from, size_t fresh) {
  message said = {.mode = SB_ARRIVAL_VIEW, .count = 1 + draw(from) % SPANS_MAX};
  if (draw(from) % 4 == 0) said.mode = SB_ARRIVAL_BLOCK, said.count = 1, fresh = fresh > 1 ? 1 : fresh;
  size_t slots[SPANS_MAX], told = 0;
  int given[SPANS_MAX];
  for (size_t slot = draw(from) % SLOTS, i = 0; i < SLOTS && told < fresh; i++, slot = (slot + 1) % SLOTS)
    if (it->out[slot] == 0) slots[told++] = slot;
  if (told > 0) announce(it);
  for (size_t i = 0; i < told; i++) {
    const size_t which = draw(from) % GOOD_FILES;
    given[i] = files[which];
    if (it->lied) continue;
    it->contents[slots[i]] = (uint8_t)(1 + which);
    it->modes[slots[i]] = said.mode;
  }
  give_files(it, given, told);
  for (size_t i = 0; i < told; i++) (void)say(it, SEGMENT, said.mode, 0, slots[i], 0, SIZE, 0);
  size_t known[SLOTS], known_count = 0;
  for (size_t slot = 0; slot < SLOTS; slot++)
    if (it->contents[slot] != 0 && it->modes[slot] == said.mode) known[known_count++] = slot;
  if (known_count == 0) return;
  for (size_t i = 0; i < said.count; i++) {
    const size_t slot = known[draw(from) % known_count], offset = draw(from) * (size_t)64 % SIZE;
    const size_t size = 1 + draw(from) * (size_t)17 % (SIZE - offset);
    said.spans[i].slot = slot;
    said.spans[i].size = size;
    said.spans[i].content = it->contents[slot];
    (void)say(it, SPAN, said.mode, i + 1 < said.count, slot, 7, size, offset);
  }
  expect(it, &said);
}

static void lie(game *it, source *from) {
  uint8_t *record;
  const size_t count = draw(from) % 40;
  int given[40];
  it->lied = true;
  switch (draw(from) % 5) {
  case 0: /* nearly a span */
    record = say(it, SPAN, 1 + draw(from) % 2, draw(from) % 3, draw(from) % (SLOTS + 1), 0, 1 + draw(from) * (uint64_t)17,
                 draw(from) * (uint64_t)17);
    if (draw(from) % 4 == 0) record[draw(from) % RECORD] = draw(from);
    break;
  case 1: /* nearly a segment, and descriptors that may be too many, too few, or wrong */
    if (draw(from) % 4 > 0) announce(it);
    for (size_t i = 0; i < count; i++) given[i] = files[draw(from) % FILES];
    give_files(it, given, draw(from) % 4 > 0 ? count % 3 : count);
    record = say(it, SEGMENT, 1 + draw(from) % 2, 0, draw(from) % SLOTS, 0, draw(from) % 4 > 0 ? SIZE : draw(from) * (uint64_t)64, 0);
    if (draw(from) % 4 == 0) record[draw(from) % RECORD] = draw(from);
    break;
  case 2:
    announce(it);
    it->said -= RECORD * (size_t)(draw(from) % 33);
    break;
  case 3: (void)say(it, draw(from) % 7, draw(from) % 3, 0, 0, draw(from), draw(from), 0); break;
  default:
    for (size_t i = 0; i < count; i++) {
      const uint8_t byte = draw(from);
      say_bytes(it, &byte, 1);
    }
  }
}

/* Sends up to `most` bytes of what was said. */
static void flush(game *it, size_t most) {
  while (it->socket >= 0 && most > 0 && it->flushed < it->said) {
    size_t end = it->said, group = it->groups;
    for (size_t i = 0; i < it->groups; i++) {
      if (it->files_at[i] == it->flushed) group = i;
      if (it->files_at[i] > it->flushed && it->files_at[i] < end) end = it->files_at[i];
    }
    struct iovec bytes = {it->stream + it->flushed, end - it->flushed < most ? end - it->flushed : most};
    union {
      struct cmsghdr header;
      char bytes[CMSG_SPACE(sizeof(int) * 40)];
    } control = {.bytes = {0}};
    struct msghdr told = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (group < it->groups) {
      told.msg_control = control.bytes;
      told.msg_controllen = CMSG_SPACE(sizeof(int) * it->file_count[group]);
      control.header = (struct cmsghdr){CMSG_LEN(sizeof(int) * it->file_count[group]), SOL_SOCKET, SCM_RIGHTS};
      memcpy(CMSG_DATA(&control.header), it->files + it->file_first[group], sizeof(int) * it->file_count[group]);
    }
    const ssize_t sent = sendmsg(it->socket, &told, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return;
    it->flushed += (size_t)sent;
    most -= (size_t)sent;
  }
}

/* Hears what the channel says, and learns its pins. */
static void hear(game *it) {
  uint8_t heard[RECORD * 128];
  ssize_t got;
  while (it->socket >= 0 && (got = recv(it->socket, heard, sizeof heard, MSG_DONTWAIT)) > 0) {
    FUZZ_HOLDS(got % RECORD == 0 && memcmp(heard, "SBX1", 4) == 0);
    for (ssize_t at = 0; at < got; at += RECORD) {
      uint64_t pin = 0;
      for (int byte = 8; byte-- > 0;) pin = pin << 8 | heard[at + 16 + byte];
      if (heard[at + 4] == SPAN && it->pin_count < 64) it->pins[it->pin_count++] = pin;
    }
  }
}

/* ---- receiving ---- */

static void same_bytes(const held *one) {
  size_t span = 0, of_span = 0;
  const size_t pieces = one->view != NULL ? sb_view_span_count(one->view) : 1;
  for (size_t i = 0; i < pieces; i++) {
    const void *data = one->block != NULL ? sb_block_data(one->block) : NULL;
    size_t size = sb_block_size(one->block);
    if (one->view != NULL) FUZZ_HOLDS(sb_view_span(one->view, i, &data, &size) == SB_OK);
    FUZZ_HOLDS((uintptr_t)data % SIZE + size <= SIZE); /* nothing outside of a segment */
    for (size_t at = 0; at < size; at++, of_span++) {
      if (one->what.count > 0 && of_span == one->what.spans[span].size) span++, of_span = 0;
      FUZZ_HOLDS(one->what.count == 0 || (span < one->what.count && ((const uint8_t *)data)[at] == one->what.spans[span].content));
      FUZZ_HOLDS(((const uint8_t *)data)[at] <= 9);
    }
  }
  FUZZ_HOLDS(one->what.count == 0 || (span == one->what.count - 1 && of_span == one->what.spans[span].size));
}

static void let_go(game *it, held *one) {
  same_bytes(one);
  for (size_t i = 0; i < one->what.count; i++) it->out[one->what.spans[i].slot]--;
  sb_view_close(one->view);
  sb_block_close(one->block);
  *one = (held){.view = NULL};
}

static sb_status receive(game *it, size_t place) {
  int32_t kind = 0;
  uint64_t tag;
  sb_error error = {0};
  held *one = &it->held[place % HELD_MAX];
  if (one->view != NULL || one->block != NULL) let_go(it, one);
  sb_status status = sb_channel_next(it->channel, 0, &kind, &tag, &error);
  if (status != SB_OK) {
    FUZZ_HOLDS(error.status == status && error.message[0] != 0);
    FUZZ_HOLDS(status == SB_TIMEOUT || status == SB_UNAVAILABLE || ((status == SB_CORRUPT || status == SB_TOO_LARGE) && it->lied));
    return status;
  }
  if (kind == SB_ARRIVAL_VIEW)
    status = sb_channel_receive_view(it->channel, 0, &one->view, &error);
  else
    status = sb_channel_receive_block(it->channel, 0, &one->block, &error);
  FUZZ_HOLDS(status == SB_OK);
  if (it->first < it->last) {
    one->what = it->waiting[it->first++];
    FUZZ_HOLDS(one->what.mode == kind);
  } else {
    FUZZ_HOLDS(it->lied); /* perhaps it was none */
  }
  same_bytes(one);
  return status;
}

static void send_one(game *it) {
  sb_view *view = NULL;
  sb_error error;
  FUZZ_HOLDS(sb_view_open("mine", 4, it->memory, &view) == SB_OK);
  const sb_status status = sb_channel_send_view(it->channel, view, 1, 0, &error);
  FUZZ_HOLDS(status == SB_OK || status == SB_TIMEOUT || it->lied || it->socket < 0);
  sb_view_close(view);
}

static void step(game *it, source *from) {
  const uint8_t what = draw(from);
  switch (what % 16) {
  case 0:
  case 1:
  case 2:
    if (room(it)) say_message(it, from, 0);
    break;
  case 3:
  case 4:
    if (room(it)) say_message(it, from, 1 + draw(from) % 3);
    break;
  case 5:
    if (room(it) && what >= 192) lie(it, from);
    break;
  case 6: flush(it, 1 + draw(from)); break;
  case 7: flush(it, 1 + draw(from) * (size_t)16); break;
  case 8: flush(it, STREAM_MAX); break;
  case 9:
  case 10:
  case 11: (void)receive(it, what / 16); break;
  case 12: {
    held *one = &it->held[what / 16];
    if (one->view != NULL || one->block != NULL) let_go(it, one);
    break;
  }
  case 13:
    hear(it);
    if (it->pin_count > 0 && room(it)) (void)say(it, DONE, 0, 0, 0, it->pins[--it->pin_count], 0, 0);
    break;
  case 14: send_one(it); break;
  default:
    if (what < 64) {
      (void)!sb_channel_wait_done(it->channel, 0, NULL);
    } else if (what < 128) {
      (void)!sb_channel_pin_count(it->channel);
    } else if (what >= 240 && it->socket >= 0) {
      close(it->socket); /* what was not flushed is never said */
      it->socket = -1;
      it->lied = true;
      it->last = it->first;
    }
  }
}

/* All that was said before a lie arrives. */
static void receive_all(game *it) {
  sb_status status = SB_OK;
  for (int i = 0; i < 4 * WAITING_MAX && status != SB_UNAVAILABLE && status != SB_CORRUPT && status != SB_TOO_LARGE; i++) {
    flush(it, STREAM_MAX);
    hear(it);
    status = receive(it, (size_t)i);
    if (status == SB_TIMEOUT && it->flushed == it->said) break;
  }
  FUZZ_HOLDS(it->first == it->last || it->socket < 0);
  FUZZ_HOLDS(it->lied || status == SB_TIMEOUT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return -1;
  begin();
  source from = {data, data + size};
  static game it;
  memset(&it, 0, sizeof it);
  const int lowest = lowest_free_descriptor();
  const uint8_t end = draw(&from);
  int sockets[2];
  FUZZ_HOLDS(sb_memory_open_shared(1, 0, &it.memory) == SB_OK);
  FUZZ_HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
  it.socket = sockets[0];
  FUZZ_HOLDS(sb_channel_open(sockets[1], NULL, &it.channel, NULL) == SB_OK);
  close(sockets[1]);
  for (int steps = 0; from.at < from.end && steps < 400; steps++) step(&it, &from);
  if (end % 2 == 0) receive_all(&it);
  if (end % 3 == 0 && it.socket >= 0) close(it.socket), it.socket = -1;
  if (end % 5 == 0) sb_channel_stop(it.channel);
  if (end % 7 > 2) sb_channel_close(it.channel);
  for (size_t i = 0; i < HELD_MAX; i++) let_go(&it, &it.held[i]);
  if (end % 7 <= 2) sb_channel_close(it.channel);
  if (it.socket >= 0) close(it.socket);
  sb_memory_close(it.memory);
  FUZZ_HOLDS(sb_memory_live_blocks() == 0);
  FUZZ_HOLDS(lowest_free_descriptor() == lowest);
  return 0;
}
