//go:build cgo

package samebytes

// #include <samebytes/status.h>
import "C"

import (
	"fmt"
	"strings"
)

// Status tells how a call ended. The statuses other than OK are errors: errors.Is(err, samebytes.ErrCorrupt) asks for one.
type Status int32

// Error returns the description of the status.
func (s Status) Error() string {
	return "samebytes: " + StatusMessage(s)
}

// String returns the name as C spells it, such as "SB_CORRUPT".
func (s Status) String() string {
	return StatusName(s)
}

// Error tells what failed and where. Every error of this package is an *Error, and matches its Status with errors.Is.
type Error struct {
	// Status says what kind of failure it is.
	Status Status
	// StreamOffset is the number of bytes from the start of the stream to the failing field; 0 where there is no stream.
	StreamOffset int64
	// FrameOffset is the number of bytes from the start of the frame to the failing field.
	FrameOffset int64
	// Frame is the index of the frame in its stream, good and bad ones counted; NoFrame if none.
	Frame int64
	// Field is the name of the field that failed; empty if none.
	Field string
	// Message is a sentence for people.
	Message string

	op    string // the Go function that failed; empty for what a batch reports
	cause error  // what a connection or a context said; nil if nothing did
}

// Error returns function, message, and where in the stream it was.
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString("samebytes: ")
	if e.op != "" {
		text.WriteString(e.op + ": ")
	}
	if e.Message != "" {
		text.WriteString(e.Message)
	} else {
		text.WriteString(StatusMessage(e.Status))
	}
	if e.cause != nil {
		text.WriteString(": " + e.cause.Error())
	}
	if e.Frame != NoFrame {
		fmt.Fprintf(&text, " (frame %d, stream offset %d)", e.Frame, e.StreamOffset)
	}
	return text.String()
}

// Unwrap returns the status, so that errors.Is finds it, and what a connection or a context said, such as io.EOF.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Status}
	}
	return []error{e.Status, e.cause}
}

// refuse is the error for an argument that the binding does not pass on.
func refuse(op, problem string) error {
	return &Error{Status: ErrInvalidArgument, Frame: NoFrame, Message: problem, op: op}
}

func failure(op string, status C.sb_status) error {
	return &Error{Status: Status(status), Frame: NoFrame, op: op}
}

func failureOf(op string, status C.sb_status, explained *C.sb_error) error {
	if explained.status != status {
		return failure(op, status)
	}
	err := goError(explained)
	err.op = op
	return err
}

func goError(c *C.sb_error) *Error {
	return &Error{
		Status:       Status(c.status),
		StreamOffset: int64(c.stream_offset),
		FrameOffset:  int64(c.frame_offset),
		Frame:        int64(c.frame),
		Field:        C.GoString(&c.field[0]),
		Message:      C.GoString(&c.message[0]),
	}
}
