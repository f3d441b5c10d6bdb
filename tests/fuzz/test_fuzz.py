"""Every fuzz target: runs over its corpus and what libFuzzer makes of it, and finds the bugs that it names.

`FUZZ_SECONDS` says for how long each target runs, 3 by default and 600 in the nightly run. Only the nightly run draws a fresh seed, so that
what a change is held against is the same for every change. What a run adds to the corpus is kept in build/fuzz/NAME, where later runs find
it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SECONDS = int(os.environ.get("FUZZ_SECONDS") or (600 if os.environ.get("SAMEBYTES_NIGHTLY") else 3))
SEED = 0 if os.environ.get("SAMEBYTES_NIGHTLY") else 1  # 0: a fresh one
BUG_SECONDS = 120  # a bug is found in a moment; this is when to give up
CLANG = os.environ.get("CLANG") or "clang-19"
FLAGS = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]
INCLUDES = [f"-I{ROOT / folder}" for folder in ("core/include", "core/src", "tests/fuzz")]
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.c"))


def compile_(folder: Path, *sources: Path) -> None:
    folder.mkdir(exist_ok=True)
    command = [CLANG, *FLAGS, "-fsanitize=fuzzer-no-link,address,undefined", *INCLUDES, "-c", *map(str, sources)]
    subprocess.run(command, check=True, cwd=folder)


def link(program: Path, objects: list[Path]) -> Path:
    command = [CLANG, "-fsanitize=fuzzer,address,undefined", *map(str, objects), "-o", str(program), "-pthread"]
    subprocess.run(command, check=True)
    return program


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core and all targets as object files."""
    folder = tmp_path_factory.mktemp("fuzz")
    compile_(folder / "core", *sorted((ROOT / "core/src").glob("*.c")))
    compile_(folder / "targets", *sorted(HERE.glob("fuzz_*.c")))
    return folder


def fuzz(program: Path, name: str, found: Path, seconds: int) -> subprocess.CompletedProcess[str]:
    """Run *program* on the corpora; what it finds new goes to the first of them, *found*."""
    found.mkdir(parents=True, exist_ok=True)
    command = [
        str(program), str(found), str(HERE / "corpus" / name), f"-max_total_time={seconds}", "-print_final_stats=1",
        "-rss_limit_mb=2048", "-timeout=25", f"-seed={SEED}", f"-artifact_prefix={found}-",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def executions(output: str) -> int:
    told = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
    return int(told[1]) if told else 0


def test_there_are_targets_and_each_has_a_corpus() -> None:
    assert TARGETS
    for name in TARGETS:
        assert any((HERE / "corpus" / name).iterdir()), f"tests/fuzz/corpus/{name} is empty"


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_it(core: Path, name: str) -> None:
    program = link(core / name, [core / "targets" / f"fuzz_{name}.o", *sorted((core / "core").glob("*.o"))])
    result = fuzz(program, name, ROOT / "build" / "fuzz" / name, SECONDS)
    assert result.returncode == 0, result.stderr[-8000:]
    times = executions(result.stderr)
    print(f"fuzz {name}: {times} executions in {SECONDS} s")
    assert times > 0


def bugs_of(name: str) -> list[tuple[str, str, str]]:
    """The bugs that a target names: file, the line as it is, the line with the bug."""
    bugs = re.findall(r"bug: (\S+)\n \* < (.*)\n \* > (.*)\n", (HERE / f"fuzz_{name}.c").read_text())
    assert bugs, f"fuzz_{name}.c names no bug; fuzz.h says how"
    return bugs


PLANTED = [
    pytest.param(name, *bug, id=f"{name}-{index}") for name in TARGETS for index, bug in enumerate(bugs_of(name), 1)
]


@pytest.mark.parametrize(("name", "file", "line", "bug"), PLANTED)
def test_a_planted_bug_is_found(core: Path, name: str, file: str, line: str, bug: str, tmp_path: Path) -> None:
    source = ROOT / file
    text = source.read_text()
    assert text.count(f"{line}\n") == 1, f"{file} has not once the line {line!r}"
    text = text.replace(f"{line}\n", f"{bug}\n")
    (tmp_path / source.name).write_text(text)
    compile_(tmp_path / "core", tmp_path / source.name)
    others = [path for path in sorted((core / "core").glob("*.o")) if path.stem != source.stem]
    program = link(
        tmp_path / name, [core / "targets" / f"fuzz_{name}.o", tmp_path / "core" / f"{source.stem}.o", *others]
    )
    result = fuzz(program, name, tmp_path / "found", BUG_SECONDS)
    assert result.returncode != 0, f"{executions(result.stderr)} executions did not find the bug"
    assert "does not hold" in result.stderr or "Sanitizer" in result.stderr or "Assertion" in result.stderr, (
        result.stderr[-4000:]
    )
    shutil.rmtree(tmp_path / "found")
