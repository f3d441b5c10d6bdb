"""The programs that the pages show do what the pages say."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import ROOT, output_of


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.DOTALL | re.MULTILINE)


def test_the_class_of_the_page_is_built_and_parsed() -> None:
    (code,) = blocks("python-classes.md")
    assert output_of(code + "print(timestamp, metadata)").strip() == "9999 [1, 2, 3]"


def test_the_program_of_the_page_on_visits_keeps_them(tmp_path: Path) -> None:
    (code,) = blocks("visits.md")
    output = output_of("import sys\npath = sys.argv[1]\n" + code, tmp_path / "visits")
    assert output.splitlines() == [
        "1 /index hello True",
        "2 /then before False",
        "True VisitUser(user=7, visit_count=1)",
        "5",
    ]


def test_the_client_and_server_of_the_page_talk() -> None:
    code = blocks("pipelining.md")[0]
    assert output_of(code).split() == ["hello", str(sum(range(1000)))]


def test_the_server_of_batches_of_the_page_answers() -> None:
    assert output_of(blocks("pipelining.md")[1]).split() == ["hello"]


def test_the_blocking_client_of_the_page_talks_to_that_server() -> None:
    server, _, client, *_ = blocks("pipelining.md")
    serving = server.split("async def main")[0] + "\nimport threading\nready, ports = threading.Event(), []\n"
    serving += """
async def main():
    async with await aio.serve(answer, "127.0.0.1", 0, aio.Pair.open_echo()) as server:
        ports.append(server.port)
        ready.set()
        await asyncio.sleep(60)

threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
assert ready.wait(60)
port = ports[0]
"""
    assert output_of(serving + client).split() == [str(index) for index in range(1000)]


def test_the_program_of_the_page_on_arrow_reads_visits(tmp_path: Path) -> None:
    (code,) = blocks("arrow.md")
    assert output_of("import sys\npath = sys.argv[1]\n" + code, tmp_path / "visits") == "1\n['/index']\n"
