"""samebytes visits: looks into a file of visits, checks it, repairs it, and fills it from a log."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click

from .. import _records
from .._visits import VisitManager, salvage_visits, verify_visits
from . import _show, _weblog

MAGIC = b"\x89SBVIS\r\n"
BATCH = 1024  # visits that are added at once
DAMAGE, TROUBLE = 1, 2

if TYPE_CHECKING:
    NumberType = click.ParamType[int]
else:
    NumberType = click.ParamType  # older releases do not say of what

as_json_option = click.option("--json", "as_json", is_flag=True, help="JSON: one object per line.")


def fail(message: str) -> None:
    click.echo(f"samebytes: {message}", err=True)
    click.get_current_context().exit(TROUBLE)


def existing(path: Path) -> Path:
    """*path*, if there is a file: opening for writing would make one."""
    if not path.exists():
        fail(f"{path}: there is no such file")
    return path


def reader(path: Path) -> VisitManager:
    return VisitManager(existing(path), read_only=True, as_bytes=True)


def beside(path: Path) -> list[str]:
    """What recovery and upgrades have left beside a file."""
    return sorted(
        str(other)
        for other in path.parent.glob(f"{glob_escaped(path.name)}.*")
        if is_kept(other.name[len(path.name) :])
    )


def glob_escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def is_kept(suffix: str) -> bool:
    return suffix in (".cut", ".v0") or (suffix.startswith(".cut.") and suffix[5:].isdecimal())


class User(NumberType):
    """A user's number, or the IPv4 address that it stands for."""

    name = "user"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            number = int(value) if value.isdecimal() else int(ipaddress.IPv4Address(value))
        except ValueError:
            self.fail(f"{value!r} is neither a number nor an IPv4 address", param, context)
        if number > 0xFFFFFFFF:
            self.fail(f"{value} is above {0xFFFFFFFF}", param, context)
        return number


@click.group()
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
def visits(context: click.Context, file: Path) -> None:
    """Look into FILE, which a VisitManager keeps, check and repair it.

    Reading takes no lock: it works while a program writes the file, and shows a consistent state of it.
    """
    context.obj = context.find_root().obj = file


@visits.command()
@as_json_option
@click.pass_obj
def stats(path: Path, as_json: bool) -> None:
    """Tell what FILE holds."""
    with reader(path) as manager:
        found = manager.get_stats()
        users = manager.users()
        with path.open("rb") as file:
            format = 1 if file.read(len(MAGIC)) in (MAGIC, b"") else 0
        values: dict[str, Any] = {
            "file": os.fspath(path),
            "format": format,
            "max_visits": found.max_visits,
            "users": len(users),
            "visits": sum(user.visit_count for user in users),
            "file_bytes": path.stat().st_size,
            "live_bytes": found.live_bytes,
            "records": found.records,
            "beside": beside(path) if as_json else ", ".join(beside(path)) or "nothing",
        }
    _show.show_record(values, as_json)


@visits.command()
@as_json_option
@click.pass_obj
def users(path: Path, as_json: bool) -> None:
    """List the users who have visits, and how many."""
    with reader(path) as manager:
        found = manager.users()
    if as_json:
        for user in found:
            _show.json_line({"user": user.user, "visits": user.visit_count})
        return
    _show.columns([("user", "visits", ""), *((str(user.user), str(user.visit_count), "") for user in found)], ">")


@visits.command()
@click.argument("user", type=User())
@click.option("--full", is_flag=True, help="Show long texts whole.")
@as_json_option
@click.pass_obj
def show(path: Path, user: int, full: bool, as_json: bool) -> None:
    """Show the visits of USER, newest first. USER is a number, or an IPv4 address that stands for one."""
    with reader(path) as manager:
        found = manager.get_recent_visits(user)
    shown_max = None if full else _show.SHOWN_MAX
    for visit in found:
        url, text = bytes_of(visit.url), bytes_of(visit.text)
        time = _show.time_text(visit.time_ns)
        if as_json:
            values = {"user": user, "visit_id": visit.visit_id, "time": time, "time_ns": visit.time_ns}
            _show.json_line(values | {"url": _show.json_bytes(url), "text": _show.json_bytes(text)})
        else:
            click.echo(f"{time}  {visit.visit_id}  {_show.escaped(url, shown_max)}")
            click.echo(f"    {_show.escaped(text, shown_max)}")
    if not found and not as_json:
        click.echo(f"user {user} has no visits")


def bytes_of(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def show_report(report: _records.VisitReport, as_json: bool) -> None:
    _show.show_record(report._asdict(), as_json)


@visits.command()
@as_json_option
@click.pass_obj
def verify(path: Path, as_json: bool) -> None:
    """Check every byte of FILE. The exit status is 1 when it is damaged."""
    size = existing(path).stat().st_size
    report = _show.with_progress(lambda: verify_visits(path), size, "verify")
    show_report(report, as_json)
    if report.damaged_bytes:
        click.get_current_context().exit(DAMAGE)


@visits.command()
@as_json_option
@click.pass_obj
def compact(path: Path, as_json: bool) -> None:
    """Write FILE anew with what is live."""
    before = existing(path).stat().st_size
    with VisitManager(path, as_bytes=True) as manager:
        _show.with_progress(manager.compact, before + manager.get_stats().live_bytes, "compact")
    _show.show_record({"bytes_before": before, "bytes_after": path.stat().st_size}, as_json)


@visits.command()
@click.argument("out", type=click.Path(path_type=Path))
@as_json_option
@click.pass_obj
def salvage(path: Path, out: Path, as_json: bool) -> None:
    """Copy whatever is valid in a damaged FILE to the new file OUT.

    FILE stays as it is. The exit status is 0 when OUT was written, and 1 when nothing in FILE is of use.
    """
    size = existing(path).stat().st_size
    report = _show.with_progress(lambda: salvage_visits(path, out), 2 * size, "salvage")
    show_report(report, as_json)


class Line(NamedTuple):
    number: int
    bytes: bytes


def lines_of(source: IO[bytes], advance: Callable[[int], None]) -> Iterator[Line]:
    """The lines of a log without their LF, counted from 1."""
    for number, line in enumerate(source, start=1):
        advance(len(line))
        yield Line(number, line.removesuffix(b"\n"))


class Import:
    """Adds the lines of a log to a store, many at once, and counts what was odd."""

    def __init__(self, manager: VisitManager, first_id: int) -> None:
        self.manager = manager
        self.first_id = first_id
        self.pending: list[tuple[int, int, bytes, bytes, int]] = []
        self.counts = {"lines": 0, "added": 0, "out_of_shape": 0, "with_nul": 0, "too_long": 0}

    def line(self, line: Line) -> None:
        self.counts["lines"] += 1
        if b"\0" in line.bytes:
            self.counts["with_nul"] += 1
            return
        if len(line.bytes) > _records.VISIT_TEXT_MAX:
            self.counts["too_long"] += 1
            return
        parsed = _weblog.parsed(line.bytes)
        self.counts["out_of_shape"] += not parsed.in_shape
        visit_id = self.first_id + line.number - 1
        if visit_id > 0xFFFFFFFF:
            raise click.UsageError(
                f"line {line.number} would have the visit_id {visit_id}, which is above {0xFFFFFFFF}"
            )
        self.pending.append((parsed.user, visit_id, parsed.url, line.bytes, parsed.time_ns))
        if len(self.pending) == BATCH:
            self.flush()

    def flush(self) -> None:
        self.manager.add_visits(self.pending)
        self.counts["added"] += len(self.pending)
        self.pending.clear()


@visits.command("import")
@click.argument("log", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--first-id", type=click.IntRange(0, 0xFFFFFFFF), default=1, show_default=True, help="visit_id of the first line."
)
@click.option(
    "--max-visits", type=click.IntRange(1, 0xFFFFFFFF), help="Visits kept per user; as FILE says, 10 for a new one."
)
@as_json_option
@click.pass_obj
def import_(path: Path, log: Path, first_id: int, max_visits: int | None, as_json: bool) -> None:
    """Add the lines of LOG, a web server's log, to FILE, which is made if there is none.

    Each line is a visit of its first field: of the user with that number where it is an IPv4 address, otherwise with its CRC-32C. The
    visit_id is the number of the line, so that importing a log twice adds nothing; a second log wants another --first-id.
    LOG may be - for the standard input.
    """
    size = log.stat().st_size if str(log) != "-" else 0
    with (
        click.open_file(str(log), "rb") as source,
        VisitManager(path, max_visits or 0, as_bytes=True) as manager,
        _show.progress(size, "import", size > 0) as advance,
    ):
        work = Import(manager, first_id)
        for line in lines_of(source, advance):
            work.line(line)
        work.flush()
    _show.show_record(work.counts, as_json)
