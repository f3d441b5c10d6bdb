"""Go may be told that a C function calls nothing of Go (`#cgo nocallback`) only where that is so: otherwise the process ends.

A provider written in Go is called where memory is reserved, and where what waits for its release is drained. Which functions can get there
is computed from the compiler's own call graph of the core. Calls through pointers are known one by one.
"""

from __future__ import annotations

from bindings.generate import reader

from .call_graph import reaching
from .conftest import ROOT

API = reader.read(ROOT)
# Where functions of a provider are called that may be Go's.
INTO_PROVIDERS = {"sb_priv_memory_reserve", "sb_memory_drain"}


def test_go_is_told_which_functions_may_call_back(callers: dict[str, set[str]]) -> None:
    functions = {function.name: function.calls_back for function in API.functions if not function.native}
    reached = reaching(callers, INTO_PROVIDERS) & functions.keys()
    assert reached == {name for name, calls_back in functions.items() if calls_back}, "SB_CALLS_BACK says otherwise"


def test_nothing_else_may_call_go(callers: dict[str, set[str]]) -> None:
    """A call through a pointer that this page does not know must be looked at: could Go be behind it?"""
    known = {
        "sb_priv_memory_reserve": "a provider's get",
        "sb_priv_block_free": "a provider's put: what is written in Go waits (defer)",
        "sb_memory_close": "a provider's end: likewise",
        "sb_memory_get_stats": "a pool's count",
        "sb_memory_get_failure": "a provider's last failure, which functions of the library copy",
    }
    indirect = {
        name
        for name in callers["__indirect_call"]
        if name.startswith(("memory", "sb_memory_", "sb_priv_memory_", "sb_priv_block_", "view.c:", "buf.c:"))
    }
    assert indirect == set(known)


def test_the_go_layer_says_so() -> None:
    text = "".join(path.read_text() for path in (ROOT / "bindings/go").glob("raw_*.go"))
    for function in API.functions:
        told = f"#cgo nocallback {function.name}\n" in text
        assert told == (not function.native and not function.calls_back), function.name
