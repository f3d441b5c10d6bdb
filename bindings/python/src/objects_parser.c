/* What a program that reads by columns does for each read, with few crossings: bytes into a parser, a parse into a batch, columns out of it.
 *
 * Only what is plain is done here. For anything else the functions say so, having done nothing; _codec.py then goes through the layer, which
 * takes every kind of buffer, and words every failure. */

#include "objects_parser.h"

#include "objects_column.h"
#include "objects_content.h"
#include "objects_row.h"

enum {
  GIL_KEPT_MAX = 1024 * 1024, /* bytes that are copied without letting other threads run */
};

/* feed(parser, data): the status, or None where nothing was tried. A call that failed is not made again by another way: a provider that failed
 * once might not do so twice, and would be asked twice. */
static PyObject *parser_feed(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  if (count != 2) return PyErr_Format(PyExc_TypeError, "feed() takes a parser and bytes");
  sb_parser *parser = PyLong_AsVoidPtr(args[0]);
  if (parser == NULL && PyErr_Occurred()) return NULL;
  if (!PyBytes_CheckExact(args[1]) || PyBytes_Size(args[1]) > GIL_KEPT_MAX) Py_RETURN_NONE;
  return PyLong_FromLong(sb_parser_feed(parser, PyBytes_AsString(args[1]), (size_t)PyBytes_Size(args[1])));
}

/* batch._parse(parser): parses, which the caller may do now, and returns what ended the stream, 0 for nothing; where the parse failed, its
 * status as a negative number: as feed, it is not made again. */
PyObject *batch_parse(PyObject *object, PyObject *address) {
  Batch *self = (Batch *)object;
  sb_parser *parser = PyLong_AsVoidPtr(address);
  if ((parser == NULL && PyErr_Occurred()) || batch_keep_rows(self) != 0) return NULL;
  sb_batch *batch = self->exporter.address;
  sb_status status = SB_OK;
  Py_BEGIN_ALLOW_THREADS;
  status = sb_parser_parse(parser, batch);
  Py_END_ALLOW_THREADS;
  if (status != SB_OK) return PyLong_FromLong(-(long)status);
  return PyLong_FromLong(sb_parser_end(parser));
}

static char integer_format(size_t item_size) {
  switch (item_size) {
  case 1: return 'b';
  case 2: return 'h';
  case 4: return 'i';
  default: return 'q';
  }
}

/* The memoryview of a part of a column; NULL without an exception where there is none. */
static PyObject *part_memory(Batch *batch, size_t schema, int32_t column, uint8_t type, int32_t part) {
  const void *data = NULL;
  size_t size = 0, item_size = 0;
  const sb_status status = sb_batch_get_column(batch->exporter.address, schema, column, part, &data, &size, &item_size);
  if (status == SB_NO_MEMORY) return PyErr_NoMemory();
  if (status == SB_CORRUPT) raise_error("CorruptError", "the frames of the batch have been changed since the parse");
  if (status != SB_OK) return NULL;
  const bool bytes = part == SB_PART_VALUES && (type == SB_TYPE_STRING || type == SB_TYPE_ARRAY_STRING);
  return column_memory(&batch->exporter, data, size, item_size, bytes ? 'B' : integer_format(item_size));
}

/* A number as C has it; false where it has none. */
static bool number_of(PyObject *object, int32_t *number) {
  int overflow = 0;
  if (!PyLong_CheckExact(object)) return false;
  const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
  *number = (int32_t)value;
  return overflow == 0 && value == *number;
}

/* batch._column(shape, schema, column, part): a memoryview, or None where there is no such part. */
PyObject *batch_column(PyObject *object, PyObject *args) {
  PyObject *shape = NULL, *column_number = NULL, *part_number = NULL;
  Py_ssize_t schema = 0;
  int32_t column = 0, part = 0;
  if (!PyArg_ParseTuple(args, "OnOO:_column", &shape, &schema, &column_number, &part_number) || shape_check(shape) != 0) return NULL;
  if (!number_of(column_number, &column) || !number_of(part_number, &part)) Py_RETURN_NONE;
  const uint8_t type = column >= 0 && column < ((Shape *)shape)->count ? ((Shape *)shape)->types[column] : SB_TYPE_INT64;
  PyObject *memory = part_memory((Batch *)object, (size_t)schema, column, type, part);
  return memory != NULL || PyErr_Occurred() ? memory : Py_NewRef(Py_None);
}

static PyObject *field_part(Batch *batch, size_t schema, int32_t field, uint8_t type, int32_t part) {
  PyObject *memory = part_memory(batch, schema, field, type, part);
  if (memory == NULL && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "the batch was not filled by a parser of this schema");
  return memory;
}

/* One memoryview for a field of integers, a Column of all parts for others. */
static PyObject *field_columns(Batch *batch, size_t schema, int32_t field, uint8_t type, PyObject *column_class) {
  if (type <= SB_TYPE_INT64) return field_part(batch, schema, field, type, SB_PART_VALUES);
  const int32_t parts = type == SB_TYPE_ARRAY_STRING ? 5 : 3;
  PyObject *all = PyTuple_New(parts);
  for (int32_t part = SB_PART_VALUES; all != NULL && part < parts; part++) {
    PyObject *memory = field_part(batch, schema, field, type, part);
    if (memory == NULL || PyTuple_SetItem(all, part, memory) != 0) Py_CLEAR(all);
  }
  PyObject *column = all == NULL ? NULL : PyObject_CallObject(column_class, all);
  Py_XDECREF(all);
  return column;
}

/* batch._columns(shape, schema, class): a dict of the fields' columns, which are of that class where they have several parts. */
PyObject *batch_columns(PyObject *object, PyObject *args) {
  Batch *self = (Batch *)object;
  PyObject *shape = NULL, *column_class = NULL;
  Py_ssize_t schema = 0;
  if (!PyArg_ParseTuple(args, "OnO:_columns", &shape, &schema, &column_class) || shape_check(shape) != 0) return NULL;
  PyObject *all = PyDict_New();
  for (Py_ssize_t i = 0; all != NULL && i < ((Shape *)shape)->count; i++) {
    PyObject *field = field_columns(self, (size_t)schema, (int32_t)i, ((Shape *)shape)->types[i], column_class);
    if (field == NULL || PyDict_SetItem(all, PyTuple_GetItem(((Shape *)shape)->names, i), field) != 0) Py_CLEAR(all);
    Py_XDECREF(field);
  }
  return all;
}

static PyMethodDef parser_methods[] = {
    {"feed", (PyCFunction)(void (*)(void))parser_feed, METH_FASTCALL,
     "Append bytes to what a parser has received; the status, or None where nothing was tried."},
    {NULL, NULL, 0, NULL},
};

int parser_add_functions(PyObject *module) { return PyModule_AddFunctions(module, parser_methods); }
