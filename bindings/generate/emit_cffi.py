"""The CFFI layer: what CFFI compiles against the headers, and the functions on top of it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from .layer_writer import LayerWriter
from .model import Api, Entity, Kind
from .python_rules import HEAD, PACKAGE, WIDTH, ordered


class CffiWriter(LayerWriter):
    backend = "cffi"
    title = "CFFI"
    other = "_layer_ctypes"
    imports = ("cast", "new", "number")

    def pointer(self, ctype: str, value: str) -> str:
        return f'_cast("{ctype} *", {value})'

    def number(self, pointer: str) -> str:
        return f"_number({pointer})"

    def out(self, output: Entity) -> tuple[str, str, str]:
        name = f"{output.name}_"
        made = f'_new("{output.declaration}")'
        match output.kind:
            case Kind.OUT_HANDLE | Kind.OUT_ADDRESS:
                return made, name, self.number(f"{name}[0]")
            case Kind.OUT_ADDRESSES:
                return f'_room({output.count}_, "{output.count}")', name, f"[{self.number('each')} for each in {name}]"
            case Kind.OUT_STRUCTS:
                return made, name, f"[_get_{output.ctype}({name}[0][index]) for index in range({output.count}_[0])]"
            case Kind.OUT_ARRAY:
                return "", name, f"[_get_{output.ctype}({name}[index]) for index in range({name}count_[0])]"
            case Kind.OUT_STRUCT:
                return made, name, f"_get_{output.ctype}({name})"
            case _:
                return made, name, f"{name}[0]"

    def one(self, ctype: str) -> str:
        return f'_new("{ctype} *")'

    def many(self, ctype: str) -> str:
        return f'_new("{ctype}[]", len(values))'

    def array(self, ctype: str, count: str) -> str:
        return f'_new("{ctype}[]", {count})'

    def reference(self, variable: str) -> str:
        return variable


def declared(declaration: str, name: str, array: int | None = None) -> str:
    """A C declaration: type, name, and the count of an array."""
    text = f"{declaration.split('[')[0].rstrip()} {name}".replace("* ", "*")
    return f"{text}[{array}]" if array is not None else text


def field(f: Entity) -> str:
    return f"{declared(f.declaration, f.name, f.array)};"


def cdef(api: Api) -> str:
    """What the headers declare, without annotations and comments. The C compiler holds it against the headers when it builds."""
    lines = ["typedef int32_t sb_status;"]
    lines += [f"typedef struct {c.name} {c.name};" for c in api.classes]
    pointed = {f.ctype for s in api.structs for f in s.fields if f.kind is Kind.NATIVE and f.ctype.startswith("sb_")}
    known = {c.name for c in api.classes} | {s.name for s in api.structs}
    lines += [f"typedef struct {name} {name};" for name in sorted(pointed - known)]
    for struct in ordered(api.structs, api):
        lines += [f"typedef struct {struct.name} {{", *(f"  {field(f)}" for f in struct.fields), f"}} {struct.name};"]
    for function in api.functions:
        parameters = ", ".join(declared(p.declaration, p.name) for p in function.parameters) or "void"
        prototype = f"{declared(function.result.declaration, function.name)}({parameters});"
        lines += textwrap.wrap(prototype, WIDTH, subsequent_indent="  ", break_long_words=False)
    return "\n".join([*lines, "static const uint64_t sb_built_digest;"]) + "\n"


def source(api: Api) -> str:
    return f'''{HEAD}"""What the build compiles as samebytes._cffi: `python cffi_source.py FILE` writes its C source."""

import sys

import cffi

DECLARATIONS = """\\
{cdef(api)}"""

SOURCE = """\\
#include <samebytes/samebytes.h>

#include "abi_digest.h"

static const uint64_t sb_built_digest = SB_ABI_DIGEST;
"""

if __name__ == "__main__":
    ffi = cffi.FFI()
    ffi.cdef(DECLARATIONS)
    ffi.set_source("samebytes._cffi", SOURCE, py_limited_api=True)
    ffi.emit_c_code(sys.argv[1])
'''


def emit(api: Api, root: Path) -> dict[str, str]:
    del root
    api = api.bound()
    return {f"{PACKAGE}/_layer_cffi.py": CffiWriter(api).layer(), "bindings/python/cffi_source.py": source(api)}
