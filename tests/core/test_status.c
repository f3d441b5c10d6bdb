#include "memory_testing.h"

#include <errno.h>

#include "error_private.h"

static void every_status_has_a_name_and_a_message(void **state) {
  (void)state;
  for (sb_status status = 0; status < SB_STATUS_COUNT; status++) {
    assert_memory_equal(sb_status_name(status), "SB_", 3);
    assert_string_not_equal(sb_status_name(status), "SB_UNKNOWN_STATUS");
    assert_true(strlen(sb_status_message(status)) > 5);
    for (sb_status other = 0; other < status; other++) {
      assert_string_not_equal(sb_status_name(status), sb_status_name(other));
      assert_string_not_equal(sb_status_message(status), sb_status_message(other));
    }
  }
  assert_string_equal(sb_status_name(SB_OK), "SB_OK");
  assert_string_equal(sb_status_name(SB_CORRUPT), "SB_CORRUPT");
  assert_string_equal(sb_status_name(SB_TIMEOUT), "SB_TIMEOUT");
  assert_string_equal(sb_status_message(SB_CORRUPT), "the input contradicts its format");
}

static void a_number_that_is_no_status_is_unknown(void **state) {
  (void)state;
  const sb_status wrong[] = {-1, SB_STATUS_COUNT, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    assert_string_equal(sb_status_name(wrong[i]), "SB_UNKNOWN_STATUS");
    assert_true(strlen(sb_status_message(wrong[i])) > 5);
  }
}

static void an_error_says_what_it_is_told(void **state) {
  (void)state;
  sb_error error;
  memset(&error, 0xff, sizeof error);
  assert_int_equal(sb_priv_error(&error, SB_CORRUPT, "subject", "%d bytes, not %s", 3, "four"), SB_CORRUPT);
  assert_int_equal(error.status, SB_CORRUPT);
  assert_int_equal(error.system_error, 0);
  assert_int_equal(error.stream_offset, 0);
  assert_int_equal(error.frame_offset, 0);
  assert_int_equal(error.frame, SB_NO_FRAME);
  assert_string_equal(error.field, "subject");
  assert_string_equal(error.message, "3 bytes, not four");
}

static void an_error_without_field_or_place_is_allowed(void **state) {
  (void)state;
  sb_error error;
  assert_int_equal(sb_priv_error(&error, SB_BUSY, NULL, "busy"), SB_BUSY);
  assert_string_equal(error.field, "");
  assert_int_equal(sb_priv_error(NULL, SB_BUSY, "field", "busy"), SB_BUSY);
}

static void long_names_and_messages_are_cut(void **state) {
  (void)state;
  char text[400];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  sb_error error;
  assert_int_equal(sb_priv_error(&error, SB_CORRUPT, text, "%s", text), SB_CORRUPT);
  assert_int_equal(strlen(error.field), SB_FIELD_NAME_MAX);
  assert_int_equal(strlen(error.message), 255);
}

static void the_library_knows_its_version_and_keeps_its_instance_id(void **state) {
  (void)state;
  assert_int_equal(sb_version(), SB_VERSION_MAJOR << 16 | SB_VERSION_MINOR << 8 | SB_VERSION_PATCH);
  assert_true(sb_abi_digest() != 0);
  const uint64_t id = sb_instance_id();
  assert_true(id != 0);
  assert_true(sb_instance_id() == id);
}

static void a_refusal_of_the_system_carries_its_errno_and_says_why_even_when_cut(void **state) {
  (void)state;
  sb_error error;
  memset(&error, 0xff, sizeof error);
  assert_int_equal(sb_priv_system_error(&error, SB_IO, ENOENT, "opening %s", "x"), SB_IO);
  assert_int_equal(error.status, SB_IO);
  assert_int_equal(error.system_error, ENOENT);
  assert_int_equal(error.frame, SB_NO_FRAME);
  assert_string_equal(error.field, "");
  assert_ptr_equal(strstr(error.message, "opening x: "), error.message);
  assert_non_null(strstr(error.message, "(errno 2)"));
  char name[400];
  memset(name, 'n', sizeof name);
  name[sizeof name - 1] = '\0';
  for (size_t cut = 0; cut < sizeof name; cut++) {
    assert_int_equal(sb_priv_system_error(&error, SB_NO_MEMORY, ENOMEM, "%s", name + cut), SB_NO_MEMORY);
    const size_t size = strlen(error.message);
    assert_true(size < sizeof error.message);
    assert_string_equal(error.message + size - strlen("(errno 12)"), "(errno 12)");
  }
  assert_int_equal(sb_priv_system_error(NULL, SB_IO, EIO, "x"), SB_IO);
  assert_int_equal(sb_priv_caused(SB_LOCKED, EAGAIN, NULL), SB_LOCKED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_status_has_a_name_and_a_message),
      cmocka_unit_test(a_number_that_is_no_status_is_unknown),
      cmocka_unit_test(a_refusal_of_the_system_carries_its_errno_and_says_why_even_when_cut),
      cmocka_unit_test(an_error_says_what_it_is_told),
      cmocka_unit_test(an_error_without_field_or_place_is_allowed),
      cmocka_unit_test(long_names_and_messages_are_cut),
      cmocka_unit_test(the_library_knows_its_version_and_keeps_its_instance_id),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
