//go:build cgo

package samebytes

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCoreDigest fails when a file of the core was edited, added or removed since `make generate`: the bindings must be generated anew,
// and without a new stamp Go's build cache would go on using the old core.
func TestCoreDigest(t *testing.T) {
	contents := map[string][]byte{}
	for _, folder := range []string{"core/src", "core/include"} {
		err := filepath.WalkDir("../../"+folder, func(path string, entry fs.DirEntry, err error) error {
			name := filepath.Base(path)
			if err != nil || entry.IsDir() || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".go") {
				return err
			}
			contents[strings.TrimPrefix(path, "../../")], err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	names := make([]string, 0, len(contents))
	for name := range contents {
		names = append(names, name)
	}
	slices.Sort(names)
	total := sha256.New()
	for _, name := range names {
		fmt.Fprintf(total, "%s\n%d\n", name, len(contents[name]))
		total.Write(contents[name])
	}
	if digest := fmt.Sprintf("%x", total.Sum(nil))[:16]; digest != coreDigest {
		t.Errorf("core digest is stale: run make generate (the core is %s, the stamp says %s)", digest, coreDigest)
	}
}
