//go:build cgo

package samebytes

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

const digits = "0123456789abcdefghijklmnopqrstuvwxyz"

func need[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// viewIn makes a view of text in blocks of size bytes.
func viewIn(t *testing.T, size int, text []byte) *View {
	memory := need(OpenMemoryFixed(uint32(size)))
	defer memory.Close()
	view := need(NewView(text, memory))
	t.Cleanup(func() { view.Close() })
	return view
}

func bufIn(t *testing.T, size int) *Buf {
	memory := need(OpenMemoryFixed(uint32(size)))
	defer memory.Close()
	buf := need(NewBuf(memory))
	t.Cleanup(func() { buf.Close() })
	return buf
}

func TestAViewIsAReader(t *testing.T) {
	for _, size := range []int{1, 2, 3, 7, 64} {
		if err := iotest.TestReader(viewIn(t, size, []byte(digits)), []byte(digits)); err != nil {
			t.Error(err)
		}
		lines := bufio.NewReader(viewIn(t, size, []byte("one\ntwo\n")))
		if line, err := lines.ReadString('\n'); line != "one\n" || err != nil {
			t.Errorf("%q, %v", line, err)
		}
		view := viewIn(t, size, []byte("ab"))
		for _, want := range []byte("ab") {
			if got, err := view.ReadByte(); got != want || err != nil {
				t.Errorf("ReadByte: %c, %v", got, err)
			}
		}
		if _, err := view.ReadByte(); err != io.EOF {
			t.Errorf("ReadByte at the end: %v", err)
		}
		if size, err := view.Read(nil); size != 0 || err != nil {
			t.Errorf("reading nothing: %d, %v", size, err)
		}
	}
	var missing *View
	if _, err := missing.Read(make([]byte, 1)); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("nil: %v", err)
	}
	closed := viewIn(t, 3, []byte("x"))
	closed.Close()
	if _, err := closed.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) && err != io.EOF {
		t.Errorf("closed: %v", err)
	}
}

func TestABufIsAWriterAndReadsFromReaders(t *testing.T) {
	for _, size := range []int{1, 3, 64} {
		buf := bufIn(t, size)
		fmt.Fprintf(buf, "%d-%s", 12, "x")
		need(buf.WriteString("yz"))
		if err := buf.WriteByte('!'); err != nil {
			t.Error(err)
		}
		for _, reader := range []io.Reader{strings.NewReader(digits), iotest.OneByteReader(strings.NewReader(digits)),
			iotest.DataErrReader(strings.NewReader(digits))} {
			if got, err := buf.ReadFrom(reader); got != int64(len(digits)) || err != nil {
				t.Errorf("ReadFrom: %d, %v", got, err)
			}
		}
		view := need(buf.Take(buf.Size()))
		if text := string(need(view.Bytes())); text != "12-xyz!"+digits+digits+digits {
			t.Errorf("%q", text)
		}
		view.Close()
	}
}

type badReader int

func (b badReader) Read(data []byte) (int, error) {
	return int(b) * (len(data) + 1), nil
}

func TestReadersThatFailLeaveWhatWasRead(t *testing.T) {
	buf := bufIn(t, 4)
	broken := errors.New("broken")
	if got, err := buf.ReadFrom(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken))); got != 3 || err != broken {
		t.Errorf("%d, %v", got, err)
	}
	if _, err := buf.ReadFrom(badReader(0)); err != io.ErrNoProgress {
		t.Errorf("a reader that gives nothing: %v", err)
	}
	for _, wrong := range []badReader{1, -1} {
		if _, err := buf.ReadFrom(wrong); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("a reader that lies: %v", err)
		}
	}
	if buf.Size() != 3 {
		t.Errorf("%d bytes", buf.Size())
	}
	view := viewIn(t, 3, []byte(digits))
	short := &limitedWriter{left: 10}
	if got, err := view.WriteTo(short); got != 10 || err != io.ErrShortWrite {
		t.Errorf("WriteTo: %d, %v", got, err)
	}
	if left := string(need(view.Bytes())); left != digits[10:] {
		t.Errorf("left: %q", left)
	}
}

type limitedWriter struct{ left int }

func (w *limitedWriter) Write(data []byte) (int, error) {
	size := min(len(data), w.left)
	w.left -= size
	if size < len(data) {
		return size, io.ErrShortWrite
	}
	return size, nil
}

func connected(t *testing.T, network, address string) (net.Conn, net.Conn) {
	listener := need(net.Listen(network, address))
	defer listener.Close()
	near := need(net.Dial(network, listener.Addr().String()))
	far := need(listener.Accept())
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func TestViewsGoThroughSockets(t *testing.T) {
	payload := make([]byte, 100_000)
	need(rand.Read(payload))
	for _, size := range []int{1, 7, 1000} {
		for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket")} {
			near, far := connected(t, network, address)
			view := viewIn(t, size, payload[:5000*min(size, 20)])
			want := view.Size()
			go func() {
				if sent, err := io.Copy(near, view); sent != int64(want) || err != nil {
					t.Errorf("sent %d, %v", sent, err)
				}
				near.Close()
			}()
			buf := bufIn(t, 4096)
			if got, err := io.Copy(buf, far); got != int64(want) || err != nil {
				t.Errorf("%s: received %d, %v", network, got, err)
			}
			received := need(buf.Take(want))
			if !bytes.Equal(need(received.Bytes()), payload[:want]) {
				t.Errorf("%s: other bytes", network)
			}
			received.Close()
		}
	}
}

func TestPiecesOfRoomAreFilledInOrder(t *testing.T) {
	buf := bufIn(t, 4)
	if err := buf.Reserve(10); err != nil {
		t.Fatal(err)
	}
	pieces := need(buf.BeginIovec(10))
	at := 0
	for _, piece := range pieces {
		at += copy(piece, digits[at:])
	}
	if at != 12 {
		t.Errorf("%d bytes of room", at)
	}
	if err := buf.Commit(13); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("committing too much: %v", err)
	}
	if err := buf.Commit(9); err != nil {
		t.Error(err)
	}
	view := need(buf.Peek())
	defer view.Close()
	if text := string(need(view.Bytes())); text != digits[:9] {
		t.Errorf("%q", text)
	}
	for _, wrong := range []int{0, -1} {
		if _, err := buf.BeginIovec(wrong); err == nil {
			t.Errorf("%d pieces", wrong)
		}
	}
	if _, err := view.GetIovec(10, 1); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("offset past the end: %v", err)
	}
	if shown := need(view.GetIovec(5, 1)); len(shown) != 1 || string(shown[0]) != "567" {
		t.Errorf("%q", shown)
	}
}

func TestASliceOfGoIsShownAndLetGoOnce(t *testing.T) {
	ReleaseForeign()
	data := []byte(digits)
	view := need(OpenViewForeign(data[3:20]))
	if need(view.Span(0))[0] != '3' || &need(view.Span(0))[0] != &data[3] {
		t.Error("the view has a copy")
	}
	part := need(view.Range(2, 5))
	view.Close()
	if ReleaseForeign() != 1 {
		t.Error("let go although a view shows it")
	}
	if text := string(need(part.Bytes())); text != digits[5:10] {
		t.Errorf("%q", text)
	}
	part.Skip(5)
	if ReleaseForeign() != 0 {
		t.Error("kept although no view shows it")
	}
	part.Close()
	empty := need(OpenViewForeign(nil))
	if empty.Size() != 0 {
		t.Errorf("%d bytes of nil", empty.Size())
	}
	empty.Close()
	if left := ReleaseForeign(); left != 0 {
		t.Errorf("%d are left", left)
	}
}

func TestSlicesOfGoLiveAsLongAsTheirViews(t *testing.T) {
	ReleaseForeign()
	var workers sync.WaitGroup
	for worker := range 4 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for i := range 200 {
				text := fmt.Sprintf("worker %d, slice %d", worker, i)
				view := need(OpenViewForeign([]byte(text)))
				if i%50 == 0 {
					runtime.GC()
				}
				if got := string(need(view.Bytes())); got != text {
					t.Errorf("%q became %q", text, got)
				}
				view.Close()
			}
		}()
	}
	workers.Wait()
	if left := ReleaseForeign(); left != 0 {
		t.Errorf("%d are left", left)
	}
}

func TestTheCollectorLetsSlicesGo(t *testing.T) {
	ReleaseForeign()
	func() { need(OpenViewForeign(bytes.Repeat([]byte("x"), 1000))) }()
	for end := time.Now().Add(10 * time.Second); ReleaseForeign() != 0; {
		if time.Now().After(end) {
			t.Fatal("the slice is still pinned")
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
}
