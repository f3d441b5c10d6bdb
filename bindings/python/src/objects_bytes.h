#ifndef SAMEBYTES_OBJECTS_BYTES_H
#define SAMEBYTES_OBJECTS_BYTES_H

#include "objects_base.h"

int bytes_add_types(PyObject *module); /* Piece, locate, keep_forever */

#endif
