#ifndef SAMEBYTES_FUZZ_H
#define SAMEBYTES_FUZZ_H

/* A target is one file, tests/fuzz/fuzz_NAME.c, with the function below; inputs worth keeping lie in corpus/NAME. In its first lines it
 * names a bug that its own oracle must find, as a change of one place of the core:
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for any input. */
#define FUZZ_HOLDS(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      abort(); \
    } \
  } while (0)

#endif
