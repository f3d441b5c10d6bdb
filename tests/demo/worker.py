"""What the demo does in Python: encode, decode, serve, client, write-visits and read-visits, as README.md of this folder describes them.

Each run does one of them, with a tracing provider under all memory, and prints what it did as one line of JSON. A worker ends at the
first thing that goes wrong, with a message on stderr and exit status 1.
"""

from __future__ import annotations

import datetime
import json
import re
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import samebytes

IN_FLIGHT_WANTED = 64  # requests that a pipelining client is known to send without waiting
LULL_SECONDS = 0.2  # how long the server lets it catch up to that number,
LULLS_MAX = 3  # and how often it does so in vain
SILENCE_SECONDS_MAX = 60  # after which a peer counts as gone
FRAME_SIZE_MAX = 2**31 - 1  # lines may be long

MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
TIME = re.compile(
    rb"\[(?P<day>[0-9]{2})/(?P<month>" + b"|".join(MONTHS) + rb")/(?P<year>[0-9]{4})"
    rb":(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,3})[0-9]*)?"
    rb" (?P<sign>[+-])(?P<east_hours>[0-9]{2})(?P<east_minutes>[0-9]{2})\]"
)
NUMBERS = rb'" (?P<status>[0-9]{3}|-) (?P<size>[0-9]+|-)(?=[ \t"\r]|\Z)'
# A request ends at the first quote that is not escaped, if numbers follow; otherwise at the first quote after which they do.
ESCAPED = re.compile(rb' "(?P<request>[^"\\]*(?:\\.[^"\\]*)*)' + NUMBERS, re.DOTALL)
UNESCAPED = re.compile(rb' "(?P<request>.*?)' + NUMBERS, re.DOTALL)
METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ +(?=[^ ])")
VERSION = re.compile(rb"HTTP/[0-9.]+")
SIZE_MAX = 2**32 - 1
EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
DAYS_OF_400_YEARS = 146097


class WorkerError(Exception):
    """What to say on stderr before the worker ends."""


class Request(NamedTuple):
    """What is sent of a line. Out of shape: timestamp 0, no subject, no metadata."""

    timestamp: int
    subject: bytes
    metadata: tuple[int, ...]
    body: bytes


# ---- the log ----


def time_ms(match: re.Match[bytes]) -> int | None:
    """Milliseconds since the epoch; None where the calendar has no such time."""
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    east_hours, east_minutes = int(match["east_hours"]), int(match["east_minutes"])
    if hour > 23 or minute > 59 or second > 60 or east_hours > 23 or east_minutes > 59:
        return None
    try:
        # The calendar repeats after 400 years, and datetime has no year 0.
        date = datetime.date(int(match["year"]) % 400 + 400, MONTHS.index(match["month"]) + 1, int(match["day"]))
    except ValueError:
        return None
    days = date.toordinal() - EPOCH_DAY + (int(match["year"]) // 400 - 1) * DAYS_OF_400_YEARS
    east = (east_hours * 60 + east_minutes) * (-1 if match["sign"] == b"-" else 1)
    ms = int((match["fraction"] or b"").ljust(3, b"0"))
    return ((days * 24 + hour) * 3600 + (minute - east) * 60 + second) * 1000 + ms


def target_of(request: bytes) -> bytes:
    """What a request asks for: all between method and version; nothing where it is no request."""
    method = METHOD.match(request)
    if method is None:
        return b""
    target = request[method.end() :]
    before, _, last = target.rpartition(b" ")
    return before.rstrip(b" ") if before and VERSION.fullmatch(last) else target


def request_of(line: bytes) -> Request | None:
    """The request of a line in shape; None otherwise."""
    time = TIME.search(line, 1)
    timestamp = time and time_ms(time)
    if time is None or timestamp is None:
        return None
    match = ESCAPED.match(line, time.end()) or UNESCAPED.match(line, time.end())
    if match is None:
        return None
    digits = match["size"].lstrip(b"-0") or b"0"
    size = SIZE_MAX if len(digits) > len(str(SIZE_MAX)) else min(int(digits), SIZE_MAX)
    status = 0 if match["status"] == b"-" else int(match["status"])
    return Request(timestamp, target_of(match["request"]), (status, *struct.unpack(">hh", size.to_bytes(4))), line)


def read_log(path: str) -> tuple[list[Request], int]:
    """The request of each line, and how many lines are out of shape."""
    lines = Path(path).read_bytes().split(b"\n")
    if not lines[-1]:
        lines.pop()  # nothing follows the last LF
    requests = [request_of(line) for line in lines]
    sent = [request or Request(0, b"", (), line) for request, line in zip(requests, lines, strict=True)]
    return sent, requests.count(None)


# ---- memory, and the last words about it ----


class Memory:
    """A tracing provider, and everything that was opened on it, which is closed before the counts are told."""

    def __init__(self) -> None:
        self.tracing = samebytes.Memory.open_tracing()
        self.opened: list[Any] = []

    def keep(self, handle: Any) -> Any:
        self.opened.append(handle)
        return handle

    def builder(self) -> samebytes.Builder:
        return self.keep(samebytes.Builder(self.tracing))  # type: ignore[no-any-return]

    def parser(self, schema_of: Callable[[], samebytes.Schema]) -> samebytes.Parser:
        with schema_of() as schema:
            return self.keep(samebytes.Parser([schema], FRAME_SIZE_MAX, self.tracing))  # type: ignore[no-any-return]

    def batch(self) -> samebytes.Batch:
        return self.keep(samebytes.Batch())  # type: ignore[no-any-return]

    def report(self, **counts: int | float) -> None:
        for handle in self.opened:
            handle.close()
        stats = self.tracing.get_stats()
        self.tracing.close()
        blocks = samebytes.memory_live_blocks()
        print(json.dumps(counts | {"live_blocks": blocks, "reserves": stats.reserves, "releases": stats.releases}))


def add_request(builder: samebytes.Builder, request: Request, sequence: int) -> None:
    samebytes.echo_add_request(builder, samebytes.EchoRequest(*request, sequence))


# ---- encode and decode ----


def encode(log: str, out: str) -> None:
    requests, out_of_shape = read_log(log)
    memory = Memory()
    builder = memory.builder()
    start = time.perf_counter()
    for index, request in enumerate(requests):
        add_request(builder, request, (index + 128) % 256 - 128)
    frames = memory.keep(builder.take())
    seconds = time.perf_counter() - start
    size = len(frames)
    Path(out).write_bytes(bytes(frames))
    memory.report(lines=len(requests), bytes=size, out_of_shape=out_of_shape, seconds=seconds)


def dumped_row(row: Any) -> str:
    numbers = ",".join(map(str, row.metadata))
    head = f"{row.stream_offset} {row.api_key} {row.sequence} {row.timestamp}"
    return f"{head} {row.subject.hex()} {numbers} {row.body.hex()}\n"


def dumped_error(error: samebytes.Error) -> str:
    place = f"{error.frame} {error.stream_offset} {error.frame_offset} {error.field}"
    return f"error {place} {samebytes.status_name(error.status)}\n"


def decode(frames: str, dump: str) -> None:
    memory = Memory()
    parser, batch = memory.parser(samebytes.echo_request_schema), memory.batch()
    errors: list[samebytes.Error] = []
    row_count, seconds = 0, 0.0
    with Path(frames).open("rb", buffering=0) as source, Path(dump).open("w", encoding="ascii", newline="\n") as out:
        while parser.end() == samebytes.OK:
            count = source.readinto(parser.buffer())
            parser.commit(count)
            if count == 0:
                break
            start = time.perf_counter()
            try:
                parser.parse(batch)
            except samebytes.SamebytesError:
                if not batch.errors:  # otherwise it is one of them
                    raise
            rows = batch.rows
            seconds += time.perf_counter() - start
            out.writelines(map(dumped_row, rows))
            row_count += len(rows)
            errors += batch.errors
        out.writelines(map(dumped_error, errors))
    rows = []  # as long as there is one, it keeps the memory that it was parsed from
    memory.report(rows=row_count, errors=len(errors), seconds=seconds)


# ---- sockets ----


class Connection:
    """A socket that sends and receives what it can without waiting, and the view of what is still to be sent."""

    def __init__(self, connection: socket.socket, memory: Memory) -> None:
        self.socket = connection
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unsent = memory.keep(samebytes.View(b"", memory.tracing))
        self.selector = selectors.DefaultSelector()
        self.selector.register(connection, selectors.EVENT_READ)

    def wait(self, seconds: float, wanted: int = selectors.EVENT_READ) -> int:
        """Those of the wanted events that are there now or after waiting; 0 when the time is over."""
        self.selector.modify(self.socket, wanted)
        found = self.selector.select(seconds)
        return found[0][1] if found else 0

    def wait_long(self, wanted: int = selectors.EVENT_READ) -> int:
        events = self.wait(SILENCE_SECONDS_MAX, wanted)
        if not events:
            raise WorkerError(f"the other side was silent for {SILENCE_SECONDS_MAX} s")
        return events

    def put(self, builder: samebytes.Builder) -> None:
        """Lets what the builder holds be sent."""
        if builder.frame_count():
            with builder.take() as frames:
                self.unsent.append(frames)

    def send_some(self) -> None:
        while len(self.unsent):
            with self.unsent.span(0) as data:
                try:
                    count = self.socket.send(data, socket.MSG_MORE if self.unsent.span_count() > 1 else 0)
                except BlockingIOError:
                    return
            self.unsent.skip(count)

    def receive(self, parser: samebytes.Parser) -> int:
        """How many bytes came; 0 at the end."""
        count = self.socket.recv_into(parser.buffer())
        parser.commit(count)
        return count

    def close(self) -> None:
        self.selector.close()
        self.socket.close()


def parsed(parser: samebytes.Parser, batch: samebytes.Batch) -> list[Any]:
    rows = parser.parse(batch).rows
    for error in batch.errors:
        raise WorkerError(f"frame {error.frame}, field {error.field}: {error.message}")
    return rows


# ---- serve ----


def receive_all(connection: Connection, parser: samebytes.Parser, seconds: float) -> bool:
    """Receives all that is there, after waiting for something; False when the client has ended."""
    if not connection.wait(seconds):
        if seconds == SILENCE_SECONDS_MAX:
            raise WorkerError(f"the client was silent for {SILENCE_SECONDS_MAX} s")
        return True
    try:
        while connection.receive(parser):
            pass
    except BlockingIOError:
        return True
    return False


def serve() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        listener.settimeout(SILENCE_SECONDS_MAX)
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        accepted, _ = listener.accept()
    memory = Memory()
    parser, batch = memory.parser(samebytes.echo_request_schema), memory.batch()
    builder, connection = memory.builder(), Connection(accepted, memory)
    frames = in_flight_max = lulls = 0
    is_open = True
    while is_open:
        is_open = receive_all(connection, parser, SILENCE_SECONDS_MAX)
        rows = parsed(parser, batch)
        # A client that pipelines is still sending: until it was seen to do so, let it, so that the number says what it does, not how
        # the system cut its bytes.
        while is_open and max(in_flight_max, len(rows)) < IN_FLIGHT_WANTED and lulls < LULLS_MAX:
            is_open = receive_all(connection, parser, LULL_SECONDS)
            more = parsed(parser, batch)
            rows += more
            if not more:
                lulls += 1
                break
        in_flight_max = max(in_flight_max, len(rows))
        for id, row in enumerate(rows, frames):
            response = samebytes.EchoResponse(row.timestamp, row.subject, row.body, id, row.sequence)
            samebytes.echo_add_response(builder, response)
        frames += len(rows)
        connection.put(builder)
        connection.send_some()
        while len(connection.unsent):
            connection.wait_long(selectors.EVENT_WRITE)
            connection.send_some()
    connection.close()
    rows = more = row = None  # as long as there is one, it keeps the memory that it was parsed from
    memory.report(frames=frames, in_flight_max=in_flight_max)


# ---- client ----


class Client:
    """Sends every line, with as many requests in flight as the pipeline takes, and compares the responses."""

    def __init__(self, port: int, log: str) -> None:
        self.requests, _ = read_log(log)
        self.memory = Memory()
        self.pipeline = self.memory.keep(samebytes.Pipeline())
        self.builder, self.batch = self.memory.builder(), self.memory.batch()
        self.parser = self.memory.parser(samebytes.echo_response_schema)
        self.connection = Connection(socket.create_connection(("127.0.0.1", port)), self.memory)
        self.sent = self.received = 0

    def fill(self) -> None:
        while self.sent < len(self.requests) and self.pipeline.in_flight() < samebytes.PIPELINE_MAX:
            sequence = self.pipeline.begin(self.sent)
            add_request(self.builder, self.requests[self.sent], sequence)
            self.sent += 1
        self.connection.put(self.builder)

    def compare(self, row: Any) -> None:
        try:
            index = self.pipeline.finish(row.sequence)
        except samebytes.NotFoundError:
            raise WorkerError(f"response {self.received}: sequence {row.sequence} is not in flight") from None
        request = self.requests[index]
        wanted = {"id": index, "timestamp": request.timestamp, "subject": request.subject, "body": request.body}
        for field, value in wanted.items():
            if getattr(row, field) != value:
                raise WorkerError(f"line {index + 1}: field {field} of the response differs from the request")
        self.received += 1

    def take_responses(self) -> bool:
        """Receives and compares what is there; False when the server has ended."""
        count = self.connection.receive(self.parser)
        for row in parsed(self.parser, self.batch):
            self.compare(row)
        return count > 0

    def converse(self) -> None:
        """Sends and receives at the same time: a server that waits for its responses to be read must not be waited for."""
        half_closed, is_open = False, True
        while is_open:
            self.fill()
            self.connection.send_some()
            unsent = len(self.connection.unsent) > 0
            if not unsent and self.sent == len(self.requests) and not half_closed:
                half_closed = True
                self.connection.socket.shutdown(socket.SHUT_WR)
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if unsent else 0)
            if self.connection.wait_long(wanted) & selectors.EVENT_READ:
                is_open = self.take_responses()
        if self.received != len(self.requests):
            raise WorkerError(f"the server ended after {self.received} of {len(self.requests)} responses")

    def run(self) -> None:
        start = time.perf_counter()
        self.converse()
        seconds = time.perf_counter() - start
        self.connection.close()
        self.memory.report(frames=self.received, seconds=seconds)


def client(port: str, log: str) -> None:
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise WorkerError(f"{port} is no port")
    Client(int(port), log).run()


# ---- visits ----

VISITS_MAX = 10  # kept per user
VISITS_ADDED = 512  # at once
TIME_MS_MAX = (2**63 - 1) // 10**6  # that 64-bit nanoseconds reach


def user_of(line: bytes) -> int:
    """Whose visit a line is: its first field as a big-endian number where it is an IPv4 address, otherwise its CRC-32C."""
    field = line.removeprefix(b"\xef\xbb\xbf").split(b" ", 1)[0]  # a byte order mark is nobody's
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET, field.decode()))
    except (OSError, UnicodeDecodeError):
        return samebytes.crc32c(0, field)


def visit_of(request: Request, number: int) -> tuple[int, int, bytes, bytes, int]:
    """A line as a visit: user, visit_id, url, text and time. A time out of reach is the last or first millisecond that is in it."""
    time_ms = max(-TIME_MS_MAX, min(request.timestamp, TIME_MS_MAX))
    return user_of(request.body), number, request.subject, request.body, time_ms * 10**6


def write_visits(log: str, file: str, first: str, last: str) -> None:
    """Adds the lines from *first* to *last*, counted from 1; one with a NUL is no visit."""
    requests = list(enumerate(read_log(log)[0], start=1))[int(first) - 1 : int(last)]
    kept = [(number, request) for number, request in requests if b"\0" not in request.body]
    start = time.perf_counter()
    with samebytes.VisitManager(file, VISITS_MAX) as manager:
        for index in range(0, len(kept), VISITS_ADDED):
            batch = kept[index : index + VISITS_ADDED]
            manager.add_visits([visit_of(request, number) for number, request in batch])
    report_visits(visits=len(kept), with_nul=len(requests) - len(kept), seconds=time.perf_counter() - start)


def read_visits(file: str, dump: str) -> None:
    with samebytes.VisitManager(file, read_only=True, as_bytes=True) as manager:
        start = time.perf_counter()
        visits = list(manager.scan())
        seconds = time.perf_counter() - start
        users = len(manager.users())
    with Path(dump).open("w", encoding="ascii", newline="\n") as out:
        for visit in visits:
            out.write(f"{visit.user} {visit.visit_id} {visit.time_ns} {visit.url.hex()} {visit.text.hex()}\n")
    report_visits(users=users, visits=len(visits), seconds=seconds)


def report_visits(**counts: int | float) -> None:
    print(json.dumps(counts | {"live_blocks": samebytes.memory_live_blocks()}))


COMMANDS: dict[str, tuple[int, Callable[..., None]]] = {
    "encode": (2, encode),
    "decode": (2, decode),
    "serve": (0, serve),
    "client": (2, client),
    "write-visits": (4, write_visits),
    "read-visits": (2, read_visits),
}


def main(arguments: list[str]) -> int:
    try:
        count, command = COMMANDS.get(arguments[0] if arguments else "", (-1, serve))
        if count != len(arguments) - 1:
            raise WorkerError(
                "usage: worker.py encode LOG OUT | decode FRAMES DUMP | serve | client PORT LOG | "
                "write-visits LOG FILE FIRST LAST | read-visits FILE DUMP"
            )
        command(*arguments[1:])
    except (WorkerError, samebytes.SamebytesError) as error:
        print(f"worker.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"worker.py: {error.filename or 'the connection'}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
