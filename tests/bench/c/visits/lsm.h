/* LevelDB and RocksDB, whose C interfaces are the same but for their names: DB(open) is leveldb_open or rocksdb_open.
 *
 * A visit lies under (user, time, visit_id), so that those of a user lie side by side; under (user) lie the times and ids that the user has,
 * oldest first. So an add reads one key instead of iterating, and a get iterates over neighbours. */
#include "store.h"

#include <pthread.h>

enum {
  KEY_SIZE = 16,
  ITEM_SIZE = 12, /* time and visit_id in the list of a user */
  LOCKS = 1024
};

typedef struct store {
  DB(t) * db;
  DB(options_t) * options;
  DB(readoptions_t) * read, *scan;
  DB(writeoptions_t) * write;
  DB(cache_t) * cache;
  DB(filterpolicy_t) * filter;
#ifdef DB_OWNS_BLOCK_OPTIONS
  rocksdb_block_based_table_options_t *table;
#endif
  pthread_mutex_t locks[LOCKS]; /* by user: an add reads, then writes */
} store;

static void check(char *message, const char *what) {
  if (message != NULL) bench_fail(DB_NAME ": %s: %s", what, message);
}

static void key_of(char *key, uint32_t user, const char *item) {
  put32(key, user);
  memcpy(key + 4, item, ITEM_SIZE);
}

/* The list of a user, in `list`, which has room for one item more; returns how many items. */
static size_t read_list(store *self, uint32_t user, char list[(VISITS_MAX + 1) * ITEM_SIZE]) {
  char key[4], *message = NULL;
  size_t size = 0;
  put32(key, user);
  char *value = DB(get)(self->db, self->read, key, sizeof key, &size, &message);
  check(message, "get");
  if (value == NULL) return 0;
  if (size > VISITS_MAX * (size_t)ITEM_SIZE) bench_fail(DB_NAME ": the list of a user is too long");
  memcpy(list, value, size);
  DB(free)(value);
  return size / ITEM_SIZE;
}

static void write_all(store *self, DB(writebatch_t) * batch, uint32_t user, const char *list, size_t count) {
  char key[4], *message = NULL;
  put32(key, user);
  DB(writebatch_put)(batch, key, sizeof key, list, count * ITEM_SIZE);
  DB(write)(self->db, self->write, batch, &message);
  check(message, "write");
}

static void add_locked(store *self, const bench_visit *v) {
  char list[(VISITS_MAX + 1) * ITEM_SIZE], item[ITEM_SIZE], key[KEY_SIZE], value[4 + 2 * TEXT_MAX];
  size_t count = read_list(self, v->user, list);
  put64(item, (uint64_t)v->time_ns);
  put32(item + 8, v->visit_id);
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    if (get32(list + i * ITEM_SIZE + 8) == v->visit_id) return;
    if ((int64_t)get64(list + i * ITEM_SIZE) <= v->time_ns) at = i + 1;
  }
  if (count == VISITS_MAX && at == 0) return;
  DB(writebatch_t) *batch = DB(writebatch_create)();
  memmove(list + (at + 1) * ITEM_SIZE, list + at * ITEM_SIZE, (count - at) * ITEM_SIZE);
  memcpy(list + at * ITEM_SIZE, item, ITEM_SIZE);
  key_of(key, v->user, item);
  DB(writebatch_put)(batch, key, sizeof key, value, pack(value, v));
  bool full = count++ == VISITS_MAX;
  if (full) {
    key_of(key, v->user, list);
    DB(writebatch_delete)(batch, key, sizeof key);
    count--;
  }
  write_all(self, batch, v->user, list + (full ? ITEM_SIZE : 0), count);
  DB(writebatch_destroy)(batch);
}

static void lsm_add(void *store_, const bench_visit *v) {
  store *self = store_;
  pthread_mutex_t *lock = &self->locks[v->user % LOCKS];
  pthread_mutex_lock(lock);
  add_locked(self, v);
  pthread_mutex_unlock(lock);
}

static void to_visit(DB(iterator_t) * iterator, const char *key, bench_visit *v) {
  size_t size;
  const char *value = DB(iter_value)(iterator, &size);
  v->user = get32(key);
  v->time_ns = (int64_t)get64(key + 4);
  v->visit_id = get32(key + 12);
  unpack(value, size, v);
}

static void lsm_get(void *store_, uint32_t user, bench_rows *rows) {
  store *self = store_;
  char first[KEY_SIZE] = {0};
  size_t size;
  rows->count = 0;
  put32(first, user);
  DB(iterator_t) *iterator = DB(create_iterator)(self->db, self->read);
  for (DB(iter_seek)(iterator, first, sizeof first); DB(iter_valid)(iterator); DB(iter_next)(iterator)) {
    const char *key = DB(iter_key)(iterator, &size);
    if (get32(key) != user) break;
    bench_visit v;
    to_visit(iterator, key, &v);
    rows_put(rows, &v);
    if (rows->count == VISITS_MAX) break; /* there are no more; the next step might cost a block */
  }
  DB(iter_destroy)(iterator);
  rows_reverse(rows);
}

static bool lsm_delete(void *store_, uint32_t user, const uint32_t *visit_ids, size_t id_count) {
  store *self = store_;
  char list[(VISITS_MAX + 1) * ITEM_SIZE], key[KEY_SIZE];
  size_t count = read_list(self, user, list), kept = 0;
  DB(writebatch_t) *batch = DB(writebatch_create)();
  for (size_t i = 0; i < count; i++) {
    const char *item = list + i * ITEM_SIZE;
    if (is_among(get32(item + 8), visit_ids, id_count)) {
      key_of(key, user, item);
      DB(writebatch_delete)(batch, key, sizeof key);
    } else {
      memmove(list + kept++ * ITEM_SIZE, item, ITEM_SIZE);
    }
  }
  if (kept < count) write_all(self, batch, user, list, kept);
  DB(writebatch_destroy)(batch);
  return kept < count;
}

static void lsm_scan(void *store_, bench_look *look, void *context) {
  store *self = store_;
  DB(iterator_t) *iterator = DB(create_iterator)(self->db, self->scan);
  for (DB(iter_seek_to_first)(iterator); DB(iter_valid)(iterator); DB(iter_next)(iterator)) {
    size_t size;
    const char *key = DB(iter_key)(iterator, &size);
    if (size != KEY_SIZE) continue;
    bench_visit v;
    to_visit(iterator, key, &v);
    look(context, &v);
  }
  DB(iter_destroy)(iterator);
}

static void lsm_fill_end(void *store_) {
  store *self = store_;
  DB(compact_range)(self->db, NULL, 0, NULL, 0);
}

static double lsm_disk_bytes(const char *folder) { return bytes_of_folder(folder); }

/* What both set alike. */
static store *lsm_new(bench_purpose purpose) {
  store *self = store_alloc(sizeof *self);
  self->options = DB(options_create)();
  self->read = DB(readoptions_create)();
  self->scan = DB(readoptions_create)();
  self->write = DB(writeoptions_create)();
  for (size_t i = 0; i < LOCKS; i++) pthread_mutex_init(&self->locks[i], NULL);
  DB(options_set_create_if_missing)(self->options, 1);
  DB(options_set_write_buffer_size)(self->options, (size_t)64 << 20);
  DB(options_set_max_open_files)(self->options, 4096);
  DB(options_set_compression)(self->options, 0); /* random letters do not get smaller */
  DB(readoptions_set_fill_cache)(self->scan, 0);
  DB(writeoptions_set_sync)(self->write, purpose == TO_BE_DURABLE);
  return self;
}

static void lsm_close(void *store_) {
  store *self = store_;
  DB(close)(self->db);
  DB(options_destroy)(self->options);
  DB(readoptions_destroy)(self->read);
  DB(readoptions_destroy)(self->scan);
  DB(writeoptions_destroy)(self->write);
#ifdef DB_OWNS_BLOCK_OPTIONS
  rocksdb_block_based_options_destroy(self->table); /* with cache and filter */
#else
  leveldb_cache_destroy(self->cache);
  leveldb_filterpolicy_destroy(self->filter);
#endif
  free(self);
}

#define LSM_KIND(open_function) \
  {.name = DB_NAME, \
   .open = open_function, \
   .add = lsm_add, \
   .get = lsm_get, \
   .delete_visits = lsm_delete, \
   .scan = lsm_scan, \
   .fill_end = lsm_fill_end, \
   .disk_bytes = lsm_disk_bytes, \
   .close = lsm_close}
