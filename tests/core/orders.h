#ifndef ORDERS_H
#define ORDERS_H

/* Plays several threads on one, and tries the orders in which they can take their steps: all, or those that the caller chooses.
 *
 * Builds with assertions call sb_priv_step_hook before each step that another thread may see (core/src/steps.h). Here the thread, a party with a
 * stack of its own, stops there, and somebody else may go on; so one run is one order, and gives the same result each time. Who waits for a
 * lock, or for a thread that is busy, goes on when it can; if nobody can, that is a deadlock, and fails.
 *
 * orders_explore tries every order that can make a difference: two steps of different parties that touch different things may be exchanged, and of
 * all orders that become the same in that way one is run to its end (sleep sets, Godefroid 1996). Without `sleeps` none is left out.
 *
 * A fork makes a real child, in which only the party that forked goes on; there a lock that somebody else holds is a failure at once. */

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "pool_private.h"

#if defined(__SANITIZE_ADDRESS__)
#define ORDERS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ORDERS_ASAN 1
#endif
#endif
#ifdef ORDERS_ASAN
void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size);
#endif

enum {
  ORDERS_PARTIES_MAX = 3,
  ORDERS_STEPS_MAX = 4096,
  ORDERS_LOCKS_MAX = 64,
  ORDERS_STACK = 256 * 1024,
  ORDERS_APART = 8 * 1024 * 1024 /* from stack to stack: Valgrind takes a jump of 2 MiB for a change of the stack */
};

/* Where a party or the scheduler goes on. swapcontext asks the system for the mask of signals each time, which costs more than all the rest; a
 * jump does not. */
typedef jmp_buf orders_place;
#define ORDERS_SWITCH(from, to, begins) \
  do { \
    if (_setjmp(*(from)) == 0) { \
      if ((begins) != NULL) (void)setcontext(begins); \
      _longjmp(*(to), 1); \
    } \
  } while (0)

typedef struct orders_step {
  int kind;          /* -1: the party has ended, or not begun */
  const void *thing; /* NULL: everything */
  const char *function;
} orders_step;

typedef struct orders_party {
  ucontext_t context; /* where it begins */
  orders_place place;
  uint8_t *stack;
  void *fake_stack;
  sb_priv_gate *own; /* what the thread-local pointer says while it runs */
  void (*run)(int party);
  bool begun, alive;
  orders_step next;
} orders_party;

/* One moment of a run in which somebody was chosen. */
typedef struct orders_choice {
  uint8_t enabled, asleep; /* sets of parties, as bits; asleep are those who were tried here, or whose step was before it came to this */
  uint8_t chosen;
} orders_choice;

static struct {
  orders_party parties[ORDERS_PARTIES_MAX];
  int count, current; /* -1: none of them */
  orders_place scheduler;
  void *scheduler_fake;
  const void *scheduler_bottom;
  size_t scheduler_size;
  bool stopping, in_child, sleeps;
  struct {
    const void *lock;
    int holder;
  } locks[ORDERS_LOCKS_MAX];
  sb_priv_gate *gate_none, *gate_gone; /* threads share them, and nobody waits for them */
  orders_choice path[ORDERS_STEPS_MAX];
  int known, depth;
  struct {
    int party;
    orders_step step;
  } history[ORDERS_STEPS_MAX];
  int steps;
} orders = {.current = -1};

/* Also called by a test's handler of SIGABRT, which comes from the library's own assertions, and from nowhere else. */
static inline void orders_tell(void) {
  static const char *const kinds[] = {"looks at", "touches", "locks", "unlocks", "waits for the thread of", "waits for the users of"};
  for (int i = 0; i < orders.steps; i++)
    // NOLINTNEXTLINE(bugprone-signal-handler,cert-msc54-cpp,cert-sig30-c)
    fprintf(stderr, "  %3d: party %d %s %p (%s)\n", i, orders.history[i].party, kinds[orders.history[i].step.kind],
            orders.history[i].step.thing, orders.history[i].step.function);
}

#define ORDERS_HOLDS(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: does not hold%s: %s\n", __FILE__, __LINE__, orders.in_child ? " in the child" : "", #condition); \
      if (!orders.in_child) orders_tell(); \
      abort(); \
    } \
  } while (0)

/* ---- parties ---- */

/* Who holds a lock; -1: nobody. With `holder` other than -2 it is somebody else's from now on. */
static inline int orders_lock(const void *lock, int holder) {
  int place = 0;
  while (place < ORDERS_LOCKS_MAX && orders.locks[place].lock != lock && orders.locks[place].lock != NULL) place++;
  ORDERS_HOLDS(place < ORDERS_LOCKS_MAX);
  const int before = orders.locks[place].lock == lock ? orders.locks[place].holder : -1;
  if (holder == -2) return before;
  orders.locks[place].lock = lock;
  orders.locks[place].holder = holder;
  return before;
}

static inline bool orders_enabled(int party) {
  const orders_step *next = &orders.parties[party].next;
  if (!orders.parties[party].alive) return false;
  if (next->kind == SB_PRIV_STEP_LOCK) return orders_lock(next->thing, -2) == -1;
  if (next->kind == SB_PRIV_STEP_BUSY) return atomic_load(&((sb_priv_gate *)(uintptr_t)next->thing)->busy) == 0;
  if (next->kind == SB_PRIV_STEP_USERS) return (*(const uint64_t *)next->thing & 0x7fff) == 0; /* the word is the entry's first */
  return true;
}

static inline void orders_switch_to_scheduler(bool for_good) {
  orders_party *self = &orders.parties[orders.current];
  self->own = sb_priv_thread_own;
#ifdef ORDERS_ASAN
  __sanitizer_start_switch_fiber(for_good ? NULL : &self->fake_stack, orders.scheduler_bottom, orders.scheduler_size);
#endif
  (void)for_good;
  ORDERS_SWITCH(&self->place, &orders.scheduler, (ucontext_t *)NULL);
#ifdef ORDERS_ASAN
  __sanitizer_finish_switch_fiber(self->fake_stack, &orders.scheduler_bottom, &orders.scheduler_size);
#endif
}

/* Lets a party go on until its next step. */
static inline void orders_switch_to(int party) {
  orders_party *to = &orders.parties[party];
  sb_priv_gate *own = sb_priv_thread_own;
  orders.current = party;
  sb_priv_thread_own = to->own;
#ifdef ORDERS_ASAN
  __sanitizer_start_switch_fiber(&orders.scheduler_fake, to->stack, ORDERS_STACK);
#endif
  const bool begins = !to->begun;
  to->begun = true;
  ORDERS_SWITCH(&orders.scheduler, &to->place, begins ? &to->context : NULL);
#ifdef ORDERS_ASAN
  __sanitizer_finish_switch_fiber(orders.scheduler_fake, NULL, NULL);
#endif
  orders.current = -1;
  sb_priv_thread_own = own;
}

static inline bool orders_ignores(const void *thing) {
  const sb_priv_gate *shared[] = {orders.gate_none, orders.gate_gone};
  for (int i = 0; i < 2; i++)
    if (shared[i] != NULL && (thing == &shared[i]->busy || thing == &shared[i]->revoked)) return true;
  return false;
}

static inline void orders_hook(int kind, const void *thing, const char *function) {
  if (orders.current < 0 || orders_ignores(thing)) return;
  orders_party *self = &orders.parties[orders.current];
  const orders_step before = self->next;
  self->next = (orders_step){kind, thing, function};
  if (orders.in_child) {
    ORDERS_HOLDS(orders_enabled(orders.current) && "nobody is there to wait for");
  } else if (orders.stopping && kind != SB_PRIV_STEP_UNLOCK) {
    orders_switch_to_scheduler(false);
  }
  if (kind == SB_PRIV_STEP_LOCK) ORDERS_HOLDS(orders_lock(thing, orders.current) == -1);
  if (kind == SB_PRIV_STEP_UNLOCK) ORDERS_HOLDS(orders_lock(thing, -1) == orders.current);
  if (!orders.stopping) self->next = before;
}

/* A step of the test's own. */
static inline void orders_touch(const void *thing) { orders_hook(SB_PRIV_STEP_TOUCH, thing, "test"); }

static inline void orders_everything(void) { orders_touch(NULL); } /* nothing can be exchanged with that */

/* The calling party ends as a thread, and goes on as another one. */
static inline void orders_thread_anew(void) {
  sb_priv_thread_end_played();
  if (sb_priv_thread_own != orders.gate_none) orders.gate_gone = sb_priv_thread_own;
  sb_priv_thread_own = orders.gate_none;
}

static void orders_party_main(int party) {
#ifdef ORDERS_ASAN
  __sanitizer_finish_switch_fiber(NULL, &orders.scheduler_bottom, &orders.scheduler_size);
#endif
  orders.parties[party].run(party);
  orders_thread_anew();
  orders.parties[party].alive = false;
  orders_switch_to_scheduler(true);
}

static inline void orders_child_begins(void) { orders.in_child = orders.current >= 0; }

/* Once, before anything uses a pool. */
static inline void orders_begin(void) {
  orders.gate_none = sb_priv_thread_own;
  /* What is registered first is called last before a fork: a child sees everything as it is then. */
  (void)pthread_atfork(orders_everything, NULL, orders_child_begins);
  uint8_t *stacks = mmap(NULL, (size_t)ORDERS_APART * ORDERS_PARTIES_MAX, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ORDERS_HOLDS(stacks != MAP_FAILED);
  for (int i = 0; i < ORDERS_PARTIES_MAX; i++) orders.parties[i].stack = stacks + (size_t)i * ORDERS_APART;
  sb_priv_step_hook = orders_hook;
}

/* Makes a party, which runs up to its first step. */
static inline void orders_party_begin(int party, void (*run)(int party)) {
  orders_party *made = &orders.parties[party];
  made->run = run;
  made->own = orders.gate_none;
  made->alive = true;
  made->begun = false;
  made->next = (orders_step){SB_PRIV_STEP_TOUCH, made, "begins"};
  (void)getcontext(&made->context);
  made->context.uc_stack.ss_sp = made->stack;
  made->context.uc_stack.ss_size = ORDERS_STACK;
  made->context.uc_link = NULL;
  makecontext(&made->context, (void (*)(void))orders_party_main, 1, party);
}

/* ---- runs ---- */

static inline uint8_t orders_all_enabled(void) {
  uint8_t enabled = 0, alive = 0;
  for (int i = 0; i < orders.count; i++) {
    alive |= (uint8_t)(orders.parties[i].alive << i);
    enabled |= (uint8_t)(orders_enabled(i) << i);
  }
  ORDERS_HOLDS((enabled != 0 || alive == 0) && "no deadlock");
  return enabled;
}

static inline void orders_go_on(int party) {
  ORDERS_HOLDS(orders.steps < ORDERS_STEPS_MAX);
  orders.history[orders.steps].party = party;
  orders.history[orders.steps++].step = orders.parties[party].next;
  orders_switch_to(party);
}

static inline bool orders_only_looks(const orders_step *step) {
  return step->kind == SB_PRIV_STEP_LOOK || step->kind == SB_PRIV_STEP_BUSY || step->kind == SB_PRIV_STEP_USERS;
}

static inline bool orders_exchangeable(const orders_step *one, const orders_step *other) {
  if (one->thing == NULL || other->thing == NULL) return false;
  return one->thing != other->thing || (orders_only_looks(one) && orders_only_looks(other));
}

static inline int orders_first(uint8_t set) { return __builtin_ctz(set); }

/* Runs the parties to their ends in the order of `path`, and then in one that was not tried, unless all that is left was, in another order that
 * makes no difference. */
static inline void orders_run_path(void) {
  uint8_t asleep = 0;
  bool fresh = true;
  orders.depth = 0;
  for (int last = 0;;) {
    const uint8_t enabled = orders_all_enabled();
    if (enabled == 0) return;
    orders_choice *choice = &orders.path[orders.depth];
    if (fresh && orders.depth >= orders.known) {
      const uint8_t awake = enabled & (uint8_t)~asleep;
      fresh = awake != 0;
      if (fresh) *choice = (orders_choice){enabled, asleep, (uint8_t)(awake >> last & 1 ? last : orders_first(awake))};
    }
    if (!fresh) { /* only to bring it to an end */
      orders_go_on(orders_first(enabled));
      continue;
    }
    ORDERS_HOLDS(choice->enabled == enabled && "a run comes again as it was");
    const orders_step *step = &orders.parties[choice->chosen].next;
    asleep = 0;
    for (int i = 0; orders.sleeps && i < orders.count; i++)
      if ((choice->asleep >> i & 1) != 0 && orders_exchangeable(&orders.parties[i].next, step)) asleep |= (uint8_t)(1 << i);
    last = choice->chosen;
    orders.depth++;
    ORDERS_HOLDS(orders.depth < ORDERS_STEPS_MAX);
    orders_go_on(last);
  }
}

/* Makes `path` the beginning of the next order to try; false when there is none. */
static inline bool orders_next_path(void) {
  while (orders.depth > 0) {
    orders_choice *choice = &orders.path[--orders.depth];
    choice->asleep |= (uint8_t)(1 << choice->chosen);
    const uint8_t awake = choice->enabled & (uint8_t)~choice->asleep;
    if (awake == 0) continue;
    choice->chosen = (uint8_t)orders_first(awake);
    orders.known = orders.depth + 1;
    return true;
  }
  return false;
}

/* What is to be tried: `begin` starts the parties, each in its own time, and `end` looks at what they left. */
typedef struct orders_play {
  int count;
  void (*begin)(void);
  void (*run)(int party);
  void (*end)(void);
} orders_play;

static inline void orders_play_begin(const orders_play *play) {
  orders.count = play->count;
  orders.steps = 0;
  orders.stopping = false;
  memset(orders.locks, 0, sizeof orders.locks);
  play->begin();
  for (int i = 0; i < play->count; i++) orders_party_begin(i, play->run);
}

/* A party is done with what comes before all others begin. */
static inline void orders_ready(void) {
  orders.parties[orders.current].next = (orders_step){SB_PRIV_STEP_TOUCH, &orders.parties[orders.current], "begins"};
  orders_switch_to_scheduler(false);
}

static inline void orders_play_prepare(void) {
  for (int i = 0; i < orders.count; i++) orders_switch_to(i); /* to orders_ready */
  orders.stopping = true;
}

static inline void orders_play_end(const orders_play *play) {
  orders.stopping = false;
  for (int i = 0; i < play->count; i++) ORDERS_HOLDS(!orders.parties[i].alive);
  play->end();
}

static inline void orders_explore_begin(bool sleeps) {
  orders.known = 0;
  orders.sleeps = sleeps;
}

static inline void orders_explore_run(const orders_play *play) {
  orders_play_begin(play);
  orders_play_prepare();
  orders_run_path();
  orders_play_end(play);
}

/* Tries all orders; returns how many were run. Without `sleeps` none is left out. */
static inline long orders_explore(const orders_play *play, bool sleeps) {
  long runs = 0;
  orders_explore_begin(sleeps);
  do {
    orders_explore_run(play);
    runs++;
  } while (orders_next_path());
  return runs;
}

/* Runs the order that `choose` gives, which is told which parties could go on, as bits. */
static inline void orders_run_chosen(const orders_play *play, int (*choose)(void *context, uint8_t enabled), void *context) {
  orders_play_begin(play);
  orders_play_prepare();
  for (uint8_t enabled; (enabled = orders_all_enabled()) != 0;) {
    const int chosen = choose(context, enabled);
    ORDERS_HOLDS(enabled >> chosen & 1);
    orders_go_on(chosen);
  }
  orders_play_end(play);
}

#endif
