#include "work.h"

#include <dirent.h>
#include <sys/stat.h>

enum {
  LETTERS = 1 << 20,
  CHECK_USERS = 5,
  CHECK_IDS = 30,
  CHECK_OPERATIONS = 4000
};

static const char *letters(void) {
  static char *all;
  if (all != NULL) return all;
  all = store_alloc(LETTERS);
  uint64_t random = 7;
  for (size_t i = 0; i < LETTERS; i++) {
    random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    all[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[random >> 58];
  }
  return all;
}

uint32_t work_user(size_t index, size_t users) { return (uint32_t)((index % users) * 7919 % users); }

bench_visit work_visit(size_t index, size_t users) {
  return (bench_visit){
      .user = work_user(index, users),
      .visit_id = (uint32_t)index,
      .time_ns = INT64_C(1700000000000000000) + (int64_t)index * 1000,
      .url = letters() + index * 131 % (LETTERS - URL_SIZE),
      .text = letters() + index * 977 % (LETTERS - TEXT_SIZE),
      .url_size = URL_SIZE,
      .text_size = TEXT_SIZE,
  };
}

void work_remove(const char *folder) {
  DIR *all = opendir(folder);
  if (all == NULL) return;
  for (struct dirent *entry; (entry = readdir(all)) != NULL;) {
    char path[4096];
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    path_of(path, sizeof path, folder, entry->d_name);
    if (entry->d_type == DT_DIR)
      work_remove(path);
    else
      (void)remove(path);
  }
  (void)closedir(all);
  (void)remove(folder);
}

void work_folder(char *path, size_t size, const char *folder, const char *name) {
  path_of(path, size, folder, name);
  work_remove(path);
  if (mkdir(path, 0755) != 0) bench_fail("cannot make the folder %s", path);
}

double bytes_of_file(const char *folder, const char *name) {
  char path[4096];
  struct stat about;
  path_of(path, sizeof path, folder, name);
  if (stat(path, &about) != 0) bench_fail("there is no %s", path);
  return (double)about.st_blocks * 512;
}

double bytes_of_folder(const char *folder) {
  DIR *all = opendir(folder);
  if (all == NULL) bench_fail("there is no %s", folder);
  double bytes = 0;
  for (struct dirent *entry; (entry = readdir(all)) != NULL;)
    if (entry->d_type == DT_REG) bytes += bytes_of_file(folder, entry->d_name);
  (void)closedir(all);
  return bytes;
}

static uint64_t sum_of(uint64_t sum, const void *data, size_t size) {
  const char *bytes = data;
  for (; size >= 8; size -= 8, bytes += 8) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
  }
  uint64_t rest = 0;
  memcpy(&rest, bytes, size);
  return (sum ^ rest) * UINT64_C(0x9e3779b97f4a7c15);
}

void digest_add(void *digest_, const bench_visit *v) {
  digest *self = digest_;
  uint64_t sum = ((uint64_t)v->user << 32 | v->visit_id) ^ (uint64_t)v->time_ns;
  self->sum += sum_of(sum_of(sum, v->url, v->url_size), v->text, v->text_size); /* in any order of users */
  self->visits++;
}

void print_sample(const char *name, const char *side, double value, const char *unit) {
  printf("%s\t%s\t%.6f\t%s\n", name, side, value, unit);
}

/* ---- does a store do what it should? ---- */

typedef struct model {
  bench_visit items[CHECK_USERS][VISITS_MAX + 1]; /* oldest first */
  size_t counts[CHECK_USERS];
} model;

static size_t model_find(const model *self, uint32_t user, uint32_t visit_id) {
  size_t at = 0;
  while (at < self->counts[user] && self->items[user][at].visit_id != visit_id) at++;
  return at;
}

static void model_remove(model *self, uint32_t user, size_t at) {
  bench_visit *items = self->items[user];
  memmove(items + at, items + at + 1, (--self->counts[user] - at) * sizeof *items);
}

static void model_add(model *self, const bench_visit *v) {
  bench_visit *items = self->items[v->user];
  size_t *count = &self->counts[v->user];
  if (model_find(self, v->user, v->visit_id) < *count) return;
  size_t at = *count;
  while (at > 0 && items[at - 1].time_ns > v->time_ns) at--;
  memmove(items + at + 1, items + at, (*count - at) * sizeof *items);
  items[at] = *v;
  if (++*count > VISITS_MAX) model_remove(self, v->user, 0);
}

static void check_user(const model *self, const store_kind *kind, void *store, uint32_t user) {
  static bench_rows rows;
  kind->get(store, user, &rows);
  if (rows.count != self->counts[user]) bench_fail("%s: %zu visits, not %zu", kind->name, rows.count, self->counts[user]);
  for (size_t i = 0; i < rows.count; i++) {
    const bench_visit *found = &rows.items[i], *expected = &self->items[user][rows.count - 1 - i];
    if (found->user != expected->user || found->visit_id != expected->visit_id || found->time_ns != expected->time_ns ||
        found->url_size != expected->url_size || memcmp(found->url, expected->url, found->url_size) != 0 ||
        found->text_size != expected->text_size || memcmp(found->text, expected->text, found->text_size) != 0)
      bench_fail("%s: visit %zu of a user is another one than expected", kind->name, i);
  }
  if (kind->done != NULL) kind->done(&rows);
}

static void check_scan(const model *self, const store_kind *kind, void *store) {
  digest found = {0}, expected = {0};
  for (uint32_t user = 0; user < CHECK_USERS; user++)
    for (size_t i = 0; i < self->counts[user]; i++) digest_add(&expected, &self->items[user][i]);
  kind->scan(store, digest_add, &found);
  if (found.sum != expected.sum || found.visits != expected.visits) bench_fail("%s: a scan found something else", kind->name);
}

void check_store(const store_kind *kind, const char *folder) {
  static model expected;
  char path[4096];
  memset(&expected, 0, sizeof expected);
  work_folder(path, sizeof path, folder, "check");
  void *store = kind->open(path, TO_SURVIVE_A_KILL);
  uint64_t random = 11;
  for (size_t i = 0; i < CHECK_OPERATIONS; i++) {
    random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint32_t user = (uint32_t)(random >> 33) % CHECK_USERS;
    if (random >> 60 == 0) {
      uint32_t ids[3] = {(uint32_t)(random >> 20) % CHECK_IDS, (uint32_t)(random >> 28) % CHECK_IDS, (uint32_t)(random >> 40) % CHECK_IDS};
      bool found = false;
      for (size_t k = 0; k < 3; k++) {
        size_t at = model_find(&expected, user, ids[k]);
        if (at == expected.counts[user]) continue;
        model_remove(&expected, user, at);
        found = true;
      }
      if (kind->delete_visits(store, user, ids, 3) != found) bench_fail("%s: delete says the wrong thing", kind->name);
    } else {
      bench_visit v = work_visit(i, SMALL_VISITS);
      v.user = user;
      v.visit_id = (uint32_t)(random >> 24) % CHECK_IDS;
      v.time_ns += (int64_t)(i + (random >> 12) % 64) * 1000000; /* no two are the same */
      v.url_size = random >> 50 & 63;
      kind->add(store, &v);
      if (kind->flush != NULL) kind->flush(store);
      model_add(&expected, &v);
    }
    if (i % 16 == 0) check_user(&expected, kind, store, user);
  }
  for (uint32_t user = 0; user < CHECK_USERS; user++) check_user(&expected, kind, store, user);
  if (kind->scan != NULL) check_scan(&expected, kind, store);
  kind->close(store);
  work_remove(path);
}
