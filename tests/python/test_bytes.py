"""Views and bufs as Python uses them: numbers, pieces for the kernel, files, memory of other objects."""

from __future__ import annotations

import array
import ctypes
import gc
import io
import mmap
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator

import numpy
import pytest

import samebytes
from samebytes import ORDER_BIG, ORDER_LITTLE, _objects
from samebytes._backend import layer

TEXT = b"0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(params=[1, 2, 3, 7, 64])
def memory(request: pytest.FixtureRequest) -> Iterator[samebytes.Memory]:
    with samebytes.Memory.open_fixed(request.param) as fixed:
        yield fixed


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    gc.collect()
    before = samebytes.memory_live_blocks(), samebytes.release_foreign()
    yield
    gc.collect()
    assert (samebytes.memory_live_blocks(), samebytes.release_foreign()) == before


def view_of(data: bytes, memory: samebytes.Memory) -> samebytes.View:
    return samebytes.View(data, memory)


# ---- numbers ----


@pytest.mark.parametrize(("order", "mark"), [(ORDER_BIG, ">"), (ORDER_LITTLE, "<")])
def test_numbers_are_those_of_struct(memory: samebytes.Memory, order: int, mark: str) -> None:
    integers = [
        (size, value) for size in (1, 2, 4, 8) for value in (0, 1, -1, (1 << 8 * size - 1) - 1, -(1 << 8 * size - 1))
    ]
    floats = [(size, value) for size in (4, 8) for value in (0.0, -0.0, 0.5, -1e30, float("inf"))]
    with samebytes.Buf(memory) as buf:
        buf.reserve(300)
        for size, value in integers:
            buf.put_int(value, size, order)
        for size, real in floats:
            buf.put_float(real, size, order)
        with buf.take(buf.size()) as view:
            codes = {1: "b", 2: "h", 4: "i", 8: "q"}
            wanted = [struct.pack(mark + codes[size], value) for size, value in integers]
            wanted += [struct.pack(mark + {4: "f", 8: "d"}[size], real) for size, real in floats]
            assert bytes(view) == b"".join(wanted)
            assert view.peek_int(5, 2, order) == struct.unpack(mark + "h", bytes(view)[5:7])[0]
            for size, value in integers:
                assert view.read_int(size, order) == value
            for (size, _), packed in zip(floats, wanted[len(integers) :], strict=True):
                assert struct.pack(mark + {4: "f", 8: "d"}[size], view.peek_float(0, size, order)) == packed
                assert view.read_float(size, order) == struct.unpack(mark + {4: "f", 8: "d"}[size], packed)[0]
            assert view.size() == 0


def test_wrong_numbers_are_refused_and_change_nothing() -> None:
    with samebytes.Buf() as buf:
        buf.reserve(100)
        buf.put_repeated(7, 3)
        for refused, call in (
            (samebytes.InvalidArgumentError, lambda: buf.put_int(1, 3, ORDER_BIG)),
            (samebytes.InvalidArgumentError, lambda: buf.put_int(1, 4, 2)),
            (samebytes.OutOfRangeError, lambda: buf.put_int(128, 1, ORDER_BIG)),
            (OverflowError, lambda: buf.put_int(1 << 63, 8, ORDER_BIG)),
            (samebytes.OutOfRangeError, lambda: buf.put_float(1e300, 4, ORDER_BIG)),
            (TypeError, lambda: buf.put_float("1", 4, ORDER_BIG)),  # type: ignore[arg-type]
            (TypeError, lambda: buf.put_int(1.0, 4, ORDER_BIG)),  # type: ignore[arg-type]
            (OverflowError, lambda: buf.put_byte(256)),
            (OverflowError, lambda: buf.put_repeated(0, -1)),
        ):
            with pytest.raises(refused):
                call()
        with buf.take(3) as view:
            with pytest.raises(samebytes.OutOfRangeError):
                view.read_int(4, ORDER_BIG)
            assert bytes(view) == b"\7\7\7"


# ---- order, hash, concatenation ----


def test_order_and_hash_ignore_how_bytes_are_cut(memory: samebytes.Memory) -> None:
    with view_of(TEXT, memory) as cut, samebytes.View(TEXT) as whole, samebytes.View(TEXT[:-1]) as shorter:
        assert (cut <= whole) and (cut >= whole) and not cut < whole and not cut > whole
        assert (shorter < cut) and (cut > shorter) and cut.compare(shorter) == 1
        assert cut.hash(1) == whole.hash(1) != shorter.hash(1)
        with pytest.raises(TypeError):
            cut < TEXT  # noqa: B015
        with cut + shorter as both:
            assert bytes(both) == TEXT + TEXT[:-1]
        with samebytes.View.open_concat([cut, cut, whole]) as all_:
            assert bytes(all_) == TEXT * 3


# ---- files ----


def test_a_view_is_read_as_a_file(memory: samebytes.Memory) -> None:
    with view_of(TEXT, memory) as view:
        assert view.read(3) == TEXT[:3]
        room = bytearray(5)
        assert view.readinto(room) == 5 and room == TEXT[3:8]
        numbers = array.array("i", [0, 0])
        assert view.readinto(numbers) == 8 and numbers.tobytes() == TEXT[8:16]
        assert view.read() == TEXT[16:]
        assert view.read(5) == b"" and view.readinto(room) == 0


def test_the_file_of_a_view_seeks_and_leaves_the_view(memory: samebytes.Memory) -> None:
    view = view_of(TEXT, memory)
    with view.file() as file:
        view.close()
        assert file.readable() and file.seekable() and not file.writable()
        assert file.read(4) == TEXT[:4]
        assert file.seek(-3, os.SEEK_END) == len(TEXT) - 3 and file.read() == TEXT[-3:]
        assert file.seek(100) == 100 and file.read(1) == b""
        with pytest.raises(ValueError, match="position would be -1"):
            file.seek(-1)
        file.seek(0)
        with io.BufferedReader(file, 7) as buffered:
            assert buffered.read(10) == TEXT[:10]
            assert buffered.readline() == TEXT[10:]
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_a_file_is_written_into_a_buf(memory: samebytes.Memory) -> None:
    with samebytes.Buf(memory) as buf:
        with io.BufferedWriter(buf.file(), 5) as file:
            file.write(TEXT)
            file.write(array.array("h", [1, 2]))
        assert buf.write(b"end") == 3
        with buf.peek() as view:
            assert bytes(view) == TEXT + array.array("h", [1, 2]).tobytes() + b"end"
        with pytest.raises(ValueError, match="closed"):
            file.write(b"")


# ---- pieces for the kernel ----


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_pieces_go_through_a_socket(memory: samebytes.Memory, family: int) -> None:
    near, far = socket_pair(family)
    payload = os.urandom(20_000)
    with near, far, view_of(payload, memory) as view, samebytes.Buf(memory) as buf:
        sender = threading.Thread(target=send_all, args=(near, view))
        sender.start()
        while buf.size() < len(payload):
            with buf.writing(min(3000, len(payload) - buf.size())) as room:
                room.commit(far.recvmsg_into(room.pieces)[0])
        sender.join()
        with buf.take(buf.size()) as got:
            assert bytes(got) == payload


def socket_pair(family: int) -> tuple[socket.socket, socket.socket]:
    if family == socket.AF_UNIX:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        return near, server.accept()[0]


def send_all(connection: socket.socket, view: samebytes.View) -> None:
    while view.size():
        view.skip(connection.sendmsg(view.get_iovec()))


def test_pieces_keep_their_bytes_and_cannot_be_written(memory: samebytes.Memory) -> None:
    view = view_of(TEXT, memory)
    pieces = view.get_iovec(5, 3)
    view.skip(10)
    view.close()
    gc.collect()
    assert TEXT[5:].startswith(b"".join(pieces))
    for piece in (*pieces, *(memoryview(piece.obj) for piece in pieces)):
        assert piece.readonly
        with pytest.raises(TypeError):
            piece[0] = 1
        with pytest.raises(TypeError, match="not writable"):
            (ctypes.c_char * len(piece)).from_buffer(piece)
        shown = numpy.frombuffer(piece, dtype="u1")
        with pytest.raises(ValueError, match="WRITEABLE"):
            shown.setflags(write=True)
        del shown
    del piece


def test_lent_pieces_end_with_the_next_call() -> None:
    with samebytes.Memory.open_fixed(4) as memory, samebytes.Buf(memory) as buf:
        buf.reserve(10)
        pieces = buf.begin_iovec(2)
        assert [len(piece) for piece in pieces] == [4, 4]
        pieces[0][:] = b"0123"
        pieces[1][:1] = b"w"
        part = pieces[1][1:]
        part[:] = b"xyz"
        with pytest.raises(samebytes.BusyError):
            buf.commit(8)
        assert part.tobytes() == b"xyz"
        part.release()
        buf.commit(8)
        with pytest.raises(ValueError, match="released"):
            pieces[0][0] = 1
        with buf.peek() as view:
            assert bytes(view) == b"0123wxyz"
        with pytest.raises(samebytes.OutOfRangeError):
            buf.begin_iovec(0)


def test_writing_that_is_not_committed_fills_nothing() -> None:
    with samebytes.Buf() as buf:
        with buf.writing(100) as room:
            room.memory[:4] = b"lost"
        assert buf.size() == 0 and buf.room() >= 100
        with pytest.raises(KeyError), buf.writing(100) as room:
            raise KeyError
        with buf.writing(100) as room:
            room.memory[:4] = b"kept"
            with pytest.raises(samebytes.OutOfRangeError):
                room.commit(1 << 40)
        assert buf.size() == 0
        with buf.writing(100) as room:
            room.memory[:4] = b"kept"
            room.commit(4)
        with buf.split_room(10) as other:
            assert other.room() == 10
            other.put(b"apart")
        with buf.take(4) as view:
            assert bytes(view) == b"kept"


def test_a_pin_keeps_bytes_at_their_address() -> None:
    view = samebytes.View(b"pinned")
    address, size = layer.sb_view_span(view.address, 0)
    pin = view.pin(0)
    view.close()
    assert layer.read_bytes(address, size) == b"pinned"
    pin.close()


# ---- memory of other objects ----


def test_any_buffer_is_shown_without_a_copy() -> None:
    for value in (
        b"bytes",
        bytearray(b"bytearray"),
        array.array("i", [1, 2, 3]),
        numpy.arange(7),
        memoryview(b"memoryview"),
    ):
        with samebytes.View.open_foreign(value) as view:
            place = numpy.frombuffer(value, dtype="u1").ctypes.data
            assert layer.sb_view_span(view.address, 0)[0] == place
            assert bytes(view) == bytes(value)
            shown = memoryview(view)
            assert shown.readonly and memoryview(shown.obj).readonly
            shown.release()
    with samebytes.View.open_foreign(b"") as view:
        assert len(view) == 0
    with pytest.raises(TypeError):
        samebytes.View.open_foreign(5)  # type: ignore[arg-type]
    with pytest.raises(BufferError, match="one behind the other"):
        samebytes.View.open_foreign(memoryview(TEXT)[::2])


def test_memory_is_exported_until_the_last_view_has_gone() -> None:
    value = bytearray(TEXT)
    view = samebytes.View.open_foreign(value)
    part = view[3:6]
    view.close()
    with pytest.raises(BufferError):
        value.append(1)
    with samebytes.Buf() as buf:
        buf.put_view(part)
        part.close()
        assert samebytes.release_foreign() > 0
        with pytest.raises(BufferError):
            value.append(1)
    value.append(1)


def test_a_map_is_shown_and_closed_again() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(TEXT)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with samebytes.View.open_foreign(mapped) as view:
            assert bytes(view) == TEXT
            with pytest.raises(BufferError):
                mapped.close()
        mapped.close()


class Counted(bytearray):
    gone = 0

    def __del__(self) -> None:
        type(self).gone += 1


def test_the_collector_lets_go_once() -> None:
    Counted.gone = 0
    view = samebytes.View.open_foreign(Counted(TEXT))
    loop = [view]
    loop.append(loop)  # type: ignore[arg-type]
    del view, loop
    gc.collect()
    samebytes.release_foreign()
    assert Counted.gone == 1


def test_a_thread_of_c_gives_memory_back_and_python_lets_go_later() -> None:
    """ctypes runs the function of C on a thread that Python does not know."""
    Counted.gone = 0
    library = ctypes.CDLL(_objects.library_path())
    threads = ctypes.CDLL(None)
    address = samebytes.View.open_foreign(Counted(TEXT)).detach()
    close = ctypes.cast(library.sb_view_close, ctypes.c_void_p)
    thread = ctypes.c_ulong()
    assert threads.pthread_create(ctypes.byref(thread), None, close, ctypes.c_void_p(address)) == 0
    assert threads.pthread_join(thread, None) == 0
    assert Counted.gone == 0
    samebytes.release_foreign()
    assert Counted.gone == 1


def test_many_threads_open_and_close() -> None:
    Counted.gone = 0

    def work() -> None:
        for _ in range(200):
            with samebytes.View.open_foreign(Counted(b"x")) as view:
                assert bytes(view) == b"x"

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    samebytes.release_foreign()
    assert Counted.gone == 800


EXIT = """
import os, sys, threading
import samebytes
views = [samebytes.View.open_foreign(bytearray(b"alive")) for _ in range(3)]
pieces = views[0].get_iovec()
shown = memoryview(views[1])
if sys.argv[1] == "fork":
    child = os.fork()
    if child == 0:
        views[2].close()
        assert samebytes.release_foreign() == 2
        assert bytes(views[1]) == b"alive"
    else:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert samebytes.release_foreign() == 3
print("end")
"""


@pytest.mark.parametrize("how", ["exit", "fork"])
def test_the_end_of_the_interpreter_finds_views_open(how: str) -> None:
    run = subprocess.run([sys.executable, "-X", "dev", "-c", EXIT, how], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("end")
