"""One concept, one name: the rule, and that every name it gives is really there in the generated text."""

from __future__ import annotations

import re

import pytest

from bindings.generate import model, reader
from bindings.generate.__main__ import generate

from .conftest import ROOT

API = reader.read(ROOT)
FILES = generate(API, ROOT)
BOUND = API.bound().functions
FUNCTIONS = [f for f in BOUND if f.role != "init"]
API_PAGES = "".join(text for name, text in FILES.items() if name.startswith("docs/api/"))
GO_LAYER = "".join(text for name, text in FILES.items() if name.startswith("bindings/go/raw_"))
LAYERS = [f"bindings/python/src/samebytes/_layer_{name}.py" for name in ("cffi", "ctypes")]


def test_bindings_return_what_c_stores() -> None:
    stored = [f for f in BOUND if re.search(r"\b[Ss]tores\b", f.summary)]
    assert len(stored) > 10
    for function in stored:
        assert not re.search(r"\b[Ss]tores\b", function.summary_returning), function.name
    summaries = {f.name: f.summary_returning for f in stored}
    assert summaries["sb_visits_get_all"] == "Returns the visits of a snapshot."
    assert summaries["sb_visit_manager_delete_visits"] == (
        "Deletes visits of `user`, and returns whether any of them was there."
    )
    classes = FILES["bindings/python/src/samebytes/_classes.py"]
    assert "Returns the integer of `size` bytes that" in classes
    assert "Stores the" not in classes
    assert "// ReadInt returns the integer of size bytes that" in GO_LAYER


@pytest.mark.parametrize(
    ("c_name", "python", "go"),
    [
        ("sb_pool_open", "Pool", "NewPool"),
        ("sb_memory_open_heap", "Memory.open_heap", "OpenMemoryHeap"),
        ("sb_buf_from_blocks", "Buf.from_blocks", "BufFromBlocks"),
        ("sb_pool_get_stats", "Pool.get_stats", "Pool.GetStats"),
        ("sb_pool_close", "Pool.close", "Pool.Close"),
        ("sb_schema_api_key", "Schema.api_key", "Schema.APIKey"),
        ("sb_memory_live_blocks", "memory_live_blocks", "MemoryLiveBlocks"),
        ("sb_crc32c", "crc32c", "CRC32C"),
    ],
)
def test_the_rule_by_example(c_name: str, python: str, go: str) -> None:
    function = next(f for f in API.functions if f.name == c_name)
    assert (model.python_name(function), model.go_function_name(function)) == (python, go)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_names_differ_in_spelling_only(function: model.Function) -> None:
    """Without capitals and marks the three names hold the same letters; a constructor's open is a class or New in the others."""

    def letters(name: str) -> str:
        return re.sub(r"[^a-z0-9]", "", name.lower())

    c_name = letters(function.name.removeprefix("sb_"))
    python, go = letters(model.python_name(function)), letters(model.go_function_name(function))
    if function.role == "constructor" and "_from_" not in function.name:
        owner = letters((function.owner or "").removeprefix("sb_"))
        variant = c_name.removeprefix(f"{owner}open")
        assert python == (f"{owner}open{variant}" if variant else owner)
        assert go == (f"open{owner}{variant}" if variant else f"new{owner}")
    else:
        assert python == go == c_name


@pytest.mark.parametrize("function", BOUND, ids=lambda f: f.name)
def test_each_function_is_in_each_layer_by_its_c_name(function: model.Function) -> None:
    for layer in LAYERS:
        assert re.search(rf"^def {function.name}\(", FILES[layer], re.MULTILINE), layer
    assert f"C.{function.name}(" in GO_LAYER


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_each_function_is_documented_by_the_names_of_the_rule(function: model.Function) -> None:
    """The page takes its signatures from the sources of the packages, so what it shows is there."""
    block = API_PAGES.split(f"\n## `{function.name}`\n")[1].split("\n## ")[0]
    owner, _, method = model.go_function_name(function).rpartition(".")
    assert f"- C: `{function.result.declaration}" in block
    assert f" {function.name}(" in block.replace("*", " ")
    assert f"- Python: `{model.python_name(function)}(" in block
    assert f"- Go: `func {f'(*{owner}) ' if owner else ''}{method}(" in block


def test_the_linker_is_told_every_function_and_no_other() -> None:
    names = sorted([*(f.name for f in API.functions), *(d.name for d in API.drop_ins)])
    assert sorted(re.findall(r"^    (\w+);$", FILES["core/abi/libsamebytes.map"], re.MULTILINE)) == names
    assert [line for line in FILES["core/abi/symbols.txt"].splitlines() if not line.startswith("#")] == names


def test_the_index_leads_to_every_function_and_every_page() -> None:
    headings = {
        name.removeprefix("docs/"): set(re.findall(r"^## `(\w+)`$", text, re.MULTILINE))
        for name, text in FILES.items()
        if name.startswith("docs/api/")
    }
    index = FILES["docs/api.md"]
    links = re.findall(r"\[`(\w+)`\]\((api/\w+\.md)#(\w+)\)", index)
    assert all(name == anchor and anchor in headings[page] for name, page, anchor in links)
    assert [name for name, _, _ in links] == [
        f.name for h in API.headers for f in API.functions if f.place.header == h.name
    ]
    assert set(re.findall(r"^- \[[^\]]+\]\((api/\w+\.md)\)", index, re.MULTILINE)) == set(headings)
