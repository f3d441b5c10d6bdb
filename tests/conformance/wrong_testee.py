"""A testee without a library, by reference_codec.py, that can be told to be wrong. It is there to test the runner.

Usage: python wrong_testee.py FAULT [FILE]. FAULT is none for a testee that is right; FILE marks that it crashed once.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import time
from pathlib import Path

import reference_codec
from protocol import Reader, pack_text, pack_value
from reference_codec import DIRECTIONS, STATUSES, TYPES, EncodeError, Field, Refused, Schema

FAULT = sys.argv[1]
TYPE_NAMES = {number: name for name, number in TYPES.items()}
DIRECTION_NAMES = {number: name for name, number in DIRECTIONS.items()}
VERSION, DIGEST = 0x010203, 0xD1
LANGUAGE = "c"
SURFACE = ["sb_first", "sb_second"]

live_blocks = 0


def pack_refused(refused: Refused) -> bytes:
    numbers = (STATUSES[refused.status], refused.stream_offset, refused.frame_offset, refused.frame)
    message = "" if FAULT == "no-message" else "it is wrong"
    return struct.pack(">iqqq", *numbers) + pack_text(refused.field) + pack_text(message)


def take_schema(request: Reader) -> Schema:
    name, direction, api_key = request.name(), DIRECTION_NAMES[request.number("B")], request.number("b")
    fields = tuple(Field(request.name(), TYPE_NAMES[request.number("B")]) for _ in range(request.number("H")))
    return Schema(name, direction, api_key, fields)


def encode(request: Reader) -> bytes:
    schema = take_schema(request)
    request.number("B")
    frames = b""
    for frame in range(request.number("I")):
        sequence = request.number("b")
        values = tuple(request.value(field.type) for field in schema.fields)
        try:
            frames += reference_codec.encode(schema, sequence, values)
        except EncodeError as error:
            if FAULT == "accept":
                break
            return b"\1" + pack_refused(
                Refused(frame, len(frames) + error.offset, error.offset, error.field, error.status)
            )
    if FAULT == "byte":
        frames = frames[:5] + bytes([frames[5] ^ 1]) + frames[6:]
    if FAULT == "short":
        frames = frames[:-1]
    return b"\0" + pack_text(frames)


def decode(request: Reader) -> bytes:
    schemas = [take_schema(request) for _ in range(request.number("I"))]
    max_frame_size = request.number("i") or reference_codec.MAX_FRAME_SIZE_DEFAULT
    mode = request.number("B")
    request.number("q")
    accept_extra = bool(request.number("B"))
    chunks = [request.number("I") for _ in range(request.number("I"))]
    found = reference_codec.decode(request.text(), schemas, max_frame_size, accept_extra)
    rows, errors, end, need = found.rows, found.errors, STATUSES[found.end], found.need
    if FAULT == "offset" and mode == 2 and chunks:
        errors = [refused._replace(frame_offset=refused.frame_offset + 1) for refused in errors]
    if FAULT == "row":
        rows = [row._replace(sequence=row.sequence + 1) for row in rows]
    if FAULT == "rows":
        rows = rows[:-1]
    if FAULT == "need":
        need += 1
    if FAULT == "end":
        end = STATUSES["SB_CORRUPT"]
    out = [b"\0", struct.pack(">I", len(rows))]
    for row in rows:
        out.append(struct.pack(">Hqbb", row.schema_index, row.stream_offset, row.api_key, row.sequence))
        kinds = [field.type for field in schemas[row.schema_index].fields]
        out += [pack_value(kind, value) for kind, value in zip(kinds, row.values, strict=True)]
    out += [struct.pack(">I", len(errors)), *map(pack_refused, errors)]
    again = 0 if FAULT == "again" else end
    out.append(struct.pack(">iiQq", end, again, need, 0 if FAULT == "copies" else 1))
    return b"".join(out)


def break_down() -> None:
    """Be wrong in a way that is no answer."""
    if FAULT == "crash" or (FAULT == "crash-once" and not Path(sys.argv[2]).exists()):
        if FAULT == "crash-once":
            Path(sys.argv[2]).touch()
        print("about to crash", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if FAULT == "exit":
        sys.exit(3)
    if FAULT == "hang":
        time.sleep(3600)


def answer(request: Reader) -> bytes:
    global live_blocks
    op = request.take(1)
    if op == b"H":
        return b"\0" + struct.pack(">IQQ", VERSION, DIGEST, 0 if FAULT == "instance" else 7) + pack_text(LANGUAGE)
    if op == b"L":
        return b"\0" + struct.pack(">q", live_blocks)
    if op == b"F":
        names = SURFACE[:1] if FAULT == "surface" else SURFACE
        return b"\0" + struct.pack(">I", len(names)) + b"".join(map(pack_text, names))
    if op == b"Q":
        return b"\0"
    break_down()
    live_blocks += FAULT == "leak"
    if FAULT == "garbage":
        return b"\1\xff\xff\xff\xff"
    if FAULT == "nonsense":
        return b"hello"
    return encode(request) if op == b"E" else decode(request)


def main() -> int:
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while prefix := stdin.read(4):
        request = stdin.read(*struct.unpack(">I", prefix))
        reply = answer(Reader(request))
        size = 0x7FFFFFFF if FAULT == "huge" and request[:1] == b"D" else len(reply)
        more = b"!" if FAULT == "chatter" and request[:1] == b"L" else b""
        stdout.write(struct.pack(">I", size) + reply + more)
        stdout.flush()
        if request[:1] == b"Q":
            return 1 if FAULT == "quit" else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
