"""Every vector through every testee, as pytest sees it; runner.py prints the table."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import cases
import make_vectors
import pytest
import runner

NIGHTLY = "SAMEBYTES_NIGHTLY" in os.environ


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", runner.TESTEES)
def test_testee_passes_every_vector(name: str) -> None:
    (outcome,) = runner.run_all([name], cases.load())
    assert outcome.failures == []


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(50 if NIGHTLY else 3))
def test_testees_take_turns_with_one_file_of_visits(number: int) -> None:
    seed = random.SystemRandom().getrandbits(32) if NIGHTLY else number + 10
    names = list(runner.TESTEES[:4])
    random.Random(seed).shuffle(names)
    with tempfile.TemporaryDirectory(prefix="samebytes-conformance-", dir=runner.MEMORY) as folder:
        assert runner.take_turns(names, Path(folder) / "visits", seed, 40) is None


@pytest.mark.timeout(3600)
def test_testees_pass_streams_that_no_file_holds(tmp_path: Path) -> None:
    """At night with another seed each time; make_vectors.random_cases(seed) shows what a failure was about."""
    seed = random.SystemRandom().getrandbits(32) if NIGHTLY else make_vectors.SEED + 1
    drawn = make_vectors.random_cases(seed, 5000 if NIGHTLY else 200)
    (tmp_path / "random.json").write_text(make_vectors.text_of(f"seed {seed}", drawn))
    outcomes = runner.run_all(runner.TESTEES[:5], cases.load(tmp_path), light=True)
    assert [(seed, outcome.name, outcome.failures) for outcome in outcomes if outcome.failures] == []
