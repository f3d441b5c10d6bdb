"""What all handles have in common.

Calls on one object wait for each other, so that threads may share it: each holds the object's lock, also while the GIL is released.
close() waits for a running call. A call on several objects takes their locks in one order. A forked child leaves alone what another
thread was using at the fork: that thread's lock is never released there.

Code of others may run in the middle of a call, on its thread: __index__ of an argument, a buffer that is asked for its memory, a finalizer,
the handler of a signal, a provider of memory. So no address is read before everything else has been converted (_objects.late), and from
then on the object is in use: in the same thread whatever would use, close or give it away raises BusyError (src/objects_lock.c).
tests/python/reentry.py lists what may run in the middle of each call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

from . import _arguments, _objects

Kind = TypeVar("Kind", bound="Handle")


class Handle:
    """An object of the library. Use it in a `with` block, or call close(); what is forgotten is closed when it is collected."""

    if not TYPE_CHECKING:
        __slots__ = ()  # so that classes with a base in C may do without a dict; all others have one

    _address: int = 0
    _exports: int = 0
    """Memoryviews of this object that are alive; _objects counts them."""
    _lock: Any
    _concurrent: bool = False
    """Whether the library allows calls beside each other: then one may be made in the middle of another."""
    _lends: bool = False
    """Whether _open takes back what was lent."""

    @staticmethod
    def _destroy(address: int | None, /) -> None:
        """The library's function that closes the handle."""
        raise NotImplementedError

    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError(f"{type(self).__name__} is not made by calling it; its documentation says where it comes from")

    def _own(self, address: int) -> None:
        self._lock = _objects.lock(self._concurrent, self._lends)
        self._address = address

    @classmethod
    def adopt(cls, address: int) -> Self:
        """An object that owns the handle at *address*, as a layer's function or another language made it.

        Raises UnsupportedError for memory, a block or a view that a second image of the library made; the handle is not taken over then.
        """
        address = _arguments.address(address, "address")
        cls._check_instance(address)
        return cls._adopt(address)

    @classmethod
    def _adopt(cls, address: int) -> Self:
        """The same for a handle that was made by this image."""
        self = cls.__new__(cls)
        self._own(address)
        return self

    @staticmethod
    def _check_instance(address: int) -> None:
        """Raise where another image of the library made the handle, for classes where that can be known."""

    def detach(self) -> int:
        """Give up the handle without closing it, and return its address: whoever takes it over closes it."""
        with self._lock:
            return self._end(self._open)

    @property
    def address(self) -> int:
        """The address of the handle, which stays this object's."""
        return self._open()

    @property
    def closed(self) -> bool:
        return self._address == 0

    def close(self) -> None:
        """Close the handle; closing it again does nothing. Raises BusyError while memoryviews of it are alive."""
        with self._lock:
            if self._address and (address := self._end(lambda: self._address)):
                self._destroy(address)

    def _end(self, address_of: Callable[[], int]) -> int:
        """Gives the address up, which nobody uses any more. Raises BusyError inside a call, and while memoryviews are alive."""
        lock = self._lock
        lock.shut(0)
        try:
            address = address_of()
            self._idle()
            self._address = 0
        finally:
            lock.reopen()
        return address

    def _open(self) -> int:
        if address := self._address:
            return address
        from .errors import ClosedError

        raise ClosedError(f"this {type(self).__name__} has been closed")

    def _idle(self) -> None:
        """Raise BusyError while memoryviews are alive."""
        if self._exports:
            from .errors import BusyError

            count = f"{self._exports} memoryview" + ("s" if self._exports > 1 else "")
            raise BusyError(f"this {type(self).__name__} has {count} in use; release them first")

    def _taken(self) -> None:
        """The library has taken the handle over."""
        self._address = 0

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        # Some close themselves, and sooner than Python can, or later.
        if Handle in cls.__bases__ and not issubclass(cls, (_objects.Block, _objects.Batch)):
            cls.__del__ = cls._forgotten  # type: ignore[attr-defined]

    def _forgotten(self, finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # At the interpreter's end the modules may be gone, and the process gives everything back.
        if self._address and not finalizing():
            address, self._address = self._address, 0
            self._destroy(address)

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError(f"a {type(self).__name__} cannot be pickled or copied by the copy module")

    def __repr__(self) -> str:
        state = f"at {self._address:#x}" if self._address else "closed"
        return f"<samebytes.{type(self).__name__} {state}>"


class calling:
    """Begins one call on several objects. Their locks are taken in one order, so that two threads cannot wait for each other."""

    __slots__ = ("_locks",)

    def __init__(self, *handles: Handle | None) -> None:
        # One object may stand here twice.
        locks = {id(lock): lock for lock in [handle._lock for handle in handles if handle is not None]}
        self._locks = [locks[key] for key in sorted(locks)]

    def __enter__(self) -> None:
        taken = 0
        try:
            for lock in self._locks:
                lock.acquire()
                taken += 1
        except BaseException:
            for lock in self._locks[:taken]:
                lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        for lock in self._locks:
            lock.release()


class giving:
    """Gives objects away in a call on them that has begun: nobody else in this thread uses them until it is over. Raises BusyError."""

    __slots__ = ("_handles", "_shut")

    def __init__(self, *handles: Handle) -> None:
        self._handles = handles
        self._shut: list[Any] = []

    def __enter__(self) -> None:
        try:
            for handle in self._handles:
                if handle._lock not in self._shut:
                    handle._lock.shut(1)
                    self._shut.append(handle._lock)
                handle._idle()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for lock in self._shut:
            lock.reopen()


def expect(value: Any, kind: type[Kind], name: str) -> Kind:
    """*value*, which must be of that class."""
    if isinstance(value, kind):
        return value
    raise TypeError(f"{name}: a {kind.__name__} is needed, not {type(value).__name__}")


def expect_or_none(value: Any, kind: type[Kind], name: str) -> Kind | None:
    return None if value is None else expect(value, kind, name)


def expect_all(values: Any, kind: type[Kind], name: str) -> Sequence[Kind]:
    return [expect(v, kind, f"{name}[{i}]") for i, v in enumerate(_arguments.sequence(values, name))]
