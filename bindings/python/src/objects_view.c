/* View of samebytes._objects: shows the bytes of a view that lies in one piece. */

#include "objects_view.h"

#include "objects_exporter.h"
#include "objects_lock.h"

static PyGetSetDef view_getset[] = {
    {"_address", exporter_get_address, exporter_set_address, "The address of the handle; 0 when closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* Each buffer has its own copy of the view, which shares the bytes: the view may be skipped or read meanwhile. */
static int view_fill(Exporter *self, Py_buffer *buffer, int flags) {
  const sb_view *view = self->address;
  if (view == NULL) return raise_error("ClosedError", "this View has been closed");
  size_t spans = sb_view_span_count(view);
  if (spans > 1) {
    PyErr_Format(PyExc_BufferError, "this View lies in %zu pieces; take a memoryview of view.flatten(), or bytes(view)", spans);
    return -1;
  }
  sb_view *copy = NULL;
  const void *data = "";
  size_t size = 0;
  if (sb_view_copy(view, &copy) != SB_OK || (spans == 1 && sb_view_span(copy, 0, &data, &size) != SB_OK)) {
    sb_view_close(copy);
    PyErr_NoMemory();
    return -1;
  }
  if (PyBuffer_FillInfo(buffer, (PyObject *)self, (void *)data, (Py_ssize_t)size, 1, flags) != 0) {
    sb_view_close(copy);
    return -1;
  }
  buffer->internal = copy;
  self->exports++;
  return 0;
}

static int view_getbuffer(PyObject *object, Py_buffer *buffer, int flags) {
  buffer->obj = NULL;
  PyObject *lock = handle_begin(object); /* another thread may be in a call on it with the GIL released */
  if (lock == NULL) return -1;
  const int result = view_fill((Exporter *)object, buffer, flags);
  handle_end(lock);
  return result;
}

static void view_releasebuffer(PyObject *object, Py_buffer *buffer) {
  sb_view_close(buffer->internal);
  ((Exporter *)object)->exports--;
}

static PyType_Slot view_slots[] = {
    {Py_tp_doc, "Shows the bytes of a view that lies in one piece, read-only."},
    {Py_tp_dealloc, object_free},
    {Py_tp_getset, view_getset},
    {Py_tp_members, exporter_members},
    {Py_bf_getbuffer, view_getbuffer},
    {Py_bf_releasebuffer, view_releasebuffer},
    {0, NULL},
};

static PyType_Spec view_spec = {"samebytes._objects.View", sizeof(Exporter), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, view_slots};

int view_add_types(PyObject *module) { return add_type(module, "View", &view_spec); }
