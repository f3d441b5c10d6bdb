package surface

import (
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
	view.Close()
	buf.Close()
	same.Close()
	heap.Close()
}
