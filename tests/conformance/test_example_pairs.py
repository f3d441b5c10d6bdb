"""The programs of examples/, in all pairs: each client with each server, over loopback TCP that is as bad as it may be."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.python import peers
from tests.python.peers import Proxy

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
LANGUAGES = ["c", "python", "go"]
Command = list[str]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Command]:
    """What starts the server and the client of each language."""
    folder = tmp_path_factory.mktemp("examples")
    python = [sys.executable]
    found = {("python", role): [*python, str(EXAMPLES / f"python/echo_{role}.py")] for role in ("server", "client")}
    library = ROOT / "build/core"
    for role in "server", "client":
        target = str(folder / f"c_{role}")
        flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/core/include"]
        linked = [f"-L{library}", "-lsamebytes", f"-Wl,-rpath,{library}", "-pthread", "-o", target]
        subprocess.run(["gcc", *flags, str(EXAMPLES / f"c/echo_{role}.c"), *linked], check=True)
        found["c", role] = [target]
        target = str(folder / f"go_{role}")
        subprocess.run(["go", "build", "-o", target, f"./examples/go/{role}"], cwd=ROOT, check=True)
        found["go", role] = [target]
    return found


@contextlib.contextmanager
def serving(command: Command) -> Iterator[int]:
    """A server; gives its port."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as program:
        assert program.stdout is not None
        try:
            port = re.search(r"(\d+)$", program.stdout.readline())
            assert port is not None
            yield int(port[1])
            assert program.poll() is None, "the server ended"
        finally:
            program.send_signal(signal.SIGTERM)
            program.wait(peers.SECONDS)


@pytest.fixture(scope="module", params=LANGUAGES)
def server(request: pytest.FixtureRequest, programs: dict[tuple[str, str], Command]) -> Iterator[int]:
    """The port of the server of each language in turn, which serves many clients."""
    with serving(programs[request.param, "server"]) as port:
        yield port


Call = Callable[[int, int], "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=LANGUAGES)
def call(request: pytest.FixtureRequest, programs: dict[tuple[str, str], Command]) -> Call:
    """Runs the client of each language in turn: call(port, count)."""
    command = programs[request.param, "client"]

    def of_counts(port: int, count: int) -> subprocess.CompletedProcess[str]:
        # The servers that count by subject begin at 0 for one that nobody used.
        arguments = [str(port), str(count), f"{os.getpid()} {random.random()}"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode != 0 or done.stdout == f"{count} responses\n"
        return done

    def of_lines(port: int, count: int) -> subprocess.CompletedProcess[str]:
        lines = ["x" * (index * 7919 % 20_000) for index in range(count)]
        done = subprocess.run(
            [*command, f"127.0.0.1:{port}"], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=60
        )
        if done.returncode == 0:
            answers = [line.partition(" ") for line in done.stdout.splitlines()]
            assert [body for _, _, body in answers] == lines
            ids = [int(id) for id, _, _ in answers]
            assert ids == list(range(ids[0], ids[0] + count))
        return done

    return of_lines if request.param == "go" else of_counts


def told(done: subprocess.CompletedProcess[str]) -> None:
    """The client has failed, and says why in its own words."""
    assert done.returncode == 1
    assert done.stderr and "Traceback" not in done.stderr and "panic" not in done.stderr


@pytest.mark.parametrize(
    ("size_max", "pause", "count"),
    [(60, 0, 6), (60_000, 0, 400), (30_000, 0.002, 200)],
    ids=["tiny pieces", "random pieces", "slow readers"],
)
def test_every_client_talks_to_every_server(server: int, call: Call, size_max: int, pause: float, count: int) -> None:
    with Proxy(server, size_max, pause) as proxy:
        done = call(proxy.port, count)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reset_in_the_middle_of_an_answer_is_told_and_harms_no_other_client(server: int, call: Call) -> None:
    with Proxy(server, 100_000, reset_after=100_003) as proxy:
        done = call(proxy.port, 500)
    told(done)
    assert call(server, 10).returncode == 0


def test_a_half_closed_connection_gets_all_its_answers_from_every_server(server: int) -> None:
    assert peers.half_closed(server, b"half %d" % os.getpid()) == [(index, index) for index in range(300)]


def test_a_reset_in_the_middle_of_a_request_is_told_and_harms_no_other_client(server: int, call: Call) -> None:
    with Proxy(server, 100_000, reset_after=100_003, reset_of="client") as proxy:
        done = call(proxy.port, 500)
    told(done)
    assert call(server, 10).returncode == 0


def test_a_client_that_does_not_read_gets_all_when_it_reads_and_holds_nobody_up(server: int, call: Call) -> None:
    body = b"x" * 60_000
    requests = b"".join(peers.request_frame(index, index, body) for index in range(120))
    with socket.create_connection(("127.0.0.1", server), peers.SECONDS) as peer:
        sender = threading.Thread(target=peer.sendall, args=(requests,))
        sender.start()
        assert call(server, 10).returncode == 0  # in the meantime
        received = bytearray()
        while len(received) < 120 * len(peers.response_frame(0, body=body)):
            data = peer.recv(1 << 16)
            assert data, "the server has ended the connection"
            received += data
        sender.join()
    rows = peers.reference.decode(bytes(received), [peers.reference.ECHO_RESPONSE]).rows
    assert [(row.sequence, row.values[1], row.values[3] == body) for row in rows] == [
        (index, index, True) for index in range(120)
    ]


@pytest.mark.parametrize("frame", [peers.request_frame(1, 1, b"x" * 100)[:50], b"\xff\xff\xff\xff", b"\0\0\0\2\x63\0"])
def test_a_request_that_is_cut_or_wrong_ends_its_connection_only(server: int, call: Call, frame: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server), peers.SECONDS) as peer:
        peer.sendall(frame)
        peers.reset(peer)
    assert call(server, 10).returncode == 0


WRONG_ANSWERS = {
    "none": b"",
    "cut in its Size": b"\0\0",
    "cut in its body": peers.response_frame(0, body=b"x" * 100)[:50],
    "of nobody's request": peers.response_frame(77),
    "of a schema that nobody knows": b"\0\0\0\2\x63\0",
    "with a body that lies": b"\0\0\0\x16\0\0" + bytes(12) + b"\x7f\xff\xff\xff" + bytes(4),
    "with a Size that cannot be": b"\xff\xff\xff\xff",
}


@pytest.mark.parametrize(("answer", "stays"), [*((answer, False) for answer in WRONG_ANSWERS), ("none", True)])
def test_an_answer_that_is_none_is_told_by_every_client(call: Call, answer: str, stays: bool) -> None:
    """Also by one whose server still reads, but has ended what it sends."""

    def converse(peer: socket.socket) -> None:
        peers.receive_requests(peer, 1)
        peer.sendall(WRONG_ANSWERS[answer])
        peer.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while stays and peer.recv(1 << 16):
                pass

    with peers.listening(converse) as port:
        done = call(port, 1)
    told(done)


def test_no_server_is_told_by_every_client(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = call(port, 1)
    told(done)


def test_the_c_client_refuses_what_differs_from_its_requests(programs: dict[tuple[str, str], Command]) -> None:
    """An answer with another body, one with a sequence that nobody waits for, and one that is cut."""

    def answered(response: Callable[[int, bytes, bytes], bytes]) -> str:
        def converse(peer: socket.socket) -> None:
            (request,) = peers.receive_requests(peer, 1)
            peer.sendall(response(request.sequence, request.values[1], request.values[3]))
            while peer.recv(1 << 16):
                pass

        with peers.listening(converse) as port:
            command = [*programs["c", "client"], str(port), "1", "subject"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    def encoded(sequence: int, *values: object) -> bytes:
        return peers.reference.encode(peers.reference.ECHO_RESPONSE, sequence, values)

    assert "differs" in answered(lambda sequence, subject, body: encoded(sequence, 0, 0, subject, body + b"!"))
    assert "which nobody waits for" in answered(
        lambda sequence, subject, body: encoded(sequence + 1, 0, 0, subject, body)
    )
    wrong = answered(lambda sequence, subject, body: encoded(sequence, 0, 0, subject, body)[:-1] + b"\xff")
    assert "body: a string of 255 bytes" in wrong
    cut = answered(lambda sequence, subject, body: encoded(sequence, 0, 0, subject, body)[:-1])
    assert "the peer closed the connection, with 1 requests in flight" in cut


def test_the_c_programs_run_clean_under_the_sanitizers(tmp_path: Path) -> None:
    """The core is compiled in, because AddressSanitizer sees only what it was compiled into."""
    core = list(map(str, (ROOT / "core/src").glob("*.c")))
    flags = ["-std=gnu11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{ROOT}/core/include"]
    archive = tmp_path / "core.o"
    subprocess.run(["gcc", *flags, "-r", "-o", str(archive), *core], check=True)
    for role in "server", "client":
        source, target = str(EXAMPLES / f"c/echo_{role}.c"), str(tmp_path / role)
        subprocess.run(["gcc", *flags, source, str(archive), "-pthread", "-o", target], check=True)
    with serving([str(tmp_path / "server")]) as port:
        with Proxy(port, 30_000) as proxy:
            done = subprocess.run(
                [str(tmp_path / "client"), str(proxy.port), "300"], capture_output=True, text=True, timeout=60
            )
        assert (done.returncode, done.stdout, done.stderr) == (0, "300 responses\n", "")
        with Proxy(port, 30_000, reset_after=100_003) as proxy:
            done = subprocess.run(
                [str(tmp_path / "client"), str(proxy.port), "300"], capture_output=True, text=True, timeout=60
            )
        assert (done.returncode, done.stdout) == (1, "")
        assert "in flight" in done.stderr and "Sanitizer" not in done.stderr
