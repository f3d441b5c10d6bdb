#ifndef SAMEBYTES_OBJECTS_COLUMN_H
#define SAMEBYTES_OBJECTS_COLUMN_H

#include "objects_exporter.h"

PyObject *column_memory(Exporter *batch, const void *data, size_t size, size_t item_size, char format); /* a memoryview */
int column_add_types(PyObject *module);                                                                 /* Column */

#endif
