//go:build cgo

package samebytes

// #include <samebytes/parser.h>
import "C"

import (
	"fmt"
	"reflect"
	"slices"
	"unsafe"
)

// Structs reads and writes the messages of a schema that a Go struct states: each field of T with a tag `samebytes:"name"` is a field of the
// message, in the order of the struct.
//
//	type Event struct {
//		Time int64    `samebytes:"time"`
//		Tags []string `samebytes:"tags"`
//		Seen bool     `samebytes:"-"` // no part of the message
//	}
//
// int8 to int64 stand for themselves, string and []byte for a string, and a slice of one of these for an array. Types that are made of
// these are fine as well, such as time.Duration, but not as items of a slice. Close it when done.
type Structs[T any] struct {
	schema *Schema
	fields []structField
	more   bool // T has fields that are no part of the message
}

// structField is a field of the struct that is part of the message.
type structField struct {
	index  int          // in the struct
	offset uintptr      // in the struct, bytes
	wire   int32        // the type of the message's field
	text   bool         // of strings, not []byte
	plain  reflect.Type // what the values of Builder.Add and Batch.GetValues know; T may give it another name
}

// wireTypes holds the Go types of fields that are not integers. Both []byte and string are strings.
var wireTypes = map[reflect.Type]int32{
	reflect.TypeFor[string]():   TypeString,
	reflect.TypeFor[[]byte]():   TypeString,
	reflect.TypeFor[int8]():     TypeInt8,
	reflect.TypeFor[int16]():    TypeInt16,
	reflect.TypeFor[int32]():    TypeInt32,
	reflect.TypeFor[int64]():    TypeInt64,
	reflect.TypeFor[[]int8]():   TypeArrayInt8,
	reflect.TypeFor[[]int16]():  TypeArrayInt16,
	reflect.TypeFor[[]int32]():  TypeArrayInt32,
	reflect.TypeFor[[]int64]():  TypeArrayInt64,
	reflect.TypeFor[[]string](): TypeArrayString,
	reflect.TypeFor[[][]byte](): TypeArrayString,
}

// NewStructs makes the schema that T states. A T that states none is ErrInvalidArgument, with an error that names T and its field.
func NewStructs[T any](name string, direction int32, apiKey int8) (*Structs[T], error) {
	const op = "NewStructs"
	of := reflect.TypeFor[T]()
	if of.Kind() != reflect.Struct {
		return nil, refuse(op, fmt.Sprintf("%s is no struct", of))
	}
	s := new(Structs[T])
	var fields []SchemaField
	for i := range of.NumField() {
		field := of.Field(i)
		tag, tagged := field.Tag.Lookup("samebytes")
		if tag == "-" || !tagged && !field.IsExported() && !field.Anonymous {
			continue
		}
		wire, plain := wireType(field.Type)
		if problem := fieldProblem(fields, field, tag, tagged, wire); problem != "" {
			return nil, &Error{Status: ErrInvalidArgument, Frame: NoFrame, Field: tag, op: op,
				Message: fmt.Sprintf("%s, field %s: %s", of, field.Name, problem)}
		}
		text := wire == TypeString && plain.Kind() == reflect.String || wire == TypeArrayString && plain.Elem().Kind() == reflect.String
		s.fields = append(s.fields, structField{index: i, offset: field.Offset, wire: wire, text: text, plain: plain})
		fields = append(fields, SchemaField{Name: tag, Type: wire})
	}
	s.more = len(s.fields) < of.NumField()
	var err error
	if s.schema, err = NewSchema(name, direction, apiKey, fields); err != nil {
		if explained, ok := err.(*Error); ok {
			explained.Message = fmt.Sprintf("%s: %s", of, explained.Message)
		}
		return nil, err
	}
	return s, nil
}

// wireType returns which type of field a Go type is, 0 for none, and that Go type without a name of its own.
func wireType(of reflect.Type) (int32, reflect.Type) {
	for plain, wire := range wireTypes {
		if of == plain {
			return wire, plain
		}
	}
	for plain, wire := range wireTypes {
		if of.Kind() == plain.Kind() && of.ConvertibleTo(plain) && (of.Kind() != reflect.Slice || of.Elem() == plain.Elem()) {
			return wire, plain
		}
	}
	return 0, nil
}

// fieldProblem says what is wrong with a field of the struct; "" if nothing is.
func fieldProblem(before []SchemaField, field reflect.StructField, tag string, tagged bool, wire int32) string {
	same := func(other SchemaField) bool { return other.Name == tag }
	switch {
	case !tagged:
		return "it has no tag `samebytes:\"name\"`; `samebytes:\"-\"` leaves it out"
	case !field.IsExported():
		return "it has a tag, but is not exported"
	case !isName(tag):
		return fmt.Sprintf("the tag %q is no name: a letter or _ followed by letters, digits and _, at most %d bytes", tag, FieldNameMax)
	case slices.ContainsFunc(before, same):
		return fmt.Sprintf("an earlier field is called %q as well", tag)
	case wire == 0:
		return fmt.Sprintf("its type %s is none of int8 to int64, string, []byte, and slices of these", field.Type)
	}
	return ""
}

// isName is the core's rule for names, here so that the error names the field of the struct.
func isName(name string) bool {
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= FieldNameMax
}

// Schema returns the schema. It belongs to s, which closes it.
func (s *Structs[T]) Schema() *Schema {
	return s.schema
}

// Values returns the values of a message as Builder.Add, Client.Call and Reply.Send take them. They share memory with message.
func (s *Structs[T]) Values(message *T) []any {
	from := reflect.ValueOf(message).Elem()
	values := make([]any, len(s.fields))
	for i, field := range s.fields {
		values[i] = from.Field(field.index).Convert(field.plain).Interface()
	}
	return values
}

// Add adds a message to a builder. Errors: those of Builder.Add.
func (s *Structs[T]) Add(builder *Builder, sequence int8, message *T) error {
	if message == nil {
		return refuse("Structs.Add", "message is nil")
	}
	return builder.Add(s.schema, sequence, s.Values(message)...)
}

// Set stores values, as Batch.GetValues, a Handler's request and Client.Call give them, in message. What is no part of the message stays
// as it is. Slices of values become slices of message. ErrInvalidArgument says which field does not fit; message is then unchanged.
func (s *Structs[T]) Set(message *T, values []any) error {
	const op = "Structs.Set"
	if message == nil {
		return refuse(op, "message is nil")
	}
	if len(values) != len(s.fields) {
		return refuse(op, fmt.Sprintf("%T has %d fields, there are %d values", *message, len(s.fields), len(values)))
	}
	changed := *message
	into := reflect.ValueOf(&changed).Elem()
	for i, field := range s.fields {
		to := into.Field(field.index)
		if !store(to, values[i]) {
			name := into.Type().Field(field.index).Name
			return refuse(op, fmt.Sprintf("%T, field %s: a Go %T does not fit %s", changed, name, values[i], to.Type()))
		}
	}
	*message = changed
	return nil
}

// store stores a value that a batch or Values gave; false when it does not fit.
func store(to reflect.Value, value any) bool {
	if from := reflect.ValueOf(value); from.CanInt() {
		fits := to.CanInt() && !to.OverflowInt(from.Int())
		if fits {
			to.SetInt(from.Int())
		}
		return fits
	}
	switch value := value.(type) {
	case string:
		return store(to, []byte(value))
	case [][]byte:
		if to.Kind() == reflect.Slice && to.Type().Elem().Kind() == reflect.String {
			texts := make([]string, len(value))
			for i := range value {
				texts[i] = string(value[i])
			}
			return assign(to, reflect.ValueOf(texts))
		}
	case []byte:
		if to.Kind() == reflect.String {
			to.SetString(string(value))
			return true
		}
	case nil:
		return false
	}
	return assign(to, reflect.ValueOf(value))
}

func assign(to, value reflect.Value) bool {
	fits := value.Kind() == reflect.Slice && to.Kind() == reflect.Slice && value.Type().Elem() == to.Type().Elem()
	if fits {
		to.Set(value.Convert(to.Type()))
	}
	return fits
}

// Get returns a copy of the row at index. Errors: ErrOutOfRange when there is no such row; ErrInvalidArgument when it follows a schema
// with other fields.
func (s *Structs[T]) Get(batch *Batch, index int) (message T, err error) {
	row, err := batch.GetRow(index)
	if err != nil {
		return message, err
	}
	fields, err := batch.schemaFields(int(row.SchemaIndex))
	if err != nil {
		return message, err
	}
	own, err := s.schema.fields()
	if err != nil {
		return message, err
	}
	if !slices.Equal(fields, own) {
		return message, refuse("Structs.Get", fmt.Sprintf("row %d has other fields than %T", index, message))
	}
	values, err := batch.GetValues(index)
	if err != nil {
		return message, err
	}
	return message, s.Set(&message, values)
}

// GetAll appends copies of all rows of batch to messages, with a few calls of C for all of them. Those of one call share memory, and an append
// to a slice of one of them cannot reach the next. Errors: ErrInvalidArgument when a row follows a schema with other fields; messages are
// then returned as they were.
func (s *Structs[T]) GetAll(batch *Batch, messages []T) ([]T, error) {
	const op = "Structs.GetAll"
	self, err := batch.enter(op)
	if err != nil {
		return messages, err
	}
	defer batch.leave() // so that no Close comes in between
	rows, values, err := showAll(op, self)
	if err != nil {
		return messages, err
	}
	fields, err := batch.rowFields(rows)
	if err != nil {
		return messages, err
	}
	own, err := s.schema.fields()
	if err != nil {
		return messages, err
	}
	for i := range rows {
		if (i == 0 || rows[i].schema_index != rows[i-1].schema_index) && !slices.Equal(fields[rows[i].schema_index], own) {
			var message T
			return messages, refuse(op, fmt.Sprintf("row %d has other fields than %T", i, message))
		}
	}
	from := newCopies(rows, values, fields)
	start := len(messages)
	messages = slices.Grow(messages, len(rows))[:start+len(rows)]
	into := messages[start:]
	if s.more {
		clear(into)
	}
	for i := range into {
		for j := range s.fields {
			s.fields[j].copyTo(unsafe.Pointer(&into[i]), &values[i*len(own)+j], from)
		}
	}
	return messages, nil
}

// copyTo copies a value to the field of a struct. Its type has the memory of the one that is stored here: wireType saw to it.
func (f *structField) copyTo(message unsafe.Pointer, value *C.sb_value, from *copies) {
	to := unsafe.Add(message, f.offset)
	switch f.wire {
	case TypeInt8:
		*(*int8)(to) = int8(value.number)
	case TypeInt16:
		*(*int16)(to) = int16(value.number)
	case TypeInt32:
		*(*int32)(to) = int32(value.number)
	case TypeInt64:
		*(*int64)(to) = int64(value.number)
	case TypeString:
		if f.text {
			*(*string)(to) = from.copiedText(value)
		} else {
			*(*[]byte)(to) = from.bytes.copied(value)
		}
	case TypeArrayInt8:
		*(*[]int8)(to) = from.int8s.copied(value)
	case TypeArrayInt16:
		*(*[]int16)(to) = from.int16s.copied(value)
	case TypeArrayInt32:
		*(*[]int32)(to) = from.int32s.copied(value)
	case TypeArrayInt64:
		*(*[]int64)(to) = from.int64s.copied(value)
	default:
		if f.text {
			*(*[]string)(to) = from.copiedTexts(value)
		} else {
			*(*[][]byte)(to) = from.copiedPieces(value)
		}
	}
}

// Close closes the schema. It may be called again, and never fails.
func (s *Structs[T]) Close() error {
	return s.schema.Close()
}
