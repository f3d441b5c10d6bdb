"""Many messages in one call of a builder, from columns and from rows."""

from __future__ import annotations

from array import array
from typing import Any

import numpy
import pytest

import samebytes

FIELDS = [
    ("i16", "int16"),
    ("i64", "int64"),
    ("text", "string"),
    ("a16", "array<int16>"),
    ("texts", "array<string>"),
]
SEQUENCES = [1, -2, 3]
ROWS: list[tuple[Any, ...]] = [
    (300, 1 << 60, b"one", [1, -2], [b"a", b""]),
    (0, 0, b"", [], []),
    (-32768, -(1 << 63), bytearray(b"three"), (3,), (memoryview(b"bcd"),)),
]


def schema() -> samebytes.Schema:
    return samebytes.Schema("Every", "request", 1, FIELDS)


def singly() -> bytes:
    with samebytes.Builder() as builder, schema() as every:
        for sequence, row in zip(SEQUENCES, ROWS):
            builder.add(every, sequence, row)
        return bytes(builder)


def test_columns_and_rows_give_the_bytes_of_single_messages() -> None:
    with samebytes.Builder() as columns, samebytes.Builder() as rows, schema() as every:
        columns.add_columns(every, SEQUENCES, zip(*ROWS))
        rows.add_rows(every, array("b", SEQUENCES), iter(ROWS))
        assert bytes(columns) == bytes(rows) == singly()
        assert columns.frame_count() == 3
        rows.add_rows(every, [], [])
        assert rows.frame_count() == 3


def test_several_calls_add_all_or_none() -> None:
    with samebytes.Builder() as builder, schema() as every:
        builder.add_rows(every, SEQUENCES, ROWS)
        before = builder.size(), builder.frame_count()
        builder.add_rows(every, SEQUENCES, ROWS)
        with pytest.raises(samebytes.OutOfRangeError):
            builder.add(every, 1, (40000, *ROWS[0][1:]))
        builder.truncate(*before)
        assert bytes(builder) == singly()
        for wrong in ((before[0] + 1, 3), (before[0], 4), (1, 0), (0, 1)):
            with pytest.raises(samebytes.OutOfRangeError):
                builder.truncate(*wrong)
        assert bytes(builder) == singly()


def test_buffers_of_integers_are_columns() -> None:
    rest = [[row[index] for row in ROWS] for index in (2, 3, 4)]
    for numbers in (numpy.array([300, 0, -32768]), numpy.array([300, 0, -32768], "i2"), array("h", [300, 0, -32768])):
        with samebytes.Builder() as builder, schema() as every:
            builder.add_columns(every, numpy.array(SEQUENCES, "i1"), [numbers, [1 << 60, 0, -(1 << 63)], *rest])
            assert bytes(builder) == singly()
    strided = numpy.array([300, 9, 0, 9, -32768, 9], "i2")[::2]
    with samebytes.Builder() as builder, schema() as every:
        builder.add_columns(every, SEQUENCES, [strided, [1 << 60, 0, -(1 << 63)], *rest])
        assert bytes(builder) == singly()


def test_the_parts_of_a_batch_go_into_a_builder() -> None:
    with schema() as every, samebytes.Parser([every]) as parser, samebytes.Builder() as builder:
        parser.feed(singly())
        with parser.parse() as batch:
            columns = [batch.column("i16"), batch.column("i64")]
            for name in ("text", "a16"):
                parts = (batch.column(name, part) for part in ("values", "offsets", "lengths"))
                columns.append(samebytes.Column(*parts))
            parts = (
                batch.column("texts", part) for part in ("values", "offsets", "lengths", "item_offsets", "item_lengths")
            )
            columns.append(samebytes.Column(*parts))
            builder.add_columns(every, batch.column("sequence"), columns)
            assert bytes(builder) == singly()
            del columns, parts


def test_what_does_not_fit_is_refused_by_message_and_field() -> None:
    with samebytes.Builder() as builder, schema() as every:
        builder.add_rows(every, SEQUENCES, ROWS)
        wrong = [*ROWS[:2], (40000, *ROWS[2][1:])]
        with pytest.raises(samebytes.OutOfRangeError, match="message 5 \\(Every\\), field i16: 40000") as raised:
            builder.add_rows(every, SEQUENCES, wrong)
        assert (raised.value.frame, raised.value.field) == (5, "i16")
        assert isinstance(raised.value, OverflowError)
        wrong = [*ROWS[:2], (*ROWS[2][:3], [0] * 32768, [])]
        with pytest.raises(samebytes.TooLargeError, match="message 5 \\(Every\\), field a16: an array of 32768 items"):
            builder.add_rows(every, SEQUENCES, wrong)
        wrong = [*ROWS[:2], (0, 0, "text", [], [])]
        with pytest.raises(TypeError, match=r"text\[2\]: a bytes-like object is needed, not str; encode the text"):
            builder.add_rows(every, SEQUENCES, wrong)
        wrong = [*ROWS[:2], (0, 0, b"", [0, 32768], [])]
        with pytest.raises(samebytes.OutOfRangeError, match=r"a16\[2\]\[1\]: 32768 is not from"):
            builder.add_rows(every, SEQUENCES, wrong)
        wrong = [*ROWS[:2], (0, 0, b"", [], [b"", "text"])]
        with pytest.raises(TypeError, match=r"texts\[2\]\[1\]: a bytes-like object is needed, not str"):
            builder.add_rows(every, SEQUENCES, wrong)
        text = samebytes.Column(b"abc", offsets=[0, 2, 4], lengths=[1, 1, 1])
        with pytest.raises(
            samebytes.OutOfRangeError, match="message 5 .*field text: offset 4 and length 1 are not within"
        ):
            builder.add_columns(every, SEQUENCES, [[1] * 3, [1] * 3, text, [()] * 3, [()] * 3])
        assert bytes(builder) == singly()


def test_counts_that_differ_are_refused() -> None:
    with samebytes.Builder() as builder, schema() as every:
        with pytest.raises(samebytes.InvalidArgumentError, match="Every has 5 fields, but there are 2 columns"):
            builder.add_columns(every, SEQUENCES, [[], []])
        with pytest.raises(
            samebytes.InvalidArgumentError, match=r"rows\[1\]: Every has 5 fields, but there are 2 values"
        ):
            builder.add_rows(every, SEQUENCES, [ROWS[0], (1, 2)])
        with pytest.raises(samebytes.InvalidArgumentError, match="2 sequences for 3 rows"):
            builder.add_rows(every, [1, 2], ROWS)
        with pytest.raises(samebytes.InvalidArgumentError, match="field text: 2 lengths for 3 messages"):
            builder.add_columns(every, SEQUENCES, [[1] * 3, [1] * 3, [b"a", b"b"], [()] * 3, [()] * 3])
        with pytest.raises(TypeError, match="schema: a Schema is needed"):
            builder.add_columns(None, SEQUENCES, [])  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="schema: a Schema is needed"):
            builder.add_rows(None, SEQUENCES, [])  # type: ignore[arg-type]
        assert builder.size() == 0
