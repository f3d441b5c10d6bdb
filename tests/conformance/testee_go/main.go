// The testee in Go: answers the requests of the conformance runner (../README.md) by the public API, as a program of a user would.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	samebytes "github.com/samebytes/samebytes/bindings/go"
	"github.com/samebytes/samebytes/tests/go/surface"
)

const (
	requestSizeMax = 1 << 28 // bytes
	ownBufferSize  = 4096    // bytes
)

// How decode feeds its parser.
const (
	modeFeed = iota
	modeLent
	modeOwnBuffer
)

var errProtocol = errors.New("the request is not what the protocol says")

func hello(out *reply) {
	out.u32(samebytes.Version())
	out.i64(int64(samebytes.ABIDigest()))
	out.i64(int64(samebytes.InstanceID()))
	out.bytes([]byte("go"))
}

func encode(in *request, out *reply) error {
	schema, err := in.schema()
	if err != nil {
		return err
	}
	defer schema.Close()
	fields, err := schema.Fields()
	if err != nil {
		return err
	}
	builder, err := samebytes.NewBuilder(nil)
	if err != nil {
		return err
	}
	defer builder.Close()
	mode := in.u8()
	sequences := make([]int8, in.count(4, 1))
	rows := make([][]any, len(sequences))
	for i := range sequences {
		sequences[i] = in.i8()
		rows[i] = make([]any, len(fields))
		for j, field := range fields {
			rows[i][j] = in.value(field.Type)
		}
		if in.failed {
			return errProtocol
		}
	}
	if err := add(builder, schema, fields, mode, sequences, rows); err != nil {
		return err
	}
	frames, err := takeFrames(builder, mode)
	out.bytes(frames)
	return err
}

// add adds all messages: one by one in the modes 0 and 1, in one call in 2, and as Echo messages in 3 where they are.
func add(builder *samebytes.Builder, schema *samebytes.Schema, fields []samebytes.SchemaField, mode uint8, sequences []int8, rows [][]any) error {
	if mode < 2 {
		for i, row := range rows {
			if err := builder.Add(schema, sequences[i], row...); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if mode == 3 && isEchoRequest(schema, fields) {
		requests := make([]samebytes.EchoRequest, len(rows))
		for i, row := range rows {
			requests[i] = samebytes.EchoRequest{Sequence: sequences[i], Timestamp: row[0].(int64), Subject: row[1].([]byte), Metadata: row[2].([]int16),
				Body: row[3].([]byte)}
		}
		err = samebytes.EchoAddRequests(builder, requests)
	} else {
		err = builder.AddRows(schema, sequences, rows)
	}
	if err != nil && (builder.Size() > 0 || builder.FrameCount() > 0) {
		return errors.New("a refused call has added something")
	}
	return err
}

// isEchoRequest tells whether a schema is that of Echo requests.
func isEchoRequest(schema *samebytes.Schema, fields []samebytes.SchemaField) bool {
	request, err := samebytes.EchoRequestSchema()
	if err != nil {
		return false
	}
	defer request.Close()
	known, err := request.Fields()
	return err == nil && slices.Equal(known, fields) && schema.Name() == request.Name() && schema.APIKey() == request.APIKey() &&
		schema.Direction() == request.Direction()
}

func takeFrames(builder *samebytes.Builder, mode uint8) ([]byte, error) {
	if mode >= 1 {
		return builder.Bytes()
	}
	view, err := builder.Take()
	if err != nil {
		return nil, err
	}
	defer view.Close()
	frames := make([]byte, view.Size())
	return frames, view.ReadBytes(frames)
}

// decoding is a decode request while it is served. Every batch with rows is kept until the end, as a program may that works on them
// elsewhere.
type decoding struct {
	parser     *samebytes.Parser
	mode       uint8
	chunks     []uint32
	data       []byte
	batches    []*samebytes.Batch
	rows       reply
	errors     reply
	rowCount   int
	errorCount int
	need       int
}

func (d *decoding) close() {
	for _, batch := range d.batches {
		batch.Close()
	}
	d.parser.Close()
}

func decode(in *request, out *reply) error {
	schemas := make([]*samebytes.Schema, 0, in.count(4, 8))
	defer func() {
		for _, schema := range schemas {
			schema.Close()
		}
	}()
	for range cap(schemas) {
		schema, err := in.schema()
		if err != nil {
			return err
		}
		schemas = append(schemas, schema)
	}
	options := samebytes.ParserOptions{MaxFrameSize: int32(in.u32())}
	d := decoding{mode: in.u8()}
	options.ReceivePosition = in.i64()
	options.AcceptExtra = in.u8() != 0
	d.chunks = make([]uint32, in.count(4, 4))
	for i := range d.chunks {
		d.chunks[i] = in.u32()
		in.failed = in.failed || d.chunks[i] == 0 // it would never end the data
	}
	d.data = in.bytes()
	if in.failed || d.mode > modeOwnBuffer {
		return errProtocol
	}
	parser, err := samebytes.NewParser(schemas, &options)
	if err != nil {
		return err
	}
	d.parser = parser
	defer d.close()
	if err := d.feedAll(); err != nil {
		return err
	}
	return d.answer(out)
}

// feedAll feeds the data in chunks of the sizes in turn, until it ends or the stream does, and parses after each.
func (d *decoding) feedAll() error {
	for turn := 0; ; turn++ {
		chunk := d.data
		if len(d.chunks) > 0 {
			chunk = chunk[:min(int(d.chunks[turn%len(d.chunks)]), len(chunk))]
		}
		d.data = d.data[len(chunk):]
		if err := d.feed(chunk); err != nil {
			return err
		}
		if err := d.parse(); err != nil && d.parser.End() == 0 {
			return err
		}
		if len(d.data) == 0 || d.parser.End() != 0 {
			return nil
		}
	}
}

func (d *decoding) feed(chunk []byte) error {
	switch {
	case len(chunk) == 0:
		return nil
	case d.mode == modeLent:
		return d.feedLent(chunk)
	case d.mode == modeOwnBuffer:
		return d.feedOwnBuffer(chunk)
	}
	return d.parser.Feed(chunk)
}

func (d *decoding) feedLent(chunk []byte) error {
	for len(chunk) > 0 {
		room, err := d.parser.Buffer()
		if err != nil {
			return err
		}
		count := copy(room, chunk)
		if err := d.parser.Commit(count); err != nil {
			return err
		}
		chunk = chunk[count:]
	}
	return nil
}

func (d *decoding) feedOwnBuffer(chunk []byte) error {
	buffer := make([]byte, ownBufferSize)
	for len(chunk) > 0 {
		position, err := d.parser.Position(len(buffer))
		if err != nil {
			return err
		}
		if position < 0 {
			position += ownBufferSize
		}
		count := copy(buffer[position:], chunk)
		if err := d.parser.Receive(buffer, count); err != nil {
			return err
		}
		chunk = chunk[count:]
	}
	return nil
}

// parse parses what is there and keeps what came out, also when the parse returned an error.
func (d *decoding) parse() error {
	batch, err := samebytes.NewBatch()
	if err != nil {
		return err
	}
	d.batches = append(d.batches, batch)
	parsed := d.parser.Parse(batch)
	messages, err := batch.Messages()
	if err != nil {
		return err
	}
	for _, message := range messages {
		d.rows.u16(message.SchemaIndex)
		d.rows.i64(message.StreamOffset)
		d.rows.u8(uint8(message.APIKey))
		d.rows.u8(uint8(message.Sequence))
		for _, value := range message.Values {
			d.rows.value(value)
		}
	}
	refused, err := batch.Errors()
	if err != nil {
		return err
	}
	for _, entry := range refused {
		d.errors.error(entry)
	}
	d.rowCount += len(messages)
	d.errorCount += len(refused)
	d.need = batch.Need()
	return parsed
}

func (d *decoding) answer(out *reply) error {
	live, need := samebytes.MemoryLiveBlocks(), d.need
	again := samebytes.OK
	if err := d.parse(); err != nil {
		var refused *samebytes.Error
		if d.parser.End() == 0 || !errors.As(err, &refused) {
			return err
		}
		again = refused.Status
	}
	out.u32(uint32(d.rowCount))
	*out = append(*out, d.rows...)
	out.u32(uint32(d.errorCount))
	*out = append(*out, d.errors...)
	out.u32(uint32(d.parser.End()))
	out.u32(uint32(again))
	out.i64(int64(need))
	out.i64(live)
	return nil
}

func callSurface(out *reply) error {
	names, err := surface.Run()
	if err != nil {
		return err
	}
	out.u32(uint32(len(names)))
	for _, name := range names {
		out.bytes([]byte(name))
	}
	return nil
}

func serve(in *request, out *reply) error {
	switch in.u8() {
	case 'H':
		hello(out)
	case 'E':
		return encode(in, out)
	case 'D':
		return decode(in, out)
	case 'V':
		return visits(in, out)
	case 'L':
		out.i64(samebytes.MemoryLiveBlocks())
	case 'F':
		return callSurface(out)
	case 'Q':
	default:
		return errProtocol
	}
	return nil
}

// answer serves one request and returns the whole reply.
func answer(data []byte) reply {
	in, body := request{data: data}, reply{}
	err := serve(&in, &body)
	if err == nil && (in.failed || len(in.data) > 0) {
		err = errProtocol
	}
	kind := uint8(0)
	if err != nil {
		kind, body = 1, nil
		body.error(err)
	}
	var whole reply
	whole.u32(uint32(len(body) + 1))
	whole.u8(kind)
	return append(whole, body...)
}

func converse() error {
	input := bufio.NewReader(os.Stdin)
	for {
		var length [4]byte
		if _, err := io.ReadFull(input, length[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(length[:])
		if size > requestSizeMax {
			return errors.New("a request is longer than the limit")
		}
		data := make([]byte, size)
		if _, err := io.ReadFull(input, data); err != nil {
			return err
		}
		if _, err := os.Stdout.Write(answer(data)); err != nil {
			return err
		}
		if string(data) == "Q" {
			return nil
		}
	}
}

func main() {
	if err := converse(); err != nil {
		fmt.Fprintln(os.Stderr, "testee_go:", err)
		os.Exit(1)
	}
}
