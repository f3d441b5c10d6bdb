"""SB_NATIVE: what is for C only is exported and documented, and no binding has it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bindings.generate import reader
from bindings.generate.__main__ import generate
from bindings.generate.model import Kind

from .conftest import ROOT, THING

COMMENT = "/** Does it.\n *\n *  Ownership: none.      Threads: any.\n *  Errors: none.\n *  Since: 1.0 */\n"
STORE = """\
/** Functions of a store. */
typedef struct SB_NATIVE sb_store {
  uint32_t struct_size; /**< bytes */
  void *context;        /**< the first argument */
  sb_status (*add)(void *context, const sb_part *parts, size_t count); /**< adds */
} sb_store;

"""
OPTIONS = "/** How a thing works. */"
COLOUR = "  uint32_t colour;      /**< SB_COLOUR_... */"
FIELD = "  SB_NATIVE SB_NULLABLE const sb_store *store; /**< NULL: none */"
USE_STORE = "SB_API SB_NATIVE SB_METHOD sb_status sb_thing_use_store(sb_thing *thing, SB_IN const sb_store *store);"


def native(*functions: str) -> str:
    """thing.h with a native structure, a native field in the options, and functions at the end."""
    text = THING.replace(OPTIONS, STORE + OPTIONS).replace(COLOUR, f"{COLOUR}\n{FIELD}")
    return text.replace("\n#endif\n", "".join(f"\n{COMMENT}{f}\n" for f in functions) + "\n#endif\n")


def test_what_is_native_is_read(thing_tree: Callable[[str], Path]) -> None:
    api = reader.read(thing_tree(native(USE_STORE)))
    assert [f.name for f in api.functions if f.native] == ["sb_thing_use_store"]
    store, options = api.struct("sb_store"), api.struct("sb_thing_options")
    assert (store.native, store.sized, store.size, options.native) == (True, True, 24, False)
    assert [(f.name, f.kind, f.offset, f.doc) for f in store.fields[1:]] == [
        ("context", Kind.NATIVE, 8, "the first argument"),
        ("add", Kind.NATIVE, 16, "adds"),
    ]
    assert [(f.name, f.kind, f.offset, f.size) for f in options.fields[1:]] == [
        ("colour", Kind.SCALAR, 4, 4),
        ("store", Kind.NATIVE, 8, 8),
    ]
    bound = api.bound()
    assert {f.name for f in api.functions} - {f.name for f in bound.functions} == {"sb_thing_use_store"}
    assert {s.name for s in api.structs} - {s.name for s in bound.structs} == {"sb_store"}
    assert "sb_thing_use_store" not in [m.name for c in bound.classes for m in c.methods]


def test_a_class_may_be_for_c_only(thing_tree: Callable[[str], Path]) -> None:
    text = native()
    for role in (
        "API SB_CONSTRUCTOR",
        "API SB_METHOD",
        "API_VOID SB_METHOD",
        "API_VOID SB_DESTRUCTOR",
        "API_VOID SB_INIT",
    ):
        text = text.replace(f"SB_{role}", f"SB_{role.replace(' ', ' SB_NATIVE ')}")
    api = reader.read(
        thing_tree(
            text.replace("typedef struct sb_thing_options", "typedef struct SB_NATIVE sb_thing_options").replace(
                FIELD, FIELD.replace("SB_NATIVE ", "")
            )
        )
    )
    assert "sb_thing" not in [c.name for c in api.classes]
    mine = [f for f in api.functions if f.owner == "sb_thing"]
    assert mine and all(f.native for f in mine)
    assert not {f.name for f in mine} & {f.name for f in api.bound().functions}


def test_the_digest_tells_native_from_bound(thing_tree: Callable[[str], Path], tmp_path: Path) -> None:
    function = "SB_API SB_METHOD sb_status sb_thing_more(sb_thing *thing);"
    digests = []
    for declaration in (function, function.replace("SB_METHOD", "SB_NATIVE SB_METHOD")):
        if digests:
            (tmp_path / "core/include/samebytes/thing.h").write_text(native(declaration), encoding="utf-8")
            digests.append(reader.read(tmp_path).digest)
        else:
            digests.append(reader.read(thing_tree(native(declaration))).digest)
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        pytest.param(
            native(USE_STORE.replace("SB_NATIVE ", "")),
            "sb_thing_use_store",
            "store: is a sb_store, which is for C only; mark sb_thing_use_store SB_NATIVE too",
            id="bound-function-takes-a-native-structure",
        ),
        pytest.param(
            native().replace(FIELD, FIELD.replace("SB_NATIVE ", "")),
            "*store;",
            "store: is a sb_store, which is for C only; mark the field SB_NATIVE too",
            id="bound-field-points-to-a-native-structure",
        ),
        pytest.param(
            native().replace("  int64_t number;", "  SB_NATIVE int64_t number;"),
            "SB_NATIVE int64_t number",
            "number: is SB_NATIVE, but only a field of an options structure has a default",
            id="native-field-outside-options",
        ),
        pytest.param(
            native().replace("  uint32_t colour; ", "  SB_NATIVE uint32_t colour; "),
            "SB_NATIVE uint32_t colour",
            "colour: is SB_NATIVE, so it must be a pointer to one thing",
            id="native-field-that-is-no-pointer",
        ),
        pytest.param(
            native().replace("typedef struct sb_thing_options", "typedef struct SB_NATIVE sb_thing_options"),
            "const sb_thing_options",
            "options: is a sb_thing_options, which is for C only; mark sb_thing_open SB_NATIVE too",
            id="native-options-of-a-bound-class",
        ),
        pytest.param(
            native().replace("SB_API_VOID SB_DESTRUCTOR", "SB_API_VOID SB_NATIVE SB_DESTRUCTOR"),
            "sb_thing_options_init(",
            "sb_thing_options_init: is bound, but sb_thing, whose destructor is SB_NATIVE, is not; mark all of its",
            id="native-destructor-of-a-bound-class",
        ),
        pytest.param(
            native().replace("SB_IN SB_COUNT(size)", "SB_NATIVE SB_IN SB_COUNT(size)"),
            "SB_NATIVE SB_IN",
            "data: SB_NATIVE has no meaning on a parameter; remove it",
            id="native-parameter",
        ),
        pytest.param(
            native().replace("typedef struct SB_NATIVE sb_store", "typedef struct SB_OWNED sb_store"),
            "SB_OWNED sb_store",
            "sb_store: SB_OWNED has no meaning on a structure; remove it",
            id="another-annotation-on-a-structure",
        ),
        pytest.param(
            native().replace("typedef struct SB_NATIVE sb_store", "typedef struct sb_store"),
            "(*add)",
            "add: type 'sb_status (*)(void *, const sb_part *, size_t)' is outside the subset",
            id="function-pointer-in-a-bound-structure",
        ),
        pytest.param(
            native().replace("  void *context;  ", "  uint32_t context : 3;  "),
            "context : 3",
            "context: is a bit-field",
            id="bit-field-in-a-native-structure",
        ),
        pytest.param(
            native().replace("  uint32_t struct_size; /**< bytes */\n  void", "  void"),
            "sb_store {",
            "sb_store: could not grow; start it with uint32_t struct_size",
            id="native-structure-that-cannot-grow",
        ),
    ],
)
def test_wrong_uses_are_refused(text: str, at: str, message: str, thing_tree: Callable[[str], Path]) -> None:
    with pytest.raises(reader.HeaderError) as refused:
        reader.read(thing_tree(text))
    line = next(i for i, line in enumerate(text.splitlines(), 1) if at in line and "/** " not in line)
    found = str(refused.value).splitlines()
    assert any(f.startswith(f"thing.h:{line}: error: {message}") for f in found), found


API = reader.read(ROOT)
FILES = generate(API, ROOT)
API_PAGES = "".join(text for name, text in FILES.items() if name.startswith("docs/api/"))
NATIVE = [f.name for f in API.functions if f.native]
BOUND_FILES = [name for name in FILES if name.startswith("bindings/") and not name.endswith("digest.go")]


@pytest.mark.parametrize("name", NATIVE)
def test_a_native_function_is_exported_and_documented_and_not_bound(name: str) -> None:
    assert f"    {name};\n" in FILES["core/abi/libsamebytes.map"]
    assert f"\n{name}\n" in FILES["core/abi/symbols.txt"]
    assert f"\n{name}\n" in FILES["core/abi/native.txt"]
    block = API_PAGES.split(f"\n## `{name}`\n")[1].split("\n## ")[0]
    assert "- C only\n" in block
    assert "- Python:" not in block
    assert "- Go:" not in block
    for file in BOUND_FILES:
        assert not re.search(rf"\b{name}\(", FILES[file]), file


def test_the_list_of_native_functions_is_whole() -> None:
    assert NATIVE
    drop_ins = [d.name for d in API.drop_ins]
    assert FILES["core/abi/native.txt"].splitlines()[1:] == sorted(NATIVE + drop_ins)


def test_a_native_structure_has_its_members_in_the_documentation_only() -> None:
    block = API_PAGES.split("\n## `sb_visit_store`\n")[1].split("\n## ")[0]
    assert "\nC only.\n" in block
    assert "`sb_status (*users)(void *, sb_visit_users *, int64_t, sb_error *)`" in block
    for file in BOUND_FILES:
        assert "VisitStore" not in FILES[file], file


def test_a_native_field_keeps_its_place_and_is_nobodys_to_fill() -> None:
    """tests/python/test_layouts.py holds its offset against what C says."""
    assert "const sb_visit_store *store;" in FILES["bindings/python/cffi_source.py"]
    assert '("store", _ctypes.c_void_p)' in FILES["bindings/python/src/samebytes/_layer_ctypes.py"]
    record = (
        FILES["bindings/python/src/samebytes/_records.py"].split("class VisitManagerOptions(")[1].split("\nclass ")[0]
    )
    assert "read_only: bool" in record
    assert "store:" not in record
    go = FILES["bindings/go/raw_visits.go"].split("type VisitManagerOptions struct {")[1].split("\n}")[0]
    assert "ReadOnly bool" in go
    assert "Store" not in go
