"""Schema, Builder, Parser and Batch with Python's values."""

from __future__ import annotations

import array
import pickle
import socket
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import samebytes

ALL_TYPES = [
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


@pytest.fixture
def event() -> Iterator[samebytes.Schema]:
    with samebytes.Schema("Event", "request", 7, ALL_TYPES) as schema:
        yield schema


def frames_of(schema: samebytes.Schema, *messages: list[Any], sequence: int = 0) -> bytes:
    with samebytes.Builder() as builder:
        for values in messages:
            builder.add(schema, sequence, values)
        return bytes(builder)


def ints(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)


VALUES = st.tuples(
    *(ints(bits) for bits in (8, 16, 32, 64)),
    st.binary(max_size=100),
    *(st.lists(ints(bits), max_size=20) for bits in (8, 16, 32, 64)),
    st.lists(st.binary(max_size=20), max_size=10),
)


@settings(max_examples=100, deadline=None)
@given(messages=st.lists(VALUES, max_size=5), cut=st.integers(0, 500))
def test_what_is_built_is_parsed_again(messages: list[tuple[Any, ...]], cut: int) -> None:
    with samebytes.Schema("Event", "request", 7, ALL_TYPES) as schema:
        data = frames_of(schema, *map(list, messages))
        with samebytes.Parser([schema]) as parser:
            parser.feed(data[:cut])
            with parser.parse() as batch:
                rows = batch.rows
            parser.feed(data[cut:])
            with parser.parse() as batch:
                rows += batch.rows
                assert (batch.errors, batch.need()) == ([], 4)
    assert [tuple(row)[2:] for row in rows] == messages


def test_a_schema_tells_what_it_was_made_of(event: samebytes.Schema) -> None:
    assert (event.name(), event.direction(), event.api_key()) == ("Event", samebytes.DIRECTION_REQUEST, 7)
    assert event.fields[4] == ("text", samebytes.TYPE_STRING)
    assert [field.name for field in event.fields] == [name for name, _ in ALL_TYPES]
    with event.retain() as other:
        assert other.fields == event.fields


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Event", "sideways", 0, []), "Event: the direction 'sideways' is unknown; it is one of: request, response"),
        (("Event", "request", 0, [("a", "float")]), "Event.a: the type 'float' is unknown; it is one of: int8, "),
        (("Event", 7, 0, []), "Event"),
        (("Event", "request", 0, [("a", 99)]), "a"),
        (("Event", "request", 0, [("a", "int8"), ("a", "int8")]), "a"),
        (("9", "request", 0, []), "a message's name"),
    ],
)
def test_a_wrong_schema_is_refused_by_name(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(samebytes.InvalidArgumentError) as caught:
        samebytes.Schema(*arguments)
    assert words in str(caught.value)


def test_a_field_must_be_a_pair() -> None:
    for fields in (["name"], [("a", "int8", 0)], "ab", None, 5):
        with pytest.raises(TypeError, match="fields"):
            samebytes.Schema("Event", "request", 0, fields)  # type: ignore[arg-type]


def test_values_of_many_kinds_are_taken(event: samebytes.Schema) -> None:
    plain = [1, 2, 3, 4, b"text", [1], [2], [3], [4], [b"a", b""]]
    others: list[Any] = [
        numpy.int8(1),
        True + 1,
        3,
        4,
        bytearray(b"text"),
        array.array("b", [1]),
        numpy.array([2], dtype="i2"),
        range(3, 4),
        (4,),
        (memoryview(b"a"), bytearray()),
    ]
    assert frames_of(event, others) == frames_of(event, plain)


WRONG = [
    (0, "1", TypeError, "i8: an integer is needed, not str"),
    (0, 128, samebytes.OutOfRangeError, "i8"),
    (3, 1 << 63, samebytes.OutOfRangeError, "i64: 9223372036854775808 is not from"),
    (4, "text", TypeError, "text: a bytes-like object is needed, not str; encode the text"),
    (4, None, TypeError, "text: a bytes-like object is needed, not NoneType"),
    (4, 5, TypeError, "text: a bytes-like object is needed, not int"),
    (5, [128], samebytes.OutOfRangeError, r"a8\[0\]: 128 is not from -128 to 127"),
    (6, b"ab", TypeError, "a16: a sequence is needed, not bytes"),
    (6, 5, TypeError, "a16: a sequence is needed, not int"),
    (7, ["1"], TypeError, "a32: integers are needed"),
    (6, [0] * 32768, samebytes.TooLargeError, "a16"),
    (9, [b"a", "b"], TypeError, r"texts\[1\]: a bytes-like object is needed, not str; encode the text"),
    (9, "ab", TypeError, "texts: a sequence is needed, not str"),
]


@pytest.mark.parametrize(("index", "value", "kind", "words"), WRONG)
def test_a_wrong_value_is_refused_by_its_field(
    event: samebytes.Schema, index: int, value: Any, kind: type[Exception], words: str
) -> None:
    values: list[Any] = [0, 0, 0, 0, b"", [], [], [], [], []]
    values[index] = value
    with samebytes.Builder() as builder:
        with pytest.raises(kind, match=words):
            builder.add(event, 0, values)
        assert (builder.size(), builder.frame_count()) == (0, 0)


def test_the_number_of_values_is_that_of_the_fields(event: samebytes.Schema) -> None:
    with samebytes.Builder() as builder:
        for values in ([], [1] * 11):
            with pytest.raises(
                samebytes.InvalidArgumentError, match=f"Event has 10 fields, but there are {len(values)}"
            ):
                builder.add(event, 0, values)
        with pytest.raises(TypeError, match="schema: a Schema is needed, not str"):
            builder.add("Event", 0, [])  # type: ignore[arg-type]


def test_no_lock_stays_on_what_was_added(event: samebytes.Schema) -> None:
    text, numbers = bytearray(b"text"), array.array("h", [1, 2])
    frames_of(event, [0, 0, 0, 0, text, [], numbers, [], [], [text]])
    text.extend(b"more")
    numbers.append(3)


def test_frames_leave_a_builder_in_three_ways(event: samebytes.Schema) -> None:
    values = [1, 2, 3, 4, b"text", [], [], [], [], []]
    with samebytes.Builder() as builder:
        builder.add(event, -128, values)
        builder.add(event, 127, values)
        whole = bytes(builder)
        assert (len(builder), builder.frame_count()) == (len(whole), 2)
        room = bytearray(len(whole))
        builder.copy_bytes(room)
        with pytest.raises(samebytes.OutOfRangeError):
            builder.copy_bytes(bytearray(3))
        with builder.take() as view:
            assert bytes(view) == room == whole
        assert builder.frame_count() == 0


@pytest.fixture
def small() -> Iterator[samebytes.Schema]:
    with samebytes.Schema(
        "Small", "request", 1, [("number", "int16"), ("texts", "array<string>"), ("body", "string")]
    ) as s:
        yield s


def rows_of(schema: samebytes.Schema, data: bytes) -> list[samebytes.Message]:
    with samebytes.Parser([schema]) as parser:
        parser.feed(data)
        with parser.parse() as batch:
            return batch.rows


def test_rows_are_values_of_python(small: samebytes.Schema) -> None:
    data = frames_of(small, [5, [b"a", b"b"], b"body"], [6, [], b""], sequence=-3)
    first, second = rows_of(small, data)
    assert (first.api_key, first.sequence, first.stream_offset) == (1, -3, 0)
    assert (first.number, first.texts, first.body) == (5, [b"a", b"b"], b"body")
    api_key, sequence, number, texts, body = first
    assert (api_key, sequence, number, texts, body) == (1, -3, 5, [b"a", b"b"], b"body")
    assert (len(first), first.fields()) == (5, {"number": 5, "texts": [b"a", b"b"], "body": b"body"})
    assert repr(first) == "Small(api_key=1, sequence=-3, number=5, texts=[b'a', b'b'], body=b'body')"
    assert second.stream_offset == len(frames_of(small, [5, [b"a", b"b"], b"body"]))
    first.texts.append(b"changed")
    assert first.texts == [b"a", b"b"]
    with pytest.raises(AttributeError, match="Small has no field 'subject'; it has: number, texts, body"):
        first.subject  # noqa: B018
    with pytest.raises(AttributeError):
        first.number = 7


def test_rows_are_compared_by_what_they_say(small: samebytes.Schema) -> None:
    a, b, c = rows_of(small, frames_of(small, [5, [b"a"], b""], [5, [b"a"], b""], [5, [], b""]))
    assert a == b != c
    assert a.stream_offset != b.stream_offset
    assert len({a, b, c}) == 2
    assert a != tuple(a)
    again = pickle.loads(pickle.dumps(a))
    assert again == a
    assert (again.stream_offset, again.number) == (a.stream_offset, 5)


def test_a_field_with_a_name_of_the_row_is_in_fields() -> None:
    with samebytes.Schema("Odd", "request", 0, [("fields", "int8"), ("sequence", "int8"), ("class", "int8")]) as odd:
        (row,) = rows_of(odd, frames_of(odd, [1, 2, 3], sequence=9))
    assert row.fields() == {"fields": 1, "sequence": 2, "class": 3}
    assert (row.sequence, getattr(row, "class")) == (9, 3)


def test_messages_of_several_schemas_come_in_one_batch(small: samebytes.Schema, event: samebytes.Schema) -> None:
    data = frames_of(event, [1, 2, 3, 4, b"", [], [], [], [], []]) + frames_of(small, [1, [], b""])
    with samebytes.Parser([small, event]) as parser, samebytes.Batch() as batch:
        parser.feed(data)
        assert parser.parse(batch) is batch
        assert [row.schema_name for row in batch] == ["Event", "Small"]
        assert [row.schema_index for row in batch.get_rows()] == [1, 0]
        with batch.get_frame(1) as frame, batch.get_schema(0) as schema:
            assert bytes(frame) == frames_of(small, [1, [], b""])
            assert schema.name() == "Small"
        batch.clear()
        assert (len(batch), batch.rows, batch.errors) == (0, [], [])


def test_rows_and_frames_outlive_their_batch(small: samebytes.Schema) -> None:
    with samebytes.Parser([small]) as parser:
        parser.feed(frames_of(small, [1, [b"x"], b"body"]))
        batch = parser.parse()
        rows, frame = batch.rows, batch.get_frame(0)
        batch.close()
        with pytest.raises(samebytes.ClosedError):
            batch.rows  # noqa: B018
        assert (rows[0].body, frame[-4:] == b"body") == (b"body", True)
        frame.close()


def test_values_that_were_read_are_added_as_they_are(small: samebytes.Schema, layer: ModuleType) -> None:
    data = frames_of(small, [5, [b"a", b"bc"], b"body"])
    with samebytes.Parser([small]) as parser, samebytes.Builder() as builder:
        parser.feed(data)
        with parser.parse() as batch:
            values = layer.sb_batch_get_values(batch.address, 0)
            assert values[0] == samebytes.Value(5, 0, 0)
            layer.sb_builder_add(builder.address, small.address, 0, values)
        assert bytes(builder) == data


def test_a_batch_is_used_again(small: samebytes.Schema) -> None:
    with samebytes.Parser([small]) as parser, samebytes.Batch() as batch:
        for number in range(5):
            parser.feed(frames_of(small, [number, [], b""]))
            assert [row.number for row in parser.parse(batch).rows] == [number]


def test_batches_exchange_their_contents(small: samebytes.Schema, event: samebytes.Schema) -> None:
    with samebytes.Parser([small]) as parser, samebytes.Batch() as batch, samebytes.Batch() as other:
        parser.feed(frames_of(small, [1, [b"a"], b"one"]))
        parser.parse(batch)
        batch.swap(other)
        assert (len(batch), batch.rows, [row.body for row in other.rows]) == (0, [], [b"one"])
        parser.feed(frames_of(small, [2, [], b"two"]))
        parser.parse(batch)
        batch.swap(batch)
        assert [row.body for row in (*other.rows, *batch.rows)] == [b"one", b"two"]
        assert bytes(other.column("body"))[-3:] == b"one"
        column = other.column("number")
        for one, another in ((batch, other), (other, batch)):
            with pytest.raises(samebytes.BusyError):
                one.swap(another)
        del column
        with pytest.raises(TypeError, match="other: a Batch is needed, not int"):
            batch.swap(5)  # type: ignore[arg-type]


BAD_SIZE = b"\xff\xff\xff\xff"
UNKNOWN = b"\0\0\0\2\x63\0"


def test_what_is_refused_is_in_the_errors_and_parsing_goes_on(small: samebytes.Schema) -> None:
    good = frames_of(small, [1, [], b""])
    with samebytes.Parser([small]) as parser:
        parser.feed(good + UNKNOWN + good)
        with parser.parse() as batch:
            assert [row.stream_offset for row in batch.rows] == [0, len(good) + len(UNKNOWN)]
            (error,) = batch.errors
    assert (error.status, error.frame, error.stream_offset) == (samebytes.UNKNOWN_API_KEY, 1, len(good) + 4)


def test_the_end_of_a_stream_is_raised_after_its_good_rows(small: samebytes.Schema) -> None:
    good = frames_of(small, [1, [], b""])
    with samebytes.Parser([small]) as parser:
        parser.feed(good + BAD_SIZE)
        with parser.parse() as batch:
            assert len(batch.rows) == len(batch.errors) == 1
        assert parser.end() == samebytes.CORRUPT
        uses = [parser.parse, lambda: parser.feed(b"x"), parser.buffer, lambda: parser.commit(1)]
        uses += [lambda: parser.position(10), lambda: parser.receive(b"abc", 1)]
        for use in uses:
            with pytest.raises(samebytes.CorruptError) as caught:
                use()
            error = caught.value
            assert (error.frame, error.stream_offset, error.frame_offset) == (1, len(good), 0)
            assert error.message == batch_error_message(small)


def batch_error_message(schema: samebytes.Schema) -> str:
    with samebytes.Parser([schema]) as parser, samebytes.Batch() as batch:
        parser.feed(BAD_SIZE)
        with pytest.raises(samebytes.CorruptError):
            parser.parse(batch)
        return batch.errors[0].message


def test_the_end_of_a_stream_without_rows_is_raised_at_once(small: samebytes.Schema) -> None:
    with samebytes.Parser([small]) as parser, samebytes.Batch() as batch:
        parser.feed(UNKNOWN + BAD_SIZE)
        with pytest.raises(samebytes.CorruptError) as caught:
            parser.parse(batch)
        assert caught.value.stream_offset == len(UNKNOWN)
        assert [error.status for error in batch.errors] == [samebytes.UNKNOWN_API_KEY, samebytes.CORRUPT]
        with pytest.raises(samebytes.CorruptError):
            parser.parse(batch)
        assert batch.errors == []


def test_a_size_above_the_limit_ends_the_stream(small: samebytes.Schema) -> None:
    with samebytes.Parser([small], max_frame_size=10) as parser:
        parser.feed(b"\0\0\0\x0b")
        with pytest.raises(samebytes.TooLargeError):
            parser.parse()


def test_extra_bytes_are_accepted_on_request(small: samebytes.Schema) -> None:
    good = bytearray(frames_of(small, [1, [], b""]) + b"extra")
    good[3] += 5
    with samebytes.Parser([small]) as strict, samebytes.Parser([small], accept_extra=True) as lenient:
        for parser, counts in ((strict, (0, 1)), (lenient, (1, 0))):
            parser.feed(good)
            with parser.parse() as batch:
                assert (len(batch.rows), len(batch.errors)) == counts


def test_bytes_are_received_into_lent_memory(small: samebytes.Schema) -> None:
    data = frames_of(small, *([i, [], b"x" * i] for i in range(300)))
    left, right = socket.socketpair()
    rows: list[samebytes.Message] = []
    with left, right, samebytes.Parser([small]) as parser, samebytes.Batch() as batch:
        left.sendall(data)
        left.close()
        while count := right.recv_into(parser.buffer()):
            parser.commit(count)
            rows += parser.parse(batch).rows
    assert [row.number for row in rows] == list(range(300))


def test_lent_memory_in_use_makes_the_parser_busy(small: samebytes.Schema) -> None:
    with samebytes.Parser([small]) as parser:
        part = parser.buffer()[:4]
        for call in (lambda: parser.commit(4), lambda: parser.feed(b""), parser.parse, parser.close):
            with pytest.raises(samebytes.BusyError):
                call()
        part[:] = UNKNOWN[:4]
        part.release()
        parser.commit(4)
        with parser.parse() as batch:
            assert batch.need() == 2
        with pytest.raises(samebytes.OutOfRangeError):
            parser.commit(1)


@pytest.mark.parametrize(("position", "start"), [(0, 0), (10, 10), (-40, 24)])
def test_bytes_are_received_from_a_buffer_of_the_caller(small: samebytes.Schema, position: int, start: int) -> None:
    data = frames_of(small, [1, [], b"caller"])
    buffer = bytearray(64)
    buffer[start : start + len(data)] = data
    with samebytes.Parser([small], receive_position=position) as parser:
        assert parser.position(len(buffer)) % len(buffer) == start
        parser.receive(buffer, len(data))
        with parser.parse() as batch:
            assert batch.rows[0].body == b"caller"


def test_memory_comes_from_the_provider_that_was_named(small: samebytes.Schema) -> None:
    data = frames_of(small, [1, [], b"x" * 1000])
    with samebytes.Memory.open_tracing() as memory:
        with samebytes.Builder(memory) as builder, samebytes.Parser([small], memory=memory) as parser:
            builder.add(small, 0, [1, [], b"x" * 1000])
            parser.feed(data)
            with parser.parse():
                assert memory.get_stats().reserves >= 2
                assert memory.get_stats().live_bytes > 0
        stats = memory.get_stats()
        assert stats.reserves == stats.releases
        memory.fail_reserve(1)
        with samebytes.Builder(memory) as builder, pytest.raises(samebytes.NoMemoryError):
            builder.add(small, 0, [1, [], b"x" * 1000])


def test_a_parser_refuses_what_is_no_schema_or_batch(small: samebytes.Schema) -> None:
    with pytest.raises(samebytes.InvalidArgumentError):
        samebytes.Parser([])
    with pytest.raises(samebytes.InvalidArgumentError):
        samebytes.Parser([small, small])
    with samebytes.Parser([small]) as parser, pytest.raises(TypeError, match="batch: a Batch is needed, not list"):
        parser.parse([])  # type: ignore[arg-type]
