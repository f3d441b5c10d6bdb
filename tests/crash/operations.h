#ifndef OPERATIONS_H
#define OPERATIONS_H

/* The operations that worker.c makes on the store, and replay.c on a model: the same number always means the same operation. Each touches
 * one user, so that it is made whole or not at all. */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "visit_memory_store.h"
#include <samebytes/visits.h>

enum {
  OPERATION_USERS = 6,
  OPERATION_VISITS_MAX = 4
};

static inline uint32_t operation_random(unsigned number, unsigned salt) {
  uint64_t value = (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15) + salt * UINT64_C(0xd1342543de82ef95);
  value ^= value >> 29;
  value *= UINT64_C(0xbf58476d1ce4e5b9);
  return (uint32_t)(value >> 32);
}

/* What the store alone does: a sync every 25th, a compaction every 90th. */
static inline int operation_is_sync(unsigned number) { return number % 25 == 24; }
static inline int operation_is_compaction(unsigned number) { return number % 90 == 60; }

static inline uint32_t operation_user(unsigned number) { return operation_random(number, 1) % OPERATION_USERS; }
static inline uint32_t operation_what(unsigned number) { return operation_random(number, 2) % 20; }
/* Every second clearing erases: no url of that user is in the store's file any more. */
static inline bool operation_erases(unsigned number) {
  return operation_what(number) == 0 && number % 2 == 0 && !operation_is_sync(number) && !operation_is_compaction(number);
}

/* The url of a visit says which operation added it, in as many bytes each time. Nothing else in a file looks like one. */
#define OPERATION_URL "/url-"
#define OPERATION_URL_SIZE (sizeof OPERATION_URL - 1 + 6)

/* Whether the operation adds a visit, which is that of operation_visit. */
static inline bool operation_adds(unsigned number) {
  return operation_what(number) >= 4 && !operation_is_sync(number) && !operation_is_compaction(number);
}

typedef struct operation_text {
  char url[OPERATION_URL_SIZE + 1], text[1200];
} operation_text;

static inline sb_visit operation_visit(unsigned number, operation_text *room) {
  const size_t size = operation_random(number, 3) % (operation_what(number) == 19 ? sizeof room->text : 120);
  for (size_t i = 0; i < size; i++) room->text[i] = (char)('a' + (number + i) % 26);
  snprintf(room->url, sizeof room->url, OPERATION_URL "%06u", number % 1000000);
  return (sb_visit){operation_user(number), number, number, room->url, OPERATION_URL_SIZE, room->text, size};
}

static inline sb_status operation_make(sb_visit_manager *manager, unsigned number, sb_error *error) {
  const uint32_t user = operation_user(number), what = operation_what(number);
  if (operation_is_sync(number) || operation_is_compaction(number)) return SB_OK;
  if (what == 0) return sb_visit_manager_clear_user(manager, user, operation_erases(number), error);
  if (what < 4) {
    bool found;
    const uint32_t ids[3] = {number - 1, number - 7, number - 13};
    return sb_visit_manager_delete_visits(manager, user, ids, 3, &found, error);
  }
  operation_text room;
  const sb_visit visit = operation_visit(number, &room);
  return sb_visit_manager_add_visits(manager, &visit, 1, error);
}

/* A store in memory, to make the operations on. */
static inline sb_visit_manager *operation_model(void) {
  sb_visit_store store;
  sb_visit_manager_options options;
  sb_visit_manager *model = NULL;
  memory_store_open(OPERATION_VISITS_MAX, &store);
  sb_visit_manager_options_init(&options, sizeof options);
  options.store = &store;
  if (sb_visit_manager_open("", &options, &model, NULL) != SB_OK) abort();
  return model;
}

#endif
