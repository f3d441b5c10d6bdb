/* Batch of samebytes._objects: what objects_content.c and objects_parser.c do with one, as a type. */

#include "objects_batch.h"

#include "objects_content.h"
#include "objects_parser.h"

static PyMethodDef batch_methods[] = {
    {"_rows", batch_rows, METH_O, "A list of all rows; the argument is a tuple of Shapes, one per schema of the parser."},
    {"_parse", batch_parse, METH_O, "Parse into the batch: see objects_parser.c."},
    {"_column", batch_column, METH_VARARGS, "A part of a column: see objects_parser.c."},
    {"_columns", batch_columns, METH_VARARGS, "The columns of all fields of a schema's rows: see objects_parser.c."},
    {"_keep_rows", batch_keep, METH_NOARGS, "Let rows go on with what the batch has, before it changes."},
    {"_settle", batch_settle, METH_NOARGS, "Clear the batch, and return what need() was; None, and nothing is done, where it has errors."},
    {NULL, NULL, 0, NULL},
};

/* A batch closes itself when nothing refers to it any more, and not when the collector calls finalizers: a memoryview of a column, in the same
 * garbage, may be looked at by a finalizer that is called later. */
static void batch_dealloc(PyObject *object) {
  batch_end((Batch *)object);
  object_free(object);
}

/* However a batch loses its handle, rows keep what they show. */
static int batch_set_address(PyObject *object, PyObject *value, void *closure) {
  return batch_keep_rows((Batch *)object) != 0 ? -1 : exporter_set_address(object, value, closure);
}

static PyGetSetDef batch_getset[] = {
    {"_address", exporter_get_address, batch_set_address, "The address of the handle; 0 when closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot batch_slots[] = {
    {Py_tp_doc, "Makes rows; cannot change while memoryviews of its columns exist."},
    {Py_tp_dealloc, batch_dealloc},
    {Py_tp_getset, batch_getset},
    {Py_tp_members, exporter_members},
    {Py_tp_methods, batch_methods},
    {0, NULL},
};

static PyType_Spec batch_spec = {"samebytes._objects.Batch", sizeof(Batch), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, batch_slots};

int batch_add_types(PyObject *module) { return add_type(module, "Batch", &batch_spec); }
