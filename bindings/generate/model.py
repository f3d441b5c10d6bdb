"""What the headers say, as data: the one thing that every emitter reads.

reader.py fills it from the headers with libclang and refuses what is not annotated; emitters only translate it. Everything is in the
order of the headers, so that the output is deterministic.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace


class Kind(enum.Enum):
    """What a parameter, field or result is to a binding."""

    # Results only
    VOID = "void"
    STATUS = "status"  # sb_status as a result: becomes an exception or error

    # Parameters, fields and results
    SCALAR = "scalar"  # intN_t, uintN_t, size_t, bool, double; Entity.ctype names it
    TEXT = "text"  # const char *: NUL-terminated UTF-8
    CHARS = "chars"  # field only: char name[N], NUL-terminated
    ADDRESS = "address"  # void * that is passed on as it is (parameter, field, or SB_BORROWED result)
    HANDLE = "handle"  # sb_x *: an opaque object; Entity.ctype is "sb_x"

    # Parameters and fields with a count
    BYTES = "bytes"  # SB_COUNT(n) const void *: read by C, n bytes
    BUFFER = "buffer"  # SB_OUT SB_COUNT(n) void *: the caller's memory, written by C, n bytes
    SCALARS = "scalars"  # SB_COUNT(n) const intN_t *: n items in native order
    HANDLES = "handles"  # SB_COUNT(n) sb_x *const *: n handles
    ADDRESSES = "addresses"  # SB_COUNT(n) void *const x[]: n addresses
    STRUCTS = "structs"  # SB_COUNT(n) const sb_s *: n structures
    COUNT = "count"  # size_t n that another parameter or field names: implied by it
    STRUCT = "struct"  # const sb_s *: one structure
    OPTIONS = "options"  # const sb_x_options *: keyword arguments
    RESERVED = "reserved"  # field only: struct_size, reserved, reserved[N]: hidden from users
    NATIVE = "native"  # field only: SB_NATIVE, or any field of an SB_NATIVE structure: for C only

    # Output parameters
    OUT_SCALAR = "out_scalar"  # intN_t *
    OUT_HANDLE = "out_handle"  # sb_x **
    OUT_ADDRESS = "out_address"  # void **, with or without a count
    OUT_ADDRESSES = "out_addresses"  # void *x[]: the caller's memory, written by C, as many as an input says
    OUT_STRUCT = "out_struct"  # sb_s *
    OUT_STRUCTS = "out_structs"  # const sb_s **, counted by an OUT_COUNT, borrowed
    OUT_ARRAY = "out_array"  # SB_OUT SB_COUNT(n) sb_s *: the caller's memory for n structures, filled by C; NAME_count says how many
    OUT_COUNT = "out_count"  # size_t * that counts an OUT_ADDRESS (then it is a result too), an OUT_STRUCTS or OUT_ARRAY (then implied)
    ERROR = "error"  # sb_error *: folded into the exception or error

    SELF = "self"  # the handle that a method or destructor works on


@dataclass(frozen=True)
class Place:
    """Where something stands: a header's name ("pool.h") and a line."""

    header: str
    line: int

    def __str__(self) -> str:
        return f"{self.header}:{self.line}"


@dataclass(frozen=True)
class Entity:
    """A parameter, a field of a structure, or a result."""

    name: str  # "" for a result
    kind: Kind
    ctype: str  # the base type without const and stars: "int32_t", "sb_pool", "void", "char"
    declaration: str  # the whole C type as written in the header: "const sb_value **"
    count: str | None = None  # SB_COUNT: name of the parameter or field that counts
    counts: str | None = None  # for COUNT and OUT_COUNT: name of what it counts
    nullable: bool = False
    owned: bool = False
    borrowed: str | None = None  # SB_BORROWED
    takes: bool = False
    const: bool = False
    array: int | None = None  # fields only: N of char name[N], uint8_t reserved[N]
    offset: int | None = None  # fields only: bytes
    size: int | None = None  # fields only: bytes
    doc: str = ""


@dataclass(frozen=True)
class Function:
    name: str  # "sb_pool_get"
    role: str  # "function", "constructor", "method", "destructor", "init"
    owner: str | None  # the class: "sb_pool"; None for role "function"
    parameters: tuple[Entity, ...]
    result: Entity
    blocking: bool
    summary: str  # the comment before its lines, plain text
    ownership: str
    threads: str
    errors: str
    since: str
    place: Place
    native: bool = False  # for C only
    calls_back: bool = False  # may call a provider of memory, which may be written in Go

    @property
    def short(self) -> str:
        """The name inside its class: "get" of sb_pool_get; "open_heap" of sb_memory_open_heap; "crc32c" of sb_crc32c."""
        return self.name.removeprefix(f"{self.owner}_" if self.owner else "sb_")

    @property
    def fallible(self) -> bool:
        return self.result.kind is Kind.STATUS

    @property
    def summary_returning(self) -> str:
        """The summary for languages whose functions return what C stores in outputs."""
        text = re.sub(r"\b([Ss])tores((?: [^.:;,]*?)?) in `\*\w+`", r"\1tores\2", self.summary)
        return re.sub(r"\bstores\b", "returns", re.sub(r"\bStores\b", "Returns", text))


@dataclass(frozen=True)
class Struct:
    name: str  # "sb_pool_stats"
    fields: tuple[Entity, ...]
    size: int
    sized: bool  # starts with uint32_t struct_size
    options: bool  # named ..._options, filled by an init function
    doc: str
    place: Place
    native: bool = False  # for C only


@dataclass(frozen=True)
class Constant:
    """A #define with an integer value, or a member of an enumeration."""

    name: str  # "SB_OK"
    value: int
    doc: str
    group: str  # "status", "direction", "type" for members of enumerations (by their common prefix; statuses are "status"); "" for #define
    place: Place


@dataclass(frozen=True)
class Class:
    """An opaque handle with everything that belongs to it."""

    name: str  # "sb_pool"
    constructors: tuple[Function, ...]
    methods: tuple[Function, ...]
    destructor: Function
    header: str
    place: Place


@dataclass(frozen=True)
class Header:
    name: str  # "pool.h"
    title: str  # "Pool: memory that is handed out and taken back without malloc"
    manual: str  # the rest of the chapter comment, Markdown
    place: Place


@dataclass(frozen=True)
class DropIn:
    """A function under the name that programs for another library call: exported, but no part of the API that bindings have."""

    name: str  # "VisitManagerAddVisit"
    header: str  # "recent_visits.h"
    since: str


@dataclass(frozen=True)
class LayoutField:
    name: str
    ctype: str  # "const sb_pool_class *"
    offset: int  # bytes
    size: int  # bytes


@dataclass(frozen=True)
class Layout:
    """How a structure lies in memory: each of the headers, also those that are no part of the API that bindings have."""

    name: str  # "sb_pool_stats", "ArrowSchema", "Visit"
    ctype: str  # as C spells it: "struct sb_pool_stats"; "Visit" where the structure has no tag
    size: int  # bytes
    alignment: int  # bytes
    sized: bool  # starts with uint32_t struct_size
    fields: Sequence[LayoutField]


@dataclass(frozen=True)
class Api:
    version: tuple[int, int, int]
    headers: tuple[Header, ...]
    constants: tuple[Constant, ...]
    structs: tuple[Struct, ...]
    classes: tuple[Class, ...]
    functions: tuple[Function, ...]  # all of them, in the order of the headers
    digest: int  # 64 bits, over everything above that a binding depends on
    texts: dict[str, str] = field(default_factory=dict, hash=False, compare=False)  # header name -> source text
    drop_ins: tuple[DropIn, ...] = ()  # what the headers beside the folder samebytes/ declare
    layouts: tuple[Layout, ...] = ()  # of all structures, in the order of the headers
    go_by_hand: frozenset[str] = frozenset()  # what hand-written files of bindings/go define; emit_go.py looks

    def struct(self, name: str) -> Struct:
        return next(s for s in self.structs if s.name == name)

    def bound(self) -> Api:
        """What bindings have: all but what is for C only."""
        return replace(
            self,
            functions=tuple(f for f in self.functions if not f.native),
            structs=tuple(s for s in self.structs if not s.native),
            classes=tuple(
                replace(
                    c,
                    constructors=tuple(f for f in c.constructors if not f.native),
                    methods=tuple(f for f in c.methods if not f.native),
                )
                for c in self.classes
            ),
        )


# The rule by which one name becomes three. Acronyms are written in capitals in Go, as its style asks.
ACRONYMS = {"abi", "api", "crc32c", "fd", "id", "io", "utf8", "url"}


def class_name(c_name: str) -> str:
    """sb_visit_manager -> VisitManager, in Python and Go."""
    return "".join(word.capitalize() for word in c_name.removeprefix("sb_").split("_"))


def go_name(snake: str) -> str:
    """add_visit -> AddVisit; api_key -> APIKey."""
    return "".join(word.upper() if word in ACRONYMS else word.capitalize() for word in snake.split("_"))


def exception_name(status: str) -> str:
    """SB_UNKNOWN_API_KEY -> UnknownApiKeyError."""
    return class_name(status.lower()) + "Error"


def python_name(function: Function) -> str:
    """The full name in Python: Pool, Pool.get_stats, Memory.open_heap, crc32c. "" for SB_INIT: options are keyword arguments."""
    if function.role == "init":
        return ""
    if function.owner is None:
        return function.short
    return class_name(function.owner) + ("" if function.short == "open" else f".{function.short}")


def go_function_name(function: Function) -> str:
    """The full name in Go: NewPool, Pool.GetStats, OpenMemoryHeap, CRC32C. "" for SB_INIT: options are a structure, nil by default."""
    if function.role == "init":
        return ""
    if function.owner is None:
        return go_name(function.short)
    owner = class_name(function.owner)
    if function.role == "constructor":
        if function.short.startswith("from_"):
            return owner + go_name(function.short)
        variant = function.short.removeprefix("open").removeprefix("_")
        return f"Open{owner}{go_name(variant)}" if variant else f"New{owner}"
    return f"{owner}.{go_name(function.short)}"


def go_constant_name(constant: Constant) -> str:
    """SB_TYPE_INT8 -> TypeInt8; of statuses SB_OK -> OK and SB_UNKNOWN_API_KEY -> ErrUnknownAPIKey."""
    short = constant.name.removeprefix("SB_").lower()
    if constant.group != "status":
        return go_name(short)
    return "OK" if short == "ok" else "Err" + go_name(short)
