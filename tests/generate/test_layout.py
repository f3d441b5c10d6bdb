"""Structures keep the layout that programs were compiled with: in the compiler's eyes, and held against what was frozen at a release."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bindings.generate import layout, reader
from bindings.generate.model import Layout, LayoutField

from .conftest import ROOT, generate
from .test_generate import replace as replace_text

API = reader.read(ROOT)
NOW = layout.snapshot(API)
STRUCTS = sorted(NOW.structs)
SIZED = [name for name in STRUCTS if NOW.structs[name].sized]
FROZEN = [name for name in STRUCTS if not NOW.structs[name].sized]


def compiled(root: Path) -> subprocess.CompletedProcess[str]:
    """What the C compiler says of core/src/layout.c."""
    command = ["gcc", "-std=gnu11", "-fsyntax-only", f"-I{root}/core/include", root / "core/src/layout.c"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_every_structure_of_the_headers_is_in_the_layout() -> None:
    """Found here without libclang."""
    headers = [path.read_text(encoding="utf-8") for path in (ROOT / "core/include").rglob("*.h")]
    tagged = r"^(?:typedef )?struct (?:SB_\w+ )?(\w+) \{"
    untagged = r"^typedef struct \{[^}]*\} (\w+);"
    defined = [name for text in headers for form in (tagged, untagged) for name in re.findall(form, text, re.MULTILINE)]
    assert len(defined) >= 31
    assert sorted(defined) == STRUCTS


def test_every_constant_is_in_the_layout() -> None:
    headers = [
        path.read_text(encoding="utf-8")
        for path in (ROOT / "core/include/samebytes").glob("*.h")
        if path.name != "annotations.h"
    ]
    defined = [
        name
        for text in headers
        for name in re.findall(r"^(?:#define|  )\s*(SB_[A-Z0-9_]+)(?: = | [(0-9-])", text, re.MULTILINE)
    ]
    assert set(defined) == set(NOW.constants)


def test_released_programs_find_everything_where_it_was() -> None:
    assert [path.relative_to(ROOT).as_posix() for path in layout.frozen(API, ROOT)][:1] == ["core/abi/1.0/layout.txt"]
    assert layout.check(API, ROOT) == []


def test_the_text_says_all_that_is_known() -> None:
    read = layout.parse(layout.text(API), "layout.txt")
    assert read.constants == NOW.constants
    assert {name: replace(struct, fields=tuple(struct.fields)) for name, struct in read.structs.items()} == NOW.structs


@pytest.mark.parametrize(
    "line", ["struct sb_x 8 8", "struct sb_x 8 8 loose", "  0 4 name", "constant SB_X", "SB_X 1", "", "  0 4 name int"]
)
def test_a_line_that_is_none_is_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"^some:1: no line of a layout"):
        layout.parse(line + "\n", "some")


# ---- the rules ----


def with_fields(name: str, fields: Sequence[LayoutField], **changes: int) -> layout.Snapshot:
    return layout.Snapshot(
        {**NOW.structs, name: replace(NOW.structs[name], fields=tuple(fields), **changes)}, NOW.constants
    )


def broken(new: layout.Snapshot) -> list[str]:
    return layout.problems(NOW, new)


def test_nothing_is_wrong_with_the_same() -> None:
    assert broken(NOW) == []


@pytest.mark.parametrize("name", STRUCTS)
def test_each_field_is_held_by_name_place_size_and_type(name: str) -> None:
    fields = list(NOW.structs[name].fields)
    for index, field in enumerate(fields):
        others = fields[:index], fields[index + 1 :]
        assert broken(with_fields(name, others[0] + others[1])) == [f"{name}.{field.name} is gone"]
        for changed in (
            replace(field, offset=field.offset + 4),
            replace(field, size=field.size * 2),
            replace(field, ctype="float"),
        ):
            (problem,) = broken(with_fields(name, [*others[0], changed, *others[1]]))
            assert problem.startswith(f"{name}.{field.name} ")
    for left, right in itertools.pairwise(fields):
        swapped = [
            replace(left, offset=right.offset)
            if field is left
            else replace(right, offset=left.offset)
            if field is right
            else field
            for field in fields
        ]
        assert len(broken(with_fields(name, swapped))) == 2, (left.name, right.name)


@pytest.mark.parametrize("name", STRUCTS)
def test_a_structure_keeps_its_existence_and_alignment(name: str) -> None:
    struct = NOW.structs[name]
    assert broken(layout.Snapshot({n: s for n, s in NOW.structs.items() if n != name}, NOW.constants)) == [
        f"struct {name} is gone"
    ]
    assert len(broken(with_fields(name, struct.fields, alignment=struct.alignment * 2))) == 1
    assert len(broken(with_fields(name, struct.fields, size=struct.size - 1))) == 1
    assert len(broken(with_fields(name, struct.fields, sized=not struct.sized))) == 1


@pytest.mark.parametrize("name", SIZED)
def test_a_sized_structure_may_grow_at_its_end_only(name: str) -> None:
    struct = NOW.structs[name]
    more = LayoutField("more", "uint64_t", struct.size, 8)
    assert broken(with_fields(name, [*struct.fields, more], size=struct.size + 8)) == []
    (problem,) = broken(
        with_fields(name, [*struct.fields, replace(more, offset=struct.size - 4)], size=struct.size + 8)
    )
    assert problem == f"{name}.more is new and begins within the {struct.size} bytes that were there"


@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_structure_may_not_grow(name: str) -> None:
    struct = NOW.structs[name]
    more = LayoutField("more", "uint64_t", struct.size, 8)
    assert broken(with_fields(name, [*struct.fields, more], size=struct.size + 8)) == [
        f"struct {name} has {struct.size + 8} bytes, not {struct.size}"
    ]


def test_constants_keep_their_values_and_new_ones_may_come() -> None:
    def changed(**values: int) -> list[str]:
        return broken(layout.Snapshot(NOW.structs, {**NOW.constants, **values}))

    assert changed(SB_NEW=5, SB_VERSION_MINOR=1, SB_STATUS_COUNT=NOW.constants["SB_STATUS_COUNT"] + 1) == []
    assert changed(SB_STATUS_COUNT=5) == [f"SB_STATUS_COUNT is 5, not {NOW.constants['SB_STATUS_COUNT']}"]
    for name, value in NOW.constants.items():
        if not layout.VERSION.fullmatch(name) and name not in layout.MAY_GROW:
            assert changed(**{name: value + 1}) == [f"{name} is {value + 1}, not {value}"]
    fewer = layout.Snapshot(NOW.structs, {n: v for n, v in NOW.constants.items() if n != "SB_TYPE_INT8"})
    assert broken(fewer) == ["SB_TYPE_INT8 is gone"]


# ---- the compiler ----


def test_the_compiler_agrees() -> None:
    result = compiled(ROOT)
    assert (result.returncode, result.stderr) == (0, "")


def test_each_number_is_one_that_the_compiler_checks(tree: Path) -> None:
    """One number after the other is made wrong, of all structures, fields and constants at once."""
    header = tree / "core/src/abi_layout.h"
    lines = header.read_text(encoding="utf-8").splitlines()
    checks = [index for index, line in enumerate(lines) if line.startswith("SB_LAYOUT") and line.endswith(");")]
    assert len(checks) == len(NOW.structs) + sum(len(struct.fields) for struct in NOW.structs.values()) + len(
        NOW.constants
    )
    for number in range(2):
        spoiled = list(lines)
        wanted = set()
        for index in checks:
            found = list(re.finditer(r", (-?\d+)(?=[L,)])", lines[index]))
            if number < len(found):
                value = found[number]
                spoiled[index] = f"{lines[index][: value.start(1)]}{int(value[1]) + 1}{lines[index][value.end(1) :]}"
                wanted.add(index + 1)
        header.write_text("\n".join(spoiled) + "\n", encoding="utf-8")
        seen = {int(line) for line in re.findall(r"abi_layout\.h:(\d+):\d+: (?:note|error)", compiled(tree).stderr)}
        assert wanted <= seen
        assert len(wanted) == len(checks) if number == 0 else len(wanted) >= len(checks) - len(NOW.constants)


def test_a_type_of_the_same_size_is_another_type(tree: Path) -> None:
    replace_text(tree / "core/include/samebytes/pool.h", "uint64_t hits; ", "int64_t hits; ")
    result = compiled(tree)
    assert result.returncode != 0
    assert "sb_pool_class_stats.hits has moved, or changed its size or type" in result.stderr


# ---- the headers ----


def swap_lines(path: Path, left: str, right: str) -> None:
    """Swaps the lines of two fields, each of which stands once in the file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    (first,), (second,) = (
        [i for i, line in enumerate(lines) if re.search(rf"^  \w+ {name};", line)] for name in (left, right)
    )
    lines[first], lines[second] = lines[second], lines[first]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_two_swapped_fields_of_one_type_are_seen_by_compiler_and_frozen_layout(tree: Path) -> None:
    swap_lines(tree / "core/include/samebytes/visits.h", "interval_ms", "timeout_ms")
    result = compiled(tree)
    assert result.returncode != 0
    for field in ("interval_ms", "timeout_ms"):
        assert f"sb_visit_manager_options.{field} has moved" in result.stderr
    for arguments in (["--check"], [], ["--check"]):  # also when it was generated anew, so that the compiler agrees
        run = generate(tree, *arguments)
        assert run.returncode == 1
        assert (
            "check layout: sb_visit_manager_options.interval_ms has 4 bytes at offset 16, not 4 at 12, as core/abi/1.0/layout.txt has it"
            in (run.stdout.splitlines())
        )
    assert compiled(tree).returncode == 0


def test_a_field_at_the_end_of_a_sized_structure_is_no_problem(tree: Path) -> None:
    header = tree / "core/include/samebytes/shared.h"
    replace_text(header, "} sb_channel_options;", "  uint64_t more; /**< more */\n} sb_channel_options;")
    run = generate(tree)
    assert (run.returncode, "check layout" in run.stdout) == (0, False), run.stdout + run.stderr
    assert compiled(tree).returncode == 0
    assert "  16 8 more uint64_t" in (tree / "core/abi/layout.txt").read_text(encoding="utf-8")
    assert "more" not in (tree / "core/abi/1.0/layout.txt").read_text(encoding="utf-8")


# ---- freezing ----


def test_a_layout_is_frozen_by_command_only_and_once(tree: Path) -> None:
    frozen = tree / "core/abi/1.0/layout.txt"
    before = frozen.read_text(encoding="utf-8")
    again = generate(tree, "--freeze")
    assert again.returncode == 1
    assert "is frozen; with --unreleased it is written again" in again.stderr
    assert frozen.read_text(encoding="utf-8") == before
    replace_text(
        tree / "core/include/samebytes/shared.h",
        "} sb_channel_options;",
        "  uint64_t more; /**< more */\n} sb_channel_options;",
    )
    replace_text(tree / "core/include/samebytes/library.h", "#define SB_VERSION_MINOR 0", "#define SB_VERSION_MINOR 1")
    later = generate(tree, "--freeze")
    assert (later.returncode, later.stdout) == (0, "generate: froze core/abi/1.1/layout.txt\n")
    assert generate(tree).returncode == 0
    # From now on both versions count: what 1.1 brought must stay too.
    replace_text(tree / "core/include/samebytes/shared.h", "uint64_t more;", "uint32_t more;")
    run = generate(tree)
    assert run.returncode == 1
    assert [line for line in run.stdout.splitlines() if line.startswith("check layout: s")] == [
        "check layout: sb_channel_options.more has 4 bytes at offset 16, not 8 at 16, as core/abi/1.1/layout.txt has it"
    ]
    assert frozen.read_text(encoding="utf-8") == before


def test_a_version_that_nobody_has_may_be_frozen_again(tree: Path) -> None:
    swap_lines(tree / "core/include/samebytes/visits.h", "interval_ms", "timeout_ms")
    assert generate(tree).returncode == 1
    assert generate(tree, "--freeze", "--unreleased").returncode == 0
    assert generate(tree, "--check").returncode == 0


def test_layouts_of_another_major_version_do_not_count(tree: Path) -> None:
    other = tree / "core/abi/2.0"
    other.mkdir()
    (other / "layout.txt").write_text("struct sb_gone 8 8 frozen\n", encoding="utf-8")
    assert generate(tree, "--check").returncode == 0


def test_a_structure_is_one_that_layouts_can_say() -> None:
    assert all(isinstance(struct, Layout) and struct.fields for struct in API.layouts)
