"""Measures this tree beside an earlier commit of itself: `make bench-against BASE=REVISION [PART=pool|...]`.

Core, Python package and bench programs of BASE are built from its own tree, so that each side is measured as it was written. The programs
of both run in turns, in one run, and every row that both have is told: by time, and the cases in C by callgrind's counts of instructions
too, which do not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.bench import bench, parts, peers  # noqa: E402

# Run in a tree, so that its own parts.py says what its programs are.
DESCRIBE = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from tests.bench import parts
part = parts.PARTS[sys.argv[1]](parts.Build(Path(sys.argv[2]), Path(sys.argv[3])))
print(json.dumps({"programs": [asdict(p) for p in part.programs], "rounds": part.rounds,
                  "scratch": str(part.scratch) if part.scratch else None}))
"""
BEHIND = 0.95  # a row below this ratio is marked

Values = dict[tuple[str, str], list[float]]  # by case and unit


@dataclass
class Side:
    """One of the two trees, built."""

    name: str
    tree: Path
    library: Path  # the folder of libsamebytes.so.1
    packages: Path | None  # where its Python package lies; None: in the environment that runs this
    programs: list[parts.Program]
    scratch: Path | None
    rounds: int


def build_base(revision: str, folder: Path) -> tuple[Path, Path, Path]:
    """The tree of *revision*, the folder of its library, and that of its Python package."""
    commit = peers.run(["git", "rev-parse", "--verify", f"{revision}^{{commit}}"], f"BASE {revision}", cwd=ROOT).strip()
    tree, library, packages = (folder / commit / name for name in ("tree", "core", "python"))
    if not (packages / "samebytes").exists():
        shutil.rmtree(folder / commit, ignore_errors=True)
        tree.mkdir(parents=True)
        archive = folder / commit / "tree.tar"
        peers.run(["git", "archive", "-o", str(archive), commit], "git archive", cwd=ROOT)
        peers.run(["tar", "-xf", str(archive), "-C", str(tree)], "tar")
        configure = ["cmake", "-S", str(tree / "core"), "-B", str(library), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
        compiler = os.environ.get("CC", "gcc")
        peers.run([*configure, f"-DCMAKE_C_COMPILER={compiler}"], f"core of {revision}")
        peers.run(["cmake", "--build", str(library)], f"core of {revision}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps"]
        peers.run([*pip, "--target", str(packages), str(tree / "bindings/python")], f"Python package of {revision}")
    return tree, library, packages


def describe(name: str, part: str, tree: Path, library: Path, packages: Path | None, folder: Path) -> Side:
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{part}: building the programs of {name}", flush=True)
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-c", DESCRIBE, part, str(folder), str(library)]
    told = json.loads(peers.run(command, f"bench of {name}", cwd=tree, env=environment).splitlines()[-1])
    programs = [parts.Program(**program) for program in told["programs"]]
    scratch = Path(told["scratch"]) if told["scratch"] else None
    return Side(name, tree, library, packages, programs, scratch, told["rounds"])


def run_once(side: Side, program: parts.Program, samples: int) -> Values:
    """What *program* prints of samebytes."""
    environment = {**os.environ, **program.environment}
    if side.packages is not None:
        found = [str(side.packages), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in found if path)
        environment["LD_LIBRARY_PATH"] = str(side.library)
    command = [*program.command, str(samples)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=side.tree, env=environment)
    if done.returncode != 0:
        raise peers.PeerError(f"{side.name}: {' '.join(command)} failed with status {done.returncode}")
    values: Values = defaultdict(list)
    for line in done.stdout.splitlines():
        case, who, value, *unit = line.split("\t")
        if who == parts.OURS:
            values[case, unit[0] if unit else "ns"].append(float(value))
    return values


def measure(base: Side, ours: Side, rounds: int, samples: int) -> tuple[Values, Values]:
    """Runs the programs of both in turns; those that measure peers only are left out after the first round."""
    taken: tuple[Values, Values] = defaultdict(list), defaultdict(list)
    waiting = [(0, base, program) for program in base.programs] + [(1, ours, program) for program in ours.programs]
    waiting.sort(key=lambda item: (item[1].programs.index(item[2]), item[0]))
    for number in range(rounds):
        useful = []
        for index, side, program in waiting if number % 2 == 0 else waiting[::-1]:
            print(f"round {number + 1} of {rounds}: {side.name}: {' '.join(program.command[-2:])}", flush=True)
            values = run_once(side, program, samples)
            for key, found in values.items():
                taken[index][key] += found
            if values:
                useful.append((index, side, program))
        waiting = useful if number % 2 == 0 else useful[::-1]
    return taken


def can_count(side: Side, program: parts.Program) -> bool:
    """Whether it is a program in C that does one case alone when asked (bench_main of bench.h)."""
    source = side.tree / "tests/bench/c" / f"{Path(program.command[0]).name}.c"
    return source.exists() and "bench_main" in source.read_text() and not program.environment


def count(side: Side, cases: set[str], folder: Path) -> dict[str, float]:
    """Instructions per operation of those *cases* that one thread does."""
    counts: dict[str, float] = {}
    for program in side.programs:
        if not can_count(side, program):
            continue
        found = sorted(
            case
            for case, _ in run_once(side, program, 1)
            if case in cases and not set(case.split()) & {"two", "another"}
        )
        counted = bench.count_instructions(program, [(case, parts.OURS) for case in found], folder)
        counts |= {case: values[0] for (case, _, _), values in counted.items()}
    return counts


def compare(part: str, arguments: argparse.Namespace) -> list[dict[str, object]]:
    folder = ROOT / "build/bench/against"
    peers.install_python(part)
    tree, library, packages = build_base(arguments.base, folder)
    base = describe(arguments.base, part, tree, library, packages, folder / "base")
    ours = describe("this tree", part, ROOT, ROOT / "build/core", None, folder / "ours")
    try:
        before, now = measure(base, ours, arguments.rounds or ours.rounds, arguments.samples)
    finally:
        for side in (base, ours):
            if side.scratch is not None:
                shutil.rmtree(side.scratch, ignore_errors=True)
    rows: list[dict[str, object]] = []
    for case, unit in now:
        if (case, unit) not in before:
            continue
        old, new = statistics.median(before[case, unit]), statistics.median(now[case, unit])
        ratio = new / old if unit.endswith("/s") else old / new
        rows.append({"part": part, "case": case, "unit": unit, "base": old, "now": new, "ratio": ratio})
    both = {case for case, unit in now if (case, unit) in before}
    counts = count(base, both, folder), count(ours, both, folder)
    for case, old in counts[0].items():
        new = counts[1][case]
        rows.append({"part": part, "case": case, "unit": "instructions", "base": old, "now": new, "ratio": old / new})
    return rows


def print_rows(rows: list[dict[str, object]], revision: str) -> None:
    print(
        f"\nA ratio above 1 means that this tree is ahead of {revision}; medians of samples that were taken in turns."
    )
    print(f"{'part':9} {'case':58} {'unit':13} {'base':>14} {'now':>14}  ratio")
    for row in rows:
        mark = "" if float(str(row["ratio"])) >= BEHIND else "  behind"
        print(
            f"{row['part']:9} {row['case']:58} {row['unit']:13} {row['base']:14,.1f} {row['now']:14,.1f} {row['ratio']:5.2f}x{mark}"
        )
    behind = sum(float(str(row["ratio"])) < BEHIND for row in rows)
    print(f"{len(rows)} rows, {behind} more than {1 - BEHIND:.0%} behind {revision}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure this tree beside an earlier commit of itself.")
    parser.add_argument("base", help="the commit to compare with")
    parser.add_argument("part", nargs="?", choices=sorted(parts.PARTS), help="only this part; all otherwise")
    parser.add_argument("--rounds", type=int, help="how often each program runs (default: what the part needs)")
    parser.add_argument("--samples", type=int, default=5, help="samples that a program takes of each case in a run")
    parser.add_argument("--json", type=Path, default=ROOT / "build/bench-against.json", help="where the results go")
    arguments = parser.parse_args()
    try:
        names = [arguments.part] if arguments.part else list(parts.PARTS)
        rows = [row for name in names for row in compare(name, arguments)]
    except peers.PeerError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    print_rows(rows, arguments.base)
    return 0


if __name__ == "__main__":
    sys.exit(main())
