"""samebytes.client: pipelining over a blocking socket, against samebytes.aio's server and against peers of plain sockets."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import os
import random
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import samebytes
from samebytes import aio, client

from . import peers
from .peers import listening, receive_requests, request_frame, request_values, response_frame
from .reentry_peers import VALUES, Peer, check


@pytest.fixture
def echo() -> Iterator[client.Pair]:
    pair = client.Pair.open_echo()
    yield pair
    for schema in pair:
        schema.close()


class Serving:
    """samebytes.aio's server in a thread."""

    def __init__(self, handler: Callable[[Any], Any], *pairs: client.Pair, **options: Any) -> None:
        self.ready = threading.Event()
        self.thread = threading.Thread(target=asyncio.run, args=(self.serve(handler, *pairs, **options),))

    async def serve(self, handler: Callable[[Any], Any], *pairs: client.Pair, **options: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.stop = asyncio.Event()
        async with await aio.serve(handler, "127.0.0.1", 0, *pairs, **options) as server:
            self.port = server.port
            self.ready.set()
            await self.stop.wait()

    def __enter__(self) -> int:
        self.thread.start()
        assert self.ready.wait(peers.SECONDS)
        return self.port

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(peers.SECONDS)
        assert not self.thread.is_alive()


def answer(request: Any) -> dict[str, Any]:
    return {"id": 7, "timestamp": request.timestamp, "subject": request.subject, "body": request.body}


async def answer_later(request: Any) -> dict[str, Any]:
    await asyncio.sleep(random.random() / 50)
    return answer(request)


def connected(port: int, *pairs: client.Pair, **options: Any) -> client.Client:
    return client.connect("127.0.0.1", port, *pairs, **{"timeout": peers.SECONDS, **options})


def test_a_call_is_answered(echo: client.Pair) -> None:
    with Serving(answer, echo) as port, connected(port, echo) as connection:
        row = connection.call(request_values(5))
        assert (row.id, row.timestamp, row.subject, row.body) == (7, 5, b"subject 5", b"body")
        row = connection.call({"body": b"b", "metadata": (), "subject": b"s", "timestamp": -1})
        assert (row.timestamp, row.subject, row.sequence) == (-1, b"s", 1)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_thousands_of_requests_of_any_size_arrive_unchanged(echo: client.Pair, tls: bool, tmp_path: Path) -> None:
    server_tls, client_tls = peers.contexts(tmp_path) if tls else (None, None)
    generator = random.Random(3)
    bodies = [generator.randbytes(generator.choice((0, 1, 30, 5_000, 70_000))) for _ in range(1_500)]
    options: dict[str, Any] = {"ssl": client_tls, "server_hostname": "localhost"} if tls else {}
    with Serving(answer, echo, ssl=server_tls) as port, connected(port, echo, **options) as connection:
        assert isinstance(connection._socket, ssl.SSLSocket) == tls
        rows = list(connection.call_many(request_values(index, body) for index, body in enumerate(bodies)))
        assert connection.in_flight == 0
    assert [row.timestamp for row in rows] == list(range(len(bodies)))
    assert all(row.body == body for row, body in zip(rows, bodies, strict=True))


def test_answers_out_of_order_find_their_calls(echo: client.Pair) -> None:
    with Serving(answer_later, echo) as port, connected(port, echo) as connection:
        calls = [connection.send(request_values(index)) for index in range(600)]
        order = list(range(600))
        random.Random(5).shuffle(order)
        assert all(calls[index].result().timestamp == index for index in order)
        assert [row.timestamp for row in connection.call_many(map(request_values, range(600)))] == list(range(600))


def test_threads_may_share_a_client(echo: client.Pair) -> None:
    with Serving(answer_later, echo) as port, connected(port, echo) as connection:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            rows = list(pool.map(lambda index: connection.call(request_values(index)), range(100)))
        assert [row.timestamp for row in rows] == list(range(100))


def test_the_257th_request_waits_for_room_while_responses_are_read(echo: client.Pair) -> None:
    def converse(peer: socket.socket) -> None:
        rows = receive_requests(peer, 256)
        assert len({row.sequence for row in rows}) == len(rows) == 256
        peer.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.recv(1)
        peer.settimeout(peers.SECONDS)
        peer.sendall(response_frame(rows[100].sequence, id=100))
        more = receive_requests(peer, 1)
        assert more[0].sequence == rows[100].sequence
        peer.sendall(b"".join(response_frame(row.sequence, id=1) for row in [*more, *rows[:100], *rows[101:]]))

    with listening(converse) as port, connected(port, echo) as connection:
        calls = [connection.send(request_values(index)) for index in range(256)]
        assert connection.in_flight == 256
        calls.append(connection.send(request_values(256)))
        assert calls[100].done() and not calls[0].done()
        assert [call.result().id for call in calls] == [1] * 100 + [100] + [1] * 156


def test_a_server_that_answers_before_it_reads_on_is_no_deadlock(echo: client.Pair) -> None:
    body = b"x" * 100_000

    def converse(peer: socket.socket) -> None:
        data = b""
        frame_size = len(peers.request_frame(0, 0, body)) - 2 + 6 + len(b"subject 10")  # [1, 2, 3], and a subject
        for index in range(100):
            while len(data) < 18:
                data += peer.recv(1 << 20)
            size = 4 + int.from_bytes(data[:4], "big")
            assert size <= frame_size + 10
            while len(data) < size:
                data += peer.recv(1 << 20)
            peer.sendall(response_frame(int.from_bytes(data[5:6], "big", signed=True), index, body=body))
            data = data[size:]

    with listening(converse) as port, connected(port, echo) as connection:
        rows = list(connection.call_many(request_values(index, body) for index in range(100)))
    assert [row.id for row in rows] == list(range(100))


def test_cancelled_and_timed_out_calls_keep_their_sequence_until_their_response_came(echo: client.Pair) -> None:
    def converse(peer: socket.socket) -> None:
        first = receive_requests(peer, 2)
        rest = receive_requests(peer, 254)
        peer.sendall(b"".join(response_frame(row.sequence, id=1) for row in rest))
        again = receive_requests(peer, 254)
        assert not {row.sequence for row in again} & {row.sequence for row in first}
        peer.sendall(b"".join(response_frame(row.sequence, id=2) for row in [*first, *again]))
        last = receive_requests(peer, 256)
        assert {row.sequence for row in first} <= {row.sequence for row in last}
        peer.sendall(b"".join(response_frame(row.sequence, id=3) for row in last))

    with listening(converse) as port, connected(port, echo) as connection:
        call = connection.send(request_values(0))
        assert call.cancel() and call.cancelled() and call.done()
        with pytest.raises(concurrent.futures.CancelledError):
            call.result()
        with pytest.raises(samebytes.TimeoutError, match="no response came within"):
            connection.call(request_values(1), timeout=0.05)
        for wanted, count in ((1, 254), (2, 254), (3, 256)):
            assert connection.in_flight == (2 if wanted < 3 else 0)
            calls = [connection.send(request_values(index)) for index in range(count)]
            assert {call.result().id for call in calls} == {wanted}
            assert not calls[0].cancel()


def test_a_call_that_timed_out_may_be_asked_again(echo: client.Pair) -> None:
    asked = threading.Event()

    def converse(peer: socket.socket) -> None:
        receive_requests(peer, 1)
        assert asked.wait(peers.SECONDS)
        peer.sendall(response_frame(0, id=5))

    with listening(converse) as port, connected(port, echo, timeout=0.05) as connection:
        call = connection.send(request_values(0))
        with pytest.raises(TimeoutError, match=r"0.05 s"):
            call.result()
        with pytest.raises(samebytes.TimeoutError):
            call.result(0)
        asked.set()
        assert call.result(peers.SECONDS).id == 5


def test_no_room_within_the_timeout_is_an_error(echo: client.Pair) -> None:
    done = threading.Event()

    def converse(peer: socket.socket) -> None:
        assert done.wait(peers.SECONDS)

    with listening(converse) as port, connected(port, echo, in_flight_max=2) as connection:
        calls = [connection.send(request_values(index)) for index in range(2)]
        with pytest.raises(samebytes.TimeoutError, match=r"there was no room within 0.05 s"):
            connection.send(request_values(2), timeout=0.05)
        with pytest.raises(samebytes.TimeoutError):
            list(connection.call_many([request_values(2)], timeout=0.05))
        assert connection.in_flight == 2 and not any(call.done() for call in calls)
        done.set()


def test_finish_half_closes_and_gets_every_answer(echo: client.Pair) -> None:
    def converse(peer: socket.socket) -> None:
        rows = receive_requests(peer, 10_000)  # to the end
        peer.sendall(b"".join(response_frame(row.sequence, id=row.sequence) for row in reversed(rows)))

    with listening(converse) as port, connected(port, echo) as connection:
        calls = [connection.send(request_values(index)) for index in range(50)]
        connection.finish()
        assert connection.closed
        assert [call.result().id for call in calls] == list(range(50))
        with pytest.raises(samebytes.ClosedError):
            connection.send(request_values(1))


@pytest.mark.parametrize(
    ("frames", "kind", "message"),
    [
        (response_frame(77), samebytes.NotFoundError, "sequence 77, which no request in flight has"),
        (response_frame(0) * 2, samebytes.NotFoundError, "sequence 0, which no request"),
        (bytes.fromhex("00000003 00 00 ff"), samebytes.CorruptError, "id"),
        (bytes.fromhex("ffffffff"), samebytes.CorruptError, "Size"),
        (response_frame(0)[:9], samebytes.UnavailableError, "ended the connection with 3 requests in flight"),
        (b"", samebytes.UnavailableError, "ended the connection with 3 requests in flight"),
    ],
    ids=["unknown-sequence", "repeated-sequence", "bad-body", "negative-size", "end-in-a-frame", "end"],
)
def test_whatever_ends_the_connection_is_an_error_of_each_call_in_flight(
    echo: client.Pair, frames: bytes, kind: type, message: str
) -> None:
    def converse(peer: socket.socket) -> None:
        receive_requests(peer, 3)
        peer.sendall(frames)

    with listening(converse) as port, connected(port, echo) as connection:
        calls = [connection.send(request_values(index)) for index in range(3)]
        found = []
        for call in calls[1:]:
            with pytest.raises(samebytes.SamebytesError, match=message) as caught:
                call.result()
            found.append(caught.value)
            assert type(caught.value) is kind
        assert found[0] is not found[1]
        assert calls[0].done() and connection.closed
        with pytest.raises(kind):
            connection.call(request_values(4))


def test_a_reset_is_an_error_of_each_call_in_flight(echo: client.Pair) -> None:
    def converse(peer: socket.socket) -> None:
        rows = receive_requests(peer, 3)
        peer.sendall(response_frame(rows[0].sequence, id=3) + response_frame(rows[1].sequence)[:7])
        done.wait(peers.SECONDS)
        peers.reset(peer)

    done = threading.Event()
    with listening(converse) as port, connected(port, echo) as connection:
        calls = [connection.send(request_values(index)) for index in range(3)]
        assert calls[0].result().id == 3
        done.set()
        for call in calls[1:]:
            with pytest.raises(ConnectionResetError, match="2 requests in flight") as caught:
                call.result()
            error = caught.value
            assert isinstance(error, samebytes.UnavailableError)
            assert error.errno == error.system_error == errno.ECONNRESET


def test_a_reset_that_sending_meets_is_told_when_reading_ends(echo: client.Pair) -> None:
    """The system tells it once, and then that the connection has ended."""
    near, far = socket.socketpair()

    class Resetting:
        def __getattr__(self, name: str) -> Any:
            return getattr(near, name)

        def send(self, data: Any) -> int:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

        sendmsg = send

    with near, far, client.Client(near, echo) as connection:
        connection._socket = Resetting()
        far.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError, match="with 1 request in flight") as caught:
            connection.call(request_values(0))
        assert isinstance(caught.value, samebytes.UnavailableError)


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_an_answer_counts_when_its_request_has_been_sent(echo: client.Pair, beyond: int) -> None:
    """The server reads nothing, so that the socket holds some requests and a part of one, and guesses a sequence."""
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 40000)  # so that larger writes go in parts
    values = [0, b"", (), bytes(5001)]
    with far, client.Client(near, echo, timeout=peers.SECONDS) as asking:
        calls: deque[client.Call] = deque()
        asking._fill(calls, iter([values] * 200), None)
        whole, part = divmod(len(far.recv(2**24, socket.MSG_PEEK)), len(request_frame(0, body=bytes(5001))) - 2)
        assert part
        assert 0 < whole < len(calls) - 1
        far.sendall(response_frame(whole + beyond, 7))
        if beyond < 0:
            assert calls[whole + beyond].result().id == 7
        else:
            for call in calls:
                with pytest.raises(
                    samebytes.NotFoundError, match=f"sequence {whole + beyond}, whose request has not been sent"
                ):
                    call.result()


def test_close_is_an_error_of_each_call_in_flight(echo: client.Pair) -> None:
    with listening(lambda peer: None) as port:
        connection = connected(port, echo)
        call = connection.send(request_values(0))
        connection.close()
        connection.close()
        with pytest.raises(samebytes.ClosedError, match="has been closed"):
            call.result()


def test_an_interrupted_step_ends_the_connection(echo: client.Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether its bytes were counted."""

    def interrupted(size: int) -> None:
        raise KeyboardInterrupt

    with Serving(answer, echo) as port, connected(port, echo) as connection:
        call = connection.send(request_values(0))
        monkeypatch.setattr(connection._requests, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            call.result()
        with pytest.raises(samebytes.ClosedError, match="interrupted"):
            call.result()


def test_an_abandoned_iterator_cancels_its_calls(echo: client.Pair) -> None:
    with Serving(answer, echo) as port, connected(port, echo) as connection:
        rows = connection.call_many(map(request_values, range(500)))
        assert next(rows).timestamp == 0
        rows.close()  # type: ignore[attr-defined]
        assert connection.call(request_values(9_999)).timestamp == 9_999
        connection.finish()


def test_values_that_are_refused_take_no_room(echo: client.Pair) -> None:
    with Serving(answer, echo) as port, connected(port, echo) as connection:
        for _ in range(257):  # a sequence lost each time would leave none
            with pytest.raises(OverflowError, match="timestamp"):
                connection.call([2**63, b"", [], b""])
        with pytest.raises(TypeError, match="subject"):
            list(connection.call_many([request_values(0), [1, "text", [], b""]]))
        assert connection.call(request_values(1)).timestamp == 1
        assert connection.in_flight == 0


def test_what_cannot_be_connected_is_said(echo: client.Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ValueError, match="at least one pair"):
            client.connect("127.0.0.1", port)
        with pytest.raises(ValueError, match="in_flight_max is 1 to 256"):
            client.connect("127.0.0.1", port, echo, in_flight_max=0)
    with pytest.raises(ConnectionRefusedError):
        client.connect("127.0.0.1", port, echo)


class Interrupted(socket.socket):
    """Runs code once, between the system's work and what the client makes of it, as the handler of a signal may."""

    after: str = ""
    code: Callable[[], object] | None = None

    def ran(self, what: str) -> None:
        if what == self.after and self.code is not None:
            code, self.code = self.code, None
            code()

    def send(self, *given: Any) -> int:
        count = super().send(*given)
        self.ran("send")
        return count

    def recv_into(self, *given: Any) -> int:
        count = super().recv_into(*given)
        self.ran("receive")
        return count


@pytest.fixture
def interrupted(echo: client.Pair) -> Iterator[tuple[client.Client, Interrupted]]:
    """A client whose steps are interrupted, and whose server checks each byte."""
    near, far = socket.socketpair()
    peer = Peer([far])
    ours = Interrupted(fileno=near.detach())
    with client.Client(ours, echo, timeout=peers.SECONDS) as connection:
        yield connection, ours
    peer.end()


def test_a_request_sent_in_the_middle_of_receiving_is_sent_once(interrupted: tuple[client.Client, Interrupted]) -> None:
    connection, ours = interrupted
    calls: list[client.Call] = []
    ours.after, ours.code = "receive", lambda: calls.append(connection.send((6, b"s", [1], b"b")))
    check(connection.call(VALUES))
    check(calls[0].result(), 6)
    assert connection.in_flight == 0


@pytest.mark.parametrize("after", ["send", "receive"])
def test_waiting_in_the_middle_of_a_step_is_refused(interrupted: tuple[client.Client, Interrupted], after: str) -> None:
    connection, ours = interrupted
    refused: list[samebytes.BusyError] = []

    def wait() -> None:
        with pytest.raises(samebytes.BusyError, match="in the call that this one interrupts") as caught:
            connection.call(VALUES)
        refused.append(caught.value)

    ours.after, ours.code = after, wait
    check(connection.call(VALUES))
    assert refused
    check(connection.call(VALUES))


def test_a_close_in_the_middle_of_sending_ends_the_call(interrupted: tuple[client.Client, Interrupted]) -> None:
    connection, ours = interrupted
    ours.after, ours.code = "send", connection.close
    call = connection.send(VALUES)
    with pytest.raises(samebytes.ClosedError, match="this client has been closed"):
        call.result()
    assert connection.closed and ours.fileno() == -1


def test_a_close_in_the_middle_of_receiving_comes_after_what_was_received(
    interrupted: tuple[client.Client, Interrupted],
) -> None:
    connection, ours = interrupted
    ours.after, ours.code = "receive", connection.close
    check(connection.send(VALUES).result())
    assert connection.closed and ours.fileno() == -1


def test_a_response_whose_schema_was_closed_fails_its_call(echo: client.Pair) -> None:
    near, far = socket.socketpair()
    peer = Peer([far])
    with client.Client(near, echo, timeout=peers.SECONDS) as connection:
        call = connection.send(VALUES)
        echo.response.close()
        with pytest.raises(samebytes.ClosedError, match="Schema has been closed"):
            call.result()
        assert call.done()
    peer.end()
