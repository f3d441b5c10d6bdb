//go:build cgo

package samebytes_test

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// everythings are messages with data of all sizes, none among them.
func everythings(count int) []everything {
	messages := make([]everything, count)
	for i := range messages {
		text := strings.Repeat(fmt.Sprint(i, " "), i%7)
		messages[i] = everything{Byte: int8(i), Short: int16(-i), Int: int32(i) << 16, Long: 1 << 40, Text: textual(text), Data: bytish(text),
			Bytes: []int8{}, Shorts: shorts{}, Ints: []int32{}, Longs: []int64{}, Texts: []string{}, Pieces: [][]byte{}}
		for j := range i % 4 {
			m := &messages[i]
			m.Bytes, m.Shorts, m.Ints, m.Longs = append(m.Bytes, int8(j)), append(m.Shorts, int16(-j)), append(m.Ints, int32(i*j)), append(m.Longs, int64(i+j))
			m.Texts, m.Pieces = append(m.Texts, text[:len(text)/(j+1)]), append(m.Pieces, []byte(text))
		}
	}
	return messages
}

func TestAllRowsAreThoseOfOneByOne(t *testing.T) {
	leakCheck(t)
	structs := must(samebytes.NewStructs[everything]("Everything", samebytes.DirectionRequest, 9))
	defer structs.Close()
	builder := must(samebytes.NewBuilder(nil))
	defer builder.Close()
	want := everythings(500)
	for i := range want {
		if err := structs.Add(builder, int8(i), &want[i]); err != nil {
			t.Fatal(err)
		}
	}
	batch := parsed(t, must(builder.Bytes()), structs.Schema())
	stale := make([]everything, 1, 600)
	stale[0] = everything{hidden: 5, Ignored: true}
	for i := range stale[:600] {
		stale[:600][i].Ignored, stale[:600][i].hidden = true, 6
	}
	got := must(structs.GetAll(batch, stale))
	messages := must(batch.Messages())
	for i := range messages {
		single := samebytes.Message{Row: must(batch.GetRow(i)), Values: must(batch.GetValues(i))}
		if !reflect.DeepEqual(messages[i], single) {
			t.Fatalf("row %d: %+v, alone %+v", i, messages[i], single)
		}
	}
	batch.Close()
	runtime.GC()
	if len(messages) != 500 || len(got) != 501 || !got[0].Ignored || !reflect.DeepEqual(got[1:], want) {
		t.Errorf("%d messages, %d structs, which differ", len(messages), len(got))
	}
}

func TestAnAppendToOneCopyCannotReachTheNext(t *testing.T) {
	leakCheck(t)
	structs := must(samebytes.NewStructs[everything]("Everything", samebytes.DirectionRequest, 9))
	defer structs.Close()
	builder := must(samebytes.NewBuilder(nil))
	defer builder.Close()
	want := everythings(50)
	for i := range want {
		if err := structs.Add(builder, 0, &want[i]); err != nil {
			t.Fatal(err)
		}
	}
	batch := parsed(t, must(builder.Bytes()), structs.Schema())
	got, messages := must(structs.GetAll(batch, nil)), must(batch.Messages())
	again := must(batch.Messages())
	for i := range got {
		m := &got[i]
		_ = append(m.Data, 1)
		_ = append(m.Bytes, 1)
		_ = append(m.Shorts, 1)
		_ = append(m.Ints, 1)
		_ = append(m.Longs, 1)
		_ = append(m.Texts, "reaches nobody")
		_ = append(m.Pieces, []byte("reaches nobody"))
		for _, piece := range m.Pieces {
			_ = append(piece, 1)
		}
		_ = append(messages[i].Values, "reaches nobody")
		for _, value := range messages[i].Values {
			switch value := value.(type) {
			case []byte:
				_ = append(value, 1)
			case [][]byte:
				_ = append(value, []byte("reaches nobody"))
			case []int64:
				_ = append(value, 1)
			}
		}
	}
	if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(messages, again) {
		t.Error("an append has changed another message")
	}
}

func TestMessagesOfSeveralSchemas(t *testing.T) {
	leakCheck(t)
	empty := must(samebytes.NewSchema("Empty", samebytes.DirectionRequest, 1, nil))
	one := must(samebytes.NewSchema("One", samebytes.DirectionRequest, 2, must(samebytes.NewFields("text", "string"))))
	two := must(samebytes.NewSchema("Two", samebytes.DirectionRequest, 3, must(samebytes.NewFields("items", "array<int32>", "number", "int16"))))
	builder := must(samebytes.NewBuilder(nil))
	defer builder.Close()
	for _, schema := range []*samebytes.Schema{empty, one, two} {
		defer schema.Close()
	}
	var want [][]any
	for i := range 100 {
		var err error
		switch i % 5 {
		case 0, 3:
			want = append(want, []any{})
			err = builder.Add(empty, int8(i))
		case 1:
			want = append(want, []any{[]byte(fmt.Sprint(i))})
			err = builder.Add(one, int8(i), fmt.Sprint(i))
		default:
			want = append(want, []any{[]int32{int32(i), -1}, int64(-i)})
			err = builder.Add(two, int8(i), []int32{int32(i), -1}, -i)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	batch := parsed(t, must(builder.Bytes()), empty, one, two)
	messages := must(batch.Messages())
	for i := range messages {
		if messages[i].Sequence != int8(i) || !reflect.DeepEqual(messages[i].Values, want[i]) {
			t.Errorf("row %d: %+v", i, messages[i])
		}
	}
	if len(messages) != len(want) {
		t.Errorf("%d messages", len(messages))
	}
	type text struct {
		Text string `samebytes:"text"`
	}
	texts := must(samebytes.NewStructs[text]("One", samebytes.DirectionRequest, 2))
	defer texts.Close()
	some, err := texts.GetAll(batch, make([]text, 3))
	wantError(t, "rows of other schemas", err, samebytes.ErrInvalidArgument)
	if len(some) != 3 || !strings.Contains(fmt.Sprint(err), "row 0 has other fields") {
		t.Errorf("%d structs, %v", len(some), err)
	}
	batch.Clear()
	if some, err = texts.GetAll(batch, nil); len(some) != 0 || len(must(batch.Messages())) != 0 {
		t.Errorf("rows of an empty batch: %d, %v", len(some), err)
	}
	batch.Close()
	_, err = texts.GetAll(batch, nil)
	wantError(t, "a closed batch", err, samebytes.ErrClosed)
	texts.Close()
	_, err = texts.GetAll(parsed(t, nil, one), nil)
	wantError(t, "closed structs", err, samebytes.ErrClosed)
}

// BenchmarkMessages reads 1,000 rows of a schema of four fields per operation.
func BenchmarkMessages(b *testing.B) {
	type entry struct {
		Time  int64   `samebytes:"time"`
		Name  string  `samebytes:"name"`
		Codes []int16 `samebytes:"codes"`
		Text  []byte  `samebytes:"text"`
	}
	structs := must(samebytes.NewStructs[entry]("Entry", samebytes.DirectionRequest, 4))
	defer structs.Close()
	builder, batch := must(samebytes.NewBuilder(nil)), must(samebytes.NewBatch())
	defer builder.Close()
	defer batch.Close()
	message := entry{Time: 9999, Name: "test", Codes: []int16{1, 2, 3}, Text: []byte("We have a lot in common")}
	for range 1000 {
		if err := structs.Add(builder, 0, &message); err != nil {
			b.Fatal(err)
		}
	}
	parser := must(samebytes.NewParser([]*samebytes.Schema{structs.Schema()}, nil))
	defer parser.Close()
	if err := errors.Join(parser.Feed(must(builder.Bytes())), parser.Parse(batch)); err != nil {
		b.Fatal(err)
	}
	b.Run("Messages", func(b *testing.B) {
		for range b.N {
			must(batch.Messages())
		}
	})
	b.Run("Get", func(b *testing.B) {
		for range b.N {
			for i := range batch.RowCount() {
				must(structs.Get(batch, i))
			}
		}
	})
	b.Run("GetAll", func(b *testing.B) {
		var messages []entry
		for range b.N {
			messages = must(structs.GetAll(batch, messages[:0]))
		}
	})
}
