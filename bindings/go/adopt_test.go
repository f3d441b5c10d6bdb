//go:build cgo

package samebytes

import (
	"errors"
	"testing"
)

func TestADetachedHandleIsOwnedByWhoAdoptsIt(t *testing.T) {
	before := MemoryLiveBlocks()
	memory := mustOpen[*Memory](t)(OpenMemoryHeap())
	block := mustOpen[*Block](t)(memory.GetBlock(8))
	copy(block.Data(), "detached")
	address, err := block.Detach()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := block.Detach(); !errors.Is(err, ErrClosed) {
		t.Errorf("detached twice: %v", err)
	}
	block.Close() // nothing any more
	view := mustOpen[*View](t)(OpenViewBlock(AdoptBlock(address), 8))
	address, err = view.Detach()
	if err != nil {
		t.Fatal(err)
	}
	view = AdoptView(address)
	if data, err := view.Bytes(); err != nil || string(data) != "detached" {
		t.Errorf("the view shows %q, %v", data, err)
	}
	view.Close()
	address, err = memory.Detach()
	if err != nil {
		t.Fatal(err)
	}
	AdoptMemory(address).Close()
	if _, err := (*View)(nil).Detach(); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("nil: %v", err)
	}
	if live := MemoryLiveBlocks(); live != before {
		t.Errorf("%d blocks are out, before %d", live, before)
	}
}
