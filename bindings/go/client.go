//go:build cgo

package samebytes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// Client sends requests on a connection without waiting for the answers of earlier ones, and finds for each answer, in whatever order
// they come, the request it belongs to. Any number of goroutines may use it. Close it when done.
//
// At most PipelineMax requests are in flight; a further one waits. A request whose caller has given up waiting stays in flight until its
// answer comes, so that no later request can get that answer.
//
// What contradicts the protocol ends the connection: an answer with a sequence that no request in flight has (ErrNotFound), to another
// request than its own (ErrCorrupt), or that cannot be read (the frame's own error). So does a peer that has gone (ErrUnavailable; errors.Is also
// finds what the connection said, such as io.EOF). Every request in flight gets the error then, and so does every later one.
//
// A request is in flight for its answer once the system has taken its last byte. On a connection that is not the system's own, such as that of
// crypto/tls, nobody can know that, and it is as soon as it is being written.
type Client struct {
	link
	slots    chan struct{} // holds one item per request in flight
	pipeline *Pipeline
	pending  [PipelineMax]*Pending // those in flight, by sequence as uint8
	begun    uint64                // requests
	counted  *countedConn          // conn, where it can be counted
}

// Pending is a request in flight.
type Pending struct {
	response int8          // the api_key that the answer must have
	end      int64         // of the request, in the stream of all requests
	done     chan struct{} // closed when message or err is set
	message  Message
	err      error
}

// NewClient makes a client for the exchanges, and takes conn over unless it returns an error. options tell how answers are parsed, and
// where frames lie in both directions; nil means the defaults. The schemas remain the caller's, who may close them at once.
func NewClient(conn net.Conn, exchanges []Exchange, options *ParserOptions) (*Client, error) {
	const op = "Client"
	c := &Client{slots: make(chan struct{}, PipelineMax)}
	if err := c.open("NewClient", conn, exchanges, DirectionResponse, options); err != nil {
		return nil, err
	}
	var err error
	if c.pipeline, err = NewPipeline(); err != nil {
		c.release()
		return nil, err
	}
	if c.counted = newCountedConn(conn); c.counted != nil {
		c.out = c.counted
	}
	c.workers.Add(2)
	go func() {
		defer c.workers.Done()
		err := c.read(op, c.answer)
		if err == io.EOF {
			err = gone(op, "the peer ended the connection", io.EOF)
		}
		c.fail(err)
	}()
	go func() {
		defer c.workers.Done()
		if err := c.write(op, func(int) {}); err != nil {
			c.fail(err)
		}
	}()
	return c, nil
}

// Call sends a request of the exchange whose request has apiKey, with values as Builder.Add takes them, and waits for its answer, whose
// values are as Batch.GetValues returns them.
//
// It returns an error when ctx ends before the answer is there: one that matches ctx.Err(), and ErrTimeout for a deadline.
func (c *Client) Call(ctx context.Context, apiKey int8, values ...any) (Message, error) {
	pending, err := c.Begin(ctx, apiKey, values...)
	if err != nil {
		return Message{}, err
	}
	return pending.Wait(ctx)
}

// Begin is the first half of Call: it sends the request and does not wait for the answer. While PipelineMax requests are in flight it
// waits for the answer to one of them, no longer than ctx. Nothing was sent when it returns an error. What values hold is copied.
func (c *Client) Begin(ctx context.Context, apiKey int8, values ...any) (*Pending, error) {
	const op = "Client.Begin"
	exchange, known := c.exchanges[apiKey]
	if !known {
		return nil, refuse(op, fmt.Sprintf("no request of this client has api_key %d", apiKey))
	}
	if ctx.Err() != nil {
		return nil, stopped(op, ctx)
	}
	select {
	case c.slots <- struct{}{}:
	case <-c.ended: // begin says why
		return c.begin(exchange, values)
	case <-ctx.Done():
		return nil, stopped(op, ctx)
	}
	pending, err := c.begin(exchange, values)
	if err != nil {
		<-c.slots
		return nil, err
	}
	c.wakeWriter()
	return pending, nil
}

func (c *Client) begin(exchange Exchange, values []any) (*Pending, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.end != nil {
		return nil, c.end
	}
	sequence, err := c.pipeline.Begin(c.begun)
	if err != nil {
		return nil, err
	}
	if err := c.builder.Add(exchange.Request, sequence, values...); err != nil {
		_, finish := c.pipeline.Finish(sequence)
		return nil, errors.Join(err, finish)
	}
	pending := &Pending{response: exchange.Response.APIKey(), end: c.taken + int64(c.builder.Size()), done: make(chan struct{})}
	c.pending[uint8(sequence)] = pending
	c.begun++
	return pending, nil
}

// Wait waits for the answer, no longer than ctx. It may be called again, and by several goroutines.
func (p *Pending) Wait(ctx context.Context) (Message, error) {
	select {
	case <-p.done: // also when ctx has ended
		return p.message, p.err
	default:
	}
	select {
	case <-p.done:
		return p.message, p.err
	case <-ctx.Done():
		return Message{}, stopped("Pending.Wait", ctx)
	}
}

// InFlight returns the number of requests whose answers have not come.
func (c *Client) InFlight() int {
	return len(c.slots)
}

// Close closes the connection. Requests in flight get ErrClosed. It may be called again, and while other goroutines are inside calls. It
// never fails.
func (c *Client) Close() error {
	c.fail(&Error{Status: ErrClosed, Frame: NoFrame, op: "Client"})
	c.workers.Wait()
	c.mutex.Lock() // whoever is building a request
	defer c.mutex.Unlock()
	c.pipeline.Close()
	c.release()
	return nil
}

// answer gives each message to the request it answers.
func (c *Client) answer(messages []Message) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.end != nil {
		return c.end
	}
	sent := c.taken
	if c.counted != nil {
		sent = c.counted.sent()
	}
	for i := range messages {
		message := &messages[i]
		pending := c.pending[uint8(message.Sequence)]
		if pending == nil || pending.end > sent {
			return wrong(message, ErrNotFound, "an answer with sequence %d, which no request in flight has", message.Sequence)
		}
		if pending.response != message.APIKey {
			return wrong(message, ErrCorrupt, "an answer with api_key %d and sequence %d, whose request is answered by api_key %d",
				message.APIKey, message.Sequence, pending.response)
		}
		if _, err := c.pipeline.Finish(message.Sequence); err != nil {
			return err
		}
		c.pending[uint8(message.Sequence)] = nil
		<-c.slots
		pending.message = *message
		close(pending.done)
	}
	return nil
}

// wrong is the error for a message that nobody expects.
func wrong(message *Message, status Status, format string, arguments ...any) error {
	return &Error{Status: status, Frame: NoFrame, StreamOffset: message.StreamOffset,
		Message: fmt.Sprintf(format, arguments...) + fmt.Sprintf(", at stream offset %d", message.StreamOffset)}
}

// fail ends the connection, and every request in flight with it.
func (c *Client) fail(err error) {
	err = c.stop(err)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for i, pending := range c.pending {
		if pending != nil {
			c.pending[i] = nil
			<-c.slots
			pending.err = err
			close(pending.done)
		}
	}
}
