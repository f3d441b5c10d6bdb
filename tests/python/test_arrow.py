"""Messages exported to Arrow, as pyarrow, Polars and DuckDB read them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import duckdb
import polars
import pyarrow
import pytest

import samebytes
from samebytes import _objects

from .conftest import REFERENCE

FIELDS = [
    ("i8", "int8"),
    ("i16", "int16"),
    ("i32", "int32"),
    ("i64", "int64"),
    ("text", "string"),
    ("a8", "array<int8>"),
    ("a16", "array<int16>"),
    ("a32", "array<int32>"),
    ("a64", "array<int64>"),
    ("texts", "array<string>"),
]
ROWS = [
    (-1, 300, -70000, 1 << 60, "one ä".encode(), [1, -2], [300], [-70000, 7], [1 << 60], [b"a", b"", "ö".encode()]),
    (2, 0, 5, 0, b"", [], [], [], [], []),
    (127, -32768, 6, -(1 << 63), b"three", [-128], [3, 4], [], [-1, -2, -3], [b"bcd"]),
]
HEADS = ["sequence", "api_key", "stream_offset"]


def schema_of_all_types() -> samebytes.Schema:
    return samebytes.Schema("All", "request", 1, FIELDS)


def batch_of(schemas: list[samebytes.Schema], messages: list[tuple[int, int, tuple[object, ...]]]) -> samebytes.Batch:
    with samebytes.Builder() as builder, samebytes.Parser(schemas) as parser:
        for which, sequence, values in messages:
            builder.add(schemas[which], sequence, values)
        parser.feed(bytes(builder))
        return parser.parse()


@pytest.fixture
def batch() -> Iterator[samebytes.Batch]:
    with batch_of([schema_of_all_types()], [(0, index, row) for index, row in enumerate(ROWS)]) as batch:
        yield batch


def columns(text: pyarrow.DataType) -> pyarrow.Schema:
    types = [pyarrow.int8(), pyarrow.int16(), pyarrow.int32(), pyarrow.int64(), text]
    types += [pyarrow.list_(pyarrow.field("item", item, False)) for item in [*types[:4], text]]
    heads = [pyarrow.int8(), pyarrow.int8(), pyarrow.int64()]
    names = HEADS + [name for name, _ in FIELDS]
    return pyarrow.schema([pyarrow.field(name, type_, False) for name, type_ in zip(names, heads + types, strict=True)])


def expected(text: bool) -> list[list[object]]:
    def spoken(value: object) -> object:
        if isinstance(value, list):
            return [spoken(item) for item in value]
        return value.decode() if text and isinstance(value, bytes) else value

    return [[spoken(row[index]) for row in ROWS] for index in range(len(FIELDS))]


@pytest.mark.parametrize(
    ("strings", "type_"), [("binary", pyarrow.binary()), ("utf8", pyarrow.string())], ids=["binary", "utf8"]
)
def test_each_type_has_its_column_and_pyarrow_finds_them_valid(
    batch: samebytes.Batch, strings: str, type_: pyarrow.DataType
) -> None:
    exported = batch.arrow(strings=strings)
    record_batch = pyarrow.record_batch(exported)
    record_batch.validate(full=True)
    assert record_batch.schema == columns(type_)
    assert [column.to_pylist() for column in record_batch.columns[3:]] == expected(strings == "utf8")
    assert record_batch["sequence"].to_pylist() == [0, 1, 2]
    assert record_batch["api_key"].to_pylist() == [1, 1, 1]
    assert record_batch["stream_offset"].to_pylist() == [row.stream_offset for row in batch.rows]
    assert pyarrow.schema(exported) == columns(type_)
    table = pyarrow.RecordBatchReader.from_stream(exported).read_all()
    table.validate(full=True)
    assert table.to_batches() == [record_batch]


def test_a_batch_of_one_schema_reads_through_arrow_itself(batch: samebytes.Batch) -> None:
    assert pyarrow.record_batch(batch).schema == columns(pyarrow.binary()) == pyarrow.schema(batch)
    assert pyarrow.table(batch).num_rows == pyarrow.RecordBatchReader.from_stream(batch).read_all().num_rows == 3


def test_polars_reads_it(batch: samebytes.Batch) -> None:
    frame = polars.DataFrame(batch.arrow(strings="utf8"))
    assert frame.columns == HEADS + [name for name, _ in FIELDS]
    assert [frame[name].to_list() for name, _ in FIELDS] == expected(True)
    assert frame["i16"].dtype == polars.Int16


def test_duckdb_reads_it(batch: samebytes.Batch) -> None:
    messages = batch.arrow(strings="utf8")  # noqa: F841  # DuckDB finds the variable by its name
    rows = duckdb.sql("select sequence, text, len(a32), texts from messages where i8 != 2 order by sequence").fetchall()
    assert rows == [(0, "one ä", 2, ["a", "", "ö"]), (2, "three", 0, ["bcd"])]


def test_what_was_exported_outlives_batch_parser_and_library_objects() -> None:
    before = samebytes.memory_live_blocks()
    with batch_of([schema_of_all_types()], [(0, 0, ROWS[0])] * 1000) as batch:
        table = pyarrow.table(batch.arrow(strings="utf8"))
    gc.collect()
    assert samebytes.memory_live_blocks() == before
    table.validate(full=True)
    assert table["text"].to_pylist() == ["one ä"] * 1000


def test_rows_of_each_schema_are_asked_for_by_name_or_index() -> None:
    schemas = [schema_of_all_types(), samebytes.Schema("Other", "request", 2, [("sequence", "int64")])]
    with batch_of(schemas, [(0, 0, ROWS[0]), (1, 1, (10,)), (1, 2, (20,))]) as batch:
        other = pyarrow.record_batch(batch.arrow("Other"))
        assert other.schema.names == ["frame.sequence", "api_key", "stream_offset", "sequence"]
        assert other["sequence"].to_pylist() == [10, 20]
        assert other["frame.sequence"].to_pylist() == [1, 2]
        assert other == pyarrow.record_batch(batch.arrow(1))
        for read in pyarrow.record_batch, pyarrow.schema, pyarrow.RecordBatchReader.from_stream:
            with pytest.raises(samebytes.InvalidArgumentError, match=r"several schemas.*batch\.arrow.*All, Other"):
                read(batch)
        with pytest.raises(samebytes.NotFoundError, match="All, Other"):
            batch.arrow("another")
        with pytest.raises(samebytes.OutOfRangeError):
            batch.arrow(2)


def test_rows_that_are_none_give_an_array_without_rows() -> None:
    with batch_of([schema_of_all_types()], []) as batch:
        record_batch = pyarrow.record_batch(batch)
        record_batch.validate(full=True)
        assert (record_batch.num_rows, record_batch.schema) == (0, columns(pyarrow.binary()))
        assert polars.DataFrame(batch.arrow()).shape == (0, 13)


def test_text_that_is_not_utf8_is_told_with_field_and_row(batch: samebytes.Batch) -> None:
    schema = samebytes.Schema("Text", "request", 1, [("body", "string")])
    with batch_of([schema], [(0, 0, (b"good",)), (0, 1, (b"bad\xff",))]) as batch:
        wrong = batch.arrow(strings="utf8")
        with pytest.raises(
            samebytes.InvalidArgumentError, match="body of row 1 of the batch is not UTF-8 from byte 3"
        ) as e:
            pyarrow.record_batch(wrong)
        assert (e.value.field, e.value.stream_offset) == ("body", 14)
        assert isinstance(e.value, ValueError)
        with pytest.raises(samebytes.InvalidArgumentError, match="body of row 1"):
            pyarrow.table(wrong)
        assert pyarrow.record_batch(batch)["body"].to_pylist() == [b"good", b"bad\xff"]
        with pytest.raises(samebytes.InvalidArgumentError, match="strings: 'ascii' is none of binary, utf8"):
            batch.arrow(strings="ascii")


def test_a_closed_batch_and_one_that_was_never_filled_are_refused(batch: samebytes.Batch) -> None:
    exported = batch.arrow()
    batch.close()
    with pytest.raises(samebytes.ClosedError):
        pyarrow.record_batch(exported)
    with pytest.raises(samebytes.ClosedError):
        batch.arrow()
    with samebytes.Batch() as fresh, pytest.raises(samebytes.OutOfRangeError):
        pyarrow.record_batch(fresh)


def test_capsules_that_nobody_reads_free_what_they_hold(batch: samebytes.Batch) -> None:
    for _ in range(3):
        capsules = [batch.__arrow_c_schema__(), *batch.__arrow_c_array__(None), batch.__arrow_c_stream__()]
        assert [repr(capsule).split('"')[1] for capsule in capsules] == [
            "arrow_schema",
            "arrow_schema",
            "arrow_array",
            "arrow_array_stream",
        ]
        capsules.clear()
    with pytest.raises(ValueError, match="no Arrow structure"):
        _objects.arrow_capsule("arrow_device_array")


def test_another_thread_may_read_and_free(batch: samebytes.Batch) -> None:
    found: list[list[object]] = []

    def read(reader: pyarrow.RecordBatchReader) -> None:
        found.append(reader.read_all()["text"].to_pylist())

    thread = threading.Thread(target=read, args=(pyarrow.RecordBatchReader.from_stream(batch.arrow(strings="utf8")),))
    batch.close()
    thread.start()
    thread.join()
    assert found == [["one ä", "", "three"]]


def test_echo_messages_are_read_by_their_names() -> None:
    schema = samebytes.echo_request_schema()
    with samebytes.Parser([schema]) as parser:
        parser.feed(REFERENCE * 3)
        with parser.parse() as batch:
            table = pyarrow.table(batch.arrow(strings="utf8"))
    assert table.drop_columns(HEADS).to_pylist()[2] == {
        "timestamp": 9999,
        "subject": "test",
        "metadata": [1, 2, 3],
        "body": "We have a lot in common",
    }
