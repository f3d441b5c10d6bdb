"""A testee without a library, by reference_codec.py, that can be told to be wrong. It is there to test the runner.

Usage: python wrong_testee.py FAULT [FILE]. FAULT is none for a testee that is right; FILE marks that it crashed once.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
import time
from pathlib import Path

import reference_codec
import visits_model
from protocol import Reader, pack_text, pack_value, pack_visit
from reference_codec import DIRECTIONS, STATUSES, TYPES, EncodeError, Field, Refused, Schema
from visits_model import Answer, Model, Operation, Program

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


def take_numbers(request: Reader) -> tuple[int, ...]:
    return tuple(request.number("I") for _ in range(request.number("I")))


def take_operation(request: Reader) -> Operation:
    op = request.number("B")
    match op:
        case visits_model.ADD:
            return Operation(op, (request.visit(),))
        case visits_model.ADD_MANY:
            return Operation(op, tuple(request.visit() for _ in range(request.number("I"))))
        case visits_model.RECENT:
            return Operation(op, numbers=take_numbers(request))
        case visits_model.DELETE:
            user = request.number("I")
            return Operation(op, user=user, numbers=take_numbers(request))
        case visits_model.CLEAR:
            return Operation(op, user=request.number("I"), option=request.number("B"))
        case visits_model.SCAN:
            return Operation(op, option=request.number("I"))
        case visits_model.COPY | visits_model.SALVAGE:
            return Operation(op, beside=request.text().decode())
        case visits_model.READ:
            return Operation(op, beside=request.text().decode(), option=request.number("I"))
        case visits_model.REFRESH:
            return Operation(op, option=request.number("B"))
        case visits_model.ADD_BY_READER:
            return Operation(op, (request.visit(),))
    return Operation(op)


def operate(model: Model, operation: Operation) -> Answer:
    """What the model says, or what a store would that is wrong about other files and handles."""
    before = model.reader
    if FAULT == "visits-reader-max" and operation.op == visits_model.READ:
        operation = operation._replace(option=0)
    answer = model.run(operation)
    match operation.op, FAULT:
        case visits_model.STATS, "visits-syncs":
            return answer._replace(synced=True)  # type: ignore[union-attr]
        case visits_model.COPY, "visits-copy" if answer is None and model.present():
            del model.copies[operation.beside][model.present()[0]]
        case visits_model.SALVAGE, "visits-salvage" if isinstance(answer, tuple) and not isinstance(answer, Refused):
            return answer[0] + 1, answer[1]
        case visits_model.REFRESH, "visits-stale" if isinstance(answer, list) and before is not None:
            return [answer[0], *before.visits()]
        case visits_model.REFRESH, "visits-changed" if isinstance(answer, list):
            return [answer[0] is False, *answer[1:]]
        case visits_model.ADD_BY_READER, "visits-read-only":
            return None
    return answer


def pack_answer(operation: Operation, answer: Answer) -> bytes:
    if isinstance(answer, Refused):
        if FAULT == "visits-frame":
            answer = answer._replace(frame=answer.frame + 1)
        return b"\1" + pack_refused(answer)
    match operation.op:
        case visits_model.RECENT | visits_model.SCAN | visits_model.READ:
            visits = list(answer)  # type: ignore[arg-type]
            if FAULT == "visits-order" and operation.op == visits_model.RECENT:
                visits.reverse()
            if FAULT == "visits-text" and visits:
                visits[0] = visits[0]._replace(text=visits[0].text + b"!")
            return struct.pack(">BI", 0, len(visits)) + b"".join(map(pack_visit, visits))
        case visits_model.USERS:
            rows = [struct.pack(">II", *row) for row in answer]  # type: ignore[union-attr]
            return struct.pack(">BI", 0, len(rows)) + b"".join(rows)
        case visits_model.DELETE:
            return struct.pack(">BB", 0, FAULT == "visits-found" or bool(answer))
        case visits_model.VERIFY | visits_model.SALVAGE:
            return struct.pack(">BQQ", 0, *answer)  # type: ignore[misc]
        case visits_model.STATS:
            most, cut_bytes, *rest = answer  # type: ignore[misc]
            return struct.pack(">BIQBBBB", 0, most, cut_bytes, *(value is True for value in rest))
        case visits_model.REFRESH:
            changed, *visits = answer  # type: ignore[misc]
            return struct.pack(">BBI", 0, changed is True, len(visits)) + b"".join(map(pack_visit, visits))
    return b"\0"


def visits(request: Reader) -> bytes:
    """The model, kept in the file that a store would be."""
    path, max_visits, durability = Path(request.text().decode()), request.number("I"), request.number("B")
    model: Model = pickle.loads(path.read_bytes()) if path.exists() else Model(max_visits)
    model.open(
        Program(0 if FAULT == "visits-max" else max_visits, (), 0 if FAULT == "visits-durability" else durability)
    )
    answers = [b"\0"]
    for _ in range(request.number("I")):
        operation = take_operation(request)
        answers.append(pack_answer(operation, operate(model, operation)))
    if FAULT == "visits-lost":
        for user in model.present()[:1]:
            model.users[user].pop()
    path.write_bytes(pickle.dumps(model))
    return b"".join(answers)


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
    if op == b"V":
        return visits(request)
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
