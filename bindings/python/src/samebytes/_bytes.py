"""Block, View and Buf in the words of Python: len(), bytes(), slices, ==, memoryview()."""

from __future__ import annotations

import sys
from itertools import count
from typing import TYPE_CHECKING, SupportsIndex, overload

from . import _arguments, _classes, _objects, _records, errors
from ._backend import layer
from ._lending import Lending


class Block(_classes.Block):
    __doc__ = _classes.Block.__doc__

    if not TYPE_CHECKING:
        __slots__ = ()

    def __len__(self) -> int:
        return self.size()

    def __bytes__(self) -> bytes:
        with self._lock:
            address = self._open()
            return layer.read_bytes(layer.sb_block_data(address), layer.sb_block_size(address))

    def retain(self) -> Block:
        """Another owner of the same bytes, which nobody writes to from then on: memoryviews of both are read-only.

        Raises BusyError while memoryviews of this block are alive that could write.
        """
        with self._lock:
            if not self._shared:
                self._idle()
            other = super().retain()
            self._shared = other._shared = True
        return other


class Pool(_classes.Pool):
    __doc__ = _classes.Pool.__doc__

    if not TYPE_CHECKING:
        get_block = _objects.Pool.get_block  # which comes back to _get_block where it is not quick

    def get(self, size: int) -> int:
        """The address of a block of at least *size* bytes, which put takes back.

        Raises InvalidArgumentError for a size of 0 or above BLOCK_SIZE_MAX, NoMemoryError at the pool's byte limit.
        """
        data = super().get(size)
        if self._traces:
            self._tag_caller(data)
        return data

    def get_many(self, size: int, count: int) -> list[int]:
        """The addresses of *count* blocks of at least *size* bytes each: all of them or none. put or put_many takes them back.

        Raises as get; InvalidArgumentError for a count above POOL_MANY_MAX.
        """
        blocks = super().get_many(size, count)
        if self._traces:
            self._tag_caller(*blocks)
        return blocks

    def leaks(self) -> list[_records.PoolPlace]:
        """The places whose blocks are still out, in a pool with the option *trace*; `tag` is file and line."""
        found: list[_records.PoolPlace] = []
        for index in count():
            try:
                place = self.get_place(index)
            except errors.OutOfRangeError:
                return found
            if place.blocks:
                found.append(place)
        raise AssertionError

    def _get_block(self, size: int) -> Block:
        block: Block = super().get_block(size)
        if self._traces:
            self._tag_caller(layer.sb_block_data(block.address))
        return block

    def _tag_caller(self, *blocks: int) -> None:
        frame = sys._getframe(2)
        for block in blocks:
            self.tag(block, f"{frame.f_code.co_filename}:{frame.f_lineno}")


class View(_classes.View):
    __doc__ = _classes.View.__doc__

    __hash__ = None  # type: ignore[assignment]  # a view can be read and skipped, so its bytes change

    def __len__(self) -> int:
        return self.size()

    def __bytes__(self) -> bytes:
        with self._lock:
            address = self._open()
            spans = (layer.sb_view_span(address, index) for index in range(layer.sb_view_span_count(address)))
            return b"".join([layer.read_bytes(data, size) for data, size in spans])

    @overload
    def __getitem__(self, key: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> View: ...

    def __getitem__(self, key: SupportsIndex | slice) -> int | View:
        """`view[2]` is a byte as an int; `view[2:5]` is a View of the same memory."""
        with self._lock:
            size = self.size()
            if isinstance(key, slice):
                start, stop, step = key.indices(size)
                if step != 1:
                    raise ValueError("a View has slices with step 1 only; use bytes(view)[...]")
                return self.range(start, max(stop - start, 0))
            index = _arguments.integer(key, "index", -_arguments.ADDRESS_MAX, _arguments.ADDRESS_MAX)
            if not -size <= index < size:
                raise IndexError(f"index {index} of a View with {size} bytes")
            byte = bytearray(1)
            self.copy_bytes(index % size, byte)
            return byte[0]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _classes.View):
            return self.equals(other)
        if isinstance(other, (bytes, bytearray, memoryview)):
            return bytes(self) == other
        return NotImplemented

    def span(self, index: int) -> memoryview:  # type: ignore[override]  # an address would not keep the bytes alive
        """The piece at *index* as a read-only memoryview, which keeps its bytes alive by itself.

        Raises OutOfRangeError when there is no such span.
        """
        with self._lock:
            address = self._open()
            size = layer.sb_view_span(address, index)[1]
            offset = sum(layer.sb_view_span(address, before)[1] for before in range(index))
            return memoryview(self.range(offset, size))


class Buf(Lending, _classes.Buf):
    __doc__ = _classes.Buf.__doc__

    def __len__(self) -> int:
        return self.size()

    def begin(self) -> memoryview:  # type: ignore[override]  # an address could be written to after the next call
        """The first piece of room as a writable memoryview, until the next call on this buf, which releases it.

        Raises OutOfRangeError when there is no room. The next call raises BusyError while slices of the memoryview live.
        """
        with self._lock:
            return self._lend(*super().begin())
