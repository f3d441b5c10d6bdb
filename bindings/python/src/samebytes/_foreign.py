"""Memory of Python that views show without a copy.

C calls nothing when the last view of some memory is gone, because that may happen on any thread, with or without the GIL, and while the
interpreter ends: it notes that in a lender, and Python asks that when it has time. So each buffer is released once, and on a thread of
Python.
"""

from __future__ import annotations

import os
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING

from . import _arguments, _objects
from ._backend import layer
from .errors import NotFoundError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_lock = RLock()  # a collection may close a view inside any call here, on the same thread
_lender = 0
_lent: dict[int, memoryview] = {}
_tokens = count(1)

# At the interpreter's end as well: threads of C may still look at the memory.
_objects.keep_forever(_lent)


def _forked() -> None:
    """Another thread may have had the lock, which nobody releases here."""
    global _lock
    _lock = RLock()


os.register_at_fork(after_in_child=_forked)


def lend(value: ReadableBuffer) -> int:
    """The address of a view of the memory of *value*, which stays exported until it is back."""
    global _lender
    memory = _arguments.memory(value, "value")
    try:
        if not memory.c_contiguous:
            raise BufferError("the bytes do not lie one behind the other; pass bytes(...)")
        address, size = _objects.locate(memory)
        release_foreign()
        with _lock:
            if not _lender:
                _lender = layer.sb_lender_open()
            token = next(_tokens)
            view = layer.sb_lender_lend(_lender, address or None, size, token)
            _lent[token] = memory
    except BaseException:
        memory.release()
        raise
    return view


def release_foreign() -> int:
    """Let go of the objects given to `View.open_foreign` that no view shows any more; return how many still are shown.

    Closing a View or Buf does the same, so it is needed only where views go in other ways: by skipping their bytes, or in another language.
    """
    if not _lent:
        return 0
    back: list[memoryview] = []
    with _lock:
        while _lent:
            try:
                back.append(_lent.pop(layer.sb_lender_take(_lender)))
            except NotFoundError:
                break
        left = len(_lent)
    # Without the lock, because releasing may run the code of others.
    for memory in back:
        memory.release()
    return left
