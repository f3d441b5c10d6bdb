"""Compiling the programs of these tests: with the core's assertions, and with what is private."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
NONE, INTERVAL, ALWAYS = "0", "1", "2"
CC = os.environ.get("CC", "gcc")
FLAGS = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-pthread"]
INCLUDES = [f"-I{ROOT / folder}" for folder in ("core/include", "core/src", "tests/core")]


def compile_core(folder: Path) -> None:
    """The core, with assertions and with what is private, as object files in *folder*."""
    sources = [str(path) for path in sorted((ROOT / "core/src").glob("*.c"))]
    subprocess.run([CC, *FLAGS, *INCLUDES, "-c", *sources], check=True, cwd=folder)


def compiled(core: Path, folder: Path, name: str, *flags: str) -> Path:
    objects = [str(path) for path in sorted(core.glob("*.o"))]
    command = [CC, *FLAGS, *INCLUDES, str(HERE / f"{name}.c"), *objects, "-o", str(folder / name), *flags]
    subprocess.run(command, check=True)
    return folder / name
