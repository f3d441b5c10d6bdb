"""The dependencies between the parts of the core point one way, as docs/architecture.md says."""

from __future__ import annotations

import re
from pathlib import Path

from tests.packaging.conftest import ROOT

HEADERS = ROOT / "core/include/samebytes"
SOURCES = ROOT / "core/src"

# What each part's header may stand on, besides status and the annotations.
BELOW = {
    "annotations": set(),
    "status": set(),
    "library": set(),
    "crc32c": set(),
    "column": set(),
    "pipeline": set(),
    "memory": set(),
    "pool": {"memory"},
    "callback": {"memory"},
    "view": {"memory"},
    "buf": {"view"},
    "lender": {"view"},
    "shared": {"view"},
    "schema": {"view"},
    "schema_file": {"schema"},
    "builder": {"column", "schema"},
    "parser": {"schema"},
    "echo": {"builder", "parser"},
    "arrow": {"parser", "visits"},
    "client": {"builder", "parser"},
    "visits": {"column"},
}


# What parts have of the operating system, which is private as a whole.
BELOW_PRIVATE = {
    "callback": {"system"},
    "client": {"system"},
    "lender": {"system"},
    "shared": {"system"},
    "status": {"system"},
    "visits": {"system"},
}


# Private headers that several parts need, and the generated ones.
SHARED = {
    "abi_digest",
    "abi_layout",
    "block",
    "buf_private",
    "crc32c_private",
    "error_private",
    "handle_cache",
    "options",
    "owners",
    "schema_private",
    "spans",
    "steps",
    "view_private",
    "wire",
}


def part_of(name: str) -> str:
    """The part that a file of core/src belongs to: pool_slab to pool, visit_log to visits."""
    part = name.split("_")[0]
    return "visits" if part == "visit" else part


def includes(file: Path, pattern: str) -> set[str]:
    return set(re.findall(rf"^#include {pattern}", file.read_text(), re.MULTILINE))


def test_every_header_stands_on_the_parts_below_it_only() -> None:
    parts = {
        file.stem: includes(file, r"<samebytes/(\w+)\.h>") for file in HEADERS.glob("*.h") if file.stem != "samebytes"
    }
    assert set(parts) == set(BELOW), "a new part needs its place in BELOW"
    for part, found in parts.items():
        assert found - {"status", "annotations"} <= BELOW[part], f"{part}.h includes {found}"


def test_the_whole_api_is_in_one_include() -> None:
    assert includes(HEADERS / "samebytes.h", r"<samebytes/(\w+)\.h>") == set(BELOW) - {"annotations"}


def test_no_part_includes_a_private_header_of_another() -> None:
    for file in SOURCES.glob("*.[ch]"):
        part = part_of(file.stem)
        for header in includes(file, r'"(\w+)\.h"') - SHARED:
            owner = part_of(header)
            assert owner == part or owner in BELOW_PRIVATE.get(part, set()), f"{file.name} includes {header}.h"


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


def test_the_python_package_carries_the_licence_of_the_whole() -> None:
    # A copy, because a package can carry only what lies in its own folder.
    assert (ROOT / "bindings/python/LICENSE").read_text() == (ROOT / "LICENSE").read_text()
