"""A function that is added to a header and to C, and to nothing else, can be called in every layer after `make generate`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import copy_project, generate

HEADER = """\
/** Mixes `size` bytes at `data` with `seed`. A test added it.
 *
 *  Ownership: `data` is borrowed for the call.      Threads: any.
 *  Errors: SB_OUT_OF_RANGE when `seed` is 0.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pipeline_mix(const sb_pipeline *pipeline, uint32_t seed, SB_IN SB_COUNT(size) const void *data,
                                           size_t size, SB_OUT int64_t *mixed);

"""
SOURCE = """
sb_status sb_pipeline_mix(const sb_pipeline *pipeline, uint32_t seed, const void *data, size_t size, int64_t *mixed) {
  const uint8_t *bytes = data;
  if (pipeline == NULL || seed == 0) return SB_OUT_OF_RANGE;
  int64_t total = seed;
  for (size_t i = 0; i < size; i++) total = total * 31 + bytes[i];
  *mixed = total;
  return SB_OK;
}
"""
DATA = b"a\0b"
MIXED = ((5 * 31 + DATA[0]) * 31 + DATA[1]) * 31 + DATA[2]

C_PROGRAM = """\
#include <samebytes/samebytes.h>
#include <stdio.h>

int main(void) {
  sb_pipeline *pipeline = NULL;
  int64_t mixed = 0;
  if (sb_pipeline_open(&pipeline) != SB_OK || sb_pipeline_mix(pipeline, 5, "a\\0b", 3, &mixed) != SB_OK) return 1;
  if (sb_pipeline_mix(pipeline, 0, "a", 1, &mixed) != SB_OUT_OF_RANGE) return 1;
  sb_pipeline_close(pipeline);
  printf("%lld\\n", (long long)mixed);
  return 0;
}
"""
GO_PROGRAM = """\
package main

import (
	"errors"
	"fmt"
	"os"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

func main() {
	pipeline, err := samebytes.NewPipeline()
	if err != nil {
		panic(err)
	}
	defer pipeline.Close()
	if _, err := pipeline.Mix(0, []byte("a")); !errors.Is(err, samebytes.ErrOutOfRange) {
		os.Exit(1)
	}
	mixed, err := pipeline.Mix(5, []byte("a\\x00b"))
	if err != nil {
		panic(err)
	}
	fmt.Println(mixed)
}
"""
PYTHON_PROGRAM = """\
import json
import samebytes
from samebytes import _layer_cffi, _layer_ctypes

mixed = []
for layer in (_layer_cffi, _layer_ctypes):
    pipeline = layer.sb_pipeline_open()
    mixed.append(layer.sb_pipeline_mix(pipeline, 5, b"a\\0b"))
    try:
        layer.sb_pipeline_mix(pipeline, 0, b"a")
    except samebytes.OutOfRangeError:
        pass
    else:
        raise SystemExit("seed 0 was accepted")
    layer.sb_pipeline_close(pipeline)
with samebytes.Pipeline() as pipeline:
    mixed.append(pipeline.mix(5, b"a\\0b"))
print(json.dumps([samebytes.__file__, *mixed]))
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project whose header and C file have one more function; everything else is generated."""
    root = tmp_path_factory.mktemp("grown")
    copy_project(root)
    header, source = root / "core/include/samebytes/pipeline.h", root / "core/src/pipeline.c"
    before, mark, after = header.read_text(encoding="utf-8").partition("/** Closes the pipeline.")
    assert mark
    header.write_text(before + HEADER + mark + after, encoding="utf-8")
    with source.open("a", encoding="utf-8") as file:
        file.write(SOURCE)
    written = generate(root)
    assert written.returncode == 0, written.stderr
    return root


def test_c_calls_it_in_the_shared_library(grown: Path) -> None:
    run("cmake", "-S", "core", "-B", "build/core", "-G", "Ninja", "-DSAMEBYTES_WERROR=ON", cwd=grown)
    run("cmake", "--build", "build/core", cwd=grown)
    (grown / "added.c").write_text(C_PROGRAM, encoding="utf-8")
    libraries = ("-Lbuild/core", "-lsamebytes", "-Wl,-rpath,$ORIGIN/build/core")
    run("gcc", "-Wall", "-Werror", "-Icore/include", "added.c", "-o", "added", *libraries, cwd=grown)
    assert int(run(grown / "added", cwd=grown)) == MIXED


@pytest.mark.parametrize("backend", ["cffi", "ctypes"])
def test_both_python_layers_and_the_class_call_it(backend: str, grown: Path) -> None:
    site = grown / "site"
    if not site.exists():
        pip = ("-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--target", site)
        run(sys.executable, *pip, "./bindings/python", cwd=grown)
    output = run(sys.executable, "-c", PYTHON_PROGRAM, cwd=site, PYTHONPATH=str(site), SAMEBYTES_BACKEND=backend)
    file, *mixed = json.loads(output)
    assert Path(file).is_relative_to(site)
    assert mixed == [MIXED] * 3


def test_go_calls_it(grown: Path) -> None:
    (grown / "program").mkdir()
    (grown / "program/main.go").write_text(GO_PROGRAM, encoding="utf-8")
    assert int(run("go", "run", "./program", cwd=grown)) == MIXED
