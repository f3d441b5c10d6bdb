"""The Python package as its users get it: a wheel built from the sdist, in an environment that holds nothing of this checkout."""

from __future__ import annotations

import json
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packaging.conftest import QUICK_START_OUTPUT, ROOT, quick_start, run

PYTHON = ROOT / "build/venv/bin/python"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run(PYTHON, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder, ROOT / "bindings/python")
    (archive,) = folder.glob("samebytes-*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as pip does it for a user: with what pyproject.toml requires, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    run(
        PYTHON, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-cache-dir", "--wheel-dir", folder, sdist, cwd=folder
    )
    (archive,) = folder.glob("samebytes-*.whl")
    return archive


@pytest.fixture(scope="module")
def user_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python in a new virtual environment into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("user")
    run(PYTHON, "-m", "venv", folder)
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=folder)
    return folder / "bin/python"


def test_the_sdist_carries_the_core_and_nothing_built(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for file in [*(ROOT / "core/src").glob("*.[ch]"), *(ROOT / "core/include").rglob("*.h")]:
        assert str(file.relative_to(ROOT)) in names
    assert {"core/CMakeLists.txt", "core/abi/libsamebytes.map", "pyproject.toml", "PKG-INFO"} <= names
    assert [name for name in names if name.endswith((".so", ".o", ".pyc", ".go"))] == []


def test_one_wheel_serves_every_python_from_3_11_on(wheel: Path) -> None:
    assert wheel.name.startswith("samebytes-1.0.0-cp311-abi3-")


def test_the_wheel_holds_the_library_once_and_named_by_its_soname(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path)
    assert [name for name in names if Path(name).name.startswith("libsamebytes")] == ["samebytes/libsamebytes.so.1"]
    assert {
        "samebytes/py.typed",
        "samebytes/__init__.py",
        "samebytes/_layer_cffi.py",
        "samebytes/_layer_ctypes.py",
    } <= set(names)
    assert any(".dist-info/licenses/" in name for name in names)
    for module in (tmp_path / "samebytes").glob("_*.so"):
        dynamic = run("readelf", "-d", module)
        assert "[libsamebytes.so.1]" in dynamic
        assert "[$ORIGIN]" in dynamic
        defined = run("nm", "-D", "--defined-only", module)
        assert " sb_" not in defined, f"{module.name} holds a copy of the core"


SCRIPT = """
import os, sys, samebytes
from samebytes import echo
assert samebytes.__file__.startswith(sys.prefix), samebytes.__file__
builder = echo.Builder()
builder.add(subject=b"test", timestamp=9999, metadata=[1, 2, 3], body=b"We have a lot in common")
data = builder.get_buffer()
parser = echo.Parser()
parser.feed(data)
(row,) = parser.parse()
assert (bytes(row.subject), row.metadata, row.timestamp) == (b"test", [1, 2, 3], 9999)
print(data.hex())
"""
REFERENCE = "000000350000000000000000270f0000000474657374000300010002000300000017576520686176652061206c6f7420696e20636f6d6d6f6e\n"


@pytest.mark.parametrize("backend", ["cffi", "ctypes"])
def test_the_installed_wheel_encodes_and_decodes(user_python: Path, tmp_path: Path, backend: str) -> None:
    assert run(user_python, "-I", "-c", SCRIPT, cwd=tmp_path, SAMEBYTES_BACKEND=backend) == REFERENCE


@pytest.mark.parametrize("backend", ["cffi", "ctypes"])
def test_the_quick_start_runs_on_the_installed_wheel(user_python: Path, tmp_path: Path, backend: str) -> None:
    (tmp_path / "quick_start.py").write_text(quick_start("python"))
    assert run(user_python, "quick_start.py", cwd=tmp_path, SAMEBYTES_BACKEND=backend) == QUICK_START_OUTPUT


@pytest.mark.parametrize("backend", ["cffi", "ctypes"])
def test_the_installed_command_works(user_python: Path, tmp_path: Path, backend: str) -> None:
    command = user_python.parent / "samebytes"
    facts = json.loads(run(command, "doctor", "--json", cwd=tmp_path, SAMEBYTES_BACKEND=backend))
    assert (facts["back_end"], facts["problems"]) == (backend, [])
    assert facts["images"] == [facts["library"]]
    assert Path(facts["library"]).is_relative_to(user_python.parent.parent)
    log = tmp_path / "access.log"
    log.write_text('192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /page HTTP/1.1" 200 12\n')
    run(command, "visits", "store", "import", log, cwd=tmp_path, SAMEBYTES_BACKEND=backend)
    shown = run(command, "visits", "store", "show", "192.0.2.1", cwd=tmp_path, SAMEBYTES_BACKEND=backend)
    assert shown.startswith("2015-05-17T10:05:03.000000000Z  1  /page\n")
    assert run(user_python, "-m", "samebytes", "--version", cwd=tmp_path).startswith("samebytes, version 1.")


def test_the_environment_of_the_tests_is_not_the_users(user_python: Path) -> None:
    assert run(user_python, "-c", "import sys; print(sys.prefix)").strip() != sys.prefix
