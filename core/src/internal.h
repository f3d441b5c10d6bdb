#ifndef SB_INTERNAL_H
#define SB_INTERNAL_H

/* What the parts of the core share with each other and with nobody else: the layout of a block, because buf, view and parser count
 * owners on every span; the layout of a schema, because builder and parser walk over its types for every message; error filling; byte order. A part's own private things stay in its .c file or in its own private header, which no
 * other part includes. Names begin with sb_priv_, and no binding sees them. */

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <samebytes/schema.h>
#include <samebytes/view.h>

/* ---- how many own a thing ---- */

/* Each count of owners has this type. 64 bits cannot be counted round: a thread that does nothing else needs a second for 2^28 owners, so
 * centuries for all. */
typedef _Atomic uint64_t sb_priv_owners;

/* Another owner, of a thing that the caller owns. */
static inline void sb_priv_owners_add(sb_priv_owners *owners, uint64_t count) {
  const uint64_t before = atomic_fetch_add_explicit(owners, count, memory_order_relaxed);
  assert(before > 0 && before <= UINT64_MAX - count);
  (void)before;
}

/* Takes `count` owners away. True if none is left: the caller then sees what all others wrote, and frees the thing. */
static inline bool sb_priv_owners_remove(sb_priv_owners *owners, uint64_t count) {
  const uint64_t before = atomic_fetch_sub_explicit(owners, count, memory_order_acq_rel);
  assert(before >= count);
  return before == count;
}

/* ---- hand-overs ---- */

/* Builds with assertions say what they are about to do wherever something passes from one thread to another, or is looked at that another
 * thread may change. tests/core/orders.h stops there, and tries every order. So between two steps a thread touches nothing of others but the
 * thing that the first step names, and what is protected by the locks that it holds. */
enum {
  SB_PRIV_STEP_LOOK,   /* reads the thing */
  SB_PRIV_STEP_TOUCH,  /* reads or changes it */
  SB_PRIV_STEP_LOCK,   /* waits for the mutex, and locks it */
  SB_PRIV_STEP_UNLOCK, /* the other way round */
  SB_PRIV_STEP_BUSY,   /* waits until the gate's thread is not busy, and reads that */
  SB_PRIV_STEP_USERS,  /* waits until no call is inside the entry of the handle, and reads that */
};

#ifdef NDEBUG
#define SB_PRIV_STEP(kind, thing) ((void)0)
#else
extern void (*sb_priv_step_hook)(int kind, const void *thing, const char *function) __attribute__((visibility("hidden")));
#define SB_PRIV_STEP(kind, thing) \
  do { \
    if (sb_priv_step_hook != NULL) sb_priv_step_hook(kind, thing, __func__); \
  } while (0)
#endif

static inline void sb_priv_lock(pthread_mutex_t *lock) {
  SB_PRIV_STEP(SB_PRIV_STEP_LOCK, lock);
  (void)pthread_mutex_lock(lock);
}

static inline void sb_priv_unlock(pthread_mutex_t *lock) {
  SB_PRIV_STEP(SB_PRIV_STEP_UNLOCK, lock);
  (void)pthread_mutex_unlock(lock);
}

/* A provider, as the core calls it. get may give a block of any size above 0, smaller or larger than `size`; callers that need more call
 * again, and callers that need one piece check. put takes back a block whose last owner has gone. retire frees the provider. All are
 * thread-safe but retire, which comes last.
 *
 * A provider with count counts by itself, and adds its counts to `stats` there; it keeps itself alive while blocks are out, so retire may come
 * before the last put. */
typedef struct sb_priv_provider {
  sb_status (*get)(sb_memory *memory, size_t size, sb_block **block);
  void (*put)(sb_block *block);
  void (*retire)(sb_memory *memory);
  void (*count)(sb_memory *memory, sb_memory_stats *stats); /* NULL: memory.c counts */
  sb_status (*failure)(sb_memory *memory, sb_error *error); /* the last one; SB_NOT_FOUND: none. NULL: it does not know */
} sb_priv_provider;

/* The part of every provider that memory.c knows; each provider's own structure starts with it. Owners are handles and blocks that are
 * out, those of a provider that counts by itself not included. */
struct sb_memory {
  const sb_priv_provider *provider;
  sb_priv_owners owners;
  _Atomic uint64_t reserves;
  _Atomic uint64_t releases;
  _Atomic uint64_t live_bytes;
  _Atomic uint64_t failures;
};

/* A block's header. It lies before the bytes or apart from them, as its provider likes. Invariant: a block that is out has owners > 0 and
 * keeps `memory` alive. */
struct sb_block {
  sb_priv_owners owners;
  uint32_t size;         /* bytes at data, above 0 */
  uint16_t next;         /* the provider's own, as token is */
  _Atomic uint8_t state; /* the provider's own */
  uint8_t *data;
  sb_memory *memory; /* the provider that put() is called on */
  uint64_t key;      /* metadata that travels with every slice; 0 with NULL where there is none */
  const void *metadata;
  void *token; /* the provider's own */
};

/* Gets one block of any size from `memory`, NULL being the default pool, for a caller who wants `size` bytes more. */
sb_status sb_priv_block_get(sb_memory *memory, size_t size, sb_block **block);
/* Gives a block back whose owners have reached 0. */
void sb_priv_block_free(sb_block *block);
/* Adds to how many blocks are out, of providers that are no pools. */
void sb_priv_live_blocks_add(int64_t change);
/* The provider that the memory of `memory` comes from, behind all tracing ones. */
const sb_memory *sb_priv_memory_origin(const sb_memory *memory);
/* SB_UNSUPPORTED, and which images these are, when `memory` was made by another image of the library. `what` is a word for the message. */
sb_status sb_priv_memory_check_image(const sb_memory *memory, const char *what, sb_error *error);
/* Sets up what every provider starts with: one owner, no counts. */
void sb_priv_memory_init(sb_memory *memory, const sb_priv_provider *provider);
/* Another owner of `memory`, the default pool if NULL, whose last handle may go at the same time; SB_CLOSED when it has gone. */
sb_status sb_priv_memory_open(sb_memory *memory, sb_memory **opened);
/* The process-wide default pool as a provider, made at first use; borrowed. */
sb_status sb_priv_memory_default(sb_memory **memory);
struct sb_pool;
/* That pool itself, borrowed. */
sb_status sb_priv_pool_default(struct sb_pool **pool);
/* Counts a block that is out now at its provider, which does not count by itself. */
void sb_priv_block_count(const sb_block *block);
/* How many blocks are out that show memory of somebody else. */
int64_t sb_priv_foreign_live_blocks(void);
/* How many blocks are out as an sb_block, of all pools. */
int64_t sb_priv_pools_live_blocks(void);

/* Copies the structure `ours`, which begins with its struct_size, to the caller's, which may be of another version: struct_size stays as the
 * caller set it, and what only a newer caller knows becomes 0. SB_INVALID_ARGUMENT when the caller's is smaller than version 1.0 had it. */
sb_status sb_priv_fill(void *out, const void *ours, size_t size);

/* What every sb_x_options_init does. */
void sb_priv_options_init(void *options, size_t struct_size);
/* Copies the caller's options, which may be of another version or NULL, to the structure `ours` of `size` bytes. What an older caller does not
 * know becomes 0, the default. SB_INVALID_ARGUMENT when they are smaller than version 1.0 had them (nobody filled them then), SB_UNSUPPORTED
 * when they say something that only a newer version knows. */
sb_status sb_priv_options_read(void *ours, size_t size, const void *options, size_t size_1_0);
/* The size of a structure up to the field that was its last in version 1.0. */
#define SB_PRIV_OPTIONS_1_0(type, last) (offsetof(type, last) + sizeof((type *)NULL)->last)

static inline sb_block *sb_priv_block_retain(sb_block *block) {
  sb_priv_owners_add(&block->owners, 1);
  return block;
}

static inline void sb_priv_block_release(sb_block *block) {
  /* The last owner must see what the others wrote before the memory is used for something else. An only owner need not count down: nobody
   * else can become one, and counting costs more than the rest. */
  SB_PRIV_STEP(SB_PRIV_STEP_TOUCH, block);
  if (atomic_load_explicit(&block->owners, memory_order_acquire) == 1 || sb_priv_owners_remove(&block->owners, 1))
    sb_priv_block_free(block);
}

/* Whether nobody but the asking owner can see the block. */
static inline bool sb_priv_block_exclusive(const sb_block *block) {
  return atomic_load_explicit(&block->owners, memory_order_acquire) == 1;
}

/* Bytes that lie in one block. */
typedef struct sb_priv_span {
  const uint8_t *data;
  size_t size; /* above 0 */
  sb_block *block;
} sb_priv_span;

/* A sequence of spans that moves on from the front and grows at the end: what views and bufs are made of. All zeros is the empty one. One
 * span needs no allocation; the structure may be moved. Invariant: bytes is the sum of the sizes, each span holds one owner of its block, and
 * two that are neighbours do not continue each other. */
typedef struct sb_priv_spans {
  sb_priv_span first; /* the place of the spans while there is no heap; anything when there is none */
  sb_priv_span *heap;
  size_t count;
  size_t bytes;
  size_t start;    /* with a heap: spans before it have been skipped */
  size_t capacity; /* with a heap: of it, in spans */
} sb_priv_spans;

/* Makes `spans` empty that were nothing before. */
static inline void sb_priv_spans_init(sb_priv_spans *spans) {
  spans->heap = NULL;
  spans->count = spans->bytes = 0;
}

static inline sb_priv_span *sb_priv_spans_items(sb_priv_spans *spans) {
  return spans->heap != NULL ? spans->heap + spans->start : &spans->first;
}

static inline const sb_priv_span *sb_priv_spans_at(const sb_priv_spans *spans, size_t index) {
  assert(index < spans->count);
  return (spans->heap != NULL ? spans->heap + spans->start : &spans->first) + index;
}

/* How many spans there is room for behind the last one. */
static inline size_t sb_priv_spans_room(const sb_priv_spans *spans) {
  return spans->heap != NULL ? spans->capacity - spans->start - spans->count : 1 - spans->count;
}

/* Makes room for `more` spans. A failure (SB_NO_MEMORY) changes nothing. */
sb_status sb_priv_spans_reserve(sb_priv_spans *spans, size_t more);
/* Adds a span, taking over an owner of `block`; it becomes one with the last span where it continues that. The caller has reserved. */
void sb_priv_spans_push(sb_priv_spans *spans, sb_block *block, const uint8_t *data, size_t size);
/* Adds the `size` bytes of `source` that start at `offset`; both must be there, and `spans` have room for sb_priv_spans_in_range of them. */
void sb_priv_spans_push_range(sb_priv_spans *spans, const sb_priv_spans *source, size_t offset, size_t size);
/* How many spans those bytes touch. */
size_t sb_priv_spans_in_range(const sb_priv_spans *spans, size_t offset, size_t size);
/* Finds the span that holds the byte at `*offset`, which must be there, and makes `*offset` relative to it. */
size_t sb_priv_spans_find(const sb_priv_spans *spans, size_t *offset);
/* Removes the first `size` bytes, which must be there. */
void sb_priv_spans_skip(sb_priv_spans *spans, size_t size);
/* Drops what lies behind the first `size` bytes. */
void sb_priv_spans_cut(sb_priv_spans *spans, size_t size);
/* Copies the `size` bytes that start at `offset`, which must be there. */
void sb_priv_spans_copy_out(const sb_priv_spans *spans, size_t offset, uint8_t *target, size_t size);
/* Orders the bytes of both as memcmp does; the shorter one comes first where it is the beginning of the other. */
int sb_priv_spans_compare(const sb_priv_spans *spans, const sb_priv_spans *other);
/* Removes all and frees. */
void sb_priv_spans_clear(sb_priv_spans *spans);
/* Makes a view of the `size` bytes of `spans` that start at `offset`, which must be there. */
sb_status sb_priv_view_open_range(const sb_priv_spans *spans, size_t offset, size_t size, sb_view **view);
/* Makes a view of all `spans`, which are empty then. */
sb_status sb_priv_view_open_all(sb_priv_spans *spans, sb_view **view);
/* The spans of a view. */
const sb_priv_spans *sb_priv_view_spans(const sb_view *view);
/* Drops what was filled behind the first `size` bytes, which no view shows: where room follows it, it becomes room again. */
struct sb_buf;
void sb_priv_buf_cut(struct sb_buf *buf, size_t size);
/* Copies all filled bytes. */
void sb_priv_buf_copy_out(const struct sb_buf *buf, uint8_t *target);
/* Whether the buf's first piece of room, and nothing else, is begun, and is this one. */
bool sb_priv_buf_begun(const struct sb_buf *buf, const void *data, size_t size);
/* Removes the first `size` bytes of a view, which must be there. */
void sb_priv_view_skip(sb_view *view, size_t size);

/* Makes a view of `size` bytes at `data`, which lie in `block`; shares the block, whoever else does. */
sb_status sb_priv_view_open_span(sb_block *block, const uint8_t *data, size_t size, sb_view **view);

/* A number of `size` bytes at `data`, and the other way round. sb_priv_number_size says whether there is such a size and order. */
static inline bool sb_priv_number_valid(uint32_t size, int32_t order) {
  return (size == 1 || size == 2 || size == 4 || size == 8) && (order == SB_ORDER_BIG || order == SB_ORDER_LITTLE);
}
int64_t sb_priv_number_load(const uint8_t *data, uint32_t size, int32_t order);
void sb_priv_number_store(uint8_t *data, uint64_t bits, uint32_t size, int32_t order);

/* Memory for what a view or a buf is: at most SB_PRIV_HANDLE_SIZE bytes, not zeroed. Each thread keeps some for itself.
 *
 * Builds with assertions mark it behind those bytes. Closing what has been closed would lend one memory to two; there it ends the program, also
 * on another thread. */
#define SB_PRIV_HANDLE_SIZE 192
#ifdef NDEBUG
#define SB_PRIV_HANDLE_MARK_SIZE 0
static inline void sb_priv_handle_check(const void *handle) { (void)handle; }
static inline void sb_priv_handle_set_open(void *handle) { (void)handle; }
static inline void sb_priv_handle_set_closed(void *handle) { (void)handle; }
#else
#define SB_PRIV_HANDLE_MARK_SIZE sizeof(uint64_t)
#define SB_PRIV_HANDLE_OPEN UINT64_C(0x6f70656e68616e64)
static inline void sb_priv_handle_check(const void *handle) {
  uint64_t mark;
  memcpy(&mark, (const uint8_t *)handle + SB_PRIV_HANDLE_SIZE, sizeof mark);
  assert(mark == SB_PRIV_HANDLE_OPEN && "this view or buf has been closed already");
}
static inline void sb_priv_handle_set_open(void *handle) {
  const uint64_t mark = SB_PRIV_HANDLE_OPEN;
  memcpy((uint8_t *)handle + SB_PRIV_HANDLE_SIZE, &mark, sizeof mark);
}
static inline void sb_priv_handle_set_closed(void *handle) {
  memset(handle, 0xdb, SB_PRIV_HANDLE_SIZE + SB_PRIV_HANDLE_MARK_SIZE); /* whoever still uses it should notice */
}
#endif
#define SB_PRIV_HANDLES_MAX 64u /* kept per thread: 12 KiB */
typedef struct sb_priv_handles {
  uint32_t count;
  uint32_t capacity; /* 0 before the thread gave one back, and when it ends */
  void *handles[SB_PRIV_HANDLES_MAX];
} sb_priv_handles;

/* 8 bytes with the initial-exec model, for the reasons that stand in pool_private.h. */
#if defined(__GLIBC__)
extern __thread sb_priv_handles *sb_priv_handles_own __attribute__((visibility("hidden"), tls_model("initial-exec")));
#else
extern __thread sb_priv_handles *sb_priv_handles_own __attribute__((visibility("hidden")));
#endif
void *sb_priv_handle_make(void);
void sb_priv_handle_put_slowly(void *handle);

/* One that is at hand, or NULL. */
static inline void *sb_priv_handle_take(void) {
  sb_priv_handles *own = sb_priv_handles_own;
  if (own->count == 0) return NULL;
  void *handle = own->handles[--own->count];
  if (handle == NULL) __builtin_unreachable(); /* so that nobody looks twice */
  sb_priv_handle_set_open(handle);
  return handle;
}

static inline void *sb_priv_handle_get(void) {
  void *taken = sb_priv_handle_take();
  return taken != NULL ? taken : sb_priv_handle_make();
}

static inline void sb_priv_handle_put(void *handle) {
  sb_priv_handle_set_closed(handle);
  sb_priv_handles *own = sb_priv_handles_own;
  if (own->count < own->capacity)
    own->handles[own->count++] = handle;
  else
    sb_priv_handle_put_slowly(handle);
}
/* Gives those that the calling thread keeps back to the system, for tests of failing allocations. */
void sb_priv_handle_flush(void);

/* Reads a place that somebody may be changing: once, where a compiler could read it again instead of keeping what it read. */
#define SB_PRIV_READ_ONCE(place) __atomic_load_n(&(place), __ATOMIC_RELAXED)

struct sb_schema {
  sb_priv_owners owners;
  int32_t direction;
  int8_t api_key;
  uint16_t field_count;
  bool plain;              /* no field is an array of strings: builder_plain.c can write its messages */
  uint32_t smallest_frame; /* bytes of a frame whose strings and arrays are empty, Size and header included */
  char name[SB_FIELD_NAME_MAX + 1];
  uint8_t types[SB_SCHEMA_FIELDS_MAX + 1]; /* SB_TYPE_..., one per field; then 0 */
  char names[][SB_FIELD_NAME_MAX + 1];     /* one per field */
};

/* Writes a message to `frame`, which has `room` bytes, and returns how many it took; 0 where it is not plain (builder_plain.c says what that
 * is), and the room holds anything. */
size_t sb_priv_write_plain(uint8_t *frame, size_t room, const sb_schema *schema, int8_t sequence, const sb_value *values);

/* Whether messages and fields may be called so. */
bool sb_priv_name_is_valid(const char *name);

/* Bytes of an integer of `type`, or of an item of an array of integers; 0 for the types that hold strings. */
static inline size_t sb_priv_type_width(uint8_t type) {
  static const uint8_t widths[] = {0, 1, 2, 4, 8, 0, 1, 2, 4, 8, 0};
  return widths[type];
}

/* Copies `count` integers of `width` bytes between the machine's byte order and big-endian; the copy is its own inverse. Neither side need be
 * aligned. */
void sb_priv_swap_copy(void *target, const void *source, size_t width, size_t count);

/* The ways that sb_crc32c chooses from. The one by instruction may be called only where the CPU has it. */
uint32_t sb_priv_crc32c_table(uint32_t checksum, const void *data, size_t size);
uint32_t sb_priv_crc32c_cpu(uint32_t checksum, const void *data, size_t size);
bool sb_priv_crc32c_cpu_has(void);

/* Fills `error` (may be NULL) and returns `status`, so that a failure reads as one return statement. `field` may be NULL. */
__attribute__((format(printf, 4, 5), cold)) sb_status sb_priv_error(sb_error *error, sb_status status, const char *field,
                                                                    const char *format, ...);
/* The same for a refusal of the system: `problem` is its errno, which the error carries, and whose text ends the message. */
__attribute__((format(printf, 4, 5), cold)) sb_status sb_priv_system_error(sb_error *error, sb_status status, int problem,
                                                                           const char *format, ...);
#if defined(__clang_analyzer__)
/* The analyzer does not look into status.c, and would follow paths on which a failure returns SB_OK. */
#define sb_priv_error(error, status, ...) ((void)sb_priv_error(error, status, __VA_ARGS__), (status))
#define sb_priv_system_error(error, status, ...) ((void)sb_priv_system_error(error, status, __VA_ARGS__), (status))
#endif

/* The same where the library's own sentence says it better than the system's: `error` carries the errno only. Returns `status`. */
static inline sb_status sb_priv_caused(sb_status status, int problem, sb_error *error) {
  if (error != NULL) error->system_error = problem;
  return status;
}

/* Integers on the wire are big-endian. memcpy is what makes an unaligned access defined; compilers turn it into one instruction. */
static inline uint16_t sb_priv_load16(const uint8_t *data) {
  uint16_t value;
  memcpy(&value, data, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap16(value);
#endif
  return value;
}

/* sb_priv_swap_copy for 4 items of 2 bytes. */
static inline void sb_priv_swap_four16(void *target, const void *source) {
  uint16_t four __attribute__((vector_size(8))); /* shifts of vectors take half the instructions of shifts and masks */
  memcpy(&four, source, sizeof four);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  four = four << 8 | four >> 8;
#endif
  memcpy(target, &four, sizeof four);
}

/* sb_priv_swap_copy for items of 2 bytes, of which there mostly are a few: then a call costs more than the work. */
static inline void sb_priv_swap_items16(void *target, const void *source, size_t count) {
  uint8_t *to = target;
  const uint8_t *from = source;
  if (count > 16) {
    sb_priv_swap_copy(to, from, 2, count);
    return;
  }
  for (; count >= 4; count -= 4, to += 8, from += 8) sb_priv_swap_four16(to, from);
  for (; count > 0; count--, to += 2, from += 2) {
    const uint16_t item = sb_priv_load16(from);
    memcpy(to, &item, sizeof item);
  }
}

static inline uint32_t sb_priv_load32(const uint8_t *data) {
  uint32_t value;
  memcpy(&value, data, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap32(value);
#endif
  return value;
}

static inline uint64_t sb_priv_load64(const uint8_t *data) {
  uint64_t value;
  memcpy(&value, data, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap64(value);
#endif
  return value;
}

static inline void sb_priv_store16(uint8_t *data, uint16_t value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap16(value);
#endif
  memcpy(data, &value, sizeof value);
}

static inline void sb_priv_store32(uint8_t *data, uint32_t value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap32(value);
#endif
  memcpy(data, &value, sizeof value);
}

static inline void sb_priv_store64(uint8_t *data, uint64_t value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap64(value);
#endif
  memcpy(data, &value, sizeof value);
}

#endif
