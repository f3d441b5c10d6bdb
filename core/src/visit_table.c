//go:build !samebytes_shared

/* The users in memory: a table that finds one, and a list in which they are in order. Both grow a piece at a time, because whoever makes a
 * user holds up everybody else meanwhile, and moving a million of them takes a second. What one user has is in visit_user.c.
 *
 * Invariant: each user of the table is once in the map and once in the order; used, unread and memory are sums over them. Of a map: each link
 * is in the bucket of its key, and none is there twice. Of the order: no block is empty, and users ascend strictly over all of them. */

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "visit_private.h"

#ifndef NDEBUG
_Thread_local uint64_t sb_priv_visit_steps;
#endif

/* ---- map: linear hashing, which splits one bucket for each item that comes ---- */

#define SEGMENT 512u /* buckets that are allocated together */

/* One for the process, at random, so that nobody who chooses keys knows which of them meet in a bucket. */
uint64_t sb_priv_visit_map_multiplier(void) {
  static atomic_uint_least64_t multiplier;
  uint64_t value = atomic_load_explicit(&multiplier, memory_order_relaxed);
  if (value != 0) return value;
  if (sb_priv_random(&value, sizeof value) != 0) value = UINT64_C(0x9e3779b97f4a7c15);
  value |= 1;
  uint64_t none = 0;
  return atomic_compare_exchange_strong(&multiplier, &none, value) ? value : none;
}

static size_t bucket_of(const visit_map *map, uint32_t key) {
  const size_t hash = (size_t)((key * map->multiplier) >> 32);
  const size_t bucket = hash & (2 * map->low - 1);
  return bucket < map->buckets ? bucket : hash & (map->low - 1);
}

static visit_link **bucket_at(const visit_map *map, size_t bucket) { return &map->segments[bucket / SEGMENT][bucket % SEGMENT]; }

#ifndef NDEBUG
static void map_check_at_once(const visit_map *map) {
  if (map->buckets == 0) {
    assert(map->used == 0 && map->segment_count == 0);
    return;
  }
  assert((map->low & (map->low - 1)) == 0 && map->low <= map->buckets && map->buckets < 2 * map->low);
  assert(map->buckets <= map->segment_count * SEGMENT && map->segment_count >= 1 && map->multiplier % 2 == 1);
}

static void map_check_all(const visit_map *map) {
  map_check_at_once(map);
  size_t used = 0;
  for (size_t bucket = 0; bucket < map->buckets; bucket++) {
    for (const visit_link *link = *bucket_at(map, bucket); link != NULL; link = link->next) {
      assert(bucket_of(map, link->key) == bucket);
      for (const visit_link *other = link->next; other != NULL; other = other->next) assert(other->key != link->key);
      used++;
    }
  }
  assert(used == map->used);
}

void sb_priv_visit_map_check(const visit_map *map) {
  static _Thread_local size_t times;
  map_check_at_once(map);
  if (++times < 64 || times < map->buckets + map->used) return;
  times = 0;
  map_check_all(map);
}
#endif

bool sb_priv_visit_map_ready(visit_map *map) {
  if (map->buckets > 0) return true;
  visit_link ***segments = malloc(sizeof *segments);
  visit_link **segment = calloc(SEGMENT, sizeof(visit_link *));
  if (segments == NULL || segment == NULL) {
    free(segments);
    free(segment);
    return false;
  }
  segments[0] = segment;
  *map = (visit_map){.segments = segments, .segment_count = 1, .buckets = 64, .low = 64, .multiplier = sb_priv_visit_map_multiplier()};
  return true;
}

visit_link *sb_priv_visit_map_find(const visit_map *map, uint32_t key) {
  if (map->buckets == 0) return NULL;
  visit_link *link = *bucket_at(map, bucket_of(map, key));
  for (; link != NULL && link->key != key; link = link->next) VISIT_STEPS(1);
  return link;
}

/* Makes one bucket more, where there is memory for it; without it, the others become fuller. */
static void split(visit_map *map) {
  if (map->buckets == map->segment_count * SEGMENT) {
    if ((map->segment_count & (map->segment_count - 1)) == 0) { /* full, as it grows by doubling */
      visit_link ***segments = realloc(map->segments, 2 * map->segment_count * sizeof *segments);
      if (segments == NULL) return;
      map->segments = segments;
    }
    visit_link **segment = calloc(SEGMENT, sizeof(visit_link *));
    if (segment == NULL) return;
    map->segments[map->segment_count++] = segment;
  }
  visit_link **stays = bucket_at(map, map->buckets - map->low), **goes = bucket_at(map, map->buckets);
  const size_t made = map->buckets++;
  for (visit_link *link = *stays; link != NULL; link = *stays) {
    VISIT_STEPS(1);
    if (bucket_of(map, link->key) == made) {
      *stays = link->next;
      link->next = NULL;
      *goes = link;
      goes = &link->next;
    } else {
      stays = &link->next;
    }
  }
  if (map->buckets == 2 * map->low) map->low = map->buckets;
}

void sb_priv_visit_map_insert(visit_map *map, visit_link *link) {
  sb_priv_visit_map_check(map);
  if (map->used++ >= map->buckets) split(map);
  visit_link **bucket = bucket_at(map, bucket_of(map, link->key));
  link->next = *bucket;
  *bucket = link;
  sb_priv_visit_map_check(map);
}

void sb_priv_visit_map_remove(visit_map *map, visit_link *link) {
  sb_priv_visit_map_check(map);
  visit_link **at = bucket_at(map, bucket_of(map, link->key));
  for (; *at != link; at = &(*at)->next) VISIT_STEPS(1);
  *at = link->next;
  map->used--;
  sb_priv_visit_map_check(map);
}

uint64_t sb_priv_visit_map_memory(const visit_map *map) { return map->segment_count * (SEGMENT + 1) * sizeof(visit_link *); }

/* What was in it is the caller's. */
void sb_priv_visit_map_free(visit_map *map) {
  for (size_t i = 0; i < map->segment_count; i++) free(map->segments[i]);
  free(map->segments);
  *map = (visit_map){0};
}

void sb_priv_visit_map_clear(visit_map *map) {
  for (size_t i = 1; i < map->segment_count; i++) free(map->segments[i]);
  map->segment_count = 1;
  memset(map->segments[0], 0, SEGMENT * sizeof(visit_link *));
  map->buckets = map->low = 64;
  map->used = 0;
  sb_priv_visit_map_check(map);
}

/* ---- order: users in blocks, ascending ---- */

#define BLOCK_USERS 256u

struct visit_block {
  uint32_t count;
  uint32_t ids[BLOCK_USERS];
  visit_user *users[BLOCK_USERS];
};

/* The last block whose first user is at most `id`, or the first block. */
static size_t block_of(const visit_table *table, uint64_t id) {
  size_t low = 0, high = table->block_count;
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    if (table->block_firsts[middle] <= id)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* Where `id` is in a block, or would be. */
static uint32_t place_in(const visit_block *block, uint64_t id) {
  uint32_t low = 0, high = block->count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (block->ids[middle] < id)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static visit_block *block_insert(visit_table *table, size_t at) {
  if (table->block_count == table->block_capacity) {
    const size_t capacity = table->block_capacity == 0 ? 8 : table->block_capacity * 2;
    visit_block **blocks = realloc(table->blocks, capacity * sizeof *blocks);
    if (blocks == NULL) return NULL;
    table->blocks = blocks;
    uint32_t *firsts = realloc(table->block_firsts, capacity * sizeof *firsts);
    if (firsts == NULL) return NULL;
    table->block_firsts = firsts;
    table->block_capacity = capacity;
  }
  visit_block *made = malloc(sizeof *made);
  if (made == NULL) return NULL;
  made->count = 0;
  memmove(table->blocks + at + 1, table->blocks + at, (table->block_count - at) * sizeof *table->blocks);
  memmove(table->block_firsts + at + 1, table->block_firsts + at, (table->block_count - at) * sizeof *table->block_firsts);
  table->blocks[at] = made;
  table->block_firsts[at] = UINT32_MAX;
  table->block_count++;
  return made;
}

/* A block that is full gives half of its users to a new one; users who come in order leave full blocks behind. */
static bool order_insert(visit_table *table, visit_user *user) {
  if (table->block_count == 0 && block_insert(table, 0) == NULL) return false;
  size_t at = block_of(table, user->user);
  visit_block *block = table->blocks[at];
  uint32_t place = place_in(block, user->user);
  if (block->count == BLOCK_USERS) {
    visit_block *made = block_insert(table, at + 1);
    if (made == NULL) return false;
    const uint32_t stays = place == BLOCK_USERS ? BLOCK_USERS : BLOCK_USERS / 2;
    made->count = BLOCK_USERS - stays;
    memcpy(made->ids, block->ids + stays, made->count * sizeof *made->ids);
    memcpy(made->users, block->users + stays, made->count * sizeof(visit_user *));
    if (made->count > 0) table->block_firsts[at + 1] = made->ids[0];
    block->count = stays;
    if (place >= stays && (place > stays || stays == BLOCK_USERS)) {
      block = made;
      place -= stays;
      at++;
    }
  }
  memmove(block->ids + place + 1, block->ids + place, (block->count - place) * sizeof *block->ids);
  memmove(block->users + place + 1, block->users + place, (block->count - place) * sizeof(visit_user *));
  block->ids[place] = user->user;
  block->users[place] = user;
  block->count++;
  table->block_firsts[at] = block->ids[0];
  return true;
}

static void order_remove(visit_table *table, const visit_user *user) {
  const size_t at = block_of(table, user->user);
  visit_block *block = table->blocks[at];
  const uint32_t place = place_in(block, user->user);
  assert(block->users[place] == user);
  block->count--;
  memmove(block->ids + place, block->ids + place + 1, (block->count - place) * sizeof *block->ids);
  memmove(block->users + place, block->users + place + 1, (block->count - place) * sizeof(visit_user *));
  if (block->count > 0) {
    table->block_firsts[at] = block->ids[0];
    return;
  }
  free(block);
  table->block_count--;
  memmove(table->blocks + at, table->blocks + at + 1, (table->block_count - at) * sizeof *table->blocks);
  memmove(table->block_firsts + at, table->block_firsts + at + 1, (table->block_count - at) * sizeof *table->block_firsts);
}

void sb_priv_visit_order_seek(visit_order_cursor *cursor, const visit_table *table, uint64_t from) {
  *cursor = (visit_order_cursor){.table = table};
  if (table->block_count == 0) return;
  cursor->block = block_of(table, from);
  cursor->place = place_in(table->blocks[cursor->block], from);
}

visit_user *sb_priv_visit_order_next(visit_order_cursor *cursor) {
  const visit_table *table = cursor->table;
  VISIT_STEPS(1);
  while (cursor->block < table->block_count && cursor->place == table->blocks[cursor->block]->count) {
    cursor->block++;
    cursor->place = 0;
  }
  return cursor->block == table->block_count ? NULL : table->blocks[cursor->block]->users[cursor->place];
}

/* ---- table ---- */

#ifndef NDEBUG
static void table_check_at_once(const visit_table *table) {
  assert(table->used == table->map.used && table->unread <= table->used && table->block_count <= table->block_capacity);
  assert((table->used == 0) == (table->block_count == 0) && table->block_count <= table->used);
  map_check_at_once(&table->map);
}

void sb_priv_visit_table_check_all(const visit_table *table) {
  table_check_at_once(table);
  map_check_all(&table->map);
  size_t used = 0, unread = 0;
  uint64_t memory = 0;
  const visit_user *before = NULL;
  for (size_t at = 0; at < table->block_count; at++) {
    const visit_block *block = table->blocks[at];
    assert(block->count > 0 && block->count <= BLOCK_USERS && table->block_firsts[at] == block->ids[0]);
    for (uint32_t place = 0; place < block->count; place++) {
      const visit_user *user = block->users[place];
      assert(block->ids[place] == user->user && (before == NULL || before->user < user->user));
      const visit_link *link = *bucket_at(&table->map, bucket_of(&table->map, user->user));
      while (link != NULL && link != &user->link) link = link->next;
      assert(link != NULL);
      used++;
      unread += !user->decoded;
      memory += sb_priv_visit_user_memory(user);
      before = user;
    }
  }
  assert(used == table->used && unread == table->unread && memory == table->memory);
}

/* Called where a function that changes who is in the table begins and ends. */
void sb_priv_visit_table_check(const visit_table *table) {
  static _Thread_local size_t times;
  table_check_at_once(table);
  if (++times < 64 || times < table->used + table->map.buckets) return;
  times = 0;
  sb_priv_visit_table_check_all(table);
}
#endif

visit_user *sb_priv_visit_table_find(const visit_table *table, uint32_t user) {
  return (visit_user *)(void *)sb_priv_visit_map_find(&table->map, user); /* its first member */
}

visit_user *sb_priv_visit_table_make(visit_table *table, uint32_t user) {
  visit_user *made = sb_priv_visit_table_find(table, user);
  if (made != NULL) return made;
  sb_priv_visit_table_check(table);
  if (!sb_priv_visit_map_ready(&table->map)) return NULL;
  VISIT_STEPS(1);
  made = calloc(1, sizeof *made);
  if (made == NULL) return NULL;
  made->user = user;
  made->decoded = true;
  if (!order_insert(table, made)) {
    free(made);
    return NULL;
  }
  sb_priv_visit_map_insert(&table->map, &made->link);
  table->used++;
  table->memory += sb_priv_visit_user_memory(made);
  sb_priv_visit_table_check(table);
  return made;
}

visit_user *sb_priv_visit_table_note(visit_table *table, uint32_t user) {
  const size_t before = table->used;
  visit_user *noted = sb_priv_visit_table_make(table, user);
  if (noted == NULL || table->used == before) return noted;
  noted->decoded = false;
  table->unread++;
  sb_priv_visit_table_check(table);
  return noted;
}

void sb_priv_visit_table_drop(visit_table *table, visit_user *user) {
  assert(user->reserved_count == 0 && user->removals == 0);
  sb_priv_visit_table_check(table);
  VISIT_STEPS(1);
  order_remove(table, user);
  sb_priv_visit_map_remove(&table->map, &user->link);
  table->used--;
  if (!user->decoded) table->unread--;
  table->memory -= sb_priv_visit_user_memory(user);
  sb_priv_visit_user_empty(user, &table->trash);
  free(user);
  sb_priv_visit_table_check(table);
}

uint64_t sb_priv_visit_table_memory(const visit_table *table) {
  return table->memory + sb_priv_visit_map_memory(&table->map) + table->block_count * sizeof(visit_block);
}

void sb_priv_visit_table_free(visit_table *table) {
  sb_priv_visit_table_check(table);
  for (size_t i = 0; i < table->block_count; i++) {
    for (uint32_t j = 0; j < table->blocks[i]->count; j++) {
      sb_priv_visit_user_empty(table->blocks[i]->users[j], &table->trash);
      free(table->blocks[i]->users[j]);
    }
    free(table->blocks[i]);
  }
  free(table->blocks);
  free(table->block_firsts);
  sb_priv_visit_map_free(&table->map);
  sb_priv_visit_trash_empty(&table->trash, SIZE_MAX);
  *table = (visit_table){.max_visits = table->max_visits, .places_only = table->places_only};
}
