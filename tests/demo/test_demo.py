"""The demo from outside, as people run it, and its parts held against workers and logs that are wrong."""

from __future__ import annotations

import io
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import demo
import pytest
import sample
import weblog
import workers
from demo import Demo
from rich.console import Console
from rich.progress import Progress
from workers import LANGUAGES, Worker, WorkerFailure

LINES = 70  # more than must be in flight


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "small.log"
    path.write_bytes(sample.sample(LINES))
    return path


def run_demo(*arguments: str | Path, fault: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(Path(demo.__file__)), *map(str, arguments)]
    environment = {**os.environ, "DEMO_FAULT": fault}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)


def last_line(run: subprocess.CompletedProcess[str]) -> str:
    return run.stdout.rstrip("\n").rsplit("\n", 1)[-1]


# ---- the whole demo ----


@pytest.mark.timeout(600)
def test_the_synthetic_sample_is_identical_everywhere() -> None:
    run = run_demo()
    users = weblog.parse(sample.sample()).users
    assert (run.returncode, run.stderr) == (0, "")
    assert last_line(run) == f"demo: {sample.LINES} lines, {users} users, 16/16 pairs identical"
    assert "synthetic" in run.stdout
    for language in LANGUAGES:
        assert re.search(rf"^{language} +\S+ to \S+ .* 0 +same", run.stdout, re.M)
    for one in LANGUAGES:
        for other in LANGUAGES:
            assert re.search(rf"{one} -> {other} .* same", run.stdout)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_flipped_byte_is_found_and_its_line_named(log: Path, language: str) -> None:
    run = run_demo(log, fault=f"{language}:17")
    assert run.returncode == 1
    assert re.search(
        rf"^demo: {language} encodes line 17 differently: byte \d+ of its frame \(field \w+\)", run.stdout, re.M
    )
    # Each language sees it too when it decodes.
    for other in LANGUAGES:
        assert re.search(rf"^demo: {other} decodes from {language}'s bytes .*line 17\b", run.stdout, re.M)
    # The seven pairs with that language are not identical, the others are.
    assert last_line(run).startswith("demo: FAILED: ")
    assert "9/16 pairs identical" in last_line(run)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("line", [1, LINES])
def test_the_first_and_the_last_line_are_compared_too(log: Path, line: int) -> None:
    run = run_demo(log, fault=f"c:{line}")
    assert run.returncode == 1
    assert f"c encodes line {line} differently" in run.stdout


@pytest.mark.timeout(600)
def test_binary_junk_is_a_log_of_lines_out_of_shape(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    # NULs, invalid UTF-8, CR, a line longer than the default limit of a frame, and no LF at the end.
    junk.write_bytes(random.Random(1).randbytes(30_000) + b"\n\0\r\n" + b"\xff" * ((1 << 20) + 5))
    count = junk.read_bytes().count(b"\n") + 1
    run = run_demo(junk)
    assert (run.returncode, run.stderr) == (0, "")
    assert re.fullmatch(rf"demo: {count} lines, \d+ users, 16/16 pairs identical", last_line(run))
    assert f" {count} out of shape" in run.stdout
    with_nul = sum(b"\0" in line for line in junk.read_bytes().split(b"\n"))
    assert f"{with_nul} lines have a NUL and are no visits" in run.stdout


ODD = [
    "",
    " ",
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1" 200 5',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1" 200 5 ',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1" 200 5x',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1" 200 - rest',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1" 200 -5',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1" 200 ',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1" 200 4294967295',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1" 200 4294967296',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1" 200 0000000001',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1" 200 00000000001',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1" 2000 5',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1" 20 5',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t" 999 5',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t HTTP/1.1 x" 200 5',
    'h - - [17/May/2015:10:05:03 +0000] "GET  HTTP/1.1" 200 5',
    'h - - [17/May/2015:10:05:03 +0000] "GET" 200 5',
    'h - - [17/May/2015:10:05:03 +0000] "G\tT /t\x00\x7f H" 200 5',
    'h  - - [17/May/2015:10:05:03 +0000] "GET /t" 200 5',
    ' h - - [17/May/2015:10:05:03 +0000] "GET /t" 200 5',
    'h\tx - - [17/May/2015:10:05:03 +0000] "GET /t" 200 5',
    'h - x\x0b [17/May/2015:10:05:03 +0000] "GET /t" 200 5',
    'h\x00\x1c - \x85 [17/May/2015:10:05:03 +0000] "GET /t" 200 5',
    'h - - [29/Feb/2016:23:59:59 -2359] "GET /t" 200 5',
    'h - - [29/Feb/2015:23:59:59 -2359] "GET /t" 200 5',
    'h - - [29/Feb/2000:00:00:00 +2359] "GET /t" 200 5',
    'h - - [29/Feb/1900:00:00:00 +0000] "GET /t" 200 5',
    'h - - [31/Apr/2015:00:00:00 +0000] "GET /t" 200 5',
    'h - - [00/May/2015:00:00:00 +0000] "GET /t" 200 5',
    'h - - [32/May/2015:00:00:00 +0000] "GET /t" 200 5',
    'h - - [01/Jan/0000:00:00:00 +0001] "GET /t" 200 5',
    'h - - [29/Feb/0000:00:00:00 +0000] "GET /t" 200 5',
    'h - - [01/Jan/0001:00:00:00 +2359] "GET /t" 200 5',
    'h - - [31/Dec/9999:23:59:59 -2359] "GET /t" 200 5',
    'h - - [01/Jan/1970:00:00:00 +0000] "GET /t" 200 5',
    'h - - [31/Dec/1969:23:59:59 +0000] "GET /t" 200 5',
    'h - - [17/may/2015:10:05:03 +0000] "GET /t" 200 5',
    'h - - [17/May/2015:24:05:03 +0000] "GET /t" 200 5',
    'h - - [17/May/2015:10:60:03 +0000] "GET /t" 200 5',
    'h - - [17/May/2015:10:05:60 +0000] "GET /t" 200 5',
    'h - - [17/May/2015:10:05:03 +2400] "GET /t" 200 5',
    'h - - [17/May/2015:10:05:03 +0060] "GET /t" 200 5',
    'h - - [17/May/2015:10:05:03 0000] "GET /t" 200 5',
    'h - - [17/May/2015:10:05:03] "GET /t" 200 5',
    'h - - [7/May/2015:10:05:03 +0000] "GET /t" 200 5',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t" \u0662\u0660\u0660 5',
    'h - - [17/May/2015:10:05:03 +0000] "GET /t" 200 5\r',
]  # fmt: skip


@pytest.mark.timeout(600)
def test_all_languages_agree_about_lines_at_the_edge_of_the_shape(tmp_path: Path) -> None:
    odd = tmp_path / "odd.log"
    odd.write_bytes("\n".join(ODD).encode())
    run = run_demo(odd)
    assert (run.returncode, run.stderr) == (0, "")
    assert f"demo: {len(ODD)} lines" in last_line(run)


# ---- logs and faults that are none ----


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "cannot read .*: No such file or directory; give the path of a web log"),
        (lambda path: path.mkdir(), "is no regular file; give the path of a web log"),
        (lambda path: os.mkfifo(path), "is no regular file; give the path of a web log"),
        (lambda path: path.touch(), "is empty; there is nothing to show"),
        (lambda path: path.symlink_to(path), "cannot read .*; give the path of a web log"),
    ],
    ids=["missing", "folder", "pipe", "empty", "loop"],
)
def test_a_log_that_is_none_is_named(tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "log")
    run = run_demo(tmp_path / "log")
    assert run.returncode == 2
    assert re.fullmatch(rf"demo: .*{message}\n", run.stderr)
    assert str(tmp_path / "log") in run.stderr


@pytest.mark.parametrize(
    "text", ["c", "c:", ":1", "c:1:2", "rust:1", "c:x", "c:-1", "c:1 ", "c:0", f"c:{LINES + 1}", "c:\u0661"]
)
def test_a_fault_that_is_none_is_named(log: Path, text: str) -> None:
    run = run_demo(log, fault=text)
    assert run.returncode == 2
    assert run.stderr.startswith("demo: DEMO_FAULT ")
    assert run.stdout == ""


def test_more_than_one_log_is_a_wrong_usage(log: Path) -> None:
    run = run_demo(log, log)
    assert (run.returncode, run.stderr) == (2, "usage: python tests/demo/demo.py [LOG]\n")


# ---- workers that are wrong ----


def wrong_worker(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Make the worker called c a Python program."""
    monkeypatch.setitem(workers.COMMANDS, "c", [sys.executable, "-c", code])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit('line 7: boom')", "c encode: ended with status 1; stderr: line 7: boom"),
        ("import os; os.abort()", "c encode: died of SIGABRT"),
        ("print('hello')", "c encode: printed b'hello', which is no JSON"),
        ("print('[]')", r"c encode: printed b'\[\]', which is no JSON object"),
        ("pass", "c encode: ended with status 0; nothing on stderr"),
        ("import sys; print('{}'); sys.exit(3)", "c encode: ended with status 3"),
        ("import time; time.sleep(600)", "c encode: not done after 2 s"),
        ("import time; print('{}', flush=True); time.sleep(600)", "c encode: printed its results and did not end"),
    ],
)
def test_a_worker_that_fails_is_named_with_its_stderr(monkeypatch: pytest.MonkeyPatch, code: str, message: str) -> None:
    wrong_worker(monkeypatch, code)
    slow = "sleep" in code
    with (
        pytest.raises(WorkerFailure, match=message),
        Worker("c", "encode", timeout_seconds=2 if slow else 60) as worker,
    ):
        worker.finish()


def test_a_worker_that_is_not_built_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(workers.COMMANDS, "go", ["/nonexistent/demo_go"])
    with pytest.raises(
        WorkerFailure, match=r"go encode: cannot start /nonexistent/demo_go: No such file.*; run make build"
    ):
        Worker("go", "encode", timeout_seconds=1)


def test_the_demo_ends_with_1_when_a_worker_dies(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong_worker(monkeypatch, "import sys; sys.exit('line 7: boom')")
    assert demo.main([str(log)]) == 1
    assert capsys.readouterr().err == "demo: FAILED: c encode: ended with status 1; stderr: line 7: boom\n"


@pytest.fixture
def some_demo(log: Path, tmp_path: Path) -> Demo:
    progress = Progress(console=Console(file=io.StringIO()))
    return Demo(log, weblog.parse(log.read_bytes()), tmp_path, progress)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"live_blocks": 1}, "c encode: live_blocks is 1, expected 0"),
        ({"releases": 4}, "c encode: releases is 4, expected 5"),
        ({"reserves": None}, "c encode: releases is 5, expected None"),
        ({"lines": 69}, "c encode: lines is 69, expected 70"),
        ({"lines": "70"}, "c encode: lines is 70, expected 70"),
    ],
)
def test_what_a_worker_says_of_itself_is_compared(some_demo: Demo, change: dict[str, Any], message: str) -> None:
    good = {"live_blocks": 0, "reserves": 5, "releases": 5, "lines": 70}
    pair = some_demo.pairs["c", "go"]
    some_demo.expect("c encode", good, [pair], lines=70)
    assert some_demo.differences == []
    assert pair.same
    some_demo.expect("c encode", {**good, **change}, [pair], lines=70)
    assert some_demo.differences == [message]
    assert not pair.same


def test_where_bytes_differ_is_said_by_line_offset_and_field(some_demo: Demo) -> None:
    start = len(some_demo.frames[0])
    data = bytearray(some_demo.bytes)
    data[start + 6] ^= 0xFF
    assert some_demo.where_bytes_differ(bytes(data)) == (
        f"line 2 differently: byte 6 of its frame (field timestamp) is ff, expected 00; stream offset {start + 6}"
    )
    assert "line 70 differently" in some_demo.where_bytes_differ(some_demo.bytes[:-1])
    assert "is missing, expected" in some_demo.where_bytes_differ(some_demo.bytes[:-1])
    assert some_demo.where_bytes_differ(some_demo.bytes + b"!!") == "2 bytes more than the 70 lines have"


def test_where_dumps_differ_is_said_by_line_and_field(some_demo: Demo) -> None:
    rows = some_demo.dump.decode().split("\n")
    columns = rows[3].split(" ")

    def differ(changed: list[str]) -> str:
        return some_demo.where_dumps_differ("\n".join(changed).encode())

    other = " ".join([*columns[:2], "99", *columns[3:]])
    assert differ([*rows[:3], other, *rows[4:]]) == "line 4 differently: field sequence is 99, expected 3"
    other = " ".join([*columns[:-1], "ff" + columns[-1][2:]])
    assert differ([*rows[:3], other, *rows[4:]]) == "line 4 differently: field body is ff at its byte 0, expected 31"
    refused = "error 3 500 14 subject SB_CORRUPT"
    assert differ([*rows[:3], *rows[4:-1], refused, ""]) == f"no row of line 4 ({refused})"
    assert differ([*rows[:-2], ""]) == "no row of line 70 (nothing said of it)"
    assert differ([*rows[:-1], refused, ""]) == "71 rows, expected 70"


def test_a_visit_that_differs_is_named_by_user_line_writer_and_field(some_demo: Demo) -> None:
    for number, language in enumerate(LANGUAGES):
        store, count = some_demo.stores[language], LINES
        store.first, store.last = count * number // 4 + 1, count * (number + 1) // 4
    rows = some_demo.visits_dump.decode().split("\n")
    columns = rows[3].split(" ")
    writer = LANGUAGES[(int(columns[1]) - 1) * 4 // LINES]

    def differ(changed: list[str]) -> str:
        return some_demo.where_visits_differ("\n".join(changed).encode())

    place = f"another visit of user {columns[0]} than line {columns[1]}, which {writer} wrote: "
    other = " ".join([*columns[:2], "5", *columns[3:]])
    assert differ([*rows[:3], other, *rows[4:]]) == f"{place}field time_ns is 5, expected {columns[2]}"
    other = " ".join([*columns[:-1], "ff" + columns[-1][2:]])
    assert differ([*rows[:3], other, *rows[4:]]) == f"{place}field text is ff at its byte 0, expected {columns[-1][:2]}"
    assert differ([*rows[:-2], ""]) == f"{len(rows) - 2} visits, expected {len(rows) - 1}"
    assert differ([*rows[:-1], rows[0], ""]) == f"{len(rows)} visits, expected {len(rows) - 1}"


def write_all_visits(some_demo: Demo) -> None:
    for number, language in enumerate(LANGUAGES):
        some_demo.write_visits(number, language)


def test_a_lost_quarter_is_found_by_every_reader(some_demo: Demo) -> None:
    write_all_visits(some_demo)
    some_demo.visits_file.unlink()
    for number, language in enumerate(LANGUAGES[:3]):
        some_demo.write_visits(number, language)
    assert some_demo.differences == []
    for language in LANGUAGES:
        some_demo.read_visits(language)
        assert f"{language} reads another visit" in some_demo.differences[-1]
        assert not some_demo.stores[language].same


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_damaged_file_of_visits_fails_its_reader(some_demo: Demo, language: str) -> None:
    write_all_visits(some_demo)
    demo.flip_byte(some_demo.visits_file, 4096 + 100)
    with pytest.raises(WorkerFailure, match=f"{language} read-visits: ended with status 1; stderr: .*4"):
        some_demo.read_visits(language)


# ---- what must come out ----


def test_a_line_becomes_the_request_that_the_design_says() -> None:
    line = b'h - - [17/May/2015:10:05:03 +0130] "GET /a?b HTTP/1.1" 404 4294934529 "-" "agent"'
    assert weblog.request_of(line) == (1431851703000, b"/a?b", [404, -1, -32767], line)
    assert weblog.request_of(line.replace(b"4294934529", b"-")) == (
        1431851703000, b"/a?b", [404, 0, 0], line.replace(b"4294934529", b"-")
    )  # fmt: skip


HOME = b"h - - [17/May/2015:10:05:03 +0130]"
SHAPES: list[tuple[bytes, tuple[int, bytes, list[int]] | None]] = [
    (HOME + b' "GET /a HTTP/1.1" 200 5', (0, b"/a", [200, 0, 5])),
    (HOME + b' "GET /a HTTP/1.1" 200 5\r', (0, b"/a", [200, 0, 5])),
    (HOME + b' "GET /a HTTP/1.1" 200 5"', (0, b"/a", [200, 0, 5])),
    (HOME + b' "GET /a HTTP/1.1" 200 5368709120 "-"', (0, b"/a", [200, -1, -1])),
    (HOME + b' "GET /a HTTP/1.1" 200 ' + b"9" * 5000, (0, b"/a", [200, -1, -1])),
    (HOME + b' "GET /a HTTP/1.1" 200 ' + b"0" * 5000 + b"7", (0, b"/a", [200, 0, 7])),
    (HOME + b' "GET /a HTTP/1.1" - -', (0, b"/a", [0, 0, 0])),
    (HOME + rb' "GET /a?q=\"x\" HTTP/1.1" 200 5', (0, rb"/a?q=\"x\"", [200, 0, 5])),
    (HOME + rb' "GET /a\" 200 6 HTTP/1.1" 404 5', (0, rb"/a\" 200 6", [404, 0, 5])),
    (HOME + rb' "GET /a\\" 200 5 "x"', (0, rb"/a\\", [200, 0, 5])),
    (HOME + rb' "GET /a\" 200 5 "x"', (0, b"/a\\", [200, 0, 5])),
    (HOME + b' "GET /a\\', None),
    (HOME + b' "GET /a"b"c HTTP/1.1" 200 5', (0, b'/a"b"c', [200, 0, 5])),
    (HOME + b' "GET /a\xff\xfe\n HTTP/1.1" 200 5', (0, b"/a\xff\xfe\n", [200, 0, 5])),
    (HOME + b' "GET  /a b  c  HTTP/1.1" 200 5', (0, b"/a b  c", [200, 0, 5])),
    (HOME + b' "GET /a HTTP/1.1 HTTP/1.1" 200 5', (0, b"/a HTTP/1.1", [200, 0, 5])),
    (HOME + b' "GET HTTP/1.1" 200 5', (0, b"HTTP/1.1", [200, 0, 5])),
    (HOME + b' "GET /a HTTP/x" 200 5', (0, b"/a HTTP/x", [200, 0, 5])),
    (HOME + b' "GET /a HTTP/" 200 5', (0, b"/a HTTP/", [200, 0, 5])),
    (HOME + b' "GET /a " 200 5', (0, b"/a ", [200, 0, 5])),
    (HOME + b' "GET  " 200 5', (0, b"", [200, 0, 5])),
    (HOME + b' "GET" 200 5', (0, b"", [200, 0, 5])),
    (HOME + b' " /a" 200 5', (0, b"", [200, 0, 5])),
    (HOME + b' "" 400 0', (0, b"", [400, 0, 0])),
    (HOME + b' "-" 408 -', (0, b"", [408, 0, 0])),
    (HOME + b' "\x16\x03\x01 \x02" 400 0', (0, b"", [400, 0, 0])),
    (HOME + rb' "\x16\x03 \x01" 400 0', (0, b"", [400, 0, 0])),
    (HOME + b' "G\xc3\xa4T /a" 400 0', (0, b"", [400, 0, 0])),
    (HOME + b' "G_T /a" 400 0', (0, b"/a", [400, 0, 0])),
    (HOME + b' "GET /a" 200 5x', None),
    (HOME + b' "GET /a" 2000 5', None),
    (HOME + b' "GET /a" 200', None),
    (HOME + b" GET /a 200 5", None),
    (HOME + b'"GET /a" 200 5', None),
    (b"v h - john smith [17/May/2015:10:05:03.0419 +0130]" + b' "GET /a" 200 5', (41, b"/a", [200, 0, 5])),
    (b"h [17/May/2015:10:05:03,5 +0130]" + b' "GET /a" 200 5', (500, b"/a", [200, 0, 5])),
    (b"h [17/May/2015:10:05:03. +0130]" + b' "GET /a" 200 5', None),
    (b"[17/May/2015:10:05:03 +0130]" + b' "GET /a" 200 5', None),
    (b"h [x [17/May/2015:10:05:03 +0130]" + b' "GET /a" 200 5', (0, b"/a", [200, 0, 5])),
    (b"h [99/May/2015:10:05:03 +0130] [17/May/2015:10:05:03 +0130]" + b' "GET /a" 200 5', None),
    (b"h [17/May/2015:10:04:60 +0130]" + b' "GET /a" 200 5', (-3000, b"/a", [200, 0, 5])),
    (b"h [17/May/2015:10:04:61 +0130]" + b' "GET /a" 200 5', None),
    (b"\xef\xbb\xbfh [17/May/2015:10:05:03 +0130]" + b' "GET /a" 200 5', (0, b"/a", [200, 0, 5])),
]


@pytest.mark.parametrize(("line", "expected"), SHAPES)
def test_what_a_line_says(line: bytes, expected: tuple[int, bytes, list[int]] | None) -> None:
    wanted = expected and (1431851703000 + expected[0], *expected[1:], line)
    assert weblog.request_of(line) == wanted


ODD_BYTES = [b"", b'"', b"\\", b" ", b"[", b"-", b"\r", b"\t", b"\xff", b"0", b"HTTP/1", b"\0"]


def test_all_languages_read_odd_lines_as_the_independent_check_does(tmp_path: Path) -> None:
    """Those above, and what comes of them when bytes are changed, added and left out."""
    draw = random.Random(5)
    lines = [line.replace(b"\n", b"\v") for line, _ in SHAPES]
    for line in list(lines) * 40:
        changed = bytearray(line[:300])
        for _ in range(draw.randrange(1, 4)):
            at = draw.randrange(len(changed) + 1)
            changed[at : at + draw.randrange(2)] = draw.choice(ODD_BYTES)
        lines.append(bytes(changed).replace(b"\n", b""))
    log = tmp_path / "log"
    log.write_bytes(b"\n".join(lines) + b"\n")
    run = run_demo(log)
    assert run.returncode == 0, run.stdout
    assert last_line(run).startswith(f"demo: {len(lines)} lines, ")
    assert last_line(run).endswith(" users, 16/16 pairs identical")


@pytest.mark.parametrize(
    ("field", "user"),
    [
        (b"1.2.3.4", 0x01020304),
        (b"\xef\xbb\xbf1.2.3.4", 0x01020304),
        (b"255.255.255.255", 0xFFFFFFFF),
        (b"0.0.0.0", 0),
        (b"", 0),
        (b"123456789", 0xE3069283),
        (b"1.2.3.04", None),
        (b"1.2.3.256", None),
        (b"1.2.3", None),
        (b"\xff", None),
    ],
)
def test_the_first_field_is_an_ipv4_address_or_gives_its_checksum(field: bytes, user: int | None) -> None:
    assert weblog.user_of(field + b" - - rest") == (weblog.crc32c(field) if user is None else user)


def test_the_newest_visits_of_each_user_stay_in_the_order_of_their_times() -> None:
    late, early = (f'h - - [17/May/2015:10:05:{second:02} +0000] "GET /{second} HTTP/1.1" 200 1' for second in (30, 3))
    lines = [late, *[early] * 11, "h\0", "h", "g"]
    dump = weblog.visits_dump(weblog.parse("\n".join(lines).encode())).decode().splitlines()
    ids = {
        user: [int(row.split(" ")[1]) for row in dump if row.startswith(f"{user} ")]
        for user in map(weblog.user_of, (b"g", b"h"))
    }
    assert ids == {weblog.user_of(b"g"): [15], weblog.user_of(b"h"): [1, 12, 11, 10, 9, 8, 7, 6, 5, 4]}
    assert dump[-1].split(" ")[2:] != dump[0].split(" ")[2:]


def test_lines_end_with_lf_and_the_last_one_need_not() -> None:
    assert weblog.parse(b"a\nb").lines == weblog.parse(b"a\nb\n").lines == [b"a", b"b"]
    assert weblog.parse(b"\n").lines == [b""]
    assert weblog.parse(b"a\r\n\n").lines == [b"a\r", b""]
    assert weblog.parse(b"u 1\nu 2\nv\n").users == 2


def test_sequences_wrap_after_127() -> None:
    frames = weblog.parse(b"x\n" * 300).frames()
    assert [frame[5] for frame in frames[126:131]] == [126, 127, 128, 129, 130]
    assert frames[256][5] == 0


def test_the_sample_is_the_same_each_time_and_has_what_real_logs_have() -> None:
    data = sample.sample()
    assert data == sample.sample()
    log = weblog.parse(data)
    assert 0 < log.out_of_shape < len(log.lines) // 20
    assert b"2001:db8::" in data
    assert b".example.org" in data
