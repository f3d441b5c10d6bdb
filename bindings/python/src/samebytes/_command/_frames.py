"""samebytes frames: a stream of frames, field by field, and where it is damaged."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import click

from .. import _codec, _records
from .._classes import echo_request_schema, echo_response_schema, status_name
from .._errors import SamebytesError
from .._schema_file import load_schemas
from . import _show, _status

PIECE = 1 << 20
FIELDS_AT = 6  # offset of the first field in a frame: Size, api_key, sequence
SIZES = {"int8": 1, "int16": 2, "int32": 4, "int64": 8}
TYPES = {
    _records.TYPE_STRING: "string",
    _records.TYPE_ARRAY_STRING: "array<string>",
    **{getattr(_records, f"TYPE_{name.upper()}"): name for name in SIZES},
    **{getattr(_records, f"TYPE_ARRAY_{name.upper()}"): f"array<{name}>" for name in SIZES},
}
DIRECTIONS = {"request": _records.DIRECTION_REQUEST, "response": _records.DIRECTION_RESPONSE}


class Found(NamedTuple):
    """A frame, or why it is none."""

    offset: int
    direction: str
    row: _codec.Message | None
    error: _records.Error | None


class Field(NamedTuple):
    name: str
    type: str
    offset: int
    value: Any


def size_of(type_name: str, value: Any) -> int:
    """Bytes of a value in its frame."""
    if type_name == "string":
        return 4 + len(value)
    if type_name == "array<string>":
        return 2 + sum(4 + len(item) for item in value)
    if type_name.startswith("array<"):
        return 2 + SIZES[type_name[6:-1]] * len(value)
    return SIZES[type_name]


def fields_of(schema: _codec.Schema, row: _codec.Message) -> Iterator[Field]:
    """The fields of a row with the offsets in the stream of their first bytes."""
    offset = row.stream_offset + FIELDS_AT
    for field, value in zip(schema.fields, tuple(row)[2:]):
        name = TYPES[field.type]
        yield Field(field.name, name, offset, value)
        offset += size_of(name, value)


def by_direction(schemas: list[_codec.Schema], direction: str) -> list[_codec.Schema]:
    return [schema for schema in schemas if schema.direction() == DIRECTIONS[direction]]


class Boundaries:
    """Where the next frame begins, by the Sizes alone: what a parser still needs does not say how much it has."""

    def __init__(self, max_frame_size: int) -> None:
        self.max_frame_size = max_frame_size
        self.next = 0
        self.position = 0
        self.head = b""
        self.lost = False

    def feed(self, data: bytes) -> None:
        start = self.position
        self.position += len(data)
        while not self.lost and self.next < self.position:
            at = max(self.next - start, 0)
            self.head += data[at : at + 4 - len(self.head)]
            if len(self.head) < 4:
                return
            size = int.from_bytes(self.head, signed=True)
            self.head = b""
            self.lost = not 2 <= size <= self.max_frame_size
            self.next += 4 + size

    def missing(self) -> int:
        """Bytes without which the last frame is not whole; 0 when the stream ends between two."""
        if self.lost:
            return 0
        return 4 - len(self.head) if self.head else self.next - self.position


class Reader:
    """One parser per direction, fed with the same bytes; what both say of a frame becomes one answer.

    A frame is of the first direction that it fits: nothing in it says which one it is.
    """

    def __init__(
        self, schemas: list[_codec.Schema], directions: list[str], max_frame_size: int, keep: ExitStack
    ) -> None:
        self.parsers: list[tuple[str, list[_codec.Schema], _codec.Parser]] = []
        for direction in directions:
            fitting = by_direction(schemas, direction)
            if fitting:
                parser = keep.enter_context(_codec.Parser(fitting, max_frame_size))
                self.parsers.append((direction, fitting, parser))
        self.batch = keep.enter_context(_codec.Batch())
        self.boundaries = Boundaries(max_frame_size)

    @property
    def ended(self) -> bool:
        return all(parser.end() != _records.OK for _, _, parser in self.parsers)

    def schema_of(self, found: Found) -> _codec.Schema:
        assert found.row is not None
        api_key = found.row.api_key
        fitting = next(schemas for direction, schemas, _ in self.parsers if direction == found.direction)
        return next(schema for schema in fitting if schema.api_key() == api_key)

    def read(self, data: bytes) -> list[Found]:
        """The frames that *data* completes, in the order of the stream."""
        self.boundaries.feed(data)
        frames: dict[int, Found] = {}
        for direction, _, parser in self.parsers:
            if parser.end() != _records.OK:
                continue
            parser.feed(data)
            for found in self._parse(parser, direction):
                known = frames.get(found.offset)
                if known is None or (known.row is None and found.row is not None):
                    frames[found.offset] = found
        return [frames[offset] for offset in sorted(frames)]

    def _parse(self, parser: _codec.Parser, direction: str) -> list[Found]:
        self.batch.clear()
        try:
            parser.parse(self.batch)
        except SamebytesError:
            if not self.batch.errors:
                raise
        rows = [Found(row.stream_offset, direction, row, None) for row in self.batch.rows]
        refused = [
            Found(error.stream_offset - error.frame_offset, direction, None, error) for error in self.batch.errors
        ]
        return rows + refused


def text_of(value: Any, shown_max: int | None) -> str:
    if isinstance(value, bytes):
        return f'"{_show.escaped(value, shown_max)}"'
    if isinstance(value, list):
        shown = value if shown_max is None else value[:shown_max]
        more = f", ... ({len(value)} items)" if len(shown) < len(value) else ""
        return f"[{', '.join(text_of(item, shown_max) for item in shown)}{more}]"
    return str(value)


def json_of(value: Any) -> Any:
    if isinstance(value, list):
        return [json_of(item) for item in value]
    return _show.json_bytes(value) if isinstance(value, bytes) else value


def explained(error: _records.Error) -> dict[str, Any]:
    return {
        "status": status_name(error.status),
        "field": error.field,
        "offset": error.stream_offset,
        "frame_offset": error.frame_offset,
        "message": error.message,
    }


class Printer:
    def __init__(self, as_json: bool, shown_max: int | None) -> None:
        self.as_json = as_json
        self.shown_max = shown_max
        self.frames = self.damaged = 0

    def frame(self, found: Found, schema: _codec.Schema) -> None:
        assert found.row is not None
        fields = list(fields_of(schema, found.row))
        end = fields[-1].offset + size_of(fields[-1].type, fields[-1].value) if fields else found.offset + FIELDS_AT
        head = {"frame": self.frames, "offset": found.offset, "message": schema.name(), "direction": found.direction}
        head |= {"api_key": found.row.api_key, "sequence": found.row.sequence, "size": end - found.offset}
        if self.as_json:
            listed = [field._asdict() | {"value": json_of(field.value)} for field in fields]
            _show.json_line(head | {"fields": listed})
            return
        click.echo(
            f"frame {self.frames} at {found.offset}: {schema.name()}, api_key {found.row.api_key}, sequence "
            f"{found.row.sequence}, {end - found.offset} bytes"
        )
        _show.columns(
            ("", field.name, f"at {field.offset}", field.type, text_of(field.value, self.shown_max)) for field in fields
        )

    def refused(self, offset: int, error: _records.Error) -> None:
        self.damaged += 1
        if self.as_json:
            _show.json_line({"frame": self.frames, "offset": offset, "error": explained(error)})
            return
        field = f", field {error.field}" if error.field else ""
        click.echo(
            f"frame {self.frames} at {offset}: DAMAGED at {error.stream_offset}{field}: {error.message} ({status_name(error.status)})"
        )

    def show(self, found: Found, reader: Reader) -> None:
        if found.error is not None:
            self.refused(found.offset, found.error)
        else:
            self.frame(found, reader.schema_of(found))
        self.frames += 1

    def end(self, reader: Reader, total: int) -> None:
        """What is left after the last frame."""
        missing = reader.boundaries.missing()
        if missing:
            self.damaged += 1
        ended = reader.ended
        if self.as_json:
            _show.json_line(
                {"bytes": total, "frames": self.frames, "damaged": self.damaged, "missing": missing, "ended": ended}
            )
            return
        if missing:
            unknown = " or more" if reader.boundaries.head else ""  # its Size is not whole
            click.echo(
                f"the stream ends inside frame {self.frames}: {_show.count_text(missing, 'byte')}{unknown} missing at {total}"
            )
        if ended:
            click.echo("nothing after that place can be told apart: the stream has ended there")
        damaged = f", {self.damaged} damaged" if self.damaged else ""
        click.echo(f"{_show.count_text(self.frames, 'frame')}{damaged}, {_show.count_text(total, 'byte')}")


def pieces(source: IO[bytes], total: int, wanted: bool) -> Iterator[bytes]:
    with _show.progress(total, "frames", wanted) as advance:
        while data := source.read(PIECE):
            yield data
            advance(len(data))


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--schema",
    "schema_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A schema file; Echo otherwise.",
)
@click.option(
    "--direction", type=click.Choice(["any", *DIRECTIONS]), default="any", show_default=True, help="Of the messages."
)
@click.option("--max-frame-size", type=click.IntRange(1, 2**31 - 1), default=_records.MAX_FRAME_SIZE_DEFAULT, show_default=True,
              help="The largest Size that is no damage.")  # fmt: skip
@click.option("--full", is_flag=True, help="Show long values whole.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per frame, and one at the end.")
def frames(
    file: Path, schema_file: Path | None, direction: str, max_frame_size: int, full: bool, as_json: bool
) -> None:
    """Show the frames of FILE field by field with their offsets, and where it is damaged.

    FILE may be - for the standard input. A frame of either direction is shown as a request where it fits a request.
    """
    with ExitStack() as keep:
        if schema_file is None:
            schemas: list[Any] = [echo_request_schema(), echo_response_schema()]
        else:
            schemas = list(load_schemas(schema_file).values())
        for schema in schemas:
            keep.enter_context(schema)
        reader = Reader(schemas, list(DIRECTIONS) if direction == "any" else [direction], max_frame_size, keep)
        if not reader.parsers:
            raise click.UsageError(f"{schema_file} has no messages of that direction")
        printer = Printer(as_json, None if full else _show.SHOWN_MAX)
        source = keep.enter_context(click.open_file(str(file), "rb"))
        size = file.stat().st_size if str(file) != "-" else 0
        total = 0
        for data in pieces(source, size, size > 0 and not sys.stdout.isatty()):
            total += len(data)
            for found in reader.read(data):
                printer.show(found, reader)
        printer.end(reader, total)
    if printer.damaged:
        click.get_current_context().exit(_status.DAMAGE)
