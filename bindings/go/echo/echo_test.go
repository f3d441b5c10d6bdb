package echo_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"testing"

	samebytes "github.com/samebytes/samebytes/bindings/go"
	"github.com/samebytes/samebytes/bindings/go/echo"
)

// The reference request of docs/wire-format.md, and what it says.
const reference = "000000350000000000000000270f0000000474657374000300010002000300000017576520686176652061206c6f7420696e20636f6d6d6f6e"

var request = echo.Request{Timestamp: 9999, Subject: []byte("test"), Metadata: []int16{1, 2, 3}, Body: []byte("We have a lot in common")}

func must[T any](object T, err error) T {
	if err != nil {
		panic(err)
	}
	return object
}

func leakCheck(t *testing.T) {
	t.Helper()
	before := samebytes.MemoryLiveBlocks()
	t.Cleanup(func() {
		if left := samebytes.MemoryLiveBlocks() - before; left != 0 {
			t.Errorf("%d blocks are still out", left)
		}
	})
}

func TestTheReferenceRequest(t *testing.T) {
	leakCheck(t)
	builder := must(echo.NewBuilder(nil))
	defer builder.Close()
	if err := builder.Add(request); err != nil {
		t.Fatal(err)
	}
	if frame := hex.EncodeToString(must(builder.Bytes())); frame != reference || builder.Size() != 57 {
		t.Errorf("the frame is %s", frame)
	}
	builder.Clear()
	if builder.Size() != 0 {
		t.Error("Clear leaves frames")
	}
	parser := must(echo.NewParser(samebytes.DirectionRequest, nil))
	defer parser.Close()
	data := must(hex.DecodeString(reference))
	for i := range data {
		if err := parser.Feed(data[i : i+1]); err != nil {
			t.Fatal(err)
		}
		rows := must(parser.Parse())
		if i+1 < len(data) && len(rows) > 0 {
			t.Fatalf("a row after %d bytes", i+1)
		}
		if i+1 == len(data) && !reflect.DeepEqual(rows, []echo.Request{request}) {
			t.Errorf("%+v", rows)
		}
	}
	if parser.Need() != 4 {
		t.Errorf("need is %d", parser.Need())
	}
}

func TestRowsAreTheCallers(t *testing.T) {
	leakCheck(t)
	builder := must(echo.NewBuilder(nil))
	defer builder.Close()
	var want []echo.Request
	for i := range 20 {
		row := echo.Request{Sequence: int8(i), Timestamp: int64(i), Subject: fmt.Append(nil, "subject", i), Metadata: []int16{int16(i)}, Body: []byte{byte(i)}}
		if err := builder.Add(row); err != nil {
			t.Fatal(err)
		}
		want = append(want, row)
	}
	parser := must(echo.NewParser(samebytes.DirectionRequest, nil))
	if err := parser.Feed(must(builder.Bytes())); err != nil {
		t.Fatal(err)
	}
	rows := must(parser.Parse())
	parser.Close()
	for i := range rows {
		want[i].StreamOffset = rows[i].StreamOffset
		_ = append(rows[i].Subject, "overwrites nothing"...)
		_ = append(rows[i].Metadata, 99)
	}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("%+v", rows)
	}
}

func TestOfManyRequestsAllAreAddedOrNone(t *testing.T) {
	leakCheck(t)
	builder := must(echo.NewBuilder(nil))
	defer builder.Close()
	if err := builder.Add(request); err != nil {
		t.Fatal(err)
	}
	many := make([]echo.Request, 600)
	many[550].Metadata = make([]int16, 32768)
	err := builder.AddAll(many)
	var explained *samebytes.Error
	if !errors.As(err, &explained) || explained.Frame != 551 || explained.Status != samebytes.ErrTooLarge {
		t.Errorf("%v", err)
	}
	if frame := hex.EncodeToString(must(builder.Bytes())); frame != reference {
		t.Errorf("the builder has %d bytes", builder.Size())
	}
	if err := builder.AddAll(many[:550]); err != nil || builder.Size() != 57+550*24 {
		t.Errorf("%d bytes, %v", builder.Size(), err)
	}
	builder.Clear()
	responses := make([]echo.Response, 300)
	if err := builder.AddAllResponses(responses); err != nil || builder.Size() != 300*26 {
		t.Errorf("%d bytes, %v", builder.Size(), err)
	}
}

func TestResponses(t *testing.T) {
	leakCheck(t)
	response := echo.Response{Sequence: -128, ID: -5, Timestamp: 1, Subject: []byte("subject"), Body: []byte{}}
	builder := must(echo.NewBuilder(nil))
	defer builder.Close()
	if err := builder.AddResponse(response); err != nil {
		t.Fatal(err)
	}
	frames := must(builder.Take())
	defer frames.Close()
	parser := must(echo.NewParser(samebytes.DirectionResponse, nil))
	defer parser.Close()
	room := must(parser.Buffer())
	if err := parser.Commit(copy(room, must(frames.Bytes()))); err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(); !errors.Is(err, samebytes.ErrInvalidArgument) {
		t.Errorf("Parse of responses: %v", err)
	}
	if rows := must(parser.ParseResponses()); !reflect.DeepEqual(rows, []echo.Response{response}) {
		t.Errorf("%+v", rows)
	}
	if _, err := echo.NewParser(2, nil); !errors.Is(err, samebytes.ErrInvalidArgument) {
		t.Errorf("a direction that is none: %v", err)
	}
}

func TestBadFramesAreReportedAndTheStreamGoesOn(t *testing.T) {
	leakCheck(t)
	parser := must(echo.NewParser(samebytes.DirectionRequest, nil))
	defer parser.Close()
	good := must(hex.DecodeString(reference))
	bad := append([]byte(nil), good...)
	bad[14] = 0xff // the subject's size becomes negative
	if err := parser.Feed(append(append(append([]byte(nil), good...), bad...), good...)); err != nil {
		t.Fatal(err)
	}
	if rows := must(parser.Parse()); len(rows) != 2 || rows[1].StreamOffset != 114 {
		t.Errorf("%+v", rows)
	}
	refused := must(parser.Errors())
	if len(refused) != 1 || refused[0].Field != "subject" || refused[0].Frame != 1 || refused[0].FrameOffset != 14 || refused[0].StreamOffset != 71 {
		t.Errorf("%+v", refused)
	}
}

func TestAStreamThatEndsDeliversItsRowsFirst(t *testing.T) {
	leakCheck(t)
	parser := must(echo.NewParser(samebytes.DirectionRequest, nil))
	defer parser.Close()
	good := must(hex.DecodeString(reference))
	if err := parser.Feed(append(good, 0xff, 0xff, 0xff, 0xff)); err != nil {
		t.Fatal(err)
	}
	if rows := must(parser.Parse()); len(rows) != 1 {
		t.Errorf("%+v", rows)
	}
	if rows, err := parser.Parse(); !errors.Is(err, samebytes.ErrCorrupt) || len(rows) != 0 {
		t.Errorf("%+v, %v", rows, err)
	}
	if err := parser.Feed(good); !errors.Is(err, samebytes.ErrCorrupt) {
		t.Errorf("Feed: %v", err)
	}
}

func TestUseAfterClose(t *testing.T) {
	builder := must(echo.NewBuilder(nil))
	builder.Close()
	if err := builder.Add(request); !errors.Is(err, samebytes.ErrClosed) {
		t.Errorf("Builder.Add: %v", err)
	}
	parser := must(echo.NewParser(samebytes.DirectionRequest, nil))
	parser.Close()
	parser.Close()
	if _, err := parser.Parse(); !errors.Is(err, samebytes.ErrClosed) {
		t.Errorf("Parser.Parse: %v", err)
	}
}

func ExampleParser() {
	builder, err := echo.NewBuilder(nil)
	if err != nil {
		panic(err)
	}
	defer builder.Close()
	if err := builder.Add(echo.Request{Subject: []byte("test"), Metadata: []int16{1, 2, 3}, Body: []byte("hello")}); err != nil {
		panic(err)
	}
	frames, err := builder.Bytes()
	if err != nil {
		panic(err)
	}

	parser, err := echo.NewParser(samebytes.DirectionRequest, nil)
	if err != nil {
		panic(err)
	}
	defer parser.Close()
	if err := parser.Feed(frames); err != nil {
		panic(err)
	}
	requests, err := parser.Parse()
	if err != nil {
		panic(err)
	}
	for _, request := range requests {
		fmt.Printf("%s %v %s\n", request.Subject, request.Metadata, request.Body)
	}
	// Output: test [1 2 3] hello
}

func TestManyAtOnceAreThoseOfOneByOne(t *testing.T) {
	leakCheck(t)
	one, all := must(echo.NewBuilder(nil)), must(echo.NewBuilder(nil))
	defer one.Close()
	defer all.Close()
	requests, responses := make([]echo.Request, 600), make([]echo.Response, 600)
	for i := range requests {
		requests[i] = echo.Request{Sequence: int8(i), Timestamp: int64(i), Subject: make([]byte, i%3), Metadata: make([]int16, i%4), Body: []byte("b")}
		responses[i] = echo.Response{Sequence: int8(i), ID: int32(i), Timestamp: 1, Subject: make([]byte, i%3), Body: []byte("b")}
		if err := one.Add(requests[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range responses {
		if err := one.AddResponse(responses[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(all.AddAll(requests), all.AddAllResponses(responses)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(must(one.Bytes()), must(all.Bytes())) {
		t.Error("they differ")
	}
	requests[300].Metadata = make([]int16, 40000)
	if err := all.AddAll(requests); !errors.Is(err, samebytes.ErrTooLarge) {
		t.Errorf("too many items: %v", err)
	}
}

func TestAppendUsesTheCallersMemory(t *testing.T) {
	leakCheck(t)
	builder := must(echo.NewBuilder(nil))
	defer builder.Close()
	for range 3 {
		if err := builder.Add(request); err != nil {
			t.Fatal(err)
		}
	}
	parser := must(echo.NewParser(samebytes.DirectionRequest, nil))
	defer parser.Close()
	rows := append(make([]echo.Request, 0, 8), echo.Request{Timestamp: 1})
	if err := parser.Feed(must(builder.Bytes())); err != nil {
		t.Fatal(err)
	}
	got := must(parser.AppendRequests(rows))
	if len(got) != 4 || &got[0] != &rows[0] || got[0].Timestamp != 1 || string(got[3].Body) != string(request.Body) {
		t.Errorf("%+v", got)
	}
	if same, err := parser.AppendResponses([]echo.Response{{ID: 7}}); err == nil || len(same) != 1 || same[0].ID != 7 {
		t.Errorf("responses of a parser of requests: %+v, %v", same, err)
	}
	responses := must(echo.NewBuilder(nil))
	defer responses.Close()
	if err := responses.AddResponse(echo.Response{ID: 5, Subject: []byte("s")}); err != nil {
		t.Fatal(err)
	}
	client := must(echo.NewParser(samebytes.DirectionResponse, nil))
	defer client.Close()
	if err := client.Feed(must(responses.Bytes())); err != nil {
		t.Fatal(err)
	}
	if all := must(client.AppendResponses([]echo.Response{{ID: 7}})); len(all) != 2 || all[0].ID != 7 || all[1].ID != 5 || string(all[1].Subject) != "s" {
		t.Errorf("%+v", all)
	}
}
