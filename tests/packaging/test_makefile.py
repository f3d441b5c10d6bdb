"""`make help` lists what one can ask make for."""

from __future__ import annotations

import re
import subprocess

from .conftest import ROOT

INTERNAL = {"machine", "machine-test"}  # steps of deps and deps-test


def test_help_has_a_line_for_every_public_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    phony = {name for line in re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE) for name in line.split()}
    told = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [re.fullmatch(r"make ([a-z-]+) +(\S.*)", line) for line in told.splitlines()]
    assert all(lines)
    names = [line[1] for line in lines if line]
    assert len(names) == len(set(names))
    assert set(names) == phony - INTERNAL
