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

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
NIGHTLY = bool(os.environ.get("SAMEBYTES_NIGHTLY"))
NONE, INTERVAL, ALWAYS = "0", "1", "2"
CC = os.environ.get("CC", "gcc")
# The images of a replay are made and synced by the thousand, which a disk takes minutes for.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
FLAGS = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-pthread"]
INCLUDES = [f"-I{ROOT / folder}" for folder in ("core/include", "core/src", "tests/core")]


def compile_core(folder: Path) -> None:
    """The core, with assertions and with what is private, as object files in *folder*/core."""
    (folder / "core").mkdir()
    sources = [str(path) for path in sorted((ROOT / "core/src").glob("*.c"))]
    subprocess.run([CC, *FLAGS, *INCLUDES, "-c", *sources], check=True, cwd=folder / "core")


def compiled(folder: Path, name: str, *flags: str) -> Path:
    core = [str(path) for path in sorted((folder / "core").glob("*.o"))]
    command = [CC, *FLAGS, *INCLUDES, str(HERE / f"{name}.c"), *core, "-o", str(folder / name), *flags]
    subprocess.run(command, check=True)
    return folder / name


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("programs")
    recorder = folder / "recorder.so"
    compile_core(folder)
    subprocess.run([CC, *FLAGS, "-shared", "-fPIC", str(HERE / "recorder.c"), "-o", str(recorder), "-ldl"], check=True)
    return {
        "recorder": recorder,
        "worker": compiled(folder, "worker"),
        "replay": compiled(folder, "replay", "-Wl,--wrap=sb_priv_boot"),
        "killed": compiled(folder, "killed"),
    }


def record(programs: dict[str, Path], folder: Path, mode: str, operations: int, *prefix: str) -> Path:
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
    subprocess.run([*prefix, str(programs["worker"]), str(work), mode, str(operations)], check=True, env=environment)
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


def test_a_store_that_did_not_sync_would_be_found_out(programs: dict[str, Path], tmp_path: Path) -> None:
    recording = record(programs, tmp_path, ALWAYS, 100)
    result = replay(programs, recording, ALWAYS, 1, "forget-syncs")
    assert result.returncode == 1
    assert "holds no state that it may hold" in result.stdout or "damaged" in result.stdout


def calls_recorded(recording: Path) -> dict[str, int]:
    names = {1: "write", 2: "sync", 3: "sync", 5: "truncate", 6: "rename", 7: "link", 8: "unlink"}
    counts: dict[str, int] = {}
    data = recording.read_bytes()
    offset = 0
    while offset < len(data):
        call, *sizes = (int.from_bytes(data[offset + i : offset + i + 4], "little") for i in range(0, 16, 4))
        offset += 24 + sum(sizes)
        if call in names:
            counts[names[call]] = counts.get(names[call], 0) + 1
    return counts


def test_the_recorder_misses_no_call_that_strace_sees(programs: dict[str, Path], tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.fail("strace is needed: apt-get install strace")
    trace = tmp_path / "trace"
    kinds = {
        "write": r"write|pwrite64|writev|pwritev|pwritev2|copy_file_range|sendfile|splice|fallocate",
        "sync": r"fsync|fdatasync|sync|syncfs|msync",
        "truncate": r"ftruncate|truncate",
        "rename": r"rename|renameat|renameat2",
        "link": r"link|linkat|symlink|symlinkat",
        "unlink": r"unlink|unlinkat",
    }
    every = ",".join(name for names in kinds.values() for name in names.split("|"))
    recording = record(
        programs, tmp_path, ALWAYS, 120, "strace", "-f", "-y", "-o", str(trace), "-e", f"trace={every},mmap"
    )
    counts = calls_recorded(recording)
    work = re.escape(str(tmp_path / "work"))
    seen: dict[str, int] = {}
    for line in trace.read_text(errors="replace").splitlines():
        call = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if call is None or not re.search(rf"{work}[/>\"]", line) or re.search(r"= -1 ", line):
            continue
        assert call[1] != "mmap", f"the store maps a file: {line}"
        kind = next(kind for kind, names in kinds.items() if call[1] in names.split("|"))
        seen[kind] = seen.get(kind, 0) + 1
    assert seen.get("write", 0) > 100
    assert seen == {kind: count for kind, count in counts.items() if kind in seen}
    assert set(seen) == set(counts)


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
