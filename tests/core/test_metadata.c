/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */
#include "memory_testing.h"

#include "block.h"
#include "failing_memory.h"
#include "handle_cache.h"

/* Metadata of blocks in every slice, bufs from blocks, and what memory everything says it has. */

static sb_block *block_of(sb_memory *memory, size_t size, uint64_t key, const void *metadata) {
  sb_block *block = NULL;
  assert_ok(sb_memory_get_block(memory, size, &block));
  assert_ok(sb_block_set_metadata(block, key, metadata));
  return block;
}

static void assert_span_has(const sb_view *view, size_t index, uint64_t key, const void *metadata) {
  uint64_t found_key = 99;
  const void *found = &found_key;
  assert_ok(sb_view_span_metadata(view, index, &found_key, &found));
  assert_int_equal(found_key, key);
  assert_ptr_equal(found, metadata);
}

static void metadata_travels_with_every_slice(void **state) {
  (void)state;
  static const char first_table = 0, second_table = 0;
  sb_memory *memory = open_fixed(4);
  sb_block *blocks[] = {block_of(memory, 4, 1, &first_table), block_of(memory, 4, 2, &second_table)};
  sb_buf *buf = NULL;
  assert_ok(sb_buf_from_blocks(blocks, 2, memory, &buf));
  assert_int_equal(sb_buf_room(buf), 8);
  assert_ok(sb_buf_put(buf, "01234567", 8));
  assert_ok(sb_buf_reserve(buf, 1)); /* a third block, of the provider */
  assert_ok(sb_buf_put(buf, "8", 1));
  sb_view *whole = NULL, *middle = NULL, *copy = NULL;
  assert_ok(sb_buf_take(buf, 9, &whole));
  sb_buf_close(buf);
  assert_ok(sb_view_range(whole, 3, 4, &middle));
  assert_ok(sb_view_copy(whole, &copy));
  assert_ok(sb_view_append(middle, copy));
  assert_ok(sb_view_skip(copy, 5));
  assert_view_shows_text(whole, "012345678");
  assert_span_has(whole, 0, 1, &first_table);
  assert_span_has(whole, 1, 2, &second_table);
  assert_span_has(whole, 2, 0, NULL);
  assert_span_has(middle, 0, 1, &first_table);
  assert_span_has(middle, 1, 2, &second_table);
  assert_span_has(middle, 2, 1, &first_table);
  assert_span_has(copy, 0, 2, &second_table);
  uint64_t key = 7;
  const void *metadata = &key;
  assert_int_equal(sb_view_span_metadata(whole, 3, &key, &metadata), SB_OUT_OF_RANGE);
  assert_int_equal(key, 7);
  sb_view_close(whole);
  sb_view_close(middle);
  sb_view_close(copy);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

static void metadata_of_a_shared_block_does_not_change(void **state) {
  (void)state;
  sb_memory *memory = open_fixed(16);
  sb_block *block = block_of(memory, 1, 5, memory);
  sb_block *other = sb_block_retain(block);
  assert_int_equal(sb_block_set_metadata(block, 6, NULL), SB_BUSY);
  sb_block_close(other);
  uint64_t key = 0;
  const void *metadata = NULL;
  assert_ok(sb_block_get_metadata(block, &key, &metadata));
  assert_int_equal(key, 5);
  assert_ptr_equal(metadata, memory);
  sb_block_close(block);
  sb_memory_close(memory);
}

static void a_block_of_a_pool_comes_without_the_last_users_metadata(void **state) {
  (void)state;
  sb_pool *pool = NULL;
  assert_ok(sb_pool_open(NULL, &pool));
  for (int i = 0; i < 3; i++) {
    sb_block *block = NULL;
    uint64_t key = 1;
    const void *metadata = pool;
    assert_ok(sb_pool_get_block(pool, 100, &block));
    assert_ok(sb_block_get_metadata(block, &key, &metadata));
    assert_int_equal(key, 0);
    assert_null(metadata);
    assert_ok(sb_block_set_metadata(block, 8, pool));
    sb_block_close(block);
  }
  sb_pool_close(pool);
}

static void blocks_that_cannot_be_a_buf_stay_the_callers(void **state) {
  (void)state;
  sb_memory *memory = open_fixed(8);
  sb_block *blocks[3] = {block_of(memory, 8, 0, NULL), block_of(memory, 8, 0, NULL), block_of(memory, 8, 0, NULL)};
  sb_block *other = sb_block_retain(blocks[1]);
  sb_buf *buf = NULL;
  assert_int_equal(sb_buf_from_blocks(blocks, 3, memory, &buf), SB_BUSY);
  sb_block_close(other);
  sb_block *const twice[] = {blocks[0], blocks[1], blocks[0]};
  assert_int_equal(sb_buf_from_blocks(twice, 3, memory, &buf), SB_INVALID_ARGUMENT);
  sb_block *const missing[] = {blocks[0], NULL};
  assert_int_equal(sb_buf_from_blocks(missing, 2, memory, &buf), SB_INVALID_ARGUMENT);
  for (unsigned nth = 1; nth <= 3; nth++) {
    sb_priv_handle_flush();
    allocations_until_failure = (long)nth;
    const sb_status status = sb_buf_from_blocks(blocks, 3, memory, &buf);
    allocations_until_failure = 0;
    assert_int_equal(status, SB_NO_MEMORY);
    assert_null(buf);
  }
  assert_ok(sb_buf_from_blocks(blocks, 3, NULL, &buf)); /* nothing of the above has changed them */
  assert_int_equal(sb_buf_room(buf), 24);
  sb_buf_close(buf);
  assert_ok(sb_buf_from_blocks(NULL, 0, memory, &buf));
  assert_int_equal(sb_buf_room(buf), 0);
  assert_ok(sb_buf_reserve(buf, 1));
  assert_int_equal(sb_buf_room(buf), 8);
  sb_buf_close(buf);
  sb_memory_close(memory);
  assert_no_live_blocks();
}

static void everything_tells_its_memory(void **state) {
  (void)state;
  sb_memory *memory = open_tracing_over(open_fixed(4096)), *found = NULL, *standard = NULL;
  sb_block *block = NULL;
  assert_ok(sb_memory_get_block(memory, 1, &block));
  assert_ok(sb_block_memory(block, &found));
  assert_ptr_equal(found, memory); /* the tracing one, not what it wraps */
  sb_memory_close(found);
  sb_block_close(block);

  assert_ok(sb_memory_open_default(&standard));
  sb_memory *const given[] = {memory, NULL}, *const told[] = {memory, standard};
  sb_schema *schema = NULL;
  assert_ok(sb_echo_request_schema(&schema));
  for (int i = 0; i < 2; i++) {
    sb_builder *builder = NULL;
    assert_ok(sb_builder_open(given[i], &builder));
    assert_ok(sb_builder_memory(builder, &found));
    assert_ptr_equal(found, told[i]);
    sb_memory_close(found);
    sb_builder_close(builder);
    sb_parser_options options;
    sb_parser_options_init(&options, sizeof options);
    options.memory = given[i];
    sb_parser *parser = NULL;
    assert_ok(sb_parser_open(&schema, 1, &options, &parser, NULL));
    assert_ok(sb_parser_memory(parser, &found));
    assert_ptr_equal(found, told[i]);
    sb_memory_close(found);
    sb_parser_close(parser);
  }
  sb_schema_close(schema);
  sb_memory_close(memory);
  sb_memory_close(standard);
}

static void the_memory_of_a_closed_pools_block_is_closed(void **state) {
  (void)state;
  sb_pool *pool = NULL;
  sb_block *block = NULL;
  assert_ok(sb_pool_open(NULL, &pool));
  assert_ok(sb_pool_get_block(pool, 100, &block));
  sb_memory *memory = NULL;
  assert_ok(sb_block_memory(block, &memory));
  sb_pool_close(pool);
  sb_memory_close(memory);
  memory = NULL;
  assert_int_equal(sb_block_memory(block, &memory), SB_CLOSED);
  assert_null(memory);
  sb_block_close(block);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(metadata_travels_with_every_slice),
      cmocka_unit_test(metadata_of_a_shared_block_does_not_change),
      cmocka_unit_test(a_block_of_a_pool_comes_without_the_last_users_metadata),
      cmocka_unit_test(blocks_that_cannot_be_a_buf_stay_the_callers),
      cmocka_unit_test(everything_tells_its_memory),
      cmocka_unit_test(the_memory_of_a_closed_pools_block_is_closed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
