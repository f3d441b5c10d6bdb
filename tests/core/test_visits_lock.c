/* link: -Wl,--wrap=sb_priv_monotonic_ns,--wrap=sb_priv_sleep_ns */

/* The lock between readers and changes: the order in which threads get in is forced, one after the other, and looked at. Run under
 * ThreadSanitizer, too. */

#include "visit_testing.h"

#include <sched.h>

typedef struct book {
  visit_lock lock;
  atomic_bool stay; /* whoever is inside stays there */
  char entered[16]; /* names of those who got in, in order; under `mutex` */
  atomic_uint count;
  pthread_mutex_t mutex;
} book;

typedef struct guest {
  pthread_t thread;
  book *list;
  char name; /* capital: writes */
} guest;

static bool writes(char name) { return name >= 'A' && name <= 'Z'; }

static void *visit_it(void *context) {
  guest *me = context;
  book *list = me->list;
  writes(me->name) ? sb_priv_visit_lock_write(&list->lock) : sb_priv_visit_lock_read(&list->lock);
  (void)pthread_mutex_lock(&list->mutex);
  list->entered[atomic_fetch_add(&list->count, 1)] = me->name;
  (void)pthread_mutex_unlock(&list->mutex);
  while (atomic_load(&list->stay)) (void)sched_yield();
  writes(me->name) ? sb_priv_visit_lock_write_end(&list->lock) : sb_priv_visit_lock_read_end(&list->lock);
  return NULL;
}

/* How many wait, or are inside, for all that the lock knows. */
static unsigned known(book *list) {
  (void)pthread_mutex_lock(&list->lock.mutex);
  const unsigned known = (atomic_load(&list->lock.state) & ~0x80000000u) + list->lock.waiting_readers + list->lock.writers_came -
                         list->lock.writers_done;
  (void)pthread_mutex_unlock(&list->lock.mutex);
  return known;
}

/* Guests come one after the other, as `comes` says, each when the lock knows of the one before; nobody leaves before all have come. */
static void assert_order(const char *comes, const char *entered) {
  book list = {.stay = true};
  guest guests[8];
  const size_t count = strlen(comes);
  sb_priv_visit_lock_init(&list.lock);
  (void)pthread_mutex_init(&list.mutex, NULL);
  for (size_t i = 0; i < count; i++) {
    guests[i] = (guest){.list = &list, .name = comes[i]};
    assert_int_equal(pthread_create(&guests[i].thread, NULL, visit_it, &guests[i]), 0);
    while (known(&list) < i + 1) (void)sched_yield();
  }
  atomic_store(&list.stay, false);
  for (size_t i = 0; i < count; i++) assert_int_equal(pthread_join(guests[i].thread, NULL), 0);
  assert_int_equal(atomic_load(&list.lock.state), 0);
  /* Readers who go in together do so in any order. */
  size_t at = 0;
  for (const char *want = entered; *want != 0;) {
    size_t together = strspn(want, "abcdefgh");
    if (together == 0) together = 1;
    for (size_t i = 0; i < together; i++)
      if (memchr(want, list.entered[at + i], together) == NULL) fail_msg("%s: entered as %s, not %s", comes, list.entered, entered);
    at += together;
    want += together;
  }
  assert_int_equal(at, count);
  sb_priv_visit_lock_destroy(&list.lock);
  (void)pthread_mutex_destroy(&list.mutex);
}

static void readers_who_come_later_do_not_pass_a_writer(void **state) {
  (void)state;
  assert_order("aWb", "aWb");
  assert_order("abWcd", "abWcd");
}

static void readers_who_wait_go_in_before_the_next_writer(void **state) {
  (void)state;
  assert_order("VaWb", "VabW");
  assert_order("VWab", "VabW");
  assert_order("aVWbXc", "aVbcWX");
}

static void writers_take_turns_in_the_order_in_which_they_came(void **state) {
  (void)state;
  assert_order("UVWXYZ", "UVWXYZ");
}

enum {
  THREADS = 6,
  ROUNDS = 3000
};
static visit_lock shared_lock;
static unsigned long left, right; /* equal outside of the lock */

static void *read_or_write(void *context) {
  unsigned long wrong = 0;
  for (unsigned i = 0; i < ROUNDS; i++) {
    if (context != NULL) {
      sb_priv_visit_lock_write(&shared_lock);
      left++;
      if (i % 64 == 0) (void)sched_yield();
      right++;
      sb_priv_visit_lock_write_end(&shared_lock);
    } else {
      sb_priv_visit_lock_read(&shared_lock);
      wrong += left != right;
      if (i % 64 == 0) (void)sched_yield();
      sb_priv_visit_lock_read_end(&shared_lock);
    }
  }
  return (void *)wrong;
}

static void writers_exclude_everybody(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  sb_priv_visit_lock_init(&shared_lock);
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, read_or_write, i < 2 ? &left : NULL), 0);
  for (int i = 0; i < THREADS; i++) {
    void *wrong;
    assert_int_equal(pthread_join(threads[i], &wrong), 0);
    assert_null(wrong);
  }
  assert_int_equal(left, 2 * ROUNDS);
  sb_priv_visit_lock_destroy(&shared_lock);
}

/* ---- waiting for the lock of a file ---- */

static bool own_clock; /* time passes by sleeping alone */
static int64_t clock_ns, longest_ns;
static unsigned sleeps;

int64_t __real_sb_priv_monotonic_ns(void);
int64_t __wrap_sb_priv_monotonic_ns(void);
int64_t __wrap_sb_priv_monotonic_ns(void) { return own_clock ? clock_ns : __real_sb_priv_monotonic_ns(); }

void __real_sb_priv_sleep_ns(int64_t ns);
void __wrap_sb_priv_sleep_ns(int64_t ns);
void __wrap_sb_priv_sleep_ns(int64_t ns) {
  if (!own_clock) {
    __real_sb_priv_sleep_ns(ns);
    return;
  }
  sleeps++;
  clock_ns += ns;
  if (ns > longest_ns) longest_ns = ns;
}

static void assert_looks(uint32_t timeout_ms, unsigned least, unsigned most, int64_t pause_ns) {
  sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, 0);
  sb_visit_manager *other = NULL;
  options.lock_timeout_ms = timeout_ms;
  sleeps = 0;
  longest_ns = 0;
  const int64_t began = clock_ns;
  assert_status(sb_visit_manager_open(test_path, &options, &other, &visit_error), SB_LOCKED);
  assert_true(clock_ns - began == timeout_ms * INT64_C(1000000)); /* it looked at the end, too */
  if (sleeps < least || sleeps > most || longest_ns > pause_ns)
    fail_msg("%u ms: %u looks, %lld ns apart at most", (unsigned)timeout_ms, sleeps, (long long)longest_ns);
}

/* A file that is closed and opened in a loop is free for moments, so who looks seldom never finds it so. */
static void a_short_wait_looks_often_and_a_long_one_costs_little(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
  own_clock = true;
  assert_looks(0, 0, 0, 0);
  assert_looks(30, 25, 30, 2000000);
  assert_looks(1000, 50, 120, 20000000);
  assert_looks(60000, 3000, 3200, 20000000);
  own_clock = false;
  close_file(manager);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(readers_who_come_later_do_not_pass_a_writer),        cmocka_unit_test(readers_who_wait_go_in_before_the_next_writer),
      cmocka_unit_test(writers_take_turns_in_the_order_in_which_they_came), cmocka_unit_test(writers_exclude_everybody),
      visit_test(a_short_wait_looks_often_and_a_long_one_costs_little),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
