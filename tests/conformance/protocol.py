"""What runner and testees say to each other (README.md), and the process at the other end."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import visits_model
from reference_codec import DIRECTIONS, STATUS_NAMES, TYPES, Refused, Row, Schema, Value, item_type
from visits_model import Answer, Operation, Program, Visit

REPLY_SIZE_MAX = 1 << 28  # a longer reply is garbage
STDERR_SHOWN_MAX = 2000

FEED, LENT_MEMORY, OWN_BUFFER = 0, 1, 2  # the modes of decode


class TesteeFailure(Exception):
    """The testee crashed, hung, or answered something that is no reply. It has to be restarted."""


class Refusal(NamedTuple):
    """An error as a testee reports it."""

    refused: Refused
    message: str


class Hello(NamedTuple):
    version: int
    digest: int
    instance_id: int
    language: str


class DecodeReply(NamedTuple):
    rows: list[Row]
    errors: list[Refusal]
    end: str
    again: str
    need: int
    live_blocks: int


@dataclass(frozen=True)
class DecodeRequest:
    """What a parser is made of and how it is fed."""

    schemas: tuple[Schema, ...]
    data: bytes
    max_frame_size: int = 0
    mode: int = FEED
    receive_position: int = 0
    accept_extra: bool = False
    chunks: tuple[int, ...] = ()


def pack_text(data: bytes | str) -> bytes:
    if isinstance(data, str):
        data = data.encode()
    return struct.pack(">I", len(data)) + data


def pack_schema(schema: Schema) -> bytes:
    head = pack_text(schema.name) + struct.pack(
        ">BbH", DIRECTIONS.get(schema.direction, 7), schema.api_key, len(schema.fields)
    )
    # Names that the format does not know stand for a number that the library does not know either.
    return head + b"".join(
        pack_text(field.name) + struct.pack(">B", TYPES.get(field.type, 99)) for field in schema.fields
    )


def pack_value(kind: str, value: Value) -> bytes:
    if isinstance(value, int):
        return struct.pack(">q", value)
    if isinstance(value, bytes):
        return pack_text(value)
    items = [pack_value(item_type(kind), item) for item in value]
    return struct.pack(">I", len(items)) + b"".join(items)


def encode_request(schema: Schema, messages: Iterable[tuple[int, tuple[Value, ...]]], mode: int) -> bytes:
    packed = [
        struct.pack(">b", sequence)
        + b"".join(pack_value(field.type, value) for field, value in zip(schema.fields, values, strict=True))
        for sequence, values in messages
    ]
    return b"E" + pack_schema(schema) + struct.pack(">BI", mode, len(packed)) + b"".join(packed)


def decode_request(request: DecodeRequest) -> bytes:
    return b"".join(
        (
            b"D",
            struct.pack(">I", len(request.schemas)),
            *(pack_schema(schema) for schema in request.schemas),
            struct.pack(">iBqB", request.max_frame_size, request.mode, request.receive_position, request.accept_extra),
            struct.pack(f">I{len(request.chunks)}I", len(request.chunks), *request.chunks),
            pack_text(request.data),
        )
    )


def pack_numbers(numbers: Sequence[int]) -> bytes:
    return struct.pack(f">I{len(numbers)}I", len(numbers), *numbers)


def pack_visit(visit: Visit) -> bytes:
    return struct.pack(">IIq", *visit[:3]) + pack_text(visit.url) + pack_text(visit.text)


def pack_operation(operation: Operation) -> bytes:
    body = b""
    match operation.op:
        case visits_model.ADD:
            body = pack_visit(operation.visits[0])
        case visits_model.ADD_MANY:
            body = struct.pack(">I", len(operation.visits)) + b"".join(map(pack_visit, operation.visits))
        case visits_model.RECENT:
            body = pack_numbers(operation.numbers)
        case visits_model.DELETE:
            body = struct.pack(">I", operation.user) + pack_numbers(operation.numbers)
        case visits_model.CLEAR:
            body = struct.pack(">IB", operation.user, operation.option)
        case visits_model.SCAN:
            body = struct.pack(">I", operation.option)
        case visits_model.COPY | visits_model.SALVAGE:
            body = pack_text(operation.beside)
        case visits_model.READ:
            body = pack_text(operation.beside) + struct.pack(">I", operation.option)
        case visits_model.REFRESH:
            body = struct.pack(">B", operation.option)
        case visits_model.ADD_BY_READER:
            body = pack_visit(operation.visits[0])
    return struct.pack(">B", operation.op) + body


def visits_request(path: str, program: Program) -> bytes:
    head = b"V" + pack_text(path) + struct.pack(">IBI", program.max_visits, program.durability, len(program.operations))
    return head + b"".join(map(pack_operation, program.operations))


class Reader:
    """Takes a reply apart; whatever does not fit is a TesteeFailure."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.offset:
            raise TesteeFailure(f"garbage: the reply of {len(self.data)} bytes ends where {size} more are needed")
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def number(self, code: str) -> int:
        (value,) = struct.unpack(">" + code, self.take(struct.calcsize(">" + code)))
        return int(value)

    def text(self) -> bytes:
        return self.take(self.number("I"))

    def name(self) -> str:
        try:
            return self.text().decode()
        except UnicodeDecodeError as error:
            raise TesteeFailure(f"garbage: the reply has a text that is not UTF-8 ({error})") from None

    def status(self) -> str:
        number = self.number("i")
        return STATUS_NAMES.get(number, f"unknown status {number}")

    def value(self, kind: str) -> Value:
        if kind == "string":
            return self.text()
        if not kind.startswith("array"):
            return self.number("q")
        count = self.number("I")
        if item_type(kind) == "string":
            return [self.text() for _ in range(count)]
        return list(struct.unpack(f">{count}q", self.take(8 * count)))

    def row(self, schemas: Sequence[Schema]) -> Row:
        index, offset, api_key, sequence = self.number("H"), self.number("q"), self.number("b"), self.number("b")
        if index >= len(schemas):
            raise TesteeFailure(f"garbage: a row with schema index {index} of {len(schemas)}")
        return Row(index, offset, api_key, sequence, tuple(self.value(field.type) for field in schemas[index].fields))

    def visit(self) -> Visit:
        return Visit(self.number("I"), self.number("I"), self.number("q"), self.text(), self.text())

    def answer(self, operation: Operation) -> Answer | Refusal:
        if self.number("B") != 0:
            return self.refusal()
        match operation.op:
            case visits_model.RECENT | visits_model.SCAN | visits_model.READ:
                return [self.visit() for _ in range(self.number("I"))]
            case visits_model.DELETE:
                return self.number("B") != 0
            case visits_model.USERS:
                return [(self.number("I"), self.number("I")) for _ in range(self.number("I"))]
            case visits_model.VERIFY | visits_model.SALVAGE:
                return self.number("Q"), self.number("Q")
            case visits_model.STATS:
                return visits_model.Stats(
                    self.number("I"), self.number("Q"), *(self.number("B") != 0 for _ in range(4))
                )
            case visits_model.REFRESH:
                return [self.number("B") != 0, *(self.visit() for _ in range(self.number("I")))]
        return None

    def refusal(self) -> Refusal:
        status, stream_offset, frame_offset, frame = self.status(), self.number("q"), self.number("q"), self.number("q")
        field, message = self.name(), self.name()
        return Refusal(Refused(frame, stream_offset, frame_offset, field, status), message)

    def finish(self) -> None:
        if self.offset != len(self.data):
            raise TesteeFailure(f"garbage: {len(self.data) - self.offset} bytes after the end of the reply")


def is_ok(reply: bytes) -> bool:
    if reply[:1] not in (b"\0", b"\1"):
        raise TesteeFailure(f"garbage: the reply starts with {reply[:8].hex() or 'nothing'}, expected 00 or 01")
    return reply[0] == 0


def unpack_refusal(reply: bytes) -> Refusal:
    reader = Reader(reply[1:])
    refusal = reader.refusal()
    reader.finish()
    return refusal


def _unpack_ok(reply: bytes) -> Reader:
    if not is_ok(reply):
        refused, message = unpack_refusal(reply)
        raise TesteeFailure(f"refused the request: {refused.status}, field {refused.field!r}: {message}")
    return Reader(reply[1:])


def unpack_hello(reply: bytes) -> Hello:
    reader = _unpack_ok(reply)
    hello = Hello(reader.number("I"), reader.number("Q"), reader.number("Q"), reader.name())
    reader.finish()
    return hello


def unpack_live_blocks(reply: bytes) -> int:
    reader = _unpack_ok(reply)
    blocks = reader.number("q")
    reader.finish()
    return blocks


def unpack_names(reply: bytes) -> list[str]:
    reader = _unpack_ok(reply)
    names = [reader.name() for _ in range(reader.number("I"))]
    reader.finish()
    return names


def unpack_frames(reply: bytes) -> bytes:
    reader = _unpack_ok(reply)
    frames = reader.text()
    reader.finish()
    return frames


def unpack_decoded(reply: bytes, schemas: Sequence[Schema]) -> DecodeReply:
    reader = _unpack_ok(reply)
    rows = [reader.row(schemas) for _ in range(reader.number("I"))]
    errors = [reader.refusal() for _ in range(reader.number("I"))]
    decoded = DecodeReply(rows, errors, reader.status(), reader.status(), reader.number("Q"), reader.number("q"))
    reader.finish()
    return decoded


def unpack_answers(reply: bytes, program: Program) -> list[Answer | Refusal]:
    reader = _unpack_ok(reply)
    answers = [reader.answer(operation) for operation in program.operations]
    reader.finish()
    return answers


class Testee:
    """A testee process. Requests go out while replies come in, so neither side can block the other for good."""

    __test__ = False  # the name is not pytest's

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], timeout_seconds: float) -> None:
        self.command = list(command)
        self.environment = dict(environment)
        self.timeout_seconds = timeout_seconds
        self.process: subprocess.Popen[bytes] | None = None
        self.received = bytearray()
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()

    def start(self) -> None:
        self.stop()
        self.received.clear()
        self.stderr.seek(0)
        self.stderr.truncate()
        try:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.stderr,
                bufsize=0,
                env=self.environment,
            )
        except OSError as error:
            raise TesteeFailure(f"cannot start {self.command[0]}: {error.strerror}") from None
        os.set_blocking(self._stdin().fileno(), False)
        os.set_blocking(self._stdout().fileno(), False)

    def _stdin(self) -> IO[bytes]:
        assert self.process
        assert self.process.stdin
        return self.process.stdin

    def _stdout(self) -> IO[bytes]:
        assert self.process
        assert self.process.stdout
        return self.process.stdout

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self._stdin().close()
            self._stdout().close()
            self.process = None

    def close(self) -> None:
        self.stop()
        self.stderr.close()

    def quit(self) -> None:
        """Ask it to end, and see that it does with exit status 0."""
        (reply,) = self.exchange([b"Q"])
        _unpack_ok(reply).finish()
        assert self.process
        try:
            status = self.process.wait(self.timeout_seconds)
        except subprocess.TimeoutExpired:
            raise TesteeFailure("hang: it answered quit and did not end") from None
        if status != 0:
            raise TesteeFailure(f"crash: exit status {status} after quit{self._stderr_end()}")

    def exchange(self, requests: Sequence[bytes]) -> list[bytes]:
        """Send all requests and return the reply to each."""
        if not self.process:
            self.start()
        unsent = memoryview(b"".join(struct.pack(">I", len(request)) + request for request in requests))
        replies: list[bytes] = []
        deadline = time.monotonic() + self.timeout_seconds
        while len(replies) < len(requests):
            progress, unsent = self._transfer(unsent, deadline - time.monotonic())
            before = len(replies)
            replies.extend(self._whole_replies())
            if progress or len(replies) > before:
                deadline = time.monotonic() + self.timeout_seconds
            elif time.monotonic() >= deadline:
                raise TesteeFailure(f"hang: no byte moved for {self.timeout_seconds:g} s at request {len(replies) + 1}")
        if len(replies) > len(requests) or self.received:
            raise TesteeFailure("garbage: bytes after the last reply")
        return replies

    def _transfer(self, unsent: memoryview, timeout: float) -> tuple[bool, memoryview]:
        """Move what can be moved in either direction; tells whether anything was."""
        stdin, stdout = self._stdin(), self._stdout()
        readable, writable, _ = select.select([stdout], [stdin] if unsent else [], [], max(0.0, timeout))
        if writable:
            try:
                unsent = unsent[os.write(stdin.fileno(), unsent[:65536]) :]
            except BrokenPipeError:
                unsent = unsent[:0]  # the read below tells that it has gone
        if readable:
            data = os.read(stdout.fileno(), 1 << 20)
            if not data:
                raise TesteeFailure(self._how_it_ended())
            self.received += data
        return bool(readable or writable), unsent

    def _whole_replies(self) -> list[bytes]:
        replies = []
        start = 0
        while len(self.received) - start >= 4:
            (size,) = struct.unpack_from(">I", self.received, start)
            if size > REPLY_SIZE_MAX:
                raise TesteeFailure(f"garbage: a reply that claims {size} bytes")
            if len(self.received) - start - 4 < size:
                break
            replies.append(bytes(self.received[start + 4 : start + 4 + size]))
            start += 4 + size
        del self.received[:start]
        return replies

    def _how_it_ended(self) -> str:
        assert self.process
        try:
            status = self.process.wait(self.timeout_seconds)
        except subprocess.TimeoutExpired:
            return "hang: it closed its output and did not end"
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return f"crash: {how}{self._stderr_end()}"

    def _stderr_end(self) -> str:
        self.stderr.seek(0)
        text = self.stderr.read().decode(errors="replace").strip()
        if len(text) > STDERR_SHOWN_MAX:
            text = "..." + text[-STDERR_SHOWN_MAX:]
        return f"; stderr: {text}" if text else ""


def python_environment(**changes: str | Path) -> dict[str, str]:
    """The caller's environment, changed, for a testee."""
    return {**os.environ, **{name: str(value) for name, value in changes.items()}}
