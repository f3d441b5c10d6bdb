#ifndef SAMEBYTES_OBJECTS_H
#define SAMEBYTES_OBJECTS_H

/* What the parts of samebytes._objects share: objects.c (memory as buffers), objects_block.c (blocks and pools), objects_callback.c (providers
 * of memory), objects_lock.c (who uses an object), objects_parser.c (reading messages), objects_rows.c (messages that were read),
 * objects_values.c (messages to be written) and objects_visits.c (visits). */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>

#include <samebytes/samebytes.h>

/* The GIL is what keeps threads apart here: see objects_lock.c. */
#ifdef Py_GIL_DISABLED
#error "samebytes does not support free-threaded CPython: build it for the CPython with the GIL"
#endif

typedef struct {
  PyObject_HEAD
  void *address; /* the handle; NULL when closed */
  Py_ssize_t exports;
  char shared; /* blocks: somebody else may see the bytes, so they are not written any more */
} Exporter;

typedef struct Content Content; /* what the rows of one parse share */

typedef struct {
  Exporter exporter; /* its address is an sb_batch */
  Content *content;  /* NULL until rows were made of it */
} Batch;

enum {
  NAMES_SCANNED_MAX = 16
};

/* What a schema says, on this side of the border. */
typedef struct {
  PyObject_HEAD
  PyObject *name;                       /* of the messages */
  PyObject *names;                      /* of the fields: a tuple of interned strings */
  PyObject *row_type;                   /* the class of the rows */
  Py_ssize_t count;                     /* fields */
  uint8_t *types;                       /* SB_TYPE_... of each field */
  PyObject *scanned[NAMES_SCANNED_MAX]; /* names that are looked for before the class is asked; NULL: every message has such an attribute */
  Py_ssize_t scanned_count;
  char is_plain;    /* rows have nothing but what Row has, so that they come from the free list */
  char fields_only; /* rows unpack to their fields, without api_key and sequence */
} Shape;

/* A message: it shows values in memory that its content owns. */
typedef struct {
  PyObject_HEAD
  Content *content;
  const Shape *shape; /* kept by the content */
  const sb_row *head;
  const sb_value *values;
} Row;

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

/* objects.c */
int raise_error(const char *name, const char *message);
int add_type(PyObject *module, const char *name, PyType_Spec *spec);
int add_common_type(PyObject *module, const char *name, PyType_Spec *spec, PyTypeObject **type);        /* made once per process */
PyObject *column_memory(Exporter *batch, const void *data, size_t size, size_t item_size, char format); /* a memoryview */
PyObject *exporter_get_address(PyObject *object, void *closure);
int exporter_set_address(PyObject *object, PyObject *value, void *closure);

/* objects_lock.c. Functions with an int return -1 with an exception. */
typedef struct Lock Lock;
Lock *lock_make(bool is_concurrent);
int lock_hold(Lock *self); /* keeps other threads out; may let them run before */
void lock_let_go(Lock *self);
int lock_begin(Lock *self); /* the object is in use from now on; BusyError where this thread uses it already */
void lock_end(Lock *self);
bool lock_is_used(const Lock *self);      /* by a call of the thread that has the lock */
PyObject *handle_begin(PyObject *handle); /* the same for an object of a class of Python: its lock, for handle_end */
void handle_end(PyObject *lock);
PyObject *handle_open(PyObject *handle); /* its address, or ClosedError */
int lock_add_types(PyObject *module);

/* objects_block.c */
int block_add_types(PyObject *module); /* Block, Pool */

/* objects_bytes.c */
int bytes_add_types(PyObject *module);

/* objects_rows.c */
int rows_add_types(PyObject *module);
PyTypeObject *rows_type(void);                         /* Row */
int shape_check(PyObject *object);                     /* TypeError for what is no Shape */
PyObject *row_value(const Row *row, Py_ssize_t field); /* as an object of its own */
PyObject *row_fields(const Row *row);                  /* all of them, as a tuple */
bool shapes_are_same(const Shape *one, const Shape *other);
int batch_keep_rows(Batch *batch); /* before the batch changes: rows go on with its content */
void batch_end(Batch *batch);      /* the same at its end, and closes it */
extern PyMethodDef batch_methods[];

/* objects_parser.c */
PyObject *batch_parse(PyObject *batch, PyObject *parser);
PyObject *batch_column(PyObject *batch, PyObject *args);
PyObject *batch_columns(PyObject *batch, PyObject *args);
int parser_add_functions(PyObject *module); /* feed */

/* objects_values.c */
int values_add_message(Values *all, const Shape *shape, PyObject *message);
void values_release(Values *all);
int values_add_names(void);
extern PyMethodDef values_methods[];

/* objects_visits.c */
int visits_add_types(PyObject *module);

/* objects_callback.c: providers of memory written in Python. */
PyObject *open_callback(PyObject *module, PyObject *arguments);
int watch_exit(void);
int callbacks_have_ended(void);

#endif
