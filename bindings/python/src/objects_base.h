#ifndef SAMEBYTES_OBJECTS_BASE_H
#define SAMEBYTES_OBJECTS_BASE_H

/* The ground that every part of samebytes._objects stands on: Python itself, raising exceptions, making types and their objects. Each part has
 * a header of its own name, and includes those of the parts below it; objects.c, the module, is above all. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>

#include <samebytes/samebytes.h>

/* The GIL is what keeps threads apart here: see objects_lock.c. */
#ifdef Py_GIL_DISABLED
#error "samebytes does not support free-threaded CPython: build it for the CPython with the GIL"
#endif

int raise_error(const char *name, const char *message); /* raises the exception `name` of samebytes.errors, and returns -1 */
int add_type(PyObject *module, const char *name, PyType_Spec *spec);
int add_common_type(PyObject *module, const char *name, PyType_Spec *spec, PyTypeObject **type); /* made once per process */
void *object_alloc(PyTypeObject *type);                                                          /* zeroed; NULL with an exception */
void object_free(PyObject *self);                                                                /* the end of a tp_dealloc */

#endif
