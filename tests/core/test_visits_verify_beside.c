/* link: -Wl,--wrap=sb_priv_file_read */

/* A store that is verified, opened or refreshed while it is written: before each read of its first page, where the slots are, the writer goes on, so
 * that they say more than the file had when the reading began. */
#include "visit_testing.h"

static sb_visit_manager *writer;
static uint32_t written;
static size_t pages;

static void write_on(void) {
  sb_visit_manager *manager = writer;
  writer = NULL; /* what it reads itself is no moment for more */
  for (int i = 0; i < 40; i++, written++) add(manager, written % 7, written, "a text of some bytes, so that indexes come", written);
  assert_ok(sb_visit_manager_sync(manager, &visit_error));
  writer = manager;
}

int __real_sb_priv_file_read(int file, void *data, size_t size, uint64_t offset, size_t *got);
int __wrap_sb_priv_file_read(int file, void *data, size_t size, uint64_t offset, size_t *got);
int __wrap_sb_priv_file_read(int file, void *data, size_t size, uint64_t offset, size_t *got) {
  if (offset == 0 && writer != NULL) {
    write_on();
    pages++;
  }
  return __real_sb_priv_file_read(file, data, size, offset, got);
}

static void nothing_is_wrong_with_a_store_that_is_written_meanwhile(void **state) {
  (void)state;
  tune_small();
  sb_visit_manager *manager = open_file(SB_DURABILITY_ALWAYS, 100);
  sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, 0);
  options.read_only = true;
  writer = manager;
  write_on();
  sb_visit_manager *reader = NULL;
  assert_ok(sb_visit_manager_open(test_path, &options, &reader, &visit_error));
  pages = 0;
  for (int round = 0; round < 40; round++) {
    sb_visit_report report = {.struct_size = sizeof report};
    assert_ok(sb_visit_manager_verify(manager, &report, &visit_error));
    assert_int_equal(report.damaged_bytes, 0);
    assert_ok(sb_verify_visits(test_path, &report, &visit_error));
    bool changed;
    assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
    sb_visit_manager *other = NULL;
    assert_ok(sb_visit_manager_open(test_path, &options, &other, &visit_error));
    assert_string_not_equal(ids_of(other, 3), "");
    sb_visit_manager_close(other);
  }
  assert_true(pages > 3 * 40);
  writer = NULL;
  sb_visit_manager_close(reader);
  close_file(manager);
}

int main(void) {
  const struct CMUnitTest tests[] = {visit_test(nothing_is_wrong_with_a_store_that_is_written_meanwhile)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
