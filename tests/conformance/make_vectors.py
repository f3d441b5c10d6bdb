"""Writes the vectors that are too many or too large for a hand: vectors/sizes.json and vectors/random.json.

    python tests/conformance/make_vectors.py

Only the independent codec speaks here. The seed is fixed, so that the files are the same each time; test_reference.py checks it.
"""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any, TypeAlias

import reference_codec
from reference_codec import ECHO_REQUEST, INTEGERS, TYPES, Field, Schema, Value

VECTORS = Path(__file__).parent / "vectors"
SEED = 20240229
RANDOM_CASES = 24
RANDOM_BYTES_MAX = 100
Json: TypeAlias = Any


# ---- large and many ----

PING = {"name": "Ping", "direction": "request", "api_key": 9, "fields": []}
LISTS = {
    "name": "Lists",
    "direction": "request",
    "api_key": 2,
    "fields": [{"name": "numbers", "type": "array<int64>"}, {"name": "texts", "type": "array<string>"}],
}
EMPTY_ECHO = bytes.fromhex("000000140001000000000000000000000000000000000000")


def hex32(number: int) -> str:
    return struct.pack(">i", number).hex()


def echo_with_body(size: int) -> tuple[Json, Json]:
    """Parts of the bytes of an Echo request with a body of `size` bytes, and its row."""
    body = {"repeat": "e9", "times": size}
    head = hex32(20 + size) + "0007" + "00000000000003e8" + "00000000" + "0000" + hex32(size)
    row = {"message": "EchoRequest", "sequence": 7, "timestamp": 1000, "subject": "", "metadata": [], "body": body}
    return [head, body], row


def stream_case(name: str, note: str, schemas: Json, parts: Json, rows: Json, need: int = 4) -> Json:
    stream = {"rows": rows, "errors": [], "end": None, "need": need, "note": note}
    return {"id": name, "schemas": schemas, "max_frame_size": 0, "hex": parts, **stream}


def body_case(name: str, note: str, sizes: list[int]) -> Json:
    """Frames with bodies of `sizes`, one behind the other."""
    parts, rows, offset = [], [], 0
    for size in sizes:
        part, row = echo_with_body(size)
        parts += part
        rows.append({**row, "stream_offset": offset})
        offset += 24 + size
    return stream_case(name, note, ["EchoRequest"], parts, rows)


def many_case(name: str, note: str, schema: Json, frame: str, row: Json, times: int) -> Json:
    """The same frame `times` times."""
    rows = [{"repeat": {**row, "stream_offset": 0}, "times": times, "stream_offset_step": len(frame) // 2}]
    return stream_case(name, note, [schema], {"repeat": frame, "times": times}, rows)


def encode_case(name: str, note: str, schema: Json, messages: Json, parts: Json) -> Json:
    return {"id": name, "schema": schema, "encode": messages, "hex": parts, "note": note}


def lists_parts() -> tuple[Json, Json]:
    """32,767 integers and 32,767 strings, most of them empty."""
    size = 2 + 2 + 32767 * 8 + 2 + 32766 * 4 + 4 + 3
    numbers = {"repeat": "fffffffffffffffe", "times": 32767}
    parts = [hex32(size), "0203", "7fff", numbers, "7fff", {"repeat": "00000000", "times": 32766}, "00000003616263"]
    texts = {"repeat": [""], "times": 32766}
    return parts, {"sequence": 3, "numbers": {"repeat": [-2], "times": 32767}, "texts": [texts, "616263"]}


def size_cases() -> list[Json]:
    tiny = {"message": "Ping", "sequence": -1}
    plain = {"sequence": 1, "timestamp": 5, "subject": "", "metadata": [], "body": ""}
    echo = {"message": "EchoRequest", "sequence": 1, "timestamp": 0, "subject": "", "metadata": [], "body": ""}
    block = 65536
    lists, lists_message = lists_parts()
    large, large_row = echo_with_body(300_000)
    body_message = {key: value for key, value in large_row.items() if key != "message"}
    return [
        many_case("ten-thousand-tiny-frames", "6 bytes each", PING, "0000000209ff", tiny, 10_000),
        many_case(
            "three-thousand-empty-echoes", "more than one receive block", "EchoRequest", EMPTY_ECHO.hex(), echo, 3000
        ),
        body_case("frame-larger-than-a-receive-block", "between two small ones", [5, 150_000, 5]),
        body_case("frame-ends-with-the-receive-block", "the next one begins another", [block - 24, 1]),
        body_case("frame-ends-one-byte-before-the-receive-block", "", [block - 25, 1]),
        body_case("frame-ends-one-byte-behind-the-receive-block", "", [block - 23, 1]),
        body_case("size-field-across-two-receive-blocks", "2 bytes of Size in each", [block - 26, 40]),
        body_case("frame-of-exactly-the-default-limit", "Size is 1048576", [(1 << 20) - 20]),
        stream_case(
            "large-frame-not-complete",
            "need counts what is missing, also across blocks",
            ["EchoRequest"],
            [hex32(1_000_000), "0007", {"repeat": "00", "times": 99_994}],
            [],
            900_004,
        ),
        stream_case(
            "arrays-of-32767-items",
            "the longest arrays there are",
            [LISTS],
            lists,
            [{"message": "Lists", "stream_offset": 0, **lists_message}],
        ),
        encode_case("encode-arrays-of-32767-items", "", LISTS, [lists_message], lists),
        encode_case("encode-a-large-body", "larger than a block of the pool", "EchoRequest", [body_message], large),
        encode_case(
            "encode-ten-thousand-messages",
            "",
            PING,
            [{"repeat": {"sequence": -1}, "times": 10_000}],
            {"repeat": "0000000209ff", "times": 10_000},
        ),
        encode_case(
            "encode-six-hundred-echo-requests",
            "more than cross into C together anywhere",
            "EchoRequest",
            [{"repeat": plain, "times": 600}],
            {"repeat": "000000140001000000000000000500000000000000000000", "times": 600},
        ),
        {
            "id": "encode-the-last-of-six-hundred-echo-requests-is-refused",
            "schema": "EchoRequest",
            "encode": [{"repeat": plain, "times": 599}, {**plain, "metadata": {"repeat": [1], "times": 32768}}],
            "error": {
                "frame": 599,
                "stream_offset": 599 * 24 + 18,
                "frame_offset": 18,
                "field": "metadata",
                "status": "SB_TOO_LARGE",
            },
            "note": "added in one call, none of them may be left",
        },
    ]


# ---- at random ----


def some_value(source: random.Random, kind: str) -> Value:
    if kind in INTEGERS:
        bits = 8 * struct.calcsize(INTEGERS[kind])
        return source.choice([0, -1, (1 << (bits - 1)) - 1, -(1 << (bits - 1)), source.getrandbits(bits - 1)])
    if kind == "string":
        return source.randbytes(source.choice([0, 0, 1, 3, 9]))
    item = reference_codec.item_type(kind)
    items: Any = [some_value(source, item) for _ in range(source.choice([0, 0, 1, 2, 3]))]
    return items  # type: ignore[no-any-return]


def some_schemas(source: random.Random) -> list[Schema]:
    keys = source.sample(range(-128, 128), source.choice([1, 1, 2, 3]))
    schemas = []
    for number, key in enumerate(keys):
        kinds = source.choices(list(TYPES), k=source.choice([0, 1, 2, 3, 4]))
        fields = tuple(Field(f"field{index}", kind) for index, kind in enumerate(kinds))
        schemas.append(Schema(f"Message{number}", "request", key, fields))
    return schemas


def damaged(source: random.Random, frame: bytes) -> bytes:
    """The frame, or something near it; its Size mostly stays true, so that the stream goes on."""
    how = source.choice(["whole", "whole", "flip", "shorter", "longer", "size"])
    body = bytearray(frame[4:])
    if how == "flip":
        body[source.randrange(len(body))] ^= 1 << source.randrange(8)
    elif how == "shorter" and len(body) > 2:
        del body[source.randrange(2, len(body)) :]
    elif how == "longer":
        body += source.randbytes(source.choice([1, 2, 5]))
    size = len(body) if how != "size" else source.choice([0, 1, -1, len(body) + 1, len(body) - 1, 200])
    return struct.pack(">i", size) + bytes(body)


def json_value(value: Value) -> Json:
    if isinstance(value, bytes):
        return value.hex()
    return [json_value(item) for item in value] if isinstance(value, list) else value


def random_case(source: random.Random, number: int) -> Json:
    schemas = some_schemas(source)
    data = b""
    while len(data) < RANDOM_BYTES_MAX - 30:
        schema = source.choice(schemas)
        values = tuple(some_value(source, field.type) for field in schema.fields)
        frame = damaged(source, reference_codec.encode(schema, source.randrange(-128, 128), values))
        if len(data) + len(frame) > RANDOM_BYTES_MAX:
            break
        data += frame
    data = data[: len(data) - source.choice([0, 0, 1, 4])]
    limit, accept_extra = source.choice([0, 40, 150]), source.random() < 0.3
    found = reference_codec.decode(data, schemas, limit or reference_codec.MAX_FRAME_SIZE_DEFAULT, accept_extra)
    rows = [
        {"message": schemas[row.schema_index].name, "sequence": row.sequence, "stream_offset": row.stream_offset}
        | {
            field.name: json_value(value)
            for field, value in zip(schemas[row.schema_index].fields, row.values, strict=True)
        }
        for row in found.rows
    ]
    return {
        "id": f"random-{number}",
        "schemas": [
            {
                "name": schema.name,
                "direction": schema.direction,
                "api_key": schema.api_key,
                "fields": [field._asdict() for field in schema.fields],
            }
            for schema in schemas
        ],
        "max_frame_size": limit,
        "accept_extra": accept_extra,
        "hex": data.hex(),
        "rows": rows,
        "errors": [{**refused._asdict(), "field": refused.field or None} for refused in found.errors],
        "end": None if found.end == "SB_OK" else found.end,
        "need": found.need,
    }


def random_cases(seed: int = SEED, count: int = RANDOM_CASES) -> list[Json]:
    source = random.Random(seed)
    return [random_case(source, number) for number in range(count)]


# ---- files ----


def text_of(note: str, cases: list[Json]) -> str:
    """One case per line, as in the files by hand."""
    lines = ",\n".join(json.dumps(case) for case in cases)
    return f'{{"note": {json.dumps(note)}, "cases": [\n{lines}\n]}}\n'


def files() -> dict[str, str]:
    return {
        "sizes.json": text_of("Written by make_vectors.py: large frames, many frames, edges of blocks.", size_cases()),
        "random.json": text_of(
            f"Written by make_vectors.py with seed {SEED}: streams at random, damaged.", random_cases()
        ),
    }


def main() -> None:
    for name, text in files().items():
        (VECTORS / name).write_text(text)


if __name__ == "__main__":
    assert ECHO_REQUEST.api_key == 0  # echo_with_body writes it out
    main()
