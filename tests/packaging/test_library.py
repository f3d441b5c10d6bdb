"""What the shared library shows to the world."""

from __future__ import annotations

import re

from tests.packaging.conftest import LIBRARY, ROOT, run


def exported() -> list[tuple[str, str]]:
    """Return type and name of every symbol that the library defines for others."""
    return [
        (fields[1], fields[2]) for fields in map(str.split, run("nm", "-D", "--defined-only", LIBRARY).splitlines())
    ]


def drop_ins() -> set[str]:
    """The names that the drop-in headers declare, which lie beside the folder of the API: each follows the header's own macro."""
    texts = [path.read_text() for path in (ROOT / "core/include").glob("*.h")]
    return {name for text in texts for name in re.findall(r"^[A-Z_]+_API .*?(\w+)\(", text, re.MULTILINE)}


def golden() -> list[str]:
    lines = (ROOT / "core/abi/symbols.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_every_exported_symbol_is_ours_and_has_a_version() -> None:
    for kind, name in exported():
        if kind == "A":
            assert name == "SAMEBYTES_1.0"
        else:
            plain, _, version = name.partition("@@")
            assert version == "SAMEBYTES_1.0"
            assert not name.startswith("sb_priv_")
            if plain in drop_ins():
                assert kind == "W"
            else:
                assert kind == "T" and re.fullmatch(r"sb_[a-z0-9_]+", plain)


def test_the_exported_symbols_are_those_of_the_list() -> None:
    assert sorted(name.split("@")[0] for kind, name in exported() if kind != "A") == golden()


def test_no_data_is_exported() -> None:
    assert {kind for kind, _ in exported()} <= {"T", "W", "A"}


def test_the_static_library_defines_no_foreign_name_that_is_not_weak() -> None:
    lines = run("nm", "-g", "--defined-only", ROOT / "build/core/libsamebytes.a").splitlines()
    symbols = [line.split()[1:] for line in lines if len(line.split()) == 3]
    foreign = [(kind, name) for kind, name in symbols if not name.startswith("sb_")]
    assert len(foreign) < len(symbols)
    assert {name for _, name in foreign} == drop_ins()
    assert {kind for kind, _ in foreign} == {"W"}


def test_soname_and_flags() -> None:
    dynamic = run("readelf", "-d", LIBRARY)
    assert "soname: [libsamebytes.so.1]" in dynamic
    assert re.search(r"FLAGS_1\).*\bNODELETE\b", dynamic)
    assert "TEXTREL" not in dynamic


def test_the_library_needs_the_c_library_only() -> None:
    needed = re.findall(r"NEEDED\).*\[(.*?)\]", run("readelf", "-d", LIBRARY))
    assert [name for name in needed if not re.match(r"lib(c|pthread)[-.]|ld-", name)] == []


def test_the_stack_is_not_executable() -> None:
    stack = next(line for line in run("readelf", "-lW", LIBRARY).splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack
