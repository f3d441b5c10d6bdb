//go:build cgo

package samebytes

import (
	"errors"
	"testing"
)

func TestBlocksWhoseTagFailedArePutBack(t *testing.T) {
	pool, err := NewPool(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	pool.traces.Store(2) // it does not, so that each tag fails
	if blocks, err := pool.GetMany(100, 3); blocks != nil || !errors.Is(err, ErrUnsupported) || errors.Is(err, ErrInvalidArgument) {
		t.Errorf("GetMany: %v, %v", blocks, err)
	}
	if data, err := pool.Get(100); data != nil || !errors.Is(err, ErrUnsupported) {
		t.Errorf("Get: %v, %v", data, err)
	}
	stats, err := pool.GetStats()
	if err != nil || stats.Outstanding != 0 {
		t.Errorf("%d blocks are out: %v", stats.Outstanding, err)
	}
}
