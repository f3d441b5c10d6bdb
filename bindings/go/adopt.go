//go:build cgo

package samebytes

// #include <samebytes/samebytes.h>
import "C"

import "unsafe"

// Handles go from one language to another in one process as addresses. Both must use one image of the library, which a Go program does with the
// build tag samebytes_shared. Detach gives a handle up without closing it; Adopt makes an object that owns it.

// AdoptMemory makes a Memory that owns the handle at address, as another language detached it or a C function gave it. It returns an error
// matching ErrUnsupported, and takes nothing over, if a second image of the library made the handle.
func AdoptMemory(address unsafe.Pointer) (*Memory, error) {
	var failure C.sb_error
	if status := C.sb_memory_check_instance((*C.sb_memory)(address), &failure); status != 0 {
		return nil, failureOf("AdoptMemory", status, &failure)
	}
	return newMemory((*C.sb_memory)(address)), nil
}

// AdoptBlock makes a Block that owns the handle at address, as another language detached it or a C function gave it. It returns an error
// matching ErrUnsupported, and takes nothing over, if a second image of the library made the handle.
func AdoptBlock(address unsafe.Pointer) (*Block, error) {
	var failure C.sb_error
	if status := C.sb_block_check_instance((*C.sb_block)(address), &failure); status != 0 {
		return nil, failureOf("AdoptBlock", status, &failure)
	}
	return newBlock((*C.sb_block)(address)), nil
}

// AdoptView makes a View that owns the handle at address, as another language detached it or a C function gave it. It returns an error
// matching ErrUnsupported, and takes nothing over, if a second image of the library made the handle.
func AdoptView(address unsafe.Pointer) (*View, error) {
	var failure C.sb_error
	if status := C.sb_view_check_instance((*C.sb_view)(address), &failure); status != 0 {
		return nil, failureOf("AdoptView", status, &failure)
	}
	return newView((*C.sb_view)(address)), nil
}

// AdoptBuf makes a Buf that owns the handle at address, as another language detached it or a C function gave it. It returns an error matching
// ErrUnsupported, and takes nothing over, if a second image of the library made the handle.
func AdoptBuf(address unsafe.Pointer) (*Buf, error) {
	var failure C.sb_error
	if status := C.sb_buf_check_instance((*C.sb_buf)(address), &failure); status != 0 {
		return nil, failureOf("AdoptBuf", status, &failure)
	}
	return newBuf((*C.sb_buf)(address)), nil
}

// AdoptPool makes a Pool that owns the handle at address, as another language detached it or a C function gave it. It returns an error matching
// ErrUnsupported, and takes nothing over, if a second image of the library made the handle.
func AdoptPool(address unsafe.Pointer) (*Pool, error) {
	var failure C.sb_error
	if status := C.sb_pool_check_instance((*C.sb_pool)(address), &failure); status != 0 {
		return nil, failureOf("AdoptPool", status, &failure)
	}
	return newPool((*C.sb_pool)(address)), nil
}

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

// Detach gives the handle up without closing it, and returns its address: whoever takes it over closes it.
func (b *Buf) Detach() (unsafe.Pointer, error) {
	if b == nil {
		return nil, refuse("Buf.Detach", "Buf is nil")
	}
	return b.detach("Buf.Detach")
}

// Detach gives the handle up without closing it, and returns its address: whoever takes it over closes it. A PoolCache of the pool must have
// been closed.
func (p *Pool) Detach() (unsafe.Pointer, error) {
	if p == nil {
		return nil, refuse("Pool.Detach", "Pool is nil")
	}
	return p.detach("Pool.Detach")
}

// detach ends this object's ownership.
func (h *handle) detach(op string) (unsafe.Pointer, error) {
	object, err := h.take(op)
	if err == nil {
		h.taken(true)
	}
	return object, err
}
