"""The testee in Python: answers the requests of the conformance runner, through the layer that SAMEBYTES_BACKEND names.

Messages go through the classes, which call that layer's functions; request F calls each function of the layer by itself.
"""

from __future__ import annotations

import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import samebytes
from samebytes import _objects
from samebytes._backend import layer

REQUEST_SIZE_MAX = 1 << 28
OWN_BUFFER_SIZE = 4096
FEED, LENT_MEMORY, OWN_BUFFER = 0, 1, 2


class Malformed(Exception):
    """The request is not what the protocol says."""


class Request:
    """A request, read from the front."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise Malformed
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, format: str) -> int:
        return int(struct.unpack(">" + format, self.take(struct.calcsize(">" + format)))[0])

    def bytes(self) -> bytes:
        return self.take(self.number("I"))

    def text(self) -> str:
        return self.bytes().decode()

    def schema(self) -> samebytes.Schema:
        name, direction, api_key = self.text(), self.number("B"), self.number("b")
        fields = [(self.text(), self.number("B")) for _ in range(self.number("H"))]
        return samebytes.Schema(name, direction, api_key, fields)

    def value(self, type: int) -> Any:
        if type <= samebytes.TYPE_INT64:
            return self.number("q")
        if type == samebytes.TYPE_STRING:
            return self.bytes()
        if type == samebytes.TYPE_ARRAY_STRING:
            return [self.bytes() for _ in range(self.number("I"))]
        count = self.number("I")
        return list(struct.unpack(f">{count}q", self.take(8 * count)))


def packed(data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def packed_value(value: Any) -> bytes:
    match value:
        case int():
            return struct.pack(">q", value)
        case bytes():
            return packed(value)
        case [int(), *_]:
            return struct.pack(f">I{len(value)}q", len(value), *value)
        case _:
            return struct.pack(">I", len(value)) + b"".join(map(packed_value, value))


def packed_error(error: samebytes.Error | samebytes.SamebytesError) -> bytes:
    head = struct.pack(">iqqq", error.status, error.stream_offset, error.frame_offset, error.frame)
    return head + packed(error.field) + packed(error.message)


# ---- encode and decode ----


def encode(request: Request) -> bytes:
    with request.schema() as schema, samebytes.Builder() as builder:
        mode = request.number("B")
        messages = [
            (request.number("b"), [request.value(field.type) for field in schema.fields])
            for _ in range(request.number("I"))
        ]
        if mode >= 2:
            add_rows(builder, schema, [sequence for sequence, _ in messages], [values for _, values in messages])
        else:
            for sequence, values in messages:
                builder.add(schema, sequence, values)
        if mode >= 1:
            frames = bytearray(builder.size())
            builder.copy_bytes(frames)
            return packed(bytes(frames))
        with builder.take() as view:
            return packed(bytes(view))


def add_rows(builder: samebytes.Builder, schema: samebytes.Schema, sequences: list[int], rows: list[list[Any]]) -> None:
    try:
        builder.add_rows(schema, sequences, rows)
    except samebytes.SamebytesError:
        expect((builder.size(), builder.frame_count()), (0, 0))
        raise


class Decoding:
    """A decode request while it is served. Every batch with rows is held until the end; the last has none yet."""

    def __init__(self, schemas: list[samebytes.Schema], request: Request) -> None:
        self.max_frame_size, self.mode = request.number("i"), request.number("B")
        self.receive_position, accept_extra = request.number("q"), request.number("B")
        self.chunks = [request.number("I") for _ in range(request.number("I"))]
        self.data = request.bytes()
        if self.mode > OWN_BUFFER or 0 in self.chunks:
            raise Malformed
        self.parser = samebytes.Parser(
            schemas,
            max_frame_size=self.max_frame_size,
            receive_position=self.receive_position,
            accept_extra=accept_extra != 0,
        )
        self.batches = [samebytes.Batch()]
        self.rows: list[bytes] = []
        self.errors: list[bytes] = []
        self.need = 0

    def close(self) -> None:
        for batch in self.batches:
            batch.close()
        self.parser.close()

    def pieces(self) -> Iterator[memoryview]:
        """The data in chunks; one that is empty where there is no data."""
        data, turn = memoryview(self.data), 0
        while True:
            size = self.chunks[turn % len(self.chunks)] if self.chunks else len(data)
            yield data[:size]
            data, turn = data[size:], turn + 1
            if not data:
                return

    def feed(self, data: memoryview) -> None:
        if self.mode == FEED:
            self.parser.feed(data)
        elif self.mode == LENT_MEMORY:
            while data:
                room = self.parser.buffer()
                count = min(len(room), len(data))
                room[:count] = data[:count]
                self.parser.commit(count)
                data = data[count:]
        else:
            buffer = bytearray(OWN_BUFFER_SIZE)
            while data:
                start = self.parser.position(len(buffer)) % len(buffer)
                count = min(len(buffer) - start, len(data))
                buffer[start : start + count] = data[:count]
                self.parser.receive(buffer, count)
                data = data[count:]

    def parse(self) -> int:
        """Keeps what one parse gave; returns its status. Python raises what ends the stream where there are no rows."""
        batch = self.batches[-1]
        status = samebytes.OK
        try:
            self.parser.parse(batch)
        except samebytes.SamebytesError as error:
            status = error.status
        self.need = batch.need()
        self.errors += map(packed_error, batch.errors)
        if rows := batch.rows:
            self.batches.append(samebytes.Batch())
            for head, row in zip(batch.get_rows(), rows, strict=True):
                values = b"".join(packed_value(value) for value in row.fields().values())
                self.rows.append(struct.pack(">Hqbb", head.schema_index, *head_of(row)) + values)
        return status

    def run(self) -> bytes:
        for piece in self.pieces():
            if piece:
                self.feed(piece)
            self.parse()
            if self.parser.end() != samebytes.OK:
                break
        live_blocks, need = layer.sb_memory_live_blocks(), self.need
        rows, errors = len(self.rows), len(self.errors)
        again = self.parse()
        if (len(self.rows), len(self.errors)) != (rows, errors):
            raise AssertionError("a parse without new bytes gave rows or errors")
        return (
            struct.pack(">I", rows)
            + b"".join(self.rows)
            + struct.pack(">I", errors)
            + b"".join(self.errors)
            + struct.pack(">iiQq", self.parser.end(), again, need, live_blocks)
        )


def head_of(row: samebytes.Message) -> tuple[int, int, int]:
    return row.stream_offset, row.api_key, row.sequence


def decode(request: Request) -> bytes:
    schemas: list[samebytes.Schema] = []
    decoding = None
    try:
        for _ in range(request.number("I")):
            schemas.append(request.schema())
        decoding = Decoding(schemas, request)
        return decoding.run()
    finally:
        if decoding is not None:
            decoding.close()
        for schema in schemas:
            schema.close()


# ---- visits ----


def visit_of(request: Request) -> samebytes.Visit:
    user, visit_id, time_ns = request.number("I"), request.number("I"), request.number("q")
    return samebytes.Visit(visit_id, request.bytes(), request.bytes(), time_ns=time_ns, user=user)


def numbers_of(request: Request) -> list[int]:
    return [request.number("I") for _ in range(request.number("I"))]


def packed_visits(visits: list[samebytes.Visit]) -> bytes:
    rows = (struct.pack(">IIq", v.user, v.visit_id, v.time_ns) + packed(v.url) + packed(v.text) for v in visits)
    return struct.pack(">I", len(visits)) + b"".join(rows)


@dataclass
class Session:
    """The file of a request, and what reads it, or another file, besides."""

    path: bytes
    manager: samebytes.VisitManager
    reader: samebytes.VisitManager | None = None

    def beside(self, request: Request) -> bytes:
        return self.path + request.bytes()

    def read(self, path: bytes, max_visits: int) -> samebytes.VisitManager:
        self.end()
        self.reader = samebytes.VisitManager(path, max_visits, read_only=True, as_bytes=True)
        return self.reader

    def by_reader(self) -> samebytes.VisitManager:
        if self.reader is None:
            raise Malformed
        return self.reader

    def end(self) -> None:
        if self.reader is not None:
            self.reader.close()
            self.reader = None


def packed_stats(stats: samebytes.VisitStats) -> bytes:
    durable = stats.durable_bytes == stats.file_bytes
    head = struct.pack(">IQ", stats.max_visits, stats.cut_bytes)
    return head + struct.pack(">BBBB", stats.upgraded, stats.poisoned, durable, stats.syncs > 0)


def operate_beside(session: Session, op: int, request: Request) -> bytes:
    """The operations that have to do with other files, or other handles of this one."""
    match op:
        case 12:
            session.manager.copy_to(session.beside(request))
        case 13:
            report = samebytes.salvage_visits(session.path, session.beside(request))
            return struct.pack(">QQ", report.users, report.visits)
        case 14:
            return packed_visits(list(session.read(session.beside(request), request.number("I"))))
        case 15:
            whose = session.by_reader() if request.number("B") else session.manager
            changed = whose.refresh()
            return struct.pack(">B", changed) + packed_visits(list(whose))
        case 16:
            visit = visit_of(request)
            session.by_reader().add_visit(visit.user, visit.visit_id, visit.url, visit.text, visit.time_ns)
        case _:
            raise Malformed
    return b""


def operate(session: Session, request: Request) -> bytes:
    manager, op = session.manager, request.number("B")
    match op:
        case 1:
            visit = visit_of(request)
            manager.add_visit(visit.user, visit.visit_id, visit.url, visit.text, visit.time_ns)
        case 2:
            manager.add_visits([visit_of(request) for _ in range(request.number("I"))])
        case 3:
            users = numbers_of(request)
            found = manager.get_recent_visits(users[0]) if len(users) == 1 else manager.get_recent_visits_of(users)
            return packed_visits(found)
        case 4:
            return struct.pack(">B", manager.delete_visits(request.number("I"), numbers_of(request)))
        case 5:
            manager.clear_user(request.number("I"), erase=request.number("B") != 0)
        case 6:
            rows = manager.users()
            return struct.pack(">I", len(rows)) + b"".join(struct.pack(">II", *row) for row in rows)
        case 7:
            visits, least = [], request.number("I")
            with manager.scan() as scan:
                while more := scan.next(least):
                    visits += more
            return packed_visits(visits)
        case 8:
            manager.compact()
        case 9:
            manager.sync()
        case 10:
            report = manager.verify()
            return struct.pack(">QQ", report.users, report.visits)
        case 11:
            return packed_stats(manager.get_stats())
        case _:
            return operate_beside(session, op, request)
    return b""


def visits(request: Request) -> bytes:
    path, max_visits, durability = request.bytes(), request.number("I"), request.number("B")
    answers = []
    with samebytes.VisitManager(path, max_visits, durability=durability, as_bytes=True) as manager:
        session = Session(path, manager)
        for _ in range(request.number("I")):
            try:
                answers.append(b"\0" + operate(session, request))
            except samebytes.SamebytesError as error:
                answers.append(b"\1" + packed_error(error))
        session.end()
    return b"".join(answers)


# ---- every function of the headers ----


class Recorder:
    """The layer; it notes which functions are called."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("sb_"):
            self.names.add(name)
        return getattr(layer, name)  # type: ignore[no-any-return]


def expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def call_library(sb: Any) -> None:
    expect(sb.sb_version() >> 16, samebytes.VERSION_MAJOR)
    expect(sb.sb_abi_digest(), layer.ABI_DIGEST)
    expect(sb.sb_instance_id() != 0, True)
    sb.sb_check_instance(sb.sb_instance_id())
    expect(sb.sb_status_name(samebytes.CORRUPT), "SB_CORRUPT")
    expect(sb.sb_status_message(samebytes.OK) != "", True)
    expect(sb.sb_crc32c(0, b"123456789"), 0xE3069283)


def call_memory(sb: Any) -> None:
    inner = sb.sb_memory_open_heap()
    memory = sb.sb_memory_open_tracing(inner)
    sb.sb_memory_fail_reserve(memory, 1)
    try:
        sb.sb_memory_get_block(memory, 100)
        raise AssertionError("the request was to fail")
    except samebytes.NoMemoryError:
        pass
    block = sb.sb_memory_get_block(memory, 100)
    other = sb.sb_block_retain(block)
    expect(sb.sb_block_size(block) >= 100, True)
    expect(sb.sb_block_is_exclusive(block), False)
    layer.write_bytes(sb.sb_block_data(block), b"shared")
    expect(layer.read_bytes(sb.sb_block_data(other), 6), b"shared")
    expect(sb.sb_memory_live_blocks() > 0, True)
    sb.sb_block_close(other)
    sb.sb_block_close(block)
    expect(sb.sb_memory_get_stats(memory).releases, 1)
    for handle in (memory, inner, sb.sb_memory_retain(sb.sb_memory_open_default()), sb.sb_memory_open_fixed(8)):
        sb.sb_memory_close(handle)


def call_pool(sb: Any) -> None:
    options = sb.sb_pool_options_init()
    pool = sb.sb_pool_open(options._replace(classes=[(512, 4)], name="surface"))
    address = sb.sb_pool_get(pool, 100)
    layer.write_bytes(address, b"x" * 100)
    sb.sb_pool_put(pool, address)
    sb.sb_block_close(sb.sb_pool_get_block(pool, 100))
    sb.sb_memory_close(sb.sb_pool_memory(pool))
    sb.sb_pool_check_instance(pool)
    expect(sb.sb_pool_get_stats(pool).outstanding, 0)
    expect(sb.sb_pool_get_class_stats(pool, 0).block_size, 512)
    many = sb.sb_pool_get_many(pool, 512, 20)
    expect((len(set(many)), sb.sb_pool_get_stats(pool).outstanding), (20, 20))
    sb.sb_pool_put_many(pool, many)
    handle = sb.sb_pool_handle(pool)
    sb.sb_pool_handle_put(handle, sb.sb_pool_handle_get(handle, 100))
    sb.sb_pool_handle_free(handle)
    expect(sb.sb_pool_get_stats(pool).outstanding, 0)
    tracing = sb.sb_pool_open(options._replace(trace=True))
    address = sb.sb_pool_get(tracing, 100)
    sb.sb_pool_tag(tracing, address, "surface")
    expect((place := sb.sb_pool_get_place(tracing, 1)).tag, "surface")
    expect((place.blocks, place.bytes), (1, 512))
    sb.sb_pool_put(tracing, address)
    sb.sb_pool_close(tracing)
    sb.sb_pool_trim(pool)
    sb.sb_pool_close(pool)


def call_bytes(sb: Any) -> None:
    block = sb.sb_memory_get_block(memory := sb.sb_memory_open_heap(), 3)
    layer.write_bytes(sb.sb_block_data(block), b"abc")
    view = sb.sb_view_open_block(block, 3)
    sb.sb_memory_close(memory)
    tail = sb.sb_view_open(b"def")
    sb.sb_view_append(view, tail)
    expect((sb.sb_view_size(view), sb.sb_view_span_count(view)), (6, 2))
    expect(layer.read_bytes(*sb.sb_view_span(view, 1)), b"def")
    copy, flat, middle = sb.sb_view_copy(view), sb.sb_view_flatten(view), sb.sb_view_range(view, 1, 4)
    expect(sb.sb_view_equals(copy, flat), True)
    sb.sb_view_skip(copy, 2)
    first, rest = bytearray(2), bytearray(4)
    sb.sb_view_read_bytes(flat, first)
    sb.sb_view_copy_bytes(middle, 0, rest)
    expect((first, rest), (b"ab", b"bcde"))

    buf = sb.sb_buf_open()
    sb.sb_buf_reserve(buf, 16)
    expect(sb.sb_buf_room(buf) >= 16, True)
    sb.sb_buf_put(buf, b"12")
    address, _ = sb.sb_buf_begin(buf)
    layer.write_bytes(address, b"34")
    sb.sb_buf_commit(buf, 2)
    sb.sb_buf_put_view(buf, tail)
    expect(sb.sb_buf_size(buf), 7)
    taken, peeked = sb.sb_buf_take(buf, 4), sb.sb_buf_peek(buf)
    expect(layer.read_bytes(*sb.sb_view_span(taken, 0)), b"1234")
    expect(sb.sb_view_equals(peeked, tail), True)
    sb.sb_buf_clear(buf)
    for handle in (view, tail, copy, flat, middle, taken, peeked):
        sb.sb_view_close(handle)
    sb.sb_buf_close(buf)


def call_numbers(sb: Any) -> None:
    memory = sb.sb_memory_open_fixed(3)
    buf = sb.sb_buf_open(memory)
    same = sb.sb_buf_memory(buf)
    sb.sb_buf_check_instance(buf)
    expect(same, memory)
    sb.sb_buf_reserve(buf, 20)
    sb.sb_buf_put_byte(buf, 7)
    sb.sb_buf_put_repeated(buf, 8, 2)
    sb.sb_buf_put_int(buf, -2, 4, samebytes.ORDER_LITTLE)
    sb.sb_buf_put_float(buf, 0.5, 8, samebytes.ORDER_BIG)
    view = sb.sb_buf_take(buf, 15)
    expect(sb.sb_view_read_int(view, 1, samebytes.ORDER_BIG), 7)
    expect(sb.sb_view_peek_int(view, 2, 4, samebytes.ORDER_LITTLE), -2)
    expect(sb.sb_view_peek_float(view, 6, 8, samebytes.ORDER_BIG), 0.5)
    sb.sb_view_skip(view, 6)
    expect(sb.sb_view_read_float(view, 8, samebytes.ORDER_BIG), 0.5)
    sb.sb_view_close(view)
    sb.sb_buf_close(buf)
    for handle in (same, memory):
        sb.sb_memory_close(handle)


def call_pieces(sb: Any) -> None:
    memory = sb.sb_memory_open_fixed(4)
    view = sb.sb_view_open(b"0123456789", memory)
    same = sb.sb_view_memory(view)
    expect(same, memory)
    sb.sb_view_check_instance(view)
    expect([layer.read_bytes(*piece) for piece in sb.sb_view_get_iovec(view, 5, 2)], [b"567", b"89"])
    pin = sb.sb_view_pin(view, 1)
    address, size = sb.sb_view_span(view, 1)
    both, flat = sb.sb_view_open_concat([view, view]), sb.sb_view_flatten(view)
    expect((sb.sb_view_compare(view, both), sb.sb_view_compare(both, view)), (-1, 1))
    expect(sb.sb_view_hash(view, 1), sb.sb_view_hash(flat, 1))
    for handle in (view, both, flat):
        sb.sb_view_close(handle)
    expect(layer.read_bytes(address, size), b"4567")
    sb.sb_pin_close(pin)
    buf = sb.sb_buf_open(memory)
    sb.sb_buf_reserve(buf, 12)
    other = sb.sb_buf_split_room(buf, 5)
    expect([piece.size for piece in sb.sb_buf_begin_iovec(buf, 10)], [4, 3])
    sb.sb_buf_abort(buf)
    sb.sb_buf_close(other)
    sb.sb_buf_close(buf)
    for handle in (same, memory):
        sb.sb_memory_close(handle)


def call_lender(sb: Any) -> None:
    memory = sb.sb_memory_open_heap()
    block = sb.sb_memory_get_block(memory, 4)
    layer.write_bytes(sb.sb_block_data(block), b"lent")
    lender = sb.sb_lender_open()
    view = sb.sb_lender_lend(lender, sb.sb_block_data(block), 4, 7)
    expect(layer.read_bytes(*sb.sb_view_span(view, 0)), b"lent")
    expect(sb.sb_lender_lent(lender), 1)
    sb.sb_view_close(view)
    expect(sb.sb_lender_take(lender), 7)
    expect(sb.sb_lender_lent(lender), 0)
    sb.sb_lender_close(lender)
    sb.sb_block_close(block)
    sb.sb_memory_close(memory)


def call_metadata(sb: Any) -> None:
    memory = sb.sb_memory_open_heap()
    block = sb.sb_memory_get_block(memory, 8)
    same = sb.sb_block_memory(block)
    expect(same, memory)
    sb.sb_block_check_instance(block)
    sb.sb_memory_check_instance(memory)
    sb.sb_block_set_metadata(block, 7, 0x1000)
    expect(sb.sb_block_get_metadata(block), (7, 0x1000))
    try:
        sb.sb_memory_get_failure(memory)
        raise AssertionError("the heap has no functions that could fail")
    except samebytes.UnsupportedError:
        pass
    sb.sb_memory_drain()
    buf = sb.sb_buf_from_blocks([block], memory)
    sb.sb_buf_put(buf, b"metadata")
    view = sb.sb_buf_take(buf, 4)
    expect(sb.sb_view_span_metadata(view, 0), (7, 0x1000))
    sb.sb_view_close(view)
    sb.sb_buf_close(buf)
    for handle in (same, memory):
        sb.sb_memory_close(handle)


def call_channel(sb: Any) -> None:
    ends = socket.socketpair()
    options = sb.sb_channel_options_init()._replace(pins_max=8)
    a, b = sb.sb_channel_open(ends[0].fileno(), options), sb.sb_channel_open(ends[1].fileno())
    for end in ends:
        end.close()
    expect(sb.sb_channel_descriptor(a) >= 0, True)
    memory = sb.sb_memory_open_shared(0, 0)
    view, block = sb.sb_view_open(b"sent", memory), sb.sb_memory_get_block(memory, 16)
    sb.sb_channel_send_view(a, view, 5, 0)
    expect(sb.sb_channel_next(b, 1000), (samebytes.ARRIVAL_VIEW, 5))
    got = sb.sb_channel_receive_view(b, 0)
    expect((sb.sb_view_equals(got, view), sb.sb_channel_pin_count(a)), (True, 1))
    sb.sb_view_close(got)
    sb.sb_channel_send_block(a, block, 16, 0, 0)
    theirs = sb.sb_channel_receive_block(b, 1000)
    layer.write_bytes(sb.sb_block_data(theirs), b"answer")
    expect(layer.read_bytes(sb.sb_block_data(block), 6), b"answer")
    sb.sb_block_close(theirs)
    sb.sb_channel_wait_done(a, 1000)
    sb.sb_channel_stop(a)
    for channel in (a, b):
        sb.sb_channel_close(channel)
    sb.sb_block_close(block)
    sb.sb_view_close(view)
    sb.sb_memory_close(memory)


def call_codec(sb: Any) -> None:
    schema = sb.sb_schema_open("Event", samebytes.DIRECTION_REQUEST, 7, [("text", samebytes.TYPE_STRING)])
    other = sb.sb_schema_retain(schema)
    found = (sb.sb_schema_name(other), sb.sb_schema_direction(other), sb.sb_schema_api_key(other))
    expect(found, ("Event", samebytes.DIRECTION_REQUEST, 7))
    expect([sb.sb_schema_get_field(other, i).name for i in range(sb.sb_schema_field_count(other))], ["text"])
    builder = sb.sb_builder_open()
    sb.sb_builder_add(builder, schema, 5, [(0, b"hello", 5)])
    expect(sb.sb_builder_frame_count(builder), 1)
    others = sb.sb_builder_open()
    sb.sb_builder_add_columns(others, schema, [5, 6], [samebytes.Column(b"hellolo", lengths=[5, 2])])
    expect((sb.sb_builder_frame_count(others), sb.sb_builder_size(others)), (2, 2 * 10 + 7))
    sb.sb_builder_add_rows(others, schema, [7, 8], [(0, b"hello", 5), (0, b"lo", 2)])
    expect((sb.sb_builder_frame_count(others), sb.sb_builder_size(others)), (4, 4 * 10 + 14))
    sb.sb_builder_truncate(others, 2 * 10 + 7, 2)
    expect((sb.sb_builder_frame_count(others), sb.sb_builder_size(others)), (2, 2 * 10 + 7))
    sb.sb_builder_close(others)
    frame = bytearray(sb.sb_builder_size(builder))
    sb.sb_builder_copy_bytes(builder, frame)
    frames = sb.sb_builder_take(builder)
    expect(sb.sb_view_size(frames), len(frame))
    sb.sb_builder_clear(builder)

    parser = sb.sb_parser_open([schema], sb.sb_parser_options_init())
    expect(sb.sb_parser_direction(parser), samebytes.DIRECTION_REQUEST)
    batch = sb.sb_batch_open()
    sb.sb_parser_feed(parser, frame[:4])
    address, _ = sb.sb_parser_buffer(parser)
    layer.write_bytes(address, frame[4:6])
    sb.sb_parser_commit(parser, 2)
    sb.sb_parser_parse(parser, batch)
    expect(sb.sb_batch_need(batch), len(frame) - 6)
    expect(sb.sb_parser_position(parser, 64), 0)
    sb.sb_parser_receive(parser, bytes(frame[6:]).ljust(64), len(frame) - 6)
    sb.sb_parser_feed(parser, b"\0\0\0\2\x63\0\xff\xff\xff\xff")
    sb.sb_parser_parse(parser, batch)
    expect((sb.sb_batch_row_count(batch), sb.sb_batch_error_count(batch)), (1, 2))
    expect(sb.sb_batch_get_row(batch, 0), sb.sb_batch_get_rows(batch)[0])
    (value,) = sb.sb_batch_get_values(batch, 0)
    expect(layer.read_bytes(value.data, value.size), b"hello")
    address, size, item_size = sb.sb_batch_get_column(batch, 0, 0, samebytes.PART_LENGTHS)
    expect((layer.read_bytes(address, size), item_size), (struct.pack("=i", 5), 4))
    expect(sb.sb_batch_get_error(batch, 0).status, samebytes.UNKNOWN_API_KEY)
    expect(sb.sb_parser_end(parser), samebytes.CORRUPT)
    whole, again = sb.sb_batch_get_frame(batch, 0), sb.sb_batch_get_schema(batch, 0)
    expect(sb.sb_view_equals(whole, frames), True)
    kept = sb.sb_batch_open()
    sb.sb_batch_swap(batch, kept)
    expect((sb.sb_batch_row_count(batch), sb.sb_batch_row_count(kept)), (0, 1))
    sb.sb_batch_close(kept)
    sb.sb_batch_clear(batch)
    for handle in (whole, frames):
        sb.sb_view_close(handle)
    for handle in (schema, other, again):
        sb.sb_schema_close(handle)
    sb.sb_batch_close(batch)
    sb.sb_memory_close(sb.sb_parser_memory(parser))
    sb.sb_memory_close(sb.sb_builder_memory(builder))
    sb.sb_parser_close(parser)
    sb.sb_builder_close(builder)


def call_schema_file(sb: Any) -> None:
    file = sb.sb_schema_file_open(b"message Event request 7 { text string; }", "surface")
    expect(sb.sb_schema_file_count(file), 1)
    schema, same = sb.sb_schema_file_get(file, 0), sb.sb_schema_file_find(file, "Event")
    expect((schema, sb.sb_schema_name(same)), (same, "Event"))
    sb.sb_schema_file_close(file)
    sb.sb_schema_close(schema)
    sb.sb_schema_close(same)


def call_echo(sb: Any) -> None:
    for schema_of, add, get, record in (
        (sb.sb_echo_request_schema, sb.sb_echo_add_request, sb.sb_echo_get_request, samebytes.EchoRequest),
        (sb.sb_echo_response_schema, sb.sb_echo_add_response, sb.sb_echo_get_response, samebytes.EchoResponse),
    ):
        changes: dict[str, Any] = {"metadata": [1, -2]} if record is samebytes.EchoRequest else {"id": 4}
        message = record(timestamp=3, subject=b"s", body=b"b", sequence=-1, **changes)
        schema, builder, batch = schema_of(), sb.sb_builder_open(), sb.sb_batch_open()
        add(builder, message)
        parser = sb.sb_parser_open([schema])
        frame = bytearray(sb.sb_builder_size(builder))
        sb.sb_builder_copy_bytes(builder, frame)
        sb.sb_parser_feed(parser, frame)
        sb.sb_parser_parse(parser, batch)
        expect(get(batch, 0), message)
        sb.sb_schema_close(schema)
        sb.sb_builder_close(builder)
        sb.sb_parser_close(parser)
        sb.sb_batch_close(batch)


def call_pipeline(sb: Any) -> None:
    pipeline = sb.sb_pipeline_open()
    sequence = sb.sb_pipeline_begin(pipeline, 77)
    expect((sequence, sb.sb_pipeline_in_flight(pipeline)), (0, 1))
    expect(sb.sb_pipeline_finish(pipeline, sequence), 77)
    sb.sb_pipeline_close(pipeline)


def call_visits(sb: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/visits"
        manager = sb.sb_visit_manager_open(path, sb.sb_visit_manager_options_init()._replace(max_visits=3))
        sb.sb_visit_manager_add_visit(manager, 7, 1, b"/now", b"text")
        sb.sb_visit_manager_add_visit_at(manager, 7, 2, b"/then", b"", 5)
        sb.sb_visit_manager_add_visits(manager, [(8, 1, 10, b"/8", b""), (7, 3, samebytes.VISIT_NOW)])
        places = samebytes.Column(b"/4/5", lengths=[2, 2]), samebytes.Column(b"ab", offsets=[1, 0], lengths=[1, 1])
        sb.sb_visit_manager_add_visit_columns(manager, [4, 4], [1, 2], *places, [20, 10])
        columns = sb.sb_visit_manager_get_recent_visits(manager, 4)
        expect(sb.sb_visits_get_all(columns), [(4, 1, 20, b"/4", b"b"), (4, 2, 10, b"/5", b"a")])
        sb.sb_visits_close(columns)
        sb.sb_visit_manager_clear_user(manager, 4, False)
        for visits, wanted in (
            (sb.sb_visit_manager_get_recent_visits(manager, 7), [3, 1, 2]),
            (sb.sb_visit_manager_get_recent_visits_of(manager, [8, 9, 7]), [1, 3, 1, 2]),
        ):
            expect(
                (sb.sb_visits_count(visits), [v.visit_id for v in sb.sb_visits_get_all(visits)]), (len(wanted), wanted)
            )
            sb.sb_visits_close(visits)
        users = sb.sb_visit_manager_users(manager)
        expect(sb.sb_visit_users_get_all(users), [(7, 3), (8, 1)])
        sb.sb_visit_users_close(users)
        scan = sb.sb_visit_manager_scan(manager)
        visits = sb.sb_visit_scan_next(scan, 4)
        expect(sb.sb_visits_get_all(visits)[3], (8, 1, 10, b"/8", b""))
        sb.sb_visits_close(visits)
        sb.sb_visit_scan_close(scan)
        expect(sb.sb_visit_manager_delete_visits(manager, 7, [1, 99]), True)
        sb.sb_visit_manager_clear_user(manager, 8, True)
        sb.sb_visit_manager_compact(manager)
        sb.sb_visit_manager_sync(manager)
        try:
            sb.sb_visit_manager_refresh(manager)
            raise AssertionError("a handle that writes was refreshed")
        except samebytes.UnsupportedError:
            pass
        begin = time.monotonic()
        try:
            sb.sb_visit_manager_open(path, sb.sb_visit_manager_options_init()._replace(lock_timeout_ms=30))
            raise AssertionError("a second writer was let in")
        except samebytes.LockedError:
            expect(time.monotonic() - begin >= 0.03, True)
        expect(sb.sb_visit_manager_verify(manager).visits, 2)
        expect(sb.sb_visit_manager_get_stats(manager).max_visits, 3)
        sb.sb_visit_manager_copy_to(manager, f"{path}.copy")
        sb.sb_visit_manager_finish(manager)
        sb.sb_visit_manager_close(manager)
        expect(sb.sb_verify_visits(f"{path}.copy").visits, 2)
        expect(sb.sb_salvage_visits(path, f"{path}.salvaged").visits, 2)


def call_arrow(sb: Any) -> None:
    schema, batch = sb.sb_echo_request_schema(), sb.sb_batch_open()
    parser = sb.sb_parser_open([schema])
    sb.sb_parser_parse(parser, batch)
    # The capsules release what is exported into them.
    types = [_objects.arrow_capsule("arrow_schema") for _ in range(2)]
    rows = _objects.arrow_capsule("arrow_array")
    streams = [_objects.arrow_capsule("arrow_array_stream") for _ in range(3)]
    sb.sb_schema_export_arrow(schema, samebytes.STRINGS_UTF8, types[0][1])
    sb.sb_batch_export_arrow(batch, 0, samebytes.STRINGS_BINARY, types[1][1], rows[1])
    sb.sb_batch_export_arrow_stream(batch, 0, samebytes.STRINGS_UTF8, streams[0][1])
    with tempfile.TemporaryDirectory() as folder:
        manager = sb.sb_visit_manager_open(f"{folder}/visits", None)
        sb.sb_visit_manager_add_visit(manager, 7, 1, b"/now", b"\xff")
        visits = sb.sb_visit_manager_get_recent_visits(manager, 7)
        sb.sb_visit_manager_export_arrow_stream(manager, samebytes.STRINGS_BINARY, streams[1][1])
        try:
            sb.sb_visits_export_arrow_stream(visits, samebytes.STRINGS_UTF8, streams[2][1])
            expect("no error", "InvalidArgumentError")
        except samebytes.InvalidArgumentError as error:
            expect("text of visit 1 of user 7" in str(error), True)
        sb.sb_visits_close(visits)
        sb.sb_visit_manager_close(manager)
    sb.sb_batch_close(batch)
    sb.sb_parser_close(parser)
    sb.sb_schema_close(schema)


def surface() -> list[str]:
    """Calls every function of the headers; returns their names."""
    recorder = Recorder()
    for call in (
        call_library,
        call_memory,
        call_pool,
        call_bytes,
        call_metadata,
        call_numbers,
        call_pieces,
        call_lender,
        call_channel,
        call_codec,
        call_schema_file,
        call_echo,
        call_pipeline,
        call_visits,
        call_arrow,
    ):
        call(recorder)
    return sorted(recorder.names)


# ---- the conversation ----


def hello() -> bytes:
    numbers = layer.sb_version(), layer.sb_abi_digest(), layer.sb_instance_id()
    return struct.pack(">IQQ", *numbers) + packed(layer.BACKEND)


def answer(request: Request) -> bytes:
    match request.take(1):
        case b"H":
            body = hello()
        case b"E":
            body = encode(request)
        case b"D":
            body = decode(request)
        case b"V":
            body = visits(request)
        case b"L":
            body = struct.pack(">q", layer.sb_memory_live_blocks())
        case b"F":
            names = surface()
            body = struct.pack(">I", len(names)) + b"".join(map(packed, names))
        case b"Q":
            body = b""
        case _:
            raise Malformed
    if request.at != len(request.data):
        raise Malformed
    return b"\0" + body


def reply(data: bytes) -> bytes:
    try:
        return answer(Request(data))
    except samebytes.SamebytesError as error:
        return b"\1" + packed_error(error)
    except Malformed:
        message = "the request is not what the protocol says"
    except (ValueError, TypeError, OverflowError) as error:
        message = str(error)
    return b"\1" + packed_error(samebytes.Error(samebytes.INVALID_ARGUMENT, 0, 0, samebytes.NO_FRAME, "", message))


def read_request(source: BinaryIO) -> bytes | None:
    """The next request; None at the end of the input."""
    length = source.read(4)
    if not length:
        return None
    size = int.from_bytes(length)
    data = source.read(size) if len(length) == 4 and size <= REQUEST_SIZE_MAX else b""
    if len(length) < 4 or len(data) < size:
        sys.exit("testee.py: the input ends inside a request, or a request is longer than the limit")
    return data


def main() -> None:
    while (data := read_request(sys.stdin.buffer)) is not None:
        sys.stdout.buffer.write(packed(reply(data)))
        sys.stdout.buffer.flush()
        if data == b"Q":
            return


if __name__ == "__main__":
    main()
