#ifndef SAMEBYTES_OBJECTS_LENT_H
#define SAMEBYTES_OBJECTS_LENT_H

#include "objects_base.h"

int lent_add_types(PyObject *module); /* Window, Keeper */

#endif
