"""Vector files as cases: what to ask of a testee and what has to come out. README.md describes the files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import reference_codec
from protocol import OWN_BUFFER, DecodeRequest
from reference_codec import ECHO, STATUSES, Decoded, Field, Refused, Row, Schema, Value

VECTORS = Path(__file__).parent / "vectors"
Json: TypeAlias = Any


@dataclass(frozen=True)
class Encode:
    """Messages of one schema, and the bytes they make or why one is refused."""

    schema: Schema
    messages: tuple[tuple[int, tuple[Value, ...]], ...]
    frames: bytes = b""
    error: Refused | None = None


@dataclass(frozen=True)
class Decode:
    """A stream, to be fed in any portions, and what a parser finds in it."""

    request: DecodeRequest  # mode and chunks are the runner's to choose
    expected: Decoded
    cut: bool = True  # whether it matters where the stream is cut


@dataclass(frozen=True)
class Refuse:
    """Schemas or options that no parser can be made of."""

    request: DecodeRequest
    status: str
    field: str


Check: TypeAlias = Encode | Decode | Refuse


@dataclass(frozen=True)
class Case:
    id: str
    file: str
    checks: tuple[Check, ...]


class BadVector(Exception):
    """A vector file that does not follow README.md."""


def expand_bytes(spec: Json) -> bytes:
    """Hex, a list of such parts, or {"repeat": part, "times": n}."""
    if isinstance(spec, str):
        return bytes.fromhex(spec)
    if isinstance(spec, list):
        return b"".join(map(expand_bytes, spec))
    return expand_bytes(spec["repeat"]) * int(spec["times"])


def _expand_array(spec: Json) -> list[Json]:
    """A list of items, of which any may stand for several: {"repeat": list, "times": n}."""
    if isinstance(spec, list):
        return [item for part in spec for item in (_expand_array(part) if isinstance(part, dict) else [part])]
    return _expand_array(spec["repeat"]) * int(spec["times"])


def value_of(kind: str, spec: Json) -> Value:
    if kind == "string":
        return expand_bytes(spec)
    if kind == "array<string>":
        return [expand_bytes(item) for item in _expand_array(spec)]
    if kind.startswith("array"):
        return list(_expand_array(spec))
    return int(spec)


def schema_of(spec: Json) -> Schema:
    if isinstance(spec, str):
        return next(schema for schema in ECHO.values() if schema.name == spec)
    many = spec["fields"]
    if isinstance(many, dict):  # {"repeat": type, "times": n}: f0, f1, ...
        many = [{"name": f"f{number}", "type": many["repeat"]} for number in range(many["times"])]
    fields = tuple(Field(field["name"], field["type"]) for field in many)
    return Schema(spec["name"], spec["direction"], spec["api_key"], fields)


def _message_of(schema: Schema, spec: Json) -> tuple[int, tuple[Value, ...]]:
    return spec["sequence"], tuple(value_of(field.type, spec[field.name]) for field in schema.fields)


def _rows_of(schemas: tuple[Schema, ...], specs: list[Json]) -> Iterator[Row]:
    names = [schema.name for schema in schemas]
    for spec in specs:
        row = spec.get("repeat", spec)
        index = names.index(row["message"])
        sequence, values = _message_of(schemas[index], row)
        for time in range(spec.get("times", 1)):
            offset = row["stream_offset"] + time * spec.get("stream_offset_step", 0)
            yield Row(index, offset, schemas[index].api_key, sequence, values)


def _error_of(spec: Json) -> Refused:
    return Refused(spec["frame"], spec["stream_offset"], spec["frame_offset"], spec["field"] or "", spec["status"])


def _schemas_of(spec: Json) -> tuple[Schema, ...]:
    if "schemas" in spec:
        return tuple(map(schema_of, spec["schemas"]))
    return (schema_of(spec["schema"]) if "schema" in spec else ECHO[spec["direction"]],)


def _stream_request(spec: Json) -> DecodeRequest:
    return DecodeRequest(
        _schemas_of(spec),
        expand_bytes(spec.get("hex", "")),
        spec.get("max_frame_size", 0),
        accept_extra=spec.get("accept_extra", False),
    )


def _stream_checks(spec: Json) -> tuple[Check, ...]:
    request = _stream_request(spec)
    expected = Decoded(
        list(_rows_of(request.schemas, spec["rows"])),
        list(map(_error_of, spec["errors"])),
        spec["end"] or "SB_OK",
        spec["need"],
    )
    return (Decode(request, expected),)


def _encode_checks(spec: Json) -> tuple[Check, ...]:
    schema = schema_of(spec["schema"])
    messages = tuple(
        _message_of(schema, message.get("repeat", message))
        for message in spec["encode"]
        for _ in range(message.get("times", 1))
    )
    if "error" in spec:
        return (Encode(schema, messages, error=_error_of(spec["error"])),)
    return (Encode(schema, messages, expand_bytes(spec["hex"])),)


def _refuse_checks(spec: Json) -> tuple[Check, ...]:
    request = _stream_request(spec)
    if "receive_position" in spec:
        request = DecodeRequest(
            request.schemas, b"\0", mode=OWN_BUFFER, receive_position=spec["receive_position"], chunks=(1,)
        )
    return (Refuse(request, spec["refused"]["status"], spec["refused"]["field"] or ""),)


def _echo_checks(spec: Json) -> tuple[Check, ...]:
    """One frame: valid (bytes and value), invalid (one error), or, with valid null, all that is shorter than it."""
    schema = schema_of(spec["message"])
    frame = expand_bytes(spec["hex"])
    request = DecodeRequest((schema,), frame)
    if spec["valid"] is None:
        prefixes = (DecodeRequest((schema,), frame[:size]) for size in range(len(frame)))
        needs = ((4 if size < 4 else len(frame)) - size for size in range(len(frame)))
        return tuple(
            Decode(prefix, Decoded([], [], "SB_OK", need), cut=False)
            for prefix, need in zip(prefixes, needs, strict=True)
        )
    if spec["valid"]:
        sequence, values = _message_of(schema, spec["value"])
        row = Row(0, 0, spec["value"]["api_key"], sequence, values)
        return Encode(schema, ((sequence, values),), frame), Decode(request, Decoded([row], [], "SB_OK", 4))
    error = spec["error"]
    refused = Refused(0, error["offset"], error["offset"], error["field"] or "", error["status"])
    # These vectors do not say how the stream goes on, so the independent codec does; test_reference.py holds it against
    # what they do say.
    _, _, end, need = reference_codec.decode(frame, [schema])
    return (Decode(request, Decoded([], [refused], end, need)),)


def _checks(spec: Json) -> tuple[Check, ...]:
    if "valid" in spec:
        return _echo_checks(spec)
    if "encode" in spec:
        return _encode_checks(spec)
    if "refused" in spec:
        return _refuse_checks(spec)
    return _stream_checks(spec)


def _statuses(spec: Json) -> Iterator[str]:
    yield from (error["status"] for error in spec.get("errors", ()))
    yield from (spec[key]["status"] for key in ("error", "refused") if key in spec)
    if spec.get("end"):
        yield spec["end"]


def load(folder: Path = VECTORS) -> list[Case]:
    """All cases of all vector files in `folder`."""
    cases = []
    for path in sorted(folder.glob("*.json")):
        for spec in json.loads(path.read_text())["cases"]:
            try:
                unknown = [status for status in _statuses(spec) if status not in STATUSES]
                if unknown:
                    raise ValueError(f"unknown status {unknown[0]}")
                cases.append(Case(spec["id"], path.name, _checks(spec)))
            except (KeyError, ValueError, TypeError, StopIteration) as error:
                raise BadVector(f"{path}: case {spec.get('id')}: {type(error).__name__} {error}") from error
    repeated = {case.id for case in cases if [other.id for other in cases].count(case.id) > 1}
    if repeated:
        raise BadVector(f"{folder}: case ids used twice: {', '.join(sorted(repeated))}")
    if not cases:
        raise BadVector(f"{folder}: no cases; expected *.json files as README.md describes")
    return cases
