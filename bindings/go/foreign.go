//go:build cgo

package samebytes

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Slices of Go that views show. They are pinned meanwhile. C calls nothing when the last view of one is gone, because that may happen in any
// call: it notes that in a lender, which is asked whenever an object is closed.
var foreign struct {
	lent   atomic.Int64 // pinned slices; above 0 only after lender is there
	lock   sync.Mutex
	lender *Lender
	pinned map[uint64]*runtime.Pinner
	next   uint64
}

// OpenViewForeign makes a view of data without copying it. Nobody may write to data until the last view of any of its bytes has been closed;
// it is pinned until then, and is let go when the next object is closed, or by ReleaseForeign.
//
// Ownership: the caller closes the view; data is kept alive by it.
// Threads: any.
// Errors: ErrNoMemory; data is not kept then.
// Since: 1.0
func OpenViewForeign(data []byte) (*View, error) {
	ReleaseForeign()
	foreign.lock.Lock()
	defer foreign.lock.Unlock()
	if foreign.lender == nil {
		lender, err := NewLender()
		if err != nil {
			return nil, err
		}
		foreign.lender, foreign.pinned = lender, make(map[uint64]*runtime.Pinner)
	}
	pinner := new(runtime.Pinner)
	if len(data) > 0 {
		pinner.Pin(unsafe.SliceData(data))
	} else {
		data = noBytes[:0]
	}
	foreign.next++
	view, err := foreign.lender.Lend(unsafe.Pointer(unsafe.SliceData(data)), len(data), foreign.next)
	if err != nil {
		pinner.Unpin()
		return nil, err
	}
	foreign.pinned[foreign.next] = pinner
	foreign.lent.Add(1)
	return view, nil
}

// ReleaseForeign lets go of the slices given to OpenViewForeign that no view shows any more, and returns how many still are shown. Closing
// any object does the same, so it is needed only where views go in other ways: by skipping their bytes, by another language, or by the
// garbage collector.
func ReleaseForeign() int {
	if foreign.lent.Load() == 0 {
		return 0
	}
	foreign.lock.Lock()
	defer foreign.lock.Unlock()
	for {
		token, err := foreign.lender.Take()
		if err != nil {
			if !errors.Is(err, ErrNotFound) {
				panic(err) // the lender is never closed
			}
			return int(foreign.lent.Load())
		}
		foreign.pinned[token].Unpin()
		delete(foreign.pinned, token)
		foreign.lent.Add(-1)
	}
}
