"""The Go module as programs get it: vendored, from a module proxy, without cgo, linked to the shared library; and edits of the core."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, run

MODULE = "github.com/samebytes/samebytes"
STALE = "core digest is stale: run make generate"
NEEDS_CGO = "samebytes_needs_cgo__set_CGO_ENABLED_1_and_install_a_C_compiler"

PROGRAM = """\
package main

import (
	"fmt"

	"github.com/samebytes/samebytes/bindings/go/echo"
	samebytes "github.com/samebytes/samebytes/bindings/go"
)

func main() {
	builder, err := echo.NewBuilder(nil)
	if err != nil {
		panic(err)
	}
	defer builder.Close()
	request := echo.Request{Subject: []byte("test"), Metadata: []int16{1, 2, 3}, Body: []byte("We have a lot in common")}
	if err := builder.Add(request); err != nil {
		panic(err)
	}
	fmt.Println(builder.Size(), samebytes.Version())
}
"""
OUTPUT = f"57 {1 << 16}\n"

LIBRARY = """\
package main

import "C"

import samebytes "github.com/samebytes/samebytes/bindings/go"

//export GoInstanceID
func GoInstanceID() uint64 { return samebytes.InstanceID() }

func main() {}
"""

# Loads the shared library of samebytes and the one written in Go, and prints the instance that each of them has.
ASK_BOTH = """\
import ctypes, sys
for path, name in ((sys.argv[1], "sb_instance_id"), (sys.argv[2], "GoInstanceID")):
    function = getattr(ctypes.CDLL(path), name)
    function.restype = ctypes.c_uint64
    print(function())
"""


def copy_tree(target: Path) -> Path:
    """Copy what Go and the generator need of the project, where a test may edit it."""
    for folder in ("core", "bindings"):
        shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "go.mod", target)
    return target


def consumer(folder: Path, source: str, *requirements: str) -> Path:
    """Make a module with one program that uses samebytes."""
    folder.mkdir()
    (folder / "main.go").write_text(source)
    (folder / "go.mod").write_text("\n".join(["module example.com/consumer", "", "go 1.24", "", *requirements]) + "\n")
    return folder


def consumer_of_tree(folder: Path, source: str, tree: Path = ROOT) -> Path:
    return consumer(folder, source, f"require {MODULE} v0.0.0", "", f"replace {MODULE} => {tree}")


def failure(*command: object, cwd: Path, **environment: str) -> str:
    """Run a command that must fail, and return what it printed."""
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode != 0, f"{command} succeeded\n{done.stdout}"
    return done.stdout + done.stderr


def test_a_module_that_vendors_builds_without_the_tree(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree")
    program = consumer_of_tree(tmp_path / "consumer", PROGRAM, tree)
    run("go", "mod", "vendor", cwd=program)
    shutil.rmtree(tree)
    assert run("go", "run", "-mod=vendor", ".", cwd=program, GOPROXY="off") == OUTPUT


def module_zip(target: Path, version: str) -> None:
    """Pack what git has into a module zip, as `go mod download` does: without folders that are modules of their own."""
    names = run("git", "ls-files").splitlines()
    inner = tuple(name.removesuffix("go.mod") for name in names if name.endswith("/go.mod"))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in names:
            if (ROOT / name).is_file() and not name.startswith(inner):
                packed.write(ROOT / name, f"{MODULE}@{version}/{name}")


def test_a_program_gets_the_module_from_a_proxy(tmp_path: Path) -> None:
    version = "v1.0.0"
    versions = tmp_path / "proxy" / MODULE / "@v"
    versions.mkdir(parents=True)
    (versions / "list").write_text(version + "\n")
    (versions / f"{version}.info").write_text(f'{{"Version": "{version}"}}')
    shutil.copy(ROOT / "go.mod", versions / f"{version}.mod")
    module_zip(versions / f"{version}.zip", version)
    program = consumer(tmp_path / "consumer", PROGRAM)
    settings = {
        "GOPROXY": f"file://{tmp_path}/proxy",
        "GOSUMDB": "off",
        "GOMODCACHE": str(tmp_path / "modules"),
        "GOFLAGS": "-modcacherw",
    }
    run("go", "get", f"{MODULE}/bindings/go@{version}", cwd=program, **settings)
    assert run("go", "run", ".", cwd=program, **settings) == OUTPUT
    unpacked = tmp_path / "modules" / f"{MODULE}@{version}"
    assert not (unpacked / "bindings/python").exists()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose tests have passed once, so that Go's cache knows it."""
    tree = copy_tree(tmp_path_factory.mktemp("edited") / "tree")
    run("go", "test", "./...", cwd=tree)
    assert "(cached)" in run("go", "test", "./...", cwd=tree)
    return tree


def append(path: Path) -> None:
    path.write_text(path.read_text() + "\n/* edited */\n")


def test_every_edit_of_the_core_is_used_or_fails_by_name(tree: Path) -> None:
    """Go's build cache sees no header of another folder, so the stamp must."""
    edits: dict[str, Callable[[Path], object]] = {
        "core/src/crc32c.c": append,
        "core/src/block.h": append,
        "core/src/abi_digest.h": append,
        "core/include/samebytes/pool.h": append,
        "core/include/recent_visits.h": append,
        "core/include/samebytes/samebytes.h": append,
        "core/src/another.c": lambda path: path.write_text("//go:build !samebytes_shared\n\nint sb_priv_another;\n"),
        "core/include/samebytes/another.h": lambda path: path.write_text("/* new */\n"),
    }
    for name, edit in edits.items():
        path = tree / name
        before = path.read_bytes() if path.exists() else None
        edit(path)
        assert STALE in failure("go", "test", "./...", cwd=tree), name
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
    run("go", "test", "./...", cwd=tree)


def test_a_header_that_was_edited_and_generated_is_used(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree")
    program = consumer_of_tree(tmp_path / "consumer", PROGRAM, tree)
    assert run("go", "run", ".", cwd=program) == OUTPUT
    header = tree / "core/include/samebytes/library.h"
    header.write_text(header.read_text().replace("#define SB_VERSION_PATCH 0", "#define SB_VERSION_PATCH 9"))
    run(sys.executable, "-m", "bindings.generate", "--root", tree)
    assert run("go", "run", ".", cwd=program) == f"57 {(1 << 16) + 9}\n"


def test_without_cgo_the_build_fails_with_one_clear_message(tmp_path: Path) -> None:
    program = consumer_of_tree(tmp_path / "consumer", PROGRAM)
    for folder, target in ((program, "."), (ROOT, "./...")):
        printed = failure("go", "build", target, cwd=folder, CGO_ENABLED="0").splitlines()
        problems = [line for line in printed if not line.startswith("#")]
        assert len(problems) == 1, printed
        assert NEEDS_CGO in problems[0], printed


def defined_symbols(library: Path) -> list[str]:
    return [line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()]


def test_a_go_library_hides_the_core_that_is_compiled_in(installed: Path, tmp_path: Path) -> None:
    folder = consumer_of_tree(tmp_path / "consumer", LIBRARY)
    run("go", "build", "-buildmode=c-shared", "-o", "libinside.so", ".", cwd=folder)
    symbols = defined_symbols(folder / "libinside.so")
    assert "GoInstanceID" in symbols
    assert [name for name in symbols if name.startswith("sb_")] == []
    shared, inside = run(
        sys.executable, "-c", ASK_BOTH, installed / "lib/libsamebytes.so.1", folder / "libinside.so"
    ).split()
    assert shared != inside


def shared_settings(installed: Path) -> dict[str, str]:
    """What lets Go find the shared library.

    Go's build cache keeps what pkg-config said when a package was compiled, and looks at the flags again only: so the flags name the place.
    """
    library = installed / "lib"
    return {
        "PKG_CONFIG_PATH": str(library / "pkgconfig"),
        "LD_LIBRARY_PATH": str(library),
        "CGO_CFLAGS": f'-O2 -DSAMEBYTES_INSTALLED="{installed}"',
    }


def test_with_the_tag_a_go_library_shares_the_shared_library(installed: Path, tmp_path: Path) -> None:
    folder = consumer_of_tree(tmp_path / "consumer", LIBRARY)
    tagged = ("go", "build", "-tags", "samebytes_shared")
    settings = shared_settings(installed)
    run(*tagged, "-buildmode=c-shared", "-o", "libbeside.so", ".", cwd=folder, **settings)
    library = installed / "lib/libsamebytes.so.1"
    shared, beside = run(sys.executable, "-c", ASK_BOTH, library, folder / "libbeside.so", **settings).split()
    assert shared == beside

    (folder / "main.go").write_text(PROGRAM)
    run(*tagged, "-o", "program", ".", cwd=folder, **settings)
    assert "libsamebytes.so.1" in run("ldd", folder / "program", **settings)
    assert run(folder / "program", **settings) == OUTPUT


def test_the_tests_pass_on_the_shared_library(installed: Path) -> None:
    settings = shared_settings(installed)
    run("go", "test", "-tags", "samebytes_shared", "./bindings/go/...", "./tests/go/...", **settings)


def test_no_go_pointer_is_stored_in_c() -> None:
    run("go", "test", "./bindings/go/...", "./tests/go/...", GOEXPERIMENT="cgocheck2")
