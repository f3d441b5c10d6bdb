"""Getting and releasing 4 KiB from Python: blocks of samebytes.Pool beside bytearray, and beside plain calls of its C functions."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import samples

import samebytes

# Loaded after samebytes, so that it is linked to the library that samebytes has loaded.
import peer_cffi  # type: ignore[import-not-found]  # isort: skip  # built by parts.py

CASE = "Python get+release, 4 KiB"
CLOSE = "Python get+close, 4 KiB"
SIZE = 4096
TIMES = 1000
POOL = samebytes.Pool()


def released() -> None:
    get = POOL.get_block
    for _ in range(TIMES):
        get(SIZE)


def closed() -> None:
    get = POOL.get_block
    for _ in range(TIMES):
        get(SIZE).close()


def bytearrays() -> None:
    for _ in range(TIMES):
        bytearray(SIZE)


def plain_cffi() -> Callable[[], None]:
    ffi, lib = peer_cffi.ffi, peer_cffi.lib
    pool = ffi.new("sb_pool **")
    data = ffi.new("void **")
    if lib.sb_pool_open(ffi.NULL, pool) != 0:
        raise SystemExit("plain CFFI: no pool")
    handle, get, put = pool[0], lib.sb_pool_get, lib.sb_pool_put

    def run() -> None:
        for _ in range(TIMES):
            if get(handle, SIZE, data) != 0 or put(handle, data[0]) != 0:
                raise SystemExit("plain CFFI: get or put failed")

    return run


def plain_ctypes() -> Callable[[], None]:
    library = ctypes.CDLL("libsamebytes.so.1", mode=os.RTLD_NOLOAD)
    pool, data = ctypes.c_void_p(), ctypes.c_void_p()
    library.sb_pool_open.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
    library.sb_pool_get.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p)]
    library.sb_pool_put.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    if library.sb_pool_open(None, ctypes.byref(pool)) != 0:
        raise SystemExit("plain ctypes: no pool")
    get, put, reference = library.sb_pool_get, library.sb_pool_put, ctypes.byref(data)

    def run() -> None:
        for _ in range(TIMES):
            if get(pool, SIZE, reference) != 0 or put(pool, data) != 0:
                raise SystemExit("plain ctypes: get or put failed")

    return run


def main() -> None:
    cases = []
    for name, ours in ((CASE, released), (CLOSE, closed)):
        cases += [
            samples.Case(name, "samebytes", ours, TIMES),
            samples.Case(name, "bytearray", bytearrays, TIMES),
            samples.Case(name, "plain CFFI calls", plain_cffi(), TIMES),
            samples.Case(name, "plain ctypes calls", plain_ctypes(), TIMES),
        ]
    samples.main(cases)
    POOL.close()


if __name__ == "__main__":
    main()
