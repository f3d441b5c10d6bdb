"""Lines of the logs of web servers as visits: whose, when, and what was asked for.

A line is understood when it says whose it is and when. Formats tell themselves apart, line by line: JSON is an object, W3C begins with
its fields, HAProxy's time has milliseconds and no zone, and the common format has its time in brackets.
"""

from __future__ import annotations

import datetime
import functools
import ipaddress
import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
DATE_TIME = rb"(\d\d)/(" + b"|".join(MONTHS) + rb")/(\d{4}):(\d\d):(\d\d):(\d\d)"
# Servers that forward lines to syslog, or containers, put this before: time, host, program.
SYSLOG = re.compile(
    rb"(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)) \S+ [^\s\[:]+(?:\[\d+\])?: "
)
COMMON_TIME = re.compile(rb"\[" + DATE_TIME + rb"(?:[.,](\d{1,9})\d*)? ([+-]\d\d)(\d\d)\]")
# Quotes and backslashes in a request are escaped, as servers do it; or, if it does not match, are not.
ESCAPED = re.compile(rb' "([^"\\]*(?:\\.[^"\\]*)*)" (?:\d{3}|-) (?:\d+|-)(?=[ \t"]|\Z)', re.DOTALL)
UNESCAPED = re.compile(rb' "(.*?)" (?:\d{3}|-) (?:\d+|-)(?=[ \t"]|\Z)', re.DOTALL)
METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ +(?=[^ ])")
VERSION = re.compile(rb"HTTP/[\d.]+")
HAPROXY = re.compile(rb"(\S+) \[" + DATE_TIME + rb'\.(\d{3})\] \S+ \S+ [+\d/-]+ -?\d+ \+?\d+ [^"]*"(.*?)"?', re.DOTALL)
W3C_FIELD = re.compile(rb'"(?:[^"]|"")*"|\S+')
ISO_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d|)")
EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
CALENDAR_CYCLE_DAYS = 146097  # 400 years, after which the calendar repeats; datetime has no year 0
NS = 10**9
TIME_MAX = (2**63 - 1) // NS * NS  # whole seconds that 64-bit nanoseconds reach
CLIENT_MAX = 255  # bytes; names of hosts have fewer
NOBODY = (b"", b"-", b"unix:")  # clients that are none: whoever they are, they are not one


class Seen(NamedTuple):
    """What a line says. Without a request that is understood it has no url."""

    client: bytes
    url: bytes
    time_ns: int
    in_shape: bool = True


class Directive(NamedTuple):
    """A line that says something about others."""


Found = Seen | Directive | None  # None: the line is not understood


def time_of(
    date: tuple[int, int, int], clock: tuple[int, int, int], fraction: str, east: tuple[int, int]
) -> int | None:
    """Nanoseconds since the epoch; None where there is no such time. A leap second is the one after it. What is out of reach is as far as
    nanoseconds reach."""
    (year, month, day), (hour, minute, second) = date, clock
    if hour > 23 or minute > 59 or second > 60 or abs(east[0]) > 23 or east[1] > 59:
        return None
    try:
        same = datetime.date(year % 400 + 400, month, day)
    except ValueError:
        return None
    days = same.toordinal() - EPOCH_DAY + (year // 400 - 1) * CALENDAR_CYCLE_DAYS
    minutes = (days * 24 + hour) * 60 + minute - east[0] * 60 - east[1]
    return max(-TIME_MAX, min((minutes * 60 + second) * NS, TIME_MAX)) + int(fraction.ljust(9, "0"))


def zone_of(hours: str, minutes: str) -> tuple[int, int]:
    return int(hours), -int(minutes) if hours.startswith("-") else int(minutes)


def time_of_common(match: re.Match[bytes]) -> int | None:
    day, month, year, hour, minute, second, fraction, east, east_minutes = match.groups()
    return time_of(
        (int(year), MONTHS.index(month) + 1, int(day)),
        (int(hour), int(minute), int(second)),
        (fraction or b"").decode(),
        zone_of(east.decode(), east_minutes.decode()),
    )


def time_of_text(text: str) -> int | None:
    """ISO 8601, UTC where it names no zone, or as in the common format."""
    found = ISO_TIME.fullmatch(text)
    if found is None:
        common = COMMON_TIME.fullmatch(f"[{text}]".encode("utf-8", "replace"))
        return None if common is None else time_of_common(common)
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    east = (0, 0) if zone in ("", "Z") else zone_of(zone[:3], zone[-2:])
    return time_of((int(year), int(month), int(day)), (int(hour), int(minute), int(second)), fraction or "", east)


def time_of_number(number: Decimal) -> int | None:
    """Seconds since the epoch, or milliseconds, microseconds or nanoseconds, as its size says: a year is from 1973 to 5138."""
    if not number.is_finite() or abs(number) >= 10**20:
        return None
    for digits in (0, 3, 6, 9):
        if abs(number) < 10 ** (11 + digits):
            return max(-TIME_MAX, min(int(number.scaleb(9 - digits)), TIME_MAX))
    return None


# ---- clients ----


@functools.lru_cache(1 << 16)
def client_name(field: bytes) -> bytes:
    """A client by one name, however it is written: addresses without port and zone, names in small letters."""
    text = field.decode("ascii", "replace").strip("\"'").rstrip(",")
    address = address_of(text)
    if address is not None:
        return str(address).encode()
    return field.strip(b"\"'").rstrip(b",").lower()


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that *text* is, with a port or without."""
    bare = re.fullmatch(r"\[([^\]]*)\](?::\d+)?", text)
    with_port = re.fullmatch(r"([\d.]+):\d+", text)
    try:
        found = ipaddress.ip_address(bare[1] if bare else with_port[1] if with_port else text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def is_address(field: bytes) -> bool:
    may_be = len(field) <= CLIENT_MAX and field[:1] in b"0123456789abcdefABCDEF[:"
    return may_be and address_of(field.decode("ascii", "replace")) is not None


def client_of_head(head: bytes) -> bytes:
    """Whose line it is, of what stands before its time: a virtual host, perhaps, client, ident, and a user who may have spaces."""
    words = SYSLOG.sub(b"", head, count=1).lstrip(b"\"'").split()
    if not words:
        return b""
    if len(words) > 3 and not words[0].endswith(b","):  # else a list of addresses that a proxy passed on
        if is_address(words[1]):
            return words[1]
        if not is_address(words[0]) and words[1] != b"-" and words[2] == b"-":
            return words[1]  # names, not addresses: the virtual host's, then the client's
    return words[0]


# ---- formats ----


def target_of(request: bytes) -> bytes:
    """What was asked for: all between method and version, spaces too; nothing where the request is none."""
    method = METHOD.match(request)
    if method is None:
        return b""
    target = request[method.end() :]
    before, _, last = target.rpartition(b" ")
    return before.rstrip(b" ") if before and VERSION.fullmatch(last) else target


def seen(client: bytes, url: bytes, time_ns: int | None, in_shape: bool = True) -> Seen | None:
    name = client_name(client) if len(client) <= CLIENT_MAX else b""
    return None if time_ns is None or name in NOBODY else Seen(name, url, time_ns, in_shape)


def parse_common(line: bytes) -> Seen | None:
    """The common and the combined format, with what servers put before, after and into it."""
    match = COMMON_TIME.search(line)
    if match is None:
        return None
    request = ESCAPED.match(line, match.end()) or UNESCAPED.match(line, match.end())
    url = target_of(request[1]) if request else b""
    return seen(client_of_head(line[: match.start()]), url, time_of_common(match), request is not None)


def parse_haproxy(line: bytes) -> Seen | None:
    """HAProxy's format for HTTP. Its times say no zone, and are taken as UTC."""
    prefix = SYSLOG.match(line)
    match = HAPROXY.fullmatch(line, prefix.end() if prefix else 0)
    if match is None:
        return None
    address, day, month, year, hour, minute, second, fraction, request = match.groups()
    date = int(year), MONTHS.index(month) + 1, int(day)
    time_ns = time_of(date, (int(hour), int(minute), int(second)), fraction.decode(), (0, 0))
    return seen(address.rpartition(b":")[0], target_of(request), time_ns)


CLIENT_KEYS = (
    "client_ip",
    "remote_ip",
    "remote_addr",
    "ClientHost",
    "clientip",
    "client",
    "ip",
    "remote_host",
    "ClientAddr",
)
TIME_KEYS = ("ts", "StartUTC", "time_iso8601", "@timestamp", "timestamp", "time", "time_local", "msec", "date")
URL_KEYS = ("uri", "RequestPath", "request_uri", "path", "url", "request")


def field_of(places: list[dict[str, Any]], keys: tuple[str, ...]) -> Any:
    for place in places:
        for key in keys:
            if isinstance(place.get(key), str | int | Decimal) and place[key] != "":
                return place[key]
    return None


def bytes_of(text: str) -> bytes:
    """The bytes that were decoded, or the nearest to what JSON's escapes say."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def parse_json(line: bytes) -> Seen | None:
    """Lines of JSON as Caddy and Traefik write them, and nginx by a log_format with usual names."""
    start = SYSLOG.match(line)
    text = line[start.end() if start else 0 :].decode("utf-8", "surrogateescape")
    try:
        found = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError, InvalidOperation):
        return None
    if not isinstance(found, dict):
        return None
    inner = found.get("request")
    places = [inner, found] if isinstance(inner, dict) else [found]
    client, time, url = (field_of(places, keys) for keys in (CLIENT_KEYS, TIME_KEYS, URL_KEYS))
    if not isinstance(client, str) or (url is None and "request" not in found):
        return None
    if isinstance(time, str):
        number = re.fullmatch(r"\d{1,12}(\.\d{1,9})?", time)
        time_ns = time_of_number(Decimal(time)) if number else time_of_text(time)
    else:
        time_ns = None if time is None or isinstance(time, bool) else time_of_number(Decimal(time))
    asked = bytes_of(url) if isinstance(url, str) else b""
    in_one = url == found.get("request")  # with method and version
    return seen(bytes_of(client), target_of(asked) if in_one else asked, time_ns)


class W3C:
    """The extended format of the W3C, as IIS writes it: directives say what the fields are. Times are UTC."""

    def __init__(self) -> None:
        self.fields: list[bytes] = []
        self.date = b""

    def parse(self, line: bytes) -> Found:
        if line.startswith(b"#"):
            name, _, value = line[1:].partition(b":")
            if name == b"Fields":
                self.fields = value.lower().split()
            elif name == b"Date":
                self.date = value.split()[0] if value.split() else b""
            return Directive()
        values = W3C_FIELD.findall(line)
        if not self.fields or len(values) != len(self.fields):
            return None
        found = dict(zip(self.fields, values))
        moment = (found.get(b"date", self.date) + b" " + found.get(b"time", b"")).decode("ascii", "replace")
        query = found.get(b"cs-uri-query", b"-")
        url = found.get(b"cs-uri-stem", found.get(b"cs-uri", b"-"))
        url = b"" if url == b"-" else url + (b"" if query == b"-" else b"?" + query)
        return seen(found.get(b"c-ip", found.get(b"c-dns", b"")), url, time_of_text(moment))


FORMATS = ("auto", "common", "json", "w3c", "haproxy")


class Reader:
    """Understands the lines of one log, each by its own looks, or all by the format that is known."""

    def __init__(self, format: str = "auto") -> None:
        self.w3c = W3C()
        of_format: dict[str, Callable[[bytes], Found]] = {
            "auto": self._any,
            "common": parse_common,
            "json": parse_json,
            "w3c": self.w3c.parse,
            "haproxy": parse_haproxy,
        }
        self.parse = of_format[format]

    def _any(self, line: bytes) -> Found:
        if line.startswith((b"#Fields:", b"#Version:", b"#Software:", b"#Date:")) or (
            self.w3c.fields and line[:1] == b"#"
        ):
            return self.w3c.parse(line)
        if self.w3c.fields:
            found = self.w3c.parse(line)
            if found is not None:
                return found
        at = SYSLOG.match(line)
        if line.startswith(b"{", at.end() if at else 0):
            return parse_json(line)
        return parse_common(line) or parse_haproxy(line)


def client_in(text: bytes) -> bytes | None:
    """Whose visit a text is that an import has stored; None where the text alone does not say it."""
    found = Reader().parse(text)
    return found.client if isinstance(found, Seen) else None
