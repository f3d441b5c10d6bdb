/* samebytes._objects: what Python code cannot do, or only slowly. Block and View show their bytes through the buffer protocol, Window lends
 * memory for writing, Column shows a column of a Batch; Row (objects_rows.c) is a message of one; VisitManager
 * (objects_visits.c) adds and gets visits. Both function layers share them.
 *
 * Only a type in C can show memory that is truly read-only: a memoryview made read-only in Python gives its writable origin away. It
 * keeps to the limited API, so that one build serves every Python from 3.11 on.
 *
 * Invariant: `exports` counts the buffers that are out. While it is above 0, `address` does not change (Handle.close refuses). */

#include "objects.h"

#include <dlfcn.h>

#include "abi_digest.h"

/* Raises the exception `name` of samebytes.errors. */
int raise_error(const char *name, const char *message) {
  PyObject *errors = PyImport_ImportModule("samebytes.errors");
  PyObject *error = errors == NULL ? NULL : PyObject_GetAttrString(errors, name);
  if (error != NULL) PyErr_SetString(error, message);
  Py_XDECREF(error);
  Py_XDECREF(errors);
  return -1;
}

PyObject *exporter_get_address(PyObject *object, void *closure) {
  (void)closure;
  return PyLong_FromVoidPtr(((Exporter *)object)->address);
}

int exporter_set_address(PyObject *object, PyObject *value, void *closure) {
  (void)closure;
  if (value == NULL || !PyLong_Check(value)) {
    PyErr_SetString(PyExc_TypeError, "an address is an integer");
    return -1;
  }
  void *address = PyLong_AsVoidPtr(value);
  if (address == NULL && PyErr_Occurred()) return -1;
  ((Exporter *)object)->address = address;
  return 0;
}

static void exporter_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF(type);
}

static PyGetSetDef exporter_getset[] = {
    {"_address", exporter_get_address, exporter_set_address, "The address of the handle; 0 when closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef exporter_members[] = {
    {"_exports", T_PYSSIZET, offsetof(Exporter, exports), READONLY, "Memoryviews of this object that are alive."},
    {"_shared", T_BOOL, offsetof(Exporter, shared), 0, "Whether somebody else may see the bytes."},
    {NULL, 0, 0, 0, NULL},
};

/* View */

/* Each buffer has its own copy of the view, which shares the bytes: the view may be skipped or read meanwhile. */
static int view_fill(Exporter *self, Py_buffer *buffer, int flags) {
  const sb_view *view = self->address;
  if (view == NULL) return raise_error("ClosedError", "this View has been closed");
  size_t spans = sb_view_span_count(view);
  if (spans > 1) {
    PyErr_Format(PyExc_BufferError, "this View lies in %zu pieces; take a memoryview of view.flatten(), or bytes(view)", spans);
    return -1;
  }
  sb_view *copy = NULL;
  const void *data = "";
  size_t size = 0;
  if (sb_view_copy(view, &copy) != SB_OK || (spans == 1 && sb_view_span(copy, 0, &data, &size) != SB_OK)) {
    sb_view_close(copy);
    PyErr_NoMemory();
    return -1;
  }
  if (PyBuffer_FillInfo(buffer, (PyObject *)self, (void *)data, (Py_ssize_t)size, 1, flags) != 0) {
    sb_view_close(copy);
    return -1;
  }
  buffer->internal = copy;
  self->exports++;
  return 0;
}

static int view_getbuffer(PyObject *object, Py_buffer *buffer, int flags) {
  buffer->obj = NULL;
  PyObject *lock = handle_begin(object); /* another thread may be in a call on it with the GIL released */
  if (lock == NULL) return -1;
  const int result = view_fill((Exporter *)object, buffer, flags);
  handle_end(lock);
  return result;
}

static void view_releasebuffer(PyObject *object, Py_buffer *buffer) {
  sb_view_close(buffer->internal);
  ((Exporter *)object)->exports--;
}

static PyType_Slot view_slots[] = {
    {Py_tp_doc, "Shows the bytes of a view that lies in one piece, read-only."},
    {Py_tp_dealloc, exporter_dealloc},
    {Py_tp_getset, exporter_getset},
    {Py_tp_members, exporter_members},
    {Py_bf_getbuffer, view_getbuffer},
    {Py_bf_releasebuffer, view_releasebuffer},
    {0, NULL},
};

static PyType_Spec view_spec = {"samebytes._objects.View", sizeof(Exporter), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, view_slots};

/* Batch */

/* A batch closes itself when nothing refers to it any more, and not when the collector calls finalizers: a memoryview of a column, in the same
 * garbage, may be looked at by a finalizer that is called later. */
static void batch_dealloc(PyObject *object) {
  batch_end((Batch *)object);
  exporter_dealloc(object);
}

/* However a batch loses its handle, rows keep what they show. */
static int batch_set_address(PyObject *object, PyObject *value, void *closure) {
  return batch_keep_rows((Batch *)object) != 0 ? -1 : exporter_set_address(object, value, closure);
}

static PyGetSetDef batch_getset[] = {
    {"_address", exporter_get_address, batch_set_address, "The address of the handle; 0 when closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot batch_slots[] = {
    {Py_tp_doc, "Makes rows, and counts the memoryviews of columns, while which it does not change."},
    {Py_tp_dealloc, batch_dealloc},
    {Py_tp_getset, batch_getset},
    {Py_tp_members, exporter_members},
    {Py_tp_methods, batch_methods},
    {0, NULL},
};

static PyType_Spec batch_spec = {"samebytes._objects.Batch", sizeof(Batch), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, batch_slots};

/* Column: integers, or bytes, that lie in a batch. It counts as one of the batch's exports from when it is made until its last buffer is
 * released, and shows nothing after that: so what it shows cannot change. */

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
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  Column *self = (Column *)allocate(type, 0);
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
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  (void)column_clear(self);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF(type);
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
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  Window *self = (Window *)allocate(type, 0);
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

/* As column_collect: what is being shown stays. */
static int window_collect(PyObject *object) { return ((Window *)object)->exports > 0 ? 0 : window_clear(object); }

static void window_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  (void)window_clear(self);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF(type);
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
  Keeper *self = (Keeper *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
  if (self == NULL) return NULL;
  self->parser = parser == NULL ? NULL : PyLong_AsVoidPtr(parser);
  self->buf = buf == NULL ? NULL : PyLong_AsVoidPtr(buf);
  return (PyObject *)self;
}

static void keeper_dealloc(PyObject *object) {
  sb_parser_close(((Keeper *)object)->parser);
  sb_buf_close(((Keeper *)object)->buf);
  exporter_dealloc(object);
}

static PyType_Slot keeper_slots[] = {
    {Py_tp_doc, "Owns a handle until nothing refers to it any more."},
    {Py_tp_new, keeper_new},
    {Py_tp_dealloc, keeper_dealloc},
    {0, NULL},
};

static PyType_Spec keeper_spec = {"samebytes._objects.Keeper", sizeof(Keeper), 0, Py_TPFLAGS_DEFAULT, keeper_slots};

/* Arrow: structures in capsules, as the Arrow PyCapsule interface has them. A consumer moves the content out, which leaves `release` NULL. */

static void end_schema(PyObject *capsule) {
  struct ArrowSchema *schema = PyCapsule_GetPointer(capsule, "arrow_schema");
  if (schema != NULL && schema->release != NULL) schema->release(schema);
  PyMem_Free(schema);
}

static void end_array(PyObject *capsule) {
  struct ArrowArray *array = PyCapsule_GetPointer(capsule, "arrow_array");
  if (array != NULL && array->release != NULL) array->release(array);
  PyMem_Free(array);
}

static void end_stream(PyObject *capsule) {
  struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, "arrow_array_stream");
  if (stream != NULL && stream->release != NULL) stream->release(stream);
  PyMem_Free(stream);
}

static const struct {
  const char *name;
  size_t size;
  PyCapsule_Destructor end;
} capsules[] = {{"arrow_schema", sizeof(struct ArrowSchema), end_schema},
                {"arrow_array", sizeof(struct ArrowArray), end_array},
                {"arrow_array_stream", sizeof(struct ArrowArrayStream), end_stream}};

static PyObject *arrow_capsule(PyObject *module, PyObject *args) {
  const char *name = NULL;
  size_t which = 0;
  (void)module;
  if (!PyArg_ParseTuple(args, "s:arrow_capsule", &name)) return NULL;
  while (which < 3 && strcmp(capsules[which].name, name) != 0) which++;
  if (which == 3) return PyErr_Format(PyExc_ValueError, "there is no Arrow structure %s", name);
  void *memory = PyMem_Calloc(1, capsules[which].size);
  if (memory == NULL) return PyErr_NoMemory();
  PyObject *capsule = PyCapsule_New(memory, capsules[which].name, capsules[which].end);
  if (capsule == NULL) {
    PyMem_Free(memory);
    return NULL;
  }
  PyObject *address = PyLong_FromVoidPtr(memory);
  PyObject *result = address == NULL ? NULL : PyTuple_Pack(2, capsule, address);
  Py_XDECREF(address);
  Py_DECREF(capsule);
  return result;
}

/* Which library this is */

static PyObject *library_version(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  return PyLong_FromUnsignedLong(sb_version());
}

static PyObject *library_digest(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  return PyLong_FromUnsignedLongLong(sb_abi_digest());
}

static PyObject *library_path(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  Dl_info info;
  if (dladdr((void *)(uintptr_t)&sb_version, &info) == 0 || info.dli_fname == NULL) return PyUnicode_FromString("");
  return PyUnicode_DecodeFSDefault(info.dli_fname);
}

static PyMethodDef module_methods[] = {
    {"version", library_version, METH_NOARGS, "The version of the library that is loaded."},
    {"abi_digest", library_digest, METH_NOARGS, "The digest of the headers that the loaded library was built from."},
    {"library_path", library_path, METH_NOARGS, "The file of the library that is loaded."},
    {"arrow_capsule", arrow_capsule, METH_VARARGS,
     "A capsule with an Arrow structure to be filled, and its address: arrow_schema, arrow_array or arrow_array_stream."},
    {"open_callback", open_callback, METH_VARARGS, "A provider of memory of three functions: the address of its handle."},
    {NULL, NULL, 0, NULL},
};

int add_type(PyObject *module, const char *name, PyType_Spec *spec) {
  PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
  int result = type == NULL ? -1 : PyModule_AddObjectRef(module, name, type);
  Py_XDECREF(type);
  return result;
}

/* A module object that is made again has the same types. */
int add_common_type(PyObject *module, const char *name, PyType_Spec *spec, PyTypeObject **type) {
  if (*type == NULL) *type = (PyTypeObject *)PyType_FromSpec(spec);
  return *type == NULL ? -1 : PyModule_AddObjectRef(module, name, (PyObject *)*type);
}

static int add_number(PyObject *module, const char *name, unsigned long long number) {
  PyObject *value = PyLong_FromUnsignedLongLong(number);
  int result = value == NULL ? -1 : PyModule_AddObjectRef(module, name, value);
  Py_XDECREF(value);
  return result;
}

/* Types and free objects are those of one interpreter, and a callback of the library enters the main one. */
static int check_interpreter(void) {
  const char *message = NULL;
  if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0)
    message = "samebytes works in the main interpreter only, and this is a sub-interpreter: import it there, or use processes";
  else if (callbacks_have_ended())
    message = "samebytes was loaded by an interpreter of this process that has ended, and cannot be loaded again: start a new process";
  if (message == NULL) return 0;
  PyObject *text = PyUnicode_FromString(message), *name = PyUnicode_FromString("samebytes");
  if (text != NULL && name != NULL) (void)PyErr_SetImportError(text, name, NULL);
  Py_XDECREF(text);
  Py_XDECREF(name);
  return -1;
}

static int module_exec(PyObject *module) {
  if (check_interpreter() != 0 || lock_add_types(module) != 0 || add_type(module, "Keeper", &keeper_spec) != 0) return -1;
  unsigned long version = SB_VERSION_MAJOR << 16 | SB_VERSION_MINOR << 8 | SB_VERSION_PATCH;
  if (block_add_types(module) != 0 || add_type(module, "View", &view_spec) != 0) return -1;
  if (add_type(module, "Batch", &batch_spec) != 0 || add_common_type(module, "Column", &column_spec, &column_type) != 0) return -1;
  if (add_type(module, "Window", &window_spec) != 0 || rows_add_types(module) != 0 || visits_add_types(module) != 0) return -1;
  if (bytes_add_types(module) != 0 || parser_add_functions(module) != 0) return -1;
  if (PyModule_AddFunctions(module, values_methods) != 0 || values_add_names() != 0) return -1;
  if (watch_exit() != 0) return -1;
  return add_number(module, "BUILT_VERSION", version) != 0 ? -1 : add_number(module, "BUILT_DIGEST", SB_ABI_DIGEST);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "samebytes._objects",
    .m_doc = "Block, View, Column and Window: memory of the library as Python's buffers; Row: messages as Python's objects.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__objects(void) { return PyModuleDef_Init(&module_definition); }
