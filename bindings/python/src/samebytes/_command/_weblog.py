"""Lines of a web server's log as visits: whose, when, and what was asked for."""

from __future__ import annotations

import datetime
import ipaddress
import re
from typing import NamedTuple

from .._classes import crc32c

MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
SHAPE = re.compile(
    rb"\S+ \S+ \S+ \[(\d\d)/(" + b"|".join(MONTHS) + rb")/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] "
    rb'"[^ "]+ (?P<target>[^ "]+)(?: [^ "]+)?" \d{3} (?P<size>\d{1,10}|-)(?: |\Z)'
)
SIZE_MAX = 2**32 - 1
EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
CALENDAR_CYCLE_DAYS = 146097  # 400 years, after which the calendar repeats; datetime has no year 0
SECONDS_MAX = (2**63 - 1) // 10**9  # that 64-bit nanoseconds reach


class Line(NamedTuple):
    user: int
    url: bytes
    time_ns: int
    in_shape: bool


def user_of(field: bytes) -> int:
    """The first field of a line as a user: a big-endian number where it is an IPv4 address, otherwise its CRC-32C."""
    try:
        return int(ipaddress.IPv4Address(field.decode("ascii")))
    except ValueError:
        return crc32c(0, field)


def seconds_of(match: re.Match[bytes]) -> int | None:
    """Seconds since the epoch; None where the calendar has no such time."""
    day, year, hour, minute, second, east_hours, east_minutes = (int(match[i]) for i in (1, 3, 4, 5, 6, 8, 9))
    if hour > 23 or minute > 59 or second > 59 or east_hours > 23 or east_minutes > 59:
        return None
    try:
        date = datetime.date(year % 400 + 400, MONTHS.index(match[2]) + 1, day)
    except ValueError:
        return None
    days = date.toordinal() - EPOCH_DAY + (year // 400 - 1) * CALENDAR_CYCLE_DAYS
    east = (east_hours * 60 + east_minutes) * (-1 if match[7] == b"-" else 1)
    return (days * 24 + hour) * 3600 + (minute - east) * 60 + second


def parsed(line: bytes) -> Line:
    """What a line says. Out of shape, it has no url, and its time is 0; a time out of reach is the nearest one in it."""
    user = user_of(line.split(b" ", 1)[0])
    match = SHAPE.match(line)
    seconds = seconds_of(match) if match else None
    if match is None or seconds is None or (match["size"] != b"-" and int(match["size"]) > SIZE_MAX):
        return Line(user, b"", 0, False)
    return Line(user, match["target"], max(-SECONDS_MAX, min(seconds, SECONDS_MAX)) * 10**9, True)
