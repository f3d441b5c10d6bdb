"""Generated files follow the headers: always the same bytes, and no drift in either direction goes unseen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bindings.generate import reader
from bindings.generate.__main__ import generate as generated

from .conftest import ROOT, generate

FILES = sorted(generated(reader.read(ROOT), ROOT))
LAYERS = [f"bindings/python/src/samebytes/_layer_{name}.py" for name in ("cffi", "ctypes")]


def stale(name: str) -> str:
    return f"check generated: {name} differs from what the headers say; run make generate"


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_tree_is_what_the_headers_say() -> None:
    check = generate(ROOT, "--check")
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


@pytest.mark.parametrize("name", FILES)
def test_first_line_says_that_the_file_is_generated(name: str) -> None:
    first = (ROOT / name).read_text(encoding="utf-8").split("\n", 1)[0]
    assert "enerated by `make generate`" in first


def test_two_runs_give_identical_bytes_whatever_the_hash_seed(tree: Path, generated_tree: Path) -> None:
    for seed in ("1", "2"):
        for name in FILES:
            (tree / name).unlink()
        command = [sys.executable, "-m", "bindings.generate"]
        subprocess.run(command, cwd=tree, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, timeout=120)
        for name in FILES:
            assert (tree / name).read_bytes() == (generated_tree / name).read_bytes(), name


def test_a_run_without_changes_writes_nothing(tree: Path) -> None:
    before = {name: (tree / name).stat().st_mtime_ns for name in FILES}
    again = generate(tree)
    assert (again.returncode, again.stdout) == (0, "")
    assert {name: (tree / name).stat().st_mtime_ns for name in FILES} == before


@pytest.mark.parametrize("name", FILES)
def test_an_edited_generated_file_is_named(name: str, tree: Path) -> None:
    with (tree / name).open("a", encoding="utf-8") as file:
        file.write("\n")
    check = generate(tree, "--check")
    assert (check.returncode, check.stdout.splitlines()) == (1, [stale(name)])


def test_a_missing_generated_file_is_named(tree: Path) -> None:
    (tree / "core/abi/symbols.txt").unlink()
    check = generate(tree, "--check")
    assert (check.returncode, check.stdout.splitlines()) == (1, [stale("core/abi/symbols.txt")])


def test_a_function_dropped_from_a_header_makes_stale_what_names_functions(tree: Path) -> None:
    header = tree / "core/include/samebytes/pipeline.h"
    text = header.read_text(encoding="utf-8")
    end = text.index("sb_pipeline_in_flight(const sb_pipeline *pipeline);")
    begin = text.rindex("/**", 0, end)
    header.write_text(text[:begin] + text[text.index("\n", end) + 1 :], encoding="utf-8")
    check = generate(tree, "--check")
    named = {
        name
        for name in FILES
        # They name a function, or a field of a structure, of C only that is called alike.
        if name not in ("core/abi/native.txt", "core/abi/layout.txt", "core/src/abi_layout.h", "docs/api/client.md")
        and re.search("in_?flight", (ROOT / name).read_text(encoding="utf-8"), re.IGNORECASE)
    }
    assert {
        "core/abi/symbols.txt",
        "bindings/go/raw_pipeline.go",
        "docs/api.md",
        "docs/api/pipeline.md",
        *LAYERS,
    } <= named
    assert check.returncode == 1
    assert set(check.stdout.splitlines()) >= {stale(name) for name in (*named, "core/src/abi_digest.h")}


def test_a_field_of_another_type_is_seen(tree: Path) -> None:
    replace(tree / "core/include/samebytes/pool.h", "uint64_t hits; ", "int64_t hits; ")
    check = generate(tree, "--check")
    assert check.returncode == 1
    found = check.stdout.splitlines()
    assert stale("core/src/abi_digest.h") in found
    assert stale("bindings/python/src/samebytes/_layer_ctypes.py") in found
    assert stale("bindings/go/raw_pool.go") in found
    assert stale("docs/api/pool.md") in found
    assert stale("core/abi/symbols.txt") not in found


def test_an_edited_core_makes_the_stamps_of_go_stale(tree: Path) -> None:
    with (tree / "core/src/crc32c.c").open("a", encoding="utf-8") as file:
        file.write("/* edited */\n")
    check = generate(tree, "--check")
    assert check.returncode == 1
    assert stale("core/src/digest.go") in check.stdout.splitlines()


def test_a_wrong_header_ends_the_run_and_changes_nothing(tree: Path) -> None:
    replace(tree / "core/include/samebytes/crc32c.h", "SB_API SB_FUNCTION uint32_t", "SB_API uint32_t")
    before = {name: (tree / name).read_bytes() for name in FILES}
    run = generate(tree)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("crc32c.h:")
    assert "error: sb_crc32c: has no role" in run.stderr
    assert {name: (tree / name).read_bytes() for name in FILES} == before


def test_git_knows_which_files_are_generated_and_no_other() -> None:
    """.gitattributes makes reviews fold them."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    command = ["git", "check-attr", "--stdin", "-z", "linguist-generated"]
    told = subprocess.run(command, cwd=ROOT, input=tracked, capture_output=True, check=True, text=True).stdout.split(
        "\0"
    )
    marked = {name for name, value in zip(told[::3], told[2::3]) if value == "set"}
    assert marked == set(FILES)
