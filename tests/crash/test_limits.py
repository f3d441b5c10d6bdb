"""What the store does when the system gives no more: no room, no memory, no right to write; and processes in turns."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.crash.build import ALWAYS, INTERVAL, NONE, compiled


@pytest.fixture(scope="module")
def limits(core: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(core, tmp_path_factory.mktemp("limits"), "limits")


def run(*command: object, prefix: tuple[str, ...] = ()) -> None:
    result = subprocess.run([*prefix, *map(str, command)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"exit {result.returncode}: {result.stdout}{result.stderr}"


def mounted(folder: Path, script: str) -> None:
    """Run *script* where *folder* is a file system of 4 MiB in memory that no other process sees."""
    folder.mkdir()
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    run(*own, "sh", "-euc", f"mount -t tmpfs -o size=4m tmpfs '{folder}'; {script}")


@pytest.mark.parametrize("mode", [NONE, INTERVAL, ALWAYS])
def test_a_limit_of_file_size_fails_adds_and_nothing_else(limits: Path, tmp_path: Path, mode: str) -> None:
    run(limits, "fsize", tmp_path / "visits", mode)


@pytest.mark.parametrize("mode", [NONE, INTERVAL, ALWAYS])
def test_a_full_disk_leaves_a_store_that_reads_and_adds_when_there_is_room(
    limits: Path, tmp_path: Path, mode: str
) -> None:
    mounted(tmp_path / "small", f"'{limits}' full '{tmp_path / 'small'}' {mode}")


def test_a_file_system_that_cannot_be_written_can_be_read(limits: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    mounted(
        folder,
        f"'{limits}' make '{folder}/visits' 3 10; mount -o remount,ro '{folder}'; '{limits}' read-only '{folder}/visits'",
    )


@pytest.mark.parametrize("kind", ["record", "old", "index"])
def test_a_file_takes_memory_for_what_it_has_not_for_what_it_claims(limits: Path, tmp_path: Path, kind: str) -> None:
    visits = 2000 if kind == "index" else 200  # which is too few for an index
    run(limits, "make", tmp_path / "visits", visits, 100, kind)
    run(limits, "memory", tmp_path / "visits", 24, 0)


def test_a_walk_over_a_large_file_takes_little_memory(limits: Path, tmp_path: Path) -> None:
    run(limits, "make", tmp_path / "visits", 60000, 1000)
    assert (tmp_path / "visits").stat().st_size > 60_000_000
    run(limits, "memory", tmp_path / "visits", 24, 1)


def test_processes_write_in_turns(limits: Path, tmp_path: Path) -> None:
    path = tmp_path / "visits"
    visits = 200
    both = [subprocess.Popen([str(limits), "turns", str(path), str(me), str(visits)]) for me in (0, 1)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    run(limits, "count", path, 2 * visits)
