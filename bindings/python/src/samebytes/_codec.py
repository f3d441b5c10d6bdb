"""Schema, Builder, Parser, Batch and Message: messages as Python values."""

from __future__ import annotations

import functools
import operator
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from . import _arguments, _classes, _objects, _records, errors
from ._arrow import ArrowRows, Strings, strings_of
from ._backend import layer
from ._errors import SamebytesError, failure, raised
from ._handles import calling
from ._lending import Lending
from ._objects import late, now
from ._records import Column, Error, SchemaField, Value

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Result = TypeVar("Result")

DIRECTIONS = {"request": _records.DIRECTION_REQUEST, "response": _records.DIRECTION_RESPONSE}
TYPES = {
    "int8": _records.TYPE_INT8,
    "int16": _records.TYPE_INT16,
    "int32": _records.TYPE_INT32,
    "int64": _records.TYPE_INT64,
    "string": _records.TYPE_STRING,
    "array<int8>": _records.TYPE_ARRAY_INT8,
    "array<int16>": _records.TYPE_ARRAY_INT16,
    "array<int32>": _records.TYPE_ARRAY_INT32,
    "array<int64>": _records.TYPE_ARRAY_INT64,
    "array<string>": _records.TYPE_ARRAY_STRING,
}
COLUMNS = {
    "sequence": _records.COLUMN_SEQUENCE,
    "api_key": _records.COLUMN_API_KEY,
    "stream_offset": _records.COLUMN_STREAM_OFFSET,
    "row": _records.COLUMN_ROW,
}
PARTS = {
    "values": _records.PART_VALUES,
    "offsets": _records.PART_OFFSETS,
    "lengths": _records.PART_LENGTHS,
    "item_offsets": _records.PART_ITEM_OFFSETS,
    "item_lengths": _records.PART_ITEM_LENGTHS,
}
FORMATS = {1: "b", 2: "h", 4: "i", 8: "q"}
ITEMS = {
    _records.TYPE_ARRAY_INT8: "int8_t",
    _records.TYPE_ARRAY_INT16: "int16_t",
    _records.TYPE_ARRAY_INT32: "int32_t",
    _records.TYPE_ARRAY_INT64: "int64_t",
}

INTEGERS = {
    _records.TYPE_INT8: "int8_t",
    _records.TYPE_INT16: "int16_t",
    _records.TYPE_INT32: "int32_t",
    _records.TYPE_INT64: "int64_t",
}


def number_of(value: int | str, names: dict[str, int], what: str) -> int:
    """A number of the headers, or the name that people write for it."""
    if not isinstance(value, str):
        return value
    if value not in names:
        raise errors.InvalidArgumentError(f"{what} {value!r} is unknown; it is one of: {', '.join(names)}")
    return names[value]


def exact(value: int | str) -> int | str:
    """A number without anybody's code in it, or a name."""
    if type(value) is int or type(value) is str:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    try:
        return int.__index__(operator.index(value))
    except TypeError:
        return value  # to be refused by whoever needs it


# Values into C


def string_value(name: str, value: Any) -> Value:
    if type(value) is bytes:
        return Value(0, value, len(value))
    try:
        if isinstance(value, str):  # some show their code points as a buffer
            raise TypeError
        memory = memoryview(value)  # and locked from now on
        return Value(0, memory, memory.nbytes)
    except TypeError:
        hint = "; encode the text" if isinstance(value, str) else ""
        raise TypeError(f"{name}: a bytes-like object is needed, not {_arguments.kind(value)}{hint}") from None


def strings_value(name: str, values: Any, hold: list[Any]) -> Value:
    items = [
        item if type(item) is bytes else bytes(memoryview(string_value(f"{name}[{i}]", item).data))  # type: ignore[arg-type]
        for i, item in enumerate(_arguments.sequence(values, name))
    ]
    hold.append(items)
    pairs = array("Q", (number for item in items for number in (layer.address_of(item), len(item))))
    return Value(0, pairs, len(items))


def value_of(field: SchemaField, value: Any, hold: list[Any]) -> Value:
    """*value* as C takes it. What it points to is in it or in *hold*."""
    if field.type <= _records.TYPE_INT64:
        return Value(_arguments.integer(value, field.name, -0x8000000000000000, 0x7FFFFFFFFFFFFFFF))
    if field.type == _records.TYPE_STRING:
        return string_value(field.name, value)
    if field.type == _records.TYPE_ARRAY_STRING:
        return strings_value(field.name, value, hold)
    items = _arguments.integers(value, ITEMS[field.type], field.name)
    return Value(0, items, len(items))


# Messages that say by name what they have: mappings, and objects with attributes


def named(message: Any) -> Mapping[str, Any]:
    """What a message has, by name."""
    if isinstance(message, Message):
        return {"api_key": message.api_key, "sequence": message.sequence, **message.fields()}
    return message if isinstance(message, Mapping) else _Attributes(message)


class _Attributes(Mapping[str, Any]):
    """The attributes of an object, by name."""

    def __init__(self, message: object) -> None:
        self.message = message

    def __contains__(self, name: object) -> bool:
        return hasattr(self.message, str(name))

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self.message, name)
        except AttributeError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(dir(self.message))

    def __len__(self) -> int:
        return len(dir(self.message))


def named_values(shape: Shape, message: Any) -> list[Any]:
    """The values of a message's fields. Raises InvalidArgumentError with the names that it lacks."""
    given = named(message)
    lacking = [repr(name) for name in shape.names if name not in given]
    if lacking:
        raise errors.InvalidArgumentError(f"{shape.name}: the message lacks {', '.join(lacking)}: {message!r:.200}")
    return [given[name] for name in shape.names]


# Columns into C


def strings_column(name: str, values: Any, counts: list[int] | None = None) -> Column:
    """Strings one behind the other; *counts* says how many each message has, where it has arrays of them."""
    items = [
        item if type(item) is bytes else bytes(memoryview(string_value(f"{name}[{i}]", item).data))  # type: ignore[arg-type]
        for i, item in enumerate(_arguments.sequence(values, name))
    ]
    lengths = array("i", map(len, items))
    if counts is None:
        return Column(b"".join(items), lengths=lengths)
    return Column(b"".join(items), lengths=array("i", counts), item_lengths=lengths)


def integers_column(name: str, values: Any, ctype: str) -> Column:
    """Integers as wide as the field, or as int64, whose range C checks."""
    exact = _arguments.same_integers(values, _arguments.TYPECODES[ctype])
    return Column(_arguments.integers(values, "int64_t", name) if exact is None else exact)


def column_of(field: SchemaField, values: Any) -> Column:
    """The values of one field for many messages, as C takes them."""
    if isinstance(values, Column):
        return values
    if field.type <= _records.TYPE_INT64:
        return integers_column(field.name, values, INTEGERS[field.type])
    if field.type == _records.TYPE_STRING:
        return strings_column(field.name, values)
    arrays = [
        _arguments.sequence(v, f"{field.name}[{i}]") for i, v in enumerate(_arguments.sequence(values, field.name))
    ]
    counts = [len(items) for items in arrays]
    strings = field.type == _records.TYPE_ARRAY_STRING

    def convert(items: list[Any], name: str, lengths: list[int]) -> Column:
        if strings:
            return strings_column(name, items, lengths)
        return Column(_arguments.integers(items, ITEMS[field.type], name), lengths=array("i", lengths))

    try:
        return convert([item for items in arrays for item in items], field.name, counts)
    except (OverflowError, TypeError, ValueError):
        for i, items in enumerate(arrays):  # says in which message the wrong item is
            convert(list(items), f"{field.name}[{i}]", [len(items)])
        raise


def out_of_range(error: OverflowError) -> OverflowError:
    """The error for a value that does not fit its field, also where it did not even fit what is handed to C."""
    if isinstance(error, errors.OutOfRangeError):
        return error
    return errors.OutOfRangeError(str(error), field=re.split(r"[:\[]", str(error))[0])


# Values out of C


class Message(_objects.Row):
    """One decoded message: api_key, sequence and its fields as attributes, in the order of its schema when unpacked.

    stream_offset says where its frame began. Messages with the same name and values are equal, wherever they lay in a stream. A field
    that has a name of this class, such as `fields`, is in `fields()` only.

    A message makes the value of a field each time it is asked for. It keeps the memory of all messages that were parsed with it;
    copy.copy() of it is one that keeps only its own.
    """

    __slots__ = ()

    schema_name = "Message"
    field_names: tuple[str, ...] = ()

    def __repr__(self) -> str:
        inner = "".join(f", {name}={value!r}" for name, value in self.fields().items())
        return f"{self.schema_name}(api_key={self.api_key}, sequence={self.sequence}{inner})"

    def __reduce__(self) -> tuple[Any, ...]:
        shape = self._shape
        return message, (shape.name, shape.fields, *parts_of(self))


def parts_of(row: Message) -> tuple[Any, ...]:
    """What a message is made of again."""
    return row.stream_offset, row.api_key, row.sequence, row._values()


@functools.lru_cache(maxsize=1024)
def message_class(name: str, field_names: tuple[str, ...]) -> type[Message]:
    """The class of the messages of one schema."""
    body: dict[str, Any] = {
        "__slots__": (),
        "schema_name": name,
        "field_names": field_names,
        "__match_args__": field_names,
        "__doc__": Message.__doc__,
    }
    taken = set(dir(Message))
    body |= {field: _objects.Field(i) for i, field in enumerate(field_names) if field not in taken}
    return type(name, (Message,), body)


def message(name: str, fields: tuple[SchemaField, ...], *parts: Any) -> Message:
    """Makes a pickled message again."""
    row: Message = _objects.row(shape_of(name, fields), *parts)
    return row


class Shape(_objects.Shape):
    """What a schema says, on this side of the border."""

    __slots__ = ("fields",)

    fields: tuple[SchemaField, ...]
    row_type: type[Message]

    def __new__(
        cls,
        name: str,
        fields: tuple[SchemaField, ...],
        row_type: type[Message] | None = None,
        fields_only: bool = False,
    ) -> Shape:
        if row_type is None:
            row_type = message_class(name, tuple(field.name for field in fields))
        self = super().__new__(cls, name, fields, row_type, fields_only)
        self.fields = fields
        return self

    def values(self, values: Sequence[Any], hold: list[Any]) -> list[Value]:
        if len(values) != len(self.fields):
            raise errors.InvalidArgumentError(
                f"{self.name} has {len(self.fields)} fields, but there are {len(values)} values"
            )
        return [value_of(field, value, hold) for field, value in zip(self.fields, values)]

    def column(self, column: int | str) -> int:
        """The number of a column; a name that is a field's is the field."""
        if not isinstance(column, str):
            return column
        if column in self.names:
            return self.names.index(column)
        if column in COLUMNS:
            return COLUMNS[column]
        raise errors.NotFoundError(
            f"{self.name} has no column {column!r}; it has: {', '.join([*self.names, *COLUMNS])}"
        )

    def column_format(self, column: int, part: int, item_size: int) -> str:
        """The items of a column as memoryview and the struct module name them: those of strings are bytes."""
        type_ = self.fields[column].type if column >= 0 else _records.TYPE_INT64
        strings = type_ in (_records.TYPE_STRING, _records.TYPE_ARRAY_STRING)
        return "B" if strings and part == _records.PART_VALUES else FORMATS[item_size]


@functools.lru_cache(maxsize=1024)
def shape_of(name: str, fields: tuple[SchemaField, ...]) -> Shape:
    """The shape of messages that come out of a pickle."""
    return Shape(name, fields)


class Schema(_classes.Schema):
    __doc__ = _classes.Schema.__doc__

    _shape: Shape | None = None

    def __init__(
        self,
        name: str,
        direction: int | str,
        api_key: int,
        fields: Iterable[SchemaField | tuple[str, int | str]],
    ) -> None:
        """Makes a schema.

        direction is "request" or "response" (DIRECTION_...); a field is a name and a type: "int8" to "int64", "string", or "array<int8>"
        to "array<int64>" and "array<string>" (TYPE_...). Raises InvalidArgumentError for a wrong or repeated name or an unknown type,
        TooLargeError for too many fields.
        """
        pairs = []
        for index, field in enumerate(_arguments.sequence(fields, "fields")):
            if not isinstance(field, tuple) or len(field) != 2:
                raise TypeError(f"fields[{index}]: a tuple of a name and a type is needed, not {field!r}")
            pairs.append(SchemaField(field[0], number_of(field[1], TYPES, f"{name}.{field[0]}: the type")))
        super().__init__(name, number_of(direction, DIRECTIONS, f"{name}: the direction"), api_key, pairs)

    @property
    def shape(self) -> Shape:
        if self._shape is None:
            with self._lock:
                fields = tuple(self.get_field(index) for index in range(self.field_count()))
                self._shape = Shape(self.name(), fields)
        return self._shape

    @property
    def fields(self) -> tuple[SchemaField, ...]:
        """Names and types (TYPE_...) of the fields, in their order."""
        return self.shape.fields


class Builder(_classes.Builder):
    __doc__ = _classes.Builder.__doc__

    def __len__(self) -> int:
        return self.size()

    def __bytes__(self) -> bytes:
        """All frames that were added and not yet taken."""
        with self._lock:
            data = bytearray(self.size())
            self.copy_bytes(data)
        return bytes(data)

    def add(self, schema: _classes.Schema, sequence: int, values: Iterable[Any]) -> None:
        """Adds one message: one value per field, in the schema's order. Integers are ints, strings bytes-like objects, arrays sequences.

        Raises OutOfRangeError (an OverflowError) or TooLargeError, with the field's name, for what does not fit; nothing is added then.
        """
        if not isinstance(schema, Schema):
            raise TypeError(f"schema: a Schema is needed, not {_arguments.kind(schema)}")
        shape = schema.shape
        if not isinstance(values, (list, tuple)):
            values = values._values() if isinstance(values, Message) else list(values)
        if not self._add_messages(schema, shape, (sequence,), (values,)):
            hold: list[Any] = []
            try:
                super().add(schema, sequence, shape.values(values, hold))
            except OverflowError as error:
                raise out_of_range(error) from None

    def _add_messages(
        self,
        schema: Schema,
        shape: Shape,
        sequences: Any,
        messages: Sequence[Any],
        add: Callable[..., bool | tuple[int, int, int, int, int, str, str]] = _objects.add_messages,
    ) -> bool:
        """Adds messages at once; False, and nothing is added, where a value is none that _objects takes."""
        added = add(self, schema, shape, sequences, messages)
        if isinstance(added, tuple):
            raise raised(Error(*added))
        return added

    def add_columns(self, schema: _classes.Schema, sequences: Sequence[int], columns: Iterable[Any]) -> None:
        """Adds one message per sequence, all of them or none: one column per field, in the schema's order.

        A column of integers is a sequence of ints, or a buffer of integers (array, memoryview, numpy) as wide as the field or int64; one
        of strings a sequence of bytes-like objects; one of arrays a sequence of sequences. A Column says it in parts, which Batch.column
        gives: samebytes.Column(values, offsets, lengths).

        Raises OutOfRangeError (an OverflowError), TooLargeError or InvalidArgumentError with the field's name and the message's index.
        """
        if not isinstance(schema, Schema):
            raise TypeError(f"schema: a Schema is needed, not {_arguments.kind(schema)}")
        given = list(columns)
        if len(given) != len(schema.fields):
            raise errors.InvalidArgumentError(
                f"{schema.name()} has {len(schema.fields)} fields, but there are {len(given)} columns"
            )
        if all(isinstance(column, list) and len(column) == len(sequences) for column in given):
            # Lists of Python's values lie in memory as rows do: each has to be looked at.
            added = self._add_messages(schema, schema.shape, sequences, list(zip(*given)) or [()] * len(sequences))
        else:
            added = self._add_messages(schema, schema.shape, sequences, given, _objects.add_columns)
        if not added:
            try:
                super().add_columns(schema, sequences, [column_of(*pair) for pair in zip(schema.fields, given)])
            except OverflowError as error:
                raise out_of_range(error) from None

    def add_rows(self, schema: _classes.Schema, sequences: Sequence[int], rows: Iterable[Sequence[Any]]) -> None:
        """Adds one message per row, all of them or none: a row holds one value per field, in the schema's order. Raises as add_columns."""
        if not isinstance(schema, Schema):
            raise TypeError(f"schema: a Schema is needed, not {_arguments.kind(schema)}")
        given = rows if isinstance(rows, (list, tuple)) else list(rows)
        if self._add_messages(schema, schema.shape, sequences, given):
            return
        given = [row._values() if isinstance(row, Message) else row for row in given]
        for index, row in enumerate(given):
            if len(row) != len(schema.fields):
                raise errors.InvalidArgumentError(
                    f"rows[{index}]: {schema.name()} has {len(schema.fields)} fields, but there are {len(row)} values"
                )
        if len(given) != len(sequences):
            raise errors.InvalidArgumentError(f"{len(sequences)} sequences for {len(given)} rows")
        self.add_columns(schema, sequences, zip(*given) if given else [()] * len(schema.fields))


class Batch(_classes.Batch):
    __doc__ = _classes.Batch.__doc__

    _shapes: tuple[Shape, ...] = ()

    @property
    def rows(self) -> list[Message]:
        """The messages of the last parse, as a new list. They stay valid when the batch is parsed into again or closed."""
        with now(self):
            return self._rows(self._shapes)

    @property
    def errors(self) -> list[Error]:
        """What the last parse refused, in the order of the stream."""
        with now(self) as address:
            return [layer.sb_batch_get_error(address, index) for index in range(layer.sb_batch_error_count(address))]

    def column(self, column: int | str, part: int | str = "values", schema: int | str = 0) -> memoryview:
        """A part of a column of the rows that follow one schema, as a read-only memoryview of the batch's own memory.

        column is the name or index of a field, or "sequence", "api_key", "stream_offset" or "row" (COLUMN_...). part is "values",
        and for strings and arrays "offsets" and "lengths", for arrays of strings "item_offsets" and "item_lengths" (PART_...). schema
        is the index of the schema in the parser's list, or the name of its messages.

        The values of a string column are bytes that its offsets and lengths point into; those of an array column are the items of all
        arrays. numpy.asarray() reads a column without a copy. A memoryview keeps the batch alive and as it is: while one lives, to
        parse into the batch, clear or close it raises BusyError.

        Raises NotFoundError for a name that is none, OutOfRangeError for such an index, and InvalidArgumentError for a part that
        columns of that type do not have.
        """
        if not (type(schema) is int and type(column) is str and type(part) is str):
            schema, column, part = exact(schema), exact(column), exact(part)
        with now(self) as address:
            index = self._schema_index(schema)
            number = self._shapes[index].column(column)
            chosen = number_of(part, PARTS, "the part")
            memory = self._column(self._shapes[index], index, number, chosen)
            if memory is not None:
                return memory
            data, size, item_size = layer.sb_batch_get_column(address, index, number, chosen)
            format_ = self._shapes[index].column_format(number, chosen, item_size)
            return memoryview(_objects.Column(self, data, size, item_size, format_))

    def arrow(self, schema: int | str = 0, strings: Strings = "binary") -> ArrowRows:
        """The rows that follow one schema, as something that reads through Arrow: `pyarrow.record_batch(batch.arrow())`.

        Its columns are sequence, api_key and stream_offset, then one per field; where a field has one of these names, that column is
        frame.sequence and so on. Strings are binary, or with strings="utf8" text, which is checked: reading raises
        InvalidArgumentError, naming field and row, for what is not UTF-8. The rows are copied when they are read.

        *schema* is the index of the schema in the parser's list, or the name of its messages. Where there is one schema only, the batch
        itself reads through Arrow as well.
        """
        with self._lock:
            self._open()
            return ArrowRows(self, self._schema_index(schema), strings_of(strings))

    def _only_rows(self) -> ArrowRows:
        if len(self._shapes) > 1:
            names = ", ".join(shape.name for shape in self._shapes)
            raise errors.InvalidArgumentError(
                f"the batch has messages of several schemas; say which: batch.arrow(schema), of {names}"
            )
        return self.arrow()

    def __arrow_c_schema__(self) -> object:
        return self._only_rows().__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[Any, Any]:
        return self._only_rows().__arrow_c_array__(requested_schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._only_rows().__arrow_c_stream__(requested_schema)

    __arrow_c_schema__.__doc__ = ArrowRows.__arrow_c_schema__.__doc__
    __arrow_c_array__.__doc__ = ArrowRows.__arrow_c_array__.__doc__
    __arrow_c_stream__.__doc__ = ArrowRows.__arrow_c_stream__.__doc__

    def columns(self, schema: int | str = 0) -> dict[str, memoryview | Column]:
        """All fields of the rows that follow one schema, by name: integers as memoryviews, strings and arrays as Columns of memoryviews.

        Builder.add_columns takes the values as they are: builder.add_columns(schema, batch.column("sequence"), batch.columns().values()).
        What column() says of memoryviews holds for these.
        """
        schema = exact(schema)
        with now(self):
            index = self._schema_index(schema)
            return self._columns(self._shapes[index], index, Column)

    def _schema_index(self, schema: int | str) -> int:
        if not isinstance(schema, str):
            index = _arguments.integer(schema, "schema", 0, _arguments.ADDRESS_MAX)
            if index < len(self._shapes):
                return index
            raise errors.OutOfRangeError(f"schema: there is no schema {index}; the last parser had {len(self._shapes)}")
        names = [shape.name for shape in self._shapes]
        if schema not in names:
            raise errors.NotFoundError(
                f"schema: there are no messages {schema!r}; the last parser had: {', '.join(names)}"
            )
        return names.index(schema)

    def clear(self) -> None:
        with now(self) as address:
            self._idle()
            layer.sb_batch_clear(address)

    def swap(self, other: _classes.Batch) -> None:
        if not isinstance(other, Batch):
            raise TypeError(f"other: a Batch is needed, not {_arguments.kind(other)}")
        with calling(self, other):
            addresses = self._open(), other._open()
            self._idle()
            other._idle()
            layer.sb_batch_swap(*addresses)
            self._shapes, other._shapes = other._shapes, self._shapes

    def _idle(self) -> None:
        super()._idle()
        self._keep_rows()

    def __len__(self) -> int:
        return self.row_count()

    def __iter__(self) -> Iterator[Message]:
        return iter(self.rows)

    clear.__doc__ = _classes.Batch.clear.__doc__
    swap.__doc__ = _classes.Batch.swap.__doc__


def _failed(function: str, status: int) -> None:
    raise failure(function, status, layer.sb_status_message(status), None)


class Parser(Lending, _classes.Parser):
    __doc__ = _classes.Parser.__doc__

    _shapes: tuple[Shape, ...] = ()
    _ending: Error | None = None

    def __init__(
        self,
        schemas: Sequence[_classes.Schema],
        max_frame_size: int = 0,
        memory: _classes.Memory | None = None,
        receive_position: int = 0,
        accept_extra: bool = False,
    ) -> None:
        super().__init__(
            schemas,
            max_frame_size=max_frame_size,
            memory=memory,
            receive_position=receive_position,
            accept_extra=accept_extra,
        )
        self._shapes = tuple(schema.shape for schema in schemas)  # type: ignore[attr-defined]

    __init__.__doc__ = _classes.Parser.__init__.__doc__

    def parse(self, batch: _classes.Batch | None = None) -> Batch:  # type: ignore[override]  # the batch is handed back
        """Decodes every complete frame that has been received into *batch*, or a new one, and returns it.

        A frame that is refused is an entry in the batch's errors. What ends the stream is the last entry, and every later call raises
        it; where the parse that meets it has no rows, it raises at once.
        """
        if batch is not None and not isinstance(batch, Batch):
            raise TypeError(f"batch: a Batch is needed, not {_arguments.kind(batch)}")
        filled = Batch() if batch is None else batch
        try:
            with late(self, filled) as call:
                address = call.open()
                if filled._exports or not filled._address:
                    filled._idle()
                    filled._open()
                end = filled._parse(address)
                if end < 0:  # not tried again: what failed once may not fail twice
                    self._explained(_failed, "sb_parser_parse", -end)
                filled._shapes = self._shapes
                if end:
                    into = filled._open()
                    self._ending = layer.sb_batch_get_error(into, layer.sb_batch_error_count(into) - 1)
                    if layer.sb_batch_row_count(into) == 0:
                        raise raised(self._ending)
        except BaseException:
            if batch is None:
                filled.close()
            raise
        return filled

    def feed(self, data: ReadableBuffer) -> None:
        with now(self) as address:
            status = _objects.feed(address, data)
        if status is None:
            self._explained(super().feed, data)
        elif status:
            self._explained(_failed, "sb_parser_feed", status)

    def buffer(self) -> memoryview:  # type: ignore[override]  # an address could be written to after the next call
        """The parser's receive memory as a writable memoryview, until the next call on this parser, which releases it.

        Read into it from a socket, then call commit(). The next call raises BusyError while slices of the memoryview live.
        """
        with now(self) as address:
            return self._lend(*self._explained(layer.sb_parser_buffer, address))

    @staticmethod
    def _keeper(address: int) -> _objects.Keeper:
        return _objects.Keeper(parser=address)

    def commit(self, size: int) -> None:
        self._explained(super().commit, size)

    def position(self, buffer_size: int) -> int:
        return self._explained(super().position, buffer_size)

    def receive(self, buffer: ReadableBuffer, count: int) -> None:
        self._explained(super().receive, buffer, count)

    def _explained(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Calls; where the stream has ended, the exception says where and why."""
        try:
            return call(*arguments)
        except SamebytesError as error:
            if self._ending is not None and error.status == self._ending.status:
                raise raised(self._ending) from None
            raise

    feed.__doc__ = _classes.Parser.feed.__doc__
    commit.__doc__ = _classes.Parser.commit.__doc__
    position.__doc__ = _classes.Parser.position.__doc__
    receive.__doc__ = _classes.Parser.receive.__doc__
