"""The programs that the pages show do what the pages say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import ROOT, output_of


def blocks(page: str, language: str = "python") -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


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
        "7",
    ]


def test_each_case_of_names_on_the_page_of_visits_has_its_tests() -> None:
    chapter = (ROOT / "docs/visits.md").read_text().split("## Names are not things")[1].split("\n## ")[0]
    rows = [line for line in chapter.splitlines() if line.startswith("| ")][1:]
    tests = "".join(
        (ROOT / path).read_text()
        for path in ("tests/core/test_visits_names.c", "tests/core/test_visits_file.c", "tests/crash/test_names.py")
    )
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(\w+)`", row.split("|")[3])
        assert named or "the same" in row.split("|")[3], row
        for name in named:
            assert re.search(rf"(static void|def) {name}\(", tests), name


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


SERIALIZERS = """
from easynetwork.serializers.abc import BufferedIncrementalPacketSerializer
import samebytes
request_schema, response_schema = samebytes.echo_request_schema(), samebytes.echo_response_schema()
"""


def test_the_serializers_of_the_page_are_those_of_easynetwork() -> None:
    assert output_of(SERIALIZERS + blocks("pipelining.md")[3] + "print(server, client)").count("StreamProtocol") == 2


READINGS = """\
5 readings in 151 bytes
not added: values[0]: 2147483648 is not from -2147483648 to 2147483647
north at 1 [20, 21, 22]
south at 2 []
north at 3 [23]
east at 4 [1]
west at 5 [2, 3]
frame 5, byte 14: sensor: a string of 2147483647 bytes, but 0 are left in the frame
the times add up to 15
the second is south
[[20, 21, 22], [], [23], [1], [2, 3]]
151 bytes again
"""


def test_the_guide_to_the_codec_reads_what_it_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    *program, _ = blocks("codec.md")
    (schemas,) = blocks("codec.md", "text")
    (tmp_path / "readings.schema").write_text(schemas)
    monkeypatch.chdir(tmp_path)
    assert output_of("".join(program)) == READINGS


def test_the_guides_server_of_easynetwork_answers() -> None:
    assert output_of(blocks("codec.md")[-1]) == "9999 hello\n"
