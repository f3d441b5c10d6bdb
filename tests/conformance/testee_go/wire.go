package main

import (
	"encoding/binary"
	"errors"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// request is read from the front. After the first read that fails every further one fails; counts are held against what is left before
// memory is taken for them.
type request struct {
	data   []byte
	failed bool
}

func (r *request) take(size uint64) []byte {
	if r.failed || size > uint64(len(r.data)) {
		r.failed = true
		return nil
	}
	taken := r.data[:size]
	r.data = r.data[size:]
	return taken
}

func (r *request) number(width uint64) uint64 {
	var number uint64
	for _, b := range r.take(width) {
		number = number<<8 | uint64(b)
	}
	return number
}

func (r *request) u8() uint8   { return uint8(r.number(1)) }
func (r *request) i8() int8    { return int8(r.number(1)) }
func (r *request) u32() uint32 { return uint32(r.number(4)) }
func (r *request) i64() int64  { return int64(r.number(8)) }

func (r *request) bytes() []byte { return r.take(uint64(r.u32())) }

// count reads how many items follow that have at least itemSize bytes each.
func (r *request) count(width uint64, itemSize int) int {
	count := r.number(width)
	if r.failed || count > uint64(len(r.data)/itemSize) {
		r.failed = true
		return 0
	}
	return int(count)
}

func (r *request) schema() (*samebytes.Schema, error) {
	name, direction, key := string(r.bytes()), r.u8(), r.i8()
	fields := make([]samebytes.SchemaField, r.count(2, 5))
	for i := range fields {
		fields[i].Name = string(r.bytes())
		fields[i].Type = int32(r.u8())
	}
	return samebytes.NewSchema(name, int32(direction), key, fields)
}

func numbers[T int8 | int16 | int32 | int64](r *request) []T {
	items := make([]T, r.count(4, 8))
	for i := range items {
		items[i] = T(r.i64())
	}
	return items
}

func (r *request) value(fieldType int32) any {
	switch fieldType {
	case samebytes.TypeString:
		return r.bytes()
	case samebytes.TypeArrayInt8:
		return numbers[int8](r)
	case samebytes.TypeArrayInt16:
		return numbers[int16](r)
	case samebytes.TypeArrayInt32:
		return numbers[int32](r)
	case samebytes.TypeArrayInt64:
		return numbers[int64](r)
	case samebytes.TypeArrayString:
		items := make([][]byte, r.count(4, 4))
		for i := range items {
			items[i] = r.bytes()
		}
		return items
	}
	return r.i64()
}

// reply is written at the end.
type reply []byte

func (out *reply) u8(number uint8)   { *out = append(*out, number) }
func (out *reply) u16(number uint16) { *out = binary.BigEndian.AppendUint16(*out, number) }
func (out *reply) u32(number uint32) { *out = binary.BigEndian.AppendUint32(*out, number) }
func (out *reply) i64(number int64)  { *out = binary.BigEndian.AppendUint64(*out, uint64(number)) }

func (out *reply) bytes(data []byte) {
	out.u32(uint32(len(data)))
	*out = append(*out, data...)
}

func replyNumbers[T int8 | int16 | int32 | int64](out *reply, items []T) {
	out.u32(uint32(len(items)))
	for _, item := range items {
		out.i64(int64(item))
	}
}

func (out *reply) value(value any) {
	switch value := value.(type) {
	case int64:
		out.i64(value)
	case []byte:
		out.bytes(value)
	case []int8:
		replyNumbers(out, value)
	case []int16:
		replyNumbers(out, value)
	case []int32:
		replyNumbers(out, value)
	case []int64:
		replyNumbers(out, value)
	case [][]byte:
		out.u32(uint32(len(value)))
		for _, item := range value {
			out.bytes(item)
		}
	}
}

func (out *reply) error(err error) {
	var refused *samebytes.Error
	if !errors.As(err, &refused) {
		refused = &samebytes.Error{Status: samebytes.ErrInvalidArgument, Frame: samebytes.NoFrame, Message: err.Error()}
	}
	message := refused.Message
	if message == "" {
		message = samebytes.StatusMessage(refused.Status)
	}
	out.u32(uint32(refused.Status))
	out.i64(refused.StreamOffset)
	out.i64(refused.FrameOffset)
	out.i64(refused.Frame)
	out.bytes([]byte(refused.Field))
	out.bytes([]byte(message))
}
