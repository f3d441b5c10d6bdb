"""The command `samebytes`: looks into files of visits and streams of frames. docs/command-line.md is its manual.

_status.py has the exit statuses.
"""

from ._main import main

__all__ = ["main"]
