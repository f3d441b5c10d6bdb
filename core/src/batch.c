//go:build !samebytes_shared

/* What a parse leaves: its storage, and reading it. parser.c fills it.
 *
 * Invariant between calls: rows and errors lie in the block, the rows between base and base + base_size, in the order of the stream and none
 * over another; only the last error may end the stream, and need is 0 where it does. Values are those of all rows, or there are none. What is
 * without a set is empty. */

#include "block.h"
#include "parser_batch.h"
#include "schema_private.h"
#include "view_private.h"
#include "wire.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
  ARENA_CHUNK_MIN = 4096 /* bytes */
};

/* ---- the invariant ---- */

#ifndef NDEBUG
static bool ends_stream(const batch_error *error) { return error->problem == PROBLEM_SIZE_SMALL || error->problem == PROBLEM_SIZE_LARGE; }

static void check_at_once(const sb_batch *batch) {
  assert(batch->row_count <= batch->row_capacity && batch->value_count <= batch->value_capacity);
  assert(batch->error_count <= batch->error_capacity && batch->first_count <= batch->first_capacity);
  assert(batch->first_count == 0 || batch->first_count == batch->row_count);
  assert(batch->has_values || (batch->value_count == 0 && !batch->values_asked));
  assert((batch->block != NULL) == (batch->row_count + batch->error_count > 0));
  if (batch->block == NULL) {
    assert(batch->base == NULL && batch->base_size == 0);
  } else {
    assert(batch->base >= batch->block->data && batch->base_size <= batch->block->size);
    assert((size_t)(batch->base - batch->block->data) <= batch->block->size - batch->base_size);
  }
  if (batch->set == NULL)
    assert(batch->block == NULL && batch->columns == NULL && !batch->has_values);
  else
    assert((batch->need == 0) == (batch->error_count > 0 && ends_stream(&batch->errors[batch->error_count - 1])));
  if (batch->arena == NULL)
    assert(batch->arena_left == 0 && batch->columns == NULL);
  else
    assert(batch->arena_left <= batch->arena->size && batch->arena_next == batch->arena->data + batch->arena->size - batch->arena_left);
}

static void check_rows(const sb_batch *batch) {
  size_t values = 0;
  int64_t end = batch->base_offset;
  for (size_t i = 0; i < batch->row_count; i++) {
    const sb_row *row = &batch->rows[i];
    assert(row->schema_index >= 0 && (size_t)row->schema_index < batch->set->count);
    assert(row->stream_offset >= end && row->frame_size >= SB_PRIV_ID_BYTES && row->frame_size <= batch->max_frame_size);
    if (batch->first_count > 0) assert(batch->first_values[i] == values);
    end = row->stream_offset + SB_PRIV_SIZE_BYTES + row->frame_size;
    values += batch->set->schemas[row->schema_index]->field_count;
  }
  assert(end <= batch->base_offset + (int64_t)batch->base_size);
  assert(!batch->has_values || values == batch->value_count);
}

static void check_errors(const sb_batch *batch) {
  for (size_t i = 0; i < batch->error_count; i++) {
    const batch_error *error = &batch->errors[i], *last = &batch->errors[batch->error_count - 1];
    assert(error->stream_offset >= batch->base_offset && error->stream_offset <= batch->base_offset + (int64_t)batch->base_size);
    assert(error == last || (error->stream_offset < error[1].stream_offset && error->frame < error[1].frame && !ends_stream(error)));
  }
}

static void check_field(const sb_batch *batch, const field_columns *field, uint8_t type, size_t row_count) {
  size_t items = 0;
  if (type < SB_TYPE_STRING) {
    assert(field->values != NULL);
    return;
  }
  for (size_t i = 0; i < row_count; i++) {
    assert(field->offsets[i] >= 0 && field->lengths[i] >= 0);
    if (type == SB_TYPE_STRING) assert(field->offsets[i] + field->lengths[i] <= (int64_t)batch->base_size);
    if (type > SB_TYPE_STRING) assert(field->offsets[i] == (int64_t)items);
    items += (size_t)field->lengths[i];
  }
  assert(type == SB_TYPE_STRING || (items == field->item_count && items <= field->item_capacity));
}

static void check_columns(const sb_batch *batch) {
  for (size_t i = 0; batch->columns != NULL && i < batch->set->count; i++) {
    const schema_columns *columns = batch->columns[i];
    const sb_schema *schema = batch->set->schemas[i];
    if (columns == NULL) continue;
    size_t rows = 0;
    for (size_t row = 0; row < batch->row_count; row++) rows += (size_t)batch->rows[row].schema_index == i;
    assert(columns->row_count == rows);
    for (size_t field = 0; columns->has_fields && rows > 0 && field < schema->field_count; field++)
      check_field(batch, &columns->fields[field], schema->types[field], rows);
  }
}

void sb_priv_batch_check_all(const sb_batch *batch) {
  check_at_once(batch);
  if (batch->set == NULL) return;
  check_rows(batch);
  check_errors(batch);
  check_columns(batch);
}

void sb_priv_batch_check(const sb_batch *batch) {
  static _Thread_local unsigned times;
  if (++times % 64 == 0)
    sb_priv_batch_check_all(batch);
  else
    check_at_once(batch);
}
#endif

/* ---- the batch's storage ---- */

bool sb_priv_batch_grow(void **items, size_t *capacity, size_t wanted, size_t item_size) {
  size_t larger = *capacity * 2 > wanted ? *capacity * 2 : wanted;
  if (larger < 16) larger = 16;
  if (larger > SIZE_MAX / item_size) return false;
  void *moved = realloc(*items, larger * item_size);
  if (moved == NULL) return false;
  *items = moved;
  *capacity = larger;
  return true;
}

bool sb_priv_batch_arena(sb_batch *batch, size_t size) {
  size_t chunk_size = batch->arena == NULL ? ARENA_CHUNK_MIN : batch->arena->size * 2;
  if (chunk_size < size) chunk_size = size;
  arena_chunk *chunk = malloc(sizeof *chunk + chunk_size);
  if (chunk == NULL) return false;
  *chunk = (arena_chunk){.next = batch->arena, .size = chunk_size};
  batch->arena = chunk;
  batch->arena_next = chunk->data;
  batch->arena_left = chunk_size;
  return true;
}

static void arena_free(arena_chunk *chunk) {
  while (chunk != NULL) {
    arena_chunk *next = chunk->next;
    free(chunk);
    chunk = next;
  }
}

sb_status sb_batch_open(sb_batch **batch) {
  if (batch == NULL) return SB_INVALID_ARGUMENT;
  sb_batch *made = calloc(1, sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  made->need = SB_PRIV_SIZE_BYTES;
  sb_priv_batch_check(made);
  *batch = made;
  return SB_OK;
}

void sb_batch_clear(sb_batch *batch) {
  if (batch == NULL) return;
  sb_block_close(batch->block);
  sb_priv_set_release(batch->set);
  batch->block = NULL;
  batch->set = NULL;
  batch->base = NULL;
  batch->base_offset = 0;
  batch->base_size = 0;
  batch->row_count = batch->value_count = batch->first_count = batch->error_count = 0;
  batch->has_values = batch->values_asked = false;
  batch->columns = NULL;
  batch->need = SB_PRIV_SIZE_BYTES;
  /* The largest chunk serves the next parse. */
  if (batch->arena != NULL) {
    arena_free(batch->arena->next);
    batch->arena->next = NULL;
    batch->arena_next = batch->arena->data;
    batch->arena_left = batch->arena->size;
  }
  sb_priv_batch_check(batch);
}

void sb_batch_close(sb_batch *batch) {
  if (batch == NULL) return;
  sb_priv_batch_check(batch);
  sb_batch_clear(batch);
  arena_free(batch->arena);
  free(batch->rows);
  free(batch->first_values);
  free(batch->values);
  free(batch->errors);
  free(batch);
}

void sb_batch_swap(sb_batch *batch, sb_batch *other) {
  if (batch == NULL || other == NULL) return;
  const sb_batch content = *batch;
  *batch = *other;
  *other = content;
  sb_priv_batch_check(batch);
  sb_priv_batch_check(other);
}

/* ---- reading a batch ---- */

size_t sb_batch_row_count(const sb_batch *batch) { return batch != NULL ? batch->row_count : 0; }

size_t sb_batch_error_count(const sb_batch *batch) { return batch != NULL ? batch->error_count : 0; }

size_t sb_batch_need(const sb_batch *batch) { return batch != NULL ? batch->need : 0; }

sb_status sb_batch_get_row(const sb_batch *batch, size_t index, sb_row *row) {
  if (batch == NULL || row == NULL) return SB_INVALID_ARGUMENT;
  if (index >= batch->row_count) return SB_OUT_OF_RANGE;
  *row = batch->rows[index];
  return SB_OK;
}

sb_status sb_batch_get_rows(const sb_batch *batch, const sb_row **rows, size_t *row_count) {
  if (batch == NULL || rows == NULL || row_count == NULL) return SB_INVALID_ARGUMENT;
  *rows = batch->rows;
  *row_count = batch->row_count;
  return SB_OK;
}

/* To the caller the values have always been there: the batch does not change for it. */
static sb_status ask_values(const sb_batch *shown) {
  sb_batch *batch = (sb_batch *)(uintptr_t)shown;
  if (batch->values_asked || batch->set == NULL) return SB_OK;
  sb_priv_batch_check(batch);
  const sb_status status = batch->has_values ? SB_OK : sb_priv_batch_make_values(batch);
  if (status != SB_OK) return status;
  batch->values_asked = true;
  sb_priv_batch_check(batch);
  atomic_store_explicit(&batch->set->by_columns, false, memory_order_relaxed);
  return SB_OK;
}

/* Finds where the values of each row begin. */
static sb_status find_first_values(const sb_batch *shown) {
  sb_batch *batch = (sb_batch *)(uintptr_t)shown;
  if (!grow((void **)&batch->first_values, &batch->first_capacity, batch->row_count, sizeof *batch->first_values)) return SB_NO_MEMORY;
  size_t first = 0;
  for (size_t i = 0; i < batch->row_count; i++) {
    batch->first_values[i] = first;
    first += batch->set->schemas[batch->rows[i].schema_index]->field_count;
  }
  batch->first_count = batch->row_count;
  sb_priv_batch_check(batch);
  return SB_OK;
}

sb_status sb_batch_get_values(const sb_batch *batch, size_t index, const sb_value **values, size_t *value_count) {
  if (batch == NULL || values == NULL || value_count == NULL) return SB_INVALID_ARGUMENT;
  if (index >= batch->row_count) return SB_OUT_OF_RANGE;
  if (!batch->values_asked) {
    const sb_status status = ask_values(batch);
    if (status != SB_OK) return status;
  }
  const size_t field_count = batch->set->schemas[batch->rows[index].schema_index]->field_count;
  size_t first = index * field_count;
  if (batch->set->count > 1) {
    const sb_status status = batch->first_count == 0 ? find_first_values(batch) : SB_OK;
    if (status != SB_OK) return status;
    first = batch->first_values[index];
  }
  *values = batch->values + first;
  *value_count = field_count;
  return SB_OK;
}

sb_status sb_batch_get_all_values(const sb_batch *batch, const sb_value **values, size_t *value_count) {
  if (batch == NULL || values == NULL || value_count == NULL) return SB_INVALID_ARGUMENT;
  const sb_status status = ask_values(batch);
  if (status != SB_OK) return status;
  *values = batch->values;
  *value_count = batch->value_count;
  return SB_OK;
}

sb_status sb_batch_get_frame(const sb_batch *batch, size_t index, sb_view **frame) {
  if (batch == NULL || frame == NULL) return SB_INVALID_ARGUMENT;
  if (index >= batch->row_count) return SB_OUT_OF_RANGE;
  const sb_row *row = &batch->rows[index];
  const uint8_t *data = batch->base + (row->stream_offset - batch->base_offset);
  return sb_priv_view_open_span(batch->block, data, SB_PRIV_SIZE_BYTES + (uint32_t)row->frame_size, frame);
}

sb_status sb_batch_get_schema(const sb_batch *batch, size_t schema_index, sb_schema **schema) {
  if (batch == NULL || schema == NULL) return SB_INVALID_ARGUMENT;
  if (batch->set == NULL || schema_index >= batch->set->count) return SB_OUT_OF_RANGE;
  *schema = sb_schema_retain(batch->set->schemas[schema_index]);
  return SB_OK;
}
