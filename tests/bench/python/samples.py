"""What the Python benchmarks share: they time cases in turns and print `case TAB side TAB nanoseconds` for each sample.

The time is that of the thread's processor, so that a sample, which is long here, does not tell how long others kept the thread waiting.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

SAMPLE_NS = 10e6  # one sample takes at least this long


class Case(NamedTuple):
    name: str
    side: str
    run: Callable[[], object]
    units: int


def timed(run: Callable[[], object], times: int) -> int:
    start = time.thread_time_ns()
    for _ in range(times):
        run()
    return time.thread_time_ns() - start


def main(cases: Sequence[Case]) -> None:
    """Run all cases as often as the command line says."""
    samples = int(sys.argv[1])
    times = [1 + int(SAMPLE_NS / min(timed(case.run, 1) for _ in range(3))) for case in cases]
    order = list(zip(cases, times))
    for sample in range(samples):
        # Every other round goes backwards, so that no side is always the one after its peer.
        for case, count in order if sample % 2 == 0 else reversed(order):
            print(f"{case.name}\t{case.side}\t{timed(case.run, count) / (count * case.units):.2f}", flush=True)
