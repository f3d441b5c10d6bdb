"""Programs that were written for another library, against the drop-in headers only, run on this one unchanged. And programs that have the
names of those headers for themselves keep them."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import run
from tests.packaging.test_go import consumer, consumer_of_tree

HERE = Path(__file__).parent / "drop_in"
OUTPUT = "7: 3 /three third 2 /two second\n7: 3 /three third\n8:\n"
NAMES = ["AddVisit", "Clear", "Delete", "Free", "GetRecentVisits", "VisitManagerCreate"]


@pytest.fixture(scope="module")
def rv(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as those programs know it: the header, and librv.so, which is a link to libsamebytes."""
    folder = tmp_path_factory.mktemp("rv")
    shutil.copy(installed / "include/recent_visits.h", folder)
    (folder / "librv.so").symlink_to(installed / "lib/libsamebytes.so.1")
    (folder / "libsamebytes.so.1").symlink_to("librv.so")
    return folder


def test_the_declarations_are_exactly_these(installed: Path) -> None:
    text = (installed / "include/recent_visits.h").read_text()
    declared = re.findall(r"^RECENT_VISITS_API .*?(\w+)\(", text, re.MULTILINE)
    assert sorted(declared) == NAMES
    assert re.findall(r"^\} (\w+);|^typedef struct \w+ (\w+);", text, re.MULTILINE) == [
        ("Visit", ""),
        ("", "VisitManager"),
    ]
    assert "samebytes/" not in re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def test_a_program_in_c(rv: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    run("gcc", "-std=c11", *strict, HERE / "program.c", f"-I{rv}", f"-L{rv}", "-lrv", "-o", program)
    assert run(program, tmp_path / "visits", LD_LIBRARY_PATH=str(rv)) == OUTPUT


def test_a_program_in_python_by_ctypes(rv: Path, tmp_path: Path) -> None:
    assert run(sys.executable, HERE / "program.py", tmp_path / "visits", LD_LIBRARY_PATH=str(rv)) == OUTPUT


def test_a_program_in_go_by_cgo(rv: Path, tmp_path: Path) -> None:
    folder = consumer(tmp_path / "program", (HERE / "program.go.txt").read_text())
    settings = {"CGO_CFLAGS": f"-I{rv}", "CGO_LDFLAGS": f"-L{rv}"}
    run("go", "build", "-o", "program", ".", cwd=folder, **settings)
    assert run(folder / "program", tmp_path / "visits", LD_LIBRARY_PATH=str(rv)) == OUTPUT


def test_a_program_in_go_has_the_names_compiled_in_by_a_tag(installed: Path, tmp_path: Path) -> None:
    source = (HERE / "program.go.txt").read_text().replace("#cgo LDFLAGS: -lrv\n", "")
    source = source.replace("import (\n", 'import (\n\t_ "github.com/samebytes/samebytes/bindings/go"\n', 1)
    folder = consumer_of_tree(tmp_path / "program", source)
    settings = {"CGO_CFLAGS": f"-I{installed}/include"}
    run("go", "build", "-tags", "samebytes_recent_visits", "-o", "program", ".", cwd=folder, **settings)
    assert run(folder / "program", tmp_path / "visits") == OUTPUT


def test_a_program_in_cpp_includes_the_header(rv: Path, tmp_path: Path) -> None:
    source = tmp_path / "program.cpp"
    source.write_text((HERE / "program.c").read_text())
    program = tmp_path / "program"
    run("g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", source, f"-I{rv}", f"-L{rv}", "-lrv", "-o", program)
    assert run(program, tmp_path / "visits", LD_LIBRARY_PATH=str(rv)) == OUTPUT


@pytest.mark.parametrize("whole", [False, True], ids=["what is needed", "whole archive"])
def test_a_program_with_functions_of_these_names_links_the_static_library(
    whole: bool, installed: Path, tmp_path: Path
) -> None:
    program, archive = tmp_path / "program", str(installed / "lib/libsamebytes.a")
    library = [f"-Wl,--whole-archive,{archive},--no-whole-archive"] if whole else [archive]
    flags = ["-Wall", "-Werror", f"-I{installed}/include"]
    run("gcc", *flags, HERE / "own_names.c", *library, "-pthread", "-o", program)
    assert run(program) == "1 2 3 4 5 6\n"
    run("gcc", *flags, HERE / "own_free.c", *library, "-pthread", "-o", program)
    assert run(program, tmp_path / "visits") == "its own Free, of a manager\n"


def test_a_program_with_functions_of_these_names_links_the_shared_library(installed: Path, tmp_path: Path) -> None:
    program, library = tmp_path / "program", installed / "lib"
    for source, output in ("own_names.c", "1 2 3 4 5 6\n"), ("own_free.c", "its own Free, of a manager\n"):
        run("gcc", f"-I{installed}/include", HERE / source, f"-L{library}", "-lsamebytes", "-o", program)
        assert run(program, tmp_path / "visits", LD_LIBRARY_PATH=str(library)) == output


OWN_IN_GO = """\
package main

import "C"

import samebytes "github.com/samebytes/samebytes/bindings/go"

//export Free
func Free() uint64 { return samebytes.InstanceID() }

func main() {}
"""


@pytest.mark.parametrize("tags", ["", "samebytes_recent_visits"])
def test_a_go_library_exports_functions_of_its_own_under_these_names(tags: str, tmp_path: Path) -> None:
    folder = consumer_of_tree(tmp_path / "own", OWN_IN_GO)
    run("go", "build", "-tags", tags, "-buildmode=c-shared", "-o", "libown.so", ".", cwd=folder)
    defined = [line.split() for line in run("nm", "-D", "--defined-only", folder / "libown.so").splitlines()]
    kinds = {name: kind for _, kind, name in defined if name in NAMES}
    assert kinds.pop("Free") == "T"  # its own, and visible
    assert sorted(kinds) == (sorted({*NAMES} - {"Free"}) if tags else [])
