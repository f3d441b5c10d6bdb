//go:build cgo

package samebytes_test

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"runtime"
	"sync"
	"testing"
	"time"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

func newPoolOf(t *testing.T, options samebytes.PoolOptions) *samebytes.Pool {
	t.Helper()
	if options.Classes == nil {
		options.Classes = []samebytes.PoolClass{{BlockSize: 512, KeptMax: 4096}, {BlockSize: 4096, KeptMax: 4096}, {BlockSize: 1 << 20, KeptMax: 8}}
	}
	return must(samebytes.NewPool(&options))
}

func outstanding(pool *samebytes.Pool) int { return int(must(pool.GetStats()).Outstanding) }

// wantOut waits until so many blocks are out: cleanups take their time.
func wantOut(t *testing.T, pool *samebytes.Pool, want int) {
	t.Helper()
	for range 200 {
		if outstanding(pool) == want {
			return
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d blocks are out, not %d", outstanding(pool), want)
}

func TestPoolCache(t *testing.T) {
	pool := newPoolOf(t, samebytes.PoolOptions{})
	defer pool.Close()
	cache := must(samebytes.NewPoolCache(pool, nil))
	for _, size := range []int{1, 512, 513, 4096, 100000, 1 << 20, 3 << 20} {
		for range 50 {
			buffer := must(cache.Get(size))
			data := buffer.Bytes()
			if len(data) != size || cap(data) < size {
				t.Fatalf("%d bytes were asked for, got %d of %d", size, len(data), cap(data))
			}
			data[0], data[size-1] = 1, 2
			if err := buffer.Put(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if kept := cache.Kept(); kept == 0 || kept != outstanding(pool) {
		t.Errorf("the cache keeps %d, and %d are out", kept, outstanding(pool))
	}
	if misses := must(pool.GetClassStats(1)).Misses; misses > 100 {
		t.Errorf("%d misses: the cache does not keep", misses)
	}
	if err := errors.Join(cache.Close(), cache.Close()); err != nil {
		t.Error(err)
	}
	if cache.Kept() != 0 || outstanding(pool) != 0 {
		t.Errorf("after Close the cache keeps %d, and %d are out", cache.Kept(), outstanding(pool))
	}
}

func TestPoolCacheCatchesASecondPut(t *testing.T) {
	pool := newPoolOf(t, samebytes.PoolOptions{})
	defer pool.Close()
	cache := must(samebytes.NewPoolCache(pool, nil))
	defer cache.Close()
	first := must(cache.Get(100))
	same := first
	if err := first.Put(); err != nil {
		t.Fatal(err)
	}
	if err := same.Put(); !errors.Is(err, samebytes.ErrInvalidArgument) {
		t.Errorf("a second Put: %v", err)
	}
	second := must(cache.Get(100)) // the same block
	if err := first.Put(); !errors.Is(err, samebytes.ErrInvalidArgument) || first.Bytes() != nil {
		t.Errorf("a Put of what is somebody else's: %v", err)
	}
	third := must(cache.Get(100))
	if &second.Bytes()[0] == &third.Bytes()[0] {
		t.Error("one block has two owners")
	}
	if err := errors.Join(second.Put(), third.Put()); err != nil {
		t.Error(err)
	}
	if err := (samebytes.PoolBuffer{}).Put(); !errors.Is(err, samebytes.ErrInvalidArgument) || (samebytes.PoolBuffer{}).Bytes() != nil {
		t.Errorf("a Put of nothing: %v", err)
	}
	var wait sync.WaitGroup
	for range 200 { // in the same instant
		buffer := must(cache.Get(100))
		errs := make([]error, 4)
		for i := range errs {
			wait.Add(1)
			go func() { defer wait.Done(); errs[i] = buffer.Put() }()
		}
		wait.Wait()
		good := 0
		for _, err := range errs {
			if err == nil {
				good++
			}
		}
		if good != 1 {
			t.Fatalf("%d puts of one buffer succeeded", good)
		}
	}
}

func TestPoolCacheRefuses(t *testing.T) {
	pool := newPoolOf(t, samebytes.PoolOptions{})
	cache := must(samebytes.NewPoolCache(pool, nil))
	for _, size := range []int{0, -1, samebytes.BlockSizeMax + 1, -1 << 63, 1<<63 - 1} {
		if _, err := cache.Get(size); !errors.Is(err, samebytes.ErrInvalidArgument) {
			t.Errorf("Get(%d): %v", size, err)
		}
	}
	for _, most := range []int{-1, 1025} {
		if _, err := samebytes.NewPoolCache(pool, &samebytes.PoolCacheOptions{BlocksMax: most}); !errors.Is(err, samebytes.ErrInvalidArgument) {
			t.Errorf("BlocksMax %d: %v", most, err)
		}
	}
	buffer, large := must(cache.Get(100)), must(cache.Get(3<<20))
	cache.Close()
	if _, err := cache.Get(100); !errors.Is(err, samebytes.ErrClosed) {
		t.Errorf("Get after Close: %v", err)
	}
	pool.Close()
	buffer.Bytes()[99] = 1
	if err := errors.Join(buffer.Put(), large.Put()); err != nil {
		t.Errorf("Put after Close: %v", err)
	}
	if err := buffer.Put(); !errors.Is(err, samebytes.ErrInvalidArgument) {
		t.Errorf("a second Put after Close: %v", err)
	}
	if _, err := samebytes.NewPoolCache(pool, nil); !errors.Is(err, samebytes.ErrClosed) {
		t.Errorf("a cache of a closed pool: %v", err)
	}
}

func TestPoolCacheIsBounded(t *testing.T) {
	pool := newPoolOf(t, samebytes.PoolOptions{})
	defer pool.Close()
	cache := must(samebytes.NewPoolCache(pool, &samebytes.PoolCacheOptions{BlocksMax: 8}))
	defer cache.Close()
	buffers := make([]samebytes.PoolBuffer, 5000)
	for round := range 3 {
		for i := range buffers {
			buffers[i] = must(cache.Get(512))
		}
		for i := range buffers {
			if err := buffers[i].Put(); err != nil {
				t.Fatal(err)
			}
		}
		if kept := cache.Kept(); kept > 32*8 {
			t.Fatalf("round %d: %d blocks are kept", round, kept)
		}
	}
	if outstanding(pool) != cache.Kept() {
		t.Errorf("%d are out, and the cache keeps %d", outstanding(pool), cache.Kept())
	}
}

func TestPoolCacheGivesBackWhatTheLimitLacks(t *testing.T) {
	pool := newPoolOf(t, samebytes.PoolOptions{BytesMax: 20 * 4096})
	defer pool.Close()
	cache := must(samebytes.NewPoolCache(pool, nil))
	defer cache.Close()
	var buffers []samebytes.PoolBuffer
	for {
		buffer, err := cache.Get(4096)
		if errors.Is(err, samebytes.ErrNoMemory) {
			break
		}
		buffers = append(buffers, must(buffer, err))
	}
	if len(buffers) != 20 {
		t.Errorf("%d blocks of 20", len(buffers))
	}
	for _, buffer := range buffers {
		buffer.Put()
	}
	small := must(cache.Get(512)) // of another class, so the cache has to give back what it keeps
	small.Put()
}

func TestPoolCacheLeaksNothingThatIsForgotten(t *testing.T) {
	pool := newPoolOf(t, samebytes.PoolOptions{})
	defer pool.Close()
	func() {
		cache := must(samebytes.NewPoolCache(pool, nil))
		for range 100 {
			must(cache.Get(512)).Bytes()[0] = 1 // forgotten
		}
		for range 100 {
			must(cache.Get(4096)).Put()
		}
		runtime.GC()
		if kept := cache.Kept(); kept == 0 {
			t.Error("a collection took what the cache keeps")
		}
	}() // and the cache as well
	wantOut(t, pool, 0)
}

func TestPoolCacheThatIsUsedLeaksNothingThatIsForgotten(t *testing.T) {
	pool := newPoolOf(t, samebytes.PoolOptions{})
	defer pool.Close()
	cache := must(samebytes.NewPoolCache(pool, nil))
	defer cache.Close()
	held := must(cache.Get(512))
	for range 3 {
		for range 100 {
			must(cache.Get(512)).Bytes()[0] = 1 // forgotten, the first of them in cells
		}
		for range 200 {
			if outstanding(pool) == cache.Kept()+1 {
				break
			}
			runtime.GC()
			time.Sleep(10 * time.Millisecond)
		}
		if out, kept := outstanding(pool), cache.Kept(); out != kept+1 {
			t.Fatalf("%d blocks are out: the cache keeps %d, and one is held", out, kept)
		}
	}
	if held.Bytes() == nil {
		t.Error("a collection took what is held")
	}
	if err := held.Put(); err != nil {
		t.Error(err)
	}
}

func TestPoolCacheFlushedWhileABufferIsOut(t *testing.T) {
	pool := newPoolOf(t, samebytes.PoolOptions{})
	defer pool.Close()
	cache := must(samebytes.NewPoolCache(pool, nil))
	defer cache.Close()
	for round := range 3 {
		buffer := must(cache.Get(512))
		if err := cache.Flush(); err != nil {
			t.Fatal(err)
		}
		if out, kept := outstanding(pool), cache.Kept(); out != 1 || kept != 0 {
			t.Fatalf("round %d: after Flush %d are out, and %d kept", round, out, kept)
		}
		if err := buffer.Put(); err != nil {
			t.Fatal(err)
		}
		if kept := cache.Kept(); kept != 1 {
			t.Fatalf("round %d: after Put %d are kept", round, kept)
		}
		if err := buffer.Put(); !errors.Is(err, samebytes.ErrInvalidArgument) {
			t.Fatalf("round %d: a second Put: %v", round, err)
		}
	}
}

func TestPoolCacheUnderStress(t *testing.T) {
	pool := newPoolOf(t, samebytes.PoolOptions{})
	defer pool.Close()
	cache := must(samebytes.NewPoolCache(pool, &samebytes.PoolCacheOptions{BlocksMax: 16}))
	done, passed := make(chan struct{}), make(chan samebytes.PoolBuffer, 64)
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := range 3000 {
				buffer, err := cache.Get(1 + rand.IntN(8000))
				if err != nil {
					t.Error(err)
					return
				}
				data := buffer.Bytes()
				data[0], data[len(data)-1] = byte(worker), byte(worker)
				if i%3 == 0 { // put on another goroutine
					select {
					case passed <- buffer:
						continue
					default:
					}
				}
				if data[0] != byte(worker) || data[len(data)-1] != byte(worker) {
					t.Error("a block has two owners")
				}
				if i%50 == 49 {
					continue // forgotten
				}
				if err := buffer.Put(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	go func() {
		defer close(done)
		for buffer := range passed {
			if err := buffer.Put(); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 5 {
		runtime.GC()
		_ = cache.Flush()
		time.Sleep(2 * time.Millisecond)
	}
	wait.Wait()
	close(passed)
	<-done
	if err := cache.Close(); err != nil {
		t.Error(err)
	}
	wantOut(t, pool, 0)
}

func TestPoolCacheClosesWhileOthersUseIt(t *testing.T) {
	for range 30 {
		pool := newPoolOf(t, samebytes.PoolOptions{})
		cache := must(samebytes.NewPoolCache(pool, nil))
		var wait sync.WaitGroup
		for range 4 {
			wait.Add(1)
			go func() {
				defer wait.Done()
				for {
					buffer, err := cache.Get(100)
					if errors.Is(err, samebytes.ErrClosed) {
						return
					}
					if err = errors.Join(err, buffer.Put()); err != nil {
						t.Error(err)
						return
					}
				}
			}()
		}
		time.Sleep(time.Millisecond)
		cache.Close()
		wait.Wait()
		if kept := cache.Kept(); kept != 0 || outstanding(pool) != 0 {
			t.Fatalf("after Close the cache keeps %d, and %d are out", kept, outstanding(pool))
		}
		pool.Close()
	}
}

func BenchmarkPoolCache(b *testing.B) {
	pool := must(samebytes.NewPool(nil))
	defer pool.Close()
	cache := must(samebytes.NewPoolCache(pool, nil))
	defer cache.Close()
	b.RunParallel(func(loop *testing.PB) {
		for loop.Next() {
			buffer, _ := cache.Get(4096)
			buffer.Bytes()[0] = 1
			_ = buffer.Put()
		}
	})
}

func TestPoolManyAndPlaces(t *testing.T) {
	pool := newPoolOf(t, samebytes.PoolOptions{Trace: true})
	blocks := must(pool.GetMany(100, 30))
	single := must(pool.Get(4096))
	leaks := must(pool.Leaks())
	if len(leaks) != 2 || leaks[0].Blocks != 30 || leaks[1].Bytes != 4096 {
		t.Fatalf("Leaks: %+v", leaks)
	}
	for _, leak := range leaks {
		if !regexp.MustCompile(`pool_cache_test\.go:\d+$`).MatchString(leak.Tag) {
			t.Errorf("the tag is %q", leak.Tag)
		}
	}
	if err := pool.Tag(single, "mine"); err != nil || must(pool.Leaks())[1].Tag != "mine" {
		t.Errorf("Tag: %v", err)
	}
	if err := pool.PutMany([][]byte{blocks[0], blocks[1], blocks[0]}); !errors.Is(err, samebytes.ErrInvalidArgument) {
		t.Errorf("PutMany of one block twice: %v", err)
	}
	if err := pool.PutMany([][]byte{blocks[0], make([]byte, 8)}); !errors.Is(err, samebytes.ErrInvalidArgument) {
		t.Errorf("PutMany of a slice of Go: %v", err)
	}
	if err := errors.Join(pool.PutMany(blocks[:20]), pool.Put(single)); err != nil {
		t.Error(err)
	}
	for _, count := range []int{-1, samebytes.PoolManyMax + 1, 1 << 40} {
		if _, err := pool.GetMany(100, count); !errors.Is(err, samebytes.ErrInvalidArgument) {
			t.Errorf("GetMany of %d: %v", count, err)
		}
	}
	pool.Close()
	if err := pool.PutMany(blocks[20:]); err != nil {
		t.Errorf("PutMany after Close: %v", err)
	}
	if _, err := pool.GetMany(100, 1); !errors.Is(err, samebytes.ErrClosed) {
		t.Errorf("GetMany after Close: %v", err)
	}
	plain := newPoolOf(t, samebytes.PoolOptions{})
	defer plain.Close()
	if _, err := plain.Leaks(); !errors.Is(err, samebytes.ErrUnsupported) {
		t.Errorf("Leaks of a pool that does not trace: %v", err)
	}
}
