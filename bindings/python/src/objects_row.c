/* Row, Shape and Field of samebytes._objects: a message that was read, as an object that makes a field's value when somebody asks for it. A row
 * is 48 bytes that point into its content, so making one costs less than making any of its values would.
 *
 * Rows hold no object that could hold them: they can form no cycle, and the garbage collector need not know of them. For the same reason
 * nothing can be set on them.
 *
 * Invariant: content->owners is the number of rows that point to it, and of others who have it. */

#include "objects_row.h"

enum {
  ROWS_KEPT_MAX = 2048, /* free rows, 64 bytes each with the collector's head */
  LONG_ARRAY_MIN = 32,  /* items from which a list is made by way of array.array */
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

PyTypeObject *rows_type(void) { return row_type; }

/* ---- contents ---- */

void *content_new(size_t size, PyObject *shapes, void (*end)(Content *)) {
  Content *content = PyMem_Calloc(1, size);
  if (content == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  content->owners = 1;
  content->shapes = Py_NewRef(shapes);
  content->end = end;
  return content;
}

void content_release(Content *content, Py_ssize_t owners) {
  content->owners -= owners;
  if (content->owners > 0) return;
  PyObject *shapes = content->shapes;
  content->end(content);
  Py_XDECREF(shapes);
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
  Shape *self = object_alloc(type);
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
  Py_XDECREF(self->name);
  Py_XDECREF(self->names);
  Py_XDECREF(self->row_type);
  PyMem_Free(self->types);
  object_free(object);
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
  PyObject *row = object_alloc(type);
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
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
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

PyObject *row_make(Content *content, const Shape *shape, const sb_row *head, const sb_value *values) {
  Row *row = row_allocate(shape);
  if (row == NULL) return NULL;
  row->content = content;
  row->shape = shape;
  row->head = head;
  row->values = values;
  content->owners++;
  return (PyObject *)row;
}

/* ---- Field: a field as an attribute of the class of its rows ---- */

typedef struct {
  PyObject_HEAD
  Py_ssize_t index;
} Field;

static PyObject *field_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  static char *names[] = {"index", NULL};
  Py_ssize_t index = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "n:Field", names, &index)) return NULL;
  Field *self = object_alloc(type);
  if (self != NULL) self->index = index;
  return (PyObject *)self;
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
    {Py_tp_doc, "A field of a message."}, {Py_tp_new, field_new},       {Py_tp_dealloc, object_free},
    {Py_tp_descr_get, field_get},         {Py_tp_descr_set, field_set}, {0, NULL},
};

static PyType_Spec field_spec = {"samebytes._objects.Field", sizeof(Field), 0, Py_TPFLAGS_DEFAULT, field_slots};

int row_add_types(PyObject *module) {
  sequence_name = PyUnicode_InternFromString("sequence");
  tolist_name = PyUnicode_InternFromString("tolist");
  PyObject *module_array = PyImport_ImportModule("array");
  array_type = module_array == NULL ? NULL : PyObject_GetAttrString(module_array, "array");
  Py_XDECREF(module_array);
  if (sequence_name == NULL || tolist_name == NULL || array_type == NULL) return -1;
  if (add_common_type(module, "Row", &row_spec, &row_type) != 0 || add_common_type(module, "Shape", &shape_spec, &shape_type) != 0)
    return -1;
  return add_common_type(module, "Field", &field_spec, &field_type);
}
