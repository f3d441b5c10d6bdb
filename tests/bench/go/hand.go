package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// request is what the peers decode to; the library's echo.Request has the same fields.
type request struct {
	apiKey    int8
	sequence  int8
	timestamp int64
	subject   []byte
	metadata  []int16
	body      []byte
}

const frameSizeMax = 1048576

var errCorrupt = errors.New("corrupt frame")

// stream holds what was fed and not yet decoded.
type stream struct {
	data []byte
}

func (s *stream) feed(chunk []byte) {
	s.data = append(s.data, chunk...)
}

// frames calls decode for each complete frame, and moves what is left to the front.
func (s *stream) frames(decode func(frame []byte) error) error {
	at := 0
	for len(s.data)-at >= 4 {
		size := int32(binary.BigEndian.Uint32(s.data[at:]))
		if size < 20 || size > frameSizeMax {
			return errCorrupt
		}
		end := at + 4 + int(size)
		if end > len(s.data) {
			break
		}
		if err := decode(s.data[at:end:end]); err != nil {
			return err
		}
		at = end
	}
	s.data = s.data[:copy(s.data, s.data[at:])]
	return nil
}

// decodeView decodes by hand; subject and body are slices of the frame, and metadata is appended to items.
func decodeView(frame []byte, items []int16) (request, []int16, error) {
	left := len(frame) - 24
	row := request{apiKey: int8(frame[4]), sequence: int8(frame[5]), timestamp: int64(binary.BigEndian.Uint64(frame[6:]))}
	size := int(int32(binary.BigEndian.Uint32(frame[14:])))
	if row.apiKey != 0 || size < 0 || size > left {
		return row, items, errCorrupt
	}
	left -= size
	row.subject = frame[18 : 18+size : 18+size]
	at := frame[18+size:]
	count := int(int16(binary.BigEndian.Uint16(at)))
	if count < 0 || 2*count > left {
		return row, items, errCorrupt
	}
	left -= 2 * count
	at = at[2:]
	first := len(items)
	for i := range count {
		items = append(items, int16(binary.BigEndian.Uint16(at[2*i:])))
	}
	row.metadata = items[first:len(items):len(items)]
	at = at[2*count:]
	if int(int32(binary.BigEndian.Uint32(at))) != left {
		return row, items, errCorrupt
	}
	row.body = at[4:]
	return row, items, nil
}

// decodeCopy decodes by hand to slices of their own.
func decodeCopy(frame []byte) (request, error) {
	count := 0
	if size := int(int32(binary.BigEndian.Uint32(frame[14:]))); size >= 0 && size <= len(frame)-24 {
		count = int(binary.BigEndian.Uint16(frame[18+size:]))
	}
	row, _, err := decodeView(frame, make([]int16, 0, min(count, 32767)))
	row.subject = bytes.Clone(row.subject)
	row.body = bytes.Clone(row.body)
	return row, err
}

// decodeBinary decodes by encoding/binary's Read, field by field.
func decodeBinary(frame []byte) (request, error) {
	var row request
	in := bytes.NewReader(frame[4:])
	var size int32
	var count int16
	read := func(field any) error { return binary.Read(in, binary.BigEndian, field) }
	if err := errors.Join(read(&row.apiKey), read(&row.sequence), read(&row.timestamp), read(&size)); err != nil {
		return row, err
	}
	if size < 0 || int(size) > in.Len() {
		return row, errCorrupt
	}
	row.subject = make([]byte, size)
	if _, err := io.ReadFull(in, row.subject); err != nil {
		return row, err
	}
	if err := read(&count); err != nil {
		return row, err
	}
	if count < 0 || 2*int(count) > in.Len() {
		return row, errCorrupt
	}
	row.metadata = make([]int16, count)
	if err := errors.Join(read(row.metadata), read(&size)); err != nil {
		return row, err
	}
	if int(size) != in.Len() {
		return row, errCorrupt
	}
	row.body = make([]byte, size)
	_, err := io.ReadFull(in, row.body)
	return row, err
}

// appendRequest encodes by hand.
func appendRequest(out []byte, row *request) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(20+len(row.subject)+2*len(row.metadata)+len(row.body)))
	out = append(out, byte(row.apiKey), byte(row.sequence))
	out = binary.BigEndian.AppendUint64(out, uint64(row.timestamp))
	out = binary.BigEndian.AppendUint32(out, uint32(len(row.subject)))
	out = append(out, row.subject...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(row.metadata)))
	for _, item := range row.metadata {
		out = binary.BigEndian.AppendUint16(out, uint16(item))
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(row.body)))
	return append(out, row.body...)
}
