"""What the generated ctypes layer stands on: memory pinned for a call, and plain Python values for what C returns."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any

from . import _arguments, _library

lib = _library.load()

__all__ = ["Pins", "byref", "ctypes", "lib", "numbers", "read_bytes", "text", "write_bytes"]

SIMPLE = 0
WRITABLE = 1


class _Buffer(ctypes.Structure):
    """Py_buffer, which is part of the stable ABI: ctypes itself gives no address of memory that is read-only."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, ctypes.c_void_p, ctypes.c_int]
_get_buffer.restype = ctypes.c_int
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [ctypes.c_void_p]
_release_buffer.restype = None
_bytes_address = ctypes.pythonapi.PyBytes_AsString
_bytes_address.argtypes = [ctypes.py_object]
_bytes_address.restype = ctypes.c_void_p
_bytes_of = ctypes.pythonapi.PyBytes_FromStringAndSize
_bytes_of.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t]
_bytes_of.restype = ctypes.py_object


class Pins:
    """Memory that C uses during one call. Leaving the block lets go of it, so that no bytearray stays locked."""

    __slots__ = ("_buffers", "_held")

    def __init__(self) -> None:
        self._buffers: list[_Buffer] = []
        self._held: list[Any] = []

    def __enter__(self) -> Pins:
        return self

    def __exit__(self, *_: object) -> None:
        for buffer in self._buffers:
            _release_buffer(byref(buffer))

    def hold(self, thing: Any) -> Any:
        self._held.append(thing)
        return thing

    def _acquire(self, value: Any, name: str, flags: int) -> tuple[int, int]:
        buffer = _Buffer()
        if isinstance(value, str):  # some show their code points as a buffer, which CFFI refuses by itself
            raise _arguments.refused_buffer(TypeError(), value, name)
        try:
            _get_buffer(value, byref(buffer), flags)
        except (TypeError, BufferError, ValueError) as error:
            raise _arguments.refused_buffer(error, value, name, writable=flags == WRITABLE) from None
        self._buffers.append(buffer)
        return buffer.buf or 0, buffer.len

    def readable(self, value: Any, name: str) -> tuple[Any, int]:
        """The argument for a call: ctypes takes bytes as they are."""
        return (value, len(value)) if type(value) is bytes else self._acquire(value, name, SIMPLE)

    def readable_or_null(self, value: Any, name: str) -> tuple[Any, int]:
        return (None, 0) if value is None else self.readable(value, name)

    def located(self, value: Any, name: str) -> tuple[int, int]:
        """The value for a structure's field: an address."""
        if type(value) is bytes:
            return _bytes_address(self.hold(value)), len(value)
        return self._acquire(value, name, SIMPLE)

    def located_or_null(self, value: Any, name: str) -> tuple[int | None, int]:
        return (None, 0) if value is None else self.located(value, name)

    def writable(self, value: Any, name: str) -> tuple[int, int]:
        return self._acquire(value, name, WRITABLE)

    def writable_or_null(self, value: Any, name: str) -> tuple[int | None, int]:
        return (None, 0) if value is None else self.writable(value, name)

    def address(self, value: Any, name: str) -> int:
        """An address, or the memory of a bytes-like object."""
        return _arguments.address(value, name) if isinstance(value, int) else self.located(value, name)[0]

    def address_or_null(self, value: Any, name: str) -> int | None:
        return None if value is None or (type(value) is int and value == 0) else self.address(value, name)

    def text(self, value: Any, name: str) -> bytes:
        return _arguments.encoded(value, name)

    def text_or_null(self, value: Any, name: str) -> bytes | None:
        return None if value is None else self.text(value, name)

    def integers(self, values: Any, ctype: str, name: str) -> tuple[Any, int]:
        items = _arguments.integers(values, ctype, name)
        if not items:
            return None, 0
        item_class = getattr(ctypes, f"c_{ctype.removesuffix('_t')}")
        return self.hold((item_class * len(items)).from_buffer(items)), len(items)

    def integers_or_null(self, values: Any, ctype: str, name: str) -> tuple[Any, int]:
        return (None, 0) if values is None else self.integers(values, ctype, name)

    def handles(self, values: Any, ctype: str, name: str) -> tuple[Any, int]:
        del ctype
        addresses = [
            _arguments.address(value, f"{name}[{index}]")
            for index, value in enumerate(_arguments.sequence(values, name))
        ]
        return self.hold((ctypes.c_void_p * len(addresses))(*addresses)), len(addresses)

    def addresses(self, values: Any, name: str) -> tuple[Any, int]:
        return self.handles(values, "void", name)


def room(count: Any, name: str) -> Any:
    """Memory for *count* addresses."""
    return (ctypes.c_void_p * _arguments.integer(count, name, 0, _arguments.ADDRESSES_MAX))()


def text(value: bytes | None) -> str | None:
    return None if value is None else _arguments.decoded(value)


def numbers(pointer: Any, count: int, ctype: str) -> list[int]:
    del ctype  # the pointer knows it
    return list(pointer[:count]) if count else []


def address_of(data: bytes) -> int:
    """The address of the bytes of *data*, valid as long as the object lives."""
    if not isinstance(data, bytes):
        raise TypeError(f"data: bytes are needed, not {_arguments.kind(data)}")
    return _bytes_address(data)  # type: ignore[no-any-return]


def read_bytes(address: int, size: int) -> bytes:
    """A copy of the *size* bytes at *address*."""
    return _bytes_of(_arguments.address(address, "address"), size) if size else b""


def write_bytes(address: int, data: Any) -> None:
    """Copies *data* to *address*."""
    with Pins() as pins:
        source, size = pins.readable(data, "data")
        ctypes.memmove(_arguments.address(address, "address"), source, size)
