#ifndef SAMEBYTES_OBJECTS_LOCK_H
#define SAMEBYTES_OBJECTS_LOCK_H

#include "objects_base.h"

/* Functions with an int return -1 with an exception. */
typedef struct Lock Lock;
Lock *lock_make(bool is_concurrent);
int lock_hold(Lock *self); /* keeps other threads out; may let them run before */
void lock_let_go(Lock *self);
int lock_begin(Lock *self); /* the object is in use from now on; BusyError where this thread uses it already */
void lock_end(Lock *self);
bool lock_is_used(const Lock *self);      /* by a call of the thread that has the lock */
PyObject *handle_begin(PyObject *handle); /* the same for an object of a class of Python: its lock, for handle_end */
void handle_end(PyObject *lock);
PyObject *handle_open(PyObject *handle); /* its address, or ClosedError */
int lock_add_types(PyObject *module);

#endif
