"""What others do to a store's names while it is written: mounts, renames, restored copies, removed files, and kills beside."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.crash.build import ALWAYS, INTERVAL, NONE, compiled
from tests.crash.test_limits import mounted, run

NIGHTLY = bool(os.environ.get("SAMEBYTES_NIGHTLY"))
# Rounds of every disturbance in every mode; a round takes about a quarter of a second.
ROUNDS = int(os.environ.get("SAMEBYTES_NAME_ROUNDS", "200" if NIGHTLY else "2"))
LOCKED, LOST_ITS_NAME = 10, 7


@pytest.fixture(scope="module")
def names(core: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(core, tmp_path_factory.mktemp("names"), "names")


@pytest.fixture(scope="module")
def limits(core: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(core, tmp_path_factory.mktemp("limits"), "limits")


def test_a_file_that_a_container_mounts_alone_has_one_writer(names: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    mounted(
        folder,
        f"cd '{folder}'; mkdir host container; '{names}' try host/visits; touch container/visits;"
        f"mount --bind host/visits container/visits; '{names}' bind '{folder}'",
    )


def test_a_mount_over_the_folder_of_a_store_stops_its_writer(names: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    mounted(folder, f"'{names}' covered '{folder}'")


def test_a_store_in_the_lower_folder_of_an_overlay_is_copied_up_and_has_one_writer(
    names: Path, limits: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    mounted(
        folder,
        f"cd '{folder}'; mkdir lower upper work merged; '{limits}' make lower/visits 3 10; rm lower/visits.lock;"
        "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged;"
        f"'{names}' overlay '{folder}'",
    )


def test_what_is_preallocated_takes_no_room_from_what_is_added(names: Path, tmp_path: Path) -> None:
    added = {}
    for mode in (NONE, INTERVAL, ALWAYS):
        folder, said = tmp_path / f"small{mode}", tmp_path / f"said{mode}"
        mounted(folder, f"'{names}' room '{folder}' {mode} > '{said}'")
        added[mode] = int(said.read_text())
    assert added[NONE] > 60
    assert added[INTERVAL] == added[ALWAYS] == added[NONE]


class Writer:
    """A process that adds without end, and what it said to have been acknowledged."""

    def __init__(self, names: Path, folder: Path, mode: str) -> None:
        self.said = folder / "said"
        with self.said.open("wb") as said, (folder / "why").open("wb") as why:
            self.process = subprocess.Popen([names, "write", folder / "visits", mode], stdout=said, stderr=why)

    def acknowledged(self) -> list[int]:
        found = [0, 0, 0, 0]
        for line in self.said.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                thread, number = map(int, line.split())
                found[thread] = max(found[thread], number)
        return found

    def wait_until_it_adds(self) -> None:
        until = time.monotonic() + 20
        while min(self.acknowledged()) < 20:
            assert self.process.poll() is None and time.monotonic() < until, self.process.poll()
            time.sleep(0.005)


def has(names: Path, path: Path, acknowledged: list[int]) -> None:
    run(names, "has", path, *acknowledged)


@pytest.mark.parametrize("mode", [NONE, INTERVAL, ALWAYS])
def test_a_writer_whose_lock_file_is_removed_stays_alone_and_loses_nothing_when_killed(
    names: Path, tmp_path: Path, mode: str
) -> None:
    chance = random.Random(int(mode))
    for _ in range(ROUNDS):
        writer = Writer(names, tmp_path, mode)
        writer.wait_until_it_adds()
        for _ in range(5):
            (tmp_path / "visits.lock").unlink(missing_ok=True)
            assert subprocess.run([names, "try", tmp_path / "visits"], check=False).returncode == LOCKED
        time.sleep(chance.random() * 0.1)
        writer.process.send_signal(signal.SIGKILL)
        assert writer.process.wait() == -signal.SIGKILL
        has(names, tmp_path / "visits", writer.acknowledged())
        run(names, "try", tmp_path / "visits")


@pytest.mark.parametrize("how", ["rename", "restore", "remove", "rename and restore", "move the folder"])
@pytest.mark.parametrize("mode", [NONE, INTERVAL, ALWAYS])
def test_a_writer_whose_file_is_taken_away_stops_and_harms_nothing(
    names: Path, tmp_path: Path, mode: str, how: str
) -> None:
    for number in range(ROUNDS):
        chance = random.Random(f"{mode} {how} {number}")
        folder = tmp_path / f"round{number}"
        folder.mkdir()
        path, moved, backup = folder / "visits", folder / "moved", folder / "backup"
        run(names, "try", backup)
        precious = backup.read_bytes()
        writer = Writer(names, folder, mode)
        writer.wait_until_it_adds()
        time.sleep(chance.random() * 0.05)
        before = writer.acknowledged()
        kept: Path | None = None
        if how.startswith("rename"):
            path.rename(kept := moved)
        if how.endswith("restore"):
            backup.rename(path)
        if how == "remove":
            path.unlink()
        if how == "move the folder":
            folder.rename(other := tmp_path / f"moved{number}")
            folder.mkdir()
            kept = other / "visits"
        if chance.random() < 0.3:
            writer.process.send_signal(signal.SIGKILL)  # a kill at this time is another thing that may happen
        ended = writer.process.wait(timeout=20)
        assert ended in (LOST_ITS_NAME, -signal.SIGKILL)
        if kept is not None:
            has(names, kept, before)
        if path.exists():
            assert how.endswith("restore")
            assert path.read_bytes() == precious
        else:
            assert not how.endswith("restore")
        # What a killed compaction left for a store that is not there any more may be all that is left of it: it stays, and is told of.
        if (left := folder / "visits.new").exists():
            left.unlink()
        run(names, "try", path)  # nobody holds the name
        shutil.rmtree(folder)
