"""Memory that an object of the library lends for writing until its next call: Parser.buffer and Buf.begin."""

from __future__ import annotations

from . import _handles, _objects
from .errors import BusyError


class Lending(_handles.Handle):
    """Takes lent memory back before the next call: the memoryview is released, and BusyError raised while slices of it live."""

    _lent: tuple[memoryview, _objects.Window] | None = None

    def _lend(self, address: int, size: int) -> memoryview:
        window = _objects.Window(address, size, self)
        memory = memoryview(window)
        self._lent = memory, window
        return memory

    def _end_lending(self) -> None:
        if self._lent is None:
            return
        memory, window = self._lent
        try:
            memory.release()
        except BufferError:
            raise BusyError(f"the memory that this {type(self).__name__} lent is still being written to") from None
        window.end()
        self._lent = None

    def _open(self) -> int:
        self._end_lending()
        return super()._open()

    def _idle(self) -> None:
        self._end_lending()
        super()._idle()
