"""The codecs that Python programs use instead, each with the best framing and reading that we know for it.

Every one has `Parser().feed(chunk) -> list of rows` and `encode(request) -> frame`; a row has sequence, timestamp, subject, metadata
and body. msgspec and protobuf have formats of their own, behind the same four bytes of Size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import peer_cython  # type: ignore[import-not-found]  # built by parts.py
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SIZE = struct.Struct(">i")
FRAME_SIZE_MAX = 1048576


class Request(NamedTuple):
    """What is encoded."""

    sequence: int
    timestamp: int
    subject: bytes
    metadata: list[int]
    body: bytes


class Framer:
    """Frames out of a stream: what is not complete waits for the next chunk."""

    def __init__(self, decode: Callable[[memoryview], Any]) -> None:
        self.decode = decode
        self.tail = b""

    def feed(self, chunk: bytes) -> list[Any]:
        data = self.tail + chunk if self.tail else chunk
        view, at, size_all, decode, unpack = memoryview(data), 0, len(data), self.decode, SIZE.unpack_from
        rows = []
        while size_all - at >= 4:
            (size,) = unpack(data, at)
            if not 0 <= size <= FRAME_SIZE_MAX:
                raise ValueError(f"a frame of {size} bytes")
            end = at + 4 + size
            if end > size_all:
                break
            rows.append(decode(view[at + 4 : end]))
            at = end
        self.tail = data[at:]
        return rows


class MsgspecRequest(msgspec.Struct, array_like=True, gc=False):
    api_key: int
    sequence: int
    timestamp: int
    subject: bytes
    metadata: list[int]
    body: bytes


msgspec_encode = msgspec.msgpack.Encoder().encode


class MsgspecParser(Framer):
    def __init__(self) -> None:
        super().__init__(msgspec.msgpack.Decoder(MsgspecRequest).decode)


def encode_msgspec(request: Request) -> bytes:
    body = msgspec_encode(MsgspecRequest(0, *request))
    return SIZE.pack(len(body)) + body


def protobuf_class() -> Any:
    """message EchoRequest { sint32 sequence = 1; int64 timestamp = 2; bytes subject = 3; bytes body = 4; repeated sint32 metadata = 5; }"""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="echo.proto", package="bench", syntax="proto3")
    message = file.message_type.add(name="EchoRequest")
    types = (
        ("sequence", field.TYPE_SINT32),
        ("timestamp", field.TYPE_INT64),
        ("subject", field.TYPE_BYTES),
        ("body", field.TYPE_BYTES),
    )
    for number, (name, kind) in enumerate(types, 1):
        message.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
    message.field.add(name="metadata", number=5, type=field.TYPE_SINT32, label=field.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("bench.EchoRequest"))


ProtobufRequest = protobuf_class()


class ProtobufParser(Framer):
    def __init__(self) -> None:
        super().__init__(ProtobufRequest.FromString)


def encode_protobuf(request: Request) -> bytes:
    sequence, timestamp, subject, metadata, body = request
    message = ProtobufRequest(sequence=sequence, timestamp=timestamp, subject=subject, metadata=metadata, body=body)
    data: bytes = message.SerializeToString()
    return SIZE.pack(len(data)) + data


@dataclass(slots=True)
class StructRequest:
    api_key: int
    sequence: int
    timestamp: int
    subject: bytes
    metadata: tuple[int, ...]
    body: bytes


HEAD = struct.Struct(">ibbqi")
COUNT = struct.Struct(">h")
ITEMS: dict[int, struct.Struct] = {}


def items_of(count: int) -> struct.Struct:
    known = ITEMS.get(count)
    if known is None:
        known = ITEMS[count] = struct.Struct(f">{count}h")
    return known


class StructParser:
    """Echo requests by module struct."""

    def __init__(self) -> None:
        self.tail = b""

    def feed(self, chunk: bytes) -> list[StructRequest]:
        data = self.tail + chunk if self.tail else chunk
        at, size_all = 0, len(data)
        rows = []
        while size_all - at >= 4:
            (size,) = SIZE.unpack_from(data, at)
            if not 20 <= size <= FRAME_SIZE_MAX:
                raise ValueError(f"a frame of {size} bytes")
            end = at + 4 + size
            if end > size_all:
                break
            rows.append(self.decode(data, at, end))
            at = end
        self.tail = data[at:]
        return rows

    @staticmethod
    def decode(data: bytes, at: int, end: int) -> StructRequest:
        _, api_key, sequence, timestamp, subject_size = HEAD.unpack_from(data, at)
        subject_end = at + 18 + subject_size
        if api_key != 0 or subject_size < 0 or subject_end + 6 > end:
            raise ValueError(f"a bad subject or api_key at {at}")
        (count,) = COUNT.unpack_from(data, subject_end)
        metadata_end = subject_end + 2 + 2 * count
        if count < 0 or metadata_end + 4 > end:
            raise ValueError(f"bad metadata at {at}")
        metadata = items_of(count).unpack_from(data, subject_end + 2)
        (body_size,) = SIZE.unpack_from(data, metadata_end)
        if body_size != end - metadata_end - 4:
            raise ValueError(f"a bad body at {at}")
        return StructRequest(
            api_key, sequence, timestamp, data[at + 18 : subject_end], metadata, data[metadata_end + 4 : end]
        )


def encode_struct(request: Request) -> bytes:
    sequence, timestamp, subject, metadata, body = request
    size = 20 + len(subject) + 2 * len(metadata) + len(body)
    return b"".join(
        (
            HEAD.pack(size, 0, sequence, timestamp, len(subject)),
            subject,
            COUNT.pack(len(metadata)),
            items_of(len(metadata)).pack(*metadata),
            SIZE.pack(len(body)),
            body,
        )
    )


def encode_cython(request: Request) -> bytes:
    frame: bytes = peer_cython.encode(*request)
    return frame


PEERS: dict[str, tuple[Callable[[], Any], Callable[[Request], bytes]]] = {
    "msgspec msgpack": (MsgspecParser, encode_msgspec),
    "protobuf upb": (ProtobufParser, encode_protobuf),
    "struct, pure Python": (StructParser, encode_struct),
    "struct parser in Cython": (peer_cython.Parser, encode_cython),
}
