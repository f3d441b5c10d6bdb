"""The command and what its parts share: exit statuses, output for people and for programs, and progress."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import Any

import click

from .. import errors
from .._errors import SamebytesError
from .._version import __version__
from . import _doctor, _frames, _status, _visits


class PipeClosed(Exception):
    """Nobody reads the output; not a BrokenPipeError, which click ends with a status that means damage here."""


class Command(click.Group):
    """What fails is said in one line on stderr, without a traceback, and each kind of failure has its status."""

    def main(self, *arguments: Any, **more: Any) -> Any:
        run: Any = super().main
        if not more.pop("standalone_mode", True):
            return run(*arguments, standalone_mode=False, **more)
        try:
            status = run(*arguments, standalone_mode=False, **more)
            sys.stdout.flush()
        except Exception as error:
            status = status_of(error)
        sys.exit(status or 0)

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        try:
            return super().make_context(*arguments, **more)
        except BrokenPipeError as error:
            raise PipeClosed from error

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError as error:
            raise PipeClosed from error
        except (SamebytesError, OSError) as error:
            tell(error, context)
            context.exit(status_of_work(error))


def status_of_work(error: SamebytesError | OSError) -> int:
    if isinstance(error, errors.CorruptError):
        return _status.DAMAGE
    # A path that leads to no file, or to what is no file, is a wrong argument.
    wrong = errors.NotFoundError, errors.InvalidArgumentError, FileNotFoundError, IsADirectoryError, NotADirectoryError
    return _status.USAGE if isinstance(error, wrong) else _status.TROUBLE


def status_of(error: Exception) -> int:
    """The status of what ended the command, which is told here where it was not yet."""
    if isinstance(error, click.UsageError):
        error.show()
        return _status.USAGE
    if isinstance(error, click.ClickException):
        click.echo(f"samebytes: {error.format_message()}", err=True)
        return _status.TROUBLE if type(error).exit_code == click.ClickException.exit_code else error.exit_code
    if isinstance(error, click.Abort):
        click.echo("Aborted!", err=True)
        return _status.INTERRUPTED
    if isinstance(error, PipeClosed | BrokenPipeError):
        # Nobody reads on. What is left in the buffer goes nowhere, so that the interpreter has nothing to complain of.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _status.PIPE_CLOSED
    if isinstance(error, OSError):  # of the last flush
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        click.echo(f"samebytes: the output: {error.strerror}", err=True)
        return _status.TROUBLE
    traceback.print_exception(error)
    return _status.FAULT


def tell(error: Exception, context: click.Context) -> None:
    """Say what failed, and with which file."""
    message = str(error)
    if isinstance(error, OSError) and error.filename is not None and not isinstance(error, SamebytesError):
        message = f"{os.fsdecode(error.filename)}: {error.strerror}"
    elif context.obj is not None and str(context.obj) not in message:
        message = f"{context.obj}: {message}"
    click.echo(f"samebytes: {message}", err=True)


@click.group(cls=Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="samebytes")
def main() -> None:
    """Look into files of visits and streams of frames.

    The exit status is 0 when all is well, 1 when damage was found, 2 for wrong usage, 3 when the work could not be done, 4 when a log was
    not understood, 130 after an interrupt, and 141 when nobody reads the output.
    """
    # What a log or a file holds may be no text of this terminal.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


main.add_command(_visits.visits)
main.add_command(_frames.frames)
main.add_command(_doctor.doctor)
