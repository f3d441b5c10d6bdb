#include "objects_base.h"

int raise_error(const char *name, const char *message) {
  PyObject *errors = PyImport_ImportModule("samebytes.errors");
  PyObject *error = errors == NULL ? NULL : PyObject_GetAttrString(errors, name);
  if (error != NULL) PyErr_SetString(error, message);
  Py_XDECREF(error);
  Py_XDECREF(errors);
  return -1;
}

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

void *object_alloc(PyTypeObject *type) {
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  return allocate(type, 0);
}

void object_free(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF(type);
}
