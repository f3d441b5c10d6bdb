//go:build cgo

package samebytes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
)

// Exchange is a request, and the response that answers it.
type Exchange struct {
	Request  *Schema
	Response *Schema
}

// link is what a Client and Serve share: one goroutine reads frames from a connection, straight into the parser's memory, another writes
// those that were built meanwhile, straight from the builder's. The first failure ends both. Invariant: whoever uses builder, taken or end holds
// mutex; parser and batch belong to the goroutine that reads.
type link struct {
	conn      net.Conn
	out       io.Writer         // what writes to conn
	exchanges map[int8]Exchange // by the api_key of the request; the schemas are the link's
	parser    *Parser
	batch     *Batch
	received  int64 // bytes
	parsed    int64 // bytes of frames that gave rows

	mutex   sync.Mutex
	builder *Builder
	taken   int64         // bytes of frames that are being written, or have been
	end     error         // what ended the link; nil while it goes on
	ended   chan struct{} // closed when end is set
	wake    chan struct{} // holds something when there may be frames to write
	workers sync.WaitGroup
}

// open makes the parts of a link that receives messages of one direction.
func (l *link) open(op string, conn net.Conn, exchanges []Exchange, receives int32, options *ParserOptions) (err error) {
	if conn == nil {
		return refuse(op, "conn is nil")
	}
	l.conn, l.out, l.exchanges = conn, conn, make(map[int8]Exchange, len(exchanges))
	l.ended, l.wake = make(chan struct{}), make(chan struct{}, 1)
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	var schemas []*Schema
	for _, exchange := range exchanges {
		if err := l.add(op, exchange); err != nil {
			return err
		}
		schema := exchange.Request
		if receives == DirectionResponse {
			schema = exchange.Response
		}
		if !slices.Contains(schemas, schema) { // several requests may have the same response
			schemas = append(schemas, schema)
		}
	}
	if options == nil {
		options = &ParserOptions{}
	}
	if l.parser, err = NewParser(schemas, options); err != nil {
		return err
	}
	if l.batch, err = NewBatch(); err != nil {
		return err
	}
	l.builder, err = NewBuilder(options.Memory)
	return err
}

// add checks an exchange, and keeps its schemas.
func (l *link) add(op string, exchange Exchange) error {
	var kept Exchange
	var err error
	if kept.Request, err = exchange.Request.Retain(); err != nil {
		return err
	}
	if kept.Response, err = exchange.Response.Retain(); err != nil {
		kept.Request.Close()
		return err
	}
	key := kept.Request.APIKey()
	_, known := l.exchanges[key]
	switch {
	case kept.Request.Direction() != DirectionRequest:
		err = refuse(op, kept.Request.Name()+" is the Request of an exchange, but its direction is response")
	case kept.Response.Direction() != DirectionResponse:
		err = refuse(op, kept.Response.Name()+" is the Response of an exchange, but its direction is request")
	case known:
		err = refuse(op, fmt.Sprintf("%s and %s both have api_key %d", l.exchanges[key].Request.Name(), kept.Request.Name(), key))
	}
	if err != nil {
		kept.Request.Close()
		kept.Response.Close()
		return err
	}
	l.exchanges[key] = kept
	return nil
}

// release gives everything in C back. No goroutine uses the link any more.
func (l *link) release() {
	l.parser.Close()
	l.batch.Close()
	l.builder.Close()
	for _, exchange := range l.exchanges {
		exchange.Request.Close()
		exchange.Response.Close()
	}
}

// stop ends the link, unless it has ended, and returns what ended it first.
func (l *link) stop(err error) error {
	l.mutex.Lock()
	first := l.end == nil
	if first {
		l.end = err
		close(l.ended)
	}
	err = l.end
	l.mutex.Unlock()
	if first {
		l.conn.Close() // what it returns cannot matter any more
	}
	return err
}

// reason returns what ended the link.
func (l *link) reason() error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.end
}

// read receives until the link ends, and gives each batch of messages to handle. It returns io.EOF when the peer sent all it wanted to.
func (l *link) read(op string, handle func([]Message) error) error {
	for {
		room, err := l.parser.Buffer()
		if err != nil {
			return err
		}
		size, failed := l.conn.Read(room)
		if size > 0 {
			if err := l.parse(size, handle); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(failed, io.EOF) && l.parsed == l.received:
			return io.EOF
		case errors.Is(failed, io.EOF):
			return gone(op, "the peer ended the connection within a frame", io.ErrUnexpectedEOF)
		case failed != nil:
			return gone(op, "receiving failed", failed)
		}
	}
}

// parse handles the messages that size more bytes complete. A frame that cannot be read ends the link, after those before it: nobody can
// know which sequence it is about.
func (l *link) parse(size int, handle func([]Message) error) error {
	if err := l.parser.Commit(size); err != nil {
		return err
	}
	l.received += int64(size)
	if err := l.parser.Parse(l.batch); err != nil {
		return err
	}
	defer l.batch.Clear() // so that its memory receives what comes next
	messages, err := l.batch.Messages()
	if err != nil {
		return err
	}
	if len(messages) > 0 {
		last := messages[len(messages)-1].Row
		l.parsed = last.StreamOffset + 4 + int64(last.FrameSize)
		if err := handle(messages); err != nil {
			return err
		}
	}
	if l.batch.ErrorCount() > 0 {
		refused, err := l.batch.GetError(0)
		if err != nil {
			return err
		}
		return refused
	}
	return nil
}

// write sends what is built until the link ends. It calls sent when frames have been written.
func (l *link) write(op string, sent func(frames int)) error {
	for {
		select {
		case <-l.wake:
		case <-l.ended:
			return nil
		}
		frames, count, err := l.take()
		if err != nil {
			return err
		}
		_, err = frames.WriteTo(l.out)
		frames.Close()
		if err != nil {
			return gone(op, "sending failed", err)
		}
		sent(count)
	}
}

func (l *link) take() (*View, int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	count := l.builder.FrameCount()
	frames, err := l.builder.Take()
	if err == nil {
		l.taken += int64(frames.Size())
	}
	return frames, count, err
}

// wakeWriter says that there are frames to write.
func (l *link) wakeWriter() {
	select {
	case l.wake <- struct{}{}:
	default: // the writer has not yet come for those of before, and will see these as well
	}
}

// gone is the error for a connection that does not work any more.
func gone(op, problem string, cause error) error {
	var number syscall.Errno
	_ = errors.As(cause, &number)
	return &Error{Status: ErrUnavailable, SystemError: number, Frame: NoFrame, Message: problem, op: op, cause: cause}
}

// stopped is the error for a context that has ended.
func stopped(op string, ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Status: ErrTimeout, Frame: NoFrame, op: op, cause: cause}
	}
	return fmt.Errorf("samebytes: %s: %w", op, cause)
}
