//go:build !samebytes_shared

/* Unparsed bytes always lie in one piece, so that a frame is decoded without looking for seams. Where a receive block is full, what is
 * left of it, normally a part of one frame, moves on; a block that a batch still shows is replaced, not overwritten. The new block
 * has at least twice the size of what moves, which keeps the cost linear in the bytes received for any chunking, and only what
 * has arrived is ever paid for.
 *
 * Invariant of the parser: block == NULL and start == end == 0, or start <= end <= block->size; [start, end) is unparsed and begins with a
 * frame's Size, whose offset in the stream is stream_offset; [end, block->size) is shown by nobody. A stream that has ended has no block. */

#include "block.h"
#include "error_private.h"
#include "memory_default.h"
#include "options.h"
#include "owners.h"
#include "parser_batch.h"
#include "schema_private.h"
#include "view_private.h"
#include "wire.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
  RECEIVE_BLOCK_SIZE = 64 * 1024, /* bytes taken before anything has arrived */
  LEND_MIN = 16 * 1024,           /* bytes of room below which it pays to move on before lending */
};

struct sb_parser {
  schema_set *set;
  sb_memory *memory; /* NULL: the default pool */
  sb_memory *heap;   /* for frames that no block of `memory` can hold in one piece; opened when first needed */
  int64_t receive_position;
  int32_t max_frame_size;
  int32_t direction;
  bool accept_extra;
  sb_status end; /* what ended the stream */
  sb_block *block;
  size_t start;
  size_t end_offset;
  size_t lent; /* bytes that sb_parser_buffer lent; 0: nothing */
  int64_t stream_offset;
  int64_t frame;
};

/* Called where a function that changes the parser begins and ends. */
static inline void parser_check(const sb_parser *parser) {
  assert(parser->start <= parser->end_offset);
  assert(parser->block != NULL ? parser->end_offset <= parser->block->size : parser->end_offset == 0);
  assert(parser->block != NULL ? parser->lent <= parser->block->size - parser->end_offset : parser->lent == 0);
  assert(parser->end == SB_OK || parser->block == NULL);
  assert(parser->max_frame_size >= SB_PRIV_ID_BYTES);
  assert(parser->frame >= 0 && parser->frame <= parser->stream_offset / SB_PRIV_HEAD_BYTES);
  assert((parser->frame == 0) == (parser->stream_offset == 0));
  (void)parser;
}

/* What a parse leaves shows no more than what was parsed; what the parser receives next must not change it. */
static inline void parsed_check(const sb_parser *parser, const sb_batch *batch) {
  assert(batch->block == NULL || batch->block == parser->block);
  assert(batch->block == NULL || batch->base + batch->base_size == parser->block->data + parser->start);
  assert(batch->base_offset + (int64_t)batch->base_size == (batch->block != NULL ? parser->stream_offset : 0));
  (void)parser, (void)batch;
}

/* ---- schema sets ---- */

void sb_priv_set_release(schema_set *set) {
  if (set == NULL || !sb_priv_owners_remove(&set->owners, 1)) return;
  for (size_t i = 0; i < set->count; i++) sb_schema_close(set->schemas[i]);
  free(set);
}

static frame_plan plan_of(const sb_schema *schema, size_t schema_index) {
  return (frame_plan){.types = schema->types,
                      .size_min = schema->smallest_frame - SB_PRIV_SIZE_BYTES,
                      .field_count = schema->field_count,
                      .schema_index = (uint16_t)schema_index};
}

static sb_status set_open(sb_schema *const *schemas, size_t count, schema_set **set, sb_error *error) {
  if (schemas == NULL || count == 0) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "a parser needs at least one schema");
  if (count > SB_PARSER_SCHEMAS_MAX)
    return sb_priv_error(error, SB_TOO_LARGE, NULL, "%zu schemas; a parser takes at most %d", count, SB_PARSER_SCHEMAS_MAX);
  schema_set *made = malloc(sizeof *made + count * sizeof(sb_schema *));
  if (made == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for a parser");
  atomic_init(&made->owners, 1);
  atomic_init(&made->by_columns, false);
  made->count = made->field_count_max = 0;
  for (size_t i = 0; i < 256; i++) made->plans[i] = (frame_plan){.size_min = UINT32_MAX};
  sb_status status = SB_OK;
  for (size_t i = 0; i < count && status == SB_OK; i++) {
    sb_schema *schema = SB_PRIV_READ_ONCE(schemas[i]);
    frame_plan *plan = schema != NULL ? &made->plans[(uint8_t)schema->api_key] : NULL;
    if (plan == NULL) {
      status = sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "schema %zu is NULL", i);
    } else if (i > 0 && schema->direction != made->schemas[0]->direction) {
      status = sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "%s and %s have different directions; a parser has one",
                             made->schemas[0]->name, schema->name);
    } else if (plan->types != NULL) {
      status = sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "%s and %s both have api_key %d", made->schemas[plan->schema_index]->name,
                             schema->name, schema->api_key);
    } else {
      *plan = plan_of(schema, i);
      if (plan->field_count > made->field_count_max) made->field_count_max = plan->field_count;
      made->schemas[made->count++] = sb_schema_retain(schema);
    }
  }
  if (status != SB_OK) {
    sb_priv_set_release(made);
    return status;
  }
  *set = made;
  return SB_OK;
}

/* ---- the parser's receive memory ---- */

void sb_parser_options_init(sb_parser_options *options, size_t struct_size) { sb_priv_options_init(options, struct_size); }

static sb_status read_options(const sb_parser_options *options, sb_parser_options *known, sb_error *error) {
  const sb_status status = sb_priv_options_read(known, sizeof *known, options, SB_PRIV_OPTIONS_1_0(sb_parser_options, reserved));
  if (status == SB_UNSUPPORTED)
    return sb_priv_error(error, status, NULL, "options say something that this version of the library does not know: update it");
  if (status != SB_OK)
    return sb_priv_error(error, status, NULL, "options.struct_size is %" PRIu32 ": call sb_parser_options_init first",
                         options->struct_size);
  if (known->max_frame_size < 0 || (known->max_frame_size > 0 && known->max_frame_size < SB_PRIV_ID_BYTES))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL,
                         "options.max_frame_size is %" PRId32 "; it is 0 for the default, or 2 to 2147483647", known->max_frame_size);
  return SB_OK;
}

sb_status sb_parser_open(sb_schema *const *schemas, size_t schema_count, const sb_parser_options *options, sb_parser **parser,
                         sb_error *error) {
  if (parser == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "there is nowhere to store the parser: pass its address");
  sb_parser_options known;
  sb_status status = read_options(options, &known, error);
  if (status != SB_OK) return status;
  schema_set *set = NULL;
  status = set_open(schemas, schema_count, &set, error);
  if (status != SB_OK) return status;
  sb_parser *made = calloc(1, sizeof *made);
  if (made == NULL) {
    sb_priv_set_release(set);
    return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for a parser");
  }
  made->set = set;
  made->direction = set->schemas[0]->direction;
  made->memory = known.memory != NULL ? sb_memory_retain(known.memory) : NULL;
  made->receive_position = known.receive_position;
  made->max_frame_size = known.max_frame_size > 0 ? known.max_frame_size : SB_MAX_FRAME_SIZE_DEFAULT;
  made->accept_extra = known.accept_extra;
  parser_check(made);
  *parser = made;
  return SB_OK;
}

sb_status sb_parser_memory(const sb_parser *parser, sb_memory **memory) {
  if (parser == NULL || memory == NULL) return SB_INVALID_ARGUMENT;
  return sb_priv_memory_open_any(parser->memory, memory);
}

void sb_parser_close(sb_parser *parser) {
  if (parser == NULL) return;
  parser_check(parser);
  sb_block_close(parser->block);
  sb_memory_close(parser->memory);
  sb_memory_close(parser->heap);
  sb_priv_set_release(parser->set);
  free(parser);
}

int32_t sb_parser_end(const sb_parser *parser) { return parser != NULL ? parser->end : SB_INVALID_ARGUMENT; }

int32_t sb_parser_direction(const sb_parser *parser) { return parser != NULL ? parser->direction : SB_DIRECTION_REQUEST; }

/* Gets a block of at least `size` bytes in one piece: from the parser's provider if its blocks are large enough, else from the heap. */
static sb_status get_piece(sb_parser *parser, size_t size, sb_block **block) {
  sb_block *made = NULL;
  sb_status status = sb_priv_block_get(parser->memory, size, &made);
  if (status != SB_OK) return status;
  if (made->size < size) {
    sb_priv_block_release(made);
    if (parser->heap == NULL) status = sb_memory_open_heap(&parser->heap);
    if (status == SB_OK) status = sb_priv_block_get(parser->heap, size, &made);
    if (status != SB_OK) return status;
  }
  *block = made;
  return SB_OK;
}

/* Makes room for at least `size` bytes behind the unparsed ones. */
static sb_status make_room(sb_parser *parser, size_t size) {
  sb_block *old = parser->block;
  size_t pending = parser->end_offset - parser->start;
  if (old != NULL && old->size - parser->end_offset >= size) return SB_OK;
  /* To move to the front costs no more than what was parsed since the last move; beyond that, a larger block does. */
  if (old != NULL && sb_priv_block_exclusive(old) && pending <= parser->start && old->size - pending >= size) {
    memmove(old->data, old->data + parser->start, pending);
  } else {
    if (size > SB_BLOCK_SIZE_MAX - pending) return SB_NO_MEMORY;
    size_t wanted = pending + size > 2 * pending ? pending + size : 2 * pending;
    if (wanted < RECEIVE_BLOCK_SIZE) wanted = RECEIVE_BLOCK_SIZE;
    if (wanted > SB_BLOCK_SIZE_MAX) wanted = SB_BLOCK_SIZE_MAX;
    sb_block *block = NULL;
    sb_status status = get_piece(parser, wanted, &block);
    if (status != SB_OK) return status;
    if (old != NULL) memcpy(block->data, old->data + parser->start, pending);
    sb_block_close(old);
    parser->block = block;
  }
  parser->start = 0;
  parser->end_offset = pending;
  return SB_OK;
}

sb_status sb_parser_feed(sb_parser *parser, const void *data, size_t size) {
  if (parser == NULL || (data == NULL && size > 0)) return SB_INVALID_ARGUMENT;
  parser_check(parser);
  if (parser->end != SB_OK) return parser->end;
  parser->lent = 0;
  if (size == 0) return SB_OK;
  sb_status status = make_room(parser, size);
  if (status != SB_OK) return status;
  memcpy(parser->block->data + parser->end_offset, data, size);
  parser->end_offset += size;
  parser_check(parser);
  return SB_OK;
}

sb_status sb_parser_buffer(sb_parser *parser, void **data, size_t *size) {
  if (parser == NULL || data == NULL || size == NULL) return SB_INVALID_ARGUMENT;
  parser_check(parser);
  if (parser->end != SB_OK) return parser->end;
  sb_status status = make_room(parser, LEND_MIN);
  if (status != SB_OK) return status;
  parser->lent = parser->block->size - parser->end_offset;
  *data = parser->block->data + parser->end_offset;
  *size = parser->lent;
  parser_check(parser);
  return SB_OK;
}

sb_status sb_parser_commit(sb_parser *parser, size_t size) {
  if (parser == NULL) return SB_INVALID_ARGUMENT;
  parser_check(parser);
  if (parser->end != SB_OK) return parser->end;
  if (size > parser->lent) return SB_OUT_OF_RANGE;
  parser->end_offset += size;
  parser->lent = 0;
  parser_check(parser);
  return SB_OK;
}

/* Where the caller's buffer is written, from its start. */
static sb_status receive_offset(const sb_parser *parser, size_t buffer_size, size_t *offset) {
  int64_t position = parser->receive_position;
  uint64_t distance = position < 0 ? 0 - (uint64_t)position : (uint64_t)position;
  if (distance > buffer_size || (position >= 0 && distance == buffer_size)) return SB_OUT_OF_RANGE;
  *offset = position < 0 ? buffer_size - distance : distance;
  return SB_OK;
}

sb_status sb_parser_position(sb_parser *parser, size_t buffer_size, int64_t *position) {
  if (parser == NULL || position == NULL) return SB_INVALID_ARGUMENT;
  if (parser->end != SB_OK) return parser->end;
  size_t offset;
  sb_status status = receive_offset(parser, buffer_size, &offset);
  if (status == SB_OK) *position = parser->receive_position;
  return status;
}

sb_status sb_parser_receive(sb_parser *parser, const void *buffer, size_t buffer_size, size_t count) {
  if (parser == NULL || buffer == NULL) return SB_INVALID_ARGUMENT;
  if (parser->end != SB_OK) return parser->end;
  size_t offset;
  sb_status status = receive_offset(parser, buffer_size, &offset);
  if (status != SB_OK) return status;
  if (count > buffer_size - offset) return SB_OUT_OF_RANGE;
  return sb_parser_feed(parser, (const uint8_t *)buffer + offset, count);
}

/* ---- decoding ---- */

/* A frame while it is decoded. */
typedef struct cursor {
  const uint8_t *frame;
  size_t size; /* of the whole frame, Size included */
  sb_batch *batch;
  batch_error refused; /* why, where a function returned another status than SB_OK and SB_NO_MEMORY */
} cursor;

/* Notes what is wrong at `at`, and with which field if it is one; `type` is that of what is wrong there, a string in an array of them. It is
 * put in words when somebody asks: a frame of 6 bytes must not cost the 352 of an sb_error, nor the time to format one. */
__attribute__((cold)) static sb_status refuse(cursor *frame, frame_problem problem, size_t field, uint8_t type, const uint8_t *at) {
  frame->refused = (batch_error){
      .offset = (uint32_t)(at - frame->frame), .field = (uint16_t)field, .type = type, .problem = (uint8_t)problem};
  return sb_priv_problem_status(problem);
}

/* Reads the string at `*at`, and moves `*at` behind it; false where it does not fit. */
static inline bool read_string(const uint8_t **at, const uint8_t *end, const void **data, size_t *size) {
  size_t left = (size_t)(end - *at);
  if (left < 4) return false;
  size_t length = sb_priv_load32(*at); /* a negative one is larger than any frame */
  if (length > left - 4) return false;
  *data = *at + 4;
  *size = length;
  *at += 4 + length;
  return true;
}

/* Reads the strings of an array; `*at` is left at the one that does not fit. */
static bool read_strings(const uint8_t **at, const uint8_t *end, sb_bytes *items, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!read_string(at, end, &items[i].data, &items[i].size)) return false;
  return true;
}

/* Decodes the array at `*at`, and moves `*at` behind it, or to what is wrong. */
static sb_status decode_array(cursor *frame, size_t field, uint8_t type, const uint8_t **at, sb_value *value) {
  const uint8_t *end = frame->frame + frame->size;
  size_t width = sb_priv_type_width(type);
  size_t left = (size_t)(end - *at);
  if (left < 2) return refuse(frame, PROBLEM_FIELD, field, type, *at);
  size_t count = sb_priv_load16(*at);
  if (count > SB_ARRAY_ITEMS_MAX || count * (width > 0 ? width : 4) > left - 2) return refuse(frame, PROBLEM_FIELD, field, type, *at);
  *at += 2;
  *value = (sb_value){.size = count};
  if (count == 0) return SB_OK;
  void *items = arena_get(frame->batch, count * (width > 0 ? width : sizeof(sb_bytes)));
  if (items == NULL) return SB_NO_MEMORY;
  value->data = items;
  if (width == 0) return read_strings(at, end, items, count) ? SB_OK : refuse(frame, PROBLEM_FIELD, field, SB_TYPE_STRING, *at);
  if (width == 2) /* the most common by far, and known to the compiler here */
    sb_priv_swap_items16(items, *at, count);
  else
    sb_priv_swap_copy(items, *at, width, count);
  *at += count * width;
  return SB_OK;
}

static sb_status decode_fields(cursor *frame, const sb_schema *schema, bool accept_extra, sb_value *values) {
  const uint8_t *at = frame->frame + SB_PRIV_HEAD_BYTES;
  const uint8_t *const end = frame->frame + frame->size;
  for (size_t i = 0, count = schema->field_count; i < count; i++) {
    uint8_t type = schema->types[i];
    size_t left = (size_t)(end - at);
    sb_value *value = &values[i];
    sb_status status;
    switch (type) {
    case SB_TYPE_INT8:
      if (left < 1) return refuse(frame, PROBLEM_FIELD, i, type, at);
      *value = (sb_value){.number = (int8_t)*at};
      at += 1;
      break;
    case SB_TYPE_INT16:
      if (left < 2) return refuse(frame, PROBLEM_FIELD, i, type, at);
      *value = (sb_value){.number = (int16_t)sb_priv_load16(at)};
      at += 2;
      break;
    case SB_TYPE_INT32:
      if (left < 4) return refuse(frame, PROBLEM_FIELD, i, type, at);
      *value = (sb_value){.number = (int32_t)sb_priv_load32(at)};
      at += 4;
      break;
    case SB_TYPE_INT64:
      if (left < 8) return refuse(frame, PROBLEM_FIELD, i, type, at);
      *value = (sb_value){.number = (int64_t)sb_priv_load64(at)};
      at += 8;
      break;
    case SB_TYPE_STRING:
      value->number = 0;
      if (!read_string(&at, end, &value->data, &value->size)) return refuse(frame, PROBLEM_FIELD, i, type, at);
      break;
    default:
      status = decode_array(frame, i, type, &at, value);
      if (status != SB_OK) return status;
    }
  }
  return at == end || accept_extra ? SB_OK : refuse(frame, PROBLEM_EXTRA, 0, 0, at);
}

/* Adds the refused frame to the batch's errors. */
static sb_status add_error(sb_parser *parser, sb_batch *batch, cursor *frame) {
  if (!grow((void **)&batch->errors, &batch->error_capacity, batch->error_count + 1, sizeof *batch->errors)) return SB_NO_MEMORY;
  frame->refused.frame = parser->frame;
  frame->refused.stream_offset = parser->stream_offset;
  batch->errors[batch->error_count++] = frame->refused;
  return SB_OK;
}

/* Adds the frame to the batch, as a row or as an error. */
static sb_status add_frame(sb_parser *parser, sb_batch *batch, cursor *frame) {
  const schema_set *set = parser->set;
  int8_t api_key = (int8_t)frame->frame[SB_PRIV_SIZE_BYTES];
  const frame_plan *plan = &set->plans[(uint8_t)api_key];
  sb_status status;
  if (plan->types == NULL) {
    (void)refuse(frame, PROBLEM_API_KEY, 0, 0, frame->frame + SB_PRIV_SIZE_BYTES);
    return add_error(parser, batch, frame);
  }
  const sb_schema *schema = set->schemas[plan->schema_index];
  /* As much as the longest message takes, whichever this is: the plain way asks for that, and would not be taken again otherwise. One more,
   * so that there is an array also where no schema has fields. */
  if (!grow((void **)&batch->values, &batch->value_capacity, batch->value_count + set->field_count_max + 1, sizeof *batch->values))
    return SB_NO_MEMORY;
  if (!grow((void **)&batch->rows, &batch->row_capacity, batch->row_count + 1, sizeof *batch->rows)) return SB_NO_MEMORY;
  status = decode_fields(frame, schema, parser->accept_extra, batch->values + batch->value_count);
  if (status == SB_NO_MEMORY) return status;
  if (status != SB_OK) return add_error(parser, batch, frame);
  batch->rows[batch->row_count++] = row_of(plan, frame->frame, (uint32_t)(frame->size - SB_PRIV_SIZE_BYTES), parser->stream_offset);
  if (batch->has_values) batch->value_count += schema->field_count;
  return SB_OK;
}

/* Checks the value of Size, as soon as its fourth byte is there; an error ends the stream. */
static sb_status check_size(const sb_parser *parser, cursor *frame, int32_t size) {
  if (size < SB_PRIV_ID_BYTES) return refuse(frame, PROBLEM_SIZE_SMALL, 0, 0, frame->frame);
  if (size > parser->max_frame_size) return refuse(frame, PROBLEM_SIZE_LARGE, 0, 0, frame->frame);
  return SB_OK;
}

/* Decodes frames as long as they are plain. */
static void decode_plain(sb_parser *parser, sb_batch *batch) {
  if (parser->start == parser->end_offset) return;
  const size_t rows = batch->row_count;
  const size_t size = (batch->has_values ? sb_priv_batch_decode_plain : sb_priv_batch_check_plain)(
      batch, parser->set, parser->block->data + parser->start, parser->end_offset - parser->start, parser->stream_offset,
      parser->max_frame_size, parser->accept_extra);
  parser->start += size;
  parser->stream_offset += (int64_t)size;
  parser->frame += (int64_t)(batch->row_count - rows);
}

/* Decodes frames until bytes are missing or the stream ends, which `*end` tells then. Fails with SB_NO_MEMORY only. */
static sb_status parse_frames(sb_parser *parser, sb_batch *batch, sb_status *end) {
  cursor frame = {.batch = batch};
  for (;;) {
    decode_plain(parser, batch);
    size_t available = parser->end_offset - parser->start;
    if (available < SB_PRIV_SIZE_BYTES) {
      batch->need = SB_PRIV_SIZE_BYTES - available;
      return SB_OK;
    }
    frame.frame = parser->block->data + parser->start;
    int32_t size = (int32_t)sb_priv_load32(frame.frame);
    sb_status status = check_size(parser, &frame, size);
    if (status != SB_OK) {
      batch->need = 0;
      *end = status;
      return add_error(parser, batch, &frame);
    }
    frame.size = SB_PRIV_SIZE_BYTES + (size_t)size;
    if (available < frame.size) {
      batch->need = frame.size - available;
      return SB_OK;
    }
    status = add_frame(parser, batch, &frame);
    if (status != SB_OK) return status;
    parser->start += frame.size;
    parser->stream_offset += (int64_t)frame.size;
    parser->frame++;
  }
}

sb_status sb_parser_parse(sb_parser *parser, sb_batch *batch) {
  if (parser == NULL || batch == NULL) return SB_INVALID_ARGUMENT;
  parser_check(parser);
  sb_priv_batch_check(batch);
  sb_batch_clear(batch);
  parser->lent = 0;
  if (parser->end != SB_OK) {
    batch->need = 0;
    return parser->end;
  }
  const size_t start = parser->start;
  const int64_t stream_offset = parser->stream_offset;
  const int64_t frame = parser->frame;
  batch->has_values = !atomic_load_explicit(&parser->set->by_columns, memory_order_relaxed);
  sb_status end = SB_OK;
  sb_status status = parse_frames(parser, batch, &end);
  if (status != SB_OK) {
    /* Nothing is lost: the next call starts where this one did. */
    sb_batch_clear(batch);
    parser->start = start;
    parser->stream_offset = stream_offset;
    parser->frame = frame;
    parser_check(parser);
    return status;
  }
  sb_priv_owners_add(&parser->set->owners, 1);
  batch->set = parser->set;
  batch->max_frame_size = parser->max_frame_size;
  if (batch->row_count > 0 || batch->error_count > 0) {
    batch->block = sb_priv_block_retain(parser->block);
    batch->base = parser->block->data + start;
    batch->base_offset = stream_offset;
    batch->base_size = parser->start - start;
  }
  parsed_check(parser, batch);
  parser->end = end;
  if (end != SB_OK) {
    sb_block_close(parser->block);
    parser->block = NULL;
    parser->start = parser->end_offset = 0;
  }
  parser_check(parser);
  sb_priv_batch_check(batch);
  return SB_OK;
}

/* Decodes the values of all rows. Their frames were right when they were parsed, but who shares the parser's memory can have written to them. */
sb_status sb_priv_batch_make_values(sb_batch *batch) {
  size_t count = 0;
  for (size_t i = 0; i < batch->row_count; i++) count += batch->set->schemas[batch->rows[i].schema_index]->field_count;
  if (!grow((void **)&batch->values, &batch->value_capacity, count + 1, sizeof *batch->values)) return SB_NO_MEMORY;
  cursor frame = {.batch = batch};
  sb_value *values = batch->values;
  for (size_t i = 0; i < batch->row_count; i++) {
    const sb_row *row = &batch->rows[i];
    const sb_schema *schema = batch->set->schemas[row->schema_index];
    frame.frame = batch->base + (row->stream_offset - batch->base_offset);
    frame.size = SB_PRIV_SIZE_BYTES + (size_t)row->frame_size;
    const sb_status status = decode_fields(&frame, schema, true, values);
    if (status != SB_OK) return status;
    values += schema->field_count;
  }
  batch->value_count = count;
  batch->has_values = true;
  return SB_OK;
}
