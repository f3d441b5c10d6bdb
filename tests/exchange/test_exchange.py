"""Exchange between processes, in all ordered pairs of C, Python by CFFI, Python by ctypes, and Go.

The sender sends a view of several spans, then a block; the receiver writes into the block while both have it and says so by a view of its
own; the sender sees it, writes again, and says so; the receiver sees that, writes a last time, and is done with it, which the sender sees.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = [sys.executable, str(Path(__file__).with_name("worker.py"))]
WORKERS: dict[str, tuple[list[str], dict[str, str]]] = {
    "c": ([str(ROOT / "build/bin/exchange_c")], {}),
    "cffi": (PYTHON, {"SAMEBYTES_BACKEND": "cffi"}),
    "ctypes": (PYTHON, {"SAMEBYTES_BACKEND": "ctypes"}),
    "go": ([str(ROOT / "build/bin/exchange_go")], {}),
}


def start(language: str, role: str, end: socket.socket) -> subprocess.Popen[str]:
    command, environment = WORKERS[language]
    with end:
        return subprocess.Popen(
            [*command, role, str(end.fileno())],
            pass_fds=[end.fileno()],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def run(sender: tuple[str, str], receiver: tuple[str, str]) -> list[tuple[int, str, str]]:
    ends = socket.socketpair()
    processes = [start(*who, end) for who, end in zip((sender, receiver), ends, strict=True)]
    try:
        outputs = [process.communicate(timeout=60) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)]


@pytest.mark.parametrize("receiver", WORKERS)
@pytest.mark.parametrize("sender", WORKERS)
def test_each_sees_what_the_other_writes(sender: str, receiver: str) -> None:
    assert run((sender, "send"), (receiver, "receive")) == [(0, "ok\n", ""), (0, "ok\n", "")]


@pytest.mark.parametrize("receiver", WORKERS)
@pytest.mark.parametrize("sender", WORKERS)
def test_a_receiver_that_dies_frees_the_senders_pins(sender: str, receiver: str) -> None:
    lost, died = run((sender, "lose"), (receiver, "die"))
    assert died[0] == -signal.SIGKILL
    assert lost == (0, "ok\n", "")
