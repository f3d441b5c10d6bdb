//go:build !samebytes_shared

/* Users in memory. Whatever needs memory is asked for before a change is written to the file (reserve); the change itself cannot fail,
 * because what is on disk cannot be taken back.
 *
 * Invariant of a decoded user: see visit_user; entries are ordered by (time, arrival), and no visit_id is there twice. */

#include <stdlib.h>

#include "visit_private.h"

#define SLOTS_MIN 64u

/* ---- table ---- */

static size_t slot_of(const visit_table *table, uint32_t user) {
  return (size_t)((user * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (table->slot_count - 1);
}

visit_user *sb_priv_visit_table_find(const visit_table *table, uint32_t user) {
  if (table->slot_count == 0) return NULL;
  for (size_t i = slot_of(table, user);; i = (i + 1) & (table->slot_count - 1)) {
    visit_user *found = table->slots[i];
    if (found == NULL || found->user == user) return found;
  }
}

static void place(visit_table *table, visit_user *user) {
  size_t i = slot_of(table, user->user);
  while (table->slots[i] != NULL) i = (i + 1) & (table->slot_count - 1);
  table->slots[i] = user;
}

static bool grow(visit_table *table) {
  visit_table larger = *table;
  larger.slot_count = table->slot_count == 0 ? SLOTS_MIN : table->slot_count * 2;
  larger.slots = calloc(larger.slot_count, sizeof *larger.slots);
  if (larger.slots == NULL) return false;
  for (size_t i = 0; i < table->slot_count; i++)
    if (table->slots[i] != NULL) place(&larger, table->slots[i]);
  free(table->slots);
  *table = larger;
  return true;
}

visit_user *sb_priv_visit_table_make(visit_table *table, uint32_t user) {
  visit_user *made = sb_priv_visit_table_find(table, user);
  if (made != NULL) return made;
  if (table->used + table->used / 3 >= table->slot_count && !grow(table)) return NULL;
  made = calloc(1, sizeof *made);
  if (made == NULL) return NULL;
  made->user = user;
  made->decoded = true;
  place(table, made);
  table->used++;
  table->changes++;
  return made;
}

bool sb_priv_visit_table_keep(const visit_table *table, visit_table *kept) {
  *kept = *table;
  kept->used = 0;
  kept->slots = calloc(table->slot_count + 1, sizeof *kept->slots);
  if (kept->slots == NULL) return false;
  for (size_t i = 0; i < table->slot_count; i++) {
    const visit_user *user = table->slots[i];
    if (user == NULL || !user->decoded || user->count == 0) continue;
    place(kept, table->slots[i]);
    kept->used++;
  }
  return true;
}

void sb_priv_visit_table_replace(visit_table *table, visit_table *kept) {
  for (size_t i = 0; i < table->slot_count; i++) {
    visit_user *user = table->slots[i];
    if (user == NULL || (user->decoded && user->count > 0)) continue;
    sb_priv_visit_user_bytes_free(user);
    free(user);
  }
  free(table->slots);
  free(table->sorted);
  *table = *kept;
  table->sorted = NULL;
}

void sb_priv_visit_user_bytes_free(visit_user *user) {
  free(user->entries); /* or pending */
  if (user->decoded) free(user->arena);
}

void sb_priv_visit_table_free(visit_table *table) {
  for (size_t i = 0; i < table->slot_count; i++) {
    if (table->slots[i] == NULL) continue;
    sb_priv_visit_user_bytes_free(table->slots[i]);
    free(table->slots[i]);
  }
  free(table->slots);
  free(table->sorted);
  *table = (visit_table){.max_visits = table->max_visits};
}

static int by_user(const void *a, const void *b) {
  const uint32_t left = (*(visit_user *const *)a)->user, right = (*(visit_user *const *)b)->user;
  return left < right ? -1 : left > right;
}

sb_status sb_priv_visit_table_sorted(visit_table *table, visit_user ***users) {
  if (table->sorted == NULL || table->sorted_changes != table->changes) {
    visit_user **list = malloc((table->used + 1) * sizeof(visit_user *));
    if (list == NULL) return SB_NO_MEMORY;
    size_t count = 0;
    for (size_t i = 0; i < table->slot_count; i++)
      if (table->slots[i] != NULL) list[count++] = table->slots[i];
    if (count > 1) qsort(list, count, sizeof(visit_user *), by_user);
    free(table->sorted);
    table->sorted = list;
    table->sorted_changes = table->changes;
  }
  *users = table->sorted;
  return SB_OK;
}

/* ---- one user ---- */

static uint64_t entry_live(const visit_entry *entry) { return VISIT_ITEM_HEAD - 1 + entry->size; }

uint64_t sb_priv_visit_user_live(const visit_user *user) {
  assert(user->decoded);
  uint64_t live = user->count > 0 ? VISIT_HEAD : 0;
  for (uint32_t i = 0; i < user->count; i++) live += entry_live(&user->entries[user->first + i]);
  return live;
}

static bool reserve_entries(visit_user *user, uint32_t count) {
  const uint64_t needed = (uint64_t)user->count + user->reserved_count + count;
  if (user->first + needed <= user->capacity) return true;
  if (needed <= user->capacity && user->first >= user->count / 8) {
    memmove(user->entries, user->entries + user->first, user->count * sizeof *user->entries);
    user->first = 0;
    return true;
  }
  const uint64_t capacity = needed + (user->count > 0 ? needed / 8 + 1 : 0); /* a user read from the file gets what it needs */
  if (capacity > UINT32_MAX) return false;
  visit_entry *entries = malloc(capacity * sizeof *entries);
  if (entries == NULL) return false;
  if (user->count > 0) memcpy(entries, user->entries + user->first, user->count * sizeof *entries);
  free(user->entries);
  user->entries = entries;
  user->first = 0;
  user->capacity = (uint32_t)capacity;
  return true;
}

/* Evicted visits leave a hole at the front. It is closed when it is an eighth of what has to be moved, so that an add moves a bounded
 * multiple of its own size. */
static sb_status reserve_arena(visit_user *user, uint64_t bytes) {
  const uint32_t live = user->end - user->start;
  const uint64_t needed = (uint64_t)live + user->reserved_bytes + bytes;
  if (user->start + needed <= user->room) return SB_OK;
  if (needed <= user->room && user->start >= live / 8) {
    memmove(user->arena, user->arena + user->start, live);
    user->start = 0;
    user->end = live;
    return SB_OK;
  }
  if (needed > UINT32_MAX) return SB_TOO_LARGE;
  uint64_t room = needed + (live > 0 ? needed / 8 : 0);
  if (room > UINT32_MAX) room = UINT32_MAX; /* what was accepted once fits again when it is read piece by piece */
  uint8_t *arena = malloc(room > 0 ? room : 1);
  if (arena == NULL) return SB_NO_MEMORY;
  if (live > 0) memcpy(arena, user->arena + user->start, live);
  free(user->arena);
  user->arena = arena;
  user->start = 0;
  user->end = live;
  user->room = (uint32_t)room;
  return SB_OK;
}

sb_status sb_priv_visit_user_reserve(visit_user *user, uint32_t count, uint64_t bytes) {
  assert(user->decoded);
  bytes += count;
  if (!reserve_entries(user, count)) return SB_NO_MEMORY;
  const sb_status status = reserve_arena(user, bytes);
  if (status != SB_OK) return status;
  user->reserved_count += count;
  user->reserved_bytes += (uint32_t)bytes;
  return SB_OK;
}

bool sb_priv_visit_user_has(const visit_user *user, uint32_t visit_id) {
  for (uint32_t i = user->count; i > 0; i--) /* a repeated add is mostly a recent one */
    if (user->entries[user->first + i - 1].visit_id == visit_id) return true;
  return false;
}

bool sb_priv_visit_user_too_old(const visit_table *table, const visit_user *user, int64_t time_ns) {
  return user->count >= table->max_visits && user->entries[user->first].time_ns > time_ns;
}

static void evict_oldest(visit_table *table, visit_user *user) {
  const visit_entry *oldest = &user->entries[user->first];
  table->live_bytes -= entry_live(oldest);
  user->start += oldest->size;
  user->first++;
  if (--user->count == 0) {
    user->first = user->start = user->end = 0;
    table->live_bytes -= VISIT_HEAD;
  }
}

void sb_priv_visit_user_insert(visit_table *table, visit_user *user, const visit_item *item, uint64_t run) {
  assert(user->decoded);
  if (sb_priv_visit_user_too_old(table, user, item->time_ns) || sb_priv_visit_user_has(user, item->visit_id)) return;
  if (user->count >= table->max_visits) evict_oldest(table, user);
  const uint32_t size = item->url_size + 1 + item->text_size;
  assert(user->first + user->count < user->capacity && size <= user->room - user->end);
  if (user->count == 0) table->live_bytes += VISIT_HEAD;
  visit_entry *at = &user->entries[user->first + user->count];
  uint32_t position = user->end, later = 0; /* bytes and entries that are newer */
  for (; later < user->count && at[-1].time_ns > item->time_ns; later++) position -= (--at)->size;
  if (later > 0) {
    memmove(at + 1, at, later * sizeof *at);
    memmove(user->arena + position + size, user->arena + position, user->end - position);
  }
  *at = (visit_entry){.time_ns = item->time_ns, .run = run, .visit_id = item->visit_id, .size = size};
  uint8_t *data = user->arena + position;
  memcpy(data, item->bytes, item->url_size);
  data[item->url_size] = 0;
  memcpy(data + item->url_size + 1, item->bytes + item->url_size, item->text_size);
  user->end += size;
  user->count++;
  table->live_bytes += entry_live(at);
}

bool sb_priv_visit_user_delete(visit_table *table, visit_user *user, uint32_t visit_id) {
  assert(user->decoded);
  uint32_t position = user->start;
  for (uint32_t i = 0; i < user->count; i++) {
    visit_entry *entry = &user->entries[user->first + i];
    const uint32_t size = entry->size;
    if (entry->visit_id != visit_id) {
      position += size;
      continue;
    }
    table->live_bytes -= entry_live(entry);
    memmove(entry, entry + 1, (user->count - i - 1) * sizeof *entry);
    memmove(user->arena + position, user->arena + position + size, user->end - position - size);
    user->end -= size;
    if (--user->count == 0) {
      user->first = user->start = user->end = 0;
      table->live_bytes -= VISIT_HEAD;
    }
    return true;
  }
  return false;
}

void sb_priv_visit_user_clear(visit_table *table, visit_user *user) {
  assert(user->decoded);
  table->live_bytes -= sb_priv_visit_user_live(user);
  if (user->reserved_count > 0) { /* an add that follows counts on the room */
    user->count = user->first = user->start = user->end = 0;
    return;
  }
  sb_priv_visit_user_bytes_free(user);
  *user = (visit_user){.user = user->user, .decoded = true};
}

void sb_priv_visit_user_trim(visit_table *table, visit_user *user, uint32_t max_visits) {
  while (user->count > max_visits) evict_oldest(table, user);
}

sb_status sb_priv_visit_user_pend(visit_user *user, uint64_t offset) {
  assert(!user->decoded);
  if (user->count == user->capacity) {
    const uint32_t capacity = user->capacity == 0 ? 4 : user->capacity + user->capacity / 2;
    uint64_t *pending = realloc(user->pending, capacity * sizeof *pending);
    if (pending == NULL) return SB_NO_MEMORY;
    user->pending = pending;
    user->capacity = capacity;
  }
  user->pending[user->count++] = offset;
  return SB_OK;
}

sb_status sb_priv_visit_user_copy(visit_user *user, const visit_user *other) {
  assert(other->decoded && other->reserved_count == 0);
  visit_user made = {.user = other->user, .decoded = true, .count = other->count, .capacity = other->count};
  made.end = made.room = other->end - other->start;
  if (made.count > 0) {
    made.entries = malloc(made.count * sizeof *made.entries);
    made.arena = malloc(made.end);
    if (made.entries == NULL || made.arena == NULL) {
      sb_priv_visit_user_bytes_free(&made);
      return SB_NO_MEMORY;
    }
    memcpy(made.entries, other->entries + other->first, made.count * sizeof *made.entries);
    memcpy(made.arena, other->arena + other->start, made.end);
  }
  *user = made;
  return SB_OK;
}

sb_status sb_priv_visit_user_show(const visit_user *user, uint32_t max_visits, sb_visits *visits) {
  assert(user->decoded && max_visits > 0);
  if (user->count == 0) return SB_OK;
  const uint32_t count = user->count < max_visits ? user->count : max_visits, older = user->count - count;
  uint32_t bytes = user->end - user->start;
  for (uint32_t i = 0; i < older; i++) bytes -= user->entries[user->first + i].size;
  sb_visit *row;
  uint8_t *data;
  const sb_status status = sb_priv_visits_take(visits, count, bytes, &row, &data);
  if (status != SB_OK) return status;
  memcpy(data, user->arena + user->end - bytes, bytes);
  data += bytes;
  for (uint32_t i = user->count; i > older; i--, row++) {
    const visit_entry *entry = &user->entries[user->first + i - 1];
    data -= entry->size;
    const uint32_t url_size = visit_url_size(data, entry->size);
    *row = (sb_visit){.user = user->user,
                      .visit_id = entry->visit_id,
                      .time_ns = entry->time_ns,
                      .url = data,
                      .url_size = url_size,
                      .text = data + url_size + 1,
                      .text_size = entry->size - 1 - url_size};
  }
  return SB_OK;
}
