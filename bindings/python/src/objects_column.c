/* Column: integers, or bytes, that lie in a batch. It counts as one of the batch's exports from when it is made until its last buffer is
 * released, and shows nothing after that: so what it shows cannot change. */

#include "objects_column.h"

typedef struct {
  PyObject_HEAD
  void *address;
  Py_ssize_t count;
  Py_ssize_t item_size;
  Py_ssize_t exports;
  char format[2];
  Exporter *batch; /* NULL after the end */
} Column;

/* Raises TypeError for what has not the layout of a batch. */
static int is_batch(PyObject *object) {
  PyObject *objects = PyImport_ImportModule("samebytes._objects");
  PyObject *type = objects == NULL ? NULL : PyObject_GetAttrString(objects, "Batch");
  int result = type == NULL ? -1 : PyObject_IsInstance(object, type);
  if (result == 0) PyErr_SetString(PyExc_TypeError, "a column belongs to a Batch");
  Py_XDECREF(type);
  Py_XDECREF(objects);
  return result > 0;
}

static PyTypeObject *column_type;

static Column *column_open(PyTypeObject *type, Exporter *batch, const void *data, size_t size, size_t item_size, char format) {
  Column *self = object_alloc(type);
  if (self == NULL) return NULL;
  self->address = data != NULL ? (void *)data : (void *)"";
  self->count = (Py_ssize_t)(size / item_size);
  self->item_size = (Py_ssize_t)item_size;
  self->format[0] = format;
  self->batch = (Exporter *)Py_NewRef((PyObject *)batch);
  self->batch->exports++;
  return self;
}

PyObject *column_memory(Exporter *batch, const void *data, size_t size, size_t item_size, char format) {
  PyObject *column = (PyObject *)column_open(column_type, batch, data, size, item_size, format);
  PyObject *memory = column == NULL ? NULL : PyMemoryView_FromObject(column);
  Py_XDECREF(column);
  return memory;
}

static PyObject *column_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  static char *names[] = {"batch", "address", "size", "item_size", "format", NULL};
  PyObject *batch = NULL, *address = NULL;
  Py_ssize_t size = 0, item_size = 0;
  const char *format = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOnns:Column", names, &batch, &address, &size, &item_size, &format)) return NULL;
  void *data = PyLong_AsVoidPtr(address);
  if (data == NULL && PyErr_Occurred()) return NULL;
  if (!is_batch(batch)) return NULL;
  if (size < 0 || item_size < 1 || size % item_size != 0 || (data == NULL && size > 0) || strlen(format) != 1) {
    PyErr_SetString(PyExc_ValueError, "a column needs an address, a size in bytes that is a multiple of item_size, and a format");
    return NULL;
  }
  return (PyObject *)column_open(type, (Exporter *)batch, data, (size_t)size, (size_t)item_size, format[0]);
}

static int column_traverse(PyObject *object, visitproc visit, void *arg) {
  Py_VISIT((PyObject *)((Column *)object)->batch);
  Py_VISIT(Py_TYPE(object));
  return 0;
}

static int column_clear(PyObject *object) {
  Column *self = (Column *)object;
  Exporter *batch = self->batch;
  self->batch = NULL;
  if (batch != NULL) batch->exports--;
  Py_XDECREF((PyObject *)batch);
  return 0;
}

/* A column that is being shown is not taken away by the garbage collector, which clears the memoryview instead. */
static int column_collect(PyObject *object) { return ((Column *)object)->exports > 0 ? 0 : column_clear(object); }

static void column_dealloc(PyObject *self) {
  PyObject_GC_UnTrack(self);
  (void)column_clear(self);
  object_free(self);
}

static int column_getbuffer(PyObject *object, Py_buffer *buffer, int flags) {
  Column *self = (Column *)object;
  buffer->obj = NULL;
  if (self->batch == NULL) return raise_error("ClosedError", "the memoryview of this column has been released; ask the batch again");
  if (PyBuffer_FillInfo(buffer, object, self->address, self->count * self->item_size, 1, flags) != 0) return -1;
  buffer->itemsize = self->item_size;
  if (flags & PyBUF_FORMAT) buffer->format = self->format;
  if (flags & PyBUF_ND) buffer->shape = &self->count;
  if ((flags & PyBUF_STRIDES) == PyBUF_STRIDES) buffer->strides = &self->item_size;
  self->exports++;
  return 0;
}

static void column_releasebuffer(PyObject *object, Py_buffer *buffer) {
  (void)buffer;
  if (--((Column *)object)->exports == 0) (void)column_clear(object);
}

static PyType_Slot column_slots[] = {
    {Py_tp_doc, "Shows a column of a batch, read-only, once, and keeps the batch alive and unchanged meanwhile."},
    {Py_tp_new, column_new},
    {Py_tp_dealloc, column_dealloc},
    {Py_tp_traverse, column_traverse},
    {Py_tp_clear, column_collect},
    {Py_bf_getbuffer, column_getbuffer},
    {Py_bf_releasebuffer, column_releasebuffer},
    {0, NULL},
};

static PyType_Spec column_spec = {"samebytes._objects.Column", sizeof(Column), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, column_slots};

int column_add_types(PyObject *module) { return add_common_type(module, "Column", &column_spec, &column_type); }
