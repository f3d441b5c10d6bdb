#ifndef SAMEBYTES_OBJECTS_EXPORTER_H
#define SAMEBYTES_OBJECTS_EXPORTER_H

/* Exporter: what objects begin with that show memory of a handle through the buffer protocol.
 *
 * Only a type in C can show memory that is truly read-only: a memoryview made read-only in Python gives its writable origin away.
 *
 * Invariant: `exports` counts the buffers that are out. While it is above 0, `address` does not change (Handle.close refuses). */

#include "objects_base.h"

typedef struct {
  PyObject_HEAD
  void *address; /* the handle; NULL when closed */
  Py_ssize_t exports;
  char shared; /* blocks: somebody else may see the bytes, so they are not written any more */
} Exporter;

PyObject *exporter_get_address(PyObject *object, void *closure);
int exporter_set_address(PyObject *object, PyObject *value, void *closure);
extern PyMemberDef exporter_members[];

#endif
