"""Random operations on a buf and views against bytes of Python, with blocks that are much too small and requests that fail."""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

import samebytes

DATA = st.binary(max_size=60)
SIZES = st.integers(0, 70)
WIDTHS = st.sampled_from([1, 2, 4, 8])
ORDERS = st.sampled_from([samebytes.ORDER_BIG, samebytes.ORDER_LITTLE])
MARKS = {samebytes.ORDER_BIG: "big", samebytes.ORDER_LITTLE: "little"}
SHOWN_MAX = 5000


BLOCK_SIZES = st.sampled_from([1, 2, 3, 7, 64])


def reserve_odd(size: int) -> list[bytearray]:
    """Blocks of 1 to 5 bytes, more than are asked for."""
    blocks: list[bytearray] = []
    total = 0
    while total < size:
        blocks.append(bytearray(len(blocks) % 5 + 1))
        total += len(blocks[-1])
    return blocks


def open_pool(_: int) -> samebytes.Memory:
    with samebytes.Pool(classes=[(64, 8), (512, 8)]) as pool:
        return pool.memory()


PROVIDERS: dict[str, Callable[[int], samebytes.Memory]] = {
    "fixed": samebytes.Memory.open_fixed,
    "heap": lambda _: samebytes.Memory.open_heap(),
    "pool": open_pool,
    "callback": lambda _: samebytes.Memory.open_callback(reserve_odd),
    "shared": lambda _: samebytes.Memory.open_shared(0, 0),
}
KINDS = st.sampled_from(sorted(PROVIDERS))


class Shown:
    """A view and what it must show."""

    def __init__(self, view: samebytes.View, data: bytes) -> None:
        self.view = view
        self.data = data


class BytesMachine(RuleBasedStateMachine):
    views = Bundle("views")

    @initialize(size=BLOCK_SIZES, other=BLOCK_SIZES, kind=KINDS, other_kind=KINDS)
    def open(self, size: int, other: int, kind: str, other_kind: str) -> None:
        self.live = samebytes.memory_live_blocks()
        self.inner = PROVIDERS[kind](size)
        self.memory = samebytes.Memory.open_tracing(self.inner)
        self.other = PROVIDERS[other_kind](other)
        self.buf = samebytes.Buf(self.memory)
        self.filled = b""
        self.all: list[Shown] = []

    def show(self, view: samebytes.View, data: bytes) -> Shown:
        shown = Shown(view, data)
        self.all.append(shown)
        return shown

    # The buf

    @rule(size=SIZES)
    def reserve(self, size: int) -> None:
        room = self.buf.room()
        self.buf.reserve(size)
        assert self.buf.room() >= max(size, room)

    @rule(size=st.integers(1, 70), nth=st.integers(1, 5))
    def a_reserve_that_fails_changes_nothing(self, size: int, nth: int) -> None:
        room = self.buf.room()
        self.memory.fail_reserve(nth)
        try:
            self.buf.reserve(room + size)
        except samebytes.NoMemoryError:
            assert self.buf.room() == room
        self.memory.fail_reserve(0)

    @rule(data=DATA)
    def put(self, data: bytes) -> None:
        room = self.buf.room()
        try:
            self.buf.put(data)
        except samebytes.OutOfRangeError:
            assert len(data) > room
        else:
            self.filled += data
            assert self.buf.room() == room - len(data)

    @rule(data=DATA)
    def write(self, data: bytes) -> None:
        assert self.buf.write(data) == len(data)
        self.filled += data

    @rule(value=st.integers(-(1 << 63), (1 << 63) - 1), width=WIDTHS, order=ORDERS)
    def put_int(self, value: int, width: int, order: int) -> None:
        try:
            packed = value.to_bytes(width, MARKS[order], signed=True)  # type: ignore[arg-type]
        except OverflowError:
            packed = None
        try:
            self.buf.put_int(value, width, order)
        except samebytes.OutOfRangeError:
            assert packed is None or self.buf.room() < width
        else:
            assert packed is not None
            self.filled += packed

    @rule(shown=views)
    def put_view(self, shown: Shown) -> None:
        if len(self.filled) < SHOWN_MAX:
            self.buf.put_view(shown.view)
            self.filled += shown.data

    @rule(target=views, size=SIZES)
    def take(self, size: int) -> object:
        try:
            view = self.buf.take(size)
        except samebytes.OutOfRangeError:
            assert size > len(self.filled)
            return multiple()
        data, self.filled = self.filled[:size], self.filled[size:]
        return self.show(view, data)

    @rule(data=DATA, pieces_max=st.integers(1, 5), commits=st.booleans())
    def begin_iovec(self, data: bytes, pieces_max: int, commits: bool) -> None:
        if self.buf.room() == 0:
            return
        left = memoryview(data)
        for piece in self.buf.begin_iovec(pieces_max):
            size = min(len(piece), len(left))
            piece[:size] = left[:size]
            left = left[size:]
        if commits:
            self.buf.commit(len(data) - len(left))
            self.filled += data[: len(data) - len(left)]
        else:
            self.buf.abort()

    @rule(target=views, data=DATA)
    def split_room(self, data: bytes) -> object:
        room = self.buf.room()
        try:
            other = self.buf.split_room(len(data))
        except samebytes.OutOfRangeError:
            assert len(data) > room
            return multiple()
        with other:
            other.put(data)
            return self.show(other.take(len(data)), data)

    # Views

    @rule(target=views, data=DATA)
    def open_view(self, data: bytes) -> Shown:
        return self.show(samebytes.View(data, self.other), data)

    @rule(target=views, data=DATA)
    def open_foreign(self, data: bytes) -> Shown:
        return self.show(samebytes.View.open_foreign(bytearray(data)), data)

    @rule(target=views, shown=views, start=SIZES, stop=SIZES)
    def slice(self, shown: Shown, start: int, stop: int) -> Shown:
        return self.show(shown.view[start:stop], shown.data[start:stop])

    @rule(shown=views, other=views)
    def append(self, shown: Shown, other: Shown) -> None:
        if len(shown.data) < SHOWN_MAX:
            shown.view.append(other.view)
            shown.data += other.data

    @rule(target=views, shown=views, other=views)
    def concat(self, shown: Shown, other: Shown) -> object:
        if len(shown.data) + len(other.data) > SHOWN_MAX:
            return multiple()
        return self.show(shown.view + other.view, shown.data + other.data)

    @rule(shown=views, size=SIZES)
    def read(self, shown: Shown, size: int) -> None:
        assert shown.view.read(size) == shown.data[:size]
        shown.data = shown.data[size:]

    @rule(shown=views, offset=SIZES, width=WIDTHS, order=ORDERS)
    def peek_int(self, shown: Shown, offset: int, width: int, order: int) -> None:
        packed = shown.data[offset : offset + width]
        try:
            value = shown.view.peek_int(offset, width, order)
        except samebytes.OutOfRangeError:
            assert len(packed) < width
        else:
            assert value == int.from_bytes(packed, MARKS[order], signed=True)  # type: ignore[arg-type]

    @rule(shown=views, offset=SIZES)
    def get_iovec(self, shown: Shown, offset: int) -> None:
        if offset <= len(shown.data):
            assert b"".join(shown.view.get_iovec(offset)) == shown.data[offset:]

    @rule(shown=views, other=views, seed=st.integers(0, (1 << 64) - 1))
    def compare(self, shown: Shown, other: Shown, seed: int) -> None:
        a, b = shown.data, other.data
        assert shown.view.compare(other.view) == (a > b) - (a < b)
        assert (shown.view == other.view) is (a == b)
        if a == b:
            assert shown.view.hash(seed) == other.view.hash(seed)

    @rule(shown=consumes(views))
    def close(self, shown: Shown) -> None:
        shown.view.close()
        self.all.remove(shown)

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        if not hasattr(self, "buf"):
            return
        assert self.buf.size() == len(self.filled)
        with self.buf.peek() as view:
            assert bytes(view) == self.filled
        for shown in self.all:
            assert bytes(shown.view) == shown.data

    def teardown(self) -> None:
        if not hasattr(self, "buf"):
            return
        for shown in self.all:
            shown.view.close()
        self.buf.close()
        stats = self.memory.get_stats()
        assert (stats.reserves - stats.releases, stats.live_bytes) == (0, 0)
        for memory in (self.memory, self.inner, self.other):
            memory.close()
        assert samebytes.memory_live_blocks() == self.live
        assert samebytes.release_foreign() == 0


TestBytes = BytesMachine.TestCase
NIGHTLY = bool(os.environ.get("SAMEBYTES_NIGHTLY"))
TestBytes.settings = settings(
    max_examples=1000 if NIGHTLY else 25, stateful_step_count=50, deadline=None, derandomize=not NIGHTLY
)
