"""What the generated CFFI layer stands on: memory pinned for a call, and plain Python values for what C returns."""

from __future__ import annotations

from typing import Any

from . import _arguments, _library
from ._cffi import ffi, lib

_library.check_part("_cffi", lib.sb_built_digest)

cast = ffi.cast
new = ffi.new
NULL = ffi.NULL

__all__ = ["NULL", "Pins", "cast", "ffi", "lib", "new", "number", "numbers", "read_bytes", "text", "write_bytes"]


class Pins:
    """Memory that C uses during one call. Leaving the block lets go of it, so that no bytearray stays locked."""

    __slots__ = ("_buffers", "_held")

    def __init__(self) -> None:
        self._buffers: list[Any] = []
        self._held: list[Any] = []

    def __enter__(self) -> Pins:
        return self

    def __exit__(self, *_: object) -> None:
        for buffer in self._buffers:
            ffi.release(buffer)

    def hold(self, thing: Any) -> Any:
        self._held.append(thing)
        return thing

    def readable(self, value: Any, name: str) -> tuple[Any, int]:
        """The argument for a call: CFFI takes bytes as they are."""
        return (value, len(value)) if type(value) is bytes else self.located(value, name)

    def readable_or_null(self, value: Any, name: str) -> tuple[Any, int]:
        return (NULL, 0) if value is None else self.readable(value, name)

    def located(self, value: Any, name: str) -> tuple[Any, int]:
        """The value for a structure's field: a pointer."""
        try:
            buffer = ffi.from_buffer(value)
        except (TypeError, BufferError, ValueError) as error:
            raise _arguments.refused_buffer(error, value, name) from None
        self._buffers.append(buffer)
        return buffer, len(buffer)

    def located_or_null(self, value: Any, name: str) -> tuple[Any, int]:
        return (NULL, 0) if value is None else self.located(value, name)

    def writable(self, value: Any, name: str) -> tuple[Any, int]:
        try:
            buffer = ffi.from_buffer("char[]", value, require_writable=True)
        except (TypeError, BufferError, ValueError) as error:
            raise _arguments.refused_buffer(error, value, name, writable=True) from None
        self._buffers.append(buffer)
        return buffer, len(buffer)

    def writable_or_null(self, value: Any, name: str) -> tuple[Any, int]:
        return (NULL, 0) if value is None else self.writable(value, name)

    def address(self, value: Any, name: str) -> Any:
        """An address, or the memory of a bytes-like object."""
        return (
            cast("void *", _arguments.address(value, name)) if isinstance(value, int) else self.located(value, name)[0]
        )

    def address_or_null(self, value: Any, name: str) -> Any:
        return NULL if value is None or (type(value) is int and value == 0) else self.address(value, name)

    def text(self, value: Any, name: str) -> Any:
        return self.hold(new("char[]", _arguments.encoded(value, name)))

    def text_or_null(self, value: Any, name: str) -> Any:
        return NULL if value is None else self.text(value, name)

    def integers(self, values: Any, ctype: str, name: str) -> tuple[Any, int]:
        items = _arguments.integers(values, ctype, name)
        buffer = ffi.from_buffer(f"{ctype}[]", items)
        self._buffers.append(buffer)
        return buffer, len(items)

    def integers_or_null(self, values: Any, ctype: str, name: str) -> tuple[Any, int]:
        return (NULL, 0) if values is None else self.integers(values, ctype, name)

    def handles(self, values: Any, ctype: str, name: str) -> tuple[Any, int]:
        addresses = [
            cast(f"{ctype} *", _arguments.address(value, f"{name}[{index}]"))
            for index, value in enumerate(_arguments.sequence(values, name))
        ]
        return self.hold(new(f"{ctype} *[]", addresses)), len(addresses)

    def addresses(self, values: Any, name: str) -> tuple[Any, int]:
        return self.handles(values, "void", name)


def room(count: Any, name: str) -> Any:
    """Memory for *count* addresses."""
    return new("void *[]", _arguments.integer(count, name, 0, _arguments.ADDRESSES_MAX))


def number(pointer: Any) -> int:
    return int(cast("uintptr_t", pointer))


def text(pointer: Any) -> str | None:
    return _arguments.decoded(ffi.string(pointer)) if pointer else None


def numbers(pointer: Any, count: int, ctype: str) -> list[int]:
    del ctype  # the pointer knows it
    return ffi.unpack(pointer, count) if count else []


def address_of(data: bytes) -> int:
    """The address of the bytes of *data*, valid as long as the object lives."""
    if not isinstance(data, bytes):
        raise TypeError(f"data: bytes are needed, not {_arguments.kind(data)}")
    return number(ffi.from_buffer(data))


def read_bytes(address: int, size: int) -> bytes:
    """A copy of the *size* bytes at *address*."""
    return ffi.buffer(cast("char *", _arguments.address(address, "address")), size)[:] if size else b""


def write_bytes(address: int, data: Any) -> None:
    """Copies *data* to *address*."""
    with Pins() as pins:
        source, size = pins.readable(data, "data")
        ffi.memmove(cast("char *", _arguments.address(address, "address")), source, size)
