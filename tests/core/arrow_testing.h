#ifndef ARROW_TESTING_H
#define ARROW_TESTING_H

/* Reads what was exported to Arrow as a consumer would: by formats, offsets and buffers. */

#include <samebytes/arrow.h>

static inline const struct ArrowArray *arrow_column_of(const struct ArrowSchema *type, const struct ArrowArray *array, const char *name,
                                                       const char *format) {
  for (int64_t i = 0; i < type->n_children; i++) {
    if (strcmp(type->children[i]->name, name) != 0) continue;
    assert_string_equal(type->children[i]->format, format);
    assert_int_equal(array->children[i]->length, array->length);
    assert_int_equal(array->children[i]->null_count, 0);
    assert_null(array->children[i]->buffers[0]);
    return array->children[i];
  }
  fail_msg("there is no column %s", name);
  return NULL;
}

static inline void assert_string_at(const struct ArrowArray *strings, int64_t index, const char *expected) {
  const int32_t *offsets = strings->buffers[1];
  assert_int_equal(offsets[index + 1] - offsets[index], strlen(expected));
  assert_memory_equal((const char *)strings->buffers[2] + offsets[index], expected, strlen(expected));
}

static inline void assert_list_length(const struct ArrowArray *list, int64_t index, int32_t expected) {
  const int32_t *offsets = list->buffers[1];
  assert_int_equal(offsets[index + 1] - offsets[index], expected);
}

#endif
