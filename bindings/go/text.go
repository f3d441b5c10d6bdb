//go:build cgo

package samebytes

// #include <stddef.h>
import "C"

import (
	"strings"
	"unsafe"
)

// noBytes stands for an empty slice where C wants an address.
var noBytes [1]byte

// cText copies text with a NUL at its end, as C wants it.
func cText(op, name, text string) ([]byte, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return nil, refuse(op, name+" contains a NUL byte")
	}
	return append([]byte(text), 0), nil
}

// text is cText for a field of a structure.
func (h *holder) text(op, name, text string) (*C.char, error) {
	data, err := cText(op, name, text)
	if err != nil {
		return nil, err
	}
	return (*C.char)(h.pin(unsafe.Pointer(unsafe.SliceData(data)))), nil
}

// goSlice copies an array of C structures.
func goSlice[C, Go any](items []C, convert func(*C) Go) []Go {
	copies := make([]Go, len(items))
	for i := range items {
		copies[i] = convert(&items[i])
	}
	return copies
}
