//go:build !samebytes_shared

/* VisitManager: checks what callers give, and hands it to a store. What order, eviction and repetition mean is the store's to keep, because
 * a store that many processes share must decide it where the visits are; the tests hold every store to the same meaning. */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error_private.h"
#include "options.h"
#include "owners.h"
#include "visit_private.h"

struct sb_visit_manager {
  sb_visit_store store;
  sb_priv_owners owners; /* the caller and the scans: the last one frees it, so that a scan may be closed late */
  uint32_t timeout_ms;
  bool finished;
  sb_status finish_status;
};

struct sb_visit_scan {
  sb_visit_manager *manager;
  uint64_t next; /* user; 1 << 32 at the end */
};

#define SCAN_VISITS_DEFAULT 1024
#define SCAN_END (UINT64_C(1) << 32)
#define ROWS_AT_HAND 32u /* visits that are added without an allocation */

void sb_visit_manager_options_init(sb_visit_manager_options *options, size_t struct_size) { sb_priv_options_init(options, struct_size); }

static sb_status nothing(sb_error *error, const char *name) {
  return sb_priv_error(error, SB_INVALID_ARGUMENT, name, "%s is NULL, and is needed", name);
}

static sb_status check(const sb_visit_manager *manager, sb_error *error) {
  if (manager == NULL) return nothing(error, "manager");
  if (manager->finished) return sb_priv_error(error, SB_CLOSED, NULL, "the manager was finished");
  return SB_OK;
}

static int64_t deadline(const sb_visit_manager *manager) {
  return manager->timeout_ms == 0 ? 0 : sb_priv_monotonic_ns() + (int64_t)manager->timeout_ms * 1000000;
}

static sb_status unsupported(sb_error *error) {
  return sb_priv_error(error, SB_UNSUPPORTED, NULL, "this store has no such operation; the file has");
}

/* ---- open ---- */

static bool store_complete(const sb_visit_store *store) {
  return store->struct_size >= sizeof *store && store->add != NULL && store->recent != NULL && store->delete_visits != NULL &&
         store->clear != NULL && store->users != NULL && store->scan != NULL && store->close != NULL;
}

static sb_status options_read(const sb_visit_manager_options *given, sb_visit_manager_options *options, sb_error *error) {
  const sb_status status = sb_priv_options_read(options, sizeof *options, given, SB_PRIV_OPTIONS_1_0(sb_visit_manager_options, store));
  if (status == SB_UNSUPPORTED)
    return sb_priv_error(error, status, NULL, "options say something that this version of the library does not know: update it");
  if (status != SB_OK) return sb_priv_error(error, status, "struct_size", "options were not filled by sb_visit_manager_options_init");
  if (options->durability < SB_DURABILITY_NONE || options->durability > SB_DURABILITY_ALWAYS)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, "durability", "durability is %d; use one of SB_DURABILITY_...",
                         (int)options->durability);
  return SB_OK;
}

/* Says of which file an error speaks. */
static void name_file(sb_error *error, const char *path) {
  if (error == NULL) return;
  const size_t size = strlen(error->message);
  (void)snprintf(error->message + size, sizeof error->message - size, "; the file is %s", path);
}

sb_status sb_visit_manager_open(const char *path, const sb_visit_manager_options *options, sb_visit_manager **manager, sb_error *error) {
  sb_visit_manager_options used;
  if (path == NULL || manager == NULL) return nothing(error, path == NULL ? "path" : "manager");
  sb_status status = options_read(options, &used, error);
  if (status != SB_OK) return status;
  if (used.store != NULL && !store_complete(used.store))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, "store",
                         "the store lacks a function that every store has, or its struct_size is not set");
  sb_visit_manager *made = calloc(1, sizeof *made);
  if (made == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory to open the file");
  atomic_init(&made->owners, 1);
  made->timeout_ms = used.timeout_ms;
  if (used.store != NULL)
    made->store = *used.store;
  else
    status = sb_priv_visit_file_open(path, &used, &made->store, error);
  if (status != SB_OK) {
    if (used.store == NULL) name_file(error, path);
    free(made);
    return status;
  }
  *manager = made;
  return SB_OK;
}

/* ---- adding ---- */

static sb_status check_text(const void *data, size_t size, const char *name, sb_error *error) {
  if (data == NULL && size > 0) return sb_priv_error(error, SB_INVALID_ARGUMENT, name, "%s is NULL, but its size is %zu", name, size);
  if (size > SB_VISIT_TEXT_MAX)
    return sb_priv_error(error, SB_TOO_LARGE, name, "%s has %zu bytes; %d are allowed", name, size, SB_VISIT_TEXT_MAX);
  const char *nul = size > 0 ? memchr(data, 0, size) : NULL;
  if (nul != NULL)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, name, "%s has a NUL at byte %td; remove it", name, nul - (const char *)data);
  return SB_OK;
}

static sb_status check_visit(const sb_visit *visit, sb_error *error) {
  sb_status status = check_text(visit->url, visit->url_size, "url", error);
  if (status == SB_OK) status = check_text(visit->text, visit->text_size, "text", error);
  if (status == SB_OK && visit->time_ns < SB_VISIT_NOW)
    status = sb_priv_error(error, SB_OUT_OF_RANGE, "time_ns", "time_ns is %lld; give nanoseconds since 1970, or SB_VISIT_NOW",
                           (long long)visit->time_ns);
  return status;
}

sb_status sb_priv_visit_manager_add(sb_visit_manager *manager, const sb_visit *rows, size_t count, sb_error *error) {
  sb_status status = check(manager, error);
  for (size_t i = 0; i < count && status == SB_OK; i++) {
    status = check_visit(&rows[i], error);
    if (status != SB_OK && error != NULL) error->frame = (int64_t)i;
  }
  if (status != SB_OK || count == 0) return status;
  return manager->store.add(manager->store.context, rows, count, deadline(manager), error);
}

/* Rows are copied before they are checked: a store looks at them more than once, and what the caller's become meanwhile must not count. */
sb_status sb_visit_manager_add_visits(sb_visit_manager *manager, const sb_visit *visits, size_t visit_count, sb_error *error) {
  sb_visit at_hand[ROWS_AT_HAND], *rows = at_hand;
  sb_status status = check(manager, error);
  if (status == SB_OK && visits == NULL && visit_count > 0) status = nothing(error, "visits");
  if (status != SB_OK || visit_count == 0) return status;
  if (visit_count > ROWS_AT_HAND) rows = visit_count <= PTRDIFF_MAX / sizeof *rows ? malloc(visit_count * sizeof *rows) : NULL;
  if (rows == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for %zu visits", visit_count);
  memcpy(rows, visits, visit_count * sizeof *rows);
  status = sb_priv_visit_manager_add(manager, rows, visit_count, error);
  if (rows != at_hand) free(rows);
  return status;
}

sb_status sb_visit_manager_add_visit_at(sb_visit_manager *manager, uint32_t user, uint32_t visit_id, const void *url, size_t url_size,
                                        const void *text, size_t text_size, int64_t time_ns, sb_error *error) {
  const sb_visit visit = {user, visit_id, time_ns, url, url_size, text, text_size};
  sb_status status = check(manager, error);
  if (status == SB_OK) status = check_visit(&visit, error);
  return status == SB_OK ? manager->store.add(manager->store.context, &visit, 1, deadline(manager), error) : status;
}

sb_status sb_visit_manager_add_visit(sb_visit_manager *manager, uint32_t user, uint32_t visit_id, const void *url, size_t url_size,
                                     const void *text, size_t text_size, sb_error *error) {
  return sb_visit_manager_add_visit_at(manager, user, visit_id, url, url_size, text, text_size, SB_VISIT_NOW, error);
}

/* ---- reading ---- */

sb_status sb_visit_manager_get_recent_visits_of(sb_visit_manager *manager, const uint32_t *users, size_t user_count, sb_visits **visits,
                                                sb_error *error) {
  sb_status status = check(manager, error);
  if (status == SB_OK && (visits == NULL || (users == NULL && user_count > 0)))
    status = nothing(error, visits == NULL ? "visits" : "users");
  if (status != SB_OK) return status;
  sb_visits *made = NULL;
  status = sb_priv_visits_open(&made);
  if (status != SB_OK) return sb_priv_error(error, status, NULL, "no memory for the visits");
  status = manager->store.recent(manager->store.context, users, user_count, made, deadline(manager), error);
  if (status == SB_OK)
    *visits = made;
  else
    sb_visits_close(made);
  return status;
}

sb_status sb_visit_manager_get_recent_visits(sb_visit_manager *manager, uint32_t user, sb_visits **visits, sb_error *error) {
  return sb_visit_manager_get_recent_visits_of(manager, &user, 1, visits, error);
}

sb_status sb_visit_manager_users(sb_visit_manager *manager, sb_visit_users **users, sb_error *error) {
  sb_status status = check(manager, error);
  if (status == SB_OK && users == NULL) status = nothing(error, "users");
  if (status != SB_OK) return status;
  sb_visit_users *made = NULL;
  status = sb_priv_visit_users_open(&made);
  if (status != SB_OK) return sb_priv_error(error, status, NULL, "no memory for the list of users");
  status = manager->store.users(manager->store.context, made, deadline(manager), error);
  if (status == SB_OK)
    *users = made;
  else
    sb_visit_users_close(made);
  return status;
}

sb_status sb_visit_manager_scan(sb_visit_manager *manager, sb_visit_scan **scan, sb_error *error) {
  sb_status status = check(manager, error);
  if (status == SB_OK && scan == NULL) status = nothing(error, "scan");
  if (status != SB_OK) return status;
  sb_visit_scan *made = calloc(1, sizeof *made);
  if (made == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for a scan");
  sb_priv_owners_add(&manager->owners, 1);
  made->manager = manager;
  *scan = made;
  return SB_OK;
}

sb_status sb_visit_scan_next(sb_visit_scan *scan, size_t visits_min, sb_visits **visits, sb_error *error) {
  if (scan == NULL || visits == NULL) return nothing(error, scan == NULL ? "scan" : "visits");
  const sb_visit_manager *manager = scan->manager;
  sb_status status = check(manager, error);
  if (status != SB_OK) return status;
  sb_visits *made = NULL;
  uint64_t next = scan->next;
  status = sb_priv_visits_open(&made);
  if (status != SB_OK) return sb_priv_error(error, status, NULL, "no memory for the visits");
  if (next < SCAN_END)
    status = manager->store.scan(manager->store.context, &next, visits_min == 0 ? SCAN_VISITS_DEFAULT : visits_min, made, deadline(manager),
                                 error);
  if (status != SB_OK) {
    sb_visits_close(made);
    return status;
  }
  scan->next = next;
  *visits = made;
  return SB_OK;
}

static void leave(sb_visit_manager *manager) {
  if (sb_priv_owners_remove(&manager->owners, 1)) free(manager);
}

void sb_visit_scan_close(sb_visit_scan *scan) {
  if (scan == NULL) return;
  leave(scan->manager);
  free(scan);
}

/* ---- deleting ---- */

sb_status sb_visit_manager_delete_visits(sb_visit_manager *manager, uint32_t user, const uint32_t *visit_ids, size_t visit_id_count,
                                         bool *found, sb_error *error) {
  sb_status status = check(manager, error);
  if (status == SB_OK && (found == NULL || (visit_ids == NULL && visit_id_count > 0)))
    status = nothing(error, found == NULL ? "found" : "visit_ids");
  if (status != SB_OK) return status;
  bool any = false;
  if (visit_id_count > 0)
    status = manager->store.delete_visits(manager->store.context, user, visit_ids, visit_id_count, &any, deadline(manager), error);
  if (status == SB_OK) *found = any;
  return status;
}

sb_status sb_visit_manager_clear_user(sb_visit_manager *manager, uint32_t user, bool erase, sb_error *error) {
  const sb_status status = check(manager, error);
  return status == SB_OK ? manager->store.clear(manager->store.context, user, erase, deadline(manager), error) : status;
}

/* ---- the whole ---- */

sb_status sb_visit_manager_copy_to(sb_visit_manager *manager, const char *path, sb_error *error) {
  const sb_status status = check(manager, error);
  if (status != SB_OK) return status;
  if (path == NULL) return nothing(error, "path");
  if (manager->store.copy_to == NULL) return unsupported(error);
  return manager->store.copy_to(manager->store.context, path, deadline(manager), error);
}

sb_status sb_visit_manager_compact(sb_visit_manager *manager, sb_error *error) {
  const sb_status status = check(manager, error);
  if (status != SB_OK) return status;
  if (manager->store.compact == NULL) return unsupported(error);
  return manager->store.compact(manager->store.context, deadline(manager), error);
}

sb_status sb_visit_manager_sync(sb_visit_manager *manager, sb_error *error) {
  const sb_status status = check(manager, error);
  if (status != SB_OK) return status;
  if (manager->store.sync == NULL) return unsupported(error);
  return manager->store.sync(manager->store.context, deadline(manager), error);
}

sb_status sb_visit_manager_refresh(sb_visit_manager *manager, bool *changed, sb_error *error) {
  const sb_status status = check(manager, error);
  if (status != SB_OK) return status;
  if (changed == NULL) return nothing(error, "changed");
  if (manager->store.refresh == NULL) return unsupported(error);
  return manager->store.refresh(manager->store.context, changed, deadline(manager), error);
}

sb_status sb_visit_manager_verify(sb_visit_manager *manager, sb_visit_report *report, sb_error *error) {
  const sb_status status = check(manager, error);
  if (status != SB_OK) return status;
  if (report == NULL || report->struct_size < sizeof *report)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, "struct_size", "report is NULL, or its struct_size is not set");
  if (manager->store.verify == NULL) return unsupported(error);
  return manager->store.verify(manager->store.context, report, deadline(manager), error);
}

sb_status sb_visit_manager_get_stats(sb_visit_manager *manager, sb_visit_stats *stats, sb_error *error) {
  const sb_status status = check(manager, error);
  if (status != SB_OK) return status;
  if (stats == NULL || stats->struct_size < sizeof *stats)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, "struct_size", "stats is NULL, or its struct_size is not set");
  if (manager->store.get_stats == NULL) return unsupported(error);
  return manager->store.get_stats(manager->store.context, stats, deadline(manager), error);
}

sb_status sb_visit_manager_finish(sb_visit_manager *manager, sb_error *error) {
  if (manager == NULL) return nothing(error, "manager");
  if (!manager->finished) {
    if (manager->store.finish != NULL) manager->finish_status = manager->store.finish(manager->store.context, deadline(manager), error);
    manager->finished = true;
    return manager->finish_status;
  }
  if (manager->finish_status == SB_OK) return SB_OK;
  return sb_priv_error(error, manager->finish_status, NULL, "finishing failed when it was tried first");
}

void sb_visit_manager_close(sb_visit_manager *manager) {
  if (manager == NULL) return;
  (void)!sb_visit_manager_finish(manager, NULL);
  manager->store.close(manager->store.context);
  leave(manager);
}
