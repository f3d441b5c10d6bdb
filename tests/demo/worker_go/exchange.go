package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	samebytes "github.com/samebytes/samebytes/bindings/go"
	"github.com/samebytes/samebytes/bindings/go/echo"
)

const (
	inFlightWanted = 64                     // requests that a pipelining client is known to send without waiting
	lull           = 200 * time.Millisecond // how long the server lets it catch up to that number,
	lullsMax       = 3                      // and how often it does so in vain
)

// stream is a connection with a parser for what comes and a builder for what goes.
type stream struct {
	conn    *net.TCPConn
	raw     syscall.RawConn
	parser  *echo.Parser
	builder *echo.Builder
}

func newStream(conn *net.TCPConn, direction int32, memory *samebytes.Memory) (*stream, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	parser, err := echo.NewParser(direction, parserOptions(memory))
	if err != nil {
		return nil, err
	}
	builder, err := echo.NewBuilder(memory)
	if err != nil {
		parser.Close()
		return nil, err
	}
	return &stream{conn, raw, parser, builder}, nil
}

func (s *stream) close() {
	s.parser.Close()
	s.builder.Close()
}

// receive waits for bytes and reads them into the parser's memory; io.EOF at the end.
func (s *stream) receive() error {
	room, err := s.parser.Buffer()
	if err != nil {
		return err
	}
	count, err := s.conn.Read(room)
	if err != nil {
		return err
	}
	return s.parser.Commit(count)
}

// receiveMore is receive for what is there already; false when nothing is.
func (s *stream) receiveMore() (more bool, err error) {
	room, err := s.parser.Buffer()
	if err != nil {
		return false, err
	}
	count := 0
	var readError error
	err = s.raw.Read(func(fd uintptr) bool {
		count, readError = syscall.Read(int(fd), room)
		return true // do not wait
	})
	if err != nil {
		return false, err
	}
	if readError != nil || count == 0 { // nothing now, or an end that the next receive meets as well
		return false, nil
	}
	return true, s.parser.Commit(count)
}

// send writes all that the builder has.
func (s *stream) send() error {
	frames, err := s.builder.Take()
	if err != nil {
		return err
	}
	defer frames.Close()
	_, err = frames.WriteTo(s.conn)
	return err
}

// refusals is an error if the parser refused a frame: here nobody sends bad ones.
func (s *stream) refusals() error {
	refused, err := s.parser.Errors()
	if err == nil && len(refused) > 0 {
		err = refused[0]
	}
	return err
}

type served struct {
	Frames      int `json:"frames"`
	InFlightMax int `json:"in_flight_max"`
	leaks
}

func serve() error {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := show(map[string]int{"port": listener.Addr().(*net.TCPAddr).Port}); err != nil {
		return err
	}
	conn, err := listener.AcceptTCP()
	if err != nil {
		return err
	}
	defer conn.Close()
	var result served
	result.leaks, err = traced(func(memory *samebytes.Memory) error {
		s, err := newStream(conn, samebytes.DirectionRequest, memory)
		if err != nil {
			return err
		}
		defer s.close()
		return s.answerAll(&result)
	})
	if err != nil {
		return err
	}
	return show(result)
}

// answerAll answers until the client half-closes.
func (s *stream) answerAll(result *served) error {
	lulls := 0
	for {
		if err := s.receive(); errors.Is(err, io.EOF) {
			return s.checkEnd()
		} else if err != nil {
			return err
		}
		requests, err := s.pending()
		if err != nil {
			return err
		}
		// A client that pipelines is still sending: until it was seen to do so, let it, so that the number says what it does, not how
		// the system cut its bytes.
		for max(result.InFlightMax, len(requests)) < inFlightWanted && lulls < lullsMax {
			more, err := s.afterLull()
			if err != nil {
				return err
			}
			requests = append(requests, more...)
			if len(more) == 0 {
				lulls++
				break
			}
		}
		result.InFlightMax = max(result.InFlightMax, len(requests))
		for _, request := range requests {
			response := echo.Response{Sequence: request.Sequence, ID: int32(result.Frames), Timestamp: request.Timestamp,
				Subject: request.Subject, Body: request.Body}
			if err := s.builder.AddResponse(response); err != nil {
				return err
			}
			result.Frames++
		}
		if err := s.send(); err != nil {
			return err
		}
	}
}

// pending returns the requests that have arrived, and reads on as long as more is there already: at most as many as may be in flight.
func (s *stream) pending() ([]echo.Request, error) {
	var requests []echo.Request
	for {
		rows, err := s.parser.Parse()
		if err == nil {
			err = s.refusals()
		}
		if err != nil {
			return nil, err
		}
		requests = append(requests, rows...)
		if len(requests) >= samebytes.PipelineMax {
			return requests, nil
		}
		if more, err := s.receiveMore(); err != nil || !more {
			return requests, err
		}
	}
}

// afterLull returns the requests that arrive within a moment; none at the end, which the next receive meets as well.
func (s *stream) afterLull() ([]echo.Request, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(lull)); err != nil {
		return nil, err
	}
	err := s.receive()
	if resetError := s.conn.SetReadDeadline(time.Time{}); resetError != nil {
		return nil, resetError
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.pending()
}

// checkEnd tells whether the stream ended between two frames, as it must.
func (s *stream) checkEnd() error {
	if _, err := s.parser.Parse(); err != nil {
		return err
	}
	if s.parser.Need() != 4 {
		return fmt.Errorf("the stream ended inside a frame: %d bytes are missing", s.parser.Need())
	}
	return nil
}

func client(port, logPath string) error {
	requests, _, err := readLog(logPath)
	if err != nil {
		return err
	}
	address, err := net.ResolveTCPAddr("tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return err
	}
	conn, err := net.DialTCP("tcp4", nil, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	start := time.Now()
	left, err := traced(func(memory *samebytes.Memory) error {
		return exchange(conn, requests, memory)
	})
	if err != nil {
		return err
	}
	return show(struct {
		Frames  int     `json:"frames"`
		Seconds float64 `json:"seconds"`
		leaks
	}{len(requests), time.Since(start).Seconds(), left})
}

// exchange sends all requests and checks all responses. Writing has a goroutine of its own, because client and server would wait for
// each other for ever if both only wrote.
func exchange(conn *net.TCPConn, requests []echo.Request, memory *samebytes.Memory) error {
	s, err := newStream(conn, samebytes.DirectionResponse, memory)
	if err != nil {
		return err
	}
	defer s.close()
	pipeline, err := samebytes.NewPipeline()
	if err != nil {
		return err
	}
	defer pipeline.Close()
	batches := make(chan *samebytes.View, samebytes.PipelineMax) // each holds at least one request in flight, so it never fills up
	written := make(chan error, 1)
	go func() { written <- writeAll(conn, batches) }()
	err = s.matchAll(pipeline, requests, batches)
	close(batches)
	if err != nil {
		conn.Close() // so that the writer does not wait
		<-written
		return err
	}
	return <-written
}

func writeAll(conn *net.TCPConn, batches <-chan *samebytes.View) error {
	var failed error
	for frames := range batches {
		if failed == nil {
			_, failed = frames.WriteTo(conn)
		}
		frames.Close()
	}
	if failed != nil {
		return failed
	}
	return conn.CloseWrite()
}

// matchAll keeps as many requests in flight as can be, and checks each response against its request.
func (s *stream) matchAll(pipeline *samebytes.Pipeline, requests []echo.Request, batches chan<- *samebytes.View) error {
	sent, answered := 0, 0
	for answered < len(requests) {
		first := sent
		for ; sent < len(requests) && pipeline.InFlight() < samebytes.PipelineMax; sent++ {
			request := requests[sent]
			sequence, err := pipeline.Begin(uint64(sent))
			if err != nil {
				return err
			}
			request.Sequence = sequence
			if err := s.builder.Add(request); err != nil {
				return fmt.Errorf("line %d: %w", sent+1, err)
			}
		}
		if sent > first {
			frames, err := s.builder.Take()
			if err != nil {
				return err
			}
			batches <- frames
		}
		count, err := s.match(pipeline, requests)
		if err != nil {
			return err
		}
		answered += count
	}
	return nil
}

func (s *stream) match(pipeline *samebytes.Pipeline, requests []echo.Request) (count int, err error) {
	if err := s.receive(); errors.Is(err, io.EOF) {
		return 0, errors.New("the server closed before it answered everything")
	} else if err != nil {
		return 0, err
	}
	responses, err := s.parser.ParseResponses()
	if err == nil {
		err = s.refusals()
	}
	if err != nil {
		return 0, err
	}
	for _, response := range responses {
		index, err := pipeline.Finish(response.Sequence)
		if err != nil {
			return 0, fmt.Errorf("a response with sequence %d that nobody waits for: %w", response.Sequence, err)
		}
		if err := difference(int(index), requests[index], response); err != nil {
			return 0, err
		}
	}
	return len(responses), nil
}
