//go:build cgo

package samebytes

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// poolState is what a Pool knows besides its handle.
type poolState struct {
	traces atomic.Int32 // 0: not known yet, 1: no, 2: yes
}

// blockAddress is where a block of C begins that data is of.
func blockAddress(data []byte) unsafe.Pointer {
	if cap(data) == 0 {
		return nil // the address of an empty slice is none
	}
	return unsafe.Pointer(unsafe.SliceData(data))
}

// Get returns a block of at least size bytes as a slice of C memory that long. Its content is what the last user left, unless the pool
// zeroes. A pool with the option Trace notes file and line of the caller.
//
// Each call crosses into C; a PoolCache mostly does not.
//
// Ownership: the caller puts data back with Pool.Put.
// Threads: any.
// Errors: ErrInvalidArgument for a size of 0 or below or above BlockSizeMax; ErrNoMemory at the pool's byte limit or the system's end;
// ErrClosed after Close.
// Since: 1.0
func (p *Pool) Get(size int) ([]byte, error) {
	data, err := p.get(size)
	if err == nil && p.tracing() {
		if err = p.tagCaller(data); err != nil {
			return nil, errors.Join(err, p.Put(data))
		}
	}
	return data, err
}

// GetMany returns count blocks of at least size bytes each, all of them or none, in one call into C.
//
// Ownership: the caller puts each back, by Pool.Put or Pool.PutMany, together or one by one.
// Threads: any.
// Errors: as Pool.Get; ErrInvalidArgument for a count below 0 or above PoolManyMax.
// Since: 1.0
func (p *Pool) GetMany(size, count int) ([][]byte, error) {
	addresses, err := p.getMany(size, count)
	if err != nil {
		return nil, err
	}
	blocks := make([][]byte, count)
	for i, address := range addresses {
		blocks[i] = unsafe.Slice((*byte)(address), size)
	}
	if p.tracing() {
		if err = p.tagCaller(blocks...); err != nil {
			return nil, errors.Join(err, p.PutMany(blocks))
		}
	}
	return blocks, nil
}

// Put puts data, which Get handed out, back. Class and pool are found from the address, so any part of the block that starts where it
// starts will do. It works after Close as well, and on a nil Pool.
//
// Ownership: data is taken over, unless an error is returned: it must not be used any more.
// Threads: any, also another than the one that got it.
// Errors: ErrInvalidArgument when data is empty, is no block of this pool, or has been put back already.
// Since: 1.0
func (p *Pool) Put(data []byte) error {
	err := p.put(blockAddress(data))
	if errors.Is(err, ErrClosed) {
		err = (*Pool)(nil).put(blockAddress(data))
	}
	return err
}

// PutMany puts blocks back, all of them or none, in one call into C. They may be of different classes, and if the Pool is nil of different
// pools. It works after Close as well.
//
// Ownership: the blocks are taken over, unless an error is returned.
// Threads: any, also another than the one that got them.
// Errors: as Pool.Put, when any of them is wrong or stands there twice: then all stay out. ErrInvalidArgument for more than PoolManyMax.
// Since: 1.0
func (p *Pool) PutMany(blocks [][]byte) error {
	if len(blocks) > PoolManyMax {
		return refuse("Pool.PutMany", "blocks has too many items")
	}
	addresses := make([]uintptr, len(blocks))
	for i, block := range blocks {
		addresses[i] = uintptr(blockAddress(block))
	}
	err := p.putMany(addresses)
	if errors.Is(err, ErrClosed) {
		err = (*Pool)(nil).putMany(addresses)
	}
	return err
}

// Tag says where the block that data is of was taken, in a pool with the option Trace: GetPlace and Leaks show it. Get says its caller's file
// and line by itself.
//
// Ownership: data stays the caller's.
// Threads: any.
// Errors: ErrUnsupported when the pool does not trace; ErrInvalidArgument when data is no block of this pool that is out; ErrNoMemory.
// Since: 1.0
func (p *Pool) Tag(data []byte, tag string) error {
	return p.tag(blockAddress(data), tag)
}

// Leaks returns the places whose blocks are still out, in a pool with the option Trace.
func (p *Pool) Leaks() ([]PoolPlace, error) {
	var leaks []PoolPlace
	for i := 0; ; i++ {
		place, err := p.GetPlace(i)
		if errors.Is(err, ErrOutOfRange) {
			return leaks, nil
		}
		if err != nil {
			return nil, err
		}
		if place.Blocks > 0 {
			leaks = append(leaks, place)
		}
	}
}

// tracing says whether the pool has the option Trace.
func (p *Pool) tracing() bool {
	if p.traces.Load() == 0 {
		known := int32(2)
		if _, err := p.GetPlace(0); errors.Is(err, ErrUnsupported) {
			known = 1
		}
		p.traces.Store(known)
	}
	return p.traces.Load() == 2
}

// tagCaller tags blocks with who called the function that calls this one. After an error the caller puts them back.
func (p *Pool) tagCaller(blocks ...[]byte) error {
	_, file, line, ok := runtime.Caller(2)
	for _, block := range blocks {
		if err := p.Tag(block, fmt.Sprintf("%s:%d", file, line)); ok && err != nil {
			return err
		}
	}
	return nil
}

// PoolHandlePut puts data back to the pool of a handle of Pool.Handle, also after the pool has been closed.
//
// Ownership: data is taken over, unless an error is returned.
// Threads: any, also while another closes the pool.
// Errors: as Pool.Put; ErrNotFound when there is no such handle.
// Since: 1.0
func PoolHandlePut(handle uint64, data []byte) error {
	return poolHandlePut(handle, blockAddress(data))
}
