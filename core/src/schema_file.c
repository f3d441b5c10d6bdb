//go:build !samebytes_shared

/* A recursive-descent reader over words. It stops at the first error, with the line; sb_schema_open checks what a schema may be, so that
 * text and code are refused for the same reasons. */

#include "error_private.h"
#include "schema_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <samebytes/schema_file.h>

struct sb_schema_file {
  size_t count;
  size_t capacity;
  sb_schema **schemas;
};

enum {
  WORD_MAX = SB_FIELD_NAME_MAX + 1
}; /* one more than any name may have, so that a longer one is seen to be too long */

typedef struct reader {
  const char *at;
  const char *end;
  const char *text;
  const char *name; /* of the file */
  size_t line;
  size_t word_line; /* where the last word stands */
  const char *word_at;
  char word[WORD_MAX + 1]; /* the last word read, of a longer one the beginning; a name, a number, or one of { } ; < > */
  size_t word_size;        /* bytes of it in the text */
  sb_error *error;
} reader;

enum {
  SHOWN_MAX = 80
}; /* bytes of the file's name in a message; of a longer one its end is shown */

__attribute__((format(printf, 4, 5), cold)) static sb_status refuse(reader *text, sb_status status, const char *field, const char *format,
                                                                    ...) {
  if (text->error == NULL) return status;
  char why[sizeof text->error->message];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  size_t length = strlen(text->name);
  const char *name = length > SHOWN_MAX ? text->name + length - SHOWN_MAX : text->name;
  (void)sb_priv_error(text->error, status, field, "%s%s:%zu: %.160s", length > SHOWN_MAX ? "..." : "", name, text->word_line, why);
  text->error->stream_offset = text->word_at - text->text;
  return status;
}

static bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static void skip_space(reader *text) {
  for (; text->at < text->end; text->at++) {
    char c = *text->at;
    if (c == '#')
      while (text->at + 1 < text->end && text->at[1] != '\n') text->at++;
    else if (c == '\n')
      text->line++;
    else if (c != ' ' && c != '\t' && c != '\r')
      return;
  }
}

/* Reads the next word; an empty one at the end of the text. */
static void next_word(reader *text) {
  skip_space(text);
  text->word_line = text->line;
  text->word_at = text->at;
  size_t length = 0;
  text->word_size = 1;
  if (text->at < text->end && !is_word_byte(*text->at)) {
    char c = *text->at++;
    if (c > ' ' && c <= '~') {
      text->word[length++] = c;
    } else { /* a word that nothing expects, and that can be printed */
      (void)snprintf(text->word, sizeof text->word, "byte 0x%02X", (unsigned)(unsigned char)c);
      return;
    }
  } else {
    for (; text->at < text->end && is_word_byte(*text->at); text->at++)
      if (length < WORD_MAX) text->word[length++] = *text->at;
    text->word_size = (size_t)(text->at - text->word_at);
  }
  text->word[length] = '\0';
}

static bool word_is(const reader *text, const char *word) { return strcmp(text->word, word) == 0; }

static const char *found(const reader *text) { return text->word[0] != '\0' ? text->word : "the end of the text"; }

static sb_status expect(reader *text, const char *word, const char *where) {
  next_word(text);
  if (word_is(text, word)) return SB_OK;
  return refuse(text, SB_INVALID_ARGUMENT, NULL, "%s: expected %s, found %s", where, word, found(text));
}

static sb_status read_type(reader *text, const char *where, const char *field, int32_t *type) {
  static const char *const names[] = {"", "int8", "int16", "int32", "int64", "string"};
  next_word(text);
  bool array = word_is(text, "array");
  if (array) {
    sb_status status = expect(text, "<", where);
    if (status != SB_OK) return status;
    next_word(text);
    if (word_is(text, "array"))
      return refuse(text, SB_INVALID_ARGUMENT, field, "%s: field %s: there are no arrays of arrays", where, field);
  }
  for (int32_t i = SB_TYPE_INT8; i <= SB_TYPE_STRING; i++)
    if (word_is(text, names[i])) {
      *type = array ? SB_TYPE_ARRAY_INT8 + i - SB_TYPE_INT8 : i;
      return array ? expect(text, ">", where) : SB_OK;
    }
  return refuse(text, SB_INVALID_ARGUMENT, field, "%s: field %s: there is no type %s", where, field, found(text));
}

/* A message while it is read. */
typedef struct message {
  char where[WORD_MAX + 16]; /* "message NAME", for errors */
  char name[WORD_MAX + 1];
  int32_t direction;
  int8_t api_key;
  size_t field_count;
  sb_schema_field fields[SB_SCHEMA_FIELDS_MAX];
  char field_names[SB_SCHEMA_FIELDS_MAX][WORD_MAX + 1];
} message;

/* Whether the last word is a name. */
static sb_status check_name(reader *text, const char *where, const char *what) {
  if (sb_priv_name_is_valid(text->word)) return SB_OK;
  return refuse(text, SB_INVALID_ARGUMENT, NULL,
                "%s: expected %s, a letter or _ and then letters, digits and _, at most %d bytes; found %s", where, what, SB_FIELD_NAME_MAX,
                found(text));
}

/* Reads the last word as a number of 8 bits. It is read in the text, where all of its digits are, and stops growing beyond what fits. */
static bool read_int8(const reader *text, int8_t *number) {
  const char *at = text->word_at, *end = at + text->word_size;
  const bool negative = text->word_size > 0 && *at == '-';
  if (negative) at++;
  int32_t value = 0;
  if (text->word_size == 0 || at == end) return false;
  for (; at < end; at++) {
    if (*at < '0' || *at > '9') return false;
    if (value <= INT8_MAX + 1) value = value * 10 + (*at - '0');
  }
  if (value > (negative ? -INT8_MIN : INT8_MAX)) return false;
  *number = (int8_t)(negative ? -value : value);
  return true;
}

static sb_status read_head(reader *text, const sb_schema_file *file, message *made) {
  next_word(text);
  sb_status status = check_name(text, "message", "its name");
  if (status != SB_OK) return status;
  memcpy(made->name, text->word, sizeof made->name);
  (void)snprintf(made->where, sizeof made->where, "message %s", made->name);
  for (size_t i = 0; i < file->count; i++)
    if (strcmp(file->schemas[i]->name, made->name) == 0)
      return refuse(text, SB_INVALID_ARGUMENT, NULL, "there are two messages called %s", made->name);
  next_word(text);
  if (!word_is(text, "request") && !word_is(text, "response"))
    return refuse(text, SB_INVALID_ARGUMENT, NULL, "%s: expected request or response, found %s", made->where, found(text));
  made->direction = word_is(text, "request") ? SB_DIRECTION_REQUEST : SB_DIRECTION_RESPONSE;
  next_word(text);
  if (!read_int8(text, &made->api_key))
    return refuse(text, SB_INVALID_ARGUMENT, NULL, "%s: expected an api_key from -128 to 127, found %s", made->where, found(text));
  for (size_t i = 0; i < file->count; i++)
    if (file->schemas[i]->direction == made->direction && file->schemas[i]->api_key == made->api_key)
      return refuse(text, SB_INVALID_ARGUMENT, NULL, "messages %s and %s both are %s with api_key %d", file->schemas[i]->name, made->name,
                    made->direction == SB_DIRECTION_REQUEST ? "requests" : "responses", made->api_key);
  return expect(text, "{", made->where);
}

static sb_status read_field(reader *text, message *made) {
  char *name = made->field_names[made->field_count];
  memcpy(name, text->word, sizeof text->word);
  for (size_t i = 0; i < made->field_count; i++)
    if (strcmp(made->field_names[i], name) == 0)
      return refuse(text, SB_INVALID_ARGUMENT, name, "%s has two fields called %s", made->where, name);
  int32_t type = 0;
  sb_status status = read_type(text, made->where, name, &type);
  if (status == SB_OK) status = expect(text, ";", made->where);
  if (status != SB_OK) return status;
  made->fields[made->field_count++] = (sb_schema_field){.name = name, .type = type};
  return SB_OK;
}

static sb_status read_fields(reader *text, message *made) {
  for (made->field_count = 0;;) {
    next_word(text);
    if (word_is(text, "}")) return SB_OK;
    sb_status status = check_name(text, made->where, "a field's name or }");
    if (status == SB_OK && made->field_count == SB_SCHEMA_FIELDS_MAX)
      status = refuse(text, SB_TOO_LARGE, NULL, "%s has more than %d fields", made->where, SB_SCHEMA_FIELDS_MAX);
    if (status == SB_OK) status = read_field(text, made);
    if (status != SB_OK) return status;
  }
}

static sb_status add_schema(sb_schema_file *file, reader *text, const message *made) {
  if (file->count == file->capacity) {
    size_t capacity = file->capacity * 2 + 4;
    sb_schema **larger = realloc(file->schemas, capacity * sizeof(sb_schema *));
    if (larger == NULL) return refuse(text, SB_NO_MEMORY, NULL, "no memory for %s", made->where);
    file->schemas = larger;
    file->capacity = capacity;
  }
  sb_error why;
  sb_status status = sb_schema_open(made->name, made->direction, made->api_key, made->fields, made->field_count,
                                    &file->schemas[file->count], &why);
  if (status != SB_OK) return refuse(text, status, why.field, "%.150s", why.message);
  file->count++;
  return SB_OK;
}

static sb_status read_messages(reader *text, sb_schema_file *file) {
  message *made = malloc(sizeof *made);
  if (made == NULL) return refuse(text, SB_NO_MEMORY, NULL, "no memory to read a schema file");
  sb_status status = SB_OK;
  for (next_word(text); status == SB_OK && text->word[0] != '\0'; next_word(text)) {
    if (!word_is(text, "message")) {
      status = refuse(text, SB_INVALID_ARGUMENT, NULL, "expected message, found %s", found(text));
      break;
    }
    status = read_head(text, file, made);
    if (status == SB_OK) status = read_fields(text, made);
    if (status == SB_OK) status = add_schema(file, text, made);
    if (status != SB_OK) break;
  }
  free(made);
  return status;
}

sb_status sb_schema_file_open(const void *text, size_t size, const char *name, sb_schema_file **file, sb_error *error) {
  reader words = {.at = text,
                  .text = text,
                  .word_at = text,
                  .name = name != NULL && name[0] != '\0' ? name : "schema",
                  .line = 1,
                  .word_line = 1,
                  .error = error};
  if (file == NULL || (text == NULL && size > 0))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "text and the place to store the file must not be NULL");
  if (size > SB_SCHEMA_FILE_SIZE_MAX)
    return refuse(&words, SB_TOO_LARGE, NULL, "the text has %zu bytes, more than %d", size, SB_SCHEMA_FILE_SIZE_MAX);
  sb_schema_file *made = calloc(1, sizeof *made);
  if (made == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for a schema file");
  words.end = size > 0 ? words.at + size : words.at;
  sb_status status = read_messages(&words, made);
  if (status != SB_OK) {
    sb_schema_file_close(made);
    return status;
  }
  *file = made;
  return SB_OK;
}

size_t sb_schema_file_count(const sb_schema_file *file) { return file != NULL ? file->count : 0; }

sb_status sb_schema_file_get(const sb_schema_file *file, size_t index, sb_schema **schema) {
  if (file == NULL || schema == NULL) return SB_INVALID_ARGUMENT;
  if (index >= file->count) return SB_OUT_OF_RANGE;
  *schema = sb_schema_retain(file->schemas[index]);
  return SB_OK;
}

sb_status sb_schema_file_find(const sb_schema_file *file, const char *name, sb_schema **schema) {
  if (file == NULL || name == NULL || schema == NULL) return SB_INVALID_ARGUMENT;
  for (size_t i = 0; i < file->count; i++)
    if (strcmp(file->schemas[i]->name, name) == 0) return sb_schema_file_get(file, i, schema);
  return SB_NOT_FOUND;
}

void sb_schema_file_close(sb_schema_file *file) {
  if (file == NULL) return;
  for (size_t i = 0; i < file->count; i++) sb_schema_close(file->schemas[i]);
  free(file->schemas);
  free(file);
}
