"""Serializers for easynetwork: messages of any schemas as its packets.

from easynetwork.protocol import BufferedStreamProtocol
from samebytes.easynetwork import make_serializer

protocol = BufferedStreamProtocol(make_serializer())  # or StreamProtocol

A packet that is received is a message. A packet to be sent is a message as well, or a mapping, or any object with attributes, that has
a value for each field of the schema; `sequence` is 0 where it has none. BatchSerializer receives all messages that are there as one
packet, a list, which costs a small part of what one packet per message does.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

try:
    from easynetwork.exceptions import IncrementalDeserializeError, LimitOverrunError
    from easynetwork.serializers.abc import BufferedIncrementalPacketSerializer
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "samebytes.easynetwork needs easynetwork 1.2 or later: pip install 'samebytes[easynetwork]'", name=error.name
    ) from error

from . import _arguments, _classes, _codec, _records, errors
from ._codec import Message, Schema

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["BatchSerializer", "MessageSerializer", "make_serializer"]

SIZE_BYTES = 4  # of a frame's Size, which does not count itself
HEADER_SIZE = 2  # api_key and sequence, the least that Size counts
LIMIT_MAX = 2**31 - 1 + SIZE_BYTES

Packet = TypeVar("Packet")


def schemas_of(schemas: Any, name: str) -> tuple[Schema, ...]:
    many = (schemas,) if isinstance(schemas, Schema) else tuple(_arguments.sequence(schemas, name))
    for index, schema in enumerate(many):
        if not isinstance(schema, Schema):
            raise TypeError(f"{name}[{index}]: a Schema is needed, not {_arguments.kind(schema)}")
    if not many:
        raise errors.InvalidArgumentError(f"{name}: at least one schema is needed")
    return many


class _Serializer(BufferedIncrementalPacketSerializer[Any, Packet, memoryview], Generic[Packet]):
    """What both serializers share. There is no state of a connection in it: one instance serves all connections, from any thread."""

    __slots__ = ("_debug", "_limit", "_receive", "_send")

    def __init__(
        self,
        receive: Schema | Sequence[Schema],
        send: Schema | Sequence[Schema] | None = None,
        *,
        limit: int = 65536,
        debug: bool = False,
    ) -> None:
        """receive and send are the schemas of the messages that are received and sent; what is sent is what is received if None.

        limit is the most bytes that a frame may have, its Size included; with debug the errors have the refused bytes as error_info.
        The schemas must stay open as long as the serializer is used.
        """
        if not isinstance(limit, int) or not SIZE_BYTES + HEADER_SIZE <= limit <= LIMIT_MAX:
            raise errors.InvalidArgumentError(f"limit: {limit!r} is no number of bytes from 6 to {LIMIT_MAX}")
        self._limit = limit
        self._debug = bool(debug)
        self._receive = schemas_of(receive, "receive")
        self._send = self._receive if send is None else schemas_of(send, "send")
        self._parser().close()  # it says what is wrong with the schemas now, not at the first packet

    @property
    def debug(self) -> bool:
        """Whether errors have the refused bytes as error_info."""
        return self._debug

    @property
    def buffer_limit(self) -> int:
        """The most bytes that a frame may have, its Size included."""
        return self._limit

    # ---- sending ----

    def _frames(self, packets: Iterable[Any]) -> bytes:
        with _codec.Builder() as builder:
            if len(self._send) == 1:
                packets = packets if isinstance(packets, (list, tuple)) else list(packets)
                (schema,) = self._send
                if builder._add_messages(schema, schema.shape, None, packets):
                    return bytes(builder)
            for packet in packets:
                named = _codec.named(packet)
                schema = self._schema_to_send(named)
                builder.add(schema, named.get("sequence", 0), _codec.named_values(schema.shape, packet))
            return bytes(builder)

    def _schema_to_send(self, named: Mapping[str, Any]) -> Schema:
        if "api_key" not in named:
            if len(self._send) == 1:
                return self._send[0]
            raise errors.InvalidArgumentError("a packet needs an api_key, as there are several schemas to send")
        for schema in self._send:
            if schema.api_key() == named["api_key"]:
                return schema
        raise errors.UnknownApiKeyError(f"no schema to send has the api_key {named['api_key']}")

    # ---- receiving ----

    def _parser(self) -> _codec.Parser:
        return _codec.Parser(self._receive, self._limit - SIZE_BYTES)

    def _packet(self, data: memoryview, end: int) -> tuple[Packet, int]:
        """The packet at the begin of the data, whose first frame ends at *end*, and where the packet ends."""
        raise NotImplementedError

    def _first_end(self, data: ReadableBuffer) -> int:
        """Where the first frame ends; the data has its Size. Raises what its Size is refused with."""
        with memoryview(data) as memory:
            size = int.from_bytes(memory[:SIZE_BYTES], "big", signed=True)
            end = size + SIZE_BYTES
            if size >= HEADER_SIZE and end <= self._limit:
                return end
            with self._parser() as parser:
                parser.feed(memory[:SIZE_BYTES])
                try:
                    parser.parse()
                except errors.SamebytesError as refused:
                    message = str(refused)
            # Nobody knows where the next frame begins: all that is there is dropped.
            if end > self._limit:
                raise LimitOverrunError(f"{message} (limit: {self._limit} bytes)", bytes(memory), len(memory))
            raise IncrementalDeserializeError(message, b"", self._info(memory))

    def _refused(self, refused: _records.Error, data: memoryview, end: int) -> IncrementalDeserializeError:
        place = f"frame offset {refused.frame_offset}" + (f", field {refused.field}" if refused.field else "")
        return IncrementalDeserializeError(f"{refused.message} ({place})", bytes(data[end:]), self._info(data[:end]))

    def _info(self, data: memoryview) -> Any:
        return {"data": bytes(data)} if self._debug else None

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[Packet, bytes]]:
        """Takes chunks until the first frame is complete."""
        data: bytes | bytearray = yield
        while len(data) < SIZE_BYTES:
            data = data + (yield)
        end = self._first_end(data)
        if len(data) < end:
            data = bytearray(data)
            while len(data) < end:
                data += yield
        with memoryview(data) as memory:
            packet, end = self._packet(memory, end)
            return packet, bytes(memory[end:])

    def create_deserializer_buffer(self, sizehint: int) -> memoryview:
        return memoryview(bytearray(max(sizehint, SIZE_BYTES + HEADER_SIZE)))

    def buffered_incremental_deserialize(
        self, buffer: memoryview
    ) -> Generator[int | None, int, tuple[Packet, ReadableBuffer]]:
        """Lets the buffer be filled until the first frame is complete. What does not fit moves to memory that grows as bytes arrive."""
        filled = yield 0
        while filled < SIZE_BYTES:
            filled += yield filled
        end = self._first_end(buffer[:filled])
        if end <= len(buffer):
            while filled < end:
                filled += yield filled
            packet, end = self._packet(buffer[:filled], end)
            return packet, bytes(buffer[end:filled])
        data = bytearray(buffer[:filled])
        while len(data) < end:
            filled = yield 0
            data += buffer[:filled]
        with memoryview(data) as memory:
            packet, end = self._packet(memory, end)
            return packet, bytes(memory[end:])


class MessageSerializer(_Serializer[Message]):
    """A packet is one message."""

    __slots__ = ()

    def incremental_serialize(self, packet: Any) -> Generator[bytes]:
        yield self._frames((packet,))

    def _packet(self, data: memoryview, end: int) -> tuple[Message, int]:
        with self._parser() as parser:
            parser.feed(data[:end])
            batch = parser.parse()
            if batch.error_count():
                raise self._refused(batch.get_error(0), data, end)
            return batch.rows[0], end


class BatchSerializer(_Serializer[list[Message]]):
    """A packet is a list: all messages that are there. A frame that is refused is an error of its own, between the lists around it."""

    __slots__ = ()

    def incremental_serialize(self, packet: Iterable[Any]) -> Generator[bytes]:
        if frames := self._frames(packet):
            yield frames

    def _packet(self, data: memoryview, end: int) -> tuple[list[Message], int]:
        with self._parser() as parser:
            parser.feed(data)
            batch = parser.parse()
            if not batch.error_count():
                last = batch.get_row(batch.row_count() - 1)
                return batch.rows, last.stream_offset + SIZE_BYTES + last.frame_size
            refused = batch.get_error(0)
            start = refused.stream_offset - refused.frame_offset
            if start == 0:
                raise self._refused(refused, data, end)
            return [row for row in batch.rows if row.stream_offset < start], start


def make_serializer(*, limit: int = 65536, debug: bool = False) -> MessageSerializer:
    """The serializer of Echo requests, for both sides of a connection. limit is the most bytes that a frame may have, its Size included."""
    return MessageSerializer(_classes.echo_request_schema(), limit=limit, debug=debug)
