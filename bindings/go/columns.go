//go:build cgo

package samebytes

import (
	"fmt"
	"slices"
	"unsafe"
)

// ColumnItem is what columns are made of: integers as wide as the field, and bytes for the values of strings.
type ColumnItem interface {
	int8 | int16 | int32 | int64 | byte
}

// ColumnOf returns a part of a column of the rows that follow the schema at schemaIndex, without copying: memory of the batch, as the T
// that column and part are made of. column is the index of a field (Batch.FieldIndex), or ColumnSequence to ColumnRow; part is
// PartValues to PartItemLengths, whose comments say which T they have.
//
//	times, err := samebytes.ColumnOf[int64](batch, 0, 0, samebytes.PartValues)
//
// Ownership: valid until batch is parsed into, cleared or closed. The slice does not keep the batch alive: use runtime.KeepAlive(batch), or
// Close it, after the last use of the slice. It must not be written to.
// Threads: one user of the Batch at a time.
// Errors: as Batch.GetColumn; ErrInvalidArgument when T is not what the column is made of.
// Since: 1.0
func ColumnOf[T ColumnItem](batch *Batch, schemaIndex int, column, part int32) ([]T, error) {
	const op = "ColumnOf"
	if _, err := batch.enter(op); err != nil {
		return nil, err
	}
	defer batch.leave() // so that no Close comes in between
	data, itemSize, err := batch.GetColumn(schemaIndex, column, part)
	if err != nil {
		return nil, err
	}
	var item T
	_, wantsBytes := any(item).(byte)
	hasBytes, err := batch.columnHasBytes(schemaIndex, column, part)
	if err != nil {
		return nil, err
	}
	if size := int(unsafe.Sizeof(item)); size != itemSize || wantsBytes != hasBytes {
		made := fmt.Sprintf("int%d", 8*itemSize)
		if hasBytes {
			made = "byte"
		}
		return nil, refuse(op, fmt.Sprintf("this column is made of %s, not %T", made, item))
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(data))), len(data)/itemSize), nil
}

// columnHasBytes tells whether the column is made of the bytes of strings, not of integers.
func (b *Batch) columnHasBytes(schemaIndex int, column, part int32) (bool, error) {
	if column < 0 || part != PartValues {
		return false, nil
	}
	fields, err := b.schemaFields(schemaIndex)
	if err != nil {
		return false, err
	}
	return fields[column].Type == TypeString || fields[column].Type == TypeArrayString, nil
}

// FieldIndex returns the index of the field called name of the schema at schemaIndex, which is the number of its column.
//
// Ownership: none.
// Threads: one user of the Batch at a time.
// Errors: ErrNotFound when there is no such field; ErrOutOfRange when there is no such schema.
// Since: 1.0
func (b *Batch) FieldIndex(schemaIndex int, name string) (int32, error) {
	fields, err := b.schemaFields(schemaIndex)
	if err != nil {
		return 0, err
	}
	index := slices.IndexFunc(fields, func(field SchemaField) bool { return field.Name == name })
	if index < 0 {
		return 0, &Error{Status: ErrNotFound, Frame: NoFrame, Field: name, Message: "there is no field " + name, op: "Batch.FieldIndex"}
	}
	return int32(index), nil
}
