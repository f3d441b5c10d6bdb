"""Checks of arguments that both function layers share, so that both refuse the same things with the same words."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any, NamedTuple, TypeVar

from . import _objects

ADDRESS_MAX = 0xFFFFFFFFFFFFFFFF
ADDRESSES_MAX = 65536  # that one call may be asked to hand out, so that a wrong count does not ask for memory
ARRAY_MAX = 0xFFFFFF  # structures that a layer makes room for in one call
TYPECODES = {
    "int8_t": "b",
    "int16_t": "h",
    "int32_t": "i",
    "int64_t": "q",
    "uint8_t": "B",
    "uint16_t": "H",
    "uint32_t": "I",
    "uint64_t": "Q",
    "size_t": "Q",
}
SIGNED = ("b", "h", "i", "l", "q")  # formats of buffers

Record = TypeVar("Record", bound=NamedTuple)


def kind(value: object) -> str:
    return type(value).__name__


def integer(value: Any, name: str, low: int, high: int) -> int:
    """*value* as an int from *low* to *high*."""
    if type(value) is int and low <= value <= high:
        return value
    try:
        number = int.__index__(index(value))  # of int itself: a class derived from it may compare as it likes
    except TypeError:
        raise TypeError(f"{name}: an integer is needed, not {kind(value)}") from None
    if not low <= number <= high:
        raise OverflowError(f"{name}: {number} is not from {low} to {high}")
    return number


def real(value: Any, name: str) -> float:
    """*value*, a float or an integer, as a float."""
    if isinstance(value, (str, bytes, bytearray)):
        raise TypeError(f"{name}: a number is needed, not {kind(value)}")
    try:
        return float.__float__(float(value))
    except TypeError:
        raise TypeError(f"{name}: a number is needed, not {kind(value)}") from None


def boolean(value: Any, name: str) -> bool:
    if value is True or value is False:
        return bool(value)
    raise TypeError(f"{name}: True or False is needed, not {kind(value)}")


def address(value: Any, name: str) -> int:
    """*value* as an address that is not NULL."""
    if type(value) is int and 0 < value <= ADDRESS_MAX:
        return value
    if type(value) is _objects.Late:  # which all else of the call has been converted for
        return value.open()
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: an address is needed, not {kind(value)}")
    number = int.__index__(value)
    if not 0 <= number <= ADDRESS_MAX:
        raise OverflowError(f"{name}: {number} is no address")
    if number == 0:
        raise ValueError(f"{name}: the address is 0 (NULL)")
    return number


def address_or_null(value: Any, name: str) -> int:
    return 0 if value is None or (type(value) is int and value == 0) else address(value, name)


def encoded(value: Any, name: str) -> bytes:
    """Text as C takes it; CFFI and ctypes put the NUL behind it."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: a str is needed, not {kind(value)}")
    text = str.__str__(value)  # of str itself, whatever a class derived from it says
    if "\0" in text:
        raise ValueError(f"{name}: the text has a NUL in it at {text.index(chr(0))}, where C would end it")
    return text.encode(errors="surrogateescape")  # a path may hold any bytes, which Python says with surrogates


def decoded(value: bytes) -> str:
    return value.decode(errors="replace")


def sequence(values: Any, name: str) -> Sequence[Any]:
    """*values* as they are now, so that no code of an item can change how many there are."""
    if isinstance(values, (str, bytes, bytearray, memoryview)) or not isinstance(values, Iterable):
        raise TypeError(f"{name}: a sequence is needed, not {kind(values)}")
    return values if type(values) is tuple else tuple(values)


def plain(values: Iterable[Any]) -> Sequence[Any]:
    """A column as a list, arrays at once."""
    if isinstance(values, (str, bytes, bytearray)):
        raise TypeError(f"a column is needed, not {kind(values)}")
    tolist = getattr(values, "tolist", None)
    return list(tolist() if callable(tolist) else values)


def same_integers(values: Any, typecode: str) -> array[int] | None:
    """A copy of *values*, made at once, where it is a buffer of just these signed integers; otherwise None."""
    if isinstance(values, (list, tuple)):
        return None
    try:
        view = memoryview(values)
    except (TypeError, BufferError, ValueError):  # numpy's datetime64 is no format of buffers, a ValueError
        return None
    items = array(typecode)
    if view.format not in SIGNED or view.itemsize != items.itemsize or view.ndim != 1 or not typecode.islower():
        return None
    items.frombytes(view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes())
    return items


def integers(values: Any, ctype: str, name: str) -> array[int]:
    """*values* as an array of *ctype*, each checked against its range."""
    typecode = TYPECODES[ctype]
    exact = same_integers(values, typecode)
    if exact is not None:
        return exact
    values = sequence(values, name)
    try:
        return array(typecode, values)
    except TypeError as error:
        raise TypeError(f"{name}: integers are needed: {error}") from None
    except OverflowError:
        bits = array(typecode).itemsize * 8
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if typecode.islower() else (0, (1 << bits) - 1)
        wrong, number = next((i, n) for i, n in enumerate(map(index, values)) if not low <= n <= high)
        raise OverflowError(f"{name}[{wrong}]: {number} is not from {low} to {high}") from None


def record(value: Any, kind_: type[Record]) -> Record:
    """*value*, a record of that kind or a tuple of its fields, as that record."""
    if type(value) is kind_:
        return value
    if not isinstance(value, tuple):
        raise TypeError(f"a {kind_.__name__} or a tuple of its fields is needed, not {kind(value)}")
    return kind_(*value)


def memory(value: Any, name: str) -> memoryview:
    """The memory of *value*, which stays locked until the memoryview is released."""
    if isinstance(value, str):  # some show their code points as a buffer
        raise TypeError(f"{name}: a bytes-like object is needed, not {kind(value)}; encode the text")
    return memoryview(value)


def refused_buffer(error: Exception, value: Any, name: str, *, writable: bool = False) -> Exception:
    """The exception to raise when *value* gave no memory."""
    if isinstance(error, TypeError):
        return TypeError(f"{name}: a bytes-like object is needed, not {kind(value)}")
    view = memoryview(value)
    if writable and view.readonly:
        return BufferError(f"{name}: {kind(value)} is read-only, and this call writes to it")
    if not view.c_contiguous:
        return BufferError(f"{name}: the bytes of {kind(value)} do not lie one behind the other; pass bytes({name})")
    return BufferError(f"{name}: {error}")
