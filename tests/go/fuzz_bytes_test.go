package tests

import (
	"bytes"
	"errors"
	"math"
	"testing"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// byteModel is a buf and a view, and what they must show.
type byteModel struct {
	t     *testing.T
	buf   *samebytes.Buf
	view  *samebytes.View
	other *samebytes.Memory
	full  []byte // of buf
	shown []byte // of view
}

func (m *byteModel) setView(view *samebytes.View, err error, shown []byte) {
	if err != nil {
		m.t.Fatal(err)
	}
	m.view.Close()
	m.view, m.shown = view, bytes.Clone(shown)
}

// expect says what the error of a call must be.
func (m *byteModel) expect(err error, fits bool) bool {
	if fits && err != nil || !fits && !errors.Is(err, samebytes.ErrOutOfRange) {
		m.t.Fatalf("%v, although it fits: %v", err, fits)
	}
	return fits
}

// step does what one byte of the program says, with a size of 0 to 255.
func (m *byteModel) step(operation byte, size int) {
	if len(m.full)+len(m.shown) > 1<<16 {
		m.buf.Clear()
		m.full = nil
		m.setView(must(samebytes.NewView(nil, nil)), nil, nil)
	}
	data := bytes.Repeat([]byte{operation, byte(size), 77}, size)[:size]
	room := m.buf.Room()
	width := 1 << (size % 4)
	order := int32(size / 4 % 2)
	switch operation % 16 {
	case 0:
		m.expect(m.buf.Reserve(size), true)
	case 1:
		if m.expect(m.buf.Put(data), size <= room) {
			m.full = append(m.full, data...)
		}
	case 2:
		if m.expect(m.buf.PutRepeated(operation, size), size <= room) {
			m.full = append(m.full, bytes.Repeat([]byte{operation}, size)...)
		}
	case 3:
		m.full = append(m.full, data[:must(m.buf.Write(data))]...)
	case 4:
		if m.expect(m.buf.PutInt(int64(int8(operation)), uint32(width), order), width <= room) {
			m.full = append(m.full, integer(int64(int8(operation)), width, order)...)
		}
	case 5:
		if m.expect(m.buf.PutFloat(float64(size)/8, 8, order), room >= 8) {
			m.full = append(m.full, integer(int64(math.Float64bits(float64(size)/8)), 8, order)...)
		}
	case 6:
		m.expect(m.buf.PutView(m.view), true)
		m.full = append(m.full, m.shown...)
	case 7:
		view, err := m.buf.Take(size)
		if m.expect(err, size <= len(m.full)) {
			m.setView(view, err, m.full[:size])
			m.full = m.full[size:]
		}
	case 8:
		pieces, err := m.buf.BeginIovec(1 + size%8)
		if !m.expect(err, room > 0) {
			break
		}
		left := data
		for _, piece := range pieces {
			left = left[copy(piece, left):]
		}
		m.expect(m.buf.Commit(size-len(left)), true)
		m.full = append(m.full, data[:size-len(left)]...)
	case 9:
		other, err := m.buf.SplitRoom(size)
		if m.expect(err, size <= room) {
			m.expect(other.Put(data), true)
			m.setView(must(other.Take(size)), nil, data)
			other.Close()
		}
	case 10:
		view, err := m.view.Range(size/2, size/3)
		if m.expect(err, size/2+size/3 <= len(m.shown)) {
			m.setView(view, err, m.shown[size/2:size/2+size/3])
		}
	case 11:
		m.expect(m.view.Append(m.view), true)
		m.shown = append(m.shown, m.shown...)
	case 12:
		value, err := m.view.ReadInt(uint32(width), order)
		if m.expect(err, width <= len(m.shown)) {
			if !bytes.Equal(integer(value, width, order), m.shown[:width]) {
				m.t.Fatalf("ReadInt gave %d for %x", value, m.shown[:width])
			}
			m.shown = m.shown[width:]
		}
	case 13:
		if m.expect(m.view.Skip(size), size <= len(m.shown)) {
			m.shown = m.shown[size:]
		}
	case 14:
		flat := must(m.view.Flatten(nil))
		if flat.Hash(1) != m.view.Hash(1) || flat.Compare(m.view) != 0 || !flat.Equals(m.view) {
			m.t.Fatal("a flat view is another one")
		}
		m.setView(must(samebytes.OpenViewConcat([]*samebytes.View{flat, m.view})), nil, append(bytes.Clone(m.shown), m.shown...))
		flat.Close()
	default:
		m.setView(must(samebytes.NewView(data, m.other)), nil, data)
	}
}

// integer is a number's bytes, worked out one by one.
func integer(value int64, width int, order int32) []byte {
	all := make([]byte, width)
	for i := range all {
		at := i
		if order == samebytes.OrderBig {
			at = width - 1 - i
		}
		all[at] = byte(value >> (8 * i))
	}
	return all
}

func (m *byteModel) check() {
	peeked := must(m.buf.Peek())
	defer peeked.Close()
	if !bytes.Equal(must(peeked.Bytes()), m.full) || !bytes.Equal(must(m.view.Bytes()), m.shown) {
		m.t.Fatal("the bytes differ from the model's")
	}
}

// openProvider opens one of several providers, some with blocks that are much too small.
func openProvider(which byte) *samebytes.Memory {
	sizes := []uint32{1, 2, 3, 7, 64}
	switch which % 9 {
	case 5:
		return must(samebytes.OpenMemoryHeap())
	case 6:
		pool := must(samebytes.NewPool(nil))
		defer pool.Close()
		return must(pool.Memory())
	case 7:
		return must(samebytes.OpenMemoryShared(0, 0))
	case 8:
		return must(samebytes.OpenMemoryDefault())
	}
	return must(samebytes.OpenMemoryFixed(sizes[which%9]))
}

// FuzzBytes does what the input says to a buf and a view: the first two bytes choose the providers, then come operations and sizes.
func FuzzBytes(f *testing.F) {
	for seed := range 81 {
		program := []byte{byte(seed % 9), byte(seed / 9)}
		state := uint32(seed + 1)
		for range 300 {
			state = state*1664525 + 1013904223
			program = append(program, byte(state>>24))
		}
		f.Add(program)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) < 2 || len(program) > 2000 {
			return
		}
		memory, other := openProvider(program[0]), openProvider(program[1])
		tracing := must(samebytes.OpenMemoryTracing(memory))
		m := &byteModel{t: t, buf: must(samebytes.NewBuf(tracing)), view: must(samebytes.NewView(nil, nil)), other: other}
		for at := 2; at+1 < len(program); at += 2 {
			m.step(program[at], int(program[at+1]))
			m.check()
		}
		m.view.Close()
		m.buf.Close()
		if stats := must(tracing.GetStats()); stats.Reserves != stats.Releases || stats.LiveBytes != 0 {
			t.Errorf("%d reserves, %d releases", stats.Reserves, stats.Releases)
		}
		for _, provider := range []*samebytes.Memory{tracing, memory, other} {
			provider.Close()
		}
	})
}
