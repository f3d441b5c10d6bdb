//go:build cgo

package samebytes

import "unsafe"

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
