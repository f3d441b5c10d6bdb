// The Go worker of the demo: encodes a web log as Echo requests, decodes what others encoded, exchanges them over TCP,
// and writes and reads its visits.
//
// Each command prints one JSON object on one line; an error goes to stderr, with exit status 1.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	samebytes "github.com/samebytes/samebytes/bindings/go"
	"github.com/samebytes/samebytes/bindings/go/echo"
)

const pieceSize = 65536 // bytes that decode feeds at a time

// leaks shows that all memory was given back: no block is out, and the provider took back what it gave.
type leaks struct {
	LiveBlocks int64  `json:"live_blocks"`
	Reserves   uint64 `json:"reserves"`
	Releases   uint64 `json:"releases"`
}

// traced runs work with a counting provider, and tells afterwards what is left.
func traced(work func(memory *samebytes.Memory) error) (leaks, error) {
	memory, err := samebytes.OpenMemoryTracing(nil)
	if err != nil {
		return leaks{}, err
	}
	defer memory.Close()
	if err := work(memory); err != nil {
		return leaks{}, err
	}
	stats, err := memory.GetStats()
	return leaks{samebytes.MemoryLiveBlocks(), stats.Reserves, stats.Releases}, err
}

func show(result any) error {
	return json.NewEncoder(os.Stdout).Encode(result)
}

func encode(logPath, outPath string) error {
	requests, outOfShape, err := readLog(logPath)
	if err != nil {
		return err
	}
	var size int
	var seconds float64
	left, err := traced(func(memory *samebytes.Memory) error {
		builder, err := echo.NewBuilder(memory)
		if err != nil {
			return err
		}
		defer builder.Close()
		start := time.Now()
		for i, request := range requests {
			if err := builder.Add(request); err != nil {
				return fmt.Errorf("line %d: %w", i+1, err)
			}
		}
		frames, err := builder.Take()
		if err != nil {
			return err
		}
		defer frames.Close()
		seconds, size = time.Since(start).Seconds(), frames.Size()
		return writeView(outPath, frames)
	})
	if err != nil {
		return err
	}
	return show(struct {
		Lines      int     `json:"lines"`
		Bytes      int     `json:"bytes"`
		OutOfShape int     `json:"out_of_shape"`
		Seconds    float64 `json:"seconds"`
		leaks
	}{len(requests), size, outOfShape, seconds, left})
}

func writeView(path string, view *samebytes.View) error {
	spans, err := view.Spans()
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	for _, span := range spans {
		if _, err := file.Write(span); err != nil {
			file.Close()
			return err
		}
	}
	return file.Close()
}

func decode(framesPath, dumpPath string) error {
	data, err := os.ReadFile(framesPath)
	if err != nil {
		return err
	}
	var requests []echo.Request
	var refused []*samebytes.Error
	var seconds float64
	left, err := traced(func(memory *samebytes.Memory) error {
		parser, err := echo.NewParser(samebytes.DirectionRequest, parserOptions(memory))
		if err != nil {
			return err
		}
		defer parser.Close()
		start := time.Now()
		requests, refused, err = decodeAll(parser, data)
		seconds = time.Since(start).Seconds()
		return err
	})
	if err != nil {
		return err
	}
	if err := dump(dumpPath, requests, refused); err != nil {
		return err
	}
	return show(struct {
		Rows    int     `json:"rows"`
		Errors  int     `json:"errors"`
		Seconds float64 `json:"seconds"`
		leaks
	}{len(requests), len(refused), seconds, left})
}

// parserOptions lets a line of the log have any length.
func parserOptions(memory *samebytes.Memory) *samebytes.ParserOptions {
	return &samebytes.ParserOptions{Memory: memory, MaxFrameSize: math.MaxInt32}
}

// decodeAll feeds data piece by piece until it or the stream ends. What the parser refuses is part of the result.
func decodeAll(parser *echo.Parser, data []byte) (requests []echo.Request, refused []*samebytes.Error, err error) {
	for len(data) > 0 {
		piece := data[:min(pieceSize, len(data))]
		data = data[len(piece):]
		if parser.Feed(piece) != nil {
			break // the stream has ended, and its last error is known
		}
		rows, parseError := parser.Parse()
		requests = append(requests, rows...)
		errors, err := parser.Errors()
		if err != nil {
			return nil, nil, err
		}
		refused = append(refused, errors...)
		if parseError != nil {
			if len(errors) == 0 {
				return nil, nil, parseError
			}
			break
		}
	}
	return requests, refused, nil
}

func dump(path string, requests []echo.Request, refused []*samebytes.Error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	for _, r := range requests {
		numbers := make([]string, len(r.Metadata))
		for i, number := range r.Metadata {
			numbers[i] = strconv.Itoa(int(number))
		}
		fmt.Fprintf(out, "%d %d %d %d %x %s %x\n", r.StreamOffset, r.APIKey, r.Sequence, r.Timestamp, r.Subject, strings.Join(numbers, ","), r.Body)
	}
	for _, e := range refused {
		fmt.Fprintf(out, "error %d %d %d %s %s\n", e.Frame, e.StreamOffset, e.FrameOffset, e.Field, samebytes.StatusName(e.Status))
	}
	if err := out.Flush(); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// difference tells in which field a response does not answer the request at index; nil if it does.
func difference(index int, request echo.Request, response echo.Response) error {
	switch {
	case response.ID != int32(index):
		return fmt.Errorf("line %d: field id is %d, not %d", index+1, response.ID, index)
	case response.Timestamp != request.Timestamp:
		return fmt.Errorf("line %d: field timestamp is %d, not %d", index+1, response.Timestamp, request.Timestamp)
	case !bytes.Equal(response.Subject, request.Subject):
		return fmt.Errorf("line %d: field subject is %q, not %q", index+1, response.Subject, request.Subject)
	case !bytes.Equal(response.Body, request.Body):
		return fmt.Errorf("line %d: field body is %q, not %q", index+1, response.Body, request.Body)
	}
	return nil
}

var errUsage = errors.New("usage: demo_go encode LOG OUT | decode FRAMES DUMP | serve | client PORT LOG | " +
	"write-visits LOG FILE FIRST LAST | read-visits FILE DUMP")

func run(arguments []string) error {
	switch {
	case len(arguments) == 3 && arguments[0] == "encode":
		return encode(arguments[1], arguments[2])
	case len(arguments) == 3 && arguments[0] == "decode":
		return decode(arguments[1], arguments[2])
	case len(arguments) == 1 && arguments[0] == "serve":
		return serve()
	case len(arguments) == 3 && arguments[0] == "client":
		return client(arguments[1], arguments[2])
	case len(arguments) == 5 && arguments[0] == "write-visits":
		return writeVisits(arguments[1], arguments[2], arguments[3], arguments[4])
	case len(arguments) == 3 && arguments[0] == "read-visits":
		return readVisits(arguments[1], arguments[2])
	}
	return errUsage
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo_go:", err)
		os.Exit(1)
	}
}
