"""Echo messages by module struct, as a Python program without any library would write them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

SIZE = struct.Struct(">i")
FRAME_SIZE_MAX = 1048576


class Request(NamedTuple):
    """What is encoded."""

    sequence: int
    timestamp: int
    subject: bytes
    metadata: list[int]
    body: bytes


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


RESPONSE_HEAD = struct.Struct(">ibbiqi")


def encode_response(request: StructRequest, number: int) -> bytes:
    subject, body = request.subject, request.body
    head = RESPONSE_HEAD.pack(
        22 + len(subject) + len(body), 0, request.sequence, number, request.timestamp, len(subject)
    )
    return b"".join((head, subject, SIZE.pack(len(body)), body))
