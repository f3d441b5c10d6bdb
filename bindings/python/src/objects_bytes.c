/* Piece: bytes of a view that lie in one place, shown read-only through the buffer protocol. It keeps its owner alive, a copy of the view
 * that nobody else can reach: so what it shows neither changes nor goes, whatever becomes of the view that it was asked of. As its owner
 * refers to nothing, the two can form no cycle. */

#include "objects_bytes.h"

typedef struct {
  PyObject_HEAD
  void *address;
  Py_ssize_t size;
  PyObject *owner;
} Piece;

static PyObject *piece_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  static char *names[] = {"address", "size", "owner", NULL};
  PyObject *address = NULL, *owner = NULL;
  Py_ssize_t size = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OnO:Piece", names, &address, &size, &owner)) return NULL;
  void *data = PyLong_AsVoidPtr(address);
  if (data == NULL && PyErr_Occurred()) return NULL;
  if (size < 0 || (data == NULL && size > 0)) {
    PyErr_SetString(PyExc_ValueError, "a piece needs an address and a size of 0 or more");
    return NULL;
  }
  Piece *self = object_alloc(type);
  if (self == NULL) return NULL;
  self->address = data != NULL ? data : (void *)"";
  self->size = size;
  self->owner = Py_NewRef(owner);
  return (PyObject *)self;
}

static void piece_dealloc(PyObject *self) {
  Py_CLEAR(((Piece *)self)->owner);
  object_free(self);
}

static int piece_getbuffer(PyObject *object, Py_buffer *buffer, int flags) {
  Piece *self = (Piece *)object;
  return PyBuffer_FillInfo(buffer, object, self->address, self->size, 1, flags);
}

static PyType_Slot piece_slots[] = {
    {Py_tp_doc, "Shows the bytes at an address, read-only, and keeps their owner alive."},
    {Py_tp_new, piece_new},
    {Py_tp_dealloc, piece_dealloc},
    {Py_bf_getbuffer, piece_getbuffer},
    {0, NULL},
};

static PyType_Spec piece_spec = {"samebytes._objects.Piece", sizeof(Piece), 0, Py_TPFLAGS_DEFAULT, piece_slots};

/* Memory that C still shows must not go when the interpreter ends and takes its modules apart: threads of C may go on. */
static PyObject *keep_forever(PyObject *module, PyObject *object) {
  (void)module;
  Py_INCREF(object);
  Py_RETURN_NONE;
}

/* Where the memory of a memoryview lies, which the caller keeps exported. */
static PyObject *locate(PyObject *module, PyObject *memory) {
  (void)module;
  Py_buffer buffer;
  if (PyObject_GetBuffer(memory, &buffer, PyBUF_SIMPLE) != 0) return NULL;
  PyObject *place = Py_BuildValue("Nn", PyLong_FromVoidPtr(buffer.buf), buffer.len);
  PyBuffer_Release(&buffer);
  return place;
}

static PyMethodDef bytes_methods[] = {
    {"locate", locate, METH_O, "The address and size of the memory of a memoryview."},
    {"keep_forever", keep_forever, METH_O, "Never let go of an object, not at the interpreter's end either."},
    {NULL, NULL, 0, NULL},
};

int bytes_add_types(PyObject *module) {
  return add_type(module, "Piece", &piece_spec) != 0 ? -1 : PyModule_AddFunctions(module, bytes_methods);
}
