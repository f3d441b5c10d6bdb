"""Schemas from classes: samebytes.message and samebytes.schema_of."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import samebytes

from . import peers
from .conftest import REFERENCE
from .peers import reference


@samebytes.message(direction="request", api_key=0)
class EchoRequest:
    """A class of this test."""

    made_for: ClassVar[str] = "the test"

    timestamp: samebytes.int64
    subject: samebytes.string = b""
    metadata: samebytes.array[samebytes.int16] = ()
    body: samebytes.string = b""

    def shout(self) -> bytes:
        return self.subject.upper()


@samebytes.message(direction="response", api_key=-7)
class Every:
    a: samebytes.int8
    b: samebytes.int16
    c: samebytes.int32
    d: samebytes.array[samebytes.int8]
    e: samebytes.array[samebytes.int32]
    f: samebytes.array[samebytes.int64]
    g: samebytes.array[samebytes.string]


WANTED = EchoRequest(9999, b"test", [1, 2, 3], b"We have a lot in common")


def parsed(cls: type, data: bytes) -> list[Any]:
    with samebytes.schema_of(cls) as schema, samebytes.Parser([schema]) as parser:
        parser.feed(data)
        with parser.parse() as batch:
            return list(batch.rows)


def built(sequence: int, value: Any) -> bytes:
    with samebytes.schema_of(type(value)) as schema, samebytes.Builder() as builder:
        builder.add(schema, sequence, value)
        return bytes(builder)


def test_a_class_says_the_same_as_the_schema_written_out() -> None:
    with samebytes.schema_of(EchoRequest) as ours, samebytes.echo_request_schema() as echo:
        assert (ours.name(), ours.direction(), ours.api_key(), ours.fields) == (
            echo.name(),
            echo.direction(),
            echo.api_key(),
            echo.fields,
        )
    with samebytes.schema_of(Every) as schema:
        assert (schema.api_key(), schema.direction()) == (-7, samebytes.DIRECTION_RESPONSE)
        assert [field.type for field in schema.fields] == [
            samebytes.TYPE_INT8,
            samebytes.TYPE_INT16,
            samebytes.TYPE_INT32,
            samebytes.TYPE_ARRAY_INT8,
            samebytes.TYPE_ARRAY_INT32,
            samebytes.TYPE_ARRAY_INT64,
            samebytes.TYPE_ARRAY_STRING,
        ]


def test_an_instance_is_built_and_its_row_is_like_it() -> None:
    assert built(0, WANTED) == REFERENCE
    (row,) = parsed(EchoRequest, REFERENCE)
    assert operator.eq(row, WANTED) and operator.eq(WANTED, row) and not operator.ne(WANTED, row)
    assert (
        repr(row)
        == repr(WANTED)
        == ("EchoRequest(timestamp=9999, subject=b'test', metadata=[1, 2, 3], body=b'We have a lot in common')")
    )
    timestamp, subject, metadata, body = row
    assert [timestamp, subject, metadata, body] == list(WANTED) and len(row) == len(WANTED) == 4
    assert isinstance(row, EchoRequest) and isinstance(row, samebytes.Message)
    assert (row.api_key, row.sequence, row.stream_offset) == (0, 0, 0)
    assert row.fields() == dict(zip(("timestamp", "subject", "metadata", "body"), WANTED))
    assert row.shout() == b"TEST" and row.made_for == "the test"
    match row:
        case EchoRequest(timestamp=9999, body=found):
            assert found == body
        case _:
            pytest.fail("a row matches its class")


def test_a_row_can_be_built_again_and_pickled() -> None:
    (row,) = parsed(EchoRequest, built(5, WANTED))
    with samebytes.schema_of(EchoRequest) as schema, samebytes.Builder() as builder:
        builder.add(schema, row.sequence, row)
        assert bytes(builder) == built(5, WANTED)
    again = pickle.loads(pickle.dumps(row))
    assert again == row and type(again) is type(row) and again.sequence == 5
    assert pickle.loads(pickle.dumps(WANTED)) == WANTED


def test_arrays_are_compared_by_their_items_and_all_values_count() -> None:
    (row,) = parsed(EchoRequest, REFERENCE)
    assert row == EchoRequest(9999, b"test", (1, 2, 3), b"We have a lot in common")
    for other in (
        EchoRequest(9998, *list(WANTED)[1:]),
        EchoRequest(9999, b"test", [1, 2], WANTED.body),
        (9999, b"test", [1, 2, 3], WANTED.body),
        Every(0, 0, 0, [], [], [], []),
    ):
        assert operator.ne(row, other) and operator.ne(WANTED, other)
    with pytest.raises(TypeError, match="unhashable"):
        hash(row)
    with pytest.raises(TypeError, match="unhashable"):
        hash(WANTED)


def test_defaults_are_those_of_a_dataclass() -> None:
    request = EchoRequest(5)
    assert list(request) == [5, b"", (), b""]
    request.timestamp = 6
    assert request == EchoRequest(timestamp=6)
    with pytest.raises(TypeError, match="timestamp"):
        EchoRequest()  # type: ignore[call-arg]


def test_methods_that_the_class_has_stay() -> None:
    @samebytes.message(direction="request", api_key=1)
    class Quiet:
        number: samebytes.int8

        def __repr__(self) -> str:
            return "quiet"

    assert repr(Quiet(1)) == "quiet"
    assert Quiet(1) == Quiet(1) != Quiet(2)


def test_fields_of_a_base_class_come_first() -> None:
    @samebytes.message(direction="request", api_key=1)
    class Head:
        first: samebytes.int8

    @samebytes.message(direction="request", api_key=2)
    class Whole(Head):
        second: samebytes.string

    assert built(3, Whole(1, b"x")) == reference.encode(
        reference.Schema(
            "Whole", "request", 2, (reference.Field("first", "int8"), reference.Field("second", "string"))
        ),
        3,
        (1, b"x"),
    )
    assert Head(1) != Whole(1, b"x")


def test_clients_and_servers_take_instances() -> None:
    import asyncio

    from samebytes import aio

    @samebytes.message(direction="request", api_key=1)
    class Add:
        terms: samebytes.array[samebytes.int64]

    @samebytes.message(direction="response", api_key=1)
    class Sum:
        total: samebytes.int64

    async def main() -> Any:
        with samebytes.schema_of(Add) as request, samebytes.schema_of(Sum) as response:
            pair = aio.Pair(request, response)
            async with (
                await aio.serve(lambda add: Sum(sum(add.terms)), "127.0.0.1", 0, pair) as server,
                await aio.connect("127.0.0.1", server.port, pair, timeout=peers.SECONDS) as client,
            ):
                return await client.call(Add([1, 2, 39]))

    assert asyncio.run(main()) == Sum(42)


# ---- what is no schema ----


def declared(annotations: dict[str, Any], direction: Any = "request", api_key: Any = 1, **body: Any) -> type:
    made = type("Wrong", (), {"__annotations__": annotations, "__module__": __name__, **body})
    return samebytes.message(direction=direction, api_key=api_key)(made)


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({"x": int}, r"Wrong\.x: the type <class 'int'> is none of samebytes\.int8"),
        ({"ok": samebytes.int8, "x": "bytes"}, r"Wrong\.x: the type <class 'bytes'>"),
        ({"x": Sequence[samebytes.int8]}, r"Wrong\.x: the type"),
        ({"x": samebytes.array}, r"Wrong\.x: an array needs the type of its items"),
        ({"x": samebytes.array[samebytes.array[samebytes.int8]]}, r"Wrong\.x: there are no arrays of arrays"),
        ({"x": samebytes.array[str]}, r"Wrong\.x: the type of the items, <class 'str'>"),
        ({"x": "nowhere"}, r"Wrong: an annotation cannot be read: name 'nowhere'"),
        ({"sequence": samebytes.int8}, r"Wrong\.sequence: every message has an attribute of that name"),
        ({"fields": samebytes.int8}, r"Wrong\.fields: every message has"),
        ({"größe": samebytes.int8}, r"Wrong"),
        ({"x" * 64: samebytes.int8}, r"Wrong"),
    ],
)
def test_what_is_no_field_is_refused_by_class_and_field(annotations: dict[str, Any], message: str) -> None:
    with pytest.raises(samebytes.InvalidArgumentError, match=message):
        declared(annotations)


def test_what_is_no_message_is_refused() -> None:
    field = {"x": samebytes.int8}
    with pytest.raises(samebytes.InvalidArgumentError, match="Wrong: the direction 'upwards' is unknown"):
        declared(field, direction="upwards")
    for api_key in (128, -129):
        with pytest.raises((OverflowError, ValueError), match="api_key"):
            declared(field, api_key=api_key)
    with pytest.raises(samebytes.InvalidArgumentError, match="Wrong: non-default argument 'y'"):
        declared({"x": samebytes.int8, "y": samebytes.int8}, x=0)
    with pytest.raises(samebytes.InvalidArgumentError, match="Wrong: mutable default"):
        declared({"x": samebytes.array[samebytes.int8]}, x=[])
    with pytest.raises(samebytes.InvalidArgumentError, match="Wrong: a message cannot have __slots__"):
        declared(field, __slots__=("x",))
    with pytest.raises(samebytes.TooLargeError, match="Wrong"):
        declared({f"f{index}": samebytes.int8 for index in range(257)})
    with pytest.raises(TypeError, match="stands above classes"):
        samebytes.message(direction="request", api_key=1)(5)  # type: ignore[type-var]
    for wrong in (int, 5, WANTED):
        with pytest.raises(TypeError, match="a class that @samebytes.message"):
            samebytes.schema_of(wrong)  # type: ignore[arg-type]


# ---- random classes ----

INTEGERS = {bits: st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)}
ITEMS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    **{f"int{bits}": (getattr(samebytes, f"int{bits}"), INTEGERS[bits]) for bits in INTEGERS},
    "string": (samebytes.string, st.binary(max_size=20)),
}
KINDS = ITEMS | {
    f"array<{name}>": (samebytes.array[kind], st.lists(items, max_size=5))  # type: ignore[valid-type]
    for name, (kind, items) in ITEMS.items()
}


@settings(max_examples=100, deadline=None)
@given(st.data(), st.lists(st.sampled_from(sorted(KINDS)), max_size=8), INTEGERS[8], INTEGERS[8])
def test_random_classes_and_values_against_the_independent_codec(
    data: st.DataObject, kinds: list[str], api_key: int, sequence: int
) -> None:
    cls = declared({f"f{index}": KINDS[kind][0] for index, kind in enumerate(kinds)}, api_key=api_key)
    value = cls(*(data.draw(KINDS[kind][1]) for kind in kinds))
    fields = tuple(reference.Field(f"f{index}", kind) for index, kind in enumerate(kinds))
    frame = reference.encode(reference.Schema("Wrong", "request", api_key, fields), sequence, tuple(value))
    assert built(sequence, value) == frame
    (row,) = parsed(cls, frame)
    assert row == value and repr(row) == repr(value) and list(row) == list(value)
    assert (row.api_key, row.sequence) == (api_key, sequence)
