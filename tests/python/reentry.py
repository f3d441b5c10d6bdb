"""What may run in the middle of each call: one table of all calls, with the points at which code of others runs.

A call is written as it is made, on the objects of a World. What stands in it says where code of others runs:

    I(3)     an integer by __index__
    F(1.5)   a number by __float__
    B(b"x")  memory by the buffer protocol: when it is asked for, and when it is let go
    L([..])  a list whose items are points, and which may be changed meanwhile
    It([..]) something that is iterated over
    O(a=1)   an object whose attributes are properties
    M({..})  a mapping that is asked for its names and values
    E(3)     an integer that is compared with others and hashed as well

Nothing has to stand there for what may run anywhere: finalizers, handlers of signals and trace functions (between any two instructions of
Python), the collector (where something is allocated), other threads, and providers of memory (where an object needs some, P() says so).

test_reentry.py runs hostile code at each of these points. It fails when a call of the package is not in the table, when a point of the
table is not reached, and when something that a call may be hostile with is not tried.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import samebytes
from samebytes import aio, client, easynetwork, echo

from . import reentry_peers as peers

FIELDS = [("number", "int64"), ("text", "string"), ("items", "array<int16>"), ("texts", "array<string>")]
MEMORY = "/dev/shm"  # a file is made for each try
PLAIN = [1, b"text", [1, 2, 3], [b"a", b"b"]]


class World:
    """The objects of one call, made when they are first asked for."""

    exporter: Any = None
    """The class of memory that runs code when it is asked for, and when it is let go; hostile_buffer.c has it."""

    def __init__(self) -> None:
        self.act: Callable[[], None] | None = None
        self.hits = 0
        self.made: dict[str, Any] = {}
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.kept: list[object] = []
        self.changed: list[Callable[[], None]] = []  # what changes the containers of the call
        self.provider_is_a_point = False
        # What the acts of reentry_child.py need.
        self.call: Callable[[World], Any] = lambda world: None
        self.depth = 0
        self.taken: list[memoryview] = []
        self.threads: list[threading.Thread] = []
        # What connections need; reentry_peers.py has them.
        self.handler: Callable[..., Any] = peers.answer
        self.allowed: tuple[type[BaseException], ...] = ()
        self.ends: list[Callable[[], None]] = []

    def hit(self) -> None:
        """Code of others runs."""
        self.hits += 1
        if self.act is not None:
            self.act()

    def __getattr__(self, name: str) -> Any:
        if name not in FACTORIES:
            raise AttributeError(name)
        made = self.made[name] = FACTORIES[name](self)
        setattr(self, name, made)
        return made

    def handles(self) -> list[Any]:
        return [made for made in self.made.values() if hasattr(made, "close")]

    def capsule(self, name: str) -> int:
        """The address of a structure, which lives as long as the world."""
        capsule, address = samebytes._objects.arrow_capsule(name)
        self.kept.append(capsule)
        return address

    def path(self, name: str) -> str:
        if self.folder is None:
            self.folder = tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None)
        return f"{self.folder.name}/{name}"

    def end(self) -> None:
        self.act = None
        for _ in range(2):  # memoryviews that a call returned have gone by now; a walk is closed before its manager
            for handle in reversed(self.handles()):
                handle.close()
        for end in reversed(self.ends):
            end()
        if self.folder is not None:
            self.folder.cleanup()

    # Points

    def I(self, number: int) -> Any:  # noqa: E743
        world = self
        answers = iter((number,))

        class Index:
            def __index__(self) -> int:
                world.hit()
                return next(answers, number + 5)  # whoever asks twice is told something else

        return Index()

    def F(self, number: float) -> Any:
        world = self

        class Real:
            def __float__(self) -> float:
                world.hit()
                return number

        return Real()

    def B(self, data: bytes) -> Any:
        return self.exporter(bytearray(data), self.hit)

    def L(self, items: list[Any]) -> list[Any]:
        kept = items[:]

        def change() -> None:
            """Everything that the list held goes, and other things lie there."""
            del kept[:], items[:]
            items.extend([bytes(40)] * 3)

        self.changed.append(change)
        return items

    def It(self, items: list[Any]) -> Any:
        def iterate() -> Iterator[Any]:
            for item in items:
                self.hit()
                yield item

        return iterate()

    def O(self, **values: Any) -> Any:  # noqa: E743
        def attribute(value: Any) -> property:
            def get(_: object) -> Any:
                self.hit()
                return value

            return property(get)

        return type("Message", (), {name: attribute(value) for name, value in values.items()})()

    def M(self, values: dict[str, Any]) -> Any:
        world = self

        class Names(Mapping[str, Any]):
            def __getitem__(self, name: str) -> Any:
                world.hit()
                return values[name]

            def __iter__(self) -> Iterator[str]:
                world.hit()
                return iter(values)

            def __len__(self) -> int:
                world.hit()
                return len(values)

        return Names()

    def E(self, number: int) -> Any:
        world = self

        class Equal:
            def __index__(self) -> int:
                world.hit()
                return number

            def __eq__(self, other: object) -> bool:
                world.hit()
                return other == number

            def __hash__(self) -> int:
                world.hit()
                return hash(number)

        return Equal()

    def P(self) -> World:
        """The provider of memory is asked in this call."""
        self.provider_is_a_point = True
        return self

    def reserve(self, size: int) -> list[bytearray]:
        if self.provider_is_a_point:
            self.hit()
        return [bytearray(size)]


def frames(world: World) -> bytes:
    with samebytes.Builder() as builder:
        for _ in range(3):
            builder.add(world.schema, 1, PLAIN)
        return bytes(builder)


def filled_batch(world: World) -> samebytes.Batch:
    with samebytes.Parser([world.schema]) as parser:
        parser.feed(frames(world))
        return parser.parse()


def filled_builder(world: World) -> samebytes.Builder:
    builder = samebytes.Builder()
    builder.add(world.schema, 1, PLAIN)
    return builder


def fed_parser(world: World) -> samebytes.Parser:
    parser = samebytes.Parser([world.schema], memory=world.memory)
    parser.feed(frames(world))
    return parser


def roomy_buf(world: World) -> samebytes.Buf:
    buf = samebytes.Buf(world.memory)
    buf.reserve(4096)
    buf.put(b"some bytes at the front")
    return buf


def taken_lender(world: World) -> samebytes.Lender:
    lender = samebytes.Lender()
    lender.lend(world.block.data(), 8, 7).close()
    return lender


def filled_manager(world: World) -> samebytes.VisitManager:
    manager = samebytes.VisitManager(world.path("visits"))
    manager.add_visits([(user, visit, f"url {visit}", "text") for user in range(3) for visit in range(5)])
    return manager


def used_pipeline(_: World) -> samebytes.Pipeline:
    pipeline = samebytes.Pipeline()
    pipeline.begin(1)
    return pipeline


def channel_with_news(world: World) -> samebytes.Channel:
    with samebytes.View(b"sent", world.shared) as view, world.shared.get_block(8) as block:
        world.peer.send_view(view)
        world.peer.send_block(block)
    return samebytes.Channel(world.sockets[1])


def request_batch(_: World) -> samebytes.Batch:
    with (
        samebytes.Builder() as builder,
        samebytes.echo_request_schema() as schema,
        samebytes.Parser([schema]) as parser,
    ):
        samebytes.echo_add_request(builder, samebytes.EchoRequest(1, b"s", [1], b"b"))
        parser.feed(bytes(builder))
        return parser.parse()


def response_batch(_: World) -> samebytes.Batch:
    with (
        samebytes.Builder() as builder,
        samebytes.echo_response_schema() as schema,
        samebytes.Parser([schema]) as parser,
    ):
        samebytes.echo_add_response(builder, samebytes.EchoResponse(1, b"s", b"b", 1))
        parser.feed(bytes(builder))
        return parser.parse()


def echo_parser(_: World) -> echo.Parser:
    with echo.Builder() as builder:
        builder.add(subject=b"s")
        data = builder.get_buffer()
    parser = echo.Parser()
    parser.feed(data)
    return parser


def schema_file(world: World) -> samebytes.SchemaFile:
    return samebytes.SchemaFile(SCHEMAS)


SCHEMAS = b"message M request 7 { a int64; }\n"

FACTORIES: dict[str, Callable[[World], Any]] = {
    "memory": lambda w: samebytes.Memory.open_callback(w.reserve),
    "tracing": lambda w: samebytes.Memory.open_tracing(w.memory),
    "shared": lambda w: samebytes.Memory.open_shared(65536, 1 << 20),
    "pool": lambda w: samebytes.Pool(classes=[(64, 8)], trace=True, name="pool"),
    "block": lambda w: samebytes.Memory.open_heap().get_block(64),
    "block2": lambda w: samebytes.Memory.open_heap().get_block(64),
    "view": lambda w: samebytes.View(b"the bytes of a view", w.memory),
    "view2": lambda w: samebytes.View(b"the bytes of another view"),
    "pieces": lambda w: samebytes.View.open_concat([w.view, w.view2]),
    "sent": lambda w: samebytes.View(b"to be sent", w.shared),
    "sent_block": lambda w: w.shared.get_block(16),
    "pin": lambda w: w.view.pin(0),
    "buf": roomy_buf,
    "schema": lambda w: samebytes.Schema("M", "request", 7, FIELDS),
    "schema_file": schema_file,
    "builder": filled_builder,
    "fresh_builder": lambda w: samebytes.Builder(w.memory),
    "parser": fed_parser,
    "batch": filled_batch,
    "batch2": filled_batch,
    "request_batch": request_batch,
    "response_batch": response_batch,
    "row": lambda w: w.batch.rows[0],
    "row2": lambda w: w.batch2.rows[1],
    "lender": taken_lender,
    "pipeline": used_pipeline,
    "manager": filled_manager,
    "scan": lambda w: w.manager.scan(),
    "visits": lambda w: samebytes.Visits.adopt(
        samebytes._backend.layer.sb_visit_manager_get_recent_visits(w.manager.address, 1)
    ),
    "visit_users": lambda w: samebytes._classes.VisitManager.users(w.manager),
    "visit": lambda w: w.manager.get_recent_visits(1)[0],
    "sockets": lambda w: socket.socketpair(),
    "peer": lambda w: samebytes.Channel(w.sockets[0]),
    "channel": channel_with_news,
    "echo_builder": lambda w: echo.Builder(),
    "echo_parser": echo_parser,
    "echo_request": lambda w: samebytes.echo_request_schema(),
    "echo_response": lambda w: samebytes.echo_response_schema(),
    "pair": lambda w: aio.Pair(w.echo_request, w.echo_response),
    "blocking": peers.blocking_client,
    "begun": lambda w: w.blocking.send(peers.VALUES),
    "aio_loop": peers.aio_loop,
    "aio_server": peers.aio_server,
    "aio_batches": lambda w: peers.aio_server(w, batches=True),
    "aio_client": lambda w: peers.aio_client(w, w.aio_server),
    "aio_of_batches": lambda w: peers.aio_client(w, w.aio_batches),
    "serializer": lambda w: easynetwork.MessageSerializer(w.echo_request, debug=True),
    "two_serializer": lambda w: easynetwork.MessageSerializer(w.echo_request, [w.echo_request, w.schema]),
    "batch_serializer": lambda w: easynetwork.BatchSerializer(w.echo_request, debug=True),
}

Call = Callable[[World], Any]


def release_all(memories: Any) -> None:
    for memory in memories:
        memory.release()


def release_columns(columns: dict[str, Any]) -> None:
    for column in columns.values():
        release_all(column if isinstance(column, tuple) else [column])


def write_schema_file(w: World) -> str:
    path = w.path("schemas.json")
    Path(path).write_bytes(SCHEMAS)
    return path


def closing(made: Any) -> None:
    made.close()


def arrow(reads: Any) -> None:
    reads.__arrow_c_stream__()


# The calls by class. The key is the name that the package has for it; what is tried on an object of the same name in lower case.
CALLS: dict[str, Call] = {
    # Handle: of each class, see HANDLES
    "Memory.open_default": lambda w: samebytes.Memory.open_default().close(),
    "Memory.open_heap": lambda w: samebytes.Memory.open_heap().close(),
    "Memory.open_fixed": lambda w: samebytes.Memory.open_fixed(w.I(64)).close(),
    "Memory.open_tracing": lambda w: samebytes.Memory.open_tracing(w.memory).close(),
    "Memory.open_shared": lambda w: samebytes.Memory.open_shared(w.I(65536), w.I(1 << 20)).close(),
    "Memory.open_callback": lambda w: samebytes.Memory.open_callback(w.reserve).close(),
    "Memory.retain": lambda w: w.memory.retain().close(),
    "Memory.get_block": lambda w: w.P().memory.get_block(w.I(10)).close(),
    "Memory.get_stats": lambda w: w.memory.get_stats(),
    "Memory.fail_reserve": lambda w: w.tracing.fail_reserve(w.I(0)),
    "Memory.check_instance": lambda w: w.memory.check_instance(),
    "Memory.get_failure": lambda w: w.memory.get_failure(),
    "Block.retain": lambda w: w.block.retain().close(),
    "Block.data": lambda w: w.block.data(),
    "Block.size": lambda w: w.block.size(),
    "Block.is_exclusive": lambda w: w.block.is_exclusive(),
    "Block.memory": lambda w: w.block.memory().close(),
    "Block.check_instance": lambda w: w.block.check_instance(),
    "Block.set_metadata": lambda w: w.block.set_metadata(w.I(1), None),
    "Block.get_metadata": lambda w: w.block.get_metadata(),
    "Block.__len__": lambda w: len(w.block),
    "Block.__bytes__": lambda w: bytes(w.block),
    "Block.__buffer__": lambda w: memoryview(w.block).release(),
    "View.__init__": lambda w: samebytes.View(w.B(b"data"), w.P().memory).close(),
    "View.open_block": lambda w: samebytes.View.open_block(w.block, w.I(8)).close(),
    "View.open_concat": lambda w: samebytes.View.open_concat(w.It([w.view, w.view2])).close(),
    "View.open_foreign": lambda w: samebytes.View.open_foreign(w.B(b"foreign")).close(),
    "View.size": lambda w: w.view.size(),
    "View.span_count": lambda w: w.view.span_count(),
    "View.span": lambda w: w.view.span(w.I(0)).release(),
    "View.span_metadata": lambda w: w.view.span_metadata(w.I(0)),
    "View.get_iovec": lambda w: release_all(w.view.get_iovec(w.I(1), w.I(4))),
    "View.pin": lambda w: w.view.pin(w.I(0)).close(),
    "View.memory": lambda w: w.view.memory().close(),
    "View.check_instance": lambda w: w.view.check_instance(),
    "View.copy": lambda w: w.view.copy().close(),
    "View.range": lambda w: w.view.range(w.I(1), w.I(4)).close(),
    "View.flatten": lambda w: w.P().pieces.flatten(w.memory).close(),
    "View.append": lambda w: w.view.append(w.view2),
    "View.skip": lambda w: w.view.skip(w.I(2)),
    "View.read_bytes": lambda w: w.view.read_bytes(w.B(bytes(4))),
    "View.copy_bytes": lambda w: w.view.copy_bytes(w.I(1), w.B(bytes(4))),
    "View.read_int": lambda w: w.view.read_int(w.I(2), w.I(0)),
    "View.read_float": lambda w: w.view.read_float(w.I(8), w.I(0)),
    "View.peek_int": lambda w: w.view.peek_int(w.I(1), w.I(2), w.I(0)),
    "View.peek_float": lambda w: w.view.peek_float(w.I(1), w.I(8), w.I(0)),
    "View.equals": lambda w: w.view.equals(w.view2),
    "View.compare": lambda w: w.view.compare(w.view2),
    "View.hash": lambda w: w.view.hash(w.I(1)),
    "View.read": lambda w: w.view.read(w.I(3)),
    "View.readinto": lambda w: w.view.readinto(w.B(bytes(4))),
    "View.file": lambda w: w.view.file().readall(),
    "View.__len__": lambda w: len(w.view),
    "View.__bytes__": lambda w: bytes(w.view),
    "View.__buffer__": lambda w: memoryview(w.view).release(),
    "View.__getitem__": lambda w: (w.view[w.I(1)], w.view[w.I(1) : w.I(4)].close()),
    "View.__add__": lambda w: (w.view + w.view2).close(),
    "View.__eq__": lambda w: (w.view == w.view2, w.view == b"bytes"),
    "View.__lt__": lambda w: w.view < w.view2,
    "View.__le__": lambda w: w.view <= w.view2,
    "View.__gt__": lambda w: w.view > w.view2,
    "View.__ge__": lambda w: w.view >= w.view2,
    "Buf.__init__": lambda w: samebytes.Buf(w.memory).close(),
    "Buf.from_blocks": lambda w: samebytes.Buf.from_blocks(w.It([w.block, w.block2]), w.memory).close(),
    "Buf.size": lambda w: w.buf.size(),
    "Buf.room": lambda w: w.buf.room(),
    "Buf.reserve": lambda w: w.P().buf.reserve(w.I(100_000)),
    "Buf.put": lambda w: w.buf.put(w.B(b"data")),
    "Buf.put_byte": lambda w: w.buf.put_byte(w.I(1)),
    "Buf.put_repeated": lambda w: w.buf.put_repeated(w.I(1), w.I(5)),
    "Buf.put_int": lambda w: w.buf.put_int(w.I(1), w.I(2), w.I(0)),
    "Buf.put_float": lambda w: w.buf.put_float(w.F(1.5), w.I(8), w.I(0)),
    "Buf.put_view": lambda w: w.buf.put_view(w.view),
    "Buf.peek": lambda w: w.buf.peek().close(),
    "Buf.take": lambda w: w.buf.take(w.I(4)).close(),
    "Buf.begin": lambda w: w.buf.begin().release(),
    "Buf.begin_iovec": lambda w: release_all(w.buf.begin_iovec(w.I(4))),
    "Buf.commit": lambda w: (w.buf.begin(), w.buf.commit(w.I(4))),
    "Buf.abort": lambda w: (w.buf.begin(), w.buf.abort()),
    "Buf.split_room": lambda w: w.buf.split_room(w.I(64)).close(),
    "Buf.memory": lambda w: w.buf.memory().close(),
    "Buf.check_instance": lambda w: w.buf.check_instance(),
    "Buf.clear": lambda w: w.buf.clear(),
    "Buf.write": lambda w: w.P().buf.write(w.B(bytes(100_000))),
    "Buf.writing": lambda w: write_room(w),
    "Buf.file": lambda w: w.buf.file().write(w.B(b"data")),
    "Buf.__len__": lambda w: len(w.buf),
    "Schema.__init__": lambda w: samebytes.Schema("N", w.I(1), w.I(7), w.It([("a", w.I(4))])).close(),
    "Schema.retain": lambda w: w.schema.retain().close(),
    "Schema.name": lambda w: w.schema.name(),
    "Schema.direction": lambda w: w.schema.direction(),
    "Schema.api_key": lambda w: w.schema.api_key(),
    "Schema.field_count": lambda w: w.schema.field_count(),
    "Schema.get_field": lambda w: w.schema.get_field(w.I(0)),
    "Schema.fields": lambda w: w.schema.fields,
    "Schema.shape": lambda w: w.schema.shape,
    "Schema.export_arrow": lambda w: w.schema.export_arrow(w.I(1), w.capsule("arrow_schema")),
    "SchemaFile.__init__": lambda w: samebytes.SchemaFile(w.B(SCHEMAS), "name").close(),
    "SchemaFile.count": lambda w: w.schema_file.count(),
    "SchemaFile.get": lambda w: w.schema_file.get(w.I(0)).close(),
    "SchemaFile.find": lambda w: w.schema_file.find("M").close(),
    "Builder.__init__": lambda w: samebytes.Builder(w.memory).close(),
    "Builder.add": lambda w: w.P().fresh_builder.add(
        w.schema,
        w.I(1),
        w.L([w.I(1), w.B(b"text"), w.L([w.I(1), 2, w.I(3)]), w.L([w.B(b"a"), b"b", w.B(b"c")])]),
    ),
    "Builder.add (iterated)": lambda w: w.builder.add(
        w.schema, 1, w.It([w.I(1), w.B(b"text"), w.It([1, w.I(2)]), w.It([w.B(b"a")])])
    ),
    "Builder.add (a row)": lambda w: w.P().fresh_builder.add(w.schema, w.I(1), w.row),
    "Builder.add_rows": lambda w: w.P().fresh_builder.add_rows(
        w.schema,
        w.L([w.I(1), 2]),
        w.L(
            [
                w.L([w.I(1), w.B(b"text"), w.L([1, w.I(2)]), w.L([w.B(b"a")])]),
                w.O(number=1, text=b"", items=[], texts=[w.B(b"")]),
            ]
        ),
    ),
    "Builder.add_rows (iterated)": lambda w: w.builder.add_rows(
        w.schema, [1], w.It([[1, b"", w.It([w.I(1)]), w.It([w.B(b"")])]])
    ),
    "Builder.add_columns": lambda w: w.P().fresh_builder.add_columns(
        w.schema,
        w.L([w.I(1), w.I(2)]),
        w.L([w.L([w.I(1), 2]), w.L([w.B(b"a"), b"b"]), w.L([w.L([w.I(1)]), [2]]), w.L([[], w.L([w.B(b"a")])])]),
    ),
    "Builder.add_columns (Columns)": lambda w: w.P().fresh_builder.add_columns(
        w.schema,
        (w.I(1), 2),
        (
            array("q", [1, 2]),
            samebytes.Column(w.B(b"ab"), lengths=array("i", [1, 1])),
            samebytes.Column(w.It([w.I(1)]), lengths=w.It([w.I(1), 0])),
            w.It([[], [w.B(b"a")]]),
        ),
    ),
    "Builder.size": lambda w: w.builder.size(),
    "Builder.frame_count": lambda w: w.builder.frame_count(),
    "Builder.take": lambda w: w.builder.take().close(),
    "Builder.copy_bytes": lambda w: w.builder.copy_bytes(w.B(bytes(len(w.builder)))),
    "Builder.clear": lambda w: w.builder.clear(),
    "Builder.truncate": lambda w: w.builder.truncate(w.I(0), w.I(0)),
    "Builder.memory": lambda w: w.builder.memory().close(),
    "Builder.__len__": lambda w: len(w.builder),
    "Builder.__bytes__": lambda w: bytes(w.builder),
    "Parser.__init__": lambda w: samebytes.Parser(
        w.L([w.schema]), max_frame_size=w.I(1000), memory=w.memory, receive_position=w.I(0)
    ).close(),
    "Parser.feed": lambda w: w.P().parser.feed(w.B(bytes(100_000))),
    "Parser.feed (bytes)": lambda w: w.P().parser.feed(bytes(100_000)),
    "Parser.buffer": lambda w: w.parser.buffer().release(),
    "Parser.commit": lambda w: (w.parser.buffer(), w.parser.commit(w.I(2))),
    "Parser.position": lambda w: w.parser.position(w.I(4096)),
    "Parser.receive": lambda w: w.P().parser.receive(w.B(bytes(4096)), w.I(10)),
    "Parser.parse": lambda w: w.parser.parse(w.batch),
    "Parser.parse (a new batch)": lambda w: w.parser.parse().close(),
    "Parser.end": lambda w: w.parser.end(),
    "Parser.direction": lambda w: w.parser.direction(),
    "Parser.memory": lambda w: w.parser.memory().close(),
    "Batch.__init__": lambda w: samebytes.Batch().close(),
    "Batch.row_count": lambda w: w.batch.row_count(),
    "Batch.error_count": lambda w: w.batch.error_count(),
    "Batch.need": lambda w: w.batch.need(),
    "Batch.get_row": lambda w: w.batch.get_row(w.I(0)),
    "Batch.get_rows": lambda w: w.batch.get_rows(),
    "Batch.get_values": lambda w: w.batch.get_values(w.I(0)),
    "Batch.get_column": lambda w: w.batch.get_column(w.I(0), w.I(0), w.I(0)),
    "Batch.get_frame": lambda w: w.batch.get_frame(w.I(0)).close(),
    "Batch.get_error": lambda w: w.batch.get_error(w.I(0)),
    "Batch.get_schema": lambda w: w.batch.get_schema(w.I(0)).close(),
    "Batch.swap": lambda w: w.batch.swap(w.batch2),
    "Batch.clear": lambda w: w.batch.clear(),
    "Batch.rows": lambda w: [row.fields() for row in w.batch.rows],
    "Batch.errors": lambda w: w.batch.errors,
    "Batch.column": lambda w: w.batch.column(w.I(0), w.I(0), w.I(0)).release(),
    "Batch.columns": lambda w: release_columns(w.batch.columns(w.I(0))),
    "Batch.arrow": lambda w: arrow(w.batch.arrow(w.I(0))),
    "Batch.export_arrow": lambda w: w.batch.export_arrow(
        w.I(0), w.I(1), w.capsule("arrow_schema"), w.capsule("arrow_array")
    ),
    "Batch.export_arrow_stream": lambda w: w.batch.export_arrow_stream(w.I(0), w.I(1), w.capsule("arrow_array_stream")),
    "Batch.__arrow_c_schema__": lambda w: w.batch.__arrow_c_schema__(),
    "Batch.__arrow_c_array__": lambda w: w.batch.__arrow_c_array__(),
    "Batch.__arrow_c_stream__": lambda w: w.batch.__arrow_c_stream__(),
    "Batch.__len__": lambda w: len(w.batch),
    "Batch.__iter__": lambda w: list(w.batch),
    "Message.fields": lambda w: w.row.fields(),
    "Message.__iter__": lambda w: list(w.row),
    "Message.__len__": lambda w: len(w.row),
    "Message.__eq__": lambda w: (w.row == w.row2, hash(w.row)),
    "Message.__lt__": lambda w: w.row < w.row2,
    "Message.__le__": lambda w: w.row <= w.row2,
    "Message.__gt__": lambda w: w.row > w.row2,
    "Message.__ge__": lambda w: w.row >= w.row2,
    "Message.__repr__": lambda w: repr(w.row),
    "Message.__reduce__": lambda w: restored(w.row),
    "Message.api_key": lambda w: w.row.api_key,
    "Message.sequence": lambda w: w.row.sequence,
    "Message.stream_offset": lambda w: w.row.stream_offset,
    "Pipeline.__init__": lambda w: samebytes.Pipeline().close(),
    "Pipeline.begin": lambda w: w.pipeline.begin(w.I(3)),
    "Pipeline.finish": lambda w: w.pipeline.finish(w.I(0)),
    "Pipeline.in_flight": lambda w: w.pipeline.in_flight(),
    "Lender.__init__": lambda w: samebytes.Lender().close(),
    "Lender.lend": lambda w: w.lender.lend(w.block.data(), w.I(8), w.I(5)).close(),
    "Lender.take": lambda w: w.lender.take(),
    "Lender.lent": lambda w: w.lender.lent(),
    "Pool.__init__": lambda w: samebytes.Pool(
        classes=w.It([(w.I(64), w.I(4))]), bytes_max=w.I(0), alignment=w.I(64), name="pool", thread_bytes_max=w.I(0)
    ).close(),
    "Pool.get": lambda w: w.pool.put(w.pool.get(w.I(10))),
    "Pool.put": lambda w: w.pool.put(w.pool.get(10)),
    "Pool.get_many": lambda w: w.pool.put_many(w.pool.get_many(w.I(10), w.I(3))),
    "Pool.put_many": lambda w: w.pool.put_many(w.It(w.pool.get_many(10, 3))),
    "Pool.get_block": lambda w: w.pool.get_block(w.I(10)).close(),
    "Pool.memory": lambda w: w.pool.memory().close(),
    "Pool.check_instance": lambda w: w.pool.check_instance(),
    "Pool.trim": lambda w: w.pool.trim(),
    "Pool.get_stats": lambda w: w.pool.get_stats(),
    "Pool.get_class_stats": lambda w: w.pool.get_class_stats(w.I(0)),
    "Pool.tag": lambda w: with_a_block(w.pool, lambda data: w.pool.tag(data, "place")),
    "Pool.get_place": lambda w: w.pool.get_place(w.I(0)),
    "Pool.leaks": lambda w: w.pool.leaks(),
    "Pool.handle": lambda w: samebytes.pool_handle_free(w.pool.handle()),
    "Channel.__init__": lambda w: samebytes.Channel(w.sockets[0].fileno(), pins_max=w.I(4), bytes_max=w.I(0)).close(),
    "Channel.send_view": lambda w: w.channel.send_view(w.sent, w.I(1), w.I(1)),
    "Channel.send_block": lambda w: w.channel.send_block(w.sent_block, w.I(8), w.I(1), w.I(1)),
    "Channel.next": lambda w: w.channel.next(w.I(1)),
    "Channel.receive_view": lambda w: w.channel.receive_view(w.I(1)).close(),
    "Channel.receive_block": lambda w: (w.channel.receive_view(1).close(), w.channel.receive_block(w.I(1)).close()),
    "Channel.receive": lambda w: w.channel.receive(w.I(1))[0].close(),
    "Channel.pin_count": lambda w: w.channel.pin_count(),
    "Channel.wait_done": lambda w: w.channel.wait_done(w.I(1)),
    "Channel.descriptor": lambda w: w.channel.descriptor(),
    "Channel.fileno": lambda w: w.channel.fileno(),
    "Channel.stop": lambda w: w.channel.stop(),
    "VisitManager.__init__": lambda w: samebytes.VisitManager(
        w.path("new"), max_visits=w.I(3), durability=w.I(1), interval_ms=w.I(0), timeout_ms=w.I(0)
    ).close(),
    "VisitManager.add_visit": lambda w: w.manager.add_visit(w.I(1), w.I(9), "url", b"text", w.I(5)),
    "VisitManager.add_visit_at": lambda w: w.manager.add_visit_at(w.I(1), w.I(9), "url", "text", w.I(5)),
    "VisitManager.add_visits": lambda w: w.manager.add_visits(
        w.It([w.L([w.I(1), w.I(20), "url" * 20, "text" * 20]), (w.I(2), w.I(21), b"url", b"text", w.I(5)), w.visit])
    ),
    "VisitManager.add_visit_columns": lambda w: w.manager.add_visit_columns(
        w.It([w.I(1), w.I(2)]), w.L([w.I(30), w.I(31)]), w.It(["a", "b"]), w.It([b"a", "b"]), w.It([w.I(1), None])
    ),
    "VisitManager.get_recent_visits": lambda w: [(v.url, v.text) for v in w.manager.get_recent_visits(w.I(1))],
    "VisitManager.get_recent_visits_of": lambda w: w.manager.get_recent_visits_of(w.It([w.I(1), w.I(2)])),
    "VisitManager.delete_visits": lambda w: w.manager.delete_visits(w.I(1), w.It([w.I(1)])),
    "VisitManager.clear_user": lambda w: w.manager.clear_user(w.I(1)),
    "VisitManager.users": lambda w: w.manager.users(),
    "VisitManager.scan": lambda w: w.manager.scan().close(),
    "VisitManager.copy_to": lambda w: w.manager.copy_to(w.path("copy")),
    "VisitManager.compact": lambda w: w.manager.compact(),
    "VisitManager.sync": lambda w: w.manager.sync(),
    "VisitManager.refresh": lambda w: w.manager.refresh(),
    "VisitManager.verify": lambda w: w.manager.verify(),
    "VisitManager.get_stats": lambda w: w.manager.get_stats(),
    "VisitManager.finish": lambda w: w.manager.finish(),
    "VisitManager.arrow": lambda w: arrow(w.manager.arrow()),
    "VisitManager.export_arrow_stream": lambda w: w.manager.export_arrow_stream(
        w.I(1), w.capsule("arrow_array_stream")
    ),
    "VisitManager.__arrow_c_stream__": lambda w: w.manager.__arrow_c_stream__(),
    "VisitManager.__iter__": lambda w: list(w.manager),
    "VisitScan.next": lambda w: w.scan.next(w.I(1)),
    "VisitScan.arrow": lambda w: [arrow(piece) for piece in w.scan.arrow(w.I(1))],
    "VisitScan.__iter__": lambda w: list(w.scan),
    "Visits.count": lambda w: w.visits.count(),
    "Visits.get_all": lambda w: w.visits.get_all(),
    "Visits.export_arrow_stream": lambda w: w.visits.export_arrow_stream(w.I(1), w.capsule("arrow_array_stream")),
    "VisitUsers.get_all": lambda w: w.visit_users.get_all(),
    "Visit.__init__": lambda w: samebytes.Visit(w.I(1), "url", "text", time_ns=w.I(5), user=w.I(2)),
    "Visit.__eq__": lambda w: w.visit == samebytes.Visit(1, "url", "text"),
    "Visit.__repr__": lambda w: repr(w.visit),
    "Visit.user": lambda w: w.visit.user,
    "Visit.visit_id": lambda w: w.visit.visit_id,
    "Visit.time_ns": lambda w: w.visit.time_ns,
    "Visit.time": lambda w: w.visit.time,
    "Visit.url": lambda w: w.visit.url,
    "Visit.text": lambda w: w.visit.text,
    "echo.Builder.add": lambda w: w.echo_builder.add(
        subject=w.B(b"s"), timestamp=w.I(1), metadata=w.L([w.I(1), 2]), body=w.B(b"b"), sequence=w.I(1)
    ),
    "echo.Builder.add_all": lambda w: w.echo_builder.add_all(
        w.L(
            [
                w.O(timestamp=w.I(1), subject=b"s", metadata=[w.I(1)], body=w.B(b"b"), sequence=w.I(1)),
                {"timestamp": w.I(1), "subject": b"", "metadata": w.L([w.I(1)]), "body": w.B(b"")},
            ]
        )
    ),
    "echo.Builder.add_response": lambda w: w.echo_builder.add_response(
        id=w.I(1), timestamp=w.I(1), subject=w.B(b"s"), body=w.B(b"b"), sequence=w.I(1)
    ),
    "echo.Builder.add_all_responses": lambda w: w.echo_builder.add_all_responses(
        w.It([w.O(id=w.I(1), timestamp=1, subject=w.B(b""), body=b"", sequence=0)])
    ),
    "echo.Builder.__init__": lambda w: echo.Builder(w.memory).close(),
    "echo.Builder.get_buffer": lambda w: w.echo_builder.get_buffer(),
    "echo.Builder.clear": lambda w: w.echo_builder.clear(),
    "echo.Builder.close": lambda w: w.echo_builder.close(),
    "echo.Builder.__len__": lambda w: len(w.echo_builder),
    "echo.Parser.__init__": lambda w: echo.Parser("request", w.I(1000), w.memory).close(),
    "echo.Parser.feed": lambda w: w.echo_parser.feed(w.B(bytes(4))),
    "echo.Parser.parse": lambda w: w.echo_parser.parse(),
    "echo.Parser.need": lambda w: w.echo_parser.need,
    "echo.Parser.close": lambda w: w.echo_parser.close(),
    "client.Client.__init__": lambda w: peers.made_blocking(w.pair, w.I(0), w.memory),
    "client.Client.send": lambda w: peers.check(
        w.blocking.send([w.I(5), w.B(b"s"), w.L([w.I(1)]), w.B(b"b")], request=w.echo_request).result()
    ),
    "client.Client.call": lambda w: peers.check(
        w.blocking.call(w.M({"timestamp": w.I(5), "subject": w.B(b"s"), "metadata": w.L([w.I(1)]), "body": w.B(b"b")}))
    ),
    "client.Client.call (with a time limit)": lambda w: peers.check(
        w.blocking.call(w.It([5, w.B(b"s"), w.It([w.I(1)]), w.B(b"b")]), timeout=20)
    ),
    "client.Client.call_many": lambda w: peers.check_all(
        w.blocking.call_many(w.It([[w.I(5), w.B(b"s"), w.L([w.I(1)]), w.B(b"b")], (6, b"s", [1], w.B(b"b"))])), (5, 6)
    ),
    "client.Client.finish": lambda w: (w.begun, w.blocking.finish()),
    "client.Client.close": lambda w: w.blocking.close(),
    "client.Client.__enter__": lambda w: w.blocking.__enter__(),
    "client.Client.closed": lambda w: w.blocking.closed,
    "client.Client.in_flight": lambda w: w.blocking.in_flight,
    "client.Call.__init__": lambda w: client.Call(w.blocking),
    "client.Call.result": lambda w: peers.check(w.begun.result()),
    "client.Call.done": lambda w: w.begun.done(),
    "client.Call.cancel": lambda w: w.begun.cancel(),
    "client.Call.cancelled": lambda w: w.begun.cancelled(),
    "client.Call.set_result": lambda w: w.begun.set_result(w.row),
    "client.Call.set_exception": lambda w: w.begun.set_exception(samebytes.ClosedError("ended")),
    "aio.Client.__init__": lambda w: w.aio_loop.run(peers.made_client(w.pair, w.I(0), w.memory)),
    "aio.Client.send": lambda w: w.aio_loop.run(
        peers.sent(w.aio_client.it.send([w.I(5), w.B(b"s"), w.L([w.I(1)]), w.B(b"b")], request=w.echo_request))
    ),
    "aio.Client.call": lambda w: w.aio_loop.run(
        peers.called(
            w.aio_client.it.call(
                w.M({"timestamp": w.I(5), "subject": w.B(b"s"), "metadata": w.L([w.I(1)]), "body": w.B(b"b")})
            )
        )
    ),
    "aio.Client.call (a handler that is hostile)": lambda w: peers.serve_by(
        w,
        lambda _: w.M({"id": w.I(7), "timestamp": w.I(5), "subject": w.B(b"s"), "body": w.B(b"b")}),
        w.aio_client.it.call(peers.VALUES),
    ),
    "aio.Client.call (an awaitable handler)": lambda w: peers.serve_by(
        w, lambda request: peers.respond_later(w, request), w.aio_client.it.call(peers.VALUES)
    ),
    "aio.Client.call (a handler of batches)": lambda w: peers.serve_by(
        w,
        lambda batch, builder: peers.respond_to_batch(w, batch, builder, w.echo_response),
        w.aio_of_batches.it.call(peers.VALUES),
    ),
    "aio.Client.call_many": lambda w: w.aio_loop.run(
        peers.gathered(
            w.aio_client.it.call_many(w.It([[w.I(5), w.B(b"s"), w.L([w.I(1)]), w.B(b"b")], (6, b"s", [1], w.B(b"b"))])),
            (5, 6),
        )
    ),
    "aio.Client.finish": lambda w: w.aio_loop.run(w.aio_client.it.finish()),
    "aio.Client.close": lambda w: w.aio_loop.run(w.aio_client.it.close()),
    "aio.Client.closed": lambda w: w.aio_client.it.closed,
    "aio.Client.in_flight": lambda w: w.aio_client.it.in_flight,
    "aio.Server.__init__": lambda w: aio.Server(w.handler, w.pair, max_frame_size=w.I(0)) and w.hit(),
    "aio.Server.port": lambda w: w.aio_server.it.port,
    "aio.Server.connections": lambda w: w.aio_server.it.connections,
    "aio.Server.serve_forever": lambda w: w.aio_loop.run(peers.served_until_closed(w.aio_server.it)),
    "aio.Server.close": lambda w: (w.aio_client, w.aio_loop.run(w.aio_server.it.close())),
    "aio.Pair.open_echo": lambda w: [schema.close() for schema in aio.Pair.open_echo()],
    "aio.connect": lambda w: w.aio_loop.run(peers.connected(w.aio_server, w.pair, w.I(0))),
    "aio.serve": lambda w: w.aio_loop.run(peers.served(w.pair)),
    "easynetwork.MessageSerializer.__init__": lambda w: easynetwork.MessageSerializer(
        w.It([w.echo_request]), w.It([w.echo_request, w.schema])
    ),
    "easynetwork.MessageSerializer.debug": lambda w: w.serializer.debug,
    "easynetwork.MessageSerializer.buffer_limit": lambda w: w.serializer.buffer_limit,
    "easynetwork.MessageSerializer.serialize": lambda w: peers.check_frames(
        w.serializer.serialize(
            w.M({"timestamp": w.I(5), "subject": w.B(b"s"), "metadata": w.L([w.I(1)]), "body": w.B(b"b")})
        )
    ),
    "easynetwork.MessageSerializer.incremental_serialize": lambda w: peers.check_frames(
        b"".join(
            w.two_serializer.incremental_serialize(
                w.O(api_key=w.E(1), timestamp=w.I(5), subject=w.B(b"s"), metadata=w.L([w.I(1)]), body=w.B(b"b"))
            )
        )
    ),
    "easynetwork.MessageSerializer.deserialize": lambda w: peers.check_request(
        w.serializer.deserialize(peers.request_frames(1))
    ),
    "easynetwork.MessageSerializer.incremental_deserialize": lambda w: peers.check_request(
        peers.received(w.serializer, bytearray(peers.request_frames(2)), buffered=False)
    ),
    "easynetwork.MessageSerializer.buffered_incremental_deserialize": lambda w: peers.check_request(
        peers.received(w.serializer, peers.request_frames(2), buffered=True)
    ),
    "easynetwork.MessageSerializer.create_deserializer_buffer": lambda w: w.serializer.create_deserializer_buffer(
        100
    ).release(),
    "easynetwork.BatchSerializer.__init__": lambda w: easynetwork.BatchSerializer(w.It([w.echo_request])),
    "easynetwork.BatchSerializer.debug": lambda w: w.batch_serializer.debug,
    "easynetwork.BatchSerializer.buffer_limit": lambda w: w.batch_serializer.buffer_limit,
    "easynetwork.BatchSerializer.serialize": lambda w: peers.check_frames(
        w.batch_serializer.serialize(
            w.It(
                [
                    w.O(timestamp=w.I(5), subject=w.B(b"s"), metadata=w.L([w.I(1)]), body=w.B(b"b"), sequence=w.E(1)),
                    {"timestamp": w.I(5), "subject": b"s", "metadata": w.It([w.I(1)]), "body": w.B(b"b")},
                ]
            )
        ),
        2,
    ),
    "easynetwork.BatchSerializer.incremental_serialize": lambda w: peers.check_frames(
        b"".join(
            w.batch_serializer.incremental_serialize(
                [w.M({"timestamp": w.I(5), "subject": w.B(b"s"), "metadata": w.L([w.I(1)]), "body": w.B(b"b")})]
            )
        )
    ),
    "easynetwork.BatchSerializer.deserialize": lambda w: peers.check_requests(
        w.batch_serializer.deserialize(peers.request_frames(3)), 3
    ),
    "easynetwork.BatchSerializer.incremental_deserialize": lambda w: peers.check_requests(
        peers.received(w.batch_serializer, bytearray(peers.request_frames(3)), buffered=False), 3
    ),
    "easynetwork.BatchSerializer.buffered_incremental_deserialize": lambda w: peers.check_requests(
        peers.received(w.batch_serializer, peers.request_frames(3), buffered=True), 3
    ),
    "easynetwork.BatchSerializer.create_deserializer_buffer": lambda w: w.batch_serializer.create_deserializer_buffer(
        100
    ).release(),
    "easynetwork.make_serializer": lambda w: easynetwork.make_serializer(limit=1000),
    "abi_digest": lambda w: samebytes.abi_digest(),
    "check_instance": lambda w: samebytes.check_instance(w.I(samebytes.instance_id())),
    "crc32c": lambda w: samebytes.crc32c(w.I(0), w.B(b"data")),
    "echo_add_request": lambda w: samebytes.echo_add_request(
        w.builder, samebytes.EchoRequest(w.I(1), w.B(b"s"), w.It([w.I(1)]), w.B(b"b"), w.I(1))
    ),
    "echo_add_response": lambda w: samebytes.echo_add_response(
        w.builder, samebytes.EchoResponse(w.I(1), w.B(b"s"), w.B(b"b"), w.I(1), w.I(1))
    ),
    "echo_get_request": lambda w: samebytes.echo_get_request(w.request_batch, w.I(0)),
    "echo_get_response": lambda w: samebytes.echo_get_response(w.response_batch, w.I(0)),
    "echo_request_schema": lambda w: samebytes.echo_request_schema().close(),
    "echo_response_schema": lambda w: samebytes.echo_response_schema().close(),
    "instance_id": lambda w: samebytes.instance_id(),
    "load_schemas": lambda w: [schema.close() for schema in samebytes.load_schemas(write_schema_file(w)).values()],
    "memory_drain": lambda w: samebytes.memory_drain(),
    "memory_live_blocks": lambda w: samebytes.memory_live_blocks(),
    "message": lambda w: samebytes.message(direction="request", api_key=1)(
        type("Made", (), {"__annotations__": {"a": samebytes.int8}})
    ),
    "pool_handle_free": lambda w: samebytes.pool_handle_free(w.I(w.pool.handle())),
    "pool_handle_get": lambda w: with_pool_handle(
        w, lambda h: samebytes.pool_handle_put(h, samebytes.pool_handle_get(w.I(h), w.I(10)))
    ),
    "pool_handle_put": lambda w: with_pool_handle(
        w, lambda h: samebytes.pool_handle_put(w.I(h), samebytes.pool_handle_get(h, 10))
    ),
    "release_foreign": lambda w: samebytes.release_foreign(),
    "salvage_visits": lambda w: (w.manager.sync(), samebytes.salvage_visits(w.path("visits"), w.path("salvaged"))),
    "schema_of": lambda w: samebytes.schema_of(Declared).close(),
    "status_message": lambda w: samebytes.status_message(w.I(1)),
    "status_name": lambda w: samebytes.status_name(w.I(1)),
    "verify_visits": lambda w: (w.manager.sync(), samebytes.verify_visits(w.path("visits"))),
    "version": lambda w: samebytes.version(),
}


@samebytes.message(direction="request", api_key=1)
class Declared:
    number: samebytes.int64


def restored(row: Any) -> Any:
    function, arguments = row.__reduce__()
    return function(*arguments)


def write_room(w: World) -> None:
    with w.buf.writing(w.I(64)) as room:
        room.commit(w.I(4))


def with_a_block(pool: Any, use: Callable[[int], None]) -> None:
    data = pool.get(10)
    try:
        use(data)
    finally:
        pool.put(data)


def with_pool_handle(w: World, use: Callable[[int], None]) -> None:
    use(w.pool.handle())


# What every handle has, on an object of each class. `adopt` takes an address over; nothing is converted by it.
HANDLES: dict[str, Call] = {
    "close": lambda made: made.close(),
    "closed": lambda made: made.closed,
    "address": lambda made: made.address,
    "__repr__": lambda made: repr(made),
    "__enter__": lambda made: made.__enter__(),
    "detach": lambda made: type(made)._destroy(made.detach()),
    "adopt": lambda made: type(made).adopt(made.detach()).close(),
}
for _class, _name in {
    "Memory": "memory", "Block": "block", "View": "view", "Buf": "buf", "Schema": "schema", "SchemaFile": "schema_file",
    "Builder": "builder", "Parser": "parser", "Batch": "batch", "Pipeline": "pipeline", "Pool": "pool", "Lender": "lender", "Pin": "pin",
    "VisitManager": "manager", "Visits": "visits", "VisitUsers": "visit_users", "VisitScan": "scan", "Channel": "channel",
}.items():  # fmt: skip
    for _method, _use in HANDLES.items():
        CALLS[f"{_class}.{_method}"] = lambda w, use=_use, name=_name: use(getattr(w, name))


def needs(name: str) -> list[str]:
    """The objects that a call is on, in the order in which FACTORIES has them."""
    call: Any = CALLS[name]
    found = set(call.__defaults__ or ())
    codes = [call.__code__]
    while codes:
        code = codes.pop()
        found |= set(code.co_names)
        codes += [constant for constant in code.co_consts if hasattr(constant, "co_names")]
        codes += [globals()[used].__code__ for used in code.co_names if hasattr(globals().get(used), "__code__")]
    return [made for made in FACTORIES if made in found]
