"""Every vector through every testee, as pytest sees it; runner.py prints the table."""

from __future__ import annotations

import cases
import pytest
import runner


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", runner.TESTEES)
def test_testee_passes_every_vector(name: str) -> None:
    (outcome,) = runner.run_all([name], cases.load())
    assert outcome.failures == []
