//go:build !samebytes_shared

/* Names are not things. A store is a file, which its handle has open and locked; PATH is a name, which anybody may give to another file
 * while the handle writes. So whatever is done by a name looks first whether that name leads to the file that is meant, and a handle whose
 * file has lost its name stops instead of acknowledging what nobody would find.
 *
 * What replaces PATH is built as PATH.new. It is locked from its first moment on, so that the name PATH never leads to a store that is not
 * locked, and its slot says for which file it is made: so one that a killed process left is told from a file of somebody else.
 *
 * Between a look and what follows it lie some microseconds. So a file takes another one's place by an exchange of their names, where the
 * system has that: if the wrong one was exchanged, it gets its name back. */

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "error_private.h"
#include "visit_private.h"

#define LOOK_INTERVAL_NS 100000000 /* in the modes that do not look before each commit */

/* ---- whether PATH still leads to the file ---- */

typedef enum place {
  IN_PLACE,
  GONE,  /* nothing has the name */
  OTHER, /* something else has it */
  UNKNOWN
} place;

static place compare(const visit_file *file, int problem, const sb_priv_file_facts *named) {
  if (problem == ENOENT || problem == ENOTDIR) return GONE;
  if (problem != 0) return UNKNOWN;
  if (!sb_priv_file_same(named, &file->held)) return OTHER;
  return named->links == 0 && file->held.links > 0 ? GONE : IN_PLACE; /* a mount leads to a file that has no name any more */
}

/* By the path a process that changed its root, or was moved into a container, finds other files: then the folder's descriptor says more. */
static place look_by_path(const visit_file *file) {
  sb_priv_file_facts named = {0}, root = {0};
  const place found = compare(file, sb_priv_path_look(file->path, &named), &named);
  if (found == IN_PLACE || found == UNKNOWN) return IN_PLACE;
  if (sb_priv_path_look("/", &root) != 0 || !sb_priv_file_same(&root, &file->root)) return IN_PLACE;
  return found;
}

/* `*problem` is why it is not known. */
static place look(const visit_file *file, bool by_path, int *problem) {
  sb_priv_file_facts named = {0}, ours = {0};
  *problem = sb_priv_name_look(file->folder, file->name, &named);
  place found = compare(file, *problem, &named);
  if (found == IN_PLACE && by_path && file->path != NULL) found = look_by_path(file);
  /* Who may not look into the folder any more still knows whether the file has a name at all. */
  if (found == UNKNOWN && sb_priv_file_look(file->log.file, &ours) == 0 && ours.links == 0) found = GONE;
  return found;
}

static sb_status displaced(int found, sb_error *error) {
  if (found == GONE)
    return sb_priv_system_error(error, SB_NOT_FOUND, ENOENT,
                                "the file was removed or moved while it was open, and nothing more is written; put it back or restore a "
                                "copy, then open anew; looking at the path");
  return sb_priv_error(error, SB_NOT_FOUND, NULL,
                       "the path leads to another file than when it was opened, so the file was moved or replaced, and nothing more is "
                       "written to it; close this handle, and open the path anew for what is there now");
}

/* The handle writes no more. Its file stays locked; PATH.lock is for whoever opens what is there now. */
static sb_status stop(visit_file *file, place found, sb_error *error) {
  int none = IN_PLACE;
  if (atomic_compare_exchange_strong(&file->displaced, &none, (int)found)) {
    sb_priv_fork_hold();
    sb_priv_lock_close(file->lock);
    file->lock = -1;
    sb_priv_fork_release();
  }
  return displaced((int)found, error);
}

void sb_priv_visit_hold(visit_file *file, const sb_priv_file_facts *facts) {
  file->held = *facts;
  if (file->path == NULL || sb_priv_path_look("/", &file->root) != 0) file->root = (sb_priv_file_facts){0};
}

sb_status sb_priv_visit_still_there(visit_file *file, sb_error *error) {
  const int before = atomic_load(&file->displaced);
  if (before != IN_PLACE) return displaced(before, error);
  int problem;
  const place found = look(file, true, &problem);
  /* That it is not known is no sign that it has moved. */
  return found == IN_PLACE || found == UNKNOWN ? SB_OK : stop(file, found, error);
}

sb_status sb_priv_visit_may_write(visit_file *file, sb_error *error) {
  const int64_t now = sb_priv_coarse_ns();
  const bool due = now - file->looked_ns >= LOOK_INTERVAL_NS;
  const int before = atomic_load(&file->displaced);
  if (before != IN_PLACE) return displaced(before, error);
  if (!due && file->durability != SB_DURABILITY_ALWAYS) return SB_OK;
  if (due) file->looked_ns = now;
  int problem;
  const place found = look(file, due, &problem);
  return found == IN_PLACE || found == UNKNOWN ? SB_OK : stop(file, found, error);
}

/* ---- PATH.new ---- */

static void new_name(const visit_file *file, visit_side_name name) { visit_suffixed(file->name, ".new", name); }

/* What a file bears as a mark that is made for `file`, -1 being none: never 0. */
static int mark_of(int file, uint32_t *mark) {
  uint8_t page[VISIT_SECTOR];
  size_t got = 0;
  if (file >= 0) {
    const int problem = sb_priv_file_read(file, page, sizeof page, 0, &got);
    if (problem != 0) return problem;
  }
  /* Of a store its UUID, for the rest of its page changes. */
  *mark = sb_priv_visit_header_is_ours(page, got) && got == sizeof page ? sb_priv_visit_seed(page + 32) : sb_crc32c(0, page, got);
  if (*mark == 0) *mark = 1;
  return 0;
}

/* What a file begins with that is to replace the one with this mark. */
static void mark_page(uint8_t page[VISIT_LOG_START], uint32_t mark) {
  static const uint8_t no_uuid[16];
  memset(page, 0, VISIT_LOG_START);
  sb_priv_visit_mark_encode(page, no_uuid, mark);
}

/* Whether a file was cut while its first page was written: it is a beginning of that page, or has the length of it and only zeros. */
static bool hardly_begun(const uint8_t *page, size_t size, uint32_t mark) {
  enum {
    SAME = VISIT_SECTOR + 48
  }; /* then comes a number of the start of the system, which may be another by now */
  uint8_t whole[VISIT_LOG_START] = {0};
  if (size <= VISIT_LOG_START && memcmp(page, whole, size) == 0) return true;
  mark_page(whole, mark);
  return size < VISIT_LOG_START && memcmp(page, whole, size < SAME ? size : SAME) == 0;
}

/* Whether a file that was found as PATH.new holds nothing that is not in the file under PATH: it is what a killed process was building in that
 * one's place, or what that one was built for and has replaced. */
static int is_unfinished(const visit_file *file, int found, bool *unfinished) {
  uint8_t page[VISIT_LOG_START + 1], uuid[16];
  size_t got = 0;
  uint32_t mark = 0, found_mark = 0;
  visit_slot slot = {0}, other;
  int problem = sb_priv_file_read(found, page, sizeof page, 0, &got);
  if (problem == 0) problem = mark_of(file->log.file, &mark);
  if (problem == 0) problem = mark_of(found, &found_mark);
  if (problem != 0) return problem;
  for (unsigned i = 1; got >= VISIT_LOG_START && i <= 2; i++)
    if (sb_priv_visit_slot_decode(page + VISIT_SECTOR * i, &other, uuid) && (slot.state == 0 || other.generation > slot.generation))
      slot = other;
  *unfinished = hardly_begun(page, got, mark) || (slot.state != 0 && slot.replaces == mark) ||
                (file->log.slot.state != 0 && file->log.slot.replaces == found_mark);
  return 0;
}

static sb_status somebody_builds(sb_error *error, const char *name) {
  return sb_priv_caused(
      sb_priv_error(error, SB_LOCKED, NULL, "another handle or process has %.100s, under which a new file is built", name), EWOULDBLOCK,
      error);
}

sb_status sb_priv_visit_remove_unfinished(visit_file *file, sb_error *error) {
  visit_side_name name, lock;
  sb_priv_file_facts facts, other;
  bool unfinished, locked = false;
  int found = -1;
  new_name(file, name);
  visit_suffixed(file->name, ".new.lock", lock);
  int problem = sb_priv_name_look(file->folder, name, &facts);
  if (problem == ENOENT) return SB_OK;
  /* A link holds nothing itself, and a second name of the store no more than the first. */
  const bool own = problem == 0 && file->log.file >= 0 && sb_priv_file_same(&facts, &file->held);
  unfinished = problem == 0 && (own || sb_priv_file_is_link(file->folder, name));
  if (problem == 0 && !unfinished && facts.regular) {
    problem = sb_priv_name_look(file->folder, lock, &other); /* says that it is a store of its own */
    if (problem == ENOENT) {
      problem = sb_priv_file_open(file->folder, name, SB_PRIV_READ, &found);
      if (problem == 0) problem = sb_priv_file_locked(found, &locked);
      if (problem == 0 && !locked) problem = is_unfinished(file, found, &unfinished);
      sb_priv_file_close(found);
    }
  }
  if (problem != 0) return sb_priv_visit_io(error, problem, "looking for what was left of a new file");
  if (locked) return somebody_builds(error, name);
  if (!unfinished)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "a new file is built as %.100s, which is another file; move that away", name);
  problem = sb_priv_file_remove(file->folder, name);
  return problem == 0 || problem == ENOENT ? SB_OK : sb_priv_visit_io(error, problem, "removing what was left of a new file");
}

/* The mark is on disk before anything that the file will hold. */
static int new_mark(const visit_file *file, uint32_t *replaces) {
  uint8_t page[VISIT_LOG_START];
  int problem = mark_of(file->log.file, replaces);
  if (problem != 0) return problem;
  mark_page(page, *replaces);
  problem = sb_priv_file_write(file->made, page, sizeof page, 0);
  return problem == 0 ? sb_priv_file_sync(file->made) : problem;
}

sb_status sb_priv_visit_new_open(visit_file *file, const sb_priv_file_facts *like, uint32_t *replaces, sb_error *error) {
  visit_side_name name;
  new_name(file, name);
  sb_status status = sb_priv_visit_remove_unfinished(file, error);
  if (status != SB_OK) return status;
  sb_priv_fork_hold();
  int problem = sb_priv_file_open(file->folder, name, like == NULL ? SB_PRIV_CREATE_SHARED : SB_PRIV_CREATE, &file->made);
  sb_priv_fork_release();
  if (problem == EEXIST) return somebody_builds(error, name); /* it was not there just now */
  if (problem != 0) return sb_priv_visit_io(error, problem, "making a new file");
  problem = sb_priv_file_lock(file->made);
  if (problem == EWOULDBLOCK) {
    status = somebody_builds(error, name);
  } else {
    if (problem == 0 && like != NULL) problem = sb_priv_file_make_like(file->made, like);
    if (problem == 0) problem = new_mark(file, replaces);
    if (problem != 0) status = sb_priv_visit_io(error, problem, "beginning a new file, its lock and its mode");
  }
  if (status != SB_OK) sb_priv_visit_new_abandon(file);
  return status;
}

int sb_priv_visit_new_take(visit_file *file) {
  const int made = file->made;
  file->made = -1;
  return made;
}

void sb_priv_visit_new_remove(visit_file *file, int made) {
  visit_side_name name;
  sb_priv_file_facts facts, named;
  new_name(file, name);
  if (sb_priv_file_look(made, &facts) != 0 || sb_priv_name_look(file->folder, name, &named) != 0) return;
  if (sb_priv_file_same(&facts, &named)) sb_priv_file_remove(file->folder, name);
}

void sb_priv_visit_new_abandon(visit_file *file) {
  if (file->made < 0) return;
  sb_priv_visit_new_remove(file, file->made);
  sb_priv_fork_hold();
  const int made = sb_priv_visit_new_take(file);
  sb_priv_lock_close(made);
  sb_priv_fork_release();
}

/* Whether PATH.new leads to the file that was built there. */
static sb_status check_new(const visit_file *file, const char *name, int made, sb_priv_file_facts *facts, sb_error *error) {
  sb_priv_file_facts named;
  int problem = sb_priv_file_look(made, facts);
  if (problem == 0) problem = sb_priv_name_look(file->folder, name, &named);
  if (problem != 0 && problem != ENOENT) return sb_priv_visit_io(error, problem, "looking at the new file");
  if (problem == 0 && sb_priv_file_same(facts, &named)) return SB_OK;
  return sb_priv_error(error, SB_NOT_FOUND, NULL, "%.100s, where the new file was built, was moved, replaced or removed meanwhile", name);
}

/* Nothing is put in the place of a file that is not the one that was copied. */
static sb_status check_replaced(visit_file *file, sb_error *error) {
  int problem;
  const place found = look(file, true, &problem);
  if (found == UNKNOWN) return sb_priv_visit_io(error, problem, "looking whether the path still leads to the file");
  return found == IN_PLACE ? SB_OK : stop(file, found, error);
}

static sb_status refused(int problem, sb_error *error) {
  return sb_priv_visit_io(error, problem,
                          problem == EBUSY
                              ? "the path is a mount of this file alone, which no other can replace: mount its folder instead; "
                                "putting a new file in place"
                              : "putting a new file in place");
}

/* The file that had the name PATH has the name PATH.new now, which it loses. Where that is another one than was looked at, because somebody
 * gave PATH to it in that moment, both get their names back: `*wrong`. */
static int remove_replaced(const visit_file *file, const char *name, bool *wrong) {
  sb_priv_file_facts named;
  const int problem = sb_priv_name_look(file->folder, name, &named);
  *wrong = problem == 0 && !sb_priv_file_same(&named, &file->held);
  if (*wrong) return sb_priv_file_move(file->folder, name, file->name, SB_PRIV_EXCHANGE);
  return problem == 0 ? sb_priv_file_remove(file->folder, name) : problem;
}

sb_status sb_priv_visit_new_replace(visit_file *file, int made, int *left, sb_error *error) {
  visit_side_name name;
  sb_priv_file_facts facts;
  new_name(file, name);
  sb_status status = check_new(file, name, made, &facts, error);
  if (status == SB_OK) status = check_replaced(file, error);
  if (status != SB_OK) return status;
  bool wrong = false;
  *left = 0;
  int problem = sb_priv_file_move(file->folder, name, file->name, SB_PRIV_EXCHANGE);
  if (problem == 0)
    *left = remove_replaced(file, name, &wrong);
  else if (problem == EINVAL)
    problem = sb_priv_file_rename(file->folder, name, file->name);
  if (wrong) return stop(file, OTHER, error);
  if (problem != 0) return refused(problem, error);
  file->held = facts;
  return SB_OK;
}

sb_status sb_priv_visit_new_left(int left, sb_error *error) {
  return left == 0 ? SB_OK : sb_priv_visit_io(error, left, "the new file is in place; removing the old one, which is PATH.new now");
}

sb_status sb_priv_visit_new_place(visit_file *file, int made, bool *taken, sb_error *error) {
  visit_side_name name;
  sb_priv_file_facts facts, named;
  new_name(file, name);
  *taken = false;
  sb_status status = check_new(file, name, made, &facts, error);
  if (status != SB_OK) return status;
  int problem = sb_priv_file_move(file->folder, name, file->name, SB_PRIV_NO_REPLACE);
  if (problem == EINVAL) {
    problem = sb_priv_name_look(file->folder, file->name, &named) == ENOENT ? 0 : EEXIST;
    if (problem == 0) problem = sb_priv_file_rename(file->folder, name, file->name);
  }
  *taken = problem == EEXIST;
  if (*taken) return SB_OK;
  if (problem != 0) return refused(problem, error);
  file->held = facts;
  return SB_OK;
}

sb_status sb_priv_visit_one_name(const sb_priv_file_facts *facts, sb_error *error) {
  if (facts->links <= 1) return SB_OK;
  return sb_priv_error(error, SB_UNSUPPORTED, NULL,
                       "the file has %llu names (hard links), and a compaction would leave the others with what it holds now; remove them "
                       "to compact",
                       (unsigned long long)facts->links);
}

/* ---- names that a store takes for itself ---- */

static bool ends_with(const char *name, size_t size, const char *suffix) {
  const size_t length = strlen(suffix);
  return size > length && memcmp(name + size - length, suffix, length) == 0;
}

/* How many of the first `size` bytes of `name` are the name of the store that would take these; 0: none would. */
static size_t stem_of(const char *name, size_t size) {
  static const char *const suffixes[] = {".lock", ".new", ".v0", ".cut"};
  size_t digits = size;
  while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') digits--;
  if (digits < size && ends_with(name, digits, ".cut.")) size = digits - 1;
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
    if (ends_with(name, size, suffixes[i])) return size - strlen(suffixes[i]);
  return 0;
}

/* Whether there is a file of that name, or the lock of one, which may be back soon. */
static int is_there(int folder, const char *name, size_t size, bool *there) {
  char store[SB_VISIT_PATH_MAX + 16];
  sb_priv_file_facts facts;
  (void)snprintf(store, sizeof store, "%.*s", (int)size, name);
  int problem = sb_priv_name_look(folder, store, &facts);
  if (problem == ENOENT && strcmp(name + size, ".lock") != 0) {
    (void)snprintf(store + size, sizeof store - size, ".lock");
    problem = sb_priv_name_look(folder, store, &facts);
  }
  *there = problem == 0;
  return problem == ENOENT ? 0 : problem;
}

sb_status sb_priv_visit_name_is_free(int folder, const char *name, sb_error *error) {
  for (size_t size = stem_of(name, strlen(name)); size > 0; size = stem_of(name, size)) { /* PATH.new.lock is one of PATH, too */
    bool there;
    const int problem = size > SB_VISIT_PATH_MAX ? 0 : is_there(folder, name, size, &there);
    if (problem != 0) return sb_priv_visit_io(error, problem, "looking for a store that takes this name for itself");
    if (size <= SB_VISIT_PATH_MAX && there)
      return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL,
                           "%.90s is a name that the store %.*s beside it takes for itself; choose another", name,
                           size > 90 ? 90 : (int)size, name);
  }
  return SB_OK;
}

/* Whether the name leads to the file that was made under it. */
sb_status sb_priv_visit_target_check(int folder, const char *name, int file, sb_error *error) {
  sb_priv_file_facts facts, named;
  int problem = sb_priv_file_look(file, &facts);
  if (problem == 0) problem = sb_priv_name_look(folder, name, &named);
  if (problem != 0 && problem != ENOENT) return sb_priv_visit_io(error, problem, "looking at the new file");
  if (problem == 0 && sb_priv_file_same(&facts, &named)) return SB_OK;
  return sb_priv_error(error, SB_NOT_FOUND, NULL, "the new file was moved, replaced or removed while it was written");
}

sb_status sb_priv_visit_target_open(const char *path, int *folder, const char **name, int *file, sb_error *error) {
  int problem = sb_priv_folder_open(path, folder, name);
  if (problem != 0) return sb_priv_visit_io(error, problem, "opening the folder of the new file");
  sb_status status = sb_priv_visit_name_is_free(*folder, *name, error);
  if (status == SB_OK) {
    problem = sb_priv_file_open(*folder, *name, SB_PRIV_CREATE, file);
    if (problem == EEXIST)
      status = sb_priv_caused(sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "%.150s exists; name a new file", path), problem, error);
    else if (problem != 0)
      status = sb_priv_visit_io(error, problem, "making the new file");
  }
  /* Nobody opens it as a store while it is written. Where there are no locks it is written all the same. */
  if (status == SB_OK && sb_priv_file_lock(*file) == EWOULDBLOCK) {
    sb_priv_file_close(*file);
    status = sb_priv_caused(sb_priv_error(error, SB_LOCKED, NULL, "another process opened the new file as soon as it was made"),
                            EWOULDBLOCK, error);
  }
  if (status != SB_OK) sb_priv_file_close(*folder);
  return status;
}

void sb_priv_visit_target_close(int folder, const char *name, int file, bool remove) {
  if (remove && sb_priv_visit_target_check(folder, name, file, NULL) == SB_OK) sb_priv_file_remove(folder, name);
  sb_priv_lock_close(file);
  sb_priv_file_close(folder);
}
