"""The dependencies between the parts of the core point one way, as docs/architecture.md says, and those of the Python package, too."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT
from tests.packaging.parts import picture, read_parts, real_arrows

HEADERS = ROOT / "core/include/samebytes"
SOURCES = ROOT / "core/src"

PARTS = read_parts(ROOT / "core/parts.toml")
PART_OF = {file: part for part, about in PARTS.items() for file in about.get("files", [part])}


def includes(file: Path, pattern: str) -> set[str]:
    return set(re.findall(rf"^#include {pattern}", file.read_text(), re.MULTILINE))


def used() -> dict[str, dict[str, set[str]]]:
    """What each part takes from which other part."""
    arrows = real_arrows(SOURCES)
    for file in HEADERS.glob("*.h"):
        for header in includes(file, r"<samebytes/(\w+)\.h>"):
            if file.stem != "samebytes":  # the one that includes all
                arrows.setdefault((file.stem, header), set()).add(f"<samebytes/{header}.h>")
    found: dict[str, dict[str, set[str]]] = {part: {} for part in PARTS}
    for (user, other), what in arrows.items():
        if PART_OF[user] != PART_OF[other]:
            found[PART_OF[user]].setdefault(PART_OF[other], set()).update(what)
    return found


def test_every_file_belongs_to_one_part() -> None:
    files = [file for part, about in PARTS.items() for file in about.get("files", [part])]
    assert len(files) == len(set(files))
    there = {file.stem for folder in (SOURCES, HEADERS) for file in folder.glob("*.[ch]")} - {"samebytes"}
    assert set(files) == there


def test_parts_stand_on_parts_before_them() -> None:
    order = list(PARTS)
    for part, about in PARTS.items():
        for below in about["uses"]:
            assert order.index(below) < order.index(part), f"{part} uses {below}, which does not stand before it"
        for above, reason in about.get("against", {}).items():
            assert order.index(above) > order.index(part) and reason, f"{part} may use {above}: nothing to except"


def test_parts_use_what_they_may_and_may_what_they_use() -> None:
    for part, others in used().items():
        may = {*PARTS[part]["uses"], *PARTS[part].get("against", {})}
        beyond = {other: sorted(what) for other, what in others.items() if other not in may}
        assert not beyond, f"{part} uses {beyond}"
        assert may <= set(others), f"{part} may use {may - set(others)} and does not"


def test_the_architecture_page_shows_the_parts() -> None:
    shown = picture(PARTS)
    assert shown in (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), f"the picture should be\n{shown}"


def test_the_whole_api_is_in_one_include() -> None:
    assert includes(HEADERS / "samebytes.h", r"<samebytes/(\w+)\.h>") == {file.stem for file in HEADERS.glob("*.h")} - {
        "annotations",
        "samebytes",
    }


def test_visits_stand_on_status_and_crc32c_and_nothing_of_the_codec() -> None:
    found = {name for file in SOURCES.glob("visit*.[ch]") for name in includes(file, r"<samebytes/(\w+)\.h>")}
    assert found == {"visits", "crc32c"}
    assert {name for file in SOURCES.glob("system.[ch]") for name in includes(file, r"<samebytes/(\w+)\.h>")} == set()


def test_every_count_of_owners_is_of_the_type_that_cannot_be_counted_round() -> None:
    declared = [
        (file.name, found[1])
        for file in SOURCES.glob("*.[ch]")
        for found in re.finditer(
            r"^\s+(?:static )?([\w() ]+[ )])\w*(?:owners|refs|references)(?: = \d+)?;", file.read_text(), re.M
        )
    ]
    assert len(declared) >= 7
    assert {type_.strip() for _, type_ in declared} == {"sb_priv_owners"}, declared
    for file in SOURCES.glob("*.[ch]"):
        changed = re.findall(r"atomic_fetch_\w+\(&[\w>.-]*owners\b", file.read_text())
        assert not changed, f"{file.name} counts by hand: {changed}"


def test_the_core_depends_on_the_c_library_only() -> None:
    of_the_compiler = {"immintrin.h", "nmmintrin.h", "arm_acle.h"}
    of_the_system = {
        f"{folder}{header}"
        for folder in ("", "sys/", "asm/")
        for header in (
            "auxv.h",
            "dlfcn.h",
            "epoll.h",
            "eventfd.h",
            "hwcap.h",
            "mman.h",
            "poll.h",
            "prctl.h",
            "random.h",
            "socket.h",
            "syscall.h",
            "uio.h",
            "un.h",
            "vfs.h",
        )
    }
    of_c = [
        "assert",
        "errno",
        "float",
        "inttypes",
        "limits",
        "pthread",
        "sched",
        "semaphore",
        "signal",
        "stdalign",
        "stdarg",
        "stdatomic",
        "stdbool",
        "stddef",
        "stdint",
        "stdio",
        "stdlib",
        "string",
        "time",
        "unistd",
    ]
    drop_ins = {path.name for path in HEADERS.parent.glob("*.h")}
    allowed = of_the_compiler | of_the_system | {f"{header}.h" for header in of_c} | drop_ins
    for file in SOURCES.glob("*.[ch]"):
        found = {header for header in includes(file, r"<([\w/]+\.h)>") if not header.startswith("samebytes/")}
        if file.name == "system.c":  # the one that knows files
            found -= {"fcntl.h", "sys/stat.h"}
        if file.name == "pool_trace.c":  # the one that names addresses
            found -= {"dlfcn.h"}
        assert found <= allowed, f"{file.name} includes {found - allowed}"


def refuse_circles(arrows: dict[str, set[str]]) -> None:
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def run_time_statements(node: ast.AST) -> Iterator[ast.AST]:
    """All of a module, also what functions import, but not what is there for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from run_time_statements(child)


def imported_modules(file: Path) -> set[str]:
    found: set[str] = set()
    for node in run_time_statements(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {name.name for name in node.names}
    return found


def test_no_modules_of_the_python_package_import_each_other() -> None:
    package = ROOT / "bindings/python/src/samebytes"
    arrows = {file.stem: imported_modules(file) for file in package.glob("*.py") if file.stem != "__init__"}
    assert "_errors" in arrows["errors"]
    refuse_circles(arrows)


def test_no_parts_of_the_python_extension_include_each_other() -> None:
    """A part is a .c file and the header of its name: what the part uses of others, their headers say."""
    arrows: dict[str, set[str]] = {}
    for file in (ROOT / "bindings/python/src").glob("objects*.[ch]"):
        arrows.setdefault(file.stem, set()).update(includes(file, r'"(objects\w*)\.h"') - {file.stem})
    assert not arrows["objects_base"]
    assert not any("objects" in below for below in arrows.values()), "the module is above its parts"
    refuse_circles(arrows)


def test_the_python_package_carries_the_licence_of_the_whole() -> None:
    # A copy, because a package can carry only what lies in its own folder.
    assert (ROOT / "bindings/python/LICENSE").read_text() == (ROOT / "LICENSE").read_text()
