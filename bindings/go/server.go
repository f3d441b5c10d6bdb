//go:build cgo

package samebytes

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"runtime/debug"
)

// Handler is called for each request, in the order of the stream, by one goroutine. It answers by reply, at once or later, from any
// goroutine; the requests behind it come when it returns. ctx ends when Serve knows that the connection has. A panic of it ends its connection
// only; Serve says how it is told.
type Handler func(ctx context.Context, request Message, reply *Reply)

// server answers the requests of one connection.
type server struct {
	link
	slots   chan struct{}     // holds one item per request whose answer has not been written
	waiting [PipelineMax]bool // sequences of requests that have not been answered, as uint8; guarded by mutex
}

// Reply answers one request.
type Reply struct {
	server   *server
	response *Schema
	sequence int8
	sent     bool // guarded by the server's mutex
}

// Serve answers the requests that come on conn until the peer has sent all it wants to, and every answer has been written; then it
// returns nil. It always closes conn. options tell how requests are parsed, and where frames lie in both directions; nil means the
// defaults. It keeps the schemas by itself.
//
// At most PipelineMax requests are unanswered or have answers that the peer has not taken; then Serve stops reading until it has.
//
// When handle panics, Serve ends the connection, logs the panic with its stack as net/http does, and returns an error that matches ErrProvider
// and in which errors.As finds the *PanicError. Nothing else is touched: other connections go on.
//
// It returns an error when ctx ends: one that matches ctx.Err(), and ErrTimeout for a deadline; ErrUnavailable when the connection
// fails, or ends within a frame; ErrCorrupt for a request with the sequence of an unanswered one; and the frame's own error for a request that
// cannot be read.
func Serve(ctx context.Context, conn net.Conn, exchanges []Exchange, handle Handler, options *ParserOptions) (err error) {
	const op = "Serve"
	s := &server{slots: make(chan struct{}, PipelineMax)}
	if err := s.open(op, conn, exchanges, DirectionRequest, options); err != nil {
		if conn != nil {
			conn.Close()
		}
		return err
	}
	// The handler's context ends after the link, so that a reply that follows on it is refused for certain.
	inside, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unwatch := context.AfterFunc(ctx, func() { s.stop(stopped(op, ctx)); cancel() })
	end := errAbandoned
	// Deferred, because the handler may end this goroutine: by runtime.Goexit, as t.FailNow does.
	defer func() {
		unwatch()
		end = s.stop(end)
		cancel()
		s.workers.Wait()
		s.mutex.Lock() // whoever is sending a reply
		defer s.mutex.Unlock()
		s.release()
		if end != errServed {
			err = end
		}
	}()
	s.workers.Add(1)
	go func() {
		defer s.workers.Done()
		if err := s.write(op, s.freeSlots); err != nil {
			s.stop(err)
			cancel()
		}
	}()
	end = s.read(op, func(requests []Message) error { return s.handle(inside, requests, handle) })
	if end == io.EOF {
		if end = s.drain(); end == nil {
			end = errServed
		}
	}
	return nil
}

// PanicError is what a Handler panicked with.
type PanicError struct {
	Value any    // the argument of panic
	Stack []byte // of the goroutine, as debug.Stack formats it
}

// Error returns the value as text, without the stack.
func (p *PanicError) Error() string {
	return fmt.Sprintf("panic: %v", p.Value)
}

// Unwrap returns the value where it is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// errAbandoned ends the connection when its goroutine ends without a word.
var errAbandoned error = &Error{Status: ErrClosed, Frame: NoFrame, op: "Serve", Message: "the handler has ended its goroutine"}

// errServed ends the connection when everything was answered.
var errServed error = &Error{Status: ErrClosed, Frame: NoFrame, op: "Serve", Message: "the connection has been served"}

// Send sends the answer; values are as Builder.Add takes them, and what they hold is copied. It does not wait until they are written.
//
// Errors: those of Builder.Add, after which the right values may be sent; ErrInvalidArgument when the request has been answered; what
// ended the connection.
func (r *Reply) Send(values ...any) error {
	s := r.server
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if r.sent {
		return refuse("Reply.Send", "the request has been answered")
	}
	if s.end != nil {
		return s.end
	}
	if err := s.builder.Add(r.response, r.sequence, values...); err != nil {
		return err
	}
	r.sent = true
	s.waiting[uint8(r.sequence)] = false
	s.wakeWriter()
	return nil
}

func (s *server) handle(ctx context.Context, requests []Message, handle Handler) error {
	for _, request := range requests {
		if err := s.expect(&request); err != nil {
			return err
		}
		select {
		case s.slots <- struct{}{}:
		case <-s.ended:
			return s.reason()
		}
		reply := &Reply{server: s, response: s.exchanges[request.APIKey].Response, sequence: request.Sequence}
		if err := s.call(ctx, request, reply, handle); err != nil {
			return err
		}
	}
	return nil
}

// call calls the handler. A panic becomes an error, and is logged: whoever starts Serve by a go statement drops what it returns.
func (s *server) call(ctx context.Context, request Message, reply *Reply, handle Handler) (err error) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		panicked := &PanicError{Value: value, Stack: debug.Stack()}
		log.Printf("samebytes: panic serving %v: %v\n%s", s.conn.RemoteAddr(), value, panicked.Stack)
		err = &Error{Status: ErrProvider, Frame: NoFrame, op: "Serve", Message: "the handler failed", cause: panicked}
	}()
	handle(ctx, request, reply)
	return nil
}

// expect notes that the request is to be answered.
func (s *server) expect(request *Message) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.waiting[uint8(request.Sequence)] {
		return wrong(request, ErrCorrupt, "a request with sequence %d, though an earlier one has not been answered", request.Sequence)
	}
	s.waiting[uint8(request.Sequence)] = true
	return nil
}

// drain waits until every answer has been written.
func (s *server) drain() error {
	for range PipelineMax {
		select {
		case s.slots <- struct{}{}:
		case <-s.ended:
			return s.reason()
		}
	}
	return nil
}

func (s *server) freeSlots(count int) {
	for range count {
		<-s.slots
	}
}
