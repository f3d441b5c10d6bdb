//go:build cgo

package samebytes_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// echoRequests have data of all sizes: empty, odd, and too large to cross with others.
func echoRequests(count int) []samebytes.EchoRequest {
	requests := make([]samebytes.EchoRequest, count)
	for i := range requests {
		r := &requests[i]
		r.Sequence, r.Timestamp = int8(i), int64(i)-5
		r.Subject = bytes.Repeat([]byte{byte(i)}, i%9)
		for j := range i % 5 {
			r.Metadata = append(r.Metadata, int16(i*j))
		}
		r.Body = bytes.Repeat([]byte{'b'}, i*37%3001)
		if i%100 == 50 {
			r.Body = bytes.Repeat([]byte{'l'}, 65500+i)
		}
	}
	return requests
}

func TestManyEchoMessagesAreThoseOfOneByOne(t *testing.T) {
	leakCheck(t)
	many, single := must(samebytes.NewBuilder(nil)), must(samebytes.NewBuilder(nil))
	defer many.Close()
	defer single.Close()
	requests := echoRequests(1000)
	for i := range requests {
		if err := samebytes.EchoAddRequest(single, &requests[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := samebytes.EchoAddRequests(many, requests); err != nil {
		t.Fatal(err)
	}
	frames := must(many.Bytes())
	if !bytes.Equal(frames, must(single.Bytes())) {
		t.Error("the requests differ")
	}
	schema := must(samebytes.EchoRequestSchema())
	defer schema.Close()
	batch := parsed(t, frames, schema)
	got := must(samebytes.EchoGetRequests(batch, nil))
	for i := range got {
		if one := must(samebytes.EchoGetRequest(batch, i)); !reflect.DeepEqual(got[i], one) || one.Timestamp != int64(i)-5 {
			t.Fatalf("row %d: %+v", i, got[i])
		}
	}
	if len(got) != len(requests) {
		t.Errorf("%d rows", len(got))
	}
	_, err := samebytes.EchoGetResponses(batch, nil)
	wantError(t, "requests as responses", err, samebytes.ErrInvalidArgument)
	many.Clear()
	single.Clear()
	responses := make([]samebytes.EchoResponse, 700)
	for i := range responses {
		responses[i] = samebytes.EchoResponse{ID: -int32(i), Timestamp: int64(i), Subject: requests[i].Subject, Body: requests[i].Body, Sequence: int8(i)}
		if err := samebytes.EchoAddResponse(single, &responses[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := samebytes.EchoAddResponses(many, responses); err != nil || !bytes.Equal(must(many.Bytes()), must(single.Bytes())) {
		t.Errorf("the responses differ, or %v", err)
	}
	other := must(samebytes.EchoResponseSchema())
	defer other.Close()
	batch = parsed(t, must(many.Bytes()), other)
	for i, response := range must(samebytes.EchoGetResponses(batch, nil)) {
		if one := must(samebytes.EchoGetResponse(batch, i)); !reflect.DeepEqual(response, one) || one.ID != -int32(i) {
			t.Fatalf("row %d: %+v", i, response)
		}
	}
}

// parsed returns a batch of all frames.
func parsed(t *testing.T, frames []byte, schemas ...*samebytes.Schema) *samebytes.Batch {
	t.Helper()
	parser, batch := must(samebytes.NewParser(schemas, nil)), must(samebytes.NewBatch())
	t.Cleanup(func() { parser.Close(); batch.Close() })
	if err := errors.Join(parser.Feed(frames), parser.Parse(batch)); err != nil {
		t.Fatal(err)
	}
	return batch
}

func TestOfManyMessagesAllAreAddedOrNone(t *testing.T) {
	leakCheck(t)
	builder, single := must(samebytes.NewBuilder(nil)), must(samebytes.NewBuilder(nil))
	defer builder.Close()
	defer single.Close()
	requests := echoRequests(1000)
	first := samebytes.EchoRequest{Timestamp: 1, Subject: []byte("first")}
	if err := errors.Join(samebytes.EchoAddRequest(builder, &first), samebytes.EchoAddRequest(single, &first)); err != nil {
		t.Fatal(err)
	}
	before := must(builder.Bytes())
	for _, index := range []int{0, 7, 255, 256, 700, 999} { // among those that cross together, and behind them
		kept := requests[index].Metadata
		requests[index].Metadata = make([]int16, 32768)
		err := samebytes.EchoAddRequests(builder, requests)
		wantError(t, "too many items", err, samebytes.ErrTooLarge)
		for i := range index {
			if err := samebytes.EchoAddRequest(single, &requests[i]); err != nil {
				t.Fatal(err)
			}
		}
		alone := samebytes.EchoAddRequest(single, &requests[index])
		var explained, same *samebytes.Error
		if !errors.As(err, &explained) || !errors.As(alone, &same) || explained.Message != same.Message || explained.Frame != int64(index+1) ||
			explained.Field != "metadata" || explained.StreamOffset != same.StreamOffset {
			t.Errorf("%v, alone %v", err, alone)
		}
		if !bytes.Equal(must(builder.Bytes()), before) || builder.FrameCount() != 1 {
			t.Errorf("%d frames are left of a refused call", builder.FrameCount())
		}
		requests[index].Metadata = kept
		if err := single.Truncate(len(before), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := samebytes.EchoAddRequests(builder, requests); err != nil {
		t.Fatal(err)
	}
	for i := range requests {
		if err := samebytes.EchoAddRequest(single, &requests[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(must(builder.Bytes()), must(single.Bytes())) {
		t.Error("what was added after refused calls differs")
	}
}

func TestNoMemoryForManyMessagesAddsNone(t *testing.T) {
	leakCheck(t)
	builder := must(samebytes.NewBuilder(nil))
	defer builder.Close()
	requests := echoRequests(10)
	pool := must(samebytes.NewPool(&samebytes.PoolOptions{BytesMax: 1 << 18}))
	defer pool.Close()
	limited := must(pool.Memory())
	defer limited.Close()
	short := must(samebytes.NewBuilder(limited))
	defer short.Close()
	wantError(t, "without memory", samebytes.EchoAddRequests(short, echoRequests(400)), samebytes.ErrNoMemory)
	if short.FrameCount() != 0 || short.Size() != 0 {
		t.Errorf("%d frames of %d bytes were added before memory ended", short.FrameCount(), short.Size())
	}
	if err := samebytes.EchoAddRequests(short, requests); err != nil || short.FrameCount() != 10 {
		t.Errorf("%d frames, %v", short.FrameCount(), err)
	}
	builder.Close()
	wantError(t, "a closed builder", samebytes.EchoAddRequests(builder, requests), samebytes.ErrClosed)
	if err := samebytes.EchoAddRequests(short, nil); err != nil {
		t.Errorf("no requests: %v", err)
	}
}

func TestEchoAmongOtherMessagesIsRead(t *testing.T) {
	leakCheck(t)
	fields := must(samebytes.NewFields("a", "int64", "b", "string", "c", "array<int16>", "d", "string"))
	request := must(samebytes.EchoRequestSchema())
	other := must(samebytes.NewSchema("Other", samebytes.DirectionRequest, 1, fields[:3]))
	defer request.Close()
	defer other.Close()
	builder := must(samebytes.NewBuilder(nil))
	defer builder.Close()
	if err := errors.Join(samebytes.EchoAddRequests(builder, echoRequests(3)), builder.Add(other, 0, 1, "", []int16{})); err != nil {
		t.Fatal(err)
	}
	batch := parsed(t, must(builder.Bytes()), request, other)
	requests, err := samebytes.EchoGetRequests(batch, nil)
	wantError(t, "a row of another schema", err, samebytes.ErrInvalidArgument)
	if len(requests) != 3 {
		t.Errorf("%d requests before it", len(requests))
	}
	batch.Close()
	_, err = samebytes.EchoGetRequests(batch, nil)
	wantError(t, "a closed batch", err, samebytes.ErrClosed)
}

func TestCopiesAreTheCallers(t *testing.T) {
	leakCheck(t)
	builder := must(samebytes.NewBuilder(nil))
	defer builder.Close()
	requests := echoRequests(300)
	if err := samebytes.EchoAddRequests(builder, requests); err != nil {
		t.Fatal(err)
	}
	schema := must(samebytes.EchoRequestSchema())
	defer schema.Close()
	batch := parsed(t, must(builder.Bytes()), schema)
	kept := samebytes.EchoRequestRow{Timestamp: -1}
	got, err := samebytes.EchoCopyRequests(batch, []samebytes.EchoRequestRow{kept})
	if err != nil || len(got) != 1+len(requests) || !reflect.DeepEqual(got[0], kept) {
		t.Fatalf("%d requests, %v", len(got), err)
	}
	got = got[1:]
	offset := int64(0)
	for i := range got {
		if row := must(batch.GetRow(i)); got[i].StreamOffset != offset || got[i].Sequence != row.Sequence || got[i].APIKey != row.APIKey {
			t.Fatalf("row %d is at %d, not %d", i, got[i].StreamOffset, offset)
		}
		offset += int64(24 + len(got[i].Subject) + 2*len(got[i].Metadata) + len(got[i].Body))
	}
	batch.Close()
	for i := range got {
		_ = append(got[i].Subject, "reaches nobody"...)
		_ = append(got[i].Metadata, 12345)
		_ = append(got[i].Body, "reaches nobody"...)
	}
	for i := range got {
		want := &requests[i]
		if got[i].Timestamp != want.Timestamp || !bytes.Equal(got[i].Subject, want.Subject) || !slices.Equal(got[i].Metadata, want.Metadata) ||
			!bytes.Equal(got[i].Body, want.Body) {
			t.Fatalf("row %d: %+v", i, got[i])
		}
	}
	_, err = samebytes.EchoCopyRequests(batch, nil)
	wantError(t, "a closed batch", err, samebytes.ErrClosed)
	empty := must(samebytes.NewBatch())
	defer empty.Close()
	if responses, err := samebytes.EchoCopyResponses(empty, nil); err != nil || len(responses) != 0 {
		t.Errorf("an empty batch: %v", err)
	}
}

func TestNothingIsCopiedOfAnotherSchema(t *testing.T) {
	leakCheck(t)
	fields := must(samebytes.NewFields("a", "int64", "b", "string", "c", "array<int16>"))
	request := must(samebytes.EchoRequestSchema())
	other := must(samebytes.NewSchema("Other", samebytes.DirectionRequest, 1, fields))
	defer request.Close()
	defer other.Close()
	builder := must(samebytes.NewBuilder(nil))
	defer builder.Close()
	if err := errors.Join(samebytes.EchoAddRequests(builder, echoRequests(3)), builder.Add(other, 0, 1, "", []int16{})); err != nil {
		t.Fatal(err)
	}
	batch := parsed(t, must(builder.Bytes()), request, other)
	requests, err := samebytes.EchoCopyRequests(batch, make([]samebytes.EchoRequestRow, 2))
	wantError(t, "a row of another schema", err, samebytes.ErrInvalidArgument)
	responses, err := samebytes.EchoCopyResponses(batch, make([]samebytes.EchoResponseRow, 1))
	wantError(t, "requests as responses", err, samebytes.ErrInvalidArgument)
	if len(requests) != 2 || len(responses) != 1 {
		t.Errorf("%d requests, %d responses", len(requests), len(responses))
	}
}
