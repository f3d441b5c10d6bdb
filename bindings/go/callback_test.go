//go:build cgo

package samebytes

import (
	"errors"
	"log"
	"os"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

// testArena is a Provider that remembers.
type testArena struct {
	mutex     sync.Mutex
	blockSize int // 0: one block
	fail      func(sink *Sink) error
	given     map[uint64][]byte // and not released
	next      uint64
	retired   int
	kept      *Sink
}

func (a *testArena) Reserve(minBytes int, sink *Sink) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.kept = sink
	size := minBytes
	if a.blockSize > 0 {
		size = a.blockSize
	}
	for left := minBytes; left > 0 && a.fail == nil; left -= size {
		block := make([]byte, size)
		a.next++
		if err := sink.AddBytes(block, a.next, 70); err != nil {
			return err
		}
		a.given[a.next] = block
	}
	if a.fail != nil {
		return a.fail(sink)
	}
	return nil
}

func (a *testArena) Release(token uint64) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.given[token] == nil {
		a.retired = -1000 // released twice
	}
	delete(a.given, token)
}

func (a *testArena) Retire() { a.retired++ }

func openArena(t *testing.T, arena *testArena) *Memory {
	t.Helper()
	arena.given = map[uint64][]byte{}
	return mustOpen[*Memory](t)(OpenMemoryCallback(arena))
}

// ended checks that everything came back, and then the end.
func (a *testArena) ended(t *testing.T) {
	t.Helper()
	MemoryDrain()
	if len(a.given) != 0 || a.retired != 1 {
		t.Errorf("%d blocks are out, retired %d times", len(a.given), a.retired)
	}
}

func TestBytesOfAGoProviderGoEverywhere(t *testing.T) {
	arena := &testArena{blockSize: 40}
	memory := openArena(t, arena)
	text := "fifty bytes and some more of them, in several blocks of forty"
	view := mustOpen[*View](t)(NewView([]byte(text), memory))
	if view.SpanCount() != 2 || string(arena.given[1]) != text[:40] {
		t.Errorf("%d spans, %q", view.SpanCount(), arena.given[1])
	}
	if key, _, err := view.SpanMetadata(1); err != nil || key != 70 {
		t.Errorf("the key is %d, %v", key, err)
	}
	buf := mustOpen[*Buf](t)(NewBuf(memory))
	if err := errors.Join(buf.Reserve(100), buf.Put([]byte(text))); err != nil {
		t.Fatal(err)
	}
	schema := mustOpen[*Schema](t)(EchoRequestSchema())
	builder := mustOpen[*Builder](t)(NewBuilder(memory))
	arena.blockSize = 1 << 16
	if err := EchoAddRequest(builder, &EchoRequest{Subject: []byte(text), Body: []byte(text)}); err != nil {
		t.Fatal(err)
	}
	frames := mustOpen[[]byte](t)(builder.Bytes())
	parser := mustOpen[*Parser](t)(NewParser([]*Schema{schema}, &ParserOptions{Memory: memory}))
	batch := mustOpen[*Batch](t)(NewBatch())
	if err := errors.Join(parser.Feed(frames), parser.Parse(batch)); err != nil || batch.RowCount() != 1 {
		t.Errorf("%d rows, %v", batch.RowCount(), err)
	}
	for _, object := range []interface{ Close() error }{memory, view, buf, schema, builder, batch, parser} {
		object.Close()
	}
	arena.ended(t)
}

func TestWhatAGoProviderGetsWrongIsTold(t *testing.T) {
	var array [8]byte
	for text, fail := range map[string]func(sink *Sink) error{
		"no luck":                     func(*Sink) error { return errors.New("no luck") },
		"panic: boom":                 func(*Sink) error { panic("boom") },
		"reserve gave 0 bytes of":     func(*Sink) error { return nil },
		"Sink.Add":                    func(sink *Sink) error { return sink.Add(nil, 8, 1, 0) },
		"size is negative":            func(sink *Sink) error { return sink.Add(unsafe.Pointer(sink.sink), -1, 1, 0) },
		"a block has at least one":    func(sink *Sink) error { return sink.AddBytes(nil, 1, 0) },
		"reserve gave 8 bytes of 100": func(sink *Sink) error { return sink.AddBytes(array[:], 1, 0) },
	} {
		arena := &testArena{fail: fail}
		memory := openArena(t, arena)
		arena.given[1] = array[:]
		if _, err := memory.GetFailure(); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: a failure before there was one: %v", text, err)
		}
		if _, err := memory.GetBlock(100); !errors.Is(err, ErrProvider) {
			t.Errorf("%s: %v", text, err)
		}
		failure, err := memory.GetFailure()
		if err != nil || !strings.Contains(failure.Error(), text) {
			t.Errorf("%s: the failure is %v, %v", text, failure, err)
		}
		if err := arena.kept.Add(unsafe.Pointer(memory.object), 8, 1, 0); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%s: a sink after Reserve: %v", text, err)
		}
		delete(arena.given, 1)
		memory.Close()
		arena.ended(t)
	}
	arena := &testArena{fail: func(*Sink) error { return ErrNoMemory }}
	memory := openArena(t, arena)
	if _, err := memory.GetBlock(1); !errors.Is(err, ErrNoMemory) {
		t.Errorf("no memory: %v", err)
	}
	memory.Close()
	arena.ended(t)
	if _, err := OpenMemoryCallback(nil); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("no provider: %v", err)
	}
}

// brokenArena panics where nobody waits for it.
type brokenArena struct{ testArena }

func (a *brokenArena) Release(token uint64) {
	a.testArena.Release(token)
	panic("a block that came back")
}

func (a *brokenArena) Retire() {
	a.testArena.Retire()
	panic("the end of the provider")
}

func TestPanicsOfAGoProviderThatNobodyWaitsForAreLogged(t *testing.T) {
	var text strings.Builder // everything happens on this goroutine
	log.SetOutput(&text)
	defer log.SetOutput(os.Stderr)
	arena := &brokenArena{testArena: testArena{given: map[uint64][]byte{}}}
	memory, err := OpenMemoryCallback(arena)
	if err != nil {
		t.Fatal(err)
	}
	block, err := memory.GetBlock(100)
	if err != nil {
		t.Fatal(err)
	}
	block.Close()
	memory.Close()
	arena.ended(t)
	for _, part := range []string{"panic in Provider.Release: a block that came back", "panic in Provider.Retire: the end of the provider"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("logged, without %q:\n%s", part, text.String())
		}
	}
}

func TestGoroutinesUseOneGoProvider(t *testing.T) {
	arena := &testArena{}
	memory := openArena(t, arena)
	blocks := make(chan *Block, 8)
	var givers, closers sync.WaitGroup
	for range 4 {
		givers.Add(1)
		closers.Add(1)
		go func() {
			defer givers.Done()
			for range 300 {
				block, err := memory.GetBlock(64)
				if err != nil {
					t.Error(err)
					return
				}
				copy(block.Data(), "goroutine")
				blocks <- block
			}
		}()
		go func() {
			defer closers.Done()
			for block := range blocks {
				if string(block.Data()[:9]) != "goroutine" {
					t.Error("the block has changed")
				}
				block.Close() // on another thread than it was reserved on
			}
		}()
	}
	givers.Wait()
	close(blocks)
	closers.Wait()
	memory.Close()
	arena.ended(t)
}
