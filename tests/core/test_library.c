/* Which image of the library a handle is of, with a second one in the process. */
#include "memory_testing.h"

#include <dlfcn.h>

#ifndef SECOND_IMAGE /* tests/CMakeLists.txt says where it is; checkers of this file alone do not know */
#define SECOND_IMAGE ""
#endif

/* The functions of second_image.c. */
static struct {
  sb_status (*open_heap)(sb_memory **memory);
  sb_status (*open_pool)(sb_memory **memory);
  sb_status (*get_block)(sb_memory *memory, sb_block **block);
  sb_status (*open_view)(sb_memory *memory, size_t size, sb_view **view);
  sb_status (*check)(const sb_memory *memory, const sb_block *block, const sb_view *view, sb_error *error);
  sb_status (*open_buf)(sb_memory *memory, size_t size, size_t room, sb_buf **buf);
  void (*close_buf)(sb_buf *buf);
  uint64_t (*instance_id)(void);
  void (*close)(sb_memory *memory, sb_block *block, sb_view *view);
  int64_t (*live_blocks)(void);
} second;

static void find(void *module, const char *name, void *function) {
  void *found = dlsym(module, name);
  assert_non_null(found);
  memcpy(function, &found, sizeof found); /* a pointer to data is none to a function, says C */
}

static int load_second(void **state) {
  (void)state;
  void *module = dlopen(SECOND_IMAGE, RTLD_NOW | RTLD_LOCAL);
  if (module == NULL) fail_msg("%s", dlerror());
  find(module, "second_open_heap", &second.open_heap);
  find(module, "second_open_pool", &second.open_pool);
  find(module, "second_get_block", &second.get_block);
  find(module, "second_open_view", &second.open_view);
  find(module, "second_open_buf", &second.open_buf);
  find(module, "second_close_buf", &second.close_buf);
  find(module, "second_check", &second.check);
  find(module, "second_instance_id", &second.instance_id);
  find(module, "second_close", &second.close);
  find(module, "second_live_blocks", &second.live_blocks);
  return 0;
}

static void assert_names_both(const sb_error *error, const char *what) {
  assert_int_equal(error->status, SB_UNSUPPORTED);
  assert_non_null(strstr(error->message, what));
  assert_non_null(strstr(error->message, "second_image"));
  assert_non_null(strstr(error->message, "test_library"));
}

static void instances_differ_and_the_other_is_refused(void **state) {
  (void)state;
  sb_error error;
  assert_true(second.instance_id() != sb_instance_id());
  assert_ok(sb_check_instance(sb_instance_id(), &error));
  assert_int_equal(sb_check_instance(second.instance_id(), &error), SB_UNSUPPORTED);
  assert_non_null(strstr(error.message, "a second image of libsamebytes"));
  assert_int_equal(sb_check_instance(second.instance_id(), NULL), SB_UNSUPPORTED);
}

static void handles_of_a_second_image_are_refused_by_name(void **state) {
  (void)state;
  sb_status (*const opens[])(sb_memory **) = {second.open_heap, second.open_pool};
  for (size_t i = 0; i < 2; i++) {
    sb_memory *memory = NULL;
    sb_block *block = NULL;
    sb_view *view = NULL;
    sb_error error;
    assert_ok(opens[i](&memory));
    assert_ok(second.get_block(memory, &block));
    assert_ok(second.open_view(memory, 1000, &view));
    assert_int_equal(sb_memory_check_instance(memory, &error), SB_UNSUPPORTED);
    assert_names_both(&error, "this memory was made by");
    assert_int_equal(sb_block_check_instance(block, &error), SB_UNSUPPORTED);
    assert_names_both(&error, "this block was made by");
    assert_int_equal(sb_view_check_instance(view, &error), SB_UNSUPPORTED);
    assert_names_both(&error, "this view was made by");
    assert_int_equal(sb_view_check_instance(view, NULL), SB_UNSUPPORTED);
    assert_ok(second.check(memory, block, view, &error)); /* which made them */
    assert_int_equal(second.live_blocks(), 2);
    assert_no_live_blocks();
    second.close(memory, block, view); /* and closes what was refused */
    assert_int_equal(second.live_blocks(), 0);
  }
}

static void handles_of_this_image_pass_here_and_not_there(void **state) {
  (void)state;
  sb_pool *pool = NULL;
  assert_ok(sb_pool_open(NULL, &pool));
  sb_memory *memories[4] = {NULL};
  assert_ok(sb_pool_memory(pool, &memories[0]));
  assert_ok(sb_memory_open_heap(&memories[1]));
  memories[2] = open_fixed(3);
  memories[3] = open_tracing_over(open_fixed(64));
  for (size_t i = 0; i < 4; i++) {
    sb_block *block = NULL;
    sb_view *view = NULL;
    sb_error error;
    assert_ok(sb_memory_get_block(memories[i], 1, &block));
    assert_ok(sb_view_open("several spans of some bytes", 27, memories[i], &view));
    assert_ok(sb_memory_check_instance(memories[i], &error));
    assert_ok(sb_block_check_instance(block, &error));
    assert_ok(sb_view_check_instance(view, &error));
    assert_int_equal(second.check(memories[i], block, view, &error), SB_UNSUPPORTED);
    assert_names_both(&error, "this memory was made by");
    sb_view_close(view);
    sb_block_close(block);
    sb_memory_close(memories[i]);
  }
  assert_ok(sb_pool_check_instance(pool, NULL));
  sb_pool_close(pool);
  assert_no_live_blocks();
}

static void a_buf_is_of_the_image_that_its_memory_is_of(void **state) {
  (void)state;
  sb_memory *memory = NULL;
  sb_error error;
  assert_ok(second.open_heap(&memory));
  const struct {
    sb_memory *memory;
    size_t size, room;
    sb_status wanted;
  } cases[] = {{memory, 0, 0, SB_UNSUPPORTED}, {NULL, 10, 0, SB_UNSUPPORTED}, {NULL, 0, 10, SB_UNSUPPORTED}, {NULL, 0, 0, SB_OK}};
  for (size_t i = 0; i < 4; i++) {
    sb_buf *buf = NULL;
    assert_ok(second.open_buf(cases[i].memory, cases[i].size, cases[i].room, &buf));
    assert_int_equal(sb_buf_check_instance(buf, &error), cases[i].wanted);
    if (cases[i].wanted != SB_OK) assert_names_both(&error, "this buf was made by");
    second.close_buf(buf);
  }
  second.close(memory, NULL, NULL);
  assert_int_equal(second.live_blocks(), 0);
  sb_buf *ours = NULL;
  assert_ok(sb_buf_open(NULL, &ours));
  assert_ok(sb_buf_reserve(ours, 10));
  assert_ok(sb_buf_put(ours, "some", 4));
  assert_ok(sb_buf_check_instance(ours, &error));
  sb_buf_close(ours);
}

static void a_buf_passes_whatever_its_memory_was_before(void **state) {
  (void)state;
  sb_view *parts[2], *list = NULL;
  for (size_t i = 0; i < 2; i++) assert_ok(sb_view_open("part", 4, NULL, &parts[i]));
  sb_view *const eight[] = {parts[0], parts[1], parts[0], parts[1], parts[0], parts[1], parts[0], parts[1]};
  assert_ok(sb_view_open_concat(eight, 8, &list)); /* its list of spans lies in memory that the next one opened gets */
  sb_view_close(parts[0]);
  sb_view_close(parts[1]);
  sb_view_close(list);
  sb_buf *bufs[4];
  for (size_t i = 0; i < 4; i++) {
    assert_ok(sb_buf_open(NULL, &bufs[i]));
    assert_ok(sb_buf_reserve(bufs[i], 10));
    assert_ok(sb_buf_check_instance(bufs[i], NULL));
  }
  for (size_t i = 0; i < 4; i++) sb_buf_close(bufs[i]);
}

static void what_has_no_memory_passes_and_null_does_not(void **state) {
  (void)state;
  sb_view *view = NULL;
  sb_error error;
  assert_ok(sb_view_open(NULL, 0, NULL, &view));
  assert_ok(sb_view_check_instance(view, &error));
  sb_view_close(view);
  assert_int_equal(sb_memory_check_instance(NULL, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_block_check_instance(NULL, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_view_check_instance(NULL, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_buf_check_instance(NULL, &error), SB_INVALID_ARGUMENT);
  assert_int_equal(sb_pool_check_instance(NULL, &error), SB_INVALID_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(instances_differ_and_the_other_is_refused),     cmocka_unit_test(handles_of_a_second_image_are_refused_by_name),
      cmocka_unit_test(handles_of_this_image_pass_here_and_not_there), cmocka_unit_test(a_buf_is_of_the_image_that_its_memory_is_of),
      cmocka_unit_test(a_buf_passes_whatever_its_memory_was_before),   cmocka_unit_test(what_has_no_memory_passes_and_null_does_not),
  };
  return cmocka_run_group_tests(tests, load_second, NULL);
}
