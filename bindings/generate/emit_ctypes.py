"""The ctypes layer: declarations of structures and functions, and the functions on top of them."""

from __future__ import annotations

from pathlib import Path

from .layer_writer import LayerWriter
from .model import Api, Entity, Function, Kind
from .python_rules import PACKAGE, invocation, ordered


def scalar_class(ctype: str) -> str:
    """ctypes names its integers after those of C, mostly without `_t`."""
    names = {"sb_status": "c_int32", "size_t": "c_size_t", "double": "c_double"}
    return "_ctypes." + names.get(ctype, f"c_{ctype.removesuffix('_t')}")


def field_class(field: Entity) -> str:
    """The type of a structure's field, the reserved ones included: ctypes lays the structure out by itself."""
    match field.kind:
        case Kind.CHARS:
            return f"_ctypes.c_char * {field.array}"
        case Kind.TEXT:
            return "_ctypes.c_char_p"
        case Kind.SCALARS:
            return f"_ctypes.POINTER({scalar_class(field.ctype)})"
        case Kind.STRUCTS:
            return f"_ctypes.POINTER(_{field.ctype})"
        case Kind.SCALAR | Kind.COUNT | Kind.RESERVED:
            name = scalar_class(field.ctype)
            return f"{name} * {field.array}" if field.array is not None else name
        case _:
            return "_ctypes.c_void_p"


def parameter_class(p: Entity) -> str:
    if p.kind in (Kind.SCALAR, Kind.COUNT):
        return scalar_class(p.ctype)
    return "_ctypes.c_char_p" if p.kind is Kind.TEXT else "_ctypes.c_void_p"


def result_class(function: Function) -> str:
    match function.result.kind:
        case Kind.VOID:
            return "None"
        case Kind.STATUS | Kind.SCALAR:
            return scalar_class(function.result.ctype)
        case Kind.TEXT:
            return "_ctypes.c_char_p"
        case _:
            return "_ctypes.c_void_p"


class CtypesWriter(LayerWriter):
    backend = "ctypes"
    title = "ctypes"
    other = "_layer_cffi"
    imports = ("byref", "ctypes")

    def declarations(self) -> str:
        lines: list[str] = []
        for struct in ordered(self.api.structs, self.api):
            lines += [f"class _{struct.name}(_ctypes.Structure):", "    _fields_ = ("]
            lines += [f'        ("{field.name}", {field_class(field)}),' for field in struct.fields]
            lines += ["    )", "", ""]
        for function in self.api.functions:
            types = map(parameter_class, function.parameters)
            lines.append(invocation(f"_lib.{function.name}.argtypes = ", types, "[]"))
            lines.append(f"_lib.{function.name}.restype = {result_class(function)}")
        return "\n".join(lines) + "\n"

    def pointer(self, ctype: str, value: str) -> str:
        del ctype
        return value

    def number(self, pointer: str) -> str:
        return f"{pointer} or 0"

    def out(self, output: Entity) -> tuple[str, str, str]:
        name = f"{output.name}_"
        match output.kind:
            case Kind.OUT_HANDLE | Kind.OUT_ADDRESS:
                made, result = "_ctypes.c_void_p()", self.number(f"{name}.value")
            case Kind.OUT_ADDRESSES:
                return f'_room({output.count}_, "{output.count}")', name, f"[each or 0 for each in {name}]"
            case Kind.OUT_STRUCTS:
                made = f"_ctypes.POINTER(_{output.ctype})()"
                result = f"[_get_{output.ctype}({name}[index]) for index in range({output.count}_.value)]"
            case Kind.OUT_ARRAY:
                return "", name, f"[_get_{output.ctype}({name}[index]) for index in range({name}count_.value)]"
            case Kind.OUT_STRUCT:
                made, result = self.one(output.ctype), f"_get_{output.ctype}({name})"
            case _:
                made, result = f"{scalar_class(output.ctype)}()", f"{name}.value"
        return made, f"_byref({name})", result

    def one(self, ctype: str) -> str:
        return f"_{ctype}()"

    def many(self, ctype: str) -> str:
        return f"(_{ctype} * len(values))()"

    def array(self, ctype: str, count: str) -> str:
        return f"(_{ctype} * {count})()"

    def reference(self, variable: str) -> str:
        return f"_byref({variable})"


def emit(api: Api, root: Path) -> dict[str, str]:
    del root
    api = api.bound()
    return {f"{PACKAGE}/_layer_ctypes.py": CtypesWriter(api).layer()}
