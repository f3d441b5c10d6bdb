#ifndef OPERATIONS_H
#define OPERATIONS_H

/* The operations that worker.c makes on the store, and replay.c on a model: the same number always means the same operation. Each touches
 * one user, so that it is made whole or not at all. */

#include <stdio.h>
#include <string.h>

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

static inline sb_status operation_make(sb_visit_manager *manager, unsigned number, sb_error *error) {
  const uint32_t user = operation_random(number, 1) % OPERATION_USERS, what = operation_random(number, 2) % 20;
  if (operation_is_sync(number) || operation_is_compaction(number)) return SB_OK;
  if (what == 0) return sb_visit_manager_clear_user(manager, user, false, error);
  if (what < 4) {
    bool found;
    const uint32_t ids[3] = {number - 1, number - 7, number - 13};
    return sb_visit_manager_delete_visits(manager, user, ids, 3, &found, error);
  }
  char text[1200];
  const size_t size = operation_random(number, 3) % (what == 19 ? sizeof text : 120);
  for (size_t i = 0; i < size; i++) text[i] = (char)('a' + (number + i) % 26);
  return sb_visit_manager_add_visit_at(manager, user, number, "url", 3, text, size, number, error);
}

#endif
