/* samebytes._objects: what Python code cannot do, or only slowly. View, Block, Piece and Column show memory through the buffer protocol, Window
 * lends it for writing; Row is a message of a Batch; VisitManager adds and gets visits. Both function layers share them.
 *
 * It keeps to the limited API, so that one build serves every Python from 3.11 on.
 *
 * This is the module, above its parts: each has a header of its own, and includes those of parts below it (objects_base.h is the ground). */

#include "objects_base.h"

#include <dlfcn.h>

#include "abi_digest.h"
#include "objects_arrow.h"
#include "objects_batch.h"
#include "objects_block.h"
#include "objects_bytes.h"
#include "objects_callback.h"
#include "objects_column.h"
#include "objects_lent.h"
#include "objects_lock.h"
#include "objects_parser.h"
#include "objects_restored.h"
#include "objects_row.h"
#include "objects_values.h"
#include "objects_view.h"
#include "objects_visits.h"

static PyObject *library_version(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  return PyLong_FromUnsignedLong(sb_version());
}

static PyObject *library_digest(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  return PyLong_FromUnsignedLongLong(sb_abi_digest());
}

static PyObject *library_path(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  Dl_info info;
  if (dladdr((void *)(uintptr_t)&sb_version, &info) == 0 || info.dli_fname == NULL) return PyUnicode_FromString("");
  return PyUnicode_DecodeFSDefault(info.dli_fname);
}

static PyMethodDef module_methods[] = {
    {"version", library_version, METH_NOARGS, "The version of the library that is loaded."},
    {"abi_digest", library_digest, METH_NOARGS, "The digest of the headers that the loaded library was built from."},
    {"library_path", library_path, METH_NOARGS, "The file of the library that is loaded."},
    {"open_callback", open_callback, METH_VARARGS, "A provider of memory of three functions: the address of its handle."},
    {NULL, NULL, 0, NULL},
};

static int add_number(PyObject *module, const char *name, unsigned long long number) {
  PyObject *value = PyLong_FromUnsignedLongLong(number);
  int result = value == NULL ? -1 : PyModule_AddObjectRef(module, name, value);
  Py_XDECREF(value);
  return result;
}

/* Types and free objects are those of one interpreter, and a callback of the library enters the main one. */
static int check_interpreter(void) {
  const char *message = NULL;
  if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0)
    message = "samebytes works in the main interpreter only, and this is a sub-interpreter: import it there, or use processes";
  else if (callbacks_have_ended())
    message = "samebytes was loaded by an interpreter of this process that has ended, and cannot be loaded again: start a new process";
  if (message == NULL) return 0;
  PyObject *text = PyUnicode_FromString(message), *name = PyUnicode_FromString("samebytes");
  if (text != NULL && name != NULL) (void)PyErr_SetImportError(text, name, NULL);
  Py_XDECREF(text);
  Py_XDECREF(name);
  return -1;
}

static int (*const parts[])(PyObject *module) = {lock_add_types,  view_add_types,         column_add_types,     lent_add_types,
                                                 block_add_types, bytes_add_types,        row_add_types,        values_add_functions,
                                                 batch_add_types, restored_add_functions, parser_add_functions, arrow_add_functions,
                                                 visits_add_types};

static int module_exec(PyObject *module) {
  const unsigned long version = SB_VERSION_MAJOR << 16 | SB_VERSION_MINOR << 8 | SB_VERSION_PATCH;
  if (check_interpreter() != 0) return -1;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (parts[i](module) != 0) return -1;
  if (watch_exit() != 0) return -1;
  return add_number(module, "BUILT_VERSION", version) != 0 ? -1 : add_number(module, "BUILT_DIGEST", SB_ABI_DIGEST);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "samebytes._objects",
    .m_doc = "Block, View, Column and Window: memory of the library as Python's buffers; Row: messages as Python's objects.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__objects(void) { return PyModuleDef_Init(&module_definition); }
