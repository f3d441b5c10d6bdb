"""Which file of the core really uses which: by what it includes, and by what it calls or names of what another defines."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

Arrow = tuple[str, str]


def read_parts(path: Path) -> dict[str, dict[str, Any]]:
    """The parts of core/parts.toml by name, in its order."""
    parts: dict[str, dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["part"]
    return parts


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


def defined(text: str) -> set[str]:
    """The names that a .c file defines for others: functions with a body, and variables."""
    functions = re.findall(r"^(?!static\b|typedef\b)[a-z][\w *()]*?\b(sb_\w+)\([^;{}]*\)\s*\{", text, re.MULTILINE)
    variables = re.findall(
        r"^(?!static\b|typedef\b|extern\b)[\w *]*?\b(sb_\w+)(?:\[[^\]]*\])?(?: =[^;]*)?;", text, re.MULTILINE
    )
    pointers = re.findall(r"^(?!static\b|typedef\b|extern\b)\w[\w *]*\(\*(sb_\w+)\)\(", text, re.MULTILINE)
    return {*functions, *variables, *pointers}


def real_arrows(sources: Path) -> dict[Arrow, set[str]]:
    """(user, used) by the stems of files, and why: the names and headers that the one takes from the other."""
    texts = {path: without_comments(path.read_text(encoding="utf-8")) for path in sorted(sources.glob("*.[ch]"))}
    owner: dict[str, str] = {}
    for path, text in texts.items():
        if path.suffix == ".c":
            for name in defined(text):
                assert name not in owner, f"{name} is defined by {owner[name]} and by {path.stem}"
                owner[name] = path.stem
    arrows: dict[Arrow, set[str]] = {}
    for path, text in texts.items():
        headers = {f"{header}.h": header for header in re.findall(r'^#include "(\w+)\.h"', text, re.MULTILINE)}
        names = {
            name: owner[name] for name in set(re.findall(r"\bsb_\w+", text)) if name in owner and path.suffix == ".c"
        }
        for what, used in (headers | names).items():
            if used != path.stem:
                arrows.setdefault((path.stem, used), set()).add(what)
    return arrows


def picture(parts: dict[str, dict[str, Any]]) -> str:
    """The parts as a Mermaid chart: an arrow for each part right below, a dotted one against the order."""
    below: dict[str, set[str]] = {}
    for part, about in parts.items():  # in order, so that those below are known
        below[part] = set(about["uses"]).union(*(below[used] for used in about["uses"]))
    lines = ["```mermaid", "graph BT"]
    for part, about in parts.items():
        uses = about["uses"]
        lines += [f"  {part} --> {used}" for used in uses if not any(used in below[other] for other in uses)]
        lines += [f"  {part} -.-> {used}" for used in about.get("against", {})]
    return "\n".join([*lines, "```"])
