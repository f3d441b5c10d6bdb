//go:build cgo

package samebytes

import (
	"context"
	"errors"
	"net"
)

// waitSliceMs is how long a call waits in C before it looks at its context again.
const waitSliceMs = 50

// OpenChannelConn is NewChannel for a connection, which nothing else may use from then on, and which may be closed at once.
func OpenChannelConn(conn *net.UnixConn, options *ChannelOptions) (channel *Channel, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, gone("OpenChannelConn", "the connection cannot be used", err)
	}
	failed := raw.Control(func(descriptor uintptr) {
		channel, err = NewChannel(int32(descriptor), options)
	})
	if failed != nil {
		return nil, gone("OpenChannelConn", "the connection cannot be used", failed)
	}
	return channel, err
}

// Receive waits for what the peer sends next, until ctx ends: a View or a Block, the other one being nil, and its tag.
//
//   - Ownership: the caller closes what it gets.
//   - Threads: one goroutine at a time; others may send.
//   - Errors: those of Next; ErrTimeout after ctx's deadline, and what ctx says when it was cancelled.
//   - Since: 1.0
func (c *Channel) Receive(ctx context.Context) (view *View, block *Block, tag uint64, err error) {
	for {
		var kind int32
		kind, tag, err = c.Next(waitSliceMs)
		switch {
		case err == nil && kind == ArrivalView:
			view, err = c.ReceiveView(0)
			return view, nil, tag, err
		case err == nil:
			block, err = c.ReceiveBlock(0)
			return nil, block, tag, err
		case !errors.Is(err, ErrTimeout):
			return nil, nil, 0, err
		case ctx.Err() != nil:
			return nil, nil, 0, stopped("Channel.Receive", ctx)
		}
	}
}

// WaitDoneContext is WaitDone until ctx ends.
func (c *Channel) WaitDoneContext(ctx context.Context) error {
	for {
		err := c.WaitDone(waitSliceMs)
		if !errors.Is(err, ErrTimeout) {
			return err
		}
		if ctx.Err() != nil {
			return stopped("Channel.WaitDoneContext", ctx)
		}
	}
}
