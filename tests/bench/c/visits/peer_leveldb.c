/* LevelDB: a write buffer of 64 MiB, a cache of 128 MiB, bloom filters, no compression. */
#include <leveldb/c.h>

#define DB(name) leveldb_##name
#define DB_NAME "LevelDB"
#include "lsm.h"

static void *open_leveldb(const char *folder, bench_purpose purpose) {
  store *self = lsm_new(purpose);
  char *message = NULL;
  self->cache = leveldb_cache_create_lru((size_t)128 << 20);
  self->filter = leveldb_filterpolicy_create_bloom(10);
  leveldb_options_set_cache(self->options, self->cache);
  leveldb_options_set_filter_policy(self->options, self->filter);
  self->db = leveldb_open(self->options, folder, &message);
  check(message, "open");
  return self;
}

const store_kind leveldb = LSM_KIND(open_leveldb);
