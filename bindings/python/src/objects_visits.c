/* The visits of samebytes._objects: adding and getting, which programs do at each request, without a layer of Python between.
 *
 * Visit shows a row of a snapshot and makes its strings when they are asked for. What is not ASCII is decoded at once, so that bytes which
 * are no UTF-8 are an error of the call that read them, and never of an attribute. No object here can be part of a cycle: a Visit holds a
 * Snapshot and strings, a Snapshot holds memory of the library.
 *
 * Calls on one VisitManager run beside each other, as the library allows. Invariant: while `users` is above 0, the handle stays open;
 * close waits until it is 0. The GIL guards both. */

#include "objects_visits.h"

#include <stdio.h>

/* ---- Snapshot: keeps what Visits show ---- */

typedef struct {
  PyObject_HEAD
  sb_visits *visits;
  char as_bytes; /* url and text are bytes */
} Snapshot;

static PyTypeObject *snapshot_type, *visit_type, *calls_type;

static void snapshot_dealloc(PyObject *self) {
  sb_visits_close(((Snapshot *)self)->visits);
  object_free(self);
}

static PyType_Slot snapshot_slots[] = {
    {Py_tp_doc, "Keeps the memory that Visits show."},
    {Py_tp_dealloc, snapshot_dealloc},
    {0, NULL},
};

static PyType_Spec snapshot_spec = {"samebytes._objects.Snapshot", sizeof(Snapshot), 0,
                                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, snapshot_slots};

/* ---- Visit ---- */

typedef struct {
  PyObject_HEAD
  const sb_visit *row; /* lies in the snapshot; NULL for a visit that Python made */
  Snapshot *snapshot;
  PyObject *url, *text; /* str or bytes; NULL until asked for */
  unsigned int user, visit_id;
  long long time_ns;
} Visit;

static PyObject *visit_part(Visit *self, PyObject **part, const void *data, size_t size) {
  if (*part == NULL)
    *part = self->snapshot->as_bytes ? PyBytes_FromStringAndSize(data, (Py_ssize_t)size)
                                     : PyUnicode_DecodeUTF8(data, (Py_ssize_t)size, NULL);
  return Py_XNewRef(*part);
}

static PyObject *visit_get_url(PyObject *object, void *closure) {
  (void)closure;
  Visit *self = (Visit *)object;
  return self->row == NULL ? Py_NewRef(self->url) : visit_part(self, &self->url, self->row->url, self->row->url_size);
}

static PyObject *visit_get_text(PyObject *object, void *closure) {
  (void)closure;
  Visit *self = (Visit *)object;
  return self->row == NULL ? Py_NewRef(self->text) : visit_part(self, &self->text, self->row->text, self->row->text_size);
}

static int is_text(PyObject *value, const char *name) {
  if (PyUnicode_Check(value) || PyBytes_Check(value)) return 1;
  PyObject *type = PyType_GetName(Py_TYPE(value));
  if (type != NULL) PyErr_Format(PyExc_TypeError, "%s: a str or bytes is needed, not %U", name, type);
  Py_XDECREF(type);
  return 0;
}

static PyObject *visit_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  (void)keywords;
  PyObject *url, *text;
  unsigned int user, visit_id;
  long long time_ns;
  if (!PyArg_ParseTuple(args, "IIOOL:Visit", &user, &visit_id, &url, &text, &time_ns)) return NULL;
  if (!is_text(url, "url") || !is_text(text, "text")) return NULL;
  Visit *self = object_alloc(type);
  if (self == NULL) return NULL;
  self->user = user;
  self->visit_id = visit_id;
  self->time_ns = time_ns;
  self->url = Py_NewRef(url);
  self->text = Py_NewRef(text);
  return (PyObject *)self;
}

static void visit_dealloc(PyObject *object) {
  Visit *self = (Visit *)object;
  Py_CLEAR(self->url);
  Py_CLEAR(self->text);
  Py_CLEAR(self->snapshot);
  object_free(object);
}

static PyGetSetDef visit_getset[] = {
    {"url", visit_get_url, NULL, "A str, or bytes where they were asked for.", NULL},
    {"text", visit_get_text, NULL, "A str, or bytes where they were asked for.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef visit_members[] = {
    {"user", T_UINT, offsetof(Visit, user), READONLY, "Whose visit it is."},
    {"visit_id", T_UINT, offsetof(Visit, visit_id), READONLY, "Unique among the visits that the user has."},
    {"time_ns", T_LONGLONG, offsetof(Visit, time_ns), READONLY, "Nanoseconds since the Unix epoch, UTC."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot visit_slots[] = {
    {Py_tp_doc, "The fields of a visit."}, {Py_tp_new, visit_new},         {Py_tp_dealloc, visit_dealloc},
    {Py_tp_getset, visit_getset},          {Py_tp_members, visit_members}, {0, NULL},
};

static PyType_Spec visit_spec = {"samebytes._objects.Visit", sizeof(Visit), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, visit_slots};

/* ---- snapshots as lists ---- */

static int is_ascii(const void *data, size_t size) {
  const char *bytes = data;
  uint64_t high = 0, word;
  for (; size >= sizeof word; bytes += sizeof word, size -= sizeof word) {
    memcpy(&word, bytes, sizeof word);
    high |= word;
  }
  for (; size > 0; size--) high |= (unsigned char)*bytes++;
  return (high & UINT64_C(0x8080808080808080)) == 0;
}

/* Decodes what is not ASCII; names the visit and the field where it is no UTF-8. */
static int visit_decode(PyObject **part, const void *data, size_t size, const sb_visit *row, const char *name, const char *errors) {
  if (is_ascii(data, size)) return 0;
  *part = PyUnicode_DecodeUTF8(data, (Py_ssize_t)size, errors);
  if (*part != NULL) return 0;
  if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    PyObject *reason = PyUnicodeDecodeError_GetReason(value), *text = NULL;
    if (reason != NULL)
      text = PyUnicode_FromFormat("%U; it is the %s of visit %u of user %u: open with errors=\"replace\" or as_bytes=True to read it",
                                  reason, name, (unsigned)row->visit_id, (unsigned)row->user);
    const char *words = text == NULL ? NULL : PyUnicode_AsUTF8AndSize(text, NULL);
    if (words != NULL) (void)PyUnicodeDecodeError_SetReason(value, words);
    Py_XDECREF(reason);
    Py_XDECREF(text);
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
  }
  return -1;
}

static PyObject *visit_of_row(PyTypeObject *type, allocfunc allocate, Snapshot *snapshot, const sb_visit *row, const char *errors) {
  Visit *self = (Visit *)allocate(type, 0);
  if (self == NULL) return NULL;
  self->row = row;
  self->snapshot = (Snapshot *)Py_NewRef((PyObject *)snapshot);
  self->user = row->user;
  self->visit_id = row->visit_id;
  self->time_ns = row->time_ns;
  if (!snapshot->as_bytes && (visit_decode(&self->url, row->url, row->url_size, row, "url", errors) != 0 ||
                              visit_decode(&self->text, row->text, row->text_size, row, "text", errors) != 0)) {
    Py_DECREF(self);
    return NULL;
  }
  return (PyObject *)self;
}

/* A list of `type`, which is a Visit; takes `visits` over. */
static PyObject *list_of(sb_visits *visits, PyTypeObject *type, const char *errors, int as_bytes) {
  const sb_visit *rows = NULL;
  size_t count = 0;
  Snapshot *snapshot = object_alloc(snapshot_type);
  if (snapshot == NULL) {
    sb_visits_close(visits);
    return NULL;
  }
  snapshot->visits = visits;
  snapshot->as_bytes = as_bytes != 0;
  if (sb_visits_get_all(visits, &rows, &count) != SB_OK) count = 0;
  PyObject *list = PyList_New((Py_ssize_t)count);
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  for (size_t i = 0; list != NULL && i < count; i++) {
    PyObject *visit = visit_of_row(type, allocate, snapshot, &rows[i], errors);
    if (visit == NULL)
      Py_CLEAR(list);
    else
      (void)PyList_SetItem(list, (Py_ssize_t)i, visit);
  }
  Py_DECREF((PyObject *)snapshot);
  return list;
}

/* ---- VisitManager ---- */

typedef struct Calls Calls;

typedef struct {
  PyObject_HEAD
  sb_visit_manager *handle; /* NULL when closed */
  Calls *inside;            /* calls that Python code makes, in which a signal's handler may run */
  Py_ssize_t users;         /* calls that are inside */
  PyObject *idle;           /* while closing: an Event to set when users becomes 0 */
  PyObject *row_type;       /* what get_recent_visits makes, a subclass of Visit */
  char errors[32];          /* how to decode */
  char as_bytes;
  char closing;
} Manager;

static int manager_enter(Manager *self) {
  if (self->handle == NULL || self->closing) return raise_error("ClosedError", "this VisitManager has been closed");
  self->users++;
  return 0;
}

static void manager_leave(Manager *self) {
  if (--self->users > 0 || self->idle == NULL) return;
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyObject *set = PyObject_CallMethod(self->idle, "set", NULL);
  if (set == NULL) PyErr_WriteUnraisable((PyObject *)self);
  Py_XDECREF(set);
  PyErr_Restore(type, value, traceback);
}

/* Raises what a status and its explanation say. */
static PyObject *failed(const char *function, sb_status status, const sb_error *error) {
  static const sb_error nothing = {.frame = SB_NO_FRAME};
  const sb_error *e = error->status == status ? error : &nothing;
  PyObject *module = PyImport_ImportModule("samebytes._errors");
  if (module == NULL) return NULL;
  PyObject *result = PyObject_CallMethod(module, "fail", "sisiLLLyy", function, (int)status, sb_status_message(status),
                                         (int)e->system_error, (long long)e->stream_offset, (long long)e->frame_offset, (long long)e->frame,
                                         e->field, e->message);
  Py_DECREF(module);
  Py_XDECREF(result);
  return NULL;
}

/* What a name in a message begins with: of a row, which one. */
static void where(char *text, size_t size, Py_ssize_t index, const char *name) {
  if (index < 0)
    snprintf(text, size, "%s", name);
  else
    snprintf(text, size, "visits[%zd].%s", index, name);
}

static int read_u32(PyObject *value, uint32_t *number, Py_ssize_t index, const char *name) {
  char text[64];
  int overflow = 0;
  PyObject *integer = PyNumber_Index(value);
  if (integer == NULL) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) return -1;
    PyErr_Clear();
    where(text, sizeof text, index, name);
    PyObject *type = PyType_GetName(Py_TYPE(value));
    if (type != NULL) PyErr_Format(PyExc_TypeError, "%s: an integer is needed, not %U", text, type);
    Py_XDECREF(type);
    return -1;
  }
  const long long found = PyLong_AsLongLongAndOverflow(integer, &overflow);
  if (overflow != 0 || found < 0 || found > UINT32_MAX) {
    where(text, sizeof text, index, name);
    PyErr_Format(PyExc_OverflowError, "%s: %R is not from 0 to %u", text, integer, UINT32_MAX);
    Py_DECREF(integer);
    return -1;
  }
  Py_DECREF(integer);
  *number = (uint32_t)found;
  return 0;
}

/* The bytes of a str or bytes, which stay valid as long as it. */
static int read_text(PyObject *value, const void **data, size_t *size, Py_ssize_t index, const char *name) {
  Py_ssize_t length = 0;
  if (PyUnicode_Check(value)) {
    *data = PyUnicode_AsUTF8AndSize(value, &length);
    if (*data == NULL) return -1;
  } else if (PyBytes_Check(value)) {
    *data = PyBytes_AsString(value);
    length = PyBytes_Size(value);
  } else {
    char text[64];
    where(text, sizeof text, index, name);
    (void)is_text(value, text);
    return -1;
  }
  *size = (size_t)length;
  return 0;
}

/* None is now; an int is nanoseconds; the rest is Python's to read. */
static int read_time(PyObject *value, int64_t *time_ns) {
  if (value == NULL || value == Py_None) {
    *time_ns = SB_VISIT_NOW;
    return 0;
  }
  PyObject *module = PyImport_ImportModule("samebytes._visits");
  PyObject *number = module == NULL ? NULL : PyObject_CallMethod(module, "time_ns_of", "O", value);
  Py_XDECREF(module);
  if (number == NULL) return -1;
  *time_ns = PyLong_AsLongLong(number);
  Py_DECREF(number);
  return *time_ns == -1 && PyErr_Occurred() ? -1 : 0;
}

static int read_visit(PyObject *const *values, sb_visit *visit, Py_ssize_t index) {
  if (read_u32(values[0], &visit->user, index, "user") != 0 || read_u32(values[1], &visit->visit_id, index, "visit_id") != 0) return -1;
  if (read_text(values[2], &visit->url, &visit->url_size, index, "url") != 0) return -1;
  if (read_text(values[3], &visit->text, &visit->text_size, index, "text") != 0) return -1;
  return read_time(values[4], &visit->time_ns);
}

/* Sorts the arguments of a fast call by name. The first `needed` must be there. */
static int arguments(const char *function, const char *const *names, size_t most, size_t needed, PyObject *const *args, Py_ssize_t count,
                     PyObject *keywords, PyObject **values) {
  const Py_ssize_t named = keywords == NULL ? 0 : PyTuple_Size(keywords);
  if ((size_t)count > most) {
    PyErr_Format(PyExc_TypeError, "%s() takes at most %zu arguments (%zd given)", function, most, count);
    return -1;
  }
  for (Py_ssize_t i = 0; i < count; i++) values[i] = args[i];
  for (Py_ssize_t i = 0; i < named; i++) {
    PyObject *name = PyTuple_GetItem(keywords, i);
    size_t at = 0;
    while (at < most && PyUnicode_CompareWithASCIIString(name, names[at]) != 0) at++;
    if (at == most || values[at] != NULL) {
      PyErr_Format(PyExc_TypeError, "%s() got %s argument '%U'", function, at == most ? "an unexpected" : "twice the", name);
      return -1;
    }
    values[at] = args[count + i];
  }
  for (size_t i = 0; i < needed; i++)
    if (values[i] == NULL) {
      PyErr_Format(PyExc_TypeError, "%s() needs the argument '%s'", function, names[i]);
      return -1;
    }
  return 0;
}

static PyObject *manager_add_visit(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
  static const char *const names[] = {"user", "visit_id", "url", "text", "time"};
  Manager *self = (Manager *)object;
  PyObject *values[5] = {NULL};
  sb_visit visit;
  if (arguments("add_visit", names, 5, 4, args, count, keywords, values) != 0) return NULL;
  if (read_visit(values, &visit, -1) != 0 || manager_enter(self) != 0) return NULL;
  sb_error error;
  error.status = SB_OK;
  sb_status status;
  Py_BEGIN_ALLOW_THREADS
  status = sb_visit_manager_add_visit_at(self->handle, visit.user, visit.visit_id, visit.url, visit.url_size, visit.text, visit.text_size,
                                         visit.time_ns, &error);
  Py_END_ALLOW_THREADS
  manager_leave(self);
  if (status != SB_OK) return failed("sb_visit_manager_add_visit", status, &error);
  Py_RETURN_TRUE;
}

static PyObject *manager_get_recent_visits(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
  static const char *const names[] = {"user"};
  Manager *self = (Manager *)object;
  PyObject *value = NULL;
  uint32_t user;
  if (arguments("get_recent_visits", names, 1, 1, args, count, keywords, &value) != 0) return NULL;
  if (read_u32(value, &user, -1, "user") != 0 || manager_enter(self) != 0) return NULL;
  sb_visits *visits = NULL;
  sb_error error;
  error.status = SB_OK;
  sb_status status;
  Py_BEGIN_ALLOW_THREADS
  status = sb_visit_manager_get_recent_visits(self->handle, user, &visits, &error);
  Py_END_ALLOW_THREADS
  manager_leave(self);
  if (status != SB_OK) return failed("sb_visit_manager_get_recent_visits", status, &error);
  return list_of(visits, (PyTypeObject *)self->row_type, self->errors, self->as_bytes);
}

/* ---- many visits in one call ---- */

typedef struct {
  sb_visit *rows;
  size_t count, capacity;
  PyObject **held; /* what the rows point into, one each; a list could be found, and emptied, by code that runs in the middle */
} Rows;

static int rows_grow(Rows *rows) {
  if (rows->count < rows->capacity) return 0;
  const size_t capacity = rows->capacity == 0 ? 64 : rows->capacity * 2;
  sb_visit *grown = PyMem_Realloc(rows->rows, capacity * sizeof *grown);
  if (grown != NULL) rows->rows = grown;
  PyObject **held = grown == NULL ? NULL : PyMem_Realloc(rows->held, capacity * sizeof *held);
  if (held == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  rows->held = held;
  rows->capacity = capacity;
  return 0;
}

static int row_of_visit(const Visit *visit, sb_visit *row, Py_ssize_t index) {
  if (visit->row != NULL) {
    *row = *visit->row;
    return 0;
  }
  *row = (sb_visit){.user = visit->user, .visit_id = visit->visit_id, .time_ns = visit->time_ns};
  if (read_text(visit->url, &row->url, &row->url_size, index, "url") != 0) return -1;
  return read_text(visit->text, &row->text, &row->text_size, index, "text");
}

static int row_of_tuple(PyObject *tuple, sb_visit *row, Py_ssize_t index) {
  const Py_ssize_t size = PyTuple_Size(tuple);
  if (size != 4 && size != 5) {
    PyErr_Format(PyExc_TypeError, "visits[%zd]: a Visit, or (user, visit_id, url, text) with or without a time, is needed, not %zd items",
                 index, size);
    return -1;
  }
  PyObject *values[5] = {NULL};
  for (Py_ssize_t i = 0; i < size; i++) values[i] = PyTuple_GetItem(tuple, i);
  return read_visit(values, row, index);
}

static int rows_add(Rows *rows, PyObject *item) {
  const Py_ssize_t index = (Py_ssize_t)rows->count;
  if (rows_grow(rows) != 0) return -1;
  PyObject *kept;
  if (PyObject_TypeCheck(item, visit_type) || PyTuple_Check(item)) {
    kept = Py_NewRef(item);
  } else if (PyList_Check(item)) { /* somebody may change it during the call */
    kept = PyList_AsTuple(item);
  } else {
    PyObject *type = PyType_GetName(Py_TYPE(item));
    if (type != NULL) PyErr_Format(PyExc_TypeError, "visits[%zd]: a Visit or a tuple is needed, not %U", index, type);
    Py_XDECREF(type);
    return -1;
  }
  if (kept == NULL) return -1;
  sb_visit *row = &rows->rows[rows->count];
  const int result = PyTuple_Check(kept) ? row_of_tuple(kept, row, index) : row_of_visit((const Visit *)kept, row, index);
  if (result == 0)
    rows->held[rows->count++] = kept;
  else
    Py_DECREF(kept);
  return result;
}

static int rows_read(Rows *rows, PyObject *values) {
  PyObject *iterator = PyObject_GetIter(values), *item;
  if (iterator == NULL) return -1;
  int result = 0;
  while (result == 0 && (item = PyIter_Next(iterator)) != NULL) {
    result = rows_add(rows, item);
    Py_DECREF(item);
  }
  Py_DECREF(iterator);
  return result != 0 || PyErr_Occurred() ? -1 : 0;
}

static PyObject *manager_add_visits(PyObject *object, PyObject *values) {
  Manager *self = (Manager *)object;
  Rows rows = {0};
  PyObject *result = NULL;
  if (rows_read(&rows, values) == 0 && manager_enter(self) == 0) {
    sb_error error;
    error.status = SB_OK;
    sb_status status;
    Py_BEGIN_ALLOW_THREADS
    status = sb_visit_manager_add_visits(self->handle, rows.rows, rows.count, &error);
    Py_END_ALLOW_THREADS
    manager_leave(self);
    result = status == SB_OK ? Py_NewRef(Py_True) : failed("sb_visit_manager_add_visits", status, &error);
  }
  for (size_t i = 0; i < rows.count; i++) Py_DECREF(rows.held[i]);
  PyMem_Free(rows.held);
  PyMem_Free(rows.rows);
  return result;
}

/* ---- the handle ---- */

static PyObject *manager_visits_of(PyObject *object, PyObject *value) {
  Manager *self = (Manager *)object;
  sb_visits *visits = PyLong_AsVoidPtr(value);
  if (visits == NULL) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "the address is 0 (NULL)");
    return NULL;
  }
  return list_of(visits, (PyTypeObject *)self->row_type, self->errors, self->as_bytes);
}

static PyObject *manager_opened(PyObject *object, PyObject *args) {
  Manager *self = (Manager *)object;
  PyObject *address, *row_type;
  const char *errors;
  int as_bytes;
  if (!PyArg_ParseTuple(args, "OOsp", &address, &row_type, &errors, &as_bytes)) return NULL;
  if (!PyType_Check(row_type) || !PyType_IsSubtype((PyTypeObject *)row_type, visit_type) || strlen(errors) >= sizeof self->errors) {
    PyErr_SetString(PyExc_TypeError, "a subclass of Visit and the name of an error handler are needed");
    return NULL;
  }
  void *handle = PyLong_AsVoidPtr(address);
  if (handle == NULL && PyErr_Occurred()) return NULL;
  Py_XDECREF(self->row_type);
  self->row_type = Py_NewRef(row_type);
  memcpy(self->errors, errors, strlen(errors) + 1);
  self->as_bytes = as_bytes != 0;
  self->handle = handle;
  Py_RETURN_NONE;
}

/* A handler of a signal runs in the middle of what its thread does. */
static int thread_is_inside(const Manager *self);

static PyObject *manager_begin_close(PyObject *object, PyObject *idle) {
  Manager *self = (Manager *)object;
  if (self->handle == NULL || self->closing) Py_RETURN_NONE;
  if (thread_is_inside(self)) {
    raise_error("BusyError", "this thread is inside a call on this VisitManager, which close would wait for");
    return NULL;
  }
  self->closing = 1;
  if (self->users > 0) self->idle = Py_NewRef(idle);
  return PyLong_FromVoidPtr(self->handle);
}

static PyObject *manager_end_close(PyObject *object, PyObject *closed) {
  Manager *self = (Manager *)object;
  const int done = PyObject_IsTrue(closed);
  if (done < 0) return NULL;
  self->closing = 0;
  Py_CLEAR(self->idle);
  if (done) self->handle = NULL;
  Py_RETURN_NONE;
}

/* The handle, which is the caller's from now on; at once, so that no call can begin between looking and taking. */
static PyObject *manager_detach(PyObject *object, PyObject *unused) {
  (void)unused;
  Manager *self = (Manager *)object;
  if (self->handle == NULL || self->closing)
    (void)raise_error("ClosedError", "this VisitManager has been closed");
  else if (self->users > 0)
    (void)raise_error("BusyError", "a call on this VisitManager is running");
  if (PyErr_Occurred()) return NULL;
  PyObject *address = PyLong_FromVoidPtr(self->handle);
  if (address != NULL) self->handle = NULL;
  return address;
}

static PyObject *manager_get_address(PyObject *object, void *closure) {
  (void)closure;
  return PyLong_FromVoidPtr(((Manager *)object)->handle);
}

static int manager_set_address(PyObject *object, PyObject *value, void *closure) {
  (void)closure;
  if (value == NULL || !PyLong_Check(value)) {
    PyErr_SetString(PyExc_TypeError, "an address is an integer");
    return -1;
  }
  void *handle = PyLong_AsVoidPtr(value);
  if (handle == NULL && PyErr_Occurred()) return -1;
  ((Manager *)object)->handle = handle;
  return 0;
}

static void manager_dealloc(PyObject *object) {
  Manager *self = (Manager *)object;
  Py_CLEAR(self->idle);
  Py_CLEAR(self->row_type);
  object_free(object);
}

/* ---- Calls: what the classes take for a lock. It keeps nobody out; it says that a call is inside. ---- */

struct Calls {
  PyObject_HEAD
  Manager *manager;
  Calls *next; /* in the manager's list while inside */
  unsigned long thread;
  char is_inside;
};

static int thread_is_inside(const Manager *self) {
  const unsigned long thread = PyThread_get_thread_ident();
  for (const Calls *each = self->inside; each != NULL; each = each->next)
    if (each->thread == thread) return 1;
  return 0;
}

static PyObject *manager_get_lock(PyObject *object, void *closure) {
  (void)closure;
  Calls *self = object_alloc(calls_type);
  if (self != NULL) self->manager = (Manager *)Py_NewRef(object);
  return (PyObject *)self;
}

static PyObject *calls_enter(PyObject *object, PyObject *unused) {
  (void)unused;
  Calls *self = (Calls *)object;
  if (self->is_inside) {
    PyErr_SetString(PyExc_RuntimeError, "this call is inside already");
    return NULL;
  }
  if (manager_enter(self->manager) != 0) return NULL;
  self->is_inside = 1;
  self->thread = PyThread_get_thread_ident();
  self->next = self->manager->inside;
  self->manager->inside = self;
  Py_RETURN_NONE;
}

static void calls_end(Calls *self) {
  if (!self->is_inside) return;
  Calls **link = &self->manager->inside;
  while (*link != self) link = &(*link)->next;
  *link = self->next;
  self->is_inside = 0;
  manager_leave(self->manager);
}

static PyObject *calls_leave(PyObject *object, PyObject *unused) {
  (void)unused;
  calls_end((Calls *)object);
  Py_RETURN_NONE;
}

static void calls_dealloc(PyObject *object) {
  Calls *self = (Calls *)object;
  calls_end(self); /* begun and never ended */
  Py_CLEAR(self->manager);
  object_free(object);
}

static PyMethodDef calls_methods[] = {
    {"__enter__", calls_enter, METH_NOARGS, "Begin a call. Raises ClosedError."},
    {"__exit__", calls_leave, METH_VARARGS, "End it."},
    {"acquire", calls_enter, METH_NOARGS, "Begin a call. Raises ClosedError."},
    {"release", calls_leave, METH_NOARGS, "End it."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot calls_slots[] = {
    {Py_tp_doc, "Counts a call on a VisitManager."},
    {Py_tp_dealloc, calls_dealloc},
    {Py_tp_methods, calls_methods},
    {0, NULL},
};

static PyType_Spec calls_spec = {"samebytes._objects.Calls", sizeof(Calls), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                 calls_slots};

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

PyDoc_STRVAR(add_visit_doc,
             "add_visit($self, /, user, visit_id, url, text, time=None)\n--\n\n"
             "Add a visit; return True. A visit_id that the user has is ignored, which is a success.\n\n"
             "Without a time it is now, and never earlier than the user's newest; an int is nanoseconds since the Unix epoch.\n\n"
             "Raises OverflowError for a user or visit_id that is not 0 to 2**32 - 1, InvalidArgumentError for a NUL in url or\n"
             "text, TooLargeError above VISIT_TEXT_MAX, UnsupportedError where the manager is read_only, IoError, ClosedError.");
PyDoc_STRVAR(add_visits_doc,
             "add_visits($self, visits, /)\n--\n\n"
             "Add visits of any users, in order and in one call; return True.\n\n"
             "Each is a Visit, or (user, visit_id, url, text) with or without a time. Either all are added or none, a crash\n"
             "aside, which may keep the first of them only. Errors as add_visit(), with the index in `frame`.");
PyDoc_STRVAR(get_recent_visits_doc,
             "get_recent_visits($self, /, user)\n--\n\n"
             "Return the visits of user as a list, newest first; empty for a user who has none.\n\n"
             "Raises UnicodeDecodeError, which names visit and field, for bytes that are no UTF-8; see the constructor.\n"
             "IoError, CorruptError, ClosedError.");

static PyMethodDef manager_methods[] = {
    {"add_visit", FAST(manager_add_visit), METH_FASTCALL | METH_KEYWORDS, add_visit_doc},
    {"add_visits", manager_add_visits, METH_O, add_visits_doc},
    {"get_recent_visits", FAST(manager_get_recent_visits), METH_FASTCALL | METH_KEYWORDS, get_recent_visits_doc},
    {"_visits_of", manager_visits_of, METH_O, "The visits of the snapshot at an address, which is taken over."},
    {"_opened", manager_opened, METH_VARARGS, "Store the handle, what its visits are, and how to decode them."},
    {"_begin_close", manager_begin_close, METH_O, "Let no call begin; return the address, None when closed. Sets the event when idle."},
    {"_detach", manager_detach, METH_NOARGS, "Give the handle up, and return its address."},
    {"_end_close", manager_end_close, METH_O, "The handle was closed, or not."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef manager_getset[] = {
    {"_address", manager_get_address, manager_set_address, "The address of the handle; 0 when closed.", NULL},
    {"_lock", manager_get_lock, NULL, "Counts a call.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef manager_members[] = {
    {"_calls", T_PYSSIZET, offsetof(Manager, users), READONLY, "Calls that are inside."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot manager_slots[] = {
    {Py_tp_doc, "The calls that a program makes most."},
    {Py_tp_dealloc, manager_dealloc},
    {Py_tp_methods, manager_methods},
    {Py_tp_getset, manager_getset},
    {Py_tp_members, manager_members},
    {0, NULL},
};

static PyType_Spec manager_spec = {"samebytes._objects.VisitManager", sizeof(Manager), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                                   manager_slots};

/* The type as the module has it, kept for good. */
static PyTypeObject *added(PyObject *module, const char *name, PyType_Spec *spec) {
  return add_type(module, name, spec) != 0 ? NULL : (PyTypeObject *)PyObject_GetAttrString(module, name);
}

int visits_add_types(PyObject *module) {
  snapshot_type = added(module, "Snapshot", &snapshot_spec);
  visit_type = added(module, "Visit", &visit_spec);
  calls_type = added(module, "Calls", &calls_spec);
  if (snapshot_type == NULL || visit_type == NULL || calls_type == NULL) return -1;
  return add_type(module, "VisitManager", &manager_spec);
}
