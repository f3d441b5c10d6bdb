"""Echo: the message that the wire format is shown with.

import samebytes.echo

builder = samebytes.echo.Builder()
builder.add(subject=b"test", timestamp=9999, metadata=[1, 2, 3], body=b"We have a lot in common")
parser = samebytes.echo.Parser()
parser.feed(builder.get_buffer())
for row in parser.parse():
    print(row.subject, row.metadata)
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from . import _classes, _codec, _objects
from ._records import EchoRequest, EchoResponse, Error

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["Builder", "Parser"]


# Opened once: a schema never changes, and many builders come and go.


@functools.cache
def _request() -> tuple[_codec.Schema, _codec.Shape]:
    schema = _classes.echo_request_schema()
    return schema, schema.shape


@functools.cache
def _response() -> tuple[_codec.Schema, _codec.Shape]:
    schema = _classes.echo_response_schema()
    return schema, schema.shape


class Parser:
    """Echo messages of one direction out of a stream of bytes.

    A row has api_key, sequence, timestamp, subject, metadata and body (a response: id, timestamp, subject and body), and stream_offset.
    """

    def __init__(
        self, direction: str = "request", max_frame_size: int = 0, memory: _classes.Memory | None = None
    ) -> None:
        """direction is "request" or "response"; max_frame_size limits the Size of a frame, 0 being 1 MiB."""
        if direction not in _codec.DIRECTIONS:
            raise ValueError(f'direction: {direction!r} is neither "request" nor "response"')
        schema = _classes.echo_request_schema if direction == "request" else _classes.echo_response_schema
        self.errors: list[Error] = []
        """What the last parse refused."""
        self._batch = _codec.Batch()
        with schema() as only:
            self._parser = _codec.Parser([only], max_frame_size, memory)

    def feed(self, data: ReadableBuffer) -> None:
        """Appends a copy of the bytes. Raises what ended the stream, once a parse has met it."""
        self._parser.feed(data)

    def parse(self) -> list[_codec.Message]:
        """Every complete message that has been fed. What ends the stream is raised at once, or by the next call after good rows."""
        try:
            self._parser.parse(self._batch)
            return self._batch.rows
        finally:
            need = self._settled()
            if need is not None:
                self.errors = []
                self._need = need
            elif not self._batch.closed:
                self.errors = self._batch.errors
                self._need = self._batch.need()
                self._batch.clear()

    def _settled(self) -> int | None:
        """Most parses end without errors: one call clears the batch and returns what it needs. None: nothing was done."""
        if self._batch.closed:
            return None
        with _objects.now(self._batch):
            return self._batch._settle()

    _need = 4

    @property
    def need(self) -> int:
        """How many bytes the last parse missed for the next frame; 0 after the end of the stream."""
        return self._need

    def close(self) -> None:
        self._parser.close()
        self._batch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Builder:
    """Echo messages as frames, one behind the other."""

    def __init__(self, memory: _classes.Memory | None = None) -> None:
        self._builder = _codec.Builder(memory)

    def add(
        self,
        *,
        subject: ReadableBuffer = b"",
        timestamp: int = 0,
        metadata: Sequence[int] = (),
        body: ReadableBuffer = b"",
        sequence: int = 0,
    ) -> None:
        """Adds a request. Raises OverflowError for a number that does not fit, TooLargeError for more than 32,767 metadata."""
        if not self._builder._add_messages(*_request(), (sequence,), ((timestamp, subject, metadata, body),)):
            _classes.echo_add_request(self._builder, EchoRequest(timestamp, subject, metadata, body, sequence))

    def add_all(self, requests: Iterable[Any]) -> None:
        """Adds many requests at once, all of them or none: records (samebytes.EchoRequest), rows of a parser, mappings, or other objects.

        Each has timestamp, subject, metadata and body, as items of a mapping or as attributes, and sequence, which is 0 where it has
        none. Raises as add(), with the request's number.
        """
        self._add_all(*_request(), requests)

    def add_response(
        self,
        *,
        id: int = 0,
        timestamp: int = 0,
        subject: ReadableBuffer = b"",
        body: ReadableBuffer = b"",
        sequence: int = 0,
    ) -> None:
        """Adds a response. Raises OverflowError for a number that does not fit."""
        if not self._builder._add_messages(*_response(), (sequence,), ((id, timestamp, subject, body),)):
            _classes.echo_add_response(self._builder, EchoResponse(timestamp, subject, body, id, sequence))

    def add_all_responses(self, responses: Iterable[Any]) -> None:
        """Adds many responses at once, as add_all() does requests."""
        self._add_all(*_response(), responses)

    def _add_all(self, schema: _codec.Schema, shape: _codec.Shape, messages: Iterable[Any]) -> None:
        given = messages if isinstance(messages, (list, tuple)) else list(messages)
        if not self._builder._add_messages(schema, shape, None, given):
            # Something is wrong, or has to be converted: this says where.
            numbers = [_codec.named(message).get("sequence", 0) for message in given]
            self._builder.add_rows(schema, numbers, [_codec.named_values(shape, message) for message in given])

    def get_buffer(self) -> bytes:
        """The bytes of all messages that were added since the last clear()."""
        return bytes(self._builder)

    def clear(self) -> None:
        """Drops all messages."""
        self._builder.clear()

    def __len__(self) -> int:
        return self._builder.frame_count()

    def close(self) -> None:
        self._builder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
