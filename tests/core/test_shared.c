/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */
#include "channel_testing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failing_memory.h"

/* Shared memory and channels, between two ends in one process, and between processes. What a hostile peer does is in
 * test_channel.c, and in tests/python/test_channel.py. */

/* ---- the provider ---- */

static void shared_blocks_of_every_size_do_not_overlap(void **state) {
  (void)state;
  const int files = open_files();
  sb_memory *memory = open_shared(1 << 16);
  const size_t sizes[] = {1, 4096, 4097, 8192, 30000, 65536, 65537, 1 << 20, 1, 5000};
  enum {
    COUNT = sizeof sizes / sizeof sizes[0]
  };
  sb_block *blocks[COUNT];
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < COUNT; i++) {
      blocks[i] = get_block(memory, sizes[i]);
      assert_true(sb_block_size(blocks[i]) >= sizes[i]);
      assert_int_equal((uintptr_t)sb_block_data(blocks[i]) % 4096, 0);
      memset(sb_block_data(blocks[i]), (int)i + 1, sb_block_size(blocks[i]));
    }
    for (size_t i = 0; i < COUNT; i++) {
      const uint8_t *data = sb_block_data(blocks[i]);
      for (size_t j = 0; j < sb_block_size(blocks[i]); j += 511) assert_int_equal(data[j], i + 1);
    }
    for (size_t i = 0; i < COUNT; i++) sb_block_close(blocks[i]);
  }
  assert_int_equal(stats_of(memory).live_bytes, 0);
  sb_memory_close(memory);
  assert_no_live_blocks();
  assert_int_equal(open_files(), files);
}

static void a_shared_provider_keeps_its_limit(void **state) {
  (void)state;
  sb_memory *memory = NULL;
  assert_int_equal(sb_memory_open_shared(1 << 16, 4096, &memory), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_memory_open_shared((1 << 30) + 1, 0, &memory), SB_INVALID_ARGUMENT);
  assert_ok(sb_memory_open_shared(1 << 16, 1 << 17, &memory));
  sb_block *blocks[2] = {get_block(memory, 1 << 16), get_block(memory, 1 << 16)}, *third = NULL;
  assert_int_equal(sb_memory_get_block(memory, 1, &third), SB_NO_MEMORY);
  assert_int_equal(sb_memory_get_block(memory, 1 << 20, &third), SB_NO_MEMORY);
  sb_block_close(blocks[0]);
  third = get_block(memory, 1); /* the segment that is kept has another block size: it makes way */
  sb_block_close(third);
  sb_block_close(blocks[1]);
  third = get_block(memory, 1 << 17);
  sb_block_close(third);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

/* ---- exchange in one process ---- */

static void a_view_is_received_with_its_bytes_tag_and_key(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  sb_memory *memory = open_shared(0);
  sb_view *sent = NULL, *got = NULL;
  sb_block *blocks[] = {get_block(memory, 4096), get_block(memory, 4096)};
  for (uint64_t i = 0; i < 2; i++) assert_ok(sb_block_set_metadata(blocks[i], 7 + i, NULL));
  sb_buf *buf = NULL;
  assert_ok(sb_buf_from_blocks(blocks, 2, memory, &buf));
  uint8_t content[8192];
  for (size_t i = 0; i < sizeof content; i++) content[i] = (uint8_t)(i * 7);
  assert_ok(sb_buf_put(buf, content, sizeof content));
  assert_ok(sb_buf_take(buf, sizeof content, &sent));
  sb_buf_close(buf);
  assert_ok(sb_view_skip(sent, 3));
  assert_ok(sb_channel_send_view(both.a, sent, 99, 0, NULL));
  sb_view_close(sent);
  assert_int_equal(sb_channel_pin_count(both.a), 2);

  int32_t kind = 0;
  uint64_t tag = 0, key = 0;
  const void *metadata = NULL;
  sb_block *none = NULL;
  assert_ok(sb_channel_next(both.b, 0, &kind, &tag, NULL));
  assert_int_equal(kind, SB_ARRIVAL_VIEW);
  assert_int_equal(tag, 99);
  assert_int_equal(sb_channel_receive_block(both.b, 0, &none, NULL), SB_UNSUPPORTED);
  assert_ok(sb_channel_receive_view(both.b, 0, &got, NULL));
  assert_view_shows(got, content + 3, sizeof content - 3);
  assert_ok(sb_view_span_metadata(got, 1, &key, &metadata));
  assert_int_equal(key, 8);
  assert_null(metadata);

  sb_view *range = NULL;
  assert_ok(sb_view_range(got, 5000, 10, &range)); /* keeps the second block */
  sb_view_close(got);
  assert_int_equal(sb_channel_pin_count(both.a), 1);
  assert_int_equal(sb_channel_wait_done(both.a, 1, NULL), SB_TIMEOUT);
  sb_view_close(range);
  assert_ok(sb_channel_wait_done(both.a, 1000, NULL));
  assert_int_equal(stats_of(memory).live_bytes, 0);
  sb_memory_close(memory);
  close_ends(&both);
  assert_no_live_blocks();
}

static void both_ends_see_what_the_other_writes_into_a_block(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  sb_memory *memory = open_tracing_over(open_shared(0)); /* a wrapped provider's memory is shared memory, too */
  sb_block *mine = get_block(memory, 100), *theirs = NULL;
  memcpy(sb_block_data(mine), "before", sizeof "before");
  assert_ok(sb_channel_send_block(both.a, mine, 100, 0, 0, NULL));
  assert_int_equal(sb_channel_send_block(both.a, mine, 100, 0, 0, NULL), SB_BUSY);
  sb_view *view = NULL;
  assert_int_equal(sb_view_open_block(mine, 1, &view), SB_BUSY); /* nobody takes for constant what the peer can write */
  assert_ok(sb_channel_receive_block(both.b, 0, &theirs, NULL));
  assert_int_equal(sb_block_size(theirs), 100);
  assert_ptr_not_equal(sb_block_data(theirs), sb_block_data(mine));
  assert_string_equal(sb_block_data(theirs), "before");
  memcpy(sb_block_data(theirs), "answer", sizeof "answer");
  assert_string_equal(sb_block_data(mine), "answer");
  memcpy(sb_block_data(mine), "again", sizeof "again");
  assert_string_equal(sb_block_data(theirs), "again");
  sb_block_close(theirs);
  assert_ok(sb_channel_wait_done(both.a, 1000, NULL));
  assert_ok(sb_view_open_block(mine, 5, &view));
  assert_view_shows_text(view, "again");
  sb_view_close(view);
  sb_memory_close(memory);
  close_ends(&both);
  assert_no_live_blocks();
}

static void what_is_not_shared_memory_is_refused(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  sb_memory *memory = open_shared(0), *heap = NULL;
  assert_ok(sb_memory_open_heap(&heap));
  sb_view *view = view_of_text(memory, "shared"), *private = view_of_text(heap, "private"), *empty = NULL;
  assert_ok(sb_view_append(view, private));
  sb_error error;
  assert_int_equal(sb_channel_send_view(both.a, view, 0, 0, &error), SB_UNSUPPORTED);
  assert_string_equal(error.message, "span 1 is not in memory of a shared provider of this process");
  assert_ok(sb_view_open(NULL, 0, memory, &empty));
  assert_int_equal(sb_channel_send_view(both.a, empty, 0, 0, NULL), SB_OUT_OF_RANGE);
  sb_block *block = get_block(heap, 10);
  assert_int_equal(sb_channel_send_block(both.a, block, 10, 0, 0, NULL), SB_UNSUPPORTED);
  sb_block_close(block);
  block = get_block(memory, 10);
  assert_int_equal(sb_channel_send_block(both.a, block, sb_block_size(block) + 1, 0, 0, NULL), SB_OUT_OF_RANGE);
  assert_int_equal(sb_channel_send_block(both.a, block, 0, 0, 0, NULL), SB_OUT_OF_RANGE);
  assert_ok(sb_channel_send_block(both.a, block, 1, 0, 0, NULL));
  sb_block *received = NULL;
  assert_ok(sb_channel_receive_block(both.b, 0, &received, NULL));
  sb_block *other = NULL;
  assert_int_equal(sb_channel_send_block(both.b, received, 1, 0, 0, NULL), SB_UNSUPPORTED); /* what was received is not sent on */
  sb_memory *provider = NULL;
  assert_ok(sb_block_memory(received, &provider));
  assert_int_equal(sb_memory_get_block(provider, 1, &other), SB_UNSUPPORTED);
  sb_memory_close(provider);
  sb_block_close(received);
  sb_view *many = view_of_text(memory, "x");
  for (int i = 0; i < SB_CHANNEL_SPANS_MAX; i++) {
    sb_view *one = view_of_text(memory, "y");
    assert_ok(sb_view_append(many, one));
    sb_view_close(one);
  }
  assert_int_equal(sb_channel_send_view(both.a, many, 0, 0, NULL), SB_TOO_LARGE);
  assert_ok(sb_view_skip(many, 1));
  assert_ok(sb_channel_send_view(both.a, many, 0, 0, NULL));
  sb_view *all = NULL;
  assert_ok(sb_channel_receive_view(both.b, 0, &all, NULL));
  assert_view_shows_text(all, "yyyyyyyyyyyyyyyy");
  sb_view *const views[] = {view, private, empty, many, all};
  for (size_t i = 0; i < 5; i++) sb_view_close(views[i]);
  sb_block_close(block);
  sb_memory_close(memory);
  sb_memory_close(heap);
  close_ends(&both);
  assert_no_live_blocks();
}

static void pins_are_bounded_and_free_again(void **state) {
  (void)state;
  sb_channel_options options;
  sb_channel_options_init(&options, sizeof options);
  options.pins_max = 2;
  ends both = open_ends(&options);
  sb_memory *memory = open_shared(0);
  sb_view *view = view_of_text(memory, "pinned"), *got[2];
  for (int round = 0; round < 100; round++) {
    for (int i = 0; i < 2; i++) assert_ok(sb_channel_send_view(both.a, view, 0, 0, NULL));
    sb_error error;
    assert_int_equal(sb_channel_send_view(both.a, view, 0, 1, &error), SB_TIMEOUT);
    assert_string_equal(error.message, "the peer took nothing in time; it pins 2");
    for (int i = 0; i < 2; i++) assert_ok(sb_channel_receive_view(both.b, 0, &got[i], NULL));
    for (int i = 0; i < 2; i++) sb_view_close(got[i]);
  }
  assert_ok(sb_channel_wait_done(both.a, 1000, NULL));
  sb_view_close(view);
  sb_memory_close(memory);
  close_ends(&both);
  assert_no_live_blocks();
}

/* More segments than there are slots: old ones make way when nothing of them is pinned, and only then. */
static void slots_are_used_again(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  sb_memory *memory = open_shared(1);
  sb_view *views[SB_CHANNEL_SEGMENTS_MAX + 5], *got[SB_CHANNEL_SEGMENTS_MAX];
  const size_t count = sizeof views / sizeof views[0];
  for (size_t i = 0; i < count; i++) {
    char text[8];
    (void)snprintf(text, sizeof text, "%zu", i);
    views[i] = view_of_text(memory, text);
  }
  for (size_t i = 0; i < SB_CHANNEL_SEGMENTS_MAX; i++) {
    assert_ok(sb_channel_send_view(both.a, views[i], i, 0, NULL));
    assert_ok(sb_channel_receive_view(both.b, 0, &got[i], NULL));
  }
  assert_int_equal(sb_channel_send_view(both.a, views[count - 1], 0, 30, NULL), SB_TIMEOUT);
  for (size_t i = 0; i < SB_CHANNEL_SEGMENTS_MAX; i++) {
    assert_true(sb_view_equals(views[i], got[i]));
    sb_view_close(got[i]);
  }
  for (size_t round = 0; round < 5 * count; round++) {
    assert_ok(sb_channel_send_view(both.a, views[round * 7 % count], 0, 1000, NULL));
    assert_ok(sb_channel_receive_view(both.b, 0, &got[0], NULL));
    assert_true(sb_view_equals(views[round * 7 % count], got[0]));
    sb_view_close(got[0]);
  }
  for (size_t i = 0; i < count; i++) sb_view_close(views[i]);
  sb_memory_close(memory);
  close_ends(&both);
  assert_no_live_blocks();
}

/* ---- the end ---- */

static void what_was_received_outlives_the_channels(void **state) {
  (void)state;
  const int files = open_files();
  ends both = open_ends(NULL);
  sb_memory *memory = open_shared(0);
  sb_view *sent = view_of_text(memory, "still here"), *got = NULL;
  assert_ok(sb_channel_send_view(both.a, sent, 0, 0, NULL));
  assert_ok(sb_channel_send_view(both.a, sent, 0, 0, NULL)); /* never received */
  assert_ok(sb_channel_receive_view(both.b, 0, &got, NULL));
  sb_view_close(sent);
  sb_channel_close(both.b);
  assert_int_equal(sb_channel_pin_count(both.a), 1); /* what was closed unseen is done; the other one is not */
  const void *data = NULL;
  size_t size = 0;
  assert_ok(sb_view_span(got, 0, &data, &size));
  sb_channel_close(both.a); /* the pin is left to the receiver */
  sb_block *fresh = get_block(memory, 10);
  memset(sb_block_data(fresh), 0, 10);
  assert_view_shows_text(got, "still here");
  sb_block_close(fresh);
  sb_memory_close(memory);
  assert_view_shows_text(got, "still here");
  sb_view_close(got);
  assert_no_live_blocks();
  assert_int_equal(open_files(), files);
}

static void the_end_of_the_peer_is_told_after_what_it_sent(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  sb_memory *memory = open_shared(0);
  sb_view *sent = view_of_text(memory, "last words"), *got = NULL;
  assert_ok(sb_channel_send_view(both.a, sent, 0, 0, NULL));
  sb_channel_close(both.a);
  assert_ok(sb_channel_receive_view(both.b, 0, &got, NULL));
  assert_view_shows_text(got, "last words");
  sb_error error;
  sb_view *none = NULL;
  assert_int_equal(sb_channel_receive_view(both.b, -1, &none, &error), SB_UNAVAILABLE);
  assert_string_equal(error.message, "the peer has ended the socket");
  assert_int_equal(sb_channel_send_view(both.b, sent, 0, -1, NULL), SB_UNAVAILABLE);
  assert_int_equal(sb_channel_pin_count(both.b), 0);
  sb_view_close(got);
  sb_view_close(sent);
  sb_channel_close(both.b);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

static void *stop_later(void *channel) {
  (void)usleep(20000);
  sb_channel_stop(channel);
  return NULL;
}

static void stop_ends_what_waits(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, stop_later, both.a), 0);
  sb_block *block = NULL;
  assert_int_equal(sb_channel_receive_block(both.a, -1, &block, NULL), SB_CLOSED);
  assert_int_equal(pthread_join(thread, NULL), 0);
  int32_t kind;
  uint64_t tag;
  assert_int_equal(sb_channel_next(both.a, 0, &kind, &tag, NULL), SB_CLOSED);
  assert_int_equal(sb_channel_wait_done(both.a, 0, NULL), SB_CLOSED);
  close_ends(&both);
}

static int64_t processor_ns(void) {
  struct timespec used;
  assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used), 0);
  return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static void who_waits_long_sleeps(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  sb_memory *memory = open_shared(0);
  sb_block *block = get_block(memory, 1);
  sb_view *view = NULL;
  assert_ok(sb_channel_send_block(both.b, block, 1, 0, -1, NULL));
  const int64_t before = processor_ns();
  assert_int_equal(sb_channel_receive_view(both.b, 300, &view, NULL), SB_TIMEOUT);
  assert_int_equal(sb_channel_wait_done(both.b, 300, NULL), SB_TIMEOUT);
  assert_in_range(processor_ns() - before, 0, 100000000);
  close_ends(&both);
  sb_block_close(block);
  sb_memory_close(memory);
}

static void who_waits_behind_arrivals_that_nobody_receives_sleeps(void **state) {
  (void)state;
  enum {
    COUNT = 100 /* more than lie in the queue of b */
  };
  sb_channel_options options;
  sb_channel_options_init(&options, sizeof options);
  options.pins_max = COUNT;
  ends both = open_ends(&options);
  sb_memory *memory = open_shared(0);
  sb_view *view = view_of_text(memory, "x"), *got = NULL;
  for (int i = 0; i < COUNT; i++) {
    assert_ok(sb_channel_send_view(both.a, view, 0, -1, NULL));
    assert_ok(sb_channel_send_view(both.b, view, 0, -1, NULL));
  }
  const int64_t before = processor_ns();
  assert_int_equal(sb_channel_wait_done(both.b, 300, NULL), SB_TIMEOUT);
  assert_in_range(processor_ns() - before, 0, 50000000);
  const int64_t between = processor_ns();
  assert_int_equal(sb_channel_send_view(both.b, view, 0, 300, NULL), SB_TIMEOUT); /* it waits for a pin */
  assert_in_range(processor_ns() - between, 0, 50000000);
  for (int i = 0; i < COUNT; i++) {
    assert_ok(sb_channel_receive_view(both.b, 1000, &got, NULL));
    sb_view_close(got);
  }
  close_ends(&both);
  sb_view_close(view);
  sb_memory_close(memory);
}

static void the_descriptor_polls_for_what_waits(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  struct pollfd wanted = {sb_channel_descriptor(both.b), POLLIN, 0};
  assert_int_equal(poll(&wanted, 1, 0), 0);
  sb_memory *memory = open_shared(0);
  sb_view *view = view_of_text(memory, "x"), *got = NULL;
  assert_ok(sb_channel_send_view(both.a, view, 0, 0, NULL));
  assert_int_equal(poll(&wanted, 1, 1000), 1);
  int32_t kind;
  uint64_t tag;
  assert_ok(sb_channel_next(both.b, 0, &kind, &tag, NULL)); /* out of the socket, and still not received */
  assert_int_equal(poll(&wanted, 1, 0), 1);
  assert_ok(sb_channel_receive_view(both.b, 0, &got, NULL));
  assert_int_equal(poll(&wanted, 1, 0), 0);
  sb_view_close(got);
  sb_view_close(view);
  sb_memory_close(memory);
  close_ends(&both);
}

static void other_sockets_and_options_are_refused(void **state) {
  (void)state;
  sb_channel *channel = NULL;
  sb_error error;
  int files[2];
  assert_int_equal(pipe(files), 0);
  assert_int_equal(sb_channel_open(files[0], NULL, &channel, &error), SB_INVALID_ARGUMENT);
  assert_string_equal(error.field, "socket");
  assert_int_equal(sb_channel_open(-1, NULL, &channel, &error), SB_INVALID_ARGUMENT);
  for (int i = 0; i < 2; i++) (void)close(files[i]);
  assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, files), 0);
  assert_int_equal(sb_channel_open(files[0], NULL, &channel, &error), SB_INVALID_ARGUMENT);
  for (int i = 0; i < 2; i++) (void)close(files[i]);
  const int lonely = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(sb_channel_open(lonely, NULL, &channel, &error), SB_INVALID_ARGUMENT);
  (void)close(lonely);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, files), 0);
  sb_channel_options options;
  sb_channel_options_init(&options, sizeof options);
  options.pins_max = UINT32_MAX;
  assert_int_equal(sb_channel_open(files[0], &options, &channel, &error), SB_INVALID_ARGUMENT);
  assert_string_equal(error.field, "pins_max");
  for (int i = 0; i < 2; i++) (void)close(files[i]);
  assert_null(channel);
}

/* Each allocation fails once, on both ends; nothing is lost, and the same calls succeed afterwards. */
static void failed_allocations_leave_the_exchange_whole(void **state) {
  (void)state;
  sb_memory *memory = open_shared(0);
  sb_view *view = view_of_text(memory, "whole");
  for (long nth = 1; nth <= 12; nth++) {
    ends both = open_ends(NULL);
    allocations_until_failure = nth;
    sb_status status = sb_channel_send_view(both.a, view, 0, 0, NULL);
    if (status == SB_NO_MEMORY) status = sb_channel_send_view(both.a, view, 0, 0, NULL);
    assert_ok(status);
    sb_view *got = NULL;
    status = sb_channel_receive_view(both.b, 0, &got, NULL);
    if (status == SB_NO_MEMORY) status = sb_channel_receive_view(both.b, 0, &got, NULL);
    allocations_until_failure = 0;
    assert_ok(status);
    assert_view_shows_text(got, "whole");
    sb_view_close(got);
    close_ends(&both);
  }
  sb_view_close(view);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

/* ---- processes ---- */

/* The child receives a block, and answers in it; with `dies` it dies instead, holding it. */
static int child_answers(int file, bool dies) {
  sb_channel *channel = NULL;
  sb_block *block = NULL;
  if (sb_channel_open(file, NULL, &channel, NULL) != SB_OK) return 1;
  (void)close(file);
  for (int i = 0; i < 3; i++) {
    if (sb_channel_receive_block(channel, 10000, &block, NULL) != SB_OK) return 2;
    char *text = sb_block_data(block);
    if (strcmp(text, "question") != 0) return 3;
    memcpy(text, "answer", sizeof "answer");
    if (dies) (void)raise(SIGKILL);
    sb_block_close(block);
  }
  sb_channel_close(channel);
  return 0;
}

static pid_t start_child(bool dies, sb_channel **channel) {
  int files[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, files), 0);
  const pid_t child = fork();
  if (child == 0) {
    (void)close(files[0]);
    _exit(child_answers(files[1], dies));
  }
  (void)close(files[1]);
  *channel = open_channel(files[0], NULL);
  return child;
}

static void another_process_writes_into_the_block(void **state) {
  (void)state;
  sb_channel *channel = NULL;
  const pid_t child = start_child(false, &channel);
  sb_memory *memory = open_shared(0);
  sb_block *block = get_block(memory, 1 << 20);
  for (int i = 0; i < 3; i++) {
    memcpy(sb_block_data(block), "question", sizeof "question");
    assert_ok(sb_channel_send_block(channel, block, 1 << 20, 0, 10000, NULL));
    assert_ok(sb_channel_wait_done(channel, 10000, NULL));
    assert_string_equal(sb_block_data(block), "answer");
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  sb_block_close(block);
  sb_memory_close(memory);
  sb_channel_close(channel);
  assert_no_live_blocks();
}

static void a_receiver_that_dies_frees_the_pins(void **state) {
  (void)state;
  sb_channel *channel = NULL;
  const pid_t child = start_child(true, &channel);
  sb_memory *memory = open_shared(0);
  sb_block *block = get_block(memory, 100);
  memcpy(sb_block_data(block), "question", sizeof "question");
  assert_ok(sb_channel_send_block(channel, block, 100, 0, 10000, NULL));
  sb_block_close(block);
  assert_int_equal(stats_of(memory).reserves - stats_of(memory).releases, 1);
  assert_int_equal(sb_channel_wait_done(channel, 10000, NULL), SB_UNAVAILABLE);
  assert_int_equal(stats_of(memory).releases, 1);
  assert_int_equal(sb_channel_pin_count(channel), 0);
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  sb_memory_close(memory);
  sb_channel_close(channel);
  assert_no_live_blocks();
}

/* What a forked child may do with its parent's channels and memory; returns which of it went wrong. */
static int child_of_fork(ends *both, sb_memory *memory, sb_block *block, sb_view *received) {
  sb_view *view = NULL;
  if (sb_channel_receive_view(both->b, -1, &view, NULL) != SB_CLOSED || sb_channel_descriptor(both->a) != -1) return 1;
  sb_block *own = NULL;
  for (int i = 0; i < 8; i++) {
    if (sb_memory_get_block(memory, 4096, &own) != SB_OK) return 2;
    memset(sb_block_data(own), 'c', 4096); /* must not be the parent's memory */
    if (i % 2 == 0) sb_block_close(own);
  }
  if (strcmp(sb_block_data(block), "parent's") != 0) return 3;
  sb_block_close(block);
  sb_view_close(received);
  sb_channel_close(both->a);
  sb_channel_close(both->b);
  return 0;
}

static void a_forked_child_leaves_the_parents_exchange_alone(void **state) {
  (void)state;
  ends both = open_ends(NULL);
  sb_memory *memory = open_shared(1 << 15);
  sb_block *block = get_block(memory, 4096);
  memcpy(sb_block_data(block), "parent's", sizeof "parent's");
  sb_view *view = view_of_text(memory, "sent"), *received = NULL;
  assert_ok(sb_channel_send_view(both.a, view, 0, 0, NULL));
  assert_ok(sb_channel_receive_view(both.b, 0, &received, NULL));
  const pid_t child = fork();
  if (child == 0) _exit(child_of_fork(&both, memory, block, received));
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_string_equal(sb_block_data(block), "parent's");
  assert_view_shows_text(received, "sent");
  assert_int_equal(sb_channel_pin_count(both.a), 1); /* the child's close was not told */
  sb_block *more[8];
  for (int i = 0; i < 7; i++) {
    more[i] = get_block(memory, 4096);
    memset(sb_block_data(more[i]), 'p', 4096);
  }
  assert_view_shows_text(view, "sent");
  for (int i = 0; i < 7; i++) sb_block_close(more[i]);
  sb_view_close(received);
  assert_ok(sb_channel_wait_done(both.a, 1000, NULL));
  sb_view_close(view);
  sb_block_close(block);
  sb_memory_close(memory);
  close_ends(&both);
  assert_no_live_blocks();
}

/* ---- threads ---- */

enum {
  THREAD_ROUNDS = 2000
};

typedef struct worker {
  sb_channel *channel;
  sb_memory *memory;
  uint64_t sum;
  bool failed;
} worker;

static void *send_many(void *argument) {
  worker *self = argument;
  for (uint64_t i = 0; i < THREAD_ROUNDS && !self->failed; i++) {
    sb_view *view = NULL;
    self->failed = sb_view_open(&i, sizeof i, self->memory, &view) != SB_OK ||
                   sb_channel_send_view(self->channel, view, i, 10000, NULL) != SB_OK;
    sb_view_close(view);
    self->sum += i;
  }
  return NULL;
}

static void *receive_many(void *argument) {
  worker *self = argument;
  for (uint64_t i = 0; i < THREAD_ROUNDS && !self->failed; i++) {
    sb_view *view = NULL;
    uint64_t number = 0;
    self->failed = sb_channel_receive_view(self->channel, 10000, &view, NULL) != SB_OK ||
                   sb_view_read_bytes(view, &number, sizeof number) != SB_OK;
    sb_view_close(view);
    self->sum += number;
  }
  return NULL;
}

static void threads_share_both_ends_in_both_directions(void **state) {
  (void)state;
  sb_channel_options options;
  sb_channel_options_init(&options, sizeof options);
  options.pins_max = 20;
  ends both = open_ends(&options);
  sb_memory *memory = open_shared(0);
  worker workers[8];
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) {
    workers[i] = (worker){.channel = i % 2 == 0 ? both.a : both.b, .memory = memory};
    assert_int_equal(pthread_create(&threads[i], NULL, i < 4 ? send_many : receive_many, &workers[i]), 0);
  }
  uint64_t sent = 0, received = 0;
  for (int i = 0; i < 8; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(workers[i].failed);
    *(i < 4 ? &sent : &received) += workers[i].sum;
  }
  assert_int_equal(sent, received);
  assert_ok(sb_channel_wait_done(both.a, 1000, NULL));
  assert_ok(sb_channel_wait_done(both.b, 1000, NULL));
  assert_int_equal(stats_of(memory).live_bytes, 0);
  sb_memory_close(memory);
  close_ends(&both);
  assert_no_live_blocks();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shared_blocks_of_every_size_do_not_overlap),
      cmocka_unit_test(a_shared_provider_keeps_its_limit),
      cmocka_unit_test(a_view_is_received_with_its_bytes_tag_and_key),
      cmocka_unit_test(both_ends_see_what_the_other_writes_into_a_block),
      cmocka_unit_test(what_is_not_shared_memory_is_refused),
      cmocka_unit_test(pins_are_bounded_and_free_again),
      cmocka_unit_test(slots_are_used_again),
      cmocka_unit_test(what_was_received_outlives_the_channels),
      cmocka_unit_test(the_end_of_the_peer_is_told_after_what_it_sent),
      cmocka_unit_test(stop_ends_what_waits),
      cmocka_unit_test(who_waits_long_sleeps),
      cmocka_unit_test(who_waits_behind_arrivals_that_nobody_receives_sleeps),
      cmocka_unit_test(the_descriptor_polls_for_what_waits),
      cmocka_unit_test(other_sockets_and_options_are_refused),
      cmocka_unit_test(failed_allocations_leave_the_exchange_whole),
      cmocka_unit_test(another_process_writes_into_the_block),
      cmocka_unit_test(a_receiver_that_dies_frees_the_pins),
      cmocka_unit_test(a_forked_child_leaves_the_parents_exchange_alone),
      cmocka_unit_test(threads_share_both_ends_in_both_directions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
