#ifndef SAMEBYTES_OBJECTS_CALLBACK_H
#define SAMEBYTES_OBJECTS_CALLBACK_H

/* Providers of memory written in Python. */

#include "objects_base.h"

PyObject *open_callback(PyObject *module, PyObject *arguments);
int watch_exit(void);
int callbacks_have_ended(void);

#endif
