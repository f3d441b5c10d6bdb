/* Redis: a hash per user, visit_id -> time, url, text. An add is HSETNX, which ignores an id that is there, and HLEN, which says when the
 * oldest has to go; both go into a pipeline of 100 adds. Two plain commands were faster than one script that does the same. A get is HGETALL,
 * sorted here. tests/bench/c/visits/redis.conf has the server's settings. */
#include "store.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  PIPELINED = 100,
  VALUE_HEAD = 8, /* time */
  KEY_SIZE = 5
};

typedef struct store {
  redisContext *connection;
  pid_t server;
  uint32_t users[PIPELINED]; /* of the adds that were not answered */
  size_t pending;
  double bytes_at_start;
} store;

static redisReply *reply_of(store *self, int type) {
  void *reply = NULL;
  if (redisGetReply(self->connection, &reply) != REDIS_OK) bench_fail("Redis: %s", self->connection->errstr);
  redisReply *answer = reply;
  if (answer->type != type) bench_fail("Redis: an answer of type %d: %s", answer->type, answer->str != NULL ? answer->str : "");
  return answer;
}

static long long number_of(store *self) {
  redisReply *reply = reply_of(self, REDIS_REPLY_INTEGER);
  long long number = reply->integer;
  freeReplyObject(reply);
  return number;
}

static void ask(store *self, int count, const char **words, const size_t *sizes) {
  if (redisAppendCommandArgv(self->connection, count, words, sizes) != REDIS_OK) bench_fail("Redis: %s", self->connection->errstr);
}

/* "v" and the user. */
static void key_of(char key[KEY_SIZE], uint32_t user) {
  key[0] = 'v';
  put32(key + 1, user);
}

static double used_memory(store *self) {
  redisReply *reply = redisCommand(self->connection, "INFO memory");
  if (reply == NULL || reply->type != REDIS_REPLY_STRING) bench_fail("Redis: INFO failed");
  const char *found = strstr(reply->str, "used_memory:");
  if (found == NULL) bench_fail("Redis: INFO tells no used_memory");
  double bytes = strtod(found + strlen("used_memory:"), NULL);
  freeReplyObject(reply);
  return bytes;
}

static void *redis_open(const char *folder, bench_purpose purpose) {
  (void)purpose;
  char path[100]; /* a socket's path is short */
  path_of(path, sizeof path, folder, "s");
  store *self = store_alloc(sizeof *self);
  self->server = fork();
  if (self->server < 0) bench_fail("Redis: cannot start it");
  if (self->server == 0) {
    if (freopen("/dev/null", "w", stdout) == NULL) _exit(127); /* what it says is no sample */
    /* One program with several names; the package of this one starts no service. */
    execlp("redis-check-rdb", "redis-server", "tests/bench/c/visits/redis.conf", "--unixsocket", path, "--dir", folder, (char *)NULL);
    _exit(127);
  }
  for (int tries = 0; tries < 500; tries++) {
    self->connection = redisConnectUnix(path);
    if (self->connection != NULL && self->connection->err == 0) break;
    if (self->connection != NULL) redisFree(self->connection);
    self->connection = NULL;
    if (waitpid(self->server, NULL, WNOHANG) == self->server) bench_fail("Redis: the server ended; is redis-tools installed?");
    usleep(10000);
  }
  if (self->connection == NULL) bench_fail("Redis: the server does not answer at %s", path);
  self->bytes_at_start = used_memory(self);
  return self;
}

static int64_t time_of(const redisReply *value) { return (int64_t)get64(value->str); }

/* Deletes the oldest of a user who has too many. */
static void evict(store *self, uint32_t user) {
  char key[KEY_SIZE];
  key_of(key, user);
  const char *words[3] = {"HGETALL", key};
  size_t sizes[3] = {7, KEY_SIZE};
  ask(self, 2, words, sizes);
  redisReply *all = reply_of(self, REDIS_REPLY_ARRAY);
  for (size_t left = all->elements / 2; left > VISITS_MAX; left--) {
    size_t oldest = 0;
    while (all->element[oldest] == NULL) oldest += 2;
    for (size_t i = oldest; i < all->elements; i += 2)
      if (all->element[i] != NULL && time_of(all->element[i + 1]) < time_of(all->element[oldest + 1])) oldest = i;
    words[0] = "HDEL";
    sizes[0] = 4;
    words[2] = all->element[oldest]->str;
    sizes[2] = all->element[oldest]->len;
    ask(self, 3, words, sizes);
    (void)number_of(self);
    freeReplyObject(all->element[oldest]);
    all->element[oldest] = NULL;
  }
  freeReplyObject(all);
}

static void redis_flush(void *store_) {
  store *self = store_;
  bool full[PIPELINED];
  size_t count = self->pending;
  self->pending = 0;
  for (size_t i = 0; i < count; i++) {
    (void)number_of(self);
    full[i] = number_of(self) > VISITS_MAX;
  }
  for (size_t i = 0; i < count; i++)
    if (full[i]) evict(self, self->users[i]);
}

static void redis_add(void *store_, const bench_visit *v) {
  store *self = store_;
  char key[KEY_SIZE], value[VALUE_HEAD + 4 + 2 * TEXT_MAX], id[4];
  key_of(key, v->user);
  put32(id, v->visit_id);
  put64(value, (uint64_t)v->time_ns);
  size_t size = VALUE_HEAD + pack(value + VALUE_HEAD, v);
  const char *words[] = {"HSETNX", key, id, value};
  const size_t sizes[] = {6, KEY_SIZE, sizeof id, size};
  ask(self, 4, words, sizes);
  const char *count[] = {"HLEN", key};
  const size_t count_sizes[] = {4, KEY_SIZE};
  ask(self, 2, count, count_sizes);
  self->users[self->pending++] = v->user;
  if (self->pending == PIPELINED) redis_flush(self);
}

static int newest_first(const void *a, const void *b) {
  int64_t one = ((const bench_visit *)a)->time_ns, other = ((const bench_visit *)b)->time_ns;
  return (one < other) - (one > other);
}

static void redis_get(void *store_, uint32_t user, bench_rows *rows) {
  store *self = store_;
  char key[KEY_SIZE];
  key_of(key, user);
  const char *words[] = {"HGETALL", key};
  const size_t sizes[] = {7, KEY_SIZE};
  ask(self, 2, words, sizes);
  redisReply *all = reply_of(self, REDIS_REPLY_ARRAY);
  rows->count = 0;
  /* The reply is the copy. */
  for (size_t i = 0; i < all->elements; i += 2) {
    const redisReply *value = all->element[i + 1];
    bench_visit *row = &rows->items[rows->count++];
    *row = (bench_visit){.user = user, .visit_id = get32(all->element[i]->str), .time_ns = time_of(value)};
    unpack(value->str + VALUE_HEAD, value->len - VALUE_HEAD, row);
  }
  qsort(rows->items, rows->count, sizeof rows->items[0], newest_first);
  rows->owner = all;
}

static void redis_done(bench_rows *rows) { freeReplyObject(rows->owner); }

static bool redis_delete(void *store_, uint32_t user, const uint32_t *visit_ids, size_t count) {
  store *self = store_;
  char key[KEY_SIZE], ids[3][4];
  if (count != 3) bench_fail("Redis: the command deletes 3");
  key_of(key, user);
  for (size_t i = 0; i < 3; i++) put32(ids[i], visit_ids[i]);
  const char *words[] = {"HDEL", key, ids[0], ids[1], ids[2]};
  const size_t sizes[] = {4, KEY_SIZE, 4, 4, 4};
  ask(self, 5, words, sizes);
  return number_of(self) > 0;
}

static double redis_resident_bytes(void *store_) { return used_memory(store_) - ((store *)store_)->bytes_at_start; }

static void redis_close(void *store_) {
  store *self = store_;
  redisFree(self->connection);
  (void)kill(self->server, SIGTERM);
  (void)waitpid(self->server, NULL, 0);
  free(self);
}

const store_kind redis = {
    .name = "Redis",
    .open = redis_open,
    .add = redis_add,
    .flush = redis_flush,
    .get = redis_get,
    .done = redis_done,
    .delete_visits = redis_delete,
    .resident_bytes = redis_resident_bytes,
    .close = redis_close,
};
