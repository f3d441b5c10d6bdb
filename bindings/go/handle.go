//go:build cgo

package samebytes

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

// handle is the part of every class that knows its C object and who uses it. users counts the calls that are inside; the bit closed says
// that Close was called, so that no call may begin and the last one inside destroys; the bit taken says that a C function is taking the
// object over. Invariant: the object is destroyed exactly once, when users becomes closed with no call inside, or was taken over.
type handle struct {
	object  unsafe.Pointer
	users   atomic.Int64
	destroy func(unsafe.Pointer)
	cleanup runtime.Cleanup
}

const (
	closed = int64(1) << 62
	taken  = int64(1) << 61
)

// own makes h, which lies in owner, the owner of object. When owner becomes garbage without Close, the object is destroyed then.
func own[T any](owner *T, h *handle, object unsafe.Pointer, destroy func(unsafe.Pointer)) {
	h.object, h.destroy = object, destroy
	h.cleanup = runtime.AddCleanup(owner, destroy, object)
}

// enter begins a call; leave must follow. As leave uses h, the garbage collector cannot destroy the object in between.
func (h *handle) enter(op string) (unsafe.Pointer, error) {
	for {
		users := h.users.Load()
		if err := h.refused(op, users); err != nil {
			return nil, err
		}
		if h.users.CompareAndSwap(users, users+1) {
			return h.object, nil
		}
	}
}

func (h *handle) refused(op string, users int64) error {
	switch {
	case users&closed != 0 || h.object == nil:
		return &Error{Status: ErrClosed, Frame: NoFrame, op: op}
	case users&taken != 0:
		return &Error{Status: ErrBusy, Frame: NoFrame, op: op, Message: "another call is taking the object over"}
	}
	return nil
}

func (h *handle) leave() {
	if h.users.Add(-1) == closed {
		h.end()
	}
}

// take begins a call that takes the object over: nobody else may be inside.
func (h *handle) take(op string) (unsafe.Pointer, error) {
	if h.users.CompareAndSwap(0, taken) && h.object != nil {
		return h.object, nil
	}
	if err := h.refused(op, h.users.Load()); err != nil {
		return nil, err
	}
	return nil, &Error{Status: ErrBusy, Frame: NoFrame, op: op, Message: "another goroutine uses the object"}
}

// taken ends what take began.
func (h *handle) taken(success bool) {
	if success {
		h.cleanup.Stop()
		h.users.Store(closed)
	} else if h.users.Add(-taken) == closed { // closed meanwhile
		h.end()
	}
}

func (h *handle) close() {
	if h.users.Or(closed) == 0 && h.object != nil {
		h.end()
	}
}

// end destroys the object, which nobody uses any more.
func (h *handle) end() {
	h.cleanup.Stop()
	h.destroy(h.object)
	ReleaseForeign()
}

// holder keeps what a C structure points to in place, and its handles open, until the C function returns.
type holder struct {
	pinner  runtime.Pinner
	handles []*handle
}

func (h *holder) release() {
	for _, entered := range h.handles {
		entered.leave()
	}
	h.pinner.Unpin()
}

// pin lets C memory point to Go memory until release. Addresses of C memory may be passed as well.
func (h *holder) pin(address unsafe.Pointer) unsafe.Pointer {
	if address != nil {
		h.pinner.Pin(address)
	}
	return address
}
