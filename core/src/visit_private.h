#ifndef SB_VISIT_PRIVATE_H
#define SB_VISIT_PRIVATE_H

/* What the .c files of VisitManager share. docs/file-format.md has the byte tables that the numbers here come from. */

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <samebytes/crc32c.h>

#include "system.h"
#include "wire.h"
#include <samebytes/visits.h>

/* Builds with assertions count what is done, so that tests can see how much of it is done while others wait. */
#ifdef NDEBUG
#define VISIT_STEPS(steps) ((void)0)
#else
extern _Thread_local uint64_t sb_priv_visit_steps;
#define VISIT_STEPS(steps) (sb_priv_visit_steps += (steps))
#endif

/* ---- format ---- */

#define VISIT_LOG_START 4096u
#define VISIT_SECTOR 512u
#define VISIT_SLOT_SIZE 64u
#define VISIT_HEADER_SIZE 64u        /* bytes of the header that never change; records carry copies of them */
#define VISIT_FEATURE_COPIES 1u      /* needed to read: there are such copies */
#define VISIT_HEAD 32u               /* bytes of a record before its payload */
#define VISIT_RECORD_MAX 0x20000000u /* bytes of a record */
#define VISIT_ITEMS_MAX 4096u        /* visits, or ids, of a record */
#define VISIT_ITEM_HEAD 20u          /* bytes of a visit before its url */
#define VISIT_RECORD_GOAL (1u << 20) /* a record with several visits ends here */
#define VISIT_FILE_MAX (UINT64_C(1) << 43)

enum {
  VISIT_SLOT_OPEN = 1,
  VISIT_SLOT_CLOSED = 2
};
enum {
  VISIT_VISITS = 1,
  VISIT_DELETE,
  VISIT_CLEAR,
  VISIT_LIMIT,
  VISIT_PAGE,
  VISIT_INDEX
};

/* Files are little-endian on every machine; the big-endian helpers of wire.h give that with one swap more. */
static inline uint16_t visit_load16(const uint8_t *data) { return __builtin_bswap16(sb_priv_load16(data)); }
static inline uint32_t visit_load32(const uint8_t *data) { return __builtin_bswap32(sb_priv_load32(data)); }
static inline uint64_t visit_load64(const uint8_t *data) { return __builtin_bswap64(sb_priv_load64(data)); }
static inline void visit_store16(uint8_t *data, uint16_t value) { sb_priv_store16(data, __builtin_bswap16(value)); }
static inline void visit_store32(uint8_t *data, uint32_t value) { sb_priv_store32(data, __builtin_bswap32(value)); }
static inline void visit_store64(uint8_t *data, uint64_t value) { sb_priv_store64(data, __builtin_bswap64(value)); }
static inline uint64_t visit_padded(uint64_t size) { return (size + 7) & ~UINT64_C(7); }

/* A reference to neighbouring visits of one record, as the index keeps it. */
static inline uint64_t visit_run(uint64_t offset, uint32_t first, uint32_t count) { return offset / 8 << 24 | first << 12 | (count - 1); }
static inline uint64_t visit_run_offset(uint64_t run) { return (run >> 24) * 8; }
static inline uint32_t visit_run_first(uint64_t run) { return (uint32_t)(run >> 12) & 0xfffu; }
static inline uint32_t visit_run_count(uint64_t run) { return ((uint32_t)run & 0xfffu) + 1; }

typedef struct visit_slot {
  uint64_t generation;
  uint32_t state;
  uint64_t length; /* of the log, as known to be on disk */
  uint64_t index;
  uint64_t boot;     /* under which start of the system it was written */
  uint32_t replaces; /* the mark of the file in whose place it is being built; 0: it is not being built */
} visit_slot;

typedef struct visit_record {
  const uint8_t *payload;
  uint64_t offset, sequence, durable;
  uint32_t length; /* without padding */
  uint32_t user;
  uint16_t count;
  uint8_t type;
} visit_record;

/* One visit inside a record. */
typedef struct visit_item {
  int64_t time_ns;
  uint32_t visit_id, url_size, text_size;
  const uint8_t *bytes; /* url, then text */
} visit_item;

typedef struct visit_bytes {
  uint8_t *data;
  size_t size, capacity;
} visit_bytes;

sb_status sb_priv_visit_bytes_reserve(visit_bytes *bytes, size_t more);
void sb_priv_visit_bytes_free(visit_bytes *bytes);
/* The VISIT_HEADER_SIZE bytes that never change, as a file that is made now has them. */
void sb_priv_visit_header_fields(uint8_t *data, const uint8_t uuid[16]);
/* Whether VISIT_HEADER_SIZE bytes are a header, or a copy of one, by magic and checksum. */
bool sb_priv_visit_header_whole(const uint8_t *data);
/* `page` has VISIT_LOG_START bytes: header and both slots, of which one counts. */
void sb_priv_visit_header_encode(uint8_t *page, const uint8_t uuid[16], const visit_slot *slot);
void sb_priv_visit_slot_encode(uint8_t *data, const uint8_t uuid[16], const visit_slot *slot);
/* The slot of a page that says for whose place the file is built, and nothing else. */
void sb_priv_visit_mark_encode(uint8_t *page, const uint8_t uuid[16], uint32_t mark);
bool sb_priv_visit_slot_decode(const uint8_t *data, visit_slot *slot, uint8_t uuid[16]);
/* Whether the first `size` bytes of a file are those of this format; then SB_OK, SB_UNSUPPORTED or SB_CORRUPT, with `error` filled. */
bool sb_priv_visit_header_is_ours(const uint8_t *page, size_t size);
sb_status sb_priv_visit_header_decode(const uint8_t *page, bool read_only, uint8_t uuid[16], visit_slot *slot, sb_error *error);
/* Whether a header without its slots is one that this library can use; then SB_OK or SB_UNSUPPORTED. */
sb_status sb_priv_visit_header_usable(const uint8_t *header, bool read_only, sb_error *error);
/* Whether slot `i` of a header page is valid, and the file's. */
bool sb_priv_visit_header_slot(const uint8_t *page, unsigned i, visit_slot *slot);
/* Whether all that must be zero in a header page is; `*offset` of the first byte that is not. */
bool sb_priv_visit_header_zeros(const uint8_t *page, uint64_t *offset);
/* Whether what the slot says of the index can be relied on: it was synced, or is still in the system's memory. */
bool sb_priv_visit_slot_index_holds(const visit_slot *slot);
uint32_t sb_priv_visit_seed(const uint8_t uuid[16]);
/* Reads a head; false when it cannot be one at this offset of a file. The payload is not looked at. */
bool sb_priv_visit_head_decode(const uint8_t *data, uint64_t offset, visit_record *record);
/* The same of a record that may come from another place of the file. */
bool sb_priv_visit_head_decode_moved(const uint8_t *data, uint64_t offset, visit_record *record);
uint32_t sb_priv_visit_record_checksum(uint32_t seed, const uint8_t *data, size_t padded);
/* Whether the payload is what type and count say, and the padding behind it zero. */
bool sb_priv_visit_payload_fits(const visit_record *record);
/* The copy of the header in a limit, or an index, that fits; NULL where it has none. */
const uint8_t *sb_priv_visit_payload_header(const visit_record *record);
/* Takes the next visit from a payload that fits. */
const uint8_t *sb_priv_visit_item_next(const uint8_t *data, visit_item *item);

/* Appends records: they gather in memory, and flush writes them. Invariant: end - bytes.size is where the file ends. */
typedef struct visit_writer {
  int file;
  uint32_t seed;
  uint64_t sequence; /* of the last record */
  uint64_t end;
  uint64_t durable;
  visit_bytes bytes;
  const uint8_t *header; /* of which limits and indexes get a copy; NULL: of a file that has none */
} visit_writer;

/* Adds visits whose rows nobody changes; their strings are the caller's. */
sb_status sb_priv_visit_manager_add(sb_visit_manager *manager, const sb_visit *rows, size_t count, sb_error *error);

/* Begins a record; visit_writer_end gives it length, sequence and checksum. `*start` is its place in `bytes`. */
sb_status sb_priv_visit_writer_begin(visit_writer *writer, uint8_t type, uint32_t user, size_t payload_max, size_t *start);
void sb_priv_visit_writer_item(visit_writer *writer, int64_t time_ns, uint32_t visit_id, const void *url, uint32_t url_size,
                               const void *text, uint32_t text_size);
void sb_priv_visit_writer_end(visit_writer *writer, size_t start, uint32_t count);
/* Puts the copy of the header into a limit or an index that has room for it, if the file has such copies. */
void sb_priv_visit_writer_header(visit_writer *writer);
sb_status sb_priv_visit_writer_limit(visit_writer *writer, uint32_t max_visits);
int sb_priv_visit_writer_flush(visit_writer *writer);

/* ---- map: finds what has a number; the memory of what is in it is the owner's ---- */

typedef struct visit_link {
  struct visit_link *next;
  uint32_t key;
} visit_link;

typedef struct visit_map {
  visit_link ***segments;                   /* of buckets */
  size_t segment_count, buckets, low, used; /* low: the largest power of two that is at most buckets */
  uint64_t multiplier;
} visit_map;

/* Whether anything can be inserted, which then takes no memory that must be there. */
bool sb_priv_visit_map_ready(visit_map *map);
visit_link *sb_priv_visit_map_find(const visit_map *map, uint32_t key);
void sb_priv_visit_map_insert(visit_map *map, visit_link *link);
void sb_priv_visit_map_remove(visit_map *map, visit_link *link);
void sb_priv_visit_map_clear(visit_map *map);
void sb_priv_visit_map_free(visit_map *map);
uint64_t sb_priv_visit_map_memory(const visit_map *map);
uint64_t sb_priv_visit_map_multiplier(void);

/* ---- table: users in memory ---- */

typedef struct visit_entry {
  int64_t time_ns;
  uint64_t run; /* where the file has it; of one visit */
  uint32_t visit_id;
  uint32_t size; /* bytes in the arena: url, a NUL, which neither has, text */
} visit_entry;

typedef struct visit_node visit_node;
/* More visits than lie well in arrays. */
typedef struct visit_many {
  visit_node *root, *oldest, *newest;   /* a tree by (time, arrival) */
  visit_node *reserved, *reserved_last; /* nodes that changes under way count on, in the order in which they come */
  visit_map ids;
  uint64_t bytes, reserved_bytes, memory;
  uint32_t random;
} visit_many;

/* A user. Decoded, with few visits: oldest first, entries[first] to entries[first + count - 1], whose bytes lie in the same order and without
 * holes at arena[start] to arena[end - 1]. Decoded, with many: in `nodes`. Not decoded: the records about it since the index, `count` of
 * them; what a clear made void is not among them.
 * Of few visits one costs what its bytes cost and 25 more; that is why sizes are 32-bit and nothing is allocated per visit. */
typedef struct visit_user {
  union {
    visit_link link; /* first, so that the one is the other */
    struct {
      visit_link *next_link;
      uint32_t user; /* the link's key */
    };
  };
  /* The number of the index that has this user as it is, 0: none. One that was put into the log's base is there again when it is read from
   * the file, and so can leave the memory; and the pending records of one who is not decoded are in the base, and void. */
  uint32_t put;
  uint32_t count, first, capacity;
  uint32_t start, end, room;
  uint32_t reserved_count, reserved_bytes; /* room that a change under way counts on */
  uint32_t removals;                       /* records of a change under way that delete or clear visits: it stays in memory for them */
  uint64_t limited;                        /* decoded: the limits before this offset were applied to it */
  bool decoded, many, recent;              /* recent: asked for since the last look for users who can leave the memory */
  bool cleared;                            /* the first pending record is a clear: the base does not matter */
  union {
    visit_entry *entries;
    visit_many *nodes;
    uint64_t *pending; /* offsets of records */
  };
  union {
    uint8_t *arena;
    uint64_t pending_live; /* what live_bytes counts for the records */
  };
} visit_user;

typedef struct visit_block visit_block;

typedef struct visit_table {
  visit_map map;
  visit_block **blocks; /* the users in order */
  uint32_t *block_firsts;
  size_t block_count, block_capacity;
  size_t used, unread; /* unread: of them, who are not decoded */
  /* What compaction keeps, padding and index aside: VISIT_HEAD per user who has visits, and per visit VISIT_ITEM_HEAD, url and text. Of a user
   * about whom there are records since the base, and who is not decoded: what the base has of it, and these records of visits whole. That
   * is never less than the truth, which decoding, an index and a compaction find out. */
  uint64_t live_bytes;
  uint64_t memory; /* bytes that the users take */
  uint32_t max_visits;
  bool places_only;  /* visits are kept without url and text */
  visit_node *trash; /* to be freed a piece at a time */
} visit_table;

/* The invariants of map, table and users, which their .c files state, under assert. Those that say `all` look at all that is in the thing;
 * the others do so once in as many times as there is something in it, and in 64. */
#ifdef NDEBUG
static inline void sb_priv_visit_map_check(const visit_map *map) { (void)map; }
static inline void sb_priv_visit_user_check(const visit_user *user) { (void)user; }
static inline void sb_priv_visit_user_check_all(const visit_user *user) { (void)user; }
static inline void sb_priv_visit_table_check(const visit_table *table) { (void)table; }
static inline void sb_priv_visit_table_check_all(const visit_table *table) { (void)table; }
#else
void sb_priv_visit_map_check(const visit_map *map);
void sb_priv_visit_user_check(const visit_user *user);
void sb_priv_visit_user_check_all(const visit_user *user);
void sb_priv_visit_table_check(const visit_table *table);
void sb_priv_visit_table_check_all(const visit_table *table);
#endif

visit_user *sb_priv_visit_table_find(const visit_table *table, uint32_t user);
/* Finds or makes; NULL when there is no memory. A new user is decoded and empty. */
visit_user *sb_priv_visit_table_make(visit_table *table, uint32_t user);
/* The same, but a new one is not decoded: the file says what it has. */
visit_user *sb_priv_visit_table_note(visit_table *table, uint32_t user);
/* Takes a user out of the memory. */
void sb_priv_visit_table_drop(visit_table *table, visit_user *user);
void sb_priv_visit_table_free(visit_table *table);
uint64_t sb_priv_visit_table_memory(const visit_table *table);

/* The users of the table, ascending; valid until one is made or dropped. */
typedef struct visit_order_cursor {
  const visit_table *table;
  size_t block;
  uint32_t place;
} visit_order_cursor;

void sb_priv_visit_order_seek(visit_order_cursor *cursor, const visit_table *table, uint64_t from);
/* The user at the cursor, NULL at the end; whoever takes it adds one to `place`. */
visit_user *sb_priv_visit_order_next(visit_order_cursor *cursor);

/* ---- the visits of a user ---- */

uint64_t sb_priv_visit_user_live(const visit_user *user);
uint64_t sb_priv_visit_user_memory(const visit_user *user);
/* Makes sure that the `count` visits that are encoded at `items` can be inserted without memory, in this order and on top of what is
 * reserved already. */
sb_status sb_priv_visit_user_reserve(visit_table *table, visit_user *user, uint32_t count, const uint8_t *items);
/* Gives up the room that was reserved for the last `count` visits. */
void sb_priv_visit_user_unreserve(visit_table *table, visit_user *user, uint32_t count);
bool sb_priv_visit_user_has(const visit_user *user, uint32_t visit_id);
/* The newest time of all, those for which there is room included; INT64_MIN: there is none. */
int64_t sb_priv_visit_user_newest(const visit_user *user);
/* Whether an insert at this time would be dropped because max_visits newer ones are there. */
bool sb_priv_visit_user_too_old(const visit_table *table, const visit_user *user, int64_t time_ns);
/* Inserts by (time, arrival); ignores what is there or too old. The room for it is used up either way. */
void sb_priv_visit_user_insert(visit_table *table, visit_user *user, const visit_item *item, uint64_t run);
bool sb_priv_visit_user_delete(visit_table *table, visit_user *user, uint32_t visit_id);
void sb_priv_visit_user_clear(visit_table *table, visit_user *user);
void sb_priv_visit_user_trim(visit_table *table, visit_user *user, uint32_t max_visits);
/* Adds a record to a user that is not decoded. */
sb_status sb_priv_visit_user_pend(visit_table *table, visit_user *user, uint64_t offset);
/* Gives `user`, who has nothing, the visits of `other`: copied into no more memory than they need, or, if they are many, moved. */
sb_status sb_priv_visit_user_take(visit_user *user, visit_user *other);
/* Leaves a decoded user without visits and without memory; what takes long to free goes to `trash`. */
void sb_priv_visit_user_empty(visit_user *user, visit_node **trash);
/* Frees so many nodes at most. */
void sb_priv_visit_trash_empty(visit_node **trash, size_t nodes);
/* The url of a visit at `data` in the arena ends where its text begins, a NUL between them. */
static inline uint32_t visit_url_size(const uint8_t *data, uint32_t size) {
  return (uint32_t)((const uint8_t *)memchr(data, 0, size) - data);
}
/* Puts the newest `max_visits` visits, newest first, into a snapshot. */
sb_status sb_priv_visit_user_show(const visit_user *user, uint32_t max_visits, sb_visits *visits);

/* The visits of a decoded user, oldest first. */
typedef struct visit_cursor {
  const visit_user *user;
  visit_node *node;
  visit_entry *entry;
  const uint8_t *data; /* its url, a NUL, its text */
} visit_cursor;

/* false: there is none. */
bool sb_priv_visit_cursor_oldest(visit_cursor *cursor, const visit_user *user);
bool sb_priv_visit_cursor_later(visit_cursor *cursor);

/* ---- log: what reading a file gives ---- */

typedef struct visit_reader {
  int file;
  size_t chunk;    /* bytes to read at once */
  size_t ahead;    /* the same where reads follow each other; 0: never more than `chunk` */
  uint64_t offset; /* of the bytes in memory */
  visit_bytes bytes;
  int problem; /* errno of the last SB_IO */
  bool moved;  /* records may come from another place of the file, and zeros follow its end */
} visit_reader;

typedef struct visit_page {
  uint32_t first, last, length, users;
  uint64_t offset;
} visit_page;

/* The index that the state builds on. pages == NULL: none, everything is in the table. */
typedef struct visit_base {
  visit_page *pages;
  uint32_t page_count;
  uint32_t max_visits;
  uint64_t users, visits, live_bytes;
  uint64_t offset, end; /* of the index record; of all of it */
  uint64_t size;        /* with its pages */
  uint64_t between;     /* bytes of records between its pages, which an open replays */
  uint64_t sequence;    /* of the index record; of everything that it names, less */
} visit_base;

/* Limits are a binary indexed tree, so that the smallest of neighbours is found without looking at each: a user may have many behind it. */
typedef struct visit_limit {
  uint64_t offset;
  uint32_t max_visits;
  uint32_t least; /* of the limits that its place in the tree stands for */
} visit_limit;

typedef struct visit_log visit_log;
struct visit_log {
  int file;
  bool read_only;
  uint8_t uuid[16];
  uint8_t header[VISIT_HEADER_SIZE]; /* as it is in the file; zeros: unknown */
  uint32_t seed;
  visit_slot slot;
  uint64_t end;      /* of the valid log */
  uint64_t sequence; /* of the last record */
  uint64_t durable;  /* known to be on disk */
  uint64_t last; /* where the last record that was read lies, 0 if there is none; a reader knows by its head whether it is still there */
  uint8_t last_head[VISIT_HEAD];
  uint64_t replayed; /* records that open replayed */
  uint64_t cut_bytes;
  visit_base base;
  visit_limit *limits; /* changes of max_visits since the base, oldest first */
  size_t limit_count, limit_capacity;
  uint64_t limited; /* the limits before this offset were applied to every decoded user */
  visit_table table;
  visit_reader sequential, random;
  visit_reader pages; /* for the index; it still has the page that was used last */
  visit_record page;
  uint32_t page_index;     /* of base.pages; page_count: none */
  uint32_t row;            /* of the page, as found last */
  uint64_t row_runs;       /* before it */
  visit_user scratch;      /* where a user is put together */
  uint64_t evict_from;     /* the user with whom the search for users who can leave the memory goes on */
  uint32_t base_put, puts; /* the number of the index that is the base, and of the last one that was begun; see visit_user.put */
  /* For a check of the whole file: users are decoded as their records come, without urls and texts (table.places_only), and each page of an
   * index and each index is told of. */
  sb_status (*indexed)(visit_log *log, const visit_record *record, sb_error *error);
  uint64_t to_see[4]; /* offsets where it must come to: the ends that the slots name, and their indexes. 0: it did, or there is none */
  /* Told of each user that is read from the file: a compaction under way knows a newer place for its visits. */
  void (*loaded)(void *context, visit_user *user);
  void *loaded_context;
};

/* Whether the base has a user as it is. */
static inline bool visit_in_base(const visit_log *log, const visit_user *user) { return user->put != 0 && user->put == log->base_put; }

/* What holds of a log between calls, under assert. */
void sb_priv_visit_log_check(const visit_log *log);
sb_status sb_priv_visit_io(sb_error *error, int problem, const char *what);
sb_status sb_priv_visit_corrupt(sb_error *error, uint64_t offset, const char *what);
/* Makes `size` bytes at `offset` available, which end at or before `limit`, up to which the file may be read ahead. SB_CORRUPT: the file has
 * become shorter. */
sb_status sb_priv_visit_reader_fetch(visit_reader *reader, uint64_t offset, size_t size, uint64_t limit, const uint8_t **data);
/* The record at `offset`, which ends at or before `limit`, checked but for its sequence. SB_NOT_FOUND: a length of 0 or the limit. */
sb_status sb_priv_visit_reader_get(visit_reader *reader, uint32_t seed, uint64_t offset, uint64_t limit, visit_record *record);
void sb_priv_visit_log_init(visit_log *log, int file, bool read_only);
void sb_priv_visit_log_free(visit_log *log); /* not the file */
/* Reads header, index and what follows, and says what to do with the rest: `*tail` bytes after log->end are to be cut. */
sb_status sb_priv_visit_log_open(visit_log *log, uint64_t *tail, sb_error *error);
/* Makes room for one more change of max_visits, which then takes no memory. */
sb_status sb_priv_visit_log_limit_reserve(visit_log *log);
/* Whether the copy of the header in a limit or an index, if it has one, is of this file and of a version that can be read. */
bool sb_priv_visit_log_owns(const visit_log *log, const visit_record *record);
/* Applies the limits that came since to the users in memory. */
void sb_priv_visit_log_settle(visit_log *log);
/* The end of the last byte in [from, size) that is not zero; `from` when all are. */
sb_status sb_priv_visit_log_used(visit_log *log, uint64_t from, uint64_t size, uint64_t *end);
/* Takes the next record of the log. */
sb_status sb_priv_visit_log_take(visit_log *log, const visit_record *record, sb_error *error);
/* Whether the last record that was read is still where it was: a writer takes back what it could not write or sync. */
sb_status sb_priv_visit_log_goes_on(visit_log *log, bool *goes_on, sb_error *error);
/* Notes a record with its payload as the last one that was read. */
static inline void visit_log_remember(visit_log *log, const visit_record *record) {
  log->last = record->offset;
  memcpy(log->last_head, record->payload - VISIT_HEAD, VISIT_HEAD);
}
/* Replays what has been appended since. */
sb_status sb_priv_visit_log_follow(visit_log *log, uint64_t size, uint64_t *tail, sb_error *error);
/* The user, decoded; NULL in `*found` when there is none (never for `make`). */
sb_status sb_priv_visit_log_load(visit_log *log, uint32_t user, bool make, visit_user **found, sb_error *error);
/* Decodes a user who stays out of the table, for walks that must not fill the memory. It is valid until the next user is read. */
sb_status sb_priv_visit_log_peek(visit_log *log, uint32_t user, const visit_user **peeked, sb_error *error);
/* The same, and from now on live_bytes counts what the user really has; for that it may be noted in the table. */
sb_status sb_priv_visit_log_weigh(visit_log *log, uint32_t user, const visit_user **peeked, sb_error *error);
/* How many visits a user has, without reading them where that can be known. */
sb_status sb_priv_visit_log_count(visit_log *log, uint32_t user, uint32_t *count, sb_error *error);
/* Where the file should have the visits of a user who cannot be read, because what is there is damaged: appends to `runs`. */
sb_status sb_priv_visit_log_damaged_runs(visit_log *log, uint32_t user, visit_bytes *runs, sb_error *error);
/* Whether max_visits was smaller since the base: then what the base has of a user may be more than is left. */
bool sb_priv_visit_log_limited(const visit_log *log);
/* Takes users who are in the file as they are out of the memory, until it has at most `bytes` of them, or `users` have been looked at. */
void sb_priv_visit_log_evict(visit_log *log, uint64_t bytes, size_t users);
/* Puts a user who is not in memory into a snapshot, newest first. */
sb_status sb_priv_visit_log_show(visit_log *log, uint32_t user, uint32_t max_visits, sb_visits *visits, sb_error *error);
/* Makes room in memory for what a record will change, then makes the change, which cannot fail. */
sb_status sb_priv_visit_log_prepare(visit_log *log, const visit_record *record, sb_error *error);
bool sb_priv_visit_log_apply(visit_log *log, const visit_record *record);

/* ---- scan: finding records where nothing says where they begin ---- */

typedef struct visit_scan {
  visit_reader heads, bytes;
  uint64_t offset, size; /* where the next record may begin; where the last one must end */
  uint64_t first;        /* of the registers */
  uint32_t *registers;
  size_t count, capacity;
  uint64_t sequence; /* only records with higher ones are of interest */
} visit_scan;

/* `moved`: as of a reader. */
void sb_priv_visit_scan_begin(visit_scan *scan, int file, uint64_t from, uint64_t size, bool moved);
void sb_priv_visit_scan_end(visit_scan *scan);
/* The next record with a checksum that is right, by its head; the scan goes on behind it. SB_NOT_FOUND at the end. */
sb_status sb_priv_visit_scan_next(visit_scan *scan, uint32_t seed, visit_record *record);
/* The seed under which the records of a file are valid. SB_NOT_FOUND: it has none. */
sb_status sb_priv_visit_scan_seed(int file, uint64_t size, uint32_t *seed);
/* The seed under which one record is: from its head, and the registers, which began as 0 somewhere before it, at its byte 8 and at its end. */
uint32_t sb_priv_visit_scan_seed_of(uint32_t first, uint32_t last, const uint8_t *head, uint64_t padded);
/* The first whole header, or copy of one, in a file; SB_NOT_FOUND. */
sb_status sb_priv_visit_scan_header(int file, uint64_t size, uint8_t header[VISIT_HEADER_SIZE]);

/* ---- index ---- */

sb_status sb_priv_visit_index_load(visit_log *log, uint64_t offset, uint64_t limit, sb_error *error);
/* The runs of a user in the base; count 0 when it is not there. They are valid until the next call. */
sb_status sb_priv_visit_index_find(visit_log *log, uint32_t user, const uint8_t **runs, uint32_t *count, sb_error *error);
/* The first user of the base at or after `from`; false at the end. */
sb_status sb_priv_visit_index_next(visit_log *log, uint64_t from, uint64_t *user, sb_error *error);

typedef struct visit_index_writer {
  visit_writer *writer;
  visit_bytes heads, runs; /* of the page that is being filled */
  uint32_t first, last, users;
  visit_page *pages;
  size_t page_count, page_capacity;
  uint64_t user_count, visit_count;
} visit_index_writer;

void sb_priv_visit_index_begin(visit_index_writer *index, visit_writer *writer);
/* Users come in ascending order. A run may continue the last one of the same user. */
sb_status sb_priv_visit_index_put(visit_index_writer *index, uint32_t user, const uint64_t *runs, size_t count);
/* Ends the page. An index has each user as it is where its page lies: records that come to lie between the pages and the index are replayed
 * for those whose page comes before. So a page must be whole before the next change is made. */
sb_status sb_priv_visit_index_page(visit_index_writer *index);
sb_status sb_priv_visit_index_end(visit_index_writer *index, uint32_t max_visits, uint64_t live_bytes, visit_base *base);
void sb_priv_visit_index_abandon(visit_index_writer *index);
/* Where the file will end when the page has been written. */
uint64_t sb_priv_visit_index_bytes(const visit_index_writer *index);
/* Makes `base` what the log builds on; its pages are the log's from now on. */
void sb_priv_visit_index_take(visit_log *log, visit_base base, uint32_t put);
/* The page of the base that says of a user, or would if it had visits: records of it count from there on. */
uint64_t sb_priv_visit_index_since(const visit_base *base, uint32_t user);
/* Takes the records that lie between the pages of the base and their index. */
sb_status sb_priv_visit_index_between(visit_log *log, sb_error *error);
/* The runs of a decoded user's visits, neighbours joined; `*runs` is enlarged as needed. */
sb_status sb_priv_visit_user_runs(const visit_user *user, visit_bytes *runs, size_t *count);

/* An index on its way: it is written in steps, between which changes go on. */
typedef struct visit_pass {
  visit_index_writer index;
  visit_bytes runs;
  uint64_t from;       /* users below are in it */
  uint64_t live;       /* of a copy: of the users that are in it */
  uint64_t live_after; /* by how much changes since have changed their live bytes */
  uint32_t put;        /* its number */
  bool active, done;
  visit_base base; /* done: of the whole */
} visit_pass;

void sb_priv_visit_pass_begin(visit_pass *pass, visit_log *log, visit_writer *writer);
/* Puts users until `bytes` were written; after the last one, the index. */
sb_status sb_priv_visit_pass_step(visit_pass *pass, visit_log *log, uint64_t bytes, sb_error *error);
void sb_priv_visit_pass_end(visit_pass *pass);

/* All users, ascending, of base and table together. */
typedef struct visit_walk {
  visit_log *log;
  visit_order_cursor users;
  uint64_t from;
} visit_walk;

/* The walk is valid until a user is made or dropped. */
void sb_priv_visit_walk_begin(visit_walk *walk, visit_log *log, uint64_t from);
/* 1 << 32 at the end. The user may turn out to have no visits. */
sb_status sb_priv_visit_walk_next(visit_walk *walk, uint64_t *user, sb_error *error);

/* ---- whole files ---- */

/* A copy of everything live into a new file, user by user and ascending, in steps between which the log may go on: first the visits, then
 * the index. Of users from `from` on nothing is in the copy yet. */
typedef struct visit_copied {
  uint32_t user;
  uint64_t run_end; /* where its runs end in the list of all */
  uint64_t live;
} visit_copied;

typedef struct visit_copy {
  visit_writer writer;
  uint8_t uuid[16];
  uint8_t header[VISIT_HEADER_SIZE];
  uint64_t from;
  visit_bytes users; /* visit_copied: those who had visits when they were copied */
  visit_bytes runs;  /* uint64_t: of all of them */
  size_t listed;     /* how many of `users` are in the index */
  visit_pass pass;   /* the index */
  uint64_t damaged_users;
  sb_error damage; /* of the first of them */
} visit_copy;

static inline bool visit_copy_whole(const visit_copy *copy) { return copy->from >> 32 != 0; }

/* `file` stays the caller's. */
sb_status sb_priv_visit_copy_begin(visit_copy *copy, visit_log *log, int file, sb_error *error);
/* Copies users until `bytes` were written. Users in memory get their places in the copy. What is damaged is copied as it is. */
sb_status sb_priv_visit_copy_step(visit_copy *copy, visit_log *log, uint64_t bytes, sb_error *error);
/* Whether a change of `user` must go into the copy, too. */
static inline bool visit_copy_mirrors(const visit_copy *copy, uint32_t user) { return user < copy->from; }
/* Gives a user who was just read from the old file the places in the copy. */
void sb_priv_visit_copy_loaded(visit_copy *copy, visit_user *user);
/* After the last step: appends the index, in steps as well, until copy->pass is done. */
sb_status sb_priv_visit_copy_index_step(visit_copy *copy, visit_log *log, uint64_t bytes, sb_error *error);
void sb_priv_visit_copy_free(visit_copy *copy);

int sb_priv_visit_header_write(int file, const uint8_t uuid[16], const visit_slot *slot);
/* Writes a file, closed and on disk, with everything that `log` holds. `replaces` is the mark of the file in whose place it is built. */
sb_status sb_priv_visit_write_closed(visit_log *log, int file, uint32_t replaces, sb_error *error);

/* A file of the old format. SB_CORRUPT when it is none. Fills the table of `log`, and its max_visits with the file's if that is 0. */
sb_status sb_priv_visit_old_read(visit_log *log, uint64_t size, sb_error *error);

/* Checks every byte of a file up to `end` (0: all of it), and fills the report. */
sb_status sb_priv_visit_check(int file, uint64_t end, sb_visit_report *report, sb_error *error);

/* ---- lock: readers beside each other, one writer, and nobody starves ---- */

typedef struct visit_lock {
  atomic_uint state;
  pthread_mutex_t mutex;
  pthread_cond_t readers_go, writers_go;
  unsigned waiting_readers, phase;
  unsigned writers_came, writers_done; /* writers take turns in the order in which they came */
} visit_lock;

void sb_priv_visit_lock_init(visit_lock *lock);
void sb_priv_visit_lock_destroy(visit_lock *lock);
void sb_priv_visit_lock_read(visit_lock *lock);
void sb_priv_visit_lock_read_end(visit_lock *lock);
void sb_priv_visit_lock_write(visit_lock *lock);
void sb_priv_visit_lock_write_end(visit_lock *lock);

/* ---- stores, snapshots ---- */

typedef struct visit_tuning {
  uint64_t index_interval, index_at_close, compact_min, preallocation;
  uint64_t compact_step; /* bytes of compaction, or of an index, per batch of changes */
  uint64_t help_min;     /* bytes of a file for which a helper is worth a thread; 0: never */
} visit_tuning;
/* The numbers of docs/file-format.md; tests make them smaller. */
extern visit_tuning sb_priv_visit_tuning;

enum {
  VISIT_THREAD_SYNC,
  VISIT_THREAD_COMPACT,
  VISIT_THREAD_HELPER,
  VISIT_THREADS
};

/* A change on its way: it lies on its thread's stack and waits in the queue until a leader has done it. */
typedef struct visit_change {
  struct visit_change *next;
  enum {
    VISIT_CHANGE_ADD,
    VISIT_CHANGE_DELETE,
    VISIT_CHANGE_CLEAR,
    VISIT_CHANGE_COMPACT
  } kind;
  uint32_t user;
  const sb_visit *visits;
  const uint32_t *visit_ids;
  size_t count;
  bool found; /* delete: something was deleted */
  sb_status status;
  sb_error *error;
  size_t begin, end; /* its records among those of the batch */
  bool leads;        /* woken to lead, not because it is done */
  sem_t woken;
} visit_change;

/* The last thing that work in the background failed at. */
typedef struct visit_failure {
  int32_t work;    /* SB_VISIT_WORK_...; 0: none */
  int64_t time_ns; /* since the Unix epoch */
  sb_error error;
} visit_failure;

/* The file store. Locks, in the order in which they are taken: sync_mutex, state_lock; queue_mutex alone. Who leads (`leading`) is the only
 * one who changes writer, pass, copy and file; log and table it changes under state_lock, which readers share. */
typedef struct visit_file {
  sb_priv_fork_entry fork;
  atomic_bool forked, poisoned, finished;
  bool read_only, upgraded;
  uint32_t show_max; /* visits shown per user; a read-only handle may want fewer than the file has */
  uint64_t told;     /* sequence that a reader knows of: a refresh that failed may have read further */
  int durability;
  char *name; /* last component of the path */
  char *path; /* as it was given, from the root on; NULL: not known */
  int folder, lock;
  int made;                      /* PATH.new, locked, before it is a copy or the file; -1: none */
  sb_priv_file_facts held, root; /* of the locked file, and of the root folder at that time */
  int64_t looked_ns;             /* when the path was looked at last; the leader's */
  atomic_int displaced;          /* not 0: the path leads elsewhere by now, and changes are refused */

  visit_lock state_lock;
  visit_log log;

  pthread_mutex_t queue_mutex;
  visit_change *queue, **queue_end;
  atomic_size_t queued;
  bool leading;
  size_t expected;              /* changes that are likely to come together */
  atomic_int_least64_t sync_ns; /* how long the last sync took */

  visit_writer writer;
  bool batch_deletes;    /* a change of the batch that is being encoded deletes what is in memory still */
  uint64_t allocated;    /* zeros were written up to here */
  visit_pass pass;       /* the index that is being written */
  uint64_t index_at;     /* log offset where the next index is due */
  bool index_blocked;    /* places in memory are those of a copy that was given up */
  uint64_t compact_at;   /* not before, after a failure */
  uint64_t compact_wait; /* how much longer a log has to be for the next try after one that failed */
  uint64_t memory_max;   /* bytes of users in memory */
  visit_copy copy;
  int copy_file;     /* -1: no compaction under way */
  uint32_t replaces; /* the mark that the copy bears */
  uint64_t copies_begun, copies_done;

  pthread_mutex_t sync_mutex;
  atomic_uint_least64_t syncs;

  pthread_mutex_t failure_mutex;
  visit_failure failure; /* of work in the background, since that last succeeded; under failure_mutex */
  uint64_t failures, damaged_users;

  atomic_uint compactors; /* threads that are compacting, whom changes need not help */
  uint64_t copy_sync;     /* the number of the copy that was synced as a whole before its last step */

  pthread_t threads[VISIT_THREADS];
  bool thread_runs[VISIT_THREADS];
  bool compact_in_thread, compaction_due;
  atomic_bool threads_stop;
  atomic_bool helping; /* a helper has not ended; what it has to do: */
  int help_close, help_sync;
  uint64_t help_which, help_tried; /* numbers of copies */
  uint32_t interval_ms;
  pthread_mutex_t thread_mutex;
  pthread_cond_t sync_wake, compact_wake;
} visit_file;

sb_status sb_priv_visit_change(visit_file *file, visit_change *change);
sb_status sb_priv_visit_sync(visit_file *file, sb_error *error);
/* The threads that the options ask for; they end when they are stopped, which may be when none was started. */
sb_status sb_priv_visit_threads_start(visit_file *file, sb_error *error);
void sb_priv_visit_threads_stop(visit_file *file);
/* Wakes the thread that compacts. */
void sb_priv_visit_thread_compact(visit_file *file);
/* Closes a file that compaction replaced, in a thread if it is large. */
void sb_priv_visit_help_close(visit_file *file, int old);
/* Has the copy synced in a thread, if it is large; false when there is nothing to wait for. */
bool sb_priv_visit_help_sync(visit_file *file);
/* Syncs the copy with this number by its descriptor `copy`, which it closes. */
void sb_priv_visit_sync_copy(visit_file *file, int copy, uint64_t which);
/* Goes on with compactions until the one with this number, counted from 1, is done. */
sb_status sb_priv_visit_compact(visit_file *file, uint64_t wanted, sb_error *error);
/* Writes the slot that does not count, which then does. The caller leads, and does not hold the state. */
int sb_priv_visit_slot_write(visit_file *file, uint32_t state, uint64_t length);
/* Appends one batch of records to the file: marks it open, writes, syncs where the mode says so. */
sb_status sb_priv_visit_append(visit_file *file, sb_error *error);
/* After an append that failed: memory and file are as they were before it. The caller holds the state. */
void sb_priv_visit_take_back(visit_file *file);
/* What is due after a batch of so many bytes: a step of compaction, or of an index. The caller leads. */
void sb_priv_visit_maintain(visit_file *file, uint64_t written);
/* Some of the users who can leave the memory do, if there are too many in it. */
void sb_priv_visit_make_room(visit_file *file);
sb_status sb_priv_visit_compact_step(visit_file *file, uint64_t bytes, sb_error *error);
void sb_priv_visit_compact_abandon(visit_file *file);
/* Notes what work failed at that nobody asked for, so that nobody gets its error; and that it succeeded. */
void sb_priv_visit_failed(visit_file *file, int32_t work, const sb_error *error);
void sb_priv_visit_succeeded(visit_file *file, int32_t work);
/* The name of a file beside PATH, whose own name is `name`. */
typedef char visit_side_name[SB_VISIT_PATH_MAX + 16]; /* ".cut.99999999" and the like */
static inline void visit_suffixed(const char *name, const char *suffix, visit_side_name result) {
  (void)snprintf(result, sizeof(visit_side_name), "%s%s", name, suffix);
}

/* ---- names (visit_name.c) ---- */

/* Notes the file that is open and locked as the one that PATH leads to. */
void sb_priv_visit_hold(visit_file *file, const sb_priv_file_facts *facts);
/* Whether PATH leads to the file still; else SB_NOT_FOUND, now and for good. */
sb_status sb_priv_visit_still_there(visit_file *file, sb_error *error);
/* The same, before a write: it looks each time in the mode always, and now and then in the others. The caller leads. */
sb_status sb_priv_visit_may_write(visit_file *file, sb_error *error);
/* Makes the name PATH.new free: removes what a process that was killed was building there. Any other file is somebody's: it stays, which is
 * an error. */
sb_status sb_priv_visit_remove_unfinished(visit_file *file, sb_error *error);
/* Makes PATH.new as file->made: empty, locked, marked as made for the file under PATH, with the mode and owner of `like`; NULL: of a new file.
 * The mark is in `*replaces`. */
sb_status sb_priv_visit_new_open(visit_file *file, const sb_priv_file_facts *like, uint32_t *replaces, sb_error *error);
/* Gives file->made to the caller, who holds the list of forks. */
int sb_priv_visit_new_take(visit_file *file);
/* Removes PATH.new if that is the file `made`. */
void sb_priv_visit_new_remove(visit_file *file, int made);
void sb_priv_visit_new_abandon(visit_file *file);
/* Puts PATH.new, which is the file `made`, in the place of the file that is held, if both names still lead to these two. `*left`: why the old
 * one could not be removed, and is PATH.new now; mostly 0. */
sb_status sb_priv_visit_new_replace(visit_file *file, int made, int *left, sb_error *error);
sb_status sb_priv_visit_new_left(int left, sb_error *error);
/* Gives it the name PATH, which nobody has; `*taken`: somebody has it by now. */
sb_status sb_priv_visit_new_place(visit_file *file, int made, bool *taken, sb_error *error);
/* SB_UNSUPPORTED for a file with several names, of which a compaction would change one. */
sb_status sb_priv_visit_one_name(const sb_priv_file_facts *facts, sb_error *error);
/* SB_INVALID_ARGUMENT for a name that a store beside it takes for itself, such as its lock. */
sb_status sb_priv_visit_name_is_free(int folder, const char *name, sb_error *error);
/* A new file at a path that somebody named: made, locked, and under no store's own name; then whether it still has its name. Closing it may
 * remove it. */
sb_status sb_priv_visit_target_open(const char *path, int *folder, const char **name, int *file, sb_error *error);
sb_status sb_priv_visit_target_check(int folder, const char *name, int file, sb_error *error);
void sb_priv_visit_target_close(int folder, const char *name, int file, bool remove);

/* Writes an index in one piece. */
sb_status sb_priv_visit_index_append(visit_file *file, sb_error *error);
/* Where an index is due after the one that the log builds on. */
void sb_priv_visit_index_schedule(visit_file *file);

/* Opens the file store; fills the vtable. */
sb_status sb_priv_visit_file_open(const char *path, const sb_visit_manager_options *options, sb_visit_store *store, sb_error *error);
sb_status sb_priv_visits_open(sb_visits **visits);
/* Adds `count` rows and, in one piece, `bytes` bytes (above 0) that they will show; the caller fills both. */
sb_status sb_priv_visits_take(sb_visits *visits, size_t count, size_t bytes, sb_visit **rows, uint8_t **data);
sb_status sb_priv_visit_users_open(sb_visit_users **users);

#endif
