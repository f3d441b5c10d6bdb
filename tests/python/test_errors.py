"""Statuses become exceptions that say what failed, where, and why."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from types import ModuleType

import pytest

import samebytes
from samebytes import _records, errors

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
    assert error[:6] == (samebytes.CORRUPT, 0, 14, 14, 0, "subject")
    assert error.message
    layer.sb_batch_close(batch)
    layer.sb_parser_close(parser)
    layer.sb_schema_close(schema)


REFUSALS = {
    errno.ENOENT: FileNotFoundError,
    errno.EACCES: PermissionError,
    errno.EPERM: PermissionError,
    errno.EEXIST: FileExistsError,
    errno.EISDIR: IsADirectoryError,
    errno.ENOTDIR: NotADirectoryError,
    errno.EAGAIN: BlockingIOError,
    errno.EPIPE: BrokenPipeError,
    errno.ECONNRESET: ConnectionResetError,
    errno.ETIMEDOUT: TimeoutError,
    errno.ENOSPC: OSError,
    errno.EMFILE: OSError,
    errno.ENOMEM: OSError,
}


@pytest.mark.parametrize("status", sorted(errors.BY_STATUS))
@pytest.mark.parametrize("number", sorted(REFUSALS))
def test_what_the_system_refused_is_the_oserror_that_fits(status: int, number: int) -> None:
    from samebytes._errors import failure

    error = failure("sb_x", status, "meaning", _records.Error(status, number, 7, 5, 3, "url", "opening the file: why"))
    assert isinstance(error, errors.BY_STATUS[status])
    assert isinstance(error, REFUSALS[number])
    assert isinstance(error, OSError)
    assert (error.errno, error.strerror, error.system_error) == (number, os.strerror(number), number)
    assert (error.status, error.stream_offset, error.frame_offset, error.frame, error.field) == (status, 7, 5, 3, "url")
    assert (str(error), error.filename) == ("opening the file: why", None)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.__dict__) == (type(error), str(error), error.__dict__)
    assert again.errno == number


@pytest.mark.parametrize("read_only", [True, False])
def test_a_path_that_leads_nowhere_is_a_file_not_found(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "nothing" / "visits"
    with pytest.raises(FileNotFoundError) as caught:
        samebytes.VisitManager(path, read_only=read_only)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, path)
    assert str(path) in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.filename, str(again)) == (type(caught.value), path, str(caught.value))


def test_a_store_that_is_missing_is_both_not_found(tmp_path: Path) -> None:
    path = tmp_path / "visits"
    for call in (lambda: samebytes.VisitManager(path, read_only=True), lambda: samebytes.verify_visits(path)):
        with pytest.raises(FileNotFoundError) as caught:
            call()
        assert isinstance(caught.value, samebytes.NotFoundError)
        assert caught.value.filename == path
    with pytest.raises(FileNotFoundError) as caught:
        samebytes.salvage_visits(path, tmp_path / "target")
    assert (caught.value.filename, caught.value.filename2) == (path, tmp_path / "target")


def test_a_target_that_exists_is_a_file_exists_error(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with samebytes.VisitManager(tmp_path / "visits") as manager:
        with pytest.raises(FileExistsError) as caught:
            manager.copy_to(tmp_path / "taken")
        with pytest.raises(BlockingIOError) as locked:
            samebytes.VisitManager(tmp_path / "visits")
    assert isinstance(caught.value, samebytes.InvalidArgumentError)
    assert caught.value.filename == tmp_path / "taken"
    assert isinstance(locked.value, samebytes.LockedError)


def test_a_schema_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        samebytes.load_schemas(tmp_path / "missing")
    assert isinstance(missing.value, samebytes.NotFoundError)
    assert (missing.value.errno, missing.value.filename) == (errno.ENOENT, tmp_path / "missing")
    with pytest.raises(IsADirectoryError) as folder:
        samebytes.load_schemas(tmp_path)
    assert isinstance(folder.value, samebytes.IoError)
    assert folder.value.errno == errno.EISDIR
