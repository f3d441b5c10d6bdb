"""Providers of memory written in Python: what they give, get wrong, and get back, and on which thread."""

from __future__ import annotations

import gc
import mmap
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import samebytes
from samebytes import echo

from .conftest import output_of


class Arena:
    """A provider that remembers."""

    def __init__(self, block_size: int = 0) -> None:
        self.block_size = block_size
        self.given: list[bytearray] = []
        self.released: list[bytearray] = []
        self.released_on: list[threading.Thread] = []
        self.retired = 0

    def reserve(self, min_bytes: int) -> Iterable[bytearray]:
        size = self.block_size or min_bytes
        for _ in range(-(-min_bytes // size)):
            block = bytearray(size)
            self.given.append(block)
            yield block

    def release(self, block: bytearray) -> None:
        self.released.append(block)
        self.released_on.append(threading.current_thread())
        block.append(1)  # nobody holds its buffer any more

    def retire(self) -> None:
        self.retired += 1

    def open(self) -> samebytes.Memory:
        return samebytes.Memory.open_callback(self.reserve, self.release, self.retire)


@pytest.fixture
def arena() -> Iterator[Arena]:
    made = Arena()
    yield made
    gc.collect()
    samebytes.memory_drain()
    assert sorted(map(id, made.released)) == sorted(map(id, made.given))
    assert made.retired <= 1


def test_bytes_of_such_memory_go_everywhere(arena: Arena) -> None:
    arena.block_size = 40
    text = b"fifty bytes and some more of them, in several blocks of forty"
    with arena.open() as memory:
        with samebytes.View(text, memory) as view, samebytes.Buf(memory) as buf:
            assert view.span_count() == 2
            assert bytes(view) == text
            assert bytes(arena.given[0]) == text[:40]  # the memory is that of the provider
            buf.reserve(100)
            buf.put(text)
            with buf.take(len(text)) as taken:
                assert taken == view
        arena.block_size = 1 << 16
        with echo.Builder(memory=memory) as builder, echo.Parser(memory=memory) as parser:
            builder.add(subject=text, body=text)
            parser.feed(builder.get_buffer())
            assert [bytes(row.body) for row in parser.parse()] == [text]
    assert arena.retired == 1


def test_any_writable_buffer_will_do() -> None:
    released: list[Any] = []
    region = mmap.mmap(-1, 4096)
    with samebytes.Memory.open_callback(lambda size: [region], released.append) as memory:
        with memory.get_block(100) as block, memoryview(block) as data:
            data[:5] = b"there"
        assert region[:5] == b"there"
    assert released == [region]
    region.close()


def raising(error: BaseException) -> Any:
    def reserve(size: int) -> Any:
        raise error

    return reserve


@pytest.mark.parametrize(
    ("reserve", "error", "message"),
    [
        (raising(ValueError("no luck")), samebytes.ProviderError, "ValueError: no luck"),
        (raising(KeyboardInterrupt()), samebytes.ProviderError, "KeyboardInterrupt: "),
        (raising(MemoryError("all gone")), samebytes.NoMemoryError, "MemoryError: all gone"),
        (lambda size: None, samebytes.ProviderError, "TypeError: 'NoneType' object is not iterable"),
        (lambda size: [], samebytes.ProviderError, "reserve gave 0 bytes of 100"),
        (lambda size: [bytearray(60), bytearray(39)], samebytes.ProviderError, "reserve gave 99 bytes of 100"),
        (
            lambda size: [bytearray(100), bytearray()],
            samebytes.ProviderError,
            "ValueError: a block has 1 to 4292870144 bytes, not 0",
        ),
        (lambda size: [bytes(size)], samebytes.ProviderError, "BufferError: Object is not writable."),
        (lambda size: [size], samebytes.ProviderError, "TypeError: a bytes-like object is required, not 'int'"),
        (lambda: None, samebytes.ProviderError, "takes 0 positional arguments but 1 was given"),
    ],
)
def test_what_reserve_gets_wrong_is_told(reserve: Any, error: type[Exception], message: str) -> None:
    released: list[Any] = []
    with samebytes.Memory.open_callback(reserve, released.append) as memory:
        with pytest.raises(samebytes.NotFoundError):
            memory.get_failure()
        with pytest.raises(error):
            memory.get_block(100)
        with samebytes.Buf(memory) as buf, pytest.raises(error):
            buf.reserve(100)
        assert message in memory.get_failure().message
        assert memory.get_stats().failures == 2


def test_what_is_released_on_a_foreign_thread_waits_for_the_next_reserve(arena: Arena) -> None:
    with arena.open() as memory:
        block = memory.get_block(10)
        thread = threading.Thread(target=block.close)
        thread.start()
        thread.join()
        assert arena.released == []
        memory.get_block(20).close()
        assert len(arena.released) == 1
        samebytes.memory_drain()
        assert len(arena.released) == 2
        assert set(arena.released_on) == {threading.current_thread()}


def test_threads_use_one_provider(arena: Arena) -> None:
    failed: list[Exception] = []

    def work() -> None:
        try:
            for number in range(200):
                with samebytes.View(b"%d" % number, memory) as view:
                    assert bytes(view) == b"%d" % number
        except Exception as error:
            failed.append(error)

    with arena.open() as memory:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert failed == []


def test_what_release_and_retire_raise_goes_to_the_unraisable_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda said: told.append(str(said.exc_value)))

    def release(block: object) -> None:
        raise ValueError("release")

    def retire() -> None:
        raise ValueError("retire")

    with samebytes.Memory.open_callback(lambda size: [bytearray(size)], release, retire) as memory:
        memory.get_block(10).close()
    assert told == ["release", "retire"]


def test_the_provider_lives_until_its_last_block_has_gone(arena: Arena) -> None:
    with arena.open() as memory:
        view = samebytes.View(b"kept", memory)
    assert arena.retired == 0
    assert bytes(view) == b"kept"
    view.close()
    samebytes.memory_drain()
    assert arena.retired == 1


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="reserve: a function is needed, not int"):
        samebytes.Memory.open_callback(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="release: a function is needed"):
        samebytes.Memory.open_callback(list, "release")  # type: ignore[arg-type]


def test_blocks_may_outlive_the_interpreter() -> None:
    code = """
import samebytes
def release(block): print("too late")
memory = samebytes.Memory.open_callback(lambda size: [bytearray(size)], release)
view = samebytes.View(b"never closed", memory)
block = memory.get_block(10)
print("end")
"""
    assert output_of(code) == "end\n"


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_parser_asks_once_and_tells_what_failed(kind: Callable[[bytes], Any]) -> None:
    asked: list[int] = []

    def reserve(size: int) -> list[bytearray]:
        asked.append(size)
        if len(asked) == 1:
            raise OSError("not the first time")
        return [bytearray(size)]

    schema = samebytes.Schema("Text", "request", 1, [("text", "string")])
    with samebytes.Memory.open_callback(reserve) as memory, samebytes.Parser([schema], memory=memory) as parser:
        with pytest.raises(samebytes.ProviderError, match="sb_parser_feed"):
            parser.feed(kind(b"\0"))
        assert len(asked) == 1
        parser.feed(kind(b"\0\0\0\6\1\0\0\0\0\0"))
        assert [row.text for row in parser.parse()] == [b""]
