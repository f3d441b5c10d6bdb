"""The runner, held against testees that are wrong: each must fail for the right reason, and a right one must pass."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import cases
import pytest
import runner
from cases import BadVector, Case, Decode
from protocol import DecodeRequest
from reference_codec import ECHO_REQUEST, Decoded
from runner import Library, Outcome, Setup

TIMEOUT_SECONDS = 30.0  # never waited for, but by the testee that hangs
LIBRARY = Library(0x010203, 0xD1, ["sb_first", "sb_second"])
PAIR = {
    "name": "Pair",
    "direction": "request",
    "api_key": 5,
    "fields": [{"name": "small", "type": "int8"}, {"name": "text", "type": "string"}],
}
VECTORS: list[dict[str, Any]] = [
    {"id": "written", "schema": PAIR, "encode": [{"sequence": 1, "small": 2, "text": "6162"}], "hex": "00000009050102000000026162"},
    {
        "id": "too-large-a-number",
        "schema": PAIR,
        "encode": [{"sequence": 1, "small": 128, "text": ""}],
        "error": {"status": "SB_OUT_OF_RANGE", "field": "small", "frame": 0, "stream_offset": 6, "frame_offset": 6},
    },
    {
        "id": "read",
        "schema": PAIR,
        "hex": "0000000905010200000002616200000007050102ffffffff" + "0000",
        "rows": [{"message": "Pair", "sequence": 1, "stream_offset": 0, "small": 2, "text": "6162"}],
        "errors": [{"frame": 1, "stream_offset": 20, "frame_offset": 7, "field": "text", "status": "SB_CORRUPT"}],
        "end": None,
        "need": 2,
    },
]  # fmt: skip


@pytest.fixture
def few_cases(tmp_path: Path) -> list[Case]:
    (tmp_path / "few.json").write_text(json.dumps({"note": "", "cases": VECTORS}))
    return cases.load(tmp_path)


def setup(*arguments: str) -> Setup:
    return Setup("wrong", "c", [sys.executable, str(Path(__file__).parent / "wrong_testee.py"), *arguments])


def run(few_cases: list[Case], *arguments: str, library: Library = LIBRARY) -> Outcome:
    return runner.run_testee(setup(*arguments), few_cases, library, TIMEOUT_SECONDS)


def test_a_right_testee_passes_every_case(few_cases: list[Case]) -> None:
    outcome = run(few_cases, "none")
    assert outcome.failures == []
    assert outcome.case_count == len(VECTORS) + 4  # hello, visits, surface, quit


EVERY_CASE = {"written", "too-large-a-number", "read", "visits"}


@pytest.mark.parametrize(
    ("fault", "failing", "reason"),
    [
        ("byte", {"written"}, r"encode, take: byte 5 of 13 is 00, expected 01"),
        ("short", {"written"}, r"12 bytes, expected 13"),
        ("accept", {"too-large-a-number"}, r"was accepted, expected SB_OUT_OF_RANGE for field 'small'"),
        ("offset", {"read"}, r"mode 2, position 0, chunks 1: error 0: frame_offset is 8, expected 7"),
        ("row", {"read"}, r"row 0 is .*sequence=2.*, expected .*sequence=1"),
        ("rows", {"read"}, r"0 rows, expected 1"),
        ("no-message", {"too-large-a-number", "read", "visits"}, r"the message has 0 bytes, expected 1 to 255"),
        ("need", {"read"}, r"need is 3, expected 2"),
        ("end", {"read"}, r"end is SB_CORRUPT, expected SB_OK"),
        ("copies", {"read"}, r"0 live blocks while the batches were held, expected 1 or more"),
        ("leak", EVERY_CASE, r"\d+ live blocks after the case, expected 0"),
        (
            "visits-order",
            {"visits"},
            r"seed 1, turn \d+: operation \d+ \(Operation\(op=3.*: row 0 is Visit.*, expected",
        ),
        ("visits-text", {"visits"}, r"operation \d+ .*: row 0 is Visit.*, expected Visit"),
        ("visits-found", {"visits"}, r"operation \d+ \(Operation\(op=4.* gave True, expected False"),
        ("visits-frame", {"visits"}, r"operation \d+ .*: frame is \d+, expected -?\d+"),
        ("visits-lost", {"visits"}, r"seed 1, turn [1-9]\d*: operation \d+"),
        ("visits-max", {"visits"}, r"seed 1, turn \d+: operation \d+.*(: \d+ rows, expected \d+|: row| gave Stats)"),
        (
            "visits-durability",
            {"visits"},
            r"operation \d+ \(Operation\(op=11.*durable=False.*, expected .*durable=True",
        ),
        ("visits-syncs", {"visits"}, r"operation \d+ \(Operation\(op=11.*synced=True.*, expected .*synced=False"),
        ("visits-copy", {"visits"}, r"operation \d+ \(Operation\(op=14.*: (row|\d+ rows)"),
        ("visits-salvage", {"visits"}, r"operation \d+ \(Operation\(op=13.* gave"),
        ("visits-stale", {"visits"}, r"operation \d+ \(Operation\(op=15.*: (row|\d+ rows)"),
        (
            "visits-changed",
            {"visits"},
            r"operation \d+ \(Operation\(op=15.*: row 0 is (True|False), expected (True|False)",
        ),
        ("visits-read-only", {"visits"}, r"operation \d+ \(Operation\(op=16.* gave None, expected Refused"),
        ("visits-reader-max", {"visits"}, r"operation \d+ \(Operation\(op=1[45].*: (row|\d+ rows)"),
        ("crash", EVERY_CASE, r"crash: SIGSEGV; stderr: about to crash"),
        ("exit", EVERY_CASE, r"crash: exit status 3"),
        ("garbage", EVERY_CASE, r"garbage: .* ends where \d+ more are needed"),
        ("nonsense", EVERY_CASE, r"garbage: the reply starts with 68656c6c6f, expected 00 or 01"),
        ("huge", {"read"}, r"garbage: a reply that claims 2147483647 bytes"),
        ("chatter", EVERY_CASE, r"garbage: bytes after the last reply"),
        ("instance", {"hello"}, r"the instance id is 0"),
        ("surface", {"surface"}, r"not called: sb_second; not in symbols.txt: -"),
        ("quit", {"quit"}, r"crash: exit status 1 after quit"),
    ],
)
def test_a_wrong_testee_fails_for_the_right_reason(
    few_cases: list[Case], fault: str, failing: set[str], reason: str
) -> None:
    outcome = run(few_cases, fault)
    problems = {case: problem for case, problem in outcome.failures if case != "surface" or fault == "surface"}
    assert set(problems) == failing
    for problem in problems.values():
        assert re.search(reason, problem)


def test_a_testee_that_hangs_fails_its_case(few_cases: list[Case]) -> None:
    outcome = runner.run_testee(setup("hang"), few_cases[:1], LIBRARY, timeout_seconds=2.0)
    assert ("written", "5 requests: hang: no byte moved for 2 s at request 1") in outcome.failures


def test_a_testee_that_crashed_is_restarted_for_the_next_case(few_cases: list[Case], tmp_path: Path) -> None:
    outcome = run(few_cases, "crash-once", str(tmp_path / "crashed"))
    assert [case for case, _ in outcome.failures] == ["written"]


def test_a_stream_that_ended_must_say_so_again(tmp_path: Path) -> None:
    ended = {
        "id": "ended",
        "schema": PAIR,
        "hex": "ffffffff",
        "rows": [],
        "errors": [{"frame": 0, "stream_offset": 0, "frame_offset": 0, "field": None, "status": "SB_CORRUPT"}],
        "end": "SB_CORRUPT",
        "need": 0,
    }
    (tmp_path / "ended.json").write_text(json.dumps({"cases": [ended]}))
    assert run(cases.load(tmp_path), "none").failures == []
    ((case, problem),) = run(cases.load(tmp_path), "again").failures
    assert case == "ended"
    assert problem.endswith("again is SB_OK, expected SB_CORRUPT")


def test_another_version_digest_or_language_fails_the_hello(few_cases: list[Case]) -> None:
    ((case, problem),) = run(few_cases, "none", library=LIBRARY._replace(digest=0xD2)).failures
    assert (case, problem) == ("hello", "digest is 209, expected 210")
    ((case, problem),) = run(few_cases, "none", library=LIBRARY._replace(version=0x010204)).failures
    assert (case, problem) == ("hello", "version is 66051, expected 66052")


def test_a_testee_that_cannot_be_started_fails_every_case(few_cases: list[Case]) -> None:
    outcome = runner.run_testee(Setup("none", "c", ["/nonexistent"]), few_cases, LIBRARY, TIMEOUT_SECONDS)
    assert outcome.passed == 0
    assert all("cannot start /nonexistent: No such file" in problem for _, problem in outcome.failures)


def test_the_report_counts_and_its_exit_status_tells(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Outcome("good", 3), Outcome("bad", 3, [("read", "need is 3, expected 2")])
    assert runner.report([good]) == 0
    assert capsys.readouterr().out.endswith("conformance: 3 cases x 1 testees, 3 passed, 0 failed\n")
    assert runner.report([good, bad]) == 1
    out = capsys.readouterr().out
    assert out.startswith("FAILED bad read: need is 3, expected 2\n")
    assert out.endswith("conformance: 3 cases x 2 testees, 5 passed, 1 failed\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end": "SB_WRONG"}, "unknown status SB_WRONG"),
        ({"hex": "0"}, "case read: ValueError"),
        ({"rows": None}, "case read: TypeError"),
        ({"id": "written"}, "case ids used twice: written"),
    ],
)
def test_a_vector_that_is_wrong_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    (tmp_path / "few.json").write_text(json.dumps({"cases": [*VECTORS[:2], {**VECTORS[2], **change}]}))
    with pytest.raises(BadVector, match=message):
        cases.load(tmp_path)


def test_a_folder_without_vectors_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["--vectors", str(tmp_path)]) == 2
    assert "no cases" in capsys.readouterr().err


def feeds_of(size: int, light: bool = False) -> list[tuple[tuple[int, ...], tuple[int, int]]]:
    check = Decode(DecodeRequest((ECHO_REQUEST,), bytes(size)), Decoded([], [], "SB_OK", 4))
    return list(runner.feeds(check, light))


def test_streams_are_cut_at_every_byte_and_into_every_chunk_size_in_every_way() -> None:
    cuts = [(), *((size,) for size in range(1, 20)), *((cut, 20) for cut in range(1, 20))]
    assert set(feeds_of(20)) == {(chunks, way) for chunks in cuts for way in runner.WAYS}
    assert {chunks for chunks, _ in feeds_of(900)} >= {(cut, 900) for cut in range(1, 900)}
    assert {way for _, way in feeds_of(900)} == set(runner.LARGE_WAYS)


def test_large_streams_are_cut_where_it_matters() -> None:
    cuts = {chunks for chunks, _ in feeds_of(100_000)}
    assert {(), (7,), (65536,), (1, 100_000), (65535, 100_000), (65536, 100_000), (99_999, 100_000)} <= cuts
    assert (1,) in {chunks for chunks, _ in feeds_of(20_000)}
    assert {chunks for chunks, _ in feeds_of(20, light=True)} == {(), (1,)}
