"""Requests and responses without a socket: what the clients and servers of samebytes.aio and samebytes.client have in common.

A client numbers its requests by a Pipeline. Its tags count requests, and never repeat, so that a late response can't be taken for the
answer to a younger request that was given the same sequence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from ssl import SSLError
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from . import _arguments, _classes, _codec, _records, errors
from ._codec import Message, Schema
from ._errors import SamebytesError, raised

__all__ = ["Pair"]


FLUSH_SIZE = 65536  # bytes of frames that are gathered before they are sent at once
DIRECTIONS = (_records.DIRECTION_REQUEST, _records.DIRECTION_RESPONSE)


class Pair(NamedTuple):
    """A request, and the response that answers it."""

    request: Schema
    response: Schema

    @classmethod
    def open_echo(cls) -> Pair:
        """The Echo request and its response."""
        schemas = _classes.echo_request_schema(), _classes.echo_response_schema()
        return cls(*schemas)


class Waiting(Protocol):
    """Whoever waits for a response."""

    def set_result(self, result: Message, /) -> None: ...

    def set_exception(self, exception: SamebytesError, /) -> None: ...

    def done(self) -> bool: ...


Waiter = TypeVar("Waiter", bound=Waiting)


def checked_pairs(pairs: Sequence[Any]) -> tuple[Pair, ...]:
    """The pairs, of schemas whose directions fit. Parsers find repeated api_keys by themselves."""
    checked = []
    if not pairs:
        raise errors.InvalidArgumentError("pairs: at least one pair of schemas is needed, such as Pair.open_echo()")
    for index, pair in enumerate(pairs):
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"pairs[{index}]: a pair of schemas is needed, of request and response, not {pair!r}")
        for schema, name, direction in zip(pair, Pair._fields, DIRECTIONS):
            if not isinstance(schema, Schema):
                raise TypeError(f"pairs[{index}].{name}: a Schema is needed, not {_arguments.kind(schema)}")
            if schema.direction() != direction:
                raise errors.InvalidArgumentError(f"pairs[{index}].{name}: the schema {schema.name()} is no {name}")
        checked.append(Pair(*pair))
    return tuple(checked)


def values_of(schema: Schema, values: Any) -> Iterable[Any]:
    """The values of a message in the order of its schema's fields, out of a sequence of them or a mapping from their names."""
    if not hasattr(values, "keys"):
        return values  # type: ignore[no-any-return]  # the builder says what is wrong with it
    names = [field.name for field in schema.fields]
    wrong = [f"lacks {name!r}" for name in names if name not in values]
    wrong += [f"has no {name!r}" for name in values if name not in names]
    if wrong:
        raise errors.InvalidArgumentError(f"{schema.name()} {' and '.join(wrong)}")
    return [values[name] for name in names]


class Receiver:
    """A parser and its batch: takes bytes, gives messages."""

    def __init__(self, schemas: Sequence[Schema], max_frame_size: int, memory: _classes.Memory | None) -> None:
        self.parser = _codec.Parser(schemas, max_frame_size, memory)
        self.batch = _codec.Batch()

    def buffer(self) -> memoryview:
        return self.parser.buffer()

    def fill(self, size: int) -> SamebytesError | None:
        """Puts the messages that are complete with *size* more bytes in the parser's memory into the batch; the first error among them."""
        self.parser.commit(size)
        try:
            self.parser.parse(self.batch)
        except SamebytesError as error:
            return error
        return raised(self.batch.get_error(0)) if self.batch.error_count() else None

    def receive(self, size: int) -> tuple[list[Message], SamebytesError | None]:
        """The messages that are complete with *size* more bytes in the parser's memory, and the first error among them."""
        wrong = self.fill(size)
        return self.batch.rows, wrong

    def close(self) -> None:
        self.parser.close()
        # Where somebody has kept columns, the batch is closed when they are gone.
        with contextlib.suppress(errors.BusyError):
            self.batch.close()


class Requests(Generic[Waiter]):
    """A client's requests in flight, and the frames that are to be sent.

    A response counts only when its request has been sent to the last byte. What comes before is no answer to it, and would free its
    sequence for a request that then gets the answer to this one.
    """

    def __init__(
        self, pairs: Sequence[Any], in_flight_max: int, max_frame_size: int, memory: _classes.Memory | None
    ) -> None:
        self.pairs = checked_pairs(pairs)
        self.in_flight_max = checked_in_flight_max(in_flight_max)
        self.receiver = Receiver([pair.response for pair in self.pairs], max_frame_size, memory)
        self.builder = _codec.Builder(memory)
        self.pipeline = _classes.Pipeline()
        self.waiting: dict[int, tuple[Waiter, Pair, int]] = {}  # and the bytes of all requests up to it
        self.tag = 0
        self.taken = 0  # bytes of requests that have left the builder
        self.sent = 0  # and that have been sent

    @property
    def has_room(self) -> bool:
        return len(self.waiting) < self.in_flight_max

    def pair_of(self, request: Schema | None) -> Pair:
        if request is None:
            if len(self.pairs) == 1:
                return self.pairs[0]
            raise errors.InvalidArgumentError("request: say which of the schemas it follows, as there are several")
        for pair in self.pairs:
            if pair.request is request or pair.request.address == request.address:
                return pair
        raise errors.InvalidArgumentError(f"request: the schema {request.name()} is none of this client's")

    def begin(self, waiter: Waiter, values: Any, request: Schema | None) -> int:
        """Adds a request to the frames, and returns how many bytes these are. Where its values are refused, nothing has changed."""
        pair = self.pair_of(request)
        tag = self.tag
        self.tag += 1  # at once: values may run code that sends as well
        sequence = self.pipeline.begin(tag)
        try:
            self.builder.add(pair.request, sequence, values_of(pair.request, values))
        except BaseException:
            self.pipeline.finish(sequence)
            raise
        size = self.builder.size()
        self.waiting[tag] = waiter, pair, self.taken + size
        return size

    def take(self) -> Iterator[memoryview]:
        """The bytes of all frames, which leave the builder. They are to be sent in this order, and counted in *sent*."""
        self.taken += self.builder.size()
        return taken(self.builder)

    def finish(self, row: Message) -> None:
        """Gives a response to who waits for it. Who does not wait any more has kept its sequence from younger requests."""
        try:
            tag = self.pipeline.finish(row.sequence)
        except errors.NotFoundError:
            raise errors.NotFoundError(
                f"a response has sequence {row.sequence}, which no request in flight has",
                stream_offset=row.stream_offset,
            ) from None
        # It stays among those who wait until it has its answer, so that whatever is raised before fails it with the others.
        waiter, pair, end = self.waiting[tag]
        if end > self.sent:
            raise errors.NotFoundError(
                f"a response has sequence {row.sequence}, whose request has not been sent",
                stream_offset=row.stream_offset,
            )
        if row.api_key != pair.response.api_key():
            error = errors.CorruptError(
                f"the request {pair.request.name()} was answered by {row.schema_name} (sequence {row.sequence})",
                stream_offset=row.stream_offset,
            )
            if not waiter.done():
                waiter.set_exception(error)
            del self.waiting[tag]
            raise error
        if not waiter.done():
            waiter.set_result(row)
        del self.waiting[tag]

    def receive(self, size: int) -> SamebytesError | None:
        """Takes *size* bytes, and answers requests by them. What is returned must end the connection."""
        rows, wrong = self.receiver.receive(size)
        try:
            for row in rows:
                self.finish(row)
        except SamebytesError as error:
            return error
        return wrong

    def gone(self, how: str, cause: BaseException | None = None) -> SamebytesError:
        """The exception for a connection that has ended; with what the system refused, where *cause* is such a refusal."""
        if self.waiting:
            how += f" with {counted(len(self.waiting), 'request')} in flight"
        number = 0
        if isinstance(cause, OSError) and not isinstance(cause, SSLError):  # whose errno is none
            number = cause.errno or 0
        return raised(_records.Error(_records.UNAVAILABLE, number, 0, 0, _records.NO_FRAME, "", how))

    def fail(self, error: SamebytesError) -> None:
        """Gives everybody who waits an exception of its own that says the same."""
        waiting, self.waiting = self.waiting, {}
        for waiter, *_ in waiting.values():
            if not waiter.done():
                waiter.set_exception(copied(error))

    def close(self) -> None:
        self.receiver.close()
        self.builder.close()
        self.pipeline.close()


def copied(error: SamebytesError) -> SamebytesError:
    """Another exception that says the same: one that is raised in several places collects the tracebacks of all."""
    where = error.stream_offset, error.frame_offset, error.frame
    return raised(_records.Error(error.status, error.system_error, *where, error.field, error.message))


def counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def checked_in_flight_max(in_flight_max: int) -> int:
    if not 1 <= in_flight_max <= _records.PIPELINE_MAX:
        raise errors.InvalidArgumentError(f"in_flight_max is 1 to {_records.PIPELINE_MAX}, not {in_flight_max}")
    return in_flight_max


def taken(builder: _codec.Builder) -> Iterator[memoryview]:
    """The bytes of all frames of a builder, without a copy, which leave it."""
    with builder.take() as frames:
        for index in range(frames.span_count()):
            yield frames.span(index)
