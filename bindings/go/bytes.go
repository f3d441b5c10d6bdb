//go:build cgo

package samebytes

import (
	"io"
	"net"
	"unsafe"
)

// Views and bufs as Go's streams know them. They stand beside the functions of C: Read and WriteTo take what there is, as Go's interfaces
// ask for, whereas ReadBytes is all or nothing.
var (
	_ io.Reader       = (*View)(nil)
	_ io.ByteReader   = (*View)(nil)
	_ io.WriterTo     = (*View)(nil)
	_ io.Writer       = (*Buf)(nil)
	_ io.ByteWriter   = (*Buf)(nil)
	_ io.StringWriter = (*Buf)(nil)
	_ io.ReaderFrom   = (*Buf)(nil)
)

const (
	piecesMax   = 1024  // pieces for one system call; more are not taken by Linux
	readRoomMin = 16384 // room for one read, where there is none left
	readsEmpty  = 100   // reads in a row that give nothing before ReadFrom gives up
)

func (i iovec) bytes() []byte {
	return unsafe.Slice((*byte)(i.Data), i.Size)
}

func buffers(pieces []iovec) net.Buffers {
	all := make(net.Buffers, len(pieces))
	for i, piece := range pieces {
		all[i] = piece.bytes()
	}
	return all
}

// GetIovec returns the pieces of the bytes from offset on, at most iovecMax of them, for net.Buffers.WriteTo, which hands them to the
// kernel in one call. They must not be written to.
//
// Ownership: the pieces are valid until the view is changed or closed, and do not keep it alive.
// Threads: one user of the view at a time.
// Errors: ErrOutOfRange when the view ends before offset.
// Since: 1.0
func (v *View) GetIovec(offset int, iovecMax int) (net.Buffers, error) {
	if iovecMax > v.SpanCount() {
		iovecMax = v.SpanCount() // what C would give; the rest need not be allocated
	}
	pieces, err := v.getIovec(offset, iovecMax)
	return buffers(pieces), err
}

// Read copies the first bytes of the view to data and removes them. It returns io.EOF when the view is empty.
func (v *View) Read(data []byte) (int, error) {
	size := min(len(data), v.Size())
	if err := v.ReadBytes(data[:size]); err != nil {
		return 0, err
	}
	if size == 0 && len(data) > 0 {
		return 0, io.EOF
	}
	return size, nil
}

// ReadByte removes the first byte of the view and returns it; io.EOF when the view is empty.
func (v *View) ReadByte() (byte, error) {
	if _, err := v.enter("View.ReadByte"); err != nil {
		return 0, err
	}
	defer v.leave()
	if v.Size() == 0 {
		return 0, io.EOF
	}
	value, err := v.ReadInt(1, OrderBig)
	return byte(value), err
}

// WriteTo writes the whole view to writer, and removes what was written. The bytes are not copied; a connection of package net gets many
// pieces in one system call. After an error the view shows what was not written.
func (v *View) WriteTo(writer io.Writer) (int64, error) {
	if _, err := v.enter("View.WriteTo"); err != nil {
		return 0, err
	}
	defer v.leave()
	var total int64
	for v.Size() > 0 {
		pieces, err := v.GetIovec(0, piecesMax)
		if err != nil {
			return total, err
		}
		written, err := pieces.WriteTo(writer)
		total += written
		if skipped := v.Skip(int(written)); skipped != nil {
			return total, skipped
		}
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// BeginIovec begins direct writing to all pieces of room, at most iovecMax and never more than 1,024, which is what one system call takes.
// Room is filled in the order of the pieces, by Commit.
//
// Ownership: the pieces may be written until the next call on the buf, and do not keep it alive.
// Threads: one user of the buf at a time.
// Errors: ErrOutOfRange when there is no room, or iovecMax is 0.
// Since: 1.0
func (b *Buf) BeginIovec(iovecMax int) ([][]byte, error) {
	pieces, err := b.beginIovec(min(iovecMax, piecesMax))
	return buffers(pieces), err
}

// grow reserves what is missing for size more bytes.
func (b *Buf) grow(size int) error {
	if b.Room() >= size {
		return nil
	}
	return b.Reserve(size)
}

// Write adds a copy of data and reserves room where it is missing. It adds all or nothing.
func (b *Buf) Write(data []byte) (int, error) {
	if err := b.grow(len(data)); err != nil {
		return 0, err
	}
	if err := b.Put(data); err != nil {
		return 0, err
	}
	return len(data), nil
}

// WriteString adds a copy of text and reserves room where it is missing.
func (b *Buf) WriteString(text string) (int, error) {
	return b.Write(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// WriteByte adds one byte and reserves room where it is missing.
func (b *Buf) WriteByte(value byte) error {
	if err := b.grow(1); err != nil {
		return err
	}
	return b.PutByte(value)
}

// ReadFrom reads from reader until io.EOF, straight into the memory of the buf. It returns how many bytes it has read, also with an error;
// they are in the buf then.
func (b *Buf) ReadFrom(reader io.Reader) (int64, error) {
	const op = "Buf.ReadFrom"
	if _, err := b.enter(op); err != nil {
		return 0, err
	}
	defer b.leave()
	var total int64
	for empty := 0; ; {
		if b.Room() == 0 {
			if err := b.Reserve(readRoomMin); err != nil {
				return total, err
			}
		}
		piece, err := b.Begin()
		if err != nil {
			return total, err
		}
		size, failed := reader.Read(piece)
		if size < 0 || size > len(piece) {
			b.Abort()
			return total, refuse(op, "the reader says that it has read more than it was asked for")
		}
		if err := b.Commit(size); err != nil {
			return total, err
		}
		total += int64(size)
		switch {
		case failed == io.EOF:
			return total, nil
		case failed != nil:
			return total, failed
		case size > 0:
			empty = 0
		default:
			if empty++; empty == readsEmpty {
				return total, io.ErrNoProgress
			}
		}
	}
}
