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
	view := mustOpen[*View](t)(OpenViewBlock(mustOpen[*Block](t)(AdoptBlock(address)), 8))
	address, err = view.Detach()
	if err != nil {
		t.Fatal(err)
	}
	view = mustOpen[*View](t)(AdoptView(address))
	if data, err := view.Bytes(); err != nil || string(data) != "detached" {
		t.Errorf("the view shows %q, %v", data, err)
	}
	view.Close()
	address, err = memory.Detach()
	if err != nil {
		t.Fatal(err)
	}
	mustOpen[*Memory](t)(AdoptMemory(address)).Close()
	if _, err := AdoptBlock(nil); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("no address: %v", err)
	}
	if _, err := (*View)(nil).Detach(); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("nil: %v", err)
	}
	if live := MemoryLiveBlocks(); live != before {
		t.Errorf("%d blocks are out, before %d", live, before)
	}
}

func TestBufsAndPoolsAreDetachedAndAdopted(t *testing.T) {
	buf := mustOpen[*Buf](t)(NewBuf(nil))
	if _, err := buf.Write([]byte("detached")); err != nil {
		t.Fatal(err)
	}
	address, err := buf.Detach()
	if err != nil {
		t.Fatal(err)
	}
	if buf.Close(); buf.Room() != 0 {
		t.Error("a detached buf is still one")
	}
	buf = mustOpen[*Buf](t)(AdoptBuf(address))
	if buf.Size() != 8 {
		t.Errorf("the buf has %d bytes", buf.Size())
	}
	buf.Close()
	pool := mustOpen[*Pool](t)(NewPool(nil))
	data, err := pool.Get(100)
	if err != nil {
		t.Fatal(err)
	}
	if address, err = pool.Detach(); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Get(100); !errors.Is(err, ErrClosed) {
		t.Errorf("a detached pool: %v", err)
	}
	pool = mustOpen[*Pool](t)(AdoptPool(address))
	if err := pool.Put(data); err != nil {
		t.Error(err)
	}
	pool.Close()
	if _, err := AdoptPool(nil); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("no address: %v", err)
	}
	if _, err := AdoptBuf(nil); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("no address: %v", err)
	}
}
