"""The store of visits once more, in plain dictionaries, sharing nothing with the library; and random programs of operations for it.

A program is what one testee does between opening the file and closing it: request V of the protocol. The model says what each operation
must answer.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reference_codec import Refused

ADD, ADD_MANY, RECENT, DELETE, CLEAR, USERS, SCAN, COMPACT, SYNC, VERIFY = range(1, 11)
STATS, COPY, SALVAGE, READ, REFRESH, ADD_BY_READER = range(11, 17)
NONE, INTERVAL, ALWAYS = range(3)  # durabilities
UINT32_MAX = 0xFFFFFFFF


class Visit(NamedTuple):
    user: int
    visit_id: int
    time_ns: int
    url: bytes
    text: bytes


class Operation(NamedTuple):
    """Which one, and its arguments: visits, users or ids, and a number (the user; whether to erase; how many visits at least; ...).

    *beside* is what follows the path of the store in the path of another file, which a copy makes or a reader opens.
    """

    op: int
    visits: tuple[Visit, ...] = ()
    numbers: tuple[int, ...] = ()
    user: int = 0
    option: int = 0
    beside: str = ""


class Program(NamedTuple):
    """What is done between an open and the close. max_visits 0: those of the file."""

    max_visits: int
    operations: tuple[Operation, ...]
    durability: int = NONE


class Stats(NamedTuple):
    """What of the statistics does not depend on how the store works."""

    max_visits: int
    cut_bytes: int
    upgraded: bool
    poisoned: bool
    durable: bool  # all that was written is on disk
    synced: bool  # by this handle


class Unknown:
    """Equal to whatever a testee says."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "anything"


ANYTHING: Any = Unknown()

# What an operation answers: visits (those of a refresh behind whether it changed anything), users with their counts, whether something
# was found, (users, visits), statistics, nothing, or a refusal.
Answer = list[Any] | bool | tuple[int, int] | Stats | Refused | None
State = dict[int, list[Visit]]  # of each user who has visits


@dataclass
class Handle:
    """A read-only one: what it shows of which file, and what was shown last."""

    beside: str
    max_visits: int
    state: State
    touched: bool = False  # the file may have been written since

    def visits(self) -> list[Visit]:
        most = self.max_visits or UINT32_MAX
        return [visit for user in sorted(self.state) for visit in self.state[user][:most]]


@dataclass
class Model:
    max_visits: int
    users: dict[int, list[tuple[int, int, Visit]]] = field(default_factory=dict)  # (time, arrival, visit), newest first
    arrivals: int = 0
    copies: dict[str, State] = field(default_factory=dict)  # other files, by what follows the path
    reader: Handle | None = None
    durability: int = NONE
    durable: bool = False  # surely
    asked_for_sync: bool = False
    changed: bool = False

    def open(self, program: Program) -> None:
        self.resize(program.max_visits)
        self.reader = None
        self.durability = program.durability
        self.durable = self.durability == ALWAYS
        self.asked_for_sync = self.changed = False

    def resize(self, max_visits: int) -> None:
        if max_visits:
            self.max_visits = max_visits
            for visits in self.users.values():
                del visits[max_visits:]

    def add(self, visits: Iterable[Visit]) -> None:
        for visit in visits:
            kept = self.users.setdefault(visit.user, [])
            if all(other.visit_id != visit.visit_id for _, _, other in kept):
                self.arrivals += 1
                kept.append((visit.time_ns, self.arrivals, visit))
                kept.sort(key=lambda entry: entry[:2], reverse=True)
                del kept[self.max_visits :]

    def recent(self, user: int) -> list[Visit]:
        return [visit for _, _, visit in self.users.get(user, [])]

    def delete(self, user: int, visit_ids: tuple[int, ...]) -> bool:
        before = self.users.get(user, [])
        after = [entry for entry in before if entry[2].visit_id not in visit_ids]
        self.users[user] = after
        return len(after) < len(before)

    def present(self) -> list[int]:
        return sorted(user for user, visits in self.users.items() if visits)

    def state(self) -> State:
        return {user: self.recent(user) for user in self.present()}

    def copy(self, beside: str) -> Refused | None:
        if beside in self.copies:
            return Refused(-1, 0, 0, "", "SB_INVALID_ARGUMENT")
        self.copies[beside] = self.state()
        return None

    def read(self, beside: str, max_visits: int) -> Answer:
        self.reader = None
        if beside and beside not in self.copies:
            return Refused(-1, 0, 0, "", "SB_NOT_FOUND")
        self.reader = Handle(beside, max_visits, self.copies[beside] if beside else self.state())
        return self.reader.visits()

    def refresh(self, by_reader: bool) -> Answer:
        if not by_reader:
            return Refused(-1, 0, 0, "", "SB_UNSUPPORTED")
        assert self.reader is not None
        before = self.reader
        state = before.state if before.beside else self.state()
        # A compaction, or an add and its deletion, are changes of the file which nobody need see.
        changed = True if state != before.state else ANYTHING if before.touched and not before.beside else False
        self.reader = Handle(before.beside, before.max_visits, state)
        return [changed, *self.reader.visits()]

    def stats(self) -> Stats:
        """Durable and synced are surely so, surely not, or unknown: a compaction syncs, and a mode may by itself."""
        synced = ANYTHING
        if self.durability == NONE and not self.asked_for_sync:
            synced = False
        elif self.durability == ALWAYS and self.changed:
            synced = True
        return Stats(self.max_visits, 0, False, False, self.durable or ANYTHING, synced)

    def note(self, before: State) -> None:
        """What an operation that may write did to what is known of the file."""
        self.durable = self.durability == ALWAYS
        self.changed = self.changed or self.state() != before
        if self.reader is not None:
            self.reader.touched = True

    def run(self, operation: Operation) -> Answer:
        if operation.op not in (ADD, ADD_MANY, DELETE, CLEAR, COMPACT):
            return self.look(operation)
        before = self.state()
        answer = self.change(operation)
        if not isinstance(answer, Refused):
            self.note(before)
        return answer

    def change(self, operation: Operation) -> Answer:
        match operation.op:
            case 1 | 2:
                if refused := refusal(operation):
                    return refused
                return self.add(operation.visits)
            case 4:
                return self.delete(operation.user, operation.numbers)
            case 5:
                self.users.pop(operation.user, None)
        return None

    def look(self, operation: Operation) -> Answer:
        match operation.op:
            case 3:
                return [visit for user in operation.numbers for visit in self.recent(user)]
            case 6:
                return [(user, len(self.users[user])) for user in self.present()]
            case 7:
                return [visit for user in self.present() for visit in self.recent(user)]
            case 9:
                self.durable = self.asked_for_sync = True
            case 10:
                return self.totals()
            case 11:
                return self.stats()
            case 12:
                return self.copy(operation.beside)
            case 13:
                return self.copy(operation.beside) or self.totals()
            case 14:
                return self.read(operation.beside, operation.option)
            case 15:
                return self.refresh(operation.option != 0)
            case 16:
                return Refused(-1, 0, 0, "", "SB_UNSUPPORTED")
        return None

    def totals(self) -> tuple[int, int]:
        return len(self.present()), sum(map(len, self.users.values()))


def refusal(operation: Operation) -> Refused | None:
    """How an add is refused: for the first visit that has a NUL, by its index where there are many."""
    for index, visit in enumerate(operation.visits):
        for name in ("url", "text"):
            if b"\0" in getattr(visit, name):
                return Refused(index if operation.op == ADD_MANY else -1, 0, 0, name, "SB_INVALID_ARGUMENT")
    return None


class Drawing:
    """Draws programs; one seed, one sequence."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.users = [0, UINT32_MAX, *(self.random.randrange(UINT32_MAX) for _ in range(6))]
        self.copies: list[str] = []  # that were made
        self.unread: list[str] = []
        self.reader = False  # one is open

    def user(self) -> int:
        return self.random.choice(self.users)

    def bytes(self) -> bytes:
        size = self.random.choice([0, 1, 7, 30, 300])
        if self.random.random() < 0.02:
            return self.random.choice([b"\0", b"a\0b", b"\xff" * 40 + b"\0"])
        return self.random.choice([b"/path", "/ü".encode(), b"\xff\xfe\x80", b"x"]) * size

    def visit(self, user: int) -> Visit:
        time_ns = self.random.choice([self.random.randrange(50), 1 << 62, -(1 << 62), 0])
        visit_id = self.random.choice([self.random.randrange(20), UINT32_MAX])
        return Visit(user, visit_id, time_ns, self.bytes(), self.bytes())

    def operation(self) -> Operation:
        if self.unread and self.random.random() < 0.5:
            self.reader = True
            return Operation(READ, beside=self.unread.pop())
        user = self.user()
        weights = {
            ADD: 20,
            ADD_MANY: 6,
            RECENT: 12,
            DELETE: 6,
            CLEAR: 2,
            USERS: 2,
            SCAN: 2,
            COMPACT: 1,
            SYNC: 1,
            VERIFY: 1,
        }
        weights |= {STATS: 4, COPY: 2, SALVAGE: 2, READ: 2, REFRESH: 4, ADD_BY_READER: 3}
        kind = self.random.choices(list(weights), list(weights.values()))[0]
        ids = tuple(self.random.randrange(20) for _ in range(self.random.randint(1, 4)))
        match kind:
            case 1:
                return Operation(ADD, (self.visit(user),))
            case 2:
                count = self.random.choice([0, 1, 3, 40])
                return Operation(ADD_MANY, tuple(self.visit(self.user()) for _ in range(count)))
            case 3:
                return Operation(RECENT, numbers=tuple(self.user() for _ in range(self.random.randint(1, 4))))
            case 4:
                return Operation(DELETE, numbers=ids, user=user)
            case 5:
                return Operation(CLEAR, user=user, option=self.random.random() < 0.3)
            case 7:
                return Operation(SCAN, option=self.random.choice([0, 1, 10]))
            case 12 | 13:
                return self.copy(kind)
            case 14 | 15 | 16:
                return self.by_reader(kind)
        return Operation(kind)

    def copy(self, kind: int) -> Operation:
        if not self.copies or self.random.random() < 0.8:
            self.copies.append(f".{len(self.copies)}")
            self.unread.append(self.copies[-1])
            return Operation(kind, beside=self.copies[-1])
        return Operation(kind, beside=self.random.choice(self.copies))  # which is there

    def by_reader(self, kind: int) -> Operation:
        if kind == REFRESH and self.random.random() < 0.1:
            return Operation(REFRESH)  # of the handle that writes
        if not self.reader or kind == READ:
            beside = self.random.choice(["", "", "", ".nowhere", *self.copies[-3:]])
            self.reader = beside != ".nowhere"
            return Operation(READ, option=self.random.choice([0, 0, 1, 2]), beside=beside)
        if kind == REFRESH:
            return Operation(REFRESH, option=1)
        return Operation(ADD_BY_READER, (Visit(self.user(), 1, 1, b"/url", b"text"),))

    def programs(self) -> Iterator[Program]:
        """The first makes the file; each ends with a look at all that is there."""
        most = self.random.choice([1, 3, 10])
        while True:
            self.reader = False
            durability = self.random.choice([NONE, NONE, INTERVAL, ALWAYS])
            operations = [self.operation() for _ in range(self.random.randint(1, 50))]
            yield Program(most, (*operations, Operation(USERS), Operation(SCAN)), durability)
            most = self.random.choice([0, 0, 0, 1, 4, 10])
