package tests

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

const (
	mib        = 1 << 20
	frames     = 1_000_000
	feed       = 65536
	hostileEnv = "SAMEBYTES_HOSTILE_STREAM"
)

// hostile is a stream of somebody who means harm; what it costs is bounded by what has arrived. C and Python are sent the same.
type hostile struct {
	frame        string // repeated
	count        int
	rows, errors int
	need         int
	bytesMax     int64 // resident ones, more than before
}

var hostileStreams = map[string]hostile{
	"tiny":         {"\x00\x00\x00\x02\x07\x01", frames, frames, 0, 4, 24 * mib},
	"unknown":      {"\x00\x00\x00\x02\x09\x01", frames, 0, frames, 4, 32 * mib},
	"lying string": {"\x00\x00\x00\x06\x08\x01\x7f\xff\xff\xff", frames / 2, 0, frames / 2, 4, 32 * mib},
	"lying array":  {"\x00\x00\x00\x08\x08\x01\x00\x00\x00\x00\x7f\xff", frames / 2, 0, frames / 2, 4, 32 * mib},
	"negative":     {"\x00\x00\x00\x06\x08\x01\xff\xff\xff\xff", frames / 2, 0, frames / 2, 4, 32 * mib},
	"claimed":      {"\x7f\xff\xff\xff\x08\x01" + strings.Repeat("\x00", 4_000_000), 1, 0, 0, math.MaxInt32 - 2 - 4_000_000, 24 * mib},
}

// measured is what a process says of the stream that it was sent.
type measured struct {
	Rows, Errors, Need int
	Bytes              int64
}

// peak is the largest resident size of this process so far, in bytes.
func peak() int64 {
	for line := range strings.Lines(string(must(os.ReadFile("/proc/self/status")))) {
		if kib, found := strings.CutPrefix(line, "VmHWM:"); found {
			return must(strconv.ParseInt(strings.Fields(kib)[0], 10, 64)) * 1024
		}
	}
	panic("/proc/self/status has no VmHWM")
}

func parseHostile(sent hostile) (found measured) {
	none := must(samebytes.NewSchema("None", samebytes.DirectionRequest, 7, nil))
	fields := must(samebytes.NewFields("text", "string", "items", "array<int64>", "texts", "array<string>"))
	some := must(samebytes.NewSchema("Some", samebytes.DirectionRequest, 8, fields))
	parser := must(samebytes.NewParser([]*samebytes.Schema{none, some}, &samebytes.ParserOptions{MaxFrameSize: math.MaxInt32}))
	batch := must(samebytes.NewBatch())
	data := bytes.Repeat([]byte(sent.frame), sent.count)
	take := func(part []byte) {
		if err := parser.Feed(part); err != nil {
			panic(err)
		}
		if err := parser.Parse(batch); err != nil {
			panic(err)
		}
	}
	take([]byte("\x00\x00\x00\x02\x07\x01"))
	before := peak()
	for at := 0; at < len(data); at += feed {
		take(data[at:min(at+feed, len(data))])
		found.Rows += batch.RowCount()
		found.Errors += batch.ErrorCount()
		if at == 0 && (len(must(batch.Messages())) != batch.RowCount() || len(must(batch.Errors())) != batch.ErrorCount()) {
			panic("rows or errors differ from their counts")
		}
	}
	found.Need, found.Bytes = batch.Need(), peak()-before
	return found
}

func TestHostileStreamsCostMemoryByWhatHasArrived(t *testing.T) {
	if name, asked := os.LookupEnv(hostileEnv); asked {
		if err := json.NewEncoder(os.Stdout).Encode(parseHostile(hostileStreams[name])); err != nil {
			t.Fatal(err)
		}
		os.Exit(0) // before testing prints
	}
	for name, sent := range hostileStreams {
		command := exec.Command(os.Args[0], "-test.run=^TestHostileStreamsCostMemoryByWhatHasArrived$")
		command.Env = append(os.Environ(), hostileEnv+"="+name)
		command.Stderr = os.Stderr
		var found measured
		if err := json.Unmarshal(must(command.Output()), &found); err != nil {
			t.Fatal(err)
		}
		if found.Rows != sent.rows || found.Errors != sent.errors || found.Need != sent.need {
			t.Errorf("%s: %+v", name, found)
		}
		if found.Bytes > sent.bytesMax {
			t.Errorf("%s: %d MiB more, at most %d are allowed", name, found.Bytes/mib, sent.bytesMax/mib)
		}
	}
}
