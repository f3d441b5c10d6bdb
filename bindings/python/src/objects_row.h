#ifndef SAMEBYTES_OBJECTS_ROW_H
#define SAMEBYTES_OBJECTS_ROW_H

/* Row: a message that was read. Shape: what its schema says. Content: what owns the memory that rows show. */

#include "objects_base.h"

/* What some rows share, at the head of what owns their memory. */
typedef struct Content {
  Py_ssize_t owners;
  PyObject *shapes;              /* tuple of Shape, one per schema of the parser */
  void (*end)(struct Content *); /* frees the content and the memory, when nobody owns it any more */
} Content;

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

PyTypeObject *rows_type(void);     /* Row */
int shape_check(PyObject *object); /* TypeError for what is no Shape */
bool shapes_are_same(const Shape *one, const Shape *other);
PyObject *row_value(const Row *row, Py_ssize_t field);                                                /* as an object of its own */
PyObject *row_fields(const Row *row);                                                                 /* all of them, as a tuple */
PyObject *row_make(Content *content, const Shape *shape, const sb_row *head, const sb_value *values); /* owns the content, too */
void *content_new(size_t size, PyObject *shapes, void (*end)(Content *));                             /* of the size, zeroed; one owner */
void content_release(Content *content, Py_ssize_t owners);
int row_add_types(PyObject *module); /* Row, Shape, Field */

#endif
