"""VisitManager in the words of Python: visits are objects, times are datetimes, paths are what open() takes.

Adding and getting, which programs do at each request, are in C (src/objects_visits.c); the rest goes through the layer.
"""

from __future__ import annotations

import codecs
import os
import time as clock
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any, Literal, Self

from . import _arguments, _classes, _objects, _records, errors
from ._arrow import ArrowStream, Strings, stream_of, strings_of
from ._backend import layer
from ._errors import naming
from ._objects import late, now
from ._times import EPOCH, time_ns_of, times_column

if TYPE_CHECKING:
    from os import PathLike

    Path = str | bytes | PathLike[str] | PathLike[bytes]
    Row = tuple[int, int, str | bytes, str | bytes] | tuple[int, int, str | bytes, str | bytes, datetime | int | None]

DURABILITIES = {
    "none": _records.DURABILITY_NONE,
    "interval": _records.DURABILITY_INTERVAL,
    "always": _records.DURABILITY_ALWAYS,
}


def path_text(path: Path) -> str:
    """*path* as a str that the layers encode to the bytes the system knows it by, whatever they are."""
    return os.fsencode(path).decode(errors="surrogateescape")


class _Row(_objects.Visit):
    """What a Visit computes."""

    __slots__ = ()

    @property
    def time(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.time_ns // 1000)


@dataclass(frozen=True, init=False)
class Visit(_Row):
    """One visit of a user. Visits are equal when id, url, text and time are; whose they are does not count."""

    __slots__ = ()

    visit_id: int = field()  # what shows it is in the base, in C
    """Unique among the visits that the user has."""
    url: str = field()
    """A str; bytes from a manager that was opened with as_bytes."""
    text: str = field()
    """A str; bytes from a manager that was opened with as_bytes."""
    time: datetime = field(compare=False)
    """In UTC, cut off to whole microseconds."""
    time_ns: int = field(repr=False)
    """Nanoseconds since the Unix epoch, exactly as stored."""
    user: int = field(compare=False, repr=False)
    """Whose visit it is."""

    def __new__(
        cls,
        visit_id: int,
        url: str | bytes,
        text: str | bytes,
        time: datetime | None = None,
        time_ns: int | None = None,
        user: int = 0,
    ) -> Self:
        """A visit at *time*, or at *time_ns*; both may be given when they agree."""
        if time_ns is None:
            exact = clock.time_ns() if time is None else time_ns_of(time)
        else:
            exact = time_ns_of(time_ns)
            if time is not None and time_ns_of(time) not in (exact, exact // 1000 * 1000):
                raise ValueError(f"time and time_ns differ: {time.isoformat()}, {time_ns}; give one of them")
        user = _arguments.integer(user, "user", 0, 0xFFFFFFFF)
        visit_id = _arguments.integer(visit_id, "visit_id", 0, 0xFFFFFFFF)
        return _objects.Visit.__new__(cls, user, visit_id, url, text, exact)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.visit_id, self.url, self.text, None, self.time_ns, self.user)


class VisitScan(_classes.VisitScan):
    """A walk over all visits, by user ascending, newest first for each: iterate over it, or ask for the next ones.

    Each user is shown as of the moment when the walk comes to it. The walk goes on where it stopped; it is closed with its manager.
    """

    _manager: VisitManager | None = None

    def __iter__(self) -> Iterator[Visit]:
        while visits := self.next():
            yield from visits

    def next(self, visits_min: int = 0) -> list[Visit]:  # type: ignore[override]
        """Return the visits of the next users: at least *visits_min*, 0 leaving the number to the library; none at the end.

        A failed call leaves the walk where it was. Raises ClosedError after close() of the walk or of its manager.
        """
        with late(self, self._manager) as call:
            address = layer.sb_visit_scan_next(call, visits_min)
            return (self._manager or _strict())._visits_of(address)

    def arrow(self, visits_min: int = 0, strings: Strings = "utf8") -> Iterator[ArrowStream]:
        """Go on with the walk in pieces that read through Arrow, of at least *visits_min* visits each.

        It is what VisitManager.arrow() gives, in the memory of a piece: `for piece in scan.arrow(): write(pyarrow.table(piece))`.
        """
        chosen = strings_of(strings)
        while True:
            with late(self, self._manager) as call:
                visits = _classes.Visits._adopt(layer.sb_visit_scan_next(call, visits_min))
            if visits.count() == 0:
                return
            yield ArrowStream(visits.export_arrow_stream, chosen)


class VisitManager(_objects.VisitManager, _classes.VisitManager):  # type: ignore[misc]  # the base in C comes first
    __doc__ = f"""{_classes.VisitManager.__doc__}
    In Python, threads may share a VisitManager; calls run beside each other, with the GIL released. close() waits for them.
    """

    def __init__(
        self,
        path: Path,
        max_visits: int | None = None,
        *,
        durability: int | Literal["none", "interval", "always"] = 0,
        interval_ms: int = 0,
        timeout_ms: int = 0,
        lock_timeout_ms: int = 0,
        read_only: bool = False,
        compact_in_thread: bool = False,
        memory_max: int = 0,
        errors: str = "strict",
        as_bytes: bool = False,
    ) -> None:
        """Open the file at *path*, or make it, and keep the newest *max_visits* visits per user.

        None, or 0, keeps as many as the file says, and 10 per user in a new one. A number lower than the file's deletes, at once and for
        good, the oldest visits of users who have more; with *read_only* it only limits what is shown.

        A file of the old format is upgraded, and kept as PATH.v0; an unsynced tail is cut off, and kept as PATH.cut. *durability* says
        when an acknowledged change is on disk: "none", "interval" (within *interval_ms*, 0 meaning 100), or "always". With
        *compact_in_thread* a thread of the library compacts; otherwise the calls that change visits do, a piece each. *memory_max* is how
        many bytes users in memory may take, 0 meaning 1 GiB; above it they are read from the file when they are asked for.

        url and text are str. Where a file has bytes that are no UTF-8, reading raises UnicodeDecodeError, which names visit and field;
        errors="replace" or another handler of decode() reads them all the same, and with as_bytes=True they are bytes.

        Where another handle writes the file, this waits up to *lock_timeout_ms* for it to close. A handle whose file is moved, replaced
        or removed while it is open raises NotFoundError for every change from then on, and from close(); reads go on.

        Raises LockedError when another handle writes the file; CorruptError for a damaged file, which stays untouched; NotFoundError
        when there is none and *read_only* is set; UnsupportedError for a file of a newer library; InvalidArgumentError for a path that
        is no file, or an option out of its range; IoError; NoMemoryError.
        """
        codecs.lookup_error(errors)
        options = _records.VisitManagerOptions(
            max_visits=0 if max_visits is None else max_visits,
            durability=durability_of(durability),
            interval_ms=interval_ms,
            timeout_ms=timeout_ms,
            lock_timeout_ms=lock_timeout_ms,
            read_only=read_only,
            compact_in_thread=compact_in_thread,
            memory_max=memory_max,
        )
        with naming(path):
            address = layer.sb_visit_manager_open(path_text(path), options)
        self._pid = os.getpid()
        self._opened(address, Visit, errors, as_bytes)

    def _own(self, address: int) -> None:
        self._pid = os.getpid()
        self._opened(address, Visit, "strict", False)

    def add_visit_at(  # type: ignore[override]
        self, user: int, visit_id: int, url: str | bytes, text: str | bytes, time: datetime | int
    ) -> Literal[True]:
        """Add a visit with a time: add_visit, where the time must be said."""
        return self.add_visit(user, visit_id, url, text, time)

    def add_visit_columns(  # type: ignore[override]
        self,
        users: Iterable[int],
        visit_ids: Iterable[int],
        urls: Iterable[str | bytes] | _records.Column,
        texts: Iterable[str | bytes] | _records.Column,
        times: Iterable[datetime | int | None] | None = None,
    ) -> Literal[True]:
        """Add visits whose parts lie in columns of one length, in order and in one call; *times* left out means now.

        Columns of numbers may be arrays, such as numpy's. A Column says in parts where its strings lie, as Batch.column gives them:
        samebytes.Column(values, offsets, lengths). Either all are added or none, a crash aside, which may keep the first of them only.

        Raises InvalidArgumentError (a ValueError) with the column's name where one has another length than users; otherwise as
        add_visits(), with the index of the visit in the error's `frame`.
        """
        when = () if times is None else times_column(times)
        user_numbers = _arguments.integers(_arguments.plain(users), "uint32_t", "users")
        ids = _arguments.integers(_arguments.plain(visit_ids), "uint32_t", "visit_ids")
        url, text = strings_column(urls, "url"), strings_column(texts, "text")
        if times is not None and len(when) == 0 and len(user_numbers) > 0:  # which would mean now
            raise errors.InvalidArgumentError(f"0 times for {len(user_numbers)} visits", field="times_ns")
        with late(self) as handle:
            layer.sb_visit_manager_add_visit_columns(handle, user_numbers, ids, url, text, when)
        return True

    def get_recent_visits_of(self, users: Iterable[int]) -> list[Visit]:  # type: ignore[override]
        """Return the visits of many users in one call: user by user in the order asked for, newest first for each.

        Errors as get_recent_visits().
        """
        asked = _arguments.plain(users)
        with late(self) as handle:
            return self._visits_of(layer.sb_visit_manager_get_recent_visits_of(handle, asked))

    def delete_visits(self, user: int, visit_ids: Iterable[int]) -> bool:
        """Delete visits of *user*; return whether any of them was there. No ids at all is True: nothing had to be done."""
        ids = _arguments.plain(visit_ids)
        return super().delete_visits(user, ids) or not ids

    def clear_user(self, user: int, erase: bool = False) -> Literal[True]:  # type: ignore[override]
        """Delete all visits of *user*. With *erase* their bytes are also gone from the file when it returns, which rewrites it.

        Files that were kept beside it (.cut, .v0) stay. When only the erasing failed, the visits are deleted all the same.
        """
        super().clear_user(user, erase)
        return True

    def users(self) -> list[_records.VisitUser]:  # type: ignore[override]
        """Return the users who have visits, ascending, each with the number of visits."""
        with super().users() as found:
            return found.get_all()

    def scan(self) -> VisitScan:
        """Begin a walk over all visits: `for visit in manager.scan()`."""
        with now(self) as address:
            scan = VisitScan._adopt(layer.sb_visit_manager_scan(address))
        scan._manager = self
        return scan

    def __iter__(self) -> Iterator[Visit]:
        return iter(self.scan())

    def arrow(self, strings: Strings = "utf8") -> ArrowStream:
        """Return the visits as something that reads through Arrow, each time as they are then: `polars.DataFrame(manager.arrow())`.

        Its columns are user_id, visit_id, url, text and time (nanoseconds, UTC), with url and text as utf8, or with strings="binary" as
        any bytes. All visits are copied when it is read, and stay valid when the VisitManager is closed; where that needs too much
        memory, scan().arrow() goes in pieces. Reading raises InvalidArgumentError, naming the visit, for text that is not UTF-8.
        """
        return ArrowStream(self.export_arrow_stream, strings_of(strings))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A capsule with all visits as an Arrow stream: `pyarrow.table(manager)`. *requested_schema* is not looked at."""
        return stream_of(self.export_arrow_stream, _records.STRINGS_UTF8)

    def copy_to(self, path: Path) -> None:
        """Copy the store, as it is at the beginning of the call, into a new file at *path*; changes go on meanwhile.

        Raises InvalidArgumentError when *path* exists, IoError.
        """
        with naming(path):
            super().copy_to(path_text(path))

    def finish(self) -> None:
        """Close the file cleanly, so that close() has nothing left to fail at. Other calls raise ClosedError from then on."""
        self.close()

    def close(self) -> None:
        """Wait for the calls that are inside, and close the file cleanly; closing again does nothing.

        Raises IoError when this last step fails: the file is closed all the same. In a forked child it only lets go of the file.
        Raises BusyError in the handler of a signal that interrupted a call on this manager in the same thread.
        """
        forked = os.getpid() != self._pid
        idle = Event()
        address = self._begin_close(idle)
        if address is None:
            return
        closed = False
        try:
            if self._calls and not forked:
                idle.wait()
            closed = True
        finally:
            self._end_close(closed)
        try:
            if not forked:
                layer.sb_visit_manager_finish(address)
        finally:
            self._destroy(address)

    def detach(self) -> int:
        """Give up the handle without closing it, and return its address: whoever takes it over closes it.

        Raises BusyError while a call is inside.
        """
        return self._detach()


def _strict() -> VisitManager:
    """What reads for a walk that was adopted and knows no manager."""
    reader = VisitManager.__new__(VisitManager)
    reader._opened(0, Visit, "strict", False)
    return reader


def durability_of(value: int | str) -> int:
    if not isinstance(value, str):
        return value
    if value not in DURABILITIES:
        raise ValueError(f"durability: {value!r} is none of {', '.join(DURABILITIES)}")
    return DURABILITIES[value]


def strings_column(values: Any, name: str) -> _records.Column:
    """Strings one behind the other, or as a Column has them; its bytes are copied where somebody could change them during the call."""
    if isinstance(values, _records.Column):
        return values if isinstance(values.values, bytes | None) else values._replace(values=bytes(values.values))
    items = _arguments.plain(values)
    try:
        joined = "".join(items)
        if joined.isascii():  # mostly; then each character is a byte
            return _records.Column(joined.encode(), lengths=array("i", map(len, items)))
    except TypeError:  # they are not all str
        pass
    encoded = [text_bytes(item, index, name) for index, item in enumerate(items)]
    return _records.Column(b"".join(encoded), lengths=array("i", map(len, encoded)))


def text_bytes(item: Any, index: int, name: str) -> bytes:
    """The bytes of url or text of the visit *index*."""
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, bytes):
        return item
    raise TypeError(f"visits[{index}].{name}: a str or bytes is needed, not {_arguments.kind(item)}")


def verify_visits(path: Path) -> _records.VisitReport:
    with naming(path):
        return _classes.verify_visits(path_text(path))


def salvage_visits(path: Path, target: Path) -> _records.VisitReport:
    with naming(path, target):
        return _classes.salvage_visits(path_text(path), path_text(target))


verify_visits.__doc__ = _classes.verify_visits.__doc__
salvage_visits.__doc__ = _classes.salvage_visits.__doc__
