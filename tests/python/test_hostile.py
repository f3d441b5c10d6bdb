"""Bytes of somebody who means harm: what they cost is bounded by what has arrived, and is measured in a process of its own.

C (tests/core/test_hostile.c) and Go (tests/go/hostile_test.go) are sent the same streams.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .conftest import output_of

MEASURED = r"""
import json, struct, sys
import samebytes

def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024

FRAMES = 1_000_000
FEED = 65536
tiny = struct.pack(">ibb", 2, 7, 1)
unknown = struct.pack(">ibb", 2, 9, 1)
lying_string = struct.pack(">ibbi", 6, 8, 1, 2**31 - 1)
lying_array = struct.pack(">ibbih", 8, 8, 1, 0, 32767)
negative = struct.pack(">ibbi", 6, 8, 1, -1)
streams = {
    "tiny": tiny * FRAMES,
    "unknown": unknown * FRAMES,
    "lying string": lying_string * (FRAMES // 2),
    "lying array": lying_array * (FRAMES // 2),
    "negative": negative * (FRAMES // 2),
    "claimed": struct.pack(">ibb", 2**31 - 1, 8, 1) + bytes(4_000_000),
}
data = streams[sys.argv[1]]
with (
    samebytes.Schema("None_", "request", 7, []) as none,
    samebytes.Schema("Some", "request", 8, [("text", "string"), ("items", "array<int64>"), ("texts", "array<string>")]) as some,
    samebytes.Parser([none, some], max_frame_size=2**31 - 1) as parser,
    samebytes.Batch() as batch,
):
    parser.feed(tiny)
    parser.parse(batch)
    rows = errors = 0
    before = peak()
    for at in range(0, len(data), FEED):
        parser.feed(data[at : at + FEED])
        parser.parse(batch)
        rows += len(batch.rows)
        errors += batch.error_count()
        if at == 0:
            assert len(batch.errors) == batch.error_count()
    print(json.dumps([rows, errors, peak() - before, batch.need()]))
"""

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("stream", "rows", "errors", "need", "bytes_max"),
    [
        ("tiny", 1_000_000, 0, 4, 8 * MIB),
        ("unknown", 0, 1_000_000, 4, 32 * MIB),
        ("lying string", 0, 500_000, 4, 32 * MIB),
        ("lying array", 0, 500_000, 4, 32 * MIB),
        ("negative", 0, 500_000, 4, 32 * MIB),
        ("claimed", 0, 0, 2**31 - 1 - 2 - 4_000_000, 24 * MIB),
    ],
)
def test_hostile_streams_cost_memory_by_what_has_arrived(
    stream: str, rows: int, errors: int, need: int, bytes_max: int
) -> None:
    found = json.loads(output_of(MEASURED, stream))
    assert (found[0], found[1], found[3]) == (rows, errors, need)
    assert found[2] < bytes_max, f"{found[2] / MIB:.1f} MiB more"


AT_ONCE = MEASURED.replace("FEED = 65536", "FEED = 1 << 30")


def test_a_million_tiny_frames_fed_at_once() -> None:
    """Who feeds everything at once has it in memory already: rows take 88 bytes each beside the frame's 6."""
    rows, errors, bytes_more, _ = json.loads(output_of(AT_ONCE, "tiny"))
    assert (rows, errors) == (1_000_000, 0)
    assert bytes_more < 250 * MIB, f"{bytes_more / MIB:.1f} MiB more"


@pytest.mark.parametrize(
    ("stream", "frames"), [("unknown", 1_000_000), ("negative", 500_000), ("lying array", 500_000)]
)
def test_a_million_bad_frames_fed_at_once(stream: str, frames: int) -> None:
    """An error takes 24 bytes beside the frame's 6; its 352 only where somebody asks for it."""
    rows, errors, bytes_more, _ = json.loads(output_of(AT_ONCE.replace("if at == 0:", "if False:"), stream))
    assert (rows, errors) == (0, frames)
    assert bytes_more < 64 * MIB, f"{bytes_more / MIB:.1f} MiB more"


REALLOC = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

size_t refused_size; /* requests of as many bytes or more are refused, `refused_count` times */
int refused_count;

void *realloc(void *memory, size_t size) {
  static void *(*real)(void *, size_t);
  if (real == NULL) real = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
  if (refused_count > 0 && size >= refused_size) {
    refused_count--;
    errno = ENOMEM;
    return NULL;
  }
  return real(memory, size);
}
"""

PARSED_ONCE = r"""
import ctypes, struct, sys
import samebytes

shim = ctypes.CDLL(sys.argv[1])
count, size = ctypes.c_int.in_dll(shim, "refused_count"), ctypes.c_size_t.in_dll(shim, "refused_size")
schema = samebytes.Schema("None_", "request", 7, [])
parser, batch = samebytes.Parser([schema]), samebytes.Batch()
parser.feed(struct.pack(">ibb", 2, 7, 1) * 100_000)
size.value, count.value = 100_000, 1
try:
    parser.parse(batch)
    print("parsed again")
except samebytes.NoMemoryError as error:
    print(error, count.value)
print(len(parser.parse(batch).rows))
"""


def test_a_parse_that_failed_is_not_made_again(tmp_path: Path) -> None:
    source, shim = tmp_path / "refusing.c", tmp_path / "refusing.so"
    source.write_text(REALLOC)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", str(source), "-o", str(shim), "-ldl"], check=True)
    said = output_of(PARSED_ONCE, shim, LD_PRELOAD=str(shim)).splitlines()
    assert said == ["sb_parser_parse: the system or a byte limit has no more memory 0", "100000"]
