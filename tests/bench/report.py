"""Writes docs/performance/PART.md: every figure of one run, with the settings of both sides and the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import parts, peers

if TYPE_CHECKING:
    from tests.bench.bench import Row


MEDIANS = "Medians, per operation or message. A ratio above 1 means that samebytes is ahead; bold ones are behind."
COUNTED = (
    "Instructions, counted by callgrind, which does not depend on what else the machine does; a string instruction that copies "
    "counts once per byte or word there, on both sides."
)


def machine() -> str:
    """What the figures were taken on, in words that hold no name of the machine."""
    info = Path("/proc/cpuinfo").read_text()
    models = {line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")}
    compiler = peers.run([os.environ.get("CC", "gcc"), "--version"], "compiler").splitlines()[0]
    return f"{os.cpu_count()} CPUs ({', '.join(sorted(models)) or platform.machine()}), {platform.system()}, {compiler}"


def table(rows: Sequence[Row], targets: dict[tuple[str, str], float]) -> list[str]:
    lines = ["| case | unit | samebytes | peer | the peer | ratio | wanted |", "|---|---|---:|---|---:|---:|---:|"]
    for row in rows:
        wanted = targets.get((row.case, row.peer)) if row.unit != "instructions" else None
        ratio = f"{row.ratio:.2f}" if row.ratio >= 1 else f"**{row.ratio:.2f}**"
        lines.append(
            f"| {row.case} | {row.unit} | {row.ours:,.1f} | {row.peer} | {row.peer_value:,.1f} | {ratio} | "
            f"{'' if wanted is None else f'{wanted:g}'} |"
        )
    return lines


def write(part: parts.Part, rows: Sequence[Row], path: Path) -> None:
    """Write the page of *part*; a ratio where the peer is ahead is bold."""
    timed = [row for row in rows if row.unit != "instructions"]
    counted = [row for row in rows if row.unit == "instructions"]
    lines = [
        f"<!-- Written by `make bench PART={part.name}`; do not edit. -->",
        f"# Measured: {part.name}",
        "",
        f"![ratios]({part.name}.svg)",
        "",
        f"{MEDIANS} Samples: {min((row.runs for row in timed), default=0)} or more.",
        "",
        *table(timed, part.targets),
        "",
    ]
    if counted:
        lines += [
            COUNTED,
            "",
            *table(counted, part.targets),
            "",
        ]
    lines += ["Settings:", "", *(f"- {setting}" for setting in part.settings), f"- machine: {machine()}", ""]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
