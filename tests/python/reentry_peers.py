"""Connections for the table of reentry.py: a blocking client whose server is a thread, and both ends of samebytes.aio on a loop.

Whatever runs in the middle, a call is answered rightly or raises, and its bytes reach the peer whole and in order: what is not so is kept
as a failure, which the end of a World raises. So is a call that waits for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import threading
from collections.abc import Coroutine, Iterable
from typing import Any

import samebytes
from samebytes import aio, client

from . import peers
from .peers import reference

VALUES = (5, b"s", [1], b"b")
SAID = 0, 5  # what an integer of reentry.py is more than it is, when it is asked first, and later
METADATA = [1], [6]
HANG_S = 20
BESIDE_MAX = 4  # calls that a call is interrupted by, where a collection would begin them without end


def check(row: Any, timestamp: int = 5) -> None:
    """The row answers the request that had this time stamp, as I() said it first or later."""
    got = row.id - 7, row.timestamp - timestamp, row.subject, row.body
    assert got[0] in SAID and got[1] in SAID and got[2:] == (b"s", b"b"), f"a wrong answer: {row!r}"


def answer(request: Any) -> dict[str, Any]:
    return {"id": 7, "timestamp": request.timestamp, "subject": request.subject, "body": request.body}


class Peer:
    """The server of blocking clients: answers each request by the independent codec, and keeps what is wrong with the bytes."""

    def __init__(self, connections: Iterable[socket.socket]) -> None:
        self.failures: list[BaseException] = []
        self.thread = threading.Thread(target=self.run, args=(connections,), daemon=True)
        self.thread.start()

    def run(self, connections: Iterable[socket.socket]) -> None:
        try:
            for connection in connections:
                with contextlib.suppress(OSError), connection:
                    self.serve(connection)
        except BaseException as error:
            self.failures.append(error)

    def serve(self, connection: socket.socket) -> None:
        data = b""
        while more := connection.recv(65536):
            data += more
            while len(data) >= 4 and len(data) >= (end := 4 + int.from_bytes(data[:4], "big")):
                (row,) = reference.decode(data[:end], [reference.ECHO_REQUEST]).rows
                timestamp, subject, metadata, body = row.values
                assert (subject, body) == (b"s", b"b") and list(metadata) in METADATA, f"a wrong request: {row.values}"
                connection.sendall(reference.encode(reference.ECHO_RESPONSE, row.sequence, (7, timestamp, b"s", b"b")))
                data = data[end:]

    def end(self) -> None:
        self.thread.join(HANG_S)
        assert not self.thread.is_alive(), "the client did not end the connection"
        for failure in self.failures:
            raise failure


def blocking_client(world: Any) -> client.Client:
    near, far = socket.socketpair()
    world.ends.append(Peer([far]).end)
    return client.Client(near, world.pair, timeout=HANG_S)


class Loop:
    """An event loop, and the coroutines that run on it."""

    def __init__(self, allowed: tuple[type[BaseException], ...]) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self.told)
        self.allowed = allowed
        self.thread = threading.get_ident()
        self.busy = False
        self.opened: list[End] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.failures: list[BaseException] = []

    def told(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or not isinstance(error, self.allowed) or isinstance(error, samebytes.errors.TimeoutError):
            self.failures.append(error or AssertionError(context["message"]))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """To its end; in the middle of that, beside what runs."""
        if self.busy:
            if len(self.tasks) < BESIDE_MAX:
                self.tasks.append(self.loop.create_task(self.limited(work)))
            else:
                work.close()
            return None
        self.busy = True
        try:
            return self.loop.run_until_complete(self.limited(work))
        finally:
            self.busy = False

    async def limited(self, work: Coroutine[Any, Any, Any]) -> Any:
        done, _ = await asyncio.wait([task := asyncio.ensure_future(work)], timeout=HANG_S)
        if not done:
            self.failures.append(AssertionError("a call waits for ever"))
            task.cancel()
        return await task

    def step(self, work: Coroutine[Any, Any, Any]) -> None:
        """At once, as far as it goes without waiting, as tasks begin that are eager."""
        with contextlib.suppress(StopIteration), contextlib.closing(work):
            work.send(None)

    def end(self) -> None:
        for end in reversed(self.opened):
            self.run(end.it.close())
        if self.tasks:
            self.loop.run_until_complete(asyncio.wait(self.tasks))
        for task in self.tasks:
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, self.allowed):
                self.failures.append(error)
        self.loop.run_until_complete(asyncio.sleep(0.001))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        for failure in self.failures:
            raise failure


class End:
    """A client or server of samebytes.aio, closed as a handle is."""

    def __init__(self, loop: Loop, it: Any) -> None:
        self.loop = loop
        self.it = it
        loop.opened.append(self)

    def close(self) -> None:
        if self.loop.loop.is_running() and threading.get_ident() == self.loop.thread:
            self.loop.step(self.it.close())
        elif not self.loop.loop.is_closed():
            self.loop.loop.call_soon_threadsafe(self.close)


def aio_loop(world: Any) -> Loop:
    loop = Loop(world.allowed)
    world.ends.append(loop.end)
    return loop


def aio_server(world: Any, batches: bool = False) -> End:
    serving = aio.serve(lambda *given: world.handler(*given), "127.0.0.1", 0, world.pair, batches=batches)
    return End(world.aio_loop, world.aio_loop.run(serving))


def aio_client(world: Any, server: End) -> End:
    near, far = socket.socketpair()
    loop = world.aio_loop
    make = functools.partial(server.it._serves, server.it)
    loop.run(loop.loop.connect_accepted_socket(make, far))
    return End(loop, loop.run(aio.connect(None, None, world.pair, sock=near)))


def use_blocking(connection: client.Client) -> None:
    """Whoever interrupts a call may send as well, and wait."""
    connection.send(VALUES)
    check(connection.call(VALUES))


def use_aio(end: End) -> None:
    async def call() -> None:
        check(await end.it.call(VALUES))

    if end.loop.loop.is_running():
        end.loop.run(call())
    end.loop.step(end.it.finish())


async def respond_later(world: Any, request: Any) -> Any:
    world.hit()
    await asyncio.sleep(0)
    world.hit()
    return answer(request)


def respond_to_batch(world: Any, batch: samebytes.Batch, builder: samebytes.Builder, schema: samebytes.Schema) -> None:
    for row in batch.rows:
        world.hit()
        builder.add(schema, row.sequence, (7, row.timestamp, row.subject, row.body))
    world.hit()


async def called(row: Any, timestamp: int = 5) -> None:
    check(await row, timestamp)


async def gathered(rows: Any, timestamps: tuple[int, ...]) -> None:
    got = [row async for row in rows]
    check_all(got, timestamps)


async def sent(future: Any) -> None:
    check(await (await future))


def received(serializer: Any, data: Any, buffered: bool) -> Any:
    """A packet, as easynetwork receives it."""
    if not buffered:
        receiving = serializer.incremental_deserialize()
        next(receiving)
        try:
            receiving.send(data)
        except StopIteration as done:
            return done.value[0]
        raise AssertionError("the packet is complete")
    buffer = serializer.create_deserializer_buffer(4096)
    receiving = serializer.buffered_incremental_deserialize(buffer)
    next(receiving)
    buffer[: len(data)] = data
    try:
        receiving.send(len(data))
    except StopIteration as done:
        return done.value[0]
    raise AssertionError("the packet is complete")


def request_frames(count: int) -> bytes:
    return b"".join(peers.request_frame(index, 5, b"b") for index in range(count))


def check_all(rows: Any, timestamps: tuple[int, ...]) -> None:
    for row, timestamp in zip(rows, timestamps, strict=True):
        check(row, timestamp)


def check_request(row: Any) -> None:
    got = row.timestamp, row.subject, list(row.metadata), row.body
    assert got == (5, b"", [1], b"b"), f"a wrong packet: {got}"


def check_requests(rows: Any, count: int) -> None:
    assert len(rows) == count
    for row in rows:
        check_request(row)


def check_frames(data: bytes, count: int = 1) -> None:
    rows = reference.decode(data, [reference.ECHO_REQUEST]).rows
    assert len(rows) == count, f"wrong frames: {rows}"
    for timestamp, subject, metadata, body in (row.values for row in rows):
        assert timestamp - 5 in SAID and (subject, body) == (b"s", b"b") and list(metadata) in METADATA


def made_blocking(pair: aio.Pair, size: Any, memory: samebytes.Memory) -> None:
    near, far = socket.socketpair()
    with near, far:
        client.Client(near, pair, max_frame_size=size, memory=memory).close()


async def made_client(pair: aio.Pair, size: Any, memory: samebytes.Memory) -> None:
    aio.Client(pair, max_frame_size=size, memory=memory)._requests.close()


async def connected(server: End, pair: aio.Pair, size: Any) -> None:
    async with await aio.connect("127.0.0.1", server.it.port, pair, max_frame_size=size) as connection:
        check(await connection.call(VALUES))


async def served(pair: aio.Pair) -> None:
    async with await aio.serve(answer, "127.0.0.1", 0, pair) as server:
        assert server.port


async def served_until_closed(server: aio.Server) -> None:
    serving = asyncio.ensure_future(server.serve_forever())
    await asyncio.sleep(0)
    await server.close()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def serve_by(world: Any, handler: Any, call: Coroutine[Any, Any, Any]) -> None:
    world.handler = handler
    world.aio_loop.run(called(call))
