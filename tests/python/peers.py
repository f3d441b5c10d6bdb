"""What tests of clients and servers share: peers of plain sockets, certificates, and bytes by the independent codec."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

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
