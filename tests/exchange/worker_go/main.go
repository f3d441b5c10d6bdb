// Worker is one end of an exchange, in Go: worker_go ROLE DESCRIPTOR. See worker.c.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

const (
	whole  = 1 << 20
	block  = 1 << 16
	waitMs = 20000
)

func need(condition bool, what string) {
	if !condition {
		panic(what)
	}
}

func must[T any](value T, err error) T {
	ok(err)
	return value
}

func ok(err error) {
	if err != nil {
		panic(err)
	}
}

func pattern() []byte {
	data := make([]byte, whole)
	for i := range data {
		data[i] = byte(i*7 + i/251)
	}
	return data
}

type worker struct {
	channel *samebytes.Channel
	memory  *samebytes.Memory
	ctx     context.Context
}

func (w *worker) expect(wanted uint64, text string) {
	view, _, tag, err := w.channel.Receive(w.ctx)
	ok(err)
	need(view != nil && tag == wanted && string(must(view.Bytes())) == text, text+" is to come")
	view.Close()
}

func (w *worker) say(tag uint64, text []byte) {
	view := must(samebytes.NewView(text, w.memory))
	ok(w.channel.SendView(view, tag, waitMs))
	view.Close()
}

func (w *worker) send() {
	head, all := must(samebytes.NewView([]byte("head:"), w.memory)), must(samebytes.NewView(pattern(), w.memory))
	ok(head.Append(all))
	ok(w.channel.SendView(head, 1, waitMs))
	head.Close()
	all.Close()

	mine := must(w.memory.GetBlock(block))
	data := mine.Data()
	copy(data, bytes.Repeat([]byte("S"), block))
	ok(w.channel.SendBlock(mine, block, 2, waitMs))
	w.expect(3, "written")
	need(bytes.Equal(data[:block], bytes.Repeat([]byte("R"), block)), "the receiver wrote")
	copy(data, "again")
	w.say(4, []byte("look"))
	ok(w.channel.WaitDoneContext(w.ctx))
	need(string(data[:4]) == "last", "the receiver wrote last")
	mine.Close()
}

func (w *worker) receive() {
	view, _, _, err := w.channel.Receive(w.ctx)
	ok(err)
	need(bytes.Equal(must(view.Bytes()), append([]byte("head:"), pattern()...)), "the bytes are those that were sent")
	view.Close()
	_, theirs, _, err := w.channel.Receive(w.ctx)
	ok(err)
	data := theirs.Data()
	need(bytes.Equal(data, bytes.Repeat([]byte("S"), block)), "the block is as it was sent")
	copy(data, bytes.Repeat([]byte("R"), block))
	w.say(3, []byte("written"))
	w.expect(4, "look")
	need(string(data[:5]) == "again", "the sender wrote")
	copy(data, "last")
	theirs.Close()
	ok(w.channel.WaitDone(waitMs))
}

func (w *worker) lose() {
	w.say(1, pattern())
	need(errors.Is(w.channel.WaitDoneContext(w.ctx), samebytes.ErrUnavailable), "the receiver died")
	need(must(w.memory.GetStats()).LiveBytes == 0 && w.channel.PinCount() == 0, "the pins are free")
}

func (w *worker) die() {
	must(w.channel.ReceiveView(waitMs))
	ok(syscall.Kill(os.Getpid(), syscall.SIGKILL))
	select {}
}

func open(descriptor string) *samebytes.Channel {
	number := must(strconv.Atoi(descriptor))
	file := os.NewFile(uintptr(number), "socket")
	conn := must(net.FileConn(file)).(*net.UnixConn)
	channel := must(samebytes.OpenChannelConn(conn, nil))
	file.Close()
	conn.Close()
	return channel
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	w := &worker{channel: open(os.Args[2]), memory: must(samebytes.OpenMemoryShared(0, 0)), ctx: ctx}
	map[string]func(){"send": w.send, "receive": w.receive, "lose": w.lose, "die": w.die}[os.Args[1]]()
	w.channel.Close()
	w.memory.Close()
	need(samebytes.MemoryLiveBlocks() == 0, "nothing leaks")
	fmt.Println("ok")
}
