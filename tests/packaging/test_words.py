"""The words of the project, as far as a test can see: wraps that an edit has broken, and turns of phrase that no English reader would
write.

Spelling is codespell's, which `make lint` runs."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT

SHORT = (
    100  # columns that a line must have at least where the next word would have fitted behind it; lines are up to 140
)
# Each is a mistake in every sentence that it could stand in.
PHRASES = (
    r"\bwhile which\b",
    r"\b(?:says|say) not\b",
    r"\bTold are\b",
    r"\bfor (?:itself|himself) alone\b",
    r"\bin one instant\b",
    r"\bhas not as many\b",
)


def texts() -> list[Path]:
    """What is written by hand and has sentences; thing.h is what the generator's tests read, breaks included."""
    patterns = ["*.c", "*.h", "*.md", "*.py", "*.go"]
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    files = [ROOT / name for name in names if (ROOT / name).is_file() and name != "tests/generate/thing.h"]
    return [file for file in files if "enerated by `make generate`" not in file.read_text(encoding="utf-8")[:400]]


Paragraph = tuple[int, list[str]]


def of_page(lines: list[str]) -> Iterator[Paragraph]:
    """The paragraphs of a page of Markdown: the number of the first line, and the lines."""
    code, start, found = False, 0, list[str]()
    for number, line in enumerate([*lines, ""], 1):
        fence = line.lstrip().startswith("```")
        begins = re.match(r"\s*([-*+|#>]|\d+\.)", line) is not None
        if fence or code or begins or not line.strip():
            yield start, found
            found = [line] if begins and not code and not line.lstrip().startswith(("|", "#")) else []
            start = number
        else:
            start = start if found else number
            found.append(line)
        code ^= fence


def of_comments(lines: list[str]) -> Iterator[Paragraph]:
    """The paragraphs of the block comments of C."""
    inside, start, found = False, 0, list[str]()
    for number, line in enumerate(lines, 1):
        inside = inside or re.match(r"\s*/\*", line) is not None
        if not inside:
            continue
        text = re.sub(r"^\s*(/\*+|\*/|\*)", "", line)
        begins = re.match(r"\s*([-+]|\d+\.|##|[A-Z][a-z]+:) ", text) is not None
        if begins or not text.strip() or re.match(r"\s{4,}", text):
            yield start, found
            found = [line] if begins and "##" not in text else []
            start = number
        else:
            start = start if found else number
            found.append(line)
        if "*/" in line:
            yield start, found
            inside, found = False, []


def broken_wraps(file: Path) -> Iterator[str]:
    lines = file.read_text(encoding="utf-8").split("\n")
    for start, paragraph in of_page(lines) if file.suffix == ".md" else of_comments(lines):
        for i, (line, following) in enumerate(itertools.pairwise(paragraph)):
            word = re.sub(r"^\s*\*?\s*", "", following).split(" ")[0]
            table = re.search(r"\S {3,}\S", line + "\n" + following) is not None
            fits = len(line) + 1 + len(word) <= SHORT
            usage = word == file.stem  # how the program is called
            if fits and not table and not usage and not line.rstrip().endswith((":", "*/")) and word[:1].islower():
                yield f"{file.relative_to(ROOT)}:{start + i}: {word!r} would have fitted here"


@pytest.mark.parametrize("suffix", [".md", ".c", ".h"])
def test_no_line_was_broken_by_an_edit(suffix: str) -> None:
    files = [file for file in texts() if file.suffix == suffix]
    assert len(files) > 15
    assert not [wrap for file in files for wrap in broken_wraps(file)]


def test_nobody_writes_so() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{number}: {found[0]}"
        for file in texts()
        if file != Path(__file__)
        for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1)
        for found in re.finditer("|".join(PHRASES), line)
    ]
    assert not wrong


def test_a_broken_wrap_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.packaging.test_words.ROOT", tmp_path)
    page, source = tmp_path / "a.md", tmp_path / "a.c"
    page.write_text("# A\n\nThis line was\nbroken.\n\n| a |\n| b |\n")
    source.write_text("/* This line\n * was broken.\n *\n *   a   table\n *   of two\n */\n")
    assert [*broken_wraps(page)] == ["a.md:3: 'broken.' would have fitted here"]
    assert [*broken_wraps(source)] == ["a.c:1: 'was' would have fitted here"]
