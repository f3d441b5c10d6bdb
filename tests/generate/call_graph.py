"""Which function of the core calls which, as the compiler sees it. Calls through pointers are not in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


def name_of(node: str) -> str:
    """memory.c:provider_get for a static function, sb_x for another."""
    path, _, name = node.rpartition(":")
    return f"{Path(path).name}:{name}" if path and not path.endswith(".h") else name


def read_callers(folder: Path) -> dict[str, set[str]]:
    """For each function those that call it."""
    sources = sorted((ROOT / "core/src").glob("*.c"))
    command = ["gcc", "-std=gnu11", "-O0", "-DNDEBUG", "-fcallgraph-info", f"-I{ROOT / 'core/include'}", "-c"]
    subprocess.run([*command, *map(str, sources)], cwd=folder, check=True)
    found: dict[str, set[str]] = {}
    graphs = list(folder.glob("*.ci"))
    assert len(graphs) == len(sources)
    for graph in graphs:
        for source, target in EDGE.findall(graph.read_text()):
            found.setdefault(name_of(target), set()).add(name_of(source))
    return found


def reaching(callers: dict[str, set[str]], names: set[str], beside: set[str] = frozenset()) -> set[str]:
    """Whoever may come to one of `names`, without those that do by way of `beside` alone."""
    pending = [node for node in callers if node.rpartition(":")[2] in names]
    assert {node.rpartition(":")[2] for node in pending} == names
    found = set(pending)
    while pending:
        for caller in callers.get(pending.pop(), ()):
            if caller not in found and caller.rpartition(":")[2] not in beside:
                found.add(caller)
                pending.append(caller)
    return found
