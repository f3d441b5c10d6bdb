#ifndef SAMEBYTES_OBJECTS_PARSER_H
#define SAMEBYTES_OBJECTS_PARSER_H

#include "objects_base.h"

PyObject *batch_parse(PyObject *batch, PyObject *parser);
PyObject *batch_column(PyObject *batch, PyObject *args);
PyObject *batch_columns(PyObject *batch, PyObject *args);
int parser_add_functions(PyObject *module); /* feed */

#endif
