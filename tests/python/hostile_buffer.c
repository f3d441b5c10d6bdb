/* hostile_buffer.Exporter(memory, hit): memory of a bytearray, which calls hit() when it is asked for and when it is let go. Classes of Python
 * can do that from 3.12 on. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

typedef struct {
  PyObject_HEAD
  PyObject *memory, *hit;
} Exporter;

static int call_hit(Exporter *self) {
  PyObject *result = PyObject_CallFunctionObjArgs(self->hit, NULL);
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

static int exporter_get(PyObject *object, Py_buffer *buffer, int flags) {
  Exporter *self = (Exporter *)object;
  buffer->obj = NULL;
  if (call_hit(self) != 0) return -1;
  if (PyBuffer_FillInfo(buffer, object, PyByteArray_AsString(self->memory), PyByteArray_Size(self->memory), 0, flags) != 0) return -1;
  return call_hit(self) == 0 ? 0 : (PyBuffer_Release(buffer), -1);
}

static void exporter_release(PyObject *object, Py_buffer *buffer) {
  (void)buffer;
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  if (call_hit((Exporter *)object) != 0) PyErr_Clear();
  PyErr_Restore(type, value, traceback);
}

static PyObject *exporter_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  PyObject *memory, *hit;
  (void)keywords;
  if (!PyArg_ParseTuple(args, "OO", &memory, &hit)) return NULL;
  Exporter *self = (Exporter *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
  if (self == NULL) return NULL;
  self->memory = Py_NewRef(memory);
  self->hit = Py_NewRef(hit);
  return (PyObject *)self;
}

static void exporter_dealloc(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  Py_XDECREF(((Exporter *)object)->memory);
  Py_XDECREF(((Exporter *)object)->hit);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_new, exporter_new},
    {Py_tp_dealloc, exporter_dealloc},
    {Py_bf_getbuffer, exporter_get},
    {Py_bf_releasebuffer, exporter_release},
    {0, NULL},
};

static PyType_Spec spec = {"hostile_buffer.Exporter", sizeof(Exporter), 0, Py_TPFLAGS_DEFAULT, slots};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "hostile_buffer", .m_size = -1};

PyMODINIT_FUNC PyInit_hostile_buffer(void) {
  PyObject *module = PyModule_Create(&definition), *type = PyType_FromSpec(&spec);
  if (module == NULL || type == NULL || PyModule_AddObjectRef(module, "Exporter", type) != 0) return NULL;
  Py_DECREF(type);
  return module;
}
