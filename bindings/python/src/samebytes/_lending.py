"""Memory that an object of the library lends for writing until its next call: Parser.buffer, Buf.begin and Buf.begin_iovec."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from . import _handles, _objects
from .errors import BusyError


class Lending(_handles.Handle):
    """Takes lent memory back before the next call: the memoryviews are released, and BusyError raised while slices of them live."""

    _lends = True
    _lent: list[tuple[memoryview, _objects.Window]] | None = None

    def _lend(self, address: int, size: int) -> memoryview:
        return self._lend_all([(address, size)])[0]

    def _lend_all(self, pieces: Iterable[tuple[int, int]]) -> list[memoryview]:
        windows = [_objects.Window(address, size, self) for address, size in pieces]
        self._lent = [(memoryview(window), window) for window in windows]
        return [memory for memory, _ in self._lent]

    def _end_lending(self) -> None:
        while self._lent:
            memory, window = self._lent[-1]
            try:
                memory.release()
            except BufferError:
                raise BusyError(f"the memory that this {type(self).__name__} lent is still being written to") from None
            window.end()
            self._lent.pop()

    def _forgotten(self, finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not self._lent or not self._address or finalizing():
            super()._forgotten(finalizing)
            return
        # It is in one cycle with what it lent, which somebody may still look at: whose finalizer the collector calls first is not known.
        keeper, self._address = self._keeper(self._address), 0
        for _, window in self._lent:
            window.keep(keeper)
        self._lent = None

    @staticmethod
    def _keeper(address: int) -> _objects.Keeper:
        """What closes the handle when nothing refers to the memory any more."""
        raise NotImplementedError

    def _open(self) -> int:
        if self._lent:
            self._end_lending()
        return super()._open()

    def _idle(self) -> None:
        self._end_lending()
        super()._idle()
