"""The exit statuses of the command `samebytes`: each kind of failure has its own, and the manual's table is what happens."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

import samebytes
from samebytes._command import _doctor, _status, _visits
from tests.python.conftest import REFERENCE, ROOT
from tests.python.test_command import run

STATUSES = {value for name, value in vars(_status).items() if name.isupper()} | {0}
LINE = b'192.0.2.7 - - [10/Jan/2016:16:24:47 +0100] "GET /a HTTP/1.1" 200 12\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of every kind that a command may meet."""
    with samebytes.VisitManager(tmp_path / "good") as manager:
        manager.add_visits([(1, i, "/", "text", i) for i in range(5)])
    good = (tmp_path / "good").read_bytes()
    damaged = bytearray(good)
    damaged[4096 + 60] ^= 1
    newer = bytearray(good)
    newer[8] = 2
    newer[60:64] = samebytes.crc32c(0, bytes(newer[:60])).to_bytes(4, "little")
    files = {
        "damaged": bytes(damaged),
        "newer": bytes(newer),
        "junk": b"no visits here " * 1000,
        "stream": REFERENCE,
        "cut-stream": REFERENCE + REFERENCE[:10],
        "log": LINE,
        "odd-log": b"nonsense\n",
        "cut.gz": b"\x1f\x8b\x08\x00\x00",
        "zip": b"PK\x03\x04" + bytes(50),
        "bad.schema": b"message\nX",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with samebytes.VisitManager(folder / "good"):
        yield


FOUND: list[tuple[int, str]] = [
    (0, "visits good stats"),
    (0, "visits good verify"),
    (0, "visits good compact"),
    (0, "visits good show 1"),
    (0, "visits good show 77"),
    (0, "visits good import log"),
    (0, "visits damaged salvage out"),
    (0, "frames stream"),
    (0, "doctor"),
    (0, "--help"),
    (1, "visits damaged stats"),
    (1, "visits damaged users"),
    (1, "visits damaged show 1"),
    (1, "visits damaged verify"),
    (1, "visits damaged compact"),
    (1, "visits damaged import log"),
    (1, "visits junk salvage out"),
    (1, "frames cut-stream"),
    (2, ""),
    (2, "nonsense"),
    (2, "visits good nonsense"),
    (2, "visits good show x"),
    (2, "visits none stats"),
    (2, "visits none compact"),
    (2, "visits none verify"),
    (2, "visits none salvage out"),
    (2, "visits . stats"),
    (2, "visits . import log"),
    (2, "visits good import none"),
    (2, "visits good import log --first-id 4294967297"),
    (2, "visits good.new import log"),
    (2, "visits good salvage log"),
    (2, "visits good salvage good.cut.3"),
    (2, "frames none"),
    (2, "frames stream --schema bad.schema"),
    (3, "visits newer stats"),
    (3, "visits newer compact"),
    (3, "visits good import cut.gz"),
    (3, "visits good import zip"),
    (4, "visits good import odd-log"),
    (4, "visits good import --strict log odd-log"),
]


@pytest.mark.parametrize(("status", "command"), FOUND, ids=lambda value: str(value))
def test_the_status_says_what_happened(
    status: int, command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    result = run(*command.split())
    assert result.exit_code == status, result.output
    if status not in (0, 1):
        assert result.stdout == "" or status == 4
        assert result.stderr
        assert "Traceback" not in result.stderr


def words_of(command: str) -> list[str]:
    return [sys.executable, "-m", "samebytes", *command.split()]


def process(command: str, folder: Path, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words_of(command), cwd=folder, capture_output=True, text=True, timeout=60,
                          check=False, **more)  # type: ignore[call-overload, no-any-return]  # fmt: skip


@pytest.mark.parametrize("command", ["visits good compact", "visits good import log"])
def test_a_store_that_another_program_writes(command: str, folder: Path) -> None:
    with locked(folder):
        done = process(command, folder)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1


def file_limit(size: int) -> Callable[[], None]:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("command", ["visits good compact", "visits new import log", "visits damaged salvage out"])
def test_no_room(command: str, folder: Path) -> None:
    before = (folder / "good").read_bytes()
    done = process(command, folder, preexec_fn=file_limit(4096))
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert (folder / "good").read_bytes() == before


@pytest.mark.parametrize(
    "command", ["visits good stats", "visits good users --json", "frames stream", "doctor", "--help"]
)
def test_an_output_without_room(command: str, folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words_of(command), cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=60, check=False)  # fmt: skip
    assert done.returncode == 3
    assert os.strerror(errno.ENOSPC) in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command", ["visits good users", "visits good show 1", "frames stream", "doctor --json", "--help", "visits --help"]
)
def test_a_closed_pipe(command: str, folder: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(words_of(command), cwd=folder, stdout=theirs, stderr=subprocess.PIPE, timeout=60,
                          check=False)  # fmt: skip
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("command", ["visits new import -", "frames -"])
def test_an_interrupt(command: str, folder: Path) -> None:
    """Sent when the command reads, as what comes out of the other end of its standard input shows."""
    started = subprocess.Popen(words_of(command), cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)  # fmt: skip
    assert started.stdin is not None
    piece = b"\0" * 65536
    for _ in range(40):  # more than a pipe holds: it has begun to read
        started.stdin.write(piece)
    started.stdin.flush()
    started.send_signal(signal.SIGINT)
    _, shown = started.communicate(timeout=60)
    assert started.returncode == 130
    assert shown.decode().strip() == "Aborted!"


def test_a_fault_of_samebytes_is_no_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(_visits, "reader", fails)
    result = run("visits", folder / "good", "stats")
    assert result.exit_code == 70
    assert "ZeroDivisionError: a fault" in result.stderr


def test_an_installation_that_does_not_belong_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_doctor, "problems_of", lambda *facts: ["two images"])
    assert run("doctor").exit_code == 1


def test_the_manual_has_every_status_and_no_other() -> None:
    manual = (ROOT / "docs/command-line.md").read_text()
    section = manual.partition("## Exit status")[2].partition("\n## ")[0]
    assert {int(row) for row in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == STATUSES
    assert {status for status, _ in FOUND} | {70, 130, 141} == STATUSES


# ---- what commands write ----

READING = ["stats", "users", "show 1", "show 192.0.2.7", "verify", "stats --json", "--help"]


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store whose writer was killed."""
    path = tmp_path_factory.mktemp("torn") / "store"
    code = "import os, sys, samebytes; kept = samebytes.VisitManager(sys.argv[1]); kept.add_visit(9, 9, '/url', 'text'); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, path], check=True, timeout=60)
    return path.read_bytes()


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize("name", ["good", "damaged", "newer", "junk", "none", "torn", "old", "empty"])
@pytest.mark.parametrize("beside_a_writer", [False, True])
def test_commands_that_read_write_nothing(
    command: str, name: str, beside_a_writer: bool, torn: bytes, folder: Path
) -> None:
    (folder / "torn").write_bytes(torn)
    (folder / "old").write_bytes(b"\x0a\0\0\0\0\0\0\0" + bytes(8))
    (folder / "empty").touch()
    writer: AbstractContextManager[object] = locked(folder) if beside_a_writer else nullcontext()
    with writer:
        before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
        run("visits", folder / name, *command.split())
        assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "command",
    ["compact", "import log", "import odd-log", "import none", "import zip", "salvage out", "salvage good.new"],
)
@pytest.mark.parametrize("limit", [3, 1000])
def test_commands_that_write_change_no_visit_and_no_limit(
    command: str, limit: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with samebytes.VisitManager("limited", limit) as manager:
        manager.add_visits([(1, i, f"/{i}", "text", i) for i in range(limit)])
        before = list(manager)
    there = {path.name for path in folder.iterdir()}
    run("visits", "limited", *command.split())
    with samebytes.VisitManager("limited", read_only=True) as manager:
        assert manager.get_stats().max_visits == limit
        assert manager.get_recent_visits(1) == before
    made = {path.name for path in folder.iterdir()} - there - {"limited.lock"}
    assert made == ({"out"} if command == "salvage out" else set())
    if made:
        with samebytes.VisitManager("out", read_only=True) as manager:
            assert (manager.get_stats().max_visits, list(manager)) == (limit, before)


@pytest.mark.parametrize(
    "command",
    ["compact", "verify", "salvage out", "stats", "import none", "import zip", "import odd-log", "import cut.gz"],
)
def test_what_has_nothing_to_write_makes_no_store(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    before = {path.name for path in folder.iterdir()}
    assert run("visits", "absent", *command.split()).exit_code != 0
    assert {path.name for path in folder.iterdir()} == before
