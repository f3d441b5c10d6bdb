"""What each part of the bench runs: programs that print samples, the settings of both sides, and the ratios the project wants."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import peers

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
OURS = "samebytes"
C_FLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Wshadow", "-Werror"]


@dataclass(frozen=True)
class Program:
    """A process that prints `case TAB side TAB value` for every sample; the number of samples is its last argument."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class Part:
    """What is to be run for one part."""

    name: str
    programs: list[Program]
    settings: list[str]
    targets: dict[tuple[str, str], float]
    counted: Program | None = None  # a C program whose cases are counted by callgrind as well
    scratch: Path | None = None  # a folder that goes when the part was measured
    rounds: int = 9  # how often the programs take turns: often, as some machines are slower for seconds


@dataclass(frozen=True)
class Build:
    """Where things are built, and which library is measured."""

    folder: Path
    library: Path

    def c_program(self, name: str, *libraries: str) -> str:
        """Compile tests/bench/c/*name*.c, or all files of the folder *name*, against the shared library, and return the program."""
        program = self.folder / name
        source = HERE / "c" / name
        sources = sorted(source.glob("*.c")) if source.is_dir() else [source.with_suffix(".c")]
        command = [
            os.environ.get("CC", "gcc"), *C_FLAGS, f"-I{ROOT / 'core/include'}", *map(str, sources), "-o", str(program),
            "-pthread", f"-L{self.library}", "-lsamebytes", f"-Wl,-rpath,{self.library.resolve()}",
            *(f"-l{library}" for library in libraries),
        ]  # fmt: skip
        peers.run(command, f"tests/bench/c/{name}")
        return str(program)


def pool(build: Build) -> Part:
    """Blocks in C: malloc of each allocator is the same program with that allocator preloaded."""
    packages = {
        "tcmalloc": ("libgoogle-perftools-dev", "tcmalloc_minimal"),
        "jemalloc": ("libjemalloc-dev", "jemalloc"),
        "mimalloc": ("libmimalloc-dev", "mimalloc"),
    }
    peers.install_packages([package for package, _ in packages.values()])
    program = build.c_program("pool")
    programs = [Program([program, OURS]), Program([program, "glibc"])]
    settings = [
        "samebytes: sb_pool_open(NULL): default classes, alignment 64, checks of double and foreign puts",
        f"glibc {os.confstr('CS_GNU_LIBC_VERSION')}: malloc and free, no settings",
    ]
    for side, (package, name) in packages.items():
        path = peers.shared_library(name, package)
        programs.append(Program([program, side], {"LD_PRELOAD": str(path)}))
        settings.append(f"{side}: {package} {peers.package_version(package)}, {path.name} by LD_PRELOAD, no settings")
    script = str(HERE / "python/pool.py")
    programs.append(Program([sys.executable, script], {"PYTHONPATH": str(cffi_module(build))}))
    settings.append(
        f"Python {sys.version.split()[0]}: plain calls are sb_pool_get and sb_pool_put of the library that samebytes has loaded"
    )
    in_go = str(build.folder / "go_pool")
    peers.run(["go", "build", "-o", in_go, "./tests/bench/go/pool"], "tests/bench/go/pool", cwd=ROOT)
    programs.append(Program([in_go]))
    settings.append(
        f"Go {peers.run(['go', 'env', 'GOVERSION'], 'go').strip()}: tests/bench/go/pool; samebytes is PoolCache, and bytepool_get in C; "
        "a cgo call each: a list with a mutex in C; by callback: as cgobytepool does it"
    )
    case = "Python get+release, 4 KiB"
    targets = {(case, "bytearray"): 4.0, (case, "plain CFFI calls"): 6.0, (case, "plain ctypes calls"): 15.0}
    case = "C get+put, 4 KiB, by get_many and put_many of 16"
    targets |= {(case, "glibc"): 4.0, (case, "tcmalloc"): 2.0}
    for goroutines, least in (("one goroutine", 0.6), ("two goroutines", 1.0)):
        case = f"Go get+put, 4 KiB, {goroutines}"
        targets |= {(case, "a cgo call each"): 8.0, (case, "sync.Pool"): least}
    targets[("C get+put under Go, 4 KiB", "channel of pointers, by callback")] = 20.0
    for size, least in (("512 B", 1.3), ("4 KiB", 2.5), ("16 KiB", 2.5)):
        case = f"C get+put, {size}, one thread"
        targets |= {(case, "glibc"): least, (case, "tcmalloc"): 1.0, (case, "jemalloc"): 1.2, (case, "mimalloc"): 1.5}
    targets[("C get+put, 4 KiB, two threads", "glibc")] = 2.0
    targets[("C get+put, 4 KiB, put on another thread", "glibc")] = 4.0
    targets[("C get+put, 4 KiB, put on another thread", "tcmalloc")] = 1.5
    return Part("pool", programs, settings, targets)


CFFI_CDEF = """
typedef struct sb_pool sb_pool;
int32_t sb_pool_open(const void *options, sb_pool **pool);
int32_t sb_pool_get(sb_pool *pool, size_t size, void **data);
int32_t sb_pool_put(sb_pool *pool, void *data);
"""


def extension(target: Path, name: str, flags: list[str]) -> None:
    """Compile *target*/*name*.c to an extension module beside it."""
    include = sysconfig.get_paths()["include"]
    command = [os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O2", f"-I{include}", str(target / f"{name}.c")]
    peers.run([*command, "-o", str(target / f"{name}.so"), *flags], f"peer {name}")


def cffi_module(build: Build) -> Path:
    """Build what a user would who calls the pool's functions by CFFI in API mode; return the folder that it is imported from."""
    import cffi

    target = build.folder / "cffi"
    target.mkdir(exist_ok=True)
    maker = cffi.FFI()
    maker.cdef(CFFI_CDEF)
    maker.set_source("peer_cffi", "#include <stdint.h>\n#include <stddef.h>\n" + CFFI_CDEF)
    maker.emit_c_code(str(target / "peer_cffi.c"))
    extension(target, "peer_cffi", [f"-L{build.library}", "-lsamebytes"])
    return target


def cython_module(folder: Path) -> Path:
    """Compile python/peer_cython.pyx, and return the folder that it is imported from."""
    target = folder / "cython"
    target.mkdir(exist_ok=True)
    source = target / "peer_cython.c"
    peers.run(
        [sys.executable, "-m", "cython", "-3", str(HERE / "python/peer_cython.pyx"), "-o", str(source)], "peer cython"
    )
    extension(target, "peer_cython", [])
    return target


def codec(build: Build) -> Part:
    """Echo requests: small is 57 bytes, large 67,564."""
    in_c = Program([build.c_program("codec")])
    in_go = Program([str(build.folder / "go")])
    peers.run(["go", "build", "-o", in_go.command[0], "./tests/bench/go"], "tests/bench/go", cwd=ROOT)
    in_python = Program(
        [sys.executable, str(HERE / "python/codec.py")], {"PYTHONPATH": str(cython_module(build.folder))}
    )
    servers = Program([sys.executable, str(HERE / "python/servers.py"), build.c_program("load")])
    settings = [
        "messages: small 57 bytes (subject 4, metadata 3 items, body 23), large 67,564 (4, 1,000, 65,536)",
        f"hand-written C: tests/bench/c/echo_by_hand.h, {' '.join(C_FLAGS[:2])}, in the same program, one message at a time",
        "hand-written C that keeps the rows: the same, into an array that stays valid until the next feed, as a batch does",
        f"Go {peers.run(['go', 'env', 'GOVERSION'], 'go').strip()}: tests/bench/go/hand.go; samebytes is package echo, core compiled in",
        f"Python {sys.version.split()[0]}: tests/bench/python/peers.py; samebytes is samebytes.echo with the default back end",
        "peers from PyPI: " + ", ".join(peers.python_requirements("codec")),
        "columns in Python: samebytes by columns, all of which are asked for; msgspec, which has none, by rows as in the other cases",
        "Echo servers: a process of their own, one loopback connection; tests/bench/c/load.c sends without waiting and checks responses",
        "samebytes in easynetwork: BatchSerializer in BufferedStreamProtocol; on asyncio: samebytes.aio.serve(batches=True), by columns",
        "msgspec: array_like Struct without GC; protobuf: bytes and repeated sint32, upb; both behind a framer in Python",
    ]
    targets = {
        ("C decode, small, 64 KiB feeds", "hand-written C"): 0.75,
        ("C decode, small, 64 KiB feeds", "hand-written C that keeps the rows"): 0.75,
        ("C encode, small, 1,000 per view", "hand-written C"): 0.75,
        ("Python decode, small, all fields read", "msgspec msgpack"): 3.5,
        ("Python decode, small, all fields read", "protobuf upb"): 14.0,
        ("Python decode, small, all fields read", "struct, pure Python"): 9.0,
        ("Python decode, small, all fields read", "struct parser in Cython"): 0.85,
        ("Python decode, small, one field read", "msgspec msgpack"): 6.0,
        ("Python decode, large, all fields read", "msgspec msgpack"): 5.0,
        ("Python decode, large, all fields read", "struct, pure Python"): 4.0,
        ("Python decode, small, all fields as columns", "msgspec msgpack"): 40.0,
        ("Python encode, small, from rows", "msgspec msgpack"): 1.0,
        ("Python encode, small, from columns", "msgspec msgpack"): 10.0,
        ("Echo server, pipelined, in easynetwork", "struct serializer in StreamProtocol"): 15.0,
        ("Echo server, pipelined, on asyncio.BufferedProtocol", "struct, pure Python"): 8.0,
        ("Go decode, small, 64 KiB feeds", "hand-written Go that copies"): 2.0,
        ("Go decode, small, 64 KiB feeds", "encoding/binary"): 8.0,
    }
    return Part("codec", [in_c, in_go, in_python, servers], settings, targets, counted=in_c, rounds=4)


def bytes_(build: Build) -> Part:
    """Views and bufs against the Rust crates."""
    rust = peers.build_rust(build.folder / "rust")
    lines = (HERE / "rust/Cargo.toml").read_text().splitlines()
    settings = ["samebytes: memory of the default pool; views and bufs opened and closed per operation"]
    settings += [f"Rust: cargo --release, LTO, crate {line}" for line in lines if line.startswith("byte")]
    settings += ["bytesbuf: memory of its GlobalPool; bytes: BytesMut of the capacity that is asked for"]
    bytesbuf, crate = "bytesbuf (Rust)", "bytes (Rust)"
    targets: dict[tuple[str, str], float] = {}
    for case, least in (
        ("view copy, 1 span", 3.0),
        ("view range, 1 span", 5.0),
        ("put 64 B and freeze", 5.0),
        ("reserve+fill+consume, 1 KiB", 4.0),
        ("reserve+fill+consume, 64 KiB", 1.0),
    ):
        targets |= {(case, bytesbuf): least, (case, crate): 1.0}
    targets[("append of 10,000 views, each", bytesbuf)] = 20.0
    targets[("append of 10,000 views, each", "samebytes, 1,000 views")] = 0.83  # the cost of one grows below 1.2x
    return Part("bytes", [Program([build.c_program("bytes")]), Program([str(rust)])], settings, targets)


def visits(build: Build) -> Part:
    """The store of visits against stores that programs use for such things."""
    packages = {
        "LMDB": "liblmdb-dev",
        "LevelDB": "libleveldb-dev",
        "SQLite": "libsqlite3-dev",
        "RocksDB": "librocksdb-dev",
        "Redis": "redis-tools",  # the server is in it, by another name, and is not started as a service
        "hiredis": "libhiredis-dev",
    }
    peers.install_packages(list(packages.values()))
    program = build.c_program("visits", "lmdb", "leveldb", "rocksdb", "sqlite3", "hiredis")
    scratch = build.folder / "visits-data"
    peers.run(["rm", "-rf", str(scratch)], "visits-data")
    scratch.mkdir()
    print("visits: making stores of 1,000,000 visits", flush=True)
    peers.run([program, "prepare", str(scratch / "large")], "stores of 1,000,000 visits", cwd=ROOT)
    programs = [
        Program([program, "small", str(scratch / "small")]),
        Program([program, "large", str(scratch / "large")]),
        Program([program, "stalls", str(memory_folder(scratch) / "samebytes-stalls")]),
        Program([sys.executable, str(HERE / "python/visits.py"), str(scratch / "python")]),
    ]
    settings = [
        "visits: url 60 bytes, text 200, random letters; 100,000 of 10,000 users, or 1,000,000 of 100,000; the newest 10 are kept"
    ]
    settings += [
        "all sides: ignore a visit_id that the user has, order by time, keep the newest 10; held against a plain model before timing"
    ]
    settings += ["samebytes: durability none or always, everything else by default"]
    settings += [f"{name}: {package} {peers.package_version(package)}" for name, package in packages.items()]
    for file in ("peer_lmdb.c", "peer_leveldb.c", "lsm.h", "peer_rocksdb.c", "peer_sqlite.c", "peer_redis.c"):
        settings.append(f"{file}: {about(HERE / 'c/visits' / file)}")
    settings += [f"visits.sql: {line.partition('--')[0].strip()}" for line in lines_with(HERE / "visits.sql", "PRAGMA")]
    settings += [
        f"redis.conf: {line}" for line in (HERE / "c/visits/redis.conf").read_text().splitlines() if line[0] != "#"
    ]
    settings += [
        f"Python {sys.version.split()[0]}: sqlite3 with the statements of visits.sql; a dict of deques that are searched and kept in order"
    ]
    return Part("visits", programs, settings, visits_targets(), scratch=scratch, rounds=3)


def memory_folder(otherwise: Path) -> Path:
    """Return where files lie in memory, so that the disk is no part of what is measured."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else otherwise


def lines_with(path: Path, word: str) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.startswith(word)]


def about(path: Path) -> str:
    """Return the comment that a C file begins with, as one line."""
    text = path.read_text()
    return " ".join(text[text.index("/*") + 2 : text.index("*/")].replace("\n *", " ").split())


def visits_targets() -> dict[tuple[str, str], float]:
    lmdb, leveldb, sqlite, redis = "LMDB, no sync", "LevelDB, no sync", "SQLite WAL NORMAL", "Redis"
    add, get, delete = "add, survives a killed process", "get 10, copied", "delete 3"
    targets = {(add, lmdb): 4.0, (add, leveldb): 2.5, (add, sqlite): 10.0, (add, redis): 2.0}
    targets |= {(get, lmdb): 1.5, (get, leveldb): 4.0, (get, sqlite): 8.0, (get, redis): 20.0}
    targets |= {(delete, lmdb): 5.0, (delete, sqlite): 20.0}
    targets |= {("durable add, 1 thread", "SQLite WAL FULL"): 1.5, ("durable add, 1 thread", "LMDB, sync"): 2.0}
    targets |= {("durable add, 64 threads", "SQLite WAL FULL"): 8.0, ("durable add, 64 threads", "RocksDB, sync"): 1.0}
    opened = "open 1,000,000 and get one user, after"
    targets |= {(f"{opened} a clean close", "LevelDB"): 1.0, (f"{opened} a clean close", "SQLite"): 1.0}
    targets |= {(f"{opened} a kill", "samebytes, all of the log"): 10.0}
    targets |= {("full scan of 1,000,000", "LMDB"): 1.0, ("full scan of 1,000,000", "SQLite"): 8.0}
    targets |= {
        ("bytes on disk per visit, compacted", "the limit"): 1.0,
        ("resident bytes per visit, all decoded", "the limit"): 1.0,
    }
    for compaction in ("compact() runs", "it compacts by itself", "it compacts in a thread"):
        targets[(f"add while {compaction}, 99.9th percentile", "samebytes, no compaction, and 10 ms")] = 1.0
    for while_ in ("beside 8 readers", "while an index is written", "while it compacts"):
        for which in ("99.99th percentile", "longest"):
            targets[(f"add {while_}, 1,000,000 users, {which}", "10 ms")] = 1.0
    for case in ("Python add", "Python get 10"):
        targets |= {(case, "sqlite3 module"): 8.0, (case, "dict of deques, nothing stored"): 0.33}
    return targets


def exchange(build: Build) -> Part:
    """One buffer from a process to another."""
    program = build.c_program("exchange")
    case = "C to Python, 1 MiB, both ends touched"
    settings = [
        "1 MiB from a C process to a Python process, which asks for the next one; its first and last byte are written there and read here",
        "samebytes: a block of a shared provider, sent through a channel; asking for the next is being done with it",
        "Unix socket: all bytes by write and recv_into, into one bytearray",
        "multiprocessing.Pipe: Connection.recv_bytes; the C side speaks its format",
        "iceoryx2: publish and subscribe of slices, events both ways; the other end is Python, as PyPI has no C side",
        "peers from PyPI: " + ", ".join(peers.python_requirements("exchange")),
    ]
    programs = [Program([sys.executable, str(HERE / "python/exchange.py"), program])]
    targets = {(case, "Unix socket"): 8.0, (case, "multiprocessing.Pipe"): 50.0, (case, "iceoryx2"): 1.2}
    return Part("exchange", programs, settings, targets)


PARTS: dict[str, Callable[[Build], Part]] = {
    "pool": pool,
    "bytes": bytes_,
    "codec": codec,
    "visits": visits,
    "exchange": exchange,
}
