//go:build cgo

package samebytes

/*
#include <samebytes/samebytes.h>
*/
import "C"

import (
	"fmt"
	"log"
	"runtime"
	"runtime/cgo"
	"runtime/debug"
	"unsafe"
)

// Provider gives memory to the library, as a Memory that OpenMemoryCallback makes. Its methods are called on any goroutine or thread that
// needs memory, several at the same time, and must not use the object that needs it. What they panic with becomes an error of
// Reserve; from Release and Retire, which nobody waits for, it is logged.
type Provider interface {
	// Reserve adds blocks of minBytes bytes in total, or more, to sink. ErrNoMemory stays what it is for whoever needed the memory, other
	// errors become ErrProvider; Memory.GetFailure tells their text.
	Reserve(minBytes int, sink *Sink) error
	// Release takes a block back, by the token that it was added with, once for each block, also for those that a failed Reserve added. It
	// is called later than the block was closed: when such a provider is asked again or opened, or by MemoryDrain. Close, of a block as of
	// the Memory, never calls it (in Python, Memory.close does): call MemoryDrain after the last Close.
	Release(token uint64)
	// Retire is called last, when no handle and no block is left; as late as Release.
	Retire()
}

// Sink is where Reserve puts blocks. It is valid until Reserve returns.
type Sink struct {
	sink     unsafe.Pointer
	provider Provider
}

// given is a block that the library has.
type given struct {
	provider Provider
	token    uint64
	pinner   runtime.Pinner
}

// Add adds size bytes at data, which is no memory of Go, with a metadata key that its slices will have.
//
//   - Ownership: the memory is the library's until Release gets token.
//   - Errors: ErrInvalidArgument when data is nil or size is not above 0; ErrTooLarge above BlockSizeMax; ErrNoMemory.
func (s *Sink) Add(data unsafe.Pointer, size int, token, key uint64) error {
	return s.add("Sink.Add", &given{provider: s.provider, token: token}, data, size, key)
}

// AddBytes adds a slice of Go memory, which is pinned until Release gets token. Otherwise it is Add.
func (s *Sink) AddBytes(data []byte, token, key uint64) error {
	if len(data) == 0 {
		return refuse("Sink.AddBytes", "a block has at least one byte")
	}
	block := &given{provider: s.provider, token: token}
	block.pinner.Pin(unsafe.SliceData(data))
	err := s.add("Sink.AddBytes", block, unsafe.Pointer(unsafe.SliceData(data)), len(data), key)
	if err != nil {
		block.pinner.Unpin()
	}
	return err
}

func (s *Sink) add(op string, block *given, data unsafe.Pointer, size int, key uint64) error {
	if s.sink == nil {
		return refuse(op, "Reserve has returned")
	}
	if size < 0 {
		return refuse(op, "size is negative")
	}
	handle := cgo.NewHandle(block)
	status := C.sb_sink_add(s.sink, data, C.size_t(size), *(*unsafe.Pointer)(unsafe.Pointer(&handle)), C.uint64_t(key), nil)
	if status != 0 {
		handle.Delete()
		return failure(op, status)
	}
	return nil
}

//export samebytesProviderReserve
func samebytesProviderReserve(context C.uintptr_t, minBytes C.size_t, sink unsafe.Pointer) (status C.sb_status) {
	s := &Sink{sink: sink, provider: cgo.Handle(context).Value().(Provider)}
	defer func() {
		if reason := recover(); reason != nil {
			s.say(fmt.Sprintf("panic: %v", reason))
			status = C.SB_PROVIDER
		}
		s.sink = nil
	}()
	if err := s.provider.Reserve(int(minBytes), s); err != nil {
		s.say(err.Error())
		if isNoMemory(err) {
			return C.SB_NO_MEMORY
		}
		return C.SB_PROVIDER
	}
	return C.SB_OK
}

func (s *Sink) say(message string) {
	text := C.CString(message)
	C.sb_sink_refuse(s.sink, text)
	freeText(text)
}

// logPanic ends a panic that cannot reach anybody: C must not be unwound, and has no error to return.
func logPanic(where string) {
	if value := recover(); value != nil {
		log.Printf("samebytes: panic in %s: %v\n%s", where, value, debug.Stack())
	}
}

//export samebytesProviderRelease
func samebytesProviderRelease(token C.uintptr_t) {
	defer logPanic("Provider.Release")
	handle := cgo.Handle(token)
	block := handle.Value().(*given)
	handle.Delete()
	block.pinner.Unpin()
	block.provider.Release(block.token)
}

//export samebytesProviderRetire
func samebytesProviderRetire(context C.uintptr_t) {
	defer logPanic("Provider.Retire")
	handle := cgo.Handle(context)
	provider := handle.Value().(Provider)
	handle.Delete()
	provider.Retire()
}
