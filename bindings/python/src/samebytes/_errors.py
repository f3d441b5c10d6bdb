"""The base of all exceptions, and how a status becomes one of them."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Iterator
from typing import Any

from . import _records


class SamebytesError(Exception):
    """A call of the library failed. There is one subclass per status, which derives from the fitting built-in too.

    What the operating system refused is also the OSError that fits its errno: FileNotFoundError, PermissionError and their like catch
    it, and errno, strerror and, where the call named a file, filename say more.
    """

    status: int = -1
    """The number of the status, such as samebytes.CORRUPT."""
    system_error: int = 0
    """errno of the system call that was refused; 0 where the system refused nothing."""
    stream_offset: int = 0
    """Bytes from the start of the stream to the failing field."""
    frame_offset: int = 0
    """Bytes from the start of the frame to the failing field."""
    frame: int = -1
    """Index of the frame in its stream, or NO_FRAME."""
    field: str = ""
    """The field that failed; empty if none."""

    def __init__(
        self,
        message: str = "",
        *,
        stream_offset: int = 0,
        frame_offset: int = 0,
        frame: int = -1,
        field: str = "",
        status: int | None = None,
        system_error: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.system_error = system_error
        self.stream_offset = stream_offset
        self.frame_offset = frame_offset
        self.frame = frame
        self.field = field
        if status is not None:
            self.status = status
        system: object = self  # SamebytesError itself is no OSError; classes below it may be
        if isinstance(system, OSError) and system_error != 0:
            system.errno, system.strerror = system_error, os.strerror(system_error)

    def __str__(self) -> str:
        filename = getattr(self, "filename", None)
        if filename is None or os.fsdecode(filename) in self.message:
            return self.message
        return f"{self.message}: {filename!r}"

    def __reduce__(self) -> tuple[Any, ...]:
        details = {name: value for name, value in self.__dict__.items() if not name.startswith("__")}
        names = getattr(self, "filename", None), getattr(self, "filename2", None)
        return _restored, (
            self.status,
            self.system_error,
            type(self) if self.system_error == 0 else None,
            details,
            names,
        )


BY_STATUS: dict[int, type[SamebytesError]] = {}
"""The exception class of each status. errors.py, which stands on this module, fills it."""


@functools.cache
def refused_class(status: int, system_error: int) -> type[SamebytesError]:
    """The class for a *status* that comes from a refusal of the operating system: the status's, and the OSError that fits."""
    known = BY_STATUS.get(status, SamebytesError)
    fits = type(OSError(system_error, ""))
    if system_error == 0 or issubclass(known, fits):
        return known
    bases = (known, fits)
    return type(known.__name__, bases, {"__module__": known.__module__, "__doc__": known.__doc__})


def _restored(
    status: int,
    system_error: int,
    exactly: type[SamebytesError] | None,
    details: dict[str, Any],
    names: tuple[Any, Any],
) -> SamebytesError:
    """An exception from a pickle. A class that was made for an errno has no name to find it by."""
    made = (exactly or refused_class(status, system_error))(details["message"], system_error=system_error)
    made.__dict__.update(details)
    if isinstance(made, OSError):
        made.filename, made.filename2 = names
    return made


def raised(error: _records.Error) -> SamebytesError:
    """The exception that says what *error* says."""
    return refused_class(error.status, error.system_error)(
        error.message,
        stream_offset=error.stream_offset,
        frame_offset=error.frame_offset,
        frame=error.frame,
        field=error.field,
        status=error.status,
        system_error=error.system_error,
    )


def system_refused(error: OSError, what: str, path: object = None) -> SamebytesError:
    """The exception for a refusal that Python met: the same as for one that the library met."""
    number = error.errno or 0
    status = _records.NOT_FOUND if number == errno.ENOENT else _records.IO
    text = f"{what}: {error.strerror or error}" + (f" (errno {number})" if number else "")
    made = raised(_records.Error(status, number, 0, 0, _records.NO_FRAME, "", text))
    if isinstance(made, OSError):
        made.filename = path
    return made


@contextlib.contextmanager
def naming(path: object, target: object = None) -> Iterator[None]:
    """What the operating system refuses meanwhile names the file, as OSError does."""
    try:
        yield
    except SamebytesError as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename, error.filename2 = path, target
        raise


def failure(function: str, status: int, meaning: str, error: _records.Error | None) -> SamebytesError:
    """The exception for a *status* that *function* returned, with what it explained in *error*."""
    if error is None or not error.message:
        return raised(_records.Error(status, 0, 0, 0, -1, "", f"{function}: {meaning}"))
    return raised(error._replace(status=status))


def fail(
    function: str,
    status: int,
    meaning: str,
    system_error: int,
    stream_offset: int,
    frame_offset: int,
    frame: int,
    field: bytes,
    message: bytes,
) -> None:
    """Raises the exception for a *status* that *function* returned to _objects."""
    texts = field.decode(errors="replace"), message.decode(errors="replace")
    raise failure(
        function, status, meaning, _records.Error(status, system_error, stream_offset, frame_offset, frame, *texts)
    )
