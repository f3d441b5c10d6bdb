/* What the C benchmarks share: they time pieces of work in turns, and print one line per sample, `case TAB side TAB nanoseconds`, which
 * bench.py reads.
 *
 *   PROGRAM SAMPLES               times every case SAMPLES times
 *   PROGRAM count CASE SIDE TIMES  does the work of one case TIMES times in bench_measured, for callgrind */
#ifndef SAMEBYTES_BENCH_H
#define SAMEBYTES_BENCH_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BENCH_SAMPLE_NS 1e6 /* one sample takes about this long, short enough to fit between two interruptions on a busy machine */

typedef struct bench_case {
  const char *name; /* as the table says it */
  const char *side; /* "samebytes", or the peer */
  void (*run)(size_t times);
  size_t units; /* how often one time does what the time is told of */
} bench_case;

/* Makes the compiler believe that `value` is used. */
#define BENCH_USE(value) __asm__ volatile("" : : "g"(value) : "memory")

__attribute__((noreturn, format(printf, 1, 2))) static inline void bench_fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

static inline double bench_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

__attribute__((noinline, noclone)) static void bench_measured(const bench_case *item, size_t times) { item->run(times); }

static inline double bench_time(const bench_case *item, size_t times) {
  double start = bench_now();
  bench_measured(item, times);
  return bench_now() - start;
}

/* The shortest of three, because a pause of the machine must not pass for work. */
static inline double bench_shortest(const bench_case *item, size_t times) {
  double shortest = bench_time(item, times);
  for (int again = 0; again < 2; again++) {
    double taken = bench_time(item, times);
    if (taken < shortest) shortest = taken;
  }
  return shortest;
}

static inline int bench_count(const bench_case *cases, size_t count, const char *name, const char *side, size_t times) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(cases[i].name, name) != 0 || strcmp(cases[i].side, side) != 0) continue;
    cases[i].run(2); /* what happens once per process is not counted */
    bench_measured(&cases[i], times);
    printf("%zu\n", times * cases[i].units);
    return 0;
  }
  bench_fail("there is no case '%s' of '%s'", name, side);
}

static inline int bench_main(int argc, char **argv, const bench_case *cases, size_t count) {
  if (argc == 5 && strcmp(argv[1], "count") == 0) return bench_count(cases, count, argv[2], argv[3], strtoul(argv[4], NULL, 10));
  size_t samples = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
  if (samples == 0) bench_fail("usage: %s SAMPLES | count CASE SIDE TIMES", argv[0]);
  size_t *times = calloc(count, sizeof *times);
  if (times == NULL) bench_fail("no memory");
  for (size_t i = 0; i < count; i++) {
    double taken;
    for (times[i] = 1; (taken = bench_shortest(&cases[i], times[i])) < BENCH_SAMPLE_NS / 4; times[i] *= 2) continue;
    times[i] = (size_t)((double)times[i] * BENCH_SAMPLE_NS / taken) + 1;
  }
  for (size_t sample = 0; sample < samples; sample++) {
    for (size_t i = 0; i < count; i++) {
      /* Every other round goes backwards, so that no side is always the one after its peer. */
      size_t at = sample % 2 == 0 ? i : count - 1 - i;
      double taken = bench_time(&cases[at], times[at]);
      printf("%s\t%s\t%.4f\n", cases[at].name, cases[at].side, taken / (double)(times[at] * cases[at].units));
    }
  }
  free(times);
  return 0;
}

#endif
