"""The command `samebytes`: looks into files of visits and streams of frames. docs/command-line.md is its manual.

Exit status: 0 all is well; 1 damage was found, and is told; 2 wrong usage, or the work could not be done, and stderr says why.
"""

from ._main import main

__all__ = ["main"]
