/* A second image of the library for test_library.c: the core once more, in a module that hides it. */
#include <samebytes/samebytes.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT sb_status second_open_heap(sb_memory **memory);
EXPORT sb_status second_open_pool(sb_memory **memory);
EXPORT sb_status second_get_block(sb_memory *memory, sb_block **block);
EXPORT sb_status second_open_view(sb_memory *memory, size_t size, sb_view **view);
EXPORT sb_status second_open_buf(sb_memory *memory, size_t size, size_t room, sb_buf **buf);
EXPORT sb_status second_check(const sb_memory *memory, const sb_block *block, const sb_view *view, sb_error *error);
EXPORT uint64_t second_instance_id(void);
EXPORT void second_close(sb_memory *memory, sb_block *block, sb_view *view);
EXPORT void second_close_buf(sb_buf *buf);
EXPORT int64_t second_live_blocks(void);

sb_status second_open_heap(sb_memory **memory) { return sb_memory_open_heap(memory); }

sb_status second_open_pool(sb_memory **memory) {
  sb_pool *pool = NULL;
  sb_status status = sb_pool_open(NULL, &pool);
  if (status == SB_OK) status = sb_pool_memory(pool, memory);
  sb_pool_close(pool);
  return status;
}

sb_status second_get_block(sb_memory *memory, sb_block **block) { return sb_memory_get_block(memory, 100, block); }

sb_status second_open_view(sb_memory *memory, size_t size, sb_view **view) {
  static const uint8_t bytes[1000];
  return sb_view_open(bytes, size, memory, view);
}

sb_status second_open_buf(sb_memory *memory, size_t size, size_t room, sb_buf **buf) {
  sb_buf *made = NULL;
  sb_status status = sb_buf_open(memory, &made);
  if (status == SB_OK) status = sb_buf_reserve(made, size);
  if (status == SB_OK) status = sb_buf_put_repeated(made, 7, size);
  if (status == SB_OK) status = sb_buf_reserve(made, room);
  *buf = made;
  return status;
}

void second_close_buf(sb_buf *buf) { sb_buf_close(buf); }

sb_status second_check(const sb_memory *memory, const sb_block *block, const sb_view *view, sb_error *error) {
  sb_status status = sb_memory_check_instance(memory, error);
  if (status == SB_OK) status = sb_block_check_instance(block, error);
  return status == SB_OK ? sb_view_check_instance(view, error) : status;
}

uint64_t second_instance_id(void) { return sb_instance_id(); }

void second_close(sb_memory *memory, sb_block *block, sb_view *view) {
  sb_view_close(view);
  sb_block_close(block);
  sb_memory_close(memory);
}

int64_t second_live_blocks(void) { return sb_memory_live_blocks(); }
