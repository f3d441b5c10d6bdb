"""Code of others in the middle of every call: reentry.py is the table, reentry_child.py runs it, in processes of its own."""

from __future__ import annotations

import abc
import asyncio
import inspect
import itertools
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import samebytes
from samebytes import _objects, aio, client, easynetwork, echo
from samebytes._handles import Handle

from . import reentry
from .conftest import ROOT

NIGHTLY = bool(os.environ.get("SAMEBYTES_NIGHTLY"))
PLACES = 0 if NIGHTLY else 12  # between instructions, per call and act; 0 is all
SPECIAL = {
    "__init__",
    "__len__",
    "__bytes__",
    "__getitem__",
    "__eq__",
    "__lt__",
    "__le__",
    "__gt__",
    "__ge__",
    "__add__",
    "__iter__",
}
SPECIAL |= {"__repr__", "__enter__", "__arrow_c_schema__", "__arrow_c_array__", "__arrow_c_stream__"}
# What runs nothing of others, because it only says what a field is.
MARKS = {"array", "int8", "int16", "int32", "int64", "string"}
# Of NamedTuple's making, or an exception's: nothing of samebytes runs.
PASSIVE = (tuple, BaseException)


def public_names(made: type) -> set[str]:
    found = set()
    for name in dir(made):
        value = inspect.getattr_static(made, name)
        if (name.startswith("_") and name not in SPECIAL) or value is inspect.getattr_static(object, name, None):
            continue
        if callable(getattr(made, name, None)) or inspect.isdatadescriptor(value):
            found.add(name)
    return found


# Modules that talk to peers, and the classes of others whose methods theirs are: a transport or easynetwork calls these.
CONNECTIONS: dict[ModuleType, type] = {
    aio: asyncio.BufferedProtocol,
    client: object,
    easynetwork: abc.ABC,
}


def names_of(module: ModuleType, base: type) -> set[str]:
    """The names of all calls of a module beside the package's own, without what transports call."""
    of = module.__name__.removeprefix("samebytes.")
    found = set()
    for name in module.__all__:
        value = getattr(module, name)
        if value is aio.Pair:
            found |= {"aio.Pair.open_echo"}
        elif isinstance(value, type):
            found |= {f"{of}.{name}.{method}" for method in public_names(value) - set(dir(base))}
            found |= {f"{of}.{name}.__init__"}
            found |= {f"{of}.{name}.{method}" for method in public_names(value) & SPECIAL}
        else:
            found |= {f"{of}.{name}"}
    return found


def surface() -> set[str]:
    """The names of all calls of the package."""
    found = set()
    for name in samebytes.__all__:
        value: Any = getattr(samebytes, name)
        if isinstance(value, type) and not issubclass(value, PASSIVE):
            found |= {f"{name}.{method}" for method in public_names(value)}
            if issubclass(value, Handle) and value.__init__ is Handle.__init__:
                found -= {f"{name}.__init__"}  # it refuses
            if issubclass(value, (_objects.Block, _objects.View)):
                found.add(f"{name}.__buffer__")
        elif callable(value) and not isinstance(value, type) and name not in MARKS:
            found.add(name)
    for module, base in CONNECTIONS.items():
        found |= names_of(module, base)
    for face in (echo.Builder, echo.Parser):
        found |= {f"echo.{face.__name__}.{method}" for method in public_names(face)} - {
            f"echo.{face.__name__}.__enter__"
        }
    return found


def plain(name: str) -> str:
    """A call without the words that tell it from others of its name."""
    return name.partition(" (")[0]


def test_every_call_is_in_the_table() -> None:
    table = {plain(name) for name in reentry.CALLS}
    # What it does beyond Client.__init__, which is there, is to connect, and a server that it leaves waiting hangs the child.
    missing = surface() - table - {"client.connect"}
    assert sorted(missing) == [], "calls that reentry.py does not have"
    assert sorted(table - surface() - {"Message.__reduce__", "Visit.__init__"}) == [], (
        "calls of reentry.py that there are not"
    )


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the module is that runs code when memory is asked for."""
    folder = tmp_path_factory.mktemp("hostile")
    source = Path(__file__).with_name("hostile_buffer.c")
    include = sysconfig.get_paths()["include"]
    command = [
        os.environ.get("CC", "gcc"),
        "-shared",
        "-fPIC",
        "-O1",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{include}",
        str(source),
    ]
    # Not under the sanitizers' libraries that a run may be preloaded with.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    subprocess.run([*command, "-o", str(folder / "hostile_buffer.abi3.so")], check=True, env=environment)
    return folder


def run_child(folder: Path, names: list[str]) -> list[str]:
    environment = {**os.environ, "MALLOC_PERTURB_": "165", "PYTHONFAULTHANDLER": "1"}
    environment.setdefault("PYTHONMALLOC", "debug")
    done = subprocess.run(
        [sys.executable, "-m", "tests.python.reentry_child", str(folder), str(PLACES), *names],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3000 if NIGHTLY else 280,
    )
    said = done.stdout.splitlines()
    assert done.returncode == 0, f"{(said or ['nothing'])[-1]}\n{done.stderr[-4000:]}"
    assert said[-1] == "done"
    return said


def grouped(size: int) -> dict[str, list[str]]:
    """The calls of the table, by class, so many in a process."""
    classes: dict[str, list[str]] = {}
    for name in reentry.CALLS:
        classes.setdefault(plain(name).rpartition(".")[0] or "functions", []).append(name)
    return {
        f"{of} {at // size + 1}": names[at : at + size]
        for of, names in classes.items()
        for at in range(0, len(names), size)
    }


GROUPS = grouped(10)


def points_written(name: str) -> int:
    """How often the text of a call says that code of others runs."""
    source = inspect.getsource(reentry).split(f'    "{name}": ', 1)
    text = source[1].split('\n    "', 1)[0].split("\n}", 1)[0] if len(source) == 2 else ""
    return sum(text.count(f"w.{point}(") for point in ("I", "F", "B", "It", "O", "M", "E")) + text.count("w.P()")


@pytest.mark.parametrize("group", GROUPS)
def test_hostile_code_in_the_middle_of_every_call_does_no_harm(group: str, hostile_folder: Path) -> None:
    said = run_child(hostile_folder, GROUPS[group])
    reached = {}
    for name, line in itertools.pairwise(said):
        if line.startswith("points: "):
            reached[name.removesuffix(": undisturbed")] = int(line.removeprefix("points: "))
    assert reached.keys() == set(GROUPS[group])
    for name, count in reached.items():
        assert count >= points_written(name), f"{name}: a point of the table is not reached"
