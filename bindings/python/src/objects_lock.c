/* Lock: who uses an object, and Late: an address that is asked for when everything else of a call has been converted.
 *
 * Code of others runs in the middle of what Python does: __index__ of an argument, a finalizer that an allocation sets off, the handler of a
 * signal, a provider of memory. It may use the very object. So a call first converts what it was given, then takes the object's lock and
 * looks at its address; from then until its end the object is in use. Another thread waits. In the same thread nobody could wait: there
 * `acquire` raises BusyError while the object is in use, and so do closing and giving away.
 *
 * A lock can also be held (`with lock`) by what makes several calls of one. That keeps other threads out, and makes nothing in use by itself.
 *
 * All of this happens with the GIL held, which is the lock of the lock; only who has to wait lets go of it. Invariants: `holds` is 0 exactly
 * when nobody has the lock; calls <= holds. */

#include "objects_lock.h"

struct Lock {
  PyObject_HEAD
  PyThread_type_lock gate; /* what waiters sleep at; NULL until there is one */
  unsigned long owner;     /* the thread that has the lock */
  Py_ssize_t holds;        /* how often it has it */
  Py_ssize_t calls;        /* how many of these are calls */
  Py_ssize_t waiting;      /* threads at the gate */
  char gate_is_open;
  char is_shut;       /* no call may begin: the object is being closed or given away */
  char is_concurrent; /* the library allows calls beside each other */
  char lends;         /* _open does more than to look at _address: what was lent is taken back */
};

static PyTypeObject *lock_type, *late_type;
static PyObject *lock_name, *open_name, *address_name, *acquire_name, *release_name;

/* ---- Lock ---- */

/* Sleeps until somebody has let go. */
static int lock_wait(Lock *self) {
  if (self->gate == NULL) {
    PyThread_type_lock gate = PyThread_allocate_lock();
    if (gate == NULL) {
      PyErr_NoMemory();
      return -1;
    }
    (void)PyThread_acquire_lock(gate, NOWAIT_LOCK);
    self->gate = gate;
  }
  PyThread_type_lock gate = self->gate;
  PyLockStatus status;
  self->waiting++;
  Py_BEGIN_ALLOW_THREADS;
  status = PyThread_acquire_lock_timed(gate, -1, 1);
  Py_END_ALLOW_THREADS;
  self->waiting--;
  if (status == PY_LOCK_INTR) return PyErr_CheckSignals();
  self->gate_is_open = 0;
  return 0;
}

int lock_hold(Lock *self) {
  const unsigned long thread = PyThread_get_thread_ident();
  while (self->holds > 0 && self->owner != thread)
    if (lock_wait(self) != 0) return -1;
  self->owner = thread;
  self->holds++;
  return 0;
}

void lock_let_go(Lock *self) {
  if (--self->holds > 0 || self->waiting == 0 || self->gate_is_open) return;
  self->gate_is_open = 1;
  PyThread_release_lock(self->gate);
}

static int refuse_busy(void) { return raise_error("BusyError", "the object is in use by a call that this thread is inside"); }

int lock_begin(Lock *self) {
  if (lock_hold(self) != 0) return -1;
  if (self->is_shut || (self->calls > 0 && !self->is_concurrent)) {
    lock_let_go(self);
    return refuse_busy();
  }
  self->calls++;
  return 0;
}

void lock_end(Lock *self) {
  self->calls--;
  lock_let_go(self);
}

bool lock_is_used(const Lock *self) { return self->calls > 0 || self->is_shut; }

Lock *lock_make(bool is_concurrent) {
  Lock *self = object_alloc(lock_type);
  if (self != NULL) self->is_concurrent = is_concurrent;
  return self;
}

static PyObject *make_lock(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  if (count != 2) return PyErr_Format(PyExc_TypeError, "lock() takes whether the object is concurrent, and whether it lends");
  Lock *self = lock_make(args[0] == Py_True);
  if (self != NULL) self->lends = args[1] == Py_True;
  return (PyObject *)self;
}

static int is_mine(const Lock *self, Py_ssize_t count) {
  if (count > 0 && self->owner == PyThread_get_thread_ident()) return 1;
  PyErr_SetString(PyExc_RuntimeError, "this thread does not have the lock");
  return 0;
}

static PyObject *lock_enter(PyObject *object, PyObject *unused) {
  (void)unused;
  return lock_hold((Lock *)object) != 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *lock_exit(PyObject *object, PyObject *unused) {
  (void)unused;
  Lock *self = (Lock *)object;
  if (!is_mine(self, self->holds - self->calls)) return NULL;
  lock_let_go(self);
  Py_RETURN_NONE;
}

static PyObject *lock_acquire(PyObject *object, PyObject *unused) {
  (void)unused;
  return lock_begin((Lock *)object) != 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *lock_release(PyObject *object, PyObject *unused) {
  (void)unused;
  Lock *self = (Lock *)object;
  if (!is_mine(self, self->calls)) return NULL;
  lock_end(self);
  Py_RETURN_NONE;
}

/* The caller has the lock, as a holder (0) or by a call (1). */
static PyObject *lock_shut(PyObject *object, PyObject *calls) {
  Lock *self = (Lock *)object;
  const Py_ssize_t own = PyLong_AsSsize_t(calls);
  if (own == -1 && PyErr_Occurred()) return NULL;
  if (!is_mine(self, self->holds)) return NULL;
  if (self->calls > own || self->is_shut) {
    (void)refuse_busy();
    return NULL;
  }
  self->is_shut = 1;
  Py_RETURN_NONE;
}

static PyObject *lock_reopen(PyObject *object, PyObject *unused) {
  (void)unused;
  ((Lock *)object)->is_shut = 0;
  Py_RETURN_NONE;
}

static void lock_dealloc(PyObject *object) {
  if (((Lock *)object)->gate != NULL) PyThread_free_lock(((Lock *)object)->gate);
  object_free(object);
}

static PyMethodDef lock_methods[] = {
    {"__enter__", lock_enter, METH_NOARGS, "Hold the lock, so that other threads wait."},
    {"__exit__", lock_exit, METH_VARARGS, "Let go of it."},
    {"acquire", lock_acquire, METH_NOARGS, "Begin a call. Raises BusyError inside a call of the same thread."},
    {"release", lock_release, METH_NOARGS, "End it."},
    {"shut", lock_shut, METH_O,
     "Let no call begin: the object is being closed or given away. The argument is the number of the caller's own calls. Raises "
     "BusyError."},
    {"reopen", lock_reopen, METH_NOARGS, "Let calls begin again."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot lock_slots[] = {
    {Py_tp_doc, "Who uses an object."},
    {Py_tp_dealloc, lock_dealloc},
    {Py_tp_methods, lock_methods},
    {0, NULL},
};

static PyType_Spec lock_spec = {"samebytes._objects.Lock", sizeof(Lock), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                lock_slots};

/* ---- the lock of an object, whatever it is: a VisitManager counts calls instead ---- */

static int any_begin(PyObject *lock) {
  if (Py_TYPE(lock) == lock_type) return lock_begin((Lock *)lock);
  PyObject *result = PyObject_CallMethodObjArgs(lock, acquire_name, NULL);
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

static void any_end(PyObject *lock) {
  if (Py_TYPE(lock) == lock_type) {
    lock_end((Lock *)lock);
    return;
  }
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyObject *result = PyObject_CallMethodObjArgs(lock, release_name, NULL);
  if (result == NULL) PyErr_WriteUnraisable(lock);
  Py_XDECREF(result);
  PyErr_Restore(type, value, traceback);
}

PyObject *handle_begin(PyObject *handle) {
  PyObject *lock = PyObject_GetAttr(handle, lock_name);
  if (lock == NULL || any_begin(lock) == 0) return lock;
  Py_DECREF(lock);
  return NULL;
}

void handle_end(PyObject *lock) {
  any_end(lock);
  Py_DECREF(lock);
}

PyObject *handle_open(PyObject *handle) { return PyObject_CallMethodObjArgs(handle, open_name, NULL); }

/* The same where its lock says that the address is all there is to look at, which is quicker. */
static PyObject *handle_open_by(PyObject *lock, PyObject *handle) {
  if (Py_TYPE(lock) != lock_type || ((Lock *)lock)->lends) return handle_open(handle);
  PyObject *address = PyObject_GetAttr(handle, address_name);
  const int is_open = address == NULL ? -1 : PyObject_IsTrue(address);
  if (is_open == 1) return address;
  Py_XDECREF(address);
  return is_open < 0 ? NULL : handle_open(handle);
}

/* ---- Late ---- */

typedef struct Late Late;

struct Late {
  PyObject_HEAD
  Late *first;       /* whose `locks` count; NULL for itself */
  PyObject *handle;  /* whose address it stands for */
  PyObject *handles; /* of the first: a tuple of all handles of the call; NULL where there is only its own */
  PyObject **locks;  /* of the first: those that it has */
  PyObject *one;     /* where they lie when there is one */
  PyObject *only;    /* the lock of the only handle */
  Py_ssize_t count;
  char at_once; /* __enter__ takes the lock and gives the address */
};

static void late_release(Late *self) {
  self->only = NULL;
  while (self->count > 0) handle_end(self->locks[--self->count]);
  if (self->locks != &self->one) PyMem_Free(self->locks);
  self->locks = NULL;
}

static int compare_places(const void *one, const void *other) {
  const uintptr_t first = (uintptr_t)*(PyObject *const *)one, second = (uintptr_t)*(PyObject *const *)other;
  return first < second ? -1 : first > second;
}

/* Fills `locks` with those of all handles, each once, in one order for all, so that no two threads wait for each other. */
static Py_ssize_t find_locks(PyObject *handles, PyObject **locks) {
  Py_ssize_t found = 0, different = 0;
  for (Py_ssize_t i = 0; i < PyTuple_Size(handles); i++) {
    PyObject *handle = PyTuple_GetItem(handles, i);
    if (handle == Py_None) continue;
    locks[found] = PyObject_GetAttr(handle, lock_name);
    if (locks[found] == NULL) {
      while (found > 0) Py_DECREF(locks[--found]);
      return -1;
    }
    found++;
  }
  if (found > 1) qsort(locks, (size_t)found, sizeof *locks, compare_places);
  for (Py_ssize_t i = 0; i < found; i++) {
    if (different > 0 && locks[different - 1] == locks[i])
      Py_DECREF(locks[i]);
    else
      locks[different++] = locks[i];
  }
  return different;
}

static int late_take_all(Late *self) {
  PyObject **locks = PyMem_Calloc((size_t)PyTuple_Size(self->handles) + 1, sizeof *locks);
  if (locks == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  const Py_ssize_t count = find_locks(self->handles, locks);
  Py_ssize_t taken = 0;
  while (taken < count && any_begin(locks[taken]) == 0) taken++;
  if (count >= 0 && taken == count) {
    self->locks = locks;
    self->count = count;
    return 0;
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    if (i < taken) any_end(locks[i]);
    Py_DECREF(locks[i]);
  }
  PyMem_Free(locks);
  return -1;
}

/* Takes the locks, once. */
static int late_take(Late *self) {
  if (self->locks != NULL) return 0;
  if (self->handles != NULL) return late_take_all(self);
  PyObject *lock = handle_begin(self->handle);
  if (lock == NULL) return -1;
  self->one = self->only = lock;
  self->locks = &self->one;
  self->count = 1;
  return 0;
}

static PyObject *late_open(PyObject *object, PyObject *unused) {
  (void)unused;
  Late *self = (Late *)object;
  if (late_take(self->first != NULL ? self->first : self) != 0) return NULL;
  return self->only != NULL ? handle_open_by(self->only, self->handle) : handle_open(self->handle);
}

static PyObject *late_enter(PyObject *object, PyObject *unused) {
  Late *self = (Late *)object;
  if (!self->at_once) return Py_NewRef(object);
  PyObject *address = late_open(object, unused);
  if (address == NULL) late_release(self);
  return address;
}

static PyObject *late_exit(PyObject *object, PyObject *unused) {
  (void)unused;
  late_release((Late *)object);
  Py_RETURN_NONE;
}

static Late *late_new(PyObject *handle) {
  Late *self = (Late *)((allocfunc)PyType_GetSlot(late_type, Py_tp_alloc))(late_type, 0);
  if (self != NULL) self->handle = Py_NewRef(handle);
  return self;
}

static PyObject *late_of(PyObject *object, PyObject *handle) {
  Late *self = late_new(handle);
  if (self != NULL) self->first = (Late *)Py_NewRef(object);
  return (PyObject *)self;
}

static void late_dealloc(PyObject *object) {
  Late *self = (Late *)object;
  PyTypeObject *type = Py_TYPE(object);
  if (self->locks != NULL) late_release(self);
  Py_XDECREF((PyObject *)self->first);
  Py_XDECREF(self->handle);
  Py_XDECREF(self->handles);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
}

static PyMethodDef late_methods[] = {
    {"__enter__", late_enter, METH_NOARGS, "Itself, or the address where it is wanted at once."},
    {"__exit__", late_exit, METH_VARARGS, "End the call."},
    {"open", late_open, METH_NOARGS, "Begin the call on all of its objects, once, and return the address. Raises ClosedError, BusyError."},
    {"of", late_of, METH_O, "What stands for the address of another object of the call."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot late_slots[] = {
    {Py_tp_doc, "Stands for the address of an object until a call has converted everything else."},
    {Py_tp_dealloc, late_dealloc},
    {Py_tp_methods, late_methods},
    {0, NULL},
};

static PyType_Spec late_spec = {"samebytes._objects.Late", sizeof(Late), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                late_slots};

static PyObject *make_late(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  Late *self = late_new(count == 0 ? Py_None : args[0]); /* a list of objects may be empty */
  if (self == NULL || count <= 1) return (PyObject *)self;
  self->handles = PyTuple_New(count);
  for (Py_ssize_t i = 0; self->handles != NULL && i < count; i++) (void)PyTuple_SetItem(self->handles, i, Py_NewRef(args[i]));
  if (self->handles == NULL) Py_CLEAR(self);
  return (PyObject *)self;
}

static PyObject *make_now(PyObject *module, PyObject *handle) {
  (void)module;
  Late *self = late_new(handle);
  if (self != NULL) self->at_once = 1;
  return (PyObject *)self;
}

static PyMethodDef functions[] = {
    {"lock", (PyCFunction)(void (*)(void))make_lock, METH_FASTCALL,
     "A lock for an object: whether the library allows calls on it beside each other, and whether it lends memory."},
    {"late", (PyCFunction)(void (*)(void))make_late, METH_FASTCALL,
     "A call on objects, of which the first is meant by itself: `with late(self) as handle: layer.f(handle, arguments)`."},
    {"now", make_now, METH_O, "The same where nothing is to be converted: `with now(self) as address: layer.f(address)`."},
    {NULL, NULL, 0, NULL},
};

int lock_add_types(PyObject *module) {
  lock_name = PyUnicode_InternFromString("_lock");
  open_name = PyUnicode_InternFromString("_open");
  address_name = PyUnicode_InternFromString("_address");
  acquire_name = PyUnicode_InternFromString("acquire");
  release_name = PyUnicode_InternFromString("release");
  if (lock_name == NULL || open_name == NULL || address_name == NULL || acquire_name == NULL || release_name == NULL) return -1;
  if (add_common_type(module, "Lock", &lock_spec, &lock_type) != 0 || add_common_type(module, "Late", &late_spec, &late_type) != 0)
    return -1;
  return PyModule_AddFunctions(module, functions);
}
