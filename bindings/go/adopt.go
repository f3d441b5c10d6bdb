//go:build cgo

package samebytes

// #include <samebytes/samebytes.h>
import "C"

import "unsafe"

// Handles go from one language to another in one process as addresses. Both must use one image of the library (CheckInstance), which a Go program
// does with the build tag samebytes_shared. Detach gives a handle up without closing it; Adopt makes an object that owns it.

// AdoptMemory makes a Memory that owns the handle at address, as another language detached it or a C function gave it.
func AdoptMemory(address unsafe.Pointer) *Memory { return newMemory((*C.sb_memory)(address)) }

// AdoptBlock makes a Block that owns the handle at address, as another language detached it or a C function gave it.
func AdoptBlock(address unsafe.Pointer) *Block { return newBlock((*C.sb_block)(address)) }

// AdoptView makes a View that owns the handle at address, as another language detached it or a C function gave it.
func AdoptView(address unsafe.Pointer) *View { return newView((*C.sb_view)(address)) }

// Detach gives the handle up without closing it, and returns its address: whoever takes it over closes it.
func (m *Memory) Detach() (unsafe.Pointer, error) {
	if m == nil {
		return nil, refuse("Memory.Detach", "Memory is nil")
	}
	return m.detach("Memory.Detach")
}

// Detach gives the handle up without closing it, and returns its address: whoever takes it over closes it.
func (b *Block) Detach() (unsafe.Pointer, error) {
	if b == nil {
		return nil, refuse("Block.Detach", "Block is nil")
	}
	return b.detach("Block.Detach")
}

// Detach gives the handle up without closing it, and returns its address: whoever takes it over closes it.
func (v *View) Detach() (unsafe.Pointer, error) {
	if v == nil {
		return nil, refuse("View.Detach", "View is nil")
	}
	return v.detach("View.Detach")
}

// detach ends this object's ownership.
func (h *handle) detach(op string) (unsafe.Pointer, error) {
	object, err := h.take(op)
	if err == nil {
		h.taken(true)
	}
	return object, err
}
