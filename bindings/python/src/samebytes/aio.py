"""Pipelined requests over asyncio, plain or with TLS: a client and a server for any pairs of schemas.

import samebytes
from samebytes import aio

async def answer(request):  # or a plain function
    return {"id": 1, "timestamp": request.timestamp, "subject": request.subject, "body": request.body}

async with await aio.serve(answer, "127.0.0.1", 0, aio.Pair.open_echo()) as server:
    async with await aio.connect("127.0.0.1", server.port, aio.Pair.open_echo()) as client:
        response = await client.call({"timestamp": 9999, "subject": b"test", "metadata": [1, 2, 3], "body": b""})

Sockets read into the parsers' own memory, and every complete frame of a read is decoded at once. docs/pipelining.md says what happens
when requests are cancelled, answers come late, and peers vanish. The schemas of the pairs must stay open as long as they are used here.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Self

from . import _classes, _codec, _exchange, _records, errors
from ._codec import Message, Schema
from ._errors import SamebytesError
from ._exchange import Pair

__all__ = ["Client", "Pair", "Server", "connect", "serve"]

_NO_MORE = object()

Handler = Callable[..., Any]
"""Takes a request, and returns the values of the response, or an awaitable of them; or takes a Batch and a Builder."""


class _Connection(asyncio.BufferedProtocol):
    """What both ends do: lend the parser's memory to the transport, gather frames, and obey the transport's limits."""

    _transport: asyncio.Transport

    def __init__(self, receiver: _exchange.Receiver, builder: _codec.Builder) -> None:
        self._loop = asyncio.get_running_loop()
        self._receiver = receiver
        self._builder = builder
        self._writable = True
        self._lost: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    # A memoryview, because asyncio's TLS loses data when it is given a bytearray (python/cpython#156275).
    def get_buffer(self, sizehint: int) -> memoryview:
        return self._receiver.buffer()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set_result(None)

    def _flush(self) -> None:
        if not self._builder.closed and self._builder.frame_count():
            for piece in self._taken():
                self._transport.write(piece)

    def _taken(self) -> Iterator[memoryview]:
        return _exchange.taken(self._builder)


class Client(_Connection):
    """A connection that sends requests without waiting for their responses. connect() makes it; it belongs to one event loop.

    At most in_flight_max requests are in flight; whoever sends more waits until there is room. A request that is cancelled or timed out
    keeps its sequence until its response came or the connection ended, so that no other request gets that response.
    """

    def __init__(
        self,
        *pairs: Pair,
        timeout: float | None = None,
        in_flight_max: int = _records.PIPELINE_MAX,
        max_frame_size: int = 0,
        memory: _classes.Memory | None = None,
    ) -> None:
        self._requests: _exchange.Requests[asyncio.Future[Message]] = _exchange.Requests(
            pairs, in_flight_max, max_frame_size, memory
        )
        super().__init__(self._requests.receiver, self._requests.builder)
        self.timeout = timeout
        """Seconds that call() waits where it is not told otherwise; None: for ever."""
        self._turn = asyncio.Lock()  # first come, first served
        self._room: asyncio.Future[None] | None = None  # what the one who has the turn waits for
        self._idle: asyncio.Future[None] | None = None  # what finish() waits for
        self._flushing = False
        # How many are adding a request or handing frames to the transport, which may run code of others.
        self._writing = 0
        self._ending: SamebytesError | None = None

    @property
    def in_flight(self) -> int:
        """How many requests wait for their responses, cancelled ones counted."""
        return len(self._requests.waiting)

    @property
    def closed(self) -> bool:
        return self._ending is not None

    async def send(self, values: Any, *, request: Schema | None = None) -> asyncio.Future[Message]:
        """Sends a request and returns the future of its response; waits only while there is no room.

        values are one per field, in the order of the request's schema, or a mapping from the fields' names; request says which schema
        where the client has several pairs. Raises what the builder says of wrong values, and why the connection ended.
        """
        async with self._turn:
            while not self._has_room():
                self._room = self._loop.create_future()
                await self._room
            future: asyncio.Future[Message] = self._loop.create_future()
            self._writing += 1
            try:
                size = self._requests.begin(future, values, request)
            finally:
                self._writing -= 1
        if size >= _exchange.FLUSH_SIZE:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush_soon)
        return future

    def _flush_soon(self) -> None:
        self._flushing = False
        self._flush()

    def _flush(self) -> None:
        self._writing += 1
        try:
            super()._flush()
        finally:
            self._writing -= 1

    def _taken(self) -> Iterator[memoryview]:
        return self._requests.take()

    def _unsent(self) -> int:
        """Bytes that the transport has taken and not sent. What TLS makes of them is of another size, so there it counts as sent."""
        if self._transport.get_extra_info("sslcontext") is not None:
            return 0
        return self._transport.get_write_buffer_size()

    async def call(self, values: Any, *, request: Schema | None = None, timeout: float | None = None) -> Message:
        """Sends a request as send() does, and returns its response. Raises TimeoutError after timeout seconds (self.timeout if None)."""
        seconds = self.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(seconds) as deadline:
                return await (await self.send(values, request=request))
        except TimeoutError:
            if not deadline.expired():
                raise
            raise errors.TimeoutError(f"no response came within {seconds} s") from None

    async def call_many(
        self, many: Iterable[Any], *, request: Schema | None = None, timeout: float | None = None
    ) -> AsyncIterator[Message]:
        """Sends many requests, pipelined, and yields their responses in the order of the requests.

        Raises TimeoutError when the next response is not there timeout seconds (self.timeout if None) after it was asked for.
        """
        seconds = self.timeout if timeout is None else timeout
        futures: deque[asyncio.Future[Message]] = deque()
        source = iter(many)
        try:
            while True:
                try:
                    async with asyncio.timeout(seconds) as deadline:
                        while len(futures) < self._requests.in_flight_max and not (futures and futures[0].done()):
                            values = next(source, _NO_MORE)
                            if values is _NO_MORE:
                                break
                            futures.append(await self.send(values, request=request))
                        if not futures:
                            return
                        row = await futures[0]
                except TimeoutError:
                    if not deadline.expired():
                        raise
                    raise errors.TimeoutError(f"no response came within {seconds} s") from None
                futures.popleft()
                yield row
        finally:
            for future in futures:
                future.cancel()

    async def finish(self) -> None:
        """Sends no more, waits for the responses of what was sent, and closes. Tells the server so where the transport can."""
        self._check_open()
        self._idle = self._loop.create_future()
        if self._writing:
            await asyncio.sleep(0)  # an eager task may begin in the middle of a send, whose request goes before the end
        self._flush()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        if self._requests.waiting:
            await self._idle
        await self.close()

    async def close(self) -> None:
        """Ends the connection at once. Requests in flight get ClosedError."""
        self._end(errors.ClosedError("this client has been closed"))
        await asyncio.shield(self._lost)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- what the transport calls ----

    def buffer_updated(self, nbytes: int) -> None:
        self._requests.sent = self._requests.taken - self._unsent()
        error = self._requests.receive(nbytes)
        if error is not None:
            self._end(error)
        self._wake()

    def eof_received(self) -> None:
        self._end(self._requests.gone("the server ended the connection"))

    def resume_writing(self) -> None:
        self._writable = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ending is None:
            how = "the connection was lost" + (f" ({exc})" if exc else "")
            self._ending = self._requests.gone(how, exc)
        futures = [future for future, *_ in self._requests.waiting.values()]
        self._requests.fail(self._ending)
        for future in futures:
            if not future.cancelled():
                future.exception()  # seen: the reason is told to every later call, so asyncio need not log it for each
        self._requests.close()
        self._wake()
        super().connection_lost(exc)

    # ---- room ----

    def _check_open(self) -> None:
        if self._ending is not None:
            raise _exchange.copied(self._ending)
        if self._idle is not None:
            raise errors.ClosedError("this client is finishing and sends no more")

    def _has_room(self) -> bool:
        self._check_open()
        return self._writable and self._requests.has_room

    def _wake(self) -> None:
        """Lets those who wait look again."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        if self._idle is not None and not self._idle.done() and not self._requests.waiting:
            self._idle.set_result(None)

    def _end(self, error: SamebytesError) -> None:
        if self._ending is None:
            self._ending = error
            self._transport.abort()


class _ServerEnd(_Connection):
    """The server's end of one connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        super().__init__(
            _exchange.Receiver([pair.request for pair in server._pairs], server._max_frame_size, server._memory),
            _codec.Builder(server._memory),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._receiver.close()
        self._builder.close()
        self._server._connections.discard(self)
        super().connection_lost(exc)

    def _keeps_open(self) -> bool:
        # TLS has no half-closed connections in asyncio; what was written is still sent.
        return self._transport.get_extra_info("sslcontext") is None

    def _break(self, error: Exception) -> None:
        """Without its response a client would wait for ever, and the format has no word for a failure: the connection ends."""
        self._report(error, "the handler failed")
        self._transport.abort()

    def _report(self, error: Exception, what: str) -> None:
        peer = self._transport.get_extra_info("peername")
        self._loop.call_exception_handler(
            {"message": f"samebytes.aio: {what}; the connection to {peer} ends", "exception": error, "protocol": self}
        )


class _BatchServed(_ServerEnd):
    """Answers all requests of a read at once."""

    def buffer_updated(self, nbytes: int) -> None:
        wrong = self._receiver.fill(nbytes)
        batch = self._receiver.batch
        if isinstance(
            wrong, errors.BusyError
        ):  # the handler has kept columns: the batch is still the one that it was given
            self._break(wrong)
            return
        if batch.row_count():
            try:
                self._server._handler(batch, self._builder)
            except Exception as error:
                self._break(error)
                return
            self._flush()
        if wrong is not None:
            self._report(wrong, "a request was refused")
            self._transport.close()
        elif not self._writable:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        # All that came was answered when it came; what is not yet sent is sent before the end.
        self._transport.close()
        return self._keeps_open()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._transport.resume_reading()


class _Served(_ServerEnd):
    """Answers one request after the other."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._responses = {pair.request.api_key(): pair.response for pair in server._pairs}
        self._requests: deque[Message] = deque()  # received, and not yet given to the handler
        self._tasks: dict[int, asyncio.Task[None]] = {}  # handlers that run, by their requests' sequences
        self._finishing = False

    def buffer_updated(self, nbytes: int) -> None:
        rows, wrong = self._receiver.receive(nbytes)
        self._requests += rows
        if wrong is not None:
            self._report(wrong, "a request was refused")
            self._finishing = True
        self._pump()

    def eof_received(self) -> bool:
        self._finishing = True
        self._pump()
        return self._keeps_open()

    def resume_writing(self) -> None:
        self._writable = True
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._requests.clear()
        for task in self._tasks.values():
            task.cancel()
        super().connection_lost(exc)

    def _pump(self) -> None:
        """Gives requests to the handler while the client takes the responses, and reads on when all were given."""
        while self._requests and self._writable and len(self._tasks) < self._server._in_flight_max:
            self._handle(self._requests.popleft())
            if not self._builder.closed and self._builder.size() >= _exchange.FLUSH_SIZE:
                self._flush()
        self._flush()
        if self._finishing and not self._requests and not self._tasks:
            self._transport.close()
        elif self._finishing or self._requests or not self._writable:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _handle(self, row: Message) -> None:
        if row.sequence in self._tasks:
            error = errors.CorruptError(f"sequence {row.sequence} was repeated while its request was being answered")
            self._report(error, "a request was refused")
            self._transport.abort()
            self._requests.clear()
            return
        try:
            values = self._server._handler(row)
            if not inspect.isawaitable(values):
                self._answer(row, values)
                return
        except Exception as error:
            self._break(error)
            return
        task = self._loop.create_task(self._handled(row, values))
        self._tasks[row.sequence] = task

    async def _handled(self, row: Message, values: Awaitable[Any]) -> None:
        try:
            self._answer(row, await values)
        except Exception as error:
            self._break(error)
        finally:
            del self._tasks[row.sequence]
            if not self._lost.done():
                self._pump()

    def _answer(self, row: Message, values: Any) -> None:
        response = self._responses[row.api_key]
        self._builder.add(response, row.sequence, _exchange.values_of(response, values))

    def _break(self, error: Exception) -> None:
        self._requests.clear()
        super()._break(error)


class Server:
    """Listens, and answers the requests of any number of connections. serve() makes it; it belongs to one event loop."""

    def __init__(
        self,
        handler: Handler,
        *pairs: Pair,
        in_flight_max: int = _records.PIPELINE_MAX,
        max_frame_size: int = 0,
        memory: _classes.Memory | None = None,
        batches: bool = False,
    ) -> None:
        if not callable(handler):
            raise TypeError(f"handler: a function is needed, not {type(handler).__name__}")
        self._handler = handler
        self._pairs = _exchange.checked_pairs(pairs)
        self._in_flight_max = _exchange.checked_in_flight_max(in_flight_max)
        self._max_frame_size = max_frame_size
        self._memory = memory
        self._serves = _BatchServed if batches else _Served
        self._connections: set[_ServerEnd] = set()
        self._listening: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port of the first socket that listens."""
        if self._listening is None or not self._listening.sockets:
            raise errors.ClosedError("this server does not listen")
        return int(self._listening.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    async def serve_forever(self) -> None:
        """Serves until the task is cancelled."""
        listening = self._listening
        if listening is None:
            raise errors.ClosedError("this server does not listen")
        try:
            await listening.serve_forever()
        except RuntimeError:
            if self._listening is listening:
                raise
            raise errors.ClosedError("this server does not listen") from None  # it was closed before asyncio looked

    async def close(self) -> None:
        """Stops to listen, ends all connections at once, and waits until they are gone."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
            connections = list(self._connections)
            for connection in connections:
                connection._transport.abort()
            await asyncio.gather(*(connection._lost for connection in connections))
            await listening.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def connect(
    host: str | None,
    port: int | None,
    *pairs: Pair,
    timeout: float | None = None,
    in_flight_max: int = _records.PIPELINE_MAX,
    max_frame_size: int = 0,
    memory: _classes.Memory | None = None,
    **options: Any,
) -> Client:
    """Connects to a server, within timeout seconds, and returns the client.

    timeout is also for its calls; in_flight_max is 1 to 256; max_frame_size limits the Size of a response, 0 being 1 MiB. The options
    are those of asyncio's loop.create_connection, such as ssl, server_hostname, or sock (host and port are None then).
    """

    def make() -> Client:
        return Client(
            *pairs, timeout=timeout, in_flight_max=in_flight_max, max_frame_size=max_frame_size, memory=memory
        )

    try:
        async with asyncio.timeout(timeout) as deadline:
            _, client = await asyncio.get_running_loop().create_connection(make, host, port, **options)  # type: ignore[arg-type]
    except TimeoutError:
        if not deadline.expired():
            raise
        raise errors.TimeoutError(f"no connection to {host} port {port} within {timeout} s") from None
    return client


async def serve(
    handler: Handler,
    host: str | None,
    port: int | None,
    *pairs: Pair,
    in_flight_max: int = _records.PIPELINE_MAX,
    max_frame_size: int = 0,
    memory: _classes.Memory | None = None,
    batches: bool = False,
    **options: Any,
) -> Server:
    """Listens, and answers each request by handler(request), which returns the response's values, or an awaitable of them.

    The values are one per field of the response's schema, or a mapping from the fields' names. Plain functions are answered in the
    order of the requests; awaitables run at the same time, at most in_flight_max per connection, and are answered when they are ready.
    With batches, handler(batch, builder) is called once for all requests that have come, a Batch, and adds their responses to the Builder,
    from rows or columns, each with the sequence of its request. It is a plain function, and what it is given is used again after it.

    A handler that raises, and a request that is refused, end the connection; the loop's exception handler is told. The options are
    those of asyncio's loop.create_server, such as ssl or sock (host and port are None then).
    """
    server = Server(
        handler,
        *pairs,
        in_flight_max=in_flight_max,
        max_frame_size=max_frame_size,
        memory=memory,
        batches=batches,
    )
    make = functools.partial(server._serves, server)
    server._listening = await asyncio.get_running_loop().create_server(make, host, port, **options)
    return server
