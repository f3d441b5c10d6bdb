"""The wire format once more, in pure Python, for any schema.

All bindings share one core, so four testees that agree may all be wrong. This codec shares nothing with them: it knows
the format from docs/wire-format.md only, works on whole byte strings, and is written to be read, not to be fast.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

Value: TypeAlias = "int | bytes | list[int] | list[bytes]"

# What a status is called and its number, as in status.h.
STATUSES = {
    "SB_OK": 0,
    "SB_NO_MEMORY": 1,
    "SB_INVALID_ARGUMENT": 2,
    "SB_OUT_OF_RANGE": 3,
    "SB_NEED_MORE": 4,
    "SB_TOO_LARGE": 5,
    "SB_CORRUPT": 6,
    "SB_UNKNOWN_API_KEY": 7,
    "SB_NOT_FOUND": 8,
    "SB_BUSY": 9,
    "SB_LOCKED": 10,
    "SB_CLOSED": 11,
    "SB_IO": 12,
    "SB_UNSUPPORTED": 13,
    "SB_PROVIDER": 14,
    "SB_UNAVAILABLE": 15,
    "SB_TIMEOUT": 16,
}
STATUS_NAMES = {number: name for name, number in STATUSES.items()}

# Types by the number that schema.h gives them.
TYPES = {
    "int8": 1,
    "int16": 2,
    "int32": 3,
    "int64": 4,
    "string": 5,
    "array<int8>": 6,
    "array<int16>": 7,
    "array<int32>": 8,
    "array<int64>": 9,
    "array<string>": 10,
}
DIRECTIONS = {"request": 0, "response": 1}
INTEGERS = {"int8": ">b", "int16": ">h", "int32": ">i", "int64": ">q"}

HEADER_SIZE = 2  # api_key and sequence
ARRAY_ITEMS_MAX = 32767
STRING_SIZE_MAX = FRAME_SIZE_MAX = 2**31 - 1
MAX_FRAME_SIZE_DEFAULT = 1 << 20


class Field(NamedTuple):
    name: str
    type: str  # a key of TYPES


@dataclass(frozen=True)
class Schema:
    name: str
    direction: str
    api_key: int
    fields: tuple[Field, ...]


class Row(NamedTuple):
    """A decoded message."""

    schema_index: int
    stream_offset: int
    api_key: int
    sequence: int
    values: tuple[Value, ...]


class Refused(NamedTuple):
    """A frame that was not decoded; field is "" where the failure belongs to none."""

    frame: int
    stream_offset: int
    frame_offset: int
    field: str
    status: str


class Decoded(NamedTuple):
    rows: list[Row]
    errors: list[Refused]
    end: str  # the status that ended the stream, or SB_OK
    need: int  # bytes missing for the next frame


class EncodeError(Exception):
    """A message that cannot be written. `offset` is where in its frame the field would begin."""

    def __init__(self, status: str, field: str) -> None:
        super().__init__(f"{status} in field {field!r}")
        self.status = status
        self.field = field
        self.offset = 0


class _Corrupt(Exception):
    """A body that contradicts its schema, at `offset` in its frame."""

    def __init__(self, field: str, offset: int) -> None:
        super().__init__(field, offset)
        self.field = field
        self.offset = offset


def _schema(name: str, direction: str, api_key: int, **fields: str) -> Schema:
    return Schema(name, direction, api_key, tuple(Field(*field) for field in fields.items()))


ECHO_REQUEST = _schema(
    "EchoRequest", "request", 0, timestamp="int64", subject="string", metadata="array<int16>", body="string"
)
ECHO_RESPONSE = _schema("EchoResponse", "response", 0, id="int32", timestamp="int64", subject="string", body="string")
ECHO = {schema.direction: schema for schema in (ECHO_REQUEST, ECHO_RESPONSE)}


def item_type(array_type: str) -> str:
    """The T of array<T>."""
    match = re.fullmatch(r"array<(\w+)>", array_type)
    assert match, array_type
    return match[1]


def _encode_integer(kind: str, value: Value, field: str) -> bytes:
    assert isinstance(value, int)
    try:
        return struct.pack(INTEGERS[kind], value)
    except struct.error:
        raise EncodeError("SB_OUT_OF_RANGE", field) from None


def _encode_string(value: Value, field: str) -> bytes:
    assert isinstance(value, bytes)
    if len(value) > STRING_SIZE_MAX:
        raise EncodeError("SB_TOO_LARGE", field)
    return struct.pack(">i", len(value)) + value


def _encode_value(field: Field, value: Value) -> bytes:
    if field.type in INTEGERS:
        return _encode_integer(field.type, value, field.name)
    if field.type == "string":
        return _encode_string(value, field.name)
    assert isinstance(value, list)
    if len(value) > ARRAY_ITEMS_MAX:
        raise EncodeError("SB_TOO_LARGE", field.name)
    kind = item_type(field.type)
    if kind == "string":
        items = [_encode_string(item, field.name) for item in value]
    else:
        items = [_encode_integer(kind, item, field.name) for item in value]
    return struct.pack(">h", len(value)) + b"".join(items)


def encode(schema: Schema, sequence: int, values: tuple[Value, ...]) -> bytes:
    """One frame, its Size included."""
    if len(values) != len(schema.fields):
        raise EncodeError("SB_INVALID_ARGUMENT", "")
    body = struct.pack(">bb", schema.api_key, sequence)
    for field, value in zip(schema.fields, values, strict=True):
        try:
            body += _encode_value(field, value)
        except EncodeError as error:
            error.offset = 4 + len(body)
            raise
    return struct.pack(">i", len(body)) + body


class _Body:
    """Reads the fields of one frame; `offset` counts from the frame's first byte."""

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.offset = 4 + HEADER_SIZE

    def left(self) -> int:
        return len(self.frame) - self.offset

    def integer(self, kind: str, field: str) -> int:
        size = struct.calcsize(INTEGERS[kind])
        if self.left() < size:
            raise _Corrupt(field, self.offset)
        (value,) = struct.unpack_from(INTEGERS[kind], self.frame, self.offset)
        self.offset += size
        return int(value)

    def string(self, field: str) -> bytes:
        start = self.offset
        size = self.integer("int32", field)
        if not 0 <= size <= self.left():
            raise _Corrupt(field, start)
        value = self.frame[self.offset : self.offset + size]
        self.offset += size
        return value

    def array(self, kind: str, field: str) -> list[int] | list[bytes]:
        start = self.offset
        count = self.integer("int16", field)
        # An item of array<string> is at least its length prefix.
        smallest = 4 if kind == "string" else struct.calcsize(INTEGERS[kind])
        if count < 0 or count * smallest > self.left():
            raise _Corrupt(field, start)
        if kind == "string":
            return [self.string(field) for _ in range(count)]
        return [self.integer(kind, field) for _ in range(count)]

    def value(self, field: Field) -> Value:
        if field.type in INTEGERS:
            return self.integer(field.type, field.name)
        if field.type == "string":
            return self.string(field.name)
        return self.array(item_type(field.type), field.name)


def _decode_body(frame: bytes, schema: Schema, accept_extra: bool) -> tuple[Value, ...]:
    body = _Body(frame)
    values = tuple(body.value(field) for field in schema.fields)
    if body.left() and not accept_extra:
        raise _Corrupt("", body.offset)
    return values


def decode(
    data: bytes, schemas: list[Schema], max_frame_size: int = MAX_FRAME_SIZE_DEFAULT, accept_extra: bool = False
) -> Decoded:
    """Everything that a parser finds in `data`, however it arrives."""
    index_of = {schema.api_key: index for index, schema in enumerate(schemas)}
    rows: list[Row] = []
    errors: list[Refused] = []
    start = frame = 0
    while len(data) - start >= 4:
        (size,) = struct.unpack_from(">i", data, start)
        if not HEADER_SIZE <= size <= max_frame_size:
            status = "SB_TOO_LARGE" if size > max_frame_size else "SB_CORRUPT"
            errors.append(Refused(frame, start, 0, "", status))
            return Decoded(rows, errors, status, 0)
        missing = start + 4 + size - len(data)
        if missing > 0:
            return Decoded(rows, errors, "SB_OK", missing)
        api_key, sequence = struct.unpack_from(">bb", data, start + 4)
        if api_key not in index_of:
            errors.append(Refused(frame, start + 4, 4, "", "SB_UNKNOWN_API_KEY"))
        else:
            schema = schemas[index_of[api_key]]
            try:
                values = _decode_body(data[start : start + 4 + size], schema, accept_extra)
                rows.append(Row(index_of[api_key], start, api_key, sequence, values))
            except _Corrupt as wrong:
                errors.append(Refused(frame, start + wrong.offset, wrong.offset, wrong.field, "SB_CORRUPT"))
        start += 4 + size
        frame += 1
    return Decoded(rows, errors, "SB_OK", 4 - (len(data) - start))
