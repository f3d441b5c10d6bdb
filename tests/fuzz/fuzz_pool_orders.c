/* Two or three threads that share pools: the input says what each does, and who goes on at each step that another may see. Nobody ever gets a block
 * that another has, no thread waits for good, and a forked child can use all that is left to it.
 *
 * bug: core/src/pool_depot.c
 * <     sb_priv_thread_restore(cache);
 * >     atomic_store(&cache->pool, NULL), sb_priv_thread_restore(cache);
 *
 * bug: core/src/pool_thread.c
 * <     if (!is_own(cache->thread)) wait_until_idle(cache->thread);
 * >     if (is_own(cache->thread)) wait_until_idle(cache->thread);
 *
 * bug: core/src/pool_thread.c
 * <     atomic_store(&thread->gate.busy, 0);
 * >     (void)thread;
 *
 * bug: core/src/pool_handle.c
 * <     wait_for_users(&entries[i]);
 * >     (void)entries;
 */
#include "fuzz.h"

#include "../core/pool_orders.h"

enum {
  CALLS_MAX = 10
};

/* A text of calls, with what comes before the orders. */
static void draw_script(source *from, char *script) {
  static const char calls[] = "gpgpgpbrxytsTScCmwhifonGk";
  const size_t count = 1 + draw(from) % CALLS_MAX, before = draw(from) % (count + 1);
  size_t size = 0;
  for (size_t i = 0; i < count; i++) {
    if (i == before) script[size++] = '|';
    script[size++] = calls[draw(from) % (sizeof calls - 1)];
  }
  if (before == count) script[size++] = '|';
  script[size] = '\0';
}

/* The one who was there last goes on when the input has ended. */
typedef struct chooser {
  source *from;
  int last;
} chooser;

static int choose(void *context, uint8_t enabled) {
  chooser *self = context;
  const uint8_t drawn = draw(self->from);
  if (drawn == 0 && (enabled >> self->last & 1) != 0) return self->last;
  int left = drawn % __builtin_popcount(enabled);
  self->last = 0;
  while ((enabled >> self->last & 1) == 0 || left-- > 0) self->last++;
  return self->last;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool begun;
  if (!begun) pool_orders_init();
  begun = true;
  source from = {data, data + size};
  char texts[ORDERS_PARTIES_MAX][CALLS_MAX + 2];
  const char *scripts[ORDERS_PARTIES_MAX];
  const int count = 2 + draw(&from) % (ORDERS_PARTIES_MAX - 1);
  for (int i = 0; i < count; i++) {
    draw_script(&from, texts[i]);
    scripts[i] = texts[i];
  }
  pool_orders.guarded = true;
  const orders_play play = pool_orders_play(count, scripts);
  chooser self = {&from, 0};
  orders_run_chosen(&play, choose, &self);
  return 0;
}
