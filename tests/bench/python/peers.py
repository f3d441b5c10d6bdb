"""The codecs that Python programs use instead, each with the best framing and reading that we know for it.

Every one has `Parser().feed(chunk) -> list of rows` and `encode(request) -> frame`; a row has sequence, timestamp, subject, metadata
and body. msgspec and protobuf have formats of their own, behind the same four bytes of Size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import peer_cython  # type: ignore[import-not-found]  # built by parts.py
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from structs import FRAME_SIZE_MAX, SIZE, Request, StructParser, encode_struct


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


def encode_cython(request: Request) -> bytes:
    frame: bytes = peer_cython.encode(*request)
    return frame


PEERS: dict[str, tuple[Callable[[], Any], Callable[[Request], bytes]]] = {
    "msgspec msgpack": (MsgspecParser, encode_msgspec),
    "protobuf upb": (ProtobufParser, encode_protobuf),
    "struct, pure Python": (StructParser, encode_struct),
    "struct parser in Cython": (peer_cython.Parser, encode_cython),
}
