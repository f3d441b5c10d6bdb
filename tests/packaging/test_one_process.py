"""Go, CFFI and ctypes in one process share one image and its pool: a block that one made is written by the second, read by the third, and
closed by another, in every order.
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
	"unsafe"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

//export GoInstanceID
func GoInstanceID() uint64 { return samebytes.InstanceID() }

//export GoMake
func GoMake(size int) unsafe.Pointer {
	memory, err := samebytes.OpenMemoryDefault()
	if err != nil {
		panic(err)
	}
	defer memory.Close()
	block, err := memory.GetBlock(size)
	if err != nil {
		panic(err)
	}
	address, err := block.Detach()
	if err != nil {
		panic(err)
	}
	return address
}

//export GoWrite
func GoWrite(address unsafe.Pointer, number byte) {
	block := samebytes.AdoptBlock(address)
	data := block.Data()
	for i := range data {
		data[i] = number
	}
	keep(block)
}

//export GoRead
func GoRead(address unsafe.Pointer) int {
	block := samebytes.AdoptBlock(address)
	defer keep(block)
	data := block.Data()
	for _, each := range data {
		if each != data[0] {
			return -1
		}
	}
	return int(data[0])
}

//export GoClose
func GoClose(address unsafe.Pointer) { samebytes.AdoptBlock(address).Close() }

//export GoLiveBlocks
func GoLiveBlocks() int64 { return samebytes.MemoryLiveBlocks() }

func keep(block *samebytes.Block) {
	if _, err := block.Detach(); err != nil {
		panic(err)
	}
}

func main() {}
"""

EXCHANGE = """\
import ctypes, itertools, sys

# First: the image that Go is linked to is the one that Python finds loaded.
go = ctypes.CDLL(sys.argv[1])
go.GoInstanceID.restype = ctypes.c_uint64
go.GoLiveBlocks.restype = ctypes.c_int64
go.GoMake.restype = ctypes.c_void_p
go.GoMake.argtypes = [ctypes.c_ssize_t]
go.GoWrite.argtypes = [ctypes.c_void_p, ctypes.c_ubyte]
go.GoRead.argtypes = [ctypes.c_void_p]
go.GoRead.restype = ctypes.c_ssize_t
go.GoClose.argtypes = [ctypes.c_void_p]

from samebytes import _layer_cffi, _layer_ctypes


class Go:
    make, write, read, close = go.GoMake, go.GoWrite, go.GoRead, go.GoClose


class Layer:
    def __init__(self, layer):
        self.layer = layer

    def make(self, size):
        memory = self.layer.sb_memory_open_default()
        block = self.layer.sb_memory_get_block(memory, size)
        self.layer.sb_memory_close(memory)
        return block

    def write(self, block, number):
        self.layer.write_bytes(self.layer.sb_block_data(block), bytes([number]) * self.layer.sb_block_size(block))

    def read(self, block):
        found = set(self.layer.read_bytes(self.layer.sb_block_data(block), self.layer.sb_block_size(block)))
        return found.pop() if len(found) == 1 else -1

    def close(self, block):
        self.layer.sb_block_close(block)


assert go.GoInstanceID() == _layer_cffi.sb_instance_id() == _layer_ctypes.sb_instance_id()
sides = [Go, Layer(_layer_cffi), Layer(_layer_ctypes)]
orders = 0
for maker, writer, reader, closer in itertools.product(sides, repeat=4):
    block = maker.make(5000)
    orders += 1
    writer.write(block, orders)
    assert reader.read(block) == orders
    assert go.GoLiveBlocks() == _layer_cffi.sb_memory_live_blocks() == 1
    closer.close(block)
assert go.GoLiveBlocks() == _layer_ctypes.sb_memory_live_blocks() == 0
print(orders)
"""


def test_one_pool_serves_go_cffi_and_ctypes_in_every_order(installed: Path, tmp_path: Path) -> None:
    folder = consumer_of_tree(tmp_path / "beside", LIBRARY)
    settings = shared_settings(installed)
    build = ("go", "build", "-tags", "samebytes_shared", "-buildmode=c-shared", "-o", "libbeside.so", ".")
    run(*build, cwd=folder, **settings)
    python = ROOT / "build/venv/bin/python"
    found = run(python if python.exists() else sys.executable, "-c", EXCHANGE, folder / "libbeside.so", **settings)
    assert found.split() == [str(3**4)]
