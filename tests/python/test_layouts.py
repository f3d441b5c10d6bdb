"""The structures of ctypes lie in memory as the C compiler laid them out, which CFFI's module was compiled to say."""

from __future__ import annotations

import ctypes
import sys

import pytest

from samebytes import _layer_ctypes
from samebytes._cffi import ffi

from .conftest import ROOT

sys.path.insert(0, str(ROOT))
from bindings.generate import reader

STRUCTS = sorted(
    name
    for name, value in vars(_layer_ctypes).items()
    if isinstance(value, type) and issubclass(value, ctypes.Structure) and name.startswith("_sb_")
)


def test_every_structure_of_the_headers_is_declared() -> None:
    declared = [struct.name for struct in reader.read(ROOT).bound().structs]
    assert [name.removeprefix("_") for name in STRUCTS] == sorted(declared)


@pytest.mark.parametrize("name", STRUCTS)
def test_sizes_and_offsets_are_those_of_c(name: str) -> None:
    ours = getattr(_layer_ctypes, name)
    theirs = dict(ffi.typeof(name.removeprefix("_")).fields)
    assert ctypes.sizeof(ours) == ffi.sizeof(name.removeprefix("_"))
    assert [field[0] for field in ours._fields_] == list(theirs)
    for field in theirs:
        descriptor = getattr(ours, field)
        assert (descriptor.offset, descriptor.size) == (theirs[field].offset, ffi.sizeof(theirs[field].type)), field
