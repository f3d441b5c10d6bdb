"""A pipelined client that blocks: many requests over one socket, plain or with TLS, without an event loop or a thread.

import samebytes
from samebytes import client

with client.connect("127.0.0.1", 4000, client.Pair.open_echo(), timeout=10) as echo:
    response = echo.call({"timestamp": 9999, "subject": b"test", "metadata": [1, 2, 3], "body": b""})
    for response in echo.call_many([index, b"", (), b""] for index in range(1000)):
        print(response.timestamp)

Whoever waits for one response sends and receives for all, so that neither side waits for the other to read. docs/pipelining.md says
what happens when requests are cancelled, answers come late, and the server vanishes. The schemas of the pairs must stay open as long as
they are used here. Threads may share a client; one at a time talks to the server.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from ssl import SSLContext, SSLSocket, SSLWantReadError, SSLWantWriteError
from threading import RLock
from typing import Any, Self

from . import _classes, _exchange, _records, errors
from ._codec import Message, Schema
from ._errors import SamebytesError
from ._exchange import Pair

__all__ = ["Call", "Client", "Pair", "connect"]

_NO_MORE = object()


class Call:
    """A request that was sent, and the response that it gets."""

    __slots__ = ("_cancelled", "_client", "_error", "_row")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._row: Message | None = None
        self._error: SamebytesError | None = None
        self._cancelled = False

    def done(self) -> bool:
        """Whether the response is there, or known not to come. It comes only while somebody waits for something."""
        return self._row is not None or self._error is not None or self._cancelled

    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> bool:
        """Waits for the response no more, if it has not come yet. Its sequence stays reserved until it comes."""
        self._cancelled = not self.done()
        return self._cancelled

    def result(self, timeout: float | None = None) -> Message:
        """The response. Raises TimeoutError after timeout seconds (the client's if None); it may be asked for again then."""
        self._client._until(self.done, timeout, "no response came")
        if self._error is not None:
            raise self._error
        if self._row is None:
            raise CancelledError("this call was cancelled")
        return self._row

    def set_result(self, row: Message, /) -> None:
        self._row = row

    def set_exception(self, error: SamebytesError, /) -> None:
        self._error = error


class Client:
    """A connection that sends requests without waiting for their responses. connect() makes one.

    At most in_flight_max requests are in flight; sending more waits until there is room. A request that is cancelled or timed out keeps
    its sequence until its response came or the connection ended, so that no other request gets that response.
    """

    def __init__(
        self,
        connection: socket.socket,
        *pairs: Pair,
        timeout: float | None = None,
        in_flight_max: int = _records.PIPELINE_MAX,
        max_frame_size: int = 0,
        memory: _classes.Memory | None = None,
    ) -> None:
        """Takes over a connected stream socket, which may be one of the ssl module. The options are those of connect()."""
        self._requests: _exchange.Requests[Call] = _exchange.Requests(pairs, in_flight_max, max_frame_size, memory)
        self.timeout = timeout
        """Seconds to wait where a call is not told otherwise; None: for ever."""
        self._lock = RLock()
        self._socket = connection
        self._socket.setblocking(False)
        self._unsent: deque[memoryview] = deque()
        self._reset: ConnectionResetError | None = None  # what sending met
        # What to wait for. TLS may have to write before it can read, and the other way round.
        self._receive_needs = select.POLLIN
        self._send_needs = select.POLLOUT
        self._ending: SamebytesError | None = None
        self._finishing = False
        # Code may run in the middle of a step on the socket: a signal's handler, a finalizer. It must not make another step meanwhile.
        self._stepping = False
        self._polling = False

    @property
    def in_flight(self) -> int:
        """How many requests wait for their responses, cancelled ones counted."""
        return len(self._requests.waiting)

    @property
    def closed(self) -> bool:
        return self._ending is not None

    def send(self, values: Any, *, request: Schema | None = None, timeout: float | None = None) -> Call:
        """Sends a request and returns its call; waits only while there is no room, or the server takes no more bytes.

        values are one per field, in the order of the request's schema, or a mapping from the fields' names; request says which schema
        where the client has several pairs. Raises what the builder says of wrong values, and why the connection ended.
        """
        with self._lock:
            self._until(self._has_room, timeout, "there was no room")
            call, _ = self._begin(values, request)
            self._step(self._send_some)
        return call

    def call(self, values: Any, *, request: Schema | None = None, timeout: float | None = None) -> Message:
        """Sends a request as send() does, and returns its response. Raises TimeoutError after timeout seconds (self.timeout if None)."""
        seconds = self.timeout if timeout is None else timeout
        start = time.monotonic()
        call = self.send(values, request=request, timeout=seconds)
        try:
            return call.result(None if seconds is None else max(seconds - (time.monotonic() - start), 0))
        except BaseException:
            call.cancel()
            raise

    def call_many(
        self, many: Iterable[Any], *, request: Schema | None = None, timeout: float | None = None
    ) -> Iterator[Message]:
        """Sends many requests, pipelined, and yields their responses in the order of the requests.

        Raises TimeoutError when the next response is not there timeout seconds (self.timeout if None) after it was asked for.
        """
        calls: deque[Call] = deque()
        source = iter(many)
        more = True
        try:
            while more or calls:
                if more and not (calls and calls[0].done()):
                    with self._lock:
                        if not calls:
                            self._until(self._has_room, timeout, "there was no room")
                        more = self._fill(calls, source, request)
                if calls:
                    row = calls[0].result(timeout)
                    calls.popleft()
                    yield row
        finally:
            for call in calls:
                call.cancel()

    def finish(self, timeout: float | None = None) -> None:
        """Sends no more, waits for the responses of what was sent, and closes. Tells the server so, where TLS does not stand between."""
        with self._lock:
            self._check_open()
            self._finishing = True
            self._until(
                lambda: not self._unsent and not self._requests.builder.frame_count(), timeout, "not all was sent"
            )
            if not isinstance(self._socket, SSLSocket):
                self._socket.shutdown(socket.SHUT_WR)
            self._until(lambda: not self._requests.waiting, timeout, "not all responses came")
            self.close()

    def close(self) -> None:
        """Ends the connection at once. Requests in flight get ClosedError."""
        with self._lock:
            self._end(errors.ClosedError("this client has been closed"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_ending", self) is None:
            self._socket.close()

    # ---- requests ----

    def _check_open(self) -> None:
        if self._ending is not None:
            raise _exchange.copied(self._ending)
        if self._finishing:
            raise errors.ClosedError("this client is finishing and sends no more")

    def _has_room(self) -> bool:
        self._check_open()
        return self._requests.has_room and not self._unsent

    def _begin(self, values: Any, request: Schema | None) -> tuple[Call, int]:
        call = Call(self)
        return call, self._requests.begin(call, values, request)

    def _fill(self, calls: deque[Call], source: Iterator[Any], request: Schema | None) -> bool:
        """Begins requests while there is room; False when there are no more."""
        more = True
        try:
            while more and self._has_room():
                values = next(source, _NO_MORE)
                more = values is not _NO_MORE
                if more:
                    call, size = self._begin(values, request)
                    calls.append(call)
                    if size >= _exchange.FLUSH_SIZE:
                        self._step(self._send_some)
        finally:
            self._step(self._send_some)
        return more

    # ---- the socket ----

    def _until(self, ready: Callable[[], bool], timeout: float | None, failed: str) -> None:
        """Sends and receives until it is so. Raises TimeoutError."""
        with self._lock:
            seconds = self.timeout if timeout is None else timeout
            deadline = None if seconds is None else time.monotonic() + seconds
            while not ready():
                if self._ending is not None:
                    raise _exchange.copied(self._ending)
                if self._stepping or self._polling:
                    raise errors.BusyError("this client is sending or receiving in the call that this one interrupts")
                received = self._step(self._receive_some)
                if not self._step(self._send_some) and not received and not ready() and not self._wait(deadline):
                    raise errors.TimeoutError(f"{failed} within {seconds:g} s")

    def _step(self, step: Callable[[], bool]) -> bool:
        """Makes a step, unless it would be in the middle of another, whose caller then sends what there is to send."""
        if self._stepping:
            return False
        self._stepping = True
        try:
            return step()
        finally:
            self._stepping = False
            if self._ending is not None:
                self._take_down()

    def _wait(self, deadline: float | None) -> bool:
        """Waits until the socket can do something; False when the time is over."""
        self._polling = True
        try:
            return self._ending is not None or self._poll(deadline)
        finally:
            self._polling = False
            if self._ending is not None:
                self._take_down()

    def _poll(self, deadline: float | None) -> bool:
        events = self._receive_needs | (self._send_needs if self._unsent else 0)
        poll = select.poll()
        poll.register(self._socket, events)
        if deadline is None:
            return bool(poll.poll())
        return bool(poll.poll(max(deadline - time.monotonic(), 0) * 1000))

    def _receive_some(self) -> bool:
        """Receives once what is there; whether something was."""
        try:
            count = self._socket.recv_into(self._requests.receiver.buffer())
            if count:
                error = self._requests.receive(count)
            else:
                how = "the server ended the connection" + (f" ({self._reset})" if self._reset else "")
                error = self._requests.gone(how, self._reset)
            if error is not None:
                self._end(error)
        except (BlockingIOError, SSLWantReadError):
            self._receive_needs = select.POLLIN
            return False
        except SSLWantWriteError:
            self._receive_needs = select.POLLOUT
            return False
        except BaseException as error:
            self._broken(error)
        return True

    def _send_some(self) -> bool:
        """Sends what goes without waiting; whether something went."""
        sent = False
        try:
            while self._ending is None and (self._unsent or self._requests.builder.frame_count()):
                if not self._unsent:
                    self._unsent += self._requests.take()
                count = self._socket.send(self._unsent[0])
                sent = True
                self._requests.sent += count
                if count < len(self._unsent[0]):
                    self._unsent[0] = self._unsent[0][count:]
                else:
                    self._unsent.popleft()
        except (BlockingIOError, SSLWantWriteError):
            self._send_needs = select.POLLOUT
        except SSLWantReadError:
            self._send_needs = select.POLLIN
        except (BrokenPipeError, ConnectionResetError) as error:
            # Responses that came before may still be read; reading tells the end, but not again what broke the connection.
            self._unsent.clear()
            if isinstance(error, ConnectionResetError):
                self._reset = error
            sent = True
        except BaseException as error:
            self._broken(error)
        return sent

    def _broken(self, error: BaseException) -> None:
        """What is left when a step failed or was interrupted: nobody knows how many bytes went, so the connection ends."""
        if isinstance(error, SamebytesError):
            self._end(error)
        elif isinstance(error, OSError):
            how = f"the connection was lost ({error})"
            self._end(self._requests.gone(how, error))
            return  # each call tells what ended the connection
        else:
            self._end(errors.ClosedError("this client was interrupted"))
        raise error

    def _end(self, error: SamebytesError) -> None:
        if self._ending is None:
            self._ending = error
            if self._stepping or self._polling:
                # Who waits for the socket wakes up; the step takes the rest down at its end.
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
            else:
                self._take_down()

    def _take_down(self) -> None:
        assert self._ending is not None
        self._unsent.clear()
        self._socket.close()
        self._requests.fail(self._ending)
        self._requests.close()


def connect(
    host: str,
    port: int,
    *pairs: Pair,
    timeout: float | None = None,
    in_flight_max: int = _records.PIPELINE_MAX,
    max_frame_size: int = 0,
    memory: _classes.Memory | None = None,
    ssl: SSLContext | None = None,
    server_hostname: str | None = None,
) -> Client:
    """Connects to a server, within timeout seconds, and returns the client.

    timeout is also for its calls; in_flight_max is 1 to 256; max_frame_size limits the Size of a response, 0 being 1 MiB. With ssl the
    connection is one of TLS, and the server's certificate must be for server_hostname (host if None).
    """
    try:
        connection = socket.create_connection((host, port), timeout)
    except TimeoutError:
        raise errors.TimeoutError(f"no connection to {host} port {port} within {timeout} s") from None
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ssl is not None:
            connection = ssl.wrap_socket(connection, server_hostname=server_hostname or host)
        return Client(
            connection,
            *pairs,
            timeout=timeout,
            in_flight_max=in_flight_max,
            max_frame_size=max_frame_size,
            memory=memory,
        )
    except BaseException:
        connection.close()
        raise
