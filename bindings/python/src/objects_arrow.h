#ifndef SAMEBYTES_OBJECTS_ARROW_H
#define SAMEBYTES_OBJECTS_ARROW_H

#include "objects_base.h"

int arrow_add_functions(PyObject *module); /* arrow_capsule */

#endif
