"""Messages and visits for whatever reads the Arrow PyCapsule interface: pyarrow, Polars, DuckDB, pandas and others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from . import _objects, _records, errors

if TYPE_CHECKING:
    from ._codec import Batch

Strings = Literal["binary", "utf8"]
STRINGS = {"binary": _records.STRINGS_BINARY, "utf8": _records.STRINGS_UTF8}


def strings_of(strings: str) -> int:
    if strings in STRINGS:
        return STRINGS[strings]
    raise errors.InvalidArgumentError(f"strings: {strings!r} is none of {', '.join(STRINGS)}")


def stream_of(export: Callable[[int, int], None], strings: int) -> object:
    """A capsule with the stream that *export* makes."""
    capsule, address = _objects.arrow_capsule("arrow_array_stream")
    export(strings, address)
    return capsule


class ArrowStream:
    """Something that can be read through Arrow, as often as one likes: each time it is exported anew, as it is then."""

    __slots__ = ("_export", "_strings")

    def __init__(self, export: Callable[[int, int], None], strings: int) -> None:
        self._export = export
        self._strings = strings

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A capsule with a stream. *requested_schema*, which is a wish by its definition, is not looked at."""
        return stream_of(self._export, self._strings)


class ArrowRows:
    """The rows of a batch that follow one schema, as something that reads through Arrow, while the batch holds them."""

    __slots__ = ("_batch", "_schema", "_strings")

    def __init__(self, batch: Batch, schema: int, strings: int) -> None:
        self._batch = batch
        self._schema = schema
        self._strings = strings

    def __arrow_c_schema__(self) -> object:
        """A capsule with the type of the rows."""
        capsule, address = _objects.arrow_capsule("arrow_schema")
        with self._batch.get_schema(self._schema) as schema:
            schema.export_arrow(self._strings, address)
        return capsule

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[Any, Any]:
        """Capsules with the type and the rows. *requested_schema*, which is a wish by its definition, is not looked at."""
        schema, schema_address = _objects.arrow_capsule("arrow_schema")
        array, array_address = _objects.arrow_capsule("arrow_array")
        self._batch.export_arrow(self._schema, self._strings, schema_address, array_address)
        return schema, array

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A capsule with a stream of the rows."""
        return stream_of(
            lambda strings, address: self._batch.export_arrow_stream(self._schema, strings, address), self._strings
        )
