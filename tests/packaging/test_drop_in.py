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
DECLARATIONS = [
    "typedef struct { uint32_t visit_id; char *url; char *text; struct timespec time; } Visit;",
    "typedef struct VisitManager VisitManager;",
    "VisitManager *VisitManagerCreate(const char *path, size_t max_visits);",
    "void VisitManagerFree(VisitManager *manager);",
    "bool VisitManagerAddVisit(VisitManager *manager, uint32_t user_id, uint32_t visit_id, const char *url, const char *text);",
    "Visit **VisitManagerGetRecentVisits(VisitManager *manager, uint32_t user_id, size_t *count);",
    "bool VisitManagerDelete(VisitManager *manager, uint32_t user_id, uint32_t *visitIds, size_t visit_count);",
    "void VisitManagerClear(VisitManager *manager, uint32_t user_id);",
]
INCLUDES = ["stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "time.h"]
NAMES = sorted(re.findall(r"(\w+)\(", " ".join(DECLARATIONS)))
SHORT = {"AddVisit", "Clear", "Delete", "Free", "GetRecentVisits"}  # names that anybody's library may have


@pytest.fixture(scope="module")
def rv(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as those programs know it: the header, and librv.so, which is a link to libsamebytes."""
    folder = tmp_path_factory.mktemp("rv")
    shutil.copy(installed / "include/recent_visits.h", folder)
    (folder / "librv.so").symlink_to(installed / "lib/libsamebytes.so.1")
    (folder / "libsamebytes.so.1").symlink_to("librv.so")
    return folder


def test_the_declarations_are_exactly_these(installed: Path) -> None:
    text = re.sub(r"/\*.*?\*/", "", (installed / "include/recent_visits.h").read_text(), flags=re.DOTALL)
    assert re.findall(r"#include <(.*)>", text) == INCLUDES
    code = re.sub(r"^#.*$|^extern .*$|^\}$|RECENT_VISITS_API ", "", text, flags=re.MULTILINE)
    assert " ".join(code.split()) == " ".join(DECLARATIONS)


def test_the_library_has_these_names_and_no_short_ones(installed: Path) -> None:
    defined = run("nm", "-D", "--defined-only", installed / "lib/libsamebytes.so.1").splitlines()
    names = {line.split()[-1].split("@")[0] for line in defined}
    assert {*NAMES} <= names
    assert not SHORT & names
    assert {name for name in names if not name.startswith("sb_")} - {"SAMEBYTES_1.0"} == {
        *NAMES,
        "bytepool_free",
        "bytepool_get",
        "bytepool_put",
    }


def test_a_program_compiled_against_the_known_header_runs(rv: Path, tmp_path: Path) -> None:
    """Its own header, so that what was compiled before the library was exchanged runs as well."""
    includes = "".join(f"#include <{name}>\n" for name in INCLUDES)
    (tmp_path / "recent_visits.h").write_text(includes + "\n".join(DECLARATIONS) + "\n")
    program = tmp_path / "program"
    run("gcc", HERE / "program.c", f"-I{tmp_path}", f"-L{rv}", "-lrv", "-o", program)
    assert run(program, tmp_path / "visits", LD_LIBRARY_PATH=str(rv)) == OUTPUT


def test_a_program_in_c(rv: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    run("gcc", "-std=c11", *strict, HERE / "program.c", f"-I{rv}", f"-L{rv}", "-lrv", "-o", program)
    assert run(program, tmp_path / "visits", LD_LIBRARY_PATH=str(rv)) == OUTPUT


def test_a_program_in_python_by_ctypes(rv: Path, tmp_path: Path) -> None:
    shutil.copy(HERE / "program.py", rv)
    assert run(sys.executable, rv / "program.py", tmp_path / "visits") == OUTPUT


def test_a_program_in_go_by_cgo(rv: Path, tmp_path: Path) -> None:
    folder = consumer(tmp_path / "program", (HERE / "program.go.txt").read_text())
    settings = {"CGO_CFLAGS": f"-I{rv}", "CGO_LDFLAGS": f"-L{rv}"}
    run("go", "build", "-o", "program", ".", cwd=folder, **settings)
    assert run(folder / "program", tmp_path / "visits", LD_LIBRARY_PATH=str(rv)) == OUTPUT


def test_a_program_in_go_has_the_names_compiled_in_by_a_tag(installed: Path, tmp_path: Path) -> None:
    source = (HERE / "program.go.txt").read_text().replace("// #cgo LDFLAGS: -lrv\n", "")
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
    assert run(program) == "1 2 3 4 5 6 7\n"
    run("gcc", *flags, HERE / "own_free.c", *library, "-pthread", "-o", program)
    assert run(program, tmp_path / "visits") == "its own VisitManagerFree, of a manager\n"


def test_a_program_with_functions_of_these_names_links_the_shared_library(installed: Path, tmp_path: Path) -> None:
    program, library = tmp_path / "program", installed / "lib"
    for source, output in (
        ("own_names.c", "1 2 3 4 5 6 7\n"),
        ("own_free.c", "its own VisitManagerFree, of a manager\n"),
    ):
        run("gcc", f"-I{installed}/include", HERE / source, f"-L{library}", "-lsamebytes", "-o", program)
        assert run(program, tmp_path / "visits", LD_LIBRARY_PATH=str(library)) == output


OWN_IN_GO = """\
package main

import "C"

import samebytes "github.com/samebytes/samebytes/bindings/go"

//export VisitManagerFree
func VisitManagerFree() uint64 { return samebytes.InstanceID() }

func main() {}
"""


@pytest.mark.parametrize("tags", ["", "samebytes_recent_visits"])
def test_a_go_library_exports_functions_of_its_own_under_these_names(tags: str, tmp_path: Path) -> None:
    folder = consumer_of_tree(tmp_path / "own", OWN_IN_GO)
    run("go", "build", "-tags", tags, "-buildmode=c-shared", "-o", "libown.so", ".", cwd=folder)
    defined = [line.split() for line in run("nm", "-D", "--defined-only", folder / "libown.so").splitlines()]
    kinds = {name: kind for _, kind, name in defined if name in NAMES}
    assert kinds.pop("VisitManagerFree") == "T"  # its own, and visible
    assert sorted(kinds) == (sorted({*NAMES} - {"VisitManagerFree"}) if tags else [])
