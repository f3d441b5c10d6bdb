/* link: -Wl,--wrap=sb_priv_file_read,--wrap=sb_crc32c,--wrap=sb_priv_file_look_at,--wrap=sb_priv_boot,--wrap=sb_priv_visit_user_trim */

/* Damage, and files that somebody made: what is left of a store is found again, whatever was lost; what is wrong is told by those who read
 * it; and the work is bounded by the size of the file, whatever it says. */

#include "visit_testing.h"

/* ---- what is counted, and the start of the system ---- */

static uint64_t bytes_read, bytes_summed, looks, trims, boot = 77;

int __real_sb_priv_file_read(int file, void *data, size_t size, uint64_t offset, size_t *got);
int __wrap_sb_priv_file_read(int file, void *data, size_t size, uint64_t offset, size_t *got);
int __wrap_sb_priv_file_read(int file, void *data, size_t size, uint64_t offset, size_t *got) {
  const int problem = __real_sb_priv_file_read(file, data, size, offset, got);
  bytes_read += *got;
  return problem;
}

uint32_t __real_sb_crc32c(uint32_t checksum, const void *data, size_t size);
uint32_t __wrap_sb_crc32c(uint32_t checksum, const void *data, size_t size);
uint32_t __wrap_sb_crc32c(uint32_t checksum, const void *data, size_t size) {
  bytes_summed += size;
  return __real_sb_crc32c(checksum, data, size);
}

int __real_sb_priv_file_look_at(int folder, const char *name, sb_priv_file_facts *facts);
int __wrap_sb_priv_file_look_at(int folder, const char *name, sb_priv_file_facts *facts);
int __wrap_sb_priv_file_look_at(int folder, const char *name, sb_priv_file_facts *facts) {
  looks++;
  return __real_sb_priv_file_look_at(folder, name, facts);
}

void __real_sb_priv_visit_user_trim(visit_table *table, visit_user *user, uint32_t max_visits);
void __wrap_sb_priv_visit_user_trim(visit_table *table, visit_user *user, uint32_t max_visits);
void __wrap_sb_priv_visit_user_trim(visit_table *table, visit_user *user, uint32_t max_visits) {
  trims++;
  __real_sb_priv_visit_user_trim(table, user, max_visits);
}

uint64_t __wrap_sb_priv_boot(void);
uint64_t __wrap_sb_priv_boot(void) { return boot; }

/* ---- making files ---- */

enum {
  LIMIT_SIZE = 32 + VISIT_HEADER_SIZE,
  FIRST = VISIT_LOG_START + LIMIT_SIZE /* where the record behind the first limit lies */
};

/* What a store holds, as a text. */
static char *contents_of(const char *path, bool read_only) {
  sb_visit_manager *manager = NULL;
  sb_visit_scan *scan = NULL;
  sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, 0);
  options.read_only = read_only;
  assert_ok(sb_visit_manager_open(path, &options, &manager, &visit_error));
  assert_ok(sb_visit_manager_scan(manager, &scan, &visit_error));
  char *text = calloc(1, 1 << 20);
  assert_non_null(text);
  size_t size = 0;
  for (bool more = true; more;) {
    sb_visits *visits = NULL;
    const sb_visit *rows;
    size_t count;
    assert_ok(sb_visit_scan_next(scan, 100, &visits, &visit_error));
    assert_ok(sb_visits_get_all(visits, &rows, &count));
    for (size_t i = 0; i < count && size < (1 << 20) - 300; i++)
      size += (size_t)snprintf(text + size, 300, "%u/%u@%lld %.*s %.*s\n", rows[i].user, rows[i].visit_id, (long long)rows[i].time_ns,
                               (int)rows[i].url_size, (const char *)rows[i].url, (int)(rows[i].text_size < 60 ? rows[i].text_size : 60),
                               (const char *)rows[i].text);
    more = count > 0;
    sb_visits_close(visits);
  }
  sb_visit_scan_close(scan);
  sb_visit_manager_close(manager);
  return text;
}

/* A killed process's file: `adds` visits of user 7, each a record. */
static uint8_t *killed_file(int32_t durability, uint32_t adds, size_t *size) {
  sb_visit_manager *manager = open_file(durability, 100);
  for (uint32_t i = 1; i <= adds; i++) add(manager, 7, i, "0123456789", i);
  uint8_t *data = read_whole(test_path, size);
  sb_visit_manager_close(manager);
  return data;
}

static uint64_t record_end(const uint8_t *data, uint64_t offset) { return offset + visit_padded(visit_load32(data + offset)); }

static void checksum_again(uint8_t *data, uint64_t offset) {
  const uint32_t seed = sb_priv_visit_seed(data + 32);
  const size_t padded = (size_t)visit_padded(visit_load32(data + offset));
  visit_store32(data + offset + 4, sb_priv_visit_record_checksum(seed, data + offset, padded));
}

static void slot_again(uint8_t *data, unsigned i) {
  uint8_t *slot = data + (size_t)VISIT_SECTOR * (1 + i);
  visit_store32(slot + 60, sb_crc32c(0, slot, 60));
}

/* The slot that counts. */
static unsigned slot_of(const uint8_t *data) { return visit_load64(data + 512) > visit_load64(data + 1024) ? 0 : 1; }

/* A file that is put together in memory. */
typedef struct craft {
  visit_writer writer;
  uint8_t header[VISIT_HEADER_SIZE], uuid[16];
} craft;

static void craft_begin(craft *made, uint32_t max_visits) {
  *made = (craft){.uuid = "sixteen bytes..."};
  sb_priv_visit_header_fields(made->header, made->uuid);
  made->writer = (visit_writer){
      .file = -1, .seed = sb_priv_visit_seed(made->uuid), .end = VISIT_LOG_START, .durable = VISIT_LOG_START, .header = made->header};
  if (max_visits > 0) assert_ok(sb_priv_visit_writer_limit(&made->writer, max_visits));
}

static uint64_t craft_visit(craft *made, uint32_t user, uint32_t visit_id, size_t text_size) {
  static char text[70000];
  memset(text, 't', sizeof text);
  size_t start;
  const uint64_t offset = made->writer.end;
  assert_true(text_size < sizeof text);
  assert_ok(sb_priv_visit_writer_begin(&made->writer, VISIT_VISITS, user, VISIT_ITEM_HEAD + text_size, &start));
  sb_priv_visit_writer_item(&made->writer, visit_id, visit_id, "", 0, text, (uint32_t)text_size);
  sb_priv_visit_writer_end(&made->writer, start, 1);
  return offset;
}

/* Bytes that are no record, behind what is there. */
static uint8_t *craft_bytes(craft *made, size_t size) {
  assert_ok(sb_priv_visit_bytes_reserve(&made->writer.bytes, size));
  uint8_t *data = made->writer.bytes.data + made->writer.bytes.size;
  memset(data, 0, size);
  made->writer.bytes.size += size;
  made->writer.end += size;
  return data;
}

/* Writes the file: log length and index as its slot has them. */
static size_t craft_write(craft *made, uint32_t state, uint64_t length, uint64_t index) {
  const size_t size = VISIT_LOG_START + made->writer.bytes.size;
  uint8_t *data = malloc(size);
  assert_non_null(data);
  const visit_slot slot = {.generation = 1, .state = state, .length = length, .index = index};
  sb_priv_visit_header_encode(data, made->uuid, &slot);
  if (made->writer.bytes.size > 0) memcpy(data + VISIT_LOG_START, made->writer.bytes.data, made->writer.bytes.size);
  write_whole(test_path, data, size);
  free(data);
  return size;
}

static void craft_end(craft *made) { sb_priv_visit_bytes_free(&made->writer.bytes); }

/* ---- refusing and finding ---- */

static const char *beside(const char *suffix) {
  static char paths[4][400];
  static unsigned next;
  char *path = paths[next++ % 4];
  snprintf(path, 400, "%s%s", test_path, suffix);
  return path;
}

static sb_status verify(sb_visit_report *report) {
  *report = (sb_visit_report){.struct_size = sizeof *report};
  memset(&visit_error, 0, sizeof visit_error);
  return sb_verify_visits(test_path, report, &visit_error);
}

static sb_status salvage(const char *path, sb_visit_report *report) {
  *report = (sb_visit_report){.struct_size = sizeof *report};
  (void)remove(beside(".salvaged"));
  return sb_salvage_visits(path, beside(".salvaged"), report, &visit_error);
}

/* Both kinds of open, and verify, refuse the file, with the same offset, and leave it as it is. */
static void assert_refused_at(const uint8_t *data, size_t size, uint64_t offset) {
  sb_visit_manager *manager;
  sb_visit_report report;
  write_whole(test_path, data, size);
  for (int read_only = 0; read_only < 2; read_only++) {
    assert_status(try_open(read_only == 1, &manager), SB_CORRUPT);
    assert_int_equal(visit_error.stream_offset, offset);
    assert_file_is(test_path, data, size);
  }
  assert_status(verify(&report), SB_CORRUPT);
  assert_int_equal(visit_error.stream_offset, offset);
  assert_false(exists(".cut"));
}

static void assert_salvages(const char *path, const char *expected) {
  sb_visit_report report;
  if (salvage(path, &report) != SB_OK) fail_msg("salvage: %s", visit_error.message);
  char *found = contents_of(beside(".salvaged"), true);
  if (strcmp(found, expected) != 0) fail_msg("salvage found:\n%s\nand should find:\n%s", found, expected);
  free(found);
  assert_int_equal(report.format, 1);
}

/* ---- files of earlier states of the format ---- */

static void files_made_before_there_were_copies_of_the_header_open(void **state) {
  (void)state;
  static const char *const names[] = {"tests/core/golden/visits_1_closed.bin", "tests/core/golden/visits_1_indexed.bin",
                                      "tests/core/golden/visits_1_killed.bin"};
  for (size_t i = 0; i < 3; i++) {
    size_t size;
    uint8_t *data = read_whole(names[i], &size);
    make_file(i > 0); /* the same by this library */
    char *expected = contents_of(test_path, true);
    write_whole(test_path, data, size);
    sb_visit_report report;
    assert_ok(verify(&report));
    assert_int_equal(report.damaged_bytes, 0);
    for (int read_only = 1; read_only >= 0; read_only--) {
      char *found = contents_of(test_path, read_only == 1);
      assert_string_equal(found, expected);
      free(found);
    }
    /* What is added to such a file has no copies either, as its header says that there are none. */
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 4);
    const uint64_t end = stats_of(manager).file_bytes;
    size_t grown_size;
    uint8_t *grown = read_whole(test_path, &grown_size);
    assert_int_equal(visit_load32(grown + end - 32), 32);
    assert_int_equal(grown[end - 32 + 24], VISIT_LIMIT);
    assert_memory_equal(grown, data, 64);
    free(grown);
    close_file(manager);
    assert_ok(verify(&report));
    manager = open_file(SB_DURABILITY_NONE, 0);
    assert_ok(sb_visit_manager_compact(manager, &visit_error)); /* gives it copies */
    close_file(manager);
    assert_ok(verify(&report));
    grown = read_whole(test_path, &grown_size);
    assert_int_equal(visit_load32(grown + VISIT_LOG_START), LIMIT_SIZE);
    assert_memory_equal(grown, grown + VISIT_LOG_START + 32, VISIT_HEADER_SIZE);
    char *found = contents_of(test_path, true);
    assert_string_equal(found, expected);
    free(found);
    free(grown);
    free(expected);
    free(data);
    assert_int_equal(remove(test_path), 0);
  }
}

/* Of an old file as well, whose records are all that salvage has. */
static void an_old_file_without_its_first_page_is_salvaged(void **state) {
  (void)state;
  size_t size;
  uint8_t *data = read_whole("tests/core/golden/visits_1_indexed.bin", &size);
  write_whole(test_path, data, size);
  char *expected = contents_of(test_path, true);
  memset(data, 0, VISIT_LOG_START);
  write_whole(test_path, data, size);
  assert_salvages(test_path, expected);
  free(expected);
  free(data);
}

static void limits_and_indexes_carry_a_copy_of_the_header(void **state) {
  (void)state;
  make_file(true);
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  assert_int_equal(visit_load64(data + 16), VISIT_FEATURE_COPIES);
  assert_int_equal(visit_load32(data + VISIT_LOG_START), LIMIT_SIZE);
  assert_memory_equal(data + VISIT_LOG_START + 32, data, VISIT_HEADER_SIZE);
  const uint64_t index = visit_load64(data + VISIT_SECTOR * (1 + (size_t)slot_of(data)) + 24);
  assert_int_equal(data[index + 24], VISIT_INDEX);
  assert_int_equal(record_end(data, index), size);
  assert_memory_equal(data + index + visit_load32(data + index) - VISIT_HEADER_SIZE, data, VISIT_HEADER_SIZE);
  free(data);
}

/* ---- salvage from what is left ---- */

static void a_store_without_its_beginning_is_salvaged(void **state) {
  (void)state;
  static const size_t lost[] = {64, 512, 1024, 1536, 4096, FIRST};
  for (int indexed = 0; indexed < 2; indexed++) {
    make_file(indexed == 1);
    char *expected = contents_of(test_path, true);
    size_t size;
    uint8_t *data = read_whole(test_path, &size), *bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++)
      for (int with = 0; with < 256; with += 85) {
        memcpy(bytes, data, size);
        memset(bytes, with, lost[i]);
        write_whole(test_path, bytes, size);
        sb_visit_report report;
        /* Without limit and index the file's number of visits per user is lost, and what was evicted is back. */
        if (lost[i] == FIRST && indexed == 0) {
          assert_ok(salvage(test_path, &report));
          assert_true(report.visits >= 6);
          continue;
        }
        assert_salvages(test_path, expected);
        assert_ok(salvage(test_path, &report));
        if (lost[i] >= VISIT_LOG_START) assert_int_equal(report.damaged_bytes, lost[i]);
      }
    free(bytes);
    free(data);
    free(expected);
    assert_int_equal(remove(test_path), 0);
  }
}

/* No header, no slot, no copy, in a file that begins anywhere in the log. */
static void any_two_records_that_follow_each_other_are_found(void **state) {
  (void)state;
  size_t size;
  uint8_t *data = killed_file(SB_DURABILITY_NONE, 40, &size);
  const uint64_t step = record_end(data, FIRST) - FIRST;
  for (uint64_t from = FIRST; from + 2 * step <= size; from += step) {
    const uint32_t first = (uint32_t)((from - FIRST) / step) + 1;
    char expected[120];
    snprintf(expected, sizeof expected, "7/%u@%u url 0123456789\n7/%u@%u url 0123456789\n", first + 1, first + 1, first, first);
    for (size_t before = 0; before < 4096; before += 1000) { /* with other bytes around them */
      uint8_t *bytes = malloc(before + 2 * step + 1000);
      assert_non_null(bytes);
      memset(bytes, (int)before, before + 2 * step + 1000);
      memcpy(bytes + before, data + from, 2 * step);
      write_whole(test_path, bytes, before + 2 * step + 1000);
      assert_salvages(test_path, expected);
      free(bytes);
    }
  }
  free(data);
}

static void records_that_are_not_neighbours_are_found(void **state) {
  (void)state;
  size_t size;
  uint8_t *data = killed_file(SB_DURABILITY_NONE, 9, &size);
  memset(data, 0, FIRST);
  for (uint64_t at = FIRST; at < size; at = record_end(data, at))
    if (data[at + 8] % 2 == 0) data[at + 40] ^= 1; /* every other one is bad */
  write_whole(test_path, data, size);
  sb_visit_report report;
  assert_ok(salvage(test_path, &report));
  assert_in_range(report.visits, 4, 5);
  free(data);
}

static void the_only_record_is_found(void **state) {
  (void)state;
  size_t size;
  uint8_t *data = killed_file(SB_DURABILITY_NONE, 5, &size);
  const uint64_t step = record_end(data, FIRST) - FIRST;
  memset(data, 0, FIRST + 2 * step);
  memset(data + FIRST + 3 * step, 0xff, size - FIRST - 3 * step);
  write_whole(test_path, data, size);
  assert_salvages(test_path, "7/3@3 url 0123456789\n");
  free(data);
}

/* What may be heads says many seeds, or one again and again. */
static void records_are_found_among_what_looks_like_heads(void **state) {
  (void)state;
  uint64_t seed = 8;
  size_t size;
  uint8_t *data = killed_file(SB_DURABILITY_NONE, 5, &size);
  const uint64_t step = record_end(data, FIRST) - FIRST;
  uint8_t *bytes = calloc(1, 3 * step + 80000);
  assert_non_null(bytes);
  for (size_t at = 0; at + 40 <= 40000 + 2 * step; at += 40) { /* different ones, and so large that few of them can be looked into */
    visit_store32(bytes + at, 20000 + random_next(&seed) % 40 * 8);
    visit_store32(bytes + at + 4, random_next(&seed));
    visit_store64(bytes + at + 8, 1000 + at);
    bytes[at + 24] = VISIT_VISITS;
    bytes[at + 26] = 1;
    visit_store32(bytes + at + 32, random_next(&seed));
  }
  memcpy(bytes + 20000, data + FIRST + step, 2 * step);
  write_whole(test_path, bytes, 3 * step + 80000);
  assert_salvages(test_path, "7/3@3 url 0123456789\n7/2@2 url 0123456789\n");
  memset(bytes, 0, 3 * step + 80000);
  memcpy(bytes, data + FIRST + step, step);
  for (size_t at = step; at < step + 80000; at += 8) visit_store64(bytes + at, 0x10001); /* the same */
  write_whole(test_path, bytes, step + 80000);
  assert_salvages(test_path, "7/2@2 url 0123456789\n");
  free(bytes);
  free(data);
}

/* Part of an older log behind the present one: what was deleted since does not come back. */
static void records_that_come_again_are_not_taken_twice(void **state) {
  (void)state;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 10);
  bool found;
  for (uint32_t i = 1; i <= 4; i++) add(manager, 7, i, "0123456789", i);
  assert_ok(sb_visit_manager_delete_visits(manager, 7, (uint32_t[]){2}, 1, &found, &visit_error));
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  sb_visit_manager_close(manager);
  const uint64_t step = record_end(data, FIRST) - FIRST;
  data = realloc(data, size + 2 * step);
  assert_non_null(data);
  memcpy(data + size, data + FIRST + step, 2 * step);
  memset(data, 0, VISIT_LOG_START);
  write_whole(test_path, data, size + 2 * step);
  assert_salvages(test_path, "7/4@4 url 0123456789\n7/3@3 url 0123456789\n7/1@1 url 0123456789\n");
  sb_visit_report report;
  assert_ok(salvage(test_path, &report));
  assert_int_equal(report.damaged_bytes, VISIT_LOG_START + 2 * step - 7); /* zeros at the end may be nothing */
  free(data);
}

/* Whatever repeats itself, or is anything else, is no store. */
static void nothing_is_found_in_what_is_no_store(void **state) {
  (void)state;
  const size_t size = 100000;
  uint8_t *data = malloc(size);
  sb_visit_report report;
  uint64_t seed = 5;
  assert_non_null(data);
  for (int kind = 0; kind < 5; kind++) {
    for (size_t i = 0; i < size; i += 8) {
      const uint64_t words[] = {0, 0x0000000000010001, random_next(&seed), (uint64_t)random_next(&seed) << 32 | random_next(&seed), i};
      visit_store64(data + i, words[kind]);
    }
    write_whole(test_path, data, size);
    assert_status(salvage(test_path, &report), SB_CORRUPT);
    assert_false(exists(".salvaged"));
  }
  free(data);
}

/* The first page may be that of another store. */
static void the_header_of_another_store_does_not_hide_the_records(void **state) {
  (void)state;
  size_t size, other_size;
  make_file(false);
  uint8_t *other = read_whole(test_path, &other_size);
  assert_int_equal(remove(test_path), 0);
  make_file(false);
  char *expected = contents_of(test_path, true);
  uint8_t *data = read_whole(test_path, &size);
  memcpy(data, other, VISIT_LOG_START);
  write_whole(test_path, data, size);
  sb_visit_manager *manager;
  assert_status(try_open(true, &manager), SB_CORRUPT);
  assert_salvages(test_path, expected);
  free(expected);
  free(data);
  free(other);
}

static void a_copy_says_what_a_newer_library_is_needed_for(void **state) {
  (void)state;
  make_file(true);
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  uint8_t *copy = data + VISIT_LOG_START + 32;
  visit_store64(copy + 16, 0x80);
  visit_store32(copy + 60, sb_crc32c(0, copy, 60));
  memset(data, 0, VISIT_LOG_START);
  write_whole(test_path, data, size);
  sb_visit_report report;
  assert_status(salvage(test_path, &report), SB_UNSUPPORTED);
  free(data);
}

/* ---- a bad record, and the start of the system ---- */

enum {
  RECORDS = 30
};

static void behind_a_bad_record_of_the_same_start_nothing_is_dropped(void **state) {
  (void)state;
  size_t size;
  uint8_t *data = killed_file(SB_DURABILITY_NONE, RECORDS, &size);
  for (uint64_t at = FIRST, next; (next = record_end(data, at)) < size; at = next) { /* of the last one nothing says that it was whole */
    uint8_t kept[16];
    memcpy(kept, data + at, sizeof kept);
    for (uint64_t byte = at; byte < next; byte += 7) {
      data[byte] ^= 0x10;
      assert_refused_at(data, size, at);
      data[byte] ^= 0x10;
    }
    memset(data + at, 0, sizeof kept); /* a length of 0 */
    assert_refused_at(data, size, at);
    memcpy(data + at, kept, sizeof kept);
  }
  /* Nothing but that record is lost. */
  data[FIRST + 40] ^= 1;
  write_whole(test_path, data, size);
  sb_visit_report report;
  assert_ok(salvage(test_path, &report));
  assert_int_equal(report.visits, RECORDS - 1);
  assert_int_equal(report.damaged_offset, FIRST);
  assert_int_equal(report.damaged_bytes, record_end(data, FIRST) - FIRST);
  free(data);
}

/* After a power failure that is what a disk may do. What is cut off is kept, and told, and the same command salvages it. */
static void behind_a_bad_record_of_another_start_it_is_cut_off_and_can_be_salvaged(void **state) {
  (void)state;
  static const struct {
    uint64_t written, now;
  } starts[] = {{77, 78}, {77, 0}, {0, 77}, {0, 0}};
  for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
    size_t size;
    boot = starts[i].written;
    uint8_t *data = killed_file(SB_DURABILITY_NONE, RECORDS, &size);
    boot = starts[i].now;
    const uint64_t step = record_end(data, FIRST) - FIRST, bad = FIRST + 9 * step;
    data[bad + 40] ^= 1;
    write_whole(test_path, data, size);
    size_t used = size; /* what follows may be zeros that were written beforehand, and is cut off as such */
    while (data[used - 1] == 0) used--;
    assert_true(used < size);
    sb_visit_report report;
    assert_ok(verify(&report));
    assert_int_equal(report.damaged_offset, bad);
    assert_int_equal(report.damaged_bytes, used - bad);
    sb_visit_manager *manager;
    assert_ok(try_open(true, &manager));
    assert_string_equal(ids_of(manager, 7), "9 8 7 6 5 4 3 2 1");
    assert_int_equal(stats_of(manager).cut_bytes, used - bad); /* a reader tells what it does not show */
    sb_visit_manager_close(manager);
    assert_file_is(test_path, data, size);
    manager = open_file(SB_DURABILITY_NONE, 0);
    assert_string_equal(ids_of(manager, 7), "9 8 7 6 5 4 3 2 1");
    assert_int_equal(stats_of(manager).cut_bytes, used - bad);
    close_file(manager);
    assert_file_is(beside(".cut"), data + bad, used - bad);
    assert_ok(salvage(beside(".cut"), &report));
    assert_int_equal(report.records, RECORDS - 10);
    assert_int_equal(report.visits, RECORDS - 10);
    assert_int_equal(report.damaged_offset, 0);
    assert_int_equal(report.damaged_bytes, step);
    assert_int_equal(rename(beside(".salvaged"), test_path), 0);
    manager = open_file(SB_DURABILITY_NONE, 0);
    assert_int_equal(strncmp(ids_of(manager, 7), "30 29 28", 8), 0);
    close_file(manager);
    assert_int_equal(remove(test_path) | remove(beside(".cut")), 0);
    free(data);
    boot = 77;
  }
}

/* Of one record alone nothing in the cut says whose it is; the file beside it does. */
static void what_was_cut_is_read_with_the_seed_of_its_file(void **state) {
  (void)state;
  size_t size;
  uint8_t *data = killed_file(SB_DURABILITY_NONE, 3, &size);
  const uint64_t step = record_end(data, FIRST) - FIRST;
  static const char *const names[] = {".cut", ".cut.1", ".cut.207"};
  write_whole(test_path, data, size);
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
  bool found;
  assert_ok(sb_visit_manager_delete_visits(manager, 7, (uint32_t[]){1, 2}, 2, &found, &visit_error));
  sb_visit_manager_close(manager);
  size_t whole_size;
  uint8_t *whole = read_whole(test_path, &whole_size);
  const uint64_t deletes = FIRST + 3 * step;
  assert_int_equal(whole[deletes + 24], VISIT_DELETE);
  /* A delete's content would fit any seed, so without the file there is nothing of use in it. */
  sb_visit_report report;
  for (size_t i = 0; i < 3; i++) {
    write_whole(beside(names[i]), whole + deletes, whole_size - deletes);
    assert_ok(salvage(beside(names[i]), &report));
    assert_int_equal(report.records, 1);
  }
  write_whole(beside(".cut.x"), whole + deletes, whole_size - deletes);
  assert_status(salvage(beside(".cut.x"), &report), SB_CORRUPT);
  assert_int_equal(remove(test_path), 0);
  assert_status(salvage(beside(".cut"), &report), SB_CORRUPT);
  free(whole);
  free(data);
}

/* A kill leaves a beginning of a write, of whatever size, with nothing or zeros behind. It is never taken for damage. */
static void a_torn_write_of_a_killed_process_is_cut_off(void **state) {
  (void)state;
  enum {
    BATCH = 40
  };
  char text[700];
  memset(text, 't', sizeof text);
  sb_visit visits[BATCH];
  for (uint32_t i = 0; i < BATCH; i++) visits[i] = (sb_visit){1000 + i, 100 + i, i, "url", 3, text, 1 + i * 17};
  size_t before, size;
  free(killed_file(SB_DURABILITY_NONE, 5, &before));
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
  assert_ok(sb_visit_manager_add_visits(manager, visits, BATCH, &visit_error)); /* one write, several pages, a record per user */
  uint8_t *data = read_whole(test_path, &size);
  sb_visit_manager_close(manager);
  assert_true(size - before > 3 * 4096);
  uint8_t *image = calloc(1, size + 8192);
  assert_non_null(image);
  for (size_t written = before; written <= size; written += 1 + (size_t)(written % 5) * 3) {
    for (size_t zeros = 0; zeros <= 8192; zeros += 8192) {
      memset(image, 0, size + 8192);
      memcpy(image, data, written);
      const size_t image_size = zeros == 0 ? written : size + zeros;
      write_whole(test_path, image, image_size);
      assert_ok(try_open(true, &manager));
      assert_string_equal(ids_of(manager, 7), written >= FIRST ? "5 4 3 2 1" : "");
      sb_visit_manager_close(manager);
      uint32_t whole = 0;
      for (uint64_t at = before; at < size && record_end(data, at) <= written; at = record_end(data, at)) whole++;
      manager = open_file(SB_DURABILITY_NONE, 0);
      for (uint32_t i = 0; i < BATCH; i += 13) {
        char id[12] = "";
        if (i < whole) snprintf(id, sizeof id, "%u", 100 + i);
        assert_string_equal(ids_of(manager, 1000 + i), id);
      }
      close_file(manager);
      (void)remove(beside(".cut"));
    }
  }
  free(image);
  free(data);
}

/* A reader that was opened under an earlier start than its writer tells by the slot that the writer wrote. */
static void a_reader_that_came_before_its_writer_tells_of_damage(void **state) {
  (void)state;
  boot = 76;
  make_file(false);
  sb_visit_manager *reader = NULL, *writer;
  boot = 77;
  assert_ok(try_open(true, &reader));
  writer = open_file(SB_DURABILITY_NONE, 0);
  const uint64_t end = stats_of(writer).file_bytes;
  for (uint32_t i = 100; i < 103; i++) add(writer, 1000, i, "later", i);
  const int file = open(test_path, O_RDWR | O_CLOEXEC);
  assert_true(file >= 0 && pwrite(file, "x", 1, (off_t)end + VISIT_HEAD) == 1);
  bool changed = false;
  assert_status(sb_visit_manager_refresh(reader, &changed, &visit_error), SB_CORRUPT);
  assert_int_equal(visit_error.stream_offset, end);
  close(file);
  sb_visit_manager_close(reader);
  sb_visit_manager_close(writer);
}

static void a_boot_id_that_is_none_is_unknown(void **state) {
  (void)state;
  static const char good[] = "5f1d6cc7-0b62-4b1c-8c7e-9d25ab0fd1c3\n";
  static const char *const bad[] = {"",
                                    "5f1d6cc7",
                                    "00000000-0000-0000-0000-000000000000\n",
                                    "5f1d6cc7-0b62-4b1c-8c7e-9d25ab0fd1cX\n",
                                    "5f1d6cc70b62-4b1c-8c7e-9d25ab0fd1c333\n",
                                    "not available, not available, not at all"};
  assert_int_not_equal(sb_priv_boot_number(good, strlen(good)), 0);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_int_equal(sb_priv_boot_number(bad[i], strlen(bad[i])), 0);
}

/* ---- what a file may lack ---- */

static void assert_crafted_is_refused(craft *made, uint64_t length, uint64_t index, uint64_t offset) {
  const size_t size = craft_write(made, VISIT_SLOT_CLOSED, length, index);
  size_t got;
  uint8_t *data = read_whole(test_path, &got);
  assert_int_equal(got, size);
  assert_refused_at(data, size, offset);
  free(data);
}

static void a_file_without_a_limit_is_refused(void **state) {
  (void)state;
  craft made;
  craft_begin(&made, 0);
  assert_crafted_is_refused(&made, VISIT_LOG_START, 0, VISIT_LOG_START); /* no record at all */
  (void)craft_bytes(&made, 4096);                                        /* zeros */
  assert_crafted_is_refused(&made, VISIT_LOG_START, 0, VISIT_LOG_START);
  craft_end(&made);
  craft_begin(&made, 0);
  (void)craft_visit(&made, 1, 1, 10);
  assert_crafted_is_refused(&made, VISIT_LOG_START, 0, VISIT_LOG_START);
  assert_crafted_is_refused(&made, made.writer.end, 0, VISIT_LOG_START);
  (void)sb_priv_visit_writer_limit(&made.writer, 5); /* too late */
  assert_crafted_is_refused(&made, made.writer.end, 0, VISIT_LOG_START);
  /* What is valid in it can be copied. */
  sb_visit_report report;
  assert_ok(salvage(test_path, &report));
  assert_int_equal(report.visits, 1);
  craft_end(&made);
}

static void a_limit_of_nothing_is_no_record(void **state) {
  (void)state;
  craft made;
  craft_begin(&made, 5);
  uint8_t *data = made.writer.bytes.data;
  visit_store32(data + 28, 0);
  visit_store32(data + 4, sb_priv_visit_record_checksum(made.writer.seed, data, LIMIT_SIZE));
  assert_crafted_is_refused(&made, VISIT_LOG_START, 0, VISIT_LOG_START);
  craft_end(&made);
}

/* As the writer would go on from it, and come to 0. */
static void a_sequence_that_no_place_can_have_is_no_record(void **state) {
  (void)state;
  make_file(true);
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  const uint64_t index = visit_load64(data + VISIT_SECTOR * (1 + (size_t)slot_of(data)) + 24);
  static const uint64_t sequences[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 40, 1 << 20, 0};
  for (size_t i = 0; i < 5; i++) {
    visit_store64(data + index + 8, sequences[i]);
    checksum_again(data, index);
    write_whole(test_path, data, size);
    sb_visit_manager *manager;
    assert_status(try_open(true, &manager), SB_CORRUPT);
    assert_int_equal(visit_error.stream_offset, index);
  }
  free(data);
}

/* An index that is not that of this state of the file is not believed: `change` makes it so, with its checksums right. */
static void assert_index_is_not_believed(void (*change)(uint8_t *data, uint64_t index, uint64_t page), const char *what, bool compacted) {
  make_file(true);
  if (compacted) { /* a record per user, which a walk shows as it lies there */
    sb_visit_manager *compacting = open_file(SB_DURABILITY_NONE, 0);
    assert_ok(sb_visit_manager_compact(compacting, &visit_error));
    close_file(compacting);
  }
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  const uint64_t index = visit_load64(data + VISIT_SECTOR * (1 + (size_t)slot_of(data)) + 24);
  const uint64_t page = visit_load64(data + index + VISIT_HEAD + 32 + 8);
  assert_int_equal(data[page + 24], VISIT_PAGE);
  change(data, index, page);
  checksum_again(data, page);
  checksum_again(data, index);
  write_whole(test_path, data, size);
  sb_visit_report report;
  sb_visit_manager *manager;
  if (verify(&report) != SB_CORRUPT) fail_msg("%s: verify finds nothing", what);
  const sb_status status = try_open(true, &manager);
  if (status == SB_OK) {
    /* What open does not read is found when a user is asked for. */
    sb_visits *visits = NULL;
    sb_status read = SB_OK;
    sb_visit_scan *scan = NULL;
    assert_ok(sb_visit_manager_scan(manager, &scan, &visit_error));
    const sb_status walked = sb_visit_scan_next(scan, 1000, &visits, &visit_error);
    if (walked == SB_OK) sb_visits_close(visits);
    if (walked != SB_CORRUPT) fail_msg("%s: opened, and walked: %s", what, sb_status_name(walked));
    sb_visit_scan_close(scan);
    for (uint32_t user = 0; user <= 3000 && read == SB_OK; user += 1000) {
      read = sb_visit_manager_get_recent_visits(manager, user, &visits, &visit_error);
      if (read == SB_OK) sb_visits_close(visits);
    }
    if (read != SB_CORRUPT) fail_msg("%s: opened, and read: %s", what, sb_status_name(read));
    sb_visit_manager_close(manager);
  } else {
    assert_int_equal(status, SB_CORRUPT);
  }
  free(data);
  assert_int_equal(remove(test_path), 0);
}

/* Compaction goes by the index, so it cannot go on without a page of it: that is told, with what to do, and nothing is lost by doing so. */
static void a_damaged_page_of_the_index_costs_no_visit(void **state) {
  (void)state;
  make_file(true);
  static char before[4][4096];
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
  for (uint32_t i = 0; i < 4; i++) snprintf(before[i], sizeof before[i], "%s", ids_of(manager, i * 1000));
  close_file(manager);
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  const uint64_t index = visit_load64(data + VISIT_SECTOR * (1 + (size_t)slot_of(data)) + 24);
  data[visit_load64(data + index + VISIT_HEAD + 32 + 8) + VISIT_HEAD + 1] ^= 1;
  write_whole(test_path, data, size);
  free(data);
  assert_ok(try_open(false, &manager));
  assert_status(sb_visit_manager_compact(manager, &visit_error), SB_CORRUPT);
  assert_non_null(strstr(visit_error.message, "salvage finds all visits without it"));
  sb_visit_manager_close(manager);
  sb_visit_report report;
  assert_ok(salvage(test_path, &report));
  sb_visit_manager_options options = options_of(SB_DURABILITY_NONE, 0);
  options.read_only = true;
  assert_ok(sb_visit_manager_open(beside(".salvaged"), &options, &manager, &visit_error));
  for (uint32_t i = 0; i < 4; i++) assert_string_equal(ids_of(manager, i * 1000), before[i]);
  sb_visit_manager_close(manager);
}

static void of_another_file(uint8_t *data, uint64_t index, uint64_t page) {
  uint8_t *copy = data + index + visit_load32(data + index) - VISIT_HEADER_SIZE;
  (void)page;
  copy[33] ^= 1;
  visit_store32(copy + 60, sb_crc32c(0, copy, 60));
}
static void with_a_feature_that_the_header_lacks(uint8_t *data, uint64_t index, uint64_t page) {
  uint8_t *copy = data + index + visit_load32(data + index) - VISIT_HEADER_SIZE;
  (void)page;
  copy[23] ^= 8;
  visit_store32(copy + 60, sb_crc32c(0, copy, 60));
}
static void page_of_a_later_state(uint8_t *data, uint64_t index, uint64_t page) {
  visit_store64(data + page + 8, visit_load64(data + index + 8));
}
static void page_with_another_last_user(uint8_t *data, uint64_t index, uint64_t page) {
  (void)page;
  visit_store32(data + index + VISIT_HEAD + 32 + 4, visit_load32(data + index + VISIT_HEAD + 32 + 4) + 1);
}
static void page_with_another_count(uint8_t *data, uint64_t index, uint64_t page) {
  (void)page;
  visit_store32(data + index + VISIT_HEAD + 32 + 20, visit_load32(data + index + VISIT_HEAD + 32 + 20) - 1);
}
static void more_users_than_visits(uint8_t *data, uint64_t index, uint64_t page) {
  (void)page;
  visit_store64(data + index + VISIT_HEAD + 16, visit_load64(data + index + VISIT_HEAD + 8) - 1);
}
static void no_visits_per_user(uint8_t *data, uint64_t index, uint64_t page) {
  (void)page;
  visit_store32(data + index + VISIT_HEAD + 4, 0);
}
static void users_who_are_not_there(uint8_t *data, uint64_t index, uint64_t page) {
  (void)page;
  visit_store64(data + index + VISIT_HEAD + 8, visit_load64(data + index + VISIT_HEAD + 8) + 1);
}
/* The last run names a record that came after the page. */
static void visits_of_a_later_state(uint8_t *data, uint64_t index, uint64_t page) {
  const uint64_t record = visit_run_offset(visit_load64(data + page + visit_load32(data + page) - 8));
  (void)index;
  visit_store64(data + record + 8, (record - VISIT_LOG_START) / VISIT_HEAD); /* more than the index has, and possible there */
  checksum_again(data, record);
}

static void an_index_of_another_state_is_not_believed(void **state) {
  (void)state;
  static const struct {
    void (*change)(uint8_t *data, uint64_t index, uint64_t page);
    const char *what;
  } cases[] = {{of_another_file, "of another file"},
               {with_a_feature_that_the_header_lacks, "with a feature that the header lacks"},
               {page_of_a_later_state, "a page of a later state"},
               {page_with_another_last_user, "another last user"},
               {page_with_another_count, "another count"},
               {more_users_than_visits, "more users than visits"},
               {no_visits_per_user, "no visits per user"},
               {users_who_are_not_there, "users who are not there"},
               {visits_of_a_later_state, "visits of a later state"}};
  for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++)
    assert_index_is_not_believed(cases[i / 2].change, cases[i / 2].what, i % 2 == 1);
}

/* A walk shows most records as they lie there; asking for the user decodes them. Both must see the same. */
static void an_index_that_names_a_record_with_an_id_twice_shows_one_of_them(void **state) {
  (void)state;
  craft made;
  for (uint32_t count = 2; count <= VISIT_ITEMS_MAX; count = count * 2 - 1) {
    craft_begin(&made, VISIT_ITEMS_MAX);
    size_t start;
    const uint64_t offset = made.writer.end;
    assert_ok(sb_priv_visit_writer_begin(&made.writer, VISIT_VISITS, 7, (size_t)(VISIT_ITEM_HEAD + 4) * count, &start));
    for (uint32_t i = 0; i < count; i++) sb_priv_visit_writer_item(&made.writer, i, i == count - 1 ? 0 : i, "", 0, "text", 4);
    sb_priv_visit_writer_end(&made.writer, start, count);
    visit_index_writer index;
    visit_base base = {0};
    const uint64_t run = visit_run(offset, 0, count);
    sb_priv_visit_index_begin(&index, &made.writer);
    assert_ok(sb_priv_visit_index_put(&index, 7, &run, 1));
    assert_ok(sb_priv_visit_index_end(&index, VISIT_ITEMS_MAX, 0, &base));
    (void)craft_write(&made, VISIT_SLOT_CLOSED, made.writer.end, base.offset);
    free(base.pages);
    craft_end(&made);
    sb_visit_manager *manager;
    sb_visit_scan *scan = NULL;
    sb_visits *walked = NULL, *asked = NULL;
    assert_ok(try_open(true, &manager));
    assert_ok(sb_visit_manager_scan(manager, &scan, &visit_error));
    assert_ok(sb_visit_scan_next(scan, SIZE_MAX, &walked, &visit_error));
    assert_ok(sb_visit_manager_get_recent_visits(manager, 7, &asked, &visit_error));
    assert_int_equal(sb_visits_count(walked), count - 1);
    assert_same_rows(walked, asked, true);
    sb_visits_close(walked);
    sb_visits_close(asked);
    sb_visit_scan_close(scan);
    sb_visit_manager_close(manager);
    sb_visit_report report;
    assert_status(verify(&report), SB_CORRUPT);
  }
}

/* ---- verify ---- */

static bool verify_finds(const uint8_t *data, size_t size) {
  sb_visit_report report;
  write_whole(test_path, data, size);
  const sb_status status = verify(&report);
  assert_true(status == SB_OK || status == SB_CORRUPT || status == SB_UNSUPPORTED);
  return status != SB_OK || report.damaged_bytes > 0;
}

/* Of every byte: those that open does not look at, too. */
static void verify_finds_every_flipped_bit(void **state) {
  (void)state;
  const size_t step = getenv("SAMEBYTES_NIGHTLY") != NULL ? 1 : 5; /* NOLINT(concurrency-mt-unsafe): no other thread */
  make_file(true);
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  assert_false(verify_finds(data, size));
  for (size_t bit = 0; bit < size * 8; bit += step) {
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (!verify_finds(data, size)) fail_msg("verify does not find bit %zu of byte %zu", bit % 8, bit / 8);
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  free(data);
}

/* With checksums that are right, so that only the meaning is wrong. */
static void verify_finds_what_checksums_do_not(void **state) {
  (void)state;
  make_file(true);
  size_t size;
  uint8_t *data = read_whole(test_path, &size), *bytes = malloc(size);
  assert_non_null(bytes);
  const unsigned counts = slot_of(data);
  const uint64_t index = visit_load64(data + VISIT_SECTOR * (1 + (size_t)counts) + 24);
  uint64_t padded = 0;
  for (uint64_t at = FIRST; at < size && padded == 0; at = record_end(data, at))
    if (visit_load32(data + at) % 8 != 0) padded = at;
  assert_int_not_equal(padded, 0);
  for (int kind = 0; kind < 13; kind++) {
    memcpy(bytes, data, size);
    uint8_t *slot = bytes + VISIT_SECTOR * (1 + (size_t)counts), *other = bytes + VISIT_SECTOR * (2 - (size_t)counts);
    uint8_t *live = bytes + index + VISIT_HEAD + 24, *visits = bytes + index + VISIT_HEAD + 16;
    switch (kind) {
    case 0: visit_store64(live, visit_load64(live) + 1); break;
    case 1: visit_store64(live, 0); break;
    case 2: visit_store64(visits, visit_load64(visits) + 1); break;
    case 3: bytes[padded + visit_load32(bytes + padded)] = 1; break; /* the padding */
    case 4: bytes[12 + (slot - bytes)] = 1; break;
    case 5: bytes[58 + (other - bytes)] = 1; break;
    case 6: visit_store64(slot + 16, visit_load64(slot + 16) - 8); break; /* inside the last record */
    case 7: visit_store64(other + 16, FIRST + 8); break;
    case 8: bytes[10] = 1; break;
    case 9: bytes[50] = 1; break;
    case 10: visit_store64(other + 24, FIRST); break;    /* an index that is none */
    case 11: visit_store64(other + 16, size + 8); break; /* once more was on disk */
    default: visit_store32(other + 8, 3); break;         /* a state that is none: the slot is not valid */
    }
    checksum_again(bytes, padded);
    checksum_again(bytes, index);
    slot_again(bytes, 0);
    slot_again(bytes, 1);
    visit_store32(bytes + 60, sb_crc32c(0, bytes, 60));
    if (!verify_finds(bytes, size)) fail_msg("verify does not find kind %d", kind);
  }
  free(bytes);
  free(data);
}

static void verify_takes_a_torn_slot_for_bytes_that_nobody_uses(void **state) {
  (void)state;
  make_file(true);
  size_t size;
  uint8_t *data = read_whole(test_path, &size);
  const size_t other = VISIT_SECTOR * (2 - (size_t)slot_of(data));
  char *expected = contents_of(test_path, true);
  memset(data + other, 0x5a, 30);
  write_whole(test_path, data, size);
  sb_visit_report report;
  assert_ok(verify(&report));
  assert_int_equal(report.damaged_bytes, VISIT_SLOT_SIZE);
  assert_int_equal(report.damaged_offset, other);
  char *found = contents_of(test_path, false);
  assert_string_equal(found, expected);
  free(found);
  free(expected);
  free(data);
}

/* ---- the algebra, and the pass, against doing it the long way ---- */

static void a_seed_follows_from_any_record(void **state) {
  (void)state;
  uint64_t seed = 3;
  for (unsigned round = 0; round < 300; round++) {
    uint8_t data[400];
    const size_t before = random_next(&seed) % 40, padded = 32 + random_next(&seed) % 40 * 8;
    const uint32_t wanted = random_next(&seed) ^ random_next(&seed) << 8;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)random_next(&seed);
    uint8_t *record = data + before;
    visit_store32(record + 4, sb_priv_visit_record_checksum(wanted, record, padded));
    const uint32_t first = ~sb_crc32c(UINT32_MAX, data, before + 8), last = ~sb_crc32c(UINT32_MAX, data, before + padded);
    assert_int_equal(sb_priv_visit_scan_seed_of(first, last, record, padded), wanted);
  }
}

static void a_scan_finds_what_trying_each_place_finds(void **state) {
  (void)state;
  uint64_t seed = getenv("SAMEBYTES_NIGHTLY") != NULL ? (uint64_t)sb_priv_clock_ns() : 9; /* NOLINT(concurrency-mt-unsafe) */
  for (unsigned round = 0; round < 60; round++) {
    craft made;
    craft_begin(&made, 3);
    for (unsigned i = 0; i < 40; i++) {
      const uint32_t kind = random_next(&seed) % 4;
      if (kind < 2)
        (void)craft_visit(&made, i, i, random_next(&seed) % 900);
      else
        for (uint8_t *at = craft_bytes(&made, 8 * (1 + (size_t)random_next(&seed) % 60)),
                     *end = made.writer.bytes.data + made.writer.bytes.size;
             at < end; at += 8)
          visit_store64(at, kind == 2 ? 0x10001 : random_next(&seed) % 3 == 0 ? random_next(&seed) % 2000 : 0);
    }
    for (unsigned i = 0; i < 10; i++) made.writer.bytes.data[random_next(&seed) % made.writer.bytes.size] ^= 1;
    const size_t size = craft_write(&made, VISIT_SLOT_OPEN, VISIT_LOG_START, 0);
    size_t got;
    uint8_t *data = read_whole(test_path, &got);
    const int file = open(test_path, O_RDONLY | O_CLOEXEC);
    visit_scan scan;
    visit_record record, expected;
    sb_priv_visit_scan_begin(&scan, file, VISIT_LOG_START, size, false);
    for (uint64_t at = VISIT_LOG_START; size - at >= VISIT_HEAD;) {
      const bool head = sb_priv_visit_head_decode(data + at, at, &expected) && visit_padded(expected.length) <= size - at;
      const size_t padded = head ? (size_t)visit_padded(expected.length) : 0;
      if (!head || sb_priv_visit_record_checksum(made.writer.seed, data + at, padded) != visit_load32(data + at + 4)) {
        at += 8;
        continue;
      }
      assert_ok(sb_priv_visit_scan_next(&scan, made.writer.seed, &record));
      assert_int_equal(record.offset, at);
      at += padded;
    }
    assert_status(sb_priv_visit_scan_next(&scan, made.writer.seed, &record), SB_NOT_FOUND);
    sb_priv_visit_scan_end(&scan);
    close(file);
    free(data);
    craft_end(&made);
  }
}

/* Of a file of small records, bad ones and good ones, a scan keeps what one record needs, and reads each byte twice. */
static void a_scan_keeps_and_reads_little(void **state) {
  (void)state;
  craft made;
  craft_begin(&made, 3);
  for (uint32_t i = 0; i < 20000; i++) {
    const uint64_t offset = craft_visit(&made, i, i, 100);
    if (i % 2 == 0) made.writer.bytes.data[offset - VISIT_LOG_START + 60] ^= 1;
  }
  const size_t size = craft_write(&made, VISIT_SLOT_OPEN, VISIT_LOG_START, 0);
  const int file = open(test_path, O_RDONLY | O_CLOEXEC);
  visit_scan scan;
  visit_record record;
  bytes_read = 0;
  sb_priv_visit_scan_begin(&scan, file, VISIT_LOG_START, size, false);
  unsigned found = 0;
  while (sb_priv_visit_scan_next(&scan, made.writer.seed, &record) == SB_OK) found++;
  assert_int_equal(found, 10001);
  assert_in_range(bytes_read, size, 2 * size + 65536);
  assert_in_range(scan.capacity, 1, 4096);
  sb_priv_visit_scan_end(&scan);
  close(file);
  craft_end(&made);
}

/* ---- the work is bounded by the size ---- */

#define READS_MAX 24 /* times the size; of a file of small records a user's are read in pieces of 512 bytes, for counting and for copying */

/* Opens, verifies and salvages a crafted file, whatever comes of it. */
static void assert_linear(const char *what, size_t size) {
  static const char *const acts[] = {"open", "open to write", "verify", "salvage"};
  sb_visit_manager *manager;
  sb_visit_report report;
  size_t got;
  uint8_t *data = read_whole(test_path, &got);
  assert_int_equal(got, size);
  for (int act = 0; act < 4; act++) {
    write_whole(test_path, data, size);
    bytes_read = bytes_summed = trims = 0;
    if (act < 2 && try_open(act == 0, &manager) == SB_OK) sb_visit_manager_close(manager);
    if (act == 2) (void)verify(&report);
    if (act == 3) (void)salvage(test_path, &report);
    if (bytes_read > READS_MAX * size + 65536)
      fail_msg("%s: %s of %zu bytes reads %llu", what, acts[act], size, (unsigned long long)bytes_read);
    if (bytes_summed > READS_MAX * size + 65536)
      fail_msg("%s: %s of %zu bytes checks %llu", what, acts[act], size, (unsigned long long)bytes_summed);
    if (trims > size / 4) fail_msg("%s: %s of %zu bytes trims %llu times", what, acts[act], size, (unsigned long long)trims);
    (void)remove(beside(".cut"));
  }
  free(data);
}

static void every_word_may_be_the_head_of_a_large_record(craft *made, size_t words) {
  uint8_t *data = craft_bytes(made, 8 * words);
  for (size_t i = 0; i < words; i++) visit_store64(data + 8 * i, 0x10001);
}

/* Heads in a row, each of which claims all that is behind it. */
static void records_lie_in_each_other(craft *made, size_t words) {
  const size_t heads = words / 4;
  const uint64_t from = made->writer.end;
  uint8_t *data = craft_bytes(made, heads * 32);
  for (size_t i = 0; i < heads; i++) {
    const uint64_t rest = (heads - i) * 32;
    uint8_t *head = data + 32 * i;
    visit_store32(head, rest < VISIT_RECORD_MAX ? (uint32_t)rest : VISIT_RECORD_MAX);
    visit_store64(head + 8, 2 + (from - VISIT_LOG_START) / 32 / 2 + i / 2);
    head[24] = VISIT_VISITS;
    visit_store16(head + 26, 1);
  }
}

/* The same with checksums that are right, from the innermost to the outermost. */
static void valid_records_lie_in_each_other(craft *made, size_t words) {
  records_lie_in_each_other(made, words);
  const size_t heads = words / 4;
  uint8_t *data = made->writer.bytes.data + made->writer.bytes.size - heads * 32;
  for (size_t i = heads; i-- > 0 && heads - i < 600;) { /* making them takes the square */
    uint8_t *head = data + 32 * i;
    visit_store32(head + 4, sb_priv_visit_record_checksum(made->writer.seed, head, (heads - i) * 32));
  }
}

static void limits_and_users_by_turns(craft *made, size_t words) {
  made->writer.header = NULL;
  for (size_t i = 0; i < words / 12; i++) {
    (void)craft_visit(made, (uint32_t)i, 1, 3);
    assert_ok(sb_priv_visit_writer_limit(&made->writer, (uint32_t)(1000000 - i)));
  }
}

/* Each limit is one less, and one user has as many. */
static void limits_that_fall_behind_a_user(craft *made, size_t words) {
  made->writer.header = NULL;
  for (uint32_t i = 0; i < words / 64; i++) (void)craft_visit(made, i % 2 == 0 ? 0 : i, i, 3);
  for (size_t i = 0; i < words / 8; i++) assert_ok(sb_priv_visit_writer_limit(&made->writer, (uint32_t)(words / 8 - i)));
}

static void bad_records_each_with_a_good_one_behind(craft *made, size_t words) {
  for (size_t i = 0; i < words / 20; i++) {
    const uint64_t offset = craft_visit(made, (uint32_t)i, 1, 20);
    if (i % 2 == 0) made->writer.bytes.data[offset - VISIT_LOG_START + 40] ^= 1;
  }
}

/* Indexes of nobody, each of which could be the one that counts. */
static void indexes_in_a_row(craft *made, size_t words) {
  for (size_t i = 0; i < words / 60; i++) {
    visit_index_writer index;
    visit_base base = {0};
    (void)craft_visit(made, (uint32_t)i, 1, 1);
    sb_priv_visit_index_begin(&index, &made->writer);
    assert_ok(sb_priv_visit_index_end(&index, 5, 0, &base));
    free(base.pages);
  }
}

/* The list of pages names many, of which none is there; users as many as there can be. */
static void an_index_that_claims_much(craft *made, size_t words) {
  size_t start;
  const size_t pages = words / 4;
  assert_ok(sb_priv_visit_writer_begin(&made->writer, VISIT_INDEX, 0, 32 + 24 * pages + VISIT_HEADER_SIZE, &start));
  uint8_t *data = made->writer.bytes.data + made->writer.bytes.size;
  memset(data, 0, 32 + 24 * pages);
  visit_store32(data, (uint32_t)pages);
  visit_store32(data + 4, 5);
  visit_store64(data + 8, pages);
  visit_store64(data + 16, pages);
  for (size_t i = 0; i < pages; i++) {
    uint8_t *row = data + 32 + 24 * i;
    visit_store32(row, (uint32_t)i);
    visit_store32(row + 4, (uint32_t)i);
    visit_store64(row + 8, VISIT_LOG_START);
    visit_store32(row + 16, 48);
    visit_store32(row + 20, 1);
  }
  made->writer.bytes.size += 32 + 24 * pages;
  sb_priv_visit_writer_header(&made->writer);
  sb_priv_visit_writer_end(&made->writer, start, 0);
}

static void nothing_but_large_records(craft *made, size_t words) {
  for (size_t i = 0; i < words / 8192 + 1; i++) {
    const uint64_t offset = craft_visit(made, 1, (uint32_t)i, 65000);
    if (i % 3 == 1) made->writer.bytes.data[offset - VISIT_LOG_START + 60000] ^= 1;
  }
}

static void opening_verify_and_salvage_read_a_constant_times_the_size(void **state) {
  (void)state;
  static const struct {
    void (*fill)(craft *made, size_t words);
    const char *what;
  } cases[] = {{every_word_may_be_the_head_of_a_large_record, "every word may be a head"},
               {records_lie_in_each_other, "records in each other"},
               {valid_records_lie_in_each_other, "valid records in each other"},
               {limits_and_users_by_turns, "limits and users"},
               {limits_that_fall_behind_a_user, "limits that fall"},
               {bad_records_each_with_a_good_one_behind, "bad records"},
               {indexes_in_a_row, "indexes"},
               {an_index_that_claims_much, "an index that claims much"},
               {nothing_but_large_records, "large records"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    for (size_t words = 4000; words <= 64000; words *= 4)
      for (int kind = 0; kind < 3; kind++) {
        craft made;
        craft_begin(&made, 5);
        cases[i].fill(&made, words);
        if (kind == 1) (void)craft_visit(&made, 1, 77, 5); /* what a search may end at */
        boot = kind == 2 ? 1 : 77;
        const uint64_t index = made.writer.end - visit_padded(32 + 32 + VISIT_HEADER_SIZE);
        size_t size = craft_write(&made, VISIT_SLOT_OPEN, VISIT_LOG_START, i == 6 && kind == 0 ? index : 0);
        boot = 77;
        assert_linear(cases[i].what, size);
        if (kind == 2) { /* without anything that says what it is */
          size_t got;
          uint8_t *data = read_whole(test_path, &got);
          memset(data, 0, VISIT_LOG_START);
          for (size_t at = VISIT_LOG_START; at + 8 <= got; at += 8)
            if (sb_priv_visit_header_is_ours(data + at, 8)) data[at] = 0;
          write_whole(test_path, data, got);
          assert_linear(cases[i].what, got);
          free(data);
        }
        craft_end(&made);
      }
}

static void a_name_for_what_is_cut_off_is_found_among_many(void **state) {
  (void)state;
  enum {
    MANY = 3000
  };
  size_t size;
  uint8_t *data = killed_file(SB_DURABILITY_NONE, 3, &size);
  data[size - 3] ^= 1;
  for (unsigned i = 0; i < MANY; i++) {
    char suffix[20] = ".cut";
    if (i > 0) snprintf(suffix, sizeof suffix, ".cut.%u", i);
    write_whole(beside(suffix), "mine", 4);
  }
  write_whole(test_path, data, size);
  looks = 0;
  sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, 0);
  close_file(manager);
  assert_true(looks < 100);
  char suffix[20];
  snprintf(suffix, sizeof suffix, ".cut.%d", MANY); /* the first that is free */
  assert_true(exists(suffix));
  assert_file_is(beside(".cut.2999"), "mine", 4);
  /* One that was removed may be taken or not, but nobody's file is. */
  assert_int_equal(remove(beside(".cut.1000")), 0);
  write_whole(test_path, data, size);
  manager = open_file(SB_DURABILITY_NONE, 0);
  assert_in_range(stats_of(manager).cut_bytes, 1, 100);
  close_file(manager);
  for (unsigned i = 1; i < MANY; i += 13) {
    snprintf(suffix, sizeof suffix, ".cut.%u", i);
    if (i != 1000) assert_file_is(beside(suffix), "mine", 4);
  }
  free(data);
}

/* ---- limits ---- */

enum {
  MODEL_USERS = 3,
  MODEL_VISITS = 8
};

/* The ids of each user, oldest first, as limits leave them. */
typedef struct limits_model {
  uint32_t ids[MODEL_USERS][MODEL_VISITS], counts[MODEL_USERS], max_visits;
} limits_model;

static void model_trim(limits_model *model, uint32_t user, uint32_t to) {
  uint32_t *count = &model->counts[user];
  if (*count <= to) return;
  memmove(model->ids[user], model->ids[user] + (*count - to), to * sizeof(uint32_t));
  *count = to;
}

static void model_limit(limits_model *model, uint32_t max_visits) {
  model->max_visits = max_visits;
  for (uint32_t user = 0; user < MODEL_USERS; user++) model_trim(model, user, max_visits);
}

static void model_add(limits_model *model, uint32_t user, uint32_t id) {
  model_trim(model, user, model->max_visits - 1);
  model->ids[user][model->counts[user]++] = id;
}

static void assert_model(const limits_model *model, sb_visit_manager *manager) {
  for (uint32_t user = 0; user < MODEL_USERS; user++) {
    char expected[200] = "";
    for (uint32_t i = model->counts[user], size = 0; i > 0; i--)
      size += (uint32_t)snprintf(expected + size, sizeof expected - size, "%s%u", size > 0 ? " " : "", model->ids[user][i - 1]);
    assert_string_equal(ids_of(manager, user), expected);
  }
}

/* What many limits leave is what applying each of them leaves: of users who are in memory, and who are read later, by an open that replays,
 * by a reader that goes on, with an index between them, and as verify counts. */
static void limits_are_applied_in_their_order(void **state) {
  (void)state;
  uint64_t seed = 21;
  for (unsigned round = 0; round < 60; round++) {
    limits_model model = {.max_visits = MODEL_VISITS};
    sb_visit_manager *manager = open_file(SB_DURABILITY_NONE, MODEL_VISITS), *reader = NULL;
    bool changed;
    assert_ok(try_open(true, &reader));
    if (round % 2 == 1) sb_priv_visit_tuning.index_at_close = sb_priv_visit_tuning.index_interval = 900;
    for (uint32_t i = 1; i < 40; i++) {
      for (uint32_t times = random_next(&seed) % 4; times > 1; times--) { /* often several in a row */
        close_file(manager);
        model_limit(&model, 1 + random_next(&seed) % MODEL_VISITS);
        manager = open_file(SB_DURABILITY_NONE, model.max_visits);
      }
      for (uint32_t k = random_next(&seed) % 5; k > 0; k--) {
        const uint32_t user = random_next(&seed) % MODEL_USERS, id = 10 * i + k;
        add(manager, user, id, "text", (int64_t)i);
        model_add(&model, user, id);
      }
      (void)ids_of(reader, random_next(&seed) % MODEL_USERS); /* now it is in the reader's memory */
      if (random_next(&seed) % 4 != 0) continue;
      assert_ok(sb_visit_manager_refresh(reader, &changed, &visit_error));
      assert_model(&model, reader);
    }
    assert_model(&model, manager);
    close_file(manager);
    sb_visit_manager_close(reader);
    assert_ok(try_open(true, &reader));
    assert_model(&model, reader);
    sb_visit_manager_close(reader);
    sb_visit_report report;
    assert_ok(verify(&report));
    assert_int_equal(report.visits, model.counts[0] + model.counts[1] + model.counts[2]);
    assert_int_equal(remove(test_path), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      visit_test(files_made_before_there_were_copies_of_the_header_open),
      visit_test(an_old_file_without_its_first_page_is_salvaged),
      visit_test(limits_and_indexes_carry_a_copy_of_the_header),
      visit_test(a_store_without_its_beginning_is_salvaged),
      visit_test(any_two_records_that_follow_each_other_are_found),
      visit_test(records_that_are_not_neighbours_are_found),
      visit_test(the_only_record_is_found),
      visit_test(records_are_found_among_what_looks_like_heads),
      visit_test(records_that_come_again_are_not_taken_twice),
      visit_test(nothing_is_found_in_what_is_no_store),
      visit_test(the_header_of_another_store_does_not_hide_the_records),
      visit_test(a_copy_says_what_a_newer_library_is_needed_for),
      visit_test(behind_a_bad_record_of_the_same_start_nothing_is_dropped),
      visit_test(behind_a_bad_record_of_another_start_it_is_cut_off_and_can_be_salvaged),
      visit_test(what_was_cut_is_read_with_the_seed_of_its_file),
      visit_test(a_torn_write_of_a_killed_process_is_cut_off),
      visit_test(a_reader_that_came_before_its_writer_tells_of_damage),
      visit_test(a_boot_id_that_is_none_is_unknown),
      visit_test(a_file_without_a_limit_is_refused),
      visit_test(a_limit_of_nothing_is_no_record),
      visit_test(a_sequence_that_no_place_can_have_is_no_record),
      visit_test(an_index_of_another_state_is_not_believed),
      visit_test(an_index_that_names_a_record_with_an_id_twice_shows_one_of_them),
      visit_test(verify_finds_every_flipped_bit),
      visit_test(verify_finds_what_checksums_do_not),
      visit_test(verify_takes_a_torn_slot_for_bytes_that_nobody_uses),
      visit_test(a_seed_follows_from_any_record),
      visit_test(a_damaged_page_of_the_index_costs_no_visit),
      visit_test(a_scan_finds_what_trying_each_place_finds),
      visit_test(a_scan_keeps_and_reads_little),
      visit_test(opening_verify_and_salvage_read_a_constant_times_the_size),
      visit_test(a_name_for_what_is_cut_off_is_found_among_many),
      visit_test(limits_are_applied_in_their_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
