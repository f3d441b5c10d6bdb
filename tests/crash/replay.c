/* replay RECORDING FOLDER MODE SEED [forget-syncs | forget-marks]: makes the files as a crash at each recorded call could have left them, opens the
 * store in them, and checks that it holds what had been acknowledged. A store that was made from a file of the old format is whole in the
 * old one or in the new one, and then the old one is kept; bytes that were no records are kept when they are cut off; a user who was
 * erased has left nothing. And what a killed process left, or a clean close, is found by salvage when the page with the header and the slots
 * is lost besides.
 *
 * Killed process: every call up to there took effect, the last write perhaps in part. Power failure: what was synced is there; of each
 * file's writes and truncations since, any were made or not, a write also by sectors of 512 bytes; of the changes of names since the folder
 * was synced, some first ones, or any; and of each write of a first page each sector alone. With `forget-syncs` no sync counts of the store's file and of those that are made beside it, which
 * must be noticed: so it is known that this program can fail. With `forget-marks` those do not by which a file that is built begins with its
 * mark.
 *
 * Linked with --wrap=sb_priv_boot, because after a power failure the system has been started anew. */

#define _GNU_SOURCE
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "operations.h"
#include "recording.h"
#include "visit_private.h"

#define SECTOR 512
#define POWER_FAILURES 4 /* images per call */
#define SALVAGES 4       /* of so many images, two are salvaged, as they were left and as they were closed */
#define OPERATIONS_MAX 2000
#define FILE_MAX 0x1000000u /* bytes; a recording that has more is none of ours */

enum {
  NAME_SIZE = 64,
  NAMES_MAX = 64,
  INODES_MAX = 256,
  TORN_MAX = 4
};

typedef struct change {
  bool truncates;
  uint64_t offset; /* or the size */
  const uint8_t *data;
  size_t size;
} change;

typedef struct content {
  uint8_t *data;
  size_t size;
} content;

typedef struct inode {
  content now, synced;
  change *pending;
  size_t pending_count;
} inode;

typedef struct name {
  char text[NAME_SIZE];
  int inode; /* -1: none */
} name;

typedef struct name_change {
  uint32_t call;
  char from[NAME_SIZE], to[NAME_SIZE];
  int inode, other; /* other: of an exchange, what `to` led to */
} name_change;

static inode inodes[INODES_MAX];
static int inode_count;
static name names[NAMES_MAX], names_synced[NAMES_MAX];
static name_change name_changes[1000];
static size_t name_change_count;

static unsigned tried, acknowledged, synced; /* operations; counts */
static uint32_t states[OPERATIONS_MAX + 1];  /* checksum of what the store holds after so many */
static const char *folder;
static int mode;
static bool power, forget_syncs, forget_marks, on_hold;
static content old;            /* the file of the old format; empty: there was none */
static content torn[TORN_MAX]; /* bytes that were behind the log, each once */
static size_t torn_count;
static bool erased[OPERATIONS_MAX]; /* the url of that operation may be nowhere */
static unsigned images, salvages;
static uint64_t seed = 1;

static uint32_t random_next(void) {
  seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(seed >> 33);
}

uint64_t __real_sb_priv_boot(void);
uint64_t __wrap_sb_priv_boot(void);
uint64_t __wrap_sb_priv_boot(void) { return __real_sb_priv_boot() + power; }

/* ---- files ---- */

static void content_set(content *file, uint64_t size) {
  if (size > FILE_MAX) abort();
  if (size > file->size) {
    file->data = realloc(file->data, size);
    if (file->data == NULL) abort();
    memset(file->data + file->size, 0, size - file->size);
  }
  file->size = size;
}

static void content_change(content *file, const change *made) {
  if (made->truncates) {
    content_set(file, made->offset);
    return;
  }
  if (made->offset + made->size > file->size) content_set(file, made->offset + made->size);
  memcpy(file->data + made->offset, made->data, made->size);
}

static void content_copy(content *target, const content *source) {
  if (source->size > FILE_MAX) abort();
  target->data = realloc(target->data, source->size + 1);
  if (target->data == NULL) abort();
  memcpy(target->data, source->data != NULL ? source->data : (const uint8_t *)"", source->size);
  target->size = source->size;
}

static int *name_find(name *list, const char *text, bool make) {
  for (int i = 0; i < NAMES_MAX; i++)
    if (strcmp(list[i].text, text) == 0) return &list[i].inode;
  for (int i = 0; make && i < NAMES_MAX; i++)
    if (list[i].text[0] == 0) {
      snprintf(list[i].text, sizeof list[i].text, "%s", text);
      list[i].inode = -1;
      return &list[i].inode;
    }
  if (make) abort();
  return NULL;
}

static void name_apply(name *list, const name_change *made) {
  if (made->call == CALL_UNLINK) *name_find(list, made->from, true) = -1;
  if (made->call == CALL_CREATE) *name_find(list, made->from, true) = made->inode;
  if (made->call == CALL_EXCHANGE) *name_find(list, made->from, true) = made->other;
  if (made->call == CALL_LINK || made->call == CALL_RENAME || made->call == CALL_EXCHANGE) *name_find(list, made->to, true) = made->inode;
  if (made->call == CALL_RENAME) *name_find(list, made->from, true) = -1;
}

/* ---- images ---- */

static void empty_folder(void) {
  DIR *entries = opendir(folder);
  char path[500];
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (entry->d_name[0] != '.') (void)unlink(path);
  }
  if (entries != NULL) closedir(entries);
}

static void image_write(const name *list, const content *files) {
  char path[500], other[500];
  empty_folder();
  for (int i = 0; i < NAMES_MAX; i++) {
    if (list[i].text[0] == 0 || list[i].inode < 0 || strcmp(list[i].text, MARKS) == 0) continue;
    snprintf(path, sizeof path, "%s/%s", folder, list[i].text);
    int same = 0; /* an earlier name of the same file */
    while (list[same].inode != list[i].inode || list[same].text[0] == 0) same++;
    snprintf(other, sizeof other, "%s/%s", folder, list[same].text);
    if (same < i) {
      if (link(other, path) != 0) abort();
      continue;
    }
    FILE *file = fopen(path, "wb");
    const content *data = &files[list[i].inode];
    if (file == NULL || fwrite(data->data != NULL ? data->data : (const uint8_t *)"", 1, data->size, file) != data->size) abort();
    fclose(file);
  }
}

static uint32_t dump(sb_visit_manager *manager, sb_error *error, sb_status *status) {
  sb_visit_scan *scan = NULL;
  sb_visits *visits = NULL;
  const sb_visit *rows;
  size_t count;
  uint32_t sum = 0;
  *status = sb_visit_manager_scan(manager, &scan, error);
  if (*status == SB_OK) *status = sb_visit_scan_next(scan, SIZE_MAX, &visits, error);
  if (*status == SB_OK) *status = sb_visits_get_all(visits, &rows, &count);
  for (size_t i = 0; *status == SB_OK && i < count; i++) {
    const uint64_t numbers[5] = {rows[i].user, rows[i].visit_id, (uint64_t)rows[i].time_ns, rows[i].url_size, rows[i].text_size};
    sum = sb_crc32c(sum, numbers, sizeof numbers);
    sum = sb_crc32c(sb_crc32c(sum, rows[i].url, rows[i].url_size), rows[i].text, rows[i].text_size);
  }
  sb_visits_close(visits);
  sb_visit_scan_close(scan);
  return sum;
}

static void wrong(size_t call, const char *what, const char *why) {
  printf("replay: call %zu, %s: %s (operations: %u tried, %u acknowledged, %u synced)\n", call, what, why, tried, acknowledged, synced);
  exit(1);
}

/* A file of the image; `data` NULL when there is none. It is valid until the next call. */
static content image_read(const char *file_name) {
  static uint8_t *room;
  char path[500];
  content found = {0};
  snprintf(path, sizeof path, "%s/%s", folder, file_name);
  FILE *file = fopen(path, "rb");
  if (file == NULL) return found;
  if (room == NULL && (room = malloc(FILE_MAX)) == NULL) abort();
  found = (content){room, fread(room, 1, FILE_MAX, file)};
  fclose(file);
  return found;
}

static bool image_has(const char *file_name, const content *wanted) {
  const content found = image_read(file_name);
  return found.data != NULL && found.size == wanted->size && memcmp(found.data, wanted->data, wanted->size) == 0;
}

/* The old file is whole under its own name, or the new one is there and the old one is kept. */
static void check_upgrade(size_t call, const char *what, bool opened) {
  const content now = image_read("visits");
  const bool upgraded = now.data != NULL && sb_priv_visit_header_is_ours(now.data, now.size);
  if (!upgraded && opened) wrong(call, what, "an open has not upgraded the file");
  if (!upgraded && !image_has("visits", &old)) wrong(call, what, "neither the old file nor a new one is there");
  if (upgraded && !image_has("visits.v0", &old)) wrong(call, what, "the file was upgraded and the old one is not kept");
}

static void check_cut(size_t call, const char *what) {
  for (size_t i = 0; i < torn_count; i++) {
    bool kept = false;
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries != NULL && !kept && (entry = readdir(entries)) != NULL;)
      kept = strncmp(entry->d_name, "visits.cut", 10) == 0 && image_has(entry->d_name, &torn[i]);
    if (entries != NULL) closedir(entries);
    if (!kept) wrong(call, what, "bytes that were cut off are not kept");
  }
}

static void check_erased(size_t call, const char *what, const char *file_name) {
  const content file = image_read(file_name);
  const uint8_t *at = file.data, *end = file.data + file.size;
  while (at != NULL && (at = memmem(at, (size_t)(end - at), OPERATION_URL, sizeof OPERATION_URL - 1)) != NULL) {
    char digits[7] = "";
    at += sizeof OPERATION_URL - 1;
    if (end - at >= 6) memcpy(digits, at, 6);
    const unsigned long number = strtoul(digits, NULL, 10);
    if (strlen(digits) < 6 || number >= OPERATIONS_MAX) continue; /* torn */
    if (erased[number]) wrong(call, what, "a visit that was erased is in a file");
  }
}

/* Salvages a store without its first page. It may find the change that was under way where the open did not: of a record of which only
 * padding is missing, all is there. */
static void check_without_header(size_t call, const char *what, const content *store, uint32_t expected, bool under_way) {
  char lost[500], target[500];
  sb_error error = {0};
  sb_visit_manager *manager = NULL;
  sb_visit_manager_options options;
  sb_visit_report report = {.struct_size = sizeof report};
  snprintf(lost, sizeof lost, "%s/lost", folder);
  snprintf(target, sizeof target, "%s/salvaged", folder);
  memset(store->data, images % 2 == 0 ? 0 : 0xff, VISIT_LOG_START);
  FILE *file = fopen(lost, "wb");
  if (file == NULL || fwrite(store->data, 1, store->size, file) != store->size) abort();
  fclose(file);
  if (sb_salvage_visits(lost, target, &report, &error) != SB_OK) wrong(call, what, error.message);
  sb_visit_manager_options_init(&options, sizeof options);
  options.read_only = true;
  if (sb_visit_manager_open(target, &options, &manager, &error) != SB_OK) wrong(call, what, error.message);
  sb_status status;
  const uint32_t found = dump(manager, &error, &status);
  if (status != SB_OK) wrong(call, what, error.message);
  sb_visit_manager_close(manager);
  if (found != expected && !(under_way && found == states[tried]))
    wrong(call, what, "without its first page the store is not salvaged whole");
  (void)unlink(lost);
  (void)unlink(target);
  salvages++;
}

static void image_check(size_t call, const char *what) {
  static content left;
  char path[500];
  sb_error error = {0};
  sb_visit_manager *manager = NULL;
  sb_visit_manager_options options;
  if (old.size > 0) check_upgrade(call, what, false);
  check_erased(call, what, "visits");
  check_erased(call, what, "visits.new");
  sb_visit_manager_options_init(&options, sizeof options);
  options.max_visits = OPERATION_VISITS_MAX;
  snprintf(path, sizeof path, "%s/visits", folder);
  left.size = 0;
  const content before = image_read("visits");
  if (!power && images % SALVAGES == 0 && before.data != NULL && sb_priv_visit_header_is_ours(before.data, before.size))
    content_copy(&left, &before);
  sb_status status = sb_visit_manager_open(path, &options, &manager, &error);
  if (status != SB_OK) wrong(call, what, error.message);
  const uint32_t found = dump(manager, &error, &status);
  if (status != SB_OK) wrong(call, what, error.message);
  const unsigned least = power && mode != SB_DURABILITY_ALWAYS ? synced : acknowledged;
  bool good = false;
  for (unsigned i = least; i <= tried && !good; i++) good = found == states[i];
  if (!good) wrong(call, what, "the store holds no state that it may hold");
  sb_visit_manager_close(manager);
  if (old.size > 0) check_upgrade(call, what, true);
  check_cut(call, what);
  sb_visit_report report = {.struct_size = sizeof report};
  if (sb_verify_visits(path, &report, &error) != SB_OK) wrong(call, what, error.message);
  if (left.size > 0) check_without_header(call, what, &left, found, true);
  const content closed = image_read("visits");
  if (images % SALVAGES == 1) check_without_header(call, what, &closed, found, false);
  images++;
}

static void killed(size_t call) {
  static content files[INODES_MAX];
  power = false;
  for (int i = 0; i < inode_count; i++) content_copy(&files[i], &inodes[i].now);
  image_write(names, files);
  image_check(call, "killed");
}

/* The same with the first part only of the write that comes next. */
static void killed_within(size_t call, int file, const change *next) {
  static content files[INODES_MAX];
  power = false;
  for (int i = 0; i < inode_count; i++) content_copy(&files[i], &inodes[i].now);
  change part = *next;
  part.size = random_next() % next->size;
  if (part.size > 0) content_change(&files[file], &part);
  image_write(names, files);
  image_check(call, "killed within a write");
}

static void lose_power(size_t call) {
  static content files[INODES_MAX];
  static name list[NAMES_MAX];
  power = true;
  const uint32_t likely = random_next() % 4; /* from hardly anything reached the disk to nearly all */
  for (int i = 0; i < inode_count; i++) {
    content_copy(&files[i], &inodes[i].synced);
    for (size_t j = 0; j < inodes[i].pending_count; j++) {
      const change *made = &inodes[i].pending[j];
      const uint32_t luck = random_next() % 4;
      if (luck < likely)
        content_change(&files[i], made);
      else if (luck == likely && !made->truncates)
        for (uint64_t at = made->offset; at < made->offset + made->size;) { /* torn */
          uint64_t end = (at / SECTOR + 1) * SECTOR;
          if (end > made->offset + made->size) end = made->offset + made->size;
          const change part = {.offset = at, .data = made->data + (at - made->offset), .size = end - at};
          if (random_next() % 2 == 0) content_change(&files[i], &part);
          at = end;
        }
    }
  }
  memcpy(list, names_synced, sizeof list);
  const size_t reached = name_change_count == 0 ? 0 : random_next() % (name_change_count + 1);
  const bool any = random_next() % 2 == 0;
  for (size_t i = 0; i < name_change_count; i++)
    if (any ? random_next() % 2 == 0 : i < reached) name_apply(list, &name_changes[i]);
  image_write(list, files);
  image_check(call, "power failure");
}

/* What lies in the first page of a file marks what it is, so here no luck decides: of each write of the whole page one sector alone reached the
 * disk, of the log behind it everything. */
static void lose_first_page(size_t call) {
  static content files[INODES_MAX];
  power = true;
  for (int i = 0; i < inode_count; i++)
    for (size_t j = 0; j < inodes[i].pending_count; j++) {
      const change *page = &inodes[i].pending[j];
      if (page->truncates || page->offset != 0 || page->size != VISIT_LOG_START) continue;
      for (uint64_t at = 0; at < VISIT_LOG_START; at += SECTOR) {
        if (at + SECTOR <= inodes[i].synced.size && memcmp(inodes[i].synced.data + at, page->data + at, SECTOR) == 0) continue;
        for (int k = 0; k < inode_count; k++) content_copy(&files[k], k == i ? &inodes[k].synced : &inodes[k].now);
        for (size_t k = 0; k < inodes[i].pending_count; k++)
          if (inodes[i].pending[k].offset >= VISIT_LOG_START) content_change(&files[i], &inodes[i].pending[k]);
        const change sector = {.offset = at, .data = page->data + at, .size = SECTOR};
        content_change(&files[i], &sector);
        image_write(names, files);
        image_check(call, "power failure, one sector of the first page");
      }
    }
}

/* ---- calls ---- */

static void note_erased(unsigned number) {
  for (unsigned i = 0; operation_erases(number) && i < number; i++)
    if (operation_user(i) == operation_user(number)) erased[i] = true;
}

static void note_part(content *part, uint64_t from) {
  const inode *store = &inodes[*name_find(names, "visits", true)];
  if (from >= store->now.size) abort();
  const content rest = {store->now.data + from, store->now.size - from};
  content_copy(part, &rest);
}

static void mark(const uint8_t *data, size_t size) {
  char line[64];
  unsigned number;
  snprintf(line, sizeof line, "%.*s", (int)size, (const char *)data);
  if (sscanf(line, "try %u", &number) == 1)
    tried = number + 1;
  else if (sscanf(line, "ok %u", &number) == 1) {
    acknowledged = number + 1;
    note_erased(number);
  } else if (sscanf(line, "failed %u", &number) == 1)
    tried = number; /* nobody may see it from now on */
  else if (sscanf(line, "synced %u", &number) == 1)
    synced = number + 1;
  else if (strncmp(line, "hold", 4) == 0)
    on_hold = true;
  else if (sscanf(line, "torn %u", &number) == 1) {
    if (torn_count == TORN_MAX) abort();
    content *bytes = &torn[torn_count++];
    note_part(bytes, number);
    while (bytes->size > 0 && bytes->data[bytes->size - 1] == 0) bytes->size--; /* zeros that were there for what comes */
  } else if (strncmp(line, "go", 2) == 0) {
    if (inode_count > 0 && acknowledged > 0 && torn_count == 0) note_part(&old, 0);
    on_hold = false;
  } else
    abort();
}

static void change_file(size_t call, int file, const change *made) {
  if (!on_hold && !made->truncates && made->size > 1) killed_within(call, file, made);
  inode *target = &inodes[file];
  content_change(&target->now, made);
  target->pending = realloc(target->pending, (target->pending_count + 1) * sizeof *target->pending);
  if (target->pending == NULL) abort();
  target->pending[target->pending_count++] = *made;
}

static void change_names(const recorded *head, const char *from, const char *to) {
  name_change made = {.call = head->call};
  snprintf(made.from, sizeof made.from, "%s", from);
  snprintf(made.to, sizeof made.to, "%s", to);
  made.inode = head->call == CALL_CREATE ? inode_count++ : *name_find(names, from, true);
  if (head->call == CALL_EXCHANGE) made.other = *name_find(names, to, true);
  if (inode_count > INODES_MAX || name_change_count == 1000) abort();
  name_apply(names, &made);
  name_changes[name_change_count++] = made;
}

static void replay_call(size_t call, const recorded *head, const char *path, const char *other, const uint8_t *data) {
  const int *found = name_find(names, path, false);
  const int file = found == NULL ? -1 : *found;
  if (strcmp(path, MARKS) == 0) {
    if (head->call != CALL_WRITE) return;
    mark(data, head->data_size);
    /* What was refused is tried again next, and then may be there. */
    for (int i = 0; data[0] == 'f' && i < 4 * POWER_FAILURES; i++) lose_power(call);
    return;
  }
  if (head->call == CALL_OPEN && head->offset == 0) return;
  if (head->call == CALL_WRITE || head->call == CALL_TRUNCATE || head->call == CALL_OPEN) {
    if (file < 0) return; /* removed meanwhile */
    const bool empties = head->call == CALL_OPEN, truncates = empties || head->call == CALL_TRUNCATE;
    const change made = {.truncates = truncates, .offset = empties ? 0 : head->offset, .data = data, .size = head->data_size};
    change_file(call, file, &made);
  } else if (head->call == CALL_SYNC) {
    const bool mark = file >= 0 && inodes[file].now.size <= VISIT_LOG_START; /* that which a file begins with that is being built */
    if (file >= 0 && !((mark ? forget_marks : forget_syncs) && strncmp(path, "visits", 6) == 0)) {
      content_copy(&inodes[file].synced, &inodes[file].now);
      inodes[file].pending_count = 0;
    }
  } else if (head->call == CALL_SYNC_FOLDER) {
    memcpy(names_synced, names, sizeof names);
    name_change_count = 0;
  } else {
    change_names(head, path, other);
  }
  if (on_hold) return;
  killed(call);
  for (int i = 0; i < POWER_FAILURES; i++) lose_power(call);
  lose_first_page(call);
}

static void compute_states(void) {
  sb_error error;
  sb_status status;
  sb_visit_manager *model = operation_model();
  for (unsigned i = 0; i <= OPERATIONS_MAX; i++) {
    states[i] = dump(model, &error, &status);
    if (i < OPERATIONS_MAX && operation_make(model, i, &error) != SB_OK) abort();
  }
  sb_visit_manager_close(model);
}

int main(int count, char **arguments) {
  if (count < 5) return 2;
  FILE *file = fopen(arguments[1], "rb");
  folder = arguments[2];
  mode = atoi(arguments[3]);
  seed = strtoull(arguments[4], NULL, 10);
  forget_syncs = count > 5 && strcmp(arguments[5], "forget-syncs") == 0;
  forget_marks = count > 5 && strcmp(arguments[5], "forget-marks") == 0;
  if (file == NULL) return 2;
  sb_priv_visit_tuning = (visit_tuning){
      .index_interval = 1200, .index_at_close = 2000, .compact_min = 9000, .preallocation = 4096, .compact_step = 64};
  compute_states();
  recorded head;
  size_t calls = 0;
  for (; fread(&head, sizeof head, 1, file) == 1; calls++) {
    char path[NAME_SIZE] = "", other[NAME_SIZE] = "";
    uint8_t *data = malloc(head.data_size + 1); /* kept: pending changes show it */
    if (data == NULL || head.path_size >= sizeof path || head.other_size >= sizeof other) abort();
    if (fread(path, 1, head.path_size, file) != head.path_size || fread(other, 1, head.other_size, file) != head.other_size ||
        fread(data, 1, head.data_size, file) != head.data_size)
      abort();
    replay_call(calls, &head, path, other, data);
  }
  fclose(file);
  printf("replay: %zu calls, %u images, %u of them salvaged without a header, %u operations acknowledged\n", calls, images, salvages,
         acknowledged);
  return acknowledged > 0 && salvages > 0 ? 0 : 1;
}
