#ifndef SAMEBYTES_FUZZ_H
#define SAMEBYTES_FUZZ_H

/* A target is one file, tests/fuzz/fuzz_NAME.c, with the function below; inputs worth keeping lie in corpus/NAME. In its first lines it
 * names bugs that its own oracle must find, at least one, each as a change of one place of the core:
 *
 *   bug: core/src/FILE.c
 *   < the line as it is, which must be there once
 *   > the line with the bug
 *
 * test_fuzz.py finds targets by their names, builds them with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer and with the
 * core's assertions, and runs each. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <samebytes/builder.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for any input. */
#define FUZZ_HOLDS(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      abort(); \
    } \
  } while (0)

/* The input, as what is drawn from it; zeros follow it. */
typedef struct source {
  const uint8_t *at, *end;
} source;

static inline uint8_t draw(source *from) { return from->at < from->end ? *from->at++ : 0; }

/* A schema called `name` with up to 8 fields of any types. */
static inline sb_schema *draw_schema(source *from, const char *name, int8_t api_key, size_t fields_max) {
  static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
  const size_t count = draw(from) % (fields_max + 1);
  sb_schema_field fields[sizeof names / sizeof names[0]];
  sb_schema *schema = NULL;
  for (size_t i = 0; i < count; i++) fields[i] = (sb_schema_field){names[i], 1 + draw(from) % SB_TYPE_ARRAY_STRING, 0};
  FUZZ_HOLDS(sb_schema_open(name, SB_DIRECTION_REQUEST, api_key, fields, count, &schema, NULL) == SB_OK);
  return schema;
}

static inline uint8_t *frames_of(const sb_builder *builder, size_t *size) {
  *size = sb_builder_size(builder);
  uint8_t *frames = malloc(*size + 1);
  FUZZ_HOLDS(frames != NULL && sb_builder_copy_bytes(builder, frames, *size) == SB_OK);
  return frames;
}

static inline void same_frames(const sb_builder *one, const sb_builder *other) {
  size_t size, other_size;
  uint8_t *frames = frames_of(one, &size), *others = frames_of(other, &other_size);
  FUZZ_HOLDS(size == other_size && memcmp(frames, others, size) == 0);
  FUZZ_HOLDS(sb_builder_frame_count(one) == sb_builder_frame_count(other));
  free(frames);
  free(others);
}

#endif
