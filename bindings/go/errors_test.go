//go:build cgo

package samebytes_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

func TestWhatTheSystemRefusedMatchesItsErrnoAndTheErrorsOfFs(t *testing.T) {
	folder := t.TempDir()
	store := filepath.Join(folder, "visits")
	manager, err := samebytes.OpenVisitManager(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	taken := filepath.Join(folder, "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(folder, "missing", "visits")
	for _, c := range []struct {
		name   string
		call   func() error
		status samebytes.Status
		errno  syscall.Errno
		match  error
		path   string
	}{
		{"open in a folder that is missing", func() error { _, err := samebytes.NewVisitManager(missing, 10); return err },
			samebytes.ErrIO, syscall.ENOENT, fs.ErrNotExist, missing},
		{"read a store that is missing", func() error {
			_, err := samebytes.OpenVisitManager(store+"2", &samebytes.VisitManagerOptions{ReadOnly: true})
			return err
		}, samebytes.ErrNotFound, syscall.ENOENT, fs.ErrNotExist, store + "2"},
		{"verify a store that is missing", func() error { _, err := samebytes.VerifyVisits(store + "2"); return err },
			samebytes.ErrNotFound, syscall.ENOENT, fs.ErrNotExist, store + "2"},
		{"copy onto a file", func() error { return manager.CopyTo(taken) },
			samebytes.ErrInvalidArgument, syscall.EEXIST, fs.ErrExist, taken},
		{"open a store twice", func() error { _, err := samebytes.OpenVisitManager(store, nil); return err },
			samebytes.ErrLocked, syscall.EAGAIN, syscall.EWOULDBLOCK, store},
		{"load a schema file that is missing", func() error { _, err := samebytes.LoadSchemas(store + "2"); return err },
			samebytes.ErrNotFound, syscall.ENOENT, fs.ErrNotExist, store + "2"},
		{"load a folder as a schema file", func() error { _, err := samebytes.LoadSchemas(folder); return err },
			samebytes.ErrIO, syscall.EISDIR, syscall.EISDIR, folder},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.call()
			var found *samebytes.Error
			if !errors.As(err, &found) || !errors.Is(err, c.status) || !errors.Is(err, c.errno) || !errors.Is(err, c.match) {
				t.Fatalf("%v does not match %v, %v and %v", err, c.status, c.errno, c.match)
			}
			if found.SystemError != c.errno || found.Path != c.path || strings.Count(err.Error(), c.path) != 1 {
				t.Errorf("errno %d and path %q in %q", found.SystemError, found.Path, err)
			}
		})
	}
}

func TestWhatTheSystemDidNotRefuseMatchesNoErrno(t *testing.T) {
	_, err := samebytes.NewVisitManager(t.TempDir(), 10)
	var number syscall.Errno
	if err == nil || errors.As(err, &number) && number == 0 {
		t.Fatalf("%v matches an errno of 0", err)
	}
}
