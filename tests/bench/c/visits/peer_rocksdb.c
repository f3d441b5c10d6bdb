/* RocksDB: as LevelDB, and the log's file is used again, which makes a sync cheaper. Writers on several threads share a sync by default. */
#include <rocksdb/c.h>

#define DB(name) rocksdb_##name
#define DB_NAME "RocksDB"
#define DB_OWNS_BLOCK_OPTIONS
#include "lsm.h"

static void *open_rocksdb(const char *folder, bench_purpose purpose) {
  store *self = lsm_new(purpose);
  char *message = NULL;
  self->table = rocksdb_block_based_options_create();
  self->cache = rocksdb_cache_create_lru((size_t)128 << 20);
  rocksdb_block_based_options_set_block_cache(self->table, self->cache);
  rocksdb_cache_destroy(self->cache); /* the table options hold it */
  rocksdb_block_based_options_set_filter_policy(self->table, rocksdb_filterpolicy_create_bloom_full(10));
  rocksdb_options_set_block_based_table_factory(self->options, self->table);
  rocksdb_options_set_recycle_log_file_num(self->options, 4);
  self->db = rocksdb_open(self->options, folder, &message);
  check(message, "open");
  return self;
}

const store_kind rocksdb = LSM_KIND(open_rocksdb);
