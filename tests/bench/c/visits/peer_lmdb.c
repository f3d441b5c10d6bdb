/* LMDB: one entry per visit under (user, time, visit_id), so that a user's visits lie side by side, in order, in a page or two: looking
 * through them for a visit_id costs less than a second tree would.
 *
 * No sync: WRITEMAP, with which a commit makes no system call. Durable: without it; with it, it was no faster. */
#include "store.h"
#include "work.h"

#include <lmdb.h>

enum {
  KEY_SIZE = 16
};

typedef struct store {
  MDB_env *env;
  MDB_dbi table;
  MDB_txn *read;
  MDB_cursor *read_cursor;
  MDB_txn *fill; /* one transaction for many adds */
} store;

static void check(int result, const char *what) {
  if (result != 0) bench_fail("LMDB: %s: %s", what, mdb_strerror(result));
}

static void *lmdb_open(const char *folder, bench_purpose purpose) {
  store *self = store_alloc(sizeof *self);
  unsigned flags = purpose == TO_BE_DURABLE ? 0 : MDB_WRITEMAP | MDB_NOSYNC | MDB_NOMETASYNC;
  check(mdb_env_create(&self->env), "mdb_env_create");
  check(mdb_env_set_mapsize(self->env, (size_t)2 << 30), "mdb_env_set_mapsize");
  check(mdb_env_open(self->env, folder, flags | MDB_NOMEMINIT | MDB_NORDAHEAD, 0644), "mdb_env_open");
  MDB_txn *txn;
  check(mdb_txn_begin(self->env, NULL, 0, &txn), "mdb_txn_begin");
  check(mdb_dbi_open(txn, NULL, 0, &self->table), "mdb_dbi_open");
  check(mdb_txn_commit(txn), "mdb_txn_commit");
  check(mdb_txn_begin(self->env, NULL, MDB_RDONLY, &self->read), "mdb_txn_begin");
  check(mdb_cursor_open(self->read, self->table, &self->read_cursor), "mdb_cursor_open");
  mdb_txn_reset(self->read);
  return self;
}

static void key_of(char *bytes, uint32_t user, int64_t time_ns, uint32_t visit_id) {
  put32(bytes, user);
  put64(bytes + 4, (uint64_t)time_ns);
  put32(bytes + 12, visit_id);
}

static bool is_of(const MDB_val *key, uint32_t user) { return get32(key->mv_data) == user; }

/* Adds inside a transaction; false when there is nothing to do. */
static bool add_in(MDB_txn *txn, MDB_dbi table, const bench_visit *v) {
  MDB_cursor *cursor;
  char bytes[KEY_SIZE], oldest[KEY_SIZE];
  key_of(bytes, v->user, 0, 0);
  MDB_val key = {KEY_SIZE, bytes}, data;
  size_t count = 0;
  bool there = false;
  check(mdb_cursor_open(txn, table, &cursor), "mdb_cursor_open");
  int result = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
  for (; result == 0 && is_of(&key, v->user) && !there; result = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) {
    if (count++ == 0) memcpy(oldest, key.mv_data, KEY_SIZE);
    there = get32((char *)key.mv_data + 12) == v->visit_id;
  }
  mdb_cursor_close(cursor);
  bool full = count == VISITS_MAX;
  if (there || (full && v->time_ns < (int64_t)get64(oldest + 4))) return false;
  if (full) {
    key = (MDB_val){KEY_SIZE, oldest};
    check(mdb_del(txn, table, &key, NULL), "mdb_del");
  }
  key_of(bytes, v->user, v->time_ns, v->visit_id);
  key = (MDB_val){KEY_SIZE, bytes};
  data = (MDB_val){4 + v->url_size + v->text_size, NULL};
  check(mdb_put(txn, table, &key, &data, MDB_RESERVE), "mdb_put");
  pack(data.mv_data, v);
  return true;
}

static void lmdb_add(void *store_, const bench_visit *v) {
  store *self = store_;
  if (self->fill != NULL) {
    (void)add_in(self->fill, self->table, v);
    return;
  }
  MDB_txn *txn;
  check(mdb_txn_begin(self->env, NULL, 0, &txn), "mdb_txn_begin");
  if (add_in(txn, self->table, v))
    check(mdb_txn_commit(txn), "mdb_txn_commit");
  else
    mdb_txn_abort(txn);
}

static void to_visit(const MDB_val *key, const MDB_val *data, bench_visit *v) {
  v->user = get32(key->mv_data);
  v->time_ns = (int64_t)get64((char *)key->mv_data + 4);
  v->visit_id = get32((char *)key->mv_data + 12);
  unpack(data->mv_data, data->mv_size, v);
}

static void lmdb_get(void *store_, uint32_t user, bench_rows *rows) {
  store *self = store_;
  char bytes[KEY_SIZE];
  key_of(bytes, user, 0, 0);
  MDB_val key = {KEY_SIZE, bytes}, data;
  rows->count = 0;
  check(mdb_txn_renew(self->read), "mdb_txn_renew");
  check(mdb_cursor_renew(self->read, self->read_cursor), "mdb_cursor_renew");
  int result = mdb_cursor_get(self->read_cursor, &key, &data, MDB_SET_RANGE);
  for (; result == 0 && is_of(&key, user); result = mdb_cursor_get(self->read_cursor, &key, &data, MDB_NEXT)) {
    bench_visit v;
    to_visit(&key, &data, &v);
    rows_put(rows, &v);
  }
  mdb_txn_reset(self->read);
  rows_reverse(rows);
}

static bool lmdb_delete(void *store_, uint32_t user, const uint32_t *visit_ids, size_t count) {
  store *self = store_;
  MDB_txn *txn;
  MDB_cursor *cursor;
  char bytes[KEY_SIZE];
  key_of(bytes, user, 0, 0);
  MDB_val key = {KEY_SIZE, bytes}, data;
  bool found = false;
  check(mdb_txn_begin(self->env, NULL, 0, &txn), "mdb_txn_begin");
  check(mdb_cursor_open(txn, self->table, &cursor), "mdb_cursor_open");
  int result = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
  for (; result == 0 && is_of(&key, user); result = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) {
    if (!is_among(get32((char *)key.mv_data + 12), visit_ids, count)) continue;
    check(mdb_cursor_del(cursor, 0), "mdb_cursor_del");
    found = true;
  }
  mdb_cursor_close(cursor);
  check(mdb_txn_commit(txn), "mdb_txn_commit");
  return found;
}

static void lmdb_scan(void *store_, bench_look *look, void *context) {
  store *self = store_;
  MDB_val key, data;
  check(mdb_txn_renew(self->read), "mdb_txn_renew");
  check(mdb_cursor_renew(self->read, self->read_cursor), "mdb_cursor_renew");
  for (MDB_cursor_op op = MDB_FIRST; mdb_cursor_get(self->read_cursor, &key, &data, op) == 0; op = MDB_NEXT) {
    bench_visit v;
    to_visit(&key, &data, &v);
    look(context, &v);
  }
  mdb_txn_reset(self->read);
}

static void lmdb_fill_begin(void *store_) {
  store *self = store_;
  check(mdb_txn_begin(self->env, NULL, 0, &self->fill), "mdb_txn_begin");
}

static void lmdb_fill_end(void *store_) {
  store *self = store_;
  check(mdb_txn_commit(self->fill), "mdb_txn_commit");
  self->fill = NULL;
}

static void lmdb_close(void *store_) {
  store *self = store_;
  mdb_cursor_close(self->read_cursor);
  mdb_txn_abort(self->read);
  mdb_env_close(self->env);
  free(self);
}

/* The file is as large as the map, and has holes; a copy that leaves out free pages is what compaction is here. */
static double lmdb_disk_bytes(const char *folder) {
  char copy[4096];
  work_folder(copy, sizeof copy, folder, "copy");
  store *self = lmdb_open(folder, TO_SURVIVE_A_KILL);
  check(mdb_env_copy2(self->env, copy, MDB_CP_COMPACT), "mdb_env_copy2");
  lmdb_close(self);
  return bytes_of_file(copy, "data.mdb");
}

const store_kind lmdb = {
    .name = "LMDB",
    .open = lmdb_open,
    .add = lmdb_add,
    .get = lmdb_get,
    .delete_visits = lmdb_delete,
    .scan = lmdb_scan,
    .fill_begin = lmdb_fill_begin,
    .fill_end = lmdb_fill_end,
    .disk_bytes = lmdb_disk_bytes,
    .close = lmdb_close,
};
