"""Reads the headers with libclang into model.Api, and refuses whatever does not say enough or lies outside the subset.

Every problem is collected, so that one run reports all of them, each with header, line, name, what is wrong and what to do. The
tables at the top are the subset: what is not in them is refused.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from clang import cindex

from . import model
from .model import Api, Class, Constant, DropIn, Entity, Function, Header, Kind, Layout, LayoutField, Place, Struct

INCLUDE = Path("core/include")
FOLDER = INCLUDE / "samebytes"
UMBRELLA = "samebytes.h"
LANGUAGE = "annotations.h"  # defines the annotations; is no part of the API itself

SCALARS = {f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)} | {"size_t", "bool", "double"}
ROLES = ("function", "constructor", "method", "destructor", "init")
FUNCTION_ANNOTATIONS = {"api", "api_void", "blocking", "calls_back", "owned", "borrowed", "native", *ROLES}
PARAMETER_ANNOTATIONS = {"in", "out", "inout", "count", "nullable", "owned", "borrowed", "takes"}
FIELD_ANNOTATIONS = {"count", "nullable", "native"}
STRUCT_ANNOTATIONS = {"native"}
SECTIONS = ("Ownership", "Threads and fork", "Errors", "Limits")
LINES = ("Ownership", "Threads", "Errors", "Since")

# (shape of the type, direction, counted) -> kind. In a shape the base type is replaced by what it is.
PARAMETERS = {
    ("scalar", "", False): Kind.SCALAR,
    ("handle *", "", False): Kind.HANDLE,
    ("handle *", "in", False): Kind.HANDLE,
    ("handle *", "takes", False): Kind.HANDLE,
    ("const handle *", "", False): Kind.HANDLE,
    ("const handle *", "in", False): Kind.HANDLE,
    ("const char *", "in", False): Kind.TEXT,
    ("void *", "in", False): Kind.ADDRESS,
    ("void *", "takes", False): Kind.ADDRESS,
    ("void *", "out", False): Kind.ADDRESS,  # SB_FOREIGN: the caller has the memory, and knows its layout
    ("const void *", "in", True): Kind.BYTES,
    ("void *", "out", True): Kind.BUFFER,
    ("void *", "inout", True): Kind.BUFFER,
    ("const scalar *", "in", True): Kind.SCALARS,
    ("handle *const *", "in", True): Kind.HANDLES,
    ("handle *const *", "takes", True): Kind.HANDLES,
    ("void *const[]", "in", True): Kind.ADDRESSES,
    ("void *const[]", "takes", True): Kind.ADDRESSES,
    ("const struct *", "in", True): Kind.STRUCTS,
    ("const struct *", "in", False): Kind.STRUCT,
    ("scalar *", "out", False): Kind.OUT_SCALAR,
    ("handle **", "out", False): Kind.OUT_HANDLE,
    ("void **", "out", False): Kind.OUT_ADDRESS,
    ("void **", "out", True): Kind.OUT_ADDRESS,
    ("const void **", "out", False): Kind.OUT_ADDRESS,
    ("const void **", "out", True): Kind.OUT_ADDRESS,
    ("void *[]", "out", True): Kind.OUT_ADDRESSES,
    ("struct *", "out", False): Kind.OUT_STRUCT,
    ("struct *", "out", True): Kind.OUT_ARRAY,
    ("const struct **", "out", True): Kind.OUT_STRUCTS,
}
# (shape, counted) -> kind
FIELDS = {
    ("scalar", False): Kind.SCALAR,
    ("char[]", False): Kind.CHARS,
    ("const char *", False): Kind.TEXT,
    ("const void *", True): Kind.BYTES,
    ("const void *", False): Kind.ADDRESS,
    ("void *", False): Kind.ADDRESS,
    ("const scalar *", True): Kind.SCALARS,
    ("const struct *", True): Kind.STRUCTS,
    ("handle *", False): Kind.HANDLE,
}
# shape -> (kind, the annotation that must say whose the result is)
RESULTS = {
    "void": (Kind.VOID, None),
    "scalar": (Kind.SCALAR, None),
    "const char *": (Kind.TEXT, "borrowed"),
    "void *": (Kind.ADDRESS, "borrowed"),
    "const void *": (Kind.ADDRESS, "borrowed"),
    "handle *": (Kind.HANDLE, "owned"),
}
OUTPUTS = {
    Kind.OUT_SCALAR,
    Kind.OUT_HANDLE,
    Kind.OUT_ADDRESS,
    Kind.OUT_ADDRESSES,
    Kind.OUT_STRUCT,
    Kind.OUT_STRUCTS,
    Kind.OUT_COUNT,
    Kind.ERROR,
}
# What a count is implied by; the count of memory that a call hands out is an input or result of its own.
IMPLYING = {Kind.BYTES, Kind.BUFFER, Kind.SCALARS, Kind.HANDLES, Kind.ADDRESSES, Kind.STRUCTS}


class HeaderError(Exception):
    """The headers do not say enough. Its text has one line per problem."""


@dataclass(frozen=True)
class Shape:
    """A C type in parts: the base type, what it is, and the type with the base replaced by that."""

    base: str
    category: str  # "scalar", "void", "char", "handle", "struct", or "" for what is outside the subset
    text: str  # "const handle *"
    const: bool
    array: int | None


@dataclass
class Reader:
    root: Path
    problems: list[tuple[Place, str, str]] = field(default_factory=list)
    handles: dict[str, Place] = field(default_factory=dict)
    structs: dict[str, Struct] = field(default_factory=dict)
    native: set[str] = field(default_factory=set)  # of the structures, those for C only
    constants: list[Constant] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def refuse(self, place: Place, name: str, problem: str) -> None:
        self.problems.append((place, name, problem))

    def finish(self) -> None:
        """Raises what has been refused so far."""
        if self.problems:
            lines = {
                f"{place}: error: {name}: {problem}": None
                for place, name, problem in sorted(self.problems, key=lambda p: (p[0].header, p[0].line))
            }
            raise HeaderError("\n".join(lines))

    # Types

    def shape(self, ctype: cindex.Type) -> Shape:
        array = None
        if ctype.kind == cindex.TypeKind.CONSTANTARRAY:
            array = ctype.element_count
            ctype = ctype.element_type
        many = ctype.kind == cindex.TypeKind.INCOMPLETEARRAY
        if many:
            ctype = ctype.element_type
        stars = ""
        while ctype.kind == cindex.TypeKind.POINTER:
            stars = ("*const " if ctype.is_const_qualified() else "*") + stars
            ctype = ctype.get_pointee()
        base = ctype.spelling.removeprefix("const ").replace("_Bool", "bool")
        category = self.category(base)
        text = ("const " if ctype.is_const_qualified() else "") + category + (f" {stars}" if stars else "")
        return Shape(
            base,
            category,
            text.rstrip() + ("[]" if array is not None or many else ""),
            ctype.is_const_qualified(),
            array,
        )

    def category(self, base: str) -> str:
        if base in SCALARS or base == "sb_status":
            return "scalar"
        if base in ("void", "char"):
            return base
        if base in self.handles:
            return "handle"
        return "struct" if base in self.structs else ""

    # Entities

    def annotations(self, cursor: cindex.Cursor, allowed: set[str], where: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for child in cursor.get_children():
            if child.kind != cindex.CursorKind.ANNOTATE_ATTR:
                continue
            key, _, value = child.spelling.removeprefix("sb:").partition("=")
            if key not in allowed:
                self.refuse(
                    place_of(cursor), cursor.spelling, f"SB_{key.upper()} has no meaning on a {where}; remove it"
                )
            if key in found:
                self.refuse(place_of(cursor), cursor.spelling, f"SB_{key.upper()} stands here twice; remove one")
            found[key] = value.strip()
        return found

    def entity(self, cursor: cindex.Cursor, shape: Shape, kind: Kind, notes: dict[str, str]) -> Entity:
        return Entity(
            name=cursor.spelling,
            kind=kind,
            ctype="int32_t" if shape.base == "sb_status" else shape.base,
            declaration=declaration(cursor.type),
            count=notes.get("count"),
            nullable="nullable" in notes,
            owned="owned" in notes,
            borrowed=notes.get("borrowed"),
            takes="takes" in notes,
            const=shape.const,
            array=shape.array,
        )

    def parameter(self, cursor: cindex.Cursor) -> Entity | None:
        place, name = place_of(cursor), cursor.spelling or "(unnamed parameter)"
        notes = self.annotations(cursor, PARAMETER_ANNOTATIONS, "parameter")
        shape = self.shape(cursor.type)
        directions = [d for d in ("in", "out", "inout", "takes") if d in notes]
        if not cursor.spelling:
            self.refuse(place, name, "a parameter needs a name, because bindings show it")
        if not shape.category:
            self.refuse(place, name, outside(cursor.type))
            return None
        if len(directions) > 1:
            self.refuse(place, name, "has more than one of SB_IN, SB_OUT, SB_INOUT and SB_TAKES; keep one")
            return None
        direction = directions[0] if directions else ""
        counted = "count" in notes
        kind = PARAMETERS.get((shape.text, direction, counted))
        kept = (shape.text, direction, counted) == ("const void *", "in", False) and "borrowed" in notes
        if kept:  # an address that the library keeps and never looks at
            kind = Kind.ADDRESS
        if kind is None:
            self.refuse(place, name, misfit(cursor.type, shape, direction, counted))
            return None
        if kind is Kind.STRUCT and self.structs[shape.base].options:
            kind = Kind.OPTIONS
        if kind is Kind.OUT_STRUCT and shape.base == "sb_error" and "nullable" in notes:
            kind = Kind.ERROR
        if not kept:
            self.check_owner(place, name, kind, notes)
        return self.entity(cursor, shape, kind, notes)

    def check_owner(self, place: Place, name: str, kind: Kind, notes: dict[str, str]) -> None:
        """Who closes what a call hands out must be said where it matters, and nowhere else."""
        said = {"owned", "borrowed"} & notes.keys()
        allowed = {
            Kind.OUT_HANDLE: {"owned"},
            Kind.OUT_ADDRESS: {"owned", "borrowed"},
            Kind.OUT_ADDRESSES: {"owned", "borrowed"},
            Kind.OUT_STRUCTS: {"borrowed"},
        }.get(kind, set())
        if allowed and len(said) != 1:
            self.refuse(
                place, name, "hands something out; say " + " or ".join(f"SB_{a.upper()}" for a in sorted(allowed))
            )
        elif not said <= allowed:
            self.refuse(place, name, "SB_OWNED and SB_BORROWED belong to what a call hands out; remove or change it")

    def result(self, cursor: cindex.Cursor, notes: dict[str, str]) -> Entity:
        place, name = place_of(cursor), cursor.spelling
        shape = self.shape(cursor.result_type)
        kind, owner = RESULTS.get(shape.text, (None, None))
        if kind is None or not shape.category:
            self.refuse(place, name, f"its result: {outside(cursor.result_type)}")
            kind = Kind.VOID
        elif owner and owner not in notes:
            self.refuse(
                place,
                name,
                f"does not say who owns its result; add SB_{owner.upper()}"
                + ("(parameter)" if owner == "borrowed" else ""),
            )
        elif not owner and {"owned", "borrowed"} & notes.keys():
            self.refuse(
                place, name, "SB_OWNED and SB_BORROWED on a function are for a result that is a pointer; remove it"
            )
        if shape.base == "sb_status":
            kind = Kind.STATUS
        return Entity(
            name="",
            kind=kind,
            ctype=shape.base,
            declaration=declaration(cursor.result_type),
            owned="owned" in notes,
            borrowed=notes.get("borrowed"),
            const=shape.const,
        )

    def resolve_counts(self, entities: list[Entity], places: dict[str, Place]) -> list[Entity]:
        """Marks what SB_COUNT names, and refuses names that are none."""
        by_name = {e.name: e for e in entities}
        for entity in entities:
            if entity.count is None:
                continue
            place, count = places[entity.name], by_name.get(entity.count)
            if count is None:
                self.refuse(
                    place,
                    entity.name,
                    f"SB_COUNT({entity.count}) names nothing beside it; name the parameter or field that counts",
                )
                continue
            given = entity.kind is Kind.OUT_STRUCTS or (
                entity.kind is Kind.OUT_ADDRESS and count.kind in (Kind.OUT_SCALAR, Kind.OUT_COUNT)
            )
            wanted = Kind.OUT_SCALAR if given else Kind.SCALAR
            if count.counts is not None and count.counts != entity.name:
                self.refuse(
                    place, entity.name, f"{entity.count} counts {count.counts} already; give each its own count"
                )
            elif count.kind is not wanted or count.ctype not in ("size_t", "uint32_t"):
                self.refuse(
                    place,
                    entity.name,
                    f"SB_COUNT({entity.count}) names something that cannot count; it must be a "
                    + ("size_t * with SB_OUT" if given else "size_t, or uint32_t in a structure"),
                )
            elif given:
                by_name[entity.count] = replace(count, kind=Kind.OUT_COUNT, counts=entity.name)
            elif entity.kind is Kind.OUT_ARRAY:
                self.resolve_array(entity, place, by_name)
            elif entity.kind in IMPLYING:
                by_name[entity.count] = replace(count, kind=Kind.COUNT, counts=entity.name)
        return list(by_name.values())

    def resolve_array(self, entity: Entity, place: Place, by_name: dict[str, Entity]) -> None:
        """Marks the output that says how many structures an array has got: it is called after the array."""
        got = by_name.get(f"{entity.name}_count")
        if got is None or got.kind is not Kind.OUT_SCALAR or got.ctype != "size_t":
            self.refuse(place, entity.name, f"is filled by the call; add `SB_OUT size_t *{entity.name}_count`")
        else:
            by_name[got.name] = replace(got, kind=Kind.OUT_COUNT, counts=entity.name)

    # Declarations

    def function(self, cursor: cindex.Cursor) -> None:
        place, name = place_of(cursor), cursor.spelling
        notes = self.annotations(cursor, FUNCTION_ANNOTATIONS, "function")
        roles = [role for role in ROLES if role in notes]
        native = "native" in notes
        if not re.fullmatch(r"sb_(?!priv_)[a-z][a-z0-9_]*", name):
            self.refuse(place, name, "a function of the API is called sb_..., in lower case")
        if any(f.name == name for f in self.functions):
            self.refuse(place, name, "is declared twice; remove one")
        if cursor.is_definition():
            self.refuse(
                place, name, "is defined in a header; bindings need a function of the library, so move it to core/src"
            )
        if cursor.type.is_function_variadic():
            self.refuse(place, name, "is variadic, which bindings cannot call; take a count and an array")
        if len({"api", "api_void"} & notes.keys()) != 1:
            self.refuse(place, name, "is not marked as part of the API; add SB_API, or SB_API_VOID if it has no result")
        if len(roles) != 1:
            self.refuse(
                place, name, "has no role or more than one; add one of " + ", ".join(f"SB_{r.upper()}" for r in ROLES)
            )
        arguments = list(cursor.get_arguments())
        parameters = [self.parameter(argument) for argument in arguments]
        result = self.result(cursor, notes)
        if "api_void" in notes and result.kind is not Kind.VOID:
            self.refuse(place, name, "has a result, so it must be used; write SB_API instead of SB_API_VOID")
        if "api" in notes and result.kind is Kind.VOID:
            self.refuse(place, name, "has no result; write SB_API_VOID instead of SB_API")
        summary, lines = self.comment(cursor)
        complete = [p for p in parameters if p is not None]
        if len(complete) != len(parameters) or len(roles) != 1:
            return
        places = {a.spelling: place_of(a) for a in arguments}
        complete = self.resolve_counts(complete, places)
        if not native:
            for parameter in complete:
                if parameter.ctype in self.native:
                    self.refuse(
                        places[parameter.name],
                        parameter.name,
                        f"is a {parameter.ctype}, which is for C only; mark {name} SB_NATIVE too",
                    )
        function = Function(
            name=name,
            role=roles[0],
            owner=None,
            parameters=tuple(complete),
            result=result,
            blocking="blocking" in notes,
            summary=summary,
            ownership=lines["Ownership"],
            threads=lines["Threads"],
            errors=lines["Errors"],
            since=lines["Since"],
            place=place,
            native=native,
            calls_back="calls_back" in notes,
        )
        self.check_order(function, places)
        self.check_borrowed(function, places)
        self.functions.append(self.with_owner(function))

    def comment(self, cursor: cindex.Cursor) -> tuple[str, dict[str, str]]:
        """The summary of a function's comment, and its lines Ownership, Threads, Errors and Since."""
        place, name = place_of(cursor), cursor.spelling
        text = plain(cursor.raw_comment)
        lines = dict.fromkeys(LINES, "")
        if not text or text.startswith("# "):
            self.refuse(place, name, "has no comment; write what it does, and the lines " + ", ".join(LINES))
            return "", lines
        summary, *rest = re.split(rf"(?:^|\n| {{2,}})({'|'.join(LINES)}):", text)
        if not summary.strip():
            self.refuse(place, name, "its comment does not begin with what it does")
        for key, value in zip(rest[::2], rest[1::2], strict=True):
            lines[key] = " ".join(value.split())
        for key, value in lines.items():
            if not value:
                self.refuse(place, name, f"its comment has no line {key}; add `{key}: ...`")
        if lines["Since"] and not re.fullmatch(r"\d+\.\d+", lines["Since"]):
            self.refuse(place, name, f"its line Since says {lines['Since']!r}; write a version such as 1.0")
        return unwrapped(summary), lines

    def check_order(self, function: Function, places: dict[str, Place]) -> None:
        """Outputs come last, sb_error last of all, and both only where a status says whether they were written."""
        if function.role == "init":
            return
        output = ""
        for parameter in function.parameters:
            if output == "error":
                self.refuse(
                    places[parameter.name],
                    parameter.name,
                    "comes after the sb_error; an sb_error is the last parameter",
                )
            if parameter.kind in OUTPUTS:
                output = "error" if parameter.kind is Kind.ERROR else output or "output"
            elif output == "output":
                self.refuse(places[parameter.name], parameter.name, "is an input after an output; outputs come last")
        if output and not function.fallible:
            self.refuse(
                function.place,
                function.name,
                "has outputs, which are written on success only; it must return sb_status",
            )

    def check_borrowed(self, function: Function, places: dict[str, Place]) -> None:
        names = {p.name for p in function.parameters} | {"forever"}
        for entity in (*function.parameters, function.result):
            if entity.borrowed is not None and entity.borrowed not in names:
                self.refuse(
                    places.get(entity.name, function.place),
                    entity.name or function.name,
                    f"SB_BORROWED({entity.borrowed}) names no parameter; name the one that keeps it valid, or forever",
                )

    def with_owner(self, function: Function) -> Function:
        """Finds the class that the function belongs to, and checks what its role asks for."""
        refuse = partial(self.refuse, function.place, function.name)
        parameters = function.parameters
        first = parameters[0] if parameters else None
        if function.role == "function":
            return function
        if function.role == "constructor":
            outputs = [p for p in parameters if p.kind in OUTPUTS and p.kind is not Kind.ERROR]
            if not outputs or outputs[-1].kind is not Kind.OUT_HANDLE:
                refuse("is a constructor, so its last output must be `SB_OUT SB_OWNED sb_x **`")
                return function
            owner = outputs[-1].ctype
            if not re.fullmatch(rf"{owner}_(open(_\w+)?|from_\w+)", function.name):
                refuse(f"makes a {owner}, so it must be called {owner}_open, {owner}_open_... or {owner}_from_...")
            return replace(function, owner=owner)
        if function.role == "init":
            owner = function.name.removesuffix("_options_init")
            named = first is not None and first.kind is Kind.OUT_STRUCT and function.name == f"{first.ctype}_init"
            if not named or owner not in self.handles or [p.declaration for p in parameters[1:]] != ["size_t"]:
                refuse("is not of the form void sb_x_options_init(SB_OUT sb_x_options *options, size_t struct_size)")
            return replace(function, owner=owner)
        if first is None or first.kind is not Kind.HANDLE:
            refuse(f"is a {function.role}, so its first parameter must be the handle it works on")
            return function
        owner = first.ctype
        if not function.name.startswith(f"{owner}_"):
            refuse(f"works on a {owner}, so its name must begin with {owner}_, or it is an SB_FUNCTION")
        takes_one = len(parameters) == 1 and first.takes and first.nullable
        closes = function.name == f"{owner}_close" and takes_one and function.result.kind is Kind.VOID
        if function.role == "destructor" and not closes:
            refuse(f"is not of the form void {owner}_close(SB_TAKES SB_NULLABLE {owner} *)")
        return replace(function, owner=owner, parameters=(replace(first, kind=Kind.SELF), *parameters[1:]))

    def struct(self, cursor: cindex.Cursor) -> None:
        place, name = place_of(cursor), cursor.spelling
        entities: list[Entity] = []
        places: dict[str, Place] = {}
        options = name.endswith("_options")
        native = "native" in self.annotations(cursor, STRUCT_ANNOTATIONS, "structure")
        for child in cursor.get_children():
            if child.kind == cindex.CursorKind.ANNOTATE_ATTR:
                continue
            if child.kind == cindex.CursorKind.FIELD_DECL:
                places[child.spelling] = place_of(child)
                if native:
                    entity = self.native_field(child, cursor.type)
                else:
                    entity = self.field(child, cursor.type, first=not entities, options=options)
                if entity is not None:
                    entities.append(entity)
            else:
                self.refuse(
                    place_of(child),
                    name,
                    "holds something that is not a plain field; structures of the API hold fields only",
                )
        doc = plain(cursor.raw_comment)
        sized = bool(entities) and entities[0].name == "struct_size" and entities[0].ctype == "uint32_t"
        if not doc:
            self.refuse(place, name, "has no comment; write what it holds")
        if options and not sized:
            self.refuse(place, name, "is an options structure, so it must start with uint32_t struct_size")
        elif doc and not sized and "Frozen" not in doc:
            self.refuse(
                place,
                name,
                "could not grow; start it with uint32_t struct_size, or say in its comment that it is Frozen",
            )
        fields = tuple(entities if native else self.resolve_counts(entities, places))
        self.structs[name] = Struct(name, fields, cursor.type.get_size(), sized, options, doc, place, native)
        if native:
            self.native.add(name)

    def native_field(self, cursor: cindex.Cursor, parent: cindex.Type) -> Entity | None:
        """A field that only C sees: it may be of any type, also a pointer to a function."""
        if cursor.is_bitfield():
            self.refuse(
                place_of(cursor),
                cursor.spelling,
                "is a bit-field, whose layout is the compiler's; use a bool or a flags integer",
            )
            return None
        notes = self.annotations(cursor, FIELD_ANNOTATIONS - {"native"}, "field of a structure for C only")
        return replace(
            self.entity(cursor, self.shape(cursor.type), Kind.NATIVE, notes),
            offset=parent.get_offset(cursor.spelling) // 8,
            size=cursor.type.get_size(),
            doc=unwrapped(plain(cursor.raw_comment)),
        )

    def field(self, cursor: cindex.Cursor, parent: cindex.Type, first: bool, options: bool) -> Entity | None:
        place, name = place_of(cursor), cursor.spelling
        notes = self.annotations(cursor, FIELD_ANNOTATIONS, "field")
        shape = self.shape(cursor.type)
        if "native" in notes and not options:
            self.refuse(
                place,
                name,
                "is SB_NATIVE, but only a field of an options structure has a default that bindings can leave; remove it",
            )
            return None
        native = "native" in notes
        if native and (not shape.category or "*" not in shape.text or "count" in notes):
            self.refuse(place, name, "is SB_NATIVE, so it must be a pointer to one thing, of which NULL is the default")
            return None
        if shape.base in self.native and not native:
            self.refuse(place, name, f"is a {shape.base}, which is for C only; mark the field SB_NATIVE too")
            return None
        if cursor.is_bitfield():
            self.refuse(place, name, "is a bit-field, whose layout is the compiler's; use a bool or a flags integer")
            return None
        if not shape.category:
            self.refuse(place, name, outside(cursor.type))
            return None
        hidden = name == "reserved" or (first and name == "struct_size")
        if native:
            kind: Kind | None = Kind.NATIVE
        elif hidden and shape.text in ("scalar", "scalar[]"):
            kind = Kind.RESERVED
        else:
            kind = FIELDS.get((shape.text, "count" in notes))
        if kind is None:
            self.refuse(place, name, misfit(cursor.type, shape, "", "count" in notes))
            return None
        return replace(
            self.entity(cursor, shape, kind, notes),
            offset=parent.get_offset(name) // 8,
            size=cursor.type.get_size(),
            doc=unwrapped(plain(cursor.raw_comment)),
        )

    def enumeration(self, cursor: cindex.Cursor) -> None:
        members = list(cursor.get_children())
        if not cursor.is_anonymous():
            self.refuse(
                place_of(cursor),
                cursor.spelling,
                "is a named enumeration, whose size is the compiler's; leave out the name and pass int32_t",
            )
        names = [m.spelling for m in members]
        group = "status" if "SB_OK" in names else common_prefix(names)
        if not group:
            self.refuse(
                place_of(cursor), names[0], "members of an enumeration share a prefix SB_GROUP_; this one has none"
            )
        for member in members:
            doc = unwrapped(plain(member.raw_comment))
            self.constant(place_of(member), member.spelling, member.enum_value, doc, group)

    def constant(self, place: Place, name: str, value: int, doc: str, group: str) -> None:
        if not re.fullmatch(r"SB_[A-Z][A-Z0-9_]*", name):
            self.refuse(place, name, "a constant of the API is called SB_..., in capitals")
        self.constants.append(Constant(name, value, doc, group, place))

    def macro(self, cursor: cindex.Cursor) -> None:
        place, name = place_of(cursor), cursor.spelling
        tokens = [t.spelling for t in cursor.get_tokens()][1:]
        if not tokens and re.fullmatch(r"SAMEBYTES_\w+_H", name):
            return  # the guard
        match = re.fullmatch(r"\(?(-?)(0[xX][0-9a-fA-F]+|0|[1-9][0-9]*)[uUlL]*\)?", "".join(tokens))
        if match is None:
            self.refuse(
                place, name, "is not an integer constant; the API's macros are, write anything else as a function"
            )
            return
        line = self.texts[place.header].splitlines()[place.line - 1]
        comment = re.search(r"/\*+<?\s*(.*?)\s*\*/", line)
        self.constant(place, name, int(match[1] + match[2], 0), comment[1] if comment else "", "")

    def typedef(self, cursor: cindex.Cursor) -> None:
        place, name = place_of(cursor), cursor.spelling
        target = cursor.underlying_typedef_type.get_declaration()
        if name == "sb_status" and cursor.underlying_typedef_type.spelling == "int32_t":
            return
        if target.kind != cindex.CursorKind.STRUCT_DECL or target.spelling != name or not name.startswith("sb_"):
            self.refuse(
                place,
                name,
                f"is a type outside the subset; only `typedef struct {name} {name}` and fixed-width integers may be used",
            )
        elif not target.is_definition() and target.get_definition() is None:
            self.handles[name] = place

    # Headers

    def header(self, name: str) -> None:
        """The chapter comment of one header."""
        text = self.texts[name]
        chapter = re.search(r"/\*\* # .*?\*/", text, re.DOTALL)
        if chapter is None:
            self.refuse(
                Place(name, 1), name, "has no chapter comment; begin it with `/** # Title`, see docs of another header"
            )
            return
        place = Place(name, text.count("\n", 0, chapter.start()) + 1)
        title, _, manual = plain(chapter[0]).partition("\n")
        found = [s for s in re.findall(r"^## (.+)$", manual, re.MULTILINE) if s in SECTIONS]
        for section in SECTIONS:
            if section not in found:
                self.refuse(place, name, f"its chapter comment has no section `## {section}`; add it")
        if sorted(found, key=SECTIONS.index) != found:
            self.refuse(place, name, "the sections of its chapter comment come in the order " + ", ".join(SECTIONS))
        self.headers.append(Header(name, title.removeprefix("# ").strip(), manual.strip(), place))

    def translate(self, path: Path, *arguments: str) -> cindex.TranslationUnit:
        """Parses one file, and refuses it where C does."""
        compiler = subprocess.run(
            ["gcc", "-print-file-name=include"], capture_output=True, text=True, check=True
        ).stdout.strip()
        unit = cindex.Index.create().parse(
            str(path),
            args=["-x", "c", "-std=c11", "-Wall", *arguments, f"-I{self.root / INCLUDE}", "-isystem", compiler],
            options=cindex.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD,
        )
        for diagnostic in unit.diagnostics:
            if diagnostic.severity >= cindex.Diagnostic.Warning:
                location = diagnostic.location
                place = Place(Path(location.file.name).name if location.file else path.name, location.line)
                name = re.search(r"'(\w+)'", diagnostic.spelling)
                hint = "; annotations.h lists the annotations there are" if name and name[1].startswith("SB_") else ""
                self.refuse(place, name[1] if name else "C", diagnostic.spelling + hint)
        self.finish()
        return unit

    def parse(self) -> cindex.TranslationUnit:
        """Parses the umbrella header, which includes all others."""
        unit = self.translate(self.root / FOLDER / UMBRELLA, "-DSB_GENERATE")
        included = {Path(i.include.name).name for i in unit.get_includes()}
        for path in sorted((self.root / FOLDER).glob("*.h")):
            if path.name not in included | {UMBRELLA}:
                self.refuse(Place(UMBRELLA, 1), path.name, f"is not included; add #include <samebytes/{path.name}>")
        return unit

    def drop_ins(self) -> Iterator[DropIn]:
        """The functions of the drop-in headers, which lie beside the folder of the API."""
        for path in sorted((self.root / INCLUDE).glob("*.h")):
            since = re.search(r"\bSince: (\d+\.\d+)\b", path.read_text(encoding="utf-8"))
            for cursor in self.translate(path, "-Wno-unused-function").cursor.get_children():
                file = cursor.location.file
                if cursor.kind != cindex.CursorKind.FUNCTION_DECL or Path(file.name).resolve() != path.resolve():
                    continue
                place, name = place_of(cursor), cursor.spelling
                if name.startswith("sb_"):
                    self.refuse(place, name, "is a name of the API; declare it in a header of the folder samebytes/")
                elif cursor.is_definition():
                    self.refuse(place, name, "is defined in a header; declare it there, and define it in core/src")
                elif since is None:
                    self.refuse(place, name, "nothing says since when; the header's comment needs a line `Since: 1.0`")
                else:
                    yield DropIn(name, path.name, since[1])

    def layouts(self) -> Iterator[Layout]:
        """Every structure as C programs see it: without SB_GENERATE, also those of Arrow and of the drop-in headers."""
        folder = (self.root / INCLUDE).resolve()
        seen = set()
        for path in (self.root / FOLDER / UMBRELLA, *sorted((self.root / INCLUDE).glob("*.h"))):
            for cursor in self.translate(path, "-w").cursor.get_children():
                file = cursor.location.file
                if (
                    cursor.kind != cindex.CursorKind.STRUCT_DECL
                    or not cursor.is_definition()
                    or cursor.spelling in seen
                ):
                    continue
                if folder not in Path(file.name).resolve().parents:
                    continue
                seen.add(cursor.spelling)
                yield self.layout(cursor)

    def layout(self, cursor: cindex.Cursor) -> Layout:
        fields = []
        for child in cursor.get_children():
            if child.kind == cindex.CursorKind.FIELD_DECL and not child.is_bitfield():
                offset, size = cursor.type.get_offset(child.spelling) // 8, child.type.get_size()
                fields.append(LayoutField(child.spelling, declaration(child.type), offset, size))
            else:
                self.refuse(
                    place_of(child),
                    cursor.spelling,
                    "holds something that is not a plain field; its layout cannot be told",
                )
        sized = bool(fields) and (fields[0].name, fields[0].ctype) == ("struct_size", "uint32_t")
        spelled = declaration(cursor.type)
        ctype = spelled if spelled == cursor.spelling else f"struct {cursor.spelling}"
        return Layout(cursor.spelling, ctype, cursor.type.get_size(), cursor.type.get_align(), sized, tuple(fields))

    def declarations(self, unit: cindex.TranslationUnit) -> Iterator[cindex.Cursor]:
        """What the headers of the API declare, in their order."""
        folder = (self.root / FOLDER).resolve()
        for cursor in unit.cursor.get_children():
            file = cursor.location.file
            if file is None or Path(file.name).resolve().parent != folder:
                continue
            name = Path(file.name).name
            if name == LANGUAGE or cursor.kind in (
                cindex.CursorKind.MACRO_INSTANTIATION,
                cindex.CursorKind.INCLUSION_DIRECTIVE,
            ):
                continue
            if name not in self.texts:
                self.texts[name] = Path(file.name).read_text(encoding="utf-8")
            yield cursor

    def read(self) -> Api:
        kinds = cindex.CursorKind
        unit = self.parse()
        cursors = list(self.declarations(unit))
        macros = [c for c in cursors if c.kind == kinds.MACRO_DEFINITION]
        others = [c for c in cursors if c.kind != kinds.MACRO_DEFINITION]
        # Macros come first from libclang, whatever header they stand in; the other declarations give the order of the headers.
        order = {
            name: index for index, name in enumerate(dict.fromkeys(Path(c.location.file.name).name for c in others))
        }
        for cursor in others:
            if cursor.kind == kinds.TYPEDEF_DECL:
                self.typedef(cursor)
        for cursor in others:
            if cursor.kind == kinds.STRUCT_DECL:
                if cursor.is_definition():
                    self.struct(cursor)
            elif cursor.kind == kinds.ENUM_DECL:
                self.enumeration(cursor)
            elif cursor.kind == kinds.FUNCTION_DECL:
                self.function(cursor)
            elif cursor.kind != kinds.TYPEDEF_DECL:
                self.refuse(
                    place_of(cursor),
                    cursor.spelling or "(unnamed)",
                    "is a declaration outside the subset; the API has "
                    "functions, structures, opaque handles, anonymous enumerations and integer constants",
                )
        for cursor in macros:
            self.macro(cursor)
        for name in order:
            if name != UMBRELLA:
                self.header(name)
        self.constants.sort(key=lambda constant: (order.get(constant.place.header, len(order)), constant.place.line))
        return self.api()

    def api(self) -> Api:
        version = tuple(self.version(part) for part in ("MAJOR", "MINOR", "PATCH"))
        classes = tuple(self.classes())
        self.check_names()
        drop_ins = tuple(self.drop_ins())
        self.finish()
        layouts = tuple(self.layouts())
        self.finish()
        api = Api(
            version=version,  # type: ignore[arg-type]
            headers=tuple(self.headers),
            constants=tuple(self.constants),
            structs=tuple(self.structs.values()),
            classes=classes,
            functions=tuple(self.functions),
            digest=0,
            texts=self.texts,
            drop_ins=drop_ins,
            layouts=layouts,
        )
        return replace(api, digest=digest(api))

    def version(self, part: str) -> int:
        name = f"SB_VERSION_{part}"
        for constant in self.constants:
            if constant.name == name:
                return constant.value
        self.refuse(Place("library.h", 1), name, "is not defined; bindings need the version")
        return 0

    def check_names(self) -> None:
        """Two things of C may not get one name in another language."""
        seen: dict[tuple[str, str], str] = {}
        for place, c_name, names in self.generated_names():
            for language, name in zip(("Python", "Go"), names, strict=True):
                other = seen.setdefault((language, name), c_name)
                if name and other != c_name:
                    self.refuse(place, c_name, f"is called {name} in {language}, and so is {other}; rename one")

    def generated_names(self) -> Iterator[tuple[Place, str, tuple[str, str]]]:
        """Place, C name, and the names in Python and Go of everything that users see."""
        structs = ((s.name, s.place) for s in self.structs.values() if not s.native)
        for name, place in (*self.handles.items(), *structs):
            # A class and its constructor have one name in Python.
            yield place, f"{name}_open" if name in self.handles else name, (model.class_name(name), "")
            yield place, name, ("", model.class_name(name))
        for constant in self.constants:
            status = constant.group == "status"
            python = model.exception_name(constant.name) if status else constant.name.removeprefix("SB_")
            yield constant.place, constant.name, (python, model.go_constant_name(constant))
        for function in (f for f in self.functions if not f.native):
            yield function.place, function.name, (model.python_name(function), model.go_function_name(function))

    def classes(self) -> Iterator[Class]:
        for name, place in self.handles.items():
            mine = [f for f in self.functions if f.owner == name]
            destructor = next((f for f in mine if f.role == "destructor"), None)
            if destructor is None:
                self.refuse(place, name, f"is a handle without a destructor; declare SB_DESTRUCTOR {name}_close")
                continue
            if destructor.native:  # a class for C only
                for function in mine:
                    if not function.native:
                        self.refuse(
                            function.place,
                            function.name,
                            f"is bound, but {name}, whose destructor is SB_NATIVE, is not; mark all of its functions, or none",
                        )
                continue
            yield Class(
                name=name,
                constructors=tuple(f for f in mine if f.role == "constructor"),
                methods=tuple(f for f in mine if f.role == "method"),
                destructor=destructor,
                header=place.header,
                place=place,
            )


def place_of(cursor: cindex.Cursor) -> Place:
    location = cursor.location
    return Place(Path(location.file.name).name, location.line)


def declaration(ctype: cindex.Type) -> str:
    if ctype.kind == cindex.TypeKind.INCOMPLETEARRAY:  # of a parameter: C makes a pointer of it
        return declaration(ctype.element_type).rstrip() + " *"
    spelling: str = ctype.spelling
    return spelling.replace("_Bool", "bool")


def outside(ctype: cindex.Type) -> str:
    return (
        f"type '{ctype.spelling}' is outside the subset; use intN_t, uintN_t, size_t, bool, double, a handle, or a pointer to a structure "
        "of the API that is defined before"
    )


def misfit(ctype: cindex.Type, shape: Shape, direction: str, counted: bool) -> str:
    """Why a type that is in the subset cannot stand here."""
    table: Iterable[tuple[Any, ...]] = PARAMETERS
    if any(text == shape.text and d == direction and c != counted for text, d, c in table):
        return (
            "has an SB_COUNT that its type cannot have; remove it"
            if counted
            else "points to many; say how many with SB_COUNT(n)"
        )
    if "*" in shape.text and not direction and any(text == shape.text for text, _, _ in table):
        return f"type '{ctype.spelling}' needs a direction; add SB_IN, SB_OUT, SB_INOUT or SB_TAKES"
    noted = f" with SB_{direction.upper()}" if direction else ""
    return f"type '{ctype.spelling}'{noted} is outside the subset; annotations.h and other headers show what there is"


def plain(comment: str | None) -> str:
    """A comment without its stars. Lines keep their breaks, and what they are indented by beyond the text."""
    if not comment or not comment.startswith("/**"):
        return ""
    body = re.sub(r"^/\*\*<?|\*/$", "", comment)
    lines = [re.sub(r"^\s*\*(?:  | $|$)|^\s*\* ?", "", line).rstrip() for line in body.split("\n")]
    return "\n".join(lines).strip()


def unwrapped(text: str) -> str:
    """Text whose paragraphs are one line each."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text.strip()))


def common_prefix(names: list[str]) -> str:
    """SB_TYPE_INT8, SB_TYPE_ARRAY_INT8 -> type; "" when there is none."""
    split = [name.removeprefix("SB_").split("_") for name in names]
    words: list[str] = []
    for column in zip(*(parts[:-1] for parts in split), strict=False):
        if len(set(column)) > 1:
            break
        words.append(column[0])
    return "_".join(words).lower()


def digest(api: Api) -> int:
    """64 bits over all that a binding depends on, comments and places aside."""
    lines = [f"constant {c.name} {c.value}" for c in api.constants]
    for struct in api.structs:
        lines.append(f"struct {struct.name} {struct.size} {struct.sized} {struct.native}")
        lines += [canonical(f) for f in struct.fields]
    for function in api.functions:
        lines.append(f"{function.role} {function.name} {function.owner} {function.blocking} {function.native}")
        lines += [canonical(e) for e in (function.result, *function.parameters)]
    return int.from_bytes(hashlib.sha256("\n".join(lines).encode()).digest()[:8], "big")


def canonical(entity: Entity) -> str:
    return repr(replace(entity, doc=""))


def read(root: Path) -> Api:
    """What the headers under `root` say. Raises HeaderError with one line per problem."""
    return Reader(root).read()
