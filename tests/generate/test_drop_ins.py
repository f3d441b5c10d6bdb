"""Drop-in headers lie beside the folder of the API: their functions are exported, and bindings know nothing of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bindings.generate import emit_abi, layout, reader
from bindings.generate.__main__ import generate as generated

from .conftest import THING

TAKEN = """\
/* Names of another library.
 *
 * Since: 1.2 */
#include <stddef.h>
#ifndef TAKEN_API
#define TAKEN_API
#endif
typedef struct Taken Taken;
TAKEN_API Taken *TakenCreate(const char *path, size_t size);
TAKEN_API void Free(Taken *taken);
"""


def tree_with(thing_tree: Callable[[str], Path], text: str) -> Path:
    root = thing_tree(THING)
    (root / "core/include/taken.h").write_text(text, encoding="utf-8")
    return root


def test_the_functions_of_a_drop_in_header_are_exported_since_its_version(thing_tree: Callable[[str], Path]) -> None:
    api = reader.read(tree_with(thing_tree, TAKEN))
    script = emit_abi.version_script(api)
    assert "SAMEBYTES_1.2 {\n  global:\n    Free;\n    TakenCreate;\n} SAMEBYTES_1.1;\n" in script
    assert {"Free", "TakenCreate"} < set(emit_abi.symbols(api).splitlines())


def test_no_binding_knows_them(tree: Path) -> None:
    before = reader.read(tree)
    (tree / "core/include/taken.h").write_text(TAKEN.replace("Free", "TakenFree"), encoding="utf-8")
    api = reader.read(tree)
    assert {name for name, text in generated(api, tree).items() if "TakenCreate" in text} == {
        "core/abi/libsamebytes.map",
        "core/abi/symbols.txt",
        "core/abi/native.txt",
    }
    assert api.digest == before.digest


def test_structures_with_a_tag_and_without_one_are_named_as_c_names_them(thing_tree: Callable[[str], Path]) -> None:
    structs = "typedef struct { int a; } Plain;\ntypedef struct Tagged { int b; } Tagged;\n"
    api = reader.read(
        tree_with(thing_tree, TAKEN.replace("typedef struct Taken Taken;\n", structs + "typedef struct Taken Taken;\n"))
    )
    text = layout.header(api)
    assert "SB_LAYOUT(Plain, 4, 4);\nSB_LAYOUT_FIELD(Plain, a, 0, 4, int);\n" in text
    assert "SB_LAYOUT(struct Tagged, 4, 4);\nSB_LAYOUT_FIELD(struct Tagged, b, 0, 4, int);\n" in text


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        (" * Since: 1.2 */", " */", "taken.h:9: error: TakenCreate: nothing says since when"),
        ("TAKEN_API void Free(Taken *taken);", "void sb_free(Taken *taken);", "taken.h:10: error: sb_free: is a name"),
        (
            "TAKEN_API void Free(Taken *taken);",
            "static inline void Free(Taken *taken) { (void)taken; }",
            "taken.h:10: error: Free: is defined in a header",
        ),
        ("Taken *TakenCreate", "Unknown *TakenCreate", "taken.h:9: error: Unknown: "),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    old: str, new: str, refused: str, thing_tree: Callable[[str], Path]
) -> None:
    assert TAKEN.count(old) == 1
    with pytest.raises(reader.HeaderError) as error:
        reader.read(tree_with(thing_tree, TAKEN.replace(old, new)))
    assert refused in str(error.value)
