"""Makes a small synthetic web log: nobody ever asked for these pages.

    python tests/demo/sample.py FILE

The seed is fixed, so that everybody gets the same lines. A few are odd, and some of these out of shape, as in a real log.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

SEED = 7
LINES = 1000
START = 1_431_857_100  # seconds since the epoch
METHODS = ["GET", "GET", "GET", "POST", "HEAD"]
PAGES = [
    "/",
    "/blog/",
    "/blog/tags/synthetic",
    "/images/not-there.png",
    "/projects/example/",
    "/robots.txt",
    "/style.css",
]
AGENTS = ["ExampleBrowser/1.0 (synthetic)", "example-bot/2.1 (+http://bot.example/)", "-"]
HOME = "192.0.2.7 - - [17/May/2015:10:05:03 +0000]"
ODD = [
    "this line is no request",
    '192.0.2.7 - - [31/Feb/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 12 "-" "-"',
    '192.0.2.7 - - [30/Jun/2015:23:59:60 +0000] "GET / HTTP/1.1" 200 12 "-" "-"',
    f'{HOME} "-" 408 - "-" "-"',
    f'{HOME} "GET /a page HTTP/1.1" 400 0 "-" "-"',
    f'{HOME} "GET /big.iso HTTP/1.1" 200 5368709120 "-" "-"',
    f'{HOME} "GET /a?q=\\"x\\" HTTP/1.1" 200 12 "-" "-"',
    f'{HOME} "\\x16\\x03\\x01" 400 173 "-" "-"\r',
    'www.example.org 192.0.2.8 - john smith [17/May/2015:10:05:03.125 +0000] "GET / HTTP/2" 200 12',
    "",
]


def client(source: random.Random) -> str:
    """An address or name from the ranges that are kept for examples."""
    kind = source.random()
    if kind < 0.8:
        return f"192.0.2.{source.randrange(1, 200)}"
    if kind < 0.9:
        return f"2001:db8::{source.randrange(1, 30):x}"
    return f"host-{source.randrange(1, 10)}.example.org"


def line(source: random.Random, second: int) -> str:
    date = time.strftime("%d/May/2015:%H:%M:%S", time.gmtime(second))  # May is long enough
    zone = source.choice(["+0000"] * 8 + ["+0530", "-0800"])
    size = source.choice(["-", "0", "4294967295", str(source.randrange(1, 200_000)), str(source.randrange(1, 9000))])
    protocol = source.choice([" HTTP/1.1"] * 9 + [""])
    request = f"{source.choice(METHODS)} {source.choice(PAGES)}{protocol}"
    status = source.choice([200] * 8 + [301, 304, 404, 500])
    start = f'{client(source)} - - [{date} {zone}] "{request}" {status} {size}'
    return source.choice([start, f'{start} "-" "{source.choice(AGENTS)}"', f'{start} "-" "{source.choice(AGENTS)}"'])


def sample(lines: int = LINES, seed: int = SEED) -> bytes:
    source = random.Random(seed)
    out = []
    for number in range(lines):
        odd = number % 101 == 50
        out.append(ODD[number // 101 % len(ODD)] if odd else line(source, START + 17 * number))
    return "\n".join(out).encode() + b"\n"


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sample())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/demo/sample.py FILE")
    write(Path(sys.argv[1]))
