"""One image of the library in a process, whatever loads it, and clear words where parts do not belong together."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import samebytes
from samebytes import _layer_cffi, _layer_ctypes, _library, _objects

from .conftest import output_of, run_python

PACKAGE = Path(samebytes.__file__).parent


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the installed package that may be damaged."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "samebytes", ignore=shutil.ignore_patterns("__pycache__")))


def test_both_layers_and_the_objects_share_one_image() -> None:
    assert _layer_cffi.sb_instance_id() == _layer_ctypes.sb_instance_id() != 0
    assert os.path.samefile(_objects.library_path(), PACKAGE / "libsamebytes.so.1")
    with open("/proc/self/maps") as maps:
        paths = {line.split()[-1] for line in maps if "libsamebytes.so" in line}
    assert len(paths) == 1


@pytest.mark.parametrize(("maker", "writer"), [(_layer_cffi, _layer_ctypes), (_layer_ctypes, _layer_cffi)])
def test_a_block_that_one_layer_made_is_written_and_closed_by_the_other(maker: object, writer: object) -> None:
    before = samebytes.memory_live_blocks()
    memory = maker.sb_memory_open_heap()
    block = maker.sb_memory_get_block(memory, 64)
    writer.write_bytes(writer.sb_block_data(block), b"written by the other")
    assert maker.read_bytes(maker.sb_block_data(block), 20) == b"written by the other"
    assert _layer_cffi.sb_memory_live_blocks() == _layer_ctypes.sb_memory_live_blocks() == before + 1
    with samebytes.Block.adopt(block) as owner:
        assert bytes(memoryview(owner)[:7]) == b"written"
    writer.sb_memory_close(memory)
    assert _layer_cffi.sb_memory_live_blocks() == _layer_ctypes.sb_memory_live_blocks() == before


def test_a_library_that_is_loaded_already_is_the_one_that_is_used(tmp_path: Path) -> None:
    copy = shutil.copy(PACKAGE / "libsamebytes.so.1", tmp_path)
    code = """
import ctypes, sys
first = ctypes.CDLL(sys.argv[1])
first.sb_instance_id.restype = ctypes.c_uint64
import samebytes
from samebytes import _layer_cffi, _layer_ctypes, _objects
assert first.sb_instance_id() == _layer_cffi.sb_instance_id() == _layer_ctypes.sb_instance_id()
print(_objects.library_path())
"""
    assert output_of(code, copy).strip() == str(copy)


def test_a_second_image_is_noticed_and_named(tmp_path: Path) -> None:
    copy = shutil.copy(PACKAGE / "libsamebytes.so.1", tmp_path / "another.so")
    code = """
import ctypes, sys
import samebytes
second = ctypes.CDLL(sys.argv[1])
second.sb_instance_id.restype = ctypes.c_uint64
other = second.sb_instance_id()
samebytes.check_instance(samebytes.instance_id())
try:
    samebytes.check_instance(other)
except samebytes.UnsupportedError as error:
    print(error)
assert second.sb_check_instance(ctypes.c_uint64(other), None) == 0
assert second.sb_check_instance(ctypes.c_uint64(samebytes.instance_id()), None) != 0
"""
    said = output_of(code, copy)
    assert "a second image of libsamebytes: instance" in said
    assert str(PACKAGE / "libsamebytes.so.1") in said


def test_what_a_second_image_made_is_not_adopted(tmp_path: Path) -> None:
    copy = shutil.copy(PACKAGE / "libsamebytes.so.1", tmp_path / "another.so")
    code = """
import ctypes, sys
import samebytes
second = ctypes.CDLL(sys.argv[1])
second.sb_memory_live_blocks.restype = ctypes.c_int64


def made(function, *arguments):
    handle = ctypes.c_void_p()
    assert function(*arguments, ctypes.byref(handle)) == 0
    return handle


live = samebytes.memory_live_blocks()
pool = made(second.sb_pool_open, None)
handles = {
    samebytes.Memory: made(second.sb_pool_memory, pool),
    samebytes.Block: made(second.sb_pool_get_block, pool, ctypes.c_size_t(100)),
    samebytes.View: made(second.sb_view_open, b"some bytes", ctypes.c_size_t(10), None),
}
for kind, handle in handles.items():
    try:
        kind.adopt(handle.value)
    except samebytes.UnsupportedError as error:
        print(error)
assert (samebytes.memory_live_blocks(), second.sb_memory_live_blocks()) == (live, 2)
second.sb_view_close(handles[samebytes.View])
second.sb_block_close(handles[samebytes.Block])
second.sb_memory_close(handles[samebytes.Memory])
second.sb_pool_close(pool)
assert second.sb_memory_live_blocks() == 0
with samebytes.View(b"of this one") as view, samebytes.View.adopt(view.copy().detach()) as other:
    assert view == other
"""
    said = output_of(code, copy).splitlines()
    assert len(said) == 3
    for line, kind in zip(said, ("memory", "block", "view"), strict=True):
        assert f"a second image of libsamebytes: this {kind} was made by" in line
        assert "another.so, while this image is" in line
        assert "libsamebytes.so.1; load one file only" in line


EXERCISE = """
import sys, samebytes
sys.path.insert(0, sys.argv[1])
import testee
print(len(testee.surface()), samebytes.__file__, samebytes.memory_live_blocks())
"""


@pytest.mark.parametrize(("backend", "other"), [("cffi", "ctypes"), ("ctypes", "cffi")])
def test_each_layer_works_with_the_others_modules_deleted(package: Path, backend: str, other: str) -> None:
    deleted = [
        path
        for path in package.iterdir()
        if path.name.startswith((f"_{other}.", f"_layer_{other}.", f"_support_{other}."))
    ]
    assert len(deleted) >= 2
    for path in deleted:
        path.unlink()
    conformance = Path(__file__).parents[1] / "conformance"
    found = output_of(EXERCISE, conformance, PYTHONPATH=str(package.parent), SAMEBYTES_BACKEND=backend).split()
    assert int(found[0]) > 100
    assert found[1:] == [str(package / "__init__.py"), "0"]
    without = run_python("import samebytes", PYTHONPATH=str(package.parent), SAMEBYTES_BACKEND=other)
    assert without.returncode == 1
    assert "ImportError" in without.stderr


def test_an_unknown_backend_is_refused_by_name() -> None:
    done = run_python("import samebytes", SAMEBYTES_BACKEND="fortran")
    assert done.returncode == 1
    assert "ImportError: SAMEBYTES_BACKEND is 'fortran'; it must be one of: cffi, ctypes" in done.stderr


@pytest.mark.parametrize("backend", ["cffi", "ctypes"])
def test_a_layer_of_another_build_is_refused(package: Path, backend: str) -> None:
    path = package / f"_layer_{backend}.py"
    text = path.read_text()
    digest = f"ABI_DIGEST = 0x{_objects.BUILT_DIGEST:016x}"
    assert digest in text
    path.write_text(text.replace(digest, "ABI_DIGEST = 0x0000000000000001"))
    done = run_python("import samebytes", PYTHONPATH=str(package.parent), SAMEBYTES_BACKEND=backend)
    assert done.returncode == 1
    assert (
        f"do not belong together: _layer_{backend} was built from headers with the digest 0000000000000001"
        in done.stderr
    )
    assert "install samebytes again" in done.stderr


def test_a_missing_library_is_named(package: Path) -> None:
    (package / "libsamebytes.so.1").unlink()
    done = run_python("import samebytes", PYTHONPATH=str(package.parent))
    assert done.returncode == 1
    assert "samebytes cannot load its compiled part: libsamebytes.so.1" in done.stderr


@pytest.mark.parametrize(
    ("loaded", "fits"), [(0x10000, True), (0x10001, True), (0x10203, True), (0x20000, False), (0xFF00, False)]
)
def test_a_library_fits_with_the_same_major_and_at_least_the_minor_version(loaded: int, fits: bool) -> None:
    if fits:
        _library.check_version(loaded, 0x10000, "somewhere")
        return
    with pytest.raises(
        ImportError, match=r"samebytes 1\.0\.0 needs libsamebytes 1\.0 or a later 1\.x, but .* somewhere"
    ):
        _library.check_version(loaded, 0x10000, "somewhere")


def test_an_older_minor_version_is_refused() -> None:
    with pytest.raises(ImportError, match=r"needs libsamebytes 1\.2 .*, but 1\.1\.9 is loaded"):
        _library.check_version(0x10109, 0x10200, "somewhere")


@pytest.mark.parametrize(("file", "backend"), [("_cffi.abi3.so", "cffi"), ("libsamebytes.so.1", "ctypes")])
def test_a_compiled_part_of_another_build_is_refused(package: Path, file: str, backend: str) -> None:
    digest, other = _objects.BUILT_DIGEST.to_bytes(8, "little"), (2).to_bytes(8, "little")
    data = (package / file).read_bytes()
    assert digest in data
    (package / file).write_bytes(data.replace(digest, other))
    done = run_python("import samebytes", PYTHONPATH=str(package.parent), SAMEBYTES_BACKEND=backend)
    assert done.returncode == 1
    part = file.removesuffix(".abi3.so")
    assert f"{part} was built from headers with the digest 0000000000000002" in done.stderr
