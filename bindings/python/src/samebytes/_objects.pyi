"""See src/objects.c."""

from typing_extensions import Buffer

BUILT_VERSION: int
BUILT_DIGEST: int

def version() -> int: ...
def abi_digest() -> int: ...
def library_path() -> str: ...

class _Exporter(Buffer):
    _address: int
    _shared: bool
    _exports: int

class Block(_Exporter): ...
class View(_Exporter): ...

class Batch:
    _address: int
    _shared: bool
    _exports: int

class Column(Buffer):
    def __new__(cls, batch: Batch, address: int, size: int, item_size: int, format: str) -> Column: ...

class Window(Buffer):
    def __new__(cls, address: int, size: int, owner: object) -> Window: ...
    def end(self) -> None: ...
