"""What both layers and all users of the package share: constants and records, exceptions, and the classes of the handles."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from .model import Api, Class, Constant, Entity, Function, Kind, Struct, class_name, exception_name
from .python_rules import (
    HEAD,
    INTEGERS,
    OUTS,
    PACKAGE,
    all_names,
    definition,
    docstring,
    fields,
    function_doc,
    input_type,
    invocation,
    joined,
    limit,
    optional_from,
    output_type,
    outputs,
    parameters,
    result_type,
    safe,
    spoken,
)

# The built-in exception that fits a status, so that code which knows nothing of samebytes can catch it.
BUILTINS = {
    "SB_NO_MEMORY": ("MemoryError",),
    "SB_INVALID_ARGUMENT": ("ValueError",),
    "SB_OUT_OF_RANGE": ("IndexError", "OverflowError"),
    "SB_NEED_MORE": ("EOFError",),
    "SB_TOO_LARGE": ("ValueError",),
    "SB_CORRUPT": ("ValueError",),
    "SB_UNKNOWN_API_KEY": ("LookupError",),
    "SB_NOT_FOUND": ("LookupError",),
    "SB_BUSY": ("BufferError",),
    "SB_LOCKED": ("BlockingIOError",),
    "SB_CLOSED": ("ValueError",),
    "SB_IO": ("OSError",),
    "SB_UNSUPPORTED": ("NotImplementedError",),
    "SB_PROVIDER": ("RuntimeError",),
    "SB_UNAVAILABLE": ("ConnectionError",),
    "SB_TIMEOUT": ("TimeoutError",),
}
# Classes that any thread may use at any time: see docs/threads.md.
CONCURRENT = {"sb_memory", "sb_pool", "sb_block", "sb_schema", "sb_schema_file", "sb_channel"}


@dataclass(frozen=True)
class ByHand:
    """What the hand-written modules of the package say, which the generated classes follow."""

    offered: frozenset[str]  # what the package exports in the words of Python, other than by C's names
    small: frozenset[str]  # classes without attributes of their own: they say __slots__ = ()
    bases: frozenset[str]  # classes in C that are bases of the generated ones: they count memoryviews


def written_by_hand(root: Path) -> ByHand:
    folder = root / PACKAGE
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}
    trees = {stem: ast.parse(text) for stem, text in texts.items() if not text.startswith(HEAD)}
    stubs = folder / "_objects.pyi"
    in_c = (
        {node.name for node in ast.parse(stubs.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)}
        if stubs.exists()
        else set()
    )
    package = trees["__init__"].body if "__init__" in trees else []
    offered = {
        alias.name
        for node in package
        if isinstance(node, ast.ImportFrom) and node.module in trees
        for alias in node.names
    }
    small: set[str] = set()
    for node in (node for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef)):
        bases = [ast.unparse(base) for base in node.bases]
        if f"_classes.{node.name}" in bases and any(
            ast.unparse(inner) == "__slots__ = ()" for inner in ast.walk(node) if isinstance(inner, ast.Assign)
        ):
            small.add(node.name)
        if f"_objects.{node.name}" in bases:  # it is the base of the hand-written class itself
            in_c.discard(node.name)
    return ByHand(frozenset(offered), frozenset(small), frozenset(in_c))


def public(constant: str) -> str:
    return constant.removeprefix("SB_")


def statuses(api: Api) -> list[Constant]:
    return [c for c in api.constants if c.group == "status" and c.value != 0]


# _records.py


def default(entity: Entity) -> str:
    """What a field is when nobody says it, or "" where it must be said."""
    if entity.kind is Kind.SCALAR:
        return "False" if entity.ctype == "bool" else "0"
    if entity.kind is Kind.BYTES and entity.nullable:
        return 'b""'
    if entity.kind is Kind.SCALARS and entity.nullable:
        return "()"
    return "None" if entity.nullable else ""


def field_type(entity: Entity) -> str:
    if entity.kind is Kind.ADDRESS:
        return f"int | ReadableBuffer{' | None' if entity.nullable else ''}"
    return input_type(entity).replace("_records.", "")


def record(api: Api, struct: Struct) -> str:
    shown = fields(struct)
    needed = max((i + 1 for i, f in enumerate(shown) if not default(f)), default=0)
    lines = [f"class {class_name(struct.name)}(NamedTuple):"]
    lines.append(docstring(spoken(api, joined(struct.doc) or f"{struct.name}."), "    ").rstrip("\n"))
    lines.append("")
    for index, f in enumerate(shown):
        lines.append(f"    {safe(f.name)}: {field_type(f)}" + (f" = {default(f)}" if index >= needed else ""))
        if f.doc:
            lines.append(docstring(spoken(api, f.doc), "    ").rstrip("\n"))
    return "\n".join(lines) + "\n"


def records(api: Api, by_hand: ByHand) -> str:
    head = f'''{HEAD}"""Constants of the library, and its structures as named tuples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

'''
    lines = []
    for constant in api.constants:
        lines.append(f"{public(constant.name)} = {constant.value}")
        if constant.doc:
            lines.append(docstring(spoken(api, constant.doc), "").rstrip("\n"))
    names = [public(c.name) for c in api.constants] + [
        class_name(s.name) for s in api.structs if class_name(s.name) not in by_hand.offered
    ]
    return "\n\n".join([head + "\n".join(lines) + "\n", *(record(api, s) for s in api.structs), all_names(names)])


# errors.py


def exceptions(api: Api) -> str:
    missing = [s.name for s in statuses(api) if s.name not in BUILTINS]
    if missing:
        raise ValueError(f"emit_python.BUILTINS does not say which built-in exception fits {', '.join(missing)}")
    parts = [
        f'''{HEAD}"""One exception class per status. Each derives from SamebytesError and from the built-in that fits."""

from __future__ import annotations

import builtins

from . import _records
from ._errors import BY_STATUS, SamebytesError
'''
    ]
    for s in statuses(api):
        bases = ", ".join(f"builtins.{name}" for name in BUILTINS[s.name])
        doc = docstring(spoken(api, s.doc[:1].upper() + s.doc[1:] + "."), "    ")
        parts.append(
            f"class {exception_name(s.name)}(SamebytesError, {bases}):\n{doc}\n    status = _records.{public(s.name)}\n"
        )
    classes = "".join(f"    {exception_name(s.name)},\n" for s in statuses(api))
    parts.append(f"BY_STATUS.update((error.status, error) for error in (\n{classes}))\n")
    parts.append(all_names(["SamebytesError", *(exception_name(s.name) for s in statuses(api))]))
    return "\n\n".join(parts)


# _classes.py


def class_type(p: Entity) -> str:
    """The annotation of a parameter of a method."""
    null = " | None" if p.nullable else ""
    match p.kind:
        case Kind.HANDLE:
            return f"{class_name(p.ctype)}{null}"
        case Kind.HANDLES:
            return f"Sequence[{class_name(p.ctype)}]{null}"
        case _:
            return input_type(p)


class Method:
    """Writes one function of the headers as a method, class method or function of Python."""

    def __init__(self, api: Api, function: Function) -> None:
        self.api = api
        self.function = function
        self.shown = [p for p in parameters(function) if p.kind is not Kind.SELF]

    def options(self, p: Entity) -> list[Entity]:
        return fields(self.api.struct(p.ctype))

    def signature(self, *first: str) -> list[str]:
        positional = [p for p in self.shown if p.kind is not Kind.OPTIONS]
        optional = optional_from(positional)
        parts = [*first]
        for index, p in enumerate(positional):
            parts.append(f"{safe(p.name)}: {class_type(p)}" + (" = None" if index >= optional else ""))
        for p in self.shown:
            if p.kind is Kind.OPTIONS:
                parts.append("*")
                parts += [f"{safe(f.name)}: {class_type(f)} = {default(f)}" for f in self.options(p)]
        return parts

    def handles(self) -> list[Entity]:
        """The parameters and option fields that are handles, self aside."""
        found = []
        for p in self.shown:
            inner = self.options(p) if p.kind is Kind.OPTIONS else [p]
            found += [e for e in inner if e.kind in (Kind.HANDLE, Kind.HANDLES)]
        return found

    def checks(self) -> list[str]:
        lines = []
        for e in self.handles():
            many = "_all" if e.kind is Kind.HANDLES else "_or_none" if e.nullable else ""
            lines.append(f'{safe(e.name)} = expect{many}({safe(e.name)}, {class_name(e.ctype)}, "{e.name}")')
        return lines

    def way(self) -> str:
        """How the call begins: "" for none that is on an object, "now" where there is one and nothing has to be converted, which could run
        code of others, "late" where that comes first, and "first" where it comes first here, because more than the address is looked at."""
        f = self.function
        if not self.lock_names():
            return ""
        harmless = (Kind.SELF, Kind.HANDLE, Kind.HANDLES, Kind.COUNT, Kind.ERROR)
        if self.lock_names() == ["self"] and all(p.kind in harmless or p.kind in OUTS for p in f.parameters):
            return "now"
        if any(p.takes for p in self.shown) or any(p.kind is Kind.SELF and p.nullable for p in f.parameters):
            return "first"
        return "late"

    def opened(self, name: str) -> str:
        """The address of an object, or what stands for it."""
        if self.way() == "late":
            return "_call" if name == self.lock_names()[0] else f"_call.of({name})"
        return "_address" if self.way() == "now" else f"{name}._open()"

    def argument(self, e: Entity) -> str:
        name = safe(e.name)
        match e.kind:
            case Kind.SELF:
                return (
                    "self._address or None"
                    if e.nullable and self.function.role != "destructor"
                    else self.opened("self")
                )
            case Kind.HANDLE:
                return f"None if {name} is None else {self.opened(name)}" if e.nullable else self.opened(name)
            case Kind.HANDLES:
                return f"[{self.opened('each')} for each in {name}]"
            case Kind.OPTIONS:
                inner = (f"{safe(f.name)}={self.argument(f)}" for f in self.options(e))
                return invocation(f"_records.{class_name(e.ctype)}", inner)
            case _:
                return name

    def lock_names(self) -> list[str]:
        """The objects that the call is on."""
        names = ["self"] if self.function.role == "method" else []
        for e in self.handles():
            names.append(f"*{safe(e.name)}" if e.kind is Kind.HANDLES else safe(e.name))
        return names

    def begun(self) -> str:
        """The `with` that the call is in."""
        names = ", ".join(self.lock_names())
        taken = [name for name in self.lock_names() if name in self.taken()]
        match self.way():
            case "late":
                return f"late({names}) as _call"
            case "now":
                return "now(self) as _address"
            case _:
                return f"calling({names})" + (f", giving({', '.join(taken)})" if taken else "")

    def taken(self) -> set[str]:
        many = {f"*{safe(p.name)}" for p in self.shown if p.takes and p.kind is Kind.HANDLES}
        return many | {safe(p.name) for p in self.shown if p.takes and p.kind is Kind.HANDLE}

    def converted(self) -> list[str]:
        """What is converted here, because more than the address is looked at afterwards."""
        lines = []
        for p in self.shown:
            name = safe(p.name)
            if p.kind is Kind.SCALAR:
                scalar = INTEGERS[p.ctype]
                lines.append(
                    f'{name} = _arguments.integer({name}, "{p.name}", {limit(scalar.low)}, {limit(scalar.high)})'
                )
            elif p.kind is Kind.ADDRESS:
                lines.append(f'{name} = _arguments.address{"_or_null" if p.nullable else ""}({name}, "{p.name}")')
            elif p.kind is Kind.ADDRESSES:
                lines.append(f"{name} = [")
                lines.append(f'    _arguments.address(each, f"{p.name}[{{index}}]")')
                lines.append(f'    for index, each in enumerate(_arguments.sequence({name}, "{p.name}"))')
                lines.append("]")
            elif p.kind not in (Kind.HANDLE, Kind.HANDLES):
                raise ValueError(
                    f"{self.function.place}: {self.function.name}: emit_python cannot convert {p.name} first"
                )
        return lines

    def result(self) -> tuple[str, str]:
        """The annotation of the result, and the expression that makes it of `{}`, what the layer returned."""
        f = self.function
        outs = outputs(f)
        if f.role == "constructor":
            return "Self", "cls._adopt({})"
        owned = (
            f.result
            if f.result.kind is Kind.HANDLE
            else outs[0]
            if [o.kind for o in outs] == [Kind.OUT_HANDLE]
            else None
        )
        if owned is not None:
            name = f"public.{class_name(owned.ctype)}"
            return name, f"{name}._adopt({{}})"
        if any(o.kind is Kind.OUT_HANDLE for o in outs):
            raise ValueError(f"{f.place}: {f.name}: a handle must be the only output")
        types = ", ".join(output_type(o) for o in outs)
        return (f"tuple[{types}]" if len(outs) > 1 else types) or result_type(f), "{}"

    def body(self, make: str) -> list[str]:
        f = self.function
        call = invocation(f"layer.{f.name}", (self.argument(p) for p in parameters(f)))
        taken = [safe(p.name) for p in self.shown if p.takes and p.kind is Kind.HANDLE]
        many = [safe(p.name) for p in self.shown if p.takes and p.kind is Kind.HANDLES]
        inner = []
        if make == "{}" and self.result()[0] == "None":
            inner.append(call)
        elif taken or many:
            inner.append(f"_result = {call}")
        else:
            inner.append(make.format(call) if make.startswith("self.") else f"return {make.format(call)}")
        inner += [f"{name}._taken()" for name in taken]
        for name in many:
            inner += [f"for each in {name}:", "    each._taken()"]
        if taken or many:
            inner.append(f"return {make.format('_result')}")
        lines = self.checks() + (self.converted() if self.way() == "first" else [])
        inner = [line for statement in inner for line in statement.split("\n")]
        return [*lines, f"with {self.begun()}:", *(f"    {line}" for line in inner)] if self.way() else [*lines, *inner]

    def write(self, indent: str) -> str:
        f = self.function
        annotation, make = self.result()
        decorator = ""
        if f.role == "constructor" and f.short == "open":
            head = definition(indent, "__init__", self.signature("self"), "None")
            make = "self._own({})"
        elif f.role == "constructor":
            decorator = f"{indent}@classmethod\n"
            head = definition(indent, f.short, self.signature("cls"), annotation)
        else:
            first = ("self",) if f.role == "method" else ()
            head = definition(indent, safe(f.short), self.signature(*first), annotation)
        doc = function_doc(self.api, f, f"{indent}    ")
        return decorator + head + ":\n" + doc + "".join(f"{indent}    {line}\n" for line in self.body(make))


def handle_class(api: Api, by_hand: ByHand, c: Class) -> str:
    name = class_name(c.name)
    header = next(h for h in api.headers if h.name == c.header)
    bases = f"_objects.{name}, Handle" if name in by_hand.bases else "Handle"
    text = f"{header.title}.\n\n{prose(header.manual)}"
    parts = [
        f"class {name}({bases}):\n"
        + docstring(spoken(api, text), "    ")
        # The memory of small objects is kept for the next ones, which a dict of their own would forbid.
        + ("\n    if not TYPE_CHECKING:\n        __slots__ = ()\n" if name in by_hand.small else "")
        + ("\n    _concurrent = True\n" if c.name in CONCURRENT and name not in by_hand.small else "")
        + f"\n    _destroy = staticmethod(layer.{c.destructor.name})\n"
    ]
    parts += [Method(api, f).write("    ") for f in (*c.constructors, *c.methods)]
    return "\n".join(parts)


def prose(manual: str) -> str:
    """What a header's manual says of errors and limits, and before its chapters, without the examples, which are in C."""
    kept: list[str] = []
    for chapter in re.split(r"^## ", manual, flags=re.MULTILINE):
        title, _, text = chapter.partition("\n")
        if chapter and not kept:
            kept += [p for p in chapter.split("\n\n") if p.strip() and not p.startswith("    ")]
        elif title in ("Errors", "Limits"):
            kept.append(f"{title}: {text.strip()}")
    return "\n\n".join(joined(p) for p in kept)


def classes(api: Api, by_hand: ByHand) -> str:
    head = f'''{HEAD}"""The classes of the handles, and the functions that belong to none, by C's names: sb_pool_get_stats is Pool.get_stats

The package exports these, or subclasses of them that say the same in the words of Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import samebytes as public

from . import _arguments, _objects, _records
from ._backend import layer
from ._handles import Handle, calling, expect, expect_all, expect_or_none, giving
from ._objects import late, now

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer
'''
    functions = [f for f in api.functions if f.role == "function"]
    names = ({class_name(c.name) for c in api.classes} | {safe(f.short) for f in functions}) - by_hand.offered
    bodies = [*(handle_class(api, by_hand, c) for c in api.classes), *(Method(api, f).write("") for f in functions)]
    return "\n\n".join([head, *bodies, all_names(names)])


def emit(api: Api, root: Path) -> dict[str, str]:
    api, by_hand = api.bound(), written_by_hand(root)
    version = ".".join(map(str, api.version))
    return {
        f"{PACKAGE}/_version.py": f'{HEAD}"""The version, where the build finds it."""\n\n__version__ = "{version}"\n',
        f"{PACKAGE}/_records.py": records(api, by_hand),
        f"{PACKAGE}/errors.py": exceptions(api),
        f"{PACKAGE}/_classes.py": classes(api, by_hand),
    }
