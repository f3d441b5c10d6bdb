package tests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	samebytes "github.com/samebytes/samebytes/bindings/go"
	"github.com/samebytes/samebytes/bindings/go/echo"
)

const patience = 30 * time.Second

func must[T any](object T, err error) T {
	if err != nil {
		panic(err)
	}
	return object
}

var builtIn string // what TestMain removes

// built is the folder with the programs of examples/go, built when first asked for.
var built = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "samebytes-examples-")
	if err != nil {
		return "", err
	}
	builtIn = folder
	build := exec.Command("go", "build", "-o", folder+"/", "../../examples/go/server", "../../examples/go/client")
	if out, err := build.CombinedOutput(); err != nil {
		return folder, fmt.Errorf("%s: %w\n%s", build, err, out)
	}
	return folder, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// examplePrograms starts the server, and returns the path of the client and the address of the server.
func examplePrograms(t *testing.T) (client, address string) {
	t.Helper()
	folder, err := built()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(filepath.Join(folder, "server"))
	out := must(server.StdoutPipe())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	line := must(bufio.NewReader(out).ReadString('\n'))
	address, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !found {
		t.Fatalf("the server prints %q", line)
	}
	return filepath.Join(folder, "client"), address
}

// crumble copies bytes in chunks of random sizes, with a pause now and then.
func crumble(to, from *net.TCPConn, seed uint64, pause time.Duration) {
	random := rand.New(rand.NewPCG(seed, 0))
	for chunk := make([]byte, 3000); ; {
		size, err := from.Read(chunk[:1+random.IntN(len(chunk))])
		if size > 0 && random.IntN(20) == 0 {
			time.Sleep(pause)
		}
		if _, failed := to.Write(chunk[:size]); err != nil || failed != nil {
			to.CloseWrite()
			return
		}
	}
}

// between stands between client and server, and returns the address to which clients connect.
func between(t *testing.T, address string, pause time.Duration) string {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { listener.Close() })
	go func() {
		for seed := uint64(0); ; seed += 2 {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				near.Close()
				return
			}
			go crumble(far.(*net.TCPConn), near.(*net.TCPConn), seed, pause)
			go crumble(near.(*net.TCPConn), far.(*net.TCPConn), seed+1, pause)
		}
	}()
	return listener.Addr().String()
}

// exchangeLines runs the client, and checks what it prints.
func exchangeLines(t *testing.T, client, address string, count int) {
	t.Helper()
	var lines, want strings.Builder
	for i := range count {
		line := strings.Repeat(fmt.Sprint(i, "x"), i%300)
		lines.WriteString(line + "\n")
		fmt.Fprintf(&want, "%d %s\n", i, line)
	}
	command := exec.Command(client, address)
	command.Stdin = strings.NewReader(lines.String())
	out, err := command.Output()
	if err != nil || string(out) != want.String() {
		t.Errorf("the client prints %d bytes, not %d: %v", len(out), want.Len(), err)
	}
}

func TestExamplesExchangeLinesInChunksOfAnySize(t *testing.T) {
	client, address := examplePrograms(t)
	exchangeLines(t, client, address, 3000)
	exchangeLines(t, client, between(t, address, 0), 1000)
	exchangeLines(t, client, between(t, address, 5*time.Millisecond), 300) // slow readers
}

// requests are frames of Echo requests whose sequences and timestamps count.
func requests(count int) []byte {
	builder := must(echo.NewBuilder(nil))
	defer builder.Close()
	for i := range count {
		if err := builder.Add(echo.Request{Sequence: int8(i), Timestamp: int64(i), Body: bytes.Repeat([]byte{'b'}, 1000)}); err != nil {
			panic(err)
		}
	}
	return must(builder.Bytes())
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	conn := must(net.Dial("tcp", address)).(*net.TCPConn)
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestTheExampleServerAnswersAHalfClosedConnection(t *testing.T) {
	_, address := examplePrograms(t)
	conn := dial(t, address)
	const count = 200
	if _, err := conn.Write(requests(count)); err != nil {
		t.Fatal(err)
	}
	conn.CloseWrite()
	parser := must(echo.NewParser(samebytes.DirectionResponse, nil))
	defer parser.Close()
	if err := parser.Feed(must(io.ReadAll(conn))); err != nil {
		t.Fatal(err)
	}
	answers := must(parser.ParseResponses())
	for i, answer := range answers {
		if int(answer.ID) != i || answer.Timestamp != int64(i) || answer.Sequence != int8(i) || len(answer.Body) != 1000 {
			t.Fatalf("answer %d: %+v", i, answer)
		}
	}
	if len(answers) != count {
		t.Errorf("%d answers", len(answers))
	}
}

func TestTheExampleServerOutlivesConnectionsThatBreak(t *testing.T) {
	client, address := examplePrograms(t)
	for i, data := range [][]byte{{}, {0, 0}, requests(2)[:100], requests(300)[:5000], []byte("GET / HTTP/1.1\r\n\r\n"), {255, 255, 255, 255}} {
		conn := dial(t, address)
		if _, err := conn.Write(data); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			conn.SetLinger(0) // a reset
		}
		conn.Close()
	}
	exchangeLines(t, client, address, 100)
}

func TestTheExampleClientSaysWhyItsConnectionBroke(t *testing.T) {
	client, _ := examplePrograms(t)
	for name, breaks := range map[string]func(conn *net.TCPConn){
		"within a frame":       func(conn *net.TCPConn) { conn.Write([]byte{0, 0, 0, 99, 0}); conn.CloseWrite() },
		"ended the connection": func(conn *net.TCPConn) { conn.CloseWrite() },
		"reset by peer":        func(conn *net.TCPConn) { conn.Write([]byte{0, 0}); conn.SetLinger(0) },
		"no request in flight": func(conn *net.TCPConn) { conn.Write(append([]byte{0, 0, 0, 22, 0, 99}, make([]byte, 20)...)) },
	} {
		listener := must(net.Listen("tcp", "127.0.0.1:0"))
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.ReadFull(conn, make([]byte, 31)) // the request
			breaks(conn.(*net.TCPConn))
			conn.Close()
		}()
		command := exec.Command(client, listener.Addr().String())
		command.Stdin = strings.NewReader("one\n")
		var failed *exec.ExitError
		if _, err := command.Output(); !errors.As(err, &failed) || !strings.Contains(string(failed.Stderr), name) {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Logf("%s", failed.Stderr)
		}
		listener.Close()
	}
}
