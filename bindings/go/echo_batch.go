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
	rows, values, err := showAll(op, self)
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
