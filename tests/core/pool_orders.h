#ifndef POOL_ORDERS_H
#define POOL_ORDERS_H

/* What parties of orders.h do with pools, as texts: each letter is one call. There are two pools, and a handle and a further provider of the
 * first. What comes before '|' is done by one party after the other, before the orders begin.
 *
 *   g G   get a block of the first or second pool         p   put the block that was got last
 *   b r   get an sb_block of the first pool, close it     x y leave that block to the others; put the one that was left
 *   t T   trim                                            s S ask for statistics
 *   c C   close                                           m w close the further provider of the first pool; ask it for statistics
 *   h i   get and put by the handle                       f   free the handle
 *   o     open a third pool, use it, and close it         n   end as a thread, and go on as a new one
 *   k     fork; the child uses all that is left to it
 *
 * Who writes such a text sees to it that nobody uses what another has closed. For texts of chance `guarded` does: a call that would is left out, and
 * a close waits for the calls inside.
 */

#include <samebytes/samebytes.h>

#include "orders.h"

enum {
  POOL_ORDERS_SIZE = 4096,
  POOL_ORDERS_BLOCKS_MAX = 64
};

static struct {
  const char *scripts[ORDERS_PARTIES_MAX];
  sb_pool *pools[2];
  sb_memory *memory;
  uint64_t handle, wrong_puts, refused_puts; /* of the other pool's blocks through the handle: begun, and refused */
  bool closed[2], memory_closed, handle_freed;
  void *out[POOL_ORDERS_BLOCKS_MAX]; /* blocks that somebody has */
  void *left;                        /* for whoever takes it */
  struct {
    void *blocks[POOL_ORDERS_BLOCKS_MAX];
    int count;
    sb_block *block;
  } own[ORDERS_PARTIES_MAX];
  bool guarded;
  sb_priv_gate inside[3]; /* busy: the calls inside of each pool, and of the further provider */
  uint64_t outcome;       /* what the calls returned, as one number that does not depend on whose came first */
  uint32_t slot;          /* of the first pool in the first run: none is lost */
  bool begun;
} pool_orders;

static inline sb_pool *pool_orders_open(void) {
  const sb_pool_class classes[] = {{POOL_ORDERS_SIZE, 100}};
  sb_pool_options options;
  sb_pool *pool = NULL;
  sb_pool_options_init(&options, sizeof options);
  options.classes = classes;
  options.class_count = 1;
  ORDERS_HOLDS(sb_pool_open(&options, &pool) == SB_OK);
  return pool;
}

/* ---- blocks: nobody has one that another has, and nobody else writes to it ---- */

static inline void block_is_out(void *data, int party) {
  int place = -1;
  for (int i = 0; i < POOL_ORDERS_BLOCKS_MAX; i++) {
    ORDERS_HOLDS(pool_orders.out[i] != data && "a block is handed out once");
    if (pool_orders.out[i] == NULL) place = i;
  }
  ORDERS_HOLDS(place >= 0);
  pool_orders.out[place] = data;
  ((uintptr_t *)data)[0] = (uintptr_t)data;
  ((int *)data)[POOL_ORDERS_SIZE / sizeof(int) - 1] = party;
}

static inline void block_comes_back(void *data) {
  ORDERS_HOLDS(((uintptr_t *)data)[0] == (uintptr_t)data);
  for (int i = 0; i < POOL_ORDERS_BLOCKS_MAX; i++)
    if (pool_orders.out[i] == data) pool_orders.out[i] = NULL;
}

static inline void block_got(int party, int which, void *data) {
  block_is_out(data, party);
  ((int *)data)[POOL_ORDERS_SIZE / sizeof(int) - 2] = which;
  ORDERS_HOLDS(pool_orders.own[party].count < POOL_ORDERS_BLOCKS_MAX);
  pool_orders.own[party].blocks[pool_orders.own[party].count++] = data;
}

static inline void block_put(void *data) {
  block_comes_back(data);
  ORDERS_HOLDS(sb_pool_put(NULL, data) == SB_OK);
}

static inline void get_and_put(sb_pool *pool) {
  void *data = NULL;
  ORDERS_HOLDS(sb_pool_get(pool, POOL_ORDERS_SIZE, &data) == SB_OK);
  block_is_out(data, 0);
  block_put(data);
}

/* ---- the calls ---- */

/* Whoever was about to recycle a pool that is gone is not in the child, which has done it. */
static inline void child_has_recycled(const sb_pool *gone) {
  enum {
    MORE = 8 /* than are free */
  };
  bool found = false;
  sb_pool *pools[MORE];
  for (int i = 0; i < MORE; i++) {
    pools[i] = pool_orders_open();
    found = found || pools[i] == gone;
  }
  for (int i = 0; i < MORE; i++) sb_pool_close(pools[i]);
  ORDERS_HOLDS(found);
}

/* In the child only the party that forked goes on, here as several threads, one after the other. */
static inline void child_uses_all(void) {
  (void)alarm(20);
  for (int i = 0; i < 2; i++)
    if (pool_orders.closed[i] && pool_orders.pools[i]->retired && pool_orders.pools[i]->taken == 0)
      child_has_recycled(pool_orders.pools[i]);
  sb_pool *fresh = pool_orders_open();
  sb_pool *pools[] = {pool_orders.closed[0] ? NULL : pool_orders.pools[0], pool_orders.closed[1] ? NULL : pool_orders.pools[1], fresh};
  sb_priv_gate *own = sb_priv_thread_own;
  for (int i = 0; i < 3; i++) {
    sb_pool_stats stats = {.struct_size = sizeof stats};
    if (pools[i] == NULL) continue;
    sb_priv_thread_own = orders.gate_none;
    get_and_put(pools[i]);
    sb_priv_gate *other = sb_priv_thread_own;
    sb_priv_thread_own = own;
    sb_pool_trim(pools[i]); /* what the other keeps */
    get_and_put(pools[i]);
    sb_priv_thread_own = other;
    get_and_put(pools[i]);
    orders_thread_anew();
    sb_priv_thread_own = own;
    ORDERS_HOLDS(sb_pool_get_stats(pools[i], &stats) == SB_OK && stats.refused_puts <= (i == 0 ? pool_orders.wrong_puts : 0));
  }
  sb_pool_close(fresh);
  if (!pool_orders.handle_freed) ORDERS_HOLDS(sb_pool_handle_free(pool_orders.handle) == SB_OK);
  fresh = pool_orders_open();
  sb_pool_close(fresh);
}

static inline void fork_and_look(void) {
  const pid_t child = fork();
  ORDERS_HOLDS(child >= 0);
  if (child == 0) {
    child_uses_all();
    _exit(0);
  }
  int status = 0;
  ORDERS_HOLDS(waitpid(child, &status, 0) == child);
  ORDERS_HOLDS(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static inline void outcome_add(int party, char call, int status) {
  const uint64_t mixed = ((uint64_t)party << 32 ^ (uint64_t)(uint8_t)call << 8 ^ (uint64_t)(uint32_t)status) * 0x9e3779b97f4a7c15u;
  pool_orders.outcome += mixed ^ mixed >> 29;
}

static inline void by_handle(int party, bool get) {
  void *data = NULL;
  if (get) {
    const sb_status status = sb_pool_handle_get(pool_orders.handle, POOL_ORDERS_SIZE, &data);
    ORDERS_HOLDS(status == SB_OK || status == SB_CLOSED || status == SB_NOT_FOUND);
    outcome_add(party, 'h', status);
    if (status == SB_OK) block_got(party, 0, data);
  } else if (pool_orders.own[party].count > 0) {
    data = pool_orders.own[party].blocks[--pool_orders.own[party].count];
    const bool of_other_pool = ((int *)data)[POOL_ORDERS_SIZE / sizeof(int) - 2] != 0;
    if (of_other_pool) pool_orders.wrong_puts++;
    block_comes_back(data);
    const sb_status status = sb_pool_handle_put(pool_orders.handle, data);
    /* Through the handle of a pool that is closed any block goes back. */
    ORDERS_HOLDS(status == SB_OK ? !of_other_pool || pool_orders.closed[0]
                                 : status == SB_NOT_FOUND || (status == SB_INVALID_ARGUMENT && of_other_pool));
    if (status == SB_INVALID_ARGUMENT) pool_orders.refused_puts++;
    outcome_add(party, 'i', status);
    if (status != SB_OK) ORDERS_HOLDS(sb_pool_put(NULL, data) == SB_OK);
  }
}

static inline void pool_orders_call(int party, char call) {
  const int which = call < 'a';
  sb_pool *pool = pool_orders.pools[which];
  void *data = NULL;
  sb_pool_stats stats = {.struct_size = sizeof stats};
  sb_memory_stats memory_stats = {.struct_size = sizeof memory_stats};
  switch (call) {
  case 'g':
  case 'G':
    ORDERS_HOLDS(sb_pool_get(pool, POOL_ORDERS_SIZE, &data) == SB_OK);
    block_got(party, which, data);
    break;
  case 'p':
    if (pool_orders.own[party].count > 0) block_put(pool_orders.own[party].blocks[--pool_orders.own[party].count]);
    break;
  case 'b':
    if (pool_orders.own[party].block != NULL) break;
    ORDERS_HOLDS(sb_pool_get_block(pool, POOL_ORDERS_SIZE, &pool_orders.own[party].block) == SB_OK);
    block_is_out(sb_block_data(pool_orders.own[party].block), party);
    break;
  case 'r':
    if (pool_orders.own[party].block != NULL) block_comes_back(sb_block_data(pool_orders.own[party].block));
    sb_block_close(pool_orders.own[party].block);
    pool_orders.own[party].block = NULL;
    break;
  case 'x':
    orders_touch(&pool_orders.left);
    if (pool_orders.left == NULL && pool_orders.own[party].count > 0)
      pool_orders.left = pool_orders.own[party].blocks[--pool_orders.own[party].count];
    break;
  case 'y':
    orders_touch(&pool_orders.left);
    data = pool_orders.left;
    pool_orders.left = NULL;
    if (data != NULL) block_put(data);
    break;
  case 't':
  case 'T': sb_pool_trim(pool); break;
  case 's':
  case 'S': ORDERS_HOLDS(sb_pool_get_stats(pool, &stats) == SB_OK && stats.outstanding < 100); break;
  case 'c':
  case 'C':
    pool_orders.closed[which] = true;
    sb_pool_close(pool);
    break;
  case 'm':
    pool_orders.memory_closed = true;
    sb_memory_close(pool_orders.memory);
    break;
  case 'w':
    ORDERS_HOLDS(sb_memory_get_stats(pool_orders.memory, &memory_stats) == SB_OK && memory_stats.live_bytes < 100 * POOL_ORDERS_SIZE);
    break;
  case 'h':
  case 'i': by_handle(party, call == 'h'); break;
  case 'f':
    pool_orders.handle_freed = true;
    ORDERS_HOLDS(sb_pool_handle_free(pool_orders.handle) == SB_OK);
    break;
  case 'o':
    pool = pool_orders_open();
    get_and_put(pool);
    sb_pool_close(pool);
    break;
  case 'n': orders_thread_anew(); break;
  case 'k': fork_and_look(); break;
  case '|': orders_ready(); break;
  default: ORDERS_HOLDS(!"a letter that means something");
  }
}

/* What a call uses: 0 and 1 the pools, 2 the further provider; -1: nothing that can be closed. */
static inline int used_by(char call) {
  if (strchr("gbts", call) != NULL) return 0;
  if (strchr("GTS", call) != NULL) return 1;
  return call == 'w' ? 2 : -1;
}

static inline int closed_by(char call) { return call == 'c' ? 0 : call == 'C' ? 1 : call == 'm' ? 2 : -1; }

static inline bool is_closed(int what) { return what == 2 ? pool_orders.memory_closed : pool_orders.closed[what]; }

static inline void pool_orders_do(int party, char call) {
  const int used = used_by(call), closing = closed_by(call);
  if (!pool_orders.guarded || (used < 0 && closing < 0 && call != 'f')) {
    pool_orders_call(party, call);
  } else if (used >= 0) {
    _Atomic uint32_t *inside = &pool_orders.inside[used].busy;
    orders_touch(inside);
    if (is_closed(used)) return;
    (*inside)++;
    pool_orders_call(party, call);
    orders_touch(inside);
    (*inside)--;
  } else if (closing >= 0) {
    orders_hook(SB_PRIV_STEP_BUSY, &pool_orders.inside[closing].busy, "test");
    if (!is_closed(closing)) pool_orders_call(party, call);
  } else {
    orders_touch(&pool_orders.handle_freed);
    if (!pool_orders.handle_freed) pool_orders_call(party, call);
  }
}

/* ---- a play ---- */

static inline void pool_orders_run(int party) {
  for (const char *call = pool_orders.scripts[party]; *call != '\0'; call++) pool_orders_do(party, *call);
}

static inline void pool_orders_begin(void) {
  memset(pool_orders.closed, 0, sizeof pool_orders.closed);
  pool_orders.memory_closed = pool_orders.handle_freed = false;
  pool_orders.outcome = pool_orders.wrong_puts = pool_orders.refused_puts = 0;
  for (int i = 0; i < 2; i++) pool_orders.pools[i] = pool_orders_open();
  ORDERS_HOLDS(sb_pool_memory(pool_orders.pools[0], &pool_orders.memory) == SB_OK);
  ORDERS_HOLDS(sb_pool_handle(pool_orders.pools[0], &pool_orders.handle) == SB_OK);
  if (!pool_orders.begun) pool_orders.slot = pool_orders.pools[0]->slot;
  pool_orders.begun = true;
  ORDERS_HOLDS(pool_orders.pools[0]->slot == pool_orders.slot && "a closed pool gives its place back");
}

static inline int descending(const void *left, const void *right) {
  const uintptr_t one = *(const uintptr_t *)left, other = *(const uintptr_t *)right;
  return (one < other) - (one > other);
}

/* Takes all free records of threads, which the library checks, and gives them back in the order of their addresses, so that the next run is
 * like this one. The same for pools. */
static inline void all_is_as_before(void) {
  sb_priv_gate *gates[2 * ORDERS_PARTIES_MAX];
  sb_pool *pools[3];
  enum {
    GATES = sizeof gates / sizeof gates[0]
  };
  orders_thread_anew();
  for (int i = 0; i < 3; i++) pools[i] = pool_orders_open();
  for (int i = 0; i < GATES; i++) {
    sb_priv_thread_own = orders.gate_none;
    gates[i] = &sb_priv_thread_open()->gate;
    ORDERS_HOLDS((atomic_load(&gates[i]->revoked) & ~SB_PRIV_EXCHANGES) == 0 && atomic_load(&gates[i]->busy) == 0);
  }
  qsort(gates, GATES, sizeof gates[0], descending);
  for (int i = 0; i < GATES; i++) {
    sb_priv_thread_own = gates[i];
    sb_priv_thread_end_played();
  }
  sb_priv_thread_own = orders.gate_none;
  qsort(pools, 3, sizeof pools[0], descending);
  for (int i = 0; i < 3; i++) sb_pool_close(pools[i]);
}

static inline void pool_orders_end(void) {
  if (pool_orders.left != NULL) block_put(pool_orders.left);
  pool_orders.left = NULL;
  for (int party = 0; party < orders.count; party++) {
    while (pool_orders.own[party].count > 0) pool_orders_call(party, 'p');
    pool_orders_call(party, 'r');
  }
  sb_pool_stats stats = {.struct_size = sizeof stats};
  for (int i = 0; i < 2; i++) {
    if (pool_orders.closed[i]) continue;
    ORDERS_HOLDS(sb_pool_get_stats(pool_orders.pools[i], &stats) == SB_OK);
    ORDERS_HOLDS(stats.outstanding == 0 && stats.refused_puts == (i == 0 ? pool_orders.refused_puts : 0));
    sb_pool_close(pool_orders.pools[i]);
  }
  if (!pool_orders.memory_closed) sb_memory_close(pool_orders.memory);
  if (!pool_orders.handle_freed) ORDERS_HOLDS(sb_pool_handle_free(pool_orders.handle) == SB_OK);
  ORDERS_HOLDS(sb_memory_live_blocks() == 0);
  all_is_as_before();
}

static inline orders_play pool_orders_play(int count, const char *const *scripts) {
  for (int i = 0; i < count; i++) pool_orders.scripts[i] = scripts[i];
  return (orders_play){.count = count, .begin = pool_orders_begin, .run = pool_orders_run, .end = pool_orders_end};
}

/* Once in the process. */
static inline void pool_orders_init(void) {
  orders_begin();
  for (int i = 0; i < 2; i++) all_is_as_before();
}

#endif
