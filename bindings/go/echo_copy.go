//go:build cgo

package samebytes

// #include <samebytes/echo.h>
//
// // Fields of both Echo messages.
// enum { ECHO_COPIED = 4 };
import "C"

import (
	"slices"
	"unsafe"
)

// EchoRequestRow is an Echo request that was decoded, and its head.
type EchoRequestRow struct {
	// StreamOffset is the number of bytes from the start of the stream to the frame.
	StreamOffset int64
	// APIKey is that of the schema: 0.
	APIKey int8
	// Sequence tells which response belongs to the request.
	Sequence int8
	// Timestamp is in ms since the Unix epoch, by convention.
	Timestamp int64
	Subject   []byte
	Metadata  []int16
	Body      []byte
}

// EchoResponseRow is an Echo response that was decoded, and its head.
type EchoResponseRow struct {
	// StreamOffset is the number of bytes from the start of the stream to the frame.
	StreamOffset int64
	// APIKey is that of the schema: 0.
	APIKey int8
	// Sequence is that of the request.
	Sequence  int8
	ID        int32
	Timestamp int64
	Subject   []byte
	Body      []byte
}

// echoValues are the values of an Echo message, as C shows them.
type echoValues = [C.ECHO_COPIED]C.sb_value

// EchoCopyRequests appends copies of all rows of batch, read as Echo requests, to requests, with a few calls of C for all of them. Their
// slices are copies: those of one call share two pieces of memory, and an append to one of them cannot reach the next.
//
// Ownership: the requests are the caller's.
// Threads: one user of the Batch at a time.
// Errors: ErrInvalidArgument when a row's schema is not that of Echo requests; requests are then returned as they were.
// Since: 1.0
func EchoCopyRequests(batch *Batch, requests []EchoRequestRow) ([]EchoRequestRow, error) {
	rows, values, err := showEcho("EchoCopyRequests", batch, EchoGetRequest)
	if err != nil {
		return requests, err
	}
	defer batch.leave()
	bytes, items := 0, 0
	for i := range values {
		bytes += int(values[i][1].size + values[i][3].size)
		items += int(values[i][2].size)
	}
	texts, shorts := newSlab[byte](bytes), newSlab[int16](items)
	start := len(requests)
	requests = slices.Grow(requests, len(rows))[:start+len(rows)]
	into := requests[start:]
	for i := range into {
		row, value, to := &rows[i], &values[i], &into[i]
		// Field by field: storing a whole structure with pointers costs several times as much while the garbage collector marks.
		to.StreamOffset, to.APIKey, to.Sequence = int64(row.stream_offset), int8(row.api_key), int8(row.sequence)
		to.Timestamp = int64(value[0].number)
		to.Subject, to.Metadata, to.Body = texts.copied(&value[1]), shorts.copied(&value[2]), texts.copied(&value[3])
	}
	return requests, nil
}

// EchoCopyResponses is EchoCopyRequests for responses.
func EchoCopyResponses(batch *Batch, responses []EchoResponseRow) ([]EchoResponseRow, error) {
	rows, values, err := showEcho("EchoCopyResponses", batch, EchoGetResponse)
	if err != nil {
		return responses, err
	}
	defer batch.leave()
	bytes := 0
	for i := range values {
		bytes += int(values[i][2].size + values[i][3].size)
	}
	texts := newSlab[byte](bytes)
	start := len(responses)
	responses = slices.Grow(responses, len(rows))[:start+len(rows)]
	into := responses[start:]
	for i := range into {
		row, value, to := &rows[i], &values[i], &into[i]
		to.StreamOffset, to.APIKey, to.Sequence = int64(row.stream_offset), int8(row.api_key), int8(row.sequence)
		to.ID, to.Timestamp = int32(value[0].number), int64(value[1].number)
		to.Subject, to.Body = texts.copied(&value[2]), texts.copied(&value[3])
	}
	return responses, nil
}

// showEcho returns heads and values of all rows, which get has to accept. Where there is no error the caller leaves the batch after use.
func showEcho[T any](op string, batch *Batch, get func(*Batch, int) (T, error)) ([]C.sb_row, []echoValues, error) {
	self, err := batch.enter(op)
	if err != nil {
		return nil, nil, err
	}
	rows, values, err := showAll(op, self)
	for i := 0; i < len(rows) && err == nil; i++ {
		if i == 0 || rows[i].schema_index != rows[i-1].schema_index {
			_, err = get(batch, i)
		}
	}
	if err != nil {
		batch.leave()
		return nil, nil, err
	}
	return rows, unsafe.Slice((*echoValues)(unsafe.Pointer(unsafe.SliceData(values))), len(rows)), nil
}
