"""Programs that were written for cgobytepool, in Go and in C, on this library: with functions of their own under its names, and without."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.packaging.conftest import run
from tests.packaging.test_go import consumer_of_tree

HERE = Path(__file__).parent / "drop_in"
NAMES = ["bytepool_free", "bytepool_get", "bytepool_put"]


def test_the_declarations_are_exactly_these(installed: Path) -> None:
    text = (installed / "include/bytepool.h").read_text()
    assert sorted(re.findall(r"^BYTEPOOL_API .*?(\w+)\(", text, re.MULTILINE)) == NAMES


@pytest.mark.parametrize("shims", [False, True], ids=["the library's", "its own"])
def test_a_program_in_go(shims: bool, tmp_path: Path) -> None:
    source = (HERE / "bytepool.go.txt").read_text()
    if shims:
        source = source.replace("// SHIMS\n", (HERE / "bytepool_shims.go.txt").read_text())
    folder = consumer_of_tree(tmp_path / "program", source)
    run("go", "build", "-o", "program", ".", cwd=folder)
    assert run(folder / "program") == ("100 14 5\n" if shims else "100 14 0\n")


@pytest.mark.parametrize("own", [False, True], ids=["the library's", "its own"])
def test_a_program_in_c(own: bool, installed: Path, tmp_path: Path) -> None:
    program, flags = tmp_path / "program", ["-Wall", "-Wextra", "-Werror", f"-I{installed}/include"]
    flags += ["-DOWN"] if own else []
    run("gcc", *flags, HERE / "bytepool.c", installed / "lib/libsamebytes.a", "-pthread", "-o", program)
    assert run(program) == "1\n"
    run("gcc", *flags, HERE / "bytepool.c", f"-L{installed}/lib", "-lsamebytes", "-o", program)
    assert run(program, LD_LIBRARY_PATH=str(installed / "lib")) == "1\n"
