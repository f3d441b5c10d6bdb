#ifndef SAMEBYTES_VISITS_H
#define SAMEBYTES_VISITS_H

#include <samebytes/column.h>
#include <samebytes/status.h>

SB_BEGIN_DECLS

/** # VisitManager: the recent visits of each user, in a file that loses nothing
 *
 *  A store keeps, per user, the newest max_visits visits: a visit_id, a url, a text and a time. It survives killed processes and, as its
 *  durability says, power loss; docs/file-format.md states every byte and every promise.
 *
 *      sb_visit_manager *manager = NULL;
 *      sb_visits *visits = NULL;
 *      sb_error error;
 *      if (sb_visit_manager_open("visits", NULL, &manager, &error) != SB_OK) fail(error.message);
 *      if (sb_visit_manager_add_visit(manager, 7, 1, "/index", 6, "hello", 5, &error) != SB_OK) fail(error.message);
 *      if (sb_visit_manager_get_recent_visits(manager, 7, &visits, &error) != SB_OK) fail(error.message);
 *      const sb_visit *rows;
 *      size_t count;
 *      if (sb_visits_get_all(visits, &rows, &count) == SB_OK) use(rows, count);   // newest first
 *      sb_visits_close(visits);
 *      if (sb_visit_manager_finish(manager, &error) != SB_OK) fail(error.message);
 *      sb_visit_manager_close(manager);
 *
 *  Visits are ordered by time; among equal times, by arrival. A visit with a visit_id that the user already has is ignored, and adding it
 *  is a success: the same add may be repeated. An evicted visit_id may be added again. Adding a visit that is older than all of a user who
 *  has max_visits is a success, but the visit is not kept.
 *
 *  ## Ownership
 *  url and text are copied. Reads return snapshots (sb_visits, sb_visit_users) that belong to the caller and never change.
 *
 *  ## Threads and fork
 *  Any thread may call any function of a manager at any time, except finish and close, which come last. Reads run in parallel; changes take
 *  turns, and with SB_DURABILITY_ALWAYS they share a sync. Nobody starves, and nobody waits for more than a bounded step of another's work:
 *  a batch of changes, one user, or some pages of an index or a compaction. A thread that is cancelled (pthread_cancel) inside a call ends
 *  after it. sb_visits, sb_visit_users and sb_visit_scan have one user at a time. One process writes a file at a time; readers open it with
 *  `read_only`, and may briefly show a change whose write then failed. The lock is on the file, by whatever name it was opened, and ends
 *  when the handle is closed or its process ends. In a forked child the parent's handles refuse everything with SB_CLOSED; the child closes
 *  them and opens its own.
 *
 *  ## Errors
 *  Every function that touches the store returns SB_CLOSED after sb_visit_manager_finish and in a forked child, SB_IO when the system
 *  fails, SB_CORRUPT with the offset in `error.stream_offset` when the file contradicts its format, and SB_NO_MEMORY. Changes return
 *  SB_UNSUPPORTED through a read-only handle. A change that failed was not made, unless an fsync failed: then every later change fails with
 *  SB_IO, and what a new open finds may include it. When the path no longer leads to the open file, because the file was moved, replaced or
 *  removed, every change, sync and finish returns SB_NOT_FOUND from then on, and reads go on; docs/visits.md has each case. A store other
 *  than the file may return SB_UNAVAILABLE and SB_TIMEOUT, and SB_UNSUPPORTED for what it cannot do.
 *
 *  ## Limits
 *  url and text: SB_VISIT_TEXT_MAX bytes each, of any value but NUL. The visits of one user: 4 GiB. A file: 8 TiB. A change that exceeds a
 *  limit is refused with SB_TOO_LARGE. The last component of the path: SB_VISIT_PATH_MAX bytes. Times are nanoseconds since the Unix epoch,
 *  UTC. */

#define SB_VISIT_TEXT_MAX 0x4000000         /* bytes of url, and of text */
#define SB_VISIT_PATH_MAX 240               /* bytes of the path's last component */
#define SB_VISITS_MAX_DEFAULT 10            /* max_visits of a new file, unless the options say otherwise */
#define SB_VISIT_MEMORY_DEFAULT 0x40000000  /* bytes of users in memory, unless the options say otherwise */
#define SB_VISIT_NOW (-9223372036854775807) /* as time_ns of a visit to add: now, and never earlier than the user's newest */

/** When an acknowledged change is on disk. A killed process loses nothing in any mode. */
enum {
  SB_DURABILITY_NONE = 0,     /**< whenever the system writes it, at sync, and at a clean close */
  SB_DURABILITY_INTERVAL = 1, /**< interval_ms after it at the latest, by a thread of the library */
  SB_DURABILITY_ALWAYS = 2    /**< before the call returns; concurrent calls share one sync */
};

/** Work that a store does besides the calls that change visits. */
enum {
  SB_VISIT_WORK_COMPACTION = 1, /**< rewrites the file when more than half of it is dead */
  SB_VISIT_WORK_INDEX = 2       /**< notes where the visits of each user lie, so that opening is fast and users can leave the memory */
};

typedef struct sb_visit_manager sb_visit_manager;
typedef struct sb_visits sb_visits;
typedef struct sb_visit_users sb_visit_users;
typedef struct sb_visit_scan sb_visit_scan;

/** One visit. Frozen: it never grows. */
typedef struct sb_visit {
  uint32_t user;                                    /**< whose */
  uint32_t visit_id;                                /**< unique among the visits that the user has */
  int64_t time_ns;                                  /**< nanoseconds since the Unix epoch, UTC; SB_VISIT_NOW to add one now */
  SB_NULLABLE SB_COUNT(url_size) const void *url;   /**< any bytes but NUL; NULL only where url_size is 0 */
  size_t url_size;                                  /**< bytes */
  SB_NULLABLE SB_COUNT(text_size) const void *text; /**< any bytes but NUL; NULL only where text_size is 0 */
  size_t text_size;                                 /**< bytes */
} sb_visit;

/** A user who has visits. Frozen: it never grows. */
typedef struct sb_visit_user {
  uint32_t user;
  uint32_t visit_count; /**< above 0 */
} sb_visit_user;

/** What a check of a file, or a salvage, found. */
typedef struct sb_visit_report {
  uint32_t struct_size;   /**< bytes; the caller sets it to sizeof(sb_visit_report) */
  uint32_t format;        /**< 1, or 0 for the old format */
  uint64_t bytes;         /**< size of the file */
  uint64_t records;       /**< valid records */
  uint64_t users;         /**< users who have visits */
  uint64_t visits;        /**< visits that they have */
  uint64_t damaged_bytes; /**< bytes that belong to no valid record */
  int64_t damaged_offset; /**< of the first of them; -1: none */
} sb_visit_report;

/** What a store holds and has done so far. */
typedef struct sb_visit_stats {
  uint32_t struct_size; /**< bytes; the caller sets it to sizeof(sb_visit_stats) */
  uint32_t max_visits;  /**< visits kept per user */
  uint64_t file_bytes;  /**< up to the end of the log */
  /** of them, what compaction keeps, index and padding aside; of users whom an open replayed and nobody read since, at most too much */
  uint64_t live_bytes;
  uint64_t durable_bytes;       /**< of them, known to be on disk */
  uint64_t records;             /**< records of the log */
  uint64_t users_loaded;        /**< users in memory; others are read when they are asked for */
  uint64_t syncs;               /**< by this handle */
  uint64_t compactions;         /**< by this handle */
  uint64_t cut_bytes;           /**< unsynced bytes that this open cut off and kept beside the file; read_only: that it does not show */
  uint64_t replayed_records;    /**< by this open, without those that an index made unnecessary */
  bool upgraded;                /**< this open made the file from one of the old format */
  bool compacting;              /**< a compaction is under way */
  bool poisoned;                /**< an fsync failed; changes are refused */
  uint8_t reserved[5];          /**< 0 */
  uint64_t dead_bytes;          /**< of file_bytes, what is not live: deleted or evicted visits, indexes, padding */
  uint64_t memory_bytes;        /**< that users in memory take */
  uint64_t damaged_users;       /**< users that the last compaction by this handle could not read, and copied as they are */
  uint64_t failures;            /**< of compactions and indexes, by this handle */
  int64_t failure_time_ns;      /**< of the last failure, since the Unix epoch; it and the fields below are 0 once that work succeeded */
  int32_t failure_work;         /**< SB_VISIT_WORK_... */
  int32_t failure_status;       /**< sb_status; SB_CORRUPT: the rest was compacted */
  int32_t failure_system_error; /**< errno, if the system refused something; EBUSY: the file is mounted by itself */
  uint32_t reserved_too;        /**< 0 */
} sb_visit_stats;

/** A store of visits, one function per operation: what a store other than the file provides. All may be called from several threads at
 *  once, except `close`, which comes last. A function that is NULL returns SB_UNSUPPORTED; add, recent, delete_visits, clear, users and
 *  scan must be there. Arguments have been checked. `deadline_ns` is a time of the clock CLOCK_MONOTONIC, 0 for none; a store that waits
 *  returns SB_TIMEOUT after it, and then may or may not have made the change: every operation may be repeated. */
typedef struct SB_NATIVE sb_visit_store {
  uint32_t struct_size; /**< bytes; the caller sets it to sizeof(sb_visit_store) */
  uint32_t reserved;    /**< 0 */
  void *context;        /**< the first argument of every function */
  /** Adds visits of any users, in order. A visit_id that its user has is ignored. time_ns may be SB_VISIT_NOW. */
  sb_status (*add)(void *context, const sb_visit *visits, size_t count, int64_t deadline_ns, sb_error *error);
  /** Puts the visits of each of `users`, newest first, into `visits` (sb_visits_put). */
  sb_status (*recent)(void *context, const uint32_t *users, size_t user_count, sb_visits *visits, int64_t deadline_ns, sb_error *error);
  /** Deletes visits of one user; `*found`: whether any was there. */
  sb_status (*delete_visits)(void *context, uint32_t user, const uint32_t *visit_ids, size_t count, bool *found, int64_t deadline_ns,
                             sb_error *error);
  /** Deletes all visits of one user; with `erase` their bytes are gone from the storage when it returns. */
  sb_status (*clear)(void *context, uint32_t user, bool erase, int64_t deadline_ns, sb_error *error);
  /** Puts every user who has visits into `users`, ascending (sb_visit_users_put). */
  sb_status (*users)(void *context, sb_visit_users *users, int64_t deadline_ns, sb_error *error);
  /** Puts the visits of whole users, from the user `*next` on and ascending, newest first for each, into `visits`, until there are at
   *  least `visits_min` or no more users; then sets `*next` to the user to go on with, 1 << 32 at the end. */
  sb_status (*scan)(void *context, uint64_t *next, size_t visits_min, sb_visits *visits, int64_t deadline_ns, sb_error *error);
  /** When it returns, everything acknowledged is durable. */
  sb_status (*sync)(void *context, int64_t deadline_ns, sb_error *error);
  sb_status (*copy_to)(void *context, const char *path, int64_t deadline_ns, sb_error *error);
  sb_status (*compact)(void *context, int64_t deadline_ns, sb_error *error);
  sb_status (*refresh)(void *context, bool *changed, int64_t deadline_ns, sb_error *error);
  sb_status (*verify)(void *context, sb_visit_report *report, int64_t deadline_ns, sb_error *error);
  sb_status (*get_stats)(void *context, sb_visit_stats *stats, int64_t deadline_ns, sb_error *error);
  /** The last step that can fail; only `close` is called after it. */
  sb_status (*finish)(void *context, int64_t deadline_ns, sb_error *error);
  /** Frees the store. Called once, even without `finish`. */
  void (*close)(void *context);
} sb_visit_store;

/** How a manager works. 0 in every field is the default. */
typedef struct sb_visit_manager_options {
  uint32_t struct_size; /**< bytes; sb_visit_manager_options_init sets it */
  uint32_t max_visits;  /**< visits kept per user; 0: those of the file, or SB_VISITS_MAX_DEFAULT for a new one; read_only: shown */
  int32_t durability;   /**< SB_DURABILITY_... */
  uint32_t interval_ms; /**< of SB_DURABILITY_INTERVAL; 0: 100 */
  uint32_t timeout_ms;  /**< of one operation of a store that waits for something, such as a network; 0: none. The file does not */
  bool read_only;       /**< no lock and no change; shows a consistent state of the file, even while another handle writes it */
  /** Compact in a thread of the library, which starts for this only. Otherwise the calls that change visits do it, a piece each. */
  bool compact_in_thread;
  uint8_t reserved[2];                               /**< 0 */
  SB_NATIVE SB_NULLABLE const sb_visit_store *store; /**< copied; taken over by a successful open; NULL: the file at `path` */
  /** How long an open waits for a file that another handle writes, before SB_LOCKED; 0: not at all. It polls, at first every millisecond,
   *  later every 20, and once more at the end. There is no queue: whoever closes a file and opens it again at once may keep others
   *  out. */
  uint32_t lock_timeout_ms;
  /** Bytes that users in memory may take, 0: SB_VISIT_MEMORY_DEFAULT. Above it users leave the memory, and are read from the file when they
   *  are asked for; those who were changed stay until the next index, which then comes earlier. */
  uint64_t memory_max;
} sb_visit_manager_options;

/** Fills `options` with the defaults, never writing past `struct_size` bytes.
 *
 *  Ownership: `options` is the caller's.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_INIT void sb_visit_manager_options_init(SB_OUT sb_visit_manager_options *options, size_t struct_size);

/** Opens the file at `path`, or creates it. A file of the old format is upgraded, and kept as `path`.v0; an unsynced tail is cut off, and
 *  kept as `path`.cut. A symbolic link is followed to its file, which must be there. `path`.new, under which a file that replaces `path` is
 *  built, `path`.lock, `path`.v0 and `path`.cut are the store's own names: no new file is made under such a name beside another file.
 *
 *  Ownership: the caller closes `*manager`; NULL options mean the defaults.      Threads: any.
 *  Errors: SB_LOCKED when another handle writes the file, after lock_timeout_ms; SB_CORRUPT for a damaged file, which stays untouched;
 *  SB_NOT_FOUND when there is none and `read_only` is set, or when only a mount leads to a file that was removed; SB_UNSUPPORTED for a file
 *  of a newer library; SB_INVALID_ARGUMENT for a path that is not a file, or an option out of its range; SB_IO; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR SB_BLOCKING sb_status sb_visit_manager_open(SB_IN const char *path,
                                                                  SB_IN SB_NULLABLE const sb_visit_manager_options *options,
                                                                  SB_OUT SB_OWNED sb_visit_manager **manager,
                                                                  SB_OUT SB_NULLABLE sb_error *error);

/** Adds a visit now; its time is never earlier than that of the user's newest.
 *
 *  Ownership: `url` and `text` are copied.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT for a NUL in `url` or `text`; SB_TOO_LARGE above SB_VISIT_TEXT_MAX; otherwise see the top.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_add_visit(sb_visit_manager *manager, uint32_t user, uint32_t visit_id,
                                                                  SB_IN SB_NULLABLE SB_COUNT(url_size) const void *url, size_t url_size,
                                                                  SB_IN SB_NULLABLE SB_COUNT(text_size) const void *text, size_t text_size,
                                                                  SB_OUT SB_NULLABLE sb_error *error);

/** Adds a visit with a time.
 *
 *  Ownership: `url` and `text` are copied.      Threads: any.
 *  Errors: as sb_visit_manager_add_visit; SB_OUT_OF_RANGE for a time below SB_VISIT_NOW.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_add_visit_at(sb_visit_manager *manager, uint32_t user, uint32_t visit_id,
                                                                     SB_IN SB_NULLABLE SB_COUNT(url_size) const void *url, size_t url_size,
                                                                     SB_IN SB_NULLABLE SB_COUNT(text_size) const void *text,
                                                                     size_t text_size, int64_t time_ns, SB_OUT SB_NULLABLE sb_error *error);

/** Adds visits of any users, in order. Either all are added or none, except that a crash may keep only the first ones.
 *
 *  Ownership: `visits` and what they show are copied.      Threads: any.
 *  Errors: as sb_visit_manager_add_visit_at, with the index of the visit in `error.frame`.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_add_visits(sb_visit_manager *manager,
                                                                   SB_IN SB_COUNT(visit_count) const sb_visit *visits, size_t visit_count,
                                                                   SB_OUT SB_NULLABLE sb_error *error);

/** Adds visits of any users, in order, from columns: of each visit one number of `users` and of `visit_ids`, one string of `urls` and of
 *  `texts`, and one of `times_ns`, SB_VISIT_NOW included; without times, all are added now. Either all are added or none, except that a
 *  crash may keep only the first ones.
 *
 *  Ownership: all is borrowed for the call, and what it shows is copied.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT, with the column's name, when it does not have as many values as there are users; SB_OUT_OF_RANGE for an
 *  offset and a length outside the values; otherwise as sb_visit_manager_add_visits, with the index of the visit in `error.frame`.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_add_visit_columns(
    sb_visit_manager *manager, SB_IN SB_COUNT(user_count) const uint32_t *users, size_t user_count,
    SB_IN SB_COUNT(visit_id_count) const uint32_t *visit_ids, size_t visit_id_count, SB_IN const sb_column *urls,
    SB_IN const sb_column *texts, SB_IN SB_NULLABLE SB_COUNT(time_count) const int64_t *times_ns, size_t time_count,
    SB_OUT SB_NULLABLE sb_error *error);

/** Makes a snapshot of the visits of `user`, newest first; empty for a user who has none.
 *
 *  Ownership: the caller closes `*visits`, which may outlive the manager.      Threads: any.
 *  Errors: see the top.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_get_recent_visits(sb_visit_manager *manager, uint32_t user,
                                                                          SB_OUT SB_OWNED sb_visits **visits,
                                                                          SB_OUT SB_NULLABLE sb_error *error);

/** Makes one snapshot of the visits of many users: user by user in the order asked for, newest first for each.
 *
 *  Ownership: the caller closes `*visits`, which may outlive the manager.      Threads: any.
 *  Errors: see the top.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_get_recent_visits_of(sb_visit_manager *manager,
                                                                             SB_IN SB_COUNT(user_count) const uint32_t *users,
                                                                             size_t user_count, SB_OUT SB_OWNED sb_visits **visits,
                                                                             SB_OUT SB_NULLABLE sb_error *error);

/** Deletes visits of `user`, and stores in `*found` whether any of them was there.
 *
 *  Ownership: `visit_ids` is borrowed for the call.      Threads: any.
 *  Errors: see the top.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_delete_visits(sb_visit_manager *manager, uint32_t user,
                                                                      SB_IN SB_COUNT(visit_id_count) const uint32_t *visit_ids,
                                                                      size_t visit_id_count, SB_OUT bool *found,
                                                                      SB_OUT SB_NULLABLE sb_error *error);

/** Deletes all visits of `user`, even if they cannot be read because the file is damaged there. With `erase` their bytes are also gone from
 *  the file when it returns, which rewrites it; files that were kept beside it (.cut, .v0) stay.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: see the top. When only the erasing failed, the visits are still deleted.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_clear_user(sb_visit_manager *manager, uint32_t user, bool erase,
                                                                   SB_OUT SB_NULLABLE sb_error *error);

/** Makes a list of the users who have visits, ascending, each as of the moment when the list reaches it. It reads no visits. For a user who
 *  cannot be read because the file is damaged there, it has the number of visits that there were.
 *
 *  Ownership: the caller closes `*users`.      Threads: any.
 *  Errors: see the top.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_users(sb_visit_manager *manager, SB_OUT SB_OWNED sb_visit_users **users,
                                                              SB_OUT SB_NULLABLE sb_error *error);

/** Begins a walk over all visits, by user ascending. Each user is shown as of the moment when the walk reaches it.
 *
 *  Ownership: the caller closes `*scan`; once `manager` is closed, the scan returns SB_CLOSED.      Threads: any.
 *  Errors: SB_CLOSED; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_visit_manager_scan(sb_visit_manager *manager, SB_OUT SB_OWNED sb_visit_scan **scan,
                                                 SB_OUT SB_NULLABLE sb_error *error);

/** Copies the store, as it is at the beginning of the call, into a new file at `path`; changes go on meanwhile. The new file has the
 *  store's mode, and its owner and group where the system allows that.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `path` exists, or is a name that a store next to it reserves; SB_UNSUPPORTED when the store is not a
 *  file, or is a file of the old format; otherwise see the top. On failure there is no new file.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_copy_to(sb_visit_manager *manager, SB_IN const char *path,
                                                                SB_OUT SB_NULLABLE sb_error *error);

/** Rewrites the file with live data only, in steps between which other calls go on. It keeps its mode, and its owner and group where the
 *  system allows that. Users who cannot be read are copied as they are, and counted in sb_visit_stats.damaged_users; clear_user gives them
 *  up.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: see the top; SB_UNSUPPORTED for a file with several hard links, because the others would keep the old content. On failure the
 *  old file is still in place, unless the last sync, that of the folder, failed, which poisons the handle.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_compact(sb_visit_manager *manager, SB_OUT SB_NULLABLE sb_error *error);

/** Waits until everything acknowledged before the call is on disk.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: SB_IO, and the handle is poisoned; SB_NOT_FOUND when everything is on disk but the path does not lead there; otherwise see the
 *  top.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_sync(sb_visit_manager *manager, SB_OUT SB_NULLABLE sb_error *error);

/** Reads on: brings a read-only handle to the file's present state, and stores in `*changed` whether it has changed.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: SB_UNSUPPORTED for a handle that writes; otherwise see the top, and the handle shows what it showed before, or the first of what
 *  came since; the next successful refresh reports it.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_refresh(sb_visit_manager *manager, SB_OUT bool *changed,
                                                                SB_OUT SB_NULLABLE sb_error *error);

/** Reads and checks every byte of the file up to its present end.
 *
 *  Ownership: `report` is the caller's.      Threads: any.
 *  Errors: SB_CORRUPT with the offset; SB_INVALID_ARGUMENT when struct_size is smaller than in version 1.0; otherwise see the top.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_verify(sb_visit_manager *manager, SB_OUT sb_visit_report *report,
                                                               SB_OUT SB_NULLABLE sb_error *error);

/** Gets what the store holds and has done so far.
 *
 *  Ownership: `stats` is the caller's.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when struct_size is smaller than in version 1.0; otherwise see the top.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_visit_manager_get_stats(sb_visit_manager *manager, SB_OUT sb_visit_stats *stats,
                                                      SB_OUT SB_NULLABLE sb_error *error);

/** Closes the file cleanly: everything is on disk, the lock is free. It also reports what no earlier call could: if the last compaction
 *  that the store made by itself failed, finish returns its error, although everything is on disk. After it, call only
 *  sb_visit_manager_close; a second finish returns what the first did.
 *
 *  Ownership: none.      Threads: nobody else may use `manager` during or after the call.
 *  Errors: SB_IO, or what a compaction failed with, such as SB_CORRUPT for users who cannot be read; SB_NOT_FOUND when all is on disk but
 *  the path does not lead there. In any case the lock is free, and nothing acknowledged is lost to the end of the process.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_manager_finish(sb_visit_manager *manager, SB_OUT SB_NULLABLE sb_error *error);

/** Closes the manager, finishing it first if finish was not called. NULL is allowed.
 *
 *  Ownership: takes `manager`; snapshots stay valid.      Threads: nobody may use `manager` during or after the call.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR SB_BLOCKING void sb_visit_manager_close(SB_TAKES SB_NULLABLE sb_visit_manager *manager);

/** Checks every byte of the file at `path`, which need not be open.
 *
 *  A header slot torn by a kill or a power failure, and an unsynced tail, count in `damaged_bytes`: the next open for writing does without
 *  them.
 *
 *  Ownership: `report` is the caller's.      Threads: any.
 *  Errors: SB_CORRUPT with the offset of the first damage; SB_NOT_FOUND; SB_UNSUPPORTED for a file of a newer library;
 *  SB_INVALID_ARGUMENT; SB_IO; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_FUNCTION SB_BLOCKING sb_status sb_verify_visits(SB_IN const char *path, SB_OUT sb_visit_report *report,
                                                          SB_OUT SB_NULLABLE sb_error *error);

/** Copies whatever is valid in the damaged file at `path` into a new file at `target`; the damaged one stays as it is. Every whole record
 *  is found, even when nothing else of the file is left, so a file that recovery cut off (`path`.cut) can be salvaged too. Nothing can be
 *  copied from a damaged file of the old format. What a damaged record said is missing: visits may be absent, and visits that it deleted
 *  may be back.
 *
 *  Ownership: `report` is the caller's, and says what was found.      Threads: any.
 *  Errors: SB_CORRUPT when nothing in the file is usable; SB_NOT_FOUND; SB_INVALID_ARGUMENT when `target` exists, or is a name that a store
 *  next to it reserves; SB_IO; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_FUNCTION SB_BLOCKING sb_status sb_salvage_visits(SB_IN const char *path, SB_IN const char *target, SB_OUT sb_visit_report *report,
                                                           SB_OUT SB_NULLABLE sb_error *error);

/** Stores the visits of a snapshot.
 *
 *  Ownership: `*rows` and what they show are valid until `visits` is closed.      Threads: one user of `visits` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_visits_get_all(const sb_visits *visits, SB_OUT SB_BORROWED(visits) SB_COUNT(row_count) const sb_visit **rows,
                                             SB_OUT size_t *row_count);

/** Returns the number of visits of a snapshot.
 *
 *  Ownership: none.      Threads: one user of `visits` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_visits_count(const sb_visits *visits);

/** Makes room for `count` more visits with `bytes` bytes of url and text in total: a hint from stores that know it.
 *
 *  Ownership: none.      Threads: one user of `visits` at a time.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_METHOD sb_status sb_visits_reserve(sb_visits *visits, size_t count, size_t bytes);

/** Adds a copy of `visit`. For stores.
 *
 *  Ownership: `visit` is borrowed for the call.      Threads: one user of `visits` at a time.
 *  Errors: SB_INVALID_ARGUMENT when url or text is NULL although its size is not 0; SB_TOO_LARGE above SB_VISIT_TEXT_MAX; SB_NO_MEMORY;
 *  nothing is added on failure.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_METHOD sb_status sb_visits_put(sb_visits *visits, SB_IN const sb_visit *visit);

/** Closes the snapshot. NULL is allowed.
 *
 *  Ownership: takes `visits`.      Threads: one user of `visits` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_visits_close(SB_TAKES SB_NULLABLE sb_visits *visits);

/** Stores the users of a list.
 *
 *  Ownership: `*rows` is valid until `users` is closed.      Threads: one user of `users` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_visit_users_get_all(const sb_visit_users *users,
                                                  SB_OUT SB_BORROWED(users) SB_COUNT(row_count) const sb_visit_user **rows,
                                                  SB_OUT size_t *row_count);

/** Adds a user. For stores.
 *
 *  Ownership: none.      Threads: one user of `users` at a time.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_METHOD sb_status sb_visit_users_put(sb_visit_users *users, uint32_t user, uint32_t visit_count);

/** Closes the list. NULL is allowed.
 *
 *  Ownership: takes `users`.      Threads: one user of `users` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_visit_users_close(SB_TAKES SB_NULLABLE sb_visit_users *users);

/** Makes a snapshot of the visits of the next users, newest first for each, at least `visits_min` visits unless the walk ends (0 lets the
 *  library choose); it is empty when the walk has ended.
 *
 *  Ownership: the caller closes `*visits`.      Threads: one user of `scan` at a time.
 *  Errors: see the top; the walk stays where it was.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_visit_scan_next(sb_visit_scan *scan, size_t visits_min, SB_OUT SB_OWNED sb_visits **visits,
                                                          SB_OUT SB_NULLABLE sb_error *error);

/** Closes the walk. NULL is allowed.
 *
 *  Ownership: takes `scan`.      Threads: one user of `scan` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_visit_scan_close(SB_TAKES SB_NULLABLE sb_visit_scan *scan);

SB_END_DECLS

#endif
