"""Handles: closed once, safe to close twice, refused when closed, closed when forgotten, and safe between threads."""

from __future__ import annotations

import copy
import gc
import pickle
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import samebytes
from samebytes._backend import layer
from samebytes._handles import Handle, calling

from .conftest import output_of


def visit_manager() -> Any:
    """A manager in a folder that goes with it."""
    folder = tempfile.TemporaryDirectory()
    manager: Any = samebytes.VisitManager(f"{folder.name}/visits")
    manager.folder = folder
    return manager


def of_manager(make: Callable[..., int], made: Any, *arguments: Any) -> Any:
    with visit_manager() as manager:
        return made.adopt(make(manager.address, *arguments))


def visit_scan() -> Any:
    manager = visit_manager()
    scan: Any = manager.scan()
    scan.keeps = manager  # also after a detach
    return scan


MAKERS: dict[str, Callable[[], Any]] = {
    "Memory": samebytes.Memory.open_heap,
    "Block": lambda: samebytes.Memory.open_heap().get_block(10),
    "View": lambda: samebytes.View(b"abc"),
    "Buf": samebytes.Buf,
    "Schema": samebytes.echo_request_schema,
    "SchemaFile": lambda: samebytes.SchemaFile(b""),
    "Builder": samebytes.Builder,
    "Parser": lambda: samebytes.Parser([samebytes.echo_request_schema()]),
    "Batch": samebytes.Batch,
    "Pipeline": samebytes.Pipeline,
    "Pool": samebytes.Pool,
    "Lender": samebytes.Lender,
    "Pin": lambda: samebytes.View(b"pinned").pin(0),
    "VisitManager": visit_manager,
    "Visits": lambda: of_manager(layer.sb_visit_manager_get_recent_visits, samebytes.Visits, 1),
    "VisitUsers": lambda: of_manager(layer.sb_visit_manager_users, samebytes.VisitUsers),
    "VisitScan": visit_scan,
    "Channel": lambda: samebytes.Channel(socket.socketpair()[0]),
}
# A method of each class, with what it is called with.
CALLS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "Memory": ("get_stats", ()),
    "Block": ("size", ()),
    "View": ("size", ()),
    "Buf": ("reserve", (1,)),
    "Schema": ("name", ()),
    "SchemaFile": ("count", ()),
    "Builder": ("take", ()),
    "Parser": ("feed", (b"",)),
    "Batch": ("need", ()),
    "Pipeline": ("begin", (1,)),
    "Pool": ("get_stats", ()),
    "Lender": ("lent", ()),
    "Pin": ("__enter__", ()),  # it has no other
    "VisitManager": ("get_stats", ()),
    "Visits": ("count", ()),
    "VisitUsers": ("get_all", ()),
    "VisitScan": ("next", ()),
    "Channel": ("pin_count", ()),
}


def test_every_class_is_tested() -> None:
    from samebytes import _classes

    classes = {name for name, value in vars(_classes).items() if isinstance(value, type) and issubclass(value, Handle)}
    classes.remove("Handle")
    assert classes == set(MAKERS) == set(CALLS)


@pytest.mark.parametrize("name", MAKERS)
class TestEveryClass:
    def test_close_twice_is_safe_and_use_after_close_is_refused(self, name: str) -> None:
        handle = MAKERS[name]()
        method, arguments = CALLS[name]
        getattr(handle, method)(*arguments)
        assert not handle.closed
        handle.close()
        handle.close()
        assert handle.closed
        assert repr(handle) == f"<samebytes.{name} closed>"
        for use in (lambda: getattr(handle, method)(*arguments), handle.__enter__, lambda: handle.address):
            with pytest.raises(samebytes.ClosedError, match=f"this {name} has been closed"):
                use()

    def test_a_with_block_closes(self, name: str) -> None:
        with MAKERS[name]() as handle:
            assert type(handle).__name__ == name
            assert hex(handle.address) in repr(handle)
        assert handle.closed

    def test_a_handle_is_neither_copied_nor_pickled(self, name: str) -> None:
        with MAKERS[name]() as handle:
            for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match=f"a {name} cannot be pickled or copied"):
                    duplicate(handle)

    def test_a_detached_handle_is_adopted_by_another_object(self, name: str) -> None:
        first = MAKERS[name]()
        address = first.detach()
        assert first.closed
        with type(first).adopt(address) as second:
            assert second.address == address
            method, arguments = CALLS[name]
            getattr(second, method)(*arguments)


@pytest.mark.parametrize("name", ["Block", "Memory"])
def test_what_only_others_make_says_so(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} is not made by calling it"):
        getattr(samebytes, name)()


def test_a_forgotten_handle_is_closed_when_it_is_collected() -> None:
    before = samebytes.memory_live_blocks()
    view = samebytes.View(b"x" * 1000)
    assert samebytes.memory_live_blocks() == before + 1
    del view
    assert samebytes.memory_live_blocks() == before
    cycle: list[Any] = [samebytes.View(b"x" * 1000)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert samebytes.memory_live_blocks() == before


def test_handles_of_another_class_are_refused() -> None:
    with samebytes.Buf() as buf, samebytes.View(b"a") as view:
        with pytest.raises(TypeError, match="view: a View is needed, not Buf"):
            buf.put_view(buf)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="other: a View is needed, not bytes"):
            view.append(b"b")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="memory: a Memory is needed, not int"):
            samebytes.View(b"a", 5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"schemas\[0\]: a Schema is needed, not str"):
            samebytes.Parser(["EchoRequest"])  # type: ignore[list-item]


def test_a_closed_handle_is_refused_as_an_argument() -> None:
    with samebytes.Buf() as buf:
        view = samebytes.View(b"a")
        view.close()
        with pytest.raises(samebytes.ClosedError, match="this View"):
            buf.put_view(view)
        memory = samebytes.Memory.open_heap()
        memory.close()
        with pytest.raises(samebytes.ClosedError, match="this Memory"):
            samebytes.Builder(memory)


def test_what_a_call_takes_over_is_closed_only_if_it_succeeds() -> None:
    with samebytes.Memory.open_heap() as memory:
        block = memory.get_block(8)
        with pytest.raises(samebytes.OutOfRangeError):
            samebytes.View.open_block(block, 9)
        assert not block.closed
        with samebytes.View.open_block(block, 8) as view:
            assert block.closed
            assert len(view) == 8
        block.close()


def test_a_block_with_two_owners_is_not_taken_over() -> None:
    with samebytes.Memory.open_heap() as memory, memory.get_block(8) as block, block.retain():
        with pytest.raises(samebytes.BusyError):
            samebytes.View.open_block(block, 8)
        assert not block.closed


def test_a_pool_takes_its_memory_back_after_close() -> None:
    pool = samebytes.Pool(classes=[(64, 4)])
    address = pool.get(64)
    pool.close()
    pool.put(address)


def test_handles_that_are_open_at_the_interpreters_end_do_no_harm() -> None:
    code = """
import samebytes, samebytes.echo
kept = [samebytes.View(b"abc"), samebytes.Pool(), samebytes.echo.Builder(), samebytes.Buf()]
kept.append(memoryview(kept[0]))
buf = samebytes.Buf(); buf.reserve(10); kept.append(buf.begin())
class Cycle: pass
cycle = Cycle(); cycle.self = cycle; cycle.view = samebytes.View(b"x")
print("end")
"""
    assert output_of(code) == "end\n"


def run_threads(count: int, work: Callable[[int], None]) -> None:
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    # Threads that wait for each other forever must not keep the process.
    threads = [threading.Thread(target=guarded, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if failures:
        raise failures[0]


def test_threads_may_share_an_object() -> None:
    with samebytes.Buf() as buf:
        buf.reserve(4 * 500)

        def work(number: int) -> None:
            for _ in range(500):
                buf.put(bytes([number]))
                len(buf)

        run_threads(4, work)
        with buf.take(2000) as view:
            found = bytes(view)
    assert [found.count(number) for number in range(4)] == [500] * 4


def test_calls_on_two_objects_from_both_sides_do_not_wait_for_each_other_forever() -> None:
    # Not in a `with` block: closing would wait as well.
    left, right = samebytes.View(b"a"), samebytes.View(b"b")

    def work(number: int) -> None:
        for _ in range(300):
            assert not (left.equals(right) if number % 2 else right.equals(left))

    run_threads(4, work)
    left.append(left)
    assert bytes(left) == b"aa"


class NotedLock:
    """A lock that notes what happens to it."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name, self.events = name, events
        self.refuses = False

    def acquire(self) -> None:
        if self.refuses:
            raise KeyboardInterrupt
        self.events.append(f"take {self.name}")

    def release(self) -> None:
        self.events.append(f"give {self.name}")


def test_locks_are_taken_in_one_order_whichever_object_stands_first() -> None:
    left, right = samebytes.View(b"a"), samebytes.View(b"b")
    events: list[str] = []
    left._lock, right._lock = NotedLock("left", events), NotedLock("right", events)
    sequences = []
    for handles in ((left, None, right), (right, left)):
        with calling(*handles):
            pass
        sequences.append(events[:])
        events.clear()
    assert sequences[0][:2] == sequences[1][:2]
    assert sorted(sequences[0]) == ["give left", "give right", "take left", "take right"]


def test_locks_are_given_back_when_taking_one_is_interrupted() -> None:
    left, right = samebytes.View(b"a"), samebytes.View(b"b")
    events: list[str] = []
    locks = left._lock, right._lock = NotedLock("left", events), NotedLock("right", events)
    first, second = sorted(locks, key=id)
    second.refuses = True
    with pytest.raises(KeyboardInterrupt), calling(left, right):
        raise AssertionError("the call was made")
    assert events == [f"take {first.name}", f"give {first.name}"]


def test_close_waits_for_a_call_that_is_running() -> None:
    view = samebytes.View(b"abc")
    order: list[str] = []

    def close() -> None:
        view.close()
        order.append("closed")

    with view._lock:
        thread = threading.Thread(target=close)
        thread.start()
        time.sleep(0.05)
        order.append(bytes(view).decode())
    thread.join(60)
    assert order == ["abc", "closed"]


def test_closing_from_many_threads_closes_once() -> None:
    for _ in range(50):
        view = samebytes.View(b"abc")
        run_threads(4, lambda _, view=view: view.close())


def test_an_object_made_in_one_thread_is_closed_in_another() -> None:
    views = [samebytes.View(b"x" * 100) for _ in range(40)]

    def work(number: int) -> None:
        for view in views[number::4]:
            assert len(view) == 100
            view.close()

    run_threads(4, work)


def test_a_forked_child_has_its_own_copies() -> None:
    code = """
import os, samebytes
view = samebytes.View(b"shared")
child = os.fork()
if child == 0:
    print(bytes(view).decode(), flush=True)
    view.close()
    os._exit(0)
os.waitpid(child, 0)
print(bytes(view).decode(), samebytes.memory_live_blocks())
"""
    assert output_of(code) == "shared\nshared 1\n"
