"""Runs calls of the table with hostile code in the middle: `python -m tests.python.reentry_child FOLDER SHARE CALL...`.

FOLDER has the module of hostile_buffer.c. What is tried is printed before it is, so that a crash has a name. SHARE is how many places
between two instructions are tried, at most, for each call and act; 0 is all.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import samebytes

from . import reentry
from . import reentry_peers as peers
from .reentry import CALLS, World

PACKAGE = str(Path(samebytes.__file__).parent)
WAIT_S = 0.02  # for a thread that cannot go on before the call is over
RECURSIONS_MAX = 2


class Hostile(Exception):
    """Raised in the middle."""


EXPECTED = (
    Hostile,
    samebytes.SamebytesError,
    TypeError,
    ValueError,
    LookupError,
    OverflowError,
    BufferError,
    AttributeError,
)
# Not SystemError, which says that a function of C broke the rules; nor MemoryError, which says that it took a number for a size.
# AttributeError is what an object of Python says that was not opened, because its opening was interrupted.


def quietly(act: Callable[[], object]) -> None:
    with contextlib.suppress(*EXPECTED):
        act()


def close_all(world: World) -> None:
    for handle in reversed(world.handles()):
        quietly(handle.close)


def detach_all(world: World) -> None:
    for handle in world.handles():
        if hasattr(handle, "detach"):
            with contextlib.suppress(*EXPECTED):
                address = handle.detach()
                type(handle)._destroy(address)


def in_a_thread(world: World) -> None:
    thread = threading.Thread(target=close_all, args=(world,), daemon=True)
    thread.start()
    thread.join(WAIT_S)
    world.threads.append(thread)


def change(world: World) -> None:
    for each in world.changed:
        each()


def recurse(world: World) -> None:
    """Makes the same call on the same objects, whose points run nothing more than that again."""
    if world.depth < RECURSIONS_MAX:
        world.depth += 1
        try:
            world.call(world)
        finally:
            world.depth -= 1


def export(world: World) -> None:
    """Takes memory of the objects, which is looked at, and written to, after the call."""
    for name, take in EXPORTS.items():
        if name in world.made:
            with contextlib.suppress(*EXPECTED):
                world.taken += take(world.made[name])


EXPORTS: dict[str, Callable[[Any], list[memoryview]]] = {
    "parser": lambda parser: [parser.buffer()],
    "buf": lambda buf: buf.begin_iovec(),
    "batch": lambda batch: [batch.column("number"), batch.column("text")],
    "block": lambda block: [memoryview(block)],
    "block2": lambda block: [memoryview(block)],
    "view": lambda view: [memoryview(view), view.span(0)],
}


def use(world: World) -> None:
    """Makes other calls, which change the objects."""
    for name, call in USES.items():
        if name in world.made:
            quietly(lambda call=call, name=name: call(world.made[name]))


USES: dict[str, Callable[[Any], object]] = {
    "parser": lambda parser: (parser.feed(bytes(70_000)), parser.parse().close()),
    "buf": lambda buf: (buf.reserve(70_000), buf.clear()),
    "batch": lambda batch: batch.clear(),
    "builder": lambda builder: builder.clear(),
    "fresh_builder": lambda builder: builder.take().close(),
    "view": lambda view: view.skip(view.size()),
    "manager": lambda manager: (manager.add_visit(1, 77, "u", "t"), manager.clear_user(1)),
    "memory": lambda memory: memory.get_block(100).close(),
    "pipeline": lambda pipeline: pipeline.begin(9),
    "blocking": peers.use_blocking,
    "begun": lambda begun: begun.cancelled() or begun.result(),
    "aio_client": peers.use_aio,
    "aio_of_batches": peers.use_aio,
}


def raising(world: World) -> None:
    raise Hostile


ACTS: dict[str, Callable[[World], None]] = {
    "close": close_all,
    "detach": detach_all,
    "close in a thread": in_a_thread,
    "change": change,
    "recurse": recurse,
    "export": export,
    "use": use,
    "raise": raising,
    "collect": lambda world: (gc.collect(), None)[1],
}
ACTS_BETWEEN = ("close", "export", "use", "recurse")  # those tried between instructions, and in collections


def touch(world: World) -> None:
    """What was taken is still memory, and nothing else lies there."""
    for memory in world.taken:
        with contextlib.suppress(ValueError):  # the call has taken it back
            bytes(memory)
            if not memory.readonly:
                memory[:] = b"\xee" * memory.nbytes
            bytes(memory)
            memory.release()
    world.taken.clear()


def run(name: str, prepare: Callable[[World], contextlib.AbstractContextManager[None]]) -> World:
    """Makes the call once, and all of its objects go afterwards."""
    world = World()
    world.call = CALLS[name]
    world.allowed = EXPECTED
    for made in reentry.needs(name):
        getattr(world, made)
    try:
        with contextlib.suppress(*EXPECTED), prepare(world):
            world.call(world)
        touch(world)
        world.act = None
        for thread in world.threads:
            thread.join(60)
            assert not thread.is_alive(), "a thread hangs"
    finally:
        world.end()
    return world


@contextlib.contextmanager
def at_point(world: World, act: Callable[[World], None], number: int) -> Iterator[None]:
    """The act at the point that is reached as the `number`-th."""

    def reached() -> None:
        if world.hits - 1 == number:
            act(world)

    world.hits = 0
    world.act = reached
    try:
        yield
    finally:
        world.act = None


@contextlib.contextmanager
def between(world: World, act: Callable[[World], None] | None, number: int, counted: list[int]) -> Iterator[None]:
    """The act before the `number`-th instruction of the package, as a finalizer or the handler of a signal would run."""
    count = 0
    inside = False

    def local(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count, inside
        if event == "opcode" and not inside:
            if count == number and act is not None:
                inside = True
                sys.settrace(None)
                quietly(lambda: act(world))
            count += 1
        return local

    def begin(frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        return local

    sys.settrace(begin)
    try:
        yield
    finally:
        sys.settrace(None)
        counted.append(count)


@contextlib.contextmanager
def collecting(world: World, act: Callable[[World], None]) -> Iterator[None]:
    """The act in each collection, of which there is one whenever something is allocated."""
    inside = False
    thread = threading.get_ident()  # whose call it is; that of a peer makes none

    def callback(phase: str, info: object) -> None:
        nonlocal inside
        if not inside and threading.get_ident() == thread:
            inside = True
            quietly(lambda: act(world))
            inside = False

    thresholds = gc.get_threshold()
    gc.callbacks.append(callback)
    gc.set_threshold(1, 1, 1)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(callback)


def places(count: int, share: int) -> list[int]:
    return list(range(count)) if share == 0 or count <= share else sorted({i * count // share for i in range(share)})


def try_call(name: str, share: int) -> None:
    def say(how: str) -> None:
        print(f"{name}: {how}", flush=True)

    say("undisturbed")
    points = run(name, lambda world: at_point(world, lambda _: None, -1)).hits
    print(f"points: {points}", flush=True)
    for act_name, act in ACTS.items():
        for number in range(points):
            say(f"{act_name} at point {number}")
            run(name, lambda world: at_point(world, act, number))
    counted: list[int] = []
    run(name, lambda world: between(world, None, -1, counted))
    for act_name in ACTS_BETWEEN:
        say(f"{act_name} in collections")
        run(name, lambda world: collecting(world, ACTS[act_name]))
        for number in places(counted[0], share):
            say(f"{act_name} before instruction {number}")
            run(name, lambda world: between(world, ACTS[act_name], number, []))
    samebytes.release_foreign()


def main() -> None:
    folder, share, *names = sys.argv[1:]
    sys.path.insert(0, folder)
    import hostile_buffer

    World.exporter = hostile_buffer.Exporter
    for name in names:
        try_call(name, int(share))
    print("done", flush=True)


if __name__ == "__main__":
    main()
