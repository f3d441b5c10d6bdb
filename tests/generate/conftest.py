"""Trees for the generator to work on: small ones around one header, and copies of the real one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
THING = (Path(__file__).parent / "thing.h").read_text(encoding="utf-8")


def generate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the generator of the tree at `root` on that tree."""
    command = [sys.executable, "-m", "bindings.generate", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def thing_tree(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a tree whose only headers are the language, status.h, library.h and a thing.h of the given text."""

    def make(text: str) -> Path:
        source, target = ROOT / "core/include/samebytes", tmp_path / "core/include/samebytes"
        target.mkdir(parents=True)
        for name in ("annotations.h", "status.h", "library.h"):
            shutil.copy(source / name, target)
        (target / "samebytes.h").write_text(
            "#include <samebytes/library.h>\n#include <samebytes/thing.h>\n", encoding="utf-8"
        )
        (target / "thing.h").write_text(text, encoding="utf-8")
        return tmp_path

    return make


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the generator reads and writes."""
    for name in ("core/include", "core/abi", "core/src", "bindings"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
        )
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs/api.md", tmp_path / "docs")
    return tmp_path
