//go:build cgo

package samebytes

// #include <samebytes/status.h>
import "C"

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
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
	// SystemError is the errno of the system call that was refused; 0 where the system refused nothing.
	SystemError syscall.Errno
	// StreamOffset is the number of bytes from the start of the stream to the failing field; 0 where there is no stream.
	StreamOffset int64
	// FrameOffset is the number of bytes from the start of the frame to the failing field.
	FrameOffset int64
	// Frame is the index of the frame in its stream, good and bad ones counted; NoFrame if none.
	Frame int64
	// Field is the name of the field that failed; empty if none.
	Field string
	// Path is the file that the call named; empty if none.
	Path string
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
	if e.Path != "" && !strings.Contains(e.Message, e.Path) {
		text.WriteString(": " + e.Path)
	}
	if e.Frame != NoFrame {
		fmt.Fprintf(&text, " (frame %d, stream offset %d)", e.Frame, e.StreamOffset)
	}
	return text.String()
}

// Unwrap returns the status, the system's refusal, and what a connection or a context said, such as io.EOF; so errors.Is finds
// samebytes.ErrIO, fs.ErrNotExist and syscall.ENOENT in one error.
func (e *Error) Unwrap() []error {
	causes := []error{e.Status}
	if e.SystemError != 0 {
		causes = append(causes, e.SystemError)
	}
	if e.cause != nil {
		causes = append(causes, e.cause)
	}
	return causes
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

// failureOfFile is failureOf for a call that named a file.
func failureOfFile(op string, status C.sb_status, explained *C.sb_error, path string) error {
	err := failureOf(op, status, explained)
	err.(*Error).Path = path
	return err
}

// refusedFile is the error for a file that Go could not read: the same as for one that the library could not.
func refusedFile(op, path string, cause error) error {
	err := &Error{Status: ErrIO, Frame: NoFrame, op: op, Path: path, Message: "reading the file"}
	var number syscall.Errno
	if errors.As(cause, &number) {
		err.SystemError = number
	}
	if errors.Is(cause, fs.ErrNotExist) {
		err.Status = ErrNotFound
	}
	err.cause = cause
	if wrapped := (*fs.PathError)(nil); errors.As(cause, &wrapped) {
		err.cause = wrapped.Err // which file is said already
	}
	return err
}

func goError(c *C.sb_error) *Error {
	return &Error{
		Status:       Status(c.status),
		SystemError:  syscall.Errno(c.system_error),
		StreamOffset: int64(c.stream_offset),
		FrameOffset:  int64(c.frame_offset),
		Frame:        int64(c.frame),
		Field:        C.GoString(&c.field[0]),
		Message:      C.GoString(&c.message[0]),
	}
}
