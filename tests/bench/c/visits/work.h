/* The work: visits of many users in a fixed order, the same for every store. */
#ifndef SAMEBYTES_BENCH_WORK_H
#define SAMEBYTES_BENCH_WORK_H

#include "store.h"

enum {
  URL_SIZE = 60,
  TEXT_SIZE = 200,
  SMALL_USERS = 10000,
  SMALL_VISITS = 100000,
  LARGE_USERS = 100000,
  LARGE_VISITS = 1000000
};

/* The visit number `index` of a store with `users` users: they come round by round, in an order that is not that of their numbers. */
bench_visit work_visit(size_t index, size_t users);
/* The user of the visit number `index`. */
uint32_t work_user(size_t index, size_t users);

/* Makes an empty folder. */
void work_folder(char *path, size_t size, const char *folder, const char *name);
void work_remove(const char *folder);

/* What a scan or get found, so that the stores can be held against each other: every byte counts. */
typedef struct digest {
  uint64_t sum;
  size_t visits;
} digest;

void digest_add(void *digest, const bench_visit *visit);

void print_sample(const char *name, const char *side, double value, const char *unit);

/* Ends the program unless the store does what a plain model does. */
void check_store(const store_kind *kind, const char *folder);

void run_small(const char *folder, size_t samples);
void prepare_large(const char *folder);
void run_large(const char *folder, size_t samples);
void run_stalls(const char *folder, size_t samples);

#endif
