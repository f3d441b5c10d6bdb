#ifndef SAMEBYTES_SCHEMA_FILE_H
#define SAMEBYTES_SCHEMA_FILE_H

#include <samebytes/schema.h>

SB_BEGIN_DECLS

/** # Schema file: schemas as text that every language reads in the same way
 *
 *  A schema file lists messages. Programs in different languages that load the same file speak of the same messages.
 *
 *      # what a sensor says
 *      message Reading request 7 {
 *        time int64;
 *        sensor string;
 *        values array<int32>;
 *      }
 *      message Stored response 7 { id int32; }
 *
 *  A field is its name, its type (int8, int16, int32, int64, string, or array<T> with T one of these) and a semicolon. The api_key follows
 *  request or response: a decimal number from -128 to 127 with any number of digits. A `#` begins a comment that ends with the line. White
 *  space separates words and has no other meaning.
 *
 *      sb_schema_file *file = NULL;
 *      sb_schema *reading = NULL;
 *      sb_error error;
 *      if (sb_schema_file_open(text, size, "sensors.schema", &file, &error) != SB_OK) fail(error.message);
 *      if (sb_schema_file_find(file, "Reading", &reading) != SB_OK) fail("no message Reading");
 *      sb_schema_file_close(file);
 *
 *  ## Ownership
 *  The text is read by sb_schema_file_open and not kept. Schemas from a file outlive it.
 *
 *  ## Threads and fork
 *  A schema file never changes; any thread may use it at any time.
 *
 *  ## Errors
 *  A message such as `sensors.schema:4: message Reading: field values: there is no type int31`, and in stream_offset the byte of the text.
 *
 *  ## Limits
 *  A text has at most SB_SCHEMA_FILE_SIZE_MAX bytes; messages have different names, and different api_keys in each direction. */

#define SB_SCHEMA_FILE_SIZE_MAX 1048576 /* bytes */

typedef struct sb_schema_file sb_schema_file;

/** Reads the schemas that `text` describes.
 *
 *  Ownership: the caller closes `*file`; `text` and `name`, which messages mention (NULL or empty: "schema"), are borrowed for the call.
 *  Threads: any.
 *  Errors: SB_INVALID_ARGUMENT with line and reason when the text is wrong or a name or api_key is repeated; SB_TOO_LARGE for a text that
 *  is too long, or too many fields; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_schema_file_open(SB_IN SB_COUNT(size) const void *text, size_t size, SB_IN SB_NULLABLE const char *name,
                                                    SB_OUT SB_OWNED sb_schema_file **file, SB_OUT SB_NULLABLE sb_error *error);

/** Returns the number of schemas.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_schema_file_count(const sb_schema_file *file);

/** Makes another owner of the schema at `index`, in the order of the text.
 *
 *  Ownership: the caller closes `*schema`.      Threads: any.
 *  Errors: SB_OUT_OF_RANGE when there is no such schema.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_schema_file_get(const sb_schema_file *file, size_t index, SB_OUT SB_OWNED sb_schema **schema);

/** Makes another owner of the schema of the message called `name`.
 *
 *  Ownership: the caller closes `*schema`; `name` is borrowed for the call.      Threads: any.
 *  Errors: SB_NOT_FOUND when there is none.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_schema_file_find(const sb_schema_file *file, SB_IN const char *name, SB_OUT SB_OWNED sb_schema **schema);

/** Closes the file. NULL is allowed. Schemas that came from it stay valid.
 *
 *  Ownership: takes `file`.      Threads: any; nobody may use `file` during or after the call.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_schema_file_close(SB_TAKES SB_NULLABLE sb_schema_file *file);

SB_END_DECLS

#endif
