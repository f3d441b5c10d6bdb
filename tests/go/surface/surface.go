// Package surface calls every function of the headers once through the Go bindings, so that the conformance runner can hold the list
// against core/abi/symbols.txt.
package surface

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// calls collects the C names of what was called, and the first thing that went wrong.
type calls struct {
	names []string
	err   error
}

// did records a call that may have failed.
func (c *calls) did(name string, err error) {
	c.names = append(c.names, name)
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("%s: %w", name, err)
	}
}

// says records a call whose result must be right.
func (c *calls) says(name string, right bool) {
	var err error
	if !right {
		err = errors.New("the result is wrong")
	}
	c.did(name, err)
}

// stop is the panic that ends a scenario whose objects could not be made.
type stop struct{}

func made[T any](c *calls, name string) func(T, error) T {
	return func(object T, err error) T {
		c.did(name, err)
		if c.err != nil {
			panic(stop{})
		}
		return object
	}
}

// Run calls everything and returns the sorted C names of what it called.
func Run() (names []string, err error) {
	c := new(calls)
	defer func() {
		if reason := recover(); reason != nil && reason != any(stop{}) {
			panic(reason)
		}
		slices.Sort(c.names)
		names, err = slices.Compact(c.names), c.err
	}()
	library(c)
	memory(c)
	pool(c)
	metadata(c)
	numbers(c)
	pieces(c)
	lending(c)
	channel(c)
	view(c)
	buf(c)
	schema := schemas(c)
	defer schema.Close()
	codec(c, schema)
	schemaFile(c)
	echo(c)
	pipeline(c)
	visits(c)
	arrow(c)
	return nil, nil
}

func library(c *calls) {
	c.says("sb_status_name", samebytes.StatusName(samebytes.ErrCorrupt) == "SB_CORRUPT")
	c.says("sb_status_message", samebytes.StatusMessage(samebytes.OK) == "success")
	c.says("sb_version", samebytes.Version()>>16 == samebytes.VersionMajor)
	c.says("sb_abi_digest", samebytes.ABIDigest() != 0)
	c.says("sb_instance_id", samebytes.InstanceID() != 0)
	c.did("sb_check_instance", samebytes.CheckInstance(samebytes.InstanceID()))
	c.says("sb_crc32c", samebytes.CRC32C(0, []byte("123456789")) == 0xE3069283)
}

func memory(c *calls) {
	live := samebytes.MemoryLiveBlocks()
	defaults := made[*samebytes.Memory](c, "sb_memory_open_default")(samebytes.OpenMemoryDefault())
	heap := made[*samebytes.Memory](c, "sb_memory_open_heap")(samebytes.OpenMemoryHeap())
	fixed := made[*samebytes.Memory](c, "sb_memory_open_fixed")(samebytes.OpenMemoryFixed(64))
	tracing := made[*samebytes.Memory](c, "sb_memory_open_tracing")(samebytes.OpenMemoryTracing(heap))
	again := made[*samebytes.Memory](c, "sb_memory_retain")(tracing.Retain())
	block := made[*samebytes.Block](c, "sb_memory_get_block")(again.GetBlock(100))
	c.says("sb_block_size", block.Size() >= 100)
	c.says("sb_block_is_exclusive", block.IsExclusive())
	c.did("sb_memory_check_instance", again.CheckInstance())
	c.did("sb_block_check_instance", block.CheckInstance())
	copy(block.Data(), "shared")
	other := made[*samebytes.Block](c, "sb_block_retain")(block.Retain())
	c.did("sb_block_close", block.Close())
	c.says("sb_block_data", bytes.HasPrefix(other.Data(), []byte("shared")))
	c.says("sb_memory_live_blocks", samebytes.MemoryLiveBlocks() == live+1)
	other.Close()
	c.did("sb_memory_fail_reserve", tracing.FailReserve(1))
	if _, err := tracing.GetBlock(1); !errors.Is(err, samebytes.ErrNoMemory) {
		c.says("sb_memory_fail_reserve", false)
	}
	stats, err := tracing.GetStats()
	c.did("sb_memory_get_stats", err)
	c.says("sb_memory_get_stats", stats.Reserves == 1 && stats.Releases == 1 && stats.Failures == 1)
	for _, provider := range []*samebytes.Memory{defaults, heap, fixed, tracing, again} {
		c.did("sb_memory_close", provider.Close())
	}
}

func pool(c *calls) {
	options := samebytes.PoolOptions{Classes: []samebytes.PoolClass{{BlockSize: 512, KeptMax: 2}}, ZeroOnGet: true, Name: "surface"}
	pool := made[*samebytes.Pool](c, "sb_pool_open")(samebytes.NewPool(&options))
	c.did("sb_pool_options_init", nil) // NewPool calls it for options
	data := made[[]byte](c, "sb_pool_get")(pool.Get(100))
	c.says("sb_pool_get", len(data) == 100 && !slices.Contains(data, 1))
	c.did("sb_pool_put", pool.Put(data))
	block := made[*samebytes.Block](c, "sb_pool_get_block")(pool.GetBlock(512))
	provider := made[*samebytes.Memory](c, "sb_pool_memory")(pool.Memory())
	c.did("sb_pool_check_instance", pool.CheckInstance())
	stats, err := pool.GetStats()
	c.did("sb_pool_get_stats", err)
	c.says("sb_pool_get_stats", stats.ClassCount == 1 && stats.Outstanding == 1)
	class, err := pool.GetClassStats(0)
	c.did("sb_pool_get_class_stats", err)
	c.says("sb_pool_get_class_stats", class.BlockSize == 512 && class.Outstanding == 1)
	many := made[[][]byte](c, "sb_pool_get_many")(pool.GetMany(512, 20))
	c.says("sb_pool_get_many", len(many) == 20 && len(many[19]) == 512)
	c.did("sb_pool_put_many", pool.PutMany(many))
	block.Close()
	poolHandle(c, pool)
	poolPlaces(c)
	pool.Trim()
	stats, err = pool.GetStats()
	c.did("sb_pool_trim", err)
	c.says("sb_pool_trim", stats.BytesKept == 0)
	provider.Close()
	c.did("sb_pool_close", pool.Close())
}

func poolHandle(c *calls, pool *samebytes.Pool) {
	handle := made[uint64](c, "sb_pool_handle")(pool.Handle())
	data := made[[]byte](c, "sb_pool_handle_get")(samebytes.PoolHandleGet(handle, 100))
	c.says("sb_pool_handle_get", len(data) == 100)
	c.did("sb_pool_handle_put", samebytes.PoolHandlePut(handle, data))
	c.did("sb_pool_handle_free", samebytes.PoolHandleFree(handle))
	_, err := samebytes.PoolHandleGet(handle, 100)
	c.says("sb_pool_handle_free", errors.Is(err, samebytes.ErrNotFound))
}

func poolPlaces(c *calls) {
	pool := made[*samebytes.Pool](c, "sb_pool_open")(samebytes.NewPool(&samebytes.PoolOptions{Trace: true}))
	defer pool.Close()
	data := made[[]byte](c, "sb_pool_get")(pool.Get(100))
	c.did("sb_pool_tag", pool.Tag(data, "surface"))
	leaks := made[[]samebytes.PoolPlace](c, "sb_pool_get_place")(pool.Leaks())
	c.says("sb_pool_get_place", len(leaks) == 1 && leaks[0].Tag == "surface" && leaks[0].Bytes == 512)
	c.did("sb_pool_put", pool.Put(data))
}

func view(c *calls) {
	small := made[*samebytes.Memory](c, "sb_memory_open_fixed")(samebytes.OpenMemoryFixed(4))
	view := made[*samebytes.View](c, "sb_view_open")(samebytes.NewView([]byte("0123456789"), small))
	c.says("sb_view_size", view.Size() == 10)
	c.did("sb_view_check_instance", view.CheckInstance())
	c.says("sb_view_span_count", view.SpanCount() == 3)
	span := made[[]byte](c, "sb_view_span")(view.Span(1))
	c.says("sb_view_span", string(span) == "4567")
	twin := made[*samebytes.View](c, "sb_view_copy")(view.Copy())
	c.says("sb_view_equals", twin.Equals(view))
	middle := made[*samebytes.View](c, "sb_view_range")(view.Range(3, 4))
	flat := made[*samebytes.View](c, "sb_view_flatten")(middle.Flatten(nil))
	c.says("sb_view_flatten", flat.SpanCount() == 1)
	c.did("sb_view_append", flat.Append(middle))
	c.did("sb_view_skip", flat.Skip(1))
	text := make([]byte, 3)
	c.did("sb_view_copy_bytes", flat.CopyBytes(1, text))
	c.says("sb_view_copy_bytes", string(text) == "563")
	c.did("sb_view_read_bytes", flat.ReadBytes(text))
	c.says("sb_view_read_bytes", string(text) == "456" && flat.Size() == 4)

	block := made[*samebytes.Block](c, "sb_memory_get_block")(small.GetBlock(4))
	copy(block.Data(), "wxyz")
	whole := made[*samebytes.View](c, "sb_view_open_block")(samebytes.OpenViewBlock(block, 3))
	content, err := whole.Bytes()
	c.did("sb_view_open_block", err)
	c.says("sb_view_open_block", string(content) == "wxy")
	for _, open := range []*samebytes.View{view, twin, middle, flat, whole} {
		c.did("sb_view_close", open.Close())
	}
	small.Close()
}

func buf(c *calls) {
	buf := made[*samebytes.Buf](c, "sb_buf_open")(samebytes.NewBuf(nil))
	c.did("sb_buf_reserve", buf.Reserve(20))
	c.says("sb_buf_room", buf.Room() >= 20)
	c.did("sb_buf_check_instance", buf.CheckInstance())
	c.did("sb_buf_put", buf.Put([]byte("hello")))
	piece := made[[]byte](c, "sb_buf_begin")(buf.Begin())
	copy(piece, " world")
	c.did("sb_buf_commit", buf.Commit(6))
	c.says("sb_buf_size", buf.Size() == 11)
	peeked := made[*samebytes.View](c, "sb_buf_peek")(buf.Peek())
	taken := made[*samebytes.View](c, "sb_buf_take")(buf.Take(5))
	c.did("sb_buf_put_view", buf.PutView(taken))
	rest := made[*samebytes.View](c, "sb_buf_peek")(buf.Peek())
	text, err := rest.Bytes()
	c.did("sb_buf_put_view", err)
	c.says("sb_buf_put_view", string(text) == " worldhello" && peeked.Size() == 11)
	buf.Clear()
	c.says("sb_buf_clear", buf.Size() == 0)
	for _, open := range []*samebytes.View{peeked, taken, rest} {
		open.Close()
	}
	c.did("sb_buf_close", buf.Close())
}

func schemas(c *calls) *samebytes.Schema {
	fields, err := samebytes.NewFields("time", "int64", "tags", "array<string>")
	c.did("sb_schema_open", err)
	first := made[*samebytes.Schema](c, "sb_schema_open")(samebytes.NewSchema("Event", samebytes.DirectionRequest, 7, fields))
	schema := made[*samebytes.Schema](c, "sb_schema_retain")(first.Retain())
	c.did("sb_schema_close", first.Close())
	c.says("sb_schema_name", schema.Name() == "Event")
	c.says("sb_schema_direction", schema.Direction() == samebytes.DirectionRequest)
	c.says("sb_schema_api_key", schema.APIKey() == 7)
	c.says("sb_schema_field_count", schema.FieldCount() == 2)
	field, err := schema.GetField(1)
	c.did("sb_schema_get_field", err)
	c.says("sb_schema_get_field", field == fields[1])
	return schema
}

func codec(c *calls, schema *samebytes.Schema) {
	builder := made[*samebytes.Builder](c, "sb_builder_open")(samebytes.NewBuilder(nil))
	c.did("sb_builder_add", builder.Add(schema, -3, 1700000000, []string{"a", "bc"}))
	c.says("sb_builder_frame_count", builder.FrameCount() == 1)
	size := builder.Size()
	c.says("sb_builder_size", size == 4+2+8+2+5+6)
	data := make([]byte, size)
	c.did("sb_builder_copy_bytes", builder.CopyBytes(data))
	frames := made[*samebytes.View](c, "sb_builder_take")(builder.Take())
	taken, err := frames.Bytes()
	c.did("sb_builder_take", err)
	c.says("sb_builder_take", bytes.Equal(taken, data))
	builder.Clear()
	c.says("sb_builder_clear", builder.Size() == 0)
	columns := []samebytes.Column{samebytes.IntegerColumn([]int64{1700000000}), samebytes.StringsColumn([][]string{{"a", "bc"}})}
	c.did("sb_builder_add_columns", builder.AddColumns(schema, []int8{-3}, columns))
	added, err := builder.Bytes()
	c.did("sb_builder_add_columns", err)
	c.says("sb_builder_add_columns", bytes.Equal(added, data))
	builder.Clear()
	c.did("sb_builder_add_rows", builder.AddRows(schema, []int8{-3}, [][]any{{1700000000, []string{"a", "bc"}}}))
	added, err = builder.Bytes()
	c.did("sb_builder_add_rows", err)
	c.says("sb_builder_add_rows", bytes.Equal(added, data))
	c.did("sb_builder_truncate", builder.Truncate(0, 0))
	c.says("sb_builder_truncate", builder.Size() == 0 && builder.FrameCount() == 0)
	frames.Close()
	made[*samebytes.Memory](c, "sb_builder_memory")(builder.Memory()).Close()
	c.did("sb_builder_close", builder.Close())

	options := samebytes.ParserOptions{MaxFrameSize: 1000}
	parser := made[*samebytes.Parser](c, "sb_parser_open")(samebytes.NewParser([]*samebytes.Schema{schema}, &options))
	c.did("sb_parser_options_init", nil) // NewParser calls it for options
	receive(c, parser, data)
	batch := made[*samebytes.Batch](c, "sb_batch_open")(samebytes.NewBatch())
	c.did("sb_parser_parse", parser.Parse(batch))
	c.says("sb_parser_end", parser.End() == int32(samebytes.OK))
	c.says("sb_parser_direction", parser.Direction() == samebytes.DirectionRequest)
	readBatch(c, batch, data)
	other := made[*samebytes.Batch](c, "sb_batch_open")(samebytes.NewBatch())
	batch.Swap(other)
	c.says("sb_batch_swap", batch.RowCount() == 0 && other.RowCount() == 1)
	other.Clear()
	c.says("sb_batch_clear", other.RowCount() == 0)
	other.Close()
	c.did("sb_batch_close", batch.Close())
	made[*samebytes.Memory](c, "sb_parser_memory")(parser.Memory()).Close()
	c.did("sb_parser_close", parser.Close())
}

// receive brings a bad frame and data to the parser in the three ways.
func receive(c *calls, parser *samebytes.Parser, data []byte) {
	c.did("sb_parser_feed", parser.Feed([]byte{0, 0, 0, 2, 99, 0}))
	room := made[[]byte](c, "sb_parser_buffer")(parser.Buffer())
	copy(room, data[:5])
	c.did("sb_parser_commit", parser.Commit(5))
	position, err := parser.Position(len(data))
	c.did("sb_parser_position", err)
	c.says("sb_parser_position", position == 0)
	c.did("sb_parser_receive", parser.Receive(data[5:], len(data)-5))
}

func readBatch(c *calls, batch *samebytes.Batch, data []byte) {
	c.says("sb_batch_row_count", batch.RowCount() == 1)
	c.says("sb_batch_error_count", batch.ErrorCount() == 1)
	c.says("sb_batch_need", batch.Need() == 4)
	row, err := batch.GetRow(0)
	c.did("sb_batch_get_row", err)
	rows, err := batch.GetRows()
	c.did("sb_batch_get_rows", err)
	c.says("sb_batch_get_rows", len(rows) == 1 && rows[0] == row && row.StreamOffset == 6 && row.Sequence == -3)
	values, err := batch.GetValues(0)
	c.did("sb_batch_get_values", err)
	c.says("sb_batch_get_values", fmt.Sprint(values) == "[1700000000 [[97] [98 99]]]")
	frame := made[*samebytes.View](c, "sb_batch_get_frame")(batch.GetFrame(0))
	whole, err := frame.Bytes()
	c.did("sb_batch_get_frame", err)
	c.says("sb_batch_get_frame", bytes.Equal(whole, data))
	frame.Close()
	times, err := samebytes.ColumnOf[int64](batch, 0, 0, samebytes.PartValues)
	c.did("sb_batch_get_column", err)
	c.says("sb_batch_get_column", slices.Equal(times, []int64{1700000000}))
	refused, err := batch.GetError(0)
	c.did("sb_batch_get_error", err)
	c.says("sb_batch_get_error", errors.Is(refused, samebytes.ErrUnknownAPIKey))
	schema := made[*samebytes.Schema](c, "sb_batch_get_schema")(batch.GetSchema(0))
	c.says("sb_batch_get_schema", schema.Name() == "Event")
	schema.Close()
}

func schemaFile(c *calls) {
	text := []byte("message Event request 7 { text string; }")
	file := made[*samebytes.SchemaFile](c, "sb_schema_file_open")(samebytes.NewSchemaFile(text, "surface"))
	c.says("sb_schema_file_count", file.Count() == 1)
	first := made[*samebytes.Schema](c, "sb_schema_file_get")(file.Get(0))
	found := made[*samebytes.Schema](c, "sb_schema_file_find")(file.Find("Event"))
	c.did("sb_schema_file_close", file.Close())
	c.says("sb_schema_file_find", first.Name() == "Event" && found.Name() == "Event")
	first.Close()
	found.Close()
}

func echo(c *calls) {
	request := samebytes.EchoRequest{Timestamp: 9999, Subject: []byte("test"), Metadata: []int16{1, 2, 3}, Body: []byte("body"), Sequence: 5}
	response := samebytes.EchoResponse{Timestamp: 9999, Subject: []byte("test"), Body: []byte("body"), ID: 77, Sequence: 5}
	requests := made[*samebytes.Schema](c, "sb_echo_request_schema")(samebytes.EchoRequestSchema())
	responses := made[*samebytes.Schema](c, "sb_echo_response_schema")(samebytes.EchoResponseSchema())
	builder := made[*samebytes.Builder](c, "sb_builder_open")(samebytes.NewBuilder(nil))
	c.did("sb_echo_add_request", samebytes.EchoAddRequest(builder, &request))
	batch := echoBatch(c, builder, requests)
	read, err := samebytes.EchoGetRequest(batch, 0)
	c.did("sb_echo_get_request", err)
	c.says("sb_echo_get_request", fmt.Sprint(read) == fmt.Sprint(request))
	batch.Close()
	c.did("sb_echo_add_response", samebytes.EchoAddResponse(builder, &response))
	batch = echoBatch(c, builder, responses)
	answer, err := samebytes.EchoGetResponse(batch, 0)
	c.did("sb_echo_get_response", err)
	c.says("sb_echo_get_response", fmt.Sprint(answer) == fmt.Sprint(response))
	batch.Close()
	builder.Close()
	requests.Close()
	responses.Close()
}

// echoBatch parses what the builder has.
func echoBatch(c *calls, builder *samebytes.Builder, schema *samebytes.Schema) *samebytes.Batch {
	data, err := builder.Bytes()
	c.did("sb_builder_copy_bytes", err)
	builder.Clear()
	parser := made[*samebytes.Parser](c, "sb_parser_open")(samebytes.NewParser([]*samebytes.Schema{schema}, nil))
	batch := made[*samebytes.Batch](c, "sb_batch_open")(samebytes.NewBatch())
	c.did("sb_parser_feed", parser.Feed(data))
	c.did("sb_parser_parse", parser.Parse(batch))
	parser.Close()
	return batch
}

func pipeline(c *calls) {
	pipeline := made[*samebytes.Pipeline](c, "sb_pipeline_open")(samebytes.NewPipeline())
	sequence, err := pipeline.Begin(12345)
	c.did("sb_pipeline_begin", err)
	c.says("sb_pipeline_in_flight", sequence == 0 && pipeline.InFlight() == 1)
	tag, err := pipeline.Finish(sequence)
	c.did("sb_pipeline_finish", err)
	c.says("sb_pipeline_finish", tag == 12345)
	c.did("sb_pipeline_close", pipeline.Close())
}
