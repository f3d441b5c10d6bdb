"""Block, View and lent memory as buffers of Python: nobody writes what is immutable, and nobody reads what is gone."""

from __future__ import annotations

import ctypes
import gc
import socket
import weakref
from collections.abc import Iterator

import numpy
import pytest

import samebytes
from samebytes import _objects
from samebytes._backend import layer


@pytest.fixture
def heap() -> Iterator[samebytes.Memory]:
    with samebytes.Memory.open_heap() as memory:
        yield memory


@pytest.fixture
def pieces() -> Iterator[samebytes.View]:
    """Ten bytes in blocks of four."""
    with samebytes.Memory.open_fixed(4) as memory, samebytes.View(b"0123456789", memory) as view:
        assert view.span_count() == 3
        yield view


def test_a_block_is_written_through_a_memoryview(heap: samebytes.Memory) -> None:
    with heap.get_block(16) as block:
        memory = memoryview(block)
        assert (memory.readonly, memory.format, len(memory)) == (False, "B", len(block))
        memory[:5] = b"hello"
        assert bytes(block)[:5] == b"hello"
        assert samebytes._backend.layer.read_bytes(block.data(), 5) == b"hello"
        numpy.frombuffer(block, dtype="u1")[0] = ord("j")
        assert bytes(memory[:5]) == b"jello"
        memory.release()
        gc.collect()


def test_closing_a_block_with_a_memoryview_is_busy(heap: samebytes.Memory) -> None:
    block = heap.get_block(16)
    memory = memoryview(block)
    part = memory[3:5]
    with pytest.raises(samebytes.BusyError, match="this Block has 1 memoryview in use; release them first"):
        block.close()
    with pytest.raises(BufferError):
        samebytes.View.open_block(block, 16)
    with pytest.raises(samebytes.BusyError):
        block.detach()
    memory.release()
    with pytest.raises(samebytes.BusyError):
        block.close()
    assert not block.closed
    part.release()
    block.close()
    with pytest.raises(samebytes.ClosedError):
        memoryview(block)


def test_a_memoryview_keeps_its_memory_alive(heap: samebytes.Memory) -> None:
    before = samebytes.memory_live_blocks()
    memory = memoryview(heap.get_block(16))
    memory[:] = b"x" * len(memory)
    view = memoryview(samebytes.View(b"only this name"))
    gc.collect()
    assert samebytes.memory_live_blocks() == before + 2
    assert (bytes(memory[:3]), bytes(view)) == (b"xxx", b"only this name")
    memory.release()
    view.release()
    assert samebytes.memory_live_blocks() == before


def test_an_adopted_block_that_others_own_is_read_only(heap: samebytes.Memory) -> None:
    with heap.get_block(10) as block:
        other = layer.sb_block_retain(block.address)
        with samebytes.Block.adopt(other) as adopted:
            assert not adopted.is_exclusive()
            with memoryview(adopted) as memory, pytest.raises(TypeError, match="read-only"):
                memory[0] = 1
    with samebytes.Block.adopt(layer.sb_memory_get_block(heap.address, 10)) as adopted, memoryview(adopted) as memory:
        assert adopted.is_exclusive()
        memory[0] = 1


def test_a_shared_block_is_read_only(heap: samebytes.Memory) -> None:
    with heap.get_block(16) as block:
        writable = memoryview(block)
        with pytest.raises(samebytes.BusyError):
            block.retain()
        writable.release()
        with block.retain() as other:
            for owner in (block, other):
                with memoryview(owner) as memory:
                    assert memory.readonly
                with pytest.raises(TypeError, match="not writable"):
                    ctypes.c_char.from_buffer(owner)


def test_a_view_cannot_be_written_in_any_way() -> None:
    with samebytes.View(b"immutable") as view:
        memory = memoryview(view)
        assert memory.readonly
        assert memory.obj is view
        attempts = [
            lambda: memory.__setitem__(0, 1),
            lambda: memoryview(memory.obj).__setitem__(0, 1),
            lambda: memory.cast("b").__setitem__(0, 1),
            lambda: ctypes.c_char.from_buffer(view),
            lambda: numpy.frombuffer(view, dtype="u1").__setitem__(0, 1),
            lambda: setattr(numpy.frombuffer(view, dtype="u1").flags, "writeable", True),
            lambda: socket.socketpair()[0].recv_into(view),
            lambda: samebytes.View(b"source").read_bytes(view),  # type: ignore[arg-type]
        ]
        for attempt in attempts:
            with pytest.raises((TypeError, BufferError, ValueError)):
                attempt()
        gc.collect()
        memory.release()
        assert bytes(view) == b"immutable"


def test_closing_a_view_with_a_memoryview_is_busy() -> None:
    view = samebytes.View(b"abc")
    first, second = memoryview(view), memoryview(view)
    with pytest.raises(samebytes.BusyError, match="this View has 2 memoryviews in use"):
        view.close()
    first.release()
    second.release()
    view.close()
    with pytest.raises(samebytes.ClosedError):
        memoryview(view)


def test_a_memoryview_shows_what_the_view_had_when_it_was_made() -> None:
    with samebytes.View(b"0123456789") as view:
        memory = memoryview(view)
        view.skip(4)
        room = bytearray(6)
        view.read_bytes(room)
        assert (len(view), room, bytes(memory)) == (0, b"456789", b"0123456789")
        memory.release()


def test_a_view_in_pieces_has_to_be_flattened(pieces: samebytes.View) -> None:
    with pytest.raises(
        BufferError, match=r"this View lies in 3 pieces; take a memoryview of view.flatten\(\), or bytes"
    ):
        memoryview(pieces)
    assert bytes(pieces) == b"0123456789"
    with pieces.flatten() as flat:
        assert bytes(memoryview(flat)) == b"0123456789"
        gc.collect()
    with memoryview(pieces.span(1)) as span:
        assert (bytes(span), span.readonly) == (b"4567", True)
    with pytest.raises(samebytes.OutOfRangeError):
        pieces.span(3)


def test_an_empty_view_has_an_empty_memoryview() -> None:
    with samebytes.View(b"") as view, memoryview(view) as memory:
        assert (len(memory), bytes(view), len(view)) == (0, b"", 0)


def test_a_view_is_used_like_bytes(pieces: samebytes.View) -> None:
    text = b"0123456789"
    assert len(pieces) == 10
    assert [pieces[i] for i in (0, 5, -1, -10)] == [text[i] for i in (0, 5, -1, -10)]
    for cut in (slice(None), slice(2, 7), slice(-3, None), slice(8, 100), slice(7, 2), slice(20, 30)):
        with pieces[cut] as part:
            assert bytes(part) == text[cut]
            assert part == text[cut]
    for index in (10, -11):
        with pytest.raises(IndexError):
            pieces[index]
    with pytest.raises(ValueError, match="step 1 only"):
        pieces[::2]
    with pytest.raises(TypeError, match="index: an integer is needed"):
        pieces["1"]
    with samebytes.View(text) as other, samebytes.View(b"other") as different:
        assert pieces == other
        assert pieces == bytearray(text)
        assert pieces != different
        assert pieces != b"012345678"
        assert pieces != "0123456789"
    with pytest.raises(TypeError, match="unhashable"):
        hash(pieces)
    assert list(pieces) == list(text)


def test_room_of_a_buf_is_lent_until_the_next_call() -> None:
    with samebytes.Buf() as buf:
        buf.reserve(8)
        room = buf.begin()
        assert not room.readonly
        room[:3] = b"abc"
        buf.commit(3)
        with pytest.raises(ValueError, match="released memoryview"):
            room[0]
        with buf.peek() as view:
            assert bytes(view) == b"abc"


def test_room_that_is_still_in_use_makes_the_next_call_busy() -> None:
    with samebytes.Buf() as buf:
        buf.reserve(8)
        part = buf.begin()[2:4]
        for call in (lambda: buf.commit(1), lambda: buf.reserve(100), buf.clear, buf.close, buf.detach, buf.begin):
            with pytest.raises(samebytes.BusyError, match="still in use"):
                call()
        part[:] = b"ok"
        part.release()
        buf.commit(1)


def test_lent_memory_keeps_its_lender_alive() -> None:
    before = samebytes.memory_live_blocks()
    buf = samebytes.Buf()
    buf.reserve(8)
    room = buf.begin()
    gone = weakref.ref(buf)
    del buf
    gc.collect()
    room[:] = b"y" * len(room)
    assert gone() is not None
    del room
    gc.collect()
    assert gone() is None
    assert samebytes.memory_live_blocks() == before


def test_a_window_refuses_what_is_no_memory() -> None:
    for arguments in ((0, 1, None), (4096, -1, None)):
        with pytest.raises(ValueError, match="a window needs an address"):
            _objects.Window(*arguments)
    for arguments in (("x", 1, None), (1.5, 1, None)):
        with pytest.raises(TypeError):
            _objects.Window(*arguments)
    window = _objects.Window(0, 0, None)
    assert bytes(window) == b""
    window.end()
    with pytest.raises(samebytes.ClosedError, match="no longer lent"):
        memoryview(window)


def test_types_in_c_are_freed_with_what_they_hold() -> None:
    owner = samebytes.View(b"abc")
    gone = weakref.ref(owner)
    window = _objects.Window(4096, 4, [owner])
    cycle = [window]
    _objects.Window(4096, 4, cycle)
    del owner, window, cycle
    gc.collect()
    assert gone() is None


def test_a_bare_exporter_of_the_extension_has_nothing_to_show() -> None:
    with pytest.raises(AttributeError, match="_lock"):
        memoryview(_objects.View())
    with pytest.raises(samebytes.ClosedError):
        memoryview(_objects.Block())
