//go:build !samebytes_shared

/* The visits of one user in memory. Whatever needs memory is asked for before a change is written to the file (reserve); the change itself
 * cannot fail, because what is on disk cannot be taken back.
 *
 * Most users have few visits: those lie in two arrays, where a change moves a bounded number of bytes. A user with more than FEW of them is
 * kept as one node per visit instead, in a tree by (time, arrival) and a table by visit_id, so that no change costs more than the logarithm
 * of what the user has, in whatever order visits come and go. A user never goes back; who is cleared or read anew begins again.
 *
 * Invariant of a decoded user: see visit_user; visits are ordered by (time, arrival), and no visit_id is there twice. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "visit_private.h"

#define FEW 256u               /* visits in arrays */
#define FEW_BYTES (256u << 10) /* and their bytes */
#define USER_BYTES_MAX UINT32_MAX

struct visit_node {
  visit_link link;                   /* by visit_id; first, so that the one is the other */
  visit_node *left, *right, *parent; /* the tree; of reserved nodes: the one before (left) and after (right); of freed ones: a list */
  uint32_t priority;                 /* at random: a parent has a lower one than its children, which keeps the tree flat */
  uint32_t room;                     /* bytes in `data` */
  visit_entry entry;
  uint8_t data[];
};

#define MALLOC_OVERHEAD 16u

static uint64_t memory_of(const visit_user *user) {
  uint64_t memory = sizeof *user + MALLOC_OVERHEAD;
  if (user->many) return memory + user->nodes->memory + sb_priv_visit_map_memory(&user->nodes->ids);
  if (!user->decoded) return memory + user->capacity * sizeof *user->pending;
  if (user->capacity > 0) memory += user->capacity * sizeof *user->entries + MALLOC_OVERHEAD;
  return user->room > 0 ? memory + user->room + MALLOC_OVERHEAD : memory;
}

uint64_t sb_priv_visit_user_memory(const visit_user *user) { return memory_of(user); }

static uint64_t entry_live(const visit_entry *entry) { return VISIT_ITEM_HEAD - 1 + entry->size; }

uint64_t sb_priv_visit_user_live(const visit_user *user) {
  assert(user->decoded);
  if (user->count == 0) return 0;
  return VISIT_HEAD + (uint64_t)user->count * (VISIT_ITEM_HEAD - 1) + (user->many ? user->nodes->bytes : user->end - user->start);
}

/* ---- the tree ---- */

static visit_node *node_of(visit_link *link) { return (visit_node *)(void *)link; }

static visit_node *leftmost(visit_node *node) {
  while (node->left != NULL) node = node->left;
  return node;
}

static visit_node *rightmost(visit_node *node) {
  while (node->right != NULL) node = node->right;
  return node;
}

static visit_node *later(const visit_node *node) {
  if (node->right != NULL) return leftmost(node->right);
  while (node->parent != NULL && node == node->parent->right) node = node->parent;
  return node->parent;
}

static visit_node *earlier(const visit_node *node) {
  if (node->left != NULL) return rightmost(node->left);
  while (node->parent != NULL && node == node->parent->left) node = node->parent;
  return node->parent;
}

/* Puts `with` where `node` is among its parent's children. */
static void replace(visit_many *many, const visit_node *node, visit_node *with) {
  if (node->parent == NULL)
    many->root = with;
  else if (node == node->parent->left)
    node->parent->left = with;
  else
    node->parent->right = with;
  if (with != NULL) with->parent = node->parent;
}

/* Makes `child` the parent of its parent. */
static void rotate(visit_many *many, visit_node *child) {
  VISIT_STEPS(1);
  visit_node *parent = child->parent;
  replace(many, parent, child);
  visit_node **middle = child == parent->left ? &child->right : &child->left;
  *(child == parent->left ? &parent->left : &parent->right) = *middle;
  if (*middle != NULL) (*middle)->parent = parent;
  *middle = parent;
  parent->parent = child;
}

static uint32_t random_next(visit_many *many) {
  many->random ^= many->random << 13;
  many->random ^= many->random >> 17;
  many->random ^= many->random << 5;
  return many->random;
}

/* After all that are not later. */
static void tree_insert(visit_many *many, visit_node *node) {
  visit_node *parent = many->root;
  bool left = false;
  node->left = node->right = node->parent = NULL;
  node->priority = random_next(many);
  if (many->newest != NULL && many->newest->entry.time_ns <= node->entry.time_ns) {
    parent = many->newest; /* the usual case; it has nothing to its right */
  } else {
    for (visit_node *next = parent; next != NULL; next = left ? parent->left : parent->right) {
      VISIT_STEPS(1);
      parent = next;
      left = node->entry.time_ns < parent->entry.time_ns;
    }
  }
  node->parent = parent;
  if (parent == NULL)
    many->root = node;
  else
    *(left ? &parent->left : &parent->right) = node;
  while (node->parent != NULL && node->parent->priority > node->priority) rotate(many, node);
  if (many->oldest == NULL || node->entry.time_ns < many->oldest->entry.time_ns) many->oldest = node;
  if (many->newest == NULL || node->entry.time_ns >= many->newest->entry.time_ns) many->newest = node;
}

static void tree_remove(visit_many *many, visit_node *node) {
  if (node == many->oldest) many->oldest = later(node);
  if (node == many->newest) many->newest = earlier(node);
  while (node->left != NULL && node->right != NULL) rotate(many, node->left->priority < node->right->priority ? node->left : node->right);
  replace(many, node, node->left != NULL ? node->left : node->right);
}

/* ---- the invariant ---- */

#ifndef NDEBUG
static void user_check_at_once(const visit_user *user) {
  if (!user->decoded) {
    assert(!user->many && user->reserved_count == 0 && user->count <= user->capacity);
    return;
  }
  if (user->many) {
    const visit_many *many = user->nodes;
    assert(user->count == many->ids.used && (many->root == NULL) == (user->count == 0));
    assert((many->oldest == NULL) == (user->count == 0) && (many->newest == NULL) == (user->count == 0));
    assert((many->reserved == NULL) == (user->reserved_count == 0) && (many->reserved_last == NULL) == (user->reserved_count == 0));
    assert(user->capacity == 0 && user->arena == NULL);
    return;
  }
  assert((uint64_t)user->first + user->count + user->reserved_count <= user->capacity);
  assert(user->start <= user->end && user->end <= user->room && user->reserved_bytes <= user->room - user->end);
  assert(user->count > 0 || user->start == user->end);
}

static void few_check(const visit_user *user) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < user->count; i++) {
    const visit_entry *entry = &user->entries[user->first + i];
    assert(i == 0 || entry[-1].time_ns <= entry->time_ns);
    for (uint32_t j = 0; j < i; j++) assert(user->entries[user->first + j].visit_id != entry->visit_id);
    bytes += entry->size;
  }
  assert(bytes == user->end - user->start);
}

static void many_check(const visit_user *user) {
  const visit_many *many = user->nodes;
  const visit_node *before = NULL;
  uint64_t bytes = 0, reserved_bytes = 0;
  uint32_t count = 0, reserved = 0;
  for (const visit_node *node = many->oldest; node != NULL; before = node, node = later(node), count++) {
    assert(before == NULL || before->entry.time_ns <= node->entry.time_ns);
    assert(node->parent == NULL ? node == many->root : node->parent->priority <= node->priority);
    assert(node->link.key == node->entry.visit_id && node->room == node->entry.size);
    bytes += node->entry.size;
  }
  assert(before == many->newest && count == user->count && bytes <= many->bytes);
  for (const visit_node *node = many->reserved; node != NULL; node = node->right, reserved++) {
    assert(node->right != NULL ? node->right->left == node : node == many->reserved_last);
    reserved_bytes += node->room;
  }
  assert(reserved == user->reserved_count && reserved_bytes == many->reserved_bytes);
}

void sb_priv_visit_user_check_all(const visit_user *user) {
  user_check_at_once(user);
  if (user->decoded && user->many) many_check(user);
  if (user->decoded && !user->many) few_check(user);
}

/* Called where a function that changes a user begins and ends. */
void sb_priv_visit_user_check(const visit_user *user) {
  static _Thread_local size_t times;
  user_check_at_once(user);
  if (++times < 64 || times < (size_t)user->count + user->reserved_count) return;
  times = 0;
  sb_priv_visit_user_check_all(user);
}
#endif

/* ---- many visits ---- */

static visit_node *node_make(visit_many *many, uint32_t size) {
  VISIT_STEPS(1);
  visit_node *node = malloc(sizeof *node + size);
  if (node == NULL) return NULL;
  node->room = size;
  many->memory += sizeof *node + size + MALLOC_OVERHEAD;
  return node;
}

static void node_free(visit_many *many, visit_node *node) {
  VISIT_STEPS(1);
  many->memory -= sizeof *node + node->room + MALLOC_OVERHEAD;
  free(node);
}

static void many_reserve(visit_many *many, visit_node *node, int64_t time_ns, uint32_t size) {
  node->entry.time_ns = time_ns;
  node->entry.size = size;
  node->left = many->reserved_last;
  node->right = NULL;
  *(many->reserved_last != NULL ? &many->reserved_last->right : &many->reserved) = node;
  many->reserved_last = node;
  many->reserved_bytes += size;
}

/* Gives up the last `count` nodes that were reserved. */
static void many_unreserve(visit_many *many, uint32_t count) {
  for (; count > 0 && many->reserved_last != NULL; count--) {
    visit_node *node = many->reserved_last;
    many->reserved_last = node->left;
    *(node->left != NULL ? &node->left->right : &many->reserved) = NULL;
    many->reserved_bytes -= node->room;
    node_free(many, node);
  }
}

static visit_node *many_take_reserved(visit_many *many) {
  visit_node *node = many->reserved;
  assert(node != NULL);
  many->reserved = node->right;
  *(node->right != NULL ? &node->right->left : &many->reserved_last) = NULL;
  many->reserved_bytes -= node->room;
  return node;
}

static void many_insert(visit_many *many, visit_node *node) {
  node->link.key = node->entry.visit_id;
  sb_priv_visit_map_insert(&many->ids, &node->link);
  tree_insert(many, node);
  many->bytes += node->entry.size;
}

static void many_remove(visit_many *many, visit_node *node) {
  sb_priv_visit_map_remove(&many->ids, &node->link);
  tree_remove(many, node);
  many->bytes -= node->entry.size;
  node_free(many, node);
}

/* Nodes that nobody needs any more are freed a piece at a time: those of a large user take longer than a change may. */
static void many_free(visit_many *many, visit_node **trash) {
  many_unreserve(many, UINT32_MAX);
  if (many->root != NULL) {
    many->root->parent = *trash;
    *trash = many->root;
  }
  sb_priv_visit_map_free(&many->ids);
  free(many);
}

void sb_priv_visit_trash_empty(visit_node **trash, size_t nodes) {
  for (; *trash != NULL && nodes > 0; nodes--) {
    VISIT_STEPS(1);
    visit_node *node = *trash, *rest = node->parent;
    visit_node *children[2] = {node->left, node->right};
    for (int i = 0; i < 2; i++) {
      if (children[i] == NULL) continue;
      children[i]->parent = rest;
      rest = children[i];
    }
    *trash = rest;
    free(node);
  }
}

/* From arrays to nodes, with the room that is reserved. */
static sb_status become_many(visit_user *user) {
  visit_many *many = calloc(1, sizeof *many);
  if (many == NULL) return SB_NO_MEMORY;
  many->random = (uint32_t)sb_priv_visit_map_multiplier() | 1;
  many->memory = sizeof *many + MALLOC_OVERHEAD;
  bool made = sb_priv_visit_map_ready(&many->ids);
  const uint8_t *data = user->arena + user->start;
  visit_node *trash = NULL;
  for (uint32_t i = 0; made && i < user->count + user->reserved_count; i++) {
    const visit_entry *entry = &user->entries[user->first + i];
    visit_node *node = node_make(many, entry->size);
    made = node != NULL;
    if (!made) break;
    if (i >= user->count) {
      many_reserve(many, node, entry->time_ns, entry->size);
      continue;
    }
    node->entry = *entry;
    memcpy(node->data, data, entry->size);
    data += entry->size;
    many_insert(many, node);
  }
  if (!made) {
    many_free(many, &trash);
    sb_priv_visit_trash_empty(&trash, SIZE_MAX);
    return SB_NO_MEMORY;
  }
  free(user->entries);
  free(user->arena);
  user->first = user->capacity = user->start = user->end = user->room = 0;
  user->many = true;
  user->nodes = many;
  user->arena = NULL;
  return SB_OK;
}

/* Bytes that a visit takes. Where only places are kept, there is in the place of url and text how many bytes they have. */
static uint32_t size_of(const visit_item *item, bool places_only) { return places_only ? 4 + 1 : item->url_size + 1 + item->text_size; }

static sb_status many_reserve_items(visit_user *user, uint32_t count, const uint8_t *items, bool places_only) {
  visit_many *many = user->nodes;
  int64_t newest = sb_priv_visit_user_newest(user);
  for (uint32_t i = 0; i < count; i++) {
    visit_item item;
    items = sb_priv_visit_item_next(items, &item);
    const uint32_t size = size_of(&item, places_only);
    const bool fits = many->bytes + many->reserved_bytes + size <= USER_BYTES_MAX;
    visit_node *node = fits ? node_make(many, size) : NULL;
    if (node == NULL) {
      many_unreserve(many, i);
      return fits ? SB_NO_MEMORY : SB_TOO_LARGE;
    }
    if (item.time_ns > newest) newest = item.time_ns;
    many_reserve(many, node, newest, size);
  }
  return SB_OK;
}

/* ---- few visits ---- */

static bool reserve_entries(visit_user *user, uint32_t count) {
  const uint32_t used = user->count + user->reserved_count, needed = used + count;
  if (user->first + needed <= user->capacity) return true;
  if (needed <= user->capacity && user->first >= user->count / 8) {
    VISIT_STEPS(used);
    memmove(user->entries, user->entries + user->first, used * sizeof *user->entries);
    user->first = 0;
    return true;
  }
  const uint32_t capacity = needed + (user->count > 0 ? needed / 8 + 1 : 0); /* a user read from the file gets what it needs */
  visit_entry *entries = malloc(capacity * sizeof *entries);
  if (entries == NULL) return false;
  VISIT_STEPS(used);
  if (used > 0) memcpy(entries, user->entries + user->first, used * sizeof *entries);
  free(user->entries);
  user->entries = entries;
  user->first = 0;
  user->capacity = capacity;
  return true;
}

/* Evicted visits leave a hole at the front. It is closed when it is an eighth of what has to be moved, so that an add moves a bounded
 * multiple of its own size. */
static bool reserve_arena(visit_user *user, uint32_t bytes) {
  const uint32_t live = user->end - user->start, needed = live + user->reserved_bytes + bytes;
  if (user->start + needed <= user->room) return true;
  if (needed <= user->room && user->start >= live / 8) {
    VISIT_STEPS(live / 64);
    memmove(user->arena, user->arena + user->start, live);
    user->start = 0;
    user->end = live;
    return true;
  }
  const uint32_t room = needed + (live > 0 ? needed / 8 : 0);
  uint8_t *arena = malloc(room > 0 ? room : 1);
  if (arena == NULL) return false;
  VISIT_STEPS(live / 64);
  if (live > 0) memcpy(arena, user->arena + user->start, live);
  free(user->arena);
  user->arena = arena;
  user->start = 0;
  user->end = live;
  user->room = room;
  return true;
}

/* What the room is for stands in the entries that will be used, should the user outgrow the arrays before they are: the size of each, and
 * the newest time so far. */
static sb_status few_reserve_items(visit_user *user, uint32_t count, const uint8_t *items, uint32_t bytes, bool places_only) {
  if (!reserve_entries(user, count) || !reserve_arena(user, bytes)) return SB_NO_MEMORY;
  int64_t newest = sb_priv_visit_user_newest(user);
  visit_entry *entry = &user->entries[user->first + user->count + user->reserved_count];
  for (uint32_t i = 0; i < count; i++, entry++) {
    visit_item item;
    items = sb_priv_visit_item_next(items, &item);
    if (item.time_ns > newest) newest = item.time_ns;
    entry->time_ns = newest;
    entry->size = size_of(&item, places_only);
  }
  return SB_OK;
}

static void evict_few(visit_user *user) {
  user->start += user->entries[user->first].size;
  user->first++;
  if (--user->count == 0 && user->reserved_count == 0) user->first = user->start = user->end = 0;
}

/* ---- either ---- */

sb_status sb_priv_visit_user_reserve(visit_table *table, visit_user *user, uint32_t count, const uint8_t *items) {
  assert(user->decoded && count <= VISIT_ITEMS_MAX);
  sb_priv_visit_user_check(user);
  uint64_t bytes = 0;
  const uint8_t *next = items;
  visit_item item;
  for (uint32_t i = 0; i < count; i++) {
    next = sb_priv_visit_item_next(next, &item);
    bytes += size_of(&item, table->places_only);
  }
  const uint64_t before = memory_of(user);
  sb_status status = SB_OK;
  if (!user->many && ((uint64_t)user->count + user->reserved_count + count > FEW ||
                      user->end - user->start + (uint64_t)user->reserved_bytes + bytes > FEW_BYTES))
    status = become_many(user);
  if (status == SB_OK)
    status = user->many ? many_reserve_items(user, count, items, table->places_only)
                        : few_reserve_items(user, count, items, (uint32_t)bytes, table->places_only);
  table->memory += memory_of(user) - before;
  if (status != SB_OK) return status;
  user->reserved_count += count;
  user->reserved_bytes += user->many ? 0 : (uint32_t)bytes;
  sb_priv_visit_user_check(user);
  return SB_OK;
}

/* Of few visits the room stays for the next ones. */
void sb_priv_visit_user_unreserve(visit_table *table, visit_user *user, uint32_t count) {
  const uint64_t before = memory_of(user);
  if (count > user->reserved_count) count = user->reserved_count;
  for (uint32_t i = 0; i < count && !user->many; i++) {
    user->reserved_count--;
    user->reserved_bytes -= user->entries[user->first + user->count + user->reserved_count].size;
  }
  if (user->many) {
    many_unreserve(user->nodes, count);
    user->reserved_count -= count;
  }
  sb_priv_visit_user_check(user);
  table->memory += memory_of(user) - before;
}

int64_t sb_priv_visit_user_newest(const visit_user *user) {
  if (user->count + user->reserved_count == 0) return INT64_MIN;
  if (!user->many) return user->entries[user->first + user->count + user->reserved_count - 1].time_ns;
  const visit_node *newest = user->nodes->newest, *reserved = user->nodes->reserved_last;
  return reserved != NULL ? reserved->entry.time_ns : newest->entry.time_ns;
}

static visit_node *find_node(const visit_user *user, uint32_t visit_id) {
  visit_link *link = sb_priv_visit_map_find(&user->nodes->ids, visit_id);
  return link == NULL ? NULL : node_of(link);
}

bool sb_priv_visit_user_has(const visit_user *user, uint32_t visit_id) {
  if (user->many) return find_node(user, visit_id) != NULL;
  VISIT_STEPS(user->count);
  for (uint32_t i = user->count; i > 0; i--) /* a repeated add is mostly a recent one */
    if (user->entries[user->first + i - 1].visit_id == visit_id) return true;
  return false;
}

static const visit_entry *oldest_of(const visit_user *user) {
  return user->many ? &user->nodes->oldest->entry : &user->entries[user->first];
}

bool sb_priv_visit_user_too_old(const visit_table *table, const visit_user *user, int64_t time_ns) {
  return user->count >= table->max_visits && user->count > 0 && oldest_of(user)->time_ns > time_ns;
}

static void evict_oldest(visit_table *table, visit_user *user) {
  const uint64_t before = user->many ? memory_of(user) : 0;
  table->live_bytes -= entry_live(oldest_of(user));
  if (user->many) {
    many_remove(user->nodes, user->nodes->oldest);
    user->count--;
    table->memory += memory_of(user) - before;
  } else {
    evict_few(user);
  }
  if (user->count == 0) table->live_bytes -= VISIT_HEAD;
}

static void fill(uint8_t *data, const visit_item *item) {
  memcpy(data, item->bytes, item->url_size);
  data[item->url_size] = 0;
  memcpy(data + item->url_size + 1, item->bytes + item->url_size, item->text_size);
}

static void insert_few(visit_user *user, const visit_entry *made, const visit_item *item) {
  assert(user->first + user->count < user->capacity && made->size <= user->room - user->end);
  visit_entry *at = &user->entries[user->first + user->count];
  uint32_t position = user->end, newer = 0; /* bytes and entries that are newer */
  for (; newer < user->count && at[-1].time_ns > item->time_ns; newer++) position -= (--at)->size;
  VISIT_STEPS(newer + (user->end - position) / 64);
  if (newer > 0) {
    memmove(at + 1, at, newer * sizeof *at);
    memmove(user->arena + position + made->size, user->arena + position, user->end - position);
  }
  *at = *made;
  fill(user->arena + position, item);
  user->end += made->size;
}

/* Room that was reserved for a visit that is not kept. */
static void skip(visit_table *table, visit_user *user, uint32_t size) {
  user->reserved_count--;
  if (user->many) {
    const uint64_t before = memory_of(user);
    node_free(user->nodes, many_take_reserved(user->nodes));
    table->memory += memory_of(user) - before;
  } else {
    user->reserved_bytes -= size;
  }
}

void sb_priv_visit_user_insert(visit_table *table, visit_user *user, const visit_item *given, uint64_t run) {
  assert(user->decoded && user->reserved_count > 0);
  sb_priv_visit_user_check(user);
  visit_item item = *given;
  uint8_t size[4];
  if (table->places_only) {
    visit_store32(size, item.url_size + item.text_size);
    item = (visit_item){.time_ns = item.time_ns, .visit_id = item.visit_id, .url_size = sizeof size, .bytes = size};
  }
  const visit_entry made = {.time_ns = item.time_ns, .run = run, .visit_id = item.visit_id, .size = item.url_size + 1 + item.text_size};
  if (sb_priv_visit_user_too_old(table, user, item.time_ns) || sb_priv_visit_user_has(user, item.visit_id)) {
    skip(table, user, made.size);
    sb_priv_visit_user_check(user);
    return;
  }
  if (user->count >= table->max_visits) evict_oldest(table, user);
  if (user->count == 0) table->live_bytes += VISIT_HEAD;
  user->reserved_count--;
  if (user->many) {
    visit_node *node = many_take_reserved(user->nodes);
    assert(node->room == made.size);
    node->entry = made;
    fill(node->data, &item);
    many_insert(user->nodes, node);
  } else {
    user->reserved_bytes -= made.size;
    insert_few(user, &made, &item);
  }
  user->count++;
  table->live_bytes += entry_live(&made);
  sb_priv_visit_user_check(user);
}

static bool delete_few(visit_table *table, visit_user *user, uint32_t visit_id) {
  uint32_t position = user->start;
  VISIT_STEPS(user->count + (user->end - user->start) / 64);
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
    user->count--;
    if (user->count == 0) user->first = user->start = user->end = 0;
    return true;
  }
  return false;
}

bool sb_priv_visit_user_delete(visit_table *table, visit_user *user, uint32_t visit_id) {
  assert(user->decoded);
  if (user->many) {
    const uint64_t before = memory_of(user);
    visit_node *node = find_node(user, visit_id);
    if (node == NULL) return false;
    table->live_bytes -= entry_live(&node->entry);
    many_remove(user->nodes, node);
    user->count--;
    table->memory += memory_of(user) - before;
  } else if (!delete_few(table, user, visit_id)) {
    return false;
  }
  if (user->count == 0) table->live_bytes -= VISIT_HEAD;
  sb_priv_visit_user_check(user);
  return true;
}

/* With many visits the tree goes, and what an add that follows counts on stays. */
static void clear_many(visit_user *user, visit_node **trash) {
  visit_many *many = user->nodes;
  if (many->root != NULL) {
    many->root->parent = *trash;
    *trash = many->root;
  }
  many->root = many->oldest = many->newest = NULL;
  many->bytes = 0;
  many->memory = sizeof *many + MALLOC_OVERHEAD;
  for (const visit_node *node = many->reserved; node != NULL; node = node->right)
    many->memory += sizeof *node + node->room + MALLOC_OVERHEAD;
  sb_priv_visit_map_clear(&many->ids);
  user->count = 0;
}

void sb_priv_visit_user_clear(visit_table *table, visit_user *user) {
  assert(user->decoded);
  const uint64_t before = memory_of(user);
  table->live_bytes -= sb_priv_visit_user_live(user);
  if (user->reserved_count == 0)
    sb_priv_visit_user_empty(user, &table->trash);
  else if (user->many)
    clear_many(user, &table->trash);
  else
    user->count = user->first = user->start = user->end = 0;
  table->memory += memory_of(user) - before;
  sb_priv_visit_user_check(user);
}

void sb_priv_visit_user_trim(visit_table *table, visit_user *user, uint32_t max_visits) {
  while (user->count > max_visits) evict_oldest(table, user);
  sb_priv_visit_user_check(user);
}

sb_status sb_priv_visit_user_pend(visit_table *table, visit_user *user, uint64_t offset) {
  assert(!user->decoded);
  if (user->count == user->capacity) {
    const uint32_t capacity = user->capacity == 0 ? 4 : user->capacity + user->capacity / 2;
    uint64_t *pending = realloc(user->pending, capacity * sizeof *pending);
    if (pending == NULL) return SB_NO_MEMORY;
    table->memory += (capacity - user->capacity) * sizeof *pending;
    user->pending = pending;
    user->capacity = capacity;
  }
  user->pending[user->count++] = offset;
  sb_priv_visit_user_check(user);
  return SB_OK;
}

sb_status sb_priv_visit_user_take(visit_user *user, visit_user *other) {
  assert(other->decoded && other->reserved_count == 0);
  sb_priv_visit_user_check(other);
  visit_user made = *user;
  made.decoded = true;
  made.many = other->many;
  made.cleared = false;
  made.count = other->count;
  made.reserved_count = made.reserved_bytes = made.first = made.start = 0;
  if (other->many) { /* moved, not copied */
    made.capacity = made.end = made.room = 0;
    made.nodes = other->nodes;
    made.arena = NULL;
    *other = (visit_user){.decoded = true};
    *user = made;
    return SB_OK;
  }
  made.capacity = other->count;
  made.end = made.room = other->end - other->start;
  made.entries = NULL;
  made.arena = NULL;
  if (made.count > 0) {
    made.entries = malloc(made.count * sizeof *made.entries);
    made.arena = malloc(made.end);
    if (made.entries == NULL || made.arena == NULL) {
      free(made.entries);
      free(made.arena);
      return SB_NO_MEMORY;
    }
    memcpy(made.entries, other->entries + other->first, made.count * sizeof *made.entries);
    memcpy(made.arena, other->arena + other->start, made.end);
  }
  *user = made;
  sb_priv_visit_user_check(user);
  return SB_OK;
}

void sb_priv_visit_user_empty(visit_user *user, visit_node **trash) {
  if (user->many) {
    many_free(user->nodes, trash);
  } else {
    free(user->entries); /* or pending */
    if (user->decoded) free(user->arena);
  }
  user->count = user->first = user->capacity = user->start = user->end = user->room = 0;
  user->reserved_count = user->reserved_bytes = 0;
  user->many = false;
  user->decoded = true;
  user->entries = NULL;
  user->arena = NULL;
}

/* ---- looking at them ---- */

static bool at_node(visit_cursor *cursor, visit_node *node) {
  cursor->node = node;
  if (node == NULL) return false;
  cursor->entry = &node->entry;
  cursor->data = node->data;
  return true;
}

bool sb_priv_visit_cursor_oldest(visit_cursor *cursor, const visit_user *user) {
  assert(user->decoded);
  *cursor = (visit_cursor){.user = user};
  if (user->many) return at_node(cursor, user->nodes->oldest);
  if (user->count == 0) return false;
  cursor->entry = &user->entries[user->first];
  cursor->data = user->arena + user->start;
  return true;
}

bool sb_priv_visit_cursor_later(visit_cursor *cursor) {
  const visit_user *user = cursor->user;
  VISIT_STEPS(1);
  if (user->many) return at_node(cursor, later(cursor->node));
  cursor->data += cursor->entry->size;
  return ++cursor->entry < user->entries + user->first + user->count;
}

static sb_status show_many(const visit_user *user, uint32_t count, sb_visits *visits) {
  uint64_t bytes = 0;
  const visit_node *node = user->nodes->newest;
  for (uint32_t i = 0; i < count; i++, node = earlier(node)) bytes += node->entry.size;
  sb_visit *row;
  uint8_t *data;
  const sb_status status = sb_priv_visits_take(visits, count, bytes, &row, &data);
  if (status != SB_OK) return status;
  node = user->nodes->newest;
  for (uint32_t i = 0; i < count; i++, row++, node = earlier(node)) {
    const visit_entry *entry = &node->entry;
    const uint32_t url_size = visit_url_size(node->data, entry->size);
    memcpy(data, node->data, entry->size);
    *row = (sb_visit){.user = user->user,
                      .visit_id = entry->visit_id,
                      .time_ns = entry->time_ns,
                      .url = data,
                      .url_size = url_size,
                      .text = data + url_size + 1,
                      .text_size = entry->size - 1 - url_size};
    data += entry->size;
  }
  return SB_OK;
}

sb_status sb_priv_visit_user_show(const visit_user *user, uint32_t max_visits, sb_visits *visits) {
  assert(user->decoded && max_visits > 0);
  if (user->count == 0) return SB_OK;
  const uint32_t count = user->count < max_visits ? user->count : max_visits, older = user->count - count;
  VISIT_STEPS(user->count);
  if (user->many) return show_many(user, count, visits);
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
