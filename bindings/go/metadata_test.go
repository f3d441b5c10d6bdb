//go:build cgo

package samebytes

import (
	"errors"
	"testing"
	"unsafe"
)

func mustOpen[T any](t *testing.T) func(T, error) T {
	return func(object T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return object
	}
}

func TestMetadataTravelsWithEverySlice(t *testing.T) {
	memory := mustOpen[*Memory](t)(OpenMemoryFixed(4))
	defer memory.Close()
	anchor := unsafe.Pointer(memory.object) // any address that is not Go's
	blocks := make([]*Block, 2)
	for i := range blocks {
		blocks[i] = mustOpen[*Block](t)(memory.GetBlock(4))
		if err := blocks[i].SetMetadata(uint64(i+1), anchor); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := BufFromBlocks([]*Block{blocks[0], blocks[1], blocks[0]}, memory); !errors.Is(err, ErrInvalidArgument) {
		t.Fatalf("a block that stands there twice: %v", err)
	}
	buf := mustOpen[*Buf](t)(BufFromBlocks(blocks, memory))
	defer buf.Close()
	if _, _, err := blocks[0].GetMetadata(); !errors.Is(err, ErrClosed) {
		t.Fatalf("a block that was taken over: %v", err)
	}
	if err := buf.Put([]byte("01234567")); err != nil {
		t.Fatal(err)
	}
	view := mustOpen[*View](t)(buf.Take(8))
	defer view.Close()
	middle := mustOpen[*View](t)(view.Range(3, 3))
	defer middle.Close()
	for i := range 2 {
		key, metadata, err := middle.SpanMetadata(i)
		if err != nil || key != uint64(i+1) || metadata != anchor {
			t.Errorf("span %d: key %d, metadata %v, %v", i, key, metadata, err)
		}
	}
	if _, _, err := view.SpanMetadata(2); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("a span that is not there: %v", err)
	}
}

func TestABlockWithOtherOwnersIsNoBufsAndKeepsItsMetadata(t *testing.T) {
	memory := mustOpen[*Memory](t)(OpenMemoryHeap())
	defer memory.Close()
	first, second := mustOpen[*Block](t)(memory.GetBlock(8)), mustOpen[*Block](t)(memory.GetBlock(8))
	defer first.Close()
	defer second.Close()
	other := mustOpen[*Block](t)(second.Retain())
	if _, err := BufFromBlocks([]*Block{first, second}, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("a block with two owners: %v", err)
	}
	if err := second.SetMetadata(1, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("metadata of a block with two owners: %v", err)
	}
	other.Close()
	if _, err := BufFromBlocks([]*Block{first, nil}, nil); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("nil as a block: %v", err)
	}
	if first.Size() != 8 || second.Size() != 8 {
		t.Error("a failed call closed the blocks")
	}
}

func TestWhatHoldsMemoryTellsItsProvider(t *testing.T) {
	memory := mustOpen[*Memory](t)(OpenMemoryHeap())
	defer memory.Close()
	block := mustOpen[*Block](t)(memory.GetBlock(1))
	defer block.Close()
	builder := mustOpen[*Builder](t)(NewBuilder(memory))
	defer builder.Close()
	schema := mustOpen[*Schema](t)(EchoRequestSchema())
	defer schema.Close()
	parser := mustOpen[*Parser](t)(NewParser([]*Schema{schema}, &ParserOptions{Memory: memory}))
	defer parser.Close()
	for name, tell := range map[string]func() (*Memory, error){"Block": block.Memory, "Builder": builder.Memory, "Parser": parser.Memory} {
		found := mustOpen[*Memory](t)(tell())
		if found.object != memory.object {
			t.Errorf("%s.Memory is another provider", name)
		}
		found.Close()
	}
}
