//go:build cgo

package samebytes

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

// counted is a handle on something that counts how often it is destroyed.
type counted struct {
	handle
	destroyed *atomic.Int32
}

func newCounted() *counted {
	c := &counted{destroyed: new(atomic.Int32)}
	destroyed := c.destroyed
	own(c, &c.handle, unsafe.Pointer(new(int)), func(unsafe.Pointer) { destroyed.Add(1) })
	return c
}

func TestTheLastCallInsideDestroys(t *testing.T) {
	c := newCounted()
	if _, err := c.enter("first"); err != nil {
		t.Fatal(err)
	}
	c.close()
	c.close()
	if _, err := c.enter("second"); !errors.Is(err, ErrClosed) {
		t.Errorf("enter after close: %v", err)
	}
	if c.destroyed.Load() != 0 {
		t.Error("destroyed while a call was inside")
	}
	c.leave()
	c.close()
	if c.destroyed.Load() != 1 {
		t.Errorf("destroyed %d times", c.destroyed.Load())
	}
}

func TestManyUsersAndClosersDestroyOnce(t *testing.T) {
	for range 300 {
		c := newCounted()
		var users sync.WaitGroup
		for i := range 4 {
			users.Add(1)
			go func() {
				defer users.Done()
				for range 20 {
					if _, err := c.enter("use"); err == nil {
						if c.destroyed.Load() != 0 {
							t.Error("destroyed while a call was inside")
						}
						c.leave()
					}
				}
				if i%2 == 0 {
					c.close()
				}
			}()
		}
		users.Wait()
		if c.destroyed.Load() != 1 {
			t.Fatalf("destroyed %d times", c.destroyed.Load())
		}
	}
}

func TestTakingOver(t *testing.T) {
	c := newCounted()
	if _, err := c.enter("use"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.take("take"); !errors.Is(err, ErrBusy) {
		t.Errorf("take while a call is inside: %v", err)
	}
	c.leave()
	if _, err := c.take("take"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.enter("use"); !errors.Is(err, ErrBusy) {
		t.Errorf("enter during take: %v", err)
	}
	c.taken(false)
	if _, err := c.enter("use"); err != nil {
		t.Errorf("enter after a take that failed: %v", err)
	}
	c.leave()
	if _, err := c.take("take"); err != nil {
		t.Fatal(err)
	}
	c.taken(true)
	c.close()
	if _, err := c.take("take"); !errors.Is(err, ErrClosed) || c.destroyed.Load() != 0 {
		t.Errorf("after it was taken over: %v, destroyed %d times", err, c.destroyed.Load())
	}
}

func TestCloseDuringATakeThatFailsDestroys(t *testing.T) {
	c := newCounted()
	if _, err := c.take("take"); err != nil {
		t.Fatal(err)
	}
	c.close()
	if c.destroyed.Load() != 0 {
		t.Error("destroyed during the take")
	}
	c.taken(false)
	if c.destroyed.Load() != 1 {
		t.Errorf("destroyed %d times", c.destroyed.Load())
	}
}

func TestAZeroObjectIsClosed(t *testing.T) {
	var pool Pool
	if _, err := pool.GetBlock(1); !errors.Is(err, ErrClosed) {
		t.Errorf("GetBlock: %v", err)
	}
	if err := pool.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
