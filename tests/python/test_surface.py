"""Both layers have one surface, it is that of the headers, and the classes have it by the mechanical rule."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from types import ModuleType

import pytest

import samebytes
from samebytes import _layer_cffi, _layer_ctypes, _records

from .conftest import ROOT

sys.path.insert(0, str(ROOT))
from bindings.generate import model, reader


def names(file: str) -> list[str]:
    return [line for line in (ROOT / "core/abi" / file).read_text().splitlines() if not line.startswith("#")]


SYMBOLS = sorted(set(names("symbols.txt")) - set(names("native.txt")))
HELPERS = {"address_of", "read_bytes", "write_bytes"}
API = reader.read(ROOT).bound()


def functions_of(layer: ModuleType) -> dict[str, str]:
    return {
        name: str(inspect.signature(value))
        for name, value in vars(layer).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def test_every_symbol_of_the_library_is_in_each_layer(layer: ModuleType) -> None:
    assert sorted(set(functions_of(layer)) - HELPERS) == SYMBOLS


def test_both_layers_have_the_same_signatures_and_leave_documentation_to_the_classes() -> None:
    assert functions_of(_layer_cffi) == functions_of(_layer_ctypes)
    for name in SYMBOLS:
        # The classes have them.
        assert getattr(_layer_cffi, name).__doc__ is getattr(_layer_ctypes, name).__doc__ is None


def test_the_stubs_say_what_the_layers_have(layer: ModuleType) -> None:
    tree = ast.parse(Path(layer.__file__ or "").with_suffix(".pyi").read_text())
    found = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert set(found) == set(functions_of(layer))
    for name in SYMBOLS:
        stub = f"({ast.unparse(found[name].args)}) -> {ast.unparse(found[name].returns or ast.Constant(None))}"
        actual = inspect.signature(getattr(layer, name))
        assert stub.replace("=None", " = None") == str(actual).replace("'", "")


def test_the_stubs_of_both_layers_are_one_text() -> None:
    texts = {Path(layer.__file__ or "").with_suffix(".pyi").read_text() for layer in (_layer_cffi, _layer_ctypes)}
    assert len(texts) == 1


@pytest.mark.parametrize("function", API.functions, ids=lambda function: str(function.name))
def test_every_function_has_its_name_in_the_package(function: model.Function) -> None:
    if function.role == "init":
        return  # options are keyword arguments
    path = "close" if function.role == "destructor" else model.python_name(function).partition(".")[2]
    if function.owner is None:
        found = getattr(samebytes, function.short)
    else:
        found = getattr(samebytes, model.class_name(function.owner))
        found = getattr(found, path) if path else found.__init__
    assert callable(found)
    assert found.__doc__


def test_constants_and_records_have_the_values_and_fields_of_the_headers() -> None:
    for constant in API.constants:
        assert getattr(samebytes, constant.name.removeprefix("SB_")) == constant.value
    for struct in API.structs:
        hidden = (model.Kind.RESERVED, model.Kind.COUNT, model.Kind.NATIVE)
        shown = [f.name for f in struct.fields if f.kind not in hidden]
        assert list(getattr(_records, model.class_name(struct.name))._fields) == shown


def test_every_status_has_an_exception_that_derives_from_a_builtin() -> None:
    for constant in API.constants:
        if constant.group != "status" or constant.value == 0:
            continue
        error = getattr(samebytes.errors, model.exception_name(constant.name))
        assert error.status == constant.value
        assert issubclass(error, samebytes.SamebytesError)
        assert any(base.__module__ == "builtins" for base in error.__bases__[1:])


def test_all_names_exist_once() -> None:
    assert [name for name in samebytes.__all__ if not hasattr(samebytes, name)] == []
    assert len(samebytes.__all__) == len(set(samebytes.__all__))
    assert {"Pool", "View", "echo", "crc32c", "CORRUPT", "CorruptError", "SamebytesError", "PoolStats"} <= set(
        samebytes.__all__
    )


def test_the_package_uses_the_classes_that_are_written_by_hand() -> None:
    with samebytes.Builder() as builder, builder.take() as view:
        assert type(view) is samebytes.View
    with samebytes.echo_request_schema() as schema:
        assert type(schema) is samebytes.Schema
