"""The vectors, held against the independent codec.

What fails here is wrong in a vector or in reference_codec.py, not in the library.
"""

from __future__ import annotations

import json

import cases
import make_vectors
import pytest
import reference_codec
from cases import VECTORS, Case, Decode, Encode, Refuse
from reference_codec import ECHO_REQUEST, EncodeError, Refused

CASES = cases.load()


def encoded(check: Encode) -> bytes | Refused:
    """The bytes of all messages, or why one is refused."""
    frames = b""
    for frame, (sequence, values) in enumerate(check.messages):
        try:
            frames += reference_codec.encode(check.schema, sequence, values)
        except EncodeError as error:
            return Refused(frame, len(frames) + error.offset, error.offset, error.field, error.status)
    return frames


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_vector_agrees_with_the_reference_codec(case: Case) -> None:
    for check in case.checks:
        if isinstance(check, Decode):
            request = check.request
            limit = request.max_frame_size or reference_codec.MAX_FRAME_SIZE_DEFAULT
            found = reference_codec.decode(request.data, list(request.schemas), limit, request.accept_extra)
            assert found == check.expected
        elif isinstance(check, Encode):
            assert encoded(check) == (check.error or check.frames)
        else:
            assert isinstance(check, Refuse)  # says what no parser accepts, which is no matter of the wire format


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_rows_of_a_vector_encode_to_its_frames(case: Case) -> None:
    for check in case.checks:
        if not isinstance(check, Decode) or check.request.accept_extra:
            continue
        for row in check.expected.rows:
            frame = reference_codec.encode(check.request.schemas[row.schema_index], row.sequence, row.values)
            assert check.request.data[row.stream_offset : row.stream_offset + len(frame)] == frame


def test_reference_request_is_the_57_bytes_of_the_wire_format() -> None:
    frame = reference_codec.encode(ECHO_REQUEST, 0, (9999, b"test", [1, 2, 3], b"We have a lot in common"))
    assert frame.hex(" ", 4) == (
        "00 00003500 00000000 00000027 0f000000 04746573 74000300 01000200 03000000 "
        "17576520 68617665 2061206c 6f742069 6e20636f 6d6d6f6e"
    )


def test_every_given_invalid_case_of_echo_is_refused_as_it_says() -> None:
    """echo.json says less than streams do; here is what it says, read without cases.py."""
    for spec in json.loads((VECTORS / "echo.json").read_text())["cases"]:
        if spec["valid"] is not False:
            continue
        found = reference_codec.decode(bytes.fromhex(spec["hex"]), [ECHO_REQUEST])
        (error,) = found.errors
        assert (error.frame_offset, error.field or None, error.status) == (
            spec["error"]["offset"],
            spec["error"]["field"],
            spec["error"]["status"],
        )
        assert (found.end != "SB_OK") == spec["id"].startswith("frame-size-")


@pytest.mark.parametrize("name", ["sizes.json", "random.json"])
def test_written_vectors_are_what_make_vectors_writes(name: str) -> None:
    assert (VECTORS / name).read_text() == make_vectors.files()[name], "run python tests/conformance/make_vectors.py"


def test_random_vectors_hold_good_frames_bad_ones_and_streams_that_end() -> None:
    drawn = [json.loads(line.rstrip(",")) for line in (VECTORS / "random.json").read_text().split("\n")[1:-2]]
    assert sum(bool(case["rows"]) for case in drawn) > len(drawn) // 3
    assert sum(bool(case["errors"]) for case in drawn) > len(drawn) // 3
    assert sum(bool(case["end"]) for case in drawn) > len(drawn) // 10
