package surface

import (
	"errors"
	"syscall"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// metadata gives a block metadata, and finds it in a slice.
func metadata(c *calls) {
	heap := made[*samebytes.Memory](c, "sb_memory_open_heap")(samebytes.OpenMemoryHeap())
	block := made[*samebytes.Block](c, "sb_memory_get_block")(heap.GetBlock(8))
	same := made[*samebytes.Memory](c, "sb_block_memory")(block.Memory())
	c.did("sb_block_set_metadata", block.SetMetadata(7, nil))
	key, _, err := block.GetMetadata()
	c.did("sb_block_get_metadata", err)
	c.says("sb_block_get_metadata", key == 7)
	buf := made[*samebytes.Buf](c, "sb_buf_from_blocks")(samebytes.BufFromBlocks([]*samebytes.Block{block}, same))
	c.did("sb_buf_put", buf.Put([]byte("metadata")))
	view := made[*samebytes.View](c, "sb_buf_take")(buf.Take(4))
	key, _, err = view.SpanMetadata(0)
	c.did("sb_view_span_metadata", err)
	c.says("sb_view_span_metadata", key == 7)
	_, err = heap.GetFailure()
	c.says("sb_memory_get_failure", errors.Is(err, samebytes.ErrUnsupported))
	samebytes.MemoryDrain()
	c.did("sb_memory_drain", nil)
	view.Close()
	buf.Close()
	same.Close()
	heap.Close()
}

// channel sends a view and a block from one end to the other.
func channel(c *calls) {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	c.did("sb_channel_open", err)
	a := made[*samebytes.Channel](c, "sb_channel_open")(samebytes.NewChannel(int32(ends[0]), nil))
	b := made[*samebytes.Channel](c, "sb_channel_open")(samebytes.NewChannel(int32(ends[1]), &samebytes.ChannelOptions{PinsMax: 8}))
	c.did("sb_channel_options_init", nil) // NewChannel calls it for options
	for _, end := range ends {
		syscall.Close(end)
	}
	c.says("sb_channel_descriptor", a.Descriptor() >= 0)
	memory := made[*samebytes.Memory](c, "sb_memory_open_shared")(samebytes.OpenMemoryShared(0, 0))
	view := made[*samebytes.View](c, "sb_view_open")(samebytes.NewView([]byte("sent"), memory))
	c.did("sb_channel_send_view", a.SendView(view, 5, 0))
	kind, tag, err := b.Next(1000)
	c.did("sb_channel_next", err)
	c.says("sb_channel_next", kind == samebytes.ArrivalView && tag == 5)
	got := made[*samebytes.View](c, "sb_channel_receive_view")(b.ReceiveView(0))
	c.says("sb_channel_receive_view", got.Equals(view))
	c.says("sb_channel_pin_count", a.PinCount() == 1)
	got.Close()
	block := made[*samebytes.Block](c, "sb_memory_get_block")(memory.GetBlock(16))
	c.did("sb_channel_send_block", a.SendBlock(block, 16, 0, 0))
	theirs := made[*samebytes.Block](c, "sb_channel_receive_block")(b.ReceiveBlock(1000))
	copy(theirs.Data(), "answer")
	c.says("sb_channel_receive_block", string(block.Data()[:6]) == "answer")
	theirs.Close()
	c.did("sb_channel_wait_done", a.WaitDone(1000))
	a.Stop()
	_, _, err = a.Next(0)
	c.says("sb_channel_stop", errors.Is(err, samebytes.ErrClosed))
	c.did("sb_channel_close", a.Close())
	b.Close()
	block.Close()
	view.Close()
	memory.Close()
}
