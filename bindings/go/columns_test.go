//go:build cgo

package samebytes_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unsafe"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// columnBatch has three rows of an int16, a string, an array<int32> and an array<string>.
func columnBatch(t *testing.T) *samebytes.Batch {
	t.Helper()
	fields, err := samebytes.NewFields("number", "int16", "text", "string", "items", "array<int32>", "texts", "array<string>")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := samebytes.NewSchema("Every", samebytes.DirectionRequest, 1, fields)
	if err != nil {
		t.Fatal(err)
	}
	defer schema.Close()
	builder, err := samebytes.NewBuilder(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer builder.Close()
	for i, err := range []error{
		builder.Add(schema, 5, -300, "one", []int32{1, -70000}, []string{"a", ""}),
		builder.Add(schema, 6, 0, "", []int32{}, []string{}),
		builder.Add(schema, 7, 32767, "three", []int32{3}, []string{"bcd"}),
	} {
		if err != nil {
			t.Fatal(i, err)
		}
	}
	data, err := builder.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	parser, err := samebytes.NewParser([]*samebytes.Schema{schema}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer parser.Close()
	batch, err := samebytes.NewBatch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { batch.Close() })
	if err := parser.Feed(data); err != nil {
		t.Fatal(err)
	}
	if err := parser.Parse(batch); err != nil {
		t.Fatal(err)
	}
	return batch
}

func column[T samebytes.ColumnItem](t *testing.T, batch *samebytes.Batch, column, part int32) []T {
	t.Helper()
	items, err := samebytes.ColumnOf[T](batch, 0, column, part)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func same[T comparable](t *testing.T, found []T, wanted ...T) {
	t.Helper()
	if !slices.Equal(found, wanted) {
		t.Errorf("found %v, wanted %v", found, wanted)
	}
}

func TestColumnsAreTypedSlicesOfTheBatch(t *testing.T) {
	batch := columnBatch(t)
	same(t, column[int16](t, batch, 0, samebytes.PartValues), -300, 0, 32767)
	same(t, column[int8](t, batch, samebytes.ColumnSequence, samebytes.PartValues), 5, 6, 7)
	same(t, column[int64](t, batch, samebytes.ColumnRow, samebytes.PartValues), 0, 1, 2)
	same(t, column[int32](t, batch, 2, samebytes.PartValues), 1, -70000, 3)
	same(t, column[int64](t, batch, 2, samebytes.PartOffsets), 0, 2, 2)
	same(t, column[int32](t, batch, 2, samebytes.PartLengths), 2, 0, 1)
	again := column[int16](t, batch, 0, samebytes.PartValues)
	if unsafe.SliceData(again) != unsafe.SliceData(column[int16](t, batch, 0, samebytes.PartValues)) {
		t.Error("the column was made twice")
	}
}

func TestColumnsOfStringsAreOffsetsAndLengthsOfBytes(t *testing.T) {
	batch := columnBatch(t)
	text, err := batch.FieldIndex(0, "text")
	if err != nil {
		t.Fatal(err)
	}
	bytes := column[byte](t, batch, text, samebytes.PartValues)
	cut := func(offsets []int64, lengths []int32) (texts []string) {
		for i, offset := range offsets {
			texts = append(texts, string(bytes[offset:offset+int64(lengths[i])]))
		}
		return texts
	}
	same(t, cut(column[int64](t, batch, text, samebytes.PartOffsets), column[int32](t, batch, text, samebytes.PartLengths)), "one", "", "three")
	same(t, cut(column[int64](t, batch, 3, samebytes.PartItemOffsets), column[int32](t, batch, 3, samebytes.PartItemLengths)), "a", "", "bcd")
	same(t, column[int32](t, batch, 3, samebytes.PartLengths), 2, 0, 1)
}

func TestWhatIsNoColumnIsRefused(t *testing.T) {
	batch := columnBatch(t)
	_, err := samebytes.ColumnOf[int32](batch, 0, 0, samebytes.PartValues)
	if !errors.Is(err, samebytes.ErrInvalidArgument) || !strings.Contains(err.Error(), "made of int16, not int32") {
		t.Errorf("the error is %v", err)
	}
	_, err = samebytes.ColumnOf[int8](batch, 0, 1, samebytes.PartValues)
	if !errors.Is(err, samebytes.ErrInvalidArgument) || !strings.Contains(err.Error(), "made of byte, not int8") {
		t.Errorf("the error is %v", err)
	}
	if _, err = samebytes.ColumnOf[byte](batch, 0, samebytes.ColumnSequence, samebytes.PartValues); !errors.Is(err, samebytes.ErrInvalidArgument) {
		t.Errorf("the error is %v", err)
	}
	if _, err = samebytes.ColumnOf[int64](batch, 0, 0, samebytes.PartOffsets); !errors.Is(err, samebytes.ErrInvalidArgument) {
		t.Errorf("the error is %v", err)
	}
	for _, wrong := range [][3]int{{1, 0}, {0, 4}, {0, -5}} {
		if _, err = samebytes.ColumnOf[int16](batch, wrong[0], int32(wrong[1]), samebytes.PartValues); !errors.Is(err, samebytes.ErrOutOfRange) {
			t.Errorf("schema %d, column %d: the error is %v", wrong[0], wrong[1], err)
		}
	}
	if _, err = batch.FieldIndex(0, "nothing"); !errors.Is(err, samebytes.ErrNotFound) {
		t.Errorf("the error is %v", err)
	}
	if _, err = batch.FieldIndex(1, "text"); !errors.Is(err, samebytes.ErrOutOfRange) {
		t.Errorf("the error is %v", err)
	}
	batch.Close()
	if _, err = samebytes.ColumnOf[int16](batch, 0, 0, samebytes.PartValues); !errors.Is(err, samebytes.ErrClosed) {
		t.Errorf("the error is %v", err)
	}
}

func TestABatchWithoutRowsHasEmptyColumns(t *testing.T) {
	schema, err := samebytes.EchoRequestSchema()
	if err != nil {
		t.Fatal(err)
	}
	defer schema.Close()
	parser, err := samebytes.NewParser([]*samebytes.Schema{schema}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer parser.Close()
	batch, err := samebytes.NewBatch()
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Close()
	if err := parser.Parse(batch); err != nil {
		t.Fatal(err)
	}
	if times := column[int64](t, batch, 0, samebytes.PartValues); len(times) != 0 {
		t.Errorf("found %v", times)
	}
	if bytes := column[byte](t, batch, 1, samebytes.PartValues); len(bytes) != 0 {
		t.Errorf("found %v", bytes)
	}
}
