package tests

import (
	"os"
	"path/filepath"
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
	files, err := filepath.Glob("../../bindings/go/raw_*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("the generated layer: %d files, %v", len(files), err)
	}
	var raw strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		raw.Write(text)
	}
	for _, symbol := range symbols(t) {
		if !strings.Contains(raw.String(), "C."+symbol+"(") {
			t.Errorf("the generated layer does not call %s", symbol)
		}
	}
}
