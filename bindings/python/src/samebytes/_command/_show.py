"""What the subcommands show: bytes and records as text or JSON, and progress on a terminal."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

Result = TypeVar("Result")
SHOWN_MAX = 60  # bytes of a string, unless all is wanted
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOOKS_PER_SECOND = 5


def escaped(data: bytes, shown_max: int | None = None) -> str:
    """*data* in one line: UTF-8 as it is, anything that is no printable text escaped."""
    text = data[:shown_max].decode("utf-8", "backslashreplace")
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    cut = f"... ({len(data)} bytes)" if shown_max is not None and len(data) > shown_max else ""
    return line + cut


def json_bytes(data: bytes) -> str | dict[str, str]:
    """*data* as JSON has it: a string where it is UTF-8, otherwise an object that says it is none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def json_line(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


def time_text(time_ns: int) -> str:
    """A time to the last nanosecond, in UTC."""
    seconds, fraction = divmod(time_ns, 10**9)
    return f"{(EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()}.{fraction:09}Z"


def pairs(values: dict[str, Any]) -> None:
    """One name and value per line."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        click.echo(f"{name:{width}}  {value:,}" if type(value) is int else f"{name:{width}}  {value}")


def show_record(values: dict[str, Any], as_json: bool) -> None:
    if as_json:
        json_line(values)
    else:
        pairs({name.replace("_", " "): value for name, value in values.items()})


@contextmanager
def progress(total: int, label: str, wanted: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, if that is a terminal; yields what to call with the bytes that were done since the last call."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda count: None
        return
    with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        yield bar.update


def bytes_read() -> int | None:
    """How many bytes this process has read and written by system calls; None where the system does not tell."""
    try:
        counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(counts["rchar"]) + int(counts["wchar"])
    except (OSError, ValueError, KeyError):
        return None


def with_progress(call: Callable[[], Result], total: int, label: str) -> Result:
    """Run *call*, which reads and writes about *total* bytes inside the library, and show how far it is.

    It runs on another thread; what it has done is what the system says this process has read and written meanwhile.
    """
    start = bytes_read()
    if start is None or not sys.stderr.isatty():
        return call()
    outcome: list[Callable[[], Result]] = []

    def run() -> None:
        try:
            result = call()
            outcome.append(lambda: result)
        except BaseException as error:
            failed = error  # the name of an except clause goes at its end
            outcome.append(lambda: raising(failed))

    thread = threading.Thread(target=run)
    with progress(total, label) as advance:
        done = 0
        thread.start()
        while thread.is_alive():
            thread.join(1 / LOOKS_PER_SECOND)
            now = min((bytes_read() or start) - start, total)
            advance(max(now - done, 0))
            done = max(now, done)
        advance(total - done)
    return outcome[0]()


def raising(error: BaseException) -> Any:
    raise error


def count_text(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def columns(rows: Iterable[tuple[str, ...]], align: str = "<") -> None:
    """Lines whose cells stand below each other; the last one takes what room it needs."""
    lines = list(rows)
    widths = [max((len(row[i]) for row in lines), default=0) for i in range(len(lines[0]) - 1)] if lines else []
    for row in lines:
        click.echo("  ".join([f"{cell:{align}{width}}" for cell, width in zip(row, widths)] + [row[-1]]).rstrip())
