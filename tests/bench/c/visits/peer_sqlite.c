/* SQLite: tests/bench/visits.sql has settings, schema and statements. One connection, which threads take turns with: locking_mode EXCLUSIVE
 * allows no other, and is what makes a transaction cheap. */
#include "store.h"

#include <pthread.h>
#include <sqlite3.h>

enum {
  ADD,
  GET,
  DELETE,
  SCAN,
  STATEMENTS
};

typedef struct store {
  sqlite3 *db;
  sqlite3_stmt *statements[STATEMENTS];
  pthread_mutex_t lock;
} store;

static void check(const store *self, int result, const char *what) {
  if (result != SQLITE_OK && result != SQLITE_DONE && result != SQLITE_ROW) bench_fail("SQLite: %s: %s", what, sqlite3_errmsg(self->db));
}

static char *read_sql(void) {
  FILE *file = fopen("tests/bench/visits.sql", "rb");
  char *text = store_alloc(65536);
  if (file == NULL || fread(text, 1, 65535, file) == 0)
    bench_fail("SQLite: cannot read tests/bench/visits.sql; run it from the repository");
  (void)fclose(file);
  return text;
}

/* The statements between the line "-- NAME" and the next such line. */
static char *section(const char *text, const char *name) {
  char line[64];
  (void)snprintf(line, sizeof line, "\n-- %s\n", name);
  const char *start = strstr(text, line);
  if (start == NULL) bench_fail("SQLite: visits.sql has no section %s", name);
  start += strlen(line);
  const char *end = strstr(start, "\n-- ");
  size_t size = end != NULL ? (size_t)(end - start) : strlen(start);
  char *copy = strndup(start, size);
  if (copy == NULL) bench_fail("no memory");
  return copy;
}

static void run(const store *self, const char *sql) { check(self, sqlite3_exec(self->db, sql, NULL, NULL, NULL), sql); }

static void run_section(const store *self, const char *text, const char *name) {
  char *sql = section(text, name);
  run(self, sql);
  free(sql);
}

static void *sqlite_open(const char *folder, bench_purpose purpose) {
  static const char *const names[STATEMENTS] = {"add", "get", "delete 3", "scan"};
  char path[4096];
  path_of(path, sizeof path, folder, "visits.sqlite");
  store *self = store_alloc(sizeof *self);
  pthread_mutex_init(&self->lock, NULL);
  check(self, sqlite3_open_v2(path, &self->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL), "open");
  char *text = read_sql();
  run_section(self, text, "settings");
  if (purpose == TO_BE_DURABLE) run(self, "PRAGMA synchronous = FULL");
  run_section(self, text, "schema");
  for (int i = 0; i < STATEMENTS; i++) {
    char *sql = section(text, names[i]);
    check(self, sqlite3_prepare_v3(self->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &self->statements[i], NULL), sql);
    free(sql);
  }
  free(text);
  return self;
}

static void sqlite_add(void *store_, const bench_visit *v) {
  store *self = store_;
  pthread_mutex_lock(&self->lock);
  sqlite3_stmt *add = self->statements[ADD];
  sqlite3_bind_int64(add, 1, v->user);
  sqlite3_bind_int64(add, 2, v->time_ns);
  sqlite3_bind_int64(add, 3, v->visit_id);
  sqlite3_bind_blob(add, 4, v->url, (int)v->url_size, SQLITE_STATIC);
  sqlite3_bind_blob(add, 5, v->text, (int)v->text_size, SQLITE_STATIC);
  check(self, sqlite3_step(add), "add");
  sqlite3_reset(add);
  pthread_mutex_unlock(&self->lock);
}

/* Columns from `first` on: time, visit_id, url, text. */
static void to_visit(sqlite3_stmt *statement, int first, bench_visit *v) {
  v->time_ns = sqlite3_column_int64(statement, first);
  v->visit_id = (uint32_t)sqlite3_column_int64(statement, first + 1);
  v->url = sqlite3_column_blob(statement, first + 2);
  v->url_size = (size_t)sqlite3_column_bytes(statement, first + 2);
  v->text = sqlite3_column_blob(statement, first + 3);
  v->text_size = (size_t)sqlite3_column_bytes(statement, first + 3);
}

static void sqlite_get(void *store_, uint32_t user, bench_rows *rows) {
  store *self = store_;
  sqlite3_stmt *get = self->statements[GET];
  sqlite3_bind_int64(get, 1, user);
  rows->count = 0;
  int result;
  while ((result = sqlite3_step(get)) == SQLITE_ROW) {
    bench_visit v = {.user = user};
    to_visit(get, 0, &v);
    rows_put(rows, &v);
  }
  check(self, result, "get");
  sqlite3_reset(get);
}

static bool sqlite_delete(void *store_, uint32_t user, const uint32_t *visit_ids, size_t count) {
  store *self = store_;
  sqlite3_stmt *statement = self->statements[DELETE];
  if (count != 3) bench_fail("SQLite: the statement deletes 3");
  sqlite3_bind_int64(statement, 1, user);
  for (int i = 0; i < 3; i++) sqlite3_bind_int64(statement, 2 + i, visit_ids[i]);
  check(self, sqlite3_step(statement), "delete");
  sqlite3_reset(statement);
  return sqlite3_changes(self->db) > 0;
}

static void sqlite_scan(void *store_, bench_look *look, void *context) {
  store *self = store_;
  sqlite3_stmt *scan = self->statements[SCAN];
  int result;
  while ((result = sqlite3_step(scan)) == SQLITE_ROW) {
    bench_visit v = {.user = (uint32_t)sqlite3_column_int64(scan, 0)};
    to_visit(scan, 1, &v);
    look(context, &v);
  }
  check(self, result, "scan");
  sqlite3_reset(scan);
}

static void sqlite_fill_begin(void *store_) { run(store_, "BEGIN"); }

static void sqlite_fill_end(void *store_) {
  run(store_, "COMMIT");
  run(store_, "VACUUM");
}

static double sqlite_disk_bytes(const char *folder) { return bytes_of_file(folder, "visits.sqlite"); }

static void sqlite_close(void *store_) {
  store *self = store_;
  for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(self->statements[i]);
  check(self, sqlite3_close(self->db), "close");
  free(self);
}

const store_kind sqlite = {
    .name = "SQLite",
    .open = sqlite_open,
    .add = sqlite_add,
    .get = sqlite_get,
    .delete_visits = sqlite_delete,
    .scan = sqlite_scan,
    .fill_begin = sqlite_fill_begin,
    .fill_end = sqlite_fill_end,
    .disk_bytes = sqlite_disk_bytes,
    .close = sqlite_close,
};
