"""samebytes visits: looks into a file of visits, checks it, repairs it, and fills it from a log."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import _records
from .._visits import VisitManager, salvage_visits, verify_visits
from . import _import, _show, _sources, _status, _weblog

MAGIC = b"\x89SBVIS\r\n"
RATIO_MAX = 250  # of a compressed log; those of real ones are below 100
OWN_NAME = re.compile(r"(.+)\.(new|lock|v0|cut|cut\.[0-9]+)")

if TYPE_CHECKING:
    UserType = click.ParamType[int | bytes]
else:
    UserType = click.ParamType  # older releases do not say of what

as_json_option = click.option("--json", "as_json", is_flag=True, help="JSON: one object per line.")


def existing(path: Path) -> Path:
    """*path*, if there is a file: opening for writing would make one."""
    if not path.exists():
        raise click.UsageError(f"{path}: there is no such file")
    return path


def refuse_own_name(path: Path) -> None:
    """Refuse to write to what a store beside it keeps for itself, as the library refuses to make it: an import would upgrade FILE.v0, which
    is kept as it was."""
    name = path.name
    while found := OWN_NAME.fullmatch(name):  # FILE.new.lock is FILE's as well
        name = found[1]
        if any(path.with_name(name + suffix).exists() for suffix in ("", ".lock")):
            raise click.UsageError(f"{path}: a store beside it, {name}, takes this name for itself; choose another")


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


class User(UserType):
    """A user's number, or the client that an import has made a user of, by address or name."""

    name = "user"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int | bytes:
        if isinstance(value, int | bytes):
            return value
        if value.isdecimal():
            if int(value) > 0xFFFFFFFF:
                self.fail(f"{value} is above {0xFFFFFFFF}", param, context)
            return int(value)
        client = value.encode("utf-8", "surrogateescape")
        if _weblog.is_address(client) or re.fullmatch(r"[^\s.]+(\.[^\s.]+)*\.[a-zA-Z][^\s.]*\.?", value):
            return _weblog.client_name(client)
        raise click.BadParameter(f"{value!r} is neither a number nor an address or a host's name", context, param)


def number_of(manager: VisitManager, user: int | bytes) -> int:
    """The user's number; of a client whom no import has seen, the one that it would get."""
    if isinstance(user, int):
        return user
    found = _import.number_of(manager, user)
    return _import.candidates(user)[0] if found is None else found


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
def show(path: Path, user: int | bytes, full: bool, as_json: bool) -> None:
    """Show the visits of USER, newest first. USER is a number, or a client that was imported: an address or a host's name."""
    with reader(path) as manager:
        number = number_of(manager, user)
        found = manager.get_recent_visits(number)
    shown_max = None if full else _show.SHOWN_MAX
    for visit in found:
        url, text = bytes_of(visit.url), bytes_of(visit.text)
        time = _show.time_text(visit.time_ns)
        if as_json:
            values = {"user": number, "visit_id": visit.visit_id, "time": time, "time_ns": visit.time_ns}
            _show.json_line(values | {"url": _show.json_bytes(url), "text": _show.json_bytes(text)})
        else:
            click.echo(f"{time}  {visit.visit_id}  {_show.escaped(url, shown_max)}")
            click.echo(f"    {_show.escaped(text, shown_max)}")
    if not found and not as_json:
        click.echo(f"user {user if isinstance(user, int) else user.decode()} has no visits")


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
        click.get_current_context().exit(_status.DAMAGE)


@visits.command()
@as_json_option
@click.pass_obj
def compact(path: Path, as_json: bool) -> None:
    """Write FILE anew with what is live."""
    refuse_own_name(path)
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


class Odd(click.ClickException):
    """A log was not understood."""

    exit_code = _status.NOT_UNDERSTOOD


def warn(message: str) -> None:
    click.echo(f"samebytes: {message}", err=True)


def import_log(work: _import.Import, log: Path, format: str, strict: bool, ratio_max: int) -> bool:
    """Whether most of the log was understood. With *strict* the first line that is not ends the work."""
    before = work.counts.understandable
    first = ""
    size = log.stat().st_size if str(log) != "-" else 0
    with _show.progress(size, "import", size > 0) as advance, _sources.opened(log, advance, ratio_max) as source:
        for number, why in work.log(source, format):
            first = first or f"line {number}: {why}"
            if strict:
                raise Odd(f"{log}: {first}; nothing after it was added")
    refused, understandable = (now - then for now, then in zip(work.counts.understandable, before))
    if refused * 2 <= understandable:
        return True
    warn(f"{log}: {refused} of {understandable} lines were not understood, first {first}. --format names a format")
    return False


@visits.command("import")
@click.argument("logs", nargs=-1, required=True, metavar="LOG...",
                type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))  # fmt: skip
@click.option("--format", type=click.Choice(_weblog.FORMATS), default="auto", show_default=True, help="Of the lines.")
@click.option("--strict", is_flag=True, help="End at the first line that is refused.")
@click.option(
    "--first-id", type=click.IntRange(0, 0xFFFFFFFF), help="visit_id of the first line, whatever was imported before."
)
@click.option("--max-visits", type=click.IntRange(1, 0xFFFFFFFF),
              help="Visits kept per user; as FILE says, 10 for a new one. Fewer than FILE says deletes the older ones.")  # fmt: skip
@click.option("--max-ratio", type=click.IntRange(1), default=RATIO_MAX, show_default=True,
              help="How much a compressed log may expand, beyond 64 MiB.")  # fmt: skip
@as_json_option
@click.pass_obj
def import_(path: Path, logs: tuple[Path, ...], format: str, strict: bool, first_id: int | None, max_visits: int | None,
            max_ratio: int, as_json: bool) -> None:  # fmt: skip
    """Add the lines of each LOG, of a web server, to FILE, which is made if there is none.

    Each line is a visit of its client, in one of the formats common, combined, JSON, W3C and HAProxy, which tell themselves apart. A LOG
    may be compressed (.gz, .bz2, .xz, .zst), and - for the standard input. Lines that are in FILE already are not added again, so a log
    may have grown, been rotated or renamed; give rotated ones from the oldest on.

    The exit status is 4 when most lines of a LOG were not understood, or with --strict any.
    """
    refuse_own_name(path)
    with ExitStack() as keep:
        work = _import.Import(lambda: keep.enter_context(VisitManager(path, max_visits, as_bytes=True)), first_id)
        try:
            understood = [import_log(work, log, format, strict, max_ratio) for log in logs]
        except click.ClickException:  # what came before it is good
            work.flush()
            raise
        if work.manager is None and not work.counts.refused:
            work.open_store()
    _show.show_record(work.counts.values(), as_json)
    if not all(understood):
        click.get_current_context().exit(_status.NOT_UNDERSTOOD)
