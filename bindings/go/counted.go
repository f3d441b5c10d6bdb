//go:build cgo

package samebytes

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// countedConn writes to a connection of the system's own, and knows at every moment how much the system has taken: what a peer answers can be
// told from what it cannot have seen yet. Write of package net tells it only at the end, which a peer that has read everything may be ahead of.
type countedConn struct {
	conn  net.Conn
	raw   syscall.RawConn
	mutex sync.Mutex // held while the system is asked to take more, which does not wait
	bytes int64
}

// newCountedConn returns nil for a connection that is not the system's own.
func newCountedConn(conn net.Conn) *countedConn {
	system, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return nil
	}
	return &countedConn{conn: conn, raw: raw}
}

// sent returns how many bytes the system has taken, those that a peer can have read among them.
func (c *countedConn) sent() int64 {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.bytes
}

func (c *countedConn) try(fd int, data []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	n, err := syscall.Write(fd, data)
	if err != nil {
		return 0, err
	}
	c.bytes += int64(n)
	return n, nil
}

func (c *countedConn) Write(data []byte) (int, error) {
	total := 0
	var refused error
	err := c.raw.Write(func(fd uintptr) bool {
		for total < len(data) {
			n, err := c.try(int(fd), data[total:])
			switch err {
			case nil:
				total += n
			case syscall.EINTR:
			case syscall.EAGAIN:
				return false
			default:
				refused = os.NewSyscallError("write", err)
				return true
			}
		}
		return true
	})
	if err == nil && refused != nil {
		local := c.conn.LocalAddr()
		err = &net.OpError{Op: "write", Net: local.Network(), Source: local, Addr: c.conn.RemoteAddr(), Err: refused}
	}
	return total, err
}
