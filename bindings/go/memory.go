//go:build cgo

package samebytes

import (
	"errors"
	"unsafe"
)

// Put puts data, which Get handed out, back. Class and pool are found from the address, so any part of the block that starts where it
// starts will do. It works after Close as well, and on a nil Pool.
//
// Ownership: data is taken over, unless an error is returned: it must not be used any more.
// Threads: any, also another than the one that got it.
// Errors: ErrInvalidArgument when data is empty, is no block of this pool, or has been put back already.
// Since: 1.0
func (p *Pool) Put(data []byte) error {
	address := unsafe.Pointer(unsafe.SliceData(data))
	if cap(data) == 0 {
		address = nil // the address of an empty slice is none
	}
	err := p.put(address)
	if errors.Is(err, ErrClosed) {
		err = (*Pool)(nil).put(address)
	}
	return err
}

// Data returns the bytes of the block without copying. Nobody else may write to them while others read. After Close it returns nil.
//
// Ownership: valid until the last owner closes the block. The slice does not keep the block alive: use runtime.KeepAlive(block), or
// Close it, after the last use of the slice.
// Threads: any.
// Errors: none.
// Since: 1.0
func (b *Block) Data() []byte {
	if _, err := b.enter("Block.Data"); err != nil {
		return nil
	}
	defer b.leave()
	return unsafe.Slice((*byte)(b.data()), b.Size())
}

// Bytes returns a copy of all bytes of the view.
func (v *View) Bytes() ([]byte, error) {
	if _, err := v.enter("View.Bytes"); err != nil {
		return nil, err
	}
	defer v.leave()
	data := make([]byte, v.Size())
	return data, v.CopyBytes(0, data)
}

// Spans returns the pieces of the view without copying. They must not be written to.
//
// They are valid until the view is changed or closed, and do not keep it alive: use runtime.KeepAlive(view), or Close it, after the last
// use of the slices.
func (v *View) Spans() ([][]byte, error) {
	if _, err := v.enter("View.Spans"); err != nil {
		return nil, err
	}
	defer v.leave()
	spans := make([][]byte, v.SpanCount())
	for i := range spans {
		span, err := v.Span(i)
		if err != nil {
			return nil, err
		}
		spans[i] = span
	}
	return spans, nil
}
