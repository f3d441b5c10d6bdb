#ifndef SAMEBYTES_SCHEMA_H
#define SAMEBYTES_SCHEMA_H

#include <samebytes/view.h>

SB_BEGIN_DECLS

/** # Schema: what a message is made of
 *
 *  A schema names a message, its direction, its api_key, and its fields in the order in which they lie in the frame. docs/wire-format.md
 *  states every byte. Builders and parsers are driven by schemas; Echo (echo.h) is defined by two of them.
 *
 *      const sb_schema_field fields[] = {{"time", SB_TYPE_INT64, 0}, {"tags", SB_TYPE_ARRAY_STRING, 0}};
 *      sb_schema *schema = NULL;
 *      sb_error error;
 *      if (sb_schema_open("Event", SB_DIRECTION_REQUEST, 7, fields, 2, &schema, &error) != SB_OK) fail(error.message);
 *
 *  ## Ownership
 *  Handles are counted. Builders and parsers keep the schemas they use alive.
 *
 *  ## Threads and fork
 *  A schema never changes; any thread may use it at any time.
 *
 *  ## Errors
 *  SB_INVALID_ARGUMENT with a message that names the schema and the field.
 *
 *  ## Limits
 *  Names have 1 to SB_FIELD_NAME_MAX bytes, a letter or `_` followed by letters, digits and `_`. A message has at most SB_SCHEMA_FIELDS_MAX fields. */

#define SB_SCHEMA_FIELDS_MAX 256

/** Which way a message goes. */
enum {
  SB_DIRECTION_REQUEST = 0,
  SB_DIRECTION_RESPONSE = 1
};

/** What a field holds. Integers are signed and big-endian on the wire; a string is int32 length and bytes; an array is int16 count and items. */
enum {
  SB_TYPE_INT8 = 1,
  SB_TYPE_INT16 = 2,
  SB_TYPE_INT32 = 3,
  SB_TYPE_INT64 = 4,
  SB_TYPE_STRING = 5,
  SB_TYPE_ARRAY_INT8 = 6,
  SB_TYPE_ARRAY_INT16 = 7,
  SB_TYPE_ARRAY_INT32 = 8,
  SB_TYPE_ARRAY_INT64 = 9,
  SB_TYPE_ARRAY_STRING = 10
};

typedef struct sb_schema sb_schema;

/** One field of a schema. Frozen: it never grows. */
typedef struct sb_schema_field {
  const char *name; /**< unique in its message */
  int32_t type;     /**< SB_TYPE_... */
  int32_t reserved; /**< 0 */
} sb_schema_field;

/** Bytes that lie somewhere. Frozen: it never grows. */
typedef struct sb_bytes {
  SB_NULLABLE SB_COUNT(size) const void *data; /**< NULL only where size is 0 */
  size_t size;                                 /**< bytes */
} sb_bytes;

/** One field's value, to write or as it was read. Frozen: it never grows.
 *
 *  | type | number | data | size |
 *  |---|---|---|---|
 *  | integer | the value | NULL | 0 |
 *  | string | 0 | the bytes | bytes |
 *  | array of an integer | 0 | the items in the machine's own byte order, aligned | items |
 *  | array of string | 0 | sb_bytes, one per item | items | */
typedef struct sb_value {
  int64_t number;               /**< see above */
  SB_NULLABLE const void *data; /**< see above */
  size_t size;                  /**< see above */
} sb_value;

/** Makes a schema.
 *
 *  Ownership: the caller closes `*schema`; names and fields are copied.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT for a wrong or repeated name, an unknown direction or type; SB_TOO_LARGE for too many fields; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_schema_open(SB_IN const char *name, int32_t direction, int8_t api_key,
                                               SB_IN SB_COUNT(field_count) const sb_schema_field *fields, size_t field_count,
                                               SB_OUT SB_OWNED sb_schema **schema, SB_OUT SB_NULLABLE sb_error *error);

/** Returns another owner of the same schema.
 *
 *  Ownership: the caller closes the result as well as `schema`.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD SB_OWNED sb_schema *sb_schema_retain(sb_schema *schema);

/** Returns the name of the message.
 *
 *  Ownership: valid until the last owner closes the schema.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BORROWED(schema) const char *sb_schema_name(const sb_schema *schema);

/** Returns the direction, SB_DIRECTION_REQUEST or SB_DIRECTION_RESPONSE.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD int32_t sb_schema_direction(const sb_schema *schema);

/** Returns the api_key.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD int8_t sb_schema_api_key(const sb_schema *schema);

/** Returns the number of fields.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_schema_field_count(const sb_schema *schema);

/** Stores name and type of the field at `index`.
 *
 *  Ownership: the name is valid until the last owner closes the schema.      Threads: any.
 *  Errors: SB_OUT_OF_RANGE when there is no such field.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_schema_get_field(const sb_schema *schema, size_t index, SB_OUT sb_schema_field *field);

/** Closes one owner's handle. NULL is allowed.
 *
 *  Ownership: takes `schema`.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_schema_close(SB_TAKES SB_NULLABLE sb_schema *schema);

SB_END_DECLS

#endif
