"""One buffer of 1 MiB from a C process to this one, both ends of it written there and read here: exchange.py C-PROGRAM SAMPLES.

iceoryx2's package for Python has no C side, so its other end is a Python process; both ends wait for each other by its events.
"""

from __future__ import annotations

import multiprocessing.connection
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import exchange_iceoryx2

import samebytes

CASE = "C to Python, 1 MiB, both ends touched"
SIZE = 1 << 20
TIMES = 100


def start(transport: str) -> socket.socket:
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen([sys.argv[1], transport, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    return ours


def check(data: bytes | bytearray | memoryview) -> None:
    if len(data) != SIZE or data[0] != data[SIZE - 1] or data[0] == 0:
        raise SystemExit("exchange: the bytes are wrong")


def by_channel() -> Callable[[], None]:
    with start("samebytes") as ours:
        channel = samebytes.Channel(ours)

    def once() -> None:
        with channel.receive_block() as block, memoryview(block) as data:
            if data[0] != data[SIZE - 1]:
                raise SystemExit("exchange: the bytes are wrong")

    return once


def by_socket() -> Callable[[], None]:
    ours = start("socket")
    data = bytearray(SIZE)

    def once() -> None:
        ours.send(b"\1")
        got = 0
        view = memoryview(data)
        while got < SIZE:
            got += ours.recv_into(view[got:])
        check(data)

    return once


def by_pipe() -> Callable[[], None]:
    connection = multiprocessing.connection.Connection(start("pipe").detach())

    def once() -> None:
        os.write(connection.fileno(), b"\1")
        check(connection.recv_bytes())

    return once


def main() -> None:
    sides = {
        "samebytes": by_channel(),
        "Unix socket": by_socket(),
        "multiprocessing.Pipe": by_pipe(),
        "iceoryx2": exchange_iceoryx2.connect(SIZE),
    }
    for once in sides.values():
        for _ in range(10):
            once()
    for sample in range(int(sys.argv[2])):
        # Every other round goes backwards, so that no side is always the one after its peer.
        for side, once in list(sides.items()) if sample % 2 == 0 else reversed(sides.items()):
            start_ns = time.perf_counter_ns()
            for _ in range(TIMES):
                once()
            print(f"{CASE}\t{side}\t{(time.perf_counter_ns() - start_ns) / TIMES:.2f}", flush=True)


main()
