package tests

import (
	"os"
	"slices"
	"strings"
	"testing"

	samebytes "github.com/samebytes/samebytes/bindings/go"
	"github.com/samebytes/samebytes/tests/go/surface"
)

// symbols returns what bindings have: all but what is for C only.
func symbols(t *testing.T) []string {
	t.Helper()
	native := lines(t, "../../core/abi/native.txt")
	return slices.DeleteFunc(lines(t, "../../core/abi/symbols.txt"), func(name string) bool { return slices.Contains(native, name) })
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")[1:] // the first says that the file is generated
}

func TestEverySymbolIsCalledByTheSurface(t *testing.T) {
	names, err := surface.Run()
	if err != nil {
		t.Fatal(err)
	}
	for _, symbol := range symbols(t) {
		if !slices.Contains(names, symbol) {
			t.Errorf("the surface does not call %s", symbol)
		}
	}
	if live := samebytes.MemoryLiveBlocks(); live != 0 {
		t.Errorf("%d blocks are still out", live)
	}
}

func TestEverySymbolIsInTheGeneratedLayer(t *testing.T) {
	raw, err := os.ReadFile("../../bindings/go/raw.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, symbol := range symbols(t) {
		if !strings.Contains(string(raw), "C."+symbol+"(") {
			t.Errorf("raw.go does not call %s", symbol)
		}
	}
}
