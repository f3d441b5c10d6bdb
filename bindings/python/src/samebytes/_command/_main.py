"""The command and what its parts share: exit statuses, output for people and for programs, and progress."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from .. import errors
from .._errors import SamebytesError
from .._version import __version__
from . import _doctor, _frames, _visits

DAMAGE, TROUBLE = 1, 2


class Command(click.Group):
    """What fails is said in one line on stderr, without a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:
            raise  # click ends quietly when nobody reads on
        except errors.CorruptError as error:
            tell(error, context)
            context.exit(DAMAGE)
        except (SamebytesError, OSError) as error:
            tell(error, context)
            context.exit(TROUBLE)


def tell(error: Exception, context: click.Context) -> None:
    """Say what failed, and with which file."""
    message = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        message = f"{os.fsdecode(error.filename)}: {error.strerror}"
    elif context.obj is not None and str(context.obj) not in message:
        message = f"{context.obj}: {message}"
    click.echo(f"samebytes: {message}", err=True)


@click.group(cls=Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="samebytes")
def main() -> None:
    """Look into files of visits and streams of frames.

    The exit status is 0 when all is well, 1 when damage was found, and 2 for wrong usage or when the work could not be done.
    """
    # What a log or a file holds may be no text of this terminal.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


main.add_command(_visits.visits)
main.add_command(_frames.frames)
main.add_command(_doctor.doctor)
