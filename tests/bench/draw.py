"""Draws one chart per part: how many times faster than each peer, or slower."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

if TYPE_CHECKING:
    from tests.bench.bench import Row

AHEAD, BEHIND, TARGET = "#2a6f97", "#c8553d", "#222222"
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
STYLE = {
    "svg.hashsalt": "samebytes",  # the same ids in every file
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}


def chart(part: str, rows: Sequence[Row], targets: dict[tuple[str, str], float], path: Path) -> None:
    """Write the chart of the measured times and rates of *part*; instruction counts stay in the table."""
    shown = [row for row in rows if row.unit != "instructions"]
    labels, places, height = [], [], 0.0
    for before, row in zip([None, *shown], shown):
        height += 1.0 if before is not None and before.case == row.case else 1.8
        places.append(height)
        labels.append(row.peer)
    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(9, 0.8 + 0.24 * height), layout="constrained")
        axes.barh(
            places,
            [row.ratio - 1 for row in shown],
            left=1,
            height=0.72,
            color=[AHEAD if row.ratio >= 1 else BEHIND for row in shown],
        )
        axes.set_xscale("log")
        low = min([0.5, *(row.ratio / 1.5 for row in shown)])
        high = max([2.0, *(row.ratio * 1.6 for row in shown)])
        axes.set_xlim(low, high)
        for place, before, row in zip(places, [None, *shown], shown):
            axes.annotate(f"{row.ratio:.2f}x", (row.ratio, place), xytext=(4 if row.ratio >= 1 else -4, 0), textcoords="offset points",
                          va="center", ha="left" if row.ratio >= 1 else "right", fontsize=8)  # fmt: skip
            wanted = targets.get((row.case, row.peer))
            if wanted is not None:
                axes.plot([wanted, wanted], [place - 0.42, place + 0.42], color=TARGET, linewidth=1.4)
            if before is None or before.case != row.case:
                axes.text(0.0, place - 0.75, f"{row.case}  ({row.ours:,.1f} {row.unit})", transform=axes.get_yaxis_transform(),
                          va="center", ha="left", fontsize=8.5, fontweight="bold")  # fmt: skip
        axes.axvline(1, color="#888888", linewidth=1)
        axes.set_yticks(places, labels)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(height + 0.7, 0.4)
        axes.xaxis.set_major_locator(FixedLocator([tick for tick in TICKS if low <= tick <= high]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
        axes.set_xlabel(
            "times as fast as the peer (log scale); bold: the case and what samebytes takes; black mark: what the project wants"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
