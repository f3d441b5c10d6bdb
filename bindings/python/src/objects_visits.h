#ifndef SAMEBYTES_OBJECTS_VISITS_H
#define SAMEBYTES_OBJECTS_VISITS_H

#include "objects_base.h"

int visits_add_types(PyObject *module); /* Visit, Snapshot, VisitManager, Calls */

#endif
