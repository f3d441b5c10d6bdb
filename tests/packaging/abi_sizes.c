/* Programs that were compiled against another version of the headers, and so know another size of a structure. */
#include <samebytes/samebytes.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      printf("line %d: not true: %s\n", __LINE__, #condition); \
      return 1; \
    } \
  } while (0)

enum {
  GUARD = 0xA5
};

/* A structure with bytes behind it that nobody but their owner may write. */
typedef union guarded {
  unsigned char bytes[512];
  sb_pool_options pool;
  sb_parser_options parser;
  sb_pool_stats pool_stats;
  sb_pool_class_stats class_stats;
  sb_memory_stats memory_stats;
  sb_visit_manager_options visits;
  sb_visit_stats visit_stats;
  sb_visit_report report;
} guarded;

static int untouched(const guarded *memory, size_t from) {
  for (size_t i = from; i < sizeof memory->bytes; i++)
    if (memory->bytes[i] != GUARD) return 0;
  return 1;
}

static int init_writes_no_more_than_the_caller_has(void) {
  guarded memory;
  for (size_t size = 0; size <= sizeof(sb_pool_options) + 64; size++) {
    memset(&memory, GUARD, sizeof memory);
    sb_pool_options_init(&memory.pool, size);
    CHECK(untouched(&memory, size));
    memset(&memory, GUARD, sizeof memory);
    sb_parser_options_init(&memory.parser, size);
    CHECK(untouched(&memory, size));
    memset(&memory, GUARD, sizeof memory);
    sb_visit_manager_options_init(&memory.visits, size);
    CHECK(untouched(&memory, size));
  }
  return 0;
}

/* The structures lie at the end of their memory here, so AddressSanitizer sees a read past them. A size that no version had is refused, by one
 * rule for all. */
static int options_of_another_size_are_read_to_their_end_only(void) {
  sb_schema *schema = NULL;
  CHECK(sb_echo_request_schema(&schema) == SB_OK);
  for (size_t size = sizeof(uint32_t); size <= sizeof(sb_pool_options) + 64; size++) {
    void *memory = malloc(size);
    CHECK(memory != NULL);
    sb_pool_options_init(memory, size);
    sb_pool *pool = NULL;
    sb_status status = sb_pool_open(memory, &pool);
    CHECK(status == (size < sizeof(sb_pool_options) ? SB_INVALID_ARGUMENT : SB_OK));
    sb_pool_close(pool);
    sb_parser_options_init(memory, size);
    sb_parser *parser = NULL;
    status = sb_parser_open(&schema, 1, memory, &parser, NULL);
    CHECK(status == (size < sizeof(sb_parser_options) ? SB_INVALID_ARGUMENT : SB_OK));
    sb_parser_close(parser);
    sb_visit_manager_options_init(memory, size);
    sb_visit_manager *manager = NULL;
    status = sb_visit_manager_open("", memory, &manager, NULL); /* no file has an empty path, so the options are all that is read */
    CHECK(status != SB_OK && manager == NULL);
    free(memory);
  }
  sb_schema_close(schema);
  return 0;
}

static int results_fit_the_memory_that_the_caller_says_it_has(const char *path) {
  guarded memory;
  sb_pool *pool = NULL;
  sb_memory *provider = NULL;
  CHECK(sb_pool_open(NULL, &pool) == SB_OK);
  CHECK(sb_pool_memory(pool, &provider) == SB_OK);
  sb_visit_manager *manager = NULL;
  CHECK(sb_visit_manager_open(path, NULL, &manager, NULL) == SB_OK);
  for (uint32_t size = 0; size <= sizeof(sb_pool_stats) + 64; size++) {
    memset(&memory, GUARD, sizeof memory);
    memory.pool_stats.struct_size = size;
    (void)!sb_pool_get_stats(pool, &memory.pool_stats);
    CHECK(untouched(&memory, size < 4 ? 4 : size));
    memset(&memory, GUARD, sizeof memory);
    memory.class_stats.struct_size = size;
    (void)!sb_pool_get_class_stats(pool, 0, &memory.class_stats);
    CHECK(untouched(&memory, size < 4 ? 4 : size));
    memset(&memory, GUARD, sizeof memory);
    memory.memory_stats.struct_size = size;
    (void)!sb_memory_get_stats(provider, &memory.memory_stats);
    CHECK(untouched(&memory, size < 4 ? 4 : size));
    memset(&memory, GUARD, sizeof memory);
    memory.visit_stats.struct_size = size;
    (void)!sb_visit_manager_get_stats(manager, &memory.visit_stats, NULL);
    CHECK(untouched(&memory, size < 4 ? 4 : size));
    memset(&memory, GUARD, sizeof memory);
    memory.report.struct_size = size;
    (void)!sb_visit_manager_verify(manager, &memory.report, NULL);
    CHECK(untouched(&memory, size < 4 ? 4 : size));
  }
  sb_visit_manager_close(manager);
  sb_memory_close(provider);
  sb_pool_close(pool);
  return 0;
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  return init_writes_no_more_than_the_caller_has() || options_of_another_size_are_read_to_their_end_only() ||
         results_fit_the_memory_that_the_caller_says_it_has(argv[1]);
}
