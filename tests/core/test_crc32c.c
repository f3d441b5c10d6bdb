#include "memory_testing.h"

#include "crc32c_private.h"

#include <samebytes/crc32c.h>

typedef uint32_t (*checksum_function)(uint32_t checksum, const void *data, size_t size);

static uint32_t public_crc32c(uint32_t checksum, const void *data, size_t size) { return sb_crc32c(checksum, data, size); }

/* One bit after the other, as the definition has it. */
static uint32_t slow_crc32c(uint32_t checksum, const void *data, size_t size) {
  const uint8_t *bytes = data;
  uint32_t value = ~checksum;
  for (size_t i = 0; i < size; i++) {
    value ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) value = (value & 1) != 0 ? value >> 1 ^ 0x82f63b78u : value >> 1;
  }
  return ~value;
}

static size_t functions_here(checksum_function *functions) {
  size_t count = 0;
  functions[count++] = public_crc32c;
  functions[count++] = sb_priv_crc32c_table;
  if (sb_priv_crc32c_cpu_has()) functions[count++] = sb_priv_crc32c_cpu;
  return count;
}

/* The examples of RFC 3720, appendix B.4, whose bytes are in the order of the wire, and the check value of the polynomial. */
static void the_examples_of_the_rfc_come_out(void **state) {
  (void)state;
  uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
  memset(ones, 0xff, sizeof ones);
  for (uint8_t i = 0; i < 32; i++) {
    up[i] = i;
    down[i] = (uint8_t)(31 - i);
  }
  checksum_function functions[3];
  const size_t count = functions_here(functions);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(functions[i](0, zeros, 32), 0x8a9136aa);
    assert_int_equal(functions[i](0, ones, 32), 0x62a8ab43);
    assert_int_equal(functions[i](0, up, 32), 0x46dd794e);
    assert_int_equal(functions[i](0, down, 32), 0x113fdb5c);
    assert_int_equal(functions[i](0, "123456789", 9), 0xe3069283);
  }
}

static void instruction_table_and_definition_agree_at_any_size_and_address(void **state) {
  (void)state;
  uint8_t data[300];
  random_source source = {12345};
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)random_next(&source);
  checksum_function functions[3];
  const size_t count = functions_here(functions);
  for (size_t offset = 0; offset < 9; offset++)
    for (size_t size = 0; size < sizeof data - 9; size++) {
      const uint32_t start = (uint32_t)random_next(&source);
      const uint32_t expected = slow_crc32c(start, data + offset, size);
      for (size_t i = 0; i < count; i++) assert_int_equal(functions[i](start, data + offset, size), expected);
    }
}

static void a_checksum_goes_on_over_pieces(void **state) {
  (void)state;
  const char text[] = "a checksum goes on over pieces";
  const uint32_t whole = sb_crc32c(0, text, sizeof text);
  for (size_t cut = 0; cut <= sizeof text; cut++)
    assert_int_equal(sb_crc32c(sb_crc32c(0, text, cut), text + cut, sizeof text - cut), whole);
}

static void no_bytes_change_nothing(void **state) {
  (void)state;
  assert_int_equal(sb_crc32c(0, "", 0), 0);
  assert_int_equal(sb_crc32c(77, "", 0), 77);
  assert_int_equal(sb_crc32c(77, NULL, 0), 77);
  assert_int_equal(sb_crc32c(77, NULL, 5), 77);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_examples_of_the_rfc_come_out),
      cmocka_unit_test(instruction_table_and_definition_agree_at_any_size_and_address),
      cmocka_unit_test(a_checksum_goes_on_over_pieces),
      cmocka_unit_test(no_bytes_change_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
