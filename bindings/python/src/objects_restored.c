/* A row of its own, as it comes out of a pickle: it was made of values of Python, and shows memory that no batch has. */

#include "objects_restored.h"

#include "objects_row.h"
#include "objects_values.h"

typedef struct {
  Content content;
  Values memory; /* what the row shows */
  sb_row head;   /* the same */
} Restored;

static void restored_end(Content *content) {
  values_release(&((Restored *)content)->memory);
  PyMem_Free(content);
}

/* Longer arrays than a frame can have were not looked at: there is nothing behind their number. */
static int check_arrays(const Values *values, const Shape *shape) {
  for (Py_ssize_t i = 0; i < shape->count; i++) {
    if (shape->types[i] <= SB_TYPE_STRING || values->values[i].size <= SB_ARRAY_ITEMS_MAX) continue;
    PyErr_Format(PyExc_ValueError, "%U.%U: an array has at most %d items, not %zu", shape->name, PyTuple_GetItem(shape->names, i),
                 (int)SB_ARRAY_ITEMS_MAX, values->values[i].size);
    return -1;
  }
  return 0;
}

static PyObject *row_restored(PyObject *module, PyObject *args) {
  (void)module;
  PyObject *shape = NULL, *values = NULL;
  long long stream_offset = 0;
  int api_key = 0, sequence = 0;
  if (!PyArg_ParseTuple(args, "OLiiO!:row", &shape, &stream_offset, &api_key, &sequence, &PyTuple_Type, &values)) return NULL;
  if (shape_check(shape) != 0) return NULL;
  PyObject *shapes = PyTuple_Pack(1, shape);
  Restored *content = shapes == NULL ? NULL : content_new(sizeof *content, shapes, restored_end);
  Py_XDECREF(shapes);
  if (content == NULL) return NULL;
  PyObject *row = NULL;
  content->head = (sb_row){.stream_offset = stream_offset, .api_key = (int8_t)api_key, .sequence = (int8_t)sequence};
  if (values_add_message(&content->memory, (Shape *)shape, values) == 0 && check_arrays(&content->memory, (Shape *)shape) == 0)
    row = row_make(&content->content, (Shape *)shape, &content->head, content->memory.values);
  content_release(&content->content, 1);
  return row;
}

static PyMethodDef restored_methods[] = {
    {"row", row_restored, METH_VARARGS, "A row of its own: row(shape, stream_offset, api_key, sequence, values)."},
    {NULL, NULL, 0, NULL},
};

int restored_add_functions(PyObject *module) { return PyModule_AddFunctions(module, restored_methods); }
