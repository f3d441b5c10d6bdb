/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=mmap,--wrap=sendmsg,--wrap=recvmsg,--wrap=memfd_create,--wrap=ftruncate */
#include "channel_testing.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "cancel_testing.h"
#include "failing_malloc.h"

/* What goes wrong at channels: messages that are read in parts, ends of every kind while something is shown, limits of this process,
 * refusals of the system, threads that are cancelled. */

/* ---- refusals of the system ---- */

typedef enum call {
  CALL_SEND,
  CALL_RECEIVE,
  CALL_MEMFD,
  CALL_RESIZE,
  CALL_MAP,
  CALLS
} call;

static struct {
  long after, times;
  int problem;
} refusals[CALLS];

/* The calls of that kind fail with `problem`, `times` times, when `after` of them have succeeded. */
static void refuse(call which, int problem, long after, long times) {
  refusals[which].after = after;
  refusals[which].times = times;
  refusals[which].problem = problem;
}

static bool refused(call which) {
  if (refusals[which].times == 0 || refusals[which].after-- > 0) return false;
  refusals[which].times--;
  errno = refusals[which].problem;
  return true;
}

static bool flood; /* the socket gives bytes without end */
static _Atomic long receives;

ssize_t __real_sendmsg(int socket, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int socket, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int socket, const struct msghdr *message, int flags) {
  return refused(CALL_SEND) ? -1 : __real_sendmsg(socket, message, flags);
}

ssize_t __real_recvmsg(int socket, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int socket, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int socket, struct msghdr *message, int flags) {
  receives++;
  if (refused(CALL_RECEIVE)) return -1;
  if (!flood) return __real_recvmsg(socket, message, flags);
  memset(message->msg_iov->iov_base, 'x', message->msg_iov->iov_len);
  message->msg_flags = 0;
  message->msg_controllen = 0;
  return (ssize_t)message->msg_iov->iov_len;
}

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags) { return refused(CALL_MEMFD) ? -1 : __real_memfd_create(name, flags); }

int __real_ftruncate(int file, off_t size);
int __wrap_ftruncate(int file, off_t size);
int __wrap_ftruncate(int file, off_t size) { return refused(CALL_RESIZE) ? -1 : __real_ftruncate(file, size); }

void *__real_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
  return refused(CALL_MAP) ? MAP_FAILED : __real_mmap(address, size, protection, flags, file, offset);
}

/* ---- what is received, and how it is compared ---- */

static sb_view *receive_view(sb_channel *channel) {
  sb_view *view = NULL;
  sb_error error;
  if (sb_channel_receive_view(channel, 0, &view, &error) != SB_OK) fail_msg("%s", error.message);
  return view;
}

static void receive_and_close(sb_channel *channel, uint64_t tag) {
  int32_t kind;
  uint64_t found = 0;
  sb_error error;
  if (sb_channel_next(channel, 0, &kind, &found, &error) != SB_OK) fail_msg("%s", error.message);
  assert_int_equal(found, tag);
  sb_view_close(receive_view(channel));
}

static sb_status view_status(sb_channel *channel, sb_error *error) {
  sb_view *view = NULL;
  const sb_status status = sb_channel_receive_view(channel, 0, &view, error);
  if (status == SB_OK) sb_view_close(view);
  return status;
}

static void receive_nothing(sb_channel *channel) { assert_int_equal(view_status(channel, NULL), SB_TIMEOUT); }

/* A view of `count` spans, each in a segment of its own: "a", "bb", "ccc" and so on. */
static sb_view *view_of_segments(sb_memory *memory, size_t count) {
  sb_view *whole = NULL;
  assert_ok(sb_view_open(NULL, 0, memory, &whole));
  for (size_t i = 0; i < count; i++) {
    char text[SB_CHANNEL_SPANS_MAX + 1];
    memset(text, 'a' + (int)i, i + 1);
    text[i + 1] = '\0';
    sb_view *one = view_of_text(memory, text);
    assert_ok(sb_view_append(whole, one));
    sb_view_close(one);
  }
  return whole;
}

/* ---- messages that are read in parts ---- */

/* Two honest ends: what was sent before lies in the socket, so that a read ends anywhere in the message that has the descriptors. */
static void every_backlog_before_every_number_of_new_segments(void **state) {
  (void)state;
  sb_memory *one = open_shared(0), *many = open_shared(1);
  sb_view *small = view_of_text(one, "small");
  for (size_t segments = 1; segments <= SB_CHANNEL_SPANS_MAX; segments++) {
    sb_view *large = view_of_segments(many, segments);
    for (uint64_t backlog = 0; backlog <= 70; backlog++) {
      ends both = open_ends(NULL);
      if (backlog % 2 == 0) { /* otherwise the small ones bring a segment, too */
        assert_ok(sb_channel_send_view(both.a, small, 0, 0, NULL));
        sb_view_close(receive_view(both.b));
      }
      for (uint64_t i = 0; i < backlog; i++) assert_ok(sb_channel_send_view(both.a, small, i, 0, NULL));
      assert_ok(sb_channel_send_view(both.a, large, backlog, 0, NULL));
      assert_ok(sb_channel_send_view(both.a, small, backlog + 1, 0, NULL));
      for (uint64_t i = 0; i < backlog; i++) receive_and_close(both.b, i);
      sb_view *got = receive_view(both.b);
      assert_true(sb_view_equals(got, large));
      sb_view_close(got);
      receive_and_close(both.b, backlog + 1);
      assert_ok(sb_channel_wait_done(both.a, 0, NULL));
      close_ends(&both);
    }
    sb_view_close(large);
  }
  sb_view_close(small);
  sb_memory_close(one);
  sb_memory_close(many);
  assert_no_live_blocks();
}

typedef enum message {
  ONE_SPAN,
  THREE_SPANS,
  ONE_SEGMENT,
  THREE_SEGMENTS,
  BLOCK_SEGMENT,
  PIN_DONE,
  ANNOUNCED_FOR_NOTHING,
  MESSAGES
} message;

static wire span_of(uint64_t slot, uint8_t more) {
  return (wire){.kind = WIRE_SPAN, .mode = SB_ARRIVAL_VIEW, .more = more, .slot = slot, .size = 4, .tag = 5};
}

static void say_segments(speech *said, uint64_t slot, uint8_t mode, const int *files, size_t count) {
  say_files(said, files, count);
  for (size_t i = 0; i < count; i++) say(said, (wire){.kind = WIRE_SEGMENT, .mode = mode, .slot = slot + i, .size = WIRE_SEGMENT_SIZE});
}

/* The message, and the text that its bytes are. Slot 0 is known, and all its bytes are '0'. */
static const char *say_message(speech *said, message which, const int *files, uint64_t pin) {
  said->size = said->file_count = 0;
  switch (which) {
  case ONE_SPAN: say(said, span_of(0, 0)); return "0000";
  case THREE_SPANS:
    for (int i = 0; i < 3; i++) say(said, span_of(0, i < 2));
    return "000000000000";
  case ONE_SEGMENT:
    say_segments(said, 1, SB_ARRIVAL_VIEW, files, 1);
    say(said, span_of(1, 0));
    return "1111";
  case THREE_SEGMENTS:
    say_segments(said, 1, SB_ARRIVAL_VIEW, files, 3);
    for (uint64_t i = 0; i < 3; i++) say(said, span_of(1 + i, i < 2));
    return "111122223333";
  case BLOCK_SEGMENT:
    say_segments(said, 4, SB_ARRIVAL_BLOCK, files, 1);
    say(said, (wire){.kind = WIRE_SPAN, .mode = SB_ARRIVAL_BLOCK, .slot = 4, .size = 4, .tag = 5});
    return "1111";
  case PIN_DONE: say(said, (wire){.kind = WIRE_DONE, .pin = pin}); return NULL;
  case ANNOUNCED_FOR_NOTHING:
    say_files(said, NULL, 0);
    say(said, span_of(0, 0));
    return "0000";
  default: fail(); return NULL;
  }
}

static void receive_text(sb_channel *channel, message which, const char *text) {
  if (which == BLOCK_SEGMENT) {
    sb_block *block = NULL;
    assert_ok(sb_channel_receive_block(channel, 0, &block, NULL));
    assert_memory_equal(sb_block_data(block), text, sb_block_size(block));
    sb_block_close(block);
    return;
  }
  sb_view *view = receive_view(channel);
  assert_view_shows_text(view, text);
  sb_view_close(view);
}

/* The peer says the message in two parts, and the channel looks in between. */
static void message_in_two_parts(const strange_ends *both, message which, const int *files, uint64_t backlog, size_t split,
                                 sb_block *block) {
  uint8_t heard[WIRE_RECORD * 64];
  speech said;
  uint64_t pin = 0;
  if (which == PIN_DONE) {
    assert_ok(sb_channel_send_block(both->channel, block, 1, 0, 0, NULL));
    int count;
    do count = hear(both->socket, heard, 64);
    while (count > 0 && heard[(size_t)(count - 1) * WIRE_RECORD + 4] != WIRE_SPAN);
    assert_true(count > 0);
    pin = wire_number(heard + (size_t)(count - 1) * WIRE_RECORD, 1);
  }
  const char *text = say_message(&said, which, files, pin);
  if (split >= said.size) split = said.size - 1;
  for (uint64_t i = 0; i < backlog; i++) speak_span(both->socket, 0, i, 4);
  speak_part(both->socket, &said, 0, split);
  int32_t kind;
  uint64_t tag;
  const sb_status status = sb_channel_next(both->channel, 0, &kind, &tag, NULL);
  assert_int_equal(status, backlog > 0 ? SB_OK : SB_TIMEOUT);
  assert_int_equal(sb_channel_pin_count(both->channel), which == PIN_DONE);
  speak_part(both->socket, &said, split, said.size);
  speak_span(both->socket, 0, 77, 4);
  for (uint64_t i = 0; i < backlog; i++) receive_and_close(both->channel, i);
  if (text != NULL) receive_text(both->channel, which, text);
  receive_and_close(both->channel, 77);
  assert_int_equal(sb_channel_pin_count(both->channel), 0);
  while (hear(both->socket, heard, 64) > 0) {
  }
}

static void every_split_of_every_message_behind_every_backlog(void **state) {
  (void)state;
  static const uint64_t backlogs[] = {0, 1, 31, 70};
  const int files[] = {wire_segment('1'), wire_segment('2'), wire_segment('3')};
  sb_memory *memory = open_shared(0);
  sb_block *block = get_block(memory, 1);
  const int before = open_files();
  for (message which = ONE_SPAN; which < MESSAGES; which++)
    for (size_t i = 0; i < sizeof backlogs / sizeof backlogs[0]; i++) {
      const strange_ends both = open_strange(NULL);
      speak_segment(both.socket, 0, '0');
      speech said;
      (void)say_message(&said, which, files, 0);
      /* Behind a backlog the bytes of an announcement, which are like each other, are split at every 7th only. */
      for (size_t split = 1; split < said.size; split += backlogs[i] > 0 && split < said.size - 600 ? 7 : 1)
        message_in_two_parts(&both, which, files, backlogs[i], split, block);
      close_strange(&both);
      assert_int_equal(open_files(), before);
    }
  for (size_t i = 0; i < 3; i++) (void)close(files[i]);
  sb_block_close(block);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

/* ---- ends ---- */

/* Takes blocks of the provider until nothing of it is free, and writes to them: who still shows that memory would see it. */
static void overwrite_free_memory(sb_memory *memory) {
  sb_block *blocks[600];
  for (size_t i = 0; i < 600; i++) {
    blocks[i] = get_block(memory, 4096);
    memset(sb_block_data(blocks[i]), 'Z', 4096);
  }
  for (size_t i = 0; i < 600; i++) sb_block_close(blocks[i]);
}

static void a_limit_of_the_receiver_ends_nothing_that_it_shows(void **state) {
  (void)state;
  sb_channel_options options;
  sb_channel_options_init(&options, sizeof options);
  options.bytes_max = 3 << 20;
  ends both = open_ends(&options);
  sb_memory *memory = open_shared(0), *large = open_shared(8 << 20), *back = open_shared(0);
  sb_view *views[] = {view_of_text(memory, "first"), view_of_text(memory, "second"), view_of_text(large, "too large"),
                      view_of_text(back, "back"), view_of_text(memory, "later")};
  assert_ok(sb_channel_send_view(both.b, views[3], 9, 0, NULL));
  for (uint64_t i = 0; i < 3; i++) assert_ok(sb_channel_send_view(both.a, views[i], i, 0, NULL));
  for (size_t i = 0; i < 3; i++) sb_view_close(views[i]);
  sb_view *first = receive_view(both.b), *second = receive_view(both.b); /* what came before the end is delivered */
  sb_error error;
  assert_int_equal(view_status(both.b, &error), SB_TOO_LARGE);
  assert_int_equal(view_status(both.b, &error), SB_TOO_LARGE);
  assert_string_equal(error.field, "size");
  assert_int_equal(sb_channel_send_view(both.b, views[3], 0, 0, NULL), SB_TOO_LARGE);

  assert_int_equal(sb_channel_pin_count(both.a), 3);
  overwrite_free_memory(memory);
  assert_view_shows_text(first, "first");
  assert_view_shows_text(second, "second");
  assert_int_equal(sb_channel_send_view(both.a, views[4], 0, -1, &error), SB_UNAVAILABLE);
  assert_string_equal(error.message, "the peer has ended the channel");
  receive_and_close(both.a, 9); /* as is what the receiver sent before */
  assert_int_equal(view_status(both.a, &error), SB_UNAVAILABLE);
  assert_int_equal(sb_channel_pin_count(both.b), 0);

  sb_view_close(first);
  assert_int_equal(sb_channel_pin_count(both.a), 2); /* said after the end */
  overwrite_free_memory(memory);
  assert_view_shows_text(second, "second");
  sb_channel_close(both.b);
  assert_int_equal(sb_channel_pin_count(both.a), 2); /* what was never taken in is held as long as the socket is open */
  overwrite_free_memory(memory);
  assert_view_shows_text(second, "second");
  sb_view_close(second);
  assert_int_equal(sb_channel_wait_done(both.a, 1000, &error), SB_UNAVAILABLE);
  assert_int_equal(sb_channel_pin_count(both.a), 0);
  assert_int_equal(stats_of(large).live_bytes, 0);
  sb_channel_close(both.a);
  sb_view_close(views[3]);
  sb_view_close(views[4]);
  sb_memory *memories[] = {memory, large, back};
  for (size_t i = 0; i < 3; i++) sb_memory_close(memories[i]);
  assert_no_live_blocks();
}

/* What a peer says last, and how the channel ends by it. */
static const struct {
  wire said;
  const char *field;
} lies[] = {
    {{.kind = 9}, "record"},
    {{.kind = WIRE_FILES, .size = 3}, "record"},
    {{.kind = WIRE_SEGMENT, .mode = SB_ARRIVAL_VIEW, .slot = 1, .size = WIRE_SEGMENT_SIZE}, "fd"},
    {{.kind = WIRE_SPAN, .mode = 3}, "mode"},
    {{.kind = WIRE_SPAN, .mode = SB_ARRIVAL_VIEW, .slot = 5, .size = 1}, "slot"},
    {{.kind = WIRE_SPAN, .mode = SB_ARRIVAL_VIEW, .offset = WIRE_SEGMENT_SIZE + 1, .size = 1}, "offset"},
    {{.kind = WIRE_SPAN, .mode = SB_ARRIVAL_VIEW, .size = WIRE_SEGMENT_SIZE + 1}, "length"},
    {{.kind = WIRE_SPAN, .mode = SB_ARRIVAL_VIEW, .more = 2, .size = 1}, "more"},
    {{.kind = WIRE_DONE, .pin = 12345}, "pin"},
};

static void after_every_lie_the_socket_stays_while_something_is_shown(void **state) {
  (void)state;
  sb_memory *memory = open_shared(0);
  uint8_t heard[WIRE_RECORD * 64];
  for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
    for (int closes_first = 0; closes_first < 2; closes_first++) {
      const strange_ends both = open_strange(NULL);
      sb_view *mine = view_of_text(memory, "mine");
      assert_ok(sb_channel_send_view(both.channel, mine, 0, 0, NULL));
      sb_view_close(mine);
      assert_int_equal(hear(both.socket, heard, 64), WIRE_AHEAD + 3);
      const uint64_t pin = wire_number(heard + (size_t)WIRE_RECORD * (WIRE_AHEAD + 2), 1);
      speak_segment(both.socket, 0, '0');
      speak_span(both.socket, 0, 7, 4);
      speech said = {.size = 0};
      say(&said, lies[i].said);
      speak(both.socket, &said);
      sb_view *shown = receive_view(both.channel);
      sb_error error;
      assert_int_equal(view_status(both.channel, &error), SB_CORRUPT);
      assert_string_equal(error.field, lies[i].field);
      assert_int_equal(hear(both.socket, heard, 64), 1);
      assert_int_equal(heard[4], WIRE_END);
      assert_int_equal(hear(both.socket, heard, 64), 0); /* open */
      /* Nothing that a liar says is believed, and its memory and ours stay what they are. */
      said.size = 0;
      say(&said, (wire){.kind = WIRE_DONE, .pin = pin});
      speak(both.socket, &said);
      assert_int_equal(sb_channel_pin_count(both.channel), 1);
      assert_int_equal(sb_channel_wait_done(both.channel, -1, NULL), SB_CORRUPT);
      if (closes_first) sb_channel_close(both.channel);
      assert_view_shows_text(shown, "0000");
      assert_int_equal(hear(both.socket, heard, 64), closes_first ? 1 : 0);
      sb_view_close(shown);
      assert_int_equal(hear(both.socket, heard, 64), 1);
      assert_int_equal(heard[4], WIRE_DONE);
      assert_int_equal(wire_number(heard, 1), 7);
      assert_int_equal(hear(both.socket, heard, 64), closes_first ? -1 : 0);
      (void)close(both.socket);
      if (closes_first) continue;
      assert_int_equal(sb_channel_pin_count(both.channel), 0); /* the socket has ended: nobody shows anything */
      sb_channel_close(both.channel);
    }
  assert_int_equal(stats_of(memory).live_bytes, 0);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

/* One read brings both: descriptors end it, and it begins before them. */
static void what_came_before_a_descriptor_that_was_not_announced_is_delivered(void **state) {
  (void)state;
  for (int spans = 0; spans < 3; spans++) {
    const strange_ends both = open_strange(NULL);
    const int file = wire_segment('1');
    uint8_t bytes[WIRE_RECORD];
    speak_segment(both.socket, 0, '0');
    receive_nothing(both.channel);
    for (int i = 0; i < spans; i++) speak_span(both.socket, 0, 3, 4);
    wire_put(bytes, span_of(0, 0));
    assert_int_equal(send_with_files(both.socket, bytes, 10, &file, 1), 10);
    for (int i = 0; i < spans; i++) receive_and_close(both.channel, 3);
    sb_error error;
    assert_int_equal(view_status(both.channel, &error), SB_CORRUPT);
    assert_string_equal(error.field, "fd");
    (void)close(file);
    close_strange(&both);
    assert_no_live_blocks();
  }
}

static void a_channel_that_closes_while_it_shows_something_says_so(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  sb_memory *memory = open_shared(0);
  sb_view *view = view_of_text(memory, "shown");
  assert_ok(sb_channel_send_view(both.a, view, 0, 0, NULL));
  sb_view *shown = receive_view(both.b);
  sb_channel_close(both.b);
  sb_error error;
  assert_int_equal(sb_channel_send_view(both.a, view, 0, -1, &error), SB_UNAVAILABLE);
  assert_int_equal(view_status(both.a, &error), SB_UNAVAILABLE);
  sb_view_close(view);
  assert_int_equal(sb_channel_wait_done(both.a, 1, NULL), SB_TIMEOUT);
  overwrite_free_memory(memory);
  assert_view_shows_text(shown, "shown");
  sb_view_close(shown);
  assert_ok(sb_channel_wait_done(both.a, 0, NULL));
  sb_channel_close(both.a);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

static void a_stopped_channel_still_tells_how_much_is_pinned(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  sb_memory *memory = open_shared(0);
  sb_view *view = view_of_text(memory, "pinned");
  assert_ok(sb_channel_send_view(both.a, view, 0, 0, NULL));
  sb_channel_stop(both.a);
  assert_int_equal(sb_channel_pin_count(both.a), 1);
  close_ends(&both);
  sb_view_close(view);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

/* More than the queue holds; that the peer is gone is noticed at a send, before all was received. */
static void all_that_a_dead_peer_sent_is_delivered(void **state) {
  (void)state;
  enum {
    COUNT = 200
  };
  for (int sends = 0; sends < 2; sends++) {
    ends both = open_ends(NULL);
    sb_memory *memory = open_shared(0);
    sb_view *view = view_of_text(memory, "x");
    for (uint64_t i = 0; i < COUNT; i++) assert_ok(sb_channel_send_view(both.a, view, i, 0, NULL));
    sb_channel_close(both.a);
    sb_error error;
    for (uint64_t i = 0; i < COUNT; i++) {
      if (sends) assert_int_equal(sb_channel_send_view(both.b, view, 0, -1, &error), SB_UNAVAILABLE);
      receive_and_close(both.b, i);
    }
    assert_int_equal(view_status(both.b, &error), SB_UNAVAILABLE);
    assert_string_equal(error.message, "the peer has ended the socket");
    sb_channel_close(both.b);
    sb_view_close(view);
    sb_memory_close(memory);
    assert_no_live_blocks();
  }
}

/* A peer is dead, and its messages lie in the queue and in the socket when the channel closes: none, some, more than the queue holds. */
static void closing_behind_a_backlog_of_a_dead_peer_leaves_nothing(void **state) {
  (void)state;
  const int files = open_files(), segments = mapped_segments();
  for (uint64_t backlog = 0; backlog <= 130; backlog++)
    for (int received = 0; received < 3; received++) {
      ends both = open_ends(NULL);
      sb_memory *memory = open_shared(0);
      sb_view *view = view_of_text(memory, "x"), *shown = NULL;
      for (uint64_t i = 0; i < backlog; i++) assert_ok(sb_channel_send_view(both.a, view, i, 0, NULL));
      if (received > 0 && backlog > 0) shown = receive_view(both.b);
      sb_channel_close(both.a);
      sb_view_close(view);
      sb_memory_close(memory);
      if (received == 1) sb_view_close(shown);
      sb_channel_close(both.b);
      if (received == 2) sb_view_close(shown); /* the last of the channel */
      assert_no_live_blocks();
      assert_int_equal(open_files(), files);
      assert_int_equal(mapped_segments(), segments);
    }
}

static void a_closed_channel_takes_nothing_in(void **state) {
  (void)state;
  for (int dies = 0; dies < 2; dies++) {
    const strange_ends both = open_strange(NULL);
    speak_segment(both.socket, 0, '0');
    speak_span(both.socket, 0, 1, 4);
    speak_span(both.socket, 0, 2, 4);
    sb_view *views[] = {receive_view(both.channel), receive_view(both.channel)};
    sb_channel_close(both.channel);
    const int segments = mapped_segments(), files = open_files();
    const int64_t blocks = sb_memory_live_blocks();
    for (uint64_t slot = 1; slot < 9; slot++) {
      speak_segment(both.socket, slot, '1');
      speak_span(both.socket, slot, 2 + slot, 4);
    }
    if (dies) (void)close(both.socket);
    sb_view_close(views[0]);
    assert_int_equal(sb_memory_live_blocks(), blocks - 1);
    assert_int_equal(mapped_segments(), segments);
    assert_int_equal(open_files(), files - dies);
    sb_view_close(views[1]);
    assert_no_live_blocks();
    assert_int_equal(mapped_segments(), segments - 1);
    if (!dies) (void)close(both.socket);
  }
}

/* ---- a hostile peer ---- */

static void a_peer_that_never_listens_is_not_listened_to_for_ever(void **state) {
  (void)state;
  const strange_ends both = open_strange(NULL);
  speak_segment(both.socket, 0, '0');
  speech said = {.size = 0};
  for (int i = 0; i < 32; i++) say(&said, span_of(0, 0));
  sb_error error;
  uint64_t received = 0;
  bool full = false;
  while (!full && received < 1000000) {
    full = send_with_files(both.socket, said.bytes, said.size, NULL, 0) < 0;
    while (view_status(both.channel, &error) == SB_OK) received++;
  }
  assert_int_equal(error.status, SB_TIMEOUT);
  assert_in_range(received, 1 << 14, (1 << 14) + 20000); /* what it may have open, and what fits into the socket */
  /* When it listens again, all goes on. */
  uint8_t heard[WIRE_RECORD * 64];
  uint64_t told = 0;
  for (int count; (count = hear(both.socket, heard, 64)) != 0;) {
    assert_true(count > 0);
    told += (uint64_t)count;
    while (view_status(both.channel, &error) == SB_OK) received++;
    (void)!sb_channel_pin_count(both.channel);
  }
  assert_int_equal(told, received);
  speak_span(both.socket, 0, 9, 4);
  receive_and_close(both.channel, 9);
  close_strange(&both);
  assert_no_live_blocks();
}

static void a_peer_that_never_stops_does_not_keep_a_call(void **state) {
  (void)state;
  const strange_ends both = open_strange(NULL);
  flood = true;
  sb_error error;
  assert_int_equal(view_status(both.channel, &error), SB_CORRUPT);
  const long before = receives;
  assert_int_equal(sb_channel_pin_count(both.channel), 0);
  assert_in_range(receives - before, 1, 100);
  sb_channel_close(both.channel);
  flood = false;
  (void)close(both.socket);
}

/* ---- limits of this process, and refusals ---- */

/* Opens files until there can be no more; returns how many. */
static size_t use_all_descriptors(int *files, size_t most, struct rlimit *before) {
  assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
  const struct rlimit less = {256, before->rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
  size_t count = 0;
  while (count < most && (files[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) count++;
  assert_int_equal(errno, EMFILE);
  return count;
}

static void descriptors_that_this_process_cannot_have_are_not_lost(void **state) {
  (void)state;
  static const size_t counts[] = {1, 2, 5, 16};
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
    for (size_t room = 0; room < counts[i]; room++) {
      const size_t segments = counts[i];
      ends both = open_ends(NULL);
      sb_memory *one = open_shared(0), *many = open_shared(1);
      sb_view *small = view_of_text(one, "small"), *large = view_of_segments(many, segments);
      assert_ok(sb_channel_send_view(both.a, small, 0, 0, NULL));
      sb_view_close(receive_view(both.b));
      assert_ok(sb_channel_send_view(both.a, small, 1, 0, NULL));
      assert_ok(sb_channel_send_view(both.a, large, 2, 0, NULL));
      assert_ok(sb_channel_send_view(both.a, small, 3, 0, NULL));
      int files[256];
      struct rlimit before;
      size_t used = use_all_descriptors(files, 256, &before);
      for (size_t j = 0; j < room; j++) (void)close(files[--used]);
      const int open_before = open_files();
      receive_and_close(both.b, 1); /* what came before is delivered */
      for (int again = 0; again < 3; again++) {
        sb_error error;
        assert_int_equal(view_status(both.b, &error), SB_IO);
        assert_int_equal(error.system_error, EMFILE);
        assert_non_null(strstr(error.message, "descriptors that the peer sent: "));
        assert_int_equal(open_files(), open_before);
      }
      while (used > 0) (void)close(files[--used]);
      assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
      sb_view *got = receive_view(both.b);
      assert_true(sb_view_equals(got, large));
      sb_view_close(got);
      receive_and_close(both.b, 3);
      assert_ok(sb_channel_wait_done(both.a, 0, NULL));
      sb_view_close(small);
      sb_view_close(large);
      sb_memory_close(one);
      sb_memory_close(many);
      close_ends(&both);
      assert_no_live_blocks();
    }
}

typedef struct late_send {
  sb_channel *channel;
  sb_block *block;
  sb_status status;
} late_send;

static void *send_late(void *context) {
  late_send *it = context;
  it->status = sb_channel_send_block(it->channel, it->block, 64, 7, 20000, NULL);
  return NULL;
}

/* One peer at a time may write to a block, also where a call has waited for room while another channel sent it. */
static void a_block_that_another_channel_sends_meanwhile_is_refused(void **state) {
  (void)state;
  sb_channel_options options;
  sb_channel_options_init(&options, sizeof options);
  options.pins_max = 1;
  ends full = open_ends(&options), other = open_ends(NULL);
  sb_memory *memory = open_shared(0);
  sb_block *first = get_block(memory, 4096), *both = get_block(memory, 4096), *got = NULL, *sent = NULL;
  assert_ok(sb_channel_send_block(full.a, first, 64, 1, -1, NULL));
  assert_ok(sb_channel_receive_block(full.b, -1, &got, NULL));
  late_send late = {.channel = full.a, .block = both};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, send_late, &late), 0);
  (void)usleep(20000); /* so that it waits, most times; otherwise it is refused at once, which is as right */
  assert_ok(sb_channel_send_block(other.a, both, 64, 2, -1, NULL));
  sb_block_close(got);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(late.status, SB_BUSY);
  assert_ok(sb_channel_receive_block(other.b, -1, &sent, NULL));
  assert_int_equal(sb_channel_pin_count(full.a), 0);
  sb_block_close(sent);
  assert_ok(sb_channel_wait_done(other.a, 20000, NULL));
  assert_ok(sb_channel_send_block(full.a, both, 64, 3, -1, NULL)); /* it can be sent again */
  sb_block_close(first);
  sb_block_close(both);
  close_ends(&full);
  close_ends(&other);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

/* What waits behind what cannot be taken in: the call that needs it says why it cannot, instead of waiting for somebody to close a file. */
static void calls_that_need_what_lies_behind_a_refusal_tell_it(void **state) {
  (void)state;
  sb_channel_options options;
  sb_channel_options_init(&options, sizeof options);
  options.pins_max = 1;
  ends both = open_ends(&options);
  sb_memory *memory = open_shared(0);
  sb_view *view = view_of_text(memory, "x");
  assert_ok(sb_channel_send_view(both.a, view, 0, 0, NULL));
  sb_view *got = receive_view(both.b);
  assert_ok(sb_channel_send_view(both.b, view, 7, 0, NULL));
  sb_view_close(got);
  int files[256];
  struct rlimit before;
  size_t used = use_all_descriptors(files, 256, &before);
  sb_error error;
  assert_int_equal(sb_channel_wait_done(both.a, -1, &error), SB_IO);
  assert_int_equal(error.system_error, EMFILE);
  assert_int_equal(sb_channel_send_view(both.a, view, 0, -1, &error), SB_IO);
  assert_int_equal(error.system_error, EMFILE);
  int32_t kind;
  uint64_t tag;
  assert_int_equal(sb_channel_next(both.a, -1, &kind, &tag, &error), SB_IO);
  assert_int_equal(sb_channel_pin_count(both.a), 1);
  while (used > 0) (void)close(files[--used]);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  assert_ok(sb_channel_wait_done(both.a, 0, NULL));
  receive_and_close(both.a, 7);
  sb_view_close(view);
  sb_memory_close(memory);
  close_ends(&both);
  assert_no_live_blocks();
}

/* Every allocation and every mapping on the way of a message fails once, or three times; the next call gets over it. */
static void what_there_is_no_memory_for_comes_later(void **state) {
  (void)state;
  sb_memory *memory = open_shared(1);
  sb_view *view = view_of_segments(memory, 3);
  int failures = 0;
  for (long nth = 1; nth <= 16; nth++) {
    ends both = open_ends(NULL);
    assert_ok(sb_channel_send_view(both.a, view, 0, 0, NULL));
    assert_ok(sb_channel_send_view(both.a, view, 0, 0, NULL));
    allocations_until_failure = nth;
    for (int i = 0; i < 2; i++) {
      sb_view *got = NULL;
      sb_error error;
      sb_status status = sb_channel_receive_view(both.b, 0, &got, &error);
      if (status == SB_NO_MEMORY) {
        failures++;
        status = sb_channel_receive_view(both.b, 0, &got, &error);
      }
      assert_ok(status);
      assert_true(sb_view_equals(got, view));
      sb_view_close(got);
    }
    allocations_until_failure = 0;
    assert_ok(sb_channel_wait_done(both.a, 0, NULL));
    close_ends(&both);
  }
  assert_true(failures >= 6); /* three mappings, spans, arrivals, a view */
  sb_view_close(view);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

static void a_mapping_that_the_system_refuses_comes_later(void **state) {
  (void)state;
  static const struct {
    int problem;
    sb_status status;
  } refusals_of_mmap[] = {{ENOMEM, SB_NO_MEMORY}, {EAGAIN, SB_IO}, {ENFILE, SB_IO}};
  sb_memory *memory = open_shared(1);
  sb_view *view = view_of_segments(memory, 3);
  for (size_t i = 0; i < sizeof refusals_of_mmap / sizeof refusals_of_mmap[0]; i++)
    for (long after = 0; after < 3; after++) {
      ends both = open_ends(NULL);
      struct pollfd wanted = {sb_channel_descriptor(both.b), POLLIN, 0};
      assert_ok(sb_channel_send_view(both.a, view, 0, 0, NULL));
      refuse(CALL_MAP, refusals_of_mmap[i].problem, after, 3);
      for (int again = 0; again < 3; again++) {
        sb_error error;
        assert_int_equal(view_status(both.b, &error), refusals_of_mmap[i].status);
        assert_int_equal(error.system_error, refusals_of_mmap[i].problem);
        assert_non_null(strstr(error.message, "mmap of the peer's segment of 4096 bytes: "));
        assert_int_equal(poll(&wanted, 1, 0), 1); /* it is out of the socket, and still to be received */
      }
      sb_view *got = receive_view(both.b);
      assert_true(sb_view_equals(got, view));
      sb_view_close(got);
      assert_int_equal(poll(&wanted, 1, 0), 0);
      assert_ok(sb_channel_wait_done(both.a, 0, NULL));
      /* Closing with a message half taken in leaves nothing. */
      sb_memory *other = open_shared(1);
      sb_view *more = view_of_segments(other, 3);
      assert_ok(sb_channel_send_view(both.a, more, 0, 0, NULL));
      refuse(CALL_MAP, refusals_of_mmap[i].problem, after, 1);
      assert_int_equal(view_status(both.b, NULL), refusals_of_mmap[i].status);
      sb_channel_close(both.b);
      sb_channel_close(both.a);
      sb_view_close(more);
      sb_memory_close(other);
    }
  sb_view_close(view);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

static void a_refused_segment_says_what_was_refused(void **state) {
  (void)state;
  static const struct {
    call which;
    const char *name;
  } steps[] = {{CALL_MEMFD, "memfd_create"}, {CALL_RESIZE, "ftruncate"}, {CALL_MAP, "mmap"}};
  static const int problems[] = {EPERM, EMFILE, ENOMEM};
  sb_memory *inner = open_shared(0), *memory = open_tracing_over(inner);
  sb_error error;
  assert_int_equal(sb_memory_get_failure(memory, &error), SB_NOT_FOUND);
  for (size_t i = 0; i < 3; i++)
    for (size_t j = 0; j < 3; j++) {
      const int files = open_files();
      sb_block *block = NULL;
      refuse(steps[i].which, problems[j], 0, 1);
      assert_int_equal(sb_memory_get_block(memory, 4096, &block), problems[j] == ENOMEM ? SB_NO_MEMORY : SB_IO);
      assert_ok(sb_memory_get_failure(memory, &error));
      assert_int_equal(error.system_error, problems[j]);
      assert_true(strstr(error.message, steps[i].name) == error.message);
      assert_int_equal(open_files(), files);
    }
  sb_block_close(get_block(memory, 4096));
  sb_memory_close(memory);

  assert_ok(sb_memory_open_shared(1 << 16, 1 << 16, &memory)); /* its own limit is no refusal of the system */
  sb_block *block = NULL;
  assert_int_equal(sb_memory_get_block(memory, 1 << 17, &block), SB_NO_MEMORY);
  assert_ok(sb_memory_get_failure(memory, &error));
  assert_int_equal(error.system_error, 0);
  assert_non_null(strstr(error.message, "bytes_max"));
  sb_memory_close(memory);
  assert_no_live_blocks();
}

static void a_refused_send_is_no_end_of_the_peer(void **state) {
  (void)state;
  static const struct {
    int problem;
    sb_status status;
  } problems[] = {{EPERM, SB_IO}, {ENOMEM, SB_NO_MEMORY}, {ETOOMANYREFS, SB_TIMEOUT}, {ENOBUFS, SB_TIMEOUT}};
  for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++)
    for (long after = 0; after < 2; after++) { /* the announcement, or the message that it announces */
      ends both = open_ends(NULL);
      sb_memory *memory = open_shared(0), *other = open_shared(0);
      sb_view *view = view_of_text(memory, "x"), *back = view_of_text(other, "back");
      sb_error error;
      refuse(CALL_SEND, problems[i].problem, after, -1);
      assert_int_equal(sb_channel_send_view(both.a, view, 1, 0, &error), problems[i].status);
      assert_int_equal(error.system_error, problems[i].problem);
      refuse(CALL_SEND, 0, 0, 0);
      assert_int_equal(sb_channel_pin_count(both.a), 0);
      assert_int_equal(view_status(both.b, &error), SB_TIMEOUT); /* an announcement by itself means nothing */
      if (i % 2 == 0) {                                          /* something else comes between the announcement and what it announced */
        assert_ok(sb_channel_send_view(both.b, back, 2, 0, NULL));
        receive_and_close(both.a, 2);
      }
      assert_ok(sb_channel_send_view(both.a, view, 1, 0, &error));
      receive_and_close(both.b, 1);
      assert_ok(sb_channel_wait_done(both.a, 0, NULL));
      close_ends(&both);
      sb_view_close(view);
      sb_view_close(back);
      sb_memory_close(memory);
      sb_memory_close(other);
      assert_no_live_blocks();
    }
}

static void a_refused_read_is_no_end_of_the_peer(void **state) {
  (void)state;
  static const int problems[] = {ENOMEM, EIO};
  for (size_t i = 0; i < 2; i++)
    for (long after = 0; after < 4; after++) {
      ends both = open_ends(NULL);
      sb_memory *memory = open_shared(0);
      sb_view *view = view_of_text(memory, "x");
      assert_ok(sb_channel_send_view(both.a, view, 1, 0, NULL));
      refuse(CALL_RECEIVE, problems[i], after, 1);
      sb_error error;
      sb_view *got = NULL;
      sb_status status = sb_channel_receive_view(both.b, 0, &got, &error);
      if (status != SB_OK) {
        assert_int_equal(status, problems[i] == ENOMEM ? SB_NO_MEMORY : SB_IO);
        assert_int_equal(error.system_error, problems[i]);
        status = sb_channel_receive_view(both.b, 0, &got, &error);
      }
      refuse(CALL_RECEIVE, 0, 0, 0);
      assert_ok(status);
      sb_view_close(got);
      assert_ok(sb_channel_wait_done(both.a, 0, NULL));
      close_ends(&both);
      sb_view_close(view);
      sb_memory_close(memory);
      assert_no_live_blocks();
    }
}

/* Options of the socket that bring more than bytes and descriptors do not confuse it. */
static void a_socket_that_passes_credentials_is_a_channel(void **state) {
  (void)state;
  int files[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, files), 0);
  const int yes = 1, offset = 0;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(setsockopt(files[i], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes), 0);
    assert_int_equal(setsockopt(files[i], SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset), 0);
  }
  ends both = {open_channel(files[0], NULL), open_channel(files[1], NULL)};
  sb_memory *memory = open_shared(1);
  sb_view *view = view_of_segments(memory, 4);
  for (uint64_t i = 0; i < 3; i++) {
    assert_ok(sb_channel_send_view(both.a, view, i, 0, NULL));
    receive_and_close(both.b, i);
  }
  close_ends(&both);
  sb_view_close(view);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

/* ---- cancelled threads ---- */

typedef struct scene {
  ends both;
  sb_memory *memory;
  sb_view *view, *shown;
  sb_block *block;
  void (*act)(struct scene *it);
} scene;

static void act_receive(scene *it) {
  sb_view *got = NULL;
  (void)!sb_channel_receive_view(it->both.b, -1, &got, NULL);
  sb_view_close(got);
}
static void act_send(scene *it) { (void)!sb_channel_send_view(it->both.a, it->view, 0, -1, NULL); }
static void act_wait_done(scene *it) { (void)!sb_channel_wait_done(it->both.a, -1, NULL); }
static void act_pin_count(scene *it) { (void)!sb_channel_pin_count(it->both.a); }
static void act_close_shown(scene *it) {
  sb_view *shown = it->shown;
  it->shown = NULL;
  sb_view_close(shown);
}
static void act_get_block(scene *it) { (void)!sb_memory_get_block(it->memory, 1 << 22, &it->block); }
static void act_open(scene *it) {
  int files[2];
  sb_channel *opened = NULL;
  (void)it;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, files), 0);
  if (sb_channel_open(files[0], NULL, &opened, NULL) == SB_OK) sb_channel_close(opened);
  int before; /* the test's own calls are cancelled nowhere */
  (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  (void)close(files[0]);
  (void)close(files[1]);
  (void)pthread_setcancelstate(before, &before);
}
static void act_stop(scene *it) { sb_channel_stop(it->both.b); }
static void act_close(scene *it) {
  sb_channel *closed = it->both.b;
  it->both.b = NULL;
  sb_channel_close(closed);
}

static void act(void *context) {
  scene *it = context;
  it->act(it);
}

/* Each call is made by a thread that is cancelled at the first cancellation point that it comes to; then everything is used on. */
static void a_cancelled_thread_leaves_no_lock(void **state) {
  (void)state;
  static void (*const acts[])(scene *) = {act_receive,   act_send, act_wait_done, act_pin_count, act_close_shown,
                                          act_get_block, act_open, act_stop,      act_close};
  for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
    for (int waits = 0; waits < 2; waits++) { /* for what never comes, or not */
      const int files = open_files();
      scene it = {.both = open_ends(NULL), .memory = open_shared(0), .act = acts[i]};
      it.view = view_of_text(it.memory, "x");
      assert_ok(sb_channel_send_view(it.both.a, it.view, 0, 0, NULL));
      it.shown = receive_view(it.both.b);
      if (!waits) assert_ok(sb_channel_send_view(it.both.a, it.view, 0, 0, NULL));
      (void)call_cancelled(act, &it); /* some end where they wait for the peer */
      sb_view *fresh = view_of_text(it.memory, "fresh");
      (void)!sb_channel_send_view(it.both.a, fresh, 0, 0, NULL);
      sb_view_close(fresh);
      if (it.both.b != NULL) (void)!sb_channel_pin_count(it.both.b);
      (void)!sb_channel_pin_count(it.both.a);
      ends again = open_ends(NULL); /* the list of those that a fork concerns is free, too */
      close_ends(&again);
      sb_view_close(it.shown);
      sb_block_close(it.block);
      sb_view_close(it.view);
      close_ends(&it.both);
      sb_memory_close(it.memory);
      (void)alarm(0);
      assert_no_live_blocks();
      assert_int_equal(open_files(), files);
    }
  (void)signal(SIGALRM, SIG_DFL);
}

/* Gives the peer more to be told than the socket holds at one time, while the peer reads nothing. */
static void close_more_than_the_socket_takes(const ends *both, sb_memory *memory) {
  enum {
    COUNT = 900 /* below pins_max */
  };
  static sb_view *held[COUNT];
  sb_view *view = view_of_text(memory, "x");
  for (uint64_t i = 0; i < COUNT; i++) {
    assert_ok(sb_channel_send_view(both->a, view, i, -1, NULL));
    assert_ok(sb_channel_receive_view(both->b, -1, &held[i], NULL));
  }
  for (size_t i = 0; i < COUNT; i++) sb_view_close(held[i]);
  sb_view_close(view);
}

static void *receive_until_stopped(void *channel) {
  sb_view *view = NULL;
  assert_int_equal(sb_channel_receive_view(channel, -1, &view, NULL), SB_CLOSED);
  return NULL;
}

/* The peer may wait for nothing but this, so nobody would ever move again. */
static void who_sleeps_tells_what_did_not_go_before_as_soon_as_it_goes(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  sb_memory *memory = open_shared(0);
  pthread_t sleeper;
  close_more_than_the_socket_takes(&both, memory);
  assert_int_equal(pthread_create(&sleeper, NULL, receive_until_stopped, both.b), 0);
  (void)usleep(20000); /* longer than it looks again and again */
  assert_ok(sb_channel_wait_done(both.a, 20000, NULL));
  sb_channel_stop(both.b);
  assert_int_equal(pthread_join(sleeper, NULL), 0);
  close_ends(&both);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

/* The same in an event loop: the descriptor says that there is something to tell, and no longer when all is told. */
static void the_descriptor_says_when_something_can_be_told(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  sb_memory *memory = open_shared(0);
  close_more_than_the_socket_takes(&both, memory);
  struct pollfd descriptor = {.fd = sb_channel_descriptor(both.b), .events = POLLIN};
  assert_int_equal(poll(&descriptor, 1, 0), 0);
  uint32_t rounds = 0;
  for (sb_status status = SB_TIMEOUT; status == SB_TIMEOUT; rounds++) {
    sb_view *view = NULL;
    status = sb_channel_wait_done(both.a, 0, NULL); /* takes in what is there */
    assert_true(status == SB_OK || status == SB_TIMEOUT);
    if (status == SB_OK) break;
    assert_int_equal(poll(&descriptor, 1, 10000), 1);
    assert_int_equal(sb_channel_receive_view(both.b, 0, &view, NULL), SB_TIMEOUT);
  }
  assert_true(rounds > 0);
  assert_int_equal(poll(&descriptor, 1, 0), 0);
  close_ends(&both);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_backlog_before_every_number_of_new_segments),
      cmocka_unit_test(every_split_of_every_message_behind_every_backlog),
      cmocka_unit_test(a_limit_of_the_receiver_ends_nothing_that_it_shows),
      cmocka_unit_test(after_every_lie_the_socket_stays_while_something_is_shown),
      cmocka_unit_test(what_came_before_a_descriptor_that_was_not_announced_is_delivered),
      cmocka_unit_test(a_channel_that_closes_while_it_shows_something_says_so),
      cmocka_unit_test(a_stopped_channel_still_tells_how_much_is_pinned),
      cmocka_unit_test(all_that_a_dead_peer_sent_is_delivered),
      cmocka_unit_test(closing_behind_a_backlog_of_a_dead_peer_leaves_nothing),
      cmocka_unit_test(a_closed_channel_takes_nothing_in),
      cmocka_unit_test(a_peer_that_never_listens_is_not_listened_to_for_ever),
      cmocka_unit_test(a_peer_that_never_stops_does_not_keep_a_call),
      cmocka_unit_test(descriptors_that_this_process_cannot_have_are_not_lost),
      cmocka_unit_test(a_block_that_another_channel_sends_meanwhile_is_refused),
      cmocka_unit_test(calls_that_need_what_lies_behind_a_refusal_tell_it),
      cmocka_unit_test(what_there_is_no_memory_for_comes_later),
      cmocka_unit_test(a_mapping_that_the_system_refuses_comes_later),
      cmocka_unit_test(a_refused_segment_says_what_was_refused),
      cmocka_unit_test(a_refused_send_is_no_end_of_the_peer),
      cmocka_unit_test(a_refused_read_is_no_end_of_the_peer),
      cmocka_unit_test(a_socket_that_passes_credentials_is_a_channel),
      cmocka_unit_test(a_cancelled_thread_leaves_no_lock),
      cmocka_unit_test(who_sleeps_tells_what_did_not_go_before_as_soon_as_it_goes),
      cmocka_unit_test(the_descriptor_says_when_something_can_be_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
