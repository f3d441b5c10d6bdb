"""Trees for the generator to work on: small ones around one header, and copies of the real one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .call_graph import read_callers

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


def copy_project(root: Path) -> None:
    """Copies what the generator, and the builds of core, Python package and Go, read and write."""
    for name in ("core", "bindings"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    (root / "docs/api").mkdir(parents=True)
    for path in (
        *ROOT.glob("go.*"),
        *ROOT.glob("*.md"),
        ROOT / "LICENSE",
        ROOT / "docs/api.md",
        *ROOT.glob("docs/api/*.md"),
    ):
        shutil.copy(path, root / path.relative_to(ROOT))


@pytest.fixture(scope="session")
def generated_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which all generated files are up to date, whatever the original is."""
    root = tmp_path_factory.mktemp("generated")
    copy_project(root)
    written = generate(root)
    assert written.returncode == 0, written.stderr
    return root


@pytest.fixture
def tree(generated_tree: Path, tmp_path: Path) -> Path:
    """A tree of one's own to spoil."""
    return Path(shutil.copytree(generated_tree, tmp_path / "tree", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture(scope="session")
def callers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """For each function of the core those that call it."""
    return read_callers(tmp_path_factory.mktemp("graph"))
