"""What the packaging tests share: running commands, the README's examples, and one installation of the library."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "build/core/libsamebytes.so.1"

# What the quick start of every language prints.
QUICK_START_OUTPUT = "57 bytes\ntest: We have a lot in common\n"


def run(*command: object, cwd: Path = ROOT, **environment: str) -> str:
    """Run a command without what this run's make and virtual environment leave behind, and return what it printed."""
    clean = {
        k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH", "DESTDIR"}
    }
    clean["PATH"] = os.pathsep.join(p for p in clean["PATH"].split(os.pathsep) if Path(p) != ROOT / "build/venv/bin")
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, env=clean | environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def quick_start(language: str) -> str:
    """Return the quick start of README.md in *language*, which is the tag of its code block."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1, (
        f"README.md has {len(blocks)} code blocks marked {language}; the quick start must be the only one"
    )
    return blocks[0]


def make_install(*variables: str) -> None:
    """Run `make install`; one at a time, because tests run in several processes and all share build/core."""
    with (ROOT / "build/install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("make", "install", *variables)


@pytest.fixture(scope="session")
def installed(testrun_uid: str) -> Path:
    """The prefix of a library that `make install` put there, once per run of the tests.

    It is always the same folder, because Go's build cache keeps what pkg-config said of a package when it was first compiled.
    """
    prefix, done = ROOT / "build/installed", ROOT / "build/installed.run"
    with (ROOT / "build/installed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (done.exists() and done.read_text() == testrun_uid):
            shutil.rmtree(prefix, ignore_errors=True)
            make_install(f"PREFIX={prefix}")
            done.write_text(testrun_uid)
    return prefix


@pytest.fixture
def c_program(tmp_path: Path) -> Path:
    """The quick start in C, as a file in an empty folder."""
    source = tmp_path / "quick_start.c"
    source.write_text(quick_start("c"))
    return source
