"""Type stubs of the two function layers: one text, because they have one surface."""

from __future__ import annotations

from pathlib import Path

from .model import Api
from .python_rules import HEAD, PACKAGE, definition, signature

TOP = f"""{HEAD}
from collections.abc import Sequence
from typing import Any

from _typeshed import ReadableBuffer, WriteableBuffer

from . import _records

BACKEND: str
ABI_DIGEST: int

def address_of(data: bytes) -> int: ...
def read_bytes(address: int, size: int) -> bytes: ...
def write_bytes(address: int, data: ReadableBuffer) -> None: ...
"""


def stub(api: Api) -> str:
    return TOP + "".join(f"{definition('', f.name, *signature(f))}: ...\n" for f in api.functions)


def emit(api: Api, root: Path) -> dict[str, str]:
    del root
    api = api.bound()
    return {f"{PACKAGE}/_layer_{backend}.pyi": stub(api) for backend in ("cffi", "ctypes")}
