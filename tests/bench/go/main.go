// Command go measures Echo requests in Go: the library's package echo beside Go written by hand and encoding/binary. It prints
// `case TAB side TAB nanoseconds` for each sample; the argument is how many it takes.
package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	samebytes "github.com/samebytes/samebytes/bindings/go"
	"github.com/samebytes/samebytes/bindings/go/echo"
)

const (
	sampleTime = 5 * time.Millisecond
	feedSize   = 65536
	count      = 10000

	ours      = "samebytes"
	handCopy  = "hand-written Go that copies"
	handView  = "hand-written Go, views"
	byBinary  = "encoding/binary"
	decoding  = "Go decode, small, 64 KiB feeds"
	structs   = "Go decode into structs of any schema, small, 64 KiB feeds"
	encoding  = "Go encode, small, 10,000"
	oneByOne  = "Go encode, small, one call each"
	frameSize = 57
)

type benchCase struct {
	name, side string
	run        func()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func requests() []request {
	rows := make([]request, count)
	for i := range rows {
		rows[i] = request{
			sequence: int8(i), timestamp: 9999 + int64(i), subject: []byte("test"),
			metadata: []int16{1, 2, 3}, body: []byte("We have a lot in common"),
		}
	}
	return rows
}

func consume(timestamp int64, subject []byte, metadata []int16, body []byte) int64 {
	return timestamp + int64(subject[0]) + int64(len(subject)) + int64(metadata[len(metadata)-1]) + int64(body[len(body)-1])
}

// decodes makes the run of a decoder: chunk by chunk, and the sum of what was read must be right.
func decodes(name string, data []byte, want int64, side string, feed func(chunk []byte) int64) benchCase {
	return benchCase{name, side, func() {
		var sum int64
		for chunk := range slices.Chunk(data, feedSize) {
			sum += feed(chunk)
		}
		if sum != want {
			check(fmt.Errorf("%s read something else: %d, not %d", side, sum, want))
		}
	}}
}

// byHand decodes what is complete into rows that are kept until the next chunk.
func byHand(decode func(frame []byte) (request, error)) func(chunk []byte) int64 {
	var in stream
	var rows []request
	return func(chunk []byte) int64 {
		in.feed(chunk)
		rows = rows[:0]
		check(in.frames(func(frame []byte) error {
			row, err := decode(frame)
			rows = append(rows, row)
			return err
		}))
		var sum int64
		for i := range rows {
			sum += consume(rows[i].timestamp, rows[i].subject, rows[i].metadata, rows[i].body)
		}
		return sum
	}
}

// byView reads each row at once, and one array holds the metadata.
func byView() func(chunk []byte) int64 {
	var in stream
	var items []int16
	return func(chunk []byte) int64 {
		in.feed(chunk)
		items = items[:0]
		var sum int64
		check(in.frames(func(frame []byte) error {
			row, grown, err := decodeView(frame, items)
			if err != nil {
				return err
			}
			items = grown
			sum += consume(row.timestamp, row.subject, row.metadata, row.body)
			return nil
		}))
		return sum
	}
}

func byLibrary() func(chunk []byte) int64 {
	parser := must(echo.NewParser(samebytes.DirectionRequest, nil))
	var rows []echo.Request
	return func(chunk []byte) int64 {
		check(parser.Feed(chunk))
		rows = must(parser.AppendRequests(rows[:0]))
		var sum int64
		for i := range rows {
			sum += consume(rows[i].Timestamp, rows[i].Subject, rows[i].Metadata, rows[i].Body)
		}
		return sum
	}
}

// entry is what a program would state of Echo requests, if the library did not.
type entry struct {
	Timestamp int64   `samebytes:"timestamp"`
	Subject   []byte  `samebytes:"subject"`
	Metadata  []int16 `samebytes:"metadata"`
	Body      []byte  `samebytes:"body"`
}

func byStructs() func(chunk []byte) int64 {
	entries := must(samebytes.NewStructs[entry]("Entry", samebytes.DirectionRequest, 0))
	parser := must(samebytes.NewParser([]*samebytes.Schema{entries.Schema()}, nil))
	batch := must(samebytes.NewBatch())
	var rows []entry
	return func(chunk []byte) int64 {
		check(parser.Feed(chunk))
		check(parser.Parse(batch))
		rows = must(entries.GetAll(batch, rows[:0]))
		var sum int64
		for i := range rows {
			sum += consume(rows[i].Timestamp, rows[i].Subject, rows[i].Metadata, rows[i].Body)
		}
		return sum
	}
}

func encodeByLibrary(rows []echo.Request) []byte {
	builder := must(echo.NewBuilder(nil))
	defer builder.Close()
	check(builder.AddAll(rows))
	return must(builder.Bytes())
}

func encodeOneByOne(rows []echo.Request) []byte {
	builder := must(echo.NewBuilder(nil))
	defer builder.Close()
	for i := range rows {
		check(builder.Add(rows[i]))
	}
	return must(builder.Bytes())
}

func encodeByHand(rows []request) []byte {
	out := make([]byte, 0, len(rows)*frameSize)
	for i := range rows {
		out = appendRequest(out, &rows[i])
	}
	return out
}

func main() {
	if len(os.Args) != 2 {
		check(fmt.Errorf("usage: %s SAMPLES", os.Args[0]))
	}
	samples := must(strconv.Atoi(os.Args[1]))
	rows := requests()
	data := encodeByHand(rows)
	messages := make([]echo.Request, len(rows))
	for i, row := range rows {
		messages[i] = echo.Request{
			Sequence: row.sequence, Timestamp: row.timestamp, Subject: row.subject, Metadata: row.metadata, Body: row.body,
		}
	}
	if !bytes.Equal(data, encodeByLibrary(messages)) {
		check(fmt.Errorf("both sides encode differently"))
	}
	var want int64
	for i := range rows {
		want += consume(rows[i].timestamp, rows[i].subject, rows[i].metadata, rows[i].body)
	}
	cases := []benchCase{
		decodes(decoding, data, want, ours, byLibrary()),
		decodes(decoding, data, want, handCopy, byHand(decodeCopy)),
		decodes(decoding, data, want, handView, byView()),
		decodes(decoding, data, want, byBinary, byHand(decodeBinary)),
		decodes(structs, data, want, ours, byStructs()),
		decodes(structs, data, want, handCopy, byHand(decodeCopy)),
		decodes(structs, data, want, byBinary, byHand(decodeBinary)),
		{encoding, ours, func() { encodeByLibrary(messages) }},
		{encoding, "hand-written Go", func() { encodeByHand(rows) }},
		{oneByOne, ours, func() { encodeOneByOne(messages) }},
		{oneByOne, "hand-written Go", func() { encodeByHand(rows) }},
	}
	for sample := range samples {
		order := slices.Clone(cases)
		if sample%2 == 1 {
			slices.Reverse(order) // so that no side is always the one after its peer
		}
		for _, item := range order {
			start, times := time.Now(), 0
			for time.Since(start) < sampleTime {
				item.run()
				times++
			}
			fmt.Printf("%s\t%s\t%.2f\n", item.name, item.side, float64(time.Since(start).Nanoseconds())/float64(times*count))
		}
	}
}
