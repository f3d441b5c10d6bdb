"""samebytes visits import: lines of logs become visits, each once, however often and in whatever pieces a log comes.

A store says by itself what was imported: the text of a visit is its line. A line is there already when its user has a visit of that time
and text, as often as the log has had it so far. So nothing has to be kept beside the store; a log that has grown, was rotated, renamed
or compressed in between is known again, and only what is new in it is added.

A visit_id is the number of its line, or, where the user has one that is as high, one above the user's highest: the ids of logs that are
imported one after the other continue.

What is hard is a line that is missing from a full user at the very time of the user's oldest visit: it is new, or it was evicted before by
one of its own second. It waits. If a later line of that time is there already, it was older than that, and evicted; otherwise it is new.

Invariant of a Client: `kept` is in the order of time and arrival, as in the store with what is pending, and `texts` counts it.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import click

from .. import _records
from .._classes import crc32c
from .._visits import Visit, VisitManager
from . import _sources, _weblog

BATCH = 1024  # visits that are added at once
BATCH_BYTES = 16 << 20
CANDIDATES = 8  # numbers that a client may have as a user
KEPT_MAX = 500_000  # visits that are in memory, of the clients seen last
LOOKED_AT = 10  # visits of a user that tell whose they are
IDS = 1 << 32


def candidates(client: bytes) -> list[int]:
    """The numbers that a client may have, most wanted first: an IPv4 address's own, otherwise the CRC-32C of its name, and further ones
    of the name with a number for when somebody else has it."""
    try:
        first = int(ipaddress.IPv4Address(client.decode("ascii")))
    except ValueError:
        first = crc32c(0, client)
    return [first, *(crc32c(0, b"%s %d" % (client, i)) for i in range(1, CANDIDATES))]


def as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def belongs_to(visits: list[Visit], client: bytes) -> bool:
    """Whether the visits of a user are those of *client*."""
    for visit in visits[:LOOKED_AT]:
        text = as_bytes(visit.text)
        whose = _weblog.client_in(text)
        if whose == client or (whose is None and any(_weblog.client_name(word) == client for word in text.split())):
            return True
    return False


def number_of(manager: VisitManager, client: bytes) -> int | None:
    """The user that *client* is in a store; None where it is none."""
    for user in candidates(client):
        visits = manager.get_recent_visits(user)
        if visits and belongs_to(visits, client):
            return user
    return None


class Kept(NamedTuple):
    """A visit that a user has, or will have when what is pending was added."""

    time_ns: int
    text: int  # a hash of the text
    visit_id: int
    ours: bool  # this import has added it


class Waiting(NamedTuple):
    number: int
    time_ns: int
    url: bytes
    text: bytes


class Client:
    """A user as the store has it, with what this import has added."""

    def __init__(self, user: int, visits: list[Visit], ours: frozenset[int]) -> None:
        self.user = user
        self.kept = deque(
            Kept(visit.time_ns, hash(as_bytes(visit.text)), visit.visit_id, visit.visit_id in ours)
            for visit in reversed(visits)
        )
        self.ids = {kept.visit_id for kept in self.kept}
        self.texts = Counter((kept.time_ns, kept.text) for kept in self.kept)
        self.read: Counter[tuple[int, int]] = Counter()  # lines of this log so far, of those in texts
        self.id_max = max(self.ids, default=-1)
        self.waiting: deque[Waiting] = deque()
        self.there_ns: int | None = None  # time of the last line of this log that was there already

    def has(self, time_ns: int, text: int) -> bool:
        """Whether a line of the log is there already; counts it."""
        key = time_ns, text
        if key not in self.texts:
            return False
        self.read[key] += 1
        return self.read[key] <= self.texts[key]

    def insert(self, new: Kept) -> None:
        """Behind all that are not newer."""
        at = len(self.kept)
        while at > 0 and self.kept[at - 1].time_ns > new.time_ns:
            at -= 1
        self.kept.insert(at, new)
        self.ids.add(new.visit_id)
        self.id_max = max(self.id_max, new.visit_id)
        key = new.time_ns, new.text
        self.texts[key] += 1
        self.read[key] = max(self.read[key], self.texts[key])

    def evict(self) -> Kept:
        oldest = self.kept.popleft()
        self.ids.remove(oldest.visit_id)
        key = oldest.time_ns, oldest.text
        self.texts[key] -= 1
        if self.texts[key] == 0:
            del self.texts[key]
            self.read.pop(key, None)
        return oldest


class Counts:
    """What became of the lines: read is the sum of added, already there, evicted, refused and skipped."""

    def __init__(self) -> None:
        self.read = self.added = self.already_there = self.evicted = self.skipped = 0
        self.not_understood = self.with_nul = self.too_long = 0
        self.out_of_shape = 0  # of those understood: with no request in its place
        self.displaced = 0  # visits that the store had before, and that gave way to newer ones

    @property
    def refused(self) -> int:
        return self.not_understood + self.with_nul + self.too_long

    @property
    def understandable(self) -> tuple[int, int]:
        """Lines that were refused, and lines that could have been visits."""
        return self.refused, self.read - self.skipped

    def values(self) -> dict[str, int]:
        names = ("added", "already_there", "evicted", "refused", "skipped")
        details = ("out_of_shape", "not_understood", "with_nul", "too_long", "displaced")
        return {"lines": self.read, **{name: getattr(self, name) for name in (*names, *details)}}


class Import:
    """Adds the lines of logs to a store, which is opened when there is something to add."""

    def __init__(self, open_store: Callable[[], VisitManager], first_id: int | None) -> None:
        self.open_store = open_store
        self.manager: VisitManager | None = None
        self.first_id = first_id
        self.max_visits = 0
        self.counts = Counts()
        self.clients: OrderedDict[bytes, Client] = OrderedDict()
        self.owners: dict[int, bytes] = {}  # of the users among clients
        self.kept_count = 0
        self.ours: dict[int, set[int]] = {}  # ids that this import has added, by user
        self.pending: list[tuple[int, int, bytes, bytes, int]] = []
        self.pending_bytes = 0
        self.before = (0, 0)  # what was added, and already there, when the log began

    def log(self, log: _sources.Log, format: str) -> Iterator[tuple[int, str]]:
        """Imports a log; yields the numbers of the lines that were refused, and why."""
        reader = _weblog.Reader(format)
        self.before = self.counts.added, self.counts.already_there
        for line in log.lines(_records.VISIT_TEXT_MAX):
            self.counts.read += 1
            why = self.line(line, reader)
            if why is not None:
                yield line.number, why
        for client in self.clients.values():
            self.settle(client, self.waiting_is_new(client))
            client.read.clear()
            client.there_ns = None
        self.flush()

    def line(self, line: _sources.Line, reader: _weblog.Reader) -> str | None:
        """Why the line is refused; None where it is not."""
        if line.bytes is None:
            self.counts.too_long += 1
            return f"it is longer than {_records.VISIT_TEXT_MAX} bytes"
        if not line.bytes.strip():
            self.counts.skipped += 1
            return None
        found = reader.parse(line.bytes) if b"\0" not in line.bytes else None
        if isinstance(found, _weblog.Directive):
            self.counts.skipped += 1
            return None
        if b"\0" in line.bytes or (found is not None and b"\0" in found.url):
            self.counts.with_nul += 1
            return "it has a NUL"
        if found is None:
            self.counts.not_understood += 1
            return "it does not say whose it is and when"
        self.counts.out_of_shape += not found.in_shape
        self.add(Waiting(line.number, found.time_ns, found.url, line.bytes), found.client)
        return None

    def add(self, line: Waiting, name: bytes) -> None:
        client = self.client(name)
        if self.first_id is not None:
            self.add_with_id(client, line, self.first_id + line.number - 1)
            return
        if client.waiting and client.waiting[0].time_ns != line.time_ns:
            self.settle(client, self.waiting_is_new(client))
        if client.has(line.time_ns, hash(line.text)):
            self.counts.already_there += 1
            client.there_ns = line.time_ns
            self.settle(client, new=False)
            return
        oldest = client.kept[0].time_ns if len(client.kept) >= self.max_visits else None
        if oldest is None or line.time_ns > oldest:
            self.put(client, line)
        elif line.time_ns < oldest:
            self.counts.evicted += 1
        else:
            client.waiting.append(line)
            if len(client.waiting) > self.max_visits:  # whatever becomes of the others, this one is not kept
                client.waiting.popleft()
                self.counts.evicted += 1

    def waiting_is_new(self, client: Client) -> bool:
        """Whether lines are new after which none of their time was there. So they are after one that was; otherwise not where some of the
        log was there already, and nothing was new."""
        added, already_there = self.before
        after = client.there_ns == client.waiting[0].time_ns if client.waiting else False
        return after or self.counts.added > added or self.counts.already_there == already_there

    def settle(self, client: Client, new: bool) -> None:
        """Decides about the lines that wait."""
        waiting, client.waiting = client.waiting, deque()
        for line in waiting:
            if new:
                self.put(client, line)
            else:
                self.counts.evicted += 1

    def put(self, client: Client, line: Waiting) -> None:
        """Adds a line that is new, under a free id."""
        visit_id = max(line.number, client.id_max + 1)
        if visit_id >= IDS:  # the user's highest is the last there is
            visit_id = next(i for i in range(len(client.ids) + 1) if i not in client.ids)
        self.append(client, line, visit_id)

    def add_with_id(self, client: Client, line: Waiting, visit_id: int) -> None:
        """Adds a line under an id that was asked for; one that the user has is there already."""
        if visit_id >= IDS:
            raise click.UsageError(f"line {line.number} would have the visit_id {visit_id}, which is above {IDS - 1}")
        if visit_id in client.ids:
            self.counts.already_there += 1
        elif len(client.kept) >= self.max_visits and line.time_ns < client.kept[0].time_ns:
            self.counts.evicted += 1
        else:
            self.append(client, line, visit_id)

    def append(self, client: Client, line: Waiting, visit_id: int) -> None:
        self.counts.added += 1
        client.insert(Kept(line.time_ns, hash(line.text), visit_id, True))
        self.kept_count += 1
        if len(client.kept) > self.max_visits:
            self.evict(client)
        self.ours.setdefault(client.user, set()).add(visit_id)
        self.pending.append((client.user, visit_id, line.url, line.text, line.time_ns))
        self.pending_bytes += len(line.url) + len(line.text)
        if len(self.pending) >= BATCH or self.pending_bytes >= BATCH_BYTES:
            self.flush()

    def evict(self, client: Client) -> None:
        self.kept_count -= 1
        if client.evict().ours:
            self.counts.added -= 1
            self.counts.evicted += 1
        else:
            self.counts.displaced += 1

    def flush(self) -> None:
        if self.pending:
            assert self.manager is not None
            self.manager.add_visits(self.pending)
            self.pending.clear()
            self.pending_bytes = 0

    # ---- clients ----

    def client(self, name: bytes) -> Client:
        client = self.clients.get(name)
        if client is None:
            client = self.find(name)
            self.clients[name] = client
            self.owners[client.user] = name
            self.kept_count += len(client.kept)
            self.shed()
        self.clients.move_to_end(name)
        return client

    def find(self, name: bytes) -> Client:
        """A client's user: the one whose visits are its own, or else the first that nobody has."""
        if self.manager is None:
            self.manager = self.open_store()
            self.max_visits = self.manager.get_stats().max_visits
        free: int | None = None
        for user in candidates(name):
            if self.owners.get(user, name) != name:
                continue
            visits = self.manager.get_recent_visits(user)
            if visits and belongs_to(visits, name):
                return self.made(user, visits)
            if not visits and free is None:
                free = user
        if free is None:
            raise _sources.LogError(f"all {CANDIDATES} numbers that {name!r} may have as a user belong to others")
        return self.made(free, [])

    def made(self, user: int, visits: list[Visit]) -> Client:
        present = {visit.visit_id for visit in visits}
        ours = self.ours.get(user, set()) & present
        if ours:
            self.ours[user] = ours
        return Client(user, visits, frozenset(ours))

    def shed(self) -> None:
        """Forgets the clients that were seen longest ago; they are read again when they come again."""
        if self.kept_count <= KEPT_MAX or len(self.clients) == 1:
            return
        self.flush()
        while self.kept_count > KEPT_MAX and len(self.clients) > 1:
            _, client = self.clients.popitem(last=False)
            if client.waiting:
                self.settle(client, self.waiting_is_new(client))
                self.flush()
            del self.owners[client.user]
            self.kept_count -= len(client.kept)
