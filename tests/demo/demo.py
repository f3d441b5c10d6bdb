"""The main job on a real web log: four languages, the same bytes.

    python tests/demo/demo.py [LOG]

C, Python by CFFI, Python by ctypes, and Go each encode the whole log, decode what every one of them encoded, and serve it to every
one of them over TCP. Then each writes a quarter of the lines as visits into one file, and all read the whole file. All must agree
with each other and with an independent codec and model in pure Python. README.md says more.

Exit status: 0 all is identical; 1 something differs, and is named; 2 the input is no log to work on.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sample
import weblog
import workers
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from weblog import Weblog
from workers import LANGUAGES, Worker, WorkerFailure

SAMPLE = workers.ROOT / "build/demo/sample.log"
IN_FLIGHT_WANTED = 64
DIFFERENCES_SHOWN_MAX = 20
PAIRS = [(one, other) for one in LANGUAGES for other in LANGUAGES]


class BadInput(Exception):
    """There is nothing to work on; exit status 2."""


@dataclass
class Pair:
    """What two languages did together: `one` encoded and was the client, `other` decoded and was the server."""

    one: str
    other: str
    decode_rate: float = 0.0  # frames a second
    echo_rate: float = 0.0
    in_flight_max: int = 0
    memory: list[Mapping[str, Any]] = field(default_factory=list)
    same: bool = True

    @property
    def name(self) -> str:
        return f"{self.one} -> {self.other}"


@dataclass
class Store:
    """What one language did with the file of visits."""

    first: int = 0  # the lines that it wrote
    last: int = 0
    write_rate: float = 0.0  # lines a second
    read_rate: float = 0.0  # visits a second
    live_blocks: int = 0
    same: bool = True


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def rate(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0


# ---- input ----


def read_log(path: Path) -> bytes:
    try:
        if not path.is_file() and path.exists():
            raise BadInput(f"{path} is no regular file; give the path of a web log")
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}; give the path of a web log") from None
    if not data:
        raise BadInput(f"{path} is empty; there is nothing to show")
    return data


@dataclass(frozen=True)
class Fault:
    """One byte to flip: of the frame of `line`, counted from 1, as `language` encoded it."""

    language: str
    line: int


def read_fault(text: str, lines: int) -> Fault | None:
    if not text:
        return None
    match = re.fullmatch(rf"({'|'.join(LANGUAGES)}):(\d{{1,18}})", text, re.ASCII)
    if not match:
        raise BadInput(
            f"DEMO_FAULT is {text!r}; it is LANGUAGE:LINE, with one of {', '.join(LANGUAGES)}, such as go:17"
        )
    if not 1 <= int(match[2]) <= lines:
        raise BadInput(f"DEMO_FAULT names line {match[2]}; the log has lines 1 to {lines}")
    return Fault(match[1], int(match[2]))


def flip_byte(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 0x20]))


# ---- what must be the same ----


def common_size(one: bytes | str, other: bytes | str) -> int:
    """How many bytes or characters both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (ours, theirs) in pairs if ours != theirs), min(len(one), len(other)))


def value_difference(name: str, found: str, expected: str) -> str:
    """How a value differs from the expected one; strings stand in hex in a dump."""
    if name not in ("subject", "body", "url", "text"):
        return f"is {found}, expected {expected}"
    offset = common_size(found, expected) // 2
    theirs, ours = (value[2 * offset : 2 * offset + 2] or "missing" for value in (found, expected))
    return f"is {theirs} at its byte {offset}, expected {ours}"


class Demo:
    """The log, what must come out, and what did."""

    def __init__(self, path: Path, log: Weblog, folder: Path, progress: Progress) -> None:
        self.path = path
        self.log = log
        self.folder = folder
        self.progress = progress
        self.timeout_seconds = 60 + len(log.lines) / 1000
        self.frames = log.frames()
        self.bytes = b"".join(self.frames)
        self.dump = weblog.dump_of(self.bytes)
        self.encoded: dict[str, Mapping[str, Any]] = {}
        self.pairs = {pair: Pair(*pair) for pair in PAIRS}
        self.stores = {language: Store() for language in LANGUAGES}
        self.visits_dump = weblog.visits_dump(log)
        self.differences: list[str] = []

    def file(self, language: str) -> Path:
        return self.folder / f"{language}.frames"

    def differ(self, what: str, *pairs: Pair | Store) -> None:
        self.differences.append(what)
        for pair in pairs:
            pair.same = False

    def expect(self, who: str, found: Mapping[str, Any], pairs: Sequence[Pair], **expected: int) -> None:
        """Hold what a worker said of itself against what it must say."""
        self.compare(who, found, pairs, {"live_blocks": 0, "releases": found.get("reserves", -1), **expected})

    def compare(
        self, who: str, found: Mapping[str, Any], pairs: Sequence[Pair | Store], expected: Mapping[str, Any]
    ) -> None:
        for name, number in expected.items():
            if found.get(name) != number:
                self.differ(f"{who}: {name} is {found.get(name)}, expected {number}", *pairs)

    def run(self, *command: str | Path) -> dict[str, Any]:
        return workers.run(str(command[0]), *command[1:], timeout_seconds=self.timeout_seconds)

    # -- encode --

    def encode(self, language: str, fault: Fault | None) -> None:
        found = self.run(language, "encode", self.path, self.file(language))
        pairs = [pair for pair in self.pairs.values() if language in (pair.one, pair.other)]
        lines, out_of_shape = len(self.log.lines), self.log.out_of_shape
        self.expect(f"{language} encode", found, pairs, lines=lines, bytes=len(self.bytes), out_of_shape=out_of_shape)
        if fault and fault.language == language:
            before = sum(map(len, self.frames[: fault.line - 1]))
            flip_byte(self.file(language), before + len(self.frames[fault.line - 1]) // 2)
        data = self.file(language).read_bytes()
        if digest(data) != digest(self.bytes):
            self.differ(f"{language} encodes {self.where_bytes_differ(data)}", *pairs)
        self.encoded[language] = found

    def where_bytes_differ(self, data: bytes) -> str:
        start = 0
        for number, frame in enumerate(self.frames, start=1):
            found = data[start : start + len(frame)]
            if found != frame:
                offset = common_size(found, frame)
                there = f"is {found[offset]:02x}" if offset < len(found) else "is missing"
                name = weblog.field_at(frame, offset)
                return (
                    f"line {number} differently: byte {offset} of its frame (field {name}) {there}, "
                    f"expected {frame[offset]:02x}; stream offset {start + offset}"
                )
            start += len(frame)
        return f"{len(data) - start} bytes more than the {len(self.frames)} lines have"

    # -- decode --

    def decode(self, pair: Pair) -> None:
        dump = self.folder / "dump"
        found = self.run(pair.other, "decode", self.file(pair.one), dump)
        who = f"{pair.other} decode of {pair.one}'s bytes"
        self.expect(who, found, [pair], rows=len(self.frames), errors=0)
        data = dump.read_bytes()
        if digest(data) != digest(self.dump):
            self.differ(f"{pair.other} decodes from {pair.one}'s bytes {self.where_dumps_differ(data)}", pair)
        pair.decode_rate = rate(len(self.frames), found["seconds"])
        pair.memory.append(found)

    def where_dumps_differ(self, data: bytes) -> str:
        found, expected = data.decode(errors="replace").split("\n"), self.dump.decode().split("\n")
        for number, (theirs, ours) in enumerate(zip(found, expected, strict=False), start=1):
            if theirs == ours:
                continue
            if not ours:
                break
            columns = zip(weblog.FIELDS, theirs.split(" "), ours.split(" "), strict=False)
            name, found_value, expected_value = next(
                (column for column in columns if column[1] != column[2]), ("row", theirs, ours)
            )
            # A row of another frame: that of this line was refused.
            if name != "stream_offset":
                return f"line {number} differently: field {name} {value_difference(name, found_value, expected_value)}"
            refused = next((line for line in found if line.startswith("error ")), "nothing said of it")
            return f"no row of line {number} ({refused})"
        return f"{len(found) - 1} rows, expected {len(expected) - 1}"

    # -- echo --

    def echo(self, pair: Pair) -> None:
        """`one` is the client, `other` the server."""
        timeout = self.timeout_seconds
        with Worker(pair.other, "serve", timeout_seconds=timeout) as server:
            port = server.answer().get("port")
            with Worker(pair.one, "client", str(port), self.path, timeout_seconds=timeout) as client:
                try:
                    asked = client.finish()
                except WorkerFailure as failure:
                    # Where the server has gone first, its end explains the client's.
                    if server.process.poll() not in (None, 0):
                        raise WorkerFailure(f"{failure}; {server.ended()}") from None
                    raise
            answered = server.finish()
        frames = len(self.frames)
        self.expect(f"{pair.one} client of a {pair.other} server", asked, [pair], frames=frames)
        self.expect(f"{pair.other} server of a {pair.one} client", answered, [pair], frames=frames)
        pair.in_flight_max = answered["in_flight_max"]
        wanted = min(IN_FLIGHT_WANTED, frames)
        if pair.in_flight_max < wanted:
            self.differ(
                f"{pair.other} server of a {pair.one} client: {pair.in_flight_max} requests in flight at most, "
                f"expected {wanted} or more",
                pair,
            )
        pair.echo_rate = rate(frames, asked["seconds"])
        pair.memory += [asked, answered]

    # -- visits --

    def write_visits(self, number: int, language: str) -> None:
        """Let a language write its quarter of the lines, after those before it."""
        store, count = self.stores[language], len(self.log.lines)
        store.first, store.last = count * number // len(LANGUAGES) + 1, count * (number + 1) // len(LANGUAGES)
        lines = self.log.lines[store.first - 1 : store.last]
        with_nul = sum(b"\0" in line for line in lines)
        found = self.run(language, "write-visits", self.path, self.visits_file, str(store.first), str(store.last))
        expected = {"live_blocks": 0, "visits": len(lines) - with_nul, "with_nul": with_nul}
        self.compare(f"{language} writing visits", found, [store], expected)
        store.write_rate = rate(len(lines), found["seconds"])
        store.live_blocks = found["live_blocks"]

    def read_visits(self, language: str) -> None:
        store, dump = self.stores[language], self.folder / "visits.dump"
        found = self.run(language, "read-visits", self.visits_file, dump)
        rows = self.visits_dump.split(b"\n")[:-1]
        expected = {"live_blocks": 0, "visits": len(rows), "users": len({row.split(b" ", 1)[0] for row in rows})}
        self.compare(f"{language} reading visits", found, [store], expected)
        data = dump.read_bytes()
        if digest(data) != digest(self.visits_dump):
            self.differ(f"{language} reads {self.where_visits_differ(data)}", store)
        store.read_rate = rate(len(rows), found["seconds"])
        store.live_blocks += found["live_blocks"]

    def where_visits_differ(self, data: bytes) -> str:
        found, expected = data.decode(errors="replace").split("\n"), self.visits_dump.decode().split("\n")
        for theirs, ours in zip(found, expected, strict=False):
            if theirs == ours:
                continue
            if not (theirs and ours):
                break
            columns = list(zip(weblog.VISIT_FIELDS, theirs.split(" "), ours.split(" "), strict=False))
            name, found_value, expected_value = next(
                (column for column in columns if column[1] != column[2]), ("row", theirs, ours)
            )
            line, user = ours.split(" ")[1], ours.split(" ")[0]
            who = self.writer_of(int(line))
            return (
                f"another visit of user {user} than line {line}, which {who} wrote: "
                f"field {name} {value_difference(name, found_value, expected_value)}"
            )
        return f"{len(found) - 1} visits, expected {len(expected) - 1}"

    def writer_of(self, line: int) -> str:
        return next(language for language, store in self.stores.items() if store.first <= line <= store.last)

    @property
    def visits_file(self) -> Path:
        return self.folder / "visits"

    # -- all --

    def run_all(self, fault: Fault | None) -> None:
        encoding = self.progress.add_task("encode", total=len(LANGUAGES))
        decoding = self.progress.add_task("decode", total=len(PAIRS))
        echoing = self.progress.add_task("TCP echo", total=len(PAIRS))
        visiting = self.progress.add_task("visits", total=2 * len(LANGUAGES))
        for language in LANGUAGES:
            self.encode(language, fault)
            self.progress.advance(encoding)
        for pair in self.pairs.values():
            self.decode(pair)
            self.progress.advance(decoding)
        for pair in self.pairs.values():
            self.echo(pair)
            self.progress.advance(echoing)
        for number, language in enumerate(LANGUAGES):
            self.write_visits(number, language)
            self.progress.advance(visiting)
        for language in LANGUAGES:
            self.read_visits(language)
            self.progress.advance(visiting)


# ---- what is shown ----


def total(memory: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(int(found.get(name, 0)) for found in memory)


def new_table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    return table


def memory_cells(memory: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    return str(total(memory, "live_blocks")), f"{total(memory, 'reserves'):,} - {total(memory, 'releases'):,}"


def show_tables(console: Console, demo: Demo) -> None:
    count = len(demo.frames)
    table = new_table(
        "Encode",
        "language",
        "frames k/s",
        "MB/s",
        "live",
        "got - back",
    )
    for language, found in demo.encoded.items():
        seconds = found["seconds"]
        frames, megabytes = rate(count, seconds) / 1e3, rate(len(demo.bytes), seconds) / 1e6
        table.add_row(language, f"{frames:,.0f}", f"{megabytes:,.0f}", *memory_cells([found]))
    console.print(table, "")
    columns = "pair", "decode k/s", "echo k/s", "in flight", "live", "got - back", ""
    table = new_table("Encoder -> decoder, client -> server", *columns)
    for pair in demo.pairs.values():
        rates = f"{pair.decode_rate / 1e3:,.0f}", f"{pair.echo_rate / 1e3:,.0f}", str(pair.in_flight_max)
        table.add_row(pair.name, *rates, *memory_cells(pair.memory), "same" if pair.same else "NOT")
    console.print(table, "")
    show_visits(console, demo)
    console.print("k/s: thousands a second: frames, lines written, visits read")
    console.print("live: blocks that are out at the end")
    console.print("got - back: blocks that the tracing provider gave and got back")


def show_visits(console: Console, demo: Demo) -> None:
    count = demo.visits_dump.count(b"\n")
    table = new_table(
        f"Visits, all in one file: {count:,} kept", "language", "lines", "write k/s", "read k/s", "live", ""
    )
    for language, store in demo.stores.items():
        rates = f"{store.write_rate / 1e3:,.0f}", f"{store.read_rate / 1e3:,.0f}", str(store.live_blocks)
        table.add_row(language, f"{store.first:,} to {store.last:,}", *rates, "same" if store.same else "NOT")
    console.print(table, "")
    if demo.log.with_nul:
        console.print(f"{demo.log.with_nul:,} lines have a NUL and are no visits")


def verdict(demo: Demo) -> int:
    for difference in demo.differences[:DIFFERENCES_SHOWN_MAX]:
        print(f"demo: {difference}")
    more = len(demo.differences) - DIFFERENCES_SHOWN_MAX
    if more > 0:
        print(f"demo: and {more} more differences")
    same = sum(pair.same for pair in demo.pairs.values())
    lines = f"{len(demo.log.lines)} lines, {demo.log.users} users, {same}/{len(PAIRS)} pairs identical"
    if demo.differences:
        print(f"demo: FAILED: {lines}, {len(demo.differences)} differences")
        return 1
    print(f"demo: {lines}")
    return 0


def show(path: Path, is_sample: bool) -> int:
    data = read_log(path)
    log = weblog.parse(data)
    fault = read_fault(os.environ.get("DEMO_FAULT", ""), len(log.lines))
    console = Console(highlight=False)
    what = "a synthetic sample; LOG=FILE takes a real one" if is_sample else "a web log"
    console.print(f"{path}: {what}", soft_wrap=True, markup=False)
    console.print(
        f"{len(log.lines):,} lines, {len(data):,} bytes, {log.users:,} users, {log.out_of_shape:,} out of shape"
    )
    columns = TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with tempfile.TemporaryDirectory(prefix="samebytes-demo-") as folder:
        with Progress(*columns, console=console) as progress:
            demo = Demo(path, log, Path(folder), progress)
            demo.run_all(fault)
        show_tables(console, demo)
        sys.stdout.flush()
        return verdict(demo)


def main(arguments: Sequence[str]) -> int:
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print("usage: python tests/demo/demo.py [LOG]", file=sys.stderr)
        return 2
    try:
        if not arguments:
            sample.write(SAMPLE)
        return show(Path(arguments[0]).absolute() if arguments else SAMPLE, not arguments)
    except BadInput as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 2
    except WorkerFailure as failure:
        print(f"demo: FAILED: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
