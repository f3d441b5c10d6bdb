//go:build cgo

package samebytes

// #include <samebytes/echo.h>
//
// // Fields of both Echo messages.
// enum { ECHO_FIELDS = 4 };
//
// // A value whose data lies `offset` bytes behind an address that is the same for all.
// typedef struct packed_value {
//   int64_t number;
//   size_t offset;
//   size_t size;
// } packed_value;
//
// // Adds `count` messages with one crossing. Memory of Go that holds no pointers needs no pinning and no check by cgo, hence the offsets.
// static sb_status add_packed(sb_builder *builder, const sb_schema *schema, const int8_t *sequences, const packed_value *values, size_t count,
//                             const char *bytes, sb_error *error) {
//   for (size_t i = 0; i < count; i++, values += ECHO_FIELDS) {
//     sb_value message[ECHO_FIELDS];
//     for (size_t j = 0; j < ECHO_FIELDS; j++) {
//       message[j].number = values[j].number;
//       message[j].data = values[j].size > 0 ? bytes + values[j].offset : NULL;
//       message[j].size = values[j].size;
//     }
//     sb_status status = sb_builder_add(builder, schema, sequences[i], message, ECHO_FIELDS, error);
//     if (status != SB_OK) return status;
//   }
//   return SB_OK;
// }
import "C"

import (
	"errors"
	"sync"
	"unsafe"
)

const (
	packedMessagesMax = 256      // messages that cross together
	packedBytesMax    = 64 << 10 // bytes of a message above which it crosses alone, because the copy would cost more than the crossing
)

// packer collects messages for one crossing.
type packer struct {
	sequences []C.int8_t
	values    []C.packed_value
	bytes     []byte
}

var packers = sync.Pool{New: func() any {
	return &packer{
		sequences: make([]C.int8_t, 0, packedMessagesMax),
		values:    make([]C.packed_value, 0, packedMessagesMax*C.ECHO_FIELDS),
		bytes:     make([]byte, 0, packedBytesMax),
	}
}}

func (p *packer) clear() {
	p.sequences, p.values, p.bytes = p.sequences[:0], p.values[:0], p.bytes[:0]
}

func (p *packer) number(number int64) {
	p.values = append(p.values, C.packed_value{number: C.int64_t(number)})
}

func (p *packer) data(data []byte) {
	p.values = append(p.values, C.packed_value{offset: C.size_t(len(p.bytes)), size: C.size_t(len(data))})
	p.bytes = append(p.bytes, data...)
}

func (p *packer) shorts(items []int16) {
	p.bytes = p.bytes[:len(p.bytes)+len(p.bytes)%2] // C wants them aligned; there is room, as packAll sees to it
	p.values = append(p.values, C.packed_value{offset: C.size_t(len(p.bytes)), size: C.size_t(len(items))})
	p.bytes = append(p.bytes, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(items))), 2*len(items))...)
}

// flush adds what was collected.
func (p *packer) flush(op string, builder *C.sb_builder, schema *C.sb_schema) error {
	if len(p.sequences) == 0 {
		return nil
	}
	var explained C.sb_error
	status := C.add_packed(builder, schema, unsafe.SliceData(p.sequences), unsafe.SliceData(p.values), C.size_t(len(p.sequences)),
		(*C.char)(unsafe.Pointer(unsafe.SliceData(p.bytes))), &explained)
	p.clear()
	if status != 0 {
		return failureOf(op, status, &explained)
	}
	return nil
}

// packAll adds all messages, or none: by pack to a packer where size, which is at least that of a message's data, is small; else by alone.
func packAll[T any](op string, builder *Builder, open func() (*Schema, error), messages []T, size func(*T) int, pack func(*packer, *T),
	alone func(*Builder, *T) error) error {
	self, err := builder.enter(op)
	if err != nil {
		return err
	}
	defer builder.leave()
	schema, err := open()
	if err != nil {
		return err
	}
	defer schema.Close()
	object, err := schema.enter(op)
	if err != nil {
		return err
	}
	defer schema.leave()
	p := packers.Get().(*packer)
	defer packers.Put(p)
	p.clear()
	added, frames := C.sb_builder_size(self), C.sb_builder_frame_count(self)
	err = addPacked(op, self, object, p, builder, messages, size, pack, alone)
	if err != nil {
		if status := C.sb_builder_truncate(self, added, frames); status != 0 {
			return errors.Join(err, failure(op, status))
		}
	}
	return err
}

// addPacked is packAll's loop; when it fails, those before the refused message may be added.
func addPacked[T any](op string, self *C.sb_builder, schema *C.sb_schema, p *packer, builder *Builder, messages []T, size func(*T) int,
	pack func(*packer, *T), alone func(*Builder, *T) error) error {
	for i := range messages {
		message := &messages[i]
		needed := size(message) + 1 // 1 for alignment
		if len(p.sequences) == packedMessagesMax || len(p.bytes)+needed > packedBytesMax {
			if err := p.flush(op, self, schema); err != nil {
				return err
			}
		}
		if needed <= packedBytesMax {
			pack(p, message)
		} else if err := alone(builder, message); err != nil {
			return err
		}
	}
	return p.flush(op, self, schema)
}

// EchoAddRequests adds many requests, all of them or none, with far fewer calls of C than EchoAddRequest makes for them. An error's Frame
// counts the messages added since the last take or clear, and those of the call before the refused one.
//
// Ownership: all is borrowed for the call.
// Threads: one user of the Builder at a time.
// Errors: those of EchoAddRequest.
// Since: 1.0
func EchoAddRequests(builder *Builder, requests []EchoRequest) error {
	return packAll("EchoAddRequests", builder, EchoRequestSchema, requests,
		func(r *EchoRequest) int { return len(r.Subject) + 2*len(r.Metadata) + len(r.Body) },
		func(p *packer, r *EchoRequest) {
			p.sequences = append(p.sequences, C.int8_t(r.Sequence))
			p.number(r.Timestamp)
			p.data(r.Subject)
			p.shorts(r.Metadata)
			p.data(r.Body)
		}, EchoAddRequest)
}

// EchoAddResponses is EchoAddRequests for responses.
func EchoAddResponses(builder *Builder, responses []EchoResponse) error {
	return packAll("EchoAddResponses", builder, EchoResponseSchema, responses,
		func(r *EchoResponse) int { return len(r.Subject) + len(r.Body) },
		func(p *packer, r *EchoResponse) {
			p.sequences = append(p.sequences, C.int8_t(r.Sequence))
			p.number(int64(r.ID))
			p.number(r.Timestamp)
			p.data(r.Subject)
			p.data(r.Body)
		}, EchoAddResponse)
}

// EchoGetRequests appends all rows of batch, read as Echo requests, to requests, with a few calls of C for all of them.
//
// Ownership: what the requests point to is valid until batch is parsed into, cleared or closed.
// Threads: one user of the Batch at a time.
// Errors: ErrInvalidArgument when a row's schema is not that of Echo requests.
// Since: 1.0
func EchoGetRequests(batch *Batch, requests []EchoRequest) ([]EchoRequest, error) {
	return getAll("EchoGetRequests", batch, requests, EchoGetRequest, func(row *C.sb_row, values []C.sb_value) EchoRequest {
		return EchoRequest{Timestamp: int64(values[0].number), Subject: shown[byte](&values[1]), Metadata: shown[int16](&values[2]),
			Body: shown[byte](&values[3]), Sequence: int8(row.sequence)}
	})
}

// EchoGetResponses is EchoGetRequests for responses.
func EchoGetResponses(batch *Batch, responses []EchoResponse) ([]EchoResponse, error) {
	return getAll("EchoGetResponses", batch, responses, EchoGetResponse, func(row *C.sb_row, values []C.sb_value) EchoResponse {
		return EchoResponse{ID: int32(values[0].number), Timestamp: int64(values[1].number), Subject: shown[byte](&values[2]),
			Body: shown[byte](&values[3]), Sequence: int8(row.sequence)}
	})
}

func shown[T any](value *C.sb_value) []T {
	return unsafe.Slice((*T)(value.data), int(value.size))
}

// getAll reads all rows by read, from values that C shows at once; get reads one row, and checks its schema.
func getAll[T any](op string, batch *Batch, messages []T, get func(*Batch, int) (T, error), read func(*C.sb_row, []C.sb_value) T) ([]T, error) {
	self, err := batch.enter(op)
	if err != nil {
		return messages, err
	}
	defer batch.leave()
	var first *C.sb_row
	var count C.size_t
	if status := C.sb_batch_get_rows(self, &first, &count); status != 0 {
		return messages, failure(op, status)
	}
	rows := unsafe.Slice(first, int(count))
	values, err := allValues(op, self)
	if err != nil {
		return messages, err
	}
	for i := range rows {
		row := &rows[i]
		if i == 0 || row.schema_index != rows[0].schema_index {
			if _, err := get(batch, i); err != nil { // one schema of a parser at most is that of the messages
				return messages, err
			}
		}
		at := i * C.ECHO_FIELDS // all rows so far have that schema
		messages = append(messages, read(row, values[at:at+C.ECHO_FIELDS:at+C.ECHO_FIELDS]))
	}
	return messages, nil
}

// EchoCopyRequests calls each for every row of batch, with its head and its Echo request, whose slices are copies: those of one call share
// one piece of memory, and an append to one of them cannot reach the next.
//
// Ownership: the slices are the caller's; row and request are valid until each returns.
// Threads: one user of the Batch at a time.
// Errors: ErrInvalidArgument when a row's schema is not that of Echo requests; each is then not called at all.
// Since: 1.0
func EchoCopyRequests(batch *Batch, each func(row *Row, request *EchoRequest)) error {
	var request EchoRequest
	return copyAll("EchoCopyRequests", batch, 2, EchoGetRequest, func(row *Row, values []C.sb_value, from *copies) {
		request = EchoRequest{Timestamp: int64(values[0].number), Subject: from.bytesOf(&values[1]), Metadata: from.shortsOf(&values[2]),
			Body: from.bytesOf(&values[3]), Sequence: row.Sequence}
		each(row, &request)
	})
}

// EchoCopyResponses is EchoCopyRequests for responses.
func EchoCopyResponses(batch *Batch, each func(row *Row, response *EchoResponse)) error {
	var response EchoResponse
	return copyAll("EchoCopyResponses", batch, noArray, EchoGetResponse, func(row *Row, values []C.sb_value, from *copies) {
		response = EchoResponse{ID: int32(values[0].number), Timestamp: int64(values[1].number), Subject: from.bytesOf(&values[2]),
			Body: from.bytesOf(&values[3]), Sequence: row.Sequence}
		each(row, &response)
	})
}

// copies is Go's own copy of what a batch shows.
type copies struct {
	base   unsafe.Pointer // of the frames in C
	frames []byte         // a copy of all of them: one copy costs less than one per string
	shorts []int16
}

func (c *copies) bytesOf(value *C.sb_value) []byte {
	if value.size == 0 {
		return []byte{}
	}
	at := uintptr(value.data) - uintptr(c.base)
	end := at + uintptr(value.size)
	return c.frames[at:end:end]
}

func (c *copies) shortsOf(value *C.sb_value) []int16 {
	start := len(c.shorts)
	c.shorts = append(c.shorts, unsafe.Slice((*int16)(value.data), int(value.size))...)
	return c.shorts[start:len(c.shorts):len(c.shorts)]
}

const noArray = -1

// copyAll calls read for all rows, with their values in C; the field at array is one of shorts; get checks a row's schema.
func copyAll[T any](op string, batch *Batch, array int, get func(*Batch, int) (T, error), read func(*Row, []C.sb_value, *copies)) error {
	self, err := batch.enter(op)
	if err != nil {
		return err
	}
	defer batch.leave()
	var first *C.sb_row
	var count C.size_t
	if status := C.sb_batch_get_rows(self, &first, &count); status != 0 {
		return failure(op, status)
	}
	if count == 0 {
		return nil
	}
	rows := unsafe.Slice(first, int(count))
	for i := range rows {
		if i > 0 && rows[i].schema_index == rows[0].schema_index {
			continue
		}
		if _, err := get(batch, i); err != nil {
			return err
		}
	}
	frames, _, err := batch.GetColumn(int(rows[0].schema_index), C.ECHO_FIELDS-1, PartValues) // the last field of both is a string
	if err != nil {
		return err
	}
	values, err := allValues(op, self)
	if err != nil {
		return err
	}
	from := &copies{base: unsafe.Pointer(unsafe.SliceData(frames)), frames: append([]byte(nil), frames...)}
	if array != noArray {
		items := 0
		for i := array; i < len(values); i += C.ECHO_FIELDS {
			items += int(values[i].size)
		}
		from.shorts = make([]int16, 0, items)
	}
	var row Row
	for i := range rows {
		at := i * C.ECHO_FIELDS
		row = goRow(&rows[i])
		read(&row, values[at:at+C.ECHO_FIELDS:at+C.ECHO_FIELDS], from)
	}
	return nil
}

// allValues returns the values of all rows, one row's behind the other's.
func allValues(op string, batch *C.sb_batch) ([]C.sb_value, error) {
	var first *C.sb_value
	var count C.size_t
	if status := C.sb_batch_get_all_values(batch, &first, &count); status != 0 {
		return nil, failure(op, status)
	}
	return unsafe.Slice(first, int(count)), nil
}
