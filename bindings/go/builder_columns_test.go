//go:build cgo

package samebytes_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

func columnSchema(t *testing.T) *samebytes.Schema {
	t.Helper()
	fields, err := samebytes.NewFields("number", "int16", "text", "string", "items", "array<int32>", "texts", "array<string>")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := samebytes.NewSchema("Every", samebytes.DirectionRequest, 1, fields)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { schema.Close() })
	return schema
}

func emptyBuilder(t *testing.T) *samebytes.Builder {
	t.Helper()
	builder, err := samebytes.NewBuilder(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { builder.Close() })
	return builder
}

// everyColumn holds the messages of columnBatch.
func everyColumn() []samebytes.Column {
	return []samebytes.Column{
		samebytes.IntegerColumn([]int16{-300, 0, 32767}),
		samebytes.StringColumn([]string{"one", "", "three"}),
		samebytes.ArrayColumn([][]int32{{1, -70000}, {}, {3}}),
		samebytes.StringsColumn([][]string{{"a", ""}, {}, {"bcd"}}),
	}
}

func TestColumnsGiveTheBytesOfSingleMessages(t *testing.T) {
	schema, builder, singly := columnSchema(t), emptyBuilder(t), emptyBuilder(t)
	if err := builder.AddColumns(schema, []int8{5, 6, 7}, everyColumn()); err != nil {
		t.Fatal(err)
	}
	for i, err := range []error{
		singly.Add(schema, 5, -300, "one", []int32{1, -70000}, []string{"a", ""}),
		singly.Add(schema, 6, 0, "", []int32{}, []string{}),
		singly.Add(schema, 7, 32767, "three", []int32{3}, []string{"bcd"}),
	} {
		if err != nil {
			t.Fatal(i, err)
		}
	}
	found, err := builder.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := singly.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(found, wanted) {
		t.Errorf("found %x, wanted %x", found, wanted)
	}
}

func TestColumnsOfABatchAreColumnsOfABuilder(t *testing.T) {
	schema, builder, wanted, batch := columnSchema(t), emptyBuilder(t), emptyBuilder(t), columnBatch(t)
	if err := wanted.AddColumns(schema, []int8{5, 6, 7}, everyColumn()); err != nil {
		t.Fatal(err)
	}
	items, _, err := batch.GetColumn(0, 2, samebytes.PartValues)
	if err != nil {
		t.Fatal(err)
	}
	columns := []samebytes.Column{
		samebytes.IntegerColumn(column[int16](t, batch, 0, samebytes.PartValues)),
		{Values: column[byte](t, batch, 1, samebytes.PartValues), Offsets: column[int64](t, batch, 1, samebytes.PartOffsets),
			Lengths: column[int32](t, batch, 1, samebytes.PartLengths)},
		{Values: items, Lengths: column[int32](t, batch, 2, samebytes.PartLengths)},
		{Values: column[byte](t, batch, 3, samebytes.PartValues), Lengths: column[int32](t, batch, 3, samebytes.PartLengths),
			ItemOffsets: column[int64](t, batch, 3, samebytes.PartItemOffsets), ItemLengths: column[int32](t, batch, 3, samebytes.PartItemLengths)},
	}
	if err := builder.AddColumns(schema, column[int8](t, batch, samebytes.ColumnSequence, samebytes.PartValues), columns); err != nil {
		t.Fatal(err)
	}
	found, err := builder.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	all, err := wanted.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(found, all) {
		t.Errorf("found %x, wanted %x", found, all)
	}
}

func TestAWrongColumnIsRefusedByMessageAndFieldAndNothingAdded(t *testing.T) {
	schema, builder := columnSchema(t), emptyBuilder(t)
	for _, wrong := range []struct {
		column  int
		with    samebytes.Column
		status  samebytes.Status
		message string
	}{
		{0, samebytes.IntegerColumn([]int64{0, 0, 40000}), samebytes.ErrOutOfRange, "message 2 (Every), field number: 40000"},
		{0, samebytes.IntegerColumn([]int16{0, 0}), samebytes.ErrInvalidArgument, "3 messages need int16 or int64 values, not 4 bytes"},
		{1, samebytes.StringColumn([]string{"one"}), samebytes.ErrInvalidArgument, "1 lengths for 3 messages"},
		{2, samebytes.ArrayColumn([][]int32{{}, make([]int32, 32768), {}}), samebytes.ErrTooLarge, "message 1 (Every), field items"},
		{3, samebytes.Column{Values: []byte("ab"), Lengths: []int32{1, 0, 0}, ItemLengths: []int32{3}}, samebytes.ErrOutOfRange, "not within the 2"},
	} {
		columns := everyColumn()
		columns[wrong.column] = wrong.with
		err := builder.AddColumns(schema, []int8{5, 6, 7}, columns)
		if !errors.Is(err, wrong.status) || !strings.Contains(err.Error(), wrong.message) {
			t.Errorf("the error is %v", err)
		}
	}
	if err := builder.AddColumns(schema, []int8{5, 6, 7}, nil); !errors.Is(err, samebytes.ErrInvalidArgument) {
		t.Errorf("the error is %v", err)
	}
	if builder.Size() != 0 {
		t.Errorf("%d bytes were added", builder.Size())
	}
}

func TestRowsGiveTheBytesOfSingleMessages(t *testing.T) {
	schema, builder, singly := columnSchema(t), emptyBuilder(t), emptyBuilder(t)
	rows := [][]any{
		{-300, "one", []int32{1, -70000}, []string{"a", ""}},
		{0, "", []int32{}, []string{}},
		{32767, []byte("three"), []int32{3}, [][]byte{[]byte("bcd")}},
	}
	sequences := []int8{5, 6, 7}
	for i, row := range rows {
		if err := singly.Add(schema, sequences[i], row...); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := builder.AddRows(schema, sequences, rows); err != nil {
		t.Fatal(err)
	}
	found, err := builder.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := singly.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(found, wanted) {
		t.Errorf("found %x, wanted %x", found, wanted)
	}
	for words, wrong := range map[string][]any{
		"message 4 (Every), field number: 32768":    {32768, "", []int32{}, []string{}},
		"row 1, field text: string cannot hold":     {0, 5, []int32{}, []string{}},
		"row 1: Every has 4 fields, there are 1 va": {0},
	} {
		err := builder.AddRows(schema, sequences, [][]any{rows[0], wrong, rows[2]})
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, not %s", err, words)
		}
	}
	if err := builder.AddRows(schema, sequences[:2], rows); !errors.Is(err, samebytes.ErrInvalidArgument) {
		t.Error(err)
	}
	if builder.FrameCount() != 3 {
		t.Errorf("%d messages", builder.FrameCount())
	}
}
