/* The reader of schema files: any bytes as a text. What it takes can be written down and read again with the same result; what it refuses it
 * says the line of.
 *
 * bug: core/src/schema_file.c
 * <       if (length < WORD_MAX) text->word[length++] = *text->at;
 * >       if (length < WORD_MAX + 9) text->word[length++] = *text->at;
 */
#include "fuzz.h"

#include <samebytes/samebytes.h>

static size_t put(char *text, size_t used, size_t room, const char *word) {
  const size_t length = strlen(word);
  FUZZ_HOLDS(used + length < room);
  memcpy(text + used, word, length + 1);
  return used + length;
}

/* Writes the schema as a text that gives it again. */
static size_t write_schema(const sb_schema *schema, char *text, size_t used, size_t room) {
  static const char *const types[] = {
      "", "int8", "int16", "int32", "int64", "string", "array<int8>", "array<int16>", "array<int32>", "array<int64>", "array<string>"};
  char key[16];
  snprintf(key, sizeof key, " %d {", sb_schema_api_key(schema));
  used = put(text, used, room, "message ");
  used = put(text, used, room, sb_schema_name(schema));
  used = put(text, used, room, sb_schema_direction(schema) == SB_DIRECTION_REQUEST ? " request" : " response");
  used = put(text, used, room, key);
  for (size_t i = 0; i < sb_schema_field_count(schema); i++) {
    sb_schema_field field;
    FUZZ_HOLDS(sb_schema_get_field(schema, i, &field) == SB_OK && field.type >= SB_TYPE_INT8 && field.type <= SB_TYPE_ARRAY_STRING);
    used = put(text, used, room, field.name);
    used = put(text, used, room, " ");
    used = put(text, used, room, types[field.type]);
    used = put(text, used, room, ";");
  }
  return put(text, used, room, "}\n");
}

static char *write_all(const sb_schema_file *file, size_t *size) {
  const size_t count = sb_schema_file_count(file), room = 64 + count * (128 + 256 * 96);
  char *text = malloc(room);
  FUZZ_HOLDS(text != NULL);
  *size = 0;
  for (size_t i = 0; i < count; i++) {
    sb_schema *schema = NULL, *found = NULL;
    FUZZ_HOLDS(sb_schema_file_get(file, i, &schema) == SB_OK);
    FUZZ_HOLDS(sb_schema_file_find(file, sb_schema_name(schema), &found) == SB_OK && found == schema);
    *size = write_schema(schema, text, *size, room);
    sb_schema_close(found);
    sb_schema_close(schema);
  }
  return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sb_schema_file *file = NULL, *again = NULL;
  sb_error error = {0};
  const sb_status status = sb_schema_file_open(data, size, "fuzz", &file, &error);
  if (status != SB_OK) {
    FUZZ_HOLDS(file == NULL && (status == SB_INVALID_ARGUMENT || status == SB_TOO_LARGE));
    FUZZ_HOLDS(strncmp(error.message, "fuzz:", 5) == 0 && atoi(error.message + 5) >= 1);
    FUZZ_HOLDS(error.stream_offset >= 0 && error.stream_offset <= (int64_t)size);
    return 0;
  }
  size_t first_size, second_size;
  char *first = write_all(file, &first_size);
  FUZZ_HOLDS(sb_schema_file_open(first, first_size, NULL, &again, &error) == SB_OK);
  char *second = write_all(again, &second_size);
  FUZZ_HOLDS(first_size == second_size && memcmp(first, second, first_size) == 0);
  FUZZ_HOLDS(sb_schema_file_count(file) == sb_schema_file_count(again));
  free(first);
  free(second);
  sb_schema_file_close(file);
  sb_schema_file_close(again);
  return 0;
}
