"""Views and bufs as files of Python's io, and direct writing as a context."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import ReadableBuffer, WriteableBuffer

    from ._bytes import Buf, View


class ViewFile(io.RawIOBase):
    """Reads a view, which it owns, and leaves it as it is: its position moves instead."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def _check(self) -> None:
        if self.closed:
            raise ValueError("the file has been closed")

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._check()
        with memoryview(buffer) as whole, whole.cast("B") as target:
            count = max(0, min(len(target), len(self._view) - self._position))
            if count:
                with target[:count] as part:
                    self._view.copy_bytes(self._position, part)
        self._position += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._check()
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._view)}
        if whence not in starts:
            raise ValueError(f"whence: {whence} is none of SEEK_SET, SEEK_CUR and SEEK_END")
        position = starts[whence] + offset
        if position < 0:
            raise ValueError(f"the position would be {position}")
        self._position = position
        return position

    def close(self) -> None:
        if not self.closed:
            self._view.close()
        super().close()


class BufFile(io.RawIOBase):
    """Writes to the end of a buf, which it does not own."""

    def __init__(self, buf: Buf) -> None:
        self._buf = buf

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        if self.closed:
            raise ValueError("the file has been closed")
        return self._buf.write(data)


class Writing:
    """Room of a buf that is lent for writing inside a `with` block."""

    pieces: list[memoryview]
    """All pieces of room, writable, in the order in which they are filled; released by commit() and at the end of the block."""

    def __init__(self, buf: Buf, size: int) -> None:
        self._buf = buf
        self._size = size
        self.pieces = []

    @property
    def memory(self) -> memoryview:
        """The first piece."""
        return self.pieces[0]

    def __enter__(self) -> Writing:
        with self._buf._lock:
            self._buf.reserve(self._size)
            self.pieces = self._buf.begin_iovec()
        return self

    def commit(self, size: int) -> None:
        """Fill the first *size* bytes of the pieces; once.

        Raises OutOfRangeError when they are smaller, BusyError while slices of the memoryviews live.
        """
        self._buf.commit(size)
        self.pieces = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.pieces:
            self.pieces = []
            self._buf.abort()
