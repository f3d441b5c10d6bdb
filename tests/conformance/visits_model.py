"""The store of visits once more, in plain dictionaries, sharing nothing with the library; and random programs of operations for it.

A program is what one testee does between opening the file and closing it: request V of the protocol. The model says what each operation
must answer.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from reference_codec import Refused

ADD, ADD_MANY, RECENT, DELETE, CLEAR, USERS, SCAN, COMPACT, SYNC, VERIFY = range(1, 11)
UINT32_MAX = 0xFFFFFFFF


class Visit(NamedTuple):
    user: int
    visit_id: int
    time_ns: int
    url: bytes
    text: bytes


class Operation(NamedTuple):
    """Which one, and its arguments: visits, users or ids, and a number (the user; whether to erase; how many visits at least)."""

    op: int
    visits: tuple[Visit, ...] = ()
    numbers: tuple[int, ...] = ()
    user: int = 0
    option: int = 0


class Program(NamedTuple):
    """What is done between an open and the close. max_visits 0: those of the file."""

    max_visits: int
    operations: tuple[Operation, ...]


# What an operation answers: visits, users with their counts, whether something was found, (users, visits), nothing, or a refusal.
Answer = list[Visit] | list[tuple[int, int]] | bool | tuple[int, int] | Refused | None


@dataclass
class Model:
    max_visits: int
    users: dict[int, list[tuple[int, int, Visit]]] = field(default_factory=dict)  # (time, arrival, visit), newest first
    arrivals: int = 0

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

    def run(self, operation: Operation) -> Answer:
        match operation.op:
            case 1 | 2:
                if refused := refusal(operation):
                    return refused
                return self.add(operation.visits)
            case 3:
                return [visit for user in operation.numbers for visit in self.recent(user)]
            case 4:
                return self.delete(operation.user, operation.numbers)
            case 5:
                self.users.pop(operation.user, None)
                return None
            case 6:
                return [(user, len(self.users[user])) for user in self.present()]
            case 7:
                return [visit for user in self.present() for visit in self.recent(user)]
            case 10:
                return len(self.present()), sum(map(len, self.users.values()))
        return None


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
        user = self.user()
        kind = self.random.choices(
            [ADD, ADD_MANY, RECENT, DELETE, CLEAR, USERS, SCAN, COMPACT, SYNC, VERIFY], [20, 6, 12, 6, 2, 2, 2, 1, 1, 1]
        )[0]
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
        return Operation(kind)

    def programs(self) -> Iterator[Program]:
        """The first makes the file; each ends with a look at all that is there."""
        most = self.random.choice([1, 3, 10])
        while True:
            operations = [self.operation() for _ in range(self.random.randint(1, 40))]
            yield Program(most, (*operations, Operation(USERS), Operation(SCAN)))
            most = self.random.choice([0, 0, 0, 1, 4, 10])
