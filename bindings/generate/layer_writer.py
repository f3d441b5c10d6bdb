"""The frame of a function layer. emit_cffi.py and emit_ctypes.py say only how their library writes down what differs."""

from __future__ import annotations

from abc import ABC, abstractmethod

from .model import Api, Entity, Function, Kind, Struct, class_name
from .python_rules import (
    HEAD,
    INTEGERS,
    OUTS,
    definition,
    docstring,
    fields,
    invocation,
    limit,
    options_of,
    outputs,
    safe,
    signature,
    used_structs,
)

PINNED = {
    Kind.BYTES,
    Kind.BUFFER,
    Kind.SCALARS,
    Kind.HANDLES,
    Kind.ADDRESSES,
    Kind.STRUCTS,
    Kind.STRUCT,
    Kind.OPTIONS,
    Kind.TEXT,
}

HEADER = """
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import _arguments, _errors, _library, _records
from . import _support_{backend} as _support

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

BACKEND = "{backend}"
ABI_DIGEST = 0x{digest:016x}
_library.check_part("_layer_{backend}", ABI_DIGEST)

_ARRAY_MAX = _arguments.ARRAY_MAX
_address = _arguments.address
_address_or_null = _arguments.address_or_null
_boolean = _arguments.boolean
_integer = _arguments.integer
_real = _arguments.real
_record = _arguments.record
_sequence = _arguments.sequence
_lib = _support.lib
_numbers = _support.numbers
_room = _support.room
_text = _support.text
_Pins = _support.Pins
{support}
address_of = _support.address_of
read_bytes = _support.read_bytes
write_bytes = _support.write_bytes
"""


class LayerWriter(ABC):
    """Writes one layer. Parameter `data` of C is `data` in Python, and `data_` is what stands for it in the call."""

    backend: str
    title: str  # how people write the backend's name
    other: str
    imports: tuple[str, ...]  # what the layer takes from its support module besides

    def __init__(self, api: Api) -> None:
        self.api = api

    # What differs.

    def declarations(self) -> str:
        """What stands before the functions."""
        return ""

    @abstractmethod
    def pointer(self, ctype: str, value: str) -> str:
        """The argument for `value`, an address as an int that has been checked."""

    @abstractmethod
    def number(self, pointer: str) -> str:
        """The address of a pointer as an int."""

    @abstractmethod
    def out(self, output: Entity) -> tuple[str, str, str]:
        """The expression that makes room for an output of its own name, the argument, and the expression of its result."""

    @abstractmethod
    def one(self, ctype: str) -> str:
        """The expression of a new, zeroed structure."""

    @abstractmethod
    def many(self, ctype: str) -> str:
        """The expression of an array of len(values) zeroed structures."""

    @abstractmethod
    def array(self, ctype: str, count: str) -> str:
        """The expression of an array of *count* structures."""

    @abstractmethod
    def reference(self, variable: str) -> str:
        """The argument for the address of a structure."""

    # Inputs

    def integer(self, entity: Entity, value: str) -> str:
        if entity.ctype == "bool":
            return f'_boolean({value}, "{entity.name}")'
        if entity.ctype == "double":
            return f'_real({value}, "{entity.name}")'
        scalar = INTEGERS[entity.ctype]
        return f'_integer({value}, "{entity.name}", {limit(scalar.low)}, {limit(scalar.high)})'

    def address(self, entity: Entity, value: str) -> str:
        return f'_address{or_null(entity)}({value}, "{entity.name}")'

    def pinned(self, p: Entity) -> list[str]:
        """Statements that make C's form of a parameter, and hold its memory until the call is over."""
        value = safe(p.name)
        local = f"{p.name}_"
        both = f"{local}, {p.name}_count"
        match p.kind:
            case Kind.BYTES:
                return [f'{both} = _pins.readable{or_null(p)}({value}, "{p.name}")']
            case Kind.BUFFER:
                return [f'{both} = _pins.writable{or_null(p)}({value}, "{p.name}")']
            case Kind.TEXT:
                return [f'{local} = _pins.text{or_null(p)}({value}, "{p.name}")']
            case Kind.SCALARS:
                return [f'{both} = _pins.integers({value}, "{p.ctype}", "{p.name}")']
            case Kind.HANDLES:
                return [f'{both} = _pins.handles({value}, "{p.ctype}", "{p.name}")']
            case Kind.ADDRESSES:
                return [f'{both} = _pins.addresses({value}, "{p.name}")']
            case Kind.STRUCTS:
                return [f'{both} = _put_many_{p.ctype}(_pins, {value}, "{p.name}")']
            case Kind.STRUCT:
                return [f"{local} = {self.one(p.ctype)}", f"_put_{p.ctype}(_pins, {local}, {value})"]
            case Kind.OPTIONS:
                return [f"{local} = _options_{p.ctype}(_pins, {value})"]
        return []

    def argument(self, p: Entity) -> str:
        """The expression that stands for `p` in the call."""
        value = safe(p.name)
        match p.kind:
            case Kind.SCALAR:
                return f"{p.name}_"
            case Kind.SELF | Kind.HANDLE:
                return self.pointer(p.ctype, self.address(p, value))
            case Kind.ADDRESS:
                return self.pointer("void", f"{p.name}_")
            case Kind.COUNT:
                return f"{p.counts}_count"
            case Kind.STRUCT:
                return self.reference(f"{p.name}_")
            case Kind.ERROR:
                return self.reference("_error")
            case _ if p.kind in OUTS:
                return self.out(p)[1]
            case _:
                return f"{p.name}_"

    # Functions

    def function(self, function: Function) -> str:
        body = self.init_body(function) if function.role == "init" else self.body(function)
        return definition("", function.name, *signature(function)) + ":\n" + "".join(f"    {line}\n" for line in body)

    def init_body(self, function: Function) -> list[str]:
        struct = self.api.struct(options_of(function))
        return [
            f"options_ = {self.one(struct.name)}",
            f"_lib.{function.name}({self.reference('options_')}, {struct.size})",
            f"return _get_{struct.name}(options_)",
        ]

    def body(self, function: Function) -> list[str]:
        explains = any(p.kind is Kind.ERROR for p in function.parameters)
        # Each argument is converted once, as that may run code of others, which may answer something else the second time; and addresses
        # come last, as that code may close what lies there.
        lines = [f"{p.name}_ = {self.integer(p, safe(p.name))}" for p in function.parameters if p.kind is Kind.SCALAR]
        addresses = {p.name: self.address(p, safe(p.name)) for p in function.parameters if p.kind is Kind.ADDRESS}
        lines += [f"{name}_ = {address}" for name, address in addresses.items()]
        for output in (p for p in function.parameters if p.kind in OUTS):
            room = self.out(output)[0]
            if output.kind is Kind.OUT_ARRAY:
                room = self.array(output.ctype, f'_integer({output.count}_, "{output.count}", 0, _ARRAY_MAX)')
            lines.append(f"{output.name}_ = {room}")
            if output.kind is Kind.OUT_STRUCT and self.api.struct(output.ctype).sized:
                lines.append(f"{output.name}_.struct_size = {self.api.struct(output.ctype).size}")
        if explains:
            lines.append(f"_error = {self.one('sb_error')}")
        pinned = [p for p in function.parameters if p.kind in PINNED]
        pinned.sort(key=self.has_handles)
        call = [line for p in pinned for line in self.pinned(p)]
        if call:
            lines += ["with _Pins() as _pins:", *(f"    {line}" for line in [*call, *self.call(function)])]
        else:
            lines += self.call(function)
        if function.fallible:
            lines += [
                "if _status:",
                f'    raise _failure("{function.name}", _status, {"_error" if explains else None})',
            ]
        results = [self.out(o)[2] for o in outputs(function)]
        return [*lines, f"return {', '.join(results)}"] if results else lines

    def has_handles(self, p: Entity) -> int:
        """0 where nothing in a parameter is a handle, 1 where something is, 2 where all is."""
        if p.kind is Kind.OPTIONS:
            return int(any(f.kind is Kind.HANDLE for f in fields(self.api.struct(p.ctype))))
        return 2 * (p.kind is Kind.HANDLES)

    def call(self, function: Function) -> list[str]:
        call = invocation(f"_lib.{function.name}", (self.argument(p) for p in function.parameters))
        match function.result.kind:
            case Kind.VOID:
                pass
            case Kind.STATUS:
                call = f"_status = {call}"
            case Kind.TEXT:
                call = f"return _text({call})"
            case Kind.ADDRESS | Kind.HANDLE:
                call = f"return {self.number(call)}"
            case _:
                call = f"return {call}"
        return call.split("\n")

    # Structures

    def put_struct(self, struct: Struct) -> str:
        """The function that fills a structure from a record."""
        lines = [f"def _put_{struct.name}(pins, target, value):"]
        lines.append(f"    value = _record(value, _records.{class_name(struct.name)})")
        for f in sorted(fields(struct), key=lambda f: f.kind is Kind.HANDLE):  # addresses last, as in a call
            value, to = f"value.{safe(f.name)}", f"target.{f.name}"
            both = f"{to}, target.{f.count}"
            match f.kind:
                case Kind.SCALAR:
                    lines.append(f"    {to} = {self.integer(f, value)}")
                case Kind.HANDLE:
                    lines.append(f"    {to} = {self.pointer(f.ctype, self.address(f, value))}")
                case Kind.ADDRESS:
                    lines.append(f'    {to} = pins.address{or_null(f)}({value}, "{f.name}")')
                case Kind.TEXT:
                    lines.append(f'    {to} = pins.text{or_null(f)}({value}, "{f.name}")')
                case Kind.BYTES:
                    lines.append(f'    {both} = pins.located{or_null(f)}({value}, "{f.name}")')
                case Kind.SCALARS:
                    lines.append(f'    {both} = pins.integers{or_null(f)}({value}, "{f.ctype}", "{f.name}")')
                case Kind.STRUCTS:
                    indent = "    "
                    if f.nullable:
                        lines.append(f"    if {value} is not None:")
                        indent *= 2
                    lines.append(f'{indent}{both} = _put_many_{f.ctype}(pins, {value}, "{f.name}")')
                case _:
                    raise ValueError(f"{struct.place}: {struct.name}.{f.name}: Python cannot pass a field of this kind")
        return "\n".join(lines) + "\n"

    def put_many(self, struct: Struct) -> str:
        """The function that makes an array of structures from a sequence of records."""
        return f"""def _put_many_{struct.name}(pins, values, name):
    values = _sequence(values, name)
    target = pins.hold({self.many(struct.name)})
    for index, value in enumerate(values):
        try:
            _put_{struct.name}(pins, target[index], value)
        except (TypeError, ValueError, OverflowError, BufferError) as error:
            error.add_note(f"in {{name}}[{{index}}]")
            raise
    return target, len(values)
"""

    def options(self, struct: Struct) -> str:
        """The function that makes options: the defaults of C, then what the record says. None is all defaults."""
        return f"""def _options_{struct.name}(pins, value):
    target = pins.hold({self.one(struct.name)})
    _lib.{struct.name}_init({self.reference("target")}, {struct.size})
    if value is not None:
        _put_{struct.name}(pins, target, value)
    return {self.reference("target")}
"""

    def get_field(self, f: Entity) -> str:
        source = f"source.{f.name}"
        match f.kind:
            case Kind.CHARS | Kind.TEXT:
                return f"_text({source})"
            case Kind.ADDRESS | Kind.HANDLE:
                return self.number(source)
            case Kind.BYTES:
                return f"read_bytes({self.number(source)}, source.{f.count})"
            case Kind.SCALARS:
                return f'_numbers({source}, source.{f.count}, "{f.ctype}")'
            case Kind.STRUCTS:
                return f"[_get_{f.ctype}({source}[index]) for index in range(source.{f.count})]"
            case _:
                return source

    def get_struct(self, struct: Struct) -> str:
        """The function that makes a record of a structure."""
        inner = "".join(f"        {self.get_field(f)},\n" for f in fields(struct))
        return f"def _get_{struct.name}(source):\n    return _records.{class_name(struct.name)}(\n{inner}    )\n"

    # The file

    def layer(self) -> str:
        title = (
            f"The functions of the C headers by their names, called through {self.title}. samebytes.{self.other} has the same "
            "surface.\n\nHandles and addresses are integers. Memory goes in as bytes-like objects, outputs come back as results, "
            "and a status other than SB_OK is raised as the exception of its name. Arguments are checked before C is called; what "
            "lies at an address is not."
        )
        support = "\n".join(f"_{name} = _support.{name}" for name in self.imports)
        head = HEADER.format(backend=self.backend, support=support, digest=self.api.digest)
        into, out = used_structs(self.api)
        parts = [HEAD + docstring(title, "") + head, self.declarations()]
        arrays = {p.ctype for f in self.api.functions for p in f.parameters if p.kind is Kind.STRUCTS}
        arrays |= {f.ctype for s in self.api.structs for f in s.fields if f.kind is Kind.STRUCTS}
        options = {p.ctype for f in self.api.functions for p in f.parameters if p.kind is Kind.OPTIONS}
        for struct in into:
            parts.append(self.put_struct(struct))
            parts += [self.put_many(struct)] if struct.name in arrays else []
            parts += [self.options(struct)] if struct.name in options else []
        parts += [self.get_struct(s) for s in out]
        parts.append("""def _failure(function, status, error):
    return _errors.failure(function, status, sb_status_message(status), error and _get_sb_error(error))
""")
        parts += [self.function(f) for f in self.api.functions]
        return "\n\n".join(part for part in parts if part)


def or_null(entity: Entity) -> str:
    return "_or_null" if entity.nullable else ""
