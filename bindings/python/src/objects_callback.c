/* Providers of memory written in Python. The functions are called by the library, on any thread that needs memory; what they raise becomes
 * SB_PROVIDER with its text. Blocks come back through the library's list (`defer`), so no code runs where a block is closed.
 *
 * A thread of another language may need memory when the interpreter has gone: from its atexit functions on, nothing enters it any more, and
 * what comes back then is not released, as the process ends. */

#include "objects_callback.h"

#include <stdlib.h>

#include <samebytes/callback.h>

typedef struct provider {
  PyObject *reserve, *release, *retire; /* the last two may be None */
} provider;

/* Memory that a block shows. */
typedef struct given {
  Py_buffer buffer;
  PyObject *object;
} given;

static _Atomic int ended; /* written with the GIL, read without it */

static PyObject *end_callbacks(PyObject *module, PyObject *unused) {
  (void)module;
  (void)unused;
  ended = 1;
  Py_RETURN_NONE;
}

int callbacks_have_ended(void) { return ended; }

/* Says to the library what was raised, and forgets it. */
static sb_status refuse(void *sink) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  const int no_memory = type != NULL && PyErr_GivenExceptionMatches(type, PyExc_MemoryError);
  PyObject *name = type == NULL ? NULL : PyObject_GetAttrString(type, "__name__");
  PyObject *text = name == NULL ? NULL : PyUnicode_FromFormat("%U: %S", name, value);
  PyObject *bytes = text == NULL ? NULL : PyUnicode_AsUTF8String(text);
  const char *message = bytes == NULL ? NULL : PyBytes_AsString(bytes);
  sb_sink_refuse(sink, message == NULL ? "an exception without a text" : message);
  Py_XDECREF(bytes);
  Py_XDECREF(text);
  Py_XDECREF(name);
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(traceback);
  PyErr_Clear();
  return no_memory ? SB_NO_MEMORY : SB_PROVIDER;
}

/* Adds one object's memory; -1 with an exception. */
static int give(void *sink, PyObject *object) {
  given *made = malloc(sizeof *made);
  if (made == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  if (PyObject_GetBuffer(object, &made->buffer, PyBUF_WRITABLE) != 0) {
    free(made);
    return -1;
  }
  const sb_status status = sb_sink_add(sink, made->buffer.buf, (size_t)made->buffer.len, made, 0, NULL);
  if (status == SB_OK) {
    made->object = Py_NewRef(object);
    return 0;
  }
  if (status == SB_NO_MEMORY)
    PyErr_NoMemory();
  else
    PyErr_Format(PyExc_ValueError, "a block has 1 to %lld bytes, not %zd", (long long)SB_BLOCK_SIZE_MAX, made->buffer.len);
  PyBuffer_Release(&made->buffer);
  free(made);
  return -1;
}

static int give_all(const provider *self, size_t min_bytes, void *sink) {
  PyObject *reserve = Py_NewRef(self->reserve);
  PyObject *blocks = PyObject_CallFunction(reserve, "n", (Py_ssize_t)min_bytes);
  Py_DECREF(reserve);
  PyObject *each = blocks == NULL ? NULL : PyObject_GetIter(blocks);
  int result = each == NULL ? -1 : 0;
  PyObject *block;
  while (result == 0 && (block = PyIter_Next(each)) != NULL) {
    result = give(sink, block);
    Py_DECREF(block);
  }
  Py_XDECREF(each);
  Py_XDECREF(blocks);
  return PyErr_Occurred() != NULL ? -1 : result;
}

static sb_status provider_reserve(void *context, size_t min_bytes, void *sink) {
  if (ended || !Py_IsInitialized()) {
    sb_sink_refuse(sink, "the Python interpreter has ended");
    return SB_PROVIDER;
  }
  const PyGILState_STATE state = PyGILState_Ensure();
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback); /* of a caller whose cleanup needs memory */
  const sb_status status = give_all(context, min_bytes, sink) == 0 ? SB_OK : refuse(sink);
  PyErr_Restore(type, value, traceback);
  PyGILState_Release(state);
  return status;
}

/* Calls a function of the provider; nobody is there to get what it raises. */
static void call(PyObject *function, PyObject *argument) {
  if (function == Py_None) return;
  PyObject *result = argument == NULL ? PyObject_CallFunction(function, NULL) : PyObject_CallFunctionObjArgs(function, argument, NULL);
  if (result == NULL) PyErr_WriteUnraisable(function);
  Py_XDECREF(result);
}

static void provider_release(void *context, void *token) {
  if (ended || !Py_IsInitialized()) return;
  given *back = token;
  const PyGILState_STATE state = PyGILState_Ensure();
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyBuffer_Release(&back->buffer);
  call(((provider *)context)->release, back->object);
  Py_DECREF(back->object);
  free(back);
  PyErr_Restore(type, value, traceback);
  PyGILState_Release(state);
}

static void provider_retire(void *context) {
  if (ended || !Py_IsInitialized()) return;
  provider *self = context;
  const PyGILState_STATE state = PyGILState_Ensure();
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  call(self->retire, NULL);
  Py_DECREF(self->reserve);
  Py_DECREF(self->release);
  Py_DECREF(self->retire);
  free(self);
  PyErr_Restore(type, value, traceback);
  PyGILState_Release(state);
}

PyObject *open_callback(PyObject *module, PyObject *arguments) {
  (void)module;
  PyObject *reserve, *release, *retire;
  if (!PyArg_ParseTuple(arguments, "OOO", &reserve, &release, &retire)) return NULL;
  provider *self = malloc(sizeof *self);
  if (self == NULL) return PyErr_NoMemory();
  *self = (provider){Py_NewRef(reserve), Py_NewRef(release), Py_NewRef(retire)};
  const sb_memory_functions functions = {
      .struct_size = sizeof functions,
      .defer = true,
      .context = self,
      .reserve = provider_reserve,
      .release = provider_release,
      .retire = provider_retire,
  };
  sb_memory *memory = NULL;
  if (sb_memory_open_callback(&functions, &memory) != SB_OK) {
    Py_DECREF(reserve);
    Py_DECREF(release);
    Py_DECREF(retire);
    free(self);
    return PyErr_NoMemory();
  }
  return PyLong_FromVoidPtr(memory);
}

static PyMethodDef end_method = {"end_callbacks", end_callbacks, METH_NOARGS, "Keeps the library out of the interpreter."};

int watch_exit(void) {
  PyObject *atexit = PyImport_ImportModule("atexit");
  PyObject *end = atexit == NULL ? NULL : PyCFunction_New(&end_method, NULL);
  PyObject *result = end == NULL ? NULL : PyObject_CallMethod(atexit, "register", "O", end);
  Py_XDECREF(atexit);
  Py_XDECREF(end);
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}
