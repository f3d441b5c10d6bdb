"""Statuses become exceptions that say what failed, where, and why."""

from __future__ import annotations

import pickle
from types import ModuleType

import pytest

import samebytes
from samebytes import errors

BAD_SUBJECT = bytes.fromhex("000000100000000000000000270f7fffffff0000")


def test_an_exception_has_all_that_the_library_says(layer: ModuleType) -> None:
    with samebytes.Schema("Event", "request", 3, [("small", "int8"), ("text", "string")]) as schema:
        builder = layer.sb_builder_open()
        layer.sb_builder_add(builder, schema.address, 0, [(1,), (0, b"good", 4)])
        with pytest.raises(samebytes.OutOfRangeError) as caught:
            layer.sb_builder_add(builder, schema.address, 0, [(1000,), (0, b"", 0)])
        layer.sb_builder_close(builder)
    error = caught.value
    assert (error.status, error.field, error.frame) == (samebytes.OUT_OF_RANGE, "small", 1)
    assert error.message == str(error) != ""
    assert isinstance(error, (IndexError, OverflowError))
    assert layer.sb_status_name(error.status) == "SB_OUT_OF_RANGE"


def test_a_status_without_an_explanation_names_the_function(layer: ModuleType) -> None:
    view = layer.sb_view_open(b"abc")
    with pytest.raises(samebytes.OutOfRangeError, match=r"^sb_view_skip: an index, offset or size") as caught:
        layer.sb_view_skip(view, 4)
    layer.sb_view_close(view)
    assert (caught.value.frame, caught.value.field, caught.value.stream_offset) == (samebytes.NO_FRAME, "", 0)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.NoMemoryError, MemoryError),
        (errors.InvalidArgumentError, ValueError),
        (errors.NeedMoreError, EOFError),
        (errors.TooLargeError, ValueError),
        (errors.CorruptError, ValueError),
        (errors.UnknownApiKeyError, LookupError),
        (errors.BusyError, BufferError),
        (errors.LockedError, OSError),
        (errors.ClosedError, ValueError),
        (errors.IoError, OSError),
        (errors.UnsupportedError, NotImplementedError),
        (errors.UnavailableError, OSError),
        (errors.TimeoutError, TimeoutError),
    ],
)
def test_code_that_knows_only_builtins_catches_them(error: type[samebytes.SamebytesError], builtin: type) -> None:
    with pytest.raises(builtin, match="why") as caught:
        raise error("why", field="body", frame=3, stream_offset=17, frame_offset=9)
    found = caught.value
    assert (found.field, found.frame, found.stream_offset, found.frame_offset) == ("body", 3, 17, 9)
    again = pickle.loads(pickle.dumps(found))
    assert (type(again), str(again), again.field, again.frame) == (error, "why", "body", 3)


def test_a_status_of_a_newer_library_is_the_base_exception() -> None:
    from samebytes._errors import failure

    error = failure("sb_new", 99, "SB_UNKNOWN_STATUS", None)
    assert (type(error), error.status, str(error)) == (samebytes.SamebytesError, 99, "sb_new: SB_UNKNOWN_STATUS")


def test_a_full_error_of_a_batch_can_be_read(layer: ModuleType) -> None:
    schema, batch = layer.sb_echo_request_schema(), layer.sb_batch_open()
    parser = layer.sb_parser_open([schema])
    layer.sb_parser_feed(parser, BAD_SUBJECT)
    layer.sb_parser_parse(parser, batch)
    error = layer.sb_batch_get_error(batch, 0)
    assert error[:5] == (samebytes.CORRUPT, 14, 14, 0, "subject")
    assert error.message
    layer.sb_batch_close(batch)
    layer.sb_parser_close(parser)
    layer.sb_schema_close(schema)
