/* Block and Pool of samebytes._objects: getting and releasing a block costs some tens of nanoseconds here, and microseconds by way of Python
 * code, a lock and a function layer.
 *
 * The lock that Handle gives every object is made when somebody asks for it: a block that is got, seen through the buffer protocol and
 * released needs none, because all of that happens with the GIL held. Invariant: whoever works on a block without the GIL holds its lock, so
 * while a block has none, nobody does. */

#include "objects_block.h"

#include "objects_exporter.h"
#include "objects_lock.h"

#define FREE_MAX 256 /* blocks whose memory is kept */

typedef struct {
  Exporter exporter; /* its address is an sb_block */
  Lock *lock;        /* NULL until it is asked for */
  PyObject *weak;
} Block;

typedef struct {
  Exporter exporter; /* its address is an sb_pool */
  PyObject *block_class;
  char traces;
} Pool;

/* The memory of blocks of one class, which is samebytes.Block. As every class that is made by Python it has a head for the garbage collector,
 * which stays as it is: that of an object that is not tracked. */
static PyTypeObject *free_type;
static Block *free_blocks[FREE_MAX];
static Py_ssize_t free_count;

/* ---- the lock ---- */

static PyObject *block_get_lock(PyObject *object, void *closure) {
  (void)closure;
  Block *self = (Block *)object;
  if (self->lock == NULL) {
    Lock *made = lock_make(true);
    if (made == NULL) return NULL;
    if (self->lock != NULL) /* a finalizer asked meanwhile */
      Py_DECREF((PyObject *)made);
    else
      self->lock = made;
  }
  return Py_NewRef((PyObject *)self->lock);
}

/* ---- Block ---- */

static PyObject *block_make(PyTypeObject *type, sb_block *address) {
  Block *self;
  if (type == free_type && free_count > 0) {
    self = (Block *)PyObject_Init((PyObject *)free_blocks[--free_count], type);
    self->exporter.exports = 0;
    self->exporter.shared = 0;
    self->lock = NULL;
    self->weak = NULL;
  } else {
    self = (Block *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL) return NULL;
    if (type == free_type) PyObject_GC_UnTrack(self); /* no cycle goes through a block */
  }
  self->exporter.address = address;
  return (PyObject *)self;
}

static void block_end(Block *self) {
  sb_block *address = self->exporter.address;
  self->exporter.address = NULL;
  sb_block_close(address);
}

static void block_dealloc(PyObject *object) {
  Block *self = (Block *)object;
  PyTypeObject *type = Py_TYPE(object);
  if (self->weak != NULL) PyObject_ClearWeakRefs(object);
  block_end(self);
  Py_XDECREF((PyObject *)self->lock);
  self->lock = NULL;
  if (type == free_type && free_count < FREE_MAX) {
    free_blocks[free_count++] = self;
  } else {
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  }
  Py_DECREF(type);
}

/* Refuses while memoryviews are alive, in Handle's words. */
static int block_idle(PyObject *object) {
  if (((Block *)object)->exporter.exports == 0) return 0;
  PyObject *result = PyObject_CallMethod(object, "_idle", NULL);
  Py_XDECREF(result);
  return result == NULL ? -1 : 0;
}

static PyObject *block_close(PyObject *object, PyObject *unused) {
  (void)unused;
  Block *self = (Block *)object;
  Lock *lock = self->lock;
  if (lock != NULL && lock_hold(lock) != 0) return NULL; /* waits for who works on the block without the GIL */
  int status = 0;
  if (self->exporter.address != NULL && lock != NULL && lock_is_used(lock))
    status = raise_error("BusyError", "this Block is in use by a call that this thread is inside");
  else if (self->exporter.address != NULL)
    status = block_idle(object);
  if (status == 0) block_end(self);
  if (lock != NULL) lock_let_go(lock);
  return status == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *block_own(PyObject *object, PyObject *address) {
  void *handle = PyLong_AsVoidPtr(address);
  if (handle == NULL && PyErr_Occurred()) return NULL;
  Exporter *self = &((Block *)object)->exporter;
  self->address = handle;
  self->shared = !sb_block_is_exclusive(handle); /* it may come from where others own it, too */
  Py_RETURN_NONE;
}

static int block_getbuffer(PyObject *object, Py_buffer *buffer, int flags) {
  Block *self = (Block *)object;
  buffer->obj = NULL;
  Lock *lock = self->lock;
  if (lock != NULL && lock_begin(lock) != 0) return -1;
  int result;
  if (self->exporter.address == NULL) {
    result = raise_error("ClosedError", "this Block has been closed");
  } else {
    const sb_block *block = self->exporter.address;
    result = PyBuffer_FillInfo(buffer, object, sb_block_data(block), (Py_ssize_t)sb_block_size(block), self->exporter.shared, flags);
    if (result == 0) self->exporter.exports++;
  }
  if (lock != NULL) lock_end(lock);
  return result;
}

static void block_releasebuffer(PyObject *object, Py_buffer *buffer) {
  (void)buffer;
  ((Block *)object)->exporter.exports--;
}

static PyGetSetDef block_getset[] = {
    {"_address", exporter_get_address, exporter_set_address, "The address of the handle; 0 when closed.", NULL},
    {"_lock", block_get_lock, NULL, "Held by whoever works on the block without the GIL.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef block_members[] = {
    {"_exports", T_PYSSIZET, offsetof(Exporter, exports), READONLY, "Memoryviews of this object that are alive."},
    {"_shared", T_BOOL, offsetof(Exporter, shared), 0, "Whether somebody else may see the bytes."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Block, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef block_methods[] = {
    {"close", block_close, METH_NOARGS,
     "Close the handle; closing it again does nothing. Raises BusyError while memoryviews of it are alive."},
    {"_own", block_own, METH_O, "Take over the handle at an address."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot block_slots[] = {
    {Py_tp_doc, "Shows the bytes of a block: writable while nobody shares it."},
    {Py_tp_dealloc, block_dealloc},
    {Py_tp_getset, block_getset},
    {Py_tp_members, block_members},
    {Py_tp_methods, block_methods},
    {Py_bf_getbuffer, block_getbuffer},
    {Py_bf_releasebuffer, block_releasebuffer},
    {0, NULL},
};

static PyType_Spec block_spec = {"samebytes._objects.Block", sizeof(Block), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, block_slots};

/* ---- Pool ---- */

/* What is not quick: errors, closed pools, numbers that are no int. */
static PyObject *get_block_slowly(PyObject *object, PyObject *size) { return PyObject_CallMethod(object, "_get_block", "O", size); }

/* Looks once at the class of blocks, and whether the pool traces. */
static int pool_look(Pool *self) {
  PyObject *package = PyImport_ImportModule("samebytes");
  PyObject *type = package == NULL ? NULL : PyObject_GetAttrString(package, "Block");
  Py_XDECREF(package);
  if (type == NULL) return -1;
  if (self->exporter.address == NULL) { /* closed meanwhile */
    Py_DECREF(type);
    return raise_error("ClosedError", "this Pool has been closed");
  }
  sb_pool_place place = {.struct_size = sizeof place};
  self->traces = sb_pool_get_place(self->exporter.address, 0, &place) != SB_UNSUPPORTED;
  if (free_type == NULL) free_type = (PyTypeObject *)Py_NewRef(type);
  PyObject *before = self->block_class;
  self->block_class = type;
  Py_XDECREF(before);
  return 0;
}

/* With the GIL held: Handle.close takes the address away, with the GIL, before it closes the pool, so the pool is open while this runs. */
static PyObject *pool_get_block(PyObject *object, PyObject *size) {
  Pool *self = (Pool *)object;
  if (self->exporter.address == NULL || !PyLong_CheckExact(size)) return get_block_slowly(object, size);
  const size_t bytes = PyLong_AsSize_t(size);
  if (bytes == (size_t)-1 && PyErr_Occurred()) {
    PyErr_Clear();
    return get_block_slowly(object, size);
  }
  if (self->block_class == NULL && pool_look(self) != 0) return NULL;
  sb_block *block = NULL;
  if (self->traces || self->exporter.address == NULL || sb_pool_get_block(self->exporter.address, bytes, &block) != SB_OK)
    return get_block_slowly(object, size);
  PyObject *made = block_make((PyTypeObject *)self->block_class, block);
  if (made == NULL) sb_block_close(block);
  return made;
}

static void pool_dealloc(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  Py_CLEAR(((Pool *)object)->block_class);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
}

static PyObject *pool_get_traces(PyObject *object, void *closure) {
  (void)closure;
  Pool *self = (Pool *)object;
  if (self->exporter.address != NULL && self->block_class == NULL && pool_look(self) != 0) return NULL;
  return PyBool_FromLong(self->traces);
}

static PyGetSetDef pool_getset[] = {
    {"_address", exporter_get_address, exporter_set_address, "The address of the handle; 0 when closed.", NULL},
    {"_traces", pool_get_traces, NULL, "Whether the pool has the option trace.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef pool_methods[] = {
    {"get_block", pool_get_block, METH_O,
     "get_block($self, size, /)\n--\n\nGet a block of at least *size* bytes as a counted handle. Releasing it, or close(), is the put.\n\n"
     "Raises InvalidArgumentError for a size of 0 or above BLOCK_SIZE_MAX, NoMemoryError at the pool's byte limit, ClosedError after "
     "close()."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pool_slots[] = {
    {Py_tp_doc, "Makes blocks."}, {Py_tp_dealloc, pool_dealloc}, {Py_tp_getset, pool_getset}, {Py_tp_methods, pool_methods}, {0, NULL},
};

static PyType_Spec pool_spec = {"samebytes._objects.Pool", sizeof(Pool), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, pool_slots};

int block_add_types(PyObject *module) { return add_type(module, "Block", &block_spec) != 0 ? -1 : add_type(module, "Pool", &pool_spec); }
