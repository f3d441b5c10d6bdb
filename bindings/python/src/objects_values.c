/* Messages of Python's values, as C takes them: one pass over rows fills an array of sb_value, and one call adds them all.
 *
 * Only what is plain is taken here: ints, bytes-like objects, lists and tuples. For anything else the functions say False and have done
 * nothing; _codec.py then converts it, or raises what is wrong with it. So there is one place that words errors.
 *
 * Converting may run other people's code (__index__, __buffer__), and so may the library's providers of memory. Therefore everything that
 * is pointed at is held until values_release; what a container lends is held while it is converted, because the container may lose it; and
 * the builder is looked at, and in use, only when all is converted. */

#include "objects_values.h"

#include "objects_lock.h"

enum {
  CHUNK_MIN = 4096,           /* bytes */
  GIL_KEPT_MAX = 1024 * 1024, /* bytes that are added without letting other threads run */
};

static PyObject *sequence_name, *api_key_name, *address_name;

/* ---- memory ---- */

/* Makes `*items` hold one more than `count`. */
static int grow(void **items, Py_ssize_t *capacity, Py_ssize_t count, size_t item_size) {
  if (count < *capacity) return 0;
  const Py_ssize_t larger = *capacity > 0 ? *capacity * 2 : 16;
  void *moved = (size_t)larger > PY_SSIZE_T_MAX / item_size ? NULL : PyMem_Realloc(*items, (size_t)larger * item_size);
  if (moved == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  *items = moved;
  *capacity = larger;
  return 0;
}

static int hold(Values *all, PyObject *object) {
  if (grow((void **)&all->held, &all->held_capacity, all->held_count, sizeof *all->held) != 0) return -1;
  all->held[all->held_count++] = Py_NewRef(object);
  return 0;
}

/* Memory that stays where it is, aligned to 8 bytes. */
static void *get_memory(Values *all, size_t size) {
  size = size == 0 ? 8 : (size + 7) & ~(size_t)7;
  if (all->left < size) {
    size_t chunk_size = (size_t)CHUNK_MIN << (all->chunk_count < 10 ? all->chunk_count : 10);
    if (chunk_size < size) chunk_size = size;
    if (grow((void **)&all->chunks, &all->chunk_capacity, all->chunk_count, sizeof *all->chunks) != 0) return NULL;
    void *chunk = PyMem_Malloc(chunk_size);
    if (chunk == NULL) return PyErr_NoMemory();
    all->chunks[all->chunk_count++] = chunk;
    all->next = chunk;
    all->left = chunk_size;
  }
  void *data = all->next;
  all->next += size;
  all->left -= size;
  return data;
}

void values_release(Values *all) {
  for (Py_ssize_t i = 0; i < all->held_count; i++) Py_DECREF(all->held[i]);
  for (Py_ssize_t i = 0; i < all->buffer_count; i++) {
    PyBuffer_Release(all->buffers[i]);
    PyMem_Free(all->buffers[i]);
  }
  for (Py_ssize_t i = 0; i < all->chunk_count; i++) PyMem_Free(all->chunks[i]);
  PyMem_Free(all->held);
  PyMem_Free(all->buffers);
  PyMem_Free(all->chunks);
  PyMem_Free(all->sequences);
  PyMem_Free(all->values);
  memset(all, 0, sizeof *all);
}

/* ---- one value ---- */

static int integer_of(PyObject *object, int64_t *number) {
  int overflow = 0;
  PyObject *index = PyLong_Check(object) ? Py_NewRef(object) : PyNumber_Index(object);
  if (index == NULL) return -1;
  *number = PyLong_AsLongLongAndOverflow(index, &overflow);
  Py_DECREF(index);
  if (overflow != 0) PyErr_SetString(PyExc_OverflowError, "an integer is not from -2^63 to 2^63-1");
  return overflow != 0 || (*number == -1 && PyErr_Occurred()) ? -1 : 0;
}

/* The memory of a buffer, which stays locked until the end. */
static const Py_buffer *buffer_of(Values *all, PyObject *object, int flags) {
  if (grow((void **)&all->buffers, &all->buffer_capacity, all->buffer_count, sizeof *all->buffers) != 0) return NULL;
  Py_buffer *buffer = PyMem_Malloc(sizeof *buffer);
  if (buffer == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  if (PyObject_GetBuffer(object, buffer, flags) != 0) {
    PyMem_Free(buffer);
    return NULL;
  }
  return all->buffers[all->buffer_count++] = buffer;
}

static int string_of(Values *all, PyObject *object, const void **data, size_t *size) {
  if (PyBytes_Check(object)) {
    char *bytes = NULL;
    Py_ssize_t length = 0;
    if (PyBytes_AsStringAndSize(object, &bytes, &length) != 0 || hold(all, object) != 0) return -1;
    *data = bytes;
    *size = (size_t)length;
    all->bytes += *size;
    return 0;
  }
  if (PyUnicode_Check(object)) { /* some show their code points as a buffer */
    PyErr_SetString(PyExc_TypeError, "text is to be encoded");
    return -1;
  }
  const Py_buffer *buffer = buffer_of(all, object, PyBUF_SIMPLE);
  if (buffer == NULL) return -1;
  *data = buffer->buf != NULL ? buffer->buf : "";
  *size = (size_t)buffer->len;
  all->bytes += *size;
  return 0;
}

/* The items of a list or tuple, which the caller holds. Code of others may run between two of them, so that each is asked for by its index. */
static Py_ssize_t size_of(PyObject *items) {
  if (PyList_Check(items)) return PyList_Size(items);
  if (PyTuple_Check(items)) return PyTuple_Size(items);
  PyErr_SetString(PyExc_TypeError, "a list or tuple is needed");
  return -1;
}

static PyObject *borrowed_item(PyObject *items, Py_ssize_t index) {
  return PyTuple_Check(items) ? PyTuple_GetItem(items, index) : PyList_GetItem(items, index);
}

/* A new reference: while it is converted, the list may lose it. */
static PyObject *item_of(PyObject *items, Py_ssize_t index) { return Py_XNewRef(borrowed_item(items, index)); }

static int integer_of_item(PyObject *items, Py_ssize_t index, int64_t *number) {
  PyObject *item = borrowed_item(items, index);
  if (item == NULL || PyLong_CheckExact(item)) return item == NULL ? -1 : integer_of(item, number); /* which runs nobody's code */
  Py_INCREF(item);
  const int result = integer_of(item, number);
  Py_DECREF(item);
  return result;
}

static size_t width_of(uint8_t type) {
  switch (type) {
  case SB_TYPE_ARRAY_INT8: return 1;
  case SB_TYPE_ARRAY_INT16: return 2;
  case SB_TYPE_ARRAY_INT32: return 4;
  default: return 8;
  }
}

static int store_item(void *items, Py_ssize_t index, size_t width, int64_t number) {
  const int64_t most = (int64_t)(UINT64_MAX >> (65 - 8 * width));
  if (number > most || number < -most - 1) {
    PyErr_SetString(PyExc_OverflowError, "an item does not fit its array");
    return -1;
  }
  switch (width) {
  case 1: ((int8_t *)items)[index] = (int8_t)number; break;
  case 2: ((int16_t *)items)[index] = (int16_t)number; break;
  case 4: ((int32_t *)items)[index] = (int32_t)number; break;
  default: ((int64_t *)items)[index] = number;
  }
  return 0;
}

/* A buffer of just these integers. */
static int buffer_array(Values *all, PyObject *object, size_t width, sb_value *value) {
  const Py_buffer *buffer = buffer_of(all, object, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS);
  if (buffer == NULL) return -1;
  const char *format = buffer->format;
  if (buffer->ndim != 1 || (size_t)buffer->itemsize != width || format == NULL || strlen(format) != 1 || !strchr("bhilq", *format)) {
    PyErr_SetString(PyExc_TypeError, "other items than those of the array");
    return -1;
  }
  value->size = (size_t)buffer->len / width;
  value->data = buffer->buf;
  if ((uintptr_t)buffer->buf % width == 0) return 0;
  void *items = get_memory(all, (size_t)buffer->len);
  if (items == NULL) return -1;
  memcpy(items, buffer->buf, (size_t)buffer->len);
  value->data = items;
  return 0;
}

static int integers_of(Values *all, PyObject *object, size_t width, sb_value *value) {
  if (!PyList_Check(object) && !PyTuple_Check(object)) return buffer_array(all, object, width, value);
  const Py_ssize_t count = size_of(object);
  value->size = (size_t)count;
  if (count == 0 || count > SB_ARRAY_ITEMS_MAX) return 0; /* so many are refused without being looked at */
  void *items = get_memory(all, (size_t)count * width);
  if (items == NULL) return -1;
  value->data = items;
  for (Py_ssize_t i = 0; i < count; i++) {
    int64_t number = 0;
    if (integer_of_item(object, i, &number) != 0 || store_item(items, i, width, number) != 0) return -1;
  }
  return 0;
}

static int strings_of(Values *all, PyObject *object, sb_value *value) {
  const Py_ssize_t count = size_of(object);
  if (count < 0) return -1;
  value->size = (size_t)count;
  if (count == 0 || count > SB_ARRAY_ITEMS_MAX) return 0;
  sb_bytes *items = get_memory(all, (size_t)count * sizeof *items);
  if (items == NULL) return -1;
  value->data = items;
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *item = item_of(object, i);
    const int result = item == NULL ? -1 : string_of(all, item, &items[i].data, &items[i].size);
    Py_XDECREF(item);
    if (result != 0) return -1;
  }
  return 0;
}

static int value_of(Values *all, uint8_t type, PyObject *object, sb_value *value) {
  if (type <= SB_TYPE_INT64) return integer_of(object, &value->number);
  if (type == SB_TYPE_STRING) return string_of(all, object, &value->data, &value->size);
  return type == SB_TYPE_ARRAY_STRING ? strings_of(all, object, value) : integers_of(all, object, width_of(type), value);
}

/* ---- one message ---- */

/* Room for the values of one more message, which are counted when they are complete. */
static int make_room(Values *all, Py_ssize_t count) {
  while (all->capacity - all->count < count)
    if (grow((void **)&all->values, &all->capacity, all->capacity, sizeof *all->values) != 0) return -1;
  if (count > 0)
    memset(all->values + all->count, 0, (size_t)count * sizeof *all->values); /* there may be no memory before the first field */
  return 0;
}

/* A row of another parser shows memory that it keeps. */
static int add_row(Values *all, const Shape *shape, PyObject *message) {
  const Row *row = (const Row *)message;
  if (shapes_are_same(shape, row->shape)) {
    if (hold(all, message) != 0) return -1;
    if (shape->count > 0) memcpy(all->values + all->count, row->values, (size_t)shape->count * sizeof *all->values);
    all->count += shape->count;
    return 0;
  }
  PyObject *fields = row_fields(row);
  const int result = fields == NULL ? -1 : values_add_message(all, shape, fields);
  Py_XDECREF(fields);
  return result;
}

/* The value of a field: of a mapping by its key, of another object as its attribute. A new reference. */
static PyObject *named_value(PyObject *message, PyObject *name) {
  if (!PyDict_Check(message)) return PyObject_GetAttr(message, name);
  PyObject *value = PyDict_GetItemWithError(message, name);
  if (value == NULL && !PyErr_Occurred()) PyErr_SetObject(PyExc_KeyError, name);
  return Py_XNewRef(value);
}

static int add_named(Values *all, const Shape *shape, PyObject *message) {
  for (Py_ssize_t i = 0; i < shape->count; i++) {
    PyObject *value = named_value(message, PyTuple_GetItem(shape->names, i));
    const int result = value == NULL ? -1 : value_of(all, shape->types[i], value, &all->values[all->count + i]);
    Py_XDECREF(value);
    if (result != 0) return -1;
  }
  all->count += shape->count;
  return 0;
}

int values_add_message(Values *all, const Shape *shape, PyObject *message) {
  if (make_room(all, shape->count) != 0) return -1;
  if (!PyList_Check(message) && !PyTuple_Check(message)) {
    if (PyObject_TypeCheck(message, rows_type())) return add_row(all, shape, message);
    return add_named(all, shape, message);
  }
  if (size_of(message) != shape->count) {
    PyErr_SetString(PyExc_ValueError, "another number of values than of fields");
    return -1;
  }
  for (Py_ssize_t i = 0; i < shape->count; i++) {
    PyObject *item = item_of(message, i);
    const int result = item == NULL ? -1 : value_of(all, shape->types[i], item, &all->values[all->count + i]);
    Py_XDECREF(item);
    if (result != 0) return -1;
  }
  all->count += shape->count;
  return 0;
}

/* ---- sequences ---- */

static int add_sequence(Values *all, Py_ssize_t index, int64_t number) {
  if (number < INT8_MIN || number > INT8_MAX) {
    PyErr_SetString(PyExc_OverflowError, "a sequence is no int8");
    return -1;
  }
  if (grow((void **)&all->sequences, &all->sequence_capacity, index, 1) != 0) return -1;
  all->sequences[index] = (int8_t)number;
  return 0;
}

static int add_sequences(Values *all, PyObject *sequences, Py_ssize_t count) {
  if (!PyList_Check(sequences) && !PyTuple_Check(sequences)) {
    sb_value value = {0};
    if (buffer_array(all, sequences, 1, &value) != 0) return -1;
    if (value.size != (size_t)count) {
      PyErr_SetString(PyExc_ValueError, "another number of sequences than of messages");
      return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
      if (add_sequence(all, i, ((const int8_t *)value.data)[i]) != 0) return -1;
    return 0;
  }
  if (size_of(sequences) != count) {
    PyErr_SetString(PyExc_ValueError, "another number of sequences than of messages");
    return -1;
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    int64_t number = 0;
    if (integer_of_item(sequences, i, &number) != 0 || add_sequence(all, i, number) != 0) return -1;
  }
  return 0;
}

/* The number that a packet gives itself, or `otherwise`. */
static int own_number(PyObject *packet, PyObject *name, int64_t otherwise, int64_t *number) {
  *number = otherwise;
  const bool is_dict = PyDict_Check(packet);
  PyObject *value = is_dict ? Py_XNewRef(PyDict_GetItemWithError(packet, name)) : PyObject_GetAttr(packet, name);
  if (value == NULL) {
    if (is_dict) return PyErr_Occurred() ? -1 : 0;
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return -1;
    PyErr_Clear();
    return 0;
  }
  const int result = integer_of(value, number);
  Py_DECREF(value);
  return result;
}

/* A packet is a message that says its sequence itself, and perhaps its api_key: a row, a mapping, or an object with attributes. */
static int add_packet(Values *all, const Shape *shape, PyObject *packet, Py_ssize_t index, int8_t api_key) {
  int64_t sequence = 0, own_key = api_key;
  if (PyObject_TypeCheck(packet, rows_type())) {
    const Row *row = (const Row *)packet;
    if (!shapes_are_same(shape, row->shape) || row->head->api_key != api_key) {
      PyErr_SetString(PyExc_TypeError, "a message of another schema");
      return -1;
    }
    if (add_sequence(all, index, row->head->sequence) != 0) return -1;
    return values_add_message(all, shape, packet);
  }
  if (PyList_Check(packet) || PyTuple_CheckExact(packet)) {
    PyErr_SetString(PyExc_TypeError, "a packet has names");
    return -1;
  }
  if (own_number(packet, sequence_name, 0, &sequence) != 0) return -1;
  /* To find that an attribute is not there costs more than all else, and tuples with names are messages of one kind. */
  if (!PyTuple_Check(packet) && own_number(packet, api_key_name, api_key, &own_key) != 0) return -1;
  if (own_key != api_key) {
    PyErr_SetString(PyExc_ValueError, "a packet of another api_key");
    return -1;
  }
  if (add_sequence(all, index, sequence) != 0 || make_room(all, shape->count) != 0) return -1;
  return add_named(all, shape, packet);
}

/* ---- into a builder ---- */

/* Returns how many messages there are. */
static Py_ssize_t add_all(Values *all, const Shape *shape, int8_t api_key, PyObject *sequences, PyObject *messages) {
  const Py_ssize_t count = size_of(messages);
  if (count < 0) return -1;
  if (sequences != Py_None && add_sequences(all, sequences, count) != 0) return -1;
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *message = item_of(messages, i);
    if (message == NULL) return -1;
    const int result = sequences == Py_None ? add_packet(all, shape, message, i, api_key) : values_add_message(all, shape, message);
    Py_DECREF(message);
    if (result != 0) return -1;
  }
  return count;
}

/* Calls the library, without the GIL where it takes long. */
static sb_status add_values(sb_builder *builder, sb_schema *schema, const Values *all, size_t count, sb_error *error) {
  if (all->bytes + (size_t)all->count * sizeof *all->values <= GIL_KEPT_MAX)
    return sb_builder_add_rows(builder, schema, all->sequences, count, all->values, (size_t)all->count, error);
  sb_status status;
  Py_BEGIN_ALLOW_THREADS;
  status = sb_builder_add_rows(builder, schema, all->sequences, count, all->values, (size_t)all->count, error);
  Py_END_ALLOW_THREADS;
  return status;
}

/* What the library said, as the wrapper in Python takes it. */
static PyObject *told(sb_status status, const sb_error *error) {
  if (status == SB_OK) Py_RETURN_TRUE;
  return Py_BuildValue("iiLLLss", (int)error->status, (int)error->system_error, (long long)error->stream_offset,
                       (long long)error->frame_offset, (long long)error->frame, error->field, error->message);
}

/* What both functions below are given, and what they take of it. */
typedef struct {
  PyObject *builder, *schema, *shape, *sequences, *items; /* borrowed of the caller */
  sb_schema *kept;                                        /* an owner of the schema, who may close it meanwhile */
  Values values;
} Adding;

/* The handle of an object, without anybody's code between looking and the caller. */
static void *address_in(PyObject *handle) {
  PyObject *number = PyObject_GetAttr(handle, address_name);
  void *address = number == NULL ? NULL : PyLong_AsVoidPtr(number);
  Py_XDECREF(number);
  if (address == NULL && !PyErr_Occurred()) Py_XDECREF(handle_open(handle)); /* it says that it has been closed */
  if (address == NULL && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "the address is 0 (NULL)");
  return address;
}

static int adding_begin(Adding *self, PyObject *args, const char *name) {
  if (!PyArg_UnpackTuple(args, name, 5, 5, &self->builder, &self->schema, &self->shape, &self->sequences, &self->items)) return -1;
  if (shape_check(self->shape) != 0) return -1;
  sb_schema *schema = address_in(self->schema);
  if (schema == NULL) return -1;
  self->kept = sb_schema_retain(schema);
  if (sb_schema_field_count(self->kept) == (size_t)((Shape *)self->shape)->count) return 0;
  sb_schema_close(self->kept);
  PyErr_SetString(PyExc_ValueError, "a schema with its shape is needed");
  return -1;
}

static void adding_end(Adding *self) {
  sb_schema_close(self->kept);
  values_release(&self->values);
}

/* After an exception: NULL where it is to be raised, False where the wrapper finds out what is wrong. */
static PyObject *not_plain(Adding *self) {
  const bool raised = PyErr_ExceptionMatches(PyExc_MemoryError) || !PyErr_ExceptionMatches(PyExc_Exception);
  if (!raised) PyErr_Clear();
  adding_end(self);
  return raised ? NULL : Py_NewRef(Py_False);
}

/* The builder, in use from now on; everything has been converted. `lock` is for handle_end. */
static sb_builder *builder_begin(const Adding *self, PyObject **lock) {
  *lock = handle_begin(self->builder);
  sb_builder *builder = *lock == NULL ? NULL : address_in(self->builder);
  if (builder == NULL && *lock != NULL) handle_end(*lock);
  return builder;
}

static PyObject *add_messages(PyObject *module, PyObject *args) {
  (void)module;
  Adding self = {0};
  if (adding_begin(&self, args, "add_messages") != 0) return NULL;
  const Py_ssize_t count = add_all(&self.values, (Shape *)self.shape, sb_schema_api_key(self.kept), self.sequences, self.items);
  if (count < 0) return not_plain(&self);
  PyObject *lock = NULL;
  sb_error error;
  sb_status status = SB_CLOSED;
  sb_builder *builder = builder_begin(&self, &lock);
  if (builder != NULL) {
    status = add_values(builder, self.kept, &self.values, (size_t)count, &error);
    handle_end(lock);
  }
  adding_end(&self);
  return builder == NULL ? NULL : told(status, &error);
}

/* ---- columns ---- */

/* A buffer of integers with one of two widths (the same twice where there is one). */
static int integers_buffer(Values *all, PyObject *object, size_t width, size_t other, const void **data, size_t *size) {
  const Py_buffer *buffer = buffer_of(all, object, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS);
  if (buffer == NULL) return -1;
  const char *format = buffer->format;
  const bool aligned = (uintptr_t)buffer->buf % (buffer->itemsize > 0 ? (size_t)buffer->itemsize : 1) == 0;
  const bool fits = aligned && ((size_t)buffer->itemsize == width || (size_t)buffer->itemsize == other);
  if (buffer->ndim != 1 || !fits || format == NULL || strlen(format) != 1 || !strchr("bhilq", *format)) {
    PyErr_SetString(PyExc_TypeError, "other integers than those of the column");
    return -1;
  }
  *data = buffer->buf;
  *size = (size_t)buffer->len;
  return 0;
}

/* Offsets or lengths, which may be left out. */
static int places(Values *all, PyObject *object, size_t width, const void **data, size_t *count) {
  if (object == Py_None || (PyTuple_Check(object) && PyTuple_Size(object) == 0)) return 0;
  if (integers_buffer(all, object, width, width, data, count) != 0) return -1;
  *count /= width;
  return 0;
}

static int column_of(Values *all, uint8_t type, PyObject *given, sb_column *column) {
  if (type <= SB_TYPE_INT64)
    return integers_buffer(all, given, (size_t)1 << (type - SB_TYPE_INT8), sizeof(int64_t), &column->values, &column->size);
  if (!PyTuple_Check(given) || PyTuple_CheckExact(given) || PyTuple_Size(given) != 5) {
    PyErr_SetString(PyExc_TypeError, "no Column");
    return -1;
  }
  PyObject *values = PyTuple_GetItem(given, 0);
  const bool none = values == Py_None;
  if (type == SB_TYPE_STRING || type == SB_TYPE_ARRAY_STRING) {
    if (!none && string_of(all, values, &column->values, &column->size) != 0) return -1;
  } else if (!none && integers_buffer(all, values, width_of(type), width_of(type), &column->values, &column->size) != 0) {
    return -1;
  }
  const void *offsets = NULL, *lengths = NULL, *item_offsets = NULL, *item_lengths = NULL;
  if (places(all, PyTuple_GetItem(given, 1), 8, &offsets, &column->offset_count) != 0) return -1;
  if (places(all, PyTuple_GetItem(given, 2), 4, &lengths, &column->length_count) != 0) return -1;
  if (places(all, PyTuple_GetItem(given, 3), 8, &item_offsets, &column->item_offset_count) != 0) return -1;
  if (places(all, PyTuple_GetItem(given, 4), 4, &item_lengths, &column->item_length_count) != 0) return -1;
  column->offsets = offsets;
  column->lengths = lengths;
  column->item_offsets = item_offsets;
  column->item_lengths = item_lengths;
  return 0;
}

static int columns_of(Values *all, const Shape *shape, PyObject *given, sb_column **columns) {
  if (size_of(given) != shape->count) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "another number of columns than of fields");
    return -1;
  }
  *columns = get_memory(all, ((size_t)shape->count + 1) * sizeof **columns);
  if (*columns == NULL) return -1;
  memset(*columns, 0, (size_t)shape->count * sizeof **columns);
  for (Py_ssize_t i = 0; i < shape->count; i++) {
    PyObject *item = item_of(given, i);
    const int result = item == NULL ? -1 : column_of(all, shape->types[i], item, &(*columns)[i]);
    Py_XDECREF(item);
    if (result != 0) return -1;
  }
  return 0;
}

static PyObject *add_columns(PyObject *module, PyObject *args) {
  (void)module;
  Adding self = {0};
  if (adding_begin(&self, args, "add_columns") != 0) return NULL;
  const Shape *shape = (Shape *)self.shape;
  sb_column *columns = NULL;
  const Py_ssize_t count = PyObject_Size(self.sequences);
  if (count < 0 || add_sequences(&self.values, self.sequences, count) != 0 || columns_of(&self.values, shape, self.items, &columns) != 0)
    return not_plain(&self);
  PyObject *lock = NULL;
  sb_error error;
  sb_status status = SB_CLOSED;
  sb_builder *builder = builder_begin(&self, &lock);
  if (builder != NULL) {
    Py_BEGIN_ALLOW_THREADS;
    status = sb_builder_add_columns(builder, self.kept, self.values.sequences, (size_t)count, columns, (size_t)shape->count, &error);
    Py_END_ALLOW_THREADS;
    handle_end(lock);
  }
  adding_end(&self);
  return builder == NULL ? NULL : told(status, &error);
}

static PyMethodDef values_methods[] = {
    {"add_messages", add_messages, METH_VARARGS,
     "add_messages(builder, schema, shape, sequences, messages): True when all were added, False when nothing was because a value is none\n"
     "that is plain, and the fields of an Error when the library refused them. Without sequences (None) messages say them themselves."},
    {"add_columns", add_columns, METH_VARARGS,
     "add_columns(builder, schema, shape, sequences, columns): the same for columns, which are buffers and Columns of buffers."},
    {NULL, NULL, 0, NULL},
};

int values_add_functions(PyObject *module) {
  sequence_name = PyUnicode_InternFromString("sequence");
  api_key_name = PyUnicode_InternFromString("api_key");
  address_name = PyUnicode_InternFromString("_address");
  if (sequence_name == NULL || api_key_name == NULL || address_name == NULL) return -1;
  return PyModule_AddFunctions(module, values_methods);
}
