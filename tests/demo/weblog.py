"""A web log as the demo must see it: read once more in pure Python, with the independent codec of the conformance tests."""

from __future__ import annotations

import datetime
import ipaddress
import re
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))
import reference_codec
from reference_codec import ECHO_REQUEST, STRING_SIZE_MAX

MONTHS = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"]
TIME = rb"\[(\d\d)/(" + b"|".join(MONTHS) + rb")/(\d{4}):(\d\d):(\d\d):(\d\d)(?:[.,](\d+))? ([+-])(\d\d)(\d\d)\]"
NUMBERS = rb'" (?P<status>\d{3}|-) (?P<size>\d+|-)(?:[ \t"\r]|\Z)'
SIZE_MAX = 0xFFFFFFFF
BOM = b"\xef\xbb\xbf"
EPOCH = datetime.datetime(1970, 1, 1)
CALENDAR_CYCLE = datetime.timedelta(days=146097)  # 400 years; datetime has no year 0
FIELDS = ("stream_offset", "api_key", "sequence", *(field.name for field in ECHO_REQUEST.fields))


class Request(NamedTuple):
    """What is sent of a line."""

    timestamp: int
    subject: bytes
    metadata: list[int]
    body: bytes


@dataclass(frozen=True)
class Weblog:
    lines: list[bytes]
    requests: list[Request]
    out_of_shape: int
    users: int

    @property
    def with_nul(self) -> int:
        return sum(b"\0" in line for line in self.lines)

    def frames(self) -> list[bytes]:
        return [
            reference_codec.encode(ECHO_REQUEST, (number + 128) % 256 - 128, tuple(request))
            for number, request in enumerate(self.requests)
        ]


def _time_ms(match: re.Match[bytes]) -> int | None:
    """Milliseconds since the epoch; None where there is no such time. A leap second is the second after it."""
    day, hour, minute, second, offset_hours, offset_minutes = (int(match[group]) for group in (1, 4, 5, 6, 9, 10))
    year, cycles = int(match[3]), 0
    if year == 0:
        year, cycles = 400, 1
    if offset_hours > 23 or offset_minutes > 59 or second > 60:
        return None
    try:
        local = datetime.datetime(year, MONTHS.index(match[2]) + 1, day, hour, minute)
    except ValueError:
        return None
    offset = datetime.timedelta(hours=offset_hours, minutes=offset_minutes) * (-1 if match[8] == b"-" else 1)
    since_epoch = local - EPOCH - cycles * CALENDAR_CYCLE - offset
    return since_epoch // datetime.timedelta(milliseconds=1) + second * 1000 + int((match[7] or b"")[:3].ljust(3, b"0"))


def _request_and_numbers(rest: bytes) -> tuple[bytes, re.Match[bytes]] | None:
    """What stands in quotes behind the time, and the numbers behind that. A quote ends a request when it is not escaped and numbers follow;
    where there is no such quote in its place, the first after which they follow."""
    if not rest.startswith(b' "'):
        return None
    at = 2
    while at < len(rest) and rest[at] != ord('"'):
        at += 2 if rest[at] == ord("\\") else 1
    ends = [at] if at < len(rest) else []
    for end in [*ends, *(match.start() for match in re.finditer(b'"', rest) if match.start() > 1)]:
        numbers = re.compile(NUMBERS).match(rest, end)
        if numbers:
            return rest[2:end], numbers
    return None


def target_of(request: bytes) -> bytes:
    """What a request asks for: all between method and version, which stand apart; nothing where it is no request."""
    words = request.split(b" ")
    method = words.pop(0)
    while words and not words[0]:
        words.pop(0)
    if not words or not re.fullmatch(rb"[\w!#$%&'*+.^`|~-]+", method, re.ASCII):
        return b""
    if len(words) > 1 and re.fullmatch(rb"HTTP/[\d.]+", words[-1]):
        words.pop()
        while not words[-1]:
            words.pop()
    return b" ".join(words)


def request_of(line: bytes) -> Request | None:
    """The request of a line in shape, else None."""
    time = re.compile(TIME).search(line, 1)
    time_ms = _time_ms(time) if time else None
    found = _request_and_numbers(line[time.end() :]) if time else None
    if time_ms is None or found is None:
        return None
    request, numbers = found
    digits = numbers["size"].removeprefix(b"-").lstrip(b"0")
    size = SIZE_MAX if len(digits) > 10 else min(int(digits or b"0"), SIZE_MAX)
    high, low = struct.unpack(">hh", struct.pack(">I", size))
    status = 0 if numbers["status"] == b"-" else int(numbers["status"])
    return Request(time_ms, target_of(request), [status, high, low], line)


def first_field(line: bytes) -> bytes:
    """Whose line it is; a byte order mark is nobody's."""
    return line.removeprefix(BOM).split(b" ", 1)[0]


def parse(data: bytes) -> Weblog:
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()  # what follows the last LF is no line
    requests = [request_of(line) for line in lines]
    return Weblog(
        lines,
        [request or Request(0, b"", [], line) for request, line in zip(requests, lines, strict=True)],
        requests.count(None),
        len({first_field(line) for line in lines}),
    )


def dump_of(frames: bytes) -> bytes:
    """The rows of `frames`, and then its errors, as every worker has to write them."""
    found = reference_codec.decode(frames, [ECHO_REQUEST], STRING_SIZE_MAX)
    out = []
    for row in found.rows:
        timestamp, subject, metadata, body = Request(*row.values)  # type: ignore[arg-type]
        numbers = ",".join(map(str, metadata))
        out.append(
            f"{row.stream_offset} {row.api_key} {row.sequence} {timestamp} {subject.hex()} {numbers} {body.hex()}\n"
        )
    for refused in found.errors:
        out.append(
            f"error {refused.frame} {refused.stream_offset} {refused.frame_offset} {refused.field} {refused.status}\n"
        )
    return "".join(out).encode()


def field_at(frame: bytes, offset: int) -> str:
    """The field of a good Echo request that holds the byte at `offset`."""
    (subject_size,) = struct.unpack_from(">i", frame, 14)
    (metadata_count,) = struct.unpack_from(">h", frame, 18 + subject_size)
    ends = [4, 5, 6, 14, 18 + subject_size, 20 + subject_size + 2 * metadata_count]
    names = ["Size", "api_key", "sequence", "timestamp", "subject", "metadata"]
    return next((name for name, end in zip(names, ends, strict=True) if offset < end), "body")


# ---- visits ----

VISITS_MAX = 10  # kept per user
VISIT_FIELDS = ("user", "visit_id", "time_ns", "url", "text")
TIME_MS_MAX = (2**63 - 1) // 10**6  # that 64-bit nanoseconds reach


def _crc32c_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC32C = _crc32c_table()


def crc32c(data: bytes) -> int:
    """The checksum of RFC 3720, bit by bit in a table of its own."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def user_of(line: bytes) -> int:
    """Whose visit a line is: its first field as a big-endian number where that is an IPv4 address, otherwise its CRC-32C."""
    field = first_field(line)
    try:
        return int(ipaddress.IPv4Address(field.decode("ascii")))
    except ValueError:
        return crc32c(field)


class Visit(NamedTuple):
    time_ns: int
    visit_id: int
    url: bytes
    text: bytes


def visits_dump(log: Weblog) -> bytes:
    """What a store that keeps the newest visits of each user must hold after all lines, as every worker has to write it."""
    users: dict[int, list[Visit]] = {}
    for number, request in enumerate(log.requests, start=1):
        if b"\0" not in request.body:
            time_ms = max(-TIME_MS_MAX, min(request.timestamp, TIME_MS_MAX))
            visit = Visit(time_ms * 10**6, number, request.subject, request.body)
            users.setdefault(user_of(request.body), []).append(visit)
    out = []
    for user, visits in sorted(users.items()):
        visits.sort(key=lambda visit: visit.time_ns)  # those of one time stay as they came
        for visit in reversed(visits[-VISITS_MAX:]):
            out.append(f"{user} {visit.visit_id} {visit.time_ns} {visit.url.hex()} {visit.text.hex()}\n")
    return "".join(out).encode()
