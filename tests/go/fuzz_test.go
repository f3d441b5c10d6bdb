package tests

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// row and refused are what a decoder says about a frame.
type row struct {
	Offset        int64
	Key, Sequence int8
	Values        []any
}

type refused struct {
	Frame, Offset, FrameOffset int64
	Field                      string
	Status                     samebytes.Status
}

// outcome is what a decoder says about a stream.
type outcome struct {
	Rows    []row
	Refused []refused
	End     samebytes.Status
	Need    int
}

const fuzzFrameSizeMax = 70000

// message is a schema for the decoder below, which was written from docs/wire-format.md and shares nothing with the core.
type message struct{ names, types []string }

var fuzzMessages = map[int8]message{
	0: {[]string{"timestamp", "subject", "metadata", "body"}, []string{"int64", "string", "array<int16>", "string"}},
	1: {[]string{"field0", "field1", "field2", "field3", "field4", "field5", "field6", "field7", "field8", "field9"}, allTypes},
}

var allTypes = []string{"int8", "int16", "int32", "int64", "string", "array<int8>", "array<int16>", "array<int32>", "array<int64>",
	"array<string>"}

func allTypesSchema() *samebytes.Schema {
	fields := make([]samebytes.SchemaField, len(allTypes))
	for i, name := range allTypes {
		fields[i] = samebytes.SchemaField{Name: fuzzMessages[1].names[i], Type: must(samebytes.TypeNamed(name))}
	}
	return must(samebytes.NewSchema("AllTypes", samebytes.DirectionRequest, 1, fields))
}

// plainDecode decodes a whole stream.
func plainDecode(data []byte, extra bool) (o outcome) {
	for at, frame := 0, int64(0); ; frame++ {
		if left := len(data) - at; left < 4 {
			o.Need = 4 - left
			return o
		}
		size := int(int32(binary.BigEndian.Uint32(data[at:])))
		if size < 2 || size > fuzzFrameSizeMax {
			o.End = samebytes.ErrCorrupt
			if size > fuzzFrameSizeMax {
				o.End = samebytes.ErrTooLarge
			}
			o.Refused = append(o.Refused, refused{frame, int64(at), 0, "", o.End})
			return o
		}
		if at+4+size > len(data) {
			o.Need = at + 4 + size - len(data)
			return o
		}
		whole := data[at : at+4+size]
		key := int8(whole[4])
		if schema, known := fuzzMessages[key]; !known {
			o.Refused = append(o.Refused, refused{frame, int64(at) + 4, 4, "", samebytes.ErrUnknownAPIKey})
		} else if values, field, wrong := plainFields(whole, schema, extra); wrong >= 0 {
			o.Refused = append(o.Refused, refused{frame, int64(at + wrong), int64(wrong), field, samebytes.ErrCorrupt})
		} else {
			o.Rows = append(o.Rows, row{int64(at), key, int8(whole[5]), values})
		}
		at += len(whole)
	}
}

// plainFields returns the values of a frame, or the field that is wrong and its offset.
func plainFields(frame []byte, schema message, extra bool) (values []any, field string, wrong int) {
	at := 6
	for i, name := range schema.types {
		value, next, ok := plainField(frame, at, name)
		if !ok {
			return nil, schema.names[i], next
		}
		values, at = append(values, value), next
	}
	if at < len(frame) && !extra {
		return nil, "", at
	}
	return values, "", -1
}

// plainField reads one field, and returns where the next one begins, or what is wrong.
func plainField(frame []byte, at int, name string) (any, int, bool) {
	left := frame[at:]
	switch name {
	case "int8", "int16", "int32", "int64":
		width := map[string]int{"int8": 1, "int16": 2, "int32": 4, "int64": 8}[name]
		if len(left) < width {
			return nil, at, false
		}
		return plainInt(left[:width]), at + width, true
	case "string":
		if len(left) < 4 {
			return nil, at, false
		}
		size := int(int32(binary.BigEndian.Uint32(left)))
		if size < 0 || size > len(left)-4 {
			return nil, at, false
		}
		return left[4 : 4+size], at + 4 + size, true
	}
	if len(left) < 2 {
		return nil, at, false
	}
	count := int(int16(binary.BigEndian.Uint16(left)))
	item := name[len("array<") : len(name)-1]
	least := map[string]int{"int8": 1, "int16": 2, "int32": 4, "int64": 8, "string": 4}[item]
	if count < 0 || count*least > len(left)-2 {
		return nil, at, false
	}
	at += 2
	items := reflect.MakeSlice(map[string]reflect.Type{"int8": reflect.TypeFor[[]int8](), "int16": reflect.TypeFor[[]int16](),
		"int32": reflect.TypeFor[[]int32](), "int64": reflect.TypeFor[[]int64](), "string": reflect.TypeFor[[][]byte]()}[item], count, count)
	for i := range count {
		value, next, ok := plainField(frame, at, item)
		if !ok {
			return nil, next, false
		}
		if number, isNumber := value.(int64); isNumber {
			items.Index(i).SetInt(number)
		} else {
			items.Index(i).SetBytes(value.([]byte))
		}
		at = next
	}
	return items.Interface(), at, true
}

func plainInt(data []byte) int64 {
	value := int64(int8(data[0]))
	for _, b := range data[1:] {
		value = value<<8 | int64(b)
	}
	return value
}

// coreDecode is the same by the library, in chunks.
func coreDecode(t *testing.T, data []byte, extra bool, chunk int) (o outcome) {
	echo, all := must(samebytes.EchoRequestSchema()), allTypesSchema()
	defer echo.Close()
	defer all.Close()
	parser := must(samebytes.NewParser([]*samebytes.Schema{echo, all},
		&samebytes.ParserOptions{MaxFrameSize: fuzzFrameSizeMax, AcceptExtra: extra}))
	defer parser.Close()
	batch := must(samebytes.NewBatch())
	defer batch.Close()
	for more := true; more && parser.End() == 0; {
		part := data[:min(chunk, len(data))]
		data = data[len(part):]
		more = len(data) > 0
		if err := parser.Feed(part); err != nil {
			t.Fatal(err)
		}
		if err := parser.Parse(batch); err != nil && parser.End() == 0 {
			t.Fatal(err)
		}
		for _, m := range must(batch.Messages()) {
			o.Rows = append(o.Rows, row{m.StreamOffset, m.APIKey, m.Sequence, m.Values})
		}
		for _, e := range must(batch.Errors()) {
			o.Refused = append(o.Refused, refused{e.Frame, e.StreamOffset, e.FrameOffset, e.Field, e.Status})
		}
		o.Need = batch.Need()
	}
	o.End = samebytes.Status(parser.End())
	return o
}

// seeds adds the streams of the conformance vectors, and one with every type.
func seeds(f *testing.F) {
	files := must(filepath.Glob("../conformance/vectors/*.json"))
	count := 0
	for _, file := range files {
		var vectors struct {
			Cases []struct{ Hex json.RawMessage }
		}
		if err := json.Unmarshal(must(os.ReadFile(file)), &vectors); err != nil {
			f.Fatal(err)
		}
		for _, c := range vectors.Cases {
			var text string
			if json.Unmarshal(c.Hex, &text) != nil {
				continue // one that says how to make its bytes
			}
			if data := must(hex.DecodeString(text)); len(data) > 0 && len(data) < 1<<17 {
				f.Add(data, count%2 == 0, uint16(count%61))
				count++
			}
		}
	}
	if count < 50 {
		f.Fatalf("%d vectors in %d files", count, len(files))
	}
	schema, builder := allTypesSchema(), must(samebytes.NewBuilder(nil))
	defer schema.Close()
	defer builder.Close()
	err := builder.Add(schema, 7, -1, -2, 3, 4, "text", []int8{-5}, []int16{6, -6}, []int32{7}, []int64{8}, []string{"a", "", "bc"})
	if err := errors.Join(err, builder.Add(schema, 8, 0, 0, 0, 0, "", []int8{}, []int16{}, []int32{}, []int64{}, []string{})); err != nil {
		f.Fatal(err)
	}
	data := must(builder.Bytes())
	for cut := range data { // every truncation, and every byte changed
		f.Add(data[:cut], false, uint16(cut))
		wrong := append([]byte(nil), data...)
		wrong[cut] ^= 0x81
		f.Add(wrong, true, uint16(cut/2))
	}
}

// FuzzParser holds the parser against plainDecode: go test -fuzz FuzzParser ./tests/go. Without -fuzz it runs the seeds.
func FuzzParser(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte, extra bool, chunk uint16) {
		want := plainDecode(data, extra)
		got := coreDecode(t, data, extra, int(chunk)+1)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%x\nextra %v, chunks of %d\ngot  %+v\nwant %+v", data, extra, int(chunk)+1, got, want)
		}
	})
}
