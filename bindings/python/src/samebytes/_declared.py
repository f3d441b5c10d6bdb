"""Schemas from Python classes.

@samebytes.message(direction="request", api_key=0)
class EchoRequest:
    timestamp: samebytes.int64
    subject: samebytes.string
    metadata: samebytes.array[samebytes.int16]
    body: samebytes.string
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar, dataclass_transform

from . import _codec, _objects, errors
from ._codec import Message, Schema, Shape
from ._records import SchemaField

__all__ = ["array", "int8", "int16", "int32", "int64", "message", "schema_of", "string"]

Class = TypeVar("Class", bound=type)
Item = TypeVar("Item")


class Wire(NamedTuple):
    """What a type is called on the wire; an array by what it is an array of."""

    name: str


ARRAY = Wire("array")

int8 = Annotated[int, Wire("int8")]
int16 = Annotated[int, Wire("int16")]
int32 = Annotated[int, Wire("int32")]
int64 = Annotated[int, Wire("int64")]
string = Annotated[bytes, Wire("string")]
array = Annotated[Sequence[Item], ARRAY]

KNOWN = "samebytes.int8 to samebytes.int64, samebytes.string, or samebytes.array of one of them"
RESERVED = frozenset(dir(Message))


class Declaration(NamedTuple):
    """What a class was declared to be."""

    direction: str
    api_key: int
    fields: tuple[tuple[str, str], ...]


def wire_of(annotation: Any) -> str | None:
    """The name of a type of this module; None for any other annotation."""
    if typing.get_origin(annotation) is Annotated:
        marks = [mark for mark in annotation.__metadata__ if isinstance(mark, Wire)]
        return marks[0].name if len(marks) == 1 else None
    return None


def type_of(annotation: Any, place: str) -> str:
    """The type as schemas write it, such as "array<int16>"."""
    wire = wire_of(annotation)
    if wire is None:
        raise errors.InvalidArgumentError(f"{place}: the type {annotation!r} is none of {KNOWN}")
    if wire != ARRAY.name:
        return wire
    (item,) = typing.get_args(annotation.__origin__)
    inner = wire_of(item)
    if isinstance(item, TypeVar):
        raise errors.InvalidArgumentError(
            f"{place}: an array needs the type of its items, such as samebytes.array[samebytes.int16]"
        )
    if inner == ARRAY.name:
        raise errors.InvalidArgumentError(f"{place}: there are no arrays of arrays")
    if inner is None:
        raise errors.InvalidArgumentError(f"{place}: the type of the items, {item!r}, is none of {KNOWN}")
    return f"array<{inner}>"


def declare(cls: type, direction: str, api_key: int) -> Declaration:
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except Exception as error:
        raise errors.InvalidArgumentError(f"{cls.__name__}: an annotation cannot be read: {error}") from error
    pairs = []
    for field in dataclasses.fields(cls):
        place = f"{cls.__name__}.{field.name}"
        if field.name in RESERVED:
            raise errors.InvalidArgumentError(f"{place}: every message has an attribute of that name; choose another")
        pairs.append((field.name, type_of(hints[field.name], place)))
    return Declaration(direction, api_key, tuple(pairs))


def declaration_of(cls: Any) -> Declaration:
    declaration = getattr(cls, "__samebytes_message__", None)
    if not isinstance(cls, type) or not isinstance(declaration, Declaration):
        name = getattr(cls, "__name__", repr(cls))
        raise TypeError(f"{name}: a class that @samebytes.message(...) stands above is needed")
    return declaration


# What declared classes and their rows do alike


def values(self: Any) -> Iterator[Any]:
    for name, _ in self.__samebytes_message__.fields:
        yield getattr(self, name)


def equal(self: Any, other: object) -> Any:
    declaration: Declaration = self.__samebytes_message__
    if getattr(other, "__samebytes_message__", None) is not declaration:
        return NotImplemented
    return all(
        list(mine) == list(theirs) if kind.startswith("array") else mine == theirs
        for (_, kind), mine, theirs in zip(declaration.fields, values(self), values(other))
    )


def printed(self: Any) -> str:
    inner = ", ".join(f"{name}={getattr(self, name)!r}" for name, _ in self.__samebytes_message__.fields)
    return f"{type(self).__name__}({inner})"


def count(self: Any) -> int:
    return len(self.__samebytes_message__.fields)


def reduced(self: Any) -> tuple[Any, ...]:
    # A row's class is made, so it is found again by the class it stands for, which is its last base.
    return restored, (type(self).__bases__[-1], *_codec.parts_of(self))


def restored(cls: type, *parts: Any) -> Message:
    row: Message = _objects.row(row_shape(cls), *parts)
    return row


@functools.cache
def row_class(cls: type) -> type[Message]:
    """The class of the rows of a declared class: a message, and one of that class too."""
    declaration = declaration_of(cls)
    names = tuple(name for name, _ in declaration.fields)
    body: dict[str, Any] = {
        "__doc__": cls.__doc__,
        "__module__": cls.__module__,
        "__eq__": equal,
        "__hash__": None,
        "__repr__": printed,
        "__reduce__": reduced,
        "__dict__": property(_objects.Row.fields),  # that of its class would let a row hold itself
        "schema_name": cls.__name__,
        "field_names": names,
    }
    body |= {name: _objects.Field(index) for index, name in enumerate(names)}
    return type(cls.__name__, (Message, cls), body)


@functools.cache
def row_shape(cls: type) -> Shape:
    fields = tuple(SchemaField(name, _codec.TYPES[kind]) for name, kind in declaration_of(cls).fields)
    return Shape(cls.__name__, fields, row_class(cls), True)


@dataclass_transform(eq_default=True)
def message(*, direction: str, api_key: int) -> Callable[[Class], Class]:
    """Makes a class a message: a dataclass whose annotated fields are those of a schema, in their order.

    direction is "request" or "response". Instances can be unpacked, and be given to builders and clients as values. Rows of parsers made
    with schema_of(cls) are instances of the class: they compare, print and unpack like it; api_key, sequence and stream_offset are
    attributes beside. Raises InvalidArgumentError with class and field for what is no schema.
    """

    def decorate(cls: Class) -> Class:
        if not isinstance(cls, type):
            raise TypeError(f"samebytes.message stands above classes, not {cls!r}")
        own = vars(cls)
        if "__slots__" in own:
            raise errors.InvalidArgumentError(
                f"{cls.__name__}: a message cannot have __slots__, as its rows have their own"
            )
        given = {
            name: own.get(name, method)
            for name, method in (("__iter__", values), ("__len__", count), ("__eq__", equal), ("__repr__", printed))
        }
        try:
            dataclasses.dataclass(eq=False, repr=False)(cls)
        except (TypeError, ValueError) as error:
            raise errors.InvalidArgumentError(f"{cls.__name__}: {error}") from error
        for name, method in given.items():
            setattr(cls, name, method)
        if "__hash__" not in own:
            cls.__hash__ = None  # type: ignore[assignment]  # its values can be changed
        cls.__samebytes_message__ = declare(cls, direction, api_key)  # type: ignore[attr-defined]
        schema_of(cls).close()  # the library says now what it refuses
        return cls

    return decorate


def schema_of(cls: type) -> Schema:
    """The schema of a class that message() made one, to be closed by the caller. Its rows are instances of the class."""
    declaration = declaration_of(cls)
    schema = Schema(cls.__name__, declaration.direction, declaration.api_key, declaration.fields)
    schema._shape = row_shape(cls)
    return schema
