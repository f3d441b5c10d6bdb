package surface

import (
	"math"
	"runtime"
	"unsafe"

	"github.com/samebytes/samebytes/bindings/go"
)

// numbers puts numbers into a buf, and reads them from the view of it across blocks of 3 bytes.
func numbers(c *calls) {
	small := made[*samebytes.Memory](c, "sb_memory_open_fixed")(samebytes.OpenMemoryFixed(3))
	buf := made[*samebytes.Buf](c, "sb_buf_open")(samebytes.NewBuf(small))
	memory := made[*samebytes.Memory](c, "sb_buf_memory")(buf.Memory())
	c.did("sb_buf_reserve", buf.Reserve(20))
	c.did("sb_buf_put_byte", buf.PutByte(7))
	c.did("sb_buf_put_repeated", buf.PutRepeated(8, 2))
	c.did("sb_buf_put_int", buf.PutInt(-2, 4, samebytes.OrderLittle))
	c.did("sb_buf_put_float", buf.PutFloat(0.5, 8, samebytes.OrderBig))
	view := made[*samebytes.View](c, "sb_buf_take")(buf.Take(15))
	c.did("sb_view_skip", view.Skip(1))
	value, err := view.ReadInt(2, samebytes.OrderBig)
	c.did("sb_view_read_int", err)
	c.says("sb_view_read_int", value == 0x0808)
	value, err = view.PeekInt(0, 4, samebytes.OrderLittle)
	c.did("sb_view_peek_int", err)
	c.says("sb_view_peek_int", value == -2)
	real, err := view.PeekFloat(4, 8, samebytes.OrderBig)
	c.did("sb_view_peek_float", err)
	c.says("sb_view_peek_float", real == 0.5)
	c.did("sb_view_skip", view.Skip(4))
	real, err = view.ReadFloat(8, samebytes.OrderBig)
	c.did("sb_view_read_float", err)
	c.says("sb_view_read_float", real == 0.5 && !math.Signbit(real))
	memory.Close()
	view.Close()
	buf.Close()
	small.Close()
}

// pieces looks at the pieces of views and of room.
func pieces(c *calls) {
	small := made[*samebytes.Memory](c, "sb_memory_open_fixed")(samebytes.OpenMemoryFixed(4))
	view := made[*samebytes.View](c, "sb_view_open")(samebytes.NewView([]byte("0123456789"), small))
	provider := made[*samebytes.Memory](c, "sb_view_memory")(view.Memory())
	shown, err := view.GetIovec(5, 2)
	c.did("sb_view_get_iovec", err)
	c.says("sb_view_get_iovec", len(shown) == 2 && string(shown[0]) == "567" && string(shown[1]) == "89")
	pin := made[*samebytes.Pin](c, "sb_view_pin")(view.Pin(1))
	both := made[*samebytes.View](c, "sb_view_open_concat")(samebytes.OpenViewConcat([]*samebytes.View{view, view}))
	c.says("sb_view_compare", view.Compare(both) == -1 && both.Compare(view) == 1)
	flat := made[*samebytes.View](c, "sb_view_flatten")(view.Flatten(nil))
	c.says("sb_view_hash", view.Hash(1) == flat.Hash(1) && view.Hash(1) != view.Hash(2))

	buf := made[*samebytes.Buf](c, "sb_buf_open")(samebytes.NewBuf(small))
	c.did("sb_buf_reserve", buf.Reserve(12))
	other := made[*samebytes.Buf](c, "sb_buf_split_room")(buf.SplitRoom(5))
	c.says("sb_buf_split_room", buf.Room() == 7 && other.Room() == 5)
	room, err := buf.BeginIovec(10)
	c.did("sb_buf_begin_iovec", err)
	c.says("sb_buf_begin_iovec", len(room) == 2 && len(room[0]) == 4 && len(room[1]) == 3)
	buf.Abort()
	c.says("sb_buf_abort", buf.Commit(1) != nil)
	c.did("sb_pin_close", pin.Close())
	for _, open := range []*samebytes.View{view, both, flat} {
		open.Close()
	}
	other.Close()
	buf.Close()
	provider.Close()
	small.Close()
}

// lending shows memory of Go, and finds out when it is back.
func lending(c *calls) {
	lender := made[*samebytes.Lender](c, "sb_lender_open")(samebytes.NewLender())
	var pinner runtime.Pinner
	defer pinner.Unpin()
	data := []byte("lent")
	pinner.Pin(&data[0])
	view := made[*samebytes.View](c, "sb_lender_lend")(lender.Lend(unsafe.Pointer(&data[0]), len(data), 7))
	c.says("sb_lender_lent", lender.Lent() == 1)
	text, err := view.Bytes()
	c.did("sb_lender_lend", err)
	c.says("sb_lender_lend", string(text) == "lent")
	view.Close()
	token, err := lender.Take()
	c.did("sb_lender_take", err)
	c.says("sb_lender_take", token == 7 && lender.Lent() == 0)
	c.did("sb_lender_close", lender.Close())
}
