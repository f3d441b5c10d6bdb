"""The programs of examples/python, with a proxy between them that makes the network as bad as it may be."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from . import peers
from .conftest import ROOT

EXAMPLES = ROOT / "examples/python"


@pytest.fixture
def server() -> Iterator[int]:
    """The port of an Echo server."""
    command = [sys.executable, str(EXAMPLES / "echo_server.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None and program.stderr is not None
        yield int(program.stdout.readline().split()[-1])
        program.send_signal(signal.SIGTERM)
        assert (program.wait(peers.SECONDS), program.stderr.read()) == (0, "")


def client(port: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / "echo_client.py"), str(port), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


class Proxy:
    """Passes the bytes of one connection on, in pieces of random sizes. It tells whether each side half-closed."""

    def __init__(self, port: int, seed: int, size_max: int, pause: float = 0, reset_after: int = 1 << 60) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(peers.SECONDS)
        self.port = self.listener.getsockname()[1]
        self.server_port = port
        self.seed, self.size_max, self.pause, self.reset_after = seed, size_max, pause, reset_after
        self.ended: list[str] = []
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        near, _ = self.listener.accept()
        far = socket.create_connection(("127.0.0.1", self.server_port))
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self.pass_on, args=("server", far, near, self.reset_after))
        back.start()
        self.pass_on("client", near, far, 1 << 60)
        back.join()
        near.close()
        far.close()

    def pass_on(self, name: str, source: socket.socket, target: socket.socket, reset_after: int) -> None:
        generator = random.Random(self.seed)
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(min(generator.randint(1, self.size_max), reset_after - passed)):
                target.sendall(data)
                passed += len(data)
                time.sleep(self.pause)
                if passed == reset_after:
                    for end in (target, source):
                        end.shutdown(socket.SHUT_RD)
                        peers.reset(end)
                    return
            self.ended.append(name)
            target.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Proxy:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join(peers.SECONDS)
        self.listener.close()
        assert not self.thread.is_alive()


def test_straight(server: int) -> None:
    done = client(server, 1_000, "straight")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1000 responses\n", "")


@pytest.mark.parametrize(
    ("size_max", "pause", "count"),
    [(7, 0, 20), (100_000, 0, 1_000), (60_000, 0.002, 600)],
    ids=["tiny pieces", "random pieces", "slow readers"],
)
def test_random_pieces_slow_readers_and_half_closed_connections(
    server: int, size_max: int, pause: float, count: int
) -> None:
    with Proxy(server, 9, size_max, pause) as proxy:
        done = client(proxy.port, count, "pieces", size_max)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{count} responses\n", "")
    assert "client" in proxy.ended  # it half-closed, and got its last responses after that or before


def test_a_half_closed_connection_still_gets_all_its_answers(server: int) -> None:
    frames = b"".join(peers.request_frame(index % 100, index, b"x" * 1000) for index in range(300))
    with socket.create_connection(("127.0.0.1", server), peers.SECONDS) as peer:
        sender = threading.Thread(target=lambda: (peer.sendall(frames), peer.shutdown(socket.SHUT_WR)))
        sender.start()
        received = b""
        while data := peer.recv(1 << 16):
            received += data
        sender.join()
    rows = peers.reference.decode(received, [peers.reference.ECHO_RESPONSE]).rows
    assert [row.values[:2] for row in rows] == [(index, index) for index in range(300)]


def test_a_reset_in_the_middle_of_a_frame_is_told_and_harms_no_other_client(server: int) -> None:
    with Proxy(server, 9, 100_000, reset_after=100_003) as proxy:
        done = client(proxy.port, 1_000, "reset")
    assert (done.returncode, done.stdout) == (1, "")
    assert "in flight" in done.stderr and "Traceback" not in done.stderr
    with socket.create_connection(("127.0.0.1", server), peers.SECONDS) as peer:
        peer.sendall(peers.request_frame(1, 1, b"x" * 100)[:50])
        peers.reset(peer)
    assert client(server, 10, "after").stdout == "10 responses\n"


def test_no_server_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = client(port, 1)
    assert done.returncode == 1 and "Traceback" not in done.stderr
