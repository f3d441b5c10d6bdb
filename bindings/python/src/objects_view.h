#ifndef SAMEBYTES_OBJECTS_VIEW_H
#define SAMEBYTES_OBJECTS_VIEW_H

#include "objects_base.h"

int view_add_types(PyObject *module); /* View */

#endif
