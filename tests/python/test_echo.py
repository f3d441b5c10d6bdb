"""samebytes.echo: the face that the design names."""

from __future__ import annotations

import json
from typing import Any

import pytest

import samebytes
from samebytes import echo

from .conftest import REFERENCE, ROOT

BODY = b"We have a lot in common"


def test_a_request_becomes_the_reference_bytes() -> None:
    with echo.Builder() as builder:
        assert (builder.get_buffer(), len(builder)) == (b"", 0)
        builder.add(subject=b"test", timestamp=9999, metadata=[1, 2, 3], body=BODY)
        assert builder.get_buffer() == REFERENCE
        builder.add(subject=b"test", timestamp=9999, metadata=[1, 2, 3], body=BODY, sequence=-1)
        assert builder.get_buffer() == REFERENCE + REFERENCE[:5] + b"\xff" + REFERENCE[6:]
        assert (type(builder.get_buffer()), len(builder)) == (bytes, 2)
        builder.clear()
        assert (builder.get_buffer(), len(builder)) == (b"", 0)


def test_a_request_is_parsed() -> None:
    with echo.Parser() as parser:
        parser.feed(REFERENCE + REFERENCE[:20])
        rows = parser.parse()
        assert type(rows) is list
        (row,) = rows
        assert (row.api_key, row.sequence, row.timestamp, row.subject, row.body) == (0, 0, 9999, b"test", BODY)
        assert row.metadata == [1, 2, 3]
        assert row.metadata is not row.metadata
        api_key, sequence, timestamp, subject, metadata, body = row
        assert (api_key, sequence, timestamp, subject, metadata, body) == (0, 0, 9999, b"test", [1, 2, 3], BODY)
        assert "metadata=[1, 2, 3]" in repr(row)
        assert (parser.errors, parser.need) == ([], len(REFERENCE) - 20)
        parser.feed(REFERENCE[20:])
        assert parser.parse() == [row]
        assert parser.parse() == []


def test_responses_go_the_other_way() -> None:
    with echo.Builder() as builder, echo.Parser(direction="response") as parser:
        builder.add_response(id=7, timestamp=-1, subject=b"s", body=b"b", sequence=3)
        parser.feed(builder.get_buffer())
        (row,) = parser.parse()
    assert tuple(row) == (0, 3, 7, -1, b"s", b"b")


def test_an_unknown_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="direction: 'both' is neither"):
        echo.Parser(direction="both")


def test_errors_are_those_of_the_last_parse() -> None:
    unknown = b"\0\0\0\2\x63\0"
    with echo.Parser() as parser:
        parser.feed(unknown + REFERENCE)
        assert len(parser.parse()) == 1
        (error,) = parser.errors
        assert (error.status, error.frame) == (samebytes.UNKNOWN_API_KEY, 0)
        parser.feed(REFERENCE)
        assert len(parser.parse()) == 1
        assert parser.errors == []


def test_a_stream_that_has_ended_raises_at_the_next_call_after_its_good_rows() -> None:
    with echo.Parser(max_frame_size=100) as parser:
        parser.feed(REFERENCE + b"\0\0\0\x65")
        assert len(parser.parse()) == 1
        (error,) = parser.errors
        assert (error.status, error.stream_offset, error.frame) == (samebytes.TOO_LARGE, 57, 1)
        for use in (parser.parse, lambda: parser.feed(b"")):
            with pytest.raises(samebytes.TooLargeError) as caught:
                use()
            assert (caught.value.stream_offset, caught.value.frame) == (57, 1)


def test_a_stream_that_ends_without_rows_raises_at_once() -> None:
    with echo.Parser() as parser:
        parser.feed(b"\xff\xff\xff\xff")
        with pytest.raises(samebytes.CorruptError):
            parser.parse()
        assert [error.status for error in parser.errors] == [samebytes.CORRUPT]
        assert parser.need == 0


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"timestamp": 1 << 63}, OverflowError),
        ({"sequence": 128}, OverflowError),
        ({"metadata": [32768]}, OverflowError),
        ({"metadata": [0] * 32768}, samebytes.TooLargeError),
        ({"metadata": None, "subject": 5}, TypeError),
        ({"subject": "text"}, TypeError),
        ({"body": "text"}, TypeError),
        ({"unknown": 1}, TypeError),
    ],
)
def test_a_wrong_field_is_refused_and_adds_nothing(wrong: dict[str, Any], kind: type[Exception]) -> None:
    with echo.Builder() as builder:
        with pytest.raises(kind):
            builder.add(**wrong)
        assert builder.get_buffer() == b""


def test_the_old_bytes_without_length_prefixes_are_refused_at_the_subject() -> None:
    cases = json.loads((ROOT / "tests/conformance/vectors/echo.json").read_text())["cases"]
    (old,) = [case for case in cases if not case["valid"] and len(case["hex"]) == 2 * 47]
    with echo.Parser() as parser:
        parser.feed(bytes.fromhex(old["hex"]))
        assert parser.parse() == []
        (error,) = parser.errors
    assert (error.field, error.frame_offset) == ("subject", 14)


def test_closing_twice_is_safe() -> None:
    parser, builder = echo.Parser(), echo.Builder()
    for handle in (parser, builder):
        handle.close()
        handle.close()
    with pytest.raises(samebytes.ClosedError):
        parser.parse()
    with pytest.raises(samebytes.ClosedError):
        builder.get_buffer()


class Plain:
    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


def test_many_messages_are_added_at_once() -> None:
    numbers = range(-3, 4)
    values = [{"timestamp": n, "subject": b"s" * abs(n), "metadata": [n], "body": b"%d" % n} for n in numbers]
    with echo.Builder() as singly, echo.Builder() as builder, echo.Parser() as parser:
        for n, value in zip(numbers, values):
            singly.add(sequence=n, **value)
        wanted = singly.get_buffer()
        parser.feed(wanted)
        named = [{**value, "sequence": n} for n, value in zip(numbers, values)]
        for messages in (
            named,
            [{**value, "api_key": 0} for value in named],
            [samebytes.EchoRequest(**value) for value in named],
            [Plain(**value) for value in named],
            iter(parser.parse()),
            [{**value, "metadata": range(n, n + 1)} for n, value in zip(numbers, named)],
        ):
            builder.add_all(messages)
            assert builder.get_buffer() == wanted
            builder.clear()
        builder.add_all([{**value, "body": bytearray(value["body"])} for value in values])
        assert [row.sequence for row in rows_of(builder)] == [0] * len(values)


def rows_of(builder: echo.Builder, direction: str = "request") -> list[samebytes.Message]:
    with echo.Parser(direction) as parser:
        parser.feed(builder.get_buffer())
        return parser.parse()


def test_many_responses_are_added_at_once() -> None:
    with echo.Builder() as builder:
        builder.add_all_responses(
            [samebytes.EchoResponse(timestamp=n, subject=b"s", body=b"b", id=-n, sequence=n) for n in range(5)]
        )
        assert [tuple(row) for row in rows_of(builder, "response")] == [(0, n, -n, n, b"s", b"b") for n in range(5)]


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        ({"timestamp": 1 << 63}, samebytes.OutOfRangeError, r"timestamp\[1\]|timestamp"),
        ({"metadata": [32768]}, samebytes.OutOfRangeError, "metadata"),
        ({"metadata": [0] * 32768}, samebytes.TooLargeError, "message 1 .EchoRequest., field metadata"),
        ({"subject": "text"}, TypeError, r"subject\[1\]: a bytes-like object is needed, not str"),
        ({"sequence": 128}, samebytes.OutOfRangeError, r"sequences\[1\]: 128"),
        ({"sequence": "1"}, TypeError, "sequences"),
    ],
)
def test_one_wrong_message_of_many_is_refused_and_none_added(
    wrong: dict[str, Any], kind: type[Exception], words: str
) -> None:
    good = {"timestamp": 1, "subject": b"", "metadata": (), "body": b""}
    with echo.Builder() as builder:
        with pytest.raises(kind, match=words):
            builder.add_all([good, {**good, **wrong}, good])
        with pytest.raises(samebytes.InvalidArgumentError, match="EchoRequest: the message lacks 'body'"):
            builder.add_all([good, {"timestamp": 1, "subject": b"", "metadata": ()}])
        assert len(builder) == 0
