//go:build cgo

package samebytes_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// exchanges are two pairs of schemas: Ask (api_key 3) is answered by Answer (4), Other (5) by OtherAnswer (6).
func exchanges(t *testing.T) []samebytes.Exchange {
	t.Helper()
	schema := func(name string, direction int32, apiKey int8, fields ...string) *samebytes.Schema {
		made := must(samebytes.NewSchema(name, direction, apiKey, must(samebytes.NewFields(fields...))))
		t.Cleanup(func() { made.Close() })
		return made
	}
	return []samebytes.Exchange{
		{
			Request:  schema("Ask", samebytes.DirectionRequest, 3, "number", "int32", "texts", "array<string>"),
			Response: schema("Answer", samebytes.DirectionResponse, 4, "text", "string", "number", "int64"),
		},
		{
			Request:  schema("Other", samebytes.DirectionRequest, 5, "numbers", "array<int16>"),
			Response: schema("OtherAnswer", samebytes.DirectionResponse, 6, "sum", "int64"),
		},
	}
}

// tcpPair returns both ends of a connection over loopback.
func tcpPair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close()
	near = must(net.Dial("tcp", listener.Addr().String())).(*net.TCPConn)
	far = must(listener.Accept()).(*net.TCPConn)
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// leaves fails the test when it ends with other blocks out, or more goroutines, than it began with.
func leaves(t *testing.T) {
	t.Helper()
	leakCheck(t)
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<16)
				t.Fatalf("%d goroutines are left\n%s", runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
			}
		}
	})
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// answerBoth is a handler for both exchanges.
func answerBoth(_ context.Context, request samebytes.Message, reply *samebytes.Reply) {
	var err error
	if request.APIKey == 3 {
		var text strings.Builder
		for _, item := range request.Values[1].([][]byte) {
			text.Write(item)
		}
		err = reply.Send(text.String(), -request.Values[0].(int64))
	} else {
		sum := 0
		for _, number := range request.Values[0].([]int16) {
			sum += int(number)
		}
		err = reply.Send(sum)
	}
	if err != nil {
		panic(err)
	}
}

// served runs Serve, and returns its result later.
func served(ctx context.Context, conn net.Conn, exchanges []samebytes.Exchange, handler samebytes.Handler) <-chan error {
	result := make(chan error, 1)
	go func() { result <- samebytes.Serve(ctx, conn, exchanges, handler, nil) }()
	return result
}

func result(t *testing.T, from <-chan error) error {
	t.Helper()
	select {
	case err := <-from:
		return err
	case <-time.After(patience):
		t.Fatal("it does not end")
		return nil
	}
}

// peer is the other side of a Client, byte by byte. It understands requests of exchange 0.
type peer struct {
	net.Conn
	t *testing.T
}

// ask reads one request, and returns its sequence and number.
func (p peer) ask() (sequence byte, number int) {
	p.t.Helper()
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(p, size[:]); err != nil {
		p.t.Fatal(err)
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(p, frame); err != nil {
		p.t.Fatal(err)
	}
	return frame[1], int(binary.BigEndian.Uint32(frame[2:]))
}

func (p peer) send(data []byte) {
	p.t.Helper()
	if _, err := p.Write(data); err != nil {
		p.t.Fatal(err)
	}
}

// answerFrame is an Answer without text.
func answerFrame(sequence byte, number int) []byte {
	return binary.BigEndian.AppendUint64([]byte{0, 0, 0, 14, 4, sequence, 0, 0, 0, 0}, uint64(number))
}

// withPeer makes a client whose other side is in the hands of the test.
func withPeer(t *testing.T) (*samebytes.Client, peer) {
	t.Helper()
	leaves(t)
	near, far := tcpPair(t)
	client := must(samebytes.NewClient(near, exchanges(t), nil))
	t.Cleanup(func() { client.Close() })
	return client, peer{far, t}
}

func begin(t *testing.T, client *samebytes.Client, number int) *samebytes.Pending {
	t.Helper()
	pending, err := client.Begin(soon(t), 3, number, []string{})
	if err != nil {
		t.Fatal(err)
	}
	return pending
}

func wantNumber(t *testing.T, pending *samebytes.Pending, number int) {
	t.Helper()
	message, err := pending.Wait(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := message.Values[1]; got != int64(number) {
		t.Errorf("the answer is %v, not %d", got, number)
	}
}

func TestManyCallersShareAConnection(t *testing.T) {
	for name, pair := range map[string]func() (net.Conn, net.Conn){
		"TCP":      func() (net.Conn, net.Conn) { return tcpPair(t) },
		"net.Pipe": net.Pipe,
	} {
		t.Run(name, func(t *testing.T) {
			leaves(t)
			near, far := pair()
			server := served(context.Background(), far, exchanges(t), answerBoth)
			client := must(samebytes.NewClient(near, exchanges(t), nil))
			var callers sync.WaitGroup
			for caller := range 8 {
				callers.Add(1)
				go func() {
					defer callers.Done()
					for i := range 100 {
						text := fmt.Sprint(caller, "/", i)
						answer, err := client.Call(soon(t), 3, i, []string{text, "!"})
						if want := []any{[]byte(text + "!"), int64(-i)}; err != nil || !reflect.DeepEqual(answer.Values, want) || answer.APIKey != 4 {
							t.Errorf("%v, %v", answer, err)
						}
						other, err := client.Call(soon(t), 5, []int16{int16(i), int16(caller), -1})
						if err != nil || other.Values[0] != int64(i+caller-1) {
							t.Errorf("%v, %v", other, err)
						}
					}
				}()
			}
			callers.Wait()
			if client.InFlight() != 0 {
				t.Errorf("%d requests are in flight", client.InFlight())
			}
			client.Close()
			if err := result(t, server); err != nil && name == "TCP" {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

func TestAnswersInAnotherOrder(t *testing.T) {
	client, peer := withPeer(t)
	var waiting []*samebytes.Pending
	for i := range samebytes.PipelineMax {
		waiting = append(waiting, begin(t, client, i))
	}
	answers := make([][]byte, samebytes.PipelineMax)
	for i := range answers {
		sequence, number := peer.ask()
		if int(sequence) != i || number != i {
			t.Fatalf("request %d has sequence %d and number %d", i, sequence, number)
		}
		answers[(i*77)%len(answers)] = answerFrame(sequence, 1000+number)
	}
	for _, answer := range answers {
		for _, part := range [][]byte{answer[:3], answer[3:]} {
			peer.send(part)
		}
	}
	for i, pending := range waiting {
		wantNumber(t, pending, 1000+i)
		wantNumber(t, pending, 1000+i) // again
	}
}

func TestAFullPipelineMakesRequestsWait(t *testing.T) {
	client, peer := withPeer(t)
	for i := range samebytes.PipelineMax {
		begin(t, client, i)
	}
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := client.Begin(short, 3, 0, []string{})
	wantError(t, "a request above the limit", err, samebytes.ErrTimeout)
	if !errors.Is(err, context.DeadlineExceeded) || client.InFlight() != samebytes.PipelineMax {
		t.Errorf("%v, %d in flight", err, client.InFlight())
	}
	late := make(chan *samebytes.Pending)
	go func() { late <- begin(t, client, 999) }()
	for range 10 {
		peer.ask()
	}
	peer.send(answerFrame(9, 0))
	pending := <-late
	for range samebytes.PipelineMax - 10 {
		peer.ask()
	}
	sequence, number := peer.ask()
	if sequence != 9 || number != 999 {
		t.Errorf("the request that waited has sequence %d and number %d", sequence, number)
	}
	peer.send(answerFrame(9, 5))
	wantNumber(t, pending, 5)
}

func TestACancelledRequestKeepsItsSequence(t *testing.T) {
	client, peer := withPeer(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancelled := make(chan error)
	go func() { _, err := client.Call(ctx, 3, 1, []string{}); cancelled <- err }()
	sequence, _ := peer.ask()
	cancel()
	if err := <-cancelled; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
	if client.InFlight() != 1 {
		t.Errorf("%d in flight", client.InFlight())
	}
	for i := range 2 * samebytes.PipelineMax { // comes round to the sequence twice
		pending := begin(t, client, i)
		other, _ := peer.ask()
		if other == sequence {
			t.Fatalf("request %d has the sequence of the cancelled one", i)
		}
		peer.send(answerFrame(other, i))
		wantNumber(t, pending, i)
	}
	pending := begin(t, client, 7)
	other, _ := peer.ask()
	peer.send(append(answerFrame(sequence, 666), answerFrame(other, 7)...))
	wantNumber(t, pending, 7)
	if _, err := client.Begin(ctx, 3, 1, []string{}); !errors.Is(err, context.Canceled) || client.InFlight() != 0 {
		t.Errorf("a call whose context has ended: %v, %d in flight", err, client.InFlight())
	}
}

func TestWhatEndsAClient(t *testing.T) {
	first := func(frame ...byte) func(peer, byte) {
		return func(p peer, sequence byte) {
			frame[5] = sequence
			p.send(frame)
		}
	}
	for _, c := range []struct {
		name   string
		does   func(p peer, sequence byte)
		status samebytes.Status
		cause  error
		says   string
	}{
		{"an unknown sequence", func(p peer, sequence byte) { p.send(answerFrame(sequence+9, 0)) }, samebytes.ErrNotFound, nil, "sequence 9"},
		{"a repeated sequence", func(p peer, sequence byte) { // that of the second request, which has been answered
			p.send(append(answerFrame(sequence+1, 1), answerFrame(sequence+1, 1)...))
		}, samebytes.ErrNotFound, nil, "sequence 1, which no request in flight has, at stream offset 18"},
		{"an answer to another request", first(0, 0, 0, 10, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0), samebytes.ErrCorrupt, nil, "api_key 6"},
		{"an unknown api_key", first(0, 0, 0, 2, 99, 0), samebytes.ErrUnknownAPIKey, nil, "99"},
		{"an answer that is cut", first(0, 0, 0, 5, 4, 0, 0, 0, 0), samebytes.ErrCorrupt, nil, "text"},
		{"a Size that cannot be", first(255, 255, 255, 255, 0, 0), samebytes.ErrCorrupt, nil, "Size"},
		{"the end of the connection", func(p peer, _ byte) { p.Close() }, samebytes.ErrUnavailable, io.EOF, "ended the connection"},
		{"a half-close", func(p peer, _ byte) { p.Conn.(*net.TCPConn).CloseWrite() }, samebytes.ErrUnavailable, io.EOF, "ended"},
		{"an end within a frame", func(p peer, sequence byte) {
			p.send(answerFrame(sequence, 0)[:14]) // 4 bytes are missing, as before a frame
			p.Close()
		}, samebytes.ErrUnavailable, io.ErrUnexpectedEOF, "within a frame"},
		{"a reset within a frame", func(p peer, sequence byte) {
			p.send(answerFrame(sequence, 0)[:9])
			p.Conn.(*net.TCPConn).SetLinger(0)
			p.Close()
		}, samebytes.ErrUnavailable, syscall.ECONNRESET, "receiving failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, peer := withPeer(t)
			waiting := []*samebytes.Pending{begin(t, client, 0), begin(t, client, 1), begin(t, client, 2)}
			for range waiting {
				peer.ask()
			}
			c.does(peer, 0)
			for i, pending := range waiting {
				_, err := pending.Wait(soon(t))
				if i == 1 && c.name == "a repeated sequence" && err == nil {
					continue // the first answer was right
				}
				wantError(t, fmt.Sprint("request ", i), err, c.status)
				if number, is := c.cause.(syscall.Errno); is && err.(*samebytes.Error).SystemError != number {
					t.Errorf("request %d: errno %d", i, err.(*samebytes.Error).SystemError)
				}
				if c.cause != nil && !errors.Is(err, c.cause) || !strings.Contains(fmt.Sprint(err), c.says) {
					t.Errorf("request %d: %v", i, err)
				}
			}
			_, err := client.Begin(soon(t), 3, 0, []string{})
			wantError(t, "a later request", err, c.status)
			if client.InFlight() != 0 {
				t.Errorf("%d in flight", client.InFlight())
			}
		})
	}
}

func TestAnAnswerBeforeItsRequestEndsAClient(t *testing.T) {
	leaves(t)
	near, far := net.Pipe() // on which nothing is written before somebody reads it
	client := must(samebytes.NewClient(near, exchanges(t), nil))
	defer client.Close()
	begin(t, client, 0)
	time.Sleep(10 * time.Millisecond) // until the first is being written
	pending := begin(t, client, 1)
	if _, err := far.Write(answerFrame(1, 1)); err != nil {
		t.Fatal(err)
	}
	_, err := pending.Wait(soon(t))
	wantError(t, "an answer to a request that was not sent", err, samebytes.ErrNotFound)
}

// A peer that has read all of a request but its end has nothing to answer, though Write has been called with all of it.
func TestAnAnswerToARequestThatIsBeingSentEndsAClient(t *testing.T) {
	client, peer := withPeer(t)
	long := make([]string, 500)
	for i := range long {
		long[i] = strings.Repeat("x", 30_000) // more than any buffer of the system holds
	}
	pending := must(client.Begin(soon(t), 3, 7, long))
	if _, err := io.CopyN(io.Discard, peer, 100_000); err != nil {
		t.Fatal(err)
	}
	peer.send(answerFrame(0, 7))
	_, err := pending.Wait(soon(t))
	wantError(t, "an answer to half a request", err, samebytes.ErrNotFound)
	if !strings.Contains(fmt.Sprint(err), "sequence 0, which no request in flight has") {
		t.Error(err)
	}
}

// A peer that answers as soon as it has read the last byte is never too early, however the writing was cut.
func TestAnswersThatComeAtOnceAreNeverTooEarly(t *testing.T) {
	leaves(t)
	near, far := tcpPair(t)
	if err := near.SetWriteBuffer(1); err != nil { // the least that the system has
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	done := served(ctx, far, exchanges(t), answerBoth)
	client := must(samebytes.NewClient(near, exchanges(t), nil))
	defer client.Close()
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Add(1)
		go func() {
			defer callers.Done()
			for j := range 200 {
				message, err := client.Call(soon(t), 3, i, []string{strings.Repeat("y", 97*j)})
				if err != nil {
					t.Errorf("call %d of %d: %v, %v", j, i, message, err)
					return
				}
			}
		}()
	}
	callers.Wait()
	client.Close()
	if err := result(t, done); err != nil {
		t.Error(err)
	}
}

func TestClosingAClient(t *testing.T) {
	client, _ := withPeer(t)
	var waiting sync.WaitGroup
	for i := range 300 { // some of them wait for a sequence
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			_, err := client.Call(soon(t), 3, i, []string{})
			wantError(t, "a call", err, samebytes.ErrClosed)
		}()
	}
	for client.InFlight() < samebytes.PipelineMax {
		time.Sleep(time.Millisecond)
	}
	for range 2 {
		go client.Close()
	}
	client.Close()
	waiting.Wait()
	_, err := client.Begin(soon(t), 3, 0, []string{})
	wantError(t, "a call after Close", err, samebytes.ErrClosed)
}

func TestWhatAClientRefuses(t *testing.T) {
	client, peer := withPeer(t)
	_, err := client.Begin(soon(t), 3, "text", []string{})
	wantError(t, "a value of the wrong type", err, samebytes.ErrInvalidArgument)
	_, err = client.Begin(soon(t), 3, 1<<31, []string{})
	wantError(t, "a number that does not fit", err, samebytes.ErrOutOfRange)
	_, err = client.Begin(soon(t), 4)
	wantError(t, "an api_key without exchange", err, samebytes.ErrInvalidArgument)
	if client.InFlight() != 0 {
		t.Errorf("%d in flight", client.InFlight())
	}
	pending := begin(t, client, 1) // the refused ones leave no trace
	sequence, _ := peer.ask()
	peer.send(answerFrame(sequence, 1))
	wantNumber(t, pending, 1)
	both := exchanges(t)
	for what, pairs := range map[string][]samebytes.Exchange{
		"no exchange":                  nil,
		"no response":                  {{Request: both[0].Request}},
		"no request":                   {{Response: both[0].Response}},
		"a response as a request":      {{Request: both[0].Response, Response: both[0].Response}},
		"a request as a response":      {{Request: both[0].Request, Response: both[0].Request}},
		"two requests of one api_key":  {both[0], both[0]},
		"two responses of one api_key": {both[0], {Request: both[1].Request, Response: exchanges(t)[0].Response}},
	} {
		_, err := samebytes.NewClient(peer.Conn, pairs, nil)
		wantError(t, what, err, samebytes.ErrInvalidArgument)
	}
	_, err = samebytes.NewClient(nil, both, nil)
	wantError(t, "no connection", err, samebytes.ErrInvalidArgument)
	wantError(t, "no connection", samebytes.Serve(soon(t), nil, both, answerBoth, nil), samebytes.ErrInvalidArgument)
}

func TestOneResponseForTwoRequests(t *testing.T) {
	leaves(t)
	both := exchanges(t)
	both[1].Response = both[0].Response
	near, far := tcpPair(t)
	server := served(context.Background(), far, both, func(_ context.Context, request samebytes.Message, reply *samebytes.Reply) {
		if err := reply.Send("", request.APIKey); err != nil {
			t.Error(err)
		}
	})
	client := must(samebytes.NewClient(near, both, nil))
	for key, values := range map[int8][]any{3: {1, []string{}}, 5: {[]int16{}}} {
		if answer, err := client.Call(soon(t), key, values...); err != nil || answer.Values[1] != int64(key) {
			t.Errorf("%v, %v", answer, err)
		}
	}
	client.Close()
	if err := result(t, server); err != nil {
		t.Error(err)
	}
}

// askFrame is an Ask without texts.
func askFrame(sequence byte, number int) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8, 3, sequence}, uint32(number)), 0, 0)
}

func TestAServerAnswersAllBeforeItEnds(t *testing.T) {
	leaves(t)
	near, far := tcpPair(t)
	var late []func()
	server := served(context.Background(), far, exchanges(t), func(_ context.Context, request samebytes.Message, reply *samebytes.Reply) {
		late = append(late, func() {
			if err := reply.Send("late", request.Values[0]); err != nil {
				t.Error(err)
			}
			wantError(t, "a second answer", reply.Send("late", 0), samebytes.ErrInvalidArgument)
		})
		if len(late) == samebytes.PipelineMax {
			go func() {
				time.Sleep(20 * time.Millisecond)
				for _, send := range late { // the first ones last
					defer send()
				}
			}()
		}
	})
	for i := range samebytes.PipelineMax {
		if _, err := near.Write(askFrame(byte(i), i)); err != nil {
			t.Fatal(err)
		}
	}
	near.CloseWrite()
	answers := must(io.ReadAll(near))
	if err := result(t, server); err != nil {
		t.Error(err)
	}
	if len(answers) != 22*samebytes.PipelineMax || answers[5] != 255 || answers[len(answers)-17] != 0 {
		t.Errorf("%d bytes", len(answers))
	}
}

func TestAServerStopsReadingWhenThePeerDoesNot(t *testing.T) {
	leaves(t)
	near, far := tcpPair(t)
	if err := errors.Join(near.SetReadBuffer(1<<16), far.SetWriteBuffer(1<<16)); err != nil {
		t.Fatal(err)
	}
	const count, size = 1000, 10000
	var handled atomic.Int32
	text := make([]byte, size)
	server := served(context.Background(), far, exchanges(t), func(_ context.Context, request samebytes.Message, reply *samebytes.Reply) {
		handled.Add(1)
		if err := reply.Send(text, request.Values[0]); err != nil {
			t.Error(err)
		}
	})
	go func() {
		for i := range count {
			if _, err := near.Write(askFrame(byte(i), i)); err != nil {
				t.Error(err)
			}
		}
		near.CloseWrite()
	}()
	for settled, last := 0, int32(-1); settled < 10; settled++ {
		if now := handled.Load(); now != last {
			settled, last = 0, now
		}
		time.Sleep(10 * time.Millisecond)
	}
	if now := handled.Load(); now < samebytes.PipelineMax || now > samebytes.PipelineMax+200 {
		t.Errorf("%d requests were handled for a peer that does not read", now)
	}
	received, err := io.Copy(io.Discard, near)
	if err != nil || received != count*(size+18) {
		t.Errorf("%d bytes, %v", received, err)
	}
	if err := result(t, server); err != nil {
		t.Error(err)
	}
}

func TestWhatEndsAServer(t *testing.T) {
	for _, c := range []struct {
		name   string
		does   func(conn *net.TCPConn)
		status samebytes.Status
		cause  error
	}{
		{"a repeated sequence", func(conn *net.TCPConn) { conn.Write(append(askFrame(1, 0), askFrame(1, 0)...)) }, samebytes.ErrCorrupt, nil},
		{"a request that is cut", func(conn *net.TCPConn) { conn.Write([]byte{0, 0, 0, 3, 3, 0, 0}) }, samebytes.ErrCorrupt, nil},
		{"an unknown api_key", func(conn *net.TCPConn) { conn.Write([]byte{0, 0, 0, 2, 77, 0}) }, samebytes.ErrUnknownAPIKey, nil},
		{"an end within a frame", func(conn *net.TCPConn) {
			conn.Write(append(askFrame(1, 0), 0, 0, 0))
			conn.CloseWrite()
		}, samebytes.ErrUnavailable, io.ErrUnexpectedEOF},
		{"a reset within a frame", func(conn *net.TCPConn) {
			conn.Write([]byte{0, 0, 0, 99, 3})
			time.Sleep(10 * time.Millisecond)
			conn.SetLinger(0)
			conn.Close()
		}, samebytes.ErrUnavailable, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaves(t)
			near, far := tcpPair(t)
			var late *samebytes.Reply
			server := served(context.Background(), far, exchanges(t), func(_ context.Context, _ samebytes.Message, reply *samebytes.Reply) {
				late = reply
			})
			c.does(near)
			err := result(t, server)
			wantError(t, "Serve", err, c.status)
			if c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("Serve: %v", err)
			}
			if late != nil {
				wantError(t, "a reply after the end", late.Send("", 0), c.status)
			}
			near.SetReadDeadline(time.Now().Add(patience))
			if _, err := near.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the connection is still open: %v", err)
			}
		})
	}
}

func TestTheContextEndsAServer(t *testing.T) {
	leaves(t)
	_, far := tcpPair(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	err := result(t, served(ctx, far, exchanges(t), answerBoth))
	wantError(t, "Serve", err, samebytes.ErrTimeout)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}

	near, far := tcpPair(t)
	other, stop := context.WithCancel(context.Background())
	server := served(other, far, exchanges(t), func(inside context.Context, _ samebytes.Message, reply *samebytes.Reply) {
		stop()
		<-inside.Done()
		if err := reply.Send("", 0); !errors.Is(err, context.Canceled) {
			t.Errorf("a reply after the end: %v", err)
		}
	})
	peer{near, t}.send(askFrame(0, 0))
	if err := result(t, server); !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: %v", err)
	}
}

func TestAReplyWithTheWrongValuesMaySendTheRightOnes(t *testing.T) {
	leaves(t)
	near, far := tcpPair(t)
	server := served(context.Background(), far, exchanges(t), func(_ context.Context, _ samebytes.Message, reply *samebytes.Reply) {
		wantError(t, "a wrong answer", reply.Send("only one"), samebytes.ErrInvalidArgument)
		if err := reply.Send("right", 1); err != nil {
			t.Error(err)
		}
	})
	client := must(samebytes.NewClient(near, exchanges(t), nil))
	if answer, err := client.Call(soon(t), 3, 1, []string{}); err != nil || string(answer.Values[0].([]byte)) != "right" {
		t.Errorf("%v, %v", answer, err)
	}
	client.Close()
	if err := result(t, server); err != nil {
		t.Error(err)
	}
}

// logged catches what the standard logger writes while a test runs.
func logged(t *testing.T) func() string {
	t.Helper()
	var mutex sync.Mutex
	var text strings.Builder
	log.SetOutput(writerFunc(func(data []byte) (int, error) {
		mutex.Lock()
		defer mutex.Unlock()
		return text.Write(data)
	}))
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	return func() string {
		mutex.Lock()
		defer mutex.Unlock()
		return text.String()
	}
}

type writerFunc func(data []byte) (int, error)

func (w writerFunc) Write(data []byte) (int, error) { return w(data) }

// wantClosed fails the test unless the other side has ended the connection.
func wantClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is still open: %v", err)
	}
}

func TestAPanicOfAHandlerEndsItsConnectionOnly(t *testing.T) {
	own := errors.New("an error of the handler")
	var hollow map[string]int
	for _, c := range []struct {
		name  string
		fails func()
		text  string
		is    error
	}{
		{"a text", func() { panic("a text of the handler") }, "a text of the handler", nil},
		{"an error", func() { panic(own) }, own.Error(), own},
		{"nil", func() { panic(nil) }, "panic called with nil argument", nil}, //nolint:govet // it is one as well
		{"an error of the runtime", func() { hollow["x"] = 1 }, "assignment to entry in nil map", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaves(t)
			output := logged(t)
			otherNear, otherFar := tcpPair(t)
			other := served(context.Background(), otherFar, exchanges(t), answerBoth)
			client := must(samebytes.NewClient(otherNear, exchanges(t), nil))
			near, far := tcpPair(t)
			var late *samebytes.Reply
			server := served(context.Background(), far, exchanges(t), func(_ context.Context, request samebytes.Message, reply *samebytes.Reply) {
				if request.Values[0] == int64(0) {
					late = reply
					return
				}
				c.fails()
			})
			peer{near, t}.send(append(append(askFrame(0, 0), askFrame(1, 1)...), askFrame(2, 2)...))
			err := result(t, server)
			wantError(t, "Serve", err, samebytes.ErrProvider)
			var panicked *samebytes.PanicError
			if !errors.As(err, &panicked) || !strings.Contains(fmt.Sprint(panicked.Value), c.text) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("Serve: %v", err)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("Serve: %v is not %v", err, c.is)
			}
			const place = "TestAPanicOfAHandlerEndsItsConnectionOnly"
			if !strings.Contains(string(panicked.Stack), place) {
				t.Errorf("the stack does not say where it was:\n%s", panicked.Stack)
			}
			if text := output(); !strings.Contains(text, "samebytes: panic serving "+near.LocalAddr().String()+": ") ||
				!strings.Contains(text, c.text) || !strings.Contains(text, place) {
				t.Errorf("logged:\n%s", text)
			}
			wantError(t, "a reply after the panic", late.Send("", 0), samebytes.ErrProvider)
			wantClosed(t, near)
			if answer, err := client.Call(soon(t), 3, 4, []string{"on"}); err != nil || answer.Values[1] != int64(-4) {
				t.Errorf("another connection: %v, %v", answer, err)
			}
			client.Close()
			if err := result(t, other); err != nil {
				t.Error(err)
			}
		})
	}
}

// A handler that calls runtime.Goexit, as FailNow of a test does, takes Serve's goroutine with it, and nothing else stays behind.
func TestAHandlerThatEndsItsGoroutineLeavesNothing(t *testing.T) {
	leaves(t)
	near, far := tcpPair(t)
	ended := make(chan error, 1)
	var late *samebytes.Reply
	go func() {
		defer func() { ended <- nil }()
		_ = samebytes.Serve(context.Background(), far, exchanges(t), func(_ context.Context, _ samebytes.Message, reply *samebytes.Reply) {
			late = reply
			runtime.Goexit()
		}, nil)
		t.Error("Serve has returned")
	}()
	peer{near, t}.send(askFrame(0, 0))
	_ = result(t, ended)
	wantClosed(t, near)
	wantError(t, "a reply after the end", late.Send("", 0), samebytes.ErrClosed)
}
