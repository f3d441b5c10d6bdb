"""Measures samebytes beside its peers: `make bench [PART=pool|...]`. docs/performance.md explains cases and settings.

All programs of a part run in turns, many rounds, and inside a program ours and peers take turns as well, so that what else happens on
the machine hits both sides. What is told is the median, and the ratio above 1 where samebytes is ahead.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.bench import parts, peers, report  # noqa: E402

COUNTED_TIMES = 20  # callgrind's counts do not vary


@dataclass(frozen=True)
class Row:
    """One line of build/bench.json."""

    part: str
    case: str
    unit: str
    ours: float
    peer: str
    peer_value: float
    ratio: float
    runs: int


Samples = dict[tuple[str, str, str], list[float]]  # by case, unit and side


def run_program(program: parts.Program, samples: int) -> list[str]:
    command = [*program.command, str(samples)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT, env={**os.environ, **program.environment}
    )
    if done.returncode != 0:
        raise peers.PeerError(f"{' '.join(command)} failed with status {done.returncode}; its message is above")
    return done.stdout.splitlines()


def measure(part: parts.Part, rounds: int, samples: int) -> Samples:
    """Run all programs of *part* in turns."""
    taken: Samples = defaultdict(list)
    for number in range(rounds):
        for program in part.programs:
            print(
                f"{part.name}: round {number + 1} of {rounds}: {Path(program.command[0]).name} {' '.join(program.command[1:])}",
                flush=True,
            )
            for line in run_program(program, samples):
                case, side, value, *unit = line.split("\t")
                taken[case, unit[0] if unit else "ns", side].append(float(value))
    return taken


def count_instructions(program: parts.Program, cases: list[tuple[str, str]], folder: Path) -> Samples:
    """Count the instructions of C cases by callgrind: the same on a busy machine as on an idle one."""
    peers.install_packages(["valgrind"])
    counts: Samples = {}
    for case, side in cases:
        command = [
            "valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=bench_measured",
            f"--callgrind-out-file={folder / 'callgrind.out'}", *program.command, "count", case, side, str(COUNTED_TIMES),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        collected = re.search(r"Collected : (\d+)", done.stderr)
        if done.returncode != 0 or collected is None:
            raise peers.PeerError(f"callgrind: {' '.join(command)} failed\n{done.stderr}")
        counts[case, "instructions", side] = [int(collected[1]) / int(done.stdout)]
    return counts


def to_rows(part: str, samples: Samples) -> list[Row]:
    """Hold every peer of a case against ours."""
    rows = []
    cases = list(dict.fromkeys((unit == "instructions", case) for case, unit, _ in samples))
    by_case = sorted(samples.items(), key=lambda item: cases.index((item[0][1] == "instructions", item[0][0])))
    for (case, unit, side), values in by_case:
        if side == parts.OURS:
            continue
        ours = samples.get((case, unit, parts.OURS))
        if ours is None:
            raise peers.PeerError(f"the case '{case}' was measured for {side}, but not for {parts.OURS}")
        own, other = statistics.median(ours), statistics.median(values)
        ratio = own / other if unit.endswith("/s") else other / own
        rows.append(
            Row(part, case, unit, round(own, 3), side, round(other, 3), round(ratio, 3), min(len(ours), len(values)))
        )
    return rows


def print_table(part: parts.Part, rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{part.name}: a ratio above 1 means that samebytes is ahead", title_justify="left")
    for column in ("case", "peer"):
        table.add_column(column)
    for column in ("unit", "samebytes", "the peer", "ratio", "wanted", "runs"):
        table.add_column(column, justify="right")
    for row in rows:
        wanted = part.targets.get((row.case, row.peer)) if row.unit != "instructions" else None
        style = "" if wanted is None else "green" if row.ratio >= wanted else "red"
        table.add_row(
            row.case, row.peer, row.unit, f"{row.ours:,.1f}", f"{row.peer_value:,.1f}", f"{row.ratio:.2f}x",
            "" if wanted is None else f"{wanted:g}x", str(row.runs), style=style,
        )  # fmt: skip
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    for setting in part.settings:
        console.print(f"  {setting}", highlight=False, soft_wrap=True)


def write_json(path: Path, part: str, rows: list[Row]) -> None:
    """Replace the rows of *part*; those of parts that were not run stay."""
    kept = [row for row in json.loads(path.read_text()) if row["part"] != part] if path.exists() else []
    path.write_text(json.dumps(kept + [asdict(row) for row in rows], indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure samebytes beside its peers.")
    parser.add_argument("part", nargs="?", choices=sorted(parts.PARTS), help="only this part; all otherwise")
    parser.add_argument(
        "--library", type=Path, default=ROOT / "build/core", help="folder of the libsamebytes.so.1 to measure"
    )
    parser.add_argument("--json", type=Path, default=ROOT / "build/bench.json", help="where the results go")
    parser.add_argument("--charts", type=Path, default=ROOT / "docs/performance", help="folder of the pages and charts")
    parser.add_argument("--rounds", type=int, help="how often each program runs (default: what the part needs)")
    parser.add_argument("--samples", type=int, default=5, help="samples that a program takes of each case in a run")
    return parser.parse_args()


def run_part(name: str, arguments: argparse.Namespace) -> None:
    peers.install_python(name)
    folder = ROOT / "build/bench"
    folder.mkdir(parents=True, exist_ok=True)
    part = parts.PARTS[name](parts.Build(folder, arguments.library))
    try:
        samples = measure(part, arguments.rounds or part.rounds, arguments.samples)
    finally:
        if part.scratch is not None:
            shutil.rmtree(part.scratch, ignore_errors=True)
    if part.counted is not None:
        cases = [(case, side) for case, _, side in samples if case.startswith("C ")]
        samples |= count_instructions(part.counted, cases, folder)
    rows = to_rows(name, samples)
    write_json(arguments.json, name, rows)
    print_table(part, rows)
    from tests.bench import draw

    report.write(part, rows, arguments.charts / f"{name}.md")
    draw.chart(name, rows, part.targets, arguments.charts / f"{name}.svg")


def main() -> int:
    arguments = parse_arguments()
    try:
        for name in [arguments.part] if arguments.part else list(parts.PARTS):
            run_part(name, arguments)
    except peers.PeerError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
