/* Arrow: structures in capsules, as the Arrow PyCapsule interface has them. A consumer moves the content out, which leaves `release` NULL. */

#include "objects_arrow.h"

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

static PyMethodDef arrow_methods[] = {
    {"arrow_capsule", arrow_capsule, METH_VARARGS,
     "A capsule with an Arrow structure to be filled, and its address: arrow_schema, arrow_array or arrow_array_stream."},
    {NULL, NULL, 0, NULL},
};

int arrow_add_functions(PyObject *module) { return PyModule_AddFunctions(module, arrow_methods); }
