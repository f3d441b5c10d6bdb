"""A function that may find no memory says so: whatever can get to an allocation, by the compiler's own call graph of the core, has
SB_NO_MEMORY among its errors in the header."""

from __future__ import annotations

import re

from bindings.generate import reader

from .call_graph import reaching
from .conftest import ROOT

API = reader.read(ROOT)
FUNCTIONS = {function.name: function for function in API.functions}
ALLOCATIONS = {"malloc", "calloc", "realloc", "aligned_alloc", "mmap"}
# What goes on without the memory that it does not get, so that nobody hears of it.
DO_WITHOUT = {
    "thread_get": "without a cache of the thread's own, with the lock of the pool",
    "cache_open": "without handles that the thread keeps for itself",
    "batch_get": "the blocks go back to their slabs at once",
    "place_of": "the block is counted among those of no known place",
    "leaf_make": "an address that is forgotten has a leaf; one that is noted is that of a new slab, which is an allocation itself",
}


def documented(name: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether SB_NO_MEMORY stands in the errors of a function, or of one that they name ("as sb_pool_get"), or at the top of the header."""
    function = FUNCTIONS.get(name)
    if function is None or name in seen:
        return False
    top = (ROOT / "core/include/samebytes" / function.place.header).read_text(encoding="utf-8").partition("*/")[0]
    return (
        "SB_NO_MEMORY" in function.errors
        or ("see the top" in function.errors and "SB_NO_MEMORY" in top)
        or any(documented(other, seen | {name}) for other in re.findall(r"sb_\w+", function.errors))
    )


def test_whoever_allocates_says_so(callers: dict[str, set[str]]) -> None:
    allocating = reaching(callers, ALLOCATIONS, set(DO_WITHOUT))
    silent = [name for name in FUNCTIONS if name in allocating and FUNCTIONS[name].fallible and not documented(name)]
    assert not silent


def test_what_does_without_memory_is_still_there(callers: dict[str, set[str]]) -> None:
    names = {node.rpartition(":")[2] for node in callers}
    assert set(DO_WITHOUT) <= names
