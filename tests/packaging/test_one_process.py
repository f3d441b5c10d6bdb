"""Go, CFFI and ctypes in one process share one image and its pool: a block, view, buf or pool that one made is written by the second, read
by the third, and closed by another, in every order. A Go library with an image of its own is noticed by both sides.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.packaging.conftest import ROOT, run
from tests.packaging.test_go import consumer_of_tree, shared_settings

LIBRARY = """\
package main

import "C"

import (
	"errors"
	"unsafe"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

//export GoInstanceID
func GoInstanceID() uint64 { return samebytes.InstanceID() }

//export GoLiveBlocks
func GoLiveBlocks() int64 { return samebytes.MemoryLiveBlocks() }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// same tells what all bytes of data are; -1 if they differ.
func same(data []byte) int {
	for _, each := range data {
		if each != data[0] {
			return -1
		}
	}
	return int(data[0])
}

func fill(data []byte, number byte) []byte {
	for i := range data {
		data[i] = number
	}
	return data
}

//export GoMakeBlock
func GoMakeBlock(size int) unsafe.Pointer {
	memory := must(samebytes.OpenMemoryDefault())
	defer memory.Close()
	return must(must(memory.GetBlock(size)).Detach())
}

//export GoWriteBlock
func GoWriteBlock(address unsafe.Pointer, number byte) unsafe.Pointer {
	block := must(samebytes.AdoptBlock(address))
	fill(block.Data(), number)
	return must(block.Detach())
}

//export GoReadBlock
func GoReadBlock(address unsafe.Pointer) int {
	block := must(samebytes.AdoptBlock(address))
	defer block.Detach()
	return same(block.Data())
}

//export GoCloseBlock
func GoCloseBlock(address unsafe.Pointer) { must(samebytes.AdoptBlock(address)).Close() }

//export GoMakeView
func GoMakeView(size int) unsafe.Pointer {
	return must(must(samebytes.NewView(make([]byte, size), nil)).Detach())
}

// A view's bytes do not change, so to write is to append, and to skip what was there.
//
//export GoWriteView
func GoWriteView(address unsafe.Pointer, number byte) unsafe.Pointer {
	view := must(samebytes.AdoptView(address))
	size := view.Size()
	more := must(samebytes.NewView(fill(make([]byte, size), number), nil))
	defer more.Close()
	if err := view.Append(more); err != nil {
		panic(err)
	}
	if err := view.Skip(size); err != nil {
		panic(err)
	}
	return must(view.Detach())
}

//export GoReadView
func GoReadView(address unsafe.Pointer) int {
	view := must(samebytes.AdoptView(address))
	defer view.Detach()
	return same(must(view.Bytes()))
}

//export GoCloseView
func GoCloseView(address unsafe.Pointer) { must(samebytes.AdoptView(address)).Close() }

//export GoMakeBuf
func GoMakeBuf(size int) unsafe.Pointer {
	buf := must(samebytes.NewBuf(nil))
	if err := buf.Reserve(size); err != nil {
		panic(err)
	}
	return must(buf.Detach())
}

//export GoWriteBuf
func GoWriteBuf(address unsafe.Pointer, number byte) unsafe.Pointer {
	buf := must(samebytes.AdoptBuf(address))
	if err := buf.PutRepeated(number, buf.Room()); err != nil {
		panic(err)
	}
	return must(buf.Detach())
}

//export GoReadBuf
func GoReadBuf(address unsafe.Pointer) int {
	buf := must(samebytes.AdoptBuf(address))
	defer buf.Detach()
	view := must(buf.Peek())
	defer view.Close()
	return same(must(view.Bytes()))
}

//export GoCloseBuf
func GoCloseBuf(address unsafe.Pointer) { must(samebytes.AdoptBuf(address)).Close() }

// To write to a pool is to get a block and fill it; to read is to get the same one again, which was put meanwhile.
//
//export GoMakePool
func GoMakePool(size int) unsafe.Pointer {
	classes := []samebytes.PoolClass{{BlockSize: uint32(size), KeptMax: 20}}
	return must(must(samebytes.NewPool(&samebytes.PoolOptions{Classes: classes})).Detach())
}

//export GoWritePool
func GoWritePool(address unsafe.Pointer, number byte) unsafe.Pointer {
	pool := must(samebytes.AdoptPool(address))
	if err := pool.Put(fill(must(pool.Get(5000)), number)); err != nil {
		panic(err)
	}
	return must(pool.Detach())
}

//export GoReadPool
func GoReadPool(address unsafe.Pointer) int {
	pool := must(samebytes.AdoptPool(address))
	data := must(pool.Get(5000))
	found := same(data)
	if err := pool.Put(data); err != nil {
		panic(err)
	}
	must(pool.Detach())
	return found
}

//export GoClosePool
func GoClosePool(address unsafe.Pointer) { must(samebytes.AdoptPool(address)).Close() }

// GoRefused adopts what another image made, and returns how the error reads.
//
//export GoRefused
func GoRefused(block, view, buf, pool unsafe.Pointer) *C.char {
	_, first := samebytes.AdoptBlock(block)
	_, second := samebytes.AdoptView(view)
	_, third := samebytes.AdoptBuf(buf)
	_, fourth := samebytes.AdoptPool(pool)
	text := ""
	for _, err := range []error{first, second, third, fourth} {
		if !errors.Is(err, samebytes.ErrUnsupported) {
			panic(err)
		}
		text += err.Error() + "\\n"
	}
	return C.CString(text)
}

func main() {}
"""

LOAD = """\
import ctypes, itertools, sys

# First: the image that Go is linked to is the one that Python finds loaded.
go = ctypes.CDLL(sys.argv[1])
go.GoInstanceID.restype = ctypes.c_uint64
go.GoLiveBlocks.restype = ctypes.c_int64
go.GoRefused.restype = ctypes.c_char_p
go.GoRefused.argtypes = [ctypes.c_void_p] * 4
for kind in ("Block", "View", "Buf", "Pool"):
    for verb, result, arguments in (
        ("Make", ctypes.c_void_p, [ctypes.c_ssize_t]),
        ("Write", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_ubyte]),
        ("Read", ctypes.c_ssize_t, [ctypes.c_void_p]),
        ("Close", None, [ctypes.c_void_p]),
    ):
        function = getattr(go, f"Go{verb}{kind}")
        function.restype, function.argtypes = result, arguments

import samebytes
from samebytes import _layer_cffi, _layer_ctypes
"""

EXCHANGE = (
    LOAD
    + """

class Go:
    def __init__(self, kind):
        self.make, self.write, self.read, self.close = (
            getattr(go, f"Go{verb}{kind}") for verb in ("Make", "Write", "Read", "Close")
        )


def same(data):
    found = set(data)
    return found.pop() if len(found) == 1 else -1


class Layer:
    def __init__(self, layer):
        self.layer = layer


class Block(Layer):
    def make(self, size):
        memory = self.layer.sb_memory_open_default()
        block = self.layer.sb_memory_get_block(memory, size)
        self.layer.sb_memory_close(memory)
        return block

    def write(self, block, number):
        self.layer.write_bytes(self.layer.sb_block_data(block), bytes([number]) * self.layer.sb_block_size(block))
        return block

    def read(self, block):
        return same(self.layer.read_bytes(self.layer.sb_block_data(block), self.layer.sb_block_size(block)))

    def close(self, block):
        self.layer.sb_block_close(block)


class View(Layer):
    def make(self, size):
        return self.layer.sb_view_open(bytes(size), None)

    def write(self, view, number):
        size = self.layer.sb_view_size(view)
        more = self.layer.sb_view_open(bytes([number]) * size, None)
        self.layer.sb_view_append(view, more)
        self.layer.sb_view_close(more)
        self.layer.sb_view_skip(view, size)
        return view

    def read(self, view):
        return same(self.layer.read_bytes(*self.layer.sb_view_span(view, 0)))

    def close(self, view):
        self.layer.sb_view_close(view)


class Buf(Layer):
    def make(self, size):
        buf = self.layer.sb_buf_open(None)
        self.layer.sb_buf_reserve(buf, size)
        return buf

    def write(self, buf, number):
        self.layer.sb_buf_put_repeated(buf, number, self.layer.sb_buf_room(buf))
        return buf

    def read(self, buf):
        view = self.layer.sb_buf_peek(buf)
        try:
            return same(self.layer.read_bytes(*self.layer.sb_view_span(view, 0)))
        finally:
            self.layer.sb_view_close(view)

    def close(self, buf):
        self.layer.sb_buf_close(buf)


class Pool(Layer):
    def make(self, size):
        return samebytes.Pool(classes=[(size, 20)]).detach()

    def write(self, pool, number):
        data = self.layer.sb_pool_get(pool, 5000)
        self.layer.write_bytes(data, bytes([number]) * 5000)
        self.layer.sb_pool_put(pool, data)
        return pool

    def read(self, pool):
        data = self.layer.sb_pool_get(pool, 5000)
        try:
            return same(self.layer.read_bytes(data, 5000))
        finally:
            self.layer.sb_pool_put(pool, data)

    def close(self, pool):
        self.layer.sb_pool_close(pool)


assert go.GoInstanceID() == _layer_cffi.sb_instance_id() == _layer_ctypes.sb_instance_id()
for kind in (Block, View, Buf, Pool):
    sides = [Go(kind.__name__), kind(_layer_cffi), kind(_layer_ctypes)]
    orders = 0
    for maker, writer, reader, closer in itertools.product(sides, repeat=4):
        handle = maker.make(5000)
        orders += 1
        handle = writer.write(handle, orders)
        assert reader.read(handle) == orders
        assert go.GoLiveBlocks() == _layer_cffi.sb_memory_live_blocks() == (kind is not Pool)
        closer.close(handle)
    assert go.GoLiveBlocks() == _layer_ctypes.sb_memory_live_blocks() == 0
    print(orders)
"""
)

TWO_IMAGES = (
    LOAD
    + """
assert go.GoInstanceID() != _layer_cffi.sb_instance_id() == _layer_ctypes.sb_instance_id()
for kind in ("Block", "View", "Buf", "Pool"):
    handle = getattr(go, f"GoMake{kind}")(5000)
    try:
        getattr(samebytes, kind).adopt(handle)
    except samebytes.UnsupportedError as error:
        print(error)
    getattr(go, f"GoClose{kind}")(handle)
with samebytes.Pool() as pool, pool.get_block(10) as block, samebytes.View(b"some") as view, samebytes.Buf() as buf:
    buf.write(b"some")
    print(go.GoRefused(block.address, view.address, buf.address, pool.address).decode(), end="")
    assert bytes(view) == b"some"
assert go.GoLiveBlocks() == samebytes.memory_live_blocks() == 0
"""
)


def library_of_go(installed: Path, folder: Path, *tags: str) -> tuple[Path, dict[str, str]]:
    consumer = consumer_of_tree(folder, LIBRARY)
    settings = shared_settings(installed)
    run("go", "build", *tags, "-buildmode=c-shared", "-o", "libbeside.so", ".", cwd=consumer, **settings)
    return consumer / "libbeside.so", settings


def python_of_tree() -> Path | str:
    python = ROOT / "build/venv/bin/python"
    return python if python.exists() else sys.executable


def test_one_pool_serves_go_cffi_and_ctypes_in_every_order(installed: Path, tmp_path: Path) -> None:
    library, settings = library_of_go(installed, tmp_path / "beside", "-tags", "samebytes_shared")
    found = run(python_of_tree(), "-c", EXCHANGE, library, **settings)
    assert found.split() == [str(3**4)] * 4


def test_go_with_an_image_of_its_own_and_python_refuse_each_others_handles(installed: Path, tmp_path: Path) -> None:
    library, settings = library_of_go(installed, tmp_path / "apart")
    said = run(python_of_tree(), "-c", TWO_IMAGES, library, **settings).splitlines()
    assert len(said) == 8
    for line, kind in zip(said, ("block", "view", "buf", "pool") * 2, strict=True):
        assert f"a second image of libsamebytes: this {kind} was made by" in line
        assert "libbeside.so" in line
        assert "libsamebytes.so.1" in line
    assert all("libbeside.so, while this image is" in line for line in said[:4])
    assert all("libsamebytes.so.1, while this image is" in line for line in said[4:])
