"""Channel in the words of Python: sockets as they are, waiting that other threads, signals and close() can interrupt.

Nothing waits inside a call of the library, because that would hold the channel's lock: threads poll its descriptor, and then ask. Before
they sleep they look again and again for a moment, as the library does; core/src/shared_channel.c says when and why.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from . import _arguments, _classes, _records, errors
from ._backend import layer
from ._bytes import Block, View

POLL_MS_MAX = 1000  # a descriptor that close() gave back could be another file's by now
SEND_POLL_MS_MAX = 20  # nothing polls as readable when the peer begins to read again
REST_S_MIN, REST_S_MAX = 0.0005, 0.02  # between looks while something is readable that a call does not want
SPIN_NS = 50_000
SPIN_STEP_NS = 10_000
SPINS_VAIN = 16
SPINS_ROUND = 256
SPINS = len(os.sched_getaffinity(0)) > 1  # the peer may run at the same time

Result = TypeVar("Result")


class HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class Channel(_classes.Channel):
    __doc__ = _classes.Channel.__doc__
    _in_vain = 0  # waits in a row in which spinning was in vain

    def __init__(self, socket: HasDescriptor | int, *, pins_max: int = 0, bytes_max: int = 0) -> None:
        """One end of a channel, of a connected Unix stream socket that nothing else uses from then on. The channel has a duplicate of
        its descriptor, so the socket may be closed at once.

        Raises InvalidArgumentError when it is no such socket.
        """
        descriptor = socket if isinstance(socket, int) else socket.fileno()
        super().__init__(descriptor, pins_max=pins_max, bytes_max=bytes_max)

    @staticmethod
    def _destroy(channel: int | None = None) -> None:
        if channel:
            layer.sb_channel_stop(channel)  # who waits sees the end at once
        layer.sb_channel_close(channel)

    def fileno(self) -> int:
        """The descriptor that is readable when there may be something to receive, for event loops."""
        return self.descriptor()

    def send_view(self, view: _classes.View, tag: int = 0, timeout_ms: int = -1) -> None:
        """Send *view* to be read by the peer, which gets *tag* as well.

        Raises UnsupportedError when its bytes are not in shared memory, TimeoutError, UnavailableError when the peer is gone.
        """
        send = super().send_view
        self._until(lambda: send(view, tag, 0), timeout_ms, SEND_POLL_MS_MAX)

    def send_block(self, block: _classes.Block, size: int | None = None, tag: int = 0, timeout_ms: int = -1) -> None:
        """Send the first *size* bytes of *block*, all by default, to be written by the peer, too. The block stays the caller's.

        Raises BusyError while the block has other owners, such as a channel that has sent it; otherwise as send_view().
        """
        send = super().send_block
        sized = block.size() if size is None else size
        self._until(lambda: send(block, sized, tag, 0), timeout_ms, SEND_POLL_MS_MAX)

    def next(self, timeout_ms: int = -1) -> tuple[int, int]:
        """Wait for what comes next; its kind, ARRIVAL_VIEW or ARRIVAL_BLOCK, and its tag. It stays there until it is received."""
        ask = super().next
        return self._until(lambda: ask(0), timeout_ms)

    def receive_view(self, timeout_ms: int = -1) -> View:
        """Receive a view, whose bytes are mapped for reading only.

        Raises UnsupportedError when a block comes next, TimeoutError, UnavailableError when the peer is gone and all was received,
        CorruptError when it lies; IoError or NoMemoryError when this process has no descriptor or memory for what comes next, which a
        later call gets.
        """
        receive = super().receive_view
        return self._until(lambda: receive(0), timeout_ms)

    def receive_block(self, timeout_ms: int = -1) -> Block:
        """Receive a block that both processes may write. Raises as receive_view() does."""
        receive = super().receive_block
        return self._until(lambda: receive(0), timeout_ms)

    def receive(self, timeout_ms: int = -1) -> tuple[View | Block, int]:
        """Receive what comes next, a View or a Block, and its tag."""

        def take() -> tuple[View | Block, int]:
            kind, tag = super(Channel, self).next(0)
            receive = (
                super(Channel, self).receive_view
                if kind == _records.ARRIVAL_VIEW
                else super(Channel, self).receive_block
            )
            return receive(0), tag

        return self._until(take, timeout_ms)

    def wait_done(self, timeout_ms: int = -1) -> None:
        """Wait until the peer has closed all that it received from here.

        Raises TimeoutError, and UnavailableError when the peer ended without saying so.
        """
        wait = super().wait_done
        self._until(lambda: wait(0), timeout_ms, SEND_POLL_MS_MAX)

    def close(self) -> None:
        """Close the channel; threads that wait at it raise ClosedError. What was received stays. Closing it again does nothing."""
        super().close()

    def _until(self, call: Callable[[], Result], timeout_ms: int, poll_ms_max: int = POLL_MS_MAX) -> Result:
        """Makes *call*, which does not wait, until it does not raise TimeoutError or the time has passed."""
        timeout_ms = _arguments.integer(timeout_ms, "timeout_ms", -(2**63), 2**63 - 1)
        deadline = time.monotonic() + timeout_ms / 1000
        poller = select.poll()
        if (descriptor := self.fileno()) >= 0:  # in a forked child it has none, and the call says so
            poller.register(descriptor, select.POLLIN)
            if poll_ms_max == POLL_MS_MAX and timeout_ms:
                # To receive, it polls before it asks: an exception costs more. To send, it asks first.
                self._poll(poller, timeout_ms, deadline, poll_ms_max)
        rest_s = REST_S_MIN
        while True:
            try:
                with self._lock:
                    return call()
            except errors.TimeoutError:
                if timeout_ms >= 0 and time.monotonic() >= deadline:
                    raise
            if self._poll(poller, timeout_ms, deadline, poll_ms_max) and poll_ms_max != POLL_MS_MAX:
                time.sleep(
                    rest_s
                )  # there is something to receive, or the channel has ended, which does not concern this call
                rest_s = min(2 * rest_s, REST_S_MAX)

    def _poll(self, poller: select.poll, timeout_ms: int, deadline: float, poll_ms_max: int) -> bool:
        left = poll_ms_max if timeout_ms < 0 else max(0, min(poll_ms_max, (deadline - time.monotonic()) * 1000))
        return bool((left * 1_000_000 > SPIN_NS and self._spin(poller)) or poller.poll(left))

    def _spin(self, poller: select.poll) -> bool:
        """Poll again and again for a moment, where that was not in vain too often. Other threads may count at the same time: no matter."""
        in_vain = self._in_vain
        self._in_vain = in_vain + 1
        if not SPINS or in_vain % SPINS_ROUND >= SPINS_VAIN:
            return False
        step = start = time.perf_counter_ns()
        while True:
            ready = bool(poller.poll(0))
            now = time.perf_counter_ns()
            quick = now - step < SPIN_STEP_NS
            if ready and quick:
                self._in_vain = 0
            if ready or not quick or now - start >= SPIN_NS:
                return ready
            step = now
            os.sched_yield()
