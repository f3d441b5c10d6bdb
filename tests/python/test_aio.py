"""samebytes.aio: pipelining over asyncio, against itself and against peers of plain sockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import socket
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

import samebytes
from samebytes import aio

from . import peers
from .peers import listening, receive_requests, request_frame, request_values, response_frame

Result = TypeVar("Result")


@pytest.fixture
def echo() -> Iterator[aio.Pair]:
    pair = aio.Pair.open_echo()
    yield pair
    for schema in pair:
        schema.close()


def run(main: Coroutine[Any, Any, Result]) -> Result:
    async def limited() -> Result:
        async with asyncio.timeout(peers.SECONDS):
            return await main

    return asyncio.run(limited())


def answer(request: Any) -> dict[str, Any]:
    return {"id": 7, "timestamp": request.timestamp, "subject": request.subject, "body": request.body}


# ---- client and server of this package ----


def test_a_call_is_answered(echo: aio.Pair) -> None:
    async def main() -> None:
        async with (
            await aio.serve(answer, "127.0.0.1", 0, echo) as server,
            await aio.connect("127.0.0.1", server.port, echo) as client,
        ):
            by_position = await client.call(request_values(5))
            by_name = await client.call({"body": b"b", "metadata": (), "subject": b"s", "timestamp": -1})
        assert (by_position.id, by_position.timestamp, by_position.subject, by_position.body) == (
            7,
            5,
            b"subject 5",
            b"body",
        )
        assert (by_name.timestamp, by_name.subject, by_name.sequence) == (-1, b"s", 1)

    run(main())


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_thousands_of_requests_of_any_size_arrive_unchanged(echo: aio.Pair, tls: bool, tmp_path: Path) -> None:
    server_tls, client_tls = peers.contexts(tmp_path) if tls else (None, None)
    generator = random.Random(3)
    bodies = [generator.randbytes(generator.choice((0, 1, 30, 5_000, 70_000))) for _ in range(1_500)]

    async def main() -> None:
        async with await aio.serve(answer, "127.0.0.1", 0, echo, ssl=server_tls) as server:
            options = {"ssl": client_tls, "server_hostname": "localhost"} if tls else {}
            async with await aio.connect("127.0.0.1", server.port, echo, **options) as client:
                many = (request_values(index, body) for index, body in enumerate(bodies))
                rows = [row async for row in client.call_many(many)]
        assert [row.timestamp for row in rows] == list(range(len(bodies)))
        assert all(row.body == body for row, body in zip(rows, bodies, strict=True))

    run(main())


@pytest.mark.parametrize(("size_max", "pause"), [(200, 0.0), (30_000, 0.002)], ids=["small pieces", "slow readers"])
def test_tls_in_pieces_of_any_size(echo: aio.Pair, size_max: int, pause: float, tmp_path: Path) -> None:
    """A record of TLS comes in many pieces, and many records in one."""
    server_tls, client_tls = peers.contexts(tmp_path)
    bodies = [b"x" * (index * 7919 % (size_max * 3)) for index in range(150)]

    async def main(port: int) -> None:
        async with await aio.connect("127.0.0.1", port, echo, ssl=client_tls, server_hostname="localhost") as client:
            many = (request_values(index, body) for index, body in enumerate(bodies))
            rows = [row async for row in client.call_many(many)]
            last = await client.send(request_values(7, b"last"))
            await client.finish()
            assert (await last).body == b"last"
        assert [row.timestamp for row in rows] == list(range(len(bodies)))
        assert all(row.body == body for row, body in zip(rows, bodies, strict=True))

    async def serving() -> None:
        async with await aio.serve(answer, "127.0.0.1", 0, echo, ssl=server_tls) as server:
            with peers.Proxy(server.port, size_max, pause) as proxy:
                await main(proxy.port)
                await asyncio.to_thread(proxy.thread.join, peers.SECONDS)

    run(serving())


def test_a_reset_within_a_record_of_tls_gives_each_request_in_flight_an_error(echo: aio.Pair, tmp_path: Path) -> None:
    server_tls, client_tls = peers.contexts(tmp_path)

    async def main() -> list[Any]:
        async with await aio.serve(answer, "127.0.0.1", 0, echo, ssl=server_tls) as server:
            with peers.Proxy(server.port, 10_000, reset_after=100_003) as proxy:
                options = {"ssl": client_tls, "server_hostname": "localhost"}
                async with await aio.connect("127.0.0.1", proxy.port, echo, **options) as client:
                    calls = [client.call(request_values(index, b"x" * 10_000)) for index in range(40)]
                    found = await asyncio.gather(*calls, return_exceptions=True)
                await asyncio.to_thread(proxy.thread.join, peers.SECONDS)
            async with await aio.connect("127.0.0.1", server.port, echo, **options) as client:
                await client.call(request_values(1))  # others go on
        return found

    found = run(main())
    errors = [error for error in found if isinstance(error, Exception)]
    assert errors and len(errors) < len(found)
    assert all(isinstance(error, samebytes.UnavailableError) and "in flight" in str(error) for error in errors)


def test_awaitable_handlers_answer_out_of_order_and_each_call_gets_its_own_answer(echo: aio.Pair) -> None:
    running = most = 0
    generator = random.Random(4)

    async def later(request: Any) -> dict[str, Any]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(generator.random() / 50)
        running -= 1
        return answer(request)

    async def main() -> None:
        async with (
            await aio.serve(later, "127.0.0.1", 0, echo) as server,
            await aio.connect("127.0.0.1", server.port, echo) as client,
        ):
            rows = await asyncio.gather(*(client.call(request_values(index)) for index in range(1_000)))
            assert client.in_flight == 0
        assert [row.timestamp for row in rows] == list(range(1_000))

    run(main())
    assert 64 < most <= 256


def test_a_server_runs_at_most_in_flight_max_handlers_of_a_connection(echo: aio.Pair) -> None:
    running = most = 0

    async def later(request: Any) -> dict[str, Any]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return answer(request)

    async def main() -> None:
        async with (
            await aio.serve(later, "127.0.0.1", 0, echo, in_flight_max=3) as server,
            await aio.connect("127.0.0.1", server.port, echo) as client,
        ):
            assert [row.timestamp async for row in client.call_many(map(request_values, range(100)))] == list(
                range(100)
            )

    run(main())
    assert most == 3


def test_several_pairs_share_a_connection(echo: aio.Pair) -> None:
    add = aio.Pair(
        samebytes.Schema("Add", "request", 1, [("terms", "array<int64>")]),
        samebytes.Schema("Sum", "response", 1, [("sum", "int64")]),
    )

    def both(request: Any) -> Any:
        return [sum(request.terms)] if request.api_key == 1 else answer(request)

    async def main() -> None:
        async with (
            await aio.serve(both, "127.0.0.1", 0, echo, add) as server,
            await aio.connect("127.0.0.1", server.port, echo, add) as client,
        ):
            assert (await client.call([[1, 2, 39]], request=add.request)).sum == 42
            assert (await client.call(request_values(3), request=echo.request)).timestamp == 3
            with pytest.raises(samebytes.InvalidArgumentError, match="request: say which"):
                await client.call([[1]])
            with pytest.raises(samebytes.InvalidArgumentError, match="Sum is none of this client's"):
                await client.call([1], request=add.response)

    run(main())


def test_finish_half_closes_and_gets_every_answer(echo: aio.Pair) -> None:
    async def later(request: Any) -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return answer(request)

    async def main() -> None:
        async with await aio.serve(later, "127.0.0.1", 0, echo) as server:
            client = await aio.connect("127.0.0.1", server.port, echo)
            futures = [await client.send(request_values(index)) for index in range(20)]
            finishing = asyncio.create_task(client.finish())
            await asyncio.sleep(0)
            with pytest.raises(samebytes.ClosedError, match="finishing"):
                await client.call(request_values(1))
            await finishing
            assert [future.result().timestamp for future in futures] == list(range(20))
            assert client.closed

    run(main())


# ---- back-pressure ----


def test_at_most_256_requests_are_in_flight_and_the_next_waits(echo: aio.Pair) -> None:
    first, more = threading.Event(), []

    def converse(peer: socket.socket) -> None:
        rows = receive_requests(peer, 256)
        assert len(rows) == 256 and len({row.sequence for row in rows}) == 256
        assert first.wait(peers.SECONDS)
        peer.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.recv(1)
        peer.settimeout(peers.SECONDS)
        peer.sendall(response_frame(rows[100].sequence, id=100))
        more.extend(receive_requests(peer, 1))
        assert more[0].sequence == rows[100].sequence
        peer.sendall(b"".join(response_frame(row.sequence) for row in [*more, *rows[:100], *rows[101:]]))

    async def main(port: int) -> None:
        async with await aio.connect("127.0.0.1", port, echo) as client:
            futures = [await client.send(request_values(index)) for index in range(256)]
            waiting = asyncio.create_task(client.call(request_values(256)))
            await asyncio.sleep(0.05)
            assert not waiting.done() and client.in_flight == 256
            first.set()
            await waiting
            await asyncio.gather(*futures)
            assert futures[100].result().id == 100

    with listening(converse) as port:
        run(main(port))


def test_a_request_that_waits_for_room_can_be_cancelled(echo: aio.Pair) -> None:
    async def later(request: Any) -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return answer(request)

    async def main() -> None:
        async with (
            await aio.serve(later, "127.0.0.1", 0, echo) as server,
            await aio.connect("127.0.0.1", server.port, echo, in_flight_max=1) as client,
        ):
            tasks = [asyncio.create_task(client.call(request_values(index))) for index in range(4)]
            await asyncio.sleep(0.01)
            tasks[1].cancel()
            rows = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(rows.pop(1), asyncio.CancelledError)
        assert [row.timestamp for row in rows] == [0, 2, 3]  # type: ignore[union-attr]

    run(main())


def test_a_client_that_does_not_read_stops_the_server_and_gets_everything_when_it_reads(echo: aio.Pair) -> None:
    handled = 0

    def counting(request: Any) -> dict[str, Any]:
        nonlocal handled
        handled += 1
        return answer(request)

    count, body = 400, b"x" * 50_000

    async def main() -> None:
        async with await aio.serve(counting, "127.0.0.1", 0, echo) as server:
            loop = asyncio.get_running_loop()
            with socket.create_connection(("127.0.0.1", server.port)) as peer:
                frames = b"".join(request_frame(index % 100, index, body) for index in range(count))
                sender = threading.Thread(target=peer.sendall, args=(frames,))
                sender.start()
                await asyncio.sleep(0.5)
                seen = handled
                assert seen < count
                await asyncio.sleep(0.2)
                assert handled == seen
                received = await loop.run_in_executor(None, receive_responses, peer, count)
                sender.join()
        assert [row.values[1] for row in received] == list(range(count))

    def receive_responses(peer: socket.socket, count: int) -> list[Any]:
        data = bytearray()
        size = len(response_frame(0, body=body))
        while len(data) < count * size:
            data += peer.recv(1 << 20)
        return peers.reference.decode(bytes(data), [peers.reference.ECHO_RESPONSE]).rows

    run(main())


# ---- timeouts and cancelled requests ----


def test_cancelled_and_timed_out_requests_keep_their_sequence_until_their_response_came(echo: aio.Pair) -> None:
    late = threading.Event()

    def converse(peer: socket.socket) -> None:
        first = receive_requests(peer, 2)
        assert [row.sequence for row in first] == [0, 1]
        rest = receive_requests(peer, 254)
        assert sorted(row.sequence for row in rest) == sorted({*range(-128, 128)} - {0, 1})
        peer.sendall(b"".join(response_frame(row.sequence, id=1) for row in rest))
        again = receive_requests(peer, 254)  # all sequences but the two that are reserved
        assert not {row.sequence for row in again} & {0, 1}
        assert late.wait(peers.SECONDS)
        peer.sendall(b"".join(response_frame(row.sequence, id=2) for row in [*first, *again]))
        last = receive_requests(peer, 256)
        assert {0, 1} <= {row.sequence for row in last}
        peer.sendall(b"".join(response_frame(row.sequence, id=3) for row in last))

    async def main(port: int) -> None:
        async with await aio.connect("127.0.0.1", port, echo) as client:
            (await client.send(request_values(0))).cancel()
            with pytest.raises(samebytes.TimeoutError, match="no response came within 0.05 s"):
                await client.call(request_values(1), timeout=0.05)
            for wanted, count in ((1, 254), (2, 254), (3, 256)):
                assert client.in_flight == (2 if wanted < 3 else 0)
                futures = [await client.send(request_values(index)) for index in range(count)]
                late.set() if wanted == 2 else None
                assert {row.id for row in await asyncio.gather(*futures)} == {wanted}
                await asyncio.sleep(0.05)

    with listening(converse) as port:
        run(main(port))


def test_the_clients_timeout_is_for_every_call_and_leaves_the_connection_usable(echo: aio.Pair) -> None:
    async def slow(request: Any) -> dict[str, Any]:
        await asyncio.sleep(0.3 if request.timestamp else 0)
        return answer(request)

    async def main() -> None:
        async with (
            await aio.serve(slow, "127.0.0.1", 0, echo) as server,
            await aio.connect("127.0.0.1", server.port, echo, timeout=0.1) as client,
        ):
            with pytest.raises(TimeoutError):
                await client.call(request_values(1))
            with pytest.raises(samebytes.TimeoutError):
                _ = [row async for row in client.call_many([request_values(1)])]
            assert (await client.call(request_values(0))).timestamp == 0
            assert (await client.call(request_values(2), timeout=10)).timestamp == 2

    run(main())


# ---- peers that misbehave or vanish ----


def ends_with(sent: list[Any], echo: aio.Pair, converse: Any, requests: int = 3) -> list[BaseException]:
    """What each of some requests gets from a peer, and what the client says after that."""

    async def main(port: int) -> list[BaseException]:
        client = await aio.connect("127.0.0.1", port, echo)
        futures = [await client.send(request_values(index)) for index in range(requests)]
        found = await asyncio.gather(*futures, return_exceptions=True)
        with pytest.raises(samebytes.SamebytesError) as caught:
            await client.call(request_values(0))
        sent.append(caught.value)
        await client.close()
        await client.close()
        return found  # type: ignore[return-value]

    with listening(converse) as port:
        return run(main(port))


def test_a_peer_that_ends_gives_each_request_in_flight_an_error(echo: aio.Pair) -> None:
    def converse(peer: socket.socket) -> None:
        rows = receive_requests(peer, 3)
        peer.sendall(response_frame(rows[1].sequence, id=9))

    after: list[Any] = []
    first, second, third = ends_with(after, echo, converse)
    assert second.id == 9  # type: ignore[attr-defined]
    for error in (first, third):
        assert isinstance(error, samebytes.UnavailableError) and isinstance(error, ConnectionError)
        assert str(error) == "the server ended the connection with 2 requests in flight"
    assert first is not third
    assert str(after[0]) == str(first)


def test_a_reset_in_the_middle_of_a_frame_gives_each_request_in_flight_an_error(echo: aio.Pair) -> None:
    def converse(peer: socket.socket) -> None:
        receive_requests(peer, 3)
        peer.sendall(response_frame(0)[:9])
        peers.reset(peer)

    found = ends_with([], echo, converse)
    for error in found:
        assert isinstance(error, samebytes.UnavailableError) and isinstance(error, ConnectionResetError)
        assert error.errno == error.system_error == errno.ECONNRESET
    assert len(found) == 3
    assert "3 requests in flight" in str(found[0])


@pytest.mark.parametrize(
    ("frames", "kind", "message"),
    [
        (response_frame(77), samebytes.NotFoundError, "sequence 77, which no request in flight has"),
        (response_frame(0) * 2, samebytes.NotFoundError, "sequence 0, which no request"),
        (bytes.fromhex("00000003 00 00 ff"), samebytes.CorruptError, "id"),
        (bytes.fromhex("00000002 05 00"), samebytes.UnknownApiKeyError, "api_key"),
        (bytes.fromhex("ffffffff"), samebytes.CorruptError, "Size"),
        (bytes.fromhex("7fffffff"), samebytes.TooLargeError, "Size"),
    ],
    ids=["unknown-sequence", "repeated-sequence", "bad-body", "unknown-api-key", "negative-size", "huge-size"],
)
def test_a_wrong_response_ends_the_connection_and_says_why(
    echo: aio.Pair, frames: bytes, kind: type, message: str
) -> None:
    def converse(peer: socket.socket) -> None:
        receive_requests(peer, 3)
        peer.sendall(frames)
        assert peer.recv(1) == b""

    def unreset(peer: socket.socket) -> None:
        with contextlib.suppress(ConnectionResetError):  # the client ends at once, which may be told as a reset
            converse(peer)

    after: list[Any] = []
    found = ends_with(after, echo, unreset)
    assert type(found[2]) is kind and message in str(found[2])
    assert type(after[0]) is kind


def test_a_response_of_another_pair_is_no_answer(echo: aio.Pair) -> None:
    add = aio.Pair(
        samebytes.Schema("Add", "request", 1, [("terms", "array<int64>")]),
        samebytes.Schema("Sum", "response", 1, [("sum", "int64")]),
    )

    async def main(port: int) -> None:
        async with await aio.connect("127.0.0.1", port, echo, add) as client:
            with pytest.raises(samebytes.CorruptError, match="request Add was answered by EchoResponse"):
                await client.call([[1]], request=add.request)
            assert client.closed

    def converse(peer: socket.socket) -> None:
        peer.recv(1000)
        peer.sendall(response_frame(0))

    with listening(converse) as port:
        run(main(port))


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_an_answer_counts_when_its_request_has_been_sent(echo: aio.Pair, beyond: int) -> None:
    """The server reads nothing, so that the socket holds some requests and a part of one, and guesses a sequence."""

    async def main() -> None:
        near, far = socket.socketpair()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 40000)  # so that larger writes go in parts
        with far:
            client = await aio.connect(None, None, echo, sock=near)
            futures = []
            while client._writable:
                futures.append(await client.send([0, b"", (), bytes(70001)]))
                await asyncio.sleep(0)
            whole, part = divmod(len(far.recv(2**24, socket.MSG_PEEK)), len(request_frame(0, body=bytes(70001))) - 2)
            assert part
            assert 0 < whole < len(futures) - 1
            far.sendall(response_frame(whole + beyond, 7))
            if beyond < 0:
                assert (await futures[whole + beyond]).id == 7
            else:
                for future in futures:
                    with pytest.raises(
                        samebytes.NotFoundError, match=f"sequence {whole + beyond}, whose request has not"
                    ):
                        await future
            await client.close()

    run(main())


def test_close_gives_requests_in_flight_an_error(echo: aio.Pair) -> None:
    def converse(peer: socket.socket) -> None:
        try:
            while peer.recv(1000):
                pass
        except ConnectionResetError:
            pass

    async def main(port: int) -> None:
        client = await aio.connect("127.0.0.1", port, echo, in_flight_max=2)
        futures = [await client.send(request_values(index)) for index in range(2)]
        waiting = [asyncio.create_task(client.send(request_values(index))) for index in range(3)]
        await asyncio.sleep(0.02)
        await client.close()
        found = await asyncio.gather(*futures, *waiting, return_exceptions=True)
        assert [type(error) for error in found] == [samebytes.ClosedError] * 5

    with listening(converse) as port:
        run(main(port))


# ---- what a server does with wrong clients and handlers ----


def served(handler: Any, echo: aio.Pair, data: bytes, **options: Any) -> tuple[bytes, list[str]]:
    """What a server answers to bytes until it ends the connection, and what the loop was told."""
    told: list[str] = []

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(f"{context['message']}: {context.get('exception')}"))
        async with await aio.serve(handler, "127.0.0.1", 0, echo, **options) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(data)
            try:
                received = await reader.read()
            except ConnectionResetError:
                received = b""
            writer.close()
            return received

    return run(main()), told


def test_a_bad_request_ends_the_connection_after_the_good_ones_were_answered(echo: aio.Pair) -> None:
    async def later(request: Any) -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return answer(request)

    for handler in (answer, later):
        received, told = served(
            handler, echo, request_frame(1, 11) + request_frame(2, 12) + bytes.fromhex("00000002 05 00")
        )
        rows = peers.reference.decode(received, [peers.reference.ECHO_RESPONSE]).rows
        assert [(row.sequence, row.values[1]) for row in rows] == [(1, 11), (2, 12)]
        assert len(told) == 1 and "a request was refused" in told[0] and "api_key" in told[0]


def test_a_sequence_that_is_repeated_while_it_is_answered_ends_the_connection(echo: aio.Pair) -> None:
    async def later(request: Any) -> dict[str, Any]:
        await asyncio.sleep(10)
        return answer(request)

    _, told = served(later, echo, request_frame(1) + request_frame(1))
    assert len(told) == 1 and "sequence 1 was repeated" in told[0]


def fails(request: Any) -> Any:
    raise ZeroDivisionError("of the handler")


async def fails_later(request: Any) -> Any:
    raise ZeroDivisionError("of the handler")


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (fails, "of the handler"),
        (fails_later, "of the handler"),
        (lambda request: [2**31, 0, b"", b""], "id"),
        (lambda request: {"id": 1}, "EchoResponse lacks 'timestamp'"),
        (lambda request: None, "not iterable"),
    ],
)
def test_a_handler_that_fails_ends_the_connection_and_is_told(echo: aio.Pair, handler: Any, message: str) -> None:
    received, told = served(handler, echo, request_frame(1))
    assert received == b""
    assert len(told) == 1 and "the handler failed" in told[0] and message in told[0]


def test_a_client_that_vanishes_stops_its_handlers(echo: aio.Pair) -> None:
    stopped = []

    async def later(request: Any) -> dict[str, Any]:
        try:
            await asyncio.sleep(peers.SECONDS)
        except asyncio.CancelledError:
            stopped.append(request.sequence)
            raise
        return answer(request)

    async def main() -> None:
        async with await aio.serve(later, "127.0.0.1", 0, echo) as server:
            peer = socket.create_connection(("127.0.0.1", server.port))
            peer.sendall(request_frame(3) + request_frame(4) + request_frame(5)[:7])
            await asyncio.sleep(0.1)
            assert server.connections == 1
            peers.reset(peer)
            while server.connections:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)

    run(main())
    assert sorted(stopped) == [3, 4]


def test_close_of_a_server_ends_its_connections(echo: aio.Pair) -> None:
    async def main() -> None:
        server = await aio.serve(answer, "127.0.0.1", 0, echo)
        client = await aio.connect("127.0.0.1", server.port, echo)
        await client.call(request_values(1))
        await server.close()
        await server.close()
        with pytest.raises(samebytes.UnavailableError):
            await client.call(request_values(2))
        with pytest.raises(samebytes.ClosedError):
            _ = server.port
        await client.close()

    run(main())


# ---- what is refused at once ----


def test_values_that_are_refused_take_no_room(echo: aio.Pair) -> None:
    async def main() -> None:
        async with (
            await aio.serve(answer, "127.0.0.1", 0, echo) as server,
            await aio.connect("127.0.0.1", server.port, echo) as client,
        ):
            for _ in range(257):  # a sequence lost each time would leave none
                with pytest.raises(OverflowError, match="timestamp"):
                    await client.call([2**63, b"", [], b""])
            with pytest.raises(samebytes.InvalidArgumentError, match="EchoRequest lacks 'body' and has no 'bodi'"):
                await client.call({"timestamp": 1, "subject": b"", "metadata": [], "bodi": b""})
            assert client.in_flight == 0
            assert (await client.call(request_values(1))).timestamp == 1

    run(main())


def test_wrong_pairs_and_limits_are_refused(echo: aio.Pair) -> None:
    async def make(*pairs: Any, **options: Any) -> None:
        await aio.serve(answer, "127.0.0.1", 0, *pairs, **options)

    for pairs, kind, message in (
        ((), ValueError, "at least one pair"),
        ((echo.request,), TypeError, r"pairs\[0\]: a pair of schemas"),
        (((echo.response, echo.request),), ValueError, "EchoResponse is no request"),
        (((echo.request, 5),), TypeError, r"pairs\[0\].response: a Schema is needed"),
    ):
        with pytest.raises(kind, match=message):
            run(make(*pairs))
    for wrong in (0, 257):
        with pytest.raises(ValueError, match="in_flight_max is 1 to 256"):
            run(make(echo, in_flight_max=wrong))


def test_the_transport_is_given_a_memoryview_of_the_parsers_own_memory(echo: aio.Pair) -> None:
    async def main() -> None:
        async with (
            await aio.serve(answer, "127.0.0.1", 0, echo) as server,
            await aio.connect("127.0.0.1", server.port, echo) as client,
        ):
            memory = client.get_buffer(-1)
            assert type(memory) is memoryview and not memory.readonly
            await client.call(request_values(1))
            with pytest.raises(ValueError, match="released"):
                memory[0]

    run(main())


# ---- a server of batches ----


class Answers:
    """Answers batches from their columns, or from their rows."""

    def __init__(self, echo: aio.Pair, by_columns: bool = True) -> None:
        self.response = echo.response
        self.by_columns = by_columns
        self.sizes: list[int] = []

    def __call__(self, batch: samebytes.Batch, builder: samebytes.Builder) -> None:
        ids = list(range(sum(self.sizes), sum(self.sizes) + len(batch)))
        self.sizes.append(len(batch))
        if self.by_columns:
            given = batch.columns()
            columns = [ids, given["timestamp"], given["subject"], given["body"]]
            builder.add_columns(self.response, batch.column("sequence"), columns)
        else:
            rows = [(id, row.timestamp, row.subject, row.body) for id, row in zip(ids, batch.rows)]
            builder.add_rows(self.response, batch.column("sequence"), rows)


@pytest.mark.parametrize("by_columns", [True, False])
def test_batches_are_answered_in_one_call(echo: aio.Pair, by_columns: bool, tmp_path: Path) -> None:
    server_tls, client_tls = peers.contexts(tmp_path)

    async def main(options: dict[str, Any], client_options: dict[str, Any]) -> Answers:
        handler = Answers(echo, by_columns)
        async with (
            await aio.serve(handler, "127.0.0.1", 0, echo, batches=True, **options) as server,
            await aio.connect("127.0.0.1", server.port, echo, **client_options) as client,
        ):
            requests = [request_values(index, b"x" * (index * 37 % 5000)) for index in range(3000)]
            responses = [response async for response in client.call_many(requests)]
            assert [(r.id, r.timestamp, r.subject, r.body) for r in responses] == [
                (index, values[0], values[1], values[3]) for index, values in enumerate(requests)
            ]
            await client.finish()
        return handler

    for options, client_options in (
        ({}, {}),
        ({"ssl": server_tls}, {"ssl": client_tls, "server_hostname": "localhost"}),
    ):
        handler = run(main(options, client_options))
        assert sum(handler.sizes) == 3000 and len(handler.sizes) < 1500


def test_a_bad_request_ends_the_connection_after_the_batch_before_it(echo: aio.Pair) -> None:
    good = request_frame(1, 11) + request_frame(2, 12)
    for bad in (bytes.fromhex("00000003 00 00 ff"), bytes.fromhex("ffffffff")):
        received, told = served(Answers(echo), echo, good + bad, batches=True)
        assert received == response_frame(1, 0, 11) + response_frame(2, 1, 12)
        assert len(told) == 1 and "a request was refused" in told[0]


def test_a_handler_of_batches_that_fails_or_keeps_columns_ends_the_connection(echo: aio.Pair) -> None:
    def fails(batch: samebytes.Batch, builder: samebytes.Builder) -> None:
        raise RuntimeError("no answer")

    received, told = served(fails, echo, request_frame(1), batches=True)
    assert received == b"" and len(told) == 1
    assert "the handler failed" in told[0] and "no answer" in told[0]

    calls: list[memoryview] = []

    def keeps(batch: samebytes.Batch, builder: samebytes.Builder) -> None:
        calls.append(batch.column("timestamp"))

    async def main() -> list[str]:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context.get("exception"))))
        async with await aio.serve(keeps, "127.0.0.1", 0, echo, batches=True) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for _ in range(2):
                writer.write(request_frame(1))
                await asyncio.sleep(0.05)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            calls.clear()
        return told

    told = run(main())
    assert len(told) == 1 and "1 memoryview in use" in told[0]


def test_a_server_of_batches_reads_no_more_while_its_client_does_not(echo: aio.Pair) -> None:
    total = 4000

    async def main() -> None:
        handler = Answers(echo)
        async with await aio.serve(handler, "127.0.0.1", 0, echo, batches=True) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 16)
            body = b"x" * 10000
            frames = [request_frame(index % 256 - 128, index, body) for index in range(total)]
            sending = asyncio.ensure_future(asyncio.to_thread(b"".join, frames))
            writer.write(await sending)
            await asyncio.sleep(0.3)
            assert 0 < sum(handler.sizes) < total
            size = len(response_frame(0, 0, 0, body))
            received = await reader.readexactly(size * total)
            assert received[-size:] == response_frame((total - 1) % 256 - 128, total - 1, total - 1, body)
            writer.close()

    run(main())


class Begun:
    """A coroutine that runs at once as far as it goes without waiting, as an eager task does, and then where it is awaited."""

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self.work = work
        self.first = work.send(None)

    def __await__(self) -> Iterator[Any]:
        waits_for = self.first
        while True:
            yield waits_for
            try:
                waits_for = self.work.send(None)
            except StopIteration:
                return


def test_a_finish_that_begins_in_the_middle_of_a_send_waits_for_its_response(echo: aio.Pair) -> None:
    begun: list[Begun] = []

    async def main() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        async with await aio.serve(answer, "127.0.0.1", 0, echo) as server:
            client = await aio.connect("127.0.0.1", server.port, echo)

            class Finishing:
                def __index__(self) -> int:
                    if not begun:
                        begun.append(Begun(client.finish()))
                    return 5

            future = await client.send([Finishing(), b"s", [1], b"b"])
            await begun[0]
            return await future

    failures: list[Any] = []
    assert run(main()).timestamp == 5
    assert failures == []


def test_a_server_that_is_closed_before_asyncio_looks_does_not_serve_forever(echo: aio.Pair) -> None:
    async def main() -> None:
        server = await aio.serve(answer, "127.0.0.1", 0, echo)
        listening = server._listening
        assert listening is not None
        serve_forever = listening.serve_forever

        async def closed_first() -> None:
            await server.close()
            await serve_forever()

        listening.serve_forever = closed_first  # type: ignore[method-assign]
        with pytest.raises(samebytes.ClosedError, match="does not listen"):
            await server.serve_forever()

    run(main())


def test_a_response_whose_schema_was_closed_fails_its_call(echo: aio.Pair) -> None:
    async def main() -> None:
        async with (
            await aio.serve(answer, "127.0.0.1", 0, echo) as server,
            await aio.connect("127.0.0.1", server.port, aio.Pair(echo.request, response)) as client,
        ):
            future = await client.send(request_values(1))
            response.close()
            with pytest.raises(samebytes.ClosedError, match="Schema has been closed"):
                await future

    with samebytes.echo_response_schema() as response:
        run(main())
