"""Objects in use: what closes, lends or gives away, in the middle of a call and in cycles; and which interpreters are refused."""

from __future__ import annotations

import array
import ast
import gc
import pickle
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import pytest

import samebytes
from samebytes import _arguments, _exchange, _objects, client
from samebytes._handles import calling, giving

from .conftest import ROOT, output_of, run_python

FIELDS = [("number", "int64"), ("text", "string"), ("items", "array<int16>"), ("texts", "array<string>")]


@pytest.fixture
def schema() -> Iterator[samebytes.Schema]:
    with samebytes.Schema("M", "request", 7, FIELDS) as made:
        yield made


class Does:
    """An integer that does something when it is asked for."""

    def __init__(self, act: Callable[[], object], number: int = 1) -> None:
        self.act, self.number = act, number

    def __index__(self) -> int:
        self.act()
        return self.number


# ---- converting comes first ----


def packet(sequence: Any) -> dict[str, Any]:
    return {"sequence": sequence, "number": 1, "text": b"", "items": [], "texts": []}


ADDING: dict[str, Callable[[samebytes.Builder, samebytes.Schema, Any], object]] = {
    "add": lambda builder, schema, evil: builder.add(schema, 0, [evil, b"", [], []]),
    "sequence": lambda builder, schema, evil: builder.add(schema, evil, [1, b"", [], []]),
    "add_rows": lambda builder, schema, evil: builder.add_rows(
        schema, [0, 0], [[1, b"", [evil], []], [1, b"", [], []]]
    ),
    "add_columns": lambda builder, schema, evil: builder.add_columns(
        schema, [0, 0], [[evil, 1], [b""] * 2, [[]] * 2, [[]] * 2]
    ),
    "packets": lambda builder, schema, evil: builder._add_messages(schema, schema.shape, None, [packet(evil)]),
}


@pytest.mark.parametrize("call", ADDING)
def test_a_builder_that_a_value_closes_says_so(schema: samebytes.Schema, call: str) -> None:
    builder = samebytes.Builder()
    with pytest.raises(samebytes.ClosedError, match="this Builder has been closed"):
        ADDING[call](builder, schema, Does(builder.close))


def test_a_schema_that_a_value_closes_is_kept_by_the_call(schema: samebytes.Schema) -> None:
    with samebytes.Builder() as builder:
        builder.add(schema, 0, [Does(schema.close), b"text", [1], [b"a"]])
        assert schema.closed
        assert builder.frame_count() == 1


def test_a_schema_that_another_thread_closes_meanwhile_is_kept_by_the_call(schema: samebytes.Schema) -> None:
    def close_elsewhere() -> None:
        thread = threading.Thread(target=schema.close)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()

    with samebytes.Builder() as builder:
        builder.add_rows(schema, [0], [[Does(close_elsewhere), b"text", [1], [b"a"]]])
        assert builder.frame_count() == 1


def test_what_a_list_held_is_not_looked_at_after_it_was_changed(schema: samebytes.Schema) -> None:
    with samebytes.Builder() as builder:
        for size in range(20, 60):
            message: list[Any] = [1, b"", [None] + [7] * size, []]

            def empty(message: list[Any] = message) -> None:
                message[2] = [bytearray(64) for _ in range(50)]  # the only owner of the list that is being converted
                message[3] = [b"another"]

            message[2][0] = Does(empty)
            builder.add(schema, 0, message)
        assert builder.frame_count() == 40


def test_lent_memory_that_a_number_takes_is_taken_back_before_the_call() -> None:
    with samebytes.Buf() as buf:
        buf.reserve(100)
        lent: list[memoryview] = []
        with pytest.raises(samebytes.OutOfRangeError):
            buf.take(Does(lambda: lent.append(buf.begin()), 50))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="released"):
            lent[0][0]


def test_an_argument_is_asked_once(layer: ModuleType) -> None:
    answers = iter([3, 60])
    count = Does(lambda: None)
    count.__class__ = type("Fickle", (Does,), {"__index__": lambda self: next(answers)})
    pool = layer.sb_pool_open()
    blocks = layer.sb_pool_get_many(pool, 64, count)
    assert len(blocks) == 3
    assert next(answers) == 60
    layer.sb_pool_put_many(pool, blocks)
    layer.sb_pool_close(pool)


def test_a_class_derived_from_int_or_str_is_taken_by_its_value() -> None:
    class Liar(int):
        def __le__(self, other: object) -> bool:
            return True

        __ge__ = __le__
        __index__ = None  # type: ignore[assignment]

    with pytest.raises((OverflowError, TypeError)):
        _arguments.integer(Liar(1000), "n", 0, 10)

    class Text(str):
        __slots__ = ()

        def encode(self, *_: object, **__: object) -> bytes:  # type: ignore[override]
            return b"another"

        def __contains__(self, part: object) -> bool:
            raise AssertionError("asked")

    assert _arguments.encoded(Text("text"), "name") == b"text"


def layer_functions(name: str) -> list[ast.FunctionDef]:
    tree = ast.parse((ROOT / f"bindings/python/src/samebytes/_layer_{name}.py").read_text())
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("sb_")]


CONVERSIONS = {
    "_integer",
    "_real",
    "_boolean",
    "readable",
    "readable_or_null",
    "writable",
    "writable_or_null",
    "text",
    "text_or_null",
}
CONVERSIONS |= {"integers", "integers_or_null"}


def steps(function: ast.FunctionDef) -> list[tuple[str, str]]:
    """The conversions of a function of a layer, in the order in which they run: how, and which parameter."""
    names = {each.arg for each in function.args.args}
    found: list[tuple[tuple[int, int], str, str]] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            how = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            for argument in node.args:
                if isinstance(argument, ast.Name) and argument.id in names:
                    found.append(((node.lineno, node.col_offset), how, argument.id))
    return [(how, name) for _, how, name in sorted(found)]


@pytest.mark.parametrize("name", ["cffi", "ctypes"])
def test_layers_convert_every_argument_once_and_addresses_last(name: str) -> None:
    """The address of an object is the last thing that is asked for; that of something else is converted with the rest."""
    handles = {"_address", "_address_or_null", "handles"}
    checked = 0
    for function in layer_functions(name):
        found = steps(function)
        parameters = [each.arg for each in function.args.args]
        assert sorted(each for _, each in found) == sorted(parameters), f"{function.name} asks {found}"
        call = next(i for i, line in enumerate(ast.unparse(function).splitlines()) if f"_lib.{function.name}(" in line)
        text = ast.unparse(function).splitlines()
        for index, (how, each) in enumerate(found):
            in_the_call = any(f"{how}({each}" in line for line in text[call:])
            if how in handles and (in_the_call or how == "handles"):
                later = {other for other, _ in found[index:]} - handles
                assert not later, f"{function.name} takes the address of {each} before {later}"
                checked += 1
    assert checked > 150


# ---- in use ----


def test_what_a_provider_of_memory_does_with_the_object_that_needs_it_is_refused(schema: samebytes.Schema) -> None:
    refused: list[str] = []

    def reserve(size: int) -> list[bytearray]:
        for act in (
            builder.clear,
            builder.close,
            builder.detach,
            lambda: builder.add(schema, 0, [1, b"", [], []]),
            builder.take,
        ):
            with pytest.raises(samebytes.BusyError) as error:
                act()
            refused.append(str(error.value))
        return [bytearray(size)]

    with samebytes.Memory.open_callback(reserve) as memory, samebytes.Builder(memory) as builder:
        builder.add(schema, 0, [1, b"text", [1], [b"a"]])
        assert len(builder) > 0
    assert refused == ["the object is in use by a call that this thread is inside"] * 5


def test_what_may_run_beside_itself_may_be_used_and_not_closed() -> None:
    refused: list[str] = []

    def reserve(size: int) -> list[bytearray]:
        assert memory.get_stats().failures == 0
        with pytest.raises(samebytes.BusyError) as error:
            memory.close()
        refused.append(str(error.value))
        return [bytearray(size)]

    with samebytes.Memory.open_callback(reserve) as memory:
        memory.get_block(10).close()
    assert refused == ["the object is in use by a call that this thread is inside"]


def test_memory_is_not_lent_while_its_object_is_in_use(schema: samebytes.Schema) -> None:
    with (
        samebytes.Parser([schema]) as parser,
        parser.parse() as batch,
        samebytes.View(b"view") as view,
        samebytes.Buf() as buf,
    ):
        buf.reserve(10)
        lends: list[tuple[Any, Callable[[], object]]] = [
            (parser, parser.buffer),
            (batch, lambda: batch.column("number")),
            (batch, batch.columns),
            (view, lambda: memoryview(view)),
            (buf, buf.begin),
            (buf, buf.begin_iovec),
        ]
        for handle, lend in lends:
            with calling(handle), pytest.raises(samebytes.BusyError):
                lend()
            memory = lend()  # when the call is over
            del memory


def test_a_block_is_not_shown_while_it_is_given_away() -> None:
    with samebytes.Memory.open_heap() as heap, heap.get_block(8) as block:
        with calling(block), giving(block), pytest.raises(samebytes.BusyError):
            memoryview(block)
        with memoryview(block), calling(block), pytest.raises(samebytes.BusyError, match="1 memoryview"), giving(block):
            raise AssertionError("it was given away")
        memoryview(block).release()


def test_a_lock_keeps_its_rules() -> None:
    lock = _objects.lock(False, False)
    with pytest.raises(RuntimeError):
        lock.release()
    with pytest.raises(RuntimeError):
        lock.__exit__()
    lock.acquire()
    with lock:  # what makes several calls of one holds it around them
        pass
    with pytest.raises(RuntimeError):
        lock.__exit__()  # a call is ended by release
    with pytest.raises(samebytes.BusyError):
        lock.acquire()
    with pytest.raises(samebytes.BusyError):
        lock.shut(0)
    lock.shut(1)
    lock.reopen()
    lock.release()
    with pytest.raises(RuntimeError):
        lock.shut(0)
    concurrent = _objects.lock(True, False)
    concurrent.acquire()
    concurrent.acquire()
    concurrent.shut(2)
    with pytest.raises(samebytes.BusyError):
        concurrent.acquire()
    concurrent.reopen()
    concurrent.release()
    concurrent.release()


def test_a_lock_lets_one_thread_in_at_a_time_and_all_of_them_in_the_end() -> None:
    lock = _objects.lock(False, False)
    inside = 0
    most = 0
    total = 0

    def work(number: int) -> None:
        nonlocal inside, most, total
        for _ in range(300):
            (lock.acquire if number % 2 else lock.__enter__)()
            inside += 1
            most = max(most, inside)
            value = total
            if number == 0:
                threading.Event().wait(0.00001)  # lets the others run up
            total = value + 1
            inside -= 1
            lock.release() if number % 2 else lock.__exit__()

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread waits for ever"
    assert (most, total) == (1, 1800)


def test_waiting_for_a_lock_is_interrupted_by_a_signal() -> None:
    code = """
import signal, threading, samebytes
view = samebytes.View(b"a")
taken, end = threading.Event(), threading.Event()
def hold():
    with view._lock:
        taken.set()
        end.wait(60)
thread = threading.Thread(target=hold, daemon=True)
thread.start()
taken.wait(60)
def handler(*_): raise KeyboardInterrupt
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    view.size()
except KeyboardInterrupt:
    print("interrupted")
end.set()
thread.join(60)
print(view.size())
"""
    assert output_of(code) == "interrupted\n1\n"


def test_a_manager_is_detached_only_when_no_call_is_inside(tmp_path: Path) -> None:
    with samebytes.VisitManager(tmp_path / "visits") as manager:
        inside = manager._lock
        with inside, pytest.raises(samebytes.BusyError):
            manager.detach()
        address = manager.detach()
        with pytest.raises(samebytes.ClosedError):
            manager.detach()
        with samebytes.VisitManager.adopt(address) as other:
            assert other.users() == []


def test_requests_that_values_send_keep_their_own_numbers() -> None:
    class Waiter:
        row: Any = None

        def done(self) -> bool:
            return self.row is not None

        def set_result(self, row: Any) -> None:
            self.row = row

        def set_exception(self, error: Exception) -> None:
            raise error

    requests: _exchange.Requests[Any] = _exchange.Requests([client.Pair.open_echo()], 8, 0, None)
    outer, inner = Waiter(), Waiter()
    requests.begin(outer, [Does(lambda: requests.begin(inner, [2, b"", [], b""], None)), b"", [], b""], None)
    assert [each[0] for each in requests.waiting.values()] in ([outer, inner], [inner, outer])
    with samebytes.Parser([requests.pairs[0].request]) as parser, samebytes.Builder() as builder:
        frames = b"".join(requests.take())
        requests.sent += len(frames)
        parser.feed(frames)
        sent = parser.parse().rows
        assert [row.timestamp for row in sent] == [2, 1]
        for row in sent:
            builder.add(requests.pairs[0].response, row.sequence, [0, row.timestamp, b"", b""])
        memory = requests.receiver.buffer()
        data = bytes(builder)
        memory[: len(data)] = data
        assert requests.receive(len(data)) is None
    assert (inner.row.timestamp, outer.row.timestamp) == (2, 1)
    requests.close()


# ---- in cycles ----


@pytest.mark.parametrize("first", ["holder", "memory"])
@pytest.mark.parametrize("which", ["parser", "buf", "pieces", "batch", "column", "view", "span", "block"])
def test_memory_stays_while_a_memoryview_can_reach_it(schema: samebytes.Schema, which: str, first: str) -> None:
    """The collector calls the finalizers of a cycle in no order: that of the handle may come first."""
    seen: list[bytes] = []

    class Holder:
        memory: memoryview

        def __del__(self) -> None:
            seen.append(bytes(self.memory))
            if not self.memory.readonly:
                self.memory[:] = b"\xee" * self.memory.nbytes

    def frames() -> bytes:
        with samebytes.Builder() as builder:
            builder.add(schema, 0, [0x4141414141414141, b"A" * 5000, [], []])
            return bytes(builder)

    def make() -> memoryview:
        match which:
            case "parser":
                lent = samebytes.Parser([schema], memory=tracing).buffer()
            case "buf" | "pieces":
                buf = samebytes.Buf(tracing)
                buf.reserve(5000)
                lent = buf.begin() if which == "buf" else buf.begin_iovec()[0]
            case "batch" | "column":
                parser = samebytes.Parser([schema], memory=tracing)
                parser.feed(frames())
                return parser.parse().column("number" if which == "batch" else "text")
            case "view":
                return memoryview(samebytes.View(b"A" * 5000, tracing))
            case "span":
                return samebytes.View(b"A" * 5000, tracing).span(0)
            case _:
                lent = memoryview(tracing.get_block(5000))
        lent[:] = b"A" * lent.nbytes
        return lent

    with samebytes.Memory.open_heap() as heap, samebytes.Memory.open_tracing(heap) as tracing:
        for kept in (False, True):
            early = make() if first == "memory" else None
            holder = Holder()
            holder.cycle = holder  # type: ignore[attr-defined]
            holder.memory = make() if early is None else early
            del early
            memory = holder.memory if kept else None  # then the memory outlives the collection
            del holder
            gc.collect()
            assert len(seen[-1]) > 0
            assert set(seen[-1]) == {ord("A")} or b"A" * 5000 in seen[-1]  # a column of strings shows all of the frames
            if memory is not None:
                assert b"A" * 8 in bytes(memory) or set(bytes(memory)) == {0xEE}
                memory.release()
            del memory
            gc.collect()
            stats = tracing.get_stats()
            assert stats.releases == stats.reserves
            assert stats.live_bytes == 0
    assert len(seen) == 2


def test_rows_stay_when_their_batch_is_collected(schema: samebytes.Schema) -> None:
    with samebytes.Builder() as builder, samebytes.Parser([schema]) as parser:
        builder.add(schema, 3, [5, b"text", [1], [b"a"]])
        parser.feed(bytes(builder))
        rows = parser.parse().rows  # nobody has the batch any more
        gc.collect()
        assert rows[0].fields() == {"number": 5, "text": b"text", "items": [1], "texts": [b"a"]}


# ---- values ----


@pytest.mark.parametrize("backwards", [False, True])
def test_an_empty_array_is_a_value_wherever_it_lies(schema: samebytes.Schema, backwards: bool) -> None:
    empties: list[Any] = [
        array.array("h"),
        memoryview(bytearray(3))[1:1].cast("h"),
        memoryview(bytearray(3))[2:2].cast("h"),
    ]
    with samebytes.Builder() as builder, samebytes.Builder() as expected:
        for empty in reversed(empties) if backwards else empties:
            builder.add(schema, 0, [1, array.array("b"), empty, []])
            expected.add(schema, 0, [1, b"", [], []])
        assert bytes(builder) == bytes(expected)


@pytest.mark.parametrize("field", [2, 3])
def test_a_pickle_with_more_items_than_a_frame_can_have_is_refused(schema: samebytes.Schema, field: int) -> None:
    with samebytes.Builder() as builder, samebytes.Parser([schema]) as parser:
        builder.add(schema, 0, [1, b"", [], []])
        parser.feed(bytes(builder))
        row = parser.parse().rows[0]
    function, (name, fields, *head, values) = row.__reduce__()
    item: Any = 1 if field == 2 else b""
    most, more = list(values), list(values)
    most[field], more[field] = [item] * samebytes.ARRAY_ITEMS_MAX, [item] * (samebytes.ARRAY_ITEMS_MAX + 1)
    made = function(name, fields, *head, tuple(most))
    assert pickle.loads(pickle.dumps(made)) == made
    with pytest.raises(ValueError, match=f"M.{FIELDS[field][0]}: an array has at most 32767 items, not 32768"):
        function(name, fields, *head, tuple(more))


def test_text_is_no_memory_whatever_it_shows(schema: samebytes.Schema, layer: ModuleType) -> None:
    text = numpy.str_("text")
    assert memoryview(text).nbytes == 16  # or this test says nothing
    with samebytes.Builder() as builder, samebytes.Buf() as buf:
        calls: list[Callable[[], object]] = [
            lambda: builder.add(schema, 0, [1, text, [], []]),
            lambda: builder.add(schema, 0, [1, b"", [], [text]]),
            lambda: builder.add_columns(schema, [0], [[1], [text], [[]], [[]]]),
            lambda: samebytes.View(text),
            lambda: samebytes.View.open_foreign(text),
            lambda: buf.put(text),
            lambda: buf.write(text),
            lambda: layer.sb_crc32c(0, text),
            lambda: layer.sb_view_open(text),
        ]
        for call in calls:
            with pytest.raises(TypeError, match="a bytes-like object is needed, not str_"):
                call()
        assert (len(builder), len(buf)) == (0, 0)


# ---- interpreters ----

SUB = """
try:
    import _interpreters
except ImportError:
    import _xxsubinterpreters as _interpreters
def run(code):
    made = _interpreters.create() if hasattr(_interpreters, "exec") else _interpreters.create(isolated=False)
    if hasattr(_interpreters, "exec"):
        _interpreters.exec(made, code)
    else:
        _interpreters.run_string(made, code)
    _interpreters.destroy(made)
"""
REFUSED = (
    "samebytes works in the main interpreter only, and this is a sub-interpreter: import it there, or use processes"
)


def test_a_sub_interpreter_is_refused_and_does_no_harm_to_the_main_one() -> None:
    code = (
        SUB
        + f"""
attempt = '''
try:
    import samebytes
except ImportError as error:
    assert str(error) == {REFUSED!r}, str(error)
    print("refused", flush=True)
'''
run(attempt)
import samebytes
memory = samebytes.Memory.open_callback(lambda size: [bytearray(size)])
run(attempt)
memory.get_block(100).close()
print("works")
"""
    )
    assert output_of(code) == "refused\nrefused\nworks\n"


def test_an_interpreter_that_has_ended_is_not_followed_by_another() -> None:
    code = """
import atexit, sys
def late():
    for name in [name for name in sys.modules if name.startswith("samebytes")]:
        del sys.modules[name]
    try:
        import samebytes
    except ImportError as error:
        print(error)
atexit.register(late)
import samebytes
"""
    said = "samebytes was loaded by an interpreter of this process that has ended, and cannot be loaded again: start a new process\n"
    assert output_of(code) == said


FREE_THREADED = "samebytes does not support free-threaded CPython"


def test_free_threaded_cpython_is_refused_at_import() -> None:
    done = run_python("import sys; sys.abiflags = 't'; import samebytes")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"ImportError: {FREE_THREADED}: use the CPython with the GIL"


def test_free_threaded_cpython_is_refused_by_the_build(tmp_path: Path) -> None:
    fake = tmp_path / "python"
    check = ROOT / "bindings/python/check_python.cmake"
    for answer, refused in (("True", True), ("False", False)):
        fake.write_text(f"#!/bin/sh\necho {answer}\n")
        fake.chmod(0o755)
        command = ["cmake", f"-DPython_EXECUTABLE={fake}", "-P", str(check)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode != 0) == refused
        assert (f"{FREE_THREADED}: build it for the CPython with the GIL" in " ".join(done.stderr.split())) == refused
    assert "include(check_python.cmake)" in (ROOT / "bindings/python/CMakeLists.txt").read_text()


def test_free_threaded_cpython_is_refused_by_the_compiler() -> None:
    import sysconfig

    source = ROOT / "bindings/python/src/objects_base.h"
    include = [f"-I{sysconfig.get_paths()['include']}", f"-I{ROOT}/core/include"]
    command = ["gcc", "-fsyntax-only", "-DPy_LIMITED_API=0x030b0000", *include, str(source)]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    done = subprocess.run([*command, "-DPy_GIL_DISABLED"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert f"{FREE_THREADED}: build it for the CPython with the GIL" in done.stderr
