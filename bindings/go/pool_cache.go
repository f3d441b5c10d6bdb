//go:build cgo

package samebytes

import (
	"errors"
	"runtime"
	"sync/atomic"
	"unsafe"
	"weak"
)

// PoolCache keeps free blocks of a Pool on Go's side, so that getting and putting one mostly needs no call into C, which costs more than
// either. Blocks cross in batches.
//
//	cache, err := samebytes.NewPoolCache(pool, nil)
//	buffer, err := cache.Get(4096)
//	n, err := conn.Read(buffer.Bytes())
//	err = buffer.Put()
//
// A PoolBuffer knows which get it belongs to: a second Put is ErrInvalidArgument and changes nothing, also when somebody else has the
// block by then. What is forgotten goes back to the pool when the garbage collector finds it.
//
// What the pool does with each block (ZeroOnGet, PoisonOnPut, Trace, GuardPages) it does when a block crosses, not at each Get and Put here.
//
// Free blocks lie in stripes, of which each goroutine mostly uses its own; a stripe keeps no more than the options say, so what the cache
// keeps is bounded. To the pool the blocks that the cache keeps are out: GetStats counts them as outstanding.
//
// All methods may be called from any goroutine at any time.
type PoolCache struct {
	pool       *Pool
	blockSizes []int                      // of the pool's classes, sorted
	stripes    []*[poolStripes]poolStripe // by class
	closed     atomic.Bool
}

// PoolCacheOptions says how a PoolCache works. 0 in every field is the default.
type PoolCacheOptions struct {
	// BlocksMax: free blocks of each class that each stripe keeps, at most 1024; 0: 64, and no more than 1 MiB of each class.
	BlocksMax int
}

const (
	poolStripes   = 32 // a power of two
	poolCells     = 8
	poolBatchMax  = 16 // blocks that cross at a time
	poolKeptBytes = 1 << 20
)

// poolChunk is a block of C that the cache knows. The number of its present use is in state, so whoever had it before cannot put it.
type poolChunk struct {
	data    unsafe.Pointer
	size    int // bytes of the block
	class   int // -1: larger than all classes
	cache   *PoolCache
	state   atomic.Uint64 // the flags below, and the number of the use, which is one that nobody has while the chunk is free
	cleanup runtime.Cleanup
}

const (
	chunkFree  = 1 << iota // it lies in its cell, for whoever clears this
	chunkHomed             // it has a cell, and is free there when it is put
	chunkUse               // one use
)

// use is the number of the use that the chunk is in.
func (chunk *poolChunk) use() uint64 { return chunk.state.Load() / chunkUse }

// poolStripe holds chunks of one class. A chunk in a cell stays there while it is out: getting it clears a flag in its state, putting it sets
// that, with the number of the use in the same word, so that both need one atomic operation and write no pointer. The other chunks are in the
// array while they are free, which one goroutine at a time uses.
type poolStripe struct {
	cells  [poolCells]atomic.Pointer[poolChunk]
	locked atomic.Bool
	homes  int // cells that are used; it does not change, nor does room
	room   int // what the array may hold
	chunks []*poolChunk
	_      [16]byte // stripes share no cache line
}

// PoolBuffer is one use of a block, from Get to Put. The zero value is none.
type PoolBuffer struct {
	chunk *poolChunk
	use   uint64
	size  int
}

// NewPoolCache makes a cache of blocks of pool, which should be closed after the cache. Close it when done.
func NewPoolCache(pool *Pool, options *PoolCacheOptions) (*PoolCache, error) {
	const op = "NewPoolCache"
	blocksMax := 0
	if options != nil {
		blocksMax = options.BlocksMax
	}
	if blocksMax < 0 || blocksMax > PoolManyMax {
		return nil, refuse(op, "BlocksMax is not from 0 to 1024")
	}
	stats, err := pool.GetStats()
	if err != nil {
		return nil, err
	}
	c := &PoolCache{pool: pool}
	for i := range stats.ClassCount {
		class, err := pool.GetClassStats(i)
		if err != nil {
			return nil, err
		}
		size := int(class.BlockSize)
		kept := blocksMax
		if kept == 0 {
			kept = min(64, poolKeptBytes/size)
		}
		stripes := new([poolStripes]poolStripe)
		for j := range stripes {
			stripes[j].homes = min(poolCells, kept)
			stripes[j].room = kept - stripes[j].homes
			stripes[j].chunks = make([]*poolChunk, 0, stripes[j].room)
		}
		c.blockSizes = append(c.blockSizes, size)
		c.stripes = append(c.stripes, stripes)
	}
	c.afterCollections()
	return c, nil
}

// afterCollections takes the chunks that are out from their cells after each collection, so that the next one finds those that were
// forgotten. A cache that is forgotten itself is not kept by this.
func (c *PoolCache) afterCollections() {
	runtime.AddCleanup(new(*PoolCache), func(cache weak.Pointer[PoolCache]) {
		if c := cache.Value(); c != nil && !c.closed.Load() {
			for _, stripes := range c.stripes {
				for i := range stripes {
					for cell := range stripes[i].homes {
						stripes[i].vacate(cell, false)
					}
				}
			}
			c.afterCollections()
		}
	}, weak.Make(c))
}

// stripeHint tells goroutines apart: their stacks lie apart.
func stripeHint() uintptr {
	var here byte
	address := uintptr(unsafe.Pointer(&here))
	return address>>13 ^ address>>18
}

// Get returns a block of at least size bytes. Its content is what the last user left.
//
// Errors: as Pool.Get; ErrClosed after Close.
func (c *PoolCache) Get(size int) (PoolBuffer, error) {
	class := 0
	for class < len(c.blockSizes) && c.blockSizes[class] < size {
		class++
	}
	if size > 0 && class < len(c.blockSizes) && !c.closed.Load() {
		stripe := &c.stripes[class][stripeHint()%poolStripes]
		for i := range stripe.cells {
			chunk := stripe.cells[i].Load()
			if chunk == nil {
				continue
			}
			state := chunk.state.Load()
			if state&chunkFree != 0 && chunk.state.CompareAndSwap(state, state&^chunkFree) {
				return PoolBuffer{chunk, state / chunkUse, size}, nil
			}
		}
		if chunk := stripe.pop(); chunk != nil {
			stripe.home(chunk)
			return PoolBuffer{chunk, chunk.use(), size}, nil
		}
	}
	return c.getSlowly(class, size)
}

// Bytes returns the bytes that were asked for, with room up to the size of the block behind them; nil after Put.
//
// The slice does not keep the block: Put is what ends its use, and a PoolBuffer that was forgotten is put by the garbage collector while
// the slice may still be in use.
func (b PoolBuffer) Bytes() []byte {
	if b.chunk == nil || b.chunk.use() != b.use {
		return nil
	}
	return unsafe.Slice((*byte)(b.chunk.data), b.chunk.size)[:b.size]
}

// Put gives the block back, also after Close of the cache and of the pool. The slice of Bytes must not be used any more.
//
// Errors: ErrInvalidArgument when it has been put already, and for the zero value.
func (b PoolBuffer) Put() error {
	chunk := b.chunk
	if chunk == nil {
		return refuse("PoolBuffer.Put", "the buffer is none")
	}
	for {
		state := chunk.state.Load()
		if state/chunkUse != b.use {
			return refuse("PoolBuffer.Put", "the buffer has been put already")
		}
		homed := state & chunkHomed
		if chunk.state.CompareAndSwap(state, (b.use+1)*chunkUse|homed|homed/chunkHomed*chunkFree) {
			if homed == 0 {
				return chunk.putSlowly()
			}
			if chunk.cache.closed.Load() { // Close may have looked before the chunk was free
				return chunk.cache.Flush()
			}
			return nil
		} // or it has lost its cell in this moment
	}
}

// home gives a chunk, which is the caller's, a cell if one is empty.
func (s *poolStripe) home(chunk *poolChunk) {
	for i := range s.homes {
		if s.cells[i].Load() != nil {
			continue
		}
		state := chunk.state.Load() // nobody else changes it before it is in the cell
		chunk.state.Store(state | chunkHomed)
		if s.cells[i].CompareAndSwap(nil, chunk) {
			return
		}
		chunk.state.Store(state)
	}
}

// vacate empties a cell, whose chunk is put into the array from now on. If it was free, which is left alone without andFree, it is the
// caller's and returned. A chunk that is in no cell any more, but said to be, would be put where nobody looks, and given back by the garbage
// collector; that takes another who empties the same cell and is held up while the chunk is homed there again.
func (s *poolStripe) vacate(cell int, andFree bool) *poolChunk {
	for {
		chunk := s.cells[cell].Load()
		if chunk == nil {
			return nil
		}
		state := chunk.state.Load()
		if state&chunkFree != 0 && !andFree {
			return nil
		}
		if !chunk.state.CompareAndSwap(state, state&^(chunkFree|chunkHomed)) {
			continue // got or put in this moment
		}
		s.cells[cell].CompareAndSwap(chunk, nil)
		if state&chunkFree == 0 {
			return nil
		}
		return chunk
	}
}

// pop takes the last chunk of the array; nil if there is none, or another goroutine uses it.
func (s *poolStripe) pop() *poolChunk {
	if !s.locked.CompareAndSwap(false, true) {
		return nil
	}
	var chunk *poolChunk
	if last := len(s.chunks) - 1; last >= 0 {
		chunk, s.chunks[last] = s.chunks[last], nil
		s.chunks = s.chunks[:last]
	}
	s.locked.Store(false)
	return chunk
}

// push adds a chunk to the array; false if there is no room, or another goroutine uses it.
func (s *poolStripe) push(chunk *poolChunk) bool {
	if !s.locked.CompareAndSwap(false, true) {
		return false
	}
	room := len(s.chunks) < s.room
	if room {
		s.chunks = append(s.chunks, chunk)
	}
	s.locked.Store(false)
	return room
}

// takeOldest takes up to most chunks of the array, the oldest first.
func (s *poolStripe) takeOldest(most int) []*poolChunk {
	for !s.locked.CompareAndSwap(false, true) {
		runtime.Gosched()
	}
	count := min(most, len(s.chunks))
	taken := append([]*poolChunk(nil), s.chunks[:count]...)
	rest := copy(s.chunks, s.chunks[count:])
	clear(s.chunks[rest:])
	s.chunks = s.chunks[:rest]
	s.locked.Store(false)
	return taken
}

// putSlowly puts a chunk that has no cell, and is the caller's. It makes room in an array that is full by giving a batch back to the pool.
func (chunk *poolChunk) putSlowly() error {
	c := chunk.cache
	if chunk.class < 0 || c.closed.Load() {
		return chunk.release()
	}
	stripe := &c.stripes[chunk.class][stripeHint()%poolStripes]
	if stripe.push(chunk) {
		if c.closed.Load() { // Close may have looked before the chunk was there
			return c.Flush()
		}
		return nil
	}
	var err error
	if batch := min(poolBatchMax, (stripe.room+1)/2); batch > 0 {
		err = c.release(stripe.takeOldest(batch))
	}
	if !stripe.push(chunk) {
		return errors.Join(err, chunk.release())
	}
	if c.closed.Load() {
		err = errors.Join(err, c.Flush())
	}
	return err
}

// getSlowly gets a batch from the pool: one block for the caller, and the others for the stripe.
func (c *PoolCache) getSlowly(class, size int) (PoolBuffer, error) {
	const op = "PoolCache.Get"
	if c.closed.Load() {
		return PoolBuffer{}, &Error{Status: ErrClosed, Frame: NoFrame, op: op}
	}
	if size <= 0 || size > BlockSizeMax {
		return PoolBuffer{}, refuse(op, "size is not from 1 to BlockSizeMax")
	}
	if class == len(c.blockSizes) {
		data, err := c.pool.get(size)
		if err != nil {
			return PoolBuffer{}, err
		}
		return c.chunk(unsafe.Pointer(unsafe.SliceData(data)), size, -1).buffer(size), nil
	}
	stripe := &c.stripes[class][stripeHint()%poolStripes]
	blockSize := c.blockSizes[class]
	addresses, err := c.pool.getMany(blockSize, min(poolBatchMax, stripe.room/2+1))
	if errors.Is(err, ErrNoMemory) {
		if err = c.Flush(); err == nil { // what other stripes keep may be what the limit lacks
			addresses, err = c.pool.getMany(blockSize, 1)
		}
	}
	if err != nil {
		return PoolBuffer{}, err
	}
	for _, address := range addresses[1:] {
		if chunk := c.chunk(address, blockSize, class); !stripe.push(chunk) {
			err = errors.Join(err, chunk.release())
		}
	}
	if c.closed.Load() {
		err = errors.Join(err, c.Flush())
	}
	chunk := c.chunk(addresses[0], blockSize, class)
	stripe.home(chunk)
	return chunk.buffer(size), err
}

// chunk makes what the cache knows of a block that it got. When it becomes garbage, the block goes back to the pool.
func (c *PoolCache) chunk(data unsafe.Pointer, size, class int) *poolChunk {
	chunk := &poolChunk{data: data, size: size, class: class, cache: c}
	chunk.cleanup = runtime.AddCleanup(chunk, func(data unsafe.Pointer) { _ = (*Pool)(nil).put(data) }, data)
	return chunk
}

func (chunk *poolChunk) buffer(size int) PoolBuffer {
	return PoolBuffer{chunk, chunk.use(), size}
}

// forget makes the caller the one who gives the block back.
func (chunk *poolChunk) forget() unsafe.Pointer {
	chunk.cleanup.Stop()
	runtime.KeepAlive(chunk)
	return chunk.data
}

// release gives the block back to the pool.
func (chunk *poolChunk) release() error { return (*Pool)(nil).put(chunk.forget()) }

// release gives blocks back to the pool.
func (c *PoolCache) release(chunks []*poolChunk) error {
	var err error
	for len(chunks) > 0 {
		batch := chunks[:min(len(chunks), PoolManyMax)]
		chunks = chunks[len(batch):]
		addresses := make([]uintptr, len(batch))
		for i, chunk := range batch {
			addresses[i] = uintptr(chunk.forget())
		}
		err = errors.Join(err, (*Pool)(nil).putMany(addresses))
	}
	return err
}

// Flush gives all free blocks that the cache keeps back to the pool.
func (c *PoolCache) Flush() error {
	var err error
	for _, stripes := range c.stripes {
		for i := range stripes {
			chunks := stripes[i].takeOldest(stripes[i].room)
			for cell := range stripes[i].homes {
				if chunk := stripes[i].vacate(cell, true); chunk != nil {
					chunks = append(chunks, chunk)
				}
			}
			err = errors.Join(err, c.release(chunks))
		}
	}
	return err
}

// Kept returns how many free blocks the cache keeps. While others use the cache it is about so many.
func (c *PoolCache) Kept() int {
	kept := 0
	for _, stripes := range c.stripes {
		for i := range stripes {
			stripe := &stripes[i]
			for !stripe.locked.CompareAndSwap(false, true) {
				runtime.Gosched()
			}
			kept += len(stripe.chunks)
			stripe.locked.Store(false)
			for cell := range stripe.homes {
				if chunk := stripe.cells[cell].Load(); chunk != nil && chunk.state.Load()&chunkFree != 0 {
					kept++
				}
			}
		}
	}
	return kept
}

// Close gives all free blocks back to the pool. Buffers that are out stay valid, and Put gives them back to the pool at once. It may be
// called again, and while other goroutines use the cache.
func (c *PoolCache) Close() error {
	if c == nil {
		return nil
	}
	c.closed.Store(true)
	return c.Flush()
}
