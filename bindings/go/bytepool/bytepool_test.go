//go:build cgo

package bytepool

import (
	"bytes"
	"math"
	"testing"
	"unsafe"
)

func three() *CgoBytePool {
	return NewPool(DefaultMemoryAlignmentFunc, WithPoolSize(1000, 16*1024), WithPoolSize(1000, 4*1024), WithPoolSize(1000, 512))
}

// total is what the pool says it has; every test of a fault ends with as much as it began.
func out(t *testing.T, p *CgoBytePool, want uint64) {
	t.Helper()
	stats, err := p.pool.GetStats()
	if err != nil || stats.Outstanding != want {
		t.Fatalf("%d blocks are out, not %d (%v)", stats.Outstanding, want, err)
	}
}

func TestGetAndPut(t *testing.T) {
	p := three()
	defer p.Close()
	for _, size := range []int{1, 100, 512, 4096, 5000, 16384, 100000} {
		data := p.Get(size)
		if uintptr(data)%64 != 0 {
			t.Errorf("%d bytes are not aligned: %p", size, data)
		}
		copy(unsafe.Slice((*byte)(data), size), bytes.Repeat([]byte{7}, size))
		out(t, p, 1)
		p.Put(data, size)
		out(t, p, 0)
	}
}

func TestSizesThatNoBlockHas(t *testing.T) {
	p := three()
	defer p.Close()
	handle := CgoHandle(p)
	defer handle.Delete()
	for _, size := range []int{0, -1, math.MinInt, math.MaxInt, 1 << 32} {
		if data := p.Get(size); data != nil {
			t.Errorf("Get(%d) = %p", size, data)
		}
		if data := HandlePoolGet(unsafe.Pointer(&handle), size); data != nil {
			t.Errorf("HandlePoolGet(%d) = %p", size, data)
		}
	}
	out(t, p, 0)
}

func TestAPutWithAWrongSize(t *testing.T) {
	p := three()
	defer p.Close()
	small := p.Get(512)
	p.Put(small, 16384)
	large := p.Get(16384)
	if large == small {
		t.Fatal("a short block was handed out for a large one")
	}
	p.Put(large, -5)
	out(t, p, 0)
}

func TestWrongPuts(t *testing.T) {
	p, other := three(), three()
	defer p.Close()
	defer other.Close()
	data := p.Get(100)
	own := make([]byte, 64)
	p.Put(nil, 100)
	p.Put(unsafe.Pointer(&own[0]), 64)
	p.Put(unsafe.Add(data, 8), 92)
	other.Put(data, 100)
	out(t, p, 1)
	p.Put(data, 100)
	p.Put(data, 100)
	first, second := p.Get(100), p.Get(100)
	if first == second {
		t.Fatal("one block has two owners")
	}
	p.Put(first, 100)
	p.Put(second, 100)
	out(t, p, 0)
}

func TestAfterClose(t *testing.T) {
	p := three()
	handle := CgoHandle(p)
	data, more := p.Get(100), p.Get(100)
	p.Close()
	p.Close()
	if p.Get(100) != nil || HandlePoolGet(unsafe.Pointer(&handle), 100) != nil || CgoHandle(p) != 0 {
		t.Error("a closed pool gave something")
	}
	GoBytes(data, 100)[99] = 1 // still valid
	p.Put(data, 100)
	HandlePoolPut(unsafe.Pointer(&handle), more, 100)
	p.Put(more, 100) // the pool is gone by now
	handle.Delete()
	if stats := p.Stats(); len(stats.Allocs) != 0 || p.TotalAllocBytes() != 0 {
		t.Errorf("Stats after Close: %v", stats)
	}
}

func TestStaleAndNilHandles(t *testing.T) {
	p := three()
	defer p.Close()
	handle := CgoHandle(p)
	context := unsafe.Pointer(&handle)
	data := HandlePoolGet(context, 100)
	HandlePoolFree(context)
	HandlePoolFree(context)
	for _, wrong := range []Handle{handle, 0, 1, Handle(math.MaxUint64), handle + 1} {
		context := unsafe.Pointer(&wrong)
		if got := HandlePoolGet(context, 100); got != nil {
			t.Errorf("handle %x gave %p", wrong, got)
		}
		HandlePoolPut(context, data, 100)
		HandlePoolFree(context)
	}
	if HandlePoolGet(nil, 100) != nil {
		t.Error("no context gave something")
	}
	HandlePoolPut(nil, data, 100)
	HandlePoolFree(nil)
	out(t, p, 1)
	p.Put(data, 100)
}

type foreign struct{ *CgoBytePool }

func TestAPoolOfSomebodyElseHasNoHandle(t *testing.T) {
	if handle := CgoHandle(foreign{three()}); handle != 0 {
		t.Errorf("handle %x", handle)
	}
	if handle := CgoHandle((*CgoBytePool)(nil)); handle != 0 {
		t.Errorf("handle %x", handle)
	}
}

func TestAlignmentFunctionsThatDoNotAlign(t *testing.T) {
	for name, align := range map[string]MemoryAligmentFunc{
		"nil": nil, "less": func(int) int { return 1 }, "negative": func(int) int { return -8 }, "huge": func(int) int { return math.MaxInt },
	} {
		p := NewPool(align, WithPoolSize(10, 1000))
		if data := p.Get(900); name != "huge" {
			copy(unsafe.Slice((*byte)(data), 900), make([]byte, 900))
			if uintptr(data)%64 != 0 {
				t.Errorf("%s: %p is not aligned", name, data)
			}
			p.Put(data, 900)
		} else {
			p.Put(data, 900)
		}
		out(t, p, 0)
		p.Close()
	}
}

func TestOddClasses(t *testing.T) {
	many := []WithPoolFunc{WithPoolSize(-3, 512), WithPoolSize(5, 0), WithPoolSize(5, -100), WithPoolSize(2, 4096), WithPoolSize(3, 4096)}
	p := NewPool(nil, many...)
	if stats := p.Stats(); len(stats.Allocs) != 2 {
		t.Errorf("%d classes, not 2", len(stats.Allocs))
	}
	p.Put(p.Get(512), 512)
	if kept := p.TotalAllocBytes(); kept != 0 {
		t.Errorf("a class of negative count keeps %d bytes", kept)
	}
	var five [6]unsafe.Pointer
	for i := range five {
		five[i] = p.Get(4096)
	}
	for _, data := range five {
		p.Put(data, 4096)
	}
	if kept := p.TotalAllocBytes(); kept != 5*4096 {
		t.Errorf("%d bytes are kept, not 5 blocks", kept)
	}
	p.Close()
	many = nil
	for i := range 40 {
		many = append(many, WithPoolSize(1, 64*(i+1)))
	}
	p = NewPool(nil, many...)
	if stats := p.Stats(); len(stats.Allocs) != 32 {
		t.Errorf("%d classes, not 32", len(stats.Allocs))
	}
	p.Close()
	p = NewPool(nil)
	p.Put(p.Get(100), 100)
	out(t, p, 0)
	p.Close()
}

func TestStats(t *testing.T) {
	p := three()
	defer p.Close()
	data, large := p.Get(4096), p.Get(100000)
	stats := p.Stats()
	if stats.Allocs[1].ID != 1 || stats.Allocs[1].Size != 4096 || stats.Allocs[0].Size != 0 || stats.Fallback.Size < 100000 {
		t.Errorf("Stats: %+v", stats)
	}
	if p.AllocBytes() != stats.Fallback.Size || p.TotalAllocBytes() != stats.Fallback.Size+4096 {
		t.Errorf("AllocBytes %d, TotalAllocBytes %d", p.AllocBytes(), p.TotalAllocBytes())
	}
	p.Put(large, 100000)
	p.Put(data, 4096)
	if p.TotalAllocBytes() != 4096 { // kept
		t.Errorf("%d bytes are left", p.TotalAllocBytes())
	}
	var none *CgoBytePool
	none.Close()
	none.Put(data, 1)
	if none.Get(1) != nil || len(none.Stats().Allocs) != 0 {
		t.Error("a nil pool gave something")
	}
}

func TestBytes(t *testing.T) {
	p := three()
	defer p.Close()
	source := append(make([]byte, 0, 1000), "hello"...)
	data, done := CBytes(p, source)
	if got := ReflectGoBytes(data, 5, 1000); string(got) != "hello" || cap(got) != 1000 {
		t.Errorf("%q, %d", got, cap(got))
	}
	source[0] = 'j'
	if string(UnsafeGoBytes(data, 5)) != "hello" || len(GoBytes(data, 3)) != 3 {
		t.Error("not a copy, or not the same memory")
	}
	done()
	again := p.Get(1000)
	done() // would put what is somebody else's now
	out(t, p, 1)
	p.Put(again, 1000)
	if data, done = CBytes(p, nil); data != nil {
		t.Error("no bytes have an address")
	}
	done()
	if GoBytes(nil, 5) != nil || GoBytes(again, -1) != nil || ReflectGoBytes(again, 5, 4) != nil {
		t.Error("a slice of nothing")
	}
}
