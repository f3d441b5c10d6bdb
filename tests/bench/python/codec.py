"""Echo requests from Python: samebytes with its default back end beside the codecs of peers.py."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy
import peers
import samples
from peers import Request

import samebytes.echo

OURS = "samebytes"
FEED = 65536
SCHEMA = samebytes.echo_request_schema()
SMALL = [Request(i % 256 - 128, 9999 + i, b"test", [1, 2, 3], b"We have a lot in common") for i in range(10_000)]
LARGE = [Request(i, 9999 + i, b"test", list(range(-500, 500)), bytes(range(256)) * 256) for i in range(16)]


class OurParser:
    """Feeds and parses, as the peers' parsers do in one call."""

    def __init__(self) -> None:
        self.parser = samebytes.echo.Parser()

    def feed(self, chunk: bytes) -> list[Any]:
        self.parser.feed(chunk)
        return self.parser.parse()


def encode_ours(requests: list[Request]) -> bytes:
    with samebytes.echo.Builder() as builder:
        builder.add_all(requests)
        return builder.get_buffer()


class OurColumns:
    """Feeds and parses, and gives all fields as columns: sequences, and a Column or memoryview per field."""

    def __init__(self) -> None:
        self.parser = samebytes.Parser([SCHEMA])
        self.batch = samebytes.Batch()

    def feed(self, chunk: bytes) -> tuple[Any, dict[str, Any]]:
        self.parser.feed(chunk)
        batch = self.parser.parse(self.batch)
        return batch.column("sequence"), batch.columns()


def sum_columns(read: tuple[Any, dict[str, Any]]) -> int:
    """What read_all makes of rows."""
    sequences, columns = read
    metadata = columns["metadata"]
    last = numpy.asarray(metadata.offsets) + numpy.asarray(metadata.lengths) - 1
    total = numpy.sum(sequences, dtype="i8") + numpy.sum(columns["timestamp"])
    total += numpy.sum(columns["subject"].lengths) + numpy.sum(columns["body"].lengths)
    return int(total + numpy.sum(numpy.asarray(metadata.values)[last]))


def columns_of(requests: list[Request]) -> tuple[Any, list[Any]]:
    """Requests as a program has them that works by columns."""
    sequences = array("b", [request.sequence for request in requests])
    timestamps = array("q", [request.timestamp for request in requests])
    subjects, bodies = [request.subject for request in requests], [request.body for request in requests]
    items = array("h", [item for request in requests for item in request.metadata])
    counts = array("i", [len(request.metadata) for request in requests])
    columns = [
        timestamps,
        samebytes.Column(b"".join(subjects), lengths=array("i", map(len, subjects))),
        samebytes.Column(items, lengths=counts),
        samebytes.Column(b"".join(bodies), lengths=array("i", map(len, bodies))),
    ]
    return sequences, columns


def encode_columns(sequences: Any, columns: list[Any]) -> bytes:
    with samebytes.Builder() as builder:
        builder.add_columns(SCHEMA, sequences, columns)
        return bytes(builder)


def column_cases(stream: bytes) -> list[samples.Case]:
    """Ours by columns; the peers, which have none, by rows."""
    chunks = [stream[at : at + FEED] for at in range(0, len(stream), FEED)]
    given = columns_of(SMALL)
    if encode_columns(*given) != stream:
        raise SystemExit("columns are encoded to something else than rows")
    checked = OurColumns().feed
    if sum(sum_columns(checked(chunk)) for chunk in chunks) != read_all(SMALL):
        raise SystemExit("columns hold something else than rows")
    feed = OurColumns().feed

    def run() -> None:
        for chunk in chunks:
            feed(chunk)

    return [
        samples.Case("Python decode, small, all fields as columns", OURS, run, len(SMALL)),
        samples.Case("Python encode, small, from columns", OURS, lambda: encode_columns(*given), len(SMALL)),
    ]


def encode_by(encode: Callable[[Request], bytes]) -> Callable[[list[Request]], bytes]:
    return lambda requests: b"".join(map(encode, requests))


def read_all(rows: list[Any]) -> int:
    total = 0
    for row in rows:
        total += row.sequence + row.timestamp + len(row.subject) + row.metadata[-1] + len(row.body)
    return total


def read_one(rows: list[Any]) -> int:
    total = 0
    for row in rows:
        total += row.timestamp
    return total


def decode_case(
    name: str, side: str, parser: Callable[[], Any], data: bytes, read: Callable[[list[Any]], int], count: int
) -> samples.Case:
    """A case that reads a stream by chunks, after a first run has shown that it reads what the others do."""
    chunks = [data[at : at + FEED] for at in range(0, len(data), FEED)]
    feed = parser().feed

    def run() -> int:
        return sum(read(feed(chunk)) for chunk in chunks)

    source = SMALL if count == len(SMALL) else LARGE
    if run() != read(source):
        raise SystemExit(f"{name}: {side} reads something else than was written")
    return samples.Case(name, side, run, count)


def main() -> None:
    sides: dict[str, tuple[Callable[[], Any], Callable[[list[Request]], bytes]]] = {OURS: (OurParser, encode_ours)}
    sides |= {name: (parser, encode_by(encode)) for name, (parser, encode) in peers.PEERS.items()}
    streams = {name: (encode(SMALL), encode(LARGE)) for name, (_, encode) in sides.items()}
    for name in ("struct, pure Python", "struct parser in Cython"):
        if streams[name] != streams[OURS]:
            raise SystemExit(f"{name} encodes something else than {OURS}")
    cases = []
    for name, (parser, encode) in sides.items():
        small, large = streams[name]
        cases.append(decode_case("Python decode, small, all fields read", name, parser, small, read_all, len(SMALL)))
        cases.append(decode_case("Python decode, small, one field read", name, parser, small, read_one, len(SMALL)))
        cases.append(decode_case("Python decode, large, all fields read", name, parser, large, read_all, len(LARGE)))
        cases.append(
            samples.Case("Python encode, small, from rows", name, lambda encode=encode: encode(SMALL), len(SMALL))
        )
        if name == "msgspec msgpack":
            by_rows = decode_case(
                "Python decode, small, all fields as columns", name, parser, small, read_all, len(SMALL)
            )
            cases.append(by_rows)
            cases.append(
                samples.Case(
                    "Python encode, small, from columns", name, lambda encode=encode: encode(SMALL), len(SMALL)
                )
            )
    cases += column_cases(streams[OURS][0])
    cases.sort(key=lambda case: case.name)
    samples.main(cases)


if __name__ == "__main__":
    main()
