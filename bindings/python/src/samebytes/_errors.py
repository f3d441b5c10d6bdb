"""The base of all exceptions, and how a status becomes one of them."""

from __future__ import annotations

from . import _records


class SamebytesError(Exception):
    """A call of the library failed. There is one subclass per status, which derives from the fitting built-in too."""

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


def raised(error: _records.Error) -> SamebytesError:
    """The exception that says what *error* says."""
    from .errors import BY_STATUS  # it imports this module

    return BY_STATUS.get(error.status, SamebytesError)(
        error.message,
        stream_offset=error.stream_offset,
        frame_offset=error.frame_offset,
        frame=error.frame,
        field=error.field,
        status=error.status,
        system_error=error.system_error,
    )


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
    raise failure(function, status, meaning, _records.Error(status, system_error, stream_offset, frame_offset, frame, *texts))
