/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=sb_schema_retain */

/* Lists of handles that somebody changes while a call reads them: at each allocation of the call, or where the call keeps what it read. What is
 * taken is what was checked. */
#include "codec_testing.h"
#include "handle_cache.h"
#include "memory_testing.h"

#include "failing_malloc.h"

enum {
  SLOTS = 3,
  LONG = 200 /* spans */
};

/* ---- views ---- */

static sb_view *shown_views[SLOTS], *view_instead;
static bool every_slot;

static void change_views(void) {
  for (size_t i = every_slot ? 0 : SLOTS - 1; i < SLOTS; i++) shown_views[i] = view_instead;
}

static sb_view *view_of(sb_memory *memory, size_t spans) {
  sb_view *all[LONG], *made = NULL;
  for (size_t i = 0; i < spans; i++) assert_ok(sb_view_open("ab", 2, memory, &all[i]));
  assert_ok(sb_view_open_concat((sb_view *const *)all, spans, &made));
  for (size_t i = 0; i < spans; i++) sb_view_close(all[i]);
  return made;
}

static void views_that_change_while_they_are_joined_are_joined_whole(void **state) {
  (void)state;
  sb_memory *heap = NULL;
  assert_ok(sb_memory_open_heap(&heap)); /* whose blocks never lie one behind the other in one */
  sb_view *one = view_of(heap, 1), *many = view_of(heap, LONG);
  sb_view *instead[] = {NULL, one, many};
  size_t changes = 0, joined[3] = {0};
  for (size_t kind = 0; kind < 3; kind++)
    for (int all = 0; all < 2; all++)
      for (long nth = 1;; nth++) {
        for (size_t i = 0; i < SLOTS; i++) shown_views[i] = one;
        view_instead = instead[kind];
        every_slot = all == 1;
        sb_priv_handle_flush(); /* so that a view is allocated */
        allocation_does = change_views;
        allocations_until_failure = nth;
        sb_view *made = NULL;
        const sb_status status = sb_view_open_concat((sb_view *const *)shown_views, SLOTS, &made);
        const bool changed = allocations_until_failure == 0;
        allocation_does = NULL;
        allocations_until_failure = 0;
        if (status == SB_OK) {
          const size_t size = sb_view_size(made);
          uint8_t bytes[2 * SLOTS * LONG];
          assert_true(size % 2 == 0 && size <= sizeof bytes);
          assert_ok(sb_view_copy_bytes(made, 0, bytes, size));
          for (size_t i = 0; i < size; i++) assert_int_equal(bytes[i], "ab"[i % 2]);
          joined[kind] += size > 2 * SLOTS;
        } else {
          assert_int_equal(status, SB_INVALID_ARGUMENT);
          assert_true(kind == 0 && changed);
        }
        sb_view_close(made);
        if (!changed) break;
        changes++;
      }
  assert_true(changes >= 6 && joined[2] > 0);
  sb_view_close(one);
  sb_view_close(many);
  sb_memory_close(heap);
  assert_no_live_blocks();
}

/* ---- blocks ---- */

static sb_block *shown_blocks[SLOTS], *block_instead;

static void change_blocks(void) { shown_blocks[SLOTS - 1] = block_instead; }

static void blocks_that_change_while_they_are_given_are_refused_or_taken(void **state) {
  (void)state;
  sb_memory *heap = NULL;
  assert_ok(sb_memory_open_heap(&heap));
  size_t changes = 0, refused = 0;
  for (int kind = 0; kind < 4; kind++)
    for (long nth = 1;; nth++) {
      sb_block *own[SLOTS], *other, *busy;
      for (size_t i = 0; i < SLOTS; i++) {
        assert_ok(sb_memory_get_block(heap, 10, &own[i]));
        shown_blocks[i] = own[i];
      }
      assert_ok(sb_memory_get_block(heap, 20, &other));
      busy = sb_block_retain(other);
      if (kind == 3) sb_block_close(busy);
      block_instead = kind == 0 ? NULL : kind == 1 ? own[0] : other; /* nothing, one of the list, one in use, or one that will do */
      sb_priv_handle_flush();                                        /* so that a buf is allocated */
      allocation_does = change_blocks;
      allocations_until_failure = nth;
      sb_buf *made = NULL;
      const sb_status status = sb_buf_from_blocks((sb_block *const *)shown_blocks, SLOTS, heap, &made);
      const bool changed = allocations_until_failure == 0;
      allocation_does = NULL;
      allocations_until_failure = 0;
      const bool with_other = status == SB_OK && sb_buf_room(made) > 3 * 10;
      if (status == SB_OK) {
        assert_true(!with_other || kind == 3);
        assert_int_equal(sb_buf_room(made), with_other ? 2 * 10 + 20 : 3 * 10);
      } else {
        assert_int_equal(status, kind == 2 ? SB_BUSY : SB_INVALID_ARGUMENT);
        refused++;
      }
      sb_buf_close(made);
      for (size_t i = 0; i < SLOTS; i++)
        if (status != SB_OK || (with_other && i == SLOTS - 1)) sb_block_close(own[i]);
      if (!with_other) sb_block_close(other);
      if (kind != 3) sb_block_close(busy);
      if (!changed) break;
      changes++;
    }
  assert_true(changes > 4 && refused > 0);
  sb_memory_close(heap);
  assert_no_live_blocks();
}

/* ---- schemas ---- */

static sb_schema *shown_schemas[2], *schemas_instead[2];
static bool schemas_change;

sb_schema *__real_sb_schema_retain(sb_schema *schema);
sb_schema *__wrap_sb_schema_retain(sb_schema *schema);

/* A parser keeps a schema when it has looked at it. */
sb_schema *__wrap_sb_schema_retain(sb_schema *schema) {
  if (schemas_change)
    for (size_t i = 0; i < 2; i++) shown_schemas[i] = schemas_instead[i];
  return __real_sb_schema_retain(schema);
}

static void schemas_that_change_while_a_parser_opens_are_of_one_direction(void **state) {
  (void)state;
  const sb_schema_field field = {.name = "n", .type = SB_TYPE_INT8};
  sb_schema *requests[2] = {NULL, NULL}, *responses[2] = {NULL, NULL};
  for (size_t i = 0; i < 2; i++) {
    const int8_t key = (int8_t)(i + 1);
    assert_ok(sb_schema_open("Request", SB_DIRECTION_REQUEST, key, &field, 1, &requests[i], NULL));
    assert_ok(sb_schema_open("Response", SB_DIRECTION_RESPONSE, key, &field, 1, &responses[i], NULL));
    shown_schemas[i] = requests[i];
    schemas_instead[i] = responses[i];
  }
  sb_parser *parser = NULL;
  sb_error error;
  schemas_change = true;
  const sb_status status = sb_parser_open((sb_schema *const *)shown_schemas, 2, NULL, &parser, &error);
  schemas_change = false;
  assert_int_equal(status, SB_INVALID_ARGUMENT);
  assert_string_equal(error.message, "Request and Response have different directions; a parser has one");
  for (size_t i = 0; i < 2; i++) {
    sb_schema_close(requests[i]);
    sb_schema_close(responses[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(views_that_change_while_they_are_joined_are_joined_whole),
      cmocka_unit_test(blocks_that_change_while_they_are_given_are_refused_or_taken),
      cmocka_unit_test(schemas_that_change_while_a_parser_opens_are_of_one_direction),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
