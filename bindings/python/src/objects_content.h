#ifndef SAMEBYTES_OBJECTS_CONTENT_H
#define SAMEBYTES_OBJECTS_CONTENT_H

/* Batch, and the rows that are made of it. */

#include "objects_exporter.h"

typedef struct BatchContent BatchContent; /* what the rows of one parse share */

typedef struct {
  Exporter exporter;     /* its address is an sb_batch */
  BatchContent *content; /* NULL until rows were made of it */
} Batch;

int batch_keep_rows(Batch *batch); /* before the batch changes: rows go on with its content */
void batch_end(Batch *batch);      /* the same at its end, and closes it */
PyObject *batch_rows(PyObject *batch, PyObject *shapes);
PyObject *batch_keep(PyObject *batch, PyObject *unused);
PyObject *batch_settle(PyObject *batch, PyObject *unused);

#endif
