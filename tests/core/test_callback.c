/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */
#include "memory_testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failing_memory.h"

/* Providers of functions: what they give, get wrong, and get back. */

enum {
  BLOCKS_MAX = 8192
};

typedef struct arena {
  sb_status status;     /* that reserve returns */
  size_t block_size;    /* 0: what is asked for, in one block */
  size_t bytes_more;    /* than asked for; less when `too_little` */
  bool too_little, odd; /* odd: blocks that no block can be */
  const char *message;
  void *out[BLOCKS_MAX]; /* blocks that were given and not released */
  int given, released, retired;
  pthread_t released_on;
} arena;

static sb_status give(arena *self, void *sink, size_t size) {
  uint8_t *data = __real_malloc(size);
  assert_non_null(data);
  int place = 0;
  while (self->out[place] != NULL) assert_true(++place < BLOCKS_MAX);
  const sb_status status = sb_sink_add(sink, data, size, &self->out[place], 40 + (uint64_t)self->given, self);
  if (status == SB_OK) {
    self->out[place] = data;
    self->given++;
  } else {
    free(data);
  }
  return status;
}

static sb_status reserve(void *context, size_t min_bytes, void *sink) {
  arena *self = context;
  if (self->odd) {
    assert_int_equal(sb_sink_add(sink, NULL, 10, NULL, 0, NULL), SB_INVALID_ARGUMENT);
    assert_int_equal(sb_sink_add(sink, self, 0, NULL, 0, NULL), SB_INVALID_ARGUMENT);
    assert_int_equal(sb_sink_add(sink, self, (size_t)SB_BLOCK_SIZE_MAX + 1, NULL, 0, NULL), SB_TOO_LARGE);
    assert_int_equal(sb_sink_add(NULL, self, 1, NULL, 0, NULL), SB_INVALID_ARGUMENT);
  }
  size_t left = self->too_little ? min_bytes - 1 : min_bytes + self->bytes_more;
  while (left > 0) {
    const size_t size = self->block_size == 0 || self->block_size > left ? left : self->block_size;
    const sb_status status = give(self, sink, size);
    if (status != SB_OK) return status;
    left -= size;
  }
  if (self->message != NULL) sb_sink_refuse(sink, self->message);
  return self->status;
}

static void release(void *context, void *token) {
  arena *self = context;
  void **place = token;
  assert_non_null(*place); /* once */
  free(*place);
  *place = NULL;
  self->released++;
  self->released_on = pthread_self();
}

static void retire(void *context) { ((arena *)context)->retired++; }

static sb_memory *open_arena(arena *self, bool defer) {
  const sb_memory_functions functions = {
      .struct_size = sizeof functions, .defer = defer, .context = self, .reserve = reserve, .release = release, .retire = retire};
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_callback(&functions, &memory));
  return memory;
}

/* All came back, and then the end. */
static void assert_ended(const arena *self) {
  assert_int_equal(self->released, self->given);
  assert_int_equal(self->retired, 1);
  assert_no_live_blocks();
}

static void bytes_of_such_memory_go_everywhere(void **state) {
  (void)state;
  for (int defer = 0; defer < 2; defer++) {
    arena self = {.block_size = 40, .bytes_more = 7};
    sb_memory *memory = open_arena(&self, defer == 1);
    sb_view *view = NULL, *frames = NULL;
    const char *text = "fifty bytes and some more of them, in several blocks of forty";
    assert_ok(sb_view_open(text, strlen(text), memory, &view));
    assert_view_shows_text(view, text);
    uint64_t key = 0;
    const void *metadata = NULL;
    assert_ok(sb_view_span_metadata(view, 1, &key, &metadata));
    assert_int_equal(key, 41);
    assert_ptr_equal(metadata, &self);
    sb_buf *buf = NULL;
    assert_ok(sb_buf_open(memory, &buf));
    assert_ok(sb_buf_reserve(buf, 100));
    assert_ok(sb_buf_put(buf, text, strlen(text)));
    sb_buf_close(buf);
    sb_schema *schema = NULL;
    assert_ok(sb_echo_request_schema(&schema));
    sb_parser_options options;
    sb_parser_options_init(&options, sizeof options);
    options.memory = memory;
    sb_parser *parser = NULL;
    sb_batch *batch = NULL;
    sb_builder *builder = NULL;
    assert_ok(sb_parser_open(&schema, 1, &options, &parser, NULL));
    assert_ok(sb_batch_open(&batch));
    assert_ok(sb_builder_open(memory, &builder));
    const sb_echo_request request = {.subject = text, .subject_size = strlen(text), .body = text, .body_size = strlen(text)};
    assert_ok(sb_echo_add_request(builder, &request, NULL));
    assert_ok(sb_builder_take(builder, &frames));
    for (size_t i = 0; i < sb_view_span_count(frames); i++) {
      const void *data = NULL;
      size_t size = 0;
      assert_ok(sb_view_span(frames, i, &data, &size));
      assert_ok(sb_parser_feed(parser, data, size));
    }
    assert_ok(sb_parser_parse(parser, batch));
    assert_int_equal(sb_batch_row_count(batch), 1);
    sb_memory_close(memory);
    sb_view_close(frames);
    sb_view_close(view);
    sb_batch_close(batch);
    sb_parser_close(parser);
    sb_builder_close(builder);
    sb_schema_close(schema);
    if (defer == 1) {
      assert_int_equal(self.retired, 0);
      sb_memory_drain();
    }
    assert_ended(&self);
  }
}

static void what_was_given_beyond_the_request_serves_the_next(void **state) {
  (void)state;
  arena self = {.bytes_more = 900};
  sb_memory *memory = open_arena(&self, false);
  self.block_size = 100;
  sb_buf *buf = NULL;
  assert_ok(sb_buf_open(memory, &buf));
  assert_ok(sb_buf_reserve(buf, 100)); /* 10 blocks of 100 were given */
  assert_int_equal(self.given, 10);
  assert_ok(sb_buf_reserve(buf, 1000));
  assert_int_equal(self.given, 10);
  assert_int_equal(stats_of(memory).reserves, 10);
  sb_buf_close(buf);
  assert_int_equal(self.released, 10);
  sb_memory_close(memory);
  assert_ended(&self);
}

static void assert_fails(sb_memory *memory, sb_status wanted, const char *message) {
  sb_block *block = NULL;
  assert_int_equal(sb_memory_get_block(memory, 100, &block), wanted);
  assert_null(block);
  sb_error error;
  assert_ok(sb_memory_get_failure(memory, &error));
  assert_int_equal(error.status, wanted);
  assert_string_equal(error.message, message);
}

static void whatever_goes_wrong_is_told_and_given_back(void **state) {
  (void)state;
  arena self = {.too_little = true, .block_size = 30};
  sb_memory *memory = open_tracing_over(open_arena(&self, false));
  sb_error error;
  assert_int_equal(sb_memory_get_failure(memory, &error), SB_NOT_FOUND);
  assert_fails(memory, SB_PROVIDER, "reserve gave 99 bytes of 100");
  self.odd = true;
  assert_fails(memory, SB_PROVIDER, "reserve gave 99 bytes of 100");
  self.too_little = self.odd = false;
  self.status = SB_IO;
  assert_fails(memory, SB_PROVIDER, "reserve failed when it was asked for 100 bytes");
  self.message = "the disk is on fire";
  assert_fails(memory, SB_PROVIDER, "the disk is on fire");
  self.status = SB_NO_MEMORY;
  assert_fails(memory, SB_NO_MEMORY, "the disk is on fire");
  assert_int_equal(self.given, self.released);
  self.status = SB_OK;
  sb_block *block = NULL;
  assert_int_equal(sb_memory_get_block(memory, 100, &block), SB_PROVIDER); /* no block of it is large enough */
  self.block_size = 0;
  assert_ok(sb_memory_get_block(memory, 500, &block));
  sb_block_close(block);
  sb_memory_close(memory);
  assert_ended(&self);
  assert_ok(sb_memory_open_heap(&memory));
  assert_int_equal(sb_memory_get_failure(memory, &error), SB_UNSUPPORTED);
  sb_memory_close(memory);
}

static void functions_that_are_missing_are_refused(void **state) {
  (void)state;
  arena self = {.status = SB_OK};
  sb_memory *memory = NULL;
  sb_memory_functions functions = {.struct_size = sizeof functions, .context = &self, .reserve = reserve};
  assert_int_equal(sb_memory_open_callback(&functions, &memory), SB_INVALID_ARGUMENT);
  functions.release = release;
  functions.struct_size--;
  assert_int_equal(sb_memory_open_callback(&functions, &memory), SB_INVALID_ARGUMENT);
  functions.struct_size++;
  assert_ok(sb_memory_open_callback(&functions, &memory)); /* without an end */
  sb_memory_close(memory);
}

static void failed_allocations_give_everything_back(void **state) {
  (void)state;
  arena self = {.block_size = 10};
  sb_memory *memory = open_arena(&self, false);
  for (long nth = 1; nth <= 5; nth++) {
    sb_buf *buf = NULL;
    assert_ok(sb_buf_open(memory, &buf));
    allocations_until_failure = nth;
    assert_int_equal(sb_buf_reserve(buf, 50), SB_NO_MEMORY);
    allocations_until_failure = 0;
    assert_int_equal(sb_buf_room(buf), 0);
    sb_buf_close(buf);
    assert_no_live_blocks();
  }
  sb_memory_close(memory);
  assert_ended(&self);
}

static void *close_there(void *block) {
  sb_block_close(block);
  return NULL;
}

static void close_on_another_thread(sb_block *block) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, close_there, block), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_block_is_released_where_it_is_closed_or_later_where_it_is_drained(void **state) {
  (void)state;
  arena at_once = {.status = SB_OK}, deferred = {.status = SB_OK};
  sb_memory *first = open_arena(&at_once, false), *second = open_arena(&deferred, true);
  sb_block *block = NULL;
  assert_ok(sb_memory_get_block(first, 10, &block));
  close_on_another_thread(block);
  assert_int_equal(at_once.released, 1);
  assert_false(pthread_equal(at_once.released_on, pthread_self()));
  assert_ok(sb_memory_get_block(second, 10, &block));
  close_on_another_thread(block);
  assert_int_equal(deferred.released, 0);
  assert_int_equal(stats_of(second).releases, 1);     /* to the library it is back */
  assert_ok(sb_memory_get_block(second, 10, &block)); /* drains */
  assert_int_equal(deferred.released, 1);
  assert_true(pthread_equal(deferred.released_on, pthread_self()));
  sb_memory_close(first);
  sb_memory_close(second);
  sb_block_close(block); /* the last owner of the provider */
  assert_int_equal(deferred.retired, 0);
  sb_memory_drain();
  assert_ended(&at_once);
  assert_ended(&deferred);
}

enum {
  ROUNDS = 3000
};

static atomic_int thread_given, thread_released;

static sb_status reserve_on_threads(void *context, size_t min_bytes, void *sink) {
  (void)context;
  void *data = __real_malloc(min_bytes);
  if (data == NULL) return SB_NO_MEMORY;
  atomic_fetch_add(&thread_given, 1);
  return sb_sink_add(sink, data, min_bytes, data, 0, NULL);
}

static void release_on_threads(void *context, void *token) {
  (void)context;
  free(token);
  atomic_fetch_add(&thread_released, 1);
}

static void *get_and_close(void *memory) {
  sb_block *kept[8] = {NULL};
  for (int i = 0; i < ROUNDS; i++) {
    sb_block_close(kept[i % 8]);
    kept[i % 8] = NULL;
    if (sb_memory_get_block(memory, 64, &kept[i % 8]) != SB_OK) return memory;
    memset(sb_block_data(kept[i % 8]), i, 64);
    if (i % 100 == 0) sb_memory_drain();
  }
  for (int i = 0; i < 8; i++) sb_block_close(kept[i]);
  return NULL;
}

static void threads_reserve_release_and_drain_at_the_same_time(void **state) {
  (void)state;
  for (int defer = 0; defer < 2; defer++) {
    const sb_memory_functions functions = {
        .struct_size = sizeof functions, .defer = defer == 1, .reserve = reserve_on_threads, .release = release_on_threads};
    sb_memory *memory = NULL;
    assert_ok(sb_memory_open_callback(&functions, &memory));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, get_and_close, memory), 0);
    for (int i = 0; i < 4; i++) {
      void *failed = memory;
      assert_int_equal(pthread_join(threads[i], &failed), 0);
      assert_null(failed);
    }
    sb_memory_close(memory);
    sb_memory_drain();
    assert_int_equal(thread_given, thread_released);
    assert_no_live_blocks();
  }
}

/* The malloc of a sanitizer cannot be used in a child that was forked beside other threads: its locks may be held by a thread that the child
 * does not have, and it waits for ever. What follows runs in the other builds. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static atomic_bool looping;

/* Takes from the list of spare blocks, which is long, so that the lock is held much of the time. */
static void *get_and_close_on(void *memory) {
  while (atomic_load(&looping)) {
    sb_block *block = NULL;
    if (sb_memory_get_block(memory, 64, &block) != SB_OK) return memory;
    sb_block_close(block);
  }
  return NULL;
}

static sb_status reserve_many(void *context, size_t min_bytes, void *sink) {
  for (int i = 0; i < 2000; i++) {
    const sb_status status = reserve_on_threads(context, min_bytes, sink);
    if (status != SB_OK) return status;
  }
  return SB_OK;
}

static int child_gets_and_closes(sb_memory *memory) {
  (void)alarm(10); /* for one that waits for a lock that nobody will release */
  for (int i = 0; i < 3000; i++) {
    sb_block *block = NULL;
    if (sb_memory_get_block(memory, 64, &block) != SB_OK) return 1;
    memset(sb_block_data(block), i, 64);
    sb_block_close(block);
  }
  return 0;
}

static void a_child_forked_while_a_thread_reserves_can_reserve(void **state) {
  (void)state;
  const sb_memory_functions functions = {.struct_size = sizeof functions, .reserve = reserve_many, .release = release_on_threads};
  sb_memory *memory = NULL;
  assert_ok(sb_memory_open_callback(&functions, &memory));
  pthread_t thread;
  atomic_store(&looping, true);
  assert_int_equal(pthread_create(&thread, NULL, get_and_close_on, memory), 0);
  for (int i = 0; i < 20; i++) {
    (void)usleep(500);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(child_gets_and_closes(memory));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
  }
  atomic_store(&looping, false);
  assert_int_equal(pthread_join(thread, NULL), 0);
  sb_memory_close(memory);
  assert_int_equal(thread_given, thread_released);
  assert_no_live_blocks();
}

#endif

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bytes_of_such_memory_go_everywhere),
      cmocka_unit_test(what_was_given_beyond_the_request_serves_the_next),
      cmocka_unit_test(whatever_goes_wrong_is_told_and_given_back),
      cmocka_unit_test(functions_that_are_missing_are_refused),
      cmocka_unit_test(failed_allocations_give_everything_back),
      cmocka_unit_test(a_block_is_released_where_it_is_closed_or_later_where_it_is_drained),
      cmocka_unit_test(threads_reserve_release_and_drain_at_the_same_time),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
      cmocka_unit_test(a_child_forked_while_a_thread_reserves_can_reserve),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
