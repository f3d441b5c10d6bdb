"""The programs of examples/python, with a proxy between them that makes the network as bad as it may be."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from . import peers
from .conftest import ROOT
from .peers import Proxy

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


def test_straight(server: int) -> None:
    done = client(server, 1_000, "straight")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1000 responses\n", "")


@pytest.mark.parametrize(
    ("size_max", "pause", "count"),
    [(60, 0, 6), (100_000, 0, 1_000), (60_000, 0.002, 300)],
    ids=["tiny pieces", "random pieces", "slow readers"],
)
def test_random_pieces_slow_readers_and_half_closed_connections(
    server: int, size_max: int, pause: float, count: int
) -> None:
    with Proxy(server, size_max, pause) as proxy:
        done = client(proxy.port, count, "pieces", size_max)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{count} responses\n", "")
    assert "client" in proxy.ended  # it half-closed, and got its last responses after that or before


def test_a_half_closed_connection_still_gets_all_its_answers(server: int) -> None:
    assert peers.half_closed(server) == [(index, index) for index in range(300)]


def test_a_reset_in_the_middle_of_a_frame_is_told_and_harms_no_other_client(server: int) -> None:
    with Proxy(server, 100_000, reset_after=100_003) as proxy:
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
