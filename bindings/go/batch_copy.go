//go:build cgo

package samebytes

// #include <samebytes/parser.h>
import "C"

import "unsafe"

// showAll returns heads and values of all rows, one row's values behind the other's, with one crossing for each. They are memory of the batch.
func showAll(op string, batch *C.sb_batch) ([]C.sb_row, []C.sb_value, error) {
	var rows *C.sb_row
	var values *C.sb_value
	var rowCount, valueCount C.size_t
	if status := C.sb_batch_get_rows(batch, &rows, &rowCount); status != 0 {
		return nil, nil, failure(op, status)
	}
	if status := C.sb_batch_get_all_values(batch, &values, &valueCount); status != 0 {
		return nil, nil, failure(op, status)
	}
	return unsafe.Slice(rows, int(rowCount)), unsafe.Slice(values, int(valueCount)), nil
}

// slab is memory of Go that values of many rows are copied to: one allocation for all of them, of a size that is known before. What it gives
// out has no room behind it, so that an append to it cannot reach the next.
type slab[T any] []T

// newSlab makes a slab for count items, which are copied to it one value after the other.
func newSlab[T any](count int) slab[T] {
	if count == 0 {
		return nil
	}
	return make([]T, 0, count)
}

// copied returns a copy of what the value shows; never nil.
func (s *slab[T]) copied(value *C.sb_value) []T {
	if value.size == 0 {
		return []T{}
	}
	all, start := *s, len(*s)
	all = append(all, unsafe.Slice((*T)(value.data), int(value.size))...)
	*s = all
	return all[start:len(all):len(all)]
}

// copies holds the slabs for the values of all rows of a batch.
type copies struct {
	bytes  slab[byte]
	int8s  slab[int8]
	int16s slab[int16]
	int32s slab[int32]
	int64s slab[int64]
	items  int // of all arrays of strings
	pieces slab[[]byte]
	texts  slab[string]
}

// newCopies makes slabs of the sizes that the values need.
func newCopies(rows []C.sb_row, values []C.sb_value, fields [][]SchemaField) *copies {
	var counts [TypeArrayString + 1]int
	for i := range rows {
		of := fields[rows[i].schema_index]
		for j := range of {
			value := &values[j]
			counts[of[j].Type] += int(value.size)
			if of[j].Type == TypeArrayString {
				for _, item := range unsafe.Slice((*C.sb_bytes)(value.data), int(value.size)) {
					counts[TypeString] += int(item.size)
				}
			}
		}
		values = values[len(of):]
	}
	return &copies{
		bytes:  newSlab[byte](counts[TypeString]),
		int8s:  newSlab[int8](counts[TypeArrayInt8]),
		int16s: newSlab[int16](counts[TypeArrayInt16]),
		int32s: newSlab[int32](counts[TypeArrayInt32]),
		int64s: newSlab[int64](counts[TypeArrayInt64]),
		items:  counts[TypeArrayString],
	}
}

// copiedText is copied for a string, which nobody can write to.
func (c *copies) copiedText(value *C.sb_value) string {
	text := c.bytes.copied(value)
	return unsafe.String(unsafe.SliceData(text), len(text))
}

// copiedPieces copies an array of strings.
func (c *copies) copiedPieces(value *C.sb_value) [][]byte {
	if c.pieces == nil {
		c.pieces = make([][]byte, 0, c.items)
	}
	start := len(c.pieces)
	for _, item := range unsafe.Slice((*C.sb_bytes)(value.data), int(value.size)) {
		c.pieces = append(c.pieces, c.bytes.copied(&C.sb_value{data: item.data, size: item.size}))
	}
	return c.pieces[start:len(c.pieces):len(c.pieces)]
}

// copiedTexts is copiedPieces for strings.
func (c *copies) copiedTexts(value *C.sb_value) []string {
	if c.texts == nil {
		c.texts = make([]string, 0, c.items)
	}
	start := len(c.texts)
	for _, item := range unsafe.Slice((*C.sb_bytes)(value.data), int(value.size)) {
		c.texts = append(c.texts, c.copiedText(&C.sb_value{data: item.data, size: item.size}))
	}
	return c.texts[start:len(c.texts):len(c.texts)]
}

// copied copies a value to what GetValues gives for it.
func (c *copies) copied(fieldType int32, value *C.sb_value) any {
	switch fieldType {
	case TypeString:
		return c.bytes.copied(value)
	case TypeArrayInt8:
		return c.int8s.copied(value)
	case TypeArrayInt16:
		return c.int16s.copied(value)
	case TypeArrayInt32:
		return c.int32s.copied(value)
	case TypeArrayInt64:
		return c.int64s.copied(value)
	case TypeArrayString:
		return c.copiedPieces(value)
	}
	return int64(value.number)
}

// rowFields returns the fields of the schemas that rows follow, by schema_index; the schemas of other rows have none.
func (b *Batch) rowFields(rows []C.sb_row) ([][]SchemaField, error) {
	var fields [][]SchemaField
	for i := range rows {
		index := int(rows[i].schema_index)
		if i > 0 && index == int(rows[i-1].schema_index) {
			continue
		}
		for len(fields) <= index {
			fields = append(fields, nil)
		}
		if fields[index] != nil {
			continue
		}
		of, err := b.schemaFields(index)
		if err != nil {
			return nil, err
		}
		fields[index] = of
	}
	return fields, nil
}
