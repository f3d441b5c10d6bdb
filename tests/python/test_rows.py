"""Rows: messages that were read, as objects that show memory of the library."""

from __future__ import annotations

import copy
import gc
import operator
import pickle
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import samebytes

from .peers import reference

FIELDS = [("number", "int64"), ("text", "string"), ("items", "array<int32>"), ("texts", "array<string>")]
VALUES = [(1, b"one", [1, -70000], [b"a", b""]), (-2, b"", [], []), (3, b"x" * 300, [5], [b"bcd"])]


@samebytes.message(direction="request", api_key=1)
class Declared:
    number: samebytes.int64
    text: samebytes.string = b""


@pytest.fixture
def schema() -> Iterator[samebytes.Schema]:
    with samebytes.Schema("Every", "request", 1, FIELDS) as made:
        yield made


def frames_of(schema: samebytes.Schema, rows: Any) -> bytes:
    with samebytes.Builder() as builder:
        builder.add_rows(schema, [index % 128 for index in range(len(rows))], rows)
        return bytes(builder)


def rows_of(schema: samebytes.Schema, rows: Any = VALUES) -> list[samebytes.Message]:
    with samebytes.Parser([schema]) as parser:
        parser.feed(frames_of(schema, rows))
        with parser.parse() as batch:
            return batch.rows


def test_rows_stay_when_their_batch_is_used_again_cleared_swapped_or_closed(schema: samebytes.Schema) -> None:
    data = frames_of(schema, VALUES)
    kept: list[list[samebytes.Message]] = []
    with samebytes.Parser([schema]) as parser, samebytes.Batch() as other:
        batch = samebytes.Batch()
        for use in (None, batch.clear, lambda: batch.swap(other), lambda: other.swap(batch), None, batch.close):
            parser.feed(data)
            kept.append(parser.parse(batch).rows)
            if use is not None:
                use()
        forgotten = samebytes.Batch()
        parser.feed(data)
        kept.append(parser.parse(forgotten).rows)
        del forgotten
    gc.collect()
    for rows in kept:
        assert [tuple(row)[2:] for row in rows] == VALUES
    assert [rows[0].stream_offset for rows in kept] == [index * len(data) for index in range(7)]


def test_rows_of_one_batch_are_made_as_often_as_they_are_asked_for(schema: samebytes.Schema) -> None:
    with samebytes.Parser([schema]) as parser, samebytes.Batch() as batch:
        parser.feed(frames_of(schema, VALUES))
        parser.parse(batch)
        first, second = batch.rows, batch.rows
        assert first == second and first is not second
        assert batch.column("number").tolist() == [1, -2, 3]
        del first
        batch.clear()
        assert second[2].texts == [b"bcd"]


def test_memory_goes_with_the_last_row(schema: samebytes.Schema) -> None:
    before = samebytes.memory_live_blocks()
    rows = rows_of(schema)
    assert samebytes.memory_live_blocks() == before + 1
    last = rows.pop()
    del rows
    assert samebytes.memory_live_blocks() == before + 1 and last.number == 3
    own = copy.copy(last)
    del last
    assert samebytes.memory_live_blocks() == before
    assert tuple(own)[2:] == VALUES[2]


def test_rows_can_form_no_cycle_and_are_none_of_the_collectors(schema: samebytes.Schema) -> None:
    with samebytes.schema_of(Declared) as declared:
        for row in (rows_of(schema)[0], rows_of(declared, [(1, b"text")])[0]):
            assert not gc.is_tracked(row)
            for name in ("number", "sequence", "other"):
                with pytest.raises(AttributeError, match="cannot be changed"):
                    setattr(row, name, row)
                with pytest.raises(AttributeError, match="cannot be changed"):
                    delattr(row, name)
            vars_of = getattr(row, "__dict__", {})
            vars_of["row"] = row
            assert "row" not in getattr(row, "__dict__", {})


def test_many_rows_come_and_go(schema: samebytes.Schema) -> None:
    """More than are kept for reuse, in batches that are kept and dropped in turns."""
    kept: list[Any] = []
    with samebytes.Parser([schema]) as parser, samebytes.Batch() as batch:
        for size in (1, 5000, 20000, 3, 5000):
            parser.feed(frames_of(schema, [VALUES[i % 3] for i in range(size)]))
            kept.append(parser.parse(batch).rows)
            kept = kept[-2:]
            for rows in kept:
                assert tuple(rows[-1])[2:] == VALUES[(len(rows) - 1) % 3]


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_arrays_of_any_length_are_lists_of_their_own(bits: int) -> None:
    """Long ones are made another way than short ones."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    arrays = [([low, high, -1, 0] * 300)[:length] for length in (0, 1, 31, 32, 33, 1000)]
    with samebytes.Schema("Arrays", "request", 1, [("items", f"array<int{bits}>")]) as schema:
        rows = rows_of(schema, [(array,) for array in arrays])
    for row, array in zip(rows, arrays, strict=True):
        first = row.items
        assert type(first) is list and first == array == row.items and first is not row.items
        first.append(0)
        assert row.items == array


def test_rows_of_several_shapes_share_what_is_free() -> None:
    """Rows of plain classes, with more fields and fewer, and of a declared class, which has room for a __dict__, come and go in turns."""
    fields: list[list[tuple[str, str]]] = [[("a", "int8")], [("a", "string"), ("b", "int64")], []]
    schemas = [samebytes.Schema(f"S{key}", "request", key, given) for key, given in enumerate(fields, 2)]
    schemas.append(samebytes.schema_of(Declared))
    values: list[tuple[Any, ...]] = [(1,), (b"x", 2), (), (3, b"y")]
    with samebytes.Builder() as builder:
        for _ in range(700):
            for schema, row in zip(schemas, values, strict=True):
                builder.add_rows(schema, [0], [row])
        stream = bytes(builder)
    with samebytes.Parser(schemas) as parser:
        for _ in range(3):
            parser.feed(stream)
            rows = parser.parse().rows
            assert [row._values() for row in rows] == values * 700
            assert len({id(row) for row in rows}) == 2800 and not any(map(gc.is_tracked, rows))
            del rows[::3]
            assert {row._values() for row in rows} == set(values)


def test_rows_match_by_their_fields(schema: samebytes.Schema) -> None:
    row = rows_of(schema)[0]
    assert type(row).__match_args__ == ("number", "text", "items", "texts")  # type: ignore[attr-defined]
    match row:
        case samebytes.Message(number=1, texts=[first, _]):
            assert first == b"a"
        case _:
            pytest.fail("it matches")


def test_rows_are_copied_and_pickled_to_rows_of_their_own(schema: samebytes.Schema) -> None:
    with samebytes.schema_of(Declared) as declared:
        for row in (*rows_of(schema), *rows_of(declared, [(-5, b"text")])):
            for again in (
                copy.copy(row),
                copy.deepcopy(row),
                *(pickle.loads(pickle.dumps(row, version)) for version in range(pickle.HIGHEST_PROTOCOL + 1)),
            ):
                assert again == row and again is not row and type(again) is type(row)
                assert (again.sequence, again.api_key, again.stream_offset) == (
                    row.sequence,
                    row.api_key,
                    row.stream_offset,
                )
                assert repr(again) == repr(row)


def test_rows_are_compared_by_all_they_say(schema: samebytes.Schema) -> None:
    with samebytes.Schema("Other", "request", 1, FIELDS) as other:
        one = rows_of(schema)[0]
        same = rows_of(schema)[0]
        assert operator.eq(one, same) and not operator.ne(one, same) and hash(one) == hash(same)
        different = [
            (2, *VALUES[0][1:]),
            (1, b"two", *VALUES[0][2:]),
            (*VALUES[0][:2], [1, -70001], VALUES[0][3]),
            (*VALUES[0][:3], [b"a", b"", b""]),
            (*VALUES[0][:3], [b"", b"a"]),
        ]
        for values in different:
            assert one != rows_of(schema, [values])[0]
        assert one != rows_of(other)[0]
        assert one != rows_of(schema, [VALUES[1], VALUES[0]])[1], "sequences differ"
        assert one != VALUES[0] and one != None  # noqa: E711
        with pytest.raises(TypeError, match="not supported"):
            one < same  # type: ignore[operator]  # noqa: B015


def test_rows_are_not_made_by_calling_their_class(schema: samebytes.Schema) -> None:
    with samebytes.schema_of(Declared) as declared:
        for row in (rows_of(schema)[0], rows_of(declared, [(1, b"")])[0]):
            with pytest.raises(TypeError, match="parsers make messages"):
                type(row)()
            with pytest.raises(TypeError, match="not safe"):
                object.__new__(type(row))
    with pytest.raises(TypeError, match="parsers make messages"):
        samebytes.Message()


def test_names_that_are_made_when_they_are_needed_are_found(schema: samebytes.Schema) -> None:
    row = rows_of(schema)[0]
    for name, value in zip(("number", "text", "items", "texts"), VALUES[0]):
        assert getattr(row, "".join(list(name))) == value
        assert name in dir(row)
    with pytest.raises(AttributeError, match=r"Every has no field '\w+'; it has: number, text, items, texts"):
        row.missing  # noqa: B018
    assert not hasattr(row, "__dict__")
    with pytest.raises(TypeError):
        weakref.ref(row)


def test_messages_with_many_fields_and_none() -> None:
    fields = [(f"f{index}", "int16") for index in range(256)]
    with samebytes.Schema("Many", "request", 1, fields) as many, samebytes.Schema("None_", "request", 2, []) as none:
        (row,) = rows_of(many, [list(range(256))])
        assert [getattr(row, f"f{index}") for index in range(256)] == list(range(256))
        (row,) = rows_of(none, [()])
        assert (list(row), row.fields(), len(row)) == ([2, 0], {}, 2)
        with pytest.raises(AttributeError, match="None_ has no field 'x'; it has: none"):
            row.x  # noqa: B018


def test_rows_are_added_as_they_are(schema: samebytes.Schema) -> None:
    data = frames_of(schema, VALUES)
    rows = rows_of(schema)
    assert frames_of(schema, rows) == frames_of(schema, [tuple(row)[2:] for row in rows]) == data
    assert frames_of(schema, [row.fields() for row in rows]) == data
    with samebytes.Builder() as builder:
        for row in rows:
            builder.add(schema, row.sequence, row)
        assert bytes(builder) == data
    with samebytes.Schema("Same", "response", 9, [(f"f{i}", kind) for i, (_, kind) in enumerate(FIELDS)]) as renamed:
        assert [tuple(row)[2:] for row in rows_of(renamed, rows)] == VALUES


# ---- rows, columns and the independent codec say the same ----

KINDS: dict[str, st.SearchStrategy[Any]] = {
    **{f"int{bits}": st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32, 64)},
    "string": st.binary(max_size=30),
}
KINDS |= {f"array<{name}>": st.lists(items, max_size=6) for name, items in KINDS.items()}


def column_values(batch: samebytes.Batch, name: str, kind: str, schema: int = 0) -> list[Any]:
    """The values of a field, put together from the parts of its column."""

    def part(which: str) -> list[int]:
        return batch.column(name, which, schema).tolist()

    values = batch.column(name, schema=schema)
    if kind.startswith("int"):
        return values.tolist()
    places = list(zip(part("offsets"), part("lengths")))
    if kind == "string":
        return [bytes(values[at : at + size]) for at, size in places]
    items: list[Any]
    if kind == "array<string>":
        item_places = zip(part("item_offsets"), part("item_lengths"))
        items = [bytes(values[at : at + size]) for at, size in item_places]
    else:
        items = values.tolist()
    return [items[at : at + size] for at, size in places]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.lists(st.sampled_from(sorted(KINDS)), max_size=8), st.integers(-128, 127), st.integers(1, 200))
def test_random_schemas_by_rows_columns_and_the_independent_codec(
    data: st.DataObject, kinds: list[str], api_key: int, chunk: int
) -> None:
    fields = [(f"f{index}", kind) for index, kind in enumerate(kinds)]
    values = data.draw(st.lists(st.tuples(*(KINDS[kind] for kind in kinds)), max_size=6))
    sequences = data.draw(st.lists(st.integers(-128, 127), min_size=len(values), max_size=len(values)))
    same = reference.Schema("Any", "request", api_key, tuple(reference.Field(*field) for field in fields))
    frames = b"".join(reference.encode(same, *pair) for pair in zip(sequences, values))
    with samebytes.Schema("Any", "request", api_key, fields) as schema, samebytes.Parser([schema]) as parser:
        with samebytes.Builder() as singly, samebytes.Builder() as rowwise, samebytes.Builder() as by_column:
            for sequence, row in zip(sequences, values):
                singly.add(schema, sequence, row)
            rowwise.add_rows(schema, sequences, values)
            by_column.add_columns(schema, sequences, zip(*values) if values else [()] * len(kinds))
            assert bytes(singly) == bytes(rowwise) == bytes(by_column) == frames
        for at in range(0, len(frames), chunk):
            parser.feed(frames[at : at + chunk])
        with parser.parse() as batch:
            rows = batch.rows
            columns = [column_values(batch, *field) for field in fields]
            assert batch.column("sequence").tolist() == sequences
            assert batch.column("stream_offset").tolist() == [row.stream_offset for row in rows]
            with samebytes.Builder() as again:
                again.add_rows(schema, batch.column("sequence"), rows)
                assert bytes(again) == frames
    assert [row.sequence for row in rows] == sequences
    assert [tuple(row)[2:] for row in rows] == values
    assert [list(column) for column in columns] == [[row[index] for row in values] for index in range(len(kinds))]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(st.lists(st.sampled_from(sorted(KINDS)), max_size=4), min_size=1, max_size=4))
def test_random_schemas_mixed_in_one_stream_by_rows_and_columns(data: st.DataObject, shapes: list[list[str]]) -> None:
    fields = [[(f"f{index}", kind) for index, kind in enumerate(kinds)] for kinds in shapes]
    chosen = data.draw(st.lists(st.integers(0, len(shapes) - 1), max_size=10))
    values = [data.draw(st.tuples(*(KINDS[kind] for kind in shapes[which]))) for which in chosen]
    same = [
        reference.Schema(f"S{index}", "request", index, tuple(reference.Field(*field) for field in each))
        for index, each in enumerate(fields)
    ]
    frames = [reference.encode(same[which], at, row) for at, (which, row) in enumerate(zip(chosen, values))]
    schemas = [samebytes.Schema(f"S{index}", "request", index, each) for index, each in enumerate(fields)]
    with samebytes.Parser(schemas) as parser:
        parser.feed(b"".join(frames))
        with parser.parse() as batch:
            for index, schema in enumerate(schemas):
                own = [at for at, which in enumerate(chosen) if which == index]
                assert batch.column("row", schema=index).tolist() == own
                assert [tuple(batch.rows[at])[2:] for at in own] == [values[at] for at in own]
                for number, field in enumerate(fields[index]):
                    assert column_values(batch, *field, schema=index) == [values[at][number] for at in own]
                with samebytes.Builder() as again:
                    again.add_columns(schema, batch.column("sequence", schema=index), batch.columns(index).values())
                    assert bytes(again) == b"".join(frames[at] for at in own)
    for schema in schemas:
        schema.close()
