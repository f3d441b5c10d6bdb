"""samebytes.easynetwork, judged by easynetwork itself: its consumers, its protocols, its TCP server and clients."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import socket
import struct
import sys
import weakref
from collections.abc import AsyncGenerator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from easynetwork.clients import AsyncTCPNetworkClient, TCPNetworkClient
from easynetwork.exceptions import (
    DeserializeError,
    IncrementalDeserializeError,
    LimitOverrunError,
    StreamProtocolParseError,
)
from easynetwork.lowlevel._stream import BufferedStreamDataConsumer, StreamDataConsumer
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.abc import BufferedIncrementalPacketSerializer
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

import samebytes
from samebytes.easynetwork import BatchSerializer, MessageSerializer, make_serializer

from . import peers
from .conftest import REFERENCE, output_of
from .peers import reference, request_frame

PROTOCOLS = [StreamProtocol, BufferedStreamProtocol]
BAD_BODY = bytes.fromhex("00000003 00 00 ff")
UNKNOWN = bytes.fromhex("00000002 05 00")


@pytest.fixture
def schemas() -> Iterator[tuple[samebytes.Schema, samebytes.Schema]]:
    with samebytes.echo_request_schema() as request, samebytes.echo_response_schema() as response:
        yield request, response


class Endpoint:
    """easynetwork's own consumer of one kind of protocol, and what a connection does with it."""

    def __init__(self, serializer: Any, protocol: Any, size: int = 64) -> None:
        self.created = 0
        self.buffered = protocol is BufferedStreamProtocol
        self.protocol = protocol(serializer)
        self.consumer: Any = (
            BufferedStreamDataConsumer(self.protocol, size) if self.buffered else StreamDataConsumer(self.protocol)
        )

    def receive(self, data: bytes) -> Iterator[Any]:
        """Every packet, or error of the format, that the data completes. Anything else is raised."""
        while data:
            size: int | None = len(data)
            if self.buffered:
                with self.consumer.get_write_buffer() as buffer:
                    size = min(len(data), len(buffer))
                    buffer[:size] = data[:size]
            yield from self.packets(size if self.buffered else data)
            data = data[size:]

    def packets(self, received: Any) -> Iterator[Any]:
        while True:
            try:
                yield self.consumer.next(received)
            except StopIteration:
                return
            except StreamProtocolParseError as error:
                yield error.error
            received = None


def flat(packets: Iterator[Any]) -> list[Any]:
    """Messages by their timestamps, and the classes of errors."""
    found: list[Any] = []
    for packet in packets:
        for one in packet if isinstance(packet, list) else [packet]:
            found.append(type(one) if isinstance(one, Exception) else one.timestamp)
    return found


SERIALIZERS = [MessageSerializer, BatchSerializer]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", SERIALIZERS)
class TestReceiving:
    def test_every_split_of_good_and_bad_frames_gives_the_same(self, kind: Any, protocol: Any, schemas: Any) -> None:
        stream = (
            request_frame(1, 11) + BAD_BODY + request_frame(2, 12, b"x" * 90) + UNKNOWN + UNKNOWN + request_frame(3, 13)
        )
        wanted = [11, IncrementalDeserializeError, 12, IncrementalDeserializeError, IncrementalDeserializeError, 13]
        serializer = kind(schemas[0])
        for size in (16, 64, 100, 1000):
            for cut in range(len(stream)):
                endpoint = Endpoint(serializer, protocol, size)
                assert flat(part for data in (stream[:cut], stream[cut:]) for part in endpoint.receive(data)) == wanted

    def test_byte_by_byte(self, kind: Any, protocol: Any, schemas: Any) -> None:
        endpoint = Endpoint(kind(schemas[0]), protocol)
        stream = (request_frame(1, 11, b"x" * 200) + BAD_BODY) * 3
        found = flat(part for index in range(len(stream)) for part in endpoint.receive(stream[index : index + 1]))
        assert found == [11, IncrementalDeserializeError] * 3

    def test_one_serializer_serves_many_connections_at_once(self, kind: Any, protocol: Any, schemas: Any) -> None:
        serializer = kind(schemas[0])
        generator = random.Random(6)
        connections = [Endpoint(serializer, protocol) for _ in range(5)]
        streams = [
            b"".join(request_frame(0, number * 100 + i, b"y" * 70 * i) for i in range(20)) for number in range(5)
        ]
        found: list[list[Any]] = [[] for _ in connections]
        while any(streams):
            number = generator.randrange(5)
            size = generator.randrange(1, 200)
            found[number] += flat(connections[number].receive(streams[number][:size]))
            streams[number] = streams[number][size:]
        assert found == [[number * 100 + i for i in range(20)] for number in range(5)]

    def test_the_limit_counts_the_whole_frame(self, kind: Any, protocol: Any, schemas: Any) -> None:
        frame = request_frame(1, 11, b"x" * 30)
        fits = Endpoint(kind(schemas[0], limit=len(frame)), protocol)
        assert flat(fits.receive(frame + frame)) == [11, 11]
        too_large = Endpoint(kind(schemas[0], limit=len(frame) - 1), protocol)
        (error,) = too_large.receive(frame[:4])
        assert isinstance(error, LimitOverrunError) and f"limit: {len(frame) - 1} bytes" in str(error)
        assert bytes(error.remaining_data) == b""

    @pytest.mark.parametrize("size", ["ffffffff", "00000001", "80000000"])
    def test_a_size_that_cannot_be_is_an_error_that_drops_what_is_there(
        self, kind: Any, protocol: Any, schemas: Any, size: str
    ) -> None:
        endpoint = Endpoint(kind(schemas[0]), protocol)
        first, second = endpoint.receive(request_frame(1, 11)[:40] + bytes.fromhex(size) + b"garbage")
        assert flat(iter([first])) == [11]
        assert type(second) is IncrementalDeserializeError and "Size" in str(second)
        assert flat(endpoint.receive(request_frame(1, 12))) == [12]

    def test_a_claimed_size_reserves_nothing(self, kind: Any, protocol: Any, schemas: Any) -> None:
        serializer = kind(schemas[0], limit=2**31)
        endpoint = Endpoint(serializer, protocol)
        before = samebytes.memory_live_blocks()
        assert flat(endpoint.receive(bytes.fromhex("7ffffff0") + bytes(100))) == []
        assert samebytes.memory_live_blocks() == before
        if endpoint.buffered:
            assert endpoint.consumer.buffer_size <= 64

    def test_a_large_frame_arrives_in_pieces_in_linear_time(self, kind: Any, protocol: Any, schemas: Any) -> None:
        body = random.Random(1).randbytes(1_000_000)
        endpoint = Endpoint(kind(schemas[0], limit=2_000_000), protocol, 4096)
        stream = request_frame(1, 11, body) + request_frame(2, 12)
        packets = [part for i in range(0, len(stream), 1000) for part in endpoint.receive(stream[i : i + 1000])]
        rows = [row for packet in packets for row in (packet if isinstance(packet, list) else [packet])]
        assert [row.timestamp for row in rows] == [11, 12] and rows[0].body == body

    def test_packets_do_not_alias_the_receive_buffer(self, kind: Any, protocol: Any, schemas: Any) -> None:
        endpoint = Endpoint(kind(schemas[0]), protocol, 1000)
        (first,) = endpoint.receive(request_frame(1, 11, b"first"))
        list(endpoint.receive(request_frame(1, 12, b"other") * 3))
        first = first[0] if isinstance(first, list) else first
        assert first.body == b"first"


# ---- the rules of easynetwork ----


@pytest.mark.parametrize("kind", SERIALIZERS)
class TestRules:
    def test_the_class_is_what_the_protocols_check_for(self, kind: Any, schemas: Any) -> None:
        serializer = kind(schemas[0])
        assert isinstance(serializer, BufferedIncrementalPacketSerializer)
        with pytest.raises(TypeError, match="Expected a buffered incremental serializer"):
            BufferedStreamProtocol(object())  # type: ignore[type-var, arg-type]

    def test_instances_have_slots_and_can_be_referenced_weakly(self, kind: Any, schemas: Any) -> None:
        serializer = kind(schemas[0])
        assert weakref.ref(serializer)() is serializer
        assert not hasattr(serializer, "__dict__")
        with pytest.raises(AttributeError):
            serializer.anything = 1

    def test_debug_and_buffer_limit(self, kind: Any, schemas: Any) -> None:
        assert (kind(schemas[0]).debug, kind(schemas[0]).buffer_limit) == (False, 65536)
        serializer = kind(schemas[0], limit=100, debug=True)
        assert (serializer.debug, serializer.buffer_limit) == (True, 100)
        for name in ("debug", "buffer_limit"):
            with pytest.raises(AttributeError):
                setattr(serializer, name, 1)

    def test_only_debug_shows_the_refused_bytes(self, kind: Any, schemas: Any) -> None:
        for debug, info in ((False, None), (True, {"data": BAD_BODY})):
            for protocol in PROTOCOLS:
                (error,) = Endpoint(kind(schemas[0], debug=debug), protocol).receive(BAD_BODY)
                assert error.error_info == info
                assert "field timestamp" in str(error) and "frame offset 6" in str(error)

    def test_a_plain_deserialize_error_in_a_generator_is_a_crash(self, kind: Any, schemas: Any) -> None:
        """Why IncrementalDeserializeError is raised: easynetwork takes nothing else."""

        class Wrong(kind):  # type: ignore[misc]
            __slots__ = ()

            def _packet(self, data: memoryview, end: int) -> Any:
                raise DeserializeError("plain")

        for protocol in PROTOCOLS:
            with pytest.raises(RuntimeError, match="crashed"):
                list(Endpoint(Wrong(schemas[0]), protocol).receive(BAD_BODY))

    def test_remaining_data_shrinks_with_each_error(self, kind: Any, schemas: Any) -> None:
        serializer = kind(schemas[0])
        data = UNKNOWN * 5 + b"\0"
        for _ in range(5):
            generator = serializer.incremental_deserialize()
            next(generator)
            with pytest.raises(IncrementalDeserializeError) as caught:
                generator.send(data)
            assert len(caught.value.remaining_data) == len(data) - len(UNKNOWN)
            data = bytes(caught.value.remaining_data)
        assert data == b"\0"

    def test_no_position_is_the_end_of_the_buffer(self, kind: Any, schemas: Any) -> None:
        serializer = kind(schemas[0], limit=1000)
        frame = request_frame(1, 11, b"x" * 50)
        for size in range(6, len(frame) + 3):
            buffer = serializer.create_deserializer_buffer(size)
            assert len(buffer) == size and not buffer.readonly
            rest = frame
            generator = serializer.buffered_incremental_deserialize(buffer)
            position, done = next(generator), None
            while done is None:
                assert 0 <= position < size
                count = min(size - position, len(rest))
                buffer[position : position + count] = rest[:count]
                rest = rest[count:]
                try:
                    position = generator.send(count)
                except StopIteration as stop:
                    done = stop.value
            packet, remainder = done
            assert flat(iter([packet])) == [11] and bytes(remainder) == b""

    def test_a_tiny_size_hint_gives_a_buffer_that_is_no_error(self, kind: Any, schemas: Any) -> None:
        assert len(kind(schemas[0]).create_deserializer_buffer(1)) >= 1
        assert flat(Endpoint(kind(schemas[0]), BufferedStreamProtocol, 1).receive(request_frame(1, 11))) == [11]


def test_a_batch_needs_one_buffer_per_read_where_single_messages_need_one_per_message(schemas: Any) -> None:
    """Each remainder makes easynetwork drop its buffer, whatever its manual says."""
    frames = request_frame(1, 11) * 100
    for kind, most in ((MessageSerializer, 300), (BatchSerializer, 4)):

        class Counting(kind):  # type: ignore[misc, valid-type]
            __slots__ = ()

            def create_deserializer_buffer(self, sizehint: int) -> memoryview:
                nonlocal created
                created += 1
                return super().create_deserializer_buffer(sizehint)  # type: ignore[no-any-return]

        created = 0
        endpoint = Endpoint(Counting(schemas[0]), BufferedStreamProtocol, 65536)
        assert flat(part for _ in range(3) for part in endpoint.receive(frames)) == [11] * 300
        assert created <= most and (created > 200) == (kind is MessageSerializer)


# ---- serialize and deserialize at once ----


@dataclasses.dataclass
class Request:
    timestamp: int
    subject: bytes
    metadata: list[int]
    body: bytes
    sequence: int = 0


FIELDS: dict[str, Any] = {
    "timestamp": 9999,
    "subject": b"test",
    "metadata": [1, 2, 3],
    "body": b"We have a lot in common",
}


@pytest.mark.parametrize(
    "packet",
    [
        FIELDS,
        Request(**FIELDS),
        SimpleNamespace(**FIELDS),
        samebytes.EchoRequest(**FIELDS),
        make_serializer().deserialize(REFERENCE),
    ],
    ids=["mapping", "dataclass", "attributes", "EchoRequest", "message"],
)
def test_whatever_has_the_fields_can_be_sent(packet: Any) -> None:
    serializer = make_serializer()
    assert serializer.serialize(packet) == REFERENCE
    row = serializer.deserialize(REFERENCE)
    assert (row.api_key, row.sequence, row.fields()) == (0, 0, FIELDS)


def test_the_sequence_is_sent(schemas: Any) -> None:
    assert make_serializer().serialize({**FIELDS, "sequence": -3})[5] == 0xFD
    assert make_serializer().serialize(Request(**FIELDS, sequence=7))[5] == 7


def test_deserialize_refuses_too_little_and_too_much() -> None:
    for data, message in ((REFERENCE[:-1], "Missing data"), (REFERENCE + b"\0", "Extra data")):
        with pytest.raises(DeserializeError, match=message):
            make_serializer().deserialize(data)


def test_a_batch_is_sent_and_received_as_one_packet(schemas: Any) -> None:
    serializer = BatchSerializer(schemas[0])
    data = serializer.serialize([{**FIELDS, "timestamp": index} for index in range(5)])
    assert data == b"".join(
        reference.encode(reference.ECHO_REQUEST, 0, (index, *list(FIELDS.values())[1:])) for index in range(5)
    )
    assert [row.timestamp for row in serializer.deserialize(data)] == list(range(5))
    assert serializer.serialize([]) == b""


def test_several_schemas_go_by_their_api_keys(schemas: Any) -> None:
    with samebytes.Schema("Ping", "request", 9, [("number", "int8")]) as ping:
        serializer = MessageSerializer([schemas[0], ping])
        data = serializer.serialize({"api_key": 9, "number": 5})
        assert data == bytes.fromhex("00000003 09 00 05")
        assert serializer.serialize(serializer.deserialize(data)) == data
        with pytest.raises(samebytes.InvalidArgumentError, match="needs an api_key"):
            serializer.serialize({"number": 5})
        with pytest.raises(samebytes.UnknownApiKeyError, match="api_key 3"):
            serializer.serialize({"api_key": 3})
        with pytest.raises(samebytes.InvalidArgumentError, match="Ping: the message lacks 'number'"):
            serializer.serialize({"api_key": 9})


def test_wrong_arguments_are_refused_when_the_serializer_is_made(schemas: Any) -> None:
    for limit in (0, 5, -1, 2**31 + 4):
        with pytest.raises(ValueError, match="limit"):
            make_serializer(limit=limit)
    with pytest.raises(TypeError, match=r"receive\[1\]: a Schema is needed"):
        MessageSerializer([schemas[0], 5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="at least one schema"):
        MessageSerializer([])
    with pytest.raises(ValueError, match="direction"):
        MessageSerializer(schemas)
    assert make_serializer(limit=6).buffer_limit == 6


def test_without_easynetwork_the_import_says_what_to_install() -> None:
    code = """
import sys
sys.modules["easynetwork"] = None
import samebytes
try:
    import samebytes.easynetwork
except ModuleNotFoundError as error:
    print(error)
"""
    assert output_of(code).strip() == (
        "samebytes.easynetwork needs easynetwork 1.2 or later: pip install 'samebytes[easynetwork]'"
    )
    assert "easynetwork" in sys.modules


# ---- easynetwork's own server and clients ----


class Echo(AsyncStreamRequestHandler[Any, Any]):
    """Answers messages, and lists of them. What is refused is answered by a message that says so."""

    async def handle(self, client: AsyncStreamClient[Any]) -> AsyncGenerator[None, Any]:
        try:
            request = yield
        except StreamProtocolParseError as error:
            refused = {"id": -1, "timestamp": 0, "subject": type(error.error).__name__.encode(), "body": b""}
            await client.send_packet([refused] if self.lists else refused)
            return
        await client.send_packet([answer(one) for one in request] if self.lists else answer(request))

    def __init__(self, lists: bool) -> None:
        self.lists = lists


def answer(row: Any) -> dict[str, Any]:
    return {"id": 7, "timestamp": row.timestamp, "subject": row.subject, "body": row.body, "sequence": row.sequence}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", SERIALIZERS)
def test_easynetworks_tcp_server_and_clients(kind: Any, protocol: Any, schemas: Any) -> None:
    lists = kind is BatchSerializer
    request, response = schemas
    generator = random.Random(8)
    requests = [
        {
            "timestamp": index,
            "subject": b"s",
            "metadata": [index],
            "body": generator.randbytes(index * 37),
            "sequence": index,
        }
        for index in range(100)
    ]
    client_protocol = protocol(kind(response, request))

    def check(rows: list[Any]) -> None:
        for row, sent in zip(rows, requests, strict=True):
            assert (row.id, row.timestamp, row.sequence) == (7, sent["timestamp"], sent["sequence"])
            assert row.body == sent["body"]

    def blocking(port: int) -> list[Any]:
        rows: list[Any] = []
        with TCPNetworkClient(("127.0.0.1", port), client_protocol) as client:
            for one in [requests] if lists else requests:
                client.send_packet(one)
            while len(rows) < len(requests):
                packet = client.recv_packet(timeout=peers.SECONDS)
                rows += packet if lists else [packet]
        return rows

    def raw(port: int) -> bytes:
        """A bad frame between good ones, in random pieces."""
        data = request_frame(1, 11) + BAD_BODY + request_frame(2, 12)
        with socket.create_connection(("127.0.0.1", port), peers.SECONDS) as peer:
            while data:
                size = generator.randrange(1, 9)
                peer.sendall(data[:size])
                data = data[size:]
            peer.shutdown(socket.SHUT_WR)
            received = b""
            while more := peer.recv(1000):
                received += more
        return received

    async def main() -> None:
        server_protocol = protocol(kind(request, response))
        async with AsyncTCPNetworkServer("127.0.0.1", 0, server_protocol, Echo(lists), "asyncio") as server:
            is_up = asyncio.Event()
            serving = asyncio.create_task(server.serve_forever(is_up_event=is_up))
            await is_up.wait()
            port = server.get_addresses()[0].port
            check(await asyncio.to_thread(blocking, port))

            rows: list[Any] = []
            async with AsyncTCPNetworkClient(("127.0.0.1", port), client_protocol, "asyncio") as client:
                for one in [requests] if lists else requests:
                    await client.send_packet(one)
                while len(rows) < len(requests):
                    packet = await client.recv_packet()
                    rows += packet if lists else [packet]
            check(rows)

            answers = reference.decode(await asyncio.to_thread(raw, port), [reference.ECHO_RESPONSE]).rows
            assert [row.values[:3] for row in answers] == [
                (7, 11, b""),
                (-1, 0, b"IncrementalDeserializeError"),
                (7, 12, b""),
            ]
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def limited() -> None:
        async with asyncio.timeout(peers.SECONDS):
            await main()

    asyncio.run(limited())


def test_random_schemas_and_values_against_the_independent_codec() -> None:
    from hypothesis import given, settings
    from hypothesis import strategies as st

    values = {
        **{f"int{bits}": st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
        "string": st.binary(max_size=20),
    }
    values |= {f"array<{kind}>": st.lists(items, max_size=5) for kind, items in list(values.items())}
    kinds = st.lists(st.sampled_from(sorted(values)), max_size=6)

    @settings(max_examples=60, deadline=None)
    @given(st.data(), kinds, st.integers(-128, 127), st.integers(-128, 127), st.integers(8, 200))
    def check(data: Any, kinds: list[str], api_key: int, sequence: int, size: int) -> None:
        fields = {f"f{index}": kind for index, kind in enumerate(kinds)}
        packets = [{name: data.draw(values[kind]) for name, kind in fields.items()} for _ in range(3)]
        theirs = reference.Schema("Any", "request", api_key, tuple(reference.Field(*f) for f in fields.items()))
        frames = [reference.encode(theirs, sequence, tuple(packet.values())) for packet in packets]
        with samebytes.Schema("Any", "request", api_key, list(fields.items())) as schema:
            for kind in SERIALIZERS:
                serializer = kind(schema)
                sent = [{**packet, "sequence": sequence} for packet in packets]
                made = (
                    serializer.serialize(sent) if kind is BatchSerializer else b"".join(map(serializer.serialize, sent))
                )
                assert made == b"".join(frames)
                for protocol in PROTOCOLS:
                    found = list(Endpoint(serializer, protocol, size).receive(made))
                    rows = [row for packet in found for row in (packet if isinstance(packet, list) else [packet])]
                    assert [row.fields() for row in rows] == packets
                    assert {row.sequence for row in rows} == {sequence} and {row.api_key for row in rows} == {api_key}

    check()


def test_struct_says_the_same_of_the_reference() -> None:
    row = make_serializer().deserialize(REFERENCE)
    assert struct.unpack_from(">ibbq", REFERENCE) == (len(REFERENCE) - 4, row.api_key, row.sequence, row.timestamp)
