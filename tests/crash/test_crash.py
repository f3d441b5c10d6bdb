"""The promises of docs/file-format.md, held against crashes: a recording that is cut everywhere, and processes that are killed."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.crash.build import ALWAYS, CC, FLAGS, HERE, INTERVAL, NONE, compiled

NIGHTLY = bool(os.environ.get("SAMEBYTES_NIGHTLY"))
# The images of a replay are made and synced by the thousand, which a disk takes minutes for.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture(scope="module")
def programs(core: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("programs")
    recorder = folder / "recorder.so"
    subprocess.run([CC, *FLAGS, "-shared", "-fPIC", str(HERE / "recorder.c"), "-o", str(recorder), "-ldl"], check=True)
    return {
        "recorder": recorder,
        "worker": compiled(core, folder, "worker", "-Wl,--wrap=pwrite"),
        "replay": compiled(core, folder, "replay", "-Wl,--wrap=sb_priv_boot"),
        "killed": compiled(core, folder, "killed"),
    }


def record(
    programs: dict[str, Path], folder: Path, mode: str, operations: int, *prefix: str, extra: str | None = None
) -> Path:
    work = folder / "work"
    work.mkdir()
    recording = folder / "recording"
    environment = {
        **os.environ,
        "RECORD_FOLDER": str(work),
        "RECORD_TO": str(recording),
        "LD_PRELOAD": str(programs["recorder"]),
    }
    if prefix:  # strace itself is not to be recorded
        environment.pop("LD_PRELOAD")
        prefix = (*prefix, "-E", f"LD_PRELOAD={programs['recorder']}")
    command = [*prefix, str(programs["worker"]), str(work), mode, str(operations), *([extra] if extra else [])]
    subprocess.run(command, check=True, env=environment)
    return recording


def replay(
    programs: dict[str, Path], recording: Path, mode: str, seed: int, *flags: str
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="samebytes-images-", dir=MEMORY) as images:
        command = [str(programs["replay"]), str(recording), images, mode, str(seed), *flags]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("mode", [NONE, INTERVAL, ALWAYS])
def test_a_crash_at_any_call_keeps_what_was_promised(programs: dict[str, Path], tmp_path: Path, mode: str) -> None:
    recording = record(programs, tmp_path, mode, 200)
    for seed in range(50 if NIGHTLY else 2):
        result = replay(programs, recording, mode, seed)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "200 operations acknowledged" in result.stdout


def test_a_crash_while_a_thread_compacts_keeps_what_was_promised(programs: dict[str, Path], tmp_path: Path) -> None:
    recording = record(programs, tmp_path, ALWAYS, 200, extra="thread")
    for seed in range(50 if NIGHTLY else 2):
        result = replay(programs, recording, ALWAYS, seed)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "200 operations acknowledged" in result.stdout


@pytest.mark.parametrize("mode", [NONE, INTERVAL, ALWAYS])
def test_a_change_that_found_no_room_does_not_come_back(programs: dict[str, Path], tmp_path: Path, mode: str) -> None:
    recording = record(programs, tmp_path, mode, 60, extra="full")
    for seed in range(50 if NIGHTLY else 3):
        result = replay(programs, recording, mode, seed)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "60 operations acknowledged" in result.stdout


@pytest.mark.parametrize("extra", ["upgrade", "cut"])
@pytest.mark.parametrize("mode", [NONE, ALWAYS])
def test_a_crash_while_a_file_is_upgraded_or_recovered_loses_nothing(
    programs: dict[str, Path], tmp_path: Path, mode: str, extra: str
) -> None:
    recording = record(programs, tmp_path, mode, 60, extra=extra)
    for seed in range(200 if NIGHTLY else 2):
        result = replay(programs, recording, mode, seed)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "60 operations acknowledged" in result.stdout


@pytest.mark.parametrize("mode", [INTERVAL, ALWAYS])
def test_a_store_that_did_not_sync_would_be_found_out(programs: dict[str, Path], tmp_path: Path, mode: str) -> None:
    recording = record(programs, tmp_path, mode, 100)
    result = replay(programs, recording, mode, 1, "forget-syncs")
    assert result.returncode == 1
    assert "holds no state that it may hold" in result.stdout or "damaged" in result.stdout


def test_a_mark_that_was_not_synced_would_be_found_out(programs: dict[str, Path], tmp_path: Path) -> None:
    recording = record(programs, tmp_path, NONE, 20)
    results = [replay(programs, recording, NONE, seed, "forget-marks") for seed in range(20)]
    assert any(result.returncode == 1 and "move that away" in result.stdout for result in results)


def calls_recorded(recording: Path) -> dict[str, int]:
    names = [
        "",
        "write",
        "sync",
        "sync",
        "create",
        "create",
        "truncate",
        "rename",
        "link",
        "unlink",
        "rename",
    ]  # recording.h
    counts: dict[str, int] = {}
    data = recording.read_bytes()
    offset = 0
    while offset < len(data):
        call, *sizes = (int.from_bytes(data[offset + i : offset + i + 4], "little") for i in range(0, 16, 4))
        offset += 24 + sum(sizes)
        counts[names[call]] = counts.get(names[call], 0) + 1
    return counts


KINDS = {
    "write": r"write|pwrite64|writev|pwritev|pwritev2|copy_file_range|sendfile|splice|fallocate",
    "create": r"open|openat|openat2|creat|mknod|mknodat|mkdir|mkdirat",
    "sync": r"fsync|fdatasync|sync|syncfs|msync",
    "truncate": r"ftruncate|truncate",
    "rename": r"rename|renameat|renameat2",
    "link": r"link|linkat|symlink|symlinkat",
    "unlink": r"unlink|unlinkat",
}


def calls_seen(trace: Path, work: Path) -> dict[str, int]:
    """What strace saw of successful calls on files in *work*."""
    seen: dict[str, int] = {}
    for line in trace.read_text(errors="replace").splitlines():
        call = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if call is None or not re.search(rf"{re.escape(str(work))}[/>\"]", line) or re.search(r"= -1 ", line):
            continue
        assert call[1] != "mmap", f"the store maps a file: {line}"
        if call[1].startswith("open") and not re.search(r"\bO_(CREAT|TRUNC|TMPFILE)\b", line):
            continue
        kind = next(kind for kind, names in KINDS.items() if call[1] in names.split("|"))
        seen[kind] = seen.get(kind, 0) + 1
    return seen


@pytest.mark.parametrize("extra", [None, "upgrade", "cut", "secret"])
def test_the_recorder_misses_no_call_that_strace_sees(
    programs: dict[str, Path], tmp_path: Path, extra: str | None
) -> None:
    if shutil.which("strace") is None:
        pytest.fail("strace is needed: apt-get install strace")
    trace = tmp_path / "trace"
    every = ",".join(f"?{name}" for names in KINDS.values() for name in names.split("|"))  # not every machine has each
    strace = ("strace", "-f", "-y", "-o", str(trace), "-e", f"trace={every},mmap")
    counts = calls_recorded(record(programs, tmp_path, ALWAYS, 120, *strace, extra=extra))
    seen = calls_seen(trace, tmp_path / "work")
    assert seen["write"] > 100
    assert seen["create"] > 3  # marks, lock, store, and a compaction
    assert ("link" in seen) == (extra in ("upgrade", "secret"))
    if extra == "secret":  # each kind of call is found out that goes past the recorder
        counts = {kind: counts.get(kind, 0) + 1 for kind in KINDS}
    assert seen == counts


@pytest.mark.parametrize("mode", [NONE, INTERVAL, ALWAYS])
def test_killed_while_four_threads_write(programs: dict[str, Path], tmp_path: Path, mode: str) -> None:
    path = tmp_path / "visits"
    chance = random.Random(int(mode))
    acknowledged = [0, 0, 0, 0]
    for _ in range(100 if NIGHTLY else 8):
        with (tmp_path / "said").open("w+b") as said:
            process = subprocess.Popen([str(programs["killed"]), "write", str(path), mode], stdout=said)
            time.sleep(0.05 + chance.random() * 0.25)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            said.seek(0)
            for line in said.read().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    thread, number = map(int, line.split())
                    acknowledged[thread] = max(acknowledged[thread], number)
        subprocess.run([str(programs["killed"]), "check", str(path), *map(str, acknowledged)], check=True)
    assert sum(acknowledged) > 0
