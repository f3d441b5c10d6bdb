"""The quick starts of README.md do what it says, in every language."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.packaging.conftest import QUICK_START_OUTPUT, ROOT, quick_start, run


def test_c(installed: Path, c_program: Path) -> None:
    program = c_program.with_suffix("")
    flags = run(
        "pkg-config", "--cflags", "--libs", "samebytes", PKG_CONFIG_PATH=str(installed / "lib/pkgconfig")
    ).split()
    run("cc", "-Wall", "-Wextra", "-Wconversion", "-Werror", c_program, *flags, "-o", program)
    assert run(program, LD_LIBRARY_PATH=str(installed / "lib")) == QUICK_START_OUTPUT


@pytest.mark.parametrize("backend", ["cffi", "ctypes"])
def test_python(tmp_path: Path, backend: str) -> None:
    source = tmp_path / "quick_start.py"
    source.write_text(quick_start("python"))
    assert run(ROOT / "build/venv/bin/python", source, cwd=tmp_path, SAMEBYTES_BACKEND=backend) == QUICK_START_OUTPUT


def test_go(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text(quick_start("go"))
    (tmp_path / "go.mod").write_text(
        "module example.com/user\n\ngo 1.26\n\nrequire github.com/samebytes/samebytes v0.0.0\n\n"
        f"replace github.com/samebytes/samebytes => {ROOT}\n"
    )
    assert run("go", "run", ".", cwd=tmp_path, GOFLAGS="-mod=mod") == QUICK_START_OUTPUT


def test_every_path_that_the_documents_name_exists() -> None:
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)  # code has no links
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
        names = re.findall(r"`((?:core|bindings|tests|docs|examples|\.ci)/[\w./-]*)`", text)
        for path in [document.parent / link for link in links] + [ROOT / name for name in names]:
            assert path.exists(), f"{document.relative_to(ROOT)} names {path}, which does not exist"


def documented_bytes(heading: str) -> bytes:
    """Return the bytes of the table below *heading* of docs/wire-format.md, whose first column must be their offsets."""
    section = (ROOT / "docs/wire-format.md").read_text().split(f"### {heading}\n")[1].split("\n#")[0]
    data = b""
    for offset, cell in re.findall(r"^\| (\d+) \| (.+?) \|", section, re.MULTILINE):
        assert int(offset) == len(data), f"{heading}: the row at offset {offset} is at {len(data)}"
        data += bytes.fromhex("".join(re.findall(r"`([0-9a-f ]+)`", cell)))
    return data


def test_the_wire_formats_page_shows_the_reference_frame() -> None:
    vectors = json.loads((ROOT / "tests/conformance/vectors/echo.json").read_text())["cases"]
    frames = {bytes.fromhex(case["hex"]) for case in vectors if case["valid"] and isinstance(case["hex"], str)}
    shown = documented_bytes("The reference frame")
    assert len(shown) == 57
    assert shown in frames


def test_the_wire_formats_page_shows_the_old_slide() -> None:
    vectors = json.loads((ROOT / "tests/conformance/vectors/echo.json").read_text())["cases"]
    (slide,) = [case for case in vectors if case["id"].startswith("old-slide")]
    shown = documented_bytes("The 47 bytes of an old slide deck")
    assert shown == bytes.fromhex(slide["hex"])[: len(shown)]
    assert (slide["error"]["field"], slide["error"]["offset"]) == ("subject", 14)
