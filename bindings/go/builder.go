//go:build cgo

package samebytes

// #include <samebytes/schema.h>
import "C"

import (
	"fmt"
	"math"
	"unsafe"
)

// Add adds one message. values holds one value per field of schema, in its order: any integer type for an integer, []byte or string for
// a string, and for an array a slice of exactly its type ([]int8, []int16, []int32, []int64), or [][]byte or []string.
//
// Ownership: all is borrowed for the call.
// Threads: one user of the Builder at a time.
// Errors: ErrInvalidArgument when the values are not those of the schema; ErrOutOfRange for an integer that does not fit its field;
// ErrTooLarge for a string or array that is too long; ErrNoMemory; nothing is added then. The error names the field.
// Since: 1.0
func (b *Builder) Add(schema *Schema, sequence int8, values ...any) error {
	const op = "Builder.Add"
	fields, err := schema.fields()
	if err != nil {
		return err
	}
	if len(values) != len(fields) {
		return refuse(op, fmt.Sprintf("%s has %d fields, there are %d values", schema.Name(), len(fields), len(values)))
	}
	var held holder
	defer held.release()
	raw := make([]value, len(values))
	if problem := setMessage(raw, fields, values, &held); problem != nil {
		problem.op = op
		return problem
	}
	return b.add(schema, sequence, raw)
}

// AddRows adds one message per row, all of them or none; a row holds one value per field of schema, as Add takes them.
//
// Ownership: all is borrowed for the call.
// Threads: one user of the Builder at a time.
// Errors: as Add; the error says which row it is.
// Since: 1.0
func (b *Builder) AddRows(schema *Schema, sequences []int8, rows [][]any) error {
	const op = "Builder.AddRows"
	fields, err := schema.fields()
	if err != nil {
		return err
	}
	if len(sequences) != len(rows) {
		return refuse(op, fmt.Sprintf("there are %d sequences for %d rows", len(sequences), len(rows)))
	}
	var held holder
	defer held.release()
	raw := make([]value, len(rows)*len(fields))
	for i, row := range rows {
		if len(row) != len(fields) {
			return refuse(op, fmt.Sprintf("row %d: %s has %d fields, there are %d values", i, schema.Name(), len(fields), len(row)))
		}
		if problem := setMessage(raw[i*len(fields):], fields, row, &held); problem != nil {
			problem.op, problem.Message = op, fmt.Sprintf("row %d, %s", i, problem.Message)
			return problem
		}
	}
	return b.addRows(schema, sequences, raw)
}

// setMessage converts the values of one message. The error names the field.
func setMessage(raw []value, fields []SchemaField, values []any, held *holder) *Error {
	for i := range values {
		if problem := raw[i].set(fields[i].Type, values[i], held); problem != nil {
			problem.Field = fields[i].Name
			problem.Message = fmt.Sprintf("field %s: %s", fields[i].Name, problem.Message)
			return problem
		}
	}
	return nil
}

// Bytes returns a copy of all frames; the builder keeps them.
func (b *Builder) Bytes() ([]byte, error) {
	if _, err := b.enter("Builder.Bytes"); err != nil {
		return nil, err
	}
	defer b.leave()
	data := make([]byte, b.Size())
	return data, b.CopyBytes(data)
}

// set converts a Go value for a field. The check of the type is what makes it safe: C reads as many bytes as the type says.
func (v *value) set(fieldType int32, from any, held *holder) *Error {
	switch from := from.(type) {
	case []byte:
		if fieldType == TypeString {
			v.Data, v.Size = unsafe.Pointer(unsafe.SliceData(from)), len(from)
			return nil
		}
	case string:
		if fieldType == TypeString {
			v.Data, v.Size = unsafe.Pointer(unsafe.StringData(from)), len(from)
			return nil
		}
	case []int8:
		return setArray(v, TypeArrayInt8, fieldType, from)
	case []int16:
		return setArray(v, TypeArrayInt16, fieldType, from)
	case []int32:
		return setArray(v, TypeArrayInt32, fieldType, from)
	case []int64:
		return setArray(v, TypeArrayInt64, fieldType, from)
	case [][]byte:
		return setStrings(v, fieldType, from, held, func(item []byte) *byte { return unsafe.SliceData(item) })
	case []string:
		return setStrings(v, fieldType, from, held, func(item string) *byte { return unsafe.StringData(item) })
	default:
		return v.setNumber(fieldType, from)
	}
	return misfit(fieldType, from)
}

func misfit(fieldType int32, from any) *Error {
	return &Error{Status: ErrInvalidArgument, Frame: NoFrame, Message: fmt.Sprintf("%s cannot hold a Go %T", TypeName(fieldType), from)}
}

func (v *value) setNumber(fieldType int32, from any) *Error {
	if fieldType > TypeInt64 {
		return misfit(fieldType, from)
	}
	switch from := from.(type) {
	case int64:
		v.Number = from
	case int:
		v.Number = int64(from)
	case int8:
		v.Number = int64(from)
	case int16:
		v.Number = int64(from)
	case int32:
		v.Number = int64(from)
	case uint8:
		v.Number = int64(from)
	case uint16:
		v.Number = int64(from)
	case uint32:
		v.Number = int64(from)
	case uint64:
		if from > math.MaxInt64 {
			return &Error{Status: ErrOutOfRange, Frame: NoFrame, Message: fmt.Sprintf("%d does not fit %s", from, TypeName(fieldType))}
		}
		v.Number = int64(from)
	case uint:
		return v.setNumber(fieldType, uint64(from))
	default:
		return misfit(fieldType, from)
	}
	return nil
}

func setArray[T any](v *value, array, fieldType int32, from []T) *Error {
	if array != fieldType {
		return misfit(fieldType, from)
	}
	v.Data, v.Size = unsafe.Pointer(unsafe.SliceData(from)), len(from)
	return nil
}

func setStrings[T ~[]byte | ~string](v *value, fieldType int32, from []T, held *holder, address func(T) *byte) *Error {
	if fieldType != TypeArrayString {
		return misfit(fieldType, from)
	}
	items := make([]C.sb_bytes, len(from))
	for i, item := range from {
		items[i].data = held.pin(unsafe.Pointer(address(item)))
		items[i].size = C.size_t(len(item))
	}
	v.Data, v.Size = unsafe.Pointer(unsafe.SliceData(items)), len(items)
	return nil
}

// get copies a value that C has read, as int64, []byte, []int8 to []int64, or [][]byte.
func (v *value) get(fieldType int32) any {
	switch fieldType {
	case TypeString:
		return getArray[byte](v)
	case TypeArrayInt8:
		return getArray[int8](v)
	case TypeArrayInt16:
		return getArray[int16](v)
	case TypeArrayInt32:
		return getArray[int32](v)
	case TypeArrayInt64:
		return getArray[int64](v)
	case TypeArrayString:
		items := unsafe.Slice((*C.sb_bytes)(v.Data), v.Size)
		copies := make([][]byte, len(items))
		for i, item := range items {
			copies[i] = getArray[byte](&value{Data: item.data, Size: int(item.size)})
		}
		return copies
	}
	return v.Number
}

func getArray[T any](v *value) []T {
	return append(make([]T, 0, v.Size), unsafe.Slice((*T)(v.Data), v.Size)...)
}
