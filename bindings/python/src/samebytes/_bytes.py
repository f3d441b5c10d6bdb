"""Block, View and Buf in the words of Python: len(), bytes(), slices, ==, memoryview()."""

from __future__ import annotations

import io
import operator
import sys
from itertools import count
from typing import TYPE_CHECKING, Self, SupportsIndex, overload

from . import _arguments, _classes, _files, _foreign, _objects, _records, errors
from ._backend import layer
from ._handles import giving
from ._lending import Lending
from ._objects import late, now

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

IOVEC_MAX = 1024  # pieces for one system call; Linux takes no more
GROWTH_MIN = 4096  # room that write() reserves at least


class Block(_classes.Block):
    __doc__ = _classes.Block.__doc__

    if not TYPE_CHECKING:
        __slots__ = ()

    @staticmethod
    def _check_instance(address: int) -> None:
        layer.sb_block_check_instance(address)

    def __len__(self) -> int:
        return self.size()

    def __bytes__(self) -> bytes:
        with now(self) as address:
            return layer.read_bytes(layer.sb_block_data(address), layer.sb_block_size(address))

    def retain(self) -> Block:
        """Another owner of the same bytes, which nobody writes to from then on: memoryviews of both are read-only.

        Raises BusyError while memoryviews of this block are alive that could write.
        """
        with now(self) as address:
            if self._shared:
                return Block._adopt(layer.sb_block_retain(address))
            with giving(self):
                other = Block._adopt(layer.sb_block_retain(address))
                self._shared = other._shared = True
                return other


class Pool(_classes.Pool):
    __doc__ = _classes.Pool.__doc__

    @staticmethod
    def _check_instance(address: int) -> None:
        layer.sb_pool_check_instance(address)

    if not TYPE_CHECKING:
        get_block = _objects.Pool.get_block  # which comes back to _get_block where it is not quick

    def get(self, size: int) -> int:
        """The address of a block of at least *size* bytes, which put takes back.

        Raises InvalidArgumentError for a size of 0 or above BLOCK_SIZE_MAX, NoMemoryError at the pool's byte limit.
        """
        data = super().get(size)
        if self._traces:
            try:
                self._tag_caller(data)
            except BaseException:
                self.put(data)
                raise
        return data

    def get_many(self, size: int, count: int) -> list[int]:
        """The addresses of *count* blocks of at least *size* bytes each: all of them or none. put or put_many takes them back.

        Raises as get; InvalidArgumentError for a count above POOL_MANY_MAX.
        """
        blocks = super().get_many(size, count)
        if self._traces:
            try:
                self._tag_caller(*blocks)
            except BaseException:
                self.put_many(blocks)
                raise
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

    @staticmethod
    def _destroy(view: int | None = None) -> None:
        layer.sb_view_close(view)
        if _foreign._lent:
            _foreign.release_foreign()

    @staticmethod
    def _check_instance(address: int) -> None:
        layer.sb_view_check_instance(address)

    @classmethod
    def open_foreign(cls, value: ReadableBuffer) -> Self:
        """A view of the memory of *value*, any object with the buffer protocol (an mmap as well), without a copy.

        Nobody may change the bytes meanwhile. *value* stays exported, so that it cannot be resized or closed, until the last view of any of
        its bytes has been closed, on any thread and in any language; it is let go when Python next closes a View or Buf, or by
        release_foreign(). Raises BufferError when the bytes do not lie one behind the other.
        """
        return cls._adopt(_foreign.lend(value))

    def __len__(self) -> int:
        return self.size()

    def __bytes__(self) -> bytes:
        with now(self) as address:
            spans = (layer.sb_view_span(address, index) for index in range(layer.sb_view_span_count(address)))
            return b"".join([layer.read_bytes(data, size) for data, size in spans])

    def __lt__(self, other: object) -> bool:
        return self.compare(other) < 0 if isinstance(other, _classes.View) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.compare(other) <= 0 if isinstance(other, _classes.View) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.compare(other) > 0 if isinstance(other, _classes.View) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.compare(other) >= 0 if isinstance(other, _classes.View) else NotImplemented

    def __add__(self, other: object) -> View:
        """Both, one behind the other, without a copy."""
        return View.open_concat([self, other]) if isinstance(other, View) else NotImplemented

    @overload
    def __getitem__(self, key: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> View: ...

    def __getitem__(self, key: SupportsIndex | slice) -> int | View:
        """`view[2]` is a byte as an int; `view[2:5]` is a View of the same memory."""
        if isinstance(key, slice):
            key = slice(*(None if part is None else operator.index(part) for part in (key.start, key.stop, key.step)))
            with self._lock:
                start, stop, step = key.indices(self.size())
                if step != 1:
                    raise ValueError("a View has slices with step 1 only; use bytes(view)[...]")
                return self.range(start, max(stop - start, 0))
        index = _arguments.integer(key, "index", -_arguments.ADDRESS_MAX, _arguments.ADDRESS_MAX)
        with self._lock:
            size = self.size()
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
        with late(self) as handle:
            address, size = layer.sb_view_span(handle, index)
            return memoryview(_objects.Piece(address, size, View._adopt(layer.sb_view_copy(handle))))

    def get_iovec(self, offset: int = 0, iovec_max: int = IOVEC_MAX) -> list[memoryview]:  # type: ignore[override]
        """The pieces of the bytes from *offset* on, at most *iovec_max*, as read-only memoryviews: for `socket.sendmsg`, `os.writev`.

        They keep their bytes alive by themselves. Raises OutOfRangeError when the view ends before *offset*.
        """
        offset = _arguments.integer(offset, "offset", 0, _arguments.ADDRESS_MAX)
        iovec_max = _arguments.integer(iovec_max, "iovec_max", -_arguments.ADDRESS_MAX, _arguments.ADDRESS_MAX)
        with now(self) as address:
            pieces = layer.sb_view_get_iovec(address, offset, min(iovec_max, layer.sb_view_span_count(address)))
            owner = View._adopt(layer.sb_view_copy(address)) if pieces else None
        return [memoryview(_objects.Piece(int(data), size, owner)) for data, size in pieces]

    def read(self, size: int | None = -1) -> bytes:
        """Remove the first *size* bytes, all if it is negative or None, and return a copy of them: as a file does, so fewer at the end."""
        most = -1 if size is None else operator.index(size)
        with self._lock:
            available = self.size()
            wanted = available if most < 0 else min(most, available)
            data = bytearray(wanted)
            self.read_bytes(data)
        return bytes(data)

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Copy the first bytes to *buffer*, remove them, and return how many: fewer than it holds at the end, as a file does."""
        with memoryview(buffer) as whole, whole.cast("B") as target, self._lock:
            count = min(self.size(), len(target))
            with target[:count] as part:
                self.read_bytes(part)
        return count

    def file(self) -> io.RawIOBase:
        """A file of the bytes that the view shows now, to be read and sought in. Closing either leaves the other open."""
        return _files.ViewFile(self.copy())


class Buf(Lending, _classes.Buf):
    __doc__ = _classes.Buf.__doc__

    @staticmethod
    def _check_instance(address: int) -> None:
        layer.sb_buf_check_instance(address)

    def __len__(self) -> int:
        return self.size()

    def begin(self) -> memoryview:  # type: ignore[override]  # an address could be written to after the next call
        """The first piece of room as a writable memoryview, until the next call on this buf, which releases it.

        Raises OutOfRangeError when there is no room. The next call raises BusyError while slices of the memoryview live.
        """
        with now(self) as address:
            return self._lend(*layer.sb_buf_begin(address))

    @staticmethod
    def _keeper(address: int) -> _objects.Keeper:
        return _objects.Keeper(buf=address)

    @staticmethod
    def _destroy(buf: int | None = None) -> None:
        layer.sb_buf_close(buf)
        if _foreign._lent:
            _foreign.release_foreign()

    def begin_iovec(self, iovec_max: int = IOVEC_MAX) -> list[memoryview]:  # type: ignore[override]
        """All pieces of room as writable memoryviews, at most *iovec_max*: for `socket.recvmsg_into`, `os.readv`. Then `commit`.

        The next call on this buf releases them. Raises OutOfRangeError when there is no room.
        """
        wanted = min(_arguments.integer(iovec_max, "iovec_max", 0, _arguments.ADDRESS_MAX), IOVEC_MAX)
        with now(self) as address:
            return self._lend_all([(int(data), size) for data, size in layer.sb_buf_begin_iovec(address, wanted)])

    def write(self, data: ReadableBuffer) -> int:
        """Add a copy of *data*, reserving room where it is missing, and return its size, as a file does: all or nothing."""
        with _arguments.memory(data, "data") as whole, self._lock:
            if self.room() < whole.nbytes:
                self.reserve(max(whole.nbytes, GROWTH_MIN))
            self.put(whole)
            return whole.nbytes

    def writing(self, size: int = 1) -> _files.Writing:
        """Direct writing as a context: reserves *size* bytes, lends the room, and fills what is committed.

            with buf.writing(65536) as room:
                room.commit(connection.recvmsg_into(room.pieces)[0])

        Leaving it without a commit, or by an exception, fills nothing.
        """
        return _files.Writing(self, size)

    def file(self) -> io.RawIOBase:
        """A file that is written to; what is written is added to this buf. Closing it leaves the buf open."""
        return _files.BufFile(self)
