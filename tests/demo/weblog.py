"""A web log as the demo must see it: read once more in pure Python, with the independent codec of the conformance tests."""

from __future__ import annotations

import datetime
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
TIME = rb"(\d\d)/(" + b"|".join(MONTHS) + rb")/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)"
SHAPE = re.compile(
    rb"\S+ \S+ \S+ \["
    + TIME
    + rb'\] "[^ "]+ (?P<target>[^ "]+)(?: [^ "]+)?" (?P<status>\d{3}) (?P<size>\d{1,10}|-)(?: |\Z)'
)
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

    def frames(self) -> list[bytes]:
        return [
            reference_codec.encode(ECHO_REQUEST, (number + 128) % 256 - 128, tuple(request))
            for number, request in enumerate(self.requests)
        ]


def _time_ms(match: re.Match[bytes]) -> int | None:
    """Milliseconds since the epoch; None where there is no such time."""
    day, hour, minute, second, offset_hours, offset_minutes = (int(match[group]) for group in (1, 4, 5, 6, 8, 9))
    year, cycles = int(match[3]), 0
    if year == 0:
        year, cycles = 400, 1
    if offset_hours > 23 or offset_minutes > 59:
        return None
    try:
        local = datetime.datetime(year, MONTHS.index(match[2]) + 1, day, hour, minute, second)
    except ValueError:
        return None
    offset = datetime.timedelta(hours=offset_hours, minutes=offset_minutes) * (-1 if match[7] == b"-" else 1)
    since_epoch = local - EPOCH - cycles * CALENDAR_CYCLE - offset
    return since_epoch // datetime.timedelta(milliseconds=1)


def request_of(line: bytes) -> Request | None:
    """The request of a line in shape, else None."""
    match = SHAPE.match(line)
    if not match:
        return None
    size = 0 if match["size"] == b"-" else int(match["size"])
    time_ms = _time_ms(match)
    if size > 0xFFFFFFFF or time_ms is None:
        return None
    high, low = struct.unpack(">hh", struct.pack(">I", size))
    return Request(time_ms, match["target"], [int(match["status"]), high, low], line)


def parse(data: bytes) -> Weblog:
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()  # what follows the last LF is no line
    requests = [request_of(line) for line in lines]
    return Weblog(
        lines,
        [request or Request(0, b"", [], line) for request, line in zip(requests, lines, strict=True)],
        requests.count(None),
        len({line.split(b" ", 1)[0] for line in lines}),
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
