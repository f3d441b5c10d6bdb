/* What the benchmark asks of every store of visits. All keep the same promise: per user the newest VISITS_MAX visits, in the order of their
 * times; a visit_id that the user has is ignored; a visit older than all of a full user is not kept. What is read is copied. */
#ifndef SAMEBYTES_BENCH_STORE_H
#define SAMEBYTES_BENCH_STORE_H

#include "../bench.h"

enum {
  VISITS_MAX = 10,
  TEXT_MAX = 1024 /* bytes of url, and of text, that a row of a peer can hold */
};

typedef struct bench_visit {
  uint32_t user, visit_id;
  int64_t time_ns;
  const void *url, *text;
  size_t url_size, text_size;
} bench_visit;

/* The visits of one user, newest first. `owner` belongs to the store that filled it. */
typedef struct bench_rows {
  bench_visit items[VISITS_MAX + 1];
  size_t count;
  void *owner;
  char bytes[VISITS_MAX + 1][2 * TEXT_MAX];
} bench_rows;

typedef enum bench_purpose {
  TO_SURVIVE_A_KILL, /* what was added outlives the process */
  TO_BE_DURABLE      /* and it is on disk before an add returns */
} bench_purpose;

/* A look at every visit of a scan. Its bytes are valid during the call. */
typedef void bench_look(void *context, const bench_visit *visit);

/* One store. Any failure ends the program and says why. NULL: the store does not do that here. */
typedef struct store_kind {
  const char *name;
  void *(*open)(const char *folder, bench_purpose purpose);
  void (*add)(void *store, const bench_visit *visit); /* from any thread where it is durable */
  void (*flush)(void *store);                         /* waits for adds that were pipelined */
  void (*get)(void *store, uint32_t user, bench_rows *rows);
  void (*done)(bench_rows *rows); /* frees what get took */
  bool (*delete_visits)(void *store, uint32_t user, const uint32_t *visit_ids, size_t count);
  void (*scan)(void *store, bench_look *look, void *context);
  void (*fill_begin)(void *store); /* many adds follow, which nobody times */
  void (*fill_end)(void *store);   /* nothing dead is in the file any more */
  double (*resident_bytes)(void *store);
  double (*disk_bytes)(const char *folder);
  void (*close)(void *store);
} store_kind;

extern const store_kind ours, lmdb, leveldb, rocksdb, sqlite, redis;

/* Copies a visit into the next row. */
static inline void rows_put(bench_rows *rows, const bench_visit *from) {
  if (rows->count > VISITS_MAX || from->url_size > TEXT_MAX || from->text_size > TEXT_MAX) bench_fail("a row has no room");
  char *bytes = rows->bytes[rows->count];
  memcpy(bytes, from->url, from->url_size);
  memcpy(bytes + from->url_size, from->text, from->text_size);
  bench_visit *row = &rows->items[rows->count++];
  *row = *from;
  row->url = bytes;
  row->text = bytes + from->url_size;
}

/* Rows that were read oldest first. */
static inline void rows_reverse(bench_rows *rows) {
  for (size_t i = 0; i + 1 < rows->count - i; i++) {
    bench_visit row = rows->items[i];
    rows->items[i] = rows->items[rows->count - 1 - i];
    rows->items[rows->count - 1 - i] = row;
  }
}

/* Numbers in keys, so that bytes sort as numbers do; no time here is negative. */
static inline void put32(char *bytes, uint32_t number) {
  uint32_t swapped = __builtin_bswap32(number);
  memcpy(bytes, &swapped, sizeof swapped);
}

static inline void put64(char *bytes, uint64_t number) {
  uint64_t swapped = __builtin_bswap64(number);
  memcpy(bytes, &swapped, sizeof swapped);
}

static inline uint32_t get32(const char *bytes) {
  uint32_t swapped;
  memcpy(&swapped, bytes, sizeof swapped);
  return __builtin_bswap32(swapped);
}

static inline uint64_t get64(const char *bytes) {
  uint64_t swapped;
  memcpy(&swapped, bytes, sizeof swapped);
  return __builtin_bswap64(swapped);
}

/* url and text as one value: the size of the url, then both. */
static inline size_t pack(char *value, const bench_visit *visit) {
  put32(value, (uint32_t)visit->url_size);
  memcpy(value + 4, visit->url, visit->url_size);
  memcpy(value + 4 + visit->url_size, visit->text, visit->text_size);
  return 4 + visit->url_size + visit->text_size;
}

static inline void unpack(const char *value, size_t size, bench_visit *visit) {
  visit->url_size = get32(value);
  visit->text_size = size - 4 - visit->url_size;
  visit->url = value + 4;
  visit->text = value + 4 + visit->url_size;
}

static inline bool is_among(uint32_t visit_id, const uint32_t *visit_ids, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (visit_ids[i] == visit_id) return true;
  return false;
}

static inline void *store_alloc(size_t size) {
  void *memory = calloc(1, size);
  if (memory == NULL) bench_fail("no memory");
  return memory;
}

static inline void path_of(char *path, size_t size, const char *folder, const char *name) {
  if (snprintf(path, size, "%s/%s", folder, name) >= (int)size) bench_fail("the path of the folder is too long: %s", folder);
}

/* Bytes that a file takes on disk. */
double bytes_of_file(const char *folder, const char *name);
/* Bytes of the files of a folder. */
double bytes_of_folder(const char *folder);

#endif
