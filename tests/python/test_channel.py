"""Channels in Python: what is sent between two ends, waiting beside other threads, and a peer that lies.

Exchange between processes of all languages is in tests/exchange.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import resource
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

import samebytes

Ends = tuple[samebytes.Channel, samebytes.Channel]


@pytest.fixture
def memory() -> Iterator[samebytes.Memory]:
    with samebytes.Memory.open_shared(0, 0) as shared:
        yield shared


@pytest.fixture
def ends() -> Iterator[Ends]:
    left, right = socket.socketpair()
    with left, right, samebytes.Channel(left) as a, samebytes.Channel(right.fileno()) as b:
        left.close()
        right.close()
        yield a, b


def test_a_view_arrives_read_only_and_a_block_writable(ends: Ends, memory: samebytes.Memory) -> None:
    a, b = ends
    with samebytes.View(b"to be read", memory) as view, memory.get_block(4096) as block:
        a.send_view(view, 7)
        a.send_block(block, 6, tag=8)
        got, tag = b.receive()
        assert isinstance(got, samebytes.View)
        assert (bytes(got), tag) == (b"to be read", 7)
        with got.span(0) as shown:
            assert shown.readonly
        assert b.next() == (samebytes.ARRIVAL_BLOCK, 8)
        with pytest.raises(samebytes.UnsupportedError, match="a block comes next, not a view"):
            b.receive_view()
        theirs, tag = b.receive()
        assert isinstance(theirs, samebytes.Block)
        assert (len(theirs), tag) == (6, 8)
        with memoryview(theirs) as written, memoryview(block) as seen:
            written[:] = b"answer"
            assert bytes(seen[:6]) == b"answer"
            seen[:3] = b"ANS"
            assert bytes(written) == b"ANSwer"
        with pytest.raises(samebytes.BusyError):
            a.send_block(block)
        with pytest.raises(samebytes.TimeoutError):
            a.wait_done(5)
        assert a.pin_count() == 2
        got.close()
        theirs.close()
        a.wait_done()
        assert a.pin_count() == 0


def test_waiting_does_not_keep_others_from_the_channel(ends: Ends, memory: samebytes.Memory) -> None:
    a, b = ends
    received: list[bytes] = []

    def receive() -> None:
        for _ in range(50):
            with b.receive_view() as view:
                received.append(bytes(view))

    thread = threading.Thread(target=receive)
    thread.start()
    with samebytes.View(b"from b", memory) as back:
        for number in range(50):
            b.send_view(back, timeout_ms=1000)  # while the other thread waits at the same channel
            a.receive_view(1000).close()
            with samebytes.View(b"%d" % number, memory) as view:
                a.send_view(view, timeout_ms=1000)
    thread.join(10)
    assert received == [b"%d" % number for number in range(50)]


def test_close_ends_what_waits(ends: Ends) -> None:
    raised: list[BaseException] = []

    def receive() -> None:
        try:
            ends[0].receive_view()
        except samebytes.SamebytesError as error:
            raised.append(error)

    thread = threading.Thread(target=receive)
    thread.start()
    time.sleep(0.05)
    ends[0].close()
    thread.join(10)
    assert [type(error) for error in raised] == [samebytes.ClosedError]


def test_a_signal_interrupts_what_waits(ends: Ends) -> None:
    class Rung(Exception):
        pass

    def ring(*_: object) -> None:
        raise Rung

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Rung):
            ends[0].receive_view()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_timeouts_end_in_time(ends: Ends) -> None:
    for timeout_ms in (0, 30):
        start = time.monotonic()
        with pytest.raises(samebytes.TimeoutError, match="the peer sent nothing in time"):
            ends[0].receive_view(timeout_ms)
        assert timeout_ms / 1000 <= time.monotonic() - start < 10
    with pytest.raises(OverflowError, match="timeout_ms"):
        ends[0].next(2**63)


def test_who_waits_long_sleeps(ends: Ends) -> None:
    used = time.thread_time()
    for _ in range(2):
        with pytest.raises(samebytes.TimeoutError):
            ends[0].receive_view(200)
    assert time.thread_time() - used < 0.1


def test_an_event_loop_waits_for_the_descriptor(ends: Ends, memory: samebytes.Memory) -> None:
    async def exchange() -> bytes:
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()
        loop.add_reader(ends[1].fileno(), lambda: arrived.done() or arrived.set_result(None))
        with samebytes.View(b"async", memory) as view:
            ends[0].send_view(view)
        await asyncio.wait_for(arrived, 10)
        loop.remove_reader(ends[1].fileno())
        with ends[1].receive_view(0) as got:
            return bytes(got)

    assert asyncio.run(exchange()) == b"async"


def test_what_was_received_outlives_the_channel_and_memoryviews_keep_it(ends: Ends, memory: samebytes.Memory) -> None:
    a, b = ends
    with samebytes.View(b"kept", memory) as view:
        a.send_view(view)
    got = b.receive_view()
    shown = got.span(0)
    got.close()
    b.close()
    assert a.pin_count() == 1
    assert bytes(shown) == b"kept"
    shown.release()
    a.wait_done(1000)


def test_a_peer_that_is_gone_is_told(ends: Ends, memory: samebytes.Memory) -> None:
    ends[1].close()
    with pytest.raises(samebytes.UnavailableError, match="the peer has ended the socket"):
        ends[0].receive_view()
    with samebytes.View(b"x", memory) as view, pytest.raises(samebytes.UnavailableError):
        ends[0].send_view(view)


def test_bytes_that_are_not_shared_are_refused(ends: Ends) -> None:
    with samebytes.View(b"heap") as view, pytest.raises(samebytes.UnsupportedError, match="span 0 is not in memory"):
        ends[0].send_view(view)


def test_a_socket_that_cannot_be_a_channel_is_refused() -> None:
    with socket.socket() as internet, pytest.raises(samebytes.InvalidArgumentError, match="no connected Unix stream"):
        samebytes.Channel(internet)


def test_a_forked_child_cannot_use_its_parents_channel(ends: Ends) -> None:
    child = os.fork()
    if child == 0:
        try:
            ends[0].receive_view(0)
        except samebytes.ClosedError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---- a peer that lies: it is not made of the library, and speaks the protocol of docs/exchange.md by itself ----

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
SEGMENT, SPAN, DONE, END, FILES = 1, 2, 3, 4, 5
VIEW, BLOCK = 1, 2
SIZE = 65536


def record(
    kind: int,
    *,
    mode: int = VIEW,
    more: int = 0,
    slot: int = 0,
    pin: int = 0,
    size: int = 0,
    offset: int = 0,
    magic: bytes = b"SBX1",
    zero: int = 0,
) -> bytes:
    return magic + struct.pack("<4B7Q", kind, mode, more, 0, slot, pin, size, offset, 0, 0, zero)


ANNOUNCEMENT = b"".join(
    record(FILES, mode=0, size=ahead) for ahead in range(32, -1, -1)
)  # of descriptors that come next


def memfd(size: int = SIZE, seals: int = SEALS, flags: int = os.MFD_ALLOW_SEALING) -> int:
    file = os.memfd_create("liar", flags)
    os.ftruncate(file, size)
    os.pwrite(file, b"liar", 0)
    if seals:
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    return file


class Liar:
    """The other end of a channel."""

    def __init__(self, **options: int) -> None:
        self.socket, other = socket.socketpair()
        with other:
            self.channel = samebytes.Channel(other, **options)
        self.files: list[int] = []

    def say(self, *records: bytes, files: tuple[int, ...] = ()) -> None:
        """Say *records*, with *files*, which it announces first."""
        self.files += files
        if files:
            self.socket.sendall(ANNOUNCEMENT)
            socket.send_fds(self.socket, [b"".join(records)], files)
        else:
            self.socket.sendall(b"".join(records))

    def close(self) -> None:
        self.channel.close()
        self.socket.close()
        for file in self.files:
            os.close(file)


@pytest.fixture
def liar() -> Iterator[Liar]:
    found = Liar(bytes_max=1 << 20)
    yield found
    found.close()


GOOD = record(SEGMENT, size=SIZE)
GOOD_SPAN = record(SPAN, size=4)


def test_a_peer_that_keeps_the_protocol_is_believed(liar: Liar) -> None:
    """What the refusals below differ from in one thing each."""
    liar.say(GOOD + GOOD_SPAN, files=(memfd(),))
    with liar.channel.receive_view(1000) as view:
        assert bytes(view) == b"liar"
    assert liar.socket.recv(64) == record(DONE, mode=0)
    block = record(SEGMENT, mode=BLOCK, slot=63, size=SIZE) + record(SPAN, mode=BLOCK, slot=63, pin=9, size=4)
    liar.say(block[:1], files=(memfd(),))
    for byte in block[1:]:  # in any portions
        liar.say(bytes([byte]))
    with liar.channel.receive_block(1000) as got:
        assert bytes(got) == b"liar"
    assert liar.socket.recv(64) == record(DONE, mode=0, pin=9)


def pipe_end() -> int:
    read, write = os.pipe()
    os.close(write)
    return read


def read_only() -> int:
    file = memfd()
    reopened = os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
    os.close(file)
    return reopened


LIES = {
    "not sealed": ("seals", lambda: (GOOD, memfd(seals=0))),
    "not sealed against shrinking": ("seals", lambda: (GOOD, memfd(seals=SEALS & ~fcntl.F_SEAL_SHRINK))),
    "not sealed against seals": ("seals", lambda: (GOOD, memfd(seals=SEALS & ~fcntl.F_SEAL_SEAL))),
    "cannot be sealed": ("seals", lambda: (GOOD, memfd(seals=0, flags=0))),
    "a pipe": ("fd", lambda: (GOOD, pipe_end())),
    "the folder": ("fd", lambda: (GOOD, os.open("/", os.O_RDONLY))),
    "a device": ("fd", lambda: (GOOD, os.open("/dev/zero", os.O_RDWR))),
    "only for reading": ("fd", lambda: (record(SEGMENT, mode=BLOCK, size=SIZE), read_only())),
    "no descriptor": ("fd", lambda: (GOOD,)),
    "two descriptors": ("fd", lambda: (GOOD + GOOD_SPAN, memfd(), memfd())),
    "too many descriptors": ("fd", lambda: (GOOD, *(memfd() for _ in range(33)))),
    "a descriptor and no segment": ("fd", lambda: (record(DONE, mode=0), memfd())),
    "larger than it is": ("size", lambda: (record(SEGMENT, size=SIZE + 1), memfd())),
    "smaller than it is": ("size", lambda: (record(SEGMENT, size=4096), memfd())),
    "empty": ("size", lambda: (record(SEGMENT, size=0), memfd(0))),
    "slot that does not exist": ("slot", lambda: (record(SEGMENT, slot=64, size=SIZE), memfd())),
    "slot of 64 bits": ("slot", lambda: (record(SEGMENT, slot=1 << 32, size=SIZE), memfd())),
    "bytes of an empty slot": ("slot", lambda: (GOOD + record(SPAN, slot=1, size=4), memfd())),
    "bytes of no slot": ("slot", lambda: (record(SPAN, slot=1 << 40, size=4),)),
    "offset past the end": ("offset", lambda: (GOOD + record(SPAN, offset=SIZE + 1, size=1), memfd())),
    "offset that overflows": ("offset", lambda: (GOOD + record(SPAN, offset=2**64 - 1, size=2), memfd())),
    "block at an odd offset": (
        "offset",
        lambda: (record(SEGMENT, mode=BLOCK, size=SIZE) + record(SPAN, mode=BLOCK, offset=1, size=4), memfd()),
    ),
    "length past the end": ("length", lambda: (GOOD + record(SPAN, offset=8, size=SIZE - 7), memfd())),
    "length that overflows": ("length", lambda: (GOOD + record(SPAN, offset=8, size=2**64 - 8), memfd())),
    "no length": ("length", lambda: (GOOD + record(SPAN, size=0), memfd())),
    "block of a segment for reading": ("mode", lambda: (GOOD + record(SPAN, mode=BLOCK, size=4), memfd())),
    "no such mode": ("mode", lambda: (GOOD + record(SPAN, mode=3, size=4), memfd())),
    "too many spans": ("more", lambda: (GOOD + record(SPAN, more=1, size=4) * 16, memfd())),
    "more of a block": (
        "more",
        lambda: (record(SEGMENT, mode=BLOCK, size=SIZE) + record(SPAN, mode=BLOCK, more=1, size=4), memfd()),
    ),
    "a pin that never was": ("pin", lambda: (record(DONE, mode=0, pin=1),)),
    "a pin far away": ("pin", lambda: (record(DONE, mode=0, pin=2**64 - 1),)),
    "another protocol": ("record", lambda: (b"GET / HTTP/1.1\r\n".ljust(64),)),
    "a newer version": ("record", lambda: (record(DONE, mode=0, magic=b"SBX2"),)),
    "an unknown kind": ("record", lambda: (record(6),)),
    "an announcement from the middle": ("record", lambda: (record(FILES, mode=0, size=31),)),
    "an announcement that jumps": ("record", lambda: (ANNOUNCEMENT[:128] + ANNOUNCEMENT[192:],)),
    "an announcement that is broken off": ("record", lambda: (ANNOUNCEMENT[:128] + record(DONE, mode=0),)),
    "two announcements": ("record", lambda: (ANNOUNCEMENT[:-64] + ANNOUNCEMENT,)),
    "something where nothing belongs": ("record", lambda: (record(SPAN, size=4, zero=1),)),
}


def receive_all(channel: samebytes.Channel) -> None:
    while True:
        channel.receive_view(1000).close()


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_by_what_is_wrong(liar: Liar, lie: str) -> None:
    wrong, make = LIES[lie]
    said, *files = make()
    files_before = len(os.listdir("/proc/self/fd"))
    liar.say(said, files=tuple(files))  # type: ignore[arg-type]
    with pytest.raises(samebytes.CorruptError) as refused:
        receive_all(liar.channel)
    assert refused.value.field == wrong
    with pytest.raises(samebytes.CorruptError):
        liar.channel.next()
    assert len(os.listdir("/proc/self/fd")) == files_before, "a descriptor stayed open"
    liar.channel.close()
    heard = b""
    while more := liar.socket.recv(4096):  # what was received before the lie is done; then the socket has ended
        heard += more
    assert record(END, mode=0) in heard


def test_a_descriptor_that_was_not_announced_is_a_lie(liar: Liar) -> None:
    files_before = len(os.listdir("/proc/self/fd"))
    file = memfd()
    socket.send_fds(liar.socket, [GOOD + GOOD_SPAN], [file])
    os.close(file)
    with pytest.raises(samebytes.CorruptError, match="did not announce") as refused:
        liar.channel.next(1000)
    assert refused.value.field == "fd"
    assert len(os.listdir("/proc/self/fd")) == files_before


def test_what_is_shown_keeps_its_memory_when_the_receiver_ends_the_channel(memory: samebytes.Memory) -> None:
    left, right = socket.socketpair()
    with left, right:
        sender, receiver = samebytes.Channel(left), samebytes.Channel(right, bytes_max=3 << 20)
    with sender, receiver, samebytes.Memory.open_shared(8 << 20, 0) as large:
        with samebytes.View(b"A" * 3000, memory) as view, samebytes.View(b"B", large) as other:
            sender.send_view(view)
            sender.send_view(other)
        with receiver.receive_view(1000) as shown:
            with pytest.raises(samebytes.TooLargeError):
                receiver.receive_view(1000)
            assert sender.pin_count() == 2
            with samebytes.View(b"Z" * 3000, memory):
                assert bytes(shown) == b"A" * 3000
        assert sender.pin_count() == 1
        with pytest.raises(samebytes.UnavailableError, match="ended the channel"):
            sender.receive_view()


def test_the_own_limit_of_descriptors_is_an_error_of_the_call(ends: Ends, memory: samebytes.Memory) -> None:
    a, b = ends
    with samebytes.View(b"not lost", memory) as view:
        a.send_view(view, 5)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    files: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                files.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(2):
            with pytest.raises(samebytes.IoError, match="descriptors that the peer sent") as refused:
                b.receive()
            assert refused.value.system_error == errno.EMFILE
        with pytest.raises(samebytes.IoError, match="memfd_create, for a segment") as refused:
            memory.get_block(16 << 20)
        assert refused.value.system_error == errno.EMFILE
        with pytest.raises(samebytes.IoError), samebytes.Memory.open_shared(0, 0) as other:
            samebytes.View(b"x", other)
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    got, tag = b.receive(1000)
    with got:
        assert (bytes(got), tag) == (b"not lost", 5)


def test_closing_behind_a_backlog_of_a_dead_peer_leaves_nothing(memory: samebytes.Memory) -> None:
    files_before = len(os.listdir("/proc/self/fd"))
    blocks_before = samebytes.memory_live_blocks()
    left, right = socket.socketpair()
    with left, right:
        sender, receiver = samebytes.Channel(left), samebytes.Channel(right)
    with samebytes.View(b"x", memory) as view:
        for number in range(100):
            sender.send_view(view, number)
    receiver.next(1000)
    sender.close()
    receiver.close()
    memory.close()
    assert samebytes.memory_live_blocks() == blocks_before
    assert len(os.listdir("/proc/self/fd")) == files_before


def test_what_came_before_a_lie_is_delivered(liar: Liar) -> None:
    liar.say(GOOD + GOOD_SPAN + GOOD_SPAN + record(SPAN, slot=5, size=1), files=(memfd(),))
    views = [liar.channel.receive_view(1000), liar.channel.receive_view(1000)]
    with pytest.raises(samebytes.CorruptError):
        liar.channel.receive_view(1000)
    for view in views:
        assert bytes(view) == b"liar"
        view.close()


def test_a_slot_in_use_is_not_replaced(liar: Liar) -> None:
    liar.say(GOOD + GOOD_SPAN, files=(memfd(),))
    with liar.channel.receive_view(1000) as view:
        liar.say(GOOD, files=(memfd(),))
        with pytest.raises(samebytes.CorruptError) as refused:
            liar.channel.next(1000)
        assert refused.value.field == "slot"
        assert bytes(view) == b"liar"


def test_a_pin_is_done_once(memory: samebytes.Memory) -> None:
    liar = Liar()
    with samebytes.View(b"x", memory) as view:
        liar.channel.send_view(view)
    assert liar.socket.recv(len(ANNOUNCEMENT)) == ANNOUNCEMENT
    said, files, _, _ = socket.recv_fds(liar.socket, 128, 4)
    liar.files += files
    pin = struct.unpack_from("<Q", said, 64 + 16)[0]
    liar.say(record(DONE, mode=0, pin=pin))
    liar.channel.wait_done(1000)
    liar.say(record(DONE, mode=0, pin=pin))
    with pytest.raises(samebytes.CorruptError, match="which it does not have") as refused:
        liar.channel.next(1000)
    assert refused.value.field == "pin"
    liar.close()


def test_the_peer_maps_no_more_than_it_may(liar: Liar) -> None:
    for slot in range(2):
        size = 1 << 19
        liar.say(record(SEGMENT, slot=slot, size=size) + record(SPAN, slot=slot, size=4), files=(memfd(size),))
        liar.channel.receive_view(1000).close()
    liar.say(record(SEGMENT, slot=1, size=4096), files=(memfd(4096),))  # in place of another one
    liar.say(record(SEGMENT, slot=2, size=1 << 19), files=(memfd(1 << 19),))
    with pytest.raises(samebytes.TooLargeError, match="bytes_max") as refused:
        liar.channel.next(1000)
    assert refused.value.field == "size"


def test_more_messages_than_anybody_receives_stay_in_the_socket(liar: Liar) -> None:
    liar.socket.setblocking(False)
    liar.say(GOOD, files=(memfd(),))
    sent = 0
    try:
        for _ in range(100_000):
            liar.socket.send(GOOD_SPAN)
            sent += 1
            if sent % 64 == 0:
                liar.channel.pin_count()  # takes what the queue has room for
    except BlockingIOError:
        pass
    assert 64 < sent < 100_000, "the queue is bounded"
    for _ in range(sent):
        liar.channel.receive_view(1000).close()
        with contextlib.suppress(BlockingIOError):
            liar.socket.recv(65536)
