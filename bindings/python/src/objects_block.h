#ifndef SAMEBYTES_OBJECTS_BLOCK_H
#define SAMEBYTES_OBJECTS_BLOCK_H

#include "objects_base.h"

int block_add_types(PyObject *module); /* Block, Pool */

#endif
