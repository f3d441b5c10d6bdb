"""Exit statuses. docs/command-line.md has them as a table, and a test holds each row against what happens."""

from __future__ import annotations

DAMAGE = 1  # found in a file, a stream or the installation, and nothing else
USAGE = 2  # arguments that cannot be, names of files that are not there among them
TROUBLE = 3  # the work could not be done
NOT_UNDERSTOOD = 4  # most lines of a log, or with --strict any
FAULT = 70  # of samebytes itself; as EX_SOFTWARE of sysexits.h
INTERRUPTED = 130  # 128 + SIGINT
PIPE_CLOSED = 141  # 128 + SIGPIPE
