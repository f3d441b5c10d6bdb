"""Memory in the words of Python: providers written in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

from . import _arguments, _classes, _objects, errors
from ._backend import layer
from ._errors import raised

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from ._bytes import Block


class Memory(_classes.Memory):
    __doc__ = _classes.Memory.__doc__

    @staticmethod
    def _check_instance(address: int) -> None:
        layer.sb_memory_check_instance(address)

    @classmethod
    def open_callback(
        cls,
        reserve: Callable[[int], Iterable[WriteableBuffer]],
        release: Callable[[Any], object] | None = None,
        retire: Callable[[], object] | None = None,
    ) -> Self:
        """A provider whose memory a function gives.

        *reserve* is called with a number of bytes, and returns writable buffers of as many or more in total: bytearrays, an mmap, arrays.
        Those that nobody needs yet are kept for the next request. *release* gets each of them back, once; *retire* is called when the last
        handle and the last block have gone. They are called on any thread, without the lock of any object but the one that needs memory,
        which they must not use.

        What *reserve* raises becomes ProviderError, MemoryError NoMemoryError, for whoever needed the memory; get_failure() tells the
        text. *release* and *retire* are called later, when such a provider is asked again or closed, or memory_drain() is called; what
        they raise goes to sys.unraisablehook. At the end of the interpreter nothing is called any more.
        """
        functions: dict[str, object] = {"reserve": reserve, "release": release, "retire": retire}
        for name, function in functions.items():
            if not callable(function) and (name == "reserve" or function is not None):
                raise TypeError(f"{name}: a function is needed, not {_arguments.kind(function)}")
        return cls._adopt(_objects.open_callback(reserve, release, retire))

    def get_block(self, size: int) -> Block:
        """Get one block of at least *size* bytes. Nobody else can see it until it is shared.

        Raises InvalidArgumentError for a size of 0 or above BLOCK_SIZE_MAX, NoMemoryError, ProviderError when the provider's blocks are
        smaller than that, and IoError with what the system refused to a provider of shared memory.
        """
        try:
            return super().get_block(size)
        except errors.IoError:
            failure = self.get_failure()  # the call itself has no more to say than its status
        raise raised(failure)

    def close(self) -> None:
        """Close the handle; closing it again does nothing. Blocks that came back on foreign threads are handed to their providers."""
        super().close()
        layer.sb_memory_drain()
