"""What the Python tests share. The suite runs once per back end: SAMEBYTES_BACKEND chooses what the classes call.

Tests of the function layers themselves run on both layers each time, which also shows that they live in one process.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import samebytes
from samebytes import _layer_cffi, _layer_ctypes

ROOT = Path(__file__).resolve().parents[2]
LAYERS = {"cffi": _layer_cffi, "ctypes": _layer_ctypes}
REFERENCE = bytes.fromhex(
    "000000350000000000000000270f0000000474657374000300010002000300000017576520686176652061206c6f7420696e20636f6d6d6f6e"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that hangs fails."""
    for item in items:
        item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(params=sorted(LAYERS))
def layer(request: pytest.FixtureRequest) -> ModuleType:
    """Each function layer in turn."""
    return LAYERS[request.param]


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Whatever a test did, the blocks of the library are back after it."""
    before = samebytes.memory_live_blocks()
    yield
    gc.collect()
    assert samebytes.memory_live_blocks() == before, "the test leaked blocks"


def run_python(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run *code* in a new process."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def output_of(code: str, *arguments: object, **environment: str) -> str:
    """What *code* prints in a new process, which must end well and print nothing to stderr."""
    done = run_python(code, *arguments, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
