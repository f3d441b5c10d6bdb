"""Files that somebody made, or damaged: each is refused clearly or opened soundly, as a reader in Python says that shares nothing with the
core. `HOSTILE_FILES` says how many are tried, `HOSTILE_SEED` which.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash import visits_reader as reader
from tests.crash.build import compiled
from tests.crash.visits_reader import HEAD, INDEX, LIMIT, PAGE, START, VISITS, Slot, Visit, Writer

NIGHTLY = bool(os.environ.get("SAMEBYTES_NIGHTLY"))
FILES = int(os.environ.get("HOSTILE_FILES") or (300_000 if NIGHTLY else 2_000))
SEED = int(os.environ.get("HOSTILE_SEED") or (time.time_ns() if NIGHTLY else 12))
AT_ONCE = 500
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
OTHER_BOOT = 0x1234


@dataclass
class Made:
    data: bytearray
    seed: int
    what: str


def random_visits(chance: random.Random, next_id: int) -> list[Visit]:
    count = chance.choice((1, 1, 1, 2, 3))
    return [
        Visit(
            chance.randrange(100),
            next_id + chance.randrange(4),
            b"/" * chance.randrange(4),
            b"t" * chance.choice((0, 5, 30)),
        )
        for _ in range(count)
    ]


def between(chance: random.Random, writer: Writer) -> None:
    """What may come while an index is written."""
    what = chance.random()
    if what < 0.3:
        writer.visits(chance.randrange(4), random_visits(chance, 50 + chance.randrange(50)))
    elif what < 0.45:
        writer.clear(chance.randrange(4))
    elif what < 0.55:
        writer.delete(chance.randrange(4), [chance.randrange(50)])


def make(chance: random.Random, boot: int) -> tuple[Writer, list[Slot]]:
    """A store as a library could have left it, which says that it was written under *boot*."""
    writer = Writer(chance.randbytes(16), copies=chance.random() < 0.9)
    writer.limit(chance.choice((1, 2, 3, 5)))
    slots = [Slot(1, 1, writer.end, 0, boot)]
    index = 0
    for i in range(chance.randrange(1, 14)):
        what = chance.random()
        user = chance.randrange(4)
        if what < 0.6:
            writer.visits(user, random_visits(chance, 3 * i))
        elif what < 0.7:
            writer.delete(user, [chance.randrange(3 * i + 3) for _ in range(chance.choice((1, 2)))])
        elif what < 0.75:
            writer.clear(user)
        elif what < 0.83:
            writer.limit(chance.choice((1, 2, 4, 8)))
        elif what < 0.93:
            index = writer.index(chance.choice((1, 2, 10)), lambda: between(chance, writer))
        if chance.random() < 0.15:
            writer.durable = writer.end
        if chance.random() < 0.15:
            slots.append(Slot(slots[-1].generation + 1, 1, chance.choice((writer.end, writer.durable)), index, boot))
    if chance.random() < 0.4:
        slots.append(Slot(slots[-1].generation + 1, 2, writer.end, index, boot))
    return writer, slots[-2:]


def records_of(data: bytearray) -> list[int]:
    """Where records lie, as their lengths say."""
    found = []
    at = START
    while at + HEAD <= len(data):
        length = struct.unpack_from("<I", data, at)[0]
        if length < HEAD or at + reader.padded(length) > len(data):
            break
        found.append(at)
        at += reader.padded(length)
    return found


def checksum_record(made: Made, at: int) -> None:
    data = made.data
    if at + HEAD > len(data):
        return
    end = at + reader.padded(struct.unpack_from("<I", data, at)[0])
    if at + HEAD <= end <= len(data):
        struct.pack_into(
            "<I", data, at + 4, reader.crc32c(data[at + 8 : end], reader.crc32c(data[at : at + 4], made.seed))
        )


def checksum_page(made: Made) -> None:
    for at in (0, 512, 1024):
        if at + 64 <= len(made.data) and any(made.data[at : at + 60]):
            struct.pack_into("<I", made.data, at + 60, reader.crc32c(made.data[at : at + 60]))


VALUES = (
    0,
    1,
    2,
    3,
    7,
    8,
    31,
    32,
    33,
    64,
    4095,
    4096,
    4097,
    4128,
    4192,
    0xFFFF,
    0x20000000,
    0x7FFFFFFF,
    0xFFFFFFFF,
    1 << 40,
    1 << 43,
    (1 << 64) - 1,
)
FIELDS = {  # of a record: offset in it, and format
    "length": (0, "I"), "sequence": (8, "Q"), "durable": (16, "Q"), "type": (24, "B"), "reserved": (25, "B"), "count": (26, "H"),
    "user": (28, "I"), "first": (32, "Q"), "second": (40, "Q"), "third": (48, "Q"), "row": (64, "I"), "row last": (68, "I"),
    "row offset": (72, "Q"), "row length": (80, "I"), "row users": (84, "I"), "copy": (56, "Q"),
}  # fmt: skip
PAGE_FIELDS = {
    "version": (8, "H"), "reserved": (10, "H"), "start": (12, "I"), "read": (16, "Q"),
    "write": (24, "Q"), "uuid": (32, "Q"), "end": (48, "Q"),
    "generation 0": (512, "Q"), "state 0": (520, "I"), "gap 0": (524, "I"), "length 0": (528, "Q"), "index 0": (536, "Q"),
    "boot 0": (560, "Q"),
    "rest 0": (568, "I"), "generation 1": (1024, "Q"), "state 1": (1032, "I"), "length 1": (1040, "Q"), "index 1": (1048, "Q"),
    "boot 1": (1072, "Q"), "rest 1": (1080, "I"), "nothing": (2000, "Q"),
}  # fmt: skip


def change_value(chance: random.Random, data: bytearray, at: int, kind: str) -> None:
    size = struct.calcsize(kind)
    if at + size > len(data):
        return
    old = struct.unpack_from(f"<{kind}", data, at)[0]
    places = records_of(data)
    value = chance.choice(
        (*VALUES, old + 1, old - 1, old + 8, old - 8, old ^ 1 << chance.randrange(8 * size), *places, len(data))
    )
    struct.pack_into(f"<{kind}", data, at, value % (1 << 8 * size))


def change(chance: random.Random, made: Made, other: bytearray) -> None:
    """One thing that damage, or somebody, does to a file."""
    data = made.data
    places = records_of(data)
    what = chance.randrange(14)
    if not places:
        what %= 2
    place = chance.choice(places) if places else START
    end = place + reader.padded(struct.unpack_from("<I", data, place)[0]) if places else START
    if what == 0:
        name, (at, kind) = chance.choice(list(PAGE_FIELDS.items()))
        change_value(chance, data, at, kind)
        if chance.random() < 0.9:
            checksum_page(made)
    elif what == 1:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        name = "a bit"
    elif what in (2, 3, 4, 5):
        of_kind = [at for at in places if data[at + 24] in (LIMIT, PAGE, INDEX)]
        place = chance.choice(of_kind) if of_kind and what > 3 else place
        name, (at, kind) = chance.choice(list(FIELDS.items()))
        change_value(chance, data, place + at, kind)
        if chance.random() < 0.9:
            checksum_record(made, place)
    elif what == 6:
        name = "a record twice"
        data[end:end] = data[place:end]
    elif what == 7:
        name = "a record less"
        del data[place:end]
    elif what == 8:
        name = "records exchanged"
        data[place : place + 64], data[place + 64 : place + 128] = (
            data[place + 64 : place + 128],
            data[place : place + 64],
        )
    elif what == 9:
        name = "cut"
        del data[chance.randrange(START, len(data)) if chance.random() < 0.95 else chance.randrange(1, START) :]
    elif what == 10:
        name = "zeros"
        size = chance.choice((8, 64, 512))
        at = chance.choice((place, chance.randrange(len(data))))
        data[at : at + size] = bytes(len(data[at : at + size]))
    elif what == 11:
        name = "more"
        data += chance.choice((bytes(512), data[place:end], chance.randbytes(40), bytes(7)))
    elif what == 12:
        name = "a copy of another header"
        at = data.find(reader.MAGIC, START)
        if at >= 0 and at + 64 <= len(data):
            data[at + 32 + chance.randrange(16)] ^= 1
            struct.pack_into("<I", data, at + 60, reader.crc32c(data[at : at + 60]))
            checksum_record(made, max((place for place in places if place < at), default=START))
    else:
        name = "the end of another state"
        at = chance.choice([place, *range(START, len(data), 512)])
        data[at:] = other[at:]
    made.what += f", {name}"


def hostile_files(chance: random.Random, boot: int, count: int) -> Iterator[Made]:
    for _ in range(count):
        writer, slots = make(chance, chance.choice((boot, boot, OTHER_BOOT, 0)))
        # Another state of the same file: what it was at some time, with something else behind it.
        other = bytearray(writer.file(slots))
        keep = chance.choice(records_of(other))
        del other[keep:]
        other += writer.log[chance.randrange(len(writer.log)) // 8 * 8 :]
        made = Made(writer.file(slots), writer.seed, "made")
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
            change(chance, made, other)
        if not made.data:
            continue
        # All checksums right once more, now and then, so that what was changed is believed.
        if chance.random() < 0.2:
            for place in records_of(made.data):
                checksum_record(made, place)
        yield made


def expected_open(data: bytes, boot: int, *, read_only: bool) -> tuple[str, ...]:
    try:
        opened = reader.open_file(data, boot, read_only=read_only)
    except reader.Refused as refused:
        return (refused.status, "any" if refused.offset is None else str(refused.offset))
    return ("SB_OK", str(opened.tail), str(opened.tail_offset), contents(opened.visits))


def contents(visits: dict[int, list[Visit]] | None) -> str:
    if visits is None:
        return "unreadable"
    shown = (
        f"{user}/{visit.visit_id}/{visit.time}/{visit.url.hex()}/{visit.text.hex()},"
        for user, of_user in visits.items()
        for visit in of_user
    )
    return "".join(shown) + "."


def agrees(found: str, expected: tuple[str, ...]) -> bool:
    return tuple(found.split()) == expected or (expected[-1] == "any" and found.split()[0] == expected[0])


class Program:
    """The core, file by file."""

    def __init__(self, program: Path, folder: str) -> None:
        self.process = subprocess.Popen([str(program), folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.boot = int(self.stdout.readline())

    def say(self, data: bytes) -> str:
        self.stdin.write(struct.pack("<I", len(data)) + data)
        self.stdin.flush()
        return self.stdout.readline().decode()

    def end(self) -> int:
        self.stdin.close()
        return self.process.wait()


@pytest.fixture(scope="module")
def program(core: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    path = compiled(core, tmp_path_factory.mktemp("hostile"), "hostile")
    with tempfile.TemporaryDirectory(prefix="samebytes-hostile-", dir=MEMORY) as folder:
        running = Program(path, folder)
        yield running
        assert running.end() == 0


def check(program: Program, made: Made, counts: dict[str, int]) -> None:
    data = bytes(made.data)
    line = program.say(data)
    parts = line.strip().split(" | ")
    told = f"{made.what}: {line}\nthe file, as hexadecimal: {data.rstrip(bytes(1)).hex() if len(data) < 20000 else ''}"
    assert len(parts) == 4, f"the core ended at: {told}"
    to_read, to_write, verified, salvaged = parts
    for found, read_only in ((to_read, True), (to_write, False)):
        wanted = expected_open(data, program.boot, read_only=read_only)
        assert agrees(found, wanted), f"read_only {read_only}: expected {wanted}: {told}"
        counts[wanted[0] if len(wanted) == 2 else "unreadable" if wanted[-1] == "unreadable" else "opened"] += 1
    sound = reader.is_sound(data, program.boot)
    assert verified == ("sound" if sound else "unsound"), told
    counts[verified] += 1
    if sound:
        assert salvaged == "SB_OK " + to_read.split()[3], f"salvage of a sound file: {told}"


def test_hostile_files_are_refused_or_opened_as_the_format_says(program: Program) -> None:
    print(f"hostile files: HOSTILE_SEED={SEED} HOSTILE_FILES={FILES}")
    chance = random.Random(SEED)
    counts = dict.fromkeys(("opened", "unreadable", "SB_CORRUPT", "SB_UNSUPPORTED", "sound", "unsound"), 0)
    for made in hostile_files(chance, program.boot, FILES):
        check(program, made, counts)
    print(f"hostile files: {counts}")
    assert all(count > FILES // 200 for name, count in counts.items() if name != "unreadable"), counts
    assert counts["unreadable"] > 0


def test_what_the_core_writes_is_what_the_reader_reads(core: Path, tmp_path: Path, program: Program) -> None:
    """So that the reader is held against real files, too."""
    golden = Path(__file__).resolve().parents[1] / "core" / "golden"
    for path in sorted(golden.glob("visits_1_*.bin")):
        data = path.read_bytes()
        assert reader.is_sound(data, program.boot), path
        opened = reader.open_file(data, program.boot, read_only=True)
        assert opened.tail == 0
        assert opened.visits is not None
        assert sum(map(len, opened.visits.values())) == 8, path


def test_the_reader_tells_a_file_from_another(program: Program) -> None:
    """It can disagree: one that is damaged is not what it was."""
    chance = random.Random(3)
    differ = 0
    for _ in range(50):
        writer, slots = make(chance, program.boot)
        data = writer.file(slots)
        before = expected_open(bytes(data), program.boot, read_only=True)
        place = [at for at in records_of(data) if data[at + 24] == VISITS]
        if not place:
            continue
        data[chance.choice(place) + HEAD + 3] ^= 1
        differ += not agrees(program.say(bytes(data)).split(" | ")[0], before)
    assert differ > 20
