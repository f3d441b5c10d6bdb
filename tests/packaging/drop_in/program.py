"""A program as its author wrote it against recent_visits.h, by ctypes: it knows nothing of samebytes."""

import ctypes
import sys


class Timespec(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]


class Visit(ctypes.Structure):
    _fields_ = [
        ("visit_id", ctypes.c_uint),
        ("url", ctypes.c_char_p),
        ("text", ctypes.c_char_p),
        ("time", Timespec),
    ]


rv = ctypes.CDLL("librv.so")
rv.VisitManagerCreate.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
rv.VisitManagerCreate.restype = ctypes.c_void_p
rv.Free.argtypes = [ctypes.c_void_p]
rv.Free.restype = None
rv.AddVisit.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_char_p, ctypes.c_char_p]
rv.AddVisit.restype = ctypes.c_bool
rv.GetRecentVisits.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.POINTER(ctypes.c_size_t)]
rv.GetRecentVisits.restype = ctypes.POINTER(Visit)
rv.Delete.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.POINTER(ctypes.c_uint), ctypes.c_size_t]
rv.Delete.restype = ctypes.c_bool
rv.Clear.argtypes = [ctypes.c_void_p, ctypes.c_uint]
rv.Clear.restype = ctypes.c_bool


def show(manager, user):
    count = ctypes.c_size_t()
    visits = rv.GetRecentVisits(manager, user, ctypes.byref(count))
    words = [f"{user}:"]
    for visit in visits[: count.value] if visits else []:
        words += [str(visit.visit_id), visit.url.decode(), visit.text.decode()]
    print(*words)


manager = rv.VisitManagerCreate(sys.argv[1].encode(), 2)
if not manager:
    sys.exit(1)
unwanted = (ctypes.c_uint * 1)(2)
good = rv.AddVisit(manager, 7, 1, b"/one", b"first")
good &= rv.AddVisit(manager, 7, 2, b"/two", b"second")
good &= rv.AddVisit(manager, 7, 3, b"/three", b"third")
show(manager, 7)
good &= rv.Delete(manager, 7, unwanted, 1) and not rv.Delete(manager, 7, unwanted, 1)
show(manager, 7)
good &= rv.AddVisit(manager, 8, 1, b"/", b"") and rv.Clear(manager, 8)
show(manager, 8)
rv.Free(manager)
sys.exit(not good)
