#ifndef SAMEBYTES_OBJECTS_BATCH_H
#define SAMEBYTES_OBJECTS_BATCH_H

#include "objects_base.h"

int batch_add_types(PyObject *module); /* Batch */

#endif
