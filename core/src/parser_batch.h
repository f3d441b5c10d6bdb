#ifndef SB_PARSER_BATCH_H
#define SB_PARSER_BATCH_H

/* The inside of a batch. parser.c finds the rows; from their frames it decodes the values of each row, and parser_columns.c columns;
 * parser_errors.c turns errors into words. All are made when they are asked for. As most programs ask for the same each time, a parse makes
 * the values at once, while it has the frame at hand, unless the batch before was read by columns. */

#include <stdatomic.h>

#include "block.h"
#include "owners.h"
#include "wire.h"

#include <samebytes/builder.h> /* SB_ARRAY_ITEMS_MAX */
#include <samebytes/parser.h>

/* What the decoder of plain frames needs to know of the schema that an api_key stands for. */
typedef struct frame_plan {
  const uint8_t *types; /* those of the schema, which end with 0; NULL: no schema */
  uint32_t size_min;    /* Size of a frame whose strings and arrays are empty; UINT32_MAX: no schema, and above every Size */
  uint16_t field_count;
  uint16_t schema_index; /* in the set */
} frame_plan;

/* The schemas of a parser, owned by it and by every batch it filled. */
typedef struct schema_set {
  sb_priv_owners owners;
  atomic_bool by_columns; /* the last batch that was read was asked for columns and no values */
  size_t count;
  size_t field_count_max;
  frame_plan plans[256]; /* by api_key as uint8 */
  sb_schema *schemas[];
} schema_set;

/* Memory for items in native order. Chunks never move, because values point into them. */
typedef struct arena_chunk {
  struct arena_chunk *next;
  size_t size;
  _Alignas(8) uint8_t data[];
} arena_chunk;

/* The columns of one field. What a field of its type has not is NULL or 0. */
typedef struct field_columns {
  void *values; /* integers, or items of arrays of them */
  int64_t *offsets;
  int32_t *lengths;
  int64_t *item_offsets;
  int32_t *item_lengths;
  size_t item_count, item_capacity; /* of all arrays */
} field_columns;

enum {
  HEAD_COLUMNS = 4 /* SB_COLUMN_SEQUENCE to SB_COLUMN_ROW, which are -1 to -4 */
};

/* The rows of one schema as columns, in the batch's arena. */
typedef struct schema_columns {
  size_t row_count;
  void *heads[HEAD_COLUMNS]; /* NULL: not asked for yet */
  bool has_fields;
  field_columns fields[];
} schema_columns;

/* What is wrong with a frame. */
typedef enum frame_problem {
  PROBLEM_FIELD,      /* it does not fit its frame, or has a negative length or count */
  PROBLEM_EXTRA,      /* bytes after the last field */
  PROBLEM_API_KEY,    /* no schema has it */
  PROBLEM_SIZE_SMALL, /* negative, or smaller than the header */
  PROBLEM_SIZE_LARGE  /* above the limit */
} frame_problem;

/* A refused frame, which lies in the batch's memory: with it, this is enough to say what is wrong. */
typedef struct batch_error {
  int64_t stream_offset; /* of the frame */
  int64_t frame;         /* its number in the stream */
  uint32_t offset;       /* of what is wrong, from the start of the frame, Size included */
  uint16_t field;        /* of the schema */
  uint8_t type;          /* of what is wrong in the field */
  uint8_t problem;
} batch_error;

static_assert(sizeof(batch_error) == 24, "what a bad frame costs beside its bytes");

struct sb_batch {
  schema_set *set;
  sb_block *block;     /* what the rows and errors show */
  const uint8_t *base; /* the bytes at base_offset of the stream */
  int64_t base_offset;
  size_t base_size; /* bytes of the frames at base */
  int32_t max_frame_size;
  sb_row *rows;
  size_t row_count, row_capacity;
  bool has_values;   /* they are decoded */
  bool values_asked; /* has_values, and somebody reads them */
  sb_value *values;
  size_t value_count, value_capacity;
  size_t *first_values; /* index of each row's first value, where rows of several schemas were asked for */
  size_t first_count, first_capacity;
  batch_error *errors;
  size_t error_count, error_capacity;
  size_t need;
  arena_chunk *arena;  /* newest, which is the largest, first */
  uint8_t *arena_next; /* free bytes of the newest chunk */
  size_t arena_left;
  schema_columns **columns; /* by schema, in the arena; NULL: not asked for yet */
};

/* The invariant, which batch.c states, under assert. The first is for where a function that changes the batch begins and ends, and looks at
 * its rows every 64th time; the second looks at them each time, and is for tests. */
#ifdef NDEBUG
static inline void sb_priv_batch_check(const sb_batch *batch) { (void)batch; }
static inline void sb_priv_batch_check_all(const sb_batch *batch) { (void)batch; }
#else
void sb_priv_batch_check(const sb_batch *batch);
void sb_priv_batch_check_all(const sb_batch *batch);
#endif
/* Makes `*items` hold at least `wanted` items of `item_size` bytes. */
bool sb_priv_batch_grow(void **items, size_t *capacity, size_t wanted, size_t item_size);
/* Decodes frames from the `size` bytes at `data`, which begin at `stream_offset`, into rows until one is not plain (parser_plain.c says what
 * that is), and returns the bytes of those decoded. */
size_t sb_priv_batch_decode_plain(sb_batch *batch, const schema_set *set, const uint8_t *data, size_t size, int64_t stream_offset,
                                  int32_t frame_size_max, bool accept_extra);
/* The same without values: the frames are only checked. */
size_t sb_priv_batch_check_plain(sb_batch *batch, const schema_set *set, const uint8_t *data, size_t size, int64_t stream_offset,
                                 int32_t frame_size_max, bool accept_extra);
/* Decodes the values of all rows. */
sb_status sb_priv_batch_make_values(sb_batch *batch);
/* Takes an owner away; `set` may be NULL. */
void sb_priv_set_release(schema_set *set);
/* The status that a problem is told with. */
sb_status sb_priv_problem_status(frame_problem problem);
/* Makes a chunk that holds `size` bytes the newest. */
bool sb_priv_batch_arena(sb_batch *batch, size_t size);

/* The head of the frame at `frame`, whose Size is `frame_size`. */
static inline sb_row row_of(const frame_plan *plan, const uint8_t *frame, uint32_t frame_size, int64_t stream_offset) {
  return (sb_row){.stream_offset = stream_offset,
                  .frame_size = (int32_t)frame_size,
                  .schema_index = plan->schema_index,
                  .api_key = (int8_t)frame[SB_PRIV_SIZE_BYTES],
                  .sequence = (int8_t)frame[SB_PRIV_SIZE_BYTES + 1]};
}

static inline bool grow(void **items, size_t *capacity, size_t wanted, size_t item_size) {
  return wanted <= *capacity || sb_priv_batch_grow(items, capacity, wanted, item_size);
}

/* Returns `size` bytes, aligned to 8, that stay where they are until the batch is cleared; NULL without memory. */
static inline void *arena_get(sb_batch *batch, size_t size) {
  size_t needed = (size + 7) & ~(size_t)7;
  if (batch->arena_left < needed && !sb_priv_batch_arena(batch, needed)) return NULL;
  void *data = batch->arena_next;
  batch->arena_next += needed;
  batch->arena_left -= needed;
  return data;
}

#endif
