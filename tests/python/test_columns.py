"""Columns of batches: the values of many messages as memoryviews of the batch's own memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import numpy
import pytest

import samebytes

FIELDS = [
    ("i8", "int8"),
    ("i16", "int16"),
    ("i32", "int32"),
    ("i64", "int64"),
    ("text", "string"),
    ("a16", "array<int16>"),
    ("texts", "array<string>"),
]
ROWS = [
    (-1, 300, -70000, 1 << 60, b"one", [1, -2], [b"a", b""]),
    (2, 0, 5, 0, b"", [], []),
    (127, -32768, 6, -(1 << 63), b"three", [3], [b"bcd"]),
]


@pytest.fixture
def batch() -> Iterator[samebytes.Batch]:
    every = samebytes.Schema("Every", "request", 1, FIELDS)
    other = samebytes.Schema("Other", "request", 2, [("sequence", "int64")])
    with samebytes.Builder() as builder:
        for index, row in enumerate(ROWS):
            builder.add(every, index, row)
            builder.add(other, -index, [index * 10])
        data = bytes(builder)
    with samebytes.Parser([every, other]) as parser:
        parser.feed(data)
        with parser.parse() as batch:
            yield batch


def test_integers_are_memoryviews_of_their_width(batch: samebytes.Batch) -> None:
    for index, (name, format_) in enumerate([("i8", "b"), ("i16", "h"), ("i32", "i"), ("i64", "q")]):
        column = batch.column(name)
        assert column.tolist() == [row[index] for row in ROWS] == batch.column(index).tolist()
        assert (column.format, column.ndim, column.readonly, column.contiguous) == (format_, 1, True, True)


def test_strings_are_offsets_and_lengths_of_bytes(batch: samebytes.Batch) -> None:
    values = batch.column("text")
    assert values.format == "B"
    places = zip(batch.column("text", "offsets"), batch.column("text", samebytes.PART_LENGTHS), strict=True)
    assert [bytes(values[at : at + size]) for at, size in places] == [row[4] for row in ROWS]


def test_arrays_are_items_with_offsets_and_lengths(batch: samebytes.Batch) -> None:
    assert batch.column("a16").tolist() == [1, -2, 3]
    assert batch.column("a16", "offsets").tolist() == [0, 2, 2]
    assert batch.column("a16", "lengths").tolist() == [2, 0, 1]
    values = batch.column("texts")
    places = zip(batch.column("texts", "item_offsets"), batch.column("texts", "item_lengths"), strict=True)
    assert [bytes(values[at : at + size]) for at, size in places] == [b"a", b"", b"bcd"]


def test_heads_are_columns_unless_a_field_has_their_name(batch: samebytes.Batch) -> None:
    assert batch.column("sequence").tolist() == [0, 1, 2]
    assert batch.column("api_key").tolist() == [1, 1, 1]
    assert batch.column("row", schema="Other").tolist() == [1, 3, 5]
    assert batch.column("sequence", schema=1).tolist() == [0, 10, 20]
    assert batch.column(samebytes.COLUMN_SEQUENCE, schema=1).tolist() == [0, -1, -2]
    assert batch.column("stream_offset").tolist() == [row.stream_offset for row in batch if row.api_key == 1]


def test_what_is_no_column_is_refused_by_name(batch: samebytes.Batch) -> None:
    with pytest.raises(samebytes.NotFoundError, match="Every has no column 'nothing'; it has: i8, i16"):
        batch.column("nothing")
    with pytest.raises(samebytes.NotFoundError, match="no messages 'Nothing'; the last parser had: Every, Other"):
        batch.column("i8", schema="Nothing")
    with pytest.raises(samebytes.OutOfRangeError, match="there is no schema 2"):
        batch.column("i8", schema=2)
    with pytest.raises(samebytes.OutOfRangeError):
        batch.column(7)
    with pytest.raises(samebytes.InvalidArgumentError):
        batch.column("i8", "offsets")
    with pytest.raises(samebytes.InvalidArgumentError, match="the part 'size' is unknown"):
        batch.column("i8", "size")
    with pytest.raises(samebytes.OutOfRangeError, match="there is no schema 0"):
        samebytes.Batch().column(0)
    with pytest.raises(TypeError):
        batch.column("i8")[0] = 1


def test_a_column_keeps_the_batch_as_it_is(batch: samebytes.Batch) -> None:
    schema = samebytes.Schema("Every", "request", 1, FIELDS)
    column = batch.column("i64")
    part = column[1:]
    column.release()
    with samebytes.Parser([schema]) as parser:
        for change in (batch.clear, batch.close, lambda: parser.parse(batch)):
            with pytest.raises(samebytes.BusyError, match="1 memoryview in use"):
                change()
        assert part.tolist() == [0, -(1 << 63)]
        origin = part.obj
        part.release()
        parser.parse(batch)
    with pytest.raises(samebytes.ClosedError, match="ask the batch again"):
        memoryview(origin)  # type: ignore[arg-type]
    batch.close()
    with pytest.raises(samebytes.ClosedError):
        batch.column("i64")


def test_a_column_keeps_the_batch_alive() -> None:
    schema = samebytes.Schema("Number", "request", 1, [("number", "int32")])
    with samebytes.Builder() as builder, samebytes.Parser([schema]) as parser:
        builder.add(schema, 0, [77])
        parser.feed(bytes(builder))
        batch = parser.parse()
    alive = weakref.ref(batch)
    column = batch.column("number")
    del batch
    gc.collect()
    assert alive() is not None
    assert column.tolist() == [77]
    column.release()
    gc.collect()
    assert alive() is None


def test_a_batch_without_rows_has_empty_columns() -> None:
    schema = samebytes.Schema("Number", "request", 1, [("number", "int32"), ("text", "string")])
    with samebytes.Parser([schema]) as parser, parser.parse() as batch:
        for name, part in (("number", "values"), ("text", "values"), ("text", "offsets"), ("row", "values")):
            with batch.column(name, part) as column:
                assert column.tolist() == []


def test_only_a_batch_has_columns() -> None:
    from samebytes import _objects

    for wrong in (None, samebytes.View(b"abc"), samebytes.Pipeline()):
        with pytest.raises(TypeError, match="a column belongs to a Batch"):
            _objects.Column(wrong, 0, 0, 1, "b")  # type: ignore[arg-type]
    with samebytes.Batch() as batch, pytest.raises(ValueError, match="a column needs"):
        _objects.Column(batch, 0, 8, 1, "b")


def test_numpy_reads_a_column_without_a_copy(batch: samebytes.Batch) -> None:
    numbers = numpy.asarray(batch.column("i32"))
    assert numbers.dtype == numpy.int32
    assert numbers.tolist() == [-70000, 5, 6]
    assert not numbers.flags.owndata
    assert not numbers.flags.writeable
    assert numpy.asarray(batch.column("i32")).ctypes.data == numbers.ctypes.data
    gc.collect()
    with pytest.raises(samebytes.BusyError):
        batch.clear()
    del numbers
    batch.clear()


def test_all_columns_come_at_once_and_go_into_a_builder() -> None:
    fields = [("i8", "int8"), ("i64", "int64"), ("text", "string"), ("a16", "array<int16>"), ("texts", "array<string>")]
    rows = [(1, 1 << 60, b"one", [1, -2], [b"a", b""]), (-1, 0, b"", [], []), (3, -5, b"three", [3], [b"bcd"])]
    with (
        samebytes.Schema("Every", "request", 1, fields) as every,
        samebytes.Schema("Other", "request", 2, [("x", "int32")]) as other,
        samebytes.Parser([other, every]) as parser,
        samebytes.Builder() as builder,
    ):
        builder.add_rows(every, [1, 2, 3], rows)
        data = bytes(builder)
        builder.add_rows(other, [9, 9], [[70000], [-1]])
        parser.feed(bytes(builder))
        builder.clear()
        with parser.parse() as batch:
            columns = batch.columns("Every")
            assert list(columns) == [name for name, _ in fields]
            assert columns["i64"] == batch.column("i64", schema=1)
            text = columns["text"]
            assert isinstance(text, samebytes.Column)
            for part in ("values", "offsets", "lengths"):
                found, wanted = getattr(text, part), batch.column("text", part, 1)
                assert (found, found.format, found.readonly) == (wanted, wanted.format, True)
            assert batch.columns()["x"].tolist() == [70000, -1]  # type: ignore[union-attr]
            builder.add_columns(every, batch.column("sequence", schema=1), columns.values())
            assert bytes(builder) == data
            with pytest.raises(samebytes.BusyError):
                batch.clear()
            with pytest.raises(samebytes.NotFoundError):
                batch.columns("None")
            with pytest.raises(samebytes.OutOfRangeError):
                batch.columns(2)
            del columns, text, found, wanted
        with pytest.raises(samebytes.ClosedError):
            batch.columns()


@pytest.mark.parametrize(
    "ask", [lambda batch: batch.columns(0), lambda batch: batch.column("text", "offsets"), lambda batch: batch.rows()]
)
def test_memory_that_is_changed_after_the_parse_is_not_left(ask: Callable[[samebytes.Batch], object]) -> None:
    """A provider's memory may be that of a bytearray, which anybody can write to."""
    memory: list[bytearray] = []

    def reserve(size: int) -> list[bytearray]:
        memory.append(bytearray(size))
        return memory[-1:]

    schema = samebytes.Schema("Text", "request", 1, [("text", "string"), ("after", "int64")])
    frame = b"\0\0\0\x11\1\0\0\0\0\3abc\0\0\0\0\0\0\0\1"
    with samebytes.Memory.open_callback(reserve) as provider, samebytes.Parser([schema], memory=provider) as parser:
        parser.feed(frame)
        parser.parse().column("text", "lengths")  # so that the next parse makes no values
        parser.feed(frame)
        with parser.parse() as batch:
            for bytes_ in memory:
                bytes_[:] = bytes_.replace(b"\3abc", b"\x7fabc")
            with pytest.raises(samebytes.CorruptError):
                ask(batch)
