"""samebytes visits import: lines of every format that servers write, logs however they come, and each line once."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import random
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

import samebytes
from samebytes._command import _import, _sources, _weblog
from tests.python.test_command import OLD, objects, process, run

NS = 10**9
START = 1452439487  # 10/Jan/2016:16:24:47 +0100


def line(second: int = 0, request: str = "GET /a HTTP/1.1", client: str = "192.0.2.7", rest: str = "200 12") -> bytes:
    return f'{client} - - [10/Jan/2016:16:{24 + (47 + second) // 60}:{(47 + second) % 60:02d} +0100] "{request}" {rest}'.encode()


def imported(store: Path, *arguments: str | Path, status: int = 0, input: bytes | None = None) -> dict[str, int]:
    """Run an import, and hold its counts against each other and against the store."""
    before = visits_of(store)
    result = run("visits", store, "import", "--json", *arguments, input=input)
    assert result.exit_code == status, result.output
    (counts,) = objects(result)
    parts = ("added", "already_there", "evicted", "refused", "skipped")
    assert counts["lines"] == sum(counts[part] for part in parts)
    assert counts["refused"] == counts["not_understood"] + counts["with_nul"] + counts["too_long"]
    after = visits_of(store)
    assert counts["added"] == len(after - before)
    assert counts["displaced"] == len(before - after)
    return counts


def visits_of(store: Path) -> set[Any]:
    if not store.exists():
        return set()
    with samebytes.VisitManager(store, read_only=True, as_bytes=True) as manager:
        return {(v.user, v.visit_id, v.time_ns, v.url, v.text) for v in manager}


def write(path: Path, *lines: bytes, end: bytes = b"\n") -> Path:
    path.write_bytes(b"".join(one + end for one in lines))
    return path


# ---- the common and the combined format ----

URLS = {
    "ordinary": ('"GET /a HTTP/1.1" 200 12 "-" "-"', b"/a"),
    "common format": ('"GET /a HTTP/1.1" 200 12', b"/a"),
    "escaped quotes": (r'"GET /a?q=\"x\" HTTP/1.1" 200 12 "-" "-"', rb"/a?q=\"x\""),
    "escaped quote before numbers": (r'"GET /a\" 200 5 HTTP/1.1" 404 12 "-" "-"', rb"/a\" 200 5"),
    "escaped backslash last": (r'"GET /a\\" 200 12 "-" "-"', rb"/a\\"),
    "quotes that are not escaped": ('"GET /a"b"c HTTP/1.1" 200 12 "-" "-"', b'/a"b"c'),
    "a backslash that is not escaped": (r'"GET /a\" 200 12 "-" "x"', b"/a\\"),
    "size above 4 GiB": ('"GET /a HTTP/1.1" 200 5368709120 "-" "-"', b"/a"),
    "size above 64 bits": ('"GET /a HTTP/1.1" 200 99999999999999999999999 "-" "-"', b"/a"),
    "no size": ('"GET /a HTTP/1.1" 304 - "-" "-"', b"/a"),
    "spaces in the target": ('"GET /a?x=b c  d HTTP/1.1" 404 151 "-" "-"', b"/a?x=b c  d"),
    "no version": ('"GET /a" 200 12', b"/a"),
    "HTTP/2": ('"GET /a HTTP/2" 200 12', b"/a"),
    "an absolute target": ('"GET http://h/a HTTP/1.1" 200 12', b"http://h/a"),
    "CONNECT": ('"CONNECT h:443 HTTP/1.1" 405 12', b"h:443"),
    "timed out": ('"-" 408 - "-" "-"', b""),
    "empty": ('"" 400 0 "-" "-"', b""),
    "TLS, escaped": (r'"\x16\x03\x01\x02 \x01" 400 173 "-" "-"', b""),
    "TLS, as it is": ('"\x16\x03\x01\x02 \x01" 400 173 "-" "-"', b""),
    "not UTF-8": ('"GET /\udcff\udcfe HTTP/1.1" 400 173', b"/\xff\xfe"),
    "more behind": ('"GET /a HTTP/1.1" 200 12 "-" "-" 1 "front" "http://10.0.0.1" 5ms', b"/a"),
}


@pytest.mark.parametrize("case", URLS)
@pytest.mark.parametrize("user", ["-", "john", "john smith", "a [b] c"])
def test_the_request_of_the_common_format_may_hold_anything(case: str, user: str) -> None:
    rest, url = URLS[case]
    text = f"192.0.2.7 - {user} [10/Jan/2016:16:24:47 +0100] {rest}".encode("utf-8", "surrogateescape")
    assert _weblog.parse_common(text) == _weblog.Seen(b"192.0.2.7", url, START * NS)


@pytest.mark.parametrize(
    ("head", "client"),
    [
        ("192.0.2.7 - -", b"192.0.2.7"),
        ("www.example.com 192.0.2.7 - -", b"192.0.2.7"),
        ("www.example.com:443 192.0.2.7 - john smith", b"192.0.2.7"),
        ("192.0.2.1 192.0.2.7 - -", b"192.0.2.7"),
        ("www.example.com 2001:db8::7 - -", b"2001:db8::7"),
        ("www.example.com client.example.net - -", b"client.example.net"),
        ("client.example.net - -", b"client.example.net"),
        ("client.example.net ident john", b"client.example.net"),
        ("192.0.2.7 ident john smith", b"192.0.2.7"),
        ("192.0.2.7, 192.0.2.8 - -", b"192.0.2.7"),
        ('"192.0.2.7 - -', b"192.0.2.7"),
        ("192.0.2.7:5123 - -", b"192.0.2.7"),
        ("[2001:db8::7]:5123 - -", b"2001:db8::7"),
        ("Apr  4 14:30:19 web-1 nginx: 192.0.2.7 - -", b"192.0.2.7"),
        ("<190>Apr  4 14:30:19 web-1 nginx[12]: 192.0.2.7 - -", b"192.0.2.7"),
        ("2024-04-04T14:30:19.123+02:00 web-1 nginx: www.example.com 192.0.2.7 - -", b"192.0.2.7"),
        ("CLIENT.Example.net - -", b"client.example.net"),
    ],
)
def test_the_client_is_found_whatever_stands_before_it(head: str, client: bytes) -> None:
    found = _weblog.parse_common(f'{head} [10/Jan/2016:16:24:47 +0100] "GET /a HTTP/1.1" 200 12'.encode())
    assert found is not None
    assert found.client == client


def test_one_address_has_one_name_however_it_is_written() -> None:
    same = [b"2001:db8::7", b"2001:DB8:0:0:0:0:0:7", b"[2001:db8::7]", b"[2001:0db8::0007]:80"]
    assert {_weblog.client_name(field) for field in same} == {b"2001:db8::7"}
    assert {_weblog.client_name(field) for field in (b"::ffff:192.0.2.7", b"192.0.2.7", b"192.0.2.7:80")} == {
        b"192.0.2.7"
    }


@pytest.mark.parametrize(
    ("moment", "time_ns"),
    [
        ("10/Jan/2016:16:24:47 +0100", START * NS),
        ("10/Jan/2016:16:24:47.123456789 +0100", START * NS + 123456789),
        ("10/Jan/2016:16:24:47,5 +0100", START * NS + 500000000),
        ("10/Jan/2016:05:54:47 -0930", START * NS),
        ("31/Dec/2016:23:59:60 +0000", 1483228800 * NS),
        ("29/Feb/2016:00:00:00 +0000", 1456704000 * NS),
        ("31/Dec/9999:23:59:59 +0000", (2**63 - 1) // NS * NS),
        ("01/Jan/0000:00:00:00 +0000", -((2**63 - 1) // NS * NS)),
        ("29/Feb/2015:10:05:03 +0000", None),
        ("17/May/2015:24:05:03 +0000", None),
        ("17/May/2015:10:60:03 +0000", None),
        ("17/May/2015:10:05:61 +0000", None),
        ("17/Mai/2015:10:05:03 +0000", None),
        ("17/May/2015:10:05:03 +2400", None),
    ],
)
def test_times_of_the_common_format(moment: str, time_ns: int | None) -> None:
    found = _weblog.parse_common(f'192.0.2.7 - - [{moment}] "GET /a HTTP/1.1" 200 12'.encode())
    assert (found and found.time_ns) == time_ns


@pytest.mark.parametrize("text", [b"", b"192.0.2.7", b"[10/Jan/2016:16:24:47 +0100]", b"- - - [10/Jan/2016:16:24:47 +0100] x",
                                  b'unix: - - [10/Jan/2016:16:24:47 +0100] "GET / HTTP/1.1" 200 1'])  # fmt: skip
def test_a_line_without_client_or_time_is_not_understood(text: bytes) -> None:
    assert _weblog.Reader().parse(text) is None


# ---- other formats ----

CADDY = (
    b'{"level":"info","ts":1711741827.9626286,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"192.0.2.9",'
    b'"client_ip":"192.0.2.7","proto":"HTTP/1.1","method":"GET","host":"h","uri":"/a?\\u00e4","headers":{}},"size":5368709120,"status":200}'
)
TRAEFIK = (
    b'{"ClientAddr":"192.0.2.7:4711","ClientHost":"192.0.2.7","RequestPath":"/a","RequestMethod":"GET","DownstreamStatus":200,'
    b'"StartUTC":"2024-03-29T19:50:27.962628612Z","time":"2024-03-29T19:50:28Z","level":"info","msg":""}'
)
NGINX = b'{"time_iso8601":"2024-03-29T20:50:27+01:00","remote_addr":"192.0.2.7","request":"GET /a b HTTP/1.1","status":"200"}'
NGINX_MSEC = b'{"msec":"1711741827.962","remote_addr":"192.0.2.7","request_uri":"/a","status":200}'
NGINX_LOCAL = b'{"time_local":"29/Mar/2024:20:50:27 +0100","remote_addr":"2001:db8::7","uri":"/a"}'
MILLISECONDS = b'{"timestamp":1711741827962,"client_ip":"host.example","url":"/a"}'
HAPROXY = (
    b"Apr  4 14:30:19 hap-1 haproxy[39]: 192.0.2.7:55032 [04/Apr/2024:14:30:18.885] front~ back/web 0/0/0/169/169 404 1541 - - "
    b'---- 57/6/9/1/0 0/0 {agent|} "GET /a HTTP/1.1"'
)
HAPROXY_6 = b'2001:db8::7:55032 [04/Apr/2024:14:30:18.885] front back/web 0/0/0/169/+169 404 +1541 - - ---- 5/6/9/1/0 0/0 "<BADREQ>"'
FORMATS = {
    "caddy": ("json", CADDY, (b"192.0.2.7", "/a?ä".encode(), 1711741827962628600)),
    "traefik": ("json", TRAEFIK, (b"192.0.2.7", b"/a", 1711741827962628612)),
    "nginx": ("json", NGINX, (b"192.0.2.7", b"/a b", 1711741827 * NS)),
    "nginx, msec": ("json", NGINX_MSEC, (b"192.0.2.7", b"/a", 1711741827962000000)),
    "nginx, time_local": ("json", NGINX_LOCAL, (b"2001:db8::7", b"/a", 1711741827 * NS)),
    "milliseconds": ("json", MILLISECONDS, (b"host.example", b"/a", 1711741827962000000)),
    "haproxy": ("haproxy", HAPROXY, (b"192.0.2.7", b"/a", 1712241018885000000)),
    "haproxy, IPv6": ("haproxy", HAPROXY_6, (b"2001:db8::7", b"", 1712241018885000000)),
    "common": ("common", line(), (b"192.0.2.7", b"/a", START * NS)),
}


@pytest.mark.parametrize("case", FORMATS)
def test_a_format_is_found_by_itself_and_by_its_name_alone(case: str) -> None:
    name, text, expected = FORMATS[case]
    for format in _weblog.FORMATS:
        found = _weblog.Reader(format).parse(text)
        if format in ("auto", name):
            assert isinstance(found, _weblog.Seen)
            assert tuple(found)[:3] == expected
        else:
            assert found is None


W3C = b'''\xef\xbb\xbf#Software: Microsoft Internet Information Services 10.0
#Version: 1.0
#Date: 2024-03-29 19:50:27
#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Cookie) sc-status
2024-03-29 19:50:27 10.0.0.1 GET /a q=1&r=2 443 - 192.0.2.7 Mozilla/5.0+(X) "a=1; b=""2""" 200
2024-03-29 19:50:28 10.0.0.1 GET /b - 443 - 2001:db8::7 Mozilla/5.0+(X) - 200
2024-03-29 19:50:29 10.0.0.1 GET
#Date: 2024-03-30 00:00:00
#Fields: time c-ip cs-uri-stem
00:00:01 192.0.2.7 /c
'''


@pytest.mark.parametrize("arguments", [(), ("--format", "w3c")])
def test_the_format_of_the_w3c_says_its_fields(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(W3C)
    counts = imported(tmp_path / "v", tmp_path / "log", *arguments)
    assert (counts["added"], counts["skipped"], counts["not_understood"]) == (3, 6, 1)
    urls = {(url, time_ns // NS) for _, _, time_ns, url, _ in visits_of(tmp_path / "v")}
    assert urls == {(b"/a?q=1&r=2", 1711741827), (b"/b", 1711741828), (b"/c", 1711756801)}
    assert imported(tmp_path / "v", tmp_path / "log", *arguments)["added"] == 0
    shown = objects(run("visits", tmp_path / "v", "show", "192.0.2.7", "--json"))
    assert [visit["url"] for visit in shown] == ["/c", "/a?q=1&r=2"]


HOSTILE_JSON = [
    b"{",
    b"{}",
    b"[1]",
    b"null",
    b"{" * 100000,
    b'{"a":' * 100000,
    *(
        b'{"client_ip":"192.0.2.7","ts":%b,"uri":"/"}' % time
        for time in (
            b"1e999999",
            b"9" * 5000,
            b"NaN",
            b"-1e30",
            b"true",
            b'"yesterday"',
            b'"2024-02-30T00:00:00Z"',
            b"[1]",
        )
    ),
    *(b'{"client_ip":%b,"ts":1,"uri":"/"}' % client for client in (b'["192.0.2.7"]', b'""', b'"-"', b"7")),
    b'{"client_ip":"192.0.2.7","uri":"/"}',
    b'{"client_ip":"192.0.2.7","ts":1}',
]


@pytest.mark.parametrize("text", HOSTILE_JSON, ids=lambda text: text[:40].decode())
def test_json_that_says_nothing_is_not_understood(text: bytes) -> None:
    assert _weblog.Reader().parse(text) is None


def test_json_with_a_nul_or_half_a_character_is_refused_or_kept(tmp_path: Path) -> None:
    paths = (b"\\u0000", b"\\ud800", b"\xff")
    log = write(tmp_path / "log", *(b'{"client_ip":"192.0.2.7","ts":1,"uri":"/%b"}' % path for path in paths))
    counts = imported(tmp_path / "v", log)
    assert (counts["added"], counts["with_nul"]) == (2, 1)
    assert {visit[3] for visit in visits_of(tmp_path / "v")} == {b"/?", b"/\xff"}


def test_any_bytes_are_understood_or_not_and_nothing_else(tmp_path: Path) -> None:
    draw = random.Random(7)
    good = [text for _, text, _ in FORMATS.values()] + W3C.splitlines()
    for _ in range(3000):
        text = bytearray(draw.choice(good))
        for _ in range(draw.randrange(8)):
            at = draw.randrange(len(text) + 1)
            text[at : at + draw.randrange(4)] = draw.randbytes(draw.randrange(4))
        for format in _weblog.FORMATS:
            found = _weblog.Reader(format).parse(bytes(text))
            assert found is None or isinstance(found, _weblog.Directive) or -(2**63) < found.time_ns < 2**63


@pytest.mark.parametrize(
    "text",
    [
        b'"GET a' + b" " * 1_000_000 + b'x" 200 1',
        b'"GET ' + b" HTTP/1" * 300_000 + b'x" 200 1',
        b'"GET ' + b" " * 1_000_000 + b'" 200 1',
        b'"' * 2_000_000,
        b"\\" * 2_000_000,
        b'\\"' * 1_000_000,
        b"[" * 2_000_000,
        b" " * 2_000_000,
        b'" 200 ' * 300_000,
        b'x "' * 1_000_000,
    ],
    ids=lambda text: repr(text[:6]),
)
@pytest.mark.timeout(300)
def test_work_is_linear_in_a_line_whatever_it_holds(text: bytes) -> None:
    """Something quadratic would need hours for these, and something linear a moment."""
    head = b"192.0.2.7 - - [10/Jan/2016:16:24:47 +0100] "
    for format in _weblog.FORMATS:
        for line_of_it in (text, head + text):
            found = _weblog.Reader(format).parse(line_of_it)
            assert found is None or isinstance(found, _weblog.Seen)


# ---- where logs come from ----


def zstd_compress(data: bytes) -> bytes:
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})  # as the command zstd does


COMPRESSED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd_compress}
LINES = [line(second, f"GET /{second} HTTP/1.1") for second in range(9)]


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("name", ["log", "-"])
def test_a_compressed_log_is_read(kind: str, name: str, tmp_path: Path) -> None:
    whole = b"\n".join(LINES) + b"\n"
    half = len(whole) // 2
    data = COMPRESSED[kind](whole[:half]) + COMPRESSED[kind](whole[half:])  # two streams, as cat makes them
    (tmp_path / "log").write_bytes(data)
    assert imported(tmp_path / "plain", "-", input=whole)["added"] == 9
    source: tuple[str | Path, bytes | None] = ("-", data) if name == "-" else (tmp_path / "log", None)
    assert imported(tmp_path / "v", source[0], input=source[1])["added"] == 9
    assert visits_of(tmp_path / "v") == visits_of(tmp_path / "plain")


@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_damaged_compressed_log_is_told_and_what_came_before_is_kept(kind: str, tmp_path: Path) -> None:
    draw = random.Random(1)
    lines = [
        line(0, f"GET /{draw.randbytes(400).hex()} HTTP/1.1", client=f"10.0.{i // 250}.{i % 250}") for i in range(600)
    ]
    data = COMPRESSED[kind](b"\n".join(lines))
    (tmp_path / "log").write_bytes(data[: len(data) * 2 // 3])
    result = run("visits", tmp_path / "v", "import", tmp_path / "log")
    assert result.exit_code == 3
    assert f"{tmp_path / 'log'}: it is damaged after line" in result.stderr
    kept = len(visits_of(tmp_path / "v"))
    assert f"after line {kept}:" in result.stderr
    wrong = bytearray(data)
    wrong[len(data) // 2] ^= 0x55
    wrong[len(data) // 2 + 1] ^= 0x55
    (tmp_path / "log").write_bytes(wrong)
    assert run("visits", tmp_path / "w", "import", tmp_path / "log").exit_code == 3


@pytest.mark.parametrize("kind", COMPRESSED)
def test_what_expands_beyond_reason_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sources, "EXPANDED_FREE", 1 << 20)
    log = tmp_path / "log"
    log.write_bytes(COMPRESSED[kind](b"\0" * (8 << 20)))
    result = run("visits", tmp_path / "v", "import", log)
    assert result.exit_code == 3
    assert "--max-ratio allows more" in result.stderr
    assert not (tmp_path / "v").exists()
    assert run("visits", tmp_path / "v", "import", log, "--max-ratio", "10000000").exit_code == 4


def test_an_xz_that_wants_too_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sources, "DICTIONARY_MAX", 1 << 20)
    (tmp_path / "log").write_bytes(lzma.compress(b"\n".join(LINES), preset=6))
    result = run("visits", tmp_path / "v", "import", tmp_path / "log")
    assert result.exit_code == 3
    assert "Memory usage limit" in result.stderr


def test_zstandard_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.write_bytes(zstd.compress(line()))
    code = "import sys; sys.modules['backports.zstd'] = sys.modules['compression.zstd'] = None; from samebytes._command import main; main()"
    command = [sys.executable, "-c", code, "visits", tmp_path / "v", "import", log]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "pip install 'samebytes[zstd]'" in done.stderr
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04" + bytes(100), "not known here"),
        ("\ufeff192.0.2.7 - -".encode("utf-16"), "iconv -f UTF-16"),
        (gzip.compress("\ufeff192.0.2.7 - -".encode("utf-16"), mtime=0), "iconv -f UTF-16"),
    ],
    ids=["zip", "UTF-16", "UTF-16 in gzip"],
)
def test_what_is_no_log_is_refused_by_its_first_bytes(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(data)
    result = run("visits", tmp_path / "v", "import", tmp_path / "log")
    assert result.exit_code == 3
    assert words in result.stderr
    assert not (tmp_path / "v").exists()


def test_line_ends_and_a_bom_are_no_part_of_a_line(tmp_path: Path) -> None:
    plain = imported(tmp_path / "v", write(tmp_path / "a", *LINES))
    other = imported(tmp_path / "v", write(tmp_path / "b", b"\xef\xbb\xbf" + LINES[0], *LINES[1:], b"", end=b"\r\n"))
    assert (plain["added"], other["already_there"], other["skipped"]) == (9, 9, 1)
    (tmp_path / "c").write_bytes(b"\n".join([*LINES, line(10)]))  # no end of the last
    assert imported(tmp_path / "v", tmp_path / "c")["added"] == 1


def test_a_line_that_is_too_long_is_passed_over_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebytes._records.VISIT_TEXT_MAX", 100)
    monkeypatch.setattr(_sources, "PIECE", 64)
    fits = line(1, "GET /" + "x" * (100 - len(line(1, "GET / HTTP/1.1"))) + " HTTP/1.1")
    assert len(fits) == 100
    log = write(
        tmp_path / "log", line(), b"x" * 5000, fits, fits[:5] + b"x" + fits[5:], fits + b"\r", b"y" * 101, line(2)
    )
    counts = imported(tmp_path / "v", log)
    assert (counts["lines"], counts["too_long"], counts["added"]) == (7, 3, 4)
    assert {visit[1] for visit in visits_of(tmp_path / "v")} == {1, 3, 5, 7}
    (tmp_path / "log").write_bytes(b"z" * 5000)
    assert imported(tmp_path / "v", tmp_path / "log", status=4)["too_long"] == 1


def test_a_pipe_that_gives_little_at_a_time_is_read_whole() -> None:
    class Slow(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.data = data

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:  # type: ignore[override]
            piece, self.data = self.data[:1], self.data[1:]
            return piece

    for kind in (bytes, *COMPRESSED.values()):
        log = _sources.Log(Slow(kind(b"\r\n".join(LINES))), lambda count: None, 250)  # type: ignore[arg-type]
        assert [found.bytes for found in log.lines(1000)] == LINES


# ---- each line once ----


def test_rotated_logs_continue_and_none_is_added_twice(tmp_path: Path) -> None:
    store = tmp_path / "v"
    days = {"monday": 0, "tuesday": 100}
    monday, tuesday = (
        write(tmp_path / day, *(line(second + i, f"GET /{day}/{i} HTTP/1.1") for i in range(5)))
        for day, second in days.items()
    )
    assert imported(store, monday)["added"] == 5
    assert imported(store, tuesday)["added"] == 5
    ids = [visit["visit_id"] for visit in objects(run("visits", store, "show", "192.0.2.7", "--json"))]
    assert ids == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    for log in (monday, tuesday):
        counts = imported(store, log)
        assert (counts["added"], counts["already_there"]) == (0, 5)
    both = imported(tmp_path / "w", monday, tuesday)
    assert both["added"] == 10
    assert visits_of(tmp_path / "w") == visits_of(store)


def test_a_log_that_has_grown_or_was_renamed_or_compressed_adds_what_is_new(tmp_path: Path) -> None:
    store, log = tmp_path / "v", tmp_path / "access.log"
    write(log, *LINES[:4])
    assert imported(store, log)["added"] == 4
    write(log, *LINES)
    counts = imported(store, log)
    assert (counts["added"], counts["already_there"]) == (5, 4)
    (tmp_path / "access.log.1.gz").write_bytes(gzip.compress(log.read_bytes()))
    assert imported(store, tmp_path / "access.log.1.gz")["already_there"] == 9


def test_the_same_request_many_times_in_a_second_is_as_many_visits(tmp_path: Path) -> None:
    log = write(tmp_path / "log", *[line()] * 4, line(1), *[line(1)] * 2)
    assert imported(tmp_path / "v", log)["added"] == 7
    assert imported(tmp_path / "v", log)["already_there"] == 7


@pytest.mark.parametrize("count", [3, 10, 12, 25])
def test_more_in_one_second_than_are_kept_stay_the_newest_when_imported_again(count: int, tmp_path: Path) -> None:
    store = tmp_path / "v"
    log = write(tmp_path / "log", *(line(0, f"GET /{i} HTTP/1.1") for i in range(count)))
    first = imported(store, log)
    assert (first["added"], first["evicted"]) == (min(count, 10), max(count - 10, 0))
    kept = visits_of(store)
    assert {visit[1] for visit in kept} == set(range(max(count - 10, 0) + 1, count + 1))
    for _ in range(3):
        assert imported(store, log)["added"] == 0
        assert visits_of(store) == kept
    write(log, *(line(0, f"GET /{i} HTTP/1.1") for i in range(count + 2)))  # it has grown, within that second
    assert imported(store, log)["added"] == 2
    assert max(visit[1] for visit in visits_of(store)) == count + 2


def test_an_older_log_after_a_newer_one_adds_no_more_than_fits(tmp_path: Path) -> None:
    store = tmp_path / "v"
    imported(store, write(tmp_path / "new", *(line(100 + i, f"GET /n{i} HTTP/1.1") for i in range(8))))
    counts = imported(store, write(tmp_path / "old", *(line(i, f"GET /o{i} HTTP/1.1") for i in range(8))))
    assert (counts["added"], counts["evicted"]) == (2, 6)
    assert imported(store, tmp_path / "old")["added"] == 0


def test_visits_that_give_way_are_counted(tmp_path: Path) -> None:
    store = tmp_path / "v"
    imported(store, write(tmp_path / "a", *LINES))
    counts = imported(store, write(tmp_path / "b", *(line(100 + i) for i in range(4))))
    assert (counts["added"], counts["displaced"], counts["evicted"]) == (4, 3, 0)


def test_a_user_whose_highest_id_is_the_last_gets_a_free_one(tmp_path: Path) -> None:
    store = tmp_path / "v"
    with samebytes.VisitManager(store, 10) as manager:
        manager.add_visits([(0xC0000207, 0xFFFFFFFF, "/", LINES[0].decode(), 1), (0xC0000207, 0, "/", "t", 2)])
    assert imported(store, write(tmp_path / "log", *LINES[1:4]))["added"] == 3
    assert {visit[1] for visit in visits_of(store)} == {0xFFFFFFFF, 0, 1, 2, 3}


def test_a_random_history_of_imports_ends_as_if_all_lines_had_come_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs in rotation, imported while they grow, again, and in one go: the newest of each client are there, once each."""
    for seed in range(12):
        draw = random.Random(seed)
        monkeypatch.setattr(_import, "KEPT_MAX", draw.choice([3, 40, 500_000]))
        monkeypatch.setattr(_import, "BATCH", draw.choice([1, 7, 1024]))
        second, all_lines = 0, []
        for number in range(300):
            second += draw.randrange(3)
            client = draw.choice(
                ["192.0.2.1", "192.0.2.2", "2001:db8::1", "host.example", *(f"10.0.0.{i}" for i in range(20))]
            )
            all_lines.append(line(second, f"GET /{number} HTTP/1.1", client))
        store, log, done = tmp_path / f"v{seed}", tmp_path / "log", 0
        rotated: list[list[bytes]] = [[]]
        while done < len(all_lines):
            count = draw.randrange(1, 60)
            rotated[-1] += all_lines[done : done + count]
            done += count
            imported(store, write(log, *rotated[-1]))
            if draw.random() < 0.4:
                rotated.append([])
        for old in rotated:
            assert imported(store, write(log, *old))["added"] == 0
        expected = defaultdict(list)
        for text in all_lines:
            found = _weblog.parse_common(text)
            assert found is not None
            expected[found.client].append(text)
        kept: dict[int, set[bytes]] = defaultdict(set)
        for user, _, _, _, text in visits_of(store):
            kept[user].add(text)
        assert sorted(map(sorted, kept.values())) == sorted(sorted(texts[-10:]) for texts in expected.values())


# ---- clients ----


@functools.cache
def name_of_checksum(crc: int) -> str:
    """A name with that CRC-32C."""
    table = {samebytes.crc32c(0, b"a.example-%08x" % i): i for i in range(1 << 16)}
    draw = random.Random(3)
    while True:  # what the checksum must be before a tail is in the table for one tail of 65,536
        tail = b"%08x" % draw.randrange(1 << 32)
        before = undo(crc, tail)
        if before in table:
            return (b"a.example-%08x" % table[before] + tail).decode()


def undo(crc: int, tail: bytes) -> int:
    """The CRC-32C before *tail* that becomes *crc* with it."""
    crc ^= 0xFFFFFFFF
    for byte in reversed(tail):
        for _ in range(8):
            crc = ((crc ^ 0x82F63B78) << 1 | 1) if crc & 0x80000000 else crc << 1
        crc = (crc & 0xFFFFFFFF) ^ byte
    return crc ^ 0xFFFFFFFF


def test_the_checksum_can_be_undone() -> None:
    assert undo(samebytes.crc32c(0, b"headtail"), b"tail") == samebytes.crc32c(0, b"head")


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("kept_max", [1, 500_000])
def test_two_clients_of_one_number_stay_two(
    order: int, kept_max: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_import, "KEPT_MAX", kept_max)
    other = "first.example"
    pairs = [
        (other, name_of_checksum(samebytes.crc32c(0, other.encode()))),
        ("192.0.2.7", name_of_checksum(0xC0000207)),
    ]
    for number, pair in enumerate(pairs):
        names = pair[::order]
        first, second = (_import.candidates(name.encode())[0] for name in names)
        assert first == second
        store = tmp_path / str(number)
        lines = [line(s, f"GET /{name} HTTP/1.1", client=name) for s in range(4) for name in names]
        log = write(tmp_path / "log", *lines)
        assert imported(store, log)["added"] == 8
        assert imported(store, log)["already_there"] == 8
        for name in names:
            shown = objects(run("visits", store, "show", name, "--json"))
            assert [visit["url"] for visit in shown] == [f"/{name}"] * 4
        assert (
            len({visit["user"] for name in names for visit in objects(run("visits", store, "show", name, "--json"))})
            == 2
        )


def test_a_user_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "v"
    with samebytes.VisitManager(store) as manager:
        manager.add_visit(0xC0000207, 1, "/own", "what a program has stored")
    assert imported(store, write(tmp_path / "log", line()))["added"] == 1
    assert [v["url"] for v in objects(run("visits", store, "show", str(0xC0000207), "--json"))] == ["/own"]
    assert [v["url"] for v in objects(run("visits", store, "show", "192.0.2.7", "--json"))] == ["/a"]
    assert [v["url"] for v in objects(run("visits", store, "show", "::ffff:192.0.2.7", "--json"))] == ["/a"]
    assert run("visits", store, "show", "192.0.2.8").stdout == "user 192.0.2.8 has no visits\n"


def test_a_client_without_a_free_number_is_told(tmp_path: Path) -> None:
    store = tmp_path / "v"
    with samebytes.VisitManager(store) as manager:
        manager.add_visits([(user, 1, "/", "somebody's") for user in _import.candidates(b"192.0.2.7")])
    result = run("visits", store, "import", write(tmp_path / "log", line()))
    assert result.exit_code == 3
    assert "belong to others" in result.stderr


# ---- what is refused ----


def test_lines_that_are_refused_are_counted_and_make_no_users(tmp_path: Path) -> None:
    log = write(tmp_path / "log", *LINES, b"2024/01/01 00:00:00 [error] 1#1: nonsense", b"192.0.2.7 \0", b"", b"   ")
    counts = imported(tmp_path / "v", log)
    assert (counts["refused"], counts["not_understood"], counts["with_nul"], counts["skipped"]) == (2, 1, 1, 2)
    assert {visit[0] for visit in visits_of(tmp_path / "v")} == {0xC0000207}


@pytest.mark.parametrize(("good", "bad", "status"), [(0, 1, 4), (1, 2, 4), (2, 2, 0), (3, 2, 0), (0, 0, 0)])
def test_most_lines_not_understood_is_a_status_and_a_warning(good: int, bad: int, status: int, tmp_path: Path) -> None:
    store = tmp_path / "v"
    log = write(tmp_path / "log", *LINES[:good], *[b"nonsense"] * bad)
    result = run("visits", store, "import", log)
    assert result.exit_code == status
    warning = f"samebytes: {log}: {bad} of {good + bad} lines were not understood, first line {good + 1}: it does not say whose"
    assert result.stderr.startswith(warning) if status else result.stderr == ""
    assert store.exists() == (good > 0 or bad == 0)
    assert len(visits_of(store)) == good


def test_each_log_is_judged_by_itself(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good", *LINES), write(tmp_path / "bad", b"nonsense")
    result = run("visits", tmp_path / "v", "import", bad, good)
    assert result.exit_code == 4
    assert result.stderr.count("\n") == 1
    assert len(visits_of(tmp_path / "v")) == 9


def test_strict_ends_at_the_first_line_that_is_refused(tmp_path: Path) -> None:
    store, log = tmp_path / "v", write(tmp_path / "log", *LINES[:5], b"nonsense", *LINES[5:])
    result = run("visits", store, "import", "--strict", log)
    assert result.exit_code == 4
    assert f"{log}: line 6: it does not say whose it is and when; nothing after it was added" in result.stderr
    assert len(visits_of(store)) == 5
    assert imported(store, "--strict", write(log, *LINES))["added"] == 4


def test_another_format_than_the_one_named_is_not_understood(tmp_path: Path) -> None:
    log = write(tmp_path / "log", CADDY, line())
    assert imported(tmp_path / "v", log)["added"] == 2
    assert imported(tmp_path / "w", log, "--format", "json")["added"] == 1
    assert imported(tmp_path / "x", log, "--format", "w3c", status=4)["refused"] == 2
    assert run("visits", tmp_path / "x", "import", "--format", "nonsense", log).exit_code == 2


def test_the_standard_input_is_named_in_what_is_said() -> None:
    result = run("visits", "v", "import", "-", input=b"PK\x03\x04nothing")
    assert (result.exit_code, "the standard input: it is compressed" in result.stderr) == (3, True)


@pytest.mark.parametrize("suffix", ["new", "lock", "v0", "cut", "cut.1", "cut.23", "new.lock"])
def test_the_names_that_a_store_takes_for_itself_are_refused(suffix: str, tmp_path: Path) -> None:
    store = tmp_path / "v"
    imported(store, write(tmp_path / "log", *LINES))
    name = Path(f"{store}.{suffix}")
    for there in (False, True):
        if there:
            name.write_bytes(OLD)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        commands = [(name, "import", tmp_path / "log"), (store, "salvage", name)]
        for arguments in [*commands, (name, "compact")] if there else commands:
            result = run("visits", *arguments)
            assert result.exit_code == 2
            assert re.search("takes( this name)? for itself|exists|is there", result.stderr)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    for harmless in ("new.db", "newer", "cut.x"):
        assert run("visits", store, "salvage", f"{store}.{harmless}").exit_code == 0
    assert imported(tmp_path / f"nobody.{suffix}", tmp_path / "log")["added"] == 9


def test_ids_that_were_asked_for_are_used(tmp_path: Path) -> None:
    store, log = tmp_path / "v", write(tmp_path / "log", *LINES)
    assert imported(store, log, "--first-id", "100")["added"] == 9
    assert {visit[1] for visit in visits_of(store)} == set(range(100, 109))
    assert imported(store, log, "--first-id", "100")["already_there"] == 9
    counts = imported(store, log, "--first-id", "104")  # five of the ids are taken
    assert (counts["already_there"], counts["added"], counts["displaced"]) == (5, 4, 3)


def test_a_limit_is_kept_unless_another_one_is_said(tmp_path: Path) -> None:
    store, log = tmp_path / "v", write(tmp_path / "log", *LINES)
    imported(store, log, "--max-visits", "20")
    imported(store, write(tmp_path / "more", *(line(100 + i) for i in range(10))))
    assert len(visits_of(store)) == 19
    assert run("visits", store, "import", log, "--max-visits", "5").exit_code == 0
    assert len(visits_of(store)) == 5


def test_a_process_says_what_it_counts_for_people_too(tmp_path: Path) -> None:
    done = process("visits", tmp_path / "v", "import", write(tmp_path / "log", *LINES))
    assert done.returncode == 0
    assert "already there   0\n" in done.stdout
    assert "added           9\n" in done.stdout
