#ifndef SAMEBYTES_OBJECTS_VALUES_H
#define SAMEBYTES_OBJECTS_VALUES_H

#include "objects_row.h"

/* Memory that values of Python lie in while they cross. All of it is given back by values_release. */
typedef struct {
  sb_value *values;
  Py_ssize_t count, capacity;
  int8_t *sequences;
  Py_ssize_t sequence_capacity;
  size_t bytes;    /* of strings */
  PyObject **held; /* the objects whose bytes are pointed at */
  Py_ssize_t held_count, held_capacity;
  Py_buffer **buffers;
  Py_ssize_t buffer_count, buffer_capacity;
  void **chunks; /* items of arrays */
  Py_ssize_t chunk_count, chunk_capacity;
  char *next; /* free bytes of the newest chunk */
  size_t left;
} Values;

int values_add_message(Values *all, const Shape *shape, PyObject *message);
void values_release(Values *all);
int values_add_functions(PyObject *module); /* add_messages, add_columns */

#endif
