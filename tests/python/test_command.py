"""The command `samebytes`: in this process by click's runner, and as a process where streams, locks and terminals matter."""

from __future__ import annotations

import json
import os
import pty
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click.testing
import pytest

import samebytes
from samebytes._command import _doctor, _frames, _show, _weblog, main
from tests.python.conftest import REFERENCE, ROOT

LOG = b"""192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /first HTTP/1.1" 200 12
this - - [01/Jan/1970:00:00:00 +0000] is no request
host.example - - [17/May/2015:10:05:04 +0130] "GET /second HTTP/1.1" 404 -
192.0.2.1 - - [17/May/2015:10:05:02 +0000] "GET /third\xff HTTP/1.1" 200 12 "-" "\xe2\x82\xac"
192.0.2.1 with a \0
"""
HOME = 0xC0000201  # 192.0.2.1


def run(*arguments: str | Path, input: bytes | None = None) -> click.testing.Result:
    result = click.testing.CliRunner().invoke(main, [str(argument) for argument in arguments], input=input)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def objects(result: click.testing.Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def process(*arguments: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "samebytes", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **more)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.write_bytes(LOG)
    return path


@pytest.fixture
def store(tmp_path: Path, log: Path) -> Path:
    path = tmp_path / "visits"
    assert run("visits", path, "import", log).exit_code == 0
    return path


# ---- visits ----


def test_import_counts_what_is_odd_and_makes_visits_of_the_rest(tmp_path: Path, log: Path) -> None:
    result = run("visits", tmp_path / "new", "import", log, "--json")
    assert result.exit_code == 0
    counts = {"lines": 5, "added": 4, "already_there": 0, "evicted": 0, "refused": 1, "skipped": 0}
    details = {"out_of_shape": 1, "not_understood": 0, "with_nul": 1, "too_long": 0, "displaced": 0}
    assert objects(result) == [counts | details]
    with samebytes.VisitManager(tmp_path / "new", read_only=True, as_bytes=True) as manager:
        found = {(v.user, v.visit_id, v.url, v.text, v.time_ns) for v in manager.scan()}
    lines = LOG.split(b"\n")
    second = 10**9
    start = 1431857103 * second
    assert found == {
        (HOME, 1, b"/first", lines[0], start),
        (samebytes.crc32c(0, b"this"), 2, b"", lines[1], 0),
        (samebytes.crc32c(0, b"host.example"), 3, b"/second", lines[2], start + second - 5400 * second),
        (HOME, 4, b"/third\xff", lines[3], start - second),
    }


def test_importing_again_adds_nothing_and_other_ids_do(store: Path, log: Path) -> None:
    run("visits", store, "import", log)
    assert objects(run("visits", store, "stats", "--json"))[0]["visits"] == 4
    run("visits", store, "import", log, "--first-id", "100")
    assert objects(run("visits", store, "stats", "--json"))[0]["visits"] == 8


def test_import_reads_the_standard_input_and_keeps_what_it_is_told(tmp_path: Path) -> None:
    lines = b"".join(b'1.2.3.4 - - [17/May/2015:10:05:%02d +0000] "GET /%d" 200 1\n' % (i, i) for i in range(30))
    result = run("visits", tmp_path / "v", "import", "-", "--max-visits", "3", input=lines)
    assert result.exit_code == 0
    shown = objects(run("visits", tmp_path / "v", "show", "1.2.3.4", "--json"))
    assert [visit["url"] for visit in shown] == ["/29", "/28", "/27"]


def test_ids_above_32_bits_are_refused(tmp_path: Path, log: Path) -> None:
    result = run("visits", tmp_path / "v", "import", log, "--first-id", str(2**32 - 2))
    assert result.exit_code == 2
    assert "line 3 would have the visit_id 4294967296" in result.stderr


def test_stats_tell_what_the_file_holds_and_what_lies_beside_it(store: Path) -> None:
    for name in (
        "visits.cut",
        "visits.cut.12",
        "visits.v0",
        "visits.cute",
        "visits.cut.x",
        "visits.lock",
        "visitsX.cut",
    ):
        (store.parent / name).touch()
    (found,) = objects(run("visits", store, "stats", "--json"))
    assert found["file_bytes"] == store.stat().st_size
    assert (found["format"], found["max_visits"], found["users"], found["visits"]) == (1, 10, 3, 4)
    assert found["beside"] == [f"{store}.cut", f"{store}.cut.12", f"{store}.v0"]
    shown = run("visits", store, "stats").stdout
    assert f"{store}.v0" in shown
    assert "max visits  10\n" in shown


def test_users_and_their_visits_are_listed(store: Path) -> None:
    users = {HOME: 2, samebytes.crc32c(0, b"this"): 1, samebytes.crc32c(0, b"host.example"): 1}
    assert objects(run("visits", store, "users", "--json")) == [{"user": u, "visits": users[u]} for u in sorted(users)]
    table = run("visits", store, "users").stdout.splitlines()
    assert table[0].split() == ["user", "visits"]
    assert [line.split() for line in table[1:]] == [[str(u), str(users[u])] for u in sorted(users)]


@pytest.mark.parametrize("user", ["192.0.2.1", str(HOME)])
def test_a_user_is_shown_newest_first(store: Path, user: str) -> None:
    newest, oldest = objects(run("visits", store, "show", user, "--json"))
    assert newest["visit_id"] == 1
    assert newest["time"] == "2015-05-17T10:05:03.000000000Z"
    assert newest["time_ns"] == 1431857103 * 10**9
    assert oldest["url"] == {"base64": "L3RoaXJk/w=="}
    lines = run("visits", store, "show", user).stdout.splitlines()
    assert lines[0] == "2015-05-17T10:05:03.000000000Z  1  /first"
    assert lines[2] == "2015-05-17T10:05:02.000000000Z  4  /third\\xff"
    assert lines[3].endswith("... (82 bytes)")
    assert run("visits", store, "show", user, "--full").stdout.splitlines()[3].endswith('"-" "\u20ac"')


def test_a_user_without_visits_is_told(store: Path) -> None:
    result = run("visits", store, "show", "5")
    assert (result.exit_code, result.stdout) == (0, "user 5 has no visits\n")
    assert run("visits", store, "show", "5", "--json").stdout == ""


@pytest.mark.parametrize("user", ["x", "-1", "4294967296", "1.2.3.256", "1.2.3.04", ""])
def test_a_user_that_is_none_is_a_wrong_usage(store: Path, user: str) -> None:
    assert run("visits", store, "show", "--", user).exit_code == 2


def test_verify_is_content_with_a_good_file(store: Path) -> None:
    result = run("visits", store, "verify", "--json")
    assert result.exit_code == 0
    (report,) = objects(result)
    assert (report["format"], report["users"], report["visits"], report["damaged_bytes"]) == (1, 3, 4, 0)


def test_verify_finds_damage_says_where_and_ends_with_1(store: Path) -> None:
    data = bytearray(store.read_bytes())
    data[4096 + 100] ^= 1
    store.write_bytes(data)
    result = run("visits", store, "verify")
    assert result.exit_code == 1
    assert str(store) in result.stderr
    assert "41" in result.stderr  # an offset from 4100 to 4199
    assert store.read_bytes() == data
    for command in ("stats", "users", "compact"):
        assert run("visits", store, command).exit_code == 1


def test_verify_tells_of_an_end_that_was_never_acknowledged_as_on_disk(store: Path, log: Path) -> None:
    code = "import os, sys, samebytes; kept = samebytes.VisitManager(sys.argv[1]); kept.add_visit(9, 9, '/url', 'text'); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(store)], check=True, timeout=60)
    with store.open("r+b") as file:
        file.truncate(store.stat().st_size - 8)  # as a loss of power leaves it
    result = run("visits", store, "verify", "--json")
    assert result.exit_code == 1
    (report,) = objects(result)
    assert (report["visits"], report["damaged_offset"] > 0, report["damaged_bytes"] > 0) == (4, True, True)
    assert run("visits", store, "import", log).exit_code == 0
    (found,) = objects(run("visits", store, "stats", "--json"))
    assert (found["visits"], found["beside"]) == (4, [f"{store}.cut"])
    assert run("visits", store, "verify").exit_code == 0


def test_salvage_copies_what_is_valid_and_leaves_the_file(store: Path, tmp_path: Path) -> None:
    data = bytearray(store.read_bytes())
    data[-10] ^= 1
    store.write_bytes(data)
    result = run("visits", store, "salvage", tmp_path / "saved", "--json")
    assert result.exit_code == 0
    (report,) = objects(result)
    assert report["damaged_bytes"] > 0
    assert 0 < report["visits"] < 4
    assert store.read_bytes() == data
    assert run("visits", tmp_path / "saved", "verify").exit_code == 0
    # What is there is not written over.
    assert run("visits", store, "salvage", tmp_path / "saved").exit_code == 2


def test_salvage_of_what_is_no_store_ends_with_1(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"no visits here " * 1000)
    result = run("visits", junk, "salvage", tmp_path / "saved")
    assert result.exit_code == 1
    assert not (tmp_path / "saved").exists()


def test_compact_makes_the_file_smaller(store: Path, log: Path) -> None:
    for first in range(1, 200):
        run("visits", store, "import", log, "--first-id", str(first * 10))
    result = run("visits", store, "compact", "--json")
    assert result.exit_code == 0
    (sizes,) = objects(result)
    assert sizes["bytes_after"] == store.stat().st_size < sizes["bytes_before"]
    assert objects(run("visits", store, "stats", "--json"))[0]["visits"] == 30


READING = [["stats"], ["users"], ["show", "1"], ["verify"], ["compact"], ["salvage", "out"]]


@pytest.mark.parametrize("command", READING, ids=lambda command: command[0])
def test_a_file_that_is_missing_is_named_and_not_made(tmp_path: Path, command: list[str]) -> None:
    result = run("visits", tmp_path / "none", *command)
    assert result.exit_code == 2
    assert str(tmp_path / "none") in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", READING, ids=lambda command: command[0])
def test_a_directory_is_no_file(tmp_path: Path, command: list[str]) -> None:
    result = run("visits", tmp_path, *command)
    assert result.exit_code == 2
    assert str(tmp_path) in result.stderr


def test_an_empty_file_is_an_empty_store(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    result = run("visits", tmp_path / "empty", "stats", "--json")
    assert result.exit_code == 0
    assert objects(result)[0]["visits"] == 0
    assert run("visits", tmp_path / "empty", "users", "--json").stdout == ""
    assert (tmp_path / "empty").stat().st_size == 0


OLD = struct.pack("=QQ IQ IQ3sQ2s qq", 10, 1, 7, 1, 3, 3, b"/u\0", 2, b"t\0", 5, 9)  # max_visits, one user, one visit


def test_a_file_of_the_old_format_is_read_as_it_is_and_upgraded_by_compact(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(OLD)
    assert objects(run("visits", old, "stats", "--json"))[0]["format"] == 0
    assert objects(run("visits", old, "show", "7", "--json"))[0]["time_ns"] == 5_000_000_009
    assert objects(run("visits", old, "verify", "--json"))[0]["format"] == 0
    assert old.read_bytes() == OLD
    assert run("visits", old, "compact").exit_code == 0
    (found,) = objects(run("visits", old, "stats", "--json"))
    assert (found["format"], found["visits"], found["beside"]) == (1, 1, [f"{old}.v0"])
    assert (tmp_path / "old.v0").read_bytes() == OLD


def test_reading_works_beside_a_writer_and_changing_does_not(store: Path, log: Path) -> None:
    with samebytes.VisitManager(store) as manager:
        manager.add_visit(9, 1, "/url", "text")
        assert objects(run("visits", store, "stats", "--json"))[0]["users"] == 4
        for command in (["compact"], ["import", str(log)]):
            done = process("visits", store, *command)
            assert done.returncode == 3
            assert str(store) in done.stderr
            assert "another handle or process writes this file" in done.stderr
            assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [[], ["frob"], ["visits"], ["visits", "x", "frob"], ["frames"], ["doctor", "x"], ["--frob"]]
)
def test_a_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments", [["--help"], ["visits", "x", "show", "--help"], ["frames", "--help"], ["--version"]]
)
def test_help_and_version_are_no_failure(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 0


@pytest.mark.parametrize(
    ("line", "url", "seconds"),
    [
        (b'h - - [17/May/2015:10:05:03 +0130] "GET /a HTTP/1.1" 200 5', b"/a", 1431857103 - 5400),
        (b'h - - [29/Feb/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 5', None, None),
        (b'h - - [17/May/2015:24:05:03 +0000] "GET /a HTTP/1.1" 200 5', None, None),
        (b'h - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 4294967296', b"/a", 1431857103),
        (b'h - - [31/Dec/9999:23:59:59 +0000] "GET /a" 200 -', b"/a", (2**63 - 1) // 10**9),
        (b'h - - [01/Jan/0000:00:00:00 +0000] "GET /a" 200 -', b"/a", -((2**63 - 1) // 10**9)),
        (b"", None, None),
    ],
)
def test_a_line_gives_url_and_time(line: bytes, url: bytes | None, seconds: int | None) -> None:
    found = _weblog.parse_common(line)
    assert (found and (found.url, found.time_ns)) == (None if seconds is None else (url, seconds * 10**9))


# ---- frames ----


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    """A request, one whose subject is too long for it, a response, and a request again."""
    bad = bytearray(REFERENCE)
    bad[17] = 200
    response = b"\0\0\0\x1b\0\5" + (7).to_bytes(4) + (8).to_bytes(8) + b"\0\0\0\1s" + b"\0\0\0\4b\n\xffb"
    path = tmp_path / "stream"
    path.write_bytes(REFERENCE + bad + response + REFERENCE)
    return path


def test_frames_are_shown_field_by_field_as_the_manual_says(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(REFERENCE)
    result = run("frames", tmp_path / "one")
    assert result.exit_code == 0
    manual = (ROOT / "docs/command-line.md").read_text()
    assert result.stdout in manual


def test_every_field_lies_where_it_is_said_to(stream: Path) -> None:
    data = stream.read_bytes()
    first, bad, response, last, end = objects(run("frames", stream, "--json"))
    assert [field["offset"] for field in first["fields"]] == [6, 14, 22, 30]
    assert (bad["offset"], bad["error"]["field"], bad["error"]["offset"], bad["error"]["status"]) == (
        57,
        "subject",
        71,
        "SB_CORRUPT",
    )
    assert (response["direction"], response["message"], response["sequence"], response["offset"]) == (
        "response",
        "EchoResponse",
        5,
        114,
    )
    offsets = {field["name"]: field["offset"] for field in response["fields"]}
    assert data[offsets["id"] :][:4] == (7).to_bytes(4)
    assert data[offsets["body"] + 4 :][:4] == b"b\n\xffb"
    assert response["fields"][-1]["value"] == {"base64": "Ygr/Yg=="}
    assert last["offset"] == 114 + 31
    assert last["fields"][0]["offset"] == last["offset"] + 6
    assert end == {"bytes": len(data), "frames": 4, "damaged": 1, "missing": 0, "ended": False}


def test_damage_ends_with_1_and_is_shown_with_offset_and_field(stream: Path) -> None:
    result = run("frames", stream)
    assert result.exit_code == 1
    assert "frame 1 at 57: DAMAGED at 71, field subject: " in result.stdout
    assert "frame 3 at 145: EchoRequest" in result.stdout
    assert "b\\n\\xffb" in result.stdout
    assert result.stdout.endswith("4 frames, 1 damaged, 202 bytes\n")


@pytest.mark.parametrize("cut", [*range(1, 57)])
def test_a_stream_that_ends_inside_a_frame_says_what_is_missing(cut: int) -> None:
    result = run("frames", "-", "--json", input=REFERENCE + REFERENCE[:cut])
    assert result.exit_code == 1
    end = objects(result)[-1]
    assert (end["frames"], end["damaged"]) == (1, 1)
    assert end["missing"] == (4 - cut if cut < 4 else 57 - cut)


def test_a_wrong_size_ends_the_stream(tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(REFERENCE + b"\xff" * 100 + REFERENCE)
    result = run("frames", tmp_path / "junk", "--json")
    assert result.exit_code == 1
    good, bad, end = objects(result)
    assert (good["frame"], bad["frame"], bad["offset"]) == (0, 1, 57)
    assert (end["ended"], end["missing"]) == (True, 0)
    assert "the stream has ended there" in run("frames", tmp_path / "junk").stdout


def test_an_empty_stream_is_whole() -> None:
    result = run("frames", "-", input=b"")
    assert (result.exit_code, result.stdout) == (0, "0 frames, 0 bytes\n")


def test_pieces_of_the_stream_may_be_cut_anywhere(stream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run("frames", stream).stdout
    for piece in (1, 3, 5, 58):
        monkeypatch.setattr(_frames, "PIECE", piece)
        assert run("frames", stream).stdout == whole


def test_other_messages_come_from_a_schema_file(tmp_path: Path) -> None:
    schema = tmp_path / "sensors.schema"
    schema.write_text(
        "message Reading request 9 { place string; values array<int32>; names array<string>; level int8; }"
    )
    with samebytes.Builder() as builder, samebytes.load_schemas(schema)["Reading"] as reading:
        builder.add(reading, 3, (b"roof", [1, -2], [b"a", b"bcd"], 5))
        data = bytes(builder)
    (tmp_path / "stream").write_bytes(data)
    row, _ = objects(run("frames", tmp_path / "stream", "--schema", schema, "--json"))
    found = {field["name"]: (field["type"], field["offset"], field["value"]) for field in row["fields"]}
    assert found == {
        "place": ("string", 6, "roof"),
        "values": ("array<int32>", 14, [1, -2]),
        "names": ("array<string>", 24, ["a", "bcd"]),
        "level": ("int8", 38, 5),
    }
    assert run("frames", tmp_path / "stream", "--schema", schema, "--direction", "response").exit_code == 2
    assert run("frames", tmp_path / "stream").exit_code == 1  # no such api_key


def test_long_values_are_cut_unless_all_is_wanted(tmp_path: Path) -> None:
    with samebytes.Builder() as builder:
        samebytes.echo_add_request(builder, samebytes.EchoRequest(1, b"s" * 500, tuple(range(100)), b"", 0))
        (tmp_path / "stream").write_bytes(bytes(builder))
    short, full = run("frames", tmp_path / "stream").stdout, run("frames", tmp_path / "stream", "--full").stdout
    assert f'"{"s" * 60}... (500 bytes)"' in short
    assert "59, ... (100 items)]" in short
    assert f'"{"s" * 500}"' in full
    assert "98, 99]" in full


@pytest.mark.parametrize("arguments", [["none"], ["."], ["--schema", "none", "x"], ["--max-frame-size", "0", "x"]])
def test_a_stream_that_is_none_is_a_wrong_usage(arguments: list[str]) -> None:
    assert run("frames", *arguments).exit_code == 2


def test_a_schema_that_is_wrong_is_said_with_its_line(tmp_path: Path, stream: Path) -> None:
    (tmp_path / "bad.schema").write_text("message\nX")
    result = run("frames", stream, "--schema", tmp_path / "bad.schema")
    assert result.exit_code == 2
    assert "bad.schema:" in result.stderr


def test_nobody_reading_on_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "many").write_bytes(REFERENCE * 5000)
    command = f"{sys.executable} -m samebytes frames {tmp_path / 'many'} | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.startswith("frame 0 at 0")
    assert done.stderr == ""


# ---- doctor ----


def test_doctor_tells_what_is_loaded_here(backend_name: str) -> None:
    result = run("doctor", "--json")
    assert result.exit_code == 0
    (facts,) = objects(result)
    assert facts["package"] == samebytes.__version__
    assert facts["back_end"] == backend_name
    assert facts["library_digest"] == facts["package_digest"] == f"{samebytes.abi_digest():016x}"
    assert facts["instance"] == f"{samebytes.instance_id():016x}"
    assert facts["images"] == [facts["library"]]
    assert facts["problems"] == []
    assert run("doctor").stdout.endswith("All parts belong together.\n")


@pytest.fixture
def backend_name() -> str:
    return os.environ.get("SAMEBYTES_BACKEND") or "cffi"


MAPS = """7f00-7f01 r-xp 00000000 fe:00 1 /a/libsamebytes.so.1
7f01-7f02 r--p 00000000 fe:00 1 /a/libsamebytes.so.1
7f03-7f04 r-xp 00000000 fe:00 2                          /b dir/libsamebytes.so.1.0.0
7f05-7f06 r-xp 00000000 fe:00 3 /c/libother.so
7f07-7f08 rw-p 00000000 00:00 0
"""


def test_two_images_of_the_library_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "maps").write_text(MAPS)
    monkeypatch.setattr(_doctor, "MAPS", tmp_path / "maps")
    result = run("doctor")
    assert result.exit_code == 1
    assert (
        "problem: 2 images of the library are loaded: /a/libsamebytes.so.1, /b dir/libsamebytes.so.1.0.0"
        in result.stdout
    )


def test_parts_that_do_not_belong_together_are_told() -> None:
    facts = {"library": samebytes._library.__file__, "library digest": "1", "package digest": "2"}
    problems = _doctor.problems_of(facts, ["one"], {"cffi": 1, "ctypes": 2})
    assert len(problems) == 2


# ---- progress ----


def on_a_terminal(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit status, stdout, and what a terminal on stderr got."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "samebytes", *map(str, arguments)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    out, _ = started.communicate(timeout=60)
    return started.returncode, out.decode(), shown.decode()


@pytest.mark.parametrize(
    ("arguments", "label"),
    [(["verify"], "verify"), (["compact"], "compact"), (["salvage", "OUT"], "salvage"), (["import", "LOG"], "import")],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_long_work_shows_a_bar_on_a_terminal_and_none_elsewhere(
    store: Path, log: Path, arguments: list[str], label: str
) -> None:
    names = {"OUT": str(store.parent / "out"), "LOG": str(log)}
    status, out, shown = on_a_terminal("visits", store, *(names.get(argument, argument) for argument in arguments))
    assert status == 0
    assert label in shown
    assert "100%" in shown
    assert label not in out
    names["OUT"] = str(store.parent / "out2")
    done = process("visits", store, *(names.get(argument, argument) for argument in arguments))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_bar_does_not_hide_a_failure(store: Path) -> None:
    data = bytearray(store.read_bytes())
    data[4096 + 100] ^= 1
    store.write_bytes(data)
    status, _, shown = on_a_terminal("visits", store, "verify")
    assert status == 1
    assert "samebytes: " in shown


def test_interrupted_work_ends_quietly(tmp_path: Path) -> None:
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "log")
    started = subprocess.Popen(
        [sys.executable, "-m", "samebytes", "visits", str(tmp_path / "v"), "import", str(tmp_path / "log")],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with (tmp_path / "log").open("wb"):
        time.sleep(0.2)
        started.send_signal(signal.SIGINT)
        _, shown = started.communicate(timeout=60)
    assert started.returncode == 130
    assert shown.decode().strip() == "Aborted!"


def test_times_are_told_to_the_nanosecond() -> None:
    assert _show.time_text(0) == "1970-01-01T00:00:00.000000000Z"
    assert _show.time_text(-1) == "1969-12-31T23:59:59.999999999Z"
    assert _show.time_text(2**63 - 1) == "2262-04-11T23:47:16.854775807Z"
    assert _show.time_text(-(2**63) + 2) == "1677-09-21T00:12:43.145224194Z"
