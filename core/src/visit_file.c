//go:build !samebytes_shared

/* The file store: opening, reading, closing. Changes are in visit_commit.c.
 *
 * Nobody touches a file without its lock but readers, and they only read. The file itself is locked, and PATH.lock for the time when there is
 * no file yet. Whatever replaces PATH is built as PATH.new, locked, and renamed, so that PATH is a whole and locked file at every moment. */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error_private.h"
#include "options.h"
#include "visit_private.h"

#define INTERVAL_MS_DEFAULT 100
#define ROUNDS_MAX 8         /* of opening a file that others exchange meanwhile */
#define LOCK_LOOK_NS 1000000 /* how often an open looks whether a lock is free; */
#define LOCK_LOOK_PART 16    /* longer, the longer it waits: this part of the time so far, */
#define LOCK_LOOK_NS_MAX 20000000
#define CUT_MAX 100000000u /* numbers of files with what was cut off, and one more */
#define SCAN_ROWS 1024u    /* for which a walk makes room at once */
#define SCAN_BYTES (512u << 10)
#define COUNT_USERS 256u /* at once, for a list of users */
#define EVICT_USERS 64u  /* looked at for one that came into memory */

/* ---- files that replace PATH ---- */

/* Builds PATH.new as file->made, closed and on disk, with what `log` holds. `facts` are those of the file whose place it takes; NULL: there
 * is none. */
static sb_status build(visit_file *file, visit_log *log, const sb_priv_file_facts *facts, sb_error *error) {
  uint32_t replaces;
  sb_status status = sb_priv_visit_new_open(file, facts, &replaces, error);
  if (status != SB_OK) return status;
  status = sb_priv_visit_write_closed(log, file->made, replaces, error);
  if (status != SB_OK) sb_priv_visit_new_abandon(file);
  return status;
}

/* Gives PATH.new the name PATH, in the place of the file that is held if there is one. Where somebody else was faster, file->made is gone. */
static sb_status put_in_place(visit_file *file, bool replace, sb_error *error) {
  bool taken = false;
  int left = 0; /* which is removed when the file is opened for writing, a moment later */
  sb_status status = replace ? sb_priv_visit_new_replace(file, file->made, &left, error)
                             : sb_priv_visit_new_place(file, file->made, &taken, error);
  if (status != SB_OK || taken) {
    sb_priv_visit_new_abandon(file);
    return status;
  }
  const int problem = sb_priv_folder_sync(file->folder);
  return problem == 0 ? SB_OK : sb_priv_visit_io(error, problem, "putting a new file in place");
}

static sb_status create(visit_file *file, uint32_t max_visits, const sb_priv_file_facts *facts, sb_error *error) {
  visit_log empty;
  sb_priv_visit_log_init(&empty, -1, true);
  empty.table.max_visits = max_visits == 0 ? SB_VISITS_MAX_DEFAULT : max_visits;
  sb_status status = build(file, &empty, facts, error);
  if (status == SB_OK) status = put_in_place(file, facts != NULL, error);
  sb_priv_visit_log_free(&empty);
  return status;
}

/* Makes the old file PATH.v0, and a new one with the same visits PATH. */
static sb_status upgrade(visit_file *file, visit_log *old, const sb_priv_file_facts *facts, sb_error *error) {
  visit_side_name kept;
  sb_priv_file_facts other;
  visit_suffixed(file->name, ".v0", kept);
  int problem = sb_priv_name_look(file->folder, kept, &other);
  /* A crash between link and rename leaves both names on one file. */
  const bool linked = problem == 0 && sb_priv_file_same(&other, facts);
  if (problem == 0 && !linked)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL,
                         "the file has the old format and would be kept as %.100s, which exists; move that away", kept);
  if (problem != 0 && problem != ENOENT) return sb_priv_visit_io(error, problem, "looking for the name to keep the old file under");
  sb_status status = build(file, old, facts, error);
  if (status != SB_OK) return status;
  problem = linked ? 0 : sb_priv_file_link(file->folder, file->name, kept);
  if (problem == 0) problem = sb_priv_folder_sync(file->folder);
  if (problem == 0) return put_in_place(file, true, error);
  sb_priv_visit_new_abandon(file);
  return sb_priv_visit_io(error, problem, "keeping the old file");
}

/* ---- recovery ---- */

static int copy_range(int from, uint64_t offset, uint64_t size, int to, uint64_t target) {
  uint8_t bytes[64 << 10];
  for (uint64_t done = 0; done < size;) {
    const size_t piece = size - done < sizeof bytes ? (size_t)(size - done) : sizeof bytes;
    size_t got;
    int problem = sb_priv_file_read(from, bytes, piece, offset + done, &got);
    if (problem == 0 && got < piece) problem = EIO;
    if (problem == 0) problem = sb_priv_file_write(to, bytes, piece, target + done);
    if (problem != 0) return problem;
    done += piece;
  }
  return 0;
}

static void cut_name(const visit_file *file, uint32_t number, visit_side_name name) {
  if (number == 0)
    visit_suffixed(file->name, ".cut", name);
  else
    (void)snprintf(name, sizeof(visit_side_name), "%s.cut.%u", file->name, (unsigned)number);
}

static bool cut_taken(const visit_file *file, uint32_t number) {
  visit_side_name name;
  sb_priv_file_facts facts;
  cut_name(file, number, name);
  return sb_priv_file_look_at(file->folder, name, &facts) == 0 || sb_priv_file_is_link(file->folder, name);
}

/* Makes a file for what is cut off, under a name that is free. Where many are taken, few are tried: steps grow until one is free, and then
 * shrink to one that is free behind one that is taken. So names follow each other where nobody removed any. */
static int open_cut(const visit_file *file, visit_side_name name, int *kept) {
  uint32_t taken = 0, untaken = 0;
  for (uint32_t step = 1; untaken < CUT_MAX && cut_taken(file, untaken); step *= 2) {
    taken = untaken;
    untaken += step;
  }
  while (untaken > taken + 1) {
    const uint32_t middle = taken + (untaken - taken) / 2;
    if (cut_taken(file, middle))
      taken = middle;
    else
      untaken = middle;
  }
  int problem = EEXIST;
  for (; problem == EEXIST && untaken < CUT_MAX; untaken++) { /* again where somebody was faster */
    cut_name(file, untaken, name);
    problem = sb_priv_file_open(file->folder, name, SB_PRIV_CREATE, kept);
  }
  return problem;
}

/* Keeps the unsynced tail beside the file, and cuts it off. */
static sb_status cut(visit_file *file, uint64_t tail, sb_error *error) {
  sb_priv_file_facts facts;
  visit_side_name name;
  int kept = -1;
  int problem = open_cut(file, name, &kept);
  if (problem == 0) {
    problem = sb_priv_file_look(file->log.file, &facts);
    if (problem == 0) problem = sb_priv_file_make_like(kept, &facts);
    if (problem == 0) problem = copy_range(file->log.file, file->log.end, tail, kept, 0);
    if (problem == 0) problem = sb_priv_file_sync(kept);
    if (problem == 0) problem = sb_priv_folder_sync(file->folder);
    sb_priv_file_close(kept);
    if (problem != 0) sb_priv_file_remove(file->folder, name);
  }
  if (problem == 0) problem = sb_priv_file_resize(file->log.file, file->log.end);
  /* Or else a power failure could bring the tail back behind what is written now. */
  if (problem == 0) problem = sb_priv_file_sync(file->log.file);
  if (problem != 0) return sb_priv_visit_io(error, problem, "cutting off what was never synced");
  file->log.cut_bytes = tail;
  return SB_OK;
}

/* Appends the change of max_visits, if it is one. It is the last step of an open: one that fails must not leave a file that has forgotten
 * visits. */
static sb_status set_limit(visit_file *file, uint32_t max_visits, sb_error *error) {
  visit_writer *writer = &file->writer;
  if (max_visits == 0 || max_visits == file->log.table.max_visits) return SB_OK;
  sb_status status = sb_priv_visit_log_limit_reserve(&file->log);
  if (status == SB_OK) status = sb_priv_visit_writer_limit(writer, max_visits);
  if (status == SB_TOO_LARGE)
    return sb_priv_error(error, status, "max_visits", "the file has reached 8 TiB; open it with its own max_visits, and compact it");
  if (status != SB_OK) return sb_priv_error(error, status, NULL, "no memory to open the file");
  visit_record record;
  (void)sb_priv_visit_head_decode(writer->bytes.data, file->log.end, &record);
  record.payload = writer->bytes.data + VISIT_HEAD;
  status = sb_priv_visit_append(file, error);
  sb_priv_visit_lock_write(&file->state_lock);
  if (status == SB_OK) status = sb_priv_visit_log_take(&file->log, &record, error);
  sb_priv_visit_log_settle(&file->log);
  if (status == SB_OK)
    writer->bytes.size = 0;
  else
    sb_priv_visit_take_back(file);
  sb_priv_visit_lock_write_end(&file->state_lock);
  return status;
}

static sb_status open_for_writing(visit_file *file, uint64_t size, uint64_t tail, uint32_t max_visits, sb_error *error) {
  visit_log *log = &file->log;
  sb_status status = SB_OK;
  (void)sb_priv_visit_remove_unfinished(file, NULL); /* what stays is nothing that an open needs */
  file->allocated = tail > 0 ? log->end : size;
  if (tail > 0) status = cut(file, tail, error);
  if (status != SB_OK) return status;
  if (log->slot.state == VISIT_SLOT_OPEN && file->durability != SB_DURABILITY_NONE) {
    /* What the last process wrote may not be on disk, but from now on it is shown. */
    const int problem = sb_priv_file_sync(log->file);
    if (problem != 0) return sb_priv_visit_io(error, problem, "syncing the file");
    log->durable = log->end;
  }
  file->writer = (visit_writer){.file = log->file, .seed = log->seed, .sequence = log->sequence, .end = log->end, .durable = log->durable};
  if ((visit_load64(log->header + 16) & VISIT_FEATURE_COPIES) != 0) file->writer.header = log->header;
  sb_priv_visit_index_schedule(file);
  status = sb_priv_visit_threads_start(file, error);
  return status == SB_OK ? set_limit(file, max_visits, error) : status;
}

/* ---- open ---- */

/* Reads a file that is open as log->file, in whichever format it is. */
static sb_status read_any(visit_file *file, visit_log *log, const sb_priv_file_facts *facts, uint64_t *tail, bool *old, sb_error *error) {
  uint8_t magic[8];
  size_t got = 0;
  const int problem = sb_priv_file_read(log->file, magic, sizeof magic, 0, &got);
  if (problem != 0) return sb_priv_visit_io(error, problem, "reading the file");
  *tail = 0;
  *old = false;
  if (facts->size == 0) return SB_OK; /* a read-only handle shows that nobody has visits */
  if (sb_priv_visit_header_is_ours(magic, got)) return sb_priv_visit_log_open(log, tail, error);
  *old = true;
  (void)file;
  return sb_priv_visit_old_read(log, facts->size, error);
}

static sb_status open_data(visit_file *file, int *data, sb_priv_file_facts *facts, sb_error *error) {
  int problem = sb_priv_file_open(file->folder, file->name, file->read_only ? SB_PRIV_READ : SB_PRIV_WRITE, data);
  if (problem == ENOENT) return SB_NOT_FOUND;
  if (problem == EISDIR)
    return sb_priv_caused(sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "the path is a folder; name a file"), problem, error);
  if (problem != 0) return sb_priv_visit_io(error, problem, "opening the file");
  problem = sb_priv_file_look(*data, facts);
  if (problem == 0 && facts->regular) return SB_OK;
  sb_priv_file_close(*data);
  *data = -1;
  if (problem != 0) return sb_priv_visit_io(error, problem, "opening the file");
  return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "the path is no regular file");
}

/* Closes the file that is open, of which nothing was kept. */
static void drop(visit_file *file) {
  sb_priv_fork_hold();
  const int data = file->log.file;
  sb_priv_visit_log_free(&file->log);
  sb_priv_lock_close(data);
  sb_priv_fork_release();
}

static sb_status not_locked(int problem, const char *what, sb_error *error) {
  if (problem == EWOULDBLOCK)
    return sb_priv_caused(sb_priv_error(error, SB_LOCKED, NULL,
                                        "another handle or process writes this file, under this name or another one; close it, or open "
                                        "read_only"),
                          problem, error);
  if (sb_priv_lock_missing(problem))
    return sb_priv_system_error(error, SB_IO, problem,
                                "the file system has no locks that keep two writers apart: put the store on one that has, or open the file "
                                "read_only; locking %s",
                                what);
  return sb_priv_visit_io(error, problem,
                          problem == EROFS || problem == EACCES ? "the folder cannot be written, open the file read_only; locking PATH.lock"
                                                                : "locking the file");
}

/* Locks the file that is open as log.file, and looks whether PATH leads to it still: whoever waited for the lock, or was slow, may have opened
 * what a compaction has replaced since. `*other`: it does not. */
static sb_status hold_data(visit_file *file, const sb_priv_file_facts *facts, bool *other, sb_error *error) {
  sb_priv_file_facts named;
  int problem = sb_priv_file_lock(file->log.file);
  if (problem != 0) return not_locked(problem, "the file", error);
  problem = sb_priv_name_look(file->folder, file->name, &named);
  if (problem != 0 && problem != ENOENT) return sb_priv_visit_io(error, problem, "looking at the file");
  *other = problem == ENOENT || !sb_priv_file_same(&named, facts);
  if (*other) return SB_OK;
  sb_priv_visit_hold(file, facts);
  sb_priv_file_facts lock; /* on some file systems nothing has a number of names */
  if (facts->links > 0 || sb_priv_file_look(file->lock, &lock) != 0 || lock.links == 0) return SB_OK;
  return sb_priv_error(error, SB_NOT_FOUND, NULL,
                       "the file was removed or replaced, and has this path only because it is mounted here; mount its folder instead");
}

/* Opens PATH as log.file, locked if it is to be written. One that this open has made is taken as it is: it was never unlocked. */
static sb_status take_data(visit_file *file, sb_priv_file_facts *facts, bool *other, sb_error *error) {
  int data = -1;
  const bool made = file->made >= 0;
  sb_status status = SB_OK;
  *other = false;
  sb_priv_fork_hold();
  if (made)
    data = sb_priv_visit_new_take(file);
  else
    status = open_data(file, &data, facts, error);
  sb_priv_visit_log_init(&file->log, data, file->read_only);
  sb_priv_fork_release();
  if (status != SB_OK || file->read_only) return status;
  if (!made) return hold_data(file, facts, other, error);
  const int problem = sb_priv_file_look(data, facts);
  if (problem != 0) return sb_priv_visit_io(error, problem, "looking at the file");
  sb_priv_visit_hold(file, facts);
  return SB_OK;
}

static sb_status attach(visit_file *file, uint32_t max_visits, sb_error *error) {
  /* A file that is made or upgraded is read as anyone else would read it; one that was replaced meanwhile is opened again. */
  for (int round = 0; round < ROUNDS_MAX; round++, drop(file)) {
    sb_priv_file_facts facts = {0};
    bool other;
    sb_status status = take_data(file, &facts, &other, error);
    if (status == SB_NOT_FOUND && file->read_only)
      return sb_priv_caused(sb_priv_error(error, status, NULL, "there is no such file, and read_only makes none"), ENOENT, error);
    const bool missing = status == SB_NOT_FOUND && file->log.file < 0;
    if (status != SB_OK && !missing) return status;
    if (other) continue;
    if (missing || (facts.size == 0 && !file->read_only)) {
      status = create(file, max_visits, missing ? NULL : &facts, error);
      if (status != SB_OK) return status;
      continue;
    }
    uint64_t tail = 0;
    bool old = false;
    if (max_visits != 0) file->log.table.max_visits = max_visits;
    status = read_any(file, &file->log, &facts, &tail, &old, error);
    file->told = file->log.sequence;
    if (status == SB_OK && file->read_only) file->log.cut_bytes = tail;
    if (status != SB_OK || (file->read_only && !old)) return status;
    if (!old) return open_for_writing(file, facts.size, tail, max_visits, error);
    file->upgraded = !file->read_only;
    if (file->read_only) return SB_OK;
    status = upgrade(file, &file->log, &facts, error);
    if (status != SB_OK) return status;
  }
  return sb_priv_error(error, SB_IO, NULL, "the file vanishes, or is another one, as soon as it is opened");
}

static void forget_in_child(sb_priv_fork_entry *entry) {
  visit_file *file = (visit_file *)(void *)entry; /* its first member */
  atomic_store(&file->forked, true);
  /* Without unlocking: the locks are the parent's, and end when the parent closes or dies, this process living or not. */
  sb_priv_file_close(file->lock);
  sb_priv_file_close(file->made);
  sb_priv_file_close(file->log.file);
  sb_priv_file_close(file->copy_file);
  sb_priv_file_close(file->folder);
}

/* The descriptors are gone from a child that is forked at any moment: they are opened and noted while nobody can fork. */
static sb_status open_beside(visit_file *file, const char *path, sb_error *error) {
  const char *name;
  sb_priv_file_facts facts;
  sb_priv_fork_hold();
  sb_priv_fork_add(&file->fork);
  int problem = sb_priv_folder_open(path, &file->folder, &name);
  const size_t size = problem == 0 ? strlen(name) : 0;
  const bool there = problem == 0 && sb_priv_file_look_at(file->folder, name, &facts) == 0;
  sb_status status = SB_OK;
  if (problem != 0) {
    file->folder = -1;
    status = sb_priv_visit_io(error, problem, "opening the folder of the file");
  } else if (size == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
    status = sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "the path is a folder; name a file");
  } else if (size > SB_VISIT_PATH_MAX) {
    status = sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "the last component of the path has %zu bytes; %d are allowed", size,
                           SB_VISIT_PATH_MAX);
  } else if (!file->read_only && sb_priv_file_is_link(file->folder, name)) {
    /* One that leads to a file was resolved. A new file would replace the link, and be locked beside it. */
    status = sb_priv_error(error, SB_INVALID_ARGUMENT, NULL,
                           "the path is a symbolic link that leads to no file; make an empty file there, or remove the link");
  } else if (there && !facts.regular) {
    status = sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "the path is no regular file"); /* before a lock is left beside it */
  } else if (!file->read_only && (!there || facts.size == 0) && (status = sb_priv_visit_name_is_free(file->folder, name, error)) != SB_OK) {
    /* A store there would be in the way of the one beside it. */
  } else if ((file->name = strdup(name)) == NULL) {
    status = sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory to open the file");
  } else if (!file->read_only) {
    visit_side_name lock;
    visit_suffixed(name, ".lock", lock);
    problem = sb_priv_lock_open(file->folder, lock, there ? &facts : NULL, &file->lock);
    if (problem != 0) status = not_locked(problem, "PATH.lock", error);
  }
  sb_priv_fork_release();
  return status;
}

static void init_locks(visit_file *file) {
  sb_priv_visit_lock_init(&file->state_lock);
  (void)pthread_mutex_init(&file->queue_mutex, NULL);
  (void)pthread_mutex_init(&file->sync_mutex, NULL);
  (void)pthread_mutex_init(&file->thread_mutex, NULL);
  (void)pthread_mutex_init(&file->failure_mutex, NULL);
  pthread_condattr_t attributes;
  (void)pthread_condattr_init(&attributes);
  (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&file->sync_wake, &attributes);
  (void)pthread_cond_init(&file->compact_wake, NULL);
  (void)pthread_condattr_destroy(&attributes);
}

/* ---- reading ---- */

static sb_status closed(sb_error *error) {
  return sb_priv_error(error, SB_CLOSED, NULL, "the file was closed, or belongs to the parent of this process");
}

static bool gone(const visit_file *file) { return atomic_load(&file->forked) || atomic_load(&file->finished); }

/* Shows one user. Most are in memory; one that is not is read while nobody else may read, because reading changes the table. */
static sb_status show(visit_file *file, uint32_t user, sb_visits *visits, sb_error *error) {
  sb_priv_visit_lock_read(&file->state_lock);
  visit_user *found = sb_priv_visit_table_find(&file->log.table, user);
  const bool in_memory = found != NULL && found->decoded, in_file = !in_memory && (found != NULL || file->log.base.page_count > 0);
  sb_status status = in_memory ? sb_priv_visit_user_show(found, file->show_max, visits) : SB_OK;
  if (in_memory && !__atomic_load_n(&found->recent, __ATOMIC_RELAXED)) __atomic_store_n(&found->recent, true, __ATOMIC_RELAXED);
  sb_priv_visit_lock_read_end(&file->state_lock);
  if (in_file) {
    SB_PRIV_UNCANCELLED;
    sb_priv_visit_lock_write(&file->state_lock);
    status = sb_priv_visit_log_load(&file->log, user, false, &found, error);
    if (status == SB_OK && found != NULL) status = sb_priv_visit_user_show(found, file->show_max, visits);
    sb_priv_visit_log_evict(&file->log, file->memory_max, EVICT_USERS);
    sb_priv_visit_lock_write_end(&file->state_lock);
  }
  if (status == SB_NO_MEMORY) return sb_priv_error(error, status, NULL, "no memory for the visits");
  return status;
}

static sb_status file_recent(void *context, const uint32_t *users, size_t user_count, sb_visits *visits, int64_t deadline_ns,
                             sb_error *error) {
  visit_file *file = context;
  (void)deadline_ns;
  if (gone(file)) return closed(error);
  sb_status status = SB_OK;
  for (size_t i = 0; i < user_count && status == SB_OK; i++) status = show(file, users[i], visits, error);
  return status;
}

/* The next of the users from `*from` on: how many visits they have can be known without reading them, mostly. */
static sb_status list_users(visit_file *file, uint64_t *from, sb_visit_users *users, sb_error *error) {
  visit_walk walk;
  sb_status status = SB_OK;
  sb_priv_visit_walk_begin(&walk, &file->log, *from);
  for (unsigned i = 0; i < COUNT_USERS && status == SB_OK && *from >> 32 == 0; i++) {
    uint32_t count;
    status = sb_priv_visit_walk_next(&walk, from, error);
    if (status != SB_OK || *from >> 32 != 0) break;
    status = sb_priv_visit_log_count(&file->log, (uint32_t)*from, &count, error);
    if (status == SB_OK && count > 0) status = sb_visit_users_put(users, (uint32_t)*from, count < file->show_max ? count : file->show_max);
    ++*from;
  }
  return status;
}

static sb_status file_users(void *context, sb_visit_users *users, int64_t deadline_ns, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  visit_file *file = context;
  (void)deadline_ns;
  if (gone(file)) return closed(error);
  sb_status status = SB_OK;
  for (uint64_t from = 0; status == SB_OK && from >> 32 == 0;) {
    sb_priv_visit_lock_write(&file->state_lock);
    status = list_users(file, &from, users, error);
    sb_priv_visit_lock_write_end(&file->state_lock);
  }
  if (status == SB_NO_MEMORY) return sb_priv_error(error, status, NULL, "no memory for the list of users");
  return status;
}

static sb_status file_scan(void *context, uint64_t *next, size_t visits_min, sb_visits *visits, int64_t deadline_ns, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  visit_file *file = context;
  (void)deadline_ns;
  if (gone(file)) return closed(error);
  visit_walk walk;
  uint64_t user = *next;
  sb_priv_visit_lock_write(&file->state_lock);
  /* In one piece that is large enough for malloc to keep for the next call, instead of giving it back to the system each time. */
  const uint64_t live = file->log.table.live_bytes;
  sb_status status = sb_visits_reserve(visits, visits_min < SCAN_ROWS ? visits_min : SCAN_ROWS, live < SCAN_BYTES ? live : SCAN_BYTES);
  sb_priv_visit_walk_begin(&walk, &file->log, *next);
  while (status == SB_OK) {
    if (sb_visits_count(visits) >= visits_min) {
      user = walk.from;
      break;
    }
    status = sb_priv_visit_walk_next(&walk, &user, error);
    if (status != SB_OK || user >> 32 != 0) break;
    const visit_user *found = sb_priv_visit_table_find(&file->log.table, (uint32_t)user);
    if (found != NULL && found->decoded)
      status = sb_priv_visit_user_show(found, file->show_max, visits);
    else /* not kept: a walk over a large file must not fill the memory */
      status = sb_priv_visit_log_show(&file->log, (uint32_t)user, file->show_max, visits, error);
  }
  sb_priv_visit_lock_write_end(&file->state_lock);
  if (status == SB_OK) *next = user;
  if (status == SB_NO_MEMORY) return sb_priv_error(error, status, NULL, "no memory for the visits");
  return status;
}

/* ---- changing ---- */

static sb_status refused(sb_error *error) {
  return sb_priv_error(error, SB_UNSUPPORTED, NULL, "the handle is read_only; open the file without it to change visits");
}

static sb_status change(visit_file *file, visit_change *wanted) {
  if (gone(file)) return closed(wanted->error);
  if (file->read_only) return refused(wanted->error);
  return sb_priv_visit_change(file, wanted);
}

static sb_status file_add(void *context, const sb_visit *visits, size_t count, int64_t deadline_ns, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  (void)deadline_ns;
  visit_change wanted = {.kind = VISIT_CHANGE_ADD, .visits = visits, .count = count, .error = error};
  return change(context, &wanted);
}

static sb_status file_delete(void *context, uint32_t user, const uint32_t *visit_ids, size_t count, bool *found, int64_t deadline_ns,
                             sb_error *error) {
  SB_PRIV_UNCANCELLED;
  (void)deadline_ns;
  visit_change wanted = {.kind = VISIT_CHANGE_DELETE, .user = user, .visit_ids = visit_ids, .count = count, .error = error};
  const sb_status status = change(context, &wanted);
  if (status == SB_OK) *found = wanted.found;
  return status;
}

static sb_status file_compact(void *context, int64_t deadline_ns, sb_error *error);

static sb_status file_clear(void *context, uint32_t user, bool erase, int64_t deadline_ns, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  visit_change wanted = {.kind = VISIT_CHANGE_CLEAR, .user = user, .error = error};
  const sb_status status = change(context, &wanted);
  return status == SB_OK && erase ? file_compact(context, deadline_ns, error) : status;
}

static sb_status file_sync(void *context, int64_t deadline_ns, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  visit_file *file = context;
  (void)deadline_ns;
  if (gone(file)) return closed(error);
  if (file->read_only) return SB_OK;
  return sb_priv_visit_sync(file, error);
}

static sb_status file_compact(void *context, int64_t deadline_ns, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  visit_file *file = context;
  (void)deadline_ns;
  if (gone(file)) return closed(error);
  if (file->read_only) return refused(error);
  /* One that began before the call may have copied what is deleted by now, so it does not count. */
  sb_priv_visit_lock_read(&file->state_lock);
  const uint64_t wanted = file->copies_begun + 1;
  sb_priv_visit_lock_read_end(&file->state_lock);
  return sb_priv_visit_compact(file, wanted, error);
}

/* ---- the rest ---- */

/* Writes the first `slot->length` bytes of a log into a new file. */
static sb_status write_copy(int source, const uint8_t uuid[16], const visit_slot *slot, const char *path, sb_error *error) {
  int target, folder;
  const char *name;
  sb_priv_file_facts facts;
  sb_status status = sb_priv_visit_target_open(path, &folder, &name, &target, error);
  if (status != SB_OK) return status;
  int problem = sb_priv_file_look(source, &facts);
  if (problem == 0) problem = sb_priv_file_make_like(target, &facts);
  if (problem == 0) problem = copy_range(source, VISIT_LOG_START, slot->length - VISIT_LOG_START, target, VISIT_LOG_START);
  /* The header last: what has none is no file of ours, if the machine fails in between. */
  if (problem == 0) problem = sb_priv_visit_header_write(target, uuid, slot);
  if (problem == 0) problem = sb_priv_file_sync(target);
  if (problem == 0) problem = sb_priv_folder_sync(folder);
  status = problem == 0 ? sb_priv_visit_target_check(folder, name, target, error) : sb_priv_visit_io(error, problem, "copying the file");
  sb_priv_visit_target_close(folder, name, target, status != SB_OK);
  return status;
}

static sb_status file_copy_to(void *context, const char *path, int64_t deadline_ns, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  visit_file *file = context;
  (void)deadline_ns;
  if (gone(file)) return closed(error);
  int source = -1;
  uint8_t uuid[16];
  sb_priv_visit_lock_read(&file->state_lock);
  const visit_slot slot = {.generation = 1, .state = VISIT_SLOT_CLOSED, .length = file->log.end, .index = file->log.base.offset};
  memcpy(uuid, file->log.uuid, sizeof uuid);
  const bool ours = file->log.slot.state != 0;
  /* The log up to here never changes, and the descriptor keeps the file, even when a compaction replaces it. */
  const int problem = sb_priv_file_duplicate(file->log.file, &source);
  sb_priv_visit_lock_read_end(&file->state_lock);
  if (problem != 0) return sb_priv_visit_io(error, problem, "copying the file");
  const sb_status status = ours ? write_copy(source, uuid, &slot, path, error)
                                : sb_priv_error(error, SB_UNSUPPORTED, NULL,
                                                "a file of the old format is not copied; open it for writing to upgrade it");
  sb_priv_file_close(source);
  return status;
}

/* Reads another file that has this name by now. */
static sb_status reopen(visit_file *file, sb_error *error) {
  int data = -1;
  sb_priv_file_facts facts;
  sb_status status = open_data(file, &data, &facts, error);
  if (status == SB_NOT_FOUND) return sb_priv_error(error, status, NULL, "the file is gone");
  if (status != SB_OK) return status;
  visit_log log;
  uint64_t tail = 0;
  bool old;
  sb_priv_visit_log_init(&log, data, true);
  status = read_any(file, &log, &facts, &tail, &old, error);
  if (status != SB_OK) {
    sb_priv_visit_log_free(&log);
    sb_priv_file_close(data);
    return status;
  }
  log.cut_bytes = tail;
  sb_priv_fork_hold();
  const visit_log before = file->log;
  file->log = log;
  sb_priv_fork_release();
  log = before;
  sb_priv_file_close(log.file);
  sb_priv_visit_log_free(&log);
  return SB_OK;
}

static sb_status file_refresh(void *context, bool *changed, int64_t deadline_ns, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  visit_file *file = context;
  (void)deadline_ns;
  if (gone(file)) return closed(error);
  if (!file->read_only) return sb_priv_error(error, SB_UNSUPPORTED, NULL, "the handle writes, so it shows the present state already");
  sb_priv_file_facts named = {0}, ours = {0};
  sb_priv_visit_lock_write(&file->state_lock);
  visit_log *log = &file->log;
  sb_status status = SB_OK;
  int problem = sb_priv_file_look_at(file->folder, file->name, &named);
  if (problem == 0) problem = sb_priv_file_look(log->file, &ours);
  const bool ours_format = log->slot.state != 0;
  bool other = false, goes_on = true;
  if (problem != 0)
    status = sb_priv_visit_io(error, problem, "looking at the file");
  else if (ours_format)
    status = sb_priv_visit_log_goes_on(log, &goes_on, error);
  if (status == SB_OK && (named.device != ours.device || named.inode != ours.inode || ours.size < log->end || !ours_format || !goes_on)) {
    other = ours_format || named.inode != ours.inode || named.size != log->end;
    status = reopen(file, error);
  } else if (status == SB_OK) {
    uint64_t tail;
    status = sb_priv_visit_log_follow(log, ours.size, &tail, error);
    if (status == SB_OK) log->cut_bytes = tail;
  }
  if (status == SB_OK) {
    *changed = other || log->sequence != file->told;
    file->told = log->sequence;
  }
  sb_priv_visit_lock_write_end(&file->state_lock);
  return status;
}

static sb_status file_verify(void *context, sb_visit_report *report, int64_t deadline_ns, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  visit_file *file = context;
  (void)deadline_ns;
  if (gone(file)) return closed(error);
  int copy;
  sb_priv_visit_lock_read(&file->state_lock);
  const uint64_t end = file->log.end;
  const int problem = sb_priv_file_duplicate(file->log.file, &copy);
  sb_priv_visit_lock_read_end(&file->state_lock);
  if (problem != 0) return sb_priv_visit_io(error, problem, "checking the file");
  const sb_status status = sb_priv_visit_check(copy, end, report, error);
  sb_priv_file_close(copy);
  return status;
}

static sb_status file_get_stats(void *context, sb_visit_stats *stats, int64_t deadline_ns, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  visit_file *file = context;
  (void)deadline_ns;
  if (gone(file)) return closed(error);
  sb_priv_visit_lock_read(&file->state_lock);
  const visit_log *log = &file->log;
  (void)pthread_mutex_lock(&file->failure_mutex);
  const uint64_t used = log->end > VISIT_LOG_START ? log->end - VISIT_LOG_START : 0;
  const sb_visit_stats now = {
      .max_visits = log->table.max_visits < file->show_max ? log->table.max_visits : file->show_max,
      .file_bytes = log->end,
      .live_bytes = log->table.live_bytes,
      .durable_bytes = log->durable,
      .records = log->sequence,
      .users_loaded = log->table.used - log->table.unread,
      .syncs = atomic_load(&file->syncs),
      .compactions = file->copies_done,
      .cut_bytes = log->cut_bytes,
      .replayed_records = log->replayed,
      .upgraded = file->upgraded,
      .compacting = file->copy_file >= 0,
      .poisoned = atomic_load(&file->poisoned),
      .dead_bytes = used > log->table.live_bytes ? used - log->table.live_bytes : 0,
      .memory_bytes = sb_priv_visit_table_memory(&log->table),
      .damaged_users = file->damaged_users,
      .failures = file->failures,
      .failure_time_ns = file->failure.time_ns,
      .failure_work = file->failure.work,
      .failure_status = file->failure.error.status,
      .failure_system_error = file->failure.error.system_error,
  };
  (void)pthread_mutex_unlock(&file->failure_mutex);
  sb_priv_visit_lock_read_end(&file->state_lock);
  return sb_priv_fill(stats, &now, sizeof now);
}

/* ---- close ---- */

static sb_status close_cleanly(visit_file *file, sb_error *error) {
  visit_log *log = &file->log;
  if (log->slot.state != VISIT_SLOT_OPEN) return SB_OK; /* nothing was changed */
  const uint64_t since = log->end - (log->base.pages != NULL ? log->base.end - log->base.between : VISIT_LOG_START);
  sb_priv_visit_pass_end(&file->pass); /* nobody waits any more: in one piece it leaves nothing for the next open to replay */
  if (since > sb_priv_visit_tuning.index_at_close && !file->index_blocked && !atomic_load(&file->poisoned))
    (void)!sb_priv_visit_index_append(file, NULL); /* without one the next open takes longer, and that is all */
  if (atomic_load(&file->poisoned)) return sb_priv_error(error, SB_IO, NULL, "an earlier sync failed, so the file is not marked as closed");
  int problem = sb_priv_file_sync(log->file);
  if (problem == 0) problem = sb_priv_file_resize(log->file, log->end);
  if (problem == 0) problem = sb_priv_visit_slot_write(file, VISIT_SLOT_CLOSED, log->end);
  if (problem == 0) problem = sb_priv_file_sync(log->file);
  return problem == 0 ? SB_OK : sb_priv_visit_io(error, problem, "closing the file");
}

/* All is on disk, and yet something is wrong that nobody may have been told: what the store needs room for grows without end, or a user
 * cannot be read. */
static sb_status tell_failure(const visit_file *file, sb_error *error) {
  const sb_error *failure = &file->failure.error;
  if (file->failure.work != SB_VISIT_WORK_COMPACTION) return SB_OK;
  if (error != NULL) {
    *error = *failure;
    (void)snprintf(error->message, sizeof error->message, "all is on disk, but the last compaction failed: %.200s", failure->message);
  }
  return failure->status;
}

static void release(visit_file *file) {
  sb_priv_fork_hold();
  sb_priv_fork_remove(&file->fork);
  sb_priv_lock_close(file->made);
  sb_priv_lock_close(file->log.file);
  sb_priv_file_close(file->folder);
  sb_priv_lock_close(file->lock); /* last: who has it finds the file unlocked */
  sb_priv_fork_release();
  file->log.file = file->folder = file->lock = file->made = -1;
}

static sb_status file_finish(void *context, int64_t deadline_ns, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  visit_file *file = context;
  (void)deadline_ns;
  if (gone(file)) return closed(error);
  sb_priv_visit_threads_stop(file);
  sb_priv_visit_compact_abandon(file);
  const bool changed = !file->read_only && file->log.slot.state == VISIT_SLOT_OPEN;
  sb_status status = file->read_only ? SB_OK : close_cleanly(file, error);
  /* What was acknowledged is on disk, also in a file that was moved; but nobody finds it by this path. */
  if (status == SB_OK && (changed || atomic_load(&file->displaced) != 0)) status = sb_priv_visit_still_there(file, error);
  sb_priv_visit_pass_end(&file->pass); /* where nothing was changed, or it failed */
  if (status == SB_OK) status = tell_failure(file, error);
  atomic_store(&file->finished, true);
  release(file);
  return status;
}

static void file_close(void *context) {
  SB_PRIV_UNCANCELLED;
  visit_file *file = context;
  /* In a forked child another thread of the parent may have been changing anything: its copy is left alone. */
  if (atomic_load(&file->forked)) return;
  if (!atomic_load(&file->finished)) (void)!file_finish(file, 0, NULL);
  sb_priv_visit_log_free(&file->log);
  sb_priv_visit_bytes_free(&file->writer.bytes);
  sb_priv_visit_lock_destroy(&file->state_lock);
  (void)pthread_mutex_destroy(&file->queue_mutex);
  (void)pthread_mutex_destroy(&file->sync_mutex);
  (void)pthread_mutex_destroy(&file->thread_mutex);
  (void)pthread_mutex_destroy(&file->failure_mutex);
  (void)pthread_cond_destroy(&file->sync_wake);
  (void)pthread_cond_destroy(&file->compact_wake);
  free(file->name);
  free(file->path);
  free(file);
}

/* Undoes an open that failed: nothing was changed, so nothing is to be finished. */
static void give_up(visit_file *file) {
  sb_priv_visit_threads_stop(file);
  release(file);
  atomic_store(&file->finished, true);
  file_close(file);
}

static sb_status open_once(const char *path, const sb_visit_manager_options *options, sb_visit_store *store, sb_error *error) {
  visit_file *file = calloc(1, sizeof *file);
  if (file == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory to open the file");
  file->fork.in_child = forget_in_child;
  file->read_only = options->read_only;
  file->show_max = options->read_only && options->max_visits > 0 ? options->max_visits : UINT32_MAX;
  file->durability = options->durability;
  file->compact_in_thread = options->compact_in_thread;
  file->memory_max = options->memory_max == 0 ? SB_VISIT_MEMORY_DEFAULT : options->memory_max;
  file->interval_ms = options->interval_ms == 0 ? INTERVAL_MS_DEFAULT : options->interval_ms;
  file->folder = file->lock = file->made = file->copy_file = -1;
  file->queue_end = &file->queue;
  sb_priv_visit_log_init(&file->log, -1, file->read_only);
  init_locks(file);
  /* Two names of one file must find one lock. */
  char *real = sb_priv_path_resolve(path);
  file->path = sb_priv_path_absolute(path);
  sb_status status = open_beside(file, real != NULL ? real : path, error);
  free(real);
  if (status == SB_OK) status = attach(file, options->max_visits, error);
  if (status != SB_OK) {
    give_up(file);
    return status;
  }
  *store = (sb_visit_store){.struct_size = sizeof *store,
                            .context = file,
                            .add = file_add,
                            .recent = file_recent,
                            .delete_visits = file_delete,
                            .clear = file_clear,
                            .users = file_users,
                            .scan = file_scan,
                            .sync = file_sync,
                            .copy_to = file_copy_to,
                            .compact = file_compact,
                            .refresh = file_refresh,
                            .verify = file_verify,
                            .get_stats = file_get_stats,
                            .finish = file_finish,
                            .close = file_close};
  return SB_OK;
}

sb_status sb_priv_visit_file_open(const char *path, const sb_visit_manager_options *options, sb_visit_store *store, sb_error *error) {
  SB_PRIV_UNCANCELLED;
  const int64_t began = sb_priv_monotonic_ns(), until = began + (int64_t)options->lock_timeout_ms * 1000000;
  for (;;) {
    const sb_status status = open_once(path, options, store, error);
    if (status != SB_LOCKED || options->lock_timeout_ms == 0) return status;
    const int64_t now = sb_priv_monotonic_ns(), left = until - now;
    if (left <= 0) return status;
    int64_t pause = (now - began) / LOCK_LOOK_PART;
    if (pause < LOCK_LOOK_NS) pause = LOCK_LOOK_NS;
    if (pause > LOCK_LOOK_NS_MAX) pause = LOCK_LOOK_NS_MAX;
    sb_priv_sleep_ns(pause < left ? pause : left);
  }
}
