"""One image of libsamebytes in this process, and whether it fits this package.

The package carries libsamebytes.so.1. _cffi and _objects are linked to it by its soname, so the system's loader gives them the image
that is in the process already, if another program part brought one; ctypes does the same by RTLD_NOLOAD. Only one image means one
pool.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

SONAME = "libsamebytes.so.1"
PACKAGED = Path(__file__).with_name(SONAME)


def check_python(abiflags: str) -> None:
    """Raises ImportError for a Python that samebytes does not support."""
    if "t" in abiflags:
        raise ImportError("samebytes does not support free-threaded CPython: use the CPython with the GIL")


check_python(sys.abiflags)
try:
    from . import _objects
except ImportError as error:
    if error.name == "samebytes":  # it says by itself what is wrong
        raise
    raise ImportError(
        f"samebytes cannot load its compiled part: {error}. If another {SONAME} is loaded in this process, it must be of the same "
        f"major version and not older; otherwise install samebytes again for this Python and platform."
    ) from error


def load() -> ctypes.CDLL:
    """The library for ctypes: the image that is loaded already, otherwise the packaged file."""
    try:
        return ctypes.CDLL(SONAME, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError:
        return ctypes.CDLL(str(PACKAGED), mode=os.RTLD_NOW)


def text(version: int) -> str:
    return f"{version >> 16}.{version >> 8 & 0xFF}.{version & 0xFF}"


def check_version(loaded: int, built: int, path: str) -> None:
    """Raises ImportError unless a library of *loaded* version serves a package of *built* version."""
    if loaded >> 16 != built >> 16 or loaded < built & ~0xFF:
        raise ImportError(
            f"samebytes {text(built)} needs libsamebytes {built >> 16}.{built >> 8 & 0xFF} or a later {built >> 16}.x, but "
            f"{text(loaded)} is loaded from {path}"
        )


def check_part(part: str, digest: int) -> None:
    """Raises ImportError unless *part* of this package was built from the same headers as _objects."""
    if digest != _objects.BUILT_DIGEST:
        raise ImportError(
            f"the parts of samebytes in {PACKAGED.parent} do not belong together: {part} was built from headers with the digest "
            f"{digest:016x}, _objects from {_objects.BUILT_DIGEST:016x}; install samebytes again"
        )


def check() -> None:
    """Raises ImportError when the loaded library does not fit this package."""
    path = _objects.library_path()
    check_version(_objects.version(), _objects.BUILT_VERSION, path)
    # Another's library may be newer; that of this package must be of one piece with it.
    if PACKAGED.exists() and os.path.samefile(path, PACKAGED):
        check_part(SONAME, _objects.abi_digest())


check()
