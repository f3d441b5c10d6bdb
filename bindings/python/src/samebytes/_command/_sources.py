"""The lines of a log, from a file or the standard input, plain or compressed, within bounds whatever it holds.

What compressed it shows by its first bytes, not by its name. Memory is bounded: a line that is too long is passed over in pieces, a
decompressor gets a limit, and data that expands beyond all reason is refused before it fills a disk.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NamedTuple

import click

PIECE = 1 << 16
HEAD = 8  # bytes that tell what compressed a file
EXPANDED_FREE = 64 << 20  # bytes that may come out before the ratio counts
DICTIONARY_MAX = 256 << 20  # bytes of memory that a decompressor may take
UTF8_BOM = b"\xef\xbb\xbf"
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class LogError(click.ClickException):
    """A log that cannot be read, or not on from here."""


class Line(NamedTuple):
    number: int  # from 1
    bytes: bytes | None  # without LF or CRLF; None: it is too long


class Raw(io.RawIOBase):
    """*file* after its first bytes were read, which come again; counts what was taken."""

    def __init__(self, head: bytes, file: IO[bytes], advance: Callable[[int], None]) -> None:
        self.head = head
        self.file = file
        self.advance = advance
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        if self.head:
            data, self.head = self.head[: len(room)], self.head[len(room) :]
        else:
            read = getattr(self.file, "read1", self.file.read)  # a pipe gives what it has
            data = read(min(len(room), PIECE))
        room[: len(data)] = data
        self.taken += len(data)
        self.advance(len(data))
        return len(data)


class Expanded(io.RawIOBase):
    """What a decompressor makes of *raw*, streams one behind the other, padded with zeros or not."""

    def __init__(self, raw: io.RawIOBase, new: Callable[[], Any]) -> None:
        self.raw = raw
        self.new = new
        self.decompressor: Any = None
        self.left = b""  # read, and not given to a decompressor

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        while True:
            if self.decompressor is not None and self.decompressor.eof:
                self.left = self.decompressor.unused_data
                self.decompressor = None
            if self.decompressor is None:
                self.left = self.left.lstrip(b"\0") or (self.raw.read(PIECE) or b"").lstrip(b"\0")
                if not self.left:
                    return 0
                self.decompressor = self.new()
            if self.decompressor.needs_input and not self.left:
                self.left = self.raw.read(PIECE) or b""
                if not self.left:
                    raise EOFError("it ends before its end mark")
            data = self.decompressor.decompress(self.left, len(room))
            self.left = b""
            if data:
                room[: len(data)] = data
                return len(data)


class Bounded(io.RawIOBase):
    """What was expanded, as long as that is in proportion to what it was made of."""

    def __init__(self, expanded: Any, raw: Raw, ratio_max: int) -> None:
        self.expanded = expanded
        self.raw = raw
        self.ratio_max = ratio_max
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        count: int = self.expanded.readinto(room)
        self.given += count
        if self.given > EXPANDED_FREE and self.given > self.ratio_max * self.raw.taken:
            raise LogError(
                f"{self.raw.taken} bytes expanded to more than {self.ratio_max} times as many; --max-ratio allows more"
            )
        return count


def zstd() -> ModuleType:
    """The module for Zstandard: Python's own from 3.14 on, and the same one for older releases."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise LogError(
        "reading Zstandard needs a package: pip install 'samebytes[zstd]', or pipe the output of zstd -dc into -"
    )


def xz() -> ModuleType:
    try:
        return importlib.import_module("lzma")
    except ImportError:
        raise LogError("this Python was built without lzma; pipe the output of xz -dc into -") from None


def expanded(head: bytes, raw: Raw) -> Any:
    """What reads *raw* as its first bytes say; None where it is not compressed."""
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=io.BufferedReader(raw, PIECE))
    if head.startswith(b"BZh"):
        return Expanded(raw, bz2.BZ2Decompressor)
    if head.startswith(b"\xfd7zXZ\0"):
        module = xz()
        return Expanded(raw, lambda: module.LZMADecompressor(module.FORMAT_XZ, memlimit=DICTIONARY_MAX))
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return Expanded(raw, zstd().ZstdDecompressor)
    if head.startswith((b"PK\x03\x04", b"7z\xbc\xaf", b"\x04\x22\x4d\x18", b"\x1f\x9d")):
        raise LogError(
            "it is compressed in a way that is not known here: .gz, .bz2, .xz and .zst are, and - reads a pipe"
        )
    return None


def damage() -> tuple[type[Exception], ...]:
    """What decompressors raise for data that is none."""
    found: list[type[Exception]] = [EOFError, zlib.error, gzip.BadGzipFile]
    for name, error in (("lzma", "LZMAError"), ("compression.zstd", "ZstdError"), ("backports.zstd", "ZstdError")):
        try:
            found.append(getattr(importlib.import_module(name), error))
        except ImportError:
            continue
    return tuple(found)


def first_bytes(file: IO[bytes], count: int) -> bytes:
    """The first *count* bytes, fewer at the end only: a pipe gives what it has."""
    data = b""
    while len(data) < count and (more := file.read(count - len(data))):
        data += more
    return data


class Log:
    """An open log."""

    def __init__(self, file: IO[bytes], advance: Callable[[int], None], ratio_max: int) -> None:
        head = first_bytes(file, HEAD)
        raw = Raw(head, file, advance)
        inner = expanded(head, raw)
        self.compressed = inner is not None
        bounded = raw if inner is None else Bounded(inner, raw, ratio_max)
        self.file = io.BufferedReader(bounded, PIECE)

    def lines(self, bytes_max: int) -> Iterator[Line]:
        """The lines without their ends; one of more than *bytes_max* bytes is told and passed over."""
        number = 0
        try:
            while line := self.file.readline(bytes_max + 2):
                number += 1
                whole = line.endswith(b"\n")
                if number == 1:
                    if line.startswith(UTF16_BOMS):
                        raise LogError("it is UTF-16; pipe the output of iconv -f UTF-16 -t UTF-8 into -")
                    line = line.removeprefix(UTF8_BOM)
                line = line.removesuffix(b"\n").removesuffix(b"\r")
                if len(line) > bytes_max:
                    while not whole and (more := self.file.readline(PIECE)):
                        whole = more.endswith(b"\n")
                    yield Line(number, None)
                else:
                    yield Line(number, line)
        except damage() as error:
            if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
                raise
            raise LogError(f"it is damaged after line {number}: {error}") from None
        except OSError as error:
            if not self.compressed or error.errno is not None:
                raise
            raise LogError(f"it is damaged after line {number}: {error}") from None  # bz2 raises an OSError


@contextmanager
def opened(path: Path, advance: Callable[[int], None], ratio_max: int) -> Iterator[Log]:
    """The log at *path*, - being the standard input. What goes wrong with it says its name."""
    name = "the standard input" if str(path) == "-" else str(path)
    try:
        with click.open_file(str(path), "rb") as file:
            yield Log(file, advance, ratio_max)
    except LogError as error:
        raise LogError(f"{name}: {error.message}") from None
