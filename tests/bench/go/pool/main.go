// Command pool measures getting and putting blocks in Go, and in C that is called from Go. It prints `case TAB side TAB nanoseconds` for each
// sample; the argument is how many it takes.
package main

/*
#cgo CFLAGS: -I${SRCDIR}/../../../../core/include
#include <stdlib.h>
#include "loops.h"
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	cgohandle "runtime/cgo"
	"slices"
	"strconv"
	"sync"
	"time"
	"unsafe"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

const (
	sampleTime = 5 * time.Millisecond
	times      = 20000
	size       = 4096
	ours       = "samebytes"

	one      = "Go get+put, 4 KiB, one goroutine"
	two      = "Go get+put, 4 KiB, two goroutines"
	inC      = "C get+put under Go, 4 KiB"
	cgo      = "a cgo call each"
	syncPool = "sync.Pool"
	back     = "channel of pointers, by callback"
)

type benchCase struct {
	name, side string
	run        func()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

// channels is a pool of Go that C reaches by callback and a cgo.Handle: a channel of pointers for each class, as cgobytepool has them.
type channels struct {
	sizes []int
	free  []chan unsafe.Pointer
}

func (c *channels) class(size int) int {
	return slices.IndexFunc(c.sizes, func(most int) bool { return size <= most })
}

//export channelGet
func channelGet(context unsafe.Pointer, bytes C.size_t) unsafe.Pointer {
	pool := (*(*cgohandle.Handle)(context)).Value().(*channels)
	class := pool.class(int(bytes))
	select {
	case data := <-pool.free[class]:
		return data
	default:
		return C.malloc(C.size_t(pool.sizes[class]))
	}
}

//export channelPut
func channelPut(context unsafe.Pointer, data unsafe.Pointer, bytes C.size_t) {
	pool := (*(*cgohandle.Handle)(context)).Value().(*channels)
	select {
	case pool.free[pool.class(int(bytes))] <- data:
	default:
		C.free(data)
	}
}

// twice does the same on two goroutines, each as often as one would.
func twice(run func()) func() {
	return func() {
		var other sync.WaitGroup
		other.Add(1)
		go func() { defer other.Done(); run() }()
		run()
		other.Wait()
	}
}

func main() {
	if len(os.Args) != 2 {
		check(fmt.Errorf("usage: %s SAMPLES", os.Args[0]))
	}
	samples := must(strconv.Atoi(os.Args[1]))
	pool := must(samebytes.NewPool(nil))
	defer pool.Close()
	cache := must(samebytes.NewPoolCache(pool, nil))
	defer cache.Close()
	handle := new(uint64)
	*handle = must(pool.Handle())
	var pins runtime.Pinner
	pins.Pin(handle)
	defer pins.Unpin()
	channel := &channels{sizes: []int{512, 4096, 16384}}
	for range channel.sizes {
		channel.free = append(channel.free, make(chan unsafe.Pointer, 1000))
	}
	context := new(cgohandle.Handle)
	*context = cgohandle.NewHandle(channel)
	pins.Pin(context)
	slices4k := sync.Pool{New: func() any { data := make([]byte, size); return &data }}

	byCache := func() {
		for range times {
			buffer := must(cache.Get(size))
			buffer.Bytes()[0] = 1
			check(buffer.Put())
		}
	}
	bySyncPool := func() {
		for range times {
			data := slices4k.Get().(*[]byte)
			(*data)[0] = 1
			slices4k.Put(data)
		}
	}
	byCgo := func() {
		for range times {
			data := C.list_get(size)
			*(*byte)(data) = 1
			C.list_put(data)
		}
	}
	straight := func() {
		if C.loop_straight(unsafe.Pointer(handle), size, times) != 0 {
			check(fmt.Errorf("bytepool_get gave nothing"))
		}
	}
	callback := func() {
		if C.loop_callback(unsafe.Pointer(context), size, times) != 0 {
			check(fmt.Errorf("the channel gave nothing"))
		}
	}
	cases := []benchCase{
		{one, ours, byCache}, {one, syncPool, bySyncPool}, {one, cgo, byCgo},
		{two, ours, twice(byCache)}, {two, syncPool, twice(bySyncPool)}, {two, cgo, twice(byCgo)},
		{inC, ours, straight}, {inC, back, callback},
	}
	for sample := range samples {
		order := slices.Clone(cases)
		if sample%2 == 1 {
			slices.Reverse(order) // so that no side is always the one after its peer
		}
		for _, item := range order {
			start, runs := time.Now(), 0
			for time.Since(start) < sampleTime {
				item.run()
				runs++
			}
			fmt.Printf("%s\t%s\t%.2f\n", item.name, item.side, float64(time.Since(start).Nanoseconds())/float64(runs*times))
		}
	}
}
