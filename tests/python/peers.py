"""What tests of clients and servers share: peers of plain sockets, a bad network, certificates, and bytes by the independent codec."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from .conftest import ROOT

sys.path.insert(0, str(ROOT))
from tests.conformance import reference_codec as reference

SECONDS = 20  # after which something that should have happened counts as failed


def request_values(index: int, body: bytes = b"body") -> list[object]:
    return [index, b"subject %d" % index, [1, 2, 3], body]


def response_frame(sequence: int, id: int = 0, timestamp: int = 0, body: bytes = b"") -> bytes:
    return reference.encode(reference.ECHO_RESPONSE, sequence, (id, timestamp, b"", body))


def request_frame(sequence: int, timestamp: int = 0, body: bytes = b"") -> bytes:
    return reference.encode(reference.ECHO_REQUEST, sequence, (timestamp, b"", [1], body))


def receive_requests(peer: socket.socket, count: int) -> list[reference.Row]:
    """The next requests that come, decoded by the independent codec; fewer where the peer ends."""
    data = b""
    while True:
        rows = reference.decode(data, [reference.ECHO_REQUEST]).rows
        if len(rows) >= count:
            return rows
        more = peer.recv(65536)
        if not more:
            return rows
        data += more


@contextlib.contextmanager
def listening(converse: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server of plain sockets for one connection, in a thread; gives its port. What it raises is raised at the end."""
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(SECONDS)
                converse(peer)
        except BaseException as error:
            failures.append(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(SECONDS)
    assert not thread.is_alive(), "the peer did not end"
    for failure in failures:
        raise failure


def reset(peer: socket.socket) -> None:
    """Ends a connection with a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()


class Proxy:
    """Passes the bytes of one connection on, in pieces of random sizes, and tells which sides have ended what they send.

    After *reset_after* bytes of the side *reset_of* it resets both connections.
    """

    def __init__(
        self,
        port: int,
        size_max: int,
        pause: float = 0,
        reset_after: int = 1 << 60,
        reset_of: Literal["client", "server"] = "server",
    ) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(SECONDS)
        self.port = self.listener.getsockname()[1]
        self.server_port = port
        self.size_max, self.pause, self.reset_after, self.reset_of = size_max, pause, reset_after, reset_of
        self.ended: list[str] = []
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        near, _ = self.listener.accept()
        far = socket.create_connection(("127.0.0.1", self.server_port))
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self.pass_on, args=("server", far, near))
        back.start()
        self.pass_on("client", near, far)
        back.join()
        near.close()
        far.close()

    def pass_on(self, name: str, source: socket.socket, target: socket.socket) -> None:
        generator = random.Random(9)
        reset_after = self.reset_after if name == self.reset_of else 1 << 60
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(min(generator.randint(1, self.size_max), reset_after - passed)):
                target.sendall(data)
                passed += len(data)
                time.sleep(self.pause)
                if passed == reset_after:
                    for end in (target, source):
                        end.shutdown(socket.SHUT_RD)
                        reset(end)
                    return
            self.ended.append(name)
            target.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Proxy:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join(SECONDS)
        self.listener.close()
        assert not self.thread.is_alive()


def half_closed(port: int, subject: bytes = b"half") -> list[tuple[Any, Any]]:
    """Sends 300 requests, ends its side, and reads to the end: ids and timestamps of the answers."""
    requests = b"".join(
        reference.encode(reference.ECHO_REQUEST, index % 100, (index, subject, [1], b"x" * 1000))
        for index in range(300)
    )
    with socket.create_connection(("127.0.0.1", port), SECONDS) as peer:
        sender = threading.Thread(target=lambda: (peer.sendall(requests), peer.shutdown(socket.SHUT_WR)))
        sender.start()
        received = b""
        while data := peer.recv(1 << 16):
            received += data
        sender.join()
    rows = reference.decode(received, [reference.ECHO_RESPONSE]).rows
    return [(row.values[0], row.values[1]) for row in rows]


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS of a server with a certificate made for this, and of a client that trusts it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out"]
        + [str(certificate)],
        check=True,
        capture_output=True,
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))
