package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strconv"
	"time"

	samebytes "github.com/samebytes/samebytes/bindings/go"
	"github.com/samebytes/samebytes/bindings/go/echo"
)

const (
	visitsMax   = 10  // kept per user
	visitsAdded = 512 // at once
)

func openVisits(path string, readOnly bool) (*samebytes.VisitManager, error) {
	return samebytes.OpenVisitManager(path, &samebytes.VisitManagerOptions{MaxVisits: visitsMax, ReadOnly: readOnly})
}

// userOf tells whose visit a line is: its first field as a big-endian number where that is an IPv4 address, otherwise its CRC-32C.
func userOf(line []byte) uint32 {
	field, _, _ := bytes.Cut(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")), []byte(" ")) // a byte order mark is nobody's
	if address, err := netip.ParseAddr(string(field)); err == nil && address.Is4() {
		bytes := address.As4()
		return binary.BigEndian.Uint32(bytes[:])
	}
	return samebytes.CRC32C(0, field)
}

// visitOf is the line with that number, counted from 1, as a visit. A time that 64-bit nanoseconds do not reach is the last millisecond, or
// the first, that they do.
func visitOf(request echo.Request, number int) samebytes.Visit {
	const msMax = math.MaxInt64 / int64(time.Millisecond)
	at := time.UnixMilli(min(max(request.Timestamp, -msMax), msMax))
	return samebytes.Visit{User: userOf(request.Body), VisitID: uint32(number), URL: string(request.Subject), Text: string(request.Body), Time: at}
}

type written struct {
	Visits     int     `json:"visits"`
	WithNUL    int     `json:"with_nul"`
	Seconds    float64 `json:"seconds"`
	LiveBlocks int64   `json:"live_blocks"`
}

// writeVisits adds the lines from first to last, counted from 1; one with a NUL is no visit.
func writeVisits(logPath, path, firstText, lastText string) error {
	requests, _, err := readLog(logPath)
	if err != nil {
		return err
	}
	first, err := strconv.Atoi(firstText)
	if err != nil {
		return err
	}
	last, err := strconv.Atoi(lastText)
	if err != nil {
		return err
	}
	if first < 1 || last > len(requests) {
		return fmt.Errorf("the log has the lines 1 to %d", len(requests))
	}
	var result written
	start := time.Now()
	manager, err := openVisits(path, false)
	if err != nil {
		return err
	}
	defer manager.Close()
	var pending []samebytes.Visit
	for number := first; number <= last; number++ {
		request := requests[number-1]
		if bytes.IndexByte(request.Body, 0) >= 0 {
			result.WithNUL++
			continue
		}
		result.Visits++
		if pending = append(pending, visitOf(request, number)); len(pending) == visitsAdded {
			if err := manager.AddVisits(pending); err != nil {
				return err
			}
			pending = pending[:0]
		}
	}
	if err := manager.AddVisits(pending); err != nil {
		return err
	}
	if err := manager.Close(); err != nil {
		return err
	}
	result.Seconds, result.LiveBlocks = time.Since(start).Seconds(), samebytes.MemoryLiveBlocks()
	return show(result)
}

func readVisits(path, dumpPath string) error {
	manager, err := openVisits(path, true)
	if err != nil {
		return err
	}
	defer manager.Close()
	start := time.Now()
	var visits []samebytes.Visit
	for visit, err := range manager.All() {
		if err != nil {
			return err
		}
		visits = append(visits, visit)
	}
	seconds := time.Since(start).Seconds()
	users, err := manager.Users()
	if err != nil {
		return err
	}
	if err := manager.Close(); err != nil {
		return err
	}
	if err := dumpVisits(dumpPath, visits); err != nil {
		return err
	}
	return show(struct {
		Users      int     `json:"users"`
		Visits     int     `json:"visits"`
		Seconds    float64 `json:"seconds"`
		LiveBlocks int64   `json:"live_blocks"`
	}{len(users), len(visits), seconds, samebytes.MemoryLiveBlocks()})
}

func dumpVisits(path string, visits []samebytes.Visit) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	for _, v := range visits {
		fmt.Fprintf(out, "%d %d %d %x %x\n", v.User, v.VisitID, v.TimeNs, v.URL, v.Text)
	}
	if err := out.Flush(); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
