#include "objects_exporter.h"

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

PyMemberDef exporter_members[] = {
    {"_exports", T_PYSSIZET, offsetof(Exporter, exports), READONLY, "Memoryviews of this object that are alive."},
    {"_shared", T_BOOL, offsetof(Exporter, shared), 0, "Whether somebody else may see the bytes."},
    {NULL, 0, 0, 0, NULL},
};
