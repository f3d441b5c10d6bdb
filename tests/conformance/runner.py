"""Feeds every vector to every testee and compares what comes out.

    python tests/conformance/runner.py [--testee NAME ...] [--vectors DIR] [--timeout SECONDS]

The expectations are in the vectors; here is only in how many ways each of them is asked. Exit status 0 when all passed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import protocol
from cases import VECTORS, BadVector, Case, Check, Decode, Encode, load
from protocol import FEED, LENT_MEMORY, OWN_BUFFER, Testee, TesteeFailure
from reference_codec import Refused
from visits_model import Answer, Drawing, Model, Program

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "build/venv/bin/python"
TIMEOUT_SECONDS = 30.0
# Streams up to this size are cut in every way (all chunk sizes, and in two at every byte),
EVERY_CUT_BYTES_MAX = 1000
# and up to this size fed each time in every way; larger ones take the ways in turn.
EVERY_WAY_BYTES_MAX = 300
# Ways in: mode and receive position.
WAYS = ((FEED, 0), (LENT_MEMORY, 0), (OWN_BUFFER, 0), (OWN_BUFFER, 1000), (OWN_BUFFER, -3))
LARGE_WAYS = (*WAYS[:4], (OWN_BUFFER, -3000))  # 3 bytes at a time would take long
RECEIVE_BLOCK = 65536
PARSES_MAX = 20_000  # of one stream
VISITS_SEED, VISITS_TURNS = 1, 12  # of the case that each testee has to itself
# Stores that sync lie in memory where they can: a disk that is busy takes a minute for what takes a second there.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
LARGE_CHUNKS = (1, 7, 1000, 4095, 4096, 4097, RECEIVE_BLOCK - 1, RECEIVE_BLOCK, RECEIVE_BLOCK + 1)


class Difference(Exception):
    """What came out is not what the vector says."""


class Ask(NamedTuple):
    """One request of a case, what it is called in a report, and what looks at the reply."""

    request: bytes
    label: str
    look: Callable[[bytes], None]


# ---- comparisons ----


def compare_frames(found: bytes, expected: bytes) -> None:
    for offset, (ours, theirs) in enumerate(zip(expected, found, strict=False)):
        if ours != theirs:
            raise Difference(f"byte {offset} of {len(expected)} is {theirs:02x}, expected {ours:02x}")
    if len(found) != len(expected):
        raise Difference(f"{len(found)} bytes, expected {len(expected)}")


def compare_refused(what: str, found: protocol.Refusal, expected: Refused) -> None:
    for name, ours, theirs in zip(Refused._fields, expected, found.refused, strict=True):
        if ours != theirs:
            raise Difference(f"{what}: {name} is {theirs!r}, expected {ours!r}")
    if not 0 < len(found.message.encode()) < 256:
        raise Difference(f"{what}: the message has {len(found.message.encode())} bytes, expected 1 to 255")


def compare_decoded(found: protocol.DecodeReply, check: Decode) -> None:
    expected = check.expected
    for number, (ours, theirs) in enumerate(zip(expected.rows, found.rows, strict=False)):
        if ours != theirs:
            raise Difference(f"row {number} is {shorten(theirs)}, expected {shorten(ours)}")
    if len(found.rows) != len(expected.rows):
        raise Difference(f"{len(found.rows)} rows, expected {len(expected.rows)}")
    for number, (refused, refusal) in enumerate(zip(expected.errors, found.errors, strict=False)):
        compare_refused(f"error {number}", refusal, refused)
    if len(found.errors) != len(expected.errors):
        raise Difference(f"{len(found.errors)} errors, expected {len(expected.errors)}")
    # A parse after the end of the stream tells what ended it.
    for name, status in (("end", found.end), ("again", found.again)):
        if status != expected.end:
            raise Difference(f"{name} is {status}, expected {expected.end}")
    if found.need != expected.need:
        raise Difference(f"need is {found.need}, expected {expected.need}")
    # Rows and bytes that wait for the rest of their frame lie in blocks.
    waiting = expected.end == "SB_OK" and expected.need != 4
    if found.live_blocks < (1 if expected.rows or waiting else 0):
        raise Difference(f"{found.live_blocks} live blocks while the batches were held, expected 1 or more")


def shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:300]}... ({len(text)} characters)"


# ---- how a vector is asked ----


def chunkings(data: bytes) -> Iterator[tuple[int, ...]]:
    """The ways to cut a stream; () is whole."""
    size = len(data)
    yield ()
    if size <= EVERY_CUT_BYTES_MAX:
        yield from ((chunk,) for chunk in range(1, size))
        yield from ((cut, size) for cut in range(1, size))
        return
    yield from ((chunk,) for chunk in LARGE_CHUNKS if chunk < size <= chunk * PARSES_MAX)
    # In two near the ends, and where a receive block is full; fewer where each request is long.
    near = 8 if size <= 4 * RECEIVE_BLOCK else 4
    cuts = {*range(1, near + 1), *range(size - near, size)}
    for edge in range(RECEIVE_BLOCK, min(size, 4 * RECEIVE_BLOCK), RECEIVE_BLOCK):
        cuts.update(range(edge - 4, edge + 5))
    yield from ((cut, size) for cut in sorted(cuts) if cut < size)


def feeds(check: Decode, light: bool) -> Iterator[tuple[tuple[int, ...], tuple[int, int]]]:
    """How a stream is fed: chunk sizes, and the way in."""
    size = len(check.request.data)
    if light or not check.cut:
        few = [(), (1,)] if 1 < size <= PARSES_MAX else [()]
        ways = WAYS if size <= EVERY_CUT_BYTES_MAX else WAYS[:1]
        yield from ((chunks, way) for chunks in few for way in ways)
    elif size <= EVERY_WAY_BYTES_MAX:
        yield from ((chunks, way) for chunks in chunkings(check.request.data) for way in WAYS)
    else:
        yield from zip(chunkings(check.request.data), itertools.cycle(LARGE_WAYS), strict=False)


def asks_of_decode(check: Decode, light: bool) -> Iterator[Ask]:
    seen: set[bytes] = set()

    def look(reply: bytes) -> None:
        # All ways to cut must give one result, so most replies are equal but for the live blocks, which stand last.
        if reply[:-8] in seen and int.from_bytes(reply[-8:], signed=True) > 0:
            return
        compare_decoded(protocol.unpack_decoded(reply, check.request.schemas), check)
        seen.add(reply[:-8])

    for chunks, (mode, position) in feeds(check, light):
        request = replace(check.request, mode=mode, receive_position=position, chunks=chunks)
        cut = ", ".join(map(str, chunks)) or "whole"
        label = f"decode of {len(request.data)} bytes, mode {mode}, position {position}, chunks {cut}"
        yield Ask(protocol.decode_request(request), label, look)


def asks_of_encode(check: Encode) -> Iterator[Ask]:
    def look(reply: bytes) -> None:
        if check.error is None:
            compare_frames(protocol.unpack_frames(reply), check.frames)
        elif protocol.is_ok(reply):
            raise Difference(f"was accepted, expected {check.error.status} for field {check.error.field!r}")
        else:
            compare_refused("the refusal", protocol.unpack_refusal(reply), check.error)

    for mode, name in enumerate(("take", "copy_bytes", "rows in one call", "Echo in one call")):
        yield Ask(protocol.encode_request(check.schema, check.messages, mode), f"encode, {name}", look)


def asks_of(check: Check, light: bool) -> Iterator[Ask]:
    if isinstance(check, Encode):
        yield from asks_of_encode(check)
    elif isinstance(check, Decode):
        yield from asks_of_decode(check, light)
    else:
        refuse = check

        def look(reply: bytes) -> None:
            if protocol.is_ok(reply):
                raise Difference(f"was accepted, expected {refuse.status}")
            refused, _ = protocol.unpack_refusal(reply)
            if (refused.status, refused.field) != (refuse.status, refuse.field):
                raise Difference(
                    f"{refused.status} for field {refused.field!r}, expected {refuse.status} for {refuse.field!r}"
                )

        yield Ask(protocol.decode_request(refuse.request), "decode that must be refused", look)


def look_at_live_blocks(reply: bytes) -> None:
    blocks = protocol.unpack_live_blocks(reply)
    if blocks != 0:
        raise Difference(f"{blocks} live blocks after the case, expected 0")


def run_case(testee: Testee, case: Case, light: bool = False) -> str | None:
    """Why the case failed, or None. A testee that failed is restarted, so that the next case starts afresh."""
    asks = [ask for check in case.checks for ask in asks_of(check, light)]
    asks.append(Ask(b"L", "live blocks", look_at_live_blocks))
    label = f"{len(asks)} requests"
    try:
        replies = testee.exchange([ask.request for ask in asks])
        for ask, reply in zip(asks, replies, strict=True):
            label = ask.label
            ask.look(reply)
    except (Difference, TesteeFailure) as problem:
        testee.stop()
        return f"{label}: {problem}"
    return None


# ---- the testees ----


@dataclass
class Setup:
    """A testee: how it is started, and what it must say of itself."""

    name: str
    language: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=protocol.python_environment)
    has_surface: bool = True  # it can call every function of the headers through its layer
    light: bool = False  # its code is that of another testee: streams are fed whole and byte by byte only


def _defined(path: str, macro: str) -> int:
    match = re.search(rf"#define {macro} (0x[0-9a-fA-F]+|\d+)", (ROOT / path).read_text())
    if not match:
        raise SystemExit(f"conformance: {path} does not define {macro}")
    return int(match[1], 0)


class Library(NamedTuple):
    """What every testee's library must report."""

    version: int
    digest: int
    symbols: list[str]

    @classmethod
    def of_headers(cls) -> Library:
        major, minor, patch = (
            _defined("core/include/samebytes/library.h", f"SB_VERSION_{part}") for part in ("MAJOR", "MINOR", "PATCH")
        )
        symbols = sorted(_names("core/abi/symbols.txt") - _names("core/abi/native.txt"))
        return cls(major << 16 | minor << 8 | patch, _defined("core/src/abi_digest.h", "SB_ABI_DIGEST"), symbols)


def _names(path: str) -> set[str]:
    lines = (ROOT / path).read_text().split("\n")
    return {line for line in lines if line and not line.startswith("#")}


def run_hello(testee: Testee, setup: Setup, library: Library) -> None:
    hello = protocol.unpack_hello(testee.exchange([b"H"])[0])
    expected = {"version": library.version, "digest": library.digest, "language": setup.language}
    for name, ours in expected.items():
        theirs = getattr(hello, name)
        if theirs != ours:
            raise Difference(f"{name} is {theirs!r}, expected {ours!r}")
    if hello.instance_id == 0:
        raise Difference("the instance id is 0")


def run_surface(testee: Testee, library: Library) -> None:
    names = protocol.unpack_names(testee.exchange([b"F"])[0])
    missing = sorted(set(library.symbols) - set(names))
    unknown = sorted(set(names) - set(library.symbols))
    if missing or unknown:
        raise Difference(f"not called: {', '.join(missing) or '-'}; not in symbols.txt: {', '.join(unknown) or '-'}")
    if names != sorted(names):
        raise Difference("the names are not sorted")
    look_at_live_blocks(testee.exchange([b"L"])[0])


def compare_answers(program: Program, found: Sequence[Answer | protocol.Refusal], expected: Sequence[Answer]) -> None:
    for number, (operation, ours, theirs) in enumerate(zip(program.operations, expected, found, strict=True)):
        what = f"operation {number} ({shorten(operation)})"
        if isinstance(ours, Refused) and isinstance(theirs, protocol.Refusal):
            compare_refused(what, theirs, ours)
        elif isinstance(ours, list) and isinstance(theirs, list):
            for index, (row, other) in enumerate(zip(ours, theirs, strict=False)):
                if row != other:
                    raise Difference(f"{what}: row {index} is {shorten(other)}, expected {shorten(row)}")
            if len(ours) != len(theirs):
                raise Difference(f"{what}: {len(theirs)} rows, expected {len(ours)}")
        elif ours != theirs:
            raise Difference(f"{what} gave {shorten(theirs)}, expected {shorten(ours)}")


def run_turns(testees: Sequence[Testee], path: Path, seed: int, turns: int) -> None:
    """The testees take turns with one file of visits: each does a random program, and all must say what the model says."""
    model = Model(0)
    for turn, program in enumerate(itertools.islice(Drawing(seed).programs(), turns)):
        model.open(program)
        expected = [model.run(operation) for operation in program.operations]
        testee = testees[turn % len(testees)]
        (reply,) = testee.exchange([protocol.visits_request(str(path), program)])
        try:
            compare_answers(program, protocol.unpack_answers(reply, program), expected)
        except (Difference, TesteeFailure) as problem:
            raise Difference(f"seed {seed}, turn {turn}: {problem}") from None


def run_visits(testee: Testee) -> None:
    with tempfile.TemporaryDirectory(prefix="samebytes-conformance-", dir=MEMORY) as folder:
        run_turns([testee], Path(folder) / "visits", VISITS_SEED, VISITS_TURNS)
    look_at_live_blocks(testee.exchange([b"L"])[0])


def take_turns(names: Sequence[str], path: Path, seed: int, turns: int) -> str | None:
    """Why testees that take turns with one file failed, or None."""
    with contextlib.ExitStack() as stack:
        testees = []
        for name in names:
            setup = setups(path.parent)[name]()
            testees.append(
                stack.enter_context(contextlib.closing(Testee(setup.command, setup.environment, TIMEOUT_SECONDS)))
            )
        try:
            run_turns(testees, path, seed, turns)
        except (Difference, TesteeFailure) as problem:
            return str(problem)
    return None


@dataclass
class Outcome:
    """How a testee did: what failed and why, of how many cases."""

    name: str
    case_count: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> int:
        return self.case_count - len(self.failures)

    def note(self, case: str, problem: str | None) -> None:
        self.case_count += 1
        if problem:
            self.failures.append((case, problem))


def attempt(testee: Testee, what: Callable[[], None]) -> str | None:
    try:
        what()
    except (Difference, TesteeFailure) as problem:
        testee.stop()
        return str(problem)
    return None


def run_testee(
    setup: Setup, all_cases: Sequence[Case], library: Library, timeout_seconds: float = TIMEOUT_SECONDS
) -> Outcome:
    """All cases, and what is asked of a testee besides: hello, its surface, and that it ends well."""
    outcome = Outcome(setup.name)
    started = time.monotonic()
    testee = Testee(setup.command, setup.environment, timeout_seconds)
    with contextlib.closing(testee):
        outcome.note("hello", attempt(testee, lambda: run_hello(testee, setup, library)))
        for case in all_cases:
            outcome.note(case.id, run_case(testee, case, setup.light))
        outcome.note("visits", attempt(testee, lambda: run_visits(testee)))
        if setup.has_surface:
            outcome.note("surface", attempt(testee, lambda: run_surface(testee, library)))
        outcome.note("quit", attempt(testee, testee.quit))
    outcome.seconds = time.monotonic() - started
    return outcome


def ask_python(code: str, environment: Mapping[str, str]) -> str:
    found = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, env=environment, check=False)
    if found.returncode != 0:
        raise SystemExit(f"conformance: {PYTHON} cannot use samebytes; run make build\n{found.stderr}")
    return found.stdout.strip()


def copy_package_without(layer: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Copy the installed package to `folder`, less what belongs to `layer`, and see that Python takes it from there."""
    where = Path(ask_python("import samebytes, os; print(os.path.dirname(samebytes.__file__))", {**os.environ}))
    shutil.copytree(where, folder / "samebytes", ignore=shutil.ignore_patterns("__pycache__"))
    parts = [path for path in (folder / "samebytes").iterdir() if re.match(rf"_(layer_)?{layer}\b", path.name)]
    if not parts:
        raise SystemExit(f"conformance: {where} has no module of the layer {layer}")
    for path in parts:
        path.unlink()
    look = f"import samebytes, importlib.util as u; print(samebytes.__file__, u.find_spec('samebytes._layer_{layer}'))"
    found = ask_python(look, environment)
    if found.split() != [str(folder / "samebytes/__init__.py"), "None"]:
        raise SystemExit(f"conformance: the copy without the layer {layer} is not what Python imports, but {found}")


def program(name: str) -> list[str]:
    return [str(ROOT / "build/bin" / name)]


def python_setup(backend: str, name: str, **changes: str | Path) -> Setup:
    command = [str(PYTHON), str(ROOT / "tests/conformance/testee.py")]
    return Setup(name, backend, command, protocol.python_environment(SAMEBYTES_BACKEND=backend, **changes))


def setups(folder: Path) -> dict[str, Callable[[], Setup]]:
    """All testees by name. `folder` is where the -alone ones get their copies of the package."""

    def alone(backend: str, other: str) -> Setup:
        setup = python_setup(backend, f"{backend}-alone", PYTHONPATH=folder / backend)
        setup.light = True
        copy_package_without(other, folder / backend, setup.environment)
        return setup

    return {
        "c": lambda: Setup("c", "c", program("testee_c"), has_surface=False),
        "cffi": lambda: python_setup("cffi", "cffi"),
        "ctypes": lambda: python_setup("ctypes", "ctypes"),
        "go": lambda: Setup("go", "go", program("testee_go")),
        # Big-endian: what is written and read must not depend on the machine.
        "c-s390x": lambda: Setup("c-s390x", "c", ["qemu-s390x-static", *program("testee_c_s390x")], has_surface=False),
        "cffi-alone": lambda: alone("cffi", "ctypes"),
        "ctypes-alone": lambda: alone("ctypes", "cffi"),
    }


TESTEES = ("c", "cffi", "ctypes", "go", "c-s390x", "cffi-alone", "ctypes-alone")


def run_all(
    names: Sequence[str], all_cases: Sequence[Case], timeout_seconds: float = TIMEOUT_SECONDS, light: bool = False
) -> list[Outcome]:
    """One testee per processor at a time. `light`: streams are fed whole and byte by byte only."""
    library = Library.of_headers()
    with (
        tempfile.TemporaryDirectory(prefix="samebytes-conformance-") as folder,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        chosen = [setups(Path(folder))[name]() for name in names]
        for setup in chosen:
            setup.light = setup.light or light
        return list(pool.map(lambda setup: run_testee(setup, all_cases, library, timeout_seconds), chosen))


def report(outcomes: Sequence[Outcome]) -> int:
    for outcome in outcomes:
        for case, problem in outcome.failures:
            print(f"FAILED {outcome.name} {case}: {problem}")
    print(f"{'testee':14}{'cases':>7}{'passed':>8}{'failed':>8}{'seconds':>9}")
    for outcome in outcomes:
        print(
            f"{outcome.name:14}{outcome.case_count:7}{outcome.passed:8}{len(outcome.failures):8}{outcome.seconds:9.1f}"
        )
    passed, failed = sum(outcome.passed for outcome in outcomes), sum(len(outcome.failures) for outcome in outcomes)
    cases = max(outcome.case_count for outcome in outcomes)
    print(f"conformance: {cases} cases x {len(outcomes)} testees, {passed} passed, {failed} failed")
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Feed every vector to every testee and compare what comes out.")
    parser.add_argument("--testee", action="append", choices=TESTEES, help="only this one; may be repeated")
    parser.add_argument("--vectors", type=Path, default=VECTORS, help="folder of vector files")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="seconds without a byte: a hang")
    options = parser.parse_args(arguments)
    try:
        all_cases = load(options.vectors)
    except BadVector as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    return report(run_all(options.testee or TESTEES, all_cases, options.timeout))


if __name__ == "__main__":
    sys.exit(main())
