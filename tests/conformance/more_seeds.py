"""Streams at random, of seeds that nobody has tried, through all testees; part of `make nightly`.

    python tests/conformance/more_seeds.py [SEED ...]

The seeds are printed, so that a failure can be repeated.
"""

from __future__ import annotations

import random
import shutil
import sys

import cases
import make_vectors
import runner

FOLDER = runner.ROOT / "build/nightly/vectors"
SEEDS_MAX = 2**32
SEED_COUNT = 10


def main(arguments: list[str]) -> int:
    seeds = [int(argument) for argument in arguments] or random.SystemRandom().sample(range(SEEDS_MAX), SEED_COUNT)
    failed = 0
    for seed in seeds:
        print("conformance, seed", seed, flush=True)
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        text = make_vectors.text_of(f"Streams at random, seed {seed}.", make_vectors.random_cases(seed))
        (FOLDER / "random.json").write_text(text)
        for outcome in runner.run_all(runner.TESTEES, cases.load(FOLDER)):
            for case, problem in outcome.failures:
                print(f"seed {seed}: {outcome.name}: {case}: {problem}")
                failed += 1
    print(f"{failed} failures with {len(seeds)} seeds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
