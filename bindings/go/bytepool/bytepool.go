//go:build cgo

// Package bytepool has the names of github.com/octu0/cgobytepool on a pool of samebytes: a program written for that builds with a changed
// import, with its //export shims or without them. Without them, its C code calls bytepool_get, bytepool_put and bytepool_free of the
// library itself, straight in C (core/include/bytepool.h).
//
// What differs is what was a fault there:
//
//   - Sizes of 0 and below, and above samebytes.BlockSizeMax, give nil.
//   - Put finds a block by its address; the size is not used, so a wrong one cannot hand a short block to somebody else.
//   - A second put, a put of nil, and a put of what is no block of the pool do nothing.
//   - After Close, Get gives nil, Put works, and Close may be called again. Blocks that are out stay valid, and the last one that comes
//     back frees the pool.
//   - A handle that was freed, or never was one, and a nil context give nil; nothing panics.
//   - Every block is aligned to 64 bytes, whatever the alignment function returns; one that returns less than it is given is not heeded.
//   - A negative count of a class is 0: the class keeps nothing. A class of 0 bytes or less is left out, classes of one size are added up,
//     and beyond samebytes.PoolClassesMax the smallest are left out.
//   - Close and Stats of a nil pool do nothing.
//
// New programs use package samebytes, which says what failed.
package bytepool

import (
	"slices"
	"sync"
	"unsafe"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// PoolStats tells how many bytes a pool has from the system: by class, the smallest first, and for what is larger than all of them.
type PoolStats struct {
	Allocs []struct {
		ID   int
		Size int64
	}
	Fallback struct {
		ID   int
		Size int64
	}
}

// Pool is what a *CgoBytePool does.
type Pool interface {
	Get(int) unsafe.Pointer
	Put(unsafe.Pointer, int)
	Close()

	Stats() PoolStats
}

// MemoryAligmentFunc returns how many bytes to get for a size.
type MemoryAligmentFunc func(int) int

// DefaultMemoryAlignmentFunc rounds up to a multiple of 64.
var DefaultMemoryAlignmentFunc MemoryAligmentFunc = func(n int) int { return (n + 63) &^ 63 }

// WithPoolFunc is one class of a pool; WithPoolSize makes it.
type WithPoolFunc func(MemoryAligmentFunc) samebytes.PoolClass

// WithPoolSize is a class of blocks of bufferSize bytes, of which the pool keeps up to poolSize for reuse.
func WithPoolSize(poolSize, bufferSize int) WithPoolFunc {
	return func(align MemoryAligmentFunc) samebytes.PoolClass {
		size := aligned(align, bufferSize)
		if size == 0 {
			return samebytes.PoolClass{}
		}
		return samebytes.PoolClass{BlockSize: uint32(size), KeptMax: uint32(min(max(poolSize, 0), 1<<30))}
	}
}

// aligned is what to get for a size; 0 for one that no block has.
func aligned(align MemoryAligmentFunc, size int) int {
	if size <= 0 || size > samebytes.BlockSizeMax {
		return 0
	}
	return min(max(align(size), size), samebytes.BlockSizeMax)
}

// CgoBytePool is a pool; NewPool makes it. Close it when done: the garbage collector closes it as well, but late.
type CgoBytePool struct {
	pool  *samebytes.Pool // nil: there was no memory for it
	align MemoryAligmentFunc
}

var _ Pool = (*CgoBytePool)(nil)

// NewPool makes a pool of these classes. A nil alignFunc is DefaultMemoryAlignmentFunc. Without memory for a pool, its Get gives nil.
func NewPool(alignFunc MemoryAligmentFunc, poolFuncs ...WithPoolFunc) *CgoBytePool {
	if alignFunc == nil {
		alignFunc = DefaultMemoryAlignmentFunc
	}
	var classes []samebytes.PoolClass
	for _, with := range poolFuncs {
		class := with(alignFunc)
		same := func(other samebytes.PoolClass) bool { return other.BlockSize == class.BlockSize }
		if i := slices.IndexFunc(classes, same); i >= 0 {
			classes[i].KeptMax += class.KeptMax
		} else if class.BlockSize > 0 {
			classes = append(classes, class)
		}
	}
	slices.SortFunc(classes, func(a, b samebytes.PoolClass) int { return int(int64(a.BlockSize) - int64(b.BlockSize)) })
	classes = classes[max(0, len(classes)-samebytes.PoolClassesMax):]
	if len(classes) == 0 {
		classes = []samebytes.PoolClass{{BlockSize: 64}} // without any, the library has its own
	}
	pool, err := samebytes.NewPool(&samebytes.PoolOptions{Classes: classes, Name: "bytepool"})
	if err != nil {
		pool = nil
	}
	return &CgoBytePool{pool: pool, align: alignFunc}
}

// address is where the bytes begin that Get of package samebytes returned.
func address(data []byte, err error) unsafe.Pointer {
	if err != nil {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(data))
}

// Get returns memory of C for size bytes, or nil.
func (p *CgoBytePool) Get(size int) unsafe.Pointer {
	if p == nil || p.pool == nil {
		return nil
	}
	size = aligned(p.align, size)
	if size == 0 {
		return nil
	}
	return address(p.pool.Get(size))
}

// Put puts what Get returned back. The size is not used.
func (p *CgoBytePool) Put(data unsafe.Pointer, _ int) {
	if p != nil && p.pool != nil && data != nil {
		_ = p.pool.Put(unsafe.Slice((*byte)(data), 1)) // what is wrong is left alone
	}
}

// Close closes the pool. What is out stays valid until it is put back.
func (p *CgoBytePool) Close() {
	if p != nil && p.pool != nil {
		p.pool.Close()
	}
}

// Stats returns how many bytes the pool has from the system; nothing after Close.
func (p *CgoBytePool) Stats() PoolStats {
	var stats PoolStats
	if p == nil || p.pool == nil {
		return stats
	}
	whole, err := p.pool.GetStats()
	if err != nil {
		return stats
	}
	stats.Fallback.Size = int64(whole.BytesInUse)
	for i := range whole.ClassCount {
		class, err := p.pool.GetClassStats(i)
		if err != nil {
			return PoolStats{}
		}
		stats.Allocs = append(stats.Allocs, struct {
			ID   int
			Size int64
		}{int(i), int64(class.Outstanding+class.Kept) * int64(class.BlockSize)})
		stats.Fallback.Size -= int64(class.Outstanding) * int64(class.BlockSize)
	}
	stats.Fallback.Size = max(stats.Fallback.Size, 0) // other goroutines go on while this counts
	return stats
}

// AllocBytes returns the bytes of blocks that are larger than every class.
func (p *CgoBytePool) AllocBytes() int64 { return p.Stats().Fallback.Size }

// TotalAllocBytes returns all bytes that the pool has from the system.
func (p *CgoBytePool) TotalAllocBytes() int64 {
	stats := p.Stats()
	total := stats.Fallback.Size
	for _, class := range stats.Allocs {
		total += class.Size
	}
	return total
}

// Handle is a number that stands for a pool in C: the address of a cell that holds one is the context of bytepool_get.
type Handle uintptr

// CgoHandle makes a handle. It is 0, of which every get is nil, for a Pool that NewPool did not make or that was closed, and when there are
// 65,536 handles. It does not keep the pool open.
func CgoHandle(p Pool) Handle {
	own, ok := p.(*CgoBytePool)
	if !ok || own == nil || own.pool == nil {
		return 0
	}
	handle, err := own.pool.Handle()
	if err != nil {
		return 0
	}
	return Handle(handle)
}

// Delete frees the handle, as HandlePoolFree does.
func (h Handle) Delete() { _ = samebytes.PoolHandleFree(uint64(h)) }

// HandlePoolGet is bytepool_get: ctx is the address of a cell that holds a handle.
func HandlePoolGet(ctx unsafe.Pointer, size int) unsafe.Pointer {
	if ctx == nil {
		return nil
	}
	return address(samebytes.PoolHandleGet(uint64(*(*Handle)(ctx)), size))
}

// HandlePoolPut is bytepool_put. The size is not used.
func HandlePoolPut(ctx unsafe.Pointer, data unsafe.Pointer, _ int) {
	if ctx != nil && data != nil {
		_ = samebytes.PoolHandlePut(uint64(*(*Handle)(ctx)), unsafe.Slice((*byte)(data), 1))
	}
}

// HandlePoolFree is bytepool_free.
func HandlePoolFree(ctx unsafe.Pointer) {
	if ctx != nil {
		(*(*Handle)(ctx)).Delete()
	}
}

// DoneFunc puts back what CBytes got.
type DoneFunc func()

// GoBytes returns the size bytes at data as a slice: the same memory and no copy, valid until it is put back. A nil address and a negative
// size give nil.
func GoBytes(data unsafe.Pointer, size int) []byte { return ReflectGoBytes(data, size, size) }

// ReflectGoBytes is GoBytes for a slice that has room behind its end.
func ReflectGoBytes(data unsafe.Pointer, sizeLen, sizeCap int) []byte {
	if data == nil || sizeLen < 0 || sizeCap < sizeLen {
		return nil
	}
	return unsafe.Slice((*byte)(data), sizeCap)[:sizeLen]
}

// UnsafeGoBytes is GoBytes.
func UnsafeGoBytes(data unsafe.Pointer, size int) []byte { return GoBytes(data, size) }

// CBytes copies data to memory of the pool, which has room for as much as data has. Calling done puts it back; a second call does nothing.
// It is nil for data without room, and when there is no memory.
func CBytes(p Pool, data []byte) (unsafe.Pointer, DoneFunc) {
	size := cap(data)
	memory := p.Get(size)
	if memory == nil {
		return nil, func() {}
	}
	copy(ReflectGoBytes(memory, len(data), size), data)
	var once sync.Once
	return memory, func() { once.Do(func() { p.Put(memory, size) }) }
}
