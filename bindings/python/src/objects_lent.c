/* Window and Keeper of samebytes._objects: memory that an object of the library lends, and what owns the object when it is forgotten meanwhile. */

#include "objects_lent.h"

/* Window: memory that an object of the library lends for writing until its next call. */

typedef struct {
  PyObject_HEAD
  void *address;
  Py_ssize_t size;
  Py_ssize_t exports;
  PyObject *owner; /* kept alive, and with it the memory */
} Window;

static PyObject *window_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  static char *names[] = {"address", "size", "owner", NULL};
  PyObject *address = NULL, *owner = NULL;
  Py_ssize_t size = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OnO:Window", names, &address, &size, &owner)) return NULL;
  void *data = PyLong_AsVoidPtr(address);
  if (data == NULL && PyErr_Occurred()) return NULL;
  if (size < 0 || (data == NULL && size > 0)) {
    PyErr_SetString(PyExc_ValueError, "a window needs an address and a size of 0 or more");
    return NULL;
  }
  Window *self = object_alloc(type);
  if (self == NULL) return NULL;
  self->address = data;
  self->size = size;
  self->owner = Py_NewRef(owner);
  return (PyObject *)self;
}

static int window_traverse(PyObject *object, visitproc visit, void *arg) {
  Py_VISIT(((Window *)object)->owner);
  Py_VISIT(Py_TYPE(object));
  return 0;
}

static int window_clear(PyObject *object) {
  Py_CLEAR(((Window *)object)->owner);
  return 0;
}

/* What is being shown is not taken away by the garbage collector, which clears the memoryview instead. */
static int window_collect(PyObject *object) { return ((Window *)object)->exports > 0 ? 0 : window_clear(object); }

static void window_dealloc(PyObject *self) {
  PyObject_GC_UnTrack(self);
  (void)window_clear(self);
  object_free(self);
}

static int window_getbuffer(PyObject *object, Py_buffer *buffer, int flags) {
  Window *self = (Window *)object;
  buffer->obj = NULL;
  if (self->owner == NULL) return raise_error("ClosedError", "this memory is no longer lent");
  if (PyBuffer_FillInfo(buffer, object, self->address, self->size, 0, flags) != 0) return -1;
  self->exports++;
  return 0;
}

static void window_releasebuffer(PyObject *object, Py_buffer *buffer) {
  (void)buffer;
  ((Window *)object)->exports--;
}

static PyObject *window_end(PyObject *object, PyObject *unused) {
  (void)unused;
  if (((Window *)object)->exports > 0) {
    raise_error("BusyError", "a memoryview of the lent memory is still in use; release it and its slices first");
    return NULL;
  }
  (void)window_clear(object);
  Py_RETURN_NONE;
}

static PyObject *window_keep(PyObject *object, PyObject *owner) {
  PyObject *before = ((Window *)object)->owner;
  ((Window *)object)->owner = Py_NewRef(owner);
  Py_XDECREF(before);
  Py_RETURN_NONE;
}

static PyMethodDef window_methods[] = {
    {"keep", window_keep, METH_O, "Keep another owner alive instead, with whom the memory goes from now on."},
    {"end", window_end, METH_NOARGS, "End the lending. Raises BusyError while memoryviews are alive."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot window_slots[] = {
    {Py_tp_doc, "Lends the memory at an address for writing, and keeps its owner alive."},
    {Py_tp_new, window_new},
    {Py_tp_dealloc, window_dealloc},
    {Py_tp_traverse, window_traverse},
    {Py_tp_clear, window_collect},
    {Py_tp_methods, window_methods},
    {Py_bf_getbuffer, window_getbuffer},
    {Py_bf_releasebuffer, window_releasebuffer},
    {0, NULL},
};

static PyType_Spec window_spec = {"samebytes._objects.Window", sizeof(Window), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, window_slots};

/* Keeper: owns the handle of an object that was forgotten while memory that it lent is still shown. It has no finalizer, and closes the handle
 * when nothing refers to it any more. */

typedef struct {
  PyObject_HEAD
  sb_parser *parser;
  sb_buf *buf;
} Keeper;

static PyObject *keeper_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  PyObject *parser = NULL, *buf = NULL;
  static char *names[] = {"parser", "buf", NULL};
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O!O!:Keeper", names, &PyLong_Type, &parser, &PyLong_Type, &buf)) return NULL;
  Keeper *self = object_alloc(type);
  if (self == NULL) return NULL;
  self->parser = parser == NULL ? NULL : PyLong_AsVoidPtr(parser);
  self->buf = buf == NULL ? NULL : PyLong_AsVoidPtr(buf);
  return (PyObject *)self;
}

static void keeper_dealloc(PyObject *object) {
  sb_parser_close(((Keeper *)object)->parser);
  sb_buf_close(((Keeper *)object)->buf);
  object_free(object);
}

static PyType_Slot keeper_slots[] = {
    {Py_tp_doc, "Owns a handle until nothing refers to it any more."},
    {Py_tp_new, keeper_new},
    {Py_tp_dealloc, keeper_dealloc},
    {0, NULL},
};

static PyType_Spec keeper_spec = {"samebytes._objects.Keeper", sizeof(Keeper), 0, Py_TPFLAGS_DEFAULT, keeper_slots};

int lent_add_types(PyObject *module) {
  return add_type(module, "Window", &window_spec) != 0 ? -1 : add_type(module, "Keeper", &keeper_spec);
}
