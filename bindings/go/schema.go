//go:build cgo

package samebytes

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// typeNames holds the names of the types of fields, as schemas are written, by their numbers.
var typeNames = [...]string{
	TypeInt8:        "int8",
	TypeInt16:       "int16",
	TypeInt32:       "int32",
	TypeInt64:       "int64",
	TypeString:      "string",
	TypeArrayInt8:   "array<int8>",
	TypeArrayInt16:  "array<int16>",
	TypeArrayInt32:  "array<int32>",
	TypeArrayInt64:  "array<int64>",
	TypeArrayString: "array<string>",
}

// TypeName returns the name of the type of a field, such as "array<int16>", or "" for a number that is none.
func TypeName(fieldType int32) string {
	if fieldType < 0 || int(fieldType) >= len(typeNames) {
		return ""
	}
	return typeNames[fieldType]
}

// TypeNamed returns the type of a field by its name. It is the reverse of TypeName.
func TypeNamed(name string) (int32, error) {
	index := slices.Index(typeNames[:], name)
	if index <= 0 {
		return 0, refuse("TypeNamed", fmt.Sprintf("%q is no type; int8 to int64, string, and array<...> of one of them are", name))
	}
	return int32(index), nil
}

// NewFields makes the fields of a schema from their names and types in turn: NewFields("time", "int64", "tags", "array<string>").
func NewFields(namesAndTypes ...string) ([]SchemaField, error) {
	if len(namesAndTypes)%2 != 0 {
		return nil, refuse("NewFields", "the last name has no type")
	}
	fields := make([]SchemaField, 0, len(namesAndTypes)/2)
	for i := 0; i < len(namesAndTypes); i += 2 {
		fieldType, err := TypeNamed(namesAndTypes[i+1])
		if err != nil {
			return nil, err
		}
		fields = append(fields, SchemaField{Name: namesAndTypes[i], Type: fieldType})
	}
	return fields, nil
}

// schemaState is what a Schema keeps for Go: its fields, which never change, so that they are asked for once.
type schemaState struct {
	known atomic.Pointer[[]SchemaField]
}

// Fields returns the fields in their order.
func (s *Schema) Fields() ([]SchemaField, error) {
	fields, err := s.fields()
	return slices.Clone(fields), err
}

// fields is Fields without the copy.
func (s *Schema) fields() ([]SchemaField, error) {
	if _, err := s.enter("Schema.Fields"); err != nil {
		return nil, err
	}
	defer s.leave()
	if known := s.known.Load(); known != nil {
		return *known, nil
	}
	fields := make([]SchemaField, s.FieldCount())
	for i := range fields {
		field, err := s.GetField(i)
		if err != nil {
			return nil, err
		}
		fields[i] = field
	}
	s.known.Store(&fields)
	return fields, nil
}
