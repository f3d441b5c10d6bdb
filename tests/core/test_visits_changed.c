/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=sb_priv_clock_ns */

/* Memory of the caller that changes while its visits are added: when the file asks for the time, which is after all checks and before the
 * records are made, or at an allocation. */

#include "failing_malloc.h"
#include "visit_testing.h"

enum {
  ROWS = 100,
  TEXT_SIZE = 8
};

/* What is added. */
static struct {
  sb_visit rows[ROWS];
  uint32_t users[ROWS], visit_ids[ROWS];
  int32_t lengths[ROWS];
  int64_t offsets[ROWS], times[ROWS];
  char text[TEXT_SIZE];
  sb_column urls, texts;
} shown;

static void fill_shown(void) {
  memset(shown.text, 'x', sizeof shown.text);
  for (uint32_t i = 0; i < ROWS; i++) {
    shown.users[i] = 7;
    shown.visit_ids[i] = i;
    shown.times[i] = 1000 + i;
    shown.lengths[i] = TEXT_SIZE;
    shown.offsets[i] = 0;
    shown.rows[i] = (sb_visit){7, i, 1000 + i, shown.text, TEXT_SIZE, shown.text, TEXT_SIZE};
  }
  shown.urls = (sb_column){.values = shown.text,
                           .size = TEXT_SIZE,
                           .offsets = shown.offsets,
                           .offset_count = ROWS,
                           .lengths = shown.lengths,
                           .length_count = ROWS};
  shown.texts = shown.urls;
}

/* ---- the changes ---- */

static void rows_change(void) {
  for (size_t i = 0; i < ROWS; i++)
    shown.rows[i] = (sb_visit){.user = 9, .visit_id = 1, .time_ns = -5, .url = NULL, .url_size = SIZE_MAX, .text_size = UINT32_MAX};
}

static void columns_change(void) {
  shown.urls = (sb_column){.values = NULL, .size = SIZE_MAX, .length_count = 3};
  shown.texts = (sb_column){.values = shown.text, .size = SIZE_MAX, .lengths = NULL, .offset_count = 1};
}

static void lengths_change(void) {
  for (size_t i = 0; i < ROWS; i++) {
    shown.lengths[i] = INT32_MAX;
    shown.offsets[i] = INT64_MAX;
  }
}

static void a_nul_comes(void) { shown.text[3] = 0; }

static void (*at_clock)(void); /* NULL: nothing */

int64_t __real_sb_priv_clock_ns(void);
int64_t __wrap_sb_priv_clock_ns(void);
int64_t __wrap_sb_priv_clock_ns(void) {
  if (at_clock != NULL) at_clock();
  return __real_sb_priv_clock_ns();
}

/* ---- the calls ---- */

typedef enum adding {
  IN_ROWS,
  IN_COLUMNS
} adding;

static sb_status add_shown(sb_visit_manager *manager, adding how, size_t count) {
  if (how == IN_ROWS) return sb_visit_manager_add_visits(manager, shown.rows, count, &visit_error);
  if (shown.urls.length_count == ROWS)
    shown.urls.length_count = shown.texts.length_count = shown.urls.offset_count = shown.texts.offset_count = count;
  return sb_visit_manager_add_visit_columns(manager, shown.users, count, shown.visit_ids, count, &shown.urls, &shown.texts, shown.times,
                                            count, &visit_error);
}

/* The file has the visits as they were before the change, and nothing else, also when it is opened anew. */
static void assert_holds(sb_visit_manager *manager, size_t count) {
  for (int again = 0; again < 2; again++) {
    sb_visits *visits = NULL;
    const sb_visit *rows;
    size_t found;
    assert_ok(sb_visit_manager_get_recent_visits(manager, 7, &visits, &visit_error));
    assert_ok(sb_visits_get_all(visits, &rows, &found));
    assert_int_equal(found, count);
    for (size_t i = 0; i < count; i++) {
      assert_int_equal(rows[i].visit_id, count - 1 - i);
      assert_int_equal(rows[i].time_ns, 1000 + count - 1 - i);
      assert_int_equal(rows[i].url_size, TEXT_SIZE);
      assert_int_equal(rows[i].text_size, TEXT_SIZE);
      assert_memory_equal(rows[i].url, "xxxxxxxx", TEXT_SIZE);
      assert_memory_equal(rows[i].text, "xxxxxxxx", TEXT_SIZE);
    }
    sb_visits_close(visits);
    sb_visit_report report = {.struct_size = sizeof report};
    assert_ok(sb_visit_manager_verify(manager, &report, &visit_error));
    close_file(manager);
    manager = open_file(SB_DURABILITY_NONE, ROWS);
  }
  close_file(manager);
  assert_int_equal(unlink(test_path), 0);
}

static const size_t counts[] = {1, 3, 32, 33, ROWS};

static void rows_that_change_are_added_as_they_were_checked(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
    for (int how = IN_ROWS; how <= IN_COLUMNS; how++) {
      sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, ROWS);
      fill_shown();
      at_clock = how == IN_ROWS ? rows_change : lengths_change;
      const sb_status status = add_shown(manager, (adding)how, counts[i]);
      at_clock = NULL;
      assert_ok(status);
      assert_holds(manager, counts[i]);
    }
}

/* A NUL ends the url in a file's record; where one comes after the check, nothing is added, and the next call is as any other. */
static void a_nul_that_comes_late_is_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
    for (int how = IN_ROWS; how <= IN_COLUMNS; how++) {
      sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, ROWS);
      fill_shown();
      at_clock = a_nul_comes;
      const sb_status status = add_shown(manager, (adding)how, counts[i]);
      at_clock = NULL;
      assert_int_equal(status, SB_INVALID_ARGUMENT);
      assert_non_null(strstr(visit_error.message, "a NUL came"));
      assert_string_equal(ids_of(manager, 7), "");
      fill_shown();
      assert_ok(add_shown(manager, (adding)how, counts[i]));
      assert_holds(manager, counts[i]);
    }
}

/* At whichever allocation it happens, all visits are added as they were, or none. */
static void columns_that_change_at_any_allocation(void **state) {
  (void)state;
  static void (*const changes[])(void) = {columns_change, lengths_change, a_nul_comes, rows_change};
  size_t added = 0, refused = 0;
  for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
    for (int how = IN_ROWS; how <= IN_COLUMNS; how++)
      for (long nth = 1;; nth++) {
        sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, ROWS);
        fill_shown();
        allocation_does = changes[i];
        allocations_until_failure = nth;
        const sb_status status = add_shown(manager, (adding)how, ROWS);
        const bool changed = allocations_until_failure == 0;
        allocation_does = NULL;
        allocations_until_failure = 0;
        if (status != SB_OK) {
          assert_true(status == SB_INVALID_ARGUMENT || status == SB_OUT_OF_RANGE || status == SB_TOO_LARGE);
          assert_string_equal(ids_of(manager, 7), "");
          assert_string_equal(ids_of(manager, 9), "");
          refused++;
        }
        added += changed && status == SB_OK;
        if (how == IN_COLUMNS && changes[i] == columns_change) assert_ok(status); /* they were copied first of all */
        assert_holds(manager, status == SB_OK ? ROWS : 0);
        if (!changed) break;
      }
  assert_true(added > 8 && refused > 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      visit_test(rows_that_change_are_added_as_they_were_checked),
      visit_test(a_nul_that_comes_late_is_refused),
      visit_test(columns_that_change_at_any_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
