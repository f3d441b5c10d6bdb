"""The demo's workers as processes: started, waited for with a timeout, and named with their stderr when they fail."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STDERR_SHOWN_MAX = 2000
LANGUAGES = ("c", "cffi", "ctypes", "go")
_PYTHON_WORKER = [sys.executable, str(ROOT / "tests/demo/worker.py")]
COMMANDS = {
    "c": [str(ROOT / "build/bin/demo_c")],
    "cffi": _PYTHON_WORKER,
    "ctypes": _PYTHON_WORKER,
    "go": [str(ROOT / "build/bin/demo_go")],
}


class WorkerFailure(Exception):
    """A worker that could not be started, died, was too slow, or did not say what it did."""


def environment(language: str) -> Mapping[str, str]:
    changes = {"SAMEBYTES_BACKEND": language} if language in ("cffi", "ctypes") else {}
    return {**os.environ, **changes}


class Worker:
    """One run of a worker. Leaving the context ends the process."""

    def __init__(self, language: str, *arguments: str | Path, timeout_seconds: float) -> None:
        self.name = f"{language} {arguments[0]}"
        self.deadline = time.monotonic() + timeout_seconds
        self.timeout_seconds = timeout_seconds
        self.received = b""
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        command = [*COMMANDS[language], *map(str, arguments)]
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.stderr, env=environment(language)
            )
        except OSError as error:
            self.stderr.close()
            raise WorkerFailure(f"{self.name}: cannot start {command[0]}: {error.strerror}; run make build") from None
        assert self.process.stdout
        self.stdout = self.process.stdout

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self.stdout.close()
        self.stderr.close()

    def fail(self, what: str) -> WorkerFailure:
        self.stderr.seek(0)
        text = self.stderr.read().decode(errors="replace").strip()[-STDERR_SHOWN_MAX:]
        return WorkerFailure(f"{self.name}: {what}" + (f"; stderr: {text}" if text else "; nothing on stderr"))

    def ended(self) -> WorkerFailure:
        """What to say of a process that has closed its stdout."""
        try:
            status = self.process.wait(max(0.1, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return self.fail("closed its output and did not end")
        return self.fail(f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}")

    def answer(self) -> dict[str, Any]:
        """The next line that it prints, a JSON object."""
        while b"\n" not in self.received:
            readable, _, _ = select.select([self.stdout], [], [], max(0.0, self.deadline - time.monotonic()))
            if not readable:
                raise self.fail(f"not done after {self.timeout_seconds:.0f} s")
            data = os.read(self.stdout.fileno(), 65536)
            if not data:
                raise self.ended()
            self.received += data
        line, self.received = self.received.split(b"\n", 1)
        try:
            found = json.loads(line)
        except ValueError:
            raise self.fail(f"printed {line[:200]!r}, which is no JSON") from None
        if not isinstance(found, dict):
            raise self.fail(f"printed {line[:200]!r}, which is no JSON object")
        return found

    def finish(self) -> dict[str, Any]:
        """Its last answer, once it has ended well."""
        found = self.answer()
        try:
            status = self.process.wait(max(0.1, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise self.fail("printed its results and did not end") from None
        if status != 0:
            raise self.ended()
        return found


def run(language: str, *arguments: str | Path, timeout_seconds: float) -> dict[str, Any]:
    with Worker(language, *arguments, timeout_seconds=timeout_seconds) as worker:
        return worker.finish()
