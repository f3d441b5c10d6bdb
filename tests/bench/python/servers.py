"""Echo servers in Python under load: `servers.py LOAD SAMPLES`, LOAD being the program of c/load.c.

Every side serves in a process of its own, one after the other, and the load comes from a third one: small requests over one loopback
connection, sent without waiting for the responses. Responses have the number of the request as id, and go out in its order.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler
from structs import SIZE, StructParser, StructRequest, encode_response

import samebytes
from samebytes import aio
from samebytes.easynetwork import BatchSerializer

OURS = "samebytes"
EASYNETWORK = "Echo server, pipelined, in easynetwork"
ASYNCIO = "Echo server, pipelined, on asyncio.BufferedProtocol"
STRUCT_SERIALIZER = "struct serializer in StreamProtocol"
STRUCT_PROTOCOL = "struct, pure Python"


class StructSerializer(AbstractIncrementalPacketSerializer[StructRequest, bytes]):
    """A packet is one request, or the frame of one response."""

    __slots__ = ()

    def incremental_serialize(self, packet: bytes) -> Any:
        yield packet

    def incremental_deserialize(self) -> Any:
        data = yield
        while len(data) < 4 or len(data) < 4 + SIZE.unpack_from(data)[0]:
            data += yield
        end = 4 + SIZE.unpack_from(data)[0]
        return StructParser.decode(data, 0, end), data[end:]


class EachHandler(AsyncStreamRequestHandler[StructRequest, bytes]):
    async def handle(self, client: AsyncStreamClient[bytes]) -> AsyncGenerator[None, StructRequest]:
        number = 0
        while True:
            row = yield
            await client.send_packet(encode_response(row, number))
            number += 1


class BatchHandler(AsyncStreamRequestHandler[Any, Any]):
    async def handle(self, client: AsyncStreamClient[Any]) -> AsyncGenerator[None, Any]:
        number = 0
        while True:
            rows = yield
            await client.send_packet(
                [
                    samebytes.EchoResponse(row.timestamp, row.subject, row.body, number + index, row.sequence)
                    for index, row in enumerate(rows)
                ]
            )
            number += len(rows)


async def serve_easynetwork(protocol: Any, handler: Any) -> None:
    async with AsyncTCPNetworkServer("127.0.0.1", 0, protocol, handler) as server:
        await server.server_activate()
        print(server.get_addresses()[0].port, flush=True)
        await server.serve_forever()


class StructProtocol(asyncio.BufferedProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.buffer = bytearray(65536)
        self.parser = StructParser()
        self.number = 0

    def get_buffer(self, sizehint: int) -> Any:
        return memoryview(self.buffer)

    def buffer_updated(self, size: int) -> None:
        rows = self.parser.feed(bytes(self.buffer[:size]))
        start = self.number
        self.number += len(rows)
        self.transport.write(b"".join([encode_response(row, number) for number, row in enumerate(rows, start)]))

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


async def serve_struct() -> None:
    server = await asyncio.get_running_loop().create_server(StructProtocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Answer:
    """Answers from the columns of a batch; there is one connection at a time."""

    def __init__(self, response: samebytes.Schema) -> None:
        self.response = response
        self.number = 0

    def __call__(self, batch: samebytes.Batch, builder: samebytes.Builder) -> None:
        import numpy

        given, count = batch.columns(), len(batch)
        ids = numpy.arange(self.number, self.number + count, dtype="i4")
        self.number += count
        columns = [ids, given["timestamp"], given["subject"], given["body"]]
        builder.add_columns(self.response, batch.column("sequence"), columns)


async def serve_batches() -> None:
    echo = aio.Pair.open_echo()
    server = await aio.serve(Answer(echo.response), "127.0.0.1", 0, echo, batches=True)
    print(server.port, flush=True)
    await server.serve_forever()


def serve(name: str, side: str) -> None:
    if name == ASYNCIO:
        asyncio.run(serve_batches() if side == OURS else serve_struct())
    elif side == OURS:
        with samebytes.echo_request_schema() as request, samebytes.echo_response_schema() as response:
            protocol = BufferedStreamProtocol(BatchSerializer(request, response))
            asyncio.run(serve_easynetwork(protocol, BatchHandler()))
    else:
        asyncio.run(serve_easynetwork(StreamProtocol(StructSerializer()), EachHandler()))


# Frames for about a second each.
SIDES = [
    (EASYNETWORK, OURS, 200_000),
    (EASYNETWORK, STRUCT_SERIALIZER, 10_000),
    (ASYNCIO, OURS, 1_000_000),
    (ASYNCIO, STRUCT_PROTOCOL, 100_000),
]


def measure(load: str, name: str, side: str, frames: int) -> float:
    server = subprocess.Popen([sys.executable, __file__, "serve", name, side], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        done = subprocess.run([load, port, str(frames)], stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    finally:
        server.terminate()
        server.wait()
    return float(done.stdout)


def main() -> None:
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
        return
    load, samples = sys.argv[1], int(sys.argv[2])
    for _ in range(samples):
        for name, side, frames in SIDES:
            print(f"{name}\t{side}\t{measure(load, name, side, frames):.0f}\tframes/s", flush=True)


if __name__ == "__main__":
    main()
