"""What the reader makes of a good header, and with which message it refuses each kind of wrong one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bindings.generate import reader
from bindings.generate.model import Kind

from .conftest import THING

USE = "SB_API SB_METHOD SB_BLOCKING sb_status sb_thing_use("
DATA = "SB_IN SB_COUNT(size) const void *data"
CLOSE = "SB_API_VOID SB_DESTRUCTOR void sb_thing_close(SB_TAKES SB_NULLABLE sb_thing *thing);"
PARTS = "SB_OUT SB_BORROWED(thing) SB_COUNT(count) const sb_part **parts"
NUMBER = "  int64_t number; /**< any */"
COMMENT = "/** Does it.\n *\n *  Ownership: none.      Threads: any.\n *  Errors: none.\n *  Since: 1.0 */\n"


class Wrong(NamedTuple):
    """One spoiled header: `old` replaced by `new`; the first problem stands on the line that holds `at`, and reads `message`."""

    id: str
    old: str
    new: str
    at: str
    message: str


def added(id: str, declaration: str, message: str) -> Wrong:
    """A header with one more function or other declaration, on the last line but two."""
    return Wrong(id, "\n#endif\n", f"\n{COMMENT}{declaration}\n\n#endif\n", declaration.splitlines()[0], message)


WRONG = [
    # Annotations
    added("no-api", "SB_FUNCTION uint32_t sb_more(void);", "sb_more: is not marked as part of the API; add SB_API"),
    added(
        "no-role",
        "SB_API uint32_t sb_more(void);",
        "sb_more: has no role or more than one; add one of SB_FUNCTION, SB_CONSTRUCTOR",
    ),
    added("two-roles", "SB_API SB_FUNCTION SB_METHOD uint32_t sb_more(void);", "sb_more: has no role or more than one"),
    added("nothing-said", "uint32_t sb_more(void);", "sb_more: is not marked as part of the API"),
    added(
        "unknown-macro",
        "SB_API SB_FOO uint32_t sb_more(void);",
        "SB_FOO: unknown type name 'SB_FOO'; annotations.h lists",
    ),
    added(
        "unknown-macro-on-parameter",
        "SB_API SB_FUNCTION uint32_t sb_more(SB_FOO const char *name);",
        "SB_FOO: unknown type name 'SB_FOO'",
    ),
    added(
        "made-up-annotation",
        'SB_API SB_FUNCTION SB_ANNOTATE("foo") uint32_t sb_more(void);',
        "sb_more: SB_FOO has no meaning on a function",
    ),
    added(
        "annotation-on-the-wrong-thing",
        "SB_API SB_FUNCTION SB_NULLABLE uint32_t sb_more(void);",
        "sb_more: SB_NULLABLE has no meaning on a function",
    ),
    added(
        "twice", "SB_API SB_FUNCTION uint32_t sb_more(SB_IN SB_IN const char *name);", "name: SB_IN stands here twice"
    ),
    added("void-with-api", "SB_API SB_FUNCTION void sb_more(void);", "sb_more: has no result; write SB_API_VOID"),
    added(
        "result-with-api-void",
        "SB_API_VOID SB_FUNCTION uint32_t sb_more(void);",
        "sb_more: has a result, so it must be used; write SB_API ",
    ),
    Wrong(
        "no-direction",
        DATA,
        "const void *data",
        "(sb_thing *thing, const void *data",
        "data: type 'const void *' needs a direction; add SB_IN, SB_OUT",
    ),
    Wrong(
        "no-direction-text", DATA, "const char *data", "const char *data", "data: type 'const char *' needs a direction"
    ),
    Wrong(
        "no-direction-output",
        "SB_OUT int64_t *number",
        "int64_t *number",
        "int64_t *number",
        "number: type 'int64_t *' needs a direction",
    ),
    Wrong("two-directions", DATA, f"SB_TAKES {DATA}", f"SB_TAKES {DATA}", "data: has more than one of SB_IN, SB_OUT"),
    Wrong(
        "no-count",
        DATA,
        "SB_IN const void *data",
        "SB_IN const void *data",
        "data: points to many; say how many with SB_COUNT(n)",
    ),
    Wrong(
        "count-on-one",
        "SB_OUT int64_t",
        "SB_OUT SB_COUNT(size) int64_t",
        "SB_COUNT(size) int64_t",
        "number: has an SB_COUNT that its type cannot have",
    ),
    Wrong(
        "count-names-nothing",
        DATA,
        DATA.replace("size", "length"),
        "SB_COUNT(length)",
        "data: SB_COUNT(length) names nothing beside it",
    ),
    Wrong(
        "count-names-nothing-in-struct",
        "SB_COUNT(size) const void *data;",
        "SB_COUNT(length) const void *data;",
        "SB_COUNT(length)",
        "data: SB_COUNT(length) names nothing beside it",
    ),
    Wrong(
        "count-that-cannot-count",
        DATA,
        DATA.replace("size", "thing"),
        "SB_COUNT(thing)",
        "data: SB_COUNT(thing) names something that cannot count",
    ),
    Wrong(
        "count-is-an-input",
        "SB_COUNT(count) const sb_part **parts,\n                                          SB_OUT size_t *count",
        "SB_COUNT(count) const sb_part **parts, size_t count",
        "sb_thing_parts",
        "parts: SB_COUNT(count) names something that cannot count; it must be a size_t * with SB_OUT",
    ),
    Wrong(
        "count-of-two",
        DATA,
        f"SB_IN SB_COUNT(size) const void *first, {DATA}",
        "const void *first",
        "data: size counts first already",
    ),
    Wrong(
        "borrowed-from-nothing",
        PARTS,
        PARTS.replace("(thing)", "(thin)"),
        "SB_BORROWED(thin)",
        "parts: SB_BORROWED(thin) names no parameter",
    ),
    Wrong(
        "borrowed-result-from-nothing",
        "SB_BORROWED(forever) const char *sb_thing_name",
        "SB_BORROWED(ever) const char *sb_thing_name",
        "SB_BORROWED(ever)",
        "sb_thing_name: SB_BORROWED(ever) names no parameter",
    ),
    Wrong(
        "owner-unsaid",
        "SB_OUT SB_OWNED sb_thing **thing",
        "SB_OUT sb_thing **thing",
        "SB_OUT sb_thing **thing",
        "thing: hands something out; say SB_OWNED",
    ),
    Wrong(
        "owner-unsaid-result",
        "SB_BORROWED(forever) const char *sb_thing_name",
        "const char *sb_thing_name",
        "SB_METHOD const char *sb_thing_name",
        "sb_thing_name: does not say who owns its result; add SB_BORROWED(parameter)",
    ),
    Wrong(
        "owner-of-an-input",
        DATA,
        f"SB_OWNED {DATA}",
        "SB_OWNED SB_IN",
        "data: SB_OWNED and SB_BORROWED belong to what a call hands out",
    ),
    Wrong(
        "owner-of-a-number",
        "SB_BLOCKING sb_status sb_thing_use",
        "SB_OWNED SB_BLOCKING sb_status sb_thing_use",
        "SB_OWNED SB_BLOCKING",
        "sb_thing_use: SB_OWNED and SB_BORROWED on a function are for a result that is a pointer",
    ),
    Wrong(
        "filled-array-without-count",
        "SB_API SB_METHOD sb_status sb_thing_parts(const sb_thing *thing, SB_OUT SB_BORROWED(thing) SB_COUNT(count) const sb_part **parts,",
        "SB_API SB_METHOD sb_status sb_thing_parts(const sb_thing *thing, SB_OUT SB_COUNT(most) sb_part *parts, size_t most,",
        "sb_part *parts, size_t most",
        "parts: is filled by the call; add `SB_OUT size_t *parts_count`",
    ),
    # Types
    Wrong("bit-field", NUMBER, "  uint32_t number : 3;", "number : 3", "number: is a bit-field"),
    Wrong("float", NUMBER, "  float number;", "float", "number: type 'float' is outside the subset"),
    Wrong("long", NUMBER, "  long number;", "long number", "number: type 'long' is outside the subset"),
    Wrong(
        "function-pointer",
        NUMBER,
        "  void (*number)(void);",
        "(*number)",
        "number: type 'void (*)(void)' is outside the subset",
    ),
    Wrong(
        "struct-in-struct",
        NUMBER,
        "  sb_error number;",
        "sb_error number",
        "number: type 'sb_error' is outside the subset",
    ),
    Wrong(
        "union-in-struct",
        NUMBER,
        "  union { int8_t a; } number;",
        "union",
        "sb_part: holds something that is not a plain field",
    ),
    Wrong(
        "array-of-numbers",
        NUMBER,
        "  int64_t number[3];",
        "number[3]",
        "number: type 'int64_t[3]' is outside the subset",
    ),
    added(
        "union", "typedef union sb_u { int8_t a; } sb_u;", "sb_u: is a type outside the subset; only `typedef struct"
    ),
    added("variadic", "SB_API SB_FUNCTION int32_t sb_more(int32_t count, ...);", "sb_more: is variadic"),
    added(
        "struct-by-value",
        "SB_API SB_FUNCTION int32_t sb_more(sb_part part);",
        "part: type 'sb_part' is outside the subset",
    ),
    added(
        "struct-as-result",
        "SB_API SB_FUNCTION sb_part sb_more(void);",
        "sb_more: its result: type 'sb_part' is outside the subset",
    ),
    added(
        "int", "SB_API SB_FUNCTION int32_t sb_more(int number);", "number: type 'int' is outside the subset; use intN_t"
    ),
    added(
        "unsigned",
        "SB_API SB_FUNCTION unsigned sb_more(void);",
        "sb_more: its result: type 'unsigned int' is outside the subset",
    ),
    added(
        "float-result",
        "SB_API SB_FUNCTION float sb_more(void);",
        "sb_more: its result: type 'float' is outside the subset",
    ),
    added(
        "callback",
        "SB_API SB_FUNCTION int32_t sb_more(void (*call)(void));",
        "call: type 'void (*)(void)' is outside the subset",
    ),
    added(
        "three-stars",
        "SB_API SB_FUNCTION sb_status sb_more(SB_OUT SB_OWNED sb_thing ***thing);",
        "thing: type 'sb_thing ***' with SB_OUT is outside the subset",
    ),
    added(
        "inline",
        "SB_API SB_FUNCTION static inline int32_t sb_more(void) { return 1; }",
        "sb_more: is defined in a header",
    ),
    added("variable", "extern int32_t sb_more;", "sb_more: is a declaration outside the subset"),
    added("typedef", "typedef int32_t sb_number;", "sb_number: is a type outside the subset"),
    added("named-enum", "enum sb_kind { SB_KIND_A = 1 };", "sb_kind: is a named enumeration"),
    added(
        "enum-parameter",
        "enum sb_kind { SB_KIND_A = 1 };\nSB_API SB_FUNCTION int32_t sb_more(enum sb_kind kind);",
        "sb_kind: is a named enumeration",
    ),
    added(
        "enum-without-prefix",
        "enum { SB_A = 1, SB_B = 2 };",
        "SB_A: members of an enumeration share a prefix SB_GROUP_",
    ),
    added("macro-with-parameters", "#define SB_TWICE(n) ((n) * 2)", "SB_TWICE: is not an integer constant"),
    added("macro-text", '#define SB_NAME "thing"', "SB_NAME: is not an integer constant"),
    added("foreign-macro", "#define THING_MIN 1", "THING_MIN: a constant of the API is called SB_..."),
    added(
        "unknown-type",
        "SB_API SB_FUNCTION int32_t sb_more(sb_nothing *nothing);",
        "sb_nothing: unknown type name 'sb_nothing'",
    ),
    added("syntax", "SB_API SB_FUNCTION int32_t sb_more(void;", "C: expected"),
    # Shape of a function
    added("name", "SB_API SB_FUNCTION int32_t thing_more(void);", "thing_more: a function of the API is called sb_..."),
    Wrong(
        "declared-twice", CLOSE, f"{CLOSE}\n{COMMENT}{CLOSE} // again", "// again", "sb_thing_close: is declared twice"
    ),
    added(
        "private-name",
        "SB_API SB_FUNCTION int32_t sb_priv_more(void);",
        "sb_priv_more: a function of the API is called sb_...",
    ),
    added(
        "unnamed-parameter",
        "SB_API SB_FUNCTION int32_t sb_more(int32_t);",
        "(unnamed parameter): a parameter needs a name",
    ),
    added(
        "constructor-name",
        "SB_API SB_CONSTRUCTOR sb_status sb_thing_make(SB_OUT SB_OWNED sb_thing **thing);",
        "sb_thing_make: makes a sb_thing, so it must be called sb_thing_open",
    ),
    added(
        "constructor-output",
        "SB_API SB_CONSTRUCTOR sb_status sb_thing_open_number(SB_OUT int64_t *number);",
        "sb_thing_open_number: is a constructor, so its last output must be",
    ),
    added(
        "method-without-handle",
        "SB_API SB_METHOD int32_t sb_thing_more(int32_t number);",
        "sb_thing_more: is a method, so its first parameter must be the handle",
    ),
    added(
        "method-of-another",
        "SB_API SB_METHOD int32_t sb_other_more(sb_thing *thing);",
        "sb_other_more: works on a sb_thing, so its name must begin with sb_thing_",
    ),
    Wrong(
        "destructor-not-null",
        CLOSE,
        CLOSE.replace("SB_NULLABLE ", ""),
        CLOSE.replace("SB_NULLABLE ", ""),
        "sb_thing_close: is not of the form void sb_thing_close(",
    ),
    Wrong(
        "destructor-name",
        CLOSE,
        CLOSE.replace("_close", "_free"),
        CLOSE.replace("_close", "_free"),
        "sb_thing_free: is not of the form void sb_thing_close(",
    ),
    Wrong(
        "init-form",
        "sb_thing_options *options, size_t struct_size",
        "sb_thing_options *options",
        "SB_INIT",
        "sb_thing_options_init: is not of the form void sb_x_options_init(",
    ),
    Wrong(
        "input-after-output",
        "SB_OUT int64_t *number,",
        "SB_OUT int64_t *number, int32_t more,",
        "int32_t more",
        "more: is an input after an output; outputs come last",
    ),
    Wrong(
        "error-not-last",
        "SB_OUT SB_NULLABLE sb_error *error);",
        "SB_OUT SB_NULLABLE sb_error *error, SB_OUT int64_t *more);",
        "int64_t *more",
        "more: comes after the sb_error",
    ),
    added(
        "output-without-status",
        "SB_API SB_METHOD int32_t sb_thing_more(sb_thing *thing, SB_OUT int64_t *number);",
        "sb_thing_more: has outputs, which are written on success only; it must return sb_status",
    ),
    added(
        "one-name-for-two-in-go",
        "SB_API SB_FUNCTION int32_t sb_new_thing(void);",
        "sb_new_thing: is called NewThing in Go, and so is sb_thing_open",
    ),
    added(
        "one-name-for-two-in-python",
        "#define SB_ThingMax 1",
        "SB_ThingMax: a constant of the API is called SB_..., in capitals",
    ),
    # Structures and handles
    Wrong(
        "struct-could-not-grow",
        "A part of a thing. Frozen: it never grows.",
        "A part of a thing.",
        "typedef struct sb_part {",
        "sb_part: could not grow; start it with uint32_t struct_size",
    ),
    Wrong(
        "struct-without-comment",
        "/** A part of a thing. Frozen: it never grows. */",
        "",
        "typedef struct sb_part {",
        "sb_part: has no comment",
    ),
    Wrong(
        "options-without-size",
        "  uint32_t struct_size; /**< bytes */\n",
        "",
        "typedef struct sb_thing_options {",
        "sb_thing_options: is an options structure, so it must start with uint32_t struct_size",
    ),
    Wrong(
        "no-destructor",
        CLOSE,
        CLOSE.replace("DESTRUCTOR", "METHOD").replace("SB_NULLABLE ", ""),
        "typedef struct sb_thing sb_thing;",
        "sb_thing: is a handle without a destructor",
    ),
    # Comments
    Wrong(
        "no-comment",
        "/** Uses the bytes at `data`.",
        "/* Uses the bytes at `data`.",
        USE,
        "sb_thing_use: has no comment",
    ),
    Wrong(
        "no-summary",
        "/** Tells its name.\n *\n *  Owner",
        "/** Owner",
        "*sb_thing_name(",
        "sb_thing_name: its comment does not begin with what it does",
    ),
    Wrong(
        "no-ownership",
        "/** Uses the bytes at `data`.\n *\n *  Ownership: none.\n",
        "/** Uses the bytes at `data`.\n *\n",
        USE,
        "sb_thing_use: its comment has no line Ownership",
    ),
    Wrong(
        "no-threads", " *  Threads: any,\n *  but not many.\n", "", USE, "sb_thing_use: its comment has no line Threads"
    ),
    Wrong(
        "no-errors",
        " *  but not many.\n *  Errors: none.\n",
        " *  but not many.\n",
        USE,
        "sb_thing_use: its comment has no line Errors",
    ),
    Wrong(
        "no-since",
        " *  Errors: none.\n *  Since: 1.1 */",
        " *  Errors: none. */",
        "*sb_thing_name(",
        "sb_thing_name: its comment has no line Since",
    ),
    Wrong(
        "since-is-no-version",
        "Since: 1.1",
        "Since: yesterday",
        "*sb_thing_name(",
        "sb_thing_name: its line Since says 'yesterday'",
    ),
    Wrong("no-chapter", "/** # Thing", "/* # Thing", "#ifndef", "thing.h: has no chapter comment"),
    Wrong(
        "no-section",
        " *  ## Threads and fork\n *  Any.\n",
        "",
        "/** # Thing",
        "thing.h: its chapter comment has no section `## Threads and fork`",
    ),
    Wrong(
        "section-twice",
        "## Ownership",
        "## Limits",
        "/** # Thing",
        "thing.h: its chapter comment has no section `## Ownership`",
    ),
    Wrong(
        "sections-in-another-order",
        "## Errors\n *  None.\n *\n *  ## Limits\n",
        "## Limits\n *  None.\n *\n *  ## Errors\n",
        "/** # Thing",
        "thing.h: the sections of its chapter comment come in the order Ownership, Threads and fork, Errors, Limits",
    ),
]


@pytest.mark.parametrize("wrong", WRONG, ids=[wrong.id for wrong in WRONG])
def test_wrong_header_is_refused_by_file_line_and_name(wrong: Wrong, thing_tree: Callable[[str], Path]) -> None:
    assert THING.count(wrong.old) == 1, "the case replaces exactly one place"
    text = THING.replace(wrong.old, wrong.new)
    line = text.count("\n", 0, text.index(wrong.at)) + 1
    with pytest.raises(reader.HeaderError) as refused:
        reader.read(thing_tree(text))
    assert str(refused.value).splitlines()[0].startswith(f"thing.h:{line}: error: {wrong.message}"), str(refused.value)


def test_every_problem_is_reported_not_only_the_first(thing_tree: Callable[[str], Path]) -> None:
    text = (
        THING.replace("SB_BLOCKING ", "")
        .replace(NUMBER, "  float number;")
        .replace("Since: 1.1", "Since: soon")
        .replace("## Limits", "## Size")
    )
    with pytest.raises(reader.HeaderError) as refused:
        reader.read(thing_tree(text))
    found = [line.split(": ")[2] for line in str(refused.value).splitlines()]
    assert found == ["thing.h", "number", "sb_thing_name"]


def test_header_without_the_version_is_refused(thing_tree: Callable[[str], Path]) -> None:
    root = thing_tree(THING)
    library = root / "core/include/samebytes/library.h"
    library.write_text(
        library.read_text(encoding="utf-8").replace("SB_VERSION_MINOR", "SB_VERSION_OTHER"), encoding="utf-8"
    )
    with pytest.raises(
        reader.HeaderError, match=r"^library.h:1: error: SB_VERSION_MINOR: is not defined; bindings need"
    ):
        reader.read(root)


def test_header_that_the_umbrella_leaves_out_is_refused(thing_tree: Callable[[str], Path]) -> None:
    root = thing_tree(THING)
    (root / "core/include/samebytes/other.h").write_text("typedef struct sb_other sb_other;\n", encoding="utf-8")
    with pytest.raises(
        reader.HeaderError, match=r"^samebytes.h:1: error: other.h: is not included; add #include <samebytes/other.h>"
    ):
        reader.read(root)


def test_good_header_is_read_whole(thing_tree: Callable[[str], Path]) -> None:
    api = reader.read(thing_tree(THING))
    thing = next(c for c in api.classes if c.name == "sb_thing")
    assert [f.name for f in thing.constructors] == ["sb_thing_open"]
    assert [f.name for f in thing.methods] == ["sb_thing_use", "sb_thing_parts", "sb_thing_name"]
    assert thing.destructor.name == "sb_thing_close"
    use, parts, name = thing.methods
    assert [(p.name, p.kind) for p in use.parameters] == [
        ("thing", Kind.SELF),
        ("data", Kind.BYTES),
        ("size", Kind.COUNT),
        ("number", Kind.OUT_SCALAR),
        ("error", Kind.ERROR),
    ]
    assert (use.blocking, use.fallible, use.summary, use.threads, use.since) == (
        True,
        True,
        "Uses the bytes at `data`.",
        "any, but not many.",
        "1.0",
    )
    assert [(p.kind, p.count, p.counts, p.borrowed) for p in parts.parameters[1:]] == [
        (Kind.OUT_STRUCTS, "count", None, "thing"),
        (Kind.OUT_COUNT, None, "parts", None),
    ]
    assert (name.result.kind, name.result.borrowed, name.ownership, name.since) == (
        Kind.TEXT,
        "forever",
        "a constant.",
        "1.1",
    )
    part, options = api.struct("sb_part"), api.struct("sb_thing_options")
    assert [(f.name, f.kind, f.offset, f.size) for f in part.fields] == [
        ("number", Kind.SCALAR, 0, 8),
        ("data", Kind.BYTES, 8, 8),
        ("size", Kind.COUNT, 16, 8),
    ]
    assert (part.size, part.sized, options.size, options.sized, options.options) == (24, False, 8, True, True)
    constants = {c.name: (c.value, c.group, c.doc) for c in api.constants if c.place.header == "thing.h"}
    assert constants == {
        "SB_THING_MAX": (16, "", "things"),
        "SB_COLOUR_RED": (-1, "colour", "red"),
        "SB_COLOUR_BLUE": (4, "colour", ""),
    }
    assert [h.name for h in api.headers] == ["status.h", "library.h", "thing.h"]
    assert api.headers[2].title == "Thing: a header that says enough, for tests to spoil"


def test_a_foreign_structure_is_an_address_to_bindings(thing_tree: Callable[[str], Path]) -> None:
    comment = """/** Fills it.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
"""
    declaration = (
        "SB_API SB_METHOD sb_status sb_thing_export(sb_thing *thing, SB_OUT SB_FOREIGN(struct Foreign) *foreign);\n"
    )
    text = f"{comment}{declaration}\n#endif".join(THING.rsplit("#endif", 1))
    function = next(f for f in reader.read(thing_tree(text)).functions if f.name == "sb_thing_export")
    assert [(p.kind, p.declaration) for p in function.parameters[1:]] == [(Kind.ADDRESS, "void *")]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("A part of a thing.", "A piece of a thing.", True),
        ("int64_t number; /**< any */", "uint64_t number; /**< any */", False),
        ("0x10u", "0x11u", False),
        ("SB_BLOCKING ", "", False),
        ("SB_BORROWED(forever)", "SB_BORROWED(thing)", False),
        ("sb_thing_use(sb_thing *thing", "sb_thing_use(const sb_thing *thing", False),
    ],
)
def test_digest_follows_the_api_and_not_its_comments(
    old: str, new: str, same: bool, thing_tree: Callable[[str], Path], tmp_path: Path
) -> None:
    assert THING.count(old) == 1
    digest = reader.read(thing_tree(THING)).digest
    (tmp_path / "core/include/samebytes/thing.h").write_text(THING.replace(old, new), encoding="utf-8")
    assert (reader.read(tmp_path).digest == digest) is same
