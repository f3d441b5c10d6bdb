"""A module as its author wrote it against recent_visits.h, by ctypes: it knows no samebytes, and looks for librv.so beside itself."""

import ctypes
import os
import sys


class Timespec(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]


class Visit(ctypes.Structure):
    _fields_ = [
        ("visit_id", ctypes.c_uint32),
        ("url", ctypes.c_char_p),
        ("text", ctypes.c_char_p),
        ("time", Timespec),
    ]


rv = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "librv.so"))
manager_t, number, text = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p
rv.VisitManagerCreate.argtypes = [text, ctypes.c_size_t]
rv.VisitManagerCreate.restype = manager_t
rv.VisitManagerFree.argtypes = [manager_t]
rv.VisitManagerAddVisit.argtypes = [manager_t, number, number, text, text]
rv.VisitManagerAddVisit.restype = ctypes.c_bool
rv.VisitManagerGetRecentVisits.argtypes = [manager_t, number, ctypes.POINTER(ctypes.c_size_t)]
rv.VisitManagerGetRecentVisits.restype = ctypes.POINTER(ctypes.POINTER(Visit))
rv.VisitManagerDelete.argtypes = [manager_t, number, ctypes.POINTER(number), ctypes.c_size_t]
rv.VisitManagerDelete.restype = ctypes.c_bool
rv.VisitManagerClear.argtypes = [manager_t, number]


class Manager:
    def __init__(self, path, max_visits=10):
        self.handle = rv.VisitManagerCreate(path.encode(), max_visits)
        if not self.handle:
            raise RuntimeError("no manager")

    def close(self):
        rv.VisitManagerFree(self.handle)

    def add(self, user_id, visit_id, url, text):
        return rv.VisitManagerAddVisit(self.handle, number(user_id), number(visit_id), url.encode(), text.encode())

    def recent(self, user_id):
        count = ctypes.c_size_t(0)
        visits = rv.VisitManagerGetRecentVisits(self.handle, user_id, ctypes.byref(count))
        return [visits[i].contents for i in range(count.value)] if visits else []

    def delete(self, user_id, visit_ids):
        return rv.VisitManagerDelete(self.handle, user_id, (number * len(visit_ids))(*visit_ids), len(visit_ids))

    def clear(self, user_id):
        rv.VisitManagerClear(self.handle, user_id)


def show(manager, user_id):
    words = [f"{user_id}:"]
    for visit in manager.recent(user_id):
        if visit.time.tv_sec == 0 or visit.time.tv_nsec < 0:
            sys.exit("no time")
        words += [str(visit.visit_id), visit.url.decode(), visit.text.decode()]
    print(*words)


if __name__ == "__main__":
    manager = Manager(sys.argv[1], 2)
    good = manager.add(7, 1, "/one", "first")
    good &= manager.add(7, 2, "/two", "second")
    good &= manager.add(7, 3, "/three", "third")
    show(manager, 7)
    good &= manager.delete(7, [2]) and not manager.delete(7, [2])
    show(manager, 7)
    good &= manager.add(8, 1, "/", "")
    manager.clear(8)
    show(manager, 8)
    manager.close()
    sys.exit(not good)
