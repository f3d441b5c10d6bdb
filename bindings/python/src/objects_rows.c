/* Rows: messages that were read, as objects that make a field's value when somebody asks for it. A row is 48 bytes that point into the
 * content of a batch, so making one costs less than making any of its values would.
 *
 * Rows hold no object that could hold them: they can form no cycle, and the garbage collector need not know of them. For the same reason
 * nothing can be set on them.
 *
 * The content of a parse is what its rows and the Batch own together. While the Batch still has it, it lies in the Batch's own sb_batch;
 * before the Batch changes, the content moves to a spare sb_batch if rows are left, which is an exchange of pointers: what rows point at
 * stays where it is. The spare one is used again when its last row goes, so that its memory need not be made for every parse.
 *
 * Invariant: content->owners is the number of rows that point to it, and one more while a Batch has it (content->moved is false). */

#include "objects.h"

enum {
  ROWS_KEPT_MAX = 2048,   /* free rows, 64 bytes each with the collector's head */
  SPARES_KEPT_MAX = 4,    /* batches without content */
  SPARE_ROWS_MAX = 16384, /* rows of the largest batch that is kept as a spare one */
  LONG_ARRAY_MIN = 32,    /* items from which a list is made by way of array.array */
};

struct Content {
  Py_ssize_t owners;
  sb_batch *batch;  /* whose memory is shown; NULL for a row that was made of Python's values */
  bool moved;       /* the batch belongs to the content alone */
  PyObject *shapes; /* tuple of Shape, one per schema of the parser */
  Values memory;    /* a row of its own: what it shows */
  sb_row head;      /* the same */
};

static PyTypeObject *row_type;   /* Row */
static PyTypeObject *shape_type; /* Shape */
static PyTypeObject *field_type; /* Field */
static PyObject *sequence_name;
static PyObject *tolist_name;
static PyObject *array_type; /* array.array */

/* Under the GIL, as all of this file. */
static Row *free_rows;
static Py_ssize_t free_row_count;
static sb_batch *spares[SPARES_KEPT_MAX];
static int spare_count;

PyTypeObject *rows_type(void) { return row_type; }

/* ---- contents ---- */

static sb_batch *spare_get(void) {
  if (spare_count > 0) return spares[--spare_count];
  sb_batch *batch = NULL;
  return sb_batch_open(&batch) == SB_OK ? batch : NULL;
}

static void spare_put(sb_batch *batch) {
  if (spare_count == SPARES_KEPT_MAX || sb_batch_row_count(batch) > SPARE_ROWS_MAX) {
    sb_batch_close(batch);
    return;
  }
  sb_batch_clear(batch);
  spares[spare_count++] = batch;
}

static void content_release(Content *content, Py_ssize_t owners) {
  content->owners -= owners;
  if (content->owners > 0) return;
  if (content->moved) spare_put(content->batch);
  values_release(&content->memory);
  Py_XDECREF(content->shapes);
  PyMem_Free(content);
}

static Content *content_new(PyObject *shapes) {
  Content *content = PyMem_Calloc(1, sizeof *content);
  if (content == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  content->owners = 1;
  content->shapes = Py_NewRef(shapes);
  return content;
}

int batch_keep_rows(Batch *batch) {
  Content *content = batch->content;
  if (content == NULL) return 0;
  if (content->owners > 1) {
    sb_batch *spare = spare_get();
    if (spare == NULL) {
      PyErr_NoMemory();
      return -1;
    }
    sb_batch_swap(batch->exporter.address, spare);
    content->batch = spare;
    content->moved = true;
  }
  batch->content = NULL;
  content_release(content, 1);
  return 0;
}

void batch_end(Batch *batch) {
  Content *content = batch->content;
  sb_batch *address = batch->exporter.address;
  batch->exporter.address = NULL;
  batch->content = NULL;
  if (content != NULL && content->owners > 1) { /* it lies in this very batch, which is the rows' from now on */
    content->moved = true;
    address = NULL;
  }
  if (content != NULL) content_release(content, 1);
  sb_batch_close(address);
}

/* ---- shapes ---- */

/* `common` is the class of all messages. */
static PyObject *shape_read(Shape *self, PyObject *fields, PyObject *common) {
  self->count = PyTuple_Size(fields);
  self->types = PyMem_Calloc((size_t)self->count + 1, 1);
  self->names = PyTuple_New(self->count);
  if (self->types == NULL || self->names == NULL) return PyErr_NoMemory();
  for (Py_ssize_t i = 0; i < self->count; i++) {
    PyObject *name = NULL;
    int type = 0;
    if (!PyArg_ParseTuple(PyTuple_GetItem(fields, i), "Ui;a field is a name and a type", &name, &type)) return NULL;
    if (type < SB_TYPE_INT8 || type > SB_TYPE_ARRAY_STRING) return PyErr_Format(PyExc_ValueError, "%d is no type of a field", type);
    Py_INCREF(name);
    PyUnicode_InternInPlace(&name);
    if (PyTuple_SetItem(self->names, i, name) != 0) return NULL;
    self->types[i] = (uint8_t)type;
    PyObject *taken = PyObject_GetAttr(common, name);
    if (i < NAMES_SCANNED_MAX) self->scanned[self->scanned_count++] = taken == NULL ? name : NULL;
    Py_XDECREF(taken);
    PyErr_Clear();
  }
  return (PyObject *)self;
}

static int has_number(PyTypeObject *type, const char *name, long number) {
  PyObject *found = PyObject_GetAttrString((PyObject *)type, name);
  if (found == NULL) return -1;
  const long value = PyLong_AsLong(found);
  Py_DECREF(found);
  return value == number;
}

/* Whether rows of that class have nothing but what Row has. CPython gives every class of Python's own, which messages have, the collector's
 * head, so the free list keeps rows with one. */
static int is_plain(PyTypeObject *type) {
  const int size = has_number(type, "__basicsize__", sizeof(Row));
  const int no_dict = has_number(type, "__dictoffset__", 0);
  const int no_weak = has_number(type, "__weakrefoffset__", 0);
  if (size < 0 || no_dict < 0 || no_weak < 0) return -1;
  return size && no_dict && no_weak && (PyType_GetFlags(type) & Py_TPFLAGS_HAVE_GC) != 0;
}

static PyObject *shape_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  static char *names[] = {"name", "fields", "row_type", "fields_only", NULL};
  PyObject *name = NULL, *fields = NULL, *made = NULL;
  int fields_only = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "UO!O!p:Shape", names, &name, &PyTuple_Type, &fields, &PyType_Type, &made, &fields_only))
    return NULL;
  if (!PyType_IsSubtype((PyTypeObject *)made, row_type)) {
    PyErr_SetString(PyExc_TypeError, "row_type: a class of rows is needed");
    return NULL;
  }
  const int plain = is_plain((PyTypeObject *)made);
  if (plain < 0) return NULL;
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  Shape *self = (Shape *)allocate(type, 0);
  if (self == NULL) return NULL;
  self->name = Py_NewRef(name);
  self->row_type = Py_NewRef(made);
  self->is_plain = (char)plain;
  self->fields_only = (char)fields_only;
  PyObject *common = PyObject_GetAttrString(made, "__base__");
  if (common == NULL || shape_read(self, fields, common) == NULL) Py_CLEAR(self);
  Py_XDECREF(common);
  return (PyObject *)self;
}

static void shape_dealloc(PyObject *object) {
  Shape *self = (Shape *)object;
  PyTypeObject *type = Py_TYPE(object);
  Py_XDECREF(self->name);
  Py_XDECREF(self->names);
  Py_XDECREF(self->row_type);
  PyMem_Free(self->types);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(object);
  Py_DECREF(type);
}

int shape_check(PyObject *object) {
  if (PyObject_TypeCheck(object, shape_type)) return 0;
  PyErr_SetString(PyExc_TypeError, "a Shape is needed");
  return -1;
}

bool shapes_are_same(const Shape *one, const Shape *other) {
  if (one == other) return true;
  return one->count == other->count && memcmp(one->types, other->types, (size_t)one->count) == 0 &&
         PyUnicode_Compare(one->name, other->name) == 0 && PyObject_RichCompareBool(one->names, other->names, Py_EQ) == 1;
}

static PyMemberDef shape_members[] = {
    {"name", T_OBJECT, offsetof(Shape, name), READONLY, "The name of the messages."},
    {"names", T_OBJECT, offsetof(Shape, names), READONLY, "The names of the fields."},
    {"row_type", T_OBJECT, offsetof(Shape, row_type), READONLY, "The class of the rows."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot shape_slots[] = {
    {Py_tp_doc, "What a schema says: Shape(name, ((field, type), ...), row_type, fields_only)."},
    {Py_tp_new, shape_new},
    {Py_tp_dealloc, shape_dealloc},
    {Py_tp_members, shape_members},
    {0, NULL},
};

static PyType_Spec shape_spec = {"samebytes._objects.Shape", sizeof(Shape), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, shape_slots};

/* ---- values ---- */

/* A list by one call of CPython: the limited API fills one with two calls per item, which is most of the time of a long array. */
static PyObject *long_integers_list(const sb_value *value, uint8_t type) {
  static const char codes[] = {'b', 'h', 'i', 'q'};
  const int width_log2 = type - SB_TYPE_ARRAY_INT8;
  PyObject *array = PyObject_CallFunction(array_type, "Cy#", codes[width_log2], value->data, (Py_ssize_t)(value->size << width_log2));
  PyObject *list = array == NULL ? NULL : PyObject_CallMethodObjArgs(array, tolist_name, NULL);
  Py_XDECREF(array);
  return list;
}

static PyObject *integers_list(const sb_value *value, uint8_t type) {
  if (value->size >= LONG_ARRAY_MIN) return long_integers_list(value, type);
  PyObject *list = PyList_New((Py_ssize_t)value->size);
  for (size_t i = 0; list != NULL && i < value->size; i++) {
    PyObject *item = NULL;
    switch (type) {
    case SB_TYPE_ARRAY_INT8: item = PyLong_FromLong(((const int8_t *)value->data)[i]); break;
    case SB_TYPE_ARRAY_INT16: item = PyLong_FromLong(((const int16_t *)value->data)[i]); break;
    case SB_TYPE_ARRAY_INT32: item = PyLong_FromLong(((const int32_t *)value->data)[i]); break;
    default: item = PyLong_FromLongLong(((const int64_t *)value->data)[i]);
    }
    if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) != 0) Py_CLEAR(list);
  }
  return list;
}

static PyObject *strings_list(const sb_value *value) {
  const sb_bytes *strings = value->data;
  PyObject *list = PyList_New((Py_ssize_t)value->size);
  for (size_t i = 0; list != NULL && i < value->size; i++) {
    PyObject *item = PyBytes_FromStringAndSize(strings[i].data, (Py_ssize_t)strings[i].size);
    if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) != 0) Py_CLEAR(list);
  }
  return list;
}

PyObject *row_value(const Row *row, Py_ssize_t field) {
  const sb_value *value = &row->values[field];
  const uint8_t type = row->shape->types[field];
  if (type <= SB_TYPE_INT64) return PyLong_FromLongLong(value->number);
  if (type == SB_TYPE_STRING) return PyBytes_FromStringAndSize(value->data, (Py_ssize_t)value->size);
  return type == SB_TYPE_ARRAY_STRING ? strings_list(value) : integers_list(value, type);
}

/* A tuple of the fields, behind the first `heads` items, which the caller sets. */
static PyObject *fields_behind(const Row *row, Py_ssize_t heads) {
  PyObject *all = PyTuple_New(heads + row->shape->count);
  for (Py_ssize_t i = 0; all != NULL && i < row->shape->count; i++) {
    PyObject *value = row_value(row, i);
    if (value == NULL || PyTuple_SetItem(all, heads + i, value) != 0) Py_CLEAR(all);
  }
  return all;
}

PyObject *row_fields(const Row *row) { return fields_behind(row, 0); }

/* What a row unpacks to. */
static PyObject *row_tuple(const Row *row) {
  if (row->shape->fields_only) return row_fields(row);
  PyObject *all = fields_behind(row, 2);
  if (all == NULL) return NULL;
  if (PyTuple_SetItem(all, 0, PyLong_FromLong(row->head->api_key)) == 0 &&
      PyTuple_SetItem(all, 1, PyLong_FromLong(row->head->sequence)) == 0)
    return all;
  Py_DECREF(all);
  return NULL;
}

/* ---- Row ---- */

/* A new row without anything in it. */
static Row *row_allocate(const Shape *shape) {
  PyTypeObject *type = (PyTypeObject *)shape->row_type;
  if (shape->is_plain && free_rows != NULL) {
    Row *row = free_rows;
    free_rows = (Row *)row->content;
    free_row_count--;
    return (Row *)PyObject_Init((PyObject *)row, type);
  }
  /* The class that it stands for may have room for a __dict__, which stays empty. */
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  PyObject *row = allocate(type, 0);
  if (row != NULL && PyObject_GC_IsTracked(row)) PyObject_GC_UnTrack(row);
  return (Row *)row;
}

static void row_dealloc(PyObject *object) {
  Row *self = (Row *)object;
  PyTypeObject *type = Py_TYPE(object);
  const bool kept = self->content != NULL && self->shape->is_plain && free_row_count < ROWS_KEPT_MAX;
  if (self->content != NULL) content_release(self->content, 1);
  if (kept) {
    self->content = (Content *)free_rows;
    free_rows = self;
    free_row_count++;
  } else {
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
  }
  Py_DECREF(type);
}

static PyObject *row_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  (void)args, (void)keywords;
  return PyErr_Format(PyExc_TypeError, "%R is not made by calling it: parsers make messages", (PyObject *)type);
}

static PyObject *row_getattro(PyObject *object, PyObject *name) {
  const Row *self = (const Row *)object;
  const Shape *shape = self->shape;
  for (Py_ssize_t i = 0; i < shape->scanned_count; i++)
    if (shape->scanned[i] == name) return row_value(self, i);
  if (name == sequence_name) return PyLong_FromLong(self->head->sequence);
  PyObject *found = PyObject_GenericGetAttr(object, name);
  if (found != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) return found;
  PyErr_Clear();
  PyObject *comma = PyUnicode_FromString(", ");
  PyObject *names = comma == NULL ? NULL : PyUnicode_Join(comma, shape->names);
  if (names != NULL) {
    const bool none = shape->count == 0;
    PyErr_Format(PyExc_AttributeError, "%U has no field %R; it has: %U%s", shape->name, name, names, none ? "none" : "");
  }
  Py_XDECREF(comma);
  Py_XDECREF(names);
  return NULL;
}

static int row_setattro(PyObject *object, PyObject *name, PyObject *value) {
  (void)value;
  PyErr_Format(PyExc_AttributeError, "%U: a message that was read cannot be changed, %R neither", ((Row *)object)->shape->name, name);
  return -1;
}

static PyObject *row_iter(PyObject *object) {
  PyObject *all = row_tuple((Row *)object);
  PyObject *iterator = all == NULL ? NULL : PyObject_GetIter(all);
  Py_XDECREF(all);
  return iterator;
}

static Py_ssize_t row_length(PyObject *object) {
  const Shape *shape = ((Row *)object)->shape;
  return shape->count + (shape->fields_only ? 0 : 2);
}

static size_t item_width(uint8_t type) {
  switch (type) {
  case SB_TYPE_ARRAY_INT16: return 2;
  case SB_TYPE_ARRAY_INT32: return 4;
  case SB_TYPE_ARRAY_INT64: return 8;
  default: return 1;
  }
}

static bool same_bytes(const void *one, const void *other, size_t size) { return size == 0 || memcmp(one, other, size) == 0; }

static bool same_value(uint8_t type, const sb_value *one, const sb_value *other) {
  if (one->number != other->number || one->size != other->size) return false;
  if (type <= SB_TYPE_INT64) return true;
  if (type != SB_TYPE_ARRAY_STRING) return same_bytes(one->data, other->data, one->size * item_width(type));
  const sb_bytes *ours = one->data, *theirs = other->data;
  for (size_t i = 0; i < one->size; i++)
    if (ours[i].size != theirs[i].size || !same_bytes(ours[i].data, theirs[i].data, ours[i].size)) return false;
  return true;
}

static PyObject *row_compare(PyObject *object, PyObject *other, int operation) {
  if ((operation != Py_EQ && operation != Py_NE) || !PyObject_TypeCheck(other, row_type)) Py_RETURN_NOTIMPLEMENTED;
  const Row *one = (Row *)object, *two = (Row *)other;
  bool same = one->head->api_key == two->head->api_key && one->head->sequence == two->head->sequence;
  same = same && shapes_are_same(one->shape, two->shape);
  for (Py_ssize_t i = 0; same && i < one->shape->count; i++) same = same_value(one->shape->types[i], &one->values[i], &two->values[i]);
  return PyBool_FromLong(same == (operation == Py_EQ));
}

static Py_hash_t row_hash(PyObject *object) {
  const Row *self = (Row *)object;
  uint64_t hash = (uint64_t)PyObject_Hash(self->shape->name) ^ (uint64_t)(uint8_t)self->head->api_key << 8 ^ (uint8_t)self->head->sequence;
  for (Py_ssize_t i = 0; i < self->shape->count; i++) {
    hash = (hash ^ (uint64_t)self->values[i].number ^ self->values[i].size) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  return (Py_hash_t)hash == -1 ? -2 : (Py_hash_t)hash;
}

static PyObject *row_get_stream_offset(PyObject *object, void *closure) {
  (void)closure;
  return PyLong_FromLongLong(((Row *)object)->head->stream_offset);
}

static PyObject *row_get_api_key(PyObject *object, void *closure) {
  (void)closure;
  return PyLong_FromLong(((Row *)object)->head->api_key);
}

static PyObject *row_get_sequence(PyObject *object, void *closure) {
  (void)closure;
  return PyLong_FromLong(((Row *)object)->head->sequence);
}

static PyObject *row_get_shape(PyObject *object, void *closure) {
  (void)closure;
  return Py_NewRef((PyObject *)((Row *)object)->shape);
}

static PyObject *row_field_dict(PyObject *object, PyObject *unused) {
  (void)unused;
  const Row *self = (Row *)object;
  PyObject *fields = PyDict_New();
  for (Py_ssize_t i = 0; fields != NULL && i < self->shape->count; i++) {
    PyObject *value = row_value(self, i);
    if (value == NULL || PyDict_SetItem(fields, PyTuple_GetItem(self->shape->names, i), value) != 0) Py_CLEAR(fields);
    Py_XDECREF(value);
  }
  return fields;
}

static PyObject *row_values(PyObject *object, PyObject *unused) {
  (void)unused;
  return row_fields((Row *)object);
}

static PyGetSetDef row_getset[] = {
    {"stream_offset", row_get_stream_offset, NULL, "Where the frame began in the stream, in bytes.", NULL},
    {"api_key", row_get_api_key, NULL, "The api_key of the frame.", NULL},
    {"sequence", row_get_sequence, NULL, "The sequence of the frame.", NULL},
    {"_shape", row_get_shape, NULL, "What its schema says.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef row_methods[] = {
    {"fields", row_field_dict, METH_NOARGS, "The fields by name, without api_key and sequence."},
    {"_values", row_values, METH_NOARGS, "The values of the fields."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot row_slots[] = {
    {Py_tp_doc, "One message that was read."},
    {Py_tp_new, row_new},
    {Py_tp_dealloc, row_dealloc},
    {Py_tp_getattro, row_getattro},
    {Py_tp_setattro, row_setattro},
    {Py_tp_iter, row_iter},
    {Py_sq_length, row_length},
    {Py_tp_richcompare, row_compare},
    {Py_tp_hash, row_hash},
    {Py_tp_getset, row_getset},
    {Py_tp_methods, row_methods},
    {0, NULL},
};

static PyType_Spec row_spec = {"samebytes._objects.Row", sizeof(Row), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, row_slots};

/* ---- Field: a field as an attribute of the class of its rows ---- */

typedef struct {
  PyObject_HEAD
  Py_ssize_t index;
} Field;

static PyObject *field_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  static char *names[] = {"index", NULL};
  Py_ssize_t index = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "n:Field", names, &index)) return NULL;
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  Field *self = (Field *)allocate(type, 0);
  if (self != NULL) self->index = index;
  return (PyObject *)self;
}

static void field_dealloc(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(object);
  Py_DECREF(type);
}

static PyObject *field_get(PyObject *object, PyObject *row, PyObject *owner) {
  (void)owner;
  if (row == NULL || row == Py_None) return Py_NewRef(object);
  const Py_ssize_t index = ((Field *)object)->index;
  if (PyObject_TypeCheck(row, row_type) && index >= 0 && index < ((Row *)row)->shape->count) return row_value((Row *)row, index);
  PyErr_SetString(PyExc_TypeError, "a field belongs to rows of its own class");
  return NULL;
}

static int field_set(PyObject *object, PyObject *row, PyObject *value) {
  (void)object, (void)row, (void)value;
  PyErr_SetString(PyExc_AttributeError, "a message that was read cannot be changed");
  return -1;
}

static PyType_Slot field_slots[] = {
    {Py_tp_doc, "A field of a message."}, {Py_tp_new, field_new},       {Py_tp_dealloc, field_dealloc},
    {Py_tp_descr_get, field_get},         {Py_tp_descr_set, field_set}, {0, NULL},
};

static PyType_Spec field_spec = {"samebytes._objects.Field", sizeof(Field), 0, Py_TPFLAGS_DEFAULT, field_slots};

/* ---- rows of a batch ---- */

static int check_shapes(PyObject *shapes) {
  for (Py_ssize_t i = 0; i < PyTuple_Size(shapes); i++)
    if (shape_check(PyTuple_GetItem(shapes, i)) != 0) return -1;
  return 0;
}

/* The content of a batch; NULL is an exception. */
static Content *batch_content(Batch *batch, PyObject *shapes) {
  if (batch->exporter.address == NULL) {
    raise_error("ClosedError", "this Batch has been closed");
    return NULL;
  }
  if (batch->content != NULL) return batch->content;
  if (check_shapes(shapes) != 0) return NULL;
  Content *content = content_new(shapes);
  if (content != NULL) content->batch = batch->exporter.address;
  return batch->content = content;
}

static int wrong_schemas(void) {
  PyErr_SetString(PyExc_ValueError, "the batch was not filled by a parser of these schemas");
  return -1;
}

static PyObject *make_row(Content *content, Shape *shape, const sb_row *head, const sb_value *values) {
  Row *row = row_allocate(shape);
  if (row == NULL) return NULL;
  row->content = content;
  row->shape = shape;
  row->head = head;
  row->values = values;
  content->owners++;
  return (PyObject *)row;
}

/* Rows in a list of as many; `values` are those of row 0, then those of row 1, and so on. */
static int fill_rows(PyObject *list, Content *content, const sb_row *heads, size_t count, const sb_value *values, size_t value_count) {
  Shape *shape = NULL;
  for (size_t i = 0; i < count; i++) {
    if (shape == NULL || heads[i].schema_index != heads[i - 1].schema_index)
      shape = (Shape *)PyTuple_GetItem(content->shapes, heads[i].schema_index);
    if (shape == NULL) return -1;
    if ((size_t)shape->count > value_count) return wrong_schemas();
    PyObject *row = make_row(content, shape, &heads[i], values);
    if (row == NULL || PyList_SetItem(list, (Py_ssize_t)i, row) != 0) return -1;
    values += shape->count;
    value_count -= (size_t)shape->count;
  }
  return value_count == 0 ? 0 : wrong_schemas();
}

static PyObject *batch_rows(PyObject *object, PyObject *shapes) {
  Batch *self = (Batch *)object;
  if (!PyTuple_Check(shapes)) return PyErr_Format(PyExc_TypeError, "shapes: a tuple is needed");
  Content *content = batch_content(self, shapes);
  if (content == NULL) return NULL;
  const sb_row *heads = NULL;
  const sb_value *values = NULL;
  size_t count = 0, value_count = 0;
  if (sb_batch_get_rows(content->batch, &heads, &count) != SB_OK) return PyErr_NoMemory();
  const sb_status status = sb_batch_get_all_values(content->batch, &values, &value_count);
  if (status == SB_CORRUPT)
    raise_error("CorruptError", "the frames of the batch have been changed since the parse");
  else if (status != SB_OK)
    (void)PyErr_NoMemory();
  if (status != SB_OK) return NULL;
  PyObject *list = PyList_New((Py_ssize_t)count);
  if (list != NULL && fill_rows(list, content, heads, count, values, value_count) != 0) Py_CLEAR(list);
  return list;
}

static PyObject *batch_keep(PyObject *object, PyObject *unused) {
  (void)unused;
  if (batch_keep_rows((Batch *)object) != 0) return NULL;
  Py_RETURN_NONE;
}

/* What a parser that hands out rows only does after each parse, in one call: how many bytes are missing, and the batch is empty. */
static PyObject *batch_settle(PyObject *object, PyObject *unused) {
  (void)unused;
  Batch *self = (Batch *)object;
  sb_batch *batch = self->exporter.address;
  if (batch == NULL || self->exporter.exports > 0 || sb_batch_error_count(batch) > 0) Py_RETURN_NONE;
  const size_t need = sb_batch_need(batch);
  if (batch_keep_rows(self) != 0) return NULL;
  sb_batch_clear(batch);
  return PyLong_FromSize_t(need);
}

PyMethodDef batch_methods[] = {
    {"_rows", batch_rows, METH_O, "A list of all rows; the argument is a tuple of Shapes, one per schema of the parser."},
    {"_parse", batch_parse, METH_O, "Parse into the batch: see objects_parser.c."},
    {"_column", batch_column, METH_VARARGS, "A part of a column: see objects_parser.c."},
    {"_columns", batch_columns, METH_VARARGS, "The columns of all fields of a schema's rows: see objects_parser.c."},
    {"_keep_rows", batch_keep, METH_NOARGS, "Let rows go on with what the batch has, before it changes."},
    {"_settle", batch_settle, METH_NOARGS, "Clear the batch, and return what need() was; None, and nothing is done, where it has errors."},
    {NULL, NULL, 0, NULL},
};

/* ---- a row of its own, as it comes out of a pickle ---- */

/* Longer arrays than a frame can have were not looked at: there is nothing behind their number. */
static int check_arrays(const Values *values, const Shape *shape) {
  for (Py_ssize_t i = 0; i < shape->count; i++) {
    if (shape->types[i] <= SB_TYPE_STRING || values->values[i].size <= SB_ARRAY_ITEMS_MAX) continue;
    PyErr_Format(PyExc_ValueError, "%U.%U: an array has at most %d items, not %zu", shape->name, PyTuple_GetItem(shape->names, i),
                 (int)SB_ARRAY_ITEMS_MAX, values->values[i].size);
    return -1;
  }
  return 0;
}

static PyObject *row_restored(PyObject *module, PyObject *args) {
  (void)module;
  PyObject *shape = NULL, *values = NULL;
  long long stream_offset = 0;
  int api_key = 0, sequence = 0;
  if (!PyArg_ParseTuple(args, "OLiiO!:row", &shape, &stream_offset, &api_key, &sequence, &PyTuple_Type, &values)) return NULL;
  if (shape_check(shape) != 0) return NULL;
  PyObject *shapes = PyTuple_Pack(1, shape);
  Content *content = shapes == NULL ? NULL : content_new(shapes);
  Py_XDECREF(shapes);
  if (content == NULL) return NULL;
  PyObject *row = NULL;
  content->head = (sb_row){.stream_offset = stream_offset, .api_key = (int8_t)api_key, .sequence = (int8_t)sequence};
  if (values_add_message(&content->memory, (Shape *)shape, values) == 0 && check_arrays(&content->memory, (Shape *)shape) == 0)
    row = make_row(content, (Shape *)shape, &content->head, content->memory.values);
  content_release(content, 1);
  return row;
}

static PyMethodDef rows_methods[] = {
    {"row", row_restored, METH_VARARGS, "A row of its own: row(shape, stream_offset, api_key, sequence, values)."},
    {NULL, NULL, 0, NULL},
};

int rows_add_types(PyObject *module) {
  sequence_name = PyUnicode_InternFromString("sequence");
  tolist_name = PyUnicode_InternFromString("tolist");
  PyObject *module_array = PyImport_ImportModule("array");
  array_type = module_array == NULL ? NULL : PyObject_GetAttrString(module_array, "array");
  Py_XDECREF(module_array);
  if (sequence_name == NULL || tolist_name == NULL || array_type == NULL) return -1;
  if (add_common_type(module, "Row", &row_spec, &row_type) != 0 || add_common_type(module, "Shape", &shape_spec, &shape_type) != 0)
    return -1;
  if (add_common_type(module, "Field", &field_spec, &field_type) != 0) return -1;
  return PyModule_AddFunctions(module, rows_methods);
}
