// Package arrow reads what is exported to Arrow through arrow-go, which is also the example of how to do it.
package arrow

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/arrio"
	"github.com/apache/arrow-go/v18/arrow/cdata"

	samebytes "github.com/samebytes/samebytes/bindings/go"
	"github.com/samebytes/samebytes/bindings/go/echo"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readerOf imports what export fills.
func readerOf(t *testing.T, export func(stream unsafe.Pointer) error) arrio.Reader {
	t.Helper()
	var stream cdata.CArrowArrayStream
	check(t, export(unsafe.Pointer(&stream)))
	reader, err := cdata.ImportCRecordReader(&stream, nil)
	check(t, err)
	return reader
}

// rowsOf reads all rows as text.
func rowsOf(t *testing.T, reader arrio.Reader) []string {
	t.Helper()
	rows := []string{}
	for {
		batch, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return rows
		}
		check(t, err)
		for row := range int(batch.NumRows()) {
			cells := make([]string, batch.NumCols())
			for column := range cells {
				cells[column] = batch.Column(column).ValueStr(row)
			}
			rows = append(rows, strings.Join(cells, " "))
		}
	}
}

func same(t *testing.T, found, wanted []string) {
	t.Helper()
	if fmt.Sprint(found) != fmt.Sprint(wanted) {
		t.Errorf("found  %q\nwanted %q", found, wanted)
	}
}

func managerWith(t *testing.T, visits ...samebytes.Visit) *samebytes.VisitManager {
	t.Helper()
	manager, err := samebytes.NewVisitManager(filepath.Join(t.TempDir(), "visits"), 10)
	check(t, err)
	t.Cleanup(func() { manager.Close() })
	check(t, manager.AddVisits(visits))
	return manager
}

func TestVisitsAreReadAndOutliveTheirManager(t *testing.T) {
	manager := managerWith(t,
		samebytes.Visit{User: 9, VisitID: 4, URL: "/a", Text: "ä", TimeNs: 1_000_000_001},
		samebytes.Visit{User: 9, VisitID: 5, URL: "/b", TimeNs: 2_000_000_000},
		samebytes.Visit{User: 4294967295, VisitID: 1, URL: "/", Text: "x", TimeNs: -1})
	reader := readerOf(t, func(stream unsafe.Pointer) error { return manager.ExportArrowStream(samebytes.StringsUTF8, stream) })
	check(t, manager.Close())
	same(t, rowsOf(t, reader), []string{
		"9 5 /b  1970-01-01T00:00:02Z",
		"9 4 /a ä 1970-01-01T00:00:01.000000001Z",
		"4294967295 1 / x 1969-12-31T23:59:59.999999999Z",
	})
}

func TestTheTypeOfVisits(t *testing.T) {
	manager := managerWith(t)
	reader := readerOf(t, func(stream unsafe.Pointer) error { return manager.ExportArrowStream(samebytes.StringsBinary, stream) })
	wanted := arrow.NewSchema([]arrow.Field{
		{Name: "user_id", Type: arrow.PrimitiveTypes.Uint32},
		{Name: "visit_id", Type: arrow.PrimitiveTypes.Uint32},
		{Name: "url", Type: arrow.BinaryTypes.Binary},
		{Name: "text", Type: arrow.BinaryTypes.Binary},
		{Name: "time", Type: &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}},
	}, nil)
	if schema := reader.(interface{ Schema() *arrow.Schema }).Schema(); !schema.Equal(wanted) {
		t.Errorf("found %v, wanted %v", schema, wanted)
	}
	same(t, rowsOf(t, reader), nil)
}

func TestPiecesOfAWalkAreReadOneByOne(t *testing.T) {
	visits := make([]samebytes.Visit, 5)
	for i := range visits {
		visits[i] = samebytes.Visit{User: uint32(i), VisitID: uint32(i), URL: "/", TimeNs: int64(i) + 1}
	}
	manager := managerWith(t, visits...)
	scan, err := manager.Scan()
	check(t, err)
	defer scan.Close()
	rows := 0
	for {
		piece, err := scan.Next(2)
		check(t, err)
		if piece.Count() == 0 {
			break
		}
		reader := readerOf(t, func(stream unsafe.Pointer) error { return piece.ExportArrowStream(samebytes.StringsUTF8, stream) })
		check(t, piece.Close())
		rows += len(rowsOf(t, reader))
	}
	if rows != len(visits) {
		t.Errorf("%d rows of %d", rows, len(visits))
	}
}

func TestTextThatIsNotUTF8IsToldWithItsVisit(t *testing.T) {
	manager := managerWith(t, samebytes.Visit{User: 7, VisitID: 12, URL: "\xff", TimeNs: 1})
	var stream cdata.CArrowArrayStream
	err := manager.ExportArrowStream(samebytes.StringsUTF8, unsafe.Pointer(&stream))
	if !errors.Is(err, samebytes.ErrInvalidArgument) || !strings.Contains(err.Error(), "url of visit 12 of user 7") {
		t.Errorf("%v", err)
	}
	if stream != (cdata.CArrowArrayStream{}) {
		t.Error("a failed export filled the stream")
	}
}

func TestAStreamThatIsNotReadIsReleased(t *testing.T) {
	manager := managerWith(t, samebytes.Visit{User: 7, VisitID: 12, URL: "/", TimeNs: 1})
	var stream cdata.CArrowArrayStream
	check(t, manager.ExportArrowStream(samebytes.StringsUTF8, unsafe.Pointer(&stream)))
	cdata.ReleaseCArrowArrayStream(&stream)
}

func batchOf(t *testing.T, count int) *samebytes.Batch {
	t.Helper()
	builder, err := echo.NewBuilder(nil)
	check(t, err)
	defer builder.Close()
	for i := range count {
		check(t, builder.Add(echo.Request{Timestamp: int64(i), Subject: []byte("test"), Metadata: []int16{1, int16(-i)}, Body: []byte("body")}))
	}
	data, err := builder.Bytes()
	check(t, err)
	schema, err := samebytes.EchoRequestSchema()
	check(t, err)
	defer schema.Close()
	parser, err := samebytes.NewParser([]*samebytes.Schema{schema}, nil)
	check(t, err)
	defer parser.Close()
	check(t, parser.Feed(data))
	batch, err := samebytes.NewBatch()
	check(t, err)
	check(t, parser.Parse(batch))
	return batch
}

func TestMessagesAreReadAndOutliveTheirBatch(t *testing.T) {
	batch := batchOf(t, 2)
	var schema cdata.CArrowSchema
	var rows cdata.CArrowArray
	check(t, batch.ExportArrow(0, samebytes.StringsUTF8, unsafe.Pointer(&schema), unsafe.Pointer(&rows)))
	check(t, batch.Close())
	record, err := cdata.ImportCRecordBatch(&rows, &schema)
	check(t, err)
	defer record.Release()
	if record.NumRows() != 2 || record.ColumnName(5) != "metadata" {
		t.Fatalf("%v", record)
	}
	metadata := record.Column(5).(*array.List)
	same(t, []string{metadata.ValueStr(0), metadata.ValueStr(1), record.Column(4).ValueStr(1)}, []string{"[1,0]", "[1,-1]", "test"})
}

func TestMessagesAreReadAsAStream(t *testing.T) {
	batch := batchOf(t, 100)
	reader := readerOf(t, func(stream unsafe.Pointer) error { return batch.ExportArrowStream(0, samebytes.StringsUTF8, stream) })
	check(t, batch.Close())
	rows := rowsOf(t, reader)
	if len(rows) != 100 || !strings.HasSuffix(rows[99], "99 test [1,-99] body") {
		t.Errorf("%d rows, the last of them %q", len(rows), rows[len(rows)-1])
	}
}
