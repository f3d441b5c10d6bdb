//go:build cgo

package samebytes

import "unsafe"

// IntegerColumn makes the column of an integer field for Builder.AddColumns, without copying: integers as wide as the field, or int64.
func IntegerColumn[T int8 | int16 | int32 | int64](values []T) Column {
	return Column{Values: integerBytes(values)}
}

// StringColumn makes the column of a string field for Builder.AddColumns, one string per message, or of urls or texts for
// VisitManager.AddVisitColumns, one per visit.
func StringColumn[T ~[]byte | ~string](values []T) Column {
	bytes, lengths := joined(nil, make([]int32, 0, len(values)), values)
	return Column{Values: bytes, Lengths: lengths}
}

// ArrayColumn makes the column of an array of integers, as wide as the field's, for Builder.AddColumns: one array per message.
func ArrayColumn[T int8 | int16 | int32 | int64](values [][]T) Column {
	var items []T
	lengths := make([]int32, len(values))
	for i, array := range values {
		items = append(items, array...)
		lengths[i] = columnLength(len(array))
	}
	return Column{Values: integerBytes(items), Lengths: lengths}
}

// StringsColumn makes the column of an array of strings for Builder.AddColumns: one array per message.
func StringsColumn[T ~[]byte | ~string](values [][]T) Column {
	column := Column{Lengths: make([]int32, len(values))}
	for i, array := range values {
		column.Values, column.ItemLengths = joined(column.Values, column.ItemLengths, array)
		column.Lengths[i] = columnLength(len(array))
	}
	return column
}

func integerBytes[T int8 | int16 | int32 | int64](values []T) []byte {
	var item T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(item)))
}

// joined appends strings and their lengths. A length that no message can have stays one: AddColumns refuses it.
func joined[T ~[]byte | ~string](bytes []byte, lengths []int32, values []T) ([]byte, []int32) {
	for _, value := range values {
		bytes = append(bytes, value...)
		lengths = append(lengths, columnLength(len(value)))
	}
	return bytes, lengths
}

// columnLength makes a length that does not fit a negative one, which is refused.
func columnLength(length int) int32 {
	if int(int32(length)) != length {
		return -1
	}
	return int32(length)
}
