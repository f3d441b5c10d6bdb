/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=mmap,--wrap=sendmsg,--wrap=recvmsg */
#include "channel_testing.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

/* Channels at random: several threads at both ends, or a peer in another process that is killed; backlogs, small buffers, limits of pins, bytes
 * and descriptors, refusals of the system. Whatever a receiver holds must show what was sent for as long as it is held, while the sender goes
 * on with all memory that it takes for free; and what was sent is received once, unless one side ended.
 *
 * CHANNEL_SECONDS says for how long, 3 by default; CHANNEL_SEED where to begin, which a failure tells. */

/* ---- refusals ---- */

static atomic_uint refuse_every; /* 0: never */
static atomic_uint calls;

static bool refused(int problem) {
  const unsigned every = atomic_load_explicit(&refuse_every, memory_order_relaxed);
  if (every == 0 || atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) % every != 0) return false;
  errno = problem;
  return true;
}

#define WRAP(type, name, failed, problem, parameters, arguments) \
  type __real_##name parameters; \
  type __wrap_##name parameters; \
  type __wrap_##name parameters { return refused(problem) ? (failed) : __real_##name arguments; }
WRAP(void *, malloc, NULL, ENOMEM, (size_t size), (size))
WRAP(void *, calloc, NULL, ENOMEM, (size_t count, size_t size), (count, size))
WRAP(void *, mmap, MAP_FAILED, ENOMEM, (void *at, size_t size, int how, int flags, int file, off_t offset),
     (at, size, how, flags, file, offset))
WRAP(ssize_t, sendmsg, -1, ENOBUFS, (int socket, const struct msghdr *message, int flags), (socket, message, flags))
WRAP(ssize_t, recvmsg, -1, ENOMEM, (int socket, struct msghdr *message, int flags), (socket, message, flags))

/* ---- one who sends and receives ---- */

enum {
  HELD_MAX = 6,
  SPANS = 4,
  MEMORIES = 3
};

typedef struct held {
  sb_view *view;
  sb_block *block;
} held;

typedef struct actor {
  sb_channel *channel;
  sb_memory *memories[MEMORIES];
  random_source random;
  uint64_t name, sent, received, steps;
  bool ended, stops;
  held held[HELD_MAX];
} actor;

/* What a message with that number has at a place. The number itself comes first. */
static uint8_t content(uint64_t number, size_t at) { return (uint8_t)((number * 0x9e3779b97f4a7c15u >> 32) + at / 64); }

static void fill(uint8_t *data, uint64_t number, size_t at, size_t size) {
  for (size_t i = 0; i < size; i++) data[i] = content(number, at + i);
}

static bool may_fail(sb_status status) {
  return status == SB_TIMEOUT || status == SB_NO_MEMORY || status == SB_IO || status == SB_UNAVAILABLE || status == SB_CLOSED ||
         status == SB_TOO_LARGE || status == SB_BUSY;
}

static void note_status(actor *it, sb_status status) {
  if (status != SB_OK && !may_fail(status)) fail_msg("status %s", sb_status_name(status));
  if (status == SB_UNAVAILABLE || status == SB_CLOSED || status == SB_TOO_LARGE) it->ended = true;
}

static void check_piece(const uint8_t *data, size_t size, uint64_t *number, size_t *at) {
  for (size_t i = 0; i < size; i++, (*at)++) {
    if (*at < sizeof *number)
      ((uint8_t *)number)[*at] = data[i];
    else if (data[i] != content(*number, *at))
      fail_msg("message %" PRIx64 " was changed at %zu while it was held", *number, *at);
  }
}

static void check_held(const held *one) {
  uint64_t number = 0;
  size_t at = 0;
  if (one->block != NULL) check_piece(sb_block_data(one->block), sb_block_size(one->block), &number, &at);
  for (size_t i = 0; one->view != NULL && i < sb_view_span_count(one->view); i++) {
    const void *data = NULL;
    size_t size = 0;
    assert_ok(sb_view_span(one->view, i, &data, &size));
    check_piece(data, size, &number, &at);
  }
}

static void let_go(held *one) {
  check_held(one);
  sb_view_close(one->view);
  sb_block_close(one->block);
  *one = (held){NULL, NULL};
}

static sb_status make_block(actor *it, uint64_t number, size_t at, size_t *size, sb_block **block) {
  *size = sizeof number + random_below(&it->random, 3000);
  const sb_status status = sb_memory_get_block(it->memories[random_below(&it->random, MEMORIES)], *size, block);
  if (status != SB_OK) return status;
  uint8_t *data = sb_block_data(*block);
  fill(data, number, at, *size);
  if (at == 0) memcpy(data, &number, sizeof number);
  return SB_OK;
}

static sb_status make_view(actor *it, uint64_t number, sb_view **view) {
  const size_t spans = 1 + random_below(&it->random, SPANS);
  size_t at = 0;
  for (size_t i = 0; i < spans; i++) {
    sb_block *block = NULL;
    sb_view *one = NULL;
    size_t size = 0;
    sb_status status = make_block(it, number, at, &size, &block);
    if (status == SB_OK) status = sb_view_open_block(block, size, &one);
    if (status != SB_OK) {
      sb_block_close(block);
      return status;
    }
    if (*view == NULL)
      *view = one;
    else {
      status = sb_view_append(*view, one);
      sb_view_close(one);
      if (status != SB_OK) return status;
    }
    at += size;
  }
  return SB_OK;
}

static void send_one(actor *it) {
  const uint64_t number = it->name << 56 | it->steps;
  const int64_t timeout_ms = (int64_t)random_below(&it->random, 2);
  sb_block *block = NULL;
  sb_view *view = NULL;
  size_t size = 0;
  const bool as_block = random_below(&it->random, 4) == 0;
  sb_status status = as_block ? make_block(it, number, 0, &size, &block) : make_view(it, number, &view);
  if (status == SB_OK)
    status = as_block ? sb_channel_send_block(it->channel, block, size, number, timeout_ms, NULL)
                      : sb_channel_send_view(it->channel, view, number, timeout_ms, NULL);
  it->sent += status == SB_OK;
  note_status(it, status);
  sb_view_close(view);
  sb_block_close(block);
}

/* Writes to all kinds of memory that the actor may have. */
static void overwrite(actor *it) {
  for (size_t i = 0; i < MEMORIES; i++) {
    sb_block *blocks[16] = {NULL};
    for (size_t j = 0; j < 16; j++)
      if (sb_memory_get_block(it->memories[i], 4096, &blocks[j]) == SB_OK) memset(sb_block_data(blocks[j]), 0xee, 4096);
    for (size_t j = 0; j < 16; j++) sb_block_close(blocks[j]);
  }
}

static sb_status receive_one(actor *it) {
  held *one = &it->held[random_below(&it->random, HELD_MAX)];
  let_go(one);
  const int64_t timeout_ms = (int64_t)random_below(&it->random, 2);
  sb_status status = sb_channel_receive_view(it->channel, timeout_ms, &one->view, NULL);
  if (status == SB_UNSUPPORTED) status = sb_channel_receive_block(it->channel, timeout_ms, &one->block, NULL);
  if (status == SB_UNSUPPORTED) return SB_OK; /* another thread was faster */
  it->received += status == SB_OK;
  check_held(one);
  note_status(it, status);
  return status;
}

static void step(actor *it) {
  it->steps++;
  switch (random_below(&it->random, 12)) {
  case 0:
  case 1:
  case 2:
  case 3: send_one(it); break;
  case 4:
  case 5:
  case 6: (void)!receive_one(it); break;
  case 7:
    for (size_t backlog = random_below(&it->random, 80); backlog > 0; backlog--) send_one(it);
    break;
  case 8: let_go(&it->held[random_below(&it->random, HELD_MAX)]); break;
  case 9: note_status(it, sb_channel_wait_done(it->channel, (int64_t)random_below(&it->random, 2), NULL)); break;
  case 10: (void)!sb_channel_pin_count(it->channel); break;
  default:
    for (size_t i = 0; i < HELD_MAX; i++) check_held(&it->held[i]);
    if (it->stops && random_below(&it->random, 20) == 0) sb_channel_stop(it->channel);
  }
}

static void *act(void *context) {
  actor *it = context;
  const size_t steps = 20 + random_below(&it->random, 150);
  for (size_t i = 0; i < steps; i++) step(it);
  return NULL;
}

static void open_actor(actor *it, sb_channel *channel, uint64_t name, random_source *random) {
  static const uint32_t sizes[MEMORIES] = {0, 1, 1 << 14};
  *it = (actor){.channel = channel, .name = name, .random = {random_next(random) | 1}};
  for (size_t i = 0; i < MEMORIES; i++) it->memories[i] = open_shared(sizes[i]);
}

static void close_actor(actor *it) {
  for (size_t i = 0; i < HELD_MAX; i++) let_go(&it->held[i]);
  for (size_t i = 0; i < MEMORIES; i++) sb_memory_close(it->memories[i]);
}

/* ---- rounds ---- */

static sb_channel_options some_options(random_source *random) {
  sb_channel_options options;
  sb_channel_options_init(&options, sizeof options);
  options.pins_max = (uint32_t)(SPANS + random_below(random, random_below(random, 2) == 0 ? 8 : 300));
  if (random_below(random, 4) == 0) options.bytes_max = (uint64_t)random_below(random, 8) << 20 | 1 << 14;
  return options;
}

static void some_sockets(random_source *random, int files[2]) {
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, files), 0);
  const int least = 1;
  for (int i = 0; i < 2; i++)
    if (random_below(random, 3) == 0) assert_int_equal(setsockopt(files[i], SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
}

/* Lets the process have no more descriptors for a moment, again and again, while threads run. */
static void squeeze_descriptors(random_source *random) {
  struct rlimit before, less;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  for (int i = 0; i < 4; i++) {
    less = (struct rlimit){8 + random_below(random, 40), before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    (void)usleep((useconds_t)random_below(random, 1000));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    (void)usleep((useconds_t)random_below(random, 500));
  }
}

static bool all_received(actor *const actors, size_t count) {
  for (size_t i = 0; i < count; i++) {
    sb_status status;
    do status = receive_one(&actors[i]);
    while (status == SB_OK);
  }
  uint64_t sent[2] = {0}, received[2] = {0};
  bool ended = false;
  for (size_t i = 0; i < count; i++) {
    sent[i % 2] += actors[i].sent;
    received[i % 2] += actors[i].received;
    ended = ended || actors[i].ended;
  }
  return ended || (sent[0] == received[1] && sent[1] == received[0]);
}

static void round_of_threads(random_source *random) {
  enum {
    ACTORS_MAX = 4
  };
  int files[2];
  some_sockets(random, files);
  const sb_channel_options options = some_options(random);
  ends both = {open_channel(files[0], &options), open_channel(files[1], &options)};
  actor actors[ACTORS_MAX];
  pthread_t threads[ACTORS_MAX];
  const size_t count = random_below(random, 2) == 0 ? 2 : ACTORS_MAX;
  for (size_t i = 0; i < count; i++) {
    open_actor(&actors[i], i % 2 == 0 ? both.a : both.b, i + 1, random);
    actors[i].stops = random_below(random, 8) == 0;
  }
  const bool squeezed = random_below(random, 3) == 0;
  if (random_below(random, 3) == 0) refuse_every = 20 + (unsigned)random_below(random, 200);
  for (size_t i = 0; i < count; i++) {
    int failed;
    do failed = pthread_create(&threads[i], NULL, act, &actors[i]);
    while (failed != 0);
  }
  if (squeezed) squeeze_descriptors(random);
  for (size_t i = 0; i < count; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  refuse_every = 0;
  if (random_below(random, 2) == 0) assert_true(all_received(actors, count));
  const bool held_first = random_below(random, 2) == 0, a_first = random_below(random, 2) == 0;
  if (held_first)
    for (size_t i = 0; i < count; i++) close_actor(&actors[i]);
  sb_channel_close(a_first ? both.a : both.b);
  if (!held_first)
    for (size_t i = 0; i < count; i++) { /* both go on, with all memory that they take for free */
      for (int j = 0; j < 5; j++) {
        if ((i % 2 == 0) == a_first)
          overwrite(&actors[i]);
        else
          send_one(&actors[i]);
      }
      for (size_t j = 0; j < count; j++)
        for (size_t k = 0; k < HELD_MAX; k++) check_held(&actors[j].held[k]);
    }
  sb_channel_close(a_first ? both.b : both.a);
  if (!held_first)
    for (size_t i = 0; i < count; i++) close_actor(&actors[i]);
}

/* The peer is another process, which is killed at any moment. */
static void round_of_processes(random_source *random) {
  int files[2];
  some_sockets(random, files);
  const sb_channel_options options = some_options(random);
  const uint64_t seed = random_next(random);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    random_source own = {seed | 1};
    actor it;
    (void)close(files[0]);
    open_actor(&it, open_channel(files[1], &options), 2, &own);
    for (int i = 0; i < 300; i++) (void)act(&it);
    _exit(0);
  }
  (void)close(files[1]);
  actor it;
  open_actor(&it, open_channel(files[0], &options), 1, random);
  for (size_t i = 1 + random_below(random, 60); i > 0; i--) step(&it);
  assert_int_equal(kill(child, SIGKILL), 0);
  if (random_below(random, 2) == 0) /* all that came before is there; then the end is told */
    while (!it.ended) (void)!receive_one(&it);
  for (size_t i = random_below(random, 60); i > 0; i--) step(&it);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  const bool held_first = random_below(random, 2) == 0;
  if (held_first) close_actor(&it);
  sb_channel_close(it.channel);
  if (!held_first) close_actor(&it);
}

static uint64_t setting(const char *name, uint64_t otherwise) {
  const char *text = getenv(name); /* NOLINT(concurrency-mt-unsafe): no other thread */
  return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

static void what_is_held_stays_and_nothing_is_lost(void **state) {
  (void)state;
  const time_t end = time(NULL) + (time_t)setting("CHANNEL_SECONDS", 3);
  const uint64_t first = setting("CHANNEL_SEED", (uint64_t)time(NULL) << 20);
  uint64_t rounds = 0;
  for (; time(NULL) < end || rounds == 0; rounds++) {
    random_source random = {(first + rounds) * 0x9e3779b97f4a7c15u | 1};
    (void)fprintf(stderr, "\rCHANNEL_SEED=%" PRIu64 " ", first + rounds);
    const int files = open_files(), segments = mapped_segments();
    if (random_below(&random, 4) == 0)
      round_of_processes(&random);
    else
      round_of_threads(&random);
    sb_memory_drain();
    assert_no_live_blocks();
    assert_int_equal(open_files(), files);
    assert_int_equal(mapped_segments(), segments);
  }
  (void)fprintf(stderr, "%" PRIu64 " rounds\n", rounds);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_held_stays_and_nothing_is_lost)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
