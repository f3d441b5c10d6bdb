/* samebytes: durability none or always, everything else as it is by default. */
#include "store.h"

#include <samebytes/visits.h>

static void check(sb_status status, const sb_error *error, const char *what) {
  if (status != SB_OK) bench_fail("samebytes: %s: %s: %s", what, sb_status_name(status), error->message);
}

static void *ours_open(const char *folder, bench_purpose purpose) {
  char path[4096];
  path_of(path, sizeof path, folder, "visits");
  sb_visit_manager_options options;
  sb_visit_manager_options_init(&options, sizeof options);
  options.durability = purpose == TO_BE_DURABLE ? SB_DURABILITY_ALWAYS : SB_DURABILITY_NONE;
  sb_visit_manager *manager = NULL;
  sb_error error;
  check(sb_visit_manager_open(path, &options, &manager, &error), &error, "open");
  return manager;
}

static void ours_add(void *store, const bench_visit *v) {
  sb_error error;
  check(sb_visit_manager_add_visit_at(store, v->user, v->visit_id, v->url, v->url_size, v->text, v->text_size, v->time_ns, &error), &error,
        "add");
}

/* The snapshot is the copy. */
static void ours_get(void *store, uint32_t user, bench_rows *rows) {
  sb_error error;
  sb_visits *visits = NULL;
  const sb_visit *all = NULL;
  check(sb_visit_manager_get_recent_visits(store, user, &visits, &error), &error, "get");
  check(sb_visits_get_all(visits, &all, &rows->count), &error, "get");
  if (rows->count > VISITS_MAX) bench_fail("samebytes: %zu visits of one user", rows->count);
  for (size_t i = 0; i < rows->count; i++) {
    const sb_visit *from = &all[i];
    rows->items[i] = (bench_visit){from->user, from->visit_id, from->time_ns, from->url, from->text, from->url_size, from->text_size};
  }
  rows->owner = visits;
}

static void ours_done(bench_rows *rows) { sb_visits_close(rows->owner); }

static bool ours_delete(void *store, uint32_t user, const uint32_t *visit_ids, size_t count) {
  sb_error error;
  bool found;
  check(sb_visit_manager_delete_visits(store, user, visit_ids, count, &found, &error), &error, "delete");
  return found;
}

static void ours_scan(void *store, bench_look *look, void *context) {
  sb_error error;
  sb_visit_scan *scan = NULL;
  check(sb_visit_manager_scan(store, &scan, &error), &error, "scan");
  for (size_t count = 1; count > 0;) {
    sb_visits *visits = NULL;
    const sb_visit *all = NULL;
    check(sb_visit_scan_next(scan, 0, &visits, &error), &error, "scan");
    check(sb_visits_get_all(visits, &all, &count), &error, "scan");
    for (size_t i = 0; i < count; i++) {
      const sb_visit *from = &all[i];
      look(context, &(bench_visit){from->user, from->visit_id, from->time_ns, from->url, from->text, from->url_size, from->text_size});
    }
    sb_visits_close(visits);
  }
  sb_visit_scan_close(scan);
}

static void ours_fill_end(void *store) {
  sb_error error;
  check(sb_visit_manager_compact(store, &error), &error, "compact");
}

static double ours_disk_bytes(const char *folder) { return bytes_of_file(folder, "visits"); }

static void ours_close(void *store) {
  sb_error error;
  check(sb_visit_manager_finish(store, &error), &error, "finish");
  sb_visit_manager_close(store);
}

const store_kind ours = {
    .name = "samebytes",
    .open = ours_open,
    .add = ours_add,
    .get = ours_get,
    .done = ours_done,
    .delete_visits = ours_delete,
    .scan = ours_scan,
    .fill_end = ours_fill_end,
    .disk_bytes = ours_disk_bytes,
    .close = ours_close,
};
