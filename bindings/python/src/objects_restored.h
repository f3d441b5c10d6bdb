#ifndef SAMEBYTES_OBJECTS_RESTORED_H
#define SAMEBYTES_OBJECTS_RESTORED_H

#include "objects_base.h"

int restored_add_functions(PyObject *module); /* row */

#endif
