"""Visits from Python: VisitManager beside the sqlite3 module, and beside a dict of deques that stores nothing.

    visits.py FOLDER SAMPLES

The work is that of tests/bench/c/visits: 100,000 adds over 10,000 users, url 60 bytes, text 200, and getting 10. All sides take turns,
a slice of the work each, and a sample is the mean over all of it.
"""

from __future__ import annotations

import bisect
import random
import shutil
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import samebytes

USERS, VISITS, VISITS_MAX, SLICES = 10_000, 100_000, 10, 20
START_NS = 1_700_000_000_000_000_000
SQL = Path(__file__).parent.parent / "visits.sql"


class Row(NamedTuple):
    """A visit as the peers give it."""

    visit_id: int
    url: str
    text: str
    time_ns: int


class Store(Protocol):
    """`add` ignores an id that the user has, keeps the order of times, and drops the oldest; `get` is newest first."""

    def add(self, user: int, visit_id: int, url: str, text: str, time_ns: int) -> object: ...
    def get(self, user: int) -> list[Row]: ...
    def close(self) -> None: ...


class Ours:
    name = "samebytes"

    def __init__(self, folder: Path) -> None:
        self.manager = samebytes.VisitManager(folder / "visits", VISITS_MAX)
        self.add = self.manager.add_visit
        self.get = self.manager.get_recent_visits
        self.close = self.manager.close


class Sqlite:
    """The statements and settings of visits.sql; a transaction per add, which commits by itself."""

    name = "sqlite3 module"

    def __init__(self, folder: Path) -> None:
        sql = sections(SQL.read_text())
        self.connection = sqlite3.connect(folder / "visits.sqlite", isolation_level=None)
        self.connection.executescript(sql["settings"])
        self.connection.executescript(sql["schema"])
        self.execute = self.connection.execute
        self.add_sql, self.get_sql = sql["add"], sql["get"]
        self.close = self.connection.close

    def add(self, user: int, visit_id: int, url: str, text: str, time_ns: int) -> None:
        self.execute(self.add_sql, (user, time_ns, visit_id, url, text))

    def get(self, user: int) -> list[Row]:
        return [Row(i, url, text, t) for t, i, url, text in self.execute(self.get_sql, (user,))]


class Deques:
    """What a careful program without a store would write: it searches the ten for the id, and keeps them in order."""

    name = "dict of deques, nothing stored"

    def __init__(self, folder: Path) -> None:
        del folder
        self.users: dict[int, deque[Row]] = {}

    def add(self, user: int, visit_id: int, url: str, text: str, time_ns: int) -> None:
        visits = self.users.get(user)
        if visits is None:
            visits = self.users[user] = deque()
        for visit in visits:
            if visit.visit_id == visit_id:
                return
        row = Row(visit_id, url, text, time_ns)
        if not visits or visits[-1].time_ns <= time_ns:
            visits.append(row)
        else:
            visits.insert(bisect.bisect_right(visits, time_ns, key=lambda visit: visit.time_ns), row)
        if len(visits) > VISITS_MAX:
            visits.popleft()

    def get(self, user: int) -> list[Row]:
        visits = self.users.get(user)
        return list(reversed(visits)) if visits else []

    def close(self) -> None:
        self.users.clear()


KINDS: tuple[Callable[[Path], Store], ...] = (Ours, Sqlite, Deques)


def sections(sql: str) -> dict[str, str]:
    """The statements of visits.sql by the names that stand above them."""
    parts = sql.split("\n-- ")[1:]
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}


class Work:
    """The same visits for every side, made before anything is timed."""

    def __init__(self) -> None:
        source = random.Random(7)
        letters = "".join(source.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1 << 20))
        self.adds = []
        for index in range(VISITS):
            url, text = index * 131 % ((1 << 20) - 60), index * 977 % ((1 << 20) - 200)
            visit = letters[url : url + 60], letters[text : text + 200], START_NS + index * 1000
            self.adds.append((index % USERS * 7919 % USERS, index, *visit))
        self.gets = [index * 7919 % USERS for index in range(USERS)]


def plain(visits: list[Row]) -> list[tuple[int, str, str, int]]:
    return [(visit.visit_id, visit.url, visit.text, visit.time_ns) for visit in visits]


def check(folder: Path) -> None:
    """All sides must agree, also about repeated ids, times out of order, and users who have too many."""
    source = random.Random(5)
    stores = [fresh(kind, folder) for kind in KINDS]
    for number in range(2000):
        user, visit_id, url = source.randrange(5), source.randrange(40), f"/{number}"
        time_ns = START_NS + (number + source.randrange(50)) * 1_000_000 + number  # no two are the same
        for store in stores:
            store.add(user, visit_id, url, "text", time_ns)
    for user in range(6):
        found = [plain(store.get(user)) for store in stores]
        if any(other != found[0] for other in found) or (user < 5) != (len(found[0]) == VISITS_MAX):
            raise SystemExit(f"visits of user {user} differ")
    close(stores, folder)


def fresh(kind: Callable[[Path], Store], folder: Path) -> Store:
    folder.mkdir(parents=True, exist_ok=True)
    return kind(folder)


def close(stores: list[Store], folder: Path) -> None:
    for store in stores:
        store.close()
    shutil.rmtree(folder)


def in_turns(case: str, sides: list[tuple[str, Callable[[int, int], object]]], total: int) -> None:
    """Time each side's slices of the work one after the other; thread time would leave out what the system does for a store."""
    taken = dict.fromkeys((name for name, _ in sides), 0)
    for number in range(SLICES):
        first, last = total * number // SLICES, total * (number + 1) // SLICES
        for name, run in sides if number % 2 == 0 else reversed(sides):
            start = time.perf_counter_ns()
            run(first, last)
            taken[name] += time.perf_counter_ns() - start
    for name, nanoseconds in taken.items():
        print(f"{case}\t{name}\t{nanoseconds / total / 1000:.4f}\tus", flush=True)


def adding(store: Store, work: Work) -> Callable[[int, int], object]:
    def run(first: int, last: int) -> None:
        add = store.add
        for visit in work.adds[first:last]:
            add(*visit)

    return run


def getting(store: Store, work: Work) -> Callable[[int, int], object]:
    def run(first: int, last: int) -> None:
        get = store.get
        for user in work.gets[first:last]:
            for visit in get(user):
                visit.url, visit.text  # noqa: B018 - a program asks for them

    return run


def main() -> None:
    folder, samples = Path(sys.argv[1]), (int(sys.argv[2]) + 4) // 5
    work = Work()
    check(folder)
    for _ in range(samples):
        stores = [fresh(kind, folder) for kind in KINDS]
        names = [str(kind.name) for kind in KINDS]  # type: ignore[attr-defined]
        in_turns("Python add", [(name, adding(s, work)) for name, s in zip(names, stores)], VISITS)
        in_turns("Python get 10", [(name, getting(s, work)) for name, s in zip(names, stores)], USERS)
        close(stores, folder)


if __name__ == "__main__":
    main()
