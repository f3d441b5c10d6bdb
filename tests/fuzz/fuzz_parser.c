/* The parser: any bytes as a stream of frames. The first byte are flags (below); the second is the size of the chunks; the third chooses the
 * schemas: 0 for three that are fixed, else it and what follows say which. Whatever the chunks and the way in, the rows and the errors are
 * those of the stream at once; what a row shows lies inside its frame; a row that is built again gives its frame; and columns and Arrow
 * show what the rows show, whichever of them is asked for first.
 *
 * bug: core/src/parser_plain.c
 * <     if (spare < 0) goto not_plain;
 * >     if (spare < -9) goto not_plain;
 *
 * bug: core/src/parser_plain.c
 * <       at += width * count;
 * >       at += count;
 *
 * bug: core/src/parser.c
 * <   *offset = position < 0 ? buffer_size - distance : distance;
 * >   *offset = position < 0 ? 0 : distance;
 *
 * bug: core/src/parser.c
 * <     batch->base_size = parser->start - start;
 * >     batch->base_size = parser->end_offset - start;
 *
 * bug: core/src/batch.c
 * <   batch->row_count = batch->value_count = batch->first_count = batch->error_count = 0;
 * >   batch->row_count = batch->value_count = batch->error_count = 0;
 *
 * bug: core/src/parser_columns.c
 * <   field->offsets[index] = (int64_t)field->item_count;
 * >   field->offsets[index] = (int64_t)index;
 *
 * bug: core/src/arrow.c
 * <     items += value.size * width;
 * >     items += value.size;
 */
#include "arrow.h"

#include <samebytes/samebytes.h>

enum {
  SCHEMAS_MAX = 4,
  FRAME_SIZE_MAX = 1 << 16,
  CHUNK_MAX = 256,
  EXTRA = 1,          /* flags: bytes after the last field are accepted, */
  WAY = 3 << 1,       /* how bytes come in, one of the following, */
  BY_COLUMNS = 8,     /* each batch follows one that was read by columns, so that it has no values before they are asked for, */
  TEXT = 16,          /* strings are exported to Arrow as text, not as bytes, */
  LATE_COLUMNS = 32,  /* columns are asked for after the rows, */
  POSITION = 64 | 128 /* and where they are received: 0, 5, -5, -256 */
};

enum way {
  WAY_FEED = 0,
  WAY_RECEIVE = 1 << 1,
  WAY_LENT = 2 << 1
};

/* As parser_batch.h has it, where another name means something else than in arrow.h. */
void sb_priv_batch_check_all(const sb_batch *batch);

static sb_schema *fixed[3];

/* How a stream is parsed. */
typedef struct manner {
  sb_schema *const *schemas;
  size_t schema_count;
  size_t chunk;
  uint8_t flags;
} manner;

static sb_schema *schema_of(const char *name, int8_t api_key, const int32_t *types, size_t count) {
  static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
  sb_schema_field fields[10];
  for (size_t i = 0; i < count; i++) fields[i] = (sb_schema_field){names[i], types[i], 0};
  sb_schema *schema = NULL;
  FUZZ_HOLDS(sb_schema_open(name, SB_DIRECTION_REQUEST, api_key, fields, count, &schema, NULL) == SB_OK);
  return schema;
}

static void begin(void) {
  static const int32_t all[] = {SB_TYPE_INT8,       SB_TYPE_INT16,       SB_TYPE_INT32,       SB_TYPE_INT64,       SB_TYPE_STRING,
                                SB_TYPE_ARRAY_INT8, SB_TYPE_ARRAY_INT16, SB_TYPE_ARRAY_INT32, SB_TYPE_ARRAY_INT64, SB_TYPE_ARRAY_STRING};
  static const int32_t plain[] = {SB_TYPE_STRING, SB_TYPE_ARRAY_INT16, SB_TYPE_INT8, SB_TYPE_STRING};
  if (fixed[0] != NULL) return;
  fixed[0] = schema_of("All", 0, all, sizeof all / sizeof all[0]);
  fixed[1] = schema_of("Plain", 1, plain, sizeof plain / sizeof plain[0]);
  fixed[2] = schema_of("Empty", -1, NULL, 0);
}

/* What a parser found, as two numbers and how it ended. */
typedef struct found {
  size_t rows, errors;
  uint32_t rows_sum, errors_sum;
  int32_t end;
} found;

static void lies_within(const void *data, size_t size, const uint8_t *frame, size_t frame_size) {
  const uint8_t *at = data;
  FUZZ_HOLDS(at >= frame && at <= frame + frame_size && size <= (size_t)(frame + frame_size - at));
}

static uint32_t sum_of_value(uint32_t sum, int32_t type, const sb_value *value, const uint8_t *frame, size_t frame_size) {
  sum = sb_crc32c(sum, &value->number, sizeof value->number);
  if (type <= SB_TYPE_INT64) return sum;
  sum = sb_crc32c(sum, &value->size, sizeof value->size);
  if (type == SB_TYPE_STRING) {
    lies_within(value->data, value->size, frame, frame_size);
    return sb_crc32c(sum, value->data, value->size);
  }
  if (type < SB_TYPE_ARRAY_STRING) return sb_crc32c(sum, value->data, value->size << (type - SB_TYPE_ARRAY_INT8));
  const sb_bytes *items = value->data;
  for (size_t i = 0; i < value->size; i++) {
    lies_within(items[i].data, items[i].size, frame, frame_size);
    sum = sb_crc32c(sb_crc32c(sum, &items[i].size, sizeof items[i].size), items[i].data, items[i].size);
  }
  return sum;
}

static void builds_again(const sb_schema *schema, const sb_row *row, const sb_value *values, size_t count, const uint8_t *frame,
                         size_t size) {
  sb_builder *builder = NULL;
  uint8_t *bytes = malloc(2 * size);
  FUZZ_HOLDS(bytes != NULL && sb_builder_open(NULL, &builder) == SB_OK);
  for (int again = 0; again < 2; again++) FUZZ_HOLDS(sb_builder_add(builder, schema, row->sequence, values, count, NULL) == SB_OK);
  FUZZ_HOLDS(sb_builder_size(builder) == 2 * size && sb_builder_copy_bytes(builder, bytes, 2 * size) == SB_OK);
  FUZZ_HOLDS(memcmp(bytes, frame, size) == 0 && memcmp(bytes + size, frame, size) == 0);
  sb_builder_close(builder);
  free(bytes);
}

static void look_at_row(const manner *how, const sb_batch *batch, size_t index, found *all) {
  sb_row row;
  const sb_value *values;
  const void *frame;
  size_t count, size;
  sb_view *view = NULL;
  FUZZ_HOLDS(sb_batch_get_row(batch, index, &row) == SB_OK && sb_batch_get_values(batch, index, &values, &count) == SB_OK);
  FUZZ_HOLDS(sb_batch_get_frame(batch, index, &view) == SB_OK && sb_view_span(view, 0, &frame, &size) == SB_OK);
  FUZZ_HOLDS(size == 4 + (size_t)row.frame_size && row.schema_index < how->schema_count);
  const sb_schema *schema = how->schemas[row.schema_index];
  FUZZ_HOLDS(count == sb_schema_field_count(schema) && row.api_key == sb_schema_api_key(schema));
  all->rows_sum = sb_crc32c(all->rows_sum, &row, sizeof row);
  for (size_t i = 0; i < count; i++) all->rows_sum = sum_of_value(all->rows_sum, type_of(schema, (int32_t)i), &values[i], frame, size);
  if ((how->flags & EXTRA) == 0) builds_again(schema, &row, values, count, frame, size);
  sb_view_close(view);
}

static void look_at_rows(const manner *how, const sb_batch *batch, found *all) {
  const size_t rows = sb_batch_row_count(batch), errors = sb_batch_error_count(batch);
  for (size_t i = 0; i < rows; i++) look_at_row(how, batch, i, all);
  for (size_t i = 0; i < errors; i++) {
    sb_error error;
    FUZZ_HOLDS(sb_batch_get_error(batch, i, &error) == SB_OK && error.status != SB_OK && error.message[0] != 0);
    FUZZ_HOLDS(error.stream_offset >= error.frame_offset && error.frame_offset >= 0);
    const int64_t where[] = {error.status, error.frame, error.stream_offset, error.frame_offset};
    all->errors_sum = sb_crc32c(sb_crc32c(all->errors_sum, where, sizeof where), error.field, strlen(error.field));
  }
  all->rows += rows;
  all->errors += errors;
}

/* Columns stay what they are, and where they are, while rows and Arrow are asked for. Of the batches without rows, which small chunks make
 * many of, the first one stands for all. */
static void look(const manner *how, sb_batch *batch, bool first, found *all) {
  uint32_t before = 0;
  sb_priv_batch_check_all(batch);
  const bool late = (how->flags & LATE_COLUMNS) != 0;
  if (sb_batch_row_count(batch) == 0 && !first) {
    look_at_rows(how, batch, all);
    return;
  }
  if (!late) before = sum_of_columns(batch, how->schemas, how->schema_count);
  look_at_rows(how, batch, all);
  if (late) before = sum_of_columns(batch, how->schemas, how->schema_count);
  for (size_t i = 0; i < how->schema_count; i++) {
    table rows = table_open(batch, how->schemas[i], i);
    columns_are_rows(&rows);
    arrow_is_rows(&rows, (how->flags & TEXT) != 0 ? SB_STRINGS_UTF8 : SB_STRINGS_BINARY);
    table_close(&rows);
  }
  FUZZ_HOLDS(sum_of_columns(batch, how->schemas, how->schema_count) == before);
  sb_priv_batch_check_all(batch);
}

static int64_t position_of(uint8_t flags) {
  static const int64_t positions[] = {0, 5, -5, -CHUNK_MAX};
  return positions[(flags & POSITION) / 64];
}

/* Bytes come at the place that the parser says, in a buffer that holds something else around them. */
static void receive_in_own_buffer(sb_parser *parser, const uint8_t *data, size_t size, int64_t wanted) {
  uint8_t buffer[CHUNK_MAX + 7];
  while (size > 0) {
    int64_t position = 77;
    memset(buffer, 0x5a, sizeof buffer);
    FUZZ_HOLDS(sb_parser_position(parser, sizeof buffer, &position) == SB_OK && position == wanted);
    const size_t start = position < 0 ? sizeof buffer - (size_t)-position : (size_t)position, room = sizeof buffer - start;
    const size_t count = size < room ? size : room;
    memcpy(buffer + start, data, count);
    FUZZ_HOLDS(sb_parser_receive(parser, buffer, sizeof buffer, room + 1) == SB_OUT_OF_RANGE);
    FUZZ_HOLDS(sb_parser_receive(parser, buffer, sizeof buffer, count) == SB_OK);
    data += count;
    size -= count;
  }
}

static void receive(sb_parser *parser, uint8_t flags, const uint8_t *data, size_t size) {
  void *lent;
  size_t room;
  if ((flags & WAY) == WAY_RECEIVE) {
    receive_in_own_buffer(parser, data, size, position_of(flags));
  } else if ((flags & WAY) == WAY_LENT) {
    FUZZ_HOLDS(sb_parser_buffer(parser, &lent, &room) == SB_OK && room >= size);
    memcpy(lent, data, size);
    FUZZ_HOLDS(sb_parser_commit(parser, size) == SB_OK);
  } else {
    FUZZ_HOLDS(sb_parser_feed(parser, data, size) == SB_OK);
  }
}

/* Leaves the parser with a batch that was asked for a column only. */
static void read_by_columns(sb_parser *parser, sb_batch *batch) {
  const void *data;
  size_t size, item_size;
  if (sb_parser_end(parser) != SB_OK) return;
  FUZZ_HOLDS(sb_parser_parse(parser, batch) == SB_OK && sb_batch_row_count(batch) == 0);
  FUZZ_HOLDS(sb_batch_get_column(batch, 0, SB_COLUMN_ROW, SB_PART_VALUES, &data, &size, &item_size) == SB_OK && size == 0);
}

static found parse(const manner *how, const uint8_t *data, size_t size) {
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  options.accept_extra = (how->flags & EXTRA) != 0;
  options.max_frame_size = FRAME_SIZE_MAX;
  options.receive_position = position_of(how->flags);
  sb_parser *parser = NULL;
  sb_batch *batch = NULL;
  FUZZ_HOLDS(sb_parser_open(how->schemas, how->schema_count, &options, &parser, NULL) == SB_OK && sb_batch_open(&batch) == SB_OK);
  found all = {0};
  for (size_t at = 0; at < size && sb_parser_end(parser) == SB_OK; at += how->chunk) {
    if ((how->flags & BY_COLUMNS) != 0) read_by_columns(parser, batch);
    receive(parser, how->flags, data + at, size - at < how->chunk ? size - at : how->chunk);
    FUZZ_HOLDS(sb_parser_parse(parser, batch) == SB_OK);
    FUZZ_HOLDS((sb_batch_need(batch) == 0) == (sb_parser_end(parser) != SB_OK));
    look(how, batch, at == 0, &all);
  }
  all.end = sb_parser_end(parser);
  sb_batch_close(batch);
  sb_parser_close(parser);
  return all;
}

/* Schemas as the input says, with api_keys from 0 on. */
static size_t draw_schemas(source *from, uint8_t choice, sb_schema **schemas) {
  static const char *const names[SCHEMAS_MAX] = {"First", "Second", "Third", "Fourth"};
  const size_t count = 1 + choice % SCHEMAS_MAX;
  for (size_t i = 0; i < count; i++) schemas[i] = draw_schema(from, names[i], (int8_t)i, 8);
  return count;
}

static void same_by_chunks(const manner *how, const uint8_t *data, size_t size) {
  manner at_once = *how;
  at_once.chunk = size;
  at_once.flags = (uint8_t)(WAY_FEED | ((how->flags & EXTRA) | (~how->flags & (TEXT | LATE_COLUMNS))));
  const found once = size > 0 ? parse(&at_once, data, size) : (found){0};
  const found chunks = parse(how, data, size);
  FUZZ_HOLDS(once.rows == chunks.rows && once.rows_sum == chunks.rows_sum);
  FUZZ_HOLDS(once.errors == chunks.errors && once.errors_sum == chunks.errors_sum);
  FUZZ_HOLDS(once.end == chunks.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 3) return -1;
  begin();
  sb_schema *drawn[SCHEMAS_MAX];
  source from = {data + 3, data + size};
  const size_t drawn_count = data[2] > 0 ? draw_schemas(&from, data[2], drawn) : 0;
  const manner how = {.schemas = drawn_count > 0 ? drawn : fixed,
                      .schema_count = drawn_count > 0 ? drawn_count : sizeof fixed / sizeof fixed[0],
                      .chunk = (size_t)data[1] + 1,
                      .flags = data[0]};
  same_by_chunks(&how, from.at, (size_t)(from.end - from.at));
  for (size_t i = 0; i < drawn_count; i++) sb_schema_close(drawn[i]);
  FUZZ_HOLDS(sb_memory_live_blocks() == 0);
  return 0;
}
