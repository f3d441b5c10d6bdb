/* The parser: any bytes as a stream of frames of three schemas. Bit 0 of the first byte accepts extra bytes, bits 1 and 2 choose the way in;
 * the second byte is the size of the chunks. Whatever the chunks, the rows and the errors are those of the stream at once; what a row shows
 * lies inside its frame; and a row that is built again gives its frame.
 *
 * bug: core/src/parser_plain.c
 * <     if (spare < 0) goto not_plain;
 * >     if (spare < -9) goto not_plain;
 */
#include "fuzz.h"

#include <samebytes/samebytes.h>

enum {
  SCHEMAS = 3,
  EXTRA = 1,
  FRAME_SIZE_MAX = 1 << 16
};

static sb_schema *schemas[SCHEMAS];

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
  if (schemas[0] != NULL) return;
  schemas[0] = schema_of("All", 0, all, sizeof all / sizeof all[0]);
  schemas[1] = schema_of("Plain", 1, plain, sizeof plain / sizeof plain[0]);
  schemas[2] = schema_of("Empty", -1, NULL, 0);
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

static void look_at_row(const sb_batch *batch, size_t index, bool extra, found *all) {
  sb_row row;
  const sb_value *values;
  const void *frame;
  size_t count, size;
  sb_view *view = NULL;
  FUZZ_HOLDS(sb_batch_get_row(batch, index, &row) == SB_OK && sb_batch_get_values(batch, index, &values, &count) == SB_OK);
  FUZZ_HOLDS(sb_batch_get_frame(batch, index, &view) == SB_OK && sb_view_span(view, 0, &frame, &size) == SB_OK);
  FUZZ_HOLDS(size == 4 + (size_t)row.frame_size && row.schema_index < SCHEMAS);
  const sb_schema *schema = schemas[row.schema_index];
  FUZZ_HOLDS(count == sb_schema_field_count(schema) && row.api_key == sb_schema_api_key(schema));
  all->rows_sum = sb_crc32c(all->rows_sum, &row, sizeof row);
  for (size_t i = 0; i < count; i++) {
    sb_schema_field field;
    FUZZ_HOLDS(sb_schema_get_field(schema, i, &field) == SB_OK);
    all->rows_sum = sum_of_value(all->rows_sum, field.type, &values[i], frame, size);
  }
  if (!extra) builds_again(schema, &row, values, count, frame, size);
  sb_view_close(view);
}

static void look(const sb_batch *batch, bool extra, found *all) {
  const size_t rows = sb_batch_row_count(batch), errors = sb_batch_error_count(batch);
  for (size_t i = 0; i < rows; i++) look_at_row(batch, i, extra, all);
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

static void receive(sb_parser *parser, int way, const uint8_t *data, size_t size) {
  void *lent;
  size_t room;
  if (way == 0) {
    FUZZ_HOLDS(sb_parser_feed(parser, data, size) == SB_OK);
  } else if (way == 1) {
    FUZZ_HOLDS(sb_parser_receive(parser, data, size, size) == SB_OK);
  } else {
    FUZZ_HOLDS(sb_parser_buffer(parser, &lent, &room) == SB_OK && room >= size);
    memcpy(lent, data, size);
    FUZZ_HOLDS(sb_parser_commit(parser, size) == SB_OK);
  }
}

static found parse(const uint8_t *data, size_t size, size_t chunk, int way, bool extra) {
  sb_parser_options options;
  sb_parser_options_init(&options, sizeof options);
  options.accept_extra = extra;
  options.max_frame_size = FRAME_SIZE_MAX;
  sb_parser *parser = NULL;
  sb_batch *batch = NULL;
  FUZZ_HOLDS(sb_parser_open(schemas, SCHEMAS, &options, &parser, NULL) == SB_OK && sb_batch_open(&batch) == SB_OK);
  found all = {0};
  for (size_t at = 0; at < size && sb_parser_end(parser) == SB_OK; at += chunk) {
    receive(parser, way, data + at, size - at < chunk ? size - at : chunk);
    FUZZ_HOLDS(sb_parser_parse(parser, batch) == SB_OK);
    FUZZ_HOLDS((sb_batch_need(batch) == 0) == (sb_parser_end(parser) != SB_OK));
    look(batch, extra, &all);
  }
  all.end = sb_parser_end(parser);
  sb_batch_close(batch);
  sb_parser_close(parser);
  return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return -1;
  begin();
  const bool extra = (data[0] & EXTRA) != 0;
  const int way = (data[0] >> 1) % 3;
  const size_t chunk = (size_t)data[1] + 1;
  data += 2;
  size -= 2;
  const found once = size > 0 ? parse(data, size, size, 0, extra) : (found){0};
  const found chunks = parse(data, size, chunk, way, extra);
  FUZZ_HOLDS(once.rows == chunks.rows && once.rows_sum == chunks.rows_sum);
  FUZZ_HOLDS(once.errors == chunks.errors && once.errors_sum == chunks.errors_sum);
  FUZZ_HOLDS(once.end == chunks.end);
  FUZZ_HOLDS(sb_memory_live_blocks() == 0);
  return 0;
}
