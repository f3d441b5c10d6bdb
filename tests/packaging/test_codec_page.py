"""The programs in C and Go of docs/codec.md do what it says; those in Python are in tests/python/test_documentation.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, run

OUTPUT = """\
5 readings in 151 bytes
not added: values
north at 1 [20 21 22]
south at 2 []
north at 3 [23]
east at 4 [1]
west at 5 [2 3]
the times add up to 15
"""


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "docs/codec.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"docs/codec.md has {len(found)} code blocks marked {language}"
    return found[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the schema file of the page."""
    (tmp_path / "readings.schema").write_text(block("text"))
    return tmp_path


def test_c(installed: Path, folder: Path) -> None:
    (folder / "readings.c").write_text(block("c"))
    found = run("pkg-config", "--cflags", "--libs", "samebytes", PKG_CONFIG_PATH=str(installed / "lib/pkgconfig"))
    command = ["cc", "-Wall", "-Wextra", "-Werror", "readings.c", *found.split(), "-o", "readings"]
    run(*command, cwd=folder)
    assert run(folder / "readings", cwd=folder, LD_LIBRARY_PATH=str(installed / "lib")) == OUTPUT


def test_go(folder: Path) -> None:
    (folder / "main.go").write_text(block("go"))
    (folder / "go.mod").write_text(
        "module example.com/user\n\ngo 1.26\n\nrequire github.com/samebytes/samebytes v0.0.0\n\n"
        f"replace github.com/samebytes/samebytes => {ROOT}\n"
    )
    run("go", "vet", ".", cwd=folder, GOFLAGS="-mod=mod")
    assert run("go", "run", ".", cwd=folder, GOFLAGS="-mod=mod") == OUTPUT
