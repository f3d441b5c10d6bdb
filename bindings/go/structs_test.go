//go:build cgo

package samebytes_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

type textual string

type bytish []byte

type shorts []int16

// everything has each type of field, some under another name.
type everything struct {
	Byte    int8          `samebytes:"byte"`
	Short   int16         `samebytes:"short"`
	Int     int32         `samebytes:"int"`
	Long    time.Duration `samebytes:"long"`
	Text    textual       `samebytes:"text"`
	Data    bytish        `samebytes:"data"`
	hidden  int
	Bytes   []int8   `samebytes:"bytes"`
	Shorts  shorts   `samebytes:"shorts"`
	Ints    []int32  `samebytes:"ints"`
	Longs   []int64  `samebytes:"longs"`
	Texts   []string `samebytes:"texts"`
	Pieces  [][]byte `samebytes:"pieces"`
	Ignored bool     `samebytes:"-"`
}

func TestStructsComeBack(t *testing.T) {
	leakCheck(t)
	structs := must(samebytes.NewStructs[everything]("Everything", samebytes.DirectionRequest, 9))
	defer structs.Close()
	wantTypes := []string{"int8", "int16", "int32", "int64", "string", "string", "array<int8>", "array<int16>", "array<int32>", "array<int64>",
		"array<string>", "array<string>"}
	for i, field := range must(structs.Schema().Fields()) {
		if samebytes.TypeName(field.Type) != wantTypes[i] {
			t.Errorf("%s is %s", field.Name, samebytes.TypeName(field.Type))
		}
	}
	messages := []everything{
		{Byte: -128, Short: -2, Int: 3, Long: time.Hour, Text: "text", Data: bytish("data"), Bytes: []int8{1}, Shorts: shorts{2, 3},
			Ints: []int32{4}, Longs: []int64{5, 6}, Texts: []string{"a", ""}, Pieces: [][]byte{{7}, {}}},
		{Data: bytish{}, Bytes: []int8{}, Shorts: shorts{}, Ints: []int32{}, Longs: []int64{}, Texts: []string{}, Pieces: [][]byte{}},
	}
	builder := must(samebytes.NewBuilder(nil))
	defer builder.Close()
	for i := range messages {
		if err := structs.Add(builder, int8(i), &messages[i]); err != nil {
			t.Fatal(err)
		}
	}
	parser := must(samebytes.NewParser([]*samebytes.Schema{structs.Schema()}, nil))
	defer parser.Close()
	batch := must(samebytes.NewBatch())
	defer batch.Close()
	if err := errors.Join(parser.Feed(must(builder.Bytes())), parser.Parse(batch)); err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		if got := must(structs.Get(batch, i)); !reflect.DeepEqual(got, messages[i]) {
			t.Errorf("%+v", got)
		}
	}
	kept := everything{hidden: 1, Ignored: true}
	if err := structs.Set(&kept, must(batch.GetValues(0))); err != nil || kept.hidden != 1 || !kept.Ignored || kept.Text != "text" {
		t.Errorf("%+v, %v", kept, err)
	}
	wantError(t, "a row that is not there", second(structs.Get(batch, 2)), samebytes.ErrOutOfRange)
	wantError(t, "Add of nil", structs.Add(builder, 0, nil), samebytes.ErrInvalidArgument)
	wantError(t, "Set of nil", structs.Set(nil, nil), samebytes.ErrInvalidArgument)
	wantError(t, "too few values", structs.Set(&kept, nil), samebytes.ErrInvalidArgument)
	structs.Close()
	wantError(t, "Add after Close", structs.Add(builder, 0, &kept), samebytes.ErrClosed)
}

func TestValuesThatDoNotFitAStruct(t *testing.T) {
	leakCheck(t)
	structs := must(samebytes.NewStructs[everything]("Everything", samebytes.DirectionRequest, 9))
	defer structs.Close()
	right := structs.Values(&everything{})
	for i := range 4 {
		right[i] = int64(1) // as batches give integers
	}
	var message everything
	if err := structs.Set(&message, right); err != nil {
		t.Fatal(err)
	}
	for i, field := range must(structs.Schema().Fields()) {
		for _, wrong := range []any{nil, 1.5, right[(i+4)%12], []any{1}} {
			values := append([]any(nil), right...)
			values[i] = wrong
			before := message
			err := structs.Set(&message, values)
			wantError(t, fmt.Sprintf("%T for %s", wrong, field.Name), err, samebytes.ErrInvalidArgument)
			if !strings.Contains(strings.ToLower(fmt.Sprint(err)), "everything, field "+field.Name) || !reflect.DeepEqual(before, message) {
				t.Errorf("%T for %s: %v", wrong, field.Name, err)
			}
		}
	}
	values := append([]any(nil), right...)
	values[0] = int64(128)
	wantError(t, "128 as int8", structs.Set(&message, values), samebytes.ErrInvalidArgument)
}

func TestARowWithOtherFieldsIsRefused(t *testing.T) {
	leakCheck(t)
	type number struct {
		Number int64 `samebytes:"number"`
	}
	type other struct {
		Other int64 `samebytes:"other"`
	}
	numbers := must(samebytes.NewStructs[number]("Number", samebytes.DirectionRequest, 1))
	defer numbers.Close()
	others := must(samebytes.NewStructs[other]("Other", samebytes.DirectionRequest, 1))
	defer others.Close()
	builder := must(samebytes.NewBuilder(nil))
	defer builder.Close()
	parser := must(samebytes.NewParser([]*samebytes.Schema{numbers.Schema()}, nil))
	defer parser.Close()
	batch := must(samebytes.NewBatch())
	defer batch.Close()
	if err := errors.Join(numbers.Add(builder, 0, &number{5}), parser.Feed(must(builder.Bytes())), parser.Parse(batch)); err != nil {
		t.Fatal(err)
	}
	if got := must(numbers.Get(batch, 0)); got.Number != 5 {
		t.Errorf("%+v", got)
	}
	wantError(t, "a row of another schema", second(others.Get(batch, 0)), samebytes.ErrInvalidArgument)
}

func refusal[T any]() error {
	structs, err := samebytes.NewStructs[T]("Message", samebytes.DirectionRequest, 1)
	if err == nil {
		structs.Close()
	}
	return err
}

func TestStructsThatStateNoSchema(t *testing.T) {
	leakCheck(t)
	type embedded struct{ everything }
	for says, err := range map[string]error{
		"int is no struct":       refusal[int](),
		"field A: it has no tag": refusal[struct{ A int8 }](),
		"field a: it has a tag, but is not exported": refusal[struct {
			a int8 `samebytes:"a"`
		}](),
		`field B: an earlier field is called "a"`: refusal[struct {
			A int8 `samebytes:"a"`
			B int8 `samebytes:"a"`
		}](),
		`field A: the tag "" is no name`: refusal[struct {
			A int8 `samebytes:""`
		}](),
		`field A: the tag "a b" is no name`: refusal[struct {
			A int8 `samebytes:"a b"`
		}](),
		`field A: the tag "1" is no name`: refusal[struct {
			A int8 `samebytes:"1"`
		}](),
		"field A: its type uint32 is none of": refusal[struct {
			A uint32 `samebytes:"a"`
		}](),
		"field A: its type int is none of": refusal[struct {
			A int `samebytes:"a"`
		}](),
		"field A: its type bool is none of": refusal[struct {
			A bool `samebytes:"a"`
		}](),
		"field A: its type *int8 is none of": refusal[struct {
			A *int8 `samebytes:"a"`
		}](),
		"field A: its type [][]int8 is none of": refusal[struct {
			A [][]int8 `samebytes:"a"`
		}](),
		"field A: its type []samebytes_test.textual is none of": refusal[struct {
			A []textual `samebytes:"a"`
		}](),
		"field A: its type [2]int8 is none of": refusal[struct {
			A [2]int8 `samebytes:"a"`
		}](),
		"field everything: it has no tag": refusal[embedded](),
	} {
		wantError(t, says, err, samebytes.ErrInvalidArgument)
		if !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
	if _, err := samebytes.NewStructs[everything]("no name", 0, 0); !strings.Contains(fmt.Sprint(err), "samebytes_test.everything: a message's name") {
		t.Errorf("%v", err)
	}
}

func TestStructsOverAConnection(t *testing.T) {
	leaves(t)
	type ask struct {
		Text string `samebytes:"text"`
	}
	type answer struct {
		Length int32 `samebytes:"length"`
	}
	asks := must(samebytes.NewStructs[ask]("Ask", samebytes.DirectionRequest, 1))
	defer asks.Close()
	answers := must(samebytes.NewStructs[answer]("Answer", samebytes.DirectionResponse, 1))
	defer answers.Close()
	pair := []samebytes.Exchange{{Request: asks.Schema(), Response: answers.Schema()}}
	near, far := tcpPair(t)
	server := served(context.Background(), far, pair, func(_ context.Context, request samebytes.Message, reply *samebytes.Reply) {
		var asked ask
		err := asks.Set(&asked, request.Values)
		if err := errors.Join(err, reply.Send(answers.Values(&answer{int32(len(asked.Text))})...)); err != nil {
			t.Error(err)
		}
	})
	client := must(samebytes.NewClient(near, pair, nil))
	message := must(client.Call(soon(t), 1, asks.Values(&ask{"twelve bytes"})...))
	var answered answer
	if err := answers.Set(&answered, message.Values); err != nil || answered.Length != 12 {
		t.Errorf("%+v, %v", answered, err)
	}
	client.Close()
	if err := result(t, server); err != nil {
		t.Error(err)
	}
}
