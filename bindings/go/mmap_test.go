//go:build cgo

package samebytes

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAMappedFileIsShownAsItLies(t *testing.T) {
	wanted := bytes.Repeat([]byte("mapped bytes "), 1000)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, wanted, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := syscall.Mmap(int(file.Fd()), 0, len(wanted), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	view := mustOpen[*View](t)(OpenViewForeign(data))
	span, err := view.Span(0)
	if err != nil || &span[0] != &data[0] || len(span) != len(wanted) {
		t.Errorf("the view shows other memory: %d bytes, %v", len(span), err)
	}
	part := mustOpen[*View](t)(view.Range(7, 5))
	copied := mustOpen[*View](t)(view.Flatten(nil))
	view.Close()
	if ReleaseForeign() != 1 {
		t.Error("the mapping is let go while a part of it is shown")
	}
	if found, err := part.Bytes(); err != nil || string(found) != "bytes" {
		t.Errorf("%q, %v", found, err)
	}
	out := filepath.Join(t.TempDir(), "out")
	written, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := copied.WriteTo(written); err != nil || n != int64(len(wanted)) {
		t.Errorf("%d bytes written, %v", n, err)
	}
	written.Close()
	part.Close()
	if ReleaseForeign() != 0 {
		t.Error("the mapping is kept")
	}
	if err := syscall.Munmap(data); err != nil {
		t.Error(err)
	}
	if found, err := os.ReadFile(out); err != nil || !bytes.Equal(found, wanted) {
		t.Errorf("%d bytes found, %v", len(found), err)
	}
	copied.Close()
}
