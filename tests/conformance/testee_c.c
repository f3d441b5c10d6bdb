/* The testee in C: answers the requests of the conformance runner (README.md) by the public API, as a program of a user would.
 *
 * Nothing of a request is believed: every count is held against the bytes that are left before memory is taken for it, so memory is
 * bounded by the length of the request. Invariant of a reader: at <= size, and after the first failed read every further one fails. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <samebytes/samebytes.h>

enum {
  REQUEST_SIZE_MAX = 1 << 28, /* bytes */
  OWN_BUFFER_SIZE = 4096,     /* bytes, of mode MODE_OWN_BUFFER */
};

enum {
  MODE_FEED = 0,
  MODE_LENT = 1,
  MODE_OWN_BUFFER = 2
};
enum {
  ENCODE_TAKE = 0,
  ENCODE_COPY = 1,
  ENCODE_ROWS = 2 /* and above: all in one call, then as ENCODE_COPY */
};

/* A request, read from the front. */
typedef struct reader {
  const uint8_t *data;
  size_t size;
  size_t at;
  bool failed;
} reader;

/* A reply, written at the end. */
typedef struct writer {
  uint8_t *data;
  size_t size;
  size_t capacity;
} writer;

/* Memory that lives as long as one request. */
typedef struct scratch {
  void **pieces;
  size_t count;
  size_t capacity;
} scratch;

static void die(const char *what) {
  (void)fprintf(stderr, "testee_c: %s\n", what);
  exit(1);
}

static void *grown(void *memory, size_t size) {
  void *larger = realloc(memory, size > 0 ? size : 1);
  if (larger == NULL) die("no memory");
  return larger;
}

static void *scratch_get(scratch *all, size_t count, size_t item_size) {
  if (all->count == all->capacity) {
    all->capacity = all->capacity * 2 + 16;
    all->pieces = grown(all->pieces, all->capacity * sizeof *all->pieces);
  }
  void *piece = calloc(count > 0 ? count : 1, item_size);
  if (piece == NULL) die("no memory");
  all->pieces[all->count++] = piece;
  return piece;
}

static void scratch_free(scratch *all) {
  for (size_t i = 0; i < all->count; i++) free(all->pieces[i]);
  free(all->pieces);
  memset(all, 0, sizeof *all);
}

/* ---- requests ---- */

static const uint8_t *take(reader *in, size_t size) {
  if (in->failed || size > in->size - in->at) {
    in->failed = true;
    return NULL;
  }
  in->at += size;
  return in->data + in->at - size;
}

static uint64_t take_number(reader *in, size_t width) {
  const uint8_t *bytes = take(in, width);
  uint64_t number = 0;
  for (size_t i = 0; bytes != NULL && i < width; i++) number = number << 8 | bytes[i];
  return number;
}

static uint8_t take_u8(reader *in) { return (uint8_t)take_number(in, 1); }
static uint32_t take_u32(reader *in) { return (uint32_t)take_number(in, 4); }
static int64_t take_i64(reader *in) { return (int64_t)take_number(in, 8); }

/* A count of items that have at least `item_size` bytes each; 0 and a failed reader if they cannot be there. */
static size_t take_count(reader *in, size_t width, size_t item_size) {
  size_t count = (size_t)take_number(in, width);
  if (count <= (in->size - in->at) / item_size) return count;
  in->failed = true;
  return 0;
}

static sb_bytes take_bytes(reader *in) {
  size_t size = take_u32(in);
  const uint8_t *data = take(in, size);
  return (sb_bytes){.data = data, .size = data != NULL ? size : 0};
}

/* A text as a C string. One with a NUL inside would lose its end on the way and is no name. */
static const char *take_name(reader *in, scratch *all) {
  sb_bytes text = take_bytes(in);
  char *name = scratch_get(all, text.size + 1, 1);
  if (text.size > 0) memcpy(name, text.data, text.size);
  if (strlen(name) != text.size) in->failed = true;
  return name;
}

/* ---- replies ---- */

static void put(writer *out, const void *data, size_t size) {
  if (size > out->capacity - out->size) {
    out->capacity = (out->size + size) * 2;
    out->data = grown(out->data, out->capacity);
  }
  if (size > 0) memcpy(out->data + out->size, data, size);
  out->size += size;
}

static void put_number(writer *out, uint64_t number, size_t width) {
  uint8_t bytes[8];
  for (size_t i = 0; i < width; i++) bytes[i] = (uint8_t)(number >> (8 * (width - 1 - i)));
  put(out, bytes, width);
}

static void put_bytes(writer *out, const void *data, size_t size) {
  put_number(out, size, 4);
  put(out, data, size);
}

static void put_error(writer *out, const sb_error *error) {
  put_number(out, (uint32_t)error->status, 4);
  put_number(out, (uint64_t)error->stream_offset, 8);
  put_number(out, (uint64_t)error->frame_offset, 8);
  put_number(out, (uint64_t)error->frame, 8);
  put_bytes(out, error->field, strlen(error->field));
  put_bytes(out, error->message, strlen(error->message));
}

/* Turns the reply into one that says what was refused. */
static void reply_error(writer *out, const sb_error *error) {
  out->size = 0;
  put_number(out, 1, 1);
  put_error(out, error);
}

static void reply_status(writer *out, sb_status status, const char *what) {
  sb_error error = {.status = status, .frame = SB_NO_FRAME};
  (void)snprintf(error.message, sizeof error.message, "%s: %s", what, sb_status_message(status));
  reply_error(out, &error);
}

/* ---- schemas and values ---- */

static sb_status take_schema(reader *in, scratch *all, sb_schema **schema, sb_error *error) {
  const char *name = take_name(in, all);
  int32_t direction = take_u8(in);
  int8_t api_key = (int8_t)take_u8(in);
  size_t count = take_count(in, 2, 5);
  sb_schema_field *fields = scratch_get(all, count, sizeof *fields);
  for (size_t i = 0; i < count; i++) {
    fields[i].name = take_name(in, all);
    fields[i].type = take_u8(in);
  }
  return sb_schema_open(name, direction, api_key, fields, count, schema, error);
}

static size_t item_width(int32_t type) {
  switch (type) {
  case SB_TYPE_ARRAY_INT8: return 1;
  case SB_TYPE_ARRAY_INT16: return 2;
  case SB_TYPE_ARRAY_INT32: return 4;
  default: return 8;
  }
}

static void store_item(void *items, size_t width, size_t index, int64_t number) {
  switch (width) {
  case 1: ((int8_t *)items)[index] = (int8_t)number; break;
  case 2: ((int16_t *)items)[index] = (int16_t)number; break;
  case 4: ((int32_t *)items)[index] = (int32_t)number; break;
  default: ((int64_t *)items)[index] = number;
  }
}

static int64_t load_item(const void *items, size_t width, size_t index) {
  switch (width) {
  case 1: return ((const int8_t *)items)[index];
  case 2: return ((const int16_t *)items)[index];
  case 4: return ((const int32_t *)items)[index];
  default: return ((const int64_t *)items)[index];
  }
}

static sb_value take_value(reader *in, scratch *all, int32_t type) {
  if (type <= SB_TYPE_INT64) return (sb_value){.number = take_i64(in)};
  if (type == SB_TYPE_STRING) {
    sb_bytes text = take_bytes(in);
    return (sb_value){.data = text.data, .size = text.size};
  }
  if (type == SB_TYPE_ARRAY_STRING) {
    size_t count = take_count(in, 4, 4);
    sb_bytes *items = scratch_get(all, count, sizeof *items);
    for (size_t i = 0; i < count; i++) items[i] = take_bytes(in);
    return (sb_value){.data = items, .size = count};
  }
  size_t count = take_count(in, 4, 8);
  size_t width = item_width(type);
  void *items = scratch_get(all, count, width);
  for (size_t i = 0; i < count; i++) store_item(items, width, i, take_i64(in));
  return (sb_value){.data = items, .size = count};
}

static void put_value(writer *out, int32_t type, const sb_value *value) {
  if (type <= SB_TYPE_INT64) {
    put_number(out, (uint64_t)value->number, 8);
  } else if (type == SB_TYPE_STRING) {
    put_bytes(out, value->data, value->size);
  } else {
    put_number(out, value->size, 4);
    const sb_bytes *texts = value->data;
    for (size_t i = 0; i < value->size; i++) {
      if (type == SB_TYPE_ARRAY_STRING)
        put_bytes(out, texts[i].data, texts[i].size);
      else
        put_number(out, (uint64_t)load_item(value->data, item_width(type), i), 8);
    }
  }
}

static int32_t field_type(const sb_schema *schema, size_t index) {
  sb_schema_field field;
  if (sb_schema_get_field(schema, index, &field) != SB_OK) die("a schema has fewer fields than it says");
  return field.type;
}

/* ---- encode ---- */

static sb_status reply_frames(writer *out, sb_builder *builder, uint8_t mode) {
  size_t size = sb_builder_size(builder);
  uint8_t *bytes = grown(NULL, size);
  sb_status status;
  if (mode >= ENCODE_COPY) {
    status = sb_builder_copy_bytes(builder, bytes, size);
  } else {
    sb_view *frames = NULL;
    status = sb_builder_take(builder, &frames);
    if (status == SB_OK) status = sb_view_read_bytes(frames, bytes, size);
    sb_view_close(frames);
  }
  put_number(out, 0, 1);
  put_bytes(out, bytes, size);
  free(bytes);
  return status;
}

static sb_status add_messages(reader *in, scratch *all, sb_builder *builder, const sb_schema *schema, size_t count, sb_error *error) {
  size_t field_count = sb_schema_field_count(schema);
  sb_value *values = scratch_get(all, field_count, sizeof *values);
  for (size_t i = 0; i < count && !in->failed; i++) {
    int8_t sequence = (int8_t)take_u8(in);
    for (size_t j = 0; j < field_count; j++) values[j] = take_value(in, all, field_type(schema, j));
    sb_status status = in->failed ? SB_OK : sb_builder_add(builder, schema, sequence, values, field_count, error);
    if (status != SB_OK) return status;
  }
  return SB_OK;
}

/* Adds all messages in one call. */
static sb_status add_rows(reader *in, scratch *all, sb_builder *builder, const sb_schema *schema, size_t count, sb_error *error) {
  const size_t field_count = sb_schema_field_count(schema);
  sb_value *values = scratch_get(all, count * field_count, sizeof *values);
  int8_t *sequences = scratch_get(all, count, sizeof *sequences);
  for (size_t i = 0; i < count && !in->failed; i++) {
    sequences[i] = (int8_t)take_u8(in);
    for (size_t j = 0; j < field_count; j++) values[i * field_count + j] = take_value(in, all, field_type(schema, j));
  }
  if (in->failed) return SB_OK;
  const sb_status status = sb_builder_add_rows(builder, schema, sequences, count, values, count * field_count, error);
  if (status != SB_OK && (sb_builder_size(builder) > 0 || sb_builder_frame_count(builder) > 0)) *error = (sb_error){.message = "kept some"};
  return status;
}

static void encode(reader *in, writer *out, scratch *all) {
  sb_schema *schema = NULL;
  sb_builder *builder = NULL;
  sb_error error;
  if (take_schema(in, all, &schema, &error) != SB_OK) {
    reply_error(out, &error);
    return;
  }
  uint8_t mode = take_u8(in);
  size_t count = take_count(in, 4, 1);
  sb_status status = sb_builder_open(NULL, &builder);
  if (status != SB_OK) {
    reply_status(out, status, "sb_builder_open");
  } else if ((mode >= ENCODE_ROWS ? add_rows : add_messages)(in, all, builder, schema, count, &error) != SB_OK) {
    reply_error(out, &error);
  } else {
    status = reply_frames(out, builder, mode);
    if (status != SB_OK) reply_status(out, status, "taking the frames");
  }
  sb_builder_close(builder);
  sb_schema_close(schema);
}

/* ---- decode ---- */

/* A decode request while it is served. Every batch with rows is kept until the end, as a program may that works on them elsewhere. */
typedef struct decoding {
  sb_schema **schemas;
  size_t schema_count;
  sb_parser *parser;
  sb_batch **batches;
  size_t batch_count;
  size_t batch_capacity;
  size_t row_count;
  size_t error_count;
  size_t need;
  writer rows;
  writer errors;
  uint8_t mode;
} decoding;

static void decoding_free(decoding *state) {
  for (size_t i = 0; i < state->batch_count; i++) sb_batch_close(state->batches[i]);
  sb_parser_close(state->parser);
  for (size_t i = 0; i < state->schema_count; i++) sb_schema_close(state->schemas[i]);
  free(state->batches);
  free(state->rows.data);
  free(state->errors.data);
}

static sb_status keep_rows(decoding *state, const sb_batch *batch) {
  const sb_row *rows = NULL;
  size_t count = 0;
  sb_status status = sb_batch_get_rows(batch, &rows, &count);
  for (size_t i = 0; i < count && status == SB_OK; i++) {
    const sb_value *values = NULL;
    size_t value_count = 0;
    status = sb_batch_get_values(batch, i, &values, &value_count);
    if (status != SB_OK) break;
    put_number(&state->rows, rows[i].schema_index, 2);
    put_number(&state->rows, (uint64_t)rows[i].stream_offset, 8);
    put_number(&state->rows, (uint8_t)rows[i].api_key, 1);
    put_number(&state->rows, (uint8_t)rows[i].sequence, 1);
    for (size_t j = 0; j < value_count; j++) put_value(&state->rows, field_type(state->schemas[rows[i].schema_index], j), &values[j]);
  }
  state->row_count += count;
  return status;
}

static sb_status keep_errors(decoding *state, const sb_batch *batch) {
  size_t count = sb_batch_error_count(batch);
  for (size_t i = 0; i < count; i++) {
    sb_error refused;
    sb_status status = sb_batch_get_error(batch, i, &refused);
    if (status != SB_OK) return status;
    put_error(&state->errors, &refused);
  }
  state->error_count += count;
  return SB_OK;
}

/* Parses what is there and keeps what came out; `*parsed` is what the parse itself returned. */
static sb_status parse(decoding *state, sb_status *parsed) {
  if (state->batch_count == state->batch_capacity) {
    state->batch_capacity = state->batch_capacity * 2 + 16;
    state->batches = grown(state->batches, state->batch_capacity * sizeof(sb_batch *));
  }
  sb_batch *batch = NULL;
  sb_status status = sb_batch_open(&batch);
  if (status != SB_OK) return status;
  *parsed = sb_parser_parse(state->parser, batch);
  status = keep_rows(state, batch);
  if (status == SB_OK) status = keep_errors(state, batch);
  state->need = sb_batch_need(batch);
  if (sb_batch_row_count(batch) > 0)
    state->batches[state->batch_count++] = batch;
  else
    sb_batch_close(batch);
  return status;
}

static sb_status feed_lent(sb_parser *parser, const uint8_t *data, size_t size) {
  while (size > 0) {
    void *room;
    size_t room_size;
    sb_status status = sb_parser_buffer(parser, &room, &room_size);
    if (status != SB_OK) return status;
    size_t count = size < room_size ? size : room_size;
    memcpy(room, data, count);
    status = sb_parser_commit(parser, count);
    if (status != SB_OK) return status;
    data += count;
    size -= count;
  }
  return SB_OK;
}

static sb_status feed_own_buffer(sb_parser *parser, const uint8_t *data, size_t size) {
  uint8_t buffer[OWN_BUFFER_SIZE] = {0};
  while (size > 0) {
    int64_t position;
    sb_status status = sb_parser_position(parser, sizeof buffer, &position);
    if (status != SB_OK) return status;
    size_t start = (size_t)(position < 0 ? position + OWN_BUFFER_SIZE : position);
    size_t count = size < sizeof buffer - start ? size : sizeof buffer - start;
    memcpy(buffer + start, data, count);
    status = sb_parser_receive(parser, buffer, sizeof buffer, count);
    if (status != SB_OK) return status;
    data += count;
    size -= count;
  }
  return SB_OK;
}

static sb_status feed(const decoding *state, const uint8_t *data, size_t size) {
  if (state->mode == MODE_LENT) return feed_lent(state->parser, data, size);
  if (state->mode == MODE_OWN_BUFFER) return feed_own_buffer(state->parser, data, size);
  return sb_parser_feed(state->parser, data, size);
}

/* Feeds `data` in chunks of the sizes in turn, until it ends or the stream does, and parses after each. */
static sb_status feed_all(decoding *state, reader chunks, sb_bytes data) {
  const uint8_t *bytes = data.data;
  size_t left = data.size;
  sb_status parsed = SB_OK;
  do {
    size_t chunk = left;
    if (chunks.size > 0) {
      if (chunks.at == chunks.size) chunks.at = 0;
      chunk = take_u32(&chunks);
      if (chunk > left) chunk = left;
    }
    sb_status status = chunk > 0 ? feed(state, bytes, chunk) : SB_OK;
    if (status == SB_OK) status = parse(state, &parsed);
    if (status == SB_OK) status = parsed;
    if (status != SB_OK) return status;
    bytes += chunk;
    left -= chunk;
  } while (left > 0 && sb_parser_end(state->parser) == SB_OK);
  return SB_OK;
}

static void reply_decoded(writer *out, decoding *state) {
  int64_t live_blocks = sb_memory_live_blocks();
  size_t need = state->need;
  sb_status again = SB_OK;
  sb_status status = parse(state, &again);
  if (status != SB_OK) {
    reply_status(out, status, "one more parse");
    return;
  }
  put_number(out, 0, 1);
  put_number(out, state->row_count, 4);
  put(out, state->rows.data, state->rows.size);
  put_number(out, state->error_count, 4);
  put(out, state->errors.data, state->errors.size);
  put_number(out, (uint32_t)sb_parser_end(state->parser), 4);
  put_number(out, (uint32_t)again, 4);
  put_number(out, need, 8);
  put_number(out, (uint64_t)live_blocks, 8);
}

/* A chunk of 0 bytes would never end the data. */
static bool has_zero_chunk(const uint8_t *chunks, size_t count) {
  static const uint8_t zero[4];
  for (size_t i = 0; i < count; i++)
    if (memcmp(chunks + 4 * i, zero, sizeof zero) == 0) return true;
  return false;
}

static void decode_with(reader *in, writer *out, decoding *state) {
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  options.max_frame_size = (int32_t)take_u32(in);
  state->mode = take_u8(in);
  options.receive_position = take_i64(in);
  options.accept_extra = take_u8(in) != 0;
  size_t chunk_count = take_count(in, 4, 4);
  const uint8_t *chunks = take(in, 4 * chunk_count);
  sb_bytes data = take_bytes(in);
  if (in->failed) return;
  if (state->mode > MODE_OWN_BUFFER || has_zero_chunk(chunks, chunk_count)) {
    in->failed = true;
    return;
  }
  sb_error error;
  if (sb_parser_open(state->schemas, state->schema_count, &options, &state->parser, &error) != SB_OK) {
    reply_error(out, &error);
    return;
  }
  sb_status status = feed_all(state, (reader){.data = chunks, .size = 4 * chunk_count}, data);
  if (status == SB_OK)
    reply_decoded(out, state);
  else
    reply_status(out, status, "feeding the stream");
}

static void decode(reader *in, writer *out, scratch *all) {
  decoding state = {0};
  size_t count = take_count(in, 4, 8);
  state.schemas = scratch_get(all, count, sizeof(sb_schema *));
  for (; state.schema_count < count && !in->failed; state.schema_count++) {
    sb_error error;
    if (take_schema(in, all, &state.schemas[state.schema_count], &error) == SB_OK) continue;
    reply_error(out, &error);
    break;
  }
  if (state.schema_count == count && !in->failed) decode_with(in, out, &state);
  decoding_free(&state);
}

/* ---- the conversation ---- */

/* ---- visits ---- */

static sb_visit take_visit(reader *in) {
  sb_visit visit = {.user = take_u32(in)};
  visit.visit_id = take_u32(in);
  visit.time_ns = take_i64(in);
  const sb_bytes url = take_bytes(in), text = take_bytes(in);
  visit.url = url.data;
  visit.url_size = url.size;
  visit.text = text.data;
  visit.text_size = text.size;
  return visit;
}

static uint32_t *take_users(reader *in, scratch *all, size_t *count) {
  *count = take_count(in, 4, 4);
  uint32_t *users = scratch_get(all, *count, sizeof *users);
  for (size_t i = 0; i < *count; i++) users[i] = take_u32(in);
  return users;
}

/* Writes the rows of a snapshot and closes it; returns how many there were. */
static size_t put_visits(writer *out, sb_visits *visits) {
  const sb_visit *rows = NULL;
  size_t count = 0;
  if (sb_visits_get_all(visits, &rows, &count) != SB_OK) die("a snapshot shows nothing");
  for (size_t i = 0; i < count; i++) {
    put_number(out, rows[i].user, 4);
    put_number(out, rows[i].visit_id, 4);
    put_number(out, (uint64_t)rows[i].time_ns, 8);
    put_bytes(out, rows[i].url, rows[i].url_size);
    put_bytes(out, rows[i].text, rows[i].text_size);
  }
  sb_visits_close(visits);
  return count;
}

static sb_status add_many(sb_visit_manager *manager, reader *in, scratch *all, sb_error *error) {
  const size_t count = take_count(in, 4, 24);
  sb_visit *visits = scratch_get(all, count, sizeof *visits);
  for (size_t i = 0; i < count; i++) visits[i] = take_visit(in);
  return in->failed ? SB_OK : sb_visit_manager_add_visits(manager, visits, count, error);
}

static sb_status recent(sb_visit_manager *manager, reader *in, writer *out, scratch *all, sb_error *error) {
  size_t count = 0;
  sb_visits *visits = NULL;
  const uint32_t *users = take_users(in, all, &count);
  sb_status status = count == 1 ? sb_visit_manager_get_recent_visits(manager, users[0], &visits, error)
                                : sb_visit_manager_get_recent_visits_of(manager, users, count, &visits, error);
  if (status != SB_OK) return status;
  put_number(out, sb_visits_count(visits), 4);
  (void)put_visits(out, visits);
  return SB_OK;
}

static sb_status users(sb_visit_manager *manager, writer *out, sb_error *error) {
  sb_visit_users *found = NULL;
  const sb_visit_user *rows = NULL;
  size_t count = 0;
  sb_status status = sb_visit_manager_users(manager, &found, error);
  if (status != SB_OK) return status;
  if (sb_visit_users_get_all(found, &rows, &count) != SB_OK) die("a list of users shows nothing");
  put_number(out, count, 4);
  for (size_t i = 0; i < count; i++) {
    put_number(out, rows[i].user, 4);
    put_number(out, rows[i].visit_count, 4);
  }
  sb_visit_users_close(found);
  return SB_OK;
}

static sb_status scan(sb_visit_manager *manager, uint32_t visits_min, writer *out, sb_error *error) {
  writer rows = {0};
  sb_visit_scan *walk = NULL;
  sb_visits *visits = NULL;
  size_t count = 1, total = 0;
  sb_status status = sb_visit_manager_scan(manager, &walk, error);
  while (status == SB_OK && count > 0) {
    status = sb_visit_scan_next(walk, visits_min, &visits, error);
    if (status == SB_OK) total += count = put_visits(&rows, visits);
  }
  sb_visit_scan_close(walk);
  if (status == SB_OK) {
    put_number(out, total, 4);
    put(out, rows.data, rows.size);
  }
  free(rows.data);
  return status;
}

static sb_status delete_visits(sb_visit_manager *manager, reader *in, writer *out, scratch *all, sb_error *error) {
  bool found = false;
  size_t count = 0;
  const uint32_t user = take_u32(in);
  const uint32_t *visit_ids = take_users(in, all, &count);
  const sb_status status = sb_visit_manager_delete_visits(manager, user, visit_ids, count, &found, error);
  put_number(out, found, 1);
  return status;
}

static sb_status verify(sb_visit_manager *manager, writer *out, sb_error *error) {
  sb_visit_report report = {.struct_size = sizeof report};
  const sb_status status = sb_visit_manager_verify(manager, &report, error);
  put_number(out, report.users, 8);
  put_number(out, report.visits, 8);
  return status;
}

/* The file of a request, and what reads it, or another file, besides. */
typedef struct session {
  const char *path;
  sb_visit_manager *manager, *reader;
} session;

static const char *take_path_beside(const session *now, reader *in, scratch *all) {
  const char *beside = take_name(in, all);
  const size_t size = strlen(now->path) + strlen(beside) + 1;
  char *path = scratch_get(all, size, 1);
  snprintf(path, size, "%s%s", now->path, beside);
  return path;
}

static sb_status put_stats(sb_visit_manager *manager, writer *out, sb_error *error) {
  sb_visit_stats stats = {.struct_size = sizeof stats};
  const sb_status status = sb_visit_manager_get_stats(manager, &stats, error);
  put_number(out, stats.max_visits, 4);
  put_number(out, stats.cut_bytes, 8);
  put_number(out, stats.upgraded, 1);
  put_number(out, stats.poisoned, 1);
  put_number(out, stats.durable_bytes == stats.file_bytes, 1);
  put_number(out, stats.syncs > 0, 1);
  return status;
}

static sb_status salvage(const session *now, reader *in, writer *out, scratch *all, sb_error *error) {
  sb_visit_report report = {.struct_size = sizeof report};
  const sb_status status = sb_salvage_visits(now->path, take_path_beside(now, in, all), &report, error);
  put_number(out, report.users, 8);
  put_number(out, report.visits, 8);
  return status;
}

static sb_status open_reader(session *now, reader *in, writer *out, scratch *all, sb_error *error) {
  sb_visit_manager_options options;
  const char *path = take_path_beside(now, in, all);
  sb_visit_manager_options_init(&options, sizeof options);
  options.max_visits = take_u32(in);
  options.read_only = true;
  sb_visit_manager_close(now->reader);
  now->reader = NULL;
  const sb_status status = sb_visit_manager_open(path, &options, &now->reader, error);
  return status == SB_OK ? scan(now->reader, 0, out, error) : status;
}

static sb_status refresh(session *now, bool by_reader, writer *out, sb_error *error) {
  bool changed = false;
  sb_visit_manager *whose = by_reader ? now->reader : now->manager;
  const sb_status status = sb_visit_manager_refresh(whose, &changed, error);
  put_number(out, changed, 1);
  return status == SB_OK ? scan(whose, 0, out, error) : status;
}

static sb_status add(sb_visit_manager *manager, reader *in, sb_error *error) {
  const sb_visit visit = take_visit(in);
  if (in->failed) return SB_OK;
  return sb_visit_manager_add_visit_at(manager, visit.user, visit.visit_id, visit.url, visit.url_size, visit.text, visit.text_size,
                                       visit.time_ns, error);
}

static sb_status operate(session *now, reader *in, writer *out, scratch *all, sb_error *error) {
  sb_visit_manager *manager = now->manager;
  const uint8_t op = take_u8(in);
  switch (op) {
  case 1: return add(manager, in, error);
  case 2: return add_many(manager, in, all, error);
  case 3: return recent(manager, in, out, all, error);
  case 4: return delete_visits(manager, in, out, all, error);
  case 5: {
    const uint32_t user = take_u32(in);
    return sb_visit_manager_clear_user(manager, user, take_u8(in) != 0, error);
  }
  case 6: return users(manager, out, error);
  case 7: return scan(manager, take_u32(in), out, error);
  case 8: return sb_visit_manager_compact(manager, error);
  case 9: return sb_visit_manager_sync(manager, error);
  case 10: return verify(manager, out, error);
  case 11: return put_stats(manager, out, error);
  case 12: return sb_visit_manager_copy_to(manager, take_path_beside(now, in, all), error);
  case 13: return salvage(now, in, out, all, error);
  case 14: return open_reader(now, in, out, all, error);
  case 15: return refresh(now, take_u8(in) != 0, out, error);
  case 16: return add(now->reader, in, error);
  default: in->failed = true; return SB_OK;
  }
}

static void visits(reader *in, writer *out, scratch *all) {
  session now = {0};
  sb_visit_manager_options options;
  sb_error error;
  writer body = {0};
  now.path = take_name(in, all);
  sb_visit_manager_options_init(&options, sizeof options);
  options.max_visits = take_u32(in);
  options.durability = take_u8(in);
  const size_t count = take_count(in, 4, 1);
  if (in->failed) return;
  if (sb_visit_manager_open(now.path, &options, &now.manager, &error) != SB_OK) {
    reply_error(out, &error);
    return;
  }
  put_number(out, 0, 1);
  for (size_t i = 0; i < count && !in->failed; i++) {
    body.size = 0;
    const sb_status status = operate(&now, in, &body, all, &error);
    put_number(out, status != SB_OK, 1);
    if (status == SB_OK)
      put(out, body.data, body.size);
    else
      put_error(out, &error);
  }
  free(body.data);
  sb_visit_manager_close(now.reader);
  if (sb_visit_manager_finish(now.manager, &error) != SB_OK) reply_error(out, &error);
  sb_visit_manager_close(now.manager);
}

static void hello(writer *out) {
  put_number(out, 0, 1);
  put_number(out, sb_version(), 4);
  put_number(out, sb_abi_digest(), 8);
  put_number(out, sb_instance_id(), 8);
  put_bytes(out, "c", 1);
}

static void serve(reader *in, writer *out) {
  scratch all = {0};
  uint8_t op = take_u8(in);
  switch (op) {
  case 'H': hello(out); break;
  case 'E': encode(in, out, &all); break;
  case 'D': decode(in, out, &all); break;
  case 'V': visits(in, out, &all); break;
  case 'L':
    put_number(out, 0, 1);
    put_number(out, (uint64_t)sb_memory_live_blocks(), 8);
    break;
  case 'Q': put_number(out, 0, 1); break;
  default: in->failed = true;
  }
  bool refused = out->size > 0 && out->data[0] == 1;
  if (in->failed || (!refused && in->at != in->size)) reply_status(out, SB_INVALID_ARGUMENT, "the request is not what the protocol says");
  scratch_free(&all);
}

/* Reads exactly `size` bytes; false at the end of the input. */
static bool read_all(uint8_t *data, size_t size) {
  size_t done = 0;
  while (done < size) {
    ssize_t count = read(STDIN_FILENO, data + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) die("cannot read a request");
    if (count == 0 && done > 0) die("the input ends inside a request");
    if (count == 0) return false;
    done += (size_t)count;
  }
  return true;
}

static void write_all(const uint8_t *data, size_t size) {
  while (size > 0) {
    ssize_t count = write(STDOUT_FILENO, data, size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) die("cannot write a reply");
    data += count;
    size -= (size_t)count;
  }
}

int main(void) {
  uint8_t *request = NULL;
  writer reply = {0};
  uint8_t length[4];
  bool quit = false;
  while (!quit && read_all(length, sizeof length)) {
    reader prefix = {.data = length, .size = sizeof length};
    size_t size = take_u32(&prefix);
    if (size > REQUEST_SIZE_MAX) die("a request is longer than the limit");
    request = grown(request, size);
    if (size > 0 && !read_all(request, size)) die("the input ends inside a request");
    reader in = {.data = request, .size = size};
    reply.size = 0;
    serve(&in, &reply);
    writer head = {0};
    put_number(&head, reply.size, 4);
    write_all(head.data, head.size);
    write_all(reply.data, reply.size);
    free(head.data);
    quit = size == 1 && request[0] == 'Q';
  }
  free(request);
  free(reply.data);
  return 0;
}
