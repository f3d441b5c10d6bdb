"""What the files of these tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.build import compile_core


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the core's object files, compiled once."""
    folder = tmp_path_factory.mktemp("core")
    compile_core(folder)
    return folder
